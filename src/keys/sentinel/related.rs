//! Nonces that follow from one another, or from what everybody knows.

use std::{collections::HashMap, sync::LazyLock};

use bitcoin::secp256k1::{PublicKey, constants};
use ruint::aliases::U256;

use super::equation::{Equation, ORDER, is_secret, minus, negated, over, plus, root, times};

/// Nonces from 1/2 to half of this, in halves, are known by their `r`. The half of a generator has an `r` that
/// is famous for being short.
const HALVES: u32 = 8192;

/// Of each `j/2 × G` the beginning of the x coordinate, and j.
static SMALL: LazyLock<HashMap<[u8; 16], u32>> = LazyLock::new(small);

/// Whether each of four nonces is the one before times a constant and plus another, whatever these are, as a
/// linear congruential generator makes them. Then `(k2 - k1) (k4 - k3) = (k3 - k2)^2`: an equation of the
/// second degree in the secret, whose solutions are tried. With each `s` made low, nonces have lost their
/// signs: all are tried.
pub(super) fn are_affine(equations: &[Equation; 4], public: &[u8; 33]) -> bool {
    let [first, others @ ..] = *equations;
    (0..8_u8).any(|signs| {
        let signed = |place: u8, equation: Equation| {
            if signs & (1 << place) == 0 {
                equation
            } else {
                equation.negated()
            }
        };
        let [second, third, fourth] = others;
        let (second, third, fourth) = (signed(0, second), signed(1, third), signed(2, fourth));
        let steps = [
            second.minus(first),
            third.minus(second),
            fourth.minus(third),
        ];
        solutions(steps).any(|secret| is_secret(secret, public))
    })
}

/// The secrets by which `steps[0] × steps[2] = steps[1]^2`.
fn solutions([left, middle, right]: [Equation; 3]) -> impl Iterator<Item = U256> {
    let square = |number: U256| times(number, number);
    let twice = |number: U256| plus(number, number);
    let a = minus(times(left.share, right.share), square(middle.share));
    let crossed = plus(
        times(left.known, right.share),
        times(right.known, left.share),
    );
    let b = minus(crossed, twice(times(middle.known, middle.share)));
    let c = minus(times(left.known, right.known), square(middle.known));
    let straight = (a == U256::ZERO).then(|| over(negated(c), b)).flatten();
    let discriminant = minus(square(b), twice(twice(times(a, c))));
    let root = root(discriminant);
    let roots = [root, root.map(negated)].into_iter().flatten();
    let bent = roots.filter_map(move |root| over(minus(root, b), twice(a)));
    straight.into_iter().chain(bent)
}

/// Whether a nonce is one that anybody would try: a small number or half of one, the digest, the secret; each
/// with either sign.
pub(super) fn is_known(
    equation: &Equation,
    digest: &[u8; 32],
    r: &[u8; 32],
    public: &[u8; 33],
) -> bool {
    let small = r.first_chunk().and_then(|begin| SMALL.get(begin));
    let half = U256::from(2).inv_mod(ORDER);
    let small = small.zip(half).map(|(j, half)| times(U256::from(*j), half));
    let digest = U256::from_be_bytes(*digest).reduce_mod(ORDER);
    let nonces = small.into_iter().chain([digest]);
    let by_nonce = nonces
        .flat_map(|nonce| [nonce, negated(nonce)])
        .filter_map(|nonce| equation.solve(nonce));
    // `secret = known + share × secret`, and its negative.
    let one = U256::from(1);
    let of_secret = [one, negated(one)];
    let by_secret = of_secret
        .into_iter()
        .filter_map(|sign| over(equation.known, minus(sign, equation.share)));
    by_nonce
        .chain(by_secret)
        .any(|secret| is_secret(secret, public))
}

fn small() -> HashMap<[u8; 16], u32> {
    let (x, y) = (constants::GENERATOR_X, constants::GENERATOR_Y);
    let generator = PublicKey::from_slice(&[[4].as_slice(), &x, &y].concat()).ok();
    let half = generator.and_then(|generator| half_of(&generator));
    let Some(half) = half else {
        return HashMap::new();
    };
    let mut table = HashMap::new();
    let mut multiple = half;
    for j in 1..=HALVES {
        if let Some(begin) = multiple
            .serialize()
            .get(1..17)
            .and_then(|x| x.try_into().ok())
        {
            table.insert(begin, j);
        }
        match multiple.combine(&half) {
            Ok(next) => multiple = next,
            Err(_) => break,
        }
    }
    table
}

/// Half of the generator.
fn half_of(generator: &PublicKey) -> Option<PublicKey> {
    use bitcoin::secp256k1::{Scalar, Secp256k1};
    let half = U256::from(2).inv_mod(ORDER)?;
    let half = Scalar::from_be_bytes(half.to_be_bytes()).ok()?;
    generator
        .mul_tweak(&Secp256k1::verification_only(), &half)
        .ok()
}
