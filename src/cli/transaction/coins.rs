//! Which coins to spend, and what that costs.

use tx::utxo::{
    Outpoint,
    weight::{CoinCosts, Contents},
};

use super::error::TransactionError;

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
    /// What a coin costs to be spent, and to be made as change.
    pub costs: CoinCosts,
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
        let fee = self.fee(inputs, None)?;
        self.amount
            .checked_add(fee)
            .ok_or(TransactionError::FeeOverflow)
    }

    fn with_rest(&self, coins: Vec<Coin>, rest: u64) -> Result<Selection, TransactionError> {
        let fee = self.fee(coins.len(), None)?;
        let with_change = self.fee(coins.len(), Some(self.costs.script_length))?;
        let change_cost = with_change.saturating_sub(fee);
        let spending = self.costs.spending(self.fee_rate_sat_vb);
        let spending = spending.ok_or(TransactionError::FeeOverflow)?;
        let least = self.costs.dust.max(spending);
        let change = rest
            .checked_sub(change_cost)
            .filter(|change| *change >= least);
        let fee = match change {
            Some(_) => with_change,
            None => fee.saturating_add(rest),
        };
        Ok(Selection { coins, change, fee })
    }

    fn fee(&self, inputs: usize, change: Option<usize>) -> Result<u64, TransactionError> {
        let contents = Contents::default().with_inputs(inputs, self.costs);
        let contents = contents.with_output(self.script_length);
        let contents = change.map_or(contents, |length| contents.with_output(length));
        contents
            .vsize()
            .checked_mul(self.fee_rate_sat_vb)
            .ok_or(TransactionError::FeeOverflow)
    }
}

#[cfg(test)]
mod tests {
    use tx::{Chain, Network};

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

    /// Those of P2WPKH coins.
    fn costs(chain: Chain) -> CoinCosts {
        let mut script = [0; 22];
        script[1] = 0x14;
        CoinCosts::of(chain, [script.as_slice()]).unwrap()
    }

    fn payment(amount: u64) -> Payment {
        Payment {
            costs: costs(Chain::Bitcoin(Network::Regtest)),
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
        litecoin.costs = costs(Chain::Litecoin(Network::Regtest));
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
