//! A world in memory for the core: chains, nodes and a signer that go wrong on purpose, a clock
//! that jumps, and a stepper that owns the order in which everything happens and can end the
//! coordinator at every durable write and every external effect. One seed gives one run.

pub mod book;
pub mod check;
pub mod coin_chain;
pub mod evm_chain;
pub mod families;
pub mod family;
pub mod mutant;
pub mod node;
pub mod random;
pub mod signer;
pub mod stepper;
pub mod world;
pub mod wrapped;

pub mod crash;
mod liars;
mod scenarios;
mod seeds;
