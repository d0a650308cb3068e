//! `signerd --check`: whether the daemon would start with this configuration, without starting it.

use api::server::{Tls, TlsError};
use journal::read_folder;
use policy::bundle::{Trust, load};
use thiserror::Error;

use crate::{
    config::Config,
    device::{self, StartError},
    governance::{self, GovernanceError},
    hardening::{
        files::{self, FilesError},
        user::{self, UserError},
    },
    log,
};

/// Why the daemon would not start.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum CheckError {
    /// The first bundle.
    #[error("the bundle would not govern a new journal")]
    Bundle(#[source] GovernanceError),
    /// Certificates, key or revocation lists.
    #[error("TLS could not be set up")]
    Tls(#[source] TlsError),
    /// PIN file, profile or module.
    #[error("the device could not be opened")]
    Device(#[source] StartError),
    /// A user of the configuration.
    #[error("the processes could not have users of their own")]
    User(#[source] UserError),
    /// The kernel.
    #[error("the processes could not be held to their files")]
    Files(#[source] FilesError),
    /// The module or keystore is not there.
    #[error("there is no PKCS#11 module or keystore {path}")]
    Place {
        /// Where it should be.
        path: String,
    },
}

/// Checks everything that can be checked without the journal and without logging in to the device:
/// a wrong PIN must not be tried by a check.
///
/// # Errors
/// [`CheckError`] by the first that fails.
pub fn check(config: &Config) -> Result<(), CheckError> {
    let files = read_folder(&config.policy)
        .map_err(|error| CheckError::Bundle(GovernanceError::Folder(error)))?;
    // A bundle after the first is verified by officers that only the journal knows.
    let policy = match governance::manifest_hash(&files) {
        Some(hash) if hash != config.genesis.0 => load(&files, Trust::Activated(hash))
            .map_err(|error| CheckError::Bundle(GovernanceError::Load(error)))?
            .into_policy(),
        _ => {
            let (bundle, _) = governance::first(config).map_err(CheckError::Bundle)?;
            bundle.into_policy()
        }
    };
    Tls::load(config.api.files(), &policy.client_roots, 0).map_err(CheckError::Tls)?;
    for (_, device) in config.device.members() {
        let profile = device::profile(device).map_err(CheckError::Device)?;
        device::check(device, &profile).map_err(CheckError::Device)?;
        let place = device.place.path();
        if !place.exists() {
            let path = place.display().to_string();
            return Err(CheckError::Place { path });
        }
    }
    user::check(config).map_err(CheckError::User)?;
    files::probe().map_err(CheckError::Files)
}

impl CheckError {
    /// The error with all its causes.
    pub fn explain(&self) -> String {
        log::chain(self)
    }
}
