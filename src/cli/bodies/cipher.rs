//! Encryption to auditors, in the format of age with X25519 keys (C2SP age): any tool for it opens what
//! is made here.

use std::io::{self, Read, Write};
use std::path::Path;

use age::secrecy::ExposeSecret;
use age::x25519;
use policy::bundle::AuditorKey;
use zeroize::Zeroizing;

use crate::files::{self, Access, FileError};

/// The largest file of identities that is read.
const IDENTITIES_MAX_BYTES: u64 = 64 << 10;

/// To whom is encrypted.
pub struct Recipients(Vec<x25519::Recipient>);

impl Recipients {
    /// The auditors of a policy; `None` where it names nobody.
    ///
    /// # Errors
    /// The key that cannot be encrypted to.
    pub fn new<'a>(
        auditors: impl Iterator<Item = &'a AuditorKey>,
    ) -> Result<Option<Self>, &'a AuditorKey> {
        let read = |key: &'a AuditorKey| key.as_str().parse().map_err(|_| key);
        let recipients: Vec<_> = auditors.map(read).collect::<Result<_, _>>()?;
        Ok((!recipients.is_empty()).then_some(Self(recipients)))
    }

    /// Encrypts, with a new key each time.
    ///
    /// # Errors
    /// None in practice: it is written to memory.
    pub fn seal(&self, plain: &[u8]) -> io::Result<Vec<u8>> {
        let recipients = self.0.iter().map(|one| one as &dyn age::Recipient);
        let encryptor = age::Encryptor::with_recipients(recipients).map_err(io::Error::other)?;
        let mut sealed = Vec::new();
        let mut writer = encryptor.wrap_output(&mut sealed)?;
        writer.write_all(plain)?;
        writer.finish()?;
        Ok(sealed)
    }
}

/// An auditor's private keys.
pub struct Identities(Vec<x25519::Identity>);

/// Why there is no identity.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IdentityError {
    /// The file cannot be used.
    #[error(transparent)]
    File(FileError),
    /// A line is no identity; it is not shown, as it may be a misspelt one.
    #[error("line {line} of {path} is no identity")]
    Line {
        /// The file.
        path: String,
        /// Which, from 1.
        line: usize,
    },
    /// There is none in it.
    #[error("{path} has no identity")]
    None {
        /// The file.
        path: String,
    },
}

/// Why something was not opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenError {
    /// It is encrypted to others.
    Others,
    /// It is no age file, or not as it was made.
    Changed,
}

impl Identities {
    /// Reads a file of identities, as `strongroom audit keygen` and `age-keygen` write it.
    ///
    /// # Errors
    /// [`IdentityError`]; also when others can read the file.
    pub fn read(path: &Path) -> Result<Self, IdentityError> {
        files::check_private(path).map_err(IdentityError::File)?;
        let bytes = files::read(path, IDENTITIES_MAX_BYTES).map_err(IdentityError::File)?;
        let bytes = Zeroizing::new(bytes);
        let name = || path.display().to_string();
        let text = std::str::from_utf8(&bytes).unwrap_or("?");
        let mut identities = Vec::new();
        for (number, line) in (1..).zip(text.lines()) {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let (path, line) = (line.parse::<x25519::Identity>(), number);
            identities.push(path.map_err(|_| IdentityError::Line { path: name(), line })?);
        }
        if identities.is_empty() {
            return Err(IdentityError::None { path: name() });
        }
        Ok(Self(identities))
    }

    /// Opens what was encrypted to one of them.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open(&self, sealed: &[u8]) -> Result<Vec<u8>, OpenError> {
        let changed = |_| OpenError::Changed;
        let decryptor = age::Decryptor::new_buffered(sealed).map_err(changed)?;
        let identities = self.0.iter().map(|one| one as &dyn age::Identity);
        let mut reader = decryptor.decrypt(identities).map_err(|error| match error {
            age::DecryptError::NoMatchingKeys => OpenError::Others,
            _ => OpenError::Changed,
        })?;
        let mut plain = Vec::new();
        let read = reader.read_to_end(&mut plain);
        read.map(|_| plain).map_err(|_| OpenError::Changed)
    }
}

/// Makes an identity in a new file; gives its public key.
///
/// # Errors
/// [`FileError`].
pub fn keygen(path: &Path) -> Result<String, FileError> {
    let identity = x25519::Identity::generate();
    let public = identity.to_public().to_string();
    let secret = identity.to_string();
    let text = Zeroizing::new(format!(
        "# public key: {public}\n{}\n",
        secret.expose_secret()
    ));
    files::create(path, text.as_bytes(), Access::Secret)?;
    Ok(public)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(folder: &Path, name: &str) -> (AuditorKey, Identities) {
        let path = folder.join(name);
        let public = keygen(&path).unwrap().parse().unwrap();
        (public, Identities::read(&path).unwrap())
    }

    #[test]
    fn each_auditor_opens_it_and_nobody_else() {
        let folder = tempfile::tempdir().unwrap();
        let made = |name| made(folder.path(), name);
        let ((ann, as_ann), (bob, as_bob), (_, as_eve)) = (made("ann"), made("bob"), made("eve"));
        let both = [ann, bob];
        let recipients = Recipients::new(both.iter()).unwrap().unwrap();
        let plain = vec![7; 200_000];
        let sealed = recipients.seal(&plain).unwrap();
        assert_eq!(as_ann.open(&sealed).unwrap(), plain);
        assert_eq!(as_bob.open(&sealed).unwrap(), plain);
        assert_eq!(as_eve.open(&sealed), Err(OpenError::Others));
        assert_ne!(recipients.seal(&plain).unwrap(), sealed);
        assert!(Recipients::new([].iter()).unwrap().is_none());
    }

    #[test]
    fn what_was_cut_off_or_changed_is_not_opened() {
        let folder = tempfile::tempdir().unwrap();
        let (ann, as_ann) = made(folder.path(), "ann");
        let recipients = Recipients::new([ann].iter()).unwrap().unwrap();
        // Two whole blocks of age, and a part of one.
        let sealed = recipients.seal(&vec![7; 2 * 65_536 + 9]).unwrap();
        for length in (0..sealed.len()).step_by(997) {
            assert!(as_ann.open(&sealed[..length]).is_err(), "{length}");
        }
        let whole_block = sealed.len() - (9 + 16);
        assert_eq!(as_ann.open(&sealed[..whole_block]), Err(OpenError::Changed));
        for place in (0..sealed.len()).step_by(997) {
            let mut flipped = sealed.clone();
            flipped[place] ^= 1;
            assert!(as_ann.open(&flipped).is_err(), "{place}");
        }
    }

    #[test]
    fn a_file_of_identities_is_private_and_has_nothing_else() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ann");
        keygen(&path).unwrap();
        assert!(matches!(keygen(&path), Err(FileError::Exists { .. })));
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, format!("{text}\nnone\n")).unwrap();
        let error = Identities::read(&path).map(drop).unwrap_err();
        assert!(
            matches!(error, IdentityError::Line { line: 4, .. }),
            "{error}"
        );
        std::fs::write(&path, "# nothing\n").unwrap();
        let error = Identities::read(&path).map(drop).unwrap_err();
        assert!(matches!(error, IdentityError::None { .. }), "{error}");
        std::fs::write(&path, &text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        let error = Identities::read(&path).map(drop).unwrap_err();
        assert!(matches!(error, IdentityError::File(_)), "{error}");
    }
}
