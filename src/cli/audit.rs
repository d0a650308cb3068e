//! `strongroom audit`: what an auditor does with a signer's journal. Nothing is believed but what the
//! pinned key of the log signed, and what follows from it.

mod chunks;
pub mod error;
mod export;
pub mod folder;
mod prove;
mod prune;
mod reconcile;
mod report;
mod restore;
mod show;
pub mod signed;
mod tail;
mod tiles;
mod verify;

use std::fmt;
use std::path::PathBuf;

use clap::{Args as ClapArgs, Subcommand};
use serde::Serialize;
use tx::{Time, TimeError};

use self::signed::LogArgs;
use crate::bodies::keygen;
use crate::client::PeerArgs;
use crate::failure::Failure;
use crate::output::{Answer, Format};

/// `strongroom audit`.
#[derive(Debug, ClapArgs)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Fetch the newest signed checkpoint; with --out keep it, once the log is proved to have only grown
    /// since the one that was kept before.
    Checkpoint(CheckpointArgs),
    /// Prove that the log contains the decision about a request, or an entry.
    Prove(ProveArgs),
    /// Verify a proof, or a whole exported log, without any network.
    Verify(VerifyArgs),
    /// Copy the log to a folder, or what was added to it since.
    Export(ExportArgs),
    /// Copy the log from what a witness keeps of it for auditors, or what was added to it since. The signer
    /// is not asked.
    Restore(RestoreArgs),
    /// Make an auditor's key, for the policy to name: what witnesses keep is encrypted to it.
    Keygen(KeygenArgs),
    /// Write what an exported log says, once it is verified: for spreadsheets, to read and print, or for
    /// programs.
    Report(ReportArgs),
    /// Hold an exported log, once it is verified, against what the device and the chains say.
    Reconcile(ReconcileArgs),
    /// Compose the statement by which old bodies are removed from the signer, once an exported log is verified.
    #[command(after_help = "Each officer reads the statement and signs it with\n\
                      `ssh-keygen -Y sign -n strongroom-prune-v1 -f KEY STATEMENT`, which writes STATEMENT.sig; then\n\
                      `signerd --config FILE --prune STATEMENT --signature FILE...` while the daemon is stopped.")]
    Prune(PruneArgs),
    /// Show the newest entries, and with --follow every new one.
    Tail(TailArgs),
    /// Show an entry in words.
    Show(ShowArgs),
}

#[derive(Debug, ClapArgs)]
struct CheckpointArgs {
    #[command(flatten)]
    peer: PeerArgs,
    #[command(flatten)]
    log: LogArgs,
    /// Where to keep it.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

#[derive(Debug, ClapArgs)]
struct ProveArgs {
    #[command(flatten)]
    peer: PeerArgs,
    #[command(flatten)]
    log: LogArgs,
    /// The id of a request of your own.
    #[arg(required_unless_present = "entry", conflicts_with = "entry")]
    request: Option<String>,
    /// An entry of the journal, where you may read them all.
    #[arg(long, value_name = "INDEX")]
    entry: Option<u64>,
    /// Where to write the proof, which stands by itself.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

#[derive(Debug, ClapArgs)]
struct VerifyArgs {
    #[command(flatten)]
    log: LogArgs,
    /// A client's profile that says log_key.
    #[arg(long, value_name = "FILE")]
    profile: Option<PathBuf>,
    /// A file of `audit prove`, or a folder of `audit export`.
    path: PathBuf,
}

#[derive(Debug, ClapArgs)]
struct ExportArgs {
    #[command(flatten)]
    peer: PeerArgs,
    #[command(flatten)]
    log: LogArgs,
    /// Where to; what is there is carried on.
    #[arg(long, value_name = "FOLDER")]
    out: PathBuf,
    /// The tree alone, without what the entries say.
    #[arg(long)]
    commitments: bool,
}

#[derive(Debug, ClapArgs)]
struct RestoreArgs {
    #[command(flatten)]
    log: LogArgs,
    /// A client's profile that says log_key.
    #[arg(long, value_name = "FILE")]
    profile: Option<PathBuf>,
    /// The witness: https:// with --ca, http:// on this machine, or a copy of its folder of bodies.
    #[arg(long, value_name = "URL|FOLDER")]
    from: String,
    /// The certificate of the authority that certifies the witness, PEM.
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// Your key, as `audit keygen` or `age-keygen` made it.
    #[arg(long, value_name = "FILE")]
    identity: PathBuf,
    /// Where to; what is there is carried on.
    #[arg(long, value_name = "FOLDER")]
    out: PathBuf,
}

#[derive(Debug, ClapArgs)]
struct KeygenArgs {
    /// Where the key is written; nothing may be there.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

#[derive(Debug, Serialize)]
struct MadeKey {
    key: String,
}

impl fmt::Display for MadeKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.key)
    }
}

#[derive(Debug, ClapArgs)]
struct ReportArgs {
    #[command(flatten)]
    log: LogArgs,
    /// A client's profile that says log_key.
    #[arg(long, value_name = "FILE")]
    profile: Option<PathBuf>,
    /// A folder of `audit export`.
    folder: PathBuf,
    /// In which form.
    #[arg(long)]
    form: report::Form,
    /// The file to write; it must not exist.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// From this day or time on, in UTC: 2026-11-01 or 2026-11-01T12:00:00Z.
    #[arg(long, value_name = "TIME", value_parser = time)]
    from: Option<Time>,
    /// Until before this day or time.
    #[arg(long, value_name = "TIME", value_parser = time)]
    to: Option<Time>,
    /// What is summed up together.
    #[arg(long, default_value = "month")]
    period: report::Period,
}

#[derive(Debug, ClapArgs)]
#[command(group = clap::ArgGroup::new("others").required(true).multiple(true))]
struct ReconcileArgs {
    #[command(flatten)]
    log: LogArgs,
    /// A client's profile that says log_key.
    #[arg(long, value_name = "FILE")]
    profile: Option<PathBuf>,
    /// A folder of `audit export`.
    folder: PathBuf,
    /// What the device signed, a line each: {"key": NAME, "digest": HEX}, of which it may tell one.
    #[arg(long, value_name = "FILE", group = "others")]
    hsm_log: Option<PathBuf>,
    /// What is on the chains from own addresses, a line each: {"chain": CHAIN, "txid": ID}.
    #[arg(long, value_name = "FILE", group = "others")]
    chain: Option<PathBuf>,
}

#[derive(Debug, ClapArgs)]
struct PruneArgs {
    #[command(flatten)]
    log: LogArgs,
    /// A client's profile that says log_key.
    #[arg(long, value_name = "FILE")]
    profile: Option<PathBuf>,
    /// A folder of `audit export`, which is kept.
    folder: PathBuf,
    /// Remove what was written before this day or time, in UTC.
    #[arg(long, value_name = "TIME", value_parser = time)]
    before: Time,
    /// When the statement holds no longer, at most 7 days from now [default: in 24 hours].
    #[arg(long, value_name = "TIME")]
    expires: Option<Time>,
    /// Where the statement goes; nothing may be there yet.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

/// A day or a time.
fn time(text: &str) -> Result<Time, TimeError> {
    let day = format!("{text}T00:00:00Z");
    day.parse().or_else(|_| text.parse())
}

#[derive(Debug, ClapArgs)]
struct TailArgs {
    #[command(flatten)]
    peer: PeerArgs,
    /// How many of the newest entries to begin with.
    #[arg(long, value_name = "COUNT", default_value_t = 20)]
    lines: u64,
    /// Go on, until interrupted.
    #[arg(long)]
    follow: bool,
}

#[derive(Debug, ClapArgs)]
struct ShowArgs {
    #[command(flatten)]
    peer: PeerArgs,
    /// An exported log to read, instead of asking a signer.
    #[arg(long, value_name = "FOLDER")]
    folder: Option<PathBuf>,
    /// The entry.
    entry: u64,
}

/// Carries a command out.
///
/// # Errors
/// [`AuditError`].
pub fn run(args: &Args, format: Format) -> Result<Answer, Failure> {
    match &args.command {
        Command::Checkpoint(args) => {
            let keys = args.log.keys(args.peer.log_key()?)?;
            let signer = args.peer.signer()?;
            Answer::done(&signed::fetch(&signer, &keys, args.out.as_deref())?)
        }
        Command::Prove(args) => {
            let keys = args.log.keys(args.peer.log_key()?)?;
            let signer = args.peer.signer()?;
            let wanted = match (&args.request, args.entry) {
                (Some(request), _) => prove::Wanted::Request(request),
                (None, entry) => prove::Wanted::Entry(entry.unwrap_or(0)),
            };
            Answer::done(&prove::prove(&signer, &keys, wanted, args.out.as_deref())?)
        }
        Command::Verify(args) => verify(args),
        Command::Export(args) => {
            let keys = args.log.keys(args.peer.log_key()?)?;
            let content = if args.commitments {
                export::Content::Commitments
            } else {
                export::Content::Bodies
            };
            let signer = args.peer.signer()?;
            Answer::done(&export::export(&signer, &keys, &args.out, content)?)
        }
        Command::Restore(args) => restore(args),
        Command::Keygen(args) => {
            let key = keygen(&args.out).map_err(error::AuditError::File)?;
            Answer::done(&MadeKey { key })
        }
        Command::Report(args) => {
            let keys = args
                .log
                .keys(PeerArgs::log_key_in(args.profile.as_deref())?)?;
            let (from, to, period) = (args.from, args.to, args.period);
            let span = report::Span { from, to, period };
            let file = (args.form, args.out.as_path());
            Answer::done(&report::write(&args.folder, &keys, span, file)?)
        }
        Command::Reconcile(args) => reconcile(args),
        Command::Prune(args) => prune(args),
        Command::Tail(args) => {
            let follow = args.follow.then_some(format);
            Answer::done(&tail::tail(&args.peer.signer()?, args.lines, follow)?)
        }
        Command::Show(args) => {
            let body = match &args.folder {
                Some(folder) => folder::entry(folder, args.entry)?,
                None => tail::entry(&args.peer.signer()?, args.entry)?,
            };
            Answer::done(&show::Shown::of(body)?)
        }
    }
}

fn restore(args: &RestoreArgs) -> Result<Answer, Failure> {
    let pinned = PeerArgs::log_key_in(args.profile.as_deref())?;
    let keys = args.log.keys(pinned)?;
    let origin = restore::Origin {
        from: &args.from,
        ca: args.ca.as_deref(),
        identity: &args.identity,
    };
    Answer::done(&restore::restore(origin, &keys, &args.out)?)
}

fn verify(args: &VerifyArgs) -> Result<Answer, Failure> {
    let pinned = PeerArgs::log_key_in(args.profile.as_deref())?;
    let keys = args.log.keys(pinned)?;
    if !args.path.is_dir() {
        return Answer::done(&prove::verify(&args.path, &keys)?);
    }
    let report = verify::verify(&args.path, &keys, &mut |_| Ok(()))?;
    if report.is_whole() {
        Answer::done(&report)
    } else {
        Answer::refused(&report)
    }
}

fn prune(args: &PruneArgs) -> Result<Answer, Failure> {
    let pinned = PeerArgs::log_key_in(args.profile.as_deref())?;
    let keys = args.log.keys(pinned)?;
    let terms = prune::Terms {
        before: args.before,
        expires: args.expires,
    };
    match prune::compose(&args.folder, &keys, terms, &args.out)? {
        Ok(composed) => Answer::done(&composed),
        Err(report) => Answer::refused(&*report),
    }
}

fn reconcile(args: &ReconcileArgs) -> Result<Answer, Failure> {
    let pinned = PeerArgs::log_key_in(args.profile.as_deref())?;
    let keys = args.log.keys(pinned)?;
    let others = reconcile::Others {
        hsm_log: args.hsm_log.as_deref(),
        chain: args.chain.as_deref(),
    };
    let reconciled = reconcile::reconcile(&args.folder, &keys, others)?;
    if reconciled.agrees() {
        Answer::done(&reconciled)
    } else {
        Answer::refused(&reconciled)
    }
}
