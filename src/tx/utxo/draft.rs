//! Making a PSBT.

use base64ct::{Base64, Encoding};

use super::{
    field,
    outpoint::Outpoint,
    psbt::{Entry, Map, Psbt},
    refusal::Refusal,
    view::view,
    wire::{Wire, WireInput, WireOutput},
};
use crate::{Address, Chain};

/// A transaction to be made into a PSBT.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draft {
    /// The chain.
    pub chain: Chain,
    /// The lock time: 0, or a block height.
    pub lock_time: u32,
    /// What is spent, in order.
    pub inputs: Vec<DraftInput>,
    /// What is paid, in order.
    pub outputs: Vec<DraftOutput>,
}

/// An output to spend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DraftInput {
    /// Which output.
    pub outpoint: Outpoint,
    /// The bytes of the transaction that made it.
    pub previous: Vec<u8>,
    /// The input's sequence: 0xfffffffd is replaceable, 0xfffffffe and 0xffffffff are not.
    pub sequence: u32,
}

/// An output to make.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DraftOutput {
    /// Whom to pay.
    pub address: Address,
    /// How much, in satoshi.
    pub amount: u64,
}

impl Draft {
    /// The transaction as a PSBT of version 0 in base64, with version 2 of transactions and every
    /// previous transaction.
    ///
    /// # Errors
    /// [`Refusal`] for whatever [`view`] would refuse, and for an address of another chain.
    pub fn psbt(&self) -> Result<String, Refusal> {
        let unsigned = self.wire()?.encode();
        let inputs = self.inputs.iter();
        let psbt = Psbt {
            global: map(field::GLOBAL_UNSIGNED, &unsigned),
            inputs: inputs
                .map(|input| map(field::INPUT_PREVIOUS, &input.previous))
                .collect(),
            outputs: self.outputs.iter().map(|_| Map::default()).collect(),
        };
        let text = Base64::encode_string(&psbt.encode());
        view(self.chain, &text).map(|_| text)
    }

    fn wire(&self) -> Result<Wire<'_>, Refusal> {
        let inputs = self.inputs.iter().map(|input| WireInput {
            outpoint: input.outpoint,
            sequence: input.sequence,
        });
        let outputs = self.outputs.iter().enumerate();
        let outputs = outputs.map(|(output, draft)| match draft.address.chain() {
            chain if chain == self.chain => Ok(WireOutput {
                amount: draft.amount,
                script: draft.address.as_bytes(),
            }),
            chain => Err(Refusal::OutputChain { output, chain }),
        });
        Ok(Wire {
            version: 2,
            inputs: inputs.collect(),
            outputs: outputs.collect::<Result<_, _>>()?,
            lock_time: self.lock_time,
        })
    }
}

fn map(field: u64, value: &[u8]) -> Map<'_> {
    Map(vec![Entry {
        field,
        key: &[],
        value,
    }])
}
