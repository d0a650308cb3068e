//! Keys: what the policy names, found in the device, pinned in the journal.

use std::{collections::BTreeSet, os::unix::net::UnixStream, sync::atomic::Ordering};

use journal::Registered;
use keys::{AttachError, CallError, Expected, KeyId, Profile, PublicKey};
use policy::{KeyAlgorithm, KeyPurpose, KeyRegistration, StateError};
use thiserror::Error;
use tx::Name;

use crate::{
    config::Device,
    service::{Service, ask},
};

/// Why a device or a key of it cannot be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum RegistrationError {
    /// The device rejected the PIN.
    #[error("the device rejected the PIN")]
    PinRejected,
    /// The firmware profile.
    #[error("the firmware profile cannot be used")]
    Profile(#[source] keys::profile::ProfileError),
    /// A value of the configuration is longer than any device's.
    #[error("{key} is too long")]
    TooLong {
        /// Which.
        key: &'static str,
    },
    /// The child or the token.
    #[error("the token cannot be used")]
    Attach(#[source] AttachError),
    /// A key that the policy names is not on the token, or is not as it must be.
    #[error("key {key} cannot be used")]
    Key {
        /// The key.
        key: Name,
        /// Why.
        #[source]
        error: CallError,
    },
    /// The journal knows the key otherwise.
    #[error("key {key} on this token is not the registered one")]
    Differs {
        /// The key.
        key: Name,
        /// How.
        #[source]
        error: StateError,
    },
    /// The key is pinned to another public half in this process.
    #[error("a key changed under the same name")]
    Pinned(#[source] keys::pool::RegisterError),
    /// The journal does not answer.
    #[error("the journal does not register keys: {0}")]
    Journal(String),
}

/// Takes a child into service: logs in, checks the token, and finds every key.
///
/// # Errors
/// [`RegistrationError`]; the child is then of no use.
pub async fn attach(
    service: &Service,
    device: &Device,
    socket: UnixStream,
) -> Result<(), RegistrationError> {
    let profile = Profile::read(&device.profile).map_err(RegistrationError::Profile)?;
    let expected = Expected {
        token: crate::device::selector(device).map_err(|_| RegistrationError::TooLong {
            key: "device.token",
        })?,
        profile: profile.essentials().map_err(RegistrationError::Profile)?,
    };
    pin_registered(service)?;
    let identity = service
        .pool
        .attach(socket, expected)
        .await
        .map_err(|error| {
            if error.is_of_pin() {
                RegistrationError::PinRejected
            } else {
                RegistrationError::Attach(error)
            }
        })?;
    service.set_device(identity.serial.as_str(), profile.assurance.value.as_str());
    let _logged = register_keys(service).await;
    service.keys_registered.store(true, Ordering::Release);
    Ok(())
}

/// Holds the pool to what the journal knows of the keys that the policy names.
fn pin_registered(service: &Service) -> Result<(), RegistrationError> {
    let registered: Vec<_> = {
        let state = service.journal.state();
        let named: Vec<_> = state
            .registry()
            .keys()
            .map(|key| key.name.clone())
            .collect();
        named
            .iter()
            .filter_map(|name| state.registration(name))
            .cloned()
            .collect()
    };
    for key in registered {
        let bytes = hex::decode(&key.public).unwrap_or_default();
        if let Ok(public) = PublicKey::new(key.algorithm, &bytes) {
            let id = KeyId {
                purpose: key.purpose,
                name: key.name,
            };
            service
                .pool
                .register(id, public)
                .map_err(RegistrationError::Pinned)?;
        }
    }
    Ok(())
}

/// Finds the keys that the policy names and the journal does not know, and registers them. A key
/// that cannot be used is logged and left out: requests of its account are refused as unknown, the
/// other accounts go on.
pub async fn register_keys(service: &Service) -> Registration {
    let mut outcome = Registration::Complete;
    for name in unregistered(service) {
        match register_key(service, &name).await {
            Ok(()) => tracing::info!(key = %name, "a key is registered"),
            Err(error) => {
                tracing::error!(key = %name, error = %crate::log::chain(&error), "a key cannot be used");
                outcome = Registration::Incomplete;
            }
        }
    }
    outcome
}

/// Whether every key that the policy names can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Registration {
    /// It can.
    Complete,
    /// The log says which cannot.
    Incomplete,
}

async fn register_key(service: &Service, name: &Name) -> Result<(), RegistrationError> {
    let id = KeyId {
        purpose: KeyPurpose::Spend,
        name: name.clone(),
    };
    let found = service.pool.find(&id).await;
    let public = found
        .map_err(|error| RegistrationError::Key {
            key: name.clone(),
            error,
        })?
        .public;
    let (device, assurance) = service.device();
    let registration = KeyRegistration {
        name: name.clone(),
        purpose: KeyPurpose::Spend,
        algorithm: KeyAlgorithm::Secp256k1,
        public: public.to_string(),
        device,
        assurance,
    };
    let registered = ask(|reply| {
        service.journal.register(registration, reply);
        Ok(())
    });
    match registered
        .await
        .map_err(|problem| RegistrationError::Journal(problem.detail))?
    {
        Registered::Known => service
            .pool
            .register(id, public)
            .map_err(RegistrationError::Pinned),
        Registered::Refused(error) => Err(RegistrationError::Differs {
            key: name.clone(),
            error,
        }),
    }
}

/// The keys that the policy's accounts name and the journal does not know.
fn unregistered(service: &Service) -> BTreeSet<Name> {
    let state = service.journal.state();
    let Some(policy) = state.policy() else {
        return BTreeSet::new();
    };
    let named = policy.accounts.values().flat_map(|account| &account.keys);
    named
        .filter(|name| state.registration(name).is_none())
        .cloned()
        .collect()
}
