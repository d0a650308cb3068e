//! What the statements share by which officers decide about a journal: how their texts begin, who signs
//! them, how long they hold, and why one counts for nothing.

use std::{collections::BTreeSet, fmt::Display};

use sha2::{Digest as _, Sha256};
use thiserror::Error;
use tx::{Chain, Name, Time};

use super::{
    Answers, Header, HeaderError, Kind, QuorumError, Signatures, SignaturesError, lines::Lines,
    officers_signed,
};
use crate::{BundleHash, Digest, Policy};

/// How long a statement holds at most: what is decided about a machine today is not about the same
/// machine next month.
const LIFE_MAX_MILLIS: u64 = 7 * 24 * 60 * 60 * 1000;

/// Why a statement of people about a journal, or of what it keeps, counts for nothing.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum StatementError {
    /// It is too long.
    #[error("a statement takes at most {bytes_max} bytes")]
    TooLong {
        /// What it takes.
        bytes_max: usize,
    },
    /// The bytes are not ASCII.
    #[error("the statement is not ASCII")]
    Ascii,
    /// Its first three lines are not those of a statement.
    #[error("it has no statement's header")]
    Header(#[source] HeaderError),
    /// It is a statement of another kind or version, or answers something else than a checkpoint.
    #[error(
        "it is not of the form that is asked for, such as strongroom-unseal-v1, answering a checkpoint"
    )]
    Kind,
    /// A line that does not stand there.
    #[error("line {line} is not {expected}")]
    Line {
        /// The line, from 1.
        line: usize,
        /// What stands there.
        expected: &'static str,
    },
    /// It is for another fleet.
    #[error("it is for another fleet")]
    Fleet,
    /// It is about another log.
    #[error("it is about log {said}, not {found}")]
    Log {
        /// What it says.
        said: Digest,
        /// What is there.
        found: Digest,
    },
    /// It is about a log of another name.
    #[error("it is about the log {said}, not {found}")]
    Origin {
        /// What it says.
        said: String,
        /// What is there.
        found: String,
    },
    /// It is about another finding.
    #[error("it is about {said}, not {found}")]
    Finding {
        /// What it says.
        said: Name,
        /// What was found.
        found: Name,
    },
    /// It is about another journal than the one that is there.
    #[error("it is about a journal of {said} entries, not this one of {found}")]
    Head {
        /// How many it says there are.
        said: u64,
        /// How many there are.
        found: u64,
    },
    /// It names another bundle than the last that governed.
    #[error("it names bundle {said}, the last that governed is {found}")]
    Bundle {
        /// What it says.
        said: BundleHash,
        /// The one that governed.
        found: BundleHash,
    },
    /// A head that is known and not contained is not named as lost.
    #[error("it does not accept that the log of {size} entries with root {root} is lost")]
    Lost {
        /// How many entries it had.
        size: u64,
        /// Its root.
        root: Digest,
    },
    /// Its epoch was there before.
    #[error("it begins epoch {said}, and epoch {seen} was there before")]
    Epoch {
        /// What it says.
        said: u64,
        /// The last that was there.
        seen: u64,
    },
    /// The epoch would begin in the future, or before the journal's last entry.
    #[error("the epoch begins at {0}, which has not come or is before the journal's last entry")]
    Begins(Time),
    /// It names no next sequence of a key that has one, or one on a chain that has none.
    #[error("it does not say the next sequence of key {key} on {chain}, or there is none")]
    Next {
        /// The key.
        key: Name,
        /// The chain.
        chain: Chain,
    },
    /// It names no address to drain a key to, or one that is the key's own or nobody's.
    #[error("it does not say to which other own address key {key} is drained on {chain}")]
    Drain {
        /// The key.
        key: Name,
        /// The chain.
        chain: Chain,
    },
    /// It is about a book that the bundle does not let anybody load apart, or of another chain.
    #[error("no [[book]] of the running bundle has the name {book}, the chain and signers")]
    Book {
        /// The book.
        book: Name,
    },
    /// It replaces another content of the book than the one that is there.
    #[error("it replaces sequence {said} of the book, and {found} is there")]
    BookSequence {
        /// What it says.
        said: u64,
        /// What is there.
        found: u64,
    },
    /// It answers another report.
    #[error("it answers another report, or one that was carried out")]
    Nonce,
    /// Nothing can be pruned by it.
    #[error("it lets nothing go: {0}")]
    Nothing(&'static str),
    /// It holds no longer.
    #[error("it expired at {0}")]
    Expired(Time),
    /// It would hold for too long.
    #[error("it expires at {0}, more than 7 days from now")]
    Expires(Time),
    /// The signatures cannot be read.
    #[error("the signatures cannot be read")]
    Signatures(#[source] SignaturesError),
    /// Too few officers have signed it.
    #[error("too few officers have signed it")]
    Quorum(#[source] QuorumError),
    /// The attester who says it has not signed it.
    #[error("no key of attester {0} has signed it")]
    Attester(Name),
}

/// The name of an error in a statement of that kind.
macro_rules! name_in {
    ($error:expr, $kind:literal) => {
        match $error {
            Self::TooLong { .. }
            | Self::Ascii
            | Self::Header(_)
            | Self::Kind
            | Self::Line { .. } => concat!($kind, "-form"),
            Self::Fleet => concat!($kind, "-fleet"),
            Self::Log { .. } | Self::Origin { .. } => concat!($kind, "-log"),
            Self::Finding { .. } => concat!($kind, "-finding"),
            Self::Head { .. } => concat!($kind, "-head"),
            Self::Bundle { .. } => concat!($kind, "-bundle"),
            Self::Lost { .. } => concat!($kind, "-lost"),
            Self::Epoch { .. } => concat!($kind, "-epoch"),
            Self::Begins(_) => concat!($kind, "-begins"),
            Self::Next { .. } => concat!($kind, "-next"),
            Self::Drain { .. } => concat!($kind, "-drain"),
            Self::Book { .. } => concat!($kind, "-name"),
            Self::BookSequence { .. } => concat!($kind, "-sequence"),
            Self::Nonce => concat!($kind, "-nonce"),
            Self::Nothing(_) => concat!($kind, "-nothing"),
            Self::Expired(_) | Self::Expires(_) => concat!($kind, "-expiry"),
            Self::Signatures(_) => concat!($kind, "-signatures"),
            Self::Quorum(_) | Self::Attester(_) => concat!($kind, "-quorum"),
        }
    };
}

impl StatementError {
    /// A stable name that scripts can match, of a statement that un-seals.
    pub const fn unseal_name(&self) -> &'static str {
        name_in!(self, "unseal")
    }

    /// A stable name that scripts can match, of a statement that prunes.
    pub const fn prune_name(&self) -> &'static str {
        name_in!(self, "prune")
    }

    /// A stable name that scripts can match, of a statement about a book.
    pub const fn book_name(&self) -> &'static str {
        name_in!(self, "book")
    }
}

/// Fleet and root of a statement of that kind, and the lines below its header.
pub(super) fn begun(
    text: &str,
    asked: Kind,
    bytes_max: usize,
) -> Result<(Name, Digest, Lines<'_>), StatementError> {
    let (header, lines) = opened(text, bytes_max)?;
    match header {
        Header {
            kind,
            version: 1,
            fleet,
            answers: Answers::Checkpoint(root),
        } if kind == asked => Ok((fleet, root, lines)),
        _ => Err(StatementError::Kind),
    }
}

/// The header of a text of at most so many bytes, and the lines below it.
pub(crate) fn opened(text: &str, bytes_max: usize) -> Result<(Header, Lines<'_>), StatementError> {
    if text.len() > bytes_max {
        return Err(StatementError::TooLong { bytes_max });
    }
    if !text.is_ascii() {
        return Err(StatementError::Ascii);
    }
    let (header, body) = Header::parse(text).map_err(StatementError::Header)?;
    Ok((header, Lines::of(body)))
}

/// The first three lines.
pub(super) fn header(kind: Kind, fleet: &Name, root: Digest) -> Header {
    Header {
        kind,
        version: 1,
        fleet: fleet.clone(),
        answers: Answers::Checkpoint(root),
    }
}

/// SHA-256 of the text.
pub(super) fn hash(statement: &impl Display) -> Digest {
    Digest(Sha256::digest(statement.to_string()).into())
}

/// Whether a statement that expires then holds now.
pub(super) fn check_life(expires: Time, now: Time) -> Result<(), StatementError> {
    if now > expires {
        return Err(StatementError::Expired(expires));
    }
    if expires.millis_since(now) > LIFE_MAX_MILLIS {
        return Err(StatementError::Expires(expires));
    }
    Ok(())
}

/// The officers of `policy` who signed it, if they are enough.
pub(super) fn signed_by(
    (statement, header): (&impl Display, &Header),
    signatures: &str,
    policy: &Policy,
) -> Result<BTreeSet<Name>, StatementError> {
    let signatures = Signatures::parse(signatures).map_err(StatementError::Signatures)?;
    let (text, namespace) = (statement.to_string(), header.namespace());
    officers_signed(&text, &namespace, &signatures, policy).map_err(StatementError::Quorum)
}
