//! A hostile coordinator: what it may ask, step by step, and the oracle that holds what was signed
//! against the conflict graph.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet, HashMap},
};

use proptest::{
    prelude::*,
    test_runner::{Config, TestRunner},
};
use strongroom_policy::{
    Attempt, AttemptId, Blob, Classes, Digest, Entry, Fact, Group, Limit, Measure, NumberedDigest,
    Selector, SignatureRecord, Signed, Statement,
};
use tx::{Address, Amount, EffectKind, IntentId, Time};

use crate::fixture::{Ask, SECOND, Signer, amount, stranger};

/// How many outpoints and nonces there are to fight over.
pub const OUTPOINTS: u32 = 5;
const NONCES: u64 = 3;

/// One thing that the coordinator asks.
#[derive(Clone, Debug)]
pub struct Step {
    pub wait_millis: u64,
    pub consumes: Consumes,
    pub pays: Vec<Pays>,
    pub declares: Declares,
    pub other_client: bool,
    /// Whether the fee is above that of every step before.
    pub bids: bool,
}

#[derive(Clone, Debug)]
pub enum Consumes {
    /// Outpoints, by bits.
    Outpoints(u32),
    Nonce {
        second_account: bool,
        nonce: u64,
    },
    /// Nothing: it ends by itself.
    Nothing,
    /// What an earlier step asked, word for word.
    Again(usize),
}

#[derive(Clone, Debug)]
pub struct Pays {
    pub to: u8,
    pub units: u64,
    /// One of a few intents, or one invented for the occasion.
    pub intent: Option<u8>,
}

#[derive(Clone, Copy, Debug)]
pub enum Declares {
    /// Every conflict.
    All,
    /// None.
    Nothing,
    /// Every conflict, and attempts that are none.
    Fake,
}

/// A runner of so many cases, which writes no file when one fails: it prints the smallest.
pub fn runner(cases: u32) -> TestRunner {
    TestRunner::new(Config {
        cases,
        failure_persistence: None,
        ..Config::default()
    })
}

/// Runs of a coordinator that knows where the window ends and what shares a key.
pub fn runs(steps_max: usize) -> impl Strategy<Value = Vec<Step>> {
    prop::collection::vec(step(), 1..=steps_max)
}

fn step() -> impl Strategy<Value = Step> {
    let wait = prop_oneof![
        6 => Just(0),
        2 => Just(SECOND),
        1 => Just(30 * SECOND),
        1 => Just(61 * SECOND),
        1 => Just(100 * SECOND - 1),
        1 => Just(100 * SECOND),
    ];
    let declares = prop_oneof![
        8 => Just(Declares::All),
        1 => Just(Declares::Nothing),
        2 => Just(Declares::Fake),
    ];
    let pays = prop::collection::vec(pays(), 1..=3);
    (
        wait,
        consumes(),
        pays,
        declares,
        prop::bool::weighted(0.2),
        prop::bool::weighted(0.9),
    )
        .prop_map(
            |(wait_millis, consumes, pays, declares, other_client, bids)| Step {
                wait_millis,
                consumes,
                pays,
                declares,
                other_client,
                bids,
            },
        )
}

/// The star, its points, and everything between.
fn consumes() -> impl Strategy<Value = Consumes> {
    let all = (1_u32 << OUTPOINTS) - 1;
    prop_oneof![
        2 => Just(Consumes::Outpoints(all)),
        5 => (0..OUTPOINTS).prop_map(|bit| Consumes::Outpoints(1 << bit)),
        4 => (1..=all).prop_map(Consumes::Outpoints),
        3 => (any::<bool>(), 0..NONCES).prop_map(|(second_account, nonce)| Consumes::Nonce { second_account, nonce }),
        1 => Just(Consumes::Nothing),
        1 => (0..8_usize).prop_map(Consumes::Again),
    ]
}

fn pays() -> impl Strategy<Value = Pays> {
    let intent = prop_oneof![2 => (0..4_u8).prop_map(Some), 3 => Just(None)];
    (0..3_u8, 1..=6_u64, intent).prop_map(|(to, units, intent)| match intent {
        // A known intent has its content by its number, or the hostile one that is tried for it.
        Some(n) if units < 6 => Pays {
            to: n % 3,
            units: 1 + u64::from(n),
            intent,
        },
        _ => Pays { to, units, intent },
    })
}

/// What was signed, kept apart from the signer's own state.
#[derive(Clone, Debug)]
pub struct Done {
    pub id: AttemptId,
    pub at: Time,
    pub attempt: Attempt,
}

/// The coordinator at work.
pub struct Hostile {
    pub signer: Signer,
    pub done: Vec<Done>,
    asked: Vec<Ask>,
}

impl Hostile {
    pub fn new(signer: &Signer) -> Self {
        Self {
            signer: signer.clone(),
            done: Vec::new(),
            asked: Vec::new(),
        }
    }

    /// Lets time pass and asks.
    pub fn take(&mut self, step: &Step) -> Ask {
        self.signer.pass(step.wait_millis);
        let ask = self.ask(step);
        self.asked.push(ask.clone());
        ask
    }

    /// Charges what is permitted; whether it was.
    pub fn charge(&mut self, ask: &Ask) -> bool {
        let Ok((id, attempt)) = self.signer.charge(ask) else {
            return false;
        };
        let at = self.signer.now.lo;
        self.done.push(Done { id, at, attempt });
        true
    }

    /// Goes through all steps. What is charged is signed, at once or after a further call, or fails,
    /// is called for again after that, or is left alone.
    pub fn live(&mut self, steps: &[Step]) {
        for step in steps {
            let round = self.asked.len();
            let ask = self.take(step);
            if !self.charge(&ask) {
                continue;
            }
            match round % 6 {
                0 | 1 => self.sign(),
                2 => {
                    self.call();
                    self.sign();
                }
                3 => self.fail(),
                4 => {
                    self.fail();
                    self.call();
                }
                _ => {}
            }
        }
    }

    fn call(&mut self) {
        let Done { id, attempt, .. } = self.done.last().unwrap().clone();
        let mut calls = attempt.calls;
        for call in &mut calls {
            call.call = self.signer.state.next_call();
        }
        self.signer.push(Entry::Call { attempt: id, calls });
    }

    fn sign(&mut self) {
        let Done { id, attempt, .. } = self.done.last().unwrap();
        // An `r` comes up again after a while: the writer would not have recorded that, a fold takes it.
        let signature = |call: &NumberedDigest| SignatureRecord {
            call: call.call,
            r: Digest([(id.0 % 16) as u8; 32]),
            s: Digest([2; 32]),
            recovery_id: Some(0),
        };
        let signed = Signed {
            attempt: *id,
            signatures: attempt.calls.iter().map(signature).collect(),
            txid: "t".into(),
            raw: Blob::Inline("00".into()),
        };
        self.signer.push(Entry::Signed(Box::new(signed)));
    }

    fn fail(&mut self) {
        let attempt = self.done.last().unwrap().id;
        let reason = "no answer".into();
        self.signer.push(Entry::Failed { attempt, reason });
    }

    fn ask(&self, step: &Step) -> Ask {
        let round = self.asked.len();
        let id = format!("r{round}");
        let bid = if step.bids { round + 1 } else { 1 };
        let fee = 1_000 * u64::try_from(bid).unwrap();
        let cap = 1 << (2 * bid.min(30));
        let until = self.signer.now.lo.after_millis(SECOND);
        let mut ask = match step.consumes {
            Consumes::Outpoints(bits) => Ask::utxo(
                &id,
                (0..OUTPOINTS).filter(|bit| bits & (1 << bit) != 0),
                fee,
            ),
            Consumes::Nonce {
                second_account,
                nonce,
            } => {
                let (account, key) = if second_account {
                    ("hot2", "k3")
                } else {
                    ("hot", "k1")
                };
                Ask::evm(&id, nonce, cap).from(account, key)
            }
            Consumes::Nothing => Ask::keyless(&id, until),
            Consumes::Again(earlier) => match self.asked.get(earlier) {
                Some(ask) => return ask.clone(),
                None => Ask::keyless(&id, until),
            },
        };
        for (n, pays) in step.pays.iter().enumerate() {
            let intent = pays
                .intent
                .map_or(format!("{id}-{n}"), |known| format!("known-{known}"));
            // What nobody asks for of the most units is an approval instead.
            ask = match (pays.intent, pays.units) {
                (None, 6) => {
                    let to = stranger(ask.transaction.chain, pays.to);
                    ask.effect(EffectKind::Approval, pays.units, Some((to, None)))
                }
                _ => ask.pay(&intent, pays.units, pays.to),
            };
        }
        if step.other_client {
            ask = ask.client("other");
        }
        let hash = u8::try_from(round).unwrap();
        let replaces = self.declared(&ask, step.declares);
        ask.replaces(replaces).rehashed(hash)
    }

    fn declared(&self, ask: &Ask, declares: Declares) -> Vec<AttemptId> {
        let keys = &ask.transaction.conflict_keys;
        let shares = |done: &&Done| !done.attempt.keys.is_disjoint(keys);
        let ids = |done: &Done| done.id;
        match declares {
            Declares::All => self.done.iter().filter(shares).map(ids).collect(),
            Declares::Nothing => Vec::new(),
            Declares::Fake => self.done.iter().map(ids).chain([AttemptId(4)]).collect(),
        }
    }
}

impl Done {
    /// Whether at most one of the two can confirm: they share a key, or are one transaction.
    pub fn excludes(&self, other: &Self) -> bool {
        !self.attempt.keys.is_disjoint(&other.attempt.keys)
            || self.attempt.request_hash == other.attempt.request_hash
    }
}

/// The heaviest set of attempts that can all confirm together, over all such sets.
pub fn heaviest(done: &[&Done], weights: &[Amount]) -> Amount {
    let n = done.len();
    let excludes: Vec<u32> = (0..n)
        .map(|i| {
            (0..n)
                .filter(|j| *j != i && done[i].excludes(done[*j]))
                .fold(0, |bits, j| bits | 1 << j)
        })
        .collect();
    fn search(i: usize, allowed: u32, excludes: &[u32], weights: &[Amount]) -> Amount {
        let Some(weight) = weights.get(i) else {
            return Amount::ZERO;
        };
        let without = search(i + 1, allowed, excludes, weights);
        if allowed & (1 << i) == 0 {
            return without;
        }
        let with = search(i + 1, allowed & !excludes[i], excludes, weights);
        without.max(with.checked_add(*weight).unwrap())
    }
    search(0, u32::MAX, &excludes, weights)
}

/// Whether a fact that was charged then is in the hours and has the age that a selector asks for.
pub fn in_time(selector: &Selector, fact: &Fact, at: Time) -> bool {
    let Classes {
        first_paid,
        hours,
        hours_surely,
        ..
    } = &fact.classes;
    let stranger = fact.effect.to.as_ref().filter(|to| to.own.is_none());
    let age = stranger.map(|_| first_paid.map_or(0, |first| at.millis() - first.millis()));
    [
        selector
            .age_min
            .map(|least| age.is_some_and(|age| age >= least)),
        selector
            .age_below
            .map(|most| age.is_some_and(|age| age < most)),
        selector.hours.as_ref().map(|set| !set.is_disjoint(hours)),
        selector
            .hours_except
            .as_ref()
            .map(|set| set.is_disjoint(hours_surely)),
    ]
    .into_iter()
    .flatten()
    .all(|met| met)
}

/// What a fact weighs in a limit that selects kinds of effect of one asset, by age and hours, and nothing else.
fn weight(limit: &Statement<Limit>, fact: &Fact, at: Time) -> Amount {
    if !in_time(&limit.selector, fact, at) {
        return Amount::ZERO;
    }
    let asset = limit
        .selector
        .assets
        .iter()
        .flatten()
        .any(|asset| *asset == fact.effect.asset);
    let kinds = limit.selector.effects.clone().unwrap_or_default();
    match limit.says.measure {
        _ if !kinds.contains(&fact.effect.kind) || !asset => Amount::ZERO,
        Measure::Count => amount(1),
        Measure::Amount => fact.effect.amount,
        Measure::Reference => fact.reference.unwrap(),
    }
}

/// The address in words; remembered, because encoding it is most of what a run would cost.
fn qualified(address: &Address) -> String {
    thread_local! {
        static KNOWN: RefCell<HashMap<Address, String>> = RefCell::default();
    }
    KNOWN.with_borrow_mut(|known| {
        let text = known
            .entry(address.clone())
            .or_insert_with(|| address.qualified());
        text.clone()
    })
}

/// Which group a fact is in, as `Room` shows it.
pub fn group(groups: &BTreeSet<Group>, fact: &Fact) -> Vec<(Group, String)> {
    let none = || "(none)".to_owned();
    let which = |group: &Group| match group {
        Group::Destination => fact
            .effect
            .to
            .as_ref()
            .map_or_else(none, |to| qualified(&to.address)),
        Group::Client => fact.client.to_string(),
        Group::Source => fact.source.as_ref().map_or_else(none, ToString::to_string),
        Group::Account => fact.effect.account.to_string(),
    };
    groups.iter().map(|group| (*group, which(group))).collect()
}

/// What an attempt weighs in each group of a limit.
pub fn weights(limit: &Statement<Limit>, done: &Done) -> BTreeMap<Vec<(Group, String)>, Amount> {
    let mut weights = BTreeMap::new();
    for fact in &done.attempt.facts {
        let weight = weight(limit, fact, done.at);
        if !weight.is_zero() {
            let sum: &mut Amount = weights.entry(group(&limit.says.group, fact)).or_default();
            *sum = sum.checked_add(weight).unwrap();
        }
    }
    weights
}

/// Attempts in the window that ends now, with what they weigh in one group.
pub type Weighed<'a> = (Vec<&'a Done>, Vec<Amount>);

/// For each group of a limit, the attempts in the window that ends at `now`, and their weights.
pub fn in_window<'a>(
    limit: &Statement<Limit>,
    done: &'a [Done],
    now: Time,
) -> BTreeMap<Vec<(Group, String)>, Weighed<'a>> {
    let mut groups: BTreeMap<_, Weighed<'a>> = BTreeMap::new();
    let in_window = |done: &&Done| now.millis() < done.at.millis() + limit.says.window_millis;
    for done in done.iter().filter(in_window) {
        for (group, weight) in weights(limit, done) {
            let (attempts, weights) = groups.entry(group).or_default();
            attempts.push(done);
            weights.push(weight);
        }
    }
    groups
}

/// The use by the letter of the formula: the sum over conflict sets of the largest in the window.
pub fn by_formula(attempts: &[&Done], weights: &[Amount]) -> Amount {
    let mut peaks: BTreeMap<AttemptId, Amount> = BTreeMap::new();
    for (done, weight) in attempts.iter().zip(weights) {
        let peak = peaks
            .entry(done.attempt.set.unwrap_or(done.id))
            .or_default();
        *peak = (*peak).max(*weight);
    }
    peaks
        .values()
        .fold(Amount::ZERO, |sum, peak| sum.checked_add(*peak).unwrap())
}

/// Of the attempts of each intent, how many can confirm together, and how often it was re-issued.
pub fn confirmable(done: &[Done]) -> BTreeMap<IntentId, (u64, u64)> {
    let intents: BTreeSet<&IntentId> = done
        .iter()
        .flat_map(|done| &done.attempt.intents)
        .map(|signed| &signed.intent.id)
        .collect();
    let count = |id: &IntentId| {
        let pays = |done: &&Done| {
            done.attempt
                .intents
                .iter()
                .any(|signed| signed.intent.id == *id)
        };
        let attempts: Vec<&Done> = done.iter().filter(pays).collect();
        let ones = vec![amount(1); attempts.len()];
        let reissues = attempts
            .iter()
            .flat_map(|done| &done.attempt.facts)
            .filter(|fact| {
                fact.effect.kind == EffectKind::Reissue && fact.intent.as_ref() == Some(id)
            });
        let together = heaviest(&attempts, &ones).to_u64().unwrap();
        (together, u64::try_from(reissues.count()).unwrap())
    };
    intents
        .into_iter()
        .map(|id| (id.clone(), count(id)))
        .collect()
}
