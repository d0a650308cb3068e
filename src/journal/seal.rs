//! What seals a signer, each by a name of its own.

use std::fmt;

use policy::StateError;

use crate::{
    FoldError, OpenJournalError, RootError, StoreError,
    charges::ChargeFileError,
    map::MapError,
    segment::{OpenError, Sealed},
};

/// Declares the names once: the variant, and the word that stands for it for ever.
macro_rules! names {
    ($($(#[$doc:meta])* $name:ident = $word:literal,)+) => {
        /// Why a signer is sealed, as one word that scripts can match and that never changes.
        /// `docs/sealed.md` says what a person does then.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[non_exhaustive]
        pub enum SealName {
            $($(#[$doc])* $name,)+
        }

        impl SealName {
            /// Every name.
            pub const ALL: &[Self] = &[$(Self::$name),+];

            /// The word.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $word,)+
                }
            }
        }
    };
}

names! {
    /// There is no data folder, or no journal in it.
    JournalMissing = "journal-missing",
    /// The first start was cut off.
    JournalNeverBegun = "journal-never-begun",
    /// A whole journal whose first bundle is not the one that is pinned: another appliance's.
    JournalForeign = "journal-foreign",
    /// An anchor and no segment.
    LogMissing = "log-missing",
    /// Another log than the one that is asked for.
    LogForeign = "log-foreign",
    /// A segment between others is gone.
    SegmentMissing = "segment-missing",
    /// A file ends like a segment and has no segment's name.
    SegmentUnnamed = "segment-unnamed",
    /// The page that a segment begins with is damaged.
    SegmentHeaderDamaged = "segment-header-damaged",
    /// A segment of a format that this program does not know.
    SegmentUnknown = "segment-unknown",
    /// A segment in another's place: swapped, copied, renamed.
    SegmentMisplaced = "segment-misplaced",
    /// A segment of another log.
    SegmentForeign = "segment-foreign",
    /// A segment that does not follow from the one before it.
    SegmentDiscontinuous = "segment-discontinuous",
    /// A segment that others follow is cut short.
    SegmentCutShort = "segment-cut-short",
    /// A group's header is damaged.
    GroupHeaderDamaged = "group-header-damaged",
    /// A group is damaged.
    GroupDamaged = "group-damaged",
    /// A group is damaged and whole ones follow it.
    GroupDamagedWithin = "group-damaged-within",
    /// The last group is complete and damaged.
    LastGroupDamaged = "last-group-damaged",
    /// More zeros follow the last group than a crash leaves.
    TrailingZeros = "trailing-zeros",
    /// Bytes that begin no group follow the last one.
    TrailingBytes = "trailing-bytes",
    /// Groups were removed, repeated or reordered.
    GroupOutOfOrder = "group-out-of-order",
    /// Bodies do not lead to the root that was written with them.
    BodyTreeMismatch = "body-tree-mismatch",
    /// A blob is not the one it is named as.
    BlobMismatch = "blob-mismatch",
    /// A checksum holds over what was never written.
    Malformed = "malformed",
    /// The leaves of pruned entries are damaged.
    LeavesDamaged = "leaves-damaged",
    /// Entries and no anchor.
    AnchorMissing = "anchor-missing",
    /// The anchor is damaged.
    AnchorDamaged = "anchor-damaged",
    /// An anchor of a format that this program does not know.
    AnchorUnknown = "anchor-unknown",
    /// The anchor of another log.
    AnchorForeign = "anchor-foreign",
    /// The log ends before its anchor: an older copy, or one that was cut.
    ShorterThanAnchor = "shorter-than-anchor",
    /// The log has another history than its anchor.
    ForkedFromAnchor = "forked-from-anchor",
    /// The log ends before a checkpoint that is known.
    ShorterThanCheckpoint = "shorter-than-checkpoint",
    /// The log has another history than a checkpoint that is known.
    ForkedFromCheckpoint = "forked-from-checkpoint",
    /// An entry of a form that this program does not know.
    EntryUnknown = "entry-unknown",
    /// An entry that does not follow from those before it.
    EntryImpossible = "entry-impossible",
    /// A checkpoint in the log that is not of the entries before it.
    CheckpointMismatch = "checkpoint-mismatch",
    /// A state root in the log that does not follow from the entries before it.
    StateRootMismatch = "state-root-mismatch",
    /// Bodies are pruned, and the snapshot that stands for them does not hold.
    SnapshotRefused = "snapshot-refused",
    /// A bundle that governed is not there as it was.
    BundleMissing = "bundle-missing",
    /// Another daemon owns the data folder.
    FolderInUse = "folder-in-use",
    /// The data folder cannot be opened or locked.
    FolderUnusable = "folder-unusable",
    /// The disk failed.
    DiskFailed = "disk-failed",
    /// There is no room: for what is held back, for the entry of the start, for what follows from the log.
    DiskFull = "disk-full",
    /// The operating system refuses something that is needed.
    System = "system",
}

impl fmt::Display for SealName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Sealed {
    /// The name of what is wrong.
    pub fn name(&self) -> SealName {
        match self {
            Self::Absent => SealName::JournalMissing,
            Self::LogMissing { .. } => SealName::LogMissing,
            Self::SegmentMissing { .. } => SealName::SegmentMissing,
            Self::SegmentName { .. } => SealName::SegmentUnnamed,
            Self::SegmentHeaderDamaged { .. } => SealName::SegmentHeaderDamaged,
            Self::SegmentVersion { .. } => SealName::SegmentUnknown,
            Self::SegmentMisplaced { .. } => SealName::SegmentMisplaced,
            Self::ForeignSegment { .. } => SealName::SegmentForeign,
            Self::ForeignLog { .. } => SealName::LogForeign,
            Self::SegmentDiscontinuous { .. } => SealName::SegmentDiscontinuous,
            Self::SegmentCutShort { .. } => SealName::SegmentCutShort,
            Self::GroupHeaderDamaged { .. } => SealName::GroupHeaderDamaged,
            Self::GroupDamaged { .. } => SealName::GroupDamaged,
            Self::DamagedBeforeValid { .. } => SealName::GroupDamagedWithin,
            Self::LastGroupDamaged { .. } => SealName::LastGroupDamaged,
            Self::TrailingZeros { .. } => SealName::TrailingZeros,
            Self::TrailingGarbage { .. } => SealName::TrailingBytes,
            Self::GroupOutOfOrder { .. } => SealName::GroupOutOfOrder,
            Self::GroupRoot { .. } => SealName::BodyTreeMismatch,
            Self::BlobHash { .. } => SealName::BlobMismatch,
            Self::Malformed { .. } => SealName::Malformed,
            Self::LeavesDamaged { .. } => SealName::LeavesDamaged,
            Self::AnchorMissing { .. } => SealName::AnchorMissing,
            Self::AnchorDamaged => SealName::AnchorDamaged,
            Self::AnchorVersion { .. } => SealName::AnchorUnknown,
            Self::ForeignAnchor { .. } => SealName::AnchorForeign,
            Self::ShorterThanAnchor { .. } => SealName::ShorterThanAnchor,
            Self::ForkedFromAnchor { .. } => SealName::ForkedFromAnchor,
            Self::ShorterThanHead { .. } => SealName::ShorterThanCheckpoint,
            Self::ForkedFromHead { .. } => SealName::ForkedFromCheckpoint,
        }
    }
}

impl OpenJournalError {
    /// The name of what keeps a journal from being opened.
    pub fn name(&self) -> SealName {
        match self {
            Self::Missing { .. } => SealName::JournalMissing,
            Self::NeverBegun => SealName::JournalNeverBegun,
            Self::InUse(_) => SealName::FolderInUse,
            Self::Folder(_) | Self::Exists | Self::Create(_) => SealName::FolderUnusable,
            Self::Log(error) => name_of(error),
            Self::Store(StoreError::Full(_)) | Self::DiskFull => SealName::DiskFull,
            Self::Store(_) | Self::SnapshotUnread { .. } => SealName::DiskFailed,
            Self::Snapshot { .. } => SealName::SnapshotRefused,
            Self::Root(error) => of_root(error),
            Self::System { .. } => SealName::System,
        }
    }
}

fn name_of(error: &OpenError<FoldError>) -> SealName {
    match error {
        OpenError::Sealed { source } => source.name(),
        OpenError::Disk { .. } => SealName::DiskFailed,
        OpenError::Fold { source, .. } => match source {
            FoldError::Form(_) => SealName::EntryUnknown,
            FoldError::State(StateError::Charges(_)) => SealName::DiskFailed,
            FoldError::State(_) => SealName::EntryImpossible,
            FoldError::Bundle(_) => SealName::BundleMissing,
            FoldError::CheckpointRoot { .. } => SealName::CheckpointMismatch,
            FoldError::Foreign { .. } => SealName::JournalForeign,
            FoldError::StateRoot { .. } => SealName::StateRootMismatch,
            FoldError::Root(error) => of_root(error),
        },
    }
}

fn of_root(error: &RootError) -> SealName {
    match error {
        RootError::Map(MapError::Disk(error))
        | RootError::Charges(ChargeFileError::Disk(error))
            if error.is_disk_full() =>
        {
            SealName::DiskFull
        }
        RootError::Map(MapError::Disk(_) | MapError::Damaged { .. }) | RootError::Charges(_) => {
            SealName::DiskFailed
        }
        _ => SealName::System,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::SealName;

    #[test]
    fn every_name_is_a_word_of_its_own() {
        let words: BTreeSet<&str> = SealName::ALL.iter().map(|name| name.as_str()).collect();
        assert_eq!(words.len(), SealName::ALL.len());
        let plain = |word: &&str| word.bytes().all(|b| b == b'-' || b.is_ascii_lowercase());
        assert!(words.iter().all(plain), "{words:?}");
    }
}
