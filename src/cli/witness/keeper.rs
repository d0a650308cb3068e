//! The HTTP of what is kept for auditors, below `/bodies/<SHA-256 of the origin, in hexadecimal>`: the index
//! there, `/end`, and a chunk a range. Who may reach the witness may read: it is encrypted. Who puts shows
//! the certificate of a relay.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Limited};
use hyper::body::{Body, Frame, Incoming};
use hyper::{Method, Request, StatusCode};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::timeout;

use super::bodies::{Bodies, Put, PutError};
use super::server::{Reply, plain, response};
use super::{chain, say};
use crate::bodies::Range;

/// For a chunk to arrive.
const PATIENCE: Duration = Duration::from_secs(60);
/// For a reader to take the next part of a file.
const READER_PATIENCE: Duration = Duration::from_secs(10);
/// How many files are sent at the same time: readers leave connections to those who have cosigned.
const READERS: usize = 8;
/// How much of a file is read at once.
const PART_BYTES: u64 = 256 << 10;

/// The bodies of a witness, over HTTP.
pub struct Keeper {
    bodies: Arc<Bodies>,
    /// One chunk at a time is in memory.
    writer: Semaphore,
    readers: Arc<Semaphore>,
}

impl Keeper {
    /// Of these bodies.
    pub fn new(bodies: Bodies) -> Self {
        Self {
            bodies: Arc::new(bodies),
            writer: Semaphore::new(1),
            readers: Arc::new(Semaphore::new(READERS)),
        }
    }

    /// Answers what is asked below `/bodies/`, by who has these names in a certificate.
    pub async fn answer(&self, path: &str, request: Request<Incoming>, uris: &[String]) -> Reply {
        let (log, rest) = path.split_once('/').unwrap_or((path, ""));
        let (log, range) = (log.to_owned(), rest.parse::<Range>());
        match (request.method(), rest, range) {
            (&Method::GET, "", _) => self.index(&log).await,
            (&Method::GET, "end", _) => match self.bodies.end(&log) {
                Some(end) => text(StatusCode::OK, format!("{end}\n")),
                None => plain(StatusCode::NOT_FOUND),
            },
            (&Method::GET, _, Ok(range)) => match self.bodies.chunk(&log, range) {
                Some(path) => self.send(path, None).await,
                None => plain(StatusCode::NOT_FOUND),
            },
            (&Method::PUT, _, Ok(_)) if !self.bodies.lets_in(uris) => {
                let why = "bodies-not-granted: that certificate is no relay's\n";
                text(StatusCode::FORBIDDEN, why.to_owned())
            }
            (&Method::PUT, _, Ok(range)) => self.put(log, range, request).await,
            (_, _, Ok(_)) | (_, "" | "end", _) => plain(StatusCode::METHOD_NOT_ALLOWED),
            _ => plain(StatusCode::NOT_FOUND),
        }
    }

    async fn put(&self, log: String, range: Range, request: Request<Incoming>) -> Reply {
        let Ok(_place) = self.writer.acquire().await else {
            return plain(StatusCode::SERVICE_UNAVAILABLE);
        };
        let limit = self.bodies.chunk_bytes();
        let length = usize::try_from(limit).unwrap_or(usize::MAX);
        let body = Limited::new(request.into_body(), length).collect();
        let chunk = match timeout(PATIENCE, body).await {
            Ok(Ok(chunk)) => chunk.to_bytes(),
            Ok(Err(error)) if error.is::<http_body_util::LengthLimitError>() => {
                return refused(range, &PutError::TooLarge { limit });
            }
            Ok(Err(_)) => return plain(StatusCode::BAD_REQUEST),
            Err(_) => return plain(StatusCode::REQUEST_TIMEOUT),
        };
        let bodies = Arc::clone(&self.bodies);
        // Making it durable blocks.
        let kept = tokio::task::spawn_blocking(move || bodies.put(&log, range, &chunk)).await;
        match kept {
            Ok(Ok(Put::Kept)) => {
                say(&format!("keeps entries {range}"));
                plain(StatusCode::CREATED)
            }
            Ok(Ok(Put::Already)) => plain(StatusCode::OK),
            Ok(Err(error)) => refused(range, &error),
            Err(_) => plain(StatusCode::INTERNAL_SERVER_ERROR),
        }
    }

    async fn index(&self, log: &str) -> Reply {
        match self.bodies.index(log) {
            Some((path, bytes)) => self.send(path, Some(bytes)).await,
            None => plain(StatusCode::NOT_FOUND),
        }
    }

    /// Sends a file, as far as `bytes` if they are given, part after part.
    async fn send(&self, path: PathBuf, bytes: Option<u64>) -> Reply {
        let Ok(place) = Arc::clone(&self.readers).try_acquire_owned() else {
            return plain(StatusCode::TOO_MANY_REQUESTS);
        };
        let opened = tokio::task::spawn_blocking(move || open(&path, bytes)).await;
        let (file, length) = match opened {
            Ok(Ok(opened)) => opened,
            Ok(Err(error)) if error.kind() == io::ErrorKind::NotFound => {
                return plain(StatusCode::NOT_FOUND);
            }
            _ => return plain(StatusCode::INTERNAL_SERVER_ERROR),
        };
        let (sender, parts) = mpsc::channel(1);
        tokio::spawn(read(file, length, sender, place));
        Reply::new(Parts(parts).boxed_unsync())
    }
}

fn refused(range: Range, error: &PutError) -> Reply {
    let (name, status) = error.name();
    say(&format!(
        "refused entries {range}: {name}: {}",
        chain(error)
    ));
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    text(status, format!("{name}: {}\n", chain(error)))
}

fn text(status: StatusCode, body: String) -> Reply {
    response(status, Some("text/plain; charset=utf-8"), body)
}

fn open(path: &PathBuf, bytes: Option<u64>) -> io::Result<(File, u64)> {
    let file = File::open(path)?;
    let length = file.metadata()?.len();
    Ok((file, bytes.map_or(length, |bytes| bytes.min(length))))
}

/// Reads a file part by part, until nobody takes the next one.
async fn read(
    file: File,
    mut left: u64,
    sender: mpsc::Sender<io::Result<Bytes>>,
    place: OwnedSemaphorePermit,
) {
    let file = Arc::new(file);
    while left > 0 {
        let source = Arc::clone(&file);
        let part = move || {
            let mut part = Vec::new();
            source
                .as_ref()
                .take(left.min(PART_BYTES))
                .read_to_end(&mut part)?;
            Ok(Bytes::from(part))
        };
        let part: io::Result<Bytes> = match tokio::task::spawn_blocking(part).await {
            Ok(part) => part,
            Err(error) => Err(io::Error::other(error)),
        };
        let count = part.as_ref().map_or(0, |part| part.len() as u64);
        // A file that is shorter than it was ends the connection within the answer.
        let part = match part {
            Ok(_) if count == 0 => Err(io::ErrorKind::UnexpectedEof.into()),
            part => part,
        };
        let over = part.is_err();
        let taken = timeout(READER_PATIENCE, sender.send(part)).await;
        if over || !matches!(taken, Ok(Ok(()))) {
            break;
        }
        left = left.saturating_sub(count);
    }
    drop(place);
}

/// What is read, as it comes.
struct Parts(mpsc::Receiver<io::Result<Bytes>>);

impl Body for Parts {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let part = self.0.poll_recv(context);
        part.map(|part| part.map(|part| part.map(Frame::data)))
    }
}
