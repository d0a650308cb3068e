//! What comes with a request: bodies, parameters, ids. Read strictly, and told by the field.

use api::{
    problem::{Problem, ProblemKind},
    server::{self, Length},
    wallet::{BODY_MAX, MEMO_MAX, PAGE, PAGE_MAX},
};
use axum::{
    extract::{FromRequest, FromRequestParts, Path, Query, Request},
    http::request::Parts,
};
use http_body_util::BodyExt;
use serde::{Deserialize, de::DeserializeOwned};
use tokio::time::timeout;
use tx::{IntentKey, Name};

use super::{caller::Caller, fault::Fault};
use crate::{lane::LaneId, text::shown};

/// Of a body that is too large, so much is read that its answer arrives.
const LENGTH: Length = Length {
    max: BODY_MAX,
    read: 16 * BODY_MAX,
};

/// A body's bytes.
pub(super) struct Bytes(pub(super) bytes::Bytes);

/// A body of JSON.
pub(super) struct Json<T>(pub(super) T);

/// That there is no body.
pub(super) struct Empty;

/// The parameters behind the question mark.
pub(super) struct Parameters<T>(pub(super) T);

/// That there are no parameters.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NoParameters {}

/// An id in the path.
pub(super) struct Id(pub(super) IntentKey);

/// A name in the path.
pub(super) struct Named(pub(super) Name);

/// A lane in the path: its colons may stand for themselves.
pub(super) struct Lane(pub(super) LaneId);

/// Reads JSON. The problem names the field that is wrong.
pub(super) fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let malformed = |path: String, error: &serde_json::Error| {
        let detail = shown(&format!("The body: {error}."));
        let problem = Problem::new(ProblemKind::Malformed, detail);
        match path.as_str() {
            "" | "." | "?" => problem,
            _ => problem.at(shown(&path)),
        }
    };
    let value = serde_path_to_error::deserialize(&mut reader)
        .map_err(|error| malformed(error.path().to_string(), error.inner()))?;
    reader
        .end()
        .map_err(|error| malformed(String::new(), &error))?;
    Ok(value)
}

/// What a person writes for others.
pub(super) fn remark(text: &str, field: &str) -> Result<(), Fault> {
    let printable = text.bytes().all(|byte| matches!(byte, b' '..=b'~'));
    if printable && (1..=MEMO_MAX).contains(&text.len()) {
        return Ok(());
    }
    let detail = format!("A {field} has 1 to {MEMO_MAX} printable ASCII characters.");
    Err(Fault::malformed(detail).at(field).into())
}

/// How many entries a page has.
pub(super) fn page(limit: Option<u32>) -> Result<u32, Fault> {
    let limit = limit.unwrap_or(PAGE);
    if (1..=PAGE_MAX).contains(&limit) {
        return Ok(limit);
    }
    let detail = format!("limit is from 1 to {PAGE_MAX}.");
    Err(Fault::malformed(detail).at("limit").into())
}

impl<S: Send + Sync> FromRequest<S> for Bytes {
    type Rejection = Fault;

    async fn from_request(request: Request, _: &S) -> Result<Self, Fault> {
        let caller: &Caller = request.extensions().get().ok_or_else(Fault::nobody)?;
        let patience = caller.patience;
        Ok(Self(server::body(request, LENGTH, patience).await?))
    }
}

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Json<T> {
    type Rejection = Fault;

    async fn from_request(request: Request, state: &S) -> Result<Self, Fault> {
        let Bytes(bytes) = Bytes::from_request(request, state).await?;
        Ok(Self(read(&bytes)?))
    }
}

impl<S: Send + Sync> FromRequest<S> for Empty {
    type Rejection = Fault;

    async fn from_request(request: Request, _: &S) -> Result<Self, Fault> {
        let caller: &Caller = request.extensions().get().ok_or_else(Fault::nobody)?;
        let patience = caller.patience;
        let mut body = request.into_body();
        let nothing = async {
            while let Some(frame) = body.frame().await {
                if !frame.is_ok_and(|frame| frame.data_ref().is_none_or(bytes::Bytes::is_empty)) {
                    return false;
                }
            }
            true
        };
        match timeout(patience, nothing).await {
            Ok(true) => Ok(Self),
            Ok(false) => Err(Fault::malformed("This verb takes no body.").into()),
            Err(_) => {
                let detail = "The body did not arrive in time.";
                Err(Problem::new(ProblemKind::RequestTimeout, detail).into())
            }
        }
    }
}

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Parameters<T> {
    type Rejection = Fault;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Fault> {
        match Query::<T>::from_request_parts(parts, state).await {
            Ok(Query(parameters)) => Ok(Self(parameters)),
            Err(error) => {
                let detail = shown(&format!("The parameters: {}.", error.body_text()));
                Err(Fault::malformed(detail).into())
            }
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Id {
    type Rejection = Fault;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Fault> {
        in_path(parts, state, "withdrawal").await.map(Self)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Named {
    type Rejection = Fault;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Fault> {
        in_path(parts, state, "account").await.map(Self)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Lane {
    type Rejection = Fault;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Fault> {
        in_path(parts, state, "lane").await.map(Self)
    }
}

/// A text that cannot be the name of anything names nothing.
async fn in_path<T: std::str::FromStr, S: Send + Sync>(
    parts: &mut Parts,
    state: &S,
    what: &str,
) -> Result<T, Fault> {
    let Ok(Path(text)) = Path::<String>::from_request_parts(parts, state).await else {
        return Err(Fault::absent(what));
    };
    text.parse().map_err(|_| Fault::absent(what))
}
