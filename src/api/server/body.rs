//! Bodies of JSON, of a bounded size and time.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::{
    HeaderMap, Request,
    body::Body,
    header::{CONTENT_LENGTH, CONTENT_TYPE},
};
use tokio::time::timeout;

use crate::problem::{Problem, ProblemKind};

/// How long a body may be.
#[derive(Clone, Copy, Debug)]
pub struct Length {
    /// In bytes.
    pub max: usize,
    /// How much of one that is longer is read and thrown away, all in all. A connection that is
    /// closed with something unread is reset, and the answer lost with it.
    pub read: usize,
}

/// Reads a body within its bounds of size and time.
///
/// # Errors
/// A problem that says what is wrong with it.
pub async fn body<B: Body<Data = Bytes> + Unpin>(
    request: Request<B>,
    length: Length,
    patience: Duration,
) -> Result<Bytes, Problem> {
    let headers = request.headers();
    if !is_json(headers) {
        let detail = "Send content-type: application/json.";
        return Err(Problem::new(ProblemKind::MediaType, detail));
    }
    let too_large = || {
        let detail = format!("A body has at most {} bytes.", length.max);
        Problem::new(ProblemKind::TooLarge, detail)
    };
    if announced(headers).is_some_and(|announced| announced > length.read) {
        return Err(too_large());
    }
    match timeout(patience, receive(request.into_body(), length)).await {
        Ok(Ok(Some(bytes))) => Ok(bytes.into()),
        Ok(Ok(None)) => Err(too_large()),
        Ok(Err(_)) => Err(Problem::new(
            ProblemKind::Malformed,
            "The body did not arrive whole.",
        )),
        Err(_) => Err(Problem::new(
            ProblemKind::RequestTimeout,
            "The body did not arrive in time.",
        )),
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    headers.get(CONTENT_TYPE).is_some_and(|value| {
        let essence = value.as_bytes().split(|byte| *byte == b';').next();
        essence.is_some_and(|essence| essence.trim_ascii() == b"application/json")
    })
}

fn announced(headers: &HeaderMap) -> Option<usize> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// A body, `None` when it is too large.
async fn receive<B: Body<Data = Bytes> + Unpin>(
    mut body: B,
    length: Length,
) -> Result<Option<Vec<u8>>, B::Error> {
    let mut bytes = Vec::new();
    let mut received = 0usize;
    while let Some(frame) = body.frame().await {
        let frame = frame?;
        let Some(data) = frame.data_ref() else {
            continue;
        };
        received = received.saturating_add(data.len());
        if received <= length.max {
            bytes.extend_from_slice(data);
        } else if received > length.read {
            break;
        }
    }
    Ok((received <= length.max).then_some(bytes))
}
