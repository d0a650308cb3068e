//! Reading the log again while it is open: slowly, from its first entry to its last, and every day anew.
//!
//! A start from a snapshot reads no entry that the snapshot covers, and disks lose bits that nobody reads.
//! What is found stops the journal by the name that it would be sealed by, and leaves a mark, `log.damaged`:
//! the next start reads what it would go past, and is sealed by that name until the damage is gone.

use std::{
    convert::Infallible,
    io,
    ops::ControlFlow,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
        mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    },
    thread::JoinHandle,
    time::Duration,
};

use tx::Time;

use crate::{
    Clock, SealName,
    embedded::EmbeddedReader,
    segment::{DiskAction, DiskError, Fault, Folder, Scrub, Step},
};

/// The mark that damage was found.
const MARK: &str = "log.damaged";
/// When the log was last read whole, in milliseconds since the epoch.
const FINISHED: &str = "scrubbed";
/// Longer than any time is written.
const FINISHED_BYTES_MAX: u64 = 32;

/// Bytes that are read before a pause.
const PART_BYTES: u64 = 512 * 1024;
/// Most bytes in a second, each of which is hashed twice.
const BYTES_PER_SECOND: u64 = 4 * 1024 * 1024;
/// The pauses are at least so many times as long as the work between them: it takes a twentieth of a
/// processor and of a disk at the most.
const PAUSES_PER_WORK: u32 = 19;
/// From the beginning of one reading to that of the next.
const EVERY: Duration = Duration::from_hours(24);
/// When what could not be read is tried again.
const AGAIN: Duration = Duration::from_mins(10);
/// Of the thread: under full load it gets next to nothing.
const NICENESS: i32 = 19;

/// What reading the log again has come to.
#[derive(Debug, Default)]
pub struct Scrubbed {
    entries: AtomicU64,
    finished_millis: AtomicU64,
    damage: OnceLock<Damage>,
}

/// What was found not to be as it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Damage {
    pub(crate) name: SealName,
    pub(crate) reason: String,
}

impl Scrubbed {
    /// As the folder remembers it.
    pub(crate) fn remembered(folder: &Folder) -> Self {
        let scrubbed = Self::default();
        let finished = read_finished(folder).unwrap_or(0);
        scrubbed.finished_millis.store(finished, Ordering::Relaxed);
        scrubbed
    }

    /// How many entries were read again since the start.
    pub fn entries(&self) -> u64 {
        self.entries.load(Ordering::Relaxed)
    }

    /// When all of them had been read the last time, by the machine's clock; nothing before the first.
    pub fn finished(&self) -> Option<Time> {
        match self.finished_millis.load(Ordering::Relaxed) {
            0 => None,
            millis => Some(Time::from_millis(millis)),
        }
    }

    pub(crate) fn damage(&self) -> Option<&Damage> {
        self.damage.get()
    }
}

/// Where the scrubber waits.
pub trait Pauses {
    /// Waits that long; breaks off when it shall end.
    fn pause(&self, length: Duration) -> ControlFlow<()>;
}

/// Reads a journal again.
pub struct Scrubber {
    reader: EmbeddedReader,
    clock: Arc<dyn Clock>,
    scrubbed: Arc<Scrubbed>,
    /// The reading that was begun, and when.
    begun: Option<(Scrub, u64)>,
}

impl std::fmt::Debug for Scrubber {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Scrubber").finish_non_exhaustive()
    }
}

/// What became of a part of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Read { bytes: u64 },
    Finished { begun_millis: u64 },
    Unread,
    Damaged,
}

impl Scrubber {
    pub(crate) fn new(
        reader: EmbeddedReader,
        clock: Arc<dyn Clock>,
        scrubbed: Arc<Scrubbed>,
    ) -> Self {
        Self {
            reader,
            clock,
            scrubbed,
            begun: None,
        }
    }

    /// Reads again and again, in a thread that ends with what this gives.
    ///
    /// # Errors
    /// When the operating system gives no thread.
    pub fn start(self) -> io::Result<ScrubThread> {
        let (over, told) = channel();
        let thread = std::thread::Builder::new()
            .name("scrub".into())
            .spawn(move || {
                yield_to_others();
                self.run(&Told(told));
            })?;
        Ok(ScrubThread {
            over: Some(over),
            thread: Some(thread),
        })
    }

    /// Reads again and again, until a pause breaks off or damage is found.
    pub fn run(mut self, pauses: &dyn Pauses) {
        loop {
            let before = self.millis();
            let part = self.part();
            let now = self.millis();
            let pause = match part {
                Part::Read { bytes } => pause_behind(bytes, since(before, now)),
                Part::Finished { begun_millis } => EVERY.saturating_sub(since(begun_millis, now)),
                Part::Unread => AGAIN,
                Part::Damaged => return,
            };
            if pauses.pause(pause).is_break() {
                return;
            }
        }
    }

    fn millis(&self) -> u64 {
        self.clock.read().boot_millis
    }

    fn part(&mut self) -> Part {
        let now = self.millis();
        let new = || (Scrub::of_all(self.reader.log_reader()), now);
        let (mut scrub, begun_millis) = self.begun.take().unwrap_or_else(new);
        let mut read = 0_u64;
        while read < PART_BYTES {
            match scrub.step() {
                Ok(Step::Read { bytes, entries }) => {
                    self.scrubbed.entries.fetch_add(entries, Ordering::Relaxed);
                    read = read.saturating_add(bytes);
                }
                Ok(Step::Finished { mended }) => {
                    self.finished(mended);
                    return Part::Finished { begun_millis };
                }
                Err(fault) => return self.failed(fault),
            }
        }
        self.begun = Some((scrub, begun_millis));
        Part::Read { bytes: read }
    }

    fn finished(&self, mended: u64) {
        if mended > 0 {
            tracing::warn!(mended, "tiles of the tree were damaged and are made again");
        }
        let millis = self.clock.read().wall_millis;
        self.scrubbed
            .finished_millis
            .store(millis, Ordering::Relaxed);
        let kept = self.folder().put(FINISHED, millis.to_string().as_bytes());
        if let Err(error) = kept {
            let error: &dyn std::error::Error = &error;
            tracing::warn!(error, "when the log was read whole is not remembered");
        }
    }

    /// Damage, or a machine that has no file to give just now.
    fn failed(&self, fault: Fault) -> Part {
        let damage = match fault {
            Fault::Sealed(sealed) => Damage {
                name: sealed.name(),
                reason: sealed.to_string(),
            },
            Fault::Disk(error) if error.action == DiskAction::Read => Damage {
                name: SealName::DiskFailed,
                reason: format!("{error}: {}", error.source),
            },
            Fault::Disk(error) => {
                let error: &dyn std::error::Error = &error;
                tracing::warn!(error, "the log cannot be read again now");
                return Part::Unread;
            }
        };
        tracing::error!(name = %damage.name, reason = damage.reason, "the log is damaged");
        // Before anybody acts upon it: whoever is killed from here on starts with the mark.
        if let Err(error) = mark(self.folder(), &damage) {
            let error: &dyn std::error::Error = &error;
            tracing::error!(
                error,
                "the damage is not marked: the next start may pass it"
            );
        }
        let _first = self.scrubbed.damage.set(damage);
        Part::Damaged
    }

    fn folder(&self) -> &Folder {
        self.reader.folder()
    }
}

fn since(before: u64, now: u64) -> Duration {
    Duration::from_millis(now.saturating_sub(before))
}

/// How long to wait behind so many bytes that took so long.
fn pause_behind(bytes: u64, took: Duration) -> Duration {
    let millis = bytes.saturating_mul(1000).checked_div(BYTES_PER_SECOND);
    let by_rate = Duration::from_millis(millis.unwrap_or(0));
    by_rate.max(took.saturating_mul(PAUSES_PER_WORK))
}

fn yield_to_others() {
    // Linux takes this for the calling thread alone.
    if let Err(error) = rustix::process::setpriority_process(None, NICENESS) {
        tracing::debug!(%error, "the log is read again at full priority");
    }
}

/// A thread that reads a journal again; it ends with this.
#[derive(Debug)]
pub struct ScrubThread {
    /// Gone while it ends.
    over: Option<Sender<Infallible>>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for ScrubThread {
    fn drop(&mut self) {
        self.over = None;
        if let Some(thread) = self.thread.take() {
            // A panic of the thread has aborted the process already.
            let _ended = thread.join();
        }
    }
}

/// Waits until it is told to end, which is by its sender's end.
struct Told(Receiver<Infallible>);

impl Pauses for Told {
    fn pause(&self, length: Duration) -> ControlFlow<()> {
        match self.0.recv_timeout(length) {
            Err(RecvTimeoutError::Timeout) => ControlFlow::Continue(()),
            Err(RecvTimeoutError::Disconnected) => ControlFlow::Break(()),
        }
    }
}

fn mark(folder: &Folder, damage: &Damage) -> Result<(), DiskError> {
    let Damage { name, reason } = damage;
    folder
        .put(MARK, format!("{name}: {reason}\n").as_bytes())
        .map(drop)
}

/// Whether damage was found in the log of a folder, and no start has seen since that it is gone.
pub(crate) fn is_marked(folder: &Folder) -> Result<bool, DiskError> {
    Ok(folder.list()?.iter().any(|name| name == MARK))
}

/// The log was read whole, and is as it was left.
pub(crate) fn unmark(folder: &Folder) -> Result<(), DiskError> {
    folder.remove(MARK)?;
    folder.sync()
}

fn read_finished(folder: &Folder) -> Option<u64> {
    let names = folder.list().ok()?;
    names.iter().find(|name| *name == FINISHED)?;
    let file = folder.open(FINISHED).ok()?;
    let length = file.size_bytes().ok()?;
    let length = usize::try_from(length.min(FINISHED_BYTES_MAX)).ok()?;
    let mut bytes = Vec::new();
    file.read(&mut bytes, length, 0).ok()?;
    std::str::from_utf8(&bytes).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_bound_the_rate_and_the_share() {
        let quick = pause_behind(PART_BYTES, Duration::from_millis(2));
        assert_eq!(quick, Duration::from_millis(125));
        let slow = pause_behind(PART_BYTES, Duration::from_millis(100));
        assert_eq!(slow, Duration::from_millis(1_900));
        assert_eq!(pause_behind(0, Duration::ZERO), Duration::ZERO);
    }
}
