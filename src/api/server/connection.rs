//! Connections, from the handshake to their end.

use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use hyper::{Request, body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
};
use rustls::pki_types::CertificateDer;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Semaphore, watch},
    time::timeout,
};
use tokio_rustls::TlsAcceptor;

use super::{Answer, Bounds, Credentials, Tls};

/// Most header fields of a request.
const HEADERS_MAX: usize = 32;
/// Most bytes of a request's head.
const HEAD_BYTES: usize = 16 * 1024;
/// How often the certificate of an open connection is checked again.
const RECHECK: Duration = Duration::from_secs(30);

/// A daemon behind its connections.
pub trait Host: Send + Sync + 'static {
    /// The TLS configuration of the moment.
    fn tls(&self) -> Arc<Tls>;

    /// The bounds.
    fn bounds(&self) -> &Bounds;

    /// Counts something.
    fn count(&self, happened: Happened);

    /// Answers a request.
    fn answer(
        self: Arc<Self>,
        peer: Arc<Peer>,
        request: Request<Incoming>,
    ) -> impl Future<Output = Answer> + Send;
}

/// What happens to connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Happened {
    /// A handshake succeeded.
    Connection,
    /// A handshake failed.
    HandshakeFailed,
    /// A connection was turned away at the bound.
    ConnectionRefused,
}

/// Accepts connections until `stop` changes; then waits for those that are open.
pub async fn serve<H: Host>(host: Arc<H>, listener: TcpListener, mut stop: watch::Receiver<bool>) {
    let bound = host.bounds().connections;
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
            host.count(Happened::ConnectionRefused);
            continue;
        };
        let (host, stop) = (Arc::clone(&host), stop.clone());
        tokio::spawn(async move {
            connection(host, stream, peer, stop).await;
            drop(place);
        });
    }
    let all = u32::try_from(bound).unwrap_or(u32::MAX);
    // Fails only when the semaphore is closed, which it never is.
    let _all_closed = places.acquire_many(all).await;
}

/// One connection, from the handshake to its end.
async fn connection<H: Host>(
    host: Arc<H>,
    stream: TcpStream,
    peer: SocketAddr,
    stop: watch::Receiver<bool>,
) {
    let tls = host.tls();
    // Without it small answers wait 40 ms for the peer's delayed acknowledgement.
    let no_delay = stream.set_nodelay(true);
    let patience = Duration::from_secs(host.bounds().receive_secs);
    let handshake = TlsAcceptor::from(Arc::clone(&tls.server)).accept(stream);
    let stream = match (no_delay, timeout(patience, handshake).await) {
        (Ok(()), Ok(Ok(stream))) => stream,
        (_, Ok(Err(error))) => {
            host.count(Happened::HandshakeFailed);
            tracing::info!(%peer, error = %error, "a handshake failed");
            return;
        }
        _ => {
            host.count(Happened::HandshakeFailed);
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
    host.count(Happened::Connection);
    let chain = chain
        .iter()
        .map(|certificate| certificate.clone().into_owned())
        .collect();
    let peer = Arc::new(Peer::new(chain, credentials, tls.generation));
    speak(host, version, TokioIo::new(stream), peer, stop).await;
}

/// A version of HTTP.
#[derive(Clone, Copy)]
enum Version {
    Http1,
    Http2,
}

async fn speak<H: Host>(
    host: Arc<H>,
    version: Version,
    io: TokioIo<tokio_rustls::server::TlsStream<TcpStream>>,
    peer: Arc<Peer>,
    mut stop: watch::Receiver<bool>,
) {
    let bounds = host.bounds().clone();
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
        let (host, peer) = (Arc::clone(&host), Arc::clone(&peer));
        async move { Ok::<_, Infallible>(host.answer(peer, request).await.into_response()) }
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
#[derive(Debug)]
pub struct Peer {
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

    /// What the certificate says.
    pub fn credentials(&self) -> &Credentials {
        &self.credentials
    }

    /// Whether the certificate is still accepted: checked again after a reload, and now and then,
    /// since a connection may outlive its certificate.
    pub fn is_accepted(&self, tls: &Tls) -> bool {
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
