//! What an EVM lane asks about the chain, and what it is answered.

use std::collections::{BTreeMap, BTreeSet};

use tx::{Address, Amount, evm::Action};

use super::Market;
use crate::{
    attempt::AttemptNumber,
    evidence::{BlockRef, Evidence, Inclusion, Unknown},
    nodes::{EvmLog, NodeError},
    withdrawal::WithdrawalNumber,
};

/// A question about the chain. Each has one answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Question {
    /// How far the chain is, how many of the address's transactions it has, and what the address
    /// has, also of these tokens.
    Head {
        /// The tokens' contracts.
        tokens: BTreeSet<Address>,
    },
    /// What inclusion costs.
    Market,
    /// How much gas these take.
    Gas(Vec<(WithdrawalNumber, Action)>),
    /// Where these attempts are, by their transactions' ids.
    Find(Vec<(AttemptNumber, String)>),
    /// Whether these blocks are still in the chain.
    StillThere(BTreeSet<BlockRef>),
    /// Which finalized transaction of the address has this nonce.
    User {
        /// The nonce.
        nonce: u64,
    },
}

/// The answer to a [`Question`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// To [`Question::Head`].
    Head(Result<Head, Unknown>),
    /// To [`Question::Market`].
    Market(Result<Market, Unknown>),
    /// To [`Question::Gas`]: units, without a margin.
    Gas(Vec<(WithdrawalNumber, Result<u64, NodeError>)>),
    /// To [`Question::Find`].
    Found(Vec<(AttemptNumber, Evidence<Mined>)>),
    /// To [`Question::StillThere`]: found, or absent because the chain has another block there.
    StillThere(Vec<(BlockRef, Evidence<()>)>),
    /// To [`Question::User`].
    User {
        /// The nonce.
        nonce: u64,
        /// Who.
        user: Evidence<Used>,
    },
}

/// How far the chain is. Where nodes differ within reason, what is safe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// The best block that all nodes have.
    pub latest: BlockRef,
    /// The best finalized block that all nodes have, with one hash.
    pub finalized: BlockRef,
    /// How many of the address's transactions are in it and those before: all nodes say so.
    pub finalized_nonce: u64,
    /// How many of the address's transactions every node has in its best chain.
    pub nonce_least: u64,
    /// How many of them some node has.
    pub nonce_most: u64,
    /// What the address has in its native coin, by the node that says least.
    pub balance: Amount,
    /// What it has of tokens, likewise.
    pub tokens: BTreeMap<Address, Amount>,
}

/// A transaction in a block of the best chain: all nodes give one receipt, and have that block at its
/// height.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mined {
    /// Where, and for how much.
    pub inclusion: Inclusion,
    /// Whether its status is 1.
    pub succeeded: bool,
    /// What contracts logged in it.
    pub logs: Vec<EvmLog>,
}

/// The finalized transaction that has a nonce.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Used {
    /// Its id.
    pub txid: String,
    /// Its block.
    pub block: BlockRef,
}
