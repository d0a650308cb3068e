//! The pinned keys of a log, and the checkpoints that they signed.

use std::fmt;
use std::path::Path;

use api::journal::CHECKPOINT_MAX;
use clap::Args;
use serde::Serialize;
use tlog::{
    Hash,
    checkpoint::{Origin, SignedCheckpoint},
    note::VerifierKey,
    verify_consistency,
};

use super::error::AuditError;
use crate::client::Signer;
use crate::files::{self, Access};

/// Whose signatures count.
#[derive(Debug, Args)]
pub struct LogArgs {
    /// The key of the log as you pinned it, <name>+<id>+<base64>; again for an earlier key of the same
    /// log [default: log_key of the profile].
    #[arg(long = "log-key", value_name = "KEY")]
    keys: Vec<String>,
}

/// A log, by its pinned keys.
#[derive(Debug)]
pub struct LogKeys {
    origin: Origin,
    keys: Vec<VerifierKey>,
}

impl LogArgs {
    /// The keys, of the command line or else of the profile.
    ///
    /// # Errors
    /// [`AuditError::NoLogKey`], [`AuditError::LogKey`], [`AuditError::TwoLogs`].
    pub fn keys(&self, of_profile: Option<String>) -> Result<LogKeys, AuditError> {
        let texts = if self.keys.is_empty() {
            of_profile.into_iter().collect()
        } else {
            self.keys.clone()
        };
        let keys = texts.into_iter().map(|text| {
            let key = text.parse::<VerifierKey>();
            key.map_err(|source| AuditError::LogKey { text, source })
        });
        LogKeys::new(keys.collect::<Result<_, _>>()?)
    }
}

impl LogKeys {
    fn new(keys: Vec<VerifierKey>) -> Result<Self, AuditError> {
        let first = keys.first().ok_or(AuditError::NoLogKey)?.name().clone();
        if keys.iter().any(|key| *key.name() != first) {
            return Err(AuditError::TwoLogs);
        }
        // A key's name is a line, which is all that an origin must be.
        let origin = first.as_str().parse().map_err(|_| AuditError::TwoLogs)?;
        Ok(Self { origin, keys })
    }

    /// What the log is called.
    pub const fn origin(&self) -> &Origin {
        &self.origin
    }

    /// The first of the keys.
    pub fn key(&self) -> String {
        self.keys
            .first()
            .map(ToString::to_string)
            .unwrap_or_default()
    }

    /// Reads a checkpoint that one of the keys signed.
    ///
    /// # Errors
    /// [`AuditError::Unsigned`] names it by `what`.
    pub fn open(&self, note: &str, what: &str) -> Result<SignedCheckpoint, AuditError> {
        let opened = SignedCheckpoint::open(note.as_bytes(), &self.origin, &self.keys);
        opened.map_err(|source| AuditError::Unsigned {
            what: what.to_owned(),
            source,
        })
    }

    /// Reads a checkpoint that was kept.
    ///
    /// # Errors
    /// [`AuditError::Unsigned`], and those of files.
    pub fn read(&self, path: &Path) -> Result<SignedCheckpoint, AuditError> {
        let bytes = files::read(path, CHECKPOINT_MAX as u64)?;
        self.open(
            &String::from_utf8_lossy(&bytes),
            &path.display().to_string(),
        )
    }

    /// The signer's newest.
    ///
    /// # Errors
    /// [`AuditError::Peer`], [`AuditError::Unsigned`].
    pub fn newest(&self, signer: &Signer) -> Result<SignedCheckpoint, AuditError> {
        self.open(&signer.checkpoint(None)?, "the signer's checkpoint")
    }
}

/// The answer of `audit checkpoint`.
#[derive(Debug, Serialize)]
pub struct Fetched {
    origin: String,
    size: u64,
    root: String,
    /// How many entries the one had that was kept before.
    #[serde(skip_serializing_if = "Option::is_none")]
    grown_from: Option<u64>,
    checkpoint: String,
}

/// Fetches the newest checkpoint; `keep` is replaced once the log is proved to contain the one there.
///
/// # Errors
/// [`AuditError`].
pub fn fetch(signer: &Signer, keys: &LogKeys, keep: Option<&Path>) -> Result<Fetched, AuditError> {
    let newest = keys.newest(signer)?;
    let kept = keep.filter(|path| path.exists());
    let kept = kept.map(|path| keys.read(path)).transpose()?;
    if let Some(kept) = &kept {
        grown(signer, kept, &newest)?;
    }
    if let Some(path) = keep {
        files::replace(path, newest.to_string().as_bytes(), Access::Public)?;
    }
    Ok(Fetched {
        origin: keys.origin().to_string(),
        size: newest.head().size,
        root: newest.head().root.to_string(),
        grown_from: kept.map(|kept| kept.head().size),
        checkpoint: newest.to_string(),
    })
}

/// Checks that the log of `newest` begins with that of `kept`.
fn grown(
    signer: &Signer,
    kept: &SignedCheckpoint,
    newest: &SignedCheckpoint,
) -> Result<(), AuditError> {
    let (old, new) = (kept.head(), newest.head());
    not_shorter(old.size, new.size)?;
    let path = if old.size == new.size {
        Vec::new()
    } else {
        hashes(&signer.consistency(old.size, new.size)?.path)?
    };
    verify_consistency(old, new, &path).map_err(|source| AuditError::Forked {
        seen: old.size,
        source,
    })
}

/// Checks that a log is not shorter than it was.
///
/// # Errors
/// [`AuditError::Shorter`].
pub fn not_shorter(seen: u64, found: u64) -> Result<(), AuditError> {
    if found < seen {
        return Err(AuditError::Shorter { seen, found });
    }
    Ok(())
}

/// The nodes of a proof.
///
/// # Errors
/// [`AuditError::Answer`] when one is no hash.
pub fn hashes(path: &[String]) -> Result<Vec<Hash>, AuditError> {
    let node = |text: &String| {
        digest(text).map(Hash::new).ok_or(AuditError::Answer {
            reason: "a node of the proof is not 64 hexadecimal digits".to_owned(),
        })
    };
    path.iter().map(node).collect()
}

/// 64 hexadecimal digits.
pub fn digest(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    hex::decode_to_slice(text, &mut bytes).ok()?;
    Some(bytes)
}

impl fmt::Display for Fetched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "log     {}", self.origin)?;
        writeln!(f, "size    {}", self.size)?;
        writeln!(f, "root    {}", self.root)?;
        match self.grown_from {
            Some(size) => writeln!(
                f,
                "signed by the pinned key; contains the {size} entries that were signed before"
            ),
            None => writeln!(f, "signed by the pinned key"),
        }
    }
}
