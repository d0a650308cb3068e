//! A group's use, as charges leave the window one after the other.

use std::{collections::HashMap, sync::Arc};

use tx::{Amount, Time};

use super::{Charge, ChargesError, GroupKey, Usage, Wide, counting::Counting};
use crate::AttemptId;

/// Which group, and who looks at it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seen<'a> {
    /// The limit, by its place in the policy.
    pub(crate) limit: usize,
    pub(crate) group: &'a GroupKey,
    /// The hash of the destination in it, where that is known.
    pub(crate) destination: Option<u64>,
    /// The conflict set of the request, `None` for one of its own.
    pub(crate) set: Option<AttemptId>,
}

/// The use of one group, seen by a request of one conflict set, after some charges have left.
pub(crate) struct Fading<'a> {
    counting: &'a Counting<'a>,
    seen: Seen<'a>,
    /// The first charge that has not left.
    place: u64,
    total: Wide,
    /// The peak of the request's own set.
    own: Amount,
    /// What the charges of sets that were looked at measure, by their places.
    sets: HashMap<AttemptId, Vec<(u64, Amount)>>,
}

/// How many charges are looked at for when there is room again.
const LOOKED_AT_MAX: usize = 1_000;

impl<'a> Fading<'a> {
    /// The use of nothing yet.
    pub(super) fn of(counting: &'a Counting<'a>, seen: Seen<'a>) -> Self {
        Self {
            counting,
            seen,
            place: counting.window.place,
            total: Wide::default(),
            own: Amount::ZERO,
            sets: HashMap::new(),
        }
    }

    /// Takes the use at `lo`.
    pub(super) fn begin(&mut self, lo: Time) -> Result<(), ChargesError> {
        let (leaving, place) = self.counting.leaving(lo)?;
        let Seen {
            group, destination, ..
        } = self.seen;
        match self.counting.summed_by(group, destination) {
            Some(hash) => self.sum(hash, place),
            None => self.count(leaving),
        }
    }

    /// From the charges of the group's destination, from `place` on.
    fn sum(&mut self, hash: u64, place: u64) -> Result<(), ChargesError> {
        let counting = self.counting;
        self.place = place;
        for (at, charge) in counting.charges_of(hash, place)? {
            let amount = counting.measure(&charge, self.seen.group);
            self.sets.entry(charge.set).or_default().push((at, amount));
        }
        for charges in self.sets.values() {
            self.total = self.total.plus(peak(charges, place));
        }
        let own = self.seen.set.and_then(|set| self.sets.get(&set));
        self.own = own.map_or(Amount::ZERO, |charges| peak(charges, place));
        Ok(())
    }

    /// From the total, less what has left since it was counted.
    fn count(&mut self, leaving: Vec<Arc<Charge>>) -> Result<(), ChargesError> {
        self.total = self.counting.window.total(self.seen.group);
        if let Some(set) = self.seen.set {
            let place = self.place;
            self.own = peak(self.charges_of(set)?, place);
        }
        for charge in leaving {
            self.expire(&charge)?;
        }
        Ok(())
    }

    /// What the charges of a set measure that had not left when it was first asked for.
    fn charges_of(&mut self, set: AttemptId) -> Result<&[(u64, Amount)], ChargesError> {
        let counting = self.counting;
        if !self.sets.contains_key(&set) {
            let members = counting.series.members(set, self.place)?;
            let members = members.into_iter();
            let measured =
                members.map(|(at, charge)| (at, counting.measure(&charge, self.seen.group)));
            self.sets.insert(set, measured.collect());
        }
        Ok(self.sets.get(&set).map_or(&[], Vec::as_slice))
    }

    /// The first charge leaves.
    fn expire(&mut self, charge: &Charge) -> Result<(), ChargesError> {
        let place = self.place;
        let behind = place.saturating_add(1);
        if !self.counting.measure(charge, self.seen.group).is_zero() {
            let charges = self.charges_of(charge.set)?;
            let (before, after) = (peak(charges, place), peak(charges, behind));
            self.total = self.total.minus(before).plus(after);
            if self.seen.set == Some(charge.set) {
                self.own = after;
            }
        }
        self.place = behind;
        Ok(())
    }

    /// The use.
    pub(super) fn usage(&self) -> Usage {
        Usage {
            used: self.total,
            others: self.total.minus(self.own),
            own: self.own,
        }
    }

    /// When at the earliest a request of `asked` has room under `cap`, by `lo`. `None` when it never
    /// has, or when more charges than are looked at have to leave first.
    pub(super) fn room_returns(
        mut self,
        asked: Amount,
        cap: Amount,
    ) -> Result<Option<Time>, ChargesError> {
        let counting = self.counting;
        let mut looked_at = 0;
        loop {
            let charges = counting.series.charges_from(self.place)?;
            if charges.is_empty() {
                return Ok(None);
            }
            for charge in charges {
                if looked_at >= LOOKED_AT_MAX {
                    return Ok(None);
                }
                looked_at = looked_at.saturating_add(1);
                self.expire(&charge)?;
                let with = self.usage().with(asked).to_amount();
                if with.is_some_and(|with| with <= cap) {
                    let millis = counting.window.window_millis;
                    return Ok(Some(charge.at.after_millis(millis)));
                }
            }
        }
    }
}

/// The largest of the charges from `place` on.
fn peak(charges: &[(u64, Amount)], place: u64) -> Amount {
    let charges = charges.iter().filter(|(at, _)| *at >= place);
    charges.map(|(_, amount)| *amount).max().unwrap_or_default()
}
