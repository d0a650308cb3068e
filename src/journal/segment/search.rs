//! Finding the group of an older entry from one near by.

use super::error::{Place, ReadError};
use super::files::NamedFile;
use super::format::{LogId, SECTOR_BYTES};
use super::group::{self, GroupHeader};
use super::read::Stored;

/// A group that was read.
pub(super) struct ReadGroup {
    pub(super) place: Place,
    /// Where it ends in its segment.
    pub(super) end: u64,
    header: GroupHeader,
    bytes: Vec<u8>,
}

impl ReadGroup {
    /// The group with entry `index`, which is the one at `from` or one that follows it in the segment.
    pub(super) fn find(
        file: &NamedFile,
        log: &LogId,
        from: Place,
        index: u64,
    ) -> Result<Self, ReadError> {
        let mut place = from;
        let mut bytes = Vec::new();
        loop {
            let damaged = || ReadError::Damaged { place };
            file.read(&mut bytes, SECTOR_BYTES, place.offset)
                .map_err(ReadError::disk)?;
            let header = GroupHeader::decode(&bytes, log).ok_or_else(damaged)?;
            let length = header.checked_bytes().ok_or_else(damaged)?;
            if index < header.first {
                return Err(damaged());
            }
            let end = place.offset.saturating_add(length as u64);
            if index < past(&header) {
                file.read(&mut bytes, length, place.offset)
                    .map_err(ReadError::disk)?;
                return Ok(Self {
                    place,
                    end,
                    header,
                    bytes,
                });
            }
            place.offset = end;
        }
    }

    pub(super) fn has(&self, index: u64) -> bool {
        (self.header.first..past(&self.header)).contains(&index)
    }

    /// Whether the group behind this one is nearer to an entry than one that begins with `first`.
    pub(super) fn leads(&self, first: u64, index: u64, near: Place) -> bool {
        let behind = past(&self.header);
        self.place.segment == near.segment && behind > first && behind <= index
    }

    pub(super) fn entry(&self, index: u64) -> Option<Stored> {
        let at = usize::try_from(index.checked_sub(self.header.first)?).ok()?;
        let items = group::items(&self.bytes, &self.header)?;
        let item = items.records.get(at)?;
        Some(Stored {
            salt: item.salt(),
            body: item.bytes.to_vec(),
        })
    }
}

/// The entry behind the last of a group.
fn past(header: &GroupHeader) -> u64 {
    header.first.saturating_add(u64::from(header.records))
}
