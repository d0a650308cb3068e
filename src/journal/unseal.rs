//! Un-sealing: what a sealed data folder holds, and carrying out what officers decided about it.
//!
//! Only what is whole and verifies in itself goes on: a shorter copy, a fork, a log whose anchor is
//! gone. Everything is verified before anything is written; then, each durable before the next,
//! 1. the entry [`Entry::Resumed`], which holds the statement,
//! 2. the anchor, anew,
//! 3. the checkpoint that was lost, put aside as `checkpoint.lost`,
//! 4. the report is removed, and its nonce with it.
//!
//! Whoever is killed in between leaves a folder that is sealed, or one that is done: the same statement
//! carries it to its end.

mod begun;
mod empty;
mod epoch;

use std::{collections::BTreeSet, convert::Infallible, io, path::Path, sync::Arc};

use policy::{
    Digest, Entry, Policy, Resumed, State, StateError, TimeKeeper,
    statement::{Found as Stated, Head, StatementError, Unseal},
};
use serde::{Deserialize, Serialize};
use thiserror::Error;
use tlog::TreeHead;
use tx::{Chain, Interval, Name, Time};

use crate::{
    Bundles, Clock, FoldError, Group, OpenJournalError, Rooting, SealName, Store as _, StoreError,
    command::Stopped,
    disk::{Disk, FsDisk},
    embedded::Embedded,
    group::OpenGroup,
    known,
    open::{is_absent, own},
    roots::{Growth, SNAPSHOT, Snapshot},
    segment::{
        AnchorRule, Before, Examined, Folder, Landmarks, LogId, OpenError, OpenOptions,
        ReserveState, Salt, SegmentLog,
    },
};

use begun::Begun;
pub use empty::EmptyFolder;
pub use epoch::is_epoch;

/// The file with the report that waits for a statement.
const REPORT: &str = "seal-report";
/// The longest report, in bytes.
const REPORT_MAX_BYTES: usize = 1024 * 1024;
/// The longest signatures that an entry holds, in bytes.
const SIGNATURES_MAX_BYTES: usize = 32 * 1024;

/// A data folder whose journal is whole in itself, owned while people decide about it.
pub struct SealedFolder {
    disk: Arc<dyn Disk>,
    log: LogId,
    head: Head,
    fleet: Name,
    policy: Arc<Policy>,
    state: State,
    last: Interval,
    seal: Option<(SealName, String)>,
    lost: BTreeSet<Head>,
    /// What the snapshot was made of, if there is one.
    kept: Option<Head>,
    /// Of the segments that were not read, because the first are pruned.
    landmarks: Option<Landmarks>,
}

/// What was found, for the people who decide: the statement answers its nonce.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SealReport {
    /// The version of the form: 2.
    pub v: u8,
    /// The fleet.
    pub fleet: Name,
    /// The log's id.
    pub log: Digest,
    /// The name of what seals the signer.
    pub found: Name,
    /// In words.
    pub why: String,
    /// How many entries the journal has that is there.
    pub size: u64,
    /// Its root.
    pub root: Digest,
    /// When its last entry was written, at the earliest and at the latest.
    pub last: Interval,
    /// The last bundle that governed.
    pub bundle: policy::BundleHash,
    /// Its sequence.
    pub sequence: u64,
    /// How many of its officers must sign.
    pub threshold: u32,
    /// Its officers.
    pub officers: BTreeSet<Name>,
    /// Heads that are known and that the journal does not contain.
    pub lost: Vec<LostHead>,
    /// The last epoch that is known.
    pub epoch: u64,
    /// The highest epoch of a lane that is known.
    pub lanes: u64,
    /// Every key on each of its chains: what a new epoch says something of.
    pub keys: Vec<ReportedKey>,
    /// What the statement answers: drawn anew for each finding.
    pub nonce: Digest,
}

/// A head that is known and that the journal does not contain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LostHead {
    /// How many entries it had.
    pub size: u64,
    /// Its root.
    pub root: Digest,
}

/// A key on one of its chains.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReportedKey {
    /// The key.
    pub key: Name,
    /// The chain.
    pub chain: Chain,
    /// The next sequence as it is known, on chains that have sequences; elsewhere the key is drained.
    pub next: Option<u64>,
}

impl SealReport {
    /// The version of the form.
    pub const VERSION: u8 = 2;
}

impl ReportedKey {
    fn of(state: &State) -> Vec<Self> {
        let keys = state.epoch_keys().into_iter();
        keys.map(|(key, chain, next)| Self { key, chain, next })
            .collect()
    }
}

impl From<Head> for LostHead {
    fn from(Head { size, root }: Head) -> Self {
        Self { size, root }
    }
}

/// What was carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resumption {
    /// The statement's hash.
    pub statement: Digest,
    /// How many entries the journal has now; the last is that of the statement.
    pub entries: u64,
}

/// Why a sealed journal does not go on.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ResumeError {
    /// What is there is not whole: no statement can make it so.
    #[error("the journal that is there cannot go on")]
    NotWhole(#[source] OpenJournalError),
    /// No bundle ever governed, so that there are no officers.
    #[error("no bundle governed yet: make the journal anew with --bootstrap")]
    NoBundle,
    /// It is as it was left.
    #[error("the journal is as it was left: there is nothing to un-seal")]
    NotSealed,
    /// No report was made of it, or it was carried out.
    #[error("no report of what was found waits for a statement: make one with --seal-report")]
    NoReport,
    /// The statement is not for this, or not signed.
    #[error("the statement is refused")]
    Statement(#[source] StatementError),
    /// It was carried out before.
    #[error("the statement was carried out before")]
    Used,
    /// The signatures are longer than an entry holds.
    #[error("the signatures have more than {SIGNATURES_MAX_BYTES} bytes")]
    Signatures,
    /// The bundle does not govern a new journal.
    #[error("the bundle does not govern a new journal")]
    Policy(#[source] StateError),
    /// Statement and state disagree.
    #[error("the entry is not taken: {0}")]
    Entry(Stopped),
    /// The entry or the anchor was not written.
    #[error("the journal cannot be written")]
    Store(#[source] StoreError),
    /// A file of the data folder.
    #[error("{name} cannot be changed")]
    File {
        /// Which.
        name: &'static str,
        /// Why not.
        source: io::Error,
    },
}

impl ResumeError {
    /// A stable name that scripts can match.
    pub fn name(&self) -> &'static str {
        match self {
            Self::NotWhole(error) => error.name().as_str(),
            Self::NoBundle => "unseal-no-bundle",
            Self::NotSealed => "unseal-not-sealed",
            Self::NoReport => "unseal-no-report",
            Self::Statement(error) => error.unseal_name(),
            Self::Used => "unseal-used",
            Self::Signatures => "unseal-signatures",
            Self::Policy(_) | Self::Entry(_) => "unseal-entry",
            Self::Store(_) | Self::File { .. } => "unseal-disk",
        }
    }
}

impl SealedFolder {
    /// Takes the folder and verifies the journal in it. Nothing is changed.
    ///
    /// # Errors
    /// [`ResumeError::NotWhole`] with the name of what is damaged; [`ResumeError::NoBundle`].
    pub fn examine(folder: &Path, bundles: &dyn Bundles) -> Result<Self, ResumeError> {
        if is_absent(folder) {
            let folder = folder.display().to_string();
            return Err(ResumeError::NotWhole(OpenJournalError::Missing { folder }));
        }
        let disk: FsDisk = own(folder).map_err(ResumeError::NotWhole)?;
        Self::examine_on(Arc::new(disk), bundles)
    }

    /// As [`SealedFolder::examine`], on any disk.
    ///
    /// # Errors
    /// As [`SealedFolder::examine`].
    pub fn examine_on(disk: Arc<dyn Disk>, bundles: &dyn Bundles) -> Result<Self, ResumeError> {
        Self::examine_rooted(disk, bundles, Rooting::default())
    }

    /// As [`SealedFolder::examine_on`], of a log that has its roots otherwise: for tests.
    ///
    /// # Errors
    /// As [`SealedFolder::examine`].
    pub fn examine_rooted(
        disk: Arc<dyn Disk>,
        bundles: &dyn Bundles,
        rooting: Rooting,
    ) -> Result<Self, ResumeError> {
        let begun = Begun::of(&disk, bundles, rooting).map_err(not_whole)?;
        let Begun {
            mut replay,
            kept,
            behind,
        } = begun;
        let landmarks = behind.as_ref().and_then(|behind| behind.landmarks.clone());
        let known = known::Found::read(&*disk).map_err(file("checkpoint"))?;
        let heads: Vec<TreeHead> = known.head().into_iter().chain(kept).collect();
        let each =
            |index, body: &[u8], before: &Before<'_>| replay.read(index, body, || before.head());
        let examined =
            SegmentLog::examine_behind(Arc::clone(&disk), &heads, landmarks.clone(), each);
        let (examined, reader) =
            examined.map_err(|error| not_whole(OpenJournalError::Log(error)))?;
        if let Some(behind) = behind {
            let checked = behind.check(&replay, &examined, &reader);
            checked.map_err(not_whole)?;
        }
        let Examined {
            log, head, unmet, ..
        } = examined;
        let last = replay.last();
        let state = replay.into_state();
        let (Some(fleet), Some(policy), Some(last)) = (state.fleet(), state.policy(), last) else {
            return Err(ResumeError::NoBundle);
        };
        let lost = unmet.iter().filter_map(|(head, _)| *head).map(stated);
        let seal = unmet.first();
        Ok(Self {
            disk,
            log,
            head: stated(head),
            fleet: fleet.clone(),
            policy: Arc::clone(policy),
            last,
            seal: seal.map(|(_, sealed)| (sealed.name(), sealed.to_string())),
            lost: lost.collect(),
            state,
            kept: kept.map(stated),
            landmarks,
        })
    }

    /// Reports what was found, durably: the statement must answer this report. The same finding has the
    /// same report.
    ///
    /// # Errors
    /// [`ResumeError::NotSealed`]; [`ResumeError::File`].
    pub fn report(&self) -> Result<SealReport, ResumeError> {
        if let Some(waiting) = self.waiting()?
            && self.report_of(waiting.nonce)? == waiting
        {
            return Ok(waiting);
        }
        let report = self.report_of(nonce()?)?;
        put_report(&self.disk, &report)?;
        Ok(report)
    }

    fn report_of(&self, nonce: Digest) -> Result<SealReport, ResumeError> {
        let stated = self.stated(nonce)?;
        let (_, why) = self.seal.clone().ok_or(ResumeError::NotSealed)?;
        let lost = stated.lost.iter();
        Ok(SealReport {
            v: SealReport::VERSION,
            fleet: stated.fleet,
            log: stated.log,
            found: stated.name,
            why,
            size: stated.head.size,
            root: stated.head.root,
            last: self.last,
            bundle: stated.bundle,
            sequence: self.policy.sequence,
            threshold: self.policy.governance.threshold,
            officers: self.policy.governance.officers.clone(),
            lost: lost.map(|head| (*head).into()).collect(),
            epoch: self.state.epoch(),
            lanes: self.state.highest_lane_epoch(),
            keys: ReportedKey::of(&self.state),
            nonce,
        })
    }

    /// What a statement must be about.
    fn stated(&self, nonce: Digest) -> Result<Stated, ResumeError> {
        let (name, _) = self.seal.as_ref().ok_or(ResumeError::NotSealed)?;
        Ok(Stated {
            fleet: self.fleet.clone(),
            log: Digest(*self.log.as_bytes()),
            name: named(*name)?,
            head: self.head,
            bundle: self.policy.hash,
            lost: self.lost.clone(),
            nonce,
        })
    }

    fn waiting(&self) -> Result<Option<SealReport>, ResumeError> {
        waiting(&*self.disk)
    }

    /// Carries out a statement that enough officers signed. The journal opens when this returns.
    ///
    /// # Errors
    /// [`ResumeError`]; where it is about the statement, nothing was changed.
    pub fn resume(
        mut self,
        text: &str,
        signatures: &str,
        clock: &dyn Clock,
    ) -> Result<Resumption, ResumeError> {
        let statement = Unseal::parse(text).map_err(ResumeError::Statement)?;
        let said = Said {
            hash: statement.hash(),
            before: statement.head.size,
            lost: &statement.lost,
            kept: self.kept,
        };
        let store = if self.state.was_resumed_by(&said.hash) {
            self.check_unfinished(&said)?;
            self.open()?
        } else {
            let resumed = self.decided(&statement, signatures, clock)?;
            self.append(Entry::Resumed(Box::new(resumed)), self.last.lo, clock)?
        };
        finish(&self.disk, store, &said)
    }

    /// Whether whoever carried it out was killed right after the entry.
    fn check_unfinished(&self, said: &Said<'_>) -> Result<(), ResumeError> {
        let next = said.before.saturating_add(1);
        let same = self.head.size == next && self.lost.is_subset(said.lost);
        match self.seal.is_some() && same {
            true => Ok(()),
            false => Err(ResumeError::Used),
        }
    }

    fn decided(
        &self,
        statement: &Unseal,
        signatures: &str,
        clock: &dyn Clock,
    ) -> Result<Resumed, ResumeError> {
        if self.seal.is_none() {
            return Err(ResumeError::NotSealed);
        }
        let waiting = self.waiting()?.ok_or(ResumeError::NoReport)?;
        let now = Time::from_millis(clock.read().wall_millis);
        let found = self.stated(waiting.nonce)?;
        statement
            .check(&found, now)
            .map_err(ResumeError::Statement)?;
        if signatures.len() > SIGNATURES_MAX_BYTES {
            return Err(ResumeError::Signatures);
        }
        let signed_by = statement.signed_by(signatures, &self.policy);
        Ok(Resumed {
            hash: statement.hash(),
            statement: statement.to_string(),
            signatures: signatures.into(),
            signed_by: signed_by.map_err(ResumeError::Statement)?,
        })
    }

    /// The log for writing, with exactly what was examined, whatever its anchor says.
    fn open(&self) -> Result<Embedded, ResumeError> {
        let root = tlog::Hash::new(self.head.root.0);
        let size = self.head.size;
        let options = OpenOptions {
            log: Some(self.log),
            heads: vec![TreeHead { size, root }],
            anchor: AnchorRule::Waived,
            ..OpenOptions::default()
        };
        let disk = Box::new(Arc::clone(&self.disk));
        let each = |_: u64, _: &[u8], _: &Before<'_>| Ok::<(), Infallible>(());
        let opened = SegmentLog::open_behind(disk, &options, self.landmarks.clone(), each);
        let (log, opened) = opened.map_err(|error| not_whole(reopened(error)))?;
        if opened.reserve == ReserveState::Missing {
            return Err(ResumeError::NotWhole(OpenJournalError::DiskFull));
        }
        Ok(Embedded::new(log))
    }

    /// Appends the entry, at no earlier time than officers said.
    fn append(
        &mut self,
        entry: Entry,
        not_before: Time,
        clock: &dyn Clock,
    ) -> Result<Embedded, ResumeError> {
        let reading = clock.read();
        let mut keeper = TimeKeeper::restart(self.last);
        let (now, _) = keeper.advance(reading.wall_millis, reading.boot_millis);
        let now = Interval {
            lo: now.lo.max(not_before),
            hi: now.hi.max(not_before),
        };
        let mut group = OpenGroup::new(now, self.head.size, Growth::default());
        let pushed = group.push(&mut self.state, entry);
        let _index = pushed.map_err(ResumeError::Entry)?;
        let OpenGroup { entries, blobs, .. } = group;
        let mut store = self.open()?;
        let appended = store.append(self.head.size, Group { entries, blobs });
        appended.map_err(ResumeError::Store)?;
        Ok(store)
    }
}

fn named(name: SealName) -> Result<Name, ResumeError> {
    name.as_str().parse().map_err(|_| ResumeError::NotSealed)
}

/// What of a statement matters once it was decided on.
struct Said<'s> {
    hash: Digest,
    /// How many entries stand before its own.
    before: u64,
    lost: &'s BTreeSet<Head>,
    /// What the snapshot was made of.
    kept: Option<Head>,
}

/// Everything that seals is put out of the way, now that the entry is durable.
fn finish(
    disk: &Arc<dyn Disk>,
    mut store: Embedded,
    said: &Said<'_>,
) -> Result<Resumption, ResumeError> {
    let entries = store.tree().size();
    store.anchor().map_err(ResumeError::Store)?;
    let known = known::Found::read(&**disk).map_err(file(known::NAME))?;
    let is_lost = known
        .head()
        .is_some_and(|head| said.lost.contains(&stated(head)));
    if is_lost {
        let aside = disk.rename(known::NAME, known::LOST);
        aside.map_err(file(known::NAME))?;
        disk.sync_dir().map_err(file(known::NAME))?;
    }
    if said.kept.is_some_and(|head| said.lost.contains(&head)) {
        let aside = Snapshot::put_aside(&Folder::new(Arc::clone(disk)));
        aside.map_err(|error| file(SNAPSHOT)(io::Error::other(error)))?;
    }
    if has(&**disk, REPORT)? {
        disk.remove(REPORT).map_err(file(REPORT))?;
        disk.sync_dir().map_err(file(REPORT))?;
    }
    Ok(Resumption {
        statement: said.hash,
        entries,
    })
}

/// The report that waits for a statement; one that cannot be read waits for none.
fn waiting(disk: &dyn Disk) -> Result<Option<SealReport>, ResumeError> {
    if !has(disk, REPORT)? {
        return Ok(None);
    }
    let found = disk.open(REPORT).map_err(file(REPORT))?;
    let length = usize::try_from(found.size_bytes().map_err(file(REPORT))?);
    let mut bytes = vec![0; length.unwrap_or(usize::MAX).min(REPORT_MAX_BYTES)];
    found.read_exact_at(&mut bytes, 0).map_err(file(REPORT))?;
    Ok(serde_json::from_slice(&bytes).ok())
}

fn put_report(disk: &Arc<dyn Disk>, report: &SealReport) -> Result<(), ResumeError> {
    let text = serde_json::to_vec_pretty(report).map_err(|error| file(REPORT)(error.into()))?;
    let put = Folder::new(Arc::clone(disk)).put(REPORT, &text);
    put.map(drop)
        .map_err(|error| file(REPORT)(io::Error::other(error)))
}

fn has(disk: &dyn Disk, name: &'static str) -> Result<bool, ResumeError> {
    let names = disk.list().map_err(file(name))?;
    Ok(names.iter().any(|one| one == name))
}

fn stated(head: TreeHead) -> Head {
    Head {
        size: head.size,
        root: Digest(*head.root.as_bytes()),
    }
}

fn nonce() -> Result<Digest, ResumeError> {
    let salt = Salt::random().map_err(|error| file(REPORT)(io::Error::other(error)))?;
    Ok(Digest(*salt.as_bytes()))
}

fn not_whole(error: OpenJournalError) -> ResumeError {
    ResumeError::NotWhole(error)
}

fn reopened(error: OpenError<Infallible>) -> OpenJournalError {
    OpenJournalError::Log(match error {
        OpenError::Sealed { source } => OpenError::<FoldError>::Sealed { source },
        OpenError::Disk { source } => OpenError::Disk { source },
        OpenError::Fold { source, .. } => match source {},
    })
}

fn file(name: &'static str) -> impl Fn(io::Error) -> ResumeError {
    move |source| ResumeError::File { name, source }
}
