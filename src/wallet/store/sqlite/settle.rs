//! A person's word on what is in the chain for good and of which the chain does not say whether it
//! paid.

use serde_json::json;
use tx::{IntentId, Time};

use super::{
    commit::{self, Views},
    decide,
    error::conflict,
    lanes, load,
    sql::{self, values},
    work::Work,
};
use crate::{
    attempt::{Attempt, AttemptStage},
    change::{Change, Commit},
    lane::LaneId,
    settlement::{Outcome, Settlement},
    store::{Decided, StoreError},
    withdrawal::Withdrawal,
};

/// What is recorded of it.
const TOPIC: &str = "withdrawal.settled";

pub(super) fn settle(
    work: &mut Work<'_>,
    views: &mut Views,
    (id, settlement): (&IntentId, &Settlement),
    at: Time,
) -> Result<Decided, StoreError> {
    let Some(withdrawal) = load::withdrawal(work.conn, id)? else {
        return Ok(Decided::Unknown);
    };
    let attempts = load::attempts(work.conn, withdrawal.number)?;
    let named = attempts.into_iter().find(|(_, attempt)| {
        let inclusion = attempt.stage.inclusion();
        inclusion.is_some_and(|inclusion| inclusion.txid == settlement.txid)
    });
    let Some((lane, attempt)) = named else {
        return Ok(Decided::NotNow(withdrawal));
    };
    if !matches!(attempt.stage, AttemptStage::Unproven(_)) {
        return match was_said(work, &withdrawal, settlement)? {
            true => Ok(Decided::Done(withdrawal)),
            false => Ok(Decided::NotNow(withdrawal)),
        };
    }
    apply(work, views, (&lane, &attempt, settlement), at)?;
    if settlement.outcome == Outcome::Release {
        return decide::release(work, id, &settlement.by, at);
    }
    let settled = load::withdrawal(work.conn, id)?;
    Ok(settled.map_or(Decided::Unknown, Decided::Done))
}

/// Whether the same was said of the same transaction before.
fn was_said(
    work: &mut Work<'_>,
    withdrawal: &Withdrawal,
    settlement: &Settlement,
) -> Result<bool, StoreError> {
    let text = "SELECT body FROM events WHERE withdrawal = $1 AND topic = $2";
    let values = values![withdrawal.number.0, TOPIC];
    let said = sql::read(work.conn, text, &values, |row| {
        row.json::<serde_json::Value>(0, "an event")
    })?;
    let outcome = json!(settlement.outcome);
    let mut of_it = said.iter().filter(|body| {
        let txid = body.get("txid");
        txid.is_some_and(|txid| *txid == settlement.txid.as_str())
    });
    Ok(of_it.next().and_then(|body| body.get("outcome")) == Some(&outcome))
}

/// As a commit of the lane's owner, whose view is of no use afterwards.
fn apply(
    work: &mut Work<'_>,
    views: &mut Views,
    (lane, attempt, settlement): (&LaneId, &Attempt, &Settlement),
    at: Time,
) -> Result<(), StoreError> {
    let Some(row) = load::lane(work.conn, lane)? else {
        return Err(conflict("there is no such lane"));
    };
    let body = json!({
        "lane": lane, "attempt": attempt.number, "txid": settlement.txid,
        "outcome": settlement.outcome, "by": settlement.by, "why": settlement.why,
    });
    for number in &attempt.pays {
        work.record(TOPIC, Some(*number), &body, at)?;
    }
    let settled = Change::Settled {
        attempt: attempt.number,
        outcome: settlement.outcome,
    };
    let commit = Commit {
        lane: lane.clone(),
        lease: row.lease,
        at,
        changes: vec![settled],
    };
    commit::commit(work, views, &commit)?;
    views.remove(lane);
    lanes::fence(work, lane, row.lease)
}
