//! Keys that were made elsewhere: a Web3 Secret Storage file of any tool, or an Ed25519 or BIP-340 container of
//! another keystore. Each is opened with its own passphrase and written anew under the keystore's.

use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;

use super::{
    container::Container,
    error::{Fault, KeystoreError},
    kdf,
    pair::{self, Mismatch},
    probe,
    secret::Secret,
    web3,
};
use crate::{key::KeyAlgorithm, protocol::Pin};

/// The longest salt and ciphertext that are looked at, in hexadecimal digits.
const HEX_MAX: usize = 128;

/// A file of another tool. What it says beside is not looked at: each tool has its own.
#[derive(Debug, Deserialize)]
struct Foreign {
    #[serde(default)]
    address: Option<String>,
    /// Some tools write it with a capital.
    #[serde(alias = "Crypto")]
    crypto: Crypto,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Crypto {
    cipher: String,
    cipherparams: CipherParams,
    ciphertext: String,
    kdf: String,
    kdfparams: Value,
    mac: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct CipherParams {
    iv: String,
}

enum Kdf {
    Scrypt(ScryptParams),
    Pbkdf2(Pbkdf2Params),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ScryptParams {
    dklen: u64,
    n: u64,
    p: u32,
    r: u32,
    salt: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Pbkdf2Params {
    c: u32,
    dklen: u64,
    prf: String,
    salt: String,
}

/// Opens a file with its passphrase.
///
/// # Errors
/// [`Mismatch`]; [`KeystoreError::Passphrase`] when the passphrase is another, or the file was
/// changed: the formats do not tell these apart.
pub(super) fn open(text: &str, passphrase: &Pin) -> Result<(KeyAlgorithm, Secret), Mismatch> {
    if probe::has_format(text)? {
        return container(text, passphrase);
    }
    probe::is_web3(text)?;
    let foreign: Foreign = probe::shape(text)?;
    foreign
        .open(passphrase)
        .map(|secret| (KeyAlgorithm::Secp256k1, secret))
}

fn container(text: &str, passphrase: &Pin) -> Result<(KeyAlgorithm, Secret), Mismatch> {
    let file = Container::parse(text)?;
    let derived = file.argon2id.derive(passphrase)?;
    let secret = file.open(&derived).map_err(|mismatch| match mismatch {
        Mismatch::Fault(Fault::Seal) => Mismatch::Error(KeystoreError::Passphrase),
        other => other,
    })?;
    let public = file.public()?;
    pair::check(&public, &secret)?;
    Ok((public.algorithm(), secret))
}

impl Foreign {
    fn open(&self, passphrase: &Pin) -> Result<Secret, Mismatch> {
        let crypto = &self.crypto;
        if crypto.cipher != web3::CIPHER {
            let found = plain(&crypto.cipher);
            return Err(Fault::Cipher { found }.into());
        }
        let (iv, ciphertext) = (
            bytes::<16>(&crypto.cipherparams.iv)?,
            bytes::<32>(&crypto.ciphertext)?,
        );
        let wanted = bytes::<32>(&crypto.mac)?;
        let address = self.address.as_deref().map(bytes::<20>).transpose()?;
        let derived = crypto.kdf()?.derive(passphrase)?;
        let derived = derived.expose()?;
        if web3::mac(derived, &ciphertext) != wanted {
            return Err(KeystoreError::Passphrase.into());
        }
        let secret = Secret::filled(|bytes| {
            bytes.copy_from_slice(&ciphertext);
            web3::apply(derived, &iv, bytes);
            Ok::<(), KeystoreError>(())
        })?;
        // The MAC does not cover the IV; the address, where there is one, gives a changed one away.
        match (pair::address(&secret)?, address) {
            (Some(found), Some(said)) if found == said => Ok(secret),
            (Some(_), None) => Ok(secret),
            _ => Err(Fault::PublicKey.into()),
        }
    }
}

impl Crypto {
    fn kdf(&self) -> Result<Kdf, Fault> {
        match self.kdf.as_str() {
            "scrypt" => params(&self.kdfparams).map(Kdf::Scrypt),
            "pbkdf2" => params(&self.kdfparams).map(Kdf::Pbkdf2),
            _ => Err(Fault::Parameters {
                reason: "neither scrypt nor PBKDF2",
            }),
        }
    }
}

fn params<T: DeserializeOwned>(value: &Value) -> Result<T, Fault> {
    T::deserialize(value).map_err(|_| Fault::Shape {
        reason: "kdfparams are not those of the kdf".to_owned(),
    })
}

impl Kdf {
    fn derive(&self, passphrase: &Pin) -> Result<Secret, Mismatch> {
        let dklen = match self {
            Self::Scrypt(params) => params.dklen,
            Self::Pbkdf2(params) => params.dklen,
        };
        if dklen != 32 {
            let reason = "a derived key that has not 32 bytes";
            return Err(Fault::Parameters { reason }.into());
        }
        match self {
            Self::Scrypt(ScryptParams { n, r, p, salt, .. }) => {
                kdf::check_scrypt(*n, *r, *p)?;
                let salt = some_bytes(salt)?;
                Ok(kdf::scrypt(*n, *r, *p, &salt, passphrase)?)
            }
            Self::Pbkdf2(Pbkdf2Params { c, prf, salt, .. }) => {
                if prf != "hmac-sha256" {
                    let reason = "PBKDF2 with another function than HMAC-SHA-256";
                    return Err(Fault::Parameters { reason }.into());
                }
                kdf::check_pbkdf2(*c)?;
                let salt = some_bytes(salt)?;
                Ok(kdf::pbkdf2(*c, &salt, passphrase)?)
            }
        }
    }
}

/// Hexadecimal digits of either case, with or without a prefix: tools differ.
fn some_bytes(text: &str) -> Result<Vec<u8>, Fault> {
    let wrong = |reason: &str| Fault::Shape {
        reason: reason.to_owned(),
    };
    if text.len() > HEX_MAX {
        return Err(wrong("a value is too long"));
    }
    hex::decode(text).map_err(|_| wrong("a value is not hexadecimal"))
}

fn bytes<const N: usize>(text: &str) -> Result<[u8; N], Fault> {
    let bytes = some_bytes(text)?;
    bytes.try_into().map_err(|_| Fault::Shape {
        reason: format!("a value has not {N} bytes"),
    })
}

fn plain(text: &str) -> String {
    let plain = text.chars().filter(char::is_ascii_graphic);
    plain.take(32).collect()
}
