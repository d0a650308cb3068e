//! The lane of a UTXO account, on a small chain with a small signer.

mod chain;
mod property;
mod rules;
mod signer;
mod world;
