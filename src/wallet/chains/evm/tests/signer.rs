//! What the signer's answers do to a nonce.

use api::signing::{RequestAnswer, RequestStatus};

use tx::Time;

use super::rig::{Rig, pending, refused, row, sender, unknown, withdrawal};
use crate::{
    attempt::{AttemptNumber, AttemptStage, Purpose},
    chains::evm::{build::Plan, fees::Caps},
    change::{Change, Gate},
    evidence::VoidCertificate,
    lane::{Event, Lane},
    signer::SignOutcome,
    withdrawal::{Stage, WaitingReason, WithdrawalNumber},
};

const FIRST: WithdrawalNumber = WithdrawalNumber(1);

/// The signer refuses what it is asked, as often as it is asked.
fn refuse_times(rig: &mut Rig, times: usize) {
    for _ in 0..times {
        rig.after_secs(60);
        rig.signer_says(refused("limit"));
    }
}

#[test]
fn a_clean_refusal_releases_the_nonce_and_the_withdrawal() {
    let mut rig = Rig::open();
    rig.queue(vec![withdrawal(1), withdrawal(2)]);
    rig.signer_says(refused("limit"));
    let known = rig.known.get(&FIRST).unwrap();
    let waiting = known.waiting.as_ref().unwrap();
    assert_eq!(waiting.reason, WaitingReason::SignerRefused);
    assert_eq!(waiting.reasons.first().unwrap().code, "limit");
    assert_eq!(known.not_before.millis_since(rig.now), 5_000);
    assert_eq!(rig.returned, [FIRST]);
    // The next one takes the same nonce, in the same commit.
    assert_eq!(rig.stage(1), None);
    assert_eq!(rig.stage(2), Some(Stage::Assigned));
    assert_eq!(
        rig.attempt(1).anchor.to_string().rsplit(':').next(),
        Some("0")
    );
    assert_eq!(rig.commits.last().unwrap().len(), 3);
}

#[test]
fn needs_are_awaited_without_a_nonce() {
    let mut rig = Rig::open();
    rig.queue(vec![withdrawal(1)]);
    rig.signer_says(pending());
    let waiting = rig.known.get(&FIRST).unwrap().waiting.clone().unwrap();
    assert_eq!(waiting.reason, WaitingReason::SignerNeeds);
    assert_eq!(waiting.needs.first().unwrap().people, ["ann", "bob"]);
    assert!(rig.store.attempts.is_empty());
    assert_eq!(rig.store.row.next_nonce, 0);
}

#[test]
fn who_waits_longer_is_tried_less_often() {
    let mut rig = Rig::open();
    rig.queue(vec![withdrawal(1)]);
    for wait in [5, 10, 20, 40] {
        rig.signer_says(pending());
        let known = rig.known.get(&FIRST).unwrap().clone();
        let waited = known.not_before.millis_since(rig.now);
        assert!(waited >= wait * 500, "{waited}");
        rig.after_secs(waited / 1_000);
        rig.see(super::rig::head(0, 0));
        rig.queue(vec![known]);
    }
    rig.signer_says(pending());
    let known = rig.known.get(&FIRST).unwrap();
    assert!(known.not_before.millis_since(rig.now) >= 35_000);
}

#[test]
fn a_signer_that_is_away_is_asked_again_and_keeps_the_nonce() {
    let mut rig = Rig::open();
    rig.queue(vec![withdrawal(1)]);
    let (number, request) = rig.signs.front().cloned().unwrap();
    rig.signer_says(SignOutcome::NotNow {
        sealed: true,
        detail: "it is sealed".into(),
    });
    let waiting = rig.store.withdrawals.get(&FIRST).unwrap().waiting.clone();
    assert_eq!(waiting.unwrap().reason, WaitingReason::SignerSealed);
    assert!(rig.signs.is_empty());
    rig.after_secs(1);
    assert_eq!(rig.signs.front(), Some(&(number, request)));
    rig.signer_signs();
    let known = rig.store.withdrawals.get(&FIRST).unwrap();
    assert_eq!((known.stage, &known.waiting), (Stage::Signed, &None));
}

#[test]
fn an_unknown_answer_is_asked_for_again_with_the_same_request() {
    let mut rig = Rig::open();
    rig.queue(vec![withdrawal(1), withdrawal(2)]);
    let asked = rig.signs.front().cloned();
    for _ in 0..5 {
        rig.signer_says(unknown());
        assert_eq!(rig.stage(1), Some(Stage::Assigned));
        rig.after_secs(60);
        assert_eq!(rig.signs.front().cloned(), asked);
    }
    let waiting = rig.store.withdrawals.get(&FIRST).unwrap().waiting.clone();
    assert_eq!(waiting.unwrap().reason, WaitingReason::SignerUnknown);
    rig.see(super::rig::head(0, 0));
    rig.signer_signs();
    assert_eq!(rig.stage(1), Some(Stage::Signed));
    assert_eq!(rig.stage(2), Some(Stage::Assigned));
}

#[test]
fn a_refusal_after_an_unknown_answer_voids_nothing() {
    let mut rig = Rig::open();
    rig.queue(vec![withdrawal(1)]);
    rig.signer_says(unknown());
    refuse_times(&mut rig, 2);
    assert_eq!(rig.stage(1), Some(Stage::Assigned));
    assert!(
        !rig.changes()
            .any(|change| matches!(change, Change::Void { .. }))
    );
}

#[test]
fn a_refusal_after_a_restart_voids_nothing() {
    let mut rig = Rig::open();
    rig.queue(vec![withdrawal(1)]);
    rig.restart();
    refuse_times(&mut rig, 2);
    assert_eq!(rig.stage(1), Some(Stage::Assigned));
}

/// A doubtful attempt that was refused three times, and the cancellation that fills its nonce.
fn doubtful() -> Rig {
    let mut rig = Rig::open();
    rig.queue(vec![withdrawal(1)]);
    rig.signer_says(unknown());
    refuse_times(&mut rig, 2);
    rig.see(super::rig::head(0, 0));
    refuse_times(&mut rig, 1);
    rig.see(super::rig::head(0, 0));
    let cancellation = rig.attempt(1);
    assert_eq!(cancellation.purpose, Purpose::Cancellation);
    assert_eq!(cancellation.anchor, rig.attempt(0).anchor);
    assert!(cancellation.request.replaces.is_empty());
    assert!(cancellation.request.intents.is_empty());
    rig
}

#[test]
fn a_doubtful_attempt_that_is_refused_three_times_is_cancelled() {
    let mut rig = doubtful();
    rig.signs.retain(|(number, _)| *number == AttemptNumber(1));
    rig.signer_signs();
    let void = VoidCertificate::Displaced { attempt: 1 };
    assert_eq!(rig.attempt(0).stage, AttemptStage::Void(void));
    assert_eq!(rig.attempt(1).stage, AttemptStage::Signed);
    assert_eq!(rig.store.row.next_nonce, 1);
    // The withdrawal is paid anew when the cancellation is final, not before.
    assert_eq!(rig.stage(1), Some(Stage::Assigned));
}

#[test]
fn a_cancellation_refused_as_an_undeclared_conflict_shows_that_the_other_was_signed() {
    let mut rig = doubtful();
    rig.signs.retain(|(number, _)| *number == AttemptNumber(1));
    rig.signer_says(refused("undeclared-conflict"));
    assert!(matches!(
        rig.attempt(1).stage,
        AttemptStage::Void(VoidCertificate::Refused { .. })
    ));
    // The other one is asked for, and about.
    assert_eq!(rig.inquired, [AttemptNumber(0)]);
    rig.after_secs(60);
    assert_eq!(rig.signs.front().unwrap().0, AttemptNumber(0));
    rig.signer_signs();
    assert_eq!(rig.stage(1), Some(Stage::Signed));
}

#[test]
fn a_cancellation_declares_what_the_signer_has_authorised_and_not_signed() {
    let mut rig = doubtful();
    rig.signs.retain(|(number, _)| *number == AttemptNumber(1));
    rig.signer_says(refused("undeclared-conflict"));
    let known = RequestAnswer {
        request_id: rig.attempt(0).request.request_id.clone(),
        attempt: 77,
        status: RequestStatus::Committed,
        lane_epoch: 1,
        conflict_keys: Vec::new(),
        transaction: None,
        receipt: None,
        unsigned: None,
    };
    rig.event(Event::Inquired(AttemptNumber(0), Ok(Some(Box::new(known)))));
    for _ in 0..3 {
        rig.after_secs(60);
        rig.see(super::rig::head(0, 0));
        rig.signs.retain(|(number, _)| *number == AttemptNumber(0));
        rig.signer_says(refused("limit"));
    }
    rig.see(super::rig::head(0, 0));
    assert_eq!(rig.attempt(2).request.replaces, [77]);
    rig.signs.retain(|(number, _)| *number == AttemptNumber(2));
    rig.signer_signs();
    // It was authorised: only the chain says that it is dead.
    assert_eq!(rig.attempt(0).stage, AttemptStage::Reserved);
}

#[test]
fn of_two_over_one_nonce_the_signed_one_voids_the_other() {
    let mut rig = doubtful();
    rig.signs.retain(|(number, _)| *number == AttemptNumber(0));
    rig.after_secs(60);
    while rig.signs.front().unwrap().0 != AttemptNumber(0) {
        rig.signs.pop_front();
    }
    rig.signer_signs();
    assert_eq!(rig.stage(1), Some(Stage::Signed));
    let void = VoidCertificate::Displaced { attempt: 1 };
    assert_eq!(rig.attempt(1).stage, AttemptStage::Void(void));
}

#[test]
fn a_contradiction_halts_the_lane() {
    let mut rig = Rig::open();
    rig.queue(vec![withdrawal(1), withdrawal(2)]);
    rig.signer_says(SignOutcome::Contradiction {
        detail: "the id was used with another content".into(),
    });
    assert!(matches!(rig.lane.view().row.gate, Gate::Halted { .. }));
    rig.after_secs(600);
    rig.see(super::rig::head(0, 0));
    assert!(rig.signs.is_empty());
    assert_eq!(rig.store.attempts.len(), 1);
    assert!(rig.returned.contains(&WithdrawalNumber(2)));
    let waiting = rig.store.withdrawals.get(&FIRST).unwrap().waiting.clone();
    assert_eq!(waiting.unwrap().reason, WaitingReason::LaneClosed);
}

#[test]
fn a_late_answer_about_what_is_over_is_ignored() {
    let mut rig = Rig::open();
    rig.queue(vec![withdrawal(1)]);
    let (number, request) = rig.signs.front().cloned().unwrap();
    rig.signer_says(pending());
    let answer = super::rig::answer(&request, 9);
    rig.event(Event::Signer(number, SignOutcome::Signed(answer)));
    assert!(rig.store.attempts.is_empty());
    assert_eq!(rig.store.row.next_nonce, 0);
}

#[test]
fn what_is_replaced_is_named_in_the_journal_s_order() {
    let plan = Plan {
        number: AttemptNumber(3),
        set: AttemptNumber(0),
        nonce: 0,
        gas_limit: 21_000,
        caps: Caps {
            max_fee: 2,
            priority_fee: 1,
        },
        pays: None,
        replaces: vec![9, 4, 9],
        at: Time::default(),
    };
    let attempt = plan.attempt(&row(), &sender()).unwrap();
    assert_eq!(attempt.request.replaces, [4, 9]);
}
