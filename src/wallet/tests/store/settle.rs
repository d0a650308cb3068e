//! What a person says of a payment that is in the chain for good and of which the chain does not say
//! whether it paid.

use std::slice::from_ref;

use wallet::{
    change::{Change, Gate},
    ledger::Account,
    settlement::{Outcome, Settlement},
    store::{Decided, Store, StoreError},
    withdrawal::{Stage, Withdrawal},
};

use super::{
    Kind,
    accept::{owed, topics},
    fixture::{
        Worker, accepted, amount, ann, at, block, coin_of, evm, finally, id, included, inclusion,
        lane_id, name, prepare,
    },
    ledger::check,
    payouts::now,
};

fn says(txid: &str, outcome: Outcome) -> Settlement {
    Settlement {
        txid: txid.into(),
        outcome,
        by: name("olga"),
        why: "balances before and after, ticket 7".into(),
    }
}

/// A lane with a payout over its first nonce that is final and did not log its payment.
async fn unproven<'s, S: Store>(store: &'s S, paid: &Withdrawal) -> (Worker<'s, S>, String) {
    let mut lane = Worker::take(store, evm()).await;
    let number = lane.send(lane.payout_next(&[paid]), from_ref(paid)).await;
    let inclusion = inclusion(number, 10);
    let txid = inclusion.txid.clone();
    let unproven = Change::Unproven {
        attempt: number,
        inclusion,
        tip: block(20),
    };
    let detail = "its token logged nothing".into();
    let halted = Change::Gate(Gate::Halted { detail });
    let changes = vec![included(number, 10), unproven, halted];
    lane.commit(changes, &[]).await;
    assert_eq!(now(store, paid).await.stage, Stage::Halted);
    (lane, txid)
}

async fn settled(store: &impl Store, settlement: &Settlement) -> Decided {
    store.settle(&id("a"), settlement, at(9)).await.unwrap()
}

pub async fn a_person_says_it_paid<K: Kind>() {
    let place = K::new();
    let store = place.open().await;
    prepare(&store).await;
    let paid = accepted(&store, evm(), "a", 500).await;
    let (_, txid) = unproven(&store, &paid).await;
    assert_eq!(owed(&store, &ann().held()).await, amount(500), "still held");
    for _ in 0..2 {
        let done = settled(&store, &says(&txid, Outcome::Paid)).await;
        assert!(matches!(done, Decided::Done(done) if done.stage == Stage::Final));
        assert_eq!(owed(&store, &ann().held()).await, amount(0));
        let wallet = store.balances(&Account::Wallet(evm())).await.unwrap();
        assert_eq!(wallet[0].1.credits, amount(521), "the payment and its fee");
    }
    let other = settled(&store, &says(&txid, Outcome::Release)).await;
    assert!(matches!(other, Decided::NotNow(had) if had.stage == Stage::Final));
    let topics = topics(&store, paid.number).await;
    let last = ["included", "halted", "settled", "final"];
    assert!(topics.ends_with(&last.map(|step| format!("withdrawal.{step}"))));
    let events = store.events(Some(paid.number), None, 100).await.unwrap();
    let said = events.iter().find(|it| it.topic == "withdrawal.settled");
    let body = &said.unwrap().body;
    for (field, value) in [
        ("by", "olga"),
        ("why", "balances before and after, ticket 7"),
        ("txid", txid.as_str()),
        ("outcome", "paid"),
    ] {
        assert_eq!(body[field], value);
    }
    check(&store).await;
}

pub async fn what_a_person_says_did_not_pay_is_paid_anew<K: Kind>() {
    let place = K::new();
    let store = place.open().await;
    prepare(&store).await;
    let paid = accepted(&store, evm(), "a", 500).await;
    let (mut lane, txid) = unproven(&store, &paid).await;
    for _ in 0..2 {
        let done = settled(&store, &says(&txid, Outcome::PayAnew)).await;
        assert!(matches!(done, Decided::Done(done) if done.stage == Stage::Approved));
    }
    assert_eq!(owed(&store, &ann().held()).await, amount(500), "still held");
    let fees = store.balances(&Account::Fees(evm())).await.unwrap();
    assert_eq!(fees[0].1.debits, amount(21));
    // Whoever works on the lane has an old view by now, and a halted lane stays halted.
    let seen = Change::EpochSeen { epoch: 5 };
    let old = store.commit(lane.commit_of(vec![seen])).await;
    assert!(matches!(old, Err(StoreError::Fenced { .. })));
    let taken = store.acquire(&lane_id(evm()), "one", at(10), at(99)).await;
    assert!(matches!(taken.unwrap().unwrap().gate, Gate::Halted { .. }));
    let opened = store
        .open_lane(&lane_id(evm()), &name("olga"), at(11))
        .await;
    lane.view = store.load(&opened.unwrap().unwrap().id).await.unwrap();
    lane.commit(vec![Change::Gate(Gate::Open)], &[]).await;
    // Another nonce, another transaction: what was said of the first says nothing of it.
    let again = now(&store, &paid).await;
    let number = lane.send(lane.payout_next(&[&again]), &[again]).await;
    let late = settled(&store, &says(&txid, Outcome::PayAnew)).await;
    assert!(matches!(late, Decided::Done(had) if had.stage == Stage::Broadcast));
    lane.commit(vec![finally(number, 30)], &[]).await;
    assert_eq!(owed(&store, &ann().held()).await, amount(0));
    check(&store).await;
}

pub async fn what_a_person_says_did_not_pay_is_released<K: Kind>() {
    let place = K::new();
    let store = place.open().await;
    prepare(&store).await;
    let before = store.room(&coin_of(evm()), &ann(), at(9)).await.unwrap();
    let paid = accepted(&store, evm(), "a", 500).await;
    let (_, txid) = unproven(&store, &paid).await;
    for _ in 0..2 {
        let done = settled(&store, &says(&txid, Outcome::Release)).await;
        assert!(matches!(done, Decided::Done(done) if done.stage == Stage::Released));
        assert_eq!(owed(&store, &ann()).await, amount(1_000_000_000));
        let room = store.room(&coin_of(evm()), &ann(), at(9)).await.unwrap();
        assert_eq!(room, before, "the limit has its room again");
    }
    let other = settled(&store, &says(&txid, Outcome::PayAnew)).await;
    assert!(matches!(other, Decided::NotNow(had) if had.stage == Stage::Released));
    check(&store).await;
}

/// Nobody's word ends what may still come to another end in the chain.
pub async fn what_may_still_be_mined_is_not_settled<K: Kind>() {
    let place = K::new();
    let store = place.open().await;
    prepare(&store).await;
    let paid = accepted(&store, evm(), "a", 500).await;
    let mut lane = Worker::take(&store, evm()).await;
    let refuses = async |txid: &str| {
        let before = lane_state(&store).await;
        for outcome in Outcome::ALL {
            let word = settled(&store, &says(txid, outcome)).await;
            assert!(matches!(word, Decided::NotNow(_)), "{word:?}");
        }
        assert_eq!(lane_state(&store).await, before);
    };
    let attempt = lane.payout_next(&[&paid]);
    let txid = inclusion(attempt.number, 10).txid;
    refuses(&txid).await;
    let number = lane.send(attempt, from_ref(&paid)).await;
    refuses(&txid).await;
    lane.commit(vec![included(number, 10)], &[]).await;
    refuses(&txid).await;
    // What is final without anybody's word is nobody's to settle.
    lane.commit(vec![finally(number, 10)], &[]).await;
    refuses(&txid).await;
    let nothing = says(&txid, Outcome::Paid);
    let nothing = store.settle(&id("z"), &nothing, at(9)).await.unwrap();
    assert_eq!(nothing, Decided::Unknown);
}

/// All that a word could change.
async fn lane_state(store: &impl Store) -> (wallet::lane::LaneView, usize) {
    let events = store.events(None, None, 500).await.unwrap();
    (store.load(&lane_id(evm())).await.unwrap(), events.len())
}

pub async fn what_is_unproven_stays_where_it_is<K: Kind>() {
    let place = K::new();
    let store = place.open().await;
    prepare(&store).await;
    let paid = accepted(&store, evm(), "a", 500).await;
    let (lane, txid) = unproven(&store, &paid).await;
    let [number] = *lane.view.attempts.keys().copied().collect::<Vec<_>>() else {
        panic!("one attempt")
    };
    for change in [
        Change::Excluded { attempt: number },
        finally(number, 10),
        included(number, 11),
        super::fixture::dead(number, lane.nonce(7)),
    ] {
        assert!(lane.apply(from_ref(&change), &[]).is_err(), "{change:?}");
        let refused = store.commit(lane.commit_of(vec![change])).await;
        assert!(matches!(refused, Err(StoreError::Conflict { .. })));
    }
    let release = store.release(&id("a"), &name("ann"), at(5)).await.unwrap();
    assert!(matches!(release, Decided::NotNow(_)));
    // It outlives the process.
    drop(lane);
    drop(store);
    let store = place.open().await;
    assert_eq!(now(&store, &paid).await.stage, Stage::Halted);
    let done = settled(&store, &says(&txid, Outcome::Paid)).await;
    assert!(matches!(done, Decided::Done(_)));
}
