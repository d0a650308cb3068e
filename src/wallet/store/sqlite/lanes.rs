//! Lanes and their leases.

use serde_json::json;
use tx::{Name, Time};

use super::{
    error::conflict,
    load,
    sql::{self, json as text_of, values},
    work::Work,
};
use crate::{
    change::Gate,
    lane::{LaneId, LaneRow},
    store::{NewLane, StoreError},
};

pub(super) fn ensure(work: &mut Work<'_>, lane: &NewLane, at: Time) -> Result<(), StoreError> {
    let gate = Gate::Closed {
        detail: "the lane is new: it was not compared yet".into(),
    };
    let text = "INSERT INTO lanes (id, account, owner, lease, lease_until, epoch, epoch_seen, \
                next_attempt, next_nonce, gate, compared_to) \
                VALUES ($1, $2, NULL, 0, 0, $3, 0, 0, $4, $5, NULL) ON CONFLICT (id) DO NOTHING";
    let values = values![
        lane.id.to_string(),
        lane.account.as_str(),
        lane.signer_epoch.saturating_add(1),
        lane.next_nonce,
        text_of(&gate)?,
    ];
    if sql::run(work.conn, text, &values)? == 1 {
        let body = json!({ "lane": lane.id, "next_nonce": lane.next_nonce });
        work.record("lane.new", None, &body, at)?;
    }
    Ok(())
}

pub(super) fn acquire(
    work: &mut Work<'_>,
    id: &LaneId,
    owner: &str,
    (at, until): (Time, Time),
) -> Result<Option<LaneRow>, StoreError> {
    let Some(mut row) = load::lane(work.conn, id)? else {
        return Err(conflict("there is no such lane"));
    };
    row.lease = row.lease.saturating_add(1);
    if row.epoch_seen {
        row.epoch = row.epoch.saturating_add(1);
        row.epoch_seen = false;
    }
    if !matches!(row.gate, Gate::Halted { .. }) {
        row.gate = Gate::Closed {
            detail: "the lane was taken: it was not compared since".into(),
        };
    }
    let text = "UPDATE lanes SET owner = $2, lease = $3, lease_until = $4, epoch = $5, \
                epoch_seen = $6, gate = $7 \
                WHERE id = $1 AND (owner IS NULL OR owner = $2 OR lease_until <= $8)";
    let values = values![
        id.to_string(),
        owner,
        row.lease,
        until,
        row.epoch,
        u64::from(row.epoch_seen),
        text_of(&row.gate)?,
        at,
    ];
    if sql::run(work.conn, text, &values)? == 0 {
        return Ok(None);
    }
    let body = json!({ "lane": id, "lease": row.lease, "epoch": row.epoch });
    work.record("lane.taken", None, &body, at)?;
    Ok(Some(row))
}

pub(super) fn renew(
    work: &mut Work<'_>,
    id: &LaneId,
    lease: u64,
    until: Time,
) -> Result<(), StoreError> {
    let text = "UPDATE lanes SET lease_until = $3 WHERE id = $1 AND lease = $2";
    let values = values![id.to_string(), lease, until];
    match sql::run(work.conn, text, &values)? {
        0 => Err(StoreError::Fenced { lane: id.clone() }),
        _ => Ok(()),
    }
}

/// Halted → closed, under a new lease of the same owner.
pub(super) fn open(
    work: &mut Work<'_>,
    id: &LaneId,
    by: &Name,
    at: Time,
) -> Result<Option<LaneRow>, StoreError> {
    let Some(mut row) = load::lane(work.conn, id)? else {
        return Ok(None);
    };
    let Gate::Halted { detail } = &row.gate else {
        return Ok(Some(row));
    };
    let body = json!({ "lane": id, "by": by, "halted": detail });
    let had = row.lease;
    // Who works on the lane believes it to be halted: what it would write now rests on that.
    row.lease = had.saturating_add(1);
    row.gate = Gate::Closed {
        detail: "a person had it looked at: it was not compared since".into(),
    };
    // Nothing that was believed counts: the journal is compared from its beginning.
    row.compared_to = None;
    let text = "UPDATE lanes SET gate = $3, lease = $4, compared_to = NULL \
                WHERE id = $1 AND lease = $2";
    let values = values![id.to_string(), had, text_of(&row.gate)?, row.lease];
    if sql::run(work.conn, text, &values)? == 0 {
        return Err(StoreError::Fenced { lane: id.clone() });
    }
    work.record("lane.opened", None, &body, at)?;
    Ok(Some(row))
}

/// Whoever works on the lane holds an old view from now on, and takes the lane anew.
pub(super) fn fence(work: &Work<'_>, id: &LaneId, lease: u64) -> Result<(), StoreError> {
    let text = "UPDATE lanes SET lease = $3 WHERE id = $1 AND lease = $2";
    let values = values![id.to_string(), lease, lease.saturating_add(1)];
    match sql::run(work.conn, text, &values)? {
        0 => Err(StoreError::Fenced { lane: id.clone() }),
        _ => Ok(()),
    }
}

/// Writes a lane's row under its lease, which is looked at even if the row stays as it was: what
/// another has taken since writes nothing.
pub(super) fn write(
    work: &Work<'_>,
    lane: &str,
    (before, row): (&LaneRow, &LaneRow),
) -> Result<(), StoreError> {
    let found = if before == row {
        let text = "SELECT 1 FROM lanes WHERE id = $1 AND lease = $2";
        let values = values![lane, row.lease];
        sql::read(work.conn, text, &values, |_| Ok(()))?.len()
    } else {
        let text = "UPDATE lanes SET epoch = $3, epoch_seen = $4, next_attempt = $5, \
                    next_nonce = $6, gate = $7, compared_to = $8 WHERE id = $1 AND lease = $2";
        let values = values![
            lane,
            row.lease,
            row.epoch,
            u64::from(row.epoch_seen),
            row.next_attempt.0,
            row.next_nonce,
            text_of(&row.gate)?,
            row.compared_to,
        ];
        sql::run(work.conn, text, &values)?
    };
    if found == 1 {
        Ok(())
    } else {
        let lane = row.id.clone();
        Err(StoreError::Fenced { lane })
    }
}
