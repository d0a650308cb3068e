//! Writes what a lane's changes touched.

use std::collections::BTreeSet;

use serde_json::{Value as Json, json};
use tx::{Asset, ConflictKey};

use super::{
    accept::topic,
    commit::{Moved, moves},
    decide::{hold_rows, move_rows, record_waiting},
    late::Late,
    rows,
    sql::{json as text_of, values},
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

pub(super) async fn write(work: &mut Work<'_>, moved: &Moved<'_>) -> Result<(), StoreError> {
    attempts(work, moved)?;
    live_sets(work, moved);
    reservations(work, moved);
    work.later(Late::Moves, move_rows(moves(moved))?);
    ledger(work, moved).await?;
    coins(work, moved);
    blocks(work, moved);
    for step in &moved.applied.steps {
        let body = step_body(moved, step);
        work.record(topic(step.to), Some(step.withdrawal), &body, moved.at);
    }
    for (number, before) in &moved.applied.withdrawals {
        let before = before.as_ref().and_then(|before| before.waiting.as_ref());
        let after = moved.withdrawal(*number);
        let after = after.and_then(|after| after.waiting.as_ref());
        record_waiting(work, *number, (before, after), moved.at);
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

    fn lane(&self) -> String {
        self.view.row.id.to_string()
    }
}

fn attempts(work: &mut Work<'_>, moved: &Moved<'_>) -> Result<(), StoreError> {
    let lane = moved.lane();
    let (mut new, mut pays, mut changed) = (Vec::new(), Vec::new(), Vec::new());
    for (before, attempt) in moved.attempts() {
        let Some(before) = before else {
            new.push(rows::attempt_values(&lane, attempt)?);
            for (position, number) in (0_u64..).zip(&attempt.pays) {
                pays.push(values![lane.as_str(), attempt.number.0, position, number.0]);
            }
            continue;
        };
        let answer = attempt.signed.as_deref();
        let answer = answer.filter(|_| before.signed.is_none());
        changed.push(values![
            lane.as_str(),
            attempt.number.0,
            before.stage.name(),
            attempt.stage.name(),
            text_of(&attempt.stage)?,
            u64::from(attempt.is_live()),
            answer.map(text_of).transpose()?,
        ]);
    }
    work.later(Late::Attempts, new);
    work.later(Late::Pays, pays);
    work.later(Late::Stages, changed);
    Ok(())
}

/// The sets of withdrawals that left theirs end first: one may have come to another at once.
fn live_sets(work: &mut Work<'_>, moved: &Moved<'_>) {
    let lane = moved.lane();
    let steps = || moved.applied.steps.iter();
    let entered = |number: WithdrawalNumber| {
        let mut steps = steps().rev();
        steps.find(|step| step.withdrawal == number && step.to == Stage::Assigned)
    };
    let (mut over, mut new) = (Vec::new(), Vec::new());
    for (number, before) in &moved.applied.withdrawals {
        let was = before.as_ref().is_some_and(|had| had.stage.is_under_way());
        let is = moved.withdrawal(*number);
        let is = is.is_some_and(|has| has.stage.is_under_way());
        let entered = entered(*number);
        if was && (!is || entered.is_some()) {
            over.push(values![number.0]);
        }
        if let Some(attempt) = entered.filter(|_| is)
            && let Some(attempt) = moved.attempt(attempt.attempt)
        {
            new.push(values![number.0, lane.as_str(), attempt.set.0]);
        }
    }
    work.later(Late::SetsOver, over);
    work.later(Late::Sets, new);
}

fn reservations(work: &mut Work<'_>, moved: &Moved<'_>) {
    let lane = moved.lane();
    let mut keys: BTreeSet<&ConflictKey> = BTreeSet::new();
    for (before, attempt) in moved.attempts() {
        let was_live = before.is_some_and(Attempt::is_live);
        if before.is_none() || was_live != attempt.is_live() {
            keys.extend(&attempt.keys);
        }
    }
    let (mut free, mut held) = (Vec::new(), Vec::new());
    for key in keys {
        match moved.view.holder(key) {
            None => free.push(values![key.to_string()]),
            Some(set) => held.push(values![key.to_string(), lane.as_str(), set.0]),
        }
    }
    work.later(Late::Free, free);
    // Of this lane's own sets the view has checked them.
    work.later(Late::Held, held);
}

/// What was paid for good leaves the wallet, and so does its fee.
async fn ledger(work: &mut Work<'_>, moved: &Moved<'_>) -> Result<(), StoreError> {
    let mut postings = Vec::new();
    let mut held = Vec::new();
    for (_, attempt) in moved.attempts() {
        let (AttemptStage::Final(inclusion) | AttemptStage::Failed(inclusion)) = &attempt.stage
        else {
            continue;
        };
        postings.extend(fee(moved, attempt, inclusion));
        for number in &attempt.pays {
            let Some(paid) = payment(moved, *number) else {
                continue;
            };
            if paid.debit.is_liability() {
                held.push(*number);
            }
            postings.push(paid);
        }
    }
    work.later(Late::Holds, hold_rows(held, "settled", moved.at));
    let accounts = postings.iter().flat_map(|posting| {
        let key = |account: &Account| (account.clone(), posting.asset.clone());
        [key(&posting.debit), key(&posting.credit)]
    });
    let accounts = accounts.collect();
    work.read_balances(accounts).await?;
    postings.iter().try_for_each(|posting| work.post(posting))
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
        id: format!("fee:{}:{}", moved.view.row.id, attempt.number.0),
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

fn coins(work: &mut Work<'_>, moved: &Moved<'_>) {
    let lane = moved.lane();
    let (applied, view) = (moved.applied, moved.view);
    let touched: BTreeSet<_> = applied.coins.keys().chain(applied.spent.keys()).collect();
    let (mut gone, mut there, mut unspent, mut spent) =
        (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for outpoint in touched {
        let key = || values![lane.as_str(), outpoint.to_string()];
        let coin = view.coins.get(outpoint);
        let spend = view.spent.get(outpoint);
        match coin.or(spend.map(|(coin, _, _)| coin)) {
            None => gone.push(key()),
            Some(coin) => there.push(rows::coin_values(&lane, coin)),
        }
        match spend {
            None => unspent.push(key()),
            Some((_, height, txid)) => {
                let outpoint = outpoint.to_string();
                spent.push(values![lane.as_str(), outpoint, *height, txid.as_str()]);
            }
        }
    }
    work.later(Late::Unspent, unspent);
    work.later(Late::Gone, gone);
    work.later(Late::Coins, there);
    work.later(Late::Spent, spent);
}

fn blocks(work: &mut Work<'_>, moved: &Moved<'_>) {
    let Some(before) = &moved.applied.blocks else {
        return;
    };
    let lane = moved.lane();
    let before: BTreeSet<_> = before.iter().collect();
    let after: BTreeSet<_> = moved.view.blocks.iter().collect();
    let gone = before.difference(&after);
    let gone = gone
        .map(|block| values![lane.as_str(), block.height])
        .collect();
    work.later(Late::BlocksGone, gone);
    let new = after.difference(&before);
    let new = new
        .map(|block| values![lane.as_str(), block.height, block.hash.as_str()])
        .collect();
    work.later(Late::Blocks, new);
}

/// What is recorded of a step: enough for `…/explain` and for a webhook.
fn step_body(moved: &Moved<'_>, step: &Step) -> Json {
    let mut body = json!({ "lane": moved.view.row.id, "attempt": step.attempt });
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
        AttemptStage::Included(at) | AttemptStage::Final(at) | AttemptStage::Failed(at)
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
