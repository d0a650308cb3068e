//! All that a question hangs on: kinds of payments and fees, and what each takes from the limits.

use std::collections::BTreeSet;

use num_bigint::BigInt;
use num_traits::Zero;
use policy::Measure;
use tx::Name;

use crate::{
    defect::{Defect, seeded},
    destinations::Class,
};

/// A limit in one group.
#[derive(Clone, Debug)]
pub(crate) struct Cell {
    pub(crate) window_millis: u64,
    /// What the window holds: of all addresses together where there are too many to look at each.
    pub(crate) cap: BigInt,
}

/// From when on what was charged at a time is in the cell's window no longer.
pub(crate) fn leaves_at(cell: &Cell, at: u64) -> u64 {
    let late = u64::from(seeded(Defect::Windows));
    at.saturating_add(cell.window_millis).saturating_add(late)
}

/// What something takes from.
pub(crate) type Takes = BTreeSet<(usize, By)>;

/// By what it takes from a cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum By {
    Amount,
    Count,
}

impl By {
    /// `None` for what is measured otherwise, and bounds nothing here.
    pub(crate) fn of(measure: Measure) -> Option<Self> {
        match measure {
            Measure::Amount => Some(Self::Amount),
            Measure::Count if !seeded(Defect::Counts) => Some(Self::Count),
            _ => None,
        }
    }
}

/// Payments that every statement speaks of alike.
#[derive(Clone, Debug)]
pub(crate) struct Column {
    pub(crate) client: Name,
    pub(crate) account: Name,
    pub(crate) source: Name,
    pub(crate) class: usize,
    /// Which address of the class, where it matters.
    pub(crate) copy: Option<usize>,
    pub(crate) least: BigInt,
    pub(crate) most: BigInt,
    /// Whether it is what was asked about.
    pub(crate) is_asked: bool,
    pub(crate) takes: Takes,
    /// The transactions that it is in, where those take anything.
    pub(crate) link: Option<usize>,
    /// Whether those pay intents of several sources: then it may be there for the company alone.
    pub(crate) is_mixed: bool,
    /// In which of the model's hours it can be.
    pub(crate) when: BTreeSet<usize>,
}

/// Transactions of a client and an account.
#[derive(Clone, Debug)]
pub(crate) struct Link {
    pub(crate) client: Name,
    pub(crate) account: Name,
    /// Whose intents they pay.
    pub(crate) of: Of,
    pub(crate) fees: Vec<FeeKind>,
}

/// Whose intents a transaction pays.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Of {
    /// Nobody's: it pays nothing.
    Nobody,
    /// One source's.
    One(Name),
    /// Several sources': its fee is of none.
    Several,
}

/// Fees that every statement speaks of alike.
#[derive(Clone, Debug)]
pub(crate) struct FeeKind {
    pub(crate) least: BigInt,
    pub(crate) most: BigInt,
    pub(crate) takes: Takes,
    pub(crate) when: BTreeSet<usize>,
}

/// All that a question hangs on.
#[derive(Clone, Debug)]
pub(crate) struct Model {
    pub(crate) cells: Vec<Cell>,
    pub(crate) classes: Vec<Class>,
    pub(crate) columns: Vec<Column>,
    pub(crate) links: Vec<Link>,
    /// Whether fees were asked about.
    pub(crate) of_fees: bool,
    /// How many payments a transaction makes.
    pub(crate) batch: u64,
    /// Which hours are open, each way in which they can be.
    pub(crate) hours: Vec<BTreeSet<Name>>,
}

impl Link {
    /// Whether there is at any hour a fee of nothing that takes from no count.
    pub(crate) fn is_free(&self, hours: &[BTreeSet<Name>]) -> bool {
        let free = |fee: &&FeeKind| fee.is_free();
        let when = self.fees.iter().filter(free).flat_map(|fee| &fee.when);
        when.collect::<BTreeSet<_>>().len() == hours.len()
    }
}

impl FeeKind {
    pub(crate) fn is_free(&self) -> bool {
        self.least.is_zero() && self.takes.iter().all(|(_, by)| *by == By::Amount)
    }
}
