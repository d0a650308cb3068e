//! What a keystore does with its seeds.

use bitcoin::bip32::Fingerprint;
use tx::Name;
use zeroize::Zeroizing;

use super::{
    Keystore,
    derivation::Derivation,
    error::{Fault, KeystoreError},
    hex::Hex,
    pair::Mismatch,
    probe,
    secret::Secret,
    seed::{self, SEED_BYTES, SeedFile},
};
use crate::{
    key::KeyId,
    protocol::{Failure, KeyDescription, Pin},
};

/// A seed of a keystore.
#[derive(Clone, Debug)]
pub struct ListedSeed {
    /// Its name.
    pub name: Name,
    /// What wallets name it by (BIP-32), as its file says; or why that is no seed's.
    pub readable: Result<Fingerprint, Failure>,
}

/// A seed to be written.
#[derive(Debug)]
#[non_exhaustive]
pub enum NewSeed<'a> {
    /// 64 random bytes.
    Random,
    /// That of a phrase (BIP-39).
    Given(&'a Zeroizing<[u8; SEED_BYTES]>),
    /// The text of another keystore's file.
    Imported {
        /// The text.
        text: &'a str,
        /// The passphrase of that keystore.
        passphrase: &'a Pin,
    },
}

impl NewSeed<'_> {
    fn read(&self) -> Result<Secret<SEED_BYTES>, Mismatch> {
        match self {
            Self::Random => Ok(Secret::filled(|bytes| getrandom::fill(bytes))?),
            Self::Given(seed) => Ok(Secret::filled(|bytes| {
                bytes.copy_from_slice(seed.as_slice());
                Ok::<(), KeystoreError>(())
            })?),
            Self::Imported { text, passphrase } => {
                let opened = SeedFile::parse(text)?.open(passphrase);
                opened.map_err(|mismatch| match mismatch {
                    Mismatch::Fault(Fault::Seal) => KeystoreError::Passphrase.into(),
                    other => other,
                })
            }
        }
    }
}

impl Keystore {
    /// Writes a new seed's file, for the keystore's passphrase, and reads it back. What fails is removed.
    ///
    /// # Errors
    /// [`Failure::PinRejected`] when the passphrase of what is imported is another; otherwise what is wrong.
    pub(crate) fn add_seed(
        &self,
        name: &Name,
        seed: &NewSeed<'_>,
        passphrase: &Pin,
    ) -> Result<Fingerprint, Failure> {
        let read = seed.read().map_err(|mismatch| mismatch.of("the file"));
        let written = read.and_then(|seed| self.write_seed(name, &seed, passphrase));
        written.map_err(|error| error.failure())
    }

    fn write_seed(
        &self,
        name: &Name,
        seed: &Secret<SEED_BYTES>,
        passphrase: &Pin,
    ) -> Result<Fingerprint, KeystoreError> {
        let file = seed::file_of(name);
        if self.folder.has(&file) {
            return Err(KeystoreError::file(&file)(Fault::Exists));
        }
        let argon2id = self.opened.header.argon2id.salted_anew()?;
        let made = SeedFile::new(name, seed, argon2id, Hex::random()?, passphrase)?;
        self.folder.write(&file, &probe::text(&made)?)?;
        let written = self.seed(name, passphrase).and_then(|written| {
            let same = written.expose()? == seed.expose()?;
            same.then_some(()).ok_or(KeystoreError::SelfTest)
        });
        if let Err(error) = written {
            // The first failure is what matters; a file that stays is refused when it is read.
            let _ = self.folder.remove(&file);
            return Err(error);
        }
        Ok(made.fingerprint())
    }

    /// Derives a key and adds it, as one that was generated.
    pub(crate) fn derive(
        &self,
        key: &KeyId,
        seed: &Name,
        derivation: &Derivation,
        passphrase: &Pin,
    ) -> Result<KeyDescription, Failure> {
        let algorithm = derivation.algorithm();
        if !self.profile.algorithms.contains(algorithm) {
            return Err(Failure::Unsupported);
        }
        let derived = self
            .seed(seed, passphrase)
            .and_then(|seed| derivation.derive(seed.expose()?))
            .and_then(|secret| self.add(key, algorithm, secret));
        derived.map_err(|error| error.failure())
    }

    /// Every seed, in the order of the names. None is opened.
    pub(crate) fn seeds(&self) -> Result<Vec<ListedSeed>, Failure> {
        let names = self.folder.names().map_err(|fault| {
            let error = KeystoreError::Folder { fault };
            error.failure()
        })?;
        let seeds = names.iter().filter_map(|name| seed::of_file(name));
        Ok(seeds.map(|name| self.listed_seed(name)).collect())
    }

    fn listed_seed(&self, name: Name) -> ListedSeed {
        let read = self.read_seed(&name).map(|file| file.fingerprint());
        ListedSeed {
            name,
            readable: read.map_err(|error| error.failure()),
        }
    }

    fn seed(&self, name: &Name, passphrase: &Pin) -> Result<Secret<SEED_BYTES>, KeystoreError> {
        let opened = self.read_seed(name)?.open(passphrase);
        opened.map_err(|mismatch| mismatch.of(&seed::file_of(name)))
    }

    fn read_seed(&self, name: &Name) -> Result<SeedFile, KeystoreError> {
        let file = seed::file_of(name);
        let at_fault = KeystoreError::file(&file);
        let text = self.folder.read(&file).map_err(&at_fault)?;
        let text = text.ok_or_else(|| at_fault(Fault::NoSeed))?;
        let parsed = SeedFile::parse(&text).map_err(&at_fault)?;
        parsed.check_name(name).map_err(&at_fault)?;
        Ok(parsed)
    }
}
