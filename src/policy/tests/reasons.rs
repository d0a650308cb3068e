//! Every reason that hangs on the request, by name; those of statements are in `statements`.

use std::collections::BTreeSet;

use strongroom_policy::{ReasonCode, State, Verdict};
use tx::{AccountClass, EffectKind, FeeTerms, Time, ValidUntil};

use crate::fixture::{
    Ask, BTC, DAY, ETH, START, Signer, amount, eth, name, names, own, policy, stranger,
};

pub fn only(code: ReasonCode) -> BTreeSet<ReasonCode> {
    [code].into()
}

pub fn pay() -> Ask {
    Ask::utxo("r", [0], 1_000).pay("i", 5, 1)
}

fn send(nonce: u64) -> Ask {
    Ask::evm("r", nonce, 100).pay("i", 5, 1)
}

#[test]
fn nothing_is_refused_for_no_reason() {
    let signer = Signer::new(policy());
    let permit = signer.permit(&pay()).unwrap();
    let attempt = permit.attempt();
    assert_eq!(attempt.set, None);
    assert_eq!(attempt.allowed_by, names(["everything"]));
    assert_eq!(attempt.calls.len(), 1);
    assert_eq!(attempt.calls[0].call, signer.state.next_call());
    assert_eq!(attempt.lane, "bitcoin:regtest:hot");
    assert_eq!(permit.allowed_by().len(), 2);
    let permit = signer.permit(&send(0)).unwrap();
    assert_eq!(permit.attempt().lane, own("k1", ETH).qualified());
}

#[test]
fn without_a_policy_nothing_is_granted() {
    let mut signer = Signer::new(policy());
    signer.state = strongroom_policy::State::new();
    assert_eq!(signer.codes(&pay()), only(ReasonCode::AccountNotGranted));
}

#[test]
fn account_not_granted() {
    let signer = Signer::new(policy());
    let stranger = pay().client("nobody");
    assert!(
        signer
            .codes(&stranger)
            .contains(&ReasonCode::AccountNotGranted)
    );
    let mut narrow = policy();
    narrow.clients.get_mut(&name("walletd")).unwrap().accounts = names(["hot2"]);
    assert_eq!(
        Signer::new(narrow).codes(&pay()),
        only(ReasonCode::AccountNotGranted)
    );
    let mut elsewhere = policy();
    elsewhere.accounts.get_mut(&name("hot")).unwrap().chains = [ETH].into();
    // What is paid from an account that another is decoded for is asked for as well.
    let codes = Signer::new(elsewhere).codes(&pay());
    assert_eq!(codes, only(ReasonCode::AccountNotGranted));
}

#[test]
fn every_debited_account_has_to_be_granted() {
    let mut narrow = policy();
    narrow.clients.get_mut(&name("walletd")).unwrap().accounts = names(["hot"]);
    let mut ask = send(0);
    ask.transaction.effects[0].account = name("hot2");
    assert_eq!(
        Signer::new(narrow).codes(&ask),
        only(ReasonCode::AccountNotGranted)
    );
}

#[test]
fn registry_moved() {
    let signer = Signer::new(policy());
    let mut foreign_key = pay();
    foreign_key.transaction.signings[0].key = name("k3");
    assert_eq!(signer.codes(&foreign_key), only(ReasonCode::Transaction));
    // "Change" to what is not ours.
    let to = (stranger(BTC, 9), Some(("hot", AccountClass::Hot)));
    let spoofed = pay().effect(EffectKind::Change, 5, Some(to));
    assert_eq!(signer.codes(&spoofed), only(ReasonCode::Transaction));
    assert!(
        signer.reasons(&spoofed)[0]
            .detail
            .starts_with("registry-moved")
    );
    let unknown = Ask::utxo("r", [0], 1_000).from("hot", "k9").pay("i", 5, 1);
    assert_eq!(signer.codes(&unknown), only(ReasonCode::Transaction));
}

#[test]
fn request_reused() {
    let mut signer = Signer::new(policy());
    signer.charged(&pay());
    let other = Ask::utxo("r", [1], 1_000).pay("j", 5, 1).rehashed(1);
    assert_eq!(signer.codes(&other), only(ReasonCode::RequestReused));
    // The id is the client's own.
    assert!(signer.permit(&other.client("other")).is_ok());
    // Only what takes the attempt up again is in its conflict set without saying so.
    let same_coin = Ask::utxo("r", [0], 1_000).pay("j", 5, 1).rehashed(1);
    let all = [
        ReasonCode::RequestReused,
        ReasonCode::UndeclaredConflict,
        ReasonCode::ReplacementFee,
    ];
    assert_eq!(signer.codes(&same_coin), all.into());
}

#[test]
fn intent_mismatch() {
    let signer = Signer::new(policy());
    let tweaks: [fn(&mut tx::Intent); 4] = [
        |intent| intent.amount = amount(4),
        |intent| intent.destination = stranger(BTC, 2),
        |intent| intent.asset = eth(),
        |intent| intent.tag = Some("7".into()),
    ];
    for tweak in tweaks {
        let mut ask = pay();
        tweak(&mut ask.request.intents[0].intent);
        assert_eq!(signer.codes(&ask), only(ReasonCode::IntentMismatch));
        assert_eq!(
            signer.reasons(&ask).len(),
            2,
            "one that is not asked, one that is not paid"
        );
    }
    let own = Some((own("k3", BTC), Some(("hot2", AccountClass::Hot))));
    let moved = pay().effect(EffectKind::OwnTransfer, 5, own);
    assert_eq!(
        signer.codes(&moved),
        only(ReasonCode::Edge),
        "own transfers need no intent"
    );
}

#[test]
fn intent_reused() {
    let mut signer = Signer::new(policy());
    signer.charged(&pay());
    let other = Ask::utxo("s", [1], 1_000).pay("i", 6, 1);
    assert_eq!(signer.codes(&other), only(ReasonCode::IntentReused));
}

#[test]
fn intent_closed() {
    let mut signer = Signer::new(policy());
    let mut ask = pay();
    let expires = Time::from_millis(START + DAY);
    ask.request.intents[0].intent.expires = expires;
    signer.now.hi = expires;
    assert!(signer.permit(&ask).is_ok());
    // What expires hangs on `hi`, however far `lo` is behind.
    signer.now.hi = expires.after_millis(1);
    assert_eq!(signer.codes(&ask), only(ReasonCode::IntentClosed));
}

#[test]
fn intent_epoch() {
    let signer = Signer::new(policy());
    let first = State::EPOCH_FIRST;
    assert_eq!(signer.state.epoch(), first);
    for epoch in [0, first + 1, u64::MAX] {
        let mut ask = pay();
        ask.request.intents[0].intent.epoch = epoch;
        assert_eq!(signer.codes(&ask), only(ReasonCode::IntentEpoch));
    }
}

#[test]
fn intent_unsigned() {
    let mut signed = policy();
    let key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl";
    signed.sources.get_mut(&name("payouts")).unwrap().signers = [key.to_owned()].into();
    let signer = Signer::new(signed);
    assert_eq!(signer.codes(&pay()), only(ReasonCode::IntentUnsigned));
}

#[test]
fn intent_source() {
    let mut closed = policy();
    closed.sources.get_mut(&name("payouts")).unwrap().clients = names(["other"]);
    let signer = Signer::new(closed);
    assert_eq!(signer.codes(&pay()), only(ReasonCode::IntentSource));
    assert!(signer.permit(&pay().client("other")).is_ok());
}

#[test]
fn intent_fee() {
    let signer = Signer::new(policy());
    let mut ask = Ask::utxo("r", [0], 1_000).pay("i", 5, 1).pay("j", 5, 1);
    ask.request.intents[0].intent.max_fee = amount(400);
    ask.request.intents[1].intent.max_fee = amount(600);
    assert!(signer.permit(&ask).is_ok(), "the intents' fees add up");
    ask.request.intents[1].intent.max_fee = amount(599);
    assert_eq!(signer.codes(&ask), only(ReasonCode::IntentFee));
}

#[test]
fn undeclared_conflict_with_every_one() {
    let mut signer = Signer::new(policy());
    let a = signer.charged(&Ask::utxo("a", [0], 1_000).pay("a", 1, 1));
    let b = signer.charged(&Ask::utxo("b", [1], 1_000).pay("b", 1, 1));
    let both = Ask::utxo("c", [0, 1], 5_000).pay("c", 1, 1);
    for (declared, missing) in [(vec![], 2), (vec![a], 1), (vec![b], 1), (vec![a, b], 0)] {
        match signer.evaluate(&both.clone().replaces(declared)) {
            Verdict::Refuse(refusal) => assert_eq!(refusal.reasons.len(), missing),
            verdict => assert!(matches!(verdict, Verdict::Permit(_)) && missing == 0),
        }
    }
}

#[test]
fn replacement_fee_utxo() {
    let mut signer = Signer::new(policy());
    let a = signer.charged(&Ask::utxo("a", [0], 1_000).pay("a", 1, 1));
    let b = signer.charged(&Ask::utxo("b", [1], 3_000).pay("b", 1, 1));
    // 1 sat for each of its own 100 vbyte above each of them.
    let replace = |fee| Ask::utxo("c", [0, 1], fee).pay("c", 1, 1).replaces([a, b]);
    assert_eq!(
        signer.codes(&replace(3_099)),
        only(ReasonCode::ReplacementFee)
    );
    assert!(signer.permit(&replace(3_100)).is_ok());
}

#[test]
fn replacement_fee_evm() {
    let mut signer = Signer::new(policy());
    let first = signer.charged(&Ask::evm("a", 0, 101).pay("a", 1, 1));
    let replace = |fee: u64, tip: u64| {
        let mut ask = Ask::evm("b", 0, fee).pay("b", 1, 1).replaces([first]);
        ask.transaction.fee_terms = FeeTerms::Evm {
            max_fee_per_gas: amount(fee),
            max_priority_fee_per_gas: amount(tip),
            gas_limit: 1,
        };
        ask
    };
    // ⌈1.1 × 101⌉ = 112, of both.
    for (fee, tip) in [(111, 112), (112, 111), (101, 101)] {
        assert_eq!(
            signer.codes(&replace(fee, tip)),
            only(ReasonCode::ReplacementFee)
        );
    }
    assert!(signer.permit(&replace(112, 112)).is_ok());
}

/// "Stockpiling" of the attack corpus, and gaps.
#[test]
fn sequence() {
    let mut bounded = policy();
    bounded.chains.get_mut(&ETH).unwrap().max_ahead = 3;
    let start = bounded.sequences.get_mut(&(name("k1"), ETH)).unwrap();
    (start.next, start.finalized) = (7, 6);
    let mut signer = Signer::new(bounded);
    assert_eq!(
        signer.codes(&send(6)),
        only(ReasonCode::Sequence),
        "before the start"
    );
    assert_eq!(signer.codes(&send(8)), only(ReasonCode::Sequence), "a gap");
    for nonce in [7, 8] {
        let id = format!("r{nonce}");
        let ask = Ask::evm(&id, nonce, 100).pay(&id, 5, 1);
        signer.charged(&ask);
    }
    assert_eq!(
        signer.codes(&send(9)),
        only(ReasonCode::Sequence),
        "3 beyond the final one"
    );
    assert_eq!(
        signer.codes(&Ask::evm("s", 0, 9).from("hot", "k5").pay("i", 5, 1)),
        [ReasonCode::Sequence, ReasonCode::Transaction,].into()
    );
}

#[test]
fn a_sequence_without_a_start_is_refused() {
    let mut startless = policy();
    startless.sequences.clear();
    assert_eq!(
        Signer::new(startless).codes(&send(0)),
        only(ReasonCode::Sequence)
    );
}

#[test]
fn lane_epoch() {
    let mut signer = Signer::new(policy());
    assert_eq!(
        signer.codes(&pay().lane_epoch(2)),
        only(ReasonCode::LaneEpoch)
    );
    signer.charged(&pay().lane_epoch(1));
    let next = |epoch| Ask::utxo("s", [1], 1_000).pay("j", 5, 1).lane_epoch(epoch);
    assert_eq!(signer.codes(&next(0)), only(ReasonCode::LaneEpoch));
    assert_eq!(signer.codes(&next(3)), only(ReasonCode::LaneEpoch));
    for epoch in [1, 2] {
        assert!(signer.permit(&next(epoch)).is_ok());
    }
    // Another key of the account is another lane on an EVM chain.
    assert!(signer.permit(&Ask::evm("t", 0, 100).pay("k", 5, 1)).is_ok());
    let lane = "bitcoin:regtest:hot";
    assert_eq!(
        (signer.state.lane_epoch(lane), signer.state.lane_epoch("x")),
        (Some(1), None)
    );
}

#[test]
fn lives_too_long() {
    let signer = Signer::new(policy());
    let mut ask = Ask::keyless("r", signer.now.hi.after_millis(300_000)).pay("i", 5, 1);
    assert!(signer.permit(&ask).is_ok());
    ask.transaction.valid_until = ValidUntil::Time(signer.now.hi.after_millis(300_001));
    assert_eq!(signer.codes(&ask), only(ReasonCode::LivesTooLong));
    ask.transaction.valid_until = ValidUntil::Unbounded;
    assert_eq!(signer.codes(&ask), only(ReasonCode::LivesTooLong));
}

/// What is remembered of a key and of an intent is read whole, and has to end somewhere.
#[test]
fn a_thousand_attempts_are_enough() {
    let mut signer = Signer::new(policy());
    let ask = Ask::utxo("r", [0], 1_000).pay("i", 5, 1);
    for _ in 0..1_000 {
        signer.charged(&ask);
        signer.pass(61_000);
    }
    let other = Ask::utxo("other", [1], 1_000).pay("new", 5, 1);
    assert!(signer.permit(&other).is_ok());
    let code = ReasonCode::TooManyAttempts;
    assert_eq!(signer.codes(&ask), only(code));
    // The key with another intent, and the intent with another key.
    let of_key = Ask::utxo("key", [0], 1_000).pay("new", 5, 1);
    assert!(signer.codes(&of_key).contains(&code));
    let of_intent = Ask::utxo("intent", [1], 1_000).pay("i", 5, 1);
    assert!(signer.codes(&of_intent).contains(&code));
}
