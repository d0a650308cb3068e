//! What one limit holds of the charges.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use tx::{Amount, Time};

use super::{
    Charge, ChargesError, GroupKey, Wide, Window,
    destinations::{Destinations, address_hash},
    series::Series,
};
use crate::{AttemptId, Limit, Statement, state::Present};

/// One limit, its window, and what they are counted from.
#[derive(Clone, Copy)]
pub(super) struct Counting<'a> {
    pub(super) series: &'a Series,
    pub(super) destinations: Option<&'a Destinations>,
    pub(super) present: &'a Present,
    pub(super) limit: &'a Statement<Limit>,
    pub(super) window: &'a Window,
}

impl Counting<'_> {
    /// What a charge measures in one group.
    pub(super) fn measure(&self, charge: &Charge, group: &GroupKey) -> Amount {
        let mut measures = self.window.measures(self.limit, self.present, charge);
        measures.remove(group).unwrap_or_default()
    }

    /// The hash of a group's destination, when the group is summed from its charges.
    pub(super) fn summed_by(&self, group: &GroupKey, hash: Option<u64>) -> Option<u64> {
        let destinations = self.destinations?;
        let to = group.destination()?;
        let hash = hash.unwrap_or_else(|| address_hash(to));
        (!destinations.is_counted(hash)).then_some(hash)
    }

    /// The totals once the charge at `place`, behind all that are counted, is counted as well.
    pub(super) fn entered(
        &self,
        place: u64,
        charge: &Charge,
    ) -> Result<Vec<(GroupKey, Wide)>, ChargesError> {
        if place < self.window.place || self.window.outstanding {
            return Ok(Vec::new());
        }
        let measures = self.counted(charge);
        let others = match charge.joins() && !measures.is_empty() {
            true => self.series.members(charge.set, self.window.place)?,
            false => Vec::new(),
        };
        let before = self.peaks(others.iter().filter(|(other, _)| *other < place));
        let total = |(group, amount): (GroupKey, Amount)| {
            let before = before.get(&group).copied().unwrap_or_default();
            let total = self.window.total(&group).minus(before);
            (group, total.plus(before.max(amount)))
        };
        Ok(measures.into_iter().map(total).collect())
    }

    /// The totals once the first charge of the window has left it.
    pub(super) fn left(&self, first: &Charge) -> Result<Vec<(GroupKey, Wide)>, ChargesError> {
        let measures = self.counted(first);
        let place = self.window.place;
        let others = match self.series.is_shared(first) && !measures.is_empty() {
            true => self.series.members(first.set, place)?,
            false => Vec::new(),
        };
        let after = self.peaks(others.iter().filter(|(other, _)| *other > place));
        let total = |(group, amount): (GroupKey, Amount)| {
            let after = after.get(&group).copied().unwrap_or_default();
            let total = self.window.total(&group).minus(after.max(amount));
            (group, total.plus(after))
        };
        Ok(measures.into_iter().map(total).collect())
    }

    /// What a charge measures in the groups that have totals.
    fn counted(&self, charge: &Charge) -> BTreeMap<GroupKey, Amount> {
        let mut measures = self.window.measures(self.limit, self.present, charge);
        measures.retain(|group, _| self.summed_by(group, None).is_none());
        measures
    }

    /// The largest of the charges, in each group.
    fn peaks<'b>(
        &self,
        charges: impl Iterator<Item = &'b (u64, Arc<Charge>)>,
    ) -> HashMap<GroupKey, Amount> {
        let mut peaks = HashMap::new();
        for (_, charge) in charges {
            for (group, amount) in self.window.measures(self.limit, self.present, charge) {
                let peak: &mut Amount = peaks.entry(group).or_default();
                *peak = (*peak).max(amount);
            }
        }
        peaks
    }

    /// The charges from `place` on that say something of a destination with this hash.
    pub(super) fn charges_of(
        &self,
        hash: u64,
        place: u64,
    ) -> Result<Vec<(u64, Arc<Charge>)>, ChargesError> {
        let destinations = self.destinations.into_iter();
        let links = destinations.flat_map(|all| all.links(hash, self.window.link));
        let places: BTreeSet<u64> = links
            .map(|(link, n)| self.series.place_of_link(link, n))
            .filter(|found| *found >= place)
            .collect();
        let charge = |place| Ok((place, self.series.charge(place)?));
        places.into_iter().map(charge).collect()
    }

    /// The totals of every group of the destinations with this hash.
    pub(super) fn summed_all(&self, hash: u64) -> Result<Vec<(GroupKey, Wide)>, ChargesError> {
        if !self.window.by_destination {
            return Ok(Vec::new());
        }
        let mut peaks: HashMap<(GroupKey, AttemptId), Amount> = HashMap::new();
        for (_, charge) in self.charges_of(hash, self.window.place)? {
            for (group, amount) in self.window.measures(self.limit, self.present, &charge) {
                if group.destination().map(address_hash) == Some(hash) {
                    let peak = peaks.entry((group, charge.set)).or_default();
                    *peak = (*peak).max(amount);
                }
            }
        }
        let mut totals: HashMap<GroupKey, Wide> = HashMap::new();
        for ((group, _), peak) in peaks {
            let total = totals.entry(group).or_default();
            *total = total.plus(peak);
        }
        Ok(totals.into_iter().collect())
    }

    /// The charges that left the window since it was last moved on, and the place behind them.
    pub(super) fn leaving(&self, lo: Time) -> Result<(Vec<Arc<Charge>>, u64), ChargesError> {
        let mut leaving = Vec::new();
        let mut place = self.window.place;
        if let Some(next) = self.window.ahead.front()
            && !self.window.has_left(next, lo)
        {
            return Ok((leaving, place));
        }
        loop {
            let charges = self.series.charges_from(place)?;
            let left = charges.partition_point(|charge| self.window.has_left(charge, lo));
            let is_last = left < charges.len() || charges.is_empty();
            leaving.extend(charges.into_iter().take(left));
            place = place.saturating_add(left as u64);
            if is_last {
                return Ok((leaving, place));
            }
        }
    }

    /// Every group that the window holds something of at `lo`.
    pub(super) fn groups(&self, lo: Time) -> Result<BTreeSet<GroupKey>, ChargesError> {
        let mut groups: BTreeSet<GroupKey> = self.window.groups.keys().cloned().collect();
        if !self.window.by_destination {
            return Ok(groups);
        }
        let (_, mut place) = self.leaving(lo)?;
        loop {
            let charges = self.series.charges_from(place)?;
            if charges.is_empty() {
                return Ok(groups);
            }
            place = place.saturating_add(charges.len() as u64);
            for charge in &charges {
                let measures = self.window.measures(self.limit, self.present, charge);
                groups.extend(measures.into_keys());
            }
        }
    }
}
