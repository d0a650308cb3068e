//! Shapes 1 to 4 and 6 to 8: what is sent, and what is believed of it.

use wallet::{
    points::{Deed, Side},
    store::Decided,
};

use super::{after, finish, once_sent, payment, proves, until};
use crate::simulation::{
    crash::block_on,
    families::{Coin, Evm},
    family::{Evicts, Family, SimChain, Stalled},
    signer::name,
    world::{Scenario, World, intent_id},
};

const MINUTE: u64 = 60_000;
const HOUR: u64 = 60 * MINUTE;

/// Shape 1: The bytes arrive, and the caller sees a transport error.
#[test]
fn shape_01_a_transport_error_is_no_refusal() {
    fn shape<F: Family>() {
        let world = proves::<F>("shape 1", |world| {
            world.nodes(|faults| faults.send_lost = true);
            Scenario::new()
                .pays(0, payment::<F>("a", "ann"))
                .pays(3_000, payment::<F>("b", "bob"))
                .nudge(after(10 * MINUTE, |world: &World<F>| {
                    world.nodes(|faults| faults.send_lost = false);
                }))
        });
        assert_eq!(world.times_paid(&intent_id("a")), 1);
        assert_eq!(world.times_paid(&intent_id("b")), 1);
    }
    shape::<Evm>();
    shape::<Coin>();
}

/// Shape 2: The chain is past the transaction, and nodes that lag or lost receipts do not show it.
#[test]
fn shape_02_a_missing_receipt_proves_nothing() {
    fn shape<F: Family>(fault: fn(&World<F>), mend: fn(&World<F>)) {
        let world = proves::<F>("shape 2", |_| {
            Scenario::new()
                .pays(0, payment::<F>("a", "ann"))
                .nudge(once_sent("a", fault))
                .nudge(after(20 * MINUTE, mend))
        });
        assert_eq!(world.times_paid(&intent_id("a")), 1);
    }
    shape::<Evm>(
        |world| world.nodes(|faults| faults.no_receipts = true),
        |world| world.nodes(|faults| faults.no_receipts = false),
    );
    for lag in [2, 6, 1_000] {
        let lagging = move |world: &World<Coin>| world.nodes(|faults| faults.lag = lag);
        let world = proves::<Coin>("shape 2", |_| {
            Scenario::new()
                .pays(0, payment::<Coin>("a", "ann"))
                .nudge(once_sent("a", lagging))
                .nudge(after(60 * MINUTE, |world: &World<Coin>| {
                    world.nodes(|faults| faults.lag = 0);
                }))
        });
        assert_eq!(world.times_paid(&intent_id("a")), 1);
    }
}

/// Shape 3: The worker was down for hours; what nodes remember of the transaction is gone.
#[test]
fn shape_03_forgotten_by_nodes_is_not_dead() {
    fn shape<F: Family>(includes: Stalled, forget: fn(&World<F>)) {
        block_on(async {
            let mut world = World::<F>::new(1).await;
            let mut scenario = Scenario::new().pays(0, payment::<F>("a", "ann"));
            let sent = |world: &World<F>| world.was_sent(&intent_id("a"));
            drop(until(&mut world, &mut scenario, sent).await);
            world.chain.stall(includes);
            world.pass(2 * HOUR);
            forget(&world);
            world.chain.evict();
            let mend = world.elapsed() + 10 * MINUTE;
            scenario = scenario.nudge(after(mend, |world: &World<F>| {
                world.nodes(|faults| (faults.no_receipts, faults.lag) = (false, 0));
                world.chain.stall(Stalled::No);
            }));
            world.run(&mut scenario).await;
            let world = finish("shape 3", world).await;
            assert_eq!(world.times_paid(&intent_id("a")), 1);
        });
    }
    for includes in [Stalled::Yes, Stalled::No] {
        shape::<Evm>(includes, |world| {
            world.nodes(|faults| faults.no_receipts = true)
        });
        shape::<Coin>(includes, |world| world.nodes(|faults| faults.lag = 8));
    }
}

/// Shape 4: Every look at the chain fails for an hour. Nobody can call that a failure of the payment.
#[test]
fn shape_04_errors_in_a_row_are_no_failure() {
    fn shape<F: Family>() {
        block_on(async {
            let mut world = World::<F>::new(1).await;
            let mut scenario = Scenario::new().pays(0, payment::<F>("a", "ann"));
            let id = intent_id("a");
            let sent = |world: &World<F>| world.was_sent(&id);
            let mut process = until(&mut world, &mut scenario, sent).await;
            world.nodes(|faults| faults.down = true);
            let end = world.now.after_millis(HOUR);
            while world.now < end {
                world.turn(&mut scenario, &mut process).await.unwrap();
            }
            let refund = world.store().release(&id, &name("olga"), world.now).await;
            assert!(matches!(refund, Ok(Decided::NotNow(_))), "{refund:?}");
            drop(process);
            world.nodes(|faults| faults.down = false);
            world.run(&mut scenario).await;
            let world = finish("shape 4", world).await;
            assert_eq!(world.times_paid(&id), 1);
        });
    }
    shape::<Evm>();
    shape::<Coin>();
}

/// Shape 6: The process ends at every send, before it and behind it: what goes on are the same bytes.
#[test]
fn shape_06_what_is_sent_was_saved() {
    fn shape<F: Family>() {
        let scenario = |_: &mut World<F>| {
            Scenario::new()
                .pays(0, payment::<F>("a", "ann"))
                .pays(MINUTE, payment::<F>("b", "bob"))
        };
        let whole = proves::<F>("shape 6", scenario);
        let sends = whole.points.log.iter().zip(1..);
        let sends: Vec<u64> = sends
            .filter(|((deed, _), _)| *deed == Deed::Send)
            .map(|(_, number)| number)
            .collect();
        assert!(whole.points.log.contains(&(Deed::Send, Side::After)));
        for number in sends {
            let world = proves::<F>(&format!("shape 6, ended at {number}"), |world| {
                world.points.kill_at.insert(number);
                scenario(world)
            });
            // Not one transaction more than without the crash.
            assert_eq!(world.sim.book.all().len(), whole.sim.book.all().len());
        }
    }
    shape::<Evm>();
    shape::<Coin>();
}

/// Shape 7: A transaction is gone from every pool. What comes next conflicts with nothing it uses.
#[test]
fn shape_07_an_evicted_transaction_keeps_what_it_uses() {
    fn shape<F: Family>() {
        let world = proves::<F>("shape 7", |_| {
            Scenario::new()
                .pays(0, payment::<F>("a", "ann"))
                .nudge(once_sent("a", |world: &World<F>| {
                    world.chain.stall(Stalled::Yes);
                    world.chain.evict();
                }))
                .pays(5_000, payment::<F>("b", "bob"))
                .nudge(once_sent("b", |world: &World<F>| {
                    world.chain.stall(Stalled::No);
                    world.chain.mine();
                }))
        });
        let (a, b) = (intent_id("a"), intent_id("b"));
        let (of_a, of_b) = (world.sim.book.of_intent(&a), world.sim.book.of_intent(&b));
        for one in &of_a {
            assert!(of_b.iter().all(|other| other.keys.is_disjoint(&one.keys)));
        }
        assert_eq!(world.times_paid(&a), 1);
        assert_eq!(world.times_paid(&b), 1);
    }
    shape::<Evm>();
    shape::<Coin>();
}

/// Shape 8: What nobody includes is replaced; weeks later nodes relay the first one.
#[test]
fn shape_08_a_cheap_transaction_is_not_dead() {
    fn shape<F: Family>(is_replaced: bool) {
        let world = proves::<F>("shape 8", move |_| {
            let scenario = Scenario::new()
                .pays(0, payment::<F>("a", "ann"))
                .nudge(once_sent("a", |world: &World<F>| {
                    world.chain.grow_dear();
                    world.chain.stall(Stalled::Yes);
                }));
            scenario.nudge(move |world: &World<F>| {
                let made = world.sim.book.of_intent(&intent_id("a"));
                if made.len() < 2 || world.elapsed() < HOUR {
                    return false;
                }
                world.chain.stall(Stalled::No);
                if is_replaced {
                    world.chain.mine();
                }
                world.chain.grow_cheap();
                world.chain.evict();
                world.chain.relay_again();
                true
            })
        });
        assert!(world.sim.book.of_intent(&intent_id("a")).len() > 1);
        assert_eq!(world.times_paid(&intent_id("a")), 1);
    }
    for is_replaced in [true, false] {
        shape::<Evm>(is_replaced);
        shape::<Coin>(is_replaced);
    }
}

/// Reorgs of every depth that can be, at every block after the inclusion, with what left the chain
/// still in the pools and without.
#[test]
fn a_reorg_is_no_second_payment() {
    fn shape<F: Family>(depth: u64, after: u64, evicts: Evicts) {
        let world = proves::<F>("a reorg", move |_| {
            let mut included_at = None;
            Scenario::new()
                .pays(0, payment::<F>("a", "ann"))
                .nudge(move |world: &World<F>| {
                    if world.times_paid(&intent_id("a")) == 0 {
                        return false;
                    }
                    let since = *included_at.get_or_insert(world.elapsed());
                    let due = world.elapsed() >= since + after * F::BLOCK_MILLIS;
                    if due {
                        world.chain.reorg(depth, evicts);
                    }
                    due
                })
        });
        assert_eq!(world.times_paid(&intent_id("a")), 1);
    }
    for depth in [1, 2] {
        for after in [0, 1] {
            for evicts in [Evicts::Yes, Evicts::No] {
                shape::<Evm>(depth, after, evicts);
                shape::<Coin>(depth, after, evicts);
            }
        }
    }
}
