//! Keys of logs and witnesses that the tests hold, and trees.

use ed25519_dalek::{Signer, SigningKey};
use strongroom_tlog::checkpoint::{Checkpoint, Origin, SignedCheckpoint};
use strongroom_tlog::cosignature::{Timestamp, WitnessKey};
use strongroom_tlog::note::{SignatureLine, VerifierKey};
use strongroom_tlog::{MemoryTree, TreeHead, leaf_hash};

/// A private key under a name; in production it is in an HSM.
pub struct Key {
    pub name: String,
    pub private: SigningKey,
}

impl Key {
    pub fn new(name: &str, seed: u8) -> Self {
        Self {
            name: name.to_owned(),
            private: SigningKey::from_bytes(&[seed; 32]),
        }
    }

    pub fn public(&self) -> [u8; 32] {
        self.private.verifying_key().to_bytes()
    }

    pub fn verifier(&self) -> VerifierKey {
        VerifierKey::new(self.name.parse().unwrap(), &self.public()).unwrap()
    }

    pub fn witness(&self) -> WitnessKey {
        WitnessKey::new(self.name.parse().unwrap(), &self.public()).unwrap()
    }

    pub fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.private.sign(message).to_bytes()
    }

    pub fn checkpoint(&self, checkpoint: Checkpoint) -> SignedCheckpoint {
        let signature = self.sign(checkpoint.to_string().as_bytes());
        SignedCheckpoint::sign(checkpoint, &self.verifier(), &signature).unwrap()
    }

    /// A cosignature made without asking anybody, as a lying witness makes it.
    pub fn cosign(&self, checkpoint: &Checkpoint, time_secs: u64) -> SignatureLine {
        let message = format!("cosignature/v1\ntime {time_secs}\n{checkpoint}");
        let mut bytes = time_secs.to_be_bytes().to_vec();
        bytes.extend(self.sign(message.as_bytes()));
        let key = self.witness();
        SignatureLine::new(key.name().clone(), key.id(), bytes).unwrap()
    }
}

pub fn origin() -> Origin {
    "log.example/treasury".parse().unwrap()
}

pub fn log() -> Key {
    Key::new("log.example/treasury", 1)
}

pub fn witnesses(number: u8) -> Vec<Key> {
    (0..number)
        .map(|index| Key::new(&format!("witness.example/w{index}"), 100 + index))
        .collect()
}

pub fn time(secs: u64) -> Timestamp {
    Timestamp::new(secs).unwrap()
}

pub fn leaf(index: usize) -> Vec<u8> {
    format!("entry {index}").into_bytes()
}

pub fn grown(leaves: usize) -> MemoryTree {
    let mut tree = MemoryTree::new();
    for index in 0..leaves {
        tree.append(leaf_hash(&leaf(index))).unwrap();
    }
    tree
}

/// The head of a tree when it had `size` leaves.
pub fn head(tree: &MemoryTree, size: u64) -> TreeHead {
    let root = strongroom_tlog::root_at(tree, size).unwrap();
    TreeHead { size, root }
}

pub fn checkpoint(head: TreeHead) -> Checkpoint {
    Checkpoint::new(origin(), head).unwrap()
}
