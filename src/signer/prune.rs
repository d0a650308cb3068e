//! `signerd --prune`: removing bodies that officers let go. Offline: the daemon does not run, and no device is
//! asked.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use journal::{BundleStore, PrunedBodies, SystemClock};
use thiserror::Error;

use crate::{
    config::Config,
    statement::{UnreadStatement, read},
};

/// Why nothing is pruned. Begins with a stable name.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum PruneError {
    /// A statement or a file of signatures.
    #[error("prune-file")]
    File(#[source] UnreadStatement),
    /// The machine's clocks.
    #[error("prune-clock: the clocks cannot be read")]
    Clock(#[source] io::Error),
    /// What is there, or the statement.
    #[error("{}", source.name())]
    Refused {
        /// Why.
        source: journal::PruneError,
    },
}

/// Removes the bodies by the files of a statement and its signatures.
///
/// # Errors
/// [`PruneError`]; where it is about the statement, nothing was removed.
pub fn carry_out(
    config: &Config,
    statement: &Path,
    signatures: &[PathBuf],
) -> Result<PrunedBodies, PruneError> {
    let (text, armour) = read(statement, signatures).map_err(PruneError::File)?;
    let clock = Arc::new(SystemClock::new().map_err(PruneError::Clock)?);
    let bundles = BundleStore::of(&config.data).pinned(config.genesis.0);
    let version = env!("CARGO_PKG_VERSION");
    let pruned = journal::prune(&config.data, &bundles, clock, version, (&text, &armour));
    pruned.map_err(|source| PruneError::Refused { source })
}
