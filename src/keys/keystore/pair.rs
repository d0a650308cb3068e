//! What is done with a secret: its public half, its address, a signature. The secret is read where
//! it lies; what the libraries copy from it they wipe.

use ed25519_dalek::{Signer, SigningKey};
use k256::{
    FieldBytes, NonZeroScalar, Scalar,
    ecdsa::hazmat::SignPrimitive,
    elliptic_curve::{PrimeField, point::AffineCoordinates, sec1::ToEncodedPoint},
};
use sha2::Sha256;
use sha3::{Digest, Keccak256};
use zeroize::Zeroizing;

use super::{
    error::{Fault, KeystoreError},
    secret::Secret,
};
use crate::{
    key::{KeyAlgorithm, PublicKey},
    protocol::{Bytes, SignInput},
};

/// A random secret key.
///
/// # Errors
/// [`KeystoreError::Random`], [`KeystoreError::Memory`].
pub(super) fn generate(algorithm: KeyAlgorithm) -> Result<Secret, KeystoreError> {
    loop {
        let secret = Secret::filled(|bytes| getrandom::fill(bytes))?;
        // One in 2^128 is no scalar of secp256k1.
        if public(algorithm, &secret)?.is_some() {
            return Ok(secret);
        }
    }
}

/// The secret as a scalar of secp256k1 that is not 0; `None` when it is none.
pub(super) fn scalar(secret: &Secret) -> Result<Option<Zeroizing<Scalar>>, KeystoreError> {
    let bytes = Zeroizing::new(*secret.expose()?);
    let scalar = Option::<Scalar>::from(Scalar::from_repr((*bytes).into())).map(Zeroizing::new);
    Ok(scalar.filter(|scalar| !bool::from(scalar.is_zero())))
}

/// The point of a secp256k1 secret; `None` when it is no secret key.
pub(super) fn point(secret: &Secret) -> Result<Option<k256::PublicKey>, KeystoreError> {
    let Some(scalar) = scalar(secret)? else {
        return Ok(None);
    };
    let scalar = Option::<NonZeroScalar>::from(NonZeroScalar::new(*scalar)).map(Zeroizing::new);
    Ok(scalar.map(|scalar| k256::PublicKey::from_secret_scalar(&scalar)))
}

/// The public half of a secret; `None` when it is no secret key of the algorithm.
pub(super) fn public(
    algorithm: KeyAlgorithm,
    secret: &Secret,
) -> Result<Option<PublicKey>, KeystoreError> {
    let key = match algorithm {
        KeyAlgorithm::Secp256k1 => match point(secret)? {
            Some(point) => PublicKey::new(algorithm, point.to_encoded_point(true).as_bytes()),
            None => return Ok(None),
        },
        KeyAlgorithm::Bip340 => match point(secret)? {
            Some(point) => PublicKey::new(algorithm, &point.as_affine().x()),
            None => return Ok(None),
        },
        KeyAlgorithm::Ed25519 => {
            let key = SigningKey::from_bytes(secret.expose()?);
            PublicKey::new(algorithm, key.verifying_key().as_bytes())
        }
    };
    Ok(key.ok())
}

/// The EVM address of a secp256k1 secret: the last 20 bytes of the Keccak-256 of its point, whose
/// uncompressed form begins with a byte that says so.
pub(super) fn address(secret: &Secret) -> Result<Option<[u8; 20]>, KeystoreError> {
    Ok(point(secret)?.and_then(|point| {
        let whole = point.to_encoded_point(false);
        let (_, coordinates) = whole.as_bytes().split_first()?;
        let hash: [u8; 32] = Keccak256::digest(coordinates).into();
        hash.last_chunk().copied()
    }))
}

/// Signs: ECDSA with the nonce of RFC 6979, r‖s with a low s; Ed25519 of RFC 8032; BIP-340 with auxiliary
/// randomness.
///
/// # Errors
/// [`KeystoreError::Algorithm`] when the input is for another algorithm.
pub(super) fn sign(
    algorithm: KeyAlgorithm,
    secret: &Secret,
    input: &SignInput,
) -> Result<Bytes<128>, KeystoreError> {
    let signature: [u8; 64] = match (algorithm, input) {
        (KeyAlgorithm::Secp256k1, SignInput::Digest(digest)) => ecdsa(secret, digest)?,
        (KeyAlgorithm::Ed25519, SignInput::Message(message)) => {
            let key = SigningKey::from_bytes(secret.expose()?);
            key.sign(message.as_bytes()).to_bytes()
        }
        (KeyAlgorithm::Bip340, SignInput::Bip340(message)) => schnorr(secret, message)?,
        _ => return Err(KeystoreError::Algorithm),
    };
    Bytes::new(&signature).map_err(|_| KeystoreError::SelfTest)
}

fn ecdsa(secret: &Secret, digest: &[u8; 32]) -> Result<[u8; 64], KeystoreError> {
    let scalar = scalar(secret)?.ok_or(KeystoreError::SelfTest)?;
    let digest: FieldBytes = (*digest).into();
    let (signature, _) = scalar
        .try_sign_prehashed_rfc6979::<Sha256>(&digest, &[])
        .map_err(|_| KeystoreError::SelfTest)?;
    Ok(signature.to_bytes().into())
}

/// The randomness is no nonce: the nonce is derived from it, the secret and the message, and is as good without
/// any (BIP-340, "Default Signing").
fn schnorr(secret: &Secret, message: &[u8; 32]) -> Result<[u8; 64], KeystoreError> {
    let key = k256::schnorr::SigningKey::from_bytes(secret.expose()?);
    let key = key.map_err(|_| KeystoreError::SelfTest)?;
    let mut randomness = [0; 32];
    getrandom::fill(&mut randomness)?;
    let signature = key.sign_raw(message, &randomness);
    Ok(signature.map_err(|_| KeystoreError::SelfTest)?.to_bytes())
}

/// Whether the public half is the secret's.
pub(super) fn check(public_key: &PublicKey, secret: &Secret) -> Result<(), Mismatch> {
    match public(public_key.algorithm(), secret) {
        Ok(Some(found)) if found == *public_key => Ok(()),
        Ok(_) => Err(Mismatch::Fault(Fault::PublicKey)),
        Err(error) => Err(Mismatch::Error(error)),
    }
}

/// Why a file's secret is not used.
#[derive(Debug)]
pub(super) enum Mismatch {
    /// The file is at fault.
    Fault(Fault),
    /// Something else.
    Error(KeystoreError),
}

impl From<Fault> for Mismatch {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl From<KeystoreError> for Mismatch {
    fn from(error: KeystoreError) -> Self {
        Self::Error(error)
    }
}

impl Mismatch {
    /// Said of a file.
    pub(super) fn of(self, file: &str) -> KeystoreError {
        match self {
            Self::Fault(fault) => KeystoreError::file(file)(fault),
            Self::Error(error) => error,
        }
    }
}
