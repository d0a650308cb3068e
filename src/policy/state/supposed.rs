//! What really happened, under a bundle that did not govern.

use std::{collections::BTreeSet, sync::Arc};

use tx::{Asset, Decoded, Interval, Name, Time};

use super::{
    FateSaid, HeadState, PriceState, ReconciledState, State, StateError, TimeState, told::Told,
};
use crate::{
    Attempt, AttemptId, AttestationKind, BundleHash, ChargesError, Digest, Entry, Policy, Price,
    Record, Room,
    select::Subject,
    statement::{Fate, bare},
    window::GroupKey,
};

/// The fold of a log as if one bundle had governed from the first on that did: what was signed is
/// charged, whichever bundle allowed it. For tools that judge a candidate by what was asked before.
///
/// Its entries were taken by a real state: they are not validated again, and what officers said of other
/// bundles counts for nothing. What books hold that are loaded apart stands in no entry: what the facts say of them
/// that were charged is what is known of them.
#[derive(Debug)]
pub struct Supposed {
    state: State,
    policy: Arc<Policy>,
    /// The bundle that governs by the entries, for whoever decides again what it decided.
    governs: Option<BundleHash>,
}

impl Supposed {
    /// Before the first entry.
    pub fn new(policy: Arc<Policy>) -> Self {
        let mut state = State::new();
        state.suppose_alive();
        state.told = Some(Box::default());
        Self {
            state,
            policy,
            governs: None,
        }
    }

    /// What follows from the entries so far. No signer is to go on from it.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// The bundle that really governs by now.
    pub fn governs(&self) -> Option<BundleHash> {
        self.governs
    }

    /// Says which bundle it is that really governs by now: what its facts say of books, they say of its own alone.
    pub fn governed_by(&mut self, running: &Policy) {
        self.told().govern(running);
    }

    /// Takes in what an attempt says of books, before it is decided again: it was recorded as things stood then.
    pub fn recall(&mut self, attempt: &Attempt) {
        let policy = Arc::clone(&self.policy);
        self.told().recall(attempt, &policy);
    }

    fn told(&mut self) -> &mut Told {
        self.state.told.get_or_insert_default()
    }

    /// Applies the next entry.
    ///
    /// # Errors
    /// [`StateError`]: the bundle cannot govern with the keys that are registered, or the windows cannot be
    /// counted.
    pub fn apply(&mut self, record: &Record) -> Result<(), StateError> {
        let index = self.state.entries();
        let policy = Arc::clone(&self.policy);
        self.told().take(&record.entry, &policy);
        match &record.entry {
            Entry::PolicyActivated { hash, .. } => {
                let first = self.governs.replace(*hash).is_none();
                let entry = match first {
                    true => self.activated(),
                    false => nothing(),
                };
                let record = Record { entry, ..*record };
                self.state.take_in(index, &record)?;
                match first {
                    true => self.state.suppose(Arc::clone(&self.policy)),
                    false => Ok(()),
                }
            }
            Entry::PolicyProposed(_)
            | Entry::PolicyVetoed(_)
            | Entry::BookLoaded(_)
            | Entry::BookCooled { .. }
            | Entry::BookVetoed(_) => {
                let entry = nothing();
                self.state.take_in(index, &Record { entry, ..*record })
            }
            _ => self.state.take_in(index, record),
        }
    }

    /// Counts an entry of which nothing is known.
    pub fn pass_over(&mut self) {
        self.state.pass_over();
    }

    fn activated(&self) -> Entry {
        Entry::PolicyActivated {
            hash: self.policy.hash,
            sequence: self.policy.sequence,
            signed_by: BTreeSet::new(),
        }
    }
}

/// An entry from which nothing follows.
fn nothing() -> Entry {
    let reason = String::new();
    Entry::PolicyRefused { reason }
}

impl State {
    /// The books that are loaded apart and would be asked about a transaction, of which it is not known here what they
    /// hold: whatever is decided on it is not sure.
    pub fn unsure_of(&self, decoded: &Decoded) -> BTreeSet<Name> {
        let nothing = Told::default();
        let told = self.told.as_deref().unwrap_or(&nothing);
        let unknown = self.policy().map(|policy| told.unknown(decoded, policy));
        let unknown = unknown.into_iter().flatten();
        unknown.filter(|book| !self.is_shelved(book)).collect()
    }

    /// Supposes that every attester says for ever that an asset is worth this much. For tools that judge a
    /// bundle before anyone attests anything: no signer goes on from it.
    pub fn suppose_price(&mut self, asset: &Asset, price: Price) {
        let Some(policy) = self.policy().cloned() else {
            return;
        };
        let Some(currency) = policy.attestations.currency.clone() else {
            return;
        };
        for (name, attester) in &policy.attestations.attesters {
            let key = attester.keys.first().map(|line| bare(line).to_owned());
            let said = PriceState {
                number: 0,
                hash: Digest([0; 32]),
                at: Time::from_millis(u64::MAX),
                currency: currency.clone(),
                price,
                key: key.unwrap_or_default(),
            };
            self.prices.insert((asset.clone(), name.clone()), said);
        }
    }

    /// Supposes that every attester says for ever what requirements can ask for of this kind: of every chain,
    /// and of the whole journal. As [`State::suppose_price`].
    pub fn suppose_attested(&mut self, kind: AttestationKind) {
        let Some(policy) = self.policy().cloned() else {
            return;
        };
        let at = Time::from_millis(u64::MAX);
        let (number, hash) = (0, Digest([0; 32]));
        for (name, attester) in &policy.attestations.attesters {
            let key = attester.keys.first().map(|line| bare(line).to_owned());
            let key = key.unwrap_or_default();
            if kind == AttestationKind::Reconciled {
                let (size, root) = (0, Digest([0; 32]));
                let said = ReconciledState {
                    number,
                    hash,
                    at,
                    size,
                    root,
                    key: key.clone(),
                };
                self.reconciled.insert(name.clone(), said);
            }
            if kind == AttestationKind::Time {
                let said = TimeState {
                    number,
                    hash,
                    at,
                    key: key.clone(),
                };
                self.times.insert(name.clone(), said);
            }
            let chains = policy.chains.keys();
            for chain in chains.filter(|_| kind == AttestationKind::Head) {
                let said = HeadState {
                    number,
                    hash,
                    at,
                    height: 0,
                    key: key.clone(),
                };
                self.heads.insert((*chain, name.clone()), said);
            }
        }
    }

    /// Supposes that every attester says of a signed attempt that it is final. As [`State::suppose_price`].
    ///
    /// # Errors
    /// [`StateError::Charges`]: the windows cannot be counted.
    pub fn suppose_final(&mut self, attempt: AttemptId) -> Result<(), StateError> {
        let Some(present) = self.present.clone() else {
            return Ok(());
        };
        for (name, attester) in &present.policy.attestations.attesters {
            let key = attester.keys.first().map(|line| bare(line).to_owned());
            let said = FateSaid {
                attester: name.clone(),
                fate: Fate::Final,
                number: 0,
                hash: Digest([0; 32]),
                key: key.unwrap_or_default().into(),
            };
            self.take_fate(attempt, said);
        }
        self.recount(&present)
    }

    /// The use of every limit in the groups that an attempt is charged in; those that it leaves empty are
    /// left out.
    ///
    /// # Errors
    /// [`ChargesError`].
    pub fn room_of(&self, attempt: &Attempt, now: Interval) -> Result<Vec<Room>, ChargesError> {
        let mut rooms = Vec::new();
        let Some(present) = self.present() else {
            return Ok(rooms);
        };
        for (place, limit) in present.policy.limits.iter().enumerate() {
            let facts = attempt.facts.iter();
            let subjects = facts.map(|fact| Subject::of_fact(fact, &attempt.fee_terms, now.lo));
            let groups: BTreeSet<GroupKey> = subjects
                .map(|subject| GroupKey::of(&limit.says.group, &subject))
                .collect();
            for group in groups {
                let room = self.room_in(present, (place, limit), &group, now)?;
                rooms.extend((!room.used.is_zero()).then_some(room));
            }
        }
        rooms.sort();
        Ok(rooms)
    }
}
