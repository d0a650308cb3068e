//! What was seen of a set and is not durable yet, when something else of it is seen.

use super::{
    chain::finalized,
    rig::{Rig, answer, block, head, withdrawal},
};
use crate::{
    attempt::AttemptNumber,
    chains::evm::Answer,
    evidence::{Covered, Evidence},
    lane::{Effect, Event, Lane},
    signer::SignOutcome,
    withdrawal::Stage,
};

const ZERO: AttemptNumber = AttemptNumber(0);
const ONE: AttemptNumber = AttemptNumber(1);

/// Two attempts over one nonce, and the signer is asked for what comes after them: what only records
/// waits for its answer.
fn replaced() -> Rig {
    let mut rig = Rig::open();
    rig.pay(withdrawal(1));
    rig.after_secs(600);
    rig.see(head(0, 0));
    rig.signer_signs();
    assert_eq!(rig.attempt(1).set, ZERO);
    rig.queue(vec![withdrawal(2)]);
    assert_eq!(rig.signs.len(), 1);
    rig
}

/// The signer answers, and the commit is out until it fails.
fn signed_and_out(rig: &mut Rig) {
    let (number, request) = rig.signs.pop_front().unwrap();
    let signed = SignOutcome::Signed(answer(&request, 9));
    let effects = rig.lane.handle(Event::Signer(number, signed), rig.now);
    let is_commit = |effect: &Effect<_>| matches!(effect, Effect::Commit(_));
    assert!(effects.iter().any(is_commit));
}

fn found_at(rig: &mut Rig, number: AttemptNumber, height: u64) {
    let mined = rig.mined(number, height);
    rig.found(vec![(number, Evidence::Found(mined))]);
}

#[test]
fn of_two_that_are_seen_one_after_the_other_the_later_is_included() {
    // The younger one in the place of the older one, and the other way round.
    for order in [[0, 1], [1, 0]] {
        let mut rig = replaced();
        for (height, number) in (7..).zip(order) {
            rig.see(head(1, 0));
            found_at(&mut rig, AttemptNumber(number), height);
            assert!(rig.attempt(number).stage.inclusion().is_none());
        }
        rig.signer_signs();
        let [before, later] = order.map(|number| rig.attempt(number).stage.inclusion());
        assert_eq!(before, None);
        assert_eq!(later.unwrap().block, block(8));
        assert_eq!(rig.stage(1), Some(Stage::Included));
        assert_eq!(rig.lane.view(), &rig.store);
    }
}

#[test]
fn what_is_final_when_it_is_seen_gives_way_to_nothing() {
    for (seen, expected) in [(finalized(1, 7), ZERO), (head(1, 0), ONE)] {
        let mut rig = replaced();
        signed_and_out(&mut rig);
        rig.see(seen);
        found_at(&mut rig, ZERO, 7);
        rig.see(finalized(1, 8));
        found_at(&mut rig, ONE, 8);
        rig.event(Event::CommitFailed);
        assert_eq!(rig.finals, [expected]);
        assert_eq!(rig.stage(1), None);
    }
}

#[test]
fn what_left_its_block_for_another_of_its_set_is_excluded_once() {
    let mut rig = replaced();
    rig.see(head(1, 0));
    found_at(&mut rig, ZERO, 7);
    rig.signer_signs();
    assert!(rig.attempt(0).stage.inclusion().is_some());
    // That its block left is heard before the commit is, and so is what is there instead.
    rig.queue(vec![withdrawal(3)]);
    signed_and_out(&mut rig);
    rig.see(finalized(1, 9));
    let gone = Evidence::Absent {
        covered: Covered { from: 7, to: 7 },
        tip: block(9),
    };
    rig.event(Event::Answered(Answer::StillThere(vec![(block(7), gone)])));
    found_at(&mut rig, ONE, 8);
    rig.event(Event::CommitFailed);
    assert_eq!(rig.finals, [ONE]);
    assert_eq!(rig.stage(1), None);
}
