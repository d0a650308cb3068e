//! Checkpoints that are their log's word.

use std::fmt;

use super::{Checkpoint, CheckpointError, Origin};
use crate::note::{
    self, ED25519_BYTES, ForeignSignature, Note, NoteError, VerifierKey, VerifyError,
};
use crate::note::{KeyName, SignatureLine};
use crate::verify::TreeHead;

/// A checkpoint that a trusted key of its log signed: made only where the signature was verified.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub struct SignedCheckpoint {
    checkpoint: Checkpoint,
    signers: Vec<KeyName>,
    note: Note,
}

impl SignedCheckpoint {
    /// Reads a checkpoint of the log `origin` and verifies that one of `keys` signed it.
    ///
    /// # Errors
    /// [`OpenError`], in which case nobody vouches for it.
    pub fn open(bytes: &[u8], origin: &Origin, keys: &[VerifierKey]) -> Result<Self, OpenError> {
        let note = Note::parse(bytes).map_err(|source| OpenError::Note { source })?;
        let checkpoint = note
            .text()
            .parse()
            .map_err(|source| OpenError::Checkpoint { source })?;
        Self::verify(checkpoint, note, origin, keys)
    }

    /// [`SignedCheckpoint::open`] for what is read already; `checkpoint` is `note`'s text.
    pub(crate) fn verify(
        checkpoint: Checkpoint,
        note: Note,
        origin: &Origin,
        keys: &[VerifierKey],
    ) -> Result<Self, OpenError> {
        if checkpoint.origin() != origin {
            return Err(OpenError::OtherLog {
                found: checkpoint.origin().clone(),
            });
        }
        let signers = note
            .verify(keys)
            .map_err(|source| OpenError::Signature { source })?
            .into_iter()
            .map(|key| key.name().clone())
            .collect();
        Ok(Self {
            checkpoint,
            signers,
            note,
        })
    }

    /// Puts the log's own signature under its checkpoint. What is to be signed is
    /// `checkpoint.to_string()`.
    ///
    /// # Errors
    /// [`ForeignSignature`] when `signature` is not `key`'s of that text.
    pub fn sign(
        checkpoint: Checkpoint,
        key: &VerifierKey,
        signature: &[u8; ED25519_BYTES],
    ) -> Result<Self, ForeignSignature> {
        let text = checkpoint.to_string();
        let line = note::sign(&text, key, signature)?;
        // A checkpoint's text is always a note's: ended, printable, far below the limit.
        let note = Note::new(text, vec![line]).map_err(|_| ForeignSignature {
            name: key.name().clone(),
        })?;
        Ok(Self {
            checkpoint,
            signers: vec![key.name().clone()],
            note,
        })
    }

    /// What was signed.
    pub const fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// Size and root.
    pub const fn head(&self) -> &TreeHead {
        self.checkpoint.head()
    }

    /// The keys whose signatures were verified, by their names; at least one.
    pub fn signers(&self) -> &[KeyName] {
        &self.signers
    }

    /// The whole note: its bytes are `to_string()`.
    pub const fn note(&self) -> &Note {
        &self.note
    }

    /// Adds a line that a witness made; the caller has verified it.
    pub(crate) fn add(&mut self, line: SignatureLine) -> Result<(), NoteError> {
        self.note.add(line)
    }
}

/// The note's bytes, as `checkpoint` is served.
impl fmt::Display for SignedCheckpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.note.fmt(f)
    }
}

/// Why bytes are no checkpoint of a log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The bytes are no note.
    #[error("the checkpoint is no signed note")]
    Note {
        /// What is wrong with it.
        source: NoteError,
    },
    /// The note's text is no checkpoint.
    #[error("the note is no checkpoint")]
    Checkpoint {
        /// What is wrong with it.
        source: CheckpointError,
    },
    /// A checkpoint of another log.
    #[error("the checkpoint is of {found}")]
    OtherLog {
        /// Its origin.
        found: Origin,
    },
    /// No trusted key signed it, or a signature in a trusted key's name is not its.
    #[error("the checkpoint is not signed by its log")]
    Signature {
        /// Which.
        source: VerifyError,
    },
}
