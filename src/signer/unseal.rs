//! `signerd --seal-report` and `--unseal`: what a sealed daemon found, and carrying out what officers
//! decided about it. Offline: the daemon does not run, and no device is asked.

use std::{
    fs::DirBuilder,
    io,
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use journal::{
    Activation, BundleStore, EmptyFolder, FolderError, OpenJournalError, ResumeError, Resumption,
    SealReport, SealedFolder, SystemClock, is_epoch,
};
use thiserror::Error;

use crate::{
    config::Config,
    governance::{self, GovernanceError},
    statement::{UnreadStatement, read},
};

/// Why nothing is un-sealed. Begins with a stable name.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StatementError {
    /// A statement or a file of signatures.
    #[error("unseal-file")]
    File(#[source] UnreadStatement),
    /// The machine's clocks.
    #[error("unseal-clock: the clocks cannot be read")]
    Clock(#[source] io::Error),
    /// The bundle that a new journal begins with.
    #[error("unseal-bundle: no bundle governs a new journal")]
    Bundle(#[source] GovernanceError),
    /// The data folder, in which the bundle is kept.
    #[error("unseal-disk: the bundle cannot be kept")]
    Folder(#[source] FolderError),
    /// Something of an earlier journal is left where a first one is to be made.
    #[error(
        "unseal-used-folder: {} is of an earlier journal, so that keys may have signed: restore the journal, or \
         begin a new epoch (docs/sealed.md)",
        path.display()
    )]
    Used {
        /// What.
        path: PathBuf,
    },
    /// The data folder cannot be made.
    #[error("unseal-disk: the data folder cannot be made")]
    Made(#[source] io::Error),
    /// What is there, or the statement.
    #[error("{}", source.name())]
    Resume {
        /// Why.
        source: ResumeError,
    },
}

/// What was found, durably, for the people who decide: also that nothing is there.
///
/// # Errors
/// [`StatementError`].
pub fn report(config: &Config) -> Result<SealReport, StatementError> {
    match examine(config) {
        Ok(folder) => folder.report().map_err(refused),
        Err(error) if is_nothing(&error) => {
            make_folder(&config.data).map_err(StatementError::Made)?;
            empty(config)?.report().map_err(refused)
        }
        Err(error) => Err(refused(error)),
    }
}

/// Carries out a statement by the files of its signatures: the journal goes on, or a new epoch begins.
///
/// # Errors
/// [`StatementError`].
pub fn carry_out(
    config: &Config,
    statement: &Path,
    signatures: &[PathBuf],
) -> Result<Resumption, StatementError> {
    let (text, armour) = read(statement, signatures).map_err(StatementError::File)?;
    let clock = SystemClock::new().map_err(StatementError::Clock)?;
    match examine(config) {
        Ok(folder) => folder.carry_out(&text, &armour, &clock).map_err(refused),
        Err(error) if is_nothing(&error) && is_epoch(&text) => {
            let begun = empty(config)?.begin(&text, &armour, &clock);
            begun.map_err(refused)
        }
        Err(error) => Err(refused(error)),
    }
}

fn examine(config: &Config) -> Result<SealedFolder, ResumeError> {
    let bundles = BundleStore::of(&config.data).pinned(config.genesis.0);
    SealedFolder::examine(&config.data, &bundles)
}

/// Whether there is no journal, or one whose making was cut off.
fn is_nothing(error: &ResumeError) -> bool {
    matches!(
        error,
        ResumeError::NotWhole(OpenJournalError::Missing { .. }) | ResumeError::NoBundle
    )
}

/// The empty folder, for the configured bundle: a person compared its fingerprint, as at a first start.
fn empty(config: &Config) -> Result<EmptyFolder, StatementError> {
    let (bundle, files) = governance::first(config).map_err(StatementError::Bundle)?;
    let activation = Activation {
        signed_by: bundle.signed_by().clone(),
        policy: Arc::new(bundle.into_policy()),
    };
    let kept = BundleStore::of(&config.data).keep(activation.policy.hash, &files);
    kept.map_err(StatementError::Folder)?;
    EmptyFolder::take(&config.data, activation).map_err(refused)
}

/// Whether nothing is left of an earlier journal: a first start would begin with every limit unused.
///
/// # Errors
/// [`StatementError::Used`].
pub fn check_unused(data: &Path) -> Result<(), StatementError> {
    // A bundle is kept when it first governs.
    for name in ["bundles", "checkpoint", "checkpoint.lost"] {
        let path = data.join(name);
        if path.exists() && !data.join("0000000000.seg").exists() {
            return Err(StatementError::Used { path });
        }
    }
    Ok(())
}

/// Makes the data folder. The journal's bodies are confidential.
///
/// # Errors
/// As the operating system reports them.
pub fn make_folder(data: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(data)
}

fn refused(source: ResumeError) -> StatementError {
    StatementError::Resume { source }
}
