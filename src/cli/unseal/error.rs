//! Why no statement was composed.

use std::path::PathBuf;

use crate::failure::{Exit, Explained};
use crate::files::FileError;

/// Why no statement was composed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StatementError {
    /// A file.
    #[error(transparent)]
    File(FileError),
    /// The report is none.
    #[error("{} is no report", path.display())]
    Report {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: serde_json::Error,
    },
    /// A checkpoint is none.
    #[error("{} is no checkpoint", path.display())]
    Checkpoint {
        /// The file.
        path: PathBuf,
    },
    /// Something would be lost and nobody said that this is accepted.
    #[error(
        "the journal does not contain {heads} heads that are known: what led there would be lost"
    )]
    Loss {
        /// How many.
        heads: usize,
    },
    /// What was said cannot be read, or was said twice.
    #[error("it cannot be said: {what}")]
    Said {
        /// What.
        what: String,
    },
    /// A new epoch says something of every key, and its number where nothing that is there knows one.
    #[error("{} things are not said that the report calls for", missing.len())]
    Unsaid {
        /// What is to be said.
        missing: Vec<String>,
    },
    /// The epoch is not a new one.
    #[error("epoch {said} is not after {seen}, which was there before")]
    Epoch {
        /// What was said.
        said: u64,
        /// The last that is known.
        seen: u64,
    },
}

impl Explained for StatementError {
    fn kind(&self) -> &'static str {
        match self {
            Self::File(error) => error.kind(),
            Self::Report { .. } => "unseal-report",
            Self::Checkpoint { .. } => "unseal-checkpoint",
            Self::Loss { .. } => "unseal-loss",
            Self::Said { .. } => "unseal-said",
            Self::Unsaid { .. } => "unseal-unsaid",
            Self::Epoch { .. } => "unseal-epoch",
        }
    }

    fn exit(&self) -> Exit {
        match self {
            Self::File(error) => error.exit(),
            Self::Loss { .. } => Exit::Refused,
            _ => Exit::Usage,
        }
    }

    fn next(&self) -> String {
        match self {
            Self::File(error) => return error.next(),
            Self::Report { .. } => "Give what `signerd --seal-report` printed.",
            Self::Checkpoint { .. } => "Give the text of a signed checkpoint.",
            Self::Said { .. } => "Give KEY CHAIN and the value, each key on each chain once.",
            Self::Unsaid { .. } => "Say it as `why` lists it; look at the chain, not at the report, for sequences.",
            Self::Epoch { .. } => "Leave out --epoch, or give a higher one.",
            Self::Loss { .. } => {
                "Look for a newer copy of the data folder first. If there is none, give --accept-loss."
            }
        }
        .to_owned()
    }

    fn why(&self) -> Vec<String> {
        if let Self::Unsaid { missing } = self {
            return missing.clone();
        }
        let cause = std::error::Error::source(self);
        let causes = std::iter::successors(cause, |error| error.source());
        causes.map(ToString::to_string).collect()
    }
}
