//! Integer programs, decided exactly: branch and bound over [`Tableau`].

use std::collections::BTreeMap;

use num_bigint::BigInt;
use num_traits::Zero;

use crate::tableau::{Ended, Side, Tableau};

/// To maximise a sum of whole numbers under constraints that nothing meets, at least.
#[derive(Clone, Debug, Default)]
pub(crate) struct Program {
    objective: Vec<BigInt>,
    rows: Vec<(BTreeMap<usize, BigInt>, BigInt)>,
}

/// What a program comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Optimum {
    /// No number bounds it.
    Unbounded,
    /// At most this much, by these values.
    At(BigInt, Vec<BigInt>),
    /// Too many parts were looked at: at most the first, and at least the second, by these values.
    Between(BigInt, BigInt, Vec<BigInt>),
}

impl Program {
    /// A whole number that is not negative, worth so much; what it is called.
    pub(crate) fn variable(&mut self, worth: BigInt) -> usize {
        self.objective.push(worth);
        self.objective.len() - 1
    }

    /// Holds a sum to at most a number that is not negative.
    pub(crate) fn at_most(&mut self, sum: impl IntoIterator<Item = (usize, BigInt)>, most: BigInt) {
        let mut row: BTreeMap<usize, BigInt> = BTreeMap::new();
        for (name, times) in sum {
            *row.entry(name).or_default() += times;
        }
        row.retain(|_, times| !times.is_zero());
        if !row.is_empty() {
            self.rows.push((row, most));
        }
    }

    /// How large its tableau is.
    pub(crate) fn entries(&self) -> usize {
        (self.rows.len() + 1) * (self.objective.len() + 1)
    }

    fn tableau(&self) -> Tableau {
        let dense = |(row, rhs): &(BTreeMap<usize, BigInt>, BigInt)| {
            let names = 0..self.objective.len();
            let entries = names.map(|name| row.get(&name).cloned().unwrap_or_default());
            (entries.collect(), rhs.clone())
        };
        let rows: Vec<_> = self.rows.iter().map(dense).collect();
        Tableau::new(&self.objective, &rows)
    }

    /// Decides it, looking at so many parts at the most.
    pub(crate) fn solve(&self, parts_max: usize) -> Optimum {
        let mut first = self.tableau();
        if first.maximise() != Ended::Optimal {
            return Optimum::Unbounded;
        }
        let nothing = vec![BigInt::zero(); self.objective.len()];
        let mut best = (BigInt::zero(), nothing);
        let mut open = vec![first];
        let mut parts = 0;
        while let Some(tableau) = open.pop() {
            let at_most = tableau.whole_value();
            if at_most <= best.0 {
                continue;
            }
            if parts == parts_max {
                open.push(tableau);
                break;
            }
            parts += 1;
            match self.split(tableau) {
                Ok(values) => best = (at_most, values),
                Err(parts) => open.extend(parts),
            }
        }
        let most = open.iter().map(Tableau::whole_value).max();
        let (found, values) = best;
        match most.filter(|most| *most > found) {
            None => Optimum::At(found, values),
            Some(most) => Optimum::Between(most, found, values),
        }
    }

    /// The values where all are whole; else the parts on both sides of one that is not.
    fn split(&self, tableau: Tableau) -> Result<Vec<BigInt>, Vec<Tableau>> {
        let mut values = Vec::new();
        for name in 0..self.objective.len() {
            let (whole, is_between) = tableau.variable(name);
            if is_between {
                return Err(halves(&tableau, name, &whole));
            }
            values.push(whole);
        }
        Ok(values)
    }
}

/// The part behind a number last, so that it is looked at first.
fn halves(tableau: &Tableau, name: usize, whole: &BigInt) -> Vec<Tableau> {
    let sides = [(Side::AtMost, whole.clone()), (Side::AtLeast, whole + 1)];
    let part = |(side, to): (Side, BigInt)| {
        let mut part = tableau.clone();
        part.hold(name, side, &to);
        (part.repair() == Ended::Optimal).then_some(part)
    };
    let mut parts: Vec<Tableau> = sides.into_iter().filter_map(part).collect();
    parts.sort_by_key(Tableau::whole_value);
    parts
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn program(objective: &[i64], rows: &[(Vec<i64>, i64)]) -> Program {
        let mut program = Program::default();
        for worth in objective {
            program.variable((*worth).into());
        }
        for (row, most) in rows {
            let sum = row.iter().map(|times| BigInt::from(*times)).enumerate();
            program.at_most(sum, (*most).into());
        }
        program
    }

    #[test]
    fn what_nothing_bounds_has_no_bound() {
        assert_eq!(program(&[1], &[]).solve(10), Optimum::Unbounded);
        let one_ahead = program(&[1, 0], &[(vec![1, -1], 3)]);
        assert_eq!(one_ahead.solve(10), Optimum::Unbounded);
    }

    #[test]
    fn what_was_not_looked_at_still_bounds() {
        // Halves of an odd number.
        let odd = program(&[1, 1], &[(vec![2, 2], 7)]);
        assert_eq!(
            odd.solve(0),
            Optimum::Between(3.into(), 0.into(), vec![0.into(); 2])
        );
        assert!(matches!(odd.solve(10), Optimum::At(most, _) if most == 3.into()));
    }

    fn tried(objective: &[i64], rows: &[(Vec<i64>, i64)], chosen: &mut Vec<i64>) -> i64 {
        let dot =
            |one: &[i64], other: &[i64]| one.iter().zip(other).map(|(a, b)| a * b).sum::<i64>();
        if chosen.len() == objective.len() {
            let holds = rows.iter().all(|(row, most)| dot(row, chosen) <= *most);
            return if holds { dot(objective, chosen) } else { 0 };
        }
        let each = (0..=6).map(|value| {
            chosen.push(value);
            let most = tried(objective, rows, chosen);
            chosen.pop();
            most
        });
        each.max().unwrap_or(0)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(400))]

        #[test]
        fn it_is_what_trying_all_comes_to(
            objective in prop::collection::vec(0..5_i64, 3),
            mut rows in prop::collection::vec((prop::collection::vec(-3..5_i64, 3), 0..20_i64), 0..5),
        ) {
            for name in 0..3 {
                let mut row = vec![0; 3];
                row[name] = 1;
                rows.push((row, 6));
            }
            let solved = program(&objective, &rows).solve(10_000);
            let Optimum::At(most, values) = solved else {
                return Err(TestCaseError::fail(format!("{solved:?}")));
            };
            prop_assert_eq!(&most, &BigInt::from(tried(&objective, &rows, &mut Vec::new())));
            for (row, most) in &rows {
                let sum: BigInt = row.iter().zip(&values).map(|(times, value)| value * *times).sum();
                prop_assert!(sum <= BigInt::from(*most));
            }
        }
    }
}
