//! JSON-RPC over HTTP/1.1 to a chain's node, which is not trusted: every answer has a deadline and a
//! size, and nothing it says reaches the terminal unescaped.

mod error;
mod login;

use std::time::Duration;

use bytes::Bytes;
use clap::Args;
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderValue};
use hyper::{Method, Request, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::runtime::{Builder, Runtime};
use tokio::time::{Instant, timeout_at};

pub use self::error::RpcError;
use self::login::LoginArgs;

/// The largest answer that is read: a block's largest transaction in hexadecimal, and then some.
const ANSWER_MAX_BYTES: usize = 16 << 20;

/// How many times longer a slow method may take: half a minute becomes ten.
const SLOW_FACTOR: u32 = 20;

/// How to reach a node.
#[derive(Debug, Args)]
pub struct NodeArgs {
    /// The node's JSON-RPC address, as http://127.0.0.1:8545.
    #[arg(long, value_name = "URL")]
    rpc: Uri,
    #[command(flatten)]
    login: LoginArgs,
    /// How long to wait for each answer.
    #[arg(long, default_value_t = 30, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=3600))]
    timeout_secs: u64,
}

/// A node.
pub struct Node {
    authority: String,
    path: String,
    authorization: Option<HeaderValue>,
    timeout: Duration,
    runtime: Runtime,
}

/// A JSON-RPC answer, of version 1 or 2.
#[derive(Deserialize)]
struct Envelope {
    // Kept as text: Bitcoin Core writes amounts as decimal numbers, which must not become floats.
    #[serde(default)]
    result: Option<Box<RawValue>>,
    #[serde(default)]
    error: Option<RemoteError>,
}

#[derive(Deserialize)]
struct RemoteError {
    code: i64,
    #[serde(default)]
    message: String,
}

impl NodeArgs {
    /// Checks the address and reads the credentials. Nothing is connected yet.
    ///
    /// # Errors
    /// [`RpcError::Https`], [`RpcError::Url`], [`RpcError::CredentialsExposed`], and those of files.
    pub fn node(&self) -> Result<Node, RpcError> {
        let uri = &self.rpc;
        // The address is not repeated: it may hold a password, or a provider's key.
        let host = uri.host().unwrap_or_default().to_owned();
        let url = |reason| RpcError::Url { reason };
        match uri.scheme_str() {
            Some("http") => {}
            Some("https") => return Err(RpcError::Https { host }),
            _ => return Err(url("it does not begin with http://")),
        }
        let authority = uri.authority().ok_or_else(|| url("it names no host"))?;
        if authority.as_str().contains('@') {
            return Err(url(
                "it holds credentials, which other users of this machine could read",
            ));
        }
        let authorization = self.login.authorization()?;
        if authorization.is_some() && !is_loopback(authority.host()) {
            return Err(RpcError::CredentialsExposed { host });
        }
        let runtime = Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(RpcError::Runtime)?;
        Ok(Node {
            authority: format!(
                "{}:{}",
                authority.host(),
                authority.port_u16().unwrap_or(80)
            ),
            path: uri
                .path_and_query()
                .map_or("/", |path| path.as_str())
                .to_owned(),
            authorization,
            timeout: Duration::from_secs(self.timeout_secs),
            runtime,
        })
    }
}

fn is_loopback(host: &str) -> bool {
    let address = host
        .trim_start_matches('[')
        .trim_end_matches(']')
        .parse::<std::net::IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

impl Node {
    /// Calls a method and reads its result.
    ///
    /// # Errors
    /// [`RpcError::Unreachable`] when nothing was sent; [`RpcError::NoAnswer`] when it was and nothing
    /// came back; [`RpcError::Refused`] when the node says no.
    pub fn call<T: DeserializeOwned>(
        &self,
        method: &'static str,
        params: Value,
    ) -> Result<T, RpcError> {
        self.call_within(self.timeout, method, params)
    }

    /// Calls a method for which the node has to read through all it has.
    ///
    /// # Errors
    /// As [`Node::call`].
    pub fn call_slow<T: DeserializeOwned>(
        &self,
        method: &'static str,
        params: Value,
    ) -> Result<T, RpcError> {
        self.call_within(self.timeout.saturating_mul(SLOW_FACTOR), method, params)
    }

    fn call_within<T: DeserializeOwned>(
        &self,
        timeout: Duration,
        method: &'static str,
        params: Value,
    ) -> Result<T, RpcError> {
        let request = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
        let deadline = Instant::now() + timeout;
        let (status, body) =
            self.runtime
                .block_on(self.exchange(method, request.to_string(), deadline))?;
        if matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
            return Err(RpcError::Unauthorized {
                status: status.as_u16(),
            });
        }
        // Bitcoin Core answers errors with status 500 and a body that says which.
        let strange = |_| RpcError::NotJsonRpc {
            method,
            status: status.as_u16(),
        };
        let envelope: Envelope = serde_json::from_slice(&body).map_err(strange)?;
        if let Some(error) = envelope.error {
            return Err(RpcError::refused(method, error.code, &error.message));
        }
        let result = envelope.result.as_deref().map_or("null", RawValue::get);
        serde_json::from_str(result).map_err(|source| RpcError::Unexpected { method, source })
    }

    async fn exchange(
        &self,
        method: &'static str,
        body: String,
        deadline: Instant,
    ) -> Result<(StatusCode, Bytes), RpcError> {
        let unreachable = |source| RpcError::Unreachable {
            host: self.authority.clone(),
            source,
        };
        let connecting = timeout_at(deadline, TcpStream::connect(&self.authority)).await;
        let stream = connecting
            .unwrap_or_else(|_| Err(std::io::ErrorKind::TimedOut.into()))
            .map_err(unreachable)?;
        let request = self.request(body)?;
        // From here on the node may have acted, whatever happens.
        match timeout_at(deadline, answer(stream, request)).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(source)) => Err(RpcError::NoAnswer { method, source }),
            Err(_) => Err(RpcError::NoAnswer {
                method,
                source: "the time is up".into(),
            }),
        }
    }

    fn request(&self, body: String) -> Result<Request<Full<Bytes>>, RpcError> {
        let mut request = Request::builder()
            .method(Method::POST)
            .uri(&self.path)
            .header(HOST, &self.authority)
            .header(CONTENT_TYPE, "application/json");
        if let Some(authorization) = &self.authorization {
            request = request.header(AUTHORIZATION, authorization);
        }
        let reason = "it cannot be written into a request";
        request
            .body(Full::from(body))
            .map_err(|_| RpcError::Url { reason })
    }
}

type Broken = Box<dyn std::error::Error + Send + Sync>;

async fn answer(
    stream: TcpStream,
    request: Request<Full<Bytes>>,
) -> Result<(StatusCode, Bytes), Broken> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let driver = tokio::spawn(connection);
    let response = sender.send_request(request).await?;
    let status = response.status();
    let body = Limited::new(response.into_body(), ANSWER_MAX_BYTES)
        .collect()
        .await?
        .to_bytes();
    driver.abort();
    Ok((status, body))
}
