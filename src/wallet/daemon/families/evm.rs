//! An EVM chain with its nodes.

use std::sync::Arc;

use api::{signing::Key, wallet::ChainReport};
use async_trait::async_trait;
use tx::{Address, Amount, Asset, AssetKind, Chain};

use super::{
    LOOK_EVERY,
    heights::{Height, Heights, Look, Telling},
};
use crate::{
    chains::evm::{Answer, Config, EvmLane, Market as Prices, Observer, Question},
    config::ChainConfig,
    engine::{Family, Market},
    lane::{LaneRow, LaneView, Observer as _, Sender},
    nodes::{BlockTag, EvmNode, connect_evm},
    text::chain as causes,
    web::FeeQuote,
};

/// What a transfer of the chain's own coin takes, and of most tokens.
const NATIVE_GAS: u64 = 21_000;
const TOKEN_GAS: u64 = 65_000;

/// An EVM chain.
pub(super) struct EvmFamily {
    chain: Chain,
    config: Config,
    nodes: Vec<Arc<dyn EvmNode>>,
    heights: Arc<Heights>,
}

impl EvmFamily {
    pub(super) fn new(chain: &ChainConfig, id: u64) -> Result<Self, String> {
        let config = chain.evm.clone().unwrap_or_default();
        let node = |node| {
            let node = connect_evm(id, node).map_err(|error| causes(&error))?;
            Ok(Arc::new(node) as Arc<dyn EvmNode>)
        };
        Ok(Self {
            chain: chain.chain,
            config,
            nodes: chain
                .nodes
                .iter()
                .map(node)
                .collect::<Result<_, String>>()?,
            heights: Heights::new(chain.chain),
        })
    }

    pub(super) fn chain(&self) -> Chain {
        self.chain
    }

    /// Looks how far the chain is, for ever.
    pub(super) async fn watch(self: Arc<Self>) {
        loop {
            self.heights.begin();
            let look = self.look().await;
            self.heights.end(look);
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    async fn look(&self) -> Look {
        let mut look = Look::default();
        for node in &self.nodes {
            match node.block(BlockTag::Latest).await {
                Ok(Some(block)) => {
                    let height = block.block.height;
                    look.latest.push(height);
                    if let Some(depth) = self.config.finalized_by_depth {
                        look.finalized.push(height.saturating_sub(depth));
                    }
                }
                Ok(None) => look
                    .troubles
                    .push(format!("{}: it has no block", node.name())),
                Err(error) => {
                    look.fail(node.name(), &error);
                    continue;
                }
            }
            if self.config.finalized_by_depth.is_some() {
                continue;
            }
            match node.block(BlockTag::Finalized).await {
                Ok(Some(block)) => look.finalized.push(block.block.height),
                Ok(None) => {}
                Err(error) => look.fail(node.name(), &error),
            }
        }
        look
    }

    fn quote(&self, prices: Prices, asset: &Asset) -> Option<FeeQuote> {
        let gas = match asset.kind {
            AssetKind::Native => self.config.native_gas_limit.unwrap_or(NATIVE_GAS),
            _ => TOKEN_GAS,
        };
        let margin = self.config.gas_margin_percent.checked_add(100)?;
        let gas_limit = gas.checked_mul(margin)?.checked_div(100)?;
        let priority = Amount::from(prices.priority_fee).max(self.config.priority_fee_floor);
        let base = Amount::from(prices.base_fee);
        let price = base.checked_add(priority)?;
        let cap = price.checked_add(base)?.min(self.config.max_fee_ceiling);
        Some(FeeQuote {
            fee: price.checked_mul(Amount::from(gas))?,
            max_fee: cap.checked_mul(Amount::from(gas_limit))?,
        })
    }
}

impl Family for EvmFamily {
    type Lane = EvmLane;
    type Observer = Telling<Observer>;

    fn lane(&self, view: LaneView, _: &[Key]) -> Result<EvmLane, String> {
        EvmLane::new(self.config.clone(), view).map_err(|error| causes(&error))
    }

    fn observer(&self, row: &LaneRow) -> Result<Arc<Telling<Observer>>, String> {
        let Sender::Address(address) = &row.id.sender else {
            return Err(format!("the lane {} has no EVM address", row.id));
        };
        let observer = Observer::new(&self.config, address.clone(), self.nodes.clone());
        let observer = observer.ok_or_else(|| format!("the lane {} has no node", row.id))?;
        Ok(Telling::new(Arc::new(observer), &self.heights, height))
    }

    fn hand_max(&self) -> usize {
        // One transaction each: what a lane signs in a moment, so that at the end of a queue no lane
        // has work left for long while others have none.
        8
    }
}

#[async_trait]
impl Market for EvmFamily {
    fn report(&self) -> ChainReport {
        self.heights.report()
    }

    async fn fee(
        &self,
        asset: &Asset,
        _: Amount,
        destination: &Address,
    ) -> Result<FeeQuote, String> {
        let unanswered = || format!("the nodes of {} do not say", self.chain);
        let observer = Observer::new(&self.config, destination.clone(), self.nodes.clone())
            .ok_or_else(unanswered)?;
        let Answer::Market(Ok(prices)) = observer.ask(Question::Market).await else {
            return Err(unanswered());
        };
        self.quote(prices, asset)
            .ok_or_else(|| "the fee is beyond all bounds".into())
    }
}

/// How far the chain is by an answer.
fn height(answer: &Answer) -> Option<Height> {
    match answer {
        Answer::Head(Ok(head)) => Some(Height {
            latest: head.latest.height,
            finalized: Some(head.finalized.height),
        }),
        _ => None,
    }
}
