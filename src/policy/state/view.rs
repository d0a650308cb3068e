//! What is asked of the state by those who show it.

use tx::{Address, Name, OwnKey};

use super::{NotRecalled, RequestStatus, RowKey, State, lanes::lane_of_address};
use crate::{AttemptId, Checkpoint};

impl State {
    /// The fleet that the journal is for.
    pub fn fleet(&self) -> Option<&Name> {
        self.fleet.as_ref()
    }

    /// The last checkpoint that was authorised. Whether it was signed is not known by that.
    pub fn checkpoint(&self) -> Option<&Checkpoint> {
        self.checkpoint.as_ref()
    }

    /// How many entries the last state root covers; 0 before the first.
    pub fn rooted(&self) -> u64 {
        self.rooted
    }

    /// How many entries there are up to the last that is no checkpoint: a log with a checkpoint of
    /// as many needs no further one.
    pub fn entries_to_cover(&self) -> u64 {
        self.to_cover
    }

    /// How many attempts were authorised.
    pub fn attempt_count(&self) -> u64 {
        let counts = self.authorised.values().map(|numbered| numbered.count);
        counts.fold(0, u64::saturating_add)
    }

    /// The epoch of the owner of an own address's lane; 0 before the first attempt on it.
    pub fn epoch_of(&self, account: &Name, address: &Address) -> u64 {
        self.lane_epoch(&lane_of_address(account, address))
            .unwrap_or(0)
    }

    /// The next new sequence of an own key's address: after the highest that was signed, or the
    /// declared start. `None` where the chain has none, or no start is declared.
    pub fn next_sequence_of(&self, key: &OwnKey, address: &Address) -> Option<u64> {
        let policy = self.policy()?;
        let start = policy.sequences.get(&(key.name.clone(), address.chain()))?;
        let least = self.least_sequence(&key.name, address.chain());
        let signed = self.next_sequence(address);
        Some(start.next.max(signed.max(least).unwrap_or(0)))
    }

    /// How far each of a client's attempts came, oldest first: of a state that has every row.
    ///
    /// # Errors
    /// [`NotRecalled`].
    pub fn requests_of(
        &self,
        client: &Name,
    ) -> Result<Vec<(AttemptId, RequestStatus)>, NotRecalled> {
        let numbered = self.authorised.get(client);
        let attempts = numbered.into_iter().flat_map(|numbered| {
            (0..numbered.count).map(|number| (number, numbered.known.get(&number).copied()))
        });
        let missing = NotRecalled { kind: "attempt" };
        let mut requests = Vec::new();
        for (number, attempt) in attempts {
            let key = || RowKey::ClientAttempt(client.clone(), number);
            let attempt = self.found(attempt, key)?.ok_or(missing)?;
            let state = self.attempt(attempt)?.ok_or(missing)?;
            requests.push((attempt, state.status()));
        }
        Ok(requests)
    }
}
