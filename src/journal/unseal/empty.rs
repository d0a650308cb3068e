//! A data folder in which nothing of a journal is left: the new one begins with an epoch.
//!
//! Each durable before the next: an empty log under the id of the report; its genesis, the bundle and
//! the epoch, in one group; the anchor; the checkpoint that was lost, put aside; the end of the report.

use std::{collections::BTreeSet, path::Path, sync::Arc};

use policy::{
    Digest, Entry, Policy, State,
    statement::{EpochFound, Found as Stated, Head, NewEpoch},
};
use tlog::CompactTree;
use tx::{Interval, Name, Time};

use super::{
    ReportedKey, ResumeError, Resumption, Said, SealReport, epoch, file, finish, named, nonce,
    put_report, stated, waiting,
};
use crate::{
    Activation, Clock, Group, OpenJournalError, SealName, Store as _,
    disk::{Disk, FsDisk},
    embedded::Embedded,
    group::OpenGroup,
    known,
    open::{empty_log, own},
    roots::Growth,
    segment::{LogId, OpenOptions},
};

/// When nothing was written yet.
fn before() -> Interval {
    Interval {
        lo: Time::default(),
        hi: Time::default(),
    }
}

/// A data folder without a journal, or with one whose making was cut off, owned while people decide
/// about it.
pub struct EmptyFolder {
    disk: Arc<dyn Disk>,
    bundle: Activation,
    found: Name,
    lost: BTreeSet<Head>,
}

impl EmptyFolder {
    /// Takes the folder, for the verified bundle that shall govern and whose officers decide. Nothing is
    /// changed.
    ///
    /// # Errors
    /// [`ResumeError::NotWhole`] where there is a journal, or the folder cannot be owned.
    pub fn take(folder: &Path, bundle: Activation) -> Result<Self, ResumeError> {
        let disk: FsDisk = own(folder).map_err(ResumeError::NotWhole)?;
        Self::take_on(Arc::new(disk), bundle)
    }

    /// As [`EmptyFolder::take`], on any disk.
    ///
    /// # Errors
    /// As [`EmptyFolder::take`].
    pub fn take_on(disk: Arc<dyn Disk>, bundle: Activation) -> Result<Self, ResumeError> {
        let names = disk.list().map_err(file("the folder"))?;
        let has = |end: &str| names.iter().any(|name| name.ends_with(end));
        // An anchor alone is of a log that is gone: whoever puts it away has read it.
        if has("anchor") && !has(".seg") {
            return Err(ResumeError::NotWhole(OpenJournalError::Exists));
        }
        let known = known::Found::read(&*disk).map_err(file(known::NAME))?;
        let lost = known.head().map(stated).into_iter().collect();
        Ok(Self {
            disk,
            bundle,
            found: named(SealName::JournalMissing)?,
            lost,
        })
    }

    fn policy(&self) -> &Policy {
        &self.bundle.policy
    }

    /// Reports that nothing is there, durably: the statement must answer this report, and says nothing
    /// else than its log's id.
    ///
    /// # Errors
    /// [`ResumeError::File`].
    pub fn report(&self) -> Result<SealReport, ResumeError> {
        let state = self.begun()?;
        if let Some(waiting) = waiting(&*self.disk)?
            && self.report_of(&state, waiting.log, waiting.nonce) == waiting
        {
            return Ok(waiting);
        }
        let report = self.report_of(&state, nonce()?, nonce()?);
        put_report(&self.disk, &report)?;
        Ok(report)
    }

    fn report_of(&self, state: &State, log: Digest, nonce: Digest) -> SealReport {
        let policy = self.policy();
        let Head { size, root } = nothing();
        SealReport {
            v: SealReport::VERSION,
            fleet: policy.fleet.clone(),
            log,
            found: self.found.clone(),
            why: "there is no journal in the data folder".into(),
            size,
            root,
            last: before(),
            bundle: policy.hash,
            sequence: policy.sequence,
            threshold: policy.governance.threshold,
            officers: policy.governance.officers.clone(),
            lost: self.lost.iter().map(|head| (*head).into()).collect(),
            epoch: state.epoch(),
            lanes: 0,
            keys: ReportedKey::of(state),
            nonce,
        }
    }

    /// The state under the bundle, before anything else is known.
    fn begun(&self) -> Result<State, ResumeError> {
        let mut state = State::new();
        let mut group = OpenGroup::new(before(), 0, Growth::default());
        self.push_first(&mut group, &mut state)?;
        Ok(state)
    }

    fn push_first(&self, group: &mut OpenGroup, state: &mut State) -> Result<(), ResumeError> {
        let policy = self.policy();
        let genesis = Entry::Genesis {
            fleet: policy.fleet.clone(),
        };
        let activated = Entry::PolicyActivated {
            hash: policy.hash,
            sequence: policy.sequence,
            signed_by: self.bundle.signed_by.clone(),
        };
        for entry in [genesis, activated] {
            let _index = group.push(state, entry).map_err(ResumeError::Entry)?;
        }
        let activated = state.activate(Arc::clone(&self.bundle.policy));
        activated.map_err(ResumeError::Policy)
    }

    /// Carries out a statement that enough officers signed: the journal opens when this returns.
    ///
    /// # Errors
    /// [`ResumeError`]; where it is about the statement, nothing was changed.
    pub fn begin(
        self,
        text: &str,
        signatures: &str,
        clock: &dyn Clock,
    ) -> Result<Resumption, ResumeError> {
        let statement = NewEpoch::parse(text).map_err(ResumeError::Statement)?;
        let waiting = waiting(&*self.disk)?.ok_or(ResumeError::NoReport)?;
        let wall = Time::from_millis(clock.read().wall_millis);
        let found = self.found(waiting.log, waiting.nonce);
        let checked = statement.check(&found, wall);
        checked.map_err(ResumeError::Statement)?;
        let began = epoch::signed(&statement, signatures, self.policy())?;
        let now = Interval {
            lo: statement.begins,
            hi: wall,
        };
        let mut state = State::new();
        let mut group = OpenGroup::new(now, 0, Growth::default());
        self.push_first(&mut group, &mut state)?;
        let began = group.push(&mut state, Entry::EpochBegan(Box::new(began)));
        let _index = began.map_err(ResumeError::Entry)?;
        let OpenGroup { entries, blobs, .. } = group;
        let mut store = self.create(LogId::new(statement.log.0))?;
        let appended = store.append(0, Group { entries, blobs });
        appended.map_err(ResumeError::Store)?;
        let said = Said {
            hash: statement.hash(),
            before: epoch::BEGUN_ENTRIES.saturating_sub(1),
            lost: &statement.lost,
            kept: None,
        };
        finish(&self.disk, store, &said)
    }

    /// What a statement must be about.
    fn found(&self, log: Digest, nonce: Digest) -> EpochFound {
        let policy = self.policy();
        EpochFound {
            found: Stated {
                fleet: policy.fleet.clone(),
                log,
                name: self.found.clone(),
                head: nothing(),
                bundle: policy.hash,
                lost: self.lost.clone(),
                nonce,
            },
            sequence: policy.sequence,
            epoch: State::EPOCH_FIRST,
            last: Time::default(),
        }
    }

    /// The log without entries: new, or as an earlier try left it.
    fn create(&self, id: LogId) -> Result<Embedded, ResumeError> {
        let disk = Box::new(Arc::clone(&self.disk));
        let log = empty_log(disk, &OpenOptions::default(), || Ok(id));
        let log = log.map_err(ResumeError::NotWhole)?;
        if log.id() != id {
            return Err(ResumeError::NotWhole(OpenJournalError::Exists));
        }
        Ok(Embedded::new(log))
    }
}

/// The head of a log without entries.
fn nothing() -> Head {
    stated(CompactTree::new().head())
}
