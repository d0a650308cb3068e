//! The two doors: bytes to [`Decoded`], and signatures to [`SignedTransaction`].

use serde::{Deserialize, Serialize};

use crate::{
    Chain, Decoded, KeySignature, Refusal, Registry, SignedTransaction,
    decoded::Body,
    evm::{self, Functions},
    utxo,
};

/// An unsigned transaction as it stands in a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "format", rename_all = "kebab-case", deny_unknown_fields)]
#[non_exhaustive]
pub enum Transaction {
    /// An EVM transaction without its signature: EIP-2718 envelope, or the EIP-155 signing payload
    /// of a legacy one.
    Eip2718 {
        /// The chain that the client means.
        chain: Chain,
        /// The sender, `0x…`: an unsigned EVM transaction does not say who sends it.
        from: String,
        /// The payload, `0x…`.
        payload: String,
    },
    /// A partially signed Bitcoin transaction, version 0 (BIP-174).
    Psbt {
        /// The chain that the client means; the format does not say.
        chain: Chain,
        /// The PSBT in base64.
        psbt: String,
    },
}

/// What the policy sets for a chain's codec.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChainRules<'a> {
    /// The highest block height allowed as a lock time; a transaction locked beyond the present
    /// tip is a stockpile. 0: none.
    pub locktime_height_max: u32,
    /// The functions of contracts that may be called, and the contracts that are tokens.
    pub functions: &'a Functions,
}

/// No lock time, and no function.
impl Default for ChainRules<'_> {
    fn default() -> Self {
        Self {
            locktime_height_max: 0,
            functions: Functions::NONE,
        }
    }
}

impl Transaction {
    /// The chain that the client means.
    pub fn chain(&self) -> Chain {
        match self {
            Self::Eip2718 { chain, .. } | Self::Psbt { chain, .. } => *chain,
        }
    }
}

/// Understands a transaction.
///
/// # Errors
/// A [`Refusal`] for whatever is not understood to the last byte, is not re-encoded to the same
/// bytes, or does not spend exactly one own account.
pub fn decode(
    transaction: &Transaction,
    registry: &Registry,
    rules: ChainRules<'_>,
) -> Result<Decoded, Refusal> {
    match transaction {
        Transaction::Eip2718 {
            chain,
            from,
            payload,
        } => evm::decode(*chain, from, payload, registry, rules.functions).map_err(Refusal::Evm),
        Transaction::Psbt { chain, psbt } => {
            utxo::decode(*chain, psbt, registry, rules).map_err(Refusal::Utxo)
        }
    }
}

/// Puts the signatures of [`Decoded::signings`], in their order, into the transaction.
///
/// # Errors
/// A [`Refusal`] when their number is another, or one is of another scheme than its key.
pub fn assemble(
    decoded: Decoded,
    signatures: &[KeySignature],
) -> Result<SignedTransaction, Refusal> {
    match decoded.body {
        Body::Evm(unsigned) => evm::assemble(unsigned, signatures).map_err(Refusal::Evm),
        Body::Utxo(unsigned) => utxo::assemble(unsigned, signatures).map_err(Refusal::Utxo),
        #[cfg(feature = "testing")]
        Body::Synthetic => Ok(crate::testing::assemble(signatures)),
    }
}
