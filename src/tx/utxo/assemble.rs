//! From signatures to a transaction that nodes accept.

use super::{outpoint::shown_txid, refusal::Refusal, view::View, wire::txid};
use crate::{EcdsaSignature, KeySignature, PublicKey, SignedTransaction, key::Form};

/// SIGHASH_ALL as it stands behind a signature.
const SIGHASH_ALL: u8 = 0x01;

/// An unsigned transaction, kept for assembly.
#[derive(Debug)]
pub(crate) struct Unsigned {
    pub(super) view: View,
    /// The key of each input.
    pub(super) public_keys: Vec<PublicKey>,
}

/// Puts one signature into each input's witness: P2WPKH (BIP-141) and the key path of P2TR (BIP-341).
pub(crate) fn assemble(
    unsigned: Unsigned,
    signatures: &[KeySignature],
) -> Result<SignedTransaction, Refusal> {
    let Unsigned { view, public_keys } = unsigned;
    if signatures.len() != public_keys.len() {
        return Err(Refusal::SignatureCount {
            inputs: public_keys.len(),
            count: signatures.len(),
        });
    }
    let witnesses: Vec<_> = signatures
        .iter()
        .zip(&public_keys)
        .enumerate()
        .map(|(input, (signature, key))| {
            witness(signature, key).ok_or(Refusal::SignatureScheme { input })
        })
        .collect::<Result<_, _>>()?;
    let wire = view.wire();
    Ok(SignedTransaction {
        raw: hex::encode(wire.encode_with(&witnesses)),
        txid: shown_txid(txid(&[&wire.encode()])),
    })
}

/// What stands in an input's witness; nothing where the signature is of another scheme than the key.
fn witness(signature: &KeySignature, key: &PublicKey) -> Option<Vec<Vec<u8>>> {
    match (signature, key.form()) {
        (KeySignature::Ecdsa(signature), Form::Compressed(key)) => {
            Some(vec![der(signature), key.to_vec()])
        }
        // Of 64 bytes: the hash type that is not written is DEFAULT.
        (KeySignature::Bip340(signature), Form::XOnly(_)) => {
            Some(vec![[signature.r, signature.s].concat()])
        }
        _ => None,
    }
}

/// The signature in strict DER (BIP-66) with its hash type.
fn der(signature: &EcdsaSignature) -> Vec<u8> {
    let integers = [der_integer(&signature.r), der_integer(&signature.s)].concat();
    [
        &[0x30],
        der_length(&integers).as_slice(),
        &integers,
        &[SIGHASH_ALL],
    ]
    .concat()
}

/// A positive integer in its shortest form: a zero before a set highest bit, no other.
fn der_integer(number: &[u8; 32]) -> Vec<u8> {
    let leading_zeros = number.iter().take_while(|byte| **byte == 0).count();
    let significant = number.get(leading_zeros..).unwrap_or_default();
    let sign: &[u8] = match significant {
        [first, ..] if first & 0x80 == 0 => &[],
        _ => &[0x00],
    };
    let integer = [sign, significant].concat();
    [&[0x02], der_length(&integer).as_slice(), &integer].concat()
}

/// At most 70, so that the short form of a length is enough.
fn der_length(content: &[u8]) -> [u8; 1] {
    [u8::try_from(content.len()).unwrap_or(u8::MAX)]
}

#[cfg(test)]
mod tests {
    use bitcoin::secp256k1;
    use proptest::prelude::*;

    use super::*;

    fn number(text: &str) -> [u8; 32] {
        hex::decode(text).unwrap().try_into().unwrap()
    }

    #[test]
    fn bip_143_native_p2wpkh() {
        let signature = EcdsaSignature {
            r: number("3609e17b84f6a7d30c80bfa610b5b4542f32a8a0d5447a12fb1366d7f01cc44a"),
            s: number("573a954c4518331561406f90300e8f3358f51928d43c212a8caed02de67eebee"),
            recovery_id: 0,
        };
        assert_eq!(
            hex::encode(der(&signature)),
            "304402203609e17b84f6a7d30c80bfa610b5b4542f32a8a0d5447a12fb1366d7f01cc44a0220573a954c\
             4518331561406f90300e8f3358f51928d43c212a8caed02de67eebee01"
        );
    }

    proptest! {
        #[test]
        fn der_is_that_of_libsecp256k1(mut r: [u8; 32], mut s: [u8; 32], zeros in 0usize..33) {
            // Short numbers are too rare to wait for.
            r[..zeros.min(31)].fill(0);
            s[..zeros.saturating_sub(1)].fill(0);
            let compact = [r, s].concat();
            let Ok(oracle) = secp256k1::ecdsa::Signature::from_compact(&compact) else {
                return Ok(());
            };
            let mut expected = oracle.serialize_der().to_vec();
            expected.push(SIGHASH_ALL);
            prop_assert_eq!(der(&EcdsaSignature { r, s, recovery_id: 0 }), expected);
        }
    }
}
