//! The tree's full tiles in files: rebuildable, and never taken at their word.
//!
//! `tree.leaves` holds the commitment of every entry, `tree.1` the roots of every 256 entries,
//! `tree.2` those of every 65,536, and so on: 32 bytes each, in order, as many as fill whole tiles.
//! Leaf hashes are not kept: they are one hash away from the commitments. No file is ever synced.
//!
//! What is read is hashed together again and compared with its root in the tile above, and so on
//! up to what is in RAM, which comes from the entries themselves. A tile that does not hold is made again
//! from the tiles below it, and at last from the entries.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use tlog::tile::TILE_HEIGHT;
use tlog::{Hash, node_hash};

use super::error::DiskError;
use super::files::{Folder, NamedFile};
use super::leaf::Leaf;
use super::tip::{FullTile, TILE_HASHES, TileId};

/// How many levels of tiles a tree of 2^63 entries has.
const LEVELS: usize = 8;

const HASH_BYTES: usize = 32;
const TILE_BYTES: usize = TILE_HASHES * HASH_BYTES;

/// Verified tiles of level 0 that are kept for the next proof: 24 KiB each.
const KEPT_LOWEST: usize = 64;
/// And of the levels above, apart from those: any proof of the oldest 16 million entries finds the tiles above
/// its own here, and so reads one tile and no other. In one queue the many of level 0 would push them out.
const KEPT_UPPER: usize = 256;

/// A full tile with every node it spans.
pub(super) struct Tile {
    /// The commitments of level 0, the roots below of the others.
    pub(super) hashes: Vec<Hash>,
    /// The nodes of each height, the lowest first: 256, 128, … 1.
    heights: Vec<Vec<Hash>>,
}

impl Tile {
    pub(super) fn of(level: u8, hashes: Vec<Hash>) -> Self {
        let heights = heights(nodes(level, &hashes));
        Self { hashes, heights }
    }

    pub(super) fn root(&self) -> Option<Hash> {
        self.node(usize::from(TILE_HEIGHT), 0)
    }

    /// The node `height` levels above the hashes.
    pub(super) fn node(&self, height: usize, position: usize) -> Option<Hash> {
        self.heights.get(height)?.get(position).copied()
    }
}

/// The tree's nodes that the hashes of a tile are: of level 0 the leaf hashes.
pub(super) fn nodes(level: u8, hashes: &[Hash]) -> Vec<Hash> {
    match level {
        0 => hashes.iter().map(|hash| Leaf::of(*hash).hash()).collect(),
        _ => hashes.to_vec(),
    }
}

/// Those nodes, and above them each height up to the root; a node without a sibling is left out.
pub(super) fn heights(nodes: Vec<Hash>) -> Vec<Vec<Hash>> {
    let mut heights = vec![nodes];
    while let Some(below) = heights.last().filter(|below| below.len() > 1) {
        let pairs = below.as_chunks().0.iter();
        let above = pairs.map(|[left, right]| node_hash(left, right)).collect();
        heights.push(above);
    }
    heights
}

/// The files, and some tiles that were read and verified.
#[derive(Default)]
pub(super) struct Tiles {
    files: [OnceLock<NamedFile>; LEVELS],
    lowest: Kept<KEPT_LOWEST>,
    upper: Kept<KEPT_UPPER>,
}

impl Tiles {
    /// Opens those files that are among `names`.
    pub(super) fn open(folder: &Folder, names: &[String]) -> Result<Self, DiskError> {
        let tiles = Self::default();
        for (level, file) in (0..).zip(&tiles.files) {
            let name = file_name(level);
            if names.contains(&name) {
                let opened = folder.open(&name)?;
                file.get_or_init(|| opened);
            }
        }
        Ok(tiles)
    }

    /// The hashes that a file has where a tile's belong; none when it ends before them. Nothing
    /// says that they are right.
    pub(super) fn stored(&self, id: TileId) -> Option<Vec<Hash>> {
        let file = self.files.get(usize::from(id.level))?.get()?;
        let mut bytes = Vec::new();
        file.read(&mut bytes, TILE_BYTES, offset(id)?).ok()?;
        let (hashes, _) = bytes.as_chunks::<HASH_BYTES>();
        Some(hashes.iter().copied().map(Hash::new).collect())
    }

    /// Writes a tile to its file, which is made when it is the first.
    pub(super) fn write(&self, folder: &Folder, tile: &FullTile) -> Result<(), DiskError> {
        let (Some(slot), Some(offset)) =
            (self.files.get(usize::from(tile.id.level)), offset(tile.id))
        else {
            return Ok(());
        };
        let file = match slot.get() {
            Some(file) => file,
            None => {
                let made = folder.open_or_create(&file_name(tile.id.level))?;
                slot.get_or_init(|| made)
            }
        };
        let mut bytes = Vec::with_capacity(TILE_BYTES);
        for hash in &tile.hashes {
            bytes.extend_from_slice(hash.as_bytes());
        }
        file.write(&bytes, offset)
    }

    /// Makes durable what was written.
    pub(super) fn sync(&self) -> Result<(), DiskError> {
        let mut files = self.files.iter().filter_map(OnceLock::get);
        files.try_for_each(NamedFile::sync)
    }

    /// A tile that was verified before.
    pub(super) fn kept(&self, id: TileId) -> Option<Arc<Tile>> {
        match id.level {
            0 => self.lowest.find(id),
            _ => self.upper.find(id),
        }
    }

    /// Keeps a tile that was verified, in place of the one kept for the longest.
    pub(super) fn keep(&self, id: TileId, tile: &Arc<Tile>) {
        match id.level {
            0 => self.lowest.add(id, tile),
            _ => self.upper.add(id, tile),
        }
    }
}

/// At most so many tiles.
#[derive(Default)]
struct Kept<const MOST: usize>(Mutex<VecDeque<(TileId, Arc<Tile>)>>);

impl<const MOST: usize> Kept<MOST> {
    fn find(&self, id: TileId) -> Option<Arc<Tile>> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (_, tile) = kept.iter().find(|(known, _)| *known == id)?;
        Some(Arc::clone(tile))
    }

    fn add(&self, id: TileId, tile: &Arc<Tile>) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= MOST {
            kept.pop_front();
        }
        kept.push_back((id, Arc::clone(tile)));
    }
}

fn file_name(level: u8) -> String {
    match level {
        0 => "tree.leaves".to_owned(),
        _ => format!("tree.{level}"),
    }
}

/// Where a tile begins in its file.
fn offset(id: TileId) -> Option<u64> {
    id.number.checked_mul(TILE_BYTES as u64)
}
