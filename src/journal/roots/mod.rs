//! State roots: after every 2^15 entries, one hash over all that is remembered.
//!
//! The writer freezes what the entries wrote; beside it the Merkle map is extended by that; the entry
//! [`policy::Entry::StateRoot`] follows when it is done. Every fold computes the same, so that a log
//! with another root is refused, and so that the map is made anew wherever it cannot be believed.
//!
//! # Version 2 of what is hashed, integers big-endian
//! ```text
//! SHA-256("strongroom-state-root-v2\n" || covers u64 || hash of the hot state 32 || root of the map 32
//!         || hash of the charge state 32)
//! ```

mod believed;
mod build;
mod keep;
mod replayed;
mod rows;
mod snapshot;

use std::{collections::VecDeque, num::NonZeroU64, sync::Arc};

use indexmap::{IndexMap, map};
use policy::{ChargeState, Digest, Entry, HotState, HotStateError, Row, RowKey, State};
use sha2::{Digest as _, Sha256};
use thiserror::Error;

use crate::{
    charges::ChargeFileError,
    map::{Map, MapError, MapHead},
};

pub(crate) use believed::{FoldedLog, Quorums};
pub(crate) use build::{Builder, Built, Done};
pub(crate) use keep::{Candidate, Kept, Shelf};
pub(crate) use replayed::{Compared, Home, Left, Replayed};
pub use rows::{RecallError, Rows};
pub(crate) use rows::{recall, recall_for, settled_rows};
pub(crate) use snapshot::{Content, NAME as SNAPSHOT, Snapshot, Thawed};
pub use snapshot::{SnapshotError, SnapshotUse};

const LABEL: &str = "strongroom-state-root-v2\n";
/// How many entries stand between two roots: part of the log's format.
const EVERY: NonZeroU64 = match NonZeroU64::new(1 << 15) {
    Some(every) => every,
    None => NonZeroU64::MIN,
};

/// Rows of as many payments as fit between two roots, six each: 16,384 attempts and their signatures.
const ROWS_PER_ROOT: usize = 6 << 14;

/// After how many entries there is a root, and who computes it. Every log has the default; no
/// configuration leads to another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rooting {
    every: NonZeroU64,
    place: Place,
}

/// Who extends the map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// A thread beside the writer.
    Beside,
    /// The writer, between two groups.
    Within,
}

impl Default for Rooting {
    fn default() -> Self {
        Self {
            every: EVERY,
            place: Place::Beside,
        }
    }
}

impl Rooting {
    /// More often than any log has them, for tests.
    pub const fn every(every: NonZeroU64) -> Self {
        Self {
            every,
            place: Place::Beside,
        }
    }

    /// Computed by the writer, so that the same commands give the same calls of the disk, for tests.
    #[must_use]
    pub const fn within(self) -> Self {
        Self {
            place: Place::Within,
            ..self
        }
    }

    const fn ends_at(self, entries: u64) -> bool {
        entries.is_multiple_of(self.every.get())
    }
}

/// Why a root cannot be computed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum RootError {
    /// The map cannot be extended.
    #[error("the map of what is remembered cannot be extended")]
    Map(#[source] MapError),
    /// The hot state is larger than any may be.
    #[error("the hot state has no bytes")]
    Hot(#[source] HotStateError),
    /// The blocks of charges cannot be kept.
    #[error("the charges cannot be kept")]
    Charges(#[source] ChargeFileError),
    /// The map cannot be read.
    #[error("what is remembered cannot be recalled")]
    Recall(#[source] RecallError),
    /// The tree over the entries cannot be read.
    #[error("the tree cannot be read")]
    Tree(#[source] crate::ReadError),
    /// A snapshot would be longer than any may be.
    #[error("the snapshot has no bytes")]
    TooLong,
    /// There is no folder for a map that is needed for a while.
    #[error("there is no folder for the map")]
    Folder(#[source] std::io::Error),
}

/// What entries wrote, as long as memory has to hold it: in the order in which it was written, since rows
/// that lie in places of chance would touch a page of memory each.
#[derive(Debug, Default)]
pub(crate) struct Growth {
    rooting: Rooting,
    /// Since the last root was due.
    open: IndexMap<RowKey, Row>,
    /// For roots that are due, oldest first, with how many entries they cover.
    frozen: VecDeque<(u64, Arc<IndexMap<RowKey, Row>>)>,
    /// Rows that the map has now, and memory still.
    settled: VecDeque<map::IntoIter<RowKey, Row>>,
}

impl Growth {
    pub(crate) fn new(rooting: Rooting) -> Self {
        Self {
            rooting,
            ..Self::default()
        }
    }

    /// Makes room for what the entries up to the next root write, so that nobody waits for it then.
    pub(crate) fn reserve(&mut self) {
        self.open.reserve(ROWS_PER_ROOT);
    }

    /// Takes what the entry at `index` wrote, which the state took last. Frozen, where a root is due
    /// behind it.
    pub(crate) fn take(&mut self, state: &State, index: u64, entry: &Entry) -> Option<Frozen> {
        self.open.extend(state.rows_by_key(index, entry));
        let covers = index.checked_add(1)?;
        self.rooting.ends_at(covers).then(|| {
            // As large as it has become: to double it again and again would keep everybody waiting.
            let next = IndexMap::with_capacity(self.open.capacity());
            let rows = Arc::new(std::mem::replace(&mut self.open, next));
            self.frozen.push_back((covers, Arc::clone(&rows)));
            Frozen {
                covers,
                hot: state.hot(),
                rows,
                charges: state.charge_state(),
            }
        })
    }

    /// Whether memory has to hold the row: the map does not have it as it is.
    pub(crate) fn holds(&self, key: &RowKey) -> bool {
        let mut frozen = self.frozen.iter();
        self.open.contains_key(key) || frozen.any(|(_, rows)| rows.contains_key(key))
    }

    /// The map has what the first `covers` entries wrote, and whoever asks is given that map.
    pub(crate) fn settle(&mut self, state: &mut State, covers: u64, map: &Arc<Map>) {
        while let Some((_, rows)) = self.frozen.pop_front_if(|(end, _)| *end <= covers) {
            // Who computed the root let go of them before it said so: nothing is copied.
            self.settled
                .push_back(Arc::unwrap_or_clone(rows).into_iter());
        }
        state.settle(covers);
        state.read_settled(settled_rows(map));
    }

    /// Lets memory forget `most` of the rows that the map has: all at once would keep everybody waiting.
    pub(crate) fn forget(&mut self, state: &mut State, most: usize) {
        let mut left = most;
        while left > 0
            && let Some(next) = self.settled.front_mut().map(Iterator::next)
        {
            match next {
                Some((key, _)) if !self.holds(&key) => state.forget(&key),
                Some(_) => {}
                None => drop(self.settled.pop_front()),
            }
            left = left.saturating_sub(1);
        }
    }
}

/// All that a root is computed from, but for what the map had before.
#[derive(Debug)]
pub(crate) struct Frozen {
    covers: u64,
    hot: HotState,
    rows: Arc<IndexMap<RowKey, Row>>,
    charges: ChargeState,
}

fn hash(covers: u64, hot: Digest, map: &MapHead, charges: Digest) -> Digest {
    let hash = Sha256::new()
        .chain_update(LABEL)
        .chain_update(covers.to_be_bytes())
        .chain_update(hot.0)
        .chain_update(map.root())
        .chain_update(charges.0);
    Digest(hash.finalize().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Computed by another program.
    #[test]
    fn a_known_root() {
        let (hot, charges) = (Digest([1; 32]), Digest([4; 32]));
        let hash = hash(65_536, hot, &MapHead::default(), charges);
        assert_eq!(hash.to_string(), KNOWN);
    }

    const KNOWN: &str = "5d63d29b9c60185eceff4eb86deb4295acb2fa761fc0b62d533e206fbfb1c913";
}
