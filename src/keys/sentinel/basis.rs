//! Bases of lattices, and their reduction by Lenstra, Lenstra and Lovász (1982), in floating point as by
//! Schnorr and Euchner (1994): the entries are exact, what is decided by is not.
#![expect(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "matrices: every index runs over the rows or is one of a loop's over them"
)]

use super::int::{Int, subtract};

/// How much shorter a vector must make its place to be put there.
const DELTA: f64 = 0.99;
/// How often one row is reduced by those before it, until floats no longer say what is there.
const PASSES: usize = 200;

/// A basis, and its Gram-Schmidt orthogonalisation in the metric of [`centred`].
#[derive(Debug, Default)]
pub(super) struct Basis {
    pub(super) rows: Vec<Vec<Int>>,
    /// The rows as floats.
    near: Vec<Vec<f64>>,
    /// `mu[i][j]` for j < i.
    pub(super) mu: Vec<Vec<f64>>,
    /// The orthogonal vectors.
    star: Vec<Vec<f64>>,
    /// Their lengths, squared.
    pub(super) norm: Vec<f64>,
    /// How long the row that was last looked at is, squared, without its part along the first ones.
    rest: Vec<f64>,
    /// Steps that are left: one that does not end is given up.
    steps: usize,
}

impl Basis {
    /// Of as many rows as they have entries.
    pub(super) fn of(rows: Vec<Vec<Int>>, steps: usize) -> Self {
        let count = rows.len();
        let mut basis = Self {
            near: rows.iter().map(|row| centred(row)).collect(),
            mu: (0..count).map(|row| vec![0.0; row]).collect(),
            star: vec![Vec::new(); count],
            norm: vec![0.0; count],
            rest: vec![0.0; count],
            rows,
            steps,
        };
        for row in 0..count {
            basis.orthogonalise(row);
        }
        basis
    }

    /// Modified Gram-Schmidt: what is left of the row is what the next product is taken of.
    pub(super) fn orthogonalise(&mut self, row: usize) {
        let mut left = self.near[row].clone();
        for before in 0..row {
            self.rest[before] = dot(&left, &left);
            let share = dot(&left, &self.star[before]) / self.norm[before];
            self.mu[row][before] = share;
            take(&mut left, &self.star[before], share);
        }
        self.norm[row] = dot(&left, &left);
        self.star[row] = left;
    }

    fn size_reduce(&mut self, row: usize) {
        for _ in 0..PASSES {
            self.orthogonalise(row);
            let mut is_changed = false;
            for before in (0..row).rev() {
                let quotient = self.mu[row][before].round();
                if self.mu[row][before].abs() <= 0.501 {
                    continue;
                }
                is_changed = true;
                let (low, high) = self.rows.split_at_mut(row);
                subtract(&mut high[0], &low[before], quotient);
                let (low, high) = self.mu.split_at_mut(row);
                take(&mut high[0], &low[before], quotient);
                high[0][before] -= quotient;
            }
            if !is_changed {
                return;
            }
            self.near[row] = centred(&self.rows[row]);
        }
    }

    /// Reduces the rows before `end`, those before `begin` being reduced. False when it was given up.
    pub(super) fn reduce(&mut self, begin: usize, end: usize) -> bool {
        let mut row = begin;
        while row < end {
            let Some(steps) = self.steps.checked_sub(1) else {
                return false;
            };
            self.steps = steps;
            self.size_reduce(row);
            let mut place = row;
            while place > 0 && self.rest[place - 1] < DELTA * self.norm[place - 1] {
                place -= 1;
            }
            if place < row {
                self.rows[place..=row].rotate_right(1);
                self.near[place..=row].rotate_right(1);
                self.orthogonalise(place);
                row = place;
            }
            row += 1;
        }
        true
    }

    /// Puts the vector with these coefficients from `first` on at `first`: Euclid's algorithm on pairs of
    /// coefficients, whose rows change along.
    pub(super) fn put(&mut self, first: usize, mut coefficients: Vec<f64>) {
        for place in (1..coefficients.len()).rev() {
            let row = first + place;
            while coefficients[place].abs() >= 0.5 {
                let quotient = (coefficients[place - 1] / coefficients[place]).trunc();
                let (low, high) = self.rows.split_at_mut(row);
                subtract(&mut high[0], &low[row - 1], -quotient);
                coefficients[place - 1] -= quotient * coefficients[place];
                self.rows.swap(row, row - 1);
                coefficients.swap(place, place - 1);
            }
        }
        for row in first..first + coefficients.len() {
            self.near[row] = centred(&self.rows[row]);
        }
    }

    /// Moves a point nearer to 0 by vectors of the lattice (Babai 1986), and says where it is along the
    /// orthogonal vectors.
    pub(super) fn fold(&self, point: &mut [Int]) -> Vec<f64> {
        let mut along = vec![0.0; self.rows.len()];
        for _ in 0..PASSES {
            let mut left = centred(point);
            let mut is_changed = false;
            for row in (0..self.rows.len()).rev() {
                along[row] = dot(&left, &self.star[row]) / self.norm[row];
                let quotient = along[row].round();
                if along[row].abs() > 0.501 {
                    is_changed = true;
                    subtract(point, &self.rows[row], quotient);
                    take(&mut left, &self.near[row], quotient);
                }
            }
            if !is_changed {
                break;
            }
        }
        along
    }
}

/// Entries are differences from one sample more. This says them as if they were from the samples' mean, by a
/// linear map that keeps such lengths: what is small of each sample is smallest so.
fn centred(row: &[Int]) -> Vec<f64> {
    let mut near: Vec<f64> = row.iter().map(|entry| entry.to_f64()).collect();
    let samples = f64::from(u32::try_from(near.len()).unwrap_or(u32::MAX)) + 1.0;
    let sum: f64 = near.iter().sum();
    let share = sum * (1.0 - 1.0 / samples.sqrt()) / (samples - 1.0);
    for entry in &mut near {
        *entry -= share;
    }
    near
}

/// Takes `other × share` off, as far as `other` goes.
fn take(vector: &mut [f64], other: &[f64], share: f64) {
    for (entry, other) in vector.iter_mut().zip(other) {
        *entry -= share * other;
    }
}

/// Four sums at a time, which a processor makes together.
fn dot(left: &[f64], right: &[f64]) -> f64 {
    let (lefts, rights) = (left.chunks_exact(4), right.chunks_exact(4));
    let rest = lefts.remainder().iter().zip(rights.remainder());
    let rest: f64 = rest.map(|(left, right)| left * right).sum();
    let mut sums = [0.0; 4];
    for (left, right) in lefts.zip(rights) {
        for (sum, (left, right)) in sums.iter_mut().zip(left.iter().zip(right)) {
            *sum += left * right;
        }
    }
    rest + sums.iter().sum::<f64>()
}
