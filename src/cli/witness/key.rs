//! A witness's key: an Ed25519 seed in a file that its owner alone can read.
//!
//! The file is one line in the form of Go's `note` for private keys, with the type of cosignatures:
//! `PRIVATE+KEY+<name>+<id>+<base64 of 0x04 and the seed>`.

use std::fs::File;
use std::path::Path;

use base64ct::{Base64, Encoding};
use ed25519_dalek::{Signer as _, SigningKey};
use tlog::cosignature::{Cosignature, Timestamp, WitnessKey};
use tlog::note::{ForeignSignature, KeyName};
use tlog::witness::Consistent;
use zeroize::Zeroizing;

use super::error::WitnessError;
use crate::files::{self, Access};

const PREFIX: &str = "PRIVATE+KEY+";
/// The type of cosignatures (C2SP tlog-cosignature).
const TYPE: u8 = 0x04;
const SEED_BYTES: usize = 32;
/// The longest name leaves room.
const FILE_MAX_BYTES: u64 = 4096;

/// A witness's private key, held by this process alone on this machine.
pub struct Secret {
    signing: SigningKey,
    public: WitnessKey,
    /// Held for its lock, if it was read from a file.
    _file: Option<File>,
}

impl Secret {
    /// A new key, written to a new file.
    ///
    /// # Errors
    /// [`WitnessError::Randomness`], [`WitnessError::File`].
    pub fn generate(name: KeyName, path: &Path) -> Result<Self, WitnessError> {
        let mut seed = Zeroizing::new([0; SEED_BYTES]);
        getrandom::fill(seed.as_mut()).map_err(|error| WitnessError::Randomness {
            reason: error.to_string(),
        })?;
        let secret = Self::of(name, &seed, None).ok_or_else(|| WitnessError::Key {
            path: path.to_owned(),
        })?;
        let mut typed = Zeroizing::new(vec![TYPE]);
        typed.extend_from_slice(seed.as_ref());
        let encoded = Zeroizing::new(Base64::encode_string(&typed));
        let (name, id) = (secret.public.name(), secret.public.id());
        let line = Zeroizing::new(format!("{PREFIX}{name}+{id}+{}\n", encoded.as_str()));
        files::create(path, line.as_bytes(), Access::Secret).map_err(WitnessError::File)?;
        Ok(secret)
    }

    /// Reads one, and keeps every other process on this machine from doing so.
    ///
    /// # Errors
    /// [`WitnessError::File`] when others can read it, [`WitnessError::InUse`], [`WitnessError::Key`].
    pub fn read(path: &Path) -> Result<Self, WitnessError> {
        files::check_private(path).map_err(WitnessError::File)?;
        let bytes = files::read(path, FILE_MAX_BYTES).map_err(WitnessError::File)?;
        let bytes = Zeroizing::new(bytes);
        let file = super::state::lock(path)?;
        Self::parse(&bytes, file).ok_or_else(|| WitnessError::Key {
            path: path.to_owned(),
        })
    }

    fn parse(bytes: &[u8], file: File) -> Option<Self> {
        let line = std::str::from_utf8(bytes).ok()?.strip_suffix('\n')?;
        let mut parts = line.strip_prefix(PREFIX)?.splitn(3, '+');
        let (name, id, encoded) = (parts.next()?, parts.next()?, parts.next()?);
        let mut typed = Zeroizing::new([0; SEED_BYTES + 1]);
        let decoded = Base64::decode(encoded, typed.as_mut()).ok()?;
        let (kind, seed) = decoded.split_first()?;
        let seed = Zeroizing::new(<[u8; SEED_BYTES]>::try_from(seed).ok()?);
        let secret = Self::of(name.parse().ok()?, &seed, Some(file))?;
        (*kind == TYPE && secret.public.id().to_string() == id).then_some(secret)
    }

    fn of(name: KeyName, seed: &[u8; SEED_BYTES], file: Option<File>) -> Option<Self> {
        let signing = SigningKey::from_bytes(seed);
        let public = WitnessKey::new(name, signing.verifying_key().as_bytes()).ok()?;
        Some(Self {
            signing,
            public,
            _file: file,
        })
    }

    /// The public key, as logs and clients know it.
    pub fn public(&self) -> &WitnessKey {
        &self.public
    }

    /// Cosigns what was decided, and is durable by now.
    ///
    /// # Errors
    /// None in practice: the key is its own.
    pub fn cosign(
        &self,
        consistent: &Consistent,
        time: Timestamp,
    ) -> Result<Cosignature, ForeignSignature> {
        let signature = self.signing.sign(&consistent.message(time)).to_bytes();
        consistent.cosign(&self.public, time, &signature)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_key_that_was_made_is_read_by_one_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("witness.key");
        let made = Secret::generate("w.example".parse().unwrap(), &path).unwrap();
        let read = Secret::read(&path).unwrap();
        assert_eq!(read.public(), made.public());
        assert!(matches!(
            Secret::read(&path),
            Err(WitnessError::InUse { .. })
        ));
        drop(read);
        assert!(Secret::read(&path).is_ok());
        let again = Secret::generate("w.example".parse().unwrap(), &path);
        assert!(matches!(again, Err(WitnessError::File(_))));
    }

    #[test]
    fn what_is_no_key_or_open_to_others_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("witness.key");
        Secret::generate("w.example".parse().unwrap(), &path).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        for wrong in [
            text.replace("w.example", "v.example"),
            text.replace("PRIVATE+", ""),
            text.trim_end().to_owned(),
            text.replace("+BA", "+AQ")
                .replace("+BB", "+AQ")
                .replacen("PRIVATE", "PRIVATF", 1),
            text[..text.len() - 5].to_owned(),
            String::new(),
        ] {
            std::fs::write(&path, &wrong).unwrap();
            assert!(
                matches!(Secret::read(&path), Err(WitnessError::Key { .. })),
                "{wrong}"
            );
        }
        std::fs::write(&path, &text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
        assert!(matches!(Secret::read(&path), Err(WitnessError::File(_))));
    }
}
