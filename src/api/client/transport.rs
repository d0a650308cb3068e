//! The way to a daemon: one connection, deadlines, and what a failure means.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::{
    Method, Request, StatusCode,
    header::{ACCEPT, CONTENT_TYPE, HOST, HeaderValue},
};
use serde::{Serialize, de::DeserializeOwned};
use tokio::{
    sync::Mutex,
    time::{Instant, timeout_at},
};

use super::{
    ClientError, Lost, Obstacle, Oddity, Protocol, Settings, SettingsError,
    connect::Endpoint,
    link::{Answered, Failed, Link},
};
use crate::problem::{MEDIA_TYPE, Problem};

/// One connection, made when it is needed and made again when it was closed.
#[derive(Debug)]
pub(super) struct Transport {
    endpoint: Endpoint,
    protocol: Protocol,
    timeout: Duration,
    link: Mutex<Option<Link>>,
}

/// An answer that is no problem.
#[derive(Debug)]
pub(super) struct Success {
    pub(super) status: StatusCode,
    pub(super) body: Bytes,
}

impl Success {
    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.body.into()
    }
}

impl Transport {
    pub(super) fn new(settings: &Settings<'_>) -> Result<Self, SettingsError> {
        Ok(Self {
            endpoint: Endpoint::new(settings)?,
            protocol: settings.protocol,
            timeout: settings.timeout,
            link: Mutex::new(None),
        })
    }

    /// `POST` of a JSON body.
    pub(super) async fn post(
        &self,
        path: &str,
        body: &impl Serialize,
        limit: usize,
    ) -> Result<Success, ClientError> {
        let body = serde_json::to_vec(body).map_err(ClientError::Unwritable)?;
        self.call(Method::POST, path, Bytes::from(body), limit)
            .await
    }

    /// `POST` without a body.
    pub(super) async fn tell(&self, path: &str, limit: usize) -> Result<Success, ClientError> {
        self.call(Method::POST, path, Bytes::new(), limit).await
    }

    /// `GET`.
    pub(super) async fn fetch(&self, path: &str, limit: usize) -> Result<Success, ClientError> {
        self.call(Method::GET, path, Bytes::new(), limit).await
    }

    /// The body of an answer that is text.
    pub(super) fn text(&self, answer: &Success) -> Result<String, ClientError> {
        let text = str::from_utf8(&answer.body).map(str::to_owned);
        text.map_err(|_| self.malformed(answer.status, Oddity::Text))
    }

    /// Reads the body of an answer.
    pub(super) fn read<T: DeserializeOwned>(&self, answer: &Success) -> Result<T, ClientError> {
        serde_json::from_slice(&answer.body)
            .map_err(|error| self.malformed(answer.status, Oddity::Json(error)))
    }

    async fn call(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
        limit: usize,
    ) -> Result<Success, ClientError> {
        let request = self.request_of(method, path, body)?;
        let Answered {
            status,
            media_type,
            body,
        } = self.exchange(request, limit).await?;
        if status.is_success() {
            return Ok(Success { status, body });
        }
        if media_type.as_deref() != Some(MEDIA_TYPE.as_bytes()) {
            return Err(self.malformed(status, Oddity::MediaType));
        }
        let problem: Problem = self.read(&Success { status, body })?;
        if problem.status != status.as_u16() || problem.kind.status() != problem.status {
            return Err(self.malformed(status, Oddity::Status));
        }
        Err(ClientError::Problem(Box::new(problem)))
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
        if !body.is_empty() {
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

    pub(super) fn malformed(&self, status: StatusCode, source: Oddity) -> ClientError {
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
