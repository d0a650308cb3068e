//! The signing API's transactions that pay no intent and that people approve one by one.

use serde::{Deserialize, Serialize};
use tx::{Effect, Interval, PublicKey, Time, Transaction};

use crate::{intents::IntentNeed, signing::Receipt};

/// The body of `POST /v1/transactions`: what will be asked for under this id, and pays no intent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TransactionRequest {
    /// The client's id of the request to sign it.
    pub request_id: String,
    /// The transaction, as it will stand in that request.
    pub transaction: Transaction,
    /// When nobody's approval of it holds any longer: at most 7 days ahead.
    pub expires: Time,
}

/// The answer to `GET /v1/transactions`: what waits for people, the eldest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TransactionsAnswer {
    /// The transactions, at most [`crate::intents::LISTED_MAX`].
    pub transactions: Vec<ListedTransaction>,
    /// Whether more wait.
    pub more: bool,
}

/// A transaction that waits for people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListedTransaction {
    /// The journal entry that registered it, by which it is named.
    pub entry: u64,
    /// The client that wants it signed.
    pub client: String,
    /// The client's id of the request.
    pub request_id: String,
    /// When nobody's approval of it holds any longer.
    pub expires: Time,
    /// The statements that may ask and whose people are not enough yet, as in [`IntentNeed::asked_by`].
    pub asked_by: Vec<String>,
}

/// The answer to `POST /v1/transactions`, `GET /v1/transactions/{entry}` and `POST …/approvals`: how a transaction
/// stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TransactionAnswer {
    /// The journal entry that registered it.
    pub entry: u64,
    /// The client that wants it signed.
    pub client: String,
    /// The client's id of the request.
    pub request_id: String,
    /// The transaction.
    pub transaction: Transaction,
    /// SHA-256 of it, which an approval names.
    pub digest: String,
    /// When nobody's approval of it holds any longer.
    pub expires: Time,
    /// The last entry by which somebody rejected it, 0 for none.
    pub rejected: u64,
    /// The entry by which it was closed for good.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closed_by: Option<u64>,
    /// What it does, as it is understood now; nothing where it no longer is.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub effects: Vec<Effect>,
    /// The own keys that sign it, or that its destinations and arguments are addresses of.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keys: Vec<NamedKey>,
    /// The needs that may ask for people before it is signed. Their texts are signed in the namespace
    /// `strongroom-transaction-approval-v1`, and no passkey counts for them.
    pub needs: Vec<IntentNeed>,
    /// The proof of what this request changed; absent where it changed nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub receipt: Option<Receipt>,
    /// The bundle that governs, 64 hexadecimal digits.
    pub policy: String,
    /// The fleet that it is for.
    pub fleet: String,
    /// The time as the signer knows it.
    pub time: Interval,
}

/// A key that is registered in the journal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NamedKey {
    /// What the bundle calls it.
    pub name: String,
    /// Its public key, 66 hexadecimal digits, or 64 of BIP-340.
    pub public: PublicKey,
}
