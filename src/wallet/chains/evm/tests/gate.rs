//! What must agree before anything new is begun.

use super::rig::{Rig, config, head, refused, row, unknown, withdrawal};
use crate::chains::evm::Answer;
use crate::{
    attempt::{AttemptNumber, AttemptStage, Purpose},
    change::{Adopt, Change, Gate},
    evidence::Unknown,
    lane::{Event, Lane, LaneView},
    signer::Comparison,
    withdrawal::{Stage, WithdrawalNumber},
};

fn comparison(next_nonce: u64) -> Comparison {
    Comparison {
        to: Some(5),
        unknown: Vec::new(),
        epoch: 1,
        next_nonce: Some(next_nonce),
    }
}

fn detail(rig: &Rig) -> String {
    match &rig.lane.view().row.gate {
        Gate::Closed { detail } | Gate::Halted { detail } => detail.clone(),
        Gate::Open => String::new(),
    }
}

fn begun() -> Rig {
    let mut rig = Rig::loaded(LaneView::new(row()), config());
    rig.event(Event::Started);
    rig
}

#[test]
fn nothing_is_begun_before_signer_and_chain_agree() {
    let mut rig = begun();
    assert_eq!(rig.compares, 1);
    rig.queue(vec![withdrawal(1)]);
    assert_eq!(rig.returned, [WithdrawalNumber(1)]);
    rig.see(head(0, 0));
    assert!(detail(&rig).contains("signer"), "{}", detail(&rig));
    rig.event(Event::Compared(Ok(comparison(0))));
    assert_eq!(rig.store.row.gate, Gate::Open);
    assert_eq!(rig.store.row.compared_to, Some(5));
    assert!(rig.wanted > 0);
}

#[test]
fn a_signer_that_cannot_be_asked_keeps_it_closed() {
    let mut rig = begun();
    rig.see(head(0, 0));
    rig.event(Event::Compared(Err("it is sealed".into())));
    assert!(detail(&rig).contains("it is sealed"));
    assert_eq!(rig.wanted, 0);
    rig.after_secs(60);
    assert_eq!(rig.compares, 2);
}

#[test]
fn a_chain_that_cannot_be_seen_keeps_it_closed() {
    let mut rig = begun();
    rig.event(Event::Compared(Ok(comparison(0))));
    let unknown = Unknown::NoAnswer {
        detail: "node: it timed out".into(),
    };
    rig.event(Event::Answered(Answer::Head(Err(unknown))));
    assert!(detail(&rig).contains("it timed out"), "{}", detail(&rig));
}

#[test]
fn a_chain_beyond_the_store_keeps_it_closed() {
    let mut rig = begun();
    rig.event(Event::Compared(Ok(comparison(0))));
    let mut seen = head(0, 0);
    // One node is enough for staying closed.
    seen.nonce_most = 2;
    rig.see(seen);
    assert!(matches!(rig.store.row.gate, Gate::Closed { .. }));
    rig.after_secs(3);
    rig.see(head(0, 0));
    assert_eq!(rig.store.row.gate, Gate::Open);
}

#[test]
fn another_next_nonce_at_the_signer_halts_the_lane() {
    let mut rig = begun();
    rig.see(head(0, 0));
    rig.event(Event::Compared(Ok(comparison(3))));
    assert!(matches!(rig.store.row.gate, Gate::Halted { .. }));
    assert!(detail(&rig).contains('3'));
}

#[test]
fn an_epoch_that_the_signer_would_not_take_halts_the_lane() {
    let mut view = LaneView::new(row());
    view.row.epoch = 9;
    let mut rig = Rig::loaded(view, config());
    rig.event(Event::Started);
    rig.event(Event::Compared(Ok(comparison(0))));
    assert!(matches!(rig.store.row.gate, Gate::Halted { .. }));
}

#[test]
fn an_outstanding_attempt_is_asked_for_before_the_gate_opens() {
    let mut rig = Rig::open();
    rig.queue(vec![withdrawal(1)]);
    rig.signer_says(unknown());
    rig.restart();
    assert_eq!(rig.signs.len(), 1);
    // The signer has signed it, and counts on.
    rig.compared(1);
    rig.see(head(0, 0));
    assert!(matches!(rig.store.row.gate, Gate::Closed { .. }));
    rig.signer_signs();
    // What was compared before says nothing now.
    assert!(matches!(rig.store.row.gate, Gate::Closed { .. }));
    assert_eq!(rig.compares, 2);
    rig.compared(1);
    assert_eq!(rig.store.row.gate, Gate::Open);
    assert_eq!(rig.stage(1), Some(Stage::Signed));
}

#[test]
fn what_is_signed_behind_an_open_gate_is_compared_by_that() {
    let mut rig = Rig::open();
    rig.pay(withdrawal(1));
    assert_eq!(rig.store.row.compared_to, Some(1));
    // Behind a closed one, the journal below may hold what is not known here.
    rig.queue(vec![withdrawal(2)]);
    rig.signer_says(unknown());
    rig.restart();
    rig.signer_signs();
    assert_eq!(rig.stage(2), Some(Stage::Signed));
    assert!(matches!(rig.store.row.gate, Gate::Closed { .. }));
    assert_eq!(rig.store.row.compared_to, Some(1));
}

#[test]
fn stored_bytes_are_given_away_behind_a_closed_gate() {
    let mut rig = Rig::open();
    rig.queue(vec![withdrawal(1)]);
    rig.signer_signs();
    rig.restart();
    assert_eq!(rig.sends.len(), 1);
    rig.node_takes();
    assert_eq!(rig.stage(1), Some(Stage::Broadcast));
    assert!(matches!(rig.store.row.gate, Gate::Closed { .. }));
}

#[test]
fn what_the_signer_signed_and_the_store_does_not_know_is_adopted() {
    // Another store, of which this one is an old copy, went on to sign.
    let mut newer = Rig::open();
    newer.queue(vec![withdrawal(1)]);
    newer.signer_signs();
    let mut attempt = newer.attempt(0).clone();
    attempt.purpose = Purpose::Recovered;
    attempt.pays = Vec::new();
    let intents = vec![withdrawal(1).intent];

    let mut rig = begun();
    rig.see(head(0, 0));
    let adopt = Adopt { attempt, intents };
    let seen = Comparison {
        unknown: vec![adopt.clone()],
        ..comparison(1)
    };
    // The store numbers the withdrawals, and the lane is loaded again.
    let effects = rig.lane.handle(Event::Compared(Ok(seen)), rig.now);
    let adopted = effects.iter().any(|effect| {
        matches!(effect, crate::lane::Effect::Commit(changes)
        if changes.contains(&Change::Adopt(Box::new(adopt.clone()))))
    });
    assert!(adopted);
    assert!(!effects.iter().any(
        |effect| matches!(effect, crate::lane::Effect::Commit(changes)
        if changes.contains(&Change::Gate(Gate::Open)))
    ));
}

#[test]
fn a_halted_lane_stays_halted_and_begins_nothing() {
    let mut view = LaneView::new(row());
    view.row.gate = Gate::Halted {
        detail: "a person is to look".into(),
    };
    let mut rig = Rig::loaded(view, config());
    rig.event(Event::Started);
    rig.see(head(0, 0));
    rig.queue(vec![withdrawal(1)]);
    assert_eq!(rig.compares, 0);
    assert_eq!(rig.wanted, 0);
    assert!(rig.commits.is_empty());
    assert_eq!(rig.returned, [WithdrawalNumber(1)]);
}

#[test]
fn a_commit_that_failed_loses_nothing() {
    let mut rig = Rig::open();
    rig.queue(vec![withdrawal(1), withdrawal(2)]);
    rig.commits_fail = true;
    let (number, request) = rig.signs.pop_front().unwrap();
    let signed = super::rig::answer(&request, 1);
    let outcome = crate::signer::SignOutcome::Signed(signed);
    let effects = rig.lane.handle(Event::Signer(number, outcome), rig.now);
    assert!(
        effects
            .iter()
            .any(|effect| matches!(effect, crate::lane::Effect::Commit(_)))
    );
    assert!(
        !effects
            .iter()
            .any(|effect| matches!(effect, crate::lane::Effect::Send(..)))
    );
    rig.commits_fail = false;
    // One of the queue may have made it fail: they go back.
    rig.event(Event::CommitFailed);
    assert_eq!(rig.returned, [WithdrawalNumber(2)]);
    assert!(matches!(rig.attempt(0).stage, AttemptStage::Signed));
    assert_eq!(
        rig.sends.front().map(|(number, _)| *number),
        Some(AttemptNumber(0))
    );
}

#[test]
fn a_refusal_whose_commit_failed_is_committed_later() {
    let mut rig = Rig::open();
    rig.queue(vec![withdrawal(1)]);
    let (number, _) = rig.signs.pop_front().unwrap();
    let refusal = Event::Signer(number, refused("limit"));
    let effects = rig.lane.handle(refusal, rig.now);
    assert!(
        effects
            .iter()
            .any(|effect| matches!(effect, crate::lane::Effect::Commit(_)))
    );
    rig.event(Event::CommitFailed);
    assert!(rig.store.attempts.is_empty());
    assert!(rig.signs.is_empty());
}
