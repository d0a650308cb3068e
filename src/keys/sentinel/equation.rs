//! What a signature says of its nonce, in numbers modulo the order of secp256k1.

use std::sync::LazyLock;

use bitcoin::secp256k1::{PublicKey, Secp256k1, SecretKey, SignOnly, constants};
use ruint::aliases::U256;

use sha2::{Digest, Sha256};
use tx::Scheme;

use super::{Sighting, int::Int};

/// The order of the group.
pub(super) const ORDER: U256 = U256::from_be_bytes(constants::CURVE_ORDER);

static SECP: LazyLock<Secp256k1<SignOnly>> = LazyLock::new(Secp256k1::signing_only);

/// The nonce of a signature is `known + share × secret`: of `s = (z + r × secret) / k` that is
/// `z / s + r / s × secret`, and of `s = k + e × secret` it is `s - e × secret`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Equation {
    pub(super) known: U256,
    pub(super) share: U256,
}

impl Equation {
    pub(super) fn of(sighting: &Sighting) -> Option<Self> {
        let Sighting {
            public,
            digest,
            r,
            s,
            ..
        } = sighting;
        match sighting.scheme {
            Scheme::Ecdsa => Self::of_ecdsa(digest, r, s),
            Scheme::Bip340 => Self::of_bip340(public, digest, r, s),
        }
    }

    /// Of r‖s as the device gave it: that of a low `s` may be another nonce's sign.
    fn of_ecdsa(digest: &[u8; 32], r: &[u8; 32], s: &[u8; 32]) -> Option<Self> {
        let inverse = U256::from_be_bytes(*s).inv_mod(ORDER)?;
        let over_s = |number: &[u8; 32]| U256::from_be_bytes(*number).mul_mod(inverse, ORDER);
        Some(Self {
            known: over_s(digest),
            share: over_s(r),
        })
    }

    /// Of R.x‖s. Nonce and secret are those of points with an even y: half of all nonces lose their sign, as
    /// they do where a device makes `s` low.
    fn of_bip340(
        [_, public @ ..]: &[u8; 33],
        message: &[u8; 32],
        r: &[u8; 32],
        s: &[u8; 32],
    ) -> Option<Self> {
        let tag = Sha256::digest("BIP0340/challenge");
        let mut challenge = Sha256::new();
        for part in [&tag[..], &tag[..], r, public, message] {
            challenge.update(part);
        }
        let challenge: [u8; 32] = challenge.finalize().into();
        let number = |bytes: &[u8; 32]| U256::from_be_bytes(*bytes).reduce_mod(ORDER);
        let share = negated(number(&challenge));
        (share != U256::ZERO).then(|| Self {
            known: number(s),
            share,
        })
    }

    /// Of what two nonces differ by.
    pub(super) fn minus(self, other: Self) -> Self {
        Self {
            known: minus(self.known, other.known),
            share: minus(self.share, other.share),
        }
    }

    /// Of the negative of the nonce.
    pub(super) fn negated(self) -> Self {
        Self {
            known: negated(self.known),
            share: negated(self.share),
        }
    }

    pub(super) fn times(self, factor: U256) -> Self {
        Self {
            known: times(self.known, factor),
            share: times(self.share, factor),
        }
    }

    /// The secret by which the nonce is this.
    pub(super) fn solve(&self, nonce: U256) -> Option<U256> {
        over(minus(nonce, self.known), self.share)
    }
}

/// Whether the number is the secret of the compressed public key: the proof of every finding. The number
/// follows from signatures that anybody has; it is not kept.
pub(super) fn is_secret(number: U256, public: &[u8; 33]) -> bool {
    SecretKey::from_slice(&number.to_be_bytes::<32>()).is_ok_and(|mut secret| {
        let found = PublicKey::from_secret_key(&SECP, &secret).serialize() == *public;
        secret.non_secure_erase();
        found
    })
}

pub(super) fn negated(number: U256) -> U256 {
    minus(U256::ZERO, number)
}

pub(super) fn plus(left: U256, right: U256) -> U256 {
    left.add_mod(right, ORDER)
}

/// Both below the order.
pub(super) fn minus(left: U256, right: U256) -> U256 {
    left.add_mod(ORDER.wrapping_sub(right), ORDER)
}

pub(super) fn times(left: U256, right: U256) -> U256 {
    left.mul_mod(right, ORDER)
}

pub(super) fn over(left: U256, right: U256) -> Option<U256> {
    Some(times(left, right.inv_mod(ORDER)?))
}

/// The representative next to 0.
pub(super) fn centred(number: U256) -> Int {
    let negative = negated(number);
    if negative < number {
        Int::of(negative).negated()
    } else {
        Int::of(number)
    }
}

/// The class of a whole number.
pub(super) fn class(number: Int) -> U256 {
    let magnitude = number.magnitude().reduce_mod(ORDER);
    if number.is_negative() {
        negated(magnitude)
    } else {
        magnitude
    }
}

/// A square root, where there is one (Tonelli and Shanks): the order is `2^6 × odd + 1`.
pub(super) fn root(square: U256) -> Option<U256> {
    const TWOS: u32 = 6;
    if square == U256::ZERO {
        return Some(U256::ZERO);
    }
    let one = U256::from(1);
    let odd = ORDER.wrapping_shr(TWOS as usize);
    let mut root = square.pow_mod(odd.wrapping_add(one).wrapping_shr(1), ORDER);
    let mut left = square.pow_mod(odd, ORDER);
    let mut unit = *NO_SQUARE;
    unit = unit.pow_mod(odd, ORDER);
    let mut order = TWOS;
    while left != one {
        let mut power = left;
        let mut found = 0_u32;
        while power != one {
            power = times(power, power);
            found = found.saturating_add(1);
            if found >= order {
                return None;
            }
        }
        let twice = order.saturating_sub(found).saturating_sub(1);
        let factor = (0..twice).fold(unit, |unit, _| times(unit, unit));
        root = times(root, factor);
        unit = times(factor, factor);
        left = times(left, unit);
        order = found;
    }
    Some(root)
}

/// The least that has no square root.
static NO_SQUARE: LazyLock<U256> = LazyLock::new(|| {
    let half = ORDER.wrapping_shr(1);
    let minus_one = negated(U256::from(1));
    let mut number = U256::from(2);
    while number.pow_mod(half, ORDER) != minus_one {
        number = number.wrapping_add(U256::from(1));
    }
    number
});

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn number() -> impl Strategy<Value = U256> {
        any::<[u8; 32]>().prop_map(|bytes| U256::from_be_bytes(bytes).reduce_mod(ORDER))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn roots_square_to_what_they_are_of(number in number()) {
            let square = times(number, number);
            let found = root(square).unwrap();
            prop_assert!(found == number || found == negated(number));
            let other = times(square, *NO_SQUARE);
            prop_assert!(number == U256::ZERO || root(other).is_none());
        }

        #[test]
        fn classes_are_kept(number in number()) {
            prop_assert_eq!(class(centred(number)), number);
            prop_assert!(centred(number).magnitude() <= ORDER.wrapping_shr(1));
        }
    }
}
