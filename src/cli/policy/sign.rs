//! `strongroom policy sign`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};

use policy::Policy;
use policy::bundle::{MANIFEST, Manifest, SIGNATURES};
use policy::statement::{self, Signatures};
use serde::Serialize;
use tx::Name;

use super::error::PolicyError;
use super::{folder, offline, zones};
use crate::failure::Failure;
use crate::files::{self, Access};
use crate::output::Answer;
use crate::ssh;

/// `strongroom policy sign`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The bundle's folder.
    folder: PathBuf,
    /// The fleet that the bundle is for. Left out: the manifest that is there is signed.
    #[arg(long, requires = "sequence")]
    fleet: Option<Name>,
    /// The bundle's own sequence, above the running one's.
    #[arg(long, requires = "fleet")]
    sequence: Option<u64>,
    /// The sequence of the running bundle, which this one replaces [default: one less].
    #[arg(long, requires = "sequence")]
    replaces: Option<u64>,
    /// What to sign with: an OpenSSH private key, or the public key of one that an agent or a security key has.
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
}

/// The answer.
#[derive(Debug, Serialize)]
struct Report {
    fleet: Name,
    sequence: u64,
    replaces: u64,
    fingerprint: String,
    manifest: PathBuf,
    /// The officers of this bundle who have signed it. A running bundle counts its own.
    signed_by: BTreeSet<Name>,
    /// The recovery set's, where the bundle names one.
    #[serde(skip_serializing_if = "Option::is_none")]
    recovery: Option<Signed>,
    threshold: u32,
    /// Signatures over an earlier manifest, which were taken out.
    dropped: usize,
}

/// Makes the manifest where it is asked for, and adds a signature.
///
/// # Errors
/// See [`PolicyError`].
pub fn run(args: &Args) -> Result<Answer, Failure> {
    if args.fleet.is_some() {
        zones::refresh(&args.folder)?;
    }
    let files = folder::read(&args.folder)?;
    let parsed = offline::parse(&files)?;
    let manifest = manifest(args, &files)?;
    let text = manifest.to_string();
    let same = files
        .get(MANIFEST)
        .is_some_and(|old| *old == text.as_bytes());
    let old = signatures(&files)?;
    let kept = files.get(SIGNATURES).filter(|_| same);
    let mut armour = String::from_utf8_lossy(kept.map_or(&[], Vec::as_slice)).into_owned();
    if !same {
        // The signatures first: a crash in between leaves a manifest without any, not one with
        // those of another.
        write(&args.folder.join(SIGNATURES), "")?;
        write(&args.folder.join(MANIFEST), &text)?;
    }
    if let Some(path) = &args.key {
        let signature = ssh::sign(path, &text, &manifest.header().namespace())?;
        // Ed25519 and RFC 6979 sign the same twice: once is enough in the file.
        if !armour.contains(&signature) {
            if !armour.is_empty() && !armour.ends_with('\n') {
                armour.push('\n');
            }
            armour.push_str(&signature);
        }
        write(&args.folder.join(SIGNATURES), &armour)?;
    }
    let policy = parsed.under(&manifest);
    let officers = &policy.governance.officers;
    let recovery = policy.recovery.as_ref().map(|recovery| {
        let signed_by = signed_by((&policy, &recovery.people), &manifest, &armour)?;
        let threshold = recovery.threshold;
        Ok::<_, PolicyError>(Signed {
            threshold,
            signed_by,
        })
    });
    Answer::done(&Report {
        signed_by: signed_by((&policy, officers), &manifest, &armour)?,
        recovery: recovery.transpose()?,
        threshold: policy.governance.threshold,
        fingerprint: format!("sha256:{}", manifest.hash()),
        manifest: args.folder.join(MANIFEST),
        dropped: if same { 0 } else { old.len() },
        replaces: manifest.answers,
        sequence: manifest.sequence,
        fleet: manifest.fleet,
    })
}

fn manifest(args: &Args, files: &BTreeMap<String, Vec<u8>>) -> Result<Manifest, PolicyError> {
    let (Some(fleet), Some(sequence)) = (&args.fleet, args.sequence) else {
        let text = files.get(MANIFEST).ok_or(PolicyError::NoManifest)?;
        return Manifest::verify(text, files).map_err(PolicyError::Manifest);
    };
    let answers = args.replaces.unwrap_or(sequence.saturating_sub(1));
    if answers >= sequence {
        return Err(PolicyError::Sequence { sequence, answers });
    }
    Ok(Manifest::of(files, fleet.clone(), sequence, answers))
}

fn signatures(files: &BTreeMap<String, Vec<u8>>) -> Result<Signatures, PolicyError> {
    let bytes = files.get(SIGNATURES).map_or(&[][..], Vec::as_slice);
    Signatures::parse(&String::from_utf8_lossy(bytes)).map_err(PolicyError::Signatures)
}

fn write(path: &Path, text: &str) -> Result<(), PolicyError> {
    files::replace(path, text.as_bytes(), Access::Public).map_err(PolicyError::File)
}

fn signed_by(
    (policy, names): (&Policy, &BTreeSet<Name>),
    manifest: &Manifest,
    armour: &str,
) -> Result<BTreeSet<Name>, PolicyError> {
    let signatures = Signatures::parse(armour).map_err(PolicyError::Signatures)?;
    let (text, namespace) = (manifest.to_string(), manifest.header().namespace());
    let mut people = statement::verify(&text, &namespace, &signatures, &policy.people);
    people.retain(|name| names.contains(name));
    Ok(people)
}

/// Signatures of a set of people.
#[derive(Debug, Serialize)]
struct Signed {
    threshold: u32,
    signed_by: BTreeSet<Name>,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{}: fleet {}, sequence {}, replaces {}",
            self.manifest.display(),
            self.fleet,
            self.sequence,
            self.replaces
        )?;
        if self.dropped > 0 {
            writeln!(
                f,
                "  {} signatures were over another manifest and were taken out",
                self.dropped
            )?;
        }
        let names: Vec<&str> = self.signed_by.iter().map(Name::as_str).collect();
        let (signed, names) = (names.len(), names.join(", "));
        writeln!(f, "  signed by   {signed} of {}: {names}", self.threshold)?;
        let recovery = self.recovery.iter().filter(|one| !one.signed_by.is_empty());
        for Signed {
            threshold,
            signed_by,
        } in recovery
        {
            let names: Vec<&str> = signed_by.iter().map(Name::as_str).collect();
            let (signed, names) = (names.len(), names.join(", "));
            writeln!(f, "  recovery    {signed} of {threshold}: {names}")?;
        }
        writeln!(f, "  fingerprint {}", self.fingerprint)
    }
}
