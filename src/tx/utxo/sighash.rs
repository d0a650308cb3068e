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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Chain, Network,
        utxo::{ViewOutput, wire::Wire},
    };

    /// The unsigned transaction of BIP-143's native P2WPKH example.
    const UNSIGNED: &str = "0100000002fff7f7881a8099afa6940d42d1e7f6362bec38171ea3edf433541db4e4ad\
        969f0000000000eeffffffef51e1b804cc89d182d279655c3aa89e815b1b309fe287d9b2b55d57b90ec68a0100\
        000000ffffffff02202cb206000000001976a9148280b37df378db99f66f85c95a783a76ac7a6d5988ac909351\
        0d000000001976a9143bde42dbee7e4dbe6a21b2d50ce2f0167faa815988ac11000000";

    #[test]
    fn bip_143_native_p2wpkh() {
        let bytes = hex::decode(UNSIGNED).unwrap();
        let wire = Wire::parse(&bytes).unwrap();
        let key = "025476c2e83188368da1ff3e292e7acafcdb3566bb0ad253f62fc70f07aeee6357"
            .parse::<PublicKey>()
            .unwrap();
        let chain = Chain::Bitcoin(Network::Mainnet);
        // The first input is P2PK, which no PSBT gets past us; only its bytes matter here.
        let inputs = wire.inputs.iter().map(|input| ViewInput {
            outpoint: input.outpoint,
            sequence: input.sequence,
            address: key.address(chain).unwrap(),
            amount: 600_000_000,
        });
        let outputs = wire.outputs.iter().map(|output| ViewOutput {
            address: crate::Address::from_script(chain, output.script).unwrap(),
            amount: output.amount,
        });
        let view = View {
            chain,
            version: wire.version,
            lock_time: wire.lock_time,
            inputs: inputs.collect(),
            outputs: outputs.collect(),
            fee: 0,
            vsize: 0,
        };
        assert_eq!(view.unsigned_bytes(), bytes);
        let digest = Shared::new(&view).digest(&view.inputs[1], &key);
        assert_eq!(
            hex::encode(digest),
            "c37af31116d1b27caf68aae9e3ac82f1477929014d5b917657d0eb49478cb670"
        );
    }
}
