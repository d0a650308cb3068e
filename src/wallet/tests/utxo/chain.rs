//! A small chain, and a node of it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use sha2::{Digest, Sha256};
use tx::{
    Chain, Network,
    utxo::{Outpoint, stripped},
};
use wallet::{
    evidence::BlockRef,
    lane::SendOutcome,
    nodes::{CoinBlock, CoinNode, CoinTransaction, NodeError},
};

pub const CHAIN: Chain = Chain::Bitcoin(Network::Regtest);

/// What a node has.
#[derive(Default)]
pub struct State {
    pub blocks: Vec<CoinBlock>,
    pub mempool: Vec<CoinTransaction>,
    /// What it was ever given.
    pub given: Vec<CoinTransaction>,
    /// Makes blocks of one height differ.
    pub salt: u64,
    /// What it answers instead.
    pub trouble: Option<Trouble>,
    pub fee_rate: Option<u64>,
}

/// What is wrong with a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    Silent,
    /// Takes transactions and does not say so.
    Mute,
    /// It shows so many blocks less.
    Lags(usize),
    /// It shows another block at this height.
    Lies(u64),
}

/// A node that shares its state with the test.
#[derive(Clone, Default)]
pub struct Node(Arc<Mutex<State>>);

/// A transaction that spends and makes these; `salt` makes it differ from another that does.
pub fn transaction(inputs: &[Outpoint], outputs: &[(u64, Vec<u8>)], salt: u32) -> CoinTransaction {
    let mut raw = 2_u32.to_le_bytes().to_vec();
    raw.push(u8::try_from(inputs.len()).unwrap());
    for input in inputs {
        raw.extend(input.txid);
        raw.extend(input.vout.to_le_bytes());
        raw.push(0);
        raw.extend(u32::MAX.to_le_bytes());
    }
    raw.push(u8::try_from(outputs.len()).unwrap());
    for (amount, script) in outputs {
        raw.extend(amount.to_le_bytes());
        raw.push(u8::try_from(script.len()).unwrap());
        raw.extend(script);
    }
    raw.extend(salt.to_le_bytes());
    read(&raw)
}

/// The transaction of these bytes.
pub fn read(raw: &[u8]) -> CoinTransaction {
    let mut at = 4;
    let mut take = |length: usize| {
        let taken = &raw[at..at + length];
        at += length;
        taken
    };
    let mut inputs = Vec::new();
    for _ in 0..take(1)[0] {
        let txid = take(32).try_into().unwrap();
        let vout = u32::from_le_bytes(take(4).try_into().unwrap());
        take(5);
        inputs.push(Outpoint { txid, vout });
    }
    let mut outputs = Vec::new();
    for _ in 0..take(1)[0] {
        let amount = u64::from_le_bytes(take(8).try_into().unwrap());
        let length = take(1)[0];
        outputs.push((amount, take(usize::from(length)).to_vec()));
    }
    let mut txid = stripped(raw).unwrap().txid;
    txid.reverse();
    CoinTransaction {
        txid: hex::encode(txid),
        coinbase: false,
        inputs,
        outputs,
        raw: raw.to_vec(),
    }
}

pub fn outpoint(transaction: &CoinTransaction, vout: u32) -> Outpoint {
    format!("{}:{vout}", transaction.txid).parse().unwrap()
}

impl State {
    pub fn height(&self) -> u64 {
        self.blocks.len() as u64 - 1
    }

    /// A block with these transactions. What of the mempool conflicts with it goes.
    pub fn mine(&mut self, transactions: Vec<CoinTransaction>) {
        let previous = self.blocks.last();
        let previous = previous.map_or_else(|| "none".to_owned(), |had| had.block.hash.clone());
        self.salt += 1;
        let height = self.blocks.len() as u64;
        let hash = Sha256::digest(format!("{previous} {height} {}", self.salt));
        for mined in &transactions {
            assert!(mined.inputs.iter().all(|input| !self.is_spent(input)));
            let conflicts =
                |had: &CoinTransaction| had.inputs.iter().any(|input| mined.inputs.contains(input));
            self.mempool.retain(|had| !conflicts(had));
        }
        self.blocks.push(CoinBlock {
            block: BlockRef {
                height,
                hash: hex::encode(hash),
            },
            previous,
            transactions,
        });
    }

    /// A block with all that waits.
    pub fn mine_mempool(&mut self) {
        let waiting = self.mempool.clone();
        self.mine(waiting);
    }

    /// The last blocks leave the chain; what was in them waits again, or is forgotten.
    pub fn unmine(&mut self, depth: usize, forget: Forget) {
        for _ in 0..depth {
            let block = self.blocks.pop().unwrap();
            if forget == Forget::Nothing {
                for transaction in block.transactions {
                    self.take(transaction);
                }
            }
        }
    }

    fn is_spent(&self, outpoint: &Outpoint) -> bool {
        let mined = self.blocks.iter().flat_map(|block| &block.transactions);
        let mut inputs = mined.flat_map(|transaction| &transaction.inputs);
        inputs.any(|input| input == outpoint)
    }

    /// As a mempool takes it: in the place of what it conflicts with.
    pub fn take(&mut self, new: CoinTransaction) -> bool {
        let mined = self.blocks.iter().flat_map(|block| &block.transactions);
        if mined.clone().any(|had| had.txid == new.txid) {
            return false;
        }
        let known = |input: &Outpoint| {
            let mut txid = input.txid;
            txid.reverse();
            let txid = hex::encode(txid);
            mined.clone().any(|had| had.txid == txid)
        };
        if new
            .inputs
            .iter()
            .any(|input| self.is_spent(input) || !known(input))
        {
            return false;
        }
        let conflicts =
            |had: &CoinTransaction| had.inputs.iter().any(|input| new.inputs.contains(input));
        self.mempool.retain(|had| !conflicts(had));
        self.mempool.push(new);
        true
    }

    fn shown(&self) -> usize {
        match self.trouble {
            Some(Trouble::Lags(blocks)) => self.blocks.len().saturating_sub(blocks).max(1),
            _ => self.blocks.len(),
        }
    }
}

/// What becomes of the transactions of blocks that left the chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Forget {
    Nothing,
    Everything,
}

impl Node {
    pub fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn checked(&self) -> Result<MutexGuard<'_, State>, NodeError> {
        let state = self.state();
        match state.trouble {
            Some(Trouble::Silent) => Err(NodeError::NoAnswer {
                detail: "time-out".into(),
            }),
            _ => Ok(state),
        }
    }
}

#[async_trait]
impl CoinNode for Node {
    fn name(&self) -> &str {
        "model"
    }

    async fn is_of(&self, chain: Chain) -> Result<bool, NodeError> {
        self.checked().map(|_| chain == CHAIN)
    }

    async fn tip(&self) -> Result<BlockRef, NodeError> {
        let state = self.checked()?;
        Ok(state.blocks[state.shown() - 1].block.clone())
    }

    async fn hash_at(&self, height: u64) -> Result<Option<String>, NodeError> {
        let state = self.checked()?;
        if state.trouble == Some(Trouble::Lies(height)) {
            return Ok(Some("another".into()));
        }
        let shown = &state.blocks[..state.shown()];
        let block = shown.get(usize::try_from(height).unwrap());
        Ok(block.map(|block| block.block.hash.clone()))
    }

    async fn block(&self, hash: &str) -> Result<CoinBlock, NodeError> {
        let state = self.checked()?;
        let block = state.blocks.iter().find(|block| block.block.hash == hash);
        block.cloned().ok_or(NodeError::Refused {
            code: -5,
            message: "Block not found".into(),
        })
    }

    async fn fee_rate_sat_vb(&self, _: u16) -> Result<Option<u64>, NodeError> {
        Ok(self.checked()?.fee_rate)
    }

    async fn send(&self, raw: &str) -> SendOutcome {
        let mut state = self.state();
        let silent = |detail: &str| SendOutcome::Unknown {
            detail: detail.into(),
        };
        if state.trouble == Some(Trouble::Silent) {
            return silent("nothing came back");
        }
        let transaction = read(&hex::decode(raw).unwrap());
        state.given.push(transaction.clone());
        let taken = state.take(transaction);
        if state.trouble == Some(Trouble::Mute) {
            return silent("nothing came back");
        }
        match taken {
            true => SendOutcome::Taken,
            false => SendOutcome::Rejected {
                detail: "bad-txns-inputs-missingorspent".into(),
            },
        }
    }
}
