//! The files of a tree, made from its leaves: the same for who writes them and for who checks them.

use journal::segment::Leaf;
use tlog::{
    CompactTree, Hash,
    tile::{BundleId, Resource, TILE_HEIGHT, TILE_WIDTH, TileId, encode_bundle},
};

/// A tree that grows, and the hashes of each level of tiles that no full tile has yet.
#[derive(Debug, Default)]
pub struct TileMaker {
    tree: CompactTree,
    levels: Vec<Vec<Hash>>,
    leaves: Vec<Leaf>,
}

/// A file of the tree.
#[derive(Debug)]
pub struct Made {
    /// Which.
    pub resource: Resource,
    /// What it holds.
    pub bytes: Vec<u8>,
}

impl TileMaker {
    /// The tree so far.
    pub const fn tree(&self) -> &CompactTree {
        &self.tree
    }

    /// Appends a leaf; what becomes full by it is added to `made`. A tree that is full takes nothing.
    pub fn append(&mut self, leaf: &Leaf, made: &mut Vec<Made>) {
        let levels = &mut self.levels;
        let mut full = Vec::new();
        let appended = self.tree.append_with(leaf.hash(), |id, hash| {
            if id.level % TILE_HEIGHT != 0 {
                return;
            }
            let level = id.level / TILE_HEIGHT;
            let at = usize::from(level);
            if levels.len() <= at {
                levels.resize(at + 1, Vec::new());
            }
            if let Some(hashes) = levels.get_mut(at) {
                hashes.push(hash);
                if hashes.len() == usize::from(TILE_WIDTH) {
                    let index = id.index / u64::from(TILE_WIDTH);
                    full.push((level, index, std::mem::take(hashes)));
                }
            }
        });
        let Ok(index) = appended else { return };
        self.leaves.push(*leaf);
        if self.leaves.len() == usize::from(TILE_WIDTH) {
            let leaves = std::mem::take(&mut self.leaves);
            made.extend(bundle(index / u64::from(TILE_WIDTH), &leaves));
        }
        made.extend(
            full.iter()
                .filter_map(|(level, index, hashes)| tile(*level, *index, hashes)),
        );
    }

    /// The files at the right edge of the tree as it is now.
    pub fn edge(&self) -> Vec<Made> {
        let size = self.tree.size();
        let mut made = Vec::new();
        for (level, hashes) in (0_u8..).zip(&self.levels) {
            let count = size >> (u32::from(level) * u32::from(TILE_HEIGHT));
            made.extend(tile(level, count / u64::from(TILE_WIDTH), hashes));
        }
        made.extend(bundle(size / u64::from(TILE_WIDTH), &self.leaves));
        made
    }
}

fn tile(level: u8, index: u64, hashes: &[Hash]) -> Option<Made> {
    let width = u16::try_from(hashes.len()).ok()?;
    let id = TileId::new(level, index, width).ok()?;
    Some(Made {
        resource: Resource::Tile(id),
        bytes: hashes.iter().flat_map(|hash| *hash.as_bytes()).collect(),
    })
}

fn bundle(index: u64, leaves: &[Leaf]) -> Option<Made> {
    let width = u16::try_from(leaves.len()).ok()?;
    let id = BundleId::new(index, width).ok()?;
    let leaves: Vec<&[u8]> = leaves
        .iter()
        .map(|leaf| leaf.as_bytes().as_slice())
        .collect();
    Some(Made {
        resource: Resource::Entries(id),
        bytes: encode_bundle(&leaves).ok()?,
    })
}

#[cfg(test)]
mod tests {
    use journal::segment::Salt;
    use tlog::{
        MemoryTree,
        tile::{Tile, bundles_for, tiles_for},
    };

    use super::*;

    #[test]
    fn makes_the_files_of_every_size_that_tlog_names() {
        let (mut maker, mut tree) = (TileMaker::default(), MemoryTree::new());
        let mut made = Vec::new();
        for size in 1..=1000_u64 {
            let leaf = Leaf::commit(&Salt::new([7; 32]), &size.to_be_bytes());
            maker.append(&leaf, &mut made);
            tree.append(leaf.hash()).unwrap();
            if ![1, 255, 256, 257, 512, 700, 1000].contains(&size) {
                continue;
            }
            let edge = maker.edge();
            let find = |wanted: Resource| {
                let all = made.iter().chain(&edge);
                let mut found = all.filter(|made| made.resource == wanted);
                let one = found.next().unwrap_or_else(|| panic!("{wanted} of {size}"));
                assert!(found.next().is_none(), "{wanted} twice");
                &one.bytes
            };
            let mut count = 0;
            for id in tiles_for(0, size) {
                let tile = Tile::read(id, &tree).unwrap();
                assert_eq!(*find(Resource::Tile(id)), tile.encode());
                count += 1;
            }
            for id in bundles_for(0, size) {
                assert_eq!(
                    find(Resource::Entries(id)).len(),
                    35 * usize::from(id.width())
                );
                count += 1;
            }
            assert_eq!(made.len() + edge.len(), count);
            assert_eq!(maker.tree().head(), tree.head());
        }
    }
}
