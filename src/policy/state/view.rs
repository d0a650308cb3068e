//! What is asked of the state by those who show it.

use tx::{Address, Name, OwnKey};

use super::{RequestStatus, State, lanes::lane_of_address};
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
        u64::try_from(self.attempts.len()).unwrap_or(u64::MAX)
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

    /// A client's attempts from this one on, oldest first, and how far each came.
    pub fn requests_from(
        &self,
        client: &Name,
        from: AttemptId,
    ) -> impl Iterator<Item = (AttemptId, RequestStatus)> {
        let attempts = self.authorised.get(client).map_or(&[][..], Vec::as_slice);
        let start = attempts.partition_point(|attempt| *attempt < from);
        attempts.iter().skip(start).filter_map(|attempt| {
            self.attempts
                .get(attempt)
                .map(|state| (*attempt, state.status()))
        })
    }
}
