//! Sums of amounts that cannot overflow.

use tx::Amount;

use crate::code::Code;

/// A sum of amounts, below 2^320: more than 2^64 attempts can hold. A sum that saturated would
/// come out too small once its parts are taken away again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Wide {
    /// How many times 2^256.
    carries: u64,
    low: Amount,
}

impl Wide {
    pub(crate) fn plus(self, amount: Amount) -> Self {
        if let Some(low) = self.low.checked_add(amount) {
            return Self { low, ..self };
        }
        // low + amount − 2^256, computed below 2^256.
        let room = Amount::MAX.saturating_sub(amount);
        let low = self.low.saturating_sub(room).saturating_sub(Amount::ONE);
        let carries = self.carries.saturating_add(1);
        Self { carries, low }
    }

    /// Takes away what was added before.
    pub(crate) fn minus(self, amount: Amount) -> Self {
        if let Some(low) = self.low.checked_sub(amount) {
            return Self { low, ..self };
        }
        let missing = amount.saturating_sub(self.low).saturating_sub(Amount::ONE);
        let low = Amount::MAX.saturating_sub(missing);
        let carries = self.carries.saturating_sub(1);
        Self { carries, low }
    }

    pub(super) fn is_zero(self) -> bool {
        self == Self::default()
    }

    /// The sum, when it is below 2^256.
    pub(crate) fn to_amount(self) -> Option<Amount> {
        (self.carries == 0).then_some(self.low)
    }
}

impl Code for Wide {
    fn write(&self, to: &mut Vec<u8>) {
        self.carries.write(to);
        self.low.write(to);
    }

    fn read(from: &mut &[u8]) -> Option<Self> {
        Some(Self {
            carries: Code::read(from)?,
            low: Code::read(from)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Amounts near both ends, where carries happen.
    fn amounts() -> impl Strategy<Value = Amount> {
        (any::<[u8; 4]>(), any::<bool>()).prop_map(|(low, high)| {
            let small = Amount::from(u64::from(u32::from_be_bytes(low)));
            if high {
                Amount::MAX.saturating_sub(small)
            } else {
                small
            }
        })
    }

    proptest! {
        #[test]
        fn what_was_added_can_be_taken_away_in_any_order(amounts in prop::collection::vec(amounts(), 0..20)) {
            let sum = amounts.iter().fold(Wide::default(), |sum, amount| sum.plus(*amount));
            let mut sorted = amounts.clone();
            sorted.sort();
            prop_assert_eq!(sum, sorted.iter().fold(Wide::default(), |sum, a| sum.plus(*a)));
            prop_assert_eq!(sum.to_amount(), amounts.iter().try_fold(Amount::ZERO, |sum, a| sum.checked_add(*a)));
            let rest = sorted.iter().fold(sum, |sum, amount| sum.minus(*amount));
            prop_assert_eq!(rest, Wide::default());
        }
    }
}
