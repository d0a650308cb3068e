//! What is asked and what is believed.

use serde_json::value::RawValue;
use serde_json::{Value, json};
use strongroom_rpc::{CallError, Credentials, Node, SettingsError};

use crate::server::{LONG, Server, Step, http, result, settings, with_password};

#[tokio::test]
async fn a_call_is_json_rpc_over_http() {
    let server = Server::answering(&result("{\"a\":1}")).await;
    let node = server.node();
    let answer: Value = node.call("method", json!([1, "x"])).await.unwrap();
    assert_eq!(answer, json!({ "a": 1 }));
    let asked = &server.asked()[0];
    assert_eq!(asked.body["method"], "method");
    assert_eq!(asked.body["params"], json!([1, "x"]));
    assert_eq!(asked.body["jsonrpc"], "2.0");
    assert!(asked.head.starts_with("post / http/1.1"), "{}", asked.head);
    assert!(asked.head.contains("content-type: application/json"));
    assert!(!asked.head.contains("authorization"));
    assert!(asked.head.contains(&format!("host: {}", server.address)));
    assert_eq!(node.name(), server.address.to_string());
}

#[tokio::test]
async fn a_result_is_the_text_that_came() {
    let text = "{\"amount\":0.10000000000000000001,\"big\":123456789012345678901234567890}";
    let server = Server::answering(&result(text)).await;
    let answer: Box<RawValue> = server.node().call("m", json!([])).await.unwrap();
    assert_eq!(answer.get(), text);
}

#[tokio::test]
async fn null_is_a_result_and_nothing_is_none() {
    let server = Server::answering(&result("null")).await;
    let answer: Option<u64> = server.node().call("m", json!([])).await.unwrap();
    assert_eq!(answer, None);
    let server = Server::answering(r#"{"id":ID,"result":null,"error":null}"#).await;
    let answer: Option<u64> = server.node().call("m", json!([])).await.unwrap();
    assert_eq!(answer, None);
    for body in [r#"{"id":ID}"#, r#"{"id":ID,"error":null}"#] {
        let server = Server::answering(body).await;
        let error = server.node().call::<Option<u64>>("m", json!([])).await;
        let error = error.unwrap_err();
        assert!(matches!(error, CallError::NotJsonRpc { .. }), "{error:?}");
    }
}

#[tokio::test]
async fn each_call_has_its_own_id() {
    let server = Server::answering(&result("0")).await;
    let node = server.node();
    for _ in 0..3 {
        let _: u64 = node.call("m", json!([])).await.unwrap();
    }
    let asked = server.asked();
    let ids: std::collections::BTreeSet<_> = asked
        .iter()
        .map(|asked| asked.body["id"].as_u64())
        .collect();
    assert_eq!(ids.len(), 3);
}

#[tokio::test]
async fn a_refusal_has_its_code_and_its_words_made_harmless() {
    let long = "x".repeat(5000);
    let body = format!(
        r#"{{"id":ID,"result":null,"error":{{"code":-26,"message":"no\u001b[2J\n\u202e{long}","data":[1]}}}}"#
    );
    for status in [200, 404, 500] {
        let server = Server::start([
            crate::server::Step::Write(http(status, body.as_bytes())),
            crate::server::Step::Next,
        ])
        .await;
        let error = server.node().call::<Value>("m", json!([])).await;
        let error = error.unwrap_err();
        assert!(!error.may_have_happened());
        let CallError::Refused { code, message, .. } = error else {
            panic!("{error:?}");
        };
        assert_eq!(code, -26);
        assert!(
            message.starts_with("no\\u{1b}[2J\\n\\u{202e}xxx"),
            "{message}"
        );
        assert!(message.len() < 500, "{}", message.len());
    }
}

#[tokio::test]
async fn an_internal_error_leaves_open_what_was_done() {
    let body = r#"{"id":ID,"error":{"code":-32603,"message":"Internal error"}}"#;
    let server = Server::answering(body).await;
    let error = server.node().call::<Value>("m", json!([])).await;
    assert!(error.unwrap_err().may_have_happened());
}

#[tokio::test]
async fn a_node_that_could_not_read_the_id_may_refuse_and_not_answer() {
    let body = r#"{"id":null,"error":{"code":-32700,"message":"Parse error"}}"#;
    let server = Server::answering(body).await;
    let error = server.node().call::<Value>("m", json!([])).await;
    assert!(matches!(
        error.unwrap_err(),
        CallError::Refused { code: -32700, .. }
    ));
    for body in [r#"{"id":null,"result":1}"#, r#"{"result":1}"#] {
        let server = Server::answering(body).await;
        let error = server.node().call::<Value>("m", json!([])).await;
        assert!(matches!(error.unwrap_err(), CallError::OtherCall { .. }));
    }
}

#[tokio::test]
async fn credentials_are_sent_and_never_shown() {
    let server = Server::answering(&result("1")).await;
    let url = format!("http://{}", server.address);
    let node = Node::new(with_password(&url)).unwrap();
    let _: u64 = node.call("m", json!([])).await.unwrap();
    let head = &server.asked()[0].head;
    assert!(head.contains("authorization: basic dtpodw50zxiy"), "{head}");
    let shown = format!("{node:?} {:?}", with_password(&url));
    assert!(!shown.contains("hunter2") && !shown.contains("dTpodW50ZXIy"));
}

#[tokio::test]
async fn refused_credentials_are_looked_up_once_more() {
    let good = http(200, result("1").as_bytes());
    let script = [
        Step::Write(http(401, b"")),
        Step::Next,
        Step::Write(good),
        Step::Next,
    ];
    let server = Server::start(script).await;
    let url = format!("http://{}", server.address);
    let node = Node::new(with_password(&url)).unwrap();
    // As the cookie of a node that was started again: `Basic X19jb29raWVfXzphYmM=`.
    let node = node.renewing(|| Credentials::cookie(b"__cookie__:abc").ok());
    assert_eq!(node.call::<u64>("m", json!([])).await.unwrap(), 1);
    let heads: Vec<String> = server.asked().iter().map(|it| it.head.clone()).collect();
    assert_eq!(heads.len(), 2);
    assert!(heads[0].contains("authorization: basic dtpodw50zxiy"));
    assert!(heads[1].contains("authorization: basic x19jb29rawvfxzphymm="));
}

#[tokio::test]
async fn credentials_that_stay_refused_are_not_tried_for_ever() {
    let refused = || [Step::Write(http(401, b"")), Step::Next];
    let server = Server::start([refused(), refused()].concat()).await;
    let url = format!("http://{}", server.address);
    let cookie = |text: &'static [u8]| move || Credentials::cookie(text).ok();
    let node = Node::new(with_password(&url)).unwrap();
    let node = node.renewing(cookie(b"u:hunter2"));
    let error = node.call::<u64>("m", json!([])).await.unwrap_err();
    assert!(matches!(error, CallError::Unauthorized { status: 401 }));
    // The same as before: it was asked once.
    assert_eq!(server.asked().len(), 1);
    // Who was given none gets none.
    let open = Node::new(settings(&url, LONG)).unwrap();
    let open = open.renewing(cookie(b"u:hunter2"));
    let error = open.call::<u64>("m", json!([])).await.unwrap_err();
    assert!(matches!(error, CallError::Unauthorized { .. }));
    let asked = server.asked();
    assert_eq!(asked.len(), 2);
    assert!(!asked[1].head.contains("authorization"));
}

#[test]
fn settings_that_would_show_credentials_are_refused() {
    let exposed = Node::new(with_password("http://192.0.2.1:8332")).err();
    let host = "192.0.2.1".to_owned();
    assert_eq!(exposed, Some(SettingsError::CredentialsExposed { host }));
    for url in ["http://[::1]:1", "http://localhost:1", "http://127.9.9.9:1"] {
        Node::new(with_password(url)).unwrap();
    }
    // A name that only begins like this machine's.
    for url in ["http://localhost.example:1", "http://127.0.0.1.example:1"] {
        let refused = Node::new(with_password(url)).err();
        assert!(matches!(
            refused,
            Some(SettingsError::CredentialsExposed { .. })
        ));
    }
}

#[test]
fn addresses_are_http_and_their_rest_is_not_repeated() {
    for (url, https) in [
        ("https://h/key", true),
        ("ftp://h/key", false),
        ("http:///key", false),
        ("http://u:key@127.0.0.1:1", false),
        ("127.0.0.1:key", false),
        ("http://h:99999/key", false),
        ("", false),
    ] {
        let error = Node::new(settings(url, LONG)).unwrap_err();
        assert_eq!(matches!(error, SettingsError::Https { .. }), https, "{url}");
        assert!(!error.to_string().contains("key"), "{error}");
    }
    let node = Node::new(settings("http://127.0.0.1:1/v3/key", LONG)).unwrap();
    assert_eq!(format!("{node:?}"), "Node(\"127.0.0.1:1\")");
}
