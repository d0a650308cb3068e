//! The record of everything an authority ever did: one JSON object a line, nothing ever changed.
//!
//! It is the only source of the revocation list, so a line that cannot be understood stops everything:
//! a list without one revoked certificate would let it in again.

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::error::PkiError;
use super::subject::{Serial, Subject};
use crate::files::{self, Access};

/// More than a hundred thousand certificates.
const INDEX_MAX_BYTES: u64 = 64 << 20;

/// One line.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// The authority was made. The first line, and no other.
    Authority(Founding),
    /// A certificate was signed.
    Issued(Issued),
    /// A certificate was revoked.
    Revoked(Revocation),
    /// A revocation list was signed.
    Listed(Listing),
}

/// The authority itself.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Founding {
    /// Its common name.
    pub name: String,
    /// The serial number of its certificate.
    pub serial: Serial,
    /// From when its certificate is valid.
    #[serde(with = "instant")]
    pub not_before: Timestamp,
    /// Until when.
    #[serde(with = "instant")]
    pub not_after: Timestamp,
    /// The pin of its public key.
    pub spki_sha256: String,
}

/// A certificate that was signed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Issued {
    /// Its serial number.
    pub serial: Serial,
    /// Who it is for.
    #[serde(flatten)]
    pub subject: Subject,
    /// From when it is valid.
    #[serde(with = "instant")]
    pub not_before: Timestamp,
    /// Until when.
    #[serde(with = "instant")]
    pub not_after: Timestamp,
    /// The pin of its public key.
    pub spki_sha256: String,
}

/// A certificate that no server may accept any more.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Revocation {
    /// Its serial number.
    pub serial: Serial,
    /// Since when.
    #[serde(with = "instant")]
    pub at: Timestamp,
    /// Why.
    pub reason: Reason,
}

/// A revocation list that was signed.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Listing {
    /// Its number; each is higher than those before.
    pub number: u64,
    /// When it was made.
    #[serde(with = "instant")]
    pub this_update: Timestamp,
    /// When a server that checks it stops believing it.
    #[serde(with = "instant")]
    pub next_update: Timestamp,
}

/// Why a certificate was revoked (RFC 5280 §5.3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// Nobody says.
    Unspecified,
    /// Others have the key, or may have.
    KeyCompromise,
    /// The name means someone else now.
    AffiliationChanged,
    /// Another certificate takes its place.
    Superseded,
    /// It is not needed any more.
    CessationOfOperation,
    /// Its holder may not do this any more.
    PrivilegeWithdrawn,
}

/// Where a certificate stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Not yet valid.
    Future,
    /// Valid.
    Valid,
    /// Past its end.
    Expired,
    /// Revoked, whether or not past its end.
    Revoked,
}

/// The record, read and checked.
#[derive(Debug)]
pub struct Index {
    path: PathBuf,
    bytes: Vec<u8>,
    founding: Founding,
    issued: Vec<Issued>,
    revoked: Vec<Revocation>,
    listed: Option<Listing>,
}

impl Index {
    /// The bytes of a new record.
    ///
    /// # Errors
    /// [`PkiError::IndexBroken`].
    pub fn begin(path: &Path, founding: Founding) -> Result<Self, PkiError> {
        let bytes = line(path, 1, &Event::Authority(founding.clone()))?;
        let index = Self {
            path: path.to_owned(),
            bytes: Vec::new(),
            founding,
            issued: Vec::new(),
            revoked: Vec::new(),
            listed: None,
        };
        index.store(&bytes)?;
        Ok(Self { bytes, ..index })
    }

    /// Reads the record and checks that it makes sense.
    ///
    /// # Errors
    /// [`PkiError::File`], [`PkiError::IndexBroken`], [`PkiError::IndexContradicts`].
    pub fn read(path: &Path) -> Result<Self, PkiError> {
        let bytes = files::read(path, INDEX_MAX_BYTES).map_err(PkiError::File)?;
        let mut events = Vec::new();
        for (number, text) in bytes
            .split(|byte| *byte == b'\n')
            .enumerate()
            .filter(|(_, text)| !text.is_empty())
        {
            let broken = |source| PkiError::IndexBroken {
                path: path.to_owned(),
                line: number + 1,
                source,
            };
            events.push((number + 1, serde_json::from_slice(text).map_err(broken)?));
        }
        let mut events = events.into_iter();
        let Some((_, Event::Authority(founding))) = events.next() else {
            return Err(contradiction(
                path,
                1,
                "it does not begin with the authority",
            ));
        };
        let (issued, revoked) = (Vec::new(), Vec::new());
        let mut index = Self {
            path: path.to_owned(),
            bytes,
            founding,
            issued,
            revoked,
            listed: None,
        };
        for (number, event) in events {
            index
                .apply(event)
                .map_err(|what| contradiction(path, number, what))?;
        }
        Ok(index)
    }

    /// Adds lines. When this returns they are durable.
    ///
    /// # Errors
    /// [`PkiError::File`], [`PkiError::IndexContradicts`].
    pub fn append(&mut self, events: Vec<Event>) -> Result<(), PkiError> {
        let mut bytes = self.bytes.clone();
        let mut number = bytes.iter().filter(|byte| **byte == b'\n').count();
        for event in &events {
            number += 1;
            bytes.extend(line(&self.path, number, event)?);
        }
        self.store(&bytes)?;
        self.bytes = bytes;
        for event in events {
            self.apply(event)
                .map_err(|what| contradiction(&self.path, number, what))?;
        }
        Ok(())
    }

    /// The authority itself.
    pub fn founding(&self) -> &Founding {
        &self.founding
    }

    /// All certificates, oldest first.
    pub fn issued(&self) -> &[Issued] {
        &self.issued
    }

    /// All revocations, oldest first.
    pub fn revoked(&self) -> &[Revocation] {
        &self.revoked
    }

    /// The last revocation list.
    pub fn listed(&self) -> Option<Listing> {
        self.listed
    }

    /// Where a certificate stands at an instant.
    pub fn status(&self, certificate: &Issued, now: Timestamp) -> Status {
        if self
            .revoked
            .iter()
            .any(|revocation| revocation.serial == certificate.serial)
        {
            Status::Revoked
        } else if now > certificate.not_after {
            Status::Expired
        } else if now < certificate.not_before {
            Status::Future
        } else {
            Status::Valid
        }
    }

    /// What could still be accepted under a name, now or later.
    pub fn live<'a>(&'a self, name: &'a str, now: Timestamp) -> impl Iterator<Item = &'a Issued> {
        self.issued.iter().filter(move |certificate| {
            certificate.subject.name == name
                && matches!(
                    self.status(certificate, now),
                    Status::Valid | Status::Future
                )
        })
    }

    fn apply(&mut self, event: Event) -> Result<(), &'static str> {
        match event {
            Event::Authority(_) => return Err("an authority is made once"),
            Event::Issued(issued) => {
                if self
                    .issued
                    .iter()
                    .any(|other| other.serial == issued.serial)
                {
                    return Err("a serial number is issued once");
                }
                self.issued.push(issued);
            }
            Event::Revoked(revocation) => {
                if !self
                    .issued
                    .iter()
                    .any(|other| other.serial == revocation.serial)
                {
                    return Err("what is revoked was issued");
                }
                if self
                    .revoked
                    .iter()
                    .any(|other| other.serial == revocation.serial)
                {
                    return Err("a certificate is revoked once");
                }
                self.revoked.push(revocation);
            }
            Event::Listed(listing) => {
                if self
                    .listed
                    .is_some_and(|last| last.number >= listing.number)
                {
                    return Err("lists are numbered upwards");
                }
                self.listed = Some(listing);
            }
        }
        Ok(())
    }

    fn store(&self, bytes: &[u8]) -> Result<(), PkiError> {
        files::replace(&self.path, bytes, Access::Secret).map_err(PkiError::File)
    }
}

fn contradiction(path: &Path, line: usize, what: &'static str) -> PkiError {
    PkiError::IndexContradicts {
        path: path.to_owned(),
        line,
        what,
    }
}

fn line(path: &Path, number: usize, event: &Event) -> Result<Vec<u8>, PkiError> {
    let broken = |source| PkiError::IndexBroken {
        path: path.to_owned(),
        line: number,
        source,
    };
    let mut line = serde_json::to_vec(event).map_err(broken)?;
    line.push(b'\n');
    Ok(line)
}

/// Instants as RFC 3339.
pub mod instant {
    use jiff::Timestamp;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    /// Writes it.
    ///
    /// # Errors
    /// Those of the serializer.
    pub fn serialize<S: Serializer>(instant: &Timestamp, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(instant)
    }

    /// Reads it.
    ///
    /// # Errors
    /// When it is not RFC 3339.
    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Timestamp, D::Error> {
        String::deserialize(from)?.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FOUNDING: &str = r#"{"event":"authority","name":"x","serial":"40","not_before":"2026-01-01T00:00:00Z","not_after":"2036-01-01T00:00:00Z","spki_sha256":"sha256:00"}"#;
    const ISSUED: &str = r#"{"event":"issued","serial":"41","name":"walletd","kind":"client","not_before":"2026-01-01T00:00:00Z","not_after":"2026-04-01T00:00:00Z","spki_sha256":"sha256:01"}"#;
    const REVOKED: &str = r#"{"event":"revoked","serial":"41","at":"2026-02-01T00:00:00Z","reason":"key-compromise"}"#;

    fn read(lines: &[&str]) -> Result<Index, PkiError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("index.jsonl");
        std::fs::write(&path, lines.join("\n")).unwrap();
        Index::read(&path)
    }

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn folds_to_each_status() {
        let index = read(&[FOUNDING, ISSUED]).unwrap();
        let [certificate] = index.issued() else {
            panic!("one certificate")
        };
        assert_eq!(
            index.status(certificate, at("2025-12-31T00:00:00Z")),
            Status::Future
        );
        assert_eq!(
            index.status(certificate, at("2026-01-02T00:00:00Z")),
            Status::Valid
        );
        assert_eq!(
            index.status(certificate, at("2026-04-02T00:00:00Z")),
            Status::Expired
        );
        let index = read(&[FOUNDING, ISSUED, REVOKED]).unwrap();
        assert_eq!(
            index.status(&index.issued()[0], at("2026-04-02T00:00:00Z")),
            Status::Revoked
        );
        assert_eq!(index.live("walletd", at("2026-01-02T00:00:00Z")).count(), 0);
    }

    #[test]
    fn refuses_what_makes_no_sense_by_line() {
        for lines in [
            &[ISSUED][..],
            &[FOUNDING, FOUNDING],
            &[FOUNDING, ISSUED, ISSUED],
            &[FOUNDING, REVOKED],
            &[FOUNDING, ISSUED, REVOKED, REVOKED],
        ] {
            let error = read(lines).unwrap_err();
            assert!(
                matches!(error, PkiError::IndexContradicts { line, .. } if line == lines.len()),
                "{error}"
            );
        }
        assert!(matches!(
            read(&[FOUNDING, "{"]),
            Err(PkiError::IndexBroken { line: 2, .. })
        ));
        let unknown = REVOKED.replace("key-compromise", "boredom");
        assert!(matches!(
            read(&[FOUNDING, ISSUED, &unknown]),
            Err(PkiError::IndexBroken { line: 3, .. })
        ));
    }

    #[test]
    fn appending_keeps_every_byte_before() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("index.jsonl");
        std::fs::write(&path, [FOUNDING, ISSUED, ""].join("\n")).unwrap();
        let before = std::fs::read(&path).unwrap();
        let revocation = serde_json::from_str(REVOKED).unwrap();
        Index::read(&path)
            .unwrap()
            .append(vec![revocation])
            .unwrap();
        let after = std::fs::read(&path).unwrap();
        assert!(after.starts_with(&before) && after.len() > before.len());
        assert_eq!(Index::read(&path).unwrap().revoked().len(), 1);
    }
}
