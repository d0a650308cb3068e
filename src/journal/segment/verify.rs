//! What a group whose checksum holds must be: of entries that lead to its root, and blobs that are what
//! they are named as.

use tlog::{CompactTree, Hash};

use super::error::{Place, Sealed};
use super::format::blob_hash;
use super::group::{self, GroupHeader, Item, Items};
use super::leaf::Leaf;
use super::scan::Fault;
use super::tiles::Tiles;
use super::tip::{FullTile, Tip};

/// What a verified group added to the tree.
pub(super) struct Verified<'b> {
    pub(super) items: Items<'b>,
    /// The leaf hashes of its entries.
    pub(super) leaves: Vec<Hash>,
    /// The tiles that they made full.
    pub(super) full: Vec<FullTile>,
}

/// Verifies a group, and appends its entries to the tree. `before` is shown the tree before each of them.
pub(super) fn verify<'b>(
    tip: &mut Tip,
    (header, place): (&GroupHeader, Place),
    bytes: &'b [u8],
    mut before: impl FnMut(&CompactTree) -> Result<(), Fault>,
) -> Result<Verified<'b>, Fault> {
    let malformed = || Fault::Sealed(Sealed::Malformed { place });
    let items = group::items(bytes, header).ok_or_else(malformed)?;
    let mut leaves = Vec::with_capacity(items.records.len());
    let mut full = Vec::new();
    for item in &items.records {
        before(&tip.tree)?;
        let leaf = Leaf::commit(&item.salt(), item.bytes);
        let hash = tip.append(&leaf, &mut full);
        leaves.push(hash.map_err(|_full| malformed())?);
    }
    if tip.tree.root() != header.root {
        return Err(Sealed::GroupRoot { place }.into());
    }
    let is_named = |item: &Item<'_>| blob_hash(item.bytes).as_bytes() == &item.label;
    if !items.blobs.iter().all(is_named) {
        return Err(Sealed::BlobHash { place }.into());
    }
    Ok(Verified {
        items,
        leaves,
        full,
    })
}

/// Full tiles whose files do not hold them.
#[derive(Default)]
pub(super) struct WrongTiles {
    pub(super) count: u64,
    /// The first of them as they should be; the others are made again when they are read.
    pub(super) made: Vec<FullTile>,
}

/// Most tiles that are held back until the whole log is verified: 32 MiB, a million entries.
const WRONG_TILES_MAX: usize = 4096;

impl WrongTiles {
    /// Compares tiles with what the files have.
    pub(super) fn check(&mut self, tiles: &Tiles, full: Vec<FullTile>) {
        for tile in full {
            if tiles.stored(tile.id).as_ref() == Some(&tile.hashes) {
                continue;
            }
            self.count = self.count.saturating_add(1);
            if self.made.len() < WRONG_TILES_MAX {
                self.made.push(tile);
            }
        }
    }
}
