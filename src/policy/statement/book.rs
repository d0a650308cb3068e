//! What a book has that is loaded apart from the bundle, and that an officer keeps it from cooling: what exactly
//! they say.

use std::{
    collections::BTreeSet,
    fmt::{self, Display},
};

use tx::{Chain, Name};

use super::{
    Answers, Header, Kind, Signatures, StatementError, decision, one_officer_signed, people_signed,
};
use crate::{BookApart, Digest, Policy};

/// A statement by which a book has another content.
///
/// ```text
/// strongroom-book-v1
/// fleet main
/// answers sequence 4
/// book customers
/// chain eip155:1
/// addresses 812345
/// file <SHA-256 of the file>
/// load
/// ```
///
/// It answers the sequence of the content that it replaces, 0 for the first one, and its own is one above. The
/// form is injective.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BookUpdate {
    /// The fleet.
    pub fleet: Name,
    /// The sequence of the content that it replaces.
    pub replaces: u64,
    /// The book.
    pub book: Name,
    /// The chain of its addresses.
    pub chain: Chain,
    /// How many there are.
    pub addresses: u64,
    /// SHA-256 of the file.
    pub file: Digest,
}

impl BookUpdate {
    /// The most bytes that are read.
    pub const BYTES_MAX: usize = 1024;

    /// Reads a statement.
    ///
    /// # Errors
    /// [`StatementError`] for every text that `Display` would not have written.
    pub fn parse(text: &str) -> Result<Self, StatementError> {
        let (header, mut lines) = decision::opened(text, Self::BYTES_MAX)?;
        let Header {
            kind: Kind::Book,
            version: 1,
            fleet,
            answers: Answers::Sequence(replaces),
        } = header
        else {
            return Err(StatementError::Kind);
        };
        let statement = Self {
            fleet,
            replaces,
            book: lines.field("book ", "`book <name>`")?,
            chain: lines.field("chain ", "`chain <chain>`")?,
            addresses: lines.field("addresses ", "`addresses <number>`")?,
            file: lines.field("file ", "`file <sha-256>`")?,
        };
        lines.end("load\n", "`load`, the last line")?;
        Ok(statement)
    }

    /// Its own sequence.
    pub fn sequence(&self) -> u64 {
        self.replaces.saturating_add(1)
    }

    /// SHA-256 of the text.
    pub fn hash(&self) -> Digest {
        decision::hash(self)
    }

    /// The first three lines.
    pub fn header(&self) -> Header {
        Header {
            kind: Kind::Book,
            version: 1,
            fleet: self.fleet.clone(),
            answers: Answers::Sequence(self.replaces),
        }
    }

    /// What the policy says of the book.
    ///
    /// # Errors
    /// [`StatementError::Fleet`] and [`StatementError::Book`].
    pub fn apart<'p>(&self, policy: &'p Policy) -> Result<&'p BookApart, StatementError> {
        if policy.fleet != self.fleet {
            return Err(StatementError::Fleet);
        }
        let apart = policy.book_apart(&self.book);
        let apart = apart.filter(|apart| apart.chain == self.chain);
        apart.ok_or_else(|| StatementError::Book {
            book: self.book.clone(),
        })
    }

    /// The book's signers by `policy` who signed it, if they are enough.
    ///
    /// # Errors
    /// As [`BookUpdate::apart`]; [`StatementError::Signatures`] and [`StatementError::Quorum`].
    pub fn signed_by(
        &self,
        signatures: &str,
        policy: &Policy,
    ) -> Result<BTreeSet<Name>, StatementError> {
        let apart = self.apart(policy)?;
        let signatures = Signatures::parse(signatures).map_err(StatementError::Signatures)?;
        let (text, namespace) = (self.to_string(), self.header().namespace());
        let needed = (apart.threshold, &apart.signers);
        people_signed((&text, &namespace), &signatures, policy, needed)
            .map_err(StatementError::Quorum)
    }
}

impl Display for BookUpdate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.header())?;
        writeln!(f, "book {}", self.book)?;
        writeln!(f, "chain {}", self.chain)?;
        writeln!(f, "addresses {}", self.addresses)?;
        writeln!(f, "file {}", self.file)?;
        writeln!(f, "load")
    }
}

/// A statement by which a content of a book that is cooling does not cool.
///
/// ```text
/// strongroom-book-veto-v1
/// fleet main
/// answers entry 1207
/// book customers
/// veto
/// ```
///
/// The entry is the one that loaded the content. The form is injective. It has no end: what it says can only be
/// said of that entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BookVeto {
    /// The fleet.
    pub fleet: Name,
    /// The entry that loaded the content.
    pub entry: u64,
    /// The book.
    pub book: Name,
}

impl BookVeto {
    /// The most bytes that are read.
    pub const BYTES_MAX: usize = 1024;

    /// Reads a statement.
    ///
    /// # Errors
    /// [`StatementError`] for every text that `Display` would not have written.
    pub fn parse(text: &str) -> Result<Self, StatementError> {
        let (header, mut lines) = decision::opened(text, Self::BYTES_MAX)?;
        let Header {
            kind: Kind::BookVeto,
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
            book: lines.field("book ", "`book <name>`")?,
        };
        lines.end("veto\n", "`veto`, the last line")?;
        Ok(statement)
    }

    /// SHA-256 of the text.
    pub fn hash(&self) -> Digest {
        decision::hash(self)
    }

    /// The first three lines.
    pub fn header(&self) -> Header {
        Header {
            kind: Kind::BookVeto,
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

impl Display for BookVeto {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.header())?;
        writeln!(f, "book {}", self.book)?;
        writeln!(f, "veto")
    }
}
