//! Which bundle governs: the first one by its pinned fingerprint, later ones by the signatures of
//! the officers whom the running one names.

use std::{collections::BTreeMap, sync::Arc};

use journal::{Activation, BundleStore, FolderError, Journal, read_folder};
use policy::{
    BundleHash, Policy,
    bundle::{LoadError, Trust, VerifiedBundle, load},
};
use thiserror::Error;
use tx::Name;

use crate::{config::Config, log, service::ask};

/// Why the configured bundle does not govern.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum GovernanceError {
    /// Its folder cannot be read or kept.
    #[error("the bundle's folder cannot be used")]
    Folder(#[source] FolderError),
    /// It is not verified.
    #[error("the bundle is refused: {}", explain(.0))]
    Load(LoadError),
    /// It is for another fleet than the journal.
    #[error("the bundle is for fleet {bundle}, the journal for {journal}")]
    Fleet {
        /// The bundle's.
        bundle: Name,
        /// The journal's.
        journal: Name,
    },
    /// The state does not take it.
    #[error("the bundle does not fit the journal: {0}")]
    State(String),
    /// The journal does not answer.
    #[error("the journal does not take the bundle: {0}")]
    Journal(String),
}

/// A refused bundle with every diagnostic, since the operator can mend only what is shown.
fn explain(error: &LoadError) -> String {
    match error {
        LoadError::Policy(diagnostics) => {
            let lines: Vec<String> = diagnostics.iter().map(ToString::to_string).collect();
            format!("{error}\n{}", lines.join("\n"))
        }
        other => log::chain(other),
    }
}

/// Files of a bundle, by their names in it.
type Files = BTreeMap<String, Vec<u8>>;

/// Verifies the first bundle, for a journal that is still to be made.
///
/// # Errors
/// [`GovernanceError`].
pub fn first(config: &Config) -> Result<(VerifiedBundle, Files), GovernanceError> {
    let files = read_folder(&config.policy).map_err(GovernanceError::Folder)?;
    let bundle = load(&files, Trust::Pinned(config.genesis.0)).map_err(GovernanceError::Load)?;
    Ok((bundle, files))
}

/// The fingerprint of a bundle's manifest, if it has one.
pub fn manifest_hash(files: &BTreeMap<String, Vec<u8>>) -> Option<BundleHash> {
    let manifest = policy::bundle::Manifest::verify(files.get("manifest")?, files).ok()?;
    Some(manifest.hash())
}

/// Lets the configured bundle govern, unless it does already. When it is refused, the running one
/// keeps governing, and the journal says why.
///
/// # Errors
/// [`GovernanceError`].
pub async fn adopt(journal: &Journal, config: &Config) -> Result<Arc<Policy>, GovernanceError> {
    match verify_and_activate(journal, config).await {
        Err(error @ (GovernanceError::Load(_) | GovernanceError::Fleet { .. })) => {
            let reason = error.to_string();
            ask(|reply| {
                journal.policy_refused(reason, reply);
                Ok(())
            })
            .await
            .map_err(|problem| GovernanceError::Journal(problem.detail))?;
            Err(error)
        }
        other => other,
    }
}

async fn verify_and_activate(
    journal: &Journal,
    config: &Config,
) -> Result<Arc<Policy>, GovernanceError> {
    let files = read_folder(&config.policy).map_err(GovernanceError::Folder)?;
    let running = journal.state().policy().cloned();
    let bundle = match &running {
        None => load(&files, Trust::Pinned(config.genesis.0)),
        Some(running) if is_running(&files, running) => return Ok(Arc::clone(running)),
        Some(running) => load(&files, Trust::Running(running)),
    }
    .map_err(GovernanceError::Load)?;
    for warning in bundle.warnings() {
        tracing::warn!(%warning, "the bundle");
    }
    let signed_by = bundle.signed_by().clone();
    let policy = Arc::new(bundle.into_policy());
    if let Some(journal) = journal.state().fleet()
        && *journal != policy.fleet
    {
        return Err(GovernanceError::Fleet {
            bundle: policy.fleet.clone(),
            journal: journal.clone(),
        });
    }
    let store = BundleStore::of(&config.data);
    store
        .keep(policy.hash, &files)
        .map_err(GovernanceError::Folder)?;
    let activation = Activation {
        policy: Arc::clone(&policy),
        signed_by,
    };
    ask(|reply| {
        journal.activate(activation, reply);
        Ok(())
    })
    .await
    .map_err(|problem| GovernanceError::Journal(problem.detail))?
    .map_err(GovernanceError::State)?;
    tracing::info!(hash = %policy.hash, sequence = policy.sequence, "a bundle governs");
    Ok(policy)
}

/// Whether the files are those of the bundle that governs already.
fn is_running(files: &BTreeMap<String, Vec<u8>>, running: &Policy) -> bool {
    load(files, Trust::Activated(running.hash)).is_ok()
}
