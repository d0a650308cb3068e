//! What people decide and book.

use std::slice::from_ref;

use wallet::{
    change::Change,
    ledger::Account,
    store::{Credit, Decided, Store, StoreError},
    withdrawal::{Stage, Waiting, WaitingReason},
};

use super::{
    Kind,
    accept::{owed, topics},
    fixture::{
        Worker, accepted, amount, ann, asked, at, bob, coin_of, endow, evm, id, limits, name,
        prepare, refused,
    },
    payouts::now,
};

pub async fn a_person_approves_once<K: Kind>() {
    let place = K::new();
    let store = place.open().await;
    store.set_limits(&limits(100, 100), at(0)).await.unwrap();
    endow(&store, ann(), 5_000).await;
    let manual = accepted(&store, evm(), "a", 500).await;
    assert_eq!(manual.stage, Stage::Manual);
    for _ in 0..2 {
        let done = store.approve(&id("a"), &name("eve"), at(2)).await.unwrap();
        let Decided::Done(done) = done else {
            panic!("{done:?}");
        };
        assert_eq!((done.stage, &done.waiting), (Stage::Approved, &None));
        assert_eq!(now(&store, &manual).await, done);
    }
    assert_eq!(topics(&store, manual.number).await.len(), 5);
    // It counts: nothing is left for others.
    let room = store.room(&coin_of(evm()), &ann(), at(2)).await.unwrap();
    assert_eq!(room.unwrap().total, amount(0));
    assert_eq!(accepted(&store, evm(), "b", 1).await.stage, Stage::Manual);
    let nothing = store.approve(&id("z"), &name("eve"), at(2)).await;
    assert_eq!(nothing.unwrap(), Decided::Unknown);
    // Without a limit nothing of the asset leaves, by nobody's word.
    store.set_limits(&[], at(3)).await.unwrap();
    let denied = store.approve(&id("b"), &name("eve"), at(3)).await.unwrap();
    assert!(matches!(denied, Decided::NotNow(_)));
}

pub async fn a_release_gives_everything_back_once<K: Kind>() {
    let place = K::new();
    let store = place.open().await;
    store
        .set_limits(&limits(1_000, 1_000), at(0))
        .await
        .unwrap();
    endow(&store, ann(), 5_000).await;
    let approved = accepted(&store, evm(), "a", 900).await;
    let manual = accepted(&store, evm(), "b", 200).await;
    assert_eq!(manual.stage, Stage::Manual);
    assert_eq!(owed(&store, &ann()).await, amount(3_900));
    for _ in 0..2 {
        for key in ["a", "b"] {
            // On another day: the room is of the day on which it was used.
            let later = at(90_000_000);
            let done = store.release(&id(key), &name("ann"), later).await.unwrap();
            assert!(matches!(done, Decided::Done(done) if done.stage == Stage::Released));
        }
        assert_eq!(owed(&store, &ann()).await, amount(5_000));
        assert_eq!(owed(&store, &ann().held()).await, amount(0));
        let room = store.room(&coin_of(evm()), &ann(), at(1)).await.unwrap();
        assert_eq!(room.unwrap().total, amount(1_000));
    }
    assert_eq!(topics(&store, approved.number).await.len(), 5);
    let over = store.approve(&id("b"), &name("eve"), at(5)).await.unwrap();
    assert!(matches!(over, Decided::NotNow(_)));
    let nothing = store.release(&id("z"), &name("ann"), at(5)).await;
    assert_eq!(nothing.unwrap(), Decided::Unknown);
}

pub async fn what_an_attempt_was_made_for_is_not_released<K: Kind>() {
    let place = K::new();
    let store = place.open().await;
    prepare(&store).await;
    let paid = accepted(&store, evm(), "a", 500).await;
    let mut lane = Worker::take(&store, evm()).await;
    let attempt = lane.payout_next(&[&paid]);
    let assign = Change::Assign(Box::new(attempt));
    lane.commit(vec![assign], from_ref(&paid)).await;
    let late = store.release(&id("a"), &name("ann"), at(5)).await.unwrap();
    assert!(matches!(late, Decided::NotNow(had) if had.stage == Stage::Assigned));
    assert_eq!(owed(&store, &ann().held()).await, amount(500));
}

pub async fn what_is_certified_void_is_released<K: Kind>() {
    let place = K::new();
    let store = place.open().await;
    prepare(&store).await;
    let paid = accepted(&store, evm(), "a", 500).await;
    let mut lane = Worker::take(&store, evm()).await;
    let attempt = lane.payout_next(&[&paid]);
    let number = attempt.number;
    let assign = Change::Assign(Box::new(attempt.clone()));
    lane.commit(vec![assign], from_ref(&paid)).await;
    lane.commit(vec![refused(number)], &[]).await;
    let done = store.release(&id("a"), &name("ann"), at(5)).await.unwrap();
    assert!(matches!(done, Decided::Done(_)));
    assert_eq!(owed(&store, &ann()).await, amount(1_000_000_000));
    // The lane had it in its queue still: the store refuses to pay it.
    let again = Change::Assign(Box::new(lane.payout_next(&[&paid])));
    let again = store.commit(lane.commit_of(vec![again])).await;
    assert!(matches!(again, Err(StoreError::Conflict { .. })));
}

pub async fn a_deposit_is_booked_once<K: Kind>() {
    let place = K::new();
    let store = place.open().await;
    let credit = Credit {
        id: "d-1".parse().unwrap(),
        client: name("ops"),
        account: ann(),
        asset: coin_of(evm()),
        amount: amount(70),
        memo: "seen on the chain".into(),
    };
    assert!(store.credit(&credit, at(1)).await.unwrap());
    assert!(!store.credit(&credit, at(2)).await.unwrap());
    assert_eq!(owed(&store, &ann()).await, amount(70));
    let change = |change: fn(&mut Credit)| {
        let mut other = credit.clone();
        change(&mut other);
        other
    };
    for other in [
        change(|other| other.amount = amount(71)),
        change(|other| other.account = bob()),
        change(|other| other.id = "d-2".parse().unwrap()),
    ] {
        let other = Credit {
            amount: if other.id == credit.id {
                other.amount
            } else {
                amount(0)
            },
            ..other
        };
        let refusal = store.credit(&other, at(3)).await;
        assert!(matches!(refusal, Err(StoreError::Conflict { .. })));
    }
    let house = Credit {
        id: "d-3".parse().unwrap(),
        account: Account::Suspense,
        ..credit
    };
    assert!(store.credit(&house, at(3)).await.is_err());
    assert_eq!(owed(&store, &ann()).await, amount(70));
}

pub async fn limits_are_replaced_and_what_was_used_stays<K: Kind>() {
    let place = K::new();
    let store = place.open().await;
    store
        .set_limits(&limits(1_000, 1_000), at(0))
        .await
        .unwrap();
    endow(&store, ann(), 5_000).await;
    accepted(&store, evm(), "a", 600).await;
    let events = store.events(None, None, 100).await.unwrap().len();
    store
        .set_limits(&limits(1_000, 1_000), at(1))
        .await
        .unwrap();
    let same = store.events(None, None, 100).await.unwrap().len();
    assert_eq!(same, events, "nothing new");
    store.set_limits(&limits(800, 700), at(1)).await.unwrap();
    let room = store.room(&coin_of(evm()), &ann(), at(1)).await.unwrap();
    assert_eq!(room.unwrap().total, amount(200));
    assert_eq!(room.unwrap().customer, amount(100));
    assert_eq!(accepted(&store, evm(), "b", 101).await.stage, Stage::Manual);
    store
        .set_limits(&limits(800, 700)[1..], at(2))
        .await
        .unwrap();
    let denied = store.accept(vec![asked("c", ann(), 1)], at(2)).await;
    assert_eq!(denied.unwrap(), [wallet::store::Accepted::NoLimit]);
}

pub async fn waiting_is_said_and_is_waited_for<K: Kind>() {
    let place = K::new();
    let store = place.open().await;
    prepare(&store).await;
    let paid = accepted(&store, evm(), "a", 500).await;
    let waiting = |detail: &str| Waiting {
        reason: WaitingReason::Fee,
        detail: detail.into(),
        reasons: Vec::new(),
        needs: Vec::new(),
        since: at(1),
    };
    let say = async |waiting: Option<&Waiting>, until| {
        let said = store.wait(&[paid.number], waiting, at(until), at(2)).await;
        said.unwrap();
        now(&store, &paid).await
    };
    let dear = waiting("too dear");
    let said = say(Some(&dear), 100).await;
    assert_eq!(
        (said.waiting, said.not_before),
        (Some(dear.clone()), at(100))
    );
    say(Some(&dear), 200).await;
    say(Some(&waiting("dearer")), 300).await;
    let topics = topics(&store, paid.number).await;
    let said = topics.iter().filter(|topic| *topic == "withdrawal.waiting");
    assert_eq!(said.count(), 2, "only what is new is told");
    let after = store.approved(evm(), at(299), None, 9).await.unwrap();
    assert_eq!(after, []);
    let after = store.approved(evm(), at(300), None, 9).await.unwrap();
    assert_eq!(after.len(), 1);
    assert_eq!(say(None, 0).await.waiting, None);
    // One that goes on by now is let be.
    let done = store.release(&id("a"), &name("ann"), at(3)).await;
    assert!(matches!(done, Ok(Decided::Done(_))));
    let released = now(&store, &paid).await;
    assert_eq!(say(Some(&dear), 9).await, released);
}
