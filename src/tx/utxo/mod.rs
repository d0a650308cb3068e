//! Bitcoin-like chains.

pub mod address;
mod script;

use crate::{Chain, Decoded, EcdsaSignature, Registry, SignedTransaction};

/// An unsigned transaction, kept for assembly.
#[derive(Debug)]
pub(crate) struct Unsigned {}

/// Why an PSBT is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[error("refused")]
pub enum Refusal {}

impl Refusal {
    /// The stable name of the reason.
    pub fn code(&self) -> &'static str {
        match *self {}
    }
}

pub(crate) fn decode(
    _: Chain,
    _psbt: &str,
    _: &Registry,
    _: crate::ChainRules,
) -> Result<Decoded, Refusal> {
    todo!()
}

pub(crate) fn assemble(_: Unsigned, _: &[EcdsaSignature]) -> Result<SignedTransaction, Refusal> {
    todo!()
}
