//! Shapes 5, 9 and 10: what is asked for, by whom, and how often.

use wallet::withdrawal::Stage;

use super::{after, payment, payment_to, proves};
use crate::simulation::{
    families::{Coin, Evm},
    family::Family,
    world::{Expected, Scenario, Wish, World, intent_id},
};

const MINUTE: u64 = 60_000;

/// Shape 5: The request for a withdrawal is delivered again and again, the process ends in between, before
/// and behind each write.
#[test]
fn shape_05_a_request_delivered_again_is_the_same() {
    fn shape<F: Family>() {
        for ended_at in 1..=20 {
            let world = proves::<F>("shape 5", |world| {
                world.points.kill_at.extend([ended_at, ended_at + 3]);
                let again = || Wish::Withdraw(Box::new(payment::<F>("a", "ann")));
                Scenario::new()
                    .pays(0, payment::<F>("a", "ann"))
                    .wishes(0, again())
                    .wishes(700, again())
                    .wishes(5_000, again())
                    .wishes(20 * MINUTE, again())
            });
            assert_eq!(world.times_paid(&intent_id("a")), 1);
        }
    }
    shape::<Evm>();
    shape::<Coin>();
}

/// Shape 9: People and the machine decide about the same withdrawals at the same time, and two payouts are
/// equal in amount and address.
#[test]
fn shape_09_people_and_the_machine_pay_once() {
    fn shape<F: Family>() {
        for at in (0..6_000).step_by(400) {
            let world = proves::<F>("shape 9", |_| {
                Scenario::new()
                    .pays(0, payment_to::<F>("a", "ann", 9))
                    .pays(0, payment_to::<F>("b", "bob", 9))
                    .pays(0, payment_to::<F>("c", "ann", 9))
                    .expects(&intent_id("b"), Expected::PaidOrReleased)
                    .wishes(at, Wish::Approve(intent_id("a")))
                    .wishes(at, Wish::Approve(intent_id("b")))
                    .wishes(at, Wish::Release(intent_id("b")))
                    .wishes(at + 1, Wish::Approve(intent_id("b")))
            });
            for (id, least) in [("a", 1), ("b", 0), ("c", 1)] {
                let paid = world.times_paid(&intent_id(id));
                assert!((least..=1).contains(&paid), "{id} was paid {paid} times");
            }
        }
    }
    shape::<Evm>();
    shape::<Coin>();
}

/// Shape 10: What is refused, or waits for people, holds no place: what comes after it goes on.
#[test]
fn shape_10_a_refusal_jams_nothing() {
    fn shape<F: Family>(loses: u32) {
        let world = proves::<F>("shape 10", |world| {
            let mut signer = world.sim.lock();
            signer.faults.refused.insert(intent_id("a"));
            signer.faults.pending.insert(intent_id("d"));
            signer.faults.lose = loses;
            drop(signer);
            Scenario::new()
                .pays(0, payment::<F>("a", "ann"))
                .pays(2 * MINUTE, payment::<F>("b", "bob"))
                .pays(2 * MINUTE, payment::<F>("c", "eve"))
                .pays(2 * MINUTE, payment::<F>("d", "eve"))
                .expects(&intent_id("d"), Expected::Waits(Stage::Approved))
                .nudge(after(30 * MINUTE, |world: &World<F>| {
                    for id in ["b", "c"] {
                        assert_eq!(world.times_paid(&intent_id(id)), 1, "{id} waits for a");
                    }
                    world.sim.lock().faults.refused.clear();
                }))
        });
        for id in ["a", "b", "c"] {
            assert_eq!(world.times_paid(&intent_id(id)), 1);
        }
    }
    // A refusal that is heard, and one that is lost.
    for loses in [0, 1] {
        shape::<Evm>(loses);
        shape::<Coin>(loses);
    }
}
