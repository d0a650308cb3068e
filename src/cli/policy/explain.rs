//! `strongroom policy explain`: the verdict of a signer that has signed nothing yet.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use policy::bundle::{self, MANIFEST, Manifest, Severity};
use policy::{
    Blob, Entry, KeyAlgorithm, KeyPurpose, KeyRegistration, Policy, Record, Request, RequestHash,
    RequestId, SignedIntent, State, StateError, evaluate,
};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tx::{ChainRules, Interval, Name, Time, Transaction};

use super::check::count;
use super::error::PolicyError;
use super::folder;
use super::verdict::Report;
use crate::failure::Failure;
use crate::files;
use crate::output::Answer;

/// The largest input.
const INPUT_MAX_BYTES: u64 = 4 * 1024 * 1024;

/// `strongroom policy explain`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The bundle's folder.
    folder: PathBuf,
    /// The unsigned transaction as JSON, as `tx build --out` writes it.
    #[arg(long, value_name = "FILE")]
    transaction: PathBuf,
    /// What it pays, as JSON: a list of {"intent": …, "signatures": […]}.
    #[arg(long, value_name = "FILE")]
    intents: Option<PathBuf>,
    /// The public keys as JSON: {"keys": [{"name": …, "public_key": …}]}, as signerd answers.
    #[arg(long, value_name = "FILE")]
    keys: PathBuf,
    /// The client that asks.
    #[arg(long, value_name = "NAME")]
    client: Name,
    /// The fleet, where the bundle has no manifest yet; what signers of intents signed names it.
    #[arg(long, default_value = "unsigned")]
    fleet: Name,
    /// The id of the request.
    #[arg(long, default_value = "explain")]
    request_id: RequestId,
}

#[derive(Debug, Deserialize)]
struct Keys {
    keys: Vec<Key>,
}

/// A key; what else stands there is of no matter here.
#[derive(Debug, Deserialize)]
struct Key {
    name: Name,
    public_key: String,
}

/// Evaluates the request offline.
///
/// # Errors
/// See [`PolicyError`].
pub fn run(args: &Args) -> Result<Answer, Failure> {
    let policy = policy_of(args)?;
    let transaction: Transaction = json(&args.transaction, "unsigned transaction")?;
    let intents: Vec<SignedIntent> = match &args.intents {
        Some(path) => json(path, "list of intents")?,
        None => Vec::new(),
    };
    let keys: Keys = json(&args.keys, "list of public keys")?;
    let now = now();
    let units = policy.assets.clone();
    let locktime = policy.chains.get(&transaction.chain());
    let rules = ChainRules {
        locktime_height_max: locktime.map_or(0, |chain| chain.locktime_height_max),
    };
    let state = state(policy, keys.keys, now).map_err(PolicyError::State)?;
    let decoded = tx::decode(&transaction, &state.registry(), rules).map_err(|source| {
        let code = source.code();
        PolicyError::NotUnderstood { code, source }
    })?;
    let request = Request {
        client: args.client.clone(),
        id: args.request_id.clone(),
        hash: RequestHash([0; 32]),
        lane_epoch: 0,
        intents,
        replaces: Vec::new(),
        transaction: Blob::Inline(String::new()),
        proofs: Vec::new(),
    };
    let verdict = evaluate(&state, now, &decoded, &request).map_err(PolicyError::Evaluate)?;
    let report = Report::of(verdict, decoded.effects().to_vec(), units);
    if report.permits() {
        Answer::done(&report)
    } else {
        Answer::refused(&report)
    }
}

/// The bundle, under its manifest where it has one.
fn policy_of(args: &Args) -> Result<Policy, PolicyError> {
    let files = folder::read(&args.folder)?;
    let parsed = bundle::parse(&files).map_err(|found| PolicyError::Wrong {
        errors: count(&found, Severity::Error),
        first: found.first().map(ToString::to_string).unwrap_or_default(),
    })?;
    let manifest = match files.get(MANIFEST) {
        Some(text) => Manifest::verify(text, &files).map_err(PolicyError::Manifest)?,
        None => Manifest::of(&files, args.fleet.clone(), 1, 0),
    };
    Ok(parsed.under(&manifest))
}

fn json<T: DeserializeOwned>(path: &Path, expected: &'static str) -> Result<T, PolicyError> {
    let bytes = files::read(path, INPUT_MAX_BYTES).map_err(PolicyError::File)?;
    serde_json::from_slice(&bytes).map_err(|source| PolicyError::Input {
        path: path.to_owned(),
        expected,
        source,
    })
}

/// The state of a signer that knows these keys and has signed nothing.
fn state(policy: Policy, keys: Vec<Key>, now: Interval) -> Result<State, StateError> {
    let mut entries = vec![Entry::Genesis {
        fleet: policy.fleet.clone(),
    }];
    entries.extend(keys.into_iter().map(|key| {
        Entry::KeyRegistered(KeyRegistration {
            name: key.name,
            purpose: KeyPurpose::Spend,
            algorithm: KeyAlgorithm::Secp256k1,
            public: key.public_key,
            device: String::new(),
            assurance: String::new(),
        })
    }));
    entries.push(Entry::PolicyActivated {
        hash: policy.hash,
        sequence: policy.sequence,
        signed_by: policy.governance.officers.clone(),
    });
    let mut state = State::new();
    for (index, entry) in (0..).zip(entries) {
        let (v, time) = (1, now);
        state.apply(index, &Record { v, time, entry })?;
    }
    state.activate(Arc::new(policy))?;
    Ok(state)
}

fn now() -> Interval {
    let millis = u64::try_from(jiff::Timestamp::now().as_millisecond()).unwrap_or(0);
    let time = Time::from_millis(millis);
    Interval { lo: time, hi: time }
}
