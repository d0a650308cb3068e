//! A group while it is being put together.

use std::sync::Arc;

use policy::{Blob, Entry, Record, State, StateError};
use tx::Interval;

use crate::{
    NewEntry,
    command::{Reply, Stopped},
    segment::Salt,
};

/// Entries and answers of one turn of the writer.
pub(crate) struct OpenGroup {
    pub(crate) now: Interval,
    pub(crate) entries: Vec<NewEntry>,
    pub(crate) blobs: Vec<Vec<u8>>,
    /// What is answered once the outcome of the flush is known.
    pub(crate) replies: Vec<Reply<Result<(), Stopped>>>,
    /// Bytes of bodies and blobs so far.
    pub(crate) bytes: usize,
    first_index: u64,
}

impl OpenGroup {
    pub(crate) fn new(now: Interval, first_index: u64) -> Self {
        Self {
            now,
            entries: Vec::new(),
            blobs: Vec::new(),
            replies: Vec::new(),
            bytes: 0,
            first_index,
        }
    }

    /// The index that the next entry gets.
    pub(crate) fn next_index(&self) -> u64 {
        self.first_index
            .saturating_add(u64::try_from(self.entries.len()).unwrap_or(u64::MAX))
    }

    /// Applies an entry to the state and adds it; returns its index.
    ///
    /// # Errors
    /// When the state does not take it: then code and state disagree, and nothing more is signed.
    pub(crate) fn push(&mut self, state: &mut State, entry: Entry) -> Result<u64, Stopped> {
        let index = self.next_index();
        self.offer(state, entry)?.map_err(|error| Stopped {
            reason: format!("entry {index} does not follow from the state: {error}").into(),
        })
    }

    /// As [`OpenGroup::push`], for an entry that the state may refuse: nothing is added then.
    pub(crate) fn offer(
        &mut self,
        state: &mut State,
        entry: Entry,
    ) -> Result<Result<u64, StateError>, Stopped> {
        let index = self.next_index();
        let record = Record {
            v: 1,
            time: self.now,
            entry,
        };
        if let Err(error) = state.apply(index, &record) {
            return Ok(Err(error));
        }
        let entry = encode(&record)?;
        self.bytes = self.bytes.saturating_add(entry.body.len());
        self.entries.push(entry);
        Ok(Ok(index))
    }

    /// Keeps the text of a blob that is named by its hash.
    pub(crate) fn keep(&mut self, blob: &Blob, text: &str) {
        if matches!(blob, Blob::Sha256(_)) {
            self.bytes = self.bytes.saturating_add(text.len());
            self.blobs.push(text.as_bytes().to_vec());
        }
    }

    /// Answers once the group is durable.
    pub(crate) fn reply(&mut self, answer: impl FnOnce(Result<(), Stopped>) + Send + 'static) {
        self.replies.push(Reply::new(answer));
    }

    /// An entry that is not applied to the state: the very last.
    pub(crate) fn record(now: Interval, entry: Entry) -> Result<NewEntry, Stopped> {
        encode(&Record {
            v: 1,
            time: now,
            entry,
        })
    }
}

fn encode(record: &Record) -> Result<NewEntry, Stopped> {
    let failed = |reason: String| Stopped {
        reason: reason.into(),
    };
    let salt = Salt::random().map_err(|error| failed(error.to_string()))?;
    let body = serde_json::to_vec(record)
        .map_err(|error| failed(format!("an entry has no JSON form: {error}")))?;
    Ok(NewEntry {
        salt: *salt.as_bytes(),
        body: Arc::from(body),
    })
}
