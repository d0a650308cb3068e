//! EVM nodes.

use std::fmt::Debug;

use serde_json::{Value, json};
use tx::{Address, Amount, Chain, evm::Action};
use wallet::nodes::{BlockTag, EvmNode, EvmRpc, NodeError, connect_evm};

use super::{
    WRONG, faults, is_garbage, kind,
    server::{FakeNode, Reply},
    spoiled,
};

const CHAIN: Chain = Chain::Evm(31337);
const RAW: &str = "02f8";

fn hash(byte: u8) -> String {
    format!("0x{}", hex::encode([byte; 32]))
}

fn address(byte: u8) -> Address {
    Address::evm(CHAIN, [byte; 20]).unwrap()
}

fn account(byte: u8) -> String {
    format!("0x{}", hex::encode([byte; 20]))
}

fn node(server: &FakeNode) -> EvmRpc {
    connect_evm(31337, &server.configured()).unwrap()
}

async fn answering(result: &str) -> (FakeNode, EvmRpc) {
    let server = FakeNode::always(Reply::result(result)).await;
    let node = node(&server);
    (server, node)
}

/// A receipt of transaction 1 in block 2.
fn receipt() -> Value {
    json!({
        "transactionHash": hash(1),
        "blockHash": hash(2),
        "blockNumber": "0x2",
        "status": "0x1",
        "gasUsed": "0xc350",
        "effectiveGasPrice": "0x77359400",
        "logs": [{
            "address": account(5),
            "topics": [hash(6), hash(7), hash(8)],
            "data": hash(9),
            "transactionHash": hash(1),
            "blockHash": hash(2),
        }],
    })
}

fn block() -> Value {
    json!({ "number": "0x2", "hash": hash(2), "parentHash": hash(3) })
}

fn bodies() -> Value {
    let transaction = json!({
        "hash": hash(1), "from": account(4), "nonce": "0x7", "blockHash": hash(2),
    });
    json!({ "number": "0x2", "hash": hash(2), "transactions": [transaction] })
}

fn history() -> Value {
    json!({
        "baseFeePerGas": ["0x1", "0x2", "0x3"],
        "gasUsedRatio": [0.5, 0.0],
        "reward": [["0x4"], ["0x5"]],
    })
}

/// Every question but `send`, each with what came of it as text.
async fn questions(node: &EvmRpc) -> Vec<(&'static str, Result<String, NodeError>)> {
    fn shown<T: Debug>(answer: Result<T, NodeError>) -> Result<String, NodeError> {
        answer.map(|answer| format!("{answer:?}"))
    }
    let (from, latest) = (address(4), BlockTag::Latest);
    let action = Action::Native {
        to: address(5),
        value: Amount::ONE,
    };
    vec![
        ("chain_id", shown(node.chain_id().await)),
        ("block", shown(node.block(BlockTag::Finalized).await)),
        ("transactions", shown(node.transactions(2).await)),
        ("nonce", shown(node.nonce(&from, latest).await)),
        ("receipt", shown(node.receipt(&hash(1)).await)),
        ("fee_history", shown(node.fee_history().await)),
        (
            "estimate_gas",
            shown(node.estimate_gas(&from, &action).await),
        ),
        ("balance", shown(node.balance(&from, latest).await)),
        (
            "token_balance",
            shown(node.token_balance(&address(5), &from, latest).await),
        ),
    ]
}

#[tokio::test]
async fn a_wrong_form_is_no_answer_to_any_question() {
    for wrong in WRONG {
        let (_server, node) = answering(wrong).await;
        for (question, answer) in questions(&node).await {
            let error = answer.unwrap_err();
            assert!(is_garbage(&error), "{question} {wrong}: {error:?}");
        }
        let outcome = node.send(RAW).await;
        assert_eq!(super::outcome(&outcome), "unknown", "{wrong}: {outcome:?}");
    }
}

#[tokio::test]
async fn null_is_nothing_where_there_can_be_nothing() {
    let (_server, node) = answering("null").await;
    for (question, answer) in questions(&node).await {
        match (question, answer) {
            ("block" | "transactions" | "receipt", answer) => assert_eq!(answer.unwrap(), "None"),
            (question, answer) => assert!(is_garbage(&answer.unwrap_err()), "{question}"),
        }
    }
    assert_eq!(super::outcome(&node.send(RAW).await), "unknown");
}

#[tokio::test]
async fn a_fault_has_its_error_in_its_time() {
    for (reply, expected) in faults() {
        let server = FakeNode::always(reply.clone()).await;
        let node = node(&server);
        // Together: each of them waits for the end of its time.
        let (latest, from, txid) = (BlockTag::Latest, address(4), hash(1));
        let (block, nonce, receipt, fees, outcome) = tokio::join!(
            node.block(latest),
            node.nonce(&from, latest),
            node.receipt(&txid),
            node.fee_history(),
            node.send(RAW),
        );
        let errors = [
            block.unwrap_err(),
            nonce.unwrap_err(),
            receipt.unwrap_err(),
            fees.unwrap_err(),
        ];
        assert_eq!(
            errors.each_ref().map(kind),
            [expected; 4],
            "{reply:?}: {errors:?}"
        );
        assert_eq!(
            super::outcome(&outcome),
            "unknown",
            "{reply:?}: {outcome:?}"
        );
    }
}

#[tokio::test]
async fn what_a_node_refuses_is_its_refusal() {
    let server = FakeNode::always(Reply::Error(3, "execution reverted")).await;
    for (question, answer) in questions(&node(&server)).await {
        let error = answer.unwrap_err();
        assert!(
            matches!(error, NodeError::Refused { code: 3, .. }),
            "{question}: {error:?}"
        );
    }
}

#[tokio::test]
async fn a_receipt_is_whole_and_of_the_transaction_asked_for() {
    let (_server, node) = answering(&receipt().to_string()).await;
    let good = node.receipt(&hash(1)).await.unwrap().unwrap();
    assert_eq!((good.block.height, good.block.hash), (2, hash(2)));
    assert_eq!(good.gas_used, 50_000);
    assert_eq!(good.effective_gas_price, Amount::from(2_000_000_000_u64));
    assert_eq!(good.logs[0].address, address(5));
    assert_eq!(good.logs[0].topics, [[6; 32], [7; 32], [8; 32]]);
    assert_eq!(good.logs[0].data, [9; 32]);
    assert!(is_garbage(&node.receipt(&hash(3)).await.unwrap_err()));

    let (_server, node) = answering(&receipt().to_string().replace("\"0x1\"", "\"0x0\"")).await;
    assert!(!node.receipt(&hash(1)).await.unwrap().unwrap().succeeded);

    let mut others = spoiled(&receipt());
    for (pointer, value) in [
        ("/status", json!("0x2")),
        ("/gasUsed", json!("0x10000000000000000")),
        ("/logs/0/transactionHash", json!(hash(3))),
        ("/logs/0/blockHash", json!(hash(3))),
        ("/logs/0/removed", json!(true)),
        (
            "/logs/0/topics",
            json!([hash(6), hash(6), hash(6), hash(6), hash(6)]),
        ),
    ] {
        let mut other = receipt();
        let (parent, member) = pointer.rsplit_once('/').unwrap();
        other.pointer_mut(parent).unwrap()[member] = value;
        others.push(other.to_string());
    }
    let empty = [
        receipt_with("/logs", json!([])),
        receipt_with("/logs/0/topics", json!([])),
    ];
    others.retain(|other| !empty.contains(other));
    for other in others {
        let (_server, node) = answering(&other).await;
        let error = node.receipt(&hash(1)).await.unwrap_err();
        assert!(is_garbage(&error), "{other}: {error:?}");
    }
}

fn receipt_with(pointer: &str, value: Value) -> String {
    let mut other = receipt();
    *other.pointer_mut(pointer).unwrap() = value;
    other.to_string()
}

#[tokio::test]
async fn a_block_is_the_one_asked_for_with_its_own_transactions() {
    let (_server, node) = answering(&block().to_string()).await;
    let good = node.block(BlockTag::Number(2)).await.unwrap().unwrap();
    assert_eq!((good.block.height, good.block.hash), (2, hash(2)));
    assert_eq!(good.parent, hash(3));
    assert!(is_garbage(
        &node.block(BlockTag::Number(3)).await.unwrap_err()
    ));
    for other in spoiled(&block()) {
        let (_server, node) = answering(&other).await;
        let error = node.block(BlockTag::Latest).await.unwrap_err();
        assert!(is_garbage(&error), "{other}: {error:?}");
    }

    let (_server, node) = answering(&bodies().to_string()).await;
    let good = node.transactions(2).await.unwrap().unwrap();
    assert_eq!((&good[0].txid, good[0].nonce), (&hash(1), 7));
    assert_eq!(good[0].from, address(4));
    assert!(is_garbage(&node.transactions(3).await.unwrap_err()));
    let mut others = spoiled(&bodies());
    let mut empty = bodies();
    empty["transactions"] = json!([]);
    let empty = empty.to_string();
    others.retain(|other| *other != empty);
    others.push(bodies().to_string().replace(&hash(1), &hash(0)[..64]));
    // Hashes without their transactions.
    let mut hashes = bodies();
    hashes["transactions"] = json!([hash(1)]);
    others.push(hashes.to_string());
    let mut foreign = bodies();
    foreign["transactions"][0]["blockHash"] = json!(hash(3));
    others.push(foreign.to_string());
    for other in others {
        let (_server, node) = answering(&other).await;
        let error = node.transactions(2).await.unwrap_err();
        assert!(is_garbage(&error), "{other}: {error:?}");
    }
}

#[tokio::test]
async fn a_fee_history_fits_together() {
    let (_server, node) = answering(&history().to_string()).await;
    let good = node.fee_history().await.unwrap();
    assert_eq!(good.next_base_fee, Amount::from(3_u64));
    // The second block was empty: what it would have cost to be in it says nothing.
    assert_eq!(good.priority_fees, [Amount::from(4_u64)]);
    let two_to_128 = format!("0x1{}", "0".repeat(32));
    let wrong = |member: &str, value: Value| {
        let mut other = history();
        other[member] = value;
        other.to_string()
    };
    for other in [
        wrong("baseFeePerGas", json!([])),
        wrong("baseFeePerGas", json!(["0x1", "0x2"])),
        wrong("baseFeePerGas", json!(["0x1", "0x2", two_to_128])),
        wrong("baseFeePerGas", json!(["0x1", "0x2", 3])),
        wrong("gasUsedRatio", json!([0.5])),
        wrong("gasUsedRatio", json!(["0.5", "0.5"])),
        wrong("reward", json!([["0x4"]])),
        wrong("reward", json!([["0x4"], []])),
        wrong("reward", json!([["0x4", "0x5"], ["0x5"]])),
        wrong("reward", json!([[two_to_128], ["0x5"]])),
        json!({ "baseFeePerGas": ["0x1"] }).to_string(),
    ] {
        let (_server, node) = answering(&other).await;
        let error = node.fee_history().await.unwrap_err();
        assert!(is_garbage(&error), "{other}: {error:?}");
    }
}

#[tokio::test]
async fn gas_for_nothing_is_no_estimate() {
    let (_server, node) = answering("\"0x0\"").await;
    let action = Action::cancellation(address(4));
    let error = node.estimate_gas(&address(4), &action).await.unwrap_err();
    assert!(is_garbage(&error), "{error:?}");
}

#[tokio::test]
async fn a_send_is_taken_refused_or_unknown() {
    let cases = [
        (Reply::result(format!("\"{}\"", hash(1))), "taken"),
        (Reply::Error(-32000, "already known"), "taken"),
        (Reply::Error(-32010, "AlreadyKnown"), "taken"),
        (Reply::Error(-32000, "Known transaction"), "taken"),
        (
            Reply::Error(-32003, "transaction already imported"),
            "taken",
        ),
        (Reply::Error(-32000, "unknown transaction type"), "rejected"),
        (Reply::Error(-32000, "nonce too low"), "rejected"),
        (
            Reply::Error(-32000, "replacement transaction underpriced"),
            "rejected",
        ),
        (Reply::Error(-32601, "method not found"), "rejected"),
        (Reply::Error(-32603, "Internal error"), "unknown"),
        (Reply::result("\"0x00\""), "unknown"),
        (Reply::result("true"), "unknown"),
    ];
    for (reply, expected) in cases {
        let server = FakeNode::always(reply.clone()).await;
        let outcome = node(&server).send(RAW).await;
        assert_eq!(super::outcome(&outcome), expected, "{reply:?}: {outcome:?}");
        assert_eq!(server.methods(), ["eth_sendRawTransaction"]);
    }
}
