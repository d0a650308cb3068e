//! The store in SQLite: one file in WAL mode, one writer, a few readers.
//!
//! Everything that is written goes through one thread with one connection. What waits there together
//! becomes durable together, by one flush. The writer keeps the views of the lanes it commits for, so
//! that a commit reads next to nothing.

mod accept;
mod commit;
mod decide;
mod error;
mod lanes;
mod load;
mod open;
mod readers;
mod rows;
mod settle;
mod sql;
mod touched;
mod work;
mod writer;

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
};

use async_trait::async_trait;
use rusqlite::Connection;
use tokio::{
    sync::{mpsc, oneshot},
    task::spawn_blocking,
};
use tx::{Asset, Chain, IntentId, Name, Time};

pub use self::open::{Durability, Options};
use self::{
    open::Place,
    readers::Readers,
    writer::{Done, Task, Unit, Writer, lost},
};
use super::{Accepted, Credit, Decided, Filter, NewLane, Recorded, Room, Store, StoreError};
use crate::{
    attempt::Attempt,
    change::Commit,
    lane::{LaneId, LaneRow, LaneView},
    ledger::{Account, Balance},
    limit::DailyLimit,
    settlement::Settlement,
    withdrawal::{NewWithdrawal, Stage, Waiting, Withdrawal, WithdrawalNumber},
};

/// The store in SQLite.
///
/// Dropping it is as a crash: what was not committed is lost and nothing else, and the same file can
/// be opened again at once. [`SqliteStore::close`] ends it in good order.
#[derive(Debug)]
pub struct SqliteStore {
    id: String,
    /// `None` when it is closed.
    units: Option<mpsc::Sender<Unit>>,
    writer: Option<JoinHandle<()>>,
    abandoned: Arc<AtomicBool>,
    readers: Readers,
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
        let place = Place::new(path, options);
        let readers = Readers::new(place.clone(), options.readers);
        let opening = spawn_blocking(move || place.open().map(|opened| (place, opened)));
        let (place, (conn, id)) = opening.await.map_err(|_| lost())??;
        let (units, waiting) = mpsc::channel(UNITS_WAITING_MAX);
        let abandoned = Arc::new(AtomicBool::new(false));
        let writer = Writer::new(place, conn, Arc::clone(&abandoned));
        let writer = thread::Builder::new()
            .name("store".into())
            .spawn(move || writer.run(waiting))
            .map_err(|_| error::unavailable("there is no thread for it"))?;
        Ok(Self {
            id,
            units: Some(units),
            writer: Some(writer),
            abandoned,
            readers,
        })
    }

    /// The database's own id, made with it.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Writes what waits, and closes the file: no connection to it is left.
    pub async fn close(mut self) {
        self.units = None;
        self.readers.close().await;
        if let Some(writer) = self.writer.take() {
            // It ends when it has written what waits. That it panicked was said by then.
            let _ = spawn_blocking(move || writer.join()).await;
        }
    }

    async fn ask(&self, task: Task) -> Result<Done, StoreError> {
        let (reply, answer) = oneshot::channel();
        let units = self.units.as_ref().ok_or_else(lost)?;
        let sent = units.send(Unit { task, reply }).await;
        sent.map_err(|_| lost())?;
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
}

/// The most units that wait for the writer; who comes then waits to wait.
const UNITS_WAITING_MAX: usize = 1024;

impl Drop for SqliteStore {
    fn drop(&mut self) {
        self.abandoned.store(true, Ordering::SeqCst);
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

    async fn settle(
        &self,
        id: &IntentId,
        settlement: &Settlement,
        at: Time,
    ) -> Result<Decided, StoreError> {
        let task = Task::Settle(id.clone(), Box::new(settlement.clone()), at);
        self.decide(task).await
    }

    async fn withdrawal(&self, id: &IntentId) -> Result<Option<Withdrawal>, StoreError> {
        let id = id.clone();
        let read = move |conn: &Connection| load::withdrawal(conn, &id);
        self.readers.read(read).await
    }

    async fn withdrawals(
        &self,
        filter: &Filter,
        after: Option<WithdrawalNumber>,
        limit: u32,
    ) -> Result<Vec<Withdrawal>, StoreError> {
        let filter = filter.clone();
        let read = move |conn: &Connection| load::listed(conn, &filter, after, limit);
        self.readers.read(read).await
    }

    async fn attempts(
        &self,
        withdrawal: WithdrawalNumber,
    ) -> Result<Vec<(LaneId, Attempt)>, StoreError> {
        let read = move |conn: &Connection| load::attempts(conn, withdrawal);
        self.readers.read(read).await
    }

    async fn counts(&self) -> Result<Vec<(Stage, Chain, u64)>, StoreError> {
        self.readers.read(load::counts).await
    }

    async fn events(
        &self,
        withdrawal: Option<WithdrawalNumber>,
        after: Option<u64>,
        limit: u32,
    ) -> Result<Vec<Recorded>, StoreError> {
        let read = move |conn: &Connection| load::events(conn, withdrawal, after, limit);
        self.readers.read(read).await
    }

    async fn credit(&self, credit: &Credit, at: Time) -> Result<bool, StoreError> {
        match self.ask(Task::Credit(credit.clone(), at)).await? {
            Done::Booked(new) => Ok(new),
            _ => Err(lost()),
        }
    }

    async fn balances(&self, account: &Account) -> Result<Vec<(Asset, Balance)>, StoreError> {
        let account = account.clone();
        let read = move |conn: &Connection| load::balances(conn, &account);
        self.readers.read(read).await
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
        let (asset, account) = (asset.clone(), account.clone());
        let read = move |conn: &Connection| load::room(conn, &asset, &account, at);
        self.readers.read(read).await
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
        let lane = lane.clone();
        let read = move |conn: &Connection| load::view(conn, &lane);
        let found = self.readers.read(read).await?;
        found.ok_or_else(|| error::conflict("there is no such lane"))
    }

    async fn lanes(&self) -> Result<Vec<LaneRow>, StoreError> {
        self.readers.read(load::lanes).await
    }

    async fn commit(&self, commit: Commit) -> Result<(), StoreError> {
        self.do_it(Task::Commit(commit)).await
    }

    async fn knows(&self, lane: &LaneId, attempts: &[u64]) -> Result<Vec<bool>, StoreError> {
        let (lane, attempts) = (lane.clone(), attempts.to_vec());
        let read = move |conn: &Connection| load::knows(conn, &lane, &attempts);
        self.readers.read(read).await
    }

    async fn approved(
        &self,
        chain: Chain,
        at: Time,
        after: Option<WithdrawalNumber>,
        limit: u32,
    ) -> Result<Vec<Withdrawal>, StoreError> {
        let read = move |conn: &Connection| load::approved(conn, chain, at, (after, limit));
        self.readers.read(read).await
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
