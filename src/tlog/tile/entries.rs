//! Bundles of entries. Source: C2SP tlog-tiles, Log entries.
//!
//! A bundle is the entries that a tile of level 0 has the hashes of, each after its length as a
//! big-endian `uint16`.

use super::{NoSuchTile, Resource, TILE_WIDTH, TileId};

/// The longest entry in bytes: what its length can say.
pub const MAX_ENTRY_BYTES: usize = 65_535;

/// Length of an entry's length in bytes.
const LENGTH_BYTES: usize = 2;

/// Names a bundle: its place, and how many entries it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BundleId(TileId);

impl BundleId {
    /// The bundle at `index` with its first `width` entries.
    ///
    /// # Errors
    /// [`NoSuchTile`] when no log has such a bundle.
    pub fn new(index: u64, width: u16) -> Result<Self, NoSuchTile> {
        TileId::new(0, index, width).map(Self)
    }

    /// The bundle whose entries `tile` has the hashes of; nothing for a tile of a higher level.
    pub const fn of(tile: TileId) -> Option<Self> {
        match tile.level {
            0 => Some(Self(tile)),
            _ => None,
        }
    }

    /// The tile that has the hashes of its entries.
    pub const fn tile(self) -> TileId {
        self.0
    }

    /// The place, from the left.
    pub const fn index(self) -> u64 {
        self.0.index
    }

    /// How many entries it has, 1 to [`TILE_WIDTH`].
    pub const fn width(self) -> u16 {
        self.0.width
    }
}

/// Writes a bundle's file.
///
/// # Errors
/// [`BundleError`] when there are no entries or more than [`TILE_WIDTH`], or one is too long.
pub fn encode_bundle<E: AsRef<[u8]>>(entries: &[E]) -> Result<Vec<u8>, BundleError> {
    if !(1..=usize::from(TILE_WIDTH)).contains(&entries.len()) {
        return Err(BundleError::Entries {
            found: entries.len(),
        });
    }
    let mut bytes = Vec::new();
    for entry in entries {
        let entry = entry.as_ref();
        let found = entry.len();
        let length = u16::try_from(found).map_err(|_| BundleError::TooLong { found })?;
        bytes.extend(length.to_be_bytes());
        bytes.extend(entry);
    }
    Ok(bytes)
}

/// Reads a bundle's file: exactly the entries that its name says. Whether they are the log's is told
/// by their hashes ([`crate::leaf_hash`]) in [`BundleId::tile`].
///
/// # Errors
/// [`BundleError`] when it ends within an entry, or has fewer or more entries.
pub fn decode_bundle(id: BundleId, bytes: &[u8]) -> Result<Vec<&[u8]>, BundleError> {
    let mut entries = Vec::with_capacity(usize::from(id.width()));
    let mut rest = bytes;
    while let Some((length, after)) = rest.split_first_chunk::<LENGTH_BYTES>() {
        let length = usize::from(u16::from_be_bytes(*length));
        let (entry, after) = after
            .split_at_checked(length)
            .ok_or(BundleError::Torn { id })?;
        entries.push(entry);
        rest = after;
    }
    if !rest.is_empty() {
        return Err(BundleError::Torn { id });
    }
    if entries.len() != usize::from(id.width()) {
        return Err(BundleError::Entries {
            found: entries.len(),
        });
    }
    Ok(entries)
}

/// Why entries make no bundle, or bytes are none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BundleError {
    /// Another number of entries than the bundle has.
    #[error("{found} entries are not as many as the bundle has")]
    Entries {
        /// How many there are.
        found: usize,
    },
    /// An entry is longer than [`MAX_ENTRY_BYTES`].
    #[error("an entry of {found} bytes is too long for a bundle")]
    TooLong {
        /// How long it is.
        found: usize,
    },
    /// The file ends within an entry.
    #[error("{path} ends within an entry", path = Resource::Entries(*id))]
    Torn {
        /// The bundle.
        id: BundleId,
    },
}
