//! A node of the simulated EVM chain.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use tx::{Address, Amount, evm::Action};
use wallet::{
    evidence::BlockRef,
    lane::SendOutcome,
    nodes::{BlockTag, EvmBlock, EvmNode, EvmReceipt, EvmTransaction, FeeHistory, NodeError},
};

use super::{
    super::{
        node::{Fault, NodeFaults},
        random::Random,
    },
    CHAIN_ID, SimEvm, State, hash, rejected,
};

/// One node of the chain, with its own troubles.
#[derive(Clone, Debug)]
pub struct SimEvmNode {
    pub(super) name: String,
    pub(super) chain: SimEvm,
    pub(super) faults: Arc<Mutex<(NodeFaults, Random)>>,
}

impl SimEvmNode {
    pub fn faults(&self, change: &dyn Fn(&mut NodeFaults)) {
        change(&mut self.faults.lock().unwrap().0);
    }

    fn fault(&self) -> Result<NodeFaults, NodeError> {
        let mut guard = self.faults.lock().unwrap();
        let (faults, random) = &mut *guard;
        faults.strike(random)?;
        Ok(faults.clone())
    }

    fn top(&self, faults: &NodeFaults, state: &State) -> u64 {
        state.height().saturating_sub(faults.lag)
    }

    fn number(&self, at: BlockTag, faults: &NodeFaults, state: &State) -> Option<u64> {
        let top = self.top(faults, state);
        match at {
            BlockTag::Latest => Some(top),
            BlockTag::Finalized => {
                let honest = state.finalized.min(top.saturating_sub(state.finalized_lag));
                Some((honest + faults.boast).min(top))
            }
            BlockTag::Number(number) => (number <= top).then_some(number),
        }
    }

    fn shown(&self, faults: &NodeFaults, mut block: BlockRef) -> BlockRef {
        if faults.forked && block.height > 4 {
            block.hash = format!("0x{}", hash("fork", block.height, 99));
        }
        block
    }
}

#[async_trait]
impl EvmNode for SimEvmNode {
    fn name(&self) -> &str {
        &self.name
    }

    async fn chain_id(&self) -> Result<u64, NodeError> {
        self.fault()?;
        Ok(CHAIN_ID)
    }

    async fn block(&self, which: BlockTag) -> Result<Option<EvmBlock>, NodeError> {
        let faults = self.fault()?;
        let state = self.chain.lock();
        let Some(number) = self.number(which, &faults, &state) else {
            return Ok(None);
        };
        let parent = state.blocks[number as usize].parent.clone();
        Ok(Some(EvmBlock {
            block: self.shown(&faults, state.block_ref(number)),
            parent: format!("0x{parent}"),
        }))
    }

    async fn transactions(&self, number: u64) -> Result<Option<Vec<EvmTransaction>>, NodeError> {
        let faults = self.fault()?;
        let state = self.chain.lock();
        if number > self.top(&faults, &state) {
            return Ok(None);
        }
        let executed = state.blocks[number as usize].executed.iter();
        let transactions = executed.map(|executed| EvmTransaction {
            txid: executed.txid.clone(),
            from: executed.from.clone(),
            nonce: executed.nonce,
        });
        Ok(Some(transactions.collect()))
    }

    async fn nonce(&self, of: &Address, at: BlockTag) -> Result<u64, NodeError> {
        let faults = self.fault()?;
        let state = self.chain.lock();
        let number = self.number(at, &faults, &state);
        let number = number.ok_or_else(|| NodeError::Refused {
            code: -32000,
            message: "header not found".into(),
        })?;
        Ok(state.nonce_below(of, number as usize + 1) + faults.nonce_lie)
    }

    async fn receipt(&self, txid: &str) -> Result<Option<EvmReceipt>, NodeError> {
        let faults = self.fault()?;
        let state = self.chain.lock();
        if faults.no_receipts {
            return Ok(None);
        }
        let receipt = state.receipt(txid, self.top(&faults, &state));
        Ok(receipt.map(|mut receipt| {
            receipt.block = self.shown(&faults, receipt.block);
            if faults.fails_all {
                receipt.succeeded = false;
            }
            receipt
        }))
    }

    async fn fee_history(&self) -> Result<FeeHistory, NodeError> {
        self.fault()?;
        let state = self.chain.lock();
        Ok(FeeHistory {
            next_base_fee: state.base_fee.into(),
            priority_fees: vec![state.tip.into(); 5],
        })
    }

    async fn estimate_gas(&self, _: &Address, action: &Action) -> Result<u64, NodeError> {
        self.fault()?;
        Ok(match action {
            Action::Native { .. } => 21_000,
            Action::Erc20 { .. } => 52_000,
            Action::Approve { .. } | Action::Call { .. } => {
                panic!("the coordinator approves and calls nothing")
            }
        })
    }

    async fn balance(&self, of: &Address, _: BlockTag) -> Result<Amount, NodeError> {
        self.fault()?;
        let state = self.chain.lock();
        let mut left = Amount::from(1_000_000_000_000_000_000_000_u128);
        for executed in state.executed().filter(|executed| executed.from == *of) {
            let fee = Amount::from(executed.gas_used).checked_mul(executed.price.into());
            left = left.saturating_sub(fee.unwrap());
            if let (Some(Action::Native { value, .. }), true) =
                (&executed.action, executed.succeeded)
            {
                left = left.saturating_sub(*value);
            }
        }
        Ok(left)
    }

    async fn token_balance(
        &self,
        _: &Address,
        _: &Address,
        _: BlockTag,
    ) -> Result<Amount, NodeError> {
        self.fault()?;
        Ok(Amount::from(1_000_000_000_000_u64))
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
            Fault::Refused => rejected("txpool is full"),
            Fault::None => self.chain.lock().take(raw),
        }
    }
}
