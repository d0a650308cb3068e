//! The public keys of passkeys.

use std::fmt;

use base64ct::{Base64UrlUnpadded, Encoding as _};
use p256::ecdsa::signature::Verifier as _;
use thiserror::Error;

use crate::statement::KeyMaterial;

/// The public key of a passkey in its one spelling: `es256` or `eddsa`, and the key in base64url, which is a
/// point of P-256 in 33 bytes or an Ed25519 key of 32; no comment.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Passkey(String);

/// Why a text is no public key of a passkey.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum PasskeyError {
    /// It has not the form.
    #[error("is no passkey's line, such as `es256 A…`, as the approval page writes it")]
    Form,
    /// It is of an algorithm that is not taken.
    #[error("is a passkey of an algorithm that is not taken; there is es256 and eddsa")]
    Algorithm,
    /// The bytes are no public key.
    #[error("is no public key of its algorithm, or one that anybody could sign for")]
    Key,
}

/// The longest line that is read, with its comment, in bytes.
const LENGTH_MAX: usize = 256;
const ES256: &str = "es256";
const EDDSA: &str = "eddsa";

/// What verifies.
enum Verifying {
    Es256(p256::ecdsa::VerifyingKey),
    EdDsa(ed25519_dalek::VerifyingKey),
}

impl Passkey {
    /// Reads a line as the approval page writes it; the comment is dropped.
    ///
    /// # Errors
    /// [`PasskeyError`].
    pub fn parse(line: &str) -> Result<Self, PasskeyError> {
        if line.len() > LENGTH_MAX {
            return Err(PasskeyError::Form);
        }
        let mut words = line.splitn(3, ' ');
        let (Some(algorithm), Some(key)) = (words.next(), words.next()) else {
            return Err(PasskeyError::Form);
        };
        let passkey = Self(format!("{algorithm} {key}"));
        passkey.verifying()?;
        Ok(passkey)
    }

    /// The line.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The key itself, whatever it is used for.
    pub(crate) fn material(&self) -> Option<KeyMaterial> {
        let bytes = match self.verifying().ok()? {
            Verifying::Es256(key) => key.to_encoded_point(true).as_bytes().to_vec(),
            Verifying::EdDsa(key) => key.as_bytes().to_vec(),
        };
        Some(KeyMaterial(bytes))
    }

    fn verifying(&self) -> Result<Verifying, PasskeyError> {
        let (algorithm, key) = self.0.split_once(' ').ok_or(PasskeyError::Form)?;
        let read = match algorithm {
            ES256 => |bytes: &[u8]| es256(bytes).map(Verifying::Es256),
            EDDSA => |bytes: &[u8]| eddsa(bytes).map(Verifying::EdDsa),
            _ => return Err(PasskeyError::Algorithm),
        };
        let bytes = decoded(key).ok_or(PasskeyError::Form)?;
        read(&bytes).ok_or(PasskeyError::Key)
    }

    /// Whether the signature over these bytes is by it: of ES256 in strict DER.
    pub(super) fn signed(&self, bytes: &[u8], signature: &[u8]) -> bool {
        match self.verifying() {
            Ok(Verifying::Es256(key)) => p256::ecdsa::Signature::from_der(signature)
                .is_ok_and(|signature| key.verify(bytes, &signature).is_ok()),
            Ok(Verifying::EdDsa(key)) => ed25519_dalek::Signature::from_slice(signature)
                .is_ok_and(|signature| key.verify_strict(bytes, &signature).is_ok()),
            Err(_) => false,
        }
    }
}

/// Base64url without padding, in the one spelling of its bytes.
pub(super) fn decoded(text: &str) -> Option<Vec<u8>> {
    let bytes = Base64UrlUnpadded::decode_vec(text).ok()?;
    (Base64UrlUnpadded::encode_string(&bytes) == text).then_some(bytes)
}

/// The point in its short form alone: one key has one line.
fn es256(bytes: &[u8]) -> Option<p256::ecdsa::VerifyingKey> {
    let key = p256::ecdsa::VerifyingKey::from_sec1_bytes(bytes).ok()?;
    let is_short = key.to_encoded_point(true).as_bytes() == bytes;
    is_short.then_some(key)
}

/// A point of small order has signatures that nobody made.
fn eddsa(bytes: &[u8]) -> Option<ed25519_dalek::VerifyingKey> {
    let key = ed25519_dalek::VerifyingKey::from_bytes(bytes.try_into().ok()?).ok()?;
    (!key.is_weak()).then_some(key)
}

impl fmt::Display for Passkey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
