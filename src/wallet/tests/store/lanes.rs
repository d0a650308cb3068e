//! Lanes: their gates, leases and epochs, and what two of them never share.

use std::{collections::BTreeSet, slice::from_ref};

use tx::ConflictKey;
use wallet::{
    attempt::AttemptNumber,
    change::{Change, Gate},
    store::{Store, StoreError},
    view::ApplyError,
    withdrawal::Stage,
};

use super::{
    Kind,
    fixture::{
        Worker, accepted, at, coin, evm, finally, lane_id, name, outpoint_key, prepare, utxo,
    },
    payouts::now,
};

pub async fn a_halted_gate_stays<K: Kind>() {
    let place = K::new();
    let store = place.open().await;
    prepare(&store).await;
    let paid = accepted(&store, evm(), "a", 500).await;
    let mut lane = Worker::take(&store, evm()).await;
    let closed = Change::Gate(Gate::Closed {
        detail: "to be compared".into(),
    });
    lane.commit(vec![closed], &[]).await;
    let attempt = Change::Assign(Box::new(lane.payout_next(&[&paid])));
    let refusal = lane.apply(from_ref(&attempt), from_ref(&paid));
    assert_eq!(refusal, Err(ApplyError::Gate));
    let refusal = store.commit(lane.commit_of(vec![attempt])).await;
    assert!(matches!(refusal, Err(StoreError::Conflict { .. })));
    let halted = Gate::Halted {
        detail: "a spend of nobody's".into(),
    };
    lane.commit(vec![Change::Gate(halted.clone())], &[]).await;
    let opened = lane.apply(&[Change::Gate(Gate::Open)], &[]);
    assert_eq!(opened, Err(ApplyError::Gate));
    let taken = store.acquire(&lane_id(evm()), "one", at(9), at(99)).await;
    assert_eq!(taken.unwrap().unwrap().gate, halted);
}

pub async fn a_person_opens_a_halted_lane<K: Kind>() {
    let place = K::new();
    let store = place.open().await;
    prepare(&store).await;
    let mut lane = Worker::take(&store, evm()).await;
    let (id, officer) = (lane_id(evm()), name("officer"));
    let open = async |now| store.open_lane(&id, &officer, at(now)).await.unwrap();
    // What is not halted is as it was, and nothing is recorded.
    assert_eq!(open(2).await.as_ref(), Some(&lane.view.row));
    let detail = "a spend of nobody's";
    let halted = Gate::Halted {
        detail: detail.into(),
    };
    let compared = Change::Compared { to: 12 };
    lane.commit(vec![compared, Change::Gate(halted)], &[]).await;
    let opened = open(3).await.unwrap();
    assert!(matches!(opened.gate, Gate::Closed { .. }));
    assert_eq!(opened.compared_to, None);
    assert_eq!(store.load(&id).await.unwrap().row, opened);
    // Its worker still believes it to be halted: nothing that rests on that is written, not even a
    // second halt, and the lease cannot be kept.
    let fenced = |result| matches!(result, Err(StoreError::Fenced { lane }) if lane == id);
    let seen = Change::EpochSeen { epoch: 5 };
    assert!(fenced(store.commit(lane.commit_of(vec![seen])).await));
    let lease = lane.view.row.lease;
    assert!(fenced(store.renew(&id, lease, at(2_000)).await));
    // The lease is still its own, and it takes the lane anew; nobody else can before it ends.
    let take = async |owner: &str| store.acquire(&id, owner, at(4), at(99)).await.unwrap();
    assert_eq!(take("two").await, None);
    let taken = take("one").await.unwrap();
    assert!(taken.lease > opened.lease && matches!(taken.gate, Gate::Closed { .. }));
    lane.view = store.load(&id).await.unwrap();
    lane.commit(vec![Change::Gate(Gate::Open)], &[]).await;
    let events = store.events(None, None, 500).await.unwrap();
    let mut recorded = events.iter().filter(|it| it.topic == "lane.opened");
    let body = &recorded.next().unwrap().body;
    assert_eq!(
        (&body["by"], &body["halted"]),
        (&"officer".into(), &detail.into())
    );
    assert!(recorded.next().is_none());
    let unknown = lane_id(utxo());
    let unknown = store.open_lane(&unknown, &officer, at(5)).await;
    assert_eq!(unknown.unwrap(), None);
}

pub async fn a_lease_fences<K: Kind>() {
    let place = K::new();
    let store = place.open().await;
    prepare(&store).await;
    let paid = accepted(&store, evm(), "a", 500).await;
    let lane = Worker::take(&store, evm()).await;
    let lane_id = lane_id(evm());
    let take = async |owner: &str, now| store.acquire(&lane_id, owner, at(now), at(now + 50)).await;
    assert_eq!(take("two", 999).await.unwrap(), None, "it is held");
    store
        .renew(&lane_id, lane.view.row.lease, at(2_000))
        .await
        .unwrap();
    assert_eq!(take("two", 1_000).await.unwrap(), None, "it was prolonged");
    let row = take("two", 2_000).await.unwrap().unwrap();
    assert_eq!(row.lease, lane.view.row.lease + 1);
    assert!(matches!(row.gate, Gate::Closed { .. }));
    let fenced = |result| matches!(result, Err(StoreError::Fenced { lane }) if lane == lane_id);
    assert!(fenced(
        store.renew(&lane_id, row.lease - 1, at(9_000)).await
    ));
    for change in [
        Change::Assign(Box::new(lane.payout_next(&[&paid]))),
        Change::Gate(Gate::Open),
        finally(AttemptNumber(0), 1),
    ] {
        assert!(fenced(store.commit(lane.commit_of(vec![change])).await));
    }
    assert_eq!(store.load(&lane_id).await.unwrap().row, row);
    let own = take("two", 2_001).await.unwrap().unwrap();
    assert_eq!(own.lease, row.lease + 1, "its owner takes it anew");
}

pub async fn the_epoch_rises_once_it_was_seen<K: Kind>() {
    let place = K::new();
    let store = place.open().await;
    prepare(&store).await;
    let mut lane = Worker::take(&store, evm()).await;
    assert_eq!(lane.view.row.epoch, 5, "the signer's and one");
    let take = async |now| {
        let taken = store
            .acquire(&lane_id(evm()), "one", at(now), at(now + 50))
            .await;
        taken.unwrap().unwrap().epoch
    };
    assert_eq!(take(10).await, 5, "the signer has not seen it");
    lane.view = store.load(&lane_id(evm())).await.unwrap();
    lane.commit(vec![Change::EpochSeen { epoch: 4 }], &[]).await;
    assert!(!lane.view.row.epoch_seen, "an older one");
    lane.commit(vec![Change::EpochSeen { epoch: 5 }], &[]).await;
    assert_eq!(take(20).await, 6);
    assert_eq!(take(30).await, 6);
}

pub async fn two_lanes_never_share_a_withdrawal<K: Kind>() {
    let place = K::new();
    let store = place.open().await;
    prepare(&store).await;
    let paid = accepted(&store, utxo(), "a", 500).await;
    let mut hot = Worker::take(&store, utxo()).await;
    let mut cold = Worker::take_other(&store, utxo(), "cold").await;
    hot.read_block(1, vec![coin(1, 1, false)]).await;
    cold.read_block(1, vec![coin(1, 1, false), coin(2, 1, false)])
        .await;
    let one = |lane: &Worker<'_, K::Store>, number| {
        let keys = BTreeSet::from([outpoint_key(&coin(number, 1, false))]);
        Change::Assign(Box::new(lane.payout(keys, &[&paid])))
    };
    hot.commit(vec![one(&hot, 1)], from_ref(&paid)).await;
    // Its queue may be old: the store knows better.
    let twice = store.commit(cold.commit_of(vec![one(&cold, 2)])).await;
    assert!(matches!(twice, Err(StoreError::Conflict { .. })));
    // Nor do two lanes share a coin.
    let other = accepted(&store, utxo(), "b", 500).await;
    let keys: BTreeSet<ConflictKey> = [outpoint_key(&coin(1, 1, false))].into();
    let same = Change::Assign(Box::new(cold.payout(keys, &[&other])));
    let same = store.commit(cold.commit_of(vec![same])).await;
    assert!(matches!(same, Err(StoreError::Conflict { .. })));
    assert_eq!(now(&store, &other).await.stage, Stage::Approved);
}
