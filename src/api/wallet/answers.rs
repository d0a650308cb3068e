//! Answers about accounts, fees, events and the coordinator itself.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tx::{Amount, Asset, Chain, IntentId, IntentKey, Name, Time};

use super::Stage;
use crate::signing::{Need, Reason};

/// The answer to `POST /v1/quote`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QuoteAnswer {
    /// What the network takes for such a payment now, in base units of the chain's native asset;
    /// absent while no node can tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fee: Option<Amount>,
    /// A highest fee of one attempt with which it is likely paid soon.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_fee: Option<Amount>,
    /// Why there is no fee.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// What the customer has free of the asset.
    pub available: Amount,
    /// Whether it would go on without a person, as far as the coordinator decides it.
    pub unattended: Unattended,
    /// What the signer's policy would say of it, if it were asked now.
    pub policy: PolicyAnswer,
}

/// What the signer's policy would say of a payment. Nothing is consumed by asking.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PolicyAnswer {
    /// In one word.
    pub verdict: PolicyVerdict,
    /// Everything that speaks against it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reasons: Vec<Reason>,
    /// The people or attesters that it asks for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub needs: Vec<Need>,
    /// Why it is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

/// What the signer's policy would say of a payment, in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum PolicyVerdict {
    /// It would be signed.
    Allowed,
    /// It would wait for people or attesters.
    Needs,
    /// It would be refused.
    Refused,
    /// The signer could not be asked, or what was asked is not what will be.
    Unknown,
}

/// Whether a withdrawal would go on without a person.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Unattended {
    /// Both daily limits have room.
    Yes,
    /// A daily limit has no room: a person would decide.
    Manual,
    /// There is no limit on the asset, so nothing of it may leave.
    NoLimit,
    /// The customer has too little.
    InsufficientFunds,
}

/// The answer to `POST /v1/credits`: 201 where it was booked now, 200 where it was before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CreditAnswer {
    /// Its id.
    pub id: IntentKey,
    /// The customer.
    pub account: Name,
    /// What was booked.
    pub asset: Asset,
    /// How much, in base units.
    pub amount: Amount,
}

/// The answer to `GET /v1/accounts/{name}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AccountAnswer {
    /// The customer.
    pub account: Name,
    /// What the customer has; nothing for one of whom nothing was ever booked.
    pub balances: Vec<AssetBalance>,
}

/// What a customer has of one asset.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AssetBalance {
    /// The asset.
    pub asset: Asset,
    /// Free to be withdrawn, in base units.
    pub available: Amount,
    /// Frozen for withdrawals, in base units.
    pub held: Amount,
}

/// The answer to `GET /v1/events`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EventsAnswer {
    /// The events, in order.
    pub events: Vec<Event>,
    /// The value of `after` that continues here, even where there is no more yet; absent only
    /// before the first event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<u64>,
}

/// One recorded step, delivered at least once and under the same id each time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Event {
    /// Its id, rising.
    pub event: u64,
    /// When.
    pub at: Time,
    /// What happened, such as `withdrawal.signed`.
    pub topic: String,
    /// The withdrawal it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub withdrawal: Option<IntentId>,
    /// More about it.
    pub body: Map<String, Value>,
}

/// The answer to `GET /v1/status`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StatusAnswer {
    /// The coordinator's version.
    pub version: String,
    /// Its time.
    pub time: Time,
    /// The lanes.
    pub lanes: Vec<LaneReport>,
    /// How many withdrawals are in each stage; stages without any are left out.
    pub stages: Vec<StageCount>,
    /// The signer.
    pub signer: SignerReport,
    /// The chains.
    pub chains: Vec<ChainReport>,
}

/// A lane.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LaneReport {
    /// Its name, as the signer has it.
    pub lane: String,
    /// The account at the signer.
    pub account: Name,
    /// What its requests carry as `lane_epoch`.
    pub epoch: u64,
    /// The lease under which it is owned.
    pub lease: u64,
    /// Whether it may begin payouts.
    pub gate: GateState,
    /// Why not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// The next nonce, on chains that have one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_nonce: Option<u64>,
    /// The number of the next attempt.
    pub next_attempt: u64,
    /// The journal index up to which the signer's requests were compared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compared_to: Option<u64>,
}

/// Whether a lane may begin payouts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum GateState {
    /// Not until database, signer and chain agree.
    Closed,
    /// It may.
    Open,
    /// A person must look.
    Halted,
}

/// How many withdrawals are in a stage.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StageCount {
    /// The stage.
    pub stage: Stage,
    /// How many.
    pub count: u64,
}

/// What the coordinator knows of the signer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignerReport {
    /// Whether its last call was answered.
    pub reachable: bool,
    /// What happened instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

/// What the coordinator knows of a chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChainReport {
    /// The chain.
    pub chain: Chain,
    /// The best block that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub height: Option<u64>,
    /// The best block that can no longer leave the chain, where the chain says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finalized: Option<u64>,
    /// What is wrong with its nodes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}
