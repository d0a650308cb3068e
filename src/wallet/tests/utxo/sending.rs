//! What is given to nodes, again and in place of another.

use wallet::{
    lane::Effect,
    withdrawal::{Stage, WaitingReason},
};

use super::{
    chain::Trouble,
    world::{World, config},
};

#[test]
fn a_failed_send_proves_nothing_and_is_made_again() {
    for trouble in [Trouble::Silent, Trouble::Mute] {
        let mut world = World::with_coins(config(), &[500_000, 500_000]);
        let number = world.ask(100_000);
        while !matches!(world.effects.front(), Some(Effect::Send(..))) {
            assert!(world.step());
        }
        world.node.state().trouble = Some(trouble);
        world.run();
        assert_eq!(world.stage(number), Stage::Signed);
        assert_eq!(
            world.waits_for(number),
            Some(WaitingReason::NodeUnavailable)
        );
        world.node.state().trouble = None;
        world.mine(1);
        world.pass(60_000);
        world.mine(4);
        assert_eq!(world.stage(number), Stage::Final);
        assert_eq!(world.payments(number), 1);
        let given = world.node.state().given.clone();
        assert!(given.iter().all(|had| had.txid == given[0].txid));
    }
}

#[test]
fn what_was_evicted_is_given_again() {
    let mut world = World::with_coins(config(), &[500_000, 500_000]);
    let number = world.ask(100_000);
    world.run();
    world.node.state().mempool.clear();
    world.pass(299_000);
    assert!(world.node.state().mempool.is_empty());
    world.pass(1_000);
    assert_eq!(world.node.state().mempool.len(), 1);
    world.mine(3);
    assert_eq!(world.payments(number), 1);
}

#[test]
fn what_left_its_block_is_given_to_nodes_at_once() {
    let mut world = World::with_coins(config(), &[500_000, 500_000]);
    let number = world.ask(100_000);
    world.run();
    world.mine(1);
    assert_eq!(world.stage(number), Stage::Included);
    let given = world.node.state().given.len();
    // Another branch, without it, and a node that did not keep it.
    world.node.state().blocks.pop();
    world.node.state().mine(vec![]);
    world.node.state().mine(vec![]);
    world.node.state().mempool.clear();
    world.pass(world.config.poll_millis);
    assert_eq!(world.stage(number), Stage::Broadcast);
    assert_eq!(world.node.state().given.len(), given + 1);
    world.mine(3);
    assert_eq!(world.payments(number), 1);
}

#[test]
fn what_waits_too_long_is_replaced_over_the_same_coins() {
    let mut world = World::with_coins(config(), &[500_000, 400_000]);
    let number = world.ask(100_000);
    world.run();
    world.node.state().mine(vec![]);
    world.pass(599_000);
    assert_eq!(world.live().len(), 1);
    world.pass(1_000);
    let live = world.live();
    assert_eq!(live.len(), 2);
    assert_eq!(
        (live[0].set, &live[0].anchor),
        (live[1].set, &live[1].anchor)
    );
    assert!(live[0].keys.is_subset(&live[1].keys));
    let journal = live[0].signed.as_ref().unwrap().attempt;
    assert_eq!(live[1].request.replaces, [journal]);
    world.mine(3);
    assert_eq!(world.stage(number), Stage::Final);
    assert_eq!(world.payments(number), 1);
}

#[test]
fn a_replacement_without_change_takes_a_further_coin() {
    let mut world = World::with_coins(config(), &[100_000, 90_000]);
    // 110 vbytes at 5 sat/vB: no change.
    let number = world.ask(90_000 - 550);
    world.run();
    assert_eq!(world.live()[0].keys.len(), 1);
    world.node.state().mine(vec![]);
    world.pass(600_000);
    assert_eq!(world.live()[1].keys.len(), 2);
    // The older one is included none the less.
    let older = world.node.state().given[0].clone();
    world.node.state().mine(vec![older]);
    world.pass(5_000);
    assert_eq!(world.stage(number), Stage::Included);
    world.mine(2);
    assert_eq!(world.stage(number), Stage::Final);
    assert_eq!(world.payments(number), 1);
    // The further coin is free, but the signer remembers: it is not used silently.
    assert_eq!(world.durable.coins.len(), 1);
    let other = world.ask(50_000);
    world.run();
    assert_eq!(world.waits_for(other), Some(WaitingReason::Funds));
}

#[test]
fn a_replacement_stops_at_the_ceiling() {
    let mut config = config();
    config.fee_rate_ceiling_sat_vb = 6;
    let mut world = World::with_coins(config, &[500_000]);
    let number = world.ask(100_000);
    world.run();
    for _ in 0..10 {
        world.node.state().mine(vec![]);
        world.pass(600_000);
    }
    assert_eq!(world.live().len(), 2);
    assert_eq!(world.waits_for(number), Some(WaitingReason::Fee));
    world.mine(3);
    assert_eq!(world.payments(number), 1);
}
