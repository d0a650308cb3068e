//! The crate through its public doors, chain by chain.

mod evm;
mod utxo;
