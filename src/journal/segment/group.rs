//! One group of entries: what one write carries and one `fdatasync` makes durable.

use tlog::{Hash, TreeHead};

use super::format::{
    CHECK_BYTES, Fields, LogId, MAX_BLOB_BYTES, MAX_BODY_BYTES, MAX_GROUP_BYTES, MAX_GROUP_RECORDS,
    SECTOR_BYTES, check, is_zero,
};
use super::leaf::{SALT_BYTES, Salt};
use super::log::Record;

/// Length of a group's header in bytes; within one sector.
pub(super) const GROUP_HEADER_BYTES: usize = 104;

/// What stands before a body or a blob: its length, and its salt or its hash.
pub(super) const ITEM_HEADER_BYTES: usize = 4 + SALT_BYTES;

pub(super) const GROUP_MAGIC: [u8; 8] = *b"SRGROUP1";

const HEADER_LABEL: &str = "strongroom-group-header-v1";
const GROUP_LABEL: &str = "strongroom-group-v1";

/// What a group says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct GroupHeader {
    /// Index of the first entry.
    pub(super) first: u64,
    pub(super) records: u32,
    pub(super) blobs: u32,
    /// Length on disk, all included.
    pub(super) bytes: u32,
    pub(super) payload_bytes: u32,
    /// How many of its sectors were all zero when it was written.
    pub(super) zero_sectors: u32,
    /// Root over all entries up to this group's last.
    pub(super) root: Hash,
}

impl GroupHeader {
    fn encode(&self, log: &LogId) -> Vec<u8> {
        let mut header = Vec::with_capacity(GROUP_HEADER_BYTES);
        header.extend(GROUP_MAGIC);
        header.extend(self.first.to_be_bytes());
        for number in [self.records, self.blobs, self.bytes, self.payload_bytes] {
            header.extend(number.to_be_bytes());
        }
        header.extend(self.zero_sectors.to_be_bytes());
        header.extend(0_u32.to_be_bytes());
        header.extend(self.root.as_bytes());
        header.extend(check(HEADER_LABEL, log, &header));
        header
    }

    /// Reads a header; nothing when it is not one that `log` wrote.
    pub(super) fn decode(bytes: &[u8], log: &LogId) -> Option<Self> {
        let mut fields = Fields(bytes);
        let header = fields.take(GROUP_HEADER_BYTES)?;
        let (checked, sum) = header.split_last_chunk::<CHECK_BYTES>()?;
        let mut fields = Fields(checked);
        // The magic first: it spares the search for later groups a hash in each sector.
        if fields.array() != Some(GROUP_MAGIC) || check(HEADER_LABEL, log, checked) != *sum {
            return None;
        }
        let header = Self {
            first: fields.u64()?,
            records: fields.u32()?,
            blobs: fields.u32()?,
            bytes: fields.u32()?,
            payload_bytes: fields.u32()?,
            zero_sectors: fields.u32()?,
            root: fields.u32().and_then(|_reserved| fields.hash())?,
        };
        Some(header)
    }

    /// The group's length on disk, if it is one that [`encode`] makes.
    pub(super) fn checked_bytes(&self) -> Option<usize> {
        let bytes = usize::try_from(self.bytes).ok()?;
        let records = usize::try_from(self.records).ok()?;
        let payload = usize::try_from(self.payload_bytes).ok()?;
        let bounded = bytes <= MAX_GROUP_BYTES && (1..=MAX_GROUP_RECORDS).contains(&records);
        (bounded && group_bytes(payload) == Some(bytes)).then_some(bytes)
    }
}

/// The length on disk of a group with that payload.
pub(super) fn group_bytes(payload_bytes: usize) -> Option<usize> {
    payload_bytes
        .checked_add(GROUP_HEADER_BYTES)?
        .checked_add(CHECK_BYTES)?
        .checked_next_multiple_of(SECTOR_BYTES)
}

/// The length of a payload of those bodies and blobs.
pub(super) fn payload_bytes<'a>(items: impl Iterator<Item = &'a [u8]>) -> Option<usize> {
    items
        .map(|item| item.len().checked_add(ITEM_HEADER_BYTES))
        .try_fold(0_usize, |sum, bytes| sum.checked_add(bytes?))
}

/// Writes a group over the contents of `buffer`; nothing when it is too large for its fields.
///
/// The caller has checked all bounds. `head` is how many entries come before the group, and the
/// root with it; `blobs` come with their SHA-256.
pub(super) fn encode(
    buffer: &mut Vec<u8>,
    log: &LogId,
    head: &TreeHead,
    records: &[Record<'_>],
    blobs: &[(Hash, &[u8])],
) -> Option<()> {
    buffer.clear();
    // Not zero, as the header will not be: the count of zero sectors is part of it.
    buffer.resize(GROUP_HEADER_BYTES, 0xff);
    for record in records {
        push_item(buffer, record.salt.as_bytes(), record.body)?;
    }
    for (hash, blob) in blobs {
        push_item(buffer, hash.as_bytes(), blob)?;
    }
    let payload = buffer.len().checked_sub(GROUP_HEADER_BYTES)?;
    let bytes = group_bytes(payload)?;
    buffer.resize(bytes, 0xff);
    let header = GroupHeader {
        first: head.size,
        records: u32::try_from(records.len()).ok()?,
        blobs: u32::try_from(blobs.len()).ok()?,
        bytes: u32::try_from(bytes).ok()?,
        payload_bytes: u32::try_from(payload).ok()?,
        zero_sectors: zero_sectors(buffer),
        root: head.root,
    };
    buffer
        .get_mut(..GROUP_HEADER_BYTES)?
        .copy_from_slice(&header.encode(log));
    let (checked, sum) = buffer.split_last_chunk_mut::<CHECK_BYTES>()?;
    *sum = check(GROUP_LABEL, log, checked);
    Some(())
}

fn push_item(buffer: &mut Vec<u8>, label: &[u8; 32], bytes: &[u8]) -> Option<()> {
    buffer.extend(u32::try_from(bytes.len()).ok()?.to_be_bytes());
    buffer.extend(label);
    buffer.extend(bytes);
    Some(())
}

/// Whether a group's checksum holds.
pub(super) fn is_whole(group: &[u8], log: &LogId) -> bool {
    group
        .split_last_chunk::<CHECK_BYTES>()
        .is_some_and(|(checked, sum)| check(GROUP_LABEL, log, checked) == *sum)
}

/// How many sectors are all zero.
pub(super) fn zero_sectors(group: &[u8]) -> u32 {
    let zeros = group.chunks(SECTOR_BYTES).filter(|sector| is_zero(sector));
    u32::try_from(zeros.count()).unwrap_or(u32::MAX)
}

/// A body or a blob within a group.
#[derive(Clone, Copy)]
pub(super) struct Item<'a> {
    /// The body's salt, or the blob's hash.
    pub(super) label: [u8; 32],
    pub(super) bytes: &'a [u8],
}

impl Item<'_> {
    pub(super) const fn salt(&self) -> Salt {
        Salt::new(self.label)
    }
}

/// What a group carries.
pub(super) struct Items<'a> {
    pub(super) records: Vec<Item<'a>>,
    pub(super) blobs: Vec<Item<'a>>,
}

/// The bodies and the blobs of a whole group; nothing when the payload is not exactly those.
pub(super) fn items<'a>(group: &'a [u8], header: &GroupHeader) -> Option<Items<'a>> {
    let payload = usize::try_from(header.payload_bytes).ok()?;
    let end = payload.checked_add(GROUP_HEADER_BYTES)?;
    let mut rest = Fields(group.get(GROUP_HEADER_BYTES..end)?);
    let mut take = |most_bytes: usize| {
        let bytes = rest.length().filter(|bytes| *bytes <= most_bytes)?;
        Some(Item {
            label: rest.array()?,
            bytes: rest.take(bytes)?,
        })
    };
    let records = (0..header.records)
        .map(|_| take(MAX_BODY_BYTES))
        .collect::<Option<_>>()?;
    let blobs = (0..header.blobs)
        .map(|_| take(MAX_BLOB_BYTES))
        .collect::<Option<_>>()?;
    rest.0.is_empty().then_some(Items { records, blobs })
}
