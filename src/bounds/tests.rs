//! Bounds against what trying everything comes to, by the evaluation that `signerd` runs.

mod brute;
mod bundles;
mod signer;

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
