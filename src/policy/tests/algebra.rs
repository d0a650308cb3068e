//! Invariants 3 and 4: no order means anything, and statements only ever do what their kind says.

use std::collections::BTreeSet;

use proptest::{collection::vec, prelude::*, test_runner::TestCaseError};
use strongroom_policy::{Entry, FreezeScope, Policy, Proof, Reason, ReasonCode};
use tx::{AccountClass, EffectKind};

use crate::{
    breadth::{Dice, activate, broad, broadly, meanwhile, shelve, surrounded, under},
    fixture::{Ask, BTC, ETH, name, stranger},
    hostile::{Hostile, Step, runner, runs},
    rules::{Addition, Outcome, additions, policies, with_own_effects},
};

/// Fisher-Yates by a seed.
fn shuffle<T>(items: &mut [T], seed: &mut u64) {
    for i in (1..items.len()).rev() {
        *seed = seed
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        items.swap(i, (*seed >> 33) as usize % (i + 1));
    }
}

fn shuffled_policy(mut policy: Policy, seed: &mut u64) -> Policy {
    shuffle(&mut policy.allows, seed);
    shuffle(&mut policy.denies, seed);
    shuffle(&mut policy.requires, seed);
    shuffle(&mut policy.limits, seed);
    shuffle(&mut policy.evacuates, seed);
    policy
}

fn shuffled_ask(mut ask: Ask, seed: &mut u64) -> Ask {
    shuffle(&mut ask.transaction.effects, seed);
    shuffle(&mut ask.request.intents, seed);
    shuffle(&mut ask.request.replaces, seed);
    shuffle(&mut ask.request.proofs, seed);
    ask
}

fn with_proofs(mut ask: Ask) -> Ask {
    ask.request.proofs = ["a", "b", "c"]
        .map(|statement| Proof {
            statement: statement.into(),
            signatures: Vec::new(),
        })
        .into();
    ask
}

/// Any scope; everything in one of eight.
fn scopes(dice: &mut Dice) -> FreezeScope {
    match dice.below(8) {
        0 => FreezeScope::All,
        1 => FreezeScope::Account(name(["hot", "hot2"][dice.below(2) as usize])),
        2 => FreezeScope::Chain([BTC, ETH][dice.below(2) as usize]),
        3 => FreezeScope::Key(name(["k1", "k2", "k3"][dice.below(3) as usize])),
        4 => FreezeScope::Book(name("b0")),
        5 => FreezeScope::Book(name("b1")),
        6 => FreezeScope::OwnClass(AccountClass::Hot),
        _ => FreezeScope::OwnClass(AccountClass::Cold),
    }
}

fn frozen_by(scope: FreezeScope) -> Entry {
    Entry::Frozen {
        scope,
        reason: "drill".into(),
    }
}

/// The same history under both; every answer on the way is compared.
fn same_in_any_order(
    policy: &Policy,
    steps: &[(Step, u8)],
    mut seed: u64,
) -> Result<u64, TestCaseError> {
    let mut dice = Dice(seed);
    let mut here = Hostile::new(&under(policy.clone()));
    let mut there = under(shuffled_policy(policy.clone(), &mut seed));
    let mut permits = 0;
    for (n, (step, bits)) in steps.iter().enumerate() {
        let known = here.signer.records.len();
        meanwhile(&mut here, &mut dice);
        there.now = here.signer.now;
        for record in here.signer.records[known..].iter().cloned() {
            there.push(record.entry);
        }
        shelve(&mut there);
        if n == 3 || n == 5 {
            let freeze = frozen_by(scopes(&mut dice));
            here.signer.push(freeze.clone());
            there.push(freeze);
        }
        let ask = with_own_effects(here.take(step), *bits);
        let ask = with_proofs(broadly(ask, dice.below(1 << 8)));
        there.now = here.signer.now;
        let one = Outcome::of(here.signer.evaluate(&ask));
        let other = Outcome::of(there.evaluate(&shuffled_ask(ask.clone(), &mut seed)));
        prop_assert_eq!(&one, &other);
        if let Some(attempt) = one.attempt {
            permits += 1;
            here.charge(&ask);
            there.push(Entry::Attempt(Box::new(attempt)));
        }
    }
    Ok(permits)
}

fn histories() -> impl Strategy<Value = Vec<(Step, u8)>> {
    (runs(7), vec(0..8_u8, 7)).prop_map(|(steps, bits)| steps.into_iter().zip(bits).collect())
}

#[test]
fn no_order_means_anything() {
    let permits = std::sync::atomic::AtomicU64::new(0);
    let run = |(policy, steps, seed): (Policy, Vec<(Step, u8)>, u64)| {
        let count = same_in_any_order(&broad(policy, seed), &steps, seed)?;
        permits.fetch_add(count, std::sync::atomic::Ordering::Relaxed);
        Ok(())
    };
    runner(1_000)
        .run(&(policies(), histories(), any::<u64>()), run)
        .unwrap();
    let permits = permits.into_inner();
    println!("1,000 policies, {permits} permits");
    assert!(permits > 200, "{permits}");
}

/// What speaks against a request, without the advice: an allow more, of another hour, is worth a word.
fn said(reasons: BTreeSet<Reason>) -> BTreeSet<Reason> {
    let without_remedy = |reason| Reason {
        remedy: String::new(),
        ..reason
    };
    reasons.into_iter().map(without_remedy).collect()
}

/// What was asked last, under the policy and under the policy with one statement more.
fn compared(
    policy: &Policy,
    steps: &[(Step, u8)],
    (addition, seed): (Addition, u64),
    frozen: bool,
) -> Result<(), TestCaseError> {
    let mut dice = Dice(seed);
    let mut hostile = Hostile::new(&under(policy.clone()));
    let mut last = None;
    for (step, bits) in steps {
        if let Some(ask) = last.take() {
            hostile.charge(&ask);
        }
        meanwhile(&mut hostile, &mut dice);
        let ask = with_own_effects(hostile.take(step), *bits);
        last = Some(broadly(ask, dice.below(1 << 8)));
    }
    let Some(ask) = last else {
        return Ok(());
    };
    if frozen {
        hostile.signer.push(frozen_by(scopes(&mut dice)));
    }
    let without = Outcome::of(hostile.signer.evaluate(&ask));
    let widens = addition.widens();
    let evacuates = matches!(addition, Addition::Evacuate(..));
    let added = surrounded(addition.add_to(policy.clone()), 3);
    activate(&mut hostile.signer, added);
    let with = Outcome::of(hostile.signer.evaluate(&ask));
    if widens || evacuates {
        prop_assert!(with.rank >= without.rank, "{without:?} became {with:?}");
        prop_assert!(said(with.reasons).is_subset(&said(without.reasons)));
    } else {
        prop_assert!(with.rank <= without.rank, "{without:?} became {with:?}");
        prop_assert!(with.reasons.is_superset(&without.reasons));
        prop_assert!(with.needs.is_superset(&without.needs));
    }
    Ok(())
}

#[test]
fn an_allow_is_never_worse_and_a_restriction_never_better() {
    let cases = (
        policies(),
        histories(),
        (additions(), any::<u64>()),
        prop::bool::weighted(0.2),
    );
    let run = |(policy, steps, (addition, seed), frozen): (_, Vec<_>, (Addition, u64), bool)| {
        let addition = addition.broadened(seed);
        compared(&broad(policy, seed), &steps, (addition, seed), frozen)
    };
    runner(1_000).run(&cases, run).unwrap();
}

/// Whether a scope holds what is asked, by what it says; of the book that is loaded apart nothing is said here.
fn is_named(scope: &FreezeScope, policy: &Policy, ask: &Ask) -> Option<bool> {
    let asked = &ask.transaction;
    let going = asked.effects.iter().filter(|effect| {
        let kind = effect.kind;
        kind != EffectKind::Change && kind != EffectKind::Cancellation
    });
    let mut going = going.filter_map(|effect| Some((effect.to.as_ref()?, &effect.call)));
    Some(match scope {
        FreezeScope::All => true,
        FreezeScope::Account(account) => asked.account == *account,
        FreezeScope::Chain(chain) => asked.chain == *chain,
        FreezeScope::Key(key) => asked.signings.iter().any(|signing| signing.key == *key),
        FreezeScope::Book(book) => {
            let book = policy.books.get(book).filter(|book| book.apart.is_none())?;
            going.any(|(to, call)| {
                let arguments = call.iter().flat_map(|call| &call.arguments);
                let mut arguments = arguments.filter_map(|argument| {
                    let mut strangers = (0..3).map(|n| stranger(ETH, n));
                    strangers.find(|address| address.to_string() == argument.value)
                });
                book.addresses.contains(&to.address)
                    || arguments.any(|address| book.addresses.contains(&address))
            })
        }
        FreezeScope::OwnClass(class) => {
            going.any(|(to, _)| to.own.as_ref().is_some_and(|own| own.class == *class))
        }
        other => panic!("no such scope was drawn: {other}"),
    })
}

/// What was asked last, before and under a freeze.
fn held(policy: &Policy, steps: &[(Step, u8)], seed: u64) -> Result<Option<bool>, TestCaseError> {
    let mut dice = Dice(seed);
    let mut hostile = Hostile::new(&under(policy.clone()));
    for (step, _) in &steps[1..] {
        meanwhile(&mut hostile, &mut dice);
        let ask = hostile.take(step);
        hostile.charge(&ask);
    }
    let (step, bits) = &steps[0];
    let ask = with_own_effects(hostile.take(step), *bits);
    let ask = broadly(ask, dice.below(1 << 8));
    let without = Outcome::of(hostile.signer.evaluate(&ask));
    let scope = scopes(&mut dice);
    let known = hostile.signer.state.policy().cloned();
    hostile.signer.push(frozen_by(scope.clone()));
    let with = Outcome::of(hostile.signer.evaluate(&ask));
    prop_assert!(with.rank <= without.rank, "{without:?} became {with:?}");
    prop_assert!(with.reasons.is_superset(&without.reasons));
    prop_assert!(with.needs.is_superset(&without.needs));
    let is_held = with
        .reasons
        .iter()
        .any(|reason| reason.code == ReasonCode::Frozen);
    let Some(named) = known.and_then(|policy| is_named(&scope, &policy, &ask)) else {
        return Ok(None);
    };
    if !named {
        prop_assert_eq!(&with, &without, "{} holds nothing of it", scope);
    } else if policy.evacuates.is_empty() {
        prop_assert!(is_held, "{} holds it", scope);
    }
    Ok(Some(is_held))
}

#[test]
fn a_freeze_holds_what_it_names_and_is_never_better() {
    let counts = std::cell::Cell::new([0_u32; 2]);
    let run = |(policy, steps, seed): (Policy, Vec<(Step, u8)>, u64)| {
        if let Some(is_held) = held(&broad(policy, seed), &steps, seed)? {
            let mut both = counts.get();
            both[usize::from(is_held)] += 1;
            counts.set(both);
        }
        Ok(())
    };
    let cases = (policies(), histories(), any::<u64>());
    runner(1_000).run(&cases, run).unwrap();
    let [free, held] = counts.into_inner();
    println!("1,000 freezes, {held} held what was asked and {free} did not");
    assert!(free > 200 && held > 200, "{free}, {held}");
}
