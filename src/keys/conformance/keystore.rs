//! What only a keystore can be asked for.

use std::{fs, path::Path, sync::Arc};

use policy::KeyAlgorithm;

use super::{
    Subject, facts,
    report::{Notes, Outcome},
};
use crate::{
    admin::Credentials,
    child::Device,
    device::{Backend, TokenIdentity},
    key::{KeyId, PublicKey},
    keystore::Keystore,
    profile::{Presence, Profile},
    protocol::{Failure, KeyDescription, SignInput},
};

/// A keystore that was opened; threads share it.
#[derive(Clone)]
pub(super) struct Opened<'a> {
    credentials: &'a Credentials,
    folder: &'a Path,
    keystore: Arc<Keystore>,
}

impl<'a> Opened<'a> {
    /// Holds the keystore to its profile, and opens it, once. Keys of every algorithm can be made in it,
    /// whatever the profile says.
    pub(super) fn in_to(credentials: &'a Credentials) -> Result<Self, Failure> {
        let Backend::Keystore(folder) = &credentials.backend else {
            return Err(Failure::Unsupported);
        };
        let folder = Path::new(folder.as_str());
        let mut profile = credentials.profile.clone();
        for algorithm in super::ALGORITHMS {
            profile.algorithms = profile.algorithms.with(algorithm);
        }
        let keystore = Keystore::open(folder, &credentials.token, &credentials.pin, profile)?;
        Ok(Self {
            credentials,
            folder,
            keystore: Arc::new(keystore),
        })
    }

    pub(super) fn identity(&self) -> &TokenIdentity {
        self.keystore.identity()
    }
}

impl Subject for Opened<'_> {
    type Key = KeyDescription;

    fn generate(&self, key: &KeyId, algorithm: KeyAlgorithm) -> Result<KeyDescription, Failure> {
        self.keystore.generate(key, algorithm)
    }

    fn find(&self, key: &KeyId) -> Result<KeyDescription, Failure> {
        self.keystore.find(key)
    }

    fn public(key: &KeyDescription) -> PublicKey {
        key.public
    }

    fn sign(&self, key: &KeyDescription, input: &SignInput) -> Result<Vec<u8>, Failure> {
        let signature = self.keystore.sign(&key.key, input)?;
        Ok(signature.as_bytes().to_vec())
    }

    fn destroy(&self, key: &KeyId) -> Result<(), Failure> {
        self.keystore.destroy(key)
    }

    fn beside(&self) -> Result<Self, Failure> {
        Ok(self.clone())
    }

    fn try_further(&self, key: &KeyDescription, profile: &Profile, notes: &mut Notes) {
        let algorithm = key.public.algorithm();
        let mut case = |what: &str, outcome| notes.case(format!("{algorithm} {what}"), outcome);
        case("not of another name", self.renamed(key));
        case("not of another input", self.other_input(key));
        if algorithm == KeyAlgorithm::Bip340 {
            facts::seen("bip340", &profile.bip340, &Presence::Present, "", notes);
        }
    }

    fn reopened(self) -> Result<Self, Failure> {
        let credentials = self.credentials;
        drop(self);
        Self::in_to(credentials)
    }
}

impl Opened<'_> {
    /// Its file under another name is no other key.
    fn renamed(&self, key: &KeyDescription) -> Outcome {
        let mut other = key.key.clone();
        let Ok(name) = format!("{}-2", key.key.name).parse() else {
            return Outcome::NotTried("the name is too long".to_owned());
        };
        other.name = name;
        let [from, to] =
            [&key.key, &other].map(|key| self.folder.join(crate::keystore::file_name(key)));
        if let Err(error) = fs::copy(&from, &to) {
            return Outcome::NotTried(error.kind().to_string());
        }
        let found = self.keystore.find(&other);
        let _gone = fs::remove_file(&to);
        match found {
            Err(failure @ Failure::KeyFileRefused { .. }) => Outcome::Passed(failure.to_string()),
            Err(failure) => Outcome::Failed(failure.to_string()),
            Ok(_) => Outcome::Failed("it is a key under another name too".to_owned()),
        }
    }

    fn other_input(&self, key: &KeyDescription) -> Outcome {
        let other = match key.public {
            PublicKey::Secp256k1(_) => KeyAlgorithm::Ed25519,
            PublicKey::Ed25519(_) | PublicKey::Bip340(_) => KeyAlgorithm::Secp256k1,
        };
        let signed = super::common::input(other, 0).and_then(|input| self.sign(key, &input));
        match signed {
            Err(failure) => Outcome::Passed(failure.to_string()),
            Ok(_) => Outcome::Failed("it signs what is for another algorithm".to_owned()),
        }
    }
}
