//! A signer's health listener: plain HTTP, nothing confidential, nothing to be trusted.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::client::conn::http1;
use hyper::header::HOST;
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::runtime::Runtime;
use tokio::time::timeout;

use crate::client::plain;

/// Health is told at once or not at all.
const PATIENCE: Duration = Duration::from_secs(5);
/// The longest text that is read; metrics are the longest.
const TEXT_MAX_BYTES: usize = 1 << 20;

/// What the listener said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    /// Whether it said so with status 200.
    pub ok: bool,
    /// The text, without what a terminal obeys.
    pub text: String,
}

impl Said {
    /// The name of what seals the signer, when it says that it is sealed.
    pub fn sealed(&self) -> Option<String> {
        let (name, _) = self.text.strip_prefix("sealed: ")?.split_once(": ")?;
        let is_word = |b: u8| b == b'-' || b.is_ascii_lowercase();
        name.bytes().all(is_word).then(|| name.to_owned())
    }
}

/// Why nothing was said.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HealthError {
    /// No connection.
    #[error("nothing listens at {address}: {source}")]
    Unreachable {
        /// Where.
        address: String,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// What listens there does not speak HTTP, or not in time.
    #[error("what listens at {address} gives no answer: {reason}")]
    NoAnswer {
        /// Where.
        address: String,
        /// Why not.
        reason: String,
    },
}

/// Asks for a path, such as `/readyz`.
///
/// # Errors
/// [`HealthError`].
pub fn ask(runtime: &Runtime, address: &str, path: &str) -> Result<Said, HealthError> {
    runtime.block_on(async {
        let stream = timeout(PATIENCE, TcpStream::connect(address))
            .await
            .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
            .map_err(|source| HealthError::Unreachable {
                address: address.to_owned(),
                source,
            })?;
        let no_answer = |reason: String| HealthError::NoAnswer {
            address: address.to_owned(),
            reason,
        };
        let (status, body) = timeout(PATIENCE, exchange(stream, address, path))
            .await
            .map_err(|_| no_answer("the time is up".to_owned()))?
            .map_err(|error| no_answer(error.to_string()))?;
        let text = plain(String::from_utf8_lossy(&body).trim_end());
        Ok(Said {
            ok: status == StatusCode::OK,
            text,
        })
    })
}

async fn exchange(
    stream: TcpStream,
    address: &str,
    path: &str,
) -> Result<(StatusCode, Bytes), Box<dyn std::error::Error + Send + Sync>> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let driver = tokio::spawn(connection);
    let request = Request::get(path)
        .header(HOST, address)
        .body(Empty::<Bytes>::new())?;
    let response = sender.send_request(request).await?;
    let status = response.status();
    let body = Limited::new(response.into_body(), TEXT_MAX_BYTES)
        .collect()
        .await?
        .to_bytes();
    driver.abort();
    Ok((status, body))
}
