//! Tiles that are believed because a tree's root depends on them.
//!
//! As in Go's `sumdb/tlog` (TileHashReader): the partial tiles at the right edge give the root; a full
//! tile gives one hash of the tile above it. What a tile is asked for was never known before, so
//! every tile is checked up to the root of a checkpoint, and each only once.

use std::collections::{BTreeMap, BTreeSet};

use super::{Tile, TileId, WrongLength};
use crate::compact::fold_right;
use crate::hash::{Hash, empty_root};
use crate::node::{NodeId, NodeSource};
use crate::proof::root_nodes;
use crate::verify::TreeHead;

/// Which tiles to fetch for some nodes of a tree, so that each can be checked: those asked for, and
/// those between them and the root.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub struct TilePlan {
    head: TreeHead,
    /// Those at the right edge, then every other one after the one above it.
    tiles: Vec<TileId>,
}

impl TilePlan {
    /// Plans for `nodes` in the tree of `head`. The nodes of a proof are
    /// [`crate::inclusion_nodes`], [`crate::consistency_nodes`] and [`crate::root_nodes`].
    ///
    /// # Errors
    /// [`OutsideTree`] when the tree has not the whole of a node.
    pub fn new(head: TreeHead, nodes: &[NodeId]) -> Result<Self, OutsideTree> {
        let mut plan = Self {
            head,
            tiles: Vec::new(),
        };
        let mut planned = BTreeSet::new();
        for node in root_nodes(head.size) {
            let tile = plan.tile_of(node)?;
            if planned.insert(tile) {
                plan.tiles.push(tile);
            }
        }
        for node in nodes {
            let mut missing = Vec::new();
            let mut tile = plan.tile_of(*node)?;
            while planned.insert(tile) {
                missing.push(tile);
                // The partial ones are planned; a full one has a parent.
                (_, tile) = tile.parent(head.size).ok_or(OutsideTree { node: *node })?;
            }
            plan.tiles.extend(missing.iter().rev());
        }
        Ok(plan)
    }

    fn tile_of(&self, node: NodeId) -> Result<TileId, OutsideTree> {
        TileId::holding(node, self.head.size).ok_or(OutsideTree { node })
    }

    /// The tiles to fetch, each once.
    pub fn tiles(&self) -> &[TileId] {
        &self.tiles
    }

    /// Checks what was fetched, `files` in the order of [`TilePlan::tiles`], against the tree's root.
    ///
    /// # Errors
    /// [`NotAuthenticated`], in which case no tile is to be believed.
    pub fn authenticate<B: AsRef<[u8]>>(
        self,
        files: &[B],
    ) -> Result<AuthenticTiles, NotAuthenticated> {
        if files.len() != self.tiles.len() {
            return Err(NotAuthenticated::Miscounted {
                asked: self.tiles.len(),
                answered: files.len(),
            });
        }
        let mut tiles = AuthenticTiles::default();
        for (id, file) in self.tiles.iter().zip(files) {
            let tile = Tile::decode(*id, file.as_ref())
                .map_err(|source| NotAuthenticated::Length { source })?;
            tiles.0.insert((id.level, id.index), tile);
        }
        let peaks = tiles
            .read_nodes(&root_nodes(self.head.size))
            .map_err(|_| NotAuthenticated::WrongRoot)?;
        if fold_right(&peaks).unwrap_or_else(empty_root) != self.head.root {
            return Err(NotAuthenticated::WrongRoot);
        }
        for id in self.tiles.iter().filter(|id| id.is_full()) {
            let believed = id
                .parent(self.head.size)
                .and_then(|(node, _)| tiles.node(node));
            let found = tiles.0.get(&(id.level, id.index)).and_then(Tile::root);
            if believed.is_none() || found != believed {
                return Err(NotAuthenticated::WrongTile { id: *id });
            }
        }
        Ok(tiles)
    }
}

/// Tiles that were checked against the root of a tree: made only by [`TilePlan::authenticate`].
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[must_use]
pub struct AuthenticTiles(BTreeMap<(u8, u64), Tile>);

impl AuthenticTiles {
    /// The tiles, which may now be kept.
    pub fn tiles(&self) -> impl Iterator<Item = &Tile> {
        self.0.values()
    }

    fn node(&self, node: NodeId) -> Option<Hash> {
        let place = super::Place::of(node)?;
        self.0.get(&(place.level, place.tile))?.node(node)
    }
}

impl NodeSource for AuthenticTiles {
    type Error = OutsideTree;

    /// Gives the nodes that were planned for, and any others that lie in the same tiles.
    fn read_nodes(&self, ids: &[NodeId]) -> Result<Vec<Hash>, OutsideTree> {
        ids.iter()
            .map(|id| self.node(*id).ok_or(OutsideTree { node: *id }))
            .collect()
    }
}

/// A node is not in the tree, or in no tile that was planned for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("node {index} at level {level} is in none of the tree's tiles here", index = node.index, level = node.level)]
pub struct OutsideTree {
    /// The node.
    pub node: NodeId,
}

/// Why fetched tiles are not the tree's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NotAuthenticated {
    /// More or fewer files than tiles.
    #[error("{answered} files came for {asked} tiles")]
    Miscounted {
        /// How many tiles were asked for.
        asked: usize,
        /// How many files came.
        answered: usize,
    },
    /// A file has another length than its tile.
    #[error("a tile has the wrong length")]
    Length {
        /// Which.
        source: WrongLength,
    },
    /// The partial tiles give another root: at least one of them is wrong, or the tree is another.
    #[error("the tiles at the right edge give another root")]
    WrongRoot,
    /// A full tile is not the one that the tile above it knows.
    #[error("{path} is not the tile of this tree", path = super::Resource::Tile(*id))]
    WrongTile {
        /// Which.
        id: TileId,
    },
}
