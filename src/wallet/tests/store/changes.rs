//! What every change of a lane does, in the store and in the view alike: `Worker::commit` compares
//! both after each.

use std::slice::from_ref;

use std::collections::BTreeSet;

use tx::{ConflictKey, utxo::Outpoint};
use wallet::{
    attempt::{AttemptNumber, AttemptStage},
    change::{Adopt, BlockRead, Change, Gate, Spend},
    evidence::{DeathCertificate, VoidCertificate},
    ledger::Account,
    store::{Store, StoreError},
    view::ApplyError,
    withdrawal::{Stage, Waiting, WaitingReason, Withdrawal},
};

use super::{
    Kind,
    accept::{owed, topics},
    fixture::{
        Worker, accepted, amount, ann, answer, at, block, coin, dead, evm, finally, id, included,
        inclusion, intent, lane_id, name, outpoint_key, prepare, refused, signed, utxo,
    },
};

/// The withdrawal as the store has it.
pub async fn now(store: &impl Store, withdrawal: &Withdrawal) -> Withdrawal {
    let id = &withdrawal.intent.id;
    store.withdrawal(id).await.unwrap().unwrap()
}

pub async fn a_payout_goes_its_way<K: Kind>() {
    let place = K::new();
    let store = place.open().await;
    prepare(&store).await;
    let paid = accepted(&store, evm(), "a", 500).await;
    let mut lane = Worker::take(&store, evm()).await;
    let attempt = lane.payout_next(&[&paid]);
    let number = attempt.number;
    let assign = Change::Assign(Box::new(attempt.clone()));
    lane.commit(vec![assign], from_ref(&paid)).await;
    assert_eq!(now(&store, &paid).await.stage, Stage::Assigned);
    assert_eq!(lane.view.row.next_nonce, 7, "reserved, not committed");
    lane.commit(vec![signed(&attempt)], &[]).await;
    assert_eq!(lane.view.row.next_nonce, 8);
    assert!(lane.view.row.epoch_seen);
    let sent = |at| Change::Broadcast {
        attempt: number,
        at,
    };
    lane.commit(vec![sent(at(3)), sent(at(4))], &[]).await;
    lane.commit(vec![included(number, 10)], &[]).await;
    let excluded = Change::Excluded { attempt: number };
    lane.commit(vec![excluded], &[]).await;
    assert_eq!(now(&store, &paid).await.stage, Stage::Broadcast);
    lane.commit(vec![included(number, 11)], &[]).await;
    lane.commit(vec![finally(number, 11)], &[]).await;
    assert!(lane.view.attempts.is_empty() && lane.view.withdrawals.is_empty());
    assert_eq!(now(&store, &paid).await.stage, Stage::Final);
    assert_eq!(owed(&store, &ann().held()).await, amount(0));
    let wallet = store.balances(&Account::Wallet(evm())).await.unwrap();
    assert_eq!(wallet[0].1.credits, amount(521), "the payment and its fee");
    let fees = store.balances(&Account::Fees(evm())).await.unwrap();
    assert_eq!(fees[0].1.debits, amount(21));
    let steps = [
        "requested",
        "authenticated",
        "held",
        "approved",
        "assigned",
        "signed",
        "broadcast",
        "included",
        "broadcast",
        "included",
        "final",
    ];
    let steps = steps.map(|step| format!("withdrawal.{step}"));
    assert_eq!(topics(&store, paid.number).await, steps);
}

pub async fn a_failed_payout_is_paid_anew<K: Kind>() {
    let place = K::new();
    let store = place.open().await;
    prepare(&store).await;
    let paid = accepted(&store, evm(), "a", 500).await;
    let mut lane = Worker::take(&store, evm()).await;
    let number = lane.send(lane.payout_next(&[&paid]), from_ref(&paid)).await;
    let failed = Change::Failed {
        attempt: number,
        inclusion: inclusion(number, 10),
        tip: block(20),
    };
    lane.commit(vec![included(number, 10), failed], &[]).await;
    let again = now(&store, &paid).await;
    assert_eq!((again.stage, &again.lane), (Stage::Approved, &None));
    assert_eq!(owed(&store, &ann().held()).await, amount(500), "still held");
    let fees = store.balances(&Account::Fees(evm())).await.unwrap();
    assert_eq!(fees[0].1.debits, amount(21));
    let topics = topics(&store, paid.number).await;
    let last = ["included", "failed-on-chain", "approved"];
    assert!(topics.ends_with(&last.map(|step| format!("withdrawal.{step}"))));
    // The next attempt has another nonce, and settles the hold.
    let attempt = lane.payout_next(&[&again]);
    assert!(attempt.keys.contains(&lane.nonce(8)));
    let number = lane.send(attempt, &[again]).await;
    lane.commit(vec![finally(number, 30)], &[]).await;
    assert_eq!(owed(&store, &ann().held()).await, amount(0));
}

pub async fn a_replacement_s_rival_dies<K: Kind>() {
    let place = K::new();
    let store = place.open().await;
    prepare(&store).await;
    let paid = accepted(&store, evm(), "a", 500).await;
    let mut lane = Worker::take(&store, evm()).await;
    let first = lane.payout_next(&[&paid]);
    let anchor = first.anchor.clone();
    let first = lane.send(first, from_ref(&paid)).await;
    let keys = BTreeSet::from([anchor.clone()]);
    let second = lane.attempt((first, anchor.clone()), keys, &[&paid]);
    let second = lane.send(second, &[]).await;
    let both = lane.apply(&[included(first, 9), included(second, 9)], &[]);
    assert!(matches!(both, Err(ApplyError::AttemptStep { .. })));
    lane.commit(vec![finally(second, 10)], &[]).await;
    assert_eq!(now(&store, &paid).await.stage, Stage::Final);
    let attempts = store.attempts(paid.number).await.unwrap();
    let death = AttemptStage::Dead(DeathCertificate::Conflict {
        key: anchor,
        winner: inclusion(second, 10),
        tip: block(20),
    });
    assert_eq!(attempts[0].1.stage, death);
    assert_eq!(
        attempts[0].1.signed.as_ref().unwrap().attempt,
        100 + first.0
    );
    assert_eq!(attempts[1].1.stage.name(), "final");
    let late = vec![finally(first, 10)];
    let late = store.commit(lane.commit_of(late)).await;
    assert!(matches!(late, Err(StoreError::Conflict { .. })));
}

pub async fn a_cancellation_frees_its_set<K: Kind>() {
    let place = K::new();
    let store = place.open().await;
    prepare(&store).await;
    let paid = accepted(&store, evm(), "a", 500).await;
    let mut lane = Worker::take(&store, evm()).await;
    // The signer's answer to the first is not known: a cancellation fills the nonce beside it.
    let first = lane.payout_next(&[&paid]);
    let (doubtful, anchor) = (first.number, first.anchor.clone());
    let assign = Change::Assign(Box::new(first));
    lane.commit(vec![assign], from_ref(&paid)).await;
    let keys = BTreeSet::from([anchor.clone()]);
    let cancel = lane.attempt((doubtful, anchor.clone()), keys.clone(), &[]);
    let cancel = lane.send(cancel, &[]).await;
    assert_eq!(lane.view.row.next_nonce, 8);
    let displaced = Change::Void {
        attempt: doubtful,
        certificate: VoidCertificate::Displaced { attempt: 101 },
    };
    lane.commit(vec![displaced], &[]).await;
    assert_eq!(now(&store, &paid).await.stage, Stage::Assigned, "not yet");
    lane.commit(vec![included(cancel, 10)], &[]).await;
    lane.commit(vec![finally(cancel, 10)], &[]).await;
    assert_eq!(now(&store, &paid).await.stage, Stage::Approved);
    assert_eq!(owed(&store, &ann().held()).await, amount(500));
    assert!(lane.view.attempts.is_empty());
}

pub async fn an_unsigned_attempt_is_voided<K: Kind>() {
    let place = K::new();
    let store = place.open().await;
    prepare(&store).await;
    let paid = accepted(&store, evm(), "a", 500).await;
    let other = accepted(&store, evm(), "b", 500).await;
    let mut lane = Worker::take(&store, evm()).await;
    let attempt = lane.payout_next(&[&paid]);
    let assign = Change::Assign(Box::new(attempt.clone()));
    lane.commit(vec![assign], from_ref(&paid)).await;
    let second = Change::Assign(Box::new(lane.payout_next(&[&other])));
    let unsigned = lane.apply(from_ref(&second), from_ref(&other));
    let attempt = attempt.number;
    assert_eq!(unsigned, Err(ApplyError::Unsigned { attempt }));
    let refusal = store.commit(lane.commit_of(vec![second])).await;
    assert!(matches!(refusal, Err(StoreError::Conflict { .. })));
    let waiting = Waiting {
        reason: WaitingReason::SignerNeeds,
        detail: "two people".into(),
        reasons: Vec::new(),
        needs: Vec::new(),
        since: at(2),
    };
    let wait = Change::Wait {
        withdrawals: vec![paid.number],
        waiting: Some(waiting.clone()),
        not_before: at(5_000),
    };
    lane.commit(vec![refused(attempt), wait], &[]).await;
    let freed = now(&store, &paid).await;
    assert_eq!((freed.stage, freed.lane), (Stage::Approved, None));
    assert_eq!(
        (freed.waiting, freed.not_before),
        (Some(waiting), at(5_000))
    );
    // The same nonce is free for another, in one commit with the next refusal.
    let next = lane.payout_next(&[&other]);
    assert!(next.keys.contains(&lane.nonce(7)));
    let number = next.number;
    lane.commit(vec![Change::Assign(Box::new(next))], from_ref(&other))
        .await;
    let after = lane.payout_next(&[&other]);
    let both = vec![refused(number), Change::Assign(Box::new(after))];
    lane.commit(both, &[]).await;
    assert_eq!(now(&store, &other).await.stage, Stage::Assigned);
}

pub async fn a_dead_set_frees_its_withdrawals<K: Kind>() {
    let place = K::new();
    let store = place.open().await;
    prepare(&store).await;
    let a = accepted(&store, utxo(), "a", 500).await;
    let b = accepted(&store, utxo(), "b", 500).await;
    let queued = [a.clone(), b.clone()];
    let mut lane = Worker::take(&store, utxo()).await;
    lane.read_block(
        100,
        vec![coin(1, 100, false), coin(2, 100, false), coin(3, 100, true)],
    )
    .await;
    let free = |lane: &Worker<'_, K::Store>| lane.view.spendable_coins().count();
    assert_eq!(free(&lane), 2, "the mined one is not ripe");
    let keys: BTreeSet<_> = [1, 2]
        .map(|number| outpoint_key(&coin(number, 100, false)))
        .into();
    let batch = lane.payout(keys.clone(), &[&a, &b]);
    let anchor = batch.anchor.clone();
    let first = lane.send(batch, &queued).await;
    assert_eq!(free(&lane), 0);
    let taken = lane.payout(keys.clone(), &[&a]);
    let taken = lane.apply(&[Change::Assign(Box::new(taken))], &queued);
    assert!(taken.is_err());
    // A member may be dropped from a replacement; it stays in the set.
    let second = lane.attempt((first, anchor.clone()), keys, &[&a]);
    let second = lane.send(second, &[]).await;
    lane.commit(vec![dead(first, anchor.clone())], &[]).await;
    assert_eq!(now(&store, &b).await.stage, Stage::Broadcast);
    let other = outpoint_key(&coin(3, 100, true));
    let misfit = lane.apply(&[dead(second, other)], &[]);
    assert_eq!(misfit, Err(ApplyError::Certificate { attempt: second }));
    lane.commit(vec![dead(second, anchor)], &[]).await;
    for withdrawal in [&a, &b] {
        assert_eq!(now(&store, withdrawal).await.stage, Stage::Approved);
    }
    assert_eq!(free(&lane), 2);
    let both = store
        .withdrawals(&Default::default(), None, 10)
        .await
        .unwrap();
    let fresh = lane.payout(
        BTreeSet::from([outpoint_key(&coin(2, 100, false))]),
        &[&both[1]],
    );
    let number = lane.send(fresh, &both).await;
    lane.commit(vec![finally(number, 101)], &[]).await;
    assert_eq!(now(&store, &b).await.stage, Stage::Final);
}

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
