//! One database transaction under way: what is written at its end, together, whoever asked for it.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value as Json;
use sqlx::SqliteConnection;
use tx::{Amount, Asset, Time};

use super::{
    error::{conflict, corrupt},
    late::{Changes, Late},
    load, rows,
    sql::{self, Values, values},
};
use crate::{
    lane::LaneId,
    ledger::{Account, Balance, Posting},
    store::StoreError,
    withdrawal::{Withdrawal, WithdrawalNumber},
};

/// A transaction under way.
pub(super) struct Work<'a> {
    pub(super) conn: &'a mut SqliteConnection,
    next_event: u64,
    next_withdrawal: u64,
    events: Vec<Values>,
    postings: Vec<Values>,
    uses: Vec<Values>,
    balances: BTreeMap<(Account, Asset), Kept<Balance>>,
    days: BTreeMap<DayKey, Kept<Amount>>,
    queued: BTreeMap<WithdrawalNumber, Withdrawal>,
    late: BTreeMap<Late, Vec<Values>>,
    /// The lanes whose rows are written.
    pub(super) committed: Vec<LaneId>,
}

/// A day's use of a limit: the asset, the account as text, the day.
pub(super) type DayKey = (Asset, String, u64);

/// A row that is written by compare-and-set at the end.
struct Kept<T> {
    was: Option<T>,
    now: T,
}

/// A use of a limit, or its reversal.
pub(super) struct Use<'a> {
    pub(super) withdrawal: WithdrawalNumber,
    pub(super) kind: &'static str,
    pub(super) asset: &'a Asset,
    pub(super) account: &'a Account,
    pub(super) day: u64,
    pub(super) amount: Amount,
}

impl<'a> Work<'a> {
    pub(super) async fn new(conn: &'a mut SqliteConnection) -> Result<Self, StoreError> {
        let text = "SELECT (SELECT max(id) FROM events), (SELECT max(number) FROM withdrawals)";
        let found = sql::read(&mut *conn, text, Values::new()).await?;
        let row = found.first().ok_or_else(|| corrupt("no row"))?;
        let next = |last: Option<u64>| last.map_or(1, |last| last.saturating_add(1));
        Ok(Self {
            next_event: next(row.number_or_none(0)?),
            next_withdrawal: next(row.number_or_none(1)?),
            conn,
            events: Vec::new(),
            postings: Vec::new(),
            uses: Vec::new(),
            balances: BTreeMap::new(),
            days: BTreeMap::new(),
            queued: BTreeMap::new(),
            late: BTreeMap::new(),
            committed: Vec::new(),
        })
    }

    pub(super) fn new_number(&mut self) -> WithdrawalNumber {
        let number = WithdrawalNumber(self.next_withdrawal);
        self.next_withdrawal = self.next_withdrawal.saturating_add(1);
        number
    }

    /// Records a step or an operation.
    pub(super) fn record(
        &mut self,
        topic: &str,
        withdrawal: Option<WithdrawalNumber>,
        body: &Json,
        at: Time,
    ) {
        let id = self.next_event;
        self.next_event = id.saturating_add(1);
        let number = withdrawal.map(|number| number.0);
        self.events
            .push(values![id, at, topic, number, body.to_string()]);
    }

    /// Reads withdrawals that will be wanted, together.
    pub(super) async fn read_withdrawals(
        &mut self,
        numbers: BTreeSet<WithdrawalNumber>,
    ) -> Result<(), StoreError> {
        for withdrawal in load::withdrawals_by_number(self.conn, numbers).await? {
            self.queued.insert(withdrawal.number, withdrawal);
        }
        Ok(())
    }

    /// These withdrawals, as they were when the transaction began to read them: a row that has moved
    /// since is not written over, and the transaction is made again, one unit after the other.
    pub(super) async fn withdrawals(
        &mut self,
        numbers: BTreeSet<WithdrawalNumber>,
    ) -> Result<BTreeMap<WithdrawalNumber, Withdrawal>, StoreError> {
        let unread = numbers
            .iter()
            .filter(|number| !self.queued.contains_key(number));
        let unread: BTreeSet<_> = unread.copied().collect();
        if !unread.is_empty() {
            self.read_withdrawals(unread).await?;
        }
        let found = numbers.into_iter();
        let found = found.filter_map(|number| Some((number, self.queued.get(&number)?.clone())));
        Ok(found.collect())
    }

    /// Keeps rows for a statement at the end.
    pub(super) fn later(&mut self, statement: Late, rows: Vec<Values>) {
        if !rows.is_empty() {
            self.late.entry(statement).or_default().extend(rows);
        }
    }

    /// Writes what was kept, before something reads it.
    pub(super) async fn write_late(&mut self) -> Result<(), StoreError> {
        for (statement, rows) in std::mem::take(&mut self.late) {
            let (head, tail) = statement.text();
            let written = match statement.changes() {
                Changes::Each => sql::run_each(self.conn, head, rows, tail).await,
                Changes::Some => sql::run_many(self.conn, head, rows, tail).await.map(drop),
            };
            match (statement, written, self.committed.first()) {
                // Alone in its transaction a commit learns that another has its lane.
                (Late::Lanes, Err(StoreError::Conflict { .. }), Some(lane)) => {
                    return Err(StoreError::Fenced { lane: lane.clone() });
                }
                (_, written, _) => written?,
            }
        }
        Ok(())
    }

    /// Reads the balances that will be wanted.
    pub(super) async fn read_balances(
        &mut self,
        mut keys: Vec<(Account, Asset)>,
    ) -> Result<(), StoreError> {
        keys.retain(|key| !self.balances.contains_key(key));
        keys.sort();
        keys.dedup();
        let rows = keys.iter();
        let rows = rows
            .map(|(account, asset)| values![account.to_string(), asset.to_string()])
            .collect();
        let head = "SELECT account, asset, debits, credits FROM balances \
                    WHERE (account, asset) IN (VALUES";
        let found = sql::read_many(self.conn, head, rows, ")").await?;
        for key in keys {
            let (was, now) = (None, Balance::ZERO);
            self.balances.insert(key, Kept { was, now });
        }
        for row in found {
            let key = (row.parsed(0, "an account")?, row.parsed(1, "an asset")?);
            let now = rows::balance(&row, 2)?;
            let was = Some(now);
            self.balances.insert(key, Kept { was, now });
        }
        Ok(())
    }

    /// A balance that was read, with this transaction's postings.
    pub(super) fn balance(&self, account: &Account, asset: &Asset) -> Balance {
        let kept = self.balances.get(&(account.clone(), asset.clone()));
        kept.map_or(Balance::ZERO, |kept| kept.now)
    }

    /// Posts; the balances of both accounts were read.
    pub(super) fn post(&mut self, posting: &Posting) -> Result<(), StoreError> {
        let asset = &posting.asset;
        let mut debit = self.balance(&posting.debit, asset);
        let mut credit = self.balance(&posting.credit, asset);
        let add = |sum: Amount| {
            let sum = sum.checked_add(posting.amount);
            sum.ok_or_else(|| conflict("a balance is beyond 2^256"))
        };
        debit.debits = add(debit.debits)?;
        credit.credits = add(credit.credits)?;
        if posting.debit.is_liability() && debit.owed().is_none() {
            return Err(conflict("an account would be below zero"));
        }
        self.keep(&posting.debit, asset, debit)?;
        self.keep(&posting.credit, asset, credit)?;
        self.postings.push(rows::posting_values(posting));
        Ok(())
    }

    fn keep(&mut self, account: &Account, asset: &Asset, now: Balance) -> Result<(), StoreError> {
        let key = (account.clone(), asset.clone());
        let kept = self.balances.get_mut(&key);
        kept.ok_or_else(|| corrupt("a balance was not read"))?.now = now;
        Ok(())
    }

    /// Reads the days that will be wanted.
    pub(super) async fn read_days(&mut self, mut keys: Vec<DayKey>) -> Result<(), StoreError> {
        keys.retain(|key| !self.days.contains_key(key));
        keys.sort();
        keys.dedup();
        let rows = keys.iter();
        let rows = rows
            .map(|(asset, account, day)| values![asset.to_string(), account.as_str(), *day])
            .collect();
        let head = "SELECT asset, account, day, used FROM limit_days \
                    WHERE (asset, account, day) IN (VALUES";
        let found = sql::read_many(self.conn, head, rows, ")").await?;
        for key in keys {
            let (was, now) = (None, Amount::ZERO);
            self.days.insert(key, Kept { was, now });
        }
        for row in found {
            let account = row.text(1)?.to_owned();
            let key = (row.parsed(0, "an asset")?, account, row.number(2)?);
            let now = row.amount(3)?;
            let was = Some(now);
            self.days.insert(key, Kept { was, now });
        }
        Ok(())
    }

    /// What of a day that was read is used.
    pub(super) fn used(&self, key: &DayKey) -> Amount {
        self.days.get(key).map_or(Amount::ZERO, |kept| kept.now)
    }

    pub(super) fn set_used(&mut self, key: &DayKey, now: Amount) -> Result<(), StoreError> {
        let kept = self.days.get_mut(key);
        kept.ok_or_else(|| corrupt("a day was not read"))?.now = now;
        Ok(())
    }

    /// Notes who used a limit.
    pub(super) fn note_use(&mut self, used: &Use<'_>, at: Time) {
        self.uses.push(values![
            used.withdrawal.0,
            used.kind,
            used.asset.to_string(),
            used.account.to_string(),
            used.day,
            used.amount,
            at,
        ]);
    }

    /// Writes what was gathered. The caller commits.
    pub(super) async fn finish(mut self) -> Result<(), StoreError> {
        self.write_late().await?;
        self.write_balances().await?;
        self.write_days().await?;
        let head =
            "INSERT INTO limit_uses (withdrawal, kind, asset, account, day, amount, at) VALUES";
        sql::run_many(self.conn, head, self.uses, "").await?;
        let head =
            "INSERT INTO postings (id, debit, credit, asset, amount, withdrawal, memo, at) VALUES";
        sql::run_many(self.conn, head, self.postings, "").await?;
        let head = "INSERT INTO events (id, at, topic, withdrawal, body) VALUES";
        sql::run_many(self.conn, head, self.events, "").await?;
        Ok(())
    }

    async fn write_balances(&mut self) -> Result<(), StoreError> {
        let (mut new, mut changed) = (Vec::new(), Vec::new());
        for ((account, asset), kept) in std::mem::take(&mut self.balances) {
            let Kept { was, now } = kept;
            let (account, asset) = (account.to_string(), asset.to_string());
            match was {
                Some(was) if was == now => {}
                Some(was) => changed.push(values![
                    account,
                    asset,
                    was.debits,
                    was.credits,
                    now.debits,
                    now.credits
                ]),
                None if now == Balance::ZERO => {}
                None => new.push(values![account, asset, now.debits, now.credits]),
            }
        }
        let head = "INSERT INTO balances (account, asset, debits, credits) VALUES";
        sql::run_many(self.conn, head, new, "").await?;
        let head = "WITH v (account, asset, was_debits, was_credits, debits, credits) AS (VALUES";
        let tail = ") UPDATE balances SET debits = v.debits, credits = v.credits FROM v \
                    WHERE balances.account = v.account AND balances.asset = v.asset \
                    AND balances.debits = v.was_debits AND balances.credits = v.was_credits";
        sql::run_each(self.conn, head, changed, tail).await
    }

    async fn write_days(&mut self) -> Result<(), StoreError> {
        let (mut new, mut changed) = (Vec::new(), Vec::new());
        for ((asset, account, day), kept) in std::mem::take(&mut self.days) {
            let Kept { was, now } = kept;
            let asset = asset.to_string();
            match was {
                Some(was) if was == now => {}
                Some(was) => changed.push(values![asset, account, day, was, now]),
                None if now.is_zero() => {}
                None => new.push(values![asset, account, day, now]),
            }
        }
        let head = "INSERT INTO limit_days (asset, account, day, used) VALUES";
        sql::run_many(self.conn, head, new, "").await?;
        let head = "WITH v (asset, account, day, was, used) AS (VALUES";
        let tail = ") UPDATE limit_days SET used = v.used FROM v \
                    WHERE limit_days.asset = v.asset AND limit_days.account = v.account \
                    AND limit_days.day = v.day AND limit_days.used = v.was";
        sql::run_each(self.conn, head, changed, tail).await
    }
}
