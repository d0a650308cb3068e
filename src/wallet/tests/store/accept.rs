//! Accepting withdrawals.

use std::sync::Arc;

use tx::Amount;
use wallet::{
    ledger::Account,
    store::{Accepted, Store, StoreError},
    withdrawal::{Stage, WaitingReason},
};

use super::{
    Kind,
    fixture::{amount, ann, asked, at, bob, coin_of, endow, evm, id, limits, prepare},
};

pub async fn a_new_withdrawal_is_held_limited_and_approved<K: Kind>() {
    let place = K::new();
    let store = place.open().await;
    prepare(&store).await;
    let asked = asked("a", ann(), 500);
    let answers = store.accept(vec![asked.clone()], at(5)).await.unwrap();
    let [Accepted::New(new)] = answers.as_slice() else {
        panic!("{answers:?}");
    };
    assert_eq!((new.stage, &new.intent), (Stage::Approved, &asked.intent));
    assert_eq!(new.requested_at, at(5));
    assert_eq!(
        store.withdrawal(&id("a")).await.unwrap().as_ref(),
        Some(new)
    );
    assert_eq!(owed(&store, &ann()).await, amount(999_999_500));
    assert_eq!(owed(&store, &ann().held()).await, amount(500));
    let room = store.room(&coin_of(evm()), &ann(), at(5)).await.unwrap();
    let room = room.unwrap();
    assert_eq!(room.total, amount(999_999_500));
    assert_eq!(room.customer, amount(999_999_500));
    let topics = topics(&store, new.number).await;
    let steps = ["requested", "authenticated", "held", "approved"];
    assert_eq!(topics, steps.map(|step| format!("withdrawal.{step}")));
}

pub async fn topics(
    store: &impl Store,
    number: wallet::withdrawal::WithdrawalNumber,
) -> Vec<String> {
    let events = store.events(Some(number), None, 1_000).await.unwrap();
    events.into_iter().map(|event| event.topic).collect()
}

pub async fn owed(store: &impl Store, account: &Account) -> Amount {
    let balances = store.balances(account).await.unwrap();
    let mut balances = balances.into_iter();
    let found = balances.find(|(asset, _)| *asset == coin_of(evm()));
    found.map_or(Amount::ZERO, |(_, balance)| balance.owed().unwrap())
}

pub async fn the_same_again_is_the_same<K: Kind>() {
    let place = K::new();
    let store = place.open().await;
    prepare(&store).await;
    let twice = vec![asked("a", ann(), 500), asked("a", ann(), 500)];
    let answers = store.accept(twice.clone(), at(1)).await.unwrap();
    let [Accepted::New(new), Accepted::Same(same)] = answers.as_slice() else {
        panic!("{answers:?}");
    };
    assert_eq!(new, same);
    drop(store);
    let store = place.open().await;
    let again = store.accept(twice, at(90_000_000)).await.unwrap();
    let same = Accepted::Same(new.clone());
    assert_eq!(again, [same.clone(), same]);
    assert_eq!(owed(&store, &ann().held()).await, amount(500));
}

pub async fn another_content_is_different<K: Kind>() {
    let place = K::new();
    let store = place.open().await;
    prepare(&store).await;
    endow(&store, bob(), 1_000).await;
    let first = store.accept(vec![asked("a", ann(), 500)], at(1)).await;
    let Accepted::New(first) = first.unwrap().remove(0) else {
        panic!("not new");
    };
    for other in [asked("a", ann(), 501), asked("a", bob(), 500)] {
        let answers = store.accept(vec![other], at(1)).await.unwrap();
        assert_eq!(answers, [Accepted::Different(first.clone())]);
    }
    assert_eq!(owed(&store, &ann().held()).await, amount(500));
    assert_eq!(owed(&store, &bob()).await, amount(1_000));
}

pub async fn too_little_is_refused<K: Kind>() {
    let place = K::new();
    let store = place.open().await;
    store
        .set_limits(&limits(5_000, 5_000), at(0))
        .await
        .unwrap();
    endow(&store, ann(), 1_000).await;
    let both = vec![asked("a", ann(), 700), asked("b", ann(), 301)];
    let answers = store.accept(both, at(1)).await.unwrap();
    let available = amount(300);
    assert!(matches!(answers[0], Accepted::New(_)));
    assert_eq!(answers[1], Accepted::InsufficientFunds { available });
    assert_eq!(store.withdrawal(&id("b")).await.unwrap(), None);
    let nobody = store
        .accept(vec![asked("c", bob(), 1)], at(1))
        .await
        .unwrap();
    let available = Amount::ZERO;
    assert_eq!(nobody, [Accepted::InsufficientFunds { available }]);
    let house = Account::Wallet(evm());
    let house = store
        .accept(vec![asked("d", house, 1)], at(1))
        .await
        .unwrap();
    assert_eq!(house, [Accepted::InsufficientFunds { available }]);
}

pub async fn no_limit_denies<K: Kind>() {
    let place = K::new();
    let store = place.open().await;
    endow(&store, ann(), 1_000).await;
    let answers = store
        .accept(vec![asked("a", ann(), 1)], at(1))
        .await
        .unwrap();
    assert_eq!(answers, [Accepted::NoLimit]);
    assert_eq!(
        store.room(&coin_of(evm()), &ann(), at(1)).await.unwrap(),
        None
    );
    assert_eq!(owed(&store, &ann()).await, amount(1_000));
}

pub async fn beyond_a_limit_a_person_decides<K: Kind>() {
    let place = K::new();
    let store = place.open().await;
    store.set_limits(&limits(1_000, 600), at(0)).await.unwrap();
    endow(&store, ann(), 5_000).await;
    endow(&store, bob(), 5_000).await;
    let many = vec![
        asked("a", ann(), 600),
        asked("b", ann(), 1),
        asked("c", bob(), 401),
        asked("d", bob(), 400),
        asked("e", bob(), u64::MAX),
    ];
    let answers = store.accept(many, at(1)).await.unwrap();
    let stages: Vec<_> = answers.iter().take(4).map(stage).collect();
    let (yes, ask) = (Stage::Approved, Stage::Manual);
    assert_eq!(stages, [yes, ask, ask, yes]);
    assert!(matches!(answers[4], Accepted::InsufficientFunds { .. }));
    let manual = store.withdrawal(&id("b")).await.unwrap().unwrap();
    assert_eq!(manual.waiting.unwrap().reason, WaitingReason::Limit);
    // What a person decides on is frozen, and has used nothing of the limit.
    assert_eq!(owed(&store, &ann().held()).await, amount(601));
    let room = store.room(&coin_of(evm()), &bob(), at(1)).await.unwrap();
    assert_eq!(room.unwrap().customer, amount(200));
    assert_eq!(room.unwrap().total, amount(0));
}

fn stage(answer: &Accepted) -> Stage {
    match answer {
        Accepted::New(new) => new.stage,
        other => panic!("{other:?}"),
    }
}

pub async fn a_day_s_limit_is_a_day_s<K: Kind>() {
    let place = K::new();
    let store = place.open().await;
    store
        .set_limits(&limits(1_000, 1_000), at(0))
        .await
        .unwrap();
    endow(&store, ann(), 5_000).await;
    let midnight = 43_200_000;
    for (key, time, wanted) in [
        ("a", midnight - 1, Stage::Approved),
        ("b", midnight - 1, Stage::Manual),
        ("c", midnight, Stage::Approved),
    ] {
        let answers = store.accept(vec![asked(key, ann(), 1_000)], at(time)).await;
        assert_eq!(stage(&answers.unwrap()[0]), wanted, "{key}");
    }
}

pub async fn each_of_many_is_answered_by_itself<K: Kind>() {
    let place = K::new();
    let store = place.open().await;
    prepare(&store).await;
    let many: Vec<_> = (0..300)
        .map(|number| asked(&format!("m-{number}"), ann(), 1 + number % 3))
        .chain([asked("m-0", ann(), 1), asked("m-1", ann(), 9)])
        .collect();
    let answers = store.accept(many, at(1)).await.unwrap();
    let new = |answer: &Accepted| matches!(answer, Accepted::New(_));
    assert!(answers[..300].iter().all(new));
    assert!(matches!(answers[300], Accepted::Same(_)));
    assert!(matches!(answers[301], Accepted::Different(_)));
    assert_eq!(owed(&store, &ann().held()).await, amount(600));
    assert_eq!(store.accept(Vec::new(), at(1)).await.unwrap(), []);
}

pub async fn one_that_fails_harms_no_other<K: Kind>() {
    let place = K::new();
    let store = Arc::new(place.open().await);
    prepare(&*store).await;
    let tasks: Vec<_> = (0..40_u64)
        .map(|number| {
            let store = Arc::clone(&store);
            // A withdrawal of nothing breaks the whole of its own request.
            let units = if number % 4 == 0 { 0 } else { 5 };
            let asked = asked(&format!("u-{number}"), ann(), units);
            tokio::spawn(async move { store.accept(vec![asked], at(1)).await })
        })
        .collect();
    for (number, task) in tasks.into_iter().enumerate() {
        let answer = task.await.unwrap();
        if number % 4 == 0 {
            assert!(
                matches!(answer, Err(StoreError::Conflict { .. })),
                "{number}"
            );
        } else {
            assert!(
                matches!(answer.unwrap()[..], [Accepted::New(_)]),
                "{number}"
            );
        }
    }
    assert_eq!(owed(&*store, &ann().held()).await, amount(150));
}

async fn at_once<S: Store>(store: &Arc<S>, units: u64) -> Vec<Accepted> {
    let tasks: Vec<_> = (0..100_u64)
        .map(|number| {
            let store = Arc::clone(store);
            let asked = asked(&format!("t-{number}"), ann(), units);
            tokio::spawn(async move { store.accept(vec![asked], at(1)).await })
        })
        .collect();
    let mut answers = Vec::new();
    for task in tasks {
        answers.append(&mut task.await.unwrap().unwrap());
    }
    answers
}

pub async fn a_hundred_at_once_never_overdraw<K: Kind>() {
    let place = K::new();
    let store = Arc::new(place.open().await);
    store
        .set_limits(&limits(9_000, 9_000), at(0))
        .await
        .unwrap();
    endow(&*store, ann(), 333).await;
    let answers = at_once(&store, 10).await;
    let new = answers.iter().filter(|had| matches!(had, Accepted::New(_)));
    assert_eq!(new.count(), 33);
    assert_eq!(owed(&*store, &ann()).await, amount(3));
    assert_eq!(owed(&*store, &ann().held()).await, amount(330));
}

pub async fn a_hundred_at_once_never_exceed_a_limit<K: Kind>() {
    let place = K::new();
    let store = Arc::new(place.open().await);
    store.set_limits(&limits(275, 9_000), at(0)).await.unwrap();
    endow(&*store, ann(), 5_000).await;
    let answers = at_once(&store, 10).await;
    let approved = answers.iter().map(stage);
    let approved = approved.filter(|stage| *stage == Stage::Approved);
    assert_eq!(approved.count(), 27);
    let room = store.room(&coin_of(evm()), &ann(), at(1)).await.unwrap();
    assert_eq!(room.unwrap().total, amount(5));
}
