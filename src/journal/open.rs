//! Opening a data folder: the whole state is folded from the log, or the journal stays sealed.

use std::{
    cell::Cell,
    collections::{HashSet, VecDeque},
    path::Path,
    sync::{Arc, Mutex, RwLock, atomic::AtomicU64},
};

use policy::{Entry, State, StateError, TimeKeeper};
use thiserror::Error;
use tlog::checkpoint::Origin;
use tx::{Interval, Name, Time};

use crate::{
    Bundles, Clock, FoldError, Journal, Remembered, Replay, RootError, Rooting, SealName,
    SnapshotError, SnapshotUse, WriterThread,
    checkpoint::{log_keys, origin},
    disk::{Disk, FsDisk},
    embedded::{Embedded, EmbeddedReader},
    group::OpenGroup,
    heartbeat::Settled,
    known::Found,
    lock::{LockError, Owner},
    refusals::Refusals,
    replay::Parts,
    roots::{Builder, Candidate, FoldedLog, Home, Rows, Shelf, Snapshot},
    scrub::{self, Scrubbed},
    segment::{
        Before, CreateError, DiskError, Folder, Landmarks, LogId, LogOn, NoRandomness, OpenError,
        OpenOptions, ReserveState, Sealed, SegmentLog, is_segment,
    },
    store::{Group, Store as _, StoreError},
    writer::{Anchored, Writer, stopped},
};

/// What opening found.
pub struct Opening {
    /// The journal.
    pub journal: Journal,
    /// Its writer's thread.
    pub writer: WriterThread,
    /// How many entries there were.
    pub entries: u64,
    /// Bytes of a torn last group that were cut.
    pub cut_bytes: u64,
    /// The newest checkpoint that was remembered.
    pub remembered: Remembered,
    /// What was found of a snapshot.
    pub snapshot: SnapshotUse,
}

/// How a journal is opened.
#[derive(Clone, Copy, Debug)]
pub struct Start<'a> {
    /// The program's version, which the journal says first.
    pub version: &'a str,
    /// How state roots are computed: as everywhere, by default.
    pub rooting: Rooting,
}

/// Why a journal is not created or not opened. [`OpenJournalError::Log`] means sealed: what is there
/// is not what was left there.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum OpenJournalError {
    /// Another process owns the folder.
    #[error("the data folder is in use")]
    InUse(#[source] LockError),
    /// The folder cannot be used.
    #[error("the data folder cannot be used")]
    Folder(#[source] LockError),
    /// There is no log.
    #[error(
        "there is no journal in {folder}; a first start is made with --bootstrap, and where one is lost a new epoch is begun"
    )]
    Missing {
        /// The folder.
        folder: String,
    },
    /// There is a log already.
    #[error("a journal is not created twice")]
    Exists,
    /// The log could not be created.
    #[error("the journal cannot be created")]
    Create(#[source] CreateError),
    /// The log is there and its first entry is not.
    #[error(
        "the journal was never begun; the first start was cut off: make it again with --bootstrap"
    )]
    NeverBegun,
    /// The log is not as it was left.
    #[error("the journal is not as it was left")]
    Log(#[source] OpenError<FoldError>),
    /// The first entries could not be written.
    #[error("the journal cannot be written")]
    Store(#[source] StoreError),
    /// There is no room for what is held back, so that a journal that stops can say so.
    #[error("the disk is full: there is no room to hold back for a last entry")]
    DiskFull,
    /// Bodies are pruned, and the snapshot, without which the log does not say what the state is, is not
    /// believed.
    #[error("the snapshot is refused, and bodies are pruned: {reason}")]
    Snapshot {
        /// Why.
        reason: String,
    },
    /// Bodies are pruned, and the disk does not say whether the snapshot holds.
    #[error("the snapshot cannot be read, and bodies are pruned: {reason}")]
    SnapshotUnread {
        /// Why.
        reason: String,
    },
    /// What state roots are computed with cannot be kept.
    #[error("the map of what is remembered cannot be kept")]
    Root(#[source] RootError),
    /// No randomness, no thread, or the like.
    #[error("the system does not allow it: {reason}")]
    System {
        /// What.
        reason: String,
    },
}

impl OpenJournalError {
    /// Why a journal whose bodies are pruned is not opened without its snapshot.
    pub(crate) fn without(error: &SnapshotError) -> Self {
        let reason = stopped(error).reason.to_string();
        match error.is_unread() {
            true => Self::SnapshotUnread { reason },
            false => Self::Snapshot { reason },
        }
    }

    /// Why nothing governs behind the snapshot of the first `covers` entries.
    pub(crate) fn ungoverned(covers: u64, source: FoldError) -> Self {
        let index = covers;
        Self::Log(OpenError::Fold { index, source })
    }

    /// Whether it is so whatever a snapshot says.
    fn is_of_log(&self) -> bool {
        match self {
            Self::Log(OpenError::Sealed { .. }) => true,
            Self::Log(OpenError::Fold { source, .. }) => {
                matches!(source, FoldError::Form(_) | FoldError::Bundle(_))
            }
            _ => false,
        }
    }
}

/// Creates a journal in a folder and ends it again: the ceremony of the first start. One that was cut
/// off is carried to its end.
///
/// # Errors
/// [`OpenJournalError`].
pub fn create(folder: &Path, fleet: Name, clock: &dyn Clock) -> Result<(), OpenJournalError> {
    create_on(Box::new(own(folder)?), fleet, clock)
}

/// As [`create`], on any disk.
///
/// # Errors
/// [`OpenJournalError`].
pub fn create_on(
    disk: Box<dyn Disk>,
    fleet: Name,
    clock: &dyn Clock,
) -> Result<(), OpenJournalError> {
    create_with(disk, fleet, clock, &OpenOptions::default())
}

/// As [`create_on`], with a log of other sizes.
pub(crate) fn create_with(
    disk: Box<dyn Disk>,
    fleet: Name,
    clock: &dyn Clock,
    options: &OpenOptions,
) -> Result<(), OpenJournalError> {
    let draw = || LogId::random().map_err(system::<NoRandomness>);
    let log = empty_log(disk, options, draw)?;
    let wall = Time::from_millis(clock.read().wall_millis);
    let now = Interval { lo: wall, hi: wall };
    let genesis = OpenGroup::record(now, Entry::Genesis { fleet }).map_err(|stopped| {
        OpenJournalError::System {
            reason: stopped.reason.to_string(),
        }
    })?;
    let mut store = Embedded::new(log);
    let group = Group {
        entries: vec![genesis],
        blobs: Vec::new(),
    };
    store
        .append(0, group)
        .and_then(|()| store.anchor())
        .map_err(OpenJournalError::Store)
}

/// A log without entries: a new one, or that of a creation that was cut off.
pub(crate) fn empty_log(
    disk: Box<dyn Disk>,
    options: &OpenOptions,
    id: impl FnOnce() -> Result<LogId, OpenJournalError>,
) -> Result<SegmentLog, OpenJournalError> {
    let begun = disk
        .list()
        .map_err(system)?
        .iter()
        .any(|name| name.ends_with(".seg"));
    if begun {
        let occupied = |_: u64, _: &[u8]| Err(FoldError::State(StateError::Genesis));
        return match SegmentLog::open(disk, options, occupied) {
            Ok((log, _)) => Ok(log),
            Err(OpenError::Fold { .. }) => Err(OpenJournalError::Exists),
            Err(other) => Err(OpenJournalError::Log(other)),
        };
    }
    SegmentLog::create(disk, id()?, options).map_err(|error| match error {
        CreateError::AlreadyThere { .. } => OpenJournalError::Exists,
        other => OpenJournalError::Create(other),
    })
}

/// Opens a journal and starts its writer. The first entry it writes is that it started.
///
/// # Errors
/// [`OpenJournalError`]; nothing is changed then, except that a torn last group may be cut.
pub fn open(
    folder: &Path,
    bundles: &dyn Bundles,
    clock: Arc<dyn Clock>,
    version: &str,
) -> Result<Opening, OpenJournalError> {
    if is_absent(folder) {
        return Err(OpenJournalError::Missing {
            folder: folder.display().to_string(),
        });
    }
    let start = Start {
        version,
        rooting: Rooting::default(),
    };
    open_on(Box::new(own(folder)?), bundles, clock, &start)
}

/// As [`open`], on any disk; where there is no log, [`OpenJournalError::Log`] says so.
///
/// # Errors
/// [`OpenJournalError`].
pub fn open_on(
    disk: Box<dyn Disk>,
    bundles: &dyn Bundles,
    clock: Arc<dyn Clock>,
    start: &Start<'_>,
) -> Result<Opening, OpenJournalError> {
    open_with(disk, bundles, clock, start, OpenOptions::default())
}

/// As [`open_on`], with a log of other sizes: for tests.
///
/// # Errors
/// [`OpenJournalError`].
pub fn open_with(
    disk: Box<dyn Disk>,
    bundles: &dyn Bundles,
    clock: Arc<dyn Clock>,
    start: &Start<'_>,
    sizes: OpenOptions,
) -> Result<Opening, OpenJournalError> {
    Core::open(disk, bundles, clock, start, sizes)?.start()
}

/// An opened journal whose writer has no thread yet: whoever has it takes the writer's turns.
pub(crate) struct Core {
    pub(crate) writer: Writer,
    pub(crate) reader: EmbeddedReader,
    /// How many entries there were.
    pub(crate) entries: u64,
    /// Bytes of a torn last group that were cut.
    pub(crate) cut_bytes: u64,
    pub(crate) remembered: Remembered,
    pub(crate) snapshot: SnapshotUse,
}

impl Core {
    /// Opens what is on a disk, with a log of these sizes, and appends that it started.
    pub(crate) fn open(
        disk: Box<dyn Disk>,
        bundles: &dyn Bundles,
        clock: Arc<dyn Clock>,
        start: &Start<'_>,
        sizes: OpenOptions,
    ) -> Result<Self, OpenJournalError> {
        let disk: Arc<dyn Disk> = disk.into();
        let found = Found::read(&*disk).map_err(system)?;
        let folder = Folder::new(Arc::clone(&disk));
        let damaged = was_damaged(&disk, &folder)?;
        let options = OpenOptions {
            heads: found.head().into_iter().collect(),
            ..sizes
        };
        #[cfg(test)]
        let options = crate::defect::unknowing(options);
        let from = From {
            disk: &disk,
            bundles,
            rooting: start.rooting,
            options,
            cut_bytes: Cell::new(0),
        };
        let (folded, snapshot) = from.fold()?;
        if damaged {
            scrub::unmark(&folder).map_err(unread)?;
        }
        let scrubbed = Arc::new(Scrubbed::remembered(&folder));
        let remembered = folded.verified(found);
        let started = folded.started(start, &*clock);
        let (entries, cut_bytes) = (folded.log.size(), folded.cut_bytes);
        let Parts { state, left, .. } = folded.parts;
        let state = Arc::new(RwLock::new(state));
        let rows = Rows::new(Arc::clone(&state), Arc::clone(left.kept.map()));
        let embedded = Embedded::new(folded.log);
        let reader = embedded.reader();
        let shelf = Shelf::new(disk, reader.clone(), left.charges.reader());
        let candidate = Candidate::of(&left);
        let wanted = Arc::new(AtomicU64::new(Candidate::wanted(candidate.as_ref())));
        let roots = Builder::start(start.rooting, left.kept, shelf, left.due);
        let mut writer = Writer {
            store: Box::new(embedded),
            state: Arc::clone(&state),
            time: TimeKeeper::restart(folded.last).counted_at(folded.counted),
            cosigned: Arc::default(),
            now: Arc::new(Mutex::new(folded.last)),
            boot_millis: 0,
            clock,
            next_index: entries,
            waiting: VecDeque::new(),
            refusals: Refusals::default(),
            active: HashSet::new(),
            anchored: Anchored::default(),
            stopped: Arc::default(),
            origin: folded.origin,
            watcher: Arc::default(),
            charges: left.charges,
            growth: left.growth,
            roots: roots.map_err(system)?,
            rows,
            read_from: snapshot.read_from(),
            candidate,
            wanted,
            scrubbed,
            settled: Settled::default(),
            awaited: None,
        };
        writer.note_start(started)?;
        Ok(Self {
            writer,
            reader,
            entries,
            cut_bytes,
            remembered,
            snapshot,
        })
    }

    /// Starts the writer's thread.
    fn start(mut self) -> Result<Opening, OpenJournalError> {
        self.writer.reserve();
        let (journal, writer) = Journal::start(self.writer, self.reader).map_err(system)?;
        Ok(Opening {
            journal,
            writer,
            entries: self.entries,
            cut_bytes: self.cut_bytes,
            remembered: self.remembered,
            snapshot: self.snapshot,
        })
    }
}

/// Whether damage was found in the log while it was open. Where it was, all of it is verified first.
fn was_damaged(disk: &Arc<dyn Disk>, folder: &Folder) -> Result<bool, OpenJournalError> {
    let damaged = scrub::is_marked(folder).map_err(unread)?;
    if damaged {
        check_all(disk)?;
        tracing::warn!("the damage that was found in the log is gone");
    }
    Ok(damaged)
}

fn unread(source: DiskError) -> OpenJournalError {
    OpenJournalError::Log(OpenError::Disk { source })
}

/// Verifies every segment that is there, and changes nothing.
fn check_all(disk: &Arc<dyn Disk>) -> Result<(), OpenJournalError> {
    let log = SegmentLog::on(disk).map_err(unread)?;
    let pruned = log.filter(|log| log.begins_later);
    let landmarks = match pruned.map(|log| Snapshot::read(disk, &log.id)) {
        None => None,
        Some(Ok(Some(snapshot))) => snapshot.landmarks,
        Some(Err(error)) if error.is_unread() => return Err(OpenJournalError::without(&error)),
        // It does not open.
        Some(Ok(None) | Err(_)) => return Ok(()),
    };
    let nothing = |_: u64, _: &[u8], _: &Before<'_>| Ok::<(), FoldError>(());
    let examined = SegmentLog::examine_behind(Arc::clone(disk), &[], landmarks, nothing);
    examined.map(drop).map_err(OpenJournalError::Log)
}

/// A log with the state that follows from it.
struct Folded {
    log: SegmentLog,
    parts: Parts,
    last: Interval,
    /// When the last entry was written that time is counted from.
    counted: Interval,
    origin: Origin,
    cut_bytes: u64,
}

/// What a log is folded with.
struct From<'a> {
    disk: &'a Arc<dyn Disk>,
    bundles: &'a dyn Bundles,
    rooting: Rooting,
    options: OpenOptions,
    /// Bytes that were cut off so far: whoever reads a log a second time does not find them any more.
    cut_bytes: Cell<u64>,
}

impl From<'_> {
    /// Folds a log: behind its snapshot, if there is one that is believed; else from its first entry on.
    fn fold(mut self) -> Result<(Folded, SnapshotUse), OpenJournalError> {
        let Some(log) = SegmentLog::on(self.disk).map_err(unread)? else {
            // It does not open.
            let replay = Replay::at(self.bundles, Home::Apart, self.rooting);
            return Ok((self.read(replay, None)?, SnapshotUse::Absent));
        };
        let snapshot = Snapshot::read(self.disk, &log.id);
        if let Ok(Some(snapshot)) = &snapshot {
            self.options.heads.extend(snapshot.head());
            #[cfg(test)]
            crate::defect::forget_heads(&mut self.options);
        }
        let snapshot = match self.behind(snapshot, log)? {
            Ok(Some(folded)) => {
                let Behind {
                    folded,
                    covers,
                    read_from,
                } = folded;
                return Ok((folded, SnapshotUse::Used { covers, read_from }));
            }
            Ok(None) => SnapshotUse::Absent,
            Err(error) => {
                if log.begins_later {
                    return Err(OpenJournalError::without(&error));
                }
                let reason = stopped(&error).reason.to_string();
                tracing::error!(
                    reason,
                    "the snapshot is refused, and the whole log is folded"
                );
                SnapshotUse::Refused { reason }
            }
        };
        let replay = Replay::at(self.bundles, self.home(log.id), self.rooting);
        Ok((self.read(replay, None)?, snapshot))
    }

    fn home(&self, log: LogId) -> Home {
        Home::Journal(Arc::clone(self.disk), log)
    }

    /// Behind the snapshot, which is refused where anything does not hold: what is wrong with the log, the
    /// log alone says.
    fn behind(
        &self,
        snapshot: Result<Option<Snapshot>, SnapshotError>,
        log: LogOn,
    ) -> Result<Result<Option<Behind>, SnapshotError>, OpenJournalError> {
        let snapshot = match snapshot {
            Ok(Some(snapshot)) => snapshot,
            Ok(None) => return Ok(Ok(None)),
            Err(error) => return Ok(Err(error)),
        };
        let Snapshot {
            content,
            landmarks,
            note,
        } = snapshot;
        let covers = content.covers();
        let read_from = landmarks.as_ref().map_or(0, Landmarks::first);
        let thawed = match content.thaw(self.disk, log.id) {
            Ok(thawed) => thawed,
            Err(error) => return Ok(Err(error)),
        };
        let replay = Replay::behind(self.bundles, self.home(log.id), self.rooting, thawed);
        let replay = match replay {
            Ok(replay) => replay,
            Err(error) if log.begins_later => {
                return Err(OpenJournalError::ungoverned(covers, error));
            }
            Err(error) => {
                let reason = stopped(&error).reason.to_string();
                return Ok(Err(SnapshotError::Policy { reason }));
            }
        };
        let folded = match self.read(replay, landmarks) {
            Ok(folded) => folded,
            // What there is no room for says nothing about the snapshot.
            Err(full) if full.name() == SealName::DiskFull => return Err(full),
            // Nobody folds the whole of it, to say so.
            Err(error) if log.begins_later && error.is_of_log() => return Err(error),
            Err(error) => {
                let log = |reason| SnapshotError::Log { reason };
                return Ok(Err(SnapshotError::unless_unread(&error, log)));
            }
        };
        let checked = folded.check(covers, &note);
        Ok(checked.map(|()| {
            Some(Behind {
                folded,
                covers,
                read_from,
            })
        }))
    }

    fn read(
        &self,
        mut replay: Replay<'_>,
        landmarks: Option<Landmarks>,
    ) -> Result<Folded, OpenJournalError> {
        let each =
            |index, body: &[u8], before: &Before<'_>| replay.read(index, body, || before.head());
        let disk = Box::new(Arc::clone(self.disk));
        let opened = SegmentLog::open_behind(disk, &self.options, landmarks, each);
        let (log, opened) = opened.map_err(OpenJournalError::Log)?;
        let cut_bytes = self.cut_bytes.get().saturating_add(opened.cut_bytes);
        self.cut_bytes.set(cut_bytes);
        let last = replay.last().ok_or(OpenJournalError::NeverBegun)?;
        let counted = replay.counted().unwrap_or(last);
        let parts = replay.into_parts().map_err(OpenJournalError::Root)?;
        check_begins(opened.begins, &parts.state)?;
        if opened.reserve == ReserveState::Missing {
            return Err(OpenJournalError::DiskFull);
        }
        Ok(Folded {
            origin: origin_of(&parts.state, opened.log)?,
            log,
            parts,
            last,
            counted,
            cut_bytes,
        })
    }
}

/// A log that was folded behind its snapshot.
struct Behind {
    folded: Folded,
    covers: u64,
    read_from: u64,
}

impl Folded {
    /// The checkpoint that was found beside the log, under the keys that the log knows.
    fn verified(&self, found: Found) -> Remembered {
        let keys = log_keys(&self.parts.state, &self.origin);
        found.verify(&self.origin, &keys)
    }

    /// The entry that says so.
    fn started(&self, start: &Start<'_>, clock: &dyn Clock) -> Entry {
        Entry::Started {
            version: start.version.into(),
            cut_bytes: self.cut_bytes,
            boot_id: clock.boot_id().into(),
        }
    }

    /// Whether the snapshot of the first `covers` entries that it was folded from is the log's.
    fn check(&self, covers: u64, note: &[u8]) -> Result<(), SnapshotError> {
        let folded = FoldedLog {
            reader: &self.log.reader(),
            origin: &self.origin,
            state: &self.parts.state,
            root: self.parts.left.first,
            quorums: &self.parts.quorums,
        };
        folded.check(covers, note)
    }
}

/// Whether nothing is gone but what officers let go.
pub(crate) fn check_begins(begins: u64, state: &State) -> Result<(), OpenJournalError> {
    if begins > state.pruned() {
        let source = Sealed::SegmentMissing { segment: 0 };
        return Err(OpenJournalError::Log(OpenError::Sealed { source }));
    }
    Ok(())
}

pub(crate) fn origin_of(state: &State, log: LogId) -> Result<Origin, OpenJournalError> {
    let fleet = state.fleet().ok_or(OpenJournalError::NeverBegun)?;
    origin(fleet, log.as_bytes()).map_err(system)
}

/// Whether a folder holds nothing of a journal, or is not there. The first segments may be gone, and what cannot be
/// read is not absent.
pub(crate) fn is_absent(folder: &Path) -> bool {
    let mut names = match std::fs::read_dir(folder) {
        Ok(entries) => entries.map(|entry| entry.map(|entry| entry.file_name())),
        Err(error) => return error.kind() == std::io::ErrorKind::NotFound,
    };
    !names.any(|name| name.map_or(true, |name| name == "anchor" || is_segment(&name)))
}

pub(crate) fn own(folder: &Path) -> Result<FsDisk, OpenJournalError> {
    match Owner::acquire(folder) {
        Ok(owner) => Ok(FsDisk::new(owner)),
        Err(held @ LockError::Held { .. }) => Err(OpenJournalError::InUse(held)),
        Err(other) => Err(OpenJournalError::Folder(other)),
    }
}

fn system<E: std::fmt::Display>(error: E) -> OpenJournalError {
    OpenJournalError::System {
        reason: error.to_string(),
    }
}
