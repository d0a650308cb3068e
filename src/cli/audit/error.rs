//! Why an audit has no answer, or a bad one.

use std::path::PathBuf;

use policy::BundleHash;
use tlog::{ProofError, checkpoint::OpenError, note::KeyError};

use super::chunks::ChunkError;
use crate::bodies::Range;
use crate::client::SignerError;
use crate::failure::{Exit, Explained};
use crate::files::FileError;

/// Why an audit has no answer, or a bad one.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AuditError {
    /// The signer cannot be asked, or does not tell.
    #[error(transparent)]
    Peer(SignerError),
    /// A file.
    #[error(transparent)]
    File(FileError),
    /// Nobody said whose signatures count.
    #[error("no key of the log is pinned")]
    NoLogKey,
    /// A pinned key is none.
    #[error("{text:?} is no key of a log")]
    LogKey {
        /// What was given.
        text: String,
        /// Why not.
        #[source]
        source: KeyError,
    },
    /// Two pinned keys are of two logs.
    #[error("the pinned keys are of more than one log")]
    TwoLogs,
    /// It is not what a pinned key signed.
    #[error("{what} is not the log's word")]
    Unsigned {
        /// What.
        what: String,
        /// Why not.
        #[source]
        source: OpenError,
    },
    /// The log was longer before.
    #[error("the log has {found} entries, and had {seen} before: it is an older copy")]
    Shorter {
        /// How many it had.
        seen: u64,
        /// How many it is said to have.
        found: u64,
    },
    /// The log does not go on where it was.
    #[error("the log does not contain the {seen} entries that its key signed before")]
    Forked {
        /// How many there were.
        seen: u64,
        /// What is wrong with the proof.
        #[source]
        source: ProofError,
    },
    /// A proof proves nothing.
    #[error("entry {entry} is not proved to be in the log")]
    Unproved {
        /// The entry.
        entry: u64,
        /// What is wrong with the proof.
        #[source]
        source: ProofError,
    },
    /// The signer's answer makes no sense.
    #[error("the signer's answer cannot be used: {reason}")]
    Answer {
        /// Why not.
        reason: String,
    },
    /// What is said of an entry is not what the log committed to.
    #[error("entry {entry} is not what the log committed to")]
    Opening {
        /// The entry.
        entry: u64,
    },
    /// The entries that came are not those that were signed.
    #[error("the {size} entries that came do not have the root that the log's key signed")]
    Root {
        /// How many they are.
        size: u64,
    },
    /// A folder is not as it was exported.
    #[error("{} is not as it was exported: {reason}", folder.display())]
    Changed {
        /// The folder.
        folder: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// What a witness keeps cannot be used.
    #[error(transparent)]
    Chunk(Box<ChunkError>),
    /// A bundle that governed is not told with the entry that lets it.
    #[error("bundle {hash} is not in the chunk of entries {range}, which lets it govern")]
    NoBundle {
        /// Which.
        hash: BundleHash,
        /// Where it should be.
        range: Range,
    },
    /// A file is no proof.
    #[error("{} is no proof: {reason}", path.display())]
    NoProof {
        /// The file.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// A line of a log or an export is none.
    #[error("line {line} of {} cannot be read", path.display())]
    NoExport {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// Why not.
        reason: String,
    },
    /// There is no such entry, or it is not told.
    #[error("there is no entry {entry} to be shown")]
    NoEntry {
        /// The entry.
        entry: u64,
    },
    /// No decision of the log is about a request.
    #[error("nothing was authorised for request {request}")]
    NoRequest {
        /// The request.
        request: String,
    },
    /// A report was asked for of what does not verify.
    #[error("{} does not verify: {first}", folder.display())]
    Unverified {
        /// The folder.
        folder: PathBuf,
        /// What is wrong first.
        first: String,
    },
}

impl From<SignerError> for AuditError {
    fn from(error: SignerError) -> Self {
        Self::Peer(error)
    }
}

impl From<FileError> for AuditError {
    fn from(error: FileError) -> Self {
        Self::File(error)
    }
}

impl Explained for AuditError {
    fn kind(&self) -> &'static str {
        match self {
            Self::Peer(error) => error.kind(),
            Self::File(error) => error.kind(),
            Self::NoLogKey => "no-log-key",
            Self::LogKey { .. } | Self::TwoLogs => "log-key",
            Self::Unsigned { .. } => "unsigned-checkpoint",
            Self::Shorter { .. } => "log-shorter",
            Self::Forked { .. } => "log-forked",
            Self::Unproved { .. } => "unproved",
            Self::Answer { .. } => "audit-answer",
            Self::Opening { .. } => "other-body",
            Self::Root { .. } => "other-root",
            Self::Changed { .. } => "export-changed",
            Self::Chunk(error) => error.kind(),
            Self::NoBundle { .. } => "chunk-bundle",
            Self::NoProof { .. } => "no-proof",
            Self::NoExport { .. } => "no-export",
            Self::NoEntry { .. } => "no-entry",
            Self::NoRequest { .. } => "no-request",
            Self::Unverified { .. } => "unverified",
        }
    }

    fn exit(&self) -> Exit {
        match self {
            Self::Peer(error) => error.exit(),
            Self::File(error) => error.exit(),
            Self::Chunk(error) => error.exit(),
            Self::NoLogKey | Self::LogKey { .. } | Self::TwoLogs | Self::NoExport { .. } => {
                Exit::Usage
            }
            _ => Exit::Refused,
        }
    }

    fn next(&self) -> String {
        match self {
            Self::Peer(error) => return error.next(),
            Self::File(error) => return error.next(),
            Self::NoLogKey => "Give --log-key, or log_key in the profile. `strongroom status` shows the key; compare it with who runs the signer before you pin it.",
            Self::LogKey { .. } | Self::TwoLogs => "A key is <name>+<id>+<base64>, as `strongroom status` shows it.",
            Self::Unsigned { .. } => "Check that the pinned key is of this log. If it is, this is not the log's: keep it as evidence.",
            Self::Shorter { .. } | Self::Forked { .. } => "Keep both checkpoints: together they prove that the log was changed. `docs/audit.md` says what then.",
            Self::Unproved { .. } | Self::Opening { .. } | Self::Root { .. } => "Ask again; if it stays so, the signer says what its log does not contain. Keep the answer as evidence.",
            Self::Answer { .. } => "Ask again; check that this is a signer of the same version, and what `strongroom status` says of its witnesses.",
            Self::Changed { .. } => "Run `strongroom audit verify` on it, and export to a new folder.",
            Self::Chunk(error) => error.next(),
            Self::NoBundle { .. } => "Keep it as evidence, and go on from another witness with the same command and folder.",
            Self::NoProof { .. } => "Check that this is a file of `strongroom audit prove`.",
            Self::NoExport { .. } => "Each line is one JSON object; `docs/audit.md` has both forms.",
            Self::NoEntry { .. } => "The newest checkpoint says how many there are; what a freeze holds is not told.",
            Self::NoRequest { .. } => "A client is told of its own requests alone. What was refused has no receipt: look for its entry with `strongroom audit tail`, and give --entry.",
            Self::Unverified { .. } => "Run `strongroom audit verify` on it.",
        }
        .to_owned()
    }

    fn why(&self) -> Vec<String> {
        match self {
            Self::Peer(error) => error.why(),
            Self::File(error) => error.why(),
            Self::NoExport { reason, .. } => vec![crate::client::plain(reason)],
            other => {
                let mut why = Vec::new();
                let mut cause = std::error::Error::source(other);
                while let Some(error) = cause {
                    why.push(error.to_string());
                    cause = error.source();
                }
                why
            }
        }
    }

    fn details(&self) -> Option<serde_json::Value> {
        match self {
            Self::Peer(error) => error.details(),
            _ => None,
        }
    }
}
