//! What the chain shows, and what it does not prove.

use super::rig::{Rig, address, block, head, of_token, token, withdrawal};
use crate::{
    attempt::AttemptNumber,
    chains::evm::{Answer, Head, Question, Used},
    change::{Change, Gate},
    evidence::{Covered, Evidence, Unknown},
    lane::{Event, Lane, SendOutcome},
    nodes::EvmLog,
    settlement::Outcome,
    withdrawal::{Stage, WaitingReason, WithdrawalNumber},
};

const FIRST: WithdrawalNumber = WithdrawalNumber(1);
const ZERO: AttemptNumber = AttemptNumber(0);

fn nothing<T>() -> Evidence<T> {
    Evidence::Unknown(Unknown::Lagging {
        detail: "no receipt".into(),
    })
}

/// The sender's first `nonce` transactions are final, at this height.
pub(super) fn finalized(nonce: u64, height: u64) -> Head {
    Head {
        finalized: block(height),
        ..head(nonce, nonce)
    }
}

fn transfer_log(amount: u64) -> EvmLog {
    let word = |byte: u8| {
        let mut word = [0; 32];
        word[12..].fill(byte);
        word
    };
    let mut data = vec![0; 24];
    data.extend(amount.to_be_bytes());
    let signature = "ddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef";
    EvmLog {
        address: token(),
        topics: vec![
            hex::decode(signature).unwrap().try_into().unwrap(),
            word(0xaa),
            word(0xdd),
        ],
        data,
    }
}

/// A token's payout that is final with these logs.
fn token_with(logs: Vec<EvmLog>) -> Rig {
    let mut rig = Rig::open();
    rig.queue(vec![of_token(1)]);
    rig.event(Event::Answered(Answer::Gas(vec![(FIRST, Ok(50_000))])));
    rig.see(head(0, 0));
    rig.signer_signs();
    rig.node_takes();
    rig.after_secs(3);
    rig.see(finalized(1, 7));
    let mut mined = rig.mined(ZERO, 7);
    mined.logs = logs;
    rig.found(vec![(ZERO, Evidence::Found(mined))]);
    rig
}

#[test]
fn a_token_is_paid_only_with_its_own_log() {
    let rig = token_with(vec![transfer_log(1_001)]);
    assert!(
        rig.changes()
            .any(|change| matches!(change, Change::Final { .. }))
    );

    let mut other_contract = transfer_log(1_001);
    other_contract.address = address(0xce);
    let mut other_destination = transfer_log(1_001);
    other_destination.topics[2][31] = 0;
    let mut other_event = transfer_log(1_001);
    other_event.topics[0][0] = 0;
    for logs in [
        vec![],
        vec![transfer_log(1_000)],
        vec![other_contract],
        vec![other_destination],
        vec![other_event],
        vec![transfer_log(1_001), transfer_log(1_001)],
    ] {
        let rig = token_with(logs);
        assert!(
            !rig.changes()
                .any(|change| matches!(change, Change::Final { .. }))
        );
        assert!(matches!(rig.store.row.gate, Gate::Halted { .. }));
        assert_eq!(rig.stage(1), Some(Stage::Halted));
        assert_eq!(rig.attempt(0).stage.name(), "unproven");
    }
}

#[test]
fn what_its_token_did_not_log_waits_for_a_person() {
    let mut rig = token_with(vec![]);
    let told = rig.store.withdrawals.get(&FIRST).unwrap().waiting.clone();
    assert!(told.unwrap().detail.contains("say what came of it"));
    // It is looked for no more, and nothing over its nonce is sent or made.
    let asked = rig.asked.len();
    for seconds in [3, 600, 6_000] {
        rig.after_secs(seconds);
        rig.see(finalized(1, 8));
    }
    let find = |question: &&Question| matches!(question, Question::Find(_));
    assert_eq!(rig.asked.iter().skip(asked).filter(find).count(), 0);
    assert!(rig.sends.is_empty() && rig.signs.is_empty());
    // A late answer that shows something else of it is not believed.
    let mut elsewhere = rig.mined(ZERO, 9);
    elsewhere.succeeded = false;
    rig.found(vec![(ZERO, Evidence::Found(elsewhere))]);
    assert_eq!(rig.attempt(0).stage.name(), "unproven");
    // Opened before anybody said what came of it, the lane halts again.
    rig.store.row.gate = Gate::Closed {
        detail: "a person had it looked at".into(),
    };
    rig.restart();
    rig.compared(1);
    rig.see(finalized(1, 9));
    assert!(matches!(rig.store.row.gate, Gate::Halted { .. }));
    assert_eq!(rig.stage(1), Some(Stage::Halted));
}

#[test]
fn once_a_person_has_said_what_came_of_it_the_lane_opens() {
    let mut rig = token_with(vec![]);
    rig.person_says(ZERO, Outcome::Paid);
    rig.restart();
    rig.compared(1);
    rig.see(finalized(1, 9));
    assert_eq!(rig.store.row.gate, Gate::Open);
    assert_eq!(rig.stage(1), None);
    rig.pay(withdrawal(2));
    assert_eq!(rig.stage(2), Some(Stage::Broadcast));
}

#[test]
fn a_payout_that_failed_on_the_chain_is_paid_anew_later() {
    let mut rig = Rig::open();
    rig.pay(withdrawal(1));
    rig.see(finalized(1, 7));
    let mut mined = rig.mined(ZERO, 7);
    mined.succeeded = false;
    rig.found(vec![(ZERO, Evidence::Found(mined))]);
    assert!(
        rig.changes()
            .any(|change| matches!(change, Change::Failed { .. }))
    );
    assert_eq!(rig.returned, [FIRST]);
    let known = rig.known.get(&FIRST).unwrap();
    assert!(known.not_before > rig.now);
    assert!(known.waiting.is_some());
}

#[test]
fn what_is_not_finalized_is_not_final() {
    let mut rig = Rig::open();
    rig.pay(withdrawal(1));
    // Included above the finalized block; then finalized by height and not by nonce.
    for seen in [
        head(1, 0),
        Head {
            finalized: block(9),
            ..head(1, 0)
        },
    ] {
        rig.after_secs(3);
        rig.see(seen);
        rig.found(vec![(ZERO, Evidence::Found(rig_mined(&rig)))]);
    }
    assert_eq!(rig.stage(1), Some(Stage::Included));
    assert!(
        !rig.changes()
            .any(|change| matches!(change, Change::Final { .. }))
    );
}

fn rig_mined(rig: &Rig) -> crate::chains::evm::Mined {
    rig.mined(ZERO, 7)
}

#[test]
fn a_sighting_from_before_the_finalized_block_settles_nothing() {
    let mut rig = Rig::open();
    rig.pay(withdrawal(1));
    rig.see(head(1, 0));
    // The head moves on while the question is out: what was found is older than what is final.
    rig.see(finalized(1, 7));
    rig.found(vec![(ZERO, Evidence::Found(rig_mined(&rig)))]);
    assert_eq!(rig.stage(1), Some(Stage::Included));
    assert_eq!(rig.sought(), [ZERO]);
    rig.found(vec![(ZERO, Evidence::Found(rig_mined(&rig)))]);
    assert_eq!(rig.stage(1), None);
}

#[test]
fn a_block_that_left_the_chain_takes_the_inclusion_with_it() {
    let mut rig = Rig::open();
    rig.pay(withdrawal(1));
    rig.see(head(1, 0));
    rig.found(vec![(ZERO, Evidence::Found(rig_mined(&rig)))]);
    rig.after_secs(3);
    let mut next = head(1, 0);
    next.latest = block(150);
    rig.see(next);
    assert!(
        rig.asked.iter().any(
            |asked| matches!(asked, Question::StillThere(blocks) if blocks.contains(&block(7)))
        )
    );
    let gone = Evidence::Absent {
        covered: Covered { from: 7, to: 7 },
        tip: block(150),
    };
    rig.event(Event::Answered(Answer::StillThere(vec![(block(7), gone)])));
    assert_eq!(rig.stage(1), Some(Stage::Broadcast));
    assert!(
        rig.changes()
            .any(|change| matches!(change, Change::Excluded { .. }))
    );
    // In another block it is included again.
    rig.after_secs(3);
    let mut next = head(1, 0);
    next.latest = block(151);
    rig.see(next);
    rig.found(vec![(ZERO, Evidence::Found(rig.mined(ZERO, 8)))]);
    assert_eq!(rig.stage(1), Some(Stage::Included));
    assert_eq!(rig.lane.view(), &rig.store);
}

#[test]
fn what_left_its_block_is_given_to_nodes_at_once() {
    let mut rig = Rig::open();
    rig.pay(withdrawal(1));
    rig.see(head(1, 0));
    rig.found(vec![(ZERO, Evidence::Found(rig_mined(&rig)))]);
    assert_eq!(rig.stage(1), Some(Stage::Included));
    rig.after_secs(3);
    let mut next = head(0, 0);
    next.latest = block(150);
    rig.see(next);
    assert!(rig.sends.is_empty());
    let gone = Evidence::Absent {
        covered: Covered { from: 7, to: 7 },
        tip: block(150),
    };
    // At the same moment, however lately a node took it.
    rig.event(Event::Answered(Answer::StillThere(vec![(block(7), gone)])));
    assert_eq!(rig.stage(1), Some(Stage::Broadcast));
    assert_eq!(rig.node_takes(), ZERO);
    // And after that no more often than what was never included.
    for _ in 0..5 {
        rig.after_secs(3);
        rig.see(head(0, 0));
    }
    assert!(rig.sends.is_empty());
}

#[test]
fn a_missing_receipt_proves_nothing() {
    let mut rig = Rig::open();
    rig.pay(withdrawal(1));
    for _ in 0..10 {
        rig.after_secs(3);
        rig.see(finalized(1, 7));
        rig.found(vec![(ZERO, nothing())]);
        rig.event(Event::Answered(Answer::User {
            nonce: 0,
            user: nothing(),
        }));
    }
    assert_eq!(rig.stage(1), Some(Stage::Broadcast));
    assert_eq!(rig.store.attempts.len(), 1);
    assert_eq!(rig.store.row.gate, Gate::Open);
}

#[test]
fn a_nonce_that_one_of_ours_used_waits_for_its_receipt() {
    let mut rig = Rig::open();
    rig.pay(withdrawal(1));
    rig.see(finalized(1, 7));
    rig.found(vec![(ZERO, nothing())]);
    assert!(rig.asked.contains(&Question::User { nonce: 0 }));
    let used = Used {
        txid: rig.mined(ZERO, 7).inclusion.txid,
        block: block(7),
    };
    rig.event(Event::Answered(Answer::User {
        nonce: 0,
        user: Evidence::Found(used),
    }));
    assert_eq!(rig.store.row.gate, Gate::Open);
    rig.after_secs(3);
    rig.see(finalized(1, 7));
    rig.found(vec![(ZERO, Evidence::Found(rig_mined(&rig)))]);
    assert_eq!(rig.stage(1), None);
}

#[test]
fn a_late_answer_about_a_nonce_that_is_settled_halts_nothing() {
    let mut rig = Rig::open();
    rig.pay(withdrawal(1));
    rig.see(finalized(1, 7));
    rig.found(vec![(ZERO, nothing())]);
    assert!(rig.asked.contains(&Question::User { nonce: 0 }));
    let mined = rig.mined(ZERO, 7);
    let txid = mined.inclusion.txid.clone();
    rig.after_secs(3);
    rig.see(finalized(1, 8));
    rig.found(vec![(ZERO, Evidence::Found(mined))]);
    assert_eq!(rig.stage(1), None);
    let block = block(7);
    rig.event(Event::Answered(Answer::User {
        nonce: 0,
        user: Evidence::Found(Used { txid, block }),
    }));
    assert_eq!(rig.store.row.gate, Gate::Open);
}

#[test]
fn a_nonce_that_a_stranger_used_halts_the_lane() {
    let mut rig = Rig::open();
    rig.pay(withdrawal(1));
    rig.see(finalized(1, 7));
    rig.found(vec![(ZERO, nothing())]);
    let used = Used {
        txid: format!("0x{:064x}", 0xbad),
        block: block(7),
    };
    rig.event(Event::Answered(Answer::User {
        nonce: 0,
        user: Evidence::Found(used),
    }));
    assert!(matches!(rig.store.row.gate, Gate::Halted { .. }));
    assert_eq!(rig.stage(1), Some(Stage::Broadcast));
    let waiting = rig.store.withdrawals.get(&FIRST).unwrap().waiting.clone();
    assert_eq!(waiting.unwrap().reason, WaitingReason::LaneClosed);
    rig.queue(vec![withdrawal(2)]);
    assert!(rig.returned.contains(&WithdrawalNumber(2)));
    assert_eq!(rig.wanted, 0);
}

#[test]
fn a_nonce_that_was_never_given_away_and_is_used_halts_the_lane() {
    let mut rig = Rig::open();
    rig.after_secs(3);
    rig.see(finalized(1, 7));
    let used = Used {
        txid: format!("0x{:064x}", 0xbad),
        block: block(7),
    };
    assert!(rig.asked.contains(&Question::User { nonce: 0 }));
    rig.event(Event::Answered(Answer::User {
        nonce: 0,
        user: Evidence::Found(used),
    }));
    assert!(matches!(rig.store.row.gate, Gate::Halted { .. }));
}

#[test]
fn two_receipts_for_one_nonce_are_not_believed() {
    let mut rig = Rig::open();
    rig.pay(withdrawal(1));
    rig.after_secs(600);
    rig.see(head(0, 0));
    rig.signer_signs();
    assert_eq!(rig.attempt(1).set, ZERO);
    rig.see(finalized(1, 7));
    let found = [0, 1].map(|n| {
        let number = AttemptNumber(n);
        (number, Evidence::Found(rig.mined(number, 7)))
    });
    rig.found(found.to_vec());
    assert!(
        !rig.changes()
            .any(|change| matches!(change, Change::Final { .. } | Change::Included { .. }))
    );
}

#[test]
fn nodes_that_take_back_what_was_finalized_are_not_believed() {
    let mut rig = Rig::open();
    rig.pay(withdrawal(1));
    rig.see(finalized(1, 7));
    rig.event(Event::Answered(Answer::Head(Ok(head(0, 0)))));
    rig.after_secs(600);
    // Nothing is replaced by what a lagging node says.
    rig.event(Event::Answered(Answer::Head(Ok(head(0, 0)))));
    rig.see(head(0, 0));
    assert!(rig.signs.is_empty());
}

#[test]
fn nonce_too_low_is_no_success_and_no_failure() {
    let mut rig = Rig::open();
    rig.queue(vec![withdrawal(1)]);
    rig.signer_signs();
    rig.node_says(SendOutcome::Rejected {
        detail: "nonce too low".into(),
    });
    assert_eq!(rig.stage(1), Some(Stage::Signed));
    let waiting = rig.store.withdrawals.get(&FIRST).unwrap().waiting.clone();
    assert_eq!(waiting.unwrap().reason, WaitingReason::NodeUnavailable);
    // The same bytes are given again, and the chain is asked.
    rig.after_secs(3);
    assert_eq!(rig.sends.len(), 1);
    rig.see(head(1, 0));
    assert_eq!(rig.sought(), [ZERO]);
    rig.found(vec![(ZERO, Evidence::Found(rig_mined(&rig)))]);
    assert_eq!(rig.stage(1), Some(Stage::Included));
}

#[test]
fn an_error_on_sending_never_gives_the_payment_another_nonce() {
    let mut rig = Rig::open();
    rig.queue(vec![withdrawal(1)]);
    rig.signer_signs();
    for _ in 0..20 {
        rig.node_says(SendOutcome::Unknown {
            detail: "the connection was reset".into(),
        });
        rig.after_secs(60);
    }
    let anchors: std::collections::BTreeSet<_> = rig
        .store
        .attempts
        .values()
        .map(|attempt| attempt.anchor.clone())
        .collect();
    assert_eq!(anchors.len(), 1);
    assert_eq!(rig.stage(1), Some(Stage::Signed));
}

#[test]
fn what_is_in_no_block_is_given_again() {
    let mut rig = Rig::open();
    rig.pay(withdrawal(1));
    rig.after_secs(3);
    rig.see(head(0, 0));
    assert!(rig.sends.is_empty());
    rig.after_secs(60);
    assert_eq!(rig.sends.front().map(|(number, _)| *number), Some(ZERO));
    rig.node_takes();
    // At once after a restart.
    rig.restart();
    rig.see(head(0, 0));
    rig.after_secs(3);
    assert_eq!(rig.sends.len(), 1);
}

#[test]
fn the_final_one_of_a_set_buries_the_others() {
    let mut rig = Rig::open();
    rig.pay(withdrawal(1));
    rig.after_secs(600);
    rig.see(head(0, 0));
    let second = rig.signer_signs();
    rig.see(finalized(1, 7));
    assert_eq!(rig.sought(), [ZERO, second]);
    rig.found(vec![
        (ZERO, Evidence::Found(rig_mined(&rig))),
        (second, nothing()),
    ]);
    assert!(rig.store.attempts.is_empty());
    assert!(rig.store.withdrawals.is_empty());
    assert_eq!(rig.store.row.gate, Gate::Open);
}
