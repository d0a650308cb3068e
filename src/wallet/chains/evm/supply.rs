//! Withdrawals that wait for a nonce, and giving them one.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use tx::{Address, Time};

use super::{
    EvmLane, Question,
    build::{self, Cost, Plan},
    draft::Draft,
    fees::Market,
    lane::Effects,
    replace::dear_text,
};
use crate::{
    attempt::Attempt,
    chains::common,
    change::Change,
    lane::Effect,
    nodes::NodeError,
    text,
    withdrawal::{Waiting, WaitingReason, Withdrawal, WithdrawalNumber},
};

/// How many withdrawals a lane takes ahead.
const QUEUE_MAX: usize = 64;
/// What a plain transfer takes: a destination that takes no more has no code.
const PLAIN_GAS: u64 = 21_000;
/// How many destinations without code are remembered.
const PLAIN_MAX: usize = 10_000;

/// Withdrawals that are this lane's and have no attempt yet.
#[derive(Debug, Default)]
pub(super) struct Supply {
    queue: VecDeque<Withdrawal>,
    /// Estimates for those in the queue.
    gas: BTreeMap<WithdrawalNumber, Result<u64, NodeError>>,
    estimating: BTreeSet<WithdrawalNumber>,
    plain: BTreeSet<Address>,
    /// Why those that were assigned had waited before.
    waited: BTreeMap<WithdrawalNumber, Waiting>,
    given_back: BTreeSet<WithdrawalNumber>,
    wanted: usize,
}

/// What becomes of a withdrawal now.
enum Judged {
    /// It is paid by this.
    Ready(Box<Attempt>, Cost),
    /// Something is being asked for.
    NotYet,
    /// It is not this lane's any more, until a time.
    Waits(WaitingReason, String),
}

impl Supply {
    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// The tokens that those in the queue pay in.
    pub(super) fn tokens(&self) -> BTreeSet<Address> {
        let tokens = self.queue.iter();
        let tokens = tokens.filter_map(|withdrawal| build::token(&withdrawal.intent));
        tokens.cloned().collect()
    }

    /// Why a withdrawal had waited before it was assigned.
    pub(super) fn waited(&self, number: WithdrawalNumber) -> Option<&Waiting> {
        self.waited.get(&number)
    }

    /// These may have left the lane.
    pub(super) fn taken_back(&mut self, numbers: impl Iterator<Item = WithdrawalNumber>) {
        self.given_back.extend(numbers);
    }

    /// The whole queue leaves the lane.
    pub(super) fn return_all(&mut self) {
        let numbers = self.queue.drain(..).map(|withdrawal| withdrawal.number);
        self.given_back.extend(numbers);
        self.gas.clear();
    }

    /// Those that left the lane since this was asked for last, unless they are under way in it.
    pub(super) fn returned(
        &mut self,
        under_way: impl Fn(WithdrawalNumber) -> bool,
    ) -> Vec<WithdrawalNumber> {
        let numbers = std::mem::take(&mut self.given_back).into_iter();
        let returned: Vec<_> = numbers.filter(|number| !under_way(*number)).collect();
        for number in &returned {
            self.waited.remove(number);
        }
        returned
    }

    pub(super) fn hear_gas(&mut self, gas: Vec<(WithdrawalNumber, Result<u64, NodeError>)>) {
        for (number, gas) in gas {
            self.estimating.remove(&number);
            let withdrawal = self.queue.iter().find(|queued| queued.number == number);
            let Some(withdrawal) = withdrawal else {
                continue;
            };
            if gas == Ok(PLAIN_GAS) {
                if self.plain.len() >= PLAIN_MAX {
                    self.plain.clear();
                }
                self.plain.insert(withdrawal.intent.destination.clone());
            }
            self.gas.insert(number, gas);
        }
    }
}

impl EvmLane {
    pub(super) fn hear_queued(&mut self, withdrawals: Vec<Withdrawal>, effects: &mut Effects) {
        let supply = &mut self.supply;
        supply.wanted = supply.wanted.saturating_sub(withdrawals.len());
        for withdrawal in withdrawals {
            let number = withdrawal.number;
            let queued = supply.queue.iter().any(|queued| queued.number == number);
            let under_way = self.view.withdrawals.contains_key(&number);
            let out = self.writing.out.as_ref();
            let taken = out.is_some_and(|out| out.taken.contains_key(&number));
            if !(queued || under_way || taken) {
                supply.queue.push_back(withdrawal);
            }
        }
        if !self.view.is_open() {
            self.supply.return_all();
            self.give_back(effects);
        }
    }

    pub(super) fn plan_supply(&mut self, now: Time, effects: &mut Effects) {
        if !self.view.is_open() {
            self.supply.return_all();
            self.give_back(effects);
        }
        self.plan_estimates(effects);
        self.plan_want(now, effects);
    }

    fn plan_estimates(&mut self, effects: &mut Effects) {
        let supply = &self.supply;
        let asked = |withdrawal: &&Withdrawal| {
            let number = withdrawal.number;
            supply.gas.contains_key(&number) || supply.estimating.contains(&number)
        };
        let open = supply
            .queue
            .iter()
            .filter(|withdrawal| !asked(withdrawal) && self.known_gas(withdrawal).is_none());
        let wanted: Vec<_> = open
            .map(|withdrawal| (withdrawal.number, build::action(&withdrawal.intent)))
            .collect();
        if !wanted.is_empty() {
            let numbers = wanted.iter().map(|(number, _)| *number);
            self.supply.estimating.extend(numbers);
            effects.push(Effect::Ask(Question::Gas(wanted)));
        }
    }

    /// More is wanted when half of what is taken ahead is used up, so that not each payout asks.
    fn plan_want(&mut self, now: Time, effects: &mut Effects) {
        let most = usize::try_from(self.config.in_flight_max).unwrap_or(usize::MAX);
        let usable = self.view.is_open() && self.watch.is_fresh(now);
        let room = match usable {
            true => most.saturating_sub(self.sets.in_flight()).min(QUEUE_MAX),
            false => 0,
        };
        let supply = &mut self.supply;
        let coming = supply.queue.len().saturating_add(supply.wanted);
        let wanted = room.saturating_sub(supply.queue.len());
        let too_few = coming < room.div_ceil(2) && wanted > 0;
        let too_many = supply.wanted > 0 && room == 0;
        if too_few || too_many {
            supply.wanted = wanted;
            effects.push(Effect::Want(wanted));
        }
    }

    /// The gas limit of a payment for which nobody need be asked.
    fn known_gas(&self, withdrawal: &Withdrawal) -> Option<u64> {
        if build::token(&withdrawal.intent).is_some() {
            return None;
        }
        let plain = || {
            let plain = &self.supply.plain;
            let known = plain.contains(&withdrawal.intent.destination);
            known.then_some(PLAIN_GAS)
        };
        self.config.native_gas_limit.or_else(plain)
    }

    /// The next payout is assigned with the signature of the one before: one commit for each.
    pub(super) fn draft_assignment(&mut self, draft: &mut Draft) {
        let most = usize::try_from(self.config.in_flight_max).unwrap_or(usize::MAX);
        if !draft.open || !draft.unsigned.is_empty() || self.sets.in_flight() >= most {
            return;
        }
        let mut position = 0_usize;
        while let Some(withdrawal) = self.supply.queue.get(position) {
            match self.judge(withdrawal, draft) {
                Judged::NotYet => position = position.saturating_add(1),
                Judged::Waits(reason, detail) => {
                    if let Some(withdrawal) = self.take(position) {
                        draft_waits(withdrawal, reason, &detail, draft);
                    }
                }
                Judged::Ready(attempt, cost) => {
                    if let Some(withdrawal) = self.take(position) {
                        self.watch.spend(&cost);
                        let number = withdrawal.number;
                        let waited = withdrawal.waiting.clone();
                        self.supply
                            .waited
                            .extend(waited.map(|waited| (number, waited)));
                        draft.taken.insert(number, withdrawal);
                        draft.make(*attempt, Change::Assign);
                    }
                    return;
                }
            }
        }
    }

    fn take(&mut self, position: usize) -> Option<Withdrawal> {
        let withdrawal = self.supply.queue.remove(position)?;
        self.supply.gas.remove(&withdrawal.number);
        Some(withdrawal)
    }

    fn judge(&self, withdrawal: &Withdrawal, draft: &Draft) -> Judged {
        let intent = &withdrawal.intent;
        if intent.expires <= draft.now {
            let detail = format!("it expired at {}", intent.expires);
            return Judged::Waits(WaitingReason::Expired, detail);
        }
        if let Some(trouble) = self.watch.trouble(draft.now) {
            return Judged::Waits(WaitingReason::NodeUnavailable, trouble);
        }
        let Some(market) = self.watch.market_at(draft.now) else {
            return Judged::NotYet;
        };
        let least = Cost::of(Some(intent), tx::Amount::ZERO);
        match self.watch.covers(&least) {
            None => return Judged::NotYet,
            Some(Err(detail)) => return Judged::Waits(WaitingReason::Funds, detail),
            Some(Ok(())) => {}
        }
        match self.gas_limit(withdrawal) {
            None => Judged::NotYet,
            Some(Err((reason, detail))) => Judged::Waits(reason, detail),
            Some(Ok(gas_limit)) => self.price(withdrawal, gas_limit, market, draft),
        }
    }

    fn gas_limit(&self, withdrawal: &Withdrawal) -> Option<Result<u64, (WaitingReason, String)>> {
        let estimate = match self.known_gas(withdrawal) {
            Some(known) => return Some(Ok(known)),
            None => self.supply.gas.get(&withdrawal.number)?,
        };
        let estimate = match estimate {
            Ok(estimate) => *estimate,
            Err(error @ NodeError::Refused { .. }) => {
                return Some(Err((WaitingReason::Unbuildable, text::chain(error))));
            }
            Err(error) => {
                return Some(Err((WaitingReason::NodeUnavailable, text::chain(error))));
            }
        };
        let margin = estimate.saturating_mul(self.config.gas_margin_percent) / 100;
        let limit = match estimate {
            PLAIN_GAS => PLAIN_GAS,
            _ => estimate.saturating_add(margin),
        };
        let most = self.config.gas_limit_max;
        Some(if limit <= most {
            Ok(limit)
        } else {
            let detail = format!("it takes {limit} units of gas; at most {most} are allowed");
            Err((WaitingReason::Unbuildable, detail))
        })
    }

    fn price(
        &self,
        withdrawal: &Withdrawal,
        gas_limit: u64,
        market: Market,
        draft: &Draft,
    ) -> Judged {
        let intent = &withdrawal.intent;
        let caps = match market.offer(&self.config, gas_limit, Some(intent.max_fee)) {
            Ok(caps) => caps,
            Err(dear) => return Judged::Waits(WaitingReason::Fee, dear_text(dear)),
        };
        let plan = Plan {
            number: draft.next_attempt,
            set: draft.next_attempt,
            nonce: draft.next_nonce,
            gas_limit,
            caps,
            pays: Some((withdrawal.number, intent.clone())),
            replaces: Vec::new(),
            at: draft.now,
        };
        let attempt = match plan.attempt(&self.view.row, &self.sender) {
            Ok(attempt) => attempt,
            Err(refusal) => {
                return Judged::Waits(WaitingReason::Unbuildable, text::chain(&refusal));
            }
        };
        let cost = Cost::of(Some(intent), build::fee_max(&attempt.fee_terms));
        match self.watch.covers(&cost) {
            None => Judged::NotYet,
            Some(Err(detail)) => Judged::Waits(WaitingReason::Funds, detail),
            Some(Ok(())) => Judged::Ready(Box::new(attempt), cost),
        }
    }
}

/// It goes back to where it came from, with the reason.
fn draft_waits(withdrawal: Withdrawal, reason: WaitingReason, detail: &str, draft: &mut Draft) {
    let waiting = common::waiting(withdrawal.waiting.as_ref(), reason, detail, draft.now);
    let not_before = match reason {
        // Its content is fixed: it stays until the user cancels it.
        WaitingReason::Expired => Time::from_millis(u64::MAX),
        _ => common::not_before(&waiting, draft.now),
    };
    draft.push(Change::Wait {
        withdrawals: vec![withdrawal.number],
        waiting: Some(waiting),
        not_before,
    });
    draft.taken.insert(withdrawal.number, withdrawal);
}
