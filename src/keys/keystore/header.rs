//! `keystore.json`: what all keys of a keystore have in common, and whether a passphrase is theirs.

use serde::{Deserialize, Serialize};

use super::{
    error::{Fault, KeystoreError},
    hex::Hex,
    kdf::{Argon2id, Scrypt, Strength},
    pair::Mismatch,
    probe,
    seal::Stated,
    secret::Secret,
};
use crate::protocol::Pin;

/// The file's name.
pub(super) const FILE: &str = "keystore.json";
/// What the file says that it is.
pub(super) const FORMAT: &str = "strongroom-keystore";
/// Its version.
pub(super) const VERSION: u64 = 1;

/// `keystore.json`. Both derivations are of the same passphrase, so that all keys cost one of each.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Header {
    format: String,
    version: u64,
    /// Tells one keystore from another.
    pub(super) serial: Hex<8>,
    /// What seals, and enciphers Ed25519 keys.
    pub(super) argon2id: Argon2id,
    /// What enciphers secp256k1 keys.
    pub(super) scrypt: Scrypt,
    nonce: Hex<24>,
    tag: Hex<16>,
}

/// A header whose passphrase was given. It is gone; what was derived from it stays.
#[derive(Debug)]
pub(super) struct Opened {
    /// What is written into each key's file.
    pub(super) header: Header,
    /// Derived by Argon2id.
    pub(super) seal: Secret,
    /// Derived by scrypt.
    pub(super) web3: Secret,
}

impl Header {
    /// Reads the file's text.
    ///
    /// # Errors
    /// [`Fault`] when it is of another format or version, or out of bounds.
    pub(super) fn parse(text: &str) -> Result<Self, Fault> {
        probe::is(text, FORMAT, VERSION)?;
        let header: Self = probe::shape(text)?;
        header.argon2id.check()?;
        header.scrypt.check()?;
        Ok(header)
    }

    /// Derives the keys, if the passphrase is the keystore's.
    ///
    /// # Errors
    /// [`KeystoreError::Passphrase`] when it is not, or when the file was changed.
    pub(super) fn open(self, passphrase: &Pin) -> Result<Opened, KeystoreError> {
        let seal = self.argon2id.derive(passphrase)?;
        self.stated()
            .check(&seal, &self.nonce, &self.tag)
            .map_err(|mismatch| match mismatch {
                Mismatch::Fault(_) => KeystoreError::Passphrase,
                Mismatch::Error(error) => error,
            })?;
        let web3 = self.scrypt.derive(passphrase)?;
        Ok(Opened {
            header: self,
            seal,
            web3,
        })
    }

    fn stated(&self) -> Stated {
        Stated::new("strongroom-keystore-v1")
            .with("serial", self.serial)
            .with("argon2id_memory_kib", self.argon2id.memory_kib)
            .with("argon2id_passes", self.argon2id.passes)
            .with("argon2id_lanes", self.argon2id.lanes)
            .with("argon2id_salt", self.argon2id.salt)
            .with("scrypt_n", self.scrypt.n)
            .with("scrypt_r", self.scrypt.r)
            .with("scrypt_p", self.scrypt.p)
            .with("scrypt_salt", self.scrypt.salt)
            .with("nonce", self.nonce)
    }

    /// A new one for a passphrase, and its text.
    pub(super) fn create(
        passphrase: &Pin,
        strength: Strength,
    ) -> Result<(Opened, String), KeystoreError> {
        let (argon2id, scrypt) = strength.salted()?;
        argon2id.check().map_err(KeystoreError::file(FILE))?;
        scrypt.check().map_err(KeystoreError::file(FILE))?;
        let mut header = Self {
            format: FORMAT.to_owned(),
            version: VERSION,
            serial: Hex::random()?,
            argon2id,
            scrypt,
            nonce: Hex::random()?,
            tag: Hex([0; 16]),
        };
        let seal = header.argon2id.derive(passphrase)?;
        header.tag = header.stated().tag(&seal, &header.nonce)?;
        let web3 = header.scrypt.derive(passphrase)?;
        let text = probe::text(&header)?;
        let opened = Opened { header, seal, web3 };
        Ok((opened, text))
    }
}
