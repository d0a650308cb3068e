//! What a witness keeps of a log's entries for auditors: chunks that it cannot read, in rows without a gap,
//! each written once. `docs/witnesses.md` says what is in them.
//!
//! A log has a folder: the chunks as files, and `index`, a line for each. A line is written once its chunk
//! is durable, and the relay is answered once the line is; a file without a line was never promised.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use sha2::{Digest as _, Sha256};

use super::config::{BodiesConfig, Config};
use super::error::{WitnessError, system};
use super::state::lock;
use crate::bodies::{Kept, Range};
use crate::files::{self, Access, FileError};

const INDEX: &str = "index";
/// The largest index that is read: of some ten thousand million entries.
const INDEX_MAX_BYTES: u64 = 4 << 30;

/// The chunks of all logs of a witness. No other process has the folder while this exists.
#[derive(Debug)]
pub struct Bodies {
    config: BodiesConfig,
    logs: BTreeMap<String, Mutex<Row>>,
    /// Held for its lock.
    _lock: File,
}

/// The chunks of one log.
#[derive(Debug)]
struct Row {
    folder: PathBuf,
    /// Opened to append to.
    index: File,
    /// How long it is, as far as it was promised.
    index_bytes: u64,
    /// Behind the last entry that is kept.
    end: u64,
    /// How many bytes the chunks have together.
    bytes: u64,
    /// What is on the disk is not known after a failure, until the next start.
    trouble: Option<String>,
}

/// What came of a chunk.
#[derive(Debug, PartialEq, Eq)]
pub enum Put {
    /// It is kept now.
    Kept,
    /// It was kept already, byte for byte.
    Already,
}

/// Why a chunk is not kept.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PutError {
    /// No such log.
    #[error("this witness keeps nothing of that log")]
    NoLog,
    /// Something else is kept of these entries.
    #[error("another chunk is kept of entries {range}")]
    Conflict {
        /// The entries of the one that came.
        range: Range,
        /// Where the next one has to begin.
        end: u64,
    },
    /// Entries would be left out.
    #[error("the next chunk begins with entry {end}")]
    Gap {
        /// Where it has to begin.
        end: u64,
    },
    /// It is longer than any may be.
    #[error("a chunk has at most {limit} bytes")]
    TooLarge {
        /// The most.
        limit: u64,
    },
    /// There is no room that chunks may use.
    #[error("there is no room for chunks: {reason}")]
    Full {
        /// Which bound was reached.
        reason: &'static str,
    },
    /// The disk failed earlier, or the index is damaged.
    #[error("no chunk is taken until the witness is started again: {reason}")]
    Stopped {
        /// What happened.
        reason: String,
    },
}

impl PutError {
    /// Its stable name, and the HTTP status.
    pub fn name(&self) -> (&'static str, u16) {
        match self {
            Self::NoLog => ("bodies-no-log", 404),
            Self::Conflict { .. } => ("bodies-conflict", 409),
            Self::Gap { .. } => ("bodies-gap", 409),
            Self::TooLarge { .. } => ("bodies-too-large", 413),
            Self::Full { .. } => ("bodies-full", 507),
            Self::Stopped { .. } => ("bodies-stopped", 503),
        }
    }
}

impl Bodies {
    /// Opens the folder, and makes what is not there yet.
    ///
    /// # Errors
    /// [`WitnessError::File`], [`WitnessError::InUse`]. A damaged index is none: that log's chunks are
    /// stopped, and all else goes on.
    pub fn open(config: &Config, bodies: &BodiesConfig) -> Result<Self, WitnessError> {
        files::private_folder(&bodies.folder).map_err(WitnessError::File)?;
        let held = lock(&bodies.folder)?;
        let mut logs = BTreeMap::new();
        for log in &config.logs {
            let name = hex::encode(Sha256::digest(log.origin.as_str()));
            let row = Row::open(bodies.folder.join(&name))?;
            if let Some(trouble) = &row.trouble {
                super::say(&format!(
                    "keeps no more bodies of {}: {trouble}",
                    log.origin
                ));
            }
            logs.insert(name, Mutex::new(row));
        }
        Ok(Self {
            config: bodies.clone(),
            logs,
            _lock: held,
        })
    }

    /// The most bytes of a chunk.
    pub fn chunk_bytes(&self) -> u64 {
        self.config.chunk_bytes
    }

    /// Whether one of these names, of a certificate, may put.
    pub fn lets_in(&self, uris: &[String]) -> bool {
        self.config.relays.iter().any(|relay| uris.contains(relay))
    }

    fn row(&self, log: &str) -> Option<MutexGuard<'_, Row>> {
        let row = self.logs.get(log)?;
        Some(row.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Where the next chunk of a log has to begin.
    pub fn end(&self, log: &str) -> Option<u64> {
        Some(self.row(log)?.end)
    }

    /// The index of a log as far as it was promised: the file, and how many bytes of it.
    pub fn index(&self, log: &str) -> Option<(PathBuf, u64)> {
        let row = self.row(log)?;
        Some((row.folder.join(INDEX), row.index_bytes))
    }

    /// A chunk's file, which need not be there.
    pub fn chunk(&self, log: &str, range: Range) -> Option<PathBuf> {
        Some(self.row(log)?.folder.join(range.file_name()))
    }

    /// Keeps a chunk. When this returns, no crash forgets it.
    ///
    /// # Errors
    /// [`PutError`]; what was kept before is unchanged.
    pub fn put(&self, log: &str, range: Range, chunk: &[u8]) -> Result<Put, PutError> {
        let limit = self.config.chunk_bytes;
        if chunk.len() as u64 > limit {
            return Err(PutError::TooLarge { limit });
        }
        let others: u64 = self.others(log);
        let mut row = self.row(log).ok_or(PutError::NoLog)?;
        if let Some(reason) = row.trouble.clone() {
            return Err(PutError::Stopped { reason });
        }
        let kept = Kept::of(range, chunk);
        if range.from() != row.end {
            return row.compare(&kept);
        }
        self.room(others.saturating_add(row.bytes), kept.bytes)?;
        row.keep(&kept, chunk).map(|()| Put::Kept)
    }

    /// How many bytes the chunks of all other logs have.
    fn others(&self, log: &str) -> u64 {
        let others = self.logs.iter().filter(|(name, _)| *name != log);
        let bytes = |row: &Mutex<Row>| row.lock().unwrap_or_else(PoisonError::into_inner).bytes;
        others.map(|(_, row)| bytes(row)).sum()
    }

    /// Leaves room on the disk for what cosigning writes.
    fn room(&self, there: u64, more: u64) -> Result<(), PutError> {
        if there.saturating_add(more) > self.config.total_bytes {
            let reason = "total_bytes of the configuration is reached";
            return Err(PutError::Full { reason });
        }
        let disk = rustix::fs::statvfs(&self.config.folder);
        let free = disk.map_or(0, |disk| disk.f_bavail.saturating_mul(disk.f_frsize));
        if free < more.saturating_add(self.config.free_bytes) {
            let reason = "the disk is full, but for free_bytes of the configuration";
            return Err(PutError::Full { reason });
        }
        Ok(())
    }
}

impl Row {
    fn open(folder: PathBuf) -> Result<Self, WitnessError> {
        files::private_folder(&folder).map_err(WitnessError::File)?;
        let path = folder.join(INDEX);
        let mut options = OpenOptions::new();
        options.create(true).read(true).append(true).mode(0o600);
        let index = options.open(&path).map_err(system("the index of bodies"))?;
        let mut row = Self {
            folder,
            index,
            index_bytes: 0,
            end: 0,
            bytes: 0,
            trouble: None,
        };
        if let Err(reason) = row.read() {
            row.trouble = Some(format!("{}: {reason}", path.display()));
        }
        Ok(row)
    }

    /// Reads the index. A last line that was cut off was never promised, and is removed.
    fn read(&mut self) -> Result<(), String> {
        let text = read_index(&mut self.index).map_err(|error| error.to_string())?;
        let whole = text.rfind('\n').map_or(0, |last| last + 1);
        let lines = text.get(..whole).unwrap_or_default();
        for line in lines.lines() {
            let wrong = || format!("line {line:?} does not follow from those before it");
            let kept: Kept = line.parse().map_err(|_| wrong())?;
            if kept.range.from() != self.end {
                return Err(wrong());
            }
            self.end = kept.range.to();
            self.bytes = self.bytes.saturating_add(kept.bytes);
        }
        self.index_bytes = whole as u64;
        if whole < text.len() {
            let cut = self.index.set_len(self.index_bytes);
            cut.and_then(|()| self.index.sync_all())
                .map_err(|error| error.to_string())?;
        }
        Ok(())
    }

    /// Whether a chunk of entries that are kept is the one that is kept.
    fn compare(&mut self, kept: &Kept) -> Result<Put, PutError> {
        let (range, end) = (kept.range, self.end);
        if range.from() > end {
            return Err(PutError::Gap { end });
        }
        let text = read_index(&mut self.index).map_err(|error| PutError::Stopped {
            reason: error.to_string(),
        })?;
        let line = kept.to_string();
        if text.lines().any(|there| there == line) {
            return Ok(Put::Already);
        }
        Err(PutError::Conflict { range, end })
    }

    fn keep(&mut self, kept: &Kept, chunk: &[u8]) -> Result<(), PutError> {
        let path = self.folder.join(kept.range.file_name());
        // What may be there was not promised.
        files::replace(&path, chunk, Access::Secret).map_err(|error| self.failed(&error))?;
        let line = format!("{kept}\n");
        self.index
            .write_all(line.as_bytes())
            .map_err(|error| self.undo(&error))?;
        self.index
            .sync_all()
            .map_err(|error| self.stop(error.to_string()))?;
        self.index_bytes = self.index_bytes.saturating_add(line.len() as u64);
        self.bytes = self.bytes.saturating_add(kept.bytes);
        self.end = kept.range.to();
        Ok(())
    }

    /// Nothing was promised of a chunk that was not written: a full disk may have room later.
    fn failed(&mut self, error: &FileError) -> PutError {
        match error {
            FileError::Io { source, .. } if is_full(source) => FULL,
            other => self.stop(super::chain(other)),
        }
    }

    /// Takes back the part of a line that may be there.
    fn undo(&mut self, error: &io::Error) -> PutError {
        let undone = self.index.set_len(self.index_bytes);
        match undone.and_then(|()| self.index.sync_all()) {
            Ok(()) if is_full(error) => FULL,
            _ => self.stop(error.to_string()),
        }
    }

    /// What is on the disk is not known: until the next start reads it, nothing more is taken.
    fn stop(&mut self, reason: String) -> PutError {
        self.trouble = Some(reason.clone());
        PutError::Stopped { reason }
    }
}

/// The error of a disk that has no room.
const FULL: PutError = PutError::Full {
    reason: "the disk is full",
};

fn is_full(error: &io::Error) -> bool {
    use io::ErrorKind::{QuotaExceeded, StorageFull};
    matches!(error.kind(), StorageFull | QuotaExceeded)
}

fn read_index(index: &mut File) -> io::Result<String> {
    index.seek(SeekFrom::Start(0))?;
    let mut text = String::new();
    index.take(INDEX_MAX_BYTES).read_to_string(&mut text)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use ed25519_dalek::SigningKey;
    use tlog::note::VerifierKey;
    use tlog::witness::Log;

    use super::*;
    use crate::witness::config::Bounds;

    fn config(folder: &Path) -> Config {
        let public = SigningKey::from_bytes(&[7; 32]).verifying_key();
        let key = VerifierKey::new("log.example/a".parse().unwrap(), public.as_bytes());
        let other = VerifierKey::new("log.example/b".parse().unwrap(), public.as_bytes());
        let log = |key: VerifierKey| Log {
            origin: key.name().as_str().parse().unwrap(),
            keys: vec![key],
        };
        Config {
            listen: "127.0.0.1:0".parse().unwrap(),
            key: folder.join("key"),
            data: folder.join("data"),
            tls: None,
            logs: vec![log(key.unwrap()), log(other.unwrap())],
            bounds: Bounds::default(),
            bodies: Some(BodiesConfig {
                folder: folder.join("bodies"),
                relays: vec!["urn:relay".to_owned()],
                chunk_bytes: 100,
                total_bytes: 250,
                free_bytes: 0,
            }),
        }
    }

    fn open(folder: &Path) -> Bodies {
        let config = config(folder);
        Bodies::open(&config, config.bodies.as_ref().unwrap()).unwrap()
    }

    fn range(from: u64, to: u64) -> Range {
        Range::new(from, to).unwrap()
    }

    fn log() -> String {
        hex::encode(Sha256::digest("log.example/a"))
    }

    #[test]
    fn a_range_is_written_once_and_none_is_left_out() {
        let folder = tempfile::tempdir().unwrap();
        let bodies = open(folder.path());
        let log = log();
        let name = |put: Result<Put, PutError>| put.map_err(|error| error.name().0);
        assert_eq!(name(bodies.put(&log, range(0, 7), b"one")), Ok(Put::Kept));
        assert_eq!(
            name(bodies.put(&log, range(0, 7), b"one")),
            Ok(Put::Already)
        );
        for (from, to, error) in [
            (0, 7, "bodies-conflict"),
            (0, 8, "bodies-conflict"),
            (3, 9, "bodies-conflict"),
            (8, 9, "bodies-gap"),
        ] {
            assert_eq!(name(bodies.put(&log, range(from, to), b"two")), Err(error));
        }
        assert_eq!(name(bodies.put(&log, range(7, 8), b"two")), Ok(Put::Kept));
        let unknown = bodies.put(&"0".repeat(64), range(0, 1), b"x");
        assert_eq!(name(unknown), Err("bodies-no-log"));
        assert_eq!(bodies.end(&log), Some(8));
        drop(bodies);
        let bodies = open(folder.path());
        assert_eq!(bodies.end(&log), Some(8));
        assert_eq!(
            name(bodies.put(&log, range(0, 7), b"one")),
            Ok(Put::Already)
        );
        let path = bodies.chunk(&log, range(0, 7)).unwrap();
        assert_eq!(std::fs::read(path).unwrap(), b"one");
    }

    #[test]
    fn there_is_a_bound_for_a_chunk_for_all_and_for_the_disk() {
        let folder = tempfile::tempdir().unwrap();
        let bodies = open(folder.path());
        let name = |put: Result<Put, PutError>| put.map_err(|error| error.name().0);
        let (log, other) = (log(), hex::encode(Sha256::digest("log.example/b")));
        let put = |log: &str, from, bytes| name(bodies.put(log, range(from, from + 1), bytes));
        assert_eq!(put(&log, 0, &[0; 101]), Err("bodies-too-large"));
        assert_eq!(put(&log, 0, &[0; 100]), Ok(Put::Kept));
        assert_eq!(put(&other, 0, &[0; 100]), Ok(Put::Kept));
        assert_eq!(put(&log, 1, &[0; 51]), Err("bodies-full"));
        assert_eq!(put(&log, 1, &[0; 50]), Ok(Put::Kept));
        drop(bodies);
        let mut config = config(folder.path());
        let limits = config.bodies.as_mut().unwrap();
        (limits.total_bytes, limits.free_bytes) = (1000, u64::MAX);
        let bodies = Bodies::open(&config, config.bodies.as_ref().unwrap()).unwrap();
        let full = bodies.put(&log, range(2, 3), b"x");
        assert_eq!(name(full), Err("bodies-full"));
    }

    #[test]
    fn what_was_not_promised_gives_way_and_a_damaged_index_stops_its_log_alone() {
        let folder = tempfile::tempdir().unwrap();
        let (log, other) = (log(), hex::encode(Sha256::digest("log.example/b")));
        let bodies = open(folder.path());
        bodies.put(&log, range(0, 7), b"one").unwrap();
        let (index, _) = bodies.index(&log).unwrap();
        let left = bodies.chunk(&log, range(7, 8)).unwrap();
        drop(bodies);
        // A crash between a chunk and its line, and one within a line.
        std::fs::write(left, b"left").unwrap();
        let whole = std::fs::read_to_string(&index).unwrap();
        std::fs::write(&index, format!("{whole}7-8 4 0a")).unwrap();
        let bodies = open(folder.path());
        assert_eq!(bodies.end(&log), Some(7));
        assert_eq!(bodies.put(&log, range(7, 8), b"two").unwrap(), Put::Kept);
        let lock = Bodies::open(&config(folder.path()), &bodies.config).unwrap_err();
        assert!(matches!(lock, WitnessError::InUse { .. }));
        drop(bodies);
        let text = std::fs::read_to_string(&index).unwrap();
        for damaged in [
            text.replacen("0-7", "0-6", 1),
            text.replacen("7-8", "8-9", 1),
            text.replacen(" 3 ", " x ", 1),
        ] {
            std::fs::write(&index, damaged).unwrap();
            let bodies = open(folder.path());
            let stopped = bodies.put(&log, range(8, 9), b"x").unwrap_err();
            assert_eq!(stopped.name(), ("bodies-stopped", 503));
            assert!(bodies.put(&other, range(0, 1), b"x").is_ok());
            std::fs::remove_dir_all(folder.path().join("bodies").join(&other)).unwrap();
        }
    }
}
