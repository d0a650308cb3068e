//! The twelve shapes that pay twice elsewhere, and the twelve invariants that keep them away, each
//! by its number: `docs/withdrawals.md`. Of a shape: the fault goes in, one payment comes out, on both
//! families of chains. Of an invariant: whoever breaks it is caught.

mod invariants;
mod owners;
mod requests;
mod sends;

use tx::IntentId;

use crate::simulation::{
    crash::block_on,
    family::Family,
    stepper::Process,
    world::{Scenario, World, intent_id, withdrawal},
};
use wallet::withdrawal::NewWithdrawal;

/// A payment of the chain's own coin to somebody of its own.
pub fn payment<F: Family>(id: &str, customer: &str) -> NewWithdrawal {
    let to = id.bytes().map(u64::from).sum();
    payment_to::<F>(id, customer, to)
}

pub fn payment_to<F: Family>(id: &str, customer: &str, to: u64) -> NewWithdrawal {
    let native = F::assets().swap_remove(0);
    withdrawal(id, customer, native, 5_000_000, F::destination(to))
}

/// Runs a scenario in a new world and checks all that must hold.
pub fn proves<F: Family>(what: &str, build: impl Fn(&mut World<F>) -> Scenario<F>) -> World<F> {
    block_on(async {
        let mut world = World::<F>::new(1).await;
        let mut scenario = build(&mut world);
        world.run(&mut scenario).await;
        finish(what, world).await
    })
}

/// Checks all that must hold, and that no intent left its conflict set.
pub async fn finish<F: Family>(what: &str, mut world: World<F>) -> World<F> {
    let what = format!("{what} on {}", F::CHAIN);
    let ids: Vec<IntentId> = world.asked.keys().cloned().collect();
    for id in ids {
        let made = world.sim.book.of_intent(&id);
        let alone = |one: &&_| {
            let one: &crate::simulation::book::Made = one;
            made.iter().any(|other| other.keys.is_disjoint(&one.keys))
        };
        if let Some(one) = made.iter().find(alone) {
            world.breach(format!(
                "{id} left its conflict set with attempt {}",
                one.attempt
            ));
        }
    }
    world.check().await;
    world.assert_sound(&what);
    world
}

/// Runs a coordinator until something is so.
pub async fn until<F: Family>(
    world: &mut World<F>,
    scenario: &mut Scenario<F>,
    is_so: impl Fn(&World<F>) -> bool,
) -> Process<F> {
    let mut process = Process::start(world, "one").await.unwrap().unwrap();
    for _ in 0..20_000 {
        if is_so(world) {
            return process;
        }
        world.turn(scenario, &mut process).await.unwrap();
    }
    panic!("it is never so: {:?}", world.breaches);
}

/// Waits, and then changes the world back.
pub fn after<F: Family>(
    millis: u64,
    undo: impl Fn(&World<F>) + 'static,
) -> impl FnMut(&World<F>) -> bool {
    move |world| {
        let due = world.elapsed() >= millis;
        if due {
            undo(world);
        }
        due
    }
}

/// Does something as soon as a node was given a payment of the withdrawal.
pub fn once_sent<F: Family>(
    id: &str,
    act: impl Fn(&World<F>) + 'static,
) -> impl FnMut(&World<F>) -> bool {
    let id = intent_id(id);
    move |world| {
        let sent = world.was_sent(&id);
        if sent {
            act(world);
        }
        sent
    }
}
