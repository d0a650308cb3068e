//! A lane's commit: its changes are applied to the lane's view, which the writer keeps, and what that
//! touched is written.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
};

use serde_json::json;
use tx::{Intent, Time};

use super::{decide, error::conflict, lanes, load, rows, sql, touched, work::Work};
use crate::{
    change::{Change, Commit},
    lane::{LaneId, LaneView},
    ledger::Account,
    store::StoreError,
    view::Applied,
    withdrawal::{Stage, Withdrawal, WithdrawalNumber},
};

/// The views of lanes as they are in the database. One is of use only under the lease it was read
/// under: every commit under a lease comes through here, and another lease shows.
pub(super) type Views = BTreeMap<LaneId, LaneView>;

pub(super) fn commit(
    work: &mut Work<'_>,
    views: &mut Views,
    commit: &Commit,
) -> Result<(), StoreError> {
    let Some(mut view) = current(work, views, commit)? else {
        return Err(fenced(commit));
    };
    let changes = numbered(work, commit)?;
    let queued = work.withdrawals(wanted(&changes, &view))?;
    let applied = {
        let find = |number: WithdrawalNumber| queued.get(&number).cloned();
        view.apply_recorded(&changes, &find, commit.at)
    };
    let applied = match applied {
        Ok(applied) => applied,
        Err(error) => return Err(refused(work, commit, &error.to_string())?),
    };
    let lane = view.row.id.to_string();
    lanes::write(work, &lane, (&applied.row, &view.row))?;
    let moved = Moved {
        lane: &lane,
        view: &view,
        applied: &applied,
        queued: &queued,
        at: commit.at,
    };
    touched::write(work, &moved)?;
    wait_outside(work, &changes, &moved)?;
    record_lane(work, &changes, &moved)?;
    views.insert(commit.lane.clone(), view);
    Ok(())
}

/// A commit whose changes were applied.
pub(super) struct Moved<'a> {
    /// The lane as text: an address in it has a checksum, which is not for nothing.
    pub(super) lane: &'a str,
    pub(super) view: &'a LaneView,
    pub(super) applied: &'a Applied,
    queued: &'a BTreeMap<WithdrawalNumber, Withdrawal>,
    pub(super) at: Time,
}

impl Moved<'_> {
    /// A withdrawal that was touched, as it is now.
    pub(super) fn withdrawal(&self, number: WithdrawalNumber) -> Option<&Withdrawal> {
        let kept = self.view.withdrawals.get(&number);
        kept.or_else(|| self.applied.freed.get(&number))
    }

    /// A withdrawal that was touched, as it was.
    pub(super) fn before(&self, number: WithdrawalNumber) -> Option<&Withdrawal> {
        let before = self.applied.withdrawals.get(&number)?.as_ref();
        before.or_else(|| self.queued.get(&number))
    }
}

/// The lane's view, out of those that are kept if it is of this lease.
fn current(
    work: &Work<'_>,
    views: &mut Views,
    commit: &Commit,
) -> Result<Option<LaneView>, StoreError> {
    // Taken out: it comes back only when all of this was written.
    if let Some(view) = views.remove(&commit.lane)
        && view.row.lease == commit.lease
    {
        return Ok(Some(view));
    }
    let view = load::view(work.conn, &commit.lane)?;
    Ok(view.filter(|view| view.row.lease == commit.lease))
}

fn fenced(commit: &Commit) -> StoreError {
    StoreError::Fenced {
        lane: commit.lane.clone(),
    }
}

/// A refusal is by the lease, if that is another's by now, and else by the change.
fn refused(work: &Work<'_>, commit: &Commit, what: &str) -> Result<StoreError, StoreError> {
    let row = load::lane(work.conn, &commit.lane)?;
    if row.is_some_and(|row| row.lease == commit.lease) {
        Ok(conflict(what))
    } else {
        Ok(fenced(commit))
    }
}

/// The withdrawals that new attempts pay and the view does not have.
fn wanted(changes: &[Change], view: &LaneView) -> BTreeSet<WithdrawalNumber> {
    let pays = changes.iter().flat_map(|change| match change {
        Change::Assign(attempt) => attempt.pays.as_slice(),
        Change::Adopt(adopt) => adopt.attempt.pays.as_slice(),
        _ => &[],
    });
    pays.copied()
        .filter(|number| !view.withdrawals.contains_key(number))
        .collect()
}

/// The changes with the withdrawals of adopted attempts.
fn numbered<'c>(work: &mut Work<'_>, commit: &'c Commit) -> Result<Cow<'c, [Change]>, StoreError> {
    let adopts = |change: &Change| matches!(change, Change::Adopt(_));
    let mut changes = Cow::Borrowed(commit.changes.as_slice());
    if changes.iter().any(adopts) {
        for change in changes.to_mut() {
            if let Change::Adopt(adopt) = change {
                adopt.attempt.pays.clear();
                for intent in &adopt.intents {
                    let number = known_or_new(work, intent, commit.at)?;
                    adopt.attempt.pays.push(number);
                }
            }
        }
    }
    Ok(changes)
}

/// The withdrawal of an intent; one of nobody's if none is known: the signer was asked for it, by
/// this coordinator before its database was restored.
fn known_or_new(
    work: &mut Work<'_>,
    intent: &Intent,
    at: Time,
) -> Result<WithdrawalNumber, StoreError> {
    if let Some(known) = load::withdrawal(work.conn, &intent.id)? {
        return Ok(known.number);
    }
    let client = "recovered".parse();
    let withdrawal = Withdrawal {
        number: work.new_number(),
        client: client.map_err(|_| sql::unsound("a client"))?,
        account: Account::Suspense,
        intent: intent.clone(),
        stage: Stage::Approved,
        waiting: None,
        not_before: Time::from_millis(0),
        lane: None,
        requested_at: at,
        changed_at: at,
    };
    rows::insert_withdrawal(work.conn, &withdrawal)?;
    let body = json!({ "client": withdrawal.client, "account": Account::Suspense });
    work.record("withdrawal.recovered", Some(withdrawal.number), &body, at)?;
    Ok(withdrawal.number)
}

/// Withdrawals that no set of the lane holds may wait too.
fn wait_outside(
    work: &mut Work<'_>,
    changes: &[Change],
    moved: &Moved<'_>,
) -> Result<(), StoreError> {
    for change in changes {
        let Change::Wait {
            withdrawals,
            waiting,
            not_before,
        } = change
        else {
            continue;
        };
        let outside = withdrawals.iter().copied();
        let outside: Vec<_> = outside
            .filter(|number| !moved.applied.withdrawals.contains_key(number))
            .collect();
        let what = (waiting.as_ref(), *not_before);
        decide::wait(work, &outside, what, moved.at)?;
    }
    Ok(())
}

/// Records what concerns the lane and not one withdrawal.
fn record_lane(
    work: &mut Work<'_>,
    changes: &[Change],
    moved: &Moved<'_>,
) -> Result<(), StoreError> {
    let lane = moved.lane;
    if moved.applied.row.gate != moved.view.row.gate {
        let body = json!({ "lane": lane, "gate": moved.view.row.gate });
        work.record("lane.gate", None, &body, moved.at)?;
    }
    for change in changes {
        let (topic, body) = match change {
            Change::Replace(attempt) => (
                "attempt.replacement",
                json!({
                    "lane": lane, "attempt": attempt.number, "set": attempt.set,
                    "purpose": attempt.purpose, "withdrawals": attempt.pays,
                }),
            ),
            Change::Adopt(adopt) => (
                "attempt.adopted",
                json!({
                    "lane": lane, "attempt": adopt.attempt.number,
                    "withdrawals": adopt.attempt.pays,
                }),
            ),
            Change::Void {
                attempt,
                certificate,
            } => (
                "attempt.void",
                json!({ "lane": lane, "attempt": attempt, "certificate": certificate }),
            ),
            Change::Dead {
                attempt,
                certificate,
            } => (
                "attempt.dead",
                json!({ "lane": lane, "attempt": attempt, "certificate": certificate }),
            ),
            Change::Rewind { to } => ("lane.rewound", json!({ "lane": lane, "to": to })),
            _ => continue,
        };
        work.record(topic, None, &body, moved.at)?;
    }
    Ok(())
}
