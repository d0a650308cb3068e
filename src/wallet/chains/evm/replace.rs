//! Replacing what is not included by what offers more.

use std::collections::BTreeMap;

use tx::Time;

use super::{
    EvmLane, build,
    build::Plan,
    draft::Draft,
    fees::{Caps, Market, TooDear},
    sets::Set,
};
use crate::{
    attempt::Attempt,
    chains::common,
    change::Change,
    withdrawal::{WaitingReason, Withdrawal, WithdrawalNumber},
};

/// When sets may be looked at again whose replacement was refused or too dear.
#[derive(Debug, Default)]
pub(super) struct Bumps {
    not_before: BTreeMap<u64, Time>,
    /// No set needs a replacement before, unless the chain, the market or the set changes: what is in
    /// flight is not looked through at every event.
    look_at: Time,
}

impl Bumps {
    /// All are looked at again.
    pub(super) fn look_again(&mut self) {
        self.look_at = Time::default();
    }

    /// One may need a replacement from then on.
    pub(super) fn look_from(&mut self, at: Time) {
        self.look_at = self.look_at.min(at);
    }

    pub(super) fn forget(&mut self, nonce: u64) {
        self.not_before.remove(&nonce);
    }
}

impl EvmLane {
    /// One replacement at a time, of the lowest nonce that needs one: nothing above it can be
    /// included before.
    pub(super) fn draft_replacement(&mut self, draft: &mut Draft) {
        let Some(market) = self.watch.market_at(draft.now) else {
            return;
        };
        let Some(from) = self.watch.nonce_most() else {
            return;
        };
        if !draft.open || !draft.unsigned.is_empty() {
            return;
        }
        if draft.now < self.bumps.look_at {
            return;
        }
        let (stuck, look_at) = self.stuck(from, market, draft);
        self.bumps.look_at = look_at;
        for nonce in stuck {
            let again = draft.now.after_millis(self.bump_after_millis());
            self.bumps.not_before.insert(nonce, again);
            self.bumps.look_from(again);
            if self.replace(nonce, market, draft) {
                // Whether another needs one is seen when this one is durable.
                return self.bumps.look_again();
            }
        }
    }

    /// The sets that need a replacement now, and when another may, if nothing but time changes.
    fn stuck(&self, from: u64, market: Market, draft: &Draft) -> (Vec<u64>, Time) {
        let mut stuck = Vec::new();
        let mut look_at = Time::from_millis(u64::MAX);
        for (nonce, set) in self.sets.from(from) {
            match self.due(nonce, set, market) {
                Some(due) if due <= draft.now && !draft.over.contains(&nonce) => stuck.push(nonce),
                Some(due) => look_at = look_at.min(due),
                None => {}
            }
        }
        (stuck, look_at)
    }

    /// When a set has been in no block for too long: the chain's next one, and those that the next
    /// block would not take.
    fn due(&self, nonce: u64, set: &Set, market: Market) -> Option<Time> {
        if set.included.is_some() {
            return None;
        }
        let youngest = set.signed(&self.view).next_back()?;
        let caps = Caps::of(&youngest.fee_terms)?;
        let (is_next, since) = self.watch.next_since(nonce);
        if !is_next && market.takes(caps) {
            return None;
        }
        let since = since.max(youngest.created_at);
        let old = since.after_millis(self.bump_after_millis());
        let blocked = self.bumps.not_before.get(&nonce);
        Some(blocked.map_or(old, |until| old.max(*until)))
    }

    /// Before when a set needs no replacement, whatever the chain and the market do.
    pub(super) fn old_from(&self, set: &Set) -> Option<Time> {
        let youngest = set.signed(&self.view).next_back()?;
        Some(youngest.created_at.after_millis(self.bump_after_millis()))
    }

    fn bump_after_millis(&self) -> u64 {
        self.config.bump_after_secs.saturating_mul(1_000)
    }

    fn replace(&self, nonce: u64, market: Market, draft: &mut Draft) -> bool {
        let Some(set) = self.sets.get(nonce) else {
            return false;
        };
        let signed: Vec<&Attempt> = set.signed(&self.view).collect();
        let Some(youngest) = signed.last() else {
            return false;
        };
        let paid = youngest.pays.first();
        let paid = paid.and_then(|number| self.view.withdrawals.get(number));
        // The signer signs no payment of an intent that has expired: then its nonce is given up.
        let paid = paid.filter(|withdrawal| withdrawal.intent.expires > draft.now);
        let gas_limit = match paid {
            Some(_) => build::gas_limit(&youngest.fee_terms),
            None => self.config.cancellation_gas_limit,
        };
        let caps = signed.iter().filter_map(|old| Caps::of(&old.fee_terms));
        let Some(old) = caps.reduce(Caps::max) else {
            return false;
        };
        let fee_max = paid.map(|withdrawal| withdrawal.intent.max_fee);
        let caps = match market.replacement(old, &self.config, gas_limit, fee_max) {
            Ok(caps) => caps,
            Err(dear) => {
                self.note_dear(youngest, dear, draft);
                return false;
            }
        };
        let declared = signed.iter().filter_map(|old| old.signed.as_ref());
        let plan = Plan {
            number: draft.next_attempt,
            set: youngest.set,
            nonce,
            gas_limit,
            caps,
            pays: paid.map(paid_by),
            replaces: declared.map(|answer| answer.attempt).collect(),
            at: draft.now,
        };
        let Ok(attempt) = plan.attempt(&self.view.row, &self.sender) else {
            return false;
        };
        draft.make(attempt, Change::Replace);
        true
    }

    fn note_dear(&self, attempt: &Attempt, dear: TooDear, draft: &mut Draft) {
        let now = draft.now;
        let detail = format!("its replacement: {}", dear_text(dear));
        draft.note(&self.view, &attempt.pays, |before| {
            Some(common::waiting(before, WaitingReason::Fee, &detail, now))
        });
    }
}

fn paid_by(withdrawal: &Withdrawal) -> (WithdrawalNumber, tx::Intent) {
    (withdrawal.number, withdrawal.intent.clone())
}

/// What those are told who wait for a fee.
pub(super) fn dear_text(dear: TooDear) -> String {
    let TooDear { needed, allowed } = dear;
    format!("inclusion takes {needed} wei a gas, and {allowed} are allowed")
}
