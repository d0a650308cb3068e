//! Why a call gave no answer, and what that means.

use std::io;

use thiserror::Error;

use crate::{problem::Problem, signing::PendingAnswer};

/// Why a call gave no answer of the kind that was asked for.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ClientError {
    /// The answer is no, and why.
    #[error("the answer is: {}", .0.title)]
    Problem(Box<Problem>),
    /// People or attesters are needed first. Nothing was charged.
    #[error("the request waits for people")]
    Pending(Box<PendingAnswer>),
    /// Nothing was sent that the daemon could have acted on.
    #[error("{server} cannot be reached; nothing was sent")]
    Unreachable {
        /// The daemon, as `host:port`.
        server: String,
        /// What stood in the way.
        #[source]
        source: Obstacle,
    },
    /// The request was sent and its answer did not come: it may have happened.
    #[error("the request was sent to {server}, and its answer did not come")]
    Unknown {
        /// The daemon, as `host:port`.
        server: String,
        /// What happened instead.
        #[source]
        source: Lost,
    },
    /// Something answered, and not as a daemon of this API does: it may have happened.
    #[error("the answer of {server} with status {status} is not one of this API")]
    Malformed {
        /// The daemon, as `host:port`.
        server: String,
        /// The HTTP status.
        status: u16,
        /// What is wrong with it.
        #[source]
        source: Oddity,
    },
    /// The text is no id; nothing was sent.
    #[error("an id has 1 to 128 characters of A-Z, a-z, 0-9, '.', '_', ':' and '-'")]
    RequestId,
    /// The request has no JSON form, which cannot be; nothing was sent.
    #[error("the request cannot be written")]
    Unwritable(#[source] serde_json::Error),
    /// The server's name cannot stand in a request; nothing was sent.
    #[error("the server's name cannot stand in a request")]
    Uri(#[source] hyper::http::Error),
}

/// What stood in the way of a request.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Obstacle {
    /// No connection.
    #[error("no connection was made")]
    Connection(#[source] io::Error),
    /// The two ends did not agree on TLS, or the server is not who it should be.
    #[error("the TLS handshake failed")]
    Handshake(#[source] io::Error),
    /// The daemon refused the client's certificate, which is the last step of the handshake.
    #[error("the daemon refused the client certificate: {alert}")]
    Certificate {
        /// The TLS alert.
        alert: String,
    },
    /// The server does not speak the protocol.
    #[error("the server does not speak {protocol}")]
    Protocol {
        /// `HTTP/1.1` or `HTTP/2`.
        protocol: &'static str,
    },
    /// The connection could not be used.
    #[error("the connection was closed")]
    Http(#[source] hyper::Error),
    /// The time was up before a connection stood.
    #[error("the time was up before a connection stood")]
    TimedOut,
}

/// What happened to a request that was sent.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Lost {
    /// The time was up.
    #[error("the time is up")]
    TimedOut,
    /// The connection broke.
    #[error("the connection broke")]
    Broken(#[source] hyper::Error),
}

/// What is wrong with an answer.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Oddity {
    /// The body is not the JSON of this answer.
    #[error("its body is not what the status announces")]
    Json(#[source] serde_json::Error),
    /// The body is no text.
    #[error("its body is not UTF-8")]
    Text,
    /// The answer is about another request.
    #[error("it is about another request")]
    OtherRequest,
    /// The problem has another status than the answer, or than its kind.
    #[error("it contradicts its own status")]
    Status,
    /// An error, or a success that the verb does not have, that is no problem document: something else than the daemon answered.
    #[error("it is no problem document")]
    MediaType,
    /// The body is longer than any answer of its kind.
    #[error("it is larger than {limit} bytes")]
    TooLarge {
        /// The most that is read.
        limit: usize,
    },
}
