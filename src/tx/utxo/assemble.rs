//! From signatures to a transaction that nodes accept.

use super::{outpoint::shown_txid, refusal::Refusal, view::View, wire::txid};
use crate::{EcdsaSignature, PublicKey, SignedTransaction};

/// SIGHASH_ALL as it stands behind a signature.
const SIGHASH_ALL: u8 = 0x01;

/// An unsigned transaction, kept for assembly.
#[derive(Debug)]
pub(crate) struct Unsigned {
    pub(super) view: View,
    /// The key of each input.
    pub(super) public_keys: Vec<PublicKey>,
}

/// Puts one signature into each input's witness (BIP-141, P2WPKH).
pub(crate) fn assemble(
    unsigned: Unsigned,
    signatures: &[EcdsaSignature],
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
        .map(|(signature, key)| [der(signature), key.as_bytes().to_vec()])
        .collect();
    let wire = view.wire();
    Ok(SignedTransaction {
        raw: hex::encode(wire.encode_with(&witnesses)),
        txid: shown_txid(txid(&[&wire.encode()])),
    })
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
