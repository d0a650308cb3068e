//! Rows that are kept elsewhere, and come back when they are asked for.
//!
//! Memory holds what was written lately. Once the rows of the first entries are settled, on disk that is,
//! what is not in memory is not known: neither that it is, nor that it never was. Whoever decides or
//! applies recalls the rows that are read first, present or absent; asking for another one is an error.

use std::collections::BTreeMap;

use thiserror::Error;
use tx::Name;

use super::{Consumers, HotState, RestoreError, State, fates::attempt_of};
use crate::{Attempt, AttemptId, ChargeState, Entry, KeptBlocks, Row, RowKey, Signed};

/// A row was read that is neither in memory nor recalled. No absence follows from that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("a row of kind {kind} was read and not recalled before")]
pub struct NotRecalled {
    /// Its kind.
    pub kind: &'static str,
}

/// The attempts of a client by their numbers, as far as they are in memory.
#[derive(Clone, Debug, Default)]
pub(super) struct Numbered {
    /// How many there are, in memory or not.
    pub(super) count: u64,
    pub(super) known: BTreeMap<u64, AttemptId>,
}

impl Numbered {
    pub(super) fn push(&mut self, attempt: AttemptId) {
        self.known.insert(self.count, attempt);
        self.count = self.count.saturating_add(1);
    }
}

impl State {
    /// The state of its hot part and the charges, of which all rows are settled. No policy governs it
    /// before [`State::activate`] is called.
    ///
    /// # Errors
    /// [`RestoreError`], of the charges.
    pub fn settled_at<S: AsRef<[u8]>>(
        hot: HotState,
        charges: ChargeState,
        blocks: KeptBlocks<impl IntoIterator<Item = S>>,
    ) -> Result<Self, RestoreError> {
        let (mut state, counts) = hot.thawed();
        state.settled = state.entries;
        state.authorised = counts
            .into_iter()
            .map(|(client, count)| {
                let known = BTreeMap::new();
                (client, Numbered { count, known })
            })
            .collect();
        state.put_charges(charges, blocks)?;
        Ok(state)
    }

    /// How many entries' rows are settled: kept where they can be recalled from. 0 as long as memory has
    /// every row.
    pub fn settled(&self) -> u64 {
        self.settled
    }

    /// Makes room for the rows of so many more attempts that each spend one key and pay one intent.
    pub fn reserve(&mut self, attempts: usize) {
        self.attempts.reserve(attempts);
        self.intents.reserve(attempts);
        self.consumers.reserve(attempts);
        self.anchors.reserve(attempts);
        self.paid.reserve(attempts);
    }

    /// From here on, what the first `covers` entries wrote may be forgotten, and what is in memory is not
    /// all there is.
    pub fn settle(&mut self, covers: u64) {
        self.settled = self.settled.max(covers);
    }

    /// Whether the row is in memory, or known to be none.
    pub fn knows(&self, key: &RowKey) -> bool {
        self.settled == 0 || self.holds(key) || self.absent.contains(key)
    }

    /// Takes a row, or that there is none, from where rows are kept. What is in memory is newer and stays.
    pub fn recall(&mut self, key: RowKey, row: Option<Row>) {
        if self.holds(&key) {
            return;
        }
        match row {
            Some(row) => {
                self.put(row);
                self.recalled.push(key);
            }
            None => {
                self.absent.insert(key);
            }
        }
    }

    /// Forgets what was recalled, but for what an entry has written since.
    pub fn forget_recalled(&mut self, is_written: impl Fn(&RowKey) -> bool) {
        self.absent.clear();
        for key in std::mem::take(&mut self.recalled) {
            if !is_written(&key) {
                self.forget(&key);
            }
        }
    }

    /// Forgets a row, which is settled.
    pub fn forget(&mut self, key: &RowKey) {
        match key {
            RowKey::Attempt(id) => drop(self.attempts.remove(id)),
            RowKey::Request(client, request) => {
                if let Some(requests) = self.requests.get_mut(client) {
                    requests.remove(request);
                }
            }
            RowKey::ClientAttempt(client, number) => {
                if let Some(numbered) = self.authorised.get_mut(client) {
                    numbered.known.remove(number);
                }
            }
            RowKey::Intent(id) => drop(self.intents.remove(id)),
            RowKey::Consumed(key) => {
                self.consumers.remove(key);
                self.anchors.remove(key);
            }
            RowKey::Paid(address) => drop(self.paid.remove(address)),
            RowKey::R(r) => drop(self.r_used.remove(r)),
            RowKey::Fate(attempt) => drop(self.fates.remove(attempt)),
        }
    }

    fn holds(&self, key: &RowKey) -> bool {
        match key {
            RowKey::Attempt(id) => self.attempts.contains_key(id),
            RowKey::Request(client, request) => {
                let requests = self.requests.get(client);
                requests.is_some_and(|requests| requests.contains_key(request))
            }
            RowKey::ClientAttempt(client, number) => {
                let numbered = self.authorised.get(client);
                numbered.is_some_and(|numbered| numbered.known.contains_key(number))
            }
            RowKey::Intent(id) => self.intents.contains_key(id),
            RowKey::Consumed(key) => self.consumers.contains_key(key),
            RowKey::Paid(address) => self.paid.contains_key(address),
            RowKey::R(r) => self.r_used.contains_key(r),
            RowKey::Fate(attempt) => self.fates.contains_key(attempt),
        }
    }

    /// Takes a row into memory. A key that nothing consumes has no row.
    pub(super) fn put(&mut self, row: Row) {
        match row {
            Row::Attempt(id, attempt) => drop(self.attempts.insert(id, attempt)),
            Row::Request(client, request, latest) => {
                let requests = self.requests.entry(client).or_default();
                requests.insert(request, latest);
            }
            Row::ClientAttempt(client, number, attempt) => {
                let numbered = self.authorised.entry(client).or_default();
                numbered.known.insert(number, attempt);
            }
            Row::Intent(id, intent) => drop(self.intents.insert(id, intent)),
            Row::Consumed(key, consumed) => {
                if let Some(set) = consumed.anchors {
                    self.anchors.insert(key.clone(), set);
                }
                if let Some(consumers) = Consumers::of(consumed.attempts) {
                    self.consumers.insert(key, consumers);
                }
            }
            Row::Paid(address, first) => drop(self.paid.insert(address, first)),
            Row::R(r, what) => drop(self.r_used.insert(r, what)),
            Row::Fate(attempt, said) => drop(self.fates.insert(attempt, said)),
        }
    }

    /// What was found in memory; nothing only where it is known that there is nothing.
    pub(super) fn found<T>(
        &self,
        found: Option<T>,
        key: impl FnOnce() -> RowKey,
    ) -> Result<Option<T>, NotRecalled> {
        if found.is_some() || self.settled == 0 {
            return Ok(found);
        }
        let key = key();
        match self.absent.contains(&key) {
            true => Ok(None),
            false => Err(NotRecalled { kind: key.kind() }),
        }
    }

    /// Whether all is known that applying this attempt reads.
    pub(super) fn knows_of(&self, attempt: &Attempt) -> Result<(), NotRecalled> {
        self.knows_all(RowKey::read_by_attempt(attempt))
    }

    pub(super) fn knows_all(
        &self,
        keys: impl IntoIterator<Item = RowKey>,
    ) -> Result<(), NotRecalled> {
        if self.settled == 0 {
            return Ok(());
        }
        match keys.into_iter().find(|key| !self.knows(key)) {
            Some(key) => Err(NotRecalled { kind: key.kind() }),
            None => Ok(()),
        }
    }

    /// How many attempts a client has.
    pub fn authorised(&self, client: &Name) -> u64 {
        let numbered = self.authorised.get(client);
        numbered.map_or(0, |numbered| numbered.count)
    }
}

impl RowKey {
    /// The keys of the rows that applying an entry reads first. A request's row names a further one:
    /// [`Row::names`].
    pub fn read_by(entry: &Entry) -> Vec<Self> {
        match entry {
            Entry::Attempt(attempt) => Self::read_by_attempt(attempt).collect(),
            Entry::Call { attempt, .. } | Entry::Failed { attempt, .. } => {
                vec![Self::Attempt(*attempt)]
            }
            Entry::Signed(signed) => Self::read_by_signed(signed).collect(),
            Entry::IntentRegistered(registered) => {
                vec![Self::Intent(registered.signed.intent.id.clone())]
            }
            Entry::IntentDecided(decided) if decided.closes => {
                vec![Self::Intent(decided.intent.clone())]
            }
            Entry::Attested(said) => match attempt_of(said) {
                Some(attempt) => vec![Self::Attempt(attempt), Self::Fate(attempt)],
                None => Vec::new(),
            },
            _ => Vec::new(),
        }
    }

    /// The keys of the rows that signatures hang on: their attempt, and every `r`.
    pub fn read_by_signed(signed: &Signed) -> impl Iterator<Item = Self> {
        let made = signed.signatures.iter();
        [Self::Attempt(signed.attempt)]
            .into_iter()
            .chain(made.map(|made| Self::R(made.r)))
    }

    fn read_by_attempt(attempt: &Attempt) -> impl Iterator<Item = Self> {
        let intents = attempt.intents.iter();
        let dead = attempt.facts.iter().flat_map(|fact| &fact.dead);
        [Self::Request(
            attempt.client.clone(),
            attempt.request.clone(),
        )]
        .into_iter()
        .chain(attempt.resumes.map(Self::Attempt))
        .chain(attempt.keys.iter().cloned().map(Self::Consumed))
        .chain(intents.map(|signed| Self::Intent(signed.intent.id.clone())))
        .chain(attempt.paid().cloned().map(Self::Paid))
        .chain(dead.flat_map(|id| [Self::Attempt(*id), Self::Fate(*id)]))
    }
}
