//! The attempts of a view, with what is asked of them at every step kept beside them: of ten thousand
//! in flight none is looked at for one that is added.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Deref,
    sync::Arc,
};

use api::signing::SignAnswer;

use crate::attempt::{Attempt, AttemptNumber, AttemptStage};

/// Attempts by their numbers. They are read as a map, and changed only here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attempts {
    by_number: BTreeMap<AttemptNumber, Attempt>,
    /// Those of each set.
    sets: BTreeMap<AttemptNumber, BTreeSet<AttemptNumber>>,
    /// Those whose bytes are not durable.
    unsigned: BTreeSet<AttemptNumber>,
}

impl Attempts {
    /// Adds an attempt, or puts it in the place of the one that has its number, which is returned.
    pub fn insert(&mut self, number: AttemptNumber, attempt: Attempt) -> Option<Attempt> {
        let before = self.remove(&number);
        self.sets.entry(attempt.set).or_default().insert(number);
        if attempt.stage == AttemptStage::Reserved {
            self.unsigned.insert(number);
        }
        self.by_number.insert(number, attempt);
        before
    }

    /// Takes an attempt out.
    pub fn remove(&mut self, number: &AttemptNumber) -> Option<Attempt> {
        let attempt = self.by_number.remove(number)?;
        self.unsigned.remove(number);
        if let Some(members) = self.sets.get_mut(&attempt.set) {
            members.remove(number);
            if members.is_empty() {
                self.sets.remove(&attempt.set);
            }
        }
        Some(attempt)
    }

    /// An attempt comes to another stage.
    pub(super) fn become_stage(&mut self, number: AttemptNumber, stage: AttemptStage) {
        let Some(attempt) = self.by_number.get_mut(&number) else {
            return;
        };
        match stage {
            AttemptStage::Reserved => self.unsigned.insert(number),
            _ => self.unsigned.remove(&number),
        };
        attempt.stage = stage;
    }

    /// The signer's answer to an attempt.
    pub(super) fn answered(&mut self, number: AttemptNumber, answer: Arc<SignAnswer>) {
        if let Some(attempt) = self.by_number.get_mut(&number) {
            attempt.signed = Some(answer);
        }
    }

    /// The attempts of a set, oldest first.
    pub(super) fn set(&self, set: AttemptNumber) -> impl DoubleEndedIterator<Item = &Attempt> {
        let members = self.sets.get(&set).into_iter().flatten();
        members.filter_map(|number| self.by_number.get(number))
    }

    /// Those whose bytes are not durable, oldest first.
    pub(super) fn unsigned(&self) -> impl DoubleEndedIterator<Item = &Attempt> {
        let unsigned = self.unsigned.iter();
        unsigned.filter_map(|number| self.by_number.get(number))
    }
}

impl Deref for Attempts {
    type Target = BTreeMap<AttemptNumber, Attempt>;

    fn deref(&self) -> &Self::Target {
        &self.by_number
    }
}
