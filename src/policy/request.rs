//! What a client asks.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use thiserror::Error;
use tx::{Intent, Name};

use crate::{AttemptId, Blob};

/// A request to sign, as [`crate::evaluate`] sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The client, from its certificate.
    pub client: Name,
    /// The client's own id of the request.
    pub id: RequestId,
    /// The fingerprint of the whole request, so that one id never stands for two.
    pub hash: RequestHash,
    /// The epoch of the lane's owner.
    pub lane_epoch: u64,
    /// What the transaction pays.
    pub intents: Vec<SignedIntent>,
    /// The attempts that this one conflicts with.
    pub replaces: Vec<AttemptId>,
    /// The transaction, as the JSON of [`tx::Transaction`]: what is journalled. Evaluation looks at
    /// the decoded form, and by this finds what people said of the very transaction.
    pub transaction: Blob,
    /// Statements of people and attesters that the request brings.
    pub proofs: Vec<Proof>,
}

/// An intent, with the signatures of its source's signers where the source has any.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignedIntent {
    /// The intent.
    pub intent: Intent,
    /// Armoured SSH signatures (SSHSIG) over the intent's statement.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub signatures: Vec<String>,
}

/// A signed statement that a request brings, verified by `signerd` and never trusted for being
/// brought.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Proof {
    /// The statement's text, whose first lines are its header.
    pub statement: String,
    /// Armoured SSH signatures (SSHSIG) over the text.
    pub signatures: Vec<String>,
}

/// The client's own id of a request: 1 to 128 characters of `A-Z a-z 0-9 . _ : -`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RequestId(String);

/// Why a text is no [`RequestId`].
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("a request id has 1 to 128 characters of A-Z, a-z, 0-9, '.', '_', ':' and '-'")]
pub struct RequestIdError;

/// SHA-256 of a request's canonical form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RequestHash(pub [u8; 32]);

impl RequestId {
    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for RequestId {
    type Err = RequestIdError;

    fn from_str(text: &str) -> Result<Self, RequestIdError> {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b':' | b'-');
        if (1..=128).contains(&text.len()) && text.bytes().all(allowed) {
            Ok(Self(text.into()))
        } else {
            Err(RequestIdError)
        }
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for RequestId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for RequestId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(de::Error::custom)
    }
}

crate::entry::hex_newtype!(RequestHash);
