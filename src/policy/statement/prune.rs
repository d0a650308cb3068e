//! Officers let old bodies go, because they are kept elsewhere: what exactly they say.

use std::{
    collections::BTreeSet,
    fmt::{self, Display},
};

use tlog::checkpoint::Origin;
use tx::{Name, Time};

use super::{Head, Header, Kind, StatementError, decision};
use crate::{BundleHash, Digest, Policy};

/// A statement by which bodies that were exported are removed from the signer, and their salts with them.
///
/// ```text
/// strongroom-prune-v1
/// fleet main
/// answers checkpoint <root of what was exported>
/// log strongroom/main/<first digits of the log's id>
/// size 1200000
/// bundle <hash of the bundle whose officers sign>
/// before 2026-08-01T00:00:00Z
/// expires 2026-11-28T20:00:00Z
/// prune
/// ```
///
/// It says that the first `size` entries are kept elsewhere, whole and verified, and lets those go that were
/// written before a time. The form is injective.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prune {
    /// The fleet.
    pub fleet: Name,
    /// What the log is called in its checkpoints.
    pub log: Origin,
    /// What was exported.
    pub exported: Head,
    /// The bundle that governs, whose officers sign.
    pub bundle: BundleHash,
    /// Bodies that were written later stay.
    pub before: Time,
    /// When it holds no longer.
    pub expires: Time,
}

impl Prune {
    /// The most bytes that are read.
    pub const BYTES_MAX: usize = 4 * 1024;

    /// Reads a statement.
    ///
    /// # Errors
    /// [`StatementError`] for every text that `Display` would not have written.
    pub fn parse(text: &str) -> Result<Self, StatementError> {
        let (fleet, root, mut lines) = decision::begun(text, Kind::Prune, Self::BYTES_MAX)?;
        let log = lines.field("log ", "`log <origin>`")?;
        let size = lines.field("size ", "`size <entries>`")?;
        let statement = Self {
            fleet,
            log,
            exported: Head { size, root },
            bundle: lines.field("bundle ", "`bundle <hash>`")?,
            before: lines.field("before ", "`before <time>`")?,
            expires: lines.field("expires ", "`expires <time>`")?,
        };
        lines.end("prune\n", "`prune`, the last line")?;
        Ok(statement)
    }

    /// SHA-256 of the text.
    pub fn hash(&self) -> Digest {
        decision::hash(self)
    }

    /// The first three lines.
    pub fn header(&self) -> Header {
        decision::header(Kind::Prune, &self.fleet, self.exported.root)
    }

    /// Whether it is about this log, whose exported entries have this root, and holds now.
    ///
    /// # Errors
    /// [`StatementError`] by the first thing that differs.
    pub fn check(&self, log: &Origin, found: Head, now: Time) -> Result<(), StatementError> {
        if self.log != *log {
            let said = self.log.to_string();
            let found = log.to_string();
            return Err(StatementError::Origin { said, found });
        }
        if self.exported != found {
            let (said, found) = (self.exported.size, found.size);
            return Err(StatementError::Head { said, found });
        }
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

impl Display for Prune {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.header())?;
        writeln!(f, "log {}", self.log)?;
        writeln!(f, "size {}", self.exported.size)?;
        writeln!(f, "bundle {}", self.bundle)?;
        writeln!(f, "before {}", self.before)?;
        writeln!(f, "expires {}", self.expires)?;
        writeln!(f, "prune")
    }
}
