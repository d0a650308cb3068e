//! Quantities as people write them beside a bundle, in its own units.

use tx::{Amount, Chain};

use super::units::{self, UnitError};
use crate::{AssetUnit, Policy, Price, REFERENCE_DECIMALS};

/// Why a text is no exact quantity.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum QuantityError {
    /// It is not written as quantities are.
    #[error("{0}")]
    Form(String),
    /// The unit is not the currency of the bundle.
    #[error("{unit:?} is not the currency in which this bundle values assets")]
    Currency {
        /// What was written.
        unit: String,
    },
    /// The unit is no asset of the bundle.
    #[error("{unit:?} is no asset of this bundle")]
    Asset {
        /// What was written.
        unit: String,
    },
}

impl From<UnitError> for QuantityError {
    fn from(error: UnitError) -> Self {
        Self::Form(error.to_string())
    }
}

impl Policy {
    /// Reads a price such as `3050.25 usd`, in the currency in which assets are valued.
    ///
    /// # Errors
    /// [`QuantityError`].
    pub fn price(&self, text: &str) -> Result<Price, QuantityError> {
        let price = self.in_currency(text)?.parse::<Price>();
        price.map_err(|error| QuantityError::Form(error.to_string()))
    }

    /// Reads a value such as `50000 usd`, in the currency in which assets are valued, in its smallest part.
    ///
    /// # Errors
    /// [`QuantityError`].
    pub fn value(&self, text: &str) -> Result<Amount, QuantityError> {
        Ok(units::decimal(self.in_currency(text)?, REFERENCE_DECIMALS)?)
    }

    /// The number of a quantity in the currency.
    fn in_currency<'t>(&self, text: &'t str) -> Result<&'t str, QuantityError> {
        let (number, unit) = units::quantity(text, "usd")?;
        let currency = self.attestations.currency.as_ref();
        if currency.is_none_or(|currency| currency.as_str() != unit) {
            let unit = unit.into();
            return Err(QuantityError::Currency { unit });
        }
        Ok(number)
    }

    /// Reads an amount such as `1.5 eth` in base units of the asset that it names.
    ///
    /// # Errors
    /// [`QuantityError`].
    pub fn amount(&self, text: &str) -> Result<(&AssetUnit, Amount), QuantityError> {
        let (number, unit) = units::quantity(text, "eth")?;
        let named = self.assets.iter().find(|(name, _)| name.as_str() == unit);
        let Some((_, asset)) = named else {
            let unit = unit.into();
            return Err(QuantityError::Asset { unit });
        };
        Ok((asset, units::decimal(number, asset.decimals)?))
    }
}

/// Reads a fee rate such as `50 gwei` or `20 sat/vb` in base units a gas or vbyte.
///
/// # Errors
/// [`QuantityError::Form`].
pub fn fee_rate(text: &str, chain: Chain) -> Result<Amount, QuantityError> {
    Ok(units::fee_rate(text, chain)?)
}

/// Reads a length of time from `1m` to `90d` in milliseconds.
///
/// # Errors
/// [`QuantityError::Form`].
pub fn length_millis(text: &str) -> Result<u64, QuantityError> {
    Ok(units::window(text)?)
}
