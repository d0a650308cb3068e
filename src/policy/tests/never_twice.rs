//! Invariant 2: of the attempts of one intent at most 1 + its re-issues can all confirm.

use std::collections::{BTreeMap, BTreeSet};

use proptest::{prelude::*, test_runner::TestCaseError};
use strongroom_policy::{Policy, ReasonCode, SignedIntent};
use tx::{Address, Amount, Asset, EffectKind, IntentId, IntentPayload};

use crate::{
    fixture::{Ask, Signer, effects, policy, statement},
    hostile::{Hostile, Step, confirmable, runner, runs},
};

/// Re-issues are authorised by the fixture's policy, or by nothing.
fn without_reissue() -> Policy {
    let kinds = [EffectKind::Payment, EffectKind::Fee];
    let allows = vec![statement("pay", effects(&kinds), strongroom_policy::Allow)];
    Policy { allows, ..policy() }
}

fn never_twice(signer: &Signer, steps: &[Step]) -> Result<(), TestCaseError> {
    let mut hostile = Hostile::new(signer);
    for step in steps {
        let ask = hostile.take(step);
        hostile.charge(&ask);
    }
    for (intent, (together, reissues)) in confirmable(&hostile.done) {
        prop_assert!(
            together <= 1 + reissues,
            "{intent}: {together} with {reissues} re-issues"
        );
    }
    content_is_fixed(&hostile)?;
    one_to_one(&hostile)
}

fn content_is_fixed(hostile: &Hostile) -> Result<(), TestCaseError> {
    let mut first: BTreeMap<&IntentId, IntentPayload> = BTreeMap::new();
    for signed in hostile.done.iter().flat_map(|done| &done.attempt.intents) {
        let payload = signed.intent.payload();
        prop_assert_eq!(*first.entry(&signed.intent.id).or_insert(payload), payload);
    }
    Ok(())
}

fn one_to_one(hostile: &Hostile) -> Result<(), TestCaseError> {
    for done in &hostile.done {
        let content = |intent: &SignedIntent| {
            let intent = &intent.intent;
            (
                intent.asset.clone(),
                intent.amount,
                intent.destination.clone(),
            )
        };
        let mut asked: Vec<(Asset, Amount, Address)> =
            done.attempt.intents.iter().map(content).collect();
        let payments = done
            .attempt
            .facts
            .iter()
            .filter(|f| f.effect.kind == EffectKind::Payment);
        let ids: BTreeSet<_> = payments
            .clone()
            .filter_map(|fact| fact.intent.as_ref())
            .collect();
        let mut paid: Vec<_> = payments
            .map(|fact| {
                let effect = &fact.effect;
                let to = effect.to.as_ref().unwrap().address.clone();
                (effect.asset.clone(), effect.amount, to)
            })
            .collect();
        asked.sort();
        paid.sort();
        prop_assert_eq!(&asked, &paid);
        prop_assert_eq!(
            ids.len(),
            paid.len(),
            "every payment has an intent of its own"
        );
    }
    Ok(())
}

#[test]
fn an_intent_is_paid_once_and_once_for_each_reissue() {
    let signer = Signer::new(policy());
    let run = |steps: Vec<Step>| never_twice(&signer, &steps);
    runner(3_000).run(&runs(12), run).unwrap();
}

#[test]
fn without_an_authorised_reissue_an_intent_is_paid_once() {
    let signer = Signer::new(without_reissue());
    let run = |steps: Vec<Step>| {
        never_twice(&signer, &steps)?;
        let mut hostile = Hostile::new(&signer);
        for step in &steps {
            let ask = hostile.take(step);
            hostile.charge(&ask);
        }
        for (intent, (together, reissues)) in confirmable(&hostile.done) {
            prop_assert_eq!((together, reissues), (1, 0), "{}", intent);
        }
        Ok(())
    };
    runner(2_000).run(&runs(12), run).unwrap();
}

/// A chain of replacements, each of which shares a coin with the one before and none with the
/// first, would pay the intent twice: what counts is what all of them share.
#[test]
fn a_chain_of_replacements_keeps_one_coin() {
    let mut signer = Signer::new(without_reissue());
    let a = signer.charged(&Ask::utxo("a", [0, 1], 1_000).pay("i", 5, 1));
    let b = signer.charged(&Ask::utxo("b", [1, 2], 2_000).pay("i", 5, 1).replaces([a]));
    let c = Ask::utxo("c", [2, 3], 3_000)
        .pay("i", 5, 1)
        .replaces([a, b]);
    assert_eq!(signer.codes(&c), [ReasonCode::Uncovered].into());
    let d = Ask::utxo("d", [1, 3], 3_000)
        .pay("i", 5, 1)
        .replaces([a, b]);
    assert!(signer.permit(&d).is_ok());
}

/// "Same coin twice" of the attack corpus.
#[test]
fn a_second_intent_on_a_coin_is_an_undeclared_conflict() {
    let mut signer = Signer::new(policy());
    let first = signer.charged(&Ask::utxo("a", [0, 1], 1_000).pay("i", 5, 1));
    let second = Ask::utxo("b", [1], 2_000).pay("j", 5, 2);
    assert_eq!(
        signer.codes(&second),
        [ReasonCode::UndeclaredConflict].into()
    );
    assert!(signer.permit(&second.replaces([first])).is_ok());
    let nonce = signer.charged(&Ask::evm("c", 0, 100).pay("k", 5, 1));
    let again = Ask::evm("d", 0, 200).pay("l", 5, 1);
    assert_eq!(
        signer.codes(&again),
        [ReasonCode::UndeclaredConflict].into()
    );
    assert!(signer.permit(&again.replaces([nonce])).is_ok());
}

/// "Invented intents" of the attack corpus.
#[test]
fn an_invented_intent_is_held_by_one_to_one_and_by_its_source() {
    let signer = Signer::new(policy());
    let unpaid = Ask::utxo("a", [0], 1_000);
    let unpaid = unpaid.clone().bring(unpaid.intent("i", 5, 1));
    assert_eq!(signer.codes(&unpaid), [ReasonCode::IntentMismatch].into());
    let unasked = Ask::utxo("b", [0], 1_000).payment(5, 1);
    assert_eq!(signer.codes(&unasked), [ReasonCode::IntentMismatch].into());
    let twice = Ask::utxo("c", [0], 1_000).pay("i", 5, 1).pay("i", 5, 1);
    assert_eq!(signer.codes(&twice), [ReasonCode::IntentReused].into());
    let mut foreign = Ask::utxo("d", [0], 1_000).pay("i", 5, 1);
    foreign.request.intents[0].intent.id.source = "elsewhere".parse().unwrap();
    assert_eq!(signer.codes(&foreign), [ReasonCode::IntentSource].into());
}

#[test]
fn taking_up_again_is_no_reissue_of_the_last_issue() {
    let mut signer = Signer::new(policy());
    let ask = Ask::utxo("a", [0], 1_000).pay("i", 5, 1);
    let first = signer.charged(&ask);
    signer.pass(61_000);
    let (_, again) = signer.charge(&ask).unwrap();
    assert_eq!((again.resumes, again.set), (Some(first), Some(first)));
    let mut facts = again.facts.iter();
    assert!(facts.all(|fact| fact.effect.kind != EffectKind::Reissue));
}

/// The same attempt taken up again is the same transaction: no re-issue, unless its intent was issued elsewhere
/// by then, and no way around one.
#[test]
fn taking_up_again_is_a_reissue_where_the_intent_was_issued_elsewhere() {
    let mut signer = Signer::new(policy());
    let ask = Ask::utxo("a", [0], 1_000).pay("i", 5, 1);
    let first = signer.charged(&ask);
    let elsewhere = Ask::utxo("b", [1], 1_000).pay("i", 5, 1);
    let (_, reissued) = signer.charge(&elsewhere).unwrap();
    assert!(
        reissued
            .facts
            .iter()
            .any(|fact| fact.effect.kind == EffectKind::Reissue)
    );
    signer.pass(61_000);
    let (_, again) = signer.charge(&ask).unwrap();
    assert_eq!((again.resumes, again.set), (Some(first), Some(first)));
    assert!(
        again
            .facts
            .iter()
            .any(|fact| fact.effect.kind == EffectKind::Reissue)
    );
    // The issue elsewhere is still the last; a third coin would be a further one.
    let third = signer
        .permit(&Ask::utxo("c", [2], 1_000).pay("i", 5, 1))
        .unwrap();
    assert!(
        third
            .attempt()
            .facts
            .iter()
            .any(|fact| fact.effect.kind == EffectKind::Reissue)
    );
    // The coin of the first issue is no way to pay beside the second one.
    let beside = Ask::utxo("d", [0], 9_000)
        .pay("i", 5, 1)
        .replaces([first, again.resumes.unwrap()]);
    let beside = beside.replaces([strongroom_policy::AttemptId(signer.state.entries() - 1)]);
    let beside = signer.permit(&beside).unwrap();
    assert!(
        beside
            .attempt()
            .facts
            .iter()
            .any(|fact| fact.effect.kind == EffectKind::Reissue)
    );
}
