//! Officers let a sealed signer go on: what exactly they say, and what it is held against.

use std::{
    collections::BTreeSet,
    fmt::{self, Display},
    str::FromStr,
};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use thiserror::Error;
use tx::{Name, Time};

use super::{
    Answers, Header, HeaderError, Kind, QuorumError, Signatures, SignaturesError, canonical,
    officers_signed,
};
use crate::{BundleHash, Digest, Policy};

/// How long a statement holds at most: what is decided about a machine today is not about the same
/// machine next month.
const LIFE_MAX_MILLIS: u64 = 7 * 24 * 60 * 60 * 1000;

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
    /// It has more bytes than [`Unseal::BYTES_MAX`].
    #[error("a statement takes at most {} bytes", Unseal::BYTES_MAX)]
    TooLong,
    /// The bytes are not ASCII.
    #[error("the statement is not ASCII")]
    Ascii,
    /// Its first three lines are not those of a statement.
    #[error("it has no statement's header")]
    Header(#[source] HeaderError),
    /// It is a statement of another kind or version, or answers something else than a checkpoint.
    #[error("it is not of the form strongroom-unseal-v1, answering a checkpoint")]
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
    /// It answers another report.
    #[error("it answers another report, or one that was carried out")]
    Nonce,
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
            Self::TooLong | Self::Ascii | Self::Header(_) | Self::Kind | Self::Line { .. } => {
                "unseal-form"
            }
            Self::Fleet => "unseal-fleet",
            Self::Log { .. } => "unseal-log",
            Self::Finding { .. } => "unseal-finding",
            Self::Head { .. } => "unseal-head",
            Self::Bundle { .. } => "unseal-bundle",
            Self::Lost { .. } => "unseal-lost",
            Self::Nonce => "unseal-nonce",
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
        if text.len() > Self::BYTES_MAX {
            return Err(UnsealError::TooLong);
        }
        if !text.is_ascii() {
            return Err(UnsealError::Ascii);
        }
        let (header, body) = Header::parse(text).map_err(UnsealError::Header)?;
        let Header {
            kind: Kind::Unseal,
            version: 1,
            fleet,
            answers: Answers::Checkpoint(root),
        } = header
        else {
            return Err(UnsealError::Kind);
        };
        let mut lines = Lines { body, number: 4 };
        let log = lines.field("log ", "`log <id>`")?;
        let found = lines.field("found ", "`found <name>`")?;
        let size = lines.field("size ", "`size <entries>`")?;
        let statement = Self {
            fleet,
            log,
            found,
            head: Head { size, root },
            bundle: lines.field("bundle ", "`bundle <hash>`")?,
            lost: lines.lost()?,
            nonce: lines.field("nonce ", "`nonce <64 hexadecimal digits>`")?,
            expires: lines.field("expires ", "`expires <time>`")?,
        };
        match lines.body {
            "resume\n" => Ok(statement),
            _ => Err(lines.error("`resume`, the last line")),
        }
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
        if self.fleet != found.fleet {
            return Err(UnsealError::Fleet);
        }
        if self.log != found.log {
            let (said, found) = (self.log, found.log);
            return Err(UnsealError::Log { said, found });
        }
        if self.head != found.head {
            let (said, found) = (self.head.size, found.head.size);
            return Err(UnsealError::Head { said, found });
        }
        if self.found != found.name {
            let (said, found) = (self.found.clone(), found.name.clone());
            return Err(UnsealError::Finding { said, found });
        }
        if self.bundle != found.bundle {
            let (said, found) = (self.bundle, found.bundle);
            return Err(UnsealError::Bundle { said, found });
        }
        if let Some(Head { size, root }) = found.lost.difference(&self.lost).next().copied() {
            return Err(UnsealError::Lost { size, root });
        }
        if self.nonce != found.nonce {
            return Err(UnsealError::Nonce);
        }
        self.check_life(now)
    }

    fn check_life(&self, now: Time) -> Result<(), UnsealError> {
        if now > self.expires {
            return Err(UnsealError::Expired(self.expires));
        }
        if self.expires.millis_since(now) > LIFE_MAX_MILLIS {
            return Err(UnsealError::Expires(self.expires));
        }
        Ok(())
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

/// What is left of the body, and the number of its first line.
struct Lines<'t> {
    body: &'t str,
    number: usize,
}

impl Lines<'_> {
    fn error(&self, expected: &'static str) -> UnsealError {
        let line = self.number;
        UnsealError::Line { line, expected }
    }

    fn field<T: FromStr + Display>(
        &mut self,
        key: &str,
        expected: &'static str,
    ) -> Result<T, UnsealError> {
        let line = self.body.split_once('\n');
        let (line, rest) = line.ok_or_else(|| self.error(expected))?;
        let value = line.strip_prefix(key).and_then(canonical);
        let value = value.ok_or_else(|| self.error(expected))?;
        self.body = rest;
        self.number = self.number.saturating_add(1);
        Ok(value)
    }

    fn lost(&mut self) -> Result<BTreeSet<Head>, UnsealError> {
        const EXPECTED: &str = "`lost <size> <root>`, sorted";
        let mut lost = BTreeSet::new();
        while self.body.starts_with("lost ") {
            let at = self.error(EXPECTED);
            let head: Head = self.field("lost ", EXPECTED)?;
            if lost.last().is_some_and(|last| *last >= head) {
                return Err(at);
            }
            lost.insert(head);
        }
        Ok(lost)
    }
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
