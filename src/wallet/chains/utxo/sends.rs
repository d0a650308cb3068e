//! Giving nodes the stored bytes, and giving them again: that a node does not have them proves nothing.

use std::{collections::BTreeMap, sync::Arc};

use tx::Time;

use super::lane::{Effects, UtxoLane};
use crate::{
    attempt::{Attempt, AttemptNumber, AttemptStage},
    chains::common::{self, Backoff},
    change::Change,
    lane::{Effect, SendOutcome},
    withdrawal::WaitingReason,
};

/// What came of giving an attempt's bytes to nodes since this process began.
#[derive(Debug)]
pub(super) struct Sending {
    out: bool,
    not_before: Time,
    backoff: Backoff,
    taken_at: Option<Time>,
    /// What the nodes said, if none took it the last time.
    trouble: Option<String>,
}

impl Default for Sending {
    fn default() -> Self {
        Self {
            out: false,
            not_before: Time::default(),
            backoff: Backoff::NODE,
            taken_at: None,
            trouble: None,
        }
    }
}

impl UtxoLane {
    pub(super) fn hear_sent(&mut self, number: AttemptNumber, outcome: SendOutcome, now: Time) {
        let resend = self.config.resend_after_secs.saturating_mul(1_000);
        let Some(sending) = self.sends.get_mut(&number) else {
            return;
        };
        sending.out = false;
        match outcome {
            SendOutcome::Taken => {
                sending.taken_at = Some(now);
                sending.not_before = now.after_millis(resend);
                sending.backoff = Backoff::NODE;
                sending.trouble = None;
            }
            SendOutcome::Rejected { detail } | SendOutcome::Unknown { detail } => {
                sending.not_before = sending.backoff.fail(now);
                sending.trouble = Some(detail);
            }
        }
    }

    pub(super) fn plan_sends(&mut self, now: Time, effects: &mut Effects) {
        for (number, sending) in &mut self.sends {
            let attempt = self.view.attempts.get(number);
            let signed = attempt.and_then(|attempt| attempt.signed.as_ref());
            if let Some(answer) = signed
                && !sending.out
                && now >= sending.not_before
            {
                sending.out = true;
                effects.push(Effect::Send(*number, Arc::clone(answer)));
            }
        }
    }

    pub(super) fn sends_due(&self) -> Option<Time> {
        let waiting = self.sends.values().filter(|sending| !sending.out);
        waiting.map(|sending| sending.not_before).min()
    }

    pub(super) fn draft_sends(&self, now: Time) -> Vec<Change> {
        let mut changes = Vec::new();
        for (number, sending) in &self.sends {
            let Some(attempt) = self.view.attempts.get(number) else {
                continue;
            };
            if let (AttemptStage::Signed, Some(at)) = (&attempt.stage, sending.taken_at) {
                let attempt = *number;
                changes.push(Change::Broadcast { attempt, at });
                continue;
            }
            changes.extend(self.note(&attempt.pays, |before| {
                let reason = WaitingReason::NodeUnavailable;
                match (before, &sending.trouble) {
                    // What else stands in the way is said by whom it concerns.
                    (Some(other), _) if other.reason != reason => Some(other.clone()),
                    (_, Some(trouble)) => Some(common::waiting(before, reason, trouble, now)),
                    (_, None) if sending.taken_at.is_some() => None,
                    _ => before.cloned(),
                }
            }));
        }
        changes
    }

    /// The newest signed attempt of each set that is in no block is given to nodes: it pays most.
    pub(super) fn refresh_sends(&mut self) {
        let mut newest: BTreeMap<AttemptNumber, &Attempt> = BTreeMap::new();
        for attempt in self.view.attempts.values() {
            if attempt.is_live() && attempt.signed.is_some() {
                newest.insert(attempt.set, attempt);
            }
        }
        let included = self.included_sets();
        newest.retain(|set, _| !included.contains(set));
        let newest: Vec<AttemptNumber> = newest.values().map(|attempt| attempt.number).collect();
        self.sends.retain(|number, _| newest.contains(number));
        for number in newest {
            self.sends.entry(number).or_default();
        }
    }
}
