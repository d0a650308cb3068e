//! Limits over rolling windows.
//!
//! The use of a limit in a group is the sum, over conflict sets, of the set's largest attempt in
//! the window (semantics: of a set at most one attempt confirms). The charges are one [`Series`]; a
//! limit has a place in it, the first charge that has not left its window, and the sums of its groups
//! between that place and the end. Groups by destination are summed when they are asked for
//! ([`Destinations`]), but for those with many charges. Limits on what is outstanding count sets, one by one
//! ([`Outstanding`]).
//!
//! A charge enters and leaves in the time that it takes to read it and the others of its set.

mod block;
mod charge;
mod counting;
mod destinations;
mod fading;
mod group;
mod outstanding;
mod parts;
mod series;
mod summary;
mod wide;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, VecDeque},
    sync::Arc,
};

use tx::{Amount, Time};

use crate::{
    AttemptId, Digest, Group, Limit, Measure, Statement,
    state::{Present, Standing},
};

pub(crate) use charge::Charge;
pub(crate) use destinations::address_hash;
pub(crate) use fading::{Fading, Seen};
pub(crate) use group::GroupKey;
pub(crate) use outstanding::{Held, Member};
pub use parts::{ChargeState, ChargeStateError, KeptBlocks};
pub use series::{ChargeBlocks, ChargesError, ClosedBlock, UnreadBlock};
pub(crate) use wide::Wide;

use counting::Counting;
use destinations::Destinations;
use outstanding::Outstanding;
use parts::Restored;
use series::Series;
use summary::Link;

/// The charges, and what each limit of the present policy holds of them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Windows {
    series: Series,
    counts: Counts,
    /// What is counted already, for the policy that is to govern first.
    restored: Option<Restored>,
}

/// What each limit of the present policy holds.
#[derive(Clone, Debug, Default)]
struct Counts {
    /// One for each limit, in its order.
    windows: Vec<Window>,
    /// Where a limit counts destinations apart.
    destinations: Option<Destinations>,
    outstanding: Outstanding,
}

/// One limit's window.
#[derive(Clone, Debug)]
struct Window {
    window_millis: u64,
    over: Option<Digest>,
    by_destination: bool,
    /// Whether it is of what is outstanding: then nothing below is.
    outstanding: bool,
    /// The first charge that has not left.
    place: u64,
    /// Its first link, where destinations are counted apart.
    link: u64,
    /// The sums, over sets, of the largest charge from `place` on; none that is 0.
    groups: HashMap<GroupKey, Wide>,
    /// Charges from `place` on that were read already.
    ahead: VecDeque<Arc<Charge>>,
}

impl Window {
    fn new(limit: &Limit) -> Self {
        Self {
            window_millis: limit.window_millis,
            over: limit.over.as_ref().map(|need| need.fingerprint()),
            by_destination: !limit.outstanding && limit.group.contains(&Group::Destination),
            outstanding: limit.outstanding,
            place: 0,
            link: 0,
            groups: HashMap::new(),
            ahead: VecDeque::new(),
        }
    }

    /// What a charge measures in each group, nothing where an attempt that its needs carried over the
    /// limit does not count.
    fn measures(
        &self,
        limit: &Statement<Limit>,
        present: &Present,
        charge: &Charge,
    ) -> BTreeMap<GroupKey, Amount> {
        if self.over.is_some_and(|over| charge.carried.contains(&over)) {
            return BTreeMap::new();
        }
        let mut measures = charge.measures(limit, present);
        measures.retain(|_, amount| !amount.is_zero());
        measures
    }

    fn has_left(&self, charge: &Charge, lo: Time) -> bool {
        left(charge.at, self.window_millis, lo)
    }

    /// The first charge has left.
    fn step(&mut self, first: &Charge) {
        self.ahead.pop_front();
        self.place = self.place.saturating_add(1);
        if self.by_destination {
            let links = first.destinations().len() as u64;
            self.link = self.link.saturating_add(links);
        }
    }

    fn total(&self, group: &GroupKey) -> Wide {
        self.groups.get(group).copied().unwrap_or_default()
    }

    fn set(&mut self, totals: impl IntoIterator<Item = (GroupKey, Wide)>) {
        for (group, total) in totals {
            match total.is_zero() {
                true => self.groups.remove(&group),
                false => self.groups.insert(group, total),
            };
        }
    }
}

impl Windows {
    /// The closed blocks that are in memory, oldest first.
    pub(crate) fn closed_blocks(&self) -> impl Iterator<Item = &ClosedBlock> {
        self.series.held()
    }

    /// The number of the first block that is kept.
    pub(crate) fn first_block(&self) -> u64 {
        self.series.base()
    }

    /// Lets go of the closed blocks before this number: they are read there.
    pub(crate) fn release(&mut self, reader: Arc<dyn ChargeBlocks>, before: u64) {
        self.series.release(reader, before);
    }

    /// Lets go of what is in no window any longer at `lo`.
    pub(crate) fn advance(
        &mut self,
        present: Option<&Present>,
        lo: Time,
    ) -> Result<(), ChargesError> {
        if let Some(present) = present {
            self.counts.advance(&self.series, present, lo)?;
        }
        self.series.advance(lo);
        Ok(())
    }

    /// Adds a charge, not older than the others, and counts it. Where it is not added, nothing has
    /// changed that an answer hangs on.
    pub(crate) fn charge(
        &mut self,
        present: Option<&Present>,
        mut charge: Charge,
    ) -> Result<(), ChargesError> {
        self.series.make_room();
        if charge.joins() {
            charge.previous = self.series.last_of(charge.set)?;
        }
        let place = self.series.end();
        let links = self.series.links_of(place, &charge);
        match present {
            Some(present) => {
                self.counts.enter(&self.series, present, (place, &charge))?;
                self.counts.link(&links);
            }
            None => self.forget_counts(),
        }
        self.series.push(charge, links);
        Ok(())
    }

    /// Counts everything anew at `lo`: a policy governs, or a key is registered. What was restored is
    /// counted already, for the policy that governs first. Where the same sets are settled as before (`alike`),
    /// attempts of others are not looked at.
    pub(crate) fn recount(
        &mut self,
        present: &Present,
        lo: Time,
        alike: bool,
        standing: &dyn Fn(AttemptId) -> Result<Standing, ChargesError>,
    ) -> Result<(), ChargesError> {
        let limits = &present.policy.limits;
        let restored = self.restored.take();
        let (windows, known) = match restored.filter(|restored| restored.is_of(&present.policy)) {
            Some(Restored { windows, sets, .. }) => {
                let windows = limits.iter().zip(windows);
                let windows = windows.map(|(limit, parts)| Window::of_parts(&limit.says, parts));
                (Some(windows.collect()), sets)
            }
            None => (None, alike.then(|| self.counts.outstanding.sets())),
        };
        let mut counts = match windows {
            Some(windows) => Counts {
                windows,
                ..std::mem::take(&mut self.counts)
            },
            None => Counts::of(&self.series, present, lo)?,
        };
        let of = (&self.series, counts.windows.as_slice());
        counts.outstanding = Outstanding::of(of, present, lo, standing, known)?;
        self.counts = counts;
        Ok(())
    }

    /// Whether a limit is on what is outstanding, so that it matters how attempts stand.
    pub(crate) fn ask_what_is_outstanding(&self) -> bool {
        self.counts.outstanding.longest().is_some()
    }

    /// The charges of a set that are kept, newest first.
    pub(crate) fn members(&self, set: AttemptId) -> Result<Vec<Arc<Charge>>, ChargesError> {
        let members = self.series.members(set, self.series.first())?;
        Ok(members.into_iter().map(|(_, charge)| charge).collect())
    }

    /// The charge that was added last.
    pub(crate) fn newest(&self) -> Option<Arc<Charge>> {
        self.series.newest()
    }

    /// Takes how the attempts of a set stand.
    pub(crate) fn settle(
        &mut self,
        present: &Present,
        set: AttemptId,
        members: &[Member],
        lo: Time,
    ) {
        let windows = (self.counts.windows.as_slice(), present);
        self.counts.outstanding.settle(windows, set, members, lo);
    }

    /// As [`Windows::forget_counts`], where an attempt stands otherwise than what was restored says.
    pub(crate) fn forget_outstanding(&mut self) {
        if self.restored.as_ref().is_some_and(|one| one.sets.is_some()) {
            self.forget_counts();
        }
    }

    /// What was restored counts for nothing: an entry changed what it is counted from, and no policy
    /// governs yet.
    pub(crate) fn forget_counts(&mut self) {
        if self.restored.take().is_some() {
            self.counts = Counts::default();
        }
    }

    /// The use of a limit's group at `lo`, seen by a request of conflict set `set`.
    pub(crate) fn usage(
        &self,
        present: &Present,
        seen: Seen<'_>,
        lo: Time,
    ) -> Result<Usage, ChargesError> {
        match self.counts.counting(&self.series, present, seen.limit) {
            Some(counting) if counting.window.outstanding => {
                let held = Held::at(&self.counts.outstanding, &counting, seen, lo)?;
                Ok(held.usage())
            }
            Some(counting) => {
                let mut fading = Fading::of(&counting, seen);
                fading.begin(lo)?;
                Ok(fading.usage())
            }
            None => Ok(Usage::default()),
        }
    }

    /// When at the earliest a request of so much has room under a cap, by `lo`, whatever anybody says; `None`
    /// where that is not known.
    pub(crate) fn room_returns(
        &self,
        present: &Present,
        seen: Seen<'_>,
        lo: Time,
        (asked, cap): (Amount, Amount),
    ) -> Result<Option<Time>, ChargesError> {
        match self.counts.counting(&self.series, present, seen.limit) {
            Some(counting) if counting.window.outstanding => {
                let held = Held::at(&self.counts.outstanding, &counting, seen, lo)?;
                Ok(held.room_returns(asked, cap))
            }
            Some(counting) => {
                let mut fading = Fading::of(&counting, seen);
                fading.begin(lo)?;
                fading.room_returns(asked, cap)
            }
            None => Ok(None),
        }
    }

    /// Every group that a limit holds something of at `lo`. Where it counts destinations apart, its
    /// whole window is read.
    pub(crate) fn groups(
        &self,
        present: &Present,
        limit: usize,
        lo: Time,
    ) -> Result<BTreeSet<GroupKey>, ChargesError> {
        match self.counts.counting(&self.series, present, limit) {
            Some(counting) if counting.window.outstanding => {
                Ok(self.counts.outstanding.groups(limit, lo))
            }
            Some(counting) => counting.groups(lo),
            None => Ok(BTreeSet::new()),
        }
    }
}

impl Counts {
    /// Nothing, for limits whose windows begin where they do at `lo`.
    fn begun(series: &Series, present: &Present, lo: Time) -> Result<Self, ChargesError> {
        let begun = |limit: &Statement<Limit>| {
            let mut window = Window::new(&limit.says);
            if window.outstanding {
                return Ok(window);
            }
            window.place = series.first_in(window.window_millis, lo)?;
            if window.by_destination {
                window.link = series.link_of(window.place)?;
            }
            Ok(window)
        };
        let windows = present.policy.limits.iter().map(begun);
        let mut counts = Self {
            windows: windows.collect::<Result<_, _>>()?,
            ..Self::default()
        };
        counts.destinations = counts.first_link().map(Destinations::new);
        Ok(counts)
    }

    /// What the series holds at `lo`.
    fn of(series: &Series, present: &Present, lo: Time) -> Result<Self, ChargesError> {
        let mut counts = Self::begun(series, present, lo)?;
        let first_linked = counts.by_destination().map(|window| window.place).min();
        let windows = counts.windows.iter();
        let windows = windows.filter(|window| !window.outstanding);
        let Some(mut place) = windows.map(|window| window.place).min() else {
            return Ok(counts);
        };
        while place < series.end() {
            for charge in series.charges_from(place)? {
                counts.enter(series, present, (place, &charge))?;
                if first_linked.is_some_and(|first| place >= first) {
                    counts.link(&series.links_of(place, &charge));
                }
                place = place.saturating_add(1);
            }
        }
        Ok(counts)
    }

    fn by_destination(&self) -> impl Iterator<Item = &Window> {
        self.windows.iter().filter(|window| window.by_destination)
    }

    fn first_link(&self) -> Option<u64> {
        self.by_destination().map(|window| window.link).min()
    }

    fn counting<'a>(
        &'a self,
        series: &'a Series,
        present: &'a Present,
        limit: usize,
    ) -> Option<Counting<'a>> {
        Some(Counting {
            series,
            destinations: self.destinations.as_ref(),
            present,
            window: self.windows.get(limit)?,
            limit: present.policy.limits.get(limit)?,
        })
    }

    fn advance(
        &mut self,
        series: &Series,
        present: &Present,
        lo: Time,
    ) -> Result<(), ChargesError> {
        self.outstanding.advance(lo);
        for limit in 0..self.windows.len() {
            while let Some(ahead) = self.read_ahead(series, limit)?
                && self.has_left(limit, &ahead, lo)
            {
                let counting = self.counting(series, present, limit);
                let totals = counting.map(|counting| counting.left(&ahead)).transpose()?;
                if let Some(window) = self.windows.get_mut(limit) {
                    window.set(totals.unwrap_or_default());
                    window.step(&ahead);
                }
            }
        }
        if let (Some(first), Some(destinations)) = (self.first_link(), &mut self.destinations) {
            destinations.advance(first);
        }
        Ok(())
    }

    /// The charge that leaves a limit's window next.
    fn read_ahead(
        &mut self,
        series: &Series,
        limit: usize,
    ) -> Result<Option<Arc<Charge>>, ChargesError> {
        let window = self.windows.get_mut(limit);
        let Some(window) = window.filter(|window| !window.outstanding) else {
            return Ok(None);
        };
        if window.ahead.is_empty() {
            window.ahead = series.charges_from(window.place)?;
        }
        Ok(window.ahead.front().cloned())
    }

    fn has_left(&self, limit: usize, charge: &Charge, lo: Time) -> bool {
        let window = self.windows.get(limit);
        window.is_some_and(|window| window.has_left(charge, lo))
    }

    /// Counts a charge at its place, behind those that were counted.
    fn enter(
        &mut self,
        series: &Series,
        present: &Present,
        (place, charge): (u64, &Charge),
    ) -> Result<(), ChargesError> {
        if self.destinations.is_some() {
            for hash in charge.destination_hashes() {
                self.count_if_full(series, present, hash)?;
            }
        }
        let totals: Vec<_> = (0..self.windows.len())
            .filter_map(|limit| self.counting(series, present, limit))
            .map(|counting| counting.entered(place, charge))
            .collect::<Result<_, _>>()?;
        for (window, totals) in self.windows.iter_mut().zip(totals) {
            window.set(totals);
        }
        Ok(())
    }

    /// Gives totals to a destination that has come to have many charges.
    fn count_if_full(
        &mut self,
        series: &Series,
        present: &Present,
        hash: u64,
    ) -> Result<(), ChargesError> {
        let destinations = self.destinations.as_ref();
        if !destinations.is_some_and(|destinations| destinations.is_full(hash)) {
            return Ok(());
        }
        let totals: Vec<_> = (0..self.windows.len())
            .filter_map(|limit| self.counting(series, present, limit))
            .map(|counting| counting.summed_all(hash))
            .collect::<Result<_, _>>()?;
        for (window, totals) in self.windows.iter_mut().zip(totals) {
            window.set(totals);
        }
        if let Some(destinations) = &mut self.destinations {
            destinations.count(hash);
        }
        Ok(())
    }

    fn link(&mut self, links: &[Link]) {
        if let Some(destinations) = &mut self.destinations {
            for link in links {
                destinations.push(*link);
            }
        }
    }
}

/// The use of a limit in one group, seen by a request of one conflict set.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Usage {
    /// The use.
    pub(crate) used: Wide,
    /// What others use: all but the request's own set.
    others: Wide,
    /// The largest attempt of that set in the window.
    own: Amount,
}

impl Usage {
    /// The use once the request's set also has an attempt of `asked`.
    pub(crate) fn with(&self, asked: Amount) -> Wide {
        self.others.plus(self.own.max(asked))
    }
}

/// Whether a charge of `at` is out of the window at `lo`.
fn left(at: Time, window_millis: u64, lo: Time) -> bool {
    at.millis().saturating_add(window_millis) <= lo.millis()
}

impl Limit {
    /// The longest window: how long charges are kept.
    pub const WINDOW_MILLIS_MAX: u64 = 90 * 24 * 60 * 60 * 1000;

    /// What one effect of this amount and value in the reference currency measures.
    pub(crate) fn measured(&self, amount: Amount, value: Amount) -> Amount {
        match self.measure {
            Measure::Amount => amount,
            Measure::Count => Amount::from(1_u64),
            Measure::Reference => value,
        }
    }
}
