//! Rates of fees, as far as a policy tells them apart.

use std::collections::BTreeSet;

use num_bigint::BigInt;
use policy::Policy;
use tx::{Amount, Chain, FeeTerms};

use crate::{destinations::selectors, question::number};

/// Rates above the one and up to the other.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rate {
    over: Option<Amount>,
    most: Option<Amount>,
}

impl Rate {
    /// The least and the most that fees of these rates come to.
    pub(crate) fn amounts(&self, (small, large): (u64, u64)) -> (BigInt, Option<BigInt>) {
        let least = self.over.map(|over| number(over) * small);
        let most = self.most.map(|most| number(most) * large);
        (least.unwrap_or_default(), most)
    }

    /// Terms of one of these rates.
    pub(crate) fn terms(&self, chain: Chain) -> FeeTerms {
        let next = |over: Amount| over.checked_add(Amount::ONE).unwrap_or(Amount::MAX);
        let rate = self.most.or(self.over.map(next)).unwrap_or(Amount::ZERO);
        match chain {
            Chain::Evm(_) => FeeTerms::Evm {
                max_fee_per_gas: rate,
                max_priority_fee_per_gas: Amount::ZERO,
                gas_limit: 1,
            },
            _ => FeeTerms::Utxo {
                fee: rate.to_u64().unwrap_or(u64::MAX),
                vsize: 1,
            },
        }
    }
}

/// Terms that only a fee is asked for.
pub(crate) fn no_rate(chain: Chain) -> FeeTerms {
    Rate {
        over: None,
        most: Some(Amount::ZERO),
    }
    .terms(chain)
}

/// The rates, parted where statements tell them apart.
pub(crate) fn rates(policy: &Policy) -> Vec<Rate> {
    let edges = selectors(policy);
    let edges = edges
        .flat_map(|one| [one.fee_rate_max, one.fee_rate_over])
        .flatten();
    let edges: BTreeSet<Amount> = edges.collect();
    let mut rates = Vec::new();
    let mut over = None;
    for edge in edges {
        rates.push(Rate {
            over,
            most: Some(edge),
        });
        over = Some(edge);
    }
    rates.push(Rate { over, most: None });
    rates
}
