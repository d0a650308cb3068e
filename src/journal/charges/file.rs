//! One file of blocks, and its rows.

use std::{fmt, sync::Arc};

use policy::ClosedBlock;
use tlog::{CompactTree, Hash};

use super::{
    ChargeFileError, name_of,
    rows::{Header, Row},
    rows_name_of,
};
use crate::segment::{DiskError, Fields, Folder, LogId, NamedFile};

/// Where a block is, and what it must be.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) offset: u64,
    pub(super) bytes: u32,
    pub(super) hash: Hash,
}

/// The two files, for whoever reads or syncs them.
#[derive(Clone)]
pub(super) struct Pair {
    pub(super) blocks: Arc<NamedFile>,
    pub(super) rows: Arc<NamedFile>,
}

/// Files to which blocks are added.
pub(super) struct Segment {
    header: Header,
    files: Pair,
    /// Where the next block goes, and its row.
    offset: u64,
    rows_offset: u64,
}

impl fmt::Debug for Segment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Segment")
            .field("first", &self.header.tree.size())
            .finish_non_exhaustive()
    }
}

impl Segment {
    /// Without blocks, in place of any other of its name.
    pub(super) fn create(folder: &Folder, header: Header) -> Result<Self, DiskError> {
        let first = header.tree.size();
        let files = Pair {
            blocks: Arc::new(folder.open_or_create(&name_of(first))?),
            rows: Arc::new(folder.open_or_create(&rows_name_of(first))?),
        };
        files.blocks.truncate(0)?;
        files.rows.truncate(0)?;
        let bytes = header.encode();
        files.rows.write(&bytes, 0)?;
        Ok(Self {
            header,
            files,
            offset: 0,
            rows_offset: bytes.len() as u64,
        })
    }

    /// The files that begin with this block, with the first `count` blocks.
    pub(super) fn open(
        folder: &Folder,
        log: &LogId,
        first: u64,
        count: u64,
    ) -> Result<(Self, Vec<(Row, Place)>), ChargeFileError> {
        let name = rows_name_of(first);
        let damaged = |what| ChargeFileError::Damaged {
            name: name.clone(),
            what,
        };
        let files = Pair {
            blocks: Arc::new(folder.open(&name_of(first))?),
            rows: Arc::new(folder.open(&name)?),
        };
        let size_bytes = files.rows.size_bytes()?;
        let size_bytes = usize::try_from(size_bytes).map_err(|_| damaged("its length"))?;
        let mut buffer = Vec::new();
        files.rows.read(&mut buffer, size_bytes, 0)?;
        let header = Header::read(log, first, &buffer).ok_or_else(|| damaged("its header"))?;
        let header_bytes = header.encode().len();
        let mut fields = Fields::of(buffer.get(header_bytes..).unwrap_or_default());
        let mut segment = Self {
            header,
            files,
            offset: 0,
            rows_offset: header_bytes as u64,
        };
        let rows = (0..count).map(|_| {
            let row = Row::read(&mut fields).ok_or_else(|| damaged("it ends early"))?;
            let place = segment.step(&row);
            Ok((row, place))
        });
        let rows = rows.collect::<Result<_, ChargeFileError>>()?;
        Ok((segment, rows))
    }

    /// Writes the next block.
    pub(super) fn append(&mut self, block: &ClosedBlock) -> Result<(Row, Place), ChargeFileError> {
        let too_long = || ChargeFileError::Damaged {
            name: name_of(self.header.tree.size()),
            what: "a block is too long",
        };
        let row = Row::of(block).ok_or_else(too_long)?;
        let bytes = row.encode().ok_or_else(too_long)?;
        self.files.blocks.write(&block.charges, self.offset)?;
        self.files.rows.write(&bytes, self.rows_offset)?;
        let place = self.step(&row);
        Ok((row, place))
    }

    fn step(&mut self, row: &Row) -> Place {
        let place = Place {
            offset: self.offset,
            bytes: row.bytes,
            hash: row.hash,
        };
        self.rows_offset = self.rows_offset.saturating_add(row.length());
        self.offset = self.offset.saturating_add(u64::from(row.bytes));
        place
    }

    pub(super) fn files(&self) -> Pair {
        self.files.clone()
    }

    /// The tree before its first block.
    pub(super) fn tree_before(&self) -> &CompactTree {
        &self.header.tree
    }
}
