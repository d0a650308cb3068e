//! Proofs that stand by themselves: an entry, its path to the root, and the signed checkpoint.

use std::fmt;
use std::path::Path;

use api::journal::BodyOpening;
use api::journal::{JournalBody, ProofsRequest};
use serde::{Deserialize, Serialize};
use tlog::{checkpoint::SignedCheckpoint, verify_inclusion};

use super::error::AuditError;
use super::folder::{leaf, opens};
use super::show::Shown;
use super::signed::{LogKeys, hashes};
use super::tail;
use crate::client::Signer;
use crate::failure::Explained as _;
use crate::files::{self, Access};

/// The form of the file.
const FORM: &str = "strongroom-proof-v1";
/// The largest proof that is read.
const PROOF_MAX_BYTES: u64 = 32 << 20;

/// What is to be proved.
#[derive(Clone, Copy, Debug)]
pub enum Wanted<'a> {
    /// The decision about a request of one's own.
    Request(&'a str),
    /// An entry.
    Entry(u64),
}

/// A proof, as it is kept in a file.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Proof {
    form: String,
    /// The entry with the commitment, and what opens it.
    entry: JournalBody,
    /// The audit path by RFC 6962, from the leaf.
    path: Vec<String>,
    /// The signed note.
    checkpoint: String,
}

/// The answer of `audit prove`, and of `audit verify` of a proof.
#[derive(Debug, Serialize)]
pub struct Proved {
    origin: String,
    size: u64,
    root: String,
    entry: Shown,
}

/// Asks for a proof and verifies it; `out` is given it whole.
///
/// # Errors
/// [`AuditError`].
pub fn prove(
    signer: &Signer,
    keys: &LogKeys,
    wanted: Wanted<'_>,
    out: Option<&Path>,
) -> Result<Proved, AuditError> {
    let entry = match wanted {
        Wanted::Request(id) => of_request(signer, id)?,
        Wanted::Entry(index) => tail::entry(signer, index)?,
    };
    let note = signer.checkpoint(Some(entry.entry))?;
    let checkpoint = keys.open(&note, "the signer's checkpoint")?;
    let answer = signer.proofs(&ProofsRequest {
        size: checkpoint.head().size,
        entries: vec![entry.entry],
    })?;
    let path = answer.proofs.into_iter().next().map(|proof| proof.path);
    let proof = Proof {
        form: FORM.to_owned(),
        entry,
        path: path.unwrap_or_default(),
        checkpoint: note,
    };
    let proved = proof.verify(&checkpoint)?;
    if let Some(out) = out {
        let mut text = serde_json::to_vec_pretty(&proof).map_err(|error| AuditError::Answer {
            reason: error.to_string(),
        })?;
        text.push(b'\n');
        files::create(out, &text, Access::Secret)?;
    }
    Ok(proved)
}

/// The decision about a request, from its receipt.
fn of_request(signer: &Signer, id: &str) -> Result<JournalBody, AuditError> {
    let odd = |reason: &str| AuditError::Answer {
        reason: reason.to_owned(),
    };
    let answer = signer.request(id).map_err(|error| match error.kind() {
        "not-found" => AuditError::NoRequest {
            request: id.to_owned(),
        },
        _ => error.into(),
    })?;
    let receipt = answer.receipt.ok_or_else(|| odd("it has no receipt"))?;
    let leaf = receipt.leaf().map_err(|error| odd(&error.to_string()))?;
    let commitment = leaf.get(1..).unwrap_or_default();
    Ok(JournalBody {
        entry: receipt.entry,
        commitment: hex::encode(commitment),
        opening: Some(BodyOpening {
            salt: receipt.salt,
            body: receipt.body,
            apart: None,
        }),
    })
}

/// Verifies a proof by the pinned keys alone.
///
/// # Errors
/// [`AuditError`].
pub fn verify(path: &Path, keys: &LogKeys) -> Result<Proved, AuditError> {
    let bad = |reason: String| AuditError::NoProof {
        path: path.to_owned(),
        reason,
    };
    let bytes = files::read(path, PROOF_MAX_BYTES)?;
    let proof: Proof = serde_json::from_slice(&bytes).map_err(|error| bad(error.to_string()))?;
    if proof.form != FORM {
        return Err(bad(format!("its form is {:?}, not {FORM:?}", proof.form)));
    }
    let checkpoint = keys.open(&proof.checkpoint, "the proof's checkpoint")?;
    proof.verify(&checkpoint)
}

impl Proof {
    fn verify(&self, checkpoint: &SignedCheckpoint) -> Result<Proved, AuditError> {
        let index = self.entry.entry;
        let other = || AuditError::Opening { entry: index };
        let leaf = leaf(&self.entry).ok_or_else(other)?;
        if !opens(&self.entry) {
            return Err(other());
        }
        let head = checkpoint.head();
        verify_inclusion(leaf.hash(), index, head, &hashes(&self.path)?).map_err(|source| {
            AuditError::Unproved {
                entry: index,
                source,
            }
        })?;
        Ok(Proved {
            origin: checkpoint.checkpoint().origin().to_string(),
            size: head.size,
            root: head.root.to_string(),
            entry: Shown::of(self.entry.clone())?,
        })
    }
}

impl fmt::Display for Proved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "proved: the log {} of {} entries, signed by the pinned key, contains",
            self.origin, self.size
        )?;
        write!(f, "{}", self.entry)
    }
}
