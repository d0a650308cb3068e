//! A run that can be read.

use sha2::{Digest, Sha256};

use super::{
    MapError, MapKey, RunHead,
    filter::Filter,
    row::{Entries, FOOTER_BYTES, Footer, ROW_BYTES, Row, block_hash, rows},
};
use crate::segment::{Folder, LogId, NamedFile};

/// A run whose index and filter are what its head says. Its blocks are checked when they are read.
pub(super) struct Run {
    head: RunHead,
    file: NamedFile,
    rows: Vec<Row>,
    filter: Filter,
}

impl Run {
    /// One that was just written.
    pub(super) fn of(head: RunHead, file: NamedFile, rows: Vec<Row>, filter: Filter) -> Self {
        Self {
            head,
            file,
            rows,
            filter,
        }
    }

    pub(super) fn open(folder: &Folder, log: &LogId, head: &RunHead) -> Result<Self, MapError> {
        let name = head.name();
        let damaged = |what| MapError::Damaged {
            name: name.clone(),
            what,
        };
        let file = folder.open(&name)?;
        let size_bytes = file.size_bytes()?;
        let short = || damaged("it is too short");
        let footer_offset = size_bytes.checked_sub(FOOTER_BYTES as u64);
        let footer_offset = footer_offset.ok_or_else(short)?;
        let mut buffer = Vec::new();
        file.read(&mut buffer, FOOTER_BYTES, footer_offset)?;
        let footer = Footer::decode(&buffer, log).ok_or_else(|| damaged("its footer"))?;
        if footer.head != *head {
            return Err(damaged("it is another"));
        }
        let index_bytes = footer.blocks.saturating_mul(ROW_BYTES as u64);
        let fits = footer.index_offset.checked_add(index_bytes) == Some(footer.filter_offset)
            && footer.filter_offset.checked_add(footer.filter_bytes) == Some(footer_offset);
        if !fits {
            return Err(damaged("its parts do not fit"));
        }
        let length = |bytes: u64| usize::try_from(bytes).map_err(|_| short());
        file.read(&mut buffer, length(index_bytes)?, footer.index_offset)?;
        let (rows, root) = rows(&buffer).ok_or_else(|| damaged("its index"))?;
        let mut filter = Vec::new();
        file.read(
            &mut filter,
            length(footer.filter_bytes)?,
            footer.filter_offset,
        )?;
        if root != head.rows || Sha256::digest(&filter).as_slice() != head.filter.as_bytes() {
            return Err(damaged("its index or its filter"));
        }
        Ok(Self::of(*head, file, rows, Filter::of(filter)))
    }

    pub(super) fn head(&self) -> &RunHead {
        &self.head
    }

    /// The value of a key.
    pub(super) fn get(&self, key: &MapKey) -> Result<Option<Vec<u8>>, MapError> {
        if !self.filter.may_have(key) {
            return Ok(None);
        }
        let behind = self.rows.partition_point(|row| row.first <= *key);
        let Some(row) = behind.checked_sub(1).and_then(|at| self.rows.get(at)) else {
            return Ok(None);
        };
        let block = self.block(row)?;
        let mut entries = Entries::of(&block);
        let found = entries.find(|(other, _)| other >= key);
        Ok(found.and_then(|(other, value)| (other == *key).then(|| value.to_vec())))
    }

    /// Its entries in order, a block at a time.
    pub(super) fn blocks(&self) -> impl Iterator<Item = Result<Vec<u8>, MapError>> {
        self.rows.iter().map(|row| self.block(row))
    }

    fn block(&self, row: &Row) -> Result<Vec<u8>, MapError> {
        let mut block = Vec::new();
        let bytes = usize::try_from(row.bytes).unwrap_or(usize::MAX);
        self.file.read(&mut block, bytes, row.offset)?;
        if block_hash(&block) == row.hash {
            Ok(block)
        } else {
            Err(MapError::Damaged {
                name: self.head.name(),
                what: "a block",
            })
        }
    }
}
