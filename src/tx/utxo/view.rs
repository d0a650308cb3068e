//! What a PSBT says, checked as far as it can be without knowing which keys are ours.

use base64ct::{Base64, Encoding};
use serde::Serialize;

use super::{
    BASE64_LENGTH_MAX, PSBT_BYTES_MAX,
    amounts::{self, Limits},
    bytes::Reader,
    field,
    outpoint::Outpoint,
    psbt::{Map, Psbt},
    refusal::{Part, Place, Refusal},
    script::Spends,
    wire::{Previous, Wire, WireInput, WireOutput},
};
use crate::{Address, Chain};

/// A transaction as its PSBT describes it. It holds every byte that signatures commit to: its
/// unsigned bytes are made from it again and compared with the given ones.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct View {
    /// The chain that the client means.
    pub chain: Chain,
    /// The transaction's version, 1 or 2.
    pub version: u32,
    /// The lock time: 0, or the height from which a block may include the transaction.
    pub lock_time: u32,
    /// What is spent.
    pub inputs: Vec<ViewInput>,
    /// What is paid.
    pub outputs: Vec<ViewOutput>,
    /// The inputs less the outputs, in satoshi.
    pub fee: u64,
    /// The least virtual size that the signed transaction is likely to have, in vbyte.
    pub vsize: u64,
}

/// An output that is spent, as its own transaction describes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ViewInput {
    /// Which output.
    pub outpoint: Outpoint,
    /// The input's sequence: 0xffffffff, 0xfffffffe or 0xfffffffd.
    pub sequence: u32,
    /// Whom it was paid to: P2WPKH or P2TR.
    pub address: Address,
    /// Its amount in satoshi.
    pub amount: u64,
}

/// An output that is made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ViewOutput {
    /// Whom it pays.
    pub address: Address,
    /// Its amount in satoshi.
    pub amount: u64,
}

/// Reads a PSBT and checks all that needs neither the registry nor the policy.
///
/// # Errors
/// [`Refusal`] for whatever is malformed, not understood or never signed.
pub fn view(chain: Chain, psbt: &str) -> Result<View, Refusal> {
    let limits = Limits::of(chain)?;
    let bytes = base64_bytes(psbt)?;
    let (container, wire) = Psbt::parse(&bytes)?;
    same(&container.encode(), &bytes, Part::Psbt)?;
    let view = View::new(chain, &limits, &container, &wire)?;
    let unsigned = container.global.value(field::GLOBAL_UNSIGNED);
    same(
        &view.wire().encode(),
        unsigned.unwrap_or_default(),
        Part::Unsigned,
    )?;
    Ok(view)
}

impl View {
    fn new(
        chain: Chain,
        limits: &Limits,
        psbt: &Psbt<'_>,
        wire: &Wire<'_>,
    ) -> Result<Self, Refusal> {
        let inputs = read_inputs(chain, psbt, wire)?;
        let outputs = read_outputs(chain, &wire.outputs)?;
        amounts::check_dust(limits, &wire.outputs)?;
        let fee = amounts::fee(
            limits,
            inputs.iter().map(|input| input.amount),
            outputs.iter().map(|output| output.amount),
        )?;
        let spends = inputs.iter().filter_map(ViewInput::spends);
        let vsize = amounts::vsize(wire.encode().len(), spends);
        Ok(Self {
            chain,
            version: wire.version,
            lock_time: wire.lock_time,
            inputs,
            outputs,
            fee,
            vsize,
        })
    }

    /// The transaction as the network writes it, made from the view alone.
    pub(super) fn wire(&self) -> Wire<'_> {
        let inputs = self.inputs.iter().map(|input| WireInput {
            outpoint: input.outpoint,
            sequence: input.sequence,
        });
        let outputs = self.outputs.iter().map(|output| WireOutput {
            amount: output.amount,
            script: output.address.as_bytes(),
        });
        Wire {
            version: self.version,
            inputs: inputs.collect(),
            outputs: outputs.collect(),
            lock_time: self.lock_time,
        }
    }

    /// The unsigned transaction's bytes.
    pub fn unsigned_bytes(&self) -> Vec<u8> {
        self.wire().encode()
    }
}

impl ViewInput {
    pub(super) fn spends(&self) -> Option<Spends> {
        Spends::of(self.address.as_bytes())
    }
}

/// Refuses what would not be encoded as it was given.
fn same(encoded: &[u8], given: &[u8], part: Part) -> Result<(), Refusal> {
    if encoded == given {
        Ok(())
    } else {
        Err(Refusal::NotCanonical { part })
    }
}

fn base64_bytes(psbt: &str) -> Result<Vec<u8>, Refusal> {
    if psbt.len() > BASE64_LENGTH_MAX {
        return Err(Refusal::Size);
    }
    let bytes = Base64::decode_vec(psbt).map_err(|_| Refusal::Base64)?;
    if bytes.len() > PSBT_BYTES_MAX {
        return Err(Refusal::Size);
    }
    Ok(bytes)
}

fn read_inputs(chain: Chain, psbt: &Psbt<'_>, wire: &Wire<'_>) -> Result<Vec<ViewInput>, Refusal> {
    check_sequences(&wire.inputs)?;
    check_outpoints(&wire.inputs)?;
    let with_maps = wire.inputs.iter().zip(&psbt.inputs).enumerate();
    with_maps
        .map(|(input, (wire_input, map))| {
            let spent = spent_output(input, wire_input.outpoint, map)?;
            let spends = Spends::of(spent.script).ok_or(Refusal::InputScript { input })?;
            check_sighash_type(input, map, spends)?;
            let address = Address::from_script(chain, spent.script);
            Ok(ViewInput {
                outpoint: wire_input.outpoint,
                sequence: wire_input.sequence,
                address: address.ok_or(Refusal::InputScript { input })?,
                amount: spent.amount,
            })
        })
        .collect()
}

/// What an input spends, by the previous transaction: its id is what the signature commits to, so
/// neither the amount nor the script can be invented (CVE-2020-14199).
fn spent_output<'a>(
    input: usize,
    outpoint: Outpoint,
    map: &Map<'a>,
) -> Result<WireOutput<'a>, Refusal> {
    let bytes = map.value(field::INPUT_PREVIOUS);
    let previous = Previous::parse(bytes.ok_or(Refusal::PreviousMissing { input })?, input)?;
    if previous.txid != outpoint.txid {
        return Err(Refusal::PreviousTxid { input });
    }
    let vout = outpoint.vout;
    let output = previous.output(vout);
    let output = output.ok_or(Refusal::PreviousOutput { input, vout })?;
    if let Some(claimed) = map.value(field::INPUT_WITNESS_UTXO)
        && witness_utxo(input, claimed)? != output
    {
        return Err(Refusal::WitnessUtxo { input });
    }
    Ok(output)
}

/// The hash type is written only where it is not what it would be anyway.
fn check_sighash_type(input: usize, map: &Map<'_>, spends: Spends) -> Result<(), Refusal> {
    let wanted = spends.sighash_type();
    let asked = map.value(field::INPUT_SIGHASH_TYPE);
    let asked = asked.and_then(|bytes| bytes.try_into().ok());
    match asked.map(u32::from_le_bytes) {
        Some(sighash_type) if sighash_type != wanted => Err(Refusal::SighashType {
            input,
            sighash_type,
            wanted,
        }),
        _ => Ok(()),
    }
}

fn witness_utxo(input: usize, bytes: &[u8]) -> Result<WireOutput<'_>, Refusal> {
    let mut reader = Reader::new(bytes, Part::Psbt);
    let read = WireOutput::parse(&mut reader).and_then(|output| {
        reader.finish()?;
        Ok(output)
    });
    read.map_err(|_| Refusal::FieldMalformed {
        place: Place::Input(input),
        field: field::INPUT_WITNESS_UTXO,
    })
}

/// Only the three sequences without a relative lock (BIP-68) are signed for.
fn check_sequences(inputs: &[WireInput]) -> Result<(), Refusal> {
    /// The lowest sequence that wallets use: replaceable (BIP-125), no relative lock.
    const SEQUENCE_MIN: u32 = 0xffff_fffd;

    match inputs
        .iter()
        .position(|input| input.sequence < SEQUENCE_MIN)
    {
        Some(input) => Err(Refusal::Sequence {
            input,
            sequence: inputs.get(input).map_or(0, |wire| wire.sequence),
        }),
        None => Ok(()),
    }
}

fn check_outpoints(inputs: &[WireInput]) -> Result<(), Refusal> {
    let mut seen = std::collections::HashSet::new();
    for (input, WireInput { outpoint, .. }) in inputs.iter().enumerate() {
        if outpoint.txid == [0; 32] {
            return Err(Refusal::InputCoinbase { input });
        }
        if !seen.insert(outpoint) {
            return Err(Refusal::InputTwice { input });
        }
    }
    Ok(())
}

fn read_outputs(chain: Chain, outputs: &[WireOutput<'_>]) -> Result<Vec<ViewOutput>, Refusal> {
    outputs
        .iter()
        .enumerate()
        .map(|(output, wire)| {
            let address = Address::from_script(chain, wire.script);
            Ok(ViewOutput {
                address: address.ok_or_else(|| no_address(chain, output, wire.script))?,
                amount: wire.amount,
            })
        })
        .collect()
}

/// Names the scripts that people meet.
fn no_address(chain: Chain, output: usize, script: &[u8]) -> Refusal {
    match (chain, script) {
        (_, [0x6a, ..]) => Refusal::OutputData { output },
        // Witness versions 8 and 9: the extension block's own output, and a peg-in (LIP-0002).
        (Chain::Litecoin(_), [0x58 | 0x59, 0x20, program @ ..]) if program.len() == 32 => {
            Refusal::Mweb {
                part: Part::Unsigned,
            }
        }
        _ => Refusal::OutputScript { output },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_be_encoded_otherwise_is_refused() {
        assert_eq!(same(b"a", b"a", Part::Psbt), Ok(()));
        let refusal = same(b"a", b"b", Part::Unsigned).unwrap_err();
        assert_eq!(refusal.code(), "utxo-not-canonical");
    }
}
