//! The client against nodes that misbehave.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::unwrap_used
)]

mod batches;
mod calls;
mod connections;
mod hostile;
mod server;
