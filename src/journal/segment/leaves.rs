//! The leaves of entries that have no bodies: they are made again from nothing, and have to last.

use std::ops::Range;

use super::error::ReadError;
use super::nodes::damaged;
use super::read::Reader;
use super::tiles::Tile;
use super::tip::{TILE_HASHES, TileId, split};

impl Reader {
    /// Makes the leaves of these entries durable in the file of the tree, as far as they are in full tiles, and
    /// reads them again from there.
    ///
    /// # Errors
    /// [`ReadError::TreeDamaged`] where the file does not have them and they are not made again;
    /// [`ReadError::Disk`].
    pub(crate) fn keep_leaves(&self, range: Range<u64>) -> Result<(), ReadError> {
        if range.is_empty() {
            return Ok(());
        }
        let tip = self.tip();
        let (first, _) = split(range.start);
        let (full, _) = split(tip.tree.size());
        let end = range.end.div_ceil(TILE_HASHES as u64).min(full);
        let tiles = (first..end).map(|number| TileId { level: 0, number });
        for id in tiles.clone() {
            let root = self.root(&tip, id)?;
            if !self.stores(id, root) {
                let _mended = self.made_again(id, |tile| tile.root() == Some(root))?;
            }
        }
        self.shared.tiles.sync().map_err(ReadError::disk)?;
        for id in tiles {
            let root = self.root(&tip, id)?;
            if !self.stores(id, root) {
                return Err(damaged(id));
            }
        }
        Ok(())
    }

    /// Whether the file has the tile with this root.
    fn stores(&self, id: TileId, root: tlog::Hash) -> bool {
        let stored = self.shared.tiles.stored(id);
        stored.is_some_and(|hashes| Tile::of(id.level, hashes).root() == Some(root))
    }
}
