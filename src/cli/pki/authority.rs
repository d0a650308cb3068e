//! The authority: a folder with a key, a certificate, the record of what was issued and the last list.
//!
//! What is signed is recorded first, durably. A certificate or list that exists nowhere but in the
//! record does no harm; one that the record does not know could not be revoked.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use rcgen::{
    CertificateRevocationListParams, Issuer, KeyIdMethod, KeyPair, RevocationReason,
    RevokedCertParams,
};

use super::error::PkiError;
use super::index::{Event, Founding, Index, Issued, Listing, Reason, Revocation};
use super::secret::Secret;
use super::subject::{Serial, Span, Subject, authority_params, offset};
use crate::files::{self, Access, FileError, FolderLock};

/// A P-256 key or a small certificate in PEM is below 2 KiB.
const PEM_MAX_BYTES: u64 = 64 << 10;

/// An authority, locked against other processes.
pub struct Authority {
    dir: PathBuf,
    key: Secret,
    certificate_pem: String,
    index: Index,
    _lock: FolderLock,
}

/// Which certificates to revoke.
#[derive(Clone, Debug)]
pub enum Target {
    /// The one with this serial number.
    Serial(Serial),
    /// All of this name that could still be accepted.
    Name(String),
}

/// Where a certificate and its key are.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// The certificate.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

impl Delivery {
    /// The files of a name in a folder.
    pub fn within(folder: &Path, name: &str) -> Self {
        Self {
            certificate: folder.join(format!("{name}.pem")),
            key: folder.join(format!("{name}.key")),
        }
    }

    /// Checks that both places are free, before anything is signed.
    ///
    /// # Errors
    /// [`PkiError::File`].
    fn check_free(&self) -> Result<(), PkiError> {
        for path in [&self.certificate, &self.key] {
            if fs::symlink_metadata(path).is_ok() {
                return Err(PkiError::File(FileError::Exists { path: path.clone() }));
            }
        }
        Ok(())
    }

    fn write(&self, certificate_pem: &str, key: &Secret) -> Result<(), FileError> {
        if let Some(folder) = self
            .key
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty())
        {
            files::private_folder(folder)?;
        }
        files::create(&self.key, &key.to_pem(), Access::Secret)?;
        files::create(
            &self.certificate,
            certificate_pem.as_bytes(),
            Access::Public,
        )
    }
}

impl Authority {
    /// The authority's own certificate, which peers are told to trust.
    pub fn certificate_path(dir: &Path) -> PathBuf {
        dir.join("ca.pem")
    }

    /// The revocation list, which servers are told to check.
    pub fn list_path(dir: &Path) -> PathBuf {
        dir.join("crl.pem")
    }

    fn key_path(dir: &Path) -> PathBuf {
        dir.join("ca.key")
    }

    fn index_path(dir: &Path) -> PathBuf {
        dir.join("index.jsonl")
    }

    /// Makes an authority with an empty revocation list. The folder appears whole or not at all.
    ///
    /// # Errors
    /// [`PkiError::File`] when something is there already, and those of signing.
    pub fn found(
        dir: &Path,
        name: String,
        span: Span,
        list_span: Span,
    ) -> Result<Founding, PkiError> {
        let prepared = Prepared::beside(dir)?;
        let key = Secret::generate()?;
        let serial = Serial::random()?;
        let certificate = authority_params(&name, span, &serial)?.self_signed(key.pair());
        let certificate_pem = certificate
            .map_err(PkiError::encoding("the authority's certificate"))?
            .pem();
        let Span {
            not_before,
            not_after,
        } = span;
        let founding = Founding {
            name,
            serial,
            not_before,
            not_after,
            spki_sha256: key.pin(),
        };

        let lock = FolderLock::take(&prepared.path).map_err(PkiError::File)?;
        let index = Index::begin(&Self::index_path(&prepared.path), founding.clone())?;
        let key_path = Self::key_path(&prepared.path);
        files::create(&key_path, &key.to_pem(), Access::Secret).map_err(PkiError::File)?;
        let path = Self::certificate_path(&prepared.path);
        files::create(&path, certificate_pem.as_bytes(), Access::Public).map_err(PkiError::File)?;
        let mut authority = Self {
            dir: prepared.path.clone(),
            key,
            certificate_pem,
            index,
            _lock: lock,
        };
        authority.list(list_span)?;
        files::place_folder(&prepared.path, dir).map_err(PkiError::File)?;
        Ok(founding)
    }

    /// Opens an authority, waiting for another process that has it open.
    ///
    /// # Errors
    /// [`PkiError::NoAuthority`], those of the index, [`PkiError::KeyForeign`] and
    /// [`PkiError::File`] when the key is missing or open to others.
    pub fn open(dir: &Path) -> Result<Self, PkiError> {
        let index_path = Self::index_path(dir);
        if !index_path.is_file() {
            return Err(PkiError::NoAuthority {
                dir: dir.to_owned(),
            });
        }
        let lock = FolderLock::take(dir).map_err(PkiError::File)?;
        let index = Index::read(&index_path)?;
        let path = Self::key_path(dir);
        files::check_private(&path).map_err(PkiError::File)?;
        let pem =
            zeroize::Zeroizing::new(files::read(&path, PEM_MAX_BYTES).map_err(PkiError::File)?);
        let Some(key) = Secret::from_pem(&pem) else {
            return Err(PkiError::KeyUnreadable { path });
        };
        if key.pin() != index.founding().spki_sha256 {
            return Err(PkiError::KeyForeign { path });
        }
        let pem =
            files::read(&Self::certificate_path(dir), PEM_MAX_BYTES).map_err(PkiError::File)?;
        let certificate_pem = String::from_utf8_lossy(&pem).into_owned();
        Ok(Self {
            dir: dir.to_owned(),
            key,
            certificate_pem,
            index,
            _lock: lock,
        })
    }

    /// What was issued, revoked and listed.
    pub fn index(&self) -> &Index {
        &self.index
    }

    /// Signs a certificate for a new key and writes both.
    ///
    /// # Errors
    /// [`PkiError::OutlivesAuthority`], [`PkiError::Undelivered`] and those of signing.
    pub fn issue(
        &mut self,
        subject: Subject,
        span: Span,
        delivery: &Delivery,
    ) -> Result<Issued, PkiError> {
        let authority_ends = self.index.founding().not_after;
        if span.not_after > authority_ends {
            return Err(PkiError::OutlivesAuthority {
                authority_ends,
                not_after: span.not_after,
            });
        }
        delivery.check_free()?;
        let serial = Serial::random()?;
        let key = Secret::generate()?;
        let params = subject.params(span, &serial)?;
        let signed = params.signed_by(key.pair(), &self.issuer()?);
        let certificate_pem = signed.map_err(PkiError::encoding("the certificate"))?.pem();

        let Span {
            not_before,
            not_after,
        } = span;
        let issued = Issued {
            serial,
            subject,
            not_before,
            not_after,
            spki_sha256: key.pin(),
        };
        self.index.append(vec![Event::Issued(issued.clone())])?;
        let undelivered = |source| PkiError::Undelivered {
            serial: issued.serial.to_string(),
            source,
        };
        delivery
            .write(&certificate_pem, &key)
            .map_err(undelivered)?;
        Ok(issued)
    }

    /// Checks that a name is free for a first certificate of this subject.
    ///
    /// # Errors
    /// [`PkiError::NameTaken`], [`PkiError::NameOfOtherKind`].
    pub fn check_name_free(&self, subject: &Subject, now: Timestamp) -> Result<(), PkiError> {
        let name = || subject.name.clone();
        let of_name = self
            .index
            .issued()
            .iter()
            .find(|issued| issued.subject.name == subject.name);
        if let Some(other) = of_name.filter(|issued| issued.subject.kind != subject.kind) {
            return Err(PkiError::NameOfOtherKind {
                name: name(),
                kind: other.subject.kind,
            });
        }
        match self.index.live(&subject.name, now).next() {
            Some(live) => {
                let serial = live.serial.to_string();
                Err(PkiError::NameTaken {
                    name: name(),
                    kind: subject.kind,
                    serial,
                })
            }
            None => Ok(()),
        }
    }

    /// Who a name was last issued to.
    ///
    /// # Errors
    /// [`PkiError::NameUnknown`].
    pub fn subject(&self, name: &str) -> Result<Subject, PkiError> {
        let last = self
            .index
            .issued()
            .iter()
            .rfind(|issued| issued.subject.name == name);
        last.map(|issued| issued.subject.clone())
            .ok_or_else(|| PkiError::NameUnknown {
                name: name.to_owned(),
            })
    }

    /// Revokes certificates. The list is not made here: see [`Authority::list`].
    ///
    /// # Errors
    /// [`PkiError::SerialUnknown`], [`PkiError::NameUnknown`], [`PkiError::NothingToRevoke`].
    pub fn revoke(
        &mut self,
        target: &Target,
        reason: Reason,
        now: Timestamp,
    ) -> Result<Vec<Serial>, PkiError> {
        let serials = match target {
            Target::Serial(serial) => self.revocable(serial)?,
            Target::Name(name) => {
                self.subject(name)?;
                self.index
                    .live(name, now)
                    .map(|issued| issued.serial.clone())
                    .collect()
            }
        };
        if serials.is_empty() {
            let what = match target {
                Target::Serial(serial) => serial.to_string(),
                Target::Name(name) => name.clone(),
            };
            return Err(PkiError::NothingToRevoke { what });
        }
        self.record_revocations(&serials, reason, now)?;
        Ok(serials)
    }

    /// Records that these are revoked.
    ///
    /// # Errors
    /// [`PkiError::File`], and [`PkiError::IndexContradicts`] when one is revoked already.
    pub fn record_revocations(
        &mut self,
        serials: &[Serial],
        reason: Reason,
        at: Timestamp,
    ) -> Result<(), PkiError> {
        let event = |serial: &Serial| {
            Event::Revoked(Revocation {
                serial: serial.clone(),
                at,
                reason,
            })
        };
        self.index.append(serials.iter().map(event).collect())
    }

    /// Signs a fresh revocation list and puts it in the place of the last one.
    ///
    /// # Errors
    /// [`PkiError::File`] and those of signing.
    pub fn list(&mut self, span: Span) -> Result<Listing, PkiError> {
        let number = self
            .index
            .listed()
            .map_or(1, |last| last.number.saturating_add(1));
        let listing = Listing {
            number,
            this_update: span.not_before,
            next_update: span.not_after,
        };
        let params = CertificateRevocationListParams {
            this_update: offset(listing.this_update)?,
            next_update: offset(listing.next_update)?,
            crl_number: number.into(),
            issuing_distribution_point: None,
            // Expired ones stay: a clock that is behind would take them back.
            revoked_certs: self
                .index
                .revoked()
                .iter()
                .map(entry)
                .collect::<Result<_, _>>()?,
            key_identifier_method: KeyIdMethod::Sha256,
        };
        let signed = params
            .signed_by(&self.issuer()?)
            .and_then(|list| list.pem());
        let pem = signed.map_err(PkiError::encoding("the revocation list"))?;
        self.index.append(vec![Event::Listed(listing)])?;
        files::replace(&Self::list_path(&self.dir), pem.as_bytes(), Access::Public)
            .map_err(PkiError::File)?;
        Ok(listing)
    }

    fn revocable(&self, serial: &Serial) -> Result<Vec<Serial>, PkiError> {
        if !self
            .index
            .issued()
            .iter()
            .any(|issued| issued.serial == *serial)
        {
            return Err(PkiError::SerialUnknown {
                serial: serial.to_string(),
            });
        }
        let revoked = self
            .index
            .revoked()
            .iter()
            .any(|revocation| revocation.serial == *serial);
        Ok(if revoked {
            Vec::new()
        } else {
            vec![serial.clone()]
        })
    }

    fn issuer(&self) -> Result<Issuer<'static, &KeyPair>, PkiError> {
        Issuer::from_ca_cert_pem(&self.certificate_pem, self.key.pair()).map_err(
            PkiError::encoding("a signature by the authority's certificate"),
        )
    }
}

fn entry(revocation: &Revocation) -> Result<RevokedCertParams, PkiError> {
    Ok(RevokedCertParams {
        serial_number: revocation.serial.number()?,
        revocation_time: offset(revocation.at)?,
        reason_code: match revocation.reason {
            // RFC 5280 §5.3.1: absent rather than unspecified.
            Reason::Unspecified => None,
            Reason::KeyCompromise => Some(RevocationReason::KeyCompromise),
            Reason::AffiliationChanged => Some(RevocationReason::AffiliationChanged),
            Reason::Superseded => Some(RevocationReason::Superseded),
            Reason::CessationOfOperation => Some(RevocationReason::CessationOfOperation),
            Reason::PrivilegeWithdrawn => Some(RevocationReason::PrivilegeWithdrawn),
        },
        invalidity_date: None,
    })
}

/// A private folder beside its target, removed unless it was moved there.
struct Prepared {
    path: PathBuf,
}

impl Prepared {
    fn beside(dir: &Path) -> Result<Self, PkiError> {
        if let Some(parent) = dir.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            files::private_folder(parent).map_err(PkiError::File)?;
        }
        let Some(last) = dir.file_name() else {
            return Err(PkiError::File(FileError::Exists {
                path: dir.to_owned(),
            }));
        };
        let mut name = OsString::from(".");
        name.push(last);
        name.push(format!(".{}.tmp", Serial::random()?));
        let path = dir.with_file_name(name);
        files::private_folder(&path).map_err(PkiError::File)?;
        Ok(Self { path })
    }
}

impl Drop for Prepared {
    fn drop(&mut self) {
        // After the move there is nothing left to remove.
        let _ = fs::remove_dir_all(&self.path);
    }
}
