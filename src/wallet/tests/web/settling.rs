//! What a person says of a payment that its token did not log.

use api::{
    client::{ClientError, wallet::Once},
    problem::ProblemKind,
    wallet::{AttemptStage, NewWithdrawal, Outcome, SettleRequest, Stage},
};
use serde_json::json;
use tx::{Chain, IntentId};
use wallet::{change::Change, store::Store};

use super::house::{ETHER, House, name, order};
use crate::store::fixture::{Worker, block, evm, inclusion};

fn says(txid: &str, outcome: Outcome) -> SettleRequest {
    SettleRequest {
        txid: txid.into(),
        outcome,
        why: "The balances say so, ticket 7".into(),
    }
}

/// A withdrawal by a transaction that is in the chain for good and did not log it.
async fn unproven(house: &House) -> String {
    let asked: NewWithdrawal = serde_json::from_value(order("w-1", json!({}))).unwrap();
    let asked = house.asking("exchange").withdraw(&asked).await.unwrap();
    assert!(matches!(asked, Once::New(_)));
    let id = IntentId {
        source: name("payouts"),
        id: "w-1".parse().unwrap(),
    };
    let paid = house.store.withdrawal(&id).await.unwrap().unwrap();
    let mut lane = Worker::take(&*house.store, evm()).await;
    let number = lane.send(lane.payout_next(&[&paid]), &[paid]).await;
    let inclusion = inclusion(number, 10);
    let txid = inclusion.txid.clone();
    let unproven = Change::Unproven {
        attempt: number,
        inclusion,
        tip: block(20),
    };
    lane.commit(vec![unproven], &[]).await;
    txid
}

#[tokio::test]
async fn a_person_settles_what_its_token_did_not_log() {
    let house = House::new().await;
    let txid = unproven(&house).await;
    let (exchange, officer) = (house.asking("exchange"), house.asking("officer"));
    let (id, payouts) = ("w-1".parse().unwrap(), Some(name("payouts")));
    let explained = exchange.explain(None, &id).await.unwrap();
    assert_eq!(explained.withdrawal.stage, Stage::Halted);
    assert_eq!(explained.attempts[0].stage, AttemptStage::Unproven);
    assert_eq!(explained.attempts[0].place.as_ref().unwrap().txid, txid);
    let anew = says(&txid, Outcome::PayAnew);
    let own = exchange.settle(None, &id, &anew).await.unwrap_err();
    assert!(matches!(own, ClientError::Problem(it) if it.kind == ProblemKind::NotGranted));
    for _ in 0..2 {
        let settled = officer.settle(payouts.as_ref(), &id, &anew).await.unwrap();
        assert_eq!(settled.stage, Stage::Approved);
    }
    assert_eq!(house.anns(ETHER).await, (900, 100));
    let told = house.engine.approved.lock().unwrap().clone();
    assert_eq!(told.last(), Some(&Chain::Evm(31337)));
    let paid = says(&txid, Outcome::Paid);
    for other in [paid, says("0xother", Outcome::PayAnew)] {
        let late = officer.settle(payouts.as_ref(), &id, &other).await;
        let late = late.unwrap_err();
        assert!(matches!(late, ClientError::Problem(it) if it.kind == ProblemKind::NotNow));
    }
    let events = exchange.explain(None, &id).await.unwrap().events;
    let said = events.iter().find(|it| it.topic == "withdrawal.settled");
    assert_eq!(said.unwrap().body["by"], "officer");
}

#[tokio::test]
async fn a_word_without_a_reason_is_none() {
    let house = House::new().await;
    let txid = unproven(&house).await;
    let path = "/v1/withdrawals/w-1/settle?source=payouts";
    let bad = [
        json!({ "txid": txid, "outcome": "paid", "why": "" }),
        json!({ "txid": txid, "outcome": "paid", "why": "a\nb" }),
        json!({ "txid": txid, "outcome": "paid", "why": "x".repeat(257) }),
        json!({ "txid": txid, "outcome": "lost", "why": "x" }),
        json!({ "txid": txid, "outcome": "paid" }),
        json!({ "outcome": "paid", "why": "x" }),
    ];
    for body in bad {
        let answer = house.post("officer", path, &body.to_string()).await;
        answer.is("malformed", 400);
    }
    let (exchange, id) = (house.asking("exchange"), "w-1".parse().unwrap());
    let shown = exchange.withdrawal(None, &id).await.unwrap();
    assert_eq!(shown.stage, Stage::Halted);
}
