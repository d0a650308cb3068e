//! Giving nodes the stored bytes, and giving them again.

use std::sync::Arc;

use tx::Time;

use super::{EvmLane, draft::Draft, lane::Effects};
use crate::{
    attempt::{Attempt, AttemptNumber, AttemptStage},
    chains::common::{self, Backoff},
    change::Change,
    lane::{Effect, SendOutcome},
    withdrawal::WaitingReason,
};

/// How many transactions are given again at a time.
const RESENT_MAX: usize = 32;

/// What came of giving an attempt's bytes to nodes since the process began.
#[derive(Debug)]
pub(super) struct Sending {
    out: bool,
    taken_at: Option<Time>,
    not_before: Time,
    backoff: Backoff,
    /// What the nodes said, if none took it the last time.
    trouble: Option<String>,
}

impl Default for Sending {
    fn default() -> Self {
        Self {
            out: false,
            taken_at: None,
            not_before: Time::default(),
            backoff: Backoff::NODE,
            trouble: None,
        }
    }
}

impl EvmLane {
    /// A block that left the chain may have taken the set's transaction along: nodes need not have kept
    /// it, and whoever was asked before says nothing now.
    pub(super) fn give_again(&mut self, nonce: u64) {
        let set = self.sets.get(nonce).into_iter();
        for number in set.flat_map(|set| &set.attempts) {
            if let Some(sending) = self.sends.get_mut(number) {
                sending.taken_at = None;
                sending.not_before = Time::default();
            }
        }
        self.watch.excluded = true;
    }

    pub(super) fn hear_sent(&mut self, number: AttemptNumber, outcome: SendOutcome, now: Time) {
        let Some(sending) = self.sends.get_mut(&number) else {
            return;
        };
        sending.out = false;
        match outcome {
            SendOutcome::Taken => {
                sending.taken_at = Some(now);
                sending.backoff.reset();
                sending.trouble = None;
            }
            // Neither proves that no node has it, "nonce too low" least of all: the chain will say.
            SendOutcome::Rejected { detail } | SendOutcome::Unknown { detail } => {
                sending.not_before = sending.backoff.fail(now);
                sending.trouble = Some(detail);
            }
        }
    }

    pub(super) fn draft_sends(&self, draft: &mut Draft) {
        for number in self.sets.unsent() {
            let attempt = self.view.attempts.get(number);
            let Some((attempt, sending)) = attempt.zip(self.sends.get(number)) else {
                continue;
            };
            if let Some(at) = sending.taken_at {
                let attempt = attempt.number;
                draft.record(Change::Broadcast { attempt, at });
            } else if let Some(trouble) = &sending.trouble {
                let now = draft.now;
                draft.note(&self.view, &attempt.pays, |before| {
                    let reason = WaitingReason::NodeUnavailable;
                    Some(common::waiting(before, reason, trouble, now))
                });
            }
        }
    }

    /// Of each set the youngest attempt is given: nodes hold one for a nonce.
    pub(super) fn plan_sends(&mut self, now: Time, effects: &mut Effects) {
        let unsent: Vec<AttemptNumber> = self.sets.unsent().iter().copied().collect();
        for number in unsent {
            if self.is_youngest_signed(number) {
                self.plan_send(number, now, effects);
            }
        }
    }

    fn is_youngest_signed(&self, number: AttemptNumber) -> bool {
        let attempt = self.view.attempts.get(&number);
        let set = attempt.and_then(|attempt| self.sets.get(super::sets::nonce(attempt)?));
        let youngest = set.and_then(|set| set.signed(&self.view).next_back());
        youngest.is_some_and(|youngest| youngest.number == number)
    }

    fn plan_send(&mut self, number: AttemptNumber, now: Time, effects: &mut Effects) {
        let attempt = self.view.attempts.get(&number);
        // Only stored bytes are ever given away.
        let Some(answer) = attempt.and_then(|attempt| attempt.signed.as_ref()) else {
            return;
        };
        let sending = self.sends.entry(number).or_default();
        let waits_to_be_recorded =
            sending.taken_at.is_some() && self.sets.unsent().contains(&number);
        if sending.out || waits_to_be_recorded || now < sending.not_before {
            return;
        }
        sending.out = true;
        effects.push(Effect::Send(number, Arc::clone(answer)));
    }

    /// Gives nodes again what is in no block: they forget, and so does a process that was killed.
    pub(super) fn plan_resends(&mut self, from_nonce: u64, now: Time, effects: &mut Effects) {
        let after = self.config.resend_after_secs.saturating_mul(1_000);
        let due = |attempt: &&Attempt| {
            let AttemptStage::Broadcast { .. } = attempt.stage else {
                return false;
            };
            let sending = self.sends.get(&attempt.number);
            let taken_at = sending.and_then(|sending| sending.taken_at);
            taken_at.is_none_or(|at| now.millis_since(at) >= after)
        };
        let sets = self.sets.from(from_nonce).map(|(_, set)| set);
        let open = sets.filter(|set| set.included.is_none());
        let youngest = open.filter_map(|set| set.signed(&self.view).next_back());
        let due = youngest.filter(due).take(RESENT_MAX);
        let due: Vec<AttemptNumber> = due.map(|attempt| attempt.number).collect();
        for number in due {
            self.plan_send(number, now, effects);
        }
    }

    pub(super) fn sends_due(&self) -> Option<Time> {
        let unsent = self.sets.unsent().iter();
        let sendings = unsent.filter_map(|number| self.sends.get(number));
        let waiting = sendings.filter(|sending| !sending.out);
        waiting.map(|sending| sending.not_before).min()
    }
}
