//! Time: how much leaves in a span in which windows roll.
//!
//! A charge of `at` is in a window of length `w` at `lo` while `at > lo − w`: a window is half-open, as the
//! span is. From three sides:
//!
//! * **At most** what leaves in a part of the span and in the rest of it, each of which has as many whole
//!   windows of every limit as cover it ([`Span::at_most`]).
//! * **At least** what is asked for as soon as there is room, time after time ([`Span::planned`]). For one
//!   kind of thing nothing is better: what was asked for by any time is then the most that can have been.
//! * Where the two differ, **all times** at which anything need be asked for, in one program
//!   ([`Span::decided`]): any sequence can be moved forward until each request waits for one that leaves a
//!   window, so that all its times are sums of windows.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

use num_bigint::BigInt;
use num_traits::Zero;

use crate::{
    draft::{Asked, Draft},
    model::{Model, leaves_at},
    program::Optimum,
};

/// How many parts of one program are looked at.
const PARTS_MAX: usize = 3_000;
/// How many different lengths a span is parted into.
const LENGTHS_MAX: usize = 800;
/// How many times a plan has.
const TIMES_MAX: usize = 20_000;
/// The largest program over all times: its numbers, and its times.
const ENTRIES_MAX: usize = 150_000;
const SLOTS_MAX: usize = 64;

/// What is asked for at which time.
pub(crate) type Plan = Vec<(u64, Asked)>;

/// A span of a model.
pub(crate) struct Span<'m> {
    model: &'m Model,
    millis: u64,
    /// From which times on which hours of the model are open, in a sequence that begins at 0; the first is
    /// at 0.
    hours: &'m [(u64, usize)],
}

/// A number, or that there is none.
type Most = Option<BigInt>;

impl<'m> Span<'m> {
    pub(crate) fn new(model: &'m Model, millis: u64, hours: &'m [(u64, usize)]) -> Self {
        Self {
            model,
            millis,
            hours,
        }
    }

    fn windows(&self) -> BTreeSet<u64> {
        self.model
            .cells
            .iter()
            .map(|cell| cell.window_millis)
            .collect()
    }

    /// A number that nothing exceeds, whatever the hour.
    pub(crate) fn at_most(&self) -> Most {
        let mut known = HashMap::new();
        self.at_most_in(self.millis, &mut known)
    }

    fn at_most_in(&self, millis: u64, known: &mut HashMap<u64, Most>) -> Most {
        if millis == 0 {
            return Some(BigInt::zero());
        }
        if let Some(most) = known.get(&millis) {
            return most.clone();
        }
        let mut most = self.covered(millis);
        known.insert(millis, most.clone());
        for window in self
            .windows()
            .into_iter()
            .rev()
            .filter(|window| *window < millis)
        {
            if known.len() >= LENGTHS_MAX {
                break;
            }
            let parts = self
                .at_most_in(millis - window, known)
                .zip(self.at_most_in(window, known));
            if let Some(both) = parts.map(|(rest, one)| rest + one) {
                most = Some(most.map_or(both.clone(), |most| most.min(both)));
            }
        }
        known.insert(millis, most.clone());
        most
    }

    /// What leaves where each cell is as often full as it has windows that cover the time.
    fn covered(&self, millis: u64) -> Most {
        let mut draft = Draft::new(self.model);
        draft.add(None);
        draft.hold(|cell| {
            let cell = self.model.cells.get(cell);
            let full = cell.map(|cell| &cell.cap * millis.div_ceil(cell.window_millis.max(1)));
            full.unwrap_or_default()
        });
        match draft.solve(PARTS_MAX) {
            Optimum::Unbounded => None,
            Optimum::At(most, _) | Optimum::Between(most, _, _) => Some(most),
        }
    }

    /// The hours of the model at a time, and until when they are so.
    fn way(&self, at: u64) -> (usize, u64) {
        let behind = self.hours.partition_point(|(from, _)| *from <= at);
        let way = behind
            .checked_sub(1)
            .and_then(|place| self.hours.get(place));
        let until = self.hours.get(behind).map_or(u64::MAX, |(from, _)| *from);
        (way.map_or(0, |(_, way)| *way), until)
    }

    /// As much as there is room for, as soon as there is.
    pub(crate) fn planned(&self) -> Plan {
        let mut rooms = Rooms::new(self.model);
        let mut solved: HashMap<(usize, Vec<BigInt>), Asked> = HashMap::new();
        let mut plan = Plan::new();
        let mut at = 0;
        for _ in 0..TIMES_MAX {
            rooms.advance(at);
            let (way, until) = self.way(at);
            let room = rooms.room();
            let asked = solved.entry((way, room.clone()));
            let asked = asked.or_insert_with(|| self.soonest(way, &room)).clone();
            if !asked.is_nothing() {
                rooms.take(at, &asked);
                plan.push((at, asked));
            }
            at = rooms.next().unwrap_or(u64::MAX).min(until);
            if at >= self.millis {
                break;
            }
        }
        plan
    }

    fn soonest(&self, way: usize, room: &[BigInt]) -> Asked {
        let mut draft = Draft::new(self.model);
        draft.add(Some(way));
        draft.hold(|cell| room.get(cell).cloned().unwrap_or_default());
        let values = match draft.solve(PARTS_MAX) {
            Optimum::Unbounded => return Asked::default(),
            Optimum::At(_, values) | Optimum::Between(_, _, values) => values,
        };
        draft.asked(&values).pop().unwrap_or_default()
    }

    /// The most over all times at which anything need be asked for, where these are few: what bounds it, and
    /// a plan.
    pub(crate) fn decided(&self) -> Option<(BigInt, Plan)> {
        let times: Vec<u64> = self.times()?.into_iter().collect();
        let mut draft = Draft::new(self.model);
        for at in &times {
            draft.add(Some(self.way(*at).0));
        }
        draft.hold_windows(&times);
        if draft.entries() > ENTRIES_MAX {
            return None;
        }
        let (most, values) = match draft.solve(PARTS_MAX) {
            Optimum::Unbounded => return None,
            Optimum::At(most, values) | Optimum::Between(most, _, values) => (most, values),
        };
        let plan = times.into_iter().zip(draft.asked(&values));
        Some((
            most,
            plan.filter(|(_, asked)| !asked.is_nothing()).collect(),
        ))
    }

    /// Every sum of windows in the span; `None` where there are too many, or where the hours matter.
    fn times(&self) -> Option<BTreeSet<u64>> {
        if self.hours.len() > 1 {
            return None;
        }
        let windows = self.windows();
        let mut times = BTreeSet::new();
        let mut open = VecDeque::from([0]);
        while let Some(at) = open.pop_front() {
            if at >= self.millis || !times.insert(at) {
                continue;
            }
            if times.len() > SLOTS_MAX {
                return None;
            }
            open.extend(windows.iter().map(|window| at + window));
        }
        Some(times)
    }
}

/// What is in the windows of each cell.
struct Rooms<'m> {
    model: &'m Model,
    used: Vec<VecDeque<(u64, BigInt)>>,
    sums: Vec<BigInt>,
}

impl<'m> Rooms<'m> {
    fn new(model: &'m Model) -> Self {
        Self {
            model,
            used: vec![VecDeque::new(); model.cells.len()],
            sums: vec![BigInt::zero(); model.cells.len()],
        }
    }

    /// Lets go of what has left its window.
    fn advance(&mut self, to: u64) {
        let cells = self
            .model
            .cells
            .iter()
            .zip(&mut self.used)
            .zip(&mut self.sums);
        for ((cell, used), sum) in cells {
            while let Some((at, _)) = used.front()
                && leaves_at(cell, *at) <= to
            {
                *sum -= used.pop_front().map(|(_, taken)| taken).unwrap_or_default();
            }
        }
    }

    fn room(&self) -> Vec<BigInt> {
        let cells = self.model.cells.iter().zip(&self.sums);
        cells.map(|(cell, sum)| &cell.cap - sum).collect()
    }

    fn take(&mut self, at: u64, asked: &Asked) {
        let mut takes: BTreeMap<usize, BigInt> = asked.takes(self.model);
        takes.retain(|_, taken| !taken.is_zero());
        for (cell, taken) in takes {
            if let (Some(used), Some(sum)) = (self.used.get_mut(cell), self.sums.get_mut(cell)) {
                *sum += &taken;
                used.push_back((at, taken));
            }
        }
    }

    /// When something leaves a window next.
    fn next(&self) -> Option<u64> {
        let cells = self.model.cells.iter().zip(&self.used);
        let next = cells.filter_map(|(cell, used)| Some(leaves_at(cell, used.front()?.0)));
        next.min()
    }
}
