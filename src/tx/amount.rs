//! Amounts in an asset's base units.

use std::{fmt, str::FromStr};

use ruint::aliases::{U256, U512};
use thiserror::Error;

use crate::text::serde_by_text;

/// A non-negative integer below 2^256, in base units (satoshi, wei, a token's smallest unit).
///
/// Its text is a decimal number without sign, leading zero, exponent or separator; in JSON it is
/// always a string, because a JSON number loses precision above 2^53. All arithmetic is checked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Amount(U256);

/// Why a text is no [`Amount`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum AmountError {
    /// The text is empty.
    #[error("an amount has at least one digit")]
    Empty,
    /// A character that is not a decimal digit: a sign, a point, an exponent, a separator, a space.
    #[error("an amount has decimal digits only, not {character:?}")]
    Character {
        /// The first such character.
        character: char,
    },
    /// A zero before other digits.
    #[error("an amount has no leading zero")]
    LeadingZero,
    /// The number is 2^256 or more.
    #[error("an amount is below 2^256")]
    TooLarge,
}

impl Amount {
    /// Zero.
    pub const ZERO: Self = Self(U256::ZERO);
    /// One base unit.
    pub const ONE: Self = Self(U256::ONE);
    /// 2^256 − 1.
    pub const MAX: Self = Self(U256::MAX);

    /// The amount with these big-endian bytes.
    pub fn from_be_bytes(bytes: [u8; 32]) -> Self {
        Self(U256::from_be_bytes(bytes))
    }

    /// The 32 big-endian bytes of the amount.
    pub fn to_be_bytes(self) -> [u8; 32] {
        self.0.to_be_bytes()
    }

    /// The amount as a 64-bit integer, if it fits.
    pub fn to_u64(self) -> Option<u64> {
        u64::try_from(self.0).ok()
    }

    /// Whether the amount is zero.
    pub fn is_zero(self) -> bool {
        self.0.is_zero()
    }

    /// The sum, or `None` at 2^256.
    pub fn checked_add(self, other: Self) -> Option<Self> {
        self.0.checked_add(other.0).map(Self)
    }

    /// The difference, or `None` below zero.
    pub fn checked_sub(self, other: Self) -> Option<Self> {
        self.0.checked_sub(other.0).map(Self)
    }

    /// The product, or `None` at 2^256.
    pub fn checked_mul(self, other: Self) -> Option<Self> {
        self.0.checked_mul(other.0).map(Self)
    }

    /// `self × times ÷ over`, rounded up; `None` at 2^256 and over zero. The product is never rounded.
    pub fn scaled_up(self, times: Self, over: Self) -> Option<Self> {
        let (whole, rest) = self.scaled(times, over)?;
        match rest.is_zero() {
            true => Some(whole),
            false => whole.checked_add(Self::ONE),
        }
    }

    /// As [`Amount::scaled_up`], rounded down.
    pub fn scaled_down(self, times: Self, over: Self) -> Option<Self> {
        self.scaled(times, over).map(|(whole, _)| whole)
    }

    fn scaled(self, times: Self, over: Self) -> Option<(Self, U512)> {
        let product = U512::from(self.0).checked_mul(U512::from(times.0))?;
        let over = U512::from(over.0);
        let whole = product.checked_div(over)?;
        let rest = product.checked_rem(over)?;
        let bytes: [u8; 64] = whole.to_be_bytes();
        let (high, low) = bytes.split_first_chunk::<32>()?;
        let low: [u8; 32] = low.try_into().ok()?;
        (*high == [0; 32]).then(|| (Self::from_be_bytes(low), rest))
    }

    /// The difference, or zero.
    pub fn saturating_sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

impl From<u64> for Amount {
    fn from(value: u64) -> Self {
        Self(U256::from(value))
    }
}

impl From<u128> for Amount {
    fn from(value: u128) -> Self {
        Self(U256::from(value))
    }
}

impl FromStr for Amount {
    type Err = AmountError;

    fn from_str(text: &str) -> Result<Self, AmountError> {
        if let Some(character) = text.chars().find(|c| !c.is_ascii_digit()) {
            return Err(AmountError::Character { character });
        }
        match text.as_bytes() {
            [] => Err(AmountError::Empty),
            [b'0', _, ..] => Err(AmountError::LeadingZero),
            _ => U256::from_str_radix(text, 10)
                .map(Self)
                .map_err(|_| AmountError::TooLarge),
        }
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

serde_by_text!(Amount, "a decimal number of base units in a string");

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn refuses_everything_but_plain_decimal() {
        for text in [
            "", "-1", "+1", "1e3", "1_000", "0x1", "0o17", " 1", "1 ", "1.0", "01", "00", "١",
        ] {
            assert!(text.parse::<Amount>().is_err(), "{text:?}");
        }
        let two_to_256 =
            "115792089237316195423570985008687907853269984665640564039457584007913129639936";
        assert_eq!(two_to_256.parse::<Amount>(), Err(AmountError::TooLarge));
        assert_eq!(
            "1".repeat(100).parse::<Amount>(),
            Err(AmountError::TooLarge)
        );
        assert_eq!("0".parse::<Amount>(), Ok(Amount::ZERO));
    }

    #[test]
    fn serde_takes_strings_only() {
        assert!(serde_json::from_str::<Amount>("1").is_err());
        assert!(serde_json::from_str::<Amount>("\"\"").is_err());
        assert_eq!(
            serde_json::from_str::<Amount>("\"1\"").unwrap(),
            Amount::from(1u64)
        );
    }

    #[test]
    fn scaling_rounds_once_and_never_wraps() {
        let of = |n: u64| Amount::from(n);
        assert_eq!(of(7).scaled_up(of(1), of(2)), Some(of(4)));
        assert_eq!(of(7).scaled_down(of(1), of(2)), Some(of(3)));
        assert_eq!(of(8).scaled_up(of(1), of(2)), Some(of(4)));
        assert_eq!(of(1).scaled_up(of(1), Amount::ZERO), None);
        let max = Amount::MAX;
        assert_eq!(max.scaled_up(max, max), Some(max));
        assert_eq!(max.scaled_up(of(2), of(1)), None);
        assert_eq!(max.scaled_up(of(2), of(2)), Some(max));
    }

    proptest! {
        #[test]
        fn scaling_is_what_wide_integers_say(amount: u64, times: u32, over in 1..=u32::MAX) {
            let product = u128::from(amount) * u128::from(times);
            let (amount, times) = (Amount::from(amount), Amount::from(u64::from(times)));
            let by = Amount::from(u64::from(over));
            let up = product.div_ceil(u128::from(over));
            prop_assert_eq!(amount.scaled_up(times, by), Some(Amount::from(up)));
            let down = product / u128::from(over);
            prop_assert_eq!(amount.scaled_down(times, by), Some(Amount::from(down)));
        }

        #[test]
        fn text_and_bytes_round_trip(bytes: [u8; 32]) {
            let amount = Amount::from_be_bytes(bytes);
            prop_assert_eq!(amount.to_string().parse::<Amount>(), Ok(amount));
            prop_assert_eq!(amount.to_be_bytes(), bytes);
        }
    }
}
