//! Proofs over tiles that somebody else serves.

use super::TileId;
use super::plan::{NotAuthenticated, OutsideTree, TilePlan};
use crate::hash::Hash;
use crate::node::{NodeId, NodeSource};
use crate::verify::TreeHead;

/// The nodes of the tree of a checkpoint, from tiles that `fetch` gets from anywhere: each is checked
/// against the checkpoint's root before a hash of it is used. With it [`crate::inclusion_proof`],
/// [`crate::consistency_proof`] and [`crate::root_at`] need only `fetch` to be able to read files.
///
/// `fetch` gets all tiles of a question at once and answers with their files in that order. Who must
/// wait for files, uses [`TilePlan`] itself.
pub struct TileReader<F> {
    head: TreeHead,
    fetch: F,
}

impl<F> TileReader<F> {
    /// Reads the tree of `head`, which the caller believes: a verified checkpoint's.
    pub const fn new(head: TreeHead, fetch: F) -> Self {
        Self { head, fetch }
    }

    /// The tree that is read.
    pub const fn head(&self) -> &TreeHead {
        &self.head
    }
}

impl<F, E> NodeSource for TileReader<F>
where
    F: Fn(&[TileId]) -> Result<Vec<Vec<u8>>, E>,
{
    type Error = TileReadError<E>;

    fn read_nodes(&self, ids: &[NodeId]) -> Result<Vec<Hash>, TileReadError<E>> {
        let outside = |source| TileReadError::OutsideTree { source };
        let plan = TilePlan::new(self.head, ids).map_err(outside)?;
        let files = (self.fetch)(plan.tiles()).map_err(|source| TileReadError::Fetch { source })?;
        let tiles = plan
            .authenticate(&files)
            .map_err(|source| TileReadError::NotAuthenticated { source })?;
        tiles.read_nodes(ids).map_err(outside)
    }
}

/// Why a [`TileReader`] has no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TileReadError<E> {
    /// The caller asked for what the tree does not have.
    #[error("the tree has no such node")]
    OutsideTree {
        /// Which.
        source: OutsideTree,
    },
    /// The tiles could not be fetched.
    #[error("the tiles could not be fetched")]
    Fetch {
        /// The caller's own error.
        source: E,
    },
    /// What was fetched is not of this tree.
    #[error("the tiles are not those of the tree")]
    NotAuthenticated {
        /// What is wrong.
        source: NotAuthenticated,
    },
}
