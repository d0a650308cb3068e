//! The Merkle map: what is remembered for ever, on disk and bound by one hash.
//!
//! Intents, spent keys, first payments never end. They are kept in immutable files, *runs*, sorted
//! by key. A batch of changes makes a new run; runs of equal span are merged, so that there are few,
//! as many as the number of batches has ones in binary. Which runs there are, and every byte of them,
//! follows from the batches alone: two signers with the same history have the same [`MapHead`].
//!
//! Nothing that is read is believed: a block is checked against its hash whenever it is read, the
//! hashes and the filter when the run is opened, against the head. So a flipped bit is an error and
//! never an absence, and an absence is as sure as the head.
//!
//! # Format 1 of a run, integers big-endian
//! ```text
//! blocks: entries in the order of their keys: key 32 | value's bytes u32 | value
//! index:  for each block: first key 32 | offset u64 | bytes u32 | SHA-256 of the block 32
//! filter: bits, in which each key has eight
//! footer: magic "SRMAPRUN" 8 | version u32 | log id 32 | first batch u64 | end batch u64 | entries u64
//!         | blocks u64 | index's offset u64 | filter's offset u64 | filter's bytes u64
//!         | root over the index's rows (RFC 6962) 32 | SHA-256 of the filter 32 | check("strongroom-map-run-v1", footer so far) 32
//! ```

mod batch;
mod filter;
mod merge;
mod row;
mod run;
mod write;

use std::{collections::BTreeSet, fmt, sync::Arc};

use sha2::{Digest, Sha256};
use thiserror::Error;
use tlog::Hash;

pub use self::batch::batch;
use self::run::Run;
use crate::{
    disk::Disk,
    segment::{DiskError, Folder, LogId},
};

/// The most bytes that a value may have.
pub const MAX_VALUE_BYTES: usize = 1024 * 1024;

const HEAD_LABEL: &str = "strongroom-map-v1";

/// The key of a value: a hash of what it stands for, so that keys are spread evenly.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MapKey([u8; 32]);

impl MapKey {
    /// The key of `name` among the things of one kind: SHA-256(kind || 0x00 || name).
    pub fn of(kind: &str, name: &[u8]) -> Self {
        let hash = Sha256::new()
            .chain_update(kind)
            .chain_update([0])
            .chain_update(name);
        Self(hash.finalize().into())
    }

    /// The 32 bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for MapKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MapKey({})", hex::encode(self.0))
    }
}

/// What a run is: enough to know every byte of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RunHead {
    /// The first batch in it.
    pub first: u64,
    /// The batch after its last.
    pub end: u64,
    /// How many keys it has.
    pub entries: u64,
    /// The RFC 6962 root over the rows of its index.
    pub rows: Hash,
    /// The SHA-256 of its filter.
    pub filter: Hash,
}

impl RunHead {
    /// How many batches it holds.
    pub const fn span(&self) -> u64 {
        self.end.saturating_sub(self.first)
    }

    /// The name of its file.
    fn name(&self) -> String {
        run_name(self.first, self.end)
    }
}

fn run_name(first: u64, end: u64) -> String {
    format!("map.{first:012x}-{end:012x}")
}

/// What a map is: its runs, oldest first, without a gap.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MapHead {
    /// The runs.
    pub runs: Vec<RunHead>,
}

impl MapHead {
    /// How many batches it holds.
    pub fn batches(&self) -> u64 {
        self.runs.last().map_or(0, |run| run.end)
    }

    /// The names of its files.
    pub fn files(&self) -> impl Iterator<Item = String> {
        self.runs.iter().map(RunHead::name)
    }

    /// How many keys its runs have, those counted twice that are in two.
    pub fn entries(&self) -> u64 {
        let entries = self.runs.iter().map(|run| run.entries);
        entries.fold(0, u64::saturating_add)
    }

    /// The hash that binds all of it: SHA-256("strongroom-map-v1" || runs u64 || for each: first u64 ||
    /// end u64 || entries u64 || rows 32 || filter 32).
    pub fn root(&self) -> Hash {
        let mut hash = Sha256::new();
        hash.update(HEAD_LABEL);
        hash.update((self.runs.len() as u64).to_be_bytes());
        for run in &self.runs {
            hash.update(run.first.to_be_bytes());
            hash.update(run.end.to_be_bytes());
            hash.update(run.entries.to_be_bytes());
            hash.update(run.rows);
            hash.update(run.filter);
        }
        Hash::new(hash.finalize().into())
    }

    /// Whether the runs follow each other from the first batch on, and are as merging leaves them.
    fn is_canonical(&self) -> bool {
        let mut batches = 0;
        let mut span = u64::MAX;
        self.runs.iter().all(|run| {
            let fits = run.first == batches
                && run.end > run.first
                && run.span().is_power_of_two()
                && run.span() < span;
            (batches, span) = (run.end, run.span());
            fits
        })
    }
}

/// Why a map cannot be opened, read or extended.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum MapError {
    /// The disk failed.
    #[error("a file of the map cannot be used")]
    Disk(#[from] DiskError),
    /// A run is not what the head says, or a block of it is not what it was.
    #[error("the run {name} is damaged: {what}")]
    Damaged {
        /// The run's file.
        name: String,
        /// What is wrong.
        what: &'static str,
    },
    /// The head's runs are none that a map has.
    #[error("the runs do not follow each other")]
    Head,
    /// It was given up, as was asked for.
    #[error("the map is not extended: there is no time left")]
    Over,
    /// A batch is not in the order of its keys, or a value is too long.
    #[error("the batch is malformed: {what}")]
    Batch {
        /// What is wrong.
        what: &'static str,
    },
}

/// The map as it is after some batches. Immutable: [`Map::extend`] makes the next one, and whoever
/// still reads this one may.
pub struct Map {
    folder: Arc<Folder>,
    log: LogId,
    runs: Vec<Arc<Run>>,
}

impl Map {
    /// The map of no batches.
    pub fn new(disk: Arc<dyn Disk>, log: LogId) -> Self {
        Self {
            folder: Arc::new(Folder::new(disk)),
            log,
            runs: Vec::new(),
        }
    }

    /// Opens the map that `head` binds.
    ///
    /// Reads the index and the filter of every run; blocks are read when they are asked for.
    ///
    /// # Errors
    /// [`MapError`]: a file that is missing, foreign or not what the head says.
    pub fn open(disk: Arc<dyn Disk>, log: LogId, head: &MapHead) -> Result<Self, MapError> {
        if !head.is_canonical() {
            return Err(MapError::Head);
        }
        let mut map = Self::new(disk, log);
        for run in &head.runs {
            let opened = Run::open(&map.folder, &log, run)?;
            map.runs.push(Arc::new(opened));
        }
        Ok(map)
    }

    /// What binds it.
    pub fn head(&self) -> MapHead {
        MapHead {
            runs: self.runs.iter().map(|run| *run.head()).collect(),
        }
    }

    /// The value of a key, as the newest batch with the key left it.
    ///
    /// # Errors
    /// [`MapError`]; an error is no absence.
    pub fn get(&self, key: &MapKey) -> Result<Option<Vec<u8>>, MapError> {
        for run in self.runs.iter().rev() {
            if let Some(value) = run.get(key)? {
                return Ok(Some(value));
            }
        }
        Ok(None)
    }

    /// Reads every block.
    ///
    /// # Errors
    /// [`MapError`] of the first that is not as it was written.
    pub fn verify(&self) -> Result<(), MapError> {
        let mut runs = self.runs.iter();
        runs.try_for_each(|run| run.blocks().try_for_each(|block| block.map(drop)))
    }

    /// The map with one batch more: `changes` by key, which replace what the keys had. The new run is
    /// durable when this returns; files of runs that were merged into it are left to
    /// [`Map::remove_others`], once nothing durable names them.
    ///
    /// # Errors
    /// [`MapError`]; this map is as it was.
    pub fn extend(&self, changes: &[(MapKey, Vec<u8>)]) -> Result<Self, MapError> {
        self.extend_unless(changes, &|| false)
    }

    /// As [`Map::extend`], but given up soon after `is_over` says so.
    ///
    /// # Errors
    /// [`MapError`]; this map is as it was.
    pub fn extend_unless(
        &self,
        changes: &[(MapKey, Vec<u8>)],
        is_over: &dyn Fn() -> bool,
    ) -> Result<Self, MapError> {
        if changes.is_sorted_by(|(one, _), (next, _)| one < next) {
            let kept = self.kept();
            let (kept, merged) = self.runs.split_at_checked(kept).ok_or(MapError::Head)?;
            let after = merge::After {
                runs: merged,
                batches: self.batches(),
            };
            let run = merge::merge(&self.folder, self.log, after, changes, is_over)?;
            let mut runs = kept.to_vec();
            runs.push(Arc::new(run));
            return Ok(Self {
                folder: Arc::clone(&self.folder),
                log: self.log,
                runs,
            });
        }
        Err(MapError::Batch {
            what: "its keys are not in order",
        })
    }

    /// Removes files of runs that are not this map's and not among `named`.
    ///
    /// # Errors
    /// [`DiskError`]; what is left takes space and nothing else.
    pub fn remove_others(&self, named: &BTreeSet<String>) -> Result<(), DiskError> {
        let ours: Vec<String> = self.runs.iter().map(|run| run.head().name()).collect();
        let mut removed = false;
        for name in self.folder.list()? {
            if name.starts_with("map.") && !ours.contains(&name) && !named.contains(&name) {
                self.folder.remove(&name)?;
                removed = true;
            }
        }
        if removed { self.folder.sync() } else { Ok(()) }
    }

    fn batches(&self) -> u64 {
        self.runs.last().map_or(0, |run| run.head().end)
    }

    /// How many runs a further batch leaves alone: it is merged with those whose span it comes to.
    fn kept(&self) -> usize {
        let mut kept = self.runs.len();
        let mut span = 1;
        for run in self.runs.iter().rev() {
            if run.head().span() != span {
                break;
            }
            span = span.saturating_mul(2);
            kept = kept.saturating_sub(1);
        }
        kept
    }
}

impl fmt::Debug for Map {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Map")
            .field("head", &self.head())
            .finish_non_exhaustive()
    }
}
