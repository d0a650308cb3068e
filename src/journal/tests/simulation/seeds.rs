//! Random runs, a million steps of them.

use super::{
    random::Random,
    world::{Ended, Tally, World},
};

/// How many steps every test run takes.
const STEPS: u64 = 1_000_000;

fn number_of(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

/// How long the run of a seed is.
fn length(seed: u64) -> u64 {
    Random::new(!seed).between(100, 700)
}

/// Says which seed it was, should a run panic.
struct Announced(u64);

impl Drop for Announced {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("STRONGROOM_SIMULATION_SEED={}", self.0);
        }
    }
}

pub fn run(seed: u64, tells: bool) -> Ended {
    let _announced = Announced(seed);
    let mut world = World::new(seed);
    world.trace.is_shown = tells;
    world.run(length(seed))
}

pub fn shown(trace: [u8; 32]) -> String {
    hex::encode(&trace[..8])
}

#[test]
fn whatever_goes_wrong_the_invariants_hold() {
    let one = number_of("STRONGROOM_SIMULATION_SEED");
    let steps = number_of("STRONGROOM_SIMULATION_STEPS").unwrap_or(STEPS);
    let first = one
        .or(number_of("STRONGROOM_SIMULATION_FIRST"))
        .unwrap_or(0);
    let mut all = Tally::default();
    let mut traces = 0_u64;
    for seed in first.. {
        let ended = run(seed, one.is_some());
        let trace = shown(ended.trace);
        if let Err(violation) = &ended.outcome {
            panic!("STRONGROOM_SIMULATION_SEED={seed} trace {trace}: {violation:?}");
        }
        traces ^= u64::from_be_bytes(ended.trace[..8].try_into().unwrap());
        all = all.and(&ended.tally);
        if one.is_some() || all.steps >= steps {
            println!("seeds {first}..={seed}, traces {traces:016x}, {all:?}");
            break;
        }
    }
    // Everything happened often, else nothing was tried.
    if one.is_none() {
        let each = [
            all.released,
            all.thawed,
            all.power_losses,
            all.faults,
            all.sealed,
            all.copies,
            all.jumps,
            all.pruned,
        ];
        assert!(each.iter().all(|times| *times > 100), "{all:?}");
        assert!(all.scrubbed > 10, "{all:?}");
    }
}

#[test]
fn the_same_seed_gives_the_same_run() {
    for seed in 0..40 {
        let (one, other) = (run(seed, false), run(seed, false));
        assert_eq!(shown(one.trace), shown(other.trace), "seed {seed}");
    }
}

impl Tally {
    fn and(mut self, other: &Self) -> Self {
        let Self {
            steps,
            turns,
            charged,
            released,
            crashes,
            power_losses,
            starts,
            thawed,
            faults,
            rotten,
            scrubbed,
            sealed,
            copies,
            jumps,
            pruned,
        } = other;
        self.steps += steps;
        self.turns += turns;
        self.charged += charged;
        self.released += released;
        self.crashes += crashes;
        self.power_losses += power_losses;
        self.starts += starts;
        self.thawed += thawed;
        self.faults += faults;
        self.rotten += rotten;
        self.scrubbed += scrubbed;
        self.sealed += sealed;
        self.copies += copies;
        self.jumps += jumps;
        self.pruned += pruned;
        self
    }
}
