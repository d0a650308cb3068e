//! Amounts, in satoshi: what there is, what is dust, what is paid to miners, and for what size.

use super::{
    refusal::Refusal,
    script::{Spends, Template},
    wire::WireOutput,
};
use crate::Chain;

/// The satoshi of one coin.
const COIN: u64 = 100_000_000;

/// What bounds the amounts of a chain.
pub(super) struct Limits {
    /// All there will ever be.
    most: u64,
    /// The rate at which nodes count spending an output as its cost, in satoshi a vbyte.
    dust_rate: u64,
}

impl Limits {
    /// The limits of a chain. The rates are the defaults of `-dustrelayfee`: 0.00003 BTC/kvB in
    /// Bitcoin Core, 0.0003 LTC/kB in Litecoin Core. Nodes do not relay what is below.
    pub(super) fn of(chain: Chain) -> Result<Self, Refusal> {
        let (coins, dust_rate) = match chain {
            Chain::Bitcoin(_) => (21_000_000, 3),
            Chain::Litecoin(_) => (84_000_000, 30),
            Chain::Evm(_) => return Err(Refusal::Chain { chain }),
        };
        Ok(Self {
            most: COIN.saturating_mul(coins),
            dust_rate,
        })
    }

    fn sum(&self, amounts: impl Iterator<Item = u64>) -> Result<u64, Refusal> {
        let mut sum: u64 = 0;
        for amount in amounts {
            let next = sum.checked_add(amount).filter(|next| *next <= self.most);
            sum = next.ok_or(Refusal::AmountRange { most: self.most })?;
        }
        Ok(sum)
    }

    /// The least amount that is not dust, as `GetDustThreshold` of Core's `policy.cpp` has it: what
    /// the output and its later input cost at the dust rate.
    fn dust(&self, template: Template) -> u64 {
        let vbytes = match template {
            Template::P2pkh(_) => 34 + 148,
            Template::P2sh(_) => 32 + 148,
            Template::P2wpkh(_) => 31 + 67,
            Template::P2wsh(_) | Template::P2tr(_) => 43 + 67,
        };
        self.dust_rate.saturating_mul(vbytes)
    }
}

/// The least amount of an output with this script that nodes relay; `None` for a script that is never
/// paid, and on other chains.
pub fn dust(chain: Chain, script: &[u8]) -> Option<u64> {
    let limits = Limits::of(chain).ok()?;
    Some(limits.dust(Template::of(script)?))
}

/// Refuses outputs that cost more to spend than they are worth.
pub(super) fn check_dust(limits: &Limits, outputs: &[WireOutput<'_>]) -> Result<(), Refusal> {
    for (output, wire) in outputs.iter().enumerate() {
        let template = Template::of(wire.script).ok_or(Refusal::OutputScript { output })?;
        let least = limits.dust(template);
        if wire.amount < least {
            return Err(Refusal::OutputDust {
                output,
                amount: wire.amount,
                least,
            });
        }
    }
    Ok(())
}

/// The inputs less the outputs.
pub(super) fn fee(
    limits: &Limits,
    inputs: impl Iterator<Item = u64>,
    outputs: impl Iterator<Item = u64>,
) -> Result<u64, Refusal> {
    let (inputs, outputs) = (limits.sum(inputs)?, limits.sum(outputs)?);
    inputs
        .checked_sub(outputs)
        .ok_or(Refusal::Overspent { inputs, outputs })
}

/// The virtual size (BIP-141) of a transaction that is `unsigned_length` bytes without its witnesses and
/// spends such outputs, when every ECDSA signature is 71 bytes long with its hash type. Of those with a low
/// `s` half are as long, half have one byte more, and less than one in a hundred is shorter. So the real size
/// is seldom less and at most a quarter of a vbyte an input more, and a cap on the fee rate errs to the strict
/// side. What P2TR takes is always the same.
pub(super) fn vsize(unsigned_length: usize, inputs: impl Iterator<Item = Spends>) -> u64 {
    /// Marker and flag.
    const SEGWIT_WEIGHT: u64 = 2;
    /// The number of items, the signature with its hash type, the public key, and their lengths.
    const P2WPKH_WEIGHT: u64 = 1 + (1 + 71) + (1 + 33);
    /// The number of items, the signature, and its length.
    const P2TR_WEIGHT: u64 = 1 + (1 + 64);

    // Both are far below 2^32: nothing saturates.
    let length = u64::try_from(unsigned_length).unwrap_or(u64::MAX);
    let witnesses = inputs.map(|spends| match spends {
        Spends::P2wpkh => P2WPKH_WEIGHT,
        Spends::P2tr => P2TR_WEIGHT,
    });
    length
        .saturating_mul(4)
        .saturating_add(SEGWIT_WEIGHT)
        .saturating_add(witnesses.fold(0, u64::saturating_add))
        .div_ceil(4)
}
