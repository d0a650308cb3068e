//! A signer's state without a signer: it knows keys and a policy, and has signed nothing.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use bitcoin::secp256k1::{PublicKey, Secp256k1, SecretKey};
use policy::bundle::{self, Bundle, MANIFEST, Manifest, Severity};
use policy::{Entry, KeyPurpose, KeyRegistration, Policy, Record, State, StateError};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use tx::evm::Functions;
use tx::{Address, Chain, Interval, Name, Scheme};

use super::check::count;
use super::error::PolicyError;
use super::folder;
use crate::files;

/// The largest list of keys.
const KEYS_MAX_BYTES: u64 = 4 * 1024 * 1024;

#[derive(Debug, Deserialize)]
struct Keys {
    keys: Vec<Key>,
}

/// A key; what else stands there is of no matter here.
#[derive(Debug, Deserialize)]
struct Key {
    name: Name,
    public_key: String,
}

/// Public keys by name: `{"keys": [{"name": …, "public_key": …}]}`, as signerd answers.
///
/// # Errors
/// [`PolicyError::File`], [`PolicyError::Input`].
pub fn keys(path: &Path) -> Result<Vec<(Name, String)>, PolicyError> {
    let bytes = files::read(path, KEYS_MAX_BYTES).map_err(PolicyError::File)?;
    let keys: Keys = serde_json::from_slice(&bytes).map_err(|source| PolicyError::Input {
        path: path.to_owned(),
        expected: "list of public keys",
        source,
    })?;
    let keys = keys.keys.into_iter();
    Ok(keys.map(|key| (key.name, key.public_key)).collect())
}

/// The bundle in a folder, under its manifest where it has one, and else for a fleet of this name.
///
/// # Errors
/// [`PolicyError`]: it cannot be read, or is wrong.
pub fn policy(folder: &Path, fleet: &Name) -> Result<Policy, PolicyError> {
    let files = folder::read(folder)?;
    let parsed = parse(&files)?;
    let manifest = match files.get(MANIFEST) {
        Some(text) => Manifest::verify(text, &files).map_err(PolicyError::Manifest)?,
        None => Manifest::of(&files, fleet.clone(), 1, 0),
    };
    Ok(parsed.under(&manifest))
}

/// The functions that the bundle in a folder declares.
///
/// # Errors
/// [`PolicyError`]: it cannot be read, or is wrong.
pub fn functions(folder: &Path) -> Result<Functions, PolicyError> {
    Ok(parse(&folder::read(folder)?)?.functions().clone())
}

/// A bundle's files, of which nobody asks who signed them.
///
/// # Errors
/// [`PolicyError::Wrong`].
pub fn parse(files: &BTreeMap<String, Vec<u8>>) -> Result<Bundle, PolicyError> {
    bundle::parse(files).map_err(|found| PolicyError::Wrong {
        errors: count(&found, Severity::Error),
        first: found.first().map(ToString::to_string).unwrap_or_default(),
    })
}

/// The state that begins at a time, with public keys by name.
///
/// # Errors
/// [`StateError`] where the policy and the keys contradict each other.
pub fn state(
    policy: &Arc<Policy>,
    keys: impl IntoIterator<Item = (Name, String)>,
    at: Interval,
) -> Result<State, StateError> {
    let mut entries = vec![Entry::Genesis {
        fleet: policy.fleet.clone(),
    }];
    let keys = keys.into_iter();
    entries.extend(keys.map(|(name, public)| Entry::KeyRegistered(registration(name, public))));
    entries.push(Entry::PolicyActivated {
        hash: policy.hash,
        sequence: policy.sequence,
        signed_by: policy.governance.officers.clone(),
    });
    let mut state = State::new();
    // Whoever judges a bundle asks what it allows while people are there.
    state.suppose_alive();
    for entry in entries {
        append(&mut state, at, entry)?;
    }
    state.activate(Arc::clone(policy))?;
    Ok(state)
}

/// A key for transactions, of no device.
pub fn registration(name: Name, public: String) -> KeyRegistration {
    // What is no key at all is refused when it is registered.
    let scheme = public.parse().map(|key: tx::PublicKey| key.scheme());
    let algorithm = scheme.unwrap_or(Scheme::Ecdsa).into();
    KeyRegistration {
        name,
        purpose: KeyPurpose::Spend,
        algorithm,
        public,
        device: String::new(),
        assurance: String::new(),
    }
}

/// Applies an entry as the next one of the log.
///
/// # Errors
/// As [`State::apply`].
pub fn append(state: &mut State, time: Interval, entry: Entry) -> Result<(), StateError> {
    let v = 1;
    state.apply(state.entries(), &Record { v, time, entry })
}

/// Every key that the policy names, in no account twice.
pub fn key_names(policy: &Policy) -> BTreeMap<&Name, &Name> {
    let accounts = policy.accounts.iter();
    let keys = accounts.flat_map(|(account, of)| of.keys.iter().map(move |key| (key, account)));
    keys.collect()
}

/// A public key that stands in for the device's: the same for the same name.
pub fn made_up(name: &str) -> String {
    let mut digest = Sha256::digest(format!("strongroom policy test {name}").as_bytes());
    loop {
        if let Ok(secret) = SecretKey::from_slice(&digest) {
            let public = PublicKey::from_secret_key(&Secp256k1::signing_only(), &secret);
            return hex::encode(public.serialize());
        }
        digest = Sha256::digest(digest);
    }
}

/// An address that nobody is known to have: the same for the same name.
pub fn made_up_address(name: &str, chain: Chain) -> Option<Address> {
    let public: tx::PublicKey = made_up(name).parse().ok()?;
    public.address(chain)
}
