//! Health and metrics, on a listener of their own: plain HTTP, nothing confidential.

use std::{convert::Infallible, sync::Arc, time::Duration};

use api::server::{Answer, Exposition};
use bytes::Bytes;
use http_body_util::Full;
use hyper::{
    Method, Request, Response, StatusCode, body::Incoming, server::conn::http1, service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::TcpListener,
    sync::{Semaphore, watch},
    time::timeout,
};

use crate::{
    change::Gate,
    engine::{Handle, LaneState, clock::now},
    store::Filter,
    text::chain,
    web::Web,
    withdrawal::Stage,
};

/// Connections at the same time.
const CONNECTIONS: usize = 16;
/// For one request and its answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// For the database, before it counts as unusable.
const DATABASE_PATIENCE: Duration = Duration::from_secs(3);

/// What the health listener tells of.
pub struct Subject {
    /// The engine.
    pub engine: Handle,
    /// The API.
    pub web: Arc<Web>,
}

/// Answers until `stop` changes.
pub async fn serve(subject: Arc<Subject>, listener: TcpListener, mut stop: watch::Receiver<bool>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stop.changed() => return,
        };
        let Ok((stream, _)) = accepted else {
            // Out of file descriptors, mostly: wait for one instead of spinning.
            tokio::time::sleep(Duration::from_millis(20)).await;
            continue;
        };
        let Ok(place) = Arc::clone(&places).acquire_owned().await else {
            return;
        };
        let subject = Arc::clone(&subject);
        tokio::spawn(async move {
            let handler = service_fn(move |request| {
                let subject = Arc::clone(&subject);
                async move { Ok::<_, Infallible>(answer(&subject, &request).await) }
            });
            let mut builder = http1::Builder::new();
            builder
                .timer(TokioTimer::new())
                .header_read_timeout(PATIENCE)
                .keep_alive(false);
            let connection = builder.serve_connection(TokioIo::new(stream), handler);
            // Who does not read the answer in time does not get it.
            let _ended = timeout(PATIENCE, connection).await;
            drop(place);
        });
    }
}

async fn answer(subject: &Subject, request: &Request<Incoming>) -> Response<Full<Bytes>> {
    let answer = match (request.method(), request.uri().path()) {
        (&Method::GET, "/healthz") => Answer::text(StatusCode::OK, "ok\n"),
        (&Method::GET, "/readyz") => readiness(subject).await,
        (&Method::GET, "/metrics") => Answer::text(StatusCode::OK, metrics(subject).await),
        (&Method::GET, _) => Answer::text(StatusCode::NOT_FOUND, "not found\n"),
        _ => Answer::text(StatusCode::METHOD_NOT_ALLOWED, "GET only\n"),
    };
    answer.into_response()
}

/// Whether a withdrawal would be paid now on every chain, and if not, all that stands in the way.
async fn readiness(subject: &Subject) -> Answer {
    let mut obstacles = Vec::new();
    if subject.engine.is_stopping() {
        obstacles.push("stopping".to_owned());
    }
    match timeout(DATABASE_PATIENCE, subject.engine.store().counts()).await {
        Ok(Ok(_)) => {}
        Ok(Err(error)) => obstacles.push(format!("database: {}", chain(&error))),
        Err(_) => obstacles.push("database: it does not answer".into()),
    }
    if let Some(trouble) = subject.engine.signer_trouble() {
        obstacles.push(format!("signer: {trouble}"));
    }
    for paid in subject.engine.idle_chains() {
        obstacles.push(format!("chain {paid}: there is no lane"));
    }
    for lane in subject.engine.lanes() {
        if let Some(obstacle) = lane.obstacle() {
            obstacles.push(format!("lane {}: {obstacle}", lane.id));
        }
    }
    if obstacles.is_empty() {
        return Answer::text(StatusCode::OK, "ready\n");
    }
    let mut text = obstacles.join("\n");
    text.push('\n');
    Answer::text(StatusCode::SERVICE_UNAVAILABLE, text)
}

async fn metrics(subject: &Subject) -> String {
    let mut text = Exposition::default();
    subject.engine.metrics().render(&mut text);
    stages(subject, &mut text).await;
    lanes(subject, &mut text);
    connections(subject, &mut text);
    text.text()
}

/// What the database says; without it these are missing, and `walletd_database_usable` is 0.
async fn stages(subject: &Subject, text: &mut Exposition) {
    let store = subject.engine.store();
    let oldest = Filter {
        stages: vec![Stage::Approved],
        ..Filter::default()
    };
    let asked = async {
        let counts = store.counts().await.ok()?;
        let oldest = store.withdrawals(&oldest, None, 1).await.ok()?;
        Some((counts, oldest))
    };
    let answer = timeout(DATABASE_PATIENCE, asked).await.ok().flatten();
    let usable = "walletd_database_usable";
    text.family(usable, "1 when the database answers", "gauge");
    text.sample(usable, &[], answer.is_some().into());
    let Some((counts, oldest)) = answer else {
        return;
    };
    let name = "walletd_withdrawals";
    text.family(name, "Withdrawals by stage and chain", "gauge");
    for (stage, chain, count) in counts {
        let chain = chain.to_string();
        let labels = [("stage", stage.name()), ("chain", chain.as_str())];
        text.sample(name, &labels, count);
    }
    let age = oldest
        .first()
        .map_or(0, |first| now().millis_since(first.requested_at));
    let name = "walletd_approved_oldest_seconds";
    text.family(
        name,
        "Seconds since the oldest approved withdrawal that no attempt pays was asked for",
        "gauge",
    );
    text.sample(name, &[], age.checked_div(1000).unwrap_or_default());
}

fn lanes(subject: &Subject, text: &mut Exposition) {
    let lanes = subject.engine.lanes();
    let mut gauge = |name, help, holds: fn(&LaneState) -> bool| {
        text.family(name, help, "gauge");
        for lane in &lanes {
            let id = lane.id.to_string();
            text.sample(name, &[("lane", &id)], holds(&lane.state).into());
        }
    };
    gauge(
        "walletd_lane_open",
        "1 when the lane may begin payouts",
        |state| matches!(state, LaneState::Running { gate: Gate::Open }),
    );
    gauge(
        "walletd_lane_halted",
        "1 when a person must look at the lane",
        |state| match state {
            LaneState::Running { gate } => matches!(gate, Gate::Halted { .. }),
            state => matches!(state, LaneState::Broken { .. }),
        },
    );
    let name = "walletd_queue";
    text.family(name, "Approved withdrawals in the hands of lanes", "gauge");
    for (chain, length) in subject.engine.queued() {
        let length = u64::try_from(length).unwrap_or(u64::MAX);
        text.sample(name, &[("chain", &chain.to_string())], length);
    }
    let name = "walletd_signer_reachable";
    text.family(name, "1 when the signer's last call was answered", "gauge");
    text.sample(name, &[], subject.engine.signer_trouble().is_none().into());
    let name = "walletd_signer_calls";
    text.family(name, "Calls to the signer that are out", "gauge");
    text.sample(name, &[], subject.engine.signer_calls());
}

fn connections(subject: &Subject, text: &mut Exposition) {
    use std::sync::atomic::Ordering::Relaxed;
    let counters = subject.web.counters();
    for (name, help, counter) in [
        (
            "walletd_connections_total",
            "TLS connections accepted",
            &counters.connections,
        ),
        (
            "walletd_handshakes_failed_total",
            "TLS handshakes that failed",
            &counters.handshakes_failed,
        ),
        (
            "walletd_connections_refused_total",
            "Connections turned away at the bound",
            &counters.connections_refused,
        ),
        (
            "walletd_requests_total",
            "Requests of any verb",
            &counters.requests,
        ),
        (
            "walletd_throttled_total",
            "Requests beyond a client's rate",
            &counters.throttled,
        ),
        (
            "walletd_failures_total",
            "Answers that are the daemon's own fault",
            &counters.failures,
        ),
    ] {
        text.family(name, help, "counter");
        text.sample(name, &[], counter.load(Relaxed));
    }
}
