//! What must hold, said without the journal: what was charged and released, and what of it can confirm.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use policy::{Attempt, AttemptId, FreezeScope, Limit, Measure, NumberedDigest, Policy, Statement};
use tx::{Address, Amount, Asset, Chain, ConflictKey, EffectKind, IntentId, Name};

use super::clock::DRIFT;

/// How long after its charge a signature may leave, in milliseconds of `lo`.
const RELEASE_MILLIS: u64 = 60_000;

/// What does not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation(pub String);

/// What a client wanted, as only the client knows it.
#[derive(Clone, Debug)]
pub struct Wanted {
    pub intents: Vec<IntentId>,
    pub expires: Vec<u64>,
}

/// A transaction that was charged.
#[derive(Clone, Debug)]
pub struct Charged {
    pub id: AttemptId,
    pub lo: u64,
    /// When it was charged in truth, at the earliest.
    pub at: u64,
    pub hash: [u8; 32],
    pub keys: BTreeSet<ConflictKey>,
    pub set: AttemptId,
    pub payments: Vec<Payment>,
    pub intents: Vec<IntentId>,
    pub reissued: Vec<IntentId>,
    pub account: Name,
    pub chain: Chain,
    pub signers: BTreeSet<Name>,
}

/// An outward payment.
#[derive(Clone, Debug)]
pub struct Payment {
    asset: Asset,
    units: u64,
    to: Address,
    client: Name,
    account: Name,
}

/// The group of a payment in a limit.
type Group = (Option<Address>, Option<(Name, Name)>);

/// One history: what one log is known to hold.
#[derive(Clone, Debug, Default)]
pub struct Model {
    pub charged: Vec<Charged>,
    by_id: HashMap<AttemptId, usize>,
    by_key: HashMap<ConflictKey, Vec<usize>>,
    by_intent: HashMap<IntentId, Vec<usize>>,
    /// Calls by their numbers, as they are durable.
    calls: HashMap<u64, NumberedDigest>,
    /// Calls that a device was asked for.
    made: BTreeMap<u64, NumberedDigest>,
    /// Freezes that were acknowledged, by their entries.
    freezes: Vec<(u64, FreezeScope)>,
    pub signed: BTreeMap<AttemptId, u64>,
}

fn violated(what: String) -> Result<(), Violation> {
    Err(Violation(what))
}

impl Charged {
    pub fn of(id: AttemptId, attempt: &Attempt, lo: u64, at: u64, wanted: &Wanted) -> Self {
        let of_kind = |kind| {
            let facts = attempt.facts.iter();
            facts.filter(move |fact| fact.effect.kind == kind)
        };
        let payments = of_kind(EffectKind::Payment).map(|fact| Payment {
            asset: fact.effect.asset.clone(),
            units: fact.effect.amount.to_u64().unwrap(),
            to: fact.effect.to.as_ref().unwrap().address.clone(),
            client: fact.client.clone(),
            account: fact.effect.account.clone(),
        });
        let reissued = of_kind(EffectKind::Reissue).filter_map(|fact| fact.intent.clone());
        Self {
            id,
            lo,
            at,
            hash: attempt.request_hash.0,
            keys: attempt.keys.clone(),
            set: attempt.set.unwrap_or(id),
            payments: payments.collect(),
            intents: wanted.intents.clone(),
            reissued: reissued.collect(),
            account: attempt.account.clone(),
            chain: attempt.chain,
            signers: attempt.calls.iter().map(|call| call.key.clone()).collect(),
        }
    }

    /// Whether at most one of the two can confirm.
    fn excludes(&self, other: &Self) -> bool {
        self.hash == other.hash || !self.keys.is_disjoint(&other.keys)
    }

    fn is_in(&self, scope: &FreezeScope) -> bool {
        match scope {
            FreezeScope::All => true,
            FreezeScope::Account(account) => *account == self.account,
            FreezeScope::Chain(chain) => *chain == self.chain,
            FreezeScope::Key(key) => self.signers.contains(key),
            _ => false,
        }
    }

    /// What it weighs in each group of a limit on one asset's payments.
    fn weights(&self, limit: &Statement<Limit>) -> BTreeMap<Group, u64> {
        let mut weights = BTreeMap::new();
        let assets = limit.selector.assets.as_ref().unwrap();
        for payment in self.payments.iter().filter(|p| assets.contains(&p.asset)) {
            let units = match limit.says.measure {
                Measure::Count => 1,
                Measure::Amount => payment.units,
                Measure::Reference => panic!("no limit of the simulation is on values"),
            };
            *weights.entry(group(limit, payment)).or_default() += units;
        }
        weights
    }
}

fn group(limit: &Statement<Limit>, payment: &Payment) -> Group {
    let says = |group| limit.says.group.contains(&group);
    let to = says(policy::Group::Destination).then(|| payment.to.clone());
    let by = says(policy::Group::Client);
    (
        to,
        by.then(|| (payment.client.clone(), payment.account.clone())),
    )
}

/// Whether the heaviest of the attempts that can all confirm together weighs more than `most`.
fn is_heavier(items: &[(&Charged, u64)], most: u64) -> bool {
    if is_bounded_by_sets(items, most) {
        return false;
    }
    let mut items = items.to_vec();
    items.sort_by_key(|item| std::cmp::Reverse(item.1));
    fn search(
        items: &[(&Charged, u64)],
        chosen: &mut Vec<usize>,
        from: usize,
        have: u64,
        most: u64,
    ) -> bool {
        if have > most {
            return true;
        }
        let left: u64 = items[from..].iter().map(|item| item.1).sum();
        if have + left <= most {
            return false;
        }
        let fits = chosen.iter().all(|n| !items[*n].0.excludes(items[from].0));
        if fits {
            chosen.push(from);
            if search(items, chosen, from + 1, have + items[from].1, most) {
                return true;
            }
            chosen.pop();
        }
        search(items, chosen, from + 1, have, most)
    }
    search(&items, &mut Vec::new(), 0, 0, most)
}

/// A bound that needs no search: where the attempts of each conflict set really exclude each other, no
/// more than the largest of each can confirm.
fn is_bounded_by_sets(items: &[(&Charged, u64)], most: u64) -> bool {
    let mut sets: BTreeMap<AttemptId, Vec<&(&Charged, u64)>> = BTreeMap::new();
    for item in items {
        sets.entry(item.0.set).or_default().push(item);
    }
    let sum: u64 = sets
        .values()
        .map(|set| set.iter().map(|item| item.1).max().unwrap_or(0))
        .sum();
    let excluded = |set: &Vec<&(&Charged, u64)>| {
        let first = set[0].0;
        let shared = |key: &&ConflictKey| set.iter().all(|item| item.0.keys.contains(key));
        set.iter().all(|item| item.0.hash == first.hash)
            || first.keys.iter().any(|key| shared(&key))
    };
    sum <= most && sets.values().all(excluded)
}

impl Model {
    /// Attempts that consume one of the keys.
    pub fn conflicting(&self, keys: &BTreeSet<ConflictKey>) -> BTreeSet<AttemptId> {
        let places = keys.iter().filter_map(|key| self.by_key.get(key)).flatten();
        places.map(|place| self.charged[*place].id).collect()
    }

    /// How many attempts consume the key.
    pub fn consumers(&self, key: &ConflictKey) -> u64 {
        self.by_key.get(key).map_or(0, |places| places.len() as u64)
    }

    pub fn attempt(&self, id: AttemptId) -> Option<&Charged> {
        self.by_id.get(&id).map(|place| &self.charged[*place])
    }

    /// Takes a charge that is durable, under the policy that governed.
    pub fn charge(&mut self, charged: Charged, policy: &Policy) -> Result<(), Violation> {
        let place = self.charged.len();
        self.by_id.insert(charged.id, place);
        for key in &charged.keys {
            self.by_key.entry(key.clone()).or_default().push(place);
        }
        for intent in &charged.intents {
            let places = self.by_intent.entry(intent.clone()).or_default();
            places.push(place);
        }
        self.charged.push(charged);
        let charged = &self.charged[place];
        for limit in &policy.limits {
            self.within_cap(limit, charged)?;
        }
        for intent in &charged.intents {
            self.paid_once(intent)?;
        }
        Ok(())
    }

    /// Invariant 1, for the groups that this charge adds to.
    fn within_cap(&self, limit: &Statement<Limit>, newest: &Charged) -> Result<(), Violation> {
        let cap = limit.says.cap.to_u64().unwrap();
        let groups = newest.weights(limit);
        if groups.is_empty() {
            return Ok(());
        }
        let window = limit.says.window_millis;
        let since = |charged: &&Charged| charged.lo + window > newest.lo;
        let recent: Vec<_> = self.charged.iter().rev().take_while(since).collect();
        for group in groups.keys() {
            let weight = |charged: &Charged| charged.weights(limit).get(group).copied();
            let items: Vec<(&Charged, u64)> = recent
                .iter()
                .filter_map(|charged| Some((*charged, weight(charged)?)))
                .collect();
            if is_heavier(&items, cap) {
                let all: Vec<_> = items.iter().map(|(c, w)| (c.id.0, *w, c.lo)).collect();
                return violated(format!(
                    "1 window bound: {} of {cap} in {group:?}, with attempt {}: {all:?}",
                    limit.name, newest.id
                ));
            }
        }
        Ok(())
    }

    /// Invariant 2.
    fn paid_once(&self, intent: &IntentId) -> Result<(), Violation> {
        let attempts = self.by_intent[intent]
            .iter()
            .map(|place| &self.charged[*place]);
        let attempts: Vec<(&Charged, u64)> = attempts.map(|charged| (charged, 1)).collect();
        let reissued = |(charged, _): &&(&Charged, u64)| charged.reissued.contains(intent);
        let most = 1 + attempts.iter().filter(reissued).count() as u64;
        if is_heavier(&attempts, most) {
            let ids: Vec<_> = attempts.iter().map(|(charged, _)| charged.id.0).collect();
            return violated(format!(
                "2 never twice: {intent} by {ids:?}, {most} may confirm"
            ));
        }
        Ok(())
    }

    /// The requests by which an intent was re-issued.
    fn reissues(&self, intent: &IntentId) -> impl Iterator<Item = [u8; 32]> {
        let places = self.by_intent.get(intent).into_iter().flatten();
        let attempts = places.map(|place| &self.charged[*place]);
        attempts
            .filter(|charged| charged.reissued.contains(intent))
            .map(|charged| charged.hash)
    }

    /// Takes calls that are durable.
    pub fn allow(&mut self, calls: &[NumberedDigest]) -> Result<(), Violation> {
        for call in calls {
            if let Some(other) = self.calls.insert(call.call, call.clone()) {
                return violated(format!("6 call {} twice: {other:?}", call.call));
            }
        }
        Ok(())
    }

    /// Takes calls that a device is asked for. Whether they are durable shows when the log is read again.
    pub fn call(&mut self, calls: &[NumberedDigest]) -> Result<(), Violation> {
        for call in calls {
            if self.made.insert(call.call, call.clone()).is_some() {
                return violated(format!("6 call {} is made twice", call.call));
            }
        }
        Ok(())
    }

    /// HSM calls are durable calls: asked whenever the log was read from the disk.
    pub fn calls_are_durable(&self) -> Result<(), Violation> {
        match self
            .made
            .iter()
            .find(|(n, made)| self.calls.get(n) != Some(made))
        {
            Some((call, _)) => violated(format!("6 call {call} was made and is not durable")),
            None => Ok(()),
        }
    }

    pub fn freeze(&mut self, entry: u64, scope: FreezeScope) {
        self.freezes.push((entry, scope));
    }

    /// Takes signatures that are durable, of this `lo`.
    pub fn sign(&mut self, id: AttemptId, lo: u64) -> Result<(), Violation> {
        let Some(charged) = self.attempt(id) else {
            return violated(format!("6 attempt {id} is signed and was never charged"));
        };
        if lo > charged.lo + RELEASE_MILLIS {
            return violated(format!("6 delay: attempt {id} of {} at {lo}", charged.lo));
        }
        self.signed.insert(id, lo);
        Ok(())
    }

    /// What leaves is signed, and no freeze that was acknowledged holds it.
    pub fn release(&self, id: AttemptId) -> Result<&Charged, Violation> {
        let Some(charged) = self.attempt(id) else {
            return Err(Violation(format!(
                "attempt {id} is released, never charged"
            )));
        };
        if !self.signed.contains_key(&id) {
            return Err(Violation(format!("attempt {id} is released, not signed")));
        }
        let held = |(entry, scope): &&(u64, FreezeScope)| *entry > id.0 && charged.is_in(scope);
        match self.freezes.iter().find(held) {
            Some((entry, _)) => Err(Violation(format!(
                "10 attempt {id} leaves after freeze {entry}"
            ))),
            None => Ok(charged),
        }
    }

    /// What a limit without groups holds by the letter of the formula, at `lo`.
    pub fn used(&self, limit: &Statement<Limit>, lo: u64) -> u64 {
        let mut sets: BTreeMap<AttemptId, u64> = BTreeMap::new();
        for charged in &self.charged {
            if charged.lo + limit.says.window_millis > lo {
                let weight: u64 = charged.weights(limit).into_values().sum();
                let peak = sets.entry(charged.set).or_default();
                *peak = (*peak).max(weight);
            }
        }
        sets.into_values().sum()
    }

    /// Invariant 5: bundles come and go, and what is used is what the formula says.
    pub fn rooms_agree(
        &self,
        policy: &Policy,
        rooms: &[policy::Room],
        lo: u64,
    ) -> Result<(), Violation> {
        for room in rooms.iter().filter(|room| room.group.is_empty()) {
            let limit = policy.limits.iter().find(|limit| limit.name == room.limit);
            let used = self.used(limit.unwrap(), lo);
            if room.used != Amount::from(used) {
                return violated(format!(
                    "5 {} uses {}, not {used}, at {lo}",
                    room.limit, room.used
                ));
            }
        }
        Ok(())
    }
}

/// What all machines together have let out.
#[derive(Clone, Debug, Default)]
pub struct Outside {
    released: Vec<Charged>,
    /// The answer to each request, by its hash.
    answers: HashMap<[u8; 32], String>,
}

impl Outside {
    /// Invariants 1 and 2 of all that left, by true time: `lo` runs at most 200 ppm faster than a boot clock that
    /// is fast itself, so that what is in a window by truth is in the window of the same length and so much more
    /// by `lo`.
    pub fn take(
        &mut self,
        charged: &Charged,
        raw: &str,
        limits: &[Statement<Limit>],
    ) -> Result<(), Violation> {
        if let Some(before) = self.answers.insert(charged.hash, raw.to_owned()) {
            if before != raw {
                return violated(format!(
                    "attempt {} is answered otherwise than before",
                    charged.id
                ));
            }
            return Ok(());
        }
        self.released.push(charged.clone());
        for limit in limits {
            self.within_cap(limit, charged)?;
        }
        Ok(())
    }

    fn within_cap(&self, limit: &Statement<Limit>, newest: &Charged) -> Result<(), Violation> {
        let by_boot = 1_000_000 * 5_000 / 5_001;
        let window = limit.says.window_millis * by_boot / (1_000_000 + DRIFT) - 3;
        let cap = limit.says.cap.to_u64().unwrap();
        for group in newest.weights(limit).keys() {
            let weight = |charged: &Charged| charged.weights(limit).get(group).copied();
            let near = |charged: &&Charged| charged.at.abs_diff(newest.at) < window;
            let near: Vec<&Charged> = self.released.iter().filter(near).collect();
            // Windows that end with each of those that the new one is in a window with.
            for last in near.iter().filter(|charged| charged.at >= newest.at) {
                let within =
                    |charged: &&&Charged| charged.at <= last.at && charged.at + window > last.at;
                let items: Vec<(&Charged, u64)> = near
                    .iter()
                    .filter(within)
                    .filter_map(|charged| Some((*charged, weight(charged)?)))
                    .collect();
                if is_heavier(&items, cap) {
                    return violated(format!("10 more than {} of {cap} left", limit.name));
                }
            }
        }
        Ok(())
    }

    /// Invariant 2 of all that left. A re-issue counts where it was charged, whether or not it left.
    pub fn paid_once(&self, intent: &IntentId, histories: &[&Model]) -> Result<(), Violation> {
        let paying = |other: &&Charged| other.intents.contains(intent);
        let attempts = self.released.iter().filter(paying).map(|c| (c, 1));
        let attempts: Vec<(&Charged, u64)> = attempts.collect();
        let reissues = histories.iter().flat_map(|model| model.reissues(intent));
        let most = 1 + reissues.collect::<BTreeSet<_>>().len() as u64;
        match is_heavier(&attempts, most) {
            true => violated(format!(
                "10 never twice: {intent} left more often than {most}"
            )),
            false => Ok(()),
        }
    }

    pub fn len(&self) -> usize {
        self.released.len()
    }
}
