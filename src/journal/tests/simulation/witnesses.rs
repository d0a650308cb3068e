//! Witnesses: each cosigns what continues the last checkpoint that it cosigned, by the rules of the
//! protocol's own crate.

use std::sync::LazyLock;

use ed25519_dalek::{Signer as _, SigningKey};
use policy::{KeyAlgorithm, KeyPurpose, KeyRegistration};
use tlog::{
    TreeHead,
    checkpoint::{Origin, SignedCheckpoint},
    consistency_proof,
    cosignature::{Quorum, WitnessKey},
    note::VerifierKey,
    root_at,
    witness::{AddCheckpoint, Decision, Log, decide},
};

use super::fixture::{name, registration};
use crate::{CheckpointOrder, Committed, embedded::EmbeddedReader};

/// How many there are, and how many must have cosigned.
pub const WITNESSES: usize = 3;
const NEEDED: usize = 2;

#[derive(Clone, Debug, Default)]
pub struct Witness {
    /// Of every checkpoint that it cosigned.
    heads: Vec<TreeHead>,
}

/// The key of the log in the device.
fn secret() -> SigningKey {
    SigningKey::from_bytes(&[7; 32])
}

pub fn log_key() -> KeyRegistration {
    KeyRegistration {
        purpose: KeyPurpose::Checkpoint,
        algorithm: KeyAlgorithm::Ed25519,
        ..registration("log-1", &hex::encode(secret().verifying_key().as_bytes()))
    }
}

pub fn log_key_name() -> tx::Name {
    name("log-1")
}

fn verifier(origin: &Origin) -> VerifierKey {
    let name = origin.as_str().parse().unwrap();
    VerifierKey::new(name, secret().verifying_key().as_bytes()).unwrap()
}

/// As the device signs.
pub fn sign(order: Committed<CheckpointOrder>) -> SignedCheckpoint {
    let checkpoint = order.value().checkpoint().clone();
    let signature = secret().sign(checkpoint.to_string().as_bytes()).to_bytes();
    let key = verifier(checkpoint.origin());
    SignedCheckpoint::sign(checkpoint, &key, &signature).unwrap()
}

fn key(witness: usize) -> WitnessKey {
    let name = format!("witness-{witness}").parse().unwrap();
    let secret = SigningKey::from_bytes(&[8 + u8::try_from(witness).unwrap(); 32]);
    WitnessKey::new(name, secret.verifying_key().as_bytes()).unwrap()
}

/// Who must have cosigned.
pub fn quorum() -> &'static Quorum {
    static QUORUM: LazyLock<Quorum> =
        LazyLock::new(|| Quorum::new((0..WITNESSES).map(key).collect(), NEEDED).unwrap());
    &QUORUM
}

impl Witness {
    /// What a log's owner sends it.
    pub fn request(&self, signed: &SignedCheckpoint, reader: &EmbeddedReader) -> AddCheckpoint {
        let old = self.heads.last().map_or(0, |latest| latest.size);
        let size = signed.head().size;
        let proof = match old <= size {
            true => consistency_proof(reader, old, size).unwrap_or_default(),
            false => Vec::new(),
        };
        AddCheckpoint::new(old.min(size), proof, signed).unwrap()
    }

    /// Whether it has cosigned a checkpoint of this log that covers the entry.
    pub fn knows(&self, entry: u64, log: &EmbeddedReader) -> bool {
        let of_log = |head: &TreeHead| root_at(log, head.size).is_ok_and(|root| root == head.root);
        let mut heads = self.heads.iter().rev();
        heads.any(|head| head.size > entry && of_log(head))
    }

    /// Whether it cosigns.
    pub fn take(&mut self, request: AddCheckpoint) -> bool {
        let origin = request.origin().clone();
        let keys = vec![verifier(&origin)];
        match decide(Some(&Log { origin, keys }), self.heads.last(), request) {
            Decision::Cosign(consistent) => {
                self.heads.push(*consistent.signed().head());
                true
            }
            Decision::Refuse(_) => false,
        }
    }
}
