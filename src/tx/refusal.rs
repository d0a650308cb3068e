//! Why a transaction is not signed: it was not understood.

use thiserror::Error;

use crate::{evm, utxo};

/// Why a transaction was not understood.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Refusal {
    /// An EVM transaction.
    #[error("the EVM transaction is refused")]
    Evm(#[source] evm::Refusal),
    /// A Bitcoin-like transaction.
    #[error("the PSBT is refused")]
    Utxo(#[source] utxo::Refusal),
}

impl Refusal {
    /// The stable name of the reason, such as `evm-calldata-unknown`: for ever, and listed in
    /// `SECURITY.md`.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Evm(refusal) => refusal.code(),
            Self::Utxo(refusal) => refusal.code(),
        }
    }
}
