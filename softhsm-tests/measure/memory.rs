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
    time::Instant,
};

use ::journal::{charges::ChargeFiles, disk::FsDisk, lock::Owner, segment::LogId};
use policy::{ChargeState, Entry, HotState, KeptBlocks, Record, State, evaluate};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use strongroom_softhsm_tests::world::World;
use tx::Interval;

use crate::{
    figure::{Figure, rounded},
    machine, path,
    payments::{CUSTOMERS, Known, Payments},
    raw,
};

/// The figures that there are.
pub const FIGURES: [&str; 3] = ["journal_mem_mb", "window_decide_ratio", "policy_window_mb"];
/// The first arguments of the processes that make and hold the charges.
pub const ROLES: [&str; 2] = ["make-charges", "hold-charges"];

/// How many charges are in the window, unless `JOURNAL_CHARGES` says so.
const CHARGES: u64 = 10_000_000;
/// How many payments the state is made of before its rows are let go of: they are not held yet anywhere
/// but in memory.
const ROWS_HELD: u64 = 250_000;
/// How many decisions are measured.
const DECISIONS: u64 = 5_000;
const LOG: LogId = LogId::new([7; 32]);

/// What both processes know.
#[derive(Serialize, Deserialize)]
struct Task {
    known: Known,
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
    let known = Known::of(&world);
    let task = Task { known, charges };
    let folder = world.folder().join("charges");
    fs::create_dir(&folder).expect("a folder");
    let bytes = serde_json::to_vec(&task).expect("JSON");
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
    let window = json!({
        "machine": machine::description(), "charges": charges, "window_days": 30,
        "what": "what the process holds beyond one without charges, after a start and decisions",
        "baseline": "the charges on disk", "decide_p50_us": rounded(held.decide_p50_us),
        "small_decide_p50_us": rounded(held.small_decide_p50_us), "small_charges": 1_000,
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
        Figure {
            figure: FIGURES[2],
            value: rounded(held.end_mb.max(held.started_mb) - held.empty_mb),
            unit: "MB",
            baseline: rounded(held.disk_mb),
            detail: window,
        },
    ]
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
    let Task { known, charges } = serde_json::from_slice(&bytes).expect("what is known");
    let window = Window {
        payments: Payments::new(known, Path::new(data)),
        charges,
    };
    match role == ROLES[0] {
        true => make(&window, folder),
        false => {
            let held = hold(&window, folder);
            println!("{}", serde_json::to_string(&held).expect("JSON"));
        }
    }
}

/// Payments, and how many of them are in the window.
struct Window {
    payments: Payments,
    charges: u64,
}

impl Window {
    fn pay(&self, state: &mut State, n: u64) {
        self.payments.pay(state, n, self.millis(n));
    }

    fn decide(&self, state: &State, n: u64, now: Interval) {
        let to = Payments::customer(n);
        let (decoded, request) = self.payments.asked(state, n, n, &to);
        let began = Instant::now();
        let verdict = evaluate(state, now, &decoded, &request).expect("a verdict");
        DECIDED.with_borrow_mut(|micros| micros.push(began.elapsed().as_secs_f64() * 1e6));
        drop(verdict);
    }

    fn millis(&self, n: u64) -> u64 {
        Payments::millis(n, self.charges)
    }

    /// Decides and pays so often behind `n` payments: the microseconds of each, sorted.
    fn measured(&self, state: &mut State, n: u64) -> [Vec<f64>; 2] {
        let mut applied = Vec::new();
        for next in n..n + DECISIONS {
            let now = self.payments.time(self.millis(next));
            state.advance(now.lo).expect("the charges");
            self.decide(state, next, now);
            let attempt = self.payments.attempt(state, next);
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
fn make(window: &Window, folder: &Path) {
    let charges = folder.join("charges");
    let disk: Arc<FsDisk> = Arc::new(FsDisk::new(Owner::acquire(&charges).expect("a folder")));
    let mut files = ChargeFiles::create(Arc::clone(&disk) as _, LOG).expect("files");
    let mut state = window.payments.begun();
    for n in 0..window.charges {
        window.pay(&mut state, n);
        if state.closed_blocks().next().is_some() {
            files.take(&mut state).expect("the disk");
        }
        if n % ROWS_HELD == ROWS_HELD - 1 {
            leave(&state, folder);
            files.reader().sync().expect("the disk");
            (state, files) = start(window, folder, Arc::clone(&disk));
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
fn start(window: &Window, folder: &Path, disk: Arc<FsDisk>) -> (State, ChargeFiles) {
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
        .activate(Arc::clone(&window.payments.policy))
        .expect("the policy");
    (state, opened.files)
}

/// Starts from what was left, and decides.
fn hold(window: &Window, folder: &Path) -> Held {
    let mut small = window.payments.begun();
    for n in 0..1_000 {
        window.pay(&mut small, n);
    }
    let [small_decided, small_applied] = window.measured(&mut small, 1_000);
    drop(small);
    let empty_mb = machine::resident_mb();
    let charges = folder.join("charges");
    let disk = Arc::new(FsDisk::new(Owner::acquire(&charges).expect("a folder")));
    let began = Instant::now();
    let (mut state, files) = start(window, folder, disk);
    let start_s = began.elapsed().as_secs_f64();
    let started_mb = machine::resident_mb();
    let [decided, applied] = window.measured(&mut state, window.charges);
    let end_mb = machine::resident_mb();
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
