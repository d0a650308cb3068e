//! One officer keeps a bundle that waits from governing: what exactly they say.

use std::{
    collections::BTreeSet,
    fmt::{self, Display},
};

use sha2::{Digest as _, Sha256};
use tx::Name;

use super::{Answers, Header, Kind, Signatures, StatementError, decision, one_officer_signed};
use crate::{BundleHash, Digest, Policy};

/// A statement by which a proposed bundle does not govern.
///
/// ```text
/// strongroom-veto-v1
/// fleet main
/// answers entry 1207
/// bundle <hash of the bundle that waits>
/// veto
/// ```
///
/// The entry is the one that proposed the bundle. The form is injective. It has no end: what it says can only
/// be said of that entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Veto {
    /// The fleet.
    pub fleet: Name,
    /// The entry that proposed the bundle.
    pub entry: u64,
    /// The bundle.
    pub bundle: BundleHash,
}

impl Veto {
    /// The most bytes that are read.
    pub const BYTES_MAX: usize = 1024;

    /// Reads a statement.
    ///
    /// # Errors
    /// [`StatementError`] for every text that `Display` would not have written.
    pub fn parse(text: &str) -> Result<Self, StatementError> {
        let (header, mut lines) = decision::opened(text, Self::BYTES_MAX)?;
        let Header {
            kind: Kind::Veto,
            version: 1,
            fleet,
            answers: Answers::Entry(entry),
        } = header
        else {
            return Err(StatementError::Kind);
        };
        let statement = Self {
            fleet,
            entry,
            bundle: lines.field("bundle ", "`bundle <hash>`")?,
        };
        lines.end("veto\n", "`veto`, the last line")?;
        Ok(statement)
    }

    /// SHA-256 of the text.
    pub fn hash(&self) -> Digest {
        Digest(Sha256::digest(self.to_string()).into())
    }

    /// The first three lines.
    pub fn header(&self) -> Header {
        Header {
            kind: Kind::Veto,
            version: 1,
            fleet: self.fleet.clone(),
            answers: Answers::Entry(self.entry),
        }
    }

    /// The officers of `policy` who signed it: one is enough.
    ///
    /// # Errors
    /// [`StatementError::Signatures`] and [`StatementError::Quorum`].
    pub fn signed_by(
        &self,
        signatures: &str,
        policy: &Policy,
    ) -> Result<BTreeSet<Name>, StatementError> {
        let signatures = Signatures::parse(signatures).map_err(StatementError::Signatures)?;
        let (text, namespace) = (self.to_string(), self.header().namespace());
        one_officer_signed(&text, &namespace, &signatures, policy).map_err(StatementError::Quorum)
    }
}

impl Display for Veto {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.header())?;
        writeln!(f, "bundle {}", self.bundle)?;
        writeln!(f, "veto")
    }
}
