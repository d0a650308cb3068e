//! One node, and what it has shown before.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicBool, Ordering},
};

use tx::{Address, Amount, evm::Action};

use super::{Known, median};
use crate::{
    chains::evm::{Market, fees::wei},
    evidence::{BlockRef, Unknown},
    lane::SendOutcome,
    nodes::{BlockTag, EvmBlock, EvmNode, EvmReceipt, EvmTransaction, NodeError},
    text,
};

/// One node.
pub(super) struct Witness {
    node: Arc<dyn EvmNode>,
    chain_id: u64,
    /// How many blocks stand upon a final one, where the tag is not used.
    depth: Option<u64>,
    of_the_chain: AtomicBool,
    /// The best finalized block that it has shown.
    finalized: Mutex<Option<BlockRef>>,
}

/// How far a node is.
#[derive(Debug)]
pub(super) struct Ends {
    pub(super) latest: BlockRef,
    pub(super) finalized: u64,
}

impl Witness {
    pub(super) fn new(node: Arc<dyn EvmNode>, chain_id: u64, depth: Option<u64>) -> Self {
        Self {
            node,
            chain_id,
            depth,
            of_the_chain: AtomicBool::new(false),
            finalized: Mutex::new(None),
        }
    }

    /// A node of another chain is not asked, and given nothing.
    async fn check_chain(&self) -> Known<()> {
        if self.of_the_chain.load(Ordering::Relaxed) {
            return Ok(());
        }
        let found = self.known(self.node.chain_id().await)?;
        if found != self.chain_id {
            let wanted = self.chain_id;
            let name = self.node.name();
            return Err(disagree(format!(
                "{name} is of chain {found}, not {wanted}"
            )));
        }
        self.of_the_chain.store(true, Ordering::Relaxed);
        Ok(())
    }

    pub(super) async fn ends(&self) -> Known<Ends> {
        self.check_chain().await?;
        let latest = self.at(BlockTag::Latest).await?.block;
        let finalized = match self.depth {
            None => BlockTag::Finalized,
            Some(depth) => BlockTag::Number(latest.height.saturating_sub(depth)),
        };
        let finalized = self.at(finalized).await?.block;
        if finalized.height > latest.height {
            return Err(self.lags("it has finalized more than it has"));
        }
        self.remember(&finalized)?;
        Ok(Ends {
            latest,
            finalized: finalized.height,
        })
    }

    /// What was finalized stays: a node that shows less, or something else, is not believed.
    fn remember(&self, finalized: &BlockRef) -> Known<()> {
        let mut shown = self
            .finalized
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(before) = shown.as_ref() {
            if finalized.height < before.height {
                let (now, before) = (finalized.height, before.height);
                return Err(self.lags(&format!("it had finalized {before}, and now {now}")));
            }
            if finalized.height == before.height && finalized.hash != before.hash {
                let height = before.height;
                return Err(disagree(format!(
                    "{} with itself on the finalized block {height}",
                    self.node.name()
                )));
            }
        }
        *shown = Some(finalized.clone());
        Ok(())
    }

    async fn at(&self, which: BlockTag) -> Known<EvmBlock> {
        let block = self.known(self.node.block(which).await)?;
        block.ok_or_else(|| self.lags("it has no such block"))
    }

    pub(super) async fn block_at(&self, height: u64) -> Known<BlockRef> {
        let block = self.at(BlockTag::Number(height)).await?.block;
        if block.height == height {
            return Ok(block);
        }
        let name = self.node.name();
        let found = block.height;
        Err(disagree(format!(
            "{name} gives block {found} for block {height}"
        )))
    }

    pub(super) async fn nonce(&self, of: &Address) -> Known<u64> {
        self.known(self.node.nonce(of, BlockTag::Latest).await)
    }

    pub(super) async fn nonce_at(&self, of: &Address, height: u64) -> Known<u64> {
        self.known(self.node.nonce(of, BlockTag::Number(height)).await)
    }

    pub(super) async fn balance(&self, of: &Address) -> Known<Amount> {
        self.known(self.node.balance(of, BlockTag::Latest).await)
    }

    pub(super) async fn token_balance(&self, token: &Address, of: &Address) -> Known<Amount> {
        self.known(self.node.token_balance(token, of, BlockTag::Latest).await)
    }

    pub(super) async fn transactions(&self, height: u64) -> Known<Vec<EvmTransaction>> {
        let found = self.known(self.node.transactions(height).await)?;
        found.ok_or_else(|| self.lags("it has no such block"))
    }

    /// That a node has no receipt proves nothing.
    pub(super) async fn receipt(&self, txid: &str) -> Known<EvmReceipt> {
        self.check_chain().await?;
        let receipt = self.known(self.node.receipt(txid).await)?;
        let receipt = receipt.ok_or_else(|| self.lags(&format!("it has no receipt of {txid}")))?;
        if receipt.txid == txid {
            return Ok(receipt);
        }
        let name = self.node.name();
        Err(disagree(format!(
            "{name} gives another's receipt for {txid}"
        )))
    }

    pub(super) async fn market(&self) -> Known<Market> {
        self.check_chain().await?;
        let history = self.known(self.node.fee_history().await)?;
        let base_fee = wei(history.next_base_fee);
        Ok(Market {
            base_fee: base_fee.ok_or_else(|| disagree("with reason on the base fee".to_owned()))?,
            priority_fee: median(history.priority_fees),
        })
    }

    pub(super) async fn estimate_gas(
        &self,
        from: &Address,
        action: &Action,
    ) -> Result<u64, NodeError> {
        self.node.estimate_gas(from, action).await
    }

    pub(super) async fn send(&self, raw: &str) -> SendOutcome {
        match self.check_chain().await {
            Ok(()) => self.node.send(raw).await,
            // Nothing was given to it: that says nothing about others.
            Err(unknown) => SendOutcome::Rejected {
                detail: crate::chains::common::unknown_detail(&unknown).to_owned(),
            },
        }
    }

    fn known<T>(&self, answer: Result<T, NodeError>) -> Known<T> {
        answer.map_err(|error| Unknown::NoAnswer {
            detail: format!("{}: {}", self.node.name(), text::chain(&error)),
        })
    }

    fn lags(&self, what: &str) -> Unknown {
        Unknown::Lagging {
            detail: format!("{}: {what}", self.node.name()),
        }
    }
}

/// Nodes contradict one another, or themselves.
pub(super) fn disagree(what: String) -> Unknown {
    Unknown::Disagreement {
        detail: format!("the nodes disagree: {what}"),
    }
}
