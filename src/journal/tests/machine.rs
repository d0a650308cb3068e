//! A signer's machine without its device: a disk in RAM, clocks that stand, and the journal.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    sync::{
        Arc, Mutex, OnceLock,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    time::Duration,
};

use policy::{
    AttemptId, Blob, BundleHash, Digest, Entry, NumberedDigest, Policy, Record, SignatureRecord,
    Signed, State,
};
use strongroom_journal::{
    Activation, BundleError, Bundles, Clock, Journal, OpenJournalError, Opening, Reading, Release,
    Reply, Rooting, SignCommand, SignOutcome, Start, Stopped, WriterThread, create_on, open_with,
    segment::{OpenOptions, SegmentLog},
};
use tx::Amount;

use crate::{
    fixture::{Ask, START, Signer, limit, name, policy},
    memory_disk::{Image, MemoryDisk},
};

/// How much the policy of these tests lets out in a day.
pub const CAP: u64 = 1_000;
/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(120);

/// Clocks that are set by hand.
pub struct HandClock {
    reading: Mutex<Reading>,
    reads: AtomicUsize,
}

/// Bundles as the policies they are.
#[derive(Default)]
pub struct Shelf(Mutex<BTreeMap<BundleHash, Arc<Policy>>>);

pub struct Machine {
    pub disk: MemoryDisk,
    pub clock: Arc<HandClock>,
    pub shelf: Arc<Shelf>,
    pub rooting: Rooting,
    pub segment_bytes: u32,
}

/// An open journal.
pub struct Running {
    pub journal: Journal,
    writer: WriterThread,
    clock: Arc<HandClock>,
    shelf: Arc<Shelf>,
}

/// An order that was handed out.
#[derive(Debug)]
pub struct Order {
    /// The entry that it is durable by.
    pub entry: u64,
    pub attempt: AttemptId,
    pub calls: Vec<NumberedDigest>,
}

impl HandClock {
    pub fn pass(&self, millis: u64) {
        self.set(|reading| {
            reading.wall_millis += millis;
            reading.boot_millis += millis;
        });
    }

    pub fn set(&self, change: impl FnOnce(&mut Reading)) {
        change(&mut self.reading.lock().unwrap());
    }
}

impl Clock for HandClock {
    fn read(&self) -> Reading {
        self.reads.fetch_add(1, Ordering::SeqCst);
        *self.reading.lock().unwrap()
    }

    fn boot_id(&self) -> &str {
        "boot"
    }
}

impl Shelf {
    pub fn put(&self, hash: BundleHash, policy: Policy) {
        self.0.lock().unwrap().insert(hash, Arc::new(policy));
    }
}

impl Bundles for Shelf {
    fn load(&self, hash: BundleHash) -> Result<Arc<Policy>, BundleError> {
        let found = self.0.lock().unwrap().get(&hash).cloned();
        let reason = "it is not on the shelf".to_owned();
        found.ok_or(BundleError { hash, reason })
    }
}

impl Machine {
    /// With a journal that has its genesis.
    pub fn new() -> Self {
        // Made once: the reserve alone is a mebibyte of hashes.
        static BEGUN: OnceLock<Image> = OnceLock::new();
        let machine = Self::blank();
        let image = BEGUN.get_or_init(|| {
            let disk = Box::new(machine.disk.clone());
            create_on(disk, name("main"), &*machine.clock).unwrap();
            machine.disk.image()
        });
        Self {
            disk: MemoryDisk::from_image(image),
            ..machine
        }
    }

    /// With an empty disk.
    pub fn blank() -> Self {
        let reading = Reading {
            wall_millis: START,
            boot_millis: 1_000,
        };
        Self {
            disk: MemoryDisk::default(),
            clock: Arc::new(HandClock {
                reading: Mutex::new(reading),
                reads: AtomicUsize::new(0),
            }),
            shelf: Arc::default(),
            rooting: Rooting::default(),
            segment_bytes: OpenOptions::default().segment_bytes,
        }
    }

    pub fn open(&self) -> Result<Running, OpenJournalError> {
        let Opening {
            journal, writer, ..
        } = self.opening()?;
        Ok(Running {
            journal,
            writer,
            clock: Arc::clone(&self.clock),
            shelf: Arc::clone(&self.shelf),
        })
    }

    /// With a copy of the disk.
    pub fn twin(&self) -> Self {
        Self {
            disk: MemoryDisk::from_image(&self.disk.image()),
            clock: Arc::clone(&self.clock),
            shelf: Arc::clone(&self.shelf),
            rooting: self.rooting,
            segment_bytes: self.segment_bytes,
        }
    }

    pub fn opening(&self) -> Result<Opening, OpenJournalError> {
        let disk = Box::new(self.disk.clone());
        let start = Start {
            version: "1",
            rooting: self.rooting,
        };
        let clock = Arc::clone(&self.clock) as _;
        let sizes = OpenOptions {
            segment_bytes: self.segment_bytes,
            ..OpenOptions::default()
        };
        open_with(disk, &*self.shelf, clock, &start, sizes)
    }

    /// Opens, with keys and a policy: at most [`CAP`] of Bitcoin a day.
    pub fn start(&self) -> Running {
        let running = self.open().unwrap();
        running.govern().unwrap();
        running
    }

    /// Ends what runs as a crash does, and opens what is on the disk.
    pub fn restart(&self, running: Running) -> Running {
        running.crash();
        self.open().unwrap()
    }

    pub fn records(&self) -> Vec<Record> {
        records(&self.disk)
    }
}

/// The records on a disk, which is not changed.
pub fn records(disk: &MemoryDisk) -> Vec<Record> {
    let copy = Box::new(MemoryDisk::from_image(&disk.image()));
    let mut records = Vec::new();
    SegmentLog::open(copy, &OpenOptions::default(), |_, body| {
        records.push(serde_json::from_slice(body).unwrap());
        Ok::<(), Infallible>(())
    })
    .unwrap();
    records
}

/// The policy of these tests.
pub fn capped() -> Policy {
    let mut policy = policy();
    policy.limits = vec![limit(
        "btc-day",
        crate::fixture::btc(),
        CAP,
        crate::fixture::DAY,
    )];
    policy
}

/// Asks and waits for the answer.
pub fn ask<T: Send + 'static>(send: impl FnOnce(Reply<T>)) -> T {
    let (reply, answer) = pending();
    send(reply);
    answer.recv_timeout(PATIENCE).unwrap()
}

/// A reply, and where it arrives.
pub fn pending<T: Send + 'static>() -> (Reply<T>, mpsc::Receiver<T>) {
    let (sender, receiver) = mpsc::channel();
    (
        Reply::new(move |answer| drop(sender.send(answer))),
        receiver,
    )
}

pub fn command(ask: &Ask, basis: BundleHash) -> SignCommand {
    let Blob::Inline(transaction) = &ask.request.transaction else {
        panic!("a text of its own is needed");
    };
    command_of(ask, basis, transaction.clone())
}

/// With a transaction of that text.
pub fn command_of(ask: &Ask, basis: BundleHash, transaction: String) -> SignCommand {
    let mut request = ask.request.clone();
    request.transaction = Blob::of(&transaction);
    SignCommand {
        decoded: ask.transaction.clone().decoded(),
        basis,
        request,
        transaction,
    }
}

/// What the device would give for an order.
pub fn signatures(order: &Order, raw: &str) -> Signed {
    let signature = |call: &NumberedDigest| SignatureRecord {
        call: call.call,
        // Each digest has its own, as of a deterministic device.
        r: call.digest,
        s: Digest([2; 32]),
        recovery_id: Some(0),
    };
    Signed {
        attempt: order.attempt,
        signatures: order.calls.iter().map(signature).collect(),
        txid: "txid".into(),
        raw: Blob::Inline(raw.into()),
    }
}

impl Running {
    /// Registers the fixture's keys and lets its policy govern.
    pub fn govern(&self) -> Result<(), Stopped> {
        for record in Signer::new(policy()).records {
            if let Entry::KeyRegistered(key) = record.entry {
                let _known = ask(|reply| self.journal.register(key, reply))?;
            }
        }
        self.activate(capped())?.unwrap();
        Ok(())
    }

    pub fn activate(&self, policy: Policy) -> Result<Result<(), String>, Stopped> {
        self.shelf.put(policy.hash, policy.clone());
        let activation = Activation {
            policy: Arc::new(policy),
            signed_by: Default::default(),
        };
        ask(|reply| self.journal.activate(activation, reply))
    }

    pub fn sign(&self, asked: &Ask) -> Result<SignOutcome, Stopped> {
        let command = command(asked, capped().hash);
        ask(|reply| self.journal.sign(command, reply).unwrap())
    }

    /// The order for what must be permitted.
    pub fn order(&self, asked: &Ask) -> Order {
        match self.sign(asked).unwrap() {
            SignOutcome::Order { order, .. } => Order::of(order),
            other => panic!("no order: {other:?}"),
        }
    }

    pub fn signed(&self, order: &Order) -> Result<Release, Stopped> {
        let signed = signatures(order, "raw");
        ask(|reply| self.journal.signed(signed, reply))
    }

    pub fn failed(&self, order: &Order) -> Result<(), Stopped> {
        ask(|reply| {
            self.journal
                .failed(order.attempt, "no device".into(), reply)
        })
    }

    /// An entry that says nothing else; answered after whatever went before.
    pub fn note(&self, reason: &str) -> Result<(), Stopped> {
        ask(|reply| self.journal.policy_refused(reason.into(), reply))
    }

    pub fn stop(&self) -> Result<(), Stopped> {
        ask(|reply| self.journal.stop("told to".into(), reply))
    }

    /// How much of the limit is used.
    pub fn used(&self) -> Amount {
        let now = self.journal.now();
        self.journal.state().room(now).unwrap()[0].used
    }

    /// Lets the commands that `send` sends wait together, so that they share a group.
    pub fn together(&self, send: impl FnOnce(&Journal)) {
        let held = self.journal.state();
        let reads = self.clock.reads.load(Ordering::SeqCst);
        // The clock is read before the state is written, and all that come until then join at once.
        while self.clock.reads.load(Ordering::SeqCst) == reads {
            std::thread::yield_now();
        }
        send(&self.journal);
        drop(held);
    }

    /// Ends without a word, as a killed process does.
    pub fn crash(self) {
        drop(self.journal);
        self.writer.join();
    }
}

impl Order {
    pub fn of(order: strongroom_journal::Committed<strongroom_journal::SignOrder>) -> Self {
        let entry = order.index();
        let order = order.into_value();
        Self {
            entry,
            attempt: order.attempt(),
            calls: order.calls().to_vec(),
        }
    }
}

/// The state after these records.
pub fn folded(records: &[Record], bundles: &Shelf) -> State {
    let mut state = State::new();
    for (index, record) in (0..).zip(records) {
        state.apply(index, record).unwrap();
        if let Entry::PolicyActivated { hash, .. } = record.entry {
            state.activate(bundles.load(hash).unwrap()).unwrap();
        }
    }
    state
}
