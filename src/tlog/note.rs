//! Signed notes: a text and signatures of it. Source: C2SP signed-note (c2sp.org/signed-note).
//!
//! ```text
//! <text, its last line ended>
//!
//! — <key name> <base64 of key id and signature>
//! ```
//!
//! Reading is strict: what is read is written again byte for byte, but that repeated lines stay. A
//! note that was only read proves nothing; [`Note::verify`] names the keys that signed it.
//!
//! Keys live elsewhere, in an HSM: what is to be signed is the text, and [`sign`] takes the 64 bytes
//! that came back, if they are that key's signature.

mod key;
mod line;
mod name;

pub(crate) use self::key::{Algorithm, NamedKey};
pub use self::key::{ED25519_BYTES, KeyError, KeyId, PUBLIC_KEY_BYTES, VerifierKey};
pub use self::line::{LineError, SignatureLine};
pub use self::name::{KeyName, NameError};

use std::fmt;

/// The longest note in bytes: room for the longest text and some thirty post-quantum signatures.
pub const MAX_NOTE_BYTES: usize = 256 << 10;

/// The longest text in bytes.
pub const MAX_TEXT_BYTES: usize = 64 << 10;

/// The most signatures; the specification wants at least 16, Go's `note` takes 100.
pub const MAX_SIGNATURES: usize = 100;

/// What stands between the text (which it ends) and the signatures.
const SPLIT: &str = "\n\n";

/// A text with signatures, at least one. Not verified.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Note {
    text: String,
    signatures: Vec<SignatureLine>,
}

impl Note {
    /// Puts a note together.
    ///
    /// # Errors
    /// [`NoteError`] when no such note can be written.
    pub fn new(text: String, signatures: Vec<SignatureLine>) -> Result<Self, NoteError> {
        if text.len() > MAX_TEXT_BYTES {
            return Err(NoteError::TooLong);
        }
        if !text.ends_with('\n') || text.contains(|char| char < ' ' && char != '\n') {
            return Err(NoteError::Text);
        }
        if signatures.is_empty() {
            return Err(NoteError::Unsigned);
        }
        if signatures.len() > MAX_SIGNATURES {
            return Err(NoteError::TooManySignatures);
        }
        let note = Self { text, signatures };
        if note.to_string().len() > MAX_NOTE_BYTES {
            return Err(NoteError::TooLong);
        }
        Ok(note)
    }

    /// Reads a note.
    ///
    /// # Errors
    /// [`NoteError`] when the bytes are none.
    pub fn parse(bytes: &[u8]) -> Result<Self, NoteError> {
        if bytes.len() > MAX_NOTE_BYTES {
            return Err(NoteError::TooLong);
        }
        let note = str::from_utf8(bytes).map_err(|_| NoteError::Text)?;
        let (text, signatures) = note.rsplit_once(SPLIT).ok_or(NoteError::Unsigned)?;
        let lines = signatures.strip_suffix('\n').ok_or(NoteError::Unsigned)?;
        // One more than may be, so that the rest is never looked at.
        let signatures = lines
            .split('\n')
            .take(MAX_SIGNATURES.saturating_add(1))
            .map(str::parse)
            .collect::<Result<_, _>>()
            .map_err(|source| NoteError::Line { source })?;
        Self::new(format!("{text}\n"), signatures)
    }

    /// The text, with its last newline: what is signed.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The signatures, those of unknown keys too, in their order.
    pub fn signatures(&self) -> &[SignatureLine] {
        &self.signatures
    }

    /// Which of `keys` signed this text, each once; signatures of other keys are ignored.
    ///
    /// # Errors
    /// [`VerifyError::BadSignature`] when one signature that names a known key is not that key's;
    /// [`VerifyError::NoKnownKey`] when there is none of a known key.
    pub fn verify<'k>(&self, keys: &'k [VerifierKey]) -> Result<Vec<&'k VerifierKey>, VerifyError> {
        let mut signed = Vec::new();
        for line in &self.signatures {
            let mut named = keys.iter().filter(|key| key.named().is_named_by(line));
            let Some(first) = named.next() else { continue };
            let mut candidates = std::iter::once(first).chain(named);
            let message = self.text.as_bytes();
            let key = candidates
                .find(|key| key.named().verifies(message, line.signature()))
                .ok_or_else(|| VerifyError::BadSignature {
                    name: line.name().clone(),
                    id: line.id(),
                })?;
            if !signed.contains(&key) {
                signed.push(key);
            }
        }
        if signed.is_empty() {
            return Err(VerifyError::NoKnownKey);
        }
        Ok(signed)
    }

    /// Adds a signature; one of the same name and id is replaced.
    ///
    /// # Errors
    /// [`NoteError`] when the note would become too long; it is then as it was.
    pub fn add(&mut self, line: SignatureLine) -> Result<(), NoteError> {
        let mut signatures = self.signatures.clone();
        signatures.retain(|other| other.id() != line.id() || other.name() != line.name());
        signatures.push(line);
        *self = Self::new(self.text.clone(), signatures)?;
        Ok(())
    }
}

/// The note's bytes.
impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.text)?;
        self.signatures
            .iter()
            .try_for_each(|line| writeln!(f, "{line}"))
    }
}

/// Makes the signature line of what `key`'s owner answered when asked to sign `text`.
///
/// # Errors
/// [`ForeignSignature`] when it is not that key's signature of that text.
pub fn sign(
    text: &str,
    key: &VerifierKey,
    signature: &[u8; ED25519_BYTES],
) -> Result<SignatureLine, ForeignSignature> {
    let foreign = || ForeignSignature {
        name: key.name().clone(),
    };
    if !key.named().verifies(text.as_bytes(), signature) {
        return Err(foreign());
    }
    SignatureLine::new(key.name().clone(), key.id(), signature.to_vec()).map_err(|_| foreign())
}

/// Why bytes are no note.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NoteError {
    /// Longer than [`MAX_NOTE_BYTES`], or its text than [`MAX_TEXT_BYTES`].
    #[error("the note is too long")]
    TooLong,
    /// Not UTF-8, with a control character, or the text does not end in a newline.
    #[error("a note's text is UTF-8 without control characters and ends in a newline")]
    Text,
    /// No blank line and signature lines at the end.
    #[error("the note has no signatures")]
    Unsigned,
    /// More than [`MAX_SIGNATURES`].
    #[error("the note has too many signatures")]
    TooManySignatures,
    /// What follows the last blank line is not made of signature lines.
    #[error("the note has a line that is no signature")]
    Line {
        /// What is wrong with the first such line.
        source: LineError,
    },
}

/// Why a note is not believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum VerifyError {
    /// No signature names a known key.
    #[error("no known key signed the note")]
    NoKnownKey,
    /// A signature names a known key and is not that key's.
    #[error("the signature of {name} ({id}) is not that key's")]
    BadSignature {
        /// The key's name.
        name: KeyName,
        /// The key's identifier.
        id: KeyId,
    },
}

/// A signer answered with something else than its key's signature of what it was asked to sign.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("what was returned is not a signature by {name}")]
pub struct ForeignSignature {
    /// The key that was asked.
    pub name: KeyName,
}
