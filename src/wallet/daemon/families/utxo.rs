//! A Bitcoin-like chain with its nodes.

use std::sync::Arc;

use api::{
    signing::{Key, SignRequest},
    wallet::ChainReport,
};
use async_trait::async_trait;
use tx::{Address, Amount, Asset, Chain};

use super::{
    LOOK_EVERY,
    heights::{Height, Heights, Look, Telling},
};
use crate::{
    chains::utxo::{self, Answer, Config, Followed, Observer, OwnKeys, Question, UtxoLane},
    config::ChainConfig,
    engine::{Family, Market},
    lane::{LaneRow, LaneView, Observer as _},
    nodes::{CoinNode, connect_coin},
    text::chain as causes,
    web::FeeQuote,
    withdrawal::Withdrawal,
};

/// The virtual size of a payment from two coins with change.
const USUAL_VSIZE: u64 = 209;
/// How much more than its fee of today a payment may cost, so that it is paid when fees rise.
const FEE_MARGIN: u64 = 3;

/// A Bitcoin-like chain.
pub(super) struct UtxoFamily {
    chain: Chain,
    config: Config,
    observer: Arc<Observer>,
    nodes: Vec<Arc<dyn CoinNode>>,
    heights: Arc<Heights>,
}

impl UtxoFamily {
    pub(super) fn new(chain: &ChainConfig) -> Result<Self, String> {
        let config = chain.utxo.clone();
        let config = config.ok_or("chain.utxo.start_height is missing")?;
        let node = |node| {
            let node = connect_coin(node).map_err(|error| causes(&error))?;
            Ok(Arc::new(node) as Arc<dyn CoinNode>)
        };
        let nodes = chain.nodes.iter().map(node);
        let nodes: Vec<_> = nodes.collect::<Result<_, String>>()?;
        Ok(Self {
            chain: chain.chain,
            config,
            observer: Arc::new(Observer::new(chain.chain, nodes.clone())),
            nodes,
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
            let mut look = Look::default();
            for node in &self.nodes {
                match node.tip().await {
                    Ok(tip) => look.latest.push(tip.height),
                    Err(error) => look.fail(node.name(), &error),
                }
            }
            self.heights.end(look);
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}

impl Family for UtxoFamily {
    type Lane = UtxoLane;
    type Observer = Telling<Observer>;

    fn lane(&self, view: LaneView, keys: &[Key]) -> Result<UtxoLane, String> {
        let keys = OwnKeys::of(keys, &view.row.id).map_err(|error| causes(&error))?;
        Ok(UtxoLane::new(self.config.clone(), keys, view))
    }

    fn observer(&self, _: &LaneRow) -> Result<Arc<Telling<Observer>>, String> {
        Ok(Telling::new(
            Arc::clone(&self.observer),
            &self.heights,
            height,
        ))
    }

    fn hand_max(&self) -> usize {
        // Many are paid by one transaction.
        usize::try_from(self.config.batch_max).unwrap_or(usize::MAX)
    }
}

#[async_trait]
impl Market for UtxoFamily {
    fn report(&self) -> ChainReport {
        self.heights.report()
    }

    async fn fee(
        &self,
        _: &Asset,
        _: Amount,
        _: &Address,
        _: Option<&Address>,
    ) -> Result<FeeQuote, String> {
        let target_blocks = self.config.target_blocks;
        let answer = self.observer.ask(Question::FeeRate { target_blocks }).await;
        let Answer::FeeRate(Ok(rate)) = answer else {
            return Err(format!("the nodes of {} do not say", self.chain));
        };
        let rate = rate
            .unwrap_or(self.config.fee_rate_fallback_sat_vb)
            .min(self.config.fee_rate_ceiling_sat_vb);
        let fee = rate.saturating_mul(USUAL_VSIZE);
        Ok(FeeQuote {
            fee: fee.into(),
            max_fee: fee.saturating_mul(FEE_MARGIN).into(),
        })
    }

    fn trial(
        &self,
        lane: &LaneRow,
        keys: &[Key],
        payment: &Withdrawal,
    ) -> Result<SignRequest, String> {
        let keys = OwnKeys::of(keys, &lane.id).map_err(|error| causes(&error))?;
        let fee = payment.intent.max_fee.to_u64().unwrap_or(u64::MAX);
        // Of one coin, so that it costs less than the usual payment of the quote.
        let rate = fee.div_euclid(FEE_MARGIN).div_euclid(USUAL_VSIZE);
        let of_the_lane = (&self.config, &keys);
        utxo::trial(of_the_lane, lane, payment, rate.max(1))
    }
}

/// How far the chain is by an answer.
fn height(answer: &Answer) -> Option<Height> {
    match answer {
        Answer::Followed(Ok(Followed::Next { tip_height, .. })) => Some(Height {
            latest: *tip_height,
            finalized: None,
        }),
        _ => None,
    }
}
