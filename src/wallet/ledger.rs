//! The ledger: double entry, immutable postings, one row each.
//!
//! A posting moves an amount of one asset from the account that is credited to the one that is
//! debited: assets and expenses grow by debits, liabilities by credits. What a customer can spend is
//! the credits of the account less its debits, and never below zero.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use thiserror::Error;
use tx::{Amount, Asset, Chain, Name, Time};

use crate::withdrawal::WithdrawalNumber;

/// An account of the ledger. Its text form is stored and shown.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Account {
    /// `customer/NAME`: what is owed to a customer, free to be withdrawn. A liability.
    Customer(Name),
    /// `held/NAME`: what is owed to a customer and frozen for withdrawals. A liability.
    Held(Name),
    /// `wallet/CHAIN`: what the hot wallets of a chain hold. An asset.
    Wallet(Chain),
    /// `fees/CHAIN`: what was paid to the chain. An expense.
    Fees(Chain),
    /// `suspense`: what cannot be assigned to anyone yet. It may have either sign.
    Suspense,
}

/// Why a text is no [`Account`].
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
#[error("{text:?} is no account: customer/NAME, held/NAME, wallet/CHAIN, fees/CHAIN or suspense")]
pub struct AccountError {
    text: String,
}

/// One immutable row: `amount` of `asset` from `credit` to `debit`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Posting {
    /// Its name, unique for ever: posted again it changes nothing.
    pub id: String,
    /// What is debited.
    pub debit: Account,
    /// What is credited.
    pub credit: Account,
    /// The asset.
    pub asset: Asset,
    /// How much, in base units; above zero.
    pub amount: Amount,
    /// The withdrawal it belongs to.
    pub withdrawal: Option<WithdrawalNumber>,
    /// Why, for people.
    pub memo: String,
    /// When.
    pub at: Time,
}

/// What was ever posted to an account in one asset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Balance {
    /// The sum of all debits.
    pub debits: Amount,
    /// The sum of all credits.
    pub credits: Amount,
}

impl Account {
    /// Whether the account may never be debited beyond its credits.
    pub fn is_liability(&self) -> bool {
        matches!(self, Self::Customer(_) | Self::Held(_))
    }

    /// Where what is owed to this account is frozen.
    pub fn held(&self) -> Self {
        match self {
            Self::Customer(name) => Self::Held(name.clone()),
            other => other.clone(),
        }
    }

    fn parse(text: &str) -> Option<Self> {
        if text == "suspense" {
            return Some(Self::Suspense);
        }
        let (kind, rest) = text.split_once('/')?;
        match kind {
            "customer" => rest.parse().ok().map(Self::Customer),
            "held" => rest.parse().ok().map(Self::Held),
            "wallet" => rest.parse().ok().map(Self::Wallet),
            "fees" => rest.parse().ok().map(Self::Fees),
            _ => None,
        }
    }
}

impl Balance {
    /// Nothing was posted.
    pub const ZERO: Self = Self {
        debits: Amount::ZERO,
        credits: Amount::ZERO,
    };

    /// What a liability still owes: credits less debits.
    pub fn owed(&self) -> Option<Amount> {
        self.credits.checked_sub(self.debits)
    }
}

impl FromStr for Account {
    type Err = AccountError;

    fn from_str(text: &str) -> Result<Self, AccountError> {
        Self::parse(text).ok_or_else(|| AccountError { text: text.into() })
    }
}

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Customer(name) => write!(f, "customer/{name}"),
            Self::Held(name) => write!(f, "held/{name}"),
            Self::Wallet(chain) => write!(f, "wallet/{chain}"),
            Self::Fees(chain) => write!(f, "fees/{chain}"),
            Self::Suspense => f.write_str("suspense"),
        }
    }
}

impl Serialize for Account {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Account {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_are_their_text() {
        for text in [
            "customer/ann",
            "held/ann",
            "wallet/eip155:1",
            "fees/litecoin:regtest",
            "suspense",
        ] {
            assert_eq!(text.parse::<Account>().unwrap().to_string(), text);
        }
        for text in [
            "",
            "customer/",
            "customer/Ann",
            "wallet/nowhere",
            "x/ann",
            "ann",
        ] {
            assert!(text.parse::<Account>().is_err(), "{text}");
        }
    }
}
