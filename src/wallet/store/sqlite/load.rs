//! What is read, by readers and by the writer. Every read is one transaction: what it shows stood
//! together.

use sqlx::SqliteConnection;
use tx::{Asset, Chain, IntentId, Time};

use super::{
    rows::{self, attempt_columns, lane_columns, withdrawal_columns},
    sql::{self, Fields, Value, Values, values},
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

pub(super) async fn lane(
    conn: &mut SqliteConnection,
    lane: &LaneId,
) -> Result<Option<LaneRow>, StoreError> {
    let text = concat!("SELECT ", lane_columns!(), " FROM lanes WHERE id = $1");
    let found = sql::read(conn, text, values![lane.to_string()]).await?;
    found.first().map(rows::lane).transpose()
}

pub(super) async fn lanes(conn: &mut SqliteConnection) -> Result<Vec<LaneRow>, StoreError> {
    let text = concat!("SELECT ", lane_columns!(), " FROM lanes ORDER BY id");
    let found = sql::read(conn, text, Values::new()).await?;
    found.iter().map(rows::lane).collect()
}

pub(super) async fn view(
    conn: &mut SqliteConnection,
    id: &LaneId,
) -> Result<Option<LaneView>, StoreError> {
    let Some(row) = lane(conn, id).await? else {
        return Ok(None);
    };
    let mut view = LaneView::new(row);
    for (_, attempt) in live_attempts(conn, id).await? {
        view.attempts.insert(attempt.number, attempt);
    }
    let text = concat!(
        "SELECT ",
        withdrawal_columns!(),
        " FROM live_sets l JOIN withdrawals w ON w.number = l.withdrawal WHERE l.lane = $1"
    );
    for row in sql::read(conn, text, values![id.to_string()]).await? {
        let withdrawal = rows::withdrawal(&row)?;
        view.withdrawals.insert(withdrawal.number, withdrawal);
    }
    coins(conn, id, &mut view).await?;
    let text = "SELECT height, hash FROM blocks WHERE lane = $1 ORDER BY height";
    for row in sql::read(conn, text, values![id.to_string()]).await? {
        let hash = row.text(1)?.to_owned();
        let height = row.number(0)?;
        view.blocks.push_back(BlockRef { height, hash });
    }
    Ok(Some(view))
}

async fn live_attempts(
    conn: &mut SqliteConnection,
    lane: &LaneId,
) -> Result<Vec<(LaneId, Attempt)>, StoreError> {
    let text = concat!(
        "SELECT ",
        attempt_columns!(),
        " FROM attempts a WHERE a.lane = $1 AND a.set_number IN \
         (SELECT set_number FROM attempts WHERE lane = $1 AND live = 1)"
    );
    let found = sql::read(conn, text, values![lane.to_string()]).await?;
    let text = "SELECT p.lane, p.number, p.withdrawal FROM attempts a \
                JOIN attempt_withdrawals p ON p.lane = a.lane AND p.number = a.number \
                WHERE a.lane = $1 AND a.set_number IN \
                (SELECT set_number FROM attempts WHERE lane = $1 AND live = 1) \
                ORDER BY p.number, p.position";
    let pays = sql::read(conn, text, values![lane.to_string()]).await?;
    rows::attempts(&found, &pays)
}

async fn coins(
    conn: &mut SqliteConnection,
    lane: &LaneId,
    view: &mut LaneView,
) -> Result<(), StoreError> {
    let text = "SELECT c.outpoint, c.amount, c.key, c.script, c.previous, c.height, c.coinbase, \
                s.height, s.txid FROM coins c \
                LEFT JOIN spends s ON s.lane = c.lane AND s.outpoint = c.outpoint \
                WHERE c.lane = $1";
    for row in sql::read(conn, text, values![lane.to_string()]).await? {
        let (coin, spent) = rows::coin(&row)?;
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

pub(super) async fn withdrawal(
    conn: &mut SqliteConnection,
    id: &IntentId,
) -> Result<Option<Withdrawal>, StoreError> {
    let text = concat!(
        "SELECT ",
        withdrawal_columns!(),
        " FROM withdrawals w WHERE w.source = $1 AND w.id = $2"
    );
    let key = values![id.source.as_str(), id.id.as_str()];
    let found = sql::read(conn, text, key).await?;
    found.first().map(rows::withdrawal).transpose()
}

/// Withdrawals by their ids.
pub(super) async fn withdrawals_by_id(
    conn: &mut SqliteConnection,
    ids: Vec<Values>,
) -> Result<Vec<Withdrawal>, StoreError> {
    let head = concat!(
        "SELECT ",
        withdrawal_columns!(),
        " FROM withdrawals w WHERE (w.source, w.id) IN (VALUES"
    );
    let found = sql::read_many(conn, head, ids, ")").await?;
    found.iter().map(rows::withdrawal).collect()
}

/// Withdrawals by their numbers.
pub(super) async fn withdrawals_by_number(
    conn: &mut SqliteConnection,
    numbers: impl IntoIterator<Item = WithdrawalNumber>,
) -> Result<Vec<Withdrawal>, StoreError> {
    let head = concat!(
        "SELECT ",
        withdrawal_columns!(),
        " FROM withdrawals w WHERE w.number IN (VALUES"
    );
    let numbers = numbers.into_iter().map(|number| values![number.0]);
    let found = sql::read_many(conn, head, numbers.collect(), ")").await?;
    found.iter().map(rows::withdrawal).collect()
}

pub(super) async fn listed(
    conn: &mut SqliteConnection,
    filter: &Filter,
    after: Option<WithdrawalNumber>,
    limit: u32,
) -> Result<Vec<Withdrawal>, StoreError> {
    let mut values = values![after.map_or(Value::Int(-1), |after| after.0.into())];
    let mut text = String::from(concat!(
        "SELECT ",
        withdrawal_columns!(),
        " FROM withdrawals w WHERE w.number > $1"
    ));
    let mut add = |text: &mut String, column: &str, wanted: Vec<Value>| {
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
        add(&mut text, "source", values![source.as_str()]);
    }
    if let Some(account) = &filter.account {
        add(&mut text, "account", values![account.to_string()]);
    }
    if !filter.stages.is_empty() {
        let stages = filter.stages.iter();
        let stages = stages.map(|stage| stage.name().into()).collect();
        add(&mut text, "stage", stages);
    }
    values.push(u64::from(limit).into());
    text.push_str(&format!(" ORDER BY w.number LIMIT ${}", values.len()));
    let found = sql::read_composed(conn, text, values).await?;
    found.iter().map(rows::withdrawal).collect()
}

pub(super) async fn approved(
    conn: &mut SqliteConnection,
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
    let found = sql::read(conn, text, values).await?;
    found.iter().map(rows::withdrawal).collect()
}

pub(super) async fn attempts(
    conn: &mut SqliteConnection,
    withdrawal: WithdrawalNumber,
) -> Result<Vec<(LaneId, Attempt)>, StoreError> {
    // A cancellation pays nobody and belongs to the withdrawals of its set.
    let text = concat!(
        "SELECT DISTINCT ",
        attempt_columns!(),
        " FROM attempt_withdrawals p \
         JOIN attempts f ON f.lane = p.lane AND f.number = p.number \
         JOIN attempts a ON a.lane = f.lane AND a.set_number = f.set_number \
         WHERE p.withdrawal = $1 ORDER BY a.created_at, a.lane, a.number"
    );
    let found = sql::read(conn, text, values![withdrawal.0]).await?;
    let text = "SELECT p.lane, p.number, p.withdrawal FROM attempt_withdrawals p \
                WHERE (p.lane, p.number) IN (SELECT a.lane, a.number FROM attempt_withdrawals o \
                JOIN attempts f ON f.lane = o.lane AND f.number = o.number \
                JOIN attempts a ON a.lane = f.lane AND a.set_number = f.set_number \
                WHERE o.withdrawal = $1) ORDER BY p.lane, p.number, p.position";
    let pays = sql::read(conn, text, values![withdrawal.0]).await?;
    rows::attempts(&found, &pays)
}

pub(super) async fn counts(
    conn: &mut SqliteConnection,
) -> Result<Vec<(Stage, Chain, u64)>, StoreError> {
    let text = "SELECT stage, chain, count(*) FROM withdrawals \
                GROUP BY stage, chain ORDER BY stage, chain";
    let found = sql::read(conn, text, Values::new()).await?;
    let count = |row: &Fields| {
        let chain = row.text(1)?.parse().map_err(|_| sql::unsound("a chain"))?;
        Ok((rows::stage(row.text(0)?)?, chain, row.number(2)?))
    };
    found.iter().map(count).collect()
}

pub(super) async fn events(
    conn: &mut SqliteConnection,
    withdrawal: Option<WithdrawalNumber>,
    after: Option<u64>,
    limit: u32,
) -> Result<Vec<Recorded>, StoreError> {
    let after = after.map_or(Value::Int(-1), Into::into);
    let limit = u64::from(limit);
    let found = match withdrawal {
        None => {
            let text = "SELECT id, at, topic, withdrawal, body FROM events \
                        WHERE id > $1 ORDER BY id LIMIT $2";
            sql::read(conn, text, values![after, limit]).await?
        }
        Some(number) => {
            let text = "SELECT id, at, topic, withdrawal, body FROM events \
                        WHERE withdrawal = $3 AND id > $1 ORDER BY id LIMIT $2";
            sql::read(conn, text, values![after, limit, number.0]).await?
        }
    };
    found.iter().map(rows::recorded).collect()
}

pub(super) async fn balances(
    conn: &mut SqliteConnection,
    account: &Account,
) -> Result<Vec<(Asset, Balance)>, StoreError> {
    let text = "SELECT asset, debits, credits FROM balances WHERE account = $1 ORDER BY asset";
    let found = sql::read(conn, text, values![account.to_string()]).await?;
    let balance = |row: &Fields| Ok((row.parsed(0, "an asset")?, rows::balance(row, 1)?));
    found.iter().map(balance).collect()
}

pub(super) async fn room(
    conn: &mut SqliteConnection,
    asset: &Asset,
    account: &Account,
    at: Time,
) -> Result<Option<Room>, StoreError> {
    let text = "SELECT total, customer FROM limits WHERE asset = $1";
    let limits = sql::read(conn, text, values![asset.to_string()]).await?;
    let Some(limit) = limits.first() else {
        return Ok(None);
    };
    let mut room = Room {
        total: limit.amount(0)?,
        customer: limit.amount(1)?,
    };
    let text = "SELECT account, used FROM limit_days \
                WHERE asset = $1 AND day = $2 AND account IN ($3, $4)";
    let values = values![asset.to_string(), day_of(at), account.to_string(), TOTAL];
    for row in sql::read(conn, text, values).await? {
        let used = row.amount(1)?;
        match row.text(0)? {
            TOTAL => room.total = room.total.saturating_sub(used),
            _ => room.customer = room.customer.saturating_sub(used),
        }
    }
    Ok(Some(room))
}

pub(super) async fn knows(
    conn: &mut SqliteConnection,
    lane: &LaneId,
    attempts: &[u64],
) -> Result<Vec<bool>, StoreError> {
    let lane = lane.to_string();
    let asked = attempts.iter();
    let asked = asked
        .map(|number| values![lane.as_str(), *number])
        .collect();
    let head = "SELECT number FROM attempts WHERE (lane, number) IN (VALUES";
    let mut known = std::collections::BTreeSet::new();
    for row in sql::read_many(conn, head, asked, ")").await? {
        known.insert(row.number(0)?);
    }
    Ok(attempts
        .iter()
        .map(|number| known.contains(number))
        .collect())
}
