//! Chain nodes: what a lane's questions are answered from. A node may lie, lag, hang or answer garbage;
//! then a withdrawal is delayed.

mod coin;
mod connect;
mod evm;
mod hexadecimal;

use async_trait::async_trait;
use rpc::CallError;
use thiserror::Error;
use tx::{Address, Amount, evm::Action, utxo::Outpoint};

pub use self::{
    coin::CoinRpc,
    connect::{ConnectError, connect_coin, connect_evm},
    evm::EvmRpc,
};
use crate::{evidence::BlockRef, lane::SendOutcome, text};

/// Why a node's answer is none.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum NodeError {
    /// Nothing was sent.
    #[error("the node cannot be reached: {detail}")]
    Unreachable {
        /// What happened.
        detail: String,
    },
    /// It was sent and no answer came in time, or none that could be read.
    #[error("the node did not answer: {detail}")]
    NoAnswer {
        /// What happened.
        detail: String,
    },
    /// The node says no.
    #[error("the node says {code}: {message}")]
    Refused {
        /// The JSON-RPC error code.
        code: i64,
        /// What it says, escaped and cut.
        message: String,
    },
    /// It answered something else than was asked for.
    #[error("the node's answer makes no sense: {detail}")]
    Garbage {
        /// What is wrong.
        detail: String,
    },
}

/// Which block of an EVM chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BlockTag {
    /// The best one.
    Latest,
    /// The best one that can no longer leave the chain.
    Finalized,
    /// This one.
    Number(u64),
}

/// A block of an EVM chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EvmBlock {
    /// Its number and hash.
    pub block: BlockRef,
    /// The hash of the one before it.
    pub parent: String,
}

/// A transaction in a block of an EVM chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EvmTransaction {
    /// Its hash, `0x` and 64 lower-case hexadecimal digits.
    pub txid: String,
    /// Who sent it.
    pub from: Address,
    /// Its nonce.
    pub nonce: u64,
}

/// A receipt of an EVM chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EvmReceipt {
    /// The transaction's hash.
    pub txid: String,
    /// The block.
    pub block: BlockRef,
    /// Whether it did what it should: status 1.
    pub succeeded: bool,
    /// Units of gas.
    pub gas_used: u64,
    /// Wei for a unit.
    pub effective_gas_price: Amount,
    /// What contracts logged.
    pub logs: Vec<EvmLog>,
}

/// What a contract logged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EvmLog {
    /// The contract.
    pub address: Address,
    /// The topics.
    pub topics: Vec<[u8; 32]>,
    /// The data.
    pub data: Vec<u8>,
}

/// What recent blocks charged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeeHistory {
    /// The base fee of the block to come, in wei a gas.
    pub next_base_fee: Amount,
    /// The median priority fees of recent blocks that had transactions, in wei a gas.
    pub priority_fees: Vec<Amount>,
}

/// One node of an EVM chain.
#[async_trait]
pub trait EvmNode: Send + Sync + 'static {
    /// What people know it by: its host and port, without credentials.
    fn name(&self) -> &str;
    /// `eth_chainId`.
    async fn chain_id(&self) -> Result<u64, NodeError>;
    /// `eth_getBlockByNumber`; `None` where it says it has none.
    async fn block(&self, which: BlockTag) -> Result<Option<EvmBlock>, NodeError>;
    /// The transactions of a block, by `eth_getBlockByNumber` with bodies.
    async fn transactions(&self, number: u64) -> Result<Option<Vec<EvmTransaction>>, NodeError>;
    /// `eth_getTransactionCount`.
    async fn nonce(&self, of: &Address, at: BlockTag) -> Result<u64, NodeError>;
    /// `eth_getTransactionReceipt`; `None` where it says it has none, which proves nothing.
    async fn receipt(&self, txid: &str) -> Result<Option<EvmReceipt>, NodeError>;
    /// `eth_feeHistory`.
    async fn fee_history(&self) -> Result<FeeHistory, NodeError>;
    /// `eth_estimateGas`.
    async fn estimate_gas(&self, from: &Address, action: &Action) -> Result<u64, NodeError>;
    /// `eth_getBalance`.
    async fn balance(&self, of: &Address, at: BlockTag) -> Result<Amount, NodeError>;
    /// What an account has of an ERC-20 token: `eth_call` of `balanceOf(address)`.
    async fn token_balance(
        &self,
        token: &Address,
        of: &Address,
        at: BlockTag,
    ) -> Result<Amount, NodeError>;
    /// `eth_sendRawTransaction`, `raw` in hexadecimal as the signer gave it.
    async fn send(&self, raw: &str) -> SendOutcome;
}

/// A block of a UTXO chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CoinBlock {
    /// Its height and hash.
    pub block: BlockRef,
    /// The hash of the one before it.
    pub previous: String,
    /// Its transactions, in order.
    pub transactions: Vec<CoinTransaction>,
}

/// A transaction of a UTXO chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CoinTransaction {
    /// Its id, as shown (reversed).
    pub txid: String,
    /// Whether it is its block's first.
    pub coinbase: bool,
    /// What it spends; nothing for a coinbase.
    pub inputs: Vec<Outpoint>,
    /// What it makes: satoshi and script, by position.
    pub outputs: Vec<(u64, Vec<u8>)>,
    /// Its bytes.
    pub raw: Vec<u8>,
}

/// One Core-like node.
#[async_trait]
pub trait CoinNode: Send + Sync + 'static {
    /// What people know it by: its host and port, without credentials.
    fn name(&self) -> &str;
    /// Checks by the hash of block 0, or what `getblockchaininfo` says, that it is of the chain.
    async fn is_of(&self, chain: tx::Chain) -> Result<bool, NodeError>;
    /// The best block.
    async fn tip(&self) -> Result<BlockRef, NodeError>;
    /// `getblockhash`; `None` where it says that the height is out of range.
    async fn hash_at(&self, height: u64) -> Result<Option<String>, NodeError>;
    /// `getblock` with transactions.
    async fn block(&self, hash: &str) -> Result<CoinBlock, NodeError>;
    /// `estimatesmartfee`, rounded up to whole satoshi a vbyte; `None` where it cannot tell.
    async fn fee_rate_sat_vb(&self, target_blocks: u16) -> Result<Option<u64>, NodeError>;
    /// `sendrawtransaction`, `raw` in hexadecimal.
    async fn send(&self, raw: &str) -> SendOutcome;
}

impl From<CallError> for NodeError {
    fn from(error: CallError) -> Self {
        let detail = text::chain(&error);
        match error {
            CallError::Refused { code, message, .. } => Self::Refused { code, message },
            // It looked at nothing.
            CallError::Unreachable { .. }
            | CallError::BatchTooLong { .. }
            | CallError::Unauthorized { .. } => Self::Unreachable { detail },
            CallError::NoAnswer { .. } => Self::NoAnswer { detail },
            _ => Self::Garbage { detail },
        }
    }
}

/// What giving bytes to a node came to when it did not simply take them.
fn sent(error: &CallError) -> SendOutcome {
    let detail = text::chain(error);
    match error {
        CallError::Refused { .. } if !error.may_have_happened() => SendOutcome::Rejected { detail },
        _ => SendOutcome::Unknown { detail },
    }
}
