//! What attesters said last of the chains' heads, and of the journal's agreement with the chains.

use serde::{Deserialize, Serialize};
use tx::{Chain, Name, Time};

use super::{State, StateError};
use crate::{AttestationKind, AttestedNeed, Attester, Digest};

/// What an attester said last of a chain's height.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HeadState {
    /// The statement's number.
    pub number: u64,
    /// Its hash.
    pub hash: Digest,
    /// When it was seen.
    pub at: Time,
    /// The height.
    pub height: u64,
    /// The key that it was signed with.
    pub key: String,
}

/// Up to where an attester said last that the journal agrees with the chains.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReconciledState {
    /// The statement's number.
    pub number: u64,
    /// Its hash.
    pub hash: Digest,
    /// When it was seen.
    pub at: Time,
    /// How many entries.
    pub size: u64,
    /// The root over them.
    pub root: Digest,
    /// The key that it was signed with.
    pub key: String,
}

impl State {
    /// How many attesters said what a requirement asks for, lately enough at `hi`.
    pub fn attesting_now(&self, need: &AttestedNeed, chain: Chain, hi: Time) -> usize {
        let says = |name: &Name, attester: &Attester| {
            let (at, key) = match need.attested {
                AttestationKind::Head => {
                    let said = self.heads.get(&(chain, name.clone()))?;
                    (said.at, &said.key)
                }
                AttestationKind::Reconciled => {
                    let said = self.reconciled.get(name)?;
                    (said.at, &said.key)
                }
                AttestationKind::Time => {
                    let said = self.times.get(name)?;
                    (said.at, &said.key)
                }
                _ => return None,
            };
            let holds = at.after_millis(need.within_millis) >= hi;
            (holds && attester.line(key).is_some()).then_some(())
        };
        let attesters = self.policy().map(|policy| &policy.attestations.attesters);
        let attesters = attesters.into_iter().flatten();
        let asked = attesters.filter(|(_, one)| one.says.contains(&need.attested));
        asked
            .filter_map(|(name, attester)| says(name, attester))
            .count()
    }

    /// Whether enough attesters said what a requirement asks for, lately enough at `hi`.
    pub fn is_attested(&self, need: &AttestedNeed, chain: Chain, hi: Time) -> bool {
        let policy = self.policy();
        let needed = policy.map_or(0, |policy| policy.attestations.needed(need.attested));
        let saying = self.attesting_now(need, chain, hi);
        needed > 0 && usize::try_from(needed).is_ok_and(|needed| saying >= needed)
    }

    /// What each attester said last of each chain.
    pub fn heads(&self) -> impl Iterator<Item = (&Chain, &Name, &HeadState)> {
        let heads = self.heads.iter();
        heads.map(|((chain, attester), said)| (chain, attester, said))
    }

    /// What each attester said last of the journal.
    pub fn reconciled(&self) -> impl Iterator<Item = (&Name, &ReconciledState)> {
        self.reconciled.iter()
    }

    /// A chain of the bundle, that is not lower than the attester said before.
    pub(super) fn is_head(
        &self,
        attester: &Name,
        (chain, height): (Chain, u64),
    ) -> Result<(), StateError> {
        let policy = self.policy();
        if policy.is_some_and(|policy| !policy.chains.contains_key(&chain)) {
            return Err(StateError::NoChain { chain });
        }
        let last = self.heads.get(&(chain, attester.clone()));
        match last.map(|last| last.height) {
            Some(last) if last > height => Err(StateError::Lower { last }),
            _ => Ok(()),
        }
    }

    /// Entries that are there, no fewer than the attester said before, and no other root than is known of as
    /// many: what the journal's tree says of other sizes is for whoever has it to know.
    pub(super) fn is_reconciled(
        &self,
        attester: &Name,
        (size, root): (u64, Digest),
    ) -> Result<(), StateError> {
        let entries = self.entries;
        if size > entries {
            return Err(StateError::NoEntries { size, entries });
        }
        let known = self.checkpoint.iter().map(|one| (one.size, one.root));
        let said = self.reconciled.values().map(|one| (one.size, one.root));
        let mut known = known.chain(said);
        if known.any(|(other, there)| other == size && there != root) {
            return Err(StateError::OtherRoot { size });
        }
        match self.reconciled.get(attester).map(|last| last.size) {
            Some(last) if last > size => Err(StateError::Lower { last }),
            _ => Ok(()),
        }
    }
}
