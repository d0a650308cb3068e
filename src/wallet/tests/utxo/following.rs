//! What the chain shows, and what it does not prove.

use wallet::{
    chains::utxo::Confirmations,
    change::Gate,
    withdrawal::{Stage, WaitingReason},
};

use super::{
    chain::{Forget, Trouble, transaction},
    signer::Mood,
    world::{World, config, halted, script},
};

#[test]
fn a_block_that_leaves_the_chain_takes_its_payments_with_it() {
    for forget in [Forget::Nothing, Forget::Everything] {
        let mut world = World::with_coins(config(), &[500_000, 500_000]);
        let number = world.ask(100_000);
        world.run();
        world.mine(2);
        assert_eq!(world.stage(number), Stage::Included);
        world.node.state().unmine(2, forget);
        for _ in 0..3 {
            world.node.state().mine(vec![]);
        }
        world.pass(5_000);
        assert_eq!(world.stage(number), Stage::Broadcast);
        world.mine(3);
        assert_eq!(world.stage(number), Stage::Final);
        assert_eq!(world.payments(number), 1);
    }
}

#[test]
fn a_final_payment_that_leaves_the_chain_halts_the_lane() {
    let mut world = World::with_coins(config(), &[500_000, 500_000]);
    let number = world.ask(100_000);
    world.run();
    world.mine(3);
    assert_eq!(world.stage(number), Stage::Final);
    world.node.state().unmine(3, Forget::Nothing);
    for _ in 0..4 {
        world.node.state().mine(vec![]);
    }
    world.pass(5_000);
    assert!(halted(&world));
}

#[test]
fn another_chain_altogether_halts_the_lane() {
    let mut world = World::with_coins(config(), &[500_000]);
    world.node.state().unmine(2, Forget::Everything);
    for _ in 0..5 {
        world.node.state().mine(vec![]);
    }
    world.pass(5_000);
    assert!(halted(&world));
}

#[test]
fn a_strangers_spend_of_an_own_coin_halts_the_lane() {
    let mut world = World::new(config());
    let coins = world.fund(&[500_000, 500_000]);
    world.start();
    let theft = transaction(&coins[..1], &[(400_000, script(0x77))], 0);
    world.node.state().mine(vec![theft]);
    world.pass(5_000);
    assert!(halted(&world));
    let number = world.ask(10_000);
    world.pass(5_000);
    assert_eq!(world.stage(number), Stage::Approved);
    assert_eq!(world.durable.coins.len(), 1);
}

#[test]
fn a_strangers_spend_is_not_judged_before_the_signers_journal_is() {
    let mut world = World::new(config());
    world.journal = Err("the signer does not answer".into());
    let coins = world.fund(&[500_000]);
    let spend = transaction(&coins, &[(400_000, script(0x77))], 0);
    world.node.state().mine(vec![spend]);
    world.start();
    world.pass(60_000);
    assert!(matches!(world.durable.row.gate, Gate::Closed { .. }));
    assert_eq!(world.durable.tip().unwrap().height, 1);
    world.journal = Ok(());
    world.pass(60_000);
    world.pass(60_000);
    assert!(halted(&world));
}

#[test]
fn an_included_attempt_whose_answer_was_lost_is_asked_for_first() {
    let mut world = World::with_coins(config(), &[500_000]);
    world.signer.script = vec![Mood::AnswerLost, Mood::Lost, Mood::Lost];
    let number = world.ask(100_000);
    world.run();
    // As if another process had sent it before it died.
    let raw = world
        .signer
        .signed
        .values()
        .next()
        .unwrap()
        .answer
        .transaction
        .raw
        .clone();
    let sent = super::chain::read(&hex::decode(raw).unwrap());
    world.node.state().mine(vec![sent]);
    world.pass(500);
    world.pass(4_500);
    assert!(!halted(&world));
    world.pass(60_000);
    world.mine(3);
    assert_eq!(world.stage(number), Stage::Final);
    assert_eq!(world.payments(number), 1);
}

#[test]
fn a_second_node_that_lags_or_lies_delays() {
    for trouble in [Trouble::Lags(1), Trouble::Lies(2), Trouble::Silent] {
        let mut world = World::with_coins(config(), &[500_000, 500_000]);
        let number = world.ask(100_000);
        world.run();
        let second = super::chain::Node::default();
        second.state().blocks = world.node.state().blocks.clone();
        world.second = Some(second.clone());
        world.mine(3);
        assert_eq!(world.stage(number), Stage::Broadcast, "{trouble:?}");
        let blocks = world.node.state().blocks.clone();
        second.state().blocks = blocks;
        second.state().trouble = Some(trouble);
        world.pass(60_000);
        assert_ne!(world.stage(number), Stage::Final, "{trouble:?}");
        second.state().trouble = None;
        world.pass(60_000);
        assert_eq!(world.stage(number), Stage::Final, "{trouble:?}");
    }
}

#[test]
fn deeper_for_more() {
    let mut config = config();
    config.confirmations = vec![
        Confirmations {
            up_to_sat: Some(50_000),
            blocks: 3,
        },
        Confirmations {
            up_to_sat: None,
            blocks: 5,
        },
    ];
    config.batch_max = 1;
    let mut world = World::with_coins(config, &[500_000, 500_000]);
    world.depth_least = 3;
    let (small, large) = (world.ask(50_000), world.ask(50_001));
    world.run();
    world.mine(3);
    assert_eq!(
        (world.stage(small), world.stage(large)),
        (Stage::Final, Stage::Included)
    );
    world.mine(1);
    assert_eq!(world.stage(large), Stage::Included);
    world.mine(1);
    assert_eq!(world.stage(large), Stage::Final);
}

#[test]
fn an_unknown_end_of_the_chain_stops_new_payouts() {
    let mut world = World::with_coins(config(), &[500_000]);
    world.node.state().trouble = Some(Trouble::Silent);
    world.pass(5_000);
    let number = world.ask(100_000);
    world.run();
    assert_eq!(world.stage(number), Stage::Approved);
    assert_eq!(
        world.waits_for(number),
        Some(WaitingReason::NodeUnavailable)
    );
    world.node.state().trouble = None;
    world.pass(60_000);
    assert_eq!(world.stage(number), Stage::Broadcast);
}
