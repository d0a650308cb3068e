//! Reading the tree: what proofs and tiles are made of.

use std::ops::Range;
use std::sync::Arc;

use tlog::tile::TILE_HEIGHT;
use tlog::{Hash, NodeId, NodeSource};

use super::error::ReadError;
use super::read::Reader;
use super::tiles::{Tile, heights, nodes};
use super::tip::{FullTile, TILE_HASHES, TileId, Tip, split};

impl NodeSource for Reader {
    type Error = ReadError;

    /// Those of the tree of all durable entries, each verified against what the entries gave.
    ///
    /// # Errors
    /// [`ReadError::NoNode`] when a subtree is not complete; [`ReadError::TreeDamaged`] when neither the files
    /// of the tree nor the entries give it.
    fn read_nodes(&self, ids: &[NodeId]) -> Result<Vec<Hash>, ReadError> {
        let tip = self.tip();
        ids.iter().map(|id| self.node(&tip, *id)).collect()
    }
}

impl Reader {
    /// The commitments of the entries of `range`, in order: what leaves are made of.
    ///
    /// # Errors
    /// [`ReadError::NoEntry`] when there are fewer, [`ReadError::TreeDamaged`].
    pub fn commitments(&self, range: Range<u64>) -> Result<Vec<Hash>, ReadError> {
        let size = self.size();
        if let Some(index) = range.end.checked_sub(1).filter(|index| *index >= size) {
            return Err(ReadError::NoEntry { index, size });
        }
        self.tile_hashes(0, range)
    }

    /// Those of the hashes that a level of tiles is made from, which are there.
    pub(super) fn tile_hashes(&self, level: u8, range: Range<u64>) -> Result<Vec<Hash>, ReadError> {
        let tip = self.tip();
        let mut hashes = Vec::new();
        let mut index = range.start;
        while index < range.end {
            let (number, from) = split(index);
            let id = TileId { level, number };
            let left = usize::try_from(range.end.saturating_sub(index)).unwrap_or(usize::MAX);
            let wanted = from..from.saturating_add(left).min(TILE_HASHES);
            let taken = wanted.len() as u64;
            match tip.open_tile(id) {
                Some(open) => hashes.extend(open.get(wanted).unwrap_or_default()),
                None => {
                    let tile = self.tile(&tip, id)?;
                    hashes.extend(tile.hashes.get(wanted).unwrap_or_default());
                }
            }
            index = index.saturating_add(taken);
        }
        Ok(hashes)
    }

    fn node(&self, tip: &Tip, id: NodeId) -> Result<Hash, ReadError> {
        let absent = ReadError::NoNode { id };
        let height = id.level % TILE_HEIGHT;
        let level = id.level / TILE_HEIGHT;
        let Some(first) = first_hash(tip, id) else {
            return Err(absent);
        };
        let (number, from) = split(first);
        let tile = TileId { level, number };
        let found = match tip.open_tile(tile) {
            Some(open) => {
                let hashes = open.get(from..from.saturating_add(1 << height));
                hashes.and_then(|hashes| heights(nodes(level, hashes)).pop()?.pop())
            }
            None => self
                .tile(tip, tile)?
                .node(usize::from(height), from >> height),
        };
        found.ok_or(absent)
    }

    /// A full tile, verified.
    fn tile(&self, tip: &Tip, id: TileId) -> Result<Arc<Tile>, ReadError> {
        let tiles = &self.shared.tiles;
        if let Some(tile) = tiles.kept(id) {
            return Ok(tile);
        }
        let root = self.root(tip, id)?;
        let holds = |tile: &Tile| tile.root() == Some(root);
        let stored = tiles.stored(id).map(|hashes| Tile::of(id.level, hashes));
        let tile = match stored.filter(holds) {
            Some(tile) => tile,
            None => self.made_again(id, holds)?,
        };
        let tile = Arc::new(tile);
        tiles.keep(id, &tile);
        Ok(tile)
    }

    /// What the root of a full tile must be.
    pub(super) fn root(&self, tip: &Tip, id: TileId) -> Result<Hash, ReadError> {
        let (parent, position) = id.parent();
        let root = match tip.open_tile(parent) {
            Some(open) => open.get(position).copied(),
            None => self.tile(tip, parent)?.hashes.get(position).copied(),
        };
        root.ok_or_else(|| damaged(id))
    }

    /// A full tile from the tiles below it or, where those do not hold either, from the entries.
    pub(super) fn made_again(
        &self,
        id: TileId,
        holds: impl Fn(&Tile) -> bool,
    ) -> Result<Tile, ReadError> {
        let below = id.level.checked_sub(1).and_then(|level| {
            let roots = range(id).map(|number| {
                let hashes = self.shared.tiles.stored(TileId { level, number })?;
                Tile::of(level, hashes).root()
            });
            Some(Tile::of(id.level, roots.collect::<Option<_>>()?))
        });
        let made = match below.filter(&holds) {
            Some(tile) => tile,
            None => Tile::of(id.level, self.read_leaves(id)?),
        };
        if !holds(&made) {
            return Err(damaged(id));
        }
        self.mend(id, &made);
        Ok(made)
    }

    /// The hashes of a full tile from the entries alone.
    fn read_leaves(&self, id: TileId) -> Result<Vec<Hash>, ReadError> {
        let Some(level) = id.level.checked_sub(1) else {
            let commitment = |index| Ok(self.read_unproved(index)?.leaf().commitment());
            return range(id).map(commitment).collect();
        };
        let root = |number| {
            let below = TileId { level, number };
            let tile = Tile::of(level, self.read_leaves(below)?);
            tile.root().ok_or_else(|| damaged(below))
        };
        range(id).map(root).collect()
    }

    /// Puts what was made again into its file, and says so; that it is not kept there costs only time.
    fn mend(&self, id: TileId, tile: &Tile) {
        let TileId { level, number } = id;
        tracing::warn!(
            level,
            number,
            "a tile of the tree was damaged and is made again"
        );
        let hashes = tile.hashes.clone();
        let written = self
            .shared
            .tiles
            .write(&self.shared.folder, &FullTile { id, hashes });
        if let Err(error) = written {
            tracing::warn!(%error, "the tile cannot be written");
        }
    }
}

/// The first of the hashes that a node is made from, in its level of tiles; none when not all are there.
fn first_hash(tip: &Tip, id: NodeId) -> Option<u64> {
    let height = u32::from(id.level % TILE_HEIGHT);
    let past = id.index.checked_add(1)?.checked_mul(1 << height)?;
    let there = tip.hash_count(id.level / TILE_HEIGHT);
    (id.level < 64 && past <= there).then_some(id.index << height)
}

/// The hashes of a full tile, by their index in its level.
fn range(id: TileId) -> Range<u64> {
    let first = id.number.saturating_mul(TILE_HASHES as u64);
    first..first.saturating_add(TILE_HASHES as u64)
}

pub(super) fn damaged(id: TileId) -> ReadError {
    ReadError::TreeDamaged {
        level: id.level,
        number: id.number,
    }
}
