//! Which bundle governs, which one waits, and what an officer keeps from governing.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use tx::{Name, Time};

use super::{State, StateError};
use crate::{
    BundleHash, BundleQuorum, FreezeScope, Policy, PolicyProposed, PolicyVetoed,
    narrower::{beside_people, widenings},
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
    /// Whose signatures they are.
    #[serde(default, skip_serializing_if = "BundleQuorum::is_officers")]
    pub quorum: BundleQuorum,
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
        let waited = self.proposed.as_ref().filter(|one| one.hash == hash);
        self.waited = waited.map(|one| (one.hash, one.quorum));
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
            quorum,
        } = proposed.clone();
        self.proposed = Some(Proposed {
            entry,
            hash,
            sequence,
            signed_by,
            not_before,
            quorum,
        });
    }

    /// What the recovery set offered waits under a freeze that is not lifted meanwhile: whoever lifts it, is there.
    pub(super) fn put_recovery_aside(&mut self) {
        let recovers = |one: &Proposed| one.quorum == BundleQuorum::Recovery;
        self.proposed.take_if(|one| recovers(one));
    }

    /// Whether everything is frozen, and nobody has said until when.
    pub fn stands_frozen(&self) -> bool {
        let everything = self.freezes.get(&FreezeScope::All);
        everything.is_some_and(|freeze| freeze.until.is_none())
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
        let waits = self.proposed.as_ref().filter(|one| one.hash == hash);
        let recovers = waits.is_some_and(|one| one.quorum == BundleQuorum::Recovery);
        if recovers && !self.stands_frozen() {
            return Err(StateError::RecoveryFrozen);
        }
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
        if proposed.quorum == BundleQuorum::Recovery {
            self.validate_recovery(policy, &proposed.signed_by)?;
        }
        let said = proposed.not_before;
        match waits_until(lo, policy, proposed.quorum) {
            Some(must) if said == must => Ok(()),
            Some(must) => Err(StateError::Delay { said, must }),
            None => Err(StateError::NoRecovery),
        }
    }

    /// The recovery set acts under a freeze of everything alone, and by enough of its people.
    fn validate_recovery(
        &self,
        running: &Policy,
        signed_by: &BTreeSet<Name>,
    ) -> Result<(), StateError> {
        let recovery = running.recovery.as_ref().ok_or(StateError::NoRecovery)?;
        let enough = usize::try_from(recovery.threshold);
        let enough = enough.is_ok_and(|enough| signed_by.len() >= enough);
        if !enough || !signed_by.is_subset(&recovery.people) {
            return Err(StateError::Statement);
        }
        match self.stands_frozen() {
            true => Ok(()),
            false => Err(StateError::RecoveryFrozen),
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
        let waited = self.waited.filter(|(hash, _)| *hash == offered.hash);
        self.check_waited(offered, waited.map(|(_, quorum)| quorum))
    }

    /// As [`State::check_step`], of a bundle that is to govern next.
    pub(super) fn check_next(&self, offered: &Policy) -> Result<(), StateError> {
        let waits = self
            .proposed
            .as_ref()
            .filter(|one| one.hash == offered.hash);
        self.check_waited(offered, waits.map(|one| one.quorum))
    }

    /// What a bundle may change, by whose signatures it has waited, if it has.
    pub(super) fn check_waited(
        &self,
        offered: &Policy,
        waited: Option<BundleQuorum>,
    ) -> Result<(), StateError> {
        let Some(running) = self.policy().filter(|running| running.hash != offered.hash) else {
            return Ok(());
        };
        match waited {
            Some(BundleQuorum::Officers) => Ok(()),
            Some(BundleQuorum::Recovery) => {
                let differs = beside_people(running, offered);
                match differs.is_empty() {
                    true => Ok(()),
                    false => Err(StateError::RecoveryDiffers(differs)),
                }
            }
            None if running.governance.delay_millis == 0 => Ok(()),
            None => {
                let widenings = widenings(running, offered);
                match widenings.is_empty() {
                    true => Ok(()),
                    false => Err(StateError::Wider(widenings)),
                }
            }
        }
    }

    /// The `lo` before which a bundle does not govern that is proposed now by these people; `None` without a
    /// policy, or where it has no such people.
    pub fn waits_until(&self, lo: Time, quorum: BundleQuorum) -> Option<Time> {
        let policy = self.policy()?;
        waits_until(self.lo.max(lo), policy, quorum)
    }
}

fn waits_until(lo: Time, running: &Policy, quorum: BundleQuorum) -> Option<Time> {
    let millis = match quorum {
        BundleQuorum::Officers => running.governance.delay_millis,
        BundleQuorum::Recovery => running.recovery.as_ref()?.delay_millis,
    };
    Some(lo.after_millis(millis))
}
