//! Cosignatures: a witness says that it saw a log grow to a checkpoint, and when. Source: C2SP
//! tlog-cosignature (c2sp.org/tlog-cosignature), Ed25519.
//!
//! ```text
//! cosignature/v1
//! time <seconds since 1970>
//! <the checkpoint's text>
//! ```
//!
//! What a witness signs is had from a decision only ([`crate::witness::Consistent::message`]).

mod quorum;
mod sizes;

pub use self::quorum::{NotWitnessed, Quorum, QuorumError, Tally, Witnessed};
pub use self::sizes::CosignedSizes;

use std::fmt;
use std::str::FromStr;

use crate::checkpoint::{Checkpoint, SignedCheckpoint};
use crate::compact::MAX_SIZE;
use crate::note::{Algorithm, ED25519_BYTES, ForeignSignature, KeyError, KeyId, KeyName, NamedKey};
use crate::note::{NoteError, PUBLIC_KEY_BYTES, SignatureLine};

/// What begins the signed message, so that no other signature is one of these.
const HEADER: &str = "cosignature/v1";

/// Length of a timestamp in bytes.
const TIME_BYTES: usize = 8;

/// When a witness signed, in seconds since 1970: not zero, which stands for no statement about time,
/// and at most 2^63 - 1. Its word alone; what is believed of it is the reader's to decide.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(u64);

impl Timestamp {
    /// A time that can be signed; nothing for zero and for more than 2^63 - 1.
    pub const fn new(time_secs: u64) -> Option<Self> {
        match time_secs {
            1..=MAX_SIZE => Some(Self(time_secs)),
            _ => None,
        }
    }

    /// Seconds since 1970.
    pub const fn secs(self) -> u64 {
        self.0
    }
}

/// A witness's key: signatures of type 0x04. A key of the same bytes for notes has another id.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct WitnessKey(NamedKey);

impl WitnessKey {
    /// Names a public key. The message that is signed does not say the name: a key belongs to one
    /// witness only.
    ///
    /// # Errors
    /// [`KeyError::NotAKey`].
    pub fn new(name: KeyName, public_key: &[u8; PUBLIC_KEY_BYTES]) -> Result<Self, KeyError> {
        NamedKey::new(name, Algorithm::Cosignature, public_key).map(Self)
    }

    /// The name.
    pub const fn name(&self) -> &KeyName {
        self.0.name()
    }

    /// The identifier.
    pub const fn id(&self) -> KeyId {
        self.0.id()
    }

    /// The public key alone.
    pub fn public_key(&self) -> &[u8; PUBLIC_KEY_BYTES] {
        self.0.public_key()
    }

    /// Whether a line says that this witness made it; other lines are to be ignored.
    pub fn is_named_by(&self, line: &SignatureLine) -> bool {
        self.0.is_named_by(line)
    }

    /// Verifies a line as this witness's cosignature of `checkpoint`.
    ///
    /// # Errors
    /// [`CosignatureError`], in which case the witness said nothing.
    pub fn verify(
        &self,
        checkpoint: &Checkpoint,
        line: &SignatureLine,
    ) -> Result<Cosignature, CosignatureError> {
        if !self.is_named_by(line) {
            return Err(CosignatureError::OtherKey);
        }
        let (time, signature) = line
            .signature()
            .split_first_chunk::<TIME_BYTES>()
            .ok_or(CosignatureError::Malformed)?;
        let time = Timestamp::new(u64::from_be_bytes(*time)).ok_or(CosignatureError::Malformed)?;
        if signature.len() != ED25519_BYTES {
            return Err(CosignatureError::Malformed);
        }
        if !self.0.verifies(&message(checkpoint, time), signature) {
            return Err(CosignatureError::BadSignature);
        }
        Ok(Cosignature {
            time,
            line: line.clone(),
        })
    }
}

/// Reads `<name>+<hex id>+<base64 of 0x04 and the key>` (C2SP tlog-cosignature, Format).
impl FromStr for WitnessKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        NamedKey::parse(text, Algorithm::Cosignature).map(Self)
    }
}

impl fmt::Display for WitnessKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What a witness signs.
pub(crate) fn message(checkpoint: &Checkpoint, time: Timestamp) -> Vec<u8> {
    format!("{HEADER}\ntime {}\n{checkpoint}", time.secs()).into_bytes()
}

/// A witness's word on a checkpoint: made only where its signature was verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cosignature {
    time: Timestamp,
    line: SignatureLine,
}

impl Cosignature {
    /// Takes what the key's owner answered when asked to sign [`message`].
    pub(crate) fn accept(
        key: &WitnessKey,
        checkpoint: &Checkpoint,
        time: Timestamp,
        signature: &[u8; ED25519_BYTES],
    ) -> Result<Self, ForeignSignature> {
        let mut bytes = time.secs().to_be_bytes().to_vec();
        bytes.extend(signature);
        SignatureLine::new(key.name().clone(), key.id(), bytes)
            .ok()
            .and_then(|line| key.verify(checkpoint, &line).ok())
            .ok_or_else(|| ForeignSignature {
                name: key.name().clone(),
            })
    }

    /// Whose it is.
    pub const fn witness(&self) -> &KeyName {
        self.line.name()
    }

    /// When it was made, as the witness says.
    pub const fn time(&self) -> Timestamp {
        self.time
    }

    /// The line of a note that it is.
    pub const fn line(&self) -> &SignatureLine {
        &self.line
    }
}

impl SignedCheckpoint {
    /// Adds the cosignature that `line` is, if it is `key`'s of this checkpoint; an earlier one of the
    /// same witness is replaced.
    ///
    /// # Errors
    /// [`CosignError`]; the checkpoint is then as it was.
    pub fn add_cosignature(
        &mut self,
        key: &WitnessKey,
        line: &SignatureLine,
    ) -> Result<Cosignature, CosignError> {
        let cosignature = key
            .verify(self.checkpoint(), line)
            .map_err(|source| CosignError::Cosignature { source })?;
        self.add(line.clone())
            .map_err(|source| CosignError::Note { source })?;
        Ok(cosignature)
    }
}

/// Why a line is not a witness's cosignature of a checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CosignatureError {
    /// The line names another key: it is to be ignored.
    #[error("the line is another key's")]
    OtherKey,
    /// Not a timestamp and an Ed25519 signature, or no valid timestamp.
    #[error("the line is no timestamp with an Ed25519 signature")]
    Malformed,
    /// The signature is not the witness's of this checkpoint at that time.
    #[error("the cosignature does not verify")]
    BadSignature,
}

/// Why a cosignature was not added to a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CosignError {
    /// It is none.
    #[error("the line is no cosignature of the checkpoint")]
    Cosignature {
        /// Why.
        source: CosignatureError,
    },
    /// The note would become too long.
    #[error("the checkpoint takes no more signatures")]
    Note {
        /// Why.
        source: NoteError,
    },
}
