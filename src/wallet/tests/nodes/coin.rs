//! Core-like nodes.

use std::fmt::Debug;

use serde_json::json;
use tx::{Chain, Network};
use wallet::nodes::{CoinNode, CoinRpc, NodeError, connect_coin};

use super::{
    WRONG, faults, is_garbage, kind,
    server::{FakeNode, Reply},
    spoiled,
};

/// Bitcoin's block 0.
const BLOCK: &str = "0100000000000000000000000000000000000000000000000000000000000000000000003ba3edfd7a7b12b27ac72c3e67768f617fc81bc3888a51323a9fb8aa4b1e5e4a29ab5f49ffff001d1dac2b7c0101000000010000000000000000000000000000000000000000000000000000000000000000ffffffff4d04ffff001d0104455468652054696d65732030332f4a616e2f32303039204368616e63656c6c6f72206f6e206272696e6b206f66207365636f6e64206261696c6f757420666f722062616e6b73ffffffff0100f2052a01000000434104678afdb0fe5548271967f1a67130b7105cd6a828e03909a67962e0ea1f61deb649f6bc3f4cef38c4f35504e51ec112de5c384df7ba0b8d578a4c702b6bf11d5fac00000000";
const HASH: &str = "000000000019d6689c085ae165831e934ff763ae46a2a6c172b3f1b60a8ce26f";
const OTHER_HASH: &str = "0f9188f13cb7b2c71f2a335e3a4fc328bf5beb436012afca590b1a11466e2206";

/// Its one transaction. Nobody could send it, but it has an id.
const TXID: &str = "4a5e1e4baab89f3a32518a88c31bc87f618f76673e2cc77ab2127b7afdeda33b";

fn raw() -> &'static str {
    &BLOCK[162..]
}

fn node(server: &FakeNode) -> CoinRpc {
    connect_coin(&server.configured()).unwrap()
}

async fn answering(result: &str) -> (FakeNode, CoinRpc) {
    let server = FakeNode::always(Reply::result(result)).await;
    let node = node(&server);
    (server, node)
}

/// A node that gives this block and says this of its header.
async fn block(block: &str, header: serde_json::Value) -> (FakeNode, CoinRpc) {
    let (block, header) = (format!("\"{block}\""), header.to_string());
    let server = FakeNode::start(move |method, _| match method {
        "getblock" => Reply::result(&block),
        "getblockheader" => Reply::result(&header),
        other => panic!("{other}"),
    })
    .await;
    let node = node(&server);
    (server, node)
}

/// Every question but `send`, each with what came of it as text.
async fn questions(node: &CoinRpc) -> Vec<(&'static str, Result<String, NodeError>)> {
    fn shown<T: Debug>(answer: Result<T, NodeError>) -> Result<String, NodeError> {
        answer.map(|answer| format!("{answer:?}"))
    }
    vec![
        (
            "is_of",
            shown(node.is_of(Chain::Bitcoin(Network::Mainnet)).await),
        ),
        ("tip", shown(node.tip().await)),
        ("hash_at", shown(node.hash_at(1).await)),
        ("block", shown(node.block(HASH).await)),
        ("fee_rate_sat_vb", shown(node.fee_rate_sat_vb(6).await)),
    ]
}

#[tokio::test]
async fn a_wrong_form_is_no_answer_to_any_question() {
    for wrong in WRONG.into_iter().chain(["null"]) {
        let (_server, node) = answering(wrong).await;
        for (question, answer) in questions(&node).await {
            // An estimate without a rate is that there is none.
            if question == "fee_rate_sat_vb" && wrong.starts_with(['{', '[']) {
                continue;
            }
            let error = answer.unwrap_err();
            assert!(is_garbage(&error), "{question} {wrong}: {error:?}");
        }
        let outcome = node.send(raw()).await;
        assert_eq!(super::outcome(&outcome), "unknown", "{wrong}: {outcome:?}");
    }
}

#[tokio::test]
async fn a_fault_has_its_error_in_its_time() {
    for (reply, expected) in faults() {
        let server = FakeNode::always(reply.clone()).await;
        let node = node(&server);
        // Together: each of them waits for the end of its time.
        let (tip, hash, block, fee, outcome) = tokio::join!(
            node.tip(),
            node.hash_at(1),
            node.block(HASH),
            node.fee_rate_sat_vb(6),
            node.send(raw()),
        );
        let errors = [
            tip.unwrap_err(),
            hash.unwrap_err(),
            block.unwrap_err(),
            fee.unwrap_err(),
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
    let server = FakeNode::always(Reply::Error(-28, "Loading block index...")).await;
    for (question, answer) in questions(&node(&server)).await {
        let error = answer.unwrap_err();
        assert!(
            matches!(error, NodeError::Refused { code: -28, .. }),
            "{question}: {error:?}"
        );
    }
    let server = FakeNode::always(Reply::Error(-8, "Block height out of range")).await;
    assert_eq!(node(&server).hash_at(1).await.unwrap(), None);
}

#[tokio::test]
async fn a_node_is_of_a_chain_by_its_name_and_its_first_block() {
    let info = |chain: &str| json!({ "chain": chain, "blocks": 5, "bestblockhash": OTHER_HASH });
    let cases = [
        (HASH, "main", true),
        (OTHER_HASH, "main", false),
        (HASH, "regtest", false),
        (OTHER_HASH, "regtest", false),
    ];
    for (first, name, expected) in cases {
        let info = info(name).to_string();
        let server = FakeNode::start(move |method, _| match method {
            "getblockhash" => Reply::result(format!("\"{first}\"")),
            _ => Reply::result(&info),
        })
        .await;
        let found = node(&server).is_of(Chain::Bitcoin(Network::Mainnet)).await;
        assert_eq!(found.unwrap(), expected, "{first} {name}");
    }
    let (_server, node) = answering(&info("main").to_string()).await;
    let tip = node.tip().await.unwrap();
    assert_eq!((tip.height, tip.hash.as_str()), (5, OTHER_HASH));
    for other in spoiled(&info("main")) {
        let (_server, node) = answering(&other).await;
        // Any text is a chain's name.
        if other.contains("\"chain\":\"x\"") {
            continue;
        }
        let error = node.tip().await.unwrap_err();
        assert!(is_garbage(&error), "{other}: {error:?}");
    }
}

#[tokio::test]
async fn a_block_is_what_its_hash_stands_for() {
    let header = json!({ "hash": HASH, "height": 0 });
    let (_server, node) = block(BLOCK, header.clone()).await;
    let good = node.block(HASH).await.unwrap();
    assert_eq!((good.block.height, good.block.hash.as_str()), (0, HASH));
    assert_eq!(good.transactions[0].txid, TXID);
    assert_eq!(good.transactions[0].outputs[0].0, 5_000_000_000);
    // The block of another hash than was asked for, however the node calls it.
    assert!(is_garbage(&node.block(OTHER_HASH).await.unwrap_err()));
    let lie = json!({ "hash": OTHER_HASH, "height": 0 });
    let (_server, node) = block(BLOCK, lie).await;
    assert!(is_garbage(&node.block(OTHER_HASH).await.unwrap_err()));
    assert!(is_garbage(&node.block(HASH).await.unwrap_err()));

    // Another amount, another transaction, less or more.
    let richer = BLOCK.replace("00f2052a01000000", "00f2052a02000000");
    let longer = format!("{BLOCK}00");
    let others = [
        "",
        &BLOCK[..160],
        &BLOCK[..400],
        &BLOCK[1..],
        &richer,
        &longer,
    ];
    for other in others {
        let (_server, node) = block(other, header.clone()).await;
        let error = node.block(HASH).await.unwrap_err();
        assert!(is_garbage(&error), "{other}: {error:?}");
    }
    for other in spoiled(&header) {
        let server = FakeNode::start(move |method, _| match method {
            "getblock" => Reply::result(format!("\"{BLOCK}\"")),
            _ => Reply::result(&other),
        })
        .await;
        let error = self::node(&server).block(HASH).await.unwrap_err();
        assert!(is_garbage(&error), "{error:?}");
    }
}

#[tokio::test]
async fn a_fee_rate_is_exact_and_rounded_up() {
    for (estimate, expected) in [
        (r#"{"feerate":0.00001000,"blocks":6}"#, Some(1)),
        (r#"{"feerate":0.00001001,"blocks":6}"#, Some(2)),
        (r#"{"feerate":0.00000001,"blocks":6}"#, Some(1)),
        (r#"{"feerate":0.12345678,"blocks":6}"#, Some(12346)),
        (r#"{"feerate":null,"blocks":6}"#, None),
        (
            r#"{"errors":["Insufficient data or no feerate found"],"blocks":6}"#,
            None,
        ),
    ] {
        let (_server, node) = answering(estimate).await;
        assert_eq!(
            node.fee_rate_sat_vb(6).await.unwrap(),
            expected,
            "{estimate}"
        );
    }
    for rate in [
        "0",
        "0.00000000",
        "-0.00001",
        "1e-5",
        "\"0.00001\"",
        "0.000010001",
        "84000001",
    ] {
        let (_server, node) = answering(&format!(r#"{{"feerate":{rate}}}"#)).await;
        let error = node.fee_rate_sat_vb(6).await.unwrap_err();
        assert!(is_garbage(&error), "{rate}: {error:?}");
    }
}

#[tokio::test]
async fn a_send_is_taken_refused_or_unknown() {
    let has = || Reply::result(format!("\"{}\"", raw()));
    let has_not = || Reply::Error(-5, "No such mempool transaction");
    let cases = [
        (Reply::result(format!("\"{TXID}\"")), has_not(), "taken"),
        (Reply::Error(-27, "whatever it says"), has_not(), "taken"),
        (Reply::Error(-26, "txn-already-in-mempool"), has(), "taken"),
        (
            Reply::Error(-25, "bad-txns-inputs-missingorspent"),
            has(),
            "taken",
        ),
        (
            Reply::Error(-26, "already in block chain"),
            has_not(),
            "rejected",
        ),
        (Reply::Error(-25, "missing inputs"), has_not(), "rejected"),
        (Reply::Error(-26, "x"), Reply::Body("<html>"), "rejected"),
        (
            Reply::Error(-26, "x"),
            Reply::result(format!("\"{}\"", &BLOCK[160..])),
            "rejected",
        ),
        (Reply::Error(-22, "TX decode failed"), has(), "rejected"),
        (
            Reply::Error(-28, "Loading block index..."),
            has_not(),
            "unknown",
        ),
        (Reply::Error(-32603, "Internal error"), has_not(), "unknown"),
        (
            Reply::result(format!("\"{OTHER_HASH}\"")),
            has_not(),
            "unknown",
        ),
        (Reply::result("null"), has_not(), "unknown"),
    ];
    for (sent, found, expected) in cases {
        let shown = format!("{sent:?} {found:?}");
        let server = FakeNode::start(move |method, params| match method {
            "sendrawtransaction" => sent.clone(),
            "getrawtransaction" => {
                assert_eq!(*params, json!([TXID]));
                found.clone()
            }
            other => panic!("{other}"),
        })
        .await;
        let outcome = node(&server).send(raw()).await;
        assert_eq!(super::outcome(&outcome), expected, "{shown}: {outcome:?}");
    }
    let server = FakeNode::always(Reply::Hang).await;
    for nonsense in ["", "00", "zz", &BLOCK[160..]] {
        let outcome = node(&server).send(nonsense).await;
        assert_eq!(super::outcome(&outcome), "rejected", "{nonsense}");
    }
    assert!(server.methods().is_empty());
}
