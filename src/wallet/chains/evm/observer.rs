//! Answering a lane's questions from one or two nodes.
//!
//! What settles, declares dead or halts is said only if every node says it. An error, a lag and a
//! contradiction are [`Unknown`]; whoever takes back what was finalized is not believed.

mod search;
mod witness;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use async_trait::async_trait;
use tx::{Address, Amount, Chain, evm::Action};

use self::witness::{Witness, disagree};
use super::{Answer, Config, Head, Market, Mined, Question, fees::wei};
use crate::{
    attempt::AttemptNumber,
    evidence::{BlockRef, Covered, Evidence, Inclusion, Unknown},
    lane::{self, SendOutcome},
    nodes::{EvmNode, EvmReceipt, NodeError},
    withdrawal::WithdrawalNumber,
};

/// How many questions are put to a node at a time.
const CONCURRENT_MAX: usize = 8;

/// Answers the questions of one address's lane.
#[derive(Clone)]
pub struct Observer {
    address: Address,
    witnesses: Arc<[Witness]>,
}

/// What a question to nodes came to.
type Known<T> = Result<T, Unknown>;

impl Observer {
    /// The observer for an address, which asks these nodes; `None` without a node or if it is no
    /// address of an EVM chain.
    pub fn new(config: &Config, address: Address, nodes: Vec<Arc<dyn EvmNode>>) -> Option<Self> {
        let Chain::Evm(chain_id) = address.chain() else {
            return None;
        };
        let depth = config.finalized_by_depth;
        let witness = |node| Witness::new(node, chain_id, depth);
        let witnesses: Vec<Witness> = nodes.into_iter().map(witness).collect();
        (!witnesses.is_empty()).then(|| Self {
            address,
            witnesses: witnesses.into(),
        })
    }

    async fn head(&self, tokens: &BTreeSet<Address>) -> Known<Head> {
        let (latest, finalized) = self.ends().await?;
        let mut finalized_nonces = BTreeSet::new();
        let mut nonces = BTreeSet::new();
        for witness in self.witnesses.iter() {
            let nonce = witness.nonce_at(&self.address, finalized.height).await?;
            finalized_nonces.insert(nonce);
            // The nonces before the balance: what is included between the two is counted twice
            // as spent, not as free.
            nonces.insert(witness.nonce(&self.address).await?);
        }
        let (Some(finalized_nonce), 1) = (finalized_nonces.first(), finalized_nonces.len()) else {
            let height = finalized.height;
            return Err(disagree(format!(
                "on the nonce at the finalized block {height}"
            )));
        };
        let least = nonces.first().copied().unwrap_or_default();
        let most = nonces.last().copied().unwrap_or_default();
        let (balance, tokens) = self.balances(tokens).await?;
        if least < *finalized_nonce {
            let detail =
                "the nonce of the best block is below that of the finalized one".to_owned();
            return Err(Unknown::Lagging { detail });
        }
        Ok(Head {
            latest,
            finalized,
            finalized_nonce: *finalized_nonce,
            nonce_least: least,
            nonce_most: most,
            balance,
            tokens,
        })
    }

    /// The best and the best finalized block that all nodes have.
    async fn ends(&self) -> Known<(BlockRef, BlockRef)> {
        let mut latest: Option<BlockRef> = None;
        let mut finalized: Option<u64> = None;
        for witness in self.witnesses.iter() {
            let ends = witness.ends().await?;
            finalized = Some(finalized.map_or(ends.finalized, |had| had.min(ends.finalized)));
            let lower = latest
                .as_ref()
                .is_none_or(|had| ends.latest.height < had.height);
            if lower {
                latest = Some(ends.latest);
            }
        }
        let (Some(latest), Some(height)) = (latest, finalized) else {
            return Err(disagree("on everything".to_owned()));
        };
        let finalized = self.block(height).await?;
        Ok((latest, finalized))
    }

    /// The block at a height, with the hash that all nodes give it.
    async fn block(&self, height: u64) -> Known<BlockRef> {
        let mut hashes = BTreeSet::new();
        for witness in self.witnesses.iter() {
            hashes.insert(witness.block_at(height).await?);
        }
        match (hashes.pop_first(), hashes.is_empty()) {
            (Some(block), true) => Ok(block),
            _ => Err(disagree(format!("on the block at height {height}"))),
        }
    }

    async fn balances(
        &self,
        tokens: &BTreeSet<Address>,
    ) -> Known<(Amount, BTreeMap<Address, Amount>)> {
        let mut least: Option<Amount> = None;
        let mut had: BTreeMap<Address, Amount> = BTreeMap::new();
        for witness in self.witnesses.iter() {
            let balance = witness.balance(&self.address).await?;
            least = Some(least.map_or(balance, |least| least.min(balance)));
            for token in tokens {
                let balance = witness.token_balance(token, &self.address).await?;
                let least = had.entry(token.clone()).or_insert(balance);
                *least = balance.min(*least);
            }
        }
        Ok((least.unwrap_or_default(), had))
    }

    /// One node's word is enough for what is offered: the ceiling bounds what a lie can cost, and of
    /// two words the lower priority fee and the higher base fee, which is not paid beyond what it is.
    async fn market(&self) -> Known<Market> {
        let mut known: Option<Market> = None;
        let mut trouble = None;
        for witness in self.witnesses.iter() {
            match witness.market().await {
                Ok(market) => {
                    known = Some(known.map_or(market, |had| Market {
                        base_fee: had.base_fee.max(market.base_fee),
                        priority_fee: had.priority_fee.min(market.priority_fee),
                    }));
                }
                Err(unknown) => trouble = Some(unknown),
            }
        }
        known.ok_or_else(|| {
            trouble.unwrap_or_else(|| disagree("on what inclusion costs".to_owned()))
        })
    }

    /// The first node that knows is believed: the configuration bounds the limit, and what is too
    /// little fails on the chain and is seen.
    async fn gas(&self, action: &Action) -> Result<u64, NodeError> {
        let detail = "no node is configured".to_owned();
        let mut answer = Err(NodeError::Unreachable { detail });
        for witness in self.witnesses.iter() {
            answer = witness.estimate_gas(&self.address, action).await;
            if matches!(answer, Ok(_) | Err(NodeError::Refused { .. })) {
                break;
            }
        }
        answer
    }

    async fn gas_of_all(
        &self,
        wanted: Vec<(WithdrawalNumber, Action)>,
    ) -> Vec<(WithdrawalNumber, Result<u64, NodeError>)> {
        let ask = |observer: Self, (number, action): (WithdrawalNumber, Action)| async move {
            (number, observer.gas(&action).await)
        };
        self.each(wanted, ask).await
    }

    async fn find_all(
        &self,
        sought: Vec<(AttemptNumber, String)>,
    ) -> Vec<(AttemptNumber, Evidence<Mined>)> {
        let numbers = sought.iter().map(|(number, txid)| (*number, txid.clone()));
        let numbers: BTreeMap<AttemptNumber, String> = numbers.collect();
        let ask = |observer: Self, (number, txid): (AttemptNumber, String)| async move {
            (number, observer.receipt(&txid).await)
        };
        let receipts = self.each(sought, ask).await;
        // The blocks after the receipts, and each once: a receipt counts if its block is there then.
        let heights = receipts
            .iter()
            .filter_map(|(_, receipt)| receipt.as_ref().ok());
        let heights: BTreeSet<u64> = heights.map(|receipt| receipt.block.height).collect();
        let ask =
            |observer: Self, height: u64| async move { (height, observer.block(height).await) };
        let blocks = self.each(heights.into_iter().collect(), ask).await;
        let blocks: BTreeMap<u64, Known<BlockRef>> = blocks.into_iter().collect();
        let found = receipts.into_iter().map(|(number, receipt)| {
            let txid = numbers.get(&number).map(String::as_str).unwrap_or_default();
            (number, mined(txid, receipt, &blocks))
        });
        found.collect()
    }

    /// The receipt that all nodes give.
    async fn receipt(&self, txid: &str) -> Known<EvmReceipt> {
        let mut known: Option<EvmReceipt> = None;
        for witness in self.witnesses.iter() {
            let receipt = witness.receipt(txid).await?;
            match &known {
                Some(had) if *had != receipt => {
                    return Err(disagree(format!("on the receipt of {txid}")));
                }
                _ => known = Some(receipt),
            }
        }
        known.ok_or_else(|| disagree(format!("on the receipt of {txid}")))
    }

    async fn still_there(&self, block: &BlockRef) -> Evidence<()> {
        match self.block(block.height).await {
            Ok(there) if there.hash == block.hash => Evidence::Found(()),
            Ok(tip) => Evidence::Absent {
                covered: Covered {
                    from: block.height,
                    to: block.height,
                },
                tip,
            },
            Err(unknown) => Evidence::Unknown(unknown),
        }
    }

    async fn still_there_all(&self, blocks: BTreeSet<BlockRef>) -> Vec<(BlockRef, Evidence<()>)> {
        let ask = |observer: Self, block: BlockRef| async move {
            let evidence = observer.still_there(&block).await;
            (block, evidence)
        };
        self.each(blocks.into_iter().collect(), ask).await
    }

    /// Answers for many, a few at a time. What a task does not bring back is missing from the
    /// answer.
    async fn each<T, R, F>(&self, items: Vec<T>, ask: impl Fn(Self, T) -> F) -> Vec<R>
    where
        F: Future<Output = R> + Send + 'static,
        R: Send + 'static,
    {
        let mut answers = Vec::with_capacity(items.len());
        let mut tasks = tokio::task::JoinSet::new();
        for item in items {
            if tasks.len() >= CONCURRENT_MAX {
                answers.extend(tasks.join_next().await.and_then(Result::ok));
            }
            tasks.spawn(ask(self.clone(), item));
        }
        while let Some(answer) = tasks.join_next().await {
            answers.extend(answer);
        }
        answers
    }
}

/// A receipt whose block all nodes have at its height.
fn mined(
    txid: &str,
    receipt: Known<EvmReceipt>,
    blocks: &BTreeMap<u64, Known<BlockRef>>,
) -> Evidence<Mined> {
    let receipt = match receipt {
        Ok(receipt) => receipt,
        Err(unknown) => return Evidence::Unknown(unknown),
    };
    match blocks.get(&receipt.block.height) {
        Some(Ok(block)) if *block == receipt.block => {}
        Some(Err(unknown)) => return Evidence::Unknown(unknown.clone()),
        _ => {
            let height = receipt.block.height;
            let detail = format!("with themselves on the block at height {height}");
            return Evidence::Unknown(disagree(detail));
        }
    }
    let gas = Amount::from(receipt.gas_used);
    let Some(fee) = gas.checked_mul(receipt.effective_gas_price) else {
        return Evidence::Unknown(disagree(format!("with arithmetic on the fee of {txid}")));
    };
    Evidence::Found(Mined {
        inclusion: Inclusion {
            block: receipt.block,
            txid: receipt.txid,
            fee,
        },
        succeeded: receipt.succeeded,
        logs: receipt.logs,
    })
}

#[async_trait]
impl lane::Observer for Observer {
    type Question = Question;
    type Answer = Answer;

    async fn ask(&self, question: Question) -> Answer {
        match question {
            Question::Head { tokens } => Answer::Head(self.head(&tokens).await),
            Question::Market => Answer::Market(self.market().await),
            Question::Gas(wanted) => Answer::Gas(self.gas_of_all(wanted).await),
            Question::Find(sought) => Answer::Found(self.find_all(sought).await),
            Question::StillThere(blocks) => Answer::StillThere(self.still_there_all(blocks).await),
            Question::User { nonce } => Answer::User {
                nonce,
                user: self.user(nonce).await,
            },
        }
    }

    async fn send(&self, answer: &api::signing::SignAnswer) -> SendOutcome {
        let raw: Arc<str> = answer.transaction.raw.as_str().into();
        let mut refusals = Vec::new();
        let mut unknown = Vec::new();
        let mut taken = false;
        for witness in self.witnesses.iter() {
            match witness.send(&raw).await {
                SendOutcome::Taken => taken = true,
                SendOutcome::Rejected { detail } => refusals.push(detail),
                SendOutcome::Unknown { detail } => unknown.push(detail),
            }
        }
        if taken {
            return SendOutcome::Taken;
        }
        let doubt = !unknown.is_empty();
        let detail = unknown
            .into_iter()
            .chain(refusals)
            .collect::<Vec<_>>()
            .join("; ");
        match doubt {
            true => SendOutcome::Unknown { detail },
            false => SendOutcome::Rejected { detail },
        }
    }
}

/// The median of what recent blocks paid the proposer.
fn median(mut fees: Vec<Amount>) -> u128 {
    fees.sort_unstable();
    let middle = fees.len() / 2;
    fees.get(middle).copied().and_then(wei).unwrap_or_default()
}
