//! Seeds, which keys are derived from and which sign nothing themselves: a container of our own. Each is sealed
//! with a key that is derived from the passphrase for it alone: what the key child holds opens none.

use bitcoin::bip32::Fingerprint;
use serde::{Deserialize, Serialize};
use tx::Name;

use super::{
    derivation,
    error::{Fault, KeystoreError},
    hex::Hex,
    kdf::Argon2id,
    pair::Mismatch,
    probe,
    seal::Stated,
    secret::Secret,
};
use crate::protocol::Pin;

/// What the file says that it is.
pub(super) const FORMAT: &str = "strongroom-seed";
/// Its version.
pub(super) const VERSION: u64 = 1;

/// Bytes of a seed: as many as BIP-39 makes of words.
pub const SEED_BYTES: usize = 64;

/// What the name of every seed's file begins with: no purpose of a key is called so.
const PREFIX: &str = "seed.";
/// What it ends in.
const SUFFIX: &str = ".json";

/// The name of a seed's file: `seed.NAME.json`.
pub(super) fn file_of(name: &Name) -> String {
    format!("{PREFIX}{name}{SUFFIX}")
}

/// The seed whose file has this name.
pub(super) fn of_file(file: &str) -> Option<Name> {
    file.strip_prefix(PREFIX)?
        .strip_suffix(SUFFIX)?
        .parse()
        .ok()
}

/// A seed's file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SeedFile {
    format: String,
    version: u64,
    name: Name,
    /// What wallets name it by (BIP-32).
    fingerprint: Hex<4>,
    /// As strong as that of the keystore, with a salt of its own.
    pub(super) argon2id: Argon2id,
    nonce: Hex<24>,
    ciphertext: Hex<80>,
}

impl SeedFile {
    /// Reads a file.
    pub(super) fn parse(text: &str) -> Result<Self, Fault> {
        probe::is(text, FORMAT, VERSION)?;
        let file: Self = probe::shape(text)?;
        file.argon2id.check()?;
        Ok(file)
    }

    /// Makes the file of a seed.
    pub(super) fn new(
        name: &Name,
        seed: &Secret<SEED_BYTES>,
        argon2id: Argon2id,
        nonce: Hex<24>,
        passphrase: &Pin,
    ) -> Result<Self, KeystoreError> {
        let derived = argon2id.derive(passphrase)?;
        let mut file = Self {
            format: FORMAT.to_owned(),
            version: VERSION,
            name: name.clone(),
            fingerprint: Hex(derivation::fingerprint(seed.expose()?)?.to_bytes()),
            argon2id,
            nonce,
            ciphertext: Hex([0; 80]),
        };
        file.ciphertext = file.stated().encipher(&derived, &nonce, seed)?;
        Ok(file)
    }

    /// What wallets name the seed by.
    pub(super) fn fingerprint(&self) -> Fingerprint {
        self.fingerprint.0.into()
    }

    /// Whether it is the file of that name.
    pub(super) fn check_name(&self, name: &Name) -> Result<(), Fault> {
        match self.name == *name {
            true => Ok(()),
            false => Err(Fault::SeedName {
                found: self.name.clone(),
            }),
        }
    }

    /// Deciphers the seed.
    ///
    /// # Errors
    /// [`Mismatch`]; [`Fault::Seal`] when the passphrase is another, or the file was changed.
    pub(super) fn open(&self, passphrase: &Pin) -> Result<Secret<SEED_BYTES>, Mismatch> {
        self.opens(&self.argon2id.derive(passphrase)?)
    }

    /// Deciphers it with what was derived by its parameters.
    pub(super) fn opens(&self, derived: &Secret) -> Result<Secret<SEED_BYTES>, Mismatch> {
        let seed = self
            .stated()
            .decipher(derived, &self.nonce, &self.ciphertext)?;
        if derivation::fingerprint(seed.expose()?)? != self.fingerprint() {
            return Err(Fault::Fingerprint.into());
        }
        Ok(seed)
    }

    /// The same seed under another fingerprint, sealed.
    #[cfg(test)]
    pub(super) fn claim(
        &mut self,
        passphrase: &Pin,
        fingerprint: Hex<4>,
    ) -> Result<(), KeystoreError> {
        let derived = self.argon2id.derive(passphrase)?;
        let seed = self
            .opens(&derived)
            .map_err(|mismatch| mismatch.of("the file"))?;
        self.fingerprint = fingerprint;
        self.ciphertext = self.stated().encipher(&derived, &self.nonce, &seed)?;
        Ok(())
    }

    fn stated(&self) -> Stated {
        Stated::new("strongroom-seed-v1")
            .with("name", &self.name)
            .with("fingerprint", self.fingerprint)
            .with("argon2id_memory_kib", self.argon2id.memory_kib)
            .with("argon2id_passes", self.argon2id.passes)
            .with("argon2id_lanes", self.argon2id.lanes)
            .with("argon2id_salt", self.argon2id.salt)
            .with("nonce", self.nonce)
    }
}
