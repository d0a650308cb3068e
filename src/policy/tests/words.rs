//! What reasons say, word for word: people act on them.

use strongroom_policy::{
    Deny, Group, Limit, Measure, Policy, Reason, ReasonCode, Selector, SourceSelector, Statement,
};
use tx::{AccountClass, Argument, Asset, Call, Destination, EffectKind, Own, Time};

use crate::fixture::{
    Ask, BTC, DAY, START, Signer, amount, btc, effects, grouped, limit, name, policy, statement,
    stranger,
};

const KINDS: [(EffectKind, &str); 11] = [
    (EffectKind::Payment, "payment"),
    (EffectKind::OwnTransfer, "own transfer"),
    (EffectKind::Change, "change"),
    (EffectKind::Fee, "fee"),
    (EffectKind::Cancellation, "cancellation"),
    (EffectKind::Call, "call"),
    (EffectKind::Approval, "approval"),
    (EffectKind::Authority, "change of authority"),
    (EffectKind::Data, "data"),
    (EffectKind::Rent, "rent"),
    (EffectKind::Reissue, "re-issue"),
];

fn denying(selector: Selector) -> Signer {
    let denies = vec![statement("no", selector, Deny)];
    Signer::new(Policy { denies, ..policy() })
}

/// The reasons of this code.
fn reasons(signer: &Signer, ask: &Ask, code: ReasonCode) -> Vec<Reason> {
    let reasons = signer.reasons(ask).into_iter();
    reasons.filter(|reason| reason.code == code).collect()
}

/// What is said of the one effect of this kind that is denied.
fn denied(signer: &Signer, ask: &Ask) -> String {
    let [reason] = &reasons(signer, ask, ReasonCode::Denied)[..] else {
        panic!("one reason");
    };
    assert_eq!(reason.statement, Some(name("no")));
    let at = signer.state.policy().unwrap().denies[0].at.clone();
    assert_eq!(reason.at, Some(at));
    reason.detail.clone()
}

#[test]
fn every_kind_of_effect_is_described() {
    let to = stranger(BTC, 1);
    for (kind, word) in KINDS {
        let amounts = Selector {
            amount_max: Some(amount(5)),
            ..effects(&[kind])
        };
        let ask = Ask::utxo("r", [0], 1_000).effect(kind, 5, Some((to.clone(), None)));
        let said = denied(&denying(amounts), &ask);
        let toward = match kind {
            EffectKind::Approval => "for the spender",
            _ => "to",
        };
        let wanted = format!("it is denied: {word} of 5 {} from hot {toward} {to}", btc());
        assert_eq!(said, wanted);
    }
}

#[test]
fn a_destination_is_described_with_its_account_and_its_tag() {
    let to = stranger(BTC, 200);
    let signer = denying(effects(&[EffectKind::OwnTransfer]));
    let own = Some((to.clone(), Some(("cold", AccountClass::Cold))));
    let mut ask = Ask::utxo("r", [0], 1_000).effect(EffectKind::OwnTransfer, 5, own);
    ask.transaction.effects[0].tag = Some("77".into());
    let wanted = format!(
        "it is denied: own transfer of 5 {} from hot to {to} (own account cold) with tag 77",
        btc()
    );
    assert_eq!(denied(&signer, &ask), wanted);
}

#[test]
fn a_call_is_described_up_to_600_characters() {
    let signer = denying(effects(&[EffectKind::Call]));
    let to = stranger(BTC, 1);
    let called = |length: usize| {
        let own = Some((to.clone(), None));
        let mut ask = Ask::utxo("r", [0], 1_000).effect(EffectKind::Call, 0, own);
        let call = Call {
            function: name("put"),
            signature: "put(string)".into(),
            arguments: vec![Argument {
                name: "what".into(),
                value: "x".repeat(length - "put put(string) with what = ".len()),
                own: None,
            }],
        };
        assert_eq!(call.to_string().len(), length);
        let text = call.to_string();
        ask.transaction.effects[0].call = Some(call.into());
        let said = denied(&signer, &ask);
        let (before, said) = said.split_once(": put").unwrap();
        assert!(before.ends_with(&to.to_string()), "{before}");
        (format!("put{said}"), text)
    };
    let (said, text) = called(600);
    assert_eq!(said, text);
    let (said, text) = called(601);
    assert_eq!(said, format!("{}...", text.get(..600).unwrap()));
}

#[test]
fn payments_and_intents_that_do_not_meet_are_described() {
    let signer = Signer::new(policy());
    let asked = Ask::utxo("r", [0], 1_000);
    let mut intent = asked.intent("i", 6, 2);
    intent.tag = Some("77".into());
    let reasons = reasons(
        &signer,
        &asked.payment(5, 1).bring(intent),
        ReasonCode::IntentMismatch,
    );
    let details: Vec<_> = reasons
        .iter()
        .map(|reason| reason.detail.as_str())
        .collect();
    let (paid, wanted) = (stranger(BTC, 1), stranger(BTC, 2));
    let wanted = [
        format!("no intent asks for 1 of: payment of 5 {} to {paid}", btc()),
        format!(
            "the transaction does not make 1 of: payment of 6 {} to {wanted} with tag 77",
            btc()
        ),
    ];
    assert_eq!(details, wanted);
}

/// What is not asked for has no source: statements about the source of the others do not speak of it.
#[test]
fn what_nobody_asked_for_has_no_source() {
    let of = |source: SourceSelector| {
        let selector = Selector {
            sources: Some([source].into()),
            amount_max: Some(amount(9)),
            ..effects(&[EffectKind::Payment])
        };
        let ask = Ask::utxo("r", [0], 1_000).pay("i", 50, 1).payment(9, 2);
        reasons(&denying(selector), &ask, ReasonCode::Denied).len()
    };
    assert_eq!(of(SourceSelector::Named(name("payouts"))), 0);
    assert_eq!(of(SourceSelector::None), 1);
}

/// An own transfer that is asked for belongs to its intent; a fee never does.
#[test]
fn an_own_transfer_belongs_to_the_intent_that_asks_for_it() {
    let to = stranger(BTC, 200);
    let own = Destination {
        address: to.clone(),
        own: Some(Own {
            account: name("cold"),
            class: AccountClass::Cold,
        }),
    };
    let mut ask = Ask::utxo("r", [0], 1_000).effect(EffectKind::OwnTransfer, 5, Some((to, None)));
    ask.transaction.effects[0].to = Some(own);
    let intent = ask.intent("i", 5, 200);
    let ask = ask.bring(intent);
    let facts = Signer::new(policy()).permit(&ask).unwrap().into_attempt();
    let of = |kind| {
        let mut facts = facts.facts.iter().filter(|fact| fact.effect.kind == kind);
        facts.next().unwrap().intent.clone()
    };
    let intent = ask.request.intents[0].intent.id.clone();
    assert_eq!(of(EffectKind::OwnTransfer), Some(intent));
    assert_eq!(of(EffectKind::Fee), None);
}

/// What a full limit says, and what to do.
fn full(limit: Statement<Limit>, before: u64, asked: u64) -> (String, String) {
    let limits = vec![limit];
    let mut signer = Signer::new(Policy { limits, ..policy() });
    signer.charged(&Ask::utxo("before", [0], 1_000).pay("b", before, 1));
    let ask = Ask::utxo("r", [1], 1_000).pay("i", asked, 1);
    let [reason] = &reasons(&signer, &ask, ReasonCode::Limit)[..] else {
        panic!("one limit");
    };
    (reason.detail.clone(), reason.remedy.clone())
}

#[test]
fn a_full_limit_says_how_full_and_until_when() {
    let daily = || grouped(limit("daily", btc(), 9, DAY), &[Group::Account]);
    let btc: Asset = btc();
    let back = Time::from_millis(START + DAY);
    for asked in [5, 9] {
        let (detail, remedy) = full(daily(), 5, asked);
        let wanted = format!(
            "limit daily (account hot) has a cap of 9 {btc}, 5 {btc} used, {asked} {btc} asked"
        );
        assert_eq!(detail, wanted);
        assert!(remedy.starts_with("there is room for it from "), "{remedy}");
        let day = back.to_string();
        let (day, _) = day.split_once('T').unwrap();
        assert!(remedy.contains(day), "{remedy}: {back}");
    }
    let (_, remedy) = full(daily(), 5, 10);
    assert_eq!(remedy, format!("ask for at most 9 {btc}"));
    let mut any = limit("any", btc.clone(), 9, DAY);
    any.selector.assets = None;
    let (detail, _) = full(any, 5, 5);
    assert_eq!(detail, "limit any has a cap of 9, 5 used, 5 asked");
    let mut count = limit("count", btc, 1, DAY);
    count.says.measure = Measure::Count;
    let (detail, _) = full(count, 5, 5);
    assert_eq!(
        detail,
        "limit count has a cap of 1 effects, 1 effects used, 1 effects asked"
    );
}
