//! The search for short and for near vectors of a lattice, and the reduction by blocks that stands on it, all
//! as by Schnorr and Euchner (1994).
#![expect(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "matrices: every index runs over the rows or is one of a loop's over them"
)]

use std::ops::ControlFlow;

use super::{
    basis::Basis,
    int::{Int, subtract},
};

/// How much of the way down the length is allowed to be used up, linearly: few short vectors are missed, and
/// most of the tree.
const PRUNED: (f64, f64) = (1.05, 0.06);
/// A vector that takes a place must be so much shorter, squared.
const SHORTER: f64 = 0.99;
/// Nodes of one block's tree.
const BLOCK_NODES: u64 = 1 << 20;
/// Nodes between two rests.
const NODES_BETWEEN: u64 = 1 << 10;
/// How unlikely it is that the nonces sought lie outside of the bound, as a power of e, on each level.
const UNLIKELY: f64 = 4.0;

/// A path down the tree, with the coefficients that were chosen, and those next to be tried: nearest first,
/// in turn on either side of the centre.
struct Path {
    chosen: Vec<f64>,
    centre: Vec<f64>,
    step: Vec<f64>,
    turn: Vec<f64>,
    /// The length so far, squared.
    length: Vec<f64>,
    nodes: u64,
}

impl Path {
    fn new(depth: usize) -> Self {
        Self {
            chosen: vec![0.0; depth],
            centre: vec![0.0; depth],
            step: vec![0.0; depth],
            turn: vec![1.0; depth],
            length: vec![0.0; depth + 1],
            nodes: 0,
        }
    }

    fn enter(&mut self, level: usize, centre: f64) {
        self.centre[level] = centre;
        self.chosen[level] = centre.round();
        self.step[level] = 0.0;
        self.turn[level] = if centre < self.chosen[level] {
            1.0
        } else {
            -1.0
        };
    }

    fn next(&mut self, level: usize) {
        self.turn[level] = -self.turn[level];
        self.step[level] = self.turn[level] - self.step[level];
        self.chosen[level] += self.step[level];
    }

    fn measure(&mut self, level: usize, norm: f64) -> f64 {
        self.nodes += 1;
        let off = self.chosen[level] - self.centre[level];
        self.length[level] = self.length[level + 1] + off * off * norm;
        self.length[level]
    }

    /// What the levels above have chosen, along the orthogonal vector of this one.
    fn above(&self, basis: &Basis<'_>, first: usize, level: usize) -> f64 {
        let above = level + 1..self.chosen.len();
        above.fold(0.0, |sum, other| {
            sum + self.chosen[other] * basis.mu[first + other][first + level]
        })
    }
}

impl Basis<'_> {
    /// Reduces by blocks of so many rows (BKZ), so many times.
    pub(super) fn reduce_blocks(&mut self, block: usize, tours: usize) -> bool {
        let rows = self.rows.len();
        for _ in 0..tours {
            let mut is_changed = false;
            for first in 0..rows.saturating_sub(1) {
                let end = rows.min(first + block);
                let Some(shorter) = self.shorter(first, end) else {
                    continue;
                };
                is_changed = true;
                self.put(first, shorter);
                if !self.reduce(first, end) {
                    return false;
                }
            }
            self.refresh();
            if !self.reduce(0, rows) {
                return false;
            }
            if !is_changed {
                break;
            }
        }
        true
    }

    /// Coefficients of a vector that is shorter than the first of the block, beside those before the block.
    fn shorter(&mut self, first: usize, end: usize) -> Option<Vec<f64>> {
        let depth = end - first;
        let mut most = SHORTER * self.norm[first];
        let levels = |level: usize| share(depth - level, depth);
        let mut path = Path::new(depth);
        let (mut level, mut top, mut best) = (0, 0, None);
        path.chosen[0] = 1.0;
        loop {
            let length = path.measure(level, self.norm[first + level]);
            if self.rest(&path).is_break() || path.nodes > BLOCK_NODES {
                return best;
            }
            if length < most * (PRUNED.0 * levels(level) + PRUNED.1).min(1.0) {
                if level == 0 {
                    most = length;
                    best = Some(path.chosen.clone());
                } else {
                    level -= 1;
                    let centre = -path.above(self, first, level);
                    path.enter(level, centre);
                    continue;
                }
            } else {
                level += 1;
                if level == depth {
                    return best;
                }
            }
            // A vector is as short as its negative: the highest coefficient is positive.
            if level >= top {
                top = level;
                path.chosen[level] += 1.0;
            } else {
                path.next(level);
            }
        }
    }

    /// Offers what is left of a point without a vector of the lattice, for each that comes as near as numbers
    /// of this variance do, until one is taken or so many nodes were visited.
    pub(super) fn near(
        &mut self,
        mut point: Vec<Int>,
        variance: f64,
        nodes: u64,
        mut offer: impl FnMut(&[Int]) -> ControlFlow<()>,
    ) {
        let depth = self.rows.len();
        let along = self.fold(&mut point);
        let bounds: Vec<f64> = (0..depth)
            .map(|level| variance * quantile(depth - level))
            .collect();
        let mut path = Path::new(depth);
        let mut level = depth - 1;
        path.enter(level, along[level]);
        while path.nodes < nodes {
            let length = path.measure(level, self.norm[level]);
            if self.rest(&path).is_break() {
                return;
            }
            if length < bounds[level] {
                if level == 0 {
                    if offer(&self.without(&point, &path.chosen)).is_break() {
                        return;
                    }
                } else {
                    level -= 1;
                    let centre = along[level] - path.above(self, 0, level);
                    path.enter(level, centre);
                    continue;
                }
            } else {
                level += 1;
                if level == depth {
                    return;
                }
            }
            path.next(level);
        }
    }

    fn rest(&mut self, path: &Path) -> ControlFlow<()> {
        if path.nodes.is_multiple_of(NODES_BETWEEN) {
            return (self.pace)();
        }
        ControlFlow::Continue(())
    }

    fn without(&self, point: &[Int], coefficients: &[f64]) -> Vec<Int> {
        let mut left = point.to_vec();
        for (row, coefficient) in self.rows.iter().zip(coefficients) {
            if *coefficient != 0.0 {
                subtract(&mut left, row, *coefficient);
            }
        }
        left
    }
}

fn share(part: usize, whole: usize) -> f64 {
    number(part) / number(whole)
}

/// What chi-squared of so many degrees stays below but for one in e^[`UNLIKELY`] at most (Laurent and Massart
/// 2000); of numbers evenly distributed in an interval it is rarer by far.
fn quantile(degrees: usize) -> f64 {
    let degrees = number(degrees);
    degrees + 2.0 * (UNLIKELY * degrees).sqrt() + 2.0 * UNLIKELY
}

fn number(count: usize) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}
