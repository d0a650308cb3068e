//! Limits on what is outstanding: of the sets with a charge in the window, those that are not settled.
//!
//! A set is settled while one of its attempts is final, or all of them are dead. Sets that are, and stay so
//! unless somebody says something, are not here: what is kept grows with what is outstanding, and not with
//! what was signed. What a set counts changes by itself at times that are known before, when a charge leaves a
//! window or what was never signed can no longer be; until such a time has come, a total stands.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use tx::{Amount, Time};

use super::{
    Charge, ChargesError, GroupKey, Seen, Usage, Wide, Window, counting::Counting, left,
    series::Series,
};
use crate::{
    AttemptId, Limit,
    state::{Present, Standing},
};

/// An attempt of a set: its charge, and how it stands by what attesters say.
#[derive(Clone, Debug)]
pub(crate) struct Member {
    pub(crate) charge: Arc<Charge>,
    pub(crate) standing: Standing,
}

/// What the limits on what is outstanding hold.
#[derive(Clone, Debug, Default)]
pub(super) struct Outstanding {
    /// The windows' lengths by the limits' places, `None` of other limits; nothing where all are others.
    windows: Vec<Option<u64>>,
    /// Those that are not settled, and those that will not be without anybody saying anything.
    sets: BTreeMap<AttemptId, Set>,
    /// The sums of what sets count, by the limits' places; none that is 0.
    totals: Vec<HashMap<GroupKey, Wide>>,
    /// When what a set counts changes next.
    due: BTreeSet<(Time, AttemptId)>,
}

/// What a limit, by its place, counts in a group.
type Counted = (usize, GroupKey, Amount);

#[derive(Clone, Debug, Default)]
struct Set {
    members: Vec<Measured>,
    /// What of it is in the totals.
    counted: Vec<Counted>,
    due: Option<Time>,
}

/// A member, with what it measures.
#[derive(Clone, Debug)]
struct Measured {
    at: Time,
    standing: Standing,
    measures: Vec<Counted>,
}

/// How many sets are looked at for when there is room again.
const LOOKED_AT_MAX: usize = 1_000;

impl Outstanding {
    /// What is outstanding at `lo`: of these sets, or of all that have a charge in the longest window.
    pub(super) fn of(
        (series, windows): (&Series, &[Window]),
        present: &Present,
        lo: Time,
        standing: &dyn Fn(AttemptId) -> Result<Standing, ChargesError>,
        known: Option<Vec<AttemptId>>,
    ) -> Result<Self, ChargesError> {
        let mut all = Self::begun(windows);
        let Some(longest) = all.longest() else {
            return Ok(all);
        };
        let mut settle = |set: AttemptId| {
            let members = series.members(set, series.first())?.into_iter();
            let member = |(_, charge): (u64, Arc<Charge>)| {
                let standing = standing(charge.id)?;
                Ok(Member { charge, standing })
            };
            let members: Vec<Member> = members.map(member).collect::<Result<_, _>>()?;
            all.settle((windows, present), set, &members, lo);
            Ok(())
        };
        match known {
            Some(known) => known.into_iter().try_for_each(settle)?,
            None => each_set(series, series.first_in(longest, lo)?, &mut settle)?,
        }
        Ok(all)
    }

    fn begun(windows: &[Window]) -> Self {
        let asks = windows.iter().any(|window| window.outstanding);
        let length = |window: &Window| window.outstanding.then_some(window.window_millis);
        let lengths = windows.iter().filter(|_| asks).map(length);
        Self {
            windows: lengths.collect(),
            totals: vec![HashMap::new(); windows.len()],
            ..Self::default()
        }
    }

    /// The longest of the windows, where there is any.
    pub(super) fn longest(&self) -> Option<u64> {
        self.windows.iter().copied().flatten().max()
    }

    /// The sets that all the others follow from, as of the last [`Outstanding::advance`].
    pub(super) fn sets(&self) -> Vec<AttemptId> {
        self.sets.keys().copied().collect()
    }

    /// Takes how the attempts of a set stand, all that are kept.
    pub(super) fn settle(
        &mut self,
        (windows, present): (&[Window], &Present),
        set: AttemptId,
        members: &[Member],
        lo: Time,
    ) {
        let measured = |member: &Member| Measured {
            at: member.charge.at,
            standing: member.standing,
            measures: measures(windows, present, &member.charge),
        };
        let mut known = self.sets.remove(&set).unwrap_or_default();
        known.members = members.iter().map(measured).collect();
        self.count(set, known, lo);
    }

    /// Lets go of what counts no longer at `lo`.
    pub(super) fn advance(&mut self, lo: Time) {
        while self.due.first().is_some_and(|(due, _)| *due <= lo)
            && let Some((_, id)) = self.due.pop_first()
        {
            if let Some(set) = self.sets.remove(&id) {
                self.count(id, set, lo);
            }
        }
    }

    /// Counts a set anew, which is not among the others.
    fn count(&mut self, id: AttemptId, mut set: Set, lo: Time) {
        if let Some(due) = set.due.take() {
            self.due.remove(&(due, id));
        }
        for (limit, group, amount) in std::mem::take(&mut set.counted) {
            self.change(limit, group, |total| total.minus(amount));
        }
        if !set.counts_from(&self.windows, lo) {
            return;
        }
        set.counted = set.counts_at(&self.windows, lo);
        for (limit, group, amount) in &set.counted {
            self.change(*limit, group.clone(), |total| total.plus(*amount));
        }
        set.due = set.changes_after(&self.windows, lo);
        self.due.extend(set.due.map(|due| (due, id)));
        self.sets.insert(id, set);
    }

    fn change(&mut self, limit: usize, group: GroupKey, by: impl FnOnce(Wide) -> Wide) {
        let Some(totals) = self.totals.get_mut(limit) else {
            return;
        };
        let total = by(totals.get(&group).copied().unwrap_or_default());
        match total.is_zero() {
            true => totals.remove(&group),
            false => totals.insert(group, total),
        };
    }

    /// The sets that count otherwise at `lo` than in the totals.
    fn changed(&self, lo: Time) -> impl Iterator<Item = &Set> {
        let due = self.due.range(..=(lo, AttemptId(u64::MAX)));
        due.filter_map(|(_, set)| self.sets.get(set))
    }

    /// What is outstanding in a group.
    fn total(&self, (limit, group): (usize, &GroupKey), lo: Time) -> Wide {
        let total = self.totals.get(limit).and_then(|all| all.get(group));
        let mut total = total.copied().unwrap_or_default();
        for set in self.changed(lo) {
            let before = set.counted.iter();
            let before = before.filter(|(of, which, _)| (*of, which) == (limit, group));
            let before = before.map(|(_, _, amount)| *amount).max();
            total = total.minus(before.unwrap_or_default());
            total = total.plus(set.counts((limit, group), &self.windows, lo));
        }
        total
    }

    /// Every group in which something is outstanding.
    pub(super) fn groups(&self, limit: usize, lo: Time) -> BTreeSet<GroupKey> {
        let all = self.totals.get(limit).into_iter().flatten();
        let all = all.map(|(group, _)| group);
        let some = all.filter(|group| !self.total((limit, group), lo).is_zero());
        some.cloned().collect()
    }
}

/// Every set with a charge from a place on, once.
fn each_set(
    series: &Series,
    mut place: u64,
    take: &mut dyn FnMut(AttemptId) -> Result<(), ChargesError>,
) -> Result<(), ChargesError> {
    while place < series.end() {
        for charge in series.charges_from(place)? {
            let newest = series.newest_of(charge.set);
            if newest.is_none_or(|newest| newest == place) {
                take(charge.set)?;
            }
            place = place.saturating_add(1);
        }
    }
    Ok(())
}

/// What a charge measures in limits on what is outstanding.
fn measures(windows: &[Window], present: &Present, charge: &Charge) -> Vec<Counted> {
    let limits = windows.iter().zip(&present.policy.limits).enumerate();
    let asking = limits.filter(|(_, (window, _))| window.outstanding);
    let measured = asking.flat_map(|(place, (window, limit))| {
        let measures = window.measures(limit, present, charge).into_iter();
        measures.map(move |(group, amount)| (place, group, amount))
    });
    measured.collect()
}

impl Set {
    /// Whether one of its attempts is final, or all of them are dead: of those that can be in any window.
    fn is_settled(&self, lo: Time) -> bool {
        let members = self.members.iter();
        let mut kept = members.filter(|one| !left(one.at, Limit::WINDOW_MILLIS_MAX, lo));
        kept.clone().any(|one| one.standing == Standing::Final)
            || kept.all(|one| one.standing.is_dead(one.at, lo))
    }

    /// The largest of its attempts in each window, dead ones too, unless it is settled.
    fn counts_at(&self, windows: &[Option<u64>], lo: Time) -> Vec<Counted> {
        if self.is_settled(lo) {
            return Vec::new();
        }
        let mut peaks: BTreeMap<(usize, &GroupKey), Amount> = BTreeMap::new();
        for one in &self.members {
            for (limit, group, amount) in &one.measures {
                if is_within(windows, *limit, one.at, lo) {
                    let peak = peaks.entry((*limit, group)).or_default();
                    *peak = (*peak).max(*amount);
                }
            }
        }
        let peaks = peaks.into_iter();
        peaks
            .map(|((limit, group), amount)| (limit, group.clone(), amount))
            .collect()
    }

    fn counts(&self, which: (usize, &GroupKey), windows: &[Option<u64>], lo: Time) -> Amount {
        let counted = self.counts_at(windows, lo);
        let mut counted = counted.into_iter();
        let found = counted.find(|(limit, group, _)| (*limit, group) == which);
        found.map(|(_, _, amount)| amount).unwrap_or_default()
    }

    /// Whether it counts at `lo`, or will without anybody saying anything: what was settled by an attempt
    /// that is no longer kept.
    fn counts_from(&self, windows: &[Option<u64>], lo: Time) -> bool {
        let finals = self.members.iter();
        let finals = finals.filter(|one| one.standing == Standing::Final);
        let gone = finals.map(|one| one.at.after_millis(Limit::WINDOW_MILLIS_MAX));
        let mut times = gone.filter(|at| *at > lo).chain([lo]);
        times.any(|at| !self.counts_at(windows, at).is_empty())
    }

    /// When it may count otherwise.
    fn changes_after(&self, windows: &[Option<u64>], lo: Time) -> Option<Time> {
        self.changes(windows).filter(|at| *at > lo).min()
    }

    fn changes<'a>(&'a self, windows: &'a [Option<u64>]) -> impl Iterator<Item = Time> + 'a {
        let lengths = windows.iter().copied().flatten();
        let lengths: BTreeSet<u64> = lengths.chain([Limit::WINDOW_MILLIS_MAX]).collect();
        self.members.iter().flat_map(move |one| {
            let lapses = one.standing.lapses(one.at);
            let leaves = lengths.clone().into_iter();
            leaves
                .map(|millis| one.at.after_millis(millis))
                .chain(lapses)
        })
    }
}

fn is_within(windows: &[Option<u64>], limit: usize, at: Time, lo: Time) -> bool {
    let window = windows.get(limit).copied().flatten();
    window.is_some_and(|millis| !left(at, millis, lo))
}

/// What is outstanding in one group, seen by a request of one conflict set.
pub(crate) struct Held<'a> {
    outstanding: &'a Outstanding,
    seen: Seen<'a>,
    window_millis: u64,
    lo: Time,
    total: Wide,
    /// What the request's own set counts in it.
    counted: Amount,
    /// The charges of that set in the window, whether or not it is settled: a further attempt may be what
    /// confirms.
    own: Vec<(Time, Amount)>,
}

impl<'a> Held<'a> {
    pub(super) fn at(
        outstanding: &'a Outstanding,
        counting: &Counting<'a>,
        seen: Seen<'a>,
        lo: Time,
    ) -> Result<Self, ChargesError> {
        let which = (seen.limit, seen.group);
        let mut held = Self {
            outstanding,
            seen,
            window_millis: counting.window.window_millis,
            lo,
            total: outstanding.total(which, lo),
            counted: Amount::ZERO,
            own: Vec::new(),
        };
        if let Some(set) = seen.set {
            let known = outstanding.sets.get(&set);
            let counted = known.map(|set| set.counts(which, &outstanding.windows, lo));
            held.counted = counted.unwrap_or_default();
            let members = counting.series.members(set, counting.series.first())?;
            let own = members.iter();
            let own = own.map(|(_, one)| (one.at, counting.measure(one, seen.group)));
            held.own = own.collect();
        }
        Ok(held)
    }

    /// The use.
    pub(super) fn usage(&self) -> Usage {
        Usage {
            used: self.total,
            others: self.total.minus(self.counted),
            own: self.own_at(self.lo),
        }
    }

    /// The largest attempt of the request's own set in the window.
    fn own_at(&self, lo: Time) -> Amount {
        let own = self.own.iter();
        let own = own.filter(|(at, _)| !left(*at, self.window_millis, lo));
        own.map(|(_, amount)| *amount).max().unwrap_or_default()
    }

    /// When at the earliest a request of `asked` has room under `cap`, if nobody says anything. `None` when it
    /// never has, or when more sets than are looked at are outstanding.
    pub(super) fn room_returns(&self, asked: Amount, cap: Amount) -> Option<Time> {
        let (which, windows) = (
            (self.seen.limit, self.seen.group),
            &self.outstanding.windows,
        );
        let others = self.outstanding.sets.iter();
        let others = others.filter(|(id, _)| self.seen.set != Some(**id));
        let others = others.map(|(_, set)| (set, set.counts(which, windows, self.lo)));
        let others: Vec<(&Set, Amount)> = others
            .filter(|(_, amount)| !amount.is_zero())
            .take(LOOKED_AT_MAX.saturating_add(1))
            .collect();
        if others.len() > LOOKED_AT_MAX {
            return None;
        }
        let mut times: Vec<(Time, Option<usize>)> = (0..)
            .zip(&others)
            .flat_map(|(n, (set, _))| set.changes(windows).map(move |at| (at, Some(n))))
            .collect();
        let own = self.own.iter();
        times.extend(own.map(|(at, _)| (at.after_millis(self.window_millis), None)));
        times.retain(|(at, _)| *at > self.lo);
        times.sort_unstable();
        let mut counted: Vec<Amount> = others.iter().map(|(_, amount)| *amount).collect();
        let mut total = self.total.minus(self.counted);
        for (at, which_one) in times {
            if let Some(n) = which_one
                && let (Some((set, _)), Some(counted)) = (others.get(n), counted.get_mut(n))
            {
                let now = set.counts(which, windows, at);
                total = total.minus(*counted).plus(now);
                *counted = now;
            }
            let with = total.plus(self.own_at(at).max(asked)).to_amount();
            if with.is_some_and(|with| with <= cap) {
                return Some(at);
            }
        }
        None
    }
}
