//! The store in SQLite: one file in WAL mode, one writer, a few readers.
//!
//! Everything that is written goes through one task with one connection. What waits there together
//! becomes durable together, by one flush. The writer keeps the views of the lanes it commits for, so
//! that a commit reads next to nothing.

mod accept;
mod commit;
mod decide;
mod error;
mod lanes;
mod late;
mod load;
mod open;
mod rows;
mod sql;
mod touched;
mod work;
mod writer;

use std::path::Path;

use async_trait::async_trait;
use sqlx::{Sqlite, SqlitePool, Transaction, pool::PoolConnection};
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinHandle,
};
use tx::{Asset, Chain, IntentId, Name, Time};

pub use self::open::{Durability, Options};
use self::writer::{Done, Task, Unit, lost};
use super::{Accepted, Credit, Decided, Filter, NewLane, Recorded, Room, Store, StoreError};
use crate::{
    attempt::Attempt,
    change::Commit,
    lane::{LaneId, LaneRow, LaneView},
    ledger::{Account, Balance},
    limit::DailyLimit,
    withdrawal::{NewWithdrawal, Stage, Waiting, Withdrawal, WithdrawalNumber},
};

/// The store in SQLite.
///
/// Dropping it is as a crash: what was not committed is lost and nothing else, and the same file can
/// be opened again at once. [`SqliteStore::close`] ends it in good order.
#[derive(Debug)]
pub struct SqliteStore {
    id: String,
    units: mpsc::Sender<Unit>,
    writer: JoinHandle<()>,
    readers: SqlitePool,
}

impl SqliteStore {
    /// Opens a database, and makes it if there is none. Its folder must exist.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`], and [`StoreError::Corrupt`] for what is no database of this
    /// program or of a newer version.
    pub async fn open(path: &Path) -> Result<Self, StoreError> {
        Self::open_with(path, &Options::default()).await
    }

    /// As [`Self::open`], by other than the usual options.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub async fn open_with(path: &Path, options: &Options) -> Result<Self, StoreError> {
        let opened = open::open(path, options).await?;
        let (units, waiting) = mpsc::channel(UNITS_WAITING_MAX);
        Ok(Self {
            id: opened.id,
            units,
            writer: tokio::spawn(opened.writer.run(waiting)),
            readers: opened.readers,
        })
    }

    /// The database's own id, made with it.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Writes what waits, and closes the file.
    pub async fn close(mut self) {
        let (closed, _) = mpsc::channel(1);
        drop(std::mem::replace(&mut self.units, closed));
        // It ends when it has written what waits.
        let _ = (&mut self.writer).await;
        self.readers.close().await;
    }

    async fn ask(&self, task: Task) -> Result<Done, StoreError> {
        let (reply, answer) = oneshot::channel();
        let unit = Unit { task, reply };
        self.units.send(unit).await.map_err(|_| lost())?;
        answer.await.map_err(|_| lost())?
    }

    async fn decide(&self, task: Task) -> Result<Decided, StoreError> {
        match self.ask(task).await? {
            Done::Decided(decided) => Ok(*decided),
            _ => Err(lost()),
        }
    }

    async fn do_it(&self, task: Task) -> Result<(), StoreError> {
        match self.ask(task).await? {
            Done::Nothing => Ok(()),
            _ => Err(lost()),
        }
    }

    async fn reader(&self) -> Result<PoolConnection<Sqlite>, StoreError> {
        self.readers.acquire().await.map_err(error::of)
    }

    /// For several reads of one state: it ends when it is dropped.
    async fn state(&self) -> Result<Transaction<'_, Sqlite>, StoreError> {
        self.readers.begin().await.map_err(error::of)
    }
}

/// The most units that wait for the writer; who comes then waits to wait.
const UNITS_WAITING_MAX: usize = 1024;

impl Drop for SqliteStore {
    fn drop(&mut self) {
        self.writer.abort();
    }
}

#[async_trait]
impl Store for SqliteStore {
    async fn accept(&self, new: Vec<NewWithdrawal>, at: Time) -> Result<Vec<Accepted>, StoreError> {
        match self.ask(Task::Accept(new, at)).await? {
            Done::Accepted(accepted) => Ok(accepted),
            _ => Err(lost()),
        }
    }

    async fn approve(&self, id: &IntentId, by: &Name, at: Time) -> Result<Decided, StoreError> {
        self.decide(Task::Approve(id.clone(), by.clone(), at)).await
    }

    async fn release(&self, id: &IntentId, by: &Name, at: Time) -> Result<Decided, StoreError> {
        self.decide(Task::Release(id.clone(), by.clone(), at)).await
    }

    async fn withdrawal(&self, id: &IntentId) -> Result<Option<Withdrawal>, StoreError> {
        load::withdrawal(&mut *self.reader().await?, id).await
    }

    async fn withdrawals(
        &self,
        filter: &Filter,
        after: Option<WithdrawalNumber>,
        limit: u32,
    ) -> Result<Vec<Withdrawal>, StoreError> {
        load::listed(&mut *self.reader().await?, filter, after, limit).await
    }

    async fn attempts(
        &self,
        withdrawal: WithdrawalNumber,
    ) -> Result<Vec<(LaneId, Attempt)>, StoreError> {
        let mut state = self.state().await?;
        load::attempts(&mut state, withdrawal).await
    }

    async fn counts(&self) -> Result<Vec<(Stage, Chain, u64)>, StoreError> {
        load::counts(&mut *self.reader().await?).await
    }

    async fn events(
        &self,
        withdrawal: Option<WithdrawalNumber>,
        after: Option<u64>,
        limit: u32,
    ) -> Result<Vec<Recorded>, StoreError> {
        load::events(&mut *self.reader().await?, withdrawal, after, limit).await
    }

    async fn credit(&self, credit: &Credit, at: Time) -> Result<bool, StoreError> {
        match self.ask(Task::Credit(credit.clone(), at)).await? {
            Done::Booked(new) => Ok(new),
            _ => Err(lost()),
        }
    }

    async fn balances(&self, account: &Account) -> Result<Vec<(Asset, Balance)>, StoreError> {
        load::balances(&mut *self.reader().await?, account).await
    }

    async fn set_limits(&self, limits: &[DailyLimit], at: Time) -> Result<(), StoreError> {
        self.do_it(Task::Limits(limits.to_vec(), at)).await
    }

    async fn room(
        &self,
        asset: &Asset,
        account: &Account,
        at: Time,
    ) -> Result<Option<Room>, StoreError> {
        let mut state = self.state().await?;
        load::room(&mut state, asset, account, at).await
    }

    async fn ensure_lane(&self, lane: &NewLane, at: Time) -> Result<(), StoreError> {
        self.do_it(Task::EnsureLane(lane.clone(), at)).await
    }

    async fn acquire(
        &self,
        lane: &LaneId,
        owner: &str,
        at: Time,
        until: Time,
    ) -> Result<Option<LaneRow>, StoreError> {
        let task = Task::Acquire(lane.clone(), owner.to_owned(), at, until);
        match self.ask(task).await? {
            Done::Lane(row) => Ok(row),
            _ => Err(lost()),
        }
    }

    async fn renew(&self, lane: &LaneId, lease: u64, until: Time) -> Result<(), StoreError> {
        self.do_it(Task::Renew(lane.clone(), lease, until)).await
    }

    async fn open_lane(
        &self,
        lane: &LaneId,
        by: &Name,
        at: Time,
    ) -> Result<Option<LaneRow>, StoreError> {
        let task = Task::OpenLane(lane.clone(), by.clone(), at);
        match self.ask(task).await? {
            Done::Lane(row) => Ok(row),
            _ => Err(lost()),
        }
    }

    async fn load(&self, lane: &LaneId) -> Result<LaneView, StoreError> {
        let mut state = self.state().await?;
        let found = load::view(&mut state, lane).await?;
        found.ok_or_else(|| error::conflict("there is no such lane"))
    }

    async fn lanes(&self) -> Result<Vec<LaneRow>, StoreError> {
        load::lanes(&mut *self.reader().await?).await
    }

    async fn commit(&self, commit: Commit) -> Result<(), StoreError> {
        self.do_it(Task::Commit(commit)).await
    }

    async fn knows(&self, lane: &LaneId, attempts: &[u64]) -> Result<Vec<bool>, StoreError> {
        load::knows(&mut *self.reader().await?, lane, attempts).await
    }

    async fn approved(
        &self,
        chain: Chain,
        at: Time,
        after: Option<WithdrawalNumber>,
        limit: u32,
    ) -> Result<Vec<Withdrawal>, StoreError> {
        let mut conn = self.reader().await?;
        load::approved(&mut conn, chain, at, (after, limit)).await
    }

    async fn wait(
        &self,
        withdrawals: &[WithdrawalNumber],
        waiting: Option<&Waiting>,
        not_before: Time,
        at: Time,
    ) -> Result<(), StoreError> {
        let numbers = withdrawals.to_vec();
        let task = Task::Wait(numbers, waiting.cloned(), not_before, at);
        self.do_it(task).await
    }
}
