//! The needs that an intent may wait for, as far as the intent alone says, or a transaction: nothing that may ask is
//! left out, and nothing is asked for that cannot be.

use std::collections::BTreeSet;

use strongroom_policy::{
    Addresses, ArgumentCondition, AskedBy, Book, BookApart, Evacuate, Need, Policy, Require,
    Selector, SourceSelector, To,
};
use tx::{AccountClass, Chain, EffectKind, Intent};

use crate::{
    fixture::{
        Ask, BTC, DAY, ETH, SECOND, Signer, amount, book, btc, effects, eth, limit, name, need,
        own, policy, statement, stranger,
    },
    transactions::{call, calling, contract, id_of_stake, two},
};

fn ann() -> Need {
    need(1, &["ann"])
}

/// Pays five units to the first stranger, with a tag and a fee of up to nine.
fn paid() -> Intent {
    Intent {
        tag: Some("7".into()),
        max_fee: amount(9),
        ..Ask::utxo("asked", [0], 1).intent("i", 5, 1)
    }
}

/// Two books, one of which is loaded apart and known to hold nothing; the destination is in the other.
fn with_books() -> Policy {
    let mut policy = policy();
    policy.books.insert(name("b0"), book([stranger(BTC, 1)]));
    policy.books.insert(name("b1"), apart(BTC));
    policy
}

fn apart(chain: Chain) -> Book {
    let apart = BookApart {
        chain,
        threshold: 1,
        signers: [name("kim")].into(),
        cooling_millis: 0,
    };
    Book {
        addresses: Addresses::default(),
        apart: Some(apart),
    }
}

/// Whether a requirement of what is selected so may ask for people before the intent is paid.
fn may_ask(selector: Selector, intent: &Intent) -> bool {
    let mut policy = with_books();
    policy.requires = vec![statement("asks", selector, Require { need: ann() })];
    let found = Signer::new(policy).state.requirements(intent);
    let asked_by = found.into_values().flat_map(|found| found.asked_by);
    let asked_by: Vec<AskedBy> = asked_by.collect();
    assert!(
        asked_by.is_empty() || asked_by == [AskedBy::Require(name("asks"))],
        "{asked_by:?}"
    );
    !asked_by.is_empty()
}

/// What is selected by one more condition than that it is a payment.
fn payment(condition: impl FnOnce(&mut Selector)) -> Selector {
    let mut selector = effects(&[EffectKind::Payment]);
    condition(&mut selector);
    selector
}

fn fee(condition: impl FnOnce(&mut Selector)) -> Selector {
    let mut selector = effects(&[EffectKind::Fee]);
    condition(&mut selector);
    selector
}

fn to(to: To) -> Option<BTreeSet<To>> {
    Some([to].into())
}

#[test]
fn what_asks_for_the_payment_is_what_its_conditions_say() {
    let sources = |source| Some([source].into());
    let named = |text| SourceSelector::Named(name(text));
    let asking = [
        payment(|_| {}),
        Selector::default(),
        payment(|one| one.chains = Some([BTC].into())),
        payment(|one| one.sources = sources(named("payouts"))),
        payment(|one| one.clients = Some([name("walletd")].into())),
        payment(|one| one.assets = Some([btc()].into())),
        payment(|one| one.amount_over = Some(amount(4))),
        payment(|one| one.amount_max = Some(amount(5))),
        payment(|one| one.tags = Some(["7".into()].into())),
        effects(&[EffectKind::Reissue]),
        payment(|one| one.to = to(To::Address(stranger(BTC, 1)))),
        payment(|one| one.to = to(To::Book(name("b0")))),
        payment(|one| one.to_except = to(To::Address(stranger(BTC, 2)))),
        payment(|one| one.to_except = to(To::OwnClass(AccountClass::Hot))),
        payment(|one| one.to_except = to(To::OwnAccount(name("hot")))),
        // What is not known may be.
        payment(|one| one.to = to(To::Book(name("b1")))),
        payment(|one| one.to_except = to(To::Book(name("b1")))),
        payment(|one| one.accounts = Some([name("hot")].into())),
        payment(|one| one.hours = Some([name("first-day")].into())),
    ];
    for selector in asking {
        assert!(may_ask(selector.clone(), &paid()), "{selector:?}");
    }
    let silent = [
        payment(|one| one.chains = Some([ETH].into())),
        payment(|one| one.sources = sources(named("refunds"))),
        payment(|one| one.clients = Some([name("auditor")].into())),
        payment(|one| one.assets = Some([eth()].into())),
        payment(|one| one.amount_over = Some(amount(5))),
        payment(|one| one.amount_max = Some(amount(4))),
        payment(|one| one.tags = Some(["8".into()].into())),
        payment(|one| one.fee_rate_max = Some(amount(1 << 40))),
        payment(|one| one.fee_rate_over = Some(amount(0))),
        effects(&[EffectKind::OwnTransfer, EffectKind::Call]),
        payment(|one| one.to = to(To::Address(stranger(BTC, 2)))),
        payment(|one| one.to = to(To::OwnClass(AccountClass::Hot))),
        payment(|one| one.to = to(To::OwnAccount(name("hot")))),
        payment(|one| one.to_except = to(To::Address(stranger(BTC, 1)))),
        payment(|one| one.to_except = to(To::Book(name("b0")))),
    ];
    for selector in silent {
        assert!(!may_ask(selector.clone(), &paid()), "{selector:?}");
    }
    let untagged = Intent {
        tag: None,
        ..paid()
    };
    let tagged = payment(|one| one.tags = Some(["7".into()].into()));
    assert!(!may_ask(tagged, &untagged));
}

#[test]
fn what_asks_for_an_own_transfer_is_asked_of_the_class_and_the_account() {
    let intent = Intent {
        destination: own("k3", BTC),
        ..paid()
    };
    let moving = |condition: fn(&mut Selector)| {
        let mut selector = effects(&[EffectKind::OwnTransfer]);
        condition(&mut selector);
        may_ask(selector, &intent)
    };
    assert!(moving(|_| {}));
    assert!(moving(|one| one.to = to(To::OwnClass(AccountClass::Hot))));
    assert!(moving(|one| one.to = to(To::OwnAccount(name("hot2")))));
    assert!(!moving(|one| one.to = to(To::OwnClass(AccountClass::Cold))));
    assert!(!moving(|one| one.to = to(To::OwnAccount(name("hot")))));
    assert!(!moving(
        |one| one.to_except = to(To::OwnClass(AccountClass::Hot))
    ));
    assert!(!may_ask(payment(|_| {}), &intent));
}

#[test]
fn what_asks_for_the_fee_is_asked_of_the_most_that_it_may_be() {
    let of_none = Some([SourceSelector::None].into());
    let asking = [
        fee(|_| {}),
        // One transaction may pay intents of several sources, and its fee is of none.
        fee(|one| one.sources = of_none.clone()),
        fee(|one| one.fee_rate_over = Some(amount(1))),
        fee(|one| one.amount_over = Some(amount(8))),
        fee(|one| one.amount_max = Some(amount(0))),
        fee(|one| one.assets = Some([btc()].into())),
        fee(|one| one.to_except = to(To::Address(stranger(BTC, 1)))),
    ];
    for selector in asking {
        assert!(may_ask(selector.clone(), &paid()), "{selector:?}");
    }
    let silent = [
        fee(|one| one.amount_over = Some(amount(9))),
        fee(|one| one.assets = Some([eth()].into())),
        fee(|one| one.tags = Some(["7".into()].into())),
        fee(|one| one.to = to(To::Address(stranger(BTC, 1)))),
        fee(|one| one.chains = Some([ETH].into())),
    ];
    for selector in silent {
        assert!(!may_ask(selector.clone(), &paid()), "{selector:?}");
    }
}

#[test]
fn each_statement_with_a_need_is_named_and_those_of_one_need_together() {
    let mut policy = policy();
    let all = || effects(&[EffectKind::Payment]);
    policy.requires = vec![statement("asks", all(), Require { need: ann() })];
    let mut attended = limit("attended", btc(), 4, DAY);
    attended.says.over = Some(ann());
    policy.limits = vec![attended, limit("hard", btc(), 4, DAY)];
    let both = need(2, &["ann", "ben"]);
    let says = Evacuate { need: both.clone() };
    policy.evacuates = vec![statement("out", all(), says)];
    let found = Signer::new(policy).state.requirements(&paid());
    let by_one = [
        AskedBy::Require(name("asks")),
        AskedBy::Limit(name("attended")),
    ];
    assert_eq!(found[&ann().fingerprint()].asked_by, by_one.into());
    assert_eq!(found[&ann().fingerprint()].need, ann());
    let by_both = [AskedBy::Evacuate(name("out"))];
    assert_eq!(found[&both.fingerprint()].asked_by, by_both.into());
    assert_eq!(found.len(), 2);
}

/// Whether a requirement of what is selected so may ask for people before a stake for the first stranger is signed. The
/// stranger is in one book, the contract in another.
fn may_ask_of_call(selector: Selector) -> bool {
    let mut policy = calling(two());
    policy.books.insert(name("b0"), book([stranger(ETH, 1)]));
    policy.books.insert(name("b1"), apart(ETH));
    policy.books.insert(name("b2"), book([contract()]));
    let asks = statement("asks", selector, Require { need: ann() });
    policy.requires.push(asks);
    let signer = Signer::new(policy);
    let proposed = call(0).proposed(&signer, "s");
    let understood = signer.state.understood(&proposed.transaction).unwrap();
    let found = signer
        .state
        .transaction_requirements(&proposed, &understood);
    assert!(found.contains_key(&two().fingerprint()));
    found.contains_key(&ann().fingerprint())
}

#[test]
fn what_asks_for_a_call_is_asked_of_its_destination_and_its_arguments() {
    let calls = |condition: &dyn Fn(&mut Selector)| {
        let mut selector = effects(&[EffectKind::Call]);
        condition(&mut selector);
        may_ask_of_call(selector)
    };
    let owner = |to: To| {
        let condition = ArgumentCondition::To([to].into());
        calls(&|one| {
            let conditions = [(0, condition.clone())].into();
            one.functions = Some([(id_of_stake(), conditions)].into());
        })
    };
    let book = |text: &str| To::Book(name(text));
    assert!(calls(&|_| {}));
    assert!(calls(&|one| one.to = to(book("b2"))));
    assert!(calls(&|one| one.to = to(book("b1"))));
    assert!(!calls(&|one| one.to = to(book("b0"))));
    assert!(!calls(&|one| one.to_except = to(book("b2"))));
    assert!(calls(&|one| one.to_except = to(book("b1"))));
    assert!(owner(book("b0")) && owner(book("b1")));
    assert!(owner(To::Address(stranger(ETH, 1))));
    assert!(!owner(book("b2")));
    assert!(!owner(To::Address(stranger(ETH, 2))));
}

/// How long the destination will be known then is not known; a fee goes nowhere, and is asked of no age.
#[test]
fn what_asks_for_an_age_may_ask_where_something_goes() {
    for kind in [EffectKind::Call, EffectKind::Fee] {
        let aged = |condition: fn(&mut Selector)| {
            let mut selector = effects(&[kind]);
            condition(&mut selector);
            may_ask_of_call(selector)
        };
        let goes = kind == EffectKind::Call;
        assert!(aged(|_| {}));
        assert_eq!(aged(|one| one.age_min = Some(DAY)), goes);
        assert_eq!(aged(|one| one.age_below = Some(SECOND)), goes);
        let both = |one: &mut Selector| (one.age_min, one.age_below) = (Some(SECOND), Some(DAY));
        assert_eq!(aged(both), goes);
    }
}
