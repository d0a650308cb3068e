//! Why a node did not answer as hoped.

use super::Broken;
use crate::failure::{Exit, Explained};
use crate::files::FileError;

/// The longest message of a node that is repeated.
const MESSAGE_MAX_CHARS: usize = 400;

/// JSON-RPC 2.0 §5.1: the node failed in the middle of something.
const INTERNAL_ERROR: i64 = -32603;

/// Why a node did not answer as hoped.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RpcError {
    /// TLS to nodes is not there yet.
    #[error("{host} is to be reached by https, which this tool does not speak to nodes")]
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
    /// The credentials cannot be read.
    #[error("the file holds no credentials in its first line")]
    CredentialsInvalid,
    /// A file with credentials cannot be read.
    #[error(transparent)]
    File(FileError),
    /// The system gave no event loop.
    #[error("the system gives no event loop")]
    Runtime(#[source] std::io::Error),
    /// No connection. Nothing was sent.
    #[error("no node answers at {host}")]
    Unreachable {
        /// The host and port.
        host: String,
        /// Why.
        #[source]
        source: std::io::Error,
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
    /// The node wants other credentials.
    #[error("the node refuses the credentials (HTTP {status})")]
    Unauthorized {
        /// The HTTP status.
        status: u16,
    },
    /// Something else than JSON-RPC came back.
    #[error("what answered {method} does not speak JSON-RPC (HTTP {status})")]
    NotJsonRpc {
        /// The method.
        method: &'static str,
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
        /// Its words, made printable.
        message: String,
    },
    /// The result has another form than the method's.
    #[error("the answer to {method} is not what it should be")]
    Unexpected {
        /// The method.
        method: &'static str,
        /// What is wrong with it.
        #[source]
        source: serde_json::Error,
    },
}

impl RpcError {
    /// A refusal in the node's words, which must not steer the terminal.
    pub(super) fn refused(method: &'static str, code: i64, message: &str) -> Self {
        let printable = |c: char| if c.is_control() { ' ' } else { c };
        let message = message
            .chars()
            .take(MESSAGE_MAX_CHARS)
            .map(printable)
            .collect();
        Self::Refused {
            method,
            code,
            message,
        }
    }

    /// Whether the node may have done what was asked, though it did not say so.
    pub fn may_have_happened(&self) -> bool {
        match self {
            Self::NoAnswer { .. } | Self::NotJsonRpc { .. } | Self::Unexpected { .. } => true,
            Self::Refused { code, .. } => *code == INTERNAL_ERROR,
            _ => false,
        }
    }
}

impl Explained for RpcError {
    fn kind(&self) -> &'static str {
        match self {
            Self::Https { .. } => "rpc-https",
            Self::Url { .. } => "rpc-url",
            Self::CredentialsExposed { .. } | Self::CredentialsInvalid => "rpc-credentials",
            Self::File(error) => error.kind(),
            Self::Runtime(_) => "system",
            Self::Unreachable { .. } => "rpc-unreachable",
            Self::NoAnswer { .. } => "rpc-no-answer",
            Self::Unauthorized { .. } => "rpc-unauthorized",
            Self::NotJsonRpc { .. } | Self::Unexpected { .. } => "rpc-answer",
            Self::Refused { .. } => "rpc-refused",
        }
    }

    fn exit(&self) -> Exit {
        match self {
            Self::Unreachable { .. } | Self::NoAnswer { .. } => Exit::Unreachable,
            Self::Refused { .. } => Exit::Refused,
            _ => Exit::Usage,
        }
    }

    fn next(&self) -> String {
        match self {
            Self::Https { .. } => {
                "Use a node on this machine, or a tunnel to it: `ssh -L 8545:127.0.0.1:8545 HOST`."
            }
            Self::Url { .. } => {
                "Give an address like http://127.0.0.1:8545, and credentials by file."
            }
            Self::CredentialsExposed { .. } => "Use a node on this machine, or a tunnel to it.",
            Self::CredentialsInvalid => "Check --password-file or --cookie-file.",
            Self::File(error) => return error.next(),
            Self::Runtime(_) => "Check the limits of this process.",
            Self::Unreachable { .. } => "Check that the node runs and listens there.",
            Self::NoAnswer { .. } => "Try again; a slow node may need a longer --timeout-secs.",
            Self::Unauthorized { .. } => "Check --user and --password-file, or --cookie-file.",
            Self::NotJsonRpc { .. } | Self::Unexpected { .. } => {
                "Check that the address is that of a node of this chain."
            }
            Self::Refused { .. } => "See what the node says; its log may say more.",
        }
        .to_owned()
    }
}
