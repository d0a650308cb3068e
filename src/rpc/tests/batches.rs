//! Several calls in one request.

use serde_json::{Value, json};
use strongroom_rpc::{BATCH_CALLS_MAX, Call, CallError};

use crate::server::Step::{Next, Write};
use crate::server::{Server, http};

fn calls(number: usize) -> Vec<Call> {
    let call = |number| Call {
        method: "m",
        params: json!([number]),
    };
    (0..number).map(call).collect()
}

/// What two calls, which have the ids 1 and 2, come to after this answer.
async fn two(body: &str) -> Result<Vec<Result<u64, CallError>>, CallError> {
    let server = Server::start([Write(http(200, body.as_bytes())), Next]).await;
    let results = server.node().batch(&calls(2)).await;
    assert_eq!(server.asked().len(), 1);
    results
}

#[tokio::test]
async fn results_are_in_the_order_of_the_calls() {
    let body = r#"[{"id":2,"error":{"code":-8,"message":"no"}},{"id":1,"result":5}]"#;
    let server = Server::start([Write(http(200, body.as_bytes())), Next]).await;
    let results = server.node().batch::<u64>(&calls(2)).await.unwrap();
    assert!(matches!(results[0], Ok(5)));
    assert!(matches!(
        results[1],
        Err(CallError::Refused { code: -8, .. })
    ));
    let asked = &server.asked()[0].body;
    assert_eq!(asked.as_array().unwrap().len(), 2);
    assert_eq!(asked[1]["params"], json!([1]));
}

#[tokio::test]
async fn nothing_is_asked_for_nothing_and_not_too_much_at_once() {
    let server = Server::answering("[]").await;
    let node = server.node();
    assert!(node.batch::<Value>(&[]).await.unwrap().is_empty());
    let error = node.batch::<Value>(&calls(BATCH_CALLS_MAX + 1)).await;
    let error = error.unwrap_err();
    assert!(!error.may_have_happened());
    assert!(matches!(error, CallError::BatchTooLong { .. }), "{error:?}");
    assert!(server.asked().is_empty());
}

#[tokio::test]
async fn every_call_has_exactly_one_answer() {
    for body in [
        "[]",
        r#"[{"id":1,"result":5}]"#,
        r#"[{"id":1,"result":5},{"id":1,"result":6}]"#,
        r#"[{"id":1,"result":5},{"id":2,"result":6},{"id":2,"result":7}]"#,
        r#"[{"id":1,"result":5},{"id":3,"result":6}]"#,
        r#"[{"id":1,"result":5},{"result":6}]"#,
        r#"[{"id":1,"result":5},{"id":null,"error":{"code":1,"message":""}}]"#,
    ] {
        let error = two(body).await.unwrap_err();
        assert!(
            matches!(error, CallError::OtherCall { .. }),
            "{body}: {error:?}"
        );
        assert!(error.may_have_happened());
    }
}

#[tokio::test]
async fn what_is_no_list_is_a_refusal_of_all_or_nothing() {
    let body = r#"{"id":null,"error":{"code":-32600,"message":"batches are off"}}"#;
    let error = two(body).await.unwrap_err();
    assert!(
        matches!(error, CallError::Refused { code: -32600, .. }),
        "{error:?}"
    );
    for body in [
        "{}",
        "null",
        r#"{"id":1,"result":5}"#,
        r#"[{"id":1,"result":5}"#,
        "[1,2]",
        "[[1,5],[2,6]]",
    ] {
        let error = two(body).await.unwrap_err();
        assert!(
            matches!(error, CallError::NotJsonRpc { .. }),
            "{body}: {error:?}"
        );
    }
}

#[tokio::test]
async fn one_bad_result_spoils_no_other() {
    let body = r#"[{"id":1,"result":"x"},{"id":2,"result":6}]"#;
    let results = two(body).await.unwrap();
    assert!(matches!(results[0], Err(CallError::Unexpected { .. })));
    assert!(matches!(results[1], Ok(6)));
}
