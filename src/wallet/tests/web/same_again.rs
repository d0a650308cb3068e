//! Ids never expire: the same again is the same, anything else is a conflict.

use serde_json::json;

use super::house::{ETHER, House, LITECOIN, order};

#[tokio::test]
async fn the_same_again_is_the_same() {
    let house = House::new().await;
    let body = order("w-1", json!({})).to_string();
    let first = house.post("exchange", "/v1/withdrawals", &body).await;
    let first = first.json(201);
    // Written in another way, and much later, when it would not be accepted any more.
    house.pass(48 * 3_600_000);
    let mut reordered = order("w-1", json!({}));
    let id = reordered.as_object_mut().unwrap().remove("id").unwrap();
    reordered["id"] = id;
    let lower = order(
        "w-1",
        json!({
            "destination": first["destination"].as_str().unwrap().to_lowercase(),
        }),
    );
    for again in [body, reordered.to_string(), lower.to_string()] {
        let answer = house.post("exchange", "/v1/withdrawals", &again).await;
        assert_eq!(answer.json(200), first);
    }
    assert_eq!(house.accepted().await, 1);
    assert_eq!(house.engine.approved.lock().unwrap().len(), 1);
}

/// The epoch is that in which it was first asked for, and nobody's to change.
#[tokio::test]
async fn the_same_again_in_a_later_epoch_is_the_same() {
    let house = House::new().await;
    let body = order("w-1", json!({})).to_string();
    let first = house.post("exchange", "/v1/withdrawals", &body).await;
    let first = first.json(201);
    *house.engine.epoch.lock().unwrap() = 2;
    let again = house.post("exchange", "/v1/withdrawals", &body).await;
    assert_eq!(again.json(200), first);
    let other = order("w-1", json!({ "amount": "101" })).to_string();
    let other = house.post("exchange", "/v1/withdrawals", &other).await;
    other.is("withdrawal-reused", 409);
    assert_eq!(house.epoch_of("w-1").await, 1);
    let new = order("w-2", json!({})).to_string();
    let new = house.post("exchange", "/v1/withdrawals", &new).await;
    new.json(201);
    assert_eq!(house.epoch_of("w-2").await, 2);
}

#[tokio::test]
async fn another_content_under_one_id_is_a_conflict() {
    let house = House::new().await;
    house.give("third", "bob", ETHER, 1000).await;
    let body = order("w-1", json!({})).to_string();
    let first = house.post("exchange", "/v1/withdrawals", &body).await;
    let first = first.json(201);
    for changed in [
        json!({ "amount": "101" }),
        json!({ "account": "bob" }),
        json!({ "max_fee": "1000001" }),
        json!({ "expires": "2026-11-21T12:00:01Z" }),
        json!({ "destination": "0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC" }),
        json!({ "asset": LITECOIN, "destination": super::house::COINS, "amount": "5000" }),
        // What could not be accepted now does not hide what is stored.
        json!({ "expires": "2026-11-20T11:00:00Z" }),
        json!({ "asset": "eip155:1/native" }),
        json!({ "amount": "5000" }),
    ] {
        let body = order("w-1", changed.clone()).to_string();
        let answer = house.post("exchange", "/v1/withdrawals", &body).await;
        if answer.problem().kind.uri().ends_with("invalid-destination") {
            panic!("{changed}: {answer:?}");
        }
        answer.is("withdrawal-reused", 409);
        let stored = serde_json::to_value(answer.problem().withdrawal).unwrap();
        assert_eq!(stored, first, "{changed}");
    }
    assert_eq!(house.accepted().await, 1);
}

/// Two sources may use one id: neither sees the other's.
#[tokio::test]
async fn ids_are_those_of_the_source() {
    let house = House::new().await;
    let body = order("w-1", json!({ "amount": "10" })).to_string();
    let first = house.post("exchange", "/v1/withdrawals", &body).await;
    let other = house.post("shop", "/v1/withdrawals", &body).await;
    assert_eq!(first.json(201)["source"], "payouts");
    assert_eq!(other.json(201)["source"], "shop");
    assert_eq!(house.accepted().await, 2);
}

/// Many at the same time under one id are one withdrawal.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_race_has_one_winner() {
    let house = std::sync::Arc::new(House::new().await);
    let mut racing = tokio::task::JoinSet::new();
    for _ in 0..16 {
        let house = std::sync::Arc::clone(&house);
        racing.spawn(async move {
            let body = order("w-1", json!({})).to_string();
            house
                .post("exchange", "/v1/withdrawals", &body)
                .await
                .status
        });
    }
    let statuses = racing.join_all().await;
    let new = statuses.iter().filter(|status| **status == 201).count();
    let same = statuses.iter().filter(|status| **status == 200).count();
    assert_eq!((new, same), (1, 15));
    assert_eq!(house.accepted().await, 1);
    assert_eq!(house.anns(ETHER).await, (900, 100));
}
