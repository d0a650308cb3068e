//! The server: C2SP tlog-witness, `POST /add-checkpoint`, over TLS or plain HTTP.
//!
//! Beside it, `GET /latest/<SHA-256 of the origin, in hexadecimal>` shows the latest checkpoint of a log
//! that was kept: whoever finds a log shorter than that can show why. That is an extension of ours, and so
//! is what it keeps for auditors, [`super::keeper`].

use std::convert::Infallible;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tlog::cosignature::Timestamp;
use tlog::witness::{AddCheckpoint, Answer, Consistent, Decision, MAX_REQUEST_BYTES, decide};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use super::bodies::Bodies;
use super::config::Config;
use super::error::{WitnessError, system};
use super::keeper::Keeper;
use super::key::Secret;
use super::state::{Folder, Kept};
use super::{Ended, chain, say, tls};
use crate::failure::Failure;
use crate::output;

/// For a request's head, also the first after a pause, and for its body.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long a connection may pause between requests.
const IDLE: Duration = Duration::from_secs(60);

/// An answer.
pub type Reply = Response<UnsyncBoxBody<Bytes, io::Error>>;

/// A witness at work.
struct Witness {
    key: Secret,
    folder: Folder,
    keeper: Option<Keeper>,
    rate: Mutex<Bucket>,
}

/// Serves until told to stop.
///
/// # Errors
/// [`WitnessError`]; nothing was cosigned.
pub fn run(config: &Config) -> Result<output::Answer, Failure> {
    let key = Secret::read(&config.key)?;
    let folder = Folder::open(config, key.public())?;
    let acceptor = config.tls.as_ref().map(tls::acceptor).transpose()?;
    let bodies = config.bodies.as_ref();
    let bodies = bodies.map(|bodies| Bodies::open(config, bodies));
    let witness = Arc::new(Witness {
        key,
        folder,
        keeper: bodies.transpose()?.map(Keeper::new),
        rate: Mutex::new(Bucket::new(config.bounds.requests_per_second)),
    });
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(system("threads"))?;
    runtime.block_on(serve(config, witness, acceptor))?;
    output::Answer::done(&Ended { ended: "stopped" })
}

async fn serve(
    config: &Config,
    witness: Arc<Witness>,
    acceptor: Option<TlsAcceptor>,
) -> Result<(), WitnessError> {
    let listener = TcpListener::bind(config.listen).await;
    let listener = listener.map_err(system("the address"))?;
    let mut terminate = signal(SignalKind::terminate()).map_err(system("signals"))?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(system("signals"))?;
    say(&format!(
        "serving on {} as {}",
        config.listen,
        witness.key.public()
    ));
    let places = Arc::new(Semaphore::new(config.bounds.connections));
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = terminate.recv() => return Ok(()),
            _ = interrupt.recv() => return Ok(()),
        };
        let Ok((stream, _)) = accepted else {
            // Out of file descriptors, mostly: wait for one instead of spinning.
            tokio::time::sleep(Duration::from_millis(20)).await;
            continue;
        };
        // One that finds no place is closed.
        if let Ok(place) = Arc::clone(&places).try_acquire_owned() {
            tokio::spawn(meet(Arc::clone(&witness), stream, acceptor.clone(), place));
        }
    }
}

/// Serves a connection, behind its handshake if there is one.
async fn meet(
    witness: Arc<Witness>,
    stream: TcpStream,
    acceptor: Option<TlsAcceptor>,
    place: OwnedSemaphorePermit,
) {
    // Without it small answers wait 40 ms for the peer's delayed acknowledgement.
    if stream.set_nodelay(true).is_err() {
        return;
    }
    let Some(acceptor) = acceptor else {
        return speak(witness, stream, Vec::new(), place).await;
    };
    // Why it failed concerns the peer alone, who is told.
    if let Ok(Ok(stream)) = timeout(PATIENCE, acceptor.accept(stream)).await {
        let shown = stream.get_ref().1.peer_certificates();
        let uris = shown.and_then(<[_]>::first).map(tls::uris);
        speak(witness, stream, uris.unwrap_or_default(), place).await;
    }
}

async fn speak<S: AsyncRead + AsyncWrite + Unpin>(
    witness: Arc<Witness>,
    stream: S,
    uris: Vec<String>,
    place: OwnedSemaphorePermit,
) {
    let uris = Arc::new(uris);
    let handler = service_fn(move |request| {
        let (witness, uris) = (Arc::clone(&witness), Arc::clone(&uris));
        async move { Ok::<_, Infallible>(witness.answer(request, &uris).await) }
    });
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(IDLE)
        .max_headers(32)
        .max_buf_size(16 << 10);
    // How it ended concerns the peer alone.
    let _ended = builder
        .serve_connection(TokioIo::new(stream), handler)
        .await;
    drop(place);
}

impl Witness {
    async fn answer(self: Arc<Self>, request: Request<Incoming>, uris: &[String]) -> Reply {
        if !self.take(Instant::now()) {
            return plain(StatusCode::TOO_MANY_REQUESTS);
        }
        let path = request.uri().path().strip_prefix("/bodies/");
        if let (Some(keeper), Some(path)) = (&self.keeper, path.map(str::to_owned)) {
            return keeper.answer(&path, request, uris).await;
        }
        match (request.method(), request.uri().path()) {
            (&Method::POST, "/add-checkpoint") => self.add_checkpoint(request).await,
            (_, "/add-checkpoint") => plain(StatusCode::METHOD_NOT_ALLOWED),
            (&Method::GET, path) => match path.strip_prefix("/latest/") {
                Some(hash) => self.latest(hash),
                None => plain(StatusCode::NOT_FOUND),
            },
            _ => plain(StatusCode::NOT_FOUND),
        }
    }

    fn take(&self, now: Instant) -> bool {
        let mut rate = self.rate.lock().unwrap_or_else(PoisonError::into_inner);
        rate.take(now)
    }

    fn latest(&self, hash: &str) -> Reply {
        match self.folder.named(hash) {
            Some(kept) if !kept.note().is_empty() => {
                let body = kept.note().to_owned();
                response(StatusCode::OK, Some("text/plain; charset=utf-8"), body)
            }
            _ => plain(StatusCode::NOT_FOUND),
        }
    }

    async fn add_checkpoint(self: Arc<Self>, request: Request<Incoming>) -> Reply {
        let body = Limited::new(request.into_body(), MAX_REQUEST_BYTES).collect();
        let body = match timeout(PATIENCE, body).await {
            Ok(Ok(body)) => body.to_bytes(),
            Ok(Err(error)) if error.is::<http_body_util::LengthLimitError>() => {
                return plain(StatusCode::PAYLOAD_TOO_LARGE);
            }
            Ok(Err(_)) => return plain(StatusCode::BAD_REQUEST),
            Err(_) => return plain(StatusCode::REQUEST_TIMEOUT),
        };
        let (sender, decided) = oneshot::channel();
        // Making the state durable blocks. The second copy keeps nobody waiting.
        tokio::task::spawn_blocking(move || {
            let _gone = sender.send(self.decide(&body));
            self.settle();
        });
        let answer = decided.await.unwrap_or(Answer::Refused { status: 500 });
        let status = StatusCode::from_u16(answer.status());
        let status = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        response(status, answer.content_type(), answer.body())
    }

    /// Decides, keeps, cosigns: in this order, and alone on the log.
    fn decide(&self, body: &[u8]) -> Answer {
        let request = match AddCheckpoint::parse(body) {
            Ok(request) => request,
            Err(error) => return Answer::from(&error),
        };
        let Some(mut kept) = self.folder.log(request.origin()) else {
            return Answer::Refused { status: 404 };
        };
        if !kept.is_whole() {
            return Answer::Refused { status: 500 };
        }
        let origin = kept.log().origin.clone();
        match decide(Some(kept.log()), Some(kept.latest()), request) {
            Decision::Refuse(refusal) => {
                say(&format!("refused {origin}: {}", chain(&refusal)));
                Answer::from(&refusal)
            }
            Decision::Cosign(consistent) => self.cosign(&mut kept, &consistent),
        }
    }

    /// Makes the second copy of all states.
    fn settle(&self) {
        if let Err(error) = self.folder.settle() {
            say(&format!("nothing more is cosigned: {}", chain(&error)));
        }
    }

    fn cosign(&self, kept: &mut Kept, consistent: &Consistent) -> Answer {
        if let Err(error) = kept.keep(consistent.signed()) {
            say(&format!("nothing more is cosigned: {}", chain(&error)));
            return Answer::Refused { status: 500 };
        }
        let Some(Ok(cosignature)) = now().map(|now| self.key.cosign(consistent, now)) else {
            return Answer::Refused { status: 500 };
        };
        let head = consistent.signed().head();
        let (origin, size, root) = (&kept.log().origin, head.size, head.root);
        say(&format!("cosigned {origin} {size} {root}"));
        Answer::from(&cosignature)
    }
}

fn now() -> Option<Timestamp> {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).ok()?;
    Timestamp::new(since.as_secs())
}

/// An answer without a body.
pub fn plain(status: StatusCode) -> Reply {
    response(status, None, String::new())
}

/// An answer with a text.
pub fn response(status: StatusCode, content_type: Option<&'static str>, body: String) -> Reply {
    let body = Full::from(body).map_err(|never| match never {});
    let mut response = Response::new(body.boxed_unsync());
    *response.status_mut() = status;
    if let Some(content_type) = content_type {
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    }
    response
}

/// So many requests a second, twice as many at once, of everybody together.
struct Bucket {
    per_second: f64,
    left: f64,
    since: Instant,
}

impl Bucket {
    fn new(per_second: u32) -> Self {
        let per_second = f64::from(per_second);
        Self {
            per_second,
            left: 2.0 * per_second,
            since: Instant::now(),
        }
    }

    fn take(&mut self, now: Instant) -> bool {
        let gained = now.saturating_duration_since(self.since).as_secs_f64() * self.per_second;
        self.since = now;
        self.left = (self.left + gained).min(2.0 * self.per_second);
        let enough = self.left >= 1.0;
        if enough {
            self.left -= 1.0;
        }
        enough
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_then_the_rate() {
        let mut bucket = Bucket::new(10);
        let start = bucket.since;
        assert_eq!((0..100).filter(|_| bucket.take(start)).count(), 20);
        let later = start + Duration::from_millis(550);
        assert_eq!((0..100).filter(|_| bucket.take(later)).count(), 5);
    }
}
