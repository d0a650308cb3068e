//! What a policy decides on a case.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bitcoin::secp256k1::{PublicKey, Secp256k1, SecretKey};
use policy::bundle::length_millis;
use policy::{
    Blob, Entry, EvaluateError, FreezeScope, Permit, Policy, Reason, Request, RequestHash, State,
    StateError, UnmetNeed, Verdict, evaluate,
};
use sha2::{Digest, Sha256};
use tx::{Interval, Name, Time};

use super::super::offline;
use super::file::{Case, Expected};
use super::transaction::{self, Made, Order, UnbuiltError};

/// Noon of 1 January 2026: a case that says no time is decided alike for ever.
const NOON_MILLIS: u64 = 1_767_268_800_000;
/// No window is longer, so that a signer that began so long before has forgotten nothing.
const BEFORE_MILLIS: u64 = 91 * 86_400_000;

/// What was decided, in names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decided {
    pub word: Expected,
    pub allowed_by: BTreeSet<Name>,
    pub refused_by: BTreeSet<Name>,
    pub needs: BTreeSet<Name>,
    /// Why it was refused, for people.
    pub details: Vec<String>,
}

/// Why there was no decision.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UndecidedError {
    /// The transaction.
    #[error("{of}: {source}")]
    Unbuilt { of: String, source: UnbuiltError },
    /// A length of time.
    #[error("{0}")]
    Ago(String),
    /// What the case says was signed would not have been.
    #[error("{of} would not have been signed: {word:?} by {by}")]
    Earlier {
        of: String,
        word: Expected,
        by: String,
    },
    /// The transaction would be refused before the policy is asked.
    #[error("no signer understands this transaction: {}", .0.code())]
    Decode(tx::Refusal),
    /// The bundle and the keys contradict each other.
    #[error("the bundle cannot govern with these keys: {0}")]
    State(StateError),
    /// What the verdict hangs on is not known.
    #[error("the request was not evaluated: {0}")]
    Evaluate(EvaluateError),
}

/// One request of a case.
struct Asked<'a> {
    client: &'a Name,
    order: Order<'a>,
}

/// Decides on a case, with public keys that are given and others that are made up.
///
/// # Errors
/// [`UndecidedError`].
pub fn decide(
    policy: &Arc<Policy>,
    given: &BTreeMap<Name, String>,
    case: &Case,
) -> Result<Decided, UndecidedError> {
    let now = case.time.unwrap_or(Time::from_millis(NOON_MILLIS));
    let keys = offline::key_names(policy).into_keys().map(|name| {
        let public = given.get(name).cloned();
        (name.clone(), public.unwrap_or_else(|| made_up(name)))
    });
    let keys: Vec<_> = keys.collect();
    let began = at(now.before_millis(BEFORE_MILLIS));
    let mut state = offline::state(policy, keys, began).map_err(UndecidedError::State)?;
    for (number, asked) in earlier(case, now)?.iter().enumerate() {
        let of = format!("earlier payment {number}");
        match request(policy, &mut state, asked, &of)? {
            Verdict::Permit(permit) => sign(&mut state, asked.order.at, *permit)?,
            other => {
                let other = Decided::of(other);
                let by = other.refused_by.union(&other.needs);
                let by: Vec<&str> = by.map(Name::as_str).collect();
                return Err(UndecidedError::Earlier {
                    of,
                    word: other.word,
                    by: by.join(", "),
                });
            }
        }
    }
    if case.frozen {
        let frozen = Entry::Frozen {
            scope: FreezeScope::All,
            reason: "the case says so".into(),
        };
        offline::append(&mut state, at(now), frozen).map_err(UndecidedError::State)?;
    }
    let asked = Asked {
        client: &case.client,
        order: Order {
            id: case.name.to_string(),
            account: &case.account,
            key: case.key.as_ref(),
            pay: &case.pay,
            chain: case.chain,
            fee_rate: case.fee_rate.as_deref(),
            at: now,
        },
    };
    request(policy, &mut state, &asked, "the request").map(Decided::of)
}

/// What was signed before, the oldest first.
fn earlier(case: &Case, now: Time) -> Result<Vec<Asked<'_>>, UndecidedError> {
    let mut all = Vec::new();
    for (number, earlier) in case.earlier.iter().enumerate() {
        let ago = length_millis(&earlier.ago);
        let ago = ago.map_err(|error| UndecidedError::Ago(error.to_string()))?;
        for time in 0..earlier.times {
            all.push(Asked {
                client: earlier.client.as_ref().unwrap_or(&case.client),
                order: Order {
                    id: format!("{}.earlier-{number}-{time}", case.name),
                    account: earlier.account.as_ref().unwrap_or(&case.account),
                    key: earlier.key.as_ref().or(case.key.as_ref()),
                    pay: &earlier.pay,
                    chain: None,
                    fee_rate: earlier.fee_rate.as_deref(),
                    at: now.before_millis(ago),
                },
            });
        }
    }
    all.sort_by_key(|asked| asked.order.at);
    Ok(all)
}

fn request(
    policy: &Arc<Policy>,
    state: &mut State,
    asked: &Asked<'_>,
    of: &str,
) -> Result<Verdict, UndecidedError> {
    let Made {
        transaction,
        intents,
    } = transaction::make(policy, state, &asked.order).map_err(|source| {
        let of = of.to_owned();
        UndecidedError::Unbuilt { of, source }
    })?;
    let now = at(asked.order.at);
    let charges = |error| UndecidedError::Evaluate(EvaluateError::Charges(error));
    state.advance(now.lo).map_err(charges)?;
    let rules = policy.chain_rules(transaction.chain());
    let decoded = tx::decode(&transaction, &state.registry(), rules);
    let decoded = decoded.map_err(UndecidedError::Decode)?;
    let id = &asked.order.id;
    let request = Request {
        client: asked.client.clone(),
        id: id.parse().map_err(|_| UndecidedError::Unbuilt {
            of: of.to_owned(),
            source: UnbuiltError::Id(id.clone()),
        })?,
        hash: RequestHash(Sha256::digest(id.as_bytes()).into()),
        lane_epoch: 0,
        intents,
        replaces: Vec::new(),
        transaction: Blob::Inline(String::new()),
        proofs: Vec::new(),
    };
    evaluate(state, now, &decoded, &request).map_err(UndecidedError::Evaluate)
}

fn sign(state: &mut State, time: Time, permit: Permit) -> Result<(), UndecidedError> {
    let attempt = Entry::Attempt(Box::new(permit.into_attempt()));
    offline::append(state, at(time), attempt).map_err(UndecidedError::State)
}

fn at(time: Time) -> Interval {
    Interval { lo: time, hi: time }
}

/// A public key that stands in for the device's: the same for the same name.
fn made_up(name: &Name) -> String {
    let mut digest = Sha256::digest(format!("strongroom policy test {name}").as_bytes());
    loop {
        if let Ok(secret) = SecretKey::from_slice(&digest) {
            let public = PublicKey::from_secret_key(&Secp256k1::signing_only(), &secret);
            return hex::encode(public.serialize());
        }
        digest = Sha256::digest(digest);
    }
}

impl Decided {
    fn of(verdict: Verdict) -> Self {
        let mut decided = Self {
            word: Expected::Refuse,
            allowed_by: BTreeSet::new(),
            refused_by: BTreeSet::new(),
            needs: BTreeSet::new(),
            details: Vec::new(),
        };
        let names = |needs: &[UnmetNeed]| needs.iter().map(|need| need.statement.clone()).collect();
        match verdict {
            Verdict::Permit(permit) => {
                decided.word = Expected::Permit;
                let statements = permit.allowed_by().iter().flat_map(|by| &by.statements);
                decided.allowed_by = statements.map(|(name, _)| name.clone()).collect();
            }
            Verdict::Pending(needs) => {
                decided.word = Expected::Pending;
                decided.needs = names(&needs);
            }
            Verdict::Refuse(refusal) => {
                decided.refused_by = refusal.reasons.iter().filter_map(said_by).collect();
                decided.needs = names(&refusal.needs);
                decided.details = refusal.reasons.into_iter().map(|it| it.detail).collect();
            }
        }
        decided
    }

    /// How this is not what a case expects; nothing where it is.
    pub fn differences(&self, case: &Case) -> Vec<String> {
        let mut all = Vec::new();
        if self.word != case.expect {
            all.push(format!(
                "expected {}, was {}",
                word(case.expect),
                word(self.word)
            ));
        }
        let mut compare = |what, expected: &Option<BTreeSet<Name>>, was: &BTreeSet<Name>| {
            if let Some(expected) = expected
                && expected != was
            {
                all.push(format!(
                    "expected {what} {}, was {}",
                    list(expected),
                    list(was)
                ));
            }
        };
        compare("allowed_by", &case.allowed_by, &self.allowed_by);
        compare("refused_by", &case.refused_by, &self.refused_by);
        compare("needs", &case.needs, &self.needs);
        if !all.is_empty() {
            all.extend(
                self.details
                    .iter()
                    .map(|detail| format!("because {detail}")),
            );
        }
        all
    }
}

/// The statement that spoke, or else the code.
fn said_by(reason: &Reason) -> Option<Name> {
    let code = serde_json::to_value(reason.code).ok();
    let code = code.as_ref().and_then(serde_json::Value::as_str);
    let code = code.and_then(|code| code.parse().ok());
    reason.statement.clone().or(code)
}

fn word(expected: Expected) -> &'static str {
    match expected {
        Expected::Permit => "permit",
        Expected::Pending => "pending",
        Expected::Refuse => "refuse",
    }
}

fn list(names: &BTreeSet<Name>) -> String {
    let names: Vec<_> = names
        .iter()
        .map(|name| format!("{:?}", name.as_str()))
        .collect();
    format!("[{}]", names.join(", "))
}
