//! What a lane asks about a UTXO chain, and what it is answered.

use crate::{
    evidence::{BlockRef, Unknown},
    nodes::CoinBlock,
};

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Question {
    /// The blocks after those that are known.
    Follow {
        /// The blocks read last, the best one at the end.
        known: Vec<BlockRef>,
        /// The first height, where none is known.
        start_height: u64,
        /// The most blocks in an answer.
        most: usize,
    },
    /// What is paid for a vbyte to be included soon.
    FeeRate {
        /// Within so many blocks.
        target_blocks: u16,
    },
}

/// What is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// To [`Question::Follow`].
    Followed(Result<Followed, Unknown>),
    /// To [`Question::FeeRate`]: satoshi a vbyte, the most that any node says; `None` if no node can
    /// tell.
    FeeRate(Result<Option<u64>, Unknown>),
}

/// How the chain goes on after the blocks that are known. Every node that was to be asked says so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Followed {
    /// By these blocks, in order, each on the one before; none at the chain's end.
    Next {
        /// The blocks.
        blocks: Vec<CoinBlock>,
        /// The height of the chain.
        tip_height: u64,
    },
    /// Another way: blocks that are known left the chain.
    Left {
        /// The best known block that is still on it; none if no known block is.
        to: Option<BlockRef>,
    },
}
