//! Looking at a log without changing it: what it is in itself, and what it is held against.

use std::sync::Arc;

use tlog::TreeHead;

use super::error::{OpenError, Sealed};
use super::files::Folder;
use super::format::LogId;
use super::landmarks::Landmarks;
use super::log::{OpenOptions, SegmentLog};
use super::open::{Before, Segment, Whole, check_anchor, first_segment, read_anchor};
use super::pins::{Pins, Unmet};
use super::read::Reader;
use super::scan::Fault;
use super::scrub::Scrub;
use crate::disk::Disk;

/// What a log is in itself, and what of its anchor and of known heads does not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Examined {
    /// The log's name.
    pub log: LogId,
    /// Size and root of what is whole.
    pub head: TreeHead,
    /// The first entry whose segment is there: 0, unless bodies were pruned.
    pub begins: u64,
    /// How many bytes of a torn last group follow, which opening would cut off.
    pub torn_bytes: u64,
    /// Why opening would refuse it, the first reason first; each with the head that the log does not
    /// contain, where that is the reason.
    pub unmet: Vec<(Option<TreeHead>, Sealed)>,
}

impl SegmentLog {
    /// What a log is in itself, whatever its anchor and `heads` say: verifies all of it as
    /// [`SegmentLog::open_with_trees`] does, and changes nothing. Anchor and heads that it does not contain are told.
    ///
    /// # Errors
    /// As [`SegmentLog::open`].
    pub fn examine<E: std::error::Error + 'static>(
        disk: Arc<dyn Disk>,
        heads: &[TreeHead],
        each: impl FnMut(u64, &[u8], &Before<'_>) -> Result<(), E>,
    ) -> Result<Examined, OpenError<E>> {
        let examined = Self::examine_behind(disk, heads, None, each);
        examined.map(|(examined, _)| examined)
    }

    /// As [`SegmentLog::examine`], but hands on no entry of the segments before the one that `landmarks` name:
    /// these are verified by their tree. Also gives who reads it.
    ///
    /// # Errors
    /// As [`SegmentLog::open`].
    pub(crate) fn examine_behind<E: std::error::Error + 'static>(
        disk: Arc<dyn Disk>,
        heads: &[TreeHead],
        landmarks: Option<Landmarks>,
        each: impl FnMut(u64, &[u8], &Before<'_>) -> Result<(), E>,
    ) -> Result<(Examined, Reader), OpenError<E>> {
        let folder = Folder::new(disk);
        let names = folder.list().map_err(Fault::Disk)?;
        let (anchor, unusable) = match read_anchor(&folder, &names) {
            Ok(anchor) => (anchor, None),
            Err(Fault::Sealed(sealed)) => (None, Some(sealed)),
            Err(fault @ Fault::Disk(_)) => return Err(fault.into()),
        };
        let first = Segment::open(&folder, first_segment(&names));
        let foreign = match (&first, anchor) {
            (Ok(first), Some(anchor)) => check_anchor(first.header.log, anchor).err(),
            _ => None,
        };
        let own = anchor.filter(|_| foreign.is_none());
        let mut pins = Pins::new(heads, own, Unmet::Told(Vec::new()));
        let passed = landmarks.as_ref().map_or(0, |landmarks| landmarks.first);
        let earlier = pins.take_before(passed);
        let whole = Whole {
            folder: &folder,
            names: &names,
            expected: None,
            anchor: own,
            pins,
            landmarks,
        };
        let (mut fold, last) = whole.fold(each)?;
        fold.check_end()?;
        let mut unmet = fold.pins.told();
        let head = fold.tip.tree.head();
        let size = head.size;
        let missing = (anchor.is_none() && size > 0 && unusable.is_none())
            .then_some(Sealed::AnchorMissing { entries: size });
        unmet.extend(missing.map(|sealed| (None, sealed)));
        let first = unusable.or(foreign);
        let (log, went_past, begins) = (fold.id, fold.went_past, fold.begins);
        let joined = fold.join(folder, &last, &OpenOptions::default());
        let reader = joined.reader();
        Scrub::of(reader.clone(), went_past).finish()?;
        let mut told = Vec::new();
        for pin in earlier.into_iter().rev() {
            let found = tlog::root_at(&reader, pin.head().size);
            told.extend(pin.told(found.ok()));
        }
        unmet.splice(0..0, told);
        unmet.splice(0..0, first.map(|sealed| (None, sealed)));
        let examined = Examined {
            log,
            head,
            begins,
            torn_bytes: last.torn_bytes,
            unmet,
        };
        Ok((examined, reader))
    }
}
