//! The twelve invariants of `docs/withdrawals.md`: for each, someone who breaks it is caught by the
//! very checker that passes the real lanes, or refused by the store.

mod mutants;
mod twice;

use tx::{Amount, Asset};
use wallet::{
    change::{Change, Commit},
    ledger::Account,
    limit::DailyLimit,
    signer::{SignOutcome, Signer as _},
    store::{Accepted, Decided, Durability, Options, StoreError},
    withdrawal::Stage,
};

use self::{
    mutants::{
        AsksFirst, BelievesItself, SendsFirst, SendsOthers, SettlesEarly, TakesSilenceForNo,
    },
    twice::Twice,
};
use super::{payment, until};
use crate::simulation::{
    crash::block_on,
    families::{Coin, Evm},
    family::{Family, SimChain},
    mutant::{Mutant, Mutation},
    signer::name,
    stepper::Process,
    world::{Expected, Scenario, World, Wrap, intent_id},
    wrapped::Wrapped,
};

/// How long a mutant may be stuck until that is seen, in milliseconds.
const PATIENCE: u64 = 40 * 60_000;

/// Runs a world and gives what was broken in it.
async fn breaches<F: Family>(build: impl Fn(&mut World<F>) -> Scenario<F>) -> Vec<String> {
    let mut world = World::<F>::new(1).await;
    world.horizon = PATIENCE;
    let mut scenario = build(&mut world);
    world.run(&mut scenario).await;
    world.check().await;
    world.breaches
}

/// The real lane passes, its mutant is caught, with these words.
fn watched<F: Family, M: Mutation<F>>(
    words: &str,
    real: impl Fn(&mut World<F>) -> Scenario<F>,
    mutant: impl Fn(&mut World<Mutant<F, M>>) -> Scenario<Mutant<F, M>>,
) {
    let (of_real, of_mutant) = block_on(async { (breaches(real).await, breaches(mutant).await) });
    assert!(of_real.is_empty(), "{of_real:#?}");
    let caught = of_mutant.iter().any(|breach| breach.contains(words));
    assert!(
        caught,
        "{}: none of these says {words:?}: {of_mutant:#?}",
        F::CHAIN
    );
}

fn one<F: Family>(_: &mut World<F>) -> Scenario<F> {
    Scenario::new().pays(0, payment::<F>("a", "ann"))
}

/// Invariant 1: At most one live conflict set for an intent: the store refuses another, and if a signer signed
/// it all the same, the checker sees two transactions that can both confirm.
#[test]
fn invariant_01_is_watched() {
    async fn invariant<F: Twice>() {
        let mut world = World::<F>::new(1).await;
        let mut scenario = one(&mut world);
        let sent = |world: &World<F>| world.was_sent(&intent_id("a"));
        let process = until(&mut world, &mut scenario, sent).await;
        let view = world.store().load(&world.lane_id()).await.unwrap();
        let first = view.attempts.values().next().unwrap();
        let second = F::twice(first, &view);
        let commit = Commit {
            lane: world.lane_id(),
            lease: process.row.lease,
            at: world.now,
            changes: vec![Change::Assign(Box::new(second.clone()))],
        };
        let refused = world.store().commit(commit).await;
        assert!(
            matches!(refused, Err(StoreError::Conflict { .. })),
            "{refused:?}"
        );
        let insert = "INSERT INTO live_sets (withdrawal, lane, set_number) \
                      SELECT withdrawal, lane, 99 FROM live_sets";
        let refused = world.sql(insert);
        assert!(refused.is_err_and(|error| error.contains("UNIQUE")));
        // A signer that does not look at conflicts either.
        world.sim.lock().conflicts = false;
        let outcome = world.sim.sign(&second.request).await;
        assert!(matches!(outcome, SignOutcome::Signed(_)), "{outcome:?}");
        world.watch_signed();
        let caught = world
            .breaches
            .iter()
            .any(|breach| breach.contains("can both confirm"));
        assert!(caught, "{:?}", world.breaches);
        drop(process);
        world.breaches.clear();
        world.chain.flood(true);
        world.check().await;
        let caught = world
            .breaches
            .iter()
            .any(|breach| breach.contains("was paid 2 times"));
        assert!(caught, "{:?}", world.breaches);
    }
    block_on(async {
        invariant::<Evm>().await;
        invariant::<Coin>().await;
    });
}

/// Invariant 2: The attempt is durable before the signer is called.
#[test]
fn invariant_02_is_watched() {
    let words = "is asked for and not durable";
    watched::<Evm, AsksFirst>(words, one, one);
    watched::<Coin, AsksFirst>(words, one, one);
}

/// Invariant 3: Signed bytes are durable before the first broadcast.
#[test]
fn invariant_03_is_watched() {
    let words = "is sent and its bytes are not durable";
    watched::<Evm, SendsFirst>(words, one, one);
    watched::<Coin, SendsFirst>(words, one, one);
}

/// Invariant 4: Only stored bytes are broadcast.
#[test]
fn invariant_04_is_watched() {
    for words in [
        "is sent and its bytes are not durable",
        "the signer never made",
    ] {
        watched::<Evm, SendsOthers>(words, one, one);
        watched::<Coin, SendsOthers>(words, one, one);
    }
}

/// Invariant 6: An error is unknown, never absent: here a call without an answer is taken for a refusal.
#[test]
fn invariant_06_is_watched() {
    fn lost<F: Family>(world: &mut World<F>) -> Scenario<F> {
        world.sim.lock().faults.lose = 1;
        one(world)
    }
    let words = "is called void and is signed";
    watched::<Evm, TakesSilenceForNo>(words, lost, lost);
    watched::<Coin, TakesSilenceForNo>(words, lost, lost);
}

/// Invariant 7: A hold is settled at the end only.
#[test]
fn invariant_07_is_watched() {
    let words = "is called over and is not";
    watched::<Evm, SettlesEarly>(words, one, one);
    watched::<Coin, SettlesEarly>(words, one, one);
}

/// Invariant 5: No signed bytes are lost before their set is final: the store refuses to change or delete them,
/// and a store that loses them is seen.
#[test]
fn invariant_05_is_watched() {
    async fn invariant<F: Family>() {
        let mut world = World::<F>::new(1).await;
        let mut scenario = one(&mut world);
        let sent = |world: &World<F>| world.was_sent(&intent_id("a"));
        let process = until(&mut world, &mut scenario, sent).await;
        for statement in [
            "UPDATE answers SET answer = '{}'",
            "DELETE FROM answers",
            "DELETE FROM attempts",
        ] {
            let refused = world.sql(statement);
            assert!(
                refused.is_err_and(|error| error.contains("append-only")),
                "{statement}"
            );
        }
        drop(process);
        world.wrap = Wrapped::bytes;
        world.horizon = PATIENCE;
        world.run(&mut scenario).await;
        assert!(
            !world.breaches.is_empty(),
            "bytes are lost and nobody sees it"
        );
    }
    block_on(async {
        invariant::<Evm>().await;
        invariant::<Coin>().await;
    });
}

/// Invariant 8: The signer looks at the lane's epoch: an attempt is given up when a later epoch was accepted,
/// because the call that is still on its way is refused from then on. A signer that signs it all the
/// same is seen.
#[test]
fn invariant_08_is_watched() {
    async fn invariant(epochs: bool) -> Vec<String> {
        let mut world = World::<Coin>::new(1).await;
        // The lane's first epoch is seen.
        let mut scenario = Scenario::new().pays(0, payment::<Coin>("a", "ann"));
        world.run(&mut scenario).await;
        // A call is on its way in the second, and its caller dies.
        let elapsed = world.elapsed();
        scenario = scenario.pays(elapsed, payment::<Coin>("b", "bob"));
        world.sim.lock().faults.late = 1;
        let late = |world: &World<Coin>| world.sim.has_late();
        drop(until(&mut world, &mut scenario, late).await);
        // The policy refuses it to those who follow: one pays something else in the second epoch, one
        // in the third.
        world.sim.lock().faults.refused.insert(intent_id("b"));
        world.late_at_the_end = true;
        for (other, customer) in [("c", "eve"), ("d", "ann")] {
            let elapsed = world.elapsed();
            scenario = scenario
                .pays(elapsed, payment::<Coin>(other, customer))
                .expects(&intent_id("b"), Expected::Any);
            let paid = intent_id(other);
            let is_paid = |world: &World<Coin>| world.times_paid(&paid) == 1;
            drop(until(&mut world, &mut scenario, is_paid).await);
            world.reopen().await;
        }
        world.sim.lock().faults.refused.clear();
        scenario = scenario.expects(&intent_id("b"), Expected::Paid);
        world.run(&mut scenario).await;
        assert_eq!(world.sim.epoch(), 4, "the lane had four owners who paid");
        world.sim.keeps(epochs);
        assert_eq!(world.sim.deliver_late(), 1);
        world.check().await;
        world.breaches
    }
    let (kept, broken) = block_on(async { (invariant(true).await, invariant(false).await) });
    assert!(kept.is_empty(), "{kept:#?}");
    let caught = broken
        .iter()
        .any(|breach| breach.contains("is void and was signed"));
    assert!(caught, "{broken:#?}");
}

/// Invariant 9: After a restore a lane stays closed until store, signer and chain agree. One that begins at once
/// is stopped by the signer, or pays twice; either is seen. And what is committed is flushed.
#[test]
fn invariant_09_is_watched() {
    async fn invariant<F: Family>(wrap: Option<Wrap>) -> Vec<String> {
        let mut world = World::<F>::new(1).await;
        let mut scenario = one(&mut world);
        let backup = world.back_up().await;
        let sent = |world: &World<F>| world.was_sent(&intent_id("a"));
        drop(until(&mut world, &mut scenario, sent).await);
        world.restore(&backup).await;
        let elapsed = world.elapsed();
        scenario = scenario.pays(elapsed, payment::<F>("b", "bob"));
        world.horizon = PATIENCE;
        if let Some(wrap) = wrap {
            world.wrap = wrap;
        }
        world.run(&mut scenario).await;
        world.check().await;
        world.breaches
    }
    async fn both<F: Family>() {
        let kept = invariant::<F>(None).await;
        assert!(kept.is_empty(), "{kept:#?}");
        let broken = invariant::<Mutant<F, BelievesItself>>(None).await;
        assert!(
            !broken.is_empty(),
            "{}: it paid before it knew, and nobody saw it",
            F::CHAIN
        );
    }
    assert_eq!(Options::default().durability, Durability::Power);
    block_on(async {
        both::<Evm>().await;
        both::<Coin>().await;
        // One that begins at once, whatever it has heard.
        let broken = invariant::<Evm>(Some(Wrapped::gate)).await;
        assert!(
            !broken.is_empty(),
            "it paid before it knew, and nobody saw it"
        );
    });
}

/// Invariant 10: What happened stands in the outbox with the change itself.
#[test]
fn invariant_10_is_watched() {
    async fn invariant<F: Family>() {
        let mut world = World::<F>::new(1).await;
        let mut scenario = one(&mut world);
        world.run(&mut scenario).await;
        for statement in ["DELETE FROM events", "UPDATE events SET topic = 'none'"] {
            let refused = world.sql(statement);
            assert!(
                refused.is_err_and(|error| error.contains("append-only")),
                "{statement}"
            );
        }
        world.check_events().await;
        world.assert_sound("invariant 10");
        world.wrap = Wrapped::outbox;
        world.check_events().await;
        assert!(
            !world.breaches.is_empty(),
            "an event is missing and nobody sees it"
        );
    }
    block_on(async {
        invariant::<Evm>().await;
        invariant::<Coin>().await;
    });
}

/// Invariant 11: A limit is consumed with the hold, whoever asks how often; without a row nothing leaves; what
/// is given back is a row of its own.
#[test]
fn invariant_11_is_watched() {
    async fn invariant<F: Family>() {
        let world = World::<F>::new(1).await;
        let (store, now) = (world.store(), world.now);
        let native = F::assets().swap_remove(0);
        let limit = |asset: &Asset, most: u64| DailyLimit {
            asset: asset.clone(),
            total: most.into(),
            customer: most.into(),
        };
        // Three payments fit.
        store
            .set_limits(&[limit(&native, 15_000_000)], now)
            .await
            .unwrap();
        let ask = |id: String| {
            let store = store.clone();
            async move {
                store
                    .accept(vec![payment::<F>(&id, "ann")], now)
                    .await
                    .unwrap()
                    .remove(0)
            }
        };
        let asked: Vec<_> = (0..8)
            .map(|number| tokio::spawn(ask(format!("l{number}"))))
            .collect();
        let mut approved = Vec::new();
        for one in asked {
            match one.await.unwrap() {
                Accepted::New(new) if new.stage == Stage::Approved => approved.push(new),
                Accepted::New(new) => assert_eq!(new.stage, Stage::Manual),
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(approved.len(), 3, "the limit lets three through");
        let room = store
            .room(&native, &Account::Customer(name("ann")), now)
            .await
            .unwrap();
        assert_eq!(room.unwrap().customer, Amount::ZERO);
        let released = store
            .release(&approved[0].intent.id, &name("olga"), now)
            .await
            .unwrap();
        assert!(matches!(released, Decided::Done(_)), "{released:?}");
        let room = store
            .room(&native, &Account::Customer(name("ann")), now)
            .await
            .unwrap();
        assert_eq!(room.unwrap().customer, Amount::from(5_000_000_u64));
        for statement in [
            "DELETE FROM limit_uses",
            "UPDATE limit_uses SET amount = zeroblob(32)",
        ] {
            let refused = world.sql(statement);
            assert!(
                refused.is_err_and(|error| error.contains("append-only")),
                "{statement}"
            );
        }
        // No row means deny, whatever way it went.
        assert_eq!(world.sql("DELETE FROM limits"), Ok(1));
        assert_eq!(ask("m".into()).await, Accepted::NoLimit);
        store.set_limits(&[], now).await.unwrap();
        assert_eq!(ask("n".into()).await, Accepted::NoLimit);
    }
    block_on(async {
        invariant::<Evm>().await;
        invariant::<Coin>().await;
    });
}

/// Invariant 12: No button edits a state: whoever presses them at every step changes nothing of what is under
/// way. Someone who writes past the coordinator is seen.
#[test]
fn invariant_12_is_watched() {
    async fn pressed<F: Family>() {
        let mut world = World::<F>::new(1).await;
        let mut scenario = one(&mut world);
        let mut process = Process::start(&mut world, "one").await.unwrap().unwrap();
        let (id, by) = (intent_id("a"), name("olga"));
        for _ in 0..3_000 {
            let before = world.store().withdrawal(&id).await.unwrap();
            if let Some(before) = before.filter(|before| before.lane.is_some()) {
                for decided in [
                    world.store().release(&id, &by, world.now).await.unwrap(),
                    world.store().approve(&id, &by, world.now).await.unwrap(),
                ] {
                    let (Decided::NotNow(after) | Decided::Done(after)) = decided else {
                        panic!("{decided:?}");
                    };
                    assert_eq!(after, before);
                }
                if before.stage == Stage::Final {
                    break;
                }
            }
            world.turn(&mut scenario, &mut process).await.unwrap();
        }
        drop(process);
        world.run(&mut scenario).await;
        world.check().await;
        world.assert_sound("invariant 12");
        let reopened = world.sql("UPDATE withdrawals SET stage = 'approved'");
        assert!(reopened.is_err_and(|error| error.contains("append-only")));
    }
    async fn edited<F: Family>() {
        let mut world = World::<F>::new(1).await;
        let mut scenario = one(&mut world);
        let sent = |world: &World<F>| world.was_sent(&intent_id("a"));
        drop(until(&mut world, &mut scenario, sent).await);
        let edited = world.sql("UPDATE withdrawals SET stage = 'released'");
        assert_eq!(edited, Ok(1));
        world.chain.flood(true);
        world.check().await;
        let caught = world
            .breaches
            .iter()
            .any(|breach| breach.contains("was paid 1 times"));
        assert!(caught, "{:?}", world.breaches);
    }
    block_on(async {
        pressed::<Evm>().await;
        pressed::<Coin>().await;
        edited::<Evm>().await;
        edited::<Coin>().await;
    });
}
