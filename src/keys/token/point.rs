//! `CKA_EC_POINT` and `CKA_EC_PARAMS`.

use bitcoin::secp256k1;

use crate::{
    device::EdwardsParams,
    key::{KeyAlgorithm, PublicKey},
};

/// The object identifier of secp256k1, 1.3.132.0.10 (SEC 2), in DER.
const SECP256K1: &[u8] = &[0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x0a];

/// The object identifier of Ed25519, 1.3.101.112 (RFC 8410), in DER.
const ED25519_OID: &[u8] = &[0x06, 0x03, 0x2b, 0x65, 0x70];

/// The `PrintableString` "edwards25519" (PKCS#11 3.0 §2.3.1), in DER.
const ED25519_NAME: &[u8] = b"\x13\x0cedwards25519";

/// DER's tag of an octet string.
const OCTET_STRING: u8 = 0x04;

/// A curve that PKCS#11 has a mechanism for, one. For BIP-340 no version of it has any: its keys live in
/// the keystore.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Curve {
    /// For ECDSA.
    Secp256k1,
    /// For Ed25519.
    Edwards25519,
}

impl Curve {
    /// The curve of an algorithm's keys; `None` where no mechanism signs with it.
    pub(super) fn of(algorithm: KeyAlgorithm) -> Option<Self> {
        match algorithm {
            KeyAlgorithm::Secp256k1 => Some(Self::Secp256k1),
            KeyAlgorithm::Ed25519 => Some(Self::Edwards25519),
            KeyAlgorithm::Bip340 => None,
        }
    }

    fn algorithm(self) -> KeyAlgorithm {
        match self {
            Self::Secp256k1 => KeyAlgorithm::Secp256k1,
            Self::Edwards25519 => KeyAlgorithm::Ed25519,
        }
    }
}

/// What to generate a key with.
pub(super) fn params(curve: Curve, edwards: EdwardsParams) -> &'static [u8] {
    match (curve, edwards) {
        (Curve::Secp256k1, _) => SECP256K1,
        (Curve::Edwards25519, EdwardsParams::PrintableString) => ED25519_NAME,
        (Curve::Edwards25519, EdwardsParams::ObjectIdentifier) => ED25519_OID,
    }
}

/// Whether a key's parameters name the curve, in either way that devices have.
pub(super) fn is_curve(curve: Curve, params: &[u8]) -> bool {
    match curve {
        Curve::Secp256k1 => params == SECP256K1,
        Curve::Edwards25519 => params == ED25519_OID || params == ED25519_NAME,
    }
}

/// Reads a point. The standard wants a DER octet string (SoftHSM, Luna) and several modules give
/// the bytes raw; the length tells which, since no raw point has the length of a wrapped one.
pub(super) fn public_key(curve: Curve, point: &[u8]) -> Option<PublicKey> {
    let point = unwrap_octets(point).unwrap_or(point);
    match curve {
        Curve::Secp256k1 => {
            let point = secp256k1::PublicKey::from_slice(point).ok()?;
            PublicKey::new(curve.algorithm(), &point.serialize()).ok()
        }
        Curve::Edwards25519 => PublicKey::new(curve.algorithm(), point).ok(),
    }
}

/// The content of a DER octet string of fewer than 128 bytes that fills all of `bytes`.
fn unwrap_octets(bytes: &[u8]) -> Option<&[u8]> {
    let (&[tag, length], content) = bytes.split_first_chunk()?;
    (tag == OCTET_STRING && usize::from(length) == content.len() && length < 0x80)
        .then_some(content)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_raw_and_wrapped_points() {
        let secret = k256::ecdsa::SigningKey::from_slice(&[7; 32]).unwrap();
        let whole = secret.verifying_key().to_encoded_point(false);
        let compressed = secret.verifying_key().to_encoded_point(true);
        let expected = PublicKey::new(KeyAlgorithm::Secp256k1, compressed.as_bytes()).unwrap();
        for raw in [whole.as_bytes(), compressed.as_bytes()] {
            let length = u8::try_from(raw.len()).unwrap();
            let wrapped = [&[0x04, length], raw].concat();
            for point in [raw, &wrapped] {
                assert_eq!(public_key(Curve::Secp256k1, point), Some(expected));
            }
            let longer = [&wrapped[..], &[0]].concat();
            assert_eq!(public_key(Curve::Secp256k1, &longer), None);
        }
        let secret = ed25519_dalek::SigningKey::from_bytes(&[7; 32]);
        let raw = secret.verifying_key().to_bytes();
        let wrapped = [&[0x04, 0x20], &raw[..]].concat();
        for point in [&raw[..], &wrapped] {
            let read = public_key(Curve::Edwards25519, point);
            assert_eq!(read, Some(PublicKey::Ed25519(raw)));
        }
        assert_eq!(public_key(Curve::Edwards25519, &[]), None);
    }
}
