//! EVM chains.

pub mod address;

use crate::{Chain, Decoded, EcdsaSignature, Registry, SignedTransaction};

/// An unsigned transaction, kept for assembly.
#[derive(Debug)]
pub(crate) struct Unsigned {}

/// Why an EVM transaction is refused.
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
    _from: &str,
    _payload: &str,
    _: &Registry,
) -> Result<Decoded, Refusal> {
    todo!()
}

pub(crate) fn assemble(_: Unsigned, _: &[EcdsaSignature]) -> Result<SignedTransaction, Refusal> {
    todo!()
}
