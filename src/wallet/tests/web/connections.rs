//! Requests that are none: large, of other methods, to other places; and a database that is busy.

use rusqlite::Connection;
use serde_json::json;
use wallet::web::ROUTES;

use super::house::{ETHER, House, order};

const JSON: (&str, &str) = ("content-type", "application/json");

#[tokio::test]
async fn a_body_that_is_too_large_is_answered() {
    let house = House::new().await;
    let post = ("POST", "/v1/withdrawals");
    for length in [(1 << 20) + 1, 10_000_000, 10 << 20] {
        let body = vec![b' '; length];
        let answer = house.send("exchange", post, &[JSON], body).await;
        answer.is("too-large", 413);
    }
    let mut largest = order("w-1", json!({})).to_string();
    largest.push_str(&" ".repeat((1 << 20) - largest.len()));
    let answer = house.post("exchange", "/v1/withdrawals", &largest).await;
    answer.json(201);
}

#[tokio::test]
async fn other_paths_methods_and_media_types() {
    let house = House::new().await;
    for path in [
        "/",
        "/v1",
        "/v2/withdrawals",
        "/v1/withdrawals/",
        "/v1/withdrawals/w-1/pay",
        "/v1/withdrawals/a%2fb",
        "/metrics",
        "/V1/withdrawals",
    ] {
        house.get("exchange", path).await.is("not-found", 404);
    }
    for (_, path) in ROUTES {
        let asked = path.replace("{id}", "w-1").replace("{name}", "ann");
        let asked = asked.replace("{lane}", "litecoin:regtest:hot");
        let answer = house
            .send("exchange", ("DELETE", &asked), &[], Vec::new())
            .await;
        answer.is("method-not-allowed", 405);
        let allowed = answer.allow.clone().unwrap();
        for (method, _) in ROUTES.iter().filter(|(_, other)| other == path) {
            assert!(
                allowed.contains(&method.to_uppercase()),
                "{path}: {allowed}"
            );
        }
    }
    let body = || order("w-1", json!({})).to_string().into_bytes();
    let post = ("POST", "/v1/withdrawals");
    for media_type in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "application/jsonp",
    ] {
        let headers = [("content-type", media_type)];
        let answer = house.send("exchange", post, &headers, body()).await;
        answer.is("media-type", 415);
    }
    house
        .send("exchange", post, &[], body())
        .await
        .is("media-type", 415);
    let cancel = ("POST", "/v1/withdrawals/w-1/cancel");
    let answer = house
        .send("exchange", cancel, &[JSON], b"{}".to_vec())
        .await;
    answer.is("malformed", 400);
    assert_eq!(house.accepted().await, 0);
    let headers = [("content-type", "application/json; charset=utf-8")];
    house
        .send("exchange", post, &headers, body())
        .await
        .json(201);
}

#[tokio::test]
async fn a_daemon_that_stops_says_so() {
    let house = House::new().await;
    house.web.stop();
    let body = order("w-1", json!({})).to_string();
    let answer = house.post("exchange", "/v1/withdrawals", &body).await;
    answer.is("stopping", 503);
    assert_eq!(house.accepted().await, 0);
}

/// Another process holds the database. The answer is stable, nothing is written, and the same request
/// is accepted once, when the database is free again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_locked_database_is_said_and_loses_nothing() {
    let house = House::impatient().await;
    let path = house.folder.path().join("walletd.db");
    let other = Connection::open(path).unwrap();
    other.execute_batch("BEGIN EXCLUSIVE").unwrap();
    let body = order("w-1", json!({})).to_string();
    let answer = house.post("exchange", "/v1/withdrawals", &body).await;
    answer.is("database-unavailable", 503);
    let told = answer.problem().detail;
    assert!(
        !told.contains("walletd.db") && !told.contains("locked"),
        "{told}"
    );
    let several = json!({ "withdrawals": [order("w-1", json!({}))] }).to_string();
    let answer = house.post("exchange", "/v1/withdrawals", &several).await;
    answer.is("database-unavailable", 503);
    other.execute_batch("ROLLBACK").unwrap();
    assert_eq!(house.accepted().await, 0);
    let answer = house.post("exchange", "/v1/withdrawals", &body).await;
    answer.json(201);
    assert_eq!(house.accepted().await, 1);
    assert_eq!(house.anns(ETHER).await, (900, 100));
}
