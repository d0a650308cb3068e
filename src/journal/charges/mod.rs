//! The closed blocks of charges, on disk: what limits are counted from, in the order of entries.
//!
//! Everything here follows from the log and can be made again from it. Nothing that is read is believed:
//! a block is checked against its hash whenever it is read, the hashes and what stays in memory of a
//! block when the files are opened, against the tree of a [`ChargeState`] that a state root binds.
//!
//! # Files
//! `charges.000000000000`, … hold 8,192 blocks each, one behind the other; `charges.000000000000.rows`, …
//! say what they are. Files of blocks that no window can reach any longer are removed.
//!
//! # Format 1 of rows, integers big-endian
//! ```text
//! magic "SRCHARGE" 8 | version u32 | log id 32 | first block u64 | peaks u32
//! | peaks of the tree over all earlier blocks, peaks × 32 | check("strongroom-charges-v1", header so far) 32
//! for each block: block's bytes u32 | SHA-256 of the block 32 | summary's bytes u32 | summary
//! ```

mod file;
mod read;
mod rows;

use std::sync::Arc;

use policy::{ChargeBlocks as _, ChargeState, ChargesError, ClosedBlock, State};
use thiserror::Error;
use tlog::CompactTree;

pub use self::read::ChargeReader;
use self::{
    file::{Place, Segment},
    read::{Removed, Written},
    rows::{Header, Row},
};
use crate::{
    disk::Disk,
    segment::{DiskError, Folder, LogId},
};

/// How many blocks a file holds.
const SEGMENT_BLOCKS: u64 = 8_192;
const PREFIX: &str = "charges.";

/// Why the files of charges cannot be opened or added to.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ChargeFileError {
    /// The disk failed.
    #[error("a file of the charges cannot be used")]
    Disk(#[from] DiskError),
    /// A file is not of this log, or is damaged.
    #[error("the file {name} of the charges is damaged: {what}")]
    Damaged {
        /// The file.
        name: String,
        /// What is wrong.
        what: &'static str,
    },
    /// The blocks are not those that the state was made with.
    #[error("the blocks of charges are not those of the state")]
    Another,
    /// A block is not the next one.
    #[error("block {found} of the charges comes where {expected} must")]
    Order {
        /// The next one.
        expected: u64,
        /// The block.
        found: u64,
    },
}

/// The files, as their one writer has them.
pub struct ChargeFiles {
    folder: Arc<Folder>,
    log: LogId,
    reader: Arc<ChargeReader>,
    tree: CompactTree,
    /// The last file, when it has room for further blocks.
    open: Option<Segment>,
}

/// The files of a state's blocks, and the summaries of those that it still needs.
pub struct OpenCharges {
    /// The files.
    pub files: ChargeFiles,
    /// The summaries, from [`ChargeState::base`] on.
    pub summaries: Vec<Arc<[u8]>>,
}

impl ChargeFiles {
    /// Of no blocks. What was there before is removed.
    ///
    /// # Errors
    /// [`DiskError`].
    pub fn create(disk: Arc<dyn Disk>, log: LogId) -> Result<Self, DiskError> {
        let files = Self::new(disk, log, CompactTree::new());
        for name in files.folder.list()? {
            if name.starts_with(PREFIX) {
                files.folder.remove(&name)?;
            }
        }
        Ok(files)
    }

    fn new(disk: Arc<dyn Disk>, log: LogId, tree: CompactTree) -> Self {
        let folder = Arc::new(Folder::new(disk));
        Self {
            reader: Arc::new(ChargeReader::new(Arc::clone(&folder))),
            folder,
            log,
            tree,
            open: None,
        }
    }

    /// The blocks of a state. Blocks behind them, which nothing binds, are as good as not there.
    ///
    /// # Errors
    /// [`ChargeFileError`] when they are not there as they were: they can be made again from the log.
    pub fn open(
        disk: Arc<dyn Disk>,
        log: LogId,
        state: &ChargeState,
    ) -> Result<OpenCharges, ChargeFileError> {
        let wanted = state.tree().ok_or(ChargeFileError::Another)?;
        let first = segment_with(state.base());
        let mut files = Self::new(disk, log, wanted.clone());
        let mut summaries = Vec::new();
        let mut next = first;
        while next < wanted.size() {
            let count = wanted.size().saturating_sub(next).min(SEGMENT_BLOCKS);
            let (segment, rows) = Segment::open(&files.folder, &log, next, count)?;
            if next == first {
                files.tree = segment.tree_before().clone();
            }
            files.reader.begin(next, segment.files(), Written::Durably);
            for (row, place) in rows {
                let number = files.add(&row, place)?;
                if number >= state.base() {
                    summaries.push(row.summary);
                }
            }
            next = next.saturating_add(count);
            files.open = (count < SEGMENT_BLOCKS).then_some(segment);
        }
        match files.tree == wanted {
            true => Ok(OpenCharges { files, summaries }),
            false => Err(ChargeFileError::Another),
        }
    }

    /// Counts the next block, which is in its file.
    fn add(&mut self, row: &Row, place: Place) -> Result<u64, ChargeFileError> {
        let leaf = row.leaf(self.tree.size());
        let number = self.tree.append(leaf);
        let number = number.map_err(|_full| ChargeFileError::Another)?;
        self.reader.add(place);
        Ok(number)
    }

    /// How many blocks there were.
    pub fn blocks(&self) -> u64 {
        self.tree.size()
    }

    /// Adds the next block. It is durable only after [`ChargeReader::sync`].
    ///
    /// # Errors
    /// [`ChargeFileError`]; it is as if it had not been added.
    pub fn append(&mut self, block: &ClosedBlock) -> Result<(), ChargeFileError> {
        let number = self.tree.size();
        if block.number != number {
            return Err(ChargeFileError::Order {
                expected: number,
                found: block.number,
            });
        }
        let segment = match &mut self.open {
            Some(segment) => segment,
            None => {
                let header = Header::new(self.log, &self.tree);
                let segment = Segment::create(&self.folder, header)?;
                self.reader.begin(number, segment.files(), Written::Not);
                self.open.insert(segment)
            }
        };
        let (row, place) = segment.append(block)?;
        self.add(&row, place)?;
        self.reader.touch();
        if segment_with(self.tree.size()) == self.tree.size() {
            self.open = None;
        }
        Ok(())
    }

    /// Takes the blocks that the state has closed, so that it need not hold them.
    ///
    /// # Errors
    /// [`ChargeFileError`]: the state holds what was not taken.
    pub fn take(&mut self, state: &mut State) -> Result<(), ChargeFileError> {
        if state.closed_blocks().next().is_none() {
            return Ok(());
        }
        let taken = state
            .closed_blocks()
            .try_for_each(|block| self.append(block));
        state.release_blocks(self.reader(), self.tree.size());
        taken
    }

    /// As [`ChargeFiles::take`]. What cannot be written is said, and stays in the state: nothing is lost
    /// but memory, and it is written with the next block that is closed.
    pub(crate) fn relieve(&mut self, state: &mut State) {
        if let Err(error) = self.take(state) {
            let error: &dyn std::error::Error = &error;
            tracing::warn!(error, "blocks of charges stay in memory");
        }
    }

    /// Reads every block from this one on.
    ///
    /// # Errors
    /// [`ChargesError`] of the first that is not as it was written.
    pub fn verify(&self, first: u64) -> Result<(), ChargesError> {
        (first..self.blocks()).try_for_each(|block| {
            let read = self.reader.read(block).map(drop);
            read.map_err(|source| ChargesError::Unread { block, source })
        })
    }

    /// Where blocks are read and made durable, on any thread.
    pub fn reader(&self) -> Arc<ChargeReader> {
        Arc::clone(&self.reader)
    }

    /// Removes the files whose blocks all stand before this one: before [`ChargeState::base`] of the
    /// oldest state that shall be opened again.
    ///
    /// # Errors
    /// [`DiskError`]; what is left takes space and nothing else.
    pub fn remove_before(&mut self, block: u64) -> Result<(), DiskError> {
        let first = segment_with(block);
        if self.reader.remove_before(first) == Removed::Nothing {
            return Ok(());
        }
        let mut removed = false;
        for name in self.folder.list()? {
            if segment_of(&name).is_some_and(|segment| segment < first) {
                self.folder.remove(&name)?;
                removed = true;
            }
        }
        if removed { self.folder.sync() } else { Ok(()) }
    }
}

/// The first block of the file that has this one.
fn segment_with(block: u64) -> u64 {
    block.saturating_sub(block % SEGMENT_BLOCKS)
}

fn name_of(first: u64) -> String {
    format!("{PREFIX}{first:012x}")
}

fn rows_name_of(first: u64) -> String {
    format!("{PREFIX}{first:012x}.rows")
}

/// The first block of the file of this name.
fn segment_of(name: &str) -> Option<u64> {
    let number = name.strip_prefix(PREFIX)?;
    let number = number.strip_suffix(".rows").unwrap_or(number);
    u64::from_str_radix(number, 16).ok()
}
