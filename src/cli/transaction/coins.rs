//! Which coins to spend, and what that costs.

use tx::Chain;
use tx::utxo::Outpoint;

use super::error::TransactionError;

/// What a coin must be worth, beyond the cost of spending it, to be made as change: below it nodes do
/// not relay a P2WPKH output (Core's `GetDustThreshold` at the default `-dustrelayfee`).
fn dust(chain: Chain) -> u64 {
    match chain {
        Chain::Litecoin(_) => 2940,
        _ => 294,
    }
}

/// The weight of a transaction without inputs and outputs: version, lock time, two counts, and the
/// marker and flag of a witness (BIP-141).
const OVERHEAD_WEIGHT: u64 = 4 * (4 + 4 + 1 + 1) + 2;

/// The counts take two bytes more each from 253 on.
const LONG_COUNTS_WEIGHT: u64 = 4 * 4;

/// A P2WPKH input: outpoint, empty script, sequence; two items, a signature of at most 72 bytes with
/// its hash type, a key. The longest is taken, so that the rate is never below what was asked for.
const INPUT_WEIGHT: u64 = 4 * (36 + 1 + 4) + 1 + (1 + 72) + (1 + 33);

/// A P2WPKH output as change.
const CHANGE_WEIGHT: u64 = output_weight(22);

/// What it will take to spend the change.
const CHANGE_INPUT_VBYTES: u64 = INPUT_WEIGHT.div_ceil(4);

const fn output_weight(script_length: u64) -> u64 {
    4 * (8 + 1 + script_length)
}

/// A coin that can be spent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Coin {
    /// Where it is.
    pub outpoint: Outpoint,
    /// What it holds, as the node's list says; its transaction tells.
    pub amount: u64,
    /// The height of its block.
    pub height: u64,
}

/// What is to be paid.
#[derive(Clone, Copy, Debug)]
pub struct Payment {
    /// The chain.
    pub chain: Chain,
    /// How much.
    pub amount: u64,
    /// The length of the destination's script.
    pub script_length: usize,
    /// What to pay for a vbyte.
    pub fee_rate_sat_vb: u64,
    /// The most coins to spend.
    pub max_inputs: usize,
}

/// Coins that pay it, with what remains.
#[derive(Debug, PartialEq, Eq)]
pub struct Selection {
    /// The coins.
    pub coins: Vec<Coin>,
    /// The change; none when it would not be worth its cost.
    pub change: Option<u64>,
    /// What goes to the miners.
    pub fee: u64,
}

impl Payment {
    /// Takes coins in their order until they pay the amount and the fee.
    ///
    /// `spendable` is asked about each coin before it is taken.
    ///
    /// # Errors
    /// [`TransactionError::Insufficient`], [`TransactionError::TooManyInputs`], and those of `spendable`.
    pub fn select(
        &self,
        coins: impl IntoIterator<Item = Coin>,
        mut spendable: impl FnMut(&Coin) -> Result<bool, TransactionError>,
    ) -> Result<Selection, TransactionError> {
        let mut chosen: Vec<Coin> = Vec::new();
        let mut available: u64 = 0;
        for coin in coins {
            if available >= self.needed(chosen.len())? && !chosen.is_empty() {
                break;
            }
            if !spendable(&coin)? {
                continue;
            }
            if chosen.len() == self.max_inputs {
                let needed = self.needed(chosen.len())?;
                return Err(TransactionError::TooManyInputs {
                    max_inputs: self.max_inputs,
                    available,
                    needed,
                });
            }
            available = available
                .checked_add(coin.amount)
                .ok_or(TransactionError::FeeOverflow)?;
            chosen.push(coin);
        }
        let needed = self.needed(chosen.len())?;
        match available.checked_sub(needed) {
            Some(rest) if !chosen.is_empty() => self.with_rest(chosen, rest),
            _ => Err(TransactionError::Insufficient {
                coins: chosen.len(),
                available,
                needed,
            }),
        }
    }

    /// The amount and the fee without change.
    fn needed(&self, inputs: usize) -> Result<u64, TransactionError> {
        let fee = self.fee(inputs, 0)?;
        self.amount
            .checked_add(fee)
            .ok_or(TransactionError::FeeOverflow)
    }

    fn with_rest(&self, coins: Vec<Coin>, rest: u64) -> Result<Selection, TransactionError> {
        let fee = self.fee(coins.len(), 0)?;
        let change_cost = self.fee(coins.len(), CHANGE_WEIGHT)?.saturating_sub(fee);
        let spend_cost = self.fee_rate_sat_vb.saturating_mul(CHANGE_INPUT_VBYTES);
        let least = dust(self.chain).max(spend_cost);
        let change = rest
            .checked_sub(change_cost)
            .filter(|change| *change >= least);
        let fee = match change {
            Some(_) => fee.saturating_add(change_cost),
            None => fee.saturating_add(rest),
        };
        Ok(Selection { coins, change, fee })
    }

    fn fee(&self, inputs: usize, change_weight: u64) -> Result<u64, TransactionError> {
        let inputs = inputs as u64;
        let long = if inputs > 252 { LONG_COUNTS_WEIGHT } else { 0 };
        let outputs = output_weight(self.script_length as u64).saturating_add(change_weight);
        let weight = OVERHEAD_WEIGHT.saturating_add(long).saturating_add(outputs);
        let weight = weight.saturating_add(inputs.saturating_mul(INPUT_WEIGHT));
        weight
            .div_ceil(4)
            .checked_mul(self.fee_rate_sat_vb)
            .ok_or(TransactionError::FeeOverflow)
    }
}

#[cfg(test)]
mod tests {
    use tx::Network;

    use super::*;

    fn coin(vout: u32, amount: u64) -> Coin {
        Coin {
            outpoint: Outpoint {
                txid: [1; 32],
                vout,
            },
            amount,
            height: 1,
        }
    }

    fn payment(amount: u64) -> Payment {
        Payment {
            chain: Chain::Bitcoin(Network::Regtest),
            amount,
            script_length: 22,
            fee_rate_sat_vb: 2,
            max_inputs: 3,
        }
    }

    fn all(_: &Coin) -> Result<bool, TransactionError> {
        Ok(true)
    }

    #[test]
    fn sums_to_the_last_satoshi() {
        for amount in [1_000, 50_000, 99_000, 99_400, 99_600, 99_700, 150_000] {
            let selection = payment(amount)
                .select([coin(0, 100_000), coin(1, 90_000)], all)
                .unwrap();
            let inputs: u64 = selection.coins.iter().map(|coin| coin.amount).sum();
            assert_eq!(
                inputs,
                amount + selection.change.unwrap_or(0) + selection.fee,
                "{amount}"
            );
        }
    }

    #[test]
    fn known_sizes() {
        // One input, two outputs: 141 vbytes with a signature of 72 bytes, as every wallet shows it.
        let selection = payment(50_000).select([coin(0, 100_000)], all).unwrap();
        assert_eq!(selection.fee, 2 * 141);
        assert_eq!(selection.change, Some(50_000 - 282));
    }

    #[test]
    fn change_not_worth_making_goes_to_the_fee() {
        let without_change = 2 * 110;
        let selection = payment(100_000 - without_change - 100)
            .select([coin(0, 100_000)], all)
            .unwrap();
        assert_eq!(
            (selection.change, selection.fee),
            (None, without_change + 100)
        );
        let mut litecoin = payment(90_000);
        litecoin.chain = Chain::Litecoin(Network::Regtest);
        assert_eq!(
            litecoin.select([coin(0, 92_500)], all).unwrap().change,
            None
        );
        assert_eq!(
            payment(90_000)
                .select([coin(0, 92_500)], all)
                .unwrap()
                .change,
            Some(2_218)
        );
    }

    #[test]
    fn refuses_what_it_cannot_pay() {
        let coins = || (0..5).map(|vout| coin(vout, 1_000));
        assert!(matches!(
            payment(4_000).select(coins(), all),
            Err(TransactionError::TooManyInputs {
                max_inputs: 3,
                available: 3_000,
                ..
            })
        ));
        assert!(matches!(
            payment(900).select([coin(0, 1_000)], all),
            Err(TransactionError::Insufficient {
                coins: 1,
                available: 1_000,
                needed: 1_120
            })
        ));
        assert!(matches!(
            payment(0).select([], all),
            Err(TransactionError::Insufficient { coins: 0, .. })
        ));
        assert!(matches!(
            payment(u64::MAX).select(coins(), all),
            Err(TransactionError::FeeOverflow)
        ));
    }

    #[test]
    fn passes_over_what_cannot_be_spent_now() {
        let selection = payment(500).select([coin(0, 9_000), coin(1, 8_000)], |coin| {
            Ok(coin.outpoint.vout == 1)
        });
        assert_eq!(selection.unwrap().coins, [coin(1, 8_000)]);
    }
}
