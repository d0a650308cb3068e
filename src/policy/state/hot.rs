//! The hot state: what is bounded by the configuration, and stays in memory whole.
//!
//! Keys, sequences, lanes, freezes, numbers. With the rows of the endless sets, the charges that can
//! still be in a window and the bundle that governs, it is all of the state.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use thiserror::Error;
use tx::{Address, Asset, Chain, Interval, Name, Time};

use super::{
    BookState, Credited, Epoch, FinalState, FreezeState, HeadState, HeartbeatState, PriceState,
    Proposed, ReconciledState, RegisteredIntent, RegisteredTransaction, State, TimeState,
};
use crate::{BundleHash, Checkpoint, Digest, FreezeScope, KeyRegistration, statement::Head};

const VERSION: u8 = 2;
const HASH_LABEL: &str = "strongroom-hot-state-v2\n";

/// The hot state after some entries. It follows from the entries alone: not from the time that has
/// passed since the last one, and not from the order of what has none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HotState {
    /// The version of the form: 2.
    v: u8,
    entries: u64,
    /// That of the last entry.
    time: Option<Interval>,
    fleet: Option<Name>,
    /// The first bundle that governed.
    first: Option<BundleHash>,
    active: Option<Active>,
    next_call: u64,
    to_cover: u64,
    checkpoint: Option<Checkpoint>,
    /// How many entries the last state root covers.
    rooted: u64,
    /// How many entries have their bodies pruned.
    pruned: u64,
    /// In the order of their names.
    registrations: Vec<KeyRegistration>,
    /// The next new sequence of each account that signed one.
    sequences: BTreeMap<Address, u64>,
    lanes: BTreeMap<String, u64>,
    /// How many attempts each client has.
    authorised: BTreeMap<Name, u64>,
    /// In the order of their scopes.
    freezes: Vec<Freeze>,
    resumed: BTreeSet<Digest>,
    lost: BTreeSet<Head>,
    epoch: Option<Epoch>,
    /// Not written where nothing waits, as before there were bundles that wait.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    proposed: Option<Proposed>,
    /// As that.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    vetoed: BTreeSet<BundleHash>,
    /// The last entry by which something was un-frozen: no entry that does is the first.
    #[serde(default, skip_serializing_if = "is_zero")]
    unfrozen: u64,
    /// In the order of their ids; not written where there is none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    registered: Vec<RegisteredIntent>,
    /// In the order of assets and attesters; not written where there is none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    prices: Vec<Said>,
    /// Of the books that were loaded apart; not written where there is none.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    books: BTreeMap<Name, BookState>,
    /// In the order of accounts and attesters; not written where there is none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    finals: Vec<Final>,
    /// Not written where no heartbeat is asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    heartbeat: Option<HeartbeatState>,
    /// In the order of chains and attesters; not written where there is none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    heads: Vec<OfChain>,
    /// Not written where there is none.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    reconciled: BTreeMap<Name, ReconciledState>,
    /// In the order of clients and their ids; not written where there is none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    transactions: Vec<RegisteredTransaction>,
    /// Not written where there is none.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    times: BTreeMap<Name, TimeState>,
    /// Not written where `lo` was never moved on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    credited: Option<Credited>,
}

pub(super) fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// The bundle that governs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Active {
    hash: BundleHash,
    sequence: u64,
}

/// What is frozen, and the entry that last said so.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Freeze {
    scope: FreezeScope,
    at: u64,
    /// Not written where it was not un-frozen, as before that could be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    until: Option<Time>,
}

/// What an attester said last of an asset's price.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Said {
    asset: Asset,
    attester: Name,
    price: PriceState,
}

/// What an attester said last of an account's final sequences.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Final {
    account: Address,
    attester: Name,
    said: FinalState,
}

/// What an attester said last of a chain's height.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct OfChain {
    chain: Chain,
    attester: Name,
    said: HeadState,
}

/// Why bytes are no hot state.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum HotStateError {
    /// There are more than [`HotState::BYTES_MAX`].
    #[error("a hot state takes at most {} bytes", HotState::BYTES_MAX)]
    TooLong,
    /// They are of another version than 2.
    #[error("the hot state has version {found}, not 2")]
    Version {
        /// The version.
        found: u64,
    },
    /// They are no JSON of a hot state.
    #[error("the bytes are no hot state")]
    Form(#[source] serde_json::Error),
    /// They say in other bytes what a hot state says in its own.
    #[error("the hot state is not in its one spelling")]
    Spelling,
}

/// What every version begins with.
#[derive(Deserialize)]
struct Versioned {
    v: u64,
}

impl HotState {
    /// The most bytes of a hot state: tens of thousands of keys.
    pub const BYTES_MAX: usize = 16 * 1024 * 1024;

    /// Its bytes: JSON without spaces, fields in the order of version 2, what has no order of its own
    /// sorted. Equal states have equal bytes, others have others.
    ///
    /// # Errors
    /// [`HotStateError::TooLong`]: it could not be read again.
    pub fn encode(&self) -> Result<Vec<u8>, HotStateError> {
        let bytes = serde_json::to_vec(self).map_err(HotStateError::Form)?;
        if bytes.len() > Self::BYTES_MAX {
            return Err(HotStateError::TooLong);
        }
        Ok(bytes)
    }

    /// Reads the bytes that [`HotState::encode`] gives, and no others.
    ///
    /// # Errors
    /// [`HotStateError`].
    pub fn decode(bytes: &[u8]) -> Result<Self, HotStateError> {
        if bytes.len() > Self::BYTES_MAX {
            return Err(HotStateError::TooLong);
        }
        let Versioned { v } = serde_json::from_slice(bytes).map_err(HotStateError::Form)?;
        if v != u64::from(VERSION) {
            return Err(HotStateError::Version { found: v });
        }
        let state: Self = serde_json::from_slice(bytes).map_err(HotStateError::Form)?;
        if state.encode()? != bytes || !state.is_sorted() {
            return Err(HotStateError::Spelling);
        }
        Ok(state)
    }

    /// SHA-256("strongroom-hot-state-v2\n" || bytes).
    ///
    /// # Errors
    /// As [`HotState::encode`].
    pub fn hash(&self) -> Result<Digest, HotStateError> {
        let hash = Sha256::new()
            .chain_update(HASH_LABEL)
            .chain_update(self.encode()?);
        Ok(Digest(hash.finalize().into()))
    }

    /// How many entries it follows from.
    pub fn entries(&self) -> u64 {
        self.entries
    }

    /// That of the last entry.
    pub fn time(&self) -> Option<Interval> {
        self.time
    }

    /// How many entries the last state root covers that is among them.
    pub fn rooted(&self) -> u64 {
        self.rooted
    }

    /// The bundle that governs.
    pub fn active(&self) -> Option<BundleHash> {
        self.active.map(|active| active.hash)
    }

    /// The state with this part and nothing else, and how many attempts each client has.
    pub(super) fn thawed(self) -> (State, BTreeMap<Name, u64>) {
        let registrations = self.registrations.into_iter();
        let freezes = self.freezes.into_iter();
        let state = State {
            entries: self.entries,
            time: self.time,
            lo: self.time.map(|time| time.lo).unwrap_or_default(),
            fleet: self.fleet,
            first: self.first,
            active: self.active.map(|active| (active.hash, active.sequence)),
            next_call: self.next_call,
            to_cover: self.to_cover,
            checkpoint: self.checkpoint,
            rooted: self.rooted,
            pruned: self.pruned,
            registrations: registrations.map(|key| (key.name.clone(), key)).collect(),
            sequences: self.sequences.into_iter().collect(),
            lanes: self.lanes.into_iter().collect(),
            freezes: freezes
                .map(|Freeze { scope, at, until }| (scope, FreezeState { at, until }))
                .collect(),
            unfrozen: self.unfrozen,
            resumed: self.resumed,
            lost: self.lost,
            begun: self.epoch,
            proposed: self.proposed,
            vetoed: self.vetoed,
            books: self.books,
            registered: self
                .registered
                .into_iter()
                .map(|one| (one.intent.id.clone(), one))
                .collect(),
            prices: self
                .prices
                .into_iter()
                .map(|said| ((said.asset, said.attester), said.price))
                .collect(),
            finals: self
                .finals
                .into_iter()
                .map(|one| ((one.account, one.attester), one.said))
                .collect(),
            heartbeat: self.heartbeat,
            heads: self
                .heads
                .into_iter()
                .map(|one| ((one.chain, one.attester), one.said))
                .collect(),
            reconciled: self.reconciled,
            times: self.times,
            credited: self.credited,
            transactions: self
                .transactions
                .into_iter()
                .map(|one| {
                    let of = (one.proposed.client.clone(), one.proposed.request.clone());
                    (of, one)
                })
                .collect(),
            ..State::new()
        };
        (state, self.authorised)
    }

    /// The lists, that is: maps and sets sort themselves.
    fn is_sorted(&self) -> bool {
        let names = self.registrations.iter().map(|key| &key.name);
        let scopes = self.freezes.iter().map(|freeze| &freeze.scope);
        let ids = self.registered.iter().map(|one| &one.intent.id);
        let prices = self.prices.iter().map(|said| (&said.asset, &said.attester));
        let finals = self.finals.iter().map(|one| (&one.account, &one.attester));
        let heads = self.heads.iter().map(|one| (&one.chain, &one.attester));
        let transactions = self.transactions.iter().map(|one| &one.proposed);
        let transactions = transactions.map(|one| (&one.client, &one.request));
        names.is_sorted_by(|one, next| one < next)
            && scopes.is_sorted_by(|one, next| one < next)
            && ids.is_sorted_by(|one, next| one < next)
            && prices.is_sorted_by(|one, next| one < next)
            && finals.is_sorted_by(|one, next| one < next)
            && heads.is_sorted_by(|one, next| one < next)
            && transactions.is_sorted_by(|one, next| one < next)
    }
}

impl State {
    /// The hot part of it, as of the last entry.
    pub fn hot(&self) -> HotState {
        let authorised = self.authorised.iter();
        let freezes = self.freezes.iter();
        HotState {
            v: VERSION,
            entries: self.entries,
            time: self.time,
            fleet: self.fleet.clone(),
            first: self.first,
            active: self
                .active
                .map(|(hash, sequence)| Active { hash, sequence }),
            next_call: self.next_call,
            to_cover: self.to_cover,
            checkpoint: self.checkpoint.clone(),
            rooted: self.rooted,
            pruned: self.pruned,
            registrations: self.registrations.values().cloned().collect(),
            sequences: self.sequences.clone().into_iter().collect(),
            lanes: self.lanes.clone().into_iter().collect(),
            authorised: authorised
                .map(|(client, numbered)| (client.clone(), numbered.count))
                .collect(),
            freezes: freezes
                .map(|(scope, freeze)| Freeze {
                    scope: scope.clone(),
                    at: freeze.at,
                    until: freeze.until,
                })
                .collect(),
            resumed: self.resumed.clone(),
            lost: self.lost.clone(),
            epoch: self.begun.clone(),
            proposed: self.proposed.clone(),
            vetoed: self.vetoed.clone(),
            unfrozen: self.unfrozen,
            registered: self.registered.values().cloned().collect(),
            prices: self
                .prices()
                .map(|(asset, attester, price)| Said {
                    asset: asset.clone(),
                    attester: attester.clone(),
                    price: price.clone(),
                })
                .collect(),
            books: self.books.clone(),
            finals: self
                .finals()
                .map(|(account, attester, said)| Final {
                    account: account.clone(),
                    attester: attester.clone(),
                    said: said.clone(),
                })
                .collect(),
            heartbeat: self.heartbeat.clone(),
            heads: self
                .heads()
                .map(|(chain, attester, said)| OfChain {
                    chain: *chain,
                    attester: attester.clone(),
                    said: said.clone(),
                })
                .collect(),
            reconciled: self.reconciled.clone(),
            transactions: self.transactions.values().cloned().collect(),
            times: self.times.clone(),
            credited: self.credited,
        }
    }
}
