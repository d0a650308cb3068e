//! The largest attempt of one conflict set in a window.

use std::collections::VecDeque;

use tx::{Amount, Time};

/// What an attempt measured, and when.
#[derive(Clone, Copy, Debug)]
struct Peak {
    at: Time,
    amount: Amount,
}

/// Attempts of one set that are, or will be, the largest in the window: ever smaller, ever later.
///
/// Most sets have one attempt, which takes no memory of its own.
#[derive(Clone, Debug, Default)]
pub(crate) struct Peaks {
    first: Option<Peak>,
    later: VecDeque<Peak>,
}

impl Peaks {
    /// The largest, 0 when there is none.
    pub(crate) fn largest(&self) -> Amount {
        self.first.map_or(Amount::ZERO, |peak| peak.amount)
    }

    /// The largest of those after `at`.
    pub(crate) fn largest_after(&self, at: Time) -> Amount {
        self.first
            .iter()
            .chain(&self.later)
            .find(|peak| peak.at > at)
            .map_or(Amount::ZERO, |peak| peak.amount)
    }

    /// Whether none is left.
    pub(crate) fn is_empty(&self) -> bool {
        self.first.is_none()
    }

    /// Adds an attempt that is not before the others. Smaller ones before it will never be the
    /// largest again: they leave the window first.
    pub(crate) fn push(&mut self, at: Time, amount: Amount) {
        let peak = Peak { at, amount };
        while self
            .later
            .pop_back_if(|last| last.amount <= amount)
            .is_some()
        {}
        match self.first {
            Some(first) if first.amount > amount => self.later.push_back(peak),
            _ => {
                self.later.clear();
                self.first = Some(peak);
            }
        }
    }

    /// Drops what is not after `at`.
    pub(crate) fn expire(&mut self, at: Time) {
        while self.first.is_some_and(|first| first.at <= at) {
            self.first = self.later.pop_front();
        }
    }
}
