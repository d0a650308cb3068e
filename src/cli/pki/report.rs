//! What the group's commands answer.

use std::fmt;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::Serialize;

use super::authority::{Authority, Delivery};
use super::index::{Founding, Issued, Listing, Status, instant};
use super::subject::{Serial, Subject};

/// A certificate.
#[derive(Clone, Debug, Serialize)]
pub struct Certificate {
    serial: Serial,
    #[serde(flatten)]
    subject: Subject,
    #[serde(skip_serializing_if = "Option::is_none")]
    uri: Option<String>,
    #[serde(with = "instant")]
    not_before: Timestamp,
    #[serde(with = "instant")]
    not_after: Timestamp,
    spki_sha256: String,
}

impl Certificate {
    /// What the record knows of it.
    pub fn new(issued: &Issued) -> Self {
        Self {
            serial: issued.serial.clone(),
            uri: issued.subject.uri(),
            subject: issued.subject.clone(),
            not_before: issued.not_before,
            not_after: issued.not_after,
            spki_sha256: issued.spki_sha256.clone(),
        }
    }
}

impl fmt::Display for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Subject {
            name,
            kind,
            dns,
            ip,
        } = &self.subject;
        writeln!(f, "{kind} {name}")?;
        writeln!(f, "  serial      {}", self.serial)?;
        if let Some(uri) = &self.uri {
            writeln!(f, "  uri         {uri}")?;
        }
        for name in dns {
            writeln!(f, "  dns         {name}")?;
        }
        for address in ip {
            writeln!(f, "  ip          {address}")?;
        }
        writeln!(f, "  valid       {} to {}", self.not_before, self.not_after)?;
        writeln!(f, "  pin         {}", self.spki_sha256)
    }
}

/// The answer of `pki init`.
#[derive(Debug, Serialize)]
pub struct FoundingReport {
    #[serde(flatten)]
    founding: Founding,
    certificate: PathBuf,
    crl: PathBuf,
}

impl FoundingReport {
    /// A new authority in a folder.
    pub fn new(dir: &Path, founding: Founding) -> Self {
        Self {
            founding,
            certificate: Authority::certificate_path(dir),
            crl: Authority::list_path(dir),
        }
    }
}

impl fmt::Display for FoundingReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "authority {}", self.founding.name)?;
        writeln!(f, "  certificate {}", self.certificate.display())?;
        writeln!(f, "  crl         {}", self.crl.display())?;
        writeln!(
            f,
            "  valid       {} to {}",
            self.founding.not_before, self.founding.not_after
        )?;
        writeln!(f, "  pin         {}", self.founding.spki_sha256)
    }
}

/// The answer of `pki issue` and `pki renew`.
#[derive(Debug, Serialize)]
pub struct IssueReport {
    #[serde(flatten)]
    issued: Certificate,
    certificate: PathBuf,
    key: PathBuf,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    still_valid: Vec<Certificate>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    revoked: Vec<Serial>,
    #[serde(skip_serializing_if = "Option::is_none")]
    list: Option<Listed>,
}

impl IssueReport {
    /// The first of its name.
    pub fn first(issued: Certificate, delivery: &Delivery) -> Self {
        let Delivery { certificate, key } = delivery.clone();
        Self {
            issued,
            certificate,
            key,
            still_valid: Vec::new(),
            revoked: Vec::new(),
            list: None,
        }
    }

    /// Earlier ones of its name are still accepted.
    pub fn with_old_valid(self, still_valid: Vec<Certificate>) -> Self {
        Self {
            still_valid,
            ..self
        }
    }

    /// Earlier ones of its name were revoked.
    pub fn with_old_revoked(self, revoked: Vec<Serial>, list: Listed) -> Self {
        Self {
            revoked,
            list: Some(list),
            ..self
        }
    }
}

impl fmt::Display for IssueReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.issued)?;
        writeln!(f, "  certificate {}", self.certificate.display())?;
        writeln!(f, "  key         {} (keep it secret)", self.key.display())?;
        for old in &self.still_valid {
            writeln!(
                f,
                "The old certificate {} stays valid until {}.",
                old.serial, old.not_after
            )?;
        }
        if !self.still_valid.is_empty() {
            writeln!(
                f,
                "Once the new one is in use, run `strongroom pki revoke --serial SERIAL --reason superseded`."
            )?;
        }
        for serial in &self.revoked {
            writeln!(f, "The old certificate {serial} is revoked.")?;
        }
        self.list
            .as_ref()
            .map_or(Ok(()), |list| write!(f, "{list}"))
    }
}

/// A revocation list: the answer of `pki crl`.
#[derive(Clone, Debug, Serialize)]
pub struct Listed {
    #[serde(flatten)]
    listing: Listing,
    crl: PathBuf,
}

impl Listed {
    /// The list in an authority's folder.
    pub fn new(dir: &Path, listing: Listing) -> Self {
        Self {
            listing,
            crl: Authority::list_path(dir),
        }
    }
}

impl fmt::Display for Listed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "revocation list {}", self.listing.number)?;
        writeln!(f, "  file        {}", self.crl.display())?;
        writeln!(f, "  next        due by {}", self.listing.next_update)?;
        writeln!(
            f,
            "Install it where signerd reads it, then reload signerd with SIGHUP."
        )
    }
}

/// The answer of `pki revoke`.
#[derive(Debug, Serialize)]
pub struct RevokeReport {
    /// What is revoked now.
    pub revoked: Vec<Serial>,
    /// The list that says so.
    pub list: Listed,
}

impl fmt::Display for RevokeReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for serial in &self.revoked {
            writeln!(f, "revoked {serial}")?;
        }
        write!(f, "{}", self.list)
    }
}

/// A certificate and where it stands.
#[derive(Debug, Serialize)]
pub struct Row {
    /// Where it stands now.
    pub status: Status,
    /// The certificate.
    #[serde(flatten)]
    pub certificate: Certificate,
}

/// The answer of `pki list`.
#[derive(Debug, Serialize)]
pub struct ListReport {
    /// The authority.
    pub authority: Founding,
    /// All it ever issued, oldest first.
    pub certificates: Vec<Row>,
    /// Its last revocation list.
    pub list: Option<Listing>,
}

impl fmt::Display for ListReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Founding {
            name,
            not_after,
            spki_sha256,
            ..
        } = &self.authority;
        writeln!(f, "authority {name}, until {not_after}, pin {spki_sha256}")?;
        if let Some(list) = &self.list {
            writeln!(
                f,
                "revocation list {}, next due by {}",
                list.number, list.next_update
            )?;
        }
        for Row {
            status,
            certificate,
        } in &self.certificates
        {
            let status = match status {
                Status::Future => "future",
                Status::Valid => "valid",
                Status::Expired => "expired",
                Status::Revoked => "revoked",
            };
            write!(f, "{status:<8}{certificate}")?;
        }
        Ok(())
    }
}
