//! What the signer answers, and what it proves.

use wallet::{
    change::Change,
    evidence::VoidCertificate,
    withdrawal::{Stage, WaitingReason},
};

use super::{
    signer::Mood,
    world::{World, config, halted},
};

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
