//! Names of stored hashes, and who can look them up.

use crate::compact::{CompactTree, TreeFull};
use crate::hash::Hash;
use crate::verify::TreeHead;

/// Names the root of a perfect subtree: the one over the leaves
/// `index * 2^level .. (index + 1) * 2^level`. Level 0 holds the leaf hashes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId {
    /// Height above the leaves, at most 63.
    pub level: u8,
    /// Position in the level, from the left.
    pub index: u64,
}

impl NodeId {
    /// The node above this one.
    pub const fn parent(self) -> Self {
        Self {
            level: self.level.saturating_add(1),
            index: self.index >> 1,
        }
    }
}

/// Where proofs find the hashes of perfect subtrees: RAM, tiles on disk, tiles over a network.
///
/// All hashes of a proof are asked for at once, so that a source reads each tile once.
pub trait NodeSource {
    /// Why a source could not answer.
    type Error;

    /// The hashes of `ids`, in that order and in that number.
    ///
    /// Only nodes of subtrees that are complete at the size being proved are asked for.
    ///
    /// # Errors
    /// The source's own, when it lacks or cannot read a node.
    fn read_nodes(&self, ids: &[NodeId]) -> Result<Vec<Hash>, Self::Error>;
}

/// A tree that keeps every node in RAM, about 64 bytes a leaf.
#[derive(Debug, Clone, Default)]
pub struct MemoryTree {
    tree: CompactTree,
    levels: Vec<Vec<Hash>>,
}

impl MemoryTree {
    /// The tree of no leaves.
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends a leaf by its hash and returns its index.
    ///
    /// # Errors
    /// [`TreeFull`] at [`crate::MAX_SIZE`] leaves.
    pub fn append(&mut self, leaf: Hash) -> Result<u64, TreeFull> {
        let levels = &mut self.levels;
        // Nodes are completed in order within a level, and level by level from the bottom.
        self.tree.append_with(leaf, |id, hash| {
            match levels.get_mut(usize::from(id.level)) {
                Some(level) => level.push(hash),
                None => levels.push(vec![hash]),
            }
        })
    }

    /// Size and root.
    pub fn head(&self) -> TreeHead {
        self.tree.head()
    }

    fn node(&self, id: NodeId) -> Option<Hash> {
        let index = usize::try_from(id.index).ok()?;
        self.levels.get(usize::from(id.level))?.get(index).copied()
    }
}

impl NodeSource for MemoryTree {
    type Error = MissingNode;

    fn read_nodes(&self, ids: &[NodeId]) -> Result<Vec<Hash>, MissingNode> {
        ids.iter()
            .map(|id| self.node(*id).ok_or(MissingNode { id: *id }))
            .collect()
    }
}

/// A [`MemoryTree`] is too small to hold the node asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the tree has no node {index} at level {level}", index = id.index, level = id.level)]
pub struct MissingNode {
    /// The node asked for.
    pub id: NodeId,
}
