//! Policies of random statements, and requests that touch every kind of effect.

use std::{
    cell::RefCell,
    collections::{BTreeSet, HashMap},
};

use proptest::{
    collection::vec,
    option,
    prelude::*,
    sample::{self, subsequence},
};
use strongroom_policy::{
    Allow, Attempt, AttestationKind, Attestations, AttestedNeed, Attester, Deny, Evacuate, Group,
    Limit, Measure, Need, Person, Policy, Reason, Require, Room, Selector, SignerSelector,
    SourceSelector, Statement, To, UnmetNeed, Verdict,
    statement::{PublicKeyLine, intent_text, sign},
};
use tx::{AccountClass, EffectKind};

use crate::{
    breadth::{Dice, broaden},
    fixture::{
        Ask, BTC, ETH, SECOND, amount, book, btc, eth, name, need, own, policy, statement, stranger,
    },
    unseal::officer,
};

/// What a verdict comes down to, in a form that two of them are compared by.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// 0: refused, 1: pending, 2: permitted.
    pub rank: u8,
    pub reasons: BTreeSet<Reason>,
    pub needs: BTreeSet<UnmetNeed>,
    pub attempt: Option<Attempt>,
    pub room: Vec<Room>,
}

impl Outcome {
    pub fn of(verdict: Verdict) -> Self {
        let mut outcome = Self {
            rank: 0,
            reasons: BTreeSet::new(),
            needs: BTreeSet::new(),
            attempt: None,
            room: Vec::new(),
        };
        match verdict {
            Verdict::Refuse(refusal) => {
                outcome.needs.extend(refusal.needs);
                outcome.reasons.extend(refusal.reasons);
            }
            Verdict::Pending(needs) => {
                outcome.rank = 1;
                outcome.needs.extend(needs);
            }
            Verdict::Permit(permit) => {
                outcome.rank = 2;
                outcome.room = permit.room().to_vec();
                outcome.attempt = Some(permit.into_attempt());
            }
        }
        outcome
    }
}

/// Some of the items, often none of the conditions: a selector that meets nothing tests nothing.
fn some<T: Clone + Ord + std::fmt::Debug + 'static>(
    items: Vec<T>,
) -> impl Strategy<Value = Option<BTreeSet<T>>> {
    let most = items.len();
    let chosen = subsequence(items, 1..=most).prop_map(|items| items.into_iter().collect());
    option::weighted(0.15, chosen)
}

fn destinations() -> Vec<To> {
    vec![
        To::Address(stranger(BTC, 0)),
        To::Address(stranger(ETH, 1)),
        To::Book(name("b0")),
        To::Book(name("b1")),
        To::OwnClass(AccountClass::Cold),
        To::OwnClass(AccountClass::Hot),
        To::OwnAccount(name("hot2")),
    ]
}

pub fn selectors() -> impl Strategy<Value = Selector> {
    let sources = vec![
        SourceSelector::None,
        SourceSelector::Named(name("payouts")),
        SourceSelector::Named(name("refunds")),
    ];
    let origin = (
        some(vec![name("walletd"), name("other")]),
        some(sources),
        some(vec![name("hot"), name("hot2")]),
        some(vec![AccountClass::Hot, AccountClass::Retired]),
        some(vec![BTC, ETH]),
        some(vec![btc(), eth()]),
        some(EffectKind::ALL.to_vec()),
    );
    let bound = |most: u64| option::weighted(0.1, (0..=most).prop_map(amount));
    let value = (bound(6), bound(6), bound(40), bound(40));
    let to = (some(destinations()), some(destinations()));
    let first_day = || some(vec![name("first-day")]);
    let hours = (first_day(), first_day());
    let age = || option::weighted(0.1, sample::select(vec![SECOND, 30 * SECOND, 100 * SECOND]));
    let signers = vec![
        SignerSelector::Person(name("alice")),
        SignerSelector::Person(name("bob")),
        SignerSelector::Key(signer_key(1)),
    ];
    let told = (age(), age(), some(signers));
    (origin, to, value, hours, told).prop_map(
        |(
            (clients, sources, accounts, classes, chains, assets, effects),
            to,
            value,
            hours,
            told,
        )| {
            let (age_min, age_below, signed_by) = told;
            let (to, to_except) = to;
            let (amount_max, amount_over, fee_rate_max, fee_rate_over) = value;
            let (hours, hours_except) = hours;
            Selector {
                clients,
                sources,
                accounts,
                classes,
                chains,
                assets,
                effects,
                functions: None,
                to,
                to_except,
                amount_max,
                amount_over,
                fee_rate_max,
                fee_rate_over,
                tags: None,
                age_min,
                age_below,
                signed_by,
                hours,
                hours_except,
                dead: None,
            }
        },
    )
}

fn needs() -> impl Strategy<Value = Need> {
    (1..=2_u32).prop_map(|threshold| need(threshold, &["alice", "bob"]))
}

pub fn limits() -> impl Strategy<Value = Limit> {
    let groups = [
        Group::Destination,
        Group::Client,
        Group::Source,
        Group::Account,
    ];
    (
        any::<bool>(),
        subsequence(vec![30 * SECOND, 100 * SECOND, 200 * SECOND], 1),
        0..60_u64,
        option::weighted(0.4, subsequence(groups.to_vec(), 1..=2)),
        option::weighted(0.2, needs()),
        prop::bool::weighted(0.2),
    )
        .prop_map(|(counts, windows, cap, groups, over, outstanding)| Limit {
            measure: if counts {
                Measure::Count
            } else {
                Measure::Amount
            },
            window_millis: windows[0],
            cap: amount(cap),
            group: groups.unwrap_or_default().into_iter().collect(),
            over,
            outstanding,
        })
}

/// Statements named by their place: `d0`, `d1`.
fn named<K: 'static + Clone + std::fmt::Debug>(
    letter: char,
    says: impl Strategy<Value = K>,
    most: usize,
) -> impl Strategy<Value = Vec<Statement<K>>> {
    vec((selectors(), says), 0..=most).prop_map(move |statements| {
        let named = |(n, (selector, says))| statement(&format!("{letter}{n}"), selector, says);
        statements.into_iter().enumerate().map(named).collect()
    })
}

/// Two of the attesters w1, w2 and w3 say what is final and dead: what is not signed is dead after a minute.
pub fn watching() -> Attestations {
    let kinds = [AttestationKind::Final, AttestationKind::Dead];
    let attester = |n: u8| {
        let keys = [signer_key(10 + n)].into();
        let says = kinds.into();
        (name(&format!("w{n}")), Attester { keys, says })
    };
    Attestations {
        attesters: (1..=3).map(attester).collect(),
        needed: kinds.map(|kind| (kind, 2)).into(),
        ..Attestations::default()
    }
}

/// A key that may sign intents, in the one spelling.
pub fn signer_key(seed: u8) -> String {
    let line = officer(seed).public_key().to_openssh().unwrap();
    PublicKeyLine::parse(&line).unwrap().into_string()
}

/// The policy under which the intents of payouts are signed: by alice, by bob, or by whoever has a third
/// key.
pub fn with_signers(mut policy: Policy) -> Policy {
    let keys = |seed| Person {
        keys: [signer_key(seed)].into(),
        ..Person::default()
    };
    policy.people.insert(name("alice"), keys(1));
    policy.people.insert(name("bob"), keys(2));
    let source = policy.sources.get_mut(&name("payouts")).unwrap();
    source.signers = [1, 2, 3].map(signer_key).into();
    policy
}

/// Has every intent signed by those of the three keys that `bits` say, by one at least.
pub fn signed(mut ask: Ask, bits: u8) -> Ask {
    let seeds: Vec<u8> = (1..=3)
        .filter(|seed| bits & (1 << (seed - 1)) != 0)
        .collect();
    let seeds = if seeds.is_empty() { vec![1] } else { seeds };
    for signed in &mut ask.request.intents {
        let text = intent_text(&name("main"), &signed.intent);
        signed.signatures = seeds.iter().map(|seed| signature(&text, *seed)).collect();
    }
    ask
}

/// Remembered, because signing is most of what a run would cost.
fn signature(text: &str, seed: u8) -> String {
    thread_local! {
        static MADE: RefCell<HashMap<(String, u8), String>> = RefCell::default();
    }
    MADE.with_borrow_mut(|made| {
        let made = made.entry((text.to_owned(), seed));
        let sign = || sign(text, "strongroom-intent-v1", &officer(seed)).unwrap();
        made.or_insert_with(sign).clone()
    })
}

/// A rule of each kind, to be added.
#[derive(Clone, Debug)]
pub enum Addition {
    Allow(Selector),
    Evacuate(Selector, Need),
    Deny(Selector),
    Require(Selector, Need),
    Limit(Selector, Limit),
    Attested(Selector, AttestedNeed),
}

pub fn additions() -> impl Strategy<Value = Addition> {
    prop_oneof![
        selectors().prop_map(Addition::Allow),
        (selectors(), needs()).prop_map(|(s, n)| Addition::Evacuate(s, n)),
        selectors().prop_map(Addition::Deny),
        (selectors(), needs()).prop_map(|(s, n)| Addition::Require(s, n)),
        (selectors(), limits()).prop_map(|(s, l)| Addition::Limit(s, l)),
        (selectors(), 1..200_u64).prop_map(|(s, secs)| {
            let need = AttestedNeed {
                attested: AttestationKind::Head,
                within_millis: secs * SECOND,
            };
            Addition::Attested(s, need)
        }),
    ]
}

impl Addition {
    /// Whether more can happen with it; else less can.
    pub fn widens(&self) -> bool {
        matches!(self, Self::Allow(_))
    }

    /// With conditions that the plain generator has not.
    pub fn broadened(mut self, seed: u64) -> Self {
        let is_limit = matches!(self, Self::Limit(..));
        match &mut self {
            Self::Allow(s)
            | Self::Evacuate(s, _)
            | Self::Deny(s)
            | Self::Require(s, _)
            | Self::Limit(s, _)
            | Self::Attested(s, _) => broaden(s, &mut Dice(seed), is_limit),
        }
        self
    }

    pub fn add_to(self, mut policy: Policy) -> Policy {
        match self {
            Self::Allow(s) => policy.allows.push(statement("added", s, Allow)),
            Self::Evacuate(s, need) => {
                policy
                    .evacuates
                    .push(statement("added", s, Evacuate { need }));
            }
            Self::Deny(s) => policy.denies.push(statement("added", s, Deny)),
            Self::Require(s, need) => policy
                .requires
                .push(statement("added", s, Require { need })),
            Self::Limit(s, limit) => policy.limits.push(statement("added", s, limit)),
            Self::Attested(s, need) => policy.requires_attested.push(statement("added", s, need)),
        }
        policy
    }
}

/// Policies over the fixture's accounts, most of which let something happen.
pub fn policies() -> impl Strategy<Value = Policy> {
    let books = (subsequence((0..3).collect::<Vec<u8>>(), 0..=3), 0..3_u8);
    let watched = prop::bool::weighted(0.5);
    let allows = (prop::bool::weighted(0.7), named('a', Just(Allow), 4));
    let restricting = (
        named('d', Just(Deny), 1),
        named('r', needs().prop_map(|need| Require { need }), 1),
        named('l', limits(), 4),
        named('e', needs().prop_map(|need| Evacuate { need }), 2),
    );
    (books, allows, restricting, watched).prop_map(
        |((b0, b1), (everything, more), (denies, requires, limits, evacuates), watched)| {
            let mut made = policy();
            if watched {
                made.attestations = watching();
            }
            let b0 = b0
                .into_iter()
                .flat_map(|n| [stranger(BTC, n), stranger(ETH, n)]);
            made.books.insert(name("b0"), book(b0));
            made.books
                .insert(name("b1"), book([stranger(BTC, b1), stranger(ETH, b1)]));
            if !everything {
                made.allows.clear();
            }
            made.allows.extend(more);
            Policy {
                denies,
                requires,
                limits,
                evacuates,
                ..made
            }
        },
    )
}

/// Adds own effects to what is asked, by bits.
pub fn with_own_effects(ask: Ask, bits: u8) -> Ask {
    let chain = ask.transaction.chain;
    let (account, key) = (
        ask.transaction.account.clone(),
        ask.transaction.signings[0].key.clone(),
    );
    let to_self = (
        own(key.as_str(), chain),
        Some((account.as_str(), AccountClass::Hot)),
    );
    let cold = (stranger(chain, 200), Some(("cold", AccountClass::Cold)));
    let hot = (own("k3", chain), Some(("hot2", AccountClass::Hot)));
    let mut ask = ask;
    if bits & 1 != 0 {
        ask = ask.effect(EffectKind::Change, 3, Some(to_self));
    }
    if bits & 2 != 0 {
        ask = ask.effect(EffectKind::OwnTransfer, 2, Some(cold));
    }
    if bits & 4 != 0 && account != name("hot2") {
        ask = ask.effect(EffectKind::OwnTransfer, 4, Some(hot));
    }
    ask
}
