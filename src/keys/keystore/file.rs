//! The file of one key, whichever of the two formats it has.

use super::{
    container::Container,
    error::{Fault, KeystoreError},
    header::Opened,
    hex::Hex,
    pair::{self, Mismatch},
    probe,
    secret::Secret,
    web3::{Drawn, Web3File},
};
use crate::key::{KeyAlgorithm, KeyId, KeyPurpose, PublicKey};

/// What every name of a key's file ends in.
const SUFFIX: &str = ".json";

/// The file of one key.
#[derive(Clone, Debug)]
pub(super) enum KeyFile {
    /// A key that signs by ECDSA.
    Web3(Box<Web3File>),
    /// An Ed25519 or BIP-340 key.
    Container(Box<Container>),
}

/// The name of a key's file: `PURPOSE.NAME.json`.
pub(crate) fn name_of(key: &KeyId) -> String {
    format!("{}.{}{SUFFIX}", key.purpose, key.name)
}

/// The key whose file has this name.
pub(super) fn key_of(file: &str) -> Option<KeyId> {
    let (purpose, name) = file.strip_suffix(SUFFIX)?.split_once('.')?;
    let purpose = KeyPurpose::ALL
        .into_iter()
        .find(|known| known.as_str() == purpose)?;
    let name = name.parse().ok()?;
    Some(KeyId { purpose, name })
}

impl KeyFile {
    /// Reads a file's text.
    pub(super) fn parse(text: &str) -> Result<Self, Fault> {
        if probe::has_format(text)? {
            return Container::parse(text).map(|file| Self::Container(Box::new(file)));
        }
        Web3File::parse(text).map(|file| Self::Web3(Box::new(file)))
    }

    /// The text of a new file.
    pub(super) fn text(
        key: &KeyId,
        algorithm: KeyAlgorithm,
        secret: &Secret,
        opened: &Opened,
    ) -> Result<String, KeystoreError> {
        match algorithm {
            KeyAlgorithm::Secp256k1 => {
                probe::text(&Web3File::new(key, secret, opened, Drawn::new()?)?)
            }
            KeyAlgorithm::Ed25519 | KeyAlgorithm::Bip340 => {
                let nonce = Hex::random()?;
                probe::text(&Container::new(key, algorithm, secret, opened, nonce)?)
            }
        }
    }

    /// The public half that the file names.
    pub(super) fn public(&self) -> Result<PublicKey, Fault> {
        match self {
            Self::Web3(file) => file.public(),
            Self::Container(file) => file.public(),
        }
    }

    /// Deciphers the key of the file under that key's name.
    pub(super) fn open(
        &self,
        key: &KeyId,
        opened: &Opened,
    ) -> Result<(PublicKey, Secret), Mismatch> {
        let (found, is_of) = match self {
            Self::Web3(file) => (file.key(), file.is_of(opened)),
            Self::Container(file) => (file.key(), file.is_of(opened)),
        };
        if found != *key {
            return Err(Fault::Name { found }.into());
        }
        if !is_of {
            return Err(Fault::OtherKeystore.into());
        }
        let public = self.public()?;
        let secret = match self {
            Self::Web3(file) => file.open(opened)?,
            Self::Container(file) => file.open(&opened.seal)?,
        };
        pair::check(&public, &secret)?;
        Ok((public, secret))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_name_reads_back_and_others_do_not() {
        for purpose in KeyPurpose::ALL {
            let key = KeyId {
                purpose,
                name: "eth-hot.1".parse().unwrap(),
            };
            assert_eq!(key_of(&name_of(&key)), Some(key));
        }
        for name in [
            "keystore.json",
            "spend.json",
            "spend..json.bak",
            "Spend.a.json",
            "spend.A.json",
            "spend.a",
            "notes.txt",
        ] {
            assert_eq!(key_of(name), None, "{name}");
        }
    }
}
