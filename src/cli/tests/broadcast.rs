//! `tx broadcast`: what is certain, and what only may have happened.

use serde_json::{Value, json};

use crate::node::{FakeNode, Reply, http};
use crate::program::Place;

/// The example of EIP-155, on chain 1.
const EVM_RAW: &str = "f86c098504a817c800825208943535353535353535353535353535353535353535880de0b6b3a76400008025a028ef61340bd939bc2195fe537567866003e1a15d3c71ff63e1590620aa636276a067cbe9d8997f761aecb703304b3800ccf555c9f3dc64214b297fb1966a3b6d83";
const EVM_TXID: &str = "0x33469b22e9f636356c4160a87eb19df52b7412e8eac32a4a55ffe88ea8350788";

/// The signed P2WPKH example of BIP-143.
const UTXO_RAW: &str = "01000000000102fff7f7881a8099afa6940d42d1e7f6362bec38171ea3edf433541db4e4ad969f00000000494830450221008b9d1dc26ba6a9cb62127b02742fa9d754cd3bebf337f7a55d114c8e5cdd30be022040529b194ba3f9281a99f2b1c0a19c0489bc22ede944ccf4ecbab4cc618ef3ed01eeffffffef51e1b804cc89d182d279655c3aa89e815b1b309fe287d9b2b55d57b90ec68a0100000000ffffffff02202cb206000000001976a9148280b37df378db99f66f85c95a783a76ac7a6d5988ac9093510d000000001976a9143bde42dbee7e4dbe6a21b2d50ce2f0167faa815988ac000247304402203609e17b84f6a7d30c80bfa610b5b4542f32a8a0d5447a12fb1366d7f01cc44a0220573a954c4518331561406f90300e8f3358f51928d43c212a8caed02de67eebee0121025476c2e83188368da1ff3e292e7acafcdb3566bb0ad253f62fc70f07aeee635711000000";
const UTXO_TXID: &str = "e8151a2af31c368a35053ddd4bdb285a8595c769a3ad83e0fa02314a602d4609";

struct Sender {
    place: Place,
    node: FakeNode,
}

impl Sender {
    fn new(answer: impl Fn(&str, &Value) -> Reply + Send + 'static) -> Self {
        let place = Place::new();
        std::fs::write(place.path("evm.hex"), format!("0x{EVM_RAW}\n")).unwrap();
        std::fs::write(place.path("utxo.hex"), UTXO_RAW).unwrap();
        Self {
            place,
            node: FakeNode::start(answer),
        }
    }

    /// A node of chain 1 that does this with the transaction.
    fn evm(send: fn() -> Reply, find: fn() -> Reply) -> Self {
        Self::new(move |method, _| match method {
            "eth_chainId" => Reply::Result(json!("0x1")),
            "eth_sendRawTransaction" => send(),
            "eth_getTransactionByHash" => find(),
            other => panic!("{other}"),
        })
    }

    fn utxo(send: fn() -> Reply, find: fn() -> Reply) -> Self {
        Self::new(move |method, _| match method {
            "sendrawtransaction" => send(),
            "getrawtransaction" => find(),
            other => panic!("{other}"),
        })
    }

    fn line(&self, file: &str) -> String {
        format!("tx broadcast --rpc {} {file}", self.node.url())
    }

    fn unknown(&self, file: &str, txid: &str) {
        self.unknown_by(&self.line(file), txid);
    }

    fn unknown_by(&self, line: &str, txid: &str) {
        let error = self.place.fails(line, 4, "broadcast-unknown");
        let message = error["message"].as_str().unwrap();
        assert!(
            message.contains(txid) && message.contains("may have been broadcast"),
            "{message}"
        );
        assert!(error["next"].as_str().unwrap().contains("do not pay again"));
    }
}

fn nothing() -> Reply {
    Reply::Result(Value::Null)
}

fn found() -> Reply {
    Reply::Result(json!({ "hash": "whatever" }))
}

fn unheard() -> Reply {
    Reply::Error(-5, "No such mempool or blockchain transaction")
}

#[test]
fn sent_is_answered_with_the_transactions_own_id() {
    let sender = Sender::evm(|| Reply::Result(json!(EVM_TXID)), nothing);
    let answer = sender.place.answer(&sender.line("evm.hex"));
    assert_eq!(answer, json!({ "txid": EVM_TXID, "status": "sent" }));
    let sent = sender
        .node
        .calls()
        .into_iter()
        .find(|call| call.method == "eth_sendRawTransaction")
        .unwrap();
    assert_eq!(sent.params, json!([format!("0x{EVM_RAW}")]));

    let sender = Sender::utxo(|| Reply::Result(json!(UTXO_TXID)), unheard);
    let answer = sender.place.answer(&sender.line("utxo.hex"));
    assert_eq!(answer, json!({ "txid": UTXO_TXID, "status": "sent" }));
}

#[test]
fn silence_after_sending_may_have_happened() {
    Sender::evm(|| Reply::Close, nothing).unknown("evm.hex", EVM_TXID);
    let sender = Sender::evm(|| Reply::Hang, nothing);
    sender.unknown_by(&sender.line("--timeout-secs 1 evm.hex"), EVM_TXID);
    Sender::utxo(|| Reply::Close, || Reply::Close).unknown("utxo.hex", UTXO_TXID);
}

#[test]
fn nonsense_after_sending_may_have_happened() {
    Sender::evm(
        || Reply::Raw(http(502, b"<html>Bad gateway</html>")),
        nothing,
    )
    .unknown("evm.hex", EVM_TXID);
    Sender::evm(|| Reply::Raw(b"SSH-2.0-OpenSSH\r\n".to_vec()), nothing)
        .unknown("evm.hex", EVM_TXID);
    Sender::evm(|| Reply::Result(json!(7)), nothing).unknown("evm.hex", EVM_TXID);
    Sender::evm(|| Reply::Error(-32603, "Internal error"), nothing).unknown("evm.hex", EVM_TXID);
    Sender::evm(|| Reply::Raw(http(200, &vec![b' '; 17 << 20])), nothing)
        .unknown("evm.hex", EVM_TXID);
    Sender::utxo(|| Reply::Raw(http(200, b"{")), unheard).unknown("utxo.hex", UTXO_TXID);
}

#[test]
fn an_answer_with_another_id_may_have_happened() {
    Sender::evm(|| Reply::Result(json!("0x00")), nothing).unknown("evm.hex", EVM_TXID);
}

#[test]
fn a_transaction_the_node_has_is_no_failure() {
    for send in [
        || Reply::Close,
        || Reply::Error(-32000, "already known"),
        || Reply::Error(-32000, "nonce too low"),
    ] as [fn() -> Reply; 3]
    {
        let sender = Sender::evm(send, found);
        assert_eq!(
            sender.place.answer(&sender.line("evm.hex"))["status"],
            "known"
        );
    }
    let sender = Sender::utxo(
        || Reply::Error(-27, "Transaction already in block chain"),
        unheard,
    );
    assert_eq!(
        sender.place.answer(&sender.line("utxo.hex"))["status"],
        "known"
    );
    let sender = Sender::utxo(|| Reply::Error(-26, "txn-already-in-mempool"), found);
    assert_eq!(
        sender.place.answer(&sender.line("utxo.hex"))["status"],
        "known"
    );
}

#[test]
fn a_clear_no_is_refused() {
    let sender = Sender::evm(|| Reply::Error(-32000, "insufficient funds"), nothing);
    let error = sender
        .place
        .fails(&sender.line("evm.hex"), 1, "broadcast-refused");
    assert!(
        error["why"][0]
            .as_str()
            .unwrap()
            .contains("insufficient funds")
    );
    let sender = Sender::utxo(
        || Reply::Error(-25, "bad-txns-inputs-missingorspent"),
        unheard,
    );
    sender
        .place
        .fails(&sender.line("utxo.hex"), 1, "broadcast-refused");
}

#[test]
fn nothing_goes_to_a_node_of_another_chain() {
    let sender = Sender::new(|method, _| match method {
        "eth_chainId" => Reply::Result(json!("0x539")),
        other => panic!("{other}"),
    });
    sender.place.fails(&sender.line("evm.hex"), 2, "tx-chain");
    assert_eq!(sender.node.methods(), ["eth_chainId"]);
}

#[test]
fn no_connection_is_certainly_not_sent() {
    let sender = Sender::utxo(nothing, nothing);
    let line = sender.line("utxo.hex");
    drop(sender.node);
    sender.place.fails(&line, 3, "rpc-unreachable");
}

#[test]
fn a_wrong_password_is_certainly_not_sent() {
    let sender = Sender::utxo(|| Reply::Raw(http(401, b"")), unheard);
    sender
        .place
        .fails(&sender.line("utxo.hex"), 2, "rpc-unauthorized");
    assert_eq!(sender.node.methods(), ["sendrawtransaction"]);
}

#[test]
fn credentials_come_from_files_and_stay_on_the_machine() {
    let sender = Sender::utxo(|| Reply::Result(json!(UTXO_TXID)), unheard);
    let place = &sender.place;
    std::fs::write(place.path("password"), "hunter2\n").unwrap();
    std::fs::write(place.path("cookie"), "__cookie__:abc").unwrap();
    place.answer(&sender.line("--user u --password-file password utxo.hex"));
    place.answer(&sender.line("--cookie-file cookie utxo.hex"));
    let sent: Vec<_> = sender
        .node
        .calls()
        .into_iter()
        .filter_map(|call| call.authorization)
        .collect();
    assert_eq!(sent, ["Basic dTpodW50ZXIy", "Basic X19jb29raWVfXzphYmM="]);

    place.fails(
        "tx broadcast --rpc http://192.0.2.1:8332 --cookie-file cookie utxo.hex",
        2,
        "rpc-credentials",
    );
    std::fs::write(place.path("empty"), "\n").unwrap();
    place.fails(
        &sender.line("--cookie-file empty utxo.hex"),
        2,
        "rpc-credentials",
    );
    let error = place.fails(
        "tx broadcast --rpc http://u:hunter2@127.0.0.1:1 utxo.hex",
        2,
        "rpc-url",
    );
    assert!(!error.to_string().contains("hunter2"));
    place.fails(
        "tx broadcast --rpc https://127.0.0.1:1 utxo.hex",
        2,
        "rpc-https",
    );
}

#[test]
fn a_node_cannot_steer_the_terminal() {
    let sender = Sender::utxo(|| Reply::Error(-26, "no\u{1b}[2Jno\nerror[x]: y"), unheard);
    let output = sender.place.run(&sender.line("utxo.hex"));
    assert!(!output.stderr.contains(&0x1b));
    assert!(
        !String::from_utf8(output.stderr)
            .unwrap()
            .contains("\nerror[x]")
    );
}

#[test]
fn the_unsigned_is_not_sent() {
    let sender = Sender::utxo(nothing, nothing);
    let unsigned = "ec098504a817c800825208943535353535353535353535353535353535353535880de0b6b3a764000080018080";
    std::fs::write(sender.place.path("unsigned.hex"), unsigned).unwrap();
    sender
        .place
        .fails(&sender.line("unsigned.hex"), 2, "tx-unsigned");
    assert!(sender.node.calls().is_empty());
}
