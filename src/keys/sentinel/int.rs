//! Whole numbers of a fixed size, as the entries of a lattice.

use ruint::aliases::U256;

/// Limbs of 64 bits.
const LIMBS: usize = 5;
const LIMB: f64 = 18_446_744_073_709_551_616.0;

/// A whole number of 320 bits in two's complement, the lowest limb first. What a reduction makes of numbers
/// below 2^256 stays below 2^300; beyond 320 bits it would wrap, and nothing be found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Int([u64; LIMBS]);

impl Int {
    pub(super) fn of(value: U256) -> Self {
        let mut limbs = [0; LIMBS];
        for (limb, value) in limbs.iter_mut().zip(value.into_limbs()) {
            *limb = value;
        }
        Self(limbs)
    }

    pub(super) fn is_negative(&self) -> bool {
        self.0.last().is_some_and(|limb| limb.leading_zeros() == 0)
    }

    pub(super) fn negated(self) -> Self {
        let mut zero = Self::default();
        zero.subtract_times(&self, 1);
        zero
    }

    /// Its absolute value, modulo 2^256.
    pub(super) fn magnitude(self) -> U256 {
        let value = if self.is_negative() {
            self.negated()
        } else {
            self
        };
        let [a, b, c, d, _] = value.0;
        U256::from_limbs([a, b, c, d])
    }

    /// The nearest that a float can say, within a few units of its last place.
    #[expect(clippy::cast_precision_loss, reason = "what a float is for")]
    pub(super) fn to_f64(self) -> f64 {
        let is_negative = self.is_negative();
        let value = if is_negative { self.negated() } else { self };
        let limbs = value.0.iter().rev();
        let value = limbs.fold(0.0, |sum, limb| sum * LIMB + *limb as f64);
        if is_negative { -value } else { value }
    }

    /// Times 2^`bits`.
    fn shifted(self, bits: u32) -> Self {
        let mut value = self.0;
        for _ in 0..(bits / u64::BITS).min(5) {
            value.rotate_right(1);
            if let Some(lowest) = value.first_mut() {
                *lowest = 0;
            }
        }
        let bits = bits % u64::BITS;
        let mut below = 0;
        for limb in &mut value {
            let high = u128::from(*limb) << bits;
            *limb = low(high) | below;
            below = low(high >> u64::BITS);
        }
        Self(value)
    }

    fn add_times(&mut self, other: &Self, times: u64) {
        let mut carry = 0_u128;
        for (limb, other) in self.0.iter_mut().zip(other.0) {
            // Never more than 128 bits: (2^64 - 1)^2 + 2 (2^64 - 1) = 2^128 - 1.
            let product = u128::from(other).wrapping_mul(u128::from(times));
            let sum = product.wrapping_add(u128::from(*limb)).wrapping_add(carry);
            *limb = low(sum);
            carry = sum >> u64::BITS;
        }
    }

    fn subtract_times(&mut self, other: &Self, times: u64) {
        let mut borrow = 0_u128;
        for (limb, other) in self.0.iter_mut().zip(other.0) {
            let product = u128::from(other)
                .wrapping_mul(u128::from(times))
                .wrapping_add(borrow);
            let (left, is_less) = limb.overflowing_sub(low(product));
            *limb = left;
            borrow = (product >> u64::BITS).wrapping_add(is_less.into());
        }
    }
}

/// Takes `other × quotient` off the row; the quotient is a whole number.
pub(super) fn subtract(row: &mut [Int], other: &[Int], quotient: f64) {
    let (times, shift) = parts(quotient.abs());
    let pairs = row.iter_mut().zip(other);
    match (shift, quotient > 0.0) {
        (0, true) => pairs.for_each(|(entry, other)| entry.subtract_times(other, times)),
        (0, false) => pairs.for_each(|(entry, other)| entry.add_times(other, times)),
        (_, true) => pairs.for_each(|(entry, other)| {
            entry.subtract_times(&other.shifted(shift), times);
        }),
        (_, false) => {
            pairs.for_each(|(entry, other)| entry.add_times(&other.shifted(shift), times));
        }
    }
}

/// A whole number that a float says: 53 bits, and how far they are to be shifted.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "at most 2^53, and a cast of a float saturates"
)]
fn parts(mut whole: f64) -> (u64, u32) {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    let mut shift = 0_u32;
    while whole > EXACT && whole.is_finite() {
        whole /= 2.0;
        shift = shift.saturating_add(1);
    }
    (whole as u64, shift)
}

#[expect(clippy::cast_possible_truncation, reason = "the low half is meant")]
fn low(wide: u128) -> u64 {
    wide as u64
}

/// A number of either sign.
#[cfg(test)]
pub(super) fn int(value: i128) -> Int {
    let magnitude = Int::of(U256::from(value.unsigned_abs()));
    if value < 0 {
        magnitude.negated()
    } else {
        magnitude
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn limb() -> impl Strategy<Value = u64> {
        prop_oneof![any::<u64>(), 0..3_u64, u64::MAX - 2..=u64::MAX]
    }

    fn limbs() -> impl Strategy<Value = [u64; 5]> {
        [limb(), limb(), limb(), limb(), limb()]
    }

    type U320 = ruint::Uint<320, 5>;

    proptest! {
        #[test]
        fn all_limbs_are_carried_through(x in limbs(), y in limbs(), times in limb()) {
            let product = U320::from_limbs(y).wrapping_mul(U320::from(times));
            let (mut sum, mut left) = (Int(x), Int(x));
            sum.add_times(&Int(y), times);
            left.subtract_times(&Int(y), times);
            let x = U320::from_limbs(x);
            prop_assert_eq!(sum.0, x.wrapping_add(product).into_limbs());
            prop_assert_eq!(left.0, x.wrapping_sub(product).into_limbs());
            prop_assert_eq!(Int(y).negated().0, U320::from_limbs(y).wrapping_neg().into_limbs());
        }

        #[test]
        fn subtracts_as_other_numbers_do(x in any::<i64>(), y in any::<i64>(), q in -(1_i64 << 52)..(1 << 52)) {
            let mut row = [int(x.into())];
            subtract(&mut row, &[int(y.into())], q as f64);
            prop_assert_eq!(row[0], int(i128::from(x) - i128::from(y) * i128::from(q)));
        }

        #[test]
        fn quotients_beyond_53_bits_are_shifted(y in any::<i32>(), q in 1_i64..1 << 20, shift in 40_u32..60) {
            let mut row = [int(0)];
            let quotient = q as f64 * f64::from(shift).exp2();
            subtract(&mut row, &[int(y.into())], quotient);
            prop_assert_eq!(row[0], int(-((i128::from(y) * i128::from(q)) << shift)));
        }

        #[test]
        fn shifts_are_products(y in any::<u64>(), shift in 0_u32..250) {
            let shifted = Int::of(U256::from(y)).shifted(shift);
            let product = U256::from(y).wrapping_shl(shift as usize);
            prop_assert!(shift > 190 || shifted == Int::of(product));
        }

        #[test]
        fn floats_are_near(x in any::<i128>()) {
            let near = int(x).to_f64();
            prop_assert!((near - x as f64).abs() <= x.unsigned_abs() as f64 * 1e-15);
        }
    }
}
