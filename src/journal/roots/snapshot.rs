//! Snapshots: from which a start goes on without folding what is before.
//!
//! A snapshot says what a state root was computed from, where in the log to go on, and brings a signed
//! checkpoint of a tree that has the root's entry. It is believed where what it names comes to that root,
//! the log has the root, the checkpoint is signed by a key of the log, and cosigned where the bundle named
//! witnesses by then. Another one is refused, loudly, and the whole log is folded instead: whatever is
//! wrong with a snapshot, the log says what the state is. A log without the checkpoint's tree is not the one
//! that the snapshot was made of, and sealed.
//!
//! # Format 2, integers big-endian
//! ```text
//! magic "SRSNAPSH" | version u32 | log id 32
//! | roots u32, for each: covers u64, hash 32
//! | hot state: bytes u32, the bytes
//! | charge state: bytes u32, the bytes
//! | map: runs u32, for each: first u64, end u64, entries u64, rows 32, filter 32
//! | landmarks: bytes u32, the bytes; none where the log has no earlier segment
//! | checkpoint: bytes u32, the note | check("strongroom-snapshot-v1", the file so far) 32
//! ```
//! Of the roots the last is the snapshot's own; those before it are not among the entries it covers.

use std::{error::Error, iter, sync::Arc};

use policy::{ChargeState, Digest, HotState, KeptBlocks, State, StateRoot};
use thiserror::Error;
use tlog::TreeHead;

use super::{hash, settled_rows};
use crate::{
    charges::{ChargeFiles, OpenCharges},
    disk::Disk,
    known,
    map::{Map, MapHead, RunHead},
    segment::{DiskError, Fields, Folder, Landmarks, LogId, check},
};

/// The file's name.
pub(crate) const NAME: &str = "snapshot";

/// What it is called once something that it names was found damaged, or it is of a log that is lost.
const REFUSED: &str = "snapshot.refused";

const MAGIC: [u8; 8] = *b"SRSNAPSH";
const VERSION: u32 = 2;
const LABEL: &str = "strongroom-snapshot-v1";
/// More than any snapshot has.
const BYTES_MAX: usize = 1024 * 1024 * 1024;

/// What a start found of a snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SnapshotUse {
    /// There is none: the whole log was folded.
    Absent,
    /// The start went on from it.
    Used {
        /// How many entries it is of.
        covers: u64,
        /// The first entry that was read.
        read_from: u64,
    },
    /// It is not believed: the whole log was folded.
    Refused {
        /// Why.
        reason: String,
    },
}

impl SnapshotUse {
    /// The first entry that was read; 0 where all were.
    pub(crate) const fn read_from(&self) -> u64 {
        match self {
            Self::Used { read_from, .. } => *read_from,
            Self::Absent | Self::Refused { .. } => 0,
        }
    }
}

/// Why a snapshot is not believed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SnapshotError {
    /// It cannot be read.
    #[error("it cannot be read")]
    Disk(#[source] DiskError),
    /// It is none.
    #[error("it is damaged, of another log, or of another version")]
    Form,
    /// What it names is gone or damaged.
    #[error("what it names is not there as it was: {reason}")]
    Kept {
        /// What.
        reason: String,
    },
    /// The disk does not say whether what it names, or what follows it, is there.
    #[error("the disk does not read or write: {reason}")]
    Unread {
        /// What.
        reason: String,
    },
    /// What it names comes to another root.
    #[error("what it names does not come to the root that it says")]
    Root,
    /// The bundle that governed is not there, or not the one.
    #[error("the policy that governed does not govern: {reason}")]
    Policy {
        /// Why.
        reason: String,
    },
    /// The log does not go on from it.
    #[error("the log does not follow from it: {reason}")]
    Log {
        /// Why.
        reason: String,
    },
    /// The log does not have its root.
    #[error("the log does not have its root")]
    NoRoot,
    /// The checkpoint is not the log's.
    #[error("its checkpoint is not signed by a key of the log: {reason}")]
    Checkpoint {
        /// Why.
        reason: String,
    },
    /// The checkpoint is too old for it.
    #[error("its checkpoint does not cover the entry of its root")]
    Uncovered,
    /// The log is shorter than its checkpoint.
    #[error("its checkpoint is of {said} entries, and the log has {found}")]
    Newer {
        /// How many the checkpoint is of.
        said: u64,
        /// How many there are.
        found: u64,
    },
    /// The log is another than its checkpoint says.
    #[error("its checkpoint has another history than the log")]
    Forked,
    /// Too few witnesses have cosigned the checkpoint.
    #[error("its checkpoint is not cosigned by as many witnesses as a bundle asks for")]
    Unwitnessed,
}

/// What a root was computed from.
#[derive(Clone, Debug)]
pub(crate) struct Content {
    /// Those that are not among the entries; the last is the root itself.
    pub(crate) roots: Vec<StateRoot>,
    pub(crate) hot: HotState,
    pub(crate) charges: ChargeState,
    pub(crate) map: MapHead,
}

impl Content {
    pub(crate) fn covers(&self) -> u64 {
        self.hot.entries()
    }

    /// The file; none of what is longer than any can be.
    pub(crate) fn encode(
        &self,
        log: &LogId,
        landmarks: Option<&Landmarks>,
        note: &[u8],
    ) -> Option<Vec<u8>> {
        let mut file = Vec::new();
        file.extend(MAGIC);
        file.extend(VERSION.to_be_bytes());
        file.extend(log.as_bytes());
        put_length(&mut file, self.roots.len())?;
        for root in &self.roots {
            file.extend(root.covers.to_be_bytes());
            file.extend(root.hash.0);
        }
        put(&mut file, &self.hot.encode().ok()?)?;
        put(&mut file, &self.charges.encode())?;
        put_length(&mut file, self.map.runs.len())?;
        for run in &self.map.runs {
            for number in [run.first, run.end, run.entries] {
                file.extend(number.to_be_bytes());
            }
            file.extend(run.rows.as_bytes());
            file.extend(run.filter.as_bytes());
        }
        match landmarks {
            Some(landmarks) => put(&mut file, &landmarks.encode()?)?,
            None => put_length(&mut file, 0)?,
        }
        put(&mut file, note)?;
        file.extend(check(LABEL, log, &file));
        (file.len() <= BYTES_MAX).then_some(file)
    }
}

fn put_length(file: &mut Vec<u8>, length: usize) -> Option<()> {
    file.extend(u32::try_from(length).ok()?.to_be_bytes());
    Some(())
}

fn put(file: &mut Vec<u8>, bytes: &[u8]) -> Option<()> {
    put_length(file, bytes.len())?;
    file.extend(bytes);
    Some(())
}

/// A snapshot as it stands in its file.
pub(crate) struct Snapshot {
    pub(crate) content: Content,
    pub(crate) landmarks: Option<Landmarks>,
    pub(crate) note: Vec<u8>,
}

/// A state that a snapshot says, which comes to its root.
pub(crate) struct Thawed {
    pub(crate) state: State,
    pub(crate) map: Arc<Map>,
    pub(crate) charges: ChargeFiles,
    pub(crate) content: Content,
}

impl Snapshot {
    /// What its checkpoint says that the log contains, whoever signed it: as with a checkpoint that is
    /// remembered, the log has yet to say whose signatures count.
    pub(crate) fn head(&self) -> Option<TreeHead> {
        known::Found::of(self.note.clone()).head()
    }

    /// The one of a folder, if there is any.
    ///
    /// # Errors
    /// [`SnapshotError`].
    pub(crate) fn read(disk: &Arc<dyn Disk>, log: &LogId) -> Result<Option<Self>, SnapshotError> {
        let folder = Folder::new(Arc::clone(disk));
        let names = folder.list().map_err(SnapshotError::Disk)?;
        if !names.iter().any(|name| name == NAME) {
            return Ok(None);
        }
        let file = folder.open(NAME).map_err(SnapshotError::Disk)?;
        let length = file.size_bytes().map_err(SnapshotError::Disk)?;
        let length = usize::try_from(length).ok();
        let length = length.filter(|length| *length <= BYTES_MAX);
        let mut bytes = Vec::new();
        let read = file.read(&mut bytes, length.ok_or(SnapshotError::Form)?, 0);
        read.map_err(SnapshotError::Disk)?;
        Self::decode(&bytes, log)
            .map(Some)
            .ok_or(SnapshotError::Form)
    }

    /// Puts that of a folder aside, durably: the next start folds the whole log.
    ///
    /// # Errors
    /// [`DiskError`].
    pub(crate) fn put_aside(folder: &Folder) -> Result<(), DiskError> {
        match folder.list()?.iter().any(|name| name == NAME) {
            true => folder.rename(NAME, REFUSED),
            false => Ok(()),
        }
    }

    fn decode(file: &[u8], log: &LogId) -> Option<Self> {
        let (checked, sum) = file.split_last_chunk::<32>()?;
        let mut fields = Fields::of(checked);
        let known = fields.array() == Some(MAGIC)
            && fields.u32() == Some(VERSION)
            && fields.array() == Some(*log.as_bytes())
            && check(LABEL, log, checked) == *sum;
        if !known {
            return None;
        }
        let roots = (0..fields.length()?).map(|_| root(&mut fields));
        let content = Content {
            roots: roots.collect::<Option<_>>()?,
            hot: HotState::decode(taken(&mut fields)?).ok()?,
            charges: ChargeState::decode(taken(&mut fields)?).ok()?,
            map: map_head(&mut fields)?,
        };
        let landmarks = match taken(&mut fields)? {
            [] => None,
            bytes => Some(Landmarks::decode(bytes)?),
        };
        let note = taken(&mut fields)?.to_vec();
        let is_whole = fields.0.is_empty()
            && content.roots.last().map(|root| root.covers) == Some(content.covers());
        is_whole.then_some(Self {
            content,
            landmarks,
            note,
        })
    }
}

impl Content {
    /// What it says, as far as its files have it.
    ///
    /// # Errors
    /// [`SnapshotError`].
    pub(crate) fn thaw(self, disk: &Arc<dyn Disk>, log: LogId) -> Result<Thawed, SnapshotError> {
        let covers = self.covers();
        let hot = self.hot.hash().map_err(|_long| SnapshotError::Form)?;
        let found = hash(covers, hot, &self.map, self.charges.hash());
        if self.roots.last().map(|root| root.hash) != Some(found) {
            return Err(SnapshotError::Root);
        }
        let map = Map::open(Arc::clone(disk), log, &self.map);
        let map = Arc::new(map.map_err(|error| kept(&error))?);
        let opened = ChargeFiles::open(Arc::clone(disk), log, &self.charges);
        let OpenCharges { files, summaries } = opened.map_err(|error| kept(&error))?;
        let blocks = KeptBlocks {
            summaries,
            reader: files.reader(),
        };
        let state = State::settled_at(self.hot.clone(), self.charges.clone(), blocks);
        let mut state = state.map_err(|error| kept(&error))?;
        state.read_settled(settled_rows(&map));
        Ok(Thawed {
            state,
            map,
            charges: files,
            content: self,
        })
    }
}

fn kept(error: &(dyn Error + 'static)) -> SnapshotError {
    SnapshotError::unless_unread(error, |reason| SnapshotError::Kept { reason })
}

impl SnapshotError {
    /// That something does not hold, where it is not the disk that does not say.
    pub(crate) fn unless_unread(
        error: &(dyn Error + 'static),
        other: impl FnOnce(String) -> Self,
    ) -> Self {
        let reason = crate::writer::stopped(error).reason.to_string();
        let mut causes = iter::successors(Some(error), |&error| error.source());
        let is_unread = |error: &DiskError| !error.is_absence();
        match causes.any(|error| error.downcast_ref().is_some_and(is_unread)) {
            true => Self::Unread { reason },
            false => other(reason),
        }
    }

    /// Whether it says nothing about the snapshot, which may hold another time.
    pub(crate) fn is_unread(&self) -> bool {
        match self {
            Self::Disk(error) => !error.is_absence(),
            Self::Unread { .. } => true,
            _ => false,
        }
    }
}

fn taken<'a>(fields: &mut Fields<'a>) -> Option<&'a [u8]> {
    let bytes = fields.length()?;
    fields.take(bytes)
}

fn root(fields: &mut Fields<'_>) -> Option<StateRoot> {
    Some(StateRoot {
        v: StateRoot::VERSION,
        covers: fields.u64()?,
        hash: Digest(fields.array()?),
    })
}

fn map_head(fields: &mut Fields<'_>) -> Option<MapHead> {
    let runs = (0..fields.length()?).map(|_| {
        Some(RunHead {
            first: fields.u64()?,
            end: fields.u64()?,
            entries: fields.u64()?,
            rows: fields.hash()?,
            filter: fields.hash()?,
        })
    });
    Some(MapHead {
        runs: runs.collect::<Option<_>>()?,
    })
}
