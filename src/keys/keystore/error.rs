//! Why a keystore, or a key of it, is not used.

use std::io;

use thiserror::Error;
use tx::Name;

use crate::{
    key::{KeyId, PublicKeyError},
    protocol::{Failure, Text},
};

/// Why a keystore did not do what was asked. None of it names anything secret.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum KeystoreError {
    /// The folder is not as it must be.
    #[error("the keystore's folder {fault}")]
    Folder {
        /// How not.
        fault: Fault,
    },
    /// A file of it is not as it must be.
    #[error("{file} {fault}")]
    File {
        /// The file's name.
        file: String,
        /// How not.
        fault: Fault,
    },
    /// The passphrase does not open the keystore.
    #[error("the passphrase does not open the keystore")]
    Passphrase,
    /// Memory for a secret cannot be locked.
    #[error("memory cannot be locked: raise RLIMIT_MEMLOCK (LimitMEMLOCK=), a page a key")]
    Memory(#[source] io::Error),
    /// There is no file for the key.
    #[error("there is no such key in the keystore")]
    KeyUnknown,
    /// There is a file for the key already.
    #[error("the key exists already")]
    KeyExists,
    /// Another key of the keystore has the same secret.
    #[error("the keystore has the same secret under the name {other}")]
    SameSecret {
        /// That key.
        other: KeyId,
    },
    /// More keys than a keystore may hold.
    #[error("the keystore holds as many keys as it may")]
    Full,
    /// A key of another algorithm than what is to be signed.
    #[error("the key is of another algorithm")]
    Algorithm,
    /// The disk is full, or the file could not be written.
    #[error("the file could not be written")]
    Write(#[source] io::Error),
    /// A file could not be written through to the disk.
    #[error("the file could not be written through to the disk")]
    Sync(#[source] io::Error),
    /// The operating system gives no random bytes.
    #[error("no random bytes can be had: {0}")]
    Random(getrandom::Error),
    /// A new key did not sign its test message.
    #[error("the new key's test signature is wrong")]
    SelfTest,
    /// A key cannot be derived with the parameters, for want of memory.
    #[error("no key can be derived from the passphrase")]
    Derivation,
    /// A seed has no key there: one path in 2^127.
    #[error("the seed has no key at this path: take the next one")]
    NoKey,
}

/// What is wrong with a folder or a file, as the end of a sentence.
#[derive(Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Fault {
    /// It cannot be opened or read.
    #[error("cannot be read: {0}")]
    Unreadable(io::ErrorKind),
    /// A symbolic link, a folder, a device, a pipe.
    #[error("is not a {wanted} itself but a link or something else")]
    Kind {
        /// What it must be.
        wanted: &'static str,
    },
    /// It is another user's.
    #[error("belongs to user {found}, not to user {wanted}, who would use it")]
    Owner {
        /// Whose it is.
        found: u32,
        /// Whose it must be.
        wanted: u32,
    },
    /// Others may read or write it.
    #[error("has mode {found:04o}: {wanted}")]
    Mode {
        /// Its permission bits.
        found: u32,
        /// Which it may have.
        wanted: &'static str,
    },
    /// There is no `keystore.json` in a folder.
    #[error("has no keystore.json: `strongroom keys init --keystore FOLDER` makes a keystore")]
    NoKeystore,
    /// There is something in a folder that is to become a keystore.
    #[error("is not empty")]
    NotEmpty,
    /// It is longer than any.
    #[error("is longer than {max} bytes")]
    TooLong {
        /// The most, in bytes.
        max: u64,
    },
    /// It is no JSON of the known shape.
    #[error("is not of the known shape: {reason}")]
    Shape {
        /// What the parser says, with line and column.
        reason: String,
    },
    /// A format or version that is not known here.
    #[error("is of format {found}, which is not known here")]
    Version {
        /// The format and version.
        found: String,
    },
    /// Parameters of a key derivation that are out of bounds.
    #[error("asks for a key derivation that is not done here: {reason}")]
    Parameters {
        /// Which.
        reason: &'static str,
    },
    /// A cipher that is not known here.
    #[error("is enciphered with {found}, which is not known here")]
    Cipher {
        /// Which.
        found: String,
    },
    /// It was written for another keystore.
    #[error("was written for another keystore: `strongroom keys import` takes it over")]
    OtherKeystore,
    /// It names another key than its own name does.
    #[error("is the file of {found} by what it says")]
    Name {
        /// The key that it names.
        found: KeyId,
    },
    /// It names another seed than its own name does.
    #[error("is the file of the seed {found} by what it says")]
    SeedName {
        /// The seed that it names.
        found: Name,
    },
    /// There is one of this name.
    #[error("exists already")]
    Exists,
    /// There is none of this name.
    #[error("is not there: the keystore has no such seed")]
    NoSeed,
    /// What must not change was changed.
    #[error("was changed since it was written, or is of another passphrase")]
    Seal,
    /// The secret is none, or its public key or address is another.
    #[error("has a secret that its public key or address does not belong to")]
    PublicKey,
    /// The fingerprint is another seed's.
    #[error("has a seed that its fingerprint does not belong to")]
    Fingerprint,
}

impl KeystoreError {
    /// The fault of one file.
    pub(super) fn file(file: &str) -> impl Fn(Fault) -> Self + '_ {
        |fault| Self::File {
            file: file.to_owned(),
            fault,
        }
    }

    /// As the server is told, where the keystore as a whole is at fault.
    pub(crate) fn of_keystore(&self) -> Failure {
        match self {
            Self::File { .. } => Failure::KeystoreUnusable {
                reason: Text::cut(&self.to_string()),
            },
            _ => self.failure(),
        }
    }

    /// As the server is told.
    pub(crate) fn failure(&self) -> Failure {
        match self {
            Self::Folder { .. } => Failure::KeystoreUnusable {
                reason: Text::cut(&self.to_string()),
            },
            Self::File { .. } | Self::SameSecret { .. } => Failure::KeyFileRefused {
                reason: Text::cut(&self.to_string()),
            },
            Self::Passphrase => Failure::PinRejected,
            Self::Memory(_) => Failure::MemoryUnlocked,
            Self::KeyUnknown => Failure::KeyUnknown,
            Self::KeyExists => Failure::KeyExists,
            Self::Algorithm => Failure::AlgorithmMismatch,
            Self::Full => Failure::TokenFull,
            Self::Write(error) if is_full(error) => Failure::TokenFull,
            Self::Sync(_) => Failure::SyncFailed,
            Self::SelfTest => Failure::SelfTestFailed,
            Self::Write(error) => Failure::Device {
                function: Text::cut("writing a key's file"),
                code: Text::cut(&error.kind().to_string()),
            },
            Self::Random(_) | Self::Derivation | Self::NoKey => Failure::Device {
                function: Text::cut("keystore"),
                code: Text::cut(&self.to_string()),
            },
        }
    }
}

fn is_full(error: &io::Error) -> bool {
    use io::ErrorKind::{QuotaExceeded, StorageFull};
    matches!(error.kind(), StorageFull | QuotaExceeded)
}

impl From<getrandom::Error> for KeystoreError {
    fn from(error: getrandom::Error) -> Self {
        Self::Random(error)
    }
}

impl From<PublicKeyError> for Fault {
    fn from(_: PublicKeyError) -> Self {
        Self::PublicKey
    }
}
