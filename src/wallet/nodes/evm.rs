//! A node of an EVM chain.

use async_trait::async_trait;
use rpc::CallError;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};
use tx::{Address, Amount, Chain, evm::Action};

use super::{
    BlockTag, EvmBlock, EvmLog, EvmNode, EvmReceipt, EvmTransaction, FeeHistory, NodeError,
    hexadecimal::{Data, Fixed, Hash, Quantity, quantity_text, u64_of},
    sent,
};
use crate::{evidence::BlockRef, lane::SendOutcome};

/// How many of the last blocks tell the priority fee.
const FEE_HISTORY_BLOCKS: usize = 20;

/// Below whose priority fee half of a block's gas paid.
const FEE_HISTORY_PERCENTILE: u64 = 50;

/// `transfer(address,uint256)` (EIP-20).
const TRANSFER_SELECTOR: [u8; 4] = [0xa9, 0x05, 0x9c, 0xbb];

/// `balanceOf(address)` (EIP-20).
const BALANCE_OF_SELECTOR: [u8; 4] = [0x70, 0xa0, 0x82, 0x31];

/// What nodes say of a transaction that they have in their pool: Geth and those after it, Nethermind,
/// anvil.
const KNOWN: [&str; 3] = ["already known", "alreadyknown", "already imported"];

/// Besu's word for it, and Geth's of old. In the middle of a sentence it could be "unknown".
const KNOWN_AT_FIRST: &str = "known transaction";

/// A node of an EVM chain, by its JSON-RPC.
#[derive(Debug)]
pub struct EvmRpc {
    chain: Chain,
    node: rpc::Node,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct BlockAnswer {
    #[serde(deserialize_with = "u64_of")]
    number: u64,
    hash: Hash,
    parent_hash: Hash,
}

#[derive(Deserialize)]
struct BodiesAnswer {
    #[serde(deserialize_with = "u64_of")]
    number: u64,
    hash: Hash,
    transactions: Vec<TransactionAnswer>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct TransactionAnswer {
    hash: Hash,
    from: Fixed<20>,
    #[serde(deserialize_with = "u64_of")]
    nonce: u64,
    block_hash: Hash,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ReceiptAnswer {
    transaction_hash: Hash,
    block_hash: Hash,
    #[serde(deserialize_with = "u64_of")]
    block_number: u64,
    #[serde(deserialize_with = "u64_of")]
    status: u64,
    #[serde(deserialize_with = "u64_of")]
    gas_used: u64,
    effective_gas_price: Quantity,
    logs: Vec<LogAnswer>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct LogAnswer {
    address: Fixed<20>,
    topics: Vec<Fixed<32>>,
    data: Data,
    transaction_hash: Hash,
    block_hash: Hash,
    #[serde(default)]
    removed: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct FeeHistoryAnswer {
    base_fee_per_gas: Vec<Quantity>,
    gas_used_ratio: Vec<f64>,
    #[serde(default)]
    reward: Option<Vec<Vec<Quantity>>>,
}

impl EvmRpc {
    /// The node of the chain with this id.
    pub fn new(chain_id: u64, node: rpc::Node) -> Self {
        Self {
            chain: Chain::Evm(chain_id),
            node,
        }
    }

    async fn ask<T: DeserializeOwned>(
        &self,
        method: &'static str,
        params: Value,
    ) -> Result<T, NodeError> {
        Ok(self.node.call(method, params).await?)
    }

    async fn number(&self, method: &'static str, params: Value) -> Result<u64, NodeError> {
        let number: Quantity = self.ask(method, params).await?;
        number
            .u64()
            .map_err(|error: serde_json::Error| garbage(&error.to_string()))
    }

    fn address(&self, Fixed(bytes): Fixed<20>) -> Result<Address, NodeError> {
        Address::evm(self.chain, bytes).ok_or_else(|| garbage("an address of no EVM chain"))
    }

    fn receipt_of(&self, txid: &str, answer: ReceiptAnswer) -> Result<EvmReceipt, NodeError> {
        let hash = answer.transaction_hash;
        if !hash.text().eq_ignore_ascii_case(txid) {
            return Err(garbage("the receipt of another transaction"));
        }
        let succeeded = match answer.status {
            0 => false,
            1 => true,
            _ => return Err(garbage("a receipt's status is 0 or 1")),
        };
        let log = |log: LogAnswer| {
            let here = log.transaction_hash == hash && log.block_hash == answer.block_hash;
            if !here || log.removed || log.topics.len() > 4 {
                return Err(garbage("a receipt with a log of something else"));
            }
            Ok(EvmLog {
                address: self.address(log.address)?,
                topics: log.topics.into_iter().map(|Fixed(topic)| topic).collect(),
                data: log.data.0,
            })
        };
        Ok(EvmReceipt {
            txid: hash.text(),
            block: BlockRef {
                height: answer.block_number,
                hash: answer.block_hash.text(),
            },
            succeeded,
            gas_used: answer.gas_used,
            effective_gas_price: answer.effective_gas_price.0,
            logs: answer.logs.into_iter().map(log).collect::<Result<_, _>>()?,
        })
    }
}

#[async_trait]
impl EvmNode for EvmRpc {
    fn name(&self) -> &str {
        self.node.name()
    }

    async fn chain_id(&self) -> Result<u64, NodeError> {
        self.number("eth_chainId", json!([])).await
    }

    async fn block(&self, which: BlockTag) -> Result<Option<EvmBlock>, NodeError> {
        let params = json!([tag(which), false]);
        let answer: Option<BlockAnswer> = self.ask("eth_getBlockByNumber", params).await?;
        let Some(answer) = answer else {
            return Ok(None);
        };
        check_number(which, answer.number)?;
        Ok(Some(EvmBlock {
            block: BlockRef {
                height: answer.number,
                hash: answer.hash.text(),
            },
            parent: answer.parent_hash.text(),
        }))
    }

    async fn transactions(&self, number: u64) -> Result<Option<Vec<EvmTransaction>>, NodeError> {
        let which = BlockTag::Number(number);
        let params = json!([tag(which), true]);
        let answer: Option<BodiesAnswer> = self.ask("eth_getBlockByNumber", params).await?;
        let Some(answer) = answer else {
            return Ok(None);
        };
        check_number(which, answer.number)?;
        let transaction = |body: TransactionAnswer| {
            if body.block_hash != answer.hash {
                return Err(garbage("a block with a transaction of another"));
            }
            Ok(EvmTransaction {
                txid: body.hash.text(),
                from: self.address(body.from)?,
                nonce: body.nonce,
            })
        };
        let transactions = answer.transactions.into_iter().map(transaction);
        transactions.collect::<Result<_, _>>().map(Some)
    }

    async fn nonce(&self, of: &Address, at: BlockTag) -> Result<u64, NodeError> {
        let params = json!([of.to_string(), tag(at)]);
        self.number("eth_getTransactionCount", params).await
    }

    async fn receipt(&self, txid: &str) -> Result<Option<EvmReceipt>, NodeError> {
        let answer: Option<ReceiptAnswer> =
            self.ask("eth_getTransactionReceipt", json!([txid])).await?;
        answer
            .map(|answer| self.receipt_of(txid, answer))
            .transpose()
    }

    async fn fee_history(&self) -> Result<FeeHistory, NodeError> {
        let params = json!([
            format!("{FEE_HISTORY_BLOCKS:#x}"),
            "latest",
            [FEE_HISTORY_PERCENTILE]
        ]);
        let answer: FeeHistoryAnswer = self.ask("eth_feeHistory", params).await?;
        answer.history()
    }

    async fn estimate_gas(&self, from: &Address, action: &Action) -> Result<u64, NodeError> {
        let gas = self.number("eth_estimateGas", json!([call(from, action)]));
        match gas.await? {
            0 => Err(garbage("nothing runs without gas")),
            gas => Ok(gas),
        }
    }

    async fn balance(&self, of: &Address, at: BlockTag) -> Result<Amount, NodeError> {
        let params = json!([of.to_string(), tag(at)]);
        let balance: Quantity = self.ask("eth_getBalance", params).await?;
        Ok(balance.0)
    }

    async fn token_balance(
        &self,
        token: &Address,
        of: &Address,
        at: BlockTag,
    ) -> Result<Amount, NodeError> {
        let data = [&BALANCE_OF_SELECTOR, [0; 12].as_slice(), of.as_bytes()].concat();
        let call = json!({ "to": token.to_string(), "data": hex::encode_prefixed(data) });
        let Fixed(balance): Fixed<32> = self.ask("eth_call", json!([call, tag(at)])).await?;
        Ok(Amount::from_be_bytes(balance))
    }

    async fn send(&self, raw: &str) -> SendOutcome {
        let raw = format!("0x{}", raw.trim_start_matches("0x"));
        let answer = self.node.call("eth_sendRawTransaction", json!([raw])).await;
        match answer {
            Ok(Fixed::<32>(_)) => SendOutcome::Taken,
            Err(CallError::Refused { message, .. }) if is_known(&message) => SendOutcome::Taken,
            Err(error) => sent(&error),
        }
    }
}

impl FeeHistoryAnswer {
    fn history(self) -> Result<FeeHistory, NodeError> {
        let blocks = self.gas_used_ratio.len();
        let rewards = self.reward.unwrap_or_default();
        let fits = self.base_fee_per_gas.len() == blocks.saturating_add(1)
            && blocks <= FEE_HISTORY_BLOCKS
            && (rewards.len() == blocks || rewards.is_empty())
            && rewards.iter().all(|reward| reward.len() == 1);
        let Some(next) = self.base_fee_per_gas.last().filter(|_| fits) else {
            return Err(garbage("a fee history whose parts do not fit together"));
        };
        let with_transactions = rewards.into_iter().zip(self.gas_used_ratio);
        let priority_fees: Vec<_> = with_transactions
            .filter(|(_, used)| *used > 0.0)
            .filter_map(|(reward, _)| reward.first().map(|reward| reward.0))
            .collect();
        let most = Amount::from(u128::MAX);
        if next.0 > most || priority_fees.iter().any(|fee| *fee > most) {
            return Err(garbage("a fee beyond what a transaction can offer"));
        }
        Ok(FeeHistory {
            next_base_fee: next.0,
            priority_fees,
        })
    }
}

fn tag(tag: BlockTag) -> String {
    match tag {
        BlockTag::Latest => "latest".into(),
        BlockTag::Finalized => "finalized".into(),
        BlockTag::Number(number) => format!("{number:#x}"),
    }
}

fn check_number(asked: BlockTag, number: u64) -> Result<(), NodeError> {
    match asked {
        BlockTag::Number(asked) if asked != number => Err(garbage("another block")),
        _ => Ok(()),
    }
}

fn call(from: &Address, action: &Action) -> Value {
    let from = from.to_string();
    match action {
        Action::Native { to, value } => {
            json!({ "from": from, "to": to.to_string(), "value": quantity_text(*value) })
        }
        Action::Erc20 { token, to, amount } => {
            let data = [
                &TRANSFER_SELECTOR,
                [0; 12].as_slice(),
                to.as_bytes(),
                &amount.to_be_bytes(),
            ];
            let data = hex::encode_prefixed(data.concat());
            json!({ "from": from, "to": token.to_string(), "data": data })
        }
        Action::Approve { token, .. } => json!({
            "from": from,
            "to": token.to_string(),
            "data": hex::encode_prefixed(action.calldata()),
        }),
        Action::Call {
            contract,
            value,
            call,
        } => json!({
            "from": from,
            "to": contract.to_string(),
            "value": quantity_text(*value),
            "data": hex::encode_prefixed(call.encode()),
        }),
    }
}

fn is_known(message: &str) -> bool {
    let message = message.to_ascii_lowercase();
    message.starts_with(KNOWN_AT_FIRST) || KNOWN.iter().any(|known| message.contains(known))
}

fn garbage(detail: &str) -> NodeError {
    NodeError::Garbage {
        detail: detail.into(),
    }
}
