//! Amounts, fee rates and lengths of time as people write them; every one exact or refused.

use thiserror::Error;
use tx::{Amount, Chain};

use crate::statement::canonical;

/// Why a text is no exact quantity.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(crate) enum UnitError {
    #[error("{text:?} is no number and unit, such as \"1.5 {example}\"")]
    Form { text: String, example: String },
    #[error(
        "{text:?} is no plain decimal number: digits, at most one point between digits, no sign, \
         exponent, separator or leading zero"
    )]
    Number { text: String },
    #[error("{text:?} is finer than the smallest unit, which has {decimals} decimal places")]
    Fine { text: String, decimals: u8 },
    #[error("{text:?} is 2^256 or more in the smallest unit")]
    TooLarge { text: String },
    #[error("{unit:?} is no unit of a fee rate on {chain}; write {expected}")]
    RateUnit {
        unit: String,
        chain: Chain,
        expected: &'static str,
    },
    #[error("{text:?} is no length of time from 1m to 90d, such as \"24h\"")]
    Window { text: String },
    #[error("{text:?} is no length of time from 0s to 90d, such as \"24h\"")]
    Delay { text: String },
    #[error("{text:?} is no length of time from 1h to 90d, such as \"72h\"")]
    Within { text: String },
    #[error("{text:?} is no length of time from 7d to 90d, such as \"14d\"")]
    Recovery { text: String },
    #[error("{text:?} is no length of time from 1m to 7d, such as \"24h\"")]
    Valid { text: String },
}

/// A number and its unit, one space between.
pub(super) fn quantity<'t>(text: &'t str, example: &str) -> Result<(&'t str, &'t str), UnitError> {
    text.split_once(' ').ok_or_else(|| UnitError::Form {
        text: text.into(),
        example: example.into(),
    })
}

/// A decimal number in an asset's base units, exactly.
pub(crate) fn decimal(text: &str, decimals: u8) -> Result<Amount, UnitError> {
    let refuse = || UnitError::Number { text: text.into() };
    let (whole, fraction) = match text.split_once('.') {
        Some((_, "")) => return Err(refuse()),
        Some(parts) => parts,
        None => (text, ""),
    };
    let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    let leading_zero = whole.len() > 1 && whole.starts_with('0');
    if whole.is_empty() || leading_zero || !digits(whole) || !digits(fraction) {
        return Err(refuse());
    }
    let Some(missing) = usize::from(decimals).checked_sub(fraction.len()) else {
        let text = text.into();
        return Err(UnitError::Fine { text, decimals });
    };
    let base_units = format!("{whole}{fraction}{}", "0".repeat(missing));
    match base_units.trim_start_matches('0') {
        "" => Ok(Amount::ZERO),
        significant => significant.parse().map_err(|_| UnitError::TooLarge {
            text: text.chars().take(100).collect(),
        }),
    }
}

/// A fee rate in base units a gas or vbyte.
pub(super) fn fee_rate(text: &str, chain: Chain) -> Result<Amount, UnitError> {
    let (number, unit) = quantity(text, "gwei")?;
    match (chain, unit) {
        (Chain::Evm(_), "gwei") => decimal(number, 9),
        (Chain::Evm(_), "wei") => decimal(number, 0),
        (Chain::Bitcoin(_) | Chain::Litecoin(_), "sat/vb") => decimal(number, 0),
        (chain, unit) => Err(UnitError::RateUnit {
            unit: unit.into(),
            chain,
            expected: match chain {
                Chain::Evm(_) => "gwei or wei",
                _ => "sat/vb",
            },
        }),
    }
}

/// A window's length in milliseconds.
pub(super) fn window(text: &str) -> Result<u64, UnitError> {
    const MINUTE: u64 = 60_000;
    const DAY: u64 = 86_400_000;
    let units = [('m', MINUTE), ('h', 3_600_000), ('d', DAY)];
    let millis = units.into_iter().find_map(|(unit, millis)| {
        let number: u64 = canonical(text.strip_suffix(unit)?)?;
        number.checked_mul(millis)
    });
    millis
        .filter(|millis| (MINUTE..=crate::Limit::WINDOW_MILLIS_MAX).contains(millis))
        .ok_or_else(|| UnitError::Window { text: text.into() })
}

/// Within how long people must say that they are there, in milliseconds.
pub(super) fn within(text: &str) -> Result<u64, UnitError> {
    const SHORTEST: u64 = 3_600_000;
    let millis = window(text).ok().filter(|millis| *millis >= SHORTEST);
    millis.ok_or_else(|| UnitError::Within { text: text.into() })
}

/// How long a bundle of the recovery set waits, in milliseconds.
pub(super) fn recovery(text: &str) -> Result<u64, UnitError> {
    const SHORTEST: u64 = 7 * 86_400_000;
    let millis = window(text).ok().filter(|millis| *millis >= SHORTEST);
    millis.ok_or_else(|| UnitError::Recovery { text: text.into() })
}

/// How long a bundle waits, in milliseconds.
pub(super) fn delay(text: &str) -> Result<u64, UnitError> {
    const LONGEST: u64 = 90 * 86_400_000;
    let units = [
        ('s', 1_000),
        ('m', 60_000),
        ('h', 3_600_000),
        ('d', 86_400_000_u64),
    ];
    let millis = units.into_iter().find_map(|(unit, millis)| {
        let number: u64 = canonical(text.strip_suffix(unit)?)?;
        number.checked_mul(millis)
    });
    millis
        .filter(|millis| *millis <= LONGEST)
        .ok_or_else(|| UnitError::Delay { text: text.into() })
}

/// How long an approval holds, in milliseconds.
pub(super) fn valid(text: &str) -> Result<u64, UnitError> {
    let millis = delay(text).ok();
    millis
        .filter(|millis| (60_000..=crate::Need::VALID_MILLIS_MAX).contains(millis))
        .ok_or_else(|| UnitError::Valid { text: text.into() })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn base_units(text: &str, decimals: u8) -> String {
        match decimal(text, decimals) {
            Ok(amount) => amount.to_string(),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn decimals_are_exact() {
        assert_eq!(base_units("1.5", 18), "1500000000000000000");
        assert_eq!(base_units("0.00000001", 8), "1");
        assert_eq!(base_units("0", 8), "0");
        assert_eq!(base_units("0.0", 8), "0");
        assert_eq!(base_units("21000000", 8), "2100000000000000");
        assert!(base_units("0.000000001", 8).contains("finer"));
        assert!(base_units("0.000000000", 8).contains("finer"));
        assert!(base_units(&"9".repeat(78), 0).contains("2^256"));
        assert!(base_units(&"9".repeat(60), 18).contains("2^256"));
    }

    #[test]
    fn refuses_everything_but_plain_decimals() {
        for text in [
            "", ".", "1.", ".5", "-1", "+1", "1e3", "1_000", "1,5", "0x1", "01", "00.5", " 1",
            "1 ", "1.2.3", "١", "∞", "NaN", "1.-5", "1.5e1",
        ] {
            let refused = matches!(decimal(text, 18), Err(UnitError::Number { .. }));
            assert!(refused, "{text:?}");
        }
    }

    #[test]
    fn fee_rates_have_units_of_their_chain() {
        let evm = "eip155:1".parse().unwrap();
        let utxo = "litecoin:regtest".parse().unwrap();
        assert_eq!(
            fee_rate("1.5 gwei", evm),
            Ok(Amount::from(1_500_000_000u64))
        );
        assert_eq!(fee_rate("7 wei", evm), Ok(Amount::from(7u64)));
        assert_eq!(fee_rate("7 sat/vb", utxo), Ok(Amount::from(7u64)));
        for (text, chain) in [
            ("7 sat/vb", evm),
            ("7 gwei", utxo),
            ("0.5 wei", evm),
            ("0.5 sat/vb", utxo),
            ("7", evm),
            ("7gwei", evm),
            ("7  gwei", evm),
            ("7 Gwei", evm),
        ] {
            assert!(fee_rate(text, chain).is_err(), "{text:?}");
        }
    }

    #[test]
    fn delays_are_up_to_ninety_days() {
        assert_eq!(delay("0s"), Ok(0));
        assert_eq!(delay("90s"), Ok(90_000));
        assert_eq!(delay("24h"), Ok(86_400_000));
        assert_eq!(delay("90d"), Ok(7_776_000_000));
        for text in ["", "0", "s", "-1s", "01h", "91d", "1w", "1.5h", "1 h"] {
            assert!(delay(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn an_approval_holds_for_a_minute_to_a_week() {
        assert_eq!(valid("60s"), Ok(60_000));
        assert_eq!(valid("7d"), Ok(604_800_000));
        for text in ["", "59s", "0s", "8d", "169h", "1w"] {
            assert!(valid(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn windows_are_from_a_minute_to_ninety_days() {
        assert_eq!(window("1m"), Ok(60_000));
        assert_eq!(window("24h"), Ok(86_400_000));
        assert_eq!(window("90d"), Ok(7_776_000_000));
        for text in [
            "",
            "0m",
            "91d",
            "2161h",
            "1",
            "h",
            "1s",
            "1w",
            "01h",
            "+1h",
            "1 h",
            "1.5h",
            "1H",
            "99999999999999999999d",
            "300000000000000000d",
        ] {
            assert!(window(text).is_err(), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn a_decimal_is_its_digits(whole: u64, fraction in "[0-9]{0,8}") {
            let point = if fraction.is_empty() { "" } else { "." };
            let amount = decimal(&format!("{whole}{point}{fraction}"), 8).unwrap();
            let padded = format!("{whole}{fraction:0<8}");
            let expected: u128 = padded.parse().unwrap();
            prop_assert_eq!(amount, Amount::from(expected));
        }
    }
}
