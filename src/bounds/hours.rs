//! When a sequence may begin, where the hours of the week matter.

use std::collections::BTreeSet;

use tx::Name;

use crate::{model::Model, question::Ground};

const MINUTE_MILLIS: u64 = 60_000;
const WEEK_MINUTES: u64 = 7 * 24 * 60;

/// A beginning, and from when on which hours of the model are open after it.
#[derive(Clone, Debug)]
pub(crate) struct Start {
    /// In milliseconds after the ground's time.
    pub(crate) at: u64,
    pub(crate) hours: Vec<(u64, usize)>,
}

/// The beginnings that are tried: the ground's time, and each time in a week when hours open or close.
pub(crate) fn starts(ground: &Ground<'_>, model: &Model, span_millis: u64) -> Vec<Start> {
    if model.hours.len() < 2 {
        return vec![Start {
            at: 0,
            hours: vec![(0, 0)],
        }];
    }
    let minutes = WEEK_MINUTES + span_millis.div_ceil(MINUTE_MILLIS);
    let named: BTreeSet<&Name> = model.hours.iter().flatten().collect();
    let mut edges: Vec<(u64, usize)> = Vec::new();
    for minute in 0..minutes {
        let at = minute * MINUTE_MILLIS;
        let open = ground.open_at(ground.from.after_millis(at));
        let open = open
            .into_iter()
            .filter(|name| named.contains(name))
            .collect();
        let way = model
            .hours
            .iter()
            .position(|one: &BTreeSet<Name>| *one == open);
        let way = way.unwrap_or(0);
        if edges.last().is_none_or(|(_, last)| *last != way) {
            edges.push((at, way));
        }
    }
    let within = edges
        .iter()
        .filter(|(at, _)| *at < WEEK_MINUTES * MINUTE_MILLIS);
    let start = |(at, way): &(u64, usize)| {
        let later = edges.iter().filter(|(edge, _)| edge > at);
        let later = later.map(|(edge, way)| (edge - at, *way));
        Start {
            at: *at,
            hours: [(0, *way)].into_iter().chain(later).collect(),
        }
    };
    within.map(start).collect()
}
