//! The newest signed checkpoint of the journal, who signs the next one, and who waits for it.

use std::{
    path::Path,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use journal::{CheckpointFile, Journal, Remembered};
use keys::KeyId;
use tlog::{checkpoint::SignedCheckpoint, note::VerifierKey};
use tokio::{
    sync::{Notify, Semaphore, SemaphorePermit, watch},
    time::{Instant, timeout, timeout_at},
};

/// How many entries without a checkpoint call for one at once.
const ENTRIES: u64 = 256;
/// How long an entry is without a checkpoint, when fewer are.
const AGE: Duration = Duration::from_secs(1);
/// How old what is remembered may be: less than the time between two that nobody waits for.
const REMEMBER: Duration = Duration::from_millis(100);
/// How many clients wait for a checkpoint at the same time.
const WAITING: usize = 64;

/// What is known of checkpoints.
pub struct Checkpoints {
    newest: watch::Sender<Option<Arc<SignedCheckpoint>>>,
    key: Mutex<Option<LogKey>>,
    trouble: Mutex<Option<String>>,
    alarm: Arc<Alarm>,
    waiting: Semaphore,
    file: CheckpointFile,
    /// How many entries somebody waits to see covered.
    wanted: AtomicU64,
    outside: Mutex<Outside>,
    /// When the newest one was last written to its file.
    remembered: Mutex<Option<Instant>>,
}

/// The newest checkpoint that somebody outside is known to have.
#[derive(Clone, Copy, Debug)]
struct Outside {
    size: u64,
    since: Instant,
}

/// The key that signs the next checkpoint.
#[derive(Clone, Debug)]
pub struct LogKey {
    /// In the device.
    pub id: KeyId,
    /// As verifiers know it.
    pub verifier: VerifierKey,
}

/// Wakes who waits until so many entries are durable: not for each flush, of which there are
/// hundreds a second.
#[derive(Debug, Default)]
struct Alarm {
    entries: AtomicU64,
    rings: Notify,
}

impl Alarm {
    fn tell(&self, durable: u64) {
        if durable >= self.entries.load(Ordering::Acquire) {
            self.rings.notify_one();
        }
    }
}

impl Checkpoints {
    /// Those of a data folder, with what was remembered at its opening.
    pub fn new(data: &Path, remembered: Remembered) -> Self {
        let newest = match remembered {
            Remembered::Nothing => None,
            Remembered::Signed(signed) => Some(Arc::new(*signed)),
            Remembered::Unusable { reason } => {
                tracing::warn!(reason, "the file checkpoint counts for nothing");
                None
            }
        };
        Self {
            newest: watch::Sender::new(newest),
            key: Mutex::default(),
            trouble: Mutex::default(),
            alarm: Arc::default(),
            waiting: Semaphore::new(WAITING),
            file: CheckpointFile::of(data),
            wanted: AtomicU64::new(0),
            outside: Mutex::new(Outside {
                size: 0,
                since: Instant::now(),
            }),
            remembered: Mutex::default(),
        }
    }

    /// Lets the journal ring when there are entries to cover.
    pub fn watch(&self, journal: &Journal) {
        let alarm = Arc::clone(&self.alarm);
        journal.watch(move |durable| alarm.tell(durable));
    }

    /// The newest one.
    pub fn newest(&self) -> Option<Arc<SignedCheckpoint>> {
        self.newest.borrow().clone()
    }

    /// How many entries the newest one covers.
    pub fn covered(&self) -> u64 {
        let newest = self.newest.borrow();
        newest.as_ref().map_or(0, |newest| newest.head().size)
    }

    /// How many entries call for another one.
    pub fn uncovered(&self, journal: &Journal) -> u64 {
        let to_cover = journal.state().entries_to_cover();
        to_cover.saturating_sub(self.covered())
    }

    /// The key that signs the next one.
    pub fn key(&self) -> Option<LogKey> {
        lock(&self.key).clone()
    }

    /// From here on, this key signs.
    pub fn set_key(&self, key: LogKey) {
        *lock(&self.key) = Some(key);
        self.alarm.rings.notify_one();
    }

    /// Why the last one was not made, if it was not.
    pub fn trouble(&self) -> Option<String> {
        lock(&self.trouble).clone()
    }

    /// Says why the last one was not made.
    pub fn set_trouble(&self, trouble: String) {
        *lock(&self.trouble) = Some(trouble);
    }

    /// Takes the newest one into service. Who waits for it does not wait for the disk.
    pub fn publish(&self, signed: SignedCheckpoint) -> Arc<SignedCheckpoint> {
        *lock(&self.trouble) = None;
        let signed = Arc::new(signed);
        self.newest.send_replace(Some(Arc::clone(&signed)));
        if !self.is_remembered_lately()
            && let Err(error) = self.file.put(&signed)
        {
            tracing::warn!(error = %error, "the newest checkpoint is not remembered");
        }
        signed
    }

    /// Whether the file is new enough: where answers wait, hundreds are made a second, and to replace a
    /// file each time costs the disk more than the entries do.
    fn is_remembered_lately(&self) -> bool {
        let mut remembered = lock(&self.remembered);
        let lately = remembered.is_some_and(|at| at.elapsed() < REMEMBER);
        if !lately {
            *remembered = Some(Instant::now());
        }
        lately
    }

    /// Shows the cosignatures of the newest one, if it still is.
    pub fn cosigned(&self, signed: SignedCheckpoint) {
        self.newest.send_if_modified(|newest| {
            let same = newest
                .as_ref()
                .is_some_and(|one| one.head() == signed.head());
            if same {
                *newest = Some(Arc::new(signed));
            }
            same
        });
    }

    /// Makes a checkpoint due that covers the entry.
    pub fn hurry(&self, entry: u64) {
        let wanted = entry.saturating_add(1);
        if self.wanted.fetch_max(wanted, Ordering::AcqRel) < wanted {
            self.alarm.rings.notify_one();
        }
    }

    /// Notes that somebody outside has a checkpoint of that size.
    pub fn is_outside(&self, size: u64) {
        let mut outside = lock(&self.outside);
        if size >= outside.size {
            let since = Instant::now();
            *outside = Outside { size, since };
        }
    }

    /// How many of so many entries nobody outside is known to have seen in a checkpoint, and since when.
    pub fn exposed(&self, to_cover: u64) -> (u64, Duration) {
        let outside = *lock(&self.outside);
        match to_cover.saturating_sub(outside.size) {
            0 => (0, Duration::ZERO),
            entries => (entries, outside.since.elapsed()),
        }
    }

    /// Keeps what shows that the journal is not as it was left.
    pub fn keep_evidence(&self, foreign: &SignedCheckpoint) {
        if let Err(error) = self.file.put_evidence(foreign) {
            tracing::error!(error = %error, "the evidence is not kept: the next start will not know of it");
        }
    }

    /// Waits until a further checkpoint is due, and there is a key for it: at once where an answer waits
    /// for it.
    pub async fn until_due(&self, journal: &Journal) {
        while self.key().is_none() || !self.is_any_uncovered(journal) {
            self.alarm.rings.notified().await;
        }
        let full = self.covered().saturating_add(ENTRIES);
        self.alarm.entries.store(full, Ordering::Release);
        let filling = async {
            while self.uncovered(journal) < ENTRIES && !self.is_wanted() {
                self.alarm.rings.notified().await;
            }
        };
        let now = Instant::now();
        // Full or of age: it is due.
        let _which = timeout_at(now.checked_add(AGE).unwrap_or(now), filling).await;
    }

    fn is_wanted(&self) -> bool {
        self.wanted.load(Ordering::Acquire) > self.covered()
    }

    /// Whether there is an entry to cover; if not, the next one rings.
    fn is_any_uncovered(&self, journal: &Journal) -> bool {
        let (entries, to_cover) = {
            let state = journal.state();
            (state.entries(), state.entries_to_cover())
        };
        let next = entries.saturating_add(1);
        self.alarm.entries.store(next, Ordering::Release);
        to_cover > self.covered()
    }

    /// A place among those who wait.
    pub fn place(&self) -> Option<SemaphorePermit<'_>> {
        self.waiting.try_acquire().ok()
    }

    /// The newest one, once it covers the entry, for `patience` at most.
    pub async fn covering(&self, entry: u64, patience: Duration) -> Option<Arc<SignedCheckpoint>> {
        let mut newest = self.newest.subscribe();
        let covers = |newest: &Option<Arc<SignedCheckpoint>>| {
            newest.as_ref().is_some_and(|one| one.head().size > entry)
        };
        let found = timeout(patience, newest.wait_for(covers))
            .await
            .ok()?
            .ok()?;
        found.clone()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
