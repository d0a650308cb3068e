//! The one writer. Units of work that wait together share a transaction and its flush; if that does
//! not do, each has one of its own, so that none harms another.

use std::collections::BTreeSet;

use sqlx::{ConnectOptions, SqliteConnection, sqlite::SqliteConnectOptions};
use tokio::sync::{mpsc, oneshot};
use tx::{IntentId, Name, Time};

use super::{
    accept,
    commit::{self, Views},
    decide, error, lanes,
    sql::{self, Values},
    work::Work,
};
use crate::{
    change::Commit,
    lane::{LaneId, LaneRow},
    limit::DailyLimit,
    points::{self, Deed, Side},
    store::{Accepted, Credit, Decided, NewLane, StoreError},
    withdrawal::{NewWithdrawal, Waiting, WithdrawalNumber},
};

/// The most units of one transaction.
const UNITS_MAX: usize = 256;

/// What is to be written.
pub(super) enum Task {
    Accept(Vec<NewWithdrawal>, Time),
    Approve(IntentId, Name, Time),
    Release(IntentId, Name, Time),
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
    options: SqliteConnectOptions,
    conn: Option<SqliteConnection>,
    views: Views,
}

impl Writer {
    pub(super) fn new(options: SqliteConnectOptions, conn: SqliteConnection) -> Self {
        Self {
            options,
            conn: Some(conn),
            views: Views::new(),
        }
    }

    /// Writes until nobody can ask any more.
    pub(super) async fn run(mut self, mut units: mpsc::Receiver<Unit>) {
        let mut waiting = Vec::new();
        while units.recv_many(&mut waiting, UNITS_MAX).await > 0 {
            self.write(std::mem::take(&mut waiting)).await;
        }
    }

    async fn write(&mut self, units: Vec<Unit>) {
        let (tasks, replies): (Vec<Task>, Vec<_>) = units
            .into_iter()
            .map(|unit| (unit.task, unit.reply))
            .unzip();
        let results = self.group(&tasks).await;
        for (reply, result) in replies.into_iter().zip(results) {
            // Whoever asked may be gone; what is written is written.
            let _ = reply.send(result);
        }
    }

    async fn group(&mut self, tasks: &[Task]) -> Vec<Result<Done, StoreError>> {
        let error = match self.transaction(tasks).await {
            Ok(done) => return done.into_iter().map(Ok).collect(),
            Err(error) => error,
        };
        if tasks.len() < 2 || matches!(error, Failure::NotBegun(_)) {
            let error = error.into_inner();
            return tasks.iter().map(|_| Err(error::again(&error))).collect();
        }
        let mut results = Vec::with_capacity(tasks.len());
        for task in tasks {
            let done = self.transaction(std::slice::from_ref(task)).await;
            let one = done.map_err(Failure::into_inner);
            results.push(one.and_then(|mut done| done.pop().ok_or_else(lost)));
        }
        results
    }

    /// One transaction: all or nothing.
    async fn transaction(&mut self, tasks: &[Task]) -> Result<Vec<Done>, Failure> {
        points::pass(Deed::Commit, Side::Before);
        let mut conn = match self.conn.take() {
            Some(conn) => conn,
            None => self.reconnect().await.map_err(Failure::NotBegun)?,
        };
        let begun = sql::run(&mut conn, "BEGIN IMMEDIATE", Values::new()).await;
        if let Err(error) = begun {
            self.conn = Some(conn);
            return Err(Failure::NotBegun(error));
        }
        let written = self.written(&mut conn, tasks).await;
        match written {
            Ok(done) => {
                self.conn = Some(conn);
                points::pass(Deed::Commit, Side::After);
                Ok(done)
            }
            Err(error) => {
                self.views.clear();
                // A failed COMMIT may have ended the transaction already; a connection that cannot
                // even say so is given up.
                let ended = sql::run(&mut conn, "ROLLBACK", Values::new()).await;
                if ended.is_ok() {
                    self.conn = Some(conn);
                }
                Err(Failure::RolledBack(error))
            }
        }
    }

    async fn reconnect(&mut self) -> Result<SqliteConnection, StoreError> {
        self.views.clear();
        self.options.connect().await.map_err(error::of)
    }

    async fn written(
        &mut self,
        conn: &mut SqliteConnection,
        tasks: &[Task],
    ) -> Result<Vec<Done>, StoreError> {
        let mut work = Work::new(conn).await?;
        let asked: Vec<(&[NewWithdrawal], Time)> = tasks.iter().filter_map(accepting).collect();
        let accepted = accept::accept(&mut work, &asked).await?;
        let mut accepted = accepted.into_iter();
        let assigned = tasks.iter().filter_map(committing);
        let assigned: BTreeSet<_> = assigned.flat_map(commit::assigned).collect();
        work.read_withdrawals(assigned).await?;
        let mut done = Vec::with_capacity(tasks.len());
        for task in tasks {
            if committing(task).is_none() {
                // It may read what a lane has written.
                work.write_late().await?;
            }
            done.push(match task {
                Task::Accept(..) => Done::Accepted(accepted.next().ok_or_else(lost)?),
                other => one(&mut work, &mut self.views, other).await?,
            });
        }
        work.finish().await?;
        sql::run(conn, "COMMIT", Values::new()).await?;
        Ok(done)
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

fn accepting(task: &Task) -> Option<(&[NewWithdrawal], Time)> {
    match task {
        Task::Accept(new, at) => Some((new, *at)),
        _ => None,
    }
}

fn committing(task: &Task) -> Option<&Commit> {
    match task {
        Task::Commit(commit) => Some(commit),
        _ => None,
    }
}

async fn one(work: &mut Work<'_>, views: &mut Views, task: &Task) -> Result<Done, StoreError> {
    Ok(match task {
        Task::Accept(..) => return Err(lost()),
        Task::Approve(id, by, at) => {
            Done::Decided(Box::new(decide::approve(work, id, by, *at).await?))
        }
        Task::Release(id, by, at) => {
            Done::Decided(Box::new(decide::release(work, id, by, *at).await?))
        }
        Task::Credit(credit, at) => Done::Booked(decide::credit(work, credit, *at).await?),
        Task::Limits(limits, at) => {
            decide::set_limits(work, limits, *at).await?;
            Done::Nothing
        }
        Task::EnsureLane(lane, at) => {
            lanes::ensure(work, lane, *at).await?;
            Done::Nothing
        }
        Task::Acquire(lane, owner, at, until) => {
            Done::Lane(lanes::acquire(work, lane, owner, (*at, *until)).await?)
        }
        Task::Renew(lane, lease, until) => {
            lanes::renew(work, lane, *lease, *until).await?;
            Done::Nothing
        }
        Task::OpenLane(lane, by, at) => Done::Lane(lanes::open(work, lane, by, *at).await?),
        Task::Commit(commit) => {
            commit::commit(work, views, commit).await?;
            Done::Nothing
        }
        Task::Wait(numbers, waiting, not_before, at) => {
            let what = (waiting.as_ref(), *not_before);
            decide::wait(work, numbers, what, *at).await?;
            Done::Nothing
        }
    })
}

/// What cannot be: the writer answers every task in its kind.
pub(super) fn lost() -> StoreError {
    error::unavailable("the writer has stopped")
}
