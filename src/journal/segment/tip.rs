//! The newest part of the tree, in RAM: what the tiles in files do not hold yet.

use tlog::tile::{TILE_HEIGHT, TILE_WIDTH};
use tlog::{CompactTree, Hash, NodeId, TreeFull};

use super::leaf::Leaf;
use super::tiles::{heights, nodes};

/// How many hashes a full tile is made from.
pub(super) const TILE_HASHES: usize = TILE_WIDTH as usize;

/// The tree over the first entries and, of each level of tiles, the hashes that no full tile has.
///
/// Level 0 holds commitments, of which the leaf hashes are made; level `n` the roots of the tiles
/// of level `n - 1`. At most 8 KiB a level.
#[derive(Debug, Clone, Default)]
pub(super) struct Tip {
    pub(super) tree: CompactTree,
    open: Vec<Vec<Hash>>,
}

/// Names a tile: its level and its position in the level.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct TileId {
    pub(super) level: u8,
    pub(super) number: u64,
}

impl TileId {
    /// The tile that holds this one's root, and the root's position in it.
    pub(super) fn parent(self) -> (Self, usize) {
        let (number, position) = split(self.number);
        let level = self.level.saturating_add(1);
        (Self { level, number }, position)
    }
}

/// A tile that has become full.
#[derive(Debug)]
pub(super) struct FullTile {
    pub(super) id: TileId,
    pub(super) hashes: Vec<Hash>,
}

impl Tip {
    /// Appends a leaf and gives its hash; tiles that it makes full are added to `full`.
    pub(super) fn append(
        &mut self,
        leaf: &Leaf,
        full: &mut Vec<FullTile>,
    ) -> Result<Hash, TreeFull> {
        let hash = leaf.hash();
        let open = &mut self.open;
        self.tree.append_with(hash, |id, node| match id.level {
            0 => push(open, id, leaf.commitment(), full),
            level if level % TILE_HEIGHT == 0 => push(open, id, node, full),
            _ => {}
        })?;
        Ok(hash)
    }

    /// The hashes of a tile that is not full; nothing when it is another one.
    pub(super) fn open_tile(&self, tile: TileId) -> Option<&[Hash]> {
        let hashes_below = self.hash_count(tile.level);
        let (number, _) = split(hashes_below);
        if number != tile.number {
            return None;
        }
        let open = self.open.get(usize::from(tile.level));
        Some(open.map_or(&[], Vec::as_slice))
    }

    /// How many hashes a level of tiles has.
    pub(super) fn hash_count(&self, level: u8) -> u64 {
        Self::hashes_of(self.tree.size(), level)
    }

    /// How many hashes a level of tiles has in a tree of so many entries.
    pub(super) fn hashes_of(entries: u64, level: u8) -> u64 {
        let height = u32::from(level).saturating_mul(u32::from(TILE_HEIGHT));
        entries.checked_shr(height).unwrap_or(0)
    }

    /// Of a tree, with the hashes that no full tile has; nothing when these do not lead to that tree.
    pub(super) fn restored(tree: CompactTree, mut open: Vec<Vec<Hash>>) -> Option<Self> {
        let mut peaks = Vec::new();
        for (level, hashes) in (0..u8::MAX).zip(&open).rev() {
            let (_, count) = split(Self::hashes_of(tree.size(), level));
            if hashes.len() != count {
                return None;
            }
            let nodes = nodes(level, hashes);
            let mut rest = nodes.as_slice();
            for height in (0..TILE_HEIGHT)
                .rev()
                .filter(|height| count >> height & 1 == 1)
            {
                let (subtree, others) = rest.split_at_checked(1 << height)?;
                peaks.push(heights(subtree.to_vec()).pop()?.pop()?);
                rest = others;
            }
        }
        while open.last().is_some_and(Vec::is_empty) {
            open.pop();
        }
        (peaks == tree.peaks()).then_some(Self { tree, open })
    }
}

/// The tile of a hash of a level, and its position there.
pub(super) fn split(index: u64) -> (u64, usize) {
    // The lowest bits, which fit any integer.
    let position = usize::try_from(index & TILE_HASHES.saturating_sub(1) as u64);
    (index >> TILE_HEIGHT, position.unwrap_or(0))
}

fn push(open: &mut Vec<Vec<Hash>>, id: NodeId, hash: Hash, full: &mut Vec<FullTile>) {
    let level = id.level / TILE_HEIGHT;
    let at = usize::from(level);
    if open.len() <= at {
        open.resize(at.saturating_add(1), Vec::new());
    }
    let Some(tile) = open.get_mut(at) else {
        return;
    };
    tile.push(hash);
    if tile.len() == TILE_HASHES {
        let (number, _) = split(id.index);
        full.push(FullTile {
            id: TileId { level, number },
            hashes: std::mem::take(tile),
        });
    }
}
