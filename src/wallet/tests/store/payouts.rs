//! What becomes of payouts, in the store and in the view alike: `Worker::commit` compares both after
//! each change.

use std::{collections::BTreeSet, slice::from_ref};

use wallet::{
    attempt::AttemptStage,
    change::Change,
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
        Worker, accepted, amount, ann, at, block, coin, dead, evm, finally, included, inclusion,
        outpoint_key, prepare, refused, signed, utxo,
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
