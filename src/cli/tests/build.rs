//! `tx build`: what nodes say becomes a transaction, and what they invent does not.

use bitcoin::consensus::encode::serialize_hex;
use bitcoin::hashes::Hash;
use bitcoin::{
    Amount, OutPoint, ScriptBuf, Sequence, Transaction, TxIn, TxOut, Txid, WPubkeyHash, Witness,
};
use serde_json::{Value, json};
use tx::{Address, Chain, Network};

use crate::node::{FakeNode, Reply};
use crate::program::Place;

const FROM: &str = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266";
const TO: &str = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8";
const TOKEN: &str = "0x5FbDB2315678afecb367f032d93F642f64180aa3";

/// An EVM node; `rewards` are the priority fees of its last blocks.
fn evm_node(rewards: &'static [&'static str]) -> FakeNode {
    FakeNode::start(move |method, params| {
        Reply::Result(match method {
            "eth_chainId" => json!("0x7a69"),
            "eth_getTransactionCount" => json!("0x7"),
            "eth_estimateGas" if params[0].get("data").is_some() => json!("0xc350"),
            "eth_estimateGas" => json!("0x5208"),
            "eth_feeHistory" => json!({
                "baseFeePerGas": ["0x1", "0x3b9aca00"],
                "reward": rewards.iter().map(|reward| [reward]).collect::<Vec<_>>(),
            }),
            "eth_maxPriorityFeePerGas" => json!("0x5"),
            other => panic!("{other}"),
        })
    })
}

fn evm(node: &FakeNode, rest: &str) -> Value {
    Place::new().answer(&format!(
        "tx build evm --rpc {} --from {FROM} {rest}",
        node.url()
    ))
}

#[test]
fn a_native_transfer_by_the_nodes_facts() {
    let node = evm_node(&["0x3", "0x0", "0x9", "0x4"]);
    let built = evm(&node, &format!("--to {TO} --value 0.5ether"));
    assert_eq!(built["nonce"], 7);
    assert_eq!(built["gas_limit"], 21_000, "exact: no contract is called");
    assert_eq!(
        built["fees"]["max_priority_fee_per_gas"], "4",
        "the median of those above zero"
    );
    assert_eq!(
        built["fees"]["max_fee_per_gas"], "2000000004",
        "twice the next base fee"
    );
    assert_eq!(built["action"]["value"], "500000000000000000");
    let transaction = &built["transaction"];
    assert_eq!(
        (&transaction["format"], &transaction["from"]),
        (&json!("eip2718"), &json!(FROM))
    );
    assert!(transaction["payload"].as_str().unwrap().starts_with("0x02"));
    let count = node
        .calls()
        .into_iter()
        .find(|call| call.method == "eth_getTransactionCount")
        .unwrap();
    assert_eq!(count.params, json!([FROM, "pending"]));
}

#[test]
fn a_token_transfer_gets_room_for_its_contract() {
    let node = evm_node(&[]);
    let built = evm(&node, &format!("--to {TO} --token {TOKEN} --amount 1000"));
    assert_eq!(
        built["gas_limit"], 60_000,
        "the estimate of 50000 and a fifth"
    );
    assert_eq!(
        built["fees"]["max_priority_fee_per_gas"], "5",
        "the node's own, with no rewards to go by"
    );
    let token = format!("eip155:31337:{TOKEN}");
    assert_eq!(
        (&built["action"]["token"], &built["action"]["amount"]),
        (&json!(token), &json!("1000"))
    );
    let estimate = node
        .calls()
        .into_iter()
        .find(|call| call.method == "eth_estimateGas")
        .unwrap();
    // Asked about is what is built.
    let data = estimate.params[0]["data"]
        .as_str()
        .unwrap()
        .trim_start_matches("0x");
    assert!(
        built["transaction"]["payload"]
            .as_str()
            .unwrap()
            .contains(data)
    );
}

#[test]
fn given_numbers_are_not_asked_for() {
    let node = evm_node(&[]);
    let fees = "--max-fee-per-gas 30gwei --max-priority-fee-per-gas 2gwei";
    let built = evm(
        &node,
        &format!("--cancel --nonce 3 --gas-limit 21000 {fees}"),
    );
    assert_eq!(node.methods(), ["eth_chainId"]);
    assert_eq!(
        built["action"],
        json!({ "kind": "native", "to": format!("eip155:31337:{FROM}"), "value": "0" })
    );
}

#[test]
fn an_evm_build_refuses_by_name() {
    let node = evm_node(&[]);
    let place = Place::new();
    let line = |rest: &str| format!("tx build evm --rpc {} --from {FROM} {rest}", node.url());
    place.fails(
        &line(&format!("--chain eip155:1 --to {TO} --value 1")),
        2,
        "tx-chain",
    );
    place.fails(
        &line(&format!("--to {} --value 1", TO.to_uppercase())),
        2,
        "tx-address",
    );
    place.fails(&line(&format!("--to {TO} --value 0.5")), 2, "tx-amount");
    place.fails(
        &line(&format!("--to {TO} --token {TOKEN} --amount 1ether")),
        2,
        "tx-amount",
    );
    place.fails(&line(&format!("--to {TO}")), 2, "usage");
    place.fails(
        &line(&format!("--to {TO} --token {TOKEN} --value 1")),
        2,
        "usage",
    );
    place.fails(&line("--cancel"), 2, "usage");
    let error = place.fails(
        &line(&format!("--to {TOKEN} --token {TOKEN} --amount 1")),
        1,
        "tx-not-understood",
    );
    assert!(
        error["message"]
            .as_str()
            .unwrap()
            .contains("evm-destination-token")
    );
}

#[test]
fn an_old_chain_is_told_apart() {
    let node = FakeNode::start(|method, _| match method {
        "eth_chainId" => Reply::Result(json!("0x7a69")),
        _ => Reply::Result(json!({ "gasUsedRatio": [] })),
    });
    let line = format!(
        "tx build evm --rpc {} --from {FROM} --to {TO} --value 1",
        node.url()
    );
    Place::new().fails(&line, 2, "tx-chain");
}

const CHAIN: Chain = Chain::Litecoin(Network::Regtest);

/// A coin in the node's set, with what the node says of it.
#[derive(Clone)]
struct Coin {
    previous: Transaction,
    claimed: &'static str,
    unspent: Value,
}

impl Coin {
    fn new(seed: u8, satoshi: u64, claimed: &'static str) -> Self {
        let input = TxIn {
            previous_output: OutPoint::new(Txid::from_byte_array([seed; 32]), 0),
            script_sig: ScriptBuf::new(),
            sequence: Sequence::MAX,
            witness: Witness::from_slice(&[vec![seed; 8]]),
        };
        let output = TxOut {
            value: Amount::from_sat(satoshi),
            script_pubkey: script(1),
        };
        let previous = Transaction {
            version: bitcoin::transaction::Version::TWO,
            lock_time: bitcoin::absolute::LockTime::ZERO,
            input: vec![input],
            output: vec![output],
        };
        Self {
            previous,
            claimed,
            unspent: json!({ "confirmations": 3, "coinbase": false }),
        }
    }

    fn txid(&self) -> String {
        self.previous.compute_txid().to_string()
    }
}

fn script(seed: u8) -> ScriptBuf {
    ScriptBuf::new_p2wpkh(&WPubkeyHash::from_byte_array([seed; 20]))
}

fn address(seed: u8) -> String {
    Address::from_script(CHAIN, script(seed).as_bytes())
        .unwrap()
        .to_string()
}

/// A node whose set has these coins. Amounts are written as Core writes them, as decimal numbers.
fn utxo_node(coins: Vec<Coin>) -> FakeNode {
    let unspent = |coin: &Coin| {
        format!(
            r#"{{"txid":"{}","vout":0,"amount":{},"height":5,"desc":"x"}}"#,
            coin.txid(),
            coin.claimed
        )
    };
    let unspents = coins.iter().map(unspent).collect::<Vec<_>>().join(",");
    let scan = format!(r#"{{"success":true,"unspents":[{unspents}]}}"#);
    let find = move |params: &Value| {
        coins
            .iter()
            .find(|coin| params[0] == coin.txid())
            .cloned()
            .unwrap()
    };
    FakeNode::start(move |method, params| match method {
        "validateaddress" => Reply::Result(json!({ "isvalid": true })),
        "scantxoutset" => Reply::Text(scan.clone()),
        "gettxout" => Reply::Result(find(params).unspent),
        "getblockhash" => Reply::Result(json!(format!("block {}", params[0]))),
        "getrawtransaction" => Reply::Result(json!(serialize_hex(&find(params).previous))),
        other => panic!("{other}"),
    })
}

fn utxo_line(node: &FakeNode, amount: &str) -> String {
    let (from, to, change) = (address(1), address(2), address(3));
    format!(
        "tx build bitcoin --rpc {} --chain litecoin:regtest --from {from} --to {to} --amount {amount} \
         --change {change} --fee-rate-sat-vb 10",
        node.url()
    )
}

#[test]
fn a_psbt_pays_and_returns_the_rest() {
    let coins = vec![
        Coin::new(1, 10_000_000, "0.10000000"),
        Coin::new(2, 100_000_001, "1.00000001"),
    ];
    let largest = coins[1].txid();
    let node = utxo_node(coins);
    let place = Place::new();
    let built = place.answer(&format!("{} --out psbt.json", utxo_line(&node, "0.5ltc")));
    assert_eq!(
        built["inputs"].as_array().unwrap().len(),
        1,
        "the largest is enough"
    );
    assert_eq!(built["inputs"][0]["outpoint"], format!("{largest}:0"));
    assert_eq!(built["inputs"][0]["amount"], 100_000_001);
    let outputs = json!([
        { "address": format!("{CHAIN}:{}", address(2)), "amount": 50_000_000 },
        { "address": format!("{CHAIN}:{}", address(3)), "amount": 50_000_001 - 1410 },
    ]);
    assert_eq!((&built["outputs"], &built["fee"]), (&outputs, &json!(1410)));
    let scan = node
        .calls()
        .into_iter()
        .find(|call| call.method == "scantxoutset")
        .unwrap();
    assert_eq!(
        scan.params,
        json!([
            "start",
            [format!("raw({})", hex::encode(script(1).as_bytes()))]
        ])
    );

    let shown = place.answer("tx show psbt.json");
    assert_eq!(shown["outputs"], built["outputs"]);
    place.fails(
        &format!("{} --out psbt.json", utxo_line(&node, "0.5ltc")),
        2,
        "file-exists",
    );
}

#[test]
fn coins_that_cannot_be_spent_now_are_passed_over() {
    let mut taken = Coin::new(1, 900_000_000, "9.00000000");
    taken.unspent = Value::Null;
    let mut young = Coin::new(2, 800_000_000, "8.00000000");
    young.unspent = json!({ "confirmations": 99, "coinbase": true });
    let mut ripe = Coin::new(3, 700_000_000, "7.00000000");
    ripe.unspent = json!({ "confirmations": 100, "coinbase": true });
    let built = Place::new().answer(&utxo_line(
        &utxo_node(vec![taken.clone(), young.clone(), ripe.clone()]),
        "1ltc",
    ));
    assert_eq!(built["inputs"][0]["outpoint"], format!("{}:0", ripe.txid()));
    assert_eq!(built["inputs"].as_array().unwrap().len(), 1);
    Place::new().fails(
        &utxo_line(&utxo_node(vec![taken, young]), "1ltc"),
        1,
        "tx-insufficient",
    );
}

#[test]
fn a_node_cannot_invent_amounts() {
    let node = utxo_node(vec![Coin::new(1, 100_000_000, "1.00000001")]);
    Place::new().fails(&utxo_line(&node, "0.5ltc"), 2, "tx-coin");
    let node = utxo_node(vec![Coin::new(1, 100_000_000, "1e0")]);
    Place::new().fails(&utxo_line(&node, "0.5ltc"), 2, "tx-coin");
}

#[test]
fn a_node_cannot_invent_previous_transactions() {
    let coin = Coin::new(1, 100_000_000, "1.00000000");
    let other = serialize_hex(&Coin::new(2, 100_000_000, "1.00000000").previous);
    let scan = json!({ "success": true, "unspents": [
        { "txid": coin.txid(), "vout": 0, "amount": 1, "height": 5 },
    ] });
    let node = FakeNode::start(move |method, _| match method {
        "validateaddress" => Reply::Result(json!({ "isvalid": true })),
        "scantxoutset" => Reply::Result(scan.clone()),
        "gettxout" => Reply::Result(json!({ "confirmations": 3, "coinbase": false })),
        "getblockhash" => Reply::Result(json!("00")),
        _ => Reply::Result(json!(other)),
    });
    let error = Place::new().fails(&utxo_line(&node, "0.5ltc"), 1, "tx-not-understood");
    assert!(
        error["message"].as_str().unwrap().contains("utxo-previous"),
        "{error}"
    );
}

#[test]
fn a_bitcoin_build_refuses_by_name() {
    let node = utxo_node(vec![Coin::new(1, 100_000_000, "1.00000000")]);
    let place = Place::new();
    let line = utxo_line(&node, "0.5ltc");
    place.fails(&line.replace("0.5ltc", "0.5btc"), 2, "tx-amount");
    place.fails(&line.replace("0.5ltc", "2ltc"), 1, "tx-insufficient");
    place.fails(
        &line.replace("litecoin:regtest", "litecoin:mainnet"),
        2,
        "tx-address",
    );
    place.fails(&line.replace("litecoin:regtest", "eip155:1"), 2, "tx-chain");
    place.fails(&line.replace("vb 10", "vb 0"), 2, "usage");
    let p2wsh = Address::from_script(
        CHAIN,
        ScriptBuf::new_p2wsh(&bitcoin::WScriptHash::all_zeros()).as_bytes(),
    );
    place.fails(
        &line.replace(&address(1), &p2wsh.unwrap().to_string()),
        2,
        "tx-address",
    );
    let error = place.fails(&line.replace("0.5ltc", "546"), 1, "tx-not-understood");
    assert!(
        error["message"]
            .as_str()
            .unwrap()
            .contains("utxo-output-dust")
    );
}
