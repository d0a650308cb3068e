//! The digests that signatures commit to: of P2WPKH inputs those of BIP-143 with signature hash type ALL, of
//! P2TR inputs those of BIP-341 along the key's path with DEFAULT. Both commit to every input and output.

use bitcoin::hashes::{Hash, HashEngine, sha256, sha256d};

use super::{
    bytes::put_bytes,
    script::{Spends, Template},
    view::{View, ViewInput},
    wire::WireOutput,
};
use crate::{PublicKey, key::Form};

/// What the digests of all inputs of one transaction share.
pub(super) struct Shared {
    version: u32,
    lock_time: u32,
    /// SHA-256, whose own SHA-256 is what BIP-143 has.
    prevouts: [u8; 32],
    sequences: [u8; 32],
    outputs: [u8; 32],
    /// Of P2TR inputs: what all inputs hold, and their scripts.
    spent: Option<Spent>,
}

struct Spent {
    amounts: [u8; 32],
    scripts: [u8; 32],
}

/// SIGHASH_ALL as BIP-143 has it.
const SIGHASH_ALL: u32 = 1;
/// SIGHASH_DEFAULT as BIP-341 has it.
const SIGHASH_DEFAULT: u8 = 0;

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
        let mut inputs = view.inputs.iter();
        let has_taproot = inputs.any(|input| input.spends() == Some(Spends::P2tr));
        Self {
            version: view.version,
            lock_time: view.lock_time,
            prevouts: sha256(&prevouts),
            sequences: sha256(&sequences),
            outputs: sha256(&outputs),
            spent: has_taproot.then(|| Spent::new(view)),
        }
    }

    /// The digest for the input at `position`, which pays to `key`; nothing where that is no key of the view.
    pub(super) fn digest(
        &self,
        position: usize,
        input: &ViewInput,
        key: &PublicKey,
    ) -> Option<[u8; 32]> {
        match key.form() {
            Form::Compressed(key) => Some(self.segwit(input, key)),
            Form::XOnly(_) => self.taproot(position),
        }
    }

    /// The script code is the P2PKH script of the key.
    fn segwit(&self, input: &ViewInput, key: &[u8; 33]) -> [u8; 32] {
        let mut preimage = self.version.to_le_bytes().to_vec();
        preimage.extend(sha256(&self.prevouts));
        preimage.extend(sha256(&self.sequences));
        input.outpoint.put(&mut preimage);
        put_bytes(&mut preimage, &Template::p2pkh(key).script());
        preimage.extend(input.amount.to_le_bytes());
        preimage.extend(input.sequence.to_le_bytes());
        preimage.extend(sha256(&self.outputs));
        preimage.extend(self.lock_time.to_le_bytes());
        preimage.extend(SIGHASH_ALL.to_le_bytes());
        sha256d::Hash::hash(&preimage).to_byte_array()
    }

    fn taproot(&self, position: usize) -> Option<[u8; 32]> {
        /// The version of the message.
        const EPOCH: u8 = 0;
        /// No annex, and along the key's path.
        const SPEND_TYPE: u8 = 0;

        let spent = self.spent.as_ref()?;
        let mut message = vec![EPOCH, SIGHASH_DEFAULT];
        message.extend(self.version.to_le_bytes());
        message.extend(self.lock_time.to_le_bytes());
        message.extend(self.prevouts);
        message.extend(spent.amounts);
        message.extend(spent.scripts);
        message.extend(self.sequences);
        message.extend(self.outputs);
        message.push(SPEND_TYPE);
        message.extend(u32::try_from(position).ok()?.to_le_bytes());
        Some(tagged(b"TapSighash", &message))
    }
}

impl Spent {
    fn new(view: &View) -> Self {
        let (mut amounts, mut scripts) = (Vec::new(), Vec::new());
        for input in &view.inputs {
            amounts.extend(input.amount.to_le_bytes());
            put_bytes(&mut scripts, input.address.as_bytes());
        }
        Self {
            amounts: sha256(&amounts),
            scripts: sha256(&scripts),
        }
    }
}

fn sha256(bytes: &[u8]) -> [u8; 32] {
    sha256::Hash::hash(bytes).to_byte_array()
}

/// A hash that none with another tag is equal to (BIP-340).
fn tagged(tag: &[u8], message: &[u8]) -> [u8; 32] {
    let tag = sha256(tag);
    let mut engine = sha256::Hash::engine();
    for part in [&tag, &tag, message] {
        engine.input(part);
    }
    sha256::Hash::from_engine(engine).to_byte_array()
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
        let digest = Shared::new(&view).digest(1, &view.inputs[1], &key);
        assert_eq!(
            digest.map(hex::encode).unwrap(),
            "c37af31116d1b27caf68aae9e3ac82f1477929014d5b917657d0eb49478cb670"
        );
    }
}
