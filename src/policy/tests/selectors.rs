//! What each condition of a statement means, one by one and together: every condition that is present must be
//! met, and one that is not is enough to silence the statement.

use std::{collections::BTreeSet, slice::from_ref};

use strongroom_policy::{
    Allow, Deny, Fact, ReasonCode, Selector, SignerSelector, SourceSelector, To, Verdict,
};
use tx::{AccountClass, EffectKind, FeeTerms};

use crate::fixture::{
    Ask, BTC, ETH, Signer, amount, book, btc, effects, eth, name, names, policy, statement,
    stranger,
};

/// Sets a condition.
type Set = fn(&mut Selector);

/// A condition, so that it is met, and so that it is not.
type Condition = (&'static str, Set, Set);

/// Of a payment that `walletd` asks for an intent of `payouts`, out of `hot`, to a stranger in a book.
const OF_A_PAYMENT: [Condition; 15] = [
    (
        "effect",
        |of| of.effects = Some([EffectKind::Payment, EffectKind::Call].into()),
        |of| of.effects = Some([EffectKind::OwnTransfer].into()),
    ),
    (
        "client",
        |of| of.clients = Some(names(["other", "walletd"])),
        |of| of.clients = Some(names(["other"])),
    ),
    (
        "source",
        |of| of.sources = Some([SourceSelector::Named(name("payouts"))].into()),
        |of| {
            let others = [SourceSelector::None, SourceSelector::Named(name("refunds"))];
            of.sources = Some(others.into());
        },
    ),
    (
        "account",
        |of| of.accounts = Some(names(["hot", "old"])),
        |of| of.accounts = Some(names(["hot2"])),
    ),
    (
        "class",
        |of| of.classes = Some([AccountClass::Hot].into()),
        |of| of.classes = Some([AccountClass::Cold, AccountClass::Deposit].into()),
    ),
    (
        "chain",
        |of| of.chains = Some([BTC].into()),
        |of| of.chains = Some([ETH].into()),
    ),
    (
        "asset",
        |of| of.assets = Some([btc()].into()),
        |of| of.assets = Some([eth()].into()),
    ),
    (
        "to an address",
        |of| of.to = Some([To::Address(stranger(BTC, 3)), To::OwnAccount(name("cold"))].into()),
        |of| of.to = Some([To::Address(stranger(BTC, 4))].into()),
    ),
    (
        "to a book",
        |of| of.to = Some([To::Book(name("payees"))].into()),
        |of| of.to = Some([To::Book(name("empty")), To::OwnClass(AccountClass::Hot)].into()),
    ),
    (
        "to_except",
        |of| of.to_except = Some([To::Book(name("empty")), To::Address(stranger(BTC, 4))].into()),
        |of| of.to_except = Some([To::Book(name("payees"))].into()),
    ),
    (
        "amount_max",
        |of| of.amount_max = Some(amount(50)),
        |of| of.amount_max = Some(amount(49)),
    ),
    (
        "amount_over",
        |of| of.amount_over = Some(amount(49)),
        |of| of.amount_over = Some(amount(50)),
    ),
    (
        "age_min",
        |of| of.age_min = Some(0),
        |of| of.age_min = Some(1),
    ),
    (
        "age_below",
        |of| of.age_below = Some(1),
        |of| of.age_below = Some(0),
    ),
    (
        "a rate, which only a fee has",
        |_| (),
        |of| of.fee_rate_max = Some(amount(1_000_000)),
    ),
];

fn signer() -> Signer {
    let mut policy = policy();
    let paid = book([stranger(BTC, 3), stranger(BTC, 9)]);
    policy.books.insert(name("payees"), paid);
    policy.books.insert(name("empty"), book([]));
    Signer::new(policy)
}

fn payment() -> Ask {
    Ask::utxo("pay", [1], 200).pay("w", 50, 3)
}

/// The fact of this kind that is charged for a request.
fn fact(ask: &Ask, kind: EffectKind) -> Fact {
    let attempt = signer().permit(ask).unwrap().into_attempt();
    let mut facts = attempt.facts.into_iter();
    facts.find(|fact| fact.effect.kind == kind).unwrap()
}

fn terms() -> FeeTerms {
    payment().transaction.fee_terms
}

fn with(sets: impl IntoIterator<Item = Set>) -> Selector {
    let mut selector = Selector::default();
    for set in sets {
        set(&mut selector);
    }
    selector
}

/// All conditions met, but for one of them: set last, as some are about the same.
fn all_but(conditions: &[Condition], one: Option<usize>) -> Selector {
    let met = conditions.iter().map(|(_, met, _)| *met);
    let unmet = one.map(|at| conditions[at].2);
    with(met.chain(unmet))
}

/// Whether it speaks of the fact exactly as each condition says, alone and beside the others.
fn each_decides(conditions: &[Condition], fact: &Fact) {
    let speaks = |selector: Selector| selector.speaks_of(fact, &terms());
    assert!(speaks(Selector::default()), "without a condition");
    assert!(speaks(all_but(conditions, None)), "with all of them");
    for (at, (what, met, unmet)) in conditions.iter().enumerate() {
        assert!(speaks(with([*met])), "{what}, alone");
        assert!(!speaks(with([*unmet])), "not {what}, alone");
        assert!(!speaks(all_but(conditions, Some(at))), "all but {what}");
    }
}

#[test]
fn each_condition_on_a_payment_decides() {
    each_decides(&OF_A_PAYMENT, &fact(&payment(), EffectKind::Payment));
}

/// The same in a verdict: of an allow and of a deny.
#[test]
fn each_condition_decides_in_a_verdict() {
    let verdict = |selector: Selector, denies: bool| {
        let mut signer = signer();
        let mut policy = policy();
        policy.books = signer.state.policy().unwrap().books.clone();
        policy.hash = strongroom_policy::BundleHash([2; 32]);
        policy.sequence = 2;
        if denies {
            policy.denies = vec![statement("no", selector, Deny)];
        } else {
            let fees = statement("fees", effects(&[EffectKind::Fee]), Allow);
            policy.allows = vec![statement("yes", selector, Allow), fees];
        }
        signer.activate(policy);
        signer.evaluate(&payment())
    };
    let permits = |verdict: &Verdict| matches!(verdict, Verdict::Permit(_));
    let codes = |verdict: Verdict| match verdict {
        Verdict::Refuse(refused) => refused.reasons.into_iter().map(|one| one.code).collect(),
        _ => BTreeSet::new(),
    };
    for (at, (what, ..)) in OF_A_PAYMENT.iter().enumerate() {
        let unmet = || all_but(&OF_A_PAYMENT, Some(at));
        let refused = codes(verdict(unmet(), false));
        assert_eq!(refused, [ReasonCode::Uncovered].into(), "allow: {what}");
        assert!(permits(&verdict(unmet(), true)), "deny: {what}");
    }
    let all = || all_but(&OF_A_PAYMENT, None);
    assert!(permits(&verdict(all(), false)));
    assert_eq!(codes(verdict(all(), true)), [ReasonCode::Denied].into());
}

#[test]
fn each_condition_on_a_fee_decides() {
    let mut fee = fact(&payment(), EffectKind::Fee);
    // 200 for 100 vbyte.
    let conditions: [Condition; 5] = [
        (
            "effect",
            |of| of.effects = Some([EffectKind::Fee].into()),
            |of| of.effects = Some([EffectKind::Payment].into()),
        ),
        (
            "fee_rate_max",
            |of| of.fee_rate_max = Some(amount(2)),
            |of| of.fee_rate_max = Some(amount(1)),
        ),
        (
            "fee_rate_over",
            |of| of.fee_rate_over = Some(amount(1)),
            |of| of.fee_rate_over = Some(amount(2)),
        ),
        (
            "a destination, which it has not",
            |_| (),
            |of| of.to = Some([To::Book(name("payees"))].into()),
        ),
        (
            "an age, which it has not",
            |_| (),
            |of| of.age_below = Some(u64::MAX),
        ),
    ];
    each_decides(&conditions, &fee);
    // Nothing keeps out what goes nowhere.
    let except = |of: &mut Selector| of.to_except = Some([To::Book(name("payees"))].into());
    assert!(with([except as Set]).speaks_of(&fee, &terms()));
    let over = |of: &mut Selector| of.fee_rate_over = Some(amount(0));
    fee.effect.kind = EffectKind::Payment;
    assert!(!with([over as Set]).speaks_of(&fee, &terms()), "no fee");
}

/// What pays no intent has the source of all of them.
#[test]
fn a_fee_has_the_source_of_the_intents_that_have_one_in_common() {
    let one = payment().pay("x", 7, 9);
    let payouts = name("payouts");
    assert_eq!(fact(&one, EffectKind::Fee).source, Some(payouts));
    let mut two = one;
    two.request.intents[1].intent.id.source = name("refunds");
    assert_eq!(fact(&two, EffectKind::Fee).source, None);
}

#[test]
fn each_condition_on_a_transfer_to_an_own_account_decides() {
    let cold = Some((stranger(BTC, 200), Some(("cold", AccountClass::Cold))));
    let mut ask = Ask::utxo("move", [1], 200).effect(EffectKind::OwnTransfer, 50, cold);
    ask.request.intents = Vec::new();
    let mut moved = fact(&ask, EffectKind::OwnTransfer);
    assert_eq!(moved.source, None);
    let conditions: [Condition; 6] = [
        (
            "no source",
            |of| of.sources = Some([SourceSelector::None].into()),
            |of| of.sources = Some([SourceSelector::Named(name("payouts"))].into()),
        ),
        (
            "an own account",
            |of| of.to = Some([To::OwnAccount(name("cold"))].into()),
            |of| of.to = Some([To::OwnAccount(name("hot2"))].into()),
        ),
        (
            "a class of own accounts",
            |of| of.to = Some([To::OwnClass(AccountClass::Cold)].into()),
            |of| of.to = Some([To::OwnClass(AccountClass::Hot)].into()),
        ),
        (
            "no other own account",
            |of| of.to_except = Some([To::OwnAccount(name("hot2"))].into()),
            |of| of.to_except = Some([To::OwnAccount(name("cold"))].into()),
        ),
        (
            "no other class",
            |of| of.to_except = Some([To::OwnClass(AccountClass::Deposit)].into()),
            |of| of.to_except = Some([To::OwnClass(AccountClass::Cold)].into()),
        ),
        (
            "an age, which own accounts have not",
            |_| (),
            |of| of.age_below = Some(u64::MAX),
        ),
    ];
    each_decides(&conditions, &moved);
    moved.effect.tag = Some("7".into());
    let tagged: [Condition; 1] = [(
        "tag",
        |of| of.tags = Some(["7".to_owned(), "8".to_owned()].into()),
        |of| of.tags = Some(["77".to_owned()].into()),
    )];
    each_decides(&tagged, &moved);
    let tags = |of: &mut Selector| of.tags = Some(["7".to_owned()].into());
    moved.effect.tag = None;
    assert!(!with([tags as Set]).speaks_of(&moved, &terms()), "no tag");
}

#[test]
fn who_signed_decides_by_key_and_by_person() {
    let mut paid = fact(&payment(), EffectKind::Payment);
    let by = |signers: &[SignerSelector]| Selector {
        signed_by: Some(signers.iter().cloned().collect()),
        ..Selector::default()
    };
    let ann = SignerSelector::Person(name("ann"));
    let key = SignerSelector::Key("ssh-ed25519 AAAA".into());
    let speaks = |paid: &Fact, signers: &[SignerSelector]| by(signers).speaks_of(paid, &terms());
    assert!(!speaks(&paid, &[ann.clone(), key.clone()]), "nobody signed");
    paid.signed_by.keys = ["ssh-ed25519 AAAA".to_owned()].into();
    assert!(speaks(&paid, from_ref(&key)));
    assert!(
        !speaks(&paid, from_ref(&ann)),
        "whose the key is was not recorded"
    );
    paid.signed_by.people = names(["ann"]);
    assert!(speaks(&paid, from_ref(&ann)));
    let others = [
        SignerSelector::Person(name("ben")),
        SignerSelector::Key("ssh-ed25519 BBBB".into()),
    ];
    assert!(!speaks(&paid, &others));
    assert!(speaks(&paid, &[others[0].clone(), ann]), "one is enough");
}
