//! Bases of lattices, and their reduction by Lenstra, Lenstra and Lovász (1982), in floating point as by
//! Schnorr and Euchner (1994): the entries are exact, what is decided by is not.
#![expect(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "matrices: every index runs over the rows or is one of a loop's over them"
)]

use std::{cmp::Ordering, ops::ControlFlow};

use super::int::{Int, subtract};

/// How much shorter a vector must make its place to be put there.
const DELTA: f64 = 0.99;
/// How often one row is reduced by those before it, until floats no longer say what is there.
const PASSES: usize = 200;
/// A row of which more than this was taken at once is computed anew: floats kept too little of it.
const LOSS: f64 = 1_024.0;

/// A basis, and its Gram-Schmidt orthogonalisation in the metric of [`centred`]. That is computed from the entries
/// when a row is reached, and follows what is then done to a reduced one.
pub(super) struct Basis<'a> {
    pub(super) rows: Vec<Vec<Int>>,
    /// The rows as floats.
    near: Vec<Vec<f64>>,
    /// `mu[i][j]` for j < i.
    pub(super) mu: Vec<Vec<f64>>,
    /// The orthogonal vectors.
    star: Vec<Vec<f64>>,
    /// Their lengths, squared.
    pub(super) norm: Vec<f64>,
    /// The first rows, of which these are known.
    known: usize,
    /// Whether all was reduced once. Until then floats lose what is left of a row as it gets shorter: one that
    /// moved is computed from its entries.
    is_reduced: bool,
    /// Steps that are left: one that does not end is given up.
    steps: usize,
    /// Called again and again, so that the thread can rest. Where it breaks all is given up.
    pub(super) pace: &'a mut dyn FnMut() -> ControlFlow<()>,
}

impl<'a> Basis<'a> {
    /// Of as many rows as they have entries.
    pub(super) fn of(
        rows: Vec<Vec<Int>>,
        steps: usize,
        pace: &'a mut dyn FnMut() -> ControlFlow<()>,
    ) -> Self {
        let count = rows.len();
        Self {
            near: rows.iter().map(|row| centred(row)).collect(),
            mu: (0..count).map(|row| vec![0.0; row]).collect(),
            star: vec![Vec::new(); count],
            norm: vec![0.0; count],
            known: 0,
            is_reduced: false,
            rows,
            steps,
            pace,
        }
    }

    /// Computes everything of a reduced basis from its entries: what follows the rows drifts.
    pub(super) fn refresh(&mut self) {
        for row in 0..self.rows.len() {
            self.near[row] = centred(&self.rows[row]);
            self.orthogonalise(row);
        }
        (self.known, self.is_reduced) = (self.rows.len(), true);
    }

    /// Modified Gram-Schmidt: what is left of the row is what the next product is taken of.
    fn orthogonalise(&mut self, row: usize) {
        let mut left = self.near[row].clone();
        for before in 0..row {
            let share = dot(&left, &self.star[before]) / self.norm[before];
            self.mu[row][before] = share;
            take(&mut left, &self.star[before], share);
        }
        self.norm[row] = dot(&left, &left);
        self.star[row] = left;
    }

    fn size_reduce(&mut self, row: usize) {
        if row >= self.known {
            self.orthogonalise(row);
            self.known = row + 1;
        }
        for _ in 0..PASSES {
            let most = self.subtract_those_before(row);
            if most > 0.0 {
                self.near[row] = centred(&self.rows[row]);
            }
            if most < LOSS {
                return;
            }
            self.orthogonalise(row);
        }
    }

    /// The largest quotient.
    fn subtract_those_before(&mut self, row: usize) -> f64 {
        let mut most = 0.0_f64;
        for before in (0..row).rev() {
            let quotient = self.mu[row][before].round();
            if self.mu[row][before].abs() > 0.501 {
                most = most.max(quotient.abs());
                self.subtract(row, before, quotient);
            }
        }
        most
    }

    /// Takes `before × quotient` off a row; its orthogonal vector stays.
    fn subtract(&mut self, row: usize, before: usize, quotient: f64) {
        let (low, high) = self.rows.split_at_mut(row);
        subtract(&mut high[0], &low[before], quotient);
        let (low, high) = self.mu.split_at_mut(row);
        take(&mut high[0], &low[before], quotient);
        high[0][before] -= quotient;
    }

    /// Exchanges a row and the one before it (Cohen 1993, algorithm 2.6.3).
    fn swap(&mut self, row: usize) {
        let above = row - 1;
        let share = self.mu[row][above];
        let whole = self.norm[row] + share * share * self.norm[above];
        let (of_above, of_row) = (share * self.norm[above] / whole, self.norm[row] / whole);
        self.norm[row] = self.norm[above] * of_row;
        self.norm[above] = whole;
        let (low, high) = self.star.split_at_mut(row);
        for (above, row) in low[above].iter_mut().zip(&mut high[0]) {
            let sum = *row + share * *above;
            *row = of_row * *above - of_above * *row;
            *above = sum;
        }
        let (low, high) = self.mu.split_at_mut(row);
        low[above].swap_with_slice(&mut high[0][..above]);
        high[0][above] = of_above;
        for after in high.iter_mut().take(self.known - row).skip(1) {
            let old = after[row];
            after[row] = after[above] - share * old;
            after[above] = old + of_above * after[row];
        }
        self.rows.swap(row, above);
        self.near.swap(row, above);
    }

    /// Where the row before is not longer than this one would be in its place.
    fn place(&self, row: usize) -> usize {
        let (mut place, mut rest) = (row, self.norm[row]);
        while let Some(above) = place.checked_sub(1) {
            rest += self.mu[row][above].powi(2) * self.norm[above];
            // Also where floats say nothing.
            if !matches!(
                rest.partial_cmp(&(DELTA * self.norm[above])),
                Some(Ordering::Less)
            ) {
                break;
            }
            place = above;
        }
        place
    }

    fn move_to(&mut self, place: usize, row: usize) {
        if self.is_reduced {
            for lower in (place..row).rev() {
                self.swap(lower + 1);
            }
        } else if place < row {
            self.rows[place..=row].rotate_right(1);
            self.near[place..=row].rotate_right(1);
            self.orthogonalise(place);
            self.known = place + 1;
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
            if (self.pace)().is_break() {
                return false;
            }
            self.size_reduce(row);
            let place = self.place(row);
            self.move_to(place, row);
            row = place + 1;
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
                self.subtract(row, row - 1, -quotient);
                coefficients[place - 1] -= quotient * coefficients[place];
                self.swap(row);
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{super::int::int, *};

    const ROWS: usize = 12;

    fn is_near(left: f64, right: f64) -> bool {
        (left - right).abs() <= 1e-6 * left.abs().max(right.abs()).max(1.0)
    }

    proptest! {
        /// A vector is put at some place, and the basis reduced again.
        #[test]
        fn what_follows_the_rows_is_what_their_entries_say(
            entries in prop::collection::vec(-(1_i128 << 40)..1 << 40, ROWS * ROWS),
            coefficients in prop::collection::vec(-3_i8..=3, 2..=ROWS),
        ) {
            let rows = entries.chunks(ROWS).map(|row| row.iter().copied().map(int).collect());
            let mut steps = 0;
            let mut pace = || {
                steps += 1;
                ControlFlow::Continue(())
            };
            let mut basis = Basis::of(rows.collect(), 1 << 16, &mut pace);
            prop_assert!(basis.reduce(0, ROWS));
            basis.refresh();
            let coefficients: Vec<f64> = coefficients.iter().copied().map(f64::from).collect();
            let end = coefficients.len();
            basis.put(ROWS - end, coefficients);
            prop_assert!(basis.reduce(ROWS - end, ROWS));
            let (norm, mu) = (basis.norm.clone(), basis.mu.clone());
            basis.refresh();
            for row in 0..ROWS {
                prop_assert!(is_near(norm[row], basis.norm[row]), "row {row}");
                for (followed, share) in mu[row].iter().zip(&basis.mu[row]) {
                    prop_assert!(is_near(*followed, *share), "row {row}: {followed} {share}");
                }
            }
            drop(basis);
            prop_assert!(steps >= 2 * ROWS);
        }
    }
}
