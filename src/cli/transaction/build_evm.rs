//! `tx build evm`: an EIP-1559 transfer.

use std::path::Path;

use clap::Args;
use serde::{Deserialize, Deserializer, de};
use serde_json::json;
use tx::evm::{Action, Fees, Terms, Unsigned};
use tx::{Address, Amount, Chain, Transaction};

use super::Out;
use super::base_units::{native_units, parse};
use super::error::TransactionError;
use crate::rpc::{Node, NodeArgs};

/// What a transfer to an account without code costs, exactly.
const PLAIN_TRANSFER_GAS: u64 = 21_000;

/// How many of the last blocks tell the priority fee.
const FEE_HISTORY_BLOCKS: u64 = 20;

/// Below whose priority fee half of a block's gas paid.
const FEE_HISTORY_PERCENTILE: u64 = 50;

/// The function selector of `transfer(address,uint256)`.
const TRANSFER_SELECTOR: [u8; 4] = [0xa9, 0x05, 0x9c, 0xbb];

/// `strongroom tx build evm`.
#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("what").required(true).args(["value", "amount", "cancel"]))]
pub struct Build {
    #[command(flatten)]
    node: NodeArgs,
    /// The chain the node must be of, as eip155:1. Unless given, whatever the node is of.
    #[arg(long)]
    chain: Option<Chain>,
    /// Who sends.
    #[arg(long, value_name = "ADDRESS")]
    from: String,
    /// Who is paid.
    #[arg(
        long,
        value_name = "ADDRESS",
        required_unless_present = "cancel",
        conflicts_with = "cancel"
    )]
    to: Option<String>,
    /// How much of the native coin: wei, or as 0.5ether or 30gwei.
    #[arg(long, value_name = "AMOUNT")]
    value: Option<String>,
    /// The contract of the ERC-20 token to send.
    #[arg(long, value_name = "ADDRESS", requires = "amount", conflicts_with_all = ["value", "cancel"])]
    token: Option<String>,
    /// How much of the token, in its base units.
    #[arg(long, requires = "token")]
    amount: Option<String>,
    /// Send nothing to the sender itself, to consume a nonce. Needs --nonce.
    #[arg(long, requires = "nonce")]
    cancel: bool,
    /// The nonce. Unless given, the next one, after what is pending at the node.
    #[arg(long)]
    nonce: Option<u64>,
    /// The most gas. Unless given, what the node estimates and, for contracts, a fifth more.
    #[arg(long)]
    gas_limit: Option<u64>,
    /// The most to pay for a unit of gas, in wei or as 30gwei. Unless given, twice the next base fee,
    /// and the priority fee.
    #[arg(long, value_name = "AMOUNT")]
    max_fee_per_gas: Option<String>,
    /// The most to pay the proposer for a unit of gas. Unless given, the median of recent blocks.
    #[arg(long, value_name = "AMOUNT")]
    max_priority_fee_per_gas: Option<String>,
    #[command(flatten)]
    out: Out,
}

/// A JSON-RPC quantity: `0x` and hexadecimal digits without leading zeros.
#[derive(Clone, Copy, Debug)]
struct Quantity(u128);

impl<'de> Deserialize<'de> for Quantity {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        let digits = text
            .strip_prefix("0x")
            .filter(|digits| !digits.starts_with('+'));
        let number = digits.and_then(|digits| u128::from_str_radix(digits, 16).ok());
        number
            .map(Self)
            .ok_or_else(|| de::Error::custom("not a quantity below 2^128"))
    }
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct FeeHistory {
    #[serde(default)]
    base_fee_per_gas: Vec<Quantity>,
    #[serde(default)]
    reward: Option<Vec<Vec<Quantity>>>,
}

impl Build {
    /// Where the transaction goes.
    pub fn out(&self) -> Option<&Path> {
        self.out.out.as_deref()
    }

    /// Asks the node and builds the transaction.
    ///
    /// # Errors
    /// What the node answers, and what the signer would refuse in any case.
    pub fn transaction(&self) -> Result<Transaction, TransactionError> {
        let node = self.node.node().map_err(TransactionError::Rpc)?;
        let chain = self.chain(&node)?;
        let from =
            Address::parse(chain, &self.from).map_err(TransactionError::address("--from"))?;
        let action = self.action(chain, &from)?;
        let fees = self.fees(chain, &node)?;
        let nonce = match self.nonce {
            Some(nonce) => nonce,
            None => quantity_u64(
                &node,
                "eth_getTransactionCount",
                json!([from.to_string(), "pending"]),
            )?,
        };
        let gas_limit = match self.gas_limit {
            Some(gas_limit) => gas_limit,
            None => gas_limit(&node, &from, &action)?,
        };
        let unsigned = Unsigned::new(
            chain,
            Terms {
                nonce,
                gas_limit,
                fees,
            },
            action,
        )
        .map_err(|refusal| TransactionError::refused(tx::Refusal::Evm(refusal)))?;
        Ok(Transaction::Eip2718 {
            chain,
            from: from.to_string(),
            payload: unsigned.payload(),
        })
    }

    fn chain(&self, node: &Node) -> Result<Chain, TransactionError> {
        let chain = Chain::Evm(quantity_u64(node, "eth_chainId", json!([]))?);
        match self.chain {
            Some(expected) if expected != chain => Err(TransactionError::OtherChain {
                expected,
                actual: chain.to_string(),
            }),
            _ => Ok(chain),
        }
    }

    fn action(&self, chain: Chain, from: &Address) -> Result<Action, TransactionError> {
        if self.cancel {
            return Ok(Action::cancellation(from.clone()));
        }
        let to = self.to.as_deref().unwrap_or_default();
        let to = Address::parse(chain, to).map_err(TransactionError::address("--to"))?;
        let Some(token) = &self.token else {
            let value = self.value.as_deref().unwrap_or_default();
            let value =
                parse(value, native_units(chain)).map_err(TransactionError::amount("--value"))?;
            return Ok(Action::Native { to, value });
        };
        let token = Address::parse(chain, token).map_err(TransactionError::address("--token"))?;
        // How many decimals a token has is its contract's claim: no units, so nothing to misread.
        let amount = self.amount.as_deref().unwrap_or_default();
        let amount = parse(amount, &[]).map_err(TransactionError::amount("--amount"))?;
        Ok(Action::Erc20 { token, to, amount })
    }

    fn fees(&self, chain: Chain, node: &Node) -> Result<Fees, TransactionError> {
        let given = |text: &Option<String>, option| {
            let read = |text: &String| {
                parse(text, native_units(chain)).map_err(TransactionError::amount(option))
            };
            text.as_ref().map(read).transpose()
        };
        let max_fee = given(&self.max_fee_per_gas, "--max-fee-per-gas")?;
        let priority = given(&self.max_priority_fee_per_gas, "--max-priority-fee-per-gas")?;
        if let (Some(max_fee_per_gas), Some(max_priority_fee_per_gas)) = (max_fee, priority) {
            return Ok(Fees::Eip1559 {
                max_fee_per_gas,
                max_priority_fee_per_gas,
            });
        }
        let params = json!([
            format!("{FEE_HISTORY_BLOCKS:#x}"),
            "latest",
            [FEE_HISTORY_PERCENTILE]
        ]);
        let history: FeeHistory = node
            .call("eth_feeHistory", params)
            .map_err(TransactionError::Rpc)?;
        // The last entry is that of the block to come.
        let base_fee = history
            .base_fee_per_gas
            .last()
            .ok_or(TransactionError::NoBaseFee)?
            .0;
        let priority = match priority {
            Some(priority) => priority,
            None => Amount::from(recent_priority_fee(node, &history)?),
        };
        let doubled = base_fee
            .checked_mul(2)
            .ok_or(TransactionError::FeeOverflow)?;
        let suggested = Amount::from(doubled)
            .checked_add(priority)
            .ok_or(TransactionError::FeeOverflow)?;
        Ok(Fees::Eip1559 {
            max_fee_per_gas: max_fee.unwrap_or(suggested),
            max_priority_fee_per_gas: priority,
        })
    }
}

/// The median over the recent blocks that had transactions, or the node's own suggestion.
fn recent_priority_fee(node: &Node, history: &FeeHistory) -> Result<u128, TransactionError> {
    let rewards = history
        .reward
        .iter()
        .flatten()
        .filter_map(|block| block.first());
    let mut rewards: Vec<u128> = rewards
        .map(|reward| reward.0)
        .filter(|reward| *reward > 0)
        .collect();
    rewards.sort_unstable();
    match rewards.get(rewards.len() / 2) {
        Some(median) => Ok(*median),
        None => {
            let suggested: Quantity = node
                .call("eth_maxPriorityFeePerGas", json!([]))
                .map_err(TransactionError::Rpc)?;
            Ok(suggested.0)
        }
    }
}

fn gas_limit(node: &Node, from: &Address, action: &Action) -> Result<u64, TransactionError> {
    let call = match action {
        Action::Native { to, value } => {
            json!({ "from": from.to_string(), "to": to.to_string(), "value": hex_quantity(*value) })
        }
        Action::Erc20 { token, to, amount } => {
            let data = [
                &TRANSFER_SELECTOR,
                [0; 12].as_slice(),
                to.as_bytes(),
                &amount.to_be_bytes(),
            ]
            .concat();
            json!({ "from": from.to_string(), "to": token.to_string(), "data": hex::encode_prefixed(data) })
        }
        Action::Approve { token, .. } => json!({
            "from": from.to_string(),
            "to": token.to_string(),
            "data": hex::encode_prefixed(action.calldata()),
        }),
        Action::Call {
            contract,
            value,
            call,
        } => json!({
            "from": from.to_string(),
            "to": contract.to_string(),
            "value": hex_quantity(*value),
            "data": hex::encode_prefixed(call.encode()),
        }),
    };
    let estimate = quantity_u64(node, "eth_estimateGas", json!([call]))?;
    // A contract may need more by the time it runs.
    let margin = if estimate == PLAIN_TRANSFER_GAS {
        0
    } else {
        estimate / 5
    };
    estimate
        .checked_add(margin)
        .ok_or(TransactionError::FeeOverflow)
}

fn hex_quantity(amount: Amount) -> String {
    let digits = hex::encode(amount.to_be_bytes());
    let significant = digits.trim_start_matches('0');
    format!(
        "0x{}",
        if significant.is_empty() {
            "0"
        } else {
            significant
        }
    )
}

fn quantity_u64(
    node: &Node,
    method: &'static str,
    params: serde_json::Value,
) -> Result<u64, TransactionError> {
    let quantity: Quantity = node.call(method, params).map_err(TransactionError::Rpc)?;
    u64::try_from(quantity.0).map_err(|_| TransactionError::FeeOverflow)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_hexadecimal() {
        let read = |text: &str| {
            serde_json::from_str::<Quantity>(text)
                .map(|quantity| quantity.0)
                .ok()
        };
        assert_eq!(read("\"0x0\""), Some(0));
        assert_eq!(read("\"0xff\""), Some(255));
        for text in [
            "\"\"", "\"0x\"", "\"255\"", "255", "\"0x+1\"", "\"-0x1\"", "null",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
        assert_eq!(hex_quantity(Amount::ZERO), "0x0");
        assert_eq!(hex_quantity(Amount::from(4096_u64)), "0x1000");
    }
}
