//! Reading entries and blobs back, while others are being appended.

use std::fmt;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use tlog::{Hash, TreeHead};

use super::error::{DiskError, Place, ReadError};
use super::files::{Folder, NamedFile};
use super::format::{Fields, LogId, blob_hash, segment_name};
use super::group::ITEM_HEADER_BYTES;
use super::index::{Earlier, GroupSpots, Index, Spot, tag};
use super::leaf::{Leaf, Salt};
use super::search::ReadGroup;
use super::tiles::Tiles;
use super::tip::{FullTile, Tip};

/// An entry as it was appended.
#[derive(Clone, PartialEq, Eq)]
pub struct Stored {
    /// The salt of its leaf.
    pub salt: Salt,
    /// The body.
    pub body: Vec<u8>,
}

impl Stored {
    /// The entry's leaf.
    pub fn leaf(&self) -> Leaf {
        Leaf::commit(&self.salt, &self.body)
    }
}

/// Bodies are confidential.
impl fmt::Debug for Stored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Stored({} bytes)", self.body.len())
    }
}

/// What a log's one writer and its readers share.
pub(super) struct Shared {
    pub(super) folder: Folder,
    pub(super) id: LogId,
    pub(super) tiles: Tiles,
    durable: RwLock<Durable>,
    /// The group that was last searched.
    kept: Mutex<Option<Arc<ReadGroup>>>,
}

/// What is durable. Locked for lookups only: nobody reads or writes a file meanwhile.
pub(super) struct Durable {
    pub(super) tip: Arc<Tip>,
    pub(super) index: Index,
    /// The segment that takes the next group, and its file.
    pub(super) active: (u32, Arc<NamedFile>),
}

impl Shared {
    pub(super) fn new(folder: Folder, id: LogId, tiles: Tiles, durable: Durable) -> Self {
        Self {
            folder,
            id,
            tiles,
            durable: RwLock::new(durable),
            kept: Mutex::default(),
        }
    }

    fn kept(&self) -> Option<Arc<ReadGroup>> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.clone()
    }

    fn keep(&self, group: &Arc<ReadGroup>) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        *kept = Some(Arc::clone(group));
    }

    /// Shows readers what has become durable.
    pub(super) fn publish(&self, tip: &Arc<Tip>, spots: GroupSpots) {
        let mut durable = self.durable.write().unwrap_or_else(PoisonError::into_inner);
        durable.tip = Arc::clone(tip);
        durable.index.add(spots);
    }

    /// Forgets segments that are about to go.
    pub(super) fn forget_before(&self, segment: u32) {
        let mut durable = self.durable.write().unwrap_or_else(PoisonError::into_inner);
        durable.index.forget_before(segment);
        *self.kept.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Before readers know of them. The entries are durable: a tile that is lost is made again from them.
    pub(super) fn write_tiles(&self, full: &[FullTile]) {
        for tile in full {
            if let Err(error) = self.tiles.write(&self.folder, tile) {
                tracing::warn!(%error, tile = ?tile.id, "a tile of the tree cannot be written");
            }
        }
    }

    pub(super) fn segment_with(&self, entry: u64) -> Option<u32> {
        self.look(|durable| durable.index.segment_with(entry))
    }

    /// Shows readers where the next groups go.
    pub(super) fn roll(&self, number: u32, file: &Arc<NamedFile>) {
        let mut durable = self.durable.write().unwrap_or_else(PoisonError::into_inner);
        durable.active = (number, Arc::clone(file));
    }

    fn look<T>(&self, at: impl FnOnce(&Durable) -> T) -> T {
        at(&self.durable.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn has_blob(&self, hash: &Hash) -> bool {
        self.look(|durable| durable.index.blob(hash)).is_some()
    }
}

/// Reads a log while it is written: what is durable, without waiting for what is about to be.
#[derive(Clone)]
pub struct Reader {
    pub(super) shared: Arc<Shared>,
}

impl fmt::Debug for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Reader");
        shown.field("id", &self.id()).field("size", &self.size());
        shown.finish_non_exhaustive()
    }
}

impl Reader {
    /// The log's name.
    pub fn id(&self) -> LogId {
        self.shared.id
    }

    /// How many entries are durable.
    pub fn size(&self) -> u64 {
        self.tip().tree.size()
    }

    /// Size and root of what is durable.
    pub fn head(&self) -> TreeHead {
        self.tip().tree.head()
    }

    /// The folder that it is in.
    pub(crate) fn folder(&self) -> &Folder {
        &self.shared.folder
    }

    /// The first segment with entries; none in an empty log.
    pub(super) fn first_segment(&self) -> Option<u32> {
        self.shared.look(|durable| durable.index.first_segment())
    }

    /// The segment that takes the next group.
    pub(super) fn active(&self) -> u32 {
        self.shared.look(|durable| durable.active.0)
    }

    pub(super) fn tip(&self) -> Arc<Tip> {
        self.shared.look(|durable| Arc::clone(&durable.tip))
    }

    /// The entry at `index`: with one read of the disk when it is one of the newest 2^18, with a few when it
    /// is not.
    ///
    /// One of the newest is compared with the first four bytes of its leaf hash: this finds damage since
    /// the log was opened, not somebody who rewrites the disk. A proof against a checkpoint does. Another one
    /// is compared with its leaf in the tree.
    ///
    /// # Errors
    /// [`ReadError::NoEntry`], [`ReadError::Pruned`], [`ReadError::Damaged`], [`ReadError::Disk`].
    pub fn read(&self, index: u64) -> Result<Stored, ReadError> {
        let spot = self.shared.look(|durable| durable.index.entry(index));
        if let Some(spot) = spot {
            return self.read_at(spot);
        }
        let (stored, place) = self.search(index)?;
        match self.commitments(index..index.saturating_add(1))?.first() {
            Some(commitment) if *commitment == stored.leaf().commitment() => Ok(stored),
            _ => Err(ReadError::Damaged { place }),
        }
    }

    /// As [`Reader::read`], but nothing says that it is the entry except its checksums.
    pub(super) fn read_unproved(&self, index: u64) -> Result<Stored, ReadError> {
        let spot = self.shared.look(|durable| durable.index.entry(index));
        match spot {
            Some(spot) => self.read_at(spot),
            None => Ok(self.search(index)?.0),
        }
    }

    fn read_at(&self, spot: Spot) -> Result<Stored, ReadError> {
        let (label, body) = self.item(spot)?;
        let stored = Stored {
            salt: Salt::new(label),
            body,
        };
        if tag(&stored.leaf().hash()) != spot.tag {
            return Err(damaged(spot));
        }
        Ok(stored)
    }

    /// The entry at `index` from the group that has it, which is searched from one near by.
    fn search(&self, index: u64) -> Result<(Stored, Place), ReadError> {
        let group = self.group_with(index)?;
        let place = group.place;
        let item = group.entry(index).ok_or(ReadError::Damaged { place })?;
        Ok((item, place))
    }

    fn group_with(&self, index: u64) -> Result<Arc<ReadGroup>, ReadError> {
        if let Some(group) = self.shared.kept().filter(|group| group.has(index)) {
            return Ok(group);
        }
        let size = self.size();
        if index >= size {
            return Err(ReadError::NoEntry { index, size });
        }
        let near = self
            .shared
            .look(|durable| durable.index.group_before(index));
        let near = near.ok_or(ReadError::Pruned { index })?;
        let mut place = Place {
            segment: near.segment,
            offset: u64::from(near.offset),
        };
        // The one read last may be nearer: who reads one entry after the other, finds each next group at once.
        let last = self.shared.kept();
        if let Some(last) = last.filter(|last| last.leads(near.first, index, place)) {
            place.offset = last.end;
        }
        let file = self.file(place.segment).map_err(ReadError::disk)?;
        let group = ReadGroup::find(&file, &self.shared.id, place, index)?;
        let group = Arc::new(group);
        self.shared.keep(&group);
        Ok(group)
    }

    fn file(&self, segment: u32) -> Result<Arc<NamedFile>, DiskError> {
        let (active, file) = self.shared.look(|durable| durable.active.clone());
        if segment == active {
            return Ok(file);
        }
        // Opened anew: a log of years has more segments than a process may have files.
        Ok(Arc::new(self.shared.folder.open(&segment_name(segment))?))
    }

    /// The first entries of the segments, oldest first.
    pub(crate) fn starts(&self) -> Vec<u64> {
        self.shared.look(|durable| durable.index.starts())
    }

    pub(super) fn earlier(&self, index: u64) -> Option<Earlier> {
        self.shared.look(|durable| durable.index.earlier(index))
    }

    /// The blob of that SHA-256.
    ///
    /// # Errors
    /// [`ReadError::NoBlob`], [`ReadError::Damaged`], [`ReadError::Disk`].
    pub fn blob(&self, hash: &Hash) -> Result<Vec<u8>, ReadError> {
        let spot = self.shared.look(|durable| durable.index.blob(hash));
        let spot = spot.ok_or(ReadError::NoBlob { hash: *hash })?;
        let (_, blob) = self.item(spot)?;
        if blob_hash(&blob) != *hash {
            return Err(damaged(spot));
        }
        Ok(blob)
    }

    /// The entries of `range`, as far as there are any, in order.
    pub fn entries(&self, range: Range<u64>) -> Entries {
        let end = range.end.min(self.size());
        Entries {
            reader: self.clone(),
            rest: range.start..end,
        }
    }

    /// The salt or hash at `spot`, and the bytes after it.
    fn item(&self, spot: Spot) -> Result<([u8; 32], Vec<u8>), ReadError> {
        let mut buffer = Vec::new();
        self.read_item(spot, &mut buffer).map_err(ReadError::disk)?;
        let mut fields = Fields(&buffer);
        match (fields.u32(), fields.array()) {
            (Some(bytes), Some(label)) if bytes == spot.bytes => {
                drop(buffer.drain(..ITEM_HEADER_BYTES));
                Ok((label, buffer))
            }
            _ => Err(damaged(spot)),
        }
    }

    fn read_item(&self, spot: Spot, buffer: &mut Vec<u8>) -> Result<(), DiskError> {
        let bytes = ITEM_HEADER_BYTES.saturating_add(spot.bytes as usize);
        let file = self.file(spot.segment)?;
        file.read(buffer, bytes, u64::from(spot.offset))
    }
}

fn damaged(spot: Spot) -> ReadError {
    let place = Place {
        segment: spot.segment,
        offset: u64::from(spot.offset),
    };
    ReadError::Damaged { place }
}

/// Entries in order, with their indexes; see [`Reader::entries`]. It goes on after an error.
#[derive(Debug)]
pub struct Entries {
    reader: Reader,
    rest: Range<u64>,
}

impl Iterator for Entries {
    type Item = Result<(u64, Stored), ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        let index = self.rest.next()?;
        Some(self.reader.read(index).map(|stored| (index, stored)))
    }
}
