//! An EVM chain with its nodes.

use std::sync::Arc;

use api::{
    signing::{Key, SignRequest},
    wallet::ChainReport,
};
use async_trait::async_trait;
use tx::{Address, Amount, Asset, AssetKind, Chain, evm::Action};

use super::{
    LOOK_EVERY,
    heights::{Height, Heights, Look, Telling},
};
use crate::{
    chains::evm::{self, Answer, Config, EvmLane, Market as Prices, Observer, Question},
    config::ChainConfig,
    engine::{Family, Market},
    lane::{LaneRow, LaneView, Observer as _, Sender},
    nodes::{BlockTag, EvmNode, connect_evm},
    text::chain as causes,
    web::FeeQuote,
    withdrawal::{Withdrawal, WithdrawalNumber},
};

/// What a transfer of the chain's own coin takes, and of most tokens, where no node says it.
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

    /// What a payment takes, as a lane asks for it.
    async fn gas(&self, observer: &Observer, action: Action) -> u64 {
        let usual = self.usual_gas(matches!(action, Action::Native { .. }));
        if matches!(action, Action::Native { .. }) && self.config.native_gas_limit.is_some() {
            return usual;
        }
        let question = Question::Gas(vec![(WithdrawalNumber(0), action)]);
        match observer.ask(question).await {
            Answer::Gas(answers) => {
                let mut known = answers.into_iter().filter_map(|(_, gas)| gas.ok());
                known.next().unwrap_or(usual)
            }
            _ => usual,
        }
    }

    fn usual_gas(&self, is_native: bool) -> u64 {
        match is_native {
            true => self.config.native_gas_limit.unwrap_or(NATIVE_GAS),
            false => TOKEN_GAS,
        }
    }

    fn gas_limit(&self, gas: u64) -> Option<u64> {
        let margin = self.config.gas_margin_percent.checked_add(100)?;
        gas.checked_mul(margin)?.checked_div(100)
    }

    fn quote(&self, prices: Prices, gas: u64) -> Option<FeeQuote> {
        let gas_limit = self.gas_limit(gas)?;
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
        amount: Amount,
        destination: &Address,
        payer: Option<&Address>,
    ) -> Result<FeeQuote, String> {
        let unanswered = || format!("the nodes of {} do not say", self.chain);
        let payer = payer.unwrap_or(destination).clone();
        let observer = Observer::new(&self.config, payer, self.nodes.clone());
        let observer = observer.ok_or_else(unanswered)?;
        let Answer::Market(Ok(prices)) = observer.ask(Question::Market).await else {
            return Err(unanswered());
        };
        let to = destination.clone();
        let action = match &asset.kind {
            AssetKind::Erc20(token) => Action::Erc20 {
                token: token.clone(),
                to,
                amount,
            },
            _ => Action::Native { to, value: amount },
        };
        let gas = self.gas(&observer, action).await;
        self.quote(prices, gas)
            .ok_or_else(|| "the fee is beyond all bounds".into())
    }

    fn trial(
        &self,
        lane: &LaneRow,
        _: &[Key],
        payment: &Withdrawal,
    ) -> Result<SignRequest, String> {
        let is_native = payment.intent.asset.kind == AssetKind::Native;
        let gas_limit = self.gas_limit(self.usual_gas(is_native));
        let gas_limit = gas_limit.ok_or("the fee is beyond all bounds")?;
        evm::trial(lane, payment, gas_limit)
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
