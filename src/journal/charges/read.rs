//! Reading blocks, and making them durable.

use std::{
    collections::VecDeque,
    fmt,
    sync::{Arc, Mutex, PoisonError, RwLock},
};

use policy::{ChargeBlocks, UnreadBlock};
use sha2::{Digest, Sha256};

use super::{
    file::{Pair, Place},
    segment_with,
};
use crate::segment::{DiskError, Folder};

/// How many blocks are kept that were read: the next charge is mostly in the same one.
const KEPT_BLOCKS: usize = 64;
/// And how many bytes of them, unless it is one alone.
const KEPT_BYTES: usize = 4 * 1024 * 1024;

/// The files of charges, for whoever reads them.
pub struct ChargeReader {
    folder: Arc<Folder>,
    segments: RwLock<VecDeque<Read>>,
    kept: Mutex<Kept>,
}

/// Whether everything in a file is durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Written {
    Durably,
    Not,
}

/// Whether there were files that are not needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Removed {
    Some,
    Nothing,
}

/// A file, and where its blocks are in it.
struct Read {
    first: u64,
    files: Pair,
    places: Vec<Place>,
    written: Written,
}

/// Blocks that were read and checked, oldest first.
#[derive(Default)]
struct Kept {
    blocks: VecDeque<(u64, Arc<[u8]>)>,
    bytes: usize,
}

impl Kept {
    fn get(&self, block: u64) -> Option<Arc<[u8]>> {
        let mut blocks = self.blocks.iter().rev();
        let found = blocks.find(|(number, _)| *number == block);
        found.map(|(_, bytes)| Arc::clone(bytes))
    }

    fn keep(&mut self, block: u64, bytes: &Arc<[u8]>) {
        self.bytes = self.bytes.saturating_add(bytes.len());
        self.blocks.push_back((block, Arc::clone(bytes)));
        while (self.blocks.len() > KEPT_BLOCKS || self.bytes > KEPT_BYTES)
            && let Some((_, gone)) = self.blocks.pop_front()
        {
            self.bytes = self.bytes.saturating_sub(gone.len());
        }
    }
}

impl ChargeReader {
    pub(super) fn new(folder: Arc<Folder>) -> Self {
        Self {
            folder,
            segments: RwLock::default(),
            kept: Mutex::default(),
        }
    }

    /// The next blocks are in these files.
    pub(super) fn begin(&self, first: u64, files: Pair, written: Written) {
        let mut segments = self
            .segments
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        segments.push_back(Read {
            first,
            files,
            places: Vec::new(),
            written,
        });
    }

    /// Where the next block is.
    pub(super) fn add(&self, place: Place) {
        let mut segments = self
            .segments
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(last) = segments.back_mut() {
            last.places.push(place);
        }
    }

    /// What was added since is not durable.
    pub(super) fn touch(&self) {
        let mut segments = self
            .segments
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(last) = segments.back_mut() {
            last.written = Written::Not;
        }
    }

    pub(super) fn remove_before(&self, block: u64) -> Removed {
        let mut segments = self
            .segments
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        let mut removed = Removed::Nothing;
        while segments
            .pop_front_if(|segment| segment.first < block)
            .is_some()
        {
            removed = Removed::Some;
        }
        removed
    }

    /// Makes all blocks durable that were added before it was called.
    ///
    /// # Errors
    /// [`DiskError`]: what is durable is not known then.
    pub fn sync(&self) -> Result<(), DiskError> {
        let mut unwritten = Vec::new();
        {
            let mut segments = self
                .segments
                .write()
                .unwrap_or_else(PoisonError::into_inner);
            for segment in segments.iter_mut() {
                if segment.written == Written::Not {
                    segment.written = Written::Durably;
                    unwritten.push(segment.files.clone());
                }
            }
        }
        for files in &unwritten {
            files.blocks.sync()?;
            files.rows.sync()?;
        }
        match unwritten.is_empty() {
            true => Ok(()),
            false => self.folder.sync(),
        }
    }

    fn place(&self, block: u64) -> Option<(Pair, Place)> {
        let segments = self.segments.read().unwrap_or_else(PoisonError::into_inner);
        let first = segment_with(block);
        let at = segments.binary_search_by_key(&first, |segment| segment.first);
        let segment = segments.get(at.ok()?)?;
        let n = usize::try_from(block.checked_sub(first)?).ok()?;
        let place = segment.places.get(n)?;
        Some((segment.files.clone(), *place))
    }

    fn read_block(&self, block: u64) -> Result<Arc<[u8]>, UnreadBlock> {
        let unread = |reason: String| UnreadBlock { reason };
        let (files, place) = self
            .place(block)
            .ok_or_else(|| unread("it is not there".to_owned()))?;
        let bytes = usize::try_from(place.bytes).unwrap_or(usize::MAX);
        let mut buffer = Vec::new();
        files
            .blocks
            .read(&mut buffer, bytes, place.offset)
            .map_err(|error| unread(format!("{error}: {}", error.source)))?;
        match Sha256::digest(&buffer).as_slice() == place.hash.as_bytes() {
            true => Ok(buffer.into()),
            false => Err(unread("its bytes are not what they were".to_owned())),
        }
    }
}

impl ChargeBlocks for ChargeReader {
    fn read(&self, block: u64) -> Result<Arc<[u8]>, UnreadBlock> {
        let kept = || self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(bytes) = kept().get(block) {
            return Ok(bytes);
        }
        let bytes = self.read_block(block)?;
        kept().keep(block, &bytes);
        Ok(bytes)
    }
}

impl fmt::Debug for ChargeReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChargeReader").finish_non_exhaustive()
    }
}
