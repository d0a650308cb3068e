//! A witness's HTTP: one connection that is kept, a time and a size for every answer.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{CONTENT_TYPE, HOST};
use hyper::{Method, Request, Uri};
use hyper_util::rt::TokioIo;
use thiserror::Error;
use tlog::witness::MAX_ANSWER_BYTES;
use tokio::net::TcpStream;
use tokio::time::timeout;

/// How long one call may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// A connection to a witness, made when it is needed and made again when it was closed.
#[derive(Debug)]
pub struct Link {
    authority: String,
    host: String,
    port: u16,
    path: String,
    sender: Option<SendRequest<Full<Bytes>>>,
}

/// A whole answer.
#[derive(Debug)]
pub struct Answered {
    /// The HTTP status.
    pub status: u16,
    /// The `Content-Type`.
    pub content_type: Option<String>,
    /// The body.
    pub body: Bytes,
}

/// Why there is no answer.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum LinkError {
    /// It cannot be reached.
    #[error("it cannot be reached")]
    Connect(#[source] std::io::Error),
    /// The connection broke, or what came is no HTTP.
    #[error("the connection broke")]
    Http(#[source] hyper::Error),
    /// The answer is larger than any witness's, or broke off.
    #[error("the answer cannot be read")]
    Body(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The request has no HTTP form.
    #[error("the request cannot be written")]
    Request(#[source] hyper::http::Error),
    /// It took too long.
    #[error("it did not answer within {} s", PATIENCE.as_secs())]
    TimedOut,
}

impl Link {
    /// To the witness at this address: `http://host:port`, with a path if it has one.
    ///
    /// # Errors
    /// What is wrong with the address.
    pub fn new(url: &str) -> Result<Self, String> {
        let wrong = |why: &str| format!("url {url:?}: {why}");
        let uri: Uri = url.parse().map_err(|_| wrong("it is none"))?;
        if uri.scheme_str() != Some("http") || uri.query().is_some() {
            return Err(wrong(
                "only http:// is spoken; what is said is signed, and a tunnel can carry it",
            ));
        }
        let authority = uri.authority().ok_or_else(|| wrong("it names no host"))?;
        if authority.as_str().contains('@') {
            return Err(wrong("it has a user"));
        }
        let host = authority.host().trim_matches(['[', ']']).to_owned();
        Ok(Self {
            authority: authority.to_string(),
            host,
            port: authority.port_u16().unwrap_or(80),
            path: uri.path().trim_end_matches('/').to_owned(),
            sender: None,
        })
    }

    /// `POST` of a text.
    ///
    /// # Errors
    /// [`LinkError`]; it may have been received.
    pub async fn post(&mut self, path: &str, body: String) -> Result<Answered, LinkError> {
        self.call(Method::POST, path, body).await
    }

    /// `GET`.
    ///
    /// # Errors
    /// [`LinkError`].
    pub async fn get(&mut self, path: &str) -> Result<Answered, LinkError> {
        self.call(Method::GET, path, String::new()).await
    }

    async fn call(
        &mut self,
        method: Method,
        path: &str,
        body: String,
    ) -> Result<Answered, LinkError> {
        let exchanged = timeout(PATIENCE, self.exchange(method, path, body)).await;
        let exchanged = exchanged.unwrap_or(Err(LinkError::TimedOut));
        if exchanged.is_err() {
            self.sender = None;
        }
        exchanged
    }

    async fn exchange(
        &mut self,
        method: Method,
        path: &str,
        body: String,
    ) -> Result<Answered, LinkError> {
        let mut request = self.request(method, path, body)?;
        let kept = self.sender.take();
        if let Some(mut sender) = kept
            && sender.ready().await.is_ok()
        {
            match sender.try_send_request(request).await {
                Ok(response) => return self.read(sender, response).await,
                // Closed between two calls, and nothing was sent: a new one may do.
                Err(mut error) => match error.take_message() {
                    Some(back) => request = back,
                    None => return Err(LinkError::Http(error.into_error())),
                },
            }
        }
        let mut sender = self.connect().await?;
        let response = sender.send_request(request).await;
        let response = response.map_err(LinkError::Http)?;
        self.read(sender, response).await
    }

    async fn read(
        &mut self,
        sender: SendRequest<Full<Bytes>>,
        response: hyper::Response<hyper::body::Incoming>,
    ) -> Result<Answered, LinkError> {
        let (head, body) = response.into_parts();
        let body = Limited::new(body, MAX_ANSWER_BYTES).collect().await;
        let body = body.map_err(LinkError::Body)?.to_bytes();
        self.sender = Some(sender);
        let content_type = head.headers.get(CONTENT_TYPE);
        Ok(Answered {
            status: head.status.as_u16(),
            content_type: content_type
                .and_then(|value| value.to_str().ok())
                .map(str::to_owned),
            body,
        })
    }

    async fn connect(&self) -> Result<SendRequest<Full<Bytes>>, LinkError> {
        let stream = TcpStream::connect((self.host.as_str(), self.port)).await;
        let stream = stream.map_err(LinkError::Connect)?;
        // Without it small requests wait 40 ms for the peer's delayed acknowledgement.
        stream.set_nodelay(true).map_err(LinkError::Connect)?;
        let (sender, connection) = handshake(TokioIo::new(stream))
            .await
            .map_err(LinkError::Http)?;
        // It ends with its sender.
        tokio::spawn(connection);
        Ok(sender)
    }

    fn request(
        &self,
        method: Method,
        path: &str,
        body: String,
    ) -> Result<Request<Full<Bytes>>, LinkError> {
        Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.path))
            .header(HOST, &self.authority)
            .body(Full::from(body))
            .map_err(LinkError::Request)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_http_with_a_host() {
        let link = Link::new("http://w.example:7380/some/").unwrap();
        assert_eq!((link.host.as_str(), link.port), ("w.example", 7380));
        assert_eq!(link.path, "/some");
        assert_eq!(Link::new("http://[::1]:7380").unwrap().host, "::1");
        for wrong in [
            "w.example:7380",
            "https://w.example",
            "http://",
            "http://a@w.example",
            "http://w.example/?x",
            "",
        ] {
            assert!(Link::new(wrong).is_err(), "{wrong}");
        }
    }
}
