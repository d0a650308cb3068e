//! What people decide and book: approvals, releases, deposits by hand, limits.

use serde_json::{Value as Json, json};
use tx::{Amount, IntentId, Name, Time};

use super::{
    accept::{days, limits, note_use, topic},
    error::conflict,
    late::Late,
    load,
    sql::{self, Values, json as text_of, values},
    work::{Use, Work},
};
use crate::{
    ledger::{Account, Posting},
    limit::DailyLimit,
    store::{Credit, Decided, StoreError},
    withdrawal::{Stage, Waiting, Withdrawal, WithdrawalNumber},
};

/// A withdrawal's way from one row to another.
pub(super) struct Move {
    pub(super) was: Stage,
    pub(super) now: Withdrawal,
}

/// The rows that move withdrawals.
pub(super) fn move_rows(moves: Vec<Move>) -> Result<Vec<Values>, StoreError> {
    let mut rows = Vec::with_capacity(moves.len());
    for Move { was, now } in moves {
        rows.push(values![
            now.number.0,
            was.name(),
            now.stage.name(),
            now.waiting.as_ref().map(text_of).transpose()?,
            now.not_before,
            now.lane.as_ref().map(ToString::to_string),
            now.changed_at,
        ]);
    }
    Ok(rows)
}

async fn step(
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
    work.record(topic(to), Some(withdrawal.number), body, at);
    let now = withdrawal.clone();
    work.later(Late::Moves, move_rows(vec![Move { was, now }])?);
    Ok(Decided::Done(withdrawal))
}

pub(super) async fn approve(
    work: &mut Work<'_>,
    id: &IntentId,
    by: &Name,
    at: Time,
) -> Result<Decided, StoreError> {
    let Some(withdrawal) = load::withdrawal(work.conn, id).await? else {
        return Ok(Decided::Unknown);
    };
    match withdrawal.stage {
        Stage::Manual => {}
        Stage::Released => return Ok(Decided::NotNow(withdrawal)),
        _ => return Ok(Decided::Done(withdrawal)),
    }
    let asset = &withdrawal.intent.asset;
    if limits(work, vec![asset.to_string()]).await?.is_empty() {
        return Ok(Decided::NotNow(withdrawal));
    }
    // A person may go beyond the limit: what is used says so, and leaves no room for others.
    let keys = days(asset, &withdrawal.account, at);
    work.read_days(keys.to_vec()).await?;
    for key in &keys {
        let used = work.used(key).checked_add(withdrawal.amount());
        work.set_used(key, used.unwrap_or(Amount::MAX))?;
    }
    note_use(work, &withdrawal, at);
    step(work, withdrawal, Stage::Approved, &json!({ "by": by }), at).await
}

pub(super) async fn release(
    work: &mut Work<'_>,
    id: &IntentId,
    by: &Name,
    at: Time,
) -> Result<Decided, StoreError> {
    let Some(withdrawal) = load::withdrawal(work.conn, id).await? else {
        return Ok(Decided::Unknown);
    };
    match withdrawal.stage {
        Stage::Manual | Stage::Approved => {}
        Stage::Released => return Ok(Decided::Done(withdrawal)),
        _ => return Ok(Decided::NotNow(withdrawal)),
    }
    if has_open_attempts(work, withdrawal.number).await? {
        return Ok(Decided::NotNow(withdrawal));
    }
    end_hold(work, &withdrawal, at).await?;
    give_back(work, &withdrawal, at).await?;
    step(work, withdrawal, Stage::Released, &json!({ "by": by }), at).await
}

/// Whether an attempt was made that no certificate ends. The stage says so already; a hold is worth
/// a second look.
async fn has_open_attempts(
    work: &mut Work<'_>,
    number: WithdrawalNumber,
) -> Result<bool, StoreError> {
    let text = "SELECT 1 FROM attempt_withdrawals p \
                JOIN attempts a ON a.lane = p.lane AND a.number = p.number \
                WHERE p.withdrawal = $1 AND a.stage NOT IN ('void', 'dead', 'failed') LIMIT 1";
    let found = sql::read(work.conn, text, values![number.0]).await?;
    Ok(!found.is_empty())
}

/// What was frozen is free again. A withdrawal of nobody's has nothing frozen.
async fn end_hold(
    work: &mut Work<'_>,
    withdrawal: &Withdrawal,
    at: Time,
) -> Result<(), StoreError> {
    if !withdrawal.account.is_liability() {
        return Ok(());
    }
    work.later(
        Late::Holds,
        hold_rows(vec![withdrawal.number], "released", at),
    );
    let asset = withdrawal.intent.asset.clone();
    let (free, held) = (withdrawal.account.clone(), withdrawal.account.held());
    let accounts = [free.clone(), held.clone()].map(|account| (account, asset.clone()));
    work.read_balances(accounts.to_vec()).await?;
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

/// The rows that end holds.
pub(super) fn hold_rows(withdrawals: Vec<WithdrawalNumber>, state: &str, at: Time) -> Vec<Values> {
    let rows = withdrawals.into_iter();
    rows.map(|number| values![number.0, state, at]).collect()
}

/// What was used of the limits is there again, by a row that says so.
async fn give_back(
    work: &mut Work<'_>,
    withdrawal: &Withdrawal,
    at: Time,
) -> Result<(), StoreError> {
    let text = "SELECT day FROM limit_uses WHERE withdrawal = $1 AND kind = 'use'";
    let found = sql::read(work.conn, text, values![withdrawal.number.0]).await?;
    let Some(row) = found.first() else {
        return Ok(());
    };
    let day = row.number(0)?;
    let (asset, account) = (&withdrawal.intent.asset, &withdrawal.account);
    let keys = [load::TOTAL.to_owned(), account.to_string()];
    let keys = keys.map(|account| (asset.clone(), account, day));
    work.read_days(keys.to_vec()).await?;
    for key in &keys {
        let used = work.used(key).saturating_sub(withdrawal.amount());
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
    work.note_use(&reversal, at);
    Ok(())
}

pub(super) async fn credit(
    work: &mut Work<'_>,
    credit: &Credit,
    at: Time,
) -> Result<bool, StoreError> {
    let text = "SELECT account, asset, amount, memo FROM credits WHERE id = $1";
    let found = sql::read(work.conn, text, values![credit.id.as_str()]).await?;
    if let Some(row) = found.first() {
        let same = row.text(0)? == credit.account.to_string()
            && row.text(1)? == credit.asset.to_string()
            && row.amount(2)? == credit.amount
            && row.text(3)? == credit.memo;
        return if same {
            Ok(false)
        } else {
            Err(conflict("this id booked another deposit"))
        };
    }
    if !matches!(credit.account, Account::Customer(_)) || credit.amount.is_zero() {
        return Err(conflict("a deposit is something, for a customer"));
    }
    book(work, credit, at).await?;
    let (account, asset) = (credit.account.to_string(), credit.asset.to_string());
    let body = json!({
        "id": credit.id, "client": credit.client, "account": account, "asset": asset,
        "amount": credit.amount, "memo": credit.memo,
    });
    work.record("ledger.credited", None, &body, at);
    Ok(true)
}

async fn book(work: &mut Work<'_>, credit: &Credit, at: Time) -> Result<(), StoreError> {
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
    sql::run(work.conn, text, values).await?;
    let wallet = Account::Wallet(credit.asset.chain);
    let accounts = [wallet.clone(), credit.account.clone()];
    let accounts = accounts.map(|account| (account, credit.asset.clone()));
    work.read_balances(accounts.to_vec()).await?;
    work.post(&Posting {
        id: format!("credit:{}", credit.id),
        debit: wallet,
        credit: credit.account.clone(),
        asset: credit.asset.clone(),
        amount: credit.amount,
        withdrawal: None,
        memo: credit.memo.clone(),
        at,
    })
}

pub(super) async fn set_limits(
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
    let mut had = Vec::new();
    for row in sql::read(work.conn, text, Values::new()).await? {
        had.push((row.text(0)?.to_owned(), row.amount(1)?, row.amount(2)?));
    }
    if had == wanted {
        return Ok(());
    }
    sql::run(work.conn, "DELETE FROM limits", Values::new()).await?;
    let rows = wanted.into_iter();
    let rows = rows.map(|(asset, total, customer)| values![asset, total, customer]);
    let head = "INSERT INTO limits (asset, total, customer) VALUES";
    sql::run_many(work.conn, head, rows.collect(), "").await?;
    work.record("limits.set", None, &json!({ "limits": limits }), at);
    Ok(())
}

/// Says why withdrawals of no lane wait; those that go on by now are let be.
pub(super) async fn wait(
    work: &mut Work<'_>,
    numbers: &[WithdrawalNumber],
    (waiting, not_before): (Option<&Waiting>, Time),
    at: Time,
) -> Result<(), StoreError> {
    let mut moves = Vec::new();
    for mut now in load::withdrawals_by_number(work.conn, numbers.iter().copied()).await? {
        let was = now.stage;
        if was != Stage::Approved {
            continue;
        }
        record_waiting(work, now.number, (now.waiting.as_ref(), waiting), at);
        now.waiting = waiting.cloned();
        now.not_before = not_before;
        now.changed_at = at;
        moves.push(Move { was, now });
    }
    work.later(Late::Moves, move_rows(moves)?);
    Ok(())
}

/// Records why a withdrawal waits, when that is something else than before.
pub(super) fn record_waiting(
    work: &mut Work<'_>,
    number: WithdrawalNumber,
    (before, after): (Option<&Waiting>, Option<&Waiting>),
    at: Time,
) {
    if let Some(after) = after
        && !crate::chains::common::says_the_same(before, Some(after))
    {
        let body = json!({
            "reason": after.reason, "detail": after.detail,
            "reasons": after.reasons, "needs": after.needs,
        });
        work.record("withdrawal.waiting", Some(number), &body, at);
    }
}
