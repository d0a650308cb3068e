//! The rate at which refusals are recorded singly: a client that sends nonsense must not fill the
//! disk, and none of it may pass unrecorded.

use std::collections::BTreeMap;

use policy::{Digest, Entry, Reason, Refused, RefusedMany, RequestHash};
use tlog::{CompactTree, leaf_hash};
use tx::{Name, Time};

/// Refusals of one client recorded singly in one second.
pub(crate) const SINGLY_PER_SECOND: u32 = 16;
const SECOND_MILLIS: u64 = 1000;

/// Counts refusals per client and second.
#[derive(Debug, Default)]
pub(crate) struct Refusals {
    clients: BTreeMap<Name, Window>,
}

#[derive(Debug)]
struct Window {
    since: Time,
    singly: u32,
    more: u64,
    tree: CompactTree,
    first: Option<String>,
}

impl Window {
    fn new(since: Time) -> Self {
        Self {
            since,
            singly: 0,
            more: 0,
            tree: CompactTree::new(),
            first: None,
        }
    }

    fn is_over(&self, now: Time) -> bool {
        now.millis_since(self.since) >= SECOND_MILLIS
    }

    fn summary(&self, client: &Name) -> Option<Entry> {
        (self.more > 0).then(|| {
            Entry::RefusedMany(RefusedMany {
                client: client.clone(),
                count: self.more,
                root: Digest(*self.tree.root().as_bytes()),
                first: self.first.clone().unwrap_or_default(),
            })
        })
    }

    fn count(&mut self, hash: RequestHash, first: Option<&Reason>) {
        self.more = self.more.saturating_add(1);
        // Full at 2^64 leaves: not within a second.
        let _full = self.tree.append(leaf_hash(&hash.0));
        if self.first.is_none() {
            self.first = first.map(|reason| reason.detail.clone());
        }
    }
}

impl Refusals {
    /// Takes note of a refusal; returns the entry to write now, if it is recorded singly.
    ///
    /// A window that is over must have been taken by [`Refusals::due`] before.
    pub(crate) fn note(&mut self, now: Time, refused: Refused) -> Option<Entry> {
        let window = self
            .clients
            .entry(refused.client.clone())
            .or_insert_with(|| Window::new(now));
        if window.singly < SINGLY_PER_SECOND {
            window.singly = window.singly.saturating_add(1);
            return Some(Entry::Refused(Box::new(refused)));
        }
        window.count(refused.request_hash, refused.reasons.first());
        None
    }

    /// The summaries of all windows that are over.
    pub(crate) fn due(&mut self, now: Time) -> Vec<Entry> {
        let due = self
            .clients
            .iter()
            .filter(|(_, window)| window.is_over(now));
        let entries = due
            .filter_map(|(client, window)| window.summary(client))
            .collect();
        self.clients.retain(|_, window| !window.is_over(now));
        entries
    }

    /// The summaries of all windows, at the end.
    pub(crate) fn drain(&mut self) -> Vec<Entry> {
        let clients = std::mem::take(&mut self.clients);
        clients
            .iter()
            .filter_map(|(client, window)| window.summary(client))
            .collect()
    }
}
