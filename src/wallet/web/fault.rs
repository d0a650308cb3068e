//! What goes wrong, as the client is told.

use api::problem::{MEDIA_TYPE, Problem, ProblemKind};
use axum::{
    http::{
        StatusCode,
        header::{CONTENT_TYPE, HeaderValue},
    },
    response::{IntoResponse, Response},
};

use crate::{store::StoreError, text};

/// A problem, as the answer to a request.
#[derive(Debug)]
pub(super) struct Fault(pub(super) Box<Problem>);

impl Fault {
    /// The request is none of this verb.
    pub(super) fn malformed(detail: impl Into<String>) -> Problem {
        Problem::new(ProblemKind::Malformed, detail)
    }

    /// There is no such thing, or not for this client: which of the two is not said.
    pub(super) fn absent(what: &str) -> Self {
        Problem::new(ProblemKind::NotFound, format!("There is no such {what}.")).into()
    }

    /// The store answered less than it was asked, which is a defect.
    pub(super) fn unanswered() -> Self {
        Problem::new(ProblemKind::Internal, "The store gave no answer.").into()
    }

    /// A request reached a verb without a client, which the host does not let happen.
    pub(super) fn nobody() -> Self {
        Problem::new(ProblemKind::UnknownClient, "Nobody asks.").into()
    }
}

impl From<Problem> for Fault {
    fn from(problem: Problem) -> Self {
        Self(Box::new(problem))
    }
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Self {
        let told = text::chain(&error);
        match error {
            StoreError::Unavailable { .. } => {
                tracing::warn!(error = %told, "the database cannot be used");
                let detail = "Nothing is known to be written. Ask again with the same id.";
                Problem::new(ProblemKind::DatabaseUnavailable, detail).into()
            }
            // What it says is for the operator: it may quote what is stored.
            _ => {
                tracing::error!(error = %told, "the database refuses a request");
                let detail = "The daemon's log says more. Ask again with the same id.";
                Problem::new(ProblemKind::Internal, detail).into()
            }
        }
    }
}

impl IntoResponse for Fault {
    fn into_response(self) -> Response {
        let status =
            StatusCode::from_u16(self.0.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let body = serde_json::to_vec(&self.0).unwrap_or_default();
        let media_type = (CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
        (status, [media_type], body).into_response()
    }
}
