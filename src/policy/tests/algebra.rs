//! Invariants 3 and 4: no order means anything, and statements only ever do what their kind says.

use std::collections::BTreeSet;

use proptest::{collection::vec, prelude::*, test_runner::TestCaseError};
use strongroom_policy::{Entry, FreezeScope, Policy, Proof, Reason};

use crate::{
    breadth::{Dice, activate, broad, broadly, meanwhile, shelve, surrounded, under},
    fixture::Ask,
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
        if n == 5 {
            let freeze = Entry::Frozen {
                scope: FreezeScope::All,
                reason: "drill".into(),
            };
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
        hostile.signer.push(Entry::Frozen {
            scope: FreezeScope::All,
            reason: "drill".into(),
        });
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
