//! Asking the signer, and what its answers mean.
//!
//! A nonce is reserved by an attempt, committed when the signature is durable, and released only by
//! a refusal of an attempt whose every call had a definite answer. An attempt that may have been
//! signed is asked for until it is; if the signer goes on refusing it, a cancellation fills its nonce.

use std::{collections::BTreeSet, sync::Arc};

use api::signing::{Reason, RequestAnswer, RequestStatus, SignAnswer};
use tx::Time;

use super::{
    EvmLane,
    build::Plan,
    draft::Draft,
    fees::Caps,
    lane::Effects,
    sets::{self, Set},
};
use crate::{
    attempt::{Attempt, AttemptNumber, Purpose},
    chains::common::{self, Backoff, signer_says},
    change::{Change, Gate},
    evidence::VoidCertificate,
    lane::Effect,
    signer::SignOutcome,
};

/// After so many definite refusals an attempt that may have been signed is cancelled.
const REFUSALS_BEFORE_CANCELLATION: u32 = 3;

/// The signer's reason for refusing what conflicts with an attempt that is not declared as replaced.
const UNDECLARED_CONFLICT: &str = "undeclared-conflict";

/// What was heard about an unsigned attempt since the process began.
#[derive(Debug)]
pub(super) struct Ask {
    out: bool,
    calls: u64,
    /// Whether nothing about it is unknown: it was made in this process's life, and every call was
    /// answered definitely.
    clean: bool,
    refusals: u32,
    backoff: Backoff,
    not_before: Time,
    outcome: Option<SignOutcome>,
    /// The journal's index, where the signer says that it authorised the attempt.
    authorised: Option<u64>,
    inquiry: Inquiry,
    inquire_at: Time,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Inquiry {
    None,
    Wanted,
    Out,
}

impl Ask {
    /// Of an attempt that was made just now.
    pub(super) fn new() -> Self {
        Self {
            out: false,
            calls: 0,
            clean: true,
            refusals: 0,
            backoff: Backoff::SIGNER,
            not_before: Time::default(),
            outcome: None,
            authorised: None,
            inquiry: Inquiry::None,
            inquire_at: Time::default(),
        }
    }

    /// Of an attempt that was found in the store.
    pub(super) fn of_another_life() -> Self {
        Self {
            clean: false,
            ..Self::new()
        }
    }

    /// Whether a call is out.
    pub(super) fn is_out(&self) -> bool {
        self.out
    }

    /// Counts the refusals anew.
    pub(super) fn begin_anew(&mut self) {
        self.refusals = 0;
    }

    /// Whether its last answer is to be made durable before anything else is asked.
    fn is_answered(&self) -> bool {
        match self.outcome {
            Some(SignOutcome::Signed(_) | SignOutcome::Contradiction { .. }) => true,
            Some(SignOutcome::Refused { .. } | SignOutcome::Pending { .. }) => self.clean,
            _ => false,
        }
    }
}

// What is heard.
impl EvmLane {
    pub(super) fn hear_signer(&mut self, number: AttemptNumber, outcome: SignOutcome, now: Time) {
        let Some(ask) = self.asks.get_mut(&number) else {
            return;
        };
        ask.out = false;
        ask.calls = ask.calls.saturating_add(1);
        match &outcome {
            SignOutcome::Signed(_) | SignOutcome::Contradiction { .. } => {}
            SignOutcome::Refused { .. } | SignOutcome::Pending { .. } => {
                ask.refusals = ask.refusals.saturating_add(1);
                ask.not_before = ask.backoff.fail(now);
            }
            SignOutcome::NotNow { .. } => ask.not_before = ask.backoff.fail(now),
            SignOutcome::Unknown { .. } => {
                ask.clean = false;
                ask.not_before = ask.backoff.fail(now);
            }
        }
        let conflicts = matches!(&outcome, SignOutcome::Refused { reasons, .. }
            if reasons.iter().any(is_undeclared_conflict));
        ask.outcome = Some(outcome);
        if conflicts {
            self.inquire_beside(number);
        }
    }

    /// The signer has authorised something over the nonce that this attempt does not declare: one
    /// of those whose fate is unknown.
    fn inquire_beside(&mut self, number: AttemptNumber) {
        let attempt = self.view.attempts.get(&number);
        let set = attempt.and_then(|attempt| self.sets.get(sets::nonce(attempt)?));
        for other in set.iter().flat_map(|set| &set.attempts) {
            if let Some(ask) = self.asks.get_mut(other).filter(|_| *other != number) {
                // Known, it is asked about once; unknown, with the pauses of its own calls.
                if ask.inquiry == Inquiry::None && ask.authorised.is_none() {
                    ask.inquiry = Inquiry::Wanted;
                }
            }
        }
    }

    pub(super) fn hear_inquired(
        &mut self,
        number: AttemptNumber,
        answer: Result<Option<Box<RequestAnswer>>, String>,
        now: Time,
    ) {
        let Some(ask) = self.asks.get_mut(&number) else {
            return;
        };
        ask.inquiry = Inquiry::None;
        match answer {
            Ok(Some(known)) => {
                ask.authorised = Some(known.attempt);
                if known.status == RequestStatus::Signed {
                    ask.not_before = now;
                }
            }
            // That it is not known proves nothing: a call may be under way.
            Ok(None) => {}
            Err(_) => {
                ask.inquiry = Inquiry::Wanted;
                ask.inquire_at = ask.backoff.fail(now);
            }
        }
    }
}

// What is made durable.
impl EvmLane {
    pub(super) fn draft_signing(&self, draft: &mut Draft) {
        for number in self.sets.unsigned() {
            let attempt = self.view.attempts.get(number);
            if let Some((attempt, ask)) = attempt.zip(self.asks.get(number))
                && draft.unsigned.contains(number)
            {
                self.draft_outcome(attempt, ask, draft);
            }
        }
        self.draft_overtaken(draft);
        self.draft_cancellation(draft);
    }

    /// Unsigned attempts beside one that is signed already, as after a restore: the signer has
    /// authorised that one, which declares only what is known here to be signed.
    fn draft_overtaken(&self, draft: &mut Draft) {
        let unsigned = self.sets.unsigned().iter();
        let nonces: BTreeSet<u64> = unsigned
            .filter_map(|number| sets::nonce(self.view.attempts.get(number)?))
            .collect();
        for nonce in nonces {
            let set = self.sets.get(nonce).into_iter();
            let signed = set.flat_map(|set| set.signed(&self.view));
            let signed = signed.filter_map(|one| Some((one, one.signed.as_ref()?.attempt)));
            let signed: Vec<(&Attempt, u64)> = signed.collect();
            for (attempt, index) in &signed {
                let known = |replaced| signed.iter().any(|(_, index)| index == replaced);
                if attempt.request.replaces.iter().all(known) {
                    self.draft_displaced(attempt, *index, draft);
                }
            }
        }
    }

    fn draft_outcome(&self, attempt: &Attempt, ask: &Ask, draft: &mut Draft) {
        if let Some(index) = ask.authorised {
            self.draft_displaced(attempt, index, draft);
        }
        match &ask.outcome {
            None => {}
            Some(SignOutcome::Signed(answer)) => self.draft_signed(attempt, answer, draft),
            Some(outcome @ SignOutcome::Contradiction { detail }) => {
                let number = attempt.number.0;
                draft.halt(format!("attempt {number}: {detail}"));
                self.note(attempt, outcome, draft);
            }
            Some(outcome @ (SignOutcome::Refused { .. } | SignOutcome::Pending { .. }))
                if ask.clean =>
            {
                self.draft_refused(attempt, ask.calls, outcome, draft);
            }
            Some(outcome) => self.note(attempt, outcome, draft),
        }
    }

    fn note(&self, attempt: &Attempt, outcome: &SignOutcome, draft: &mut Draft) {
        let now = draft.now;
        draft.note(&self.view, &attempt.pays, |before| {
            signer_says(before, outcome, now)
        });
    }

    fn draft_signed(&self, attempt: &Attempt, answer: &Arc<SignAnswer>, draft: &mut Draft) {
        draft.push(Change::Signed {
            attempt: attempt.number,
            answer: Arc::clone(answer),
        });
        let compared = self.view.compared_by(answer);
        draft.changes.extend(compared.filter(|_| !draft.halted));
        draft.unsigned.remove(&attempt.number);
        if sets::nonce(attempt) == Some(draft.next_nonce) {
            draft.next_nonce = draft.next_nonce.saturating_add(1);
        }
        self.draft_displaced(attempt, answer.attempt, draft);
    }

    /// The signer has authorised this attempt: those over its nonce that are unsigned and neither
    /// declare it nor are declared by it never were, and never will be.
    fn draft_displaced(&self, attempt: &Attempt, index: u64, draft: &mut Draft) {
        let set = sets::nonce(attempt).and_then(|nonce| self.sets.get(nonce));
        for other in set.iter().flat_map(|set| &set.attempts) {
            let Some((beside, ask)) = self.view.attempts.get(other).zip(self.asks.get(other))
            else {
                continue;
            };
            let declared = beside.request.replaces.contains(&index)
                || ask
                    .authorised
                    .is_some_and(|known| attempt.request.replaces.contains(&known));
            if beside.number != attempt.number && !declared && draft.unsigned.remove(other) {
                let certificate = VoidCertificate::Displaced { attempt: index };
                draft.push(Change::Void {
                    attempt: *other,
                    certificate,
                });
            }
        }
    }

    /// A clean refusal: nothing is held while it waits.
    fn draft_refused(
        &self,
        attempt: &Attempt,
        calls: u64,
        outcome: &SignOutcome,
        draft: &mut Draft,
    ) {
        let certificate = VoidCertificate::Refused { calls };
        draft.push(Change::Void {
            attempt: attempt.number,
            certificate,
        });
        draft.unsigned.remove(&attempt.number);
        let set = sets::nonce(attempt).and_then(|nonce| self.sets.get(nonce));
        let alone = set.is_none_or(|set| self.lives_beside(set, attempt.number).next().is_none());
        if !alone {
            return self.note(attempt, outcome, draft);
        }
        for number in &attempt.pays {
            let before = self.view.withdrawals.get(number);
            // Assigning it has cleared why it waited; the supply remembers since when.
            let before = before.and_then(|_| self.supply.waited(*number));
            if let Some(waiting) = signer_says(before, outcome, draft.now) {
                let not_before = common::not_before(&waiting, draft.now);
                draft.push(Change::Wait {
                    withdrawals: vec![*number],
                    waiting: Some(waiting),
                    not_before,
                });
            }
        }
    }

    /// The other live attempts of a set.
    fn lives_beside<'a>(
        &'a self,
        set: &'a Set,
        number: AttemptNumber,
    ) -> impl Iterator<Item = &'a Attempt> {
        let others = set.attempts.iter().filter(move |other| **other != number);
        let others = others.filter_map(|other| self.view.attempts.get(other));
        others.filter(|attempt| attempt.is_live())
    }

    /// A nonce over which nothing is signed, and whose attempt may have been and is refused: it is
    /// filled, so that what comes after it can be signed.
    fn draft_cancellation(&self, draft: &mut Draft) {
        let Some((nonce, set)) = self.sets.from(self.view.row.next_nonce).next() else {
            return;
        };
        if draft.halted || draft.next_nonce != nonce || draft.unsigned.is_empty() {
            return;
        }
        // What was refused just now gives those beside it another chance first.
        let voided = |number: &AttemptNumber| {
            self.sets.unsigned().contains(number) && !draft.unsigned.contains(number)
        };
        if set.attempts.iter().any(voided) {
            return;
        }
        let open = |number: &&AttemptNumber| draft.unsigned.contains(number);
        let unsigned: Vec<AttemptNumber> = set.attempts.iter().filter(open).copied().collect();
        let asks = || unsigned.iter().filter_map(|number| self.asks.get(number));
        let given_up = |ask: &Ask| ask.refusals >= REFUSALS_BEFORE_CANCELLATION;
        let attempts = unsigned.iter().filter_map(|n| self.view.attempts.get(n));
        let cancels = |attempt: &Attempt| attempt.purpose == Purpose::Cancellation;
        if unsigned.is_empty() || !asks().all(given_up) || attempts.clone().any(cancels) {
            return;
        }
        let caps = attempts.filter_map(|attempt| Caps::of(&attempt.fee_terms));
        let Some(caps) = self.cancellation_caps(caps.reduce(Caps::max)) else {
            return;
        };
        let first = set.attempts.first().and_then(|n| self.view.attempts.get(n));
        let plan = Plan {
            number: draft.next_attempt,
            set: first.map_or(draft.next_attempt, |first| first.set),
            nonce,
            gas_limit: self.config.cancellation_gas_limit,
            caps,
            pays: None,
            replaces: asks().filter_map(|ask| ask.authorised).collect(),
            at: draft.now,
        };
        if let Ok(attempt) = plan.attempt(&self.view.row, &self.sender) {
            draft.make(attempt, Change::Replace);
        }
    }

    fn cancellation_caps(&self, old: Option<Caps>) -> Option<Caps> {
        let market = self.watch.market()?;
        let gas_limit = self.config.cancellation_gas_limit;
        let old = old?;
        let offer = market.replacement(old, &self.config, gas_limit, None);
        offer.ok()
    }
}

// What is asked.
impl EvmLane {
    pub(super) fn plan_signing(&mut self, now: Time, effects: &mut Effects) {
        if matches!(self.view.row.gate, Gate::Halted { .. }) {
            return;
        }
        for number in self.awaited() {
            let (Some(ask), Some(attempt)) =
                (self.asks.get_mut(&number), self.view.attempts.get(&number))
            else {
                continue;
            };
            if ask.inquiry == Inquiry::Wanted && now >= ask.inquire_at {
                ask.inquiry = Inquiry::Out;
                effects.push(Effect::Inquire(number));
            }
            if ask.out || ask.is_answered() || now < ask.not_before {
                continue;
            }
            ask.out = true;
            effects.push(Effect::Sign(number, Arc::clone(&attempt.request)));
        }
    }

    /// The unsigned attempts whose signature is of use: those over whose nonce nothing younger is
    /// signed.
    fn awaited(&self) -> BTreeSet<AttemptNumber> {
        let unsigned = self.sets.unsigned().iter().copied();
        let awaited = unsigned.filter(|number| {
            let attempt = self.view.attempts.get(number);
            let set = attempt.and_then(|attempt| self.sets.get(sets::nonce(attempt)?));
            let mut signed = set.into_iter().flat_map(|set| set.signed(&self.view));
            !signed.any(|signed| signed.number > *number)
        });
        awaited.collect()
    }

    pub(super) fn signing_due(&self) -> Option<Time> {
        let asks = self.asks.values();
        let waiting = asks.filter(|ask| !ask.out && !ask.is_answered());
        waiting.map(|ask| ask.not_before).min()
    }
}

fn is_undeclared_conflict(reason: &Reason) -> bool {
    reason.code == UNDECLARED_CONFLICT
}
