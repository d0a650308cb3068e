//! Where in the segments each entry and each blob is; in RAM, made anew at every opening.

use std::collections::HashMap;

use tlog::Hash;

use super::error::Place;
use super::group::{Item, Items};

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

impl Spot {
    /// Where `item` of a group that begins at `group` is; nothing past 4 GiB.
    fn of(group: Place, item: &Item<'_>, hash: &Hash) -> Option<Self> {
        let offset = group.offset.checked_add(u64::from(item.offset))?;
        Some(Self {
            segment: group.segment,
            offset: u32::try_from(offset).ok()?,
            bytes: u32::try_from(item.bytes.len()).ok()?,
            tag: tag(hash),
        })
    }
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
    /// Nothing when the group is past what the index can address. `leaves` are the leaf hashes of the records.
    pub(super) fn of(group: Place, items: &Items<'_>, leaves: &[Hash]) -> Option<Self> {
        let entries = items.records.iter().zip(leaves);
        let blobs = items.blobs.iter().map(|item| (item, Hash::new(item.label)));
        Some(Self {
            entries: entries
                .map(|(item, leaf)| Spot::of(group, item, leaf))
                .collect::<Option<_>>()?,
            blobs: blobs
                .map(|(item, hash)| Some((hash, Spot::of(group, item, &hash)?)))
                .collect::<Option<_>>()?,
        })
    }
}

/// All entries by index, all blobs by SHA-256.
#[derive(Debug, Default)]
pub(super) struct Index {
    entries: Vec<Spot>,
    blobs: HashMap<Hash, Spot>,
}

impl Index {
    /// Adds the next group.
    pub(super) fn add(&mut self, group: GroupSpots) {
        self.entries.extend(group.entries);
        for (hash, spot) in group.blobs {
            self.blobs.entry(hash).or_insert(spot);
        }
    }

    pub(super) fn entry(&self, index: u64) -> Option<Spot> {
        self.entries.get(usize::try_from(index).ok()?).copied()
    }

    pub(super) fn blob(&self, hash: &Hash) -> Option<Spot> {
        self.blobs.get(hash).copied()
    }
}
