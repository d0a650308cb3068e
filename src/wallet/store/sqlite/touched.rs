//! Writes what a lane's changes touched.

use std::collections::BTreeSet;

use serde_json::{Value as Json, json};
use tx::{Asset, ConflictKey};

use super::{
    accept::topic,
    commit::Moved,
    decide::{move_on, record_waiting, settle},
    rows,
    sql::{self, json as text_of, values},
    work::Work,
};
use crate::{
    attempt::{Attempt, AttemptNumber, AttemptStage},
    evidence::Inclusion,
    ledger::{Account, Posting},
    store::StoreError,
    view::Step,
    withdrawal::{Stage, WithdrawalNumber},
};

pub(super) fn write(work: &mut Work<'_>, moved: &Moved<'_>) -> Result<(), StoreError> {
    attempts(work, moved)?;
    live_sets(work, moved)?;
    reservations(work, moved)?;
    withdrawals(work, moved)?;
    ledger(work, moved)?;
    coins(work, moved)?;
    blocks(work, moved)?;
    for step in &moved.applied.steps {
        let body = step_body(moved, step);
        work.record(topic(step.to), Some(step.withdrawal), &body, moved.at)?;
    }
    for (number, before) in &moved.applied.withdrawals {
        let before = before.as_ref().and_then(|before| before.waiting.as_ref());
        let after = moved.withdrawal(*number);
        let after = after.and_then(|after| after.waiting.as_ref());
        record_waiting(work, *number, (before, after), moved.at)?;
    }
    Ok(())
}

impl Moved<'_> {
    fn attempt(&self, number: AttemptNumber) -> Option<&Attempt> {
        let kept = self.view.attempts.get(&number);
        kept.or_else(|| self.applied.left.get(&number))
    }

    /// The attempts that were touched, as they were and are.
    fn attempts(&self) -> impl Iterator<Item = (Option<&Attempt>, &Attempt)> {
        let touched = self.applied.attempts.iter();
        touched.filter_map(|(number, before)| Some((before.as_ref(), self.attempt(*number)?)))
    }
}

/// New attempts; and those that went on, each if it is still in the stage it was read in.
fn attempts(work: &mut Work<'_>, moved: &Moved<'_>) -> Result<(), StoreError> {
    let lane = moved.lane;
    for (before, attempt) in moved.attempts() {
        match before {
            None => rows::insert_attempt(work.conn, (work.new_attempt(), lane), attempt)?,
            Some(before) => move_attempt(work, lane, (before, attempt))?,
        }
    }
    Ok(())
}

fn move_attempt(
    work: &Work<'_>,
    lane: &str,
    (before, attempt): (&Attempt, &Attempt),
) -> Result<(), StoreError> {
    let text = "UPDATE attempts SET stage = $4, evidence = $5 \
                WHERE lane = $1 AND number = $2 AND stage = $3";
    let values = values![
        lane,
        attempt.number.0,
        before.stage.name(),
        attempt.stage.name(),
        text_of(&attempt.stage)?,
    ];
    sql::run_one(work.conn, text, &values)?;
    match &attempt.signed {
        Some(answer) if before.signed.is_none() => {
            rows::insert_answer(work.conn, (lane, attempt.number), answer)
        }
        _ => Ok(()),
    }
}

/// The sets of withdrawals that left theirs end first: one may have come to another at once.
fn live_sets(work: &Work<'_>, moved: &Moved<'_>) -> Result<(), StoreError> {
    let lane = moved.lane;
    let steps = || moved.applied.steps.iter();
    let entered = |number: WithdrawalNumber| {
        let mut steps = steps().rev();
        steps.find(|step| step.withdrawal == number && step.to == Stage::Assigned)
    };
    for (number, before) in &moved.applied.withdrawals {
        let was = before.as_ref().is_some_and(|had| had.stage.is_under_way());
        let is = moved.withdrawal(*number);
        let is = is.is_some_and(|has| has.stage.is_under_way());
        let entered = entered(*number);
        if was && (!is || entered.is_some()) {
            let text = "DELETE FROM live_sets WHERE withdrawal = $1";
            sql::run(work.conn, text, &values![number.0])?;
        }
        if let Some(step) = entered.filter(|_| is)
            && let Some(attempt) = moved.attempt(step.attempt)
        {
            // A withdrawal has one set at most, of whatever lane.
            let text = "INSERT INTO live_sets (withdrawal, lane, set_number) VALUES ($1, $2, $3)";
            let values = values![number.0, lane, attempt.set.0];
            sql::run_one(work.conn, text, &values)?;
        }
    }
    Ok(())
}

fn reservations(work: &Work<'_>, moved: &Moved<'_>) -> Result<(), StoreError> {
    let lane = moved.lane;
    let mut keys: BTreeSet<&ConflictKey> = BTreeSet::new();
    for (before, attempt) in moved.attempts() {
        let was_live = before.is_some_and(Attempt::is_live);
        if before.is_none() || was_live != attempt.is_live() {
            keys.extend(&attempt.keys);
        }
    }
    for key in keys {
        let Some(set) = moved.view.holder(key) else {
            let text = "DELETE FROM reservations WHERE key = $1";
            sql::run(work.conn, text, &values![key.to_string()])?;
            continue;
        };
        // Of this lane's own sets the view has checked them; what another lane holds stays its.
        let text = "INSERT INTO reservations (key, lane, set_number) VALUES ($1, $2, $3) \
                    ON CONFLICT (key) DO UPDATE SET set_number = excluded.set_number \
                    WHERE reservations.lane = excluded.lane";
        let values = values![key.to_string(), lane, set.0];
        sql::run_one(work.conn, text, &values)?;
    }
    overlapped(work, moved)
}

/// An adopted set of which older sets hold every key is live all the same, until it ends.
fn overlapped(work: &Work<'_>, moved: &Moved<'_>) -> Result<(), StoreError> {
    for (before, attempt) in moved.attempts() {
        let values = values![moved.lane, attempt.set.0];
        if before.is_some() && !moved.view.set(attempt.set).any(Attempt::is_live) {
            let text = "DELETE FROM overlapped WHERE lane = $1 AND set_number = $2";
            sql::run(work.conn, text, &values)?;
        }
        let holds = |key: &ConflictKey| moved.view.holder(key) == Some(attempt.set);
        if before.is_none() && attempt.is_live() && !attempt.keys.iter().any(holds) {
            let text = "INSERT INTO overlapped (lane, set_number) VALUES ($1, $2) \
                        ON CONFLICT (lane, set_number) DO NOTHING";
            sql::run(work.conn, text, &values)?;
        }
    }
    Ok(())
}

fn withdrawals(work: &mut Work<'_>, moved: &Moved<'_>) -> Result<(), StoreError> {
    for number in moved.applied.withdrawals.keys() {
        if let (Some(before), Some(now)) = (moved.before(*number), moved.withdrawal(*number)) {
            let lane = now.lane.as_ref().map(|_| moved.lane);
            move_on(work, lane, (before.stage, now))?;
        }
    }
    Ok(())
}

/// What was paid for good leaves the wallet, and so does its fee.
fn ledger(work: &mut Work<'_>, moved: &Moved<'_>) -> Result<(), StoreError> {
    for (_, attempt) in moved.attempts() {
        let (AttemptStage::Final(inclusion) | AttemptStage::Failed(inclusion)) = &attempt.stage
        else {
            continue;
        };
        if let Some(fee) = fee(moved, attempt, inclusion) {
            work.post(&fee)?;
        }
        for number in &attempt.pays {
            let Some(paid) = payment(moved, *number) else {
                continue;
            };
            if paid.debit.is_liability() {
                settle(work, *number, "settled", moved.at)?;
            }
            work.post(&paid)?;
        }
    }
    Ok(())
}

fn payment(moved: &Moved<'_>, number: WithdrawalNumber) -> Option<Posting> {
    let withdrawal = moved.applied.freed.get(&number)?;
    (withdrawal.stage == Stage::Final).then(|| Posting {
        id: format!("paid:{}", number.0),
        debit: withdrawal.account.held(),
        credit: Account::Wallet(withdrawal.chain()),
        asset: withdrawal.intent.asset.clone(),
        amount: withdrawal.amount(),
        withdrawal: Some(number),
        memo: "paid".into(),
        at: moved.at,
    })
}

/// One posting for a transaction's fee, whomever it pays.
fn fee(moved: &Moved<'_>, attempt: &Attempt, inclusion: &Inclusion) -> Option<Posting> {
    let chain = moved.view.row.id.chain;
    (!inclusion.fee.is_zero()).then(|| Posting {
        id: format!("fee:{}:{}", moved.lane, attempt.number.0),
        debit: Account::Fees(chain),
        credit: Account::Wallet(chain),
        asset: Asset::native(chain),
        amount: inclusion.fee,
        withdrawal: match attempt.pays.as_slice() {
            [one] => Some(*one),
            _ => None,
        },
        memo: format!("fee of {}", inclusion.txid),
        at: moved.at,
    })
}

fn coins(work: &Work<'_>, moved: &Moved<'_>) -> Result<(), StoreError> {
    let lane = moved.lane;
    let (applied, view) = (moved.applied, moved.view);
    let touched: BTreeSet<_> = applied.coins.keys().chain(applied.spent.keys()).collect();
    for outpoint in touched {
        let text = outpoint.to_string();
        let key = (lane, text.as_str());
        let spend = view.spent.get(outpoint);
        let coin = view.coins.get(outpoint);
        match coin.or(spend.map(|(coin, _, _)| coin)) {
            None => rows::delete_coin(work.conn, key)?,
            Some(coin) => rows::write_coin(work.conn, key, coin)?,
        }
        if let Some((_, height, txid)) = spend {
            rows::write_spend(work.conn, key, (*height, txid))?;
        } else if coin.is_some() {
            rows::delete_spend(work.conn, key)?;
        }
    }
    Ok(())
}

fn blocks(work: &Work<'_>, moved: &Moved<'_>) -> Result<(), StoreError> {
    let Some(before) = &moved.applied.blocks else {
        return Ok(());
    };
    let lane = moved.lane;
    let before: BTreeSet<_> = before.iter().collect();
    let after: BTreeSet<_> = moved.view.blocks.iter().collect();
    for block in before.difference(&after) {
        let text = "DELETE FROM blocks WHERE lane = $1 AND height = $2";
        sql::run(work.conn, text, &values![lane, block.height])?;
    }
    for block in after.difference(&before) {
        let text = "INSERT INTO blocks (lane, height, hash) VALUES ($1, $2, $3)";
        let values = values![lane, block.height, block.hash.as_str()];
        sql::run_one(work.conn, text, &values)?;
    }
    Ok(())
}

/// What is recorded of a step: enough for `…/explain` and for a webhook.
fn step_body(moved: &Moved<'_>, step: &Step) -> Json {
    let mut body = json!({ "lane": moved.lane, "attempt": step.attempt });
    let Some(attempt) = moved.attempt(step.attempt) else {
        return body;
    };
    let mut put = |name: &str, value: Json| {
        if let Some(fields) = body.as_object_mut() {
            fields.insert(name.into(), value);
        }
    };
    let txid = attempt.signed.as_ref().map(|answer| txid(answer));
    match &attempt.stage {
        AttemptStage::Included(at)
        | AttemptStage::Unproven(at)
        | AttemptStage::Final(at)
        | AttemptStage::Failed(at)
            if !matches!(step.to, Stage::Assigned) =>
        {
            put("txid", json!(at.txid));
            put("block", json!(at.block));
            put("fee", json!(at.fee));
        }
        AttemptStage::Void(certificate) => put("certificate", json!(certificate)),
        AttemptStage::Dead(certificate) => put("certificate", json!(certificate)),
        _ => {
            if let Some(txid) = txid {
                put("txid", json!(txid));
            }
        }
    }
    body
}

fn txid(answer: &api::signing::SignAnswer) -> &str {
    &answer.transaction.txid
}
