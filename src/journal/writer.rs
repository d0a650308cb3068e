//! The single writer: evaluates, charges and commits requests in groups.
//!
//! Requests that wait together are evaluated one after the other, each on the state that includes
//! the ones before it, and share one flush. No answer leaves before its entries are durable. When
//! a flush fails nothing is known about what is on the disk, so the writer stops for good and the
//! daemon with it.

use std::{
    collections::{BTreeSet, HashSet, VecDeque},
    sync::{
        Arc, Mutex, OnceLock, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
        mpsc::{Receiver, RecvTimeoutError},
    },
    time::Duration,
};

use policy::{AttemptId, ChargesError, Entry, RowKey, State, TimeKeeper, shortened};
use tlog::checkpoint::{Origin, SignedCheckpoint};
use tx::Interval;

use crate::{
    Clock, OpenJournalError, Store, StoreError,
    charges::ChargeFiles,
    checkpoint::{Asked, is_witnessed},
    command::{Command, Failed, Stopped},
    credit::Cosigned,
    group::{COMMANDS_MAX, OpenGroup},
    heartbeat::Settled,
    map::MapError,
    refusals::Refusals,
    roots::{Builder, Built, Candidate, Frozen, Growth, Rows, recall},
    scrub::Scrubbed,
    store::Group,
};

/// How many orders are out before the writer waits for more to share a flush with.
const GATHER_ACTIVE: usize = 8;
/// How long it waits then.
const GATHER: Duration = Duration::from_micros(1000);
/// How many orders are out before it waits twice as long: the device has enough to do meanwhile.
const GATHER_MANY: usize = 20;
/// How long a summary of refusals waits at most when nothing else comes.
const TICK: Duration = Duration::from_millis(500);
/// Most bytes of a reason that an entry gives in words.
pub(crate) const REASON_BYTES: usize = 16 * 1024;
/// Entries and milliseconds after which the anchor is written anew: what a crash and whoever cuts
/// the log after it can hide.
const ANCHOR_ENTRIES: u64 = 4096;
const ANCHOR_MILLIS: u64 = 60_000;
/// Attempts that memory holds under load: those between two roots, and those made while the first of the
/// two is computed and forgotten.
const ATTEMPTS_HELD: usize = 28 * 1024;
/// Rows that are forgotten in one turn, once the map has them: about a millisecond's work.
pub(crate) const FORGOTTEN_MAX: usize = 2048;

/// The writer's own part of the journal: it alone changes the state and the store.
pub(crate) struct Writer {
    pub(crate) store: Box<dyn Store>,
    pub(crate) state: Arc<RwLock<State>>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) time: TimeKeeper,
    /// The time as the writer last read it, for those who only ask.
    pub(crate) now: Arc<Mutex<Interval>>,
    /// The boot clock as the writer last read it.
    pub(crate) boot_millis: u64,
    pub(crate) next_index: u64,
    /// What was taken off the queue and found no room in a group yet.
    pub(crate) waiting: VecDeque<Command>,
    pub(crate) refusals: Refusals,
    /// Attempts whose order is out.
    pub(crate) active: HashSet<AttemptId>,
    pub(crate) anchored: Anchored,
    pub(crate) stopped: Arc<OnceLock<Stopped>>,
    /// What the log is called in its checkpoints.
    pub(crate) origin: Origin,
    /// Who is told how many entries are durable.
    pub(crate) watcher: Arc<OnceLock<Watcher>>,
    /// Where charges are kept once their blocks are closed.
    pub(crate) charges: ChargeFiles,
    /// What entries wrote, since the last state root.
    pub(crate) growth: Growth,
    /// Who computes state roots.
    pub(crate) roots: Builder,
    /// What is remembered, in memory and on disk.
    pub(crate) rows: Rows,
    /// The first entry that a start from the durable snapshot reads; 0 without one.
    pub(crate) read_from: u64,
    /// What the next snapshot is of.
    pub(crate) candidate: Option<Candidate>,
    /// The entry that a signed checkpoint has to cover before there is a snapshot; no entry, if none is due.
    pub(crate) wanted: Arc<AtomicU64>,
    /// What reading the log again has come to.
    pub(crate) scrubbed: Arc<Scrubbed>,
    /// How far the clocks can be believed.
    pub(crate) settled: Settled,
    /// The checkpoint that was asked for ahead.
    pub(crate) awaited: Option<Asked>,
    /// What witnesses say of the time.
    pub(crate) cosigned: Arc<Mutex<Cosigned>>,
}

/// Is told how many entries are durable, on the writer's thread.
pub(crate) type Watcher = Box<dyn Fn(u64) + Send + Sync>;

/// When the anchor was last written.
#[derive(Debug, Default)]
pub(crate) struct Anchored {
    entries: u64,
    boot_millis: u64,
}

impl Writer {
    /// Makes room for what memory holds between two roots. It is used only as it is filled; a table that
    /// doubles under load would keep everybody waiting, for 38 ms at 28,672 attempts.
    pub(crate) fn reserve(&mut self) {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        state.reserve(ATTEMPTS_HELD);
        self.growth.reserve();
    }

    /// Serves commands until all senders are gone.
    pub(crate) fn run(mut self, commands: &Receiver<Command>) {
        loop {
            if self.waiting.is_empty() {
                match commands.recv_timeout(TICK) {
                    Ok(first) => self.wait(first),
                    Err(RecvTimeoutError::Timeout) => {}
                    Err(RecvTimeoutError::Disconnected) => return,
                }
            }
            self.drain(commands);
            if let Some(gather) = self.gather() {
                std::thread::sleep(gather);
                self.drain(commands);
            }
            self.turn(&mut || commands.try_recv().ok());
        }
    }

    fn drain(&mut self, commands: &Receiver<Command>) {
        while self.waiting.len() < COMMANDS_MAX
            && let Ok(next) = commands.try_recv()
        {
            self.wait(next);
        }
    }

    /// How long to wait where so many orders are out that their signatures, on their way, had better
    /// share this flush: a disk that flushes fast would otherwise be asked for one for every other entry.
    fn gather(&self) -> Option<Duration> {
        let active = self.active.len();
        let many = active >= GATHER_MANY;
        let worth = active >= GATHER_ACTIVE && self.waiting.len() < active / 2;
        worth.then_some(if many {
            GATHER.saturating_mul(2)
        } else {
            GATHER
        })
    }

    /// A freeze goes first: nothing that waits together with one is signed.
    pub(crate) fn wait(&mut self, command: Command) {
        match command {
            Command::Freeze { .. } => self.waiting.push_front(command),
            Command::Govern(ref asked) if asked.freezes() => self.waiting.push_front(command),
            // It is of what is durable already, and authorises no transaction.
            Command::Checkpoint { .. } | Command::Covered(_) => self.waiting.push_front(command),
            _ => self.waiting.push_back(command),
        }
    }

    /// Nothing is decided on a log that was found damaged.
    pub(crate) fn stop_if_damaged(&mut self) {
        if self.stopped.get().is_none()
            && let Some(damage) = self.scrubbed.damage()
        {
            let damaged = Stopped::damaged(damage);
            self.stop(&damaged);
        }
    }

    /// Lets roots be computed, of what is durable.
    pub(crate) fn give(&mut self, frozen: Vec<Frozen>) {
        for frozen in frozen {
            if let Err(error) = self.roots.give(frozen) {
                self.stop(&stopped(&error));
            }
        }
    }

    /// Lets the state hold no block of charges longer than until it is durable that they were made.
    pub(crate) fn keep_charges(&mut self) {
        let closed = |state: &State| state.closed_blocks().next().is_some();
        if closed(&self.state.read().unwrap_or_else(PoisonError::into_inner)) {
            let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
            self.charges.relieve(&mut state);
        }
    }

    /// Writes a root into the log; memory goes on to forget what it covers.
    pub(crate) fn take_root(
        &mut self,
        state: &mut State,
        group: &mut OpenGroup,
        built: Built,
    ) -> Result<(), Stopped> {
        let Built { root, made } = built;
        if let Some((map, candidate)) = made {
            self.rows.renew(Arc::clone(&map));
            group.growth.settle(state, root.covers, &map);
            self.candidate = candidate;
        }
        let index = group.push(state, Entry::StateRoot(root))?;
        if let Some(candidate) = &mut self.candidate
            && candidate.covers == root.covers
        {
            candidate.entry = Some(index);
            self.wanted.store(index, Ordering::Release);
        }
        Ok(())
    }

    /// Takes a signed checkpoint, with which the newest root becomes a snapshot if it covers the root's
    /// entry, and witnesses cosigned it where there are any.
    pub(crate) fn covered(&mut self, state: &State, signed: &SignedCheckpoint) {
        let quorum = state.policy().and_then(|policy| policy.witnesses.as_ref());
        let is_due = |candidate: &mut Candidate| {
            candidate.entry.is_some_and(|entry| entry < signed.head().size)
                // What is not in its file yet, a start would not find.
                && candidate.blocks <= self.charges.blocks()
                && quorum.is_none_or(|quorum| is_witnessed(signed, quorum))
        };
        if let Some(candidate) = self.candidate.take_if(is_due) {
            self.wanted.store(u64::MAX, Ordering::Release);
            let note = signed.to_string().into_bytes();
            self.roots.keep(candidate.covers, note);
        }
    }

    /// Removes the bodies that officers let go and that no start reads: the entry that says so is durable.
    pub(crate) fn remove_pruned(&mut self) {
        let pruned = {
            let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
            state.pruned()
        };
        let before = pruned.min(self.read_from);
        if let Err(error) = self.store.remove_before(before) {
            let error: &dyn std::error::Error = &error;
            tracing::warn!(error, "bodies that are pruned are still there");
        }
    }

    /// Removes files of charges that no start needs any longer.
    pub(crate) fn forget_charges(&mut self, before: u64) {
        if let Err(error) = self.charges.remove_before(before) {
            let error: &dyn std::error::Error = &error;
            tracing::warn!(error, "files of old charges stay on the disk");
        }
    }

    /// Reads what a decision hangs on and memory does not have.
    pub(crate) fn recall(&self, state: &mut State, keys: &BTreeSet<RowKey>) -> Result<(), Stopped> {
        recall(&self.rows.map(), state, keys).map_err(|error| stopped(&error))
    }

    /// Appends an entry before anything is served.
    pub(crate) fn note_start(&mut self, entry: Entry) -> Result<(), OpenJournalError> {
        let failed = |stopped: Stopped| {
            OpenJournalError::Store(StoreError::Failed(stopped.reason.to_string().into()))
        };
        let (now, _) = self.now(self.clock.read());
        let mut group = OpenGroup::new(now, self.next_index, std::mem::take(&mut self.growth));
        {
            let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
            group.push(&mut state, entry).map_err(failed)?;
        }
        let OpenGroup {
            entries,
            blobs,
            growth,
            frozen,
            ..
        } = group;
        self.growth = growth;
        let appended = self.append(Group { entries, blobs });
        appended.map_err(OpenJournalError::Store)?;
        for frozen in frozen {
            self.roots.give(frozen).map_err(OpenJournalError::Root)?;
        }
        self.anchored = Anchored {
            entries: self.next_index,
            boot_millis: self.boot_millis,
        };
        self.remove_pruned();
        Ok(())
    }

    pub(crate) fn append(&mut self, group: Group) -> Result<(), StoreError> {
        let count = u64::try_from(group.entries.len()).unwrap_or(u64::MAX);
        self.store.append(self.next_index, group)?;
        self.next_index = self.next_index.saturating_add(count);
        if let Some(tell) = self.watcher.get() {
            tell(self.next_index);
        }
        Ok(())
    }

    /// Writes the anchor now and then, and at a clean stop: after the answers, which need not wait
    /// for it.
    pub(crate) fn anchor_if_due(&mut self) {
        let entries = self.next_index.saturating_sub(self.anchored.entries);
        let millis = self.boot_millis.saturating_sub(self.anchored.boot_millis);
        let ended = self.stopped.get().is_some();
        if entries == 0 || !(ended || entries >= ANCHOR_ENTRIES || millis >= ANCHOR_MILLIS) {
            return;
        }
        self.anchored = Anchored {
            entries: self.next_index,
            boot_millis: self.boot_millis,
        };
        if let Err(error) = self.store.anchor() {
            self.stop(&stopped(&error));
        }
    }

    /// Puts the snapshot aside, so that the next start makes again what it names. Where bodies are pruned the
    /// log alone does not have it any longer.
    fn distrust(&mut self) {
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        if state.pruned() > 0 {
            return;
        }
        if let Err(error) = self.roots.distrust() {
            let error: &dyn std::error::Error = &error;
            tracing::error!(error, "the snapshot stays: remove the file by hand");
        }
    }

    /// Nothing is taken from here on. Where the disk was full, the space kept for it says so.
    pub(crate) fn stop(&mut self, why: &Stopped) {
        tracing::error!(reason = %why.reason, "the journal is stopped");
        // Set before only when the journal was being ended; then nothing is taken either.
        let _first = self.stopped.set(why.clone());
        if why.failed == Failed::Derived {
            self.distrust();
        }
        let reason = shortened(why.reason.to_string(), REASON_BYTES);
        let record = OpenGroup::record(self.time.interval(), Entry::Stopped { reason });
        let last = record.and_then(|entry| {
            self.store
                .append_final(entry)
                .map_err(|error| stopped(&error))
        });
        if let Err(error) = last {
            tracing::error!(reason = %error.reason, "the stop itself could not be recorded");
        }
    }
}

pub(crate) fn stopped(error: &(dyn std::error::Error + 'static)) -> Stopped {
    let mut reason = error.to_string();
    let mut failed = is_derived(error);
    let mut source = error.source();
    while let Some(cause) = source {
        reason.push_str(": ");
        reason.push_str(&cause.to_string());
        failed |= is_derived(cause);
        source = cause.source();
    }
    Stopped {
        reason: reason.into(),
        failed: match failed {
            true => Failed::Derived,
            false => Failed::Other,
        },
    }
}

/// Whether it is about what follows from the log, and not about the log.
fn is_derived(error: &(dyn std::error::Error + 'static)) -> bool {
    let of_map = error.downcast_ref().is_some_and(|error| match error {
        MapError::Disk(error) => !error.is_disk_full(),
        MapError::Damaged { .. } | MapError::Head => true,
        MapError::Over | MapError::Batch { .. } => false,
    });
    of_map || error.is::<ChargesError>() || error.is::<policy::RowError>()
}
