//! SSH signatures (SSHSIG, OpenSSH's `PROTOCOL.sshsig`), as `ssh-keygen -Y sign` makes them.

use std::collections::{BTreeMap, BTreeSet};

use ssh_key::{Algorithm, EcdsaCurve, HashAlg, LineEnding, PrivateKey, PublicKey, SshSig};
use thiserror::Error;
use tx::Name;

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

/// Why a text is no public key that signatures are taken from.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum KeyError {
    /// It is no public key in OpenSSH's one-line form.
    #[error("not a public key in OpenSSH's one-line form, such as `ssh-ed25519 AAAA…`")]
    Form,
    /// It is of an algorithm that is not taken.
    #[error("{algorithm} keys are not taken; use ssh-ed25519 or ecdsa-sha2-nistp256")]
    Algorithm {
        /// The algorithm.
        algorithm: String,
    },
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
    /// The signature could not be made.
    #[error("the signature could not be made")]
    Sign(#[source] ssh_key::Error),
}

/// A public key that can sign statements, in its one spelling: algorithm and base64, no comment.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PublicKeyLine(String);

impl PublicKeyLine {
    /// The longest line read, in bytes.
    const LENGTH_MAX: usize = 1024;

    /// Reads a line as it stands in `id_ed25519.pub`; the comment is dropped.
    ///
    /// # Errors
    /// [`KeyError`] for everything but Ed25519 and ECDSA over P-256.
    pub fn parse(line: &str) -> Result<Self, KeyError> {
        if line.len() > Self::LENGTH_MAX {
            return Err(KeyError::Form);
        }
        let mut key = PublicKey::from_openssh(line).map_err(|_| KeyError::Form)?;
        accepted(&key)?;
        key.set_comment("");
        key.to_openssh().map(Self).map_err(|_| KeyError::Form)
    }

    /// The line.
    pub fn into_string(self) -> String {
        self.0
    }
}

fn accepted(key: &PublicKey) -> Result<(), KeyError> {
    match key.algorithm() {
        Algorithm::Ed25519
        | Algorithm::Ecdsa {
            curve: EcdsaCurve::NistP256,
        } => Ok(()),
        other => Err(KeyError::Algorithm {
            algorithm: other.to_string(),
        }),
    }
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

    /// Whether one of them is by this key over this text in this namespace.
    pub fn has(&self, text: &str, namespace: &str, key: &str) -> bool {
        let Ok(key) = PublicKey::from_openssh(key) else {
            return false;
        };
        accepted(&key).is_ok()
            && self
                .0
                .iter()
                .any(|signature| key.verify(namespace, text.as_bytes(), signature).is_ok())
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
    accepted(key.public_key()).map_err(SignError::Key)?;
    key.sign(namespace, HashAlg::Sha512, text.as_bytes())
        .and_then(|signature| signature.to_pem(LineEnding::LF))
        .map_err(SignError::Sign)
}
