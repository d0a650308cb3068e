//! SSH signatures (SSHSIG, OpenSSH's `PROTOCOL.sshsig`), as `ssh-keygen -Y sign` makes them.

use std::collections::{BTreeMap, BTreeSet};

use ssh_key::{HashAlg, LineEnding, PrivateKey, SshSig};
use thiserror::Error;
use tx::Name;

use super::key::{self, KeyError, SigningKey};
use crate::Person;

const BEGIN: &str = "-----BEGIN SSH SIGNATURE-----";
const END: &str = "-----END SSH SIGNATURE-----";

/// Signatures over one text, by anyone: what they count for is asked of [`verify`].
#[derive(Clone, Debug, Default)]
pub struct Signatures(Vec<SshSig>);

/// Why a text is no list of armoured signatures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SignaturesError {
    /// There are more bytes than [`Signatures::BYTES_MAX`].
    #[error("signatures take at most {} bytes", Signatures::BYTES_MAX)]
    TooLong,
    /// There are more signatures than [`Signatures::COUNT_MAX`].
    #[error("there are at most {} signatures", Signatures::COUNT_MAX)]
    TooMany,
    /// A line outside of the armour.
    #[error("line {line} belongs to no armoured SSH signature")]
    Stray {
        /// The line, from 1.
        line: usize,
    },
    /// An armoured block that is no SSHSIG of version 1.
    #[error("the block that ends on line {line} is no SSH signature")]
    Block {
        /// Its last line, from 1.
        line: usize,
    },
    /// The last block has no end.
    #[error("the last signature has no end")]
    Unended,
}

/// Why a statement could not be signed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SignError {
    /// The private key is encrypted.
    #[error("the private key is encrypted")]
    Encrypted,
    /// The key is of a kind that bundles do not take.
    #[error("the key cannot sign statements")]
    Key(#[source] KeyError),
    /// The file names a key that never leaves its device.
    #[error("the key is in a security key; sign the text with `ssh-keygen -Y sign`")]
    SecurityKey,
    /// The signature could not be made.
    #[error("the signature could not be made")]
    Sign(#[source] ssh_key::Error),
}

impl Signatures {
    /// The most bytes that are read.
    pub const BYTES_MAX: usize = 64 * 1024;
    /// The most signatures.
    pub const COUNT_MAX: usize = 64;

    /// Reads armoured signatures that stand one after the other.
    ///
    /// # Errors
    /// [`SignaturesError`] by the first line that does not belong.
    pub fn parse(text: &str) -> Result<Self, SignaturesError> {
        if text.len() > Self::BYTES_MAX {
            return Err(SignaturesError::TooLong);
        }
        let mut found = Vec::new();
        let mut block: Option<String> = None;
        for (line, text) in (1..).zip(text.lines()) {
            match (&mut block, text) {
                (None, "") => {}
                (None, BEGIN) => block = Some(format!("{BEGIN}\n")),
                (None, _) => return Err(SignaturesError::Stray { line }),
                (Some(open), text) => {
                    open.push_str(text);
                    open.push('\n');
                    if text == END {
                        let one = SshSig::from_pem(&*open);
                        found.push(one.map_err(|_| SignaturesError::Block { line })?);
                        block = None;
                    }
                }
            }
        }
        match block {
            Some(_) => Err(SignaturesError::Unended),
            None if found.len() > Self::COUNT_MAX => Err(SignaturesError::TooMany),
            None => Ok(Self(found)),
        }
    }

    /// Reads several texts of armoured signatures.
    ///
    /// # Errors
    /// As [`Signatures::parse`], of the first text that fails.
    pub fn parse_all(texts: &[String]) -> Result<Self, SignaturesError> {
        let mut all = Vec::new();
        for text in texts {
            all.extend(Self::parse(text)?.0);
            if all.len() > Self::COUNT_MAX {
                return Err(SignaturesError::TooMany);
            }
        }
        Ok(Self(all))
    }

    /// Whether one of them is by this key over this text in this namespace, with all that the key's
    /// line asks for.
    pub fn has(&self, text: &str, namespace: &str, key: &str) -> bool {
        let signed = |key: SigningKey| {
            let mut all = self.0.iter();
            all.any(|signature| key.signed(text, namespace, signature))
        };
        SigningKey::parse(key).is_ok_and(signed)
    }

    /// How many there are, of whatever worth.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Who of `people` signed the text in this namespace. A person counts once, whichever and however
/// many of their keys signed; a signature of anyone else, over another text or for another
/// namespace counts for nothing.
pub fn verify(
    text: &str,
    namespace: &str,
    signatures: &Signatures,
    people: &BTreeMap<Name, Person>,
) -> BTreeSet<Name> {
    let signed = |person: &Person| {
        let mut keys = person.keys.iter();
        keys.any(|key| signatures.has(text, namespace, key))
    };
    people
        .iter()
        .filter(|(_, person)| signed(person))
        .map(|(name, _)| name.clone())
        .collect()
}

/// An armoured signature over the text, as `ssh-keygen -Y sign -n <namespace>` makes it.
///
/// # Errors
/// [`SignError`] for an encrypted key and for one that [`verify`] would not take.
pub fn sign(text: &str, namespace: &str, key: &PrivateKey) -> Result<String, SignError> {
    if key.is_encrypted() {
        return Err(SignError::Encrypted);
    }
    if key::application(key.public_key())
        .map_err(SignError::Key)?
        .is_some()
    {
        return Err(SignError::SecurityKey);
    }
    key.sign(namespace, HashAlg::Sha512, text.as_bytes())
        .and_then(|signature| signature.to_pem(LineEnding::LF))
        .map_err(SignError::Sign)
}
