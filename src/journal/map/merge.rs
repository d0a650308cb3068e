//! Merging a batch and the newest runs into one run.

use super::{
    MapError, MapKey,
    row::{Entries, entry_bytes},
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
        let newest = sources.iter().find_map(|source| source.value_of(&key));
        if let Some(value) = newest {
            writer.add(&key, value)?;
        }
        sources.iter_mut().for_each(|source| source.pass(&key));
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
    /// The key of the first that is left, once it was looked for.
    next: Option<MapKey>,
    left: Left<'a>,
}

/// What of a source was not passed.
enum Left<'a> {
    Batch(&'a [(MapKey, Vec<u8>)]),
    Run {
        /// The block with the next entry, and how many of its bytes were passed.
        block: Vec<u8>,
        passed: usize,
        blocks: Blocks<'a>,
    },
}

impl<'a> Source<'a> {
    fn batch(batch: &'a [(MapKey, Vec<u8>)]) -> Self {
        Self {
            next: None,
            left: Left::Batch(batch),
        }
    }

    fn run(run: &'a Run) -> Self {
        Self {
            next: None,
            left: Left::Run {
                block: Vec::new(),
                passed: 0,
                blocks: Box::new(run.blocks()),
            },
        }
    }

    /// The next key; of a run, the block with it is read.
    fn peek(&mut self) -> Result<Option<MapKey>, MapError> {
        while self.next.is_none() {
            self.next = self.left.first().map(|(key, _)| key);
            if self.next.is_none() && !self.left.read_on()? {
                break;
            }
        }
        Ok(self.next)
    }

    /// The value of its next entry, if that is this key's.
    fn value_of(&self, key: &MapKey) -> Option<&[u8]> {
        let is_next = self.next.as_ref() == Some(key);
        let first = is_next.then(|| self.left.first())?;
        first.map(|(_, value)| value)
    }

    /// Goes on behind its next entry, if that is this key's.
    fn pass(&mut self, key: &MapKey) {
        if let Some(bytes) = self.value_of(key).map(<[u8]>::len) {
            self.left.pass(bytes);
            self.next = None;
        }
    }
}

impl Left<'_> {
    fn first(&self) -> Option<(MapKey, &[u8])> {
        match self {
            Self::Batch(left) => left.first().map(|(key, value)| (*key, value.as_slice())),
            Self::Run { block, passed, .. } => Entries::of(block.get(*passed..)?).next(),
        }
    }

    /// Reads a run's next block; whether there is one.
    fn read_on(&mut self) -> Result<bool, MapError> {
        let Self::Run {
            block,
            passed,
            blocks,
        } = self
        else {
            return Ok(false);
        };
        let Some(following) = blocks.next() else {
            return Ok(false);
        };
        (*block, *passed) = (following?, 0);
        Ok(true)
    }

    /// Passes the first entry, whose value has so many bytes.
    fn pass(&mut self, bytes: usize) {
        match self {
            Self::Batch(left) => *left = left.get(1..).unwrap_or_default(),
            Self::Run { passed, .. } => *passed = passed.saturating_add(entry_bytes(bytes)),
        }
    }
}
