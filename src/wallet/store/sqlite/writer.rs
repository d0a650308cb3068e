//! The one writer: a thread with a connection. Units of work that wait together share a transaction
//! and its flush; if that does not do, each has one of its own, so that none harms another.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};
use tx::{IntentId, Name, Time};

use super::{
    accept,
    commit::{self, Views},
    decide, error, lanes,
    open::Place,
    settle, sql,
    work::Work,
};
use crate::{
    change::Commit,
    lane::{LaneId, LaneRow},
    limit::DailyLimit,
    points::{self, Deed, Side},
    settlement::Settlement,
    store::{Accepted, Credit, Decided, NewLane, StoreError},
    withdrawal::{NewWithdrawal, Waiting, WithdrawalNumber},
};

/// The most units of one transaction.
const UNITS_MAX: usize = 256;
/// How long the writer waits for more to share a flush with, while units come together: a disk that
/// flushes fast would otherwise be asked to for each of them.
const GATHER: Duration = Duration::from_micros(500);
/// How often it waits so long again while only lanes are waiting. A lane has one commit out at a time,
/// and what happens meanwhile is in its next: the longer this one takes, the more it has in the next.
const GATHER_FOR_LANES: usize = 8;

/// What is to be written.
pub(super) enum Task {
    Accept(Vec<NewWithdrawal>, Time),
    Approve(IntentId, Name, Time),
    Release(IntentId, Name, Time),
    Settle(IntentId, Box<Settlement>, Time),
    Credit(Credit, Time),
    Limits(Vec<DailyLimit>, Time),
    EnsureLane(NewLane, Time),
    Acquire(LaneId, String, Time, Time),
    Renew(LaneId, u64, Time),
    OpenLane(LaneId, Name, Time),
    Commit(Commit),
    Wait(Vec<WithdrawalNumber>, Option<Waiting>, Time, Time),
}

/// What came of it.
pub(super) enum Done {
    Accepted(Vec<Accepted>),
    Decided(Box<Decided>),
    Booked(bool),
    Lane(Option<LaneRow>),
    Nothing,
}

/// A task and who waits for it.
pub(super) struct Unit {
    pub(super) task: Task,
    pub(super) reply: oneshot::Sender<Result<Done, StoreError>>,
}

/// The writer's connection and what it keeps.
pub(super) struct Writer {
    place: Place,
    conn: Option<Connection>,
    views: Views,
    /// Units came together.
    gathers: bool,
    /// Nobody waits for what is not written yet.
    abandoned: Arc<AtomicBool>,
}

impl Writer {
    pub(super) fn new(place: Place, conn: Connection, abandoned: Arc<AtomicBool>) -> Self {
        Self {
            place,
            conn: Some(conn),
            views: Views::new(),
            gathers: false,
            abandoned,
        }
    }

    /// Writes until nobody can ask any more.
    pub(super) fn run(mut self, mut units: mpsc::Receiver<Unit>) {
        let mut waiting = Vec::new();
        while units.blocking_recv_many(&mut waiting, UNITS_MAX) > 0 {
            if self.gathers {
                gather(&mut waiting, &mut units, self.views.len());
            }
            if self.abandoned.load(Ordering::SeqCst) {
                return;
            }
            self.gathers = waiting.len() > 1 && self.place.flushes();
            self.write(std::mem::take(&mut waiting));
        }
    }

    fn write(&mut self, units: Vec<Unit>) {
        let (tasks, replies): (Vec<Task>, Vec<_>) = units
            .into_iter()
            .map(|unit| (unit.task, unit.reply))
            .unzip();
        let results = self.group(&tasks);
        for (reply, result) in replies.into_iter().zip(results) {
            // Whoever asked may be gone; what is written is written.
            let _ = reply.send(result);
        }
    }

    fn group(&mut self, tasks: &[Task]) -> Vec<Result<Done, StoreError>> {
        let error = match self.transaction(tasks) {
            Ok(done) => return done.into_iter().map(Ok).collect(),
            Err(error) => error,
        };
        if tasks.len() < 2 || matches!(error, Failure::NotBegun(_)) {
            let error = error.into_inner();
            return tasks.iter().map(|_| Err(error::again(&error))).collect();
        }
        let mut results = Vec::with_capacity(tasks.len());
        for task in tasks {
            let done = self.transaction(std::slice::from_ref(task));
            let one = done.map_err(Failure::into_inner);
            results.push(one.and_then(|mut done| done.pop().ok_or_else(lost)));
        }
        results
    }

    /// One transaction: all or nothing.
    fn transaction(&mut self, tasks: &[Task]) -> Result<Vec<Done>, Failure> {
        points::pass(Deed::Commit, Side::Before);
        let conn = match self.conn.take() {
            Some(conn) => conn,
            None => self.reconnect().map_err(Failure::NotBegun)?,
        };
        if let Err(error) = sql::run(&conn, "BEGIN IMMEDIATE", &[]) {
            self.conn = Some(conn);
            return Err(Failure::NotBegun(error));
        }
        match self.written(&conn, tasks) {
            Ok(done) => {
                self.conn = Some(conn);
                points::pass(Deed::Commit, Side::After);
                Ok(done)
            }
            Err(error) => {
                self.views.clear();
                // A failed COMMIT may have ended the transaction already; a connection that cannot
                // even say so is given up.
                if conn.is_autocommit() || sql::run(&conn, "ROLLBACK", &[]).is_ok() {
                    self.conn = Some(conn);
                }
                Err(Failure::RolledBack(error))
            }
        }
    }

    fn reconnect(&mut self) -> Result<Connection, StoreError> {
        self.views.clear();
        self.place.writer()
    }

    fn written(&mut self, conn: &Connection, tasks: &[Task]) -> Result<Vec<Done>, StoreError> {
        let mut work = Work::new(conn)?;
        let mut done = Vec::with_capacity(tasks.len());
        for task in tasks {
            done.push(one(&mut work, &mut self.views, task)?);
        }
        work.finish()?;
        sql::run(conn, "COMMIT", &[])?;
        Ok(done)
    }
}

/// Waits for more units; not when all lanes are waiting already.
fn gather(waiting: &mut Vec<Unit>, units: &mut mpsc::Receiver<Unit>, lanes: usize) {
    for _ in 0..GATHER_FOR_LANES {
        thread::sleep(GATHER);
        while waiting.len() < UNITS_MAX
            && let Ok(unit) = units.try_recv()
        {
            waiting.push(unit);
        }
        let of_lane = |unit: &Unit| matches!(unit.task, Task::Commit(_));
        if !waiting.iter().all(of_lane) || waiting.len() >= lanes {
            return;
        }
    }
}

/// Why a transaction wrote nothing.
enum Failure {
    NotBegun(StoreError),
    RolledBack(StoreError),
}

impl Failure {
    fn into_inner(self) -> StoreError {
        match self {
            Self::NotBegun(error) | Self::RolledBack(error) => error,
        }
    }
}

fn one(work: &mut Work<'_>, views: &mut Views, task: &Task) -> Result<Done, StoreError> {
    Ok(match task {
        Task::Accept(new, at) => Done::Accepted(accept::accept(work, new, *at)?),
        Task::Approve(id, by, at) => Done::Decided(Box::new(decide::approve(work, id, by, *at)?)),
        Task::Release(id, by, at) => Done::Decided(Box::new(decide::release(work, id, by, *at)?)),
        Task::Settle(id, settlement, at) => Done::Decided(Box::new(settle::settle(
            work,
            views,
            (id, settlement),
            *at,
        )?)),
        Task::Credit(credit, at) => Done::Booked(decide::credit(work, credit, *at)?),
        Task::Limits(limits, at) => {
            decide::set_limits(work, limits, *at)?;
            Done::Nothing
        }
        Task::EnsureLane(lane, at) => {
            lanes::ensure(work, lane, *at)?;
            Done::Nothing
        }
        Task::Acquire(lane, owner, at, until) => {
            Done::Lane(lanes::acquire(work, lane, owner, (*at, *until))?)
        }
        Task::Renew(lane, lease, until) => {
            lanes::renew(work, lane, *lease, *until)?;
            Done::Nothing
        }
        Task::OpenLane(lane, by, at) => Done::Lane(lanes::open(work, lane, by, *at)?),
        Task::Commit(commit) => {
            commit::commit(work, views, commit)?;
            Done::Nothing
        }
        Task::Wait(numbers, waiting, not_before, at) => {
            let what = (waiting.as_ref(), *not_before);
            decide::wait(work, numbers, what, *at)?;
            Done::Nothing
        }
    })
}

/// What cannot be: the writer answers every task in its kind.
pub(super) fn lost() -> StoreError {
    error::unavailable("the writer has stopped")
}
