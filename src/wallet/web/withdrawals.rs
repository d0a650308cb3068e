//! `GET /v1/withdrawals…`, and what is decided about one.

use std::{collections::BTreeSet, sync::Arc};

use api::{
    problem::{Problem, ProblemKind},
    wallet::{self as wire, Explanation, SettleRequest, WithdrawalsAnswer},
};
use axum::{Json, extract::State};
use serde::Deserialize;
use tx::{IntentId, Name};

use super::{
    App,
    caller::{Decider, Reader, Withdrawer},
    fault::Fault,
    input::{self, Empty, Id, Parameters, page, remark},
    names::names,
    wire::{attempt, event, withdrawal},
    withdraw::wake,
};
use crate::{
    ledger::Account,
    settlement::Settlement,
    store::{Decided, Filter},
    withdrawal::{Stage, Withdrawal, WithdrawalNumber},
};

/// How many events are shown with a withdrawal.
const EVENTS: u32 = 500;

/// The parameters of a list.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Listed {
    source: Option<Name>,
    stage: Option<String>,
    account: Option<Name>,
    after: Option<String>,
    limit: Option<u32>,
}

/// The source, where it is not the client's own.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Of {
    source: Option<Name>,
}

/// The parameters of an explanation.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Explained {
    source: Option<Name>,
    after: Option<u64>,
}

/// `GET /v1/withdrawals`.
pub(super) async fn list(
    State(app): State<Arc<App>>,
    Reader(caller): Reader,
    Parameters(asked): Parameters<Listed>,
) -> Result<Json<WithdrawalsAnswer>, Fault> {
    let source = match asked.source {
        Some(source) => Some(caller.source(Some(source))?),
        None => caller.sees().cloned(),
    };
    let filter = Filter {
        source,
        account: asked.account.map(Account::Customer),
        stages: stages(asked.stage.as_deref())?,
    };
    let (after, limit) = (cursor(asked.after.as_deref())?, page(asked.limit)?);
    // One more than is shown says whether there is more.
    let more = limit.saturating_add(1);
    let mut found = app.store.withdrawals(&filter, after, more).await?;
    let shown = usize::try_from(limit).unwrap_or(usize::MAX);
    let is_more = found.len() > shown;
    found.truncate(shown);
    let last = found.last().filter(|_| is_more);
    Ok(Json(WithdrawalsAnswer {
        next: last.map(|withdrawal| withdrawal.number.0.to_string()),
        withdrawals: found.into_iter().map(withdrawal).collect(),
    }))
}

/// Stages by their names, separated by commas.
fn stages(text: Option<&str>) -> Result<Vec<Stage>, Fault> {
    let named = |name: &str| Stage::ALL.into_iter().find(|stage| stage.name() == name);
    let names = text.into_iter().flat_map(|text| text.split(','));
    names
        .map(|name| {
            let unknown = || Fault::malformed("There is no such stage.").at("stage");
            named(name).ok_or_else(|| unknown().into())
        })
        .collect()
}

fn cursor(text: Option<&str>) -> Result<Option<WithdrawalNumber>, Fault> {
    let Some(text) = text else { return Ok(None) };
    let number = text.parse().ok().map(WithdrawalNumber);
    let unknown = || Fault::malformed("That is no `next` of an earlier page.").at("after");
    number.map(Some).ok_or_else(|| unknown().into())
}

/// `GET /v1/withdrawals/{id}`.
pub(super) async fn show(
    State(app): State<Arc<App>>,
    Reader(caller): Reader,
    Id(id): Id,
    Parameters(of): Parameters<Of>,
) -> Result<Json<wire::Withdrawal>, Fault> {
    let source = caller.source(of.source)?;
    let stored = stored(&app, &IntentId { source, id }).await?;
    Ok(Json(withdrawal(stored)))
}

async fn stored(app: &App, id: &IntentId) -> Result<Withdrawal, Fault> {
    let found = app.store.withdrawal(id).await?;
    found.ok_or_else(|| Fault::absent("withdrawal"))
}

/// `GET /v1/withdrawals/{id}/explain`.
pub(super) async fn explain(
    State(app): State<Arc<App>>,
    Reader(caller): Reader,
    Id(id): Id,
    Parameters(asked): Parameters<Explained>,
) -> Result<Json<Explanation>, Fault> {
    let source = caller.source(asked.source)?;
    let stored = stored(&app, &IntentId { source, id }).await?;
    let number = stored.number;
    let attempts = app.store.attempts(number).await?;
    let recorded = app.store.events(Some(number), asked.after, EVENTS).await?;
    let paid = attempts.iter().flat_map(|(_, attempt)| &attempt.pays);
    let mut numbers: BTreeSet<_> = paid.copied().collect();
    numbers.insert(number);
    // Whose other payments stand in the same transaction is not this client's business.
    let names = names(&app, numbers, caller.sees()).await?;
    let chain = stored.chain();
    let chains = app.engine.chains();
    let height = chains
        .into_iter()
        .find_map(|report| report.height.filter(|_| report.chain == chain));
    let is_full = u32::try_from(recorded.len()).is_ok_and(|count| count >= EVENTS);
    let last = recorded.last().filter(|_| is_full);
    Ok(Json(Explanation {
        next: last.map(|recorded| recorded.event),
        withdrawal: withdrawal(stored),
        attempts: attempts
            .into_iter()
            .map(|(lane, stored)| attempt(&lane, stored, &names, height))
            .collect(),
        events: recorded
            .into_iter()
            .map(|recorded| event(recorded, &names))
            .collect(),
    }))
}

/// `POST /v1/withdrawals/{id}/cancel`.
pub(super) async fn cancel(
    State(app): State<Arc<App>>,
    Withdrawer(caller): Withdrawer,
    Id(id): Id,
    Parameters(of): Parameters<Of>,
    Empty: Empty,
) -> Result<Json<wire::Withdrawal>, Fault> {
    let source = caller.source(of.source)?;
    let id = IntentId { source, id };
    let now = (app.clock)();
    decided(app.store.release(&id, &caller.name, now).await?).map(Json)
}

/// `POST /v1/withdrawals/{id}/approve`.
pub(super) async fn approve(
    State(app): State<Arc<App>>,
    Decider(caller): Decider,
    Id(id): Id,
    Parameters(of): Parameters<Of>,
    Empty: Empty,
) -> Result<Json<wire::Withdrawal>, Fault> {
    let source = caller.source(of.source)?;
    let id = IntentId { source, id };
    let approved = app.store.approve(&id, &caller.name, (app.clock)()).await?;
    if let Decided::Done(stored) = &approved {
        wake(&app, stored);
    }
    decided(approved).map(Json)
}

/// `POST /v1/withdrawals/{id}/reject`.
pub(super) async fn reject(
    State(app): State<Arc<App>>,
    Decider(caller): Decider,
    Id(id): Id,
    Parameters(of): Parameters<Of>,
    Empty: Empty,
) -> Result<Json<wire::Withdrawal>, Fault> {
    let source = caller.source(of.source)?;
    let id = IntentId { source, id };
    let now = (app.clock)();
    decided(app.store.release(&id, &caller.name, now).await?).map(Json)
}

/// `POST /v1/withdrawals/{id}/settle`.
pub(super) async fn settle(
    State(app): State<Arc<App>>,
    Decider(caller): Decider,
    Id(id): Id,
    Parameters(of): Parameters<Of>,
    input::Json(asked): input::Json<SettleRequest>,
) -> Result<Json<wire::Withdrawal>, Fault> {
    remark(&asked.why, "why")?;
    let source = caller.source(of.source)?;
    let id = IntentId { source, id };
    let settlement = Settlement {
        txid: asked.txid,
        outcome: asked.outcome,
        by: caller.name,
        why: asked.why,
    };
    let settled = app.store.settle(&id, &settlement, (app.clock)()).await?;
    if let Decided::Done(stored) = &settled {
        wake(&app, stored);
    }
    decided(settled).map(Json)
}

fn decided(decided: Decided) -> Result<wire::Withdrawal, Fault> {
    match decided {
        Decided::Done(stored) => Ok(withdrawal(stored)),
        Decided::NotNow(stored) => {
            let detail = format!("It is {}.", stored.stage.name());
            let problem = Problem::new(ProblemKind::NotNow, detail);
            Err(problem.instead(withdrawal(stored)).into())
        }
        Decided::Unknown => Err(Fault::absent("withdrawal")),
    }
}
