//! The append-only tree that keeps only what the next root needs.

use crate::hash::{Hash, empty_root, node_hash};
use crate::node::NodeId;
use crate::verify::TreeHead;

/// The most leaves a tree takes: 2^63 - 1, so that sizes also fit signed 64-bit readers
/// (C2SP tlog-tiles and tlog-checkpoint are read by Go programs that use `int64`).
pub const MAX_SIZE: u64 = u64::MAX >> 1;

/// An append-only Merkle tree of `n` leaves in at most 63 hashes: the roots ("peaks") of the
/// perfect subtrees that the binary digits of `n` name, the largest first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CompactTree {
    size: u64,
    peaks: Vec<Hash>,
}

impl CompactTree {
    /// The tree of no leaves.
    pub fn new() -> Self {
        Self::default()
    }

    /// Restores a tree from what [`CompactTree::size`] and [`CompactTree::peaks`] gave.
    ///
    /// The peaks are taken at their word: compare [`CompactTree::root`] with a root that is known.
    ///
    /// # Errors
    /// [`PeaksError`] when `size` is above [`MAX_SIZE`] or asks for another number of peaks.
    pub fn from_peaks(size: u64, peaks: Vec<Hash>) -> Result<Self, PeaksError> {
        let wanted = size.count_ones();
        if size > MAX_SIZE || usize::try_from(wanted) != Ok(peaks.len()) {
            return Err(PeaksError {
                size,
                wanted,
                found: peaks.len(),
            });
        }
        Ok(Self { size, peaks })
    }

    /// How many leaves there are.
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// The roots of the perfect subtrees, the largest (leftmost) first; one for each binary one in the size.
    pub fn peaks(&self) -> &[Hash] {
        &self.peaks
    }

    /// The root over all leaves. Source: RFC 6962 §2.1.
    pub fn root(&self) -> Hash {
        fold_right(&self.peaks).unwrap_or_else(empty_root)
    }

    /// Size and root together.
    pub fn head(&self) -> TreeHead {
        TreeHead {
            size: self.size,
            root: self.root(),
        }
    }

    /// Appends a leaf by its hash and returns its index.
    ///
    /// # Errors
    /// [`TreeFull`] at [`MAX_SIZE`] leaves; the tree is then as it was.
    pub fn append(&mut self, leaf: Hash) -> Result<u64, TreeFull> {
        self.append_with(leaf, |_, _| ())
    }

    /// As [`CompactTree::append`], and shows each node that this leaf completes: the leaf itself
    /// (level 0), then every perfect subtree it closes, upwards. A store of tiles listens here.
    ///
    /// # Errors
    /// [`TreeFull`] at [`MAX_SIZE`] leaves; nothing was shown then.
    pub fn append_with(
        &mut self,
        leaf: Hash,
        mut completed: impl FnMut(NodeId, Hash),
    ) -> Result<u64, TreeFull> {
        if self.size >= MAX_SIZE {
            return Err(TreeFull);
        }
        let index = self.size;
        let mut id = NodeId { level: 0, index };
        let mut node = leaf;
        completed(id, node);
        // Each trailing binary one of the size is a subtree that waits for a right sibling.
        for _ in 0..index.trailing_ones() {
            let Some(left) = self.peaks.pop() else { break };
            node = node_hash(&left, &node);
            id = id.parent();
            completed(id, node);
        }
        self.peaks.push(node);
        self.size = index.saturating_add(1);
        Ok(index)
    }
}

/// Hashes subtrees together from the right, as RFC 6962 §2.1 splits an uneven tree;
/// nothing for no subtrees.
pub(crate) fn fold_right(subtrees: &[Hash]) -> Option<Hash> {
    let (last, rest) = subtrees.split_last()?;
    Some(
        rest.iter()
            .rfold(*last, |right, left| node_hash(left, &right)),
    )
}

/// A tree is restored with the wrong number of peaks, or is too large.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "a tree of {size} leaves needs {wanted} peaks and at most 2^63 - 1 leaves; found {found} peaks"
)]
pub struct PeaksError {
    /// The claimed number of leaves.
    pub size: u64,
    /// How many peaks that size has.
    pub wanted: u32,
    /// How many were given.
    pub found: usize,
}

/// The tree has [`MAX_SIZE`] leaves and takes no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the tree is full")]
pub struct TreeFull;
