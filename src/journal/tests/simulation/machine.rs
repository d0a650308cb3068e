//! A machine: its disk, its clocks, and the process that runs on it until it is killed.

use std::{
    cell::RefCell,
    collections::BTreeMap,
    num::NonZeroU64,
    sync::{Arc, Mutex, RwLock},
};

use policy::{
    AttemptId, BundleHash, Digest, Entry, KeyAlgorithm, NumberedDigest, Policy, Record, State,
};
use tlog::{CompactTree, TreeHead, cosignature::CosignedSizes};
use tx::{Decoded, Interval};

use super::{
    clients::{Clients, bundle},
    clock::DRIFT,
    clock::SimClock,
    fixture::{START, name},
    memory_disk::MemoryDisk,
    model::{Charged, Model, Violation},
};
use crate::{
    Bodies as _, BundleError, Bundles, CheckpointOutcome, Committed, Group, NewEntry,
    OpenJournalError, RecallError, Release, Reply, Rooting, Rows, SignOrder, SignOutcome,
    SnapshotUse, Start, Stopped, Store, StoreError, embedded::EmbeddedReader, open::Core,
    segment::OpenOptions, writer::Writer,
};

/// How many entries stand between two state roots: few enough that every run has some.
const ROOT_ENTRIES: NonZeroU64 = NonZeroU64::new(48).unwrap();

/// The body of an entry, and when it was written.
pub type Known = (Arc<[u8]>, u64);

/// An answer of the writer on its way.
pub enum Answer {
    Sign {
        request: usize,
        outcome: Result<SignOutcome, Stopped>,
    },
    Signed {
        request: usize,
        attempt: AttemptId,
        raw: String,
        release: Result<Release, Stopped>,
    },
    Failed {
        request: usize,
    },
    Checkpoint(Result<CheckpointOutcome, Stopped>),
    Other(&'static str),
}

/// Where answers arrive, in the order in which they were sent.
pub type Answers = Arc<Mutex<Vec<Answer>>>;

pub struct Machine {
    pub disk: MemoryDisk,
    pub clock: Arc<SimClock>,
    pub options: OpenOptions,
    /// How often a process was started: what is under way for another one is lost.
    pub life: u64,
    pub process: Option<Process>,
    pub model: Model,
    /// What the log is known to hold, and when it was written.
    pub known: Vec<Known>,
    pub governs: Arc<Policy>,
    /// Whether the last of them ends the log, until the next start.
    pub has_ended: bool,
    /// When the last turn was taken.
    pub turned_at: u64,
    /// The state of the process that ended last, and its time.
    pub left: Option<Left>,
    pub is_full: bool,
    /// Whether the disk has lied since the last start.
    pub is_lied_to: bool,
    /// Whether it ever has.
    pub was_lied_to: bool,
    /// How many starts went on from a snapshot.
    pub thawed: u64,
}

/// What a process knew when it ended.
pub struct Left {
    pub state: Arc<RwLock<State>>,
    pub rows: Rows,
    pub time: Interval,
}

pub struct Process {
    pub writer: Writer,
    pub reader: EmbeddedReader,
    pub answers: Answers,
    pub appended: Arc<Mutex<Vec<Arc<[u8]>>>>,
    pub has_turn: bool,
    pub busy_until: u64,
    /// The checkpoints of this life, and what witnesses have cosigned of them: others count for nothing.
    pub checkpoints: Vec<TreeHead>,
    pub cosigned: CosignedSizes,
    /// What waits for witnesses.
    pub ordered: Vec<(Given, Committed<SignOrder>)>,
    pub leaving: Vec<Outgoing>,
    pub is_stopping: bool,
}

/// Signatures that may leave once they are witnessed.
#[derive(Clone, Debug)]
pub struct Outgoing {
    pub request: usize,
    pub attempt: AttemptId,
    pub raw: String,
}

/// What a device gave, to be assembled.
pub struct Given {
    pub request: usize,
    pub decoded: Box<Decoded>,
}

/// Every bundle there can be.
pub struct Shelf;

impl Shelf {
    pub fn bundle(sequence: u64) -> Arc<Policy> {
        thread_local! {
            static MADE: RefCell<BTreeMap<u64, Arc<Policy>>> = const { RefCell::new(BTreeMap::new()) };
        }
        MADE.with_borrow_mut(|made| {
            let made = made.entry(sequence);
            Arc::clone(made.or_insert_with(|| Arc::new(bundle(sequence))))
        })
    }
}

impl Bundles for Shelf {
    fn load(&self, hash: BundleHash) -> Result<Arc<Policy>, BundleError> {
        let sequence = u64::from_be_bytes(hash.0[..8].try_into().unwrap());
        Ok(Self::bundle(sequence))
    }
}

/// The journal's store, which tells what it took.
struct Watched {
    store: Box<dyn Store>,
    appended: Arc<Mutex<Vec<Arc<[u8]>>>>,
}

impl Store for Watched {
    fn append(&mut self, expected: u64, group: Group) -> Result<(), StoreError> {
        let bodies: Vec<_> = group
            .entries
            .iter()
            .map(|entry| Arc::clone(&entry.body))
            .collect();
        self.store.append(expected, group)?;
        self.appended.lock().unwrap().extend(bodies);
        Ok(())
    }

    fn append_final(&mut self, entry: NewEntry) -> Result<(), StoreError> {
        let body = Arc::clone(&entry.body);
        self.store.append_final(entry)?;
        self.appended.lock().unwrap().push(body);
        Ok(())
    }

    fn tree(&self) -> CompactTree {
        self.store.tree()
    }

    fn anchor(&mut self) -> Result<(), StoreError> {
        self.store.anchor()
    }

    fn remove_before(&mut self, entry: u64) -> Result<(), StoreError> {
        self.store.remove_before(entry)
    }
}

struct Nothing;

impl Store for Nothing {
    fn append(&mut self, _: u64, _: Group) -> Result<(), StoreError> {
        unreachable!()
    }

    fn append_final(&mut self, _: NewEntry) -> Result<(), StoreError> {
        unreachable!()
    }

    fn tree(&self) -> CompactTree {
        unreachable!()
    }

    fn anchor(&mut self) -> Result<(), StoreError> {
        unreachable!()
    }

    fn remove_before(&mut self, _: u64) -> Result<(), StoreError> {
        unreachable!()
    }
}

impl Process {
    pub fn new(core: Core, now: u64) -> Self {
        let Core {
            mut writer, reader, ..
        } = core;
        let appended = Arc::default();
        let store = std::mem::replace(&mut writer.store, Box::new(Nothing));
        writer.store = Box::new(Watched {
            store,
            appended: Arc::clone(&appended),
        });
        Self {
            writer,
            reader,
            answers: Arc::default(),
            appended,
            has_turn: false,
            busy_until: now,
            checkpoints: Vec::new(),
            cosigned: CosignedSizes::default(),
            ordered: Vec::new(),
            leaving: Vec::new(),
            is_stopping: false,
        }
    }

    /// A reply that arrives among the answers.
    pub fn reply<T: Send + 'static>(
        &self,
        answer: impl FnOnce(T) -> Answer + Send + 'static,
    ) -> Reply<T> {
        let answers = Arc::clone(&self.answers);
        Reply::new(move |given| answers.lock().unwrap().push(answer(given)))
    }

    pub fn state(&self) -> std::sync::RwLockReadGuard<'_, State> {
        self.writer.state.read().unwrap()
    }
}

impl Machine {
    pub fn new(disk: MemoryDisk, clock: SimClock, options: OpenOptions) -> Self {
        Self {
            disk,
            clock: Arc::new(clock),
            options,
            life: 0,
            process: None,
            model: Model::default(),
            known: Vec::new(),
            governs: Shelf::bundle(1),
            has_ended: false,
            turned_at: START,
            left: None,
            is_full: false,
            is_lied_to: false,
            was_lied_to: false,
            thawed: 0,
        }
    }

    /// Opens what is on a disk.
    pub fn open(&self, disk: &MemoryDisk) -> Result<Core, OpenJournalError> {
        let clock = Arc::clone(&self.clock) as _;
        let options = self.options.clone();
        let start = Start {
            version: "1",
            rooting: Rooting::every(ROOT_ENTRIES).within(),
        };
        Core::open(Box::new(disk.clone()), &Shelf, clock, &start, options)
    }

    /// Takes an opened journal into service, once it holds what it must.
    pub fn serve(&mut self, core: Core, now: u64, clients: &Clients) -> Result<(), Violation> {
        let held = self.known.len() as u64;
        if core.entries < held {
            let what = format!("6 the log has {} entries of {held}", core.entries);
            return Err(Violation(what));
        }
        match &core.snapshot {
            SnapshotUse::Refused { reason } if !self.was_lied_to => {
                return Err(Violation(format!("a snapshot is refused: {reason}")));
            }
            SnapshotUse::Used { .. } => self.thawed += 1,
            _ => {}
        }
        let at = self.turned_at;
        let pruned = core.writer.state.read().unwrap().pruned();
        for index in 0..=core.entries {
            let body = match core.reader.entry(index) {
                Ok(entry) => entry.body,
                Err(error) if error.is_pruned() && index < held && index < pruned => continue,
                Err(error) => return Err(Violation(format!("unread: {error}"))),
            };
            match self.known.get(index as usize) {
                Some((known, _)) if **known != body => {
                    return Err(Violation(format!("6 entry {index} is another")));
                }
                Some(_) => {}
                None => self.learn(body.into(), at, clients)?,
            }
        }
        self.model.calls_are_durable()?;
        let same = self.is_as_left(&core);
        same.map_err(|error| Violation(format!("unread: {error}")))??;
        self.left = None;
        self.process = Some(Process::new(core, now));
        self.check_rooms()
    }

    /// What follows from the log is what the process before had, when both have the same entries; or it cannot
    /// be read.
    pub fn is_as_left(&self, core: &Core) -> Result<Result<(), Violation>, RecallError> {
        let Some(Left { state, rows, time }) = &self.left else {
            return Ok(Ok(()));
        };
        let writer = &core.writer;
        let entries = |state: &RwLock<State>| state.read().unwrap().entries();
        if entries(state) + 1 != entries(&writer.state) {
            return Ok(Ok(()));
        }
        // The process before may have read a later time since its last entry.
        let now = writer.time.interval();
        let now = if now.lo < time.lo { *time } else { now };
        // The disk that it left may have no power.
        let Ok(before) = seen(rows, state, now) else {
            return Ok(Ok(()));
        };
        let after = seen(&writer.rows, &writer.state, now)?;
        Ok(match before == after {
            true => Ok(()),
            false => Err(Violation(format!("6 the fold differs: {before} / {after}"))),
        })
    }

    /// Takes an entry that is durable, written at this time in truth.
    pub fn learn(&mut self, body: Arc<[u8]>, at: u64, clients: &Clients) -> Result<(), Violation> {
        let index = self.known.len() as u64;
        let record: Record = serde_json::from_slice(&body).unwrap();
        // A journal that was told to end may fail after that, and says so.
        let is_end = matches!(record.entry, Entry::Stopped { .. });
        let may_follow = is_end || matches!(record.entry, Entry::Started { .. });
        if std::mem::replace(&mut self.has_ended, is_end) && !may_follow {
            let entry = &record.entry;
            return Err(Violation(format!("{index} is behind the last: {entry:?}")));
        }
        self.known.push((body, at));
        let lo = record.time.lo.millis();
        let now = self.clock.now();
        let passed = now - START;
        // As fast as a boot clock may be, and 200 ppm faster than that.
        let passed = passed + passed * DRIFT / 1_000_000 + 1;
        if lo > START + passed + passed / 5_000 + 1 {
            return Err(Violation(format!("7 lo is {lo} at {now}")));
        }
        match &record.entry {
            Entry::PolicyActivated { sequence, .. } => self.governs = Shelf::bundle(*sequence),
            Entry::Attempt(attempt) => {
                let asked = clients.wanted(&attempt.request_hash.0);
                let hi = record.time.hi.millis();
                if asked.wanted.expires.iter().any(|expires| *expires < hi) {
                    return Err(Violation(format!("7 attempt {index} is expired at {hi}")));
                }
                self.model.allow(&attempt.calls)?;
                let id = AttemptId(index);
                let charged = Charged::of(id, attempt, lo, at, &asked.wanted);
                self.model.charge(charged, &self.governs)?;
            }
            Entry::Call { calls, .. } => self.model.allow(calls)?,
            Entry::Signed(signed) => self.model.sign(signed.attempt, lo)?,
            Entry::Frozen { scope, .. } => self.model.freeze(index, scope.clone()),
            Entry::Checkpoint(checkpoint) => self.model.allow(&[NumberedDigest {
                call: checkpoint.call,
                key: checkpoint.key.clone(),
                algorithm: KeyAlgorithm::Ed25519,
                digest: Digest(checkpoint.root.0),
            }])?,
            _ => {}
        }
        Ok(())
    }

    /// Takes what the process appended.
    pub fn learn_appended(&mut self, at: u64, clients: &Clients) -> Result<(), Violation> {
        let Some(process) = &self.process else {
            return Ok(());
        };
        let appended = std::mem::take(&mut *process.appended.lock().unwrap());
        for body in appended {
            self.learn(body, at, clients)?;
        }
        Ok(())
    }

    /// Begins anew from these entries: the disk is another one.
    pub fn believe(&mut self, known: &[Known], clients: &Clients) -> Result<(), Violation> {
        self.known = Vec::new();
        self.model = Model::default();
        self.has_ended = false;
        self.left = None;
        for (body, at) in known {
            self.learn(Arc::clone(body), *at, clients)?;
        }
        Ok(())
    }

    /// Invariant 5, and of 7 that no reading blocks for longer than a day.
    pub fn check_rooms(&self) -> Result<(), Violation> {
        let Some(process) = &self.process else {
            return Ok(());
        };
        let (now, state) = (process.writer.time.interval(), process.state());
        let Some(policy) = state.policy() else {
            return Ok(());
        };
        let lo = now.lo.millis();
        self.model
            .rooms_agree(policy, &state.room(now).unwrap(), lo)
    }
}

/// All that can be asked of a state, in words.
fn seen(rows: &Rows, state: &RwLock<State>, now: Interval) -> Result<String, RecallError> {
    let requests = |client: &str| {
        let requests = rows.requests_from(&name(client), AttemptId(0), usize::MAX)?;
        let seen = requests.into_iter().map(|(attempt, status)| {
            let set = rows.attempt(attempt)?.map(|attempt| attempt.set());
            Ok((attempt, status, set))
        });
        seen.collect::<Result<Vec<_>, RecallError>>()
    };
    let requests = [requests("walletd")?, requests("other")?];
    let state = state.read().unwrap();
    let rooms = state.room(now).unwrap().into_iter();
    let rooms: Vec<_> = rooms.filter(|room| !room.used.is_zero()).collect();
    let freezes: Vec<_> = state.freezes(now.lo).collect();
    Ok(format!(
        "{} {:?} {freezes:?} {rooms:?} {requests:?} {:?}",
        state.next_call(),
        state.active(),
        state.registrations().count(),
    ))
}
