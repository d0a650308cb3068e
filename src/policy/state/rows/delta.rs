//! Which rows an entry writes.

use std::collections::BTreeSet;

use tx::{ConflictKey, IntentId, Name};

use super::{super::fates::attempt_of, Consumed, Row, RowKey};
use crate::{Attempt, AttemptId, Entry, RequestId, State};

impl State {
    /// Every row that is in memory: all of them, as long as none was settled.
    pub fn rows(&self) -> impl Iterator<Item = Row> {
        let attempts = self.attempts.iter();
        let attempts = attempts.map(|(id, state)| Row::Attempt(*id, state.clone()));
        let requests = self.requests.iter().flat_map(|(client, requests)| {
            let row = |(request, latest): (&RequestId, &AttemptId)| {
                Row::Request(client.clone(), request.clone(), *latest)
            };
            requests.iter().map(row)
        });
        let authorised = self.authorised.iter().flat_map(|(client, numbered)| {
            let row = |(number, attempt): (&u64, &AttemptId)| {
                Row::ClientAttempt(client.clone(), *number, *attempt)
            };
            numbered.known.iter().map(row)
        });
        let intents = self.intents.iter();
        let intents = intents.map(|(id, state)| Row::Intent(id.clone(), state.clone()));
        // A key that anchors a set is consumed by the set's first attempt.
        let consumed = self.consumers.keys().filter_map(|key| self.consumed(key));
        let paid = self.paid.iter();
        let paid = paid.map(|(address, first)| Row::Paid(address.clone(), *first));
        let r_used = self.r_used.iter();
        let r_used = r_used.map(|(r, what)| Row::R(*r, what.clone()));
        let fates = self.fates.iter();
        let fates = fates.map(|(attempt, said)| Row::Fate(*attempt, said.clone()));
        attempts
            .chain(requests)
            .chain(authorised)
            .chain(intents)
            .chain(consumed)
            .chain(paid)
            .chain(r_used)
            .chain(fates)
    }

    /// The row of this key, if it is in memory.
    pub fn row(&self, key: &RowKey) -> Option<Row> {
        match key {
            RowKey::Attempt(id) => {
                let state = self.attempts.get(id)?;
                Some(Row::Attempt(*id, state.clone()))
            }
            RowKey::Request(client, request) => {
                let latest = self.requests.get(client)?.get(request)?;
                Some(Row::Request(client.clone(), request.clone(), *latest))
            }
            RowKey::ClientAttempt(client, number) => {
                let attempt = self.authorised.get(client)?.known.get(number)?;
                Some(Row::ClientAttempt(client.clone(), *number, *attempt))
            }
            RowKey::Intent(id) => {
                let state = self.intents.get(id)?;
                Some(Row::Intent(id.clone(), state.clone()))
            }
            RowKey::Consumed(key) => self.consumed(key),
            RowKey::Paid(address) => {
                let (address, first) = self.paid.get_key_value(address)?;
                Some(Row::Paid(address.clone(), *first))
            }
            RowKey::R(r) => Some(Row::R(*r, self.r_used.get(r)?.clone())),
            RowKey::Fate(attempt) => {
                let said = self.fates.get(attempt)?;
                Some(Row::Fate(*attempt, said.clone()))
            }
        }
    }

    /// The rows that the entry at `index` writes, as they are now: asked at once after the entry was
    /// applied, they are what it made of them. Nothing for an entry that was not applied.
    pub fn rows_written(&self, index: u64, entry: &Entry) -> Vec<Row> {
        let rows = self.rows_by_key(index, entry);
        rows.map(|(_, row)| row).collect()
    }

    /// As [`State::rows_written`], each with its key.
    pub fn rows_by_key(&self, index: u64, entry: &Entry) -> impl Iterator<Item = (RowKey, Row)> {
        let keys: BTreeSet<RowKey> = match entry {
            Entry::Attempt(attempt) => self.keys_of(AttemptId(index), attempt).collect(),
            Entry::Call { attempt, .. } | Entry::Failed { attempt, .. } => {
                [RowKey::Attempt(*attempt)].into()
            }
            Entry::Signed(signed) => RowKey::read_by_signed(signed).collect(),
            Entry::IntentRegistered(registered) => {
                [RowKey::Intent(registered.signed.intent.id.clone())].into()
            }
            Entry::IntentDecided(decided) if decided.closes => {
                [RowKey::Intent(decided.intent.clone())].into()
            }
            Entry::Attested(said) => attempt_of(said).map(RowKey::Fate).into_iter().collect(),
            _ => BTreeSet::new(),
        };
        keys.into_iter().filter_map(|key| {
            let row = self.row(&key)?;
            Some((key, row))
        })
    }

    fn consumed(&self, key: &ConflictKey) -> Option<Row> {
        let consumed = Consumed {
            anchors: self.anchors.get(key).copied(),
            attempts: self.consumers.get(key)?.iter().collect(),
        };
        Some(Row::Consumed(key.clone(), consumed))
    }

    fn keys_of<'a>(
        &'a self,
        id: AttemptId,
        attempt: &'a Attempt,
    ) -> impl Iterator<Item = RowKey> + 'a {
        let (client, request) = (&attempt.client, &attempt.request);
        let number = self.number_of(client, id);
        let itself = [
            RowKey::Attempt(id),
            RowKey::Request(client.clone(), request.clone()),
        ];
        itself
            .into_iter()
            .chain(number.map(|number| RowKey::ClientAttempt(client.clone(), number)))
            .chain(intents(attempt).map(RowKey::Intent))
            .chain(attempt.keys.iter().cloned().map(RowKey::Consumed))
            .chain(attempt.paid().cloned().map(RowKey::Paid))
    }

    fn number_of(&self, client: &Name, attempt: AttemptId) -> Option<u64> {
        // Asked at once after the attempt was charged: it is the client's last.
        let (number, last) = self.authorised.get(client)?.known.last_key_value()?;
        (*last == attempt).then_some(*number)
    }
}

fn intents(attempt: &Attempt) -> impl Iterator<Item = IntentId> {
    let intents = attempt.intents.iter();
    intents.map(|signed| signed.intent.id.clone())
}
