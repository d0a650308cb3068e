//! Why the authority did not do what it was asked.

use std::path::PathBuf;

use jiff::Timestamp;

use super::subject::Kind;
use crate::failure::{Exit, Explained};
use crate::files::FileError;

/// Why the authority did not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PkiError {
    /// A file could not be used.
    #[error(transparent)]
    File(FileError),
    /// The folder holds no authority.
    #[error("{} holds no certificate authority", dir.display())]
    NoAuthority {
        /// The folder.
        dir: PathBuf,
    },
    /// The index of what was issued cannot be understood.
    #[error("{} line {line} cannot be understood", path.display())]
    IndexBroken {
        /// The index.
        path: PathBuf,
        /// Its line, from 1.
        line: usize,
        /// What the parser says.
        #[source]
        source: serde_json::Error,
    },
    /// The index contradicts itself.
    #[error("{} line {line} contradicts what stands before it: {what}", path.display())]
    IndexContradicts {
        /// The index.
        path: PathBuf,
        /// Its line, from 1.
        line: usize,
        /// The contradiction.
        what: &'static str,
    },
    /// The key file holds no key of the kind that is made here.
    #[error("{} holds no ECDSA P-256 private key in PKCS#8", path.display())]
    KeyUnreadable {
        /// The key file.
        path: PathBuf,
    },
    /// The key is not the one the authority was made with.
    #[error("{} is not the key of this authority's certificate", path.display())]
    KeyForeign {
        /// The key file.
        path: PathBuf,
    },
    /// A name cannot stand in a file name and a URN.
    #[error(
        "the name {name:?} has characters other than a-z, 0-9, '.', '_' and '-', or is too long"
    )]
    NameInvalid {
        /// The name.
        name: String,
    },
    /// A DNS name cannot stand in a certificate.
    #[error("{name:?} is not a DNS name")]
    DnsInvalid {
        /// The name.
        name: String,
    },
    /// A server's certificate would match no address.
    #[error("a server needs at least one --dns or --ip")]
    ServerUnnamed,
    /// The name belongs to a certificate that is still valid.
    #[error("{name} already has a valid {kind} certificate, serial {serial}")]
    NameTaken {
        /// The name.
        name: String,
        /// What it is.
        kind: Kind,
        /// The certificate.
        serial: String,
    },
    /// The name is that of a certificate of the other kind.
    #[error("{name} is the name of a {kind}, and a name means one thing")]
    NameOfOtherKind {
        /// The name.
        name: String,
        /// What it is.
        kind: Kind,
    },
    /// Nothing was issued under this name.
    #[error("no certificate was issued to {name}")]
    NameUnknown {
        /// The name.
        name: String,
    },
    /// Nothing was issued under this serial number.
    #[error("no certificate has the serial number {serial}")]
    SerialUnknown {
        /// The serial number.
        serial: String,
    },
    /// There is nothing left to revoke.
    #[error("{what} has no certificate that is neither revoked nor expired")]
    NothingToRevoke {
        /// The name or serial number.
        what: String,
    },
    /// A span of time that does not exist.
    #[error("a validity from {not_before} to {not_after} is empty or out of range")]
    SpanInvalid {
        /// Its first instant.
        not_before: Timestamp,
        /// Its last instant.
        not_after: Timestamp,
    },
    /// An instant that no calendar reaches.
    #[error("{days} days from now is out of range")]
    DaysOutOfRange {
        /// The days asked for.
        days: i64,
    },
    /// A certificate would outlive the authority.
    #[error("the authority ends at {authority_ends}, before {not_after}")]
    OutlivesAuthority {
        /// When the authority's own certificate ends.
        authority_ends: Timestamp,
        /// When the new one would.
        not_after: Timestamp,
    },
    /// The certificate library refused.
    #[error("{what} cannot be made")]
    Encoding {
        /// What was being made.
        what: &'static str,
        /// Why not.
        #[source]
        source: rcgen::Error,
    },
    /// The system gave no random numbers.
    #[error("the system gives no random numbers: {reason}")]
    Random {
        /// What it says. The type is no `Error` in the form that is built here.
        reason: getrandom::Error,
    },
    /// A certificate is in the index, but its files could not be written.
    #[error("certificate {serial} was issued, but its files could not be written")]
    Undelivered {
        /// The certificate.
        serial: String,
        /// Why not.
        #[source]
        source: FileError,
    },
}

impl PkiError {
    /// Names what was being made when the certificate library refused.
    pub fn encoding(what: &'static str) -> impl FnOnce(rcgen::Error) -> Self {
        move |source| Self::Encoding { what, source }
    }
}

impl Explained for PkiError {
    fn kind(&self) -> &'static str {
        match self {
            Self::File(error) => error.kind(),
            Self::NoAuthority { .. } => "pki-no-authority",
            Self::IndexBroken { .. } | Self::IndexContradicts { .. } => "pki-index",
            Self::KeyUnreadable { .. } | Self::KeyForeign { .. } => "pki-key",
            Self::NameInvalid { .. } | Self::DnsInvalid { .. } | Self::ServerUnnamed => "pki-name",
            Self::NameTaken { .. } | Self::NameOfOtherKind { .. } => "pki-name-taken",
            Self::NameUnknown { .. } | Self::SerialUnknown { .. } => "pki-unknown",
            Self::NothingToRevoke { .. } => "pki-nothing-to-revoke",
            Self::SpanInvalid { .. } | Self::DaysOutOfRange { .. } => "pki-span",
            Self::OutlivesAuthority { .. } => "pki-outlives-authority",
            Self::Encoding { .. } => "pki-encoding",
            Self::Random { .. } => "random",
            Self::Undelivered { .. } => "pki-undelivered",
        }
    }

    fn exit(&self) -> Exit {
        match self {
            Self::NameTaken { .. }
            | Self::NameOfOtherKind { .. }
            | Self::NameUnknown { .. }
            | Self::SerialUnknown { .. }
            | Self::NothingToRevoke { .. }
            | Self::OutlivesAuthority { .. } => Exit::Refused,
            _ => Exit::Usage,
        }
    }

    fn next(&self) -> String {
        match self {
            Self::File(error) => error.next(),
            Self::NoAuthority { .. } => "Name its folder with --dir, or make one with `strongroom pki init`.".into(),
            Self::IndexBroken { .. } | Self::IndexContradicts { .. } => {
                "Nothing was changed. Restore the index from a backup: without it no revocation list is complete.".into()
            }
            Self::KeyUnreadable { .. } | Self::KeyForeign { .. } => "Restore the key from a backup.".into(),
            Self::NameInvalid { .. } => "Choose a name like `walletd` or `signerd-2`.".into(),
            Self::DnsInvalid { .. } => "Give a name like `signer.example.org`; addresses go into --ip.".into(),
            Self::ServerUnnamed => "Name what clients connect to, for example `--dns localhost --ip 127.0.0.1`.".into(),
            Self::NameTaken { name, .. } => {
                format!("Run `strongroom pki renew --name {name}` for a new key, or revoke the old one first.")
            }
            Self::NameOfOtherKind { .. } => "Choose another name.".into(),
            Self::NameUnknown { .. } | Self::SerialUnknown { .. } => "Run `strongroom pki list` to see them all.".into(),
            Self::NothingToRevoke { .. } => {
                "If a server may hold an old list, run `strongroom pki crl` and install the new one.".into()
            }
            Self::SpanInvalid { .. } | Self::DaysOutOfRange { .. } => {
                "Check --days, --not-before and --not-after.".into()
            }
            Self::OutlivesAuthority { .. } => "Ask for fewer days, or make a new authority.".into(),
            Self::Encoding { .. } => "Check the names that were given.".into(),
            Self::Random { .. } => "Nothing was issued. Check the system.".into(),
            Self::Undelivered { serial, .. } => {
                format!("Its key is lost. Run `strongroom pki revoke --serial {serial}` and issue another.")
            }
        }
    }
}
