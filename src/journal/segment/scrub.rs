//! Reading a log again that is open: what a start went past, and what was read long ago.
//!
//! From the first segment that is there on, in small steps: of pruned entries the leaves, which lead to the
//! root in that segment's header; then every group, its checksum, its entries, its blobs, and the root that
//! chains it to all before it. At the end stands the tree that the log has in memory. On the way every full
//! tile of the tree is compared with its file, and made again at the end where it is another: never from
//! what does not lead to that tree.

use std::io::ErrorKind;

use tlog::TreeHead;

use super::error::{DiskAction, DiskError, Place, Sealed};
use super::header::SEGMENT_HEADER_BYTES;
use super::leaf::Leaf;
use super::open::{Segment, check_log, segments};
use super::read::Reader;
use super::scan::{Fault, Found, Tail};
use super::tiles::Tile;
use super::tip::{TILE_HASHES, TileId, Tip};
use super::verify::{Verified, WrongTiles, verify};

/// One reading of a log.
pub(crate) struct Scrub {
    reader: Reader,
    /// The tree to come to.
    until: TreeHead,
    tip: Tip,
    at: At,
    wrong: WrongTiles,
    buffer: Vec<u8>,
}

/// Where it is.
enum At {
    /// Before everything.
    Start,
    /// At a tile of leaves whose bodies are pruned.
    Leaves { tile: u64, first: Box<Segment> },
    /// Before the group that begins with this byte.
    Group { segment: Box<Segment>, offset: u64 },
}

/// What was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// Something was read, and is as it was.
    Read {
        /// How many bytes.
        bytes: u64,
        /// How many entries, those of which only leaves are left included.
        entries: u64,
    },
    /// All of it is as it was.
    Finished {
        /// How many tiles of the tree were missing or others, and are made again.
        mended: u64,
    },
}

impl Scrub {
    /// Of the entries of this tree, with which the log begins.
    pub(crate) fn of(reader: Reader, until: TreeHead) -> Self {
        Self {
            reader,
            until,
            tip: Tip::default(),
            at: At::Start,
            wrong: WrongTiles::default(),
            buffer: Vec::new(),
        }
    }

    /// Of all that is durable.
    pub(crate) fn of_all(reader: Reader) -> Self {
        let head = reader.head();
        Self::of(reader, head)
    }

    /// All steps.
    ///
    /// # Errors
    /// As [`Scrub::step`].
    pub(super) fn finish(mut self) -> Result<(), Fault> {
        while let Step::Read { .. } = self.step()? {}
        Ok(())
    }

    /// The next tile or group: 16 MiB at the most, and mostly some kilobytes.
    ///
    /// # Errors
    /// [`Fault`]: it is not as it was, or cannot be read.
    pub(crate) fn step(&mut self) -> Result<Step, Fault> {
        if self.tip.tree.size() >= self.until.size {
            return self.ended();
        }
        let before = self.tip.tree.size();
        let bytes = match std::mem::replace(&mut self.at, At::Start) {
            At::Start => self.begin()?,
            At::Leaves { tile, first } => self.leaves(tile, first)?,
            At::Group { segment, offset } => self.group(segment, offset)?,
        };
        let entries = self.tip.tree.size().saturating_sub(before);
        Ok(Step::Read { bytes, entries })
    }

    fn begin(&mut self) -> Result<u64, Fault> {
        let names = self.reader.folder().list()?;
        let there = segments(&names, None)?;
        let Some(first) = self.open(there.start)? else {
            return Ok(0);
        };
        self.at = At::Leaves {
            tile: 0,
            first: Box::new(first),
        };
        Ok(SEGMENT_HEADER_BYTES as u64)
    }

    /// A segment; nothing where it was pruned in this moment: then all is begun anew.
    fn open(&mut self, number: u32) -> Result<Option<Segment>, Fault> {
        match Segment::open(self.reader.folder(), number) {
            Ok(segment) => {
                check_log(&segment.header, self.reader.id())?;
                Ok(Some(segment))
            }
            Err(Fault::Disk(error)) if is_absent(&error) => {
                if self.reader.first_segment() <= Some(number) {
                    return Err(Sealed::SegmentMissing { segment: number }.into());
                }
                *self = Self::of(self.reader.clone(), self.until);
                Ok(None)
            }
            Err(fault) => Err(fault),
        }
    }

    /// A tile of leaves, or those that fill none before the first segment.
    fn leaves(&mut self, tile: u64, first: Box<Segment>) -> Result<u64, Fault> {
        let pruned = first.header.before.size();
        let from = self.tip.tree.size();
        let left = pruned.saturating_sub(from);
        if left == 0 {
            self.check_before(&first)?;
            let offset = SEGMENT_HEADER_BYTES as u64;
            self.at = At::Group {
                segment: first,
                offset,
            };
            return Ok(0);
        }
        let damaged = Sealed::LeavesDamaged { from };
        let hashes = match left < TILE_HASHES as u64 {
            true => self.reader.commitments(from..pruned).ok(),
            false => self.stored(tile),
        };
        let mut full = Vec::new();
        for hash in hashes.as_ref().ok_or_else(|| damaged.clone())? {
            let added = self.tip.append(&Leaf::of(*hash), &mut full);
            let _hash = added.map_err(|_full| damaged.clone())?;
        }
        self.wrong.check(&self.reader.shared.tiles, full);
        self.at = At::Leaves {
            tile: tile.saturating_add(1),
            first,
        };
        Ok(hashes.map_or(0, |hashes| hashes.len().saturating_mul(32) as u64))
    }

    /// The leaves of a full tile as its file has them, where they lead to the tree.
    fn stored(&self, number: u64) -> Option<Vec<tlog::Hash>> {
        let id = TileId { level: 0, number };
        let hashes = self.reader.shared.tiles.stored(id)?;
        let root = self.reader.root(&self.reader.tip(), id).ok()?;
        (Tile::of(0, hashes.clone()).root() == Some(root)).then_some(hashes)
    }

    fn check_before(&self, segment: &Segment) -> Result<(), Sealed> {
        let (before, tree) = (&segment.header.before, &self.tip.tree);
        match before == tree {
            true => Ok(()),
            false => Err(Sealed::SegmentDiscontinuous {
                segment: segment.header.number,
                says: before.size(),
                found: tree.size(),
            }),
        }
    }

    fn group(&mut self, segment: Box<Segment>, offset: u64) -> Result<u64, Fault> {
        let number = segment.header.number;
        let place = Place {
            segment: number,
            offset,
        };
        let size_bytes = segment.file.size_bytes()?;
        let left = size_bytes.saturating_sub(offset);
        if left == 0 {
            return self.next_segment(place);
        }
        let tail = Tail {
            file: &segment.file,
            log: &self.reader.id(),
            place,
            bytes: left,
        };
        let Found::Whole(header) = tail.group(self.tip.tree.size(), &mut self.buffer)? else {
            // It was durable, whatever a crash could have left.
            return Err(Sealed::SegmentCutShort { place }.into());
        };
        let known = |_: &tlog::CompactTree| Ok(());
        let verified = verify(&mut self.tip, (&header, place), &self.buffer, known)?;
        let Verified { full, .. } = verified;
        self.wrong.check(&self.reader.shared.tiles, full);
        let bytes = u64::from(header.bytes);
        self.at = At::Group {
            segment,
            offset: offset.saturating_add(bytes),
        };
        Ok(bytes)
    }

    /// The log goes on behind the segment that ends here.
    fn next_segment(&mut self, end: Place) -> Result<u64, Fault> {
        if end.segment == self.reader.active() {
            return Err(Sealed::SegmentCutShort { place: end }.into());
        }
        let Some(next) = self.open(end.segment.saturating_add(1))? else {
            return Ok(0);
        };
        self.check_before(&next)?;
        self.at = At::Group {
            segment: Box::new(next),
            offset: SEGMENT_HEADER_BYTES as u64,
        };
        Ok(SEGMENT_HEADER_BYTES as u64)
    }

    fn ended(&mut self) -> Result<Step, Fault> {
        if self.tip.tree.head() != self.until {
            return Err(Sealed::ForkedFromHead { known: self.until }.into());
        }
        let WrongTiles { count, made } = std::mem::take(&mut self.wrong);
        self.reader.shared.write_tiles(&made);
        Ok(Step::Finished { mended: count })
    }
}

fn is_absent(error: &DiskError) -> bool {
    error.action == DiskAction::Open && error.source.kind() == ErrorKind::NotFound
}
