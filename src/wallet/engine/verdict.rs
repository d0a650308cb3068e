//! What the signer's policy would say of a payment that nobody asked for yet.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use api::signing::{Key, Reason};
use tx::{Address, Chain, Intent, Name, Time};

use super::{Running, Shared, clock::now, lanes::of_keys};
use crate::{
    attempt::AttemptNumber,
    change::Gate,
    lane::{LaneRow, Sender},
    ledger::Account,
    signer::Verdict,
    store::NewLane,
    withdrawal::{Stage, Withdrawal, WithdrawalNumber},
};

/// How long the signer may take, for whoever only wants to know.
pub(super) const PATIENCE: Duration = Duration::from_secs(3);
/// How often a source may ask in a second: payouts share the signer's rate with it.
pub(super) const PER_SECOND: u32 = 5;
/// What speaks against the trial and not against the payment: something was signed meanwhile.
const OF_THE_MOMENT: [&str; 3] = ["undeclared-conflict", "replacement-fee", "lane-epoch"];

/// One of the signer's addresses that pays on a chain, where addresses pay.
pub(super) fn payer(chain: Chain, accounts: &[Name], keys: &[Key]) -> Option<Address> {
    let mut lanes = of_keys(chain, accounts, keys).into_iter();
    lanes.find_map(|lane| match lane.id.sender {
        Sender::Address(address) => Some(address),
        Sender::Account(_) => None,
    })
}

/// The verdict on the first lane that may pay it, or else on the first one.
pub(super) async fn of(
    shared: &Shared,
    chains: &BTreeMap<Chain, Running>,
    payment: &Intent,
) -> Verdict {
    let chain = payment.asset.chain;
    let Some(running) = chains.get(&chain) else {
        return unknown(format!("nothing is paid on {chain}"));
    };
    if !shared.verdicts.take(&payment.id.source, Instant::now()) {
        return unknown("the signer is asked too often; ask again".into());
    }
    // Asked anew: what is remembered of the lanes' epochs and nonces is old.
    let keys = match shared.signer.keys().await {
        Ok(answer) => answer.keys,
        Err(detail) => return unknown(detail),
    };
    let trial = withdrawal(payment);
    let mut first = None;
    let mut accounts = Vec::new();
    for lane in of_keys(chain, &running.accounts, &keys) {
        // The policy speaks of accounts: one lane of each is enough.
        if accounts.contains(&lane.account) {
            continue;
        }
        accounts.push(lane.account.clone());
        let verdict = match running.market.trial(&row(lane), &keys, &trial) {
            Ok(request) => of_the_payment(shared.signer.evaluate(&request).await),
            Err(detail) => unknown(detail),
        };
        if verdict == Verdict::Allowed {
            return verdict;
        }
        first.get_or_insert(verdict);
    }
    first.unwrap_or_else(|| unknown(format!("the signer has no key for {chain}")))
}

/// Without what speaks only of the moment.
fn of_the_payment(verdict: Verdict) -> Verdict {
    let of_the_moment = |reason: &Reason| OF_THE_MOMENT.contains(&reason.code.as_str());
    match verdict {
        Verdict::Refused { reasons, .. } if reasons.iter().any(of_the_moment) => {
            unknown("a payment was signed meanwhile; ask again".into())
        }
        verdict => verdict,
    }
}

fn unknown(detail: String) -> Verdict {
    Verdict::Unknown { detail }
}

/// A lane as the signer sees it now.
fn row(lane: NewLane) -> LaneRow {
    LaneRow {
        id: lane.id,
        account: lane.account,
        lease: 0,
        epoch: lane.signer_epoch,
        epoch_seen: false,
        next_attempt: AttemptNumber(0),
        next_nonce: lane.next_nonce,
        gate: Gate::Open,
        compared_to: None,
    }
}

fn withdrawal(payment: &Intent) -> Withdrawal {
    Withdrawal {
        number: WithdrawalNumber(0),
        client: payment.id.source.clone(),
        account: Account::Suspense,
        intent: payment.clone(),
        stage: Stage::Approved,
        waiting: None,
        not_before: Time::default(),
        lane: None,
        requested_at: now(),
        changed_at: now(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(codes: &[&str]) -> Verdict {
        let reason = |code: &&str| Reason {
            code: (*code).into(),
            statement: None,
            at: None,
            detail: "no".into(),
            remedy: "none".into(),
        };
        Verdict::Refused {
            reasons: codes.iter().map(reason).collect(),
            needs: Vec::new(),
        }
    }

    #[test]
    fn what_speaks_of_the_moment_is_no_verdict_on_the_payment() {
        let limit = refused(&["limit"]);
        assert_eq!(of_the_payment(limit.clone()), limit);
        let moment = of_the_payment(refused(&["limit", "undeclared-conflict"]));
        assert!(matches!(moment, Verdict::Unknown { .. }));
        assert_eq!(of_the_payment(Verdict::Allowed), Verdict::Allowed);
    }
}
