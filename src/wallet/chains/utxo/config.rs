//! What an operator sets for a UTXO chain.

use serde::Deserialize;
use thiserror::Error;

/// The most confirmations that can be asked for: half of what a lane remembers of a chain.
const CONFIRMATIONS_MAX: u64 = 100;
/// The most withdrawals in one transaction, beside change, as the signer takes outputs.
const BATCH_MAX: u64 = 499;

/// What an operator sets for a UTXO chain; what is left out has a default that suits Bitcoin.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The first block that is read: none before it pays the account.
    pub start_height: u64,
    /// How deep a transaction must be to count as final, by what it pays in all.
    #[serde(default = "confirmations")]
    pub confirmations: Vec<Confirmations>,
    /// How deep a coin must be to be spent.
    #[serde(default = "one")]
    pub coin_confirmations: u64,
    /// What is paid for a vbyte where nodes cannot tell, in satoshi.
    #[serde(default = "fee_rate_fallback")]
    pub fee_rate_fallback_sat_vb: u64,
    /// The most that is paid for a vbyte.
    #[serde(default = "fee_rate_ceiling")]
    pub fee_rate_ceiling_sat_vb: u64,
    /// What spending a coin is taken to cost some day, for a vbyte: by it change is worth making or not.
    #[serde(default = "fee_rate_long_term")]
    pub fee_rate_long_term_sat_vb: u64,
    /// Within how many blocks a transaction should be included.
    #[serde(default = "target_blocks")]
    pub target_blocks: u16,
    /// A transaction that is not included for so long is replaced by one that pays more.
    #[serde(default = "bump_after_secs")]
    pub bump_after_secs: u64,
    /// And for so many blocks.
    #[serde(default = "bump_after_blocks")]
    pub bump_after_blocks: u64,
    /// A transaction that is not included is given to the nodes again after so long.
    #[serde(default = "resend_after_secs")]
    pub resend_after_secs: u64,
    /// The most withdrawals in one transaction.
    #[serde(default = "batch_max")]
    pub batch_max: u64,
    /// How often the chain is looked at.
    #[serde(default = "poll_millis")]
    pub poll_millis: u64,
}

/// A row of the table of confirmations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Confirmations {
    /// Up to this amount, itself included, in satoshi; the last row has none.
    pub up_to_sat: Option<u64>,
    /// So many blocks, the transaction's own included.
    pub blocks: u64,
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
    /// The table of confirmations does not say how many for every amount, or less for more.
    #[error(
        "confirmations: amounts and blocks rise from row to row, and only the last row has no up_to_sat"
    )]
    Confirmations,
}

impl Config {
    /// What suits Bitcoin, read from a height on.
    pub fn starting_at(start_height: u64) -> Self {
        Self {
            start_height,
            confirmations: confirmations(),
            coin_confirmations: one(),
            fee_rate_fallback_sat_vb: fee_rate_fallback(),
            fee_rate_ceiling_sat_vb: fee_rate_ceiling(),
            fee_rate_long_term_sat_vb: fee_rate_long_term(),
            target_blocks: target_blocks(),
            bump_after_secs: bump_after_secs(),
            bump_after_blocks: bump_after_blocks(),
            resend_after_secs: resend_after_secs(),
            batch_max: batch_max(),
            poll_millis: poll_millis(),
        }
    }

    /// Checks what the types do not.
    ///
    /// # Errors
    /// [`ConfigError`].
    pub fn check(&self) -> Result<(), ConfigError> {
        let ranges = [
            (
                "coin_confirmations",
                self.coin_confirmations,
                1,
                CONFIRMATIONS_MAX,
            ),
            (
                "fee_rate_ceiling_sat_vb",
                self.fee_rate_ceiling_sat_vb,
                1,
                1_000_000,
            ),
            (
                "fee_rate_fallback_sat_vb",
                self.fee_rate_fallback_sat_vb,
                1,
                self.fee_rate_ceiling_sat_vb,
            ),
            (
                "fee_rate_long_term_sat_vb",
                self.fee_rate_long_term_sat_vb,
                1,
                1_000_000,
            ),
            ("target_blocks", self.target_blocks.into(), 1, 1008),
            ("bump_after_secs", self.bump_after_secs, 1, 30 * 86_400),
            ("bump_after_blocks", self.bump_after_blocks, 0, 1008),
            ("resend_after_secs", self.resend_after_secs, 1, 86_400),
            ("batch_max", self.batch_max, 1, BATCH_MAX),
            ("poll_millis", self.poll_millis, 10, 600_000),
        ];
        let wrong = ranges
            .into_iter()
            .find(|(_, found, least, most)| !(least..=most).contains(&found));
        if let Some((name, found, least, most)) = wrong {
            return Err(ConfigError::Range {
                name,
                found,
                least,
                most,
            });
        }
        self.check_confirmations()
    }

    fn check_confirmations(&self) -> Result<(), ConfigError> {
        let amount = |row: &Confirmations| row.up_to_sat.unwrap_or(u64::MAX);
        let rows = self.confirmations.as_slice();
        let rises = rows.is_sorted_by(|a, b| amount(a) < amount(b) && a.blocks <= b.blocks);
        let bounded = rows
            .iter()
            .all(|row| (1..=CONFIRMATIONS_MAX).contains(&row.blocks));
        let whole = rows.last().is_some_and(|row| row.up_to_sat.is_none());
        if rises && bounded && whole {
            Ok(())
        } else {
            Err(ConfigError::Confirmations)
        }
    }

    /// How deep a transaction that pays so much must be to count as final.
    pub fn confirmations_of(&self, amount_sat: u64) -> u64 {
        let fits = |row: &&Confirmations| row.up_to_sat.is_none_or(|most| amount_sat <= most);
        let row = self.confirmations.iter().find(fits);
        row.map_or(CONFIRMATIONS_MAX, |row| row.blocks)
    }
}

fn confirmations() -> Vec<Confirmations> {
    vec![Confirmations {
        up_to_sat: None,
        blocks: 6,
    }]
}

fn one() -> u64 {
    1
}

fn fee_rate_fallback() -> u64 {
    20
}

fn fee_rate_ceiling() -> u64 {
    500
}

fn fee_rate_long_term() -> u64 {
    10
}

fn target_blocks() -> u16 {
    3
}

fn bump_after_secs() -> u64 {
    3_600
}

fn bump_after_blocks() -> u64 {
    3
}

fn resend_after_secs() -> u64 {
    300
}

fn batch_max() -> u64 {
    100
}

fn poll_millis() -> u64 {
    5_000
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Config, toml::de::Error> {
        toml::from_str(text)
    }

    #[test]
    fn defaults_hold() {
        let config = read("start_height = 800000").unwrap();
        assert_eq!(config, Config::starting_at(800_000));
        assert_eq!(config.check(), Ok(()));
        assert_eq!(config.confirmations_of(u64::MAX), 6);
    }

    #[test]
    fn is_strict() {
        assert!(read("").is_err());
        assert!(read("start_height = 0\nconfirmation = 3").is_err());
        let nothing = read("start_height = 0\nbatch_max = 0").unwrap();
        assert!(matches!(
            nothing.check(),
            Err(ConfigError::Range {
                name: "batch_max",
                ..
            })
        ));
        let dear = read("start_height = 0\nfee_rate_fallback_sat_vb = 501").unwrap();
        assert!(dear.check().is_err());
    }

    #[test]
    fn deeper_for_more() {
        let table = "start_height = 0\nconfirmations = [{ up_to_sat = 1000, blocks = 1 }, \
                     { up_to_sat = 100000, blocks = 3 }, { blocks = 6 }]";
        let config = read(table).unwrap();
        assert_eq!(config.check(), Ok(()));
        let blocks =
            [0, 1000, 1001, 100_000, 100_001].map(|amount| config.confirmations_of(amount));
        assert_eq!(blocks, [1, 1, 3, 3, 6]);
        for wrong in [
            "[]",
            "[{ blocks = 0 }]",
            "[{ up_to_sat = 5, blocks = 1 }]",
            "[{ up_to_sat = 5, blocks = 3 }, { blocks = 2 }]",
            "[{ up_to_sat = 5, blocks = 1 }, { up_to_sat = 5, blocks = 1 }, { blocks = 2 }]",
            "[{ blocks = 1 }, { blocks = 2 }]",
            "[{ blocks = 101 }]",
        ] {
            let config = read(&format!("start_height = 0\nconfirmations = {wrong}")).unwrap();
            assert_eq!(config.check(), Err(ConfigError::Confirmations), "{wrong}");
        }
    }
}
