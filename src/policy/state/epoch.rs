//! The epoch that officers began: nothing is assumed of what was signed before it and lost.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use tx::{Address, Chain, Name, Time};

use super::State;
use crate::{AttemptId, Resumed, statement::NewEpoch};

/// An epoch after the first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Epoch {
    number: u64,
    /// The entry that began it: earlier attempts are of older epochs.
    from: u64,
    /// Since when every window is full.
    at: Time,
    /// No lane's epoch is lower.
    lanes: u64,
    /// The lowest sequences of keys of older epochs.
    next: BTreeMap<Name, BTreeMap<Chain, u64>>,
    /// The one address to which a key of an older epoch pays.
    drains: BTreeMap<Name, BTreeMap<Chain, Address>>,
}

impl State {
    /// The epoch in which a log begins by itself.
    pub const EPOCH_FIRST: u64 = 1;

    /// The epoch: the first until officers began a new one.
    pub fn epoch(&self) -> u64 {
        self.begun
            .as_ref()
            .map_or(Self::EPOCH_FIRST, |epoch| epoch.number)
    }

    /// Whether an attempt is of an older epoch: nothing more is signed for it.
    pub fn is_past(&self, attempt: AttemptId) -> bool {
        self.begun
            .as_ref()
            .is_some_and(|epoch| attempt.0 < epoch.from)
    }

    /// Until when a window of this length is full, whatever is counted in it: what was lost may have
    /// used all of it until the epoch began.
    pub(crate) fn full_until(&self, window_millis: u64) -> Option<Time> {
        let epoch = self.begun.as_ref()?;
        Some(epoch.at.after_millis(window_millis))
    }

    /// The lowest sequence of a key that may be signed, where officers said one.
    pub(crate) fn least_sequence(&self, key: &Name, chain: Chain) -> Option<u64> {
        let next = &self.begun.as_ref()?.next;
        next.get(key)?.get(&chain).copied()
    }

    /// The one address to which a key of an older epoch pays on a chain.
    pub(crate) fn drain_of(&self, key: &Name, chain: Chain) -> Option<&Address> {
        self.begun.as_ref()?.drains.get(key)?.get(&chain)
    }

    /// The lowest epoch of every lane.
    pub(super) fn least_lane_epoch(&self) -> Option<u64> {
        self.begun.as_ref().map(|epoch| epoch.lanes)
    }

    /// What an earlier epoch said stays, unless this one says it anew: sequences and lanes only rise.
    pub(super) fn begin_epoch(&mut self, from: u64, at: Time, began: &Resumed) {
        self.resumed.insert(began.hash);
        // What is applied was validated: it parses.
        let Ok(statement) = NewEpoch::parse(&began.statement) else {
            return;
        };
        self.lost.extend(&statement.lost);
        // Intents of older epochs are refused.
        self.registered.clear();
        self.transactions.clear();
        let mut epoch = self.begun.take().unwrap_or_else(|| Epoch {
            number: 0,
            from,
            at,
            lanes: 0,
            next: BTreeMap::new(),
            drains: BTreeMap::new(),
        });
        (epoch.number, epoch.from, epoch.at) = (statement.epoch, from, at);
        epoch.lanes = epoch.lanes.max(statement.lanes);
        for said in statement.next {
            let next = epoch.next.entry(said.key).or_default();
            let least = next.entry(said.chain).or_default();
            *least = (*least).max(said.next);
        }
        for drain in statement.drains {
            let drains = epoch.drains.entry(drain.key).or_default();
            drains.insert(drain.to.chain(), drain.to);
        }
        self.begun = Some(epoch);
    }
}
