//! A sequence of requests, decided one after the other by the code that `signerd` runs.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use bounds::{Bound, Leaves, Question, Step};
use num_bigint::BigInt;
use policy::{Blob, Entry, Policy, Request, RequestHash, State, Verdict, evaluate};
use serde::Serialize;
use sha2::{Digest, Sha256};
use tx::{Amount, Effect, EffectKind, Intent, Interval, Time, Transaction};

use super::super::cases::{Order, Paid, make};
use super::super::offline;
use super::super::verdict::decimal;
use super::Place;

/// No window is longer, so that a signer that began so long before has forgotten nothing.
const BEFORE_MILLIS: u64 = 91 * 86_400_000;

/// What came of a sequence.
#[derive(Debug, Serialize)]
pub struct Replayed {
    /// Each request's transaction and what it lets leave.
    pub steps: Vec<Decided>,
    /// All that left.
    pub left: String,
    /// Why it ended before its end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failed: Option<String>,
}

/// A request that was permitted.
#[derive(Debug, Serialize)]
pub struct Decided {
    at: Time,
    client: String,
    account: String,
    /// Whose payments these are: as it would be brought with the transaction.
    intents: Vec<Intent>,
    /// The transaction itself, from keys that were made up unless `--keys` gives them.
    transaction: Transaction,
    /// What the transaction does, as the signer understands it.
    effects: Vec<Effect>,
}

/// Replays the steps of a bound, on a signer that has signed nothing.
pub fn replay(place: &Place, question: &Question, bound: &Bound) -> Replayed {
    let mut replayed = Replayed {
        steps: Vec::new(),
        left: String::new(),
        failed: None,
    };
    let mut left = BigInt::default();
    let policy = Arc::new(assumed(&place.policy, question));
    let began = at(place.from.before_millis(BEFORE_MILLIS));
    match offline::state(&policy, place.keys.clone(), began) {
        Ok(mut state) => {
            for (number, step) in bound.steps.iter().enumerate() {
                match decided(&policy, &mut state, (number, step)) {
                    Ok(step) => {
                        left += leaves(&policy, question, &step.effects);
                        replayed.steps.push(step);
                    }
                    Err(failed) => {
                        replayed.failed = Some(format!("request {number}: {failed}"));
                        break;
                    }
                }
            }
        }
        Err(error) => replayed.failed = Some(error.to_string()),
    }
    if replayed.failed.is_none() && left != bound.reached {
        replayed.failed = Some(format!(
            "{left} base units leave, and not {}",
            bound.reached
        ));
    }
    replayed.left = left.to_string();
    replayed
}

/// The policy under what a bound assumes: people agree, sources sign, and what was signed is final.
fn assumed(policy: &Policy, question: &Question) -> Policy {
    let mut assumed = bounds::agreed(policy, &question.people);
    for source in assumed.sources.values_mut() {
        source.signers.clear();
    }
    for chain in assumed
        .chains
        .values_mut()
        .filter(|chain| chain.max_ahead > 0)
    {
        chain.max_ahead = u64::MAX;
    }
    assumed
}

fn decided(
    policy: &Arc<Policy>,
    state: &mut State,
    (number, step): (usize, &Step),
) -> Result<Decided, String> {
    let pay = step.payments.iter().map(|payment| {
        let units = policy.assets.iter();
        let mut units = units.filter(|(_, unit)| unit.asset == payment.asset);
        let (name, unit) = units.next().ok_or("the asset has no name")?;
        let amount = decimal(payment.amount, unit.decimals.into());
        Ok(Paid {
            to: payment.to.to_string(),
            amount: format!("{amount} {name}"),
            source: Some(payment.source.clone()),
            tag: None,
        })
    });
    let pay = pay.collect::<Result<Vec<_>, &str>>()?;
    let order = Order {
        pay: &pay,
        chain: Some(step.chain),
        fee: Some(step.fee),
        ..Order::new(format!("prove.{number}"), &step.account, step.at)
    };
    let made = make(policy, state, &order).map_err(|error| error.to_string())?;
    let now = at(step.at);
    state.advance(now.lo).map_err(|error| error.to_string())?;
    let rules = policy.chain_rules(step.chain);
    let decoded = tx::decode(&made.transaction, &state.registry(), rules);
    let decoded = decoded.map_err(|refusal| format!("no signer understands it: {refusal}"))?;
    let request = Request {
        client: step.client.clone(),
        id: order.id.parse().map_err(|_| "its id is none".to_owned())?,
        hash: RequestHash(Sha256::digest(order.id.as_bytes()).into()),
        lane_epoch: 0,
        intents: made.intents,
        replaces: Vec::new(),
        transaction: Blob::Inline(String::new()),
        proofs: Vec::new(),
    };
    let effects = decoded.effects().to_vec();
    let intents = request.intents.iter().map(|signed| signed.intent.clone());
    let intents = intents.collect();
    let verdict = evaluate(state, now, &decoded, &request);
    match verdict.map_err(|error| error.to_string())? {
        Verdict::Permit(permit) => {
            let attempt = Entry::Attempt(Box::new(permit.into_attempt()));
            offline::append(state, now, attempt).map_err(|error| error.to_string())?;
            Ok(Decided {
                at: step.at,
                client: step.client.to_string(),
                account: step.account.to_string(),
                intents,
                transaction: made.transaction,
                effects,
            })
        }
        Verdict::Pending(_) => Err("it waits for people".to_owned()),
        Verdict::Refuse(refusal) => {
            let reasons = refusal.reasons.into_iter().map(|reason| reason.detail);
            Err(reasons.collect::<Vec<_>>().join("; "))
        }
    }
}

/// What of the effects the question is about.
fn leaves(policy: &Policy, question: &Question, effects: &[Effect]) -> BigInt {
    let is_asked = |effect: &&Effect| match &question.leaves {
        Leaves::Payments { asset, outside } => {
            let book = outside.as_ref().and_then(|book| policy.books.get(book));
            let to = effect.to.as_ref().map(|to| &to.address);
            let inside = book
                .zip(to)
                .is_some_and(|(book, to)| book.addresses.contains(to));
            effect.kind == EffectKind::Payment && effect.asset == *asset && !inside
        }
        Leaves::Fees { .. } => effect.kind == EffectKind::Fee,
    };
    let asked = effects.iter().filter(is_asked);
    let number =
        |amount: Amount| BigInt::from_bytes_be(num_bigint::Sign::Plus, &amount.to_be_bytes());
    asked.map(|effect| number(effect.amount)).sum()
}

impl fmt::Display for Decided {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} of {}", self.at, self.client, self.account)?;
        let sources = self.intents.iter().map(|intent| &intent.id.source);
        let sources: BTreeSet<_> = sources.collect();
        for source in sources {
            write!(f, " for {source}")?;
        }
        f.write_str(":")?;
        for effect in &self.effects {
            let kind = serde_json::to_value(effect.kind).ok();
            let kind = kind.as_ref().and_then(serde_json::Value::as_str);
            write!(f, " {} {}", kind.unwrap_or_default(), effect.amount)?;
            if let Some(to) = &effect.to {
                write!(f, " to {}", to.address)?;
            }
            f.write_str(";")?;
        }
        Ok(())
    }
}

fn at(time: Time) -> Interval {
    Interval { lo: time, hi: time }
}
