//! When people last said that they are there, and whether that is too long ago.

use serde::{Deserialize, Serialize};
use tx::{Interval, Time};

use super::{State, StateError};
use crate::{
    Checkpoint, Digest, Heartbeat, Record, Resumed,
    statement::{self, Head, StatementError},
};

/// How far apart, in `lo`, the checkpoints are that statements may answer, but for the newest and the first
/// behind a start.
const SPACING_MILLIS: u64 = 60_000;
/// How many there are of them: an hour of a signer that is busy.
const ANSWERABLE_MAX: usize = 60;

/// When people last said that they are there. There is one while a bundle governs that asks for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HeartbeatState {
    /// From when on the next one is due: what the last statement says, or when the first bundle that asks for
    /// it began to govern, by `lo`.
    pub since: Time,
    /// What was said last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub heard: Option<Heard>,
    /// Checkpoints that a statement may answer, oldest first and apart from one another.
    pub checkpoints: Vec<AnswerableCheckpoint>,
    /// The newest one, where it is not among them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub newest: Option<AnswerableCheckpoint>,
    /// Whether the signer started since the last one that stands apart: it has none of its texts any longer.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    restarted: bool,
}

/// A heartbeat that counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Heard {
    /// Its entry.
    pub entry: u64,
    /// SHA-256 of the statement.
    pub hash: Digest,
    /// How many entries its checkpoint has.
    pub size: u64,
}

/// A checkpoint of this log that a heartbeat may answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AnswerableCheckpoint {
    /// How many entries it covers.
    pub size: u64,
    /// Its root.
    pub root: Digest,
    /// When it was authorised, by `lo`.
    pub at: Time,
}

/// The heartbeat is overdue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lapse {
    /// From when on it was due.
    pub since: Time,
    /// When it was.
    pub due: Time,
}

impl HeartbeatState {
    fn begun(since: Time) -> Self {
        Self {
            since,
            heard: None,
            checkpoints: Vec::new(),
            newest: None,
            restarted: false,
        }
    }

    /// Every checkpoint that a statement may answer, the newest first; one that stays so for long before one that
    /// the next takes the place of.
    pub fn answerable(&self) -> impl Iterator<Item = &AnswerableCheckpoint> {
        self.checkpoints.iter().rev().chain(&self.newest)
    }

    /// When the newest of them was authorised.
    pub fn last_answerable(&self) -> Option<Time> {
        let newest = self.newest.as_ref().or(self.checkpoints.last());
        newest.map(|one| one.at)
    }

    fn answers(&self, seen: Head) -> bool {
        let mut all = self.answerable();
        all.any(|one| (one.size, one.root) == (seen.size, seen.root))
    }

    fn take(&mut self, at: Time, checkpoint: &Checkpoint) {
        let one = AnswerableCheckpoint {
            size: checkpoint.size,
            root: checkpoint.root,
            at,
        };
        let last = self.checkpoints.last().filter(|_| !self.restarted);
        if last.is_some_and(|last| at.millis_since(last.at) < SPACING_MILLIS) {
            self.newest = Some(one);
            return;
        }
        (self.newest, self.restarted) = (None, false);
        if self.checkpoints.len() >= ANSWERABLE_MAX {
            self.checkpoints.remove(0);
        }
        self.checkpoints.push(one);
    }
}

impl State {
    /// What is known of heartbeats, where the bundle asks for them and an entry followed it.
    pub fn heartbeat(&self) -> Option<&HeartbeatState> {
        self.heartbeat.as_ref()
    }

    /// What the bundle asks for, since when, and when the next one is due.
    pub fn heartbeat_due(&self) -> Option<(&Heartbeat, Lapse)> {
        let rule = self.policy()?.heartbeat.as_ref()?;
        // Before the first entry under it, since it governs.
        let began = self.time.map(|time| time.lo).unwrap_or_default();
        let since = self.heartbeat.as_ref().map_or(began, |known| known.since);
        let due = since.after_millis(rule.within_millis);
        Some((rule, Lapse { since, due }))
    }

    /// Whether the heartbeat is overdue: what expires does by `hi`.
    pub fn overdue(&self, now: Interval) -> Option<Lapse> {
        let (_, lapse) = self.heartbeat_due()?;
        let hi = now.hi.max(self.lo);
        (hi > lapse.due && !self.supposed_alive).then_some(lapse)
    }

    /// Whether the heartbeat is overdue and nothing keeps everything frozen for it yet: then nothing at all is
    /// decided to the good.
    pub fn lapsed(&self, now: Interval) -> Option<Lapse> {
        let lapse = self.overdue(now)?;
        (!self.stands_frozen()).then_some(lapse)
    }

    /// Supposes that people are there, for tools that judge a bundle: no signer goes on from it.
    pub fn suppose_alive(&mut self) {
        self.supposed_alive = true;
    }

    /// Before an entry is taken in: a heartbeat is asked for from the entry on by which such a bundle governs,
    /// and no longer behind one that does not ask. A fold without bundles, which signs nothing, knows of none.
    pub(super) fn begin_heartbeat(&mut self) {
        let asks = self.policy().map(|policy| policy.heartbeat.is_some());
        match asks {
            None => {}
            Some(false) => self.heartbeat = None,
            Some(true) if self.heartbeat.is_none() => {
                let since = self.time.map(|time| time.lo).unwrap_or_default();
                self.heartbeat = Some(HeartbeatState::begun(since));
            }
            Some(true) => {}
        }
    }

    pub(super) fn note_checkpoint(&mut self, at: Time, checkpoint: &Checkpoint) {
        if let Some(heartbeat) = &mut self.heartbeat {
            heartbeat.take(at, checkpoint);
        }
    }

    pub(super) fn note_start(&mut self) {
        if let Some(heartbeat) = &mut self.heartbeat {
            heartbeat.restarted = true;
        }
    }

    pub(super) fn hear(&mut self, entry: u64, by: &Resumed) {
        // What is applied was validated: it parses.
        let statement = statement::Heartbeat::parse(&by.statement).ok();
        if let (Some(heartbeat), Some(said)) = (&mut self.heartbeat, statement) {
            heartbeat.since = heartbeat.since.max(said.at);
            heartbeat.heard = Some(Heard {
                entry,
                hash: by.hash,
                size: said.seen.size,
            });
        }
    }

    /// By what it says, that it answers a late checkpoint of this log, and that enough people signed it.
    pub(super) fn validate_heartbeat(
        &self,
        record: &Record,
        by: &Resumed,
    ) -> Result<(), StateError> {
        let said = statement::Heartbeat::parse(&by.statement).map_err(StateError::Unseal)?;
        if said.hash() != by.hash {
            return Err(StateError::Statement);
        }
        if self.fleet.as_ref() != Some(&said.fleet) {
            return Err(StateError::Unseal(StatementError::Fleet));
        }
        // A fold without bundles, which signs nothing, takes the entry's word for it.
        let Some(policy) = self.policy() else {
            return Ok(());
        };
        if policy.heartbeat.is_none() {
            return Err(StateError::NoHeartbeat);
        }
        let signed_by = said.signed_by(&by.signatures, policy);
        if signed_by.map_err(StateError::Unseal)? != by.signed_by {
            return Err(StateError::Statement);
        }
        let heard = self.heartbeat.as_ref().and_then(|known| known.heard);
        if heard.is_some_and(|heard| heard.hash == by.hash) {
            return Err(StateError::SaidAlready);
        }
        let last = heard.map_or(0, |heard| heard.size);
        if said.seen.size <= last {
            return Err(StateError::HeartbeatOlder { last });
        }
        let known = self.heartbeat.as_ref();
        if !known.is_some_and(|known| known.answers(said.seen)) {
            let size = said.seen.size;
            return Err(StateError::HeartbeatCheckpoint { size });
        }
        match said.at > record.time.hi {
            true => Err(StateError::NotSeenYet { at: said.at }),
            false => Ok(()),
        }
    }
}
