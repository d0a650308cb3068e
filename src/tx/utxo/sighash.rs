//! The digests that signatures of P2WPKH inputs commit to (BIP-143), with signature hash type ALL.

use bitcoin::hashes::{Hash, sha256d};

use super::{
    bytes::put_bytes,
    script::Template,
    view::{View, ViewInput},
    wire::WireOutput,
};
use crate::PublicKey;

/// What the digests of all inputs of one transaction share.
pub(super) struct Shared {
    version: u32,
    prevouts: [u8; 32],
    sequences: [u8; 32],
    outputs: [u8; 32],
    lock_time: u32,
}

/// SIGHASH_ALL as the digest has it.
const SIGHASH_ALL: u32 = 1;

impl Shared {
    pub(super) fn new(view: &View) -> Self {
        let (mut prevouts, mut sequences, mut outputs) = (Vec::new(), Vec::new(), Vec::new());
        for input in &view.inputs {
            input.outpoint.put(&mut prevouts);
            sequences.extend(input.sequence.to_le_bytes());
        }
        for output in &view.outputs {
            let (amount, script) = (output.amount, output.address.as_bytes());
            WireOutput { amount, script }.put(&mut outputs);
        }
        Self {
            version: view.version,
            prevouts: sha256d(&prevouts),
            sequences: sha256d(&sequences),
            outputs: sha256d(&outputs),
            lock_time: view.lock_time,
        }
    }

    /// The digest for an input that pays to `key`: its script code is the P2PKH script of the key.
    pub(super) fn digest(&self, input: &ViewInput, key: &PublicKey) -> [u8; 32] {
        let mut preimage = self.version.to_le_bytes().to_vec();
        preimage.extend(self.prevouts);
        preimage.extend(self.sequences);
        input.outpoint.put(&mut preimage);
        put_bytes(&mut preimage, &Template::p2pkh(key).script());
        preimage.extend(input.amount.to_le_bytes());
        preimage.extend(input.sequence.to_le_bytes());
        preimage.extend(self.outputs);
        preimage.extend(self.lock_time.to_le_bytes());
        preimage.extend(SIGHASH_ALL.to_le_bytes());
        sha256d(&preimage)
    }
}

fn sha256d(bytes: &[u8]) -> [u8; 32] {
    sha256d::Hash::hash(bytes).to_byte_array()
}
