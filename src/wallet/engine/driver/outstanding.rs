//! What a lane has begun and not heard of.

use std::{future::Future, pin::Pin, sync::Arc};

use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::time::Instant;

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

/// What is out, driven by the lane's own task: a task for each call would cost a hand-over to begin it
/// and another to hear of it. Dropped, it is ended, as a process ends it that is killed.
pub(super) struct Outstanding<A> {
    begun: FuturesUnordered<Pin<Box<dyn Future<Output = Came<A>> + Send>>>,
    committing: bool,
    /// Held by every call to the signer that is out.
    calls: Arc<()>,
}

impl<A> Default for Outstanding<A> {
    fn default() -> Self {
        Self {
            begun: FuturesUnordered::new(),
            committing: false,
            calls: Arc::default(),
        }
    }
}

impl<A: Send + 'static> Outstanding<A> {
    pub(super) fn begin(&mut self, task: impl Future<Output = Came<A>> + Send + 'static) {
        self.begun.push(Box::pin(task));
    }

    /// What comes next; `None` if nothing is out.
    pub(super) async fn next(&mut self) -> Option<Came<A>> {
        self.begun.next().await
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
