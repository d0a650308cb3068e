//! What is on disk of the first entries: the map, and the snapshot that names its files.

use std::{
    collections::{BTreeSet, VecDeque},
    sync::Arc,
};

use policy::{ChargeState, HotState, StateRoot};

use super::{Content, Frozen, Left, RootError, hash, snapshot};
use crate::{
    Bodies as _, ReadError, Tree as _,
    charges::ChargeReader,
    disk::Disk,
    embedded::EmbeddedReader,
    map::{Map, MapError, MapHead, batch},
    segment::{DiskError, Folder, LogId},
};

/// Extends the map, and computes what a root and its snapshot say.
#[derive(Debug)]
pub(crate) struct Kept {
    map: Arc<Map>,
    /// Roots that were computed and may not be in the log yet, oldest first.
    roots: VecDeque<StateRoot>,
    /// What the newest of them was computed from.
    newest: Option<Content>,
    /// Files that a durable snapshot names.
    named: BTreeSet<String>,
}

/// What the next snapshot is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Candidate {
    /// How many entries.
    pub(crate) covers: u64,
    /// How many blocks of charges.
    pub(crate) blocks: u64,
    /// The entry of the root, once it is in the log.
    pub(crate) entry: Option<u64>,
}

impl Candidate {
    /// What is left of a fold.
    pub(crate) fn of(left: &Left) -> Option<Self> {
        let unkept = left.kept.unkept()?;
        let newest = left.newest.filter(|(_, root)| root.covers == unkept.covers);
        Some(Self {
            entry: newest.map(|(entry, _)| entry),
            ..unkept
        })
    }

    /// The entry that a signed checkpoint has to cover before there is a snapshot; no entry, if none is due.
    pub(crate) fn wanted(candidate: Option<&Self>) -> u64 {
        let entry = candidate.and_then(|candidate| candidate.entry);
        entry.unwrap_or(u64::MAX)
    }
}

/// With what snapshots are written.
pub(crate) struct Shelf {
    pub(crate) folder: Arc<Folder>,
    pub(crate) log: LogId,
    pub(crate) reader: EmbeddedReader,
    pub(crate) charges: Arc<ChargeReader>,
}

impl Shelf {
    pub(crate) fn new(
        disk: Arc<dyn Disk>,
        reader: EmbeddedReader,
        charges: Arc<ChargeReader>,
    ) -> Self {
        Self {
            folder: Arc::new(Folder::new(disk)),
            log: reader.log(),
            reader,
            charges,
        }
    }

    /// Gives the first entry that a start reads.
    fn put(&self, content: &Content, note: &[u8]) -> Result<u64, RootError> {
        self.charges.sync().map_err(disk)?;
        self.keep_leaves().map_err(RootError::Tree)?;
        let landmarks = self.reader.landmarks(content.covers());
        let landmarks = landmarks.map_err(RootError::Tree)?;
        let file = content.encode(&self.log, landmarks.as_ref(), note);
        let file = file.ok_or(RootError::TooLong)?;
        let put = self.folder.put(snapshot::NAME, &file);
        let _file = put.map_err(disk)?;
        Ok(landmarks.map_or(0, |landmarks| landmarks.first()))
    }

    /// The last leaves without bodies are in a tile that was full only later: the snapshot before has them, the
    /// next one may not.
    fn keep_leaves(&self) -> Result<(), ReadError> {
        let begins = self.reader.starts().first().copied().unwrap_or(0);
        self.reader.keep_leaves(begins.saturating_sub(1)..begins)
    }
}

impl std::fmt::Debug for Shelf {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shelf")
            .field("log", &self.log)
            .finish_non_exhaustive()
    }
}

impl Kept {
    /// Of no entries.
    pub(crate) fn new(disk: Arc<dyn Disk>, log: LogId) -> Self {
        Self {
            map: Arc::new(Map::new(disk, log)),
            roots: VecDeque::new(),
            newest: None,
            named: BTreeSet::new(),
        }
    }

    /// Those of a snapshot.
    pub(crate) fn of(map: Arc<Map>, content: &Content) -> Self {
        let named = map.head().files().collect();
        Self {
            map,
            roots: content.roots.iter().copied().collect(),
            newest: None,
            named,
        }
    }

    pub(crate) fn map(&self) -> &Arc<Map> {
        &self.map
    }

    /// What the next snapshot is of, if the newest root has none yet.
    pub(crate) fn unkept(&self) -> Option<Candidate> {
        let newest = self.newest.as_ref()?;
        Some(Candidate {
            covers: newest.covers(),
            blocks: newest.charges.blocks(),
            entry: None,
        })
    }

    /// Extends the map, durably, and computes the root.
    ///
    /// # Errors
    /// [`RootError`].
    pub(crate) fn extend(
        &mut self,
        frozen: Frozen,
        is_over: &dyn Fn() -> bool,
    ) -> Result<StateRoot, RootError> {
        let Frozen {
            covers,
            hot,
            rows,
            charges,
        } = frozen;
        let changes = batch(rows.values());
        let map = self.map.extend_unless(&changes, is_over);
        let map = map.map_err(RootError::Map)?;
        let head = map.head();
        self.map = Arc::new(map);
        let root = root(covers, &hot, &head, &charges)?;
        self.roots.push_back(root);
        // What the log has by then, nobody waits for.
        while self
            .roots
            .pop_front_if(|one| one.covers <= hot.rooted())
            .is_some()
        {}
        self.newest = Some(Content {
            roots: self.roots.iter().copied().collect(),
            hot,
            charges,
            map: head,
        });
        self.tidy()?;
        Ok(root)
    }

    /// Makes a snapshot of the first `covers` entries durable in place of the one before, with a signed
    /// checkpoint; gives the first block of charges that it needs and the first entry that it reads. Nothing where a newer root was computed
    /// since, whose snapshot follows, and where the disk does not take it: the one before still holds, or
    /// the next start takes longer.
    pub(crate) fn keep(&mut self, shelf: &Shelf, covers: u64, note: &[u8]) -> Option<(u64, u64)> {
        let content = self.newest.take_if(|newest| newest.covers() == covers)?;
        // Whether or not it is there in the end.
        let files: BTreeSet<String> = content.map.files().collect();
        self.named.extend(files.iter().cloned());
        let kept = shelf.put(&content, note).and_then(|read_from| {
            self.named = files;
            self.tidy().map(|()| read_from)
        });
        match kept {
            Ok(read_from) => Some((content.charges.base(), read_from)),
            Err(error) => {
                let error: &dyn std::error::Error = &error;
                tracing::warn!(error, covers, "a snapshot is not kept");
                None
            }
        }
    }

    /// Removes files that nothing names: what a merge left behind.
    fn tidy(&self) -> Result<(), RootError> {
        self.map.remove_others(&self.named).map_err(disk)
    }
}

fn disk(error: DiskError) -> RootError {
    RootError::Map(MapError::Disk(error))
}

fn root(
    covers: u64,
    hot: &HotState,
    map: &MapHead,
    charges: &ChargeState,
) -> Result<StateRoot, RootError> {
    let of_hot = hot.hash().map_err(RootError::Hot)?;
    Ok(StateRoot {
        v: StateRoot::VERSION,
        covers,
        hash: hash(covers, of_hot, map, charges.hash()),
    })
}
