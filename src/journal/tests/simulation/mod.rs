//! A world in one thread: machines with disks that fail and clocks that lie, devices, witnesses, clients
//! and a network, and a queue of events that owns the order in which everything happens. The journal in
//! it is the real one (segment log, writer, state, opening); what must hold is said in [`model`], apart
//! from it. One seed gives one run, to the bit.
//!
//! `STRONGROOM_SIMULATION_SEED=17` runs that seed alone and tells what happens;
//! `STRONGROOM_SIMULATION_STEPS=1000000000` runs so many steps;
//! `STRONGROOM_SIMULATION_FIRST=5000` begins at that seed.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unreachable,
    clippy::unwrap_used,
    reason = "a panic in a test is a failed test"
)]

mod clients;
mod clock;
mod defects;
mod device;
#[allow(
    dead_code,
    reason = "the fixture of the policy's own tests, which use all of it"
)]
#[path = "../../../policy/tests/fixture.rs"]
mod fixture;
mod joining;
mod machine;
#[allow(dead_code, reason = "other tests use the rest")]
#[path = "../memory_disk.rs"]
mod memory_disk;
mod misfortunes;
mod model;
mod pipeline;
mod random;
mod seeds;
mod turns;
mod witnesses;
mod world;

pub use random::salt;
