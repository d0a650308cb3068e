//! What a witness does. Source: C2SP tlog-witness (c2sp.org/tlog-witness), add-checkpoint.
//!
//! A witness remembers the latest checkpoint of each log that it cosigned, and cosigns another only
//! when it is proved to continue that one. [`decide`] is the whole of its judgement; who calls it
//! keeps the latest checkpoint and its key, and replaces the one before it uses the other.
//!
//! ```
//! use ed25519_dalek::{Signer, SigningKey};
//! use strongroom_tlog::checkpoint::{Checkpoint, SignedCheckpoint};
//! use strongroom_tlog::cosignature::{Quorum, Timestamp, WitnessKey};
//! use strongroom_tlog::note::VerifierKey;
//! use strongroom_tlog::witness::{AddCheckpoint, Answer, Decision, Log, decide};
//! use strongroom_tlog::{MemoryTree, leaf_hash};
//!
//! // A log signs a checkpoint and asks for it to be cosigned.
//! let (log_key, witness_key) = (SigningKey::from_bytes(&[1; 32]), SigningKey::from_bytes(&[2; 32]));
//! let key = VerifierKey::new("log.example".parse()?, log_key.verifying_key().as_bytes())?;
//! let mut tree = MemoryTree::new();
//! tree.append(leaf_hash(b"entry"))?;
//! let checkpoint = Checkpoint::new("log.example".parse()?, tree.head())?;
//! let signature = log_key.sign(checkpoint.to_string().as_bytes()).to_bytes();
//! let mut signed = SignedCheckpoint::sign(checkpoint, &key, &signature)?;
//! let body = AddCheckpoint::new(0, Vec::new(), &signed)?.to_string();
//!
//! // The witness decides, keeps the checkpoint, cosigns.
//! let log = Log { origin: "log.example".parse()?, keys: vec![key] };
//! let witness = WitnessKey::new("w.example".parse()?, witness_key.verifying_key().as_bytes())?;
//! let request = AddCheckpoint::parse(body.as_bytes())?;
//! let Decision::Cosign(consistent) = decide(Some(&log), None, request) else {
//!     return Err("refused".into());
//! };
//! let now = Timestamp::new(1_700_000_000).ok_or("no time")?;
//! let signature = witness_key.sign(&consistent.message(now)).to_bytes();
//! let answer = Answer::from(&consistent.cosign(&witness, now, &signature)?);
//!
//! // The log believes what it verifies, and counts.
//! let answer = Answer::read(answer.status(), answer.content_type(), answer.body().as_bytes())?;
//! let Answer::Cosigned(lines) = answer else {
//!     return Err("refused".into());
//! };
//! for line in &lines {
//!     signed.add_cosignature(&witness, line)?;
//! }
//! let witnessed = Quorum::majority(vec![witness])?.witnessed(signed)?;
//! assert_eq!(witnessed.cosignatures()[0].time(), now);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod answer;
mod request;

pub use self::answer::{Answer, AnswerError, MAX_ANSWER_BYTES, SIZE_CONTENT_TYPE};
pub use self::request::{AddCheckpoint, MAX_PROOF_LINES, MAX_REQUEST_BYTES, RequestError};

use crate::checkpoint::{Origin, SignedCheckpoint};
use crate::cosignature::{self, Cosignature, Timestamp, WitnessKey};
use crate::hash::empty_root;
use crate::note::{ED25519_BYTES, ForeignSignature, VerifierKey};
use crate::verify::{ProofError, TreeHead, verify_consistency};

/// A log that a witness serves: its origin, and the keys that it signs with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log {
    /// The first line of its checkpoints.
    pub origin: Origin,
    /// The keys that are trusted for it.
    pub keys: Vec<VerifierKey>,
}

/// What a witness does with a request.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub enum Decision {
    /// Keep the checkpoint as the log's latest, then cosign it.
    Cosign(Box<Consistent>),
    /// Refuse.
    Refuse(Refusal),
}

/// Why a witness does not cosign.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The request says that the log shrank (400).
    #[error("the old size is above the checkpoint's")]
    Shrunk,
    /// No trusted key of the log signed, or a signature in a trusted key's name is not its (403).
    #[error("the log did not sign the checkpoint")]
    Unsigned,
    /// The witness does not know the log (404).
    #[error("the log is unknown")]
    UnknownLog,
    /// The request does not start from the latest cosigned checkpoint (409, with the size).
    #[error("the latest checkpoint has {latest_size} leaves")]
    Stale {
        /// The size of the latest one, 0 when there is none.
        latest_size: u64,
    },
    /// A checkpoint of the latest one's size with another root: the log forked (409).
    #[error("the log forked at {size} leaves")]
    Forked {
        /// The size of both.
        size: u64,
    },
    /// The checkpoint is not proved to continue the latest one, or has a root that no tree of its size
    /// has (422).
    #[error("the checkpoint is not proved to continue the latest one")]
    Unproved {
        /// What is wrong with the proof.
        source: ProofError,
    },
}

/// Decides about a request for the log that its origin names, nothing when that is unknown; `latest` is
/// the latest checkpoint that was cosigned for that log.
///
/// `latest` must still be so when the new checkpoint is kept ([`Consistent::old_size`]), or a slow
/// request rolls back a faster one: compare and set, or decide and keep under one lock.
pub fn decide(log: Option<&Log>, latest: Option<&TreeHead>, request: AddCheckpoint) -> Decision {
    match judge(log, latest, request) {
        Ok(consistent) => Decision::Cosign(Box::new(consistent)),
        Err(refusal) => Decision::Refuse(refusal),
    }
}

/// The checks, in the specification's order.
fn judge(
    log: Option<&Log>,
    latest: Option<&TreeHead>,
    request: AddCheckpoint,
) -> Result<Consistent, Refusal> {
    let log = log
        .filter(|log| log.origin == *request.origin())
        .ok_or(Refusal::UnknownLog)?;
    let (old_size, proof, signed) = request.open(log).map_err(|_| Refusal::Unsigned)?;
    if old_size > signed.head().size {
        return Err(Refusal::Shrunk);
    }
    let nothing = TreeHead {
        size: 0,
        root: empty_root(),
    };
    let latest = latest.unwrap_or(&nothing);
    if old_size != latest.size {
        return Err(Refusal::Stale {
            latest_size: latest.size,
        });
    }
    continues(latest, signed.head(), &proof)?;
    Ok(Consistent { old_size, signed })
}

/// Whether `new` is proved to continue `latest`.
fn continues(latest: &TreeHead, new: &TreeHead, proof: &[crate::Hash]) -> Result<(), Refusal> {
    // "A checkpoint of size zero MUST have the root hash of the empty tree" (editor's draft).
    if new.size == 0 && new.root != empty_root() {
        let source = ProofError::WrongRoot;
        return Err(Refusal::Unproved { source });
    }
    verify_consistency(latest, new, proof).map_err(|source| match source {
        ProofError::Forked { size } => Refusal::Forked { size },
        source => Refusal::Unproved { source },
    })
}

/// A signed checkpoint that continues the latest one: made only by [`decide`], and the only way to the
/// bytes that a witness signs.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub struct Consistent {
    old_size: u64,
    signed: SignedCheckpoint,
}

impl Consistent {
    /// The size of the checkpoint that it continues, which must still be the latest one when this one
    /// is kept.
    pub const fn old_size(&self) -> u64 {
        self.old_size
    }

    /// The checkpoint to keep, before anything is signed.
    pub const fn signed(&self) -> &SignedCheckpoint {
        &self.signed
    }

    /// What the witness's key signs.
    pub fn message(&self, time: Timestamp) -> Vec<u8> {
        cosignature::message(self.signed.checkpoint(), time)
    }

    /// Makes the cosignature of what the key's owner answered to [`Consistent::message`].
    ///
    /// # Errors
    /// [`ForeignSignature`] when it is not that key's signature of that message.
    pub fn cosign(
        &self,
        key: &WitnessKey,
        time: Timestamp,
        signature: &[u8; ED25519_BYTES],
    ) -> Result<Cosignature, ForeignSignature> {
        Cosignature::accept(key, self.signed.checkpoint(), time, signature)
    }
}
