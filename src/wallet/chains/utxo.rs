//! UTXO chains.
