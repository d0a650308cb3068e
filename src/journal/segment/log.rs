//! The log itself: what it knows while it is open.

use std::sync::Arc;

use tlog::{CompactTree, TreeHead};

use super::anchor::Anchor;
use super::error::{AppendError, CreateError, DiskError, Stop};
use super::files::{Folder, NamedFile};
use super::format::{ANCHOR_NAME, LogId, SEGMENT_SUFFIX, segment_name};
use super::header::{SEGMENT_HEADER_BYTES, SegmentHeader};
use super::index::Index;
use super::leaf::Salt;
use super::open::{Segment, first_segment};
use super::read::{Durable, Reader, Shared};
use super::reserve;
use super::scan::Fault;
use super::tiles::Tiles;
use super::tip::Tip;
use crate::disk::Disk;

/// One entry to append.
#[derive(Debug, Clone, Copy)]
pub struct Record<'a> {
    /// 32 random bytes of its own, see [`Salt::random`].
    pub salt: Salt,
    /// The body, at most [`super::MAX_BODY_BYTES`]; opaque here.
    pub body: &'a [u8],
}

/// Where a group went. Its entries are durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Appended {
    /// The index of the group's first entry; the others follow it.
    pub first: u64,
    /// Size and root of the log with the group.
    pub head: TreeHead,
}

/// How a log is created and opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenOptions {
    /// The log that must be there; any, if nothing.
    pub log: Option<LogId>,
    /// Heads known from elsewhere, that the log must contain: signed checkpoints, witnesses' answers.
    pub heads: Vec<TreeHead>,
    /// What the anchor is worth.
    pub anchor: AnchorRule,
    /// A segment takes no further group beyond this many bytes; at least one each.
    pub segment_bytes: u32,
    /// How much space to hold back for the final entry, in bytes.
    pub reserve_bytes: usize,
}

impl Default for OpenOptions {
    /// Any log, no known heads, segments of 64 MiB, a reserve of 1 MiB.
    fn default() -> Self {
        Self {
            log: None,
            heads: Vec::new(),
            anchor: AnchorRule::Held,
            segment_bytes: 64 * 1024 * 1024,
            reserve_bytes: 1024 * 1024,
        }
    }
}

/// What the first segment in a folder says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LogOn {
    /// The log's name.
    pub(crate) id: LogId,
    /// Whether the first segments are gone.
    pub(crate) begins_later: bool,
}

/// What the anchor is worth at opening.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AnchorRule {
    /// The log must go on to it and contain it.
    Held,
    /// Nothing, by people's decision: [`OpenOptions::heads`] say what must be there. It is left as it is.
    Waived,
}

/// What opening found.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Opened {
    /// The log's name.
    pub log: LogId,
    /// Size and root.
    pub head: TreeHead,
    /// How many bytes of a torn last group were cut off; 0 after a clean stop and mostly after a crash too.
    pub cut_bytes: u64,
    /// How many full tiles of the tree were missing or not as the entries have them.
    pub rebuilt_tiles: u64,
    /// Whether space is held back for a final entry.
    pub reserve: ReserveState,
    /// The first entry whose segment is there: 0, unless bodies were pruned.
    pub begins: u64,
}

/// Whether space is held back for a final entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReserveState {
    /// It is.
    Held,
    /// It was used or could not be made; the next opening tries again.
    Missing,
}

/// The append-only log of entries: one writer, durable when [`SegmentLog::append`] returns.
///
/// It keeps 16 bytes of RAM for each of the newest 2^18 entries and for each 64 of the others, and about 64
/// a blob; what is read is read by a [`Reader`].
pub struct SegmentLog {
    pub(super) shared: Arc<Shared>,
    pub(super) segment_bytes: u64,
    pub(super) reserve: ReserveState,
    /// The tree over what is durable.
    pub(super) tip: Arc<Tip>,
    pub(super) active: Active,
    pub(super) stop: Option<Stop>,
    /// The last group, kept for its memory.
    pub(super) buffer: Vec<u8>,
}

/// The segment that takes the next group.
pub(super) struct Active {
    pub(super) number: u32,
    pub(super) file: Arc<NamedFile>,
    /// Where the next group goes: after the last durable one.
    pub(super) end: u64,
    /// The file's length: from `end` on there are zeros.
    pub(super) size_bytes: u64,
}

impl SegmentLog {
    /// Creates an empty log in a folder that has none.
    ///
    /// After a crash in here there is either no log, and creating it again works, or one that opens.
    ///
    /// # Errors
    /// [`CreateError::AlreadyThere`] when there is a segment or an anchor; [`CreateError::Disk`].
    pub fn create(
        disk: Box<dyn Disk>,
        id: LogId,
        options: &OpenOptions,
    ) -> Result<Self, CreateError> {
        let folder = Folder::new(disk);
        let failed = |source| CreateError::Disk { source };
        let names = folder.list().map_err(failed)?;
        let in_the_way = |name: &&String| name.ends_with(SEGMENT_SUFFIX) || *name == ANCHOR_NAME;
        if let Some(name) = names.iter().find(in_the_way) {
            let name = name.clone();
            return Err(CreateError::AlreadyThere { name });
        }
        let active = Active::create(&folder, id, 0, &CompactTree::new()).map_err(failed)?;
        let reserve = reserve::hold(&folder, &names, options.reserve_bytes).map_err(failed)?;
        let parts = Parts {
            tip: Tip::default(),
            index: Index::default(),
            tiles: Tiles::default(),
            active,
            reserve,
        };
        let log = parts.join(folder, id, options);
        // Last: an anchor without a segment would be a log that is gone.
        log.put_anchor().map_err(failed)?;
        Ok(log)
    }

    /// The log in a folder, as its first segment says; nothing where there is none, or what is there is not one:
    /// it does not open then.
    ///
    /// # Errors
    /// [`DiskError`] where that is not known.
    pub(crate) fn on(disk: &Arc<dyn Disk>) -> Result<Option<LogOn>, DiskError> {
        let folder = Folder::new(Arc::clone(disk));
        let number = first_segment(&folder.list()?);
        match Segment::open(&folder, number) {
            Ok(first) => Ok(Some(LogOn {
                id: first.header.log,
                begins_later: number > 0,
            })),
            Err(Fault::Disk(error)) if !error.is_absence() => Err(error),
            Err(Fault::Disk(_) | Fault::Sealed(_)) => Ok(None),
        }
    }

    /// The log's name.
    pub fn id(&self) -> LogId {
        self.shared.id
    }

    /// How many entries are durable.
    pub fn size(&self) -> u64 {
        self.tip.tree.size()
    }

    /// Size and root of what is durable.
    pub fn head(&self) -> TreeHead {
        self.tip.tree.head()
    }

    /// The tree over what is durable.
    pub fn tree(&self) -> &CompactTree {
        &self.tip.tree
    }

    /// Who reads what is durable, in whatever thread, while this appends.
    pub fn reader(&self) -> Reader {
        Reader {
            shared: Arc::clone(&self.shared),
        }
    }

    /// What stopped the log, if anything did.
    pub const fn stop(&self) -> Option<Stop> {
        self.stop
    }

    /// Remembers in the anchor how long the log is, so that a shorter one is found at opening. For now and
    /// then, and for a clean stop; every new segment does it too.
    ///
    /// The anchor only ever names what is durable already.
    ///
    /// # Errors
    /// [`AppendError::DiskFull`] and [`AppendError::Failed`], as when appending: they stop the log.
    /// [`AppendError::Stopped`] after the disk failed.
    pub fn write_anchor(&mut self) -> Result<(), AppendError> {
        if let Some(by @ Stop::Failed(_)) = self.stop {
            return Err(AppendError::Stopped { by });
        }
        self.put_anchor().map_err(|error| self.stopped_by(error))
    }

    pub(super) fn put_anchor(&self) -> Result<(), DiskError> {
        let anchor = Anchor {
            log: self.shared.id,
            head: self.head(),
        };
        self.shared
            .folder
            .put(ANCHOR_NAME, &anchor.encode())
            .map(drop)
    }

    /// Stops the log for a disk error, and says so.
    pub(super) fn stopped_by(&mut self, source: DiskError) -> AppendError {
        // The final entry was the last there can be, and space does not come back by itself.
        if source.is_disk_full() {
            self.stop.get_or_insert(Stop::DiskFull);
            return AppendError::DiskFull { source };
        }
        self.stop = Some(Stop::Failed(source.action));
        AppendError::Failed { source }
    }
}

/// What a log is made from when it is created and when it is opened.
pub(super) struct Parts {
    pub(super) tip: Tip,
    pub(super) index: Index,
    pub(super) tiles: Tiles,
    pub(super) active: Active,
    pub(super) reserve: ReserveState,
}

impl Parts {
    pub(super) fn join(self, folder: Folder, id: LogId, options: &OpenOptions) -> SegmentLog {
        let tip = Arc::new(self.tip);
        let durable = Durable {
            tip: Arc::clone(&tip),
            index: self.index,
            active: (self.active.number, Arc::clone(&self.active.file)),
        };
        SegmentLog {
            shared: Arc::new(Shared::new(folder, id, self.tiles, durable)),
            segment_bytes: u64::from(options.segment_bytes),
            reserve: self.reserve,
            tip,
            active: self.active,
            stop: None,
            buffer: Vec::new(),
        }
    }
}

impl std::fmt::Debug for SegmentLog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SegmentLog")
            .field("id", &self.shared.id)
            .field("size", &self.size())
            .field("segment", &self.active.number)
            .field("stop", &self.stop)
            .finish_non_exhaustive()
    }
}

impl Active {
    /// Makes a durable empty segment for what comes after `tree`.
    pub(super) fn create(
        folder: &Folder,
        log: LogId,
        number: u32,
        tree: &CompactTree,
    ) -> Result<Self, DiskError> {
        let header = SegmentHeader {
            log,
            number,
            before: tree.clone(),
        };
        let page = header.encode();
        let file = folder.put(&segment_name(number), &page)?;
        Ok(Self {
            number,
            file: Arc::new(file),
            end: SEGMENT_HEADER_BYTES as u64,
            size_bytes: SEGMENT_HEADER_BYTES as u64,
        })
    }
}
