//! A copy of the log from what a witness keeps of it, where the signer is lost or not believed.

use std::fmt;
use std::path::Path;

use serde::Serialize;

use super::chunks::{ChunkError, Chunks};
use super::error::AuditError;
use super::export::{Exported, copy};
use super::signed::LogKeys;
use crate::bodies::Identities;
use crate::files;

/// The largest file of roots that is read.
const CA_MAX_BYTES: u64 = 1 << 20;

/// Which witness, and whose key.
#[derive(Clone, Copy)]
pub struct Origin<'a> {
    /// A URL, or a folder.
    pub from: &'a str,
    /// Who certifies the witness.
    pub ca: Option<&'a Path>,
    /// The auditor's identity.
    pub identity: &'a Path,
}

/// The answer of `audit restore`.
#[derive(Debug, Serialize)]
pub struct Restored {
    #[serde(flatten)]
    copy: Exported,
    /// How many entries the witness has that no checkpoint there ends with yet.
    beyond: u64,
}

/// Copies the log from a witness. Everything is verified as if the signer had told it.
///
/// # Errors
/// [`AuditError`]; what was copied until then is carried on the next time, from any witness.
pub fn restore(origin: Origin<'_>, keys: &LogKeys, folder: &Path) -> Result<Restored, AuditError> {
    let identities = Identities::read(origin.identity).map_err(ChunkError::Identity)?;
    let roots = origin.ca.map(|ca| files::read(ca, CA_MAX_BYTES));
    let roots = roots.transpose()?;
    let mut chunks = Chunks::of(origin.from, roots.as_deref(), keys, &identities)?;
    let copied = copy(&mut chunks, keys, folder, Chunks::newest)?;
    let beyond = chunks.end().saturating_sub(copied.size());
    Ok(Restored {
        copy: copied,
        beyond,
    })
}

impl fmt::Display for Restored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.beyond > 0 {
            writeln!(
                f,
                "beyond    {} entries are there that no checkpoint ends with yet; they are left out",
                self.beyond
            )?;
        }
        self.copy.fmt(f)
    }
}
