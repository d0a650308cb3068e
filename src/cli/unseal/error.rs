//! Why no statement was composed.

use std::path::PathBuf;

use crate::failure::{Exit, Explained};
use crate::files::FileError;

/// Why no statement was composed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UnsealError {
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
}

impl Explained for UnsealError {
    fn kind(&self) -> &'static str {
        match self {
            Self::File(error) => error.kind(),
            Self::Report { .. } => "unseal-report",
            Self::Checkpoint { .. } => "unseal-checkpoint",
            Self::Loss { .. } => "unseal-loss",
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
            Self::Loss { .. } => {
                "Look for a newer copy of the data folder first. If there is none, give --accept-loss."
            }
        }
        .to_owned()
    }
}
