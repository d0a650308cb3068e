//! Invariant 1: of everything signed in a window, what can confirm together is at most the cap.

use std::sync::atomic::{AtomicU64, Ordering};

use proptest::{
    prelude::*,
    strategy::ValueTree as _,
    test_runner::{Config, RngAlgorithm, TestCaseError, TestRng, TestRunner},
};
use strongroom_policy::{Group, Limit, Measure, Policy, Statement, Verdict};
use tx::{Amount, EffectKind};

use crate::{
    fixture::{Ask, SECOND, Signer, amount, btc, eth, grouped, limit, name, need, policy},
    hostile::{Done, Hostile, Step, by_formula, heaviest, in_window, runner, runs},
};

const RUNS: u32 = 10_000;
const THREADS: u32 = 2;

fn limits() -> Vec<Statement<Limit>> {
    let mut count = limit("count", btc(), 6, 60 * SECOND);
    count.says.measure = Measure::Count;
    let mut attended = limit("attended", btc(), 12, 200 * SECOND);
    attended.says.over = Some(need(1, &["alice"]));
    let mut young = limit("young", btc(), 8, 100 * SECOND);
    young.selector.age_below = Some(61 * SECOND);
    let mut old = limit("old", btc(), 9, 200 * SECOND);
    old.selector.age_min = Some(SECOND);
    let mut by_day = limit("by-day", eth(), 6, 200 * SECOND);
    by_day.selector.hours = Some([name("first-day")].into());
    let mut by_night = limit("by-night", eth(), 7, 100 * SECOND);
    by_night.selector.hours_except = Some([name("first-day")].into());
    let mut moved = limit("moved", btc(), 11, 100 * SECOND);
    moved.selector.effects = Some([EffectKind::Payment, EffectKind::Approval].into());
    let mut approved = limit("approved", eth(), 8, 200 * SECOND);
    approved.selector.effects = Some([EffectKind::Approval].into());
    vec![
        moved,
        approved,
        young,
        old,
        by_day,
        by_night,
        limit("btc", btc(), 10, 100 * SECOND),
        limit("eth", eth(), 10, 100 * SECOND),
        grouped(limit("to", btc(), 7, 30 * SECOND), &[Group::Destination]),
        grouped(count, &[Group::Client, Group::Account]),
        attended,
    ]
}

fn limited() -> Policy {
    Policy {
        limits: limits(),
        ..policy()
    }
}

/// The heaviest set in the window that ends now, in every group, is at most the cap.
fn bound_holds(limits: &[Statement<Limit>], hostile: &Hostile) -> Result<(), String> {
    for limit in limits {
        for (group, (attempts, weights)) in in_window(limit, &hostile.done, hostile.signer.now.lo) {
            let heaviest = heaviest(&attempts, &weights);
            if heaviest > limit.says.cap {
                let name = &limit.name;
                return Err(format!(
                    "{name} {group:?}: {heaviest} of {} can confirm",
                    limit.says.cap
                ));
            }
        }
    }
    Ok(())
}

#[test]
fn what_can_confirm_together_is_at_most_the_cap() {
    let counts = [AtomicU64::new(0), AtomicU64::new(0)];
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| hostile_runs(RUNS / THREADS, &counts));
        }
    });
    let [refusals, permits] = counts.map(AtomicU64::into_inner);
    println!("{RUNS} runs: {permits} permits, {refusals} refusals");
    // Both happen often, else nothing was tried.
    assert!(permits > u64::from(RUNS) && refusals > u64::from(RUNS));
}

fn hostile_runs(cases: u32, counts: &[AtomicU64; 2]) {
    let (limits, signer) = (limits(), Signer::new(limited()));
    let run = |steps: Vec<Step>| {
        let mut hostile = Hostile::new(&signer);
        for step in &steps {
            let ask = hostile.take(step);
            let charged = hostile.charge(&ask);
            counts[usize::from(charged)].fetch_add(1, Ordering::Relaxed);
            // Without a new charge the heaviest set can only have become lighter.
            if charged {
                bound_holds(&limits, &hostile).map_err(TestCaseError::fail)?;
            }
        }
        Ok(())
    };
    runner(cases).run(&runs(10), run).unwrap();
}

/// What the windows hold is, to the unit, what the formula says of the same attempts.
#[test]
fn the_index_is_the_formula() {
    let (limits, signer) = (limits(), Signer::new(limited()));
    let run = |(steps, wait): (Vec<Step>, u64)| {
        let mut hostile = Hostile::new(&signer);
        for step in &steps {
            let ask = hostile.take(step);
            hostile.charge(&ask);
        }
        // Asked without letting go of what has left, and after: the same.
        hostile.signer.pass(wait);
        rooms_agree(&limits, &hostile)?;
        hostile.signer.state.advance(hostile.signer.now.lo).unwrap();
        rooms_agree(&limits, &hostile)
    };
    runner(500).run(&(runs(20), 0..250 * SECOND), run).unwrap();
}

fn rooms_agree(limits: &[Statement<Limit>], hostile: &Hostile) -> Result<(), TestCaseError> {
    let now = hostile.signer.now;
    let rooms = hostile.signer.state.room(now).unwrap();
    for limit in limits {
        let groups = in_window(limit, &hostile.done, now.lo);
        for room in rooms.iter().filter(|room| room.limit == limit.name) {
            let expected = groups
                .get(&room.group)
                .map_or(Amount::ZERO, |(a, w)| by_formula(a, w));
            prop_assert_eq!(room.used, expected, "{:?}", room);
        }
        for (group, (attempts, weights)) in &groups {
            let shown = rooms
                .iter()
                .any(|room| room.limit == limit.name && room.group == *group);
            prop_assert!(
                shown || by_formula(attempts, weights).is_zero(),
                "{group:?} is not shown"
            );
        }
    }
    Ok(())
}

/// The rule that the anchored one replaced: what shares a key with something signed replaces it,
/// and charges only what it is larger by.
fn naive_use(limit: &Statement<Limit>, done: &[Done], now: tx::Time) -> Amount {
    let mut total = Amount::ZERO;
    for (attempts, weights) in in_window(limit, done, now).into_values() {
        for (i, weight) in weights.iter().enumerate() {
            let shared = (0..i).filter(|j| attempts[*j].excludes(attempts[i]));
            let largest = shared.map(|j| weights[j]).max().unwrap_or_default();
            total = total.checked_add(weight.saturating_sub(largest)).unwrap();
        }
    }
    total
}

/// The generator and the oracle find what is wrong with it, so that the property above can fail.
#[test]
fn the_naive_replacement_rule_fails_the_same_oracle() {
    let signer = Signer::new(policy());
    let limit = limit("btc", btc(), 10, 100 * SECOND);
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[42; 32]);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    let mut worst = Amount::ZERO;
    let mut broken = 0;
    for _ in 0..500 {
        let steps = runs(12).new_tree(&mut runner).unwrap().current();
        let mut hostile = Hostile::new(&signer);
        for step in &steps {
            let ask = hostile.take(step);
            let before = (hostile.signer.clone(), hostile.done.clone());
            let charged = hostile.charge(&ask);
            if charged && naive_use(&limit, &hostile.done, hostile.signer.now.lo) > limit.says.cap {
                (hostile.signer, hostile.done) = before;
            }
        }
        for (attempts, weights) in
            in_window(&limit, &hostile.done, hostile.signer.now.lo).into_values()
        {
            let heaviest = heaviest(&attempts, &weights);
            broken += u32::from(heaviest > limit.says.cap);
            worst = worst.max(heaviest);
        }
    }
    println!("naive rule: {broken} of 500 runs broken, at worst {worst} of a cap of 10");
    assert!(broken > 0 && worst > amount(10));
}

/// One transaction over many inputs, then a "replacement" for each of them.
#[test]
fn replacement_star() {
    let limits = vec![limit("btc", btc(), 10, 100 * SECOND)];
    let mut signer = Signer::new(Policy { limits, ..policy() });
    let star = Ask::utxo("star", 0..50, 1_000).pay("i", 9, 1);
    let star = signer.charged(&star);
    let mut charged = 0;
    for point in 0..50 {
        let ask = Ask::utxo(&format!("p{point}"), [point], 2_000);
        let ask = ask.pay(&format!("i{point}"), 9, 2).replaces([star]);
        match signer.evaluate(&ask) {
            Verdict::Permit(_) => charged += u64::from(signer.charge(&ask).is_ok()),
            verdict => drop(verdict),
        }
    }
    // The point at the anchor is a replacement; the others are charged beside it and find no room.
    assert_eq!(charged, 1);
}
