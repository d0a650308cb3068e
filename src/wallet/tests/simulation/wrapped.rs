//! Stores that break a rule on purpose.

use std::sync::Arc;

use async_trait::async_trait;
use tx::{Asset, Chain, IntentId, Name, Time};
use wallet::{
    attempt::Attempt,
    change::{Commit, Gate},
    lane::{LaneId, LaneRow, LaneView},
    ledger::{Account, Balance},
    limit::DailyLimit,
    settlement::Settlement,
    store::{
        Accepted, Credit, Decided, Filter, NewLane, Recorded, Room, SqliteStore, Store, StoreError,
    },
    withdrawal::{NewWithdrawal, Stage, Waiting, Withdrawal, WithdrawalNumber},
};

/// What a store does wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Breaks {
    /// Signed bytes are lost.
    Bytes,
    /// A lane that is taken begins to pay at once.
    Gate,
    /// What became of a withdrawal in the end stands in no outbox.
    Outbox,
}

/// A store that breaks a rule.
pub struct Wrapped {
    pub store: Arc<SqliteStore>,
    pub breaks: Breaks,
}

impl Wrapped {
    pub fn bytes(store: Arc<SqliteStore>) -> Arc<dyn Store> {
        let breaks = Breaks::Bytes;
        Arc::new(Self { store, breaks })
    }

    pub fn gate(store: Arc<SqliteStore>) -> Arc<dyn Store> {
        let breaks = Breaks::Gate;
        Arc::new(Self { store, breaks })
    }

    pub fn outbox(store: Arc<SqliteStore>) -> Arc<dyn Store> {
        let breaks = Breaks::Outbox;
        Arc::new(Self { store, breaks })
    }
}

#[async_trait]
impl Store for Wrapped {
    async fn accept(&self, new: Vec<NewWithdrawal>, at: Time) -> Result<Vec<Accepted>, StoreError> {
        self.store.accept(new, at).await
    }

    async fn approve(&self, id: &IntentId, by: &Name, at: Time) -> Result<Decided, StoreError> {
        self.store.approve(id, by, at).await
    }

    async fn release(&self, id: &IntentId, by: &Name, at: Time) -> Result<Decided, StoreError> {
        self.store.release(id, by, at).await
    }

    async fn settle(
        &self,
        id: &IntentId,
        settlement: &Settlement,
        at: Time,
    ) -> Result<Decided, StoreError> {
        self.store.settle(id, settlement, at).await
    }

    async fn withdrawal(&self, id: &IntentId) -> Result<Option<Withdrawal>, StoreError> {
        self.store.withdrawal(id).await
    }

    async fn withdrawals(
        &self,
        filter: &Filter,
        after: Option<WithdrawalNumber>,
        limit: u32,
    ) -> Result<Vec<Withdrawal>, StoreError> {
        self.store.withdrawals(filter, after, limit).await
    }

    async fn attempts(
        &self,
        withdrawal: WithdrawalNumber,
    ) -> Result<Vec<(LaneId, Attempt)>, StoreError> {
        self.store.attempts(withdrawal).await
    }

    async fn counts(&self) -> Result<Vec<(Stage, Chain, u64)>, StoreError> {
        self.store.counts().await
    }

    async fn events(
        &self,
        withdrawal: Option<WithdrawalNumber>,
        after: Option<u64>,
        limit: u32,
    ) -> Result<Vec<Recorded>, StoreError> {
        let mut events = self.store.events(withdrawal, after, limit).await?;
        if self.breaks == Breaks::Outbox {
            events.retain(|event| event.topic != "withdrawal.final");
        }
        Ok(events)
    }

    async fn credit(&self, credit: &Credit, at: Time) -> Result<bool, StoreError> {
        self.store.credit(credit, at).await
    }

    async fn balances(&self, account: &Account) -> Result<Vec<(Asset, Balance)>, StoreError> {
        self.store.balances(account).await
    }

    async fn set_limits(&self, limits: &[DailyLimit], at: Time) -> Result<(), StoreError> {
        self.store.set_limits(limits, at).await
    }

    async fn room(
        &self,
        asset: &Asset,
        account: &Account,
        at: Time,
    ) -> Result<Option<Room>, StoreError> {
        self.store.room(asset, account, at).await
    }

    async fn ensure_lane(&self, lane: &NewLane, at: Time) -> Result<(), StoreError> {
        self.store.ensure_lane(lane, at).await
    }

    async fn acquire(
        &self,
        lane: &LaneId,
        owner: &str,
        at: Time,
        until: Time,
    ) -> Result<Option<LaneRow>, StoreError> {
        let mut row = self.store.acquire(lane, owner, at, until).await?;
        if let Some(row) = row.as_mut().filter(|_| self.breaks == Breaks::Gate) {
            let gate = vec![wallet::change::Change::Gate(Gate::Open)];
            let commit = Commit {
                lane: lane.clone(),
                lease: row.lease,
                at,
                changes: gate,
            };
            self.store.commit(commit).await?;
            row.gate = Gate::Open;
        }
        Ok(row)
    }

    async fn renew(&self, lane: &LaneId, lease: u64, until: Time) -> Result<(), StoreError> {
        self.store.renew(lane, lease, until).await
    }

    async fn open_lane(
        &self,
        lane: &LaneId,
        by: &Name,
        at: Time,
    ) -> Result<Option<LaneRow>, StoreError> {
        self.store.open_lane(lane, by, at).await
    }

    async fn load(&self, lane: &LaneId) -> Result<LaneView, StoreError> {
        let mut view = self.store.load(lane).await?;
        if self.breaks == Breaks::Bytes {
            for attempt in view.attempts.clone().values() {
                let forgotten = Attempt {
                    signed: None,
                    ..attempt.clone()
                };
                view.attempts.insert(attempt.number, forgotten);
            }
        }
        Ok(view)
    }

    async fn lanes(&self) -> Result<Vec<LaneRow>, StoreError> {
        self.store.lanes().await
    }

    async fn commit(&self, commit: Commit) -> Result<(), StoreError> {
        self.store.commit(commit).await
    }

    async fn knows(&self, lane: &LaneId, attempts: &[u64]) -> Result<Vec<bool>, StoreError> {
        self.store.knows(lane, attempts).await
    }

    async fn approved(
        &self,
        chain: Chain,
        at: Time,
        after: Option<WithdrawalNumber>,
        limit: u32,
    ) -> Result<Vec<Withdrawal>, StoreError> {
        self.store.approved(chain, at, after, limit).await
    }

    async fn wait(
        &self,
        withdrawals: &[WithdrawalNumber],
        waiting: Option<&Waiting>,
        not_before: Time,
        at: Time,
    ) -> Result<(), StoreError> {
        self.store.wait(withdrawals, waiting, not_before, at).await
    }
}
