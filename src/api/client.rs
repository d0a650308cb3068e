//! A client of the signing API: TLS 1.3 with a certificate of its own, one connection, deadlines.
//!
//! The signer holds the keys, but what comes over the network is not taken on trust: an answer has
//! a size and a time, and is read strictly. What matters most is what a failure means, so that
//! nobody pays twice: [`ClientError::Unreachable`] says that nothing was sent,
//! [`ClientError::Unknown`] that it may have happened.

mod connect;
mod error;
mod link;
mod watched;

use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::{
    Method, Request, StatusCode,
    header::{ACCEPT, CONTENT_TYPE, HOST, HeaderValue},
};
use serde::de::DeserializeOwned;
use tokio::{
    sync::Mutex,
    time::{Instant, timeout_at},
};
use tx::Name;

use self::{
    connect::Endpoint,
    link::{Answered, Failed, Link},
};
pub use self::{
    connect::SettingsError,
    error::{ClientError, Lost, Obstacle, Oddity},
};
use crate::{
    problem::{MEDIA_TYPE, Problem},
    signing::{
        EvaluateAnswer, KeysAnswer, PAGE_BYTES, PendingAnswer, RequestAnswer, RequestsAnswer,
        SignAnswer, SignRequest,
    },
};

/// The largest answer about one request: a request has at most 1 MiB, and its answer holds its
/// transaction signed, and once more in the receipt.
const ANSWER_MAX_BYTES: usize = 8 << 20;
/// The largest page of requests: it ends with the one that reaches its bound.
const PAGE_MAX_BYTES: usize = PAGE_BYTES + ANSWER_MAX_BYTES;

/// How to reach a signer.
#[derive(Clone, Copy, Debug)]
pub struct Settings<'a> {
    /// Where it listens: `host:port`.
    pub server: &'a str,
    /// The name in its certificate, where that is not `host`.
    pub server_name: Option<&'a str>,
    /// Certificates of the authorities that certify the server, PEM.
    pub roots: &'a [u8],
    /// The client's certificate chain, PEM.
    pub certificate: &'a [u8],
    /// The client's private key, PEM.
    pub key: &'a [u8],
    /// What is spoken.
    pub protocol: Protocol,
    /// How long one call may take, connecting included.
    pub timeout: Duration,
}

/// What is spoken on the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.1: calls wait for one another.
    Http1,
    /// HTTP/2: calls share the connection, as many at the same time as the signer allows.
    Http2,
}

/// A client: one connection, made when it is needed and made again when it was closed.
#[derive(Debug)]
pub struct Client {
    endpoint: Endpoint,
    protocol: Protocol,
    timeout: Duration,
    link: Mutex<Option<Link>>,
}

impl Client {
    /// Checks the settings. Nothing is connected yet.
    ///
    /// # Errors
    /// [`SettingsError`] names what cannot be used.
    pub fn new(settings: &Settings<'_>) -> Result<Self, SettingsError> {
        Ok(Self {
            endpoint: Endpoint::new(settings)?,
            protocol: settings.protocol,
            timeout: settings.timeout,
            link: Mutex::new(None),
        })
    }

    /// `POST /v1/sign`. The same request again gets the same answer.
    ///
    /// # Errors
    /// [`ClientError`]; after [`ClientError::Unknown`] ask again with the same request.
    pub async fn sign(&self, request: &SignRequest) -> Result<SignAnswer, ClientError> {
        let answer: SignAnswer = self.post("/v1/sign", request).await?;
        if answer.request_id != request.request_id {
            return Err(self.malformed(StatusCode::OK, Oddity::OtherRequest));
        }
        Ok(answer)
    }

    /// `POST /v1/evaluate`. Nothing is consumed.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn evaluate(&self, request: &SignRequest) -> Result<EvaluateAnswer, ClientError> {
        self.post("/v1/evaluate", request).await
    }

    /// `GET /v1/keys`: the keys of the client's accounts and the room left in the limits.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn keys(&self) -> Result<KeysAnswer, ClientError> {
        self.fetch("/v1/keys", ANSWER_MAX_BYTES).await
    }

    /// `GET /v1/keys/{key}`.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn key(&self, key: &Name) -> Result<KeysAnswer, ClientError> {
        self.fetch(&format!("/v1/keys/{key}"), ANSWER_MAX_BYTES)
            .await
    }

    /// `GET /v1/requests/{id}`: what became of a request.
    ///
    /// # Errors
    /// [`ClientError`]; [`ClientError::RequestId`] for a text that no request can have as its id.
    pub async fn request(&self, id: &str) -> Result<RequestAnswer, ClientError> {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b':' | b'-');
        // A path is made of it: what is no id must not become another path.
        if !(1..=128).contains(&id.len()) || !id.bytes().all(allowed) {
            return Err(ClientError::RequestId);
        }
        self.fetch(&format!("/v1/requests/{id}"), ANSWER_MAX_BYTES)
            .await
    }

    /// `GET /v1/requests`: a page of what was authorised after the entry `after`, or from the
    /// beginning.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn requests(&self, after: Option<u64>) -> Result<RequestsAnswer, ClientError> {
        let path = match after {
            Some(after) => format!("/v1/requests?after={after}"),
            None => "/v1/requests".to_owned(),
        };
        self.fetch(&path, PAGE_MAX_BYTES).await
    }

    async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        request: &SignRequest,
    ) -> Result<T, ClientError> {
        let body = serde_json::to_vec(request).map_err(ClientError::Unwritable)?;
        self.call(Method::POST, path, Bytes::from(body), ANSWER_MAX_BYTES)
            .await
    }

    async fn fetch<T: DeserializeOwned>(&self, path: &str, limit: usize) -> Result<T, ClientError> {
        self.call(Method::GET, path, Bytes::new(), limit).await
    }

    async fn call<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
        limit: usize,
    ) -> Result<T, ClientError> {
        let request = self.request_of(method, path, body)?;
        let Answered {
            status,
            media_type,
            body,
        } = self.exchange(request, limit).await?;
        let unreadable = |error| self.malformed(status, Oddity::Json(error));
        match status {
            StatusCode::OK => serde_json::from_slice(&body).map_err(unreadable),
            StatusCode::ACCEPTED => {
                let pending: PendingAnswer = serde_json::from_slice(&body).map_err(unreadable)?;
                Err(ClientError::Pending(Box::new(pending)))
            }
            _ if media_type.as_deref() == Some(MEDIA_TYPE.as_bytes()) => {
                let problem: Problem = serde_json::from_slice(&body).map_err(unreadable)?;
                if problem.status != status.as_u16() || problem.kind.status() != problem.status {
                    return Err(self.malformed(status, Oddity::Status));
                }
                Err(ClientError::Problem(Box::new(problem)))
            }
            _ => Err(self.malformed(status, Oddity::MediaType)),
        }
    }

    fn request_of(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
    ) -> Result<Request<Full<Bytes>>, ClientError> {
        let mut request = Request::builder().method(&method);
        request = match self.protocol {
            Protocol::Http1 => request.uri(path).header(HOST, self.endpoint.authority()),
            Protocol::Http2 => request.uri(format!("https://{}{path}", self.endpoint.authority())),
        };
        if method == Method::POST {
            request = request.header(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        request
            .header(
                ACCEPT,
                HeaderValue::from_static("application/json, application/problem+json"),
            )
            .body(Full::new(body))
            .map_err(ClientError::Uri)
    }

    fn malformed(&self, status: StatusCode, source: Oddity) -> ClientError {
        ClientError::Malformed {
            server: self.endpoint.server(),
            status: status.as_u16(),
            source,
        }
    }

    fn unreachable(&self, source: Obstacle) -> ClientError {
        ClientError::Unreachable {
            server: self.endpoint.server(),
            source,
        }
    }

    fn unknown(&self, source: Lost) -> ClientError {
        ClientError::Unknown {
            server: self.endpoint.server(),
            source,
        }
    }

    /// Sends a request, on the connection there is or on a new one.
    async fn exchange(
        &self,
        mut request: Request<Full<Bytes>>,
        limit: usize,
    ) -> Result<Answered, ClientError> {
        let deadline = Instant::now()
            .checked_add(self.timeout)
            .ok_or_else(|| self.unreachable(Obstacle::TimedOut))?;
        let mut may_keep = true;
        loop {
            let waiting = timeout_at(deadline, self.link.lock()).await;
            let mut place = waiting.map_err(|_| self.unreachable(Obstacle::TimedOut))?;
            let kept = place.take().filter(|link| may_keep && link.is_open());
            let is_kept = kept.is_some();
            let mut link = match kept {
                Some(link) => link,
                None => self.connect(deadline).await?,
            };
            let sharing = link.share();
            // Calls on HTTP/1.1 hold the place until they end, on HTTP/2 they go on beside others.
            let mut held = match sharing {
                Some(shared) => {
                    *place = Some(shared);
                    drop(place);
                    None
                }
                None => Some(place),
            };
            match timeout_at(deadline, link.exchange(request, limit)).await {
                Err(_) => return Err(self.unknown(Lost::TimedOut)),
                Ok(Ok(answered)) => {
                    if let Some(place) = &mut held {
                        **place = Some(link);
                    }
                    return Ok(answered);
                }
                // The signer had closed the connection that was kept: a new one may do.
                Ok(Err(Failed::Unsent { request: back, .. })) if is_kept => {
                    (request, may_keep) = (*back, false);
                }
                Ok(Err(failed)) => return Err(self.failed(failed)),
            }
        }
    }

    async fn connect(&self, deadline: Instant) -> Result<Link, ClientError> {
        let connecting = timeout_at(deadline, self.endpoint.connect(self.protocol)).await;
        connecting
            .unwrap_or(Err(Obstacle::TimedOut))
            .map_err(|obstacle| self.unreachable(obstacle))
    }

    fn failed(&self, failed: Failed) -> ClientError {
        match failed {
            Failed::Rejected { alert } => self.unreachable(Obstacle::Certificate { alert }),
            Failed::Unsent { source, .. } => self.unreachable(Obstacle::Http(source)),
            Failed::Broken(source) => self.unknown(Lost::Broken(source)),
            Failed::TooLarge { status, limit } => {
                self.malformed(status, Oddity::TooLarge { limit })
            }
        }
    }
}
