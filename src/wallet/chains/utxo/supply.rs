//! The withdrawals that wait to be paid, and what they are paid by.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use tx::Time;

use super::{
    build::{BuildError, Builder, unpayable},
    lane::{Effects, UtxoLane},
};
use crate::{
    attempt::{Attempt, AttemptNumber, AttemptStage},
    chains::common::{self, Backoff, signer_says},
    change::Change,
    lane::{Effect, LaneView},
    withdrawal::{Waiting, WaitingReason, Withdrawal, WithdrawalNumber},
};

/// Withdrawals that are this lane's and in no set.
#[derive(Debug, Default)]
pub(super) struct Supply {
    queue: VecDeque<Withdrawal>,
    wanted: Option<usize>,
}

/// When a set is replaced.
#[derive(Debug, Default)]
pub(super) struct Bumps {
    /// The height at which each newest attempt was first seen here.
    noticed: BTreeMap<AttemptNumber, u64>,
    /// Sets whose replacement failed, and when it is tried again.
    failed: BTreeMap<AttemptNumber, (Backoff, Time)>,
}

impl Supply {
    pub(super) fn hear(&mut self, withdrawals: Vec<Withdrawal>) {
        self.wanted = None;
        self.queue.extend(withdrawals);
    }

    pub(super) fn find(&self, number: WithdrawalNumber) -> Option<&Withdrawal> {
        self.queue
            .iter()
            .find(|withdrawal| withdrawal.number == number)
    }

    fn remove(&mut self, numbers: &BTreeSet<WithdrawalNumber>) -> Vec<WithdrawalNumber> {
        let had = self.queue.iter().map(|withdrawal| withdrawal.number);
        let had = had.filter(|number| numbers.contains(number)).collect();
        self.queue
            .retain(|withdrawal| !numbers.contains(&withdrawal.number));
        had
    }

    fn take_all(&mut self) -> Vec<WithdrawalNumber> {
        let queue = std::mem::take(&mut self.queue);
        queue
            .into_iter()
            .map(|withdrawal| withdrawal.number)
            .collect()
    }
}

/// What the signer refused goes alone: it may be what a batch was refused for.
fn goes_alone(withdrawal: &Withdrawal) -> bool {
    let reason = withdrawal.waiting.as_ref().map(|waiting| waiting.reason);
    matches!(
        reason,
        Some(WaitingReason::SignerRefused | WaitingReason::SignerNeeds)
    )
}

impl UtxoLane {
    /// As many as two transactions pay, while payouts may begin; else all go back.
    pub(super) fn plan_supply(&mut self, effects: &mut Effects) {
        if self.writing.is_out() {
            return;
        }
        let batch = usize::try_from(self.config.batch_max).unwrap_or(usize::MAX);
        let most = match self.view.is_open() {
            true => batch.saturating_mul(2),
            false => 0,
        };
        if most == 0 {
            let all = self.supply.take_all();
            if !all.is_empty() {
                effects.push(Effect::Return(all));
            }
        }
        let wanted = most.saturating_sub(self.supply.queue.len());
        if self.supply.wanted != Some(wanted) {
            self.supply.wanted = Some(wanted);
            effects.push(Effect::Want(wanted));
        }
    }

    /// Those that were assigned are under way; those that wait go back, as do those that were under
    /// way and are not any more.
    pub(super) fn supply_committed(
        &mut self,
        changes: &[Change],
        under_way: BTreeSet<WithdrawalNumber>,
        effects: &mut Effects,
    ) {
        let mut assigned = BTreeSet::new();
        let mut returned = under_way;
        for change in changes {
            match change {
                Change::Assign(attempt) => assigned.extend(attempt.pays.iter().copied()),
                Change::Wait { withdrawals, .. } => returned.extend(withdrawals.iter().copied()),
                _ => {}
            }
        }
        self.supply.remove(&assigned);
        self.supply.remove(&returned);
        let withdrawals = &self.view.withdrawals;
        returned.retain(|number| !withdrawals.contains_key(number));
        if !returned.is_empty() {
            effects.push(Effect::Return(returned.into_iter().collect()));
        }
    }

    /// One of them may have been released meanwhile.
    pub(super) fn supply_failed(&mut self, effects: &mut Effects) {
        let all = self.supply.take_all();
        if !all.is_empty() {
            effects.push(Effect::Return(all));
        }
    }

    /// Those that cannot be paid, then a new set, if one may begin.
    pub(super) fn draft_assignment(&self, now: Time) -> Vec<Change> {
        let refused = self.draft_refused(now);
        if !refused.is_empty() {
            return refused;
        }
        let Some(first) = self.supply.queue.front().filter(|_| self.view.is_open()) else {
            return Vec::new();
        };
        if self.is_signing() {
            return match self.signer_trouble() {
                Some(trouble) => self.hold_up(now, |before| signer_says(before, trouble, now)),
                None => Vec::new(),
            };
        }
        let rate = self.chain.rate_sat_vb();
        let Some(rate) = rate.filter(|_| self.chain.is_at_tip(self.view.tip())) else {
            return self.draft_unknown_chain(now);
        };
        let batch = usize::try_from(self.config.batch_max).unwrap_or(usize::MAX);
        let members: Vec<&Withdrawal> = match goes_alone(first) {
            true => vec![first],
            false => {
                let others = self.supply.queue.iter();
                let others = others.filter(|withdrawal| !goes_alone(withdrawal));
                others.take(batch).collect()
            }
        };
        self.assignment(&self.builder(rate, now), members, now)
    }

    fn builder(&self, fee_rate_sat_vb: u64, at: Time) -> Builder<'_> {
        Builder {
            view: &self.view,
            keys: &self.keys,
            config: &self.config,
            avoided: &self.avoided,
            fee_rate_sat_vb,
            at,
        }
    }

    /// The first members that fit together. Who offers too little for its share of the fee waits.
    fn assignment(
        &self,
        builder: &Builder<'_>,
        mut members: Vec<&Withdrawal>,
        now: Time,
    ) -> Vec<Change> {
        let mut changes = Vec::new();
        loop {
            let error = match builder.payout(&members) {
                Ok(attempt) => {
                    changes.push(Change::Assign(Box::new(attempt)));
                    return changes;
                }
                Err(error) => error,
            };
            let meanest = members.iter().min_by_key(|member| member.intent.max_fee);
            let (Some(meanest), Some(first)) = (meanest.copied(), members.first().copied()) else {
                return changes;
            };
            if members.len() == 1 {
                changes.push(waits(first, &error, now));
                return changes;
            }
            match &error {
                BuildError::Fee { .. } => {
                    changes.push(waits(meanest, &error, now));
                    members.retain(|member| member.number != meanest.number);
                }
                BuildError::Unbuildable { .. } => members.truncate(1),
                _ => members.truncate(members.len().div_euclid(2)),
            }
        }
    }

    /// Those that no transaction of this lane can pay, now or ever.
    fn draft_refused(&self, now: Time) -> Vec<Change> {
        let refused = self.supply.queue.iter().filter_map(|withdrawal| {
            let (reason, detail) = if now > withdrawal.intent.expires {
                let expires = withdrawal.intent.expires;
                (WaitingReason::Expired, format!("it expired at {expires}"))
            } else {
                let detail = unpayable(&self.view, &self.keys, withdrawal)?;
                (WaitingReason::Unbuildable, detail)
            };
            Some(wait(withdrawal, reason, &detail, now))
        });
        refused.collect()
    }

    /// While nothing is known of the chain nothing is built: the coins may be spent.
    fn draft_unknown_chain(&self, now: Time) -> Vec<Change> {
        let Some(trouble) = self.chain.trouble() else {
            return Vec::new();
        };
        let reason = WaitingReason::NodeUnavailable;
        self.hold_up(now, |before| {
            Some(common::waiting(before, reason, trouble, now))
        })
    }

    /// Says why those in the queue wait, where something else was said before.
    fn hold_up(&self, now: Time, say: impl Fn(Option<&Waiting>) -> Option<Waiting>) -> Vec<Change> {
        let queue = self.supply.queue.iter();
        let waits = queue.filter_map(|withdrawal| {
            let before = withdrawal.waiting.as_ref();
            let waiting = say(before);
            let same = common::says_the_same(before, waiting.as_ref());
            (!same).then(|| Change::Wait {
                withdrawals: vec![withdrawal.number],
                waiting,
                not_before: now,
            })
        });
        waits.collect()
    }

    /// A replacement for a set that has waited too long.
    pub(super) fn draft_replacement(&mut self, now: Time) -> Vec<Change> {
        let rate = self.chain.rate_sat_vb();
        let may = self.view.is_open() && self.chain.is_at_tip(self.view.tip());
        let Some(rate) = rate.filter(|_| may && !self.is_signing()) else {
            return Vec::new();
        };
        let mut failed = Vec::new();
        let mut changes = Vec::new();
        let builder = self.builder(rate, now);
        for attempt in self.overdue(now) {
            match builder.replacement(attempt) {
                Ok(replacement) => {
                    changes = vec![Change::Replace(Box::new(replacement))];
                    break;
                }
                Err(error) => {
                    failed.push(attempt.set);
                    changes.extend(self.note(&attempt.pays, |before| {
                        Some(waiting_for(before, &error, now))
                    }));
                }
            }
        }
        for set in failed {
            self.bumps.fail(set, now);
        }
        changes
    }

    /// The newest attempts of sets that are in no block though time and blocks have passed.
    fn overdue(&self, now: Time) -> Vec<&Attempt> {
        let height = self.view.tip().map_or(0, |tip| tip.height);
        let bump_after = self.config.bump_after_secs.saturating_mul(1_000);
        let newest = self.sends.keys().filter_map(|number| {
            let attempt = self.view.attempts.get(number)?;
            let noticed = self.bumps.noticed.get(number)?;
            let failed = self.bumps.failed.get(&attempt.set);
            let unsigned = self
                .view
                .set(attempt.set)
                .any(|had| self.calls.contains_key(&had.number));
            let due = now.millis_since(since(attempt)) >= bump_after
                && height.saturating_sub(*noticed) >= self.config.bump_after_blocks
                && failed.is_none_or(|(_, not_before)| now >= *not_before)
                && !unsigned
                && !attempt.pays.is_empty();
            due.then_some(attempt)
        });
        newest.collect()
    }

    /// When a set may have to be replaced, by time alone.
    pub(super) fn bumps_due(&self, now: Time) -> Option<Time> {
        let bump_after = self.config.bump_after_secs.saturating_mul(1_000);
        let newest = self.sends.keys();
        let newest = newest.filter_map(|number| self.view.attempts.get(number));
        let due = newest.map(|attempt| {
            let failed = self.bumps.failed.get(&attempt.set);
            let due = since(attempt).after_millis(bump_after);
            failed.map_or(due, |(_, not_before)| due.max(*not_before))
        });
        due.filter(|due| *due > now).min()
    }

    pub(super) fn refresh_bumps(&mut self, changes: &[Change], now: Time) {
        let height = self.view.tip().map_or(0, |tip| tip.height);
        let sends = &self.sends;
        self.bumps
            .noticed
            .retain(|number, _| sends.contains_key(number));
        for number in sends.keys() {
            self.bumps.noticed.entry(*number).or_insert(height);
        }
        let attempts = &self.view.attempts;
        for change in changes {
            if let Change::Void { attempt, .. } = change
                && let Some(attempt) = attempts.get(attempt)
            {
                self.bumps.fail(attempt.set, now);
            }
        }
        let live: BTreeSet<_> = attempts.values().map(|attempt| attempt.set).collect();
        self.bumps.failed.retain(|set, _| live.contains(set));
    }
}

impl Bumps {
    /// A replacement came to nothing.
    fn fail(&mut self, set: AttemptNumber, now: Time) {
        let entry = self.failed.entry(set);
        let (backoff, not_before) = entry.or_insert((Backoff::REFUSAL, now));
        *not_before = backoff.fail(now);
    }
}

/// Since when an attempt waits to be included: since it was sent, or its block left the chain.
fn since(attempt: &Attempt) -> Time {
    match attempt.stage {
        AttemptStage::Broadcast { at } => at,
        _ => attempt.created_at,
    }
}

/// The withdrawals of a view.
pub(super) fn under_way(view: &LaneView) -> BTreeSet<WithdrawalNumber> {
    view.withdrawals.keys().copied().collect()
}

fn waits(withdrawal: &Withdrawal, error: &BuildError, now: Time) -> Change {
    let waiting = waiting_for(withdrawal.waiting.as_ref(), error, now);
    Change::Wait {
        withdrawals: vec![withdrawal.number],
        not_before: common::not_before(&waiting, now),
        waiting: Some(waiting),
    }
}

fn wait(withdrawal: &Withdrawal, reason: WaitingReason, detail: &str, now: Time) -> Change {
    let waiting = common::waiting(withdrawal.waiting.as_ref(), reason, detail, now);
    Change::Wait {
        withdrawals: vec![withdrawal.number],
        not_before: common::not_before(&waiting, now),
        waiting: Some(waiting),
    }
}

fn waiting_for(before: Option<&Waiting>, error: &BuildError, now: Time) -> Waiting {
    let (reason, detail) = match error {
        BuildError::Funds { detail } => (WaitingReason::Funds, detail.as_str()),
        BuildError::Fee { detail } => (WaitingReason::Fee, detail.as_str()),
        BuildError::Unbuildable { detail } => (WaitingReason::Unbuildable, detail.as_str()),
        BuildError::Size => (
            WaitingReason::Unbuildable,
            "the transaction is larger than the signer takes",
        ),
    };
    common::waiting(before, reason, detail, now)
}
