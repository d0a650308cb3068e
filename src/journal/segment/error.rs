//! Why a log is refused, and why it takes no more.

use std::fmt;
use std::io;

use tlog::{Hash, NodeId, TreeHead};

use super::format::LogId;

/// A place on the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The segment's number, which its file is named by.
    pub segment: u32,
    /// The byte in that file.
    pub offset: u64,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "segment {}, byte {}", self.segment, self.offset)
    }
}

/// What is wrong with a log that may not be opened: its signer starts sealed and people decide.
///
/// None of this is what a crash leaves on a disk that keeps its promises (see the module's documentation).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Sealed {
    /// There is neither a segment nor an anchor. To create a log here is a decision, not a default.
    #[error("there is no log here")]
    Absent,
    /// There is an anchor and not one segment.
    #[error("the log is gone; it had {anchored} entries")]
    LogMissing {
        /// How many entries the anchor names.
        anchored: u64,
    },
    /// A segment between others is not there.
    #[error("segment {segment} is missing")]
    SegmentMissing {
        /// Its number.
        segment: u32,
    },
    /// A file ends like a segment and has a name that no segment has.
    #[error("no segment has the name {name:?}")]
    SegmentName {
        /// The file's name.
        name: String,
    },
    /// A segment is shorter than its header, or its header is not what was written.
    #[error("the header of segment {segment} is damaged")]
    SegmentHeaderDamaged {
        /// Its number.
        segment: u32,
    },
    /// A segment is of a format that this program does not know.
    #[error("segment {segment} has the unknown format {version}")]
    SegmentVersion {
        /// Its number.
        segment: u32,
        /// The format's number.
        version: u32,
    },
    /// A segment has another segment's name: renamed, copied or swapped.
    #[error("the file of segment {segment} holds segment {says}")]
    SegmentMisplaced {
        /// The number in its name.
        segment: u32,
        /// The number in its header.
        says: u64,
    },
    /// A segment is of another log than the segments before it.
    #[error("segment {segment} is of the log {found}")]
    ForeignSegment {
        /// Its number.
        segment: u32,
        /// The log it says it is of.
        found: LogId,
    },
    /// The log is not the one the caller expects.
    #[error("the log is {found}, not {expected}")]
    ForeignLog {
        /// The log that was asked for.
        expected: LogId,
        /// The log that is there.
        found: LogId,
    },
    /// A segment does not begin with the tree the segments before it end with.
    #[error("segment {segment} follows {says} entries, not the {found} before it, or others")]
    SegmentDiscontinuous {
        /// Its number.
        segment: u32,
        /// How many entries it says are before it.
        says: u64,
        /// How many there are.
        found: u64,
    },
    /// A segment that is not the last ends in the middle of a group.
    #[error("a group that others follow is cut short ({place})")]
    SegmentCutShort {
        /// Where that group begins.
        place: Place,
    },
    /// A group's header is not what was written, and no later group was found.
    #[error("a group's header is damaged ({place})")]
    GroupHeaderDamaged {
        /// Where the group begins.
        place: Place,
    },
    /// A group in the middle is not what was written.
    #[error("a group is damaged ({place})")]
    GroupDamaged {
        /// Where the group begins.
        place: Place,
    },
    /// A group is not what was written, and groups that are follow it.
    #[error("a group is damaged ({place}) and whole groups follow it (byte {valid_offset})")]
    DamagedBeforeValid {
        /// Where the damaged group begins.
        place: Place,
        /// The byte in the same file where the next whole header is.
        valid_offset: u64,
    },
    /// The last group has all its bytes, some of them wrong, in a way that no torn write explains.
    #[error("the last group is complete and damaged ({place})")]
    LastGroupDamaged {
        /// Where the group begins.
        place: Place,
    },
    /// More follows the last group, beginning with zeros, than room and one torn group can be.
    #[error("{bytes} bytes that begin with zeros follow the last group ({place})")]
    TrailingZeros {
        /// Where they begin.
        place: Place,
        /// How many bytes there are to the end of the file.
        bytes: u64,
    },
    /// A few bytes follow the last group that begin none.
    #[error("{bytes} bytes follow the last group that begin none ({place})")]
    TrailingGarbage {
        /// Where they begin.
        place: Place,
        /// How many there are.
        bytes: u64,
    },
    /// A group's first entry is not the next one: groups were removed, repeated or reordered.
    #[error("a group begins with entry {says}, where entry {expected} is due ({place})")]
    GroupOutOfOrder {
        /// Where the group begins.
        place: Place,
        /// The entry that is due.
        expected: u64,
        /// The entry it begins with.
        says: u64,
    },
    /// A group's entries do not lead to the root it names.
    #[error("a group's entries do not lead to its root ({place})")]
    GroupRoot {
        /// Where the group begins.
        place: Place,
    },
    /// A blob does not hash to its name.
    #[error("a blob of a group is not the one it is named as ({place})")]
    BlobHash {
        /// Where the group begins.
        place: Place,
    },
    /// Checksums hold over something this program does not write.
    #[error("a checksum holds over what was never written ({place})")]
    Malformed {
        /// Where the header or the group begins.
        place: Place,
    },
    /// Leaves of entries whose bodies were pruned are not what they were: nothing makes them again.
    #[error("the leaves of pruned entries are damaged (from entry {from} on)")]
    LeavesDamaged {
        /// The first of them that may be.
        from: u64,
    },
    /// There is no anchor beside a log that has entries.
    #[error("the log has {entries} entries and no anchor")]
    AnchorMissing {
        /// How many entries there are.
        entries: u64,
    },
    /// The anchor is not what was written.
    #[error("the anchor is damaged")]
    AnchorDamaged,
    /// The anchor is of a format that this program does not know.
    #[error("the anchor has the unknown format {version}")]
    AnchorVersion {
        /// The format's number.
        version: u32,
    },
    /// The anchor is of another log.
    #[error("the anchor is of the log {found}")]
    ForeignAnchor {
        /// The log it says it is of.
        found: LogId,
    },
    /// The log ends before its anchor: entries that were durable are gone.
    #[error("the log has {found} entries, its anchor {anchored}")]
    ShorterThanAnchor {
        /// How many entries the anchor names.
        anchored: u64,
        /// How many there are.
        found: u64,
    },
    /// The log has another history than its anchor.
    #[error("the log forks before entry {anchored}, where its anchor was made")]
    ForkedFromAnchor {
        /// How many entries the anchor names.
        anchored: u64,
    },
    /// The log ends before a head that the caller knows of.
    #[error("the log has {found} entries, a known head {}", known.size)]
    ShorterThanHead {
        /// The head.
        known: TreeHead,
        /// How many entries there are.
        found: u64,
    },
    /// The log has another history than a head that the caller knows of.
    #[error("the log forks from the known head of {} entries", known.size)]
    ForkedFromHead {
        /// The head.
        known: TreeHead,
    },
}

/// What was being done to a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum DiskAction {
    /// Listing the folder.
    List,
    /// Opening or measuring a file.
    Open,
    /// Reading.
    Read,
    /// Creating a file.
    Create,
    /// Writing.
    Write,
    /// Cutting off the end of a file.
    Truncate,
    /// Making a file's contents durable.
    Sync,
    /// Giving a complete file its name.
    Rename,
    /// Removing a file.
    Remove,
    /// Making names durable.
    SyncFolder,
}

impl fmt::Display for DiskAction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::List => "list",
            Self::Open => "open",
            Self::Read => "read",
            Self::Create => "create",
            Self::Write => "write",
            Self::Truncate => "truncate",
            Self::Sync => "sync",
            Self::Rename => "rename",
            Self::Remove => "remove",
            Self::SyncFolder => "sync the folder of",
        })
    }
}

/// The disk failed.
#[derive(Debug, thiserror::Error)]
#[error("could not {action} {name}")]
pub struct DiskError {
    /// What was being done.
    pub action: DiskAction,
    /// The file.
    pub name: String,
    /// What the operating system said.
    pub source: io::Error,
}

impl DiskError {
    /// Whether a file, or an end of it, is not there: what anything else says of it is that it is not known.
    pub(crate) fn is_absence(&self) -> bool {
        matches!(
            self.source.kind(),
            io::ErrorKind::NotFound | io::ErrorKind::UnexpectedEof
        )
    }

    /// Whether space ran out while there was still nothing that could be half durable.
    pub(crate) fn is_disk_full(&self) -> bool {
        let before_sync = matches!(self.action, DiskAction::Create | DiskAction::Write);
        let full = matches!(
            self.source.kind(),
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
        );
        before_sync && full
    }
}

/// Why a log could not be created.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CreateError {
    /// There is a log already, or what is left of one.
    #[error("{name} is already there")]
    AlreadyThere {
        /// The file that is in the way.
        name: String,
    },
    /// The disk failed.
    #[error("the log could not be created")]
    Disk {
        /// The disk's error.
        source: DiskError,
    },
}

/// Why a log could not be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError<E: std::error::Error + 'static> {
    /// The log is not what it was.
    #[error("the log is sealed")]
    Sealed {
        /// What is wrong.
        source: Sealed,
    },
    /// The disk failed.
    #[error("the log could not be opened")]
    Disk {
        /// The disk's error.
        source: DiskError,
    },
    /// The caller refused an entry.
    #[error("entry {index} was refused")]
    Fold {
        /// The entry.
        index: u64,
        /// The caller's error.
        source: E,
    },
}

/// Why a group was not appended.
///
/// After a refusal by name of a bound nothing has changed. After [`AppendError::DiskFull`] and
/// [`AppendError::Failed`] it is unknown until the log is opened again whether the group counts.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AppendError {
    /// A group has at least one record.
    #[error("the group has no records")]
    GroupEmpty,
    /// More than [`super::MAX_GROUP_RECORDS`].
    #[error("the group has {records} records")]
    TooManyRecords {
        /// How many.
        records: usize,
    },
    /// More than [`super::MAX_BODY_BYTES`].
    #[error("body {position} of the group has {bytes} bytes")]
    BodyTooLarge {
        /// Which record, from 0.
        position: usize,
        /// How long its body is.
        bytes: usize,
    },
    /// More than [`super::MAX_BLOB_BYTES`].
    #[error("blob {position} of the group has {bytes} bytes")]
    BlobTooLarge {
        /// Which blob, from 0.
        position: usize,
        /// How long it is.
        bytes: usize,
    },
    /// More than [`super::MAX_GROUP_BYTES`].
    #[error("the group has {bytes} bytes")]
    GroupTooLarge {
        /// How many on disk.
        bytes: usize,
    },
    /// Entries or segments have no numbers left.
    #[error("the log is full")]
    LogFull,
    /// There is no space. The log takes one more entry, by [`super::SegmentLog::append_final`].
    #[error("the disk is full")]
    DiskFull {
        /// The disk's error.
        source: DiskError,
    },
    /// The disk failed. The log takes nothing more.
    #[error("the disk failed")]
    Failed {
        /// The disk's error.
        source: DiskError,
    },
    /// The log takes nothing more since an earlier append.
    #[error("the log is stopped: {by}")]
    Stopped {
        /// By what.
        by: Stop,
    },
}

/// What stopped a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Stop {
    /// Space ran out; one final entry is still taken.
    DiskFull,
    /// The disk failed at this. What it holds is unknown until the log is opened again.
    Failed(DiskAction),
    /// The final entry was written.
    Finished,
}

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DiskFull => f.write_str("the disk is full"),
            Self::Failed(action) => write!(f, "the disk failed to {action} a file"),
            Self::Finished => f.write_str("its final entry is written"),
        }
    }
}

/// Why an entry, a blob or a part of the tree could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// There is no such entry yet.
    #[error("no entry {index} in a log of {size}")]
    NoEntry {
        /// The entry asked for.
        index: u64,
        /// How many there are.
        size: u64,
    },
    /// Its body was removed, after it was exported.
    #[error("entry {index} is pruned: only its leaf is here")]
    Pruned {
        /// The entry asked for.
        index: u64,
    },
    /// There is no such blob.
    #[error("no blob {hash}")]
    NoBlob {
        /// The blob asked for.
        hash: Hash,
    },
    /// What is on the disk is not what was written there.
    #[error("what was written is damaged ({place})")]
    Damaged {
        /// Where the entry or blob begins.
        place: Place,
    },
    /// No such subtree is complete yet.
    #[error("the tree has no node {index} at level {level}", index = id.index, level = id.level)]
    NoNode {
        /// The node asked for.
        id: NodeId,
    },
    /// A part of the tree is on the disk as it was not made, and the entries do not lead to it.
    #[error("tile {number} of level {level} of the tree is damaged, and its entries too")]
    TreeDamaged {
        /// The level of tiles.
        level: u8,
        /// The tile's position in the level.
        number: u64,
    },
    /// The disk failed.
    #[error("the log could not be read")]
    Disk {
        /// The disk's error.
        source: DiskError,
    },
}

impl ReadError {
    pub(super) fn disk(source: DiskError) -> Self {
        Self::Disk { source }
    }
}
