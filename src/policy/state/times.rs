//! What attesters said last of the time, and by whom `lo` was moved on last.

use serde::{Deserialize, Serialize};
use tx::{Interval, Name, Time};

use super::{State, StateError};
use crate::{
    AttestationKind, Digest, TimeSource,
    statement::Attestation,
    time::{self, HI_MEMORY_MILLIS},
};

/// What an attester said last of the time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TimeState {
    /// The statement's number.
    pub number: u64,
    /// Its hash.
    pub hash: Digest,
    /// It is at least as late.
    pub at: Time,
    /// The key that it was signed with.
    pub key: String,
}

/// That `lo` was moved on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Credited {
    /// The entry that says so.
    pub entry: u64,
    /// By whom.
    pub by: TimeSource,
    /// Where to.
    pub lo: Time,
    /// By how many milliseconds.
    pub millis: u64,
}

impl State {
    /// How late it is at least, as enough attesters say: each of them says as much or more. `None` where too few
    /// say anything.
    pub fn attested_time(&self) -> Option<Time> {
        let policy = self.policy()?;
        let needed = policy.attestations.needed(AttestationKind::Time);
        if needed == 0 {
            return None;
        }
        let attesters = policy.attestations.attesters.iter();
        let says = attesters.filter(|(_, one)| one.says.contains(&AttestationKind::Time));
        let said = says.filter_map(|(name, attester)| {
            let said = self.times.get(name)?;
            attester.line(&said.key).map(|_| said.at)
        });
        time::at_least(said.collect(), usize::try_from(needed).ok()?)
    }

    /// What each attester said last of the time.
    pub fn times(&self) -> impl Iterator<Item = (&Name, &TimeState)> {
        self.times.iter()
    }

    /// By whom `lo` was moved on last, and where to; nothing where nobody did.
    pub fn credited(&self) -> Option<&Credited> {
        self.credited.as_ref()
    }

    /// Whether a statement can be true by now. What one attester says of the time moves nothing: it may be
    /// ahead by as much as a wall time is remembered, for a signer whose own clock is behind.
    pub(super) fn is_seen(&self, now: Interval, statement: &Attestation) -> Result<(), StateError> {
        let at = statement.at;
        let latest = match statement.kind() {
            AttestationKind::Time => now.hi.max(now.lo.after_millis(HI_MEMORY_MILLIS)),
            _ => now.hi,
        };
        match at <= latest {
            true => Ok(()),
            false => Err(StateError::NotSeenYet { at }),
        }
    }

    /// What attesters did not say moved nothing: their statements are in the state. What witnesses said is not.
    pub(super) fn validate_credited(&self, lo: Time, by: TimeSource) -> Result<(), StateError> {
        let is_attested = || self.attested_time().is_some_and(|said| lo <= said);
        match by {
            TimeSource::Attesters if self.policy().is_some() && !is_attested() => {
                Err(StateError::NotAttested { lo })
            }
            _ => Ok(()),
        }
    }
}
