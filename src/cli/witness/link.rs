//! A witness's HTTP, over TLS where it is not on this machine: one connection that is kept, a time and a
//! size for every answer.

use std::net::IpAddr;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{CONTENT_TYPE, HOST};
use hyper::{Method, Request, Uri};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use thiserror::Error;
use tlog::witness::MAX_ANSWER_BYTES;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::chain;
use super::tls::{self, ClientPem};

/// How long one call may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long a chunk may take.
const CHUNK_PATIENCE: Duration = Duration::from_secs(60);

/// Where a witness is, and how it is recognised.
#[derive(Clone)]
pub struct Place {
    authority: String,
    host: String,
    port: u16,
    path: String,
    tls: Option<(TlsConnector, ServerName<'static>)>,
}

/// A connection to a witness, made when it is needed and made again when it was closed.
pub struct Link {
    place: Place,
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
    /// It is not who it should be, or does not let us in.
    #[error("there is no TLS with it")]
    Handshake(#[source] std::io::Error),
    /// The answer is larger than any witness's, or broke off.
    #[error("the answer cannot be read")]
    Body(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The request has no HTTP form.
    #[error("the request cannot be written")]
    Request(#[source] hyper::http::Error),
    /// It took too long.
    #[error("it did not answer within {secs} s")]
    TimedOut {
        /// How long was waited.
        secs: u64,
    },
}

impl Place {
    /// At this address: `https://host:port` under the roots that are pinned, PEM, or `http://` on this
    /// machine; with a path if it has one. `own` is shown to a witness that asks who comes.
    ///
    /// # Errors
    /// What is wrong with the address, or with the certificates.
    pub fn new(
        url: &str,
        roots: Option<&[u8]>,
        own: Option<ClientPem<'_>>,
    ) -> Result<Self, String> {
        let wrong = |why: &str| format!("url {url:?}: {why}");
        let uri: Uri = url.parse().map_err(|_| wrong("it is none"))?;
        let authority = uri.authority().ok_or_else(|| wrong("it names no host"))?;
        if authority.as_str().contains('@') || uri.query().is_some() {
            return Err(wrong("it has a user or a query"));
        }
        let host = authority.host().trim_matches(['[', ']']).to_owned();
        let (tls, usual) = match (uri.scheme_str(), roots) {
            (Some("https"), Some(roots)) => {
                let config = tls::client(roots, own).map_err(|error| wrong(&chain(&error)))?;
                let name = ServerName::try_from(host.clone());
                let name = name.map_err(|_| wrong("its host is no name in a certificate"))?;
                (Some((TlsConnector::from(config), name)), 443)
            }
            (Some("https"), None) => return Err(wrong("ca is missing: who certifies it")),
            (Some("http"), _) if !is_loopback(&host) => {
                return Err(wrong(
                    "http:// is spoken on one machine only; use https:// and ca, or a tunnel that ends here",
                ));
            }
            (Some("http"), Some(_)) => return Err(wrong("ca is of https:// alone")),
            (Some("http"), None) => (None, 80),
            _ => return Err(wrong("it is neither https:// nor http://")),
        };
        Ok(Self {
            authority: authority.to_string(),
            host,
            port: authority.port_u16().unwrap_or(usual),
            path: uri.path().trim_end_matches('/').to_owned(),
            tls,
        })
    }

    /// Whether who listens there is known by a certificate.
    pub fn is_https(&self) -> bool {
        self.tls.is_some()
    }

    async fn connect(&self) -> Result<SendRequest<Full<Bytes>>, LinkError> {
        let stream = TcpStream::connect((self.host.as_str(), self.port)).await;
        let stream = stream.map_err(LinkError::Connect)?;
        // Without it small requests wait 40 ms for the peer's delayed acknowledgement.
        stream.set_nodelay(true).map_err(LinkError::Connect)?;
        match &self.tls {
            None => open(stream).await,
            Some((connector, name)) => {
                let stream = connector.connect(name.clone(), stream).await;
                open(stream.map_err(LinkError::Handshake)?).await
            }
        }
    }
}

fn is_loopback(host: &str) -> bool {
    let address = host.parse::<IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

async fn open<S>(stream: S) -> Result<SendRequest<Full<Bytes>>, LinkError>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let (sender, connection) = handshake(TokioIo::new(stream))
        .await
        .map_err(LinkError::Http)?;
    // It ends with its sender.
    tokio::spawn(connection);
    Ok(sender)
}

/// A request, and what its answer may cost.
struct Call<'a> {
    method: Method,
    path: &'a str,
    body: Bytes,
    answer_max: usize,
    patience: Duration,
}

impl<'a> Call<'a> {
    fn small(method: Method, path: &'a str, body: Bytes) -> Self {
        Self {
            method,
            path,
            body,
            answer_max: MAX_ANSWER_BYTES,
            patience: PATIENCE,
        }
    }
}

impl Link {
    /// To a witness there.
    pub fn to(place: Place) -> Self {
        Self {
            place,
            sender: None,
        }
    }

    /// `POST` of a text.
    ///
    /// # Errors
    /// [`LinkError`]; it may have been received.
    pub async fn post(&mut self, path: &str, body: String) -> Result<Answered, LinkError> {
        let call = Call::small(Method::POST, path, body.into());
        self.call(call).await
    }

    /// `GET`.
    ///
    /// # Errors
    /// [`LinkError`].
    pub async fn get(&mut self, path: &str) -> Result<Answered, LinkError> {
        let call = Call::small(Method::GET, path, Bytes::new());
        self.call(call).await
    }

    /// `GET` of what may have so many bytes.
    ///
    /// # Errors
    /// [`LinkError`].
    pub async fn get_large(
        &mut self,
        path: &str,
        answer_max: usize,
    ) -> Result<Answered, LinkError> {
        let call = Call {
            answer_max,
            patience: CHUNK_PATIENCE,
            ..Call::small(Method::GET, path, Bytes::new())
        };
        self.call(call).await
    }

    /// `PUT` of a chunk.
    ///
    /// # Errors
    /// [`LinkError`]; it may have been received.
    pub async fn put(&mut self, path: &str, body: Bytes) -> Result<Answered, LinkError> {
        let call = Call {
            patience: CHUNK_PATIENCE,
            ..Call::small(Method::PUT, path, body)
        };
        self.call(call).await
    }

    async fn call(&mut self, call: Call<'_>) -> Result<Answered, LinkError> {
        let patience = call.patience;
        let exchanged = timeout(patience, self.exchange(call)).await;
        let exchanged = exchanged.unwrap_or(Err(LinkError::TimedOut {
            secs: patience.as_secs(),
        }));
        if exchanged.is_err() {
            self.sender = None;
        }
        exchanged
    }

    async fn exchange(&mut self, call: Call<'_>) -> Result<Answered, LinkError> {
        let limit = call.answer_max;
        let mut request = self.request(call)?;
        let kept = self.sender.take();
        if let Some(mut sender) = kept
            && sender.ready().await.is_ok()
        {
            match sender.try_send_request(request).await {
                Ok(response) => return self.read(sender, response, limit).await,
                // Closed between two calls, and nothing was sent: a new one may do.
                Err(mut error) => match error.take_message() {
                    Some(back) => request = back,
                    None => return Err(LinkError::Http(error.into_error())),
                },
            }
        }
        let mut sender = self.place.connect().await?;
        let response = sender.send_request(request).await;
        let response = response.map_err(LinkError::Http)?;
        self.read(sender, response, limit).await
    }

    async fn read(
        &mut self,
        sender: SendRequest<Full<Bytes>>,
        response: hyper::Response<hyper::body::Incoming>,
        limit: usize,
    ) -> Result<Answered, LinkError> {
        let (head, body) = response.into_parts();
        let body = Limited::new(body, limit).collect().await;
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

    fn request(&self, call: Call<'_>) -> Result<Request<Full<Bytes>>, LinkError> {
        Request::builder()
            .method(call.method)
            .uri(format!("{}{}", self.place.path, call.path))
            .header(HOST, &self.place.authority)
            .body(Full::from(call.body))
            .map_err(LinkError::Request)
    }
}

impl Answered {
    /// The first line of an answer that is a refusal, without what a terminal would take for a command.
    pub fn said(&self) -> String {
        let text = String::from_utf8_lossy(&self.body);
        let line = text.lines().next().unwrap_or_default();
        let line: String = line
            .chars()
            .filter(|one| !one.is_control())
            .take(200)
            .collect();
        format!("it answers {}: {line}", self.status)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_http_on_this_machine_or_https_with_roots() {
        let place = Place::new("http://127.0.0.1:7380/some/", None, None).unwrap();
        assert_eq!((place.host.as_str(), place.port), ("127.0.0.1", 7380));
        assert_eq!((place.path.as_str(), place.is_https()), ("/some", false));
        for here in ["http://[::1]:7380", "http://localhost", "http://127.9.9.9/"] {
            assert!(Place::new(here, None, None).is_ok(), "{here}");
        }
        for wrong in [
            "w.example:7380",
            "http://w.example:7380",
            "http://localhost.example",
            "http://10.0.0.1",
            "https://w.example",
            "ftp://127.0.0.1",
            "http://",
            "http://a@127.0.0.1",
            "http://127.0.0.1/?x",
            "",
        ] {
            assert!(Place::new(wrong, None, None).is_err(), "{wrong}");
        }
        let roots = rcgen::generate_simple_self_signed(["w.example".to_owned()]).unwrap();
        let roots = roots.cert.pem();
        let pinned = |url| Place::new(url, Some(roots.as_bytes()), None);
        let place = pinned("https://w.example").unwrap();
        assert_eq!((place.port, place.is_https()), (443, true));
        assert!(pinned("http://127.0.0.1").is_err());
        assert!(Place::new("https://w.example", Some(b"none"), None).is_err());
    }
}
