//! Rows of a run's index, entries of its blocks, and its footer.

use sha2::{Digest, Sha256};
use tlog::{CompactTree, Hash, leaf_hash};

use super::{MapKey, RunHead};
use crate::segment::{Fields, LogId, check};

/// Length of a row in bytes.
pub(super) const ROW_BYTES: usize = 76;
/// Length of the footer in bytes.
pub(super) const FOOTER_BYTES: usize = 196;

const MAGIC: [u8; 8] = *b"SRMAPRUN";
const VERSION: u32 = 1;
const LABEL: &str = "strongroom-map-run-v1";

/// A block: which keys it begins with, where it is, and what it must be.
#[derive(Clone, Copy)]
pub(super) struct Row {
    pub(super) first: MapKey,
    pub(super) offset: u64,
    pub(super) bytes: u32,
    pub(super) hash: Hash,
}

impl Row {
    pub(super) fn encode(&self) -> [u8; ROW_BYTES] {
        let mut row = [0; ROW_BYTES];
        let fields = self.first.0.into_iter();
        let fields = fields.chain(self.offset.to_be_bytes());
        let fields = fields.chain(self.bytes.to_be_bytes());
        let fields = fields.chain(*self.hash.as_bytes());
        row.iter_mut().zip(fields).for_each(|(to, from)| *to = from);
        row
    }

    fn decode(row: &[u8; ROW_BYTES]) -> Option<Self> {
        let mut fields = Fields::of(row);
        Some(Self {
            first: MapKey(fields.array()?),
            offset: fields.u64()?,
            bytes: fields.u32()?,
            hash: fields.hash()?,
        })
    }
}

/// The rows of an index, and the root over them.
pub(super) fn rows(index: &[u8]) -> Option<(Vec<Row>, Hash)> {
    let (rows, []) = index.as_chunks::<ROW_BYTES>() else {
        return None;
    };
    let mut tree = CompactTree::new();
    for row in rows {
        tree.append(leaf_hash(row)).ok()?;
    }
    let rows = rows.iter().map(Row::decode).collect::<Option<_>>()?;
    Some((rows, tree.root()))
}

pub(super) fn block_hash(block: &[u8]) -> Hash {
    Hash::new(Sha256::digest(block).into())
}

/// Adds an entry to a block; nothing if the value is longer than any may be.
pub(super) fn put_entry(block: &mut Vec<u8>, key: &MapKey, value: &[u8]) -> Option<()> {
    let bytes = u32::try_from(value.len()).ok()?;
    block.extend_from_slice(key.as_bytes());
    block.extend_from_slice(&bytes.to_be_bytes());
    block.extend_from_slice(value);
    Some(())
}

/// How many bytes an entry with a value of so many has.
pub(super) const fn entry_bytes(value_bytes: usize) -> usize {
    value_bytes.saturating_add(36)
}

/// The entries of a block, in order; it ends early where the block is malformed.
pub(super) struct Entries<'a>(Fields<'a>);

impl<'a> Entries<'a> {
    pub(super) fn of(block: &'a [u8]) -> Self {
        Self(Fields::of(block))
    }
}

impl<'a> Iterator for Entries<'a> {
    type Item = (MapKey, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let key = MapKey(self.0.array()?);
        let bytes = self.0.length()?;
        Some((key, self.0.take(bytes)?))
    }
}

/// Where the parts of a run's file are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Footer {
    pub(super) head: RunHead,
    pub(super) blocks: u64,
    pub(super) index_offset: u64,
    pub(super) filter_offset: u64,
    pub(super) filter_bytes: u64,
}

impl Footer {
    pub(super) fn encode(&self, log: &LogId) -> Vec<u8> {
        let RunHead {
            first,
            end,
            entries,
            rows,
            filter,
        } = &self.head;
        let mut footer = Vec::with_capacity(FOOTER_BYTES);
        footer.extend(MAGIC);
        footer.extend(VERSION.to_be_bytes());
        footer.extend(log.as_bytes());
        for number in [first, end, entries] {
            footer.extend(number.to_be_bytes());
        }
        let offsets = [self.blocks, self.index_offset, self.filter_offset];
        for number in offsets {
            footer.extend(number.to_be_bytes());
        }
        footer.extend(self.filter_bytes.to_be_bytes());
        footer.extend(rows.as_bytes());
        footer.extend(filter.as_bytes());
        footer.extend(check(LABEL, log, &footer));
        footer
    }

    /// The footer, if it is one of this log, whole and of the only version.
    pub(super) fn decode(bytes: &[u8], log: &LogId) -> Option<Self> {
        let mut fields = Fields::of(bytes);
        let known = fields.array() == Some(MAGIC)
            && fields.u32() == Some(VERSION)
            && fields.array() == Some(*log.as_bytes());
        let (first, end, entries) = (fields.u64()?, fields.u64()?, fields.u64()?);
        let footer = Self {
            blocks: fields.u64()?,
            index_offset: fields.u64()?,
            filter_offset: fields.u64()?,
            filter_bytes: fields.u64()?,
            head: RunHead {
                first,
                end,
                entries,
                rows: fields.hash()?,
                filter: fields.hash()?,
            },
        };
        (known && footer.encode(log) == bytes).then_some(footer)
    }
}
