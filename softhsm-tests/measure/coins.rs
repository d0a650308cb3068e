//! Coin selection: how long it takes in a large wallet, and what it costs beside `bdk_coin_select`.

use std::time::Instant;

use bdk_coin_select::{
    Candidate, ChangePolicy, CoinSelector, DrainWeights, FeeRate, Target, TargetFee, TargetOutputs,
    metrics::LowestFee,
};
use serde_json::json;
use strongroom_softhsm_tests::random::Random;
use tx::{
    Chain, Network,
    utxo::weight::{CoinCosts, Contents},
};
use wallet::chains::utxo::selection::{Problem, select};

use crate::{
    figure::{Figure, rounded},
    machine,
};

/// The figures that there are.
pub const FIGURES: [&str; 2] = ["coin_select_ms", "coin_select_cost_ratio"];

/// Coins in the large wallet.
const LARGE: usize = 100_000;
/// Problems that both solve.
const PROBLEMS: usize = 300;
/// How many rounds the other one may take; more changes its results little and its time much.
const ROUNDS: usize = 20_000;
/// In the large wallet it may take fewer: each takes it long.
const ROUNDS_LARGE: usize = 20;
/// The weight of a P2WPKH output.
const OUTPUT_WEIGHT: u64 = 4 * 31;

/// Measures both figures.
pub fn measure() -> Vec<Figure> {
    vec![time(), cost()]
}

/// The slowest of several amounts, from a coin to a third of the wallet.
fn time() -> Figure {
    let mut random = Random(3);
    let coins: Vec<u64> = (0..LARGE).map(|_| amount(&mut random)).collect();
    let (mut ours, mut theirs) = (0.0_f64, 0.0_f64);
    for paid in [1_000, 1_000_000, 30_000_000, 3_000_000_000, 30_000_000_000] {
        let problem = problem(&coins, paid, 12, 6);
        let began = Instant::now();
        let selection = select(&problem).expect("enough coins");
        ours = ours.max(began.elapsed().as_secs_f64() * 1000.0);
        assert!(!selection.coins.is_empty());
        let began = Instant::now();
        bdk(&problem, ROUNDS_LARGE);
        theirs = theirs.max(began.elapsed().as_secs_f64() * 1000.0);
    }
    Figure {
        figure: "coin_select_ms",
        value: rounded(ours),
        unit: "ms",
        baseline: rounded(theirs),
        detail: json!({ "machine": machine::description(), "coins": LARGE, "bdk_rounds": ROUNDS_LARGE }),
    }
}

/// The mean of the ratios of what both pay: the fee, and what spending the change will take.
fn cost() -> Figure {
    let mut random = Random(7);
    let mut ratios: Vec<f64> = Vec::new();
    for round in 0..PROBLEMS {
        let size = [3, 8, 20, 60, 200, 1_000][round % 6];
        let coins: Vec<u64> = (0..size).map(|_| amount(&mut random)).collect();
        let paid = 1 + random.below(coins.iter().sum());
        let problem = problem(&coins, paid, 1 + random.below(60), 1 + random.below(30));
        let (Ok(ours), Some(theirs)) = (select(&problem), bdk(&problem, ROUNDS)) else {
            continue;
        };
        ratios.push(ours.cost as f64 / theirs as f64);
    }
    assert!(
        ratios.len() > PROBLEMS / 2,
        "only {} problems",
        ratios.len()
    );
    let mean = ratios.iter().sum::<f64>() / ratios.len() as f64;
    let worst = ratios.iter().copied().fold(0.0, f64::max);
    Figure {
        figure: "coin_select_cost_ratio",
        value: rounded(mean),
        unit: "ratio",
        baseline: 1.0,
        detail: json!({
            "problems": ratios.len(), "worst": rounded(worst), "bdk_rounds": ROUNDS,
        }),
    }
}

/// An amount whose number of digits is uniform: wallets hold small and large coins.
fn amount(random: &mut Random) -> u64 {
    let digits = u32::try_from(4 + random.below(5)).expect("few digits");
    1 + random.below(10_u64.pow(digits))
}

/// Those of P2WPKH coins.
fn costs() -> CoinCosts {
    let mut script = [0; 22];
    script[1] = 0x14;
    let chain = Chain::Bitcoin(Network::Mainnet);
    CoinCosts::of(chain, [script.as_slice()]).expect("a script that is spent")
}

fn problem(coins: &[u64], amount: u64, rate: u64, long_term: u64) -> Problem<'_> {
    Problem {
        coins,
        required: &[],
        amount,
        outputs: Contents::default().with_output(22),
        fee_rate_sat_vb: rate,
        long_term_fee_rate_sat_vb: long_term,
        replaced_fee: None,
        costs: costs(),
        inputs_max: 500,
    }
}

/// What bdk's coins cost by our own measure; `None` where it finds none, or pays too little.
fn bdk(problem: &Problem<'_>, rounds: usize) -> Option<u64> {
    let candidate = |value: &u64| Candidate {
        value: *value,
        weight: costs().input_weight,
        input_count: 1,
        is_segwit: true,
    };
    let candidates: Vec<Candidate> = problem.coins.iter().map(candidate).collect();
    let rate = |rate: u64| FeeRate::from_sat_per_vb(rate as f32);
    let target = Target {
        outputs: TargetOutputs::fund_outputs([(OUTPUT_WEIGHT, problem.amount)]),
        fee: TargetFee::from_feerate(rate(problem.fee_rate_sat_vb)),
    };
    let drain_weights = DrainWeights {
        output_weight: OUTPUT_WEIGHT,
        spend_weight: costs().input_weight,
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
    let fixed = Problem {
        coins: &[],
        required: &chosen,
        inputs_max: usize::MAX,
        ..problem.clone()
    };
    select(&fixed).ok().map(|selection| selection.cost)
}
