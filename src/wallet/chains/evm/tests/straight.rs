//! A payout without trouble, and many of them.

use super::rig::{Rig, block, head, withdrawal};
use crate::{
    attempt::{AttemptNumber, AttemptStage},
    change::Change,
    evidence::Evidence,
    lane::Lane,
    withdrawal::Stage,
};

#[test]
fn a_payout_is_assigned_signed_sent_included_and_final() {
    let mut rig = Rig::open();
    assert!(rig.wanted > 0);
    rig.queue(vec![withdrawal(1)]);
    assert_eq!(rig.stage(1), Some(Stage::Assigned));
    assert!(rig.sends.is_empty());
    let number = rig.signer_signs();
    assert_eq!(rig.stage(1), Some(Stage::Signed));
    rig.node_takes();
    assert_eq!(rig.stage(1), Some(Stage::Broadcast));

    rig.after_secs(3);
    rig.see(head(1, 0));
    assert_eq!(rig.sought(), [number]);
    rig.found(vec![(number, Evidence::Found(rig.mined(number, 7)))]);
    assert_eq!(rig.stage(1), Some(Stage::Included));

    rig.after_secs(3);
    let mut later = head(1, 1);
    later.finalized = block(7);
    rig.see(later);
    rig.found(vec![(number, Evidence::Found(rig.mined(number, 7)))]);
    assert_eq!(rig.stage(1), None);
    let is_final = |change: &Change| matches!(change, Change::Final { attempt, tip, .. } if *attempt == number && *tip == block(7));
    assert!(rig.changes().any(is_final));
    assert_eq!(rig.lane.view(), &rig.store);
}

#[test]
fn the_next_payout_is_assigned_with_the_signature_of_the_one_before() {
    let mut rig = Rig::open();
    rig.queue((1..=10).map(withdrawal).collect());
    let before = rig.commits.len();
    for nonce in 0..10 {
        assert_eq!(rig.signs.len(), 1);
        rig.signer_signs();
        rig.node_takes();
        let anchor = &rig.attempt(nonce).anchor;
        assert!(anchor.to_string().ends_with(&format!(":{nonce}")));
    }
    let commits = rig.commits.get(before..).unwrap();
    let signed = commits.iter().filter(|commit| {
        commit
            .iter()
            .any(|change| matches!(change, Change::Signed { .. }))
    });
    assert_eq!(signed.count(), 10);
    // What the nodes took rides along; only the last has nothing to ride with.
    assert_eq!(commits.len(), 11);
    assert_eq!(rig.store.row.next_nonce, 10);
}

#[test]
fn one_attempt_is_unsigned_at_a_time() {
    let mut rig = Rig::open();
    rig.queue((1..=3).map(withdrawal).collect());
    assert_eq!(rig.store.attempts.len(), 1);
    rig.signer_signs();
    assert_eq!(rig.store.attempts.len(), 2);
    let unsigned = rig.store.unsigned().count();
    assert_eq!(unsigned, 1);
}

#[test]
fn no_more_are_in_flight_than_configured() {
    let mut config = super::rig::config();
    config.in_flight_max = 3;
    let mut rig = Rig::open_with(config);
    rig.queue((1..=5).map(withdrawal).collect());
    for _ in 0..3 {
        rig.signer_signs();
    }
    assert!(rig.signs.is_empty());
    rig.after_secs(3);
    rig.see(head(1, 0));
    let first = AttemptNumber(0);
    rig.found(vec![(first, Evidence::Found(rig.mined(first, 7)))]);
    assert!(matches!(rig.attempt(0).stage, AttemptStage::Included(_)));
    assert_eq!(rig.signs.len(), 1);
}
