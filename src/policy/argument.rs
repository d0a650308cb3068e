//! Functions that statements speak of, and conditions on the arguments of their calls.

use std::{
    cmp::Ordering,
    collections::{BTreeMap, BTreeSet},
    fmt,
    str::FromStr,
};

use serde::{Deserialize, Serialize};
use tx::{Address, Amount, AmountError, Name};

use crate::To;

/// A function of a contract, whatever a bundle calls it and its arguments: a new name forgets no charge.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct FunctionId {
    /// The contract.
    pub contract: Address,
    /// The canonical signature.
    pub signature: String,
}

/// What must be true of the arguments of a call, by their places among all of the function, with the fields
/// of tuples in theirs.
pub type ArgumentConditions = BTreeMap<usize, ArgumentCondition>;

/// What must be true of an argument.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ArgumentCondition {
    /// Its text is one of these.
    Among(BTreeSet<String>),
    /// It is an integer between these.
    Within {
        /// It is above this.
        over: Option<Integer>,
        /// It is at most this.
        max: Option<Integer>,
    },
    /// It is the address of one of these.
    To(BTreeSet<To>),
}

/// An integer that an argument can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Integer {
    is_negative: bool,
    magnitude: Amount,
}

/// The books that held an address among the arguments when a call was charged.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ArgumentBooks {
    /// The books that held it, or may have.
    pub books: BTreeSet<Name>,
    /// Those of them in which it was cooling.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub cooling: BTreeSet<Name>,
}

impl ArgumentCondition {
    /// Whether whatever meets this one meets the other, as far as the two texts show.
    pub(crate) fn implies(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Among(texts), Self::Among(others)) => texts.is_subset(others),
            (Self::Among(texts), Self::Within { over, max }) => {
                texts.iter().all(|text| Integer::within(text, *over, *max))
            }
            (
                Self::Within { over, max },
                Self::Within {
                    over: other_over,
                    max: other_max,
                },
            ) => {
                let above = other_over.is_none_or(|least| over.is_some_and(|over| over >= least));
                let below = other_max.is_none_or(|most| max.is_some_and(|max| max <= most));
                above && below
            }
            (Self::To(to), Self::To(others)) => to.is_subset(others),
            _ => false,
        }
    }

    /// Whether no value meets it.
    pub(crate) fn is_empty(&self) -> bool {
        match self {
            Self::Within {
                over: Some(over),
                max: Some(max),
            } => over >= max,
            _ => false,
        }
    }
}

impl Integer {
    /// Whether a text is an integer between two.
    pub(crate) fn within(text: &str, over: Option<Self>, max: Option<Self>) -> bool {
        let integer: Result<Self, AmountError> = text.parse();
        integer.is_ok_and(|integer| {
            over.is_none_or(|over| integer > over) && max.is_none_or(|max| integer <= max)
        })
    }

    /// The integer one above; itself where there is none that is read.
    #[must_use]
    pub fn above(self) -> Self {
        let magnitude = match self.is_negative {
            true => self.magnitude.checked_sub(Amount::ONE),
            false => self.magnitude.checked_add(Amount::ONE),
        };
        let magnitude = magnitude.unwrap_or(self.magnitude);
        Self {
            is_negative: self.is_negative && !magnitude.is_zero(),
            magnitude,
        }
    }
}

impl FromStr for Integer {
    type Err = AmountError;

    fn from_str(text: &str) -> Result<Self, AmountError> {
        let (is_negative, digits) = match text.strip_prefix('-') {
            Some(digits) => (true, digits),
            None => (false, text),
        };
        let magnitude: Amount = digits.parse()?;
        match is_negative && magnitude.is_zero() {
            true => Err(AmountError::LeadingZero),
            false => Ok(Self {
                is_negative,
                magnitude,
            }),
        }
    }
}

impl fmt::Display for Integer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.is_negative { "-" } else { "" };
        write!(f, "{sign}{}", self.magnitude)
    }
}

impl Ord for Integer {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self.is_negative, other.is_negative) {
            (true, false) => Ordering::Less,
            (false, true) => Ordering::Greater,
            (false, false) => self.magnitude.cmp(&other.magnitude),
            (true, true) => other.magnitude.cmp(&self.magnitude),
        }
    }
}

impl PartialOrd for Integer {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn integer(text: &str) -> Integer {
        text.parse().unwrap()
    }

    #[test]
    fn integers_are_in_their_order() {
        let ordered = ["-10", "-9", "-1", "0", "1", "9", "10"].map(integer);
        assert!(ordered.is_sorted());
        assert!(ordered.windows(2).all(|two| two[0] < two[1]));
        for text in ["-0", "", "-", "+1", "01", "1.0"] {
            assert!(text.parse::<Integer>().is_err(), "{text}");
        }
        assert_eq!(integer("-1").above(), integer("0"));
        assert_eq!(integer("-2").above().to_string(), "-1");
        assert_eq!(integer("41").above(), integer("42"));
    }

    #[test]
    fn a_condition_implies_what_is_no_narrower() {
        let among = |texts: &[&str]| {
            ArgumentCondition::Among(texts.iter().map(|text| (*text).to_owned()).collect())
        };
        let within = |over: &str, max: &str| ArgumentCondition::Within {
            over: over.parse().ok(),
            max: max.parse().ok(),
        };
        assert!(among(&["1", "2"]).implies(&among(&["1", "2", "3"])));
        assert!(!among(&["1", "4"]).implies(&among(&["1", "2", "3"])));
        assert!(among(&["1", "2"]).implies(&within("0", "2")));
        assert!(!among(&["0", "2"]).implies(&within("0", "2")));
        assert!(!among(&["0x01"]).implies(&within("", "2")));
        assert!(within("1", "2").implies(&within("0", "2")));
        assert!(within("1", "2").implies(&within("", "")));
        assert!(!within("", "2").implies(&within("0", "2")));
        assert!(!within("1", "").implies(&within("0", "2")));
        assert!(!within("1", "2").implies(&among(&["2"])));
        assert!(within("2", "2").is_empty() && !within("1", "2").is_empty());
    }
}
