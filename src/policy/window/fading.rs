//! A group's use, as charges leave the window one after the other.

use std::collections::HashMap;

use tx::{Amount, Time};

use super::{Use, Wide};
use crate::AttemptId;

/// The use of one group, seen by a request of one conflict set, after some charges have left.
#[derive(Clone, Debug)]
pub(crate) struct Fading<'a> {
    group_use: Option<&'a Use>,
    total: Wide,
    /// The peak of the request's own set.
    own: Amount,
    set: Option<AttemptId>,
    /// The peaks of sets that lost charges.
    peaks: HashMap<AttemptId, Amount>,
}

impl<'a> Fading<'a> {
    pub(super) fn new(group_use: Option<&'a Use>, set: Option<AttemptId>) -> Self {
        let own = group_use
            .zip(set)
            .and_then(|(group_use, set)| group_use.sets.get(&set))
            .map_or(Amount::ZERO, |peaks| peaks.largest());
        Self {
            group_use,
            total: group_use.map_or_else(Wide::default, |group_use| group_use.total),
            own,
            set,
            peaks: HashMap::new(),
        }
    }

    /// Everything of `set` up to `at` leaves.
    pub(super) fn expire(&mut self, at: Time, set: AttemptId) {
        let Some(peaks) = self
            .group_use
            .and_then(|group_use| group_use.sets.get(&set))
        else {
            return;
        };
        let after = peaks.largest_after(at);
        let before = self.peaks.insert(set, after).unwrap_or(peaks.largest());
        self.total = self.total.minus(before).plus(after);
        if self.set == Some(set) {
            self.own = after;
        }
    }

    /// The use.
    pub(crate) fn used(&self) -> Wide {
        self.total
    }

    /// The use once the request's set also has an attempt of `asked`.
    pub(crate) fn with(&self, asked: Amount) -> Wide {
        self.total.minus(self.own).plus(self.own.max(asked))
    }
}
