//! Signature lines.

use std::fmt;
use std::str::FromStr;

use super::key::KeyId;
use super::name::{KeyName, NameError};
use crate::text;

/// Em dash and space, which begin a signature line (C2SP signed-note, Format).
const DASH: &str = "\u{2014} ";

/// Length of a [`KeyId`] in bytes.
const ID_BYTES: usize = 4;

/// One signature of a note, as it was read: who is said to have made it, and its bytes. Not verified.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SignatureLine {
    name: KeyName,
    id: KeyId,
    signature: Vec<u8>,
}

impl SignatureLine {
    /// Puts a line together, whatever `signature` holds.
    ///
    /// # Errors
    /// [`LineError::Malformed`] when `signature` is empty.
    pub fn new(name: KeyName, id: KeyId, signature: Vec<u8>) -> Result<Self, LineError> {
        if signature.is_empty() {
            return Err(LineError::Malformed);
        }
        Ok(Self {
            name,
            id,
            signature,
        })
    }

    /// The name of the key.
    pub const fn name(&self) -> &KeyName {
        &self.name
    }

    /// The identifier of the key.
    pub const fn id(&self) -> KeyId {
        self.id
    }

    /// What follows the identifier; its form is the key's business.
    pub fn signature(&self) -> &[u8] {
        &self.signature
    }
}

/// Reads `— <name> <base64 of id and signature>`, without a newline.
impl FromStr for SignatureLine {
    type Err = LineError;

    fn from_str(line: &str) -> Result<Self, LineError> {
        let signed = line.strip_prefix(DASH).ok_or(LineError::Malformed)?;
        let (name, bytes) = signed.split_once(' ').ok_or(LineError::Malformed)?;
        let name = name.parse().map_err(|source| LineError::Name { source })?;
        let bytes = text::bytes(bytes).ok_or(LineError::Malformed)?;
        let (id, signature) = bytes
            .split_first_chunk::<ID_BYTES>()
            .ok_or(LineError::Malformed)?;
        Self::new(name, KeyId::new(*id), signature.to_vec())
    }
}

/// The line without a newline.
impl fmt::Display for SignatureLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = self.id.as_bytes().to_vec();
        bytes.extend(&self.signature);
        write!(f, "{DASH}{} {}", self.name, text::base64(&bytes))
    }
}

/// Why a text is no signature line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LineError {
    /// Not of the form `— <name> <base64>`, or without a signature after the key's id.
    #[error("a signature line is an em dash, a name and base64 of five bytes or more")]
    Malformed,
    /// The name is none.
    #[error("the signature line has no valid name")]
    Name {
        /// What is wrong with it.
        source: NameError,
    },
}
