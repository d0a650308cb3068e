//! Each rule by itself.

use tx::Amount;
use wallet::{
    attempt::AttemptStage,
    chains::utxo::Confirmations,
    change::{Change, Gate},
    evidence::VoidCertificate,
    lane::{Effect, Event},
    withdrawal::{Stage, WaitingReason},
};

use super::{
    chain::{Forget, Trouble, outpoint, transaction},
    signer::Mood,
    world::{World, address, config, script},
};

fn halted(world: &World) -> bool {
    matches!(world.durable.row.gate, Gate::Halted { .. })
}

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
fn people_are_awaited_without_coins() {
    let mut world = World::with_coins(config(), &[500_000]);
    world.signer.script = vec![Mood::Pending];
    let number = world.ask(100_000);
    world.run();
    assert_eq!(world.stage(number), Stage::Approved);
    let waiting = world.withdrawals[&number].waiting.clone().unwrap();
    assert_eq!(waiting.reason, WaitingReason::SignerNeeds);
    assert_eq!(waiting.needs[0].threshold, 2);
    assert!(world.live().is_empty());
    assert!(world.changes.iter().any(|change| matches!(
        change,
        Change::Void {
            certificate: VoidCertificate::Refused { calls: 1 },
            ..
        }
    )));
    world.pass(6_000);
    assert_eq!(world.stage(number), Stage::Broadcast);
}

#[test]
fn an_unknown_answer_is_asked_for_again_with_the_same_request() {
    for mood in [Mood::Lost, Mood::AnswerLost] {
        let mut world = World::with_coins(config(), &[500_000, 500_000]);
        world.signer.script = vec![mood, Mood::Lost];
        let number = world.ask(100_000);
        world.run();
        assert_eq!(world.stage(number), Stage::Assigned);
        assert_eq!(world.waits_for(number), Some(WaitingReason::SignerUnknown));
        // Nothing else is begun meanwhile.
        let other = world.ask(50_000);
        world.run();
        assert_eq!(world.stage(other), Stage::Approved);
        assert_eq!(world.waits_for(other), Some(WaitingReason::SignerUnknown));
        world.pass(60_000);
        world.pass(60_000);
        assert_eq!(world.stage(number), Stage::Broadcast);
        assert_eq!(world.waits_for(number), None);
        world.mine(4);
        assert_eq!((world.payments(number), world.payments(other)), (1, 1));
    }
}

#[test]
fn a_refusal_after_an_unknown_answer_proves_nothing() {
    let mut world = World::with_coins(config(), &[500_000, 400_000]);
    world.signer.script = vec![Mood::Lost, Mood::Refuses];
    let number = world.ask(100_000);
    world.run();
    world.pass(1_000);
    assert_eq!(world.stage(number), Stage::Assigned);
    assert_eq!(world.live().len(), 1);
    // Others go on, over other coins.
    let other = world.ask(100_000);
    world.run();
    assert_eq!(world.stage(other), Stage::Broadcast);
    // It is asked for again.
    world.pass(10_000);
    assert_eq!(world.stage(number), Stage::Broadcast);
}

#[test]
fn an_attempt_of_another_life_is_void_only_behind_a_later_epoch() {
    let mut world = World::with_coins(config(), &[500_000, 400_000]);
    let first = world.ask(10_000);
    world.run();
    // The process dies between the commit and the call.
    let number = world.ask(100_000);
    while world.live().len() < 2 {
        assert!(world.step());
    }
    let refused = world.withdrawals[&number].intent.id.clone();
    world.signer.refuses.insert(refused);
    world.restart();
    assert_eq!(world.durable.row.epoch, 2);
    assert_eq!(world.stage(number), Stage::Assigned);
    assert_eq!(world.waits_for(number), Some(WaitingReason::SignerRefused));
    world.mine(3);
    assert_eq!(world.stage(first), Stage::Final);
    assert_eq!(world.stage(number), Stage::Assigned);
    // An attempt of the new epoch ends the old one's.
    let other = world.ask(20_000);
    world.run();
    assert_eq!(world.stage(other), Stage::Broadcast);
    world.pass(400_000);
    assert_eq!(world.stage(number), Stage::Approved);
    assert!(world.changes.iter().any(|change| matches!(
        change,
        Change::Void {
            certificate: VoidCertificate::Fenced { epoch: 2, .. },
            ..
        }
    )));
}

#[test]
fn what_is_signed_behind_an_open_gate_is_compared_by_that() {
    let mut world = World::with_coins(config(), &[500_000, 400_000]);
    let first = world.ask(10_000);
    world.run();
    assert_eq!(world.stage(first), Stage::Broadcast);
    let journal = |world: &World, at: usize| world.live()[at].signed.as_ref().unwrap().attempt;
    let compared = Some(journal(&world, 0));
    assert_eq!(world.durable.row.compared_to, compared);
    // Behind a closed one, the journal below may hold what is not known here.
    world.signer.script = vec![Mood::AnswerLost];
    let second = world.ask(20_000);
    world.run();
    world.journal = Err("it cannot be read".into());
    world.restart();
    world.pass(60_000);
    assert_eq!(world.stage(second), Stage::Broadcast);
    assert!(Some(journal(&world, 1)) > compared);
    assert_eq!(world.durable.row.compared_to, compared);
}

#[test]
fn a_sealed_signer_is_waited_for() {
    let mut world = World::with_coins(config(), &[500_000]);
    world.signer.script = vec![Mood::Sealed];
    let number = world.ask(100_000);
    world.run();
    assert_eq!(world.waits_for(number), Some(WaitingReason::SignerSealed));
    world.pass(1_000);
    assert_eq!(world.stage(number), Stage::Broadcast);
}

#[test]
fn a_contradiction_halts_the_lane() {
    let mut world = World::with_coins(config(), &[500_000, 500_000]);
    world.signer.script = vec![Mood::Contradicts];
    let number = world.ask(100_000);
    world.run();
    assert!(halted(&world));
    let other = world.ask(100_000);
    world.pass(60_000);
    assert_eq!(world.stage(number), Stage::Assigned);
    assert_eq!(world.stage(other), Stage::Approved);
    world.restart();
    assert!(halted(&world));
}

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
fn nothing_is_begun_behind_a_closed_gate() {
    let mut world = World::new(config());
    world.journal = Err("no answer".into());
    world.fund(&[500_000]);
    let number = world.ask(100_000);
    world.start();
    world.pass(60_000);
    assert_eq!(world.stage(number), Stage::Approved);
    world.journal = Ok(());
    world.pass(60_000);
    assert_eq!(world.stage(number), Stage::Broadcast);
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
