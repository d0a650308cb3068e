//! The API behind its connections.

use std::{
    convert::Infallible,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use api::{
    problem::{Problem, ProblemKind},
    server::{Answer, Bounds, Happened, Host, Peer, Rates, Tls, serve},
};
use axum::{Router, body::Body, response::Response};
use http_body_util::{BodyExt, Full};
use hyper::{
    Request,
    body::Incoming,
    header::{CACHE_CONTROL, HeaderValue},
    service::Service,
};
use hyper_util::service::TowerToHyperService;
use tokio::{
    net::TcpListener,
    sync::{Semaphore, watch},
};

use super::{App, caller::Caller, routes};

/// The API of a process.
#[derive(Debug)]
pub struct Web {
    app: Arc<App>,
    router: Router,
    bounds: Bounds,
    tls: RwLock<Arc<Tls>>,
    rates: Rates,
    in_flight: Semaphore,
    stopping: AtomicBool,
    counters: Counters,
}

/// What is counted.
#[derive(Debug, Default)]
pub struct Counters {
    /// Connections whose handshake succeeded.
    pub connections: AtomicU64,
    /// Connections that ended in the handshake.
    pub handshakes_failed: AtomicU64,
    /// Connections turned away at the bound.
    pub connections_refused: AtomicU64,
    /// Requests of any verb.
    pub requests: AtomicU64,
    /// Requests beyond a client's rate.
    pub throttled: AtomicU64,
    /// Answers that are the daemon's own fault or that of what it stands on.
    pub failures: AtomicU64,
}

impl Web {
    /// The API of `app`.
    pub fn new(app: App, tls: Tls, bounds: Bounds) -> Arc<Self> {
        let app = Arc::new(app);
        Arc::new(Self {
            router: routes::router(Arc::clone(&app)),
            app,
            tls: RwLock::new(Arc::new(tls)),
            rates: Rates::new(bounds.requests_per_second),
            in_flight: Semaphore::new(bounds.in_flight),
            bounds,
            stopping: AtomicBool::new(false),
            counters: Counters::default(),
        })
    }

    /// Answers until `stop` changes; then waits for the connections that are open.
    pub async fn serve(self: Arc<Self>, listener: TcpListener, stop: watch::Receiver<bool>) {
        serve(self, listener, stop).await;
    }

    /// Lets new connections use another TLS configuration, and checks those that are open by it.
    pub fn set_tls(&self, tls: Tls) {
        *self.tls.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(tls);
    }

    /// How often the TLS configuration was read, for that of the next reading.
    pub fn tls_generation(&self) -> u64 {
        self.present_tls().generation
    }

    /// Takes no further request.
    pub fn stop(&self) {
        self.stopping.store(true, Ordering::Release);
    }

    /// What was counted.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    fn present_tls(&self) -> Arc<Tls> {
        Arc::clone(&self.tls.read().unwrap_or_else(PoisonError::into_inner))
    }

    async fn route(
        &self,
        peer: &Peer,
        request: Request<Incoming>,
    ) -> Result<Response<Body>, Problem> {
        if self.stopping.load(Ordering::Acquire) {
            let detail = "Ask again once the daemon is back.";
            return Err(Problem::new(ProblemKind::Stopping, detail));
        }
        let unknown = |detail: &str| Problem::new(ProblemKind::UnknownClient, detail);
        if !peer.is_accepted(&self.present_tls()) {
            return Err(unknown("The certificate was revoked or has expired."));
        }
        let caller = Caller::of(&self.app, peer.credentials(), self.patience())
            .ok_or_else(|| unknown("No client of the configuration has this certificate."))?;
        if !self.rates.take(&caller.name, Instant::now()) {
            increment(&self.counters.throttled);
            let detail = "The client makes more requests a second than it may.";
            return Err(Problem::new(ProblemKind::TooManyRequests, detail));
        }
        let _place = self
            .in_flight
            .try_acquire()
            .map_err(|_| Problem::new(ProblemKind::Busy, "Too many requests are in flight."))?;
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(caller);
        let answering = TowerToHyperService::new(self.router.clone()).call(request);
        let answered: Result<_, Infallible> = answering.await;
        answered.map_err(|never| match never {})
    }

    fn patience(&self) -> Duration {
        Duration::from_secs(self.bounds.receive_secs)
    }
}

impl Host for Web {
    fn tls(&self) -> Arc<Tls> {
        self.present_tls()
    }

    fn bounds(&self) -> &Bounds {
        &self.bounds
    }

    fn count(&self, happened: Happened) {
        increment(match happened {
            Happened::Connection => &self.counters.connections,
            Happened::HandshakeFailed => &self.counters.handshakes_failed,
            Happened::ConnectionRefused => &self.counters.connections_refused,
        });
    }

    async fn answer(self: Arc<Self>, peer: Arc<Peer>, request: Request<Incoming>) -> Answer {
        increment(&self.counters.requests);
        let answer = match self.route(&peer, request).await {
            Ok(response) => whole(response).await,
            Err(problem) => problem.into(),
        };
        if answer.status().is_server_error() {
            increment(&self.counters.failures);
        }
        answer
    }
}

fn increment(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

/// An answer with its whole body, which was whole before: no verb streams.
async fn whole(response: Response<Body>) -> Answer {
    let (mut head, body) = response.into_parts();
    let Ok(body) = body.collect().await else {
        return Problem::new(ProblemKind::Internal, "The answer has no body.").into();
    };
    head.headers
        .insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    hyper::Response::from_parts(head, Full::new(body.to_bytes())).into()
}
