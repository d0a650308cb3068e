//! What the two families of chains have in common for a run.

use std::sync::Arc;

use tx::{Address, Asset, Chain, Registry};
use wallet::{
    lane::{Lane, LaneView, Observer},
    store::NewLane,
};

use super::{
    book::{Book, Made},
    check::Confirmed,
    coin_chain::{SimCoin, SimCoinNode},
    evm_chain::{SimEvm, SimEvmNode},
    node::NodeFaults,
    random::Random,
};

pub type Question<F> = <<F as Family>::Lane as Lane>::Question;
pub type Answer<F> = <<F as Family>::Lane as Lane>::Answer;

/// A family of chains, with one chain of it.
pub trait Family: Sized + 'static {
    type Lane: Lane;
    type Chain: SimChain;
    type Node: SimNode;
    type Settings: Clone;

    const CHAIN: Chain;
    const BLOCK_MILLIS: u64;
    /// What every customer has of every asset in the beginning.
    const DEPOSIT: u64;

    fn registry() -> Registry;
    /// The native asset first.
    fn assets() -> Vec<Asset>;
    /// An address of someone else.
    fn destination(number: u64) -> Address;
    fn chain(book: Book) -> Self::Chain;
    fn node(chain: &Self::Chain, name: &str, random: Random) -> Self::Node;
    fn settings() -> Self::Settings;
    fn new_lane(signer_epoch: u64, next_nonce: u64) -> NewLane;
    fn lane(settings: &Self::Settings, registry: &Registry, view: LaneView) -> Self::Lane;
    fn observer(settings: &Self::Settings, nodes: &[Self::Node]) -> Arc<dyn AnyObserver<Self>>;
}

/// Whoever answers a family's questions.
pub trait AnyObserver<F: Family>: Observer<Question = Question<F>, Answer = Answer<F>> {}

impl<F: Family, O: Observer<Question = Question<F>, Answer = Answer<F>>> AnyObserver<F> for O {}

/// What the checker asks a chain.
pub trait SimChain: Clone + 'static {
    fn mine(&self);
    /// Our transactions on the best chain.
    fn confirmed(&self) -> Vec<Confirmed>;
    /// Whether it can be, or is, on the best chain, with every reorg that may still come.
    fn may_confirm(&self, made: &Made) -> bool;
    /// Whether it is on the chain for good, and did what it should.
    fn is_final(&self, made: &Made) -> bool;
    fn flood(&self, newest_first: bool);
    fn breaches(&self) -> Vec<String>;
    /// The ids of all that any node was ever given.
    fn seen(&self) -> Vec<String>;
    /// No pool holds anything any more.
    fn evict(&self);
    /// What any node was ever given waits again, if it can still be included.
    fn relay_again(&self);
    /// Nothing that waits is included.
    fn stall(&self, stalled: Stalled);
    /// Inclusion costs twice and more of what was offered so far.
    fn grow_dear(&self);
    /// Inclusion costs what it cost in the beginning.
    fn grow_cheap(&self);
    fn reorg(&self, depth: u64, evicts: Evicts);
    /// Equal for equal chains, pools and troubles.
    fn fingerprint(&self) -> String;
}

/// Whether what waits is included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stalled {
    Yes,
    No,
}

/// Whether what leaves the chain leaves the pools too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Evicts {
    Yes,
    No,
}

/// A node whose troubles can be changed.
pub trait SimNode: Clone + 'static {
    fn change(&self, change: &dyn Fn(&mut NodeFaults));
}

impl SimNode for SimEvmNode {
    fn change(&self, change: &dyn Fn(&mut NodeFaults)) {
        self.faults(change);
    }
}

impl SimNode for SimCoinNode {
    fn change(&self, change: &dyn Fn(&mut NodeFaults)) {
        self.faults(change);
    }
}

impl SimChain for SimEvm {
    fn mine(&self) {
        self.lock().mine();
    }

    fn confirmed(&self) -> Vec<Confirmed> {
        let state = self.lock();
        let own = state
            .executed()
            .filter(|executed| executed.action.is_some());
        own.map(|executed| Confirmed {
            txid: executed.txid.clone(),
            paid: executed.moved,
            fee: executed.gas_used * executed.price,
        })
        .collect()
    }

    fn may_confirm(&self, made: &Made) -> bool {
        let state = self.lock();
        let final_txid = state.final_over(&made.evm().from, made.evm().nonce);
        match final_txid {
            None => true,
            // A failure that is final pays nothing.
            Some(executed) => executed.txid == made.txid && executed.moved,
        }
    }

    fn is_final(&self, made: &Made) -> bool {
        let state = self.lock();
        let over = state.final_over(&made.evm().from, made.evm().nonce);
        over.is_some_and(|executed| executed.txid == made.txid && executed.moved)
    }

    fn flood(&self, newest_first: bool) {
        self.lock().flood(newest_first);
    }

    fn breaches(&self) -> Vec<String> {
        self.lock().breaches.clone()
    }

    fn seen(&self) -> Vec<String> {
        self.lock().seen.keys().cloned().collect()
    }

    fn evict(&self) {
        self.lock().evict();
    }

    fn relay_again(&self) {
        self.lock().relay_again();
    }

    fn stall(&self, stalled: Stalled) {
        self.lock().stalled = stalled == Stalled::Yes;
    }

    fn grow_dear(&self) {
        self.lock().base_fee = 25_000_000_000;
    }

    fn grow_cheap(&self) {
        self.lock().base_fee = 10_000_000_000;
    }

    fn reorg(&self, depth: u64, evicts: Evicts) {
        self.lock().reorg(depth, evicts == Evicts::Yes);
    }

    fn fingerprint(&self) -> String {
        self.lock().fingerprint()
    }
}

impl SimChain for SimCoin {
    fn mine(&self) {
        self.lock().mine();
    }

    fn confirmed(&self) -> Vec<Confirmed> {
        let state = self.lock();
        let own = state
            .confirmed()
            .filter(|(_, coins)| !coins.inputs.is_empty());
        own.map(|(_, coins)| Confirmed {
            txid: coins.txid.clone(),
            paid: true,
            fee: coins.fee,
        })
        .collect()
    }

    fn may_confirm(&self, made: &Made) -> bool {
        let state = self.lock();
        let deep = state.height().saturating_sub(super::coin_chain::REORG_MAX);
        let spent = |coins: &super::coin_chain::Coins| {
            coins
                .inputs
                .iter()
                .any(|input| made.coin().inputs.contains(input))
        };
        !state
            .confirmed()
            .any(|(height, coins)| height <= deep && coins.txid != made.txid && spent(coins))
    }

    fn is_final(&self, made: &Made) -> bool {
        let state = self.lock();
        let deep = state.height().saturating_sub(super::coin_chain::REORG_MAX);
        let mut confirmed = state.confirmed();
        confirmed.any(|(height, coins)| height <= deep && coins.txid == made.txid)
    }

    fn flood(&self, newest_first: bool) {
        self.lock().flood(newest_first);
    }

    fn breaches(&self) -> Vec<String> {
        self.lock().breaches.clone()
    }

    fn seen(&self) -> Vec<String> {
        self.lock().seen.keys().cloned().collect()
    }

    fn evict(&self) {
        self.lock().evict();
    }

    fn relay_again(&self) {
        self.lock().relay_again();
    }

    fn stall(&self, stalled: Stalled) {
        self.lock().stalled = stalled == Stalled::Yes;
    }

    fn grow_dear(&self) {
        let mut state = self.lock();
        state.rate_mined = 5;
        state.rate_estimated = Some(6);
    }

    fn grow_cheap(&self) {
        let mut state = self.lock();
        state.rate_mined = 1;
        state.rate_estimated = Some(2);
    }

    fn reorg(&self, depth: u64, evicts: Evicts) {
        self.lock().reorg(depth, evicts == Evicts::Yes);
    }

    fn fingerprint(&self) -> String {
        self.lock().fingerprint()
    }
}
