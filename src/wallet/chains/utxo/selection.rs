//! Which coins to spend.
//!
//! All coins count as equally heavy, so that a fee depends on how many are spent and on whether there is
//! change. With change nothing is cheaper than the fewest coins. Without change it may be, if coins
//! fit within what change would cost: that is looked for by branch and bound, whose last two coins
//! are found by walking the sorted amounts from both ends.

#[cfg(test)]
mod tests;

use thiserror::Error;
use tx::utxo::weight::{CoinCosts, Contents};

/// How many steps a search takes: some milliseconds.
const STEPS_MAX: u64 = 2_000_000;

/// What is to be paid, and from what.
#[derive(Clone, Debug)]
pub struct Problem<'a> {
    /// What the coins hold that may be spent, in satoshi.
    pub coins: &'a [u64],
    /// What the coins hold that must be spent: those of a transaction that is replaced.
    pub required: &'a [u64],
    /// What is paid in all, in satoshi.
    pub amount: u64,
    /// The outputs that pay it.
    pub outputs: Contents,
    /// What is paid for a vbyte.
    pub fee_rate_sat_vb: u64,
    /// What it will take to spend the change later, for a vbyte.
    pub long_term_fee_rate_sat_vb: u64,
    /// The fees of what is replaced: the new one is above them by 1 satoshi a vbyte.
    pub replaced_fee: Option<u64>,
    /// What a coin costs to be spent, and to be made as change.
    pub costs: CoinCosts,
    /// The most coins, with those that must be spent.
    pub inputs_max: usize,
}

/// Coins that pay it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selection {
    /// Positions in [`Problem::coins`], without those that must be spent anyway.
    pub coins: Vec<usize>,
    /// What comes back, where that is worth its cost.
    pub change: Option<u64>,
    /// What goes to the miners.
    pub fee: u64,
    /// The fee, and what spending the change will take.
    pub cost: u64,
}

/// Why no coins are selected.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SelectionError {
    /// All coins that are worth their cost are too little.
    #[error("{available} satoshi can be spent and {needed} are needed")]
    Insufficient {
        /// What they hold.
        available: u64,
        /// The amount and the fee.
        needed: u64,
    },
    /// There is enough, in too many coins.
    #[error("the largest {inputs_max} coins hold {available} satoshi and {needed} are needed")]
    TooManyInputs {
        /// The most coins.
        inputs_max: usize,
        /// What the largest of them hold.
        available: u64,
        /// The amount and the fee.
        needed: u64,
    },
    /// Amounts or fees are beyond all money there is.
    #[error("the amounts are out of range")]
    Overflow,
}

/// Selects the coins that cost least, as far as they are found in bounded time. The same problem has
/// the same selection.
///
/// # Errors
/// [`SelectionError`].
pub fn select(problem: &Problem<'_>) -> Result<Selection, SelectionError> {
    Pool::new(problem)?.select()
}

/// The coins that are worth their cost, the largest first.
struct Pool<'a> {
    problem: &'a Problem<'a>,
    /// What the coins hold that must be spent.
    required: u64,
    /// Amounts with their positions.
    coins: Vec<(u64, usize)>,
    /// The sums of the first 0, 1, 2 … coins.
    sums: Vec<u64>,
    /// The most coins besides the required ones.
    most: usize,
}

/// Whether there is an output for what is left.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Change {
    Made,
    None,
}

impl<'a> Pool<'a> {
    fn new(problem: &'a Problem<'a>) -> Result<Self, SelectionError> {
        let rate = problem
            .fee_rate_sat_vb
            .max(u64::from(problem.replaced_fee.is_some()));
        let cost = problem.costs.spending(rate);
        let cost = cost.ok_or(SelectionError::Overflow)?;
        let coins = problem.coins.iter().copied().zip(0..);
        let mut coins: Vec<_> = coins.filter(|(amount, _)| *amount > cost).collect();
        coins.sort_unstable_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(&b.1)));
        let mut sums = vec![0];
        let mut sum: u64 = 0;
        for (amount, _) in &coins {
            sum = sum.checked_add(*amount).ok_or(SelectionError::Overflow)?;
            sums.push(sum);
        }
        let required = problem.required.iter().copied();
        let required = required.reduce(u64::saturating_add).unwrap_or_default();
        required.checked_add(sum).ok_or(SelectionError::Overflow)?;
        let most = problem.inputs_max.saturating_sub(problem.required.len());
        Ok(Self {
            problem,
            required,
            most: most.min(coins.len()),
            coins,
            sums,
        })
    }

    fn select(&self) -> Result<Selection, SelectionError> {
        let fewest = self.fewest()?;
        // What is left beside the fewest coins may be less than change takes: then a coin more.
        let more = fewest.saturating_add(1);
        let found = [self.with_change(fewest)?, self.with_change(more)?];
        let largest = self.selection((0..fewest).collect())?;
        let all = found.into_iter().flatten().chain([largest.clone()]);
        // Of equals the first.
        let best = all.min_by_key(|selection| selection.cost);
        let best = best.unwrap_or(largest);
        self.cheaper(fewest, best)
    }

    /// The best coins without change that cost less than `best`, if any are found.
    fn cheaper(&self, fewest: usize, mut best: Selection) -> Result<Selection, SelectionError> {
        let mut steps = STEPS_MAX;
        for count in fewest..=self.most {
            let least = self.need(count)?;
            // What costs as much is no better.
            let most = self.problem.amount.saturating_add(best.cost);
            let most = most.saturating_sub(1).saturating_sub(self.required);
            if least > most {
                break;
            }
            // Each count has half of what is left: the fewest coins are the likeliest to be cheapest.
            let budget = steps.div_ceil(2);
            let search = Search {
                pool: self,
                least,
                most,
                count,
                budget,
                chosen: Vec::with_capacity(count),
                best: None,
            };
            let (found, left) = search.run();
            if let Some(found) = found {
                let found = self.selection(found)?;
                best = if found.cost < best.cost { found } else { best };
            }
            steps = steps.saturating_sub(budget).saturating_add(left);
        }
        Ok(best)
    }

    /// The least number of coins that pay.
    fn fewest(&self) -> Result<usize, SelectionError> {
        let least = usize::from(self.problem.required.is_empty());
        for count in least..=self.most {
            if self.sum(count) >= self.need(count)? {
                return Ok(count);
            }
        }
        let needed = self
            .need(self.most.max(least))?
            .saturating_add(self.required);
        let available = self.sum(self.most).saturating_add(self.required);
        if self.most < self.coins.len() {
            return Err(SelectionError::TooManyInputs {
                inputs_max: self.problem.inputs_max,
                available,
                needed,
            });
        }
        Err(SelectionError::Insufficient { available, needed })
    }

    /// What `count` coins must hold besides the required ones, without change.
    fn need(&self, count: usize) -> Result<u64, SelectionError> {
        let needed = self
            .problem
            .amount
            .checked_add(self.fee(count, Change::None)?);
        let needed = needed.ok_or(SelectionError::Overflow)?;
        Ok(needed.saturating_sub(self.required))
    }

    fn sum(&self, count: usize) -> u64 {
        self.sums.get(count).copied().unwrap_or_default()
    }

    fn fee(&self, count: usize, change: Change) -> Result<u64, SelectionError> {
        let inputs = count.saturating_add(self.problem.required.len());
        let contents = self.problem.outputs.with_inputs(inputs, self.problem.costs);
        let contents = match change {
            Change::Made => contents.with_output(self.problem.costs.script_length),
            Change::None => contents,
        };
        let vsize = contents.vsize();
        let by_rate = vsize.checked_mul(self.problem.fee_rate_sat_vb);
        let by_rate = by_rate.ok_or(SelectionError::Overflow)?;
        match self.problem.replaced_fee {
            None => Ok(by_rate),
            // BIP-125, rule 4.
            Some(replaced) => Ok(by_rate.max(replaced.saturating_add(vsize))),
        }
    }

    /// What spending the change will take.
    fn spending(&self) -> u64 {
        let rate = self.problem.long_term_fee_rate_sat_vb;
        self.problem.costs.spending(rate).unwrap_or(u64::MAX)
    }

    /// The least that is made as change.
    fn change_least(&self) -> u64 {
        self.problem.costs.dust.max(self.spending())
    }

    /// `count` coins with change: the largest but one, and the smallest that is enough beside them,
    /// so that large coins stay for large payments.
    fn with_change(&self, count: usize) -> Result<Option<Selection>, SelectionError> {
        let Some(before) = count.checked_sub(1).filter(|_| count <= self.most) else {
            return Ok(None);
        };
        let fee = self.fee(count, Change::Made)?;
        let needed = self.problem.amount.saturating_add(fee);
        let needed = needed.saturating_add(self.change_least());
        let needed = needed.saturating_sub(self.required);
        let needed = needed.saturating_sub(self.sum(before));
        let enough = self.coins.partition_point(|(amount, _)| *amount >= needed);
        match enough.checked_sub(1).filter(|last| *last >= before) {
            None => Ok(None),
            Some(last) => self
                .selection((0..before).chain([last]).collect())
                .map(Some),
        }
    }

    /// These coins, with change where it is worth its cost.
    fn selection(&self, chosen: Vec<usize>) -> Result<Selection, SelectionError> {
        let count = chosen.len();
        let coins = chosen.iter().filter_map(|at| self.coins.get(*at));
        let held = coins.clone().map(|(amount, _)| *amount);
        let held = held.fold(self.required, u64::saturating_add);
        let rest = held.saturating_sub(self.problem.amount);
        let with_change = self.fee(count, Change::Made)?;
        let change = rest
            .checked_sub(with_change)
            .filter(|change| *change >= self.change_least());
        let fee = change.map_or(rest, |_| with_change);
        let later = change.map_or(0, |_| self.spending());
        Ok(Selection {
            coins: coins.map(|(_, position)| *position).collect(),
            change,
            fee,
            cost: fee.saturating_add(later),
        })
    }
}

/// The search for exactly `count` coins that hold at least `least` and as little more as possible, at
/// most `most`.
struct Search<'a> {
    pool: &'a Pool<'a>,
    least: u64,
    most: u64,
    count: usize,
    /// The steps that are left.
    budget: u64,
    /// The coins on the way down.
    chosen: Vec<usize>,
    /// The best coins so far, and what they hold.
    best: Option<(u64, Vec<usize>)>,
}

impl Search<'_> {
    /// The best coins, and the steps that are left.
    fn run(mut self) -> (Option<Vec<usize>>, u64) {
        self.descend(0, 0);
        (self.best.map(|(_, coins)| coins), self.budget)
    }

    /// Chooses the remaining coins from `from` on, beside the chosen ones, which hold `held`.
    fn descend(&mut self, from: usize, held: u64) {
        let missing = self.count.saturating_sub(self.chosen.len());
        match missing {
            0 => self.offer(held, &[]),
            1 => self.one(from, held),
            2 => self.pair(from, held),
            _ => self.each(from, held, missing),
        }
    }

    /// Each coin from `from` on as the next one.
    fn each(&mut self, from: usize, held: u64, missing: usize) {
        for next in from..self.pool.coins.len() {
            if self.budget == 0 || self.is_exact() || !self.reaches(next, missing, held) {
                return;
            }
            self.budget = self.budget.saturating_sub(1);
            if self.exceeds(next, missing, held) {
                continue;
            }
            self.chosen.push(next);
            let with = held.saturating_add(self.amount(next));
            self.descend(next.saturating_add(1), with);
            self.chosen.pop();
        }
    }

    fn amount(&self, at: usize) -> u64 {
        self.pool.coins.get(at).map_or(0, |(amount, _)| *amount)
    }

    /// Whether the largest coins from `next` on are enough.
    fn reaches(&self, next: usize, missing: usize, held: u64) -> bool {
        let end = next.saturating_add(missing);
        let largest = self.pool.sum(end).checked_sub(self.pool.sum(next));
        end <= self.pool.coins.len()
            && largest.is_some_and(|largest| held.saturating_add(largest) >= self.least)
    }

    /// Whether the coin at `next` with the smallest others is too much.
    fn exceeds(&self, next: usize, missing: usize, held: u64) -> bool {
        let all = self.pool.coins.len();
        let others = all.saturating_sub(missing.saturating_sub(1));
        let smallest = self.pool.sum(all).saturating_sub(self.pool.sum(others));
        let with = held.saturating_add(self.amount(next));
        with.saturating_add(smallest) > self.most
    }

    /// The smallest coin that is enough.
    fn one(&mut self, from: usize, held: u64) {
        let needed = self.least.saturating_sub(held);
        let coins = &self.pool.coins;
        let enough = coins.partition_point(|(amount, _)| *amount >= needed);
        if let Some(last) = enough.checked_sub(1).filter(|last| *last >= from) {
            self.offer(held.saturating_add(self.amount(last)), &[last]);
        }
    }

    /// The two coins that are enough with the least excess: from both ends.
    fn pair(&mut self, from: usize, held: u64) {
        let needed = self.least.saturating_sub(held);
        let (mut large, mut small) = (from, self.pool.coins.len().saturating_sub(1));
        while large < small && self.budget > 0 {
            self.budget = self.budget.saturating_sub(1);
            let sum = self.amount(large).saturating_add(self.amount(small));
            if sum < needed {
                small = small.saturating_sub(1);
            } else {
                self.offer(held.saturating_add(sum), &[large, small]);
                large = large.saturating_add(1);
            }
        }
    }

    /// Takes coins that hold less than the best so far.
    fn offer(&mut self, held: u64, last: &[usize]) {
        let better = self.best.as_ref().is_none_or(|(best, _)| held < *best);
        if better && (self.least..=self.most).contains(&held) {
            self.best = Some((held, [&self.chosen, last].concat()));
        }
    }

    fn is_exact(&self) -> bool {
        self.best
            .as_ref()
            .is_some_and(|(held, _)| *held == self.least)
    }
}
