//! Leaf v1: what a Merkle leaf says of an entry. Final for ever: witnesses and auditors hold roots over it.
//!
//! ```text
//! commitment = SHA-256("strongroom-entry-v1" || salt[32] || body)
//! leaf       = 0x01 || commitment                        33 bytes
//! leaf hash  = SHA-256(0x00 || leaf)                     RFC 6962 §2.1
//! ```
//!
//! The label and the salt have fixed lengths, so no two (salt, body) pairs hash the same bytes. The
//! salt keeps a body that could be guessed (an amount, a destination) from being confirmed by who
//! holds only the leaves; without body and salt a leaf says that something was recorded, and when.

use std::fmt;

use sha2::{Digest, Sha256};
use tlog::{Hash, leaf_hash};

/// Length of a [`Salt`] in bytes.
pub const SALT_BYTES: usize = 32;

/// Length of a [`Leaf`] in bytes.
pub const LEAF_BYTES: usize = 33;

const LABEL: &[u8; 19] = b"strongroom-entry-v1";
const VERSION: u8 = 0x01;
/// How many salts are drawn at once.
const SEVERAL: usize = 16;

/// The random bytes that hide an entry's body behind its commitment. One for each entry, never reused.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Salt([u8; SALT_BYTES]);

impl Salt {
    /// Takes 32 bytes as they are.
    pub const fn new(bytes: [u8; SALT_BYTES]) -> Self {
        Self(bytes)
    }

    /// Draws a salt from the operating system.
    ///
    /// # Errors
    /// [`NoRandomness`] when the operating system has none.
    pub fn random() -> Result<Self, NoRandomness> {
        random_bytes().map(Self)
    }

    /// Draws some at once, for entries that are about to be written: that takes hardly longer than one.
    ///
    /// # Errors
    /// As [`Salt::random`].
    pub(crate) fn several() -> Result<Vec<Self>, NoRandomness> {
        #[cfg(test)]
        if let Some(salt) = crate::simulation::salt() {
            return Ok(vec![Self(salt)]);
        }
        let mut bytes = [0; SEVERAL * SALT_BYTES];
        fill(&mut bytes)?;
        let (salts, _) = bytes.as_chunks();
        Ok(salts.iter().copied().map(Self).collect())
    }

    /// The 32 bytes.
    pub const fn as_bytes(&self) -> &[u8; SALT_BYTES] {
        &self.0
    }
}

/// A salt is as confidential as its body.
impl fmt::Debug for Salt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Salt(..)")
    }
}

/// A version 1 leaf: the version byte and the salted commitment to one body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Leaf([u8; LEAF_BYTES]);

impl Leaf {
    /// Commits to `body` under `salt`.
    pub fn commit(salt: &Salt, body: &[u8]) -> Self {
        let commitment: [u8; 32] = Sha256::new()
            .chain_update(LABEL)
            .chain_update(salt.0)
            .chain_update(body)
            .finalize()
            .into();
        Self::of(Hash::new(commitment))
    }

    /// The leaf of a commitment that was kept.
    pub fn of(commitment: Hash) -> Self {
        let mut leaf = [VERSION; LEAF_BYTES];
        if let Some(rest) = leaf.last_chunk_mut() {
            *rest = *commitment.as_bytes();
        }
        Self(leaf)
    }

    /// The commitment alone.
    pub fn commitment(&self) -> Hash {
        let commitment = self.0.last_chunk().copied();
        Hash::new(commitment.unwrap_or_default())
    }

    /// The 33 bytes that tiles carry.
    pub const fn as_bytes(&self) -> &[u8; LEAF_BYTES] {
        &self.0
    }

    /// The RFC 6962 hash of the leaf, which the tree is made of.
    pub fn hash(&self) -> Hash {
        leaf_hash(&self.0)
    }
}

/// 32 bytes from the operating system.
pub(super) fn random_bytes() -> Result<[u8; 32], NoRandomness> {
    #[cfg(test)]
    if let Some(salt) = crate::simulation::salt() {
        return Ok(salt);
    }
    let mut bytes = [0; 32];
    fill(&mut bytes)?;
    Ok(bytes)
}

fn fill(bytes: &mut [u8]) -> Result<(), NoRandomness> {
    getrandom::fill(bytes).map_err(|error| NoRandomness {
        reason: error.to_string(),
    })
}

/// The operating system gave no random bytes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no random bytes: {reason}")]
pub struct NoRandomness {
    /// What the operating system said.
    pub reason: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Computed with `sha256sum`, not with this code.
    #[test]
    fn a_known_leaf() {
        let leaf = Leaf::commit(&Salt::new([0x5a; 32]), b"{\"kind\":\"known\"}");
        assert_eq!(hex::encode(leaf.as_bytes()), KNOWN_LEAF);
        assert_eq!(leaf.hash().to_string(), KNOWN_HASH);
    }

    #[test]
    fn salts_differ_and_are_not_shown() {
        let (one, other) = (Salt::random().unwrap(), Salt::random().unwrap());
        assert_ne!(one, other);
        assert_ne!(Leaf::commit(&one, b"body"), Leaf::commit(&other, b"body"));
        assert_eq!(format!("{one:?}"), "Salt(..)");
    }

    #[test]
    fn several_salts_are_as_many_others() {
        let salts = [Salt::several().unwrap(), Salt::several().unwrap()].concat();
        let different: std::collections::BTreeSet<_> =
            salts.iter().map(|salt| *salt.as_bytes()).collect();
        assert_eq!(different.len(), 2 * SEVERAL);
        assert!(!different.contains(&[0; 32]));
    }

    const KNOWN_LEAF: &str = "0129653c363730ff0f655cfca60b491f0557af31fad34a130894d9c25a33f8f893";
    const KNOWN_HASH: &str = "a58e51a8438dc6b94fbdd7a989323a0491a89cc70c2fdb72a754869debe1ec34";
}
