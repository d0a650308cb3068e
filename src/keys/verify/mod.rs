//! A device's signature is only a claim: it is checked before it leaves.

mod familiar;
mod multiples;
mod r_seen;
mod same;

use std::sync::LazyLock;

use bitcoin::secp256k1::{
    Message, Secp256k1, VerifyOnly, XOnlyPublicKey, ecdsa,
    ecdsa::{RecoverableSignature, RecoveryId},
    schnorr,
};
use thiserror::Error;

pub(crate) use familiar::Familiar;
use multiples::Prepared;
pub use r_seen::{RRepeated, RSeen};
pub use same::{Differs, SameSeen};

use tx::{Bip340Signature, EcdsaSignature, KeySignature};

use crate::{
    key::{KeyAlgorithm, KeyId, PublicKey},
    protocol::SignInput,
};

/// One context for the process: its tables are shared, and verification needs no blinding.
static SECP: LazyLock<Secp256k1<VerifyOnly>> = LazyLock::new(Secp256k1::verification_only);

/// A verified signature's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SignatureValue {
    /// ECDSA over secp256k1.
    Ecdsa(EcdsaSignature),
    /// Ed25519: R‖S, 64 bytes (RFC 8032).
    Ed25519([u8; 64]),
    /// BIP-340.
    Bip340(Bip340Signature),
}

/// A signature that was verified under the key's public half and answers one numbered call. Made
/// only by [`crate::KeyPool::sign`].
#[derive(Debug)]
#[must_use]
pub struct Signature {
    pub(crate) call: u64,
    pub(crate) key: KeyId,
    pub(crate) value: SignatureValue,
}

/// Why what a device answered is not the signature that was asked for. Each is the device's or its
/// module's fault, never the caller's.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SignatureError {
    /// Not 64 bytes.
    #[error("a signature of {length} bytes instead of 64")]
    Length {
        /// Its length.
        length: usize,
    },
    /// `r` or `s` is 0 or not below the order of the group.
    #[error("r or s is outside 1..n")]
    OutOfRange,
    /// The signature does not verify under the key that was named, whichever the reason: forged,
    /// of another digest, or by another key.
    #[error("the signature is not by this key over this input")]
    NotByThisKey,
    /// The input is for another algorithm than the public key's.
    #[error("the input is not for a key of {algorithm}")]
    Algorithm {
        /// The key's algorithm.
        algorithm: KeyAlgorithm,
    },
    /// `r` came up a second time: the private key can be computed from the two signatures.
    #[error("an r was used twice")]
    RRepeated(#[source] Box<RRepeated>),
    /// A key signed one message in two ways, where its algorithm knows one.
    #[error("a message was signed before, otherwise")]
    Differs(#[source] Box<Differs>),
}

impl Signature {
    /// The journal's number of the call that it answers.
    pub fn call(&self) -> u64 {
        self.call
    }

    /// The key that signed.
    pub fn key(&self) -> &KeyId {
        &self.key
    }

    /// The value.
    pub fn value(&self) -> &SignatureValue {
        &self.value
    }

    /// The value, where it is ECDSA.
    pub fn ecdsa(&self) -> Option<EcdsaSignature> {
        match self.value {
            SignatureValue::Ecdsa(value) => Some(value),
            SignatureValue::Ed25519(_) | SignatureValue::Bip340(_) => None,
        }
    }

    /// The value, where it signs a transaction.
    pub fn of_transaction(&self) -> Option<KeySignature> {
        match self.value {
            SignatureValue::Ecdsa(value) => Some(KeySignature::Ecdsa(value)),
            SignatureValue::Bip340(value) => Some(KeySignature::Bip340(value)),
            SignatureValue::Ed25519(_) => None,
        }
    }

    /// The value, where it is Ed25519: R‖S.
    pub fn ed25519(&self) -> Option<[u8; 64]> {
        match self.value {
            SignatureValue::Ed25519(value) => Some(value),
            SignatureValue::Ecdsa(_) | SignatureValue::Bip340(_) => None,
        }
    }
}

/// Checks what a device answered (`raw`: r‖s, R‖S or R.x‖s, 64 bytes) against the public key.
///
/// # Errors
/// [`SignatureError`], except [`SignatureError::RRepeated`] and [`SignatureError::Differs`], which need a
/// memory: [`RSeen`] and [`SameSeen`].
pub fn check(
    key: &PublicKey,
    input: &SignInput,
    raw: &[u8],
) -> Result<SignatureValue, SignatureError> {
    match (key, input) {
        (PublicKey::Secp256k1(key), SignInput::Digest(digest)) => {
            check_ecdsa(key, digest, raw).map(SignatureValue::Ecdsa)
        }
        (PublicKey::Ed25519(key), SignInput::Message(message)) => {
            check_ed25519(key, message.as_bytes(), raw).map(SignatureValue::Ed25519)
        }
        (PublicKey::Bip340(key), SignInput::Bip340(message)) => {
            check_bip340(key, message, raw).map(SignatureValue::Bip340)
        }
        _ => Err(SignatureError::Algorithm {
            algorithm: key.algorithm(),
        }),
    }
}

impl Familiar {
    /// As [`check`], and faster for a key that signs often. Within a runtime.
    ///
    /// # Errors
    /// As [`check`].
    pub(crate) fn check(
        &self,
        key: &PublicKey,
        input: &SignInput,
        raw: &[u8],
    ) -> Result<SignatureValue, SignatureError> {
        let (PublicKey::Secp256k1(point), SignInput::Digest(digest)) = (key, input) else {
            return check(key, input, raw);
        };
        let prepared = self.prepared(point);
        check_ecdsa_with(prepared.as_deref(), point, digest, raw).map(SignatureValue::Ecdsa)
    }
}

/// Checks an ECDSA signature over secp256k1, makes `s` low (BIP 62, EIP-2: half of what devices
/// make is high), and finds the recovery id.
///
/// Recovering the key *is* the verification: the recovered key equals `key` exactly when the
/// signature verifies under it and the guess at the parity of `R.y` was right. That is cheaper than
/// to verify first and to recover after. The ids 2 and 3, for an `R.x` above the order, have a
/// probability of 2^-128, and Ethereum does not take them: such a signature is refused.
///
/// `key` is compressed, `raw` is r‖s.
///
/// # Errors
/// [`SignatureError`] says what is wrong with it.
pub fn check_ecdsa(
    key: &[u8; 33],
    digest: &[u8; 32],
    raw: &[u8],
) -> Result<EcdsaSignature, SignatureError> {
    check_ecdsa_with(None, key, digest, raw)
}

/// What the prepared key does not confirm, recovering decides: there is one way to a refusal.
fn check_ecdsa_with(
    prepared: Option<&Prepared>,
    key: &[u8; 33],
    digest: &[u8; 32],
    raw: &[u8],
) -> Result<EcdsaSignature, SignatureError> {
    let length = raw.len();
    let raw: &[u8; 64] = raw
        .try_into()
        .map_err(|_| SignatureError::Length { length })?;
    let low = low_s(raw)?;
    let (r, s) = halves(&low);
    let confirmed = prepared.and_then(|prepared| prepared.recovery_id(digest, &r, &s));
    let recovery_id = confirmed.or_else(|| recovery_id(key, digest, &low));
    match recovery_id {
        Some(recovery_id) => Ok(EcdsaSignature { r, s, recovery_id }),
        None => Err(SignatureError::NotByThisKey),
    }
}

/// The id by which the signature gives this key.
fn recovery_id(key: &[u8; 33], digest: &[u8; 32], low: &[u8; 64]) -> Option<u8> {
    let message = Message::from_digest(*digest);
    let mut ids = [0, 1].into_iter();
    ids.find(|id| recover(low, *id, &message) == Some(*key))
}

/// Checks a BIP-340 signature of 32 bytes. `key` is the x coordinate, `raw` is R.x‖s.
///
/// # Errors
/// [`SignatureError`] says what is wrong with it.
pub fn check_bip340(
    key: &[u8; 32],
    message: &[u8; 32],
    raw: &[u8],
) -> Result<Bip340Signature, SignatureError> {
    let length = raw.len();
    let raw: &[u8; 64] = raw
        .try_into()
        .map_err(|_| SignatureError::Length { length })?;
    let key = XOnlyPublicKey::from_slice(key).map_err(|_| SignatureError::NotByThisKey)?;
    let signature =
        schnorr::Signature::from_slice(raw).map_err(|_| SignatureError::NotByThisKey)?;
    SECP.verify_schnorr(&signature, &Message::from_digest(*message), &key)
        .map_err(|_| SignatureError::NotByThisKey)?;
    let (r, s) = halves(raw);
    Ok(Bip340Signature { r, s })
}

/// Checks an Ed25519 signature strictly: no second encoding of it verifies.
///
/// # Errors
/// [`SignatureError`] says what is wrong with it.
pub fn check_ed25519(
    key: &[u8; 32],
    message: &[u8],
    raw: &[u8],
) -> Result<[u8; 64], SignatureError> {
    let length = raw.len();
    let raw: [u8; 64] = raw
        .try_into()
        .map_err(|_| SignatureError::Length { length })?;
    let signature = ed25519_dalek::Signature::from_bytes(&raw);
    ed25519_dalek::VerifyingKey::from_bytes(key)
        .and_then(|key| key.verify_strict(message, &signature))
        .map_err(|_| SignatureError::NotByThisKey)?;
    Ok(raw)
}

/// r‖s with `s` at most half the order; both in 1..n.
fn low_s(raw: &[u8; 64]) -> Result<[u8; 64], SignatureError> {
    let (r, s) = halves(raw);
    if r == [0; 32] || s == [0; 32] {
        return Err(SignatureError::OutOfRange);
    }
    let mut signature =
        ecdsa::Signature::from_compact(raw).map_err(|_| SignatureError::OutOfRange)?;
    signature.normalize_s();
    Ok(signature.serialize_compact())
}

fn recover(compact: &[u8; 64], recovery_id: u8, message: &Message) -> Option<[u8; 33]> {
    let recovery_id = RecoveryId::from_i32(i32::from(recovery_id)).ok()?;
    let signature = RecoverableSignature::from_compact(compact, recovery_id).ok()?;
    let key = SECP.recover_ecdsa(message, &signature).ok()?;
    Some(key.serialize())
}

fn halves(compact: &[u8; 64]) -> ([u8; 32], [u8; 32]) {
    let mut r = [0; 32];
    let mut s = [0; 32];
    let (left, right) = compact.split_at(32);
    r.copy_from_slice(left);
    s.copy_from_slice(right);
    (r, s)
}

#[cfg(test)]
mod tests;
