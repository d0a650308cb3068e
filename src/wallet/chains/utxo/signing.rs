//! Asking the signer, exactly as long as its answer is not known.

use std::sync::Arc;

use api::signing::{RequestAnswer, SignAnswer};
use tx::Time;

use super::lane::{Effects, UtxoLane};
use crate::{
    attempt::{Attempt, AttemptNumber, AttemptStage},
    chains::common::{self, Backoff, signer_says},
    change::{Change, Gate},
    evidence::VoidCertificate,
    lane::Effect,
    signer::SignOutcome,
    view::outpoint,
    withdrawal::{Waiting, Withdrawal, WithdrawalNumber},
};

/// The signer's name for a request that consumes what another does, without saying so.
const UNDECLARED_CONFLICT: &str = "undeclared-conflict";
/// The signer's name for a request whose lane epoch is over.
const LANE_EPOCH: &str = "lane-epoch";

/// What was asked about an unsigned attempt, and answered, since this process began.
#[derive(Debug)]
pub(super) struct Call {
    out: bool,
    /// Whether the attempt was made in this process's life and every call about it was answered
    /// definitely: only then does a refusal prove that nothing was signed.
    clean: bool,
    calls: u64,
    not_before: Time,
    backoff: Backoff,
    said: Option<Said>,
    /// The signer refuses it, and an earlier call's fate is unknown: it does not hold up others.
    aside: bool,
    /// Whether the signer is asked what it knows of the request, after which later attempt.
    inquiry: Option<Fence>,
}

/// The last answer, until what follows from it is durable.
#[derive(Debug)]
enum Said {
    Signed(Arc<SignAnswer>),
    Refused(SignOutcome),
    Fenced(Fence, SignOutcome),
    Halt(String),
    Waits(SignOutcome),
}

/// An authorised attempt of a later epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fence {
    pub(super) epoch: u64,
    pub(super) attempt: u64,
}

impl Call {
    /// About an attempt that this process has just made durable.
    pub(super) fn of_this_life() -> Self {
        Self {
            out: false,
            clean: true,
            calls: 0,
            not_before: Time::default(),
            backoff: Backoff::SIGNER,
            said: None,
            aside: false,
            inquiry: None,
        }
    }

    /// About an attempt that was there before: it may have been asked for, with any outcome.
    pub(super) fn of_another_life() -> Self {
        Self {
            clean: false,
            ..Self::of_this_life()
        }
    }

    pub(super) fn is_aside(&self) -> bool {
        self.aside
    }

    fn hear(&mut self, outcome: SignOutcome, fence: Option<Fence>, now: Time) {
        self.out = false;
        self.calls = self.calls.saturating_add(1);
        self.aside = false;
        self.said = Some(match outcome {
            SignOutcome::Signed(answer) => Said::Signed(answer),
            SignOutcome::Contradiction { detail } => Said::Halt(detail),
            refused @ (SignOutcome::Refused { .. } | SignOutcome::Pending { .. }) => {
                self.not_before = self.backoff_of(Backoff::REFUSAL).fail(now);
                if self.clean {
                    Said::Refused(refused)
                } else {
                    self.aside = true;
                    self.inquiry = fence.filter(|_| is_refused_for(&refused, LANE_EPOCH));
                    Said::Waits(refused)
                }
            }
            waits @ SignOutcome::NotNow { .. } => {
                self.not_before = self.backoff_of(Backoff::SIGNER).fail(now);
                Said::Waits(waits)
            }
            unknown @ SignOutcome::Unknown { .. } => {
                self.clean = false;
                self.not_before = self.backoff_of(Backoff::SIGNER).fail(now);
                Said::Waits(unknown)
            }
        });
    }

    /// The backoff of this kind: another kind of trouble begins anew.
    fn backoff_of(&mut self, kind: Backoff) -> &mut Backoff {
        if !self.backoff.is_like(&kind) {
            self.backoff = kind;
        }
        &mut self.backoff
    }
}

/// Whether the signer refuses for a reason of this name.
fn is_refused_for(outcome: &SignOutcome, code: &str) -> bool {
    match outcome {
        SignOutcome::Refused { reasons, .. } => reasons.iter().any(|reason| reason.code == code),
        _ => false,
    }
}

impl UtxoLane {
    pub(super) fn hear_signer(&mut self, number: AttemptNumber, outcome: SignOutcome, now: Time) {
        let fence = self.fence(number);
        if let Some(call) = self.calls.get_mut(&number) {
            call.hear(outcome, fence, now);
        }
    }

    pub(super) fn hear_inquired(
        &mut self,
        number: AttemptNumber,
        answer: Result<Option<Box<RequestAnswer>>, String>,
    ) {
        let Some(call) = self.calls.get_mut(&number) else {
            return;
        };
        call.out = false;
        let Some(fence) = call.inquiry.take() else {
            return;
        };
        // What it knows, or could not say, is asked for again.
        if let Ok(None) = answer
            && let Some(Said::Waits(refused)) = call.said.take()
        {
            call.said = Some(Said::Fenced(fence, refused));
        }
    }

    /// An authorised attempt whose epoch ends that of this one.
    fn fence(&self, number: AttemptNumber) -> Option<Fence> {
        let epoch = self.view.attempts.get(&number)?.request.lane_epoch;
        self.accepted.filter(|accepted| accepted.epoch > epoch)
    }

    /// Whether an attempt waits for the signer and others wait for it.
    pub(super) fn is_signing(&self) -> bool {
        self.calls.values().any(|call| !call.is_aside())
    }

    /// What the signer said where others wait for its answer.
    pub(super) fn signer_trouble(&self) -> Option<&SignOutcome> {
        self.calls.values().find_map(|call| match &call.said {
            Some(Said::Waits(outcome)) if !call.is_aside() => Some(outcome),
            _ => None,
        })
    }

    pub(super) fn plan_signing(&mut self, now: Time, effects: &mut Effects) {
        if self.is_halted() {
            return;
        }
        for (number, call) in &mut self.calls {
            let Some(attempt) = self.view.attempts.get(number) else {
                continue;
            };
            if call.out || matches!(call.said, Some(Said::Halt(_) | Said::Signed(_))) {
                continue;
            }
            if call.inquiry.is_some() {
                call.out = true;
                effects.push(Effect::Inquire(*number));
            } else if now >= call.not_before
                && !matches!(call.said, Some(Said::Refused(_) | Said::Fenced(..)))
            {
                call.out = true;
                effects.push(Effect::Sign(*number, Arc::clone(&attempt.request)));
            }
        }
    }

    pub(super) fn signing_due(&self) -> Option<Time> {
        let waiting = self.calls.values().filter(|call| !call.out);
        waiting.map(|call| call.not_before).min()
    }

    /// What follows from the signer's answers.
    pub(super) fn draft_signing(&self, now: Time) -> Vec<Change> {
        let mut changes = Vec::new();
        for (number, call) in &self.calls {
            let attempt = self.view.attempts.get(number);
            let Some((attempt, said)) = attempt.zip(call.said.as_ref()) else {
                continue;
            };
            match said {
                Said::Signed(answer) => {
                    let compared = self.view.compared_by(answer);
                    let answer = Arc::clone(answer);
                    let attempt = *number;
                    changes.push(Change::Signed { attempt, answer });
                    // A view that was loaded again is compared again, and may bring what is below.
                    changes.extend(compared.filter(|_| self.restore.is_done()));
                }
                Said::Refused(outcome) => {
                    let calls = call.calls;
                    let certificate = VoidCertificate::Refused { calls };
                    changes.extend(self.void(attempt, certificate, outcome, now));
                }
                Said::Fenced(fence, outcome) => {
                    let certificate = VoidCertificate::Fenced {
                        epoch: fence.epoch,
                        attempt: fence.attempt,
                    };
                    changes.extend(self.void(attempt, certificate, outcome, now));
                }
                Said::Halt(detail) => changes.extend(self.halt(detail)),
                Said::Waits(outcome) => {
                    changes.extend(
                        self.note(&attempt.pays, |before| signer_says(before, outcome, now)),
                    );
                }
            }
        }
        changes
    }

    /// It is not signed and never will be. Its withdrawals wait without holding anything, and each
    /// goes on alone: what one of them is refused for does not hold up the others.
    fn void(
        &self,
        attempt: &Attempt,
        certificate: VoidCertificate,
        outcome: &SignOutcome,
        now: Time,
    ) -> Vec<Change> {
        let mut changes = vec![Change::Void {
            attempt: attempt.number,
            certificate,
        }];
        let together = attempt.pays.len() > 1;
        for withdrawal in self.withdrawals(&attempt.pays) {
            let before = withdrawal.waiting.as_ref();
            let Some(waiting) = signer_says(before, outcome, now) else {
                continue;
            };
            let not_before = match together {
                true => now,
                false => common::not_before(&waiting, now),
            };
            changes.push(Change::Wait {
                withdrawals: vec![withdrawal.number],
                waiting: Some(waiting),
                not_before,
            });
        }
        changes
    }

    fn withdrawals<'a>(
        &'a self,
        numbers: &'a [WithdrawalNumber],
    ) -> impl Iterator<Item = &'a Withdrawal> {
        let withdrawals = &self.view.withdrawals;
        numbers.iter().filter_map(|number| withdrawals.get(number))
    }

    /// Says why withdrawals that are under way wait, where something else was said before.
    pub(super) fn note(
        &self,
        numbers: &[WithdrawalNumber],
        say: impl Fn(Option<&Waiting>) -> Option<Waiting>,
    ) -> Vec<Change> {
        let mut changes = Vec::new();
        for withdrawal in self.withdrawals(numbers) {
            let before = withdrawal.waiting.as_ref();
            let waiting = say(before);
            if !common::says_the_same(before, waiting.as_ref()) {
                changes.push(Change::Wait {
                    withdrawals: vec![withdrawal.number],
                    waiting,
                    not_before: withdrawal.not_before,
                });
            }
        }
        changes
    }

    /// Stops the lane until a person looks, if it is not stopped.
    pub(super) fn halt(&self, detail: &str) -> Option<Change> {
        let detail = crate::text::shown(detail);
        (!self.is_halted()).then_some(Change::Gate(Gate::Halted { detail }))
    }

    /// Keeps a call for each attempt that is not signed, and no other.
    pub(super) fn refresh_calls(&mut self, changes: &[Change]) {
        for change in changes {
            match change {
                Change::Assign(attempt) | Change::Replace(attempt) => {
                    self.calls.insert(attempt.number, Call::of_this_life());
                }
                Change::Signed { attempt, answer } => {
                    self.accept(*attempt, answer.attempt);
                }
                _ => {}
            }
        }
        let attempts = &self.view.attempts;
        self.calls.retain(|number, _| {
            let attempt = attempts.get(number);
            attempt.is_some_and(|attempt| attempt.stage == AttemptStage::Reserved)
        });
    }

    /// Before changes are made: the coins that are free after them and that the signer still holds to
    /// be consumed. It is only asked again for others.
    pub(super) fn avoid(&mut self, changes: &[Change]) {
        let mut avoided = Vec::new();
        for change in changes {
            match change {
                Change::Void { attempt, .. } => {
                    let said = self.calls.get(attempt).and_then(|call| call.said.as_ref());
                    let (Some(Said::Refused(outcome)), Some(attempt)) =
                        (said, self.view.attempts.get(attempt))
                    else {
                        continue;
                    };
                    if is_refused_for(outcome, UNDECLARED_CONFLICT) {
                        avoided.extend(attempt.keys.iter().filter_map(outpoint));
                    }
                }
                // What a replacement that was not included would have spent besides.
                Change::Final { attempt, .. } => {
                    let set = self.view.attempts.get(attempt).map(|attempt| attempt.set);
                    let others = set.into_iter().flat_map(|set| self.view.set(set));
                    avoided.extend(others.flat_map(|had| had.keys.iter().filter_map(outpoint)));
                }
                _ => {}
            }
        }
        self.avoided.extend(avoided);
    }

    /// The signer has authorised an attempt of its epoch.
    pub(super) fn accept(&mut self, number: AttemptNumber, journal: u64) {
        let Some(attempt) = self.view.attempts.get(&number) else {
            return;
        };
        let epoch = attempt.request.lane_epoch;
        if self.accepted.is_none_or(|accepted| accepted.epoch < epoch) {
            self.accepted = Some(Fence {
                epoch,
                attempt: journal,
            });
        }
    }
}
