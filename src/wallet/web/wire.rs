//! Between the coordinator's words and the wire's.

use std::collections::BTreeMap;

use api::wallet as wire;
use serde::Serialize;
use serde_json::{Map, Value};
use tx::{Amount, FeeTerms, IntentId};

use crate::{
    attempt::{Attempt, AttemptStage, Purpose},
    change::Gate,
    evidence::Inclusion,
    lane::{LaneId, LaneRow},
    ledger::Account,
    signer::Verdict,
    store::Recorded,
    withdrawal::{Stage, Waiting, Withdrawal, WithdrawalNumber},
};

/// A withdrawal.
pub(super) fn withdrawal(stored: Withdrawal) -> wire::Withdrawal {
    let waiting = stored
        .waiting
        .map(|waiting| self::waiting(waiting, stored.not_before));
    let account = match stored.account {
        Account::Customer(name) | Account::Held(name) => Some(name),
        _ => None,
    };
    let intent = stored.intent;
    wire::Withdrawal {
        source: intent.id.source,
        id: intent.id.id,
        client: stored.client,
        account,
        asset: intent.asset,
        amount: intent.amount,
        destination: intent.destination.to_string(),
        tag: intent.tag,
        max_fee: intent.max_fee,
        expires: intent.expires,
        stage: stage(stored.stage),
        waiting,
        lane: stored.lane.map(|lane| lane.to_string()),
        requested_at: stored.requested_at,
        changed_at: stored.changed_at,
    }
}

fn waiting(waiting: Waiting, until: tx::Time) -> wire::Waiting {
    wire::Waiting {
        reason: waiting.reason,
        detail: waiting.detail,
        reasons: waiting.reasons,
        needs: waiting.needs,
        since: waiting.since,
        until,
    }
}

/// A stage, on the wire.
pub(super) fn stage(stage: Stage) -> wire::Stage {
    match stage {
        Stage::Requested => wire::Stage::Requested,
        Stage::Authenticated => wire::Stage::Authenticated,
        Stage::Held => wire::Stage::Held,
        Stage::Manual => wire::Stage::Manual,
        Stage::Approved => wire::Stage::Approved,
        Stage::Assigned => wire::Stage::Assigned,
        Stage::Signed => wire::Stage::Signed,
        Stage::Broadcast => wire::Stage::Broadcast,
        Stage::Included => wire::Stage::Included,
        Stage::Final => wire::Stage::Final,
        Stage::FailedOnChain => wire::Stage::FailedOnChain,
        Stage::Released => wire::Stage::Released,
        Stage::Halted => wire::Stage::Halted,
    }
}

/// An attempt, with the names of what it pays and the best block of its chain.
pub(super) fn attempt(
    lane: &LaneId,
    stored: Attempt,
    names: &BTreeMap<WithdrawalNumber, IntentId>,
    height: Option<u64>,
) -> wire::Attempt {
    let decision = stored.signed.as_ref().and_then(|answer| {
        let decision = answer.verify(&stored.request).ok()?;
        Some(wire::Deciding {
            entry: decision.attempt,
            time: decision.time,
            account: decision.account,
            effects: decision.effects,
            allowed_by: decision.allowed_by,
            policy: decision.policy,
        })
    });
    let (stage, broadcast_at, place, proof) = fate(&stored.stage, height);
    wire::Attempt {
        lane: lane.to_string(),
        number: stored.number.0,
        set: stored.set.0,
        purpose: purpose(stored.purpose),
        stage,
        anchor: stored.anchor,
        keys: stored.keys.into_iter().collect(),
        pays: stored
            .pays
            .iter()
            .filter_map(|number| names.get(number).cloned())
            .collect(),
        request_id: stored.request.request_id.clone(),
        lane_epoch: stored.request.lane_epoch,
        max_fee: max_fee(stored.fee_terms),
        created_at: stored.created_at,
        broadcast_at,
        txid: stored
            .signed
            .as_ref()
            .map(|answer| answer.transaction.txid.clone()),
        decision,
        place,
        proof,
    }
}

type Fate = (
    wire::AttemptStage,
    Option<tx::Time>,
    Option<wire::Place>,
    Option<wire::Proof>,
);

fn fate(stage: &AttemptStage, height: Option<u64>) -> Fate {
    use wire::AttemptStage as Told;
    let place = |inclusion| Some(place(inclusion, height));
    match stage {
        AttemptStage::Reserved => (Told::Reserved, None, None, None),
        AttemptStage::Signed => (Told::Signed, None, None, None),
        AttemptStage::Broadcast { at } => (Told::Broadcast, Some(*at), None, None),
        AttemptStage::Included(inclusion) => (Told::Included, None, place(inclusion), None),
        AttemptStage::Unproven(inclusion) => (Told::Unproven, None, place(inclusion), None),
        AttemptStage::Final(inclusion) => (Told::Final, None, place(inclusion), None),
        AttemptStage::Failed(inclusion) => (Told::Failed, None, place(inclusion), None),
        AttemptStage::Void(certificate) => (Told::Void, None, None, proof(certificate)),
        AttemptStage::Dead(certificate) => (Told::Dead, None, None, proof(certificate)),
    }
}

fn place(inclusion: &Inclusion, height: Option<u64>) -> wire::Place {
    let below = height.and_then(|height| height.checked_sub(inclusion.block.height));
    wire::Place {
        height: inclusion.block.height,
        hash: inclusion.block.hash.clone(),
        txid: inclusion.txid.clone(),
        fee: inclusion.fee,
        confirmations: below.and_then(|below| below.checked_add(1)),
    }
}

fn proof(certificate: &impl Serialize) -> Option<wire::Proof> {
    let Value::Object(certificate) = serde_json::to_value(certificate).ok()? else {
        return None;
    };
    let kind = certificate.get("proof")?.as_str()?.to_owned();
    Some(wire::Proof { kind, certificate })
}

fn purpose(purpose: Purpose) -> wire::Purpose {
    match purpose {
        Purpose::Payout => wire::Purpose::Payout,
        Purpose::Cancellation => wire::Purpose::Cancellation,
        Purpose::Recovered => wire::Purpose::Recovered,
    }
}

fn max_fee(terms: FeeTerms) -> Option<Amount> {
    match terms {
        FeeTerms::Evm {
            max_fee_per_gas,
            gas_limit,
            ..
        } => max_fee_per_gas.checked_mul(gas_limit.into()),
        FeeTerms::Utxo { fee, .. } => Some(fee.into()),
        _ => None,
    }
}

/// A recorded step.
pub(super) fn event(
    recorded: Recorded,
    names: &BTreeMap<WithdrawalNumber, IntentId>,
) -> wire::Event {
    wire::Event {
        event: recorded.event,
        at: recorded.at,
        topic: recorded.topic,
        withdrawal: recorded
            .withdrawal
            .and_then(|number| names.get(&number).cloned()),
        body: match recorded.body {
            Value::Object(body) => body,
            Value::Null => Map::new(),
            other => Map::from_iter([("value".to_owned(), other)]),
        },
    }
}

/// What the signer's policy would say.
pub(super) fn verdict(verdict: Verdict) -> wire::PolicyAnswer {
    use wire::PolicyVerdict as Told;
    let answer = |verdict| wire::PolicyAnswer {
        verdict,
        reasons: Vec::new(),
        needs: Vec::new(),
        detail: None,
    };
    match verdict {
        Verdict::Allowed => answer(Told::Allowed),
        Verdict::Needs { needs } => wire::PolicyAnswer {
            needs,
            ..answer(Told::Needs)
        },
        Verdict::Refused { reasons, needs } => wire::PolicyAnswer {
            reasons,
            needs,
            ..answer(Told::Refused)
        },
        Verdict::Unknown { detail } => wire::PolicyAnswer {
            detail: Some(detail),
            ..answer(Told::Unknown)
        },
    }
}

/// A lane.
pub(super) fn lane(row: LaneRow) -> wire::LaneReport {
    let (gate, detail) = match row.gate {
        Gate::Closed { detail } => (wire::GateState::Closed, Some(detail)),
        Gate::Open => (wire::GateState::Open, None),
        Gate::Halted { detail } => (wire::GateState::Halted, Some(detail)),
    };
    let has_nonce = matches!(row.id.chain, tx::Chain::Evm(_));
    wire::LaneReport {
        lane: row.id.to_string(),
        account: row.account,
        epoch: row.epoch,
        lease: row.lease,
        gate,
        detail,
        next_nonce: has_nonce.then_some(row.next_nonce),
        next_attempt: row.next_attempt.0,
        compared_to: row.compared_to,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stage_has_one_name() {
        for one in Stage::ALL {
            assert_eq!(stage(one).name(), one.name());
        }
    }
}
