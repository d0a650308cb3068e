//! `GET /v1/keys`: public keys, addresses, and the room left.

use api::{
    journal::{Exposure, LogStatus, ScrubStatus, WitnessStatus},
    problem::{Problem, ProblemKind},
    server::Answer,
    signing::{Key, KeyAddress, KeysAnswer, TimeCredit},
};
use hyper::StatusCode;
use policy::{Client, Credited, Group, Limit, State};
use tx::{Chain, Name, OwnKey};

use super::evaluate::unknown;
use crate::{heartbeat, service::Service, wire};

/// The keys of the client's accounts, or the one of this name.
///
/// # Errors
/// A problem when there is no such key for the client.
pub fn keys(service: &Service, client: &Client, name: Option<&Name>) -> Result<Answer, Problem> {
    let state = service.journal.state();
    let policy = state.policy().ok_or_else(super::no_policy)?;
    let granted = |key: &&OwnKey| client.accounts.contains(&key.account);
    let named = |key: &&OwnKey| name.is_none_or(|name| key.name == *name);
    let registry = state.registry();
    let keys: Vec<Key> = registry
        .keys()
        .filter(granted)
        .filter(named)
        .map(|key| describe(&state, key))
        .collect();
    if let Some(name) = name
        && keys.is_empty()
    {
        let detail = format!("There is no key {name} for this client.");
        return Err(Problem::new(ProblemKind::NotFound, detail));
    }
    let now = service.journal.now();
    let answer = KeysAnswer {
        keys,
        limits: state
            .room_where(now, is_shown)
            .map_err(|error| unknown(&error))?
            .iter()
            .map(wire::room)
            .collect(),
        epoch: state.epoch(),
        policy: policy.hash.to_string(),
        time: now,
        journal: Some(log_status(service, &state)),
        heartbeat: heartbeat::due(&state, now),
        credited: state.credited().map(credit),
    };
    Ok(Answer::json(StatusCode::OK, &answer))
}

/// By whom the earliest time was moved on last.
fn credit(credited: &Credited) -> TimeCredit {
    TimeCredit {
        by: credited.by.as_str().to_owned(),
        entry: credited.entry,
        lo: credited.lo,
        millis: credited.millis,
    }
}

/// How the log stands. The state is held, so that it is not asked for again.
fn log_status(service: &Service, state: &State) -> LogStatus {
    let checkpoints = &service.checkpoints;
    let covered = checkpoints.covered();
    let (entries, since) = checkpoints.exposed(state.entries_to_cover());
    let quorum = state.policy().and_then(|policy| policy.witnesses.as_ref());
    let count = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
    LogStatus {
        origin: service.journal.origin().to_string(),
        entries: service.journal.bodies().durable(),
        uncovered: state.entries_to_cover().saturating_sub(covered),
        checkpoint: checkpoints.newest().map(|newest| newest.head().size),
        log_key: checkpoints.key().map(|key| key.verifier.to_string()),
        trouble: checkpoints.trouble(),
        witnesses: quorum.map(|quorum| WitnessStatus {
            named: count(quorum.witnesses().len()),
            needed: count(quorum.needed()),
            witnessed: service.witnesses.witnessed(quorum),
        }),
        exposure: Some(Exposure {
            entries,
            secs: since.as_secs(),
        }),
        scrub: Some(ScrubStatus {
            entries: service.journal.scrubbed().entries(),
            finished: service.journal.scrubbed().finished(),
        }),
    }
}

/// A limit that is counted by destination is not shown: its groups are the list of all who were
/// paid, without end and no business of a client.
fn is_shown(limit: &Limit) -> bool {
    !limit.group.contains(&Group::Destination)
}

fn describe(state: &State, key: &OwnKey) -> Key {
    let assurance = state
        .registration(&key.name)
        .map(|known| known.assurance.clone());
    Key {
        name: key.name.clone(),
        account: key.account.clone(),
        class: key.class,
        public_key: key.public.to_string(),
        assurance: assurance.unwrap_or_default(),
        addresses: key
            .chains
            .iter()
            .filter_map(|chain| address(state, key, *chain))
            .collect(),
    }
}

fn address(state: &State, key: &OwnKey, chain: Chain) -> Option<KeyAddress> {
    let address = key.public.address(chain)?;
    Some(KeyAddress {
        chain,
        address: address.to_string(),
        lane_epoch: state.epoch_of(&key.account, &address),
        next_sequence: state.next_sequence_of(key, &address),
    })
}
