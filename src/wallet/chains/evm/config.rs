//! What an operator sets for an EVM chain.

use serde::Deserialize;
use thiserror::Error;
use tx::Amount;

use super::fees::wei;

/// What an operator sets for an EVM chain; what is left out has a default that suits Ethereum.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The least priority fee that is offered, in wei a gas; above zero, so that a replacement can
    /// raise it.
    pub priority_fee_floor: Amount,
    /// The highest `maxFeePerGas`, in wei a gas: what is dearer waits.
    pub max_fee_ceiling: Amount,
    /// A transaction that is not included for so long is replaced by one that offers more.
    pub bump_after_secs: u64,
    /// A transaction that is not included is given to the nodes again after so long.
    pub resend_after_secs: u64,
    /// How often the chain is looked at.
    pub poll_millis: u64,
    /// The most payouts that are signed and in no block, for one address.
    pub in_flight_max: u32,
    /// The gas limit of a payment of the chain's own coin; estimated for each destination if it is
    /// not set, as some may be contracts.
    pub native_gas_limit: Option<u64>,
    /// The gas limit of a cancellation.
    pub cancellation_gas_limit: u64,
    /// What is added to an estimate of gas, in per cent.
    pub gas_margin_percent: u64,
    /// The highest gas limit: what needs more is not built.
    pub gas_limit_max: u64,
    /// For chains whose nodes do not know the tag `finalized`: how many blocks must stand upon one
    /// before it counts as final.
    pub finalized_by_depth: Option<u64>,
}

/// Why a configuration is none.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// A number is outside of what makes sense.
    #[error("{name} is {found}; it is between {least} and {most}")]
    Range {
        /// Which.
        name: &'static str,
        /// What it is.
        found: u64,
        /// The least.
        least: u64,
        /// The most.
        most: u64,
    },
    /// The priority fee's floor is zero or above the ceiling, or the ceiling is 2^128 wei or more.
    #[error(
        "priority_fee_floor is {floor} and max_fee_ceiling {ceiling}: the floor is above zero and \
         at most the ceiling, which is below 2^128"
    )]
    Fees {
        /// The floor.
        floor: Amount,
        /// The ceiling.
        ceiling: Amount,
    },
}

impl Default for Config {
    fn default() -> Self {
        Self {
            priority_fee_floor: Amount::from(1_000_000_u64),
            max_fee_ceiling: Amount::from(500_000_000_000_u64),
            bump_after_secs: 180,
            resend_after_secs: 60,
            poll_millis: 3_000,
            in_flight_max: 64,
            native_gas_limit: None,
            cancellation_gas_limit: 21_000,
            gas_margin_percent: 25,
            gas_limit_max: 1_000_000,
            finalized_by_depth: None,
        }
    }
}

impl Config {
    /// Holds the numbers to what makes sense.
    ///
    /// # Errors
    /// [`ConfigError`]: the first that does not.
    pub fn check(&self) -> Result<(), ConfigError> {
        const GAS: (u64, u64) = (21_000, 30_000_000);
        let range = |name, found: u64, (least, most): (u64, u64)| {
            if (least..=most).contains(&found) {
                return Ok(());
            }
            Err(ConfigError::Range {
                name,
                found,
                least,
                most,
            })
        };
        range("bump_after_secs", self.bump_after_secs, (1, 86_400))?;
        range("resend_after_secs", self.resend_after_secs, (1, 86_400))?;
        range("poll_millis", self.poll_millis, (10, 600_000))?;
        range("in_flight_max", self.in_flight_max.into(), (1, 10_000))?;
        range("gas_margin_percent", self.gas_margin_percent, (0, 400))?;
        range("gas_limit_max", self.gas_limit_max, GAS)?;
        let cancellation = self.cancellation_gas_limit;
        range("cancellation_gas_limit", cancellation, GAS)?;
        let native = self.native_gas_limit.unwrap_or(GAS.0);
        range("native_gas_limit", native, GAS)?;
        let depth = self.finalized_by_depth.unwrap_or(1);
        range("finalized_by_depth", depth, (1, 100_000))?;
        self.check_fees()
    }

    fn check_fees(&self) -> Result<(), ConfigError> {
        let (floor, ceiling) = (self.priority_fee_floor, self.max_fee_ceiling);
        if floor.is_zero() || floor > ceiling || wei(ceiling).is_none() {
            return Err(ConfigError::Fees { floor, ceiling });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Config, String> {
        let config: Config = toml::from_str(text).map_err(|error| error.to_string())?;
        config.check().map_err(|error| error.to_string())?;
        Ok(config)
    }

    #[test]
    fn what_is_left_out_has_a_default() {
        assert_eq!(parse(""), Ok(Config::default()));
        let config = parse("priority_fee_floor = \"7\"\nin_flight_max = 500\n").unwrap();
        assert_eq!(config.priority_fee_floor, Amount::from(7_u64));
        assert_eq!(config.in_flight_max, 500);
    }

    #[test]
    fn what_is_unknown_or_makes_no_sense_is_refused() {
        for text in [
            "bump = 1",
            "priority_fee_floor = 7",
            "priority_fee_floor = \"0\"",
            "max_fee_ceiling = \"1\"",
            "max_fee_ceiling = \"340282366920938463463374607431768211456\"",
            "poll_millis = 0",
            "in_flight_max = 0",
            "native_gas_limit = 20999",
            "gas_limit_max = 30000001",
            "finalized_by_depth = 0",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
