//! The journal by itself: many writers beside the disk's own flushes.

use std::{
    fs::File,
    os::unix::fs::FileExt,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use ::journal::{BundleError, Bundles, Journal, Opening, Reply, SystemClock};
use policy::{BundleHash, Policy};
use serde_json::json;
use tokio::sync::oneshot;

use crate::{
    figure::{Figure, rounded},
    machine,
};

/// The figures that there are.
pub const FIGURES: [&str; 1] = ["journal_append_ratio"];

/// How many append and wait.
const WRITERS: usize = 64;
/// How long each part of a round is.
const DURATION: Duration = Duration::from_millis(200);
/// Both sides are measured in turns: the disk is not the same from second to second.
const ROUNDS: usize = 16;
/// What makes an entry as long as that of a payment.
const REASON_BYTES: usize = 900;

/// Measures all figures.
pub fn measure() -> Vec<Figure> {
    vec![append()]
}

/// Entries a second that 64 waiting writers append, beside 64 times the flushes a second of as many
/// bytes: of the disk's two ways, a file that grows and one that was written before, the faster.
fn append() -> Figure {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    std::fs::create_dir(&data).expect("a folder");
    let (journal, writer) = begun(&data);
    let runtime = runtime();
    runtime.block_on(append_for(&journal, Duration::from_millis(200)));
    let entry_bytes = entry_bytes(&journal);
    let disk = Disk::of(folder.path());
    let mut sums = Sums::default();
    for _ in 0..ROUNDS {
        sums.many += disk.flushes(group_bytes(WRITERS, entry_bytes), Length::Kept);
        sums.many_growing += disk.flushes(group_bytes(WRITERS, entry_bytes), Length::Grows);
        sums.entries += runtime.block_on(append_for(&journal, DURATION));
        sums.one += disk.flushes(group_bytes(1, entry_bytes), Length::Kept);
    }
    drop(journal);
    writer.join();
    let rounds = ROUNDS as f64;
    let best = sums.many.max(sums.many_growing) * WRITERS as f64 / rounds;
    let entries = sums.entries / rounds;
    Figure {
        figure: "journal_append_ratio",
        value: rounded(entries / best),
        unit: "ratio",
        baseline: rounded(best),
        detail: json!({
            "machine": machine::description(), "writers": WRITERS, "entry_bytes": entry_bytes,
            "entries_per_second": rounded(entries),
            "flushes_of_64_per_second": rounded(sums.many / rounds),
            "growing_flushes_of_64_per_second": rounded(sums.many_growing / rounds),
            "flushes_of_one_per_second": rounded(sums.one / rounds),
            "ratio_to_growing_flushes": rounded(sums.entries / (sums.many_growing * WRITERS as f64)),
            "ratio_to_one_flush_an_entry": rounded(sums.entries / sums.one),
        }),
    }
}

#[derive(Default)]
struct Sums {
    entries: f64,
    many: f64,
    many_growing: f64,
    one: f64,
}

/// No bundle governs a journal that is only written.
struct NoBundles;

impl Bundles for NoBundles {
    fn load(&self, hash: BundleHash) -> Result<Arc<Policy>, BundleError> {
        let reason = "there are none".to_owned();
        Err(BundleError { hash, reason })
    }
}

/// A new journal in a folder.
pub fn begun(data: &Path) -> (Arc<Journal>, ::journal::WriterThread) {
    let clock = Arc::new(SystemClock::new().expect("the clocks"));
    let fleet = "bench".parse().expect("a name");
    ::journal::create(data, fleet, &*clock).expect("a new journal");
    let Opening {
        journal, writer, ..
    } = ::journal::open(data, &NoBundles, clock, "bench").expect("the journal");
    (Arc::new(journal), writer)
}

/// As the daemon's is.
pub fn runtime() -> tokio::runtime::Runtime {
    // As many threads as the signer has.
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(cores.saturating_sub(1).max(1))
        .enable_all()
        .build()
        .expect("a runtime")
}

/// Entries a second of all writers together.
async fn append_for(journal: &Arc<Journal>, duration: Duration) -> f64 {
    let began = Instant::now();
    let writers: Vec<_> = (0..WRITERS)
        .map(|_| {
            let journal = Arc::clone(journal);
            tokio::spawn(async move {
                let mut entries = 0_u64;
                while began.elapsed() < duration {
                    append_one(&journal).await;
                    entries += 1;
                }
                entries
            })
        })
        .collect();
    let mut entries = 0;
    for writer in writers {
        entries += writer.await.expect("a writer");
    }
    entries as f64 / began.elapsed().as_secs_f64()
}

async fn append_one(journal: &Journal) {
    let (sender, answer) = oneshot::channel();
    let reply = Reply::new(move |answer| drop(sender.send(answer)));
    journal.policy_refused("x".repeat(REASON_BYTES), reply);
    answer.await.expect("an answer").expect("a durable entry");
}

/// What an entry takes in a segment.
fn entry_bytes(journal: &Journal) -> usize {
    let last = journal.bodies().durable() - 1;
    let entry = journal.bodies().entry(last).expect("the last entry");
    36 + entry.body.len()
}

/// A group's length on the disk: header, entries, checksum, whole sectors.
fn group_bytes(entries: usize, entry_bytes: usize) -> usize {
    (104 + entries * entry_bytes + 32).next_multiple_of(512)
}

/// Whether a flush finds its bytes in the file already.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Length {
    Kept,
    Grows,
}

/// The disk without a journal.
struct Disk<'a> {
    folder: &'a Path,
}

impl<'a> Disk<'a> {
    fn of(folder: &'a Path) -> Self {
        Self { folder }
    }

    /// Writes and flushes of so many bytes a second, one after the other.
    fn flushes(&self, bytes: usize, length: Length) -> f64 {
        const FILE_BYTES: u64 = 64 * 1024 * 1024;
        let path = self.folder.join("flushes");
        let file = File::create(&path).expect("a file");
        if length == Length::Kept {
            let zeros = vec![0; 1024 * 1024];
            for at in (0..FILE_BYTES).step_by(zeros.len()) {
                file.write_all_at(&zeros, at).expect("room");
            }
            file.sync_all().expect("a flush");
        }
        let group = vec![0xa5; bytes];
        let (began, mut flushes, mut at) = (Instant::now(), 0_u32, 0);
        while began.elapsed() < DURATION {
            file.write_all_at(&group, at).expect("room");
            file.sync_data().expect("a flush");
            flushes += 1;
            at += bytes as u64;
            if length == Length::Kept && at + bytes as u64 > FILE_BYTES {
                at = 0;
            }
        }
        let rate = f64::from(flushes) / began.elapsed().as_secs_f64();
        drop(file);
        std::fs::remove_file(path).expect("the file");
        rate
    }
}
