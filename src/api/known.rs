//! The signer's log as a client knows it: nothing is believed but what the pinned key signed, what is
//! consistent with what was seen before, and what is proved.

use thiserror::Error;
use tlog::{
    Hash, ProofError,
    checkpoint::{CheckpointError, OpenError, Origin, SignedCheckpoint},
    leaf_hash,
    note::{KeyError, VerifierKey},
    verify_consistency, verify_inclusion,
};

use crate::{receipt::ReceiptError, signing::Receipt};

/// A log by its pinned key, and the newest checkpoint of it that was verified.
#[derive(Clone, Debug)]
pub struct KnownLog {
    key: VerifierKey,
    origin: Origin,
    seen: Option<SignedCheckpoint>,
}

/// Why a log's word is not believed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum KnownLogError {
    /// The text is no verifier key.
    #[error("it is no verifier key")]
    Pin(#[source] KeyError),
    /// The receipt is none.
    #[error("the receipt cannot be proved")]
    Receipt(#[source] ReceiptError),
    /// The pinned key's name is no log's.
    #[error("the key's name is no log's")]
    Key(#[source] CheckpointError),
    /// It is no checkpoint of this log, or not signed by its key.
    #[error("it is no checkpoint of this log")]
    Checkpoint(#[source] OpenError),
    /// The log was longer before: it is an older copy.
    #[error("the log has {found} entries in it, and had {seen} before")]
    Shorter {
        /// How many entries it had.
        seen: u64,
        /// How many it is said to have.
        found: u64,
    },
    /// It does not follow from what was seen before: another log, or another history.
    #[error("it does not follow from the checkpoint of {seen} entries that was seen before")]
    Inconsistent {
        /// How many entries were covered before.
        seen: u64,
        /// What is wrong with the proof.
        #[source]
        source: ProofError,
    },
    /// No checkpoint that was verified covers the entry.
    #[error("no checkpoint covers entry {entry}")]
    NotCovered {
        /// The entry.
        entry: u64,
    },
    /// The entry is not proved to be in the log.
    #[error("entry {entry} is not proved")]
    Unproved {
        /// The entry.
        entry: u64,
        /// What is wrong with the proof.
        #[source]
        source: ProofError,
    },
    /// A node of a proof is not 64 hexadecimal digits.
    #[error("a proof has a node that is not 64 hexadecimal digits")]
    Node,
}

impl KnownLog {
    /// A log of which nothing was seen yet. Its name is that of its key.
    ///
    /// # Errors
    /// [`KnownLogError::Key`].
    pub fn new(key: VerifierKey) -> Result<Self, KnownLogError> {
        let origin = key.name().as_str().parse().map_err(KnownLogError::Key)?;
        Ok(Self {
            key,
            origin,
            seen: None,
        })
    }

    /// The log of a pinned verifier key: `<name>+<id>+<base64>` (C2SP signed-note).
    ///
    /// # Errors
    /// [`KnownLogError::Pin`] and [`KnownLogError::Key`].
    pub fn pinned(key: &str) -> Result<Self, KnownLogError> {
        Self::new(key.parse().map_err(KnownLogError::Pin)?)
    }

    /// The newest checkpoint that was verified.
    pub fn seen(&self) -> Option<&SignedCheckpoint> {
        self.seen.as_ref()
    }

    /// How many entries the newest one covers.
    pub fn covered(&self) -> u64 {
        self.seen.as_ref().map_or(0, |seen| seen.head().size)
    }

    /// Reads a checkpoint of this log that its key signed. It is not taken by that.
    ///
    /// # Errors
    /// [`KnownLogError::Checkpoint`].
    pub fn open(&self, note: &str) -> Result<SignedCheckpoint, KnownLogError> {
        let keys = std::slice::from_ref(&self.key);
        SignedCheckpoint::open(note.as_bytes(), &self.origin, keys)
            .map_err(KnownLogError::Checkpoint)
    }

    /// Takes a checkpoint for the newest, with the proof that it follows from the one before; there is
    /// nothing to prove for the first.
    ///
    /// # Errors
    /// [`KnownLogError::Shorter`] and [`KnownLogError::Inconsistent`]: what was seen before is evidence
    /// against the log.
    pub fn take(&mut self, newer: SignedCheckpoint, path: &[String]) -> Result<(), KnownLogError> {
        if let Some(seen) = &self.seen {
            let (old, new) = (seen.head(), newer.head());
            if new.size < old.size {
                return Err(KnownLogError::Shorter {
                    seen: old.size,
                    found: new.size,
                });
            }
            let path = nodes(path)?;
            verify_consistency(old, new, &path).map_err(|source| KnownLogError::Inconsistent {
                seen: old.size,
                source,
            })?;
        }
        self.seen = Some(newer);
        Ok(())
    }

    /// Checks that the newest checkpoint contains the decision of a receipt.
    ///
    /// # Errors
    /// As [`KnownLog::contains`].
    pub fn proves(&self, receipt: &Receipt, path: &[String]) -> Result<(), KnownLogError> {
        let leaf = receipt.leaf().map_err(KnownLogError::Receipt)?;
        self.contains(leaf_hash(&leaf), receipt.entry, path)
    }

    /// Checks that the newest checkpoint contains a leaf as the entry.
    ///
    /// # Errors
    /// [`KnownLogError`]; nothing is proved then.
    pub fn contains(&self, leaf: Hash, entry: u64, path: &[String]) -> Result<(), KnownLogError> {
        let seen = self.seen.as_ref();
        let seen = seen.filter(|seen| seen.head().size > entry);
        let head = seen.ok_or(KnownLogError::NotCovered { entry })?.head();
        verify_inclusion(leaf, entry, head, &nodes(path)?)
            .map_err(|source| KnownLogError::Unproved { entry, source })
    }
}

fn nodes(path: &[String]) -> Result<Vec<Hash>, KnownLogError> {
    let node = |text: &String| {
        let mut bytes = [0; 32];
        let read = hex::decode_to_slice(text, &mut bytes);
        read.map(|()| Hash::new(bytes))
            .map_err(|_| KnownLogError::Node)
    };
    path.iter().map(node).collect()
}

#[cfg(test)]
mod tests {
    use ed25519_dalek::{Signer as _, SigningKey};
    use tlog::{
        MemoryTree, TreeHead, checkpoint::Checkpoint, consistency_proof, inclusion_proof, leaf_hash,
    };

    use super::*;

    const NAME: &str = "strongroom/main/0123456789abcdef";

    struct Log {
        secret: SigningKey,
        tree: MemoryTree,
    }

    impl Log {
        fn of(leaves: u8) -> Self {
            let mut tree = MemoryTree::new();
            for leaf in 0..leaves {
                tree.append(leaf_hash(&[leaf])).unwrap();
            }
            let secret = SigningKey::from_bytes(&[7; 32]);
            Self { secret, tree }
        }

        fn key(&self) -> VerifierKey {
            let public = self.secret.verifying_key();
            VerifierKey::new(NAME.parse().unwrap(), public.as_bytes()).unwrap()
        }

        fn note(&self) -> String {
            self.note_of(NAME, self.tree.head())
        }

        fn note_of(&self, origin: &str, head: TreeHead) -> String {
            let checkpoint = Checkpoint::new(origin.parse().unwrap(), head).unwrap();
            let text = checkpoint.to_string();
            let signature = self.secret.sign(text.as_bytes()).to_bytes();
            let signed = SignedCheckpoint::sign(checkpoint, &self.key(), &signature);
            signed.unwrap().to_string()
        }

        fn consistency(&self, from: u64) -> Vec<String> {
            let path = consistency_proof(&self.tree, from, self.tree.head().size).unwrap();
            path.iter().map(ToString::to_string).collect()
        }

        fn inclusion(&self, entry: u64) -> Vec<String> {
            let path = inclusion_proof(&self.tree, entry, self.tree.head().size).unwrap();
            path.iter().map(ToString::to_string).collect()
        }
    }

    fn known(log: &Log) -> KnownLog {
        let mut known = KnownLog::new(log.key()).unwrap();
        let first = known.open(&log.note()).unwrap();
        known.take(first, &[]).unwrap();
        known
    }

    #[test]
    fn what_is_signed_consistent_and_proved_is_believed() {
        let (young, old) = (Log::of(3), Log::of(11));
        let mut known = known(&young);
        let newer = known.open(&old.note()).unwrap();
        known.take(newer, &old.consistency(3)).unwrap();
        assert_eq!(known.covered(), 11);
        for entry in 0..11u8 {
            let path = old.inclusion(entry.into());
            known
                .contains(leaf_hash(&[entry]), entry.into(), &path)
                .unwrap();
        }
    }

    #[test]
    fn another_logs_or_keys_word_is_not() {
        let log = Log::of(3);
        let known = known(&log);
        let foreign = log.note_of("strongroom/main/other", log.tree.head());
        let mut stranger = Log::of(3);
        stranger.secret = SigningKey::from_bytes(&[8; 32]);
        for note in [&foreign, &stranger.note(), "", "x\n"] {
            let refused = known.open(note);
            assert!(matches!(refused, Err(KnownLogError::Checkpoint(_))));
        }
    }

    #[test]
    fn a_log_that_shrank_or_forked_is_not_taken() {
        let (young, old) = (Log::of(3), Log::of(11));
        let mut known = known(&old);
        let shorter = known.open(&young.note()).unwrap();
        let refused = known.take(shorter, &[]);
        assert!(matches!(
            refused,
            Err(KnownLogError::Shorter { seen: 11, found: 3 })
        ));
        let mut forked = Log::of(10);
        for leaf in [77, 78, 79] {
            forked.tree.append(leaf_hash(&[leaf])).unwrap();
        }
        let fork = known.open(&forked.note()).unwrap();
        let refused = known.take(fork, &forked.consistency(11));
        assert!(matches!(
            refused,
            Err(KnownLogError::Inconsistent { seen: 11, .. })
        ));
        let same_size = forked.note_of(
            NAME,
            TreeHead {
                size: 11,
                root: leaf_hash(b"x"),
            },
        );
        let same_size = known.open(&same_size).unwrap();
        assert!(known.take(same_size, &[]).is_err());
        assert_eq!(known.covered(), 11);
        assert_eq!(known.seen().unwrap().to_string(), old.note());
    }

    #[test]
    fn another_leaf_entry_or_path_proves_nothing() {
        let log = Log::of(11);
        let known = known(&log);
        let path = log.inclusion(4);
        let leaf = leaf_hash(&[4]);
        assert!(known.contains(leaf, 4, &path).is_ok());
        assert!(known.contains(leaf_hash(&[5]), 4, &path).is_err());
        assert!(known.contains(leaf, 5, &path).is_err());
        assert!(known.contains(leaf, 4, &log.inclusion(5)).is_err());
        assert!(known.contains(leaf, 4, &[]).is_err());
        let odd = vec!["zz".to_owned()];
        assert!(matches!(
            known.contains(leaf, 4, &odd),
            Err(KnownLogError::Node)
        ));
        assert!(matches!(
            known.contains(leaf, 11, &path),
            Err(KnownLogError::NotCovered { entry: 11 })
        ));
        let unseen = KnownLog::new(log.key()).unwrap();
        assert!(unseen.contains(leaf, 4, &path).is_err());
    }
}
