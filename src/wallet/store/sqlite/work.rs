//! One database transaction under way. What commits and decisions change is written at once;
//! balances and the use of limits, which many of them share, are written at its end.

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::Connection;
use serde_json::Value as Json;
use tx::{Amount, Asset, Chain, Time};

use super::{
    error::{conflict, corrupt},
    load, rows,
    sql::{self, values},
};
use crate::{
    ledger::{Account, Balance, Posting},
    store::StoreError,
    withdrawal::{Stage, Withdrawal, WithdrawalNumber},
};

/// A transaction under way.
pub(super) struct Work<'a> {
    pub(super) conn: &'a Connection,
    next_event: u64,
    next_withdrawal: u64,
    next_attempt: u64,
    balances: BTreeMap<(Account, Asset), Kept<Balance>>,
    days: BTreeMap<DayKey, Kept<Amount>>,
    ended: BTreeMap<(Stage, Chain), u64>,
}

/// A day's use of a limit: the asset, the account as text, the day.
pub(super) type DayKey = (Asset, String, u64);

/// A row that is written by compare-and-set at the end.
#[derive(Clone, Copy)]
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
    pub(super) fn new(conn: &'a Connection) -> Result<Self, StoreError> {
        let text = "SELECT (SELECT max(id) FROM events), (SELECT max(number) FROM withdrawals), \
                    (SELECT max(id) FROM attempts)";
        let next = |last: Option<u64>| last.map_or(1, |last| last.saturating_add(1));
        let next = sql::read_one(conn, text, &[], |row| {
            Ok((
                next(row.number_or_none(0)?),
                next(row.number_or_none(1)?),
                next(row.number_or_none(2)?),
            ))
        })?;
        let next = next.ok_or_else(|| corrupt("no row"))?;
        let (next_event, next_withdrawal, next_attempt) = next;
        Ok(Self {
            conn,
            next_event,
            next_withdrawal,
            next_attempt,
            balances: BTreeMap::new(),
            days: BTreeMap::new(),
            ended: BTreeMap::new(),
        })
    }

    pub(super) fn new_number(&mut self) -> WithdrawalNumber {
        let number = WithdrawalNumber(self.next_withdrawal);
        self.next_withdrawal = self.next_withdrawal.saturating_add(1);
        number
    }

    /// The id of a new attempt's row.
    pub(super) fn new_attempt(&mut self) -> u64 {
        let id = self.next_attempt;
        self.next_attempt = id.saturating_add(1);
        id
    }

    /// Records a step or an operation.
    pub(super) fn record(
        &mut self,
        topic: &str,
        withdrawal: Option<WithdrawalNumber>,
        body: &Json,
        at: Time,
    ) -> Result<(), StoreError> {
        let id = self.next_event;
        self.next_event = id.saturating_add(1);
        let number = withdrawal.map(|number| number.0);
        let text = "INSERT INTO events (id, at, topic, withdrawal, body) \
                    VALUES ($1, $2, $3, $4, $5)";
        let values = values![id, at, topic, number, body.to_string()];
        sql::run_one(self.conn, text, &values)
    }

    /// Those of these withdrawals that there are.
    pub(super) fn withdrawals(
        &self,
        numbers: BTreeSet<WithdrawalNumber>,
    ) -> Result<BTreeMap<WithdrawalNumber, Withdrawal>, StoreError> {
        let mut found = BTreeMap::new();
        for number in numbers {
            if let Some(withdrawal) = load::withdrawal_numbered(self.conn, number)? {
                found.insert(number, withdrawal);
            }
        }
        Ok(found)
    }

    /// A balance, with this transaction's postings.
    pub(super) fn balance(
        &mut self,
        account: &Account,
        asset: &Asset,
    ) -> Result<Balance, StoreError> {
        let key = (account.clone(), asset.clone());
        if let Some(kept) = self.balances.get(&key) {
            return Ok(kept.now);
        }
        let text = "SELECT debits, credits FROM balances WHERE account = $1 AND asset = $2";
        let values = values![account.to_string(), asset.to_string()];
        let was = sql::read_one(self.conn, text, &values, |row| rows::balance(row, 0))?;
        let now = was.unwrap_or(Balance::ZERO);
        self.balances.insert(key, Kept { was, now });
        Ok(now)
    }

    /// Posts.
    pub(super) fn post(&mut self, posting: &Posting) -> Result<(), StoreError> {
        let asset = &posting.asset;
        let mut debit = self.balance(&posting.debit, asset)?;
        let mut credit = self.balance(&posting.credit, asset)?;
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
        let text = "INSERT INTO postings \
                    (id, debit, credit, asset, amount, withdrawal, memo, at) \
                    VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
        sql::run_one(self.conn, text, &rows::posting_values(posting))
    }

    fn keep(&mut self, account: &Account, asset: &Asset, now: Balance) -> Result<(), StoreError> {
        let key = (account.clone(), asset.clone());
        let kept = self.balances.get_mut(&key);
        kept.ok_or_else(|| corrupt("a balance was not read"))?.now = now;
        Ok(())
    }

    /// What of a day is used.
    pub(super) fn used(&mut self, key: &DayKey) -> Result<Amount, StoreError> {
        if let Some(kept) = self.days.get(key) {
            return Ok(kept.now);
        }
        let (asset, account, day) = key;
        let text = "SELECT used FROM limit_days WHERE asset = $1 AND account = $2 AND day = $3";
        let values = values![asset.to_string(), account.as_str(), *day];
        let was = sql::read_one(self.conn, text, &values, |row| row.amount(0))?;
        let now = was.unwrap_or(Amount::ZERO);
        self.days.insert(key.clone(), Kept { was, now });
        Ok(now)
    }

    /// Sets what of a day is used, which was read.
    pub(super) fn set_used(&mut self, key: &DayKey, now: Amount) -> Result<(), StoreError> {
        let kept = self.days.get_mut(key);
        kept.ok_or_else(|| corrupt("a day was not read"))?.now = now;
        Ok(())
    }

    /// Notes who used a limit.
    pub(super) fn note_use(&self, used: &Use<'_>, at: Time) -> Result<(), StoreError> {
        let text = "INSERT INTO limit_uses (withdrawal, kind, asset, account, day, amount, at) \
                    VALUES ($1, $2, $3, $4, $5, $6, $7)";
        let values = values![
            used.withdrawal.0,
            used.kind,
            used.asset.to_string(),
            used.account.to_string(),
            used.day,
            used.amount,
            at,
        ];
        sql::run_one(self.conn, text, &values)
    }

    /// Notes that a withdrawal has ended.
    pub(super) fn note_ended(&mut self, stage: Stage, chain: Chain) {
        let count = self.ended.entry((stage, chain)).or_default();
        *count = count.saturating_add(1);
    }

    /// Writes what was kept. The caller commits.
    pub(super) fn finish(self) -> Result<(), StoreError> {
        let balances = self.balances.iter();
        for ((account, asset), kept) in balances {
            write_balance(self.conn, (account, asset), *kept)?;
        }
        let days = self.days.iter();
        for (key, kept) in days {
            write_day(self.conn, key, *kept)?;
        }
        for ((stage, chain), count) in self.ended {
            let text = "INSERT INTO ended (stage, chain, count) VALUES ($1, $2, $3) \
                        ON CONFLICT (stage, chain) DO UPDATE SET count = ended.count + excluded.count";
            let values = values![stage.name(), chain.to_string(), count];
            sql::run_one(self.conn, text, &values)?;
        }
        Ok(())
    }
}

fn write_balance(
    conn: &Connection,
    (account, asset): (&Account, &Asset),
    Kept { was, now }: Kept<Balance>,
) -> Result<(), StoreError> {
    if was.unwrap_or(Balance::ZERO) == now {
        return Ok(());
    }
    let (account, asset) = (account.to_string(), asset.to_string());
    let Some(was) = was else {
        let text = "INSERT INTO balances (account, asset, debits, credits) \
                    VALUES ($1, $2, $3, $4)";
        let values = values![account, asset, now.debits, now.credits];
        return sql::run_one(conn, text, &values);
    };
    let text = "UPDATE balances SET debits = $3, credits = $4 \
                WHERE account = $1 AND asset = $2 AND debits = $5 AND credits = $6";
    let values = values![
        account,
        asset,
        now.debits,
        now.credits,
        was.debits,
        was.credits,
    ];
    sql::run_one(conn, text, &values)
}

fn write_day(
    conn: &Connection,
    (asset, account, day): &DayKey,
    Kept { was, now }: Kept<Amount>,
) -> Result<(), StoreError> {
    if was.unwrap_or(Amount::ZERO) == now {
        return Ok(());
    }
    let asset = asset.to_string();
    let Some(was) = was else {
        let text = "INSERT INTO limit_days (asset, account, day, used) VALUES ($1, $2, $3, $4)";
        return sql::run_one(conn, text, &values![asset, account.as_str(), *day, now]);
    };
    let text = "UPDATE limit_days SET used = $4 \
                WHERE asset = $1 AND account = $2 AND day = $3 AND used = $5";
    let values = values![asset, account.as_str(), *day, now, was];
    sql::run_one(conn, text, &values)
}
