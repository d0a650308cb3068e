//! What transactions there can be, as far as amounts go: what the codecs of [`tx`] take.

use num_bigint::BigInt;
use tx::{Address, Chain, utxo};

/// The largest sum of a Bitcoin-like transaction is below this in satoshi.
const SUPPLY_MAX: u64 = 8_400_000_000_000_000;
/// What a transfer may set aside at least and at most (`tx::evm`).
const GAS: (u64, u64) = (21_000, 30_000_000);
/// Less than the smallest transaction of one input and one output has, and more than the largest of
/// [`utxo::INPUTS_MAX`] and [`utxo::OUTPUTS_MAX`] has, in virtual bytes.
const VBYTES: (u64, u64) = (100, 60_000);

/// What transactions there can be.
#[derive(Clone, Copy, Debug)]
pub struct Forms {
    /// The least that is paid to an address.
    pub least: fn(&Address) -> u64,
    /// The most that is paid at once; what an amount has room for where there is none.
    pub most: fn(Chain) -> Option<u64>,
    /// How many payments a transaction makes at most.
    pub batch: fn(Chain) -> u64,
    /// The least and most of gas or virtual bytes.
    pub size: fn(Chain) -> (u64, u64),
}

impl Forms {
    /// What `signerd` understands.
    pub const CODECS: Self = Self {
        least: |to| utxo::dust(to.chain(), to.as_bytes()).unwrap_or(1),
        most: |chain| match chain {
            Chain::Evm(_) => None,
            _ => Some(SUPPLY_MAX),
        },
        batch: |chain| match chain {
            Chain::Evm(_) => 1,
            _ => utxo::OUTPUTS_MAX as u64,
        },
        size: |chain| match chain {
            Chain::Evm(_) => GAS,
            _ => VBYTES,
        },
    };

    pub(crate) fn most_of(&self, chain: Chain) -> BigInt {
        let highest = crate::question::number(tx::Amount::MAX);
        (self.most)(chain).map_or(highest, BigInt::from)
    }
}
