//! Limits over rolling windows.
//!
//! The use of a limit in a group is the sum, over conflict sets, of the set's largest attempt in
//! the window (semantics: of a set at most one attempt confirms). [`Window`] holds that sum so
//! that a charge costs O(1) amortised, its leaving the window as well, and a question O(1).

mod charge;
mod fading;
mod group;
mod peaks;
mod wide;

use std::collections::{HashMap, VecDeque};

use tx::{Amount, Time};

use crate::{AttemptId, Digest, Limit, Measure};

pub(crate) use charge::{Charge, ChargeBook};
pub(crate) use fading::Fading;
pub(crate) use group::GroupKey;
pub(crate) use wide::Wide;

use peaks::Peaks;

/// One limit's window.
#[derive(Clone, Debug)]
pub(crate) struct Window {
    window_millis: u64,
    over: Option<Digest>,
    /// In the order in which they leave.
    queue: VecDeque<Entry>,
    groups: HashMap<GroupKey, Use>,
}

/// One attempt's part in a group.
#[derive(Clone, Debug)]
struct Entry {
    at: Time,
    set: AttemptId,
    group: GroupKey,
}

/// What a group holds.
#[derive(Clone, Debug, Default)]
struct Use {
    /// The sum of the sets' peaks.
    total: Wide,
    sets: HashMap<AttemptId, Peaks>,
}

impl Window {
    pub(crate) fn new(limit: &Limit) -> Self {
        Self {
            window_millis: limit.window_millis,
            over: limit.over.as_ref().map(|need| need.fingerprint()),
            queue: VecDeque::new(),
            groups: HashMap::new(),
        }
    }

    /// Whether an attempt that these needs carried does not count here.
    pub(crate) fn passes_over(&self, carried: &[Digest]) -> bool {
        self.over.is_some_and(|over| carried.contains(&over))
    }

    /// Counts `amount` for an attempt of `set` at `at`, which is not before any earlier one.
    pub(crate) fn add(&mut self, at: Time, set: AttemptId, group: GroupKey, amount: Amount) {
        if amount.is_zero() {
            return;
        }
        let group_use = self.groups.entry(group.clone()).or_default();
        let peaks = group_use.sets.entry(set).or_default();
        let before = peaks.largest();
        peaks.push(at, amount);
        let after = peaks.largest();
        group_use.total = group_use.total.minus(before).plus(after);
        self.queue.push_back(Entry { at, set, group });
    }

    /// Drops what is no longer in the window at `lo`: a charge counts while it was made after
    /// `lo` − window.
    pub(crate) fn advance(&mut self, lo: Time) {
        while let Some(entry) = self
            .queue
            .pop_front_if(|entry| left(entry.at, self.window_millis, lo))
        {
            let Some(group_use) = self.groups.get_mut(&entry.group) else {
                continue;
            };
            let Some(peaks) = group_use.sets.get_mut(&entry.set) else {
                continue;
            };
            let before = peaks.largest();
            peaks.expire(entry.at);
            let after = peaks.largest();
            if peaks.is_empty() {
                group_use.sets.remove(&entry.set);
            }
            group_use.total = group_use.total.minus(before).plus(after);
            if group_use.sets.is_empty() {
                self.groups.remove(&entry.group);
            }
        }
    }

    /// The use of `group` at `lo`, seen by a request of conflict set `set`.
    pub(crate) fn fading(&self, group: &GroupKey, set: Option<AttemptId>, lo: Time) -> Fading<'_> {
        let mut fading = Fading::new(self.groups.get(group), set);
        for entry in &self.queue {
            if !left(entry.at, self.window_millis, lo) {
                break;
            }
            if entry.group == *group {
                fading.expire(entry.at, entry.set);
            }
        }
        fading
    }

    /// When at the earliest a request of `asked` has room under `cap` in `group`, by `lo`. `None`
    /// when it never has, or when more charges than are looked at have to leave first.
    pub(crate) fn room_returns(
        &self,
        group: &GroupKey,
        set: Option<AttemptId>,
        asked: Amount,
        cap: Amount,
    ) -> Option<Time> {
        const LOOKED_AT_MAX: usize = 1_000;
        let mut fading = Fading::new(self.groups.get(group), set);
        for entry in self.queue.iter().take(LOOKED_AT_MAX) {
            if entry.group != *group {
                continue;
            }
            fading.expire(entry.at, entry.set);
            if fading
                .with(asked)
                .to_amount()
                .is_some_and(|with| with <= cap)
            {
                return Some(entry.at.after_millis(self.window_millis));
            }
        }
        None
    }

    /// Every group in use.
    pub(crate) fn groups(&self) -> impl Iterator<Item = &GroupKey> {
        self.groups.keys()
    }
}

/// Whether a charge of `at` is out of the window at `lo`.
fn left(at: Time, window_millis: u64, lo: Time) -> bool {
    at.millis().saturating_add(window_millis) <= lo.millis()
}

impl Limit {
    /// The longest window: how long charges are kept.
    pub const WINDOW_MILLIS_MAX: u64 = 90 * 24 * 60 * 60 * 1000;

    /// What one effect of this amount measures.
    pub(crate) fn measured(&self, amount: Amount) -> Amount {
        match self.measure {
            Measure::Amount => amount,
            Measure::Count => Amount::from(1_u64),
        }
    }
}
