//! Which bundle governs: the first one by its pinned fingerprint, later ones by the signatures of
//! the officers whom the running one names.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use journal::{Activation, BundleStore, FolderError, Journal, read_folder};
use policy::{
    BundleHash, BundleQuorum, Policy,
    bundle::{LoadError, ManifestError, Trust, VerifiedBundle, load},
    widenings,
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
    /// The recovery set signed it, and not everything is frozen.
    #[error(
        "the recovery set signed the bundle, and replaces people while everything is frozen alone"
    )]
    RecoveryFrozen,
    /// The state does not take it.
    #[error("the bundle does not fit the journal: {0}")]
    State(String),
    /// The journal does not answer.
    #[error("the journal does not take the bundle: {0}")]
    Journal(String),
}

impl GovernanceError {
    /// A stable name, with which the journal says why a bundle does not govern.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Folder(_) => "bundle-folder",
            Self::Load(error) => name(error),
            Self::Fleet { .. } => "bundle-fleet",
            Self::RecoveryFrozen => "bundle-recovery-frozen",
            Self::State(_) => "bundle-not-taken",
            Self::Journal(_) => "journal-stopped",
        }
    }

    /// Whether the bundle is what is wrong.
    fn is_of_the_bundle(&self) -> bool {
        !matches!(self, Self::Journal(_))
    }
}

fn name(error: &LoadError) -> &'static str {
    match error {
        LoadError::NoFile { .. } => "bundle-file-missing",
        LoadError::Manifest(error) => match error {
            ManifestError::Missing { .. } => "bundle-file-missing",
            ManifestError::Extra { .. } => "bundle-file-extra",
            ManifestError::Changed { .. } => "bundle-file-changed",
            ManifestError::Sequence { .. } => "bundle-sequence",
            _ => "bundle-manifest",
        },
        LoadError::Policy(_) => "bundle-errors",
        LoadError::Hash { .. } => "bundle-hash",
        LoadError::Fleet { .. } => "bundle-fleet",
        LoadError::Answers { .. } => "bundle-sequence",
        LoadError::Signatures(_) => "bundle-signatures",
        LoadError::Quorum { .. } => "bundle-quorum",
        LoadError::Recovery(_) => "bundle-recovery-differs",
        _ => "bundle-refused",
    }
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

/// Lets the configured bundle govern, or wait, unless it does already. When it is refused, the running one
/// keeps governing, and the journal says why.
///
/// # Errors
/// [`GovernanceError`].
pub async fn adopt(journal: &Journal, config: &Config) -> Result<Arc<Policy>, GovernanceError> {
    let taken = take(journal, config).await;
    if let Err(error) = &taken
        && error.is_of_the_bundle()
    {
        refused(journal, error).await?;
    }
    taken
}

/// Says in the journal why a bundle does not govern.
async fn refused(journal: &Journal, error: &GovernanceError) -> Result<(), GovernanceError> {
    let reason = format!("{}: {error}", error.name());
    ask(|reply| {
        journal.policy_refused(reason, reply);
        Ok(())
    })
    .await
    .map_err(|problem| GovernanceError::Journal(problem.detail))
}

async fn take(journal: &Journal, config: &Config) -> Result<Arc<Policy>, GovernanceError> {
    let files = read_folder(&config.policy).map_err(GovernanceError::Folder)?;
    let running = journal.state().policy().cloned();
    let bundle = match &running {
        None => load(&files, Trust::Pinned(config.genesis.0)),
        Some(running) if is_running(&files, running) => return Ok(Arc::clone(running)),
        Some(running) if waits(journal, &files) => return Ok(Arc::clone(running)),
        Some(running) => load(&files, Trust::Running(running)),
    }
    .map_err(GovernanceError::Load)?;
    let offered = Offered::of(bundle);
    let fleet = journal.state().fleet().cloned();
    if let Some(journal) = fleet.filter(|fleet| *fleet != offered.policy.fleet) {
        let bundle = offered.policy.fleet.clone();
        return Err(GovernanceError::Fleet { bundle, journal });
    }
    if offered.quorum == BundleQuorum::Recovery && !journal.state().stands_frozen() {
        return Err(GovernanceError::RecoveryFrozen);
    }
    let store = BundleStore::of(&config.data);
    let kept = store.keep(offered.policy.hash, &files);
    kept.map_err(GovernanceError::Folder)?;
    match running {
        Some(running) if offered.must_wait(&running) => {
            propose(journal, offered).await?;
            Ok(running)
        }
        _ => activate(journal, offered).await,
    }
}

/// A bundle that is verified.
struct Offered {
    policy: Arc<Policy>,
    signed_by: BTreeSet<Name>,
    quorum: BundleQuorum,
}

impl Offered {
    fn of(bundle: VerifiedBundle) -> Self {
        for warning in bundle.warnings() {
            tracing::warn!(%warning, "the bundle");
        }
        let (signed_by, quorum) = (bundle.signed_by().clone(), bundle.quorum());
        let policy = Arc::new(bundle.into_policy());
        Self {
            policy,
            signed_by,
            quorum,
        }
    }

    /// Whether it is not shown to be narrower than the running one, which lets nothing else govern at once; and
    /// always where the recovery set signed it.
    fn must_wait(&self, running: &Policy) -> bool {
        if self.quorum == BundleQuorum::Recovery {
            return true;
        }
        if running.governance.delay_millis == 0 {
            return false;
        }
        let found = widenings(running, &self.policy);
        for one in &found {
            tracing::info!(bundle = %self.policy.hash, "the bundle must wait: {one}");
        }
        !found.is_empty()
    }

    fn into_activation(self) -> Activation {
        let Self {
            policy, signed_by, ..
        } = self;
        Activation { policy, signed_by }
    }
}

async fn activate(journal: &Journal, offered: Offered) -> Result<Arc<Policy>, GovernanceError> {
    let policy = Arc::clone(&offered.policy);
    let activation = offered.into_activation();
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

async fn propose(journal: &Journal, offered: Offered) -> Result<(), GovernanceError> {
    let (hash, sequence) = (offered.policy.hash, offered.policy.sequence);
    let quorum = offered.quorum;
    let activation = offered.into_activation();
    let not_before = ask(|reply| {
        journal.propose(activation, quorum, reply);
        Ok(())
    })
    .await
    .map_err(|problem| GovernanceError::Journal(problem.detail))?
    .map_err(GovernanceError::State)?;
    tracing::warn!(%hash, sequence, %not_before, ?quorum, "a bundle waits; one officer can veto it");
    Ok(())
}

/// Whether the files are those of the bundle that waits.
fn waits(journal: &Journal, files: &Files) -> bool {
    let offered = manifest_hash(files);
    let state = journal.state();
    let waits = state.proposed().map(|proposed| proposed.hash);
    waits.is_some() && waits == offered
}

/// The bundle that has waited long enough.
pub fn due(journal: &Journal) -> Option<BundleHash> {
    let lo = journal.now().lo;
    let state = journal.state();
    let proposed = state.proposed()?;
    (lo >= proposed.not_before).then_some(proposed.hash)
}

/// Lets a bundle govern that has waited. Everything about it is verified again.
///
/// # Errors
/// [`GovernanceError`]; the journal says why.
pub async fn turn_to(
    journal: &Journal,
    store: &BundleStore,
    hash: BundleHash,
) -> Result<(), GovernanceError> {
    let turned = match kept(journal, store, hash) {
        Ok(offered) => activate(journal, offered).await.map(drop),
        Err(error) => Err(error),
    };
    if let Err(error) = &turned {
        refused(journal, error).await?;
    }
    turned
}

fn kept(
    journal: &Journal,
    store: &BundleStore,
    hash: BundleHash,
) -> Result<Offered, GovernanceError> {
    let files = store.files(hash).map_err(GovernanceError::Folder)?;
    let running = journal.state().policy().cloned();
    let trust = match &running {
        Some(running) => Trust::Running(running),
        None => Trust::Pinned(hash),
    };
    let bundle = load(&files, trust).map_err(GovernanceError::Load)?;
    let found = bundle.policy().hash;
    match found == hash {
        true => Ok(Offered::of(bundle)),
        false => Err(GovernanceError::Load(LoadError::Hash {
            expected: hash,
            found,
        })),
    }
}

/// Whether the files are those of the bundle that governs already.
fn is_running(files: &BTreeMap<String, Vec<u8>>, running: &Policy) -> bool {
    load(files, Trust::Activated(running.hash)).is_ok()
}
