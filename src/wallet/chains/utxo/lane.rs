//! The lane of one account: what it hears, and in which order it plans.

use std::collections::{BTreeMap, BTreeSet};

use tx::{Time, utxo::Outpoint};

use super::{
    chain::Watch,
    config::Config,
    follow,
    gate::Restore,
    keys::OwnKeys,
    question::{Answer, Question},
    sends::Sending,
    signing::{Call, Fence},
    supply::{Bumps, Supply, under_way},
};
use crate::{
    attempt::{AttemptNumber, AttemptStage},
    chains::common::Backoff,
    change::{Change, Gate},
    lane::{Effect, Event, Lane, LaneView},
    withdrawal::WithdrawalNumber,
};

/// The lane of one account of a UTXO chain.
///
/// After every event it plans again from what is durable and what it has heard, so that an effect
/// that was lost is planned anew.
#[derive(Debug)]
pub struct UtxoLane {
    pub(super) config: Config,
    pub(super) keys: OwnKeys,
    pub(super) view: LaneView,
    pub(super) calls: BTreeMap<AttemptNumber, Call>,
    /// The newest epoch of which the signer has authorised an attempt, as far as is known here.
    pub(super) accepted: Option<Fence>,
    pub(super) sends: BTreeMap<AttemptNumber, Sending>,
    pub(super) chain: Watch,
    pub(super) restore: Restore,
    pub(super) supply: Supply,
    pub(super) bumps: Bumps,
    /// Coins that an attempt consumes of which this store does not know, or not any more: the signer
    /// refuses whoever does not declare it.
    pub(super) avoided: BTreeSet<Outpoint>,
    pub(super) writing: Writing,
    /// Set when the view is not what the store has: it must be loaded again.
    lost: Option<String>,
    woken: Option<Time>,
}

/// What is to be done.
pub(super) type Effects = Vec<Effect<Question>>;

/// The one commit.
#[derive(Debug)]
pub(super) struct Writing {
    /// The time of the one that is out.
    out: Option<Time>,
    backoff: Backoff,
    not_before: Time,
}

impl Writing {
    pub(super) fn is_out(&self) -> bool {
        self.out.is_some()
    }
}

impl UtxoLane {
    /// The lane that goes on from what is durable.
    pub fn new(config: Config, keys: OwnKeys, view: LaneView) -> Self {
        // Whether they were asked for, and what came of it, died with the process before.
        let unsigned = view.unsigned().map(|attempt| attempt.number);
        let calls = unsigned.map(|number| (number, Call::of_another_life()));
        let mut lane = Self {
            config,
            keys,
            calls: calls.collect(),
            view,
            accepted: None,
            sends: BTreeMap::new(),
            chain: Watch::default(),
            restore: Restore::default(),
            supply: Supply::default(),
            bumps: Bumps::default(),
            avoided: BTreeSet::new(),
            writing: Writing {
                out: None,
                backoff: Backoff::STORE,
                not_before: Time::default(),
            },
            lost: None,
            woken: None,
        };
        let signed = lane.view.attempts.values().filter_map(|attempt| {
            let answer = attempt.signed.as_ref()?;
            Some((attempt.number, answer.attempt))
        });
        for (number, journal) in signed.collect::<Vec<_>>() {
            lane.accept(number, journal);
        }
        lane.refresh_sends();
        lane.refresh_bumps(&[], Time::default());
        lane
    }

    pub(super) fn is_halted(&self) -> bool {
        matches!(self.view.row.gate, Gate::Halted { .. })
    }

    /// The sets of which an attempt is in a block.
    pub(super) fn included_sets(&self) -> BTreeSet<AttemptNumber> {
        let attempts = self.view.attempts.values();
        let included =
            attempts.filter(|attempt| matches!(attempt.stage, AttemptStage::Included(_)));
        included.map(|attempt| attempt.set).collect()
    }

    fn hear(&mut self, event: Event<Answer>, now: Time, effects: &mut Effects) {
        match event {
            Event::Started | Event::Tick => {}
            Event::Committed(changes) => self.hear_committed(&changes, now, effects),
            Event::CommitFailed => self.hear_commit_failed(now, effects),
            Event::Queued(withdrawals) => self.supply.hear(withdrawals),
            Event::Signer(number, outcome) => self.hear_signer(number, outcome, now),
            Event::Inquired(number, answer) => self.hear_inquired(number, answer),
            Event::Compared(comparison) => self.restore.hear(comparison, now),
            Event::Sent(number, outcome) => self.hear_sent(number, outcome, now),
            Event::Answered(answer) => self.chain.hear(answer, &self.config, now),
        }
    }

    fn hear_committed(&mut self, changes: &[Change], now: Time, effects: &mut Effects) {
        let Some(at) = self.writing.out.take() else {
            return;
        };
        self.writing.backoff.reset();
        let had = under_way(&self.view);
        self.avoid(changes);
        let supply = &self.supply;
        let queued = |number: WithdrawalNumber| supply.find(number).cloned();
        if let Err(error) = self.view.apply(changes, queued, at) {
            // An adopted attempt, which the store numbers; anything else it would have refused.
            self.lost = Some(error.to_string());
            return;
        }
        let coins = &self.view.coins;
        self.avoided.retain(|outpoint| coins.contains_key(outpoint));
        self.restore.committed(changes);
        let chained = |change: &Change| matches!(change, Change::Block(_) | Change::Rewind { .. });
        if changes.iter().any(chained) {
            self.chain.forget();
        }
        self.refresh_calls(changes);
        self.refresh_sends();
        self.refresh_bumps(changes, now);
        self.supply_committed(changes, had, effects);
    }

    fn hear_commit_failed(&mut self, now: Time, effects: &mut Effects) {
        if self.writing.out.take().is_some() {
            self.writing.not_before = self.writing.backoff.fail(now);
            self.supply_failed(effects);
        }
    }

    fn plan(&mut self, now: Time, effects: &mut Effects) {
        if self.lost.is_some() {
            return;
        }
        if !self.writing.is_out() && now >= self.writing.not_before {
            let changes = self.draft(now);
            if !changes.is_empty() {
                self.writing.out = Some(now);
                effects.push(Effect::Commit(changes));
            }
        }
        self.plan_signing(now, effects);
        self.plan_sends(now, effects);
        self.restore.plan(now, effects);
        let known = self.view.blocks.iter().cloned();
        self.chain.plan(known, &self.config, now, effects);
        self.plan_supply(effects);
        self.plan_wake(now, effects);
    }

    /// What is written next: the signer's answers first, as everything else waits for them.
    fn draft(&mut self, now: Time) -> Vec<Change> {
        let mut changes = self.draft_signing(now);
        changes.extend(self.draft_sends(now));
        let drafts = [
            Self::draft_blocks,
            |lane: &mut Self, _| lane.draft_settled(),
            |lane: &mut Self, _| lane.draft_gate(),
            Self::draft_replacement,
            |lane: &mut Self, now| lane.draft_assignment(now),
        ];
        for draft in drafts {
            if !changes.is_empty() {
                break;
            }
            changes = draft(self, now);
        }
        changes
    }

    /// A lane that is halted settles nothing: what it believes may be wrong.
    fn draft_settled(&self) -> Vec<Change> {
        match self.is_halted() {
            true => Vec::new(),
            false => follow::settle(&self.view, &self.config),
        }
    }

    /// One wake-up is asked for, at the earliest time at which something is due.
    fn plan_wake(&mut self, now: Time, effects: &mut Effects) {
        let due = [
            (!self.writing.is_out()).then_some(self.writing.not_before),
            self.signing_due(),
            self.sends_due(),
            self.chain.due(),
            self.restore.due(),
            self.bumps_due(now),
        ];
        // What is due by now and was not done waits for something else than time.
        let next = due.into_iter().flatten().filter(|due| *due > now).min();
        if let Some(next) = next
            && self.woken != Some(next)
        {
            self.woken = Some(next);
            effects.push(Effect::Wake(next));
        }
    }
}

impl Lane for UtxoLane {
    type Question = Question;
    type Answer = Answer;

    fn view(&self) -> &LaneView {
        &self.view
    }

    fn lost(&self) -> Option<&str> {
        self.lost.as_deref()
    }

    fn handle(&mut self, event: Event<Answer>, now: Time) -> Effects {
        let mut effects = Vec::new();
        self.hear(event, now, &mut effects);
        self.plan(now, &mut effects);
        effects
    }
}
