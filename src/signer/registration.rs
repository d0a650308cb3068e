//! Keys: what the policy names, found in the device, pinned in the journal.

use std::{collections::BTreeSet, os::unix::net::UnixStream, sync::atomic::Ordering};

use journal::Registered;
use keys::{AttachError, CallError, Expected, KeyId, MemberId, Profile, PublicKey};
use policy::{KeyAlgorithm, KeyPurpose, KeyRegistration, StateError};
use thiserror::Error;
use tlog::note::VerifierKey;
use tx::{Chain, Name};

use crate::{
    checkpoints::LogKey,
    config::Device,
    self_test::TestKey,
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
    /// The account of a BIP-340 key is used on a chain that knows no such keys.
    #[error("key {key} signs as BIP-340 has it, and its account is used on {chain}")]
    NoAddress {
        /// The key.
        key: Name,
        /// The chain.
        chain: Chain,
    },
    /// The key is not one that can sign checkpoints.
    #[error("key {key} is no Ed25519 key")]
    Form {
        /// The key.
        key: Name,
    },
    /// A key that only the main device may bring.
    #[error("key {key} is not registered yet: the main device is to have it")]
    NotIntroduced {
        /// The key.
        key: Name,
    },
    /// A replica's keys would be worth less than what is registered of them.
    #[error("its profile says {replica} of its keys, and that of the main device {main}")]
    Assurance {
        /// The replica's level.
        replica: String,
        /// The main device's.
        main: String,
    },
    /// The key is pinned to another public half in this process.
    #[error("a key changed under the same name")]
    Pinned(#[source] keys::pool::RegisterError),
    /// The journal does not answer.
    #[error("the journal does not register keys: {0}")]
    Journal(String),
}

/// A key child as it came from the supervisor.
#[derive(Debug)]
pub struct NewChild {
    /// Its device.
    pub member: MemberId,
    /// Its number.
    pub generation: u32,
    /// Its socket.
    pub socket: UnixStream,
}

/// Takes a child into service: logs in, checks the token, and finds every key. New keys are the main
/// device's to bring; a replica has the registered ones.
///
/// # Errors
/// [`RegistrationError`]; the child is then of no use.
pub async fn attach(
    service: &Service,
    main: &Device,
    child: NewChild,
) -> Result<(), RegistrationError> {
    service.name_devices();
    let device = main.member(child.member).unwrap_or(main);
    let profile = Profile::read(&device.profile).map_err(RegistrationError::Profile)?;
    let assurance = profile.assurance.value.as_str();
    if child.member != MemberId::FIRST {
        check_assurance(main, assurance)?;
    }
    let expected = Expected {
        token: crate::device::selector(device).map_err(|_| RegistrationError::TooLong {
            key: "device.token",
        })?,
        profile: profile.essentials().map_err(RegistrationError::Profile)?,
    };
    let of_device = (main.checkpoint_key.iter()).chain(&main.self_test_keys);
    // What the main device has not got of these is only logged.
    let of_device = of_device.filter(|_| child.member != MemberId::FIRST);
    pin_registered(service, of_device)?;
    let attached = service
        .pool
        .attach(child.member, child.generation, child.socket, expected);
    let identity = attached.await.map_err(|error| {
        if error.is_of_pin() {
            RegistrationError::PinRejected
        } else {
            RegistrationError::Attach(error)
        }
    })?;
    if child.member == MemberId::FIRST {
        service.set_device(identity.serial.as_str(), assurance);
    }
    let _logged = register_keys(service, main).await;
    // What nobody has registered yet waits for the main device.
    if child.member == MemberId::FIRST || unregistered(service).is_empty() {
        service.keys_registered.store(true, Ordering::Release);
    }
    Ok(())
}

/// What is registered of a key says how well it is kept, whichever device signs with it.
fn check_assurance(main: &Device, replica: &str) -> Result<(), RegistrationError> {
    let profile = Profile::read(&main.profile).map_err(RegistrationError::Profile)?;
    let main = profile.assurance.value.as_str();
    if main == replica {
        return Ok(());
    }
    Err(RegistrationError::Assurance {
        replica: replica.to_owned(),
        main: main.to_owned(),
    })
}

/// Holds the pool to what the journal knows of the keys that the policy names, and of these.
fn pin_registered<'k>(
    service: &Service,
    besides: impl Iterator<Item = &'k Name>,
) -> Result<(), RegistrationError> {
    let registered: Vec<_> = {
        let state = service.journal.state();
        let registry = state.registry();
        let named = registry.keys().map(|key| key.name.clone());
        named
            .chain(besides.cloned())
            .filter_map(|name| state.registration(&name).cloned())
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

/// Finds the keys that the policy names and the journal does not know on the main device, and registers
/// them; and the one that signs checkpoints. Replicas must have them by then. A key that cannot be used is logged and left out: requests of its
/// account are refused as unknown, the other accounts go on.
pub async fn register_keys(service: &Service, device: &Device) -> Registration {
    // A bundle may have begun to govern.
    service.name_devices();
    let mut outcome = Registration::Complete;
    let known = service.pool.key_count();
    for name in unregistered(service) {
        match register_key(service, KeyUse::Spend, &name).await {
            Ok(_) => tracing::info!(key = %name, "a key is registered"),
            Err(error) => {
                tracing::error!(key = %name, error = %crate::log::chain(&error), "a key cannot be used");
                outcome = Registration::Incomplete;
            }
        }
    }
    service
        .self_tests
        .set_keys(test_keys(service, device).await);
    if let Some(name) = &device.checkpoint_key {
        match log_key(service, name).await {
            Ok(key) => service.checkpoints.set_key(key),
            Err(error) => {
                let why = format!("key {name} cannot be used: {}", crate::log::chain(&error));
                tracing::error!(key = %name, error = why, "no key signs checkpoints");
                service.checkpoints.set_trouble(why);
                outcome = Registration::Incomplete;
            }
        }
    }
    if service.pool.key_count() != known {
        service.pool.recheck().await;
    }
    outcome
}

/// The keys of self-tests, found on the device and pinned; or what is wrong with one of them.
async fn test_keys(service: &Service, device: &Device) -> Result<Vec<TestKey>, String> {
    let mut keys = Vec::new();
    for name in &device.self_test_keys {
        match register_key(service, KeyUse::Test, name).await {
            Ok(public) => keys.push(TestKey {
                name: name.clone(),
                algorithm: public.algorithm(),
            }),
            Err(error) => {
                let why = format!("key {name} cannot be used: {}", crate::log::chain(&error));
                tracing::error!(key = %name, error = why, "there are no self-tests");
                return Err(why);
            }
        }
    }
    Ok(keys)
}

/// The key that signs checkpoints, found on the device and pinned.
async fn log_key(service: &Service, name: &Name) -> Result<LogKey, RegistrationError> {
    let public = register_key(service, KeyUse::Checkpoint, name).await?;
    let form = || RegistrationError::Form { key: name.clone() };
    let PublicKey::Ed25519(bytes) = public else {
        return Err(form());
    };
    let origin = service.journal.origin().as_str();
    let verifier = origin.parse().ok();
    let verifier = verifier.and_then(|origin| VerifierKey::new(origin, &bytes).ok());
    Ok(LogKey {
        id: KeyUse::Checkpoint.id(name),
        verifier: verifier.ok_or_else(form)?,
    })
}

/// What a key of the device is registered for.
#[derive(Clone, Copy, Debug)]
enum KeyUse {
    Spend,
    Checkpoint,
    Test,
}

impl KeyUse {
    fn id(self, name: &Name) -> KeyId {
        let purpose = match self {
            Self::Spend => KeyPurpose::Spend,
            Self::Checkpoint => KeyPurpose::Checkpoint,
            Self::Test => KeyPurpose::Test,
        };
        KeyId {
            purpose,
            name: name.clone(),
        }
    }

    /// What a key for it is to be; those of self-tests are of any algorithm.
    fn algorithm(self, key: &PublicKey) -> KeyAlgorithm {
        match self {
            Self::Spend if key.algorithm() == KeyAlgorithm::Bip340 => KeyAlgorithm::Bip340,
            Self::Spend => KeyAlgorithm::Secp256k1,
            Self::Checkpoint => KeyAlgorithm::Ed25519,
            Self::Test => key.algorithm(),
        }
    }
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

/// Finds a key on the main device, registers it unless the journal knows it so, and pins it. One that is
/// known is pinned already, and was found on every device that is attached.
async fn register_key(
    service: &Service,
    used: KeyUse,
    name: &Name,
) -> Result<PublicKey, RegistrationError> {
    let id = used.id(name);
    if !service.pool.is_healthy(MemberId::FIRST) {
        let known = service.pool.registered(&id);
        return known.ok_or_else(|| RegistrationError::NotIntroduced { key: name.clone() });
    }
    let found = service.pool.find(MemberId::FIRST, &id).await;
    let public = found
        .map_err(|error| RegistrationError::Key {
            key: name.clone(),
            error,
        })?
        .public;
    if let (KeyUse::Spend, PublicKey::Bip340(_)) = (used, &public)
        && let Some(chain) = chain_without_bip340(service, name)
    {
        let key = name.clone();
        return Err(RegistrationError::NoAddress { key, chain });
    }
    let known = service.journal.state().registration(name).cloned();
    let registration = match known.filter(|known| known.public == public.to_string()) {
        Some(known) => known,
        None => {
            let (device, assurance) = service.device();
            KeyRegistration {
                name: name.clone(),
                purpose: id.purpose,
                algorithm: used.algorithm(&public),
                public: public.to_string(),
                device,
                assurance,
            }
        }
    };
    register(service, registration).await?;
    let pinned = service.pool.register(id, public);
    pinned.map_err(RegistrationError::Pinned)?;
    Ok(public)
}

async fn register(
    service: &Service,
    registration: KeyRegistration,
) -> Result<(), RegistrationError> {
    let key = registration.name.clone();
    let registered = ask(|reply| {
        service.journal.register(registration, reply);
        Ok(())
    });
    match registered
        .await
        .map_err(|problem| RegistrationError::Journal(problem.detail))?
    {
        Registered::Known => Ok(()),
        Registered::Refused(error) => Err(RegistrationError::Differs { key, error }),
    }
}

/// A chain on which an account with this key is used, and a BIP-340 key has no address.
fn chain_without_bip340(service: &Service, key: &Name) -> Option<Chain> {
    let state = service.journal.state();
    let accounts = state.policy()?.accounts.values();
    let named = accounts.filter(|account| account.keys.contains(key));
    let mut chains = named.flat_map(|account| &account.chains);
    chains.find(|chain| matches!(chain, Chain::Evm(_))).copied()
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
