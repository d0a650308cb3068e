//! Amounts as people write them: base units, or a decimal number with its unit. No floats.

use tx::{Amount, AmountError, Chain};

/// Why a text is no amount.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum BaseUnitsError {
    /// It is no number of base units.
    #[error("{text:?} is no amount in base units")]
    Number {
        /// The text.
        text: String,
        /// Why not.
        #[source]
        source: AmountError,
    },
    /// The unit is not one of this asset's.
    #[error("{unit:?} is no unit of this asset")]
    Unit {
        /// The unit.
        unit: String,
    },
    /// There are digits below the base unit.
    #[error("{text:?} is finer than the asset's base unit")]
    TooFine {
        /// The text.
        text: String,
    },
}

/// The units of a chain's native coin and their decimals.
pub fn native_units(chain: Chain) -> &'static [(&'static str, usize)] {
    match chain {
        Chain::Evm(_) => &[("ether", 18), ("gwei", 9), ("wei", 0)],
        Chain::Bitcoin(_) => &[("btc", 8), ("sat", 0)],
        Chain::Litecoin(_) => &[("ltc", 8), ("sat", 0)],
        _ => &[],
    }
}

/// Reads `1500` (base units), `0.5ether` or `0.5 btc`.
///
/// # Errors
/// [`BaseUnitsError`]. A decimal point without a unit is refused: nobody can tell what it means.
pub fn parse(text: &str, units: &[(&str, usize)]) -> Result<Amount, BaseUnitsError> {
    let split = text
        .find(|c: char| c.is_ascii_alphabetic())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at_checked(split).unwrap_or((text, ""));
    if unit.is_empty() {
        return base_units(text, number);
    }
    let known = units.iter().find(|(name, _)| *name == unit);
    let (_, decimals) = known.ok_or_else(|| BaseUnitsError::Unit {
        unit: unit.to_owned(),
    })?;
    let number = number.strip_suffix(' ').unwrap_or(number);
    let (whole, fraction) = match number.split_once('.') {
        // `1.` and `.5` are typing errors as often as numbers.
        Some((_, "")) | Some(("", _)) => return base_units(text, number),
        Some(parts) => parts,
        None => (number, ""),
    };
    if fraction.len() > *decimals {
        return Err(BaseUnitsError::TooFine {
            text: text.to_owned(),
        });
    }
    // The whole part alone must be a number, so that `00.5` is refused like `00`.
    base_units(text, whole)?;
    let digits = format!("{whole}{fraction:0<decimals$}");
    let significant = digits.trim_start_matches('0');
    base_units(
        text,
        if significant.is_empty() {
            "0"
        } else {
            significant
        },
    )
}

fn base_units(text: &str, digits: &str) -> Result<Amount, BaseUnitsError> {
    digits.parse().map_err(|source| BaseUnitsError::Number {
        text: text.to_owned(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use tx::Network;

    use super::*;

    fn read(text: &str, chain: Chain) -> Option<String> {
        parse(text, native_units(chain))
            .ok()
            .map(|amount| amount.to_string())
    }

    #[test]
    fn exact_in_every_unit() {
        let evm = Chain::Evm(1);
        let btc = Chain::Bitcoin(Network::Mainnet);
        for (text, chain, expected) in [
            ("1500", evm, "1500"),
            ("0.5ether", evm, "500000000000000000"),
            ("1 ether", evm, "1000000000000000000"),
            ("0.000000000000000001ether", evm, "1"),
            ("30gwei", evm, "30000000000"),
            ("0ether", evm, "0"),
            ("0.1btc", btc, "10000000"),
            ("20999999.9769btc", btc, "2099999997690000"),
            ("546 sat", btc, "546"),
            ("2ltc", Chain::Litecoin(Network::Regtest), "200000000"),
        ] {
            assert_eq!(read(text, chain).as_deref(), Some(expected), "{text}");
        }
    }

    #[test]
    fn refuses_what_could_mean_two_things() {
        for text in [
            "",
            "0.5",
            "1.",
            ".5ether",
            "1.ether",
            "1e18",
            "-1",
            "1,5ether",
            "01",
            "00.5ether",
            "1  ether",
            " 1",
            "1btc",
            "0.0000000000000000001ether",
            "1Ether",
            "ether",
            "0x10",
            "1.5.5ether",
            "1.-5ether",
        ] {
            assert_eq!(read(text, Chain::Evm(1)), None, "{text:?}");
        }
        assert_eq!(read("1ltc", Chain::Bitcoin(Network::Mainnet)), None);
        assert_eq!(
            read("0.000000001btc", Chain::Bitcoin(Network::Mainnet)),
            None
        );
        assert_eq!(
            parse("1ether", &[]),
            Err(BaseUnitsError::Unit {
                unit: "ether".into()
            })
        );
    }
}
