//! The rate at which refusals are recorded singly: a client that sends nonsense must not fill the
//! disk, and none of it may pass unrecorded.

use std::collections::BTreeMap;

use policy::{Asked, Blob, Digest, Entry, Reason, Refused, RefusedMany, RequestHash};
use tlog::{CompactTree, leaf_hash};
use tx::Name;

/// Refusals of one client recorded singly in one second.
pub(crate) const SINGLY_PER_SECOND: u32 = 16;
/// Bytes of refusals of one client recorded singly in one second, but for the first, which always
/// is: 64 KiB a second are what a disk takes for weeks.
const BYTES_PER_SECOND: usize = 64 * 1024;
const SECOND_MILLIS: u64 = 1000;
/// Counts refusals per client and second, by the boot clock, which nobody sets: whatever the wall
/// clock does, a summary is written a second later.
#[derive(Debug, Default)]
pub(crate) struct Refusals {
    clients: BTreeMap<Name, Window>,
}

#[derive(Debug)]
struct Window {
    since_boot_millis: u64,
    singly: u32,
    /// Of those that were recorded singly.
    bytes: usize,
    more: u64,
    tree: CompactTree,
    first: Option<String>,
}

impl Window {
    fn new(since_boot_millis: u64) -> Self {
        Self {
            since_boot_millis,
            singly: 0,
            bytes: 0,
            more: 0,
            tree: CompactTree::new(),
            first: None,
        }
    }

    /// Takes room for a refusal of so many bytes, if there is.
    fn has_room(&mut self, bytes: usize) -> bool {
        let with = self.bytes.saturating_add(bytes);
        let first = self.singly == 0;
        if !first && (self.singly >= SINGLY_PER_SECOND || with > BYTES_PER_SECOND) {
            return false;
        }
        self.singly = self.singly.saturating_add(1);
        self.bytes = with;
        true
    }

    fn is_over(&self, boot_millis: u64) -> bool {
        boot_millis.saturating_sub(self.since_boot_millis) >= SECOND_MILLIS
    }

    fn summary(self, client: Name) -> Option<Entry> {
        (self.more > 0).then(|| {
            Entry::RefusedMany(RefusedMany {
                client,
                count: self.more,
                root: Digest(*self.tree.root().as_bytes()),
                first: self.first.unwrap_or_default(),
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
    pub(crate) fn note(&mut self, boot_millis: u64, refused: Refused) -> Option<Entry> {
        let window = self
            .clients
            .entry(refused.client.clone())
            .or_insert_with(|| Window::new(boot_millis));
        if window.has_room(size(&refused)) {
            return Some(Entry::Refused(Box::new(refused)));
        }
        window.count(refused.request_hash, refused.reasons.first());
        None
    }

    /// The summaries of windows that are over, `most` of them; the others keep.
    pub(crate) fn due(&mut self, boot_millis: u64, most: usize) -> Vec<Entry> {
        self.take(most, |window| window.is_over(boot_millis))
    }

    /// The summaries of windows over or not, `most` of them, at the end.
    pub(crate) fn rest(&mut self, most: usize) -> Vec<Entry> {
        self.take(most, |_| true)
    }

    fn take(&mut self, most: usize, mut taken: impl FnMut(&Window) -> bool) -> Vec<Entry> {
        let windows = self.clients.extract_if(.., |_, window| taken(window));
        windows
            .filter_map(|(client, window)| window.summary(client))
            .take(most)
            .collect()
    }
}

/// About how long a refusal's entry is: the texts that a client has a say in.
fn size(refused: &Refused) -> usize {
    let transaction = match &refused.transaction {
        Blob::Inline(text) | Blob::Sha256(text) => text.len(),
    };
    let asked = refused.asked.as_ref().map_or(0, Asked::bytes);
    let reasons = refused.reasons.iter();
    let sentences = reasons.map(|reason| reason.detail.len().saturating_add(reason.remedy.len()));
    sentences.fold(transaction.saturating_add(asked), usize::saturating_add)
}

#[cfg(test)]
mod tests {
    use policy::ReasonCode;

    use super::*;

    fn refused(client: &str, reasons: usize) -> Refused {
        let reason = |n: usize| Reason {
            code: ReasonCode::Uncovered,
            statement: None,
            at: None,
            detail: format!("no {n}"),
            remedy: "none".into(),
        };
        Refused {
            client: client.parse().unwrap(),
            request: "r".parse().unwrap(),
            request_hash: RequestHash([1; 32]),
            transaction: Blob::Inline(String::new()),
            asked: None,
            policy: Default::default(),
            reasons: (0..reasons).map(reason).collect(),
            needs: Default::default(),
        }
    }

    #[test]
    fn summaries_that_find_no_room_keep() {
        let mut refusals = Refusals::default();
        for n in 0..3 {
            for _ in 0..=SINGLY_PER_SECOND {
                let _entry = refusals.note(0, refused(&format!("c{n}"), 1));
            }
        }
        assert_eq!(refusals.due(SECOND_MILLIS - 1, 9).len(), 0);
        assert_eq!(refusals.due(SECOND_MILLIS, 2).len(), 2);
        assert_eq!(refusals.due(SECOND_MILLIS, 2).len(), 1);
        assert_eq!(refusals.rest(2).len(), 0);
    }

    #[test]
    fn large_refusals_are_recorded_singly_only_as_far_as_a_second_has_room() {
        let mut refusals = Refusals::default();
        let large = || Refused {
            transaction: Blob::Inline("x".repeat(20 * 1024)),
            ..refused("walletd", 1)
        };
        let singly = (0..16)
            .filter(|_| refusals.note(0, large()).is_some())
            .count();
        assert_eq!(singly, 3);
        let [Entry::RefusedMany(many)] = &refusals.due(1000, 1)[..] else {
            panic!("no summary");
        };
        assert_eq!(many.count, 13);
        // A refusal that is larger than a second's room is recorded when it is the first.
        let huge = Refused {
            transaction: Blob::Inline("x".repeat(100 * 1024)),
            ..refused("walletd", 1)
        };
        assert!(refusals.note(2000, huge).is_some());
        assert!(refusals.note(2000, refused("walletd", 1)).is_none());
    }
}
