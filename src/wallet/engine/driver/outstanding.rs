//! What a lane has begun and not heard of.

use std::{future::Future, sync::Arc};

use tokio::{task::JoinSet, time::Instant};

use crate::{
    attempt::AttemptNumber, change::Change, lane::Event, signer::SignOutcome, store::StoreError,
};

/// What came of something that was begun.
pub(super) enum Came<A> {
    /// The lane is told.
    Event(Event<A>),
    /// An answer of the signer, and what says that it was out until the lane has heard it.
    Signer(AttemptNumber, SignOutcome, Arc<()>),
    /// The commit.
    Committed {
        changes: Vec<Change>,
        result: Result<(), StoreError>,
    },
    /// It is time to tell the lane that its commit failed.
    CommitAgain,
    /// The lease.
    Renewed {
        begun: Instant,
        result: Result<(), StoreError>,
    },
}

/// What is out. Dropped, it is ended, as a process ends it that is killed.
pub(super) struct Outstanding<A> {
    tasks: JoinSet<Came<A>>,
    committing: bool,
    /// Held by every call to the signer that is out.
    calls: Arc<()>,
}

impl<A> Default for Outstanding<A> {
    fn default() -> Self {
        Self {
            tasks: JoinSet::new(),
            committing: false,
            calls: Arc::default(),
        }
    }
}

impl<A: Send + 'static> Outstanding<A> {
    pub(super) fn spawn(&mut self, task: impl Future<Output = Came<A>> + Send + 'static) {
        self.tasks.spawn(task);
    }

    /// What comes next; `None` if nothing is out.
    pub(super) async fn next(&mut self) -> Option<Came<A>> {
        loop {
            match self.tasks.join_next().await? {
                Ok(came) => return Some(came),
                // A release build has aborted by now. What was out is as unknown as after a crash.
                Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
                Err(_) => {}
            }
        }
    }

    pub(super) fn commit_began(&mut self) {
        self.committing = true;
    }

    pub(super) fn commit_ended(&mut self) {
        self.committing = false;
    }

    /// For a call to the signer, to be dropped when its answer was heard.
    pub(super) fn calling(&self) -> Arc<()> {
        Arc::clone(&self.calls)
    }

    /// Whether neither a commit nor a call to the signer is out, nor an answer of it unheard.
    pub(super) fn is_quiet(&self) -> bool {
        !self.committing && Arc::strong_count(&self.calls) == 1
    }
}
