//! What is read, by readers and by the writer. Every read is one transaction: what it shows stood
//! together.

use rusqlite::Connection;
use tx::{Asset, Chain, IntentId, Time};

use super::{
    rows::{self, attempt_columns, attempt_tables, lane_columns, withdrawal_columns},
    sql::{self, Value, values},
};
use crate::{
    attempt::Attempt,
    evidence::BlockRef,
    lane::{LaneId, LaneRow, LaneView},
    ledger::{Account, Balance},
    limit::day_of,
    store::{Filter, Recorded, Room, StoreError},
    withdrawal::{Stage, Withdrawal, WithdrawalNumber},
};

/// The account under which all customers' use of a limit is counted.
pub(super) const TOTAL: &str = "total";

pub(super) fn lane(conn: &Connection, lane: &LaneId) -> Result<Option<LaneRow>, StoreError> {
    let text = concat!("SELECT ", lane_columns!(), " FROM lanes WHERE id = $1");
    sql::read_one(conn, text, &values![lane.to_string()], rows::lane)
}

pub(super) fn lanes(conn: &Connection) -> Result<Vec<LaneRow>, StoreError> {
    let text = concat!("SELECT ", lane_columns!(), " FROM lanes ORDER BY id");
    sql::read(conn, text, &[], rows::lane)
}

pub(super) fn view(conn: &Connection, id: &LaneId) -> Result<Option<LaneView>, StoreError> {
    let Some(row) = lane(conn, id)? else {
        return Ok(None);
    };
    let mut view = LaneView::new(row);
    for (_, attempt) in live_attempts(conn, id)? {
        view.attempts.insert(attempt.number, attempt);
    }
    let text = concat!(
        "SELECT ",
        withdrawal_columns!(),
        " FROM live_sets l JOIN withdrawals w ON w.number = l.withdrawal WHERE l.lane = $1"
    );
    for withdrawal in sql::read(conn, text, &values![id.to_string()], rows::withdrawal)? {
        view.withdrawals.insert(withdrawal.number, withdrawal);
    }
    coins(conn, id, &mut view)?;
    let text = "SELECT height, hash FROM blocks WHERE lane = $1 ORDER BY height";
    let blocks = sql::read(conn, text, &values![id.to_string()], |row| {
        let hash = row.text(1)?.to_owned();
        let height = row.number(0)?;
        Ok(BlockRef { height, hash })
    })?;
    view.blocks.extend(blocks);
    Ok(Some(view))
}

/// The attempts of live sets: those that hold something, and those whose keys older sets hold.
fn live_attempts(conn: &Connection, lane: &LaneId) -> Result<Vec<(LaneId, Attempt)>, StoreError> {
    let lane = lane.to_string();
    let text = "SELECT set_number FROM reservations WHERE lane = $1 \
                UNION SELECT set_number FROM overlapped WHERE lane = $1";
    let mut found = Vec::new();
    for set in sql::read(conn, text, &values![lane.as_str()], |row| row.number(0))? {
        found.append(&mut of_set(conn, &lane, set)?);
    }
    Ok(found)
}

/// A set's attempts: the one with its number, and the others.
fn of_set(conn: &Connection, lane: &str, set: u64) -> Result<Vec<(LaneId, Attempt)>, StoreError> {
    let text = concat!(
        "SELECT ",
        attempt_columns!(),
        " FROM ",
        attempt_tables!(),
        " WHERE a.lane = $1 AND a.number = $2 AND a.set_number = $2 UNION ALL SELECT ",
        attempt_columns!(),
        " FROM ",
        attempt_tables!(),
        " WHERE a.lane = $1 AND a.set_number = $2 AND a.number <> a.set_number"
    );
    sql::read(conn, text, &values![lane, set], rows::attempt)
}

fn coins(conn: &Connection, lane: &LaneId, view: &mut LaneView) -> Result<(), StoreError> {
    let text = "SELECT c.outpoint, c.amount, c.key, c.script, c.previous, c.height, c.coinbase, \
                s.height, s.txid FROM coins c \
                LEFT JOIN spends s ON s.lane = c.lane AND s.outpoint = c.outpoint \
                WHERE c.lane = $1";
    for (coin, spent) in sql::read(conn, text, &values![lane.to_string()], rows::coin)? {
        match spent {
            None => {
                view.coins.insert(coin.outpoint, coin);
            }
            Some((height, txid)) => {
                view.spent.insert(coin.outpoint, (coin, height, txid));
            }
        }
    }
    Ok(())
}

pub(super) fn withdrawal(
    conn: &Connection,
    id: &IntentId,
) -> Result<Option<Withdrawal>, StoreError> {
    let text = concat!(
        "SELECT ",
        withdrawal_columns!(),
        " FROM withdrawals w WHERE w.source = $1 AND w.id = $2"
    );
    let key = values![id.source.as_str(), id.id.as_str()];
    sql::read_one(conn, text, &key, rows::withdrawal)
}

pub(super) fn withdrawal_numbered(
    conn: &Connection,
    number: WithdrawalNumber,
) -> Result<Option<Withdrawal>, StoreError> {
    let text = concat!(
        "SELECT ",
        withdrawal_columns!(),
        " FROM withdrawals w WHERE w.number = $1"
    );
    sql::read_one(conn, text, &values![number.0], rows::withdrawal)
}

pub(super) fn listed(
    conn: &Connection,
    filter: &Filter,
    after: Option<WithdrawalNumber>,
    limit: u32,
) -> Result<Vec<Withdrawal>, StoreError> {
    let mut values = vec![after.map_or(Value::Int(-1), |after| after.0.into())];
    let mut text = String::from(concat!(
        "SELECT ",
        withdrawal_columns!(),
        " FROM withdrawals w WHERE w.number > $1"
    ));
    let mut add = |text: &mut String, column: &str, wanted: Vec<Value<'static>>| {
        let marks: Vec<String> = wanted
            .into_iter()
            .map(|value| {
                values.push(value);
                format!("${}", values.len())
            })
            .collect();
        text.push_str(&format!(" AND w.{column} IN ({})", marks.join(", ")));
    };
    if let Some(source) = &filter.source {
        add(&mut text, "source", vec![source.to_string().into()]);
    }
    if let Some(account) = &filter.account {
        add(&mut text, "account", vec![account.to_string().into()]);
    }
    if !filter.stages.is_empty() {
        let stages = filter.stages.iter();
        let stages = stages.map(|stage| stage.name().into()).collect();
        add(&mut text, "stage", stages);
    }
    values.push(u64::from(limit).into());
    text.push_str(&format!(" ORDER BY w.number LIMIT ${}", values.len()));
    sql::read(conn, &text, &values, rows::withdrawal)
}

pub(super) fn approved(
    conn: &Connection,
    chain: Chain,
    at: Time,
    (after, limit): (Option<WithdrawalNumber>, u32),
) -> Result<Vec<Withdrawal>, StoreError> {
    let text = concat!(
        "SELECT ",
        withdrawal_columns!(),
        " FROM withdrawals w WHERE w.stage = 'approved' AND w.chain = $1 AND w.number > $2 \
         AND w.not_before <= $3 ORDER BY w.number LIMIT $4"
    );
    let after = after.map_or(Value::Int(-1), |after| after.0.into());
    let values = values![chain.to_string(), after, at, u64::from(limit)];
    sql::read(conn, text, &values, rows::withdrawal)
}

pub(super) fn attempts(
    conn: &Connection,
    withdrawal: WithdrawalNumber,
) -> Result<Vec<(LaneId, Attempt)>, StoreError> {
    // A cancellation pays nobody and belongs to the withdrawals of its set.
    let text = "SELECT DISTINCT a.lane, a.set_number FROM attempt_withdrawals p \
                JOIN attempts a ON a.id = p.attempt WHERE p.withdrawal = $1";
    let sets = sql::read(conn, text, &values![withdrawal.0], |row| {
        Ok((row.text(0)?.to_owned(), row.number(1)?))
    })?;
    let mut found = Vec::new();
    for (lane, set) in sets {
        found.append(&mut of_set(conn, &lane, set)?);
    }
    found.sort_by_cached_key(|(lane, attempt)| {
        (attempt.created_at, lane.to_string(), attempt.number)
    });
    Ok(found)
}

pub(super) fn counts(conn: &Connection) -> Result<Vec<(Stage, Chain, u64)>, StoreError> {
    let text = "SELECT stage, chain, count FROM ended";
    let mut counts = sql::read(conn, text, &[], |row| {
        let stage = rows::stage(row.text(0)?)?;
        Ok((stage, row.parsed(1, "a chain")?, row.number(2)?))
    })?;
    for stage in Stage::ALL.into_iter().filter(|stage| !stage.is_over()) {
        let text = "SELECT chain, count(*) FROM withdrawals WHERE stage = $1 GROUP BY chain";
        let of_stage = sql::read(conn, text, &values![stage.name()], |row| {
            Ok((stage, row.parsed(0, "a chain")?, row.number(1)?))
        })?;
        counts.extend(of_stage);
    }
    counts
        .sort_by_cached_key(|(stage, chain, _): &(Stage, Chain, u64)| (*stage, chain.to_string()));
    Ok(counts)
}

pub(super) fn events(
    conn: &Connection,
    withdrawal: Option<WithdrawalNumber>,
    after: Option<u64>,
    limit: u32,
) -> Result<Vec<Recorded>, StoreError> {
    let after = after.map_or(Value::Int(-1), Into::into);
    let limit = u64::from(limit);
    match withdrawal {
        None => {
            let text = "SELECT id, at, topic, withdrawal, body FROM events \
                        WHERE id > $1 ORDER BY id LIMIT $2";
            sql::read(conn, text, &values![after, limit], rows::recorded)
        }
        Some(number) => {
            let text = "SELECT id, at, topic, withdrawal, body FROM events \
                        WHERE withdrawal = $3 AND id > $1 ORDER BY id LIMIT $2";
            sql::read(conn, text, &values![after, limit, number.0], rows::recorded)
        }
    }
}

pub(super) fn balances(
    conn: &Connection,
    account: &Account,
) -> Result<Vec<(Asset, Balance)>, StoreError> {
    let text = "SELECT asset, debits, credits FROM balances WHERE account = $1 ORDER BY asset";
    sql::read(conn, text, &values![account.to_string()], |row| {
        Ok((row.parsed(0, "an asset")?, rows::balance(row, 1)?))
    })
}

pub(super) fn room(
    conn: &Connection,
    asset: &Asset,
    account: &Account,
    at: Time,
) -> Result<Option<Room>, StoreError> {
    let text = "SELECT total, customer FROM limits WHERE asset = $1";
    let limits = sql::read_one(conn, text, &values![asset.to_string()], |row| {
        Ok(Room {
            total: row.amount(0)?,
            customer: row.amount(1)?,
        })
    })?;
    let Some(mut room) = limits else {
        return Ok(None);
    };
    let text = "SELECT account, used FROM limit_days \
                WHERE asset = $1 AND day = $2 AND account IN ($3, $4)";
    let values = values![asset.to_string(), day_of(at), account.to_string(), TOTAL];
    let used = sql::read(conn, text, &values, |row| {
        Ok((row.text(0)? == TOTAL, row.amount(1)?))
    })?;
    for (of_all, used) in used {
        if of_all {
            room.total = room.total.saturating_sub(used);
        } else {
            room.customer = room.customer.saturating_sub(used);
        }
    }
    Ok(Some(room))
}

pub(super) fn knows(
    conn: &Connection,
    lane: &LaneId,
    attempts: &[u64],
) -> Result<Vec<bool>, StoreError> {
    let lane = lane.to_string();
    let text = "SELECT 1 FROM attempts WHERE lane = $1 AND number = $2";
    let known = |number: &u64| {
        let values = values![lane.as_str(), *number];
        let found = sql::read_one(conn, text, &values, |_| Ok(()))?;
        Ok(found.is_some())
    };
    attempts.iter().map(known).collect()
}
