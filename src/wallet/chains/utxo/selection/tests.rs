#![allow(clippy::arithmetic_side_effects)]

use bdk_coin_select::{
    Candidate, ChangePolicy, CoinSelector, DrainWeights, FeeRate, Target, TargetFee, TargetOutputs,
    metrics::LowestFee,
};
use proptest::prelude::*;
use tx::{Chain, Network};

use super::*;

const BITCOIN: Chain = Chain::Bitcoin(Network::Mainnet);

/// A sequence that is the same in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        // SplitMix64.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound
    }

    /// An amount whose number of digits is uniform: wallets hold small and large coins.
    fn amount(&mut self, digits_max: u64) -> u64 {
        let bound = 10_u64.pow(u32::try_from(4 + self.below(digits_max - 3)).unwrap());
        1 + self.below(bound)
    }
}

/// Those of P2WPKH coins, or of P2TR.
fn costs(script: &[u8]) -> CoinCosts {
    CoinCosts::of(BITCOIN, [script]).unwrap()
}

const P2WPKH: &[u8] = &{
    let mut script = [0; 22];
    script[1] = 0x14;
    script
};
const P2TR: &[u8] = &{
    let mut script = [0; 34];
    (script[0], script[1]) = (0x51, 0x20);
    script
};

fn problem(coins: &[u64], amount: u64, fee_rate_sat_vb: u64) -> Problem<'_> {
    Problem {
        coins,
        required: &[],
        amount,
        outputs: Contents::default().with_output(22),
        fee_rate_sat_vb,
        long_term_fee_rate_sat_vb: fee_rate_sat_vb,
        replaced_fee: None,
        costs: costs(P2WPKH),
        inputs_max: 500,
    }
}

fn held(problem: &Problem<'_>, selection: &Selection) -> u64 {
    let coins = selection.coins.iter().map(|at| problem.coins[*at]);
    coins.sum::<u64>() + problem.required.iter().sum::<u64>()
}

fn vsize(problem: &Problem<'_>, selection: &Selection) -> u64 {
    let inputs = selection.coins.len() + problem.required.len();
    let contents = problem.outputs.with_inputs(inputs, problem.costs);
    match selection.change {
        Some(_) => contents.with_output(problem.costs.script_length).vsize(),
        None => contents.vsize(),
    }
}

/// What bdk selects for the same problem, at what it costs by the same measure.
fn bdk(problem: &Problem<'_>, rounds: usize) -> Option<u64> {
    let candidates: Vec<_> = problem
        .coins
        .iter()
        .map(|value| Candidate {
            value: *value,
            weight: problem.costs.input_weight,
            input_count: 1,
            is_segwit: true,
        })
        .collect();
    let rate = |rate: u64| FeeRate::from_sat_per_vb(rate as f32);
    let target = Target {
        outputs: TargetOutputs::fund_outputs([(4 * 31, problem.amount)]),
        fee: TargetFee::from_feerate(rate(problem.fee_rate_sat_vb)),
    };
    let drain_weights = DrainWeights {
        output_weight: 4 * (9 + problem.costs.script_length as u64),
        spend_weight: problem.costs.input_weight,
        n_outputs: 1,
    };
    let long_term_feerate = rate(problem.long_term_fee_rate_sat_vb);
    let change_policy = ChangePolicy::min_value_and_waste(
        drain_weights,
        problem.costs.dust,
        target.fee.rate,
        long_term_feerate,
    );
    let metric = LowestFee {
        target,
        long_term_feerate,
        change_policy,
    };
    let mut selector = CoinSelector::new(&candidates);
    if selector.run_bnb(metric, rounds).is_err() {
        selector.sort_candidates_by_descending_value_pwu();
        selector.select_until_target_met(target).ok()?;
    }
    let chosen: Vec<u64> = selector.apply_selection(problem.coins).copied().collect();
    let pool = Problem {
        coins: &[],
        required: &chosen,
        ..problem.clone()
    };
    // Its fees are of 32 bits: where they round too low the transaction is not relayed.
    let pool = Pool::new(&pool).unwrap();
    let enough = pool.required >= problem.amount + pool.fee(0, Change::None).unwrap();
    enough.then(|| pool.selection(Vec::new()).unwrap().cost)
}

#[test]
fn costs_no_more_than_bdk() {
    let mut random = Random(7);
    let (mut sum, mut worst, mut count) = (0.0, 0.0_f64, 0.0);
    for round in 0..150 {
        let size = [3, 8, 20, 60, 200][round % 5];
        let coins: Vec<u64> = (0..size).map(|_| random.amount(8)).collect();
        let total: u64 = coins.iter().sum();
        let mut problem = problem(&coins, 1 + random.below(total), 1 + random.below(60));
        problem.long_term_fee_rate_sat_vb = 1 + random.below(30);
        if round % 2 == 1 {
            problem.costs = costs(P2TR);
        }
        let Ok(ours) = select(&problem) else { continue };
        let Some(theirs) = bdk(&problem, 5_000) else {
            continue;
        };
        let ratio = ours.cost as f64 / theirs as f64;
        sum += ratio;
        count += 1.0;
        worst = worst.max(ratio);
    }
    println!(
        "of {count} problems, cost against bdk_coin_select: mean {:.4}, worst {worst:.4}",
        sum / count
    );
    assert!(count >= 120.0, "{count}");
    assert!(sum / count <= 1.01, "{}", sum / count);
    assert!(worst <= 1.01, "{worst}");
}

#[test]
fn finds_what_costs_least_in_small_wallets() {
    let mut random = Random(11);
    for _ in 0..400 {
        let coins: Vec<u64> = (0..10).map(|_| random.amount(6)).collect();
        let amount = 1 + random.below(coins.iter().sum::<u64>());
        let mut problem = problem(&coins, amount, 1 + random.below(20));
        problem.long_term_fee_rate_sat_vb = 1 + random.below(20);
        let least = (1_u32..1 << coins.len())
            .filter_map(|subset| {
                let chosen = coins.iter().enumerate();
                let chosen = chosen.filter(|(at, _)| subset & (1 << at) != 0);
                let chosen: Vec<u64> = chosen.map(|(_, coin)| *coin).collect();
                let fixed = Problem {
                    coins: &[],
                    required: &chosen,
                    ..problem.clone()
                };
                let pool = Pool::new(&fixed).unwrap();
                let enough = pool.required >= amount + pool.fee(0, Change::None).unwrap();
                enough.then(|| pool.selection(Vec::new()).unwrap().cost)
            })
            .min();
        let ours = select(&problem).ok().map(|selection| selection.cost);
        assert_eq!(ours, least, "{problem:?}");
    }
}

#[test]
fn a_hundred_thousand_coins_are_bounded_work() {
    let mut random = Random(3);
    let coins: Vec<u64> = (0..100_000).map(|_| random.amount(8)).collect();
    for amount in [1_000, 1_000_000, 3_000_000_000, 30_000_000_000] {
        let problem = problem(&coins, amount, 12);
        let selection = select(&problem).unwrap();
        let mut inputs = selection.coins.clone();
        inputs.dedup();
        assert_eq!(inputs.len(), selection.coins.len());
    }
}

#[test]
fn an_exact_match_has_no_change() {
    let coins = [70_000, 50_000, 30_110, 8_000];
    let selection = select(&problem(&coins, 80_000 - 68, 1)).unwrap();
    assert_eq!(selection.change, None);
    assert_eq!(selection.coins, [1, 2]);
    assert_eq!(selection.fee, 178);
}

#[test]
fn what_is_not_worth_its_cost_is_not_spent() {
    // An input costs 680 satoshi.
    let coins = [680, 680, 546, 100_000];
    let selection = select(&problem(&coins, 98_500, 10)).unwrap();
    assert_eq!(selection.coins, [3]);
    let refused = select(&problem(&coins, 99_000, 10));
    assert!(matches!(
        refused,
        Err(SelectionError::Insufficient {
            available: 100_000,
            ..
        })
    ));
}

#[test]
fn no_more_than_the_most_inputs() {
    let coins = vec![1_000; 600];
    let mut problem = problem(&coins, 400_000, 1);
    assert_eq!(select(&problem).unwrap().coins.len(), 430);
    problem.amount = 480_000;
    let refused = select(&problem);
    assert!(matches!(
        refused,
        Err(SelectionError::TooManyInputs {
            available: 500_000,
            ..
        })
    ));
}

#[test]
fn large_coins_stay_for_large_payments() {
    let coins = [900_000, 500_000, 60_000, 40_000];
    let selection = select(&problem(&coins, 50_000, 1)).unwrap();
    assert_eq!(selection.coins, [2]);
}

#[test]
fn a_replacement_keeps_its_coins_and_pays_for_its_relay() {
    let coins = [5_000, 90_000];
    let mut problem = problem(&coins, 99_000, 2);
    problem.required = &[100_000];
    problem.replaced_fee = Some(900);
    // 900 and 1 for each of 110 vbytes is more than is left: another coin.
    let selection = select(&problem).unwrap();
    assert_eq!(selection.coins, [0]);
    assert!(selection.fee >= 900 + vsize(&problem, &selection));
    // Where it is not, less change is enough.
    problem.amount = 50_000;
    let selection = select(&problem).unwrap();
    assert!(selection.coins.is_empty());
    assert_eq!(selection.fee, 900 + 141);
}

#[test]
fn amounts_beyond_all_money_are_refused() {
    let coins = [u64::MAX, u64::MAX];
    assert_eq!(
        select(&problem(&coins, 1, 1)),
        Err(SelectionError::Overflow)
    );
    let coins = [1_000_000];
    let dear = problem(&coins, 1, u64::MAX);
    assert_eq!(select(&dear), Err(SelectionError::Overflow));
    let much = problem(&coins, u64::MAX, 1);
    assert_eq!(select(&much), Err(SelectionError::Overflow));
}

proptest! {
    #[test]
    fn sums_to_the_last_satoshi(
        coins in prop::collection::vec(1_u64..5_000_000, 1..40),
        required in prop::collection::vec(1_u64..5_000_000, 0..4),
        amount in 1_u64..40_000_000,
        rates in (1_u64..200, 1_u64..200),
        replaced_fee in prop::option::of(100_u64..50_000),
    ) {
        let problem = Problem {
            required: &required,
            long_term_fee_rate_sat_vb: rates.1,
            replaced_fee: replaced_fee.filter(|_| !required.is_empty()),
            ..problem(&coins, amount, rates.0)
        };
        let Ok(selection) = select(&problem) else { return Ok(()) };
        let change = selection.change.unwrap_or(0);
        prop_assert_eq!(held(&problem, &selection), amount + change + selection.fee);
        prop_assert!(selection.change.is_none_or(|change| change >= problem.costs.dust));
        let vsize = vsize(&problem, &selection);
        prop_assert!(selection.fee >= vsize * rates.0);
        prop_assert!(selection.fee >= problem.replaced_fee.map_or(0, |fee| fee + vsize));
        for at in &selection.coins {
            prop_assert!(coins[*at] > rates.0 * 68);
        }
        let unique: std::collections::BTreeSet<_> = selection.coins.iter().collect();
        prop_assert_eq!(unique.len(), selection.coins.len());
        prop_assert_eq!(select(&problem).unwrap(), selection);
    }
}
