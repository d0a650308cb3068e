//! The signing API's intents that people approve: what is asked of whom, and what they said.

use serde::{Deserialize, Serialize};
use tx::{Intent, IntentPayload, Interval, Time};

/// The answer to `POST /v1/intents`, `GET /v1/intents/{source}/{id}` and `POST …/approvals`: how an intent
/// stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IntentAnswer {
    /// The intent.
    pub intent: Intent,
    /// SHA-256 of its whole content, which an approval answers.
    pub payload: IntentPayload,
    /// The client that registered it.
    pub client: String,
    /// The journal entry that did.
    pub entry: u64,
    /// The people who ask for it, as they signed it: they do not approve it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub requesters: Vec<String>,
    /// The last entry by which somebody rejected it, 0 for none.
    pub rejected: u64,
    /// The entry by which it was closed for ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closed_by: Option<u64>,
    /// The needs that may ask for people before it is paid.
    pub needs: Vec<IntentNeed>,
    /// The bundle that governs, 64 hexadecimal digits.
    pub policy: String,
    /// The time as the signer knows it.
    pub time: Interval,
}

/// A need, who said what, and what is to be signed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IntentNeed {
    /// Its fingerprint, 64 hexadecimal digits.
    pub fingerprint: String,
    /// The statements that may ask: `require large-eth`; `limit eth-day`, where it has no room; `evacuate
    /// out`, under a freeze.
    pub asked_by: Vec<String>,
    /// How many people it needs.
    pub threshold: u32,
    /// Who may.
    pub people: Vec<String>,
    /// How long an approval waits before it counts.
    pub delay_secs: u64,
    /// How long one holds at the most.
    pub valid_secs: u64,
    /// What a rejection does: `blocks` or `final`.
    pub rejection: String,
    /// What was said.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub decided: Vec<PersonDecided>,
    /// Whose approvals count now.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub counted: Vec<String>,
    /// The time, by `lo`, from which on those approvals that hold are enough.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enough_from: Option<Time>,
    /// The text to sign in the namespace `strongroom-approval-v1` to approve it now.
    pub approve: String,
    /// The text to sign to reject it now.
    pub reject: String,
}

/// What a person said last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PersonDecided {
    /// The person.
    pub person: String,
    /// `approve` or `reject`.
    pub says: String,
    /// The journal entry.
    pub entry: u64,
    /// Since when, by `lo`.
    pub since: Time,
    /// When it holds no longer.
    pub expires: Time,
}
