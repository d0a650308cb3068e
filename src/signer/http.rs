//! The API's connections: TLS, bounds, and the way to a verb.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use api::{
    problem::{Problem, ProblemKind},
    signing::{BODY_MAX, SignRequest},
};
use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::{
    Method, Request, Response,
    body::Incoming,
    header::{CONTENT_LENGTH, CONTENT_TYPE},
    service::service_fn,
};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
};
use policy::Verb;
use rustls::pki_types::CertificateDer;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Semaphore, watch},
    time::timeout,
};
use tokio_rustls::TlsAcceptor;

use crate::{
    answer::Answer,
    identity::{Credentials, grants},
    service::Service,
    verbs,
};

/// Most header fields of a request.
const HEADERS_MAX: usize = 32;
/// Most bytes of a request's head.
const HEAD_BYTES: usize = 16 * 1024;
/// How often the certificate of an open connection is checked again.
const RECHECK: Duration = Duration::from_secs(30);

/// Accepts connections until `stop` changes; then waits for those that are open.
pub async fn serve(service: Arc<Service>, listener: TcpListener, mut stop: watch::Receiver<bool>) {
    let bound = service.bounds.connections;
    let places = Arc::new(Semaphore::new(bound));
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stop.changed() => break,
        };
        let Ok((stream, peer)) = accepted else {
            // Out of file descriptors, mostly: wait for one instead of spinning.
            tokio::time::sleep(Duration::from_millis(20)).await;
            continue;
        };
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
            service.metrics.connections_refused.increment();
            continue;
        };
        let (service, stop) = (Arc::clone(&service), stop.clone());
        tokio::spawn(async move {
            connection(service, stream, peer, stop).await;
            drop(place);
        });
    }
    let all = u32::try_from(bound).unwrap_or(u32::MAX);
    // Fails only when the semaphore is closed, which it never is.
    let _all_closed = places.acquire_many(all).await;
}

/// One connection, from the handshake to its end.
async fn connection(
    service: Arc<Service>,
    stream: TcpStream,
    peer: SocketAddr,
    stop: watch::Receiver<bool>,
) {
    let tls = service.tls();
    // Without it small answers wait 40 ms for the peer's delayed acknowledgement.
    let no_delay = stream.set_nodelay(true);
    let patience = Duration::from_secs(service.bounds.receive_secs);
    let handshake = TlsAcceptor::from(Arc::clone(&tls.server)).accept(stream);
    let stream = match (no_delay, timeout(patience, handshake).await) {
        (Ok(()), Ok(Ok(stream))) => stream,
        (_, Ok(Err(error))) => {
            service.metrics.handshakes_failed.increment();
            tracing::info!(%peer, error = %error, "a handshake failed");
            return;
        }
        _ => {
            service.metrics.handshakes_failed.increment();
            return;
        }
    };
    // By what was agreed on in the handshake: to guess it from the first bytes would wait for them
    // without a bound.
    let version = match stream.get_ref().1.alpn_protocol() {
        Some(b"h2") => Version::Http2,
        _ => Version::Http1,
    };
    let chain = stream.get_ref().1.peer_certificates().unwrap_or_default();
    let Some(credentials) = chain.first().and_then(Credentials::of) else {
        return;
    };
    service.metrics.connections.increment();
    let chain = chain
        .iter()
        .map(|certificate| certificate.clone().into_owned())
        .collect();
    let peer = Arc::new(Peer::new(chain, credentials, tls.generation));
    speak(service, version, TokioIo::new(stream), peer, stop).await;
}

/// A version of HTTP.
#[derive(Clone, Copy)]
enum Version {
    Http1,
    Http2,
}

async fn speak(
    service: Arc<Service>,
    version: Version,
    io: TokioIo<tokio_rustls::server::TlsStream<TcpStream>>,
    peer: Arc<Peer>,
    mut stop: watch::Receiver<bool>,
) {
    let bounds = service.bounds.clone();
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(Duration::from_secs(
            bounds.receive_secs.max(bounds.idle_secs),
        ))
        .max_headers(HEADERS_MAX)
        .max_buf_size(HEAD_BYTES.max(8192));
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(bounds.streams)
        .max_header_list_size(u32::try_from(HEAD_BYTES).unwrap_or(u32::MAX))
        .max_pending_accept_reset_streams(Some(16))
        .keep_alive_interval(Duration::from_secs(bounds.idle_secs))
        .keep_alive_timeout(Duration::from_secs(bounds.receive_secs));
    let builder = match version {
        Version::Http1 => builder.http1_only(),
        Version::Http2 => builder.http2_only(),
    };
    let handler = service_fn(move |request| {
        let (service, peer) = (Arc::clone(&service), Arc::clone(&peer));
        async move { Ok::<_, std::convert::Infallible>(handle(service, peer, request).await) }
    });
    let connection = builder.serve_connection(io, handler);
    tokio::pin!(connection);
    let life = tokio::time::sleep(Duration::from_secs(bounds.connection_secs));
    tokio::pin!(life);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = &mut life => { connection.as_mut().graceful_shutdown(); connection.await }
        _ = stop.changed() => { connection.as_mut().graceful_shutdown(); connection.await }
    };
    if let Err(error) = ended {
        tracing::debug!(error = %error, "a connection ended with an error");
    }
}

/// Who is at the other end, and when that was last checked.
struct Peer {
    chain: Vec<CertificateDer<'static>>,
    credentials: Credentials,
    began: Instant,
    /// The TLS configuration that accepted the certificate last.
    generation: AtomicU64,
    /// Seconds after `began` at which it did.
    checked_secs: AtomicU64,
}

impl Peer {
    fn new(chain: Vec<CertificateDer<'static>>, credentials: Credentials, generation: u64) -> Self {
        Self {
            chain,
            credentials,
            began: Instant::now(),
            generation: generation.into(),
            checked_secs: AtomicU64::new(0),
        }
    }

    /// Whether the certificate is still accepted: checked again after a reload, and now and then,
    /// since a connection may outlive its certificate.
    fn is_accepted(&self, service: &Service) -> bool {
        let tls = service.tls();
        let now = self.began.elapsed().as_secs();
        let checked = self.checked_secs.load(Ordering::Relaxed);
        let fresh = now.saturating_sub(checked) < RECHECK.as_secs();
        if fresh && self.generation.load(Ordering::Relaxed) == tls.generation {
            return true;
        }
        let accepted = tls.still_accepts(&self.chain);
        if accepted {
            self.generation.store(tls.generation, Ordering::Relaxed);
            self.checked_secs.store(now, Ordering::Relaxed);
        }
        accepted
    }
}

async fn handle(
    service: Arc<Service>,
    peer: Arc<Peer>,
    request: Request<Incoming>,
) -> Response<http_body_util::Full<Bytes>> {
    service.metrics.requests.increment();
    Answer::from(route(service, &peer, request).await).into_response()
}

async fn route(
    service: Arc<Service>,
    peer: &Peer,
    request: Request<Incoming>,
) -> Result<Answer, Problem> {
    if service.is_stopping() {
        return Err(Problem::new(
            ProblemKind::Stopping,
            "Ask again once the daemon is back.",
        ));
    }
    let unknown = |detail: &str| Problem::new(ProblemKind::UnknownClient, detail);
    if !peer.is_accepted(&service) {
        return Err(unknown("The certificate was revoked or has expired."));
    }
    let policy = service.policy()?;
    let (name, client) = peer
        .credentials
        .client(&policy)
        .ok_or_else(|| unknown("No client of the policy has this certificate."))?;
    if !service.rates.take(name, Instant::now()) {
        service.metrics.throttled.increment();
        let detail = "The client makes more requests a second than it may.";
        return Err(Problem::new(ProblemKind::TooManyRequests, detail));
    }
    let _place = service
        .in_flight
        .try_acquire()
        .map_err(|_| Problem::new(ProblemKind::Busy, "Too many requests are in flight."))?;
    let path = request.uri().path().to_owned();
    let verb = verb(request.method(), &path)?;
    if !grants(client, verb.needs()) {
        let detail = format!("The policy does not grant this to client {name}.");
        return Err(Problem::new(ProblemKind::NotGranted, detail));
    }
    match verb {
        Route::Sign => {
            let body = body(&service, request).await?;
            verbs::sign::sign(Arc::clone(&service), name.clone(), body).await
        }
        Route::Evaluate => {
            let body = body(&service, request).await?;
            verbs::evaluate::evaluate_request(&service, name, &body).await
        }
        Route::Keys => verbs::keys::keys(&service, client, None),
        Route::Key(key) => verbs::keys::keys(&service, client, Some(&key)),
        Route::Requests => verbs::requests::requests(&service, name, after(request.uri().query())?),
        Route::Request(id) => verbs::requests::request(&service, name, &id),
    }
}

/// The API's routes. The OpenAPI document lists the same ones; a test compares.
pub const ROUTES: [(&str, &str); 6] = [
    ("POST", "/v1/sign"),
    ("POST", "/v1/evaluate"),
    ("GET", "/v1/keys"),
    ("GET", "/v1/keys/{key}"),
    ("GET", "/v1/requests"),
    ("GET", "/v1/requests/{id}"),
];

enum Route {
    Sign,
    Evaluate,
    Keys,
    Key(tx::Name),
    Requests,
    Request(policy::RequestId),
}

impl Route {
    fn needs(&self) -> Verb {
        match self {
            Self::Sign => Verb::Sign,
            Self::Evaluate => Verb::Evaluate,
            Self::Keys | Self::Key(_) => Verb::Keys,
            Self::Requests | Self::Request(_) => Verb::Requests,
        }
    }
}

fn verb(method: &Method, path: &str) -> Result<Route, Problem> {
    let absent = || Problem::new(ProblemKind::NotFound, format!("There is no {path}."));
    let (wanted, route) = match path {
        "/v1/sign" => (Method::POST, Route::Sign),
        "/v1/evaluate" => (Method::POST, Route::Evaluate),
        "/v1/keys" => (Method::GET, Route::Keys),
        "/v1/requests" => (Method::GET, Route::Requests),
        _ => {
            let key = path
                .strip_prefix("/v1/keys/")
                .and_then(|name| name.parse().ok());
            let id = path
                .strip_prefix("/v1/requests/")
                .and_then(|id| id.parse().ok());
            let route = key
                .map(Route::Key)
                .or(id.map(Route::Request))
                .ok_or_else(absent)?;
            (Method::GET, route)
        }
    };
    if *method == wanted {
        return Ok(route);
    }
    let detail = format!("{path} is asked for with {wanted}.");
    Err(Problem::new(ProblemKind::MethodNotAllowed, detail))
}

/// The value of `after`, the one parameter there is.
fn after(query: Option<&str>) -> Result<Option<u64>, Problem> {
    let Some(query) = query.filter(|query| !query.is_empty()) else {
        return Ok(None);
    };
    let value = query
        .strip_prefix("after=")
        .and_then(|digits| digits.parse().ok());
    let detail = "The one parameter is after=<journal index>.";
    value
        .map(Some)
        .ok_or_else(|| Problem::new(ProblemKind::Malformed, detail))
}

/// How much of a body that is too large is read and thrown away. A connection that is closed with
/// something unread is reset, and the answer lost with it.
const DRAIN_MAX: usize = 4 * BODY_MAX;

/// A body, `None` when it is too large.
async fn receive(mut body: Incoming) -> Result<Option<Vec<u8>>, hyper::Error> {
    let mut bytes = Vec::new();
    let mut length = 0usize;
    while let Some(frame) = body.frame().await {
        let frame = frame?;
        let Some(data) = frame.data_ref() else {
            continue;
        };
        length = length.saturating_add(data.len());
        if length <= BODY_MAX {
            bytes.extend_from_slice(data);
        } else if length > DRAIN_MAX {
            break;
        }
    }
    Ok((length <= BODY_MAX).then_some(bytes))
}

/// Reads a body within its bounds of size and time.
async fn body(service: &Service, request: Request<Incoming>) -> Result<SignRequest, Problem> {
    let headers = request.headers();
    let json = headers.get(CONTENT_TYPE).is_some_and(|value| {
        let essence = value.as_bytes().split(|byte| *byte == b';').next();
        essence.is_some_and(|essence| essence.trim_ascii() == b"application/json")
    });
    if !json {
        let detail = "Send content-type: application/json.";
        return Err(Problem::new(ProblemKind::MediaType, detail));
    }
    let too_large = || {
        Problem::new(
            ProblemKind::TooLarge,
            format!("A body has at most {BODY_MAX} bytes."),
        )
    };
    let announced = headers
        .get(CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok()?.parse().ok());
    if announced.is_some_and(|length: usize| length > DRAIN_MAX) {
        return Err(too_large());
    }
    let patience = Duration::from_secs(service.bounds.receive_secs);
    let bytes = match timeout(patience, receive(request.into_body())).await {
        Ok(Ok(Some(bytes))) => bytes,
        Ok(Ok(None)) => return Err(too_large()),
        Ok(Err(_)) => {
            return Err(Problem::new(
                ProblemKind::Malformed,
                "The body did not arrive whole.",
            ));
        }
        Err(_) => {
            return Err(Problem::new(
                ProblemKind::RequestTimeout,
                "The body did not arrive in time.",
            ));
        }
    };
    serde_json::from_slice(&bytes)
        .map_err(|error| Problem::new(ProblemKind::Malformed, format!("The body: {error}.")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_listed_route_is_served_and_by_its_method_alone() {
        for (method, path) in ROUTES {
            let path = path.replace("{key}", "eth-hot-1").replace("{id}", "w-1");
            let method: Method = method.parse().unwrap();
            assert!(verb(&method, &path).is_ok(), "{method} {path}");
            let problem = verb(&Method::DELETE, &path).err().unwrap();
            assert_eq!(problem.kind, ProblemKind::MethodNotAllowed);
        }
    }

    #[test]
    fn other_paths_are_not_there() {
        for path in [
            "/",
            "/v1",
            "/v1/sign/",
            "/v1/keys/",
            "/v1/keys/A",
            "/v1/keys/a/b",
            "/v2/sign",
        ] {
            let problem = verb(&Method::GET, path).err().unwrap();
            assert_eq!(problem.kind, ProblemKind::NotFound, "{path}");
        }
    }

    #[test]
    fn after_is_the_one_parameter() {
        assert_eq!(after(None).unwrap(), None);
        assert_eq!(after(Some("after=7")).unwrap(), Some(7));
        for query in [
            "after=",
            "after=-1",
            "before=7",
            "after=1&after=2",
            "after=18446744073709551616",
        ] {
            assert_eq!(
                after(Some(query)).unwrap_err().kind,
                ProblemKind::Malformed,
                "{query}"
            );
        }
    }
}
