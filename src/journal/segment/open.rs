//! Opening: every byte is verified, every entry handed on, and only then is anything changed.

use std::ops::Range;
use std::sync::Arc;

use tlog::{CompactTree, Hash, TreeHead};

use super::anchor::{ANCHOR_BYTES, Anchor};
use super::error::{DiskError, OpenError, Place, Sealed};
use super::files::{Folder, NamedFile};
use super::format::{
    ANCHOR_NAME, LogId, SEGMENT_SUFFIX, TEMPORARY_SUFFIX, segment_name, segment_number,
};
use super::group::GroupHeader;
use super::header::{SEGMENT_HEADER_BYTES, SegmentHeader};
use super::index::{GroupSpots, Index, Laid};
use super::landmarks::Landmarks;
use super::log::{Active, AnchorRule, OpenOptions, Opened, Parts, ReserveState, SegmentLog};
use super::pins::{Pins, Unmet};
use super::reserve;
use super::scan::{Fault, Found, Tail};
use super::tiles::Tiles;
use super::tip::Tip;
use super::verify::{Verified, WrongTiles, verify};
use crate::disk::Disk;

impl SegmentLog {
    /// Opens a log, verifies all of it, and hands every entry to `each` by index and body, in order.
    ///
    /// Entries are handed on when their whole group was verified. The end of the log, the anchor and
    /// [`OpenOptions::heads`] are checked last: what `each` was given counts for nothing until this
    /// returns. The folder is changed only then: the torn group of a crash is cut off, the last
    /// group made durable, left-over files removed.
    ///
    /// # Errors
    /// [`OpenError::Sealed`] says what is wrong with the log, [`OpenError::Fold`] is the caller's own
    /// refusal; [`OpenError::Disk`].
    pub fn open<E: std::error::Error + 'static>(
        disk: Box<dyn Disk>,
        options: &OpenOptions,
        mut each: impl FnMut(u64, &[u8]) -> Result<(), E>,
    ) -> Result<(Self, Opened), OpenError<E>> {
        Self::open_with_trees(disk, options, |index, body, _| each(index, body))
    }

    /// As [`SegmentLog::open`], and hands on with each entry the tree of those before it.
    ///
    /// # Errors
    /// As [`SegmentLog::open`].
    pub fn open_with_trees<E: std::error::Error + 'static>(
        disk: Box<dyn Disk>,
        options: &OpenOptions,
        each: impl FnMut(u64, &[u8], &Before<'_>) -> Result<(), E>,
    ) -> Result<(Self, Opened), OpenError<E>> {
        Self::open_behind(disk, options, None, each)
    }

    /// As [`SegmentLog::open_with_trees`], but reads no entry of the segments before the one that `landmarks`
    /// name: those are there, of this log and of the length that they had, and what they hold is looked at
    /// when it is read. That the landmarks are of this log follows only from a known root behind them.
    ///
    /// # Errors
    /// As [`SegmentLog::open`].
    pub(crate) fn open_behind<E: std::error::Error + 'static>(
        disk: Box<dyn Disk>,
        options: &OpenOptions,
        landmarks: Option<Landmarks>,
        each: impl FnMut(u64, &[u8], &Before<'_>) -> Result<(), E>,
    ) -> Result<(Self, Opened), OpenError<E>> {
        let folder = Folder::new(disk);
        let names = folder.list().map_err(Fault::Disk)?;
        let anchor = match options.anchor {
            AnchorRule::Held => read_anchor(&folder, &names)?,
            AnchorRule::Waived => None,
        };
        let mut pins = Pins::new(&options.heads, anchor, Unmet::Seals);
        let first = landmarks.as_ref().map_or(0, |landmarks| landmarks.first);
        let passed = pins.take_before(first);
        let whole = Whole {
            folder: &folder,
            names: &names,
            expected: options.log,
            anchor,
            pins,
            landmarks,
        };
        let (mut fold, last) = whole.fold(each)?;
        fold.check_end()?;
        if options.anchor == AnchorRule::Held {
            fold.check_anchored(anchor)?;
        }
        let wrong = std::mem::take(&mut fold.wrong);
        let (id, begins) = (fold.id, fold.begins);
        let mut log = fold.join(folder, &last, options);
        for pin in passed {
            let found = tlog::root_at(&log.reader(), pin.head().size);
            pin.check(found.ok())?;
        }
        let reserve = mend(&log.shared.folder, &names, &last, options).map_err(Fault::Disk)?;
        log.reserve = reserve;
        log.shared.write_tiles(&wrong.made);
        // Only a creation that was cut off leaves an empty log without an anchor.
        if anchor.is_none() && options.anchor == AnchorRule::Held {
            log.put_anchor().map_err(Fault::Disk)?;
        }
        let opened = Opened {
            log: id,
            head: log.head(),
            cut_bytes: last.torn_bytes,
            rebuilt_tiles: wrong.count,
            reserve,
            begins,
        };
        Ok((log, opened))
    }
}

pub(super) fn read_anchor(folder: &Folder, names: &[String]) -> Result<Option<Anchor>, Fault> {
    if !names.iter().any(|name| name == ANCHOR_NAME) {
        return Ok(None);
    }
    let file = folder.open(ANCHOR_NAME)?;
    if file.size_bytes()? != ANCHOR_BYTES as u64 {
        return Err(Sealed::AnchorDamaged.into());
    }
    let mut bytes = Vec::new();
    file.read(&mut bytes, ANCHOR_BYTES, 0)?;
    Ok(Some(Anchor::decode(&bytes)?))
}

/// The numbers of the segments: at least one, and without a gap.
pub(super) fn segments(names: &[String], anchor: Option<Anchor>) -> Result<Range<u32>, Sealed> {
    let mut numbers = Vec::new();
    for name in names.iter().filter(|name| name.ends_with(SEGMENT_SUFFIX)) {
        let number = segment_number(name);
        numbers.push(number.ok_or_else(|| Sealed::SegmentName { name: name.clone() })?);
    }
    numbers.sort_unstable();
    let Some(first) = numbers.first().copied() else {
        return Err(match anchor {
            Some(anchor) => Sealed::LogMissing {
                anchored: anchor.head.size,
            },
            None => Sealed::Absent,
        });
    };
    let mut end = first;
    for number in numbers {
        if number != end {
            return Err(Sealed::SegmentMissing { segment: end });
        }
        end = end.saturating_add(1);
    }
    Ok(first..end)
}

/// The first segment that is there.
pub(super) fn first_segment(names: &[String]) -> u32 {
    let numbers = names.iter().filter_map(|name| segment_number(name));
    numbers.min().unwrap_or(0)
}

/// Whether the log is the one that is asked for, and the anchor its own.
fn check_identity(
    found: LogId,
    expected: Option<LogId>,
    anchor: Option<Anchor>,
) -> Result<LogId, Fault> {
    if let Some(expected) = expected.filter(|expected| *expected != found) {
        return Err(Sealed::ForeignLog { expected, found }.into());
    }
    if let Some(anchor) = anchor {
        check_anchor(found, anchor)?;
    }
    Ok(found)
}

pub(super) fn check_anchor(found: LogId, anchor: Anchor) -> Result<(), Sealed> {
    match anchor.log == found {
        true => Ok(()),
        false => Err(Sealed::ForeignAnchor { found: anchor.log }),
    }
}

/// A segment whose header was read.
pub(super) struct Segment {
    pub(super) file: NamedFile,
    size_bytes: u64,
    pub(super) header: SegmentHeader,
}

impl Segment {
    pub(super) fn open(folder: &Folder, number: u32) -> Result<Self, Fault> {
        let file = folder.open(&segment_name(number))?;
        let size_bytes = file.size_bytes()?;
        if size_bytes < SEGMENT_HEADER_BYTES as u64 {
            return Err(Sealed::SegmentHeaderDamaged { segment: number }.into());
        }
        let mut page = Vec::new();
        file.read(&mut page, SEGMENT_HEADER_BYTES, 0)?;
        let header = SegmentHeader::decode(&page, number)?;
        Ok(Self {
            file,
            size_bytes,
            header,
        })
    }
}

/// A segment whose groups were folded.
pub(super) struct Folded {
    number: u32,
    file: Arc<NamedFile>,
    size_bytes: u64,
    /// Where its last whole group begins; the same as `end` when it has none.
    last_group: u64,
    /// Where its last whole group ends. What follows is torn or room.
    end: u64,
    /// How much of what follows is torn.
    pub(super) torn_bytes: u64,
}

impl Folded {
    fn check_ends(&self) -> Result<(), Fault> {
        if self.end == self.size_bytes {
            return Ok(());
        }
        let place = Place {
            segment: self.number,
            offset: self.end,
        };
        Err(Sealed::SegmentCutShort { place }.into())
    }
}

/// The tree of the entries before one: hashed only for who asks for it.
#[derive(Clone, Copy, Debug)]
pub struct Before<'a> {
    /// The tree of the groups before the entry's.
    tree: &'a CompactTree,
    /// The leaves of its group that are before it.
    leaves: &'a [Hash],
}

impl Before<'_> {
    /// Size and root.
    pub fn head(&self) -> TreeHead {
        let mut tree = self.tree.clone();
        for leaf in self.leaves {
            // The log's own tree has taken them.
            let _added = tree.append(*leaf);
        }
        tree.head()
    }
}

/// The log as far as it was read.
pub(super) struct Fold<F> {
    pub(super) id: LogId,
    /// The first entry whose segment is there.
    pub(super) begins: u64,
    /// The tree of the entries that were not read.
    pub(super) went_past: TreeHead,
    pub(super) tip: Tip,
    index: Index,
    tiles: Tiles,
    wrong: WrongTiles,
    pub(super) pins: Pins,
    each: F,
}

/// A folder with a log, and what is known of it.
pub(super) struct Whole<'a> {
    pub(super) folder: &'a Folder,
    pub(super) names: &'a [String],
    pub(super) expected: Option<LogId>,
    pub(super) anchor: Option<Anchor>,
    pub(super) pins: Pins,
    /// Of the segments that are not read.
    pub(super) landmarks: Option<Landmarks>,
}

impl Whole<'_> {
    /// Verifies the segments, in order.
    pub(super) fn fold<E, F>(self, each: F) -> Result<(Fold<F>, Folded), OpenError<E>>
    where
        E: std::error::Error + 'static,
        F: FnMut(u64, &[u8], &Before<'_>) -> Result<(), E>,
    {
        let there = segments(self.names, self.anchor).map_err(Fault::Sealed)?;
        if self.landmarks.is_none() && there.start > 0 {
            return Err(Fault::Sealed(Sealed::SegmentMissing { segment: 0 }).into());
        }
        let first = Segment::open(self.folder, there.start)?;
        let id = check_identity(first.header.log, self.expected, self.anchor)?;
        let begins = first.header.before.size();
        let tiles = Tiles::open(self.folder, self.names).map_err(Fault::Disk)?;
        let (tip, index, start) = match self.landmarks {
            None => (Tip::default(), Index::default(), first),
            Some(landmarks) => pass(self.folder, (id, first), landmarks, there.end)?,
        };
        let mut next = start.header.number.saturating_add(1);
        let mut fold = Fold {
            id,
            begins,
            went_past: tip.tree.head(),
            tip,
            index,
            tiles,
            wrong: WrongTiles::default(),
            pins: self.pins,
            each,
        };
        let mut last = fold.segment(start)?;
        while next < there.end {
            last.check_ends()?;
            last = fold.segment(Segment::open(self.folder, next)?)?;
            next = next.saturating_add(1);
        }
        Ok((fold, last))
    }
}

/// Goes past the segments before the one that the landmarks name.
fn pass(
    folder: &Folder,
    (id, first): (LogId, Segment),
    mut landmarks: Landmarks,
    past_last: u32,
) -> Result<(Tip, Index, Segment), Fault> {
    let there = first.header.number;
    // Those that were pruned since.
    landmarks.forget_before(there);
    let mut segment = first;
    let mut known = landmarks.segments.iter();
    while segment.header.number < landmarks.segment {
        check_log(&segment.header, id)?;
        let (number, size_bytes) = (segment.header.number, segment.size_bytes);
        // One without groups has its header alone.
        let known = match known.as_slice().first() {
            Some(spot) if spot.number == number => known.next().copied(),
            _ => None,
        };
        let end = known.map_or(SEGMENT_HEADER_BYTES as u64, |spot| spot.end);
        if size_bytes != end {
            let place = Place {
                segment: number,
                offset: size_bytes.min(end),
            };
            return Err(Sealed::SegmentCutShort { place }.into());
        }
        let next = number.saturating_add(1);
        if next >= past_last {
            return Err(Sealed::SegmentMissing { segment: next }.into());
        }
        segment = Segment::open(folder, next)?;
    }
    let before = &segment.header.before;
    let tip = landmarks.tip(before);
    let tip = tip.ok_or_else(|| Sealed::SegmentDiscontinuous {
        segment: segment.header.number,
        says: before.size(),
        found: landmarks.first,
    })?;
    Ok((tip, landmarks.index(), segment))
}

pub(super) fn check_log(header: &SegmentHeader, id: LogId) -> Result<(), Sealed> {
    match header.log == id {
        true => Ok(()),
        false => Err(Sealed::ForeignSegment {
            segment: header.number,
            found: header.log,
        }),
    }
}

impl<F> Fold<F> {
    /// The log as it was read, of which nothing is changed yet.
    pub(super) fn join(self, folder: Folder, last: &Folded, options: &OpenOptions) -> SegmentLog {
        let parts = Parts {
            tip: self.tip,
            index: self.index,
            tiles: self.tiles,
            active: Active {
                number: last.number,
                file: Arc::clone(&last.file),
                end: last.end,
                size_bytes: last.end,
            },
            reserve: ReserveState::Missing,
        };
        parts.join(folder, self.id, options)
    }

    /// Checks that the log goes on to its anchor and to every known head.
    pub(super) fn check_end(&mut self) -> Result<(), Fault> {
        self.pins.check(&self.tip.tree)?;
        self.pins.check_none_ahead(self.tip.tree.size())
    }

    fn check_anchored(&self, anchor: Option<Anchor>) -> Result<(), Fault> {
        match self.tip.tree.size() {
            entries @ 1.. if anchor.is_none() => Err(Sealed::AnchorMissing { entries }.into()),
            _ => Ok(()),
        }
    }

    fn segment<E>(&mut self, segment: Segment) -> Result<Folded, OpenError<E>>
    where
        E: std::error::Error + 'static,
        F: FnMut(u64, &[u8], &Before<'_>) -> Result<(), E>,
    {
        let Segment {
            file,
            size_bytes,
            header,
        } = segment;
        self.check_continues(&header)?;
        let mut folded = Folded {
            number: header.number,
            file: Arc::new(file),
            size_bytes,
            last_group: SEGMENT_HEADER_BYTES as u64,
            end: SEGMENT_HEADER_BYTES as u64,
            torn_bytes: 0,
        };
        let mut buffer = Vec::new();
        while folded.end < size_bytes {
            let place = Place {
                segment: folded.number,
                offset: folded.end,
            };
            let tail = Tail {
                file: &folded.file,
                log: &self.id,
                place,
                bytes: size_bytes.saturating_sub(folded.end),
            };
            let header = match tail.group(self.tip.tree.size(), &mut buffer)? {
                Found::Whole(header) => header,
                Found::Torn { bytes } => {
                    folded.torn_bytes = bytes;
                    break;
                }
                Found::Room => break,
            };
            self.group(&header, &buffer, place)?;
            folded.last_group = folded.end;
            folded.end = folded.end.saturating_add(u64::from(header.bytes));
        }
        Ok(folded)
    }

    fn check_continues(&self, header: &SegmentHeader) -> Result<(), Fault> {
        let segment = header.number;
        check_log(header, self.id)?;
        if header.before != self.tip.tree {
            let (says, found) = (header.before.size(), self.tip.tree.size());
            return Err(Sealed::SegmentDiscontinuous {
                segment,
                says,
                found,
            }
            .into());
        }
        Ok(())
    }

    /// Verifies the entries and blobs of a group whose checksum holds, and hands the entries on.
    fn group<E>(
        &mut self,
        header: &GroupHeader,
        bytes: &[u8],
        place: Place,
    ) -> Result<(), OpenError<E>>
    where
        E: std::error::Error + 'static,
        F: FnMut(u64, &[u8], &Before<'_>) -> Result<(), E>,
    {
        let malformed = || Fault::Sealed(Sealed::Malformed { place });
        let tree = self.tip.tree.clone();
        let pins = &mut self.pins;
        let verified = verify(&mut self.tip, (header, place), bytes, |tree| {
            pins.check(tree)
        })?;
        let Verified {
            items,
            leaves,
            full,
        } = verified;
        self.wrong.check(&self.tiles, full);
        let bodies = items.records.iter().map(|item| item.bytes);
        let blobs = items
            .blobs
            .iter()
            .map(|item| (item.bytes, Hash::new(item.label)));
        let laid = Laid {
            first: header.first,
            place,
            bytes: u64::from(header.bytes),
        };
        let spots = GroupSpots::of(laid, bodies.zip(&leaves), blobs);
        self.index.add(spots.ok_or_else(malformed)?);
        let earlier = (0..).map(|count| leaves.get(..count).unwrap_or_default());
        for ((index, item), leaves) in (header.first..).zip(&items.records).zip(earlier) {
            let before = Before {
                tree: &tree,
                leaves,
            };
            (self.each)(index, item.bytes, &before)
                .map_err(|source| OpenError::Fold { index, source })?;
        }
        Ok(())
    }
}

/// Brings a verified folder into the state that appending needs, and makes durable what was read.
fn mend(
    folder: &Folder,
    names: &[String],
    last: &Folded,
    options: &OpenOptions,
) -> Result<ReserveState, DiskError> {
    if last.end < last.size_bytes {
        last.file.truncate(last.end)?;
    }
    // The same bytes once more: only a written page is written out again after a failed fsync.
    let bytes = last.end.saturating_sub(last.last_group);
    let mut buffer = Vec::new();
    last.file.read(
        &mut buffer,
        usize::try_from(bytes).unwrap_or(0),
        last.last_group,
    )?;
    last.file.write(&buffer, last.last_group)?;
    last.file.sync()?;
    // As they are now: whoever takes the entries may make files too.
    let left_over = folder.list()?.into_iter();
    for name in left_over.filter(|name| name.ends_with(TEMPORARY_SUFFIX)) {
        folder.remove(&name)?;
    }
    folder.sync()?;
    reserve::hold(folder, names, options.reserve_bytes)
}
