//! An EVM chain in memory, and nodes that show it well or badly.

mod node;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard},
};

use sha2::{Digest, Sha256};
use tx::{Address, evm::Action};
use wallet::{
    evidence::BlockRef,
    lane::SendOutcome,
    nodes::{EvmLog, EvmReceipt},
};

pub use self::node::SimEvmNode;
use super::{
    book::{Book, Made},
    node::NodeFaults,
    random::Random,
};

pub const CHAIN_ID: u64 = 31337;
/// keccak256("Transfer(address,address,uint256)").
const TRANSFER: &str = "ddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef";

/// What a transaction did in its block.
#[derive(Clone, Debug)]
pub struct Executed {
    pub txid: String,
    pub from: Address,
    pub nonce: u64,
    /// Whom a native coin or token went to, if one of ours did it.
    pub action: Option<Action>,
    pub succeeded: bool,
    pub logged: bool,
    /// Whether what it was to move moved.
    pub moved: bool,
    pub gas_used: u64,
    pub price: u64,
}

/// What a token does that logs nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Silence {
    Moves,
    Keeps,
}

#[derive(Clone, Debug)]
struct Block {
    hash: String,
    parent: String,
    executed: Vec<Executed>,
}

#[derive(Debug)]
pub struct State {
    blocks: Vec<Block>,
    /// Bytes that wait, by txid.
    pool: BTreeMap<String, Made>,
    /// Everything that any node was ever given.
    pub seen: BTreeMap<String, Made>,
    pub base_fee: u64,
    pub tip: u64,
    /// How many blocks the finalized one is behind the best.
    pub finalized_lag: u64,
    /// The highest finalized number ever shown: no reorg goes below.
    finalized: u64,
    /// Transactions to these fail, so often.
    pub fails: BTreeMap<Address, u32>,
    /// The next token transfer to each of these succeeds without a log.
    pub silent: BTreeMap<Address, Silence>,
    /// Nothing that waits is included.
    pub stalled: bool,
    salt: u64,
    book: Book,
    pub breaches: Vec<String>,
    pub reorgs: u64,
}

/// A chain that several nodes show.
#[derive(Clone, Debug)]
pub struct SimEvm(Arc<Mutex<State>>);

impl SimEvm {
    pub fn new(book: Book) -> Self {
        let genesis = Block {
            hash: hash("genesis", 0, 0),
            parent: hash("none", 0, 0),
            executed: Vec::new(),
        };
        let state = State {
            blocks: vec![genesis],
            pool: BTreeMap::new(),
            seen: BTreeMap::new(),
            base_fee: 10_000_000_000,
            tip: 1_000_000_000,
            finalized_lag: 3,
            finalized: 0,
            fails: BTreeMap::new(),
            silent: BTreeMap::new(),
            stalled: false,
            salt: 0,
            book,
            breaches: Vec::new(),
            reorgs: 0,
        };
        let chain = Self(Arc::new(Mutex::new(state)));
        for _ in 0..8 {
            chain.mine();
        }
        chain
    }

    pub fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    pub fn mine(&self) {
        self.lock().mine();
    }

    pub fn node(&self, name: &str, faults: NodeFaults, random: Random) -> SimEvmNode {
        SimEvmNode {
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

    /// What the best chain holds, in order.
    pub fn executed(&self) -> impl Iterator<Item = &Executed> {
        self.blocks.iter().flat_map(|block| &block.executed)
    }

    pub fn includes(&self, txid: &str) -> bool {
        self.executed().any(|executed| executed.txid == txid)
    }

    fn nonce_below(&self, of: &Address, blocks: usize) -> u64 {
        let executed = self.blocks[..blocks].iter().flat_map(|b| &b.executed);
        executed.filter(|executed| executed.from == *of).count() as u64
    }

    pub fn nonce(&self, of: &Address) -> u64 {
        self.nonce_below(of, self.blocks.len())
    }

    pub fn mine(&mut self) {
        let mut executed = Vec::new();
        let senders: BTreeSet<_> = self.pool.values().map(|m| m.evm().from.clone()).collect();
        for from in senders {
            let mut nonce = self.nonce(&from);
            while let Some(made) = self.best(&from, nonce).filter(|_| !self.stalled) {
                executed.push(self.execute(&made));
                nonce += 1;
            }
        }
        let height = self.blocks.len() as u64;
        let parent = self.blocks.last().unwrap().hash.clone();
        self.blocks.push(Block {
            hash: hash(&parent, height, self.salt),
            parent,
            executed,
        });
        self.finalized = self
            .finalized
            .max(height.saturating_sub(self.finalized_lag));
        self.prune();
    }

    fn prune(&mut self) {
        let nonces: BTreeMap<_, _> = {
            let senders: BTreeSet<_> = self.pool.values().map(|m| m.evm().from.clone()).collect();
            senders
                .into_iter()
                .map(|from| (from.clone(), self.nonce(&from)))
                .collect()
        };
        self.pool
            .retain(|_, made| made.evm().nonce >= nonces[&made.evm().from]);
    }

    fn best(&self, from: &Address, nonce: u64) -> Option<Made> {
        let of = |made: &&Made| made.evm().from == *from && made.evm().nonce == nonce;
        let pays = |made: &&Made| made.evm().max_fee >= self.base_fee;
        let candidates = self.pool.values().filter(of).filter(pays);
        candidates.max_by_key(|made| made.evm().tip).cloned()
    }

    fn execute(&mut self, made: &Made) -> Executed {
        let body = made.evm();
        let to = match &body.action {
            Action::Native { to, .. } | Action::Erc20 { to, .. } => to.clone(),
            Action::Approve { .. } | Action::Call { .. } => {
                panic!("the coordinator approves and calls nothing")
            }
        };
        let fails = self.fails.get_mut(&to).filter(|times| **times > 0);
        let succeeded = match fails {
            Some(times) => {
                *times -= 1;
                false
            }
            None => true,
        };
        let is_token = matches!(body.action, Action::Erc20 { .. });
        let silence = match succeeded && is_token {
            true => self.silent.remove(&to),
            false => None,
        };
        Executed {
            txid: made.txid.clone(),
            from: body.from.clone(),
            nonce: body.nonce,
            action: Some(body.action.clone()),
            succeeded,
            logged: succeeded && is_token && silence.is_none(),
            moved: succeeded && silence != Some(Silence::Keeps),
            gas_used: body.gas_limit.min(if is_token { 52_000 } else { 21_000 }),
            price: body.max_fee.min(self.base_fee + body.tip),
        }
    }

    /// The last blocks leave the chain; what they held waits again, or is gone from every pool.
    pub fn reorg(&mut self, depth: u64, evict: bool) {
        let depth = depth.min(self.height() - self.finalized);
        if depth == 0 {
            return;
        }
        self.reorgs += 1;
        self.salt += 1;
        let keep = self.blocks.len() - depth as usize;
        let gone = self.blocks.split_off(keep);
        if evict {
            self.pool.clear();
        } else {
            for executed in gone.iter().flat_map(|block| &block.executed) {
                if let Some(made) = self.seen.get(&executed.txid) {
                    self.pool.insert(made.txid.clone(), made.clone());
                }
            }
        }
        let stalled = std::mem::replace(&mut self.stalled, true);
        for _ in 0..depth {
            self.mine();
        }
        self.stalled = stalled;
        self.mine();
    }

    pub fn fingerprint(&self) -> String {
        let executed: Vec<_> = self.executed().map(|e| (&e.txid, e.succeeded)).collect();
        let pooled: Vec<_> = self.pool.keys().collect();
        let seen: Vec<_> = self.seen.keys().collect();
        let (tip, fails) = (self.blocks.last().map(|block| &block.hash), &self.fails);
        let costs = (self.base_fee, self.stalled, self.finalized);
        format!("{tip:?} {executed:?} {pooled:?} {seen:?} {fails:?} {costs:?}")
    }

    pub fn evict(&mut self) {
        self.pool.clear();
    }

    /// Bytes that were given to a node once wait again.
    pub fn relay_again(&mut self) {
        let seen: Vec<_> = self.seen.values().cloned().collect();
        for made in seen {
            if made.evm().nonce >= self.nonce(&made.evm().from) {
                self.pool
                    .retain(|_, other| other.evm().nonce != made.evm().nonce);
                self.pool.insert(made.txid.clone(), made);
            }
        }
    }

    /// A transaction over the account's next nonce that nobody here made.
    pub fn foreign(&mut self, from: &Address) {
        let nonce = self.nonce(from);
        let executed = Executed {
            txid: format!("0x{}", hash("foreign", nonce, self.salt)),
            from: from.clone(),
            nonce,
            action: None,
            succeeded: true,
            logged: false,
            moved: false,
            gas_used: 21_000,
            price: self.base_fee,
        };
        self.mine();
        self.blocks.last_mut().unwrap().executed.push(executed);
        self.prune();
    }

    /// What consumed a nonce for good.
    pub fn final_over(&self, from: &Address, nonce: u64) -> Option<&Executed> {
        let blocks = &self.blocks[..=self.finalized as usize];
        let mut executed = blocks.iter().flat_map(|block| &block.executed);
        executed.find(|executed| executed.from == *from && executed.nonce == nonce)
    }

    /// Everything that was ever signed waits once more, as after a node's upgrade, weeks later: of
    /// those over one nonce the newest first or the oldest. Then blocks are made until nothing more
    /// fits.
    pub fn flood(&mut self, newest_first: bool) {
        self.stalled = false;
        self.base_fee = 1;
        self.pool.clear();
        let mut all = self.book.all();
        if !newest_first {
            all.reverse();
        }
        for made in all {
            let body = made.evm();
            if body.nonce >= self.nonce(&body.from) {
                let over = |other: &Made| other.evm().nonce == body.nonce;
                self.pool.retain(|_, other| !over(other));
                self.pool.insert(made.txid.clone(), made.clone());
            }
        }
        self.mine();
        self.mine();
    }

    fn take(&mut self, raw: &str) -> SendOutcome {
        let Some(made) = self.book.by_raw(raw) else {
            self.breaches
                .push(format!("bytes that the signer never made: {raw}"));
            return rejected("rlp: cannot decode");
        };
        self.seen.insert(made.txid.clone(), made.clone());
        let body = made.evm().clone();
        if self.includes(&made.txid) {
            return rejected("already known");
        }
        if body.nonce < self.nonce(&body.from) {
            return rejected("nonce too low");
        }
        if self.pool.contains_key(&made.txid) {
            return SendOutcome::Taken;
        }
        let same = |other: &&Made| other.evm().from == body.from && other.evm().nonce == body.nonce;
        let old = self.pool.values().find(same).cloned();
        if let Some(old) = old {
            let (fee, tip) = (old.evm().max_fee, old.evm().tip);
            if body.max_fee * 10 < fee * 11 || body.tip * 10 < tip * 11 {
                return rejected("replacement transaction underpriced");
            }
            self.pool.remove(&old.txid);
        }
        self.pool.insert(made.txid.clone(), made);
        SendOutcome::Taken
    }

    fn block_ref(&self, number: u64) -> BlockRef {
        BlockRef {
            height: number,
            hash: format!("0x{}", self.blocks[number as usize].hash),
        }
    }

    fn receipt(&self, txid: &str, top: u64) -> Option<EvmReceipt> {
        for (number, block) in self.blocks.iter().enumerate().take(top as usize + 1) {
            let found = block.executed.iter().find(|e| e.txid == *txid);
            if let Some(executed) = found {
                return Some(EvmReceipt {
                    txid: executed.txid.clone(),
                    block: self.block_ref(number as u64),
                    succeeded: executed.succeeded,
                    gas_used: executed.gas_used,
                    effective_gas_price: executed.price.into(),
                    logs: logs(executed),
                });
            }
        }
        None
    }
}

fn logs(executed: &Executed) -> Vec<EvmLog> {
    let Some(Action::Erc20 { token, to, amount }) = &executed.action else {
        return Vec::new();
    };
    if !executed.logged {
        return Vec::new();
    }
    let word = |address: &Address| {
        let mut word = [0; 32];
        word[12..].copy_from_slice(address.as_bytes());
        word
    };
    let mut topic = [0; 32];
    hex::decode_to_slice(TRANSFER, &mut topic).unwrap();
    vec![EvmLog {
        address: token.clone(),
        topics: vec![topic, word(&executed.from), word(to)],
        data: amount.to_be_bytes().to_vec(),
    }]
}

fn rejected(detail: &str) -> SendOutcome {
    SendOutcome::Rejected {
        detail: detail.into(),
    }
}

pub fn hash(parent: &str, height: u64, salt: u64) -> String {
    hex::encode(Sha256::digest(format!("{parent} {height} {salt}")))
}
