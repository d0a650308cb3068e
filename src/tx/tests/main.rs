//! The crate through its public doors, chain by chain.

mod utxo;
