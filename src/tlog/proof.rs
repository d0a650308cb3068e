//! Making inclusion and consistency proofs, RFC 6962 §2.1.1 and §2.1.2.
//!
//! A proof is a list of subtree roots. A subtree on the right edge of the tree is not perfect and
//! so is not stored; it is put together from the perfect ones that make it up.

use crate::compact::{MAX_SIZE, fold_right};
use crate::hash::{Hash, empty_root};
use crate::node::{NodeId, NodeSource};

/// The audit path of the leaf at `index` in the tree of the first `size` leaves, lowest node first.
///
/// # Errors
/// [`ProveError`] when there is no such leaf, or when `source` fails.
pub fn inclusion_proof<S: NodeSource + ?Sized>(
    source: &S,
    index: u64,
    size: u64,
) -> Result<Vec<Hash>, ProveError<S::Error>> {
    let siblings = siblings(index, size).ok_or(ProveError::OutsideTree { index, size })?;
    hash_subtrees(source, &siblings)
}

/// Which nodes [`inclusion_proof`] reads, at most two a level: for who must fetch them first.
/// Nothing when there is no such leaf.
pub fn inclusion_nodes(index: u64, size: u64) -> Option<Vec<NodeId>> {
    siblings(index, size).map(|trees| nodes(&trees))
}

/// The subtrees beside the way from a leaf to the root, the lowest first.
fn siblings(index: u64, size: u64) -> Option<Vec<Subtree>> {
    if index >= size || size > MAX_SIZE {
        return None;
    }
    let mut siblings = Vec::new();
    let mut tree = Subtree::whole(size);
    while let Some((left, right)) = tree.split() {
        let (inside, sibling) = if index < right.start {
            (left, right)
        } else {
            (right, left)
        };
        siblings.push(sibling);
        tree = inside;
    }
    siblings.reverse();
    Some(siblings)
}

/// The proof that the tree of the first `new_size` leaves begins with the tree of the first `old_size`,
/// lowest node first. Empty when the sizes are equal and when `old_size` is zero, as everything
/// is consistent with the empty tree (C2SP tlog-witness, RFC 9162 §2.1.4).
///
/// # Errors
/// [`ProveError`] when `old_size` is larger than `new_size`, or when `source` fails.
pub fn consistency_proof<S: NodeSource + ?Sized>(
    source: &S,
    old_size: u64,
    new_size: u64,
) -> Result<Vec<Hash>, ProveError<S::Error>> {
    let parts = parts(old_size, new_size).ok_or(ProveError::Shrunk { old_size, new_size })?;
    hash_subtrees(source, &parts)
}

/// Which nodes [`consistency_proof`] reads, at most two a level: for who must fetch them first.
/// Nothing when the tree would shrink.
pub fn consistency_nodes(old_size: u64, new_size: u64) -> Option<Vec<NodeId>> {
    parts(old_size, new_size).map(|trees| nodes(&trees))
}

/// The subtrees of a consistency proof, the lowest first.
fn parts(old_size: u64, new_size: u64) -> Option<Vec<Subtree>> {
    if old_size > new_size || new_size > MAX_SIZE {
        return None;
    }
    let mut parts = Vec::new();
    if old_size == 0 {
        return Some(parts);
    }
    let mut tree = Subtree::whole(new_size);
    while tree.end != old_size {
        let Some((left, right)) = tree.split() else {
            break;
        };
        let (inside, sibling) = if old_size <= right.start {
            (left, right)
        } else {
            (right, left)
        };
        parts.push(sibling);
        tree = inside;
    }
    // The verifier knows the old root: where it is itself a subtree it is left out.
    if tree.start != 0 {
        parts.push(tree);
    }
    parts.reverse();
    Some(parts)
}

/// The root of the tree of the first `size` leaves (RFC 6962 §2.1), from at most 63 nodes.
///
/// # Errors
/// [`ProveError`] when `source` fails or `size` is above [`MAX_SIZE`].
pub fn root_at<S: NodeSource>(source: &S, size: u64) -> Result<Hash, ProveError<S::Error>> {
    if size == 0 {
        return Ok(empty_root());
    }
    let index = size.saturating_sub(1);
    if size > MAX_SIZE {
        return Err(ProveError::OutsideTree { index, size });
    }
    let mut root = hash_subtrees(source, &[Subtree::whole(size)])?;
    let miscounted = ProveError::Miscounted {
        asked: 1,
        answered: root.len(),
    };
    root.pop().ok_or(miscounted)
}

/// Which nodes [`root_at`] reads: the perfect subtrees that make the tree up, the largest first.
pub fn root_nodes(size: u64) -> Vec<NodeId> {
    Subtree::whole(size).nodes()
}

/// The leaves `start..end` as RFC 6962 splits them: `start` is a multiple of the smallest power of
/// two that is not less than the length.
#[derive(Clone, Copy)]
struct Subtree {
    start: u64,
    end: u64,
}

impl Subtree {
    const fn whole(size: u64) -> Self {
        Self {
            start: 0,
            end: size,
        }
    }

    fn len(self) -> u64 {
        self.end.saturating_sub(self.start)
    }

    /// Splits at the largest power of two below the length; a single leaf does not split.
    fn split(self) -> Option<(Self, Self)> {
        let below = self.len().checked_sub(1)?.checked_ilog2()?;
        let middle = self.start.checked_add(1_u64.checked_shl(below)?)?;
        let left = Self {
            end: middle,
            ..self
        };
        let right = Self {
            start: middle,
            ..self
        };
        Some((left, right))
    }

    /// The perfect subtrees that make this one up, the largest first.
    fn nodes(self) -> Vec<NodeId> {
        let mut nodes = Vec::new();
        let mut start = self.start;
        let mut rest = self.len();
        while let Some(level) = rest.checked_ilog2() {
            let width = 1_u64 << level;
            nodes.push(NodeId {
                // A logarithm of 64 bits is below 64.
                level: u8::try_from(level).unwrap_or(u8::MAX),
                index: start >> level,
            });
            start = start.saturating_add(width);
            rest = rest.saturating_sub(width);
        }
        nodes
    }
}

/// The perfect subtrees that make all of these up.
fn nodes(subtrees: &[Subtree]) -> Vec<NodeId> {
    subtrees.iter().flat_map(|tree| tree.nodes()).collect()
}

/// The root of each subtree, read with one call to the source.
fn hash_subtrees<S: NodeSource + ?Sized>(
    source: &S,
    subtrees: &[Subtree],
) -> Result<Vec<Hash>, ProveError<S::Error>> {
    let parts: Vec<Vec<NodeId>> = subtrees.iter().map(|tree| tree.nodes()).collect();
    let wanted = parts.concat();
    let hashes = source
        .read_nodes(&wanted)
        .map_err(|source| ProveError::Source { source })?;
    let miscounted = ProveError::Miscounted {
        asked: wanted.len(),
        answered: hashes.len(),
    };
    if hashes.len() != wanted.len() {
        return Err(miscounted);
    }
    let mut rest = hashes.as_slice();
    let mut proof = Vec::with_capacity(parts.len());
    for part in &parts {
        let Some((these, others)) = rest.split_at_checked(part.len()) else {
            return Err(miscounted);
        };
        let Some(root) = fold_right(these) else {
            return Err(miscounted);
        };
        proof.push(root);
        rest = others;
    }
    Ok(proof)
}

/// Why a proof could not be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProveError<E> {
    /// The caller asked for a leaf that the tree of that size does not hold.
    #[error("no leaf {index} in a tree of {size}")]
    OutsideTree {
        /// The leaf asked for.
        index: u64,
        /// The size of the tree asked about.
        size: u64,
    },
    /// The caller asked how a tree begins with a larger one.
    #[error("a tree of {new_size} leaves cannot begin with one of {old_size}")]
    Shrunk {
        /// The size that should come first.
        old_size: u64,
        /// The size that should follow.
        new_size: u64,
    },
    /// The source answered with more or fewer hashes than it was asked for.
    #[error("asked the source for {asked} nodes, got {answered}")]
    Miscounted {
        /// How many nodes were asked for.
        asked: usize,
        /// How many came.
        answered: usize,
    },
    /// The source failed.
    #[error("could not read the nodes of the proof")]
    Source {
        /// The source's own error.
        source: E,
    },
}
