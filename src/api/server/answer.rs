//! Answers: JSON, or a problem.

use bytes::Bytes;
use http_body_util::Full;
use hyper::{
    Response, StatusCode,
    header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER},
};
use serde::Serialize;

use crate::problem::{MEDIA_TYPE, Problem, ProblemKind};

/// For a year, and never asked for again. Who may read it once may read it always.
const IMMUTABLE: &str = "private, max-age=31536000, immutable";

/// An answer with its whole body.
#[derive(Debug)]
pub struct Answer(Response<Full<Bytes>>);

impl Answer {
    /// A JSON body.
    pub fn json(status: StatusCode, body: &impl Serialize) -> Self {
        // As much as an answer to a payment has: it need not grow.
        let mut bytes = Vec::with_capacity(4 * 1024);
        match serde_json::to_writer(&mut bytes, body) {
            Ok(()) => Self::new(status, "application/json", bytes),
            Err(_) => Problem::new(ProblemKind::Internal, "The answer has no JSON form.").into(),
        }
    }

    /// Plain text.
    pub fn text(status: StatusCode, body: impl Into<Bytes>) -> Self {
        Self::new(status, "text/plain; charset=utf-8", body)
    }

    /// Bytes that never change, which anybody may keep.
    pub fn immutable(body: impl Into<Bytes>) -> Self {
        let mut answer = Self::new(StatusCode::OK, "application/octet-stream", body);
        let headers = answer.0.headers_mut();
        headers.insert(CACHE_CONTROL, HeaderValue::from_static(IMMUTABLE));
        answer
    }

    /// A file for browsers, with further headers.
    pub fn file(
        media_type: &'static str,
        content: &'static [u8],
        more: &[(&'static str, &'static str)],
    ) -> Self {
        let mut answer = Self::new(StatusCode::OK, media_type, content);
        let headers = answer.0.headers_mut();
        for (name, value) in more {
            headers.insert(
                HeaderName::from_static(name),
                HeaderValue::from_static(value),
            );
        }
        answer
    }

    /// Nothing to say.
    pub fn empty() -> Self {
        let mut response = Response::new(Full::default());
        *response.status_mut() = StatusCode::NO_CONTENT;
        Self(response)
    }

    fn new(status: StatusCode, media_type: &'static str, body: impl Into<Bytes>) -> Self {
        let mut response = Response::new(Full::new(body.into()));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        Self(response)
    }

    /// The status.
    pub fn status(&self) -> StatusCode {
        self.0.status()
    }

    /// The HTTP response.
    pub fn into_response(self) -> Response<Full<Bytes>> {
        self.0
    }
}

impl From<Response<Full<Bytes>>> for Answer {
    fn from(response: Response<Full<Bytes>>) -> Self {
        Self(response)
    }
}

impl From<Problem> for Answer {
    fn from(problem: Problem) -> Self {
        let status =
            StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let body = serde_json::to_vec(&problem).unwrap_or_default();
        let mut answer = Self::new(status, MEDIA_TYPE, body);
        if let Some(secs) = problem.retry_after_secs {
            answer
                .0
                .headers_mut()
                .insert(RETRY_AFTER, secs.get().into());
        }
        answer
    }
}

impl<E: Into<Self>> From<Result<Self, E>> for Answer {
    fn from(result: Result<Self, E>) -> Self {
        result.unwrap_or_else(Into::into)
    }
}
