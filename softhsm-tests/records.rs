//! The journal of a stopped daemon, read with the journal's own crate.

use std::path::Path;

use journal::{
    disk::FsDisk,
    lock::Owner,
    segment::{OpenOptions, SegmentLog},
};
use policy::{Attempt, Entry, Record};

/// Every record of a data folder, in order.
///
/// # Panics
/// When a daemon still owns the folder, or the journal is not whole.
pub fn read(data: &Path) -> Vec<Record> {
    let owner = Owner::acquire(data).expect("a folder that nobody owns");
    let mut records = Vec::new();
    let opened = SegmentLog::open(
        Box::new(FsDisk::new(owner)),
        &OpenOptions::default(),
        |_, body| serde_json::from_slice(body).map(|record| records.push(record)),
    );
    opened.expect("a whole journal");
    records
}

/// Every authorised attempt, with the index of its entry.
pub fn attempts(records: &[Record]) -> Vec<(u64, &Attempt)> {
    let mut attempts = Vec::new();
    for (index, record) in (0..).zip(records) {
        if let Entry::Attempt(attempt) = &record.entry {
            attempts.push((index, &**attempt));
        }
    }
    attempts
}
