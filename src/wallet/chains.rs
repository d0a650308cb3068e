//! One folder for each family of chains, each with the same files: the lane, what it asks, how it
//! builds.

pub mod common;
pub mod evm;
pub mod utxo;
