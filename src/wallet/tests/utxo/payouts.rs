//! What is paid, from which coins, and how many by one transaction.

use tx::Amount;
use wallet::{
    attempt::AttemptStage,
    lane::Event,
    withdrawal::{Stage, WaitingReason},
};

use super::{
    chain::outpoint,
    world::{World, address, config, script},
};

#[test]
fn a_withdrawal_is_paid_once_and_becomes_final() {
    let mut world = World::with_coins(config(), &[1_000_000, 50_000]);
    let number = world.ask(400_000);
    world.run();
    assert_eq!(world.stage(number), Stage::Broadcast);
    world.mine(1);
    assert_eq!(world.stage(number), Stage::Included);
    world.mine(1);
    assert_eq!(world.stage(number), Stage::Included);
    world.mine(1);
    assert_eq!(world.stage(number), Stage::Final);
    assert_eq!(world.payments(number), 1);
    assert!(world.durable.attempts.is_empty());
}

#[test]
fn withdrawals_that_wait_share_one_transaction() {
    let mut world = World::with_coins(config(), &[1_000_000, 1_000_000]);
    let numbers: Vec<_> = (0..20).map(|at| world.ask(10_000 + at)).collect();
    world.run();
    assert_eq!(world.live().len(), 1);
    // In the order of their ids, which is the journal's and not that of their numbers.
    let attempt = world.live()[0].clone();
    let ids = |number| &world.withdrawals[number].intent.id;
    let paid: Vec<_> = attempt.pays.iter().map(ids).collect();
    let mut expected: Vec<_> = numbers.iter().map(ids).collect();
    expected.sort();
    assert_eq!(paid, expected);
    assert_ne!(attempt.pays, numbers);
    let intents = attempt.request.intents.iter();
    assert!(intents.map(|it| &it.intent.id).eq(paid));
    world.mine(3);
    assert!(
        numbers
            .iter()
            .all(|number| world.stage(*number) == Stage::Final)
    );
    assert!(numbers.iter().all(|number| world.payments(*number) == 1));
}

#[test]
fn a_batch_is_no_larger_than_configured() {
    let mut config = config();
    config.batch_max = 3;
    let mut world = World::with_coins(config, &[1_000_000, 1_000_000, 1_000_000]);
    for _ in 0..7 {
        world.ask(10_000);
    }
    world.run();
    let sizes: Vec<_> = world.live().iter().map(|had| had.pays.len()).collect();
    assert_eq!(sizes, [3, 3, 1]);
}

#[test]
fn a_batch_that_is_refused_goes_on_one_by_one() {
    let mut world = World::with_coins(config(), &[500_000, 500_000, 500_000]);
    let numbers: Vec<_> = (0..3).map(|_| world.ask(100_000)).collect();
    let denied = world.withdrawals[&numbers[1]].intent.id.clone();
    world.signer.refuses.insert(denied);
    world.run();
    assert_eq!(world.stage(numbers[0]), Stage::Broadcast);
    assert_eq!(world.stage(numbers[1]), Stage::Approved);
    assert_eq!(
        world.waits_for(numbers[1]),
        Some(WaitingReason::SignerRefused)
    );
    assert_eq!(world.stage(numbers[2]), Stage::Broadcast);
    assert_eq!(world.live().len(), 2);
    // It holds no coins while it waits, and goes on when the signer lets it.
    world.signer.refuses.clear();
    world.pass(10_000);
    assert_eq!(world.stage(numbers[1]), Stage::Broadcast);
    world.mine(3);
    assert!(numbers.iter().all(|number| world.payments(*number) == 1));
}

#[test]
fn a_fee_is_within_what_the_intents_allow() {
    let mut world = World::with_coins(config(), &[500_000, 500_000]);
    let mean = world.ask_with(100_000, |intent| intent.max_fee = Amount::from(100_u64));
    let fair = world.ask(100_000);
    world.run();
    assert_eq!(world.stage(mean), Stage::Approved);
    assert_eq!(world.waits_for(mean), Some(WaitingReason::Fee));
    assert_eq!(world.stage(fair), Stage::Broadcast);
}

#[test]
fn too_little_is_waited_for() {
    let mut world = World::with_coins(config(), &[50_000]);
    let large = world.ask(100_000);
    let small = world.ask(20_000);
    world.run();
    assert_eq!(world.waits_for(large), Some(WaitingReason::Funds));
    assert_eq!(world.stage(small), Stage::Broadcast);
    world.fund(&[200_000]);
    world.mine(1);
    world.pass(10_000);
    assert_eq!(world.stage(large), Stage::Broadcast);
}

#[test]
fn what_cannot_be_paid_says_so() {
    let mut world = World::with_coins(config(), &[500_000]);
    let dust = world.ask(293);
    let own = world.ask_with(10_000, |intent| intent.destination = address(0xa1));
    let tagged = world.ask_with(10_000, |intent| intent.tag = Some("7".into()));
    let now = world.now;
    let late = world.ask_with(10_000, |intent| intent.expires = now);
    world.pass(1);
    for number in [dust, own, tagged] {
        assert_eq!(world.waits_for(number), Some(WaitingReason::Unbuildable));
    }
    assert_eq!(world.waits_for(late), Some(WaitingReason::Expired));
    assert!(world.live().is_empty());
}

#[test]
fn a_mined_coin_is_spent_after_a_hundred_blocks() {
    let mut world = World::new(config());
    let mut mined = world.stranger(&[(500_000, script(0xa0))]);
    mined.coinbase = true;
    mined.inputs.clear();
    world.node.state().mine(vec![mined]);
    world.start();
    let number = world.ask(100_000);
    world.run();
    for _ in 0..98 {
        world.node.state().mine(vec![]);
    }
    world.pass(600_000);
    assert_eq!(world.waits_for(number), Some(WaitingReason::Funds));
    world.node.state().mine(vec![]);
    world.pass(600_000);
    world.pass(600_000);
    assert_eq!(world.stage(number), Stage::Broadcast);
}

#[test]
fn change_is_spent_once_its_maker_is_final() {
    let mut world = World::with_coins(config(), &[500_000]);
    let first = world.ask(100_000);
    world.run();
    assert_eq!(world.stage(first), Stage::Broadcast);
    let second = world.ask(100_000);
    world.run();
    assert_eq!(world.waits_for(second), Some(WaitingReason::Funds));
    world.mine(2);
    world.pass(300_000);
    assert_eq!(world.waits_for(second), Some(WaitingReason::Funds));
    world.mine(1);
    world.pass(300_000);
    assert_eq!(world.stage(second), Stage::Broadcast);
}

#[test]
fn change_goes_to_a_key_of_the_account() {
    let mut world = World::with_coins(config(), &[500_000]);
    world.ask(100_000);
    world.run();
    let paying = world.node.state().mempool[0].clone();
    assert_eq!(paying.outputs.len(), 2);
    assert_eq!(paying.outputs[1].1, script(0xa1));
    world.mine(3);
    let coin = world.durable.coins.values().next().unwrap();
    assert_eq!(coin.outpoint, outpoint(&paying, 1));
    assert_eq!(coin.key.as_str(), "hot-a1");
}

#[test]
fn what_was_released_meanwhile_goes_back() {
    let mut world = World::with_coins(config(), &[500_000]);
    let number = world.ask(100_000);
    world.failing = 1;
    world.run();
    assert_eq!(world.stage(number), Stage::Approved);
    world.pass(1_000);
    assert_eq!(world.stage(number), Stage::Broadcast);
}

#[test]
fn a_death_at_any_step_pays_once() {
    for steps in 0..40 {
        let mut world = World::with_coins(config(), &[500_000, 500_000]);
        let number = world.ask(100_000);
        for _ in 0..steps {
            world.step();
        }
        world.restart();
        world.pass(60_000);
        world.mine(1);
        world.restart();
        world.mine(3);
        assert_eq!(world.stage(number), Stage::Final, "{steps}");
        assert_eq!(world.payments(number), 1, "{steps}");
        let given = world.node.state().given.clone();
        assert!(given.iter().all(|had| had.txid == given[0].txid), "{steps}");
    }
}

#[test]
fn stages_of_live_attempts_are_those_of_their_bytes() {
    let mut world = World::with_coins(config(), &[500_000]);
    world.ask(100_000);
    world.run();
    assert!(matches!(
        world.stages()[..],
        [AttemptStage::Broadcast { .. }]
    ));
    // A late answer about what is settled changes nothing.
    let number = world.live()[0].number;
    world.handle(Event::Inquired(number, Ok(None)));
    world.run();
    assert_eq!(world.live().len(), 1);
}
