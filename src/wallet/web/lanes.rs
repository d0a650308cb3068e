//! `POST /v1/lanes/{lane}/open`.

use std::sync::Arc;

use api::wallet::LaneReport;
use axum::{Json, extract::State};

use super::{
    App,
    caller::Decider,
    fault::Fault,
    input::{Empty, Lane, NoParameters, Parameters},
    wire::lane,
};

/// `POST /v1/lanes/{lane}/open`: a halted lane is compared anew.
pub(super) async fn open(
    State(app): State<Arc<App>>,
    Decider(caller): Decider,
    Lane(id): Lane,
    _: Parameters<NoParameters>,
    Empty: Empty,
) -> Result<Json<LaneReport>, Fault> {
    let row = app
        .store
        .open_lane(&id, &caller.name, (app.clock)())
        .await?;
    row.map(lane).map(Json).ok_or_else(|| Fault::absent("lane"))
}
