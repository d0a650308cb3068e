//! What changes of attempts mean for a view.

use std::{collections::BTreeSet, sync::Arc};

use api::signing::SignAnswer;
use tx::{ConflictKey, Intent, Time};

use super::{ApplyError, outpoint, undo::Applying};
use crate::{
    attempt::{Attempt, AttemptNumber, AttemptStage, Purpose},
    change::Adopt,
    evidence::{BlockRef, DeathCertificate, Inclusion, VoidCertificate},
    lane::{LaneId, LaneView, Sender},
    settlement::Outcome,
    withdrawal::{Stage, WithdrawalNumber},
};

impl Applying<'_> {
    pub(super) fn assign(&mut self, attempt: &Attempt) -> Result<(), ApplyError> {
        check_new(self.view, attempt)?;
        if attempt.set != attempt.number {
            return Err(malformed(attempt, "a set bears its first attempt's number"));
        }
        if attempt.purpose == Purpose::Payout && !self.view.is_open() {
            return Err(ApplyError::Gate);
        }
        for key in &attempt.keys {
            check_next(self.view, key)?;
            check_free(self.view, key, None)?;
        }
        check_signed(self.view, attempt)?;
        for (number, asked) in attempt.pays.iter().zip(&attempt.request.intents) {
            self.check_intent(attempt, *number, &asked.intent)?;
            self.step(*number, Stage::Assigned, attempt.number)?;
        }
        self.add_new(attempt.clone());
        Ok(())
    }

    pub(super) fn replace(&mut self, attempt: &Attempt) -> Result<(), ApplyError> {
        check_new(self.view, attempt)?;
        let older = self.view.set(attempt.set).find(|older| older.is_live());
        let older = older.ok_or(ApplyError::UnknownAttempt {
            attempt: attempt.set,
        })?;
        if older.anchor != attempt.anchor {
            return Err(malformed(attempt, "it has another anchor than its set"));
        }
        for key in &attempt.keys {
            check_free(self.view, key, Some(attempt.set))?;
        }
        check_signed(self.view, attempt)?;
        let members = self.view.withdrawals_of(attempt.set);
        for (number, asked) in attempt.pays.iter().zip(&attempt.request.intents) {
            let member = self.view.withdrawals.get(number);
            if !members.contains(number) || member.is_none_or(|had| had.intent != asked.intent) {
                return Err(ApplyError::NotToBeHad {
                    withdrawal: *number,
                });
            }
        }
        self.add_new(attempt.clone());
        Ok(())
    }

    pub(super) fn adopt(&mut self, adopt: &Adopt) -> Result<(), ApplyError> {
        let mut attempt = adopt.attempt.clone();
        check_form(&self.view.row.id, &attempt)?;
        if attempt.pays.len() != adopt.intents.len() {
            let attempt = attempt.number;
            return Err(ApplyError::Unnumbered { attempt });
        }
        if self.view.attempts.contains_key(&attempt.number) {
            return Err(malformed(&attempt, "it is known"));
        }
        let joined = self.joined(&attempt);
        (attempt.set, attempt.anchor) = joined.unwrap_or((attempt.number, attempt.anchor));
        attempt.stage = match attempt.signed {
            Some(_) => AttemptStage::Signed,
            None => AttemptStage::Reserved,
        };
        self.follow(&attempt, &adopt.intents)?;
        let row = &mut self.view.row;
        if let Some(nonce) = nonce(&attempt) {
            // The signer has given it away, signed or not.
            row.next_nonce = row.next_nonce.max(nonce.saturating_add(1));
        }
        let epoch = attempt.request.lane_epoch;
        self.epoch_seen(epoch);
        self.add_new(attempt);
        Ok(())
    }

    /// The live set whose anchor an adopted attempt consumes.
    fn joined(&self, attempt: &Attempt) -> Option<(AttemptNumber, ConflictKey)> {
        let live = self.view.attempts.values().filter(|had| had.is_live());
        live.filter(|had| attempt.keys.contains(&had.anchor))
            .map(|had| (had.set, had.anchor.clone()))
            .min()
    }

    /// The withdrawals of an adopted attempt follow it.
    fn follow(&mut self, attempt: &Attempt, intents: &[Intent]) -> Result<(), ApplyError> {
        let members = self.view.withdrawals_of(attempt.set);
        for (number, intent) in attempt.pays.iter().zip(intents) {
            if !members.contains(number) {
                self.check_intent(attempt, *number, intent)?;
                let stage = self.take(*number)?.stage;
                if stage == Stage::Manual {
                    self.step(*number, Stage::Approved, attempt.number)?;
                }
                self.step(*number, Stage::Assigned, attempt.number)?;
            }
            if attempt.signed.is_some() {
                self.advance(*number, &[Stage::Assigned], Stage::Signed, attempt.number)?;
            }
        }
        Ok(())
    }

    fn add_new(&mut self, attempt: Attempt) {
        let next = AttemptNumber(attempt.number.0.saturating_add(1));
        self.view.row.next_attempt = self.view.row.next_attempt.max(next);
        self.add_attempt(attempt);
    }

    fn check_intent(
        &mut self,
        attempt: &Attempt,
        number: WithdrawalNumber,
        intent: &Intent,
    ) -> Result<(), ApplyError> {
        if self.take(number)?.intent == *intent {
            Ok(())
        } else {
            Err(malformed(attempt, "its intents are not its withdrawals'"))
        }
    }

    /// A step of a withdrawal, if it is in one of these stages.
    fn advance(
        &mut self,
        number: WithdrawalNumber,
        from: &[Stage],
        to: Stage,
        attempt: AttemptNumber,
    ) -> Result<(), ApplyError> {
        let withdrawal = self.view.withdrawals.get(&number);
        if withdrawal.is_some_and(|withdrawal| from.contains(&withdrawal.stage)) {
            self.step(number, to, attempt)?;
        }
        Ok(())
    }

    fn advance_paid(
        &mut self,
        attempt: AttemptNumber,
        from: &[Stage],
        to: Stage,
    ) -> Result<(), ApplyError> {
        for number in self.attempt(attempt)?.pays.clone() {
            self.advance(number, from, to, attempt)?;
        }
        Ok(())
    }

    pub(super) fn signed(
        &mut self,
        number: AttemptNumber,
        answer: &Arc<SignAnswer>,
    ) -> Result<(), ApplyError> {
        let next = self.view.row.next_nonce;
        let attempt = self.attempt(number)?;
        if attempt.stage != AttemptStage::Reserved {
            return Err(misstep(attempt, "signed"));
        }
        if attempt.request.request_id != answer.request_id {
            return Err(malformed(attempt, "the answer is to another request"));
        }
        let (epoch, nonce) = (attempt.request.lane_epoch, nonce(attempt));
        self.become_signed(number, answer);
        if nonce == Some(next) {
            self.view.row.next_nonce = next.saturating_add(1);
        }
        self.epoch_seen(epoch);
        self.advance_paid(number, &[Stage::Assigned], Stage::Signed)
    }

    pub(super) fn epoch_seen(&mut self, epoch: u64) {
        let row = &mut self.view.row;
        if epoch >= row.epoch {
            row.epoch = epoch;
            row.epoch_seen = true;
        }
    }

    pub(super) fn void(
        &mut self,
        number: AttemptNumber,
        certificate: &VoidCertificate,
    ) -> Result<(), ApplyError> {
        let attempt = self.attempt(number)?;
        if attempt.stage != AttemptStage::Reserved {
            return Err(misstep(attempt, "void"));
        }
        if let VoidCertificate::Fenced { epoch, .. } = certificate
            && *epoch <= attempt.request.lane_epoch
        {
            return Err(ApplyError::Certificate { attempt: number });
        }
        self.become_stage(number, AttemptStage::Void(certificate.clone()));
        self.free_if_over(number)
    }

    pub(super) fn dead(
        &mut self,
        number: AttemptNumber,
        certificate: &DeathCertificate,
    ) -> Result<(), ApplyError> {
        let attempt = self.attempt(number)?;
        if !attempt.is_live() || attempt.stage.inclusion().is_some() {
            return Err(misstep(attempt, "dead"));
        }
        let DeathCertificate::Conflict { key, .. } = certificate;
        if !attempt.keys.contains(key) {
            return Err(ApplyError::Certificate { attempt: number });
        }
        self.become_stage(number, AttemptStage::Dead(certificate.clone()));
        self.free_if_over(number)
    }

    /// The withdrawals of a set without a live attempt are to be paid anew.
    fn free_if_over(&mut self, number: AttemptNumber) -> Result<(), ApplyError> {
        let set = self.attempt(number)?.set;
        if self.view.set(set).any(Attempt::is_live) {
            return Ok(());
        }
        for withdrawal in self.view.withdrawals_of(set) {
            self.step(withdrawal, Stage::Approved, number)?;
        }
        Ok(())
    }

    pub(super) fn broadcast(&mut self, number: AttemptNumber, at: Time) -> Result<(), ApplyError> {
        let attempt = self.attempt(number)?;
        match attempt.stage {
            AttemptStage::Signed | AttemptStage::Broadcast { .. } => {}
            _ => return Err(misstep(attempt, "broadcast")),
        }
        self.become_stage(number, AttemptStage::Broadcast { at });
        self.advance_paid(number, &[Stage::Signed], Stage::Broadcast)
    }

    pub(super) fn included(
        &mut self,
        number: AttemptNumber,
        inclusion: &Inclusion,
    ) -> Result<(), ApplyError> {
        let attempt = self.attempt(number)?;
        if !is_out(&attempt.stage) {
            return Err(misstep(attempt, "included"));
        }
        self.become_stage(number, AttemptStage::Included(inclusion.clone()));
        self.check_only_one_included(number)?;
        self.advance_paid(number, &[Stage::Signed, Stage::Broadcast], Stage::Included)
    }

    fn check_only_one_included(&self, number: AttemptNumber) -> Result<(), ApplyError> {
        let set = self.attempt(number)?.set;
        let mut others = self.view.set(set).filter(|other| other.number != number);
        match others.find(|other| other.stage.inclusion().is_some()) {
            Some(other) => Err(misstep(other, "beside another that is included")),
            None => Ok(()),
        }
    }

    pub(super) fn excluded(&mut self, number: AttemptNumber) -> Result<(), ApplyError> {
        let at = self.at;
        let attempt = self.attempt(number)?;
        if !matches!(attempt.stage, AttemptStage::Included(_)) {
            return Err(misstep(attempt, "broadcast"));
        }
        self.become_stage(number, AttemptStage::Broadcast { at });
        self.advance_paid(number, &[Stage::Included], Stage::Broadcast)
    }

    pub(super) fn unproven(
        &mut self,
        number: AttemptNumber,
        inclusion: &Inclusion,
        tip: &BlockRef,
    ) -> Result<(), ApplyError> {
        let attempt = self.attempt(number)?;
        if !is_out(&attempt.stage) {
            return Err(misstep(attempt, "unproven"));
        }
        let set = attempt.set;
        self.become_stage(number, AttemptStage::Unproven(inclusion.clone()));
        self.check_only_one_included(number)?;
        self.bury_others((set, number), inclusion, tip)?;
        let under_way = [Stage::Signed, Stage::Broadcast, Stage::Included];
        self.advance_paid(number, &under_way, Stage::Halted)
    }

    /// A person's word settles what only a person can: the chain has nothing further to say of it.
    pub(super) fn judged(
        &mut self,
        number: AttemptNumber,
        outcome: Outcome,
    ) -> Result<(), ApplyError> {
        let attempt = self.attempt(number)?;
        let AttemptStage::Unproven(inclusion) = attempt.stage.clone() else {
            return Err(misstep(attempt, "settled"));
        };
        let stage = match outcome {
            Outcome::Paid => AttemptStage::Final(inclusion),
            Outcome::PayAnew | Outcome::Release => AttemptStage::Failed(inclusion),
        };
        self.become_stage(number, stage);
        self.over(number)
    }

    /// An attempt is in its block for good: its set is over.
    pub(super) fn settled(
        &mut self,
        number: AttemptNumber,
        stage: AttemptStage,
        tip: &BlockRef,
    ) -> Result<(), ApplyError> {
        let attempt = self.attempt(number)?;
        let (AttemptStage::Final(winner) | AttemptStage::Failed(winner)) = &stage else {
            return Err(misstep(attempt, stage.name()));
        };
        if !is_out(&attempt.stage) {
            return Err(misstep(attempt, stage.name()));
        }
        let (set, winner) = (attempt.set, winner.clone());
        self.become_stage(number, stage);
        self.check_only_one_included(number)?;
        self.bury_others((set, number), &winner, tip)?;
        self.over(number)
    }

    /// What the end of its set means for the withdrawals.
    fn over(&mut self, number: AttemptNumber) -> Result<(), ApplyError> {
        let attempt = self.attempt(number)?;
        let paid = matches!(attempt.stage, AttemptStage::Final(_));
        let (set, pays) = (attempt.set, attempt.pays.clone());
        for withdrawal in self.view.withdrawals_of(set) {
            match (pays.contains(&withdrawal), paid) {
                (true, true) => self.step(withdrawal, Stage::Final, number)?,
                (true, false) => {
                    self.step(withdrawal, Stage::FailedOnChain, number)?;
                    self.step(withdrawal, Stage::Approved, number)?;
                }
                (false, _) => self.step(withdrawal, Stage::Approved, number)?,
            }
        }
        Ok(())
    }

    /// All attempts of a set consume its anchor: of those only one is ever in the chain.
    fn bury_others(
        &mut self,
        (set, winning): (AttemptNumber, AttemptNumber),
        winner: &Inclusion,
        tip: &BlockRef,
    ) -> Result<(), ApplyError> {
        let others = self.view.set(set);
        let others = others.filter(|other| other.is_live() && other.number != winning);
        let others: Vec<AttemptNumber> = others.map(|other| other.number).collect();
        for number in others {
            let certificate = DeathCertificate::Conflict {
                key: self.attempt(number)?.anchor.clone(),
                winner: winner.clone(),
                tip: tip.clone(),
            };
            self.become_stage(number, AttemptStage::Dead(certificate));
        }
        Ok(())
    }
}

/// Whether signed bytes are durable and the attempt's fate is open.
fn is_out(stage: &AttemptStage) -> bool {
    matches!(
        stage,
        AttemptStage::Signed | AttemptStage::Broadcast { .. } | AttemptStage::Included(_)
    )
}

fn check_new(view: &LaneView, attempt: &Attempt) -> Result<(), ApplyError> {
    let next = view.row.next_attempt;
    if attempt.number != next {
        let attempt = attempt.number;
        return Err(ApplyError::AttemptNumber { attempt, next });
    }
    check_form(&view.row.id, attempt)?;
    if attempt.stage != AttemptStage::Reserved || attempt.signed.is_some() {
        return Err(malformed(attempt, "a new attempt is not signed"));
    }
    if attempt.request.request_id != view.row.id.request_id(attempt.number) {
        return Err(malformed(attempt, "its request has another's id"));
    }
    if attempt.request.lane_epoch != view.row.epoch {
        return Err(malformed(attempt, "its request is of another epoch"));
    }
    let fits = match attempt.purpose {
        Purpose::Payout => !attempt.pays.is_empty(),
        Purpose::Cancellation => attempt.pays.is_empty(),
        Purpose::Recovered => false,
    };
    let distinct: BTreeSet<_> = attempt.pays.iter().collect();
    if fits
        && distinct.len() == attempt.pays.len()
        && attempt.request.intents.len() == attempt.pays.len()
    {
        Ok(())
    } else {
        Err(malformed(
            attempt,
            "its withdrawals are not what its purpose asks",
        ))
    }
}

fn check_form(lane: &LaneId, attempt: &Attempt) -> Result<(), ApplyError> {
    let own = |key: &ConflictKey| match (key, &lane.sender) {
        (ConflictKey::Nonce { account, .. }, Sender::Address(address)) => account == address,
        (ConflictKey::Outpoint { chain, .. }, Sender::Account(_)) => *chain == lane.chain,
        _ => false,
    };
    if !attempt.keys.iter().all(own) {
        return Err(malformed(attempt, "it consumes what is not the lane's"));
    }
    if !attempt.keys.contains(&attempt.anchor) {
        return Err(malformed(attempt, "it does not consume its anchor"));
    }
    let nonces = matches!(lane.sender, Sender::Address(_));
    if nonces && attempt.keys.len() != 1 {
        return Err(malformed(attempt, "it consumes more than one nonce"));
    }
    Ok(())
}

/// A new set takes the lane's next nonce.
fn check_next(view: &LaneView, key: &ConflictKey) -> Result<(), ApplyError> {
    let next = view.row.next_nonce;
    match key {
        ConflictKey::Nonce { nonce, .. } if *nonce != next => Err(ApplyError::Nonce {
            nonce: *nonce,
            next,
        }),
        _ => Ok(()),
    }
}

/// A key that no other set consumes; for an outpoint a coin that is there, or was when the set took
/// it.
fn check_free(
    view: &LaneView,
    key: &ConflictKey,
    set: Option<AttemptNumber>,
) -> Result<(), ApplyError> {
    let Some(outpoint) = outpoint(key) else {
        // A nonce below the next is consumed by one set only, whose anchor it is; at the next one
        // stands at most an unsigned attempt, which is checked for besides.
        return Ok(());
    };
    match view.holder(key) {
        Some(holder) if Some(holder) == set => Ok(()),
        Some(_) => Err(ApplyError::Reserved { key: key.clone() }),
        None if view.coins.contains_key(&outpoint) => Ok(()),
        None => Err(ApplyError::NoCoin { key: key.clone() }),
    }
}

/// The signer takes new nonces strictly in order: one is signed before the next is asked for. Only a
/// cancellation may stand beside an unsigned attempt, over the same nonce.
fn check_signed(view: &LaneView, attempt: &Attempt) -> Result<(), ApplyError> {
    if nonce(attempt).is_none() {
        return Ok(());
    }
    let fills = |unsigned: &&Attempt| {
        attempt.purpose == Purpose::Cancellation
            && unsigned.purpose != Purpose::Cancellation
            && unsigned.set == attempt.set
    };
    match view.unsigned().find(|unsigned| !fills(unsigned)) {
        Some(unsigned) => Err(ApplyError::Unsigned {
            attempt: unsigned.number,
        }),
        None => Ok(()),
    }
}

fn nonce(attempt: &Attempt) -> Option<u64> {
    match attempt.anchor {
        ConflictKey::Nonce { nonce, .. } => Some(nonce),
        _ => None,
    }
}

fn malformed(attempt: &Attempt, what: &'static str) -> ApplyError {
    ApplyError::Malformed {
        attempt: attempt.number,
        what,
    }
}

fn misstep(attempt: &Attempt, to: &'static str) -> ApplyError {
    ApplyError::AttemptStep {
        attempt: attempt.number,
        from: attempt.stage.name(),
        to,
    }
}
