//! A commit that is being put together, and the one that is out.

use std::collections::{BTreeMap, BTreeSet};

use tx::Time;

use super::{Question, sets::Sets};
use crate::{
    attempt::{Attempt, AttemptNumber},
    chains::common::says_the_same,
    change::{Change, Gate},
    lane::{Effect, LaneView},
    withdrawal::{Waiting, Withdrawal, WithdrawalNumber},
};

/// How long what only records is held back while the signer is asked: it then goes with its answer.
const LAZY_MILLIS: u64 = 1_000;

/// Changes, and what the lane will be when they are durable.
#[derive(Debug)]
pub(super) struct Draft {
    pub(super) now: Time,
    pub(super) changes: Vec<Change>,
    /// Whether there is anything among them that something waits for.
    pub(super) urgent: bool,
    pub(super) next_nonce: u64,
    pub(super) next_attempt: AttemptNumber,
    /// What will not be signed then.
    pub(super) unsigned: BTreeSet<AttemptNumber>,
    /// The nonces whose sets will be over.
    pub(super) over: BTreeSet<u64>,
    /// Whether the lane may begin new payouts.
    pub(super) open: bool,
    pub(super) halted: bool,
    /// Withdrawals of which it was said why they wait: what is said first counts, or two reasons would
    /// take turns for ever.
    noted: BTreeSet<WithdrawalNumber>,
    /// Withdrawals of the queue that it concerns.
    pub(super) taken: BTreeMap<WithdrawalNumber, Withdrawal>,
}

/// The one commit.
#[derive(Debug, Default)]
pub(super) struct Writing {
    pub(super) out: Option<Out>,
    lazy_until: Option<Time>,
}

/// A commit that is out.
#[derive(Debug)]
pub(super) struct Out {
    pub(super) at: Time,
    pub(super) taken: BTreeMap<WithdrawalNumber, Withdrawal>,
}

impl Draft {
    pub(super) fn new(view: &LaneView, sets: &Sets, now: Time) -> Self {
        Self {
            now,
            changes: Vec::new(),
            urgent: false,
            next_nonce: view.row.next_nonce,
            next_attempt: view.row.next_attempt,
            unsigned: sets.unsigned().clone(),
            over: BTreeSet::new(),
            open: view.row.gate == Gate::Open,
            halted: matches!(view.row.gate, Gate::Halted { .. }),
            noted: BTreeSet::new(),
            taken: BTreeMap::new(),
        }
    }

    /// A change that something waits for.
    pub(super) fn push(&mut self, change: Change) {
        self.urgent = true;
        self.changes.push(change);
    }

    /// A change that only records.
    pub(super) fn record(&mut self, change: Change) {
        self.changes.push(change);
    }

    /// A new attempt.
    pub(super) fn make(&mut self, attempt: Attempt, change: impl FnOnce(Box<Attempt>) -> Change) {
        self.unsigned.insert(attempt.number);
        self.next_attempt = AttemptNumber(attempt.number.0.saturating_add(1));
        self.push(change(Box::new(attempt)));
    }

    /// Says why withdrawals that are under way wait, if something else was said before.
    pub(super) fn note(
        &mut self,
        view: &LaneView,
        pays: &[WithdrawalNumber],
        say: impl Fn(Option<&Waiting>) -> Option<Waiting>,
    ) {
        for number in pays {
            let Some(withdrawal) = view.withdrawals.get(number) else {
                continue;
            };
            if !self.noted.insert(*number) {
                continue;
            }
            let before = withdrawal.waiting.as_ref();
            let waiting = say(before);
            if !says_the_same(before, waiting.as_ref()) {
                let not_before = withdrawal.not_before;
                self.record(Change::Wait {
                    withdrawals: vec![*number],
                    waiting,
                    not_before,
                });
            }
        }
    }

    /// Stops the lane until a person looks.
    pub(super) fn halt(&mut self, detail: String) {
        if !self.halted {
            self.halted = true;
            self.open = false;
            self.push(Change::Gate(Gate::Halted { detail }));
        }
    }
}

impl Writing {
    /// Sends the draft off, unless there is nothing in it or it can wait for the signer's answer.
    pub(super) fn begin(&mut self, draft: Draft, calling: bool) -> Option<Effect<Question>> {
        if draft.changes.is_empty() {
            return None;
        }
        if !draft.urgent && calling {
            let until = *self
                .lazy_until
                .get_or_insert(draft.now.after_millis(LAZY_MILLIS));
            if draft.now < until {
                return None;
            }
        }
        self.lazy_until = None;
        self.out = Some(Out {
            at: draft.now,
            taken: draft.taken,
        });
        Some(Effect::Commit(draft.changes))
    }

    pub(super) fn due(&self) -> Option<Time> {
        self.lazy_until
    }
}
