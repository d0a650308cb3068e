//! The fold of a sealed log: from its first entry on or, where bodies are pruned, behind the snapshot.
//!
//! What it makes stands in temporary folders: the data folder is evidence.

use std::sync::Arc;

use tlog::TreeHead;

use crate::{
    Bundles, OpenJournalError, Replay, RootError, Rooting, SnapshotError,
    disk::{Disk, ScratchDisk},
    open::{check_begins, origin_of},
    overlay::Overlay,
    roots::{Home, Snapshot},
    segment::{Examined, Landmarks, LogId, LogOn, OpenError, Reader, Sealed, SegmentLog},
};

/// A fold that was begun.
pub(super) struct Begun<'b> {
    pub(super) replay: Replay<'b>,
    /// What the snapshot was made of.
    pub(super) kept: Option<TreeHead>,
    /// Where bodies are pruned.
    pub(super) behind: Option<Behind>,
}

/// A snapshot that the log cannot do without.
pub(super) struct Behind {
    pub(super) landmarks: Option<Landmarks>,
    head: Option<TreeHead>,
    note: Vec<u8>,
}

impl<'b> Begun<'b> {
    pub(super) fn of(
        disk: &Arc<dyn Disk>,
        bundles: &'b dyn Bundles,
        rooting: Rooting,
    ) -> Result<Self, OpenJournalError> {
        let log = SegmentLog::on(disk);
        let log = log.map_err(|source| OpenJournalError::Log(OpenError::Disk { source }))?;
        let replay = Replay::rooted(bundles, rooting);
        let Some(LogOn { id, begins_later }) = log else {
            // It is not whole, and nothing is made.
            return Ok(Self {
                replay,
                kept: None,
                behind: None,
            });
        };
        let snapshot = Snapshot::read(disk, &id);
        if begins_later {
            return Self::behind(disk, id, snapshot, (bundles, rooting));
        }
        let scratch = ScratchDisk::new().map_err(folder)?;
        Ok(Self {
            replay: replay.kept_on(Arc::new(scratch), id),
            // One that is not believed says nothing.
            kept: snapshot.ok().flatten().and_then(|one| one.head()),
            behind: None,
        })
    }

    fn behind(
        disk: &Arc<dyn Disk>,
        log: LogId,
        snapshot: Result<Option<Snapshot>, SnapshotError>,
        (bundles, rooting): (&'b dyn Bundles, Rooting),
    ) -> Result<Self, OpenJournalError> {
        let without = |error| OpenJournalError::without(&error);
        let Some(snapshot) = snapshot.map_err(without)? else {
            let source = Sealed::SegmentMissing { segment: 0 };
            return Err(OpenJournalError::Log(OpenError::Sealed { source }));
        };
        let head = snapshot.head();
        let covers = snapshot.content.covers();
        let overlay = Overlay::new(Arc::clone(disk)).map_err(folder)?;
        let overlay: Arc<dyn Disk> = Arc::new(overlay);
        let thawed = snapshot.content.thaw(&overlay, log);
        let thawed = thawed.map_err(without)?;
        let home = Home::Journal(overlay, log);
        let replay = Replay::behind(bundles, home, rooting, thawed);
        Ok(Self {
            replay: replay.map_err(|error| OpenJournalError::ungoverned(covers, error))?,
            kept: head,
            behind: Some(Behind {
                landmarks: snapshot.landmarks,
                head,
                note: snapshot.note,
            }),
        })
    }
}

impl Behind {
    /// Whether a start behind it holds: what is wrong otherwise, nobody can let go on.
    pub(super) fn check(
        &self,
        replay: &Replay<'_>,
        examined: &Examined,
        reader: &Reader,
    ) -> Result<(), OpenJournalError> {
        let state = replay.state();
        check_begins(examined.begins, state)?;
        let mut unmet = examined.unmet.iter();
        let of_its_own = unmet.find(|(head, _)| head.is_some() && *head == self.head);
        if let Some((_, sealed)) = of_its_own {
            let source = sealed.clone();
            return Err(OpenJournalError::Log(OpenError::Sealed { source }));
        }
        let origin = origin_of(state, examined.log)?;
        let folded = replay.folded_log(reader, &origin);
        let checked = folded.check(replay.skipped(), &self.note);
        checked.map_err(|error| OpenJournalError::without(&error))
    }
}

fn folder(error: std::io::Error) -> OpenJournalError {
    OpenJournalError::Root(RootError::Folder(error))
}
