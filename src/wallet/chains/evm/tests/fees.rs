//! What is offered, when more is offered, and who waits for what.

use tx::{Amount, FeeTerms, Time};

use super::rig::{GWEI, Rig, config, head, market, of_token, refused, withdrawal};
use crate::{
    attempt::{AttemptNumber, AttemptStage, Purpose},
    chains::evm::{Answer, Market, Question},
    change::Change,
    evidence::Unknown,
    lane::Event,
    nodes::NodeError,
    withdrawal::{Stage, Waiting, WaitingReason, WithdrawalNumber},
};

const FIRST: WithdrawalNumber = WithdrawalNumber(1);

fn caps(rig: &Rig, number: u64) -> (Amount, Amount) {
    let FeeTerms::Evm {
        max_fee_per_gas,
        max_priority_fee_per_gas,
        ..
    } = rig.attempt(number).fee_terms
    else {
        panic!("it is an EVM attempt");
    };
    (max_fee_per_gas, max_priority_fee_per_gas)
}

fn waits(rig: &Rig) -> Waiting {
    let assigned = rig.store.withdrawals.get(&FIRST);
    let known = assigned.or(rig.known.get(&FIRST)).unwrap();
    known.waiting.clone().expect("it waits")
}

fn costs(rig: &mut Rig, base_fee_gwei: u64) {
    let market = Market {
        base_fee: u128::from(base_fee_gwei * GWEI),
        ..market()
    };
    rig.event(Event::Answered(Answer::Market(Ok(market))));
}

#[test]
fn the_market_is_offered() {
    let mut rig = Rig::open();
    rig.queue(vec![withdrawal(1)]);
    assert_eq!(caps(&rig, 0), ((21 * GWEI).into(), GWEI.into()));
}

#[test]
fn what_is_above_the_ceiling_waits() {
    let mut rig = Rig::open();
    costs(&mut rig, 600);
    rig.queue(vec![withdrawal(1)]);
    assert!(rig.store.attempts.is_empty());
    assert_eq!(waits(&rig).reason, WaitingReason::Fee);
    assert_eq!(rig.returned, [FIRST]);
}

#[test]
fn what_is_above_the_intents_fee_waits() {
    let mut rig = Rig::open();
    let mut poor = withdrawal(1);
    poor.intent.max_fee = Amount::from(21_000 * 11 * GWEI - 1);
    rig.queue(vec![poor]);
    assert_eq!(waits(&rig).reason, WaitingReason::Fee);
    let mut just = withdrawal(2);
    just.intent.max_fee = Amount::from(21_000 * 11 * GWEI);
    rig.queue(vec![just]);
    assert_eq!(rig.stage(2), Some(Stage::Assigned));
    assert_eq!(caps(&rig, 0).0, (11 * GWEI).into());
}

#[test]
fn what_is_not_included_is_replaced_by_an_eighth_more_on_both_caps() {
    let mut rig = Rig::open();
    rig.pay(withdrawal(1));
    rig.after_secs(170);
    rig.see(head(0, 0));
    assert_eq!(rig.store.attempts.len(), 1);
    rig.after_secs(20);
    rig.see(head(0, 0));
    let (old, new) = (caps(&rig, 0), caps(&rig, 1));
    let raised = |cap: Amount| cap.to_u64().unwrap() * 9 / 8;
    assert!(new.0 >= raised(old.0).into() && new.1 >= raised(old.1).into());
    assert_eq!(rig.attempt(1).anchor, rig.attempt(0).anchor);
    assert_eq!(rig.attempt(1).request.replaces, [1]);
    assert_eq!(
        rig.attempt(1).request.intents,
        rig.attempt(0).request.intents
    );
    rig.signer_signs();
    rig.node_takes();
    // And again: all older ones are declared.
    rig.after_secs(200);
    rig.see(head(0, 0));
    assert_eq!(rig.attempt(2).request.replaces, [1, 2]);
}

#[test]
fn a_replacement_offers_at_least_the_market() {
    let mut rig = Rig::open();
    rig.pay(withdrawal(1));
    rig.after_secs(200);
    rig.see(head(0, 0));
    assert_eq!(rig.store.attempts.len(), 2);
    rig.signer_says(refused("limit"));
    costs(&mut rig, 100);
    rig.after_secs(200);
    rig.event(Event::Answered(Answer::Head(Ok(head(0, 0)))));
    costs(&mut rig, 100);
    assert!(caps(&rig, 2).0 >= (100 * GWEI).into());
}

#[test]
fn only_what_stands_in_the_way_is_replaced() {
    let mut rig = Rig::open();
    for number in 1..=3 {
        rig.pay(withdrawal(number));
    }
    rig.after_secs(200);
    rig.see(head(0, 0));
    rig.signer_signs();
    // The market would take the other two.
    assert!(rig.signs.is_empty());
    assert_eq!(rig.store.attempts.len(), 4);
    assert_eq!(rig.attempt(3).set, AttemptNumber(0));
}

#[test]
fn what_is_included_is_not_replaced() {
    let mut rig = Rig::open();
    let number = rig.pay(withdrawal(1));
    rig.see(head(1, 0));
    let mined = rig.mined(number, 7);
    rig.found(vec![(number, crate::evidence::Evidence::Found(mined))]);
    rig.after_secs(500);
    rig.see(head(1, 0));
    assert_eq!(rig.store.attempts.len(), 1);
}

#[test]
fn what_some_node_has_included_is_not_replaced() {
    let mut rig = Rig::open();
    rig.pay(withdrawal(1));
    rig.after_secs(500);
    let mut seen = head(0, 0);
    seen.nonce_most = 1;
    rig.see(seen);
    assert_eq!(rig.store.attempts.len(), 1);
}

#[test]
fn a_replacement_that_is_too_dear_waits_and_says_so() {
    let mut rig = Rig::open();
    let mut withdrawal = withdrawal(1);
    withdrawal.intent.max_fee = Amount::from(21_000 * 22 * GWEI);
    rig.pay(withdrawal);
    rig.after_secs(200);
    rig.see(head(0, 0));
    assert_eq!(rig.store.attempts.len(), 1);
    assert_eq!(waits(&rig).reason, WaitingReason::Fee);
}

#[test]
fn a_refused_replacement_leaves_the_payment_as_it_was() {
    let mut rig = Rig::open();
    rig.pay(withdrawal(1));
    rig.after_secs(200);
    rig.see(head(0, 0));
    rig.signer_says(refused("limit"));
    assert_eq!(rig.stage(1), Some(Stage::Broadcast));
    assert!(matches!(rig.attempt(1).stage, AttemptStage::Void(_)));
    assert_eq!(waits(&rig).reason, WaitingReason::SignerRefused);
    rig.after_secs(10);
    rig.see(head(0, 0));
    assert!(rig.signs.is_empty());
}

#[test]
fn a_payment_whose_intent_expired_gives_its_nonce_up_to_a_cancellation() {
    let mut rig = Rig::open();
    let mut withdrawal = withdrawal(1);
    withdrawal.intent.expires = rig.now.after_millis(60_000);
    rig.pay(withdrawal);
    rig.after_secs(200);
    rig.see(head(0, 0));
    let cancellation = rig.attempt(1);
    assert_eq!(cancellation.purpose, Purpose::Cancellation);
    assert_eq!(cancellation.request.replaces, [1]);
    // It is released by finality alone.
    rig.signer_signs();
    rig.node_takes();
    assert_eq!(rig.stage(1), Some(Stage::Broadcast));
    let mut seen = head(1, 1);
    seen.finalized = super::rig::block(7);
    rig.see(seen);
    let mined = rig.mined(AttemptNumber(1), 7);
    rig.found(vec![(
        AttemptNumber(1),
        crate::evidence::Evidence::Found(mined),
    )]);
    assert_eq!(rig.returned, [FIRST]);
    assert!(rig.store.withdrawals.is_empty());
}

#[test]
fn what_expired_waits_for_its_user() {
    let mut rig = Rig::open();
    let mut withdrawal = withdrawal(1);
    withdrawal.intent.expires = rig.now;
    rig.queue(vec![withdrawal]);
    assert!(rig.store.attempts.is_empty());
    assert_eq!(waits(&rig).reason, WaitingReason::Expired);
    let never = Time::from_millis(u64::MAX);
    assert_eq!(rig.known.get(&FIRST).unwrap().not_before, never);
}

#[test]
fn what_the_address_cannot_pay_waits_for_funds() {
    let mut rig = Rig::open();
    let mut seen = head(0, 0);
    let each = 21_000 * 21 * GWEI;
    seen.balance = Amount::from(2 * each + 2_003);
    rig.see(seen);
    rig.queue((1..=3).map(withdrawal).collect());
    rig.signer_signs();
    // The second is counted although no node knows the first yet.
    assert_eq!(rig.stage(2), Some(Stage::Assigned));
    rig.signer_signs();
    assert_eq!(rig.stage(3), None);
    let third = rig.known.get(&WithdrawalNumber(3)).unwrap();
    assert_eq!(third.waiting.as_ref().unwrap().reason, WaitingReason::Funds);
}

#[test]
fn what_the_address_lacks_of_a_token_waits_for_funds() {
    let mut rig = Rig::open();
    let mut seen = head(0, 0);
    seen.tokens
        .insert(super::rig::token(), Amount::from(1_000_u64));
    rig.see(seen);
    rig.queue(vec![of_token(1)]);
    assert_eq!(waits(&rig).reason, WaitingReason::Funds);
}

#[test]
fn gas_is_estimated_and_has_a_margin() {
    let mut rig = Rig::open();
    rig.queue(vec![of_token(1)]);
    assert!(rig.store.attempts.is_empty());
    assert!(
        rig.asked
            .iter()
            .any(|asked| matches!(asked, Question::Gas(wanted) if wanted.len() == 1))
    );
    rig.event(Event::Answered(Answer::Gas(vec![(FIRST, Ok(40_000))])));
    let FeeTerms::Evm { gas_limit, .. } = rig.attempt(0).fee_terms else {
        panic!("it is an EVM attempt");
    };
    assert_eq!(gas_limit, 50_000);
}

#[test]
fn what_a_node_would_not_execute_is_not_built() {
    let mut rig = Rig::open();
    rig.queue(vec![of_token(1)]);
    let reverted = NodeError::Refused {
        code: 3,
        message: "execution reverted".into(),
    };
    rig.event(Event::Answered(Answer::Gas(vec![(FIRST, Err(reverted))])));
    assert_eq!(waits(&rig).reason, WaitingReason::Unbuildable);
    assert!(waits(&rig).detail.contains("execution reverted"));
}

#[test]
fn a_plain_destination_is_asked_about_once() {
    let mut config = config();
    config.native_gas_limit = None;
    let mut rig = Rig::open_with(config);
    rig.queue(vec![withdrawal(1)]);
    rig.event(Event::Answered(Answer::Gas(vec![(FIRST, Ok(21_000))])));
    rig.signer_signs();
    rig.asked.clear();
    rig.queue(vec![withdrawal(2)]);
    assert_eq!(rig.stage(2), Some(Stage::Assigned));
    assert!(
        !rig.asked
            .iter()
            .any(|asked| matches!(asked, Question::Gas(_)))
    );
}

#[test]
fn one_that_waits_for_an_estimate_does_not_hold_up_the_others() {
    let mut rig = Rig::open();
    rig.queue(vec![of_token(1), withdrawal(2)]);
    assert_eq!(rig.stage(1), None);
    assert_eq!(rig.stage(2), Some(Stage::Assigned));
}

#[test]
fn without_nodes_withdrawals_go_back_and_say_why() {
    let mut rig = Rig::open();
    rig.now = rig.now.after_millis(60_000);
    rig.queue(vec![withdrawal(1)]);
    let unknown = Unknown::NoAnswer {
        detail: "node: it timed out".into(),
    };
    rig.event(Event::Answered(Answer::Head(Err(unknown.clone()))));
    rig.event(Event::Answered(Answer::Market(Err(unknown))));
    assert_eq!(waits(&rig).reason, WaitingReason::NodeUnavailable);
    assert!(waits(&rig).detail.contains("it timed out"));
    assert_eq!(rig.returned, [FIRST]);
    assert!(
        !rig.changes()
            .any(|change| matches!(change, Change::Assign(_)))
    );
}
