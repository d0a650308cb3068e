//! Why a node did not answer as hoped.

use rpc::{CallError, CredentialsError, SettingsError};

use crate::failure::{Exit, Explained};
use crate::files::FileError;

/// Why a node did not answer as hoped.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RpcError {
    /// The address cannot be used.
    #[error(transparent)]
    Settings(SettingsError),
    /// The credentials cannot be read.
    #[error(transparent)]
    Credentials(CredentialsError),
    /// A file with credentials cannot be read.
    #[error(transparent)]
    File(FileError),
    /// The system gave no event loop.
    #[error("the system gives no event loop")]
    Runtime(#[source] std::io::Error),
    /// The call gave no result.
    #[error(transparent)]
    Call(CallError),
}

impl RpcError {
    /// Whether the node may have done what was asked, though it did not say so.
    pub fn may_have_happened(&self) -> bool {
        matches!(self, Self::Call(error) if error.may_have_happened())
    }

    /// The code of the node's refusal.
    pub fn refusal(&self) -> Option<i64> {
        match self {
            Self::Call(CallError::Refused { code, .. }) => Some(*code),
            _ => None,
        }
    }
}

impl Explained for RpcError {
    fn kind(&self) -> &'static str {
        match self {
            Self::Settings(SettingsError::Https { .. }) => "rpc-https",
            Self::Settings(SettingsError::CredentialsExposed { .. }) | Self::Credentials(_) => {
                "rpc-credentials"
            }
            Self::Settings(_) => "rpc-url",
            Self::File(error) => error.kind(),
            Self::Runtime(_) => "system",
            Self::Call(CallError::Unreachable { .. }) => "rpc-unreachable",
            Self::Call(CallError::NoAnswer { .. }) => "rpc-no-answer",
            Self::Call(CallError::Unauthorized { .. }) => "rpc-unauthorized",
            Self::Call(CallError::Refused { .. }) => "rpc-refused",
            Self::Call(_) => "rpc-answer",
        }
    }

    fn exit(&self) -> Exit {
        match self {
            Self::Call(CallError::Unreachable { .. } | CallError::NoAnswer { .. }) => {
                Exit::Unreachable
            }
            Self::Call(CallError::Refused { .. }) => Exit::Refused,
            _ => Exit::Usage,
        }
    }

    fn next(&self) -> String {
        match self {
            Self::Settings(SettingsError::Https { .. }) => {
                "Use a node on this machine, or a tunnel to it: `ssh -L 8545:127.0.0.1:8545 HOST`."
            }
            Self::Settings(SettingsError::CredentialsExposed { .. }) => {
                "Use a node on this machine, or a tunnel to it."
            }
            Self::Settings(_) => {
                "Give an address like http://127.0.0.1:8545, and credentials by file."
            }
            Self::Credentials(_) => "Check --user, --password-file or --cookie-file.",
            Self::File(error) => return error.next(),
            Self::Runtime(_) => "Check the limits of this process.",
            Self::Call(error) => next_after(error),
        }
        .to_owned()
    }
}

fn next_after(error: &CallError) -> &'static str {
    match error {
        CallError::Unreachable { .. } => "Check that the node runs and listens there.",
        CallError::NoAnswer { .. } => "Try again; a slow node may need a longer --timeout-secs.",
        CallError::Unauthorized { .. } => "Check --user and --password-file, or --cookie-file.",
        CallError::Refused { .. } => "See what the node says; its log may say more.",
        _ => "Check that the address is that of a node of this chain.",
    }
}
