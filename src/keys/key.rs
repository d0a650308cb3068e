//! What a key is called, what it is for, and its public half.

use std::fmt;

pub(crate) use policy::{KeyAlgorithm, KeyPurpose};
use thiserror::Error;
use tx::Name;

/// The first part of the label of every key that Strongroom made.
const LABEL_PREFIX: &str = "strongroom";

/// Names one key on a device. Its text is the key's `CKA_LABEL`: `strongroom:<purpose>:<name>`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyId {
    /// What the key is for.
    pub purpose: KeyPurpose,
    /// The key's name, unique for its purpose.
    pub name: Name,
}

/// A public key, a valid point on its curve.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PublicKey {
    /// A compressed point (SEC 1, 33 bytes).
    Secp256k1([u8; 33]),
    /// An encoded point (RFC 8032, 32 bytes).
    Ed25519([u8; 32]),
    /// The x coordinate of a point with an even y (BIP-340, 32 bytes).
    Bip340([u8; 32]),
}

/// The bytes are no point on the algorithm's curve.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the bytes are no public key for {algorithm}")]
pub struct PublicKeyError {
    /// The algorithm.
    pub algorithm: KeyAlgorithm,
}

impl KeyId {
    /// The label of the key's two objects.
    pub fn label(&self) -> String {
        self.to_string()
    }

    /// Reads a label; `None` when Strongroom did not write it.
    pub fn from_label(label: &str) -> Option<Self> {
        let mut parts = label.splitn(3, ':');
        if parts.next()? != LABEL_PREFIX {
            return None;
        }
        let purpose = parts.next()?;
        let purpose = KeyPurpose::ALL
            .into_iter()
            .find(|known| known.as_str() == purpose)?;
        let name = parts.next()?.parse().ok()?;
        Some(Self { purpose, name })
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{LABEL_PREFIX}:{}:{}", self.purpose, self.name)
    }
}

impl PublicKey {
    /// Checks that `bytes` is a point on the curve of `algorithm`.
    ///
    /// # Errors
    /// [`PublicKeyError`] when it is not, or not in the compressed encoding.
    pub fn new(algorithm: KeyAlgorithm, bytes: &[u8]) -> Result<Self, PublicKeyError> {
        let key = match algorithm {
            KeyAlgorithm::Secp256k1 => secp256k1_point(bytes).map(Self::Secp256k1),
            KeyAlgorithm::Ed25519 => ed25519_point(bytes).map(Self::Ed25519),
            KeyAlgorithm::Bip340 => x_only_point(bytes).map(Self::Bip340),
        };
        key.ok_or(PublicKeyError { algorithm })
    }

    /// The algorithm that the key verifies.
    pub fn algorithm(&self) -> KeyAlgorithm {
        match self {
            Self::Secp256k1(_) => KeyAlgorithm::Secp256k1,
            Self::Ed25519(_) => KeyAlgorithm::Ed25519,
            Self::Bip340(_) => KeyAlgorithm::Bip340,
        }
    }

    /// The encoded point: 33 bytes for ECDSA on secp256k1, 32 for Ed25519 and BIP-340.
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Secp256k1(bytes) => bytes,
            Self::Ed25519(bytes) | Self::Bip340(bytes) => bytes,
        }
    }

    /// The compressed point on secp256k1, of an even y with BIP-340; `None` of another curve.
    pub(crate) fn point(&self) -> Option<[u8; 33]> {
        /// What a compressed point of an even y begins with (SEC 1 §2.3.3).
        const EVEN: u8 = 2;

        match self {
            Self::Secp256k1(point) => Some(*point),
            Self::Bip340(x) => {
                let mut point = [EVEN; 33];
                point.last_chunk_mut::<32>()?.copy_from_slice(x);
                Some(point)
            }
            Self::Ed25519(_) => None,
        }
    }

    /// Whether one secret is behind both, or one is that of the other's negative.
    pub(crate) fn shares_secret(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Ed25519(one), Self::Ed25519(other)) => one == other,
            (Self::Ed25519(_), _) | (_, Self::Ed25519(_)) => false,
            _ => self.x() == other.x(),
        }
    }

    /// The x coordinate of a point on secp256k1; all of an Ed25519 key.
    fn x(&self) -> &[u8] {
        match self {
            Self::Secp256k1([_, x @ ..]) => x,
            Self::Ed25519(bytes) | Self::Bip340(bytes) => bytes,
        }
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.as_bytes()))
    }
}

fn secp256k1_point(bytes: &[u8]) -> Option<[u8; 33]> {
    let bytes: [u8; 33] = bytes.try_into().ok()?;
    bitcoin::secp256k1::PublicKey::from_slice(&bytes).ok()?;
    Some(bytes)
}

fn x_only_point(bytes: &[u8]) -> Option<[u8; 32]> {
    let bytes: [u8; 32] = bytes.try_into().ok()?;
    bitcoin::secp256k1::XOnlyPublicKey::from_slice(&bytes).ok()?;
    Some(bytes)
}

fn ed25519_point(bytes: &[u8]) -> Option<[u8; 32]> {
    let bytes: [u8; 32] = bytes.try_into().ok()?;
    let point = ed25519_dalek::VerifyingKey::from_bytes(&bytes).ok()?;
    // A point of small order verifies signatures that nobody made.
    (!point.is_weak()).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_reads_back_and_foreign_ones_do_not() {
        for purpose in KeyPurpose::ALL {
            let id = KeyId {
                purpose,
                name: "eth-hot.1".parse().unwrap(),
            };
            assert_eq!(KeyId::from_label(&id.label()), Some(id));
        }
        for label in [
            "",
            "strongroom",
            "strongroom:spend",
            "strongroom:spend:",
            "strongroom:spend:A",
            "strongroom:spend:a:b",
            "strongroom:Spend:a",
            "other:spend:a",
            " strongroom:spend:a",
        ] {
            assert_eq!(KeyId::from_label(label), None, "{label:?}");
        }
    }

    #[test]
    fn refuses_what_is_no_point() {
        assert!(PublicKey::new(KeyAlgorithm::Secp256k1, &[2; 32]).is_err());
        assert!(PublicKey::new(KeyAlgorithm::Secp256k1, &[5; 33]).is_err());
        assert!(PublicKey::new(KeyAlgorithm::Secp256k1, &[4; 65]).is_err());
        let identity = {
            let mut bytes = [0; 32];
            bytes[0] = 1;
            bytes
        };
        assert!(PublicKey::new(KeyAlgorithm::Ed25519, &identity).is_err());
        assert!(PublicKey::new(KeyAlgorithm::Bip340, &[2; 33]).is_err());
        assert!(PublicKey::new(KeyAlgorithm::Bip340, &[0; 32]).is_err());
        assert!(PublicKey::new(KeyAlgorithm::Bip340, &[0xff; 32]).is_err());
    }
}
