//! Where in the segments each entry and each blob is; in RAM, made anew at every opening.
//!
//! The newest entries have a spot of their own. Of the others a group near by is known, from which the
//! headers lead to the entry: 16 bytes of RAM for every 64 entries or more.

use std::collections::{HashMap, VecDeque};

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

/// Where a group is, in 16 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct GroupSpot {
    /// The group's first entry.
    pub(super) first: u64,
    pub(super) segment: u32,
    pub(super) offset: u32,
}

/// A segment that has groups.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SegmentSpot {
    pub(super) number: u32,
    /// Its first entry.
    pub(super) first: u64,
    /// Where its last group ends.
    pub(super) end: u64,
}

/// What one group adds to the [`Index`].
pub(super) struct GroupSpots {
    group: GroupSpot,
    end: u64,
    entries: Vec<Spot>,
    blobs: Vec<(Hash, Spot)>,
}

/// A group as it lies in its segment.
#[derive(Debug, Clone, Copy)]
pub(super) struct Laid {
    /// Its first entry.
    pub(super) first: u64,
    pub(super) place: Place,
    /// Its length on disk.
    pub(super) bytes: u64,
}

impl GroupSpots {
    /// Of a group whose items follow one another from its header on; nothing when it is past what the
    /// index can address. Entries come with their leaf hashes, blobs with their SHA-256.
    pub(super) fn of<'a>(
        laid: Laid,
        entries: impl Iterator<Item = (&'a [u8], &'a Hash)>,
        blobs: impl Iterator<Item = (&'a [u8], Hash)>,
    ) -> Option<Self> {
        let group = laid.place;
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
        Some(Self {
            group: GroupSpot {
                first: laid.first,
                segment: group.segment,
                offset: u32::try_from(group.offset).ok()?,
            },
            end: group.offset.checked_add(laid.bytes)?,
            entries,
            blobs,
        })
    }
}

/// How many spots stand together: what is copied at most when they grow.
const CHUNK_SPOTS: usize = 1 << 16;
/// How many such chunks are kept: the newest 2^18 entries, in 4 MiB.
const CHUNKS: usize = 4;
/// How many entries stand at least between two groups that are known.
const GROUP_ENTRIES: u64 = 64;

/// All entries by index, all blobs by SHA-256.
#[derive(Debug, Default)]
pub(super) struct Index {
    /// The entry that the first chunk begins with, once there is one.
    recent: u64,
    /// All chunks but the last are full.
    chunks: VecDeque<Vec<Spot>>,
    /// In order; the first group of each segment among them.
    groups: Vec<GroupSpot>,
    /// In order.
    segments: Vec<SegmentSpot>,
    blobs: HashMap<Hash, Spot>,
}

impl Index {
    /// That of earlier segments, to which groups of the next one are added.
    pub(super) fn behind(
        first: u64,
        segments: Vec<SegmentSpot>,
        groups: Vec<GroupSpot>,
        blobs: impl IntoIterator<Item = (Hash, Spot)>,
    ) -> Self {
        Self {
            recent: first,
            chunks: VecDeque::new(),
            groups,
            segments,
            blobs: blobs.into_iter().collect(),
        }
    }

    /// Adds the next group.
    pub(super) fn add(&mut self, group: GroupSpots) {
        let GroupSpot { first, segment, .. } = group.group;
        match self.segments.last_mut() {
            Some(last) if last.number == segment => last.end = group.end,
            _ => self.segments.push(SegmentSpot {
                number: segment,
                first,
                end: group.end,
            }),
        }
        let far = |last: &GroupSpot| {
            last.segment != segment || first.saturating_sub(last.first) >= GROUP_ENTRIES
        };
        if self.groups.last().is_none_or(far) {
            self.groups.push(group.group);
        }
        for spot in group.entries {
            match self.chunks.back_mut() {
                Some(chunk) if chunk.len() < CHUNK_SPOTS => chunk.push(spot),
                _ => self.chunks.push_back(vec![spot]),
            }
        }
        while self.chunks.len() > CHUNKS
            && let Some(gone) = self.chunks.pop_front()
        {
            self.recent = self.recent.saturating_add(gone.len() as u64);
        }
        for (hash, spot) in group.blobs {
            self.blobs.entry(hash).or_insert(spot);
        }
    }

    /// Where a recent entry is.
    pub(super) fn entry(&self, index: u64) -> Option<Spot> {
        let index = usize::try_from(index.checked_sub(self.recent)?).ok()?;
        let chunk = self.chunks.get(index / CHUNK_SPOTS)?;
        chunk.get(index % CHUNK_SPOTS).copied()
    }

    /// The last known group that does not begin behind an entry: the entry is in it, or in one that follows
    /// in the same segment.
    pub(super) fn group_before(&self, index: u64) -> Option<GroupSpot> {
        let behind = self.groups.partition_point(|group| group.first <= index);
        self.groups.get(behind.checked_sub(1)?).copied()
    }

    pub(super) fn blob(&self, hash: &Hash) -> Option<Spot> {
        self.blobs.get(hash).copied()
    }

    /// The first entries of the segments.
    pub(super) fn starts(&self) -> Vec<u64> {
        self.segments.iter().map(|segment| segment.first).collect()
    }

    /// The first segment.
    pub(super) fn first_segment(&self) -> Option<u32> {
        self.segments.first().map(|segment| segment.number)
    }

    /// The segment with this entry.
    pub(super) fn segment_with(&self, entry: u64) -> Option<u32> {
        let behind = self.segments.partition_point(|one| one.first <= entry);
        let segment = self.segments.get(behind.checked_sub(1)?)?;
        Some(segment.number)
    }

    /// Forgets the segments before this one.
    pub(super) fn forget_before(&mut self, segment: u32) {
        self.segments.retain(|one| one.number >= segment);
        self.groups.retain(|one| one.segment >= segment);
        self.blobs.retain(|_, spot| spot.segment >= segment);
        // An entry that is gone has no spot: those that are left begin with the first that is there.
        let first = self.segments.first().map_or(self.recent, |one| one.first);
        while self.recent < first
            && self
                .chunks
                .front()
                .is_some_and(|chunk| self.recent.saturating_add(chunk.len() as u64) <= first)
            && let Some(gone) = self.chunks.pop_front()
        {
            self.recent = self.recent.saturating_add(gone.len() as u64);
        }
    }

    /// The segment with this entry, and what is known of those before it.
    pub(super) fn earlier(&self, index: u64) -> Option<Earlier> {
        let behind = self.segments.partition_point(|one| one.first <= index);
        let at = behind.checked_sub(1)?;
        let segment = *self.segments.get(at)?;
        let groups = self.groups.partition_point(|one| one.first < segment.first);
        let mut blobs: Vec<(Hash, Spot)> = self
            .blobs
            .iter()
            .filter(|(_, spot)| spot.segment < segment.number)
            .map(|(hash, spot)| (*hash, *spot))
            .collect();
        blobs.sort_unstable_by_key(|(hash, _)| *hash);
        Some(Earlier {
            segment,
            segments: self.segments.get(..at)?.to_vec(),
            groups: self.groups.get(..groups)?.to_vec(),
            blobs,
        })
    }
}

/// What is known of the segments before one.
pub(super) struct Earlier {
    pub(super) segment: SegmentSpot,
    pub(super) segments: Vec<SegmentSpot>,
    pub(super) groups: Vec<GroupSpot>,
    pub(super) blobs: Vec<(Hash, Spot)>,
}
