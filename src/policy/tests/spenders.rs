//! Approvals of spenders: what covers them, what counts them, and what they do not do.

use strongroom_policy::{
    Allow, BundleHash, Deny, Entry, Evacuate, FreezeScope, Limit, Measure, Policy, PriceRule,
    ReasonCode, Require, RowKey, Selector, Statement, To, Verdict, widenings,
};
use tx::{Amount, Asset, EffectKind};

use crate::fixture::{
    Ask, DAY, ETH, Signer, amount, book, effects, limit, name, need, policy, statement, stranger,
};

fn token() -> Asset {
    Asset::erc20(stranger(ETH, 99))
}

/// An approval of a spender for so much of the token.
fn approves(nonce: u64, units: u64, spender: u8) -> Ask {
    let to = Some((stranger(ETH, spender), None));
    let mut ask = Ask::evm(&format!("a{nonce}"), nonce, 1);
    ask = ask.effect(EffectKind::Approval, units, to);
    ask.transaction.effects[0].asset = token();
    ask
}

/// A payment of the token.
fn pays(nonce: u64, units: u64, to: u8) -> Ask {
    let id = format!("p{nonce}");
    let mut ask = Ask::evm(&id, nonce, 1).pay(&id, units, to);
    ask.transaction.effects[0].asset = token();
    ask.request.intents[0].intent.asset = token();
    ask
}

fn of_token(kinds: &[EffectKind]) -> Selector {
    Selector {
        assets: Some([token()].into()),
        ..effects(kinds)
    }
}

fn anything() -> Selector {
    Selector {
        accounts: Some([name("hot")].into()),
        ..Selector::default()
    }
}

/// Payments, approvals and fees may happen.
fn approving() -> Policy {
    let kinds = [EffectKind::Payment, EffectKind::Approval];
    Policy {
        allows: vec![
            statement("moves", of_token(&kinds), Allow),
            statement("fees", effects(&[EffectKind::Fee]), Allow),
        ],
        ..policy()
    }
}

/// A limit on what leaves by these kinds in a day.
fn counting(kinds: &[EffectKind], cap: u64) -> Statement<Limit> {
    let mut counting = limit("moved", token(), cap, DAY);
    counting.selector = of_token(kinds);
    counting
}

fn limited(limit: Statement<Limit>) -> Signer {
    Signer::new(Policy {
        limits: vec![limit],
        ..approving()
    })
}

fn used(signer: &Signer) -> Amount {
    let rooms = signer.state.room(signer.now).unwrap();
    let mut of_limit = rooms.iter().filter(|room| room.limit == name("moved"));
    of_limit.next().map_or(Amount::ZERO, |room| room.used)
}

const BOTH: [EffectKind; 2] = [EffectKind::Payment, EffectKind::Approval];

#[test]
fn an_allow_that_names_no_effect_covers_no_approval() {
    let mut policy = approving();
    policy.allows = vec![statement("all", anything(), Allow)];
    let signer = Signer::new(policy);
    assert!(signer.permit(&pays(0, 5, 1)).is_ok());
    assert_eq!(
        signer.codes(&approves(0, 5, 1)),
        [ReasonCode::Uncovered].into()
    );
    let reasons = signer.reasons(&approves(0, 5, 1));
    let spender = stranger(ETH, 1);
    let told = format!(
        "approval of 5 {} from hot for the spender {spender}",
        token()
    );
    assert!(reasons[0].detail.contains(&told), "{reasons:?}");
    assert!(Signer::new(approving()).permit(&approves(0, 5, 1)).is_ok());
}

/// Under a freeze as well, an approval happens by nothing that does not name it.
#[test]
fn an_evacuate_that_names_no_effect_lets_no_approval_out() {
    let frozen = |selector: Selector| {
        let mut policy = approving();
        let need = need(1, &["alice"]);
        policy.evacuates = vec![statement("out", selector, Evacuate { need })];
        let mut signer = Signer::new(policy);
        signer.push(Entry::Frozen {
            scope: FreezeScope::All,
            reason: "drill".into(),
        });
        signer.evaluate(&approves(0, 5, 1))
    };
    assert!(matches!(frozen(anything()), Verdict::Refuse(_)));
    let named = [EffectKind::Approval, EffectKind::Fee];
    let Verdict::Refuse(refusal) = frozen(effects(&named)) else {
        panic!("it is frozen until alice agrees");
    };
    assert!(refusal.needs.iter().any(|one| one.statement == name("out")));
    let Verdict::Refuse(refusal) = frozen(anything()) else {
        panic!("it is frozen");
    };
    // For the fee alone would she be asked.
    assert_eq!(refusal.needs.len(), 1);
}

#[test]
fn what_restricts_speaks_of_approvals_without_naming_them() {
    let deny = vec![statement("deny", anything(), Deny)];
    let signer = Signer::new(Policy {
        denies: deny,
        ..approving()
    });
    let codes = signer.codes(&approves(0, 5, 1));
    assert_eq!(codes, [ReasonCode::Denied].into());
    let need = need(1, &["alice"]);
    let requires = vec![statement("ask", anything(), Require { need })];
    let signer = Signer::new(Policy {
        requires,
        ..approving()
    });
    let verdict = signer.evaluate(&approves(0, 5, 1));
    assert!(matches!(verdict, Verdict::Pending(_)), "{verdict:?}");
    let mut all = counting(&BOTH, 4);
    all.selector = Selector {
        effects: None,
        ..all.selector
    };
    let signer = limited(all);
    let codes = signer.codes(&approves(0, 5, 1));
    assert_eq!(codes, [ReasonCode::Limit].into());
}

/// What a spender may take is charged as if it had left, and so what was paid and what may be taken are together at
/// most the cap.
#[test]
fn approvals_and_payments_fill_the_same_room() {
    let mut signer = limited(counting(&BOTH, 10));
    let full = [ReasonCode::Limit].into();
    signer.charged(&approves(0, 6, 1));
    assert_eq!(used(&signer), amount(6));
    assert_eq!(signer.codes(&pays(1, 5, 2)), full);
    signer.charged(&pays(1, 4, 2));
    assert_eq!(signer.codes(&approves(2, 1, 1)), full);
    // Taking the right back takes no room, and gives none: it may have been used.
    signer.charged(&approves(2, 0, 1));
    assert_eq!(used(&signer), amount(10));
    // Another approval of the same spender is another amount that may leave.
    signer.pass(DAY);
    signer.charged(&approves(3, 6, 1));
    assert_eq!(signer.codes(&approves(4, 5, 1)), full);
    signer.charged(&approves(4, 4, 1));
    assert_eq!(used(&signer), amount(10));
}

#[test]
fn a_limit_on_payments_counts_no_approval_and_one_on_approvals_no_payment() {
    let mut signer = limited(counting(&[EffectKind::Payment], 10));
    signer.charged(&approves(0, 50, 1));
    assert_eq!(used(&signer), Amount::ZERO);
    signer.charged(&pays(1, 10, 1));
    let mut signer = limited(counting(&[EffectKind::Approval], 10));
    signer.charged(&pays(0, 50, 1));
    signer.charged(&approves(1, 10, 1));
    let codes = signer.codes(&approves(2, 1, 1));
    assert_eq!(codes, [ReasonCode::Limit].into());
}

/// Of one nonce, one confirms: the largest is what may be taken.
#[test]
fn a_replacement_of_an_approval_costs_the_difference() {
    let mut signer = limited(counting(&BOTH, 10));
    let first = signer.charged(&approves(0, 6, 1));
    let mut again = approves(0, 8, 1);
    again.request.id = "again".parse().unwrap();
    let fee = tx::FeeTerms::Evm {
        max_fee_per_gas: amount(100),
        max_priority_fee_per_gas: amount(100),
        gas_limit: 1,
    };
    again.transaction.fee_terms = fee;
    signer.charged(&again.replaces([first]).rehashed(1));
    assert_eq!(used(&signer), amount(8));
    let codes = signer.codes(&approves(1, 3, 1));
    assert_eq!(codes, [ReasonCode::Limit].into());
    signer.charged(&approves(1, 2, 1));
}

#[test]
fn their_number_is_counted_also_where_they_take_rights_back() {
    let mut two = counting(&[EffectKind::Approval], 2);
    two.says.measure = Measure::Count;
    let mut signer = limited(two);
    signer.charged(&approves(0, 0, 1));
    signer.charged(&approves(1, 0, 2));
    let codes = signer.codes(&approves(2, 0, 3));
    assert_eq!(codes, [ReasonCode::Limit].into());
}

/// A value is looked at as that of a payment: without a price there is none.
#[test]
fn a_limit_on_values_wants_the_price_of_what_may_be_taken() {
    let mut values = counting(&[EffectKind::Approval], 1_000);
    values.says.measure = Measure::Reference;
    let mut policy = Policy {
        limits: vec![values],
        ..approving()
    };
    let rule = PriceRule {
        decimals: 0,
        haircut_bp: 0,
        floor: "1".parse().unwrap(),
        max_age_millis: DAY,
    };
    policy.attestations.prices.insert(token(), rule);
    policy.attestations.currency = Some(name("usd"));
    let needed = [(strongroom_policy::AttestationKind::Price, 1)];
    policy.attestations.needed = needed.into();
    let signer = Signer::new(policy);
    assert_eq!(signer.codes(&approves(0, 5, 1)), [ReasonCode::Price].into());
}

/// A spender who was approved is as young as before: an age only ever comes by a payment.
#[test]
fn an_approval_ages_nobody() {
    let mut young = of_token(&[EffectKind::Approval]);
    young.age_below = Some(DAY);
    young.amount_over = Some(amount(1));
    let mut signer = Signer::new(Policy {
        denies: vec![statement("young", young, Deny)],
        ..approving()
    });
    signer.charged(&approves(0, 1, 1));
    assert_eq!(signer.state.row(&RowKey::Paid(stranger(ETH, 1))), None);
    signer.pass(2 * DAY);
    let denied = [ReasonCode::Denied].into();
    assert_eq!(signer.codes(&approves(1, 5, 1)), denied);
    signer.charged(&pays(1, 1, 1));
    assert_eq!(signer.codes(&approves(2, 5, 1)), denied);
    signer.pass(DAY);
    signer.charged(&approves(2, 5, 1));
}

#[test]
fn nobody_brings_an_intent_for_an_approval() {
    let signer = Signer::new(approving());
    let mut ask = approves(0, 5, 1);
    let mut intent = ask.intent("i", 5, 1);
    intent.asset = token();
    ask = ask.bring(intent);
    let codes = signer.codes(&ask);
    assert_eq!(codes, [ReasonCode::IntentMismatch].into());
}

/// What was approved counts by the books of its time or by the present ones.
#[test]
fn no_edit_forgets_an_approval() {
    let mut to_known = counting(&[EffectKind::Approval], 100);
    to_known.selector.to = Some([To::Book(name("known"))].into());
    let mut running = Policy {
        limits: vec![to_known],
        ..approving()
    };
    running
        .books
        .insert(name("known"), book([stranger(ETH, 1)]));
    let mut signer = Signer::new(running.clone());
    signer.charged(&approves(0, 5, 1));
    signer.charged(&approves(1, 7, 2));
    assert_eq!(used(&signer), amount(5));
    running
        .books
        .insert(name("known"), book([stranger(ETH, 2)]));
    (running.sequence, running.hash) = (2, BundleHash([2; 32]));
    signer.activate(running);
    assert_eq!(used(&signer), amount(12));
}

#[test]
fn an_allow_that_begins_to_name_approvals_is_not_narrower() {
    let mut running = policy();
    let need = need(1, &["alice"]);
    running.allows = vec![statement("all", anything(), Allow)];
    let need_of = || Evacuate { need: need.clone() };
    running.evacuates = vec![statement("out", anything(), need_of())];
    let wider = |change: &dyn Fn(&mut Policy)| {
        let mut offered = running.clone();
        change(&mut offered);
        !widenings(&running, &offered).is_empty()
    };
    let named = |kinds: &[EffectKind]| Selector {
        accounts: Some([name("hot")].into()),
        ..effects(kinds)
    };
    assert!(!wider(&|_| ()));
    assert!(!wider(
        &|new| new.allows[0].selector = named(&[EffectKind::Payment])
    ));
    for right in [EffectKind::Approval, EffectKind::Authority] {
        let kinds = [EffectKind::Payment, right];
        assert!(wider(&|new| new.allows[0].selector = named(&kinds)));
        assert!(wider(&|new| new.evacuates[0].selector = named(&kinds)));
        let add = |new: &mut Policy| new.allows.push(statement("more", named(&[right]), Allow));
        assert!(wider(&add));
    }
    // The other way round something is taken away.
    running.allows[0].selector = named(&EffectKind::ALL);
    let mut offered = running.clone();
    offered.allows[0].selector = anything();
    // The text shows it of no kind by itself, so that it waits; fewer kinds do not.
    assert!(!widenings(&running, &offered).is_empty());
    offered.allows[0].selector = named(&[EffectKind::Payment]);
    assert!(widenings(&running, &offered).is_empty());
}
