//! Where in the segments each entry and each blob is; in RAM, made anew at every opening.

use std::collections::HashMap;

use tlog::Hash;

use super::error::Place;
use super::group::{GROUP_HEADER_BYTES, ITEM_HEADER_BYTES};

/// Where an entry or a blob is, in 16 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Spot {
    pub(super) segment: u32,
    /// Where its length stands.
    pub(super) offset: u32,
    /// The length of the body or blob.
    pub(super) bytes: u32,
    /// The first bytes of an entry's leaf hash: finds damage when it is read again.
    pub(super) tag: [u8; 4],
}

/// What [`Spot::tag`] keeps of a hash.
pub(super) fn tag(hash: &Hash) -> [u8; 4] {
    hash.as_bytes().first_chunk().copied().unwrap_or_default()
}

/// What one group adds to the [`Index`].
pub(super) struct GroupSpots {
    entries: Vec<Spot>,
    blobs: Vec<(Hash, Spot)>,
}

impl GroupSpots {
    /// Of a group whose items follow one another from its header on; nothing when it is past what the
    /// index can address. Entries come with their leaf hashes, blobs with their SHA-256.
    pub(super) fn of<'a>(
        group: Place,
        entries: impl Iterator<Item = (&'a [u8], &'a Hash)>,
        blobs: impl Iterator<Item = (&'a [u8], Hash)>,
    ) -> Option<Self> {
        let mut offset = group.offset.checked_add(GROUP_HEADER_BYTES as u64)?;
        let mut spot = |bytes: &[u8], hash: &Hash| {
            let spot = Spot {
                segment: group.segment,
                offset: u32::try_from(offset).ok()?,
                bytes: u32::try_from(bytes.len()).ok()?,
                tag: tag(hash),
            };
            let item_bytes = bytes.len().checked_add(ITEM_HEADER_BYTES)?;
            offset = offset.checked_add(u64::try_from(item_bytes).ok()?)?;
            Some(spot)
        };
        let entries = entries.map(|(body, leaf)| spot(body, leaf));
        let entries = entries.collect::<Option<_>>()?;
        let blobs = blobs.map(|(blob, hash)| Some((hash, spot(blob, &hash)?)));
        let blobs = blobs.collect::<Option<_>>()?;
        Some(Self { entries, blobs })
    }
}

/// How many spots stand together: what is copied at most when they grow.
const CHUNK_SPOTS: usize = 1 << 16;

/// All entries by index, all blobs by SHA-256.
#[derive(Debug, Default)]
pub(super) struct Index {
    /// All chunks but the last are full.
    chunks: Vec<Vec<Spot>>,
    blobs: HashMap<Hash, Spot>,
}

impl Index {
    /// Adds the next group.
    pub(super) fn add(&mut self, group: GroupSpots) {
        for spot in group.entries {
            match self.chunks.last_mut() {
                Some(chunk) if chunk.len() < CHUNK_SPOTS => chunk.push(spot),
                _ => self.chunks.push(vec![spot]),
            }
        }
        for (hash, spot) in group.blobs {
            self.blobs.entry(hash).or_insert(spot);
        }
    }

    pub(super) fn entry(&self, index: u64) -> Option<Spot> {
        let index = usize::try_from(index).ok()?;
        let chunk = self.chunks.get(index / CHUNK_SPOTS)?;
        chunk.get(index % CHUNK_SPOTS).copied()
    }

    pub(super) fn blob(&self, hash: &Hash) -> Option<Spot> {
        self.blobs.get(hash).copied()
    }
}
