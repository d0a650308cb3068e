//! Nonces of which some bits are always the same: the hidden number problem of Boneh and Venkatesan (1996),
//! solved as by Howgrave-Graham and Smart (2001) and by Nguyen and Shparlinski (2003).
//!
//! Of every two nonces the difference is `known + share × secret` modulo the order, and small where the
//! highest bits are one constant, whichever; where the lowest ones are, it is small over 2^bits. All vectors
//! of `share × number` are a lattice, and that of the differences is as near to one of its points as no other:
//! its number is the secret. That is checked with the public key, so that nothing is ever found that is not so.

use std::ops::ControlFlow;

use ruint::aliases::U256;

use super::{
    basis::Basis,
    equation::{Equation, ORDER, centred, class, is_secret, over, times},
    int::Int,
};

/// How many bits of each nonce are always the same, at least.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Width {
    /// 16.
    Sixteen,
    /// 8.
    Eight,
    /// 4.
    Four,
}

/// Where these bits are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum End {
    /// The highest.
    Top,
    /// The lowest.
    Bottom,
}

/// By how many coordinates a lattice grows at a time.
const STEP: usize = 4;
/// Steps of one reduction: a hundred times what one took.
const STEPS: usize = 1 << 22;
/// Rows of a block, and how often all are gone through.
const BLOCK: usize = 36;
const TOURS: usize = 8;
/// Nodes of one search.
const NODES: u64 = 1 << 24;

impl Width {
    /// Every width, the one that is found fastest first.
    pub const ALL: [Self; 3] = [Self::Sixteen, Self::Eight, Self::Four];

    /// How many bits.
    pub const fn bits(self) -> u32 {
        match self {
            Self::Sixteen => 16,
            Self::Eight => 8,
            Self::Four => 4,
        }
    }

    /// How many signatures of a key it takes to be found. Information theory wants
    /// 256 / (bits - 0.25) + 1.
    pub const fn signatures(self) -> usize {
        match self {
            Self::Sixteen => 20,
            Self::Eight => 44,
            Self::Four => 112,
        }
    }

    /// The variance of such nonces. One bit is left to devices that give half of all nonces another sign, with
    /// their low `s`; of 4 there is none to leave.
    fn variance(self) -> f64 {
        let free: f64 = match self {
            Self::Sixteen => 241.0,
            Self::Eight => 249.0,
            Self::Four => 252.0,
        };
        free.exp2().powi(2) / 12.0
    }
}

impl End {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Top, Self::Bottom];

    /// What makes nonces small that are alike at this end.
    fn factor(self, width: Width) -> Option<U256> {
        match self {
            Self::Top => Some(U256::from(1)),
            Self::Bottom => U256::from(1)
                .wrapping_shl(width.bits() as usize)
                .inv_mod(ORDER),
        }
    }
}

/// Where the nonces are alike by which the secret of the key was found, if it was. Of the equations as many as
/// the width takes are used, none twice. `pace` is called every fraction of a
/// millisecond, and ends the search where it breaks.
pub(super) fn find(
    equations: &[Equation],
    width: Width,
    public: &[u8; 33],
    pace: &mut dyn FnMut() -> ControlFlow<()>,
) -> Option<End> {
    let (first, others) = equations.get(..width.signatures())?.split_first()?;
    let differences: Vec<Equation> = others.iter().map(|other| other.minus(*first)).collect();
    let mut basis = reduced(&differences, width, pace)?;
    End::ALL
        .into_iter()
        .find(|end| is_found(&mut basis, &differences, width, *end, public))
}

/// The lattice of all `share × number` modulo the order, in a reduced basis. It is begun with few coordinates
/// and grows by some at a time, so that what is to be reduced is never far from it.
fn reduced<'a>(
    differences: &[Equation],
    width: Width,
    pace: &'a mut dyn FnMut() -> ControlFlow<()>,
) -> Option<Basis<'a>> {
    let (first, _) = differences.split_first()?;
    let ratios: Option<Vec<U256>> = differences
        .iter()
        .map(|difference| over(difference.share, first.share))
        .collect();
    let ratios = ratios?;
    let mut rows = vec![vec![Int::of(U256::from(1))]];
    let mut known = 1;
    while known < ratios.len() {
        let next = ratios.len().min(known.saturating_add(STEP));
        let new = ratios.get(known..next)?;
        for row in &mut rows {
            let number = class(*row.first()?);
            row.extend(new.iter().map(|ratio| centred(times(number, *ratio))));
        }
        for place in known..next {
            let mut row = vec![Int::default(); next];
            *row.get_mut(place)? = Int::of(ORDER);
            rows.push(row);
        }
        let mut basis = Basis::of(rows, STEPS, pace);
        if !basis.reduce(0, next) {
            return None;
        }
        rows = basis.rows;
        known = next;
    }
    let mut basis = Basis::of(rows, STEPS, pace);
    basis.refresh();
    (width != Width::Four || basis.reduce_blocks(BLOCK, TOURS)).then_some(basis)
}

fn is_found(
    basis: &mut Basis<'_>,
    differences: &[Equation],
    width: Width,
    end: End,
    public: &[u8; 33],
) -> bool {
    let Some(factor) = end.factor(width) else {
        return false;
    };
    let scaled: Vec<Equation> = differences.iter().map(|one| one.times(factor)).collect();
    let point = scaled.iter().map(|one| centred(one.known)).collect();
    let mut is_found = false;
    basis.near(point, width.variance(), NODES, |left| {
        let first = scaled.first().zip(left.first());
        let secret = first.and_then(|(equation, left)| equation.solve(class(*left)));
        is_found = secret.is_some_and(|secret| is_secret(secret, public));
        if is_found {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    });
    is_found
}
