//! Verifying by multiples of the key that were made before.
//!
//! `R = (z/s)·G + (r/s)·Q` is ECDSA's own check, and shows the parity of `R.y`, which is the recovery
//! id: one computation for both. With every multiple that a digit of a scalar can ask for at hand, it is
//! a sum of 81 points without one doubling, where recovering the key takes 32 us a try and one and a half
//! tries. Digits have signs: a point is turned around for nothing, so that half of the multiples do. All
//! arithmetic on the curve is libsecp256k1's.

use std::sync::LazyLock;

use bitcoin::secp256k1::{PublicKey, constants};
use ruint::aliases::U256;

use super::SECP;

/// Bits of a digit of the scalar of a key: 832 points, 52 KiB, made in about 2 ms.
const KEY_BITS: usize = 5;
/// Bits of a digit of the scalar of the generator, whose 7,424 multiples are made once for the process.
const GENERATOR_BITS: usize = 9;
const SCALAR_BITS: usize = 256;

/// Nothing where libsecp256k1 does not take its own generator: keys are recovered then.
static GENERATOR: LazyLock<Option<Multiples<GENERATOR_BITS>>> = LazyLock::new(|| {
    let (x, y) = (constants::GENERATOR_X, constants::GENERATOR_Y);
    let bytes = [[4].as_slice(), &x, &y].concat();
    Multiples::of(PublicKey::from_slice(&bytes).ok()?)
});

/// What signatures of one key are verified with.
#[derive(Debug)]
pub(super) struct Prepared(Multiples<KEY_BITS>);

impl Prepared {
    /// Of a compressed key; nothing where that is no point.
    pub(super) fn of(key: &[u8; 33]) -> Option<Self> {
        // Made now, where nobody waits, and not with the first signature.
        LazyLock::force(&GENERATOR);
        let multiples = Multiples::of(PublicKey::from_slice(key).ok()?)?;
        Some(Self(multiples))
    }

    /// The parity of `R.y`, where the signature verifies and `R.x` is below the order. Nothing else is to
    /// be concluded from nothing: the caller recovers the key then, and refuses by that.
    pub(super) fn recovery_id(&self, digest: &[u8; 32], r: &[u8; 32], s: &[u8; 32]) -> Option<u8> {
        let generator = GENERATOR.as_ref()?;
        let order = U256::from_be_bytes(constants::CURVE_ORDER);
        let inverse = U256::from_be_bytes(*s).inv_mod(order)?;
        let times = |scalar: &[u8; 32]| U256::from_be_bytes(*scalar).mul_mod(inverse, order);
        let mut points = Vec::with_capacity(TERMS_MAX);
        generator.add_to(&mut points, times(digest));
        self.0.add_to(&mut points, times(r));
        let points: Vec<&PublicKey> = points.iter().collect();
        // At infinity there is no `R.x`.
        let nonce = PublicKey::combine_keys(&points).ok()?.serialize();
        match nonce.split_first()? {
            (2, x) if x == r => Some(0),
            (3, x) if x == r => Some(1),
            _ => None,
        }
    }
}

/// `digit × 2^(BITS × place) × P`, for every place of a scalar and every digit from 1 to half of the base.
#[derive(Debug)]
struct Multiples<const BITS: usize>(Vec<Line>);

/// A point on a cache line of its own.
#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
struct Line(PublicKey);

/// A point of a sum: which multiple, and whether it is turned around.
#[derive(Clone, Copy, Debug)]
struct Term {
    multiple: usize,
    is_negative: bool,
}

/// How many points a sum has at most.
const TERMS_MAX: usize = Multiples::<KEY_BITS>::PLACES + Multiples::<GENERATOR_BITS>::PLACES;

impl<const BITS: usize> Multiples<BITS> {
    const BASE: usize = 1 << BITS;
    const DIGITS: usize = Self::BASE / 2;
    /// Digits with a sign carry into the next place; the last one has room for that.
    const PLACES: usize = {
        assert!(!SCALAR_BITS.is_multiple_of(BITS), "the last place is full");
        SCALAR_BITS.div_ceil(BITS)
    };

    /// Nothing where a multiple has no coordinates: never, since the order of the group is prime.
    fn of(point: PublicKey) -> Option<Self> {
        let mut points = Vec::with_capacity(Self::PLACES.saturating_mul(Self::DIGITS));
        let mut unit = point;
        for _ in 0..Self::PLACES {
            let mut multiple = unit;
            points.push(Line(multiple));
            for _ in 1..Self::DIGITS {
                multiple = multiple.combine(&unit).ok()?;
                points.push(Line(multiple));
            }
            unit = multiple.combine(&multiple).ok()?;
        }
        Some(Self(points))
    }

    /// Adds the points whose sum is `scalar × P`. They lie far apart in memory: all are asked for before one
    /// is used, so that they are waited for together.
    fn add_to(&self, points: &mut Vec<PublicKey>, scalar: U256) {
        let terms: Vec<Term> = Self::terms(scalar).collect();
        let begin = points.len();
        let multiples = terms.iter().filter_map(|term| self.0.get(term.multiple));
        points.extend(multiples.map(|line| line.0));
        let added = points.iter_mut().skip(begin);
        for (point, _) in added.zip(terms).filter(|(_, term)| term.is_negative) {
            *point = point.negate(&SECP);
        }
    }

    /// The digits of a scalar that are not 0.
    fn terms(scalar: U256) -> impl Iterator<Item = Term> {
        let places = (0..Self::PLACES).map(|place| place.saturating_mul(Self::DIGITS));
        let mut carry = 0;
        places
            .zip((0..).step_by(BITS))
            .filter_map(move |(first, shift)| {
                let [low, ..] = scalar.wrapping_shr(shift).into_limbs();
                let bits = usize::try_from(low).ok()? & Self::BASE.saturating_sub(1);
                let digit = bits.saturating_add(carry);
                carry = usize::from(digit > Self::DIGITS);
                let digit = match carry {
                    0 => digit,
                    // In the next place it counts as one more; here, what is too much of it.
                    _ => Self::BASE.saturating_sub(digit),
                };
                Some(Term {
                    multiple: first.saturating_add(digit.checked_sub(1)?),
                    is_negative: carry == 1,
                })
            })
    }
}
