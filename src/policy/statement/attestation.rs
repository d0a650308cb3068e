//! Attesters' statements: what one of them saw, in the words that it signs.

use std::{fmt, str::FromStr};

use sha2::{Digest as _, Sha256};
use tx::{Address, AddressError, Asset, Name, Time};

use super::{Answers, Header, Kind, Signatures, StatementError, decision, lines::Lines};
use crate::{AttestationKind, Digest, Price};

/// A statement of one attester.
///
/// ```text
/// strongroom-price-v1
/// fleet main
/// answers sequence 1795262400000
/// attester watch-1
/// at 2026-11-21T12:00:00Z
/// asset eip155:1/native
/// currency usd
/// price 3050.25
/// ```
///
/// or, of the kind `strongroom-final-v1`, instead of the last three lines
///
/// ```text
/// account eip155:1:0x52908400098527886E0F7030069857D2E4169EE7
/// next 42
/// ```
///
/// The sequence is the statement's own number: above that of each one that the attester said of the same
/// before. The form is injective.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attestation {
    /// The fleet.
    pub fleet: Name,
    /// Its number.
    pub number: u64,
    /// Who says it.
    pub attester: Name,
    /// When it was seen.
    pub at: Time,
    /// What was seen.
    pub seen: Seen,
}

/// What an attester saw.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Seen {
    /// What one whole unit of an asset is worth.
    Price {
        /// The asset.
        asset: Asset,
        /// The currency.
        currency: Name,
        /// What it is worth.
        price: Price,
    },
    /// That every sequence of an account below this one is used by a transaction in a final block.
    Final {
        /// The account.
        account: Address,
        /// The first sequence that need not be.
        next: u64,
    },
}

/// An address with its chain, in its one spelling.
struct Qualified(Address);

impl FromStr for Qualified {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        Address::parse_qualified(text).map(Self)
    }
}

impl fmt::Display for Qualified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.qualified())
    }
}

/// The most bytes that are read.
const BYTES_MAX: usize = 1024;

impl Attestation {
    /// Reads a statement.
    ///
    /// # Errors
    /// [`StatementError`] for every text that `Display` would not have written.
    pub fn parse(text: &str) -> Result<Self, StatementError> {
        let (header, mut lines) = decision::opened(text, BYTES_MAX)?;
        let Header {
            kind,
            version: 1,
            fleet,
            answers: Answers::Sequence(number),
        } = header
        else {
            return Err(StatementError::Kind);
        };
        let read = match kind {
            Kind::Price => price,
            Kind::Final => finality,
            _ => return Err(StatementError::Kind),
        };
        let attester = lines.field("attester ", "`attester` and a name")?;
        let at = lines.field("at ", "`at` and a time such as 2026-11-21T12:00:00Z")?;
        let seen = read(&mut lines)?;
        lines.end("", "the end of the statement")?;
        Ok(Self {
            fleet,
            number,
            attester,
            at,
            seen,
        })
    }

    /// Of which kind it is.
    pub fn kind(&self) -> AttestationKind {
        match self.seen {
            Seen::Price { .. } => AttestationKind::Price,
            Seen::Final { .. } => AttestationKind::Final,
        }
    }

    /// The first three lines.
    pub fn header(&self) -> Header {
        Header {
            kind: match self.seen {
                Seen::Price { .. } => Kind::Price,
                Seen::Final { .. } => Kind::Final,
            },
            version: 1,
            fleet: self.fleet.clone(),
            answers: Answers::Sequence(self.number),
        }
    }

    /// SHA-256 of the text.
    pub fn hash(&self) -> Digest {
        Digest(Sha256::digest(self.to_string()).into())
    }

    /// Whether the key of this line has signed it.
    pub fn is_signed_by(&self, key: &str, signatures: &Signatures) -> bool {
        signatures.has(&self.to_string(), &self.header().namespace(), key)
    }
}

fn price(lines: &mut Lines<'_>) -> Result<Seen, StatementError> {
    Ok(Seen::Price {
        asset: lines.field("asset ", "`asset` and an asset such as eip155:1/native")?,
        currency: lines.field("currency ", "`currency` and its name")?,
        price: lines.field("price ", "`price` and a decimal number")?,
    })
}

fn finality(lines: &mut Lines<'_>) -> Result<Seen, StatementError> {
    let Qualified(account) = lines.field("account ", "`account` and a chain with an address")?;
    let next = lines.field("next ", "`next` and a sequence")?;
    Ok(Seen::Final { account, next })
}

impl fmt::Display for Attestation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.header())?;
        writeln!(f, "attester {}", self.attester)?;
        writeln!(f, "at {}", self.at)?;
        match &self.seen {
            Seen::Price {
                asset,
                currency,
                price,
            } => {
                writeln!(f, "asset {asset}")?;
                writeln!(f, "currency {currency}")?;
                writeln!(f, "price {price}")
            }
            Seen::Final { account, next } => {
                writeln!(f, "account {}", account.qualified())?;
                writeln!(f, "next {next}")
            }
        }
    }
}
