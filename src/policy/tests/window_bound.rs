//! Invariant 1: of everything signed in a window, what can confirm together is at most the cap.

use std::sync::atomic::{AtomicU64, Ordering};

use proptest::{
    prelude::*,
    strategy::ValueTree as _,
    test_runner::{Config, RngAlgorithm, TestCaseError, TestRng, TestRunner},
};
use strongroom_policy::{Entry, Group, Limit, Measure, Need, Policy, Statement, Verdict};
use tx::{Amount, EffectKind, Time};

use crate::{
    approvals::{agree, asking, try_push},
    fixture::{
        Ask, DAY, SECOND, START, Signer, amount, btc, eth, grouped, limit, name, need, policy,
    },
    hostile::{Done, Hostile, Step, by_formula, heaviest, in_window, runner, runs},
};

const RUNS: u32 = 10_000;
const ATTENDED_RUNS: u32 = 400;
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

/// What alice may carry attempts over: two of these are hers, one is bob's.
fn attended() -> Vec<Statement<Limit>> {
    let over = |mut limit: Statement<Limit>, who: &str| {
        limit.says.over = Some(need(1, &[who]));
        limit
    };
    let mut count = limit("attended-count", btc(), 3, 100 * SECOND);
    count.says.measure = Measure::Count;
    let to = limit("attended-to", btc(), 5, 30 * SECOND);
    vec![
        over(limit("attended-btc", btc(), 6, 100 * SECOND), "alice"),
        over(grouped(to, &[Group::Destination]), "alice"),
        over(grouped(count, &[Group::Client]), "bob"),
        limit("all", btc(), 24, 200 * SECOND),
        limit("eth", eth(), 10, 100 * SECOND),
    ]
}

/// The heaviest set in the window of those that nobody carried over the limit is at most its cap; that of all of them
/// where people can carry none.
fn attended_bound_holds(limits: &[Statement<Limit>], hostile: &Hostile) -> Result<(), String> {
    let now = hostile.signer.now.lo;
    for limit in limits {
        let over = limit.says.over.as_ref().map(Need::fingerprint);
        let is_carried =
            |done: &Done| over.is_some_and(|over| done.attempt.carried.contains(&over));
        for (group, (attempts, weights)) in in_window(limit, &hostile.done, now) {
            let counted = attempts.into_iter().zip(weights);
            let counted = counted.filter(|(done, _)| !is_carried(done));
            let (attempts, weights): (Vec<&Done>, Vec<Amount>) = counted.unzip();
            let heaviest = heaviest(&attempts, &weights);
            if heaviest > limit.says.cap {
                let (name, cap) = (&limit.name, limit.says.cap);
                return Err(format!("{name} {group:?}: {heaviest} of {cap} can confirm"));
            }
        }
    }
    Ok(())
}

/// Under `over` the bound is that of attempts signed without it, whatever people carry over it beside them: replaced
/// by what they did not carry, in batches, and the other way round.
#[test]
fn what_people_carry_over_a_limit_makes_no_room_for_what_they_do_not() {
    let limits = attended();
    let people = asking(need(1, &["alice"])).people;
    let signer = Signer::new(Policy {
        people,
        limits: limits.clone(),
        ..policy()
    });
    let counts = [const { AtomicU64::new(0) }; 3];
    let run = |(steps, agrees): (Vec<Step>, Vec<u8>)| {
        let mut hostile = Hostile::new(&signer);
        for (step, agrees) in steps.iter().zip(agrees) {
            let ask = soon(hostile.take(step));
            for (bit, person) in ["alice", "bob"].into_iter().enumerate() {
                if agrees & (1 << bit) != 0 {
                    approve(&mut hostile.signer, &ask, person);
                }
            }
            if !hostile.charge(&ask) {
                counts[0].fetch_add(1, Ordering::Relaxed);
                continue;
            }
            let carried = &hostile.done.last().unwrap().attempt.carried;
            counts[1 + usize::from(!carried.is_empty())].fetch_add(1, Ordering::Relaxed);
            attended_bound_holds(&limits, &hostile).map_err(TestCaseError::fail)?;
        }
        Ok(())
    };
    let cases = (runs(10), prop::collection::vec(0..4_u8, 10));
    runner(ATTENDED_RUNS).run(&cases, run).unwrap();
    let [refused, signed, carried] = counts.map(AtomicU64::into_inner);
    println!(
        "{ATTENDED_RUNS} runs with people: {signed} permits, {carried} carried over, {refused} not permitted"
    );
    let runs = u64::from(ATTENDED_RUNS);
    assert!(signed > runs && carried * 4 > runs && refused > runs);
}

/// With intents that people may be asked about: these expire soon.
fn soon(mut ask: Ask) -> Ask {
    for signed in &mut ask.request.intents {
        signed.intent.expires = Time::from_millis(START + 20 * DAY);
    }
    ask
}

/// The person agrees to each of its intents, as far as these are what they were.
fn approve(signer: &mut Signer, ask: &Ask, person: &str) {
    for signed in &ask.request.intents {
        let known = signer.state.registered(&signed.intent.id);
        if known.is_none() {
            let client = &ask.request.client;
            let entry = signer.state.registering(client, signed).unwrap();
            let entry = Entry::IntentRegistered(Box::new(entry));
            if try_push(signer, entry).is_err() {
                continue;
            }
        }
        agree(signer, &signed.intent, &need(1, &[person]), person);
    }
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
