//! Attempts: concrete transactions for intents. Append-only.

use std::{collections::BTreeSet, sync::Arc};

use api::signing::{SignAnswer, SignRequest};
use serde::{Deserialize, Serialize};
use tx::{ConflictKey, FeeTerms, Time};

use crate::{
    evidence::{DeathCertificate, Inclusion, VoidCertificate},
    withdrawal::WithdrawalNumber,
};

/// An attempt's number in its lane: 0, 1, 2 … With the lane it makes the signer's `request_id`, and
/// the number of a set's first attempt names the conflict set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AttemptNumber(pub u64);

/// One transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// Its number in the lane.
    pub number: AttemptNumber,
    /// Its conflict set: the number of the set's first attempt.
    pub set: AttemptNumber,
    /// What it is for.
    pub purpose: Purpose,
    /// What it consumes. All attempts of a set share the anchor.
    pub keys: BTreeSet<ConflictKey>,
    /// The key that every attempt of the set consumes.
    pub anchor: ConflictKey,
    /// The withdrawals it pays, in the order of the request's intents; none for a cancellation.
    pub pays: Vec<WithdrawalNumber>,
    /// Exactly what the signer is asked, as often as it is asked.
    pub request: Arc<SignRequest>,
    /// What it offers for inclusion.
    pub fee_terms: FeeTerms,
    /// When it was made.
    pub created_at: Time,
    /// How far it is.
    pub stage: AttemptStage,
    /// What the signer answered.
    pub signed: Option<Arc<SignAnswer>>,
}

/// What an attempt is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Purpose {
    /// It pays withdrawals.
    Payout,
    /// It consumes a conflict key and pays nobody: 0 to the sender itself.
    Cancellation,
    /// Found in the signer's journal after a restore; see the restore gate.
    Recovered,
}

/// How far an attempt is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "stage", rename_all = "kebab-case")]
pub enum AttemptStage {
    /// Durable, its conflict keys reserved. The signer may have been asked.
    Reserved,
    /// Its signed bytes are durable.
    Signed,
    /// Its bytes were given to a node.
    Broadcast {
        /// When, for the last time.
        at: Time,
    },
    /// In a block that may still leave the chain.
    Included(Inclusion),
    /// In a block for good with success, and its token did not log the transfer: whether it paid is a
    /// person's to say.
    Unproven(Inclusion),
    /// In a block for good; it did what it should.
    Final(Inclusion),
    /// In a block for good; it failed there and paid a fee only.
    Failed(Inclusion),
    /// The signer never signed it and never will.
    Void(VoidCertificate),
    /// Signed, and can never be included.
    Dead(DeathCertificate),
}

impl Attempt {
    /// Whether signed bytes of it may be, or may come to be, in the world, and its fate is open.
    pub fn is_live(&self) -> bool {
        !matches!(
            self.stage,
            AttemptStage::Final(_)
                | AttemptStage::Failed(_)
                | AttemptStage::Void(_)
                | AttemptStage::Dead(_)
        )
    }
}

impl AttemptStage {
    /// Its stable name.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Reserved => "reserved",
            Self::Signed => "signed",
            Self::Broadcast { .. } => "broadcast",
            Self::Included(_) => "included",
            Self::Unproven(_) => "unproven",
            Self::Final(_) => "final",
            Self::Failed(_) => "failed",
            Self::Void(_) => "void",
            Self::Dead(_) => "dead",
        }
    }

    /// Where it is in the chain, if it is.
    pub fn inclusion(&self) -> Option<&Inclusion> {
        match self {
            Self::Included(inclusion)
            | Self::Unproven(inclusion)
            | Self::Final(inclusion)
            | Self::Failed(inclusion) => Some(inclusion),
            Self::Reserved
            | Self::Signed
            | Self::Broadcast { .. }
            | Self::Void(_)
            | Self::Dead(_) => None,
        }
    }
}
