//! `signerd --seal-report` and `--unseal`: what a sealed daemon found, and carrying out what officers
//! decided about it. Offline: the daemon does not run, and no device is asked.

use std::{
    fs::File,
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use journal::{BundleStore, ResumeError, Resumption, SealReport, SealedFolder, SystemClock};
use thiserror::Error;

use crate::config::Config;

/// The longest statement or file of signatures that is read.
const FILE_MAX_BYTES: u64 = 64 * 1024;

/// Why nothing is un-sealed. Begins with a stable name.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum UnsealError {
    /// A statement or a file of signatures.
    #[error("unseal-file: {} cannot be read", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The machine's clocks.
    #[error("unseal-clock: the clocks cannot be read")]
    Clock(#[source] io::Error),
    /// What is there, or the statement.
    #[error("{}", source.name())]
    Resume {
        /// Why.
        source: ResumeError,
    },
}

/// What was found, durably, for the people who decide.
///
/// # Errors
/// [`UnsealError`].
pub fn report(config: &Config) -> Result<SealReport, UnsealError> {
    let folder = examine(config)?;
    folder.report().map_err(refused)
}

/// Lets the journal go on, by a statement and the files of its signatures.
///
/// # Errors
/// [`UnsealError`].
pub fn resume(
    config: &Config,
    statement: &Path,
    signatures: &[PathBuf],
) -> Result<Resumption, UnsealError> {
    let text = read(statement)?;
    let mut armour = String::new();
    for path in signatures {
        armour.push_str(&read(path)?);
        armour.push('\n');
    }
    let clock = SystemClock::new().map_err(UnsealError::Clock)?;
    let folder = examine(config)?;
    let resumed = folder.resume(&text, &armour, &clock);
    resumed.map_err(refused)
}

fn examine(config: &Config) -> Result<SealedFolder, UnsealError> {
    let bundles = BundleStore::of(&config.data).pinned(config.genesis.0);
    SealedFolder::examine(&config.data, &bundles).map_err(refused)
}

fn refused(source: ResumeError) -> UnsealError {
    UnsealError::Resume { source }
}

fn read(path: &Path) -> Result<String, UnsealError> {
    let failed = |source| UnsealError::File {
        path: path.into(),
        source,
    };
    let mut text = String::new();
    let file = File::open(path).map_err(failed)?;
    file.take(FILE_MAX_BYTES)
        .read_to_string(&mut text)
        .map_err(failed)?;
    Ok(text)
}
