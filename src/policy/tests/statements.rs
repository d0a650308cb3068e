//! Every reason that a statement gives, by name, and what statements do together.

use strongroom_policy::{
    Allow, Deny, Entry, Evacuate, FreezeScope, Group, Measure, Need, Policy, ReasonCode, Require,
    Selector, To, Verdict,
};
use tx::{AccountClass, Amount, EffectKind, Interval, Time};

use crate::{
    fixture::{
        Ask, BTC, DAY, ETH, SECOND, START, Signer, amount, book, btc, effects, eth, grouped, limit,
        name, names, need, own, policy, statement, stranger,
    },
    reasons::{only, pay},
};

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
        assert!(!signer.state.is_frozen(before).unwrap());
        signer.push(Entry::Frozen {
            scope,
            reason: "drill".into(),
        });
        assert!(
            signer.state.is_frozen(before).unwrap(),
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

#[test]
fn hours_give_only_where_they_are_sure() {
    let hours = |except: bool, selector: Selector| {
        let named = Some(names(["first-day"]));
        match except {
            true => Selector {
                hours_except: named,
                ..selector
            },
            false => Selector {
                hours: named,
                ..selector
            },
        }
    };
    let payment = || effects(&[EffectKind::Payment]);
    // At first it is within the hours; then nobody knows; then it is not.
    for (lo, hi, surely, possibly) in [
        (0, 0, true, true),
        (0, 5, false, true),
        (5, 5, false, false),
    ] {
        let codes = |policy: Policy| {
            let mut signer = Signer::new(policy);
            signer.now.lo = signer.now.lo.after_millis(lo * 60 * SECOND);
            signer.now.hi = signer.now.hi.after_millis(hi * 60 * SECOND);
            match signer.evaluate(&Ask::utxo("a", [1], 1).pay("i", 5, 1)) {
                Verdict::Refuse(refusal) => refusal.reasons[0].code.into(),
                Verdict::Pending(_) => None,
                Verdict::Permit(_) => Some(ReasonCode::Limit),
            }
        };
        const PERMITTED: Option<ReasonCode> = Some(ReasonCode::Limit);
        let allowed = |except: bool| {
            let mut policy = policy();
            policy.allows = vec![
                statement("fees", effects(&[EffectKind::Fee]), Allow),
                statement("pay", hours(except, payment()), Allow),
            ];
            codes(policy) == PERMITTED
        };
        assert_eq!((allowed(false), allowed(true)), (surely, !possibly));
        let denied = |except: bool| {
            let mut policy = policy();
            policy.denies = vec![statement("no", hours(except, payment()), Deny)];
            codes(policy) == Some(ReasonCode::Denied)
        };
        assert_eq!((denied(false), denied(true)), (possibly, !surely));
        let waits = |except: bool| {
            let mut policy = policy();
            let need = need(1, &["alice"]);
            policy.requires = vec![statement("ask", hours(except, payment()), Require { need })];
            codes(policy).is_none()
        };
        assert_eq!((waits(false), waits(true)), (possibly, !surely));
    }
}

#[test]
fn what_is_allowed_at_another_hour_says_at_which() {
    let mut policy = policy();
    let selector = Selector {
        hours_except: Some(names(["first-day"])),
        ..effects(&[EffectKind::Payment])
    };
    policy.allows = vec![
        statement("fees", effects(&[EffectKind::Fee]), Allow),
        statement("later", selector, Allow),
    ];
    let signer = Signer::new(policy);
    let reasons = signer.reasons(&Ask::utxo("a", [1], 1).pay("i", 5, 1));
    assert_eq!(reasons[0].remedy, "ask in the hours of later");
}
