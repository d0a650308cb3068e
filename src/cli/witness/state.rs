//! What a witness has cosigned last of each log: one file a log, with two copies ([`super::copies`]), of which one
//! is durable before anything is signed.
//!
//! ```text
//! strongroom-witness-v2
//! <the witness's key>
//! <the log's origin>
//!
//! <the checkpoint, nothing before the first>
//! ```
//!
//! A file that is missing, damaged in both copies or another's is never made good by itself: a witness that forgot
//! what it has cosigned contradicts itself.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use sha2::{Digest, Sha256};
use tlog::checkpoint::{Checkpoint, Origin, SignedCheckpoint};
use tlog::cosignature::WitnessKey;
use tlog::note::{MAX_NOTE_BYTES, Note};
use tlog::witness::Log;
use tlog::{TreeHead, empty_root};

use super::config::Config;
use super::copies::{Copies, Unopened};
use super::error::{WitnessError, system};
use super::key::Secret;
use crate::files::{self, FileError};

const HEADER: &str = "strongroom-witness-v2";
/// A note, and the lines before it.
const TEXT_BYTES: usize = MAX_NOTE_BYTES + 4096;

/// The state of all logs of one witness. No other process has the folder while this exists.
#[derive(Debug)]
pub struct Folder {
    logs: BTreeMap<Origin, Mutex<Kept>>,
    /// Held for its lock.
    _lock: File,
}

/// The state of one log.
#[derive(Debug)]
pub struct Kept {
    log: Log,
    witness: WitnessKey,
    copies: Copies,
    latest: TreeHead,
    note: String,
}

impl Folder {
    /// Makes the state of every log that has none. Answers which.
    ///
    /// # Errors
    /// [`WitnessError`].
    pub fn begin(config: &Config) -> Result<Vec<String>, WitnessError> {
        let key = Secret::read(&config.key)?;
        files::private_folder(&config.data).map_err(WitnessError::File)?;
        let _lock = lock(&config.data)?;
        let mut begun = Vec::new();
        for log in &config.logs {
            let text = text(key.public(), &log.origin, "");
            let path = path(&config.data, &log.origin);
            match Copies::create(&path, TEXT_BYTES, &text) {
                Ok(()) => begun.push(log.origin.to_string()),
                Err(FileError::Exists { .. }) => {}
                Err(error) => return Err(WitnessError::File(error)),
            }
        }
        Ok(begun)
    }

    /// Reads the state of every log.
    ///
    /// # Errors
    /// [`WitnessError::InUse`], [`WitnessError::Missing`], [`WitnessError::State`]: nothing may be cosigned.
    pub fn open(config: &Config, witness: &WitnessKey) -> Result<Self, WitnessError> {
        let folder = lock(&config.data)?;
        let mut logs = BTreeMap::new();
        for log in &config.logs {
            let kept = Kept::read(&config.data, log, witness)?;
            logs.insert(log.origin.clone(), Mutex::new(kept));
        }
        Ok(Self {
            logs,
            _lock: folder,
        })
    }

    /// The state of a log, alone: who holds it decides, keeps and signs before another one may.
    pub fn log(&self, origin: &Origin) -> Option<MutexGuard<'_, Kept>> {
        let kept = self.logs.get(origin)?;
        Some(kept.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Makes the second copy of the states of all logs, which wait for it if they are asked meanwhile.
    ///
    /// # Errors
    /// [`WitnessError::File`]: nothing more may be signed of that log.
    pub fn settle(&self) -> Result<(), WitnessError> {
        let mut logs = self.logs.keys();
        logs.try_for_each(|origin| match self.log(origin) {
            Some(mut kept) if kept.is_whole() => kept.settle(),
            _ => Ok(()),
        })
    }

    /// The state of the log of whose origin this is the SHA-256, in hexadecimal.
    pub fn named(&self, hash: &str) -> Option<MutexGuard<'_, Kept>> {
        let mut origins = self.logs.keys();
        let origin = origins.find(|origin| file_name(origin) == hash)?;
        self.log(origin)
    }
}

impl Kept {
    fn read(folder: &Path, log: &Log, witness: &WitnessKey) -> Result<Self, WitnessError> {
        let path = path(folder, &log.origin);
        if !path.exists() {
            return Err(WitnessError::Missing {
                origin: log.origin.to_string(),
                path,
            });
        }
        let damaged = |reason| WitnessError::State {
            path: path.clone(),
            reason,
        };
        let copies = Copies::open(&path, TEXT_BYTES).map_err(|unopened| match unopened {
            Unopened::File(error) => WitnessError::File(error),
            Unopened::Damaged(reason) => damaged(reason),
        })?;
        let (latest, note) = parse(copies.text(), witness, &log.origin).map_err(damaged)?;
        Ok(Self {
            log: log.clone(),
            witness: witness.clone(),
            copies,
            latest,
            note,
        })
    }

    /// The log.
    pub fn log(&self) -> &Log {
        &self.log
    }

    /// The latest head that was cosigned, or kept to be.
    pub fn latest(&self) -> &TreeHead {
        &self.latest
    }

    /// The checkpoint of it as a note; nothing before the first.
    pub fn note(&self) -> &str {
        &self.note
    }

    /// Whether what is on the disk is known. After a failed write it is not, until the next start.
    pub fn is_whole(&self) -> bool {
        self.copies.is_whole()
    }

    /// Keeps a checkpoint as the latest one. When this returns, no crash forgets it.
    ///
    /// # Errors
    /// [`WitnessError::File`]: nothing may be signed from here on.
    pub fn keep(&mut self, signed: &SignedCheckpoint) -> Result<(), WitnessError> {
        if signed.head() == &self.latest && !self.note.is_empty() {
            return Ok(());
        }
        let note = signed.to_string();
        let text = text(&self.witness, &self.log.origin, &note);
        self.copies.put(text).map_err(WitnessError::File)?;
        self.latest = *signed.head();
        self.note = note;
        Ok(())
    }

    /// Makes the second copy of what is kept.
    ///
    /// # Errors
    /// As [`Kept::keep`].
    pub fn settle(&mut self) -> Result<(), WitnessError> {
        self.copies.settle().map_err(WitnessError::File)
    }
}

/// Locks a file or folder that is there, or says who is not let in.
pub(super) fn lock(path: &Path) -> Result<File, WitnessError> {
    let file = OpenOptions::new().read(true).open(path);
    let file = file.map_err(system("the folder or the key"))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(WitnessError::InUse {
            path: path.to_owned(),
        }),
        Err(TryLockError::Error(source)) => Err(system("a lock")(source)),
    }
}

fn path(folder: &Path, origin: &Origin) -> PathBuf {
    folder.join(file_name(origin))
}

fn file_name(origin: &Origin) -> String {
    hex::encode(Sha256::digest(origin.as_str()))
}

fn text(witness: &WitnessKey, origin: &Origin, note: &str) -> String {
    format!("{HEADER}\n{witness}\n{origin}\n\n{note}")
}

/// The head and the note of a state. Its signature was verified before it was kept; the log's keys may
/// be others by now.
fn parse(
    text: &str,
    witness: &WitnessKey,
    origin: &Origin,
) -> Result<(TreeHead, String), &'static str> {
    let (head, note) = text.split_once("\n\n").ok_or("it has no state")?;
    let lines: Vec<&str> = head.split('\n').collect();
    let [header, by, of] = lines.as_slice() else {
        return Err("it has not the lines of a state");
    };
    if *header != HEADER {
        return Err("it is of another version");
    }
    if *by != witness.to_string() {
        return Err("it is the state of a witness with another key");
    }
    if *of != origin.as_str() {
        return Err("it is the state of another log");
    }
    if note.is_empty() {
        let root = empty_root();
        return Ok((TreeHead { size: 0, root }, String::new()));
    }
    let parsed = Note::parse(note.as_bytes()).map_err(|_| "its checkpoint is no note")?;
    let checkpoint: Checkpoint = parsed
        .text()
        .parse()
        .map_err(|_| "its checkpoint is none")?;
    if checkpoint.origin() != origin {
        return Err("its checkpoint is another log's");
    }
    Ok((*checkpoint.head(), note.to_owned()))
}
