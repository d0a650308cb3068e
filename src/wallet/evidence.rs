//! What was observed, and what it proves. An error is [`Evidence::Unknown`], never
//! [`Evidence::Absent`]; only certificates release a hold or permit another attempt.

use serde::{Deserialize, Serialize};
use tx::ConflictKey;

/// A block, as the chain knows it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BlockRef {
    /// Its height or number.
    pub height: u64,
    /// Its hash, as the chain writes it.
    pub hash: String,
}

/// Where a transaction is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Inclusion {
    /// The block.
    pub block: BlockRef,
    /// The transaction's id there: it may differ from the signer's only in its witness.
    pub txid: String,
    /// The fee that was paid, in base units of the native asset.
    pub fee: tx::Amount,
}

/// What a question about something on the chain came to.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub enum Evidence<T> {
    /// It is there, and every node that was to be asked says so.
    Found(T),
    /// It is not within what was covered, and every node that was to be asked covers it.
    Absent {
        /// What was looked through.
        covered: Covered,
        /// The best block when it was.
        tip: BlockRef,
    },
    /// Nothing is known: an error, a time-out, a disagreement, a node that lags.
    Unknown(Unknown),
}

/// The range in which something was looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Covered {
    /// The first height.
    pub from: u64,
    /// The last height.
    pub to: u64,
}

/// Why nothing is known.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Unknown {
    /// A node could not be asked or did not answer.
    NoAnswer {
        /// What happened, for people.
        detail: String,
    },
    /// Nodes contradict one another, or themselves.
    Disagreement {
        /// What they disagree on, for people.
        detail: String,
    },
    /// A node is behind what it, or another, has shown before.
    Lagging {
        /// Who and by how much, for people.
        detail: String,
    },
}

/// Proof that the signer has not signed an attempt and never will. Made by a lane from definite
/// answers only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "proof", rename_all = "kebab-case", deny_unknown_fields)]
pub enum VoidCertificate {
    /// The signer refused it or asked for people, and every call about it ever made was answered so:
    /// no call's fate is unknown, and no process died while one was out.
    Refused {
        /// How many calls there were.
        calls: u64,
    },
    /// The signer has authorised an attempt of a later epoch on this lane, which refuses this one's
    /// epoch from then on, and answered afterwards that it does not know this request.
    Fenced {
        /// The later epoch.
        epoch: u64,
        /// The journal's index of the attempt that carried it.
        attempt: u64,
    },
    /// An attempt over the same conflict key was authorised that does not declare this one as
    /// replaced, which the signer does only if it had not authorised this one; from then on it
    /// refuses this one, which does not declare that.
    Displaced {
        /// The journal's index of the attempt.
        attempt: u64,
    },
}

/// Proof that a signed attempt can never be included. The only way to release a hold or to pay an
/// intent outside of its conflict set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "proof", rename_all = "kebab-case", deny_unknown_fields)]
pub enum DeathCertificate {
    /// A transaction that conflicts with it is final.
    Conflict {
        /// The key that both consume.
        key: ConflictKey,
        /// The transaction that consumed it.
        winner: Inclusion,
        /// The best block when that was seen.
        tip: BlockRef,
    },
}
