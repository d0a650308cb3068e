//! The integer program of a model: how many of each thing are asked for at which times.

use std::collections::BTreeMap;

use num_bigint::BigInt;
use num_integer::Integer;
use num_traits::{One, Zero};

use crate::{
    model::{By, Model, Of, Takes, leaves_at},
    program::{Optimum, Program},
};

/// A program of a model, at one time or at several.
pub(crate) struct Draft<'m> {
    model: &'m Model,
    program: Program,
    slots: Vec<Slot>,
    /// What takes from each cell: in which slot, which variable, how often.
    taken: BTreeMap<usize, Vec<(usize, usize, BigInt)>>,
}

/// The variables of one time.
struct Slot {
    columns: Vec<Paid>,
    fees: Vec<FeePaid>,
}

struct Paid {
    column: usize,
    /// How many, where that matters.
    count: Option<usize>,
    sum: usize,
}

struct FeePaid {
    link: usize,
    fee: usize,
    count: usize,
    sum: Option<usize>,
}

/// What is asked for at one time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Asked {
    /// By column: how many payments, and what they come to.
    pub(crate) payments: BTreeMap<usize, (BigInt, BigInt)>,
    /// By link and its fee: how many transactions, and what they come to.
    pub(crate) fees: BTreeMap<(usize, usize), (BigInt, BigInt)>,
}

impl Asked {
    pub(crate) fn is_nothing(&self) -> bool {
        self.payments.is_empty() && self.fees.is_empty()
    }

    /// What it takes from each cell.
    pub(crate) fn takes(&self, model: &Model) -> BTreeMap<usize, BigInt> {
        let mut all: BTreeMap<usize, BigInt> = BTreeMap::new();
        let mut add = |takes: &Takes, (count, sum): &(BigInt, BigInt)| {
            for (cell, by) in takes {
                *all.entry(*cell).or_default() += match by {
                    By::Amount => sum,
                    By::Count => count,
                };
            }
        };
        for (column, numbers) in &self.payments {
            if let Some(column) = model.columns.get(*column) {
                add(&column.takes, numbers);
            }
        }
        for ((link, fee), numbers) in &self.fees {
            if let Some(fee) = model.links.get(*link).and_then(|link| link.fees.get(*fee)) {
                add(&fee.takes, numbers);
            }
        }
        all
    }

    /// What leaves of what the question is about.
    pub(crate) fn leaves(&self, model: &Model) -> BigInt {
        if model.of_fees {
            return self.fees.values().map(|(_, sum)| sum).sum();
        }
        let asked = |column: &usize| model.columns.get(*column).is_some_and(|one| one.is_asked);
        let payments = self.payments.iter().filter(|(column, _)| asked(column));
        payments.map(|(_, (_, sum))| sum).sum()
    }
}

impl<'m> Draft<'m> {
    pub(crate) fn new(model: &'m Model) -> Self {
        Self {
            model,
            program: Program::default(),
            slots: Vec::new(),
            taken: BTreeMap::new(),
        }
    }

    /// Another time, in these hours of the model, or in whichever is best for each thing.
    pub(crate) fn add(&mut self, way: Option<usize>) {
        let is_then =
            |when: &std::collections::BTreeSet<usize>| way.is_none_or(|way| when.contains(&way));
        let one = BigInt::one();
        let mut slot = Slot {
            columns: Vec::new(),
            fees: Vec::new(),
        };
        for (number, column) in self.model.columns.iter().enumerate() {
            if is_then(&column.when) {
                let worth = u8::from(column.is_asked && !self.model.of_fees).into();
                let sum = self.program.variable(worth);
                let counts = column.takes.iter().any(|(_, by)| *by == By::Count);
                let is_loose = column.least <= BigInt::one() && !counts && column.link.is_none();
                let count = (!is_loose).then(|| self.program.variable(BigInt::zero()));
                self.between((count, sum), (&column.least, &column.most));
                self.take(&column.takes, count, (sum, &BigInt::one()));
                slot.columns.push(Paid {
                    column: number,
                    count,
                    sum,
                });
            }
        }
        for (number, link) in self.model.links.iter().enumerate() {
            for (place, fee) in link.fees.iter().enumerate() {
                let paid = slot
                    .columns
                    .iter()
                    .any(|paid| self.link_of(paid) == Some(number));
                if is_then(&fee.when) && (paid || (link.of == Of::Nobody && self.model.of_fees)) {
                    let count = self.program.variable(BigInt::zero());
                    let sum = self
                        .model
                        .of_fees
                        .then(|| self.program.variable(BigInt::one()));
                    if let Some(sum) = sum {
                        self.between((Some(count), sum), (&fee.least, &fee.most));
                    }
                    // Nobody asked how much they are: each is the least.
                    let of = sum.map_or((count, &fee.least), |sum| (sum, &one));
                    self.take(&fee.takes, Some(count), of);
                    slot.fees.push(FeePaid {
                        link: number,
                        fee: place,
                        count,
                        sum,
                    });
                }
            }
        }
        self.link(&slot);
        self.slots.push(slot);
    }

    fn link_of(&self, paid: &Paid) -> Option<usize> {
        self.model
            .columns
            .get(paid.column)
            .and_then(|column| column.link)
    }

    /// So many of at least and at most so much each come to the sum.
    fn between(&mut self, (count, sum): (Option<usize>, usize), (least, most): (&BigInt, &BigInt)) {
        let Some(count) = count else {
            return;
        };
        let (one, minus_one) = (BigInt::one(), -BigInt::one());
        if !least.is_zero() {
            let least = [(count, least.clone()), (sum, minus_one)];
            self.program.at_most(least, BigInt::zero());
        }
        self.program
            .at_most([(sum, one), (count, -most)], BigInt::zero());
    }

    /// What takes from cells: so many things, that come to a sum.
    fn take(&mut self, takes: &Takes, count: Option<usize>, sum: (usize, &BigInt)) {
        let slot = self.slots.len();
        for (cell, by) in takes {
            let (name, times) = match (by, count) {
                (By::Amount, _) => (sum.0, sum.1.clone()),
                (By::Count, Some(count)) => (count, BigInt::one()),
                (By::Count, None) => continue,
            };
            let taken = self.taken.entry(*cell).or_default();
            taken.push((slot, name, times));
        }
    }

    fn link(&mut self, slot: &Slot) {
        let one = BigInt::one;
        for (number, link) in self.model.links.iter().enumerate() {
            let counts = slot.fees.iter().filter(|fee| fee.link == number);
            let counts: Vec<usize> = counts.map(|fee| fee.count).collect();
            let paid = slot
                .columns
                .iter()
                .filter(|paid| self.link_of(paid) == Some(number));
            let paid: Vec<(usize, &Paid)> =
                paid.filter_map(|paid| Some((paid.count?, paid))).collect();
            if paid.is_empty() && (counts.is_empty() || link.of == Of::Nobody) {
                continue;
            }
            // Each has at most so many payments, and at least one.
            let batch = -BigInt::from(self.model.batch);
            let most = paid.iter().map(|(name, _)| (*name, one()));
            let most = most.chain(counts.iter().map(|name| (*name, batch.clone())));
            self.program
                .at_most(most.collect::<Vec<_>>(), BigInt::zero());
            let least = counts.iter().map(|name| (*name, one()));
            let least = least.chain(paid.iter().map(|(name, _)| (*name, -one())));
            self.program
                .at_most(least.collect::<Vec<_>>(), BigInt::zero());
            if link.of == Of::Several {
                self.mix(&paid, &counts);
            }
        }
    }

    /// Each has payments of two sources at least: of each source no more help than one a transaction.
    fn mix(&mut self, paid: &[(usize, &Paid)], counts: &[usize]) {
        let one = BigInt::one;
        let mut by_source: BTreeMap<_, Vec<usize>> = BTreeMap::new();
        for (name, of) in paid {
            let source = self
                .model
                .columns
                .get(of.column)
                .map(|column| &column.source);
            by_source.entry(source).or_default().push(*name);
        }
        let two = counts.iter().map(|name| (*name, BigInt::from(2)));
        let mut two: Vec<(usize, BigInt)> = two.collect();
        for names in by_source.values() {
            let helps = self.program.variable(BigInt::zero());
            for most in [names.as_slice(), counts] {
                let most = most.iter().map(|name| (*name, -one()));
                let row: Vec<_> = most.chain([(helps, one())]).collect();
                self.program.at_most(row, BigInt::zero());
            }
            two.push((helps, -one()));
        }
        self.program.at_most(two, BigInt::zero());
    }

    /// Holds each cell, over all times together, to a number.
    pub(crate) fn hold(&mut self, cap: impl Fn(usize) -> BigInt) {
        for (cell, taken) in std::mem::take(&mut self.taken) {
            let sum = taken.into_iter().map(|(_, name, times)| (name, times));
            self.program.at_most(sum, cap(cell));
        }
    }

    /// Holds each cell to its cap in each window that ends at one of the times of the slots.
    pub(crate) fn hold_windows(&mut self, times: &[u64]) {
        for (cell, taken) in std::mem::take(&mut self.taken) {
            let Some(cell) = self.model.cells.get(cell) else {
                continue;
            };
            for end in times {
                let is_in = |slot: usize| {
                    let at = times.get(slot);
                    at.is_some_and(|at| at <= end && leaves_at(cell, *at) > *end)
                };
                let within = taken.iter().filter(|(slot, ..)| is_in(*slot));
                let sum = within.map(|(_, name, times)| (*name, times.clone()));
                self.program
                    .at_most(sum.collect::<Vec<_>>(), cell.cap.clone());
            }
        }
    }

    pub(crate) fn entries(&self) -> usize {
        self.program.entries()
    }

    pub(crate) fn solve(&self, parts_max: usize) -> Optimum {
        self.program.solve(parts_max)
    }

    /// What values of the variables ask for, time by time.
    pub(crate) fn asked(&self, values: &[BigInt]) -> Vec<Asked> {
        let value = |name: usize| values.get(name).cloned().unwrap_or_default();
        let asked = |slot: &Slot| {
            let mut asked = Asked::default();
            for paid in &slot.columns {
                let sum = value(paid.sum);
                let most = self
                    .model
                    .columns
                    .get(paid.column)
                    .map(|column| column.most.clone());
                let few = |most: BigInt| sum.div_ceil(&most.max(BigInt::one()));
                let count = match paid.count {
                    Some(count) => value(count),
                    None => most.map(few).unwrap_or_default(),
                };
                if !count.is_zero() {
                    asked.payments.insert(paid.column, (count, sum));
                }
            }
            for fee in &slot.fees {
                let count = value(fee.count);
                let least = self
                    .model
                    .links
                    .get(fee.link)
                    .and_then(|link| link.fees.get(fee.fee));
                let least = least.map(|fee| fee.least.clone()).unwrap_or_default();
                let sum = fee.sum.map_or_else(|| &count * least, value);
                if !count.is_zero() {
                    asked.fees.insert((fee.link, fee.fee), (count, sum));
                }
            }
            asked
        };
        self.slots.iter().map(asked).collect()
    }
}
