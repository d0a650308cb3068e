//! Conformance: what a device must do, tried on the device itself, and whether its profile tells the truth.
//!
//! The same cases run against every kind of device. They make keys of their own, whose purpose is tests and
//! whose names are random, and destroy them at their end; no other key is touched. The PIN that is given is
//! the only one that is sent: how often a wrong one may be, nobody tries on a device in use.

mod common;
mod facts;
mod keystore;
mod pkcs11;
mod report;
mod speed;

pub use report::{Case, Fact, Outcome, Report, Speed};

use crate::{
    admin::Credentials,
    device::Backend,
    key::{KeyAlgorithm, KeyId, PublicKey},
    profile::Profile,
    protocol::{Failure, SignInput},
};
use report::Notes;

/// Every algorithm, in the order of the report.
const ALGORITHMS: [KeyAlgorithm; 3] = [
    KeyAlgorithm::Secp256k1,
    KeyAlgorithm::Ed25519,
    KeyAlgorithm::Bip340,
];

/// A device as the cases see it that every kind must pass: one session of it, logged in.
trait Subject: Sized + Send {
    /// A key that was found.
    type Key: Clone + Send;

    /// Makes a key, whatever the profile says of its algorithm.
    fn generate(&self, key: &KeyId, algorithm: KeyAlgorithm) -> Result<Self::Key, Failure>;

    /// Finds a key, and holds it to all that a key must be.
    fn find(&self, key: &KeyId) -> Result<Self::Key, Failure>;

    /// Its public half.
    fn public(key: &Self::Key) -> PublicKey;

    /// Signs; what comes back is not checked.
    fn sign(&self, key: &Self::Key, input: &SignInput) -> Result<Vec<u8>, Failure>;

    /// Destroys a key.
    fn destroy(&self, key: &KeyId) -> Result<(), Failure>;

    /// A session beside this one.
    fn beside(&self) -> Result<Self, Failure>;

    /// Tries what only this kind of device can be asked for.
    fn try_further(&self, key: &Self::Key, profile: &Profile, notes: &mut Notes);

    /// Ends all use of the device, and begins anew.
    fn reopened(self) -> Result<Self, Failure>;
}

/// Runs every case against a device, in this process, and speaks to no other.
///
/// # Errors
/// [`Failure`] when the device cannot be used at all: what it does wrong is in the report.
pub fn run(credentials: &Credentials, profile: &Profile) -> Result<Report, Failure> {
    let mut notes = Notes::new(profile);
    let identity = match credentials.backend {
        Backend::Module(_) => {
            let token = pkcs11::Logged::in_to(credentials)?;
            let identity = token.identity().clone();
            if let Some(token) = try_all(token, profile, &mut notes)? {
                pkcs11::try_sessions(&token, profile, &mut notes);
                token.close()?;
            }
            identity
        }
        Backend::Keystore(_) => {
            let keystore = keystore::Opened::in_to(credentials)?;
            let identity = keystore.identity().clone();
            try_all(keystore, profile, &mut notes)?;
            identity
        }
    };
    Ok(notes.into_report(identity, profile))
}

/// Puts a key of each algorithm through everything. The device is given back, unless it is lost.
fn try_all<S: Subject>(
    device: S,
    profile: &Profile,
    notes: &mut Notes,
) -> Result<Option<S>, Failure> {
    let mut device = Some(device);
    for algorithm in ALGORITHMS {
        let key = common::throw_away(algorithm)?;
        let Some(open) = device.take() else {
            break;
        };
        device = common::try_algorithm(open, profile, &key, algorithm, notes);
    }
    Ok(device)
}
