//! A signer's state without a signer: it knows keys and a policy, and has signed nothing.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use policy::bundle::{self, MANIFEST, Manifest, Severity};
use policy::{Entry, KeyAlgorithm, KeyPurpose, KeyRegistration, Policy, Record, State, StateError};
use tx::{Interval, Name};

use super::check::count;
use super::error::PolicyError;
use super::folder;

/// The bundle in a folder, under its manifest where it has one, and else for a fleet of this name.
///
/// # Errors
/// [`PolicyError`]: it cannot be read, or is wrong.
pub fn policy(folder: &Path, fleet: &Name) -> Result<Policy, PolicyError> {
    let files = folder::read(folder)?;
    let parsed = bundle::parse(&files).map_err(|found| PolicyError::Wrong {
        errors: count(&found, Severity::Error),
        first: found.first().map(ToString::to_string).unwrap_or_default(),
    })?;
    let manifest = match files.get(MANIFEST) {
        Some(text) => Manifest::verify(text, &files).map_err(PolicyError::Manifest)?,
        None => Manifest::of(&files, fleet.clone(), 1, 0),
    };
    Ok(parsed.under(&manifest))
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
    entries.extend(keys.into_iter().map(|(name, public)| {
        Entry::KeyRegistered(KeyRegistration {
            name,
            purpose: KeyPurpose::Spend,
            algorithm: KeyAlgorithm::Secp256k1,
            public,
            device: String::new(),
            assurance: String::new(),
        })
    }));
    entries.push(Entry::PolicyActivated {
        hash: policy.hash,
        sequence: policy.sequence,
        signed_by: policy.governance.officers.clone(),
    });
    let mut state = State::new();
    for entry in entries {
        append(&mut state, at, entry)?;
    }
    state.activate(Arc::clone(policy))?;
    Ok(state)
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
