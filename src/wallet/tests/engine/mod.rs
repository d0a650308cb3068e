//! The engine with a store, a signer, nodes and lanes of the test's own, in one process and on a
//! clock that stands still until there is nothing to do.

mod comparison;
mod lanes;
mod memory;
mod queue;
mod scripted;
mod signer;
