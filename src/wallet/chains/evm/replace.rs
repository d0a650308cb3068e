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
}

impl Bumps {
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
        let stuck: Vec<u64> = self
            .sets
            .from(from)
            .filter(|(nonce, set)| self.is_stuck(*nonce, set, market, draft))
            .map(|(nonce, _)| nonce)
            .collect();
        for nonce in stuck {
            let again = self.config.bump_after_secs.saturating_mul(1_000);
            let again = draft.now.after_millis(again);
            self.bumps.not_before.insert(nonce, again);
            if self.replace(nonce, market, draft) {
                return;
            }
        }
    }

    /// Whether a set has been in no block for too long: the chain's next one, and those that the next
    /// block would not take.
    fn is_stuck(&self, nonce: u64, set: &Set, market: Market, draft: &Draft) -> bool {
        let now = draft.now;
        let blocked = self.bumps.not_before.get(&nonce);
        if set.included.is_some()
            || draft.over.contains(&nonce)
            || blocked.is_some_and(|until| now < *until)
        {
            return false;
        }
        let Some(youngest) = set.signed(&self.view).next_back() else {
            return false;
        };
        let Some(caps) = Caps::of(&youngest.fee_terms) else {
            return false;
        };
        let (is_next, since) = self.watch.next_since(nonce);
        let since = since.max(youngest.created_at);
        let old = now.millis_since(since) >= self.config.bump_after_secs.saturating_mul(1_000);
        old && (is_next || !market.takes(caps))
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
