//! The newest checkpoint that this machine remembers: the file `checkpoint` of the data folder.
//!
//! Nothing rests on the file: without it, or with one that cannot be read, a journal opens as it
//! would. Where it is readable, the log must contain it, so that a restored older copy of the
//! segments and the anchor is found when the file was left as it was.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use tlog::{
    TreeHead,
    checkpoint::{Checkpoint, Origin, SignedCheckpoint},
    note::{MAX_NOTE_BYTES, Note, VerifierKey},
};

use crate::disk::Disk;

/// The file's name.
pub(crate) const NAME: &str = "checkpoint";
/// What it is called once officers accepted that it is lost.
pub(crate) const LOST: &str = "checkpoint.lost";
/// While it is being written. Opening removes what is left of it.
const TEMPORARY: &str = "checkpoint.tmp";

/// What was remembered when a journal was opened. The log contains it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Remembered {
    /// Nothing.
    Nothing,
    /// What is no checkpoint, or not signed by a key of this log. It counts for nothing.
    Unusable {
        /// Why.
        reason: String,
    },
    /// A checkpoint of this log.
    Signed(Box<SignedCheckpoint>),
}

/// What stands in the file, before the log is known.
pub(crate) enum Found {
    Nothing,
    Unreadable(String),
    Note { bytes: Vec<u8>, head: TreeHead },
}

impl Found {
    pub(crate) fn read(disk: &dyn Disk) -> io::Result<Self> {
        if !disk.list()?.iter().any(|name| name == NAME) {
            return Ok(Self::Nothing);
        }
        let file = disk.open(NAME)?;
        let length = usize::try_from(file.size_bytes()?).unwrap_or(usize::MAX);
        if length > MAX_NOTE_BYTES {
            return Ok(Self::Unreadable(format!("it has {length} bytes")));
        }
        let mut bytes = vec![0; length];
        file.read_exact_at(&mut bytes, 0)?;
        Ok(Self::of(bytes))
    }

    pub(crate) fn of(bytes: Vec<u8>) -> Self {
        let note = match Note::parse(&bytes) {
            Ok(note) => note,
            Err(error) => return Self::Unreadable(error.to_string()),
        };
        match note.text().parse::<Checkpoint>() {
            Ok(checkpoint) => Self::Note {
                bytes,
                head: *checkpoint.head(),
            },
            Err(error) => Self::Unreadable(error.to_string()),
        }
    }

    /// What the log must contain. The signature is looked at only once the log is read, since the log
    /// says whose signatures count: an older copy of it may not know the key yet.
    pub(crate) fn head(&self) -> Option<TreeHead> {
        match self {
            Self::Note { head, .. } => Some(*head),
            Self::Nothing | Self::Unreadable(_) => None,
        }
    }

    pub(crate) fn verify(self, origin: &Origin, keys: &[VerifierKey]) -> Remembered {
        let unusable = |reason| Remembered::Unusable { reason };
        match self {
            Self::Nothing => Remembered::Nothing,
            Self::Unreadable(reason) => unusable(reason),
            Self::Note { bytes, .. } => match SignedCheckpoint::open(&bytes, origin, keys) {
                Ok(signed) => Remembered::Signed(Box::new(signed)),
                Err(error) => unusable(error.to_string()),
            },
        }
    }
}

/// Where checkpoints are remembered.
#[derive(Debug)]
pub struct CheckpointFile {
    folder: PathBuf,
    holds: Mutex<Holds>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Holds {
    /// The log's own newest, which the next one replaces.
    Newest,
    /// What shows that the log is not as it was left: nothing replaces it.
    Evidence,
}

impl CheckpointFile {
    /// That of a data folder.
    pub fn of(data: &Path) -> Self {
        Self {
            folder: data.into(),
            holds: Mutex::new(Holds::Newest),
        }
    }

    /// Remembers the log's own newest, whole or not at all. Durable when the system pleases: a flush
    /// each would take the disk from the entries, and an older one is as true.
    ///
    /// # Errors
    /// As the operating system reports them.
    pub fn put(&self, newest: &SignedCheckpoint) -> io::Result<()> {
        let holds = self.holds.lock().unwrap_or_else(PoisonError::into_inner);
        match *holds {
            Holds::Newest => self.write(newest).map(drop),
            Holds::Evidence => Ok(()),
        }
    }

    /// Remembers for good a checkpoint that the log does not contain, so that it is sealed at its next
    /// opening too.
    ///
    /// # Errors
    /// As the operating system reports them.
    pub fn put_evidence(&self, foreign: &SignedCheckpoint) -> io::Result<()> {
        let mut holds = self.holds.lock().unwrap_or_else(PoisonError::into_inner);
        *holds = Holds::Evidence;
        self.write(foreign)?.sync_all()?;
        File::open(&self.folder)?.sync_all()
    }

    fn write(&self, checkpoint: &SignedCheckpoint) -> io::Result<File> {
        let temporary = self.folder.join(TEMPORARY);
        let mut file = File::create(&temporary)?;
        file.write_all(checkpoint.to_string().as_bytes())?;
        fs::rename(temporary, self.folder.join(NAME))?;
        Ok(file)
    }
}
