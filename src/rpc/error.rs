//! Why a node did not answer as hoped, and what that means.

use thiserror::Error;

use crate::text::printable;

/// JSON-RPC 2.0 §5.1: the node failed in the middle of something.
const INTERNAL_ERROR: i64 = -32603;

/// What ended a connection, or kept one from being made.
pub type Broken = Box<dyn std::error::Error + Send + Sync>;

/// Why settings cannot be used. The address is not repeated: it may hold a password, or a provider's
/// key.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SettingsError {
    /// TLS to nodes is not spoken.
    #[error("{host} is to be reached by https, which is not spoken to nodes")]
    Https {
        /// The host.
        host: String,
    },
    /// The address cannot be used.
    #[error("the node's address cannot be used: {reason}")]
    Url {
        /// Why not.
        reason: &'static str,
    },
    /// Credentials would cross a network in clear.
    #[error("the credentials for {host} would cross the network in clear")]
    CredentialsExposed {
        /// The host.
        host: String,
    },
}

/// Why a call gave no result.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum CallError {
    /// No connection. Nothing was sent.
    #[error("no node answers at {host}")]
    Unreachable {
        /// The host and port.
        host: String,
        /// Why.
        #[source]
        source: Broken,
    },
    /// More calls in one batch than a node is asked. Nothing was sent.
    #[error("a batch of {calls} calls is longer than {limit}")]
    BatchTooLong {
        /// How many there are.
        calls: usize,
        /// How many there may be.
        limit: usize,
    },
    /// The node wants other credentials. It did nothing.
    #[error("the node refuses the credentials (HTTP {status})")]
    Unauthorized {
        /// The HTTP status.
        status: u16,
    },
    /// The node says no.
    #[error("the node refuses {method}: {message} (code {code})")]
    Refused {
        /// The method.
        method: &'static str,
        /// Its code.
        code: i64,
        /// Its words, escaped and cut.
        message: String,
    },
    /// Sent, and no whole answer came: the node may have acted.
    #[error("{method} was sent, and no answer came")]
    NoAnswer {
        /// The method.
        method: &'static str,
        /// What ended the wait.
        #[source]
        source: Broken,
    },
    /// The answer has no end, or one too far away.
    #[error("the answer to {method} is larger than {limit_bytes} bytes")]
    TooLarge {
        /// The method.
        method: &'static str,
        /// The most that is read.
        limit_bytes: usize,
    },
    /// Something else than JSON-RPC came back.
    #[error("what answered {method} does not speak JSON-RPC (HTTP {status})")]
    NotJsonRpc {
        /// The method.
        method: &'static str,
        /// The HTTP status.
        status: u16,
    },
    /// An answer, to something that was not asked.
    #[error("what answered {method} answers another call")]
    OtherCall {
        /// The method.
        method: &'static str,
    },
    /// The result has another form than the method's.
    #[error("the answer to {method} is not what it should be: {reason}")]
    Unexpected {
        /// The method.
        method: &'static str,
        /// What is wrong with it, escaped and cut.
        reason: String,
    },
}

impl CallError {
    /// A result of another form than the method's.
    pub fn unexpected(method: &'static str, reason: &str) -> Self {
        let reason = printable(reason);
        Self::Unexpected { method, reason }
    }

    pub(crate) fn refused(method: &'static str, code: i64, message: &str) -> Self {
        let message = printable(message);
        Self::Refused {
            method,
            code,
            message,
        }
    }

    /// Whether the node may have done what was asked, though it did not say so.
    pub fn may_have_happened(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::BatchTooLong { .. } | Self::Unauthorized { .. } => {
                false
            }
            Self::Refused { code, .. } => *code == INTERNAL_ERROR,
            Self::NoAnswer { .. }
            | Self::TooLarge { .. }
            | Self::NotJsonRpc { .. }
            | Self::OtherCall { .. }
            | Self::Unexpected { .. } => true,
        }
    }
}
