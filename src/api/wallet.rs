//! The coordinator's API: withdrawals asked for, followed and explained.

mod answers;
mod explanation;

use serde::{Deserialize, Serialize};
use tx::{Amount, Asset, IntentKey, Name, Time};

pub use self::{
    answers::{
        AccountAnswer, AssetBalance, ChainReport, CreditAnswer, Event, EventsAnswer, GateState,
        LaneReport, PolicyAnswer, PolicyVerdict, QuoteAnswer, SignerReport, StageCount,
        StatusAnswer, Unattended,
    },
    explanation::{Attempt, AttemptStage, Deciding, Explanation, Place, Proof, Purpose},
};
use crate::{
    problem::Problem,
    signing::{Need, Reason},
};

/// The largest body of a request, in bytes.
pub const BODY_MAX: usize = 1024 * 1024;
/// The most withdrawals in one request.
pub const WITHDRAWALS_MAX: usize = 1000;
/// The most entries of a page.
pub const PAGE_MAX: u32 = 500;
/// The entries of a page of which nothing is said.
pub const PAGE: u32 = 100;
/// The longest memo of a deposit and the longest reason of a settlement, in bytes.
pub const MEMO_MAX: usize = 256;

/// `POST /v1/withdrawals`: a payment that a client asks for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewWithdrawal {
    /// The client's own id, unique in its source for ever: the idempotency key. The same id with the
    /// same content is the same withdrawal, with another content an error.
    pub id: IntentKey,
    /// The customer whose money it is.
    pub account: Name,
    /// What is to be paid, and on which chain.
    pub asset: Asset,
    /// How much, in base units; above zero.
    pub amount: Amount,
    /// To whom: an address of the asset's chain.
    pub destination: String,
    /// The destination tag or memo, on chains that have one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tag: Option<String>,
    /// The highest fee of one attempt, in base units of the chain's native asset; above zero.
    pub max_fee: Amount,
    /// When it is not begun any more.
    pub expires: Time,
}

/// `POST /v1/withdrawals` with several: each is accepted or refused by itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BulkRequest {
    /// The withdrawals, 1 to 1,000.
    pub withdrawals: Vec<NewWithdrawal>,
}

/// The answer to a [`BulkRequest`], status 207: what became of each, in the request's order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BulkAnswer {
    /// One for each withdrawal of the request.
    pub results: Vec<BulkResult>,
}

/// What became of one withdrawal of a [`BulkRequest`]: exactly one field is there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BulkResult {
    /// It is new and durable.
    Accepted(Box<Withdrawal>),
    /// It was asked for before, with the same content.
    Known(Box<Withdrawal>),
    /// It was not accepted, and why.
    Problem(Box<Problem>),
}

/// A withdrawal and how far it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Withdrawal {
    /// The source that asked.
    pub source: Name,
    /// Its id in that source.
    pub id: IntentKey,
    /// The client that asked.
    pub client: Name,
    /// The customer whose money it is; absent where that is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<Name>,
    /// What is to be paid.
    pub asset: Asset,
    /// How much, in base units.
    pub amount: Amount,
    /// To whom, in the chain's canonical spelling.
    pub destination: String,
    /// The destination tag or memo.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tag: Option<String>,
    /// The highest fee of one attempt, in base units of the chain's native asset.
    pub max_fee: Amount,
    /// When it is not begun any more.
    pub expires: Time,
    /// How far it is.
    pub stage: Stage,
    /// Why it does not go on, where something stands in the way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting: Option<Waiting>,
    /// The lane that pays it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lane: Option<String>,
    /// When it was asked for.
    pub requested_at: Time,
    /// When it last changed.
    pub changed_at: Time,
}

/// How far a withdrawal is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Stage {
    /// Asked for.
    Requested,
    /// Whoever asks is who they say.
    Authenticated,
    /// The funds are frozen.
    Held,
    /// Beyond a limit: a person decides.
    Manual,
    /// To be paid.
    Approved,
    /// A transaction for it is durable; the signer may have been asked.
    Assigned,
    /// Signed bytes are durable.
    Signed,
    /// The bytes were given to a node.
    Broadcast,
    /// In a block that may still leave the chain.
    Included,
    /// Paid, for good.
    Final,
    /// Included, and failed on the chain: it will be paid anew.
    FailedOnChain,
    /// Not paid and never will be: the funds are free again.
    Released,
    /// Paid by a transaction that is in the chain for good and did not do what it should: a person
    /// says what came of it.
    Halted,
}

/// Why a withdrawal does not go on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Waiting {
    /// A stable name.
    pub reason: WaitingReason,
    /// What happened, for people.
    pub detail: String,
    /// Everything that spoke against it at the signer.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reasons: Vec<Reason>,
    /// The people or attesters that the signer's policy asks for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub needs: Vec<Need>,
    /// Since when.
    pub since: Time,
    /// Not looked at again before.
    pub until: Time,
}

/// The stable names of what a withdrawal waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum WaitingReason {
    /// Beyond a limit of the coordinator: a person decides.
    Limit,
    /// The signer refuses.
    SignerRefused,
    /// The signer's policy asks for people or attesters first.
    SignerNeeds,
    /// The signer cannot be reached, or not used just now.
    SignerUnavailable,
    /// The signer is sealed, stopped or frozen.
    SignerSealed,
    /// The signer was asked and its answer is not known.
    SignerUnknown,
    /// No node can be asked, or they do not agree.
    NodeUnavailable,
    /// The hot wallet has too little.
    Funds,
    /// The fee would be higher than the withdrawal allows or the configuration's ceiling.
    Fee,
    /// The lane is closed until database, signer and chain agree, or a person looks.
    LaneClosed,
    /// It expired before it was paid.
    Expired,
    /// The transaction cannot be built or is none that the signer understands.
    Unbuildable,
    /// It was asked for in an older epoch of the signer and may have been paid: a person looks.
    Epoch,
}

/// The answer to `GET /v1/withdrawals`: a page, in the order in which they were accepted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WithdrawalsAnswer {
    /// The withdrawals.
    pub withdrawals: Vec<Withdrawal>,
    /// The value of `after` that continues here; absent when there is no more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// `POST /v1/quote`: what a withdrawal would cost and whether it would pass. Nothing is consumed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QuoteRequest {
    /// The customer whose money it would be.
    pub account: Name,
    /// What would be paid.
    pub asset: Asset,
    /// How much, in base units.
    pub amount: Amount,
    /// To whom.
    pub destination: String,
}

/// `POST /v1/withdrawals/{id}/settle`: a person's word on a transaction that is in the chain for good
/// with success, and whose token did not log the transfer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SettleRequest {
    /// The transaction that was looked at, by its id in the chain.
    pub txid: String,
    /// What came of it.
    pub outcome: Outcome,
    /// How that is known, for people: 1 to 256 printable ASCII characters.
    pub why: String,
}

/// What came of a transaction whose token did not log the transfer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// The token moved: the withdrawal is final.
    Paid,
    /// The token did not move: it cost a fee, and the withdrawal is paid anew.
    PayAnew,
    /// The token did not move: it cost a fee, and the withdrawal is released.
    Release,
}

/// `POST /v1/credits`: a deposit that an operator books by hand.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewCredit {
    /// Its id, unique for ever: booked again it changes nothing.
    pub id: IntentKey,
    /// The customer who gets it.
    pub account: Name,
    /// What.
    pub asset: Asset,
    /// How much, in base units; above zero.
    pub amount: Amount,
    /// Why, for people: 1 to 256 printable ASCII characters.
    pub memo: String,
}

impl Outcome {
    /// Every outcome.
    pub const ALL: [Self; 3] = [Self::Paid, Self::PayAnew, Self::Release];

    /// Its stable name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Paid => "paid",
            Self::PayAnew => "pay-anew",
            Self::Release => "release",
        }
    }
}

impl Stage {
    /// Every stage, in order.
    pub const ALL: [Self; 13] = [
        Self::Requested,
        Self::Authenticated,
        Self::Held,
        Self::Manual,
        Self::Approved,
        Self::Assigned,
        Self::Signed,
        Self::Broadcast,
        Self::Included,
        Self::Final,
        Self::FailedOnChain,
        Self::Released,
        Self::Halted,
    ];

    /// Its stable name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Requested => "requested",
            Self::Authenticated => "authenticated",
            Self::Held => "held",
            Self::Manual => "manual",
            Self::Approved => "approved",
            Self::Assigned => "assigned",
            Self::Signed => "signed",
            Self::Broadcast => "broadcast",
            Self::Included => "included",
            Self::Final => "final",
            Self::FailedOnChain => "failed-on-chain",
            Self::Released => "released",
            Self::Halted => "halted",
        }
    }

    /// The stage of this name.
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|stage| stage.name() == name)
    }

    /// Whether nothing will happen any more.
    pub fn is_over(self) -> bool {
        matches!(self, Self::Final | Self::Released)
    }
}

impl WaitingReason {
    /// Every reason.
    pub const ALL: [Self; 13] = [
        Self::Limit,
        Self::SignerRefused,
        Self::SignerNeeds,
        Self::SignerUnavailable,
        Self::SignerSealed,
        Self::SignerUnknown,
        Self::NodeUnavailable,
        Self::Funds,
        Self::Fee,
        Self::LaneClosed,
        Self::Expired,
        Self::Unbuildable,
        Self::Epoch,
    ];
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stage_is_written_by_its_name() {
        for stage in Stage::ALL {
            assert_eq!(serde_json::to_value(stage).unwrap(), stage.name());
            assert_eq!(Stage::of_name(stage.name()), Some(stage));
        }
        assert_eq!(Stage::of_name("Final"), None);
    }

    #[test]
    fn an_outcome_is_written_by_its_name() {
        for outcome in Outcome::ALL {
            assert_eq!(serde_json::to_value(outcome).unwrap(), outcome.name());
        }
    }
}
