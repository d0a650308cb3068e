//! Which connection a call takes, and what becomes of it.

use std::sync::Arc;

use serde_json::json;
use strongroom_rpc::{CallError, Node, Settings};

use crate::server::Step::{Close, Hang, Next, Write};
use crate::server::{LONG, SHORT, Server, Step, http, result, settings};

fn answer() -> Step {
    Write(http(200, result("1").as_bytes()))
}

async fn ask(node: &Node) -> Result<u64, CallError> {
    node.call("m", json!([])).await
}

fn connections(server: &Server) -> Vec<usize> {
    server
        .asked()
        .iter()
        .map(|asked| asked.connection)
        .collect()
}

#[tokio::test]
async fn calls_after_another_share_a_connection() {
    let server = Server::answering(&result("1")).await;
    let node = server.node();
    for _ in 0..50 {
        ask(&node).await.unwrap();
    }
    assert_eq!(connections(&server), [0; 50]);
}

#[tokio::test]
async fn calls_at_once_have_a_bounded_number_of_connections() {
    let server = Server::answering(&result("1")).await;
    let node = Arc::new(server.node());
    let mut calls = tokio::task::JoinSet::new();
    for _ in 0..100 {
        let node = Arc::clone(&node);
        calls.spawn(async move { ask(&node).await.unwrap() });
    }
    assert_eq!(calls.join_all().await, [1; 100]);
    let most = connections(&server).into_iter().max().unwrap();
    assert!(most < 4, "{most}");
}

#[tokio::test]
async fn none_is_kept_where_none_shall_be() {
    let server = Server::answering(&result("1")).await;
    let url = format!("http://{}", server.address);
    let settings = Settings {
        idle_max: 0,
        ..settings(&url, LONG)
    };
    let node = Node::new(settings).unwrap();
    for _ in 0..3 {
        ask(&node).await.unwrap();
    }
    assert_eq!(connections(&server), [0, 1, 2]);
}

#[tokio::test]
async fn one_that_ends_with_its_answer_is_not_used_again() {
    let closing = "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n";
    let closing = Write([closing.as_bytes(), result("1").as_bytes()].concat());
    let server = Server::start([closing, Close]).await;
    let node = server.node();
    for _ in 0..3 {
        assert_eq!(ask(&node).await.unwrap(), 1);
    }
    assert_eq!(connections(&server), [0, 1, 2]);
}

#[tokio::test]
async fn one_that_was_closed_while_it_waited_is_replaced_unnoticed() {
    let server = Server::start([answer(), Close]).await;
    let node = server.node();
    for _ in 0..3 {
        assert_eq!(ask(&node).await.unwrap(), 1);
        server.ended().await;
    }
    assert_eq!(connections(&server), [0, 1, 2]);
}

#[tokio::test]
async fn one_that_breaks_under_a_call_is_no_answer_and_the_call_is_not_repeated() {
    let server = Server::start([answer(), Next, Close]).await;
    let node = server.node();
    ask(&node).await.unwrap();
    let error = ask(&node).await.unwrap_err();
    assert!(matches!(error, CallError::NoAnswer { .. }), "{error:?}");
    assert_eq!(connections(&server), [0, 0]);
    ask(&node).await.unwrap();
    assert_eq!(connections(&server), [0, 0, 1]);
}

#[tokio::test]
async fn one_that_owes_an_answer_is_not_used_again() {
    let server = Server::start([Hang]).await;
    let node = server.node_within(SHORT);
    for _ in 0..2 {
        let error = ask(&node).await.unwrap_err();
        assert!(matches!(error, CallError::NoAnswer { .. }), "{error:?}");
    }
    assert_eq!(connections(&server), [0, 1]);
}

#[tokio::test]
async fn an_answer_that_nobody_asked_for_answers_nothing() {
    let surplus = http(200, b"{\"id\":2,\"result\":666}");
    let first = http(200, b"{\"id\":1,\"result\":1}");
    let both = [first, surplus].concat();
    let server = Server::start([Write(both), Next, answer(), Next]).await;
    let node = server.node();
    assert_eq!(ask(&node).await.unwrap(), 1);
    let second = ask(&node).await;
    assert!(!matches!(second, Ok(666)), "{second:?}");
    assert_ne!(connections(&server).last(), Some(&0));
}

#[tokio::test]
async fn one_that_waited_long_is_not_used_again() {
    let server = Server::answering(&result("1")).await;
    let node = server.node();
    ask(&node).await.unwrap();
    tokio::time::pause();
    tokio::time::advance(std::time::Duration::from_secs(10)).await;
    tokio::time::resume();
    ask(&node).await.unwrap();
    assert_eq!(connections(&server), [0, 1]);
}

#[tokio::test]
async fn a_call_whose_turn_does_not_come_is_certainly_not_sent() {
    let server = Server::start([Hang]).await;
    let url = format!("http://{}", server.address);
    let settings = Settings {
        calls_max: 1,
        ..settings(&url, LONG)
    };
    let node = Arc::new(Node::new(settings).unwrap());
    let first = Arc::clone(&node);
    let first = tokio::spawn(async move { ask(&first).await });
    while server.asked().is_empty() {
        tokio::task::yield_now().await;
    }
    let error = node.call_within::<u64>(SHORT, "m", json!([])).await;
    let error = error.unwrap_err();
    assert!(!error.may_have_happened());
    assert!(matches!(error, CallError::Unreachable { .. }), "{error:?}");
    assert_eq!(server.asked().len(), 1);
    first.abort();
}
