//! The lane of one EVM address: what it hears, and in which order it plans.

use std::collections::{BTreeMap, BTreeSet};

use thiserror::Error;
use tx::{Address, Time};

use super::{
    Answer, Config, Question,
    draft::{Draft, Writing},
    gate::Restore,
    replace::Bumps,
    sends::Sending,
    sets::{self, Sets},
    signing::Ask,
    supply::Supply,
    watch::Watch,
};
use crate::{
    attempt::{Attempt, AttemptNumber},
    change::Change,
    lane::{Effect, Event, Lane, LaneView, Sender},
    withdrawal::WithdrawalNumber,
};

/// The lane of one EVM address.
///
/// After every event it plans again from what is durable and what it has heard, so that an effect
/// that was lost is planned anew.
#[derive(Debug)]
pub struct EvmLane {
    pub(super) config: Config,
    pub(super) sender: Address,
    pub(super) view: LaneView,
    pub(super) sets: Sets,
    pub(super) asks: BTreeMap<AttemptNumber, Ask>,
    pub(super) sends: BTreeMap<AttemptNumber, Sending>,
    pub(super) bumps: Bumps,
    pub(super) supply: Supply,
    pub(super) watch: Watch,
    pub(super) restore: Restore,
    pub(super) writing: Writing,
    /// Set when the view is not what the store has: it must be loaded again.
    lost: Option<String>,
}

/// Why a view is none of an EVM lane.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
#[error("the lane {lane} has no EVM address")]
pub struct NoAddress {
    lane: String,
}

/// What is to be done.
pub(super) type Effects = Vec<Effect<Question>>;

impl EvmLane {
    /// The lane that goes on from what is durable.
    ///
    /// # Errors
    /// [`NoAddress`] if it is a lane of another family.
    pub fn new(config: Config, view: LaneView) -> Result<Self, NoAddress> {
        let Sender::Address(sender) = &view.row.id.sender else {
            let lane = view.row.id.to_string();
            return Err(NoAddress { lane });
        };
        let sets = Sets::load(&view);
        // Whether they were asked, and what came of it, died with the process before.
        let asks = sets.unsigned().iter();
        let asks = asks.map(|number| (*number, Ask::of_another_life()));
        Ok(Self {
            config,
            sender: sender.clone(),
            asks: asks.collect(),
            sets,
            view,
            sends: BTreeMap::new(),
            bumps: Bumps::default(),
            supply: Supply::default(),
            watch: Watch::default(),
            restore: Restore::default(),
            writing: Writing::default(),
            lost: None,
        })
    }

    fn hear(&mut self, event: Event<Answer>, now: Time, effects: &mut Effects) {
        match event {
            Event::Started | Event::Tick => {}
            Event::Committed(changes) => self.hear_committed(&changes, effects),
            Event::CommitFailed => self.hear_commit_failed(effects),
            Event::Queued(withdrawals) => self.hear_queued(withdrawals, effects),
            Event::Signer(number, outcome) => self.hear_signer(number, outcome, now),
            Event::Inquired(number, answer) => self.hear_inquired(number, answer, now),
            Event::Compared(comparison) => self.hear_compared(comparison, now),
            Event::Sent(number, outcome) => self.hear_sent(number, outcome, now),
            Event::Answered(answer) => self.hear_answer(answer, now),
        }
    }

    fn hear_answer(&mut self, answer: Answer, now: Time) {
        match answer {
            Answer::Head(head) => {
                self.hear_head(head, now);
                self.bumps.look_again();
            }
            Answer::Market(market) => {
                self.watch.hear_market(market, now);
                self.bumps.look_again();
            }
            Answer::Gas(gas) => self.supply.hear_gas(gas),
            Answer::Found(found) => self.hear_found(found),
            Answer::StillThere(blocks) => self.watch.hear_still_there(blocks),
            Answer::User { nonce, user } => self.hear_user(nonce, user),
        }
    }

    fn hear_committed(&mut self, changes: &[Change], effects: &mut Effects) {
        let Some(out) = self.writing.out.take() else {
            return;
        };
        let nonces = self.nonces_of(changes);
        let had = self.withdrawals_over(&nonces);
        let taken = |number: WithdrawalNumber| out.taken.get(&number).cloned();
        if let Err(error) = self.view.apply(changes, taken, out.at) {
            // An adopted attempt, which the store numbers; anything else it would have refused.
            self.lost = Some(error.to_string());
            return;
        }
        for attempt in changes.iter().filter_map(made) {
            self.sets.add(attempt);
            self.asks.insert(attempt.number, Ask::new());
        }
        for nonce in nonces {
            self.refresh(nonce, changes);
        }
        self.refresh_excluded(changes);
        self.supply.taken_back(had.chain(out.taken.into_keys()));
        self.give_back(effects);
    }

    /// Takes over what became of the attempts over a nonce, and forgets what is of no use any more.
    fn refresh(&mut self, nonce: u64, changes: &[Change]) {
        for number in self.sets.refresh(&self.view, nonce) {
            self.asks.remove(&number);
            self.sends.remove(&number);
            self.watch.forget(number);
        }
        self.watch.look_again_at(nonce);
        let Some(set) = self.sets.get(nonce) else {
            self.bumps.forget(nonce);
            self.watch.forget_nonce(nonce);
            return;
        };
        if let Some(old) = self.old_from(set) {
            self.bumps.look_from(old);
        }
        let voided = changes.iter().any(|change| {
            matches!(change, Change::Void { attempt, .. } if set.attempts.contains(attempt))
        });
        for number in &set.attempts {
            if !self.sets.unsigned().contains(number) {
                self.asks.remove(number);
            } else if voided && let Some(ask) = self.asks.get_mut(number) {
                ask.begin_anew();
            }
        }
    }

    fn refresh_excluded(&mut self, changes: &[Change]) {
        for change in changes {
            if let Change::Excluded { attempt } = change
                && let Some(nonce) = self.view.attempts.get(attempt).and_then(sets::nonce)
            {
                self.give_again(nonce);
            }
        }
    }

    /// The nonces whose sets these changes concern.
    fn nonces_of(&self, changes: &[Change]) -> BTreeSet<u64> {
        let known = |number: &AttemptNumber| self.view.attempts.get(number);
        let attempts = changes.iter().filter_map(|change| match change {
            Change::Signed { attempt, .. }
            | Change::Void { attempt, .. }
            | Change::Broadcast { attempt, .. }
            | Change::Included { attempt, .. }
            | Change::Excluded { attempt }
            | Change::Unproven { attempt, .. }
            | Change::Final { attempt, .. }
            | Change::Failed { attempt, .. }
            | Change::Dead { attempt, .. } => known(attempt),
            other => made(other),
        });
        attempts.filter_map(sets::nonce).collect()
    }

    fn withdrawals_over(
        &self,
        nonces: &BTreeSet<u64>,
    ) -> impl Iterator<Item = WithdrawalNumber> + use<> {
        let sets = nonces.iter().filter_map(|nonce| self.sets.get(*nonce));
        let attempts = sets.flat_map(|set| &set.attempts);
        let attempts = attempts.filter_map(|number| self.view.attempts.get(number));
        let pays: BTreeSet<_> = attempts
            .flat_map(|attempt| &attempt.pays)
            .copied()
            .collect();
        pays.into_iter()
    }

    fn hear_commit_failed(&mut self, effects: &mut Effects) {
        let Some(out) = self.writing.out.take() else {
            return;
        };
        // One of them may have been released meanwhile, and would fail it again.
        self.supply.taken_back(out.taken.into_keys());
        self.supply.return_all();
        self.give_back(effects);
    }

    pub(super) fn give_back(&mut self, effects: &mut Effects) {
        let withdrawals = &self.view.withdrawals;
        let returned = self
            .supply
            .returned(|number| withdrawals.contains_key(&number));
        if !returned.is_empty() {
            effects.push(Effect::Return(returned));
        }
    }

    fn plan(&mut self, now: Time, effects: &mut Effects) {
        if self.lost.is_some() {
            return;
        }
        self.plan_commit(now, effects);
        self.plan_signing(now, effects);
        self.plan_sends(now, effects);
        self.plan_questions(now, effects);
        self.plan_comparison(now, effects);
        self.plan_supply(now, effects);
        self.plan_wake(now, effects);
    }

    fn plan_commit(&mut self, now: Time, effects: &mut Effects) {
        if self.writing.out.is_some() {
            return;
        }
        let mut draft = Draft::new(&self.view, &self.sets, now);
        // The signer's answers first: they are what everything else waits for.
        self.draft_signing(&mut draft);
        self.draft_sends(&mut draft);
        self.draft_chain(&mut draft);
        self.draft_gate(&mut draft);
        self.draft_replacement(&mut draft);
        self.draft_assignment(&mut draft);
        let calling = self.asks.values().any(Ask::is_out);
        effects.extend(self.writing.begin(draft, calling));
    }

    /// One wake-up is asked for, at the earliest time at which something is due.
    fn plan_wake(&mut self, now: Time, effects: &mut Effects) {
        let due = [
            self.writing.due(),
            self.signing_due(),
            self.sends_due(),
            self.watch.due(),
            self.restore.due(),
        ];
        // What is due by now and was not done waits for something else than time.
        let next = due.into_iter().flatten().filter(|due| *due > now).min();
        effects.extend(next.map(Effect::Wake));
    }
}

/// The attempt that a change makes.
fn made(change: &Change) -> Option<&Attempt> {
    match change {
        Change::Assign(attempt) | Change::Replace(attempt) => Some(attempt),
        Change::Adopt(adopt) => Some(&adopt.attempt),
        _ => None,
    }
}

impl Lane for EvmLane {
    type Question = Question;
    type Answer = Answer;

    fn view(&self) -> &LaneView {
        &self.view
    }

    fn handle(&mut self, event: Event<Answer>, now: Time) -> Effects {
        let mut effects = Vec::new();
        self.hear(event, now, &mut effects);
        self.plan(now, &mut effects);
        effects
    }

    fn lost(&self) -> Option<&str> {
        self.lost.as_deref()
    }
}
