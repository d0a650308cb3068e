//! A long journal: written at once, with all that a signer writes, and opened as a signer opens it.

use std::{
    fs::{self, File},
    path::Path,
    sync::{Arc, mpsc},
};

use ::journal::{
    CheckpointOutcome, CheckpointWhen, Clock, Journal, Reading, Replay, Reply, Stopped,
    SystemClock,
    disk::FsDisk,
    lock::Owner,
    segment::{self, LogId, OpenOptions, Salt, SegmentLog},
};
use ed25519_dalek::{Signer as _, SigningKey};
use policy::{AttemptId, Digest, Entry, KeyAlgorithm, KeyPurpose, KeyRegistration, Record, Signed};
use rustix::fs::{Advice, fadvise};
use strongroom_softhsm_tests::program::until;
use tlog::{
    TreeHead,
    checkpoint::{Checkpoint, SignedCheckpoint},
    note::VerifierKey,
};

use crate::payments::{Payments, SPAN};

const LOG: LogId = LogId::new([7; 32]);
/// How many entries become durable together, and are between two checkpoints.
const GROUP_ENTRIES: usize = 256;
/// The key that signs checkpoints.
const KEY: &str = "log-bench";

fn secret() -> SigningKey {
    SigningKey::from_bytes(&[9; 32])
}

/// The log while it is written, and the fold that says what its roots are.
struct Long<'a> {
    payments: &'a Payments,
    log: SegmentLog,
    replay: Replay<'a>,
    /// The group that is filled.
    bodies: Vec<Vec<u8>>,
    /// How many entries there shall be.
    entries: u64,
    /// How many payments there are.
    paid: u64,
}

/// Writes a log of so many entries into a folder: payments with their signatures, checkpoints, state roots.
/// Gives how many payments there are. The other folder is for what roots are computed with.
pub fn fill(payments: &Payments, data: &Path, roots: &Path, entries: u64) -> u64 {
    let disk = |folder: &Path| FsDisk::new(Owner::acquire(folder).expect("a folder"));
    let log = SegmentLog::create(Box::new(disk(data)), LOG, &OpenOptions::default());
    let mut long = Long {
        payments,
        log: log.expect("a log"),
        replay: Replay::new(payments).kept_on(Arc::new(disk(roots)), LOG),
        bodies: Vec::new(),
        entries,
        paid: 0,
    };
    for record in &payments.known.before {
        long.push(record);
    }
    let time = payments.time(0);
    let entry = Entry::KeyRegistered(checkpoint_key(payments));
    long.push(&Record { v: 1, time, entry });
    long.append();
    while long.index() < entries {
        long.group();
    }
    long.log.write_anchor().expect("an anchor");
    long.paid
}

fn checkpoint_key(payments: &Payments) -> KeyRegistration {
    let mut records = payments.known.before.iter();
    let known = records.find_map(|record| match &record.entry {
        Entry::KeyRegistered(key) => Some(key.clone()),
        _ => None,
    });
    KeyRegistration {
        name: KEY.parse().expect("a name"),
        purpose: KeyPurpose::Checkpoint,
        algorithm: KeyAlgorithm::Ed25519,
        public: hex::encode(secret().verifying_key().as_bytes()),
        ..known.expect("a key")
    }
}

impl Long<'_> {
    fn index(&self) -> u64 {
        self.log.size() + self.bodies.len() as u64
    }

    fn push(&mut self, record: &Record) {
        let body = serde_json::to_vec(record).expect("a record has a JSON form");
        let (index, log) = (self.index(), &self.log);
        let taken = self.replay.take(index, &body, || log.head());
        taken.expect("an entry that follows");
        self.bodies.push(body);
    }

    fn put(&mut self, entry: Entry) {
        let share = SPAN.as_millis() * u128::from(self.index()) / u128::from(self.entries);
        let time = self.payments.time(share as u64);
        self.push(&Record { v: 1, time, entry });
    }

    /// A checkpoint of the groups before, a root that is due, and payments.
    fn group(&mut self) {
        let TreeHead { size, root } = self.log.head();
        self.put(Entry::Checkpoint(policy::Checkpoint {
            size,
            root: Digest(*root.as_bytes()),
            key: KEY.parse().expect("a name"),
            call: self.replay.state().next_call(),
        }));
        if let Some(root) = self.replay.due() {
            self.put(Entry::StateRoot(root));
        }
        while self.bodies.len() < GROUP_ENTRIES && self.index() < self.entries {
            self.pay();
        }
        self.append();
    }

    fn pay(&mut self) {
        let id = AttemptId(self.index());
        let attempt = self.payments.attempt(self.replay.state(), self.paid);
        let signed: Signed = self.payments.signed(id, &attempt);
        self.put(Entry::Attempt(Box::new(attempt)));
        self.put(Entry::Signed(Box::new(signed)));
        self.paid += 1;
    }

    fn append(&mut self) {
        let first = self.log.size();
        let records = (first..).zip(&self.bodies).map(|(index, body)| {
            let mut salt = [0; 32];
            salt[..8].copy_from_slice(&index.to_be_bytes());
            segment::Record {
                salt: Salt::new(salt),
                body,
            }
        });
        let records: Vec<_> = records.collect();
        self.log.append(&records, &[]).expect("a durable group");
        self.bodies.clear();
    }
}

/// The kernel's clocks, behind all payments.
pub struct Later(SystemClock);

impl Later {
    pub fn new() -> Self {
        Self(SystemClock::new().expect("the clocks"))
    }
}

impl Clock for Later {
    fn read(&self) -> Reading {
        let reading = self.0.read();
        Reading {
            wall_millis: reading.wall_millis + SPAN.as_millis() as u64,
            ..reading
        }
    }

    fn boot_id(&self) -> &str {
        self.0.boot_id()
    }
}

/// Asks the journal's writer, and waits.
pub fn answer<T: Send + 'static>(ask: impl FnOnce(Reply<Result<T, Stopped>>)) -> T {
    let (sender, answer) = mpsc::channel();
    ask(Reply::new(move |answer| drop(sender.send(answer))));
    let answer = answer.recv().expect("an answer");
    answer.expect("a journal that goes on")
}

/// Lets the journal keep a snapshot, as it does when a checkpoint covers the newest root.
pub fn keep_snapshot(journal: &Journal, data: &Path) {
    until("a snapshot", || {
        let (key, now) = (KEY.parse().expect("a name"), CheckpointWhen::Now);
        let outcome = answer(|reply| journal.checkpoint(key, now, reply).expect("room"));
        let CheckpointOutcome::Order(order) = outcome else {
            panic!("no order");
        };
        journal.covered(&sign(journal, order.into_value().checkpoint().clone()));
        data.join("snapshot").exists().then_some(())
    });
}

/// As the device signs.
fn sign(journal: &Journal, checkpoint: Checkpoint) -> SignedCheckpoint {
    let name = journal.origin().as_str().parse().expect("a name");
    let key = VerifierKey::new(name, secret().verifying_key().as_bytes()).expect("a key");
    let signature = secret().sign(checkpoint.to_string().as_bytes()).to_bytes();
    SignedCheckpoint::sign(checkpoint, &key, &signature).expect("a signature")
}

/// Megabytes of the files in a folder whose names begin or end so.
pub fn megabytes(data: &Path, belongs: impl Fn(&str) -> bool) -> f64 {
    let files = fs::read_dir(data).expect("the folder").flatten();
    let files = files.filter(|file| file.file_name().to_str().is_some_and(&belongs));
    let bytes = files.map(|file| file.metadata().map_or(0, |meta| meta.len()));
    bytes.sum::<u64>() as f64 / 1e6
}

/// Lets the kernel forget what it keeps in memory of the files in a folder.
pub fn let_go(data: &Path) {
    for file in fs::read_dir(data).expect("the folder").flatten() {
        let file = File::open(file.path()).expect("a file");
        file.sync_all().expect("a flush");
        fadvise(&file, 0, None, Advice::DontNeed).expect("a file");
    }
}
