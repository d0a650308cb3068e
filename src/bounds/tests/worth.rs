//! What leaves by its value, against the bounds of amounts.

use std::collections::BTreeSet;

use num_bigint::BigInt;
use policy::{Group, Measure, PriceRule};
use tx::{Address, Amount, Asset, Chain, EffectKind};

use super::{
    bundles::{BTC, Case, ETH, bundle, name, stranger},
    signer::Signer,
};
use crate::{Leaves, Worth, agreed, bound, worth};

/// Three a unit at the least; no answer hangs on it.
fn rule() -> PriceRule {
    PriceRule {
        decimals: 0,
        haircut_bp: 0,
        floor: "3".parse().unwrap(),
        max_age_millis: 60_000,
    }
}

/// The case, where every limit on an amount is one of as much value, and its asset has a price.
fn valued(mut case: Case) -> Case {
    let prices = &mut case.policy.attestations.prices;
    prices.insert(case.question.asset(), rule());
    for limit in &mut case.policy.limits {
        if limit.says.measure == Measure::Amount {
            limit.says.measure = Measure::Reference;
        }
    }
    case
}

fn worth_of(case: &Case) -> Option<BigInt> {
    let signer = Signer::new(&agreed(&case.policy, &case.question.people));
    let outside = match &case.question.leaves {
        Leaves::Payments { outside, .. } => outside.clone(),
        Leaves::Fees { .. } => None,
    };
    let asked = Worth {
        outside,
        span_millis: case.question.span_millis,
        people: case.question.people.clone(),
        clients: case.question.clients.clone(),
    };
    worth(&signer.ground(case), &asked)
}

/// Whatever bounds an amount bounds a value alike, where nothing asks for amounts.
#[test]
fn limits_on_values_bound_values_as_limits_on_amounts_bound_amounts() {
    let (mut equal, mut not_zero, mut compared) = (0, 0, 0);
    for case in (0..200).map(bundle) {
        let signer = Signer::new(&agreed(&case.policy, &case.question.people));
        let of_amounts = bound(&signer.ground(&case), &case.question).most;
        let of_values = worth_of(&valued(case.clone()));
        let (Some(amount), Some(value)) = (of_amounts, of_values) else {
            panic!("a limit bounds all: {case:#?}");
        };
        assert!(value >= amount, "{value} {amount}: {case:#?}");
        compared += 1;
        equal += usize::from(value == amount);
        not_zero += usize::from(value > BigInt::ZERO);
    }
    println!("{compared} compared, {equal} equal, of {not_zero} something leaves");
    assert!(
        equal * 10 >= compared * 8 && not_zero > 100,
        "{equal} {not_zero}"
    );
}

/// A case whose one limit is on the value of two assets on two chains.
fn of_two_assets() -> Case {
    let other = (0..).map(bundle).find(|case| case.chain == BTC).unwrap();
    let mut case = (0..)
        .map(bundle)
        .find(|case| case.chain == ETH && case.question.asset() == Asset::native(ETH))
        .unwrap();
    let policy = &mut case.policy;
    let both: BTreeSet<Asset> = [Asset::native(ETH), Asset::native(BTC)].into();
    let mut limit = policy.limits[0].clone();
    limit.selector.assets = Some(both.clone());
    limit.selector.effects = Some([EffectKind::Payment].into());
    (limit.says.measure, limit.says.cap) = (Measure::Reference, 7_u64.into());
    (limit.says.window_millis, limit.says.over) = (10, None);
    limit.says.group.clear();
    policy.limits = vec![limit];
    (policy.denies, policy.requires) = (Vec::new(), Vec::new());
    let mut allow = policy.allows[0].clone();
    allow.selector = policy::Selector::default();
    policy.allows = vec![allow];
    policy.chains.extend(other.policy.chains.clone());
    for account in policy.accounts.values_mut() {
        account.chains.insert(BTC);
    }
    let prices = &mut policy.attestations.prices;
    prices.extend(both.into_iter().map(|asset| (asset, rule())));
    case.question.span_millis = 10;
    case.question.leaves = Leaves::Payments {
        asset: Asset::native(ETH),
        outside: None,
    };
    case
}

#[test]
fn a_limit_on_several_assets_is_counted_once() {
    let seven = Some(BigInt::from(7));
    let mut case = of_two_assets();
    assert_eq!(worth_of(&case), seven);
    case.question.span_millis = 25;
    assert_eq!(worth_of(&case), Some(BigInt::from(21)));
    case.question.span_millis = 10;
    // By account, client or source it is as often as there are of these, on both chains together.
    let accounts = case.policy.accounts.len();
    case.policy.limits[0].says.group = [Group::Account].into();
    assert_eq!(worth_of(&case), Some(BigInt::from(7 * accounts)));
    // There is always another destination.
    case.policy.limits[0].says.group = [Group::Destination].into();
    assert_eq!(worth_of(&case), None);
    let mut count = of_two_assets().policy.limits[0].clone();
    (count.says.measure, count.says.cap) = (Measure::Count, 3_u64.into());
    case.policy.limits.push(count);
    assert_eq!(worth_of(&case), Some(BigInt::from(21)));
}

#[test]
fn what_no_limit_on_values_bounds_has_no_bound() {
    let mut case = of_two_assets();
    case.policy.limits[0].selector.assets = Some([Asset::native(ETH)].into());
    assert_eq!(worth_of(&case), None);
    // Without a price it is worth nothing here, and a limit on values refuses it.
    case.policy.attestations.prices.remove(&Asset::native(BTC));
    assert_eq!(worth_of(&case), Some(BigInt::from(7)));
    // An amount bounds no value, but for nothing.
    let prices = &mut case.policy.attestations.prices;
    prices.insert(Asset::native(BTC), rule());
    let mut amount = case.policy.limits[0].clone();
    amount.selector.assets = Some([Asset::native(BTC)].into());
    (amount.says.measure, amount.says.cap) = (Measure::Amount, 1_u64.into());
    case.policy.limits.push(amount);
    assert_eq!(worth_of(&case), None);
    case.policy.limits[1].says.cap = Amount::ZERO;
    assert_eq!(worth_of(&case), Some(BigInt::from(7)));
}

/// What asks for an age, an amount, a signer or a function bounds nothing; what is outstanding neither.
#[test]
fn what_may_not_hold_is_not_looked_at() {
    let with = |change: fn(&mut policy::Statement<policy::Limit>)| {
        let mut case = of_two_assets();
        let mut limit = case.policy.limits[0].clone();
        limit.says.cap = 1_u64.into();
        change(&mut limit);
        case.policy.limits.push(limit);
        worth_of(&case)
    };
    let (one, seven) = (Some(BigInt::from(1)), Some(BigInt::from(7)));
    assert_eq!(with(|_| ()), one);
    assert_eq!(with(|one| one.says.outstanding = true), seven);
    assert_eq!(with(|one| one.selector.age_below = Some(1)), seven);
    assert_eq!(
        with(|one| one.selector.amount_over = Some(5_u64.into())),
        seven
    );
    assert_eq!(
        with(|one| one.selector.signed_by = Some(BTreeSet::new())),
        seven
    );
    let mut case = of_two_assets();
    let mut deny = policy::Statement {
        name: name("deny"),
        at: case.policy.limits[0].at.clone(),
        selector: policy::Selector::default(),
        says: policy::Deny,
    };
    deny.selector.amount_over = Some(0_u64.into());
    case.policy.denies = vec![deny.clone()];
    assert_eq!(worth_of(&case), seven);
    deny.selector.amount_over = None;
    case.policy.denies = vec![deny];
    assert_eq!(worth_of(&case), Some(BigInt::ZERO));
}

/// What calls send and what spenders may take is worth as much as what is paid.
#[test]
fn calls_and_approvals_are_worth_something() {
    let mut case = of_two_assets();
    let native = Asset::native(ETH);
    let contract = Address::evm(ETH, [0xc0; 20]).unwrap();
    let function = tx::evm::Function {
        name: name("stake"),
        signature: tx::evm::Signature::parse("stake(uint256 amount)").unwrap(),
    };
    let declared = &mut case.policy.functions;
    declared.declare(contract, function.into()).unwrap();
    // The limit counts payments; calls are bounded by nothing.
    assert_eq!(worth_of(&case), None);
    let mut calls = case.policy.limits[0].clone();
    calls.selector.effects = Some([EffectKind::Call].into());
    calls.says.cap = 4_u64.into();
    case.policy.limits.push(calls);
    assert_eq!(worth_of(&case), Some(BigInt::from(11)));

    let mut case = of_two_assets();
    let token = Asset::erc20(stranger(Chain::Evm(1), 99));
    case.policy
        .attestations
        .prices
        .insert(token.clone(), rule());
    let assets: BTreeSet<Asset> = [native, Asset::native(BTC), token].into();
    case.policy.limits[0].selector.assets = Some(assets);
    assert_eq!(worth_of(&case), Some(BigInt::from(7)));
    case.policy.allows[0].selector.effects =
        Some([EffectKind::Payment, EffectKind::Approval, EffectKind::Fee].into());
    assert_eq!(worth_of(&case), None, "approvals count in no limit");
    case.policy.limits[0].selector.effects = None;
    assert_eq!(worth_of(&case), Some(BigInt::from(7)));
}
