//! Attesters' statements: what one of them saw, in the words that it signs.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use thiserror::Error;
use tx::{Address, AddressError, Asset, Chain, Name, Time};

use super::{Answers, Header, Kind, Signatures, StatementError, decision, lines::Lines};
use crate::{AttemptId, AttestationKind, Digest, Price, RequestHash};

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
/// or, of an attempt, of the kind `strongroom-final-v1` or `strongroom-dead-v1`
///
/// ```text
/// attempt 57
/// request 9e5d…
/// transaction 0x3b1f…
/// ```
///
/// or, of the kind `strongroom-head-v1`,
///
/// ```text
/// chain eip155:1
/// height 23894021
/// ```
///
/// or, of the kind `strongroom-reconciled-v1`,
///
/// ```text
/// size 1042
/// root 5fd1…
/// ```
///
/// or, of the kind `strongroom-time-v1`, no further line: that it is at least as late as it says.
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
    /// What became of an attempt that is signed.
    Fate {
        /// The attempt.
        attempt: AttemptId,
        /// The fingerprint of its request: in a log that was lost and begun anew, the index alone would be
        /// another attempt's.
        request: RequestHash,
        /// Its transaction.
        transaction: TransactionId,
        /// What became of it.
        fate: Fate,
    },
    /// Which height a chain has.
    Head {
        /// The chain.
        chain: Chain,
        /// The height of its last block.
        height: u64,
    },
    /// That what the first entries of the journal say agrees with the chains.
    Reconciled {
        /// How many entries.
        size: u64,
        /// The journal's root over them.
        root: Digest,
    },
    /// That it is at least the time of the statement.
    Time,
}

/// What became of an attempt, for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fate {
    /// It is in a final block.
    Final,
    /// It can never be included.
    Dead,
}

/// A transaction's id as explorers show it: 64 lower-case hexadecimal digits, on EVM chains behind `0x`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransactionId(String);

/// A text is no id of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("a transaction's id has 64 lower-case hexadecimal digits, on EVM chains behind 0x")]
pub struct TransactionIdError;

impl TransactionId {
    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for TransactionId {
    type Err = TransactionIdError;

    fn from_str(text: &str) -> Result<Self, TransactionIdError> {
        let digits = text.strip_prefix("0x").unwrap_or(text);
        let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        match digits.len() == 64 && digits.bytes().all(is_digit) {
            true => Ok(Self(text.into())),
            false => Err(TransactionIdError),
        }
    }
}

impl fmt::Display for TransactionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Fate {
    /// The kind of statement that says it.
    pub const fn kind(self) -> AttestationKind {
        match self {
            Self::Final => AttestationKind::Final,
            Self::Dead => AttestationKind::Dead,
        }
    }
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
            Kind::Dead => dead,
            Kind::Head => head,
            Kind::Reconciled => reconciled,
            Kind::Time => time,
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
            Seen::Fate { fate, .. } => fate.kind(),
            Seen::Head { .. } => AttestationKind::Head,
            Seen::Reconciled { .. } => AttestationKind::Reconciled,
            Seen::Time => AttestationKind::Time,
        }
    }

    /// The first three lines.
    pub fn header(&self) -> Header {
        Header {
            kind: match self.kind() {
                AttestationKind::Price => Kind::Price,
                AttestationKind::Final => Kind::Final,
                AttestationKind::Dead => Kind::Dead,
                AttestationKind::Head => Kind::Head,
                AttestationKind::Reconciled => Kind::Reconciled,
                AttestationKind::Time => Kind::Time,
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
    if lines.begins("attempt ") {
        return fate(lines, Fate::Final);
    }
    let Qualified(account) = lines.field("account ", "`account` and a chain with an address")?;
    let next = lines.field("next ", "`next` and a sequence")?;
    Ok(Seen::Final { account, next })
}

fn dead(lines: &mut Lines<'_>) -> Result<Seen, StatementError> {
    fate(lines, Fate::Dead)
}

fn fate(lines: &mut Lines<'_>, fate: Fate) -> Result<Seen, StatementError> {
    Ok(Seen::Fate {
        attempt: lines.field("attempt ", "`attempt` and the index of its entry")?,
        request: lines.field("request ", "`request` and the fingerprint of the request")?,
        transaction: lines.field("transaction ", "`transaction` and its id")?,
        fate,
    })
}

fn head(lines: &mut Lines<'_>) -> Result<Seen, StatementError> {
    Ok(Seen::Head {
        chain: lines.field("chain ", "`chain` and a chain such as eip155:1")?,
        height: lines.field("height ", "`height` and the number of a block")?,
    })
}

fn reconciled(lines: &mut Lines<'_>) -> Result<Seen, StatementError> {
    Ok(Seen::Reconciled {
        size: lines.field("size ", "`size` and a number of entries")?,
        root: lines.field("root ", "`root` and the journal's root")?,
    })
}

fn time(_: &mut Lines<'_>) -> Result<Seen, StatementError> {
    Ok(Seen::Time)
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
            Seen::Fate {
                attempt,
                request,
                transaction,
                fate: _,
            } => {
                writeln!(f, "attempt {attempt}")?;
                writeln!(f, "request {request}")?;
                writeln!(f, "transaction {transaction}")
            }
            Seen::Head { chain, height } => {
                writeln!(f, "chain {chain}")?;
                writeln!(f, "height {height}")
            }
            Seen::Reconciled { size, root } => {
                writeln!(f, "size {size}")?;
                writeln!(f, "root {root}")
            }
            Seen::Time => Ok(()),
        }
    }
}
