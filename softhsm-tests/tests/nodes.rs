//! The coordinator's questions, answered by real nodes.

use std::path::Path;

use serde_json::{Value, json};
use strongroom_softhsm_tests::{
    anvil::Anvil,
    evm::{ETHER, GWEI},
    litecoind::Litecoind,
    program::repository,
};
use tempfile::TempDir;
use tx::{Address, Amount, Chain, Network, evm::Action, utxo::Outpoint};
use wallet::{
    config,
    lane::SendOutcome,
    nodes::{
        BlockTag, CoinBlock, CoinNode, CoinRpc, EvmNode, EvmRpc, NodeError, connect_coin,
        connect_evm,
    },
};

use crate::support::{CUSTOMER, EVM, LITECOIN};

const ZERO_HASH: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// The height from which litecoind's regtest has an extension block.
const MWEB_HEIGHT: u32 = 432;

fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

fn configured(url: String, login: Option<&Path>) -> config::Node {
    config::Node {
        url,
        user: login.map(|_| "u".into()),
        password_file: login.map(Into::into),
        cookie_file: None,
        timeout_secs: 30,
    }
}

fn evm(anvil: &Anvil) -> EvmRpc {
    let node = configured(anvil.node().url(), None);
    connect_evm(Anvil::CHAIN_ID, &node).unwrap()
}

fn address(text: &str) -> Address {
    Address::parse(EVM, text).unwrap()
}

fn amount(number: u128) -> Amount {
    Amount::from(number)
}

/// A transfer from account 0, signed by anvil.
fn signed(anvil: &Anvil, nonce: u64, price: u128, to: &str, data: &str) -> String {
    let value = if data.is_empty() { ETHER } else { 0 };
    let transaction = json!({
        "from": Anvil::ACCOUNTS[0],
        "to": to,
        "value": format!("{value:#x}"),
        "data": format!("0x{data}"),
        "nonce": format!("{nonce:#x}"),
        "gas": "0x186a0",
        "maxFeePerGas": format!("{price:#x}"),
        "maxPriorityFeePerGas": format!("{GWEI:#x}"),
        "chainId": format!("{:#x}", Anvil::CHAIN_ID),
    });
    let raw: String = anvil
        .node()
        .call("eth_signTransaction", json!([transaction]));
    raw.trim_start_matches("0x").to_owned()
}

/// Deploys the token from account 0, to whom all of it belongs.
fn token(anvil: &Anvil) -> Address {
    let artefact = std::fs::read(repository("softhsm-tests/contracts/Token.json")).unwrap();
    let artefact: Value = serde_json::from_slice(&artefact).unwrap();
    let bytecode = artefact["bytecode"].as_str().unwrap();
    address(&anvil.deploy(&format!("{bytecode}{:064x}", 1_000_000_000)))
}

/// Gives the node a signed transaction that the next block takes, and waits for that block.
async fn include(anvil: &Anvil, node: &EvmRpc, raw: &str) -> String {
    assert_eq!(node.send(raw).await, SendOutcome::Taken);
    let txid = txid(raw);
    anvil.receipt(&json!(txid));
    txid
}

fn txid(raw: &str) -> String {
    let raw = hex::decode(raw).unwrap();
    hex::encode_prefixed(alloy_primitives::keccak256(raw))
}

fn is_rejected(outcome: &SendOutcome) -> bool {
    matches!(outcome, SendOutcome::Rejected { .. })
}

#[tokio::test]
async fn anvil_tells_its_blocks_nonces_and_balances() {
    let folder = folder();
    let anvil = Anvil::start_with(folder.path(), &["--slots-in-an-epoch", "1"]);
    let node = evm(&anvil);
    assert_eq!(node.chain_id().await.unwrap(), Anvil::CHAIN_ID);
    assert!(anvil.node().url().ends_with(node.name()));
    let first = node.block(BlockTag::Number(0)).await.unwrap().unwrap();
    assert_eq!(first.block.height, 0);
    assert_eq!(first.parent, format!("0x{ZERO_HASH}"));
    assert_eq!(node.block(BlockTag::Number(1)).await.unwrap(), None);
    assert_eq!(node.transactions(1).await.unwrap(), None);

    anvil.node().call::<Value>("anvil_mine", json!(["0x5"]));
    let second = node.block(BlockTag::Number(1)).await.unwrap().unwrap();
    assert_eq!(second.parent, first.block.hash);
    let latest = node.block(BlockTag::Latest).await.unwrap().unwrap();
    let finalized = node.block(BlockTag::Finalized).await.unwrap().unwrap();
    assert_eq!(latest.block.height, 5);
    assert!(
        finalized.block.height < latest.block.height,
        "{finalized:?}"
    );

    let rich = address(Anvil::ACCOUNTS[0]);
    let balance = node.balance(&rich, BlockTag::Latest).await.unwrap();
    assert_eq!(balance, amount(10_000 * ETHER));
    assert_eq!(node.nonce(&rich, BlockTag::Latest).await.unwrap(), 0);
    include(&anvil, &node, &signed(&anvil, 0, 3 * GWEI, CUSTOMER, "")).await;
    assert_eq!(node.nonce(&rich, BlockTag::Latest).await.unwrap(), 1);
    assert_eq!(node.nonce(&rich, BlockTag::Number(5)).await.unwrap(), 0);
    assert_eq!(node.nonce(&rich, BlockTag::Finalized).await.unwrap(), 0);
}

#[tokio::test]
async fn anvil_tells_what_transactions_did_and_cost() {
    let folder = folder();
    let anvil = Anvil::start(folder.path());
    let node = evm(&anvil);
    let token = token(&anvil);
    let (from, to) = (address(Anvil::ACCOUNTS[0]), address(CUSTOMER));

    let native = Action::Native {
        to: to.clone(),
        value: amount(1),
    };
    assert_eq!(node.estimate_gas(&from, &native).await.unwrap(), 21_000);
    let paid = Action::Erc20 {
        token: token.clone(),
        to: to.clone(),
        amount: amount(123_456_789),
    };
    assert!(node.estimate_gas(&from, &paid).await.unwrap() > 21_000);
    let error = node.estimate_gas(&to, &paid).await.unwrap_err();
    assert!(matches!(error, NodeError::Refused { .. }), "{error:?}");

    let call = format!(
        "a9059cbb{:0>64}{:064x}",
        hex::encode(to.as_bytes()),
        123_456_789
    );
    let raw = signed(&anvil, 1, 3 * GWEI, &token.to_string(), &call);
    let txid = include(&anvil, &node, &raw).await;
    let [transaction] = &node.transactions(2).await.unwrap().unwrap()[..] else {
        panic!("one transaction a block");
    };
    let seen = (&transaction.txid, &transaction.from, transaction.nonce);
    assert_eq!(seen, (&txid, &from, 1));
    let receipt = node.receipt(&txid).await.unwrap().unwrap();
    let block = node.block(BlockTag::Number(2)).await.unwrap().unwrap();
    assert_eq!((&receipt.txid, &receipt.block), (&txid, &block.block));
    assert!(receipt.succeeded && receipt.gas_used > 21_000);
    assert!(receipt.effective_gas_price > amount(GWEI));
    let [log] = receipt.logs.as_slice() else {
        panic!("{receipt:?}");
    };
    let padded = |address: &Address| [&[0; 12], address.as_bytes()].concat();
    assert_eq!(log.address, token);
    assert_eq!(log.topics.len(), 3);
    assert_eq!(log.topics[1].to_vec(), padded(&from));
    assert_eq!(log.topics[2].to_vec(), padded(&to));
    assert_eq!(log.data, amount(123_456_789).to_be_bytes());
    let latest = BlockTag::Latest;
    assert_eq!(
        node.token_balance(&token, &to, latest).await.unwrap(),
        amount(123_456_789)
    );
    let before = BlockTag::Number(1);
    assert_eq!(
        node.token_balance(&token, &to, before).await.unwrap(),
        Amount::ZERO
    );
    // Where no contract is, nothing is no number.
    let error = node.token_balance(&to, &to, latest).await.unwrap_err();
    assert!(matches!(error, NodeError::Garbage { .. }), "{error:?}");

    // The token takes no coins.
    let raw = signed(&anvil, 2, 3 * GWEI, &token.to_string(), "");
    let txid = include(&anvil, &node, &raw).await;
    let receipt = node.receipt(&txid).await.unwrap().unwrap();
    assert!(!receipt.succeeded && receipt.logs.is_empty());
}

#[tokio::test]
async fn anvil_takes_a_transaction_twice_and_says_no_to_what_cannot_be() {
    let folder = folder();
    let anvil = Anvil::start_with(folder.path(), &["--no-mining"]);
    let node = evm(&anvil);
    let raw = signed(&anvil, 0, 3 * GWEI, CUSTOMER, "");
    assert_eq!(node.send(&raw).await, SendOutcome::Taken);
    assert_eq!(node.send(&raw).await, SendOutcome::Taken);
    assert_eq!(node.send(&format!("0x{raw}")).await, SendOutcome::Taken);
    let underpriced = signed(&anvil, 0, 2 * GWEI, CUSTOMER, "");
    assert!(is_rejected(&node.send(&underpriced).await));
    for nonsense in ["", "00", "zz"] {
        assert!(is_rejected(&node.send(nonsense).await), "{nonsense}");
    }
    assert_eq!(node.receipt(&txid(&raw)).await.unwrap(), None);
    let history = node.fee_history().await.unwrap();
    assert!(history.priority_fees.is_empty());
    assert!(!history.next_base_fee.is_zero());

    anvil.node().call::<Value>("anvil_mine", json!(["0x1"]));
    let receipt = node.receipt(&txid(&raw)).await.unwrap();
    assert_eq!(receipt.map(|receipt| receipt.block.height), Some(1));
    let history = node.fee_history().await.unwrap();
    assert_eq!(history.priority_fees, [amount(GWEI)]);
    // It is in the chain: the nonce is too low, which says nothing about who used it.
    assert!(is_rejected(&node.send(&raw).await));
}

#[tokio::test]
async fn anvil_forgets_what_a_reorganisation_took_away() {
    let folder = folder();
    let anvil = Anvil::start(folder.path());
    let node = evm(&anvil);
    let raw = signed(&anvil, 0, 3 * GWEI, CUSTOMER, "");
    let txid = include(&anvil, &node, &raw).await;
    let before = node.block(BlockTag::Number(1)).await.unwrap().unwrap();
    anvil.node().call::<Value>("anvil_reorg", json!([1, []]));
    let after = node.block(BlockTag::Number(1)).await.unwrap().unwrap();
    assert_eq!(before.parent, after.parent);
    assert_ne!(before.block.hash, after.block.hash);
    assert_eq!(node.receipt(&txid).await.unwrap(), None);
}

/// litecoind, and the coordinator's connection to it.
struct Coins {
    litecoind: Litecoind,
    node: CoinRpc,
    folder: TempDir,
}

impl Coins {
    fn start() -> Self {
        let folder = folder();
        let litecoind = Litecoind::start(folder.path());
        let password = folder.path().join("password");
        std::fs::write(&password, "p\n").unwrap();
        let node = configured(litecoind.node().url(), Some(&password));
        let node = connect_coin(&node).unwrap();
        Self {
            litecoind,
            node,
            folder,
        }
    }

    fn call(&self, method: &str, params: Value) -> Value {
        self.litecoind.node().call(method, params)
    }

    /// A payment from the node's wallet, signed and not sent.
    fn signed(&self, spent: Value, to: &str, coins: f64) -> String {
        let raw = self.call("createrawtransaction", json!([spent, { to: coins }]));
        let funded = self.call("fundrawtransaction", json!([raw]));
        let signed = self.call("signrawtransactionwithwallet", json!([funded["hex"]]));
        assert_eq!(signed["complete"], true, "{signed}");
        signed["hex"].as_str().unwrap().to_owned()
    }

    async fn best(&self) -> CoinBlock {
        let tip = self.node.tip().await.unwrap();
        let block = self.node.block(&tip.hash).await.unwrap();
        assert_eq!(block.block, tip);
        block
    }

    /// The block is what the node itself says of it, transaction by transaction.
    fn compare(&self, block: &CoinBlock) {
        let shown = self.call("getblock", json!([block.block.hash, 2]));
        assert_eq!(shown["height"], block.block.height);
        let previous = shown["previousblockhash"].as_str().unwrap_or(ZERO_HASH);
        assert_eq!(block.previous, previous);
        let shown = shown["tx"].as_array().unwrap();
        assert_eq!(shown.len(), block.transactions.len());
        for (shown, transaction) in shown.iter().zip(&block.transactions) {
            assert_eq!(shown["txid"], transaction.txid);
            assert_eq!(shown["hex"], hex::encode(&transaction.raw));
            let inputs = shown["vin"].as_array().unwrap().iter();
            let spent: Vec<Outpoint> = inputs
                .filter(|input| input.get("coinbase").is_none())
                .map(|input| format!("{}:{}", input["txid"].as_str().unwrap(), input["vout"]))
                .map(|text| text.parse().unwrap())
                .collect();
            assert_eq!(spent, transaction.inputs);
            assert_eq!(transaction.coinbase, spent.is_empty());
            let outputs = shown["vout"].as_array().unwrap().iter();
            let made: Vec<(String, String)> = outputs
                .map(|output| {
                    let script = output["scriptPubKey"]["hex"].as_str().unwrap();
                    // Eight decimals and less than 2^53: a float tells them apart.
                    (
                        format!("{:.8}", output["value"].as_f64().unwrap()),
                        script.to_owned(),
                    )
                })
                .collect();
            let coins =
                |satoshi: u64| format!("{}.{:08}", satoshi / 100_000_000, satoshi % 100_000_000);
            let ours = transaction.outputs.iter();
            let ours: Vec<_> = ours
                .map(|(satoshi, script)| (coins(*satoshi), hex::encode(script)))
                .collect();
            assert_eq!(made, ours);
        }
    }
}

#[tokio::test]
async fn litecoind_tells_its_chain() {
    let coins = Coins::start();
    let node = &coins.node;
    assert!(node.is_of(LITECOIN).await.unwrap());
    for other in [
        Chain::Litecoin(Network::Mainnet),
        Chain::Litecoin(Network::Testnet),
        Chain::Bitcoin(Network::Regtest),
        EVM,
    ] {
        assert!(!node.is_of(other).await.unwrap(), "{other}");
    }
    let best = coins.best().await;
    assert_eq!(best.block.height, 101);
    let hash = node.hash_at(101).await.unwrap();
    assert_eq!(hash.as_ref(), Some(&best.block.hash));
    assert_eq!(node.hash_at(102).await.unwrap(), None);
    let below = node.hash_at(100).await.unwrap().unwrap();
    assert_eq!(best.previous, below);
    coins.compare(&node.block(&below).await.unwrap());
    let genesis = node.hash_at(0).await.unwrap().unwrap();
    coins.compare(&node.block(&genesis).await.unwrap());
    // Nothing was paid yet from which it could tell.
    assert_eq!(node.fee_rate_sat_vb(6).await.unwrap(), None);
    let error = node.block(ZERO_HASH).await.unwrap_err();
    assert!(
        matches!(error, NodeError::Refused { code: -5, .. }),
        "{error:?}"
    );

    coins.call("invalidateblock", json!([best.block.hash]));
    let tip = node.tip().await.unwrap();
    assert_eq!((tip.height, tip.hash), (100, below));
    assert_eq!(node.hash_at(101).await.unwrap(), None);
    // It still gives the block itself, which proves nothing about the best chain.
    coins.compare(&node.block(&best.block.hash).await.unwrap());
}

#[tokio::test]
async fn litecoinds_blocks_are_read_with_their_payments_and_extension_blocks() {
    let coins = Coins::start();
    let (one, two) = (coins.litecoind.address(), coins.litecoind.address());
    coins.litecoind.pay(&[(&one, 1.23456789), (&two, 0.1)]);
    let block = coins.best().await;
    assert_eq!(block.transactions.len(), 2);
    coins.compare(&block);

    coins.litecoind.mine(MWEB_HEIGHT - 103);
    let hidden = coins.call("getnewaddress", json!(["", "mweb"]));
    for _ in 0..3 {
        // Into the extension block, within it, and beside it.
        coins.call("sendtoaddress", json!([hidden, 0.5]));
        coins.call("sendtoaddress", json!([one, 0.25]));
        coins.litecoind.mine(1);
        let block = coins.best().await;
        coins.compare(&block);
    }
    let hash = coins.best().await.block.hash;
    let shown = coins.call("getblock", json!([hash, 1]));
    assert!(shown["mweb"].is_object(), "no extension block: {shown}");
}

#[tokio::test]
async fn litecoind_takes_a_transaction_again_and_says_no_to_its_rival() {
    let coins = Coins::start();
    let node = &coins.node;
    let to = coins.litecoind.address();
    // Of the one mature coin, so that each excludes the other.
    let (raw, rival) = (
        coins.signed(json!([]), &to, 1.0),
        coins.signed(json!([]), &to, 2.0),
    );
    assert_eq!(node.send(&raw).await, SendOutcome::Taken);
    assert_eq!(node.send(&raw).await, SendOutcome::Taken);
    assert!(is_rejected(&node.send(&rival).await));
    coins.litecoind.mine(1);
    assert_eq!(node.send(&raw).await, SendOutcome::Taken);
    assert!(is_rejected(&node.send(&rival).await));
    // All that it made is spent: to the node it could be a stranger.
    let id = coins.call("decoderawtransaction", json!([raw]))["txid"].take();
    let made = json!([{ "txid": id, "vout": 0 }, { "txid": id, "vout": 1 }]);
    let spend = coins.signed(made, &to, 12.0);
    assert_eq!(node.send(&spend).await, SendOutcome::Taken);
    coins.litecoind.mine(1);
    for vout in 0..2 {
        assert!(coins.call("gettxout", json!([id, vout])).is_null());
    }
    assert_eq!(node.send(&raw).await, SendOutcome::Taken);
    for nonsense in ["", "00", "zz", &raw[2..]] {
        assert!(is_rejected(&node.send(nonsense).await), "{nonsense}");
    }
}

#[tokio::test]
async fn litecoind_with_another_password_is_as_good_as_none() {
    let coins = Coins::start();
    let password = coins.folder.path().join("other");
    std::fs::write(&password, "hunter2").unwrap();
    let node = configured(coins.litecoind.node().url(), Some(&password));
    let node = connect_coin(&node).unwrap();
    let error = node.tip().await.unwrap_err();
    let NodeError::Unreachable { detail } = &error else {
        panic!("{error:?}");
    };
    assert!(
        !detail.contains("hunter2") && detail.contains("401"),
        "{detail}"
    );
    let outcome = node.send("00").await;
    assert!(!matches!(outcome, SendOutcome::Taken));
}
