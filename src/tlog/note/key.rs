//! Keys that notes are verified with, and their text form `<name>+<hex id>+<base64 key>`.

use std::fmt;
use std::str::FromStr;

use ed25519_dalek::{Signature, VerifyingKey};
use sha2::{Digest, Sha256};

use super::line::SignatureLine;
use super::name::{KeyName, NameError};
use crate::text;

/// Length of an Ed25519 public key in bytes (RFC 8032 §5.1.5).
pub const PUBLIC_KEY_BYTES: usize = 32;

/// Length of an Ed25519 signature in bytes (RFC 8032 §5.1.6).
pub const ED25519_BYTES: usize = 64;

/// The short identifier of a key, shown as eight hexadecimal digits: which key to try, not proof
/// of which key it is. Source: C2SP signed-note, Signatures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId([u8; 4]);

impl KeyId {
    /// Takes four bytes as they are.
    pub const fn new(bytes: [u8; 4]) -> Self {
        Self(bytes)
    }

    /// The four bytes.
    pub const fn as_bytes(&self) -> &[u8; 4] {
        &self.0
    }

    /// SHA-256(name || 0x0A || type || public key)\[..4\].
    fn of(name: &KeyName, algorithm: Algorithm, public_key: &[u8; PUBLIC_KEY_BYTES]) -> Self {
        let mut hasher = Sha256::new();
        hasher.update(name.as_str());
        hasher.update(b"\n");
        hasher.update([algorithm as u8]);
        hasher.update(public_key);
        let digest: [u8; 32] = hasher.finalize().into();
        let [a, b, c, d, ..] = digest;
        Self([a, b, c, d])
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", u32::from_be_bytes(self.0))
    }
}

/// Signature types that are known here. Source: C2SP signed-note, Signature types.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Algorithm {
    /// Ed25519 over the note's text.
    Ed25519 = 0x01,
    /// A timestamped cosignature of a checkpoint (C2SP tlog-cosignature).
    Cosignature = 0x04,
}

/// An Ed25519 public key for one use, under a name.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct NamedKey {
    name: KeyName,
    id: KeyId,
    algorithm: Algorithm,
    public: VerifyingKey,
}

impl NamedKey {
    pub(crate) fn new(
        name: KeyName,
        algorithm: Algorithm,
        public_key: &[u8; PUBLIC_KEY_BYTES],
    ) -> Result<Self, KeyError> {
        let public = VerifyingKey::from_bytes(public_key).map_err(|_| KeyError::NotAKey)?;
        // A key of small order has signatures that hold for every message.
        if public.is_weak() {
            return Err(KeyError::NotAKey);
        }
        let id = KeyId::of(&name, algorithm, public_key);
        Ok(Self {
            name,
            id,
            algorithm,
            public,
        })
    }

    pub(crate) fn parse(text: &str, algorithm: Algorithm) -> Result<Self, KeyError> {
        // A name has no plus sign; base64 may have some.
        let mut parts = text.splitn(3, '+');
        let (Some(name), Some(id), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(KeyError::Malformed);
        };
        let name = name.parse().map_err(|source| KeyError::Name { source })?;
        let key = text::bytes(key).ok_or(KeyError::Malformed)?;
        let (found, public_key) = key.split_first().ok_or(KeyError::Malformed)?;
        if *found != algorithm as u8 {
            return Err(KeyError::OtherType {
                found: *found,
                wanted: algorithm as u8,
            });
        }
        let public_key = public_key.try_into().map_err(|_| KeyError::Malformed)?;
        let key = Self::new(name, algorithm, public_key)?;
        if key.id.to_string() != id {
            return Err(KeyError::OtherId { computed: key.id });
        }
        Ok(key)
    }

    pub(crate) const fn name(&self) -> &KeyName {
        &self.name
    }

    pub(crate) const fn id(&self) -> KeyId {
        self.id
    }

    pub(crate) fn public_key(&self) -> &[u8; PUBLIC_KEY_BYTES] {
        self.public.as_bytes()
    }

    /// Whether a line says that this key made it.
    pub(crate) fn is_named_by(&self, line: &SignatureLine) -> bool {
        line.id() == self.id && *line.name() == self.name
    }

    /// Strict verification: a signature has one valid form (no small-order points, canonical `s`).
    pub(crate) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        let Ok(signature) = signature.try_into() else {
            return false;
        };
        let signature = Signature::from_bytes(signature);
        self.public.verify_strict(message, &signature).is_ok()
    }
}

impl fmt::Display for NamedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut key = vec![self.algorithm as u8];
        key.extend(self.public_key());
        write!(f, "{}+{}+{}", self.name, self.id, text::base64(&key))
    }
}

/// A key whose Ed25519 signatures of a note's text are believed: type 0x01.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct VerifierKey(NamedKey);

impl VerifierKey {
    /// Names a public key.
    ///
    /// # Errors
    /// [`KeyError::NotAKey`].
    pub fn new(name: KeyName, public_key: &[u8; PUBLIC_KEY_BYTES]) -> Result<Self, KeyError> {
        NamedKey::new(name, Algorithm::Ed25519, public_key).map(Self)
    }

    /// The name.
    pub const fn name(&self) -> &KeyName {
        self.0.name()
    }

    /// The identifier.
    pub const fn id(&self) -> KeyId {
        self.0.id()
    }

    /// The public key alone.
    pub fn public_key(&self) -> &[u8; PUBLIC_KEY_BYTES] {
        self.0.public_key()
    }

    pub(crate) const fn named(&self) -> &NamedKey {
        &self.0
    }
}

/// Reads `<name>+<hex id>+<base64 of 0x01 and the key>` (C2SP signed-note, Verifier keys).
impl FromStr for VerifierKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        NamedKey::parse(text, Algorithm::Ed25519).map(Self)
    }
}

impl fmt::Display for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Why a text is no verifier key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// Not of the form `<name>+<eight hexadecimal digits>+<base64>`, or of another length.
    #[error("a verifier key is <name>+<id>+<base64>")]
    Malformed,
    /// The name is none.
    #[error("the key has no valid name")]
    Name {
        /// What is wrong with it.
        source: NameError,
    },
    /// A key for another kind of signature.
    #[error("the key is of type 0x{found:02x}, not 0x{wanted:02x}")]
    OtherType {
        /// The type that the text says.
        found: u8,
        /// The type that is needed here.
        wanted: u8,
    },
    /// The identifier is not that of name and key: a name or key was mistyped, or changed.
    #[error("the key's id is {computed}")]
    OtherId {
        /// What name and key give.
        computed: KeyId,
    },
    /// Not a point of the curve, or one of small order.
    #[error("the bytes are no Ed25519 public key")]
    NotAKey,
}
