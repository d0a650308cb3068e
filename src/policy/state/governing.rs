//! Which bundle governs, which one waits, and what an officer keeps from governing.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use tx::{Name, Time};

use super::{State, StateError};
use crate::{
    BundleHash, Policy, PolicyProposed, PolicyVetoed,
    narrower::widenings,
    statement::{StatementError, Veto},
};

/// A bundle that waits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Proposed {
    /// The entry that proposed it.
    pub entry: u64,
    /// The bundle.
    pub hash: BundleHash,
    /// Its sequence.
    pub sequence: u64,
    /// The people whose signatures were counted.
    pub signed_by: BTreeSet<Name>,
    /// The `lo` before which it does not govern.
    pub not_before: Time,
}

impl State {
    /// The bundle that waits, if one does.
    pub fn proposed(&self) -> Option<&Proposed> {
        self.proposed.as_ref()
    }

    /// Whether an officer vetoed a bundle that would replace the one that governs.
    pub fn is_vetoed(&self, bundle: BundleHash) -> bool {
        self.vetoed.contains(&bundle)
    }

    pub(super) fn proposed_hash(&self) -> Option<BundleHash> {
        self.proposed.as_ref().map(|proposed| proposed.hash)
    }

    /// A bundle replaces the one before it: what waited or was vetoed answered that one, and can no
    /// longer govern by its own manifest.
    pub(super) fn turn_to(&mut self, hash: BundleHash, sequence: u64) {
        if self.active() == Some(hash) {
            return;
        }
        self.waited = self.proposed_hash().filter(|proposed| *proposed == hash);
        self.proposed = None;
        self.vetoed.clear();
        self.active = Some((hash, sequence));
    }

    pub(super) fn propose(&mut self, entry: u64, proposed: &PolicyProposed) {
        let PolicyProposed {
            hash,
            sequence,
            signed_by,
            not_before,
        } = proposed.clone();
        self.proposed = Some(Proposed {
            entry,
            hash,
            sequence,
            signed_by,
            not_before,
        });
    }

    pub(super) fn veto(&mut self, bundle: BundleHash) {
        self.proposed = None;
        self.vetoed.insert(bundle);
    }

    pub(super) fn validate_policy(
        &self,
        lo: Time,
        hash: BundleHash,
        sequence: u64,
    ) -> Result<(), StateError> {
        self.replaces(hash, sequence)?;
        match &self.proposed {
            Some(proposed) if proposed.hash == hash && lo < proposed.not_before => {
                let not_before = proposed.not_before;
                Err(StateError::Early { not_before })
            }
            _ => Ok(()),
        }
    }

    fn replaces(&self, hash: BundleHash, found: u64) -> Result<(), StateError> {
        if self.vetoed.contains(&hash) {
            return Err(StateError::Vetoed { hash });
        }
        match self.active {
            Some((active, present)) if found < present || (found == present && hash != active) => {
                Err(StateError::PolicySequence { present, found })
            }
            _ => Ok(()),
        }
    }

    pub(super) fn validate_proposed(
        &self,
        lo: Time,
        proposed: &PolicyProposed,
    ) -> Result<(), StateError> {
        if let Some(hash) = self.proposed_hash() {
            return Err(StateError::Waiting { hash });
        }
        let (hash, sequence) = (proposed.hash, proposed.sequence);
        match self.active {
            None => return Err(StateError::Policy { hash }),
            Some((_, present)) if sequence <= present => {
                let found = sequence;
                return Err(StateError::PolicySequence { present, found });
            }
            Some(_) => self.replaces(hash, sequence)?,
        }
        // A fold without bundles, which signs nothing, takes the entry's word for it.
        let Some(policy) = self.policy() else {
            return Ok(());
        };
        let (said, must) = (proposed.not_before, waits_until(lo, policy));
        match said == must {
            true => Ok(()),
            false => Err(StateError::Delay { said, must }),
        }
    }

    /// By what it says, and that an officer signed it.
    pub(super) fn validate_vetoed(&self, vetoed: &PolicyVetoed) -> Result<(), StateError> {
        let by = &vetoed.by;
        let statement = Veto::parse(&by.statement).map_err(StateError::Unseal)?;
        if statement.hash() != by.hash || statement.bundle != vetoed.bundle {
            return Err(StateError::Statement);
        }
        if self.fleet.as_ref() != Some(&statement.fleet) {
            return Err(StateError::Unseal(StatementError::Fleet));
        }
        let proposed = self.proposed.as_ref();
        if proposed.is_none_or(|one| one.entry != statement.entry || one.hash != statement.bundle) {
            return Err(StateError::NotProposed);
        }
        let Some(policy) = self.policy() else {
            return Ok(());
        };
        let signed_by = statement.signed_by(&by.signatures, policy);
        match signed_by.map_err(StateError::Unseal)? == by.signed_by {
            true => Ok(()),
            false => Err(StateError::Statement),
        }
    }

    /// Whether a bundle may govern without having waited, or has.
    pub(super) fn check_step(&self, offered: &Policy) -> Result<(), StateError> {
        let Some(running) = self.policy() else {
            return Ok(());
        };
        let waits = running.governance.delay_millis > 0;
        if !waits || running.hash == offered.hash || self.waited == Some(offered.hash) {
            return Ok(());
        }
        let widenings = widenings(running, offered);
        match widenings.is_empty() {
            true => Ok(()),
            false => Err(StateError::Wider(widenings)),
        }
    }

    /// The `lo` before which a bundle does not govern that is proposed now; `None` without a policy.
    pub fn waits_until(&self, lo: Time) -> Option<Time> {
        let policy = self.policy()?;
        Some(waits_until(self.lo.max(lo), policy))
    }
}

fn waits_until(lo: Time, running: &Policy) -> Time {
    lo.after_millis(running.governance.delay_millis)
}
