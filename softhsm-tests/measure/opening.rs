//! How long a long journal takes to open, what it holds then, and what it costs to ask it.
//!
//! One process writes the journal; others open it, so that each holds only what it opened.

use std::{
    fs::{self, File},
    os::unix::fs::FileExt as _,
    path::Path,
    process::{Command, Stdio},
    sync::Arc,
    time::Instant,
};

use ::journal::{
    Journal, Opening, SignOutcome, SnapshotUse,
    segment::{Leaf, Salt},
};
use policy::Verdict;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use strongroom_softhsm_tests::{random::Random, world::World};
use tlog::{Hash, inclusion_proof, verify_inclusion};

use crate::{
    figure::{Figure, rounded},
    long::{self, Later},
    machine, path,
    payments::{Known, Payments},
    raw,
};

/// The figures that there are. They take minutes and 20 GB of disk, and are measured only by name.
pub const FIGURES: [&str; 2] = ["journal_open_s", "journal_proof_ms"];
/// The first arguments of the processes that write a journal, open it, and ask it.
pub const ROLES: [&str; 4] = ["write-log", "fold-log", "open-log", "ask-log"];

/// How many entries the log has, unless `--entries` says so: little less than the next state root is
/// behind, so that a start from the snapshot of the one before folds as much as any.
const ENTRIES: u64 = 10_026_000;
/// And the log that it is held against.
const FEW: u64 = 2_000;
/// How many entries are proved, and how many requests decided.
const PROOFS: usize = 4_000;
const DECISIONS: usize = 2_000;

/// What the processes know.
#[derive(Serialize, Deserialize)]
struct Task {
    known: Known,
    entries: u64,
}

/// What was written.
#[derive(Serialize, Deserialize)]
struct Written {
    payments: u64,
    seconds: f64,
}

/// An opening.
#[derive(Serialize, Deserialize)]
struct Opened {
    seconds: f64,
    entries: u64,
    /// How many entries the snapshot covers; 0 without one.
    covers: u64,
    empty_mb: f64,
    opened_mb: f64,
}

/// What was asked of an open journal.
#[derive(Serialize, Deserialize)]
struct Asked {
    opened: Opened,
    proofs: Times,
    proofs_cpu: Times,
    bodies: Times,
    reads: Times,
    decisions: Times,
    replays: Times,
    after_mb: f64,
}

/// Of microseconds.
#[derive(Serialize, Deserialize)]
struct Times {
    p50: f64,
    p99: f64,
    most: f64,
}

impl Times {
    fn of(mut micros: Vec<f64>) -> Self {
        micros.sort_by(f64::total_cmp);
        Self {
            p50: rounded(raw::percentile(&micros, 50)),
            p99: rounded(raw::percentile(&micros, 99)),
            most: rounded(raw::percentile(&micros, 100)),
        }
    }
}

/// Measures, in processes of their own.
pub fn measure(entries: Option<u64>) -> Vec<Figure> {
    let entries = entries.unwrap_or(ENTRIES);
    let world = World::with_keys(&["lane-0"], |authority| {
        path::bundle(authority, &["lane-0".to_owned()])
    });
    let known = Known::of(&world);
    let task = Task { known, entries };
    let few = Log::begin(&world, "few", &task.with(FEW));
    let _few: Written = few.run(ROLES[0]);
    let few: Asked = few.run(ROLES[3]);
    let log = Log::begin(&world, "long", &task);
    let written: Written = log.run(ROLES[0]);
    long::let_go(&log.data());
    let folded: Opened = log.run(ROLES[1]);
    long::let_go(&log.data());
    let cold: Opened = log.run(ROLES[2]);
    let asked: Asked = log.run(ROLES[3]);
    assert!(folded.covers == 0 && cold.covers > 0 && asked.opened.covers > 0);
    vec![
        open_figure(&log, &written, [&folded, &cold], &asked, &few),
        proof_figure(&log, &asked),
    ]
}

fn open_figure(
    log: &Log<'_>,
    written: &Written,
    [folded, cold]: [&Opened; 2],
    asked: &Asked,
    few: &Asked,
) -> Figure {
    let detail = json!({
        "machine": machine::description(), "entries": cold.entries, "charges": written.payments,
        "behind_snapshot": cold.entries - cold.covers,
        "cold_s": rounded(cold.seconds), "warm_s": rounded(asked.opened.seconds),
        "without_snapshot_s": rounded(folded.seconds),
        "without_snapshot_entry_us": rounded(folded.seconds * 1e6 / folded.entries as f64),
        "empty_mb": rounded(cold.empty_mb), "opened_mb": rounded(cold.opened_mb),
        "without_snapshot_mb": rounded(folded.opened_mb), "asked_mb": rounded(asked.after_mb),
        "decide_us": asked.decisions, "few_entries_decide_us": few.decisions,
        "replay_us": asked.replays, "few_entries_replay_us": few.replays,
        "decide": "POST /v1/evaluate as the writer does it, of a new payment to a customer who was paid",
        "on_disk_mb": log.on_disk(), "written_in_s": rounded(written.seconds),
    });
    Figure {
        figure: FIGURES[0],
        value: rounded(cold.seconds),
        unit: "s",
        baseline: rounded(folded.seconds),
        detail,
    }
}

fn proof_figure(log: &Log<'_>, asked: &Asked) -> Figure {
    let detail = json!({
        "machine": machine::description(), "entries": asked.opened.entries, "proofs": PROOFS,
        "proof_us": asked.proofs, "proof_cpu_us": asked.proofs_cpu, "body_us": asked.bodies,
        "baseline": "p99 of reading 8 KiB of the tree's file, unverified",
        "tile_read_us": asked.reads, "tree_mb": rounded(long::megabytes(&log.data(), is_tree)),
    });
    Figure {
        figure: FIGURES[1],
        value: rounded(asked.proofs.p99 / 1e3),
        unit: "ms",
        baseline: rounded(asked.reads.p99 / 1e3),
        detail,
    }
}

fn is_tree(name: &str) -> bool {
    name.starts_with("tree.")
}

impl Task {
    fn with(&self, entries: u64) -> Self {
        let json = serde_json::to_value(self).expect("JSON");
        let task: Self = serde_json::from_value(json).expect("JSON");
        Self { entries, ..task }
    }
}

/// A log in a folder of its own.
struct Log<'a> {
    world: &'a World,
    name: &'static str,
}

impl<'a> Log<'a> {
    fn begin(world: &'a World, name: &'static str, task: &Task) -> Self {
        let log = Self { world, name };
        fs::create_dir_all(log.data()).expect("a folder");
        let task = serde_json::to_vec(task).expect("JSON");
        fs::write(log.folder().join("task.json"), task).expect("a file");
        log
    }

    fn folder(&self) -> std::path::PathBuf {
        self.world.folder().join(self.name)
    }

    fn data(&self) -> std::path::PathBuf {
        self.folder().join("data")
    }

    fn run<T: DeserializeOwned>(&self, role: &str) -> T {
        let output = Command::new(std::env::current_exe().expect("this program"))
            .arg(role)
            .args([self.folder(), self.world.data()])
            .stderr(Stdio::inherit())
            .output()
            .expect("a process");
        assert!(output.status.success(), "the process {role} failed");
        let said = String::from_utf8_lossy(&output.stdout);
        eprintln!("{} {role}: {}", self.name, said.trim());
        serde_json::from_slice(&output.stdout).expect("its figures")
    }

    fn on_disk(&self) -> Value {
        let of = |belongs: fn(&str) -> bool| rounded(long::megabytes(&self.data(), belongs));
        json!({
            "segments": of(|name| name.ends_with(".seg")), "tree": of(is_tree),
            "map": of(|name| name.starts_with("map.")),
            "charges": of(|name| name.starts_with("charges.")),
            "snapshot": of(|name| name == "snapshot"), "all": of(|_| true),
        })
    }
}

/// One of the processes: its role, the log's folder, and the data folder with the bundle.
pub fn run(role: &str, arguments: &[String]) {
    let [folder, world] = arguments else {
        panic!("folder and data folder")
    };
    let folder = Path::new(folder);
    let bytes = fs::read(folder.join("task.json")).expect("what is known");
    let task: Task = serde_json::from_slice(&bytes).expect("what is known");
    let payments = Payments::new(task.known, Path::new(world));
    let found = match ROLES.iter().position(|one| *one == role) {
        Some(0) => json!(write(&payments, folder, task.entries)),
        Some(1) => json!(fold(&payments, folder)),
        Some(2) => json!(open(&payments, folder).0),
        _ => json!(ask(&payments, folder)),
    };
    println!("{found}");
}

fn write(payments: &Payments, folder: &Path, entries: u64) -> Written {
    let (data, roots) = (folder.join("data"), folder.join("roots"));
    fs::create_dir(&roots).expect("a folder");
    let began = Instant::now();
    let paid = long::fill(payments, &data, &roots, entries);
    let seconds = began.elapsed().as_secs_f64();
    fs::remove_dir_all(roots).expect("the folder");
    fs::write(folder.join("payments"), paid.to_string()).expect("a file");
    Written {
        payments: paid,
        seconds,
    }
}

fn open(payments: &Payments, folder: &Path) -> (Opened, Opening) {
    let empty_mb = machine::resident_mb();
    let began = Instant::now();
    let opening = ::journal::open(
        &folder.join("data"),
        payments,
        Arc::new(Later::new()),
        "bench",
    );
    let opening = opening.expect("the journal");
    let seconds = began.elapsed().as_secs_f64();
    let covers = match &opening.snapshot {
        SnapshotUse::Absent => 0,
        SnapshotUse::Used { covers, .. } => *covers,
        SnapshotUse::Refused { reason } => panic!("the snapshot is refused: {reason}"),
    };
    let opened = Opened {
        seconds,
        entries: opening.entries,
        covers,
        empty_mb,
        opened_mb: machine::resident_mb(),
    };
    (opened, opening)
}

/// Opens it without a snapshot, and leaves one.
fn fold(payments: &Payments, folder: &Path) -> Opened {
    let (
        opened,
        Opening {
            journal, writer, ..
        },
    ) = open(payments, folder);
    long::keep_snapshot(&journal, &folder.join("data"));
    drop(journal);
    writer.join();
    opened
}

fn ask(payments: &Payments, folder: &Path) -> Asked {
    let (
        opened,
        Opening {
            journal, writer, ..
        },
    ) = open(payments, folder);
    let paid = fs::read_to_string(folder.join("payments")).expect("a number");
    let paid = paid.parse().expect("a number");
    let decisions = decisions(payments, &journal, paid);
    let replays = replays(payments, &journal, paid);
    let [proofs, proofs_cpu, bodies] = proofs(&journal);
    let asked = Asked {
        opened,
        proofs,
        proofs_cpu,
        bodies,
        reads: reads(&folder.join("data")),
        decisions,
        replays,
        after_mb: machine::resident_mb(),
    };
    drop(journal);
    writer.join();
    asked
}

fn micros<T>(what: impl FnOnce() -> T) -> (f64, T) {
    let began = Instant::now();
    let done = what();
    (began.elapsed().as_secs_f64() * 1e6, done)
}

/// Decisions on new payments to customers who were paid before.
fn decisions(payments: &Payments, journal: &Journal, paid: u64) -> Times {
    let mut random = Random(5);
    let decide = |id: u64| {
        let to = Payments::customer(random.below(paid));
        let asked = payments.command(&journal.state(), paid + id, paid, &to);
        let (micros, verdict) =
            micros(|| long::answer(|reply| journal.evaluate(asked, reply).expect("room")));
        assert!(matches!(verdict, Verdict::Permit(_)), "{verdict:?}");
        micros
    };
    Times::of((0..DECISIONS as u64).map(decide).collect())
}

/// Requests that were signed before.
fn replays(payments: &Payments, journal: &Journal, paid: u64) -> Times {
    let mut random = Random(6);
    let replay = |_| {
        let n = random.below(paid);
        let asked = payments.command(&journal.state(), n, n, &Payments::customer(n));
        let (micros, outcome) =
            micros(|| long::answer(|reply| journal.sign(asked, reply).expect("room")));
        assert!(matches!(outcome, SignOutcome::Replay { .. }), "{outcome:?}");
        micros
    };
    Times::of((0..DECISIONS).map(replay).collect())
}

/// Proofs of any entry at the present size, the CPU time of each, and the reading of their bodies, with which
/// each is verified: after all proofs, since what the kernel reads around a body keeps the disk from others.
fn proofs(journal: &Journal) -> [Times; 3] {
    let (tree, bodies, mut random) = (journal.tree(), journal.bodies(), Random(11));
    let head = tree.head();
    let prove = |_| {
        let index = random.below(head.size);
        let before = machine::own_cpu_us();
        let (proved, proof) = micros(|| inclusion_proof(tree, index, head.size).expect("a proof"));
        let cpu = machine::own_cpu_us() - before;
        (index, proof, proved, cpu)
    };
    let proofs: Vec<_> = (0..PROOFS).map(prove).collect();
    let read = |(index, proof, ..): &(u64, Vec<Hash>, f64, f64)| {
        let (read, entry) = micros(|| bodies.entry(*index).expect("an entry"));
        let leaf = Leaf::commit(&Salt::new(entry.salt), &entry.body);
        verify_inclusion(leaf.hash(), *index, &head, proof).expect("a proof that holds");
        read
    };
    let read = proofs.iter().map(read).collect();
    let proved = proofs.iter().map(|(_, _, proved, _)| *proved).collect();
    let cpu = proofs.iter().map(|(.., cpu)| *cpu).collect();
    [proved, cpu, read].map(Times::of)
}

/// Tiles as they are in the tree's file.
fn reads(data: &Path) -> Times {
    const TILE_BYTES: usize = 8 * 1024;
    let file = File::open(data.join("tree.leaves")).expect("a file");
    let tiles = file.metadata().expect("a file").len() / TILE_BYTES as u64;
    let (mut random, mut tile) = (Random(13), [0; TILE_BYTES]);
    let read = |_| {
        let offset = random.below(tiles) * TILE_BYTES as u64;
        micros(|| file.read_exact_at(&mut tile, offset).expect("a tile")).0
    };
    Times::of((0..PROOFS).map(read).collect())
}
