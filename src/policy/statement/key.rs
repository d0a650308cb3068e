//! The public keys that statements are signed with, and what each asks of a signature.

use std::collections::BTreeSet;

use ssh_key::{
    Algorithm, EcdsaCurve, PublicKey, SshSig,
    public::{EcdsaPublicKey, KeyData},
};
use thiserror::Error;
use tx::Name;

use crate::Policy;

/// As in OpenSSH's `authorized_keys`: whoever signs has shown the security key who they are, too.
const VERIFY_REQUIRED: &str = "verify-required ";
/// The option that is not taken.
const NO_TOUCH_REQUIRED: &str = "no-touch-required ";

/// What a security key is for, as `ssh-keygen` makes it. A key that was made for a website also signs
/// what that website asks for.
const APPLICATION: &str = "ssh:";

/// The flag of a security key by which somebody touched it (OpenSSH's `PROTOCOL.u2f`).
const PRESENT: u8 = 0x01;
/// The flag by which they gave their PIN or finger.
const VERIFIED: u8 = 0x04;

/// Why a text is no public key that signatures are taken from.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum KeyError {
    /// It is no public key in OpenSSH's one-line form.
    #[error("not a public key in OpenSSH's one-line form, such as `ssh-ed25519 AAAA…`")]
    Form,
    /// It is of an algorithm that is not taken.
    #[error(
        "{algorithm} keys are not taken; use ssh-ed25519, ecdsa-sha2-nistp256, or a security key \
         of these (sk-…)"
    )]
    Algorithm {
        /// The algorithm.
        algorithm: String,
    },
    /// A security key's key was made for something else than OpenSSH.
    #[error("the key was made for {application:?}; one for signing is for \"ssh:\" or \"ssh:…\"")]
    Application {
        /// For what.
        application: String,
    },
    /// A signature without a touch says nothing about a person.
    #[error("no-touch-required is not taken: a security key has to be touched")]
    NoTouch,
    /// `verify-required` stands before a key that cannot show it.
    #[error("verify-required is for security keys (sk-…) alone")]
    NotVerifiable,
}

/// A public key that can sign statements, in its one spelling: `verify-required` where that is asked
/// for, algorithm and base64, no comment.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PublicKeyLine(String);

/// A public key itself, whatever it is used for: of an ECDSA key the point in its short form.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct KeyMaterial(pub Vec<u8>);

/// A key, and the flags that a signature by it must have.
pub(super) struct SigningKey {
    key: PublicKey,
    flags: u8,
}

impl PublicKeyLine {
    /// The longest line read, in bytes.
    const LENGTH_MAX: usize = 1024;

    /// Reads a line as it stands in `id_ed25519.pub`; the comment is dropped. Before a security key,
    /// `verify-required` may stand.
    ///
    /// # Errors
    /// [`KeyError`] for everything but Ed25519 and ECDSA over P-256, in a file or in a security key.
    pub fn parse(line: &str) -> Result<Self, KeyError> {
        if line.len() > Self::LENGTH_MAX {
            return Err(KeyError::Form);
        }
        let mut signing = SigningKey::parse(line)?;
        signing.key.set_comment("");
        let key = signing.key.to_openssh().map_err(|_| KeyError::Form)?;
        let option = if signing.flags & VERIFIED == 0 {
            ""
        } else {
            VERIFY_REQUIRED
        };
        Ok(Self(format!("{option}{key}")))
    }

    /// The key alone, whatever is asked of its signatures.
    pub fn key(&self) -> &str {
        bare(&self.0)
    }

    /// The key itself, in a file, in a security key, or wherever else it may be.
    pub(crate) fn material(&self) -> Option<KeyMaterial> {
        let key = PublicKey::from_openssh(self.key()).ok()?;
        let point = |key: &EcdsaPublicKey| match key {
            EcdsaPublicKey::NistP256(point) => Some(point.compress().as_bytes().to_vec()),
            _ => None,
        };
        let bytes = match key.key_data() {
            KeyData::Ed25519(key) => key.0.to_vec(),
            KeyData::SkEd25519(key) => key.public_key().0.to_vec(),
            KeyData::Ecdsa(key) => point(key)?,
            KeyData::SkEcdsaSha2NistP256(key) => key.ec_point().compress().as_bytes().to_vec(),
            _ => return None,
        };
        Some(KeyMaterial(bytes))
    }

    /// The line.
    pub fn into_string(self) -> String {
        self.0
    }
}

/// The key of a line that is a [`PublicKeyLine`], whatever is asked of its signatures.
pub(crate) fn bare(line: &str) -> &str {
    line.strip_prefix(VERIFY_REQUIRED).unwrap_or(line)
}

/// The people who have one of these keys.
pub(crate) fn people_with<'p>(
    policy: &'p Policy,
    keys: &BTreeSet<String>,
) -> impl Iterator<Item = &'p Name> {
    let people = policy.people.iter();
    let with = people.filter(|(_, person)| person.keys.iter().any(|key| keys.contains(bare(key))));
    with.map(|(name, _)| name)
}

impl SigningKey {
    pub(super) fn parse(line: &str) -> Result<Self, KeyError> {
        if line.starts_with(NO_TOUCH_REQUIRED) {
            return Err(KeyError::NoTouch);
        }
        let (bare, verified) = match line.strip_prefix(VERIFY_REQUIRED) {
            Some(bare) => (bare, VERIFIED),
            None => (line, 0),
        };
        let key = PublicKey::from_openssh(bare).map_err(|_| KeyError::Form)?;
        let flags = match application(&key)? {
            Some(application) if !application.starts_with(APPLICATION) => {
                return Err(KeyError::Application {
                    application: application.to_owned(),
                });
            }
            Some(_) => PRESENT | verified,
            None if verified == 0 => 0,
            None => return Err(KeyError::NotVerifiable),
        };
        Ok(Self { key, flags })
    }

    /// Whether this is a signature by it over the text in this namespace, with all that is asked of the
    /// person.
    pub(super) fn signed(&self, text: &str, namespace: &str, signature: &SshSig) -> bool {
        // Of one algorithm, so that what is read as flags is what was signed as flags.
        signature.algorithm() == self.key.algorithm()
            && self
                .key
                .verify(namespace, text.as_bytes(), signature)
                .is_ok()
            && flags(signature) & self.flags == self.flags
    }
}

/// What a security key's key was made for; nothing of another key that is taken.
pub(super) fn application(key: &PublicKey) -> Result<Option<&str>, KeyError> {
    match key.key_data() {
        KeyData::SkEd25519(key) => Ok(Some(key.application())),
        KeyData::SkEcdsaSha2NistP256(key) => Ok(Some(key.application())),
        _ => match key.algorithm() {
            Algorithm::Ed25519
            | Algorithm::Ecdsa {
                curve: EcdsaCurve::NistP256,
            } => Ok(None),
            other => Err(KeyError::Algorithm {
                algorithm: other.to_string(),
            }),
        },
    }
}

/// The flags of a security key's signature, which stand before its counter of four bytes.
fn flags(signature: &SshSig) -> u8 {
    let is_of_security_key = matches!(
        signature.algorithm(),
        Algorithm::SkEd25519 | Algorithm::SkEcdsaSha2NistP256
    );
    let flags = signature.signature_bytes().iter().rev().nth(4).copied();
    flags.filter(|_| is_of_security_key).unwrap_or(0)
}
