//! The journal as the daemon holds it.

use std::{
    sync::{
        Arc, Mutex, OnceLock, PoisonError, RwLock, RwLockReadGuard,
        atomic::{AtomicU64, Ordering},
        mpsc::{SyncSender, TrySendError, sync_channel},
    },
    thread::JoinHandle,
};

use policy::{
    AttemptId, Attested, BookLoaded, BookVetoed, BundleQuorum, Entry, FreezeScope, FrozenBy,
    IntentDecided, IntentRegistered, KeyRegistration, PolicyVetoed, Pruned, Record, Refused,
    Resumed, Signed, State, StateError, TransactionDecided, TransactionRegistered, Verdict,
    book::Shelf,
};
use thiserror::Error;
use tlog::{
    checkpoint::{Origin, SignedCheckpoint},
    cosignature::{Timestamp, WitnessKey},
    note::VerifierKey,
};
use tx::{Interval, Name, Time};

use crate::{
    Activation, Bodies, CheckpointOutcome, CheckpointWhen, Cleared, Clock, Committed, Hold,
    Leaving, ReadError, RecallError, Registered, Release, Reply, Rows, Scrubbed, Scrubber,
    SelfTest, SelfTestOutcome, SignCommand, SignOrder, SignOutcome, Stopped, StoredEntry, Tree,
    Uncleared,
    checkpoint::log_keys,
    command::Command,
    credit::Cosigned,
    embedded::EmbeddedReader,
    govern::{Governing, Lifted},
    writer::{Watcher, Writer},
};

/// Most commands that wait for the writer.
const QUEUE_MAX: usize = 1024;

/// A handle on the journal: asks the writer, reads state and entries.
pub struct Journal {
    commands: SyncSender<Command>,
    state: Arc<RwLock<State>>,
    bodies: Arc<dyn Bodies>,
    tree: Arc<dyn Tree>,
    now: Arc<Mutex<Interval>>,
    stopped: Arc<OnceLock<Stopped>>,
    origin: Origin,
    watcher: Arc<OnceLock<Watcher>>,
    rows: Rows,
    wanted: Arc<AtomicU64>,
    scrubbed: Arc<Scrubbed>,
    log: EmbeddedReader,
    clock: Arc<dyn Clock>,
    cosigned: Arc<Mutex<Cosigned>>,
}

/// The writer's thread; it ends with the last handle.
#[derive(Debug)]
pub struct WriterThread(JoinHandle<()>);

/// The writer has more to do than it may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("too many requests wait for the journal")]
pub struct Busy;

/// Why the entries of an attempt could not be read back.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum EntryError {
    /// The store failed.
    #[error("a journal entry cannot be read")]
    Read(#[source] ReadError),
    /// The body is no record.
    #[error("entry {index} is no record")]
    Form {
        /// The entry.
        index: u64,
        /// Why.
        source: serde_json::Error,
    },
    /// The entry is of another kind than expected.
    #[error("entry {index} is not of the kind that was expected")]
    Kind {
        /// The entry.
        index: u64,
    },
}

/// The record at `index`, and the entry as it is stored.
pub(crate) fn record_of(
    bodies: &dyn Bodies,
    index: u64,
) -> Result<(Record, StoredEntry), EntryError> {
    let stored = bodies.entry(index).map_err(EntryError::Read)?;
    let record = serde_json::from_slice(&stored.body)
        .map_err(|source| EntryError::Form { index, source })?;
    Ok((record, stored))
}

impl Journal {
    /// Starts the writer's thread.
    ///
    /// # Errors
    /// When the operating system gives no thread.
    pub(crate) fn start(
        writer: Writer,
        log: EmbeddedReader,
    ) -> std::io::Result<(Self, WriterThread)> {
        let (commands, receiver) = sync_channel(QUEUE_MAX);
        let (state, now) = (Arc::clone(&writer.state), Arc::clone(&writer.now));
        let stopped = Arc::clone(&writer.stopped);
        let (rows, wanted) = (writer.rows.clone(), Arc::clone(&writer.wanted));
        let (origin, watcher) = (writer.origin.clone(), Arc::clone(&writer.watcher));
        let (scrubbed, clock) = (Arc::clone(&writer.scrubbed), Arc::clone(&writer.clock));
        let cosigned = Arc::clone(&writer.cosigned);
        let reader = Arc::new(log.clone());
        let thread = std::thread::Builder::new()
            .name("journal".into())
            .spawn(move || writer.run(&receiver))?;
        Ok((
            Self {
                commands,
                state,
                bodies: Arc::clone(&reader) as _,
                tree: reader,
                now,
                stopped,
                origin,
                watcher,
                rows,
                wanted,
                scrubbed,
                log,
                clock,
                cosigned,
            },
            WriterThread(thread),
        ))
    }

    /// The state, the last group included even where it is not durable yet: for reading only.
    pub fn state(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is remembered for ever, in memory or on disk: for reading only.
    pub fn rows(&self) -> &Rows {
        &self.rows
    }

    /// The time as the writer last read it.
    pub fn now(&self) -> Interval {
        *self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Why nothing is taken any more, if so.
    pub fn stopped(&self) -> Option<&Stopped> {
        self.stopped.get()
    }

    /// How far the log was read again since it was opened.
    pub fn scrubbed(&self) -> &Scrubbed {
        &self.scrubbed
    }

    /// Who reads the log again. It keeps the data folder from others as long as it is there.
    pub fn scrubber(&self) -> Scrubber {
        let (log, clock) = (self.log.clone(), Arc::clone(&self.clock));
        Scrubber::new(log, clock, Arc::clone(&self.scrubbed))
    }

    /// Where entries are read.
    pub fn bodies(&self) -> &dyn Bodies {
        &*self.bodies
    }

    /// The tree over the entries.
    pub fn tree(&self) -> &dyn Tree {
        &*self.tree
    }

    /// What the log is called in its checkpoints.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// The keys whose signatures under a checkpoint of this log count.
    pub fn log_keys(&self) -> Vec<VerifierKey> {
        log_keys(&self.state(), &self.origin)
    }

    /// Tells `watcher` from now on how many entries are durable, after each flush and on the writer's
    /// thread, which it must not block. There is one watcher: another one is not taken.
    pub fn watch(&self, watcher: impl Fn(u64) + Send + Sync + 'static) {
        let _taken = self.watcher.set(Box::new(watcher));
    }

    /// Commits to the tree of all entries so far, for `key` to sign.
    ///
    /// # Errors
    /// [`Busy`] when too many wait; nothing was done.
    pub fn checkpoint(
        &self,
        key: Name,
        when: CheckpointWhen,
        reply: Reply<Result<CheckpointOutcome, Stopped>>,
    ) -> Result<(), Busy> {
        self.ask(Command::Checkpoint { key, when, reply })
    }

    /// Orders the checkpoint that was asked for ahead, if one was.
    ///
    /// # Errors
    /// [`Busy`] when too many wait; nothing was done.
    pub fn checkpoint_due(&self) -> Result<(), Busy> {
        self.ask(Command::CheckpointDue)
    }

    /// Numbers the calls of a self-test.
    ///
    /// # Errors
    /// [`Busy`] when too many wait; nothing was done.
    pub fn self_test(
        &self,
        tests: Vec<SelfTest>,
        reply: Reply<Result<SelfTestOutcome, Stopped>>,
    ) -> Result<(), Busy> {
        self.ask(Command::SelfTest { tests, reply })
    }

    /// Tells of a checkpoint of the log that is signed, with the cosignatures that it has: the newest state
    /// root that it covers becomes a snapshot, from which the next start goes on.
    pub fn covered(&self, signed: &SignedCheckpoint) {
        if signed.head().size > self.wanted.load(Ordering::Acquire) {
            // Where too many wait, the next one covers it as well.
            let _busy = self.ask(Command::Covered(Box::new(signed.clone())));
        }
    }

    /// Tells when witnesses cosigned checkpoints that were made since the journal was opened, by cosignatures
    /// that were verified. What enough of those say that the policy names then moves `lo` on.
    pub fn cosigned(&self, said: &[(WitnessKey, Timestamp)]) {
        let mut cosigned = self.cosigned.lock().unwrap_or_else(PoisonError::into_inner);
        cosigned.hear(said);
    }

    /// Evaluates a request and commits it.
    ///
    /// # Errors
    /// [`Busy`] when too many wait; nothing was done.
    pub fn sign(
        &self,
        command: SignCommand,
        reply: Reply<Result<SignOutcome, Stopped>>,
    ) -> Result<(), Busy> {
        self.ask(Command::Sign(Box::new(command), reply))
    }

    /// What the verdict on a request would be, with nothing consumed and nothing written.
    ///
    /// # Errors
    /// [`Busy`].
    pub fn evaluate(
        &self,
        command: SignCommand,
        reply: Reply<Result<Verdict, Stopped>>,
    ) -> Result<(), Busy> {
        self.ask(Command::Evaluate(Box::new(command), reply))
    }

    /// Records a request that was refused before it could be evaluated.
    ///
    /// # Errors
    /// [`Busy`].
    pub fn refuse(&self, refused: Refused, reply: Reply<Result<(), Stopped>>) -> Result<(), Busy> {
        self.ask(Command::Refuse(Box::new(refused), reply))
    }

    /// Records the signatures of an attempt. Never turned away: signatures exist.
    pub fn signed(&self, signed: Signed, reply: Reply<Result<Release, Stopped>>) {
        self.insist(Command::Signed(Box::new(signed), reply));
    }

    /// Records that an attempt's calls ended without a signature. Never turned away.
    pub fn failed(&self, attempt: AttemptId, reason: String, reply: Reply<Result<(), Stopped>>) {
        self.insist(Command::Failed {
            attempt,
            reason,
            reply,
        });
    }

    /// Lets a verified bundle govern; answers why the state does not take it, if it does not.
    pub fn activate(
        &self,
        activation: Activation,
        reply: Reply<Result<Result<(), String>, Stopped>>,
    ) {
        self.insist(Command::Govern(Governing::Activate(activation, reply)));
    }

    /// Lets a verified bundle wait until it may govern; answers until when, or why it does not.
    pub fn propose(
        &self,
        activation: Activation,
        quorum: BundleQuorum,
        reply: Reply<Result<Result<Time, String>, Stopped>>,
    ) {
        let asked = Governing::Propose(activation, quorum, reply);
        self.insist(Command::Govern(asked));
    }

    /// Keeps the bundle that waits from governing, by a statement of an officer; answers the
    /// entry, or why the state does not take it.
    pub fn veto(
        &self,
        vetoed: PolicyVetoed,
        reply: Reply<Result<Result<u64, StateError>, Stopped>>,
    ) {
        let entry = Entry::PolicyVetoed(Box::new(vetoed));
        self.insist(Command::Govern(Governing::Stated(Box::new(entry), reply)));
    }

    /// Gives a book that is loaded apart another content, by a statement of its signers; answers from when on it
    /// has cooled, or why the state does not take it. The entry's own time of cooling is not looked at.
    pub fn load_book(
        &self,
        loaded: BookLoaded,
        shelf: Arc<Shelf>,
        reply: Reply<Result<Result<Time, StateError>, Stopped>>,
    ) {
        let loaded = Box::new(loaded);
        self.insist(Command::Govern(Governing::LoadBook {
            loaded,
            shelf,
            reply,
        }));
    }

    /// Puts there what a book holds that was loaded before this start.
    pub fn shelve(&self, book: Name, shelf: Arc<Shelf>, reply: Reply<Result<(), Stopped>>) {
        self.insist(Command::Govern(Governing::Shelve { book, shelf, reply }));
    }

    /// Says that a content of a book has cooled; answers the entry, or why the state does not take it.
    pub fn cool_book(
        &self,
        book: Name,
        sequence: u64,
        reply: Reply<Result<Result<u64, StateError>, Stopped>>,
    ) {
        let entry = Entry::BookCooled { book, sequence };
        self.insist(Command::Govern(Governing::Stated(Box::new(entry), reply)));
    }

    /// Keeps a content of a book from cooling, by a statement of an officer; answers the entry, or why the state
    /// does not take it.
    pub fn veto_book(
        &self,
        vetoed: BookVetoed,
        reply: Reply<Result<Result<u64, StateError>, Stopped>>,
    ) {
        let entry = Entry::BookVetoed(Box::new(vetoed));
        self.insist(Command::Govern(Governing::Stated(Box::new(entry), reply)));
    }

    /// Records that a bundle or a book was not taken.
    pub fn policy_refused(&self, reason: String, reply: Reply<Result<(), Stopped>>) {
        self.insist(Command::PolicyRefused { reason, reply });
    }

    /// Registers a key of the device.
    pub fn register(&self, key: KeyRegistration, reply: Reply<Result<Registered, Stopped>>) {
        self.insist(Command::Register(key, reply));
    }

    /// Freezes.
    pub fn freeze(&self, scope: FreezeScope, reason: String, reply: Reply<Result<(), Stopped>>) {
        self.insist(Command::Freeze {
            scope,
            reason,
            reply,
        });
    }

    /// Freezes by a statement of an officer; answers the entry, or why the state does not take it.
    pub fn freeze_by(
        &self,
        frozen: FrozenBy,
        reply: Reply<Result<Result<u64, StateError>, Stopped>>,
    ) {
        let entry = Entry::FrozenBy(Box::new(frozen));
        self.insist(Command::Govern(Governing::Stated(Box::new(entry), reply)));
    }

    /// Registers an intent; answers the entry, or why the state does not take it.
    ///
    /// # Errors
    /// [`Busy`] when too many wait; nothing was done.
    pub fn register_intent(
        &self,
        registered: IntentRegistered,
        reply: Reply<Result<Result<u64, StateError>, Stopped>>,
    ) -> Result<(), Busy> {
        let entry = Entry::IntentRegistered(Box::new(registered));
        self.ask(Command::Govern(Governing::Stated(Box::new(entry), reply)))
    }

    /// Takes what people said of an intent; answers the entry, or why the state does not take it.
    ///
    /// # Errors
    /// [`Busy`] when too many wait; nothing was done.
    pub fn decide_intent(
        &self,
        decided: IntentDecided,
        reply: Reply<Result<Result<u64, StateError>, Stopped>>,
    ) -> Result<(), Busy> {
        let entry = Entry::IntentDecided(Box::new(decided));
        self.ask(Command::Govern(Governing::Stated(Box::new(entry), reply)))
    }

    /// Registers a transaction that pays no intent; answers the entry, or why the state does not take it.
    ///
    /// # Errors
    /// [`Busy`] when too many wait; nothing was done.
    pub fn register_transaction(
        &self,
        registered: TransactionRegistered,
        reply: Reply<Result<Result<u64, StateError>, Stopped>>,
    ) -> Result<(), Busy> {
        let entry = Entry::TransactionRegistered(Box::new(registered));
        self.ask(Command::Govern(Governing::Stated(Box::new(entry), reply)))
    }

    /// Takes what people said of a transaction; answers the entry, or why the state does not take it.
    ///
    /// # Errors
    /// [`Busy`] when too many wait; nothing was done.
    pub fn decide_transaction(
        &self,
        decided: TransactionDecided,
        reply: Reply<Result<Result<u64, StateError>, Stopped>>,
    ) -> Result<(), Busy> {
        let entry = Entry::TransactionDecided(Box::new(decided));
        self.ask(Command::Govern(Governing::Stated(Box::new(entry), reply)))
    }

    /// Takes what an attester said; answers the entry, or why the state does not take it.
    ///
    /// # Errors
    /// [`Busy`] when too many wait; nothing was done.
    pub fn attest(
        &self,
        said: Attested,
        reply: Reply<Result<Result<u64, StateError>, Stopped>>,
    ) -> Result<(), Busy> {
        let entry = Entry::Attested(Box::new(said));
        self.ask(Command::Govern(Governing::Stated(Box::new(entry), reply)))
    }

    /// Takes what people say of being there, by their statement; answers the entry, or why the state does not
    /// take it.
    ///
    /// # Errors
    /// [`Busy`] when too many wait; nothing was done.
    pub fn heartbeat(
        &self,
        by: Resumed,
        reply: Reply<Result<Result<u64, StateError>, Stopped>>,
    ) -> Result<(), Busy> {
        let entry = Entry::Heartbeat(Box::new(by));
        self.ask(Command::Govern(Governing::Stated(Box::new(entry), reply)))
    }

    /// Whether an attempt may be neither signed nor released: it is frozen, or the heartbeat is overdue and
    /// everything is about to be.
    ///
    /// # Errors
    /// [`RecallError`].
    pub fn is_held(&self, attempt: AttemptId) -> Result<bool, RecallError> {
        Ok(self.has_lapsed() || self.rows.is_frozen(attempt)?)
    }

    fn has_lapsed(&self) -> bool {
        self.state().lapsed(self.now()).is_some()
    }

    /// Lets an order be carried out: where witnesses are named, when as many entries as `witnessed` are cosigned by
    /// enough of them.
    ///
    /// # Errors
    /// [`Uncleared`].
    pub fn clear(
        &self,
        order: Committed<SignOrder>,
        witnessed: Option<u64>,
    ) -> Result<Cleared, Uncleared> {
        Cleared::new(order, &self.rows, witnessed, self.has_lapsed())
    }

    /// An answer that tells of decisions up to `newest`, and shows the signatures of some attempts.
    ///
    /// # Errors
    /// [`Hold::NotSigned`] and [`Hold::Unread`].
    pub fn leaving(&self, newest: AttemptId, shown: Vec<AttemptId>) -> Result<Leaving, Hold> {
        Leaving::new(&self.rows, newest, shown)
    }

    /// Whether it may leave: where witnesses are named, when as many entries as `witnessed` are cosigned by enough
    /// of them.
    ///
    /// # Errors
    /// [`Hold`].
    pub fn may_leave(&self, leaving: &Leaving, witnessed: Option<u64>) -> Result<(), Hold> {
        leaving.may_leave(&self.rows, witnessed, self.has_lapsed())
    }

    /// Un-freezes a scope by a statement of officers; answers the entry and from when on, or why the state does not take it.
    pub fn unfreeze(
        &self,
        scope: FreezeScope,
        by: Resumed,
        reply: Reply<Result<Result<Lifted, StateError>, Stopped>>,
    ) {
        self.insist(Command::Govern(Governing::Unfreeze {
            scope,
            by: Box::new(by),
            reply,
        }));
    }

    /// Lets bodies go, by a statement of officers; answers why the state does not take it, if it does not.
    pub(crate) fn prune(
        &self,
        pruned: Pruned,
        reply: Reply<Result<Result<(), StateError>, Stopped>>,
    ) {
        self.insist(Command::Prune(Box::new(pruned), reply));
    }

    /// Ends the journal cleanly; every later command is answered with [`Stopped`].
    pub fn stop(&self, reason: String, reply: Reply<Result<(), Stopped>>) {
        self.insist(Command::Stop { reason, reply });
    }

    /// The record at `index`, and the entry as it is stored.
    ///
    /// # Errors
    /// [`EntryError`].
    pub fn record(&self, index: u64) -> Result<(Record, StoredEntry), EntryError> {
        record_of(&*self.bodies, index)
    }

    /// The signatures recorded at `index`.
    ///
    /// # Errors
    /// [`EntryError`].
    pub fn signed_at(&self, index: u64) -> Result<Signed, EntryError> {
        match self.record(index)?.0.entry {
            Entry::Signed(signed) => Ok(*signed),
            _ => Err(EntryError::Kind { index }),
        }
    }

    fn ask(&self, command: Command) -> Result<(), Busy> {
        match self.commands.try_send(command) {
            Ok(()) => Ok(()),
            Err(TrySendError::Full(_)) => Err(Busy),
            Err(TrySendError::Disconnected(command)) => {
                command.refuse(&Stopped::because("its writer has ended"));
                Ok(())
            }
        }
    }

    fn insist(&self, command: Command) {
        if let Err(unsent) = self.commands.send(command) {
            unsent.0.refuse(&Stopped::because("its writer has ended"));
        }
    }
}

impl WriterThread {
    /// Waits until the writer has ended; all handles must be gone.
    pub fn join(self) {
        // A panic of the thread has aborted the process already.
        let _ended = self.0.join();
    }
}
