//! Verifying by multiples of the key that were made before.
//!
//! `R = (z/s)·G + (r/s)·Q` is ECDSA's own check, and shows the parity of `R.y`, which is the recovery
//! id: one computation for both. With every multiple that a digit of a scalar can ask for at hand, it is
//! a sum of 84 points without one doubling: 17 us, where recovering the key takes 32 us a try and one
//! and a half tries. All arithmetic on the curve is libsecp256k1's.

use std::sync::LazyLock;

use bitcoin::secp256k1::{PublicKey, constants};
use ruint::aliases::U256;

/// Bits of a digit of the scalar of a key: 1,612 points, 101 KiB, made in about 4 ms.
const KEY_BITS: usize = 5;
/// Bits of a digit of the scalar of the generator, whose multiples are made once for the process.
const GENERATOR_BITS: usize = 8;
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
        let points = generator.terms(times(digest));
        let points: Vec<&PublicKey> = points.chain(self.0.terms(times(r))).collect();
        // At infinity there is no `R.x`.
        let nonce = PublicKey::combine_keys(&points).ok()?.serialize();
        match nonce.split_first()? {
            (2, x) if x == r => Some(0),
            (3, x) if x == r => Some(1),
            _ => None,
        }
    }
}

/// `digit × 2^(BITS × place) × P`, for every place of a scalar and every digit but 0.
#[derive(Debug)]
struct Multiples<const BITS: usize>(Vec<PublicKey>);

impl<const BITS: usize> Multiples<BITS> {
    const DIGITS: usize = (1 << BITS) - 1;
    const PLACES: usize = SCALAR_BITS.div_ceil(BITS);

    /// Nothing where a multiple has no coordinates: never, since the order of the group is prime.
    fn of(point: PublicKey) -> Option<Self> {
        let mut points = Vec::with_capacity(Self::PLACES.saturating_mul(Self::DIGITS));
        let mut unit = point;
        for _ in 0..Self::PLACES {
            let mut multiple = unit;
            for _ in 0..Self::DIGITS {
                points.push(multiple);
                multiple = multiple.combine(&unit).ok()?;
            }
            unit = multiple;
        }
        Some(Self(points))
    }

    /// The points whose sum is `scalar × P`.
    fn terms(&self, scalar: U256) -> impl Iterator<Item = &PublicKey> {
        let places = self.0.chunks(Self::DIGITS).zip((0..).step_by(BITS));
        places.filter_map(move |(multiples, shift)| {
            let [low, ..] = scalar.wrapping_shr(shift).into_limbs();
            let digit = usize::try_from(low).ok()? & Self::DIGITS;
            multiples.get(digit.checked_sub(1)?)
        })
    }
}
