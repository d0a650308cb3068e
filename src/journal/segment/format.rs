//! Sizes, names and the reading of fields that all files share.

use std::fmt;

use sha2::{Digest, Sha256};
use tlog::Hash;

use super::leaf::{NoRandomness, random_bytes};

/// The most bytes an entry's body may have. Larger things are blobs.
pub const MAX_BODY_BYTES: usize = 4 * 1024 * 1024;

/// The most bytes a blob may have: a PSBT with all its previous transactions.
pub const MAX_BLOB_BYTES: usize = 4 * 1024 * 1024;

/// The most entries a group may have.
pub const MAX_GROUP_RECORDS: usize = 1024;

/// The most bytes a group may have on disk, all included.
pub const MAX_GROUP_BYTES: usize = 16 * 1024 * 1024;

/// A segment is lengthened by zeros up to the next multiple of this, so that most flushes change no
/// length and need no journal of the file system: 90 us instead of 150 on ext4.
pub(super) const ROOM_BYTES: u64 = 512 * 1024;

/// What a disk writes whole or not at all; groups are a whole number of them.
pub const SECTOR_BYTES: usize = 512;

/// The only format there is.
pub(super) const VERSION: u32 = 1;

/// Length of a checksum in bytes.
pub(super) const CHECK_BYTES: usize = 32;

pub(super) const ANCHOR_NAME: &str = "anchor";
pub(super) const RESERVE_NAME: &str = "reserve";
pub(super) const SEGMENT_SUFFIX: &str = ".seg";
pub(super) const TEMPORARY_SUFFIX: &str = ".tmp";

/// Names one log for ever: 32 random bytes drawn at its creation and present in each of its files.
/// Shown in lower-case hexadecimal.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct LogId([u8; 32]);

impl LogId {
    /// Takes 32 bytes as they are.
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Draws an id from the operating system.
    ///
    /// # Errors
    /// [`NoRandomness`] when the operating system has none.
    pub fn random() -> Result<Self, NoRandomness> {
        random_bytes().map(Self)
    }

    /// The 32 bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for LogId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for LogId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LogId({self})")
    }
}

/// The name of the segment of that number.
pub(super) fn segment_name(number: u32) -> String {
    format!("{number:010}{SEGMENT_SUFFIX}")
}

/// Whether a segment is called so.
pub(crate) fn is_segment(name: &std::ffi::OsStr) -> bool {
    name.to_str().and_then(segment_number).is_some()
}

/// The number that a segment of that name must have; nothing for names not written by [`segment_name`].
pub(super) fn segment_number(name: &str) -> Option<u32> {
    let number = name.strip_suffix(SEGMENT_SUFFIX)?.parse().ok()?;
    (segment_name(number) == name).then_some(number)
}

/// A checksum that no part of another log, and no other kind of part, has.
pub(crate) fn check(label: &str, log: &LogId, bytes: &[u8]) -> [u8; CHECK_BYTES] {
    Sha256::new()
        .chain_update(label)
        .chain_update(log.0)
        .chain_update(bytes)
        .finalize()
        .into()
}

/// The plain SHA-256 by which blobs are named.
pub(super) fn blob_hash(blob: &[u8]) -> Hash {
    Hash::new(Sha256::digest(blob).into())
}

/// Whether there are no bytes but zeros.
pub(super) fn is_zero(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| *byte == 0)
}

/// Bytes yet to be read, from the front.
#[derive(Clone, Copy)]
pub(crate) struct Fields<'a>(pub(crate) &'a [u8]);

impl<'a> Fields<'a> {
    pub(crate) fn of(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(crate) fn take(&mut self, bytes: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(bytes)?;
        self.0 = rest;
        Some(taken)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*taken)
    }

    pub(crate) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_be_bytes)
    }

    pub(crate) fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_be_bytes)
    }

    pub(crate) fn hash(&mut self) -> Option<Hash> {
        self.array().map(Hash::new)
    }

    /// A number of bytes or of things.
    pub(crate) fn length(&mut self) -> Option<usize> {
        self.u32().and_then(|length| usize::try_from(length).ok())
    }
}
