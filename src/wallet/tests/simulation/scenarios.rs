//! What is run with a crash everywhere, and with random faults.

use wallet::withdrawal::NewWithdrawal;

use super::{
    crash::{Pairs, block_on, everywhere},
    evm_chain::Silence,
    families::{Coin, Evm},
    family::{Evicts, Family, SimChain},
    liars, seeds,
    world::{Expected, Scenario, Wish, World, intent_id, withdrawal},
};

const MINUTE: u64 = 60_000;

fn coin<F: Family>(id: &str, customer: &str, to: u64) -> NewWithdrawal {
    withdrawal(
        id,
        customer,
        F::assets().swap_remove(0),
        5_000_000,
        F::destination(to),
    )
}

fn token(id: &str, customer: &str, to: u64) -> NewWithdrawal {
    withdrawal(
        id,
        customer,
        Evm::assets().swap_remove(1),
        7_000_000,
        Evm::destination(to),
    )
}

/// Two payouts, of the coin and of a token or in one batch; the first answer of the signer is lost.
fn lost_answer<F: Family>(world: &mut World<F>) -> Scenario<F> {
    world.sim.lock().faults.lose = 1;
    let second = F::assets().pop().unwrap();
    Scenario::new().pays(0, coin::<F>("a", "ann", 1)).pays(
        0,
        withdrawal("b", "bob", second, 6_000_000, F::destination(2)),
    )
}

/// One is refused for a while beside one that is not.
fn refusal<F: Family>(world: &mut World<F>) -> Scenario<F> {
    world.sim.lock().faults.refused.insert(intent_id("a"));
    Scenario::new()
        .pays(0, coin::<F>("a", "ann", 1))
        .pays(0, coin::<F>("b", "bob", 2))
        .nudge(|world: &World<F>| {
            let mut signer = world.sim.lock();
            let due = signer.refusals > 0 && signer.now.millis() > super::world::BEGINNING + 20_000;
            if due {
                signer.faults.refused.clear();
            }
            due
        })
}

/// The first transaction gets too cheap and is replaced; then its block leaves the chain.
fn replacement<F: Family>(_: &mut World<F>) -> Scenario<F> {
    let a = intent_id("a");
    let (sent, paid) = (a.clone(), a);
    Scenario::new()
        .pays(0, coin::<F>("a", "ann", 1))
        .nudge(move |world: &World<F>| {
            let sent = world.was_sent(&sent);
            if sent {
                world.chain.grow_dear();
            }
            sent
        })
        .nudge(move |world: &World<F>| {
            let paid = world.times_paid(&paid) > 0;
            if paid {
                world.chain.reorg(1, Evicts::Yes);
            }
            paid
        })
}

/// The transaction fails on the chain, and is paid anew.
fn failure(world: &mut World<Evm>) -> Scenario<Evm> {
    world.sim.lock().reissues = true;
    world.chain.lock().fails.insert(Evm::destination(1), 1);
    Scenario::new().pays(0, token("a", "ann", 1))
}

/// A token logs nothing: once it moved all the same, and once it did not. A person looks, says what
/// came of it, and has the lane opened, which halts again over the second.
fn silence(world: &mut World<Evm>) -> Scenario<Evm> {
    world.sim.lock().reissues = true;
    let silent = [(1, Silence::Moves), (2, Silence::Keeps)];
    let silent = silent.map(|(to, silence)| (Evm::destination(to), silence));
    world.chain.lock().silent.extend(silent);
    let settled = Scenario::new()
        .pays(0, token("a", "ann", 1))
        .pays(MINUTE, token("b", "bob", 2))
        .pays(2 * MINUTE, coin::<Evm>("c", "eve", 3));
    let looks = [5, 10, 15].map(|minutes| minutes * MINUTE);
    looks
        .into_iter()
        .fold(settled, |all, at| all.wishes(at, Wish::Settle))
}

/// All of it in one.
fn everything<F: Family>(world: &mut World<F>) -> Scenario<F> {
    let lost = lost_answer(world);
    world.sim.lock().faults.refused.insert(intent_id("c"));
    let replaced = intent_id("d");
    let paid = replaced.clone();
    lost.pays(0, coin::<F>("c", "eve", 3))
        .pays(30_000, coin::<F>("d", "ann", 4))
        .pays(5 * MINUTE, coin::<F>("e", "ann", 5))
        .nudge(|world: &World<F>| {
            let due = world.elapsed() > 40_000;
            if due {
                world.sim.lock().faults.refused.clear();
            }
            due
        })
        .nudge(move |world: &World<F>| {
            let sent = world.was_sent(&replaced);
            if sent {
                world.chain.grow_dear();
            }
            sent
        })
        .nudge(move |world: &World<F>| {
            let paid = world.times_paid(&paid) > 0;
            if paid {
                world.chain.reorg(2, Evicts::No);
            }
            paid
        })
        .nudge(|world: &World<F>| {
            let due = world.elapsed() > 10 * MINUTE;
            if due {
                world.chain.grow_cheap();
            }
            due
        })
}

#[test]
fn evm_ends_everywhere_and_pays_once() {
    block_on(async {
        let explored = everywhere::<Evm>("EVM, everything", Pairs::None, |world| {
            world.sim.lock().reissues = true;
            world.chain.lock().fails.insert(Evm::destination(2), 1);
            everything(world)
        })
        .await;
        assert!(explored.points >= 30);
    });
}

#[test]
fn utxo_ends_everywhere_and_pays_once() {
    block_on(async {
        let explored = everywhere::<Coin>("UTXO, everything", Pairs::None, everything).await;
        assert!(explored.points >= 30);
    });
}

#[test]
fn evm_ends_twice_around_a_lost_answer() {
    block_on(everywhere::<Evm>(
        "EVM, a lost answer",
        Pairs::All,
        lost_answer,
    ));
}

#[test]
fn evm_ends_twice_around_a_refusal() {
    block_on(everywhere::<Evm>("EVM, a refusal", Pairs::All, refusal));
}

#[test]
fn evm_ends_twice_around_a_replacement_and_a_reorg() {
    block_on(everywhere::<Evm>(
        "EVM, a replacement and a reorg",
        Pairs::All,
        replacement,
    ));
}

#[test]
fn evm_ends_twice_around_a_failure_on_the_chain() {
    block_on(everywhere::<Evm>(
        "EVM, a failure on the chain",
        Pairs::All,
        failure,
    ));
}

#[test]
fn utxo_ends_twice_around_a_lost_answer() {
    block_on(everywhere::<Coin>(
        "UTXO, a lost answer",
        Pairs::All,
        lost_answer,
    ));
}

#[test]
fn utxo_ends_twice_around_a_refusal() {
    block_on(everywhere::<Coin>("UTXO, a refusal", Pairs::All, refusal));
}

#[test]
fn utxo_ends_twice_around_a_replacement_and_a_reorg() {
    block_on(everywhere::<Coin>(
        "UTXO, a replacement and a reorg",
        Pairs::All,
        replacement,
    ));
}

/// Withdrawals at random times, people who change their minds, and a world in which everything goes
/// wrong until it gets well again.
fn mayhem<F: Family>(world: &mut World<F>) -> Scenario<F> {
    world.sim.lock().reissues = true;
    let every = 4 + world.random.below(40);
    world.nodes(|faults| faults.every = every);
    let mut scenario = Scenario::new();
    let customers = ["ann", "bob", "eve"];
    for number in 0..2 + world.random.below(6) {
        let id = format!("w{number}");
        let at = world.random.below(6 * MINUTE);
        let asset = F::assets().swap_remove(world.random.index(F::assets().len()));
        let customer = customers[world.random.index(3)];
        let to = F::destination(1 + world.random.below(3));
        let amount = 1_000_000 + 1_000_000 * world.random.below(3);
        scenario = scenario.pays(at, withdrawal(&id, customer, asset, amount, to));
        if world.random.once_in(5) {
            let when = at + world.random.below(10_000);
            scenario = scenario
                .expects(&intent_id(&id), Expected::PaidOrReleased)
                .wishes(when, Wish::Release(intent_id(&id)));
        }
        if world.random.once_in(4) {
            world.sim.lock().faults.refused.insert(intent_id(&id));
        }
        if world.random.once_in(6) {
            world.sim.lock().faults.pending.insert(intent_id(&id));
        }
    }
    if world.nodes.len() > 1 {
        scenario = deceits(world, scenario);
    }
    for _ in 0..world.random.below(5) {
        let at = world.random.below(8 * MINUTE);
        let what = world.random.below(7);
        scenario = scenario.nudge(move |world: &World<F>| {
            let due = world.elapsed() >= at;
            if due {
                mischief(world, what);
            }
            due
        });
    }
    scenario.nudge(|world: &World<F>| {
        let due = world.elapsed() >= 12 * MINUTE;
        if due {
            world.sim.deliver_late();
            let mut signer = world.sim.lock();
            signer.faults = super::signer::SignerFaults::default();
            drop(signer);
            world.nodes(|faults| *faults = super::node::NodeFaults::default());
            world.chain.grow_cheap();
        }
        due
    })
}

/// One of the nodes lies, and then another, or otherwise.
fn deceits<F: Family>(world: &mut World<F>, mut scenario: Scenario<F>) -> Scenario<F> {
    let lies = liars::lies::<F>();
    for _ in 0..1 + world.random.below(4) {
        let at = world.random.below(10 * MINUTE);
        let lie = lies[world.random.index(lies.len())];
        let liar = world.random.index(world.nodes.len());
        scenario = scenario.nudge(move |world: &World<F>| {
            let due = world.elapsed() >= at;
            if due {
                liars::tell(world, liar, lie);
            }
            due
        });
    }
    scenario
}

fn two_nodes<F: Family>(world: &mut World<F>) -> Scenario<F> {
    world.add_node();
    mayhem(world)
}

fn mischief<F: Family>(world: &World<F>, what: u64) {
    match what {
        0 => world.chain.evict(),
        1 => world.chain.reorg(1, Evicts::Yes),
        2 => world.chain.reorg(2, Evicts::No),
        3 => world.chain.grow_dear(),
        4 => world.chain.relay_again(),
        5 => drop(world.sim.deliver_late()),
        _ => world.nodes(|faults| faults.lag = 3),
    }
}

fn evm_mayhem(world: &mut World<Evm>) -> Scenario<Evm> {
    if world.random.once_in(3) {
        world.chain.lock().fails.insert(Evm::destination(1), 1);
    }
    mayhem(world)
}

#[test]
fn evm_ends_everywhere_while_a_person_settles_what_a_token_did_not_log() {
    block_on(async {
        let explored = everywhere::<Evm>("EVM, silence", Pairs::None, silence).await;
        assert!(explored.points >= 30);
    });
}

/// Each half of the seeds: they are run side by side.
#[test]
fn evm_pays_once_whatever_goes_wrong_by_even_seeds() {
    seeds::run::<Evm>("EVM", seeds::Half::Even, evm_mayhem);
}

#[test]
fn evm_pays_once_whatever_goes_wrong_by_odd_seeds() {
    seeds::run::<Evm>("EVM", seeds::Half::Odd, evm_mayhem);
}

#[test]
fn utxo_pays_once_whatever_goes_wrong_by_even_seeds() {
    seeds::run::<Coin>("UTXO", seeds::Half::Even, mayhem);
}

#[test]
fn utxo_pays_once_whatever_goes_wrong_by_odd_seeds() {
    seeds::run::<Coin>("UTXO", seeds::Half::Odd, mayhem);
}

/// With two nodes, of which one lies: now this one, now that.
#[test]
fn evm_pays_once_whichever_of_two_nodes_lies() {
    seeds::run::<Evm>("EVM, two nodes", seeds::Half::Odd, two_nodes);
}

#[test]
fn utxo_pays_once_whichever_of_two_nodes_lies() {
    seeds::run::<Coin>("UTXO, two nodes", seeds::Half::Even, two_nodes);
}
