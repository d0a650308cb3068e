//! Rows as the types that they hold.

use std::sync::Arc;

use api::signing::SignAnswer;
use rusqlite::Connection;

use super::sql::{self, Fields, Value, json, unsound, values};
use crate::{
    attempt::{Attempt, AttemptNumber},
    change::Coin,
    lane::{LaneId, LaneRow},
    ledger::{Balance, Posting},
    store::{Recorded, StoreError},
    withdrawal::{Stage, Withdrawal, WithdrawalNumber},
};

/// The columns of [`withdrawal`], of the table `w`.
macro_rules! withdrawal_columns {
    () => {
        "w.number, w.client, w.account, w.intent, w.stage, w.waiting, w.not_before, w.lane, \
         w.requested_at, w.changed_at"
    };
}
pub(super) use withdrawal_columns;

/// The columns of [`attempt`], of the tables that [`attempt_tables`] joins.
macro_rules! attempt_columns {
    () => {
        "a.number, a.set_number, a.purpose, a.anchor, a.keys, r.request, a.fee_terms, \
         a.created_at, a.evidence, s.answer, a.lane, a.pays"
    };
}
pub(super) use attempt_columns;

/// An attempt with its request and the signer's answer.
macro_rules! attempt_tables {
    () => {
        "attempts a JOIN requests r ON r.attempt = a.id LEFT JOIN answers s ON s.attempt = a.id"
    };
}
pub(super) use attempt_tables;

/// The columns of [`lane`].
macro_rules! lane_columns {
    () => {
        "id, account, lease, epoch, epoch_seen, next_attempt, next_nonce, gate, compared_to"
    };
}
pub(super) use lane_columns;

pub(super) fn stage(name: &str) -> Result<Stage, StoreError> {
    let found = Stage::ALL.into_iter().find(|stage| stage.name() == name);
    found.ok_or_else(|| unsound("a stage"))
}

pub(super) fn withdrawal(row: &Fields<'_>) -> Result<Withdrawal, StoreError> {
    let lane = row.text_or_none(7)?.map(str::parse).transpose();
    Ok(Withdrawal {
        number: WithdrawalNumber(row.number(0)?),
        client: row.parsed(1, "a client")?,
        account: row.parsed(2, "an account")?,
        intent: row.json(3, "an intent")?,
        stage: stage(row.text(4)?)?,
        waiting: row.json_or_none(5, "why a withdrawal waits")?,
        not_before: row.time(6)?,
        lane: lane.map_err(|_| unsound("a lane"))?,
        requested_at: row.time(8)?,
        changed_at: row.time(9)?,
    })
}

/// Writes a new withdrawal.
pub(super) fn insert_withdrawal(
    conn: &Connection,
    withdrawal: &Withdrawal,
) -> Result<(), StoreError> {
    let text = "INSERT INTO withdrawals (number, source, id, client, account, chain, intent, stage, \
                waiting, not_before, lane, requested_at, changed_at) \
                VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)";
    let intent = &withdrawal.intent;
    let values = values![
        withdrawal.number.0,
        intent.id.source.as_str(),
        intent.id.id.as_str(),
        withdrawal.client.as_str(),
        withdrawal.account.to_string(),
        intent.asset.chain.to_string(),
        json(intent)?,
        withdrawal.stage.name(),
        withdrawal.waiting.as_ref().map(json).transpose()?,
        withdrawal.not_before,
        withdrawal.lane.as_ref().map(LaneId::to_string),
        withdrawal.requested_at,
        withdrawal.changed_at,
    ];
    sql::run_one(conn, text, &values)
}

/// An attempt and its lane.
pub(super) fn attempt(row: &Fields<'_>) -> Result<(LaneId, Attempt), StoreError> {
    let purpose = serde_json::Value::from(row.text(2)?);
    let attempt = Attempt {
        number: AttemptNumber(row.number(0)?),
        set: AttemptNumber(row.number(1)?),
        purpose: serde_json::from_value(purpose).map_err(|_| unsound("a purpose"))?,
        anchor: row.parsed(3, "a conflict key")?,
        keys: row.json(4, "conflict keys")?,
        request: Arc::new(row.json(5, "a request")?),
        fee_terms: row.json(6, "fee terms")?,
        created_at: row.time(7)?,
        stage: row.json(8, "an attempt's stage")?,
        signed: row.json_or_none(9, "a signer's answer")?.map(Arc::new),
        pays: row.json(11, "the withdrawals of an attempt")?,
    };
    Ok((row.parsed(10, "a lane")?, attempt))
}

/// Writes a new attempt, under an id of its own.
pub(super) fn insert_attempt(
    conn: &Connection,
    (id, lane): (u64, &str),
    attempt: &Attempt,
) -> Result<(), StoreError> {
    let text = "INSERT INTO attempts (id, lane, number, set_number, purpose, anchor, keys, pays, \
                fee_terms, created_at, stage, evidence) \
                VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)";
    let purpose = serde_json::to_value(attempt.purpose).unwrap_or_default();
    let values = values![
        id,
        lane,
        attempt.number.0,
        attempt.set.0,
        purpose.as_str(),
        attempt.anchor.to_string(),
        json(&attempt.keys)?,
        json(&attempt.pays)?,
        json(&attempt.fee_terms)?,
        attempt.created_at,
        attempt.stage.name(),
        json(&attempt.stage)?,
    ];
    sql::run_one(conn, text, &values)?;
    let text = "INSERT INTO requests (attempt, request) VALUES ($1, $2)";
    sql::run_one(conn, text, &values![id, json(&*attempt.request)?])?;
    let text = "INSERT INTO attempt_withdrawals (withdrawal, attempt) VALUES ($1, $2)";
    for number in &attempt.pays {
        sql::run_one(conn, text, &values![number.0, id])?;
    }
    match &attempt.signed {
        Some(answer) => insert_answer(conn, (lane, attempt.number), answer),
        None => Ok(()),
    }
}

/// Writes the signer's answer to an attempt.
pub(super) fn insert_answer(
    conn: &Connection,
    (lane, attempt): (&str, AttemptNumber),
    answer: &SignAnswer,
) -> Result<(), StoreError> {
    let text = "INSERT INTO answers (attempt, answer) \
                SELECT id, $3 FROM attempts WHERE lane = $1 AND number = $2";
    sql::run_one(conn, text, &values![lane, attempt.0, json(answer)?])
}

pub(super) fn lane(row: &Fields<'_>) -> Result<LaneRow, StoreError> {
    Ok(LaneRow {
        id: row.parsed(0, "a lane")?,
        account: row.parsed(1, "an account")?,
        lease: row.number(2)?,
        epoch: row.number(3)?,
        epoch_seen: row.is(4)?,
        next_attempt: AttemptNumber(row.number(5)?),
        next_nonce: row.number(6)?,
        gate: row.json(7, "a gate")?,
        compared_to: row.number_or_none(8)?,
    })
}

/// A coin, with the block and the transaction that spend it: `outpoint, amount, key, script,
/// previous, height, coinbase, spent height, txid`.
pub(super) fn coin(row: &Fields<'_>) -> Result<(Coin, Option<(u64, String)>), StoreError> {
    let coin = Coin {
        outpoint: row.parsed(0, "an outpoint")?,
        amount: row.number(1)?,
        key: row.parsed(2, "a key")?,
        script: row.bytes(3)?.into(),
        previous: row.bytes(4)?.into(),
        height: row.number(5)?,
        coinbase: row.is(6)?,
    };
    let spent = row.number_or_none(7)?.zip(row.text_or_none(8)?);
    Ok((coin, spent.map(|(height, txid)| (height, txid.to_owned()))))
}

/// A coin's lane and outpoint.
type CoinKey<'k> = (&'k str, &'k str);

pub(super) fn write_coin(
    conn: &Connection,
    (lane, outpoint): CoinKey<'_>,
    coin: &Coin,
) -> Result<(), StoreError> {
    let text = "INSERT INTO coins \
                (lane, outpoint, amount, key, script, previous, height, coinbase) \
                VALUES ($1, $2, $3, $4, $5, $6, $7, $8) \
                ON CONFLICT (lane, outpoint) DO UPDATE SET amount = excluded.amount, \
                key = excluded.key, script = excluded.script, previous = excluded.previous, \
                height = excluded.height, coinbase = excluded.coinbase";
    let values = values![
        lane,
        outpoint,
        coin.amount,
        coin.key.as_str(),
        &*coin.script,
        &*coin.previous,
        coin.height,
        u64::from(coin.coinbase),
    ];
    sql::run_one(conn, text, &values)
}

/// A coin that left the chain, and with it what spent it.
pub(super) fn delete_coin(conn: &Connection, key: CoinKey<'_>) -> Result<(), StoreError> {
    delete_spend(conn, key)?;
    let text = "DELETE FROM coins WHERE lane = $1 AND outpoint = $2";
    sql::run(conn, text, &values![key.0, key.1]).map(drop)
}

/// The block and the transaction that spend a coin.
pub(super) fn write_spend(
    conn: &Connection,
    (lane, outpoint): CoinKey<'_>,
    (height, txid): (u64, &str),
) -> Result<(), StoreError> {
    let text = "INSERT INTO spends (lane, outpoint, height, txid) VALUES ($1, $2, $3, $4) \
                ON CONFLICT (lane, outpoint) DO UPDATE SET height = excluded.height, \
                txid = excluded.txid";
    sql::run_one(conn, text, &values![lane, outpoint, height, txid])
}

pub(super) fn delete_spend(
    conn: &Connection,
    (lane, outpoint): CoinKey<'_>,
) -> Result<(), StoreError> {
    let text = "DELETE FROM spends WHERE lane = $1 AND outpoint = $2";
    sql::run(conn, text, &values![lane, outpoint]).map(drop)
}

/// `id, at, topic, withdrawal, body`.
pub(super) fn recorded(row: &Fields<'_>) -> Result<Recorded, StoreError> {
    Ok(Recorded {
        event: row.number(0)?,
        at: row.time(1)?,
        topic: row.text(2)?.to_owned(),
        withdrawal: row.number_or_none(3)?.map(WithdrawalNumber),
        body: row.json(4, "an event")?,
    })
}

/// `debits, credits`, from a column on.
pub(super) fn balance(row: &Fields<'_>, from: usize) -> Result<Balance, StoreError> {
    Ok(Balance {
        debits: row.amount(from)?,
        credits: row.amount(from.saturating_add(1))?,
    })
}

pub(super) fn posting_values(posting: &Posting) -> [Value<'_>; 8] {
    values![
        posting.id.as_str(),
        posting.debit.to_string(),
        posting.credit.to_string(),
        posting.asset.to_string(),
        posting.amount,
        posting.withdrawal.map(|number| number.0),
        posting.memo.as_str(),
        posting.at,
    ]
}
