//! Officers let a sealed signer go on: what exactly they say, and what it is held against.

use std::{
    collections::BTreeSet,
    fmt::{self, Display},
    str::FromStr,
};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use thiserror::Error;
use tx::{Chain, Name, Time};

use super::{
    Answers, Header, HeaderError, Kind, QuorumError, Signatures, SignaturesError,
    lines::{self, Lines},
    officers_signed,
};
use crate::{BundleHash, Digest, Policy};

/// Size and root of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Head {
    /// How many entries there are.
    pub size: u64,
    /// RFC 6962 root over their leaves.
    pub root: Digest,
}

/// A statement by which a sealed signer goes on from the journal that is there.
///
/// ```text
/// strongroom-unseal-v1
/// fleet main
/// answers checkpoint <root of what is there>
/// log <id of the log>
/// found shorter-than-checkpoint
/// size 120
/// bundle <hash of the bundle whose officers sign>
/// lost 140 <root>
/// nonce <64 hexadecimal digits of the report>
/// expires 2026-11-21T20:00:00Z
/// resume
/// ```
///
/// Each `lost` line is a head that is known and that the journal does not contain: what was decided up
/// to there and is not in the journal counts for nothing from here on. They are sorted, by size. The
/// form is injective: a statement has one text and no other text is that statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unseal {
    /// The fleet.
    pub fleet: Name,
    /// The log's id.
    pub log: Digest,
    /// The name of what seals the signer.
    pub found: Name,
    /// What is there.
    pub head: Head,
    /// The last bundle that governed, whose officers sign.
    pub bundle: BundleHash,
    /// The heads that are known and not contained.
    pub lost: BTreeSet<Head>,
    /// From the report that the statement answers.
    pub nonce: Digest,
    /// When it holds no longer.
    pub expires: Time,
}

/// What is found in a data folder, which a statement must be about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The fleet.
    pub fleet: Name,
    /// The log's id.
    pub log: Digest,
    /// The name of what seals the signer.
    pub name: Name,
    /// What is there, whole and verified in itself.
    pub head: Head,
    /// The last bundle that governed.
    pub bundle: BundleHash,
    /// The heads that are known and not contained.
    pub lost: BTreeSet<Head>,
    /// From the report that was made of it.
    pub nonce: Digest,
}

/// Why a statement un-seals nothing.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum UnsealError {
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
}

impl UnsealError {
    /// A stable name that scripts can match.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::TooLong { .. }
            | Self::Ascii
            | Self::Header(_)
            | Self::Kind
            | Self::Line { .. } => "unseal-form",
            Self::Fleet => "unseal-fleet",
            Self::Log { .. } | Self::Origin { .. } => "unseal-log",
            Self::Finding { .. } => "unseal-finding",
            Self::Head { .. } => "unseal-head",
            Self::Bundle { .. } => "unseal-bundle",
            Self::Lost { .. } => "unseal-lost",
            Self::Epoch { .. } => "unseal-epoch",
            Self::Begins(_) => "unseal-begins",
            Self::Next { .. } => "unseal-next",
            Self::Drain { .. } => "unseal-drain",
            Self::Nonce => "unseal-nonce",
            Self::Nothing(_) => "prune-nothing",
            Self::Expired(_) | Self::Expires(_) => "unseal-expiry",
            Self::Signatures(_) => "unseal-signatures",
            Self::Quorum(_) => "unseal-quorum",
        }
    }
}

impl Unseal {
    /// The most bytes that are read.
    pub const BYTES_MAX: usize = 16 * 1024;

    /// A statement of exactly what was found.
    pub fn of(found: &Found, expires: Time) -> Self {
        let Found {
            fleet,
            log,
            name,
            head,
            bundle,
            lost,
            nonce,
        } = found.clone();
        Self {
            fleet,
            log,
            found: name,
            head,
            bundle,
            lost,
            nonce,
            expires,
        }
    }

    /// Reads a statement.
    ///
    /// # Errors
    /// [`UnsealError`] for every text that `Display` would not have written.
    pub fn parse(text: &str) -> Result<Self, UnsealError> {
        let (header, mut lines) = Lines::of(text, Self::BYTES_MAX)?;
        let Header {
            kind: Kind::Unseal,
            version: 1,
            fleet,
            answers: Answers::Checkpoint(root),
        } = header
        else {
            return Err(UnsealError::Kind);
        };
        let log = lines.field("log ", "`log <id>`")?;
        let found = lines.field("found ", "`found <name>`")?;
        let size = lines.field("size ", "`size <entries>`")?;
        let statement = Self {
            fleet,
            log,
            found,
            head: Head { size, root },
            bundle: lines.field("bundle ", "`bundle <hash>`")?,
            lost: lines.set("lost ", "`lost <size> <root>`, sorted")?,
            nonce: lines.field("nonce ", "`nonce <64 hexadecimal digits>`")?,
            expires: lines.field("expires ", "`expires <time>`")?,
        };
        lines.end("resume\n", "`resume`, the last line")?;
        Ok(statement)
    }

    /// SHA-256 of the text.
    pub fn hash(&self) -> Digest {
        Digest(Sha256::digest(self.to_string()).into())
    }

    /// The first three lines.
    pub fn header(&self) -> Header {
        Header {
            kind: Kind::Unseal,
            version: 1,
            fleet: self.fleet.clone(),
            answers: Answers::Checkpoint(self.head.root),
        }
    }

    /// Whether it is about what was found, and holds now.
    ///
    /// # Errors
    /// [`UnsealError`] by the first thing that differs.
    pub fn check(&self, found: &Found, now: Time) -> Result<(), UnsealError> {
        check_found(
            &Found {
                fleet: self.fleet.clone(),
                log: self.log,
                name: self.found.clone(),
                head: self.head,
                bundle: self.bundle,
                lost: self.lost.clone(),
                nonce: self.nonce,
            },
            found,
        )?;
        lines::check_life(self.expires, now)
    }

    /// The officers of `policy` who signed it, if they are enough.
    ///
    /// # Errors
    /// [`UnsealError::Signatures`] and [`UnsealError::Quorum`].
    pub fn signed_by(
        &self,
        signatures: &str,
        policy: &Policy,
    ) -> Result<BTreeSet<Name>, UnsealError> {
        let signatures = Signatures::parse(signatures).map_err(UnsealError::Signatures)?;
        let (text, namespace) = (self.to_string(), self.header().namespace());
        officers_signed(&text, &namespace, &signatures, policy).map_err(UnsealError::Quorum)
    }
}

/// Whether what a statement is about is what was found; it may give up more.
pub(super) fn check_found(said: &Found, found: &Found) -> Result<(), UnsealError> {
    if said.fleet != found.fleet {
        return Err(UnsealError::Fleet);
    }
    if said.log != found.log {
        let (said, found) = (said.log, found.log);
        return Err(UnsealError::Log { said, found });
    }
    if said.head != found.head {
        let (said, found) = (said.head.size, found.head.size);
        return Err(UnsealError::Head { said, found });
    }
    if said.name != found.name {
        let (said, found) = (said.name.clone(), found.name.clone());
        return Err(UnsealError::Finding { said, found });
    }
    if said.bundle != found.bundle {
        let (said, found) = (said.bundle, found.bundle);
        return Err(UnsealError::Bundle { said, found });
    }
    if let Some(Head { size, root }) = found.lost.difference(&said.lost).next().copied() {
        return Err(UnsealError::Lost { size, root });
    }
    if said.nonce != found.nonce {
        return Err(UnsealError::Nonce);
    }
    Ok(())
}

impl FromStr for Head {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (size, root) = text.split_once(' ').ok_or(())?;
        Ok(Self {
            size: size.parse().map_err(|_| ())?,
            root: root.parse().map_err(|_| ())?,
        })
    }
}

impl Display for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.size, self.root)
    }
}

impl Display for Unseal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.header())?;
        writeln!(f, "log {}", self.log)?;
        writeln!(f, "found {}", self.found)?;
        writeln!(f, "size {}", self.head.size)?;
        writeln!(f, "bundle {}", self.bundle)?;
        for head in &self.lost {
            writeln!(f, "lost {head}")?;
        }
        writeln!(f, "nonce {}", self.nonce)?;
        writeln!(f, "expires {}", self.expires)?;
        writeln!(f, "resume")
    }
}
