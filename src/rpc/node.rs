//! A node, and calls to it.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderMap, HeaderValue};
use hyper::{Method, Request, StatusCode, Uri};
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};

use crate::answer::Answered;
use crate::credentials::Credentials;
use crate::error::{Broken, CallError, SettingsError};
use crate::link::{Failed, Link};
use crate::pool::Pool;
use crate::{BATCH_CALLS_MAX, pool};

/// Where a node is, and how it is used.
#[derive(Clone)]
pub struct Settings<'a> {
    /// Its address, as `http://127.0.0.1:8545`.
    pub url: &'a str,
    /// For a node that asks for them; only one on this machine is given any.
    pub credentials: Option<Credentials>,
    /// How long a call may take, from its beginning to the last byte of its answer.
    pub timeout: Duration,
    /// The largest answer that is read.
    pub answer_max_bytes: usize,
    /// How many calls are made at once; more wait for their turn.
    pub calls_max: usize,
    /// How many connections are kept for further calls.
    pub idle_max: usize,
}

/// A node. Calls can be made from many tasks.
pub struct Node {
    authority: String,
    path: Uri,
    headers: RwLock<HeaderMap>,
    renew: Option<Renew>,
    on_this_machine_only: bool,
    timeout: Duration,
    answer_max_bytes: usize,
    next_id: AtomicU64,
    pool: Pool,
}

/// Where newer credentials come from.
type Renew = Box<dyn Fn() -> Option<Credentials> + Send + Sync>;

/// What is written for a call.
#[derive(Clone)]
struct Outgoing {
    headers: HeaderMap,
    body: Bytes,
}

/// A method and its parameters.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    /// The method.
    pub method: &'static str,
    /// An array, or an object for methods that take names.
    pub params: Value,
}

impl Node {
    /// Checks the settings. Nothing is connected yet.
    ///
    /// # Errors
    /// [`SettingsError`].
    pub fn new(settings: Settings<'_>) -> Result<Self, SettingsError> {
        let reason = |reason| SettingsError::Url { reason };
        let url: Uri = settings.url.parse().map_err(|_| reason("it is none"))?;
        let host = url.host().unwrap_or_default().to_owned();
        match url.scheme_str() {
            Some("http") => {}
            Some("https") => return Err(SettingsError::Https { host }),
            _ => return Err(reason("it does not begin with http://")),
        }
        let authority = url.authority().ok_or_else(|| reason("it names no host"))?;
        if authority.as_str().contains('@') {
            return Err(reason(
                "it holds credentials, which other users of this machine could read",
            ));
        }
        if settings.credentials.is_some() && !is_loopback(&host) {
            return Err(SettingsError::CredentialsExposed { host });
        }
        let port = match authority.port_u16() {
            Some(port) => port,
            None if authority.as_str() == host => 80,
            None => return Err(reason("its port is none")),
        };
        let authority = format!("{host}:{port}");
        let path = url.path_and_query().map_or("/", |path| path.as_str());
        Ok(Self {
            path: path.parse().map_err(|_| reason("it has no path"))?,
            headers: RwLock::new(headers(&authority, settings.credentials.as_ref())?),
            renew: None,
            authority,
            on_this_machine_only: settings.credentials.is_some(),
            timeout: settings.timeout,
            answer_max_bytes: settings.answer_max_bytes,
            next_id: AtomicU64::new(1),
            pool: pool::Pool::new(settings.calls_max, settings.idle_max),
        })
    }

    /// Where to look for newer credentials when the node refuses those it was given: it writes its
    /// cookie anew with each start. A node that was given none never gets any.
    #[must_use]
    pub fn renewing(self, renew: impl Fn() -> Option<Credentials> + Send + Sync + 'static) -> Self {
        let renew = self.on_this_machine_only.then(|| Box::new(renew) as Renew);
        Self { renew, ..self }
    }

    /// The host and port: what people know it by.
    pub fn name(&self) -> &str {
        &self.authority
    }

    /// Calls a method and reads its result; as [`Box<serde_json::value::RawValue>`] it is the text that came.
    ///
    /// # Errors
    /// [`CallError`]; it says whether the node may have acted.
    pub async fn call<T: DeserializeOwned>(
        &self,
        method: &'static str,
        params: Value,
    ) -> Result<T, CallError> {
        self.call_within(self.timeout, method, params).await
    }

    /// As [`Node::call`], within another time.
    ///
    /// # Errors
    /// As [`Node::call`].
    pub async fn call_within<T: DeserializeOwned>(
        &self,
        timeout: Duration,
        method: &'static str,
        params: Value,
    ) -> Result<T, CallError> {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let body = request_body(method, &params, id);
        let answered = self.exchange(method, body, timeout).await?;
        answered.result(method, id)
    }

    /// Makes up to [`BATCH_CALLS_MAX`] calls in one request. The results are in the order of the calls.
    ///
    /// # Errors
    /// [`CallError`] where there is no answer to the whole; each call has its own besides.
    pub async fn batch<T: DeserializeOwned>(
        &self,
        calls: &[Call],
    ) -> Result<Vec<Result<T, CallError>>, CallError> {
        let Some(first) = calls.first() else {
            return Ok(Vec::new());
        };
        if calls.len() > BATCH_CALLS_MAX {
            return Err(CallError::BatchTooLong {
                calls: calls.len(),
                limit: BATCH_CALLS_MAX,
            });
        }
        let mut asked = Vec::with_capacity(calls.len());
        let mut bodies = Vec::with_capacity(calls.len());
        for Call { method, params } in calls {
            let id = self.next_id.fetch_add(1, Ordering::Relaxed);
            asked.push((*method, id));
            bodies.push(request_body(method, params, id));
        }
        let body = format!("[{}]", bodies.join(","));
        let answered = self.exchange(first.method, body, self.timeout).await?;
        answered.results(&asked)
    }

    async fn exchange(
        &self,
        method: &'static str,
        body: String,
        timeout: Duration,
    ) -> Result<Answered, CallError> {
        let now = Instant::now();
        // Beyond the end of time there is no call to be made.
        let deadline = now.checked_add(timeout).unwrap_or(now);
        let mut outgoing = Outgoing {
            headers: self.headers(),
            body: body.into(),
        };
        let _turn = timeout_at(deadline, self.pool.enter())
            .await
            .map_err(|_| self.unreachable("it is busy with earlier calls".into()))?;
        let answered = self.exchange_by(method, &outgoing, deadline).await?;
        // What is refused for its credentials is not done: with others it is asked once more.
        if answered.status != StatusCode::UNAUTHORIZED || !self.renew(&outgoing) {
            return Ok(answered);
        }
        outgoing.headers = self.headers();
        self.exchange_by(method, &outgoing, deadline).await
    }

    async fn exchange_by(
        &self,
        method: &'static str,
        outgoing: &Outgoing,
        deadline: Instant,
    ) -> Result<Answered, CallError> {
        while let Some(link) = self.pool.take() {
            match self.exchange_on(link, method, outgoing, deadline).await {
                // It was closed while it waited: nothing was sent, another one will do.
                Err(CallError::Unreachable { .. }) => {}
                done => return done,
            }
        }
        let link = timeout_at(deadline, self.connect())
            .await
            .unwrap_or_else(|_| Err("the time is up".into()))
            .map_err(|source| self.unreachable(source))?;
        self.exchange_on(link, method, outgoing, deadline).await
    }

    fn headers(&self) -> HeaderMap {
        let headers = self.headers.read().unwrap_or_else(PoisonError::into_inner);
        headers.clone()
    }

    /// Whether there are other credentials by now than those that were refused.
    fn renew(&self, refused: &Outgoing) -> bool {
        let Some(newer) = self.renew.as_ref().and_then(|renew| renew()) else {
            return false;
        };
        let newer = newer.header();
        let mut headers = self.headers.write().unwrap_or_else(PoisonError::into_inner);
        headers.insert(AUTHORIZATION, newer.clone());
        refused.headers.get(AUTHORIZATION) != Some(newer)
    }

    async fn connect(&self) -> Result<Link, Broken> {
        let stream = TcpStream::connect(&self.authority).await?;
        if self.on_this_machine_only && !stream.peer_addr()?.ip().is_loopback() {
            return Err("its name leads to another machine, which gets no credentials".into());
        }
        // Without it a small request waits 40 ms for the peer's delayed acknowledgement.
        stream.set_nodelay(true)?;
        Ok(Link::open(stream).await?)
    }

    async fn exchange_on(
        &self,
        mut link: Link,
        method: &'static str,
        outgoing: &Outgoing,
        deadline: Instant,
    ) -> Result<Answered, CallError> {
        let exchange = link.exchange(self.request(outgoing), self.answer_max_bytes);
        let source = match timeout_at(deadline, exchange).await {
            Ok(Ok(answered)) => {
                self.pool.put(link);
                return Ok(answered);
            }
            Ok(Err(Failed::Unsent(source))) => return Err(self.unreachable(source.into())),
            Ok(Err(Failed::TooLarge)) => {
                return Err(CallError::TooLarge {
                    method,
                    limit_bytes: self.answer_max_bytes,
                });
            }
            Ok(Err(Failed::Broken(source))) => source,
            Err(_) => "the time is up".into(),
        };
        Err(CallError::NoAnswer { method, source })
    }

    fn request(&self, outgoing: &Outgoing) -> Request<Full<Bytes>> {
        let mut request = Request::new(Full::new(outgoing.body.clone()));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.path.clone();
        *request.headers_mut() = outgoing.headers.clone();
        request
    }

    fn unreachable(&self, source: Broken) -> CallError {
        CallError::Unreachable {
            host: self.authority.clone(),
            source,
        }
    }
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not the path: it may be a provider's key.
        f.debug_tuple("Node").field(&self.authority).finish()
    }
}

impl fmt::Debug for Settings<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not the address: it may hold a provider's key.
        f.debug_struct("Settings")
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

fn headers(authority: &str, credentials: Option<&Credentials>) -> Result<HeaderMap, SettingsError> {
    let reason = "it cannot be written into a request";
    let host = HeaderValue::from_str(authority).map_err(|_| SettingsError::Url { reason })?;
    let mut headers = HeaderMap::from_iter([
        (HOST, host),
        (CONTENT_TYPE, HeaderValue::from_static("application/json")),
    ]);
    if let Some(credentials) = credentials {
        headers.insert(AUTHORIZATION, credentials.header().clone());
    }
    Ok(headers)
}

fn is_loopback(host: &str) -> bool {
    let address = host
        .trim_start_matches('[')
        .trim_end_matches(']')
        .parse::<std::net::IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

fn request_body(method: &'static str, params: &Value, id: u64) -> String {
    // The names of methods are ours and need no escaping.
    format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"{method}","params":{params}}}"#)
}
