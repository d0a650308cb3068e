//! `POST /v1/withdrawals`: what is asked for is read, checked, and made durable.

use std::sync::Arc;

use api::{
    problem::{Problem, ProblemKind},
    wallet::{self as wire, BulkAnswer, BulkResult, WITHDRAWALS_MAX},
};
use axum::{
    Json,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde::{Deserialize, de::IgnoredAny};
use serde_json::value::RawValue;
use tx::{Address, Amount, Asset, AssetKind, Chain, Intent, IntentId, Time};

use super::{
    App,
    caller::{Caller, Withdrawer},
    fault::Fault,
    input::{self, Bytes, NoParameters, Parameters},
    wire::withdrawal,
};
use crate::{
    ledger::Account,
    store::Accepted,
    text::shown,
    withdrawal::{NewWithdrawal, Stage, Withdrawal},
};

/// Whether a body is of several withdrawals.
#[derive(Deserialize)]
struct Probe {
    withdrawals: Option<IgnoredAny>,
}

/// Several, each as it was written: one that cannot be read does not keep out the others.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Several {
    withdrawals: Vec<Box<RawValue>>,
}

/// `POST /v1/withdrawals`: one, or several.
pub(super) async fn withdraw(
    State(app): State<Arc<App>>,
    Withdrawer(caller): Withdrawer,
    _: Parameters<NoParameters>,
    Bytes(body): Bytes,
) -> Result<Response, Fault> {
    let probe = serde_json::from_slice::<Probe>(&body);
    if probe.is_ok_and(|probe| probe.withdrawals.is_some()) {
        let several: Several = input::read(&body)?;
        let answer = all(&app, &caller, &several.withdrawals).await?;
        return Ok((StatusCode::MULTI_STATUS, Json(answer)).into_response());
    }
    let asked = read(&app, &caller, &body);
    let result = accept(&app, vec![asked]).await?.pop();
    let (status, stored) = match result.ok_or_else(Fault::unanswered)? {
        BulkResult::Accepted(stored) => (StatusCode::CREATED, stored),
        BulkResult::Known(stored) => (StatusCode::OK, stored),
        BulkResult::Problem(problem) => return Err(Fault(problem)),
    };
    Ok((status, Json(stored)).into_response())
}

async fn all(app: &App, caller: &Caller, several: &[Box<RawValue>]) -> Result<BulkAnswer, Fault> {
    if !(1..=WITHDRAWALS_MAX).contains(&several.len()) {
        let detail = format!("There are 1 to {WITHDRAWALS_MAX} withdrawals in a request.");
        return Err(Fault::malformed(detail).at("withdrawals").into());
    }
    let texts = several.iter().map(|one| one.get().as_bytes());
    let asked = texts.map(|text| read(app, caller, text)).collect();
    let mut results = accept(app, asked).await?;
    for (place, result) in results.iter_mut().enumerate() {
        if let BulkResult::Problem(problem) = result {
            let within = problem.field.take();
            let within = within.map_or_else(String::new, |field| format!(".{field}"));
            problem.field = Some(format!("withdrawals[{place}]{within}").into());
        }
    }
    Ok(BulkAnswer { results })
}

/// What became of reading one.
enum Asked {
    /// It can be accepted.
    Good(NewWithdrawal),
    /// It cannot be accepted now, as a new one; but it may have been before.
    Late(NewWithdrawal, Problem),
    /// It never can.
    Bad(Problem),
}

fn read(app: &App, caller: &Caller, json: &[u8]) -> Asked {
    let new: wire::NewWithdrawal = match input::read(json) {
        Ok(new) => new,
        Err(problem) => return Asked::Bad(problem),
    };
    let asked = match intent(caller, new, app.engine.epoch()) {
        Ok(asked) => asked,
        Err(problem) => return Asked::Bad(problem),
    };
    match check(app, &asked.intent, (app.clock)()) {
        Ok(()) => Asked::Good(asked),
        Err(problem) => Asked::Late(asked, problem),
    }
}

/// What can be said of a withdrawal for ever: what is wrong here was never accepted.
fn intent(caller: &Caller, new: wire::NewWithdrawal, epoch: u64) -> Result<NewWithdrawal, Problem> {
    positive(new.amount, "amount")?;
    positive(new.max_fee, "max_fee")?;
    // No chain that is paid on has tags: one would be lost, and the payment with it.
    if new.tag.is_some() {
        let detail = format!("Payments on {} carry no tag.", new.asset.chain);
        return Err(Problem::new(ProblemKind::InvalidTag, detail).at("tag"));
    }
    countable(&new.asset, new.amount)?;
    let destination = destination(&new.asset, &new.destination)?;
    relayed(&destination, new.amount)?;
    Ok(NewWithdrawal {
        client: caller.name.clone(),
        account: Account::Customer(new.account),
        intent: Intent {
            id: IntentId {
                source: caller.client.source.clone(),
                id: new.id,
            },
            epoch,
            destination,
            asset: new.asset,
            amount: new.amount,
            tag: None,
            max_fee: new.max_fee,
            expires: new.expires,
        },
    })
}

/// What may be otherwise at another time, or under another configuration.
fn check(app: &App, intent: &Intent, now: Time) -> Result<(), Problem> {
    payable(app, &intent.asset)?;
    foreign(app, &intent.destination)?;
    if intent.expires <= now {
        let detail = format!("It is {now}.");
        return Err(Problem::new(ProblemKind::Expired, detail).at("expires"));
    }
    Ok(())
}

/// That an amount is above zero.
pub(super) fn positive(amount: Amount, field: &str) -> Result<(), Problem> {
    if amount.is_zero() {
        let detail = format!("{field} is above zero.");
        return Err(Problem::new(ProblemKind::InvalidAmount, detail).at(field));
    }
    Ok(())
}

/// That the chain can count so far.
pub(super) fn countable(asset: &Asset, amount: Amount) -> Result<(), Problem> {
    let fits = match asset.chain {
        Chain::Evm(_) => true,
        _ => amount
            .to_u64()
            .is_some_and(|satoshi| i64::try_from(satoshi).is_ok()),
    };
    if fits {
        return Ok(());
    }
    let detail = format!("There is not so much on {}.", asset.chain);
    Err(Problem::new(ProblemKind::InvalidAmount, detail).at("amount"))
}

/// That nodes relay a payment of so little: what they do not would wait for ever.
pub(super) fn relayed(to: &Address, amount: Amount) -> Result<(), Problem> {
    match tx::utxo::dust(to.chain(), to.as_bytes()) {
        Some(least) if amount < Amount::from(least) => {
            let detail = format!("Nodes relay payments of {least} or more to this address.");
            Err(Problem::new(ProblemKind::InvalidAmount, detail).at("amount"))
        }
        _ => Ok(()),
    }
}

/// That the chain is one that is paid on.
pub(super) fn payable(app: &App, asset: &Asset) -> Result<(), Problem> {
    if app.chains.contains(&asset.chain) {
        return Ok(());
    }
    let detail = format!("The configuration has no chain {}.", asset.chain);
    Err(Problem::new(ProblemKind::UnknownAsset, detail).at("asset"))
}

/// An address of exactly the asset's chain that a payment of it can go to.
pub(super) fn destination(asset: &Asset, text: &str) -> Result<Address, Problem> {
    let refused =
        |detail: String| Problem::new(ProblemKind::InvalidDestination, detail).at("destination");
    let address = Address::parse(asset.chain, text)
        .map_err(|error| refused(shown(&format!("The destination: {error}."))))?;
    let is_evm = matches!(asset.chain, Chain::Evm(_));
    if is_evm && address.as_bytes().iter().all(|byte| *byte == 0) {
        return Err(refused("Nobody holds the zero address.".into()));
    }
    if asset.kind == AssetKind::Erc20(address.clone()) {
        return Err(refused(
            "The destination is the token's own contract.".into(),
        ));
    }
    Ok(address)
}

/// That an address is none of the signer's.
pub(super) fn foreign(app: &App, address: &Address) -> Result<(), Problem> {
    if !app.engine.is_own(address) {
        return Ok(());
    }
    let detail = "The destination is an address of the hot wallet itself.";
    Err(Problem::new(ProblemKind::InvalidDestination, detail).at("destination"))
}

/// Accepts those that can be, in one go, and answers in the order they were asked in.
async fn accept(app: &App, asked: Vec<Asked>) -> Result<Vec<BulkResult>, Fault> {
    let mut good = Vec::new();
    let mut results = Vec::with_capacity(asked.len());
    for one in asked {
        results.push(match one {
            Asked::Good(new) => {
                good.push(new);
                None
            }
            Asked::Late(new, problem) => Some(known(app, new, problem).await?),
            Asked::Bad(problem) => Some(BulkResult::Problem(Box::new(problem))),
        });
    }
    let mut accepted = if good.is_empty() {
        Vec::new()
    } else {
        app.store.accept(good, (app.clock)()).await?
    }
    .into_iter();
    let mut answered = Vec::with_capacity(results.len());
    for result in results {
        answered.push(match result {
            Some(result) => result,
            None => told(app, accepted.next().ok_or_else(Fault::unanswered)?),
        });
    }
    Ok(answered)
}

/// A withdrawal that would not be accepted now is what it is if it was accepted before.
async fn known(app: &App, new: NewWithdrawal, problem: Problem) -> Result<BulkResult, Fault> {
    Ok(match app.store.withdrawal(&new.intent.id).await? {
        Some(stored) if new.is(&stored) => told(app, Accepted::Same(stored)),
        Some(stored) => told(app, Accepted::Different(stored)),
        None => BulkResult::Problem(Box::new(problem)),
    })
}

fn told(app: &App, accepted: Accepted) -> BulkResult {
    let problem = match accepted {
        Accepted::New(stored) => {
            wake(app, &stored);
            return BulkResult::Accepted(Box::new(withdrawal(stored)));
        }
        Accepted::Same(stored) => return BulkResult::Known(Box::new(withdrawal(stored))),
        Accepted::Different(stored) => {
            let detail = "The stored withdrawal stands; use a new id for a new one.";
            Problem::new(ProblemKind::WithdrawalReused, detail)
                .at("id")
                .instead(withdrawal(stored))
        }
        Accepted::InsufficientFunds { available } => {
            let detail = format!("The account has {available} of the asset free.");
            Problem::new(ProblemKind::InsufficientFunds, detail).at("amount")
        }
        Accepted::NoLimit => {
            let detail = "The configuration has no limit for the asset.";
            Problem::new(ProblemKind::NoLimit, detail).at("asset")
        }
    };
    BulkResult::Problem(Box::new(problem))
}

/// Tells those who pay that there is something to be paid.
pub(super) fn wake(app: &App, stored: &Withdrawal) {
    if stored.stage == Stage::Approved {
        app.engine.approved(stored.chain());
    }
}
