//! `strongroom policy status`, `veto`, `freeze` and `unfreeze`: which bundle governs a signer, which one waits,
//! what is frozen, and what officers say of it.

use std::fmt;
use std::path::PathBuf;

use api::governance::{FrozenScope, GovernanceAnswer, LoadedBook, ProposedBundle};
use api::signing::Statement;
use policy::FreezeScope;
use policy::statement::{Freeze, Header, Unfreeze, Veto};
use serde::Serialize;
use tx::Name;

use super::error::PolicyError;
use super::heartbeat;
use crate::client::{PeerArgs, Signer};
use crate::failure::Failure;
use crate::files;
use crate::output::Answer;
use crate::ssh;

/// The largest file with a signature.
const SIGNATURE_MAX_BYTES: u64 = 64 * 1024;

/// `strongroom policy status`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    peer: PeerArgs,
}

/// `strongroom policy veto`.
#[derive(Debug, clap::Args)]
pub struct VetoArgs {
    #[command(flatten)]
    peer: PeerArgs,
    /// The bundle that shall not govern, as `policy status` shows it: 64 hexadecimal digits.
    #[arg(value_parser = hash)]
    bundle: policy::BundleHash,
    #[command(flatten)]
    officers: Officers,
}

/// `strongroom policy freeze` and `strongroom policy unfreeze`.
#[derive(Debug, clap::Args)]
pub struct FreezeArgs {
    #[command(flatten)]
    peer: PeerArgs,
    /// `everything`, "account NAME", "chain CHAIN", "key NAME", or what goes to "book NAME" or "own-class CLASS".
    #[arg(value_parser = scope)]
    scope: FreezeScope,
    #[command(flatten)]
    officers: Officers,
}

/// Who signs, and with what. Without any the statement is printed, to be signed with ssh-keygen.
#[derive(Debug, clap::Args)]
pub(super) struct Officers {
    /// What an officer signs with: an OpenSSH private key, or the public key of one that an agent or a security
    /// key has; several may be given.
    #[arg(long, value_name = "FILE")]
    officer_key: Vec<PathBuf>,
    /// A file with an officer's signature over the statement, as `ssh-keygen -Y sign` writes it; several may
    /// be given.
    #[arg(long, value_name = "FILE")]
    signature: Vec<PathBuf>,
}

fn scope(text: &str) -> Result<FreezeScope, &'static str> {
    let wanted = "everything, or account, chain, key, book or own-class and its name is expected";
    text.parse().map_err(|()| wanted)
}

fn hash(text: &str) -> Result<policy::BundleHash, &'static str> {
    let text = text.strip_prefix("sha256:").unwrap_or(text);
    text.parse()
        .map_err(|_| "64 hexadecimal digits are expected")
}

/// Shows what governs.
///
/// # Errors
/// [`crate::client::SignerError`].
pub fn status(args: &Args) -> Result<Answer, Failure> {
    let answer = args.peer.signer()?.governance()?;
    Answer::done(&Status(answer))
}

/// Vetoes the bundle that waits.
///
/// # Errors
/// [`PolicyError`]; [`crate::client::SignerError`].
pub fn veto(args: &VetoArgs) -> Result<Answer, Failure> {
    let signer = args.peer.signer()?;
    let statement = stated(&signer.governance()?, args.bundle)?;
    args.officers
        .bring(&signer, &statement.header(), statement.to_string())
}

/// Freezes a scope.
///
/// # Errors
/// [`PolicyError`]; [`crate::client::SignerError`].
pub fn freeze(args: &FreezeArgs) -> Result<Answer, Failure> {
    let signer = args.peer.signer()?;
    let answer = signer.governance()?;
    let statement = Freeze {
        fleet: fleet(&answer)?,
        unfrozen: answer.unfrozen,
        scope: args.scope.clone(),
    };
    args.officers
        .bring(&signer, &statement.header(), statement.to_string())
}

/// Lifts the freeze of a scope.
///
/// # Errors
/// [`PolicyError`]; [`crate::client::SignerError`].
pub fn unfreeze(args: &FreezeArgs) -> Result<Answer, Failure> {
    let signer = args.peer.signer()?;
    let answer = signer.governance()?;
    let scope = args.scope.to_string();
    let frozen = answer.freezes.iter().find(|one| one.scope == scope);
    let frozen = frozen.ok_or(PolicyError::NotFrozen { scope })?;
    let statement = Unfreeze {
        fleet: fleet(&answer)?,
        entry: frozen.entry,
        scope: args.scope.clone(),
    };
    args.officers
        .bring(&signer, &statement.header(), statement.to_string())
}

impl Officers {
    /// Signs with the keys that are given, and brings it with them and the signatures; or prints it.
    pub(super) fn bring(
        &self,
        signer: &Signer,
        header: &Header,
        text: String,
    ) -> Result<Answer, Failure> {
        let namespace = header.namespace();
        let mut signatures = Vec::new();
        for path in &self.officer_key {
            signatures.push(ssh::sign(path, &text, &namespace)?);
        }
        for path in &self.signature {
            let bytes = files::read(path, SIGNATURE_MAX_BYTES).map_err(PolicyError::File)?;
            signatures.push(String::from_utf8_lossy(&bytes).into_owned());
        }
        if signatures.is_empty() {
            return Answer::done(&Unsigned {
                namespace,
                statement: text,
            });
        }
        let entry = signer.state(&Statement {
            statement: text.clone(),
            signatures,
        })?;
        let statement = text;
        Answer::done(&Brought { entry, statement })
    }
}

pub(super) fn fleet(answer: &GovernanceAnswer) -> Result<Name, PolicyError> {
    let fleet = answer.fleet.parse();
    fleet.map_err(|_| PolicyError::Fleet {
        fleet: answer.fleet.clone(),
    })
}

/// The statement against the bundle that waits: the one that the officer named and no other.
fn stated(answer: &GovernanceAnswer, bundle: policy::BundleHash) -> Result<Veto, PolicyError> {
    let waits = answer.proposed.as_ref();
    let waits = waits.filter(|one| one.hash == bundle.to_string());
    let waits = waits.ok_or(PolicyError::NotProposed { bundle })?;
    Ok(Veto {
        fleet: fleet(answer)?,
        entry: waits.entry,
        bundle,
    })
}

#[derive(Debug, Serialize)]
#[serde(transparent)]
struct Status(GovernanceAnswer);

/// The statement, to be signed elsewhere.
#[derive(Debug, Serialize)]
pub(super) struct Unsigned {
    pub(super) namespace: String,
    pub(super) statement: String,
}

#[derive(Debug, Serialize)]
struct Brought {
    #[serde(skip_serializing_if = "Option::is_none")]
    entry: Option<u64>,
    statement: String,
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let GovernanceAnswer {
            fleet,
            policy,
            sequence,
            officers,
            threshold,
            delay_secs,
            proposed,
            recovery,
            unfreeze_delay_secs,
            freezes,
            unfrozen: _,
            books,
            heartbeat,
            time,
        } = &self.0;
        writeln!(f, "fleet       {fleet}")?;
        writeln!(f, "governs     bundle {sequence} ({policy})")?;
        writeln!(f, "officers    {threshold} of {}", officers.join(", "))?;
        writeln!(
            f,
            "delay       {delay_secs} s, un-freezing {unfreeze_delay_secs} s"
        )?;
        writeln!(f, "time        {} to {}", time.lo, time.hi)?;
        for FrozenScope {
            scope,
            entry,
            until,
        } in freezes
        {
            match until {
                Some(until) => writeln!(f, "frozen      {scope}, until {until}")?,
                None => writeln!(f, "frozen      {scope}, by entry {entry}")?,
            }
        }
        if let Some(recovery) = recovery {
            let (needed, people) = (recovery.threshold, recovery.people.join(", "));
            writeln!(
                f,
                "recovery    {needed} of {people}, after {} s under a freeze",
                recovery.delay_secs
            )?;
        }
        if let Some(heartbeat) = heartbeat {
            heartbeat::status(f, heartbeat)?;
        }
        for one in books {
            book(f, one)?;
        }
        match proposed {
            None => writeln!(f, "waits       nothing"),
            Some(one) => waits(f, one),
        }
    }
}

fn waits(f: &mut fmt::Formatter<'_>, bundle: &ProposedBundle) -> fmt::Result {
    let ProposedBundle {
        entry,
        hash,
        sequence,
        signed_by,
        not_before,
        by_recovery,
    } = bundle;
    writeln!(f, "waits       bundle {sequence} ({hash}), entry {entry}")?;
    let set = if *by_recovery {
        ", the recovery set"
    } else {
        ""
    };
    writeln!(f, "  signed by {}{set}", signed_by.join(", "))?;
    if *by_recovery {
        writeln!(f, "  replaces  people alone, unless the freeze is lifted")?;
    }
    writeln!(
        f,
        "  governs   at {not_before} of the signer's time, unless vetoed"
    )
}

fn book(f: &mut fmt::Formatter<'_>, book: &LoadedBook) -> fmt::Result {
    let LoadedBook {
        book,
        chain,
        signers,
        threshold,
        cooling_secs,
        sequence,
        file: _,
        addresses,
        is_there,
        cooling,
    } = book;
    match sequence {
        0 => writeln!(f, "book        {book} of {chain}, never loaded")?,
        _ => writeln!(
            f,
            "book        {book} of {chain}, {sequence}: {addresses} addresses"
        )?,
    }
    let signers = signers.join(", ");
    writeln!(
        f,
        "  signers   {threshold} of {signers}; cools for {cooling_secs} s"
    )?;
    if *sequence > 0 && !is_there {
        writeln!(f, "  files     are not there: nothing is sure of it")?;
    }
    for content in cooling {
        let (sequence, not_before) = (content.sequence, content.not_before);
        let how = if content.vetoed { "vetoed" } else { "cooling" };
        writeln!(
            f,
            "  {how:<9} {sequence}, until {not_before} of the signer's time"
        )?;
    }
    Ok(())
}

impl fmt::Display for Unsigned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.statement)
    }
}

/// What follows the words that something was taken.
pub(crate) fn as_entry(entry: Option<u64>) -> String {
    entry.map_or(String::new(), |entry| format!(" as entry {entry}"))
}

impl fmt::Display for Brought {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "the signer has taken it{}:", as_entry(self.entry))?;
        write!(f, "{}", self.statement)
    }
}
