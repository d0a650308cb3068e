//! What opening has to know of the segments before one so as not to read them.

use tlog::{CompactTree, Hash};

use super::error::ReadError;
use super::format::Fields;
use super::index::{Earlier, GroupSpot, Index, SegmentSpot, Spot};
use super::read::Reader;
use super::tip::{TILE_HASHES, Tip, split};

/// What is known of the segments before one: where their groups are, and the newest part of the tree over
/// them. Nothing says that it is right but what is read with it: the open tiles have to lead to the tree
/// that the segment's own header says, and entries to their place in the tree.
///
/// # Format 1, integers big-endian
/// ```text
/// segment u32 | first entry's index u64
/// | segments u32, for each: number u32, first u64, end u64
/// | groups u32, for each: first u64, segment u32, offset u32
/// | blobs u32, for each: SHA-256 32, segment u32, offset u32, bytes u32
/// | levels of open tiles u32, for each: hashes u32, the hashes 32 each
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Landmarks {
    /// The segment from which all is read.
    pub(super) segment: u32,
    /// Its first entry.
    pub(super) first: u64,
    pub(super) segments: Vec<SegmentSpot>,
    pub(super) groups: Vec<GroupSpot>,
    pub(super) blobs: Vec<(Hash, Spot)>,
    pub(super) open: Vec<Vec<Hash>>,
}

impl Reader {
    /// What opening has to know so as to read from the segment with entry `index` on. Without any entries
    /// before it there is nothing to know; where those are pruned, the tree of them.
    ///
    /// # Errors
    /// [`ReadError`], of the tree.
    pub(crate) fn landmarks(&self, index: u64) -> Result<Option<Landmarks>, ReadError> {
        let Some(earlier) = self.earlier(index) else {
            return Ok(None);
        };
        let Earlier {
            segment: SegmentSpot { number, first, .. },
            segments,
            groups,
            blobs,
        } = earlier;
        if first == 0 {
            return Ok(None);
        }
        let mut open = vec![self.commitments(tile_of(first)..first)?];
        for level in 1.. {
            let hashes = Tip::hashes_of(first, level);
            if hashes == 0 {
                break;
            }
            open.push(self.tile_hashes(level, tile_of(hashes)..hashes)?);
        }
        Ok(Some(Landmarks {
            segment: number,
            first,
            segments,
            groups,
            blobs,
            open,
        }))
    }
}

/// The first hash of the tile that would take the next one.
fn tile_of(hashes: u64) -> u64 {
    let (tile, _) = split(hashes);
    tile.saturating_mul(TILE_HASHES as u64)
}

impl Landmarks {
    /// The first entry that is read.
    pub(crate) fn first(&self) -> u64 {
        self.first
    }

    /// The newest part of the tree of the entries before, where it leads to that tree.
    pub(super) fn tip(&self, before: &CompactTree) -> Option<Tip> {
        if before.size() != self.first {
            return None;
        }
        Tip::restored(before.clone(), self.open.clone())
    }

    /// Forgets segments that are gone.
    pub(super) fn forget_before(&mut self, segment: u32) {
        self.segments.retain(|one| one.number >= segment);
        self.groups.retain(|one| one.segment >= segment);
        self.blobs.retain(|(_, spot)| spot.segment >= segment);
    }

    pub(super) fn index(self) -> Index {
        let Self {
            first,
            segments,
            groups,
            blobs,
            ..
        } = self;
        Index::behind(first, segments, groups, blobs)
    }

    /// Its bytes; none of what is longer than any can be.
    pub(crate) fn encode(&self) -> Option<Vec<u8>> {
        let mut bytes = Vec::new();
        bytes.extend(self.segment.to_be_bytes());
        bytes.extend(self.first.to_be_bytes());
        put_length(&mut bytes, self.segments.len())?;
        for segment in &self.segments {
            bytes.extend(segment.number.to_be_bytes());
            bytes.extend(segment.first.to_be_bytes());
            bytes.extend(segment.end.to_be_bytes());
        }
        put_length(&mut bytes, self.groups.len())?;
        for group in &self.groups {
            bytes.extend(group.first.to_be_bytes());
            bytes.extend(group.segment.to_be_bytes());
            bytes.extend(group.offset.to_be_bytes());
        }
        put_length(&mut bytes, self.blobs.len())?;
        for (hash, spot) in &self.blobs {
            bytes.extend(hash.as_bytes());
            for number in [spot.segment, spot.offset, spot.bytes] {
                bytes.extend(number.to_be_bytes());
            }
        }
        put_length(&mut bytes, self.open.len())?;
        for hashes in &self.open {
            put_length(&mut bytes, hashes.len())?;
            hashes.iter().for_each(|hash| bytes.extend(hash.as_bytes()));
        }
        Some(bytes)
    }

    /// Reads what [`Landmarks::encode`] gave.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut fields = Fields::of(bytes);
        let (segment, first) = (fields.u32()?, fields.u64()?);
        let segments = list(&mut fields, |fields| {
            Some(SegmentSpot {
                number: fields.u32()?,
                first: fields.u64()?,
                end: fields.u64()?,
            })
        })?;
        let groups = list(&mut fields, |fields| {
            Some(GroupSpot {
                first: fields.u64()?,
                segment: fields.u32()?,
                offset: fields.u32()?,
            })
        })?;
        let blobs = list(&mut fields, |fields| {
            let hash = fields.hash()?;
            let spot = Spot {
                segment: fields.u32()?,
                offset: fields.u32()?,
                bytes: fields.u32()?,
                tag: super::index::tag(&hash),
            };
            Some((hash, spot))
        })?;
        let open = list(&mut fields, |fields| list(fields, Fields::hash))?;
        fields.0.is_empty().then_some(Self {
            segment,
            first,
            segments,
            groups,
            blobs,
            open,
        })
    }
}

fn put_length(bytes: &mut Vec<u8>, length: usize) -> Option<()> {
    bytes.extend(u32::try_from(length).ok()?.to_be_bytes());
    Some(())
}

fn list<'a, T>(
    fields: &mut Fields<'a>,
    mut each: impl FnMut(&mut Fields<'a>) -> Option<T>,
) -> Option<Vec<T>> {
    (0..fields.length()?).map(|_| each(fields)).collect()
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, convert::Infallible, fs, path::Path};

    use tlog::{inclusion_proof, verify_inclusion};

    use super::*;
    use crate::disk::FsDisk;
    use crate::lock::Owner;
    use crate::segment::{
        LogId, OpenError, OpenOptions, Opened, Record, Salt, Sealed, SegmentLog, Stored,
    };

    const LOG: LogId = LogId::new([0x4c; 32]);
    const ENTRIES: u64 = 1_500;

    fn disk(folder: &Path) -> Box<FsDisk> {
        Box::new(FsDisk::new(Owner::acquire(folder).unwrap()))
    }

    fn small() -> OpenOptions {
        OpenOptions {
            segment_bytes: 16 * 1024,
            reserve_bytes: 512,
            ..OpenOptions::default()
        }
    }

    fn body(index: u64) -> Vec<u8> {
        format!("entry {index} {}", "x".repeat((index % 97) as usize)).into_bytes()
    }

    /// Groups of one to seven entries, some with a blob, over many segments.
    fn write(folder: &Path) -> Vec<Option<Landmarks>> {
        let mut log = SegmentLog::create(disk(folder), LOG, &small()).unwrap();
        let mut group = 1;
        while log.size() < ENTRIES {
            let bodies: Vec<_> = (log.size()..log.size() + group).map(body).collect();
            let records = bodies.iter().map(|body| Record {
                salt: Salt::new([7; 32]),
                body,
            });
            let blob = format!("blob {group} {}", log.size() / 500);
            log.append(&records.collect::<Vec<_>>(), &[blob.as_bytes()])
                .unwrap();
            group = group % 7 + 1;
        }
        log.write_anchor().unwrap();
        let reader = log.reader();
        (0..log.size())
            .step_by(50)
            .map(|index| reader.landmarks(index).unwrap())
            .collect()
    }

    type Seen = BTreeMap<u64, Vec<u8>>;

    fn open(
        folder: &Path,
        landmarks: Option<Landmarks>,
    ) -> Result<(SegmentLog, Opened, Seen), OpenError<Infallible>> {
        let mut seen = Seen::new();
        let each = |index, body: &[u8], _: &super::super::Before<'_>| {
            seen.insert(index, body.to_vec());
            Ok(())
        };
        let opened = SegmentLog::open_behind(disk(folder), &small(), landmarks, each);
        opened.map(|(log, opened)| (log, opened, seen))
    }

    #[test]
    fn what_is_not_read_is_found_and_proved() {
        let folder = tempfile::tempdir().unwrap();
        let all = write(folder.path());
        let (whole, expected, _) = open(folder.path(), None).unwrap();
        let proofs: Vec<_> = (0..ENTRIES)
            .map(|index| inclusion_proof(&whole.reader(), index, ENTRIES).unwrap())
            .collect();
        drop(whole);
        assert!(all.iter().flatten().count() > 20);
        for landmarks in all.into_iter().flatten().step_by(3) {
            let bytes = landmarks.encode().unwrap();
            assert_eq!(Landmarks::decode(&bytes).as_ref(), Some(&landmarks));
            let first = landmarks.first;
            let (log, opened, seen) = open(folder.path(), Some(landmarks)).unwrap();
            assert_eq!(opened.head, expected.head);
            assert_eq!(seen.keys().next(), Some(&first));
            assert_eq!(seen.len() as u64, log.size() - first);
            let reader = log.reader();
            let each: Vec<_> = (0..ENTRIES).zip(&proofs).collect();
            for (index, expected) in each.iter().chain(each.iter().rev().step_by(13)) {
                let index = *index;
                let stored = reader.read(index).unwrap();
                assert_eq!(stored.body, body(index));
                let proof = inclusion_proof(&reader, index, ENTRIES).unwrap();
                assert_eq!(&proof, *expected);
                let head = tlog::TreeHead {
                    size: ENTRIES,
                    root: tlog::root_at(&reader, ENTRIES).unwrap(),
                };
                verify_inclusion(stored.leaf().hash(), index, &head, &proof).unwrap();
            }
            let blob = super::super::format::blob_hash(b"blob 1 0");
            assert_eq!(reader.blob(&blob).unwrap(), b"blob 1 0");
        }
    }

    #[test]
    fn landmarks_that_are_not_the_logs_lead_nowhere() {
        let folder = tempfile::tempdir().unwrap();
        let all = write(folder.path());
        let last = all.into_iter().flatten().next_back().unwrap();
        let refused = |landmarks: Landmarks| match open(folder.path(), Some(landmarks)) {
            Err(OpenError::Sealed { source }) => source,
            other => panic!("{:?}", other.map(|(log, ..)| log)),
        };
        let mut other = last.clone();
        other.first -= 1;
        assert!(matches!(
            refused(other),
            Sealed::SegmentDiscontinuous { .. }
        ));
        for level in 0..last.open.len() {
            let mut other = last.clone();
            other.open[level][0] = Hash::new([1; 32]);
            assert!(matches!(
                refused(other),
                Sealed::SegmentDiscontinuous { .. }
            ));
        }
        let mut other = last.clone();
        other.segments[0].end += 512;
        assert!(matches!(refused(other), Sealed::SegmentCutShort { .. }));
        // A group that is somewhere else: its entries are not read.
        let mut other = last.clone();
        other.groups[1].offset += 512;
        let (log, ..) = open(folder.path(), Some(other)).unwrap();
        let index = last.groups[1].first;
        assert!(log.reader().read(index).is_err());
        assert!(log.reader().read(0).is_ok());
        let bytes = last.encode().unwrap();
        for length in (0..bytes.len()).step_by(61) {
            assert_eq!(Landmarks::decode(&bytes[..length]), None);
        }
    }

    #[test]
    fn segments_that_are_not_read_are_there_and_theirs_is_read_only_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let all = write(folder.path());
        let last = all.into_iter().flatten().next_back().unwrap();
        let second = folder.path().join("0000000001.seg");
        let whole = fs::read(&second).unwrap();
        let first = last.segments[1].first;
        let opened = || open(folder.path(), Some(last.clone()));
        // A bit of a body, under checksums that somebody made to hold or not: the tree knows.
        let mut flipped = whole.clone();
        let at = whole.windows(6).position(|w| w == b"entry ").unwrap();
        flipped[at] ^= 1;
        fs::write(&second, &flipped).unwrap();
        let (log, ..) = opened().unwrap();
        assert!(log.reader().read(first).is_err());
        assert!(log.reader().read(first - 1).is_ok());
        drop(log);
        fs::write(&second, &whole[..whole.len() - 512]).unwrap();
        assert!(matches!(
            opened().map(drop),
            Err(OpenError::Sealed {
                source: Sealed::SegmentCutShort { .. }
            })
        ));
        fs::remove_file(&second).unwrap();
        assert!(matches!(
            opened().map(drop),
            Err(OpenError::Sealed {
                source: Sealed::SegmentMissing { segment: 1 }
            })
        ));
        // Those before one that is gone were pruned, if the journal says so.
        fs::write(&second, &whole).unwrap();
        fs::remove_file(folder.path().join("0000000000.seg")).unwrap();
        let (log, found, _) = opened().unwrap();
        assert_eq!(found.begins, first);
        let pruned =
            |read: Result<Stored, ReadError>| matches!(read, Err(ReadError::Pruned { .. }));
        assert!(pruned(log.reader().read(0)) && pruned(log.reader().read(first - 1)));
        assert_eq!(log.reader().read(first).unwrap().body, body(first));
        assert!(inclusion_proof(&log.reader(), 0, ENTRIES).is_ok());
    }
}
