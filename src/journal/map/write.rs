//! Writing a run: entry by entry in the order of their keys, durable at the end.

use sha2::{Digest, Sha256};
use tlog::{CompactTree, Hash, leaf_hash};

use super::{
    MAX_VALUE_BYTES, MapError, MapKey, RunHead,
    filter::Filter,
    row::{Footer, Row, block_hash, put_entry},
    run::Run,
    run_name,
};
use crate::segment::{Folder, LogId, NamedFile};

/// A block is closed when it has so many bytes.
const BLOCK_BYTES: usize = 8 * 1024;
/// How much is gathered before it is written.
const BUFFER_BYTES: usize = 1024 * 1024;

/// Which run is written.
#[derive(Clone, Copy)]
pub(super) struct Plan {
    pub(super) log: LogId,
    pub(super) first: u64,
    pub(super) end: u64,
    /// At most so many keys come.
    pub(super) keys_max: u64,
}

/// A run while it is written.
pub(super) struct RunWriter<'a> {
    folder: &'a Folder,
    plan: Plan,
    name: String,
    file: NamedFile,
    /// What is not written yet, and where it goes.
    buffer: Vec<u8>,
    offset: u64,
    block: Vec<u8>,
    first: Option<MapKey>,
    entries: u64,
    rows: Vec<Row>,
    tree: CompactTree,
    filter: Filter,
}

impl<'a> RunWriter<'a> {
    pub(super) fn begin(folder: &'a Folder, plan: Plan) -> Result<Self, MapError> {
        let name = run_name(plan.first, plan.end);
        Ok(Self {
            file: folder.begin(&name)?,
            folder,
            plan,
            name,
            buffer: Vec::with_capacity(BUFFER_BYTES),
            offset: 0,
            block: Vec::with_capacity(BLOCK_BYTES),
            first: None,
            entries: 0,
            rows: Vec::new(),
            tree: CompactTree::new(),
            filter: Filter::for_keys(plan.keys_max),
        })
    }

    /// Adds the entry with the next larger key.
    pub(super) fn add(&mut self, key: &MapKey, value: &[u8]) -> Result<(), MapError> {
        let too_long = MapError::Batch {
            what: "a value is too long",
        };
        if value.len() > MAX_VALUE_BYTES {
            return Err(too_long);
        }
        self.first.get_or_insert(*key);
        put_entry(&mut self.block, key, value).ok_or(too_long)?;
        self.filter.add(key);
        self.entries = self.entries.saturating_add(1);
        if self.block.len() >= BLOCK_BYTES {
            self.close_block()?;
        }
        Ok(())
    }

    fn close_block(&mut self) -> Result<(), MapError> {
        let Some(first) = self.first.take() else {
            return Ok(());
        };
        let row = Row {
            first,
            offset: self.offset.saturating_add(self.buffer.len() as u64),
            // Less than a block and one value.
            bytes: u32::try_from(self.block.len()).unwrap_or(u32::MAX),
            hash: block_hash(&self.block),
        };
        let appended = self.tree.append(leaf_hash(&row.encode()));
        appended.map_err(|_full| self.damaged("it has too many blocks"))?;
        self.rows.push(row);
        self.buffer.append(&mut self.block);
        if self.buffer.len() >= BUFFER_BYTES {
            self.flush()?;
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), MapError> {
        self.file.write(&self.buffer, self.offset)?;
        self.offset = self.offset.saturating_add(self.buffer.len() as u64);
        self.buffer.clear();
        Ok(())
    }

    /// Writes the rest, makes the run durable under its name, and opens it.
    pub(super) fn finish(mut self) -> Result<Run, MapError> {
        self.close_block()?;
        self.flush()?;
        let index_offset = self.offset;
        let rows = self.rows.iter().flat_map(Row::encode);
        self.buffer.extend(rows);
        self.flush()?;
        let footer = Footer {
            head: self.head(),
            blocks: self.rows.len() as u64,
            index_offset,
            filter_offset: self.offset,
            filter_bytes: self.filter.bytes().len() as u64,
        };
        self.buffer.extend_from_slice(self.filter.bytes());
        self.buffer.extend(footer.encode(&self.plan.log));
        self.flush()?;
        self.file.sync()?;
        self.folder.name(&self.name)?;
        Ok(Run::of(footer.head, self.file, self.rows, self.filter))
    }

    fn head(&self) -> RunHead {
        RunHead {
            first: self.plan.first,
            end: self.plan.end,
            entries: self.entries,
            rows: self.tree.root(),
            filter: Hash::new(Sha256::digest(self.filter.bytes()).into()),
        }
    }

    fn damaged(&self, what: &'static str) -> MapError {
        let name = self.name.clone();
        MapError::Damaged { name, what }
    }
}
