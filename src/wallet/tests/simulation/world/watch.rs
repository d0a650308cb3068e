//! What is watched while a world runs: what is durable before anything leaves the process.

use std::collections::{BTreeMap, BTreeSet};

use api::signing::{SignAnswer, SignRequest};
use wallet::{
    attempt::{Attempt, AttemptNumber},
    change::Change,
    lane::{LaneId, LaneView},
};

use super::{
    super::family::{Family, SimChain},
    World,
};

impl<F: Family> World<F> {
    /// An attempt as it is durable, however long ago it ended.
    async fn durable(&self, lane: &LaneId, number: AttemptNumber) -> Option<Attempt> {
        let store = self.store();
        let mut view = store.load(lane).await.unwrap();
        if let Some(found) = view.attempts.remove(&number) {
            return Some(found);
        }
        for withdrawal in self.withdrawals().await {
            let attempts = store.attempts(withdrawal.number).await.unwrap();
            let mut attempts = attempts.into_iter().map(|(_, attempt)| attempt);
            if let Some(found) = attempts.find(|attempt| attempt.number == number) {
                return Some(found);
            }
        }
        None
    }

    /// Before the signer is called: the very request is durable.
    pub async fn watch_sign(
        &mut self,
        lane: &LaneId,
        number: AttemptNumber,
        request: &SignRequest,
    ) {
        let stored = self.durable(lane, number).await;
        if stored.is_none_or(|stored| *stored.request != *request) {
            self.breach(format!("{number:?} is asked for and not durable"));
        }
    }

    /// After the signer was called: of the transactions that pay one intent no two can confirm.
    pub fn watch_signed(&mut self) {
        let intents: BTreeSet<_> = self.asked.keys().cloned().collect();
        for intent in intents {
            let made = self.sim.book.of_intent(&intent);
            let alive: Vec<_> = made.iter().filter(|m| self.chain.may_confirm(m)).collect();
            for (at, one) in alive.iter().enumerate() {
                if let Some(other) = alive[..at].iter().find(|o| o.keys.is_disjoint(&one.keys)) {
                    let (a, b) = (one.attempt, other.attempt);
                    self.breach(format!("{intent}: attempts {a} and {b} can both confirm"));
                }
            }
        }
    }

    /// Before a commit: what it calls the end of an attempt is its end on the chain.
    pub fn watch_commit(&mut self, changes: &[Change], view: &LaneView) {
        for change in changes {
            let (attempt, ends_well) = match change {
                Change::Final { attempt, .. } => (attempt, true),
                Change::Failed { attempt, .. } | Change::Dead { attempt, .. } => (attempt, false),
                Change::Void { attempt, .. } => {
                    let id = view.row.id.request_id(*attempt);
                    if self.sim.book.all().iter().any(|made| made.request_id == id) {
                        self.breach(format!("{id} is called void and is signed"));
                    }
                    continue;
                }
                _ => continue,
            };
            let id = view.row.id.request_id(*attempt);
            let made = self
                .sim
                .book
                .all()
                .into_iter()
                .find(|made| made.request_id == id);
            let Some(made) = made else {
                self.breach(format!("{id} is called over and was never signed"));
                continue;
            };
            if ends_well != self.chain.is_final(&made)
                || (!ends_well && self.chain.may_confirm(&made))
            {
                self.breach(format!("{id} is called over and is not: {change:?}"));
            }
        }
    }

    /// Before bytes are sent: exactly these are durable.
    pub async fn watch_send(&mut self, lane: &LaneId, number: AttemptNumber, answer: &SignAnswer) {
        let stored = self.durable(lane, number).await;
        let stored = stored.and_then(|stored| stored.signed);
        if stored.as_deref() != Some(answer) {
            self.breach(format!("{number:?} is sent and its bytes are not durable"));
        }
    }

    /// After a commit: no bytes are lost while their set is open, and no withdrawal is in two sets.
    pub fn watch_view(&mut self, view: &LaneView) {
        let mut sets: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
        for attempt in view.attempts.values() {
            if let Some(answer) = &attempt.signed {
                self.signed.insert(attempt.number, answer.clone());
            }
            if attempt.is_live() {
                for withdrawal in &attempt.pays {
                    sets.entry(*withdrawal).or_default().insert(attempt.set);
                }
            }
            let before = self.signed.get(&attempt.number);
            if before.is_some() && before != attempt.signed.as_ref() {
                self.breach(format!("the bytes of {:?} are gone", attempt.number));
            }
        }
        for (withdrawal, sets) in sets.iter().filter(|(_, sets)| sets.len() > 1) {
            self.breach(format!("{withdrawal:?} is in the live sets {sets:?}"));
        }
    }
}
