//! A UTXO chain in memory, and nodes that show it well or badly.

mod node;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard},
};

use sha2::{Digest, Sha256};
use tx::utxo::Outpoint;
use wallet::{evidence::BlockRef, lane::SendOutcome};

pub use self::node::SimCoinNode;
use super::{book::Book, evm_chain::hash, node::NodeFaults, random::Random};

/// No reorg is deeper than this.
pub const REORG_MAX: u64 = 2;

/// A transaction as a node keeps it.
#[derive(Clone, Debug)]
pub struct Coins {
    pub txid: String,
    pub raw: Vec<u8>,
    pub inputs: Vec<Outpoint>,
    pub outputs: Vec<(u64, Vec<u8>)>,
    pub fee: u64,
    pub vsize: u64,
    pub signals: bool,
    pub coinbase: bool,
}

#[derive(Clone, Debug)]
struct Block {
    hash: String,
    previous: String,
    transactions: Vec<Coins>,
}

#[derive(Debug)]
pub struct State {
    blocks: Vec<Block>,
    pool: BTreeMap<String, Coins>,
    /// Everything that any node was ever given.
    pub seen: BTreeMap<String, Coins>,
    /// The least rate that is mined, in satoshi a vbyte.
    pub rate_mined: u64,
    pub rate_estimated: Option<u64>,
    /// No reorg goes below this height.
    pub anchored: u64,
    pub stalled: bool,
    salt: u64,
    made: u64,
    book: Book,
    pub breaches: Vec<String>,
    pub reorgs: u64,
}

/// A chain that several nodes show.
#[derive(Clone, Debug)]
pub struct SimCoin(Arc<Mutex<State>>);

impl SimCoin {
    pub fn new(book: Book) -> Self {
        let genesis = Block {
            hash: hash("coin", 0, 0),
            previous: "00".repeat(32),
            transactions: Vec::new(),
        };
        let state = State {
            blocks: vec![genesis],
            pool: BTreeMap::new(),
            seen: BTreeMap::new(),
            rate_mined: 1,
            rate_estimated: Some(2),
            anchored: 0,
            stalled: false,
            salt: 0,
            made: 0,
            book,
            breaches: Vec::new(),
            reorgs: 0,
        };
        Self(Arc::new(Mutex::new(state)))
    }

    pub fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    pub fn node(&self, name: &str, faults: NodeFaults, random: Random) -> SimCoinNode {
        SimCoinNode {
            name: name.into(),
            chain: self.clone(),
            faults: Arc::new(Mutex::new((faults, random))),
        }
    }
}

impl State {
    pub fn height(&self) -> u64 {
        self.blocks.len() as u64 - 1
    }

    /// Every transaction of the best chain with its height.
    pub fn confirmed(&self) -> impl Iterator<Item = (u64, &Coins)> {
        let blocks = self.blocks.iter().zip(0_u64..);
        blocks.flat_map(|(block, height)| block.transactions.iter().map(move |t| (height, t)))
    }

    pub fn includes(&self, txid: &str) -> bool {
        self.confirmed().any(|(_, coins)| coins.txid == txid)
    }

    /// Pays these scripts in a block of its own, from nowhere.
    pub fn fund(&mut self, outputs: Vec<(u64, Vec<u8>)>, coinbase: bool) {
        self.made += 1;
        let coins = funding(self.made, outputs, coinbase);
        self.push(vec![coins]);
    }

    /// Someone else pays these scripts in the next block.
    fn push(&mut self, transactions: Vec<Coins>) {
        let height = self.blocks.len() as u64;
        let previous = self.blocks.last().unwrap().hash.clone();
        self.blocks.push(Block {
            hash: hash(&previous, height, self.salt),
            previous,
            transactions,
        });
    }

    fn available(&self) -> BTreeSet<Outpoint> {
        let mut coins = BTreeSet::new();
        for (_, transaction) in self.confirmed() {
            apply(&mut coins, transaction);
        }
        coins
    }

    pub fn mine(&mut self) {
        let mut coins = self.available();
        let mut mined = Vec::new();
        let mut waiting: Vec<_> = self.pool.values().cloned().collect();
        waiting.retain(|c| !self.stalled && c.fee >= self.rate_mined * c.vsize);
        while let Some(at) = waiting.iter().position(|c| spendable(&coins, c)) {
            let next = waiting.remove(at);
            apply(&mut coins, &next);
            mined.push(next);
        }
        self.push(mined);
        self.prune();
    }

    /// What conflicts with the best chain no longer waits.
    fn prune(&mut self) {
        let spent: BTreeSet<_> = self
            .confirmed()
            .flat_map(|(_, coins)| coins.inputs.iter().copied())
            .collect();
        self.pool
            .retain(|_, coins| !coins.inputs.iter().any(|input| spent.contains(input)));
    }

    /// The last blocks leave the chain; what they held waits again, or is gone from every pool.
    pub fn reorg(&mut self, depth: u64, evict: bool) {
        let depth = depth
            .min(self.height().saturating_sub(self.anchored))
            .min(REORG_MAX);
        if depth == 0 {
            return;
        }
        self.reorgs += 1;
        self.salt += 1;
        let keep = self.blocks.len() - depth as usize;
        let gone = self.blocks.split_off(keep);
        for coins in gone.iter().flat_map(|block| &block.transactions) {
            if !evict && self.seen.contains_key(&coins.txid) {
                self.pool.insert(coins.txid.clone(), coins.clone());
            }
        }
        if evict {
            self.pool.clear();
        }
        for _ in 0..=depth {
            self.push(Vec::new());
        }
        self.prune();
    }

    pub fn fingerprint(&self) -> String {
        let confirmed: Vec<_> = self
            .confirmed()
            .map(|(at, coins)| (at, &coins.txid))
            .collect();
        let pooled: Vec<_> = self.pool.keys().collect();
        let seen: Vec<_> = self.seen.keys().collect();
        let tip = self.blocks.last().map(|block| &block.hash);
        let costs = (self.rate_mined, self.rate_estimated, self.stalled);
        format!("{tip:?} {confirmed:?} {pooled:?} {seen:?} {costs:?}")
    }

    pub fn evict(&mut self) {
        self.pool.clear();
    }

    /// Bytes that were given to a node once wait again, if nothing else took their coins.
    pub fn relay_again(&mut self) {
        let seen: Vec<_> = self.seen.values().cloned().collect();
        for coins in seen {
            let _ = self.admit(coins);
        }
    }

    /// Someone who has our keys spends one of our coins.
    pub fn foreign(&mut self, outpoint: Outpoint) {
        self.made += 1;
        let mut coins = funding(self.made, vec![(1_000, vec![0x51])], false);
        coins.inputs = vec![outpoint];
        self.push(vec![coins]);
        self.prune();
    }

    /// Everything that was ever signed waits once more, the oldest of those that conflict first in
    /// one round and the newest in the other, until nothing more fits.
    pub fn flood(&mut self, newest_first: bool) {
        self.stalled = false;
        self.rate_mined = 0;
        self.pool.clear();
        for _ in 0..3 {
            let mut all = self.book.all();
            if newest_first {
                all.reverse();
            }
            for made in all {
                let coins = Coins::made(&made);
                let conflicts = self.pool.values().any(|c| conflict(c, &coins));
                if !conflicts && !self.includes(&coins.txid) {
                    self.pool.insert(coins.txid.clone(), coins);
                }
            }
            self.prune();
            self.mine();
        }
    }

    fn take(&mut self, raw: &str) -> SendOutcome {
        let Some(made) = self.book.by_raw(raw) else {
            self.breaches
                .push(format!("bytes that the signer never made: {raw}"));
            return rejected("TX decode failed");
        };
        let coins = Coins::made(&made);
        self.seen.insert(coins.txid.clone(), coins.clone());
        if self.includes(&coins.txid) {
            return rejected("transaction already in block chain");
        }
        self.admit(coins)
    }

    fn admit(&mut self, coins: Coins) -> SendOutcome {
        if self.pool.contains_key(&coins.txid) {
            return SendOutcome::Taken;
        }
        let mut known = self.available();
        for waiting in self.pool.values() {
            known.extend(outpoints(waiting));
        }
        if !coins.inputs.iter().all(|input| known.contains(input)) {
            return rejected("bad-txns-inputs-missingorspent");
        }
        let old: Vec<_> = self
            .pool
            .values()
            .filter(|c| conflict(c, &coins))
            .cloned()
            .collect();
        let fees: u64 = old.iter().map(|c| c.fee).sum();
        let rates = old
            .iter()
            .any(|c| coins.fee * c.vsize <= c.fee * coins.vsize);
        if old.iter().any(|c| !c.signals) {
            return rejected("txn-mempool-conflict");
        }
        if !old.is_empty() && (coins.fee < fees + coins.vsize || rates) {
            return rejected("insufficient fee, rejecting replacement");
        }
        for gone in old {
            self.pool.remove(&gone.txid);
        }
        self.pool.insert(coins.txid.clone(), coins);
        SendOutcome::Taken
    }

    fn block_ref(&self, height: u64) -> BlockRef {
        BlockRef {
            height,
            hash: self.blocks[height as usize].hash.clone(),
        }
    }
}

impl Coins {
    fn made(made: &super::book::Made) -> Self {
        let body = made.coin();
        Self {
            txid: made.txid.clone(),
            raw: hex::decode(&made.raw).unwrap(),
            inputs: body.inputs.clone(),
            outputs: body.outputs.clone(),
            fee: body.fee,
            vsize: body.vsize,
            signals: body.signals,
            coinbase: false,
        }
    }
}

fn rejected(detail: &str) -> SendOutcome {
    SendOutcome::Rejected {
        detail: detail.into(),
    }
}

fn conflict(one: &Coins, other: &Coins) -> bool {
    one.txid != other.txid && one.inputs.iter().any(|input| other.inputs.contains(input))
}

fn spendable(coins: &BTreeSet<Outpoint>, transaction: &Coins) -> bool {
    transaction.inputs.iter().all(|input| coins.contains(input))
}

fn apply(coins: &mut BTreeSet<Outpoint>, transaction: &Coins) {
    for input in &transaction.inputs {
        coins.remove(input);
    }
    coins.extend(outpoints(transaction));
}

fn outpoints(transaction: &Coins) -> Vec<Outpoint> {
    let mut txid = [0; 32];
    hex::decode_to_slice(&transaction.txid, &mut txid).unwrap();
    txid.reverse();
    (0..transaction.outputs.len() as u32)
        .map(|vout| Outpoint { txid, vout })
        .collect()
}

/// A transaction that pays from nowhere: its bytes are real, its input is of no chain here.
fn funding(number: u64, outputs: Vec<(u64, Vec<u8>)>, coinbase: bool) -> Coins {
    let mut raw = 2_u32.to_le_bytes().to_vec();
    raw.push(1);
    raw.extend(if coinbase { [0; 32] } else { [0xf0; 32] });
    let vout = if coinbase { u32::MAX } else { number as u32 };
    raw.extend(vout.to_le_bytes());
    raw.push(8);
    raw.extend(number.to_le_bytes());
    raw.extend(u32::MAX.to_le_bytes());
    raw.push(outputs.len() as u8);
    for (amount, script) in &outputs {
        raw.extend(amount.to_le_bytes());
        raw.push(script.len() as u8);
        raw.extend(script);
    }
    raw.extend(0_u32.to_le_bytes());
    let mut txid: [u8; 32] = Sha256::digest(Sha256::digest(&raw)).into();
    txid.reverse();
    Coins {
        txid: hex::encode(txid),
        vsize: raw.len() as u64,
        raw,
        inputs: Vec::new(),
        outputs,
        fee: 0,
        signals: false,
        coinbase,
    }
}
