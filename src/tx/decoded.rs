//! A transaction that was understood.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::{Amount, Chain, ConflictKey, Effect, Name, Scheme, Time, evm, utxo};

/// A transaction that was understood: every byte a signature commits to is in an effect, a conflict
/// key or a checked constant. Made only by [`crate::decode`], consumed by [`crate::assemble`].
#[derive(Debug)]
#[must_use]
pub struct Decoded {
    pub(crate) chain: Chain,
    pub(crate) account: Name,
    pub(crate) effects: Vec<Effect>,
    pub(crate) conflict_keys: BTreeSet<ConflictKey>,
    pub(crate) valid_until: ValidUntil,
    pub(crate) fee_terms: FeeTerms,
    pub(crate) signings: Vec<Signing>,
    pub(crate) body: Body,
}

/// The chain's own unsigned transaction, kept for assembly.
#[derive(Debug)]
pub(crate) enum Body {
    Evm(evm::Unsigned),
    Utxo(utxo::Unsigned),
    /// Made by no codec, see [`crate::testing`].
    #[cfg(feature = "testing")]
    Synthetic,
}

/// Until when the chain can include the transaction, if nothing conflicts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum ValidUntil {
    /// For ever: only a conflicting transaction ends it.
    Unbounded,
    /// Until this time.
    Time(Time),
}

/// What a transaction offers for its inclusion, as nodes compare it when one replaces another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "family", rename_all = "kebab-case", deny_unknown_fields)]
#[non_exhaustive]
pub enum FeeTerms {
    /// EVM, in wei; before EIP-1559 both caps are the gas price.
    Evm {
        /// Most paid for a unit of gas.
        max_fee_per_gas: Amount,
        /// Most paid to the proposer for a unit of gas.
        max_priority_fee_per_gas: Amount,
        /// Most units of gas.
        gas_limit: u64,
    },
    /// Bitcoin-like.
    Utxo {
        /// The fee in satoshi.
        fee: u64,
        /// The least virtual size the signed transaction can have, in vbyte.
        vsize: u64,
    },
}

/// One digest to sign.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signing {
    /// The key, found in the registry by what the transaction spends.
    pub key: Name,
    /// How the key signs.
    pub scheme: Scheme,
    /// The digest, exactly as the chain defines it.
    pub digest: [u8; 32],
}

impl FeeTerms {
    /// Whether the fee is at most `rate` base units for each unit of weight (wei a gas, satoshi a
    /// vbyte). False also where that cannot be computed.
    pub fn rate_at_most(&self, rate: Amount) -> bool {
        match *self {
            Self::Evm {
                max_fee_per_gas, ..
            } => max_fee_per_gas <= rate,
            Self::Utxo { fee, vsize } => rate
                .checked_mul(Amount::from(vsize))
                .is_some_and(|most| Amount::from(fee) <= most),
        }
    }
}

impl Decoded {
    /// The chain.
    pub fn chain(&self) -> Chain {
        self.chain
    }

    /// The account that is debited.
    pub fn account(&self) -> &Name {
        &self.account
    }

    /// What the transaction does, in the order of the transaction, the fee last.
    pub fn effects(&self) -> &[Effect] {
        &self.effects
    }

    /// What it consumes.
    pub fn conflict_keys(&self) -> &BTreeSet<ConflictKey> {
        &self.conflict_keys
    }

    /// Until when it can be included.
    pub fn valid_until(&self) -> ValidUntil {
        self.valid_until
    }

    /// What it offers for inclusion.
    pub fn fee_terms(&self) -> FeeTerms {
        self.fee_terms
    }

    /// The digests to sign, in the order in which [`crate::assemble`] wants the signatures.
    pub fn signings(&self) -> &[Signing] {
        &self.signings
    }
}
