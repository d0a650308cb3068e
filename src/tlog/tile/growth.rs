//! Which files a log writes when it grows. Source: C2SP tlog-tiles, Partial Tiles.

use super::entries::BundleId;
use super::{MAX_TILE_LEVEL, TILE_WIDTH, TileId, nodes_of_level};

/// The tiles that a log must have at `new_size` and had not at `old_size`, both sizes of checkpoints:
/// those that became full, and of each level that grew the partial one at the right edge.
///
/// A log of one size after the other has all the partial tiles of its checkpoints, and no others. The
/// tiles come level by level from the leaves, and are made one at a time: they may be very many.
pub fn tiles_for(old_size: u64, new_size: u64) -> impl Iterator<Item = TileId> {
    (0..=MAX_TILE_LEVEL).flat_map(move |level| tiles_of_level(level, old_size, new_size))
}

/// The bundles of entries that a log must have at `new_size` and had not at `old_size`.
pub fn bundles_for(old_size: u64, new_size: u64) -> impl Iterator<Item = BundleId> {
    tiles_of_level(0, old_size, new_size).filter_map(BundleId::of)
}

fn tiles_of_level(level: u8, old_size: u64, new_size: u64) -> impl Iterator<Item = TileId> {
    let old = nodes_of_level(level, old_size);
    let new = nodes_of_level(level, new_size);
    let width = u64::from(TILE_WIDTH);
    let first = old.checked_div(width).unwrap_or(0);
    // A level that did not grow has written all its tiles before.
    let end = if new > old {
        new.div_ceil(width)
    } else {
        first
    };
    (first..end).filter_map(move |index| TileId::in_tree(level, index, new_size))
}
