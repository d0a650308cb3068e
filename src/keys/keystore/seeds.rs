//! What a keystore does with its seeds.

use bitcoin::bip32::Fingerprint;
use tx::Name;
use zeroize::Zeroizing;

use super::{
    Keystore,
    derivation::Derivation,
    error::{Fault, KeystoreError},
    hex::Hex,
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
    /// What wallets name it by (BIP-32), or why nothing can be derived from it.
    pub usable: Result<Fingerprint, Failure>,
}

impl Keystore {
    /// Writes a seed, 64 random bytes where none is given.
    pub(crate) fn add_seed(
        &self,
        name: &Name,
        seed: Option<&Zeroizing<[u8; SEED_BYTES]>>,
    ) -> Result<Fingerprint, Failure> {
        let seed = Secret::filled(|bytes| match seed {
            Some(seed) => {
                bytes.copy_from_slice(seed.as_slice());
                Ok(())
            }
            None => getrandom::fill(bytes),
        });
        let written = seed.and_then(|seed| self.write_seed(name, &seed));
        written.map_err(|error| error.failure())
    }

    /// Takes over the seed of another keystore.
    pub(crate) fn import_seed(
        &self,
        name: &Name,
        text: &str,
        passphrase: &Pin,
    ) -> Result<Fingerprint, Failure> {
        let imported = SeedFile::parse(text)
            .map_err(Into::into)
            .and_then(|file| file.import(passphrase));
        imported
            .map_err(|mismatch| mismatch.of("the file"))
            .and_then(|seed| self.write_seed(name, &seed))
            .map_err(|error| error.failure())
    }

    /// Writes a new seed's file and reads it back. What fails is removed.
    fn write_seed(
        &self,
        name: &Name,
        seed: &Secret<SEED_BYTES>,
    ) -> Result<Fingerprint, KeystoreError> {
        let file = seed::file_of(name);
        if self.folder.has(&file) {
            return Err(KeystoreError::file(&file)(Fault::Exists));
        }
        let made = SeedFile::new(name, seed, &self.opened, Hex::random()?)?;
        self.folder.write(&file, &probe::text(&made)?)?;
        let written = self.seed(name).and_then(|written| {
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
    ) -> Result<KeyDescription, Failure> {
        let algorithm = derivation.algorithm();
        if !self.profile.algorithms.contains(algorithm) {
            return Err(Failure::Unsupported);
        }
        let derived = self
            .seed(seed)
            .and_then(|seed| derivation.derive(seed.expose()?))
            .and_then(|secret| self.add(key, algorithm, secret));
        derived.map_err(|error| error.failure())
    }

    /// Every seed, in the order of the names.
    pub(crate) fn seeds(&self) -> Result<Vec<ListedSeed>, Failure> {
        let names = self.folder.names().map_err(|fault| {
            let error = KeystoreError::Folder { fault };
            error.failure()
        })?;
        let seeds = names.iter().filter_map(|name| seed::of_file(name));
        Ok(seeds.map(|name| self.listed_seed(name)).collect())
    }

    fn listed_seed(&self, name: Name) -> ListedSeed {
        let read = self.read_seed(&name).map(|(file, _)| file.fingerprint());
        ListedSeed {
            name,
            usable: read.map_err(|error| error.failure()),
        }
    }

    fn seed(&self, name: &Name) -> Result<Secret<SEED_BYTES>, KeystoreError> {
        self.read_seed(name).map(|(_, seed)| seed)
    }

    fn read_seed(&self, name: &Name) -> Result<(SeedFile, Secret<SEED_BYTES>), KeystoreError> {
        let file = seed::file_of(name);
        let at_fault = KeystoreError::file(&file);
        let text = self.folder.read(&file).map_err(&at_fault)?;
        let missing = Fault::Unreadable(std::io::ErrorKind::NotFound);
        let text = text.ok_or_else(|| at_fault(missing))?;
        let parsed = SeedFile::parse(&text).map_err(&at_fault)?;
        let seed = parsed
            .open(name, &self.opened)
            .map_err(|mismatch| mismatch.of(&file))?;
        Ok((parsed, seed))
    }
}
