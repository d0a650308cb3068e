//! The public API of `journal`.

#![allow(
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a panic in a test is a failed test"
)]

// The name by which the shared fixture knows the crate.
extern crate policy as strongroom_policy;

mod bounds;
mod bundles;
mod charges;
mod checkpoints;
mod crash;
mod credits;
mod epoch;
#[allow(
    dead_code,
    reason = "the fixture of the policy's own tests, which use all of it"
)]
#[path = "../../policy/tests/fixture.rs"]
mod fixture;
mod gate;
#[allow(
    dead_code,
    clippy::unreachable,
    reason = "the coordinator of the policy's own tests, which use all of it"
)]
#[path = "../../policy/tests/hostile.rs"]
mod hostile;
mod machine;
mod map;
mod map_of_rows;
#[allow(dead_code, reason = "the simulation uses the rest")]
mod memory_disk;
mod opening;
mod pruned;
mod pruning;
mod race;
mod refusals;
mod repeated_r;
mod requests;
mod roots;
mod scrubbing;
mod segment;
mod snapshots;
mod stops;
mod unseal;
