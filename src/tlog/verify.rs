//! Checking proofs, by the algorithms of RFC 9162 §2.1.3.2 and §2.1.4.2, which walk the same
//! trees as RFC 6962 without recursion.

use crate::hash::{Hash, empty_root, node_hash};

/// A tree by its size and root: what a checkpoint signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TreeHead {
    /// How many leaves.
    pub size: u64,
    /// The root over them.
    pub root: Hash,
}

/// Checks that `leaf` (a leaf hash, see [`crate::leaf_hash`]) is at `index` in the tree of `head`.
///
/// # Errors
/// [`ProofError`], in which case nothing is proved.
pub fn verify_inclusion(
    leaf: Hash,
    index: u64,
    head: &TreeHead,
    proof: &[Hash],
) -> Result<(), ProofError> {
    let size = head.size;
    if index >= size {
        return Err(ProofError::OutsideTree { index, size });
    }
    let mut path = Path {
        node: index,
        last: size.saturating_sub(1),
    };
    let mut root = leaf;
    for sibling in proof {
        root = match path.climb().ok_or(ProofError::TooLong)? {
            Side::Left => node_hash(sibling, &root),
            Side::Right => node_hash(&root, sibling),
        };
    }
    path.finish()?;
    if root != head.root {
        return Err(ProofError::WrongRoot);
    }
    Ok(())
}

/// Checks that the tree of `new` begins with all the leaves of `old`.
///
/// # Errors
/// [`ProofError`], in which case nothing is proved. That heads of one size differ is
/// [`ProofError::Forked`]: with two signatures it is evidence of a fork.
pub fn verify_consistency(
    old: &TreeHead,
    new: &TreeHead,
    proof: &[Hash],
) -> Result<(), ProofError> {
    let (old_size, new_size) = (old.size, new.size);
    if old_size > new_size {
        return Err(ProofError::Shrunk { old_size, new_size });
    }
    if old_size == 0 && old.root != empty_root() {
        return Err(ProofError::WrongOldRoot);
    }
    if old_size == new_size && old.root != new.root {
        return Err(ProofError::Forked { size: old_size });
    }
    if old_size == 0 || old_size == new_size {
        return proof.is_empty().then_some(()).ok_or(ProofError::TooLong);
    }
    verify_growth(old, new, proof)
}

/// [`verify_consistency`] for `0 < old.size < new.size`.
fn verify_growth(old: &TreeHead, new: &TreeHead, proof: &[Hash]) -> Result<(), ProofError> {
    let mut path = Path {
        node: old.size.saturating_sub(1),
        last: new.size.saturating_sub(1),
    };
    path.skip(path.node.trailing_ones());
    // An old tree that is perfect is itself the first node, and so is not sent.
    let (start, rest) = if old.size.is_power_of_two() {
        (&old.root, proof)
    } else {
        proof.split_first().ok_or(ProofError::TooShort)?
    };
    let (mut old_root, mut new_root) = (*start, *start);
    for sibling in rest {
        match path.climb().ok_or(ProofError::TooLong)? {
            Side::Left => {
                old_root = node_hash(sibling, &old_root);
                new_root = node_hash(sibling, &new_root);
            }
            Side::Right => new_root = node_hash(&new_root, sibling),
        }
    }
    path.finish()?;
    if old_root != old.root {
        return Err(ProofError::WrongOldRoot);
    }
    if new_root != new.root {
        return Err(ProofError::WrongRoot);
    }
    Ok(())
}

/// Where a proof's next sibling stands.
enum Side {
    Left,
    Right,
}

/// The way from a node to the root; `fn` and `sn` of RFC 9162.
struct Path {
    /// The node, counted in its level.
    node: u64,
    /// The last node of that level.
    last: u64,
}

impl Path {
    /// Says on which side the next sibling stands and goes up past it; nothing at the root.
    fn climb(&mut self) -> Option<Side> {
        if self.last == 0 {
            return None;
        }
        let odd = self.node & 1 == 1;
        let side = if odd || self.node == self.last {
            Side::Left
        } else {
            Side::Right
        };
        // A last node without a right sibling rises until it is one.
        if !odd && self.node == self.last {
            self.skip(self.node.trailing_zeros());
        }
        self.skip(1);
        Some(side)
    }

    fn skip(&mut self, levels: u32) {
        self.node = self.node.checked_shr(levels).unwrap_or(0);
        self.last = self.last.checked_shr(levels).unwrap_or(0);
    }

    fn finish(&self) -> Result<(), ProofError> {
        (self.last == 0).then_some(()).ok_or(ProofError::TooShort)
    }
}

/// Why a proof proves nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProofError {
    /// The leaf would stand beyond the tree's end.
    #[error("no leaf {index} in a tree of {size}")]
    OutsideTree {
        /// The claimed position.
        index: u64,
        /// The size of the tree.
        size: u64,
    },
    /// The newer tree is the smaller one.
    #[error("a tree of {new_size} leaves cannot begin with one of {old_size}")]
    Shrunk {
        /// The size that should come first.
        old_size: u64,
        /// The size that should follow.
        new_size: u64,
    },
    /// Two heads of one size have different roots.
    #[error("two trees of {size} leaves have different roots")]
    Forked {
        /// The size of both.
        size: u64,
    },
    /// The proof has fewer hashes than its tree needs.
    #[error("the proof is too short")]
    TooShort,
    /// The proof has more hashes than its tree needs.
    #[error("the proof is too long")]
    TooLong,
    /// The proof leads to another root.
    #[error("the proof leads to another root")]
    WrongRoot,
    /// The proof leads to another old root.
    #[error("the proof leads to another old root")]
    WrongOldRoot,
}
