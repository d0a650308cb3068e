//! The single writer: evaluates, charges and commits requests in groups.
//!
//! Requests that wait together are evaluated one after the other, each on the state that includes
//! the ones before it, and share one flush. No answer leaves before its entries are durable. When
//! a flush fails nothing is known about what is on the disk, so the writer stops for good and the
//! daemon with it.

use std::{
    collections::HashSet,
    sync::{
        Arc, Mutex, OnceLock, PoisonError, RwLock,
        mpsc::{Receiver, RecvTimeoutError},
    },
    time::Duration,
};

use policy::{AttemptId, Entry, State, TimeKeeper};
use tx::Interval;

use crate::{
    Clock, NewEntry, Store, StoreError,
    command::{Command, Stopped},
    group::OpenGroup,
    refusals::Refusals,
    store::Group,
};

/// Most requests that share a flush.
const GROUP_MAX: usize = 256;
/// Bytes of bodies after which a group takes no more.
const GROUP_BYTES: usize = 4 * 1024 * 1024;
/// How long a summary of refusals waits at most when nothing else comes.
const TICK: Duration = Duration::from_millis(500);

/// The writer's own part of the journal: it alone changes the state and the store.
pub(crate) struct Writer {
    pub(crate) store: Box<dyn Store>,
    pub(crate) state: Arc<RwLock<State>>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) time: TimeKeeper,
    /// The time as the writer last read it, for those who only ask.
    pub(crate) now: Arc<Mutex<Interval>>,
    pub(crate) next_index: u64,
    pub(crate) refusals: Refusals,
    /// Attempts whose order is out.
    pub(crate) active: HashSet<AttemptId>,
    pub(crate) stopped: Arc<OnceLock<Stopped>>,
}

impl Writer {
    /// Serves commands until all senders are gone.
    pub(crate) fn run(mut self, commands: &Receiver<Command>) {
        loop {
            match commands.recv_timeout(TICK) {
                Ok(first) => self.turn(std::iter::once(first).chain(commands.try_iter())),
                Err(RecvTimeoutError::Timeout) => self.turn(std::iter::empty()),
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    /// One group: evaluate, flush, answer.
    fn turn(&mut self, commands: impl Iterator<Item = Command>) {
        if let Some(stopped) = self.stopped.get() {
            commands.for_each(|command| command.refuse(stopped));
            return;
        }
        let (now, jump) = self.now();
        let mut group = OpenGroup::new(now, self.next_index);
        let prepared = self.prepare(&mut group, commands, jump);
        let OpenGroup {
            entries,
            blobs,
            replies,
            ..
        } = group;
        let outcome = prepared.and_then(|()| self.flush(Group { entries, blobs }));
        if let Err(stopped) = &outcome {
            self.stop(stopped);
        } else if self.stopped.get().is_some() {
            self.close();
        }
        for reply in replies {
            reply.send(outcome.clone());
        }
    }

    fn now(&mut self) -> (Interval, Option<i64>) {
        let reading = self.clock.read();
        let (now, jump) = self.time.advance(reading.wall_millis, reading.boot_millis);
        *self.now.lock().unwrap_or_else(PoisonError::into_inner) = now;
        (now, jump)
    }

    /// Applies the commands to the state, in order, collecting entries and answers.
    fn prepare(
        &mut self,
        group: &mut OpenGroup,
        mut commands: impl Iterator<Item = Command>,
        jump: Option<i64>,
    ) -> Result<(), Stopped> {
        let state = Arc::clone(&self.state);
        // A panic aborts the process, so that a poisoned lock is never seen.
        let mut state = state.write().unwrap_or_else(PoisonError::into_inner);
        state.advance(group.now.lo);
        if let Some(millis) = jump {
            group.push(&mut state, Entry::ClockJump { millis })?;
        }
        for entry in self.refusals.due(group.now.lo) {
            group.push(&mut state, entry)?;
        }
        let mut count = 0usize;
        // What the group has no room for stays in the queue: the iterator takes one at a time.
        while count < GROUP_MAX && group.bytes < GROUP_BYTES {
            let Some(command) = commands.next() else {
                break;
            };
            self.process(&mut state, group, command)?;
            count = count.saturating_add(1);
        }
        Ok(())
    }

    /// Appends an entry before anything is served.
    pub(crate) fn note_start(&mut self, entry: Entry) -> Result<(), StoreError> {
        let failed = |stopped: Stopped| StoreError::Failed(stopped.reason.to_string().into());
        let (now, _) = self.now();
        let mut group = OpenGroup::new(now, self.next_index);
        {
            let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
            group.push(&mut state, entry).map_err(failed)?;
        }
        let OpenGroup { entries, blobs, .. } = group;
        self.flush(Group { entries, blobs }).map_err(failed)
    }

    fn flush(&mut self, group: Group) -> Result<(), Stopped> {
        if group.entries.is_empty() {
            return Ok(());
        }
        let count = u64::try_from(group.entries.len()).unwrap_or(u64::MAX);
        self.store
            .append(self.next_index, group)
            .map_err(|error| stopped(&error))?;
        self.next_index = self.next_index.saturating_add(count);
        Ok(())
    }

    /// The end of a clean stop.
    fn close(&mut self) {
        if let Err(error) = self.store.close() {
            tracing::error!(reason = %stopped(&error).reason, "the journal was not closed cleanly");
        }
    }

    /// Nothing is taken from here on. Where the disk was full, the space kept for it says so.
    fn stop(&mut self, why: &Stopped) {
        tracing::error!(reason = %why.reason, "the journal is stopped");
        // Set before only when the journal was being ended; then nothing is taken either.
        let _first = self.stopped.set(why.clone());
        let record = OpenGroup::record(
            self.time.interval(),
            Entry::Stopped {
                reason: why.reason.to_string(),
            },
        );
        let last = record.and_then(|entry: NewEntry| {
            self.store
                .append_final(entry)
                .map_err(|error| stopped(&error))
        });
        if let Err(error) = last {
            tracing::error!(reason = %error.reason, "the stop itself could not be recorded");
        }
    }
}

fn stopped(error: &StoreError) -> Stopped {
    let mut reason = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        reason.push_str(": ");
        reason.push_str(&cause.to_string());
        source = cause.source();
    }
    Stopped {
        reason: reason.into(),
    }
}
