//! Reading and writing the encoding that transactions and PSBTs share.

use super::refusal::{Part, Refusal};

/// The bytes of one part that are still to be read.
pub(super) struct Reader<'a> {
    rest: &'a [u8],
    part: Part,
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8], part: Part) -> Self {
        Self { rest: bytes, part }
    }

    pub(super) fn part(&self) -> Part {
        self.part
    }

    pub(super) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// What was read since `rest` was `earlier`.
    pub(super) fn read_since(&self, earlier: &'a [u8]) -> &'a [u8] {
        let length = earlier.len().saturating_sub(self.rest.len());
        earlier.get(..length).unwrap_or(earlier)
    }

    pub(super) fn take(&mut self, length: usize) -> Result<&'a [u8], Refusal> {
        let split = self.rest.split_at_checked(length);
        let (taken, rest) = split.ok_or(Refusal::Truncated { part: self.part })?;
        self.rest = rest;
        Ok(taken)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], Refusal> {
        let truncated = Refusal::Truncated { part: self.part };
        self.take(N)?.try_into().map_err(|_| truncated)
    }

    pub(super) fn u32(&mut self) -> Result<u32, Refusal> {
        self.array().map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self) -> Result<u64, Refusal> {
        self.array().map(u64::from_le_bytes)
    }

    /// A compact size in its shortest form.
    pub(super) fn compact_size(&mut self) -> Result<u64, Refusal> {
        let [first] = self.array()?;
        let (value, least) = match first {
            0xfd => (u64::from(u16::from_le_bytes(self.array()?)), 0xfd),
            0xfe => (u64::from(self.u32()?), 0x1_0000),
            0xff => (self.u64()?, 0x1_0000_0000),
            small => (u64::from(small), 0),
        };
        if value < least {
            return Err(Refusal::CompactSize { part: self.part });
        }
        Ok(value)
    }

    /// A number of things of at least one byte each: never more than bytes are left, so that no
    /// claimed count costs memory.
    pub(super) fn count(&mut self) -> Result<usize, Refusal> {
        let count = self.compact_size()?;
        usize::try_from(count)
            .ok()
            .filter(|count| *count <= self.rest.len())
            .ok_or(Refusal::Truncated { part: self.part })
    }

    /// Bytes after their length.
    pub(super) fn bytes(&mut self) -> Result<&'a [u8], Refusal> {
        let length = self.count()?;
        self.take(length)
    }

    pub(super) fn finish(self) -> Result<(), Refusal> {
        match self.rest {
            [] => Ok(()),
            _ => Err(Refusal::Trailing { part: self.part }),
        }
    }
}

/// Appends a compact size.
pub(super) fn put_compact_size(out: &mut Vec<u8>, value: u64) {
    let bytes = value.to_le_bytes();
    let (prefix, length): (Option<u8>, usize) = match value {
        0..=0xfc => (None, 1),
        0xfd..=0xffff => (Some(0xfd), 2),
        0x1_0000..=0xffff_ffff => (Some(0xfe), 4),
        _ => (Some(0xff), 8),
    };
    out.extend(prefix);
    out.extend(bytes.iter().take(length));
}

/// Appends a number of things.
pub(super) fn put_count(out: &mut Vec<u8>, count: usize) {
    // A usize has at most 64 bits on every platform there is.
    put_compact_size(out, u64::try_from(count).unwrap_or(u64::MAX));
}

/// Appends bytes after their length.
pub(super) fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_count(out, bytes.len());
    out.extend_from_slice(bytes);
}
