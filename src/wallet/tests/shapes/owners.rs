//! Shapes 11 and 12: an older store, and two who think that the lane is theirs.

use wallet::{change::Gate, lane::LaneView, store::Accepted, withdrawal::Stage};

use super::{finish, payment, until};
use crate::simulation::{
    crash::block_on,
    families::{Coin, Evm},
    family::Family,
    stepper::{Killed, LEASE_MILLIS, Process},
    world::{Expected, Scenario, World, intent_id},
};

const MINUTE: u64 = 60_000;

/// Shape 11: Yesterday's backup is restored after more was paid. Nothing new begins until all that the
/// signer did since was adopted; what was asked for since and is asked for again is not paid again.
#[test]
fn shape_11_an_older_store_adopts_before_it_pays() {
    /// Whether clients ask again before the journal is compared or later.
    #[derive(Clone, Copy, PartialEq, Eq)]
    enum When {
        Before,
        Behind,
    }
    async fn shape<F: Family>(
        backed_up: impl Fn(&World<F>) -> bool,
        restored: impl Fn(&World<F>) -> bool,
        asked_again: When,
    ) {
        let mut world = World::<F>::new(1).await;
        let mut scenario = Scenario::new()
            .pays(0, payment::<F>("a", "ann"))
            .pays(3 * MINUTE, payment::<F>("b", "bob"))
            .pays(40 * MINUTE, payment::<F>("c", "eve"));
        drop(until(&mut world, &mut scenario, backed_up).await);
        let backup = world.back_up().await;
        drop(until(&mut world, &mut scenario, restored).await);
        world.restore(&backup).await;
        // Whoever asked may ask again: the store that it asked is gone.
        let known: Vec<_> = world.asked.values().cloned().collect();
        if asked_again == When::Before {
            world
                .store()
                .accept(known.clone(), world.now)
                .await
                .unwrap();
        }
        for new in &known {
            scenario = scenario.expects(&new.intent.id, Expected::Any);
        }
        world.run(&mut scenario).await;
        for accepted in world
            .store()
            .accept(known.clone(), world.now)
            .await
            .unwrap()
        {
            assert!(
                matches!(accepted, Accepted::Same(_) | Accepted::Different(_)),
                "{accepted:?}"
            );
        }
        for new in &known {
            scenario = scenario.expects(&new.intent.id, Expected::Paid);
        }
        world.run(&mut scenario).await;
        for id in ["a", "b", "c"] {
            assert_eq!(world.times_paid(&intent_id(id)), 1, "{id} on {}", F::CHAIN);
        }
        let _ = finish("shape 11", world).await;
    }
    fn sent<F: Family>(id: &str) -> impl Fn(&World<F>) -> bool {
        let id = intent_id(id);
        move |world| world.was_sent(&id)
    }
    fn begun<F: Family>(_: &World<F>) -> bool {
        true
    }
    block_on(async {
        for asked_again in [When::Before, When::Behind] {
            shape::<Evm>(sent("a"), sent("b"), asked_again).await;
            shape::<Coin>(sent("a"), sent("b"), asked_again).await;
            shape::<Evm>(begun, sent("a"), asked_again).await;
            shape::<Coin>(begun, sent("a"), asked_again).await;
        }
    });
}

/// Shape 12: One coordinator is stopped at every step in turn, for longer than its lease; another takes the
/// lane; then the first goes on with what it was about to do.
#[test]
fn shape_12_two_owners_pay_once() {
    async fn shape<F: Family>(steps: u64, together: bool) {
        let mut world = World::<F>::new(1).await;
        let mut scenario = Scenario::new()
            .pays(0, payment::<F>("a", "ann"))
            .pays(1_000, payment::<F>("b", "bob"));
        let mut first = Process::start(&mut world, "one").await.unwrap().unwrap();
        for _ in 0..steps {
            world.turn(&mut scenario, &mut first).await.unwrap();
        }
        world.pass(LEASE_MILLIS + 1);
        let mut second = Process::start(&mut world, "two").await.unwrap().unwrap();
        let mut first = Some(first);
        for turn in 0..20_000 {
            let due = together || turn > 60;
            if let Some(stale) = first.as_mut().filter(|_| due)
                && matches!(stale.step(&mut world).await, Err(Killed) | Ok(false))
            {
                first = None;
            }
            world.turn(&mut scenario, &mut second).await.unwrap();
            if first.is_none() && world.is_settled(&scenario, Some(&second)).await {
                break;
            }
        }
        for id in ["a", "b"] {
            assert_eq!(
                world.times_paid(&intent_id(id)),
                1,
                "{id}, stopped after {steps} steps"
            );
        }
        let _ = finish(&format!("shape 12, stopped after {steps} steps"), world).await;
    }
    block_on(async {
        for steps in 0..70 {
            for together in [true, false] {
                shape::<Evm>(steps, together).await;
                shape::<Coin>(steps, together).await;
            }
        }
    });
}

/// Somebody else has our key: what spends a nonce or a coin of ours and is none of ours stops the
/// lane until a person looks. Nothing is paid from there, and nothing is lost.
#[test]
fn what_is_spent_by_others_halts_the_lane() {
    async fn halts<F: Family>(steal: fn(&World<F>, &LaneView)) {
        let mut world = World::<F>::new(1).await;
        let mut scenario = Scenario::new().pays(0, payment::<F>("a", "ann"));
        world.run(&mut scenario).await;
        let view = world.store().load(&world.lane_id()).await.unwrap();
        steal(&world, &view);
        let elapsed = world.elapsed();
        scenario = scenario
            .pays(elapsed + 2 * MINUTE, payment::<F>("b", "bob"))
            .expects(&intent_id("b"), Expected::Stays(Stage::Approved));
        world.run(&mut scenario).await;
        let view = world.store().load(&world.lane_id()).await.unwrap();
        assert!(
            matches!(view.row.gate, Gate::Halted { .. }),
            "{:?}",
            view.row.gate
        );
        let world = finish("a stolen key", world).await;
        assert_eq!(world.times_paid(&intent_id("a")), 1);
        assert_eq!(world.times_paid(&intent_id("b")), 0);
    }
    block_on(async {
        halts::<Evm>(|world, _| world.chain.lock().foreign(&Evm::sender())).await;
        halts::<Coin>(|world, view| {
            let coin = view.coins.keys().next().unwrap();
            world.chain.lock().foreign(*coin);
        })
        .await;
    });
}
