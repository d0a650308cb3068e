//! Keys from a seed: BIP-32 for secp256k1, SLIP-0010 for Ed25519, and BIP-86 for a key that is an output.

use std::{fmt, str::FromStr};

use bitcoin::{
    bip32::{ChildNumber, DerivationPath, Fingerprint},
    hashes::{Hash, hash160},
    key::XOnlyPublicKey,
    taproot::TapTweakHash,
};
use hmac::{Hmac, Mac};
use k256::{
    Scalar,
    elliptic_curve::{PrimeField, point::AffineCoordinates, sec1::ToEncodedPoint},
};
use sha2::Sha512;
use thiserror::Error;
use zeroize::{Zeroize, Zeroizing};

use super::{
    error::KeystoreError,
    pair,
    secret::{SECRET_BYTES, Secret},
};
use crate::key::KeyAlgorithm;

/// The most steps of a path: BIP-32 counts them in a byte.
const STEPS_MAX: usize = 255;
/// Bytes of what HMAC-SHA-512 gives: a private key, and the chain code that its children are derived with.
const NODE_BYTES: usize = 64;

/// Which key of a seed: its algorithm and its path, which the algorithm has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Derivation {
    algorithm: KeyAlgorithm,
    path: DerivationPath,
}

/// Why there is no key of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum PathError {
    /// It is not spelt as one.
    #[error("the path is not spelt as m/44'/60'/0'/0/0 is")]
    Spelling,
    /// It has no step: the seed itself signs nothing.
    #[error("the path has no step: the first key of a seed signs nothing itself")]
    NoStep,
    /// More steps than BIP-32 can count.
    #[error("the path has more than {STEPS_MAX} steps")]
    TooLong,
    /// A step that is not hardened, of an Ed25519 key.
    #[error("every step of an Ed25519 key's path is hardened, as in m/44'/501'/0'")]
    NotHardened,
}

impl Derivation {
    /// Reads a path, as `m/84'/0'/0'/0/5`; `h` says that a step is hardened as well.
    ///
    /// # Errors
    /// [`PathError`].
    pub fn new(algorithm: KeyAlgorithm, path: &str) -> Result<Self, PathError> {
        if !path.starts_with('m') {
            return Err(PathError::Spelling);
        }
        let path = DerivationPath::from_str(path).map_err(|_| PathError::Spelling)?;
        if path.is_empty() {
            return Err(PathError::NoStep);
        }
        if path.len() > STEPS_MAX {
            return Err(PathError::TooLong);
        }
        let hardened = path.into_iter().all(ChildNumber::is_hardened);
        if algorithm == KeyAlgorithm::Ed25519 && !hardened {
            return Err(PathError::NotHardened);
        }
        Ok(Self { algorithm, path })
    }

    /// What the key signs with.
    pub fn algorithm(&self) -> KeyAlgorithm {
        self.algorithm
    }

    /// The secret that a seed has at the path.
    ///
    /// # Errors
    /// [`KeystoreError::NoKey`] where there is none, which is one path in 2^127.
    pub(super) fn derive(&self, seed: &[u8]) -> Result<Secret, KeystoreError> {
        let curve = Curve::of(self.algorithm);
        let mut node = curve.master(seed)?;
        for step in &self.path {
            node = curve.child(&node, *step)?;
        }
        match self.algorithm {
            KeyAlgorithm::Secp256k1 | KeyAlgorithm::Ed25519 => node.key(),
            KeyAlgorithm::Bip340 => output_key(&node.key()?),
        }
    }
}

impl fmt::Display for Derivation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "m/{}", self.path)
    }
}

/// What wallets name a seed by: the first four bytes of the hash of its first secp256k1 key (BIP-32, "Key identifiers").
pub(super) fn fingerprint(seed: &[u8]) -> Result<Fingerprint, KeystoreError> {
    let node = Curve::Secp256k1.master(seed)?;
    let point = pair::point(&node.key()?)?.ok_or(KeystoreError::NoKey)?;
    let hash = hash160::Hash::hash(point.to_encoded_point(true).as_bytes());
    let first = hash.as_byte_array().first_chunk::<4>();
    Ok(first.copied().unwrap_or_default().into())
}

#[derive(Clone, Copy)]
enum Curve {
    Secp256k1,
    Ed25519,
}

/// A private key and its chain code.
struct Node(Secret<NODE_BYTES>);

impl Node {
    fn new(key: &[u8], message: &[&[u8]]) -> Result<Self, KeystoreError> {
        let mac = Hmac::<Sha512>::new_from_slice(key).map_err(|_| KeystoreError::NoKey)?;
        let mac = message.iter().fold(mac, |mac, part| mac.chain_update(part));
        let mut bytes = mac.finalize().into_bytes();
        let node = Secret::filled(|node| {
            node.copy_from_slice(&bytes);
            Ok::<(), KeystoreError>(())
        });
        bytes.as_mut_slice().zeroize();
        node.map(Self)
    }

    fn halves(&self) -> Result<(&[u8], &[u8]), KeystoreError> {
        Ok(self.0.expose()?.split_at(SECRET_BYTES))
    }

    fn key(&self) -> Result<Secret, KeystoreError> {
        let (key, _) = self.halves()?;
        Secret::filled(|bytes| {
            bytes.copy_from_slice(key);
            Ok::<(), KeystoreError>(())
        })
    }

    /// The same chain code with another key.
    fn with_key(&self, key: &Scalar) -> Result<Self, KeystoreError> {
        let (_, chain_code) = self.halves()?;
        let node = Secret::filled(|bytes| {
            let (first, last) = bytes.split_at_mut(SECRET_BYTES);
            let mut key = key.to_bytes();
            first.copy_from_slice(&key);
            key.as_mut_slice().zeroize();
            last.copy_from_slice(chain_code);
            Ok::<(), KeystoreError>(())
        });
        node.map(Self)
    }
}

impl Curve {
    fn of(algorithm: KeyAlgorithm) -> Self {
        match algorithm {
            KeyAlgorithm::Secp256k1 | KeyAlgorithm::Bip340 => Self::Secp256k1,
            KeyAlgorithm::Ed25519 => Self::Ed25519,
        }
    }

    /// BIP-32, "Master key generation"; SLIP-0010 has the other key.
    fn master(self, seed: &[u8]) -> Result<Node, KeystoreError> {
        let key: &[u8] = match self {
            Self::Secp256k1 => b"Bitcoin seed",
            Self::Ed25519 => b"ed25519 seed",
        };
        let node = Node::new(key, &[seed])?;
        match self {
            Self::Secp256k1 => scalar(&node.key()?).map(|_| node),
            Self::Ed25519 => Ok(node),
        }
    }

    /// BIP-32, "Private parent key → private child key"; SLIP-0010 for Ed25519, whose steps are hardened.
    fn child(self, parent: &Node, step: ChildNumber) -> Result<Node, KeystoreError> {
        let (key, chain_code) = parent.halves()?;
        let number = u32::from(step).to_be_bytes();
        let derived = if step.is_hardened() {
            Node::new(chain_code, &[&[0], key, &number])?
        } else {
            let point = pair::point(&parent.key()?)?.ok_or(KeystoreError::NoKey)?;
            let point = point.to_encoded_point(true);
            Node::new(chain_code, &[point.as_bytes(), &number])?
        };
        match self {
            Self::Ed25519 => Ok(derived),
            Self::Secp256k1 => {
                let (own, above) = (scalar(&derived.key()?)?, scalar(&parent.key()?)?);
                derived.with_key(&*sum(&own, &above)?)
            }
        }
    }
}

/// BIP-86: the internal key with an even y, and what an output without scripts adds to it.
fn output_key(internal: &Secret) -> Result<Secret, KeystoreError> {
    let point = pair::point(internal)?.ok_or(KeystoreError::NoKey)?;
    let mut key = scalar(internal)?;
    if bool::from(point.as_affine().y_is_odd()) {
        *key = key.negate();
    }
    let internal = XOnlyPublicKey::from_slice(&point.as_affine().x());
    let internal = internal.map_err(|_| KeystoreError::NoKey)?;
    let tweak = TapTweakHash::from_key_and_tweak(internal, None).to_byte_array();
    let tweak = Option::<Scalar>::from(Scalar::from_repr(tweak.into()));
    let sum = sum(&key, &tweak.ok_or(KeystoreError::NoKey)?)?;
    Secret::filled(|bytes| {
        let mut key = sum.to_bytes();
        bytes.copy_from_slice(&key);
        key.as_mut_slice().zeroize();
        Ok::<(), KeystoreError>(())
    })
}

fn scalar(secret: &Secret) -> Result<Zeroizing<Scalar>, KeystoreError> {
    pair::scalar(secret)?.ok_or(KeystoreError::NoKey)
}

/// Modulo the order; a sum of 0 is no key.
fn sum(one: &Scalar, other: &Scalar) -> Result<Zeroizing<Scalar>, KeystoreError> {
    let sum = Zeroizing::new(one.add(other));
    if bool::from(sum.is_zero()) {
        return Err(KeystoreError::NoKey);
    }
    Ok(sum)
}
