//! A node of the simulated UTXO chain.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use tx::Chain;
use wallet::{
    evidence::BlockRef,
    lane::SendOutcome,
    nodes::{CoinBlock, CoinNode, CoinTransaction, NodeError},
};

use super::{
    super::{
        evm_chain::hash,
        node::{Fault, NodeFaults},
        random::Random,
    },
    SimCoin, rejected,
};

/// One node of the chain, with its own troubles.
#[derive(Clone, Debug)]
pub struct SimCoinNode {
    pub(super) name: String,
    pub(super) chain: SimCoin,
    pub(super) faults: Arc<Mutex<(NodeFaults, Random)>>,
}

impl SimCoinNode {
    pub fn faults(&self, change: &dyn Fn(&mut NodeFaults)) {
        change(&mut self.faults.lock().unwrap().0);
    }

    fn fault(&self) -> Result<NodeFaults, NodeError> {
        let mut guard = self.faults.lock().unwrap();
        let (faults, random) = &mut *guard;
        faults.strike(random)?;
        Ok(faults.clone())
    }

    fn shown(&self, faults: &NodeFaults, height: u64, real: &str) -> String {
        if faults.forked && height > 4 {
            hash("fork", height, 99)
        } else {
            real.into()
        }
    }
}

#[async_trait]
impl CoinNode for SimCoinNode {
    fn name(&self) -> &str {
        &self.name
    }

    async fn is_of(&self, _: Chain) -> Result<bool, NodeError> {
        self.fault()?;
        Ok(true)
    }

    async fn tip(&self) -> Result<BlockRef, NodeError> {
        let faults = self.fault()?;
        let state = self.chain.lock();
        let top = state.height().saturating_sub(faults.lag);
        let real = state.block_ref(top);
        Ok(BlockRef {
            height: top,
            hash: self.shown(&faults, top, &real.hash),
        })
    }

    async fn hash_at(&self, height: u64) -> Result<Option<String>, NodeError> {
        let faults = self.fault()?;
        let state = self.chain.lock();
        if height > state.height().saturating_sub(faults.lag) {
            return Ok(None);
        }
        let real = state.block_ref(height).hash;
        Ok(Some(self.shown(&faults, height, &real)))
    }

    async fn block(&self, wanted: &str) -> Result<CoinBlock, NodeError> {
        let faults = self.fault()?;
        let state = self.chain.lock();
        let top = state.height().saturating_sub(faults.lag);
        let height = (0..=top)
            .find(|height| self.shown(&faults, *height, &state.block_ref(*height).hash) == wanted);
        let height = height.ok_or_else(|| NodeError::Refused {
            code: -5,
            message: "Block not found".into(),
        })?;
        let block = &state.blocks[height as usize];
        let previous = match height {
            0 => block.previous.clone(),
            _ => self.shown(&faults, height - 1, &block.previous),
        };
        let transactions = block.transactions.iter().map(|coins| CoinTransaction {
            txid: coins.txid.clone(),
            coinbase: coins.coinbase,
            inputs: coins.inputs.clone(),
            outputs: coins.outputs.clone(),
            raw: coins.raw.clone(),
        });
        Ok(CoinBlock {
            block: BlockRef {
                height,
                hash: wanted.into(),
            },
            previous,
            transactions: if faults.no_receipts {
                Vec::new()
            } else {
                transactions.collect()
            },
        })
    }

    async fn fee_rate_sat_vb(&self, _: u16) -> Result<Option<u64>, NodeError> {
        self.fault()?;
        Ok(self.chain.lock().rate_estimated)
    }

    async fn send(&self, raw: &str) -> SendOutcome {
        let fault = {
            let mut guard = self.faults.lock().unwrap();
            let (faults, random) = &mut *guard;
            faults.strike_send(random)
        };
        let unknown = || SendOutcome::Unknown {
            detail: "no answer in time".into(),
        };
        match fault {
            Fault::Lost => unknown(),
            Fault::Done => {
                let _ = self.chain.lock().take(raw);
                unknown()
            }
            Fault::Refused => rejected("mempool full"),
            Fault::None => self.chain.lock().take(raw),
        }
    }
}
