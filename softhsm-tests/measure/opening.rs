//! How long a long journal takes to open, and a proof from it.

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use ::journal::{
    BundleStore, Journal, Opening, SystemClock,
    disk::FsDisk,
    lock::Owner,
    segment::{self, LogId, MAX_GROUP_RECORDS, OpenOptions, Salt, SegmentLog},
};
use policy::{Attempt, AttemptId, Entry, Record, Signed};
use serde_json::json;
use strongroom_softhsm_tests::{
    ask, evm::Draft, random::Random, records, world::World, world::address_on,
};
use tlog::{inclusion_proof, verify_inclusion};
use tx::{Asset, ConflictKey, Interval};

use crate::{
    figure::{Figure, rounded},
    machine, path, raw,
};

/// The figures that there are.
pub const FIGURES: [&str; 1] = ["journal_open_s"];

/// How many entries the log has, unless `JOURNAL_ENTRIES` says so: two of each payment.
const ENTRIES: u64 = 10_000_000;
/// Over how long they were appended.
const SPAN: Duration = Duration::from_hours(30 * 24);
/// How many entries are proved.
const PROOFS: usize = 2_000;

/// Measures the time of an opening that folds every entry, beside that of reading the bytes.
pub fn measure() -> Vec<Figure> {
    let entries =
        std::env::var("JOURNAL_ENTRIES").map_or(ENTRIES, |text| text.parse().expect("a number"));
    let world = World::with_keys(&["lane-0"], |authority| {
        path::bundle(authority, &["lane-0".to_owned()])
    });
    let template = Template::of(&world);
    let data = world.folder().join("long");
    std::fs::create_dir(&data).expect("a folder");
    template.fill(&data, entries);
    let (read_s, bytes) = read(&data);
    let began = Instant::now();
    let clock = Arc::new(SystemClock::new().expect("the clocks"));
    let bundles = BundleStore::of(&world.data());
    let opened = ::journal::open(&data, &bundles, clock, "bench").expect("the journal");
    let open_s = began.elapsed().as_secs_f64();
    let Opening {
        journal, writer, ..
    } = opened;
    let micros = proofs(&journal);
    drop(journal);
    writer.join();
    vec![Figure {
        figure: "journal_open_s",
        value: rounded(open_s),
        unit: "s",
        baseline: rounded(read_s),
        detail: json!({
            "machine": machine::description(), "entries": entries, "bytes": bytes,
            "from": "every entry, without a snapshot",
            "entry_us": rounded(open_s * 1e6 / entries as f64),
            "proof_p50_us": rounded(raw::percentile(&micros, 50)),
            "proof_p99_us": rounded(raw::percentile(&micros, 99)),
            "proof_max_us": rounded(raw::percentile(&micros, 100)),
        }),
    }]
}

/// What reading the segments alone takes, and how long they are.
fn read(data: &Path) -> (f64, u64) {
    let began = Instant::now();
    let files = std::fs::read_dir(data).expect("the folder").flatten();
    let segments = files.filter(|file| file.path().extension().is_some_and(|end| end == "seg"));
    let bytes = segments.map(|file| std::fs::read(file.path()).expect("a segment").len() as u64);
    let bytes = bytes.sum();
    (began.elapsed().as_secs_f64(), bytes)
}

/// Microseconds of each of many proofs of any entry at the present size, sorted; each is verified.
fn proofs(journal: &Journal) -> Vec<f64> {
    let (tree, bodies, mut random) = (journal.tree(), journal.bodies(), Random(11));
    let head = tree.head();
    let prove = |_| {
        let index = random.below(head.size);
        let began = Instant::now();
        let proof = inclusion_proof(tree, index, head.size).expect("a proof");
        let micros = began.elapsed().as_secs_f64() * 1e6;
        let entry = bodies.entry(index).expect("an entry");
        let leaf = segment::Leaf::commit(&Salt::new(entry.salt), &entry.body);
        verify_inclusion(leaf.hash(), index, &head, &proof).expect("a proof that holds");
        micros
    };
    let mut micros: Vec<f64> = (0..PROOFS).map(prove).collect();
    micros.sort_by(f64::total_cmp);
    micros
}

/// A real journal of one payment, of which a long one is made.
pub struct Template {
    /// The entries before the payment.
    pub before: Vec<Record>,
    /// The payment.
    pub attempt: Attempt,
    signed: Signed,
    /// When it was charged.
    pub time: Interval,
}

impl Template {
    /// Of a signer that pays once.
    pub fn of(world: &World) -> Self {
        let daemon = world.start();
        let mut client = world.walletd();
        let sender = address_on(&client.key("lane-0"), path::CHAIN);
        let transaction = Draft::transfer(0, path::CUSTOMER, 1).from(&sender);
        let asset = Asset::native(path::CHAIN);
        let intent = ask::intent("pay-0", &asset, 1, path::CUSTOMER);
        client.sign(&ask::request("pay-0", transaction, vec![intent]));
        daemon.stop();
        let mut before = records::read(&world.data());
        let first = before
            .iter()
            .position(|record| matches!(record.entry, Entry::Attempt(_)))
            .expect("an attempt");
        let after = before.split_off(first);
        let signed = after.iter().find_map(|record| match &record.entry {
            Entry::Signed(signed) => Some(Signed::clone(signed)),
            _ => None,
        });
        let time = after[0].time;
        let Entry::Attempt(attempt) = after.into_iter().next().expect("an attempt").entry else {
            unreachable!("it was looked for");
        };
        Self {
            before,
            attempt: *attempt,
            signed: signed.expect("signatures"),
            time,
        }
    }

    /// Writes a log of so many entries, in as large groups as there can be.
    fn fill(&self, data: &Path, entries: u64) {
        let disk = FsDisk::new(Owner::acquire(data).expect("a folder"));
        let id = LogId::new([7; 32]);
        let mut log =
            SegmentLog::create(Box::new(disk), id, &OpenOptions::default()).expect("a log");
        let mut bodies: Vec<Vec<u8>> = self.before.iter().map(body).collect();
        let mut index = bodies.len() as u64;
        while index < entries {
            let share = SPAN.as_millis() as u64 * index / entries;
            let [attempt, signed] = self.payment(index, share);
            bodies.extend([body(&attempt), body(&signed)]);
            index += 2;
            if bodies.len() >= MAX_GROUP_RECORDS - 2 || index >= entries {
                append(&mut log, &bodies);
                bodies.clear();
            }
        }
        log.write_anchor().expect("an anchor");
    }

    /// A payment's two entries, the first of them at `index`.
    fn payment(&self, index: u64, millis: u64) -> [Record; 2] {
        let mut attempt = self.attempt.clone();
        attempt.request = format!("pay-{index}").parse().expect("an id");
        attempt.request_hash.0[..8].copy_from_slice(&index.to_be_bytes());
        let nonce = |key| match key {
            ConflictKey::Nonce { account, .. } => ConflictKey::Nonce {
                account,
                nonce: index,
            },
            other => other,
        };
        attempt.keys = attempt.keys.into_iter().map(nonce).collect();
        let id = format!("pay-{index}").parse().expect("an id");
        if let Some(paid) = attempt.intents.first_mut() {
            paid.intent.id.id = id;
        }
        for fact in &mut attempt.facts {
            fact.intent = attempt.intents.first().map(|paid| paid.intent.id.clone());
        }
        let mut signed = self.signed.clone();
        signed.attempt = AttemptId(index);
        for (call, signature) in attempt.calls.iter_mut().zip(&mut signed.signatures) {
            call.call = index;
            signature.call = index;
        }
        let time = Interval {
            lo: self.time.lo.after_millis(millis),
            hi: self.time.hi.after_millis(millis),
        };
        [
            Entry::Attempt(Box::new(attempt)),
            Entry::Signed(Box::new(signed)),
        ]
        .map(|entry| Record { v: 1, time, entry })
    }
}

fn body(record: &Record) -> Vec<u8> {
    serde_json::to_vec(record).expect("a record has a JSON form")
}

fn append(log: &mut SegmentLog, bodies: &[Vec<u8>]) {
    let record = |(position, body): (u64, _)| {
        let mut salt = [0; 32];
        salt[..8].copy_from_slice(&(log.size() + position).to_be_bytes());
        segment::Record {
            salt: Salt::new(salt),
            body,
        }
    };
    let records: Vec<_> = (0..)
        .zip(bodies.iter().map(Vec::as_slice))
        .map(record)
        .collect();
    log.append(&records, &[]).expect("a durable group");
}
