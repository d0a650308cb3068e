//! Why a witness or its relay does not run.

use std::io;
use std::path::PathBuf;

use tlog::note::NameError;

use super::chain;
use crate::failure::{Exit, Explained};
use crate::files::FileError;

/// What went wrong.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WitnessError {
    /// A file cannot be used.
    #[error("a file cannot be used")]
    File(#[source] FileError),
    /// A name that no key can have.
    #[error("{name:?} is no name of a key")]
    Name {
        /// The text.
        name: String,
        /// Why.
        #[source]
        source: NameError,
    },
    /// No key can be made.
    #[error("the system gives no randomness: {reason}")]
    Randomness {
        /// Why.
        reason: String,
    },
    /// The file is no witness's key.
    #[error("{} is no witness's key", path.display())]
    Key {
        /// The file.
        path: PathBuf,
    },
    /// The configuration cannot be read.
    #[error("{} cannot be read", path.display())]
    Config {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// Another process uses the folder or the key.
    #[error("{} is in use by another witness", path.display())]
    InUse {
        /// The folder, or the key's file.
        path: PathBuf,
    },
    /// There is no state of a log.
    #[error("there is no state of {origin} in {}", path.display())]
    Missing {
        /// The log.
        origin: String,
        /// The file.
        path: PathBuf,
    },
    /// A state is damaged, or not this witness's of this log.
    #[error("{} is not what this witness left there", path.display())]
    State {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: &'static str,
    },
    /// A certificate, or its key, cannot be used.
    #[error("{what} cannot be used")]
    Tls {
        /// Which.
        what: &'static str,
        /// Why not.
        reason: String,
    },
    /// The system does not let it serve.
    #[error("{what} cannot be had")]
    System {
        /// What.
        what: &'static str,
        /// Why not.
        #[source]
        source: io::Error,
    },
}

/// The error of a name that is none.
pub(super) fn name(name: &str) -> impl FnOnce(NameError) -> WitnessError {
    move |source| WitnessError::Name {
        name: name.to_owned(),
        source,
    }
}

/// The error of something that the system does not give.
pub(super) fn system(what: &'static str) -> impl FnOnce(io::Error) -> WitnessError {
    move |source| WitnessError::System { what, source }
}

impl Explained for WitnessError {
    fn kind(&self) -> &'static str {
        match self {
            Self::File(error) => error.kind(),
            Self::Name { .. } => "witness-name",
            Self::Randomness { .. } => "no-randomness",
            Self::Key { .. } => "witness-key",
            Self::Config { .. } => "witness-config",
            Self::InUse { .. } => "witness-in-use",
            Self::Missing { .. } => "witness-no-state",
            Self::State { .. } => "witness-state",
            Self::Tls { .. } => "witness-tls",
            Self::System { .. } => "witness-system",
        }
    }

    fn exit(&self) -> Exit {
        Exit::Usage
    }

    fn next(&self) -> String {
        match self {
            Self::File(error) => error.next(),
            Self::Name { .. } => "Use a host's name, without spaces and plus signs.".into(),
            Self::Randomness { .. } => "Nothing was written. Try again.".into(),
            Self::Key { .. } => "Make one with `strongroom witness keygen`.".into(),
            Self::Config { .. } => "See docs/witnesses.md for its form.".into(),
            Self::InUse { .. } => "Stop the other one: two with one key could contradict each other.".into(),
            Self::Missing { .. } => {
                "If this witness never cosigned that log, run `strongroom witness init`. If it did, its state is \
                 lost: retire its key and name a new witness in the policy."
                    .into()
            }
            Self::State { .. } => {
                "Nothing is cosigned. An older copy of the file would let it contradict itself: retire its key \
                 and name a new witness in the policy."
                    .into()
            }
            Self::Tls { .. } => "Check the files: PEM, and the key of that certificate.".into(),
            Self::System { .. } => "Look at the address, its port and the machine's limits.".into(),
        }
    }

    fn why(&self) -> Vec<String> {
        match self {
            Self::Config { reason, .. } | Self::Tls { reason, .. } => {
                vec![reason.trim_end().to_owned()]
            }
            Self::State { reason, .. } => vec![(*reason).to_owned()],
            other => std::error::Error::source(other)
                .map(|source| vec![chain(source)])
                .unwrap_or_default(),
        }
    }
}
