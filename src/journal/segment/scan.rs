//! Reading the next group of a segment, and telling a torn one from a damaged one.

use super::error::{DiskError, OpenError, Place, Sealed};
use super::files::NamedFile;
use super::format::{LogId, MAX_GROUP_BYTES, ROOM_BYTES, SECTOR_BYTES, is_zero};
use super::group::{GROUP_HEADER_BYTES, GROUP_MAGIC, GroupHeader, is_whole, zero_sectors};

/// What stands where a group is due.
pub(super) enum Found {
    /// A group whose checksum holds; its bytes are in the buffer.
    Whole(GroupHeader),
    /// What a crash in the middle of a write leaves. Damage unless it is at the end of the log.
    Torn {
        /// How far the group reaches, as far as can be seen.
        bytes: u64,
    },
    /// Nothing yet: zeros up to the end of the file. Damage unless it is at the end of the log.
    Room,
}

/// What follows a group whose checksum does not hold.
enum Next {
    Header,
    Other,
}

/// The most that one group leaves when it is torn.
const TORN_BYTES_MAX: u64 = MAX_GROUP_BYTES as u64;

/// Why there is no group to go on with.
#[derive(Debug)]
pub(crate) enum Fault {
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
            return Ok(Found::Torn { bytes: self.bytes });
        }
        self.read(buffer, group_bytes)?;
        if is_whole(buffer, self.log) {
            return Ok(Found::Whole(header));
        }
        self.wrong_checksum(&header, buffer)
    }

    /// The first sector is zero: what was torn is bounded, and nothing but room follows it.
    fn headless(&self, buffer: &mut Vec<u8>) -> Result<Found, Fault> {
        let (place, bytes) = (self.place, self.bytes);
        let most_bytes = TORN_BYTES_MAX.saturating_add(ROOM_BYTES);
        if bytes > most_bytes {
            return Err(Sealed::TrailingZeros { place, bytes }.into());
        }
        self.read(buffer, self.at_most(usize::MAX))?;
        let torn_bytes = match written_bytes(buffer) {
            0 if bytes <= ROOM_BYTES => return Ok(Found::Room),
            0 => bytes,
            written => written,
        };
        if torn_bytes > TORN_BYTES_MAX {
            return Err(Sealed::TrailingZeros { place, bytes }.into());
        }
        match self.next_header(buffer) {
            Some(valid_offset) => Err(Sealed::DamagedBeforeValid {
                place,
                valid_offset,
            }
            .into()),
            None => Ok(Found::Torn { bytes: torn_bytes }),
        }
    }

    /// Less than a header: the beginning of one, or nothing that was ever written.
    fn stump(&self, stump: &[u8]) -> Result<Found, Fault> {
        if stump
            .iter()
            .zip(GROUP_MAGIC)
            .all(|(byte, magic)| *byte == magic)
        {
            return Ok(Found::Torn { bytes: self.bytes });
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
        let group_bytes = buffer.len();
        let zero_sectors = zero_sectors(buffer);
        let followed = self.what_follows(group_bytes, buffer)?;
        let Some(next) = followed else {
            // Sectors that were not written read as zeros; a flipped bit makes no sector zero.
            if zero_sectors > header.zero_sectors {
                let bytes = u64::from(header.bytes);
                return Ok(Found::Torn { bytes });
            }
            return Err(Sealed::LastGroupDamaged { place }.into());
        };
        // Something follows: the group was acknowledged once, whatever its sectors look like.
        Err(match next {
            Next::Header => Sealed::DamagedBeforeValid {
                place,
                valid_offset: place.offset.saturating_add(u64::from(header.bytes)),
            },
            Next::Other => Sealed::GroupDamaged { place },
        }
        .into())
    }

    /// What follows the group of that length; nothing when it is room, or the end of the file.
    fn what_follows(
        &self,
        group_bytes: usize,
        buffer: &mut Vec<u8>,
    ) -> Result<Option<Next>, DiskError> {
        let window = group_bytes.saturating_add(SECTOR_BYTES);
        self.read(buffer, self.at_most(window))?;
        let next = buffer.get(group_bytes..).unwrap_or_default();
        if GroupHeader::decode(next, self.log).is_some() {
            return Ok(Some(Next::Header));
        }
        let bytes = self.bytes.saturating_sub(group_bytes as u64);
        if !is_zero(next) || bytes > ROOM_BYTES {
            return Ok(Some(Next::Other));
        }
        self.read(buffer, self.at_most(usize::MAX))?;
        let rest = buffer.get(group_bytes..).unwrap_or_default();
        Ok((!is_zero(rest)).then_some(Next::Other))
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

/// The bytes up to the end of the last sector that is not all zero.
fn written_bytes(tail: &[u8]) -> u64 {
    let mut sectors = tail.chunks(SECTOR_BYTES).enumerate();
    let written = sectors.rfind(|(_, sector)| !is_zero(sector));
    let bytes =
        written.map(|(at, sector)| at.saturating_mul(SECTOR_BYTES).saturating_add(sector.len()));
    bytes.map_or(0, |bytes| bytes as u64)
}
