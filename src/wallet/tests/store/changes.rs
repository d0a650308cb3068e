//! What changes of a lane do, in the store and in the view alike: `Worker::commit` compares both
//! after each.

use std::{collections::BTreeSet, slice::from_ref};

use tx::utxo::Outpoint;
use wallet::{
    attempt::{AttemptNumber, AttemptStage},
    change::{Adopt, BlockRead, Change, Spend},
    ledger::Account,
    store::{Store, StoreError},
    view::ApplyError,
    withdrawal::Stage,
};

use super::{
    Kind,
    accept::owed,
    fixture::{
        Worker, accepted, amount, ann, answer, at, block, coin, dead, evm, finally, id, included,
        intent, lane_id, outpoint_key, prepare, signed, utxo,
    },
    payouts::now,
};

pub async fn a_commit_is_all_or_nothing<K: Kind>() {
    let place = K::new();
    let store = place.open().await;
    prepare(&store).await;
    let paid = accepted(&store, evm(), "a", 500).await;
    let lane = Worker::take(&store, evm()).await;
    let attempt = lane.payout_next(&[&paid]);
    let number = attempt.number;
    let before = (
        lane.view.clone(),
        store.events(None, None, 1_000).await.unwrap(),
    );
    let changes = vec![
        Change::Compared { to: 9 },
        Change::Assign(Box::new(attempt)),
        included(number, 3),
    ];
    assert!(lane.apply(&changes, from_ref(&paid)).is_err());
    let failed = store.commit(lane.commit_of(changes)).await;
    assert!(matches!(failed, Err(StoreError::Conflict { .. })));
    let loaded = store.load(&lane_id(evm())).await.unwrap();
    let after = (loaded, store.events(None, None, 1_000).await.unwrap());
    assert_eq!(after, before);
    assert_eq!(now(&store, &paid).await, paid);
}

pub async fn adopted_attempts_are_followed<K: Kind>() {
    let place = K::new();
    let store = place.open().await;
    prepare(&store).await;
    let paid = accepted(&store, evm(), "a", 500).await;
    let mut lane = Worker::take(&store, evm()).await;
    // Two numbers further on, by a later epoch: what the store has forgotten.
    lane.view.row.next_attempt = AttemptNumber(2);
    let mut attempt = lane.payout(BTreeSet::from([lane.nonce(9)]), &[&paid]);
    let mut request = (*attempt.request).clone();
    request.lane_epoch = 6;
    attempt.request = request.into();
    attempt.signed = Some(answer(&attempt));
    attempt.pays.clear();
    let adopt = Change::Adopt(Box::new(Adopt {
        attempt: attempt.clone(),
        intents: vec![paid.intent.clone()],
    }));
    let unnumbered = lane.apply(from_ref(&adopt), &[]);
    let number = attempt.number;
    assert_eq!(unnumbered, Err(ApplyError::Unnumbered { attempt: number }));
    store
        .commit(lane.commit_of(vec![adopt.clone()]))
        .await
        .unwrap();
    let again = store.commit(lane.commit_of(vec![adopt])).await;
    assert!(matches!(again, Err(StoreError::Conflict { .. })), "once");
    lane.view = store.load(&lane_id(evm())).await.unwrap();
    let row = &lane.view.row;
    assert_eq!((row.next_nonce, row.next_attempt), (10, AttemptNumber(3)));
    assert_eq!((row.epoch, row.epoch_seen), (6, true));
    let adopted = &lane.view.attempts[&number];
    assert_eq!(adopted.pays, [paid.number]);
    assert_eq!(adopted.stage, AttemptStage::Signed);
    assert_eq!(now(&store, &paid).await.stage, Stage::Signed);
    assert_eq!(
        store.knows(&lane_id(evm()), &[1, 2]).await.unwrap(),
        [false, true]
    );
    lane.commit(vec![finally(number, 9)], &[]).await;
    assert_eq!(owed(&store, &ann().held()).await, amount(0));
}

pub async fn adopted_strangers_go_to_suspense<K: Kind>() {
    let place = K::new();
    let store = place.open().await;
    prepare(&store).await;
    let mut lane = Worker::take(&store, evm()).await;
    let stranger = intent("lost", evm(), 77);
    let mut attempt = lane.payout(BTreeSet::from([lane.nonce(7)]), &[]);
    attempt.purpose = wallet::attempt::Purpose::Recovered;
    let number = attempt.number;
    let adopt = Change::Adopt(Box::new(Adopt {
        attempt: attempt.clone(),
        intents: vec![stranger.clone()],
    }));
    store.commit(lane.commit_of(vec![adopt])).await.unwrap();
    lane.view = store.load(&lane_id(evm())).await.unwrap();
    let found = store.withdrawal(&id("lost")).await.unwrap().unwrap();
    assert_eq!(
        (found.stage, &found.account),
        (Stage::Assigned, &Account::Suspense)
    );
    assert_eq!(
        (found.client.as_str(), &found.intent),
        ("recovered", &stranger)
    );
    lane.commit(vec![signed(&attempt)], &[]).await;
    assert_eq!(lane.view.row.next_nonce, 8);
    lane.commit(vec![included(number, 9), finally(number, 9)], &[])
        .await;
    let suspense = store.balances(&Account::Suspense).await.unwrap();
    assert_eq!(suspense[0].1.debits, amount(77));
}

/// Coins 1 and 2 are spent by a set, and coin 2 alone by an adopted attempt: it does not consume the
/// set's anchor, so it is a set of its own, and holds nothing while the first is live.
pub async fn adopted_attempts_over_what_others_hold_are_not_forgotten<K: Kind>() {
    let place = K::new();
    let store = place.open().await;
    prepare(&store).await;
    let paid = accepted(&store, utxo(), "a", 500).await;
    let mut lane = Worker::take(&store, utxo()).await;
    lane.read_block(100, vec![coin(1, 100, false), coin(2, 100, false)])
        .await;
    let both: BTreeSet<_> = [coin(1, 100, false), coin(2, 100, false)]
        .iter()
        .map(outpoint_key)
        .collect();
    let second = both.last().unwrap().clone();
    let first = lane.payout(both, &[&paid]);
    let first = lane.send(first, from_ref(&paid)).await;
    let mut overlapping = lane.payout(BTreeSet::from([second]), &[]);
    overlapping.signed = Some(answer(&overlapping));
    let number = overlapping.number;
    let adopt = Change::Adopt(Box::new(Adopt {
        attempt: overlapping,
        intents: Vec::new(),
    }));
    store.commit(lane.commit_of(vec![adopt])).await.unwrap();
    lane.view = store.load(&lane_id(utxo())).await.unwrap();
    let known: Vec<_> = lane.view.attempts.keys().copied().collect();
    assert_eq!(known, [first, number], "of both sets");
    // What is loaded stays what is applied, until each of the two is over.
    lane.commit(vec![included(first, 101), finally(first, 101)], &[])
        .await;
    assert_eq!(lane.view.attempts.keys().collect::<Vec<_>>(), [&number]);
    let key = lane.view.attempts[&number].anchor.clone();
    let sent = Change::Broadcast {
        attempt: number,
        at: at(9),
    };
    lane.commit(vec![sent, dead(number, key)], &[]).await;
    assert!(lane.view.attempts.is_empty());
}

pub async fn blocks_come_and_go<K: Kind>() {
    let place = K::new();
    let store = place.open().await;
    prepare(&store).await;
    let mut lane = Worker::take(&store, utxo()).await;
    lane.read_block(100, vec![coin(1, 100, false), coin(2, 100, false)])
        .await;
    lane.read_block(101, vec![coin(3, 101, false)]).await;
    let spend = |number: u8| Spend {
        outpoint: coin(number, 0, false).outpoint,
        txid: "ab".repeat(32),
    };
    lane.read(102, vec![coin(4, 102, false)], vec![spend(1), spend(4)])
        .await;
    let held = |lane: &Worker<'_, K::Store>| -> (Vec<Outpoint>, Vec<Outpoint>) {
        let view = &lane.view;
        (
            view.coins.keys().copied().collect(),
            view.spent.keys().copied().collect(),
        )
    };
    let [c1, c2, c3, c4] = [1, 2, 3, 4].map(|number| coin(number, 0, false).outpoint);
    assert_eq!(held(&lane), (vec![c2, c3], vec![c1, c4]));
    // Only what follows, only what is there.
    let next = |previous: u64, height, spent| {
        let read = BlockRead {
            block: block(height),
            previous: block(previous).hash,
            made: Vec::new(),
            spent,
        };
        Change::Block(Box::new(read))
    };
    for change in [
        next(101, 103, vec![]),
        next(102, 104, vec![]),
        next(102, 103, vec![spend(1)]),
        Change::Rewind { to: block(99) },
    ] {
        assert!(lane.apply(from_ref(&change), &[]).is_err());
        let refusal = store.commit(lane.commit_of(vec![change])).await;
        assert!(matches!(refusal, Err(StoreError::Conflict { .. })));
    }
    lane.commit(vec![Change::Rewind { to: block(100) }], &[])
        .await;
    assert_eq!(held(&lane), (vec![c1, c2], vec![]));
    assert_eq!(lane.view.tip(), Some(&block(100)));
    lane.read(101, Vec::new(), vec![spend(2)]).await;
    for height in 102..=301 {
        lane.read_block(height, Vec::new()).await;
    }
    assert_eq!(held(&lane), (vec![c1], vec![]), "what is deep is forgotten");
    assert_eq!(lane.view.blocks.len(), wallet::view::BLOCKS_KEPT);
}

pub async fn what_was_committed_is_there_after_a_crash<K: Kind>() {
    let place = K::new();
    let store = place.open().await;
    prepare(&store).await;
    let paid = accepted(&store, evm(), "a", 500).await;
    let mut lane = Worker::take(&store, evm()).await;
    lane.send(lane.payout_next(&[&paid]), from_ref(&paid)).await;
    let (view, events) = (
        lane.view.clone(),
        store.events(None, None, 100).await.unwrap(),
    );
    drop(store);
    let store = place.open().await;
    assert_eq!(store.load(&lane_id(evm())).await.unwrap(), view);
    assert_eq!(store.events(None, None, 100).await.unwrap(), events);
    // And it goes on under the same lease.
    let mut lane = Worker {
        store: &store,
        view,
        now: 50,
    };
    lane.commit(vec![finally(AttemptNumber(0), 3)], &[]).await;
}
