//! What a policy decides on a case.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use policy::bundle::{QuantityError, length_millis};
use policy::{
    AttemptId, Blob, Entry, EvaluateError, Policy, Reason, ReasonCode, Request, RequestHash, State,
    StateError, Verdict, evaluate,
};
use sha2::{Digest, Sha256};
use tx::{Amount, Decoded, FeeTerms, Interval, Name, Time};

use super::super::decided::{Decided, Expected};
use super::super::offline;
use super::file::{Before, Case, Earlier, Prices};
use super::transaction::{self, Coin, Made, Order, Replacement, Signed, UnbuiltError};

/// Noon of 1 January 2026: a case that says no time is decided alike for ever.
const NOON_MILLIS: u64 = 1_767_268_800_000;
/// No window is longer, so that a signer that began so long before has forgotten nothing.
const BEFORE_MILLIS: u64 = 91 * 86_400_000;

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
    /// What is replaced is not there, or there are several.
    #[error("no one earlier payment before it is called {:?}, once", .0.as_str())]
    Replaced(Name),
    /// The bundle has no price of an asset.
    #[error("the bundle has no [[price]] of {:?}", .0.as_str())]
    Unpriced(Name),
    /// A price.
    #[error("the price of {:?}: {source}", asset.as_str())]
    Price { asset: Name, source: QuantityError },
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

/// A request for what an order says.
pub struct Asked<'a> {
    /// Who asks.
    pub client: &'a Name,
    /// What for.
    pub order: Order<'a>,
}

/// A bundle with keys, on which cases are decided.
pub struct Bench {
    policy: Arc<Policy>,
    keys: Vec<(Name, String)>,
    /// The states that have signed nothing, by the time at which they are asked.
    fresh: BTreeMap<Time, State>,
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
    Bench::new(policy, given).decide(case)
}

impl Bench {
    /// A bundle with public keys that are given and others that are made up.
    pub fn new(policy: &Arc<Policy>, given: &BTreeMap<Name, String>) -> Self {
        let keys = offline::key_names(policy).into_keys().map(|name| {
            let public = given.get(name).cloned();
            let public = public.unwrap_or_else(|| offline::made_up(name.as_str()));
            (name.clone(), public)
        });
        Self {
            keys: keys.collect(),
            policy: Arc::clone(policy),
            fresh: BTreeMap::new(),
        }
    }

    /// Decides on a case.
    ///
    /// # Errors
    /// [`UndecidedError`].
    pub fn decide(&mut self, case: &Case) -> Result<Decided, UndecidedError> {
        let now = case.time.unwrap_or(Time::from_millis(NOON_MILLIS));
        if case.frozen.is_some() || !case.earlier.is_empty() || is_supposed(case) {
            let mut state = self.state(now)?;
            return decide_on(&self.policy, &mut state, case, now);
        }
        let mut state = match self.fresh.remove(&now) {
            Some(state) => state,
            None => self.state(now)?,
        };
        let decided = decide_on(&self.policy, &mut state, case, now);
        self.fresh.insert(now, state);
        decided
    }

    fn state(&self, now: Time) -> Result<State, UndecidedError> {
        let began = at(now.before_millis(BEFORE_MILLIS));
        let keys = self.keys.iter().cloned();
        offline::state(&self.policy, keys, began).map_err(UndecidedError::State)
    }
}

fn decide_on(
    policy: &Arc<Policy>,
    state: &mut State,
    case: &Case,
    now: Time,
) -> Result<Decided, UndecidedError> {
    suppose_prices(policy, state, &case.prices)?;
    for kind in &case.attested {
        state.suppose_attested(*kind);
    }
    let signed = sign_earlier(policy, state, case, now)?;
    if let Some(before) = case.reissue {
        if case.transaction.is_some() {
            let of = "the first issue".to_owned();
            let source = UnbuiltError::Given;
            return Err(UndecidedError::Unbuilt { of, source });
        }
        let first = first_issue(case, before, now);
        charged(policy, state, &first, "the first issue".into())?;
    }
    if let Some(scope) = &case.frozen {
        let frozen = Entry::Frozen {
            scope: scope.clone(),
            reason: "the case says so".into(),
        };
        offline::append(state, at(now), frozen).map_err(UndecidedError::State)?;
    }
    let mut asked = asked(case, now);
    asked.order.replaces = signed.replaced(case.replaces.as_ref())?;
    match request(policy, state, &asked, "the request") {
        Ok((_, verdict)) => Ok(Decided::of(verdict)),
        Err(error) => not_understood(case, error),
    }
}

/// A signer refuses bytes that it does not understand; of those that a case gives that is what is decided.
fn not_understood(case: &Case, error: UndecidedError) -> Result<Decided, UndecidedError> {
    match error {
        UndecidedError::Unbuilt {
            source: UnbuiltError::Refused(refusal),
            ..
        } if case.transaction.is_some() => {
            let reason = Reason {
                code: ReasonCode::Transaction,
                statement: None,
                at: None,
                detail: format!("no signer understands it: {}", refusal.code()),
                remedy: "build it anew".to_owned(),
            };
            Ok(Decided::not_permitted(&[reason], BTreeSet::new()))
        }
        error => Err(error),
    }
}

/// What the case asks.
fn asked(case: &Case, now: Time) -> Asked<'_> {
    Asked {
        client: &case.client,
        order: Order {
            key: case.key.as_ref(),
            pay: &case.pay,
            call: case.call.as_ref(),
            approve: case.approve.as_ref(),
            transaction: case.transaction.as_ref(),
            chain: case.chain,
            fee_rate: case.fee_rate.as_deref(),
            ..Order::new(case.name.to_string(), &case.account, now)
        },
    }
}

/// How long before a case an attempt was authorised that was never signed, and is too old to be.
const DEAD_MILLIS: u64 = 5 * 60_000;

/// The attempt of the case's own intents before it: just now, or so long ago that what is not signed by now is
/// dead.
fn first_issue(case: &Case, before: Before, now: Time) -> Asked<'_> {
    let mut first = asked(case, now);
    first.order.issued = Some((case.name.to_string(), now));
    first.order.id = format!("{}.first-issue", case.name);
    first.order.at = match before {
        Before::Dead => now.before_millis(DEAD_MILLIS),
        Before::Alive => now,
    };
    first
}

/// Charges what is permitted.
fn charged(
    policy: &Arc<Policy>,
    state: &mut State,
    asked: &Asked<'_>,
    of: String,
) -> Result<Signed, UndecidedError> {
    let (made, verdict) = request(policy, state, asked, &of)?;
    match verdict {
        Verdict::Permit(permit) => {
            let id = AttemptId(state.entries());
            let attempt = Entry::Attempt(Box::new(permit.into_attempt()));
            let appended = offline::append(state, at(asked.order.at), attempt);
            appended.map_err(UndecidedError::State)?;
            Ok(Signed {
                attempt: id,
                keys: made.decoded.conflict_keys().clone(),
                terms: made.decoded.fee_terms(),
                intents: made.request.intents,
                coins: made.coins,
            })
        }
        other => {
            let other = Decided::of(other);
            let by = other.refused_by.union(&other.needs);
            let by: Vec<&str> = by.map(Name::as_str).collect();
            Err(UndecidedError::Earlier {
                of,
                word: other.word,
                by: by.join(", "),
            })
        }
    }
}

/// Whether the state is one of its own, since something was said or signed in it.
fn is_supposed(case: &Case) -> bool {
    let no_prices = matches!(&case.prices, Prices::Said(said) if said.is_empty());
    !no_prices || !case.attested.is_empty() || case.reissue.is_some()
}

/// Has attesters say what a case says that they do, from the first earlier payment on.
fn suppose_prices(
    policy: &Policy,
    state: &mut State,
    prices: &Prices,
) -> Result<(), UndecidedError> {
    let said = match prices {
        Prices::Floors => {
            for (asset, rule) in &policy.attestations.prices {
                state.suppose_price(asset, rule.floor);
            }
            return Ok(());
        }
        Prices::Said(said) => said,
    };
    for (name, price) in said {
        let unit = policy.assets.get(name);
        let priced = unit.filter(|unit| policy.attestations.prices.contains_key(&unit.asset));
        let unit = priced.ok_or_else(|| UndecidedError::Unpriced(name.clone()))?;
        let price = policy.price(price);
        let price = price.map_err(|error| UndecidedError::Price {
            asset: name.clone(),
            source: error,
        })?;
        state.suppose_price(&unit.asset, price);
    }
    Ok(())
}

/// What was signed before, and what of it has a name.
#[derive(Default)]
struct SignedBefore {
    all: Vec<Signed>,
    /// Positions in `all`.
    named: BTreeMap<Name, usize>,
}

impl SignedBefore {
    fn replaced(&self, name: Option<&Name>) -> Result<Option<Replacement<'_>>, UndecidedError> {
        let Some(name) = name else { return Ok(None) };
        let of = self.named.get(name).and_then(|at| self.all.get(*at));
        let of = of.ok_or_else(|| UndecidedError::Replaced(name.clone()))?;
        let all = self.all.iter();
        let conflicting = all.filter(|signed| !signed.keys.is_disjoint(&of.keys));
        let conflicting: Vec<&Signed> = conflicting.collect();
        let terms = conflicting.iter().map(|signed| signed.terms);
        let most = terms.max_by_key(|terms| match *terms {
            FeeTerms::Evm {
                max_fee_per_gas, ..
            } => max_fee_per_gas,
            FeeTerms::Utxo { fee, .. } => fee.into(),
            _ => Amount::ZERO,
        });
        Ok(Some(Replacement {
            of,
            attempts: conflicting.iter().map(|signed| signed.attempt).collect(),
            most: most.unwrap_or(of.terms),
        }))
    }
}

/// Signs what the case says was signed before, the oldest first.
fn sign_earlier(
    policy: &Arc<Policy>,
    state: &mut State,
    case: &Case,
    now: Time,
) -> Result<SignedBefore, UndecidedError> {
    let mut signed = SignedBefore::default();
    for (at, number, earlier) in in_order(case, now)? {
        for time in 0..earlier.times {
            let mut asked = asked_earlier(case, earlier, at);
            asked.order.id = format!("{}.earlier-{number}-{time}", case.name);
            asked.order.replaces = signed.replaced(earlier.replaces.as_ref())?;
            let of = format!("earlier payment {}", signed.all.len());
            let taken = charged(policy, state, &asked, of)?;
            sign(state, at, taken.attempt)?;
            if earlier.is_final {
                let supposed = state.suppose_final(taken.attempt);
                supposed.map_err(UndecidedError::State)?;
            }
            if let Some(name) = &earlier.name {
                signed.named.insert(name.clone(), signed.all.len());
            }
            signed.all.push(taken);
        }
    }
    Ok(signed)
}

/// What was signed before, with its time and its number in the case, the oldest first.
fn in_order(case: &Case, now: Time) -> Result<Vec<(Time, usize, &Earlier)>, UndecidedError> {
    let mut all = Vec::new();
    let mut names = BTreeSet::new();
    for (number, earlier) in case.earlier.iter().enumerate() {
        let ago = length_millis(&earlier.ago);
        let ago = ago.map_err(|error| UndecidedError::Ago(error.to_string()))?;
        if let Some(name) = &earlier.name
            && (earlier.times != 1 || !names.insert(name))
        {
            return Err(UndecidedError::Replaced(name.clone()));
        }
        all.push((now.before_millis(ago), number, earlier));
    }
    all.sort_by_key(|(at, ..)| *at);
    Ok(all)
}

fn asked_earlier<'a>(case: &'a Case, earlier: &'a Earlier, at: Time) -> Asked<'a> {
    let account = earlier.account.as_ref().unwrap_or(&case.account);
    Asked {
        client: earlier.client.as_ref().unwrap_or(&case.client),
        order: Order {
            key: earlier.key.as_ref().or(case.key.as_ref()),
            pay: &earlier.pay,
            call: earlier.call.as_ref(),
            approve: earlier.approve.as_ref(),
            transaction: earlier.transaction.as_ref(),
            chain: earlier.chain,
            fee_rate: earlier.fee_rate.as_deref(),
            ..Order::new(String::new(), account, at)
        },
    }
}

fn request(
    policy: &Arc<Policy>,
    state: &mut State,
    asked: &Asked<'_>,
    of: &str,
) -> Result<(Requested, Verdict), UndecidedError> {
    let made = made(policy, state, asked, of)?;
    let verdict = evaluate(state, at(asked.order.at), &made.decoded, &made.request);
    Ok((made, verdict.map_err(UndecidedError::Evaluate)?))
}

/// A request, as a signer has it before it.
pub struct Requested {
    pub request: Request,
    pub decoded: Decoded,
    pub coins: Vec<Coin>,
}

/// Makes a request as a coordinator would, on a state that has come to its time.
///
/// # Errors
/// [`UndecidedError`].
pub fn made(
    policy: &Policy,
    state: &mut State,
    asked: &Asked<'_>,
    of: &str,
) -> Result<Requested, UndecidedError> {
    let unbuilt = |source| {
        let of = of.to_owned();
        UndecidedError::Unbuilt { of, source }
    };
    let Made {
        transaction,
        intents,
        coins,
    } = transaction::make(policy, state, &asked.order).map_err(unbuilt)?;
    let charges = |error| UndecidedError::Evaluate(EvaluateError::Charges(error));
    state.advance(asked.order.at).map_err(charges)?;
    let rules = policy.chain_rules(transaction.chain());
    let decoded = tx::decode(&transaction, &state.registry(), rules);
    let decoded = decoded.map_err(UndecidedError::Decode)?;
    let id = &asked.order.id;
    let text = serde_json::to_string(&transaction).unwrap_or_default();
    let request = Request {
        client: asked.client.clone(),
        id: id
            .parse()
            .map_err(|_| unbuilt(UnbuiltError::Id(id.clone())))?,
        hash: RequestHash(Sha256::digest(id.as_bytes()).into()),
        lane_epoch: 0,
        intents,
        replaces: match &asked.order.replaces {
            Some(replaces) => replaces.attempts.clone(),
            None => Vec::new(),
        },
        transaction: Blob::of(&text),
        proofs: Vec::new(),
    };
    Ok(Requested {
        request,
        decoded,
        coins,
    })
}

/// Says that it was signed: what is not is dead soon. No device made the signatures, and nobody verifies them.
fn sign(state: &mut State, time: Time, attempt: AttemptId) -> Result<(), UndecidedError> {
    let signed = Entry::Signed(Box::new(policy::Signed {
        attempt,
        signatures: Vec::new(),
        txid: String::new(),
        raw: Blob::Inline(String::new()),
    }));
    offline::append(state, at(time), signed).map_err(UndecidedError::State)
}

fn at(time: Time) -> Interval {
    Interval { lo: time, hi: time }
}

/// How this is not what a case expects; nothing where it is.
pub fn differences(decided: &Decided, case: &Case) -> Vec<String> {
    let mut all = Vec::new();
    if decided.word != case.expect {
        all.push(format!(
            "expected {}, was {}",
            case.expect.word(),
            decided.word.word()
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
    compare("allowed_by", &case.allowed_by, &decided.allowed_by);
    compare("refused_by", &case.refused_by, &decided.refused_by);
    compare("needs", &case.needs, &decided.needs);
    if !all.is_empty() {
        all.extend(
            decided
                .details
                .iter()
                .map(|detail| format!("because {detail}")),
        );
    }
    all
}

fn list(names: &BTreeSet<Name>) -> String {
    let names: Vec<_> = names
        .iter()
        .map(|name| format!("{:?}", name.as_str()))
        .collect();
    format!("[{}]", names.join(", "))
}
