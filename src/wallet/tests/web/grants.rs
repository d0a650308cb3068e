//! Who may do what: what is not granted is denied, before anything is read.

use serde_json::json;
use wallet::web::ROUTES;

use super::{
    house::{House, order},
    raw,
};

/// The grant that a route takes.
fn needs(method: &str, path: &str) -> &'static str {
    match (method, path) {
        ("post", "/v1/withdrawals" | "/v1/withdrawals/{id}/cancel") => "withdraw",
        (
            "post",
            "/v1/withdrawals/{id}/approve"
            | "/v1/withdrawals/{id}/reject"
            | "/v1/withdrawals/{id}/settle"
            | "/v1/lanes/{lane}/open",
        ) => "decide",
        ("post", "/v1/credits") => "credit",
        _ => "read",
    }
}

#[tokio::test]
async fn every_route_takes_its_grant_and_no_other() {
    let house = House::new().await;
    let clients = [
        ("exchange", vec!["withdraw", "read"]),
        ("officer", vec!["read", "decide"]),
        ("teller", vec!["credit"]),
    ];
    for (method, path) in ROUTES {
        let asked = path.replace("{id}", "w-1").replace("{name}", "ann");
        let asked = asked.replace("{lane}", "litecoin:regtest:hot");
        for (client, granted) in &clients {
            let call = (method.to_uppercase(), asked.clone());
            let call = (call.0.as_str(), call.1.as_str());
            let answer = house.send(client, call, &[], Vec::new()).await;
            let denied = answer.status == 403;
            let may = granted.contains(&needs(method, path));
            assert_eq!(denied, !may, "{client} {method} {path}: {answer:?}");
            if denied {
                answer.is("not-granted", 403);
            }
        }
    }
}

#[tokio::test]
async fn a_client_sees_its_own_source_only() {
    let house = House::new().await;
    let body = order("w-1", json!({})).to_string();
    house
        .post("exchange", "/v1/withdrawals", &body)
        .await
        .json(201);
    for path in ["/v1/withdrawals/w-1", "/v1/withdrawals/w-1/explain"] {
        house.get("shop", path).await.is("not-found", 404);
        house.get("officer", path).await.is("not-found", 404);
        let other = format!("{path}?source=payouts");
        house.get("shop", &other).await.is("not-granted", 403);
        house.get("officer", &other).await.json(200);
    }
    let cancel = ("POST", "/v1/withdrawals/w-1/cancel");
    let answer = house.send("shop", cancel, &[], Vec::new()).await;
    answer.is("not-found", 404);
    let cancel = ("POST", "/v1/withdrawals/w-1/cancel?source=payouts");
    let answer = house.send("shop", cancel, &[], Vec::new()).await;
    answer.is("not-granted", 403);
    let count = |list: serde_json::Value| list["withdrawals"].as_array().unwrap().len();
    assert_eq!(
        count(house.get("exchange", "/v1/withdrawals").await.json(200)),
        1
    );
    assert_eq!(
        count(house.get("shop", "/v1/withdrawals").await.json(200)),
        0
    );
    assert_eq!(
        count(house.get("officer", "/v1/withdrawals").await.json(200)),
        1
    );
    let other = "/v1/withdrawals?source=payouts";
    house.get("shop", other).await.is("not-granted", 403);
    assert_eq!(count(house.get("officer", other).await.json(200)), 1);
    let events = house.get("shop", "/v1/events").await.json(200);
    assert_eq!(events["events"], json!([]));
    assert!(events["next"].as_u64() > Some(0), "the feed goes on behind");
    let events = house.get("exchange", "/v1/events").await.json(200);
    assert!(!events["events"].as_array().unwrap().is_empty());
}

#[tokio::test]
async fn a_stranger_is_nobody() {
    let house = House::new().await;
    // A good certificate of the authority, that the configuration does not name.
    let answer = house.get("stranger", "/v1/status").await;
    answer.is("unknown-client", 403);
    // None at all.
    let root = house.pki.root();
    let without = match raw::connect(house.address, &root, None).await {
        Err(_) => true,
        // In TLS 1.3 a client learns it by its first answer.
        Ok(mut connection) => connection
            .ask("GET", "/v1/status", &[], Vec::new())
            .await
            .is_err(),
    };
    assert!(without, "a client without a certificate is let in");
}

#[tokio::test]
async fn a_revoked_certificate_ends_what_is_open() {
    let house = House::new().await;
    let issued = house.certificate("exchange");
    let root = house.pki.root();
    let mut open = raw::connect(house.address, &root, Some(&issued))
        .await
        .unwrap();
    let status = open.ask("GET", "/v1/status", &[], Vec::new()).await;
    assert_eq!(status.unwrap().status, 200);
    house.pki.revoke(&[10]);
    house.reload();
    let answer = open.ask("GET", "/v1/status", &[], Vec::new()).await;
    answer.unwrap().is("unknown-client", 403);
    let again = match raw::connect(house.address, &root, Some(&issued)).await {
        Err(_) => true,
        Ok(mut connection) => connection
            .ask("GET", "/v1/status", &[], Vec::new())
            .await
            .is_err(),
    };
    assert!(again, "a revoked certificate is let in");
    house.get("shop", "/v1/status").await.json(200);
}
