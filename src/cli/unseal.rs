//! `strongroom unseal`: the statement by which officers let a sealed signer go on. `signerd` trusts
//! none of it: it holds the statement against what it finds by itself.

mod epoch;
mod error;

use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};

use clap::{Args as ClapArgs, Subcommand};
use journal::SealReport;
use policy::statement::{Found, Head, Unseal};
use serde::Serialize;
use tlog::checkpoint::Checkpoint;
use tlog::note::Note;
use tx::{Name, Time};

use self::error::StatementError;
use crate::failure::Failure;
use crate::files::{self, Access};
use crate::output::Answer;

/// The largest report or checkpoint.
const FILE_MAX_BYTES: u64 = 1024 * 1024;
/// How long a statement holds unless it is said otherwise.
const LIFE_MILLIS: u64 = 24 * 60 * 60 * 1000;

/// `strongroom unseal`.
#[derive(Debug, ClapArgs)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Compose the statement that answers a report of `signerd --seal-report`.
    #[command(after_help = "Each officer reads the statement and signs it with\n\
                      `ssh-keygen -Y sign -n strongroom-unseal-v1 -f KEY STATEMENT`, which writes STATEMENT.sig.\n\
                      docs/sealed.md has the whole procedure.")]
    Statement(StatementArgs),
    /// Compose the statement by which a new epoch begins, where what was signed is lost: every limit is full,
    /// sequences go on where you say, older withdrawals are refused, other keys are drained.
    #[command(after_help = "Each officer reads the statement and signs it with\n\
                      `ssh-keygen -Y sign -n strongroom-epoch-v1 -f KEY STATEMENT`, which writes STATEMENT.sig.\n\
                      docs/sealed.md has the whole procedure.")]
    Epoch(epoch::EpochArgs),
}

#[derive(Debug, ClapArgs)]
struct StatementArgs {
    /// The report.
    report: PathBuf,
    /// Where the statement goes; nothing may be there yet.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// When it holds no longer, as 2026-11-20T12:00:00Z, at most 7 days from now [default: in 24 hours].
    #[arg(long, value_name = "TIME")]
    expires: Option<Time>,
    /// Accept that what the report says is lost counts for nothing from here on: what was signed there
    /// is not in the limits, and can be signed again.
    #[arg(long)]
    accept_loss: bool,
    /// The file of a further checkpoint that somebody has seen and that is lost, too.
    #[arg(long, value_name = "FILE", requires = "accept_loss")]
    lost: Vec<PathBuf>,
}

/// What officers do with a statement.
#[derive(Debug, Serialize)]
struct Signing {
    statement: PathBuf,
    fingerprint: String,
    namespace: String,
    expires: Time,
    threshold: u32,
    officers: BTreeSet<Name>,
}

/// The answer.
#[derive(Debug, Serialize)]
struct Composed {
    found: Name,
    entries: u64,
    lost: usize,
    #[serde(flatten)]
    signing: Signing,
}

/// Runs one of the group's commands.
///
/// # Errors
/// See [`error::StatementError`].
pub fn run(args: Args) -> Result<Answer, Failure> {
    match args.command {
        Command::Statement(args) => statement(args),
        Command::Epoch(args) => epoch::epoch(args),
    }
}

fn statement(args: StatementArgs) -> Result<Answer, Failure> {
    let report = report(&args.report)?;
    let mut found = found(&report);
    if !found.lost.is_empty() && !args.accept_loss {
        let heads = found.lost.len();
        return Err(StatementError::Loss { heads }.into());
    }
    for path in &args.lost {
        found.lost.insert(seen(path)?);
    }
    let statement = Unseal::of(&found, args.expires.unwrap_or_else(tomorrow));
    let text = statement.to_string();
    files::create(&args.out, text.as_bytes(), Access::Public).map_err(StatementError::File)?;
    Answer::done(&Composed {
        signing: Signing {
            statement: args.out,
            fingerprint: format!("sha256:{}", statement.hash()),
            namespace: statement.header().namespace(),
            expires: statement.expires,
            threshold: report.threshold,
            officers: report.officers,
        },
        entries: statement.head.size,
        lost: statement.lost.len(),
        found: statement.found,
    })
}

fn report(path: &Path) -> Result<SealReport, StatementError> {
    let bytes = files::read(path, FILE_MAX_BYTES).map_err(StatementError::File)?;
    serde_json::from_slice(&bytes).map_err(|source| StatementError::Report {
        path: path.to_owned(),
        source,
    })
}

fn found(report: &SealReport) -> Found {
    let lost = report.lost.iter().map(|lost| Head {
        size: lost.size,
        root: lost.root,
    });
    Found {
        fleet: report.fleet.clone(),
        log: report.log,
        name: report.found.clone(),
        head: Head {
            size: report.size,
            root: report.root,
        },
        bundle: report.bundle,
        lost: lost.collect(),
        nonce: report.nonce,
    }
}

/// The head in a checkpoint. Its signatures are not looked at: to give up too much harms nobody.
fn seen(path: &Path) -> Result<Head, StatementError> {
    let bytes = files::read(path, FILE_MAX_BYTES).map_err(StatementError::File)?;
    let refused = || StatementError::Checkpoint {
        path: path.to_owned(),
    };
    let note = Note::parse(&bytes).map_err(|_| refused())?;
    let checkpoint: Checkpoint = note.text().parse().map_err(|_| refused())?;
    let head = checkpoint.head();
    Ok(Head {
        size: head.size,
        root: policy::Digest(*head.root.as_bytes()),
    })
}

fn now() -> Time {
    let millis = u64::try_from(jiff::Timestamp::now().as_millisecond()).unwrap_or(0);
    Time::from_millis(millis / 1000 * 1000)
}

/// When a statement holds no longer, unless it is said otherwise.
pub fn tomorrow() -> Time {
    now().after_millis(LIFE_MILLIS)
}

impl fmt::Display for Composed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}: {}", self.signing.statement.display(), self.found)?;
        writeln!(f, "  goes on from {} entries", self.entries)?;
        if self.lost > 0 {
            writeln!(f, "  {} known heads are LOST", self.lost)?;
        }
        write!(f, "{}", self.signing)
    }
}

impl fmt::Display for Signing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "  expires     {}", self.expires)?;
        writeln!(f, "  fingerprint {}", self.fingerprint)?;
        let officers: Vec<&str> = self.officers.iter().map(Name::as_str).collect();
        let officers = officers.join(", ");
        writeln!(f, "  to sign     {} of {officers}, with", self.threshold)?;
        let (namespace, path) = (&self.namespace, self.statement.display());
        writeln!(f, "    ssh-keygen -Y sign -n {namespace} -f KEY {path}")
    }
}
