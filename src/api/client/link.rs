//! One connection, in either protocol.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::{
    Request, Response, StatusCode,
    body::Incoming,
    client::conn::{TrySendError, http1, http2},
    header::CONTENT_TYPE,
};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::{net::TcpStream, task::JoinHandle};
use tokio_rustls::client::TlsStream;

use super::{
    Protocol,
    watched::{Refusal, Watched},
};

/// How often a connection with calls on it is asked whether it still stands.
const PING_INTERVAL: Duration = Duration::from_secs(10);

/// A connection. The task that drives it ends with it.
#[derive(Debug)]
pub(super) struct Link {
    sender: Sender,
    refusal: Arc<Refusal>,
    driver: Arc<Driver>,
}

#[derive(Debug)]
enum Sender {
    Http1(http1::SendRequest<Full<Bytes>>),
    Http2(http2::SendRequest<Full<Bytes>>),
}

#[derive(Debug)]
struct Driver(JoinHandle<()>);

/// A whole answer.
#[derive(Debug)]
pub(super) struct Answered {
    pub(super) status: StatusCode,
    pub(super) media_type: Option<Vec<u8>>,
    pub(super) body: Bytes,
}

/// What became of a request without an answer.
#[derive(Debug)]
pub(super) enum Failed {
    /// It was not sent, and is given back.
    Unsent {
        request: Box<Request<Full<Bytes>>>,
        source: hyper::Error,
    },
    /// The signer refused the certificate, so that it read nothing.
    Rejected { alert: String },
    /// The connection broke.
    Broken(hyper::Error),
    /// The answer is too large.
    TooLarge { status: StatusCode, limit: usize },
}

impl Drop for Driver {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Link {
    pub(super) async fn open(
        stream: Watched<TlsStream<TcpStream>>,
        protocol: Protocol,
    ) -> Result<Self, hyper::Error> {
        let refusal = stream.refusal();
        let io = TokioIo::new(stream);
        let (sender, driver) = match protocol {
            Protocol::Http1 => {
                let (sender, connection) = http1::handshake(io).await?;
                // How it ended, the call that was on it learns.
                (
                    Sender::Http1(sender),
                    tokio::spawn(async { drop(connection.await) }),
                )
            }
            Protocol::Http2 => {
                let (sender, connection) = http2::Builder::new(TokioExecutor::new())
                    .timer(TokioTimer::new())
                    .keep_alive_interval(PING_INTERVAL)
                    .keep_alive_timeout(PING_INTERVAL)
                    .handshake(io)
                    .await?;
                (
                    Sender::Http2(sender),
                    tokio::spawn(async { drop(connection.await) }),
                )
            }
        };
        Ok(Self {
            sender,
            refusal,
            driver: Arc::new(Driver(driver)),
        })
    }

    pub(super) fn is_open(&self) -> bool {
        match &self.sender {
            Sender::Http1(sender) => !sender.is_closed(),
            Sender::Http2(sender) => !sender.is_closed(),
        }
    }

    /// The same connection for another call, in a protocol in which calls can share it.
    pub(super) fn share(&self) -> Option<Self> {
        let Sender::Http2(sender) = &self.sender else {
            return None;
        };
        Some(Self {
            sender: Sender::Http2(sender.clone()),
            refusal: Arc::clone(&self.refusal),
            driver: Arc::clone(&self.driver),
        })
    }

    /// Sends a request and reads its whole answer.
    pub(super) async fn exchange(
        &mut self,
        request: Request<Full<Bytes>>,
        limit: usize,
    ) -> Result<Answered, Failed> {
        let response = match self.send(request).await {
            Ok(response) => response,
            Err(mut error) => {
                let request = error.take_message();
                return Err(self.failed(request, error.into_error()));
            }
        };
        let (head, body) = response.into_parts();
        let body = match Limited::new(body, limit).collect().await {
            Ok(body) => body.to_bytes(),
            Err(error) if error.is::<LengthLimitError>() => {
                return Err(Failed::TooLarge {
                    status: head.status,
                    limit,
                });
            }
            Err(error) => match error.downcast::<hyper::Error>() {
                Ok(error) => return Err(Failed::Broken(*error)),
                // The only two errors of a limited body are these.
                Err(_) => {
                    return Err(Failed::TooLarge {
                        status: head.status,
                        limit,
                    });
                }
            },
        };
        let media_type = head
            .headers
            .get(CONTENT_TYPE)
            .map(|value| value.as_bytes().to_vec());
        Ok(Answered {
            status: head.status,
            media_type,
            body,
        })
    }

    async fn send(
        &mut self,
        request: Request<Full<Bytes>>,
    ) -> Result<Response<Incoming>, TrySendError<Request<Full<Bytes>>>> {
        match &mut self.sender {
            Sender::Http1(sender) => {
                // A connection that was just made is not ready before its task ran once.
                // Its error comes again, with the request, from the next line.
                let _ready = sender.ready().await;
                sender.try_send_request(request).await
            }
            Sender::Http2(sender) => {
                let _ready = sender.ready().await;
                sender.try_send_request(request).await
            }
        }
    }

    fn failed(&self, request: Option<Request<Full<Bytes>>>, source: hyper::Error) -> Failed {
        match (self.refusal.alert(), request) {
            (Some(alert), _) => Failed::Rejected { alert },
            (None, Some(request)) => Failed::Unsent {
                request: Box::new(request),
                source,
            },
            (None, None) => Failed::Broken(source),
        }
    }
}
