//! Web3 Secret Storage, version 3: how geth, ethers, web3.py and others keep secp256k1 keys.
//!
//! <https://ethereum.org/en/developers/docs/data-structures-and-encoding/web3-secret-storage/>.
//! The format's MAC covers the ciphertext alone; what else a file of a keystore says is sealed in
//! `strongroom`, which other tools ignore.

use aes::Aes128;
use ctr::{
    Ctr128BE,
    cipher::{KeyIvInit, StreamCipher},
};
use serde::{Deserialize, Serialize};
use sha3::{Digest, Keccak256};
use tx::Name;

use super::{
    error::{Fault, KeystoreError},
    header::Opened,
    hex::Hex,
    kdf::Scrypt,
    pair::{self, Mismatch},
    probe,
    seal::Stated,
    secret::{SECRET_BYTES, Secret},
};
use crate::key::{KeyAlgorithm, KeyId, KeyPurpose, PublicKey};

/// The one cipher of the format that anybody uses.
pub(super) const CIPHER: &str = "aes-128-ctr";
/// How the format calls scrypt.
pub(super) const SCRYPT: &str = "scrypt";

/// A secp256k1 key's file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Web3File {
    version: u64,
    id: String,
    address: Hex<20>,
    crypto: Crypto,
    strongroom: Mark,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Crypto {
    cipher: String,
    cipherparams: CipherParams,
    ciphertext: Hex<32>,
    kdf: String,
    kdfparams: KdfParams,
    mac: Hex<32>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct CipherParams {
    iv: Hex<16>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct KdfParams {
    dklen: u64,
    n: u64,
    p: u32,
    r: u32,
    salt: Hex<32>,
}

/// What the format has no place for, and the seal over all of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Mark {
    purpose: KeyPurpose,
    name: Name,
    public_key: Hex<33>,
    nonce: Hex<24>,
    seal: Hex<16>,
}

/// What is drawn anew for each file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Drawn {
    pub(super) id: Hex<16>,
    pub(super) iv: Hex<16>,
    pub(super) nonce: Hex<24>,
}

impl Drawn {
    pub(super) fn new() -> Result<Self, KeystoreError> {
        Ok(Self {
            id: Hex::random()?,
            iv: Hex::random()?,
            nonce: Hex::random()?,
        })
    }

    /// The identifier as a UUID of version 4 (RFC 9562).
    fn uuid(&self) -> String {
        let mut id = self.id.0;
        if let Some(byte) = id.get_mut(6) {
            *byte = (*byte & 0x0f) | 0x40;
        }
        if let Some(byte) = id.get_mut(8) {
            *byte = (*byte & 0x3f) | 0x80;
        }
        let mut text = Hex(id).to_string();
        for place in [20, 16, 12, 8] {
            text.insert(place, '-');
        }
        text
    }
}

/// Enciphers or deciphers in place: AES-128 in counter mode under the first half of a derived key.
pub(super) fn apply(derived: &[u8; 32], iv: &[u8; 16], bytes: &mut [u8; SECRET_BYTES]) {
    let (key, _) = derived.split_at(16);
    let key = aes::cipher::Key::<Aes128>::from_slice(key);
    Ctr128BE::<Aes128>::new(key, iv.into()).apply_keystream(bytes);
}

/// The format's MAC: Keccak-256 of the second half of the derived key and the ciphertext.
pub(super) fn mac(derived: &[u8; 32], ciphertext: &[u8; 32]) -> [u8; 32] {
    let (_, key) = derived.split_at(16);
    Keccak256::new()
        .chain_update(key)
        .chain_update(ciphertext)
        .finalize()
        .into()
}

impl Web3File {
    /// Reads a file of a keystore.
    pub(super) fn parse(text: &str) -> Result<Self, Fault> {
        probe::is_web3(text)?;
        let file: Self = probe::shape(text)?;
        if file.crypto.cipher != CIPHER {
            let found = file.crypto.cipher;
            return Err(Fault::Cipher { found });
        }
        if file.crypto.kdf != SCRYPT || file.crypto.kdfparams.dklen != 32 {
            let reason = "not scrypt with 32 bytes";
            return Err(Fault::Parameters { reason });
        }
        Ok(file)
    }

    /// Makes the file of a key.
    pub(super) fn new(
        key: &KeyId,
        secret: &Secret,
        opened: &Opened,
        drawn: Drawn,
    ) -> Result<Self, KeystoreError> {
        let (Some(PublicKey::Secp256k1(public)), Some(address)) = (
            pair::public(KeyAlgorithm::Secp256k1, secret)?,
            pair::address(secret)?,
        ) else {
            return Err(KeystoreError::SelfTest);
        };
        let derived = opened.web3.expose()?;
        let mut ciphertext = *secret.expose()?;
        apply(derived, &drawn.iv.0, &mut ciphertext);
        let Scrypt { n, r, p, salt } = opened.header.scrypt;
        let mut file = Self {
            version: 3,
            id: drawn.uuid(),
            address: Hex(address),
            crypto: Crypto {
                cipher: CIPHER.to_owned(),
                cipherparams: CipherParams { iv: drawn.iv },
                ciphertext: Hex(ciphertext),
                kdf: SCRYPT.to_owned(),
                kdfparams: KdfParams {
                    dklen: 32,
                    n,
                    p,
                    r,
                    salt,
                },
                mac: Hex(mac(derived, &ciphertext)),
            },
            strongroom: Mark {
                purpose: key.purpose,
                name: key.name.clone(),
                public_key: Hex(public),
                nonce: drawn.nonce,
                seal: Hex([0; 16]),
            },
        };
        file.strongroom.seal = file.stated().tag(&opened.seal, &drawn.nonce)?;
        Ok(file)
    }

    /// The key that the file names.
    pub(super) fn key(&self) -> KeyId {
        KeyId {
            purpose: self.strongroom.purpose,
            name: self.strongroom.name.clone(),
        }
    }

    /// The public half that the file names.
    pub(super) fn public(&self) -> Result<PublicKey, Fault> {
        let bytes = &self.strongroom.public_key.0;
        Ok(PublicKey::new(KeyAlgorithm::Secp256k1, bytes)?)
    }

    /// Whether it was written with this keystore's derivation.
    pub(super) fn is_of(&self, opened: &Opened) -> bool {
        let params = &self.crypto.kdfparams;
        let Scrypt { n, r, p, salt } = opened.header.scrypt;
        (params.n, params.r, params.p, params.salt) == (n, r, p, salt)
    }

    /// Deciphers the secret, once everything that the file says was found unchanged.
    pub(super) fn open(&self, opened: &Opened) -> Result<Secret, Mismatch> {
        self.stated()
            .check(&opened.seal, &self.strongroom.nonce, &self.strongroom.seal)?;
        let derived = opened.web3.expose()?;
        if mac(derived, &self.crypto.ciphertext.0) != self.crypto.mac.0 {
            return Err(Fault::Seal.into());
        }
        let secret = Secret::filled(|bytes| {
            bytes.copy_from_slice(&self.crypto.ciphertext.0);
            apply(derived, &self.crypto.cipherparams.iv.0, bytes);
            Ok::<(), KeystoreError>(())
        })?;
        if pair::address(&secret)? != Some(self.address.0) {
            return Err(Fault::PublicKey.into());
        }
        Ok(secret)
    }

    fn stated(&self) -> Stated {
        let (crypto, mark) = (&self.crypto, &self.strongroom);
        Stated::new("strongroom-web3-key-v1")
            .with("purpose", mark.purpose)
            .with("name", &mark.name)
            .with("public_key", mark.public_key)
            .with("id", &self.id)
            .with("address", self.address)
            .with("iv", crypto.cipherparams.iv)
            .with("ciphertext", crypto.ciphertext)
            .with("scrypt_n", crypto.kdfparams.n)
            .with("scrypt_r", crypto.kdfparams.r)
            .with("scrypt_p", crypto.kdfparams.p)
            .with("scrypt_salt", crypto.kdfparams.salt)
            .with("mac", crypto.mac)
            .with("nonce", mark.nonce)
    }
}
