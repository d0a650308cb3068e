//! One connection, with at most one call on it.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::Request;
use hyper::client::conn::http1::{Connection, SendRequest, handshake};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::answer::Answered;
use crate::error::Broken;

/// A connection. No task of its own drives it: that would cost each call two hand-overs between
/// tasks, and what nobody waits for need not be read.
pub(crate) struct Link {
    sender: SendRequest<Full<Bytes>>,
    /// Gone when it has ended.
    connection: Option<Connection<TokioIo<TcpStream>, Full<Bytes>>>,
}

/// What became of a request without an answer.
pub(crate) enum Failed {
    /// Not a byte of it was written.
    Unsent(hyper::Error),
    /// It was sent, at least in part.
    Broken(Broken),
    /// The answer is too large.
    TooLarge,
}

impl Link {
    pub(crate) async fn open(stream: TcpStream) -> Result<Self, hyper::Error> {
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        Ok(Self {
            sender,
            connection: Some(connection),
        })
    }

    /// Sends a request and reads its whole answer.
    pub(crate) async fn exchange(
        &mut self,
        request: Request<Full<Bytes>>,
        limit_bytes: usize,
    ) -> Result<Answered, Failed> {
        let Self { sender, connection } = self;
        let mut answer = pin!(answer(sender, request, limit_bytes));
        poll_fn(|context| {
            // First the connection: it sees whether the node has closed it before more is written.
            drive(connection, context);
            if let Poll::Ready(answered) = answer.as_mut().poll(context) {
                return Poll::Ready(answered);
            }
            drive(connection, context);
            answer.as_mut().poll(context)
        })
        .await
    }

    /// Whether another call may be made on it, as far as is known.
    pub(crate) fn is_open(&self) -> bool {
        self.connection.is_some() && !self.sender.is_closed()
    }
}

fn drive(
    connection: &mut Option<Connection<TokioIo<TcpStream>, Full<Bytes>>>,
    context: &mut Context<'_>,
) {
    let ended = connection
        .as_mut()
        .is_some_and(|connection| Pin::new(connection).poll(context).is_ready());
    if ended {
        // How it ended, the call that was on it learns.
        *connection = None;
    }
}

async fn answer(
    sender: &mut SendRequest<Full<Bytes>>,
    request: Request<Full<Bytes>>,
    limit_bytes: usize,
) -> Result<Answered, Failed> {
    sender.ready().await.map_err(Failed::Unsent)?;
    let response = match sender.try_send_request(request).await {
        Ok(response) => response,
        // Given back only where nothing of it was written.
        Err(mut error) => {
            return Err(match error.take_message() {
                Some(_) => Failed::Unsent(error.into_error()),
                None => Failed::Broken(error.into_error().into()),
            });
        }
    };
    let (head, body) = response.into_parts();
    match Limited::new(body, limit_bytes).collect().await {
        Ok(body) => Ok(Answered {
            status: head.status,
            body: body.to_bytes(),
        }),
        Err(error) if error.is::<LengthLimitError>() => Err(Failed::TooLarge),
        Err(error) => Err(Failed::Broken(error)),
    }
}
