//! The embedded store: the segment log of one data folder.

use std::sync::{Arc, PoisonError, RwLock};

use tlog::{CompactTree, Hash};

use crate::{
    Bodies, Group, NewEntry, ReadError, Store, StoreError, StoredEntry,
    segment::{AppendError, Record, Salt, SegmentLog},
};

/// The segment log, written by one thread and read by many. Readers wait for a flush.
#[derive(Clone, Debug)]
pub(crate) struct Embedded(Arc<RwLock<SegmentLog>>);

impl Embedded {
    pub(crate) fn new(log: SegmentLog) -> Self {
        Self(Arc::new(RwLock::new(log)))
    }
}

impl Store for Embedded {
    fn append(&mut self, expected: u64, group: Group) -> Result<(), StoreError> {
        let mut log = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if log.size() != expected {
            return Err(StoreError::Moved {
                expected,
                found: log.size(),
            });
        }
        let records: Vec<Record<'_>> = group.entries.iter().map(record).collect();
        let blobs: Vec<&[u8]> = group.blobs.iter().map(Vec::as_slice).collect();
        log.append(&records, &blobs).map(|_| ()).map_err(failed)
    }

    fn append_final(&mut self, entry: NewEntry) -> Result<(), StoreError> {
        let mut log = self.0.write().unwrap_or_else(PoisonError::into_inner);
        log.append_final(&record(&entry))
            .map(|_| ())
            .map_err(failed)
    }

    fn tree(&self) -> CompactTree {
        let log = self.0.read().unwrap_or_else(PoisonError::into_inner);
        log.tree().clone()
    }

    fn anchor(&mut self) -> Result<(), StoreError> {
        let mut log = self.0.write().unwrap_or_else(PoisonError::into_inner);
        log.write_anchor().map_err(failed)
    }
}

impl Bodies for Embedded {
    fn log_id(&self) -> [u8; 32] {
        *self
            .0
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .id()
            .as_bytes()
    }

    fn durable(&self) -> u64 {
        self.0.read().unwrap_or_else(PoisonError::into_inner).size()
    }

    fn entry(&self, index: u64) -> Result<StoredEntry, ReadError> {
        let log = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let stored = log.read(index).map_err(|source| ReadError {
            what: format!("entry {index}"),
            source: Box::new(source),
        })?;
        Ok(StoredEntry {
            salt: *stored.salt.as_bytes(),
            body: stored.body,
        })
    }

    fn blob(&self, sha256: [u8; 32]) -> Result<Vec<u8>, ReadError> {
        let log = self.0.read().unwrap_or_else(PoisonError::into_inner);
        log.blob(&Hash::new(sha256)).map_err(|source| ReadError {
            what: format!("blob {}", hex::encode(sha256)),
            source: Box::new(source),
        })
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
