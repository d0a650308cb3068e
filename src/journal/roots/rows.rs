//! Rows that are on disk: read for a decision before it, and for those who ask beside the writer.

use std::{
    collections::BTreeSet,
    fmt,
    sync::{Arc, PoisonError, RwLock},
};

use policy::{
    AttemptId, AttemptState, IntentState, RequestId, RequestState, RequestStatus, Row, RowError,
    RowKey, SettledRows, State, UnreadBlock,
};
use thiserror::Error;
use tx::{IntentId, Name};

use crate::{
    map::{Map, MapError, MapKey},
    writer::stopped,
};

/// What is remembered cannot be read. No absence follows from that.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum RecallError {
    /// The map cannot be read.
    #[error("the map of what is remembered cannot be read")]
    Map(#[source] MapError),
    /// What it has is no row.
    #[error("what is remembered is none")]
    Row(#[source] RowError),
    /// Rows contradict each other.
    #[error("a row of kind {kind} is missing")]
    Missing {
        /// Its kind.
        kind: &'static str,
    },
}

/// Recalls the rows of these keys, and those that they name: two rounds of reading at the most.
pub(crate) fn recall(
    map: &Map,
    state: &mut State,
    keys: &BTreeSet<RowKey>,
) -> Result<(), RecallError> {
    if state.settled() == 0 {
        return Ok(());
    }
    for key in keys {
        recall_one(map, state, key)?;
    }
    // In memory or recalled: a row of today may name an attempt of years ago.
    let rows = keys.iter().filter_map(|key| state.row(key));
    let named: BTreeSet<RowKey> = rows.flat_map(|row| row.names()).collect();
    named.iter().try_for_each(|key| recall_one(map, state, key))
}

/// Recalls what applying an entry reads.
pub(crate) fn recall_for(
    map: &Map,
    state: &mut State,
    entry: &policy::Entry,
) -> Result<(), RecallError> {
    if state.settled() == 0 {
        return Ok(());
    }
    for key in RowKey::read_by(entry) {
        recall_one(map, state, &key)?;
        if matches!(key, RowKey::Request(..))
            && let Some(row) = state.row(&key)
        {
            let mut named = row.names().into_iter();
            named.try_for_each(|key| recall_one(map, state, &key))?;
        }
    }
    Ok(())
}

fn recall_one(map: &Map, state: &mut State, key: &RowKey) -> Result<(), RecallError> {
    if !state.knows(key) {
        let row = read(map, key)?;
        state.recall(key.clone(), row);
    }
    Ok(())
}

/// The rows of a map, for limits on what is outstanding.
pub(crate) fn settled_rows(map: &Arc<Map>) -> Arc<dyn SettledRows> {
    Arc::new(OfMap(Arc::clone(map)))
}

/// What the map has, whatever memory has.
struct OfMap(Arc<Map>);

impl fmt::Debug for OfMap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("OfMap").finish_non_exhaustive()
    }
}

impl SettledRows for OfMap {
    fn read(&self, key: &RowKey) -> Result<Option<Row>, UnreadBlock> {
        read(&self.0, key).map_err(|error| UnreadBlock {
            reason: stopped(&error).reason.to_string(),
        })
    }
}

fn read(map: &Map, key: &RowKey) -> Result<Option<Row>, RecallError> {
    let value = map.get(&MapKey::of_row(key)).map_err(RecallError::Map)?;
    let row = value.map(|value| Row::decode(key.clone(), &value));
    row.transpose().map_err(RecallError::Row)
}

/// All rows, in memory and on disk, for those who only ask. The state may be ahead of what is durable
/// by a group.
#[derive(Clone)]
pub struct Rows {
    state: Arc<RwLock<State>>,
    map: Arc<RwLock<Arc<Map>>>,
}

impl Rows {
    pub(crate) fn new(state: Arc<RwLock<State>>, map: Arc<Map>) -> Self {
        let map = Arc::new(RwLock::new(map));
        Self { state, map }
    }

    /// The newest map.
    pub(crate) fn map(&self) -> Arc<Map> {
        Arc::clone(&self.map.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Goes on to a newer map: before memory forgets what it has.
    pub(crate) fn renew(&self, map: Arc<Map>) {
        *self.map.write().unwrap_or_else(PoisonError::into_inner) = map;
    }

    /// What memory has, or else the map that is the newest at the same moment: nobody forgets a row in
    /// between.
    fn row(&self, key: &RowKey) -> Result<Option<Row>, RecallError> {
        let map = {
            let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
            if state.knows(key) {
                return Ok(state.row(key));
            }
            self.map()
        };
        read(&map, key)
    }

    /// An attempt.
    ///
    /// # Errors
    /// [`RecallError`].
    pub fn attempt(&self, id: AttemptId) -> Result<Option<AttemptState>, RecallError> {
        Ok(match self.row(&RowKey::Attempt(id))? {
            Some(Row::Attempt(_, state)) => Some(state),
            _ => None,
        })
    }

    /// What is known of an intent.
    ///
    /// # Errors
    /// [`RecallError`].
    pub fn intent(&self, id: &IntentId) -> Result<Option<IntentState>, RecallError> {
        Ok(match self.row(&RowKey::Intent(id.clone()))? {
            Some(Row::Intent(_, state)) => Some(state),
            _ => None,
        })
    }

    /// What became of a client's request: of its latest attempt.
    ///
    /// # Errors
    /// [`RecallError`].
    pub fn request(
        &self,
        client: &Name,
        request: &RequestId,
    ) -> Result<Option<RequestState>, RecallError> {
        let key = RowKey::Request(client.clone(), request.clone());
        let Some(Row::Request(_, _, latest)) = self.row(&key)? else {
            return Ok(None);
        };
        Ok(Some(self.existing(latest)?.request_state(latest)))
    }

    /// Whether an attempt may be neither signed nor released: see [`State::is_frozen`].
    ///
    /// # Errors
    /// [`RecallError`].
    pub fn is_frozen(&self, id: AttemptId) -> Result<bool, RecallError> {
        let known = self.attempt(id)?;
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        Ok(known.is_none_or(|attempt| state.freezes_hold(id, &attempt)))
    }

    /// A client's attempts from this one on, `most` of them, oldest first, and how far each came.
    ///
    /// # Errors
    /// [`RecallError`].
    pub fn requests_from(
        &self,
        client: &Name,
        from: AttemptId,
        most: usize,
    ) -> Result<Vec<(AttemptId, RequestStatus)>, RecallError> {
        let count = {
            let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
            state.authorised(client)
        };
        let first = self.first_from(client, from, count)?;
        let numbers = (first..count).take(most);
        let requests = numbers.map(|number| {
            let attempt = self.numbered(client, number)?;
            Ok((attempt, self.existing(attempt)?.status()))
        });
        requests.collect()
    }

    /// The number of the client's first attempt that is not before `from`, by halving.
    fn first_from(&self, client: &Name, from: AttemptId, count: u64) -> Result<u64, RecallError> {
        let (mut low, mut high) = (0, count);
        while low < high {
            let middle = low.midpoint(high);
            if self.numbered(client, middle)? < from {
                low = middle.saturating_add(1);
            } else {
                high = middle;
            }
        }
        Ok(low)
    }

    fn numbered(&self, client: &Name, number: u64) -> Result<AttemptId, RecallError> {
        let key = RowKey::ClientAttempt(client.clone(), number);
        match self.row(&key)? {
            Some(Row::ClientAttempt(_, _, attempt)) => Ok(attempt),
            _ => Err(RecallError::Missing { kind: key.kind() }),
        }
    }

    fn existing(&self, id: AttemptId) -> Result<AttemptState, RecallError> {
        let kind = "attempt";
        self.attempt(id)?.ok_or(RecallError::Missing { kind })
    }
}
