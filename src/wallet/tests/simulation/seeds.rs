//! Random runs: faults everywhere, in a random order. A seed gives one run:
//! `WALLETD_SIMULATION_SEED=17` runs that one alone and says what happens, and
//! `WALLETD_SIMULATION_SEEDS=100000` runs so many.

use super::{
    crash::block_on,
    family::Family,
    stepper::Order,
    world::{Scenario, World},
};

/// How many seeds a family runs, and half as many with two nodes.
const SEEDS: u64 = 200;

/// Which of the seeds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Half {
    Even = 0,
    Odd = 1,
}

fn number_of(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

/// Runs every seed in a world that is out of order.
pub fn run<F: Family>(what: &str, half: Half, build: impl Fn(&mut World<F>) -> Scenario<F>) {
    let one = number_of("WALLETD_SIMULATION_SEED");
    let seeds = number_of("WALLETD_SIMULATION_SEEDS").unwrap_or(SEEDS);
    let range = one.map_or(0..seeds, |one| one..one + 1);
    let (mut points, mut kills) = (0, 0);
    let ours = range.clone().filter(|seed| seed % 2 == half as u64);
    for seed in ours {
        let world = block_on(async {
            let mut world = World::<F>::new(seed).await;
            world.trace |= one.is_some();
            world.order = Order::Any;
            world.points.kill_every = 20 + world.random.below(200);
            world.store_fails_every = 30 + world.random.below(100);
            world.sim.lock().faults.every = 3 + world.random.below(40);
            let mut scenario = build(&mut world);
            world.run(&mut scenario).await;
            world.check().await;
            world
        });
        world.assert_sound(&format!("{what}, WALLETD_SIMULATION_SEED={seed}"));
        points += world.points.passed;
        kills += world.points.kills;
    }
    println!(
        "{what}: {half:?} seeds of {range:?}, {points} points passed, ended at {kills} of them"
    );
}
