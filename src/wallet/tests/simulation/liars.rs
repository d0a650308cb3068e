//! Two nodes, of which one is honest: whatever the other one does delays, and never misleads.

use tx::Time;
use wallet::withdrawal::NewWithdrawal;

use super::{
    crash::{Pairs, block_on, everywhere},
    families::{Coin, Evm},
    family::{Evicts, Family, SimChain, SimNode},
    node::NodeFaults,
    world::{BEGINNING, Scenario, World, intent_id, withdrawal},
};

const MINUTE: u64 = 60_000;
/// When the liar becomes honest.
const MENDED: u64 = 20 * MINUTE;

/// What one of two nodes does.
#[derive(Clone, Copy)]
pub struct Lie {
    pub name: &'static str,
    pub tell: fn(&mut NodeFaults),
    settles: Settles,
}

/// Whether anything may be settled while the lie lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Settles {
    /// What the honest node says stands against it.
    Never,
    /// It takes longer, or nothing of it concerns the settlement.
    Perhaps,
}

const fn lie(name: &'static str, settles: Settles, tell: fn(&mut NodeFaults)) -> Lie {
    Lie {
        name,
        tell,
        settles,
    }
}

/// Of every chain.
const COMMON: [Lie; 6] = [
    lie("lags", Settles::Perhaps, |faults| faults.lag = 2),
    lie("stopped", Settles::Never, |faults| faults.lag = 1_000),
    lie("forked", Settles::Never, |faults| faults.forked = true),
    lie("is down", Settles::Never, |faults| faults.down = true),
    lie("errs", Settles::Perhaps, |faults| faults.every = 3),
    lie("takes in silence", Settles::Perhaps, |faults| {
        faults.send_lost = true;
    }),
];

/// Of EVM chains, where a node is believed more.
const OF_EVM: [Lie; 5] = [
    lie("boasts", Settles::Perhaps, |faults| faults.boast = 3),
    lie("boasts of a fork", Settles::Never, |faults| {
        (faults.boast, faults.forked) = (3, true);
    }),
    lie("adds to nonces", Settles::Never, |faults| {
        faults.nonce_lie = 1;
    }),
    lie("fails all", Settles::Never, |faults| {
        faults.fails_all = true;
    }),
    lie("loses receipts", Settles::Never, |faults| {
        faults.no_receipts = true;
    }),
];

/// The lies that a family's nodes can tell.
pub fn lies<F: Family>() -> Vec<Lie> {
    let own: &[Lie] = match F::CHAIN {
        tx::Chain::Evm(_) => &OF_EVM,
        _ => &[],
    };
    COMMON.iter().chain(own).copied().collect()
}

/// One of the two tells a lie, the other none.
pub fn tell<F: Family>(world: &World<F>, liar: usize, lie: Lie) {
    for (number, node) in world.nodes.iter().enumerate() {
        node.change(&|faults| {
            let every = faults.every;
            *faults = NodeFaults {
                every,
                ..NodeFaults::default()
            };
            if number == liar {
                (lie.tell)(faults);
            }
        });
    }
}

fn payment<F: Family>(id: &str, customer: &str, to: u64) -> NewWithdrawal {
    let asset = F::assets().pop().unwrap();
    withdrawal(id, customer, asset, 5_000_000, F::destination(to))
}

/// When the lie begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Since {
    Beginning,
    Sent,
}

/// Two payouts and a reorg beneath the first, while one of two nodes lies.
fn deceived<F: Family>(
    world: &mut World<F>,
    liar: usize,
    lie: Lie,
    since: Since,
    mended: u64,
) -> Scenario<F> {
    world.add_node();
    if since == Since::Beginning {
        tell(world, liar, lie);
    }
    let (sent, paid) = (intent_id("a"), intent_id("a"));
    Scenario::new()
        .pays(0, payment::<F>("a", "ann", 1))
        .pays(2 * MINUTE, payment::<F>("b", "bob", 2))
        .nudge(move |world: &World<F>| {
            let is_sent = world.was_sent(&sent);
            if is_sent && since == Since::Sent {
                tell(world, liar, lie);
            }
            is_sent
        })
        .nudge(move |world: &World<F>| {
            let is_paid = world.times_paid(&paid) > 0;
            if is_paid {
                world.chain.reorg(2, Evicts::Yes);
            }
            is_paid
        })
        .nudge(move |world: &World<F>| {
            let is_due = world.elapsed() >= mended;
            if is_due {
                world.nodes(|faults| *faults = NodeFaults::default());
            }
            is_due
        })
}

/// When the withdrawal was settled.
async fn settled_at<F: Family>(world: &World<F>, id: &str) -> Time {
    let store = world.store();
    let found = store.withdrawal(&intent_id(id)).await.unwrap().unwrap();
    let events = store.events(Some(found.number), None, 1_000).await.unwrap();
    let mut events = events.into_iter();
    let last = events.find(|event| event.topic == "withdrawal.final");
    last.unwrap().at
}

fn one_of_two_lies<F: Family>(since: Since) {
    for lie in lies::<F>() {
        for liar in [0, 1] {
            let what = format!("{}: node {liar} {}, from {since:?}", F::CHAIN, lie.name);
            block_on(async {
                let mut world = World::<F>::new(1).await;
                let mut scenario = deceived(&mut world, liar, lie, since, MENDED);
                world.run(&mut scenario).await;
                world.check().await;
                world.assert_sound(&what);
                for id in ["a", "b"] {
                    assert_eq!(world.times_paid(&intent_id(id)), 1, "{what}");
                    let at = settled_at(&world, id).await;
                    let mended = Time::from_millis(BEGINNING + MENDED);
                    let waited = at >= mended;
                    assert!(waited || lie.settles == Settles::Perhaps, "{what}: {id}");
                }
            });
        }
    }
}

#[test]
fn evm_waits_for_a_node_that_lies_from_the_beginning() {
    one_of_two_lies::<Evm>(Since::Beginning);
}

#[test]
fn evm_waits_for_a_node_that_lies_when_it_is_paid() {
    one_of_two_lies::<Evm>(Since::Sent);
}

#[test]
fn utxo_waits_for_a_node_that_lies_from_the_beginning() {
    one_of_two_lies::<Coin>(Since::Beginning);
}

#[test]
fn utxo_waits_for_a_node_that_lies_when_it_is_paid() {
    one_of_two_lies::<Coin>(Since::Sent);
}

/// The process ends at every point while nobody knows whom to believe.
fn ends_everywhere<F: Family>(name: &str, liar: usize) {
    let lie = lies::<F>().into_iter().find(|lie| lie.name == name);
    let lie = lie.unwrap();
    let what = format!("{}, node {liar} {name}", F::CHAIN);
    let explored = block_on(everywhere::<F>(&what, Pairs::None, |world| {
        deceived(world, liar, lie, Since::Sent, 3 * MINUTE)
    }));
    assert!(explored.points >= 10);
}

#[test]
fn evm_ends_everywhere_while_one_of_two_nodes_lies() {
    ends_everywhere::<Evm>("fails all", 0);
    ends_everywhere::<Evm>("boasts of a fork", 1);
}

#[test]
fn utxo_ends_everywhere_while_one_of_two_nodes_lies() {
    ends_everywhere::<Coin>("forked", 0);
    ends_everywhere::<Coin>("stopped", 1);
}
