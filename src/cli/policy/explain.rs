//! `strongroom policy explain`: the verdict of a signer that has signed nothing yet, or what a log says.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use policy::{Blob, Policy, Request, RequestHash, RequestId, SignedIntent, State, evaluate};
use serde::de::DeserializeOwned;
use tx::{Interval, Name, Time, Transaction};

use super::error::PolicyError;
use super::history::History;
use super::offline;
use super::verdict::{Report, Signer};
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
    #[arg(long, value_name = "FILE", required_unless_present = "journal")]
    keys: Option<PathBuf>,
    /// A folder of `strongroom audit export`: what it says was signed is spent, and its keys are the keys.
    #[arg(long, value_name = "FOLDER", conflicts_with = "keys")]
    journal: Option<PathBuf>,
    /// The client that asks.
    #[arg(long, value_name = "NAME")]
    client: Name,
    /// The fleet, where the bundle has no manifest yet; what signers of intents signed names it.
    #[arg(long, default_value = "unsigned")]
    fleet: Name,
    /// When it asks, such as 2026-11-20T12:00:00Z, where the hours matter [default: now].
    #[arg(long, value_name = "TIME")]
    at: Option<Time>,
    /// The id of the request.
    #[arg(long, default_value = "explain")]
    request_id: RequestId,
}

/// Evaluates the request offline.
///
/// # Errors
/// See [`PolicyError`].
pub fn run(args: &Args) -> Result<Answer, Failure> {
    let policy = Arc::new(offline::policy(&args.folder, &args.fleet)?);
    let transaction: Transaction = json(&args.transaction, "unsigned transaction")?;
    let intents: Vec<SignedIntent> = match &args.intents {
        Some(path) => json(path, "list of intents")?,
        None => Vec::new(),
    };
    let now = args.at.map_or_else(now, |at| Interval { lo: at, hi: at });
    let units = policy.assets.clone();
    let rules = policy.chain_rules(transaction.chain());
    let history;
    let fresh;
    let state = match (&args.journal, &args.keys) {
        (Some(folder), _) => {
            history = History::open(folder, Arc::clone(&policy))?.finish()?;
            history.supposed().state()
        }
        (None, keys) => {
            fresh = without_history(&policy, keys.as_deref(), now)?;
            &fresh
        }
    };
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
    let verdict = evaluate(state, now, &decoded, &request).map_err(PolicyError::Evaluate)?;
    let signer = match args.journal {
        Some(_) => Signer::OfLog,
        None => Signer::New,
    };
    let unsure = state.unsure_of(&decoded);
    let report = Report::of(verdict, decoded.effects().to_vec(), (units, signer)).unsure_of(unsure);
    if report.permits() {
        Answer::done(&report)
    } else {
        Answer::refused(&report)
    }
}

/// The state of a signer with these keys that has signed nothing.
fn without_history(
    policy: &Arc<Policy>,
    keys: Option<&Path>,
    now: Interval,
) -> Result<State, PolicyError> {
    let keys = match keys {
        Some(path) => offline::keys(path)?,
        None => Vec::new(),
    };
    offline::state(policy, keys, now).map_err(PolicyError::State)
}

fn json<T: DeserializeOwned>(path: &Path, expected: &'static str) -> Result<T, PolicyError> {
    let bytes = files::read(path, INPUT_MAX_BYTES).map_err(PolicyError::File)?;
    serde_json::from_slice(&bytes).map_err(|source| PolicyError::Input {
        path: path.to_owned(),
        expected,
        source,
    })
}

fn now() -> Interval {
    let millis = u64::try_from(jiff::Timestamp::now().as_millisecond()).unwrap_or(0);
    let time = Time::from_millis(millis);
    Interval { lo: time, hi: time }
}
