//! What one or two nodes say of a UTXO chain. A block counts only if all of them have it at its
//! height; whoever lags, errs or contradicts leaves the answer unknown.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use api::signing::SignAnswer;
use async_trait::async_trait;
use tx::Chain;

use super::question::{Answer, Followed, Question};
use crate::{
    evidence::{BlockRef, Unknown},
    lane,
    lane::SendOutcome,
    nodes::{CoinBlock, CoinNode, NodeError},
};

/// Answers a lane's questions from all of its nodes.
pub struct Observer {
    chain: Chain,
    nodes: Vec<Checked>,
}

/// A node, and whether it was seen to be of the chain.
struct Checked {
    node: Arc<dyn CoinNode>,
    is_of_chain: AtomicBool,
}

impl Observer {
    /// An observer of one node or more; with several, all must agree.
    pub fn new(chain: Chain, nodes: Vec<Arc<dyn CoinNode>>) -> Self {
        let nodes = nodes.into_iter().map(|node| Checked {
            node,
            is_of_chain: AtomicBool::new(false),
        });
        Self {
            chain,
            nodes: nodes.collect(),
        }
    }

    async fn follow(
        &self,
        known: &[BlockRef],
        start_height: u64,
        most: usize,
    ) -> Result<Followed, Unknown> {
        self.check_chain().await?;
        let tip_height = self.tip_height().await?;
        let Some(last) = known.last() else {
            let blocks = self.blocks(start_height, None, tip_height, most).await?;
            return Ok(Followed::Next { blocks, tip_height });
        };
        match self.standing(last).await? {
            Standing::OnChain => {
                let next = last.height.saturating_add(1);
                let blocks = self.blocks(next, Some(&last.hash), tip_height, most);
                let blocks = blocks.await?;
                Ok(Followed::Next { blocks, tip_height })
            }
            standing => self.fork(known, standing).await,
        }
    }

    /// The best known block that is still on the chain. That others left it is only known if for one
    /// of them there is another block.
    async fn fork(&self, known: &[BlockRef], last: Standing) -> Result<Followed, Unknown> {
        let mut left = last == Standing::Left;
        for block in known.iter().rev().skip(1) {
            match self.standing(block).await? {
                Standing::OnChain if left => {
                    let to = Some(block.clone());
                    return Ok(Followed::Left { to });
                }
                Standing::OnChain => break,
                Standing::Left => left = true,
                Standing::Beyond => {}
            }
        }
        if left {
            return Ok(Followed::Left { to: None });
        }
        Err(Unknown::Lagging {
            detail: "the nodes' chain is shorter than what they had before".into(),
        })
    }

    async fn standing(&self, block: &BlockRef) -> Result<Standing, Unknown> {
        Ok(match self.hash_at(block.height).await? {
            None => Standing::Beyond,
            Some(hash) if hash == block.hash => Standing::OnChain,
            Some(_) => Standing::Left,
        })
    }

    /// The blocks from a height on, as far as they are sound and each follows the one before.
    async fn blocks(
        &self,
        from: u64,
        previous: Option<&str>,
        tip_height: u64,
        most: usize,
    ) -> Result<Vec<CoinBlock>, Unknown> {
        let mut blocks: Vec<CoinBlock> = Vec::new();
        for height in (from..=tip_height).take(most) {
            let before = blocks.last().map(|block| block.block.hash.as_str());
            match self.block(height, before.or(previous)).await {
                Ok(Some(block)) => blocks.push(block),
                // The chain changed while it was read: what follows is read next time.
                Ok(None) => break,
                Err(unknown) if blocks.is_empty() => return Err(unknown),
                Err(_) => break,
            }
        }
        Ok(blocks)
    }

    async fn block(
        &self,
        height: u64,
        previous: Option<&str>,
    ) -> Result<Option<CoinBlock>, Unknown> {
        let Some(hash) = self.hash_at(height).await? else {
            return Ok(None);
        };
        // The hash is the block's content: one node's word for it is as good as another's.
        let mut trouble = None;
        for Checked { node, .. } in &self.nodes {
            match node.block(&hash).await {
                Ok(block) if block.block.height != height || block.block.hash != hash => {
                    trouble = Some(Unknown::Disagreement {
                        detail: format!("{} gave another block than asked for", node.name()),
                    });
                }
                Ok(block) if previous.is_some_and(|previous| block.previous != previous) => {
                    return Ok(None);
                }
                Ok(block) => return Ok(Some(block)),
                Err(error) => trouble = Some(unknown(node.as_ref(), &error)),
            }
        }
        Err(trouble.unwrap_or_else(no_node))
    }

    /// The hash at a height by all nodes. `None` if one of them has none there.
    async fn hash_at(&self, height: u64) -> Result<Option<String>, Unknown> {
        let mut agreed: Option<String> = None;
        let mut lacking = false;
        for Checked { node, .. } in &self.nodes {
            let hash = node.hash_at(height).await;
            let hash = hash.map_err(|error| unknown(node.as_ref(), &error))?;
            match (hash, &agreed) {
                (None, _) => lacking = true,
                (Some(hash), Some(other)) if hash != *other => {
                    let detail = format!("the nodes have different blocks at height {height}");
                    return Err(Unknown::Disagreement { detail });
                }
                (Some(hash), _) => agreed = Some(hash),
            }
        }
        Ok(agreed.filter(|_| !lacking))
    }

    /// The height that all nodes have reached.
    async fn tip_height(&self) -> Result<u64, Unknown> {
        let mut least: Option<u64> = None;
        for Checked { node, .. } in &self.nodes {
            let tip = node.tip().await;
            let tip = tip.map_err(|error| unknown(node.as_ref(), &error))?;
            least = Some(least.map_or(tip.height, |least| least.min(tip.height)));
        }
        least.ok_or_else(no_node)
    }

    async fn check_chain(&self) -> Result<(), Unknown> {
        for Checked { node, is_of_chain } in &self.nodes {
            if is_of_chain.load(Ordering::Relaxed) {
                continue;
            }
            let checked = node.is_of(self.chain).await;
            if !checked.map_err(|error| unknown(node.as_ref(), &error))? {
                let (name, chain) = (node.name(), self.chain);
                return Err(Unknown::Disagreement {
                    detail: format!("{name} is not a node of {chain}"),
                });
            }
            is_of_chain.store(true, Ordering::Relaxed);
        }
        Ok(())
    }

    /// The highest of what nodes estimate: too low costs more time than too high costs money.
    async fn fee_rate(&self, target_blocks: u16) -> Result<Option<u64>, Unknown> {
        let mut highest = None;
        let mut trouble = None;
        let mut answered = false;
        for Checked { node, .. } in &self.nodes {
            match node.fee_rate_sat_vb(target_blocks).await {
                Ok(rate) => {
                    highest = highest.max(rate);
                    answered = true;
                }
                Err(error) => trouble = Some(unknown(node.as_ref(), &error)),
            }
        }
        match trouble {
            Some(trouble) if !answered => Err(trouble),
            _ => Ok(highest),
        }
    }
}

/// Where a block is that was on the chain.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Standing {
    OnChain,
    /// There is another at its height.
    Left,
    /// There is none at its height.
    Beyond,
}

#[async_trait]
impl lane::Observer for Observer {
    type Question = Question;
    type Answer = Answer;

    async fn ask(&self, question: Question) -> Answer {
        match question {
            Question::Follow {
                known,
                start_height,
                most,
            } => Answer::Followed(self.follow(&known, start_height, most).await),
            Question::FeeRate { target_blocks } => {
                Answer::FeeRate(self.fee_rate(target_blocks).await)
            }
        }
    }

    async fn send(&self, answer: &SignAnswer) -> SendOutcome {
        let mut outcome = SendOutcome::Unknown {
            detail: "no node is configured".into(),
        };
        for Checked { node, .. } in &self.nodes {
            let said = node.send(&answer.transaction.raw).await;
            outcome = match (outcome, said) {
                (SendOutcome::Taken, _) | (_, SendOutcome::Taken) => SendOutcome::Taken,
                (rejected @ SendOutcome::Rejected { .. }, SendOutcome::Unknown { .. }) => rejected,
                (_, said) => said,
            };
        }
        outcome
    }
}

fn unknown(node: &dyn CoinNode, error: &NodeError) -> Unknown {
    Unknown::NoAnswer {
        detail: format!("{}: {error}", node.name()),
    }
}

fn no_node() -> Unknown {
    Unknown::NoAnswer {
        detail: "no node is configured".into(),
    }
}
