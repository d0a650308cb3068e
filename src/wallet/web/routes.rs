//! The routes. The OpenAPI document lists the same ones; a test compares.

use std::sync::Arc;

use api::problem::{Problem, ProblemKind};
use axum::{Router, http::Uri, routing};

use super::{App, fault::Fault, feed, lanes, ledger, withdraw, withdrawals};
use crate::text::shown;

macro_rules! routes {
    ($($method:ident $path:literal => $verb:path;)*) => {
        /// Every route: its method in lower case, and its path.
        pub const ROUTES: &[(&str, &str)] = &[$((stringify!($method), $path)),*];

        fn routed() -> Router<Arc<App>> {
            Router::new()$(.route($path, routing::$method($verb)))*
        }
    };
}

routes! {
    post "/v1/withdrawals" => withdraw::withdraw;
    get "/v1/withdrawals" => withdrawals::list;
    get "/v1/withdrawals/{id}" => withdrawals::show;
    get "/v1/withdrawals/{id}/explain" => withdrawals::explain;
    post "/v1/withdrawals/{id}/cancel" => withdrawals::cancel;
    post "/v1/withdrawals/{id}/approve" => withdrawals::approve;
    post "/v1/withdrawals/{id}/reject" => withdrawals::reject;
    post "/v1/withdrawals/{id}/settle" => withdrawals::settle;
    post "/v1/lanes/{lane}/open" => lanes::open;
    post "/v1/quote" => ledger::quote;
    post "/v1/credits" => ledger::credit;
    get "/v1/accounts/{name}" => ledger::account;
    get "/v1/events" => feed::events;
    get "/v1/status" => feed::status;
}

/// The way to every verb, and to a problem from everywhere else.
pub(super) fn router(app: Arc<App>) -> Router {
    routed()
        .fallback(absent)
        .method_not_allowed_fallback(other_method)
        .with_state(app)
}

async fn absent(uri: Uri) -> Fault {
    let detail = shown(&format!("There is no {}.", uri.path()));
    Problem::new(ProblemKind::NotFound, detail).into()
}

async fn other_method(uri: Uri) -> Fault {
    let detail = shown(&format!("{} has another method.", uri.path()));
    Problem::new(ProblemKind::MethodNotAllowed, detail).into()
}
