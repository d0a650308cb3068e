//! The embedded store: the segment log of one data folder.

use std::ops::Range;

use tlog::{CompactTree, Hash, NodeId, NodeSource, TreeHead};

use crate::{
    Bodies, Group, NewEntry, ReadError, Store, StoreError, StoredEntry, Tree,
    segment::{self, AppendError, Folder, Landmarks, LogId, Reader, Record, Salt, SegmentLog},
};

/// The segment log as its one writer has it.
#[derive(Debug)]
pub(crate) struct Embedded(SegmentLog);

/// The segment log as its readers have it: they never wait for a flush.
#[derive(Clone, Debug)]
pub(crate) struct EmbeddedReader(Reader);

impl Embedded {
    pub(crate) fn new(log: SegmentLog) -> Self {
        Self(log)
    }

    pub(crate) fn reader(&self) -> EmbeddedReader {
        EmbeddedReader(self.0.reader())
    }
}

impl EmbeddedReader {
    /// What a start has to know so as to read from the segment with this entry on.
    pub(crate) fn landmarks(&self, index: u64) -> Result<Option<Landmarks>, ReadError> {
        let landmarks = self.0.landmarks(index);
        landmarks.map_err(unread(|| "the tree".to_owned()))
    }

    pub(crate) fn log(&self) -> LogId {
        self.0.id()
    }

    pub(crate) fn log_reader(&self) -> Reader {
        self.0.clone()
    }

    pub(crate) fn folder(&self) -> &Folder {
        self.0.folder()
    }
}

impl Store for Embedded {
    fn append(&mut self, expected: u64, group: Group) -> Result<(), StoreError> {
        let found = self.0.size();
        if found != expected {
            return Err(StoreError::Moved { expected, found });
        }
        let records: Vec<Record<'_>> = group.entries.iter().map(record).collect();
        let blobs: Vec<&[u8]> = group.blobs.iter().map(Vec::as_slice).collect();
        self.0.append(&records, &blobs).map(drop).map_err(failed)
    }

    fn append_final(&mut self, entry: NewEntry) -> Result<(), StoreError> {
        let appended = self.0.append_final(&record(&entry));
        appended.map(drop).map_err(failed)
    }

    fn tree(&self) -> CompactTree {
        self.0.tree().clone()
    }

    fn anchor(&mut self) -> Result<(), StoreError> {
        self.0.write_anchor().map_err(failed)
    }

    fn remove_before(&mut self, entry: u64) -> Result<(), StoreError> {
        let removed = self.0.remove_before(entry);
        removed.map_err(|error| StoreError::Failed(Box::new(error)))
    }
}

impl Bodies for EmbeddedReader {
    fn log_id(&self) -> [u8; 32] {
        *self.0.id().as_bytes()
    }

    fn durable(&self) -> u64 {
        self.0.size()
    }

    fn starts(&self) -> Vec<u64> {
        self.0.starts()
    }

    fn entry(&self, index: u64) -> Result<StoredEntry, ReadError> {
        let stored = self
            .0
            .read(index)
            .map_err(unread(|| format!("entry {index}")))?;
        Ok(StoredEntry {
            salt: *stored.salt.as_bytes(),
            body: stored.body,
        })
    }

    fn blob(&self, sha256: [u8; 32]) -> Result<Vec<u8>, ReadError> {
        let blob = self.0.blob(&Hash::new(sha256));
        blob.map_err(unread(|| format!("blob {}", hex::encode(sha256))))
    }
}

impl NodeSource for EmbeddedReader {
    type Error = ReadError;

    fn read_nodes(&self, ids: &[NodeId]) -> Result<Vec<Hash>, ReadError> {
        let nodes = self.0.read_nodes(ids);
        nodes.map_err(unread(|| "the tree".to_owned()))
    }
}

impl Tree for EmbeddedReader {
    fn head(&self) -> TreeHead {
        self.0.head()
    }

    fn commitments(&self, range: Range<u64>) -> Result<Vec<Hash>, ReadError> {
        let Range { start, end } = range;
        let commitments = self.0.commitments(range);
        commitments.map_err(unread(|| format!("the leaves from {start} to {end}")))
    }

    fn keep_leaves(&self, range: Range<u64>) -> Result<(), ReadError> {
        let Range { start, end } = range;
        let kept = self.0.keep_leaves(range);
        kept.map_err(unread(|| format!("the leaves from {start} to {end}")))
    }
}

fn record(entry: &NewEntry) -> Record<'_> {
    Record {
        salt: Salt::new(entry.salt),
        body: &entry.body,
    }
}

fn failed(error: AppendError) -> StoreError {
    match error {
        AppendError::DiskFull { .. } => StoreError::Full(Box::new(error)),
        other => StoreError::Failed(Box::new(other)),
    }
}

fn unread(what: impl FnOnce() -> String) -> impl FnOnce(segment::ReadError) -> ReadError {
    |source| ReadError {
        what: what(),
        source: Box::new(source),
    }
}
