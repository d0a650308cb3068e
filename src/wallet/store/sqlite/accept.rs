//! Accepting withdrawals.

use serde_json::json;
use tx::{Amount, Asset, Time};

use super::{
    error::conflict,
    load, rows,
    sql::{self, values},
    work::{DayKey, Use, Work},
};
use crate::{
    ledger::{Account, Posting},
    limit::day_of,
    store::{Accepted, StoreError},
    withdrawal::{NewWithdrawal, Stage, Waiting, WaitingReason, Withdrawal},
};

#[derive(Clone, Copy)]
pub(super) struct Limit {
    total: Amount,
    customer: Amount,
}

/// Accepts or refuses each, in their order.
pub(super) fn accept(
    work: &mut Work<'_>,
    new: &[NewWithdrawal],
    at: Time,
) -> Result<Vec<Accepted>, StoreError> {
    if new.iter().any(|new| new.intent.amount.is_zero()) {
        return Err(conflict("a withdrawal of nothing"));
    }
    new.iter().map(|new| one(work, new, at)).collect()
}

/// The days whose use a withdrawal counts for.
pub(super) fn days(asset: &Asset, account: &Account, at: Time) -> [DayKey; 2] {
    let day = day_of(at);
    [load::TOTAL.to_owned(), account.to_string()].map(|account| (asset.clone(), account, day))
}

/// The limit on an asset; without one nothing of it may leave.
pub(super) fn limit(work: &Work<'_>, asset: &Asset) -> Result<Option<Limit>, StoreError> {
    let text = "SELECT total, customer FROM limits WHERE asset = $1";
    sql::read_one(work.conn, text, &values![asset.to_string()], |row| {
        Ok(Limit {
            total: row.amount(0)?,
            customer: row.amount(1)?,
        })
    })
}

fn one(work: &mut Work<'_>, new: &NewWithdrawal, at: Time) -> Result<Accepted, StoreError> {
    let intent = &new.intent;
    if let Some(had) = load::withdrawal(work.conn, &intent.id)? {
        return Ok(if new.is(&had) {
            Accepted::Same(had)
        } else {
            Accepted::Different(had)
        });
    }
    let Some(limit) = limit(work, &intent.asset)? else {
        return Ok(Accepted::NoLimit);
    };
    let available = match new.account {
        Account::Customer(_) => work.balance(&new.account, &intent.asset)?.owed(),
        _ => None,
    };
    let available = available.unwrap_or(Amount::ZERO);
    if available < intent.amount {
        return Ok(Accepted::InsufficientFunds { available });
    }
    admit(work, new, limit, at).map(Accepted::New)
}

/// The withdrawal with its hold, its use of the limits and its steps.
fn admit(
    work: &mut Work<'_>,
    new: &NewWithdrawal,
    limit: Limit,
    at: Time,
) -> Result<Withdrawal, StoreError> {
    let within = consume(work, new, limit, at)?;
    let withdrawal = Withdrawal {
        number: work.new_number(),
        client: new.client.clone(),
        account: new.account.clone(),
        intent: new.intent.clone(),
        stage: if within {
            Stage::Approved
        } else {
            Stage::Manual
        },
        waiting: (!within).then(|| beyond(at)),
        not_before: Time::from_millis(0),
        lane: None,
        requested_at: at,
        changed_at: at,
    };
    rows::insert_withdrawal(work.conn, &withdrawal)?;
    hold(work, &withdrawal, at)?;
    if within {
        note_use(work, &withdrawal, at)?;
    }
    let (client, nothing) = (json!({ "client": new.client }), json!({}));
    for (stage, body) in [
        (Stage::Requested, &client),
        (Stage::Authenticated, &nothing),
        (Stage::Held, &nothing),
        (withdrawal.stage, &nothing),
    ] {
        work.record(topic(stage), Some(withdrawal.number), body, at)?;
    }
    Ok(withdrawal)
}

/// Consumes both limits, if it is within both.
fn consume(
    work: &mut Work<'_>,
    new: &NewWithdrawal,
    limit: Limit,
    at: Time,
) -> Result<bool, StoreError> {
    let keys = days(&new.intent.asset, &new.account, at);
    let amount = new.intent.amount;
    let most = [limit.total, limit.customer];
    let mut uses = Vec::with_capacity(2);
    for (key, most) in keys.iter().zip(most) {
        let used = work.used(key)?.checked_add(amount);
        match used.filter(|used| *used <= most) {
            Some(used) => uses.push((key, used)),
            None => return Ok(false),
        }
    }
    for (key, used) in uses {
        work.set_used(key, used)?;
    }
    Ok(true)
}

fn hold(work: &mut Work<'_>, withdrawal: &Withdrawal, at: Time) -> Result<(), StoreError> {
    let (asset, amount) = (&withdrawal.intent.asset, withdrawal.intent.amount);
    let text = "INSERT INTO holds (withdrawal, account, asset, amount, state, changed_at) \
                VALUES ($1, $2, $3, $4, 'held', $5)";
    let values = values![
        withdrawal.number.0,
        withdrawal.account.to_string(),
        asset.to_string(),
        amount,
        at,
    ];
    sql::run_one(work.conn, text, &values)?;
    work.post(&Posting {
        id: format!("held:{}", withdrawal.number.0),
        debit: withdrawal.account.clone(),
        credit: withdrawal.account.held(),
        asset: asset.clone(),
        amount,
        withdrawal: Some(withdrawal.number),
        memo: "held for a withdrawal".into(),
        at,
    })
}

pub(super) fn note_use(
    work: &Work<'_>,
    withdrawal: &Withdrawal,
    at: Time,
) -> Result<(), StoreError> {
    let used = Use {
        withdrawal: withdrawal.number,
        kind: "use",
        asset: &withdrawal.intent.asset,
        account: &withdrawal.account,
        day: day_of(at),
        amount: withdrawal.intent.amount,
    };
    work.note_use(&used, at)
}

fn beyond(at: Time) -> Waiting {
    Waiting {
        reason: WaitingReason::Limit,
        detail: "it is beyond a daily limit: a person decides".into(),
        reasons: Vec::new(),
        needs: Vec::new(),
        since: at,
    }
}

/// The topic of a withdrawal's step.
pub(super) fn topic(stage: Stage) -> &'static str {
    match stage {
        Stage::Requested => "withdrawal.requested",
        Stage::Authenticated => "withdrawal.authenticated",
        Stage::Held => "withdrawal.held",
        Stage::Manual => "withdrawal.manual",
        Stage::Approved => "withdrawal.approved",
        Stage::Assigned => "withdrawal.assigned",
        Stage::Signed => "withdrawal.signed",
        Stage::Broadcast => "withdrawal.broadcast",
        Stage::Included => "withdrawal.included",
        Stage::Final => "withdrawal.final",
        Stage::FailedOnChain => "withdrawal.failed-on-chain",
        Stage::Released => "withdrawal.released",
        Stage::Halted => "withdrawal.halted",
    }
}
