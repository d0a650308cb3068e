//! Merging a batch and the newest runs into one run.

use std::collections::VecDeque;

use super::{
    MapError, MapKey,
    row::Entries,
    run::Run,
    write::{Plan, RunWriter},
};
use crate::segment::{Folder, LogId};

type Blocks<'a> = Box<dyn Iterator<Item = Result<Vec<u8>, MapError>> + 'a>;

/// What a batch is merged with.
#[derive(Clone, Copy)]
pub(super) struct After<'a> {
    /// The newest runs, oldest first.
    pub(super) runs: &'a [std::sync::Arc<Run>],
    /// How many batches there are.
    pub(super) batches: u64,
}

/// Writes the run of `after` and of the batch behind it. Of a key that several have, the newest value
/// counts.
pub(super) fn merge(
    folder: &Folder,
    log: LogId,
    after: After<'_>,
    changes: &[(MapKey, Vec<u8>)],
    is_over: &dyn Fn() -> bool,
) -> Result<Run, MapError> {
    let After { runs, batches } = after;
    let keys = runs.iter().map(|run| run.head().entries);
    let plan = Plan {
        log,
        first: runs.first().map_or(batches, |run| run.head().first),
        end: batches.saturating_add(1),
        keys_max: keys.fold(changes.len() as u64, u64::saturating_add),
    };
    let mut writer = RunWriter::begin(folder, plan)?;
    let mut sources: Vec<Source<'_>> = vec![Source::batch(changes)];
    sources.extend(runs.iter().rev().map(|run| Source::run(run)));
    while let Some(key) = next_key(&mut sources)? {
        if is_over() {
            return Err(MapError::Over);
        }
        let mut newest = None;
        for source in &mut sources {
            if let Some(value) = source.take(&key) {
                newest.get_or_insert(value);
            }
        }
        if let Some(value) = newest {
            writer.add(&key, &value)?;
        }
    }
    writer.finish()
}

/// The smallest key that a source has next.
fn next_key(sources: &mut [Source<'_>]) -> Result<Option<MapKey>, MapError> {
    let mut least: Option<MapKey> = None;
    for source in sources {
        if let Some(key) = source.peek()? {
            least = Some(least.map_or(key, |least| least.min(key)));
        }
    }
    Ok(least)
}

/// Entries in order, of the batch or of a run.
struct Source<'a> {
    ready: VecDeque<(MapKey, Vec<u8>)>,
    batch: &'a [(MapKey, Vec<u8>)],
    blocks: Blocks<'a>,
}

impl<'a> Source<'a> {
    fn batch(batch: &'a [(MapKey, Vec<u8>)]) -> Self {
        Self {
            ready: VecDeque::new(),
            batch,
            blocks: Box::new(std::iter::empty()),
        }
    }

    fn run(run: &'a Run) -> Self {
        Self {
            ready: VecDeque::new(),
            batch: &[],
            blocks: Box::new(run.blocks()),
        }
    }

    fn peek(&mut self) -> Result<Option<MapKey>, MapError> {
        while self.ready.is_empty() {
            if let Some((first, rest)) = self.batch.split_first() {
                self.ready.push_back(first.clone());
                self.batch = rest;
            } else if let Some(block) = self.blocks.next() {
                let block = block?;
                let entries = Entries::of(&block);
                let entries = entries.map(|(key, value)| (key, value.to_vec()));
                self.ready.extend(entries);
            } else {
                return Ok(None);
            }
        }
        Ok(self.ready.front().map(|(key, _)| *key))
    }

    /// The value of its next entry, if that is this key's.
    fn take(&mut self, key: &MapKey) -> Option<Vec<u8>> {
        self.ready
            .pop_front_if(|(next, _)| next == key)
            .map(|(_, value)| value)
    }
}
