//! The two chains of the simulation: one of each family, with settings that make time short.

use std::sync::Arc;

use tx::{AccountClass, Address, Asset, Chain, Network, OwnKey, Registry};
use wallet::{
    chains::{evm, utxo},
    lane::{LaneId, LaneView, Sender},
    nodes::{CoinNode, EvmNode},
    store::NewLane,
};

use super::{
    book::Book,
    coin_chain::{SimCoin, SimCoinNode},
    evm_chain::{CHAIN_ID, SimEvm, SimEvmNode},
    family::{AnyObserver, Family},
    node::NodeFaults,
    random::Random,
    signer::name,
};

/// Multiples of the generator: 1, 2, 3 and 4 times.
const KEYS: [&str; 4] = [
    "0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798",
    "02c6047f9441ed7d6d3045406e95c07cd85c778e4b8cef3ca7abac09b95c709ee5",
    "02f9308a019258c31049344f85f89d5229b531c845836f99b08601f113bce036f9",
    "02e493dbf1c10d80f3581e4904930b1404cc6c13900ee0758474fa94abe8c4cd13",
];

fn registry(chain: Chain, keys: usize) -> Registry {
    let key = |(number, public): (usize, &&str)| OwnKey {
        name: name(&format!("hot-{number}")),
        public: public.parse().unwrap(),
        account: name("hot"),
        class: AccountClass::Hot,
        chains: vec![chain],
    };
    let keys = KEYS.iter().take(keys).enumerate().map(key);
    Registry::new(keys, []).unwrap()
}

/// An EVM chain with one address, paying its coin and a token.
pub struct Evm;

impl Evm {
    pub fn sender() -> Address {
        let registry = registry(Self::CHAIN, 1);
        let key = registry.keys().next().unwrap();
        key.public.address(Self::CHAIN).unwrap()
    }
}

impl Family for Evm {
    type Lane = evm::EvmLane;
    type Chain = SimEvm;
    type Node = SimEvmNode;
    type Settings = evm::Config;

    const CHAIN: Chain = Chain::Evm(CHAIN_ID);
    const BLOCK_MILLIS: u64 = 12_000;
    const DEPOSIT: u64 = 1_000_000_000_000_000_000;

    fn registry() -> Registry {
        registry(Self::CHAIN, 1)
    }

    fn assets() -> Vec<Asset> {
        let token = "0x7000000000000000000000000000000000000007";
        let token = Address::parse(Self::CHAIN, token).unwrap();
        vec![Asset::native(Self::CHAIN), Asset::erc20(token)]
    }

    fn destination(number: u64) -> Address {
        let text = format!("0xd0{number:038x}");
        Address::parse(Self::CHAIN, &text).unwrap()
    }

    fn chain(book: Book) -> SimEvm {
        SimEvm::new(book)
    }

    fn node(chain: &SimEvm, name: &str, random: Random) -> SimEvmNode {
        chain.node(name, NodeFaults::default(), random)
    }

    fn settings() -> evm::Config {
        evm::Config {
            bump_after_secs: 40,
            resend_after_secs: 15,
            poll_millis: 6_000,
            ..evm::Config::default()
        }
    }

    fn new_lane(signer_epoch: u64, next_nonce: u64) -> NewLane {
        NewLane {
            id: LaneId {
                chain: Self::CHAIN,
                sender: Sender::Address(Self::sender()),
            },
            account: name("hot"),
            signer_epoch,
            next_nonce,
        }
    }

    fn lane(settings: &evm::Config, _: &Registry, view: LaneView) -> evm::EvmLane {
        evm::EvmLane::new(settings.clone(), view).unwrap()
    }

    fn observer(settings: &evm::Config, nodes: &[SimEvmNode]) -> Arc<dyn AnyObserver<Self>> {
        let nodes = nodes
            .iter()
            .map(|node| Arc::new(node.clone()) as Arc<dyn EvmNode>);
        let observer = evm::Observer::new(settings, Self::sender(), nodes.collect());
        Arc::new(observer.unwrap())
    }
}

/// A Bitcoin-like chain with one account of four keys.
pub struct Coin;

impl Family for Coin {
    type Lane = utxo::UtxoLane;
    type Chain = SimCoin;
    type Node = SimCoinNode;
    type Settings = utxo::Config;

    const CHAIN: Chain = Chain::Bitcoin(Network::Regtest);
    const BLOCK_MILLIS: u64 = 60_000;
    const DEPOSIT: u64 = 1_000_000_000;

    fn registry() -> Registry {
        registry(Self::CHAIN, 4)
    }

    fn assets() -> Vec<Asset> {
        vec![Asset::native(Self::CHAIN)]
    }

    fn destination(number: u64) -> Address {
        let mut script = vec![0x00, 0x14];
        script.extend([0xd0; 12]);
        script.extend(number.to_be_bytes());
        Address::from_script(Self::CHAIN, &script).unwrap()
    }

    fn chain(book: Book) -> SimCoin {
        let chain = SimCoin::new(book);
        let mut state = chain.lock();
        for key in Self::registry().keys() {
            let script = key.public.address(Self::CHAIN).unwrap();
            let script = script.as_bytes().to_vec();
            // Together what the customers were credited.
            let coins = [500_000_000, 200_000_000, 50_000_000];
            let coins = coins.map(|amount| (amount, script.clone()));
            state.fund(coins.to_vec(), false);
        }
        for _ in 0..4 {
            state.mine();
        }
        state.anchored = state.height();
        drop(state);
        chain
    }

    fn node(chain: &SimCoin, name: &str, random: Random) -> SimCoinNode {
        chain.node(name, NodeFaults::default(), random)
    }

    fn settings() -> utxo::Config {
        utxo::Config {
            bump_after_secs: 90,
            bump_after_blocks: 1,
            resend_after_secs: 45,
            poll_millis: 20_000,
            confirmations: vec![utxo::Confirmations {
                up_to_sat: None,
                blocks: 4,
            }],
            ..utxo::Config::starting_at(1)
        }
    }

    fn new_lane(signer_epoch: u64, _: u64) -> NewLane {
        NewLane {
            id: LaneId {
                chain: Self::CHAIN,
                sender: Sender::Account(name("hot")),
            },
            account: name("hot"),
            signer_epoch,
            next_nonce: 0,
        }
    }

    fn lane(settings: &utxo::Config, registry: &Registry, view: LaneView) -> utxo::UtxoLane {
        let keys = super::signer::keys_answer(Self::CHAIN, registry, 0, None);
        let keys = utxo::OwnKeys::of(&keys.keys, &view.row.id).unwrap();
        utxo::UtxoLane::new(settings.clone(), keys, view)
    }

    fn observer(_: &utxo::Config, nodes: &[SimCoinNode]) -> Arc<dyn AnyObserver<Self>> {
        let nodes = nodes
            .iter()
            .map(|node| Arc::new(node.clone()) as Arc<dyn CoinNode>);
        Arc::new(utxo::Observer::new(Self::CHAIN, nodes.collect()))
    }
}
