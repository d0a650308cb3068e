//! Accounts, deposits by hand, and quotes.

use std::{collections::BTreeMap, sync::Arc};

use api::{
    problem::{Problem, ProblemKind},
    wallet::{
        AccountAnswer, AssetBalance, CreditAnswer, NewCredit, QuoteAnswer, QuoteRequest, Unattended,
    },
};
use axum::{Json, extract::State, http::StatusCode};
use tx::{Address, Amount, Asset, Intent, IntentId, Name, Time};

use super::{
    App,
    caller::{Caller, Creditor, Reader},
    fault::Fault,
    input::{self, Named, NoParameters, Parameters, remark},
    wire::verdict,
    withdraw::{countable, destination, foreign, payable, positive, relayed},
};
use crate::{
    ledger::Account,
    signer::Verdict,
    store::{Credit, Room, StoreError},
};

/// How long the payment of a quote would have, in milliseconds: a day, as `strongroom withdraw` gives it.
const QUOTE_MILLIS: u64 = 86_400_000;

/// `GET /v1/accounts/{name}`.
pub(super) async fn account(
    State(app): State<Arc<App>>,
    Reader(_): Reader,
    Named(name): Named,
    _: Parameters<NoParameters>,
) -> Result<Json<AccountAnswer>, Fault> {
    let mut balances: BTreeMap<Asset, AssetBalance> = BTreeMap::new();
    for (asset, amount) in owed(&app, &Account::Customer(name.clone())).await? {
        entry(&mut balances, asset).available = amount;
    }
    for (asset, amount) in owed(&app, &Account::Held(name.clone())).await? {
        entry(&mut balances, asset).held = amount;
    }
    Ok(Json(AccountAnswer {
        account: name,
        balances: balances.into_values().collect(),
    }))
}

fn entry(balances: &mut BTreeMap<Asset, AssetBalance>, asset: Asset) -> &mut AssetBalance {
    balances
        .entry(asset.clone())
        .or_insert_with(|| AssetBalance {
            asset,
            available: Amount::ZERO,
            held: Amount::ZERO,
        })
}

async fn owed(app: &App, account: &Account) -> Result<Vec<(Asset, Amount)>, Fault> {
    let balances = app.store.balances(account).await?;
    let owed = balances.into_iter().map(|(asset, balance)| {
        let below_zero = || StoreError::Corrupt {
            what: format!("{account} is below zero in {asset}"),
        };
        let owed = balance.owed().ok_or_else(below_zero)?;
        Ok((asset, owed))
    });
    owed.collect()
}

/// `POST /v1/credits`.
pub(super) async fn credit(
    State(app): State<Arc<App>>,
    Creditor(caller): Creditor,
    _: Parameters<NoParameters>,
    input::Json(new): input::Json<NewCredit>,
) -> Result<(StatusCode, Json<CreditAnswer>), Fault> {
    payable(&app, &new.asset)?;
    positive(new.amount, "amount")?;
    countable(&new.asset, new.amount)?;
    remark(&new.memo, "memo")?;
    let answer = CreditAnswer {
        id: new.id.clone(),
        account: new.account.clone(),
        asset: new.asset.clone(),
        amount: new.amount,
    };
    let booked = Credit {
        id: new.id,
        client: caller.name,
        account: Account::Customer(new.account),
        asset: new.asset,
        amount: new.amount,
        memo: new.memo,
    };
    match app.store.credit(&booked, (app.clock)()).await {
        Ok(true) => Ok((StatusCode::CREATED, Json(answer))),
        Ok(false) => Ok((StatusCode::OK, Json(answer))),
        Err(StoreError::Conflict { .. }) => {
            let detail = "The booked deposit stands; use a new id for a new one.";
            Err(Problem::new(ProblemKind::CreditReused, detail)
                .at("id")
                .into())
        }
        Err(error) => Err(error.into()),
    }
}

/// `POST /v1/quote`.
pub(super) async fn quote(
    State(app): State<Arc<App>>,
    Reader(caller): Reader,
    _: Parameters<NoParameters>,
    input::Json(asked): input::Json<QuoteRequest>,
) -> Result<Json<QuoteAnswer>, Fault> {
    positive(asked.amount, "amount")?;
    countable(&asked.asset, asked.amount)?;
    let to = destination(&asked.asset, &asked.destination)?;
    relayed(&to, asked.amount)?;
    payable(&app, &asked.asset)?;
    foreign(&app, &to)?;
    let available = available(&app, &asked.account, &asked.asset).await?;
    let account = Account::Customer(asked.account);
    let now = (app.clock)();
    let room = app.store.room(&asked.asset, &account, now).await?;
    let fee = app.engine.fee(&asked.asset, asked.amount, &to).await;
    let policy = match &fee {
        Ok(fee) => {
            let mut payment = payment(&caller, asked.asset, asked.amount, (to, fee.max_fee, now))?;
            payment.epoch = app.engine.epoch();
            app.engine.verdict(&payment).await
        }
        Err(_) => Verdict::Unknown {
            detail: "the fee is not known".into(),
        },
    };
    let (fee, detail) = match fee {
        Ok(fee) => (Some(fee), None),
        Err(detail) => (None, Some(detail)),
    };
    Ok(Json(QuoteAnswer {
        fee: fee.map(|quote| quote.fee),
        max_fee: fee.map(|quote| quote.max_fee),
        detail,
        available,
        unattended: unattended(asked.amount, available, room),
        policy: verdict(policy),
    }))
}

/// The intent of a payment that nobody asked for.
fn payment(
    caller: &Caller,
    asset: Asset,
    amount: Amount,
    (destination, max_fee, now): (Address, Amount, Time),
) -> Result<Intent, Fault> {
    // An id that is nobody's: the signer keeps the content of those that it knows.
    let mut id = [0; 16];
    let no_id = || Problem::new(ProblemKind::Internal, "There are no random bytes.");
    getrandom::fill(&mut id).map_err(|_| no_id())?;
    let id = format!("quote-{}", hex::encode(id)).parse();
    Ok(Intent {
        id: IntentId {
            source: caller.client.source.clone(),
            id: id.map_err(|_| no_id())?,
        },
        epoch: 0,
        asset,
        amount,
        destination,
        tag: None,
        max_fee,
        expires: now.after_millis(QUOTE_MILLIS),
    })
}

async fn available(app: &App, name: &Name, asset: &Asset) -> Result<Amount, Fault> {
    let owed = owed(app, &Account::Customer(name.clone())).await?;
    let of_asset = owed.into_iter().find(|(owed, _)| owed == asset);
    Ok(of_asset.map_or(Amount::ZERO, |(_, amount)| amount))
}

fn unattended(amount: Amount, available: Amount, room: Option<Room>) -> Unattended {
    match room {
        None => Unattended::NoLimit,
        Some(_) if amount > available => Unattended::InsufficientFunds,
        Some(room) if amount > room.total || amount > room.customer => Unattended::Manual,
        Some(_) => Unattended::Yes,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quote_names_the_first_thing_in_the_way() {
        let amount = |value: u64| Amount::from(value);
        let room = |total, customer| {
            Some(Room {
                total: amount(total),
                customer: amount(customer),
            })
        };
        let says = |available, room| unattended(amount(5), amount(available), room);
        assert_eq!(says(9, None), Unattended::NoLimit);
        assert_eq!(says(4, room(9, 9)), Unattended::InsufficientFunds);
        assert_eq!(says(9, room(4, 9)), Unattended::Manual);
        assert_eq!(says(9, room(9, 4)), Unattended::Manual);
        assert_eq!(says(5, room(5, 5)), Unattended::Yes);
    }
}
