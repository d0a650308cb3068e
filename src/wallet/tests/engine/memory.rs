//! A store in memory, which fails as it is told to.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Mutex,
};

use async_trait::async_trait;
use tokio::sync::Semaphore;
use tx::{Asset, Chain, IntentId, Name, Time};
use wallet::{
    attempt::AttemptNumber,
    change::{Change, Commit, Gate},
    lane::{LaneId, LaneRow, LaneView},
    ledger::{Account, Balance},
    limit::DailyLimit,
    settlement::Settlement,
    store::{Accepted, Credit, Decided, Filter, NewLane, Recorded, Room, Store, StoreError},
    withdrawal::{NewWithdrawal, Stage, Waiting, Withdrawal, WithdrawalNumber},
};

/// How the store fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The next so many commits are not written.
    CommitsUnavailable(u32),
    /// The next commit contradicts what is stored.
    Conflict,
    /// No lease is prolonged.
    RenewalsUnavailable,
}

/// A store in memory.
pub struct Memory {
    state: Mutex<State>,
    /// A commit takes one and gives it back.
    pub commits_may_pass: Semaphore,
}

#[derive(Default)]
struct State {
    lanes: BTreeMap<LaneId, Row>,
    commits: Vec<Commit>,
    approved: Vec<Withdrawal>,
    known: BTreeSet<u64>,
    fault: Option<Fault>,
    loads: u32,
    readings: u32,
    told: u32,
}

struct Row {
    row: LaneRow,
    owner: String,
    until: Time,
}

impl Default for Memory {
    fn default() -> Self {
        Self {
            state: Mutex::default(),
            commits_may_pass: Semaphore::new(1000),
        }
    }
}

impl Memory {
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// From now on it fails so.
    pub fn fail(&self, fault: Fault) {
        self.state().fault = Some(fault);
    }

    /// What was written.
    pub fn commits(&self) -> Vec<Commit> {
        self.state().commits.clone()
    }

    /// Another process takes a lane, for longer than any test lasts.
    pub fn steal(&self, lane: &LaneId) {
        let mut state = self.state();
        let row = state.lanes.get_mut(lane).unwrap();
        row.owner = "another".into();
        row.row.lease += 1;
        row.until = Time::from_millis(u64::MAX / 2);
    }

    /// The lease of a lane, and until when it lasts.
    pub fn lease(&self, lane: &LaneId) -> (u64, Time) {
        let state = self.state();
        let row = &state.lanes[lane];
        (row.row.lease, row.until)
    }

    /// How often a view was loaded.
    pub fn loads(&self) -> u32 {
        self.state().loads
    }

    /// How often approved withdrawals were read.
    pub fn readings(&self) -> u32 {
        self.state().readings
    }

    /// These withdrawals may be paid.
    pub fn approve_all(&self, withdrawals: impl IntoIterator<Item = Withdrawal>) {
        self.state().approved.extend(withdrawals);
    }

    /// Why each withdrawal waits that may be paid, and how often any was told.
    pub fn waiting(&self) -> (Vec<Option<Waiting>>, u32) {
        let state = self.state();
        let waiting = state.approved.iter().map(|had| had.waiting.clone());
        (waiting.collect(), state.told)
    }

    /// These attempts are known.
    pub fn know(&self, attempts: impl IntoIterator<Item = u64>) {
        self.state().known.extend(attempts);
    }
}

fn absent<T>() -> Result<T, StoreError> {
    Err(StoreError::Unavailable {
        detail: "the test's store does not do that".into(),
    })
}

fn unavailable() -> StoreError {
    StoreError::Unavailable {
        detail: "as the test asked".into(),
    }
}

#[async_trait]
impl Store for Memory {
    async fn ensure_lane(&self, lane: &NewLane, _: Time) -> Result<(), StoreError> {
        let row = LaneRow {
            id: lane.id.clone(),
            account: lane.account.clone(),
            lease: 0,
            epoch: lane.signer_epoch + 1,
            epoch_seen: false,
            next_attempt: AttemptNumber(0),
            next_nonce: lane.next_nonce,
            gate: Gate::Open,
            compared_to: None,
        };
        self.state().lanes.entry(lane.id.clone()).or_insert(Row {
            row,
            owner: String::new(),
            until: Time::default(),
        });
        Ok(())
    }

    async fn acquire(
        &self,
        lane: &LaneId,
        owner: &str,
        at: Time,
        until: Time,
    ) -> Result<Option<LaneRow>, StoreError> {
        let mut state = self.state();
        let row = state.lanes.get_mut(lane).unwrap();
        if row.owner != owner && row.until > at {
            return Ok(None);
        }
        row.owner = owner.into();
        row.until = until;
        row.row.lease += 1;
        Ok(Some(row.row.clone()))
    }

    async fn renew(&self, lane: &LaneId, lease: u64, until: Time) -> Result<(), StoreError> {
        let mut state = self.state();
        if state.fault == Some(Fault::RenewalsUnavailable) {
            return Err(unavailable());
        }
        let row = state.lanes.get_mut(lane).unwrap();
        if row.row.lease != lease {
            return Err(StoreError::Fenced { lane: lane.clone() });
        }
        row.until = until;
        Ok(())
    }

    async fn open_lane(
        &self,
        lane: &LaneId,
        _: &Name,
        _: Time,
    ) -> Result<Option<LaneRow>, StoreError> {
        let mut state = self.state();
        let row = state.lanes.get_mut(lane).unwrap();
        row.row.lease += 1;
        row.row.gate = Gate::Closed {
            detail: "a person had it looked at".into(),
        };
        Ok(Some(row.row.clone()))
    }

    async fn load(&self, lane: &LaneId) -> Result<LaneView, StoreError> {
        let mut state = self.state();
        state.loads += 1;
        Ok(LaneView::new(state.lanes[lane].row.clone()))
    }

    async fn lanes(&self) -> Result<Vec<LaneRow>, StoreError> {
        let state = self.state();
        Ok(state.lanes.values().map(|row| row.row.clone()).collect())
    }

    async fn commit(&self, commit: Commit) -> Result<(), StoreError> {
        let _pass = self.commits_may_pass.acquire().await.unwrap();
        let mut state = self.state();
        let lane = commit.lane.clone();
        if state.lanes[&lane].row.lease != commit.lease {
            return Err(StoreError::Fenced { lane });
        }
        match state.fault {
            Some(Fault::CommitsUnavailable(more)) => {
                state.fault = (more > 1).then_some(Fault::CommitsUnavailable(more - 1));
                return Err(unavailable());
            }
            Some(Fault::Conflict) => {
                state.fault = None;
                return Err(StoreError::Conflict {
                    what: "as the test asked".into(),
                });
            }
            _ => {}
        }
        for change in &commit.changes {
            if let Change::Assign(attempt) = change {
                let paid = |had: &Withdrawal| attempt.pays.contains(&had.number);
                state.approved.retain(|had| !paid(had));
            }
        }
        state.commits.push(commit);
        Ok(())
    }

    async fn knows(&self, _: &LaneId, attempts: &[u64]) -> Result<Vec<bool>, StoreError> {
        let state = self.state();
        let known = |number: &u64| state.known.contains(number);
        Ok(attempts.iter().map(known).collect())
    }

    async fn approved(
        &self,
        chain: Chain,
        at: Time,
        after: Option<WithdrawalNumber>,
        limit: u32,
    ) -> Result<Vec<Withdrawal>, StoreError> {
        let mut state = self.state();
        state.readings += 1;
        let due = |had: &&Withdrawal| {
            had.chain() == chain
                && had.not_before <= at
                && after.is_none_or(|after| had.number > after)
        };
        let due = state.approved.iter().filter(due);
        Ok(due.take(limit as usize).cloned().collect())
    }

    async fn wait(
        &self,
        withdrawals: &[WithdrawalNumber],
        waiting: Option<&Waiting>,
        not_before: Time,
        _: Time,
    ) -> Result<(), StoreError> {
        let mut state = self.state();
        let theirs = |had: &&mut Withdrawal| withdrawals.contains(&had.number);
        for had in state.approved.iter_mut().filter(theirs) {
            had.waiting = waiting.cloned();
            had.not_before = not_before;
        }
        state.told += 1;
        Ok(())
    }

    async fn set_limits(&self, _: &[DailyLimit], _: Time) -> Result<(), StoreError> {
        Ok(())
    }

    async fn accept(&self, _: Vec<NewWithdrawal>, _: Time) -> Result<Vec<Accepted>, StoreError> {
        absent()
    }

    async fn approve(&self, _: &IntentId, _: &Name, _: Time) -> Result<Decided, StoreError> {
        absent()
    }

    async fn release(&self, _: &IntentId, _: &Name, _: Time) -> Result<Decided, StoreError> {
        absent()
    }

    async fn settle(&self, _: &IntentId, _: &Settlement, _: Time) -> Result<Decided, StoreError> {
        absent()
    }

    async fn withdrawal(&self, _: &IntentId) -> Result<Option<Withdrawal>, StoreError> {
        absent()
    }

    async fn withdrawals(
        &self,
        _: &Filter,
        _: Option<WithdrawalNumber>,
        _: u32,
    ) -> Result<Vec<Withdrawal>, StoreError> {
        absent()
    }

    async fn attempts(
        &self,
        _: WithdrawalNumber,
    ) -> Result<Vec<(LaneId, wallet::attempt::Attempt)>, StoreError> {
        absent()
    }

    async fn counts(&self) -> Result<Vec<(Stage, Chain, u64)>, StoreError> {
        absent()
    }

    async fn events(
        &self,
        _: Option<WithdrawalNumber>,
        _: Option<u64>,
        _: u32,
    ) -> Result<Vec<Recorded>, StoreError> {
        absent()
    }

    async fn credit(&self, _: &Credit, _: Time) -> Result<bool, StoreError> {
        absent()
    }

    async fn balances(&self, _: &Account) -> Result<Vec<(Asset, Balance)>, StoreError> {
        absent()
    }

    async fn room(&self, _: &Asset, _: &Account, _: Time) -> Result<Option<Room>, StoreError> {
        absent()
    }
}
