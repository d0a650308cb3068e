//! The statement by which officers let bodies go that an exported log has.

use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};

use policy::{
    BundleHash, Digest,
    statement::{Head, Prune},
};
use serde::Serialize;
use tx::{Name, Time};

use super::error::AuditError;
use super::folder::CHECKPOINT;
use super::signed::LogKeys;
use super::verify::{Report, verify};
use crate::files::{self, Access};
use crate::unseal::tomorrow;

/// What goes, and for how long the statement holds.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    /// What was written before goes.
    pub before: Time,
    /// When the statement holds no longer.
    pub expires: Option<Time>,
}

/// The answer of `audit prune`.
#[derive(Debug, Serialize)]
pub struct Composed {
    statement: PathBuf,
    fingerprint: String,
    namespace: String,
    exported: u64,
    before: Time,
    expires: Time,
    threshold: u32,
    officers: BTreeSet<Name>,
}

/// Who governs at the end of an exported log.
struct Governed {
    fleet: Name,
    bundle: BundleHash,
    threshold: u32,
    officers: BTreeSet<Name>,
}

/// Verifies an exported log and composes the statement; where the log is not whole, what is wrong with it.
///
/// # Errors
/// [`AuditError`].
pub fn compose(
    folder: &Path,
    keys: &LogKeys,
    terms: Terms,
    out: &Path,
) -> Result<Result<Composed, Box<Report>>, AuditError> {
    let mut governed = None;
    let report = verify(folder, keys, &mut |seen| {
        let state = seen.state;
        if let (Some(fleet), Some(policy)) = (state.fleet(), state.policy()) {
            let known: Option<&Governed> = governed.as_ref();
            if known.is_none_or(|known| known.bundle != policy.hash) {
                governed = Some(Governed {
                    fleet: fleet.clone(),
                    bundle: policy.hash,
                    threshold: policy.governance.threshold,
                    officers: policy.governance.officers.clone(),
                });
            }
        }
        Ok(())
    })?;
    let Some(governed) = governed.filter(|_| report.is_whole() && report.withheld == 0) else {
        return Ok(Err(Box::new(report)));
    };
    let checkpoint = keys.read(&folder.join(CHECKPOINT))?;
    let head = checkpoint.head();
    let statement = Prune {
        fleet: governed.fleet,
        log: keys.origin().clone(),
        exported: Head {
            size: head.size,
            root: Digest(*head.root.as_bytes()),
        },
        bundle: governed.bundle,
        before: terms.before,
        expires: terms.expires.unwrap_or_else(tomorrow),
    };
    files::create(out, statement.to_string().as_bytes(), Access::Public)?;
    Ok(Ok(Composed {
        statement: out.to_owned(),
        fingerprint: format!("sha256:{}", statement.hash()),
        namespace: statement.header().namespace(),
        exported: statement.exported.size,
        before: statement.before,
        expires: statement.expires,
        threshold: governed.threshold,
        officers: governed.officers,
    }))
}

impl fmt::Display for Composed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}: {}", self.statement.display(), self.fingerprint)?;
        writeln!(f, "  {} entries are exported and verified", self.exported)?;
        writeln!(f, "  bodies go that were written before {}", self.before)?;
        writeln!(f, "  holds until {}", self.expires)?;
        let officers: Vec<_> = self.officers.iter().map(Name::as_str).collect();
        writeln!(
            f,
            "to be signed by {} of {}:",
            self.threshold,
            officers.join(", ")
        )?;
        let path = self.statement.display();
        write!(
            f,
            "  ssh-keygen -Y sign -n {} -f KEY {path}",
            self.namespace
        )
    }
}
