//! Every way to answer badly has its error, within its time, and never a value.

use std::time::Duration;

use serde_json::{Value, json};
use strongroom_rpc::{CallError, Node};
use tokio::net::TcpListener;

use crate::server::Step::{Close, Drip, Hang, Next, Repeat, Write};
use crate::server::{LONG, SHORT, Server, Step, http, result, settings};

/// What a call comes to after these steps. Whatever happens, it must look as if it may have happened.
async fn after(steps: &[Step], timeout: Duration) -> CallError {
    let server = Server::start(steps).await;
    let node = server.node_within(timeout);
    let outcome = node.call::<u64>("m", json!([])).await;
    let error = outcome.unwrap_err();
    assert!(error.may_have_happened(), "{error:?}");
    assert_eq!(server.asked().len(), 1, "it was asked more than once");
    error
}

fn head(length: usize) -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n").into_bytes()
}

#[tokio::test]
async fn silence_ends_with_the_time() {
    let answer = "HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n{\"id\":1,\"result\":1}".to_owned();
    let chunked = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n".to_vec();
    for steps in [
        vec![Hang],
        vec![Write(b"HTTP/1.1 200".to_vec()), Hang],
        vec![Write(head(10)), Hang],
        vec![Write(answer.into_bytes()), Hang],
        vec![Write(head(1 << 19)), Drip],
        vec![Write(b"HTTP/1.1 200 OK\r\nx: ".to_vec()), Drip],
        vec![Write(chunked.clone()), Hang],
        vec![Write([chunked, b"1\r\n1\r\n".to_vec()].concat()), Hang],
        vec![Repeat(b"HTTP/1.1 100 Continue\r\n\r\n".to_vec())],
    ] {
        let error = after(&steps, SHORT).await;
        assert!(
            matches!(error, CallError::NoAnswer { .. }),
            "{steps:?}: {error:?}"
        );
    }
}

#[tokio::test]
async fn a_connection_that_breaks_after_sending_is_no_answer() {
    for steps in [
        vec![Close],
        vec![Write(b"HTTP/1.1 200".to_vec()), Close],
        vec![Write(head(10)), Close],
        vec![Write([head(10), b"{\"id\"".to_vec()].concat()), Close],
        vec![
            Write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\n{".to_vec()),
            Close,
        ],
    ] {
        let error = after(&steps, LONG).await;
        assert!(
            matches!(error, CallError::NoAnswer { .. }),
            "{steps:?}: {error:?}"
        );
    }
}

#[tokio::test]
async fn what_is_not_http_is_no_answer() {
    for bytes in [
        b"SSH-2.0-OpenSSH_9.2\r\n".to_vec(),
        b"\0\xff\r\n\r\n".to_vec(),
        b"HTTP/1.1 abc\r\n\r\n".to_vec(),
        b"HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n".to_vec(),
        b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n12".to_vec(),
        b"HTTP/1.1 200 OK\r\ncontent-length: 99999999999999999999999\r\n\r\n".to_vec(),
        [b"HTTP/1.1 200 OK\r\nx: ".to_vec(), vec![b'x'; 1 << 20]].concat(),
        [b"HTTP/1.1 200 OK\r\n".to_vec(), b"x: y\r\n".repeat(500)].concat(),
    ] {
        let error = after(&[Write(bytes), Hang], LONG).await;
        assert!(matches!(error, CallError::NoAnswer { .. }), "{error:?}");
    }
}

#[tokio::test]
async fn an_endless_answer_is_cut() {
    let endless = |head: &[u8], part: &[u8]| vec![Write(head.to_vec()), Repeat(part.repeat(1000))];
    for steps in [
        endless(b"HTTP/1.1 200 OK\r\n\r\n", b"{\"id\":1,"),
        endless(
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n",
            b"8\r\n        \r\n",
        ),
        endless(
            b"HTTP/1.1 200 OK\r\ncontent-length: 999999999999\r\n\r\n",
            b"        ",
        ),
    ] {
        let error = after(&steps, LONG).await;
        let limit = 1 << 20;
        assert!(
            matches!(error, CallError::TooLarge { limit_bytes, .. } if limit_bytes == limit),
            "{error:?}"
        );
    }
}

#[tokio::test]
async fn what_is_not_json_rpc_is_said_to_be_none() {
    let nested = "[".repeat(100_000);
    let wrong_error = |error: &str| format!(r#"{{"id":ID,"error":{error}}}"#);
    for body in [
        "",
        "<html><body>502 Bad Gateway</body></html>",
        "{",
        r#"{"id":ID,"result":1"#,
        r#"{"id":ID,"result":1}}"#,
        r#"{"id":ID,"result":1} {"id":ID,"result":2}"#,
        r#"{"id":ID,"result":1,"result":2}"#,
        r#"{"id":ID,"id":7,"result":1}"#,
        r#"{"id":ID,"result":1,"r\u0065sult":2}"#,
        r#"{"id":ID,"result":1,"error":{"code":1,"message":"x"}}"#,
        r#"{"id":ID,"result":NaN}"#,
        r#"{"id":ID,"result":0x10}"#,
        r#"[{"id":ID,"result":1}]"#,
        "[ID,1]",
        "null",
        "7",
        "\"x\"",
        "\u{feff}{\"id\":ID,\"result\":1}",
        &wrong_error("\"no\""),
        &wrong_error("[]"),
        &wrong_error("{}"),
        &wrong_error(r#"{"code":"x"}"#),
        &wrong_error(r#"{"code":1.5}"#),
        &wrong_error(r#"{"code":99999999999999999999}"#),
        &wrong_error(r#"{"code":1,"message":{}}"#),
        &nested,
    ] {
        let error = after(&[Write(http(200, body.as_bytes())), Next], LONG).await;
        assert!(
            matches!(error, CallError::NotJsonRpc { .. }),
            "{body:.80}: {error:?}"
        );
    }
    let invalid = [
        b"{\"id\":1,\"result\":\"".to_vec(),
        vec![0xff],
        b"\"}".to_vec(),
    ]
    .concat();
    let error = after(&[Write(http(200, &invalid)), Next], LONG).await;
    assert!(matches!(error, CallError::NotJsonRpc { .. }), "{error:?}");
}

#[tokio::test]
async fn a_result_counts_with_success_only_and_no_redirect_is_followed() {
    for status in [300, 301, 302, 307, 308, 400, 404, 429, 500, 502, 503] {
        let error = after(&[Write(http(status, result("1").as_bytes())), Next], LONG).await;
        let said = |error: &CallError| match error {
            CallError::NotJsonRpc { status, .. } => Some(*status),
            _ => None,
        };
        assert_eq!(said(&error), Some(status), "{error:?}");
    }
    let elsewhere = Server::answering(&result("1")).await;
    let redirect = format!(
        "HTTP/1.1 307 Temporary Redirect\r\nlocation: http://{}/\r\ncontent-length: 0\r\n\r\n",
        elsewhere.address
    );
    after(&[Write(redirect.into_bytes()), Next], LONG).await;
    assert!(elsewhere.asked().is_empty());
}

#[tokio::test]
async fn the_answer_to_another_call_is_none() {
    for id in [
        "0",
        "999",
        "\"1\"",
        "-1",
        "1.0",
        "1e0",
        "[1]",
        "{}",
        "true",
        "18446744073709551617",
    ] {
        for rest in [r#""result":1"#, r#""error":{"code":-26,"message":"no"}"#] {
            let body = format!(r#"{{"id":{id},{rest}}}"#);
            let error = after(&[Write(http(200, body.as_bytes())), Next], LONG).await;
            assert!(
                matches!(error, CallError::OtherCall { .. }),
                "{body}: {error:?}"
            );
        }
    }
}

#[tokio::test]
async fn a_result_of_another_form_is_no_value_and_its_text_is_harmless() {
    let long = format!("\"\\u001b[2J{}\"", "x".repeat(5000));
    for value in [
        "null",
        "-1",
        "1.5",
        "1e3",
        "1e400",
        "18446744073709551616",
        "\"1\"",
        "[]",
        "{}",
        "true",
        &long,
    ] {
        let error = after(&[Write(http(200, result(value).as_bytes())), Next], LONG).await;
        assert!(
            matches!(error, CallError::Unexpected { .. }),
            "{value:.80}: {error:?}"
        );
        let said = error.to_string();
        assert!(said.len() < 600 && !said.contains('\u{1b}'), "{said}");
    }
}

#[tokio::test]
async fn wrong_credentials_are_certainly_not_done() {
    for status in [401, 403] {
        let server = Server::start([Write(http(status, b"")), Next]).await;
        let error = server.node().call::<Value>("m", json!([])).await;
        let error = error.unwrap_err();
        assert!(!error.may_have_happened());
        assert!(matches!(error, CallError::Unauthorized { .. }), "{error:?}");
    }
}

#[tokio::test]
async fn no_connection_is_certainly_not_sent() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let node = Node::new(settings(&url, LONG)).unwrap();
    let error = node.call::<Value>("m", json!([])).await.unwrap_err();
    assert!(!error.may_have_happened());
    assert!(matches!(error, CallError::Unreachable { .. }), "{error:?}");
}
