//! The answer to `GET /v1/withdrawals/{id}/explain`: everything about one withdrawal.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tx::{Amount, ConflictKey, Effect, IntentId, Interval, Name, Time};

use super::{Event, Withdrawal};

/// Everything about one withdrawal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Explanation {
    /// The withdrawal, and why it waits.
    pub withdrawal: Withdrawal,
    /// Every transaction that was made for it, oldest first.
    pub attempts: Vec<Attempt>,
    /// What was recorded about it, oldest first, at most 500 at a time.
    pub events: Vec<Event>,
    /// The value of `after` with which its later events are shown; absent when there are no more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<u64>,
}

/// A transaction for one withdrawal or several.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Attempt {
    /// The lane.
    pub lane: String,
    /// Its number in the lane.
    pub number: u64,
    /// Its conflict set: at most one attempt of a set can be included.
    pub set: u64,
    /// What it is for.
    pub purpose: Purpose,
    /// How far it is.
    pub stage: AttemptStage,
    /// What every attempt of the set consumes.
    pub anchor: ConflictKey,
    /// What it consumes.
    pub keys: Vec<ConflictKey>,
    /// The withdrawals that it pays.
    pub pays: Vec<IntentId>,
    /// Its request's id at the signer.
    pub request_id: String,
    /// The lane's epoch in that request.
    pub lane_epoch: u64,
    /// The most that it can cost, in base units of the chain's native asset.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_fee: Option<Amount>,
    /// When it was made.
    pub created_at: Time,
    /// When its bytes were last given to a node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub broadcast_at: Option<Time>,
    /// Its id on the chain, once it is signed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub txid: Option<String>,
    /// What the signer decided, by its receipt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decision: Option<Deciding>,
    /// Where it is on the chain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<Place>,
    /// Why it never will be there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proof: Option<Proof>,
}

/// What an attempt is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Purpose {
    /// It pays withdrawals.
    Payout,
    /// It consumes a conflict key and pays nobody.
    Cancellation,
    /// Found in the signer's journal after a restore.
    Recovered,
}

/// How far an attempt is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum AttemptStage {
    /// Durable; the signer may have been asked.
    Reserved,
    /// Its signed bytes are durable.
    Signed,
    /// Its bytes were given to a node.
    Broadcast,
    /// In a block that may still leave the chain.
    Included,
    /// In a block for good with success, and its token did not log the transfer: a person says whether
    /// it paid.
    Unproven,
    /// In a block for good; it did what it should.
    Final,
    /// In a block for good; it failed there and paid a fee only.
    Failed,
    /// The signer never signed it and never will.
    Void,
    /// Signed, and can never be included.
    Dead,
}

/// What the signer decided, by the receipt, which was verified against the request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Deciding {
    /// The index of the decision in the signer's journal.
    pub entry: u64,
    /// When it was decided, as far as the signer knows the time.
    pub time: Interval,
    /// The account that is debited.
    pub account: Name,
    /// What the signer understood.
    pub effects: Vec<Effect>,
    /// The statements that allowed it.
    pub allowed_by: Vec<Name>,
    /// The bundle that allowed it, 64 hexadecimal digits.
    pub policy: String,
}

/// Where a transaction is on the chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Place {
    /// The block's height.
    pub height: u64,
    /// The block's hash.
    pub hash: String,
    /// The transaction's id there.
    pub txid: String,
    /// The fee that was paid, in base units of the chain's native asset.
    pub fee: Amount,
    /// How many blocks deep it is, its own counted; absent while the best block is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confirmations: Option<u64>,
}

/// Why a transaction will never be included.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Proof {
    /// What kind of proof, such as `conflict`.
    pub kind: String,
    /// The certificate as it is stored.
    pub certificate: Map<String, Value>,
}
