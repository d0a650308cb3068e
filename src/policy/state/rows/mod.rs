//! The endless sets as rows: what is remembered for ever, each thing under a key of its own.
//!
//! Attempts, requests, intents, what was consumed, who was paid and every `r` never end, so that they are to
//! be kept on disk. A row has one spelling; whoever has all rows of a history has these sets, whole.
//!
//! # Format 3, integers big-endian
//! A key is its kind and its name, a value a version (3) and its fields. `text` and `bytes` stand
//! behind their length as u32; a list behind its number as u32; `?` is 0, or 1 and the field. A time
//! is milliseconds as u64, an attempt a u64.
//! ```text
//! kind             name                        value
//! attempt          attempt                     charged at | request hash 32 | set | origin | account text | chain text
//!                                              | keys [text] | goes to [text] | unsigned [key text | digest 32]
//!                                              | fee terms text (JSON) | 0 committed, 1 signed and the entry u64, or 2 failed
//! request          client text | id text       the latest attempt
//! client-attempt   client text | number u64    attempt: the client's first has number 0
//! intent           source text | id text       payload 32 | anchors [text] | attempts [attempt] | expires
//! consumed         conflict key text           ?set that it anchors | attempts [attempt]
//! paid             chain text | bytes          when it was first paid
//! r                32                          key text | digest 32
//! fate             attempt                     [attester text | 0 final or 1 dead | number u64 | statement 32 | key text]
//! ```

mod delta;
mod fields;
mod recall;

use thiserror::Error;
use tx::{Address, ConflictKey, IntentId, Name, Time};

use super::{AttemptState, FateSaid, IntentState, KeyDigest};
use crate::{
    AttemptId, Digest, RequestId,
    code::{Code, read_whole},
};

/// The version of every value.
const VERSION: u8 = 3;

/// What a row is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum RowKey {
    /// An attempt.
    Attempt(AttemptId),
    /// A client's request.
    Request(Name, RequestId),
    /// A client's attempt by its number among the client's attempts, from 0.
    ClientAttempt(Name, u64),
    /// An intent.
    Intent(IntentId),
    /// What the chain lets only one transaction consume.
    Consumed(ConflictKey),
    /// A destination.
    Paid(Address),
    /// The `r` of a signature.
    R(Digest),
    /// What attesters said became of an attempt.
    Fate(AttemptId),
}

/// One thing that is remembered for ever.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Row {
    /// What is known of an attempt.
    Attempt(AttemptId, AttemptState),
    /// The latest attempt of a client's request.
    Request(Name, RequestId, AttemptId),
    /// A client's attempt by its number among the client's attempts.
    ClientAttempt(Name, u64, AttemptId),
    /// What is known of an intent.
    Intent(IntentId, IntentState),
    /// What consumes a key.
    Consumed(ConflictKey, Consumed),
    /// When the destination was first paid, as `lo`.
    Paid(Address, Time),
    /// What the signature of an `r` is of.
    R(Digest, KeyDigest),
    /// What attesters said became of an attempt, in the order of their names.
    Fate(AttemptId, Vec<FateSaid>),
}

/// What consumes a key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Consumed {
    /// The conflict set that is anchored to the key, by its first attempt.
    pub anchors: Option<AttemptId>,
    /// The attempts that consume it, oldest first.
    pub attempts: Vec<AttemptId>,
}

/// A value is not what its key says.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum RowError {
    /// It is of another version than 3.
    #[error("a row of kind {kind} has version {found}, not 3")]
    Version {
        /// The kind.
        kind: &'static str,
        /// The version.
        found: u8,
    },
    /// It is no value of its kind, or another spelling of one.
    #[error("a row of kind {kind} is malformed")]
    Form {
        /// The kind.
        kind: &'static str,
    },
}

impl RowKey {
    /// The kind, which no two sorts of things share.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Attempt(_) => "attempt",
            Self::Request(..) => "request",
            Self::ClientAttempt(..) => "client-attempt",
            Self::Intent(_) => "intent",
            Self::Consumed(_) => "consumed",
            Self::Paid(_) => "paid",
            Self::R(_) => "r",
            Self::Fate(_) => "fate",
        }
    }

    /// The name, which no two things of a kind share.
    pub fn name(&self) -> Vec<u8> {
        let mut name = Vec::new();
        self.write_name(&mut name);
        name
    }

    /// Appends the name.
    pub fn write_name(&self, to: &mut Vec<u8>) {
        match self {
            Self::Attempt(attempt) | Self::Fate(attempt) => attempt.write(to),
            Self::Request(client, request) => {
                client.write(to);
                request.write(to);
            }
            Self::ClientAttempt(client, number) => {
                client.write(to);
                number.write(to);
            }
            Self::Intent(intent) => intent.write(to),
            Self::Consumed(key) => key.write(to),
            Self::Paid(address) => address.write(to),
            Self::R(r) => r.write(to),
        }
    }
}

impl Row {
    /// What it is about.
    pub fn key(&self) -> RowKey {
        match self {
            Self::Attempt(attempt, _) => RowKey::Attempt(*attempt),
            Self::Request(client, request, _) => RowKey::Request(client.clone(), request.clone()),
            Self::ClientAttempt(client, number, _) => {
                RowKey::ClientAttempt(client.clone(), *number)
            }
            Self::Intent(intent, _) => RowKey::Intent(intent.clone()),
            Self::Consumed(key, _) => RowKey::Consumed(key.clone()),
            Self::Paid(address, _) => RowKey::Paid(address.clone()),
            Self::R(r, _) => RowKey::R(*r),
            Self::Fate(attempt, _) => RowKey::Fate(*attempt),
        }
    }

    /// What is said about it: a version and the fields.
    pub fn value(&self) -> Vec<u8> {
        let mut value = Vec::new();
        self.write_value(&mut value);
        value
    }

    /// Appends what is said about it.
    pub fn write_value(&self, to: &mut Vec<u8>) {
        to.push(VERSION);
        match self {
            Self::Attempt(_, state) => state.write(to),
            Self::Request(_, _, attempt) | Self::ClientAttempt(_, _, attempt) => attempt.write(to),
            Self::Intent(_, state) => state.write(to),
            Self::Consumed(_, consumed) => consumed.write(to),
            Self::Paid(_, first) => first.write(to),
            Self::R(_, what) => what.write(to),
            Self::Fate(_, said) => said.write(to),
        }
    }

    /// The row of this key and value.
    ///
    /// # Errors
    /// [`RowError`] for every value but the one spelling of a row.
    pub fn decode(key: RowKey, value: &[u8]) -> Result<Self, RowError> {
        let kind = key.kind();
        let malformed = || RowError::Form { kind };
        let fields = match value.split_first() {
            Some((&VERSION, fields)) => fields,
            Some((&found, _)) => return Err(RowError::Version { kind, found }),
            None => return Err(malformed()),
        };
        Self::of_fields(key, fields).ok_or_else(malformed)
    }

    fn of_fields(key: RowKey, fields: &[u8]) -> Option<Self> {
        Some(match key {
            RowKey::Attempt(attempt) => Self::Attempt(attempt, read_whole(fields)?),
            RowKey::Request(client, request) => Self::Request(client, request, read_whole(fields)?),
            RowKey::ClientAttempt(client, number) => {
                Self::ClientAttempt(client, number, read_whole(fields)?)
            }
            RowKey::Intent(intent) => Self::Intent(intent, read_whole(fields)?),
            RowKey::Consumed(key) => Self::Consumed(key, read_whole(fields)?),
            RowKey::Paid(address) => Self::Paid(address, read_whole(fields)?),
            RowKey::R(r) => Self::R(r, read_whole(fields)?),
            RowKey::Fate(attempt) => Self::Fate(attempt, read_whole(fields)?),
        })
    }
}
