//! Reading entries and blobs back.

use std::fmt;
use std::ops::Range;

use tlog::Hash;

use super::error::{DiskError, Place, ReadError};
use super::format::{Fields, blob_hash, segment_name};
use super::group::ITEM_HEADER_BYTES;
use super::index::{Spot, tag};
use super::leaf::{Leaf, Salt};
use super::log::SegmentLog;

/// An entry as it was appended.
#[derive(Clone, PartialEq, Eq)]
pub struct Stored {
    /// The salt of its leaf.
    pub salt: Salt,
    /// The body.
    pub body: Vec<u8>,
}

impl Stored {
    /// The entry's leaf.
    pub fn leaf(&self) -> Leaf {
        Leaf::commit(&self.salt, &self.body)
    }
}

/// Bodies are confidential.
impl fmt::Debug for Stored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Stored({} bytes)", self.body.len())
    }
}

impl SegmentLog {
    /// The entry at `index`, with one read of the disk.
    ///
    /// It is compared with the first four bytes of its leaf hash: this finds damage since the log was
    /// opened, not somebody who rewrites the disk. A proof against a checkpoint does.
    ///
    /// # Errors
    /// [`ReadError::NoEntry`], [`ReadError::Damaged`], [`ReadError::Disk`].
    pub fn read(&self, index: u64) -> Result<Stored, ReadError> {
        let size = self.size();
        let spot = self.index.entry(index);
        let spot = spot.ok_or(ReadError::NoEntry { index, size })?;
        let (label, body) = self.item(spot)?;
        let stored = Stored {
            salt: Salt::new(label),
            body,
        };
        if tag(&stored.leaf().hash()) != spot.tag {
            return Err(damaged(spot));
        }
        Ok(stored)
    }

    /// The blob of that SHA-256.
    ///
    /// # Errors
    /// [`ReadError::NoBlob`], [`ReadError::Damaged`], [`ReadError::Disk`].
    pub fn blob(&self, hash: &Hash) -> Result<Vec<u8>, ReadError> {
        let spot = self.index.blob(hash);
        let spot = spot.ok_or(ReadError::NoBlob { hash: *hash })?;
        let (_, blob) = self.item(spot)?;
        if blob_hash(&blob) != *hash {
            return Err(damaged(spot));
        }
        Ok(blob)
    }

    /// The entries of `range`, as far as there are any, in order.
    pub fn entries(&self, range: Range<u64>) -> Entries<'_> {
        let end = range.end.min(self.size());
        Entries {
            log: self,
            rest: range.start..end,
        }
    }

    /// The salt or hash at `spot`, and the bytes after it.
    fn item(&self, spot: Spot) -> Result<([u8; 32], Vec<u8>), ReadError> {
        let mut buffer = Vec::new();
        self.read_item(spot, &mut buffer)
            .map_err(|source| ReadError::Disk { source })?;
        let mut fields = Fields(&buffer);
        match (fields.u32(), fields.array()) {
            (Some(bytes), Some(label)) if bytes == spot.bytes => {
                drop(buffer.drain(..ITEM_HEADER_BYTES));
                Ok((label, buffer))
            }
            _ => Err(damaged(spot)),
        }
    }

    fn read_item(&self, spot: Spot, buffer: &mut Vec<u8>) -> Result<(), DiskError> {
        let bytes = ITEM_HEADER_BYTES.saturating_add(spot.bytes as usize);
        let offset = u64::from(spot.offset);
        if spot.segment == self.active.number {
            return self.active.file.read(buffer, bytes, offset);
        }
        // Opened anew: a log of years has more segments than a process may have files.
        let file = self.folder.open(&segment_name(spot.segment))?;
        file.read(buffer, bytes, offset)
    }
}

fn damaged(spot: Spot) -> ReadError {
    let place = Place {
        segment: spot.segment,
        offset: u64::from(spot.offset),
    };
    ReadError::Damaged { place }
}

/// Entries in order, with their indexes; see [`SegmentLog::entries`]. It goes on after an error.
#[derive(Debug)]
pub struct Entries<'a> {
    log: &'a SegmentLog,
    rest: Range<u64>,
}

impl Iterator for Entries<'_> {
    type Item = Result<(u64, Stored), ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        let index = self.rest.next()?;
        Some(self.log.read(index).map(|stored| (index, stored)))
    }
}
