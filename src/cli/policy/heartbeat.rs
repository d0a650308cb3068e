//! `strongroom policy heartbeat`: says that somebody is there, over a checkpoint of the signer that was looked at.

use std::fmt;
use std::path::PathBuf;

use api::governance::{HeartbeatDue, HeartbeatStatus};
use api::signing::Statement;
use policy::Digest;
use policy::statement::{Head, Heartbeat};
use serde::Serialize;
use tx::Time;

use super::error::PolicyError;
use super::governance::{Unsigned, as_entry, fleet};
use crate::audit::signed::LogArgs;
use crate::client::PeerArgs;
use crate::failure::Failure;
use crate::files;
use crate::now::now;
use crate::output::Answer;
use crate::ssh;

/// The largest file with a statement or a signature.
const FILE_MAX_BYTES: u64 = 64 * 1024;

/// `strongroom policy heartbeat`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    peer: PeerArgs,
    #[command(flatten)]
    log: LogArgs,
    /// What to sign with: an OpenSSH private key, or the public key of one that an agent or a security key
    /// has; several may be given. Left out, the statement is printed.
    #[arg(long, value_name = "FILE")]
    signing_key: Vec<PathBuf>,
    /// A statement that was printed before, to be brought with its signatures.
    #[arg(long, value_name = "FILE", requires = "signature")]
    statement: Option<PathBuf>,
    /// A file with a signature over that statement, as `ssh-keygen -Y sign` writes it; several may be given.
    #[arg(long, value_name = "FILE", requires = "statement")]
    signature: Vec<PathBuf>,
    /// When you looked [default: now].
    #[arg(long, value_name = "TIME")]
    at: Option<Time>,
}

/// Says it.
///
/// # Errors
/// [`PolicyError`]; [`crate::audit::error::AuditError`]; [`crate::client::SignerError`].
pub fn run(args: &Args) -> Result<Answer, Failure> {
    let statement = match &args.statement {
        Some(path) => read(path)?,
        None => made(args)?.to_string(),
    };
    let said = Heartbeat::parse(&statement).map_err(PolicyError::Statement)?;
    let namespace = said.header().namespace();
    let mut signatures = Vec::new();
    for path in &args.signing_key {
        signatures.push(ssh::sign(path, &statement, &namespace)?);
    }
    for path in &args.signature {
        signatures.push(read(path)?);
    }
    if signatures.is_empty() {
        return Answer::done(&Unsigned {
            namespace,
            statement,
        });
    }
    let signer = args.peer.signer()?;
    let entry = signer.attest(&Statement {
        statement,
        signatures,
    })?;
    let heard = signer.governance().ok().and_then(|answer| answer.heartbeat);
    Answer::done(&Heard {
        entry,
        due: heard.map(|heard| heard.due),
    })
}

fn read(path: &std::path::Path) -> Result<String, PolicyError> {
    let bytes = files::read(path, FILE_MAX_BYTES).map_err(PolicyError::File)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The statement over the checkpoint that the signer shows, which one of the pinned keys of its log has signed.
fn made(args: &Args) -> Result<Heartbeat, Failure> {
    let keys = args.log.keys(args.peer.log_key()?)?;
    let answer = args.peer.signer()?.governance()?;
    let fleet = fleet(&answer)?;
    let asked = answer.heartbeat.ok_or(PolicyError::NoHeartbeat)?;
    let note = asked.checkpoint.ok_or(PolicyError::NoCheckpoint)?;
    let checkpoint = keys.open(&note, "the signer's checkpoint")?;
    let head = checkpoint.head();
    let now = args.at.unwrap_or_else(now);
    Ok(Heartbeat {
        fleet,
        log: keys.origin().clone(),
        seen: Head {
            size: head.size,
            root: Digest(*head.root.as_bytes()),
        },
        // A clock that is a moment ahead of the signer's says nothing that is not so.
        at: now.min(answer.time.hi),
    })
}

/// What the signer has taken.
#[derive(Debug, Serialize)]
struct Heard {
    #[serde(skip_serializing_if = "Option::is_none")]
    entry: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    due: Option<HeartbeatDue>,
}

impl fmt::Display for Heard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let entry = as_entry(self.entry);
        match &self.due {
            Some(due) => writeln!(
                f,
                "the signer has taken it{entry}; the next one is due at {}",
                due.due
            ),
            None => writeln!(f, "the signer has taken it{entry}"),
        }
    }
}

/// How the heartbeat stands, in `policy status`.
pub(super) fn status(f: &mut fmt::Formatter<'_>, status: &HeartbeatStatus) -> fmt::Result {
    let HeartbeatStatus {
        people,
        threshold,
        due,
        entry,
        checkpoint: _,
    } = status;
    let how = if due.overdue {
        "overdue since"
    } else {
        "due at"
    };
    writeln!(
        f,
        "heartbeat   {how} {}, each {} s",
        due.due, due.within_secs
    )?;
    writeln!(f, "  by        {threshold} of {}", people.join(", "))?;
    match entry {
        Some(entry) => writeln!(f, "  last      {}, entry {entry}", due.since),
        None => writeln!(f, "  last      never; counted from {}", due.since),
    }
}
