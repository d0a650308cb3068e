//! The signing API: requests and answers.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tx::{
    AccountClass, Amount, Chain, Effect, Intent, Interval, Name, SignedTransaction, Time,
    Transaction,
};

use crate::{governance::HeartbeatDue, journal::LogStatus};

/// The largest body of a request, in bytes.
pub const BODY_MAX: usize = 1024 * 1024;
/// The most intents in a request.
pub const INTENTS_MAX: usize = 500;
/// The most declared replacements in a request.
pub const REPLACES_MAX: usize = 500;
/// The most proofs in a request.
pub const PROOFS_MAX: usize = 64;
/// The most signatures over one intent or statement.
pub const SIGNATURES_MAX: usize = 16;
/// The most requests in a page of them.
pub const PAGE_MAX: usize = 100;
/// A page of requests ends with the one that reaches this many bytes.
pub const PAGE_BYTES: usize = 32 << 20;

/// `POST /v1/sign` and `POST /v1/evaluate`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignRequest {
    /// The client's own id: 1 to 128 characters of `A-Z a-z 0-9 . _ : -`. The same id with the same
    /// content gets the same answer, with another content an error.
    pub request_id: String,
    /// The epoch of the lane's owner: rises by one with each lease.
    pub lane_epoch: u64,
    /// What the transaction pays: one intent for each outward payment.
    #[serde(default)]
    pub intents: Vec<SignedIntent>,
    /// Earlier attempts that conflict with this transaction, all of them.
    #[serde(default)]
    pub replaces: Vec<u64>,
    /// The transaction.
    pub transaction: Transaction,
    /// Statements of people and attesters.
    #[serde(default)]
    pub proofs: Vec<Statement>,
}

/// An intent, with the signatures of its source's signers where the source has any.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignedIntent {
    /// The intent.
    pub intent: Intent,
    /// Armoured SSH signatures over the intent's statement.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub signatures: Vec<String>,
}

/// A signed statement of people or attesters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Statement {
    /// The text.
    pub statement: String,
    /// Armoured SSH signatures over the text.
    pub signatures: Vec<String>,
}

/// The answer to `POST /v1/governance/statements` and `POST /v1/statements`, status 200: it was taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StatementAnswer {
    /// The proof of what was written; absent where the very same was said before, and nothing changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub receipt: Option<Receipt>,
}

/// The answer to `POST /v1/sign`, status 200. The same request again gets the same bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignAnswer {
    /// The client's id.
    pub request_id: String,
    /// The attempt's name: the index of its journal entry, for `replaces`.
    pub attempt: u64,
    /// What to broadcast.
    pub transaction: SignedTransaction,
    /// The proof of the decision.
    pub receipt: Receipt,
}

/// A decision with its proof.
///
/// The leaf is `0x01 ‖ SHA-256("strongroom-entry-v1" ‖ salt ‖ body)`; with `inclusion` it can be
/// verified against a checkpoint, without it the body says what was decided and the leaf is what a
/// later proof must contain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Receipt {
    /// The version of the form: 1.
    pub version: u8,
    /// The log, 64 hexadecimal digits.
    pub log: String,
    /// The index of the entry.
    pub entry: u64,
    /// The entry's salt, 64 hexadecimal digits.
    pub salt: String,
    /// The entry's body, exactly.
    pub body: String,
    /// The proof that the log contains it, once a checkpoint covers it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inclusion: Option<Inclusion>,
}

/// A proof that a log contains an entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Inclusion {
    /// A signed note (C2SP) with the log's size and root.
    pub checkpoint: String,
    /// The RFC 6962 audit path, 64 hexadecimal digits a node, from the leaf.
    pub path: Vec<String>,
}

/// The answer when people or attesters are needed first, status 202. Nothing was charged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PendingAnswer {
    /// The client's id.
    pub request_id: String,
    /// What is needed.
    pub needs: Vec<Need>,
}

/// One thing that speaks against a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reason {
    /// Its stable name, such as `limit` or `uncovered`.
    pub code: String,
    /// The statement that spoke.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub statement: Option<String>,
    /// Where it stands: `file:line`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<String>,
    /// What is wrong.
    pub detail: String,
    /// What would permit it.
    pub remedy: String,
}

/// A requirement that is not met.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Need {
    /// The statement that asks.
    pub statement: String,
    /// Where it stands: `file:line`.
    pub at: String,
    /// How many people, or attesters.
    pub threshold: u32,
    /// Who may; nobody, where attesters have to say something.
    pub people: Vec<String>,
    /// What attesters have to say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attested: Option<AttestedNeed>,
}

/// What attesters have to say before something is signed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AttestedNeed {
    /// What: `head`, `reconciled` or `time`.
    pub kind: String,
    /// How long what was said holds, in seconds.
    pub within_secs: u64,
}

/// The answer to `POST /v1/evaluate` where it would be signed now, status 200. Nothing is consumed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EvaluateAnswer {
    /// What the signer understood, and which statements cover it.
    pub effects: Vec<CoveredEffect>,
    /// Every limit that spoke, as it would stand afterwards.
    pub limits: Vec<LimitRoom>,
}

/// An effect and the statements that cover it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CoveredEffect {
    /// The effect.
    pub effect: Effect,
    /// The statements, each `name (file:line)`; none for what is built in.
    pub allowed_by: Vec<String>,
}

/// A limit's state for one group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LimitRoom {
    /// The limit.
    pub limit: String,
    /// The group, as `what=which`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub group: Vec<String>,
    /// The most that the window holds.
    pub cap: Amount,
    /// What is used.
    pub used: Amount,
    /// What is left.
    pub left: Amount,
    /// The window's length in seconds.
    pub window_secs: u64,
}

/// The answer to `GET /v1/keys`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeysAnswer {
    /// The keys of the accounts the client may ask about.
    pub keys: Vec<Key>,
    /// The limits, as they stand; those that are counted by destination are left out.
    pub limits: Vec<LimitRoom>,
    /// The signer's epoch, which every intent says that it was issued in.
    pub epoch: u64,
    /// The bundle that governs, 64 hexadecimal digits.
    pub policy: String,
    /// The time as the signer knows it.
    pub time: Interval,
    /// How the signer's log stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub journal: Option<LogStatus>,
    /// When people must say again that they are there, where they must.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub heartbeat: Option<HeartbeatDue>,
    /// By whom the earliest time was moved on last, where somebody did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credited: Option<TimeCredit>,
}

/// That the earliest time was moved on by what outsiders signed: a machine that was off does not know for how
/// long.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TimeCredit {
    /// Who signed: `witnesses` or `attesters`.
    pub by: String,
    /// The journal entry that says so.
    pub entry: u64,
    /// Where to.
    pub lo: Time,
    /// By how many milliseconds.
    pub millis: u64,
}

/// A key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Key {
    /// Its name.
    pub name: Name,
    /// The account it signs for.
    pub account: Name,
    /// The account's class.
    pub class: AccountClass,
    /// Its public key in hexadecimal: SEC 1 compressed, 66 digits, or of BIP-340 the x coordinate, 64.
    pub public_key: String,
    /// How well it is kept: `hsm-logged`, `hsm`, `wrapped` or `software`.
    pub assurance: String,
    /// Its addresses.
    pub addresses: Vec<KeyAddress>,
}

/// A key's address on one chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyAddress {
    /// The chain.
    pub chain: Chain,
    /// The address in the chain's canonical spelling.
    pub address: String,
    /// The epoch of the lane's owner.
    pub lane_epoch: u64,
    /// The next new sequence, on chains that have one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_sequence: Option<u64>,
}

/// What became of a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RequestAnswer {
    /// The client's id.
    pub request_id: String,
    /// The attempt.
    pub attempt: u64,
    /// How far it is.
    pub status: RequestStatus,
    /// The lane's epoch when it was authorised.
    pub lane_epoch: u64,
    /// The conflict keys it consumes.
    pub conflict_keys: Vec<tx::ConflictKey>,
    /// What to broadcast, where it was signed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transaction: Option<SignedTransaction>,
    /// The proof of the decision, as it stands in the answer to the request itself, and with a proof
    /// that the log contains it once a checkpoint covers it. It says what was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub receipt: Option<Receipt>,
    /// What was asked to be signed, where the receipt names it by its hash alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unsigned: Option<Transaction>,
}

/// How far an authorised request is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum RequestStatus {
    /// Authorised and charged; not known to be signed.
    Committed,
    /// Signed.
    Signed,
    /// The device's calls ended without a signature.
    Failed,
}

/// The answer to `GET /v1/requests?after=`: what the client had authorised since, in order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RequestsAnswer {
    /// The requests.
    pub requests: Vec<RequestAnswer>,
    /// The value of `after` that continues here; absent when there is no more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<u64>,
}

impl SignRequest {
    /// SHA-256 of the request's one JSON form: two spellings of one content are one request.
    ///
    /// # Errors
    /// None in practice: every field has a JSON form.
    pub fn fingerprint(&self) -> Result<[u8; 32], serde_json::Error> {
        // As much as a request for a payment has: it need not grow.
        let mut json = Vec::with_capacity(2 * 1024);
        serde_json::to_writer(&mut json, self)?;
        let mut hash = Sha256::new();
        hash.update(b"strongroom-request-v1\n");
        hash.update(json);
        Ok(hash.finalize().into())
    }

    /// The name of the list that is longer than its bound, if any.
    pub fn overlong(&self) -> Option<&'static str> {
        let signatures = |count: usize| count > SIGNATURES_MAX;
        if self.intents.len() > INTENTS_MAX {
            Some("intents")
        } else if self.replaces.len() > REPLACES_MAX {
            Some("replaces")
        } else if self.proofs.len() > PROOFS_MAX {
            Some("proofs")
        } else if self
            .intents
            .iter()
            .any(|intent| signatures(intent.signatures.len()))
            || self
                .proofs
                .iter()
                .any(|proof| signatures(proof.signatures.len()))
        {
            Some("signatures")
        } else {
            None
        }
    }
}
