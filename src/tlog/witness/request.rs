//! The body of an add-checkpoint request.
//!
//! ```text
//! old <size>
//! <proof hash in base64>      (0 to 63 lines)
//!
//! <checkpoint>
//! ```

use std::fmt;

use super::Log;
use crate::checkpoint::{Checkpoint, CheckpointError, OpenError, Origin, SignedCheckpoint};
use crate::hash::Hash;
use crate::note::{MAX_NOTE_BYTES, Note, NoteError};
use crate::text;

/// The most lines of proof: as many as a tree of 2^63 - 1 leaves has levels.
pub const MAX_PROOF_LINES: usize = 63;

/// The longest request in bytes: a note, and 4 KiB for the lines before it.
pub const MAX_REQUEST_BYTES: usize = MAX_NOTE_BYTES + (4 << 10);

/// What begins the first line.
const OLD: &str = "old ";

/// Asks a witness to cosign a checkpoint that continues one of `old_size`. Well-formed, not verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddCheckpoint {
    old_size: u64,
    proof: Vec<Hash>,
    checkpoint: Checkpoint,
    note: Note,
}

impl AddCheckpoint {
    /// Asks for `signed` to be cosigned; `proof` is the consistency proof from `old_size`, empty from 0.
    ///
    /// # Errors
    /// [`RequestError::Proof`] when the proof has more than [`MAX_PROOF_LINES`] hashes.
    pub fn new(
        old_size: u64,
        proof: Vec<Hash>,
        signed: &SignedCheckpoint,
    ) -> Result<Self, RequestError> {
        if proof.len() > MAX_PROOF_LINES {
            return Err(RequestError::Proof);
        }
        Ok(Self {
            old_size,
            proof,
            checkpoint: signed.checkpoint().clone(),
            note: signed.note().clone(),
        })
    }

    /// Reads a request's body. Whatever cannot be read is answered with 400.
    ///
    /// # Errors
    /// [`RequestError`].
    pub fn parse(body: &[u8]) -> Result<Self, RequestError> {
        if body.len() > MAX_REQUEST_BYTES {
            return Err(RequestError::TooLong);
        }
        let body = str::from_utf8(body).map_err(|_| RequestError::Lines)?;
        let (lines, note) = body.split_once("\n\n").ok_or(RequestError::Lines)?;
        let mut lines = lines.split('\n');
        let old_size = lines
            .next()
            .and_then(|line| line.strip_prefix(OLD))
            .and_then(text::size)
            .ok_or(RequestError::OldSize)?;
        // One more than may be, so that the rest is never looked at.
        let proof: Vec<Hash> = lines
            .take(MAX_PROOF_LINES.saturating_add(1))
            .map(text::hash)
            .collect::<Option<_>>()
            .ok_or(RequestError::Proof)?;
        if proof.len() > MAX_PROOF_LINES {
            return Err(RequestError::Proof);
        }
        let note = Note::parse(note.as_bytes()).map_err(|source| RequestError::Note { source })?;
        let checkpoint = note
            .text()
            .parse()
            .map_err(|source| RequestError::Checkpoint { source })?;
        Ok(Self {
            old_size,
            proof,
            checkpoint,
            note,
        })
    }

    /// The size that the witness is thought to have cosigned last.
    pub const fn old_size(&self) -> u64 {
        self.old_size
    }

    /// The consistency proof, lowest node first.
    pub fn proof(&self) -> &[Hash] {
        &self.proof
    }

    /// The log that the checkpoint says it is of.
    pub const fn origin(&self) -> &Origin {
        self.checkpoint.origin()
    }

    /// Verifies that `log` signed the checkpoint.
    pub(super) fn open(self, log: &Log) -> Result<(u64, Vec<Hash>, SignedCheckpoint), OpenError> {
        let signed = SignedCheckpoint::verify(self.checkpoint, self.note, &log.origin, &log.keys)?;
        Ok((self.old_size, self.proof, signed))
    }
}

/// The request's body.
impl fmt::Display for AddCheckpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{OLD}{}", self.old_size)?;
        for hash in &self.proof {
            writeln!(f, "{}", text::base64(hash.as_ref()))?;
        }
        write!(f, "\n{}", self.note)
    }
}

/// Why a body is no request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RequestError {
    /// Longer than [`MAX_REQUEST_BYTES`].
    #[error("the request is too long")]
    TooLong,
    /// Not UTF-8, or without a blank line before the checkpoint.
    #[error("the request is not made of lines, a blank line and a checkpoint")]
    Lines,
    /// The first line is not `old` and a size.
    #[error("the request does not begin with an old size")]
    OldSize,
    /// A line of the proof is no hash, or one too many.
    #[error("the request has no valid proof")]
    Proof,
    /// What follows is no signed note.
    #[error("the request has no signed note")]
    Note {
        /// What is wrong with it.
        source: NoteError,
    },
    /// The note is no checkpoint.
    #[error("the request's note is no checkpoint")]
    Checkpoint {
        /// What is wrong with it.
        source: CheckpointError,
    },
}
