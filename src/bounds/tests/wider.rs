//! Bounds of bundles with more of the language in them, against what trying everything comes to.

use num_bigint::BigInt;
use tx::{AccountClass, Effect, EffectKind, Time};

use super::{
    accepted,
    brute::{Tried, tried, tried_from},
    bundles::{Case, START, name, statement, stranger},
    signer::{Ask, Signer},
    wide::{aged, beginnings, calling, hourly, valued, wide},
};
use crate::{Bound, agreed, bound, passing};

fn decided(case: &Case) -> (Signer, Bound) {
    let signer = Signer::new(&agreed(&case.policy, &case.question.people));
    let found = bound(&signer.ground(case), &case.question);
    (signer, found)
}

#[test]
fn of_two_hundred_bundles_with_classes_own_destinations_and_tags_the_bound_is_exact() {
    let (mut compared, mut too_much, mut not_zero) = (0, 0, 0);
    for number in 0.. {
        let case = wide(number);
        let (signer, found) = decided(&case);
        assert!(found.is_exact(), "bundle {number}: {found:?}");
        let left = accepted(&case, &signer, &found);
        let left = left.unwrap_or_else(|| panic!("bundle {number}: {found:?}"));
        assert_eq!(BigInt::from(left), found.reached, "bundle {number}");
        let Tried::All(tried) = tried(&case, &signer, left) else {
            too_much += 1;
            continue;
        };
        assert_eq!(found.most, Some(tried.into()), "bundle {number}: {case:#?}");
        compared += 1;
        not_zero += usize::from(tried > 0);
        if compared == 200 {
            break;
        }
    }
    println!(
        "{compared} bundles compared, of {not_zero} something leaves; {too_much} had too much"
    );
    assert!(not_zero > 100, "of too few something leaves: {not_zero}");
}

/// From above, hours are open or shut in any way at any time: the bound holds, and what is called exact is.
#[test]
fn of_bundles_with_hours_the_bound_holds_at_every_beginning_and_mostly_is_the_most() {
    let (mut compared, mut equal, mut exact, mut too_much) = (0, 0, 0, 0);
    for case in (0..).map(hourly) {
        let (signer, found) = decided(&case);
        let left = accepted(&case, &signer, &found);
        let left = left.unwrap_or_else(|| panic!("{found:?}: {case:#?}"));
        assert_eq!(BigInt::from(left), found.reached, "{found:?}");
        let mut most = Some(left);
        for beginning in beginnings(&case) {
            most = most.and_then(|most| match tried_from((&case, &signer), beginning, most) {
                Tried::All(tried) => Some(tried),
                Tried::TooMuch => None,
            });
        }
        let Some(most) = most.map(BigInt::from) else {
            too_much += 1;
            continue;
        };
        let bound = found.most.clone().unwrap();
        assert!(bound >= most, "{most} of {found:?}: {case:#?}");
        assert!(!found.is_exact() || bound == most, "{found:?}: {case:#?}");
        compared += 1;
        equal += usize::from(bound == most);
        exact += usize::from(found.is_exact());
        if compared == 100 {
            break;
        }
    }
    println!("{compared} compared, {equal} equal, {exact} called exact; {too_much} had too much");
    assert!(equal * 10 >= compared * 8, "{equal} of {compared}");
}

/// A bound from above, of bundles that it knows no sequence for.
fn holds_from_above(cases: impl Iterator<Item = Case>, count: usize) -> (usize, usize) {
    let (mut compared, mut equal, mut not_zero) = (0, 0, 0);
    for case in cases {
        let (signer, found) = decided(&case);
        let most = found.most.clone().unwrap();
        let Tried::All(tried) = tried(&case, &signer, 0) else {
            continue;
        };
        let tried = BigInt::from(tried);
        assert!(most >= tried, "{tried} of {found:?}: {case:#?}");
        compared += 1;
        equal += usize::from(most == tried);
        not_zero += usize::from(tried > BigInt::ZERO);
        if compared == count {
            break;
        }
    }
    println!("{compared} compared, {equal} equal, of {not_zero} something leaves");
    (equal, not_zero)
}

/// How old a destination is hangs on what was paid: the bound is that of a policy that does not ask.
#[test]
fn of_bundles_that_ask_for_ages_the_bound_holds() {
    let (equal, not_zero) = holds_from_above((0..).map(aged), 60);
    assert!(equal > 20 && not_zero > 20, "{equal} {not_zero}");
}

/// By its floor a limit on values bounds the amount; nothing else was attested here.
#[test]
fn of_bundles_that_bound_values_the_bound_is_the_most() {
    let (equal, not_zero) = holds_from_above((0..).map(valued), 60);
    assert_eq!(equal, 60);
    assert!(not_zero > 20, "{not_zero}");
}

/// What calls send is added to what is paid. Both can take from one limit on fees, so that it may be too much.
#[test]
fn of_bundles_with_calls_the_bound_holds_and_mostly_is_the_most() {
    let (equal, not_zero) = holds_from_above((0..).filter_map(calling), 60);
    assert!(equal * 10 >= 60 * 8 && not_zero > 30, "{equal} {not_zero}");
}

/// The case with an allow of changes of authority that may be held back by any of its other statements.
fn granting(case: &Case, number: u64) -> Case {
    let mut case = case.clone();
    let mut selector = case.policy.allows[0].selector.clone();
    selector.effects = Some([EffectKind::Authority].into());
    selector.assets = None;
    if number.is_multiple_of(3) {
        selector.to = Some([policy::To::OwnClass(AccountClass::Cold)].into());
        selector.to_except = None;
    }
    let allow = statement("grant", (selector, policy::Allow));
    case.policy.allows.push(allow);
    let vault = policy::Account {
        class: AccountClass::Cold,
        chains: [case.chain].into(),
        keys: Default::default(),
        addresses: [stranger(case.chain, 77)].into(),
    };
    case.policy.accounts.insert(name("vault"), vault);
    let deny = case.policy.denies.iter_mut().map(|one| &mut one.selector);
    let require = case.policy.requires.iter_mut().map(|one| &mut one.selector);
    for selector in deny.chain(require).filter(|_| number.is_multiple_of(2)) {
        selector.effects = None;
        selector.assets = None;
    }
    case
}

/// Every change of authority that statements tell apart.
fn changes(case: &Case, signer: &Signer) -> Vec<(Ask, Effect)> {
    let ground = signer.ground(case);
    let mut to = vec![None, Some(stranger(case.chain, 77))];
    to.extend([1, 2, 3, 10].map(|number| Some(stranger(case.chain, number))));
    to.push(Some(super::bundles::own("k0", case.chain)));
    let mut changes = Vec::new();
    for client in case.policy.clients.keys() {
        for account in case
            .policy
            .accounts
            .keys()
            .filter(|name| name.as_str() != "vault")
        {
            for (to, amount) in to.iter().flat_map(|to| (0..5_u64).map(move |n| (to, n))) {
                let ask = Ask {
                    at: Time::from_millis(START),
                    client: client.clone(),
                    account: account.clone(),
                    chain: case.chain,
                    payments: Vec::new(),
                    fee: 0,
                };
                let to = to.clone().map(|address| tx::Destination {
                    own: ground.registry.own(&address).cloned(),
                    address,
                });
                let effect = Effect {
                    kind: EffectKind::Authority,
                    account: account.clone(),
                    asset: tx::Asset::native(case.chain),
                    amount: amount.into(),
                    to,
                    tag: None,
                    call: None,
                };
                changes.push((ask, effect));
            }
        }
    }
    changes
}

/// Where a change of authority would be permitted it is said, with one that is; where none is said, none is permitted.
#[test]
fn a_change_of_authority_that_passes_is_shown_and_none_passes_unseen() {
    let (mut shown, mut none) = (0, 0);
    for (number, case) in (0..150).map(|number| (number, wide(number))) {
        let plain = Signer::new(&case.policy);
        let people = Default::default();
        assert!(passing(&plain.ground(&case), EffectKind::Authority, &people).is_empty());
        let case = granting(&case, number);
        let signer = Signer::new(&case.policy);
        let found = passing(&signer.ground(&case), EffectKind::Authority, &people);
        let permits = |(ask, effect): &(Ask, Effect)| {
            let verdict = signer.verdict_on(ask, effect.clone());
            matches!(verdict, policy::Verdict::Permit(_))
        };
        let changes = changes(&case, &signer);
        // What needs somebody's intent is none of these.
        let is_nobodys = found.values().any(|example| example.source.is_none());
        assert_eq!(changes.iter().any(permits), is_nobodys, "{case:#?}");
        assert!(found.keys().all(|allow| allow.as_str() == "grant"));
        for example in found.values().filter(|example| example.source.is_none()) {
            let (mut ask, _) = changes[0].clone();
            (ask.client, ask.account) = (example.client.clone(), example.effect.account.clone());
            assert!(permits(&(ask, example.effect.clone())), "{example:?}");
        }
        shown += usize::from(!found.is_empty());
        none += usize::from(found.is_empty());
    }
    println!("of {shown} bundles one passes, of {none} none");
    assert!(shown > 50 && none > 10, "{shown} {none}");
}
