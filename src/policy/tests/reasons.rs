//! Every reason, by name.

use std::collections::BTreeSet;

use strongroom_policy::{
    Allow, Deny, Entry, Evacuate, FreezeScope, Group, Measure, Need, Policy, ReasonCode, Require,
    Selector, To, Verdict,
};
use tx::{AccountClass, Amount, EffectKind, FeeTerms, Interval, Time, ValidUntil};

use crate::fixture::{
    Ask, BTC, DAY, ETH, START, Signer, amount, book, btc, effects, eth, grouped, limit, name,
    names, need, own, policy, statement, stranger,
};

fn only(code: ReasonCode) -> BTreeSet<ReasonCode> {
    [code].into()
}

fn pay() -> Ask {
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

#[test]
fn uncovered() {
    let mut listed = policy();
    listed
        .books
        .insert(name("vendors"), book([stranger(BTC, 1)]));
    let to_vendors = Selector {
        to: Some([To::Book(name("vendors"))].into()),
        amount_max: Some(amount(5)),
        ..effects(&[EffectKind::Payment])
    };
    let fees = Selector {
        fee_rate_max: Some(amount(10)),
        ..effects(&[EffectKind::Fee])
    };
    listed.allows = vec![
        statement("vendors", to_vendors, Allow),
        statement("fees", fees, Allow),
    ];
    let signer = Signer::new(listed);
    assert!(signer.permit(&pay()).is_ok());
    let elsewhere = Ask::utxo("r", [0], 1_000).pay("i", 5, 2);
    let more = Ask::utxo("r", [0], 1_000).pay("i", 6, 1);
    let dear = Ask::utxo("r", [0], 1_001).pay("i", 5, 1);
    for ask in [elsewhere, more, dear] {
        assert_eq!(signer.codes(&ask), only(ReasonCode::Uncovered));
    }
}

#[test]
fn denied() {
    let mut denying = policy();
    let to = Selector {
        to: Some([To::Address(stranger(BTC, 1))].into()),
        ..Selector::default()
    };
    denying.denies = vec![statement("blocked", to, Deny)];
    let signer = Signer::new(denying);
    assert_eq!(signer.codes(&pay()), only(ReasonCode::Denied));
    assert_eq!(signer.reasons(&pay())[0].statement, Some(name("blocked")));
    assert!(
        signer
            .permit(&Ask::utxo("r", [0], 1_000).pay("i", 5, 2))
            .is_ok()
    );
}

#[test]
fn edge() {
    let signer = Signer::new(policy());
    let transfer = |to, account, class| {
        let ask = Ask::utxo("r", [0], 1_000);
        ask.effect(
            EffectKind::OwnTransfer,
            5,
            Some((to, Some((account, class)))),
        )
    };
    assert!(
        signer
            .permit(&transfer(stranger(BTC, 200), "cold", AccountClass::Cold))
            .is_ok()
    );
    let hot = transfer(own("k3", BTC), "hot2", AccountClass::Hot);
    assert_eq!(signer.codes(&hot), only(ReasonCode::Edge));
    let mut laundering = policy();
    laundering
        .edges
        .insert((AccountClass::Hot, AccountClass::Retired));
    let signer = Signer::new(laundering);
    let retired = transfer(own("k4", BTC), "old", AccountClass::Retired);
    assert_eq!(
        signer.codes(&retired),
        only(ReasonCode::Edge),
        "listed, and never all the same"
    );
    let change = Ask::utxo("r", [0], 1_000).from("old", "k4").effect(
        EffectKind::Change,
        5,
        Some((own("k4", BTC), Some(("old", AccountClass::Retired)))),
    );
    assert_eq!(signer.codes(&change), only(ReasonCode::Edge));
}

#[test]
fn change_is_covered_and_counted() {
    let mut counting = policy();
    counting.allows = vec![statement("fees", effects(&[EffectKind::Fee]), Allow)];
    let mut change = limit("change", btc(), 5, DAY);
    change.selector.effects = Some([EffectKind::Change].into());
    counting.limits = vec![change];
    let signer = Signer::new(counting);
    let change = |units| {
        let to = (own("k2", BTC), Some(("hot", AccountClass::Hot)));
        Ask::utxo("r", [0], 1_000).effect(EffectKind::Change, units, Some(to))
    };
    assert!(signer.permit(&change(5)).is_ok());
    assert_eq!(signer.codes(&change(6)), only(ReasonCode::Limit));
}

#[test]
fn limit_says_what_is_used_and_when_room_returns() {
    let limits = vec![grouped(
        limit("daily", btc(), 10, DAY),
        &[Group::Destination],
    )];
    let mut signer = Signer::new(Policy { limits, ..policy() });
    let permit = signer
        .permit(&Ask::utxo("a", [0], 1_000).pay("a", 4, 1))
        .unwrap();
    assert_eq!(permit.room()[0].used, amount(4));
    signer.charged(&Ask::utxo("a", [0], 1_000).pay("a", 4, 1));
    signer.pass(1_000);
    signer.charged(&Ask::utxo("b", [1], 1_000).pay("b", 4, 1));
    let ask = |units| Ask::utxo("c", [2], 1_000).pay("c", units, 1);
    assert!(signer.permit(&ask(2)).is_ok());
    assert_eq!(signer.codes(&ask(3)), only(ReasonCode::Limit));
    let reason = signer.reasons(&ask(3)).remove(0);
    assert_eq!(reason.statement, Some(name("daily")));
    for part in [
        "cap of 10 ",
        "8 bitcoin:regtest/native used",
        "3 bitcoin:regtest/native asked",
    ] {
        assert!(reason.detail.contains(part), "{}", reason.detail);
    }
    let returns = |units: u64| signer.reasons(&ask(units)).remove(0).remedy;
    let first = Time::from_millis(START + DAY).to_string();
    let second = Time::from_millis(START + 1_000 + DAY).to_string();
    assert!(returns(3).contains(&first) && returns(6).contains(&first));
    assert!(returns(7).contains(&second));
    assert_eq!(returns(11), "ask for at most 10 bitcoin:regtest/native");
    // It is as it says.
    signer.pass(DAY - 1_001);
    assert_eq!(signer.codes(&ask(6)), only(ReasonCode::Limit));
    signer.pass(1);
    assert!(signer.permit(&ask(6)).is_ok());
}

#[test]
fn overflow() {
    let mut counting = policy();
    counting.limits = vec![limit("all", btc(), 10, DAY)];
    counting.limits[0].says.cap = Amount::MAX;
    let mut signer = Signer::new(counting);
    let huge = |id: &str, input, units| {
        let mut ask = Ask::utxo(id, [input], 1_000).pay(id, 1, 1);
        ask.transaction.effects[0].amount = units;
        ask.request.intents[0].intent.amount = units;
        ask
    };
    signer.charged(&huge("a", 0, Amount::MAX));
    assert_eq!(
        signer.codes(&huge("b", 1, amount(1))),
        only(ReasonCode::Overflow)
    );
    // In the window's place it fits again.
    signer.pass(DAY);
    assert!(signer.permit(&huge("b", 1, Amount::MAX)).is_ok());
    let mut fees = Ask::utxo("r", [2], 1_000).pay("i", 5, 1);
    fees.request.intents[0].intent.max_fee = Amount::MAX;
    let mut fees = fees.pay("j", 5, 1);
    fees.request.intents[1].intent.max_fee = Amount::MAX;
    assert_eq!(signer.codes(&fees), only(ReasonCode::Overflow));
}

#[test]
fn frozen() {
    let scopes = [
        FreezeScope::All,
        FreezeScope::Account(name("hot")),
        FreezeScope::Chain(BTC),
        FreezeScope::Key(name("k1")),
    ];
    for scope in scopes {
        let mut signer = Signer::new(policy());
        let before = signer.charged(&Ask::utxo("a", [3], 1_000).pay("a", 1, 1));
        assert!(!signer.state.is_frozen(before));
        signer.push(Entry::Frozen {
            scope,
            reason: "drill".into(),
        });
        assert!(
            signer.state.is_frozen(before),
            "charged before, not released after"
        );
        assert_eq!(signer.codes(&pay()), only(ReasonCode::Frozen));
    }
    for scope in [
        FreezeScope::Account(name("hot2")),
        FreezeScope::Chain(ETH),
        FreezeScope::Key(name("k2")),
    ] {
        let mut signer = Signer::new(policy());
        signer.push(Entry::Frozen {
            scope,
            reason: "drill".into(),
        });
        assert!(signer.permit(&pay()).is_ok());
    }
}

#[test]
fn under_a_freeze_an_evacuation_asks_for_its_people() {
    let mut prepared = policy();
    let to_cold = Selector {
        to: Some([To::OwnClass(AccountClass::Cold)].into()),
        ..effects(&[EffectKind::OwnTransfer])
    };
    let evacuate = |n: u32| Evacuate {
        need: need(n, &["alice", "bob"]),
    };
    prepared.evacuates = vec![
        statement("cold", to_cold, evacuate(2)),
        statement("fees", effects(&[EffectKind::Fee]), evacuate(1)),
    ];
    let mut signer = Signer::new(prepared);
    signer.push(Entry::Frozen {
        scope: FreezeScope::All,
        reason: "drill".into(),
    });
    let to = (stranger(BTC, 200), Some(("cold", AccountClass::Cold)));
    let out = Ask::utxo("r", [0], 1_000).effect(EffectKind::OwnTransfer, 5, Some(to));
    let Verdict::Refuse(refusal) = signer.evaluate(&out) else {
        panic!("not refused");
    };
    let asked: Vec<&str> = refusal
        .needs
        .iter()
        .map(|need| need.statement.as_str())
        .collect();
    assert_eq!(asked, ["cold", "fees"]);
    assert_eq!(signer.codes(&out), only(ReasonCode::Frozen));
}

#[test]
fn cancellation_is_built_in() {
    let mut bare = policy();
    bare.allows.clear();
    let cancel = |nonce| {
        let to = (own("k1", ETH), Some(("hot", AccountClass::Hot)));
        Ask::evm("c", nonce, 200).effect(EffectKind::Cancellation, 0, Some(to))
    };
    let signer = Signer::new(bare.clone());
    let permit = signer.permit(&cancel(0)).unwrap();
    assert!(permit.attempt().allowed_by.is_empty());
    assert_eq!(signer.codes(&cancel(1)), only(ReasonCode::Sequence));
    // With anything beside it, it is not one.
    let more = cancel(0).pay("i", 1, 1);
    assert_eq!(signer.codes(&more), only(ReasonCode::Uncovered));
    // Denies and limits speak.
    let mut fees = limit("fees", eth(), 199, DAY);
    fees.selector.effects = Some([EffectKind::Fee].into());
    bare.limits = vec![fees];
    bare.denies = vec![statement("no", effects(&[EffectKind::Cancellation]), Deny)];
    assert_eq!(
        Signer::new(bare).codes(&cancel(0)),
        [ReasonCode::Denied, ReasonCode::Limit].into()
    );
}

#[test]
fn requirements_and_attended_limits_wait_for_people() {
    let people: Need = need(1, &["alice"]);
    let mut attended = limit("attended", btc(), 4, DAY);
    attended.says.over = Some(people.clone());
    let big = Selector {
        amount_over: Some(amount(4)),
        ..effects(&[EffectKind::Payment])
    };
    let mut asking = policy();
    asking.limits = vec![attended];
    asking.requires = vec![statement("big", big, Require { need: people })];
    let signer = Signer::new(asking.clone());
    assert!(
        signer
            .permit(&Ask::utxo("r", [0], 1_000).pay("i", 4, 1))
            .is_ok()
    );
    let Verdict::Pending(needs) = signer.evaluate(&pay()) else {
        panic!("not pending");
    };
    let asked: Vec<&str> = needs.iter().map(|need| need.statement.as_str()).collect();
    assert_eq!(asked, ["attended", "big"]);
    // A need of nobody is no way around people.
    asking.requires[0].says.need = need(0, &[]);
    assert!(matches!(
        Signer::new(asking).evaluate(&pay()),
        Verdict::Pending(_)
    ));
}

/// "Splitting" of the attack corpus: what is too small to ask people for is counted all the same.
#[test]
fn splitting() {
    let big = Selector {
        amount_over: Some(amount(10)),
        ..effects(&[EffectKind::Payment])
    };
    let mut asking = policy();
    asking.requires = vec![statement(
        "big",
        big,
        Require {
            need: need(1, &["alice"]),
        },
    )];
    asking.limits = vec![limit("unattended", btc(), 30, DAY)];
    let mut signer = Signer::new(asking);
    let paid = (0..20).filter(|n: &u32| {
        let id = format!("r{n}");
        let ask = Ask::utxo(&id, [*n], 1_000).pay(&id, 10, *n as u8);
        signer.charge(&ask).is_ok()
    });
    assert_eq!(paid.count(), 3);
    // In one transaction as well.
    let batch = (0..4).fold(Ask::utxo("b", [50], 1_000), |ask, n| {
        ask.pay(&format!("b{n}"), 10, n)
    });
    assert_eq!(signer.codes(&batch), only(ReasonCode::Limit));
}

/// "Limit race" of the attack corpus: requests at the limit less a little, each on the state that
/// holds the ones before it.
#[test]
fn limit_race() {
    let mut counting = policy();
    counting.limits = vec![limit("daily", btc(), 1_000, DAY)];
    let mut signer = Signer::new(counting);
    let asks: Vec<Ask> = (0..200)
        .map(|n| Ask::utxo(&format!("r{n}"), [n], 1_000).pay(&format!("i{n}"), 999, 1))
        .collect();
    assert!(
        asks.iter().all(|ask| signer.permit(ask).is_ok()),
        "each alone has room"
    );
    assert_eq!(
        asks.iter().filter(|ask| signer.charge(ask).is_ok()).count(),
        1
    );
}

#[test]
fn counts_are_limited_too() {
    let mut counting = policy();
    let mut two = limit("two", btc(), 2, DAY);
    two.says.measure = Measure::Count;
    counting.limits = vec![two];
    let signer = Signer::new(counting);
    let batch = |n: u8| {
        (0..n).fold(Ask::utxo("r", [0], 1_000), |ask, i| {
            ask.pay(&i.to_string(), 1, i)
        })
    };
    assert!(signer.permit(&batch(2)).is_ok());
    assert_eq!(signer.codes(&batch(3)), only(ReasonCode::Limit));
}

/// Everything that speaks is said, whatever else speaks.
#[test]
fn all_reasons_at_once() {
    let mut strict = policy();
    strict.limits = vec![limit("daily", btc(), 1, DAY)];
    strict.denies = vec![statement("no", effects(&[EffectKind::Payment]), Deny)];
    strict.allows.clear();
    let mut signer = Signer::new(strict);
    signer.push(Entry::Frozen {
        scope: FreezeScope::All,
        reason: "drill".into(),
    });
    signer.now = Interval {
        lo: signer.now.lo,
        hi: Time::from_millis(START + 2_000 * DAY),
    };
    let ask = pay().lane_epoch(9).client("nobody").payment(3, 3);
    let expected = [
        ReasonCode::AccountNotGranted,
        ReasonCode::IntentMismatch,
        ReasonCode::IntentClosed,
        ReasonCode::IntentSource,
        ReasonCode::LaneEpoch,
        ReasonCode::Uncovered,
        ReasonCode::Denied,
        ReasonCode::Limit,
        ReasonCode::Frozen,
    ];
    assert_eq!(signer.codes(&ask), expected.into());
    let reasons = signer.reasons(&ask);
    assert!(reasons.is_sorted() && reasons.iter().all(|r| !r.remedy.is_empty()));
}
