//! What is asked of the state by those who show it.

use tx::{Address, Chain, Name, OwnKey};

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

    /// The highest epoch of any lane.
    pub fn highest_lane_epoch(&self) -> u64 {
        let known = self.lanes.values().copied().max();
        known.max(self.least_lane_epoch()).unwrap_or(0)
    }

    /// Every key of the policy's accounts on each of its chains, with the next sequence as it is known
    /// where the chain has sequences: what a new epoch must say something of.
    pub fn epoch_keys(&self) -> Vec<(Name, Chain, Option<u64>)> {
        let Some(policy) = self.policy() else {
            return Vec::new();
        };
        let accounts = policy.accounts.values();
        let keys = accounts.flat_map(|account| {
            let of_key = |key| account.chains.iter().map(move |chain| (key, *chain));
            account.keys.iter().flat_map(of_key)
        });
        let registry = self.registry();
        let next = |key: &Name, chain: Chain| {
            let start = policy.sequences.get(&(key.clone(), chain));
            let signed = registry
                .key_by_name(key)
                .and_then(|key| self.next_sequence(&key.public.address(chain)?));
            let least = self.least_sequence(key, chain);
            let start = start.map(|start| start.next);
            start.max(signed).max(least).unwrap_or(0)
        };
        let mut keys: Vec<_> = keys
            .map(|(key, chain)| {
                let has_sequence = matches!(chain, Chain::Evm(_));
                let next = has_sequence.then(|| next(key, chain));
                (key.clone(), chain, next)
            })
            .collect();
        keys.sort();
        keys
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
