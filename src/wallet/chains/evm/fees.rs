//! What is offered for inclusion (EIP-1559).

use tx::{Amount, evm::Fees};

use super::Config;

/// What inclusion costs, in wei a gas.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Market {
    /// The base fee of the block to come.
    pub base_fee: u128,
    /// What others offered the proposer lately, the median.
    pub priority_fee: u128,
}

/// The two caps of a transaction, in wei a gas.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Caps {
    pub(super) max_fee: u128,
    pub(super) priority_fee: u128,
}

/// Why nothing can be offered now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TooDear {
    /// What it would take, in wei a gas.
    pub(super) needed: u128,
    /// What is allowed.
    pub(super) allowed: u128,
}

/// An amount of wei that a fee can have: below 2^128.
pub(super) fn wei(amount: Amount) -> Option<u128> {
    let bytes = amount.to_be_bytes();
    let (high, low) = bytes.split_first_chunk::<16>()?;
    let low = <[u8; 16]>::try_from(low).ok()?;
    (*high == [0; 16]).then(|| u128::from_be_bytes(low))
}

impl Market {
    /// The offer for a new transaction: twice the base fee and the priority fee, so that it holds
    /// through six full blocks; less where less is allowed, as long as the next block would take it.
    ///
    /// `fee_max` is the most that the transaction may cost with this gas limit.
    pub(super) fn offer(
        self,
        config: &Config,
        gas_limit: u64,
        fee_max: Option<Amount>,
    ) -> Result<Caps, TooDear> {
        let least = Caps {
            max_fee: 0,
            priority_fee: 0,
        };
        self.offer_above(least, config, gas_limit, fee_max)
    }

    /// As [`Self::offer`], and no cap below those of `least`.
    fn offer_above(
        self,
        least: Caps,
        config: &Config,
        gas_limit: u64,
        fee_max: Option<Amount>,
    ) -> Result<Caps, TooDear> {
        let floor = wei(config.priority_fee_floor).unwrap_or(u128::MAX);
        let priority_fee = self.priority_fee.max(floor).max(least.priority_fee);
        let needed = self.base_fee.saturating_add(priority_fee);
        let needed = needed.max(least.max_fee);
        let allowed = allowed(config, gas_limit, fee_max);
        if needed > allowed {
            return Err(TooDear { needed, allowed });
        }
        let wished = self.base_fee.saturating_mul(2).saturating_add(priority_fee);
        Ok(Caps {
            max_fee: wished.max(needed).min(allowed),
            priority_fee,
        })
    }

    /// The offer for a transaction in place of one with these caps: both an eighth more, which is
    /// above what nodes and the signer ask for, and at least the market.
    pub(super) fn replacement(
        self,
        old: Caps,
        config: &Config,
        gas_limit: u64,
        fee_max: Option<Amount>,
    ) -> Result<Caps, TooDear> {
        self.offer_above(old.raised(), config, gas_limit, fee_max)
    }

    /// Whether the next block would take an offer.
    pub(super) fn takes(self, caps: Caps) -> bool {
        caps.max_fee >= self.base_fee
    }
}

impl Caps {
    /// An eighth more, rounded up; of nothing it is one.
    fn raised(self) -> Self {
        let raise = |cap: u128| cap.saturating_add((cap >> 3).saturating_add(1));
        Self {
            max_fee: raise(self.max_fee),
            priority_fee: raise(self.priority_fee),
        }
    }

    /// The higher one of each.
    pub(super) fn max(self, other: Self) -> Self {
        Self {
            max_fee: self.max_fee.max(other.max_fee),
            priority_fee: self.priority_fee.max(other.priority_fee),
        }
    }

    pub(super) fn of(terms: &tx::FeeTerms) -> Option<Self> {
        match terms {
            tx::FeeTerms::Evm {
                max_fee_per_gas,
                max_priority_fee_per_gas,
                ..
            } => Some(Self {
                max_fee: wei(*max_fee_per_gas)?,
                priority_fee: wei(*max_priority_fee_per_gas)?,
            }),
            _ => None,
        }
    }

    pub(super) fn fees(self) -> Fees {
        Fees::Eip1559 {
            max_fee_per_gas: self.max_fee.into(),
            max_priority_fee_per_gas: self.priority_fee.into(),
        }
    }
}

/// The highest cap, by the configuration and by what the intent allows for this gas limit.
fn allowed(config: &Config, gas_limit: u64, fee_max: Option<Amount>) -> u128 {
    let ceiling = wei(config.max_fee_ceiling).unwrap_or(u128::MAX);
    // What an intent allows beyond 2^128 wei is no bound.
    let fee_max = fee_max.and_then(wei).unwrap_or(u128::MAX);
    let by_intent = fee_max.checked_div(gas_limit.into()).unwrap_or(0);
    ceiling.min(by_intent)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MARKET: Market = Market {
        base_fee: 100,
        priority_fee: 7,
    };

    fn config(floor: u64, ceiling: u64) -> Config {
        Config {
            priority_fee_floor: floor.into(),
            max_fee_ceiling: ceiling.into(),
            ..Config::default()
        }
    }

    #[test]
    fn offers_twice_the_base_fee_and_the_priority_fee() {
        let caps = MARKET.offer(&config(1, 1_000), 21_000, None).unwrap();
        assert_eq!((caps.max_fee, caps.priority_fee), (207, 7));
    }

    #[test]
    fn offers_at_least_the_floor() {
        let caps = MARKET.offer(&config(9, 1_000), 21_000, None).unwrap();
        assert_eq!((caps.max_fee, caps.priority_fee), (209, 9));
    }

    #[test]
    fn offers_less_where_less_is_allowed_as_long_as_the_next_block_takes_it() {
        assert_eq!(
            MARKET.offer(&config(1, 150), 21_000, None).unwrap().max_fee,
            150
        );
        let by_intent = Some(Amount::from(110_u64 * 21_000 + 20_999));
        let caps = MARKET.offer(&config(1, 1_000), 21_000, by_intent).unwrap();
        assert_eq!(caps.max_fee, 110);
        let dear = TooDear {
            needed: 107,
            allowed: 106,
        };
        assert_eq!(MARKET.offer(&config(1, 106), 21_000, None), Err(dear));
        let by_intent = Some(Amount::from(106_u64 * 21_000 + 20_999));
        assert_eq!(
            MARKET.offer(&config(1, 1_000), 21_000, by_intent),
            Err(dear)
        );
    }

    proptest! {
        #[test]
        fn a_replacement_offers_a_tenth_more_on_both_caps(
            max_fee in 1_u128..1 << 90,
            share in 0_u128..=100,
            base_fee in 0_u128..1 << 90,
            priority_fee in 0_u128..1 << 60,
        ) {
            let old = Caps { max_fee, priority_fee: max_fee * share / 100 };
            let market = Market { base_fee, priority_fee };
            let config = config(1, u64::MAX);
            if let Ok(new) = market.replacement(old, &config, 21_000, None) {
                prop_assert!(new.max_fee * 1000 >= old.max_fee * 1125);
                prop_assert!(new.priority_fee * 1000 >= old.priority_fee * 1125);
                prop_assert!(new.max_fee > old.max_fee && new.priority_fee > old.priority_fee);
                prop_assert!(new.max_fee >= base_fee + new.priority_fee || new.max_fee >= new.priority_fee);
                prop_assert!(new.priority_fee <= new.max_fee);
                prop_assert!(new.max_fee <= u128::from(u64::MAX));
            }
        }
    }
}
