//! What a transaction weighs (BIP-141) before it is signed. Every signature is taken to be as long as it can
//! be, so that the fee rate is never below what was asked for.

use super::{amounts::dust, script::Spends};
use crate::Chain;

/// A P2WPKH input: outpoint, empty script, sequence; two items, a signature of at most 72 bytes with
/// its hash type, a key.
const P2WPKH_INPUT_WEIGHT: u64 = 4 * (36 + 1 + 4) + 1 + (1 + 72) + (1 + 33);

/// A P2TR input along the key's path: outpoint, empty script, sequence; one item, a signature of 64 bytes.
const P2TR_INPUT_WEIGHT: u64 = 4 * (36 + 1 + 4) + 1 + (1 + 64);

/// Version, lock time, and the marker and flag of a witness.
const OVERHEAD_WEIGHT: u64 = 4 * (4 + 4) + 2;

/// What the input weighs that spends an output with this script; `None` where none is spent from here.
fn input_weight(script: &[u8]) -> Option<u64> {
    Spends::of(script).map(|spends| match spends {
        Spends::P2wpkh => P2WPKH_INPUT_WEIGHT,
        Spends::P2tr => P2TR_INPUT_WEIGHT,
    })
}

/// What the coins of an account cost: to be spent, and to be made as change. Where it has keys of both schemes
/// it is the most that any of them costs, so that coins need not be told apart, and no fee is too low.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CoinCosts {
    /// What an input weighs that spends one.
    pub input_weight: u64,
    /// The length of a coin's script.
    pub script_length: usize,
    /// The least amount of one that nodes relay, in satoshi.
    pub dust: u64,
}

impl CoinCosts {
    /// Those of coins with these scripts; `None` where there are none, or one is not spent from here.
    pub fn of<'a>(chain: Chain, scripts: impl IntoIterator<Item = &'a [u8]>) -> Option<Self> {
        let costs = |script: &[u8]| {
            Some(Self {
                input_weight: input_weight(script)?,
                script_length: script.len(),
                dust: dust(chain, script)?,
            })
        };
        let all: Option<Vec<Self>> = scripts.into_iter().map(costs).collect();
        all?.into_iter().reduce(|one, other| Self {
            input_weight: one.input_weight.max(other.input_weight),
            script_length: one.script_length.max(other.script_length),
            dust: one.dust.max(other.dust),
        })
    }

    /// What an input takes of the virtual size, rounded up, at a rate.
    pub fn spending(&self, rate: u64) -> Option<u64> {
        Some(rate.checked_mul(self.input_weight)?.div_ceil(4))
    }
}

/// What is in a transaction, as far as it weighs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Contents {
    inputs: u64,
    inputs_weight: u64,
    outputs: u64,
    scripts_length: u64,
}

impl Contents {
    /// With so many inputs more, each of which spends such a coin.
    #[must_use]
    pub fn with_inputs(self, inputs: usize, costs: CoinCosts) -> Self {
        let inputs = inputs as u64;
        Self {
            inputs: self.inputs.saturating_add(inputs),
            inputs_weight: self
                .inputs_weight
                .saturating_add(inputs.saturating_mul(costs.input_weight)),
            ..self
        }
    }

    /// With an output more, whose script has this length.
    #[must_use]
    pub fn with_output(self, script_length: usize) -> Self {
        let length = script_length as u64;
        Self {
            outputs: self.outputs.saturating_add(1),
            scripts_length: self
                .scripts_length
                .saturating_add(count_length(length))
                .saturating_add(length),
            ..self
        }
    }

    /// The weight.
    pub fn weight(self) -> u64 {
        let counts = count_length(self.inputs).saturating_add(count_length(self.outputs));
        let outputs = self.outputs.saturating_mul(8);
        let outputs = outputs.saturating_add(self.scripts_length);
        OVERHEAD_WEIGHT
            .saturating_add(counts.saturating_add(outputs).saturating_mul(4))
            .saturating_add(self.inputs_weight)
    }

    /// The virtual size in vbytes, rounded up.
    pub fn vsize(self) -> u64 {
        self.weight().div_ceil(4)
    }
}

/// The bytes of a compact size.
fn count_length(count: u64) -> u64 {
    match count {
        0..=0xfc => 1,
        0xfd..=0xffff => 3,
        0x1_0000..=0xffff_ffff => 5,
        _ => 9,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Network;

    fn costs(scripts: &[&[u8]]) -> Option<CoinCosts> {
        CoinCosts::of(Chain::Bitcoin(Network::Mainnet), scripts.iter().copied())
    }

    const P2WPKH: &[u8] = &{
        let mut script = [0; 22];
        script[1] = 0x14;
        script
    };
    const P2TR: &[u8] = &{
        let mut script = [0; 34];
        (script[0], script[1]) = (0x51, 0x20);
        script
    };

    #[test]
    fn an_account_costs_what_its_dearest_coins_do() {
        let (p2wpkh, p2tr) = (costs(&[P2WPKH]).unwrap(), costs(&[P2TR]).unwrap());
        assert_eq!((p2wpkh.dust, p2tr.dust), (294, 330));
        assert_eq!((p2wpkh.input_weight, p2tr.input_weight), (272, 230));
        let both = costs(&[P2TR, P2WPKH]).unwrap();
        assert_eq!((both.dust, both.input_weight), (330, 272));
        assert_eq!(both.script_length, 34);
        assert_eq!(costs(&[]), None);
        assert_eq!(costs(&[P2WPKH, &[0x6a]]), None);
        assert_eq!(p2tr.spending(3), Some(173));
        assert_eq!(p2tr.spending(u64::MAX), None);
    }

    #[test]
    fn known_sizes() {
        // One input, two outputs: 141 vbytes with a signature of 72 bytes, as every wallet shows it.
        let contents = Contents::default().with_inputs(1, costs(&[P2WPKH]).unwrap());
        let contents = contents.with_output(22);
        assert_eq!(contents.vsize(), 110);
        assert_eq!(contents.with_output(22).vsize(), 141);
        // And 154 from P2TR to two of P2TR.
        let taproot = Contents::default().with_inputs(1, costs(&[P2TR]).unwrap());
        assert_eq!(taproot.with_output(34).with_output(34).vsize(), 154);
    }

    #[test]
    fn counts_grow() {
        let contents = Contents::default().with_output(22);
        let costs = costs(&[P2WPKH]).unwrap();
        let weight = |inputs| contents.with_inputs(inputs, costs).weight();
        assert_eq!(weight(252) - weight(251), P2WPKH_INPUT_WEIGHT);
        assert_eq!(weight(253) - weight(252), P2WPKH_INPUT_WEIGHT + 8);
    }
}
