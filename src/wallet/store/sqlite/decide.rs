//! What people decide and book: approvals, releases, deposits by hand, limits.

use serde_json::{Value as Json, json};
use tx::{Amount, IntentId, Name, Time};

use super::{
    accept::{days, limit, note_use, topic},
    error::conflict,
    load,
    sql::{self, json as text_of, values},
    work::{Use, Work},
};
use crate::{
    ledger::{Account, Posting},
    limit::DailyLimit,
    store::{Credit, Decided, StoreError},
    withdrawal::{Stage, Waiting, Withdrawal, WithdrawalNumber},
};

/// Writes a withdrawal that went on, if it is still in the stage it was read in, with its lane as text.
pub(super) fn move_on(
    work: &mut Work<'_>,
    lane: Option<&str>,
    (was, now): (Stage, &Withdrawal),
) -> Result<(), StoreError> {
    let text = "UPDATE withdrawals SET stage = $3, waiting = $4, not_before = $5, lane = $6, \
                changed_at = $7 WHERE number = $1 AND stage = $2";
    let values = values![
        now.number.0,
        was.name(),
        now.stage.name(),
        now.waiting.as_ref().map(text_of).transpose()?,
        now.not_before,
        lane,
        now.changed_at,
    ];
    sql::run_one(work.conn, text, &values)?;
    if now.stage.is_over() {
        work.note_ended(now.stage, now.chain());
    }
    Ok(())
}

fn step(
    work: &mut Work<'_>,
    mut withdrawal: Withdrawal,
    to: Stage,
    body: &Json,
    at: Time,
) -> Result<Decided, StoreError> {
    let was = withdrawal.stage;
    withdrawal.stage = to;
    withdrawal.waiting = None;
    withdrawal.changed_at = at;
    work.record(topic(to), Some(withdrawal.number), body, at)?;
    // It has no lane: what an attempt was made for is beyond such steps.
    move_on(work, None, (was, &withdrawal))?;
    Ok(Decided::Done(withdrawal))
}

pub(super) fn approve(
    work: &mut Work<'_>,
    id: &IntentId,
    by: &Name,
    at: Time,
) -> Result<Decided, StoreError> {
    let Some(withdrawal) = load::withdrawal(work.conn, id)? else {
        return Ok(Decided::Unknown);
    };
    match withdrawal.stage {
        Stage::Manual => {}
        Stage::Released => return Ok(Decided::NotNow(withdrawal)),
        _ => return Ok(Decided::Done(withdrawal)),
    }
    let asset = &withdrawal.intent.asset;
    if limit(work, asset)?.is_none() {
        return Ok(Decided::NotNow(withdrawal));
    }
    // A person may go beyond the limit: what is used says so, and leaves no room for others.
    let keys = days(asset, &withdrawal.account, at);
    for key in &keys {
        let used = work.used(key)?.checked_add(withdrawal.amount());
        work.set_used(key, used.unwrap_or(Amount::MAX))?;
    }
    note_use(work, &withdrawal, at)?;
    step(work, withdrawal, Stage::Approved, &json!({ "by": by }), at)
}

pub(super) fn release(
    work: &mut Work<'_>,
    id: &IntentId,
    by: &Name,
    at: Time,
) -> Result<Decided, StoreError> {
    let Some(withdrawal) = load::withdrawal(work.conn, id)? else {
        return Ok(Decided::Unknown);
    };
    match withdrawal.stage {
        Stage::Manual | Stage::Approved => {}
        Stage::Released => return Ok(Decided::Done(withdrawal)),
        _ => return Ok(Decided::NotNow(withdrawal)),
    }
    if has_open_attempts(work, withdrawal.number)? {
        return Ok(Decided::NotNow(withdrawal));
    }
    end_hold(work, &withdrawal, at)?;
    give_back(work, &withdrawal, at)?;
    step(work, withdrawal, Stage::Released, &json!({ "by": by }), at)
}

/// Whether an attempt was made that no certificate ends. The stage says so already; a hold is worth
/// a second look.
fn has_open_attempts(work: &mut Work<'_>, number: WithdrawalNumber) -> Result<bool, StoreError> {
    let text = "SELECT 1 FROM attempt_withdrawals p \
                JOIN attempts a ON a.id = p.attempt \
                WHERE p.withdrawal = $1 AND a.stage NOT IN ('void', 'dead', 'failed') LIMIT 1";
    let found = sql::read_one(work.conn, text, &values![number.0], |_| Ok(()))?;
    Ok(found.is_some())
}

/// What was frozen is free again. A withdrawal of nobody's has nothing frozen.
fn end_hold(work: &mut Work<'_>, withdrawal: &Withdrawal, at: Time) -> Result<(), StoreError> {
    if !withdrawal.account.is_liability() {
        return Ok(());
    }
    settle(work, withdrawal.number, "released", at)?;
    let asset = withdrawal.intent.asset.clone();
    let (free, held) = (withdrawal.account.clone(), withdrawal.account.held());
    work.post(&Posting {
        id: format!("released:{}", withdrawal.number.0),
        debit: held,
        credit: free,
        asset,
        amount: withdrawal.amount(),
        withdrawal: Some(withdrawal.number),
        memo: "released".into(),
        at,
    })
}

/// Ends a hold, once.
pub(super) fn settle(
    work: &Work<'_>,
    withdrawal: WithdrawalNumber,
    state: &str,
    at: Time,
) -> Result<(), StoreError> {
    let text = "UPDATE holds SET state = $2, changed_at = $3 \
                WHERE withdrawal = $1 AND state = 'held'";
    sql::run_one(work.conn, text, &values![withdrawal.0, state, at])
}

/// What was used of the limits is there again, by a row that says so.
fn give_back(work: &mut Work<'_>, withdrawal: &Withdrawal, at: Time) -> Result<(), StoreError> {
    let text = "SELECT day FROM limit_uses WHERE withdrawal = $1 AND kind = 'use'";
    let number = values![withdrawal.number.0];
    let Some(day) = sql::read_one(work.conn, text, &number, |row| row.number(0))? else {
        return Ok(());
    };
    let (asset, account) = (&withdrawal.intent.asset, &withdrawal.account);
    let keys = [load::TOTAL.to_owned(), account.to_string()];
    let keys = keys.map(|account| (asset.clone(), account, day));
    for key in &keys {
        let used = work.used(key)?.saturating_sub(withdrawal.amount());
        work.set_used(key, used)?;
    }
    let reversal = Use {
        withdrawal: withdrawal.number,
        kind: "reversal",
        asset,
        account,
        day,
        amount: withdrawal.amount(),
    };
    work.note_use(&reversal, at)
}

pub(super) fn credit(work: &mut Work<'_>, credit: &Credit, at: Time) -> Result<bool, StoreError> {
    let text = "SELECT account, asset, amount, memo FROM credits WHERE id = $1";
    let booked = sql::read_one(work.conn, text, &values![credit.id.as_str()], |row| {
        Ok(row.text(0)? == credit.account.to_string()
            && row.text(1)? == credit.asset.to_string()
            && row.amount(2)? == credit.amount
            && row.text(3)? == credit.memo)
    })?;
    if let Some(same) = booked {
        return if same {
            Ok(false)
        } else {
            Err(conflict("this id booked another deposit"))
        };
    }
    if !matches!(credit.account, Account::Customer(_)) || credit.amount.is_zero() {
        return Err(conflict("a deposit is something, for a customer"));
    }
    book(work, credit, at)?;
    let (account, asset) = (credit.account.to_string(), credit.asset.to_string());
    let body = json!({
        "id": credit.id, "client": credit.client, "account": account, "asset": asset,
        "amount": credit.amount, "memo": credit.memo,
    });
    work.record("ledger.credited", None, &body, at)?;
    Ok(true)
}

fn book(work: &mut Work<'_>, credit: &Credit, at: Time) -> Result<(), StoreError> {
    let text = "INSERT INTO credits (id, client, account, asset, amount, memo, at) \
                VALUES ($1, $2, $3, $4, $5, $6, $7)";
    let values = values![
        credit.id.as_str(),
        credit.client.as_str(),
        credit.account.to_string(),
        credit.asset.to_string(),
        credit.amount,
        credit.memo.as_str(),
        at,
    ];
    sql::run_one(work.conn, text, &values)?;
    work.post(&Posting {
        id: format!("credit:{}", credit.id),
        debit: Account::Wallet(credit.asset.chain),
        credit: credit.account.clone(),
        asset: credit.asset.clone(),
        amount: credit.amount,
        withdrawal: None,
        memo: credit.memo.clone(),
        at,
    })
}

pub(super) fn set_limits(
    work: &mut Work<'_>,
    limits: &[DailyLimit],
    at: Time,
) -> Result<(), StoreError> {
    let mut wanted: Vec<(String, Amount, Amount)> = limits
        .iter()
        .map(|limit| (limit.asset.to_string(), limit.total, limit.customer))
        .collect();
    wanted.sort();
    let text = "SELECT asset, total, customer FROM limits ORDER BY asset";
    let had = sql::read(work.conn, text, &[], |row| {
        Ok((row.text(0)?.to_owned(), row.amount(1)?, row.amount(2)?))
    })?;
    if had == wanted {
        return Ok(());
    }
    sql::run(work.conn, "DELETE FROM limits", &[])?;
    let text = "INSERT INTO limits (asset, total, customer) VALUES ($1, $2, $3)";
    for (asset, total, customer) in wanted {
        sql::run_one(work.conn, text, &values![asset, total, customer])?;
    }
    work.record("limits.set", None, &json!({ "limits": limits }), at)
}

/// Says why withdrawals of no lane wait; those that go on by now are let be.
pub(super) fn wait(
    work: &mut Work<'_>,
    numbers: &[WithdrawalNumber],
    (waiting, not_before): (Option<&Waiting>, Time),
    at: Time,
) -> Result<(), StoreError> {
    for number in numbers {
        let found = load::withdrawal_numbered(work.conn, *number)?;
        let Some(mut now) = found.filter(|found| found.stage == Stage::Approved) else {
            continue;
        };
        record_waiting(work, now.number, (now.waiting.as_ref(), waiting), at)?;
        now.waiting = waiting.cloned();
        now.not_before = not_before;
        now.changed_at = at;
        move_on(work, None, (Stage::Approved, &now))?;
    }
    Ok(())
}

/// Records why a withdrawal waits, when that is something else than before.
pub(super) fn record_waiting(
    work: &mut Work<'_>,
    number: WithdrawalNumber,
    (before, after): (Option<&Waiting>, Option<&Waiting>),
    at: Time,
) -> Result<(), StoreError> {
    if let Some(after) = after
        && !crate::chains::common::says_the_same(before, Some(after))
    {
        let body = json!({
            "reason": after.reason, "detail": after.detail,
            "reasons": after.reasons, "needs": after.needs,
        });
        work.record("withdrawal.waiting", Some(number), &body, at)?;
    }
    Ok(())
}
