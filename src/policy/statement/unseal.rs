//! Officers let a sealed signer go on: what exactly they say, and what it is held against.

use std::{
    collections::BTreeSet,
    fmt::{self, Display},
    str::FromStr,
};

use serde::{Deserialize, Serialize};
use tx::{Name, Time};

use super::{Header, Kind, StatementError, decision};
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
    /// [`StatementError`] for every text that `Display` would not have written.
    pub fn parse(text: &str) -> Result<Self, StatementError> {
        let (fleet, root, mut lines) = decision::begun(text, Kind::Unseal, Self::BYTES_MAX)?;
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
        decision::hash(self)
    }

    /// The first three lines.
    pub fn header(&self) -> Header {
        decision::header(Kind::Unseal, &self.fleet, self.head.root)
    }

    /// Whether it is about what was found, and holds now.
    ///
    /// # Errors
    /// [`StatementError`] by the first thing that differs.
    pub fn check(&self, found: &Found, now: Time) -> Result<(), StatementError> {
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
        decision::check_life(self.expires, now)
    }

    /// The officers of `policy` who signed it, if they are enough.
    ///
    /// # Errors
    /// [`StatementError::Signatures`] and [`StatementError::Quorum`].
    pub fn signed_by(
        &self,
        signatures: &str,
        policy: &Policy,
    ) -> Result<BTreeSet<Name>, StatementError> {
        decision::signed_by((self, &self.header()), signatures, policy)
    }
}

/// Whether what a statement is about is what was found; it may give up more.
pub(super) fn check_found(said: &Found, found: &Found) -> Result<(), StatementError> {
    if said.fleet != found.fleet {
        return Err(StatementError::Fleet);
    }
    if said.log != found.log {
        let (said, found) = (said.log, found.log);
        return Err(StatementError::Log { said, found });
    }
    if said.head != found.head {
        let (said, found) = (said.head.size, found.head.size);
        return Err(StatementError::Head { said, found });
    }
    if said.name != found.name {
        let (said, found) = (said.name.clone(), found.name.clone());
        return Err(StatementError::Finding { said, found });
    }
    if said.bundle != found.bundle {
        let (said, found) = (said.bundle, found.bundle);
        return Err(StatementError::Bundle { said, found });
    }
    if let Some(Head { size, root }) = found.lost.difference(&said.lost).next().copied() {
        return Err(StatementError::Lost { size, root });
    }
    if said.nonce != found.nonce {
        return Err(StatementError::Nonce);
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
