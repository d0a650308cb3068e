//! Ed25519 and BIP-340 keys: a container of our own, since no common format has one that is authenticated.
//! `docs/keystore.md` has it for those who would read it with something else.

use serde::{Deserialize, Serialize};
use tx::Name;

use super::{
    error::{Fault, KeystoreError},
    header::Opened,
    hex::Hex,
    kdf::Argon2id,
    pair::{self, Mismatch},
    probe,
    seal::Stated,
    secret::Secret,
};
use crate::key::{KeyAlgorithm, KeyId, KeyPurpose, PublicKey};

/// What the file says that it is.
pub(super) const FORMAT: &str = "strongroom-key";
/// Its version.
pub(super) const VERSION: u64 = 1;

/// An Ed25519 or BIP-340 key's file. The secret has 32 bytes: the seed of RFC 8032, or the secret key of BIP-340.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Container {
    format: String,
    version: u64,
    algorithm: KeyAlgorithm,
    purpose: KeyPurpose,
    name: Name,
    public_key: Hex<32>,
    /// That of the keystore, so that the file can be read by itself.
    pub(super) argon2id: Argon2id,
    nonce: Hex<24>,
    ciphertext: Hex<48>,
}

impl Container {
    /// Reads a file.
    pub(super) fn parse(text: &str) -> Result<Self, Fault> {
        probe::is(text, FORMAT, VERSION)?;
        let file: Self = probe::shape(text)?;
        if file.algorithm == KeyAlgorithm::Secp256k1 {
            let found = format!("{FORMAT} {VERSION} for {}", file.algorithm);
            return Err(Fault::Version { found });
        }
        file.argon2id.check()?;
        Ok(file)
    }

    /// Makes the file of a key.
    pub(super) fn new(
        key: &KeyId,
        algorithm: KeyAlgorithm,
        secret: &Secret,
        opened: &Opened,
        nonce: Hex<24>,
    ) -> Result<Self, KeystoreError> {
        let public = match pair::public(algorithm, secret)? {
            Some(PublicKey::Ed25519(public) | PublicKey::Bip340(public)) => public,
            Some(PublicKey::Secp256k1(_)) | None => return Err(KeystoreError::SelfTest),
        };
        let mut file = Self {
            format: FORMAT.to_owned(),
            version: VERSION,
            algorithm,
            purpose: key.purpose,
            name: key.name.clone(),
            public_key: Hex(public),
            argon2id: opened.header.argon2id.clone(),
            nonce,
            ciphertext: Hex([0; 48]),
        };
        file.ciphertext = file.stated().encipher(&opened.seal, &nonce, secret)?;
        Ok(file)
    }

    /// The key that the file names.
    pub(super) fn key(&self) -> KeyId {
        KeyId {
            purpose: self.purpose,
            name: self.name.clone(),
        }
    }

    /// The public half that the file names.
    pub(super) fn public(&self) -> Result<PublicKey, Fault> {
        Ok(PublicKey::new(self.algorithm, &self.public_key.0)?)
    }

    /// Whether it was written with this keystore's derivation.
    pub(super) fn is_of(&self, opened: &Opened) -> bool {
        self.argon2id == opened.header.argon2id
    }

    /// Deciphers the secret with what was derived by [`Self::argon2id`].
    pub(super) fn open(&self, derived: &Secret) -> Result<Secret, Mismatch> {
        self.stated()
            .decipher(derived, &self.nonce, &self.ciphertext)
    }

    fn stated(&self) -> Stated {
        Stated::new("strongroom-key-v1")
            .with("algorithm", self.algorithm)
            .with("purpose", self.purpose)
            .with("name", &self.name)
            .with("public_key", self.public_key)
            .with("argon2id_memory_kib", self.argon2id.memory_kib)
            .with("argon2id_passes", self.argon2id.passes)
            .with("argon2id_lanes", self.argon2id.lanes)
            .with("argon2id_salt", self.argon2id.salt)
            .with("nonce", self.nonce)
    }
}
