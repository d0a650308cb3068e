//! Lists, explanations, events and the state.

use api::{client::wallet::Which, wallet::Stage};
use serde_json::json;

use super::house::{House, name, order};

async fn fill(house: &House, count: u32) {
    for place in 0..count {
        let body = order(&format!("w-{place}"), json!({ "amount": "1" })).to_string();
        house
            .post("exchange", "/v1/withdrawals", &body)
            .await
            .json(201);
    }
}

#[tokio::test]
async fn a_list_is_walked_by_its_cursor() {
    let house = House::new().await;
    fill(&house, 7).await;
    let exchange = house.asking("exchange");
    let mut which = Which {
        limit: Some(3),
        ..Which::default()
    };
    let mut ids = Vec::new();
    let mut pages = 0;
    loop {
        let page = exchange.withdrawals(&which).await.unwrap();
        ids.extend(page.withdrawals.iter().map(|it| it.id.to_string()));
        pages += 1;
        // What comes in between appears at the end, and moves nothing.
        if pages == 1 {
            let body = order("late", json!({ "amount": "1" })).to_string();
            house
                .post("exchange", "/v1/withdrawals", &body)
                .await
                .json(201);
        }
        match page.next {
            Some(next) => which.after = Some(next),
            None => break,
        }
    }
    assert_eq!(pages, 3);
    assert_eq!(
        ids,
        ["w-0", "w-1", "w-2", "w-3", "w-4", "w-5", "w-6", "late"]
    );
    for query in [
        "limit=0",
        "limit=501",
        "limit=x",
        "after=x",
        "after=-1",
        "stage=paid",
        "stage=",
    ] {
        let answer = house
            .get("exchange", &format!("/v1/withdrawals?{query}"))
            .await;
        answer.is("malformed", 400);
    }
    let twice = house
        .get("exchange", "/v1/withdrawals?limit=1&limit=2")
        .await;
    twice.is("malformed", 400);
}

#[tokio::test]
async fn a_list_is_of_stages_and_accounts() {
    let house = House::new().await;
    house.give("bobs", "bob", super::house::ETHER, 10).await;
    fill(&house, 2).await;
    let bobs = order("bobs", json!({ "account": "bob", "amount": "1" })).to_string();
    house
        .post("exchange", "/v1/withdrawals", &bobs)
        .await
        .json(201);
    let manual = order("large", json!({ "amount": "900" })).to_string();
    house
        .post("exchange", "/v1/withdrawals", &manual)
        .await
        .json(201);
    let exchange = house.asking("exchange");
    let count = |which: Which| {
        let exchange = &exchange;
        async move {
            exchange
                .withdrawals(&which)
                .await
                .unwrap()
                .withdrawals
                .len()
        }
    };
    let of = |stage, account: Option<&str>| Which {
        stage,
        account: account.map(name),
        ..Which::default()
    };
    assert_eq!(count(of(None, None)).await, 4);
    assert_eq!(count(of(Some(Stage::Manual), None)).await, 1);
    assert_eq!(count(of(Some(Stage::Approved), Some("ann"))).await, 2);
    assert_eq!(count(of(None, Some("bob"))).await, 1);
    assert_eq!(count(of(Some(Stage::Final), None)).await, 0);
    let both = "/v1/withdrawals?stage=manual,approved";
    let both = house.get("exchange", both).await.json(200);
    assert_eq!(both["withdrawals"].as_array().unwrap().len(), 4);
}

#[tokio::test]
async fn an_explanation_shows_every_step() {
    let house = House::new().await;
    fill(&house, 1).await;
    let exchange = house.asking("exchange");
    let id = "w-0".parse().unwrap();
    let explained = exchange.explain(None, &id).await.unwrap();
    assert_eq!(explained.withdrawal.stage, Stage::Approved);
    assert!(explained.attempts.is_empty());
    let topics: Vec<_> = explained
        .events
        .iter()
        .map(|event| event.topic.as_str())
        .collect();
    assert!(topics.contains(&"withdrawal.held"), "{topics:?}");
    assert!(topics.contains(&"withdrawal.approved"), "{topics:?}");
    for event in &explained.events {
        assert_eq!(event.withdrawal.as_ref().unwrap().id, id);
    }
    let first = explained.events.first().unwrap().event;
    let rest = exchange.explain_after(None, &id, first).await.unwrap();
    assert_eq!(rest.events, explained.events[1..]);
}

#[tokio::test]
async fn events_are_delivered_in_order_under_stable_ids() {
    let house = House::new().await;
    fill(&house, 3).await;
    let officer = house.asking("officer");
    let mut all = Vec::new();
    let mut after = None;
    loop {
        let page = officer.events(after).await.unwrap();
        let is_end = page.events.is_empty();
        all.extend(page.events);
        assert!(page.next >= after);
        after = page.next;
        if is_end {
            break;
        }
    }
    assert!(all.windows(2).all(|pair| pair[0].event < pair[1].event));
    let again = officer.events(None).await.unwrap().events;
    assert_eq!(all[..again.len()], again[..]);
    // Deposits too, which belong to no withdrawal, and which only who decides sees.
    assert!(all.iter().any(|event| event.withdrawal.is_none()));
    let own = house.asking("exchange").events(None).await.unwrap().events;
    assert!(!own.is_empty() && own.iter().all(|event| event.withdrawal.is_some()));
}

#[tokio::test]
async fn the_state_is_told() {
    let house = House::new().await;
    fill(&house, 2).await;
    let status = house.asking("exchange").status().await.unwrap();
    assert_eq!(status.version, env!("CARGO_PKG_VERSION"));
    assert_eq!(status.stages.len(), 1);
    assert_eq!(
        (status.stages[0].stage, status.stages[0].count),
        (Stage::Approved, 2)
    );
    assert!(status.signer.reachable);
    assert_eq!(status.chains[0].height, Some(100));
    assert!(status.lanes.is_empty());
    assert_eq!(status.time, house.now());
}

#[tokio::test]
async fn an_account_that_nobody_knows_has_nothing() {
    let house = House::new().await;
    let account = house
        .asking("exchange")
        .account(&name("zoe"))
        .await
        .unwrap();
    assert!(account.balances.is_empty());
}
