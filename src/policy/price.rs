//! Prices: what one whole unit of an asset is worth in the reference currency, and what an amount of it comes
//! to.

use std::{fmt, str::FromStr};

use thiserror::Error;
use tx::Amount;

use crate::bundle::decimal;

/// What one whole unit of an asset is worth, in units of the reference currency: above zero, below 2^128 of
/// its smallest part, with at most 18 decimal places.
///
/// Its text is a plain decimal number without trailing zeros, such as `3050.25`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Price(Amount);

/// Why a text is no [`Price`].
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum PriceError {
    /// It is no plain decimal number, or finer than a price can be.
    #[error("{0}")]
    Number(String),
    /// Nothing is worth nothing.
    #[error("a price is above zero")]
    Zero,
    /// It is too large.
    #[error("a price is below 2^128 of 10^-18 of a unit")]
    TooLarge,
}

/// How amounts of an asset are valued in the reference currency.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PriceRule {
    /// How many decimal places one unit of the asset has.
    pub decimals: u8,
    /// By how much an attested price is raised, in hundredths of a percent.
    pub haircut_bp: u32,
    /// What one unit is worth at the least, whatever is attested.
    pub floor: Price,
    /// How long an attested price holds, in milliseconds.
    pub max_age_millis: u64,
}

/// The decimal places of values in the reference currency, whatever it is: what was charged keeps its
/// number, so that the unit is one for ever.
pub const REFERENCE_DECIMALS: u8 = 8;

/// A whole, in hundredths of a percent.
const WHOLE_BP: u64 = 10_000;

impl Price {
    /// The decimal places that a price has at the most.
    pub const DECIMALS: u8 = 18;

    fn checked(smallest: Amount) -> Result<Self, PriceError> {
        if smallest.is_zero() {
            return Err(PriceError::Zero);
        }
        match smallest <= Amount::from(u128::MAX) {
            true => Ok(Self(smallest)),
            false => Err(PriceError::TooLarge),
        }
    }
}

impl FromStr for Price {
    type Err = PriceError;

    fn from_str(text: &str) -> Result<Self, PriceError> {
        let smallest = decimal(text, Self::DECIMALS);
        Self::checked(smallest.map_err(|error| PriceError::Number(error.to_string()))?)
    }
}

impl fmt::Display for Price {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&written(self.0, Self::DECIMALS))
    }
}

/// A number of smallest parts as a decimal number, without trailing zeros.
fn written(amount: Amount, decimals: u8) -> String {
    let places = usize::from(decimals);
    let digits = format!("{:0>1$}", amount.to_string(), places.saturating_add(1));
    let (whole, fraction) = digits.split_at(digits.len().saturating_sub(places));
    match fraction.trim_end_matches('0') {
        "" => whole.to_owned(),
        fraction => format!("{whole}.{fraction}"),
    }
}

/// A value in the reference currency as people write it, such as `1250.5`.
pub fn reference_value(value: Amount) -> String {
    written(value, REFERENCE_DECIMALS)
}

impl PriceRule {
    /// The most decimal places of an asset that has a price: all powers of ten in between fit.
    pub const DECIMALS_MAX: u8 = 50;
    /// The highest haircut: ten times the price on top of it.
    pub const HAIRCUT_BP_MAX: u32 = 100_000;

    /// What an amount is worth at a price, in 10^-8 of the currency, rounded up: by the price and the
    /// haircut, and at least by the floor. 2^256 or more counts as 2^256 − 1.
    pub fn value(&self, amount: Amount, price: Price) -> Amount {
        let raised = WHOLE_BP.saturating_add(u64::from(self.haircut_bp));
        let raised = price.0.checked_mul(Amount::from(raised));
        let of_price = raised.and_then(|raised| amount.scaled_up(raised, self.over(4)?));
        of_price.unwrap_or(Amount::MAX).max(self.least(amount))
    }

    /// What an amount is worth at the least.
    pub fn least(&self, amount: Amount) -> Amount {
        let value = self
            .over(0)
            .and_then(|over| amount.scaled_up(self.floor.0, over));
        value.unwrap_or(Amount::MAX)
    }

    /// The most that can be worth no more than a value, at whatever price.
    pub fn most_within(&self, value: Amount) -> Amount {
        let most = self
            .over(0)
            .and_then(|over| value.scaled_down(over, self.floor.0));
        most.unwrap_or(Amount::MAX)
    }

    /// By what an amount times a price is divided, with so many places more.
    fn over(&self, more: u8) -> Option<Amount> {
        let places = self.decimals.checked_add(Price::DECIMALS)?;
        let places = places.checked_sub(REFERENCE_DECIMALS)?.checked_add(more)?;
        format!("1{}", "0".repeat(usize::from(places))).parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rule(haircut_bp: u32, floor: &str) -> PriceRule {
        PriceRule {
            decimals: 18,
            haircut_bp,
            floor: floor.parse().unwrap(),
            max_age_millis: 60_000,
        }
    }

    const ETHER: u64 = 1_000_000_000_000_000_000;

    #[test]
    fn a_price_has_one_spelling() {
        for text in ["3050.25", "1", "0.000000000000000001", "100"] {
            assert_eq!(text.parse::<Price>().unwrap().to_string(), text);
        }
        for text in [
            "",
            "0",
            "0.0",
            "-1",
            "+1",
            "1e3",
            "01",
            ".5",
            "1.",
            "1,5",
            "0.0000000000000000001",
        ] {
            assert!(text.parse::<Price>().is_err(), "{text:?}");
        }
        let large = "9".repeat(40);
        assert_eq!(large.parse::<Price>(), Err(PriceError::TooLarge));
    }

    #[test]
    fn an_amount_is_worth_its_price_the_haircut_and_at_least_the_floor() {
        let price = "3050.25".parse().unwrap();
        let value = |rule: PriceRule| reference_value(rule.value(Amount::from(ETHER), price));
        assert_eq!(value(rule(0, "1")), "3050.25");
        assert_eq!(value(rule(1_000, "1")), "3355.275");
        assert_eq!(value(rule(1_000, "4000")), "4000");
        // One wei is worth one of the smallest parts: nothing is worth nothing.
        assert_eq!(rule(0, "1").value(Amount::ONE, price), Amount::ONE);
        assert_eq!(rule(0, "1").value(Amount::ZERO, price), Amount::ZERO);
        let whole = PriceRule {
            decimals: 0,
            ..rule(0, "1")
        };
        assert_eq!(whole.value(Amount::MAX, price), Amount::MAX);
    }

    proptest! {
        #[test]
        fn what_is_worth_no_more_is_no_more(cap: u64, floor in 1..10_000_u32, beyond: u32) {
            let rule = rule(0, &floor.to_string());
            let most = rule.most_within(Amount::from(cap));
            prop_assert!(rule.least(most) <= Amount::from(cap));
            let more = most.checked_add(Amount::from(u64::from(beyond) + 1)).unwrap();
            prop_assert!(rule.least(more) > Amount::from(cap));
        }

        #[test]
        fn a_value_grows_with_amount_price_haircut_and_floor(
            amount: u64, more: u64, price in 1..1_000_000_u64, dearer: u32, haircut in 0..5_000_u32, floor in 1..9_999_u32,
        ) {
            let of = |price: u64| price.to_string().parse::<Price>().unwrap();
            let amounts = [amount, more].map(Amount::from);
            let less = rule(haircut, &floor.to_string()).value(amounts[0], of(price));
            let sum = amounts[0].checked_add(amounts[1]).unwrap();
            let raised = rule(haircut + 1, &(floor + 1).to_string());
            prop_assert!(raised.value(sum, of(price + u64::from(dearer))) >= less);
        }
    }
}
