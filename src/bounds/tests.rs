//! Bounds against what trying everything comes to, by the evaluation that `signerd` runs.

mod brute;
mod bundles;
mod signer;
mod wide;
mod wider;
mod worth;

use num_bigint::BigInt;

use self::{
    brute::{Tried, tried},
    bundles::{Case, bundle},
    signer::Signer,
};
use crate::{
    Bound, agreed, bound,
    defect::{Defect, seed},
};

/// What the steps of a bound let leave, each of which must be permitted; nothing where one is not.
fn accepted(case: &Case, signer: &Signer, found: &Bound) -> Option<u64> {
    let mut signer = signer.clone();
    let left = found.steps.iter().map(|step| signer.sign(case, step));
    left.sum()
}

#[test]
fn of_two_hundred_bundles_the_bound_is_what_trying_everything_comes_to() {
    let (mut compared, mut too_much, mut not_zero, mut steps) = (0, 0, 0, 0);
    for number in 0.. {
        let case = bundle(number);
        let signer = Signer::new(&agreed(&case.policy, &case.question.people));
        let found = bound(&signer.ground(&case), &case.question);
        assert!(found.is_exact(), "bundle {number}: {found:?}");
        let accepted = accepted(&case, &signer, &found);
        let accepted = accepted.unwrap_or_else(|| panic!("bundle {number}: {found:?}"));
        assert_eq!(
            BigInt::from(accepted),
            found.reached,
            "bundle {number}: {found:?}"
        );
        let Tried::All(tried) = tried(&case, &signer, accepted) else {
            too_much += 1;
            continue;
        };
        assert_eq!(found.most, Some(tried.into()), "bundle {number}: {case:#?}");
        compared += 1;
        not_zero += usize::from(tried > 0);
        steps += found.steps.len();
        if compared == 200 {
            break;
        }
    }
    println!(
        "{compared} bundles compared, of {not_zero} something leaves; {steps} requests accepted; \
         {too_much} others had too much to try"
    );
    assert!(not_zero > 100, "of too few something leaves: {not_zero}");
}

/// A value is at least what the floor makes of an amount: a limit on values bounds as a limit on the amount.
#[test]
fn a_limit_on_values_bounds_what_its_floor_makes_of_it() {
    let mut lower = 0;
    for mut case in (0..).map(bundle).take(60) {
        let signer = Signer::new(&case.policy);
        let without = bound(&signer.ground(&case), &case.question);
        let mut limit = case.policy.limits[0].clone();
        let asset = limit
            .selector
            .assets
            .iter()
            .flatten()
            .next()
            .unwrap()
            .clone();
        let mut native = case.clone();
        limit.says.cap = 1_u64.into();
        native.policy.limits.push(limit.clone());
        let signer = Signer::new(&native.policy);
        let native = bound(&signer.ground(&native), &native.question);
        // Three a unit, so that less than six hold one.
        let rule = policy::PriceRule {
            decimals: 0,
            haircut_bp: 0,
            floor: "3".parse().unwrap(),
            max_age_millis: 60_000,
        };
        case.policy.attestations.prices.insert(asset, rule);
        limit.says.measure = policy::Measure::Reference;
        limit.says.cap = 599_999_999_u64.into();
        case.policy.limits.push(limit);
        let signer = Signer::new(&case.policy);
        let found = bound(&signer.ground(&case), &case.question);
        assert_eq!(found.most, native.most);
        assert!(found.steps.is_empty() && found.reached == BigInt::default());
        lower += usize::from(found.most < without.most);
    }
    assert!(lower > 0, "no bound was lower for it");
}

/// What is settled makes room at once, so that over a span such a limit bounds nothing.
#[test]
fn a_limit_on_what_is_outstanding_bounds_nothing() {
    let mut leaving = 0;
    for mut case in (0..).map(bundle).take(20) {
        let signer = Signer::new(&case.policy);
        let without = bound(&signer.ground(&case), &case.question);
        let mut limit = case.policy.limits[0].clone();
        (limit.says.cap, limit.says.outstanding) = (1_u64.into(), true);
        case.policy.limits.push(limit);
        let signer = Signer::new(&case.policy);
        let found = bound(&signer.ground(&case), &case.question);
        assert_eq!(found.most, without.most);
        assert!(found.steps.is_empty() && found.reached == BigInt::default());
        leaving += usize::from(found.most > Some(BigInt::from(1)));
    }
    assert!(leaving > 0, "nothing left that the limit could have held");
}

/// A deny of all that is young would else let nothing leave, for a destination ages.
#[test]
fn what_asks_for_an_age_bounds_nothing() {
    let cases = (0..).map(bundle);
    let mut leaving = 0;
    for mut case in cases.take(20) {
        let signer = Signer::new(&case.policy);
        let without = bound(&signer.ground(&case), &case.question);
        let mut deny = case.policy.limits.first().map(|limit| policy::Statement {
            name: limit.name.clone(),
            at: limit.at.clone(),
            selector: policy::Selector::default(),
            says: policy::Deny,
        });
        if let Some(deny) = &mut deny {
            deny.selector.age_below = Some(60_000);
        }
        case.policy.denies.extend(deny);
        let signer = Signer::new(&case.policy);
        let with = bound(&signer.ground(&case), &case.question);
        assert_eq!(with.most, without.most);
        if case
            .policy
            .denies
            .iter()
            .any(|one| one.selector.age_below.is_some())
        {
            assert!(with.steps.is_empty());
            leaving += usize::from(with.most > Some(BigInt::default()));
        }
    }
    assert!(leaving > 5, "of too few something leaves: {leaving}");
}

#[test]
fn a_defect_would_be_found() {
    let defects = [
        Defect::Counts,
        Defect::Groups,
        Defect::Needs,
        Defect::Windows,
    ];
    let mut found = [0; 4];
    for number in 0..160 {
        let case = bundle(number);
        let signer = Signer::new(&agreed(&case.policy, &case.question.people));
        for (defect, found) in defects.iter().zip(&mut found) {
            seed(Some(*defect));
            let bound = bound(&signer.ground(&case), &case.question);
            seed(None);
            // Too much is not accepted, and too little is not all.
            let is_found = match accepted(&case, &signer, &bound) {
                None => true,
                Some(accepted) => match tried(&case, &signer, accepted) {
                    Tried::All(tried) => bound.most != Some(tried.into()),
                    Tried::TooMuch => false,
                },
            };
            *found += usize::from(is_found);
        }
        if found.iter().all(|found| *found > 0) {
            break;
        }
    }
    println!("bundles in which a defect is found, {defects:?}: {found:?}");
    assert!(found.iter().all(|found| *found > 0), "{found:?}");
}

/// Some of the statements speak of approvals as they do of payments: all limits on everything, an allow at the least.
fn spending(mut case: Case, number: u64) -> Case {
    let both: std::collections::BTreeSet<_> =
        [tx::EffectKind::Payment, tx::EffectKind::Approval].into();
    let turned = |selector: &mut policy::Selector, is: bool| {
        let pays = Some([tx::EffectKind::Payment].into());
        if is && selector.effects == pays {
            selector.effects = Some(both.clone());
        }
    };
    for (place, allow) in case.policy.allows.iter_mut().enumerate() {
        turned(&mut allow.selector, place == 0 || number.is_multiple_of(2));
    }
    for (place, limit) in case.policy.limits.iter_mut().enumerate() {
        turned(&mut limit.selector, place == 0 || number.is_multiple_of(3));
    }
    for deny in &mut case.policy.denies {
        turned(&mut deny.selector, number.is_multiple_of(5));
    }
    case
}

/// What is paid and what spenders may take is never more than the bound, and mostly as much: limits that count both
/// are not counted twice.
#[test]
fn what_spenders_may_take_is_in_the_bound() {
    let (mut compared, mut equal, mut more) = (0, 0, 0);
    let cases = (0..).map(|number| spending(bundle(number), number));
    let of_tokens = cases.filter(|case| {
        let asset = case.question.asset();
        matches!(asset.kind, tx::AssetKind::Erc20(_))
    });
    for case in of_tokens.take(80) {
        let signer = Signer::new(&agreed(&case.policy, &case.question.people));
        let found = bound(&signer.ground(&case), &case.question);
        let accepted = accepted(&case, &signer, &found);
        let accepted = accepted.unwrap_or_else(|| panic!("{found:?}"));
        assert_eq!(BigInt::from(accepted), found.reached, "{found:?}");
        let Tried::All(tried) = tried(&case, &signer, accepted) else {
            continue;
        };
        let most = found.most.clone().unwrap();
        assert!(
            most >= BigInt::from(tried),
            "{tried} of {found:?}: {case:#?}"
        );
        compared += 1;
        equal += usize::from(most == BigInt::from(tried));
        more += usize::from(tried > accepted);
    }
    println!(
        "{compared} bundles compared, {equal} bounds exact, in {more} more leaves by approvals"
    );
    assert!(compared > 20 && more > 3, "{compared} {more}");
    assert!(equal * 2 > compared, "{equal} of {compared}");
}

/// Without an allow that names them nothing passes, and what is paid is all that leaves.
#[test]
fn approvals_pass_by_allows_that_name_them_alone() {
    let mut seen = 0;
    for (number, case) in (0..60).map(|number| (number, bundle(number))) {
        let passing = |case: &Case| {
            let signer = Signer::new(&case.policy);
            let people = Default::default();
            crate::passing(&signer.ground(case), tx::EffectKind::Approval, &people)
        };
        let most = |case: &Case| {
            let signer = Signer::new(&case.policy);
            bound(&signer.ground(case), &case.question).most
        };
        let mut any = case.clone();
        any.policy.allows[0].selector.effects = None;
        assert!(passing(&case).is_empty() && passing(&any).is_empty());
        if matches!(case.question.asset().kind, tx::AssetKind::Erc20(_)) {
            let mut spending = spending(case.clone(), number);
            let token = policy::AssetUnit {
                asset: case.question.asset(),
                decimals: 0,
            };
            let assets = &mut spending.policy.assets;
            assets.insert("token".parse().unwrap(), token);
            assert!(most(&spending) >= most(&case));
            let names = passing(&spending);
            // Several have the same name here.
            let mut giving = spending.policy.allows.clone();
            giving.retain(|allow| allow.selector.gives(tx::EffectKind::Approval));
            let is_one = |name: &tx::Name| giving.iter().any(|allow| allow.name == *name);
            assert!(names.keys().all(is_one));
            seen += names.len();
        }
    }
    assert!(seen > 0, "none passes by any");
}

fn allow(name: &str, kind: tx::EffectKind, asset: &tx::Asset) -> policy::Statement<policy::Allow> {
    policy::Statement {
        name: name.parse().unwrap(),
        at: policy::Location {
            file: "calls.toml".into(),
            line: 1,
        },
        selector: policy::Selector {
            effects: Some([kind].into()),
            assets: Some([asset.clone()].into()),
            ..policy::Selector::default()
        },
        says: policy::Allow,
    }
}

/// What calls send is added to what is paid, and a condition on a function or its arguments makes neither less.
#[test]
fn what_calls_send_leaves_too() {
    let mut more = 0;
    for mut case in (0..).map(bundle).take(60) {
        let asset = case.question.asset();
        let contract = tx::Address::evm(asset.chain, [0xc0; 20]);
        let Some(contract) = contract.filter(|_| asset == tx::Asset::native(asset.chain)) else {
            continue;
        };
        let mut stake = allow("stake", tx::EffectKind::Call, &asset);
        let id = policy::FunctionId {
            contract: contract.clone(),
            signature: "stake(uint256)".into(),
        };
        let only = policy::ArgumentCondition::Among(["1".to_owned()].into());
        stake.selector.functions = Some([(id, [(0, only)].into())].into());
        let fees = allow("call-fees", tx::EffectKind::Fee, &asset);
        case.policy.allows.extend([stake.clone(), fees]);
        let signer = Signer::new(&case.policy);
        let undeclared = bound(&signer.ground(&case), &case.question);
        let passing = crate::passing(
            &signer.ground(&case),
            tx::EffectKind::Call,
            &case.question.people,
        );
        let function = tx::evm::Function {
            name: "stake".parse().unwrap(),
            signature: tx::evm::Signature::parse("stake(uint256 amount)").unwrap(),
        };
        let declared = &mut case.policy.functions;
        declared.declare(contract, function.into()).unwrap();
        let signer = Signer::new(&case.policy);
        let unbounded = bound(&signer.ground(&case), &case.question);
        let mut limit = case.policy.limits[0].clone();
        limit.selector = policy::Selector {
            functions: None,
            ..stake.selector.clone()
        };
        (limit.says.cap, limit.says.window_millis) = (7_u64.into(), 86_400_000);
        (limit.says.measure, limit.says.over) = (policy::Measure::Amount, None);
        limit.says.group.clear();
        case.policy.limits.push(limit.clone());
        let signer = Signer::new(&case.policy);
        let found = bound(&signer.ground(&case), &case.question);
        let most = undeclared.most.clone().map(|paid| paid + 7_u32);
        assert!(
            found.most >= undeclared.most && found.most <= most,
            "{found:?}"
        );
        assert!(unbounded.most.is_none() || unbounded.most >= found.most);
        assert_eq!(found.reached, undeclared.reached);
        more += usize::from(found.most == most && !passing.is_empty());
        // A limit on one function bounds nothing else, and is not looked at.
        limit.selector = stake.selector.clone();
        limit.says.cap = 0_u64.into();
        case.policy.limits.push(limit);
        let signer = Signer::new(&case.policy);
        let again = bound(&signer.ground(&case), &case.question);
        assert_eq!(again.most, found.most);
    }
    assert!(more > 5, "of too few calls send something: {more}");
}
