//! The encrypted keystore: a folder of files, one a key, opened by one passphrase (assurance level
//! 1, `software`).
//!
//! ECDSA keys are Web3 Secret Storage files ([`web3`]), Ed25519 and BIP-340 keys a container of our own
//! ([`container`]), and so are seeds ([`seed`]), which keys are derived from by hand; `docs/keystore.md` has
//! the formats. A key is read once, when it is first found, and
//! then held in a locked page: a file that changes later changes nothing before the next start, and
//! then the pinned public key refuses it. The passphrase is wiped once two keys were derived from it.

mod container;
mod derivation;
mod error;
mod file;
mod folder;
mod header;
mod hex;
mod import;
mod kdf;
mod pair;
mod probe;
mod romix;
mod seal;
mod secret;
mod seed;
mod seeds;
#[cfg(test)]
mod tests;
mod web3;

use std::{
    collections::HashMap,
    path::Path,
    sync::{Arc, PoisonError, RwLock},
};

pub use derivation::{Derivation, PathError};
pub use error::{Fault, KeystoreError};
pub(crate) use file::name_of as file_name;
pub use kdf::Strength;
pub use seed::SEED_BYTES;
pub use seeds::{ListedSeed, NewSeed};

use self::{
    file::KeyFile,
    folder::Folder,
    header::{Header, Opened},
    secret::{SECRET_BYTES, Secret},
};
use crate::{
    admin::ListedKey,
    child::{Device, Session},
    device::{Essentials, FirmwareVersion, TokenIdentity, TokenSelector},
    key::{KeyAlgorithm, KeyId, PublicKey},
    protocol::{Bytes, Failure, KeyDescription, Pin, Residence, SignInput, Text},
    self_test,
};

/// The label of every keystore: its folder tells which one it is.
pub const LABEL: &str = "keystore";
/// What a keystore says of itself, as the profile's `match` has it.
const MANUFACTURER: &str = "Strongroom";
const MODEL: &str = "keystore";
/// The format's version, in the place of the firmware's.
const FORMAT_VERSION: FirmwareVersion = FirmwareVersion { major: 1, minor: 0 };

/// The most keys that are held. Each takes a page of locked memory: 4 MiB, half of the limit that
/// systemd and most distributions set.
const KEYS_MAX: usize = 1000;

/// A keystore that its passphrase opened.
#[derive(Debug)]
pub(crate) struct Keystore {
    folder: Folder,
    opened: Opened,
    identity: TokenIdentity,
    profile: Essentials,
    held: RwLock<HashMap<KeyId, Arc<Held>>>,
}

/// A key in memory.
#[derive(Debug)]
struct Held {
    public: PublicKey,
    secret: Secret,
}

impl Held {
    fn sign(&self, input: &SignInput) -> Result<Bytes<128>, KeystoreError> {
        pair::sign(self.public.algorithm(), &self.secret, input)
    }

    fn description(&self, key: &KeyId) -> KeyDescription {
        KeyDescription {
            key: key.clone(),
            public: self.public,
            residence: Residence::Token,
        }
    }
}

/// Makes a keystore in a new or empty folder.
///
/// # Errors
/// [`KeystoreError`]; nothing that exists is changed.
pub(crate) fn create(
    path: &Path,
    passphrase: &Pin,
    strength: Strength,
) -> Result<TokenIdentity, KeystoreError> {
    let folder = Folder::create(path).map_err(|fault| KeystoreError::Folder { fault })?;
    let (opened, text) = Header::create(passphrase, strength)?;
    folder.write(header::FILE, &text)?;
    Ok(identity_of(&opened.header))
}

/// What the keystore in a folder says of itself. No passphrase is needed.
///
/// # Errors
/// [`KeystoreError`].
pub(crate) fn identify(path: &Path) -> Result<TokenIdentity, KeystoreError> {
    read_header(path).map(|(_, header)| identity_of(&header))
}

fn read_header(path: &Path) -> Result<(Folder, Header), KeystoreError> {
    let folder = Folder::open(path).map_err(|fault| KeystoreError::Folder { fault })?;
    let at_fault = KeystoreError::file(header::FILE);
    let text = folder.read(header::FILE).map_err(&at_fault)?;
    let text = text.ok_or(KeystoreError::Folder {
        fault: Fault::NoKeystore,
    })?;
    let header = Header::parse(&text).map_err(&at_fault)?;
    Ok((folder, header))
}

fn identity_of(header: &Header) -> TokenIdentity {
    TokenIdentity {
        label: Text::cut(LABEL),
        manufacturer: Text::cut(MANUFACTURER),
        model: Text::cut(MODEL),
        serial: Text::cut(&header.serial.to_string()),
        firmware: FORMAT_VERSION,
    }
}

impl Keystore {
    /// Opens a keystore that is the one named and that the profile describes. The passphrase is
    /// tried once, and not kept.
    ///
    /// # Errors
    /// [`Failure::PinRejected`] when it is not the keystore's; otherwise what is wrong.
    pub(crate) fn open(
        path: &Path,
        selector: &TokenSelector,
        passphrase: &Pin,
        profile: Essentials,
    ) -> Result<Self, Failure> {
        // What an empty keystore would need as well: refused before anything is derived.
        Secret::<SECRET_BYTES>::zeroed().map_err(|error| error.failure())?;
        let (folder, header) = read_header(path).map_err(|error| error.of_keystore())?;
        let identity = identity_of(&header);
        if !selector.selects(&identity) {
            return Err(Failure::TokenUnknown);
        }
        profile
            .admits(&identity)
            .map_err(|fault| Failure::TokenRefused { fault })?;
        let opened = header.open(passphrase).map_err(|error| error.failure())?;
        Ok(Self {
            folder,
            opened,
            identity,
            profile,
            held: RwLock::default(),
        })
    }

    /// A key that is held, or else what its file has.
    fn key(&self, key: &KeyId) -> Result<Arc<Held>, KeystoreError> {
        if let Some(held) = self.held(key) {
            return Ok(held);
        }
        let held = Arc::new(self.read(key)?);
        self.hold(key, held)
    }

    fn held(&self, key: &KeyId) -> Option<Arc<Held>> {
        let held = self.held.read().unwrap_or_else(PoisonError::into_inner);
        held.get(key).cloned()
    }

    /// Reads a key from its file.
    fn read(&self, key: &KeyId) -> Result<Held, KeystoreError> {
        let name = file::name_of(key);
        let at_fault = KeystoreError::file(&name);
        let text = self.folder.read(&name).map_err(&at_fault)?;
        let text = text.ok_or(KeystoreError::KeyUnknown)?;
        let file = KeyFile::parse(&text).map_err(&at_fault)?;
        let (public, secret) = file
            .open(key, &self.opened)
            .map_err(|mismatch| mismatch.of(&name))?;
        if !self.profile.algorithms.contains(public.algorithm()) {
            return Err(KeystoreError::Algorithm);
        }
        Ok(Held { public, secret })
    }

    /// Holds a key that was read; whichever thread was first is the one that counts.
    fn hold(&self, key: &KeyId, read: Arc<Held>) -> Result<Arc<Held>, KeystoreError> {
        let mut held = self.held.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(first) = held.get(key) {
            return Ok(Arc::clone(first));
        }
        if held.len() >= KEYS_MAX {
            return Err(KeystoreError::Full);
        }
        let same = held
            .iter()
            .find(|(_, other)| other.public.shares_secret(&read.public));
        if let Some((other, _)) = same {
            let other = other.clone();
            return Err(KeystoreError::SameSecret { other });
        }
        held.insert(key.clone(), Arc::clone(&read));
        Ok(read)
    }

    /// Generates a key, lets it sign, and writes it through to the disk.
    pub(crate) fn generate(
        &self,
        key: &KeyId,
        algorithm: KeyAlgorithm,
    ) -> Result<KeyDescription, Failure> {
        if !self.profile.algorithms.contains(algorithm) {
            return Err(Failure::Unsupported);
        }
        let made = pair::generate(algorithm).and_then(|secret| self.add(key, algorithm, secret));
        made.map_err(|error| error.failure())
    }

    /// Takes over a key that was made elsewhere.
    ///
    /// # Errors
    /// [`Failure::PinRejected`] when `passphrase` is not that of the file; otherwise what is wrong.
    pub(crate) fn import(
        &self,
        key: &KeyId,
        text: &str,
        passphrase: &Pin,
    ) -> Result<KeyDescription, Failure> {
        let imported = import::open(text, passphrase)
            .map_err(|mismatch| mismatch.of("the file"))
            .and_then(|(algorithm, secret)| self.add(key, algorithm, secret));
        imported.map_err(|error| error.failure())
    }

    /// Writes a new key's file, reads it back, and lets it sign. What fails is removed.
    fn add(
        &self,
        key: &KeyId,
        algorithm: KeyAlgorithm,
        secret: Secret,
    ) -> Result<KeyDescription, KeystoreError> {
        let name = file::name_of(key);
        if self.held(key).is_some() || self.folder.has(&name) {
            return Err(KeystoreError::KeyExists);
        }
        let public = pair::public(algorithm, &secret)?.ok_or(KeystoreError::SelfTest)?;
        self.check_new(&public)?;
        let text = KeyFile::text(key, algorithm, &secret, &self.opened)?;
        drop(secret);
        self.folder.write(&name, &text)?;
        let added = self.read(key).and_then(|held| {
            let signs =
                held.public == public && self_test::passes(&public, |input| held.sign(input).ok());
            if !signs {
                return Err(KeystoreError::SelfTest);
            }
            self.hold(key, Arc::new(held))
        });
        match added {
            Ok(held) => Ok(held.description(key)),
            Err(error) => {
                // The first failure is what matters; a file that stays is refused when it is read.
                let _ = self.folder.remove(&name);
                Err(error)
            }
        }
    }

    /// Whether no other file has the secret of this public key, and there is room.
    fn check_new(&self, public: &PublicKey) -> Result<(), KeystoreError> {
        let names = self
            .folder
            .names()
            .map_err(|fault| KeystoreError::Folder { fault })?;
        let keys = names.iter().filter_map(|name| file::key_of(name));
        let mut count = 0_usize;
        for other in keys {
            count = count.saturating_add(1);
            let text = self.folder.read(&file::name_of(&other)).ok().flatten();
            let file = text.and_then(|text| KeyFile::parse(&text).ok());
            // What cannot be read is refused under its own name.
            let known = file.and_then(|file| file.public().ok());
            if known.is_some_and(|known| known.shares_secret(public)) {
                return Err(KeystoreError::SameSecret { other });
            }
        }
        if count >= KEYS_MAX {
            return Err(KeystoreError::Full);
        }
        Ok(())
    }

    /// Finds a key.
    pub(crate) fn find(&self, key: &KeyId) -> Result<KeyDescription, Failure> {
        let held = self.key(key).map_err(|error| error.failure())?;
        Ok(held.description(key))
    }

    /// Signs with a key.
    pub(crate) fn sign(&self, key: &KeyId, input: &SignInput) -> Result<Bytes<128>, Failure> {
        let signed = self.key(key).and_then(|held| held.sign(input));
        signed.map_err(|error| error.failure())
    }

    /// Removes a key and its file.
    pub(crate) fn destroy(&self, key: &KeyId) -> Result<(), Failure> {
        let removed = self.folder.remove(&file::name_of(key));
        removed.map_err(|error| error.failure())?;
        let mut held = self.held.write().unwrap_or_else(PoisonError::into_inner);
        held.remove(key);
        Ok(())
    }

    /// Every file of the keystore that is no seed's, with why `signerd` would not use it.
    pub(crate) fn list(&self) -> Result<Vec<ListedKey>, Failure> {
        let names = self.folder.names().map_err(|fault| {
            let error = KeystoreError::Folder { fault };
            error.failure()
        })?;
        let files = names
            .into_iter()
            .filter(|name| name != header::FILE && seed::of_file(name).is_none());
        Ok(files.map(|name| self.listed(name)).collect())
    }

    fn listed(&self, name: String) -> ListedKey {
        match file::key_of(&name) {
            Some(key) => {
                let usable = self.key(&key).map(|held| held.public);
                ListedKey {
                    label: key.label(),
                    key: Some(key),
                    usable: usable.map_err(|error| error.failure()),
                }
            }
            None => ListedKey {
                label: name,
                key: None,
                usable: Err(Failure::KeyUnknown),
            },
        }
    }
}

impl Device for Keystore {
    fn identity(&self) -> &TokenIdentity {
        &self.identity
    }

    fn session(self: Arc<Self>) -> Box<dyn Session> {
        Box::new(KeystoreSession(self))
    }

    fn close(&self) {
        // Wiped when the last thread is gone; the process ends next.
    }
}

/// A thread's way to the keystore: it has nothing of its own.
struct KeystoreSession(Arc<Keystore>);

impl Session for KeystoreSession {
    /// There is nothing to open.
    fn open(&mut self) -> Result<(), Failure> {
        Ok(())
    }

    fn find(&mut self, key: &KeyId) -> Result<KeyDescription, Failure> {
        self.0.find(key)
    }

    fn public(&mut self, key: &KeyId) -> Result<KeyDescription, Failure> {
        self.find(key)
    }

    fn sign(&mut self, key: &KeyId, input: &SignInput) -> Result<Bytes<128>, Failure> {
        self.0.profile.takes(input)?;
        self.0.sign(key, input)
    }

    fn generate(
        &mut self,
        key: &KeyId,
        algorithm: KeyAlgorithm,
    ) -> Result<KeyDescription, Failure> {
        self.0.generate(key, algorithm)
    }

    fn destroy(&mut self, key: &KeyId) -> Result<(), Failure> {
        self.0.destroy(key)
    }

    fn health(&mut self) -> Result<(), Failure> {
        Ok(())
    }

    fn reset(&mut self) {}
}
