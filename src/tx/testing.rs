//! Transactions that no codec made, for tests of what comes after decoding.
//!
//! Behind the feature `testing`, which no binary turns on: with it, [`Decoded`] no longer proves
//! that bytes were understood.

use std::collections::BTreeSet;

use crate::{
    Chain, ConflictKey, Decoded, Effect, FeeTerms, KeySignature, Name, SignedTransaction, Signing,
    ValidUntil, decoded::Body,
};

/// What a decoded transaction is to say.
#[derive(Clone, Debug)]
pub struct Synthetic {
    /// The chain.
    pub chain: Chain,
    /// The account that is debited.
    pub account: Name,
    /// What it does.
    pub effects: Vec<Effect>,
    /// What it consumes.
    pub conflict_keys: BTreeSet<ConflictKey>,
    /// Until when it can be included.
    pub valid_until: ValidUntil,
    /// What it offers for inclusion.
    pub fee_terms: FeeTerms,
    /// The digests to sign.
    pub signings: Vec<Signing>,
}

impl Synthetic {
    /// The transaction as a codec would hand it on.
    pub fn decoded(self) -> Decoded {
        Decoded {
            chain: self.chain,
            account: self.account,
            effects: self.effects,
            conflict_keys: self.conflict_keys,
            valid_until: self.valid_until,
            fee_terms: self.fee_terms,
            signings: self.signings,
            body: Body::Synthetic,
        }
    }
}

/// A stand-in that shows the signatures and nothing else.
pub(crate) fn assemble(signatures: &[KeySignature]) -> SignedTransaction {
    let raw: String = signatures
        .iter()
        .flat_map(|signature| [hex::encode(signature.r()), hex::encode(signature.s())])
        .collect();
    SignedTransaction {
        raw,
        txid: "synthetic".into(),
    }
}
