//! Crash everywhere: the coordinator ends at every point of a scenario, and at every pair of points,
//! and begins again; each time the chain shows exactly one payment for each withdrawal.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Instant,
};

use super::{
    family::Family,
    world::{Scenario, World},
};

/// What was explored.
#[derive(Clone, Copy, Debug, Default)]
pub struct Explored {
    /// Points at which the process ended.
    pub points: u64,
    /// Pairs of points at which it ended.
    pub pairs: u64,
    /// Different states that these left behind; each was gone on from.
    pub states: u64,
}

/// One run with the process ending at these points: what was left behind at each point after them.
async fn run<F: Family>(
    build: &impl Fn(&mut World<F>) -> Scenario<F>,
    kill_at: BTreeSet<u64>,
    what: &str,
    watched: bool,
) -> Vec<(u64, [u8; 32])> {
    let mut world = World::<F>::new(1).await;
    let mut scenario = build(&mut world);
    let planned = kill_at.len() as u64;
    let last = kill_at.last().copied().unwrap_or(0);
    world.points.kill_at = kill_at;
    world.points.watched = watched;
    world.run(&mut scenario).await;
    world.check().await;
    world.assert_sound(what);
    assert_eq!(
        world.points.kills, planned,
        "{what}: not every end took place"
    );
    let states = (1..).zip(world.points.states);
    states.filter(|(point, _)| *point > last).collect()
}

/// Ends the process at every point and, if asked for, at every pair of points.
///
/// Points that leave the same behind, in the store, at the signer, on the chain, in time and in what
/// is still to happen, are one: of those one is gone on from.
pub async fn everywhere<F: Family>(
    what: &str,
    pairs: Pairs,
    build: impl Fn(&mut World<F>) -> Scenario<F>,
) -> Explored {
    let began = Instant::now();
    let mut explored = Explored::default();
    // By what was left behind: how many points come behind it.
    let (mut firsts, mut seconds) = (BTreeMap::new(), BTreeSet::new());
    let twice = pairs == Pairs::All;
    for (first, state) in run(&build, BTreeSet::new(), what, true).await {
        explored.points += 1;
        if let Some(behind) = firsts.get(&state) {
            explored.pairs += behind;
            continue;
        }
        let points = run(&build, BTreeSet::from([first]), what, twice).await;
        let behind = points.len() as u64;
        firsts.insert(state, behind);
        explored.pairs += behind;
        for (second, state) in points {
            if seconds.insert(state) {
                run(&build, BTreeSet::from([first, second]), what, false).await;
            }
        }
    }
    explored.states = (firsts.len() + seconds.len()) as u64;
    let Explored {
        points,
        pairs,
        states,
    } = explored;
    let took = began.elapsed();
    println!("{what}: ended at {points} points and {pairs} pairs, {states} states, in {took:?}");
    explored
}

/// Whether two ends are tried too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pairs {
    All,
    None,
}

/// Runs something on a runtime of one thread.
pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.unwrap().block_on(future)
}
