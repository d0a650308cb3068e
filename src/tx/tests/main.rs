//! The crate through its public doors, chain by chain.
// What `clippy.toml` allows in tests ends at `#[test]` functions; here everything is a test.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::string_slice,
    clippy::unwrap_used
)]

mod evm;
mod utxo;
