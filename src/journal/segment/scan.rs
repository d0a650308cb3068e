//! Reading the next group of a segment, and telling a torn one from a damaged one.

use super::error::{DiskError, OpenError, Place, Sealed};
use super::files::NamedFile;
use super::format::{LogId, MAX_GROUP_BYTES, SECTOR_BYTES, is_zero};
use super::group::{GROUP_HEADER_BYTES, GROUP_MAGIC, GroupHeader, is_whole, zero_sectors};

/// What stands where a group is due.
pub(super) enum Found {
    /// A group whose checksum holds; its bytes are in the buffer.
    Whole(GroupHeader),
    /// What a crash in the middle of a write leaves. Damage unless it is at the end of the log.
    Torn,
}

/// Why there is no group to go on with.
pub(super) enum Fault {
    Sealed(Sealed),
    Disk(DiskError),
}

impl From<Sealed> for Fault {
    fn from(sealed: Sealed) -> Self {
        Self::Sealed(sealed)
    }
}

impl<E: std::error::Error + 'static> From<Fault> for OpenError<E> {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Sealed(source) => Self::Sealed { source },
            Fault::Disk(source) => Self::Disk { source },
        }
    }
}

impl From<DiskError> for Fault {
    fn from(error: DiskError) -> Self {
        Self::Disk(error)
    }
}

/// The rest of a segment from the byte where a group is due.
pub(super) struct Tail<'a> {
    pub(super) file: &'a NamedFile,
    pub(super) log: &'a LogId,
    pub(super) place: Place,
    /// To the end of the file; not zero.
    pub(super) bytes: u64,
}

impl Tail<'_> {
    /// Reads the group that should begin with entry `expected` into `buffer`.
    pub(super) fn group(&self, expected: u64, buffer: &mut Vec<u8>) -> Result<Found, Fault> {
        self.read(buffer, self.at_most(SECTOR_BYTES))?;
        if is_zero(buffer) {
            return self.headless(buffer);
        }
        if buffer.len() < GROUP_HEADER_BYTES {
            return self.stump(buffer);
        }
        let Some(header) = GroupHeader::decode(buffer, self.log) else {
            return Err(self.damaged_header(buffer)?.into());
        };
        let place = self.place;
        let Some(group_bytes) = header.checked_bytes() else {
            return Err(Sealed::Malformed { place }.into());
        };
        if header.first != expected {
            let says = header.first;
            return Err(Sealed::GroupOutOfOrder {
                place,
                expected,
                says,
            }
            .into());
        }
        if self.at_most(group_bytes) < group_bytes {
            return Ok(Found::Torn);
        }
        self.read(buffer, group_bytes)?;
        if is_whole(buffer, self.log) {
            return Ok(Found::Whole(header));
        }
        self.wrong_checksum(&header, buffer)
    }

    /// The first sector was not written. What a torn group leaves is bounded, and nothing follows it.
    fn headless(&self, buffer: &mut Vec<u8>) -> Result<Found, Fault> {
        let (place, bytes) = (self.place, self.bytes);
        let tail_bytes = self.at_most(MAX_GROUP_BYTES);
        if u64::try_from(tail_bytes) != Ok(bytes) {
            return Err(Sealed::TrailingZeros { place, bytes }.into());
        }
        self.read(buffer, tail_bytes)?;
        match self.next_header(buffer) {
            Some(valid_offset) => Err(Sealed::DamagedBeforeValid {
                place,
                valid_offset,
            }
            .into()),
            None => Ok(Found::Torn),
        }
    }

    /// Less than a header: the beginning of one, or nothing that was ever written.
    fn stump(&self, stump: &[u8]) -> Result<Found, Fault> {
        if stump
            .iter()
            .zip(GROUP_MAGIC)
            .all(|(byte, magic)| *byte == magic)
        {
            return Ok(Found::Torn);
        }
        let (place, bytes) = (self.place, self.bytes);
        Err(Sealed::TrailingGarbage { place, bytes }.into())
    }

    fn damaged_header(&self, buffer: &mut Vec<u8>) -> Result<Sealed, DiskError> {
        let place = self.place;
        self.read(buffer, self.at_most(MAX_GROUP_BYTES))?;
        Ok(match self.next_header(buffer) {
            Some(valid_offset) => Sealed::DamagedBeforeValid {
                place,
                valid_offset,
            },
            None => Sealed::GroupHeaderDamaged { place },
        })
    }

    /// The header holds and the whole does not.
    fn wrong_checksum(&self, header: &GroupHeader, buffer: &mut Vec<u8>) -> Result<Found, Fault> {
        let place = self.place;
        if u64::try_from(buffer.len()) == Ok(self.bytes) {
            // Sectors that were not written read as zeros; a flipped bit makes no sector zero.
            if zero_sectors(buffer) > header.zero_sectors {
                return Ok(Found::Torn);
            }
            return Err(Sealed::LastGroupDamaged { place }.into());
        }
        // Something follows: the group was acknowledged once, whatever its sectors look like.
        let group_bytes = buffer.len();
        let window = group_bytes.saturating_add(SECTOR_BYTES);
        self.read(buffer, self.at_most(window))?;
        let next = buffer.get(group_bytes..).unwrap_or_default();
        Err(match GroupHeader::decode(next, self.log) {
            Some(_) => Sealed::DamagedBeforeValid {
                place,
                valid_offset: place.offset.saturating_add(u64::from(header.bytes)),
            },
            None => Sealed::GroupDamaged { place },
        }
        .into())
    }

    /// Where in the file the first whole header is, in the sectors after the first of the tail.
    fn next_header(&self, tail: &[u8]) -> Option<u64> {
        let sectors = tail.chunks(SECTOR_BYTES).enumerate().skip(1);
        let (sector, _) = sectors
            .into_iter()
            .find(|(_, sector)| GroupHeader::decode(sector, self.log).is_some())?;
        let offset = u64::try_from(sector.checked_mul(SECTOR_BYTES)?).ok()?;
        self.place.offset.checked_add(offset)
    }

    fn read(&self, buffer: &mut Vec<u8>, bytes: usize) -> Result<(), DiskError> {
        self.file.read(buffer, bytes, self.place.offset)
    }

    /// `bytes`, or as many as there are.
    fn at_most(&self, bytes: usize) -> usize {
        usize::try_from(self.bytes).map_or(bytes, |there| there.min(bytes))
    }
}
