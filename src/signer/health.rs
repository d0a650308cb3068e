//! Health and metrics, on a listener of their own: plain HTTP, nothing confidential.

use std::{convert::Infallible, sync::Arc, time::Duration};

use api::server::{Answer, Exposition};
use http_body_util::Full;
use hyper::{
    Method, Request, Response, StatusCode, body::Incoming, server::conn::http1, service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use journal::Scrubbed;
use keys::pool::{BreakerState, MemberStatus};
use tokio::{
    net::TcpListener,
    sync::{Semaphore, watch},
};
use tx::Time;

use crate::{heartbeat, metrics::Gauge, seal::Seal, service::Service};

/// Connections at the same time.
const CONNECTIONS: usize = 16;
/// For one request and its answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// What the health listener tells.
#[derive(Clone)]
pub enum Subject {
    /// A running daemon.
    Running(Arc<Service>),
    /// A daemon that signs nothing, and why.
    Sealed(Seal),
}

/// Answers until `stop` changes.
pub async fn serve(subject: Subject, listener: TcpListener, mut stop: watch::Receiver<bool>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stop.changed() => return,
        };
        let (Ok((stream, _)), Ok(place)) = (accepted, Arc::clone(&places).acquire_owned().await)
        else {
            continue;
        };
        let subject = subject.clone();
        tokio::spawn(async move {
            let handler = service_fn(move |request| {
                let subject = subject.clone();
                async move { Ok::<_, Infallible>(answer(&subject, &request)) }
            });
            let mut builder = http1::Builder::new();
            builder
                .timer(TokioTimer::new())
                .header_read_timeout(PATIENCE)
                .keep_alive(false);
            let connection = builder.serve_connection(TokioIo::new(stream), handler);
            // Who does not read the answer in time does not get it.
            let _ended = tokio::time::timeout(PATIENCE, connection).await;
            drop(place);
        });
    }
}

fn answer(subject: &Subject, request: &Request<Incoming>) -> Response<Full<bytes::Bytes>> {
    let answer = match (request.method(), request.uri().path()) {
        (&Method::GET, "/healthz") => Answer::text(StatusCode::OK, "ok\n"),
        (&Method::GET, "/readyz") => readiness(subject),
        (&Method::GET, "/metrics") => metrics(subject),
        (&Method::GET, _) => Answer::text(StatusCode::NOT_FOUND, "not found\n"),
        _ => Answer::text(StatusCode::METHOD_NOT_ALLOWED, "GET only\n"),
    };
    answer.into_response()
}

/// Whether a request would be signed now, and if not, why.
fn readiness(subject: &Subject) -> Answer {
    let not_ready = |why: &str| Answer::text(StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n"));
    match subject {
        Subject::Sealed(seal) => not_ready(&format!("sealed: {seal}")),
        Subject::Running(service) if service.is_stopping() => not_ready("stopping"),
        Subject::Running(service) if let Some(seal) = service.sealed() => {
            not_ready(&format!("sealed: {seal}"))
        }
        Subject::Running(service) => match service.journal.stopped() {
            Some(stopped) => not_ready(&stopped.to_string()),
            None if service.device_ready() => match service.unwitnessed() {
                Some(why) => not_ready(&format!("unwitnessed: {why}")),
                None => Answer::text(StatusCode::OK, "ready\n"),
            },
            None => not_ready(&format!("no device: {}", service.why_no_device())),
        },
    }
}

fn metrics(subject: &Subject) -> Answer {
    let service = match subject {
        Subject::Running(service) => service,
        Subject::Sealed(seal) => return Answer::text(StatusCode::OK, sealed_metrics(seal)),
    };
    let (attempts, credited) = {
        let state = service.journal.state();
        (state.attempt_count(), state.credited().map(|last| last.lo))
    };
    let counters = service.pool.counters();
    let now = service.journal.now();
    let mut gauges = log_gauges(service).to_vec();
    gauges.extend(sentinel_gauges(service));
    gauges.extend(self_test_gauges(service));
    gauges.extend([
        gauge(
            "signerd_device_healthy",
            "1 when the device answers",
            service.pool.healthy().into(),
        ),
        gauge("signerd_attempts", "Authorised attempts", attempts),
        gauge(
            "signerd_signatures",
            "Signatures verified and released",
            counters.signatures,
        ),
        gauge(
            "signerd_signatures_bad",
            "Signatures that did not verify",
            counters.signatures_bad,
        ),
        gauge(
            "signerd_answers_late",
            "Answers of the device to closed calls",
            counters.answers_late,
        ),
        gauge(
            "signerd_time_uncertainty_ms",
            "Milliseconds between the earliest and the latest that it can be",
            now.hi.millis_since(now.lo),
        ),
        gauge(
            "signerd_time_earliest_timestamp_seconds",
            "The earliest that it can be",
            secs(now.lo),
        ),
        gauge(
            "signerd_time_credited_timestamp_seconds",
            "What outsiders moved the earliest time on to last, 0 when they never did",
            credited.map_or(0, secs),
        ),
        gauge(
            "signerd_tls_generation",
            "Reloads of the TLS configuration",
            service.tls().generation,
        ),
    ]);
    let due = heartbeat::due(&service.journal.state(), now);
    gauges.extend(due.map(|due| {
        let help = "Seconds until everything freezes for want of a heartbeat";
        let left = heartbeat::left_secs(now, due.due);
        gauge("signerd_heartbeat_due_seconds", help, left)
    }));
    let mut text = service.metrics.exposition(&gauges);
    device_metrics(&mut text, service);
    seal_metrics(&mut text, service.sealed());
    scrub_metrics(&mut text, service.journal.scrubbed());
    Answer::text(StatusCode::OK, text.text())
}

/// Each device by its name.
fn device_metrics(text: &mut Exposition, service: &Service) {
    let names = service.device_trouble.names();
    let status = service.pool.status();
    let devices: Vec<_> = names.iter().map(String::as_str).zip(&status).collect();
    let mut family = |name, help, kind, value: fn(&MemberStatus) -> u64| {
        text.family(name, help, kind);
        for (device, status) in &devices {
            text.sample(name, &[("device", *device)], value(status));
        }
    };
    family(
        "signerd_device_usable",
        "1 when this device is asked",
        "gauge",
        |status| status.healthy().into(),
    );
    family(
        "signerd_device_attached",
        "1 when this device is logged in to and answers",
        "gauge",
        |status| status.attached.into(),
    );
    family(
        "signerd_device_breaker_open",
        "1 when this device failed again and again and is asked by probes alone",
        "gauge",
        |status| (status.breaker != BreakerState::Closed).into(),
    );
    family(
        "signerd_device_signatures_total",
        "Signatures of this device that were verified and released",
        "counter",
        |status| status.signatures,
    );
}

/// How far the log was read again.
fn scrub_metrics(text: &mut Exposition, scrubbed: &Scrubbed) {
    let name = "signerd_scrubbed_entries_total";
    let help = "Entries of the journal that were read and verified again since the start";
    text.family(name, help, "counter");
    text.sample(name, &[], scrubbed.entries());
    let name = "signerd_scrub_finished_timestamp_seconds";
    let help = "When the whole journal had been read and verified the last time, 0 when never";
    let finished = scrubbed.finished();
    text.family(name, help, "gauge");
    text.sample(name, &[], finished.map_or(0, secs));
}

fn sealed_metrics(seal: &Seal) -> String {
    let mut text = Exposition::default();
    seal_metrics(&mut text, Some(seal));
    text.text()
}

fn seal_metrics(text: &mut Exposition, seal: Option<&Seal>) {
    text.family("signerd_sealed", "1 when nothing is signed", "gauge");
    text.sample("signerd_sealed", &[], seal.is_some().into());
    if let Some(seal) = seal {
        text.family("signerd_sealed_by", "What was found, by name", "gauge");
        text.sample("signerd_sealed_by", &[("name", seal.name.as_str())], 1);
    }
}

/// What was looked for in nonces, since the start.
fn sentinel_gauges(service: &Service) -> [Gauge; 4] {
    let counters = service.pool.sentinel_counters();
    [
        gauge(
            "signerd_sentinel_seen",
            "Signatures whose nonces were looked at",
            counters.seen,
        ),
        gauge(
            "signerd_sentinel_skipped",
            "Signatures whose nonces were not, because there were too many",
            counters.skipped,
        ),
        gauge(
            "signerd_sentinel_searches",
            "Searches for biased nonces",
            counters.searches,
        ),
        gauge(
            "signerd_sentinel_alarms",
            "Keys whose secrets were found to follow from their signatures",
            counters.alarms,
        ),
    ]
}

/// How self-tests stand.
fn self_test_gauges(service: &Service) -> [Gauge; 3] {
    let tests = &service.self_tests;
    [
        gauge(
            "signerd_self_test_keys",
            "Keys for self-tests of the device, 0 when there are none",
            u64::try_from(tests.keys()).unwrap_or(u64::MAX),
        ),
        gauge(
            "signerd_self_test_trouble",
            "1 when the last self-test was not passed, or there are none",
            tests.trouble().is_some().into(),
        ),
        gauge(
            "signerd_self_test_passed_timestamp_seconds",
            "When a self-test was passed the last time, 0 when never",
            tests.passed().map_or(0, secs),
        ),
    ]
}

/// How the journal's log stands.
fn log_gauges(service: &Service) -> [Gauge; 6] {
    let (entries, to_cover, policy) = {
        let state = service.journal.state();
        let (entries, to_cover) = (state.entries(), state.entries_to_cover());
        (entries, to_cover, state.policy().cloned())
    };
    let quorum = policy.as_ref().and_then(|policy| policy.witnesses.as_ref());
    let witnessed = quorum.map_or(0, |quorum| service.witnesses.witnessed(quorum));
    let (exposed, since) = service.checkpoints.exposed(to_cover);
    [
        gauge("signerd_journal_entries", "Entries of the journal", entries),
        gauge(
            "signerd_checkpoint_entries",
            "Entries that the newest checkpoint covers",
            service.checkpoints.covered(),
        ),
        gauge(
            "signerd_checkpoint_uncovered",
            "Entries that wait for a checkpoint",
            service.checkpoints.uncovered(&service.journal),
        ),
        gauge(
            "signerd_witnessed_entries",
            "Entries that witnesses have cosigned since the start",
            witnessed,
        ),
        gauge(
            "signerd_exposed_entries",
            "Entries that nobody outside is known to have seen in a checkpoint",
            exposed,
        ),
        gauge(
            "signerd_exposed_seconds",
            "Since when, 0 when there are none",
            since.as_secs(),
        ),
    ]
}

fn secs(time: Time) -> u64 {
    time.millis().checked_div(1000).unwrap_or(0)
}

fn gauge(name: &'static str, help: &'static str, value: u64) -> Gauge {
    Gauge { name, help, value }
}
