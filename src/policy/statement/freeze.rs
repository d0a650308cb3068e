//! Officers freeze, any one of them at once, and un-freeze, enough of them together: what exactly they say.

use std::{
    collections::BTreeSet,
    fmt::{self, Display},
};

use sha2::{Digest as _, Sha256};
use tx::Name;

use super::{
    Answers, Header, Kind, Signatures, StatementError, decision, officers_signed,
    one_officer_signed,
};
use crate::{Digest, FreezeScope, Policy};

/// A statement by which nothing in a scope is signed or released from then on.
///
/// ```text
/// strongroom-freeze-v1
/// fleet main
/// answers entry 1207
/// scope account eth-hot
/// freeze
/// ```
///
/// The entry is the last one by which something was un-frozen, 0 where nothing was: whoever kept a statement
/// from before cannot freeze by it again. The form is injective.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Freeze {
    /// The fleet.
    pub fleet: Name,
    /// The last entry by which something was un-frozen, or 0.
    pub unfrozen: u64,
    /// What is frozen: `everything`, `account …`, `chain …`, `key …`, `book …` or `own-class …`.
    pub scope: FreezeScope,
}

/// A statement by which what is in a scope may be signed again.
///
/// ```text
/// strongroom-unfreeze-v1
/// fleet main
/// answers entry 1301
/// scope account eth-hot
/// unfreeze
/// ```
///
/// The entry is the one that last froze the scope. The form is injective.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unfreeze {
    /// The fleet.
    pub fleet: Name,
    /// The entry that last froze the scope.
    pub entry: u64,
    /// What is un-frozen.
    pub scope: FreezeScope,
}

/// The most bytes that are read.
const BYTES_MAX: usize = 1024;

fn parse(text: &str, wanted: Kind, end: &str) -> Result<(Name, u64, FreezeScope), StatementError> {
    let (header, mut lines) = decision::opened(text, BYTES_MAX)?;
    let Header {
        kind,
        version: 1,
        fleet,
        answers: Answers::Entry(entry),
    } = header
    else {
        return Err(StatementError::Kind);
    };
    if kind != wanted {
        return Err(StatementError::Kind);
    }
    let scope = lines.field(
        "scope ",
        "`scope everything`, or `account`, `chain`, `key`, `book` or `own-class` and its name",
    )?;
    lines.end(end, "the last line, `freeze` or `unfreeze`")?;
    Ok((fleet, entry, scope))
}

fn header(kind: Kind, fleet: &Name, entry: u64) -> Header {
    Header {
        kind,
        version: 1,
        fleet: fleet.clone(),
        answers: Answers::Entry(entry),
    }
}

impl Freeze {
    /// Reads a statement.
    ///
    /// # Errors
    /// [`StatementError`] for every text that `Display` would not have written.
    pub fn parse(text: &str) -> Result<Self, StatementError> {
        let (fleet, unfrozen, scope) = parse(text, Kind::Freeze, "freeze\n")?;
        Ok(Self {
            fleet,
            unfrozen,
            scope,
        })
    }

    /// SHA-256 of the text.
    pub fn hash(&self) -> Digest {
        Digest(Sha256::digest(self.to_string()).into())
    }

    /// The first three lines.
    pub fn header(&self) -> Header {
        header(Kind::Freeze, &self.fleet, self.unfrozen)
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

impl Unfreeze {
    /// Reads a statement.
    ///
    /// # Errors
    /// [`StatementError`] for every text that `Display` would not have written.
    pub fn parse(text: &str) -> Result<Self, StatementError> {
        let (fleet, entry, scope) = parse(text, Kind::Unfreeze, "unfreeze\n")?;
        Ok(Self {
            fleet,
            entry,
            scope,
        })
    }

    /// SHA-256 of the text.
    pub fn hash(&self) -> Digest {
        Digest(Sha256::digest(self.to_string()).into())
    }

    /// The first three lines.
    pub fn header(&self) -> Header {
        header(Kind::Unfreeze, &self.fleet, self.entry)
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
        let signatures = Signatures::parse(signatures).map_err(StatementError::Signatures)?;
        let (text, namespace) = (self.to_string(), self.header().namespace());
        officers_signed(&text, &namespace, &signatures, policy).map_err(StatementError::Quorum)
    }
}

impl Display for Freeze {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.header())?;
        writeln!(f, "scope {}", self.scope)?;
        writeln!(f, "freeze")
    }
}

impl Display for Unfreeze {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.header())?;
        writeln!(f, "scope {}", self.scope)?;
        writeln!(f, "unfreeze")
    }
}
