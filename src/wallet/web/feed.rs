//! `GET /v1/events` and `GET /v1/status`.

use std::{collections::BTreeSet, sync::Arc};

use api::wallet::{EventsAnswer, StageCount, StatusAnswer};
use axum::{Json, extract::State};
use serde::Deserialize;

use super::{
    App,
    caller::Reader,
    fault::Fault,
    input::{NoParameters, Parameters, page},
    names::names,
    wire::{event, lane, stage},
};

/// The parameters of the feed.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct After {
    after: Option<u64>,
    limit: Option<u32>,
}

/// `GET /v1/events`: of the client's own source, or everything for one that decides.
pub(super) async fn events(
    State(app): State<Arc<App>>,
    Reader(caller): Reader,
    Parameters(asked): Parameters<After>,
) -> Result<Json<EventsAnswer>, Fault> {
    let limit = page(asked.limit)?;
    let recorded = app.store.events(None, asked.after, limit).await?;
    let last = recorded.last().map(|recorded| recorded.event);
    let numbers: BTreeSet<_> = recorded.iter().filter_map(|it| it.withdrawal).collect();
    let names = names(&app, numbers, caller.sees()).await?;
    let is_seen = |number| names.contains_key(&number);
    let seen = recorded
        .into_iter()
        .filter(|it| caller.sees().is_none() || it.withdrawal.is_some_and(is_seen));
    Ok(Json(EventsAnswer {
        events: seen.map(|recorded| event(recorded, &names)).collect(),
        // Also past what this client does not see.
        next: last.or(asked.after),
    }))
}

/// `GET /v1/status`.
pub(super) async fn status(
    State(app): State<Arc<App>>,
    Reader(_): Reader,
    _: Parameters<NoParameters>,
) -> Result<Json<StatusAnswer>, Fault> {
    let lanes = app.store.lanes().await?;
    let mut stages: Vec<StageCount> = Vec::new();
    for (it, _, count) in app.store.counts().await? {
        let stage = stage(it);
        match stages.last_mut().filter(|last| last.stage == stage) {
            Some(last) => last.count = last.count.saturating_add(count),
            None => stages.push(StageCount { stage, count }),
        }
    }
    Ok(Json(StatusAnswer {
        version: env!("CARGO_PKG_VERSION").into(),
        time: (app.clock)(),
        lanes: lanes.into_iter().map(lane).collect(),
        stages,
        signer: app.engine.signer(),
        chains: app.engine.chains(),
    }))
}
