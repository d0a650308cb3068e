//! The conflict sets of a lane by their nonces, kept beside the view so that no event has to look
//! through all attempts.

use std::collections::{BTreeMap, BTreeSet};

use tx::ConflictKey;

use crate::{
    attempt::{Attempt, AttemptNumber, AttemptStage},
    lane::LaneView,
};

/// The sets that are live.
#[derive(Debug, Default)]
pub(super) struct Sets {
    by_nonce: BTreeMap<u64, Set>,
    /// Attempts whose bytes are durable and were not given to a node yet.
    unsent: BTreeSet<AttemptNumber>,
    /// Attempts whose bytes are not durable.
    unsigned: BTreeSet<AttemptNumber>,
    /// Attempts of which a person has to say whether they paid.
    unproven: BTreeSet<AttemptNumber>,
    included: usize,
}

/// The attempts over one nonce.
#[derive(Clone, Debug, Default)]
pub(super) struct Set {
    /// Oldest first, those included that are void.
    pub(super) attempts: Vec<AttemptNumber>,
    /// The one that is in a block.
    pub(super) included: Option<AttemptNumber>,
}

/// The nonce of an attempt.
pub(super) fn nonce(attempt: &Attempt) -> Option<u64> {
    match attempt.anchor {
        ConflictKey::Nonce { nonce, .. } => Some(nonce),
        _ => None,
    }
}

impl Sets {
    pub(super) fn load(view: &LaneView) -> Self {
        let mut sets = Self::default();
        for attempt in view.attempts.values() {
            sets.add(attempt);
        }
        let nonces: Vec<u64> = sets.by_nonce.keys().copied().collect();
        for nonce in nonces {
            sets.refresh(view, nonce);
        }
        sets
    }

    /// A new attempt; its set is to be refreshed.
    pub(super) fn add(&mut self, attempt: &Attempt) {
        let Some(nonce) = nonce(attempt) else {
            return;
        };
        let set = self.by_nonce.entry(nonce).or_default();
        set.attempts.push(attempt.number);
    }

    /// Takes over what became of the attempts over a nonce. Says which left the view.
    pub(super) fn refresh(&mut self, view: &LaneView, nonce: u64) -> Vec<AttemptNumber> {
        let Some(mut set) = self.by_nonce.remove(&nonce) else {
            return Vec::new();
        };
        if set.included.take().is_some() {
            self.included = self.included.saturating_sub(1);
        }
        for number in &set.attempts {
            self.unsent.remove(number);
            self.unsigned.remove(number);
            self.unproven.remove(number);
        }
        let (kept, left) = set
            .attempts
            .into_iter()
            .partition::<Vec<_>, _>(|number| view.attempts.contains_key(number));
        set.attempts = kept;
        for attempt in set.attempts.iter().filter_map(|n| view.attempts.get(n)) {
            match attempt.stage {
                AttemptStage::Reserved => drop(self.unsigned.insert(attempt.number)),
                AttemptStage::Signed => drop(self.unsent.insert(attempt.number)),
                AttemptStage::Included(_) => set.included = Some(attempt.number),
                AttemptStage::Unproven(_) => {
                    set.included = Some(attempt.number);
                    self.unproven.insert(attempt.number);
                }
                _ => {}
            }
        }
        if set.included.is_some() {
            self.included = self.included.saturating_add(1);
        }
        if !set.attempts.is_empty() {
            self.by_nonce.insert(nonce, set);
        }
        left
    }

    /// How many sets are in no block.
    pub(super) fn in_flight(&self) -> usize {
        self.by_nonce.len().saturating_sub(self.included)
    }

    pub(super) fn get(&self, nonce: u64) -> Option<&Set> {
        self.by_nonce.get(&nonce)
    }

    /// The sets in the order of their nonces.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u64, &Set)> {
        self.by_nonce.iter().map(|(nonce, set)| (*nonce, set))
    }

    /// The sets whose nonces are below this one.
    pub(super) fn below(&self, nonce: u64) -> impl Iterator<Item = (u64, &Set)> {
        let below = self.by_nonce.range(..nonce);
        below.map(|(nonce, set)| (*nonce, set))
    }

    /// The sets from this nonce on.
    pub(super) fn from(&self, nonce: u64) -> impl Iterator<Item = (u64, &Set)> {
        let from = self.by_nonce.range(nonce..);
        from.map(|(nonce, set)| (*nonce, set))
    }

    pub(super) fn unsent(&self) -> &BTreeSet<AttemptNumber> {
        &self.unsent
    }

    pub(super) fn unsigned(&self) -> &BTreeSet<AttemptNumber> {
        &self.unsigned
    }

    pub(super) fn unproven(&self) -> &BTreeSet<AttemptNumber> {
        &self.unproven
    }
}

impl Set {
    /// Its attempts in the view whose signed bytes are durable, oldest first.
    pub(super) fn signed<'a>(
        &'a self,
        view: &'a LaneView,
    ) -> impl DoubleEndedIterator<Item = &'a Attempt> {
        let attempts = self.attempts.iter().filter_map(|n| view.attempts.get(n));
        attempts.filter(|attempt| attempt.signed.is_some() && attempt.is_live())
    }
}
