//! The simplex method on integers: a dictionary whose entries have one common denominator.
//!
//! Every entry is a minor of the constraints' integer matrix, so that each division below leaves no
//! rest (Edmonds, Bareiss): there is no rounding anywhere, and numbers stay as short as they can.

use num_bigint::BigInt;
use num_integer::Integer;
use num_traits::{One, Signed, Zero};

/// After so many steps by the steepest column, steps are taken by Bland's rule, which ends.
const STEEPEST_MAX: usize = 2_000;

/// `basic = (rhs − Σ row · outside) / denominator`, and the objective as one more such row.
#[derive(Clone, Debug)]
pub(crate) struct Tableau {
    rows: Vec<Row>,
    objective: Vec<BigInt>,
    /// The objective's value, times the denominator.
    value: BigInt,
    /// Which variable stands outside the basis in each column.
    outside: Vec<usize>,
    denominator: BigInt,
    /// The next slack's name.
    next: usize,
}

#[derive(Clone, Debug)]
struct Row {
    basic: usize,
    rhs: BigInt,
    entries: Vec<BigInt>,
}

/// What a step of the method came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// At an optimum.
    Optimal,
    /// The objective has no bound.
    Unbounded,
    /// Nothing meets all constraints.
    Empty,
}

/// Which side of a number a variable is held to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    AtMost,
    AtLeast,
}

impl Tableau {
    /// To maximise `objective · x` where `x ≥ 0` and each `row · x ≤ rhs`, no `rhs` below zero.
    pub(crate) fn new(objective: &[BigInt], rows: &[(Vec<BigInt>, BigInt)]) -> Self {
        let variables = objective.len();
        let slack = |(number, (entries, rhs)): (usize, &(Vec<BigInt>, BigInt))| Row {
            basic: variables + number,
            rhs: rhs.clone(),
            entries: entries.clone(),
        };
        Self {
            rows: rows.iter().enumerate().map(slack).collect(),
            objective: objective.iter().map(|entry| -entry).collect(),
            value: BigInt::zero(),
            outside: (0..variables).collect(),
            denominator: BigInt::one(),
            next: variables + rows.len(),
        }
    }

    /// Goes to an optimum from a basis that meets all constraints.
    pub(crate) fn maximise(&mut self) -> Ended {
        for step in 0.. {
            let Some(column) = self.entering(step < STEEPEST_MAX) else {
                return Ended::Optimal;
            };
            let Some(row) = self.leaving(column) else {
                return Ended::Unbounded;
            };
            self.pivot(row, column);
        }
        Ended::Optimal
    }

    /// Goes back to what meets all constraints, from a basis that would be optimal.
    pub(crate) fn repair(&mut self) -> Ended {
        loop {
            let short = self.rows.iter().enumerate();
            let short = short.filter(|(_, row)| row.rhs.is_negative());
            let Some((at, row)) = short.min_by_key(|(_, row)| row.basic) else {
                return Ended::Optimal;
            };
            let columns = row.entries.iter().zip(&self.objective).zip(&self.outside);
            let columns = columns
                .enumerate()
                .filter(|(_, ((entry, _), _))| entry.is_negative());
            // The least objective entry for each unit of the row; of equal ones the first variable.
            let cheapest = columns.min_by(|(_, one), (_, other)| {
                let (((entry, cost), name), ((entry_2, cost_2), name_2)) = (*one, *other);
                let by_cost = (cost * -entry_2).cmp(&(cost_2 * -entry));
                by_cost.then(name.cmp(name_2))
            });
            let Some((column, _)) = cheapest else {
                return Ended::Empty;
            };
            self.pivot(at, column);
        }
    }

    fn entering(&self, steepest: bool) -> Option<usize> {
        let columns = self.objective.iter().zip(&self.outside).enumerate();
        let rising = columns.filter(|(_, (entry, _))| entry.is_negative());
        let chosen = match steepest {
            true => rising.min_by(|(_, (one, _)), (_, (other, _))| one.cmp(other)),
            false => rising.min_by_key(|(_, (_, name))| **name),
        };
        chosen.map(|(column, _)| column)
    }

    fn leaving(&self, column: usize) -> Option<usize> {
        let rows = self.rows.iter().enumerate();
        let bounding = rows.filter_map(|(at, row)| {
            let entry = row
                .entries
                .get(column)
                .filter(|entry| entry.is_positive())?;
            Some((at, row, entry))
        });
        let first = bounding.min_by(|(_, one, entry), (_, other, entry_2)| {
            let by_ratio = (&one.rhs * *entry_2).cmp(&(&other.rhs * *entry));
            by_ratio.then(one.basic.cmp(&other.basic))
        });
        first.map(|(at, ..)| at)
    }

    /// Exchanges a basic variable for one outside.
    fn pivot(&mut self, at: usize, column: usize) {
        let Some(mut chosen) = self.rows.get(at).cloned() else {
            return;
        };
        let Some(by) = chosen.entries.get(column).cloned() else {
            return;
        };
        let denominator = std::mem::replace(&mut self.denominator, by.clone());
        let exchange = |entries: &mut [BigInt], rhs: &mut BigInt| {
            let times = entries.get(column).cloned().unwrap_or_default();
            for (place, (entry, of)) in entries.iter_mut().zip(&chosen.entries).enumerate() {
                *entry = match place == column {
                    true => -std::mem::take(entry),
                    false => exact(&*entry * &by - &times * of, &denominator),
                };
            }
            *rhs = exact(&*rhs * &by - &times * &chosen.rhs, &denominator);
        };
        for (place, row) in self.rows.iter_mut().enumerate() {
            if place != at {
                exchange(&mut row.entries, &mut row.rhs);
            }
        }
        exchange(&mut self.objective, &mut self.value);
        if let Some(entry) = chosen.entries.get_mut(column) {
            *entry = denominator;
        }
        if let Some(name) = self.outside.get_mut(column) {
            std::mem::swap(name, &mut chosen.basic);
        }
        if let Some(row) = self.rows.get_mut(at) {
            *row = chosen;
        }
        if by.is_negative() {
            self.turn();
        }
    }

    /// Every entry and the denominator with the other sign: the same numbers.
    fn turn(&mut self) {
        let rows = self.rows.iter_mut();
        let entries = rows.flat_map(|row| row.entries.iter_mut().chain([&mut row.rhs]));
        let all = entries.chain(&mut self.objective);
        for entry in all.chain([&mut self.value, &mut self.denominator]) {
            *entry = -std::mem::take(entry);
        }
    }

    /// The largest whole number that is not above the objective.
    pub(crate) fn whole_value(&self) -> BigInt {
        self.value.div_floor(&self.denominator)
    }

    /// A variable's value: its whole part, and whether there is a rest.
    pub(crate) fn variable(&self, name: usize) -> (BigInt, bool) {
        let row = self.rows.iter().find(|row| row.basic == name);
        let rhs = row.map(|row| row.rhs.div_mod_floor(&self.denominator));
        rhs.map_or_else(Default::default, |(whole, rest)| (whole, !rest.is_zero()))
    }

    /// Holds a basic variable to one side of a number. [`Tableau::repair`] goes on from there.
    pub(crate) fn hold(&mut self, name: usize, side: Side, to: &BigInt) {
        let Some(row) = self.rows.iter().find(|row| row.basic == name) else {
            return;
        };
        let beyond = &row.rhs - to * &self.denominator;
        let (rhs, entries) = match side {
            Side::AtLeast => (beyond, row.entries.clone()),
            Side::AtMost => (-beyond, row.entries.iter().map(|entry| -entry).collect()),
        };
        self.rows.push(Row {
            basic: self.next,
            rhs,
            entries,
        });
        self.next += 1;
    }
}

/// A quotient without a rest.
fn exact(number: BigInt, by: &BigInt) -> BigInt {
    let (quotient, rest) = number.div_rem(by);
    debug_assert!(rest.is_zero(), "an entry is no minor");
    quotient
}
