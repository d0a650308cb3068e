//! `strongroom pki`: a small private certificate authority in a folder, for the mutual TLS between
//! `signerd`, `walletd` and this tool. It needs no other program.

mod authority;
mod error;
mod index;
mod report;
mod secret;
mod subject;

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use clap::{Args as ClapArgs, Subcommand};
use jiff::Timestamp;

use self::authority::{Authority, Delivery, Target};
use self::error::PkiError;
use self::index::Reason;
use self::report::{
    Certificate, FoundingReport, IssueReport, ListReport, Listed, RevokeReport, Row,
};
use self::subject::{Serial, Span, Subject, days_from};
use crate::failure::Failure;
use crate::output::Answer;

/// How long an authority is good for, unless told otherwise.
const AUTHORITY_DAYS: i64 = 3650;

/// How long a certificate is good for, unless told otherwise.
const CERTIFICATE_DAYS: i64 = 90;

/// How long a revocation list is good for, unless told otherwise.
const LIST_DAYS: i64 = 30;

/// `strongroom pki`.
#[derive(Debug, ClapArgs)]
pub struct Args {
    /// The authority's folder.
    #[arg(long, global = true, default_value = "pki", value_name = "FOLDER")]
    dir: PathBuf,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make an authority: a key, its certificate, an empty revocation list.
    #[command(
        after_help = "The certificate ca.pem is what peers trust. Keep the folder off the servers, and a backup of it."
    )]
    Init {
        /// The authority's name, for people.
        #[arg(long)]
        name: String,
        #[command(flatten)]
        validity: Validity,
    },
    /// Issue a certificate with a new key.
    Issue {
        #[command(subcommand)]
        to: Issue,
    },
    /// Revoke certificates and make a fresh revocation list.
    Revoke {
        #[command(flatten)]
        target: TargetArgs,
        /// Why, for the record and the list.
        #[arg(long, value_enum, default_value_t = Reason::Unspecified)]
        reason: Reason,
    },
    /// Issue another certificate, with a new key, for a name that has one.
    Renew {
        /// The name.
        #[arg(long)]
        name: String,
        #[command(flatten)]
        validity: Validity,
        #[command(flatten)]
        out: Out,
        /// Revoke the earlier certificates of the name at once.
        #[arg(long)]
        revoke_old: bool,
    },
    /// Make a fresh revocation list.
    Crl {
        #[command(flatten)]
        validity: Validity,
    },
    /// List all certificates and where they stand.
    List,
}

#[derive(Debug, Subcommand)]
enum Issue {
    /// For a server, known by its DNS names and addresses.
    Server {
        /// Its name in the authority and its files.
        #[arg(long)]
        name: String,
        /// A DNS name that clients connect to.
        #[arg(long)]
        dns: Vec<String>,
        /// An address that clients connect to.
        #[arg(long)]
        ip: Vec<IpAddr>,
        #[command(flatten)]
        validity: Validity,
        #[command(flatten)]
        out: Out,
    },
    /// For a client, known to servers as `urn:strongroom:client:NAME`.
    Client {
        /// Its name, as signerd's policy names it.
        #[arg(long)]
        name: String,
        #[command(flatten)]
        validity: Validity,
        #[command(flatten)]
        out: Out,
    },
}

#[derive(Debug, ClapArgs)]
struct Validity {
    /// Days it is good for, from now, unless an authority's 3650, a certificate's 90 or a list's 30.
    /// Below zero it has ended already, which tests need.
    #[arg(long, allow_negative_numbers = true, conflicts_with = "not_after")]
    days: Option<i64>,
    /// Its last instant instead, as 2027-01-31T12:00:00Z.
    #[arg(long, value_name = "TIME")]
    not_after: Option<Timestamp>,
    /// Its first instant. Unless given, five minutes ago, for clocks that are behind.
    #[arg(long, value_name = "TIME")]
    not_before: Option<Timestamp>,
}

impl Validity {
    fn span(&self, now: Timestamp, default_days: i64) -> Result<Span, PkiError> {
        let days = self.days.unwrap_or(default_days);
        let not_after = self.not_after.map_or_else(|| days_from(now, days), Ok)?;
        Span::until(not_after, self.not_before, now)
    }
}

#[derive(Debug, ClapArgs)]
struct Out {
    /// The folder for NAME.pem and NAME.key. Nothing in it is overwritten.
    #[arg(long, default_value = ".", value_name = "FOLDER")]
    out: PathBuf,
}

#[derive(Debug, ClapArgs)]
#[group(required = true, multiple = false)]
struct TargetArgs {
    /// The certificate with this serial number.
    #[arg(long)]
    serial: Option<String>,
    /// All certificates of this name that are neither revoked nor expired.
    #[arg(long)]
    name: Option<String>,
}

impl TargetArgs {
    fn target(self) -> Target {
        match self.serial {
            Some(serial) => Target::Serial(Serial::from_text(&serial)),
            None => Target::Name(self.name.unwrap_or_default()),
        }
    }
}

/// Runs one of the group's commands.
///
/// # Errors
/// Whatever the authority refuses; see [`PkiError`].
pub fn run(args: Args) -> Result<Answer, Failure> {
    let dir = args.dir;
    let now = Timestamp::now();
    match args.command {
        Command::Init { name, validity } => {
            let span = validity.span(now, AUTHORITY_DAYS)?;
            let founding = Authority::found(&dir, name, span, list_span(now)?)?;
            Answer::done(&FoundingReport::new(&dir, founding))
        }
        Command::Issue { to } => {
            let (subject, validity, out) = to.parts()?;
            let span = validity.span(now, CERTIFICATE_DAYS)?;
            let mut authority = Authority::open(&dir)?;
            authority.check_name_free(&subject, now)?;
            let delivery = Delivery::within(&out.out, &subject.name);
            let issued = authority.issue(subject, span, &delivery)?;
            Answer::done(&IssueReport::first(Certificate::new(&issued), &delivery))
        }
        Command::Revoke { target, reason } => {
            let mut authority = Authority::open(&dir)?;
            let revoked = authority.revoke(&target.target(), reason, now)?;
            let listing = authority.list(list_span(now)?)?;
            Answer::done(&RevokeReport {
                revoked,
                list: Listed::new(&dir, listing),
            })
        }
        Command::Renew {
            name,
            validity,
            out,
            revoke_old,
        } => {
            let span = validity.span(now, CERTIFICATE_DAYS)?;
            let old = if revoke_old { Old::Revoke } else { Old::Keep };
            Answer::done(&renew(&dir, &name, span, &out, old)?)
        }
        Command::Crl { validity } => {
            let listing = Authority::open(&dir)?.list(validity.span(now, LIST_DAYS)?)?;
            Answer::done(&Listed::new(&dir, listing))
        }
        Command::List => Answer::done(&list(&Authority::open(&dir)?, now)),
    }
}

/// What becomes of the earlier certificates of a renewed name.
enum Old {
    Keep,
    Revoke,
}

fn renew(dir: &Path, name: &str, span: Span, out: &Out, old: Old) -> Result<IssueReport, PkiError> {
    let now = Timestamp::now();
    let mut authority = Authority::open(dir)?;
    let before: Vec<_> = authority.index().live(name, now).cloned().collect();
    let subject = authority.subject(name)?;
    let delivery = Delivery::within(&out.out, name);
    let issued = authority.issue(subject, span, &delivery)?;
    let report = IssueReport::first(Certificate::new(&issued), &delivery);
    match old {
        Old::Revoke if !before.is_empty() => {
            let serials: Vec<_> = before.into_iter().map(|issued| issued.serial).collect();
            authority.record_revocations(&serials, Reason::Superseded, now)?;
            let listing = authority.list(list_span(now)?)?;
            Ok(report.with_old_revoked(serials, Listed::new(dir, listing)))
        }
        _ => Ok(report.with_old_valid(before.iter().map(Certificate::new).collect())),
    }
}

impl Issue {
    fn parts(self) -> Result<(Subject, Validity, Out), PkiError> {
        Ok(match self {
            Self::Server {
                name,
                dns,
                ip,
                validity,
                out,
            } => (Subject::server(name, dns, ip)?, validity, out),
            Self::Client {
                name,
                validity,
                out,
            } => (Subject::client(name)?, validity, out),
        })
    }
}

fn list_span(now: Timestamp) -> Result<Span, PkiError> {
    Span::until(days_from(now, LIST_DAYS)?, None, now)
}

fn list(authority: &Authority, now: Timestamp) -> ListReport {
    let index = authority.index();
    let row = |issued| Row {
        status: index.status(issued, now),
        certificate: Certificate::new(issued),
    };
    ListReport {
        authority: index.founding().clone(),
        certificates: index.issued().iter().map(row).collect(),
        list: index.listed(),
    }
}
