//! Tiles: how a log serves its tree as plain files. Source: C2SP tlog-tiles (c2sp.org/tlog-tiles).
//!
//! A tile is a subtree of height 8: 256 hashes of one level, or fewer at the right edge of the tree.
//! Tiles of level 0 hold leaf hashes, those of level `l` the roots of full tiles of level `l - 1`.
//! Beside them stand bundles of 256 entries, which anybody can hash again.

mod entries;
mod growth;
mod path;
mod plan;
mod reader;

pub use self::entries::{BundleError, BundleId, MAX_ENTRY_BYTES, decode_bundle, encode_bundle};
pub use self::growth::{bundles_for, tiles_for};
pub use self::path::{PathError, Resource};
pub use self::plan::{AuthenticTiles, NotAuthenticated, OutsideTree, TilePlan};
pub use self::reader::{TileReadError, TileReader};

use crate::compact::MAX_SIZE;
use crate::hash::{HASH_BYTES, Hash, node_hash};
use crate::node::{NodeId, NodeSource};

/// Height of a tile as a tree.
pub const TILE_HEIGHT: u8 = 8;

/// How many hashes a full tile has, and how many entries a full bundle.
pub const TILE_WIDTH: u16 = 256;

/// The highest level that a tree of [`MAX_SIZE`] leaves has. (The specification's paths go to 63.)
pub const MAX_TILE_LEVEL: u8 = 7;

/// Names a tile: its level, its place in the level, and how many hashes it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TileId {
    level: u8,
    index: u64,
    width: u16,
}

impl TileId {
    /// The tile at `index` of `level` with the first `width` of its hashes.
    ///
    /// # Errors
    /// [`NoSuchTile`] when no tree has such a tile.
    pub fn new(level: u8, index: u64, width: u16) -> Result<Self, NoSuchTile> {
        let end = index
            .checked_mul(u64::from(TILE_WIDTH))
            .and_then(|start| start.checked_add(u64::from(width)));
        let nodes = nodes_of_level(level, MAX_SIZE);
        if !(1..=TILE_WIDTH).contains(&width) || end.is_none_or(|end| end > nodes) {
            return Err(NoSuchTile);
        }
        Ok(Self {
            level,
            index,
            width,
        })
    }

    /// The tile at `index` of `level` as a tree of `size` leaves has it: full, partial, or not at all.
    pub fn in_tree(level: u8, index: u64, size: u64) -> Option<Self> {
        let start = index.checked_mul(u64::from(TILE_WIDTH))?;
        let there = nodes_of_level(level, size).checked_sub(start)?;
        let width = u16::try_from(there).unwrap_or(TILE_WIDTH).min(TILE_WIDTH);
        Self::new(level, index, width).ok()
    }

    /// The tile that holds `node`, or the hashes it is made of, in a tree of `size` leaves; nothing when
    /// that tree does not have the whole of `node`.
    pub fn holding(node: NodeId, size: u64) -> Option<Self> {
        if node.index >= size.checked_shr(u32::from(node.level))? {
            return None;
        }
        let place = Place::of(node)?;
        Self::in_tree(place.level, place.tile, size)
    }

    /// The level, in steps of eight: level 1 is that of nodes of level 8.
    pub const fn level(self) -> u8 {
        self.level
    }

    /// The place in the level, from the left.
    pub const fn index(self) -> u64 {
        self.index
    }

    /// How many hashes it has, 1 to [`TILE_WIDTH`].
    pub const fn width(self) -> u16 {
        self.width
    }

    /// Whether it has all its hashes.
    pub const fn is_full(self) -> bool {
        self.width == TILE_WIDTH
    }

    /// The same tile once it has all its hashes; a log may then drop the partial one.
    ///
    /// # Errors
    /// [`NoSuchTile`] when no tree is large enough.
    pub fn full(self) -> Result<Self, NoSuchTile> {
        Self::new(self.level, self.index, TILE_WIDTH)
    }

    /// How long its file is: 32 bytes a hash.
    pub fn bytes(self) -> usize {
        usize::from(self.width).saturating_mul(HASH_BYTES)
    }

    /// The nodes whose hashes it has, from the left.
    pub fn nodes(self) -> impl Iterator<Item = NodeId> {
        let level = self.level.saturating_mul(TILE_HEIGHT);
        let start = self.index.saturating_mul(u64::from(TILE_WIDTH));
        let end = start.saturating_add(u64::from(self.width));
        (start..end).map(move |index| NodeId { level, index })
    }

    /// The node that a full tile is the subtree of, and the tile above that holds it in a tree of
    /// `size` leaves.
    fn parent(self, size: u64) -> Option<(NodeId, Self)> {
        let root = NodeId {
            level: self.level.saturating_add(1).saturating_mul(TILE_HEIGHT),
            index: self.index,
        };
        Some((root, Self::holding(root, size)?))
    }
}

/// How many nodes a tree of `size` leaves has at the lowest level of tiles of `level`.
fn nodes_of_level(level: u8, size: u64) -> u64 {
    let height = u32::from(level).saturating_mul(u32::from(TILE_HEIGHT));
    size.checked_shr(height).unwrap_or(0)
}

/// Where in the tiles a node is.
struct Place {
    level: u8,
    tile: u64,
    /// The first of the tile's hashes below the node.
    first: usize,
    /// How many of them are below it.
    count: usize,
}

impl Place {
    fn of(node: NodeId) -> Option<Self> {
        let level = node.level.checked_div(TILE_HEIGHT)?;
        let height = u32::from(node.level.checked_rem(TILE_HEIGHT)?);
        let count = 1_u64.checked_shl(height)?;
        let start = node.index.checked_mul(count)?;
        let width = u64::from(TILE_WIDTH);
        Some(Self {
            level,
            tile: start.checked_div(width)?,
            first: usize::try_from(start.checked_rem(width)?).ok()?,
            count: usize::try_from(count).ok()?,
        })
    }
}

/// A tile and its hashes, as somebody said they are; [`TilePlan`] tells whether it is true.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tile {
    id: TileId,
    hashes: Vec<Hash>,
}

impl Tile {
    /// Reads a tile's file.
    ///
    /// # Errors
    /// [`WrongLength`] when it is not 32 bytes for each hash.
    pub fn decode(id: TileId, bytes: &[u8]) -> Result<Self, WrongLength> {
        let (hashes, rest) = bytes.as_chunks::<HASH_BYTES>();
        if bytes.len() != id.bytes() || !rest.is_empty() {
            return Err(WrongLength {
                id,
                found: bytes.len(),
            });
        }
        let hashes = hashes.iter().map(|hash| Hash::new(*hash)).collect();
        Ok(Self { id, hashes })
    }

    /// Reads a tile's hashes from where they are stored; they are taken at their word.
    ///
    /// # Errors
    /// [`StoredTileError`].
    pub fn read<S: NodeSource>(id: TileId, source: &S) -> Result<Self, StoredTileError<S::Error>> {
        let nodes: Vec<NodeId> = id.nodes().collect();
        let hashes = source
            .read_nodes(&nodes)
            .map_err(|source| StoredTileError::Source { source })?;
        if hashes.len() != nodes.len() {
            return Err(StoredTileError::Miscounted {
                asked: nodes.len(),
                answered: hashes.len(),
            });
        }
        Ok(Self { id, hashes })
    }

    /// The tile's file: its hashes, one after the other.
    pub fn encode(&self) -> Vec<u8> {
        self.hashes
            .iter()
            .flat_map(|hash| *hash.as_bytes())
            .collect()
    }

    /// Its name.
    pub const fn id(&self) -> TileId {
        self.id
    }

    /// Its hashes, from the left.
    pub fn hashes(&self) -> &[Hash] {
        &self.hashes
    }

    /// The hash of a node that it holds, or that all lies above its hashes; nothing for another.
    pub fn node(&self, node: NodeId) -> Option<Hash> {
        let place = Place::of(node)?;
        if place.level != self.id.level || place.tile != self.id.index {
            return None;
        }
        let end = place.first.checked_add(place.count)?;
        self.hashes.get(place.first..end).and_then(subtree_root)
    }

    /// The hash of a full tile, as the tile above has it; nothing for a partial one.
    fn root(&self) -> Option<Hash> {
        self.id
            .is_full()
            .then(|| subtree_root(&self.hashes))
            .flatten()
    }
}

/// The root over a power of two of hashes (RFC 6962 §2.1).
fn subtree_root(hashes: &[Hash]) -> Option<Hash> {
    let mut level = hashes.to_vec();
    while level.len() > 1 {
        let (pairs, _) = level.as_chunks::<2>();
        level = pairs
            .iter()
            .map(|[left, right]| node_hash(left, right))
            .collect();
    }
    level.pop()
}

/// No tree has a tile at that level and place with that many hashes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no tree has such a tile")]
pub struct NoSuchTile;

/// A tile's file has another length than its name says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{path} has {found} bytes instead of {wanted}", path = Resource::Tile(*id), wanted = id.bytes())]
pub struct WrongLength {
    /// The tile.
    pub id: TileId,
    /// How long it is.
    pub found: usize,
}

/// Why a tile could not be read from stored hashes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StoredTileError<E> {
    /// The source answered with more or fewer hashes than it was asked for.
    #[error("asked the source for {asked} nodes, got {answered}")]
    Miscounted {
        /// How many nodes were asked for.
        asked: usize,
        /// How many came.
        answered: usize,
    },
    /// The source failed.
    #[error("could not read the nodes of the tile")]
    Source {
        /// The source's own error.
        source: E,
    },
}
