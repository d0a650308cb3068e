//! What a window of many charges takes: memory, the time of a start, and the cost of a decision.
//!
//! One process makes the charges and ends; another starts from what it left, so that only what is held
//! is measured.

use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    process::{Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use ::journal::{
    BundleStore, Bundles as _, charges::ChargeFiles, disk::FsDisk, lock::Owner, segment::LogId,
};
use policy::{
    Attempt, ChargeState, Entry, HotState, KeptBlocks, Policy, Record, Request, State, evaluate,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use strongroom_softhsm_tests::{evm::Draft, random::Random, world::World};
use tx::{Address, ConflictKey, Interval, Transaction};

use crate::{
    figure::{Figure, rounded},
    machine,
    opening::Template,
    path, raw,
};

/// The figures that there are.
pub const FIGURES: [&str; 2] = ["journal_mem_mb", "window_decide_ratio"];
/// The first arguments of the processes that make and hold the charges.
pub const ROLES: [&str; 2] = ["make-charges", "hold-charges"];

/// How many charges are in the window, unless `JOURNAL_CHARGES` says so.
const CHARGES: u64 = 10_000_000;
/// The window, and over how long they were made: a little less, so that none has left.
const WINDOW: Duration = Duration::from_hours(30 * 24);
const SPAN: Duration = Duration::from_hours(30 * 24 - 1);
/// How many customers are paid.
const CUSTOMERS: u64 = 1_000_000;
/// How many payments the state is made of before its rows are let go of: they are not held yet anywhere
/// but in memory.
const ROWS_HELD: u64 = 250_000;
/// How many decisions are measured.
const DECISIONS: u64 = 5_000;
const LOG: LogId = LogId::new([7; 32]);

/// What both processes know.
#[derive(Serialize, Deserialize)]
struct Known {
    before: Vec<Record>,
    attempt: Attempt,
    time: Interval,
    sender: String,
    charges: u64,
}

/// What the second one found.
#[derive(Serialize, Deserialize)]
struct Held {
    empty_mb: f64,
    start_s: f64,
    started_mb: f64,
    end_mb: f64,
    decide_p50_us: f64,
    decide_p99_us: f64,
    apply_p50_us: f64,
    apply_p99_us: f64,
    small_decide_p50_us: f64,
    small_apply_p50_us: f64,
    disk_mb: f64,
    parts_mb: f64,
}

/// Measures, in processes of their own.
pub fn measure() -> Vec<Figure> {
    let charges =
        std::env::var("JOURNAL_CHARGES").map_or(CHARGES, |text| text.parse().expect("a number"));
    let world = World::with_keys(&["lane-0"], |authority| {
        path::bundle(authority, &["lane-0".to_owned()])
    });
    let template = Template::of(&world);
    let known = Known {
        sender: sender(&template.attempt),
        before: template.before,
        attempt: template.attempt,
        time: template.time,
        charges,
    };
    let folder = world.folder().join("charges");
    fs::create_dir(&folder).expect("a folder");
    let bytes = serde_json::to_vec(&known).expect("JSON");
    fs::write(world.folder().join("known.json"), bytes).expect("a file");
    let began = Instant::now();
    run_as(ROLES[0], &world);
    let make_s = began.elapsed().as_secs_f64();
    let held: Held = serde_json::from_slice(&run_as(ROLES[1], &world)).expect("its figures");
    let detail = json!({
        "machine": machine::description(), "charges": charges, "window_days": 30,
        "limits": "5, one of them by destination", "customers": CUSTOMERS,
        "held": "hot state, charges and their totals; not the rows of attempts, requests, intents, \
                 conflict keys and destinations, which are in memory as well until they are read from the map",
        "start_s": rounded(held.start_s), "started_mb": rounded(held.started_mb),
        "after_decisions_mb": rounded(held.end_mb), "on_disk_mb": rounded(held.disk_mb),
        "in_a_snapshot_mb": rounded(held.parts_mb), "made_in_s": rounded(make_s),
    });
    let decide = json!({
        "machine": machine::description(), "charges": charges, "against": "a window of 1,000 charges",
        "decide_p50_us": rounded(held.decide_p50_us), "decide_p99_us": rounded(held.decide_p99_us),
        "apply_p50_us": rounded(held.apply_p50_us), "apply_p99_us": rounded(held.apply_p99_us),
        "small_decide_p50_us": rounded(held.small_decide_p50_us),
        "small_apply_p50_us": rounded(held.small_apply_p50_us),
    });
    let both = |decide: f64, apply: f64| decide + apply;
    let small = both(held.small_decide_p50_us, held.small_apply_p50_us);
    vec![
        Figure {
            figure: FIGURES[0],
            value: rounded(held.end_mb.max(held.started_mb)),
            unit: "MB",
            baseline: rounded(held.empty_mb),
            detail,
        },
        Figure {
            figure: FIGURES[1],
            value: rounded(both(held.decide_p50_us, held.apply_p50_us) / small),
            unit: "ratio",
            baseline: 1.0,
            detail: decide,
        },
    ]
}

fn sender(attempt: &Attempt) -> String {
    let key = attempt.keys.iter().find_map(|key| match key {
        ConflictKey::Nonce { account, .. } => Some(account.to_string()),
        _ => None,
    });
    key.expect("a payment has a sender")
}

fn run_as(role: &str, world: &World) -> Vec<u8> {
    let output = Command::new(std::env::current_exe().expect("this program"))
        .arg(role)
        .args([world.folder(), &world.data()])
        .stderr(Stdio::inherit())
        .output()
        .expect("a process");
    assert!(output.status.success(), "the process {role} failed");
    output.stdout
}

/// One of the processes: its role, the folder, and the data folder with the bundle.
pub fn run(role: &str, arguments: &[String]) {
    let [folder, data] = arguments else {
        panic!("folder and data folder")
    };
    let folder = Path::new(folder);
    let bytes = fs::read(folder.join("known.json")).expect("what is known");
    let known: Known = serde_json::from_slice(&bytes).expect("what is known");
    let payments = Payments::new(known, Path::new(data));
    match role == ROLES[0] {
        true => make(&payments, folder),
        false => {
            let held = hold(&payments, folder);
            println!("{}", serde_json::to_string(&held).expect("JSON"));
        }
    }
}

/// Payments to customers, each of an intent of its own.
struct Payments {
    known: Known,
    policy: Arc<Policy>,
}

impl Payments {
    fn new(known: Known, data: &Path) -> Self {
        let activated = known
            .before
            .iter()
            .rev()
            .find_map(|record| match record.entry {
                Entry::PolicyActivated { hash, .. } => Some(hash),
                _ => None,
            });
        let bundles = BundleStore::of(data);
        let loaded = bundles
            .load(activated.expect("a bundle"))
            .expect("the bundle");
        let mut policy = Policy::clone(&loaded);
        for limit in &mut policy.limits {
            // Those of a day look back thirty.
            if limit.says.window_millis == 24 * 3_600 * 1_000 {
                limit.says.window_millis = WINDOW.as_millis() as u64;
            }
        }
        let policy = Arc::new(policy);
        Self { known, policy }
    }

    /// The state before the first payment.
    fn begun(&self) -> State {
        let mut state = State::new();
        for (index, record) in (0..).zip(&self.known.before) {
            state.apply(index, record).expect("an entry");
            if let Entry::PolicyActivated { .. } = record.entry {
                state
                    .activate(Arc::clone(&self.policy))
                    .expect("the policy");
            }
        }
        state
    }

    fn time(&self, millis: u64) -> Interval {
        Interval {
            lo: self.known.time.lo.after_millis(millis),
            hi: self.known.time.hi.after_millis(millis),
        }
    }

    /// To whom the `n`th payment goes.
    fn customer(&self, n: u64) -> Address {
        let number = Random(n + 1).below(CUSTOMERS);
        let mut bytes = [0x51; 20];
        bytes[..8].copy_from_slice(&number.to_be_bytes());
        Address::evm(path::CHAIN, bytes).expect("an address")
    }

    fn attempt(&self, state: &State, n: u64) -> Attempt {
        let mut attempt = self.known.attempt.clone();
        attempt.request = format!("pay-{n}").parse().expect("an id");
        attempt.request_hash.0[..8].copy_from_slice(&n.to_be_bytes());
        let keys = attempt.keys.into_iter().map(|key| match key {
            ConflictKey::Nonce { account, .. } => ConflictKey::Nonce {
                account,
                nonce: n + 1,
            },
            other => other,
        });
        attempt.keys = keys.collect();
        if let Some(paid) = attempt.intents.first_mut() {
            paid.intent.id.id = format!("pay-{n}").parse().expect("an id");
        }
        for fact in &mut attempt.facts {
            if let Some(to) = &mut fact.effect.to {
                to.address = self.customer(n);
            }
        }
        for (call, number) in attempt.calls.iter_mut().zip(state.next_call()..) {
            call.call = number;
        }
        attempt
    }

    /// Lets a state make the `n`th payment, so long after the first.
    fn pay(&self, state: &mut State, n: u64, millis: u64) {
        let attempt = self.attempt(state, n);
        let record = Record {
            v: 1,
            time: self.time(millis),
            entry: Entry::Attempt(Box::new(attempt)),
        };
        state.apply(state.entries(), &record).expect("a payment");
    }

    fn decide(&self, state: &State, n: u64, now: Interval) {
        let to = self.customer(n).to_string();
        let transaction: Transaction = Draft::transfer(n, &to, 1).from(&self.known.sender);
        let rules = self.policy.chain_rules(transaction.chain());
        let decoded = tx::decode(&transaction, &state.registry(), rules).expect("a transaction");
        let attempt = &self.known.attempt;
        let request = Request {
            client: attempt.client.clone(),
            id: format!("pay-{n}").parse().expect("an id"),
            hash: attempt.request_hash,
            lane_epoch: attempt.lane_epoch,
            intents: attempt.intents.clone(),
            replaces: Vec::new(),
            transaction: attempt.transaction.clone(),
            proofs: Vec::new(),
        };
        let began = Instant::now();
        let verdict = evaluate(state, now, &decoded, &request).expect("a verdict");
        DECIDED.with_borrow_mut(|micros| micros.push(began.elapsed().as_secs_f64() * 1e6));
        drop(verdict);
    }

    fn millis(&self, n: u64) -> u64 {
        let share = u128::from(n) * SPAN.as_millis() / u128::from(self.known.charges.max(1));
        share as u64
    }

    /// Decides and pays so often behind `n` payments: the microseconds of each, sorted.
    fn measured(&self, state: &mut State, n: u64) -> [Vec<f64>; 2] {
        let mut applied = Vec::new();
        for next in n..n + DECISIONS {
            let now = self.time(self.millis(next));
            state.advance(now.lo).expect("the charges");
            self.decide(state, next, now);
            let attempt = self.attempt(state, next);
            let entry = Entry::Attempt(Box::new(attempt));
            let record = Record {
                v: 1,
                time: now,
                entry,
            };
            let began = Instant::now();
            state.apply(state.entries(), &record).expect("a payment");
            applied.push(began.elapsed().as_secs_f64() * 1e6);
        }
        let mut decided = DECIDED.with_borrow_mut(std::mem::take);
        decided.sort_by(f64::total_cmp);
        applied.sort_by(f64::total_cmp);
        [decided, applied]
    }
}

thread_local! {
    static DECIDED: std::cell::RefCell<Vec<f64>> = const { std::cell::RefCell::new(Vec::new()) };
}

/// Makes the charges, and leaves what a start needs.
fn make(payments: &Payments, folder: &Path) {
    let charges = folder.join("charges");
    let disk: Arc<FsDisk> = Arc::new(FsDisk::new(Owner::acquire(&charges).expect("a folder")));
    let mut files = ChargeFiles::create(Arc::clone(&disk) as _, LOG).expect("files");
    let mut state = payments.begun();
    for n in 0..payments.known.charges {
        payments.pay(&mut state, n, payments.millis(n));
        if state.closed_blocks().next().is_some() {
            files.take(&mut state).expect("the disk");
        }
        if n % ROWS_HELD == ROWS_HELD - 1 {
            leave(&state, folder);
            files.reader().sync().expect("the disk");
            (state, files) = start(payments, folder, Arc::clone(&disk));
        }
    }
    leave(&state, folder);
    files.reader().sync().expect("the disk");
}

fn leave(state: &State, folder: &Path) {
    let hot = state.hot().encode().expect("a hot state");
    // Without the attempts of clients, which are rows.
    let mut hot: BTreeMap<String, Value> = serde_json::from_slice(&hot).expect("JSON");
    hot.insert("authorised".into(), json!({}));
    let hot = serde_json::to_vec(&hot).expect("JSON");
    fs::write(folder.join("hot.json"), hot).expect("a file");
    fs::write(folder.join("charges.state"), state.charge_state().encode()).expect("a file");
}

/// The state that was left, and its files.
fn start(payments: &Payments, folder: &Path, disk: Arc<FsDisk>) -> (State, ChargeFiles) {
    let hot: Value =
        serde_json::from_slice(&fs::read(folder.join("hot.json")).expect("a file")).expect("JSON");
    let hot: HotState = serde_json::from_value(hot).expect("a hot state");
    let charges = fs::read(folder.join("charges.state")).expect("a file");
    let charges = ChargeState::decode(&charges).expect("a charge state");
    let opened = ChargeFiles::open(disk, LOG, &charges).expect("the blocks");
    let blocks = KeptBlocks {
        summaries: opened.summaries,
        reader: opened.files.reader(),
    };
    let mut state = State::restore(hot, [], charges, blocks).expect("a state");
    state
        .activate(Arc::clone(&payments.policy))
        .expect("the policy");
    (state, opened.files)
}

/// Starts from what was left, and decides.
fn hold(payments: &Payments, folder: &Path) -> Held {
    let mut small = payments.begun();
    for n in 0..1_000 {
        payments.pay(&mut small, n, payments.millis(n));
    }
    let [small_decided, small_applied] = payments.measured(&mut small, 1_000);
    drop(small);
    let empty_mb = resident_mb();
    let charges = folder.join("charges");
    let disk = Arc::new(FsDisk::new(Owner::acquire(&charges).expect("a folder")));
    let began = Instant::now();
    let (mut state, files) = start(payments, folder, disk);
    let start_s = began.elapsed().as_secs_f64();
    let started_mb = resident_mb();
    let [decided, applied] = payments.measured(&mut state, payments.known.charges);
    let end_mb = resident_mb();
    drop(files);
    let size = |path: &Path| fs::metadata(path).map_or(0, |meta| meta.len());
    let on_disk = fs::read_dir(&charges).expect("the folder").flatten();
    let on_disk: u64 = on_disk.map(|file| size(&file.path())).sum();
    Held {
        empty_mb,
        start_s,
        started_mb,
        end_mb,
        decide_p50_us: raw::percentile(&decided, 50),
        decide_p99_us: raw::percentile(&decided, 99),
        apply_p50_us: raw::percentile(&applied, 50),
        apply_p99_us: raw::percentile(&applied, 99),
        small_decide_p50_us: raw::percentile(&small_decided, 50),
        small_apply_p50_us: raw::percentile(&small_applied, 50),
        disk_mb: on_disk as f64 / 1e6,
        parts_mb: size(&folder.join("charges.state")) as f64 / 1e6,
    }
}

/// Resident memory of this process.
fn resident_mb() -> f64 {
    let status = fs::read_to_string("/proc/self/status").expect("the kernel's word");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.and_then(|line| line.trim().strip_suffix(" kB"));
    let kilobytes: f64 = kilobytes.expect("VmRSS").trim().parse().expect("a number");
    kilobytes * 1024.0 / 1e6
}
