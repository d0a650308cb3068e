//! The lane of a UTXO account, on a small chain with a small signer.

mod asking;
mod chain;
mod following;
mod payouts;
mod property;
mod sending;
mod signer;
mod world;
