//! People say that they are there, and have seen the journal: what exactly they say.

use std::{
    collections::BTreeSet,
    fmt::{self, Display},
};

use tlog::checkpoint::Origin;
use tx::{Name, Time};

use super::{Head, Header, Kind, Signatures, StatementError, decision, people_signed};
use crate::{Digest, Policy};

/// A statement by which people say when they last looked at a signer, and what they saw of it.
///
/// ```text
/// strongroom-heartbeat-v1
/// fleet main
/// answers checkpoint <root of what was seen>
/// log strongroom/main/<first digits of the log's id>
/// size 1200000
/// at 2026-11-21T12:00:00Z
/// alive
/// ```
///
/// Nobody knows the root before the checkpoint is made, so that none can be signed ahead of it; what counts is
/// the time it was signed at, so that keeping one back gains nothing. The form is injective.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heartbeat {
    /// The fleet.
    pub fleet: Name,
    /// What the log is called in its checkpoints.
    pub log: Origin,
    /// What was seen.
    pub seen: Head,
    /// When, by the clock of who signs.
    pub at: Time,
}

impl Heartbeat {
    /// The most bytes that are read.
    pub const BYTES_MAX: usize = 1024;

    /// Reads a statement.
    ///
    /// # Errors
    /// [`StatementError`] for every text that `Display` would not have written.
    pub fn parse(text: &str) -> Result<Self, StatementError> {
        let (fleet, root, mut lines) = decision::begun(text, Kind::Heartbeat, Self::BYTES_MAX)?;
        let log = lines.field("log ", "`log <origin>`")?;
        let size = lines.field("size ", "`size <entries>`")?;
        let statement = Self {
            fleet,
            log,
            seen: Head { size, root },
            at: lines.field("at ", "`at` and a time such as 2026-11-21T12:00:00Z")?,
        };
        lines.end("alive\n", "`alive`, the last line")?;
        Ok(statement)
    }

    /// SHA-256 of the text.
    pub fn hash(&self) -> Digest {
        decision::hash(self)
    }

    /// The first three lines.
    pub fn header(&self) -> Header {
        decision::header(Kind::Heartbeat, &self.fleet, self.seen.root)
    }

    /// Whether it is about this log.
    ///
    /// # Errors
    /// [`StatementError::Origin`].
    pub fn check(&self, log: &Origin) -> Result<(), StatementError> {
        if self.log == *log {
            return Ok(());
        }
        let (said, found) = (self.log.to_string(), log.to_string());
        Err(StatementError::Origin { said, found })
    }

    /// Those whose word counts by `policy` and who signed it, if they are enough.
    ///
    /// # Errors
    /// [`StatementError::Signatures`] and [`StatementError::Quorum`]; always where no heartbeat is asked for.
    pub fn signed_by(
        &self,
        signatures: &str,
        policy: &Policy,
    ) -> Result<BTreeSet<Name>, StatementError> {
        let signatures = Signatures::parse(signatures).map_err(StatementError::Signatures)?;
        let (text, namespace) = (self.to_string(), self.header().namespace());
        let nobody = BTreeSet::new();
        let heartbeat = policy.heartbeat.as_ref();
        let needed = heartbeat.map_or((0, &nobody), |rule| (rule.threshold, &rule.people));
        people_signed((&text, &namespace), &signatures, policy, needed)
            .map_err(StatementError::Quorum)
    }
}

impl Display for Heartbeat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.header())?;
        writeln!(f, "log {}", self.log)?;
        writeln!(f, "size {}", self.seen.size)?;
        writeln!(f, "at {}", self.at)?;
        writeln!(f, "alive")
    }
}
