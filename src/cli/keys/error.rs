//! Why a token did not do what was asked.

use std::{io, path::PathBuf};

use ::keys::admin::PathError;
use ::keys::pin::PinError;
use ::keys::profile::ProfileError;
use ::keys::protocol::{Failure, TooLong};

use crate::failure::{Exit, Explained};
use crate::files::FileError;

/// Why a token did not do what was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeysError {
    /// A file.
    #[error(transparent)]
    File(FileError),
    /// The firmware profile.
    #[error("{} is no firmware profile", path.display())]
    Profile {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: ProfileError,
    },
    /// Neither label nor serial number.
    #[error("no token is named")]
    NoToken,
    /// An option is longer than PKCS#11 has room for.
    #[error("{option} is too long")]
    TooLong {
        /// The option.
        option: &'static str,
        /// By how much.
        #[source]
        source: TooLong,
    },
    /// The text is no PIN.
    #[error("{what} cannot be used")]
    Pin {
        /// Whose PIN.
        what: &'static str,
        /// Why not.
        #[source]
        source: PinError,
    },
    /// The file of a key to be taken over is no text.
    #[error("{} is no key's file", path.display())]
    KeyFile {
        /// The file.
        path: PathBuf,
    },
    /// Core dumps cannot be ruled out.
    #[error("core dumps of this process cannot be ruled out")]
    Process(#[source] io::Error),
    /// The passphrase is not that of the file that is taken over.
    #[error("the passphrase does not open {}", path.display())]
    FilePassphrase {
        /// The file.
        path: PathBuf,
    },
    /// The words are no recovery phrase.
    #[error("the recovery phrase is none of English words (BIP-39): {0}")]
    Phrase(bip39::Error),
    /// The phrase's passphrase has other characters than ASCII, which tools write in several ways.
    #[error("the phrase's passphrase has characters that are not ASCII")]
    PhrasePassphrase,
    /// There is no key of the path.
    #[error("there is no key there")]
    Path(#[source] PathError),
    /// The token or its module.
    #[error("the token did not do it")]
    Device(#[source] Failure),
}

impl Explained for KeysError {
    fn kind(&self) -> &'static str {
        match self {
            Self::File(error) => error.kind(),
            Self::Profile { .. } => "keys-profile",
            Self::TooLong { .. } | Self::NoToken => "keys-option",
            Self::KeyFile { .. } => "key-file-refused",
            Self::Pin { .. } => "keys-pin",
            Self::Process(_) => "process",
            Self::FilePassphrase { .. } => "file-passphrase",
            Self::Phrase(_) | Self::PhrasePassphrase => "recovery-phrase",
            Self::Path(_) => "derivation-path",
            Self::Device(failure) => kind(failure),
        }
    }

    fn exit(&self) -> Exit {
        match self {
            Self::File(error) => error.exit(),
            Self::Device(failure) => match failure {
                Failure::ModuleUnusable { .. }
                | Failure::TokenUnknown
                | Failure::KeystoreUnusable { .. }
                | Failure::MemoryUnlocked
                | Failure::TokenAmbiguous => Exit::Usage,
                Failure::DeviceGone | Failure::SessionLost => Exit::Unreachable,
                _ => Exit::Refused,
            },
            Self::FilePassphrase { .. } => Exit::Refused,
            _ => Exit::Usage,
        }
    }

    fn next(&self) -> String {
        match self {
            Self::File(error) => error.next(),
            Self::Profile { .. } => {
                "firmware-profiles/ has one for each model; its README explains them.".into()
            }
            Self::NoToken => "Name it with --token LABEL or --serial SERIAL; a new one gets a label.".into(),
            Self::TooLong { .. } => "A label has at most 32 bytes, a serial number 16.".into(),
            Self::KeyFile { .. } => {
                "Give a Web3 Secret Storage file of version 3, which is JSON.".into()
            }
            Self::Pin {
                source: PinError::NoTerminal | PinError::Terminal(_),
                ..
            } => "Give a file of mode 0600 with --pin-file (and --so-pin-file).".into(),
            Self::Pin { .. } => {
                "Nothing was done with it. It stands on one line of a file of mode 0600, or is typed."
                    .into()
            }
            Self::Process(_) => "Nothing was read. Look for what keeps a process from lowering its own limits.".into(),
            Self::FilePassphrase { .. } => {
                "Nothing was changed. It is the passphrase that the file was written with, not the keystore's.".into()
            }
            Self::Phrase(_) => "Nothing was changed. Check the order and the spelling of the words; the last one is a check of the others.".into(),
            Self::PhrasePassphrase => {
                "Nothing was changed. Derive the keys with the tool that made the phrase, and import them.".into()
            }
            Self::Path(_) => {
                "Nothing was changed. Wallets say which paths they use; docs/keystore.md has the usual ones."
                    .into()
            }
            Self::Device(failure) => next(failure).into(),
        }
    }
}

fn kind(failure: &Failure) -> &'static str {
    match failure {
        Failure::PinRejected => "pin-rejected",
        Failure::PinLocked => "pin-locked",
        Failure::PinExpired => "pin-expired",
        Failure::ModuleUnusable { .. } => "module-unusable",
        Failure::TokenUnknown => "token-unknown",
        Failure::TokenAmbiguous => "token-ambiguous",
        Failure::TokenRefused { .. } => "token-refused",
        Failure::TokenFull => "token-full",
        Failure::KeyExists => "key-exists",
        Failure::KeyRefused { .. } => "key-refused",
        Failure::KeystoreUnusable { .. } => "keystore-unusable",
        Failure::KeyFileRefused { .. } => "key-file-refused",
        Failure::MemoryUnlocked => "memory-unlocked",
        Failure::Unsupported => "keys-unsupported",
        Failure::DeviceGone | Failure::SessionLost => "device-gone",
        _ => "device",
    }
}

fn next(failure: &Failure) -> &'static str {
    match failure {
        Failure::PinRejected => {
            "Do not try again before you know the PIN: a few wrong ones lock the token for good."
        }
        Failure::PinLocked => "The security officer can set a new PIN with the device's own tools.",
        Failure::PinExpired => "Set a new PIN with the device's own tools.",
        Failure::ModuleUnusable { .. } => {
            "Check --module, and the environment that the module reads, such as SOFTHSM2_CONF."
        }
        Failure::TokenUnknown => {
            "Check --token and the environment that the module reads, such as SOFTHSM2_CONF; for `keys init` there must be a token that is not initialised."
        }
        Failure::TokenAmbiguous => {
            "Name the serial number with --serial beside --token, or choose another label for a new token."
        }
        Failure::TokenRefused { .. } => {
            "Nothing was sent to it. Use the firmware profile of this model, or another device."
        }
        Failure::TokenFull => {
            "Nothing is left of the new key. Make room on the token with the device's own tools."
        }
        Failure::KeyExists => "Nothing was changed. A key is never replaced: choose another name.",
        Failure::KeyRefused { .. } => {
            "Nothing is left of the new key: the device does not hold what it was told. Do not use it."
        }
        Failure::KeystoreUnusable { .. } => {
            "Check --keystore, and whose the folder and its files are: only signerd's user may write there."
        }
        Failure::KeyFileRefused { .. } => {
            "Nothing was changed. `strongroom keys list` has the names; a file that somebody changed is taken from a copy."
        }
        Failure::MemoryUnlocked => {
            "Raise the limit of locked memory (ulimit -l, LimitMEMLOCK=): a page for each key, and a few more."
        }
        Failure::Unsupported => "The firmware profile names what the device can do.",
        Failure::DeviceGone | Failure::SessionLost => {
            "Check the device and its connection, then try again."
        }
        _ => "See what the device says above; nothing is left of a key that failed.",
    }
}
