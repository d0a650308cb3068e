//! Accepting withdrawals, many at once.

use std::collections::BTreeMap;

use serde_json::json;
use tx::{Amount, Asset, IntentId, Time};

use super::{
    error::conflict,
    load,
    rows::{self, INSERT_WITHDRAWALS},
    sql::{self, Values, values},
    work::{DayKey, Use, Work},
};
use crate::{
    ledger::{Account, Posting},
    limit::day_of,
    store::{Accepted, StoreError},
    withdrawal::{NewWithdrawal, Stage, Waiting, WaitingReason, Withdrawal},
};

/// What is known before the first is looked at.
struct Accepting<'w, 'c> {
    work: &'w mut Work<'c>,
    limits: BTreeMap<Asset, Limit>,
    known: BTreeMap<IntentId, Withdrawal>,
    withdrawals: Vec<Values>,
    holds: Vec<Values>,
}

#[derive(Clone, Copy)]
pub(super) struct Limit {
    total: Amount,
    customer: Amount,
}

/// Accepts what several asked for, each in its order.
pub(super) async fn accept(
    work: &mut Work<'_>,
    asked: &[(&[NewWithdrawal], Time)],
) -> Result<Vec<Vec<Accepted>>, StoreError> {
    let all: Vec<(&NewWithdrawal, Time)> = asked
        .iter()
        .flat_map(|(new, at)| new.iter().map(|new| (new, *at)))
        .collect();
    if all.iter().any(|(new, _)| new.intent.amount.is_zero()) {
        return Err(conflict("a withdrawal of nothing"));
    }
    let mut accepting = Accepting::new(work, &all).await?;
    let mut answers = Vec::with_capacity(asked.len());
    for (new, at) in asked {
        let one = new.iter().map(|new| accepting.one(new, *at));
        answers.push(one.collect::<Result<Vec<_>, _>>()?);
    }
    accepting.write().await?;
    Ok(answers)
}

/// The days whose use a withdrawal counts for.
pub(super) fn days(asset: &Asset, account: &Account, at: Time) -> [DayKey; 2] {
    let day = day_of(at);
    [load::TOTAL.to_owned(), account.to_string()].map(|account| (asset.clone(), account, day))
}

pub(super) async fn limits(
    work: &mut Work<'_>,
    mut assets: Vec<String>,
) -> Result<BTreeMap<Asset, Limit>, StoreError> {
    assets.sort();
    assets.dedup();
    let rows = assets.into_iter().map(|asset| values![asset]).collect();
    let head = "SELECT asset, total, customer FROM limits WHERE asset IN (VALUES";
    let mut limits = BTreeMap::new();
    for row in sql::read_many(work.conn, head, rows, ")").await? {
        let (total, customer) = (row.amount(1)?, row.amount(2)?);
        limits.insert(row.parsed(0, "an asset")?, Limit { total, customer });
    }
    Ok(limits)
}

impl<'w, 'c> Accepting<'w, 'c> {
    async fn new(
        work: &'w mut Work<'c>,
        all: &[(&NewWithdrawal, Time)],
    ) -> Result<Self, StoreError> {
        let (mut ids, mut assets) = (Vec::new(), Vec::new());
        let (mut accounts, mut wanted) = (Vec::new(), Vec::new());
        for (new, at) in all {
            let (id, asset) = (&new.intent.id, &new.intent.asset);
            ids.push(values![id.source.as_str(), id.id.as_str()]);
            assets.push(asset.to_string());
            for account in [new.account.clone(), new.account.held()] {
                accounts.push((account, asset.clone()));
            }
            wanted.extend(days(asset, &new.account, *at));
        }
        let known = load::withdrawals_by_id(work.conn, ids).await?;
        let limits = limits(work, assets).await?;
        work.read_balances(accounts).await?;
        work.read_days(wanted).await?;
        let known = known.into_iter().map(|had| (had.intent.id.clone(), had));
        Ok(Self {
            work,
            limits,
            known: known.collect(),
            withdrawals: Vec::new(),
            holds: Vec::new(),
        })
    }

    fn one(&mut self, new: &NewWithdrawal, at: Time) -> Result<Accepted, StoreError> {
        let intent = &new.intent;
        if let Some(had) = self.known.get(&intent.id) {
            let same = had.intent == *intent && had.account == new.account;
            let had = had.clone();
            return Ok(if same {
                Accepted::Same(had)
            } else {
                Accepted::Different(had)
            });
        }
        let Some(limit) = self.limits.get(&intent.asset).copied() else {
            return Ok(Accepted::NoLimit);
        };
        let available = match new.account {
            Account::Customer(_) => self.work.balance(&new.account, &intent.asset).owed(),
            _ => None,
        };
        let available = available.unwrap_or(Amount::ZERO);
        if available < intent.amount {
            return Ok(Accepted::InsufficientFunds { available });
        }
        let withdrawal = self.admit(new, limit, at)?;
        self.known.insert(intent.id.clone(), withdrawal.clone());
        Ok(Accepted::New(withdrawal))
    }

    /// The withdrawal with its hold, its use of the limits and its steps.
    fn admit(
        &mut self,
        new: &NewWithdrawal,
        limit: Limit,
        at: Time,
    ) -> Result<Withdrawal, StoreError> {
        let within = self.consume(new, limit, at)?;
        let withdrawal = Withdrawal {
            number: self.work.new_number(),
            client: new.client.clone(),
            account: new.account.clone(),
            intent: new.intent.clone(),
            stage: if within {
                Stage::Approved
            } else {
                Stage::Manual
            },
            waiting: (!within).then(|| beyond(at)),
            not_before: Time::from_millis(0),
            lane: None,
            requested_at: at,
            changed_at: at,
        };
        self.withdrawals.push(rows::withdrawal_values(&withdrawal)?);
        self.hold(&withdrawal, at)?;
        if within {
            note_use(self.work, &withdrawal, at);
        }
        let (client, nothing) = (json!({ "client": new.client }), json!({}));
        for (stage, body) in [
            (Stage::Requested, &client),
            (Stage::Authenticated, &nothing),
            (Stage::Held, &nothing),
            (withdrawal.stage, &nothing),
        ] {
            let number = Some(withdrawal.number);
            self.work.record(topic(stage), number, body, at);
        }
        Ok(withdrawal)
    }

    /// Consumes both limits, if it is within both.
    fn consume(&mut self, new: &NewWithdrawal, limit: Limit, at: Time) -> Result<bool, StoreError> {
        let keys = days(&new.intent.asset, &new.account, at);
        let amount = new.intent.amount;
        let most = [limit.total, limit.customer];
        let mut uses = Vec::with_capacity(2);
        for (key, most) in keys.iter().zip(most) {
            let used = self.work.used(key).checked_add(amount);
            match used.filter(|used| *used <= most) {
                Some(used) => uses.push((key, used)),
                None => return Ok(false),
            }
        }
        for (key, used) in uses {
            self.work.set_used(key, used)?;
        }
        Ok(true)
    }

    fn hold(&mut self, withdrawal: &Withdrawal, at: Time) -> Result<(), StoreError> {
        let (asset, amount) = (&withdrawal.intent.asset, withdrawal.intent.amount);
        self.holds.push(values![
            withdrawal.number.0,
            withdrawal.account.to_string(),
            asset.to_string(),
            amount,
            "held",
            at,
        ]);
        self.work.post(&Posting {
            id: format!("held:{}", withdrawal.number.0),
            debit: withdrawal.account.clone(),
            credit: withdrawal.account.held(),
            asset: asset.clone(),
            amount,
            withdrawal: Some(withdrawal.number),
            memo: "held for a withdrawal".into(),
            at,
        })
    }

    async fn write(self) -> Result<(), StoreError> {
        let conn = &mut *self.work.conn;
        sql::run_many(conn, INSERT_WITHDRAWALS, self.withdrawals, "").await?;
        let head =
            "INSERT INTO holds (withdrawal, account, asset, amount, state, changed_at) VALUES";
        sql::run_many(conn, head, self.holds, "").await?;
        Ok(())
    }
}

pub(super) fn note_use(work: &mut Work<'_>, withdrawal: &Withdrawal, at: Time) {
    let used = Use {
        withdrawal: withdrawal.number,
        kind: "use",
        asset: &withdrawal.intent.asset,
        account: &withdrawal.account,
        day: day_of(at),
        amount: withdrawal.intent.amount,
    };
    work.note_use(&used, at);
}

fn beyond(at: Time) -> Waiting {
    Waiting {
        reason: WaitingReason::Limit,
        detail: "it is beyond a daily limit: a person decides".into(),
        reasons: Vec::new(),
        needs: Vec::new(),
        since: at,
    }
}

/// The topic of a withdrawal's step.
pub(super) fn topic(stage: Stage) -> &'static str {
    match stage {
        Stage::Requested => "withdrawal.requested",
        Stage::Authenticated => "withdrawal.authenticated",
        Stage::Held => "withdrawal.held",
        Stage::Manual => "withdrawal.manual",
        Stage::Approved => "withdrawal.approved",
        Stage::Assigned => "withdrawal.assigned",
        Stage::Signed => "withdrawal.signed",
        Stage::Broadcast => "withdrawal.broadcast",
        Stage::Included => "withdrawal.included",
        Stage::Final => "withdrawal.final",
        Stage::FailedOnChain => "withdrawal.failed-on-chain",
        Stage::Released => "withdrawal.released",
        Stage::Halted => "withdrawal.halted",
    }
}
