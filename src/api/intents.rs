//! The signing API's intents that people approve: what is asked of whom, and what they said.

use serde::{Deserialize, Serialize};
use tx::{Intent, IntentPayload, Interval, Time};

use crate::signing::Receipt;

/// The answer to `GET /v1/intents`: what waits for people, the eldest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IntentsAnswer {
    /// The intents, at most [`LISTED_MAX`].
    pub intents: Vec<ListedIntent>,
    /// Whether more wait.
    pub more: bool,
}

/// The most intents in a list.
pub const LISTED_MAX: usize = 256;

/// An intent that waits for people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListedIntent {
    /// The intent.
    pub intent: Intent,
    /// The statements that may ask and whose people are not enough yet, as in [`IntentNeed::asked_by`].
    pub asked_by: Vec<String>,
}

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
    /// The names that the bundle gives the asset, sorted; none where it gives it none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub units: Vec<IntentUnit>,
    /// The bundle's books that hold the destination, sorted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub in_books: Vec<String>,
    /// The bundle's own accounts that it is an address of, sorted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub own_accounts: Vec<String>,
    /// The needs that may ask for people before it is paid.
    pub needs: Vec<IntentNeed>,
    /// The proof of what this request changed; absent where it changed nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub receipt: Option<Receipt>,
    /// The bundle that governs, 64 hexadecimal digits.
    pub policy: String,
    /// The fleet that it is for.
    pub fleet: String,
    /// The origin of the page where people use passkeys, where the bundle names one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval_page: Option<String>,
    /// The time as the signer knows it.
    pub time: Interval,
}

/// A name of an asset.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IntentUnit {
    /// The name.
    pub name: String,
    /// How many decimal places one unit has.
    pub decimals: u8,
}

/// The body of `POST /v1/intents/{source}/{id}/approvals`: SSH signatures of people, or one person's passkey.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApprovalRequest {
    /// The text.
    pub statement: String,
    /// Armoured SSH signatures over it in the namespace `strongroom-approval-v1`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub signatures: Vec<String>,
    /// A passkey's assertion of it, where there are no signatures.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub passkey: Option<PasskeyAssertion>,
}

/// A passkey's assertion, as WebAuthn has it: each part in base64url without padding. Its challenge is the
/// SHA-256 of the text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PasskeyAssertion {
    /// `response.authenticatorData`.
    pub authenticator_data: String,
    /// `response.clientDataJSON`.
    pub client_data: String,
    /// `response.signature`.
    pub signature: String,
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
    /// Whether what is said by a passkey counts: `count` or `refused`.
    pub passkeys: String,
    /// What was said.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub decided: Vec<PersonDecided>,
    /// Whose approvals count now.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub counted: Vec<String>,
    /// The time, by `lo`, from which on those approvals that hold are enough.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enough_from: Option<Time>,
    /// The text to sign to approve it now: of an intent in the namespace `strongroom-approval-v1`, of a transaction
    /// in `strongroom-transaction-approval-v1`.
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
