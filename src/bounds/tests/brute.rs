//! Whether more leaves than is known to leave, by trying every sequence of requests.
//!
//! What is left out loses nothing, and none of it knows of classes or programs: what is refused with empty
//! windows is always refused; requests of one time are signed in any order; an address that is in no window is
//! as new as any other; and what was reached before with as much signed need not be reached again.

use std::collections::{BTreeMap, HashMap};

use policy::{Allow, Statement, Verdict};
use tx::{Address, Asset, EffectKind, Name, Time};

use super::{
    bundles::{BTC, CALLER, Case, SPENDER, START, name, own, stranger},
    signer::{Ask, Signer},
    wide,
};

/// So many verdicts are asked for.
const VERDICTS_MAX: usize = 3_000;
/// So many requests of a sequence let nothing leave.
const IDLE_MAX: usize = 2;
/// The first address that nothing names.
const FRESH: u8 = 10;

pub enum Tried {
    All(u64),
    TooMuch,
}

struct Trial<'a> {
    case: &'a Case,
    /// How many units after the beginning the first request may be.
    offset: u64,
    /// What can be asked for at all; what goes to the address [`FRESH`] goes to any that is as new.
    asks: Vec<Ask>,
    best: u64,
    verdicts: usize,
    /// The most that was signed on the way to each place.
    seen: HashMap<Vec<u64>, u64>,
}

/// Where a sequence has come to.
#[derive(Clone)]
struct Place {
    signer: Signer,
    at: u64,
    /// Requests of this time come in the order of what can be asked for.
    from: usize,
    sum: u64,
    /// How many requests let nothing leave.
    idle: usize,
    /// What was signed: when, which, and to which new addresses.
    signed: Vec<(u64, usize, Vec<u8>)>,
}

/// The most that leaves, which is not less than `known`.
pub fn tried(case: &Case, signer: &Signer, known: u64) -> Tried {
    tried_from((case, signer), 0, known)
}

/// The most that leaves so many units after the beginning, which is not less than `known`.
pub fn tried_from((case, signer): (&Case, &Signer), offset: u64, known: u64) -> Tried {
    let asks = asks(case);
    let spans = case.question.span_millis / case.unit;
    let is_permit = |ask: &Ask| {
        let mut times = (0..spans).map(|at| Time::from_millis(START + (offset + at) * case.unit));
        times.any(|at| {
            let ask = Ask { at, ..ask.clone() };
            matches!(signer.verdict(&ask), Verdict::Permit(_))
        })
    };
    // Once a destination was paid it has an age, so that what is refused now need not be later.
    let ages = wide::asks_for_ages(&case.policy);
    let possible = asks.into_iter().filter(|ask| ages || is_permit(ask));
    let mut trial = Trial {
        case,
        offset,
        asks: possible.collect(),
        best: known,
        verdicts: 0,
        seen: HashMap::new(),
    };
    trial.go(Place {
        signer: signer.clone(),
        at: 0,
        from: 0,
        sum: 0,
        idle: 0,
        signed: Vec::new(),
    });
    match trial.verdicts < VERDICTS_MAX {
        true => Tried::All(trial.best),
        false => Tried::TooMuch,
    }
}

/// Every request, by the largest amounts first.
fn asks(case: &Case) -> Vec<Ask> {
    let asset = case.question.asset();
    let mut asks = Vec::new();
    for client in case.policy.clients.keys() {
        for account in case.policy.accounts.keys() {
            for payments in payments(case, &asset) {
                // A fee of nothing is as good as any: no statement of these tells fees apart by amounts.
                asks.push(Ask {
                    at: Time::from_millis(START),
                    client: client.clone(),
                    account: account.clone(),
                    chain: case.chain,
                    payments,
                    fee: 0,
                });
            }
        }
    }
    asks.sort_by_key(|ask| std::cmp::Reverse(case.leaves(ask)));
    asks
}

type Paid = (Address, Asset, u64, Name);

fn payments(case: &Case, asset: &Asset) -> Vec<Vec<Paid>> {
    let mut ones: Vec<Paid> = Vec::new();
    let approves = |allow: &Statement<Allow>| allow.selector.gives(EffectKind::Approval);
    let spender = case.policy.allows.iter().any(approves);
    let spender = spender.then(|| name(SPENDER));
    for source in case.policy.sources.keys().chain(&spender) {
        for to in [1, 2, 3, FRESH] {
            for amount in 1..=case.total.0 {
                let to = stranger(case.chain, to);
                ones.push((to, asset.clone(), amount, source.clone()));
            }
        }
    }
    let mut all: Vec<Vec<Paid>> = ones.iter().cloned().map(|one| vec![one]).collect();
    if case.chain == BTC {
        for (number, one) in ones.iter().enumerate() {
            let others = ones.iter().skip(number);
            all.extend(others.map(|other| vec![one.clone(), other.clone()]));
        }
    }
    if case.calls.is_some() {
        let sent = (1..=case.calls.unwrap_or(0))
            .map(|amount| (wide::contract(), asset.clone(), amount, name(CALLER)));
        all.extend(sent.map(|one| vec![one]));
    }
    if case.moves {
        let source = case.policy.sources.keys().next().unwrap();
        let to = own("k0", case.chain);
        all.push(vec![(to, asset.clone(), 1, source.clone())]);
    }
    all
}

impl Trial<'_> {
    fn go(&mut self, place: Place) {
        self.best = self.best.max(place.sum);
        let spans = self.case.question.span_millis / self.case.unit;
        if place.at >= spans || self.verdicts >= VERDICTS_MAX {
            return;
        }
        if place.sum + self.room(&place) <= self.best {
            return;
        }
        let known = self.seen.entry(key(&place)).or_insert(0);
        if *known > place.sum {
            return;
        }
        // One more than was signed, so that the same place is not gone to twice.
        *known = place.sum + 1;
        for number in place.from..self.asks.len() {
            for ask in self.with_addresses(&place, number) {
                self.try_one(&place, (number, ask));
            }
        }
        self.go(Place {
            at: place.at + 1,
            from: 0,
            ..place
        });
    }

    /// What the limits on everything have room for until the end.
    fn room(&self, place: &Place) -> u64 {
        let (cap, window) = self.case.total;
        let paid = self.room_of((place, cap, window), |ask| ask.paid(self.case));
        let calls = self.case.calls.unwrap_or(0);
        paid + self.room_of((place, calls, window), Ask::called)
    }

    fn room_of(
        &self,
        (place, cap, window): (&Place, u64, u64),
        counts: impl Fn(&Ask) -> u64,
    ) -> u64 {
        let paid = place
            .signed
            .iter()
            .filter(|(at, ..)| at + window > place.at);
        let paid = paid.map(|(at, number, _)| (*at, counts(&self.asks[*number])));
        let paid: Vec<(u64, u64)> = paid.filter(|(_, paid)| *paid > 0).collect();
        let used: u64 = paid.iter().map(|(_, paid)| paid).sum();
        // All that is paid before the first of these leaves its window is in one window with them.
        let first = paid.first().map_or(place.at, |(at, _)| *at);
        let spans = self.case.question.span_millis / self.case.unit;
        let later = spans.saturating_sub(first + window);
        cap - used + cap * later.div_ceil(window)
    }

    fn try_one(&mut self, place: &Place, (number, (ask, fresh)): (usize, (Ask, Vec<u8>))) {
        self.verdicts += 1;
        let leaves = self.case.leaves(&ask);
        // What lets nothing leave only takes from limits, if from any.
        if leaves == 0 && place.idle == IDLE_MAX {
            return;
        }
        if self.verdicts < VERDICTS_MAX
            && let Verdict::Permit(permit) = place.signer.verdict(&ask)
        {
            let mut signer = place.signer.clone();
            signer.charge(ask.at, *permit);
            let mut signed = place.signed.clone();
            signed.push((place.at, number, fresh));
            self.go(Place {
                signer,
                at: place.at,
                from: number,
                sum: place.sum + leaves,
                idle: place.idle + usize::from(leaves == 0),
                signed,
            });
        }
    }

    /// The request with each way of choosing new addresses: those that are in a window, and one that is not.
    fn with_addresses(&self, place: &Place, number: usize) -> Vec<(Ask, Vec<u8>)> {
        let mut ask = self.asks[number].clone();
        ask.at = Time::from_millis(START + (self.offset + place.at) * self.case.unit);
        let active = place.signed.iter().filter(|(at, ..)| at + 3 > place.at);
        let mut used: Vec<u8> = active.flat_map(|(.., fresh)| fresh.clone()).collect();
        used.sort_unstable();
        used.dedup();
        let mut all = vec![(ask, Vec::new())];
        for position in 0..all[0].0.payments.len() {
            if all[0].0.payments[position].0 != stranger(self.case.chain, FRESH) {
                continue;
            }
            let mut next = Vec::new();
            for (ask, fresh) in all {
                let taken = |n: &u8| used.contains(n) || fresh.contains(n);
                let new = (FRESH..).find(|n| !taken(n)).unwrap();
                let mut choices: Vec<u8> = used.iter().chain(&fresh).copied().collect();
                choices.sort_unstable();
                choices.dedup();
                for choice in choices.into_iter().chain([new]) {
                    let (mut ask, mut fresh) = (ask.clone(), fresh.clone());
                    ask.payments[position].0 = stranger(self.case.chain, choice);
                    fresh.push(choice);
                    next.push((ask, fresh));
                }
            }
            all = next;
        }
        all
    }
}

/// What the rest of a sequence hangs on.
fn key(place: &Place) -> Vec<u64> {
    let mut key = vec![place.at, place.from as u64];
    let mut names: BTreeMap<u8, u64> = BTreeMap::new();
    let active = place.signed.iter().filter(|(at, ..)| at + 3 > place.at);
    for (at, number, fresh) in active {
        key.extend([*at, *number as u64]);
        for one in fresh {
            let next = names.len() as u64;
            key.push(1_000 + *names.entry(*one).or_insert(next));
        }
    }
    key
}
