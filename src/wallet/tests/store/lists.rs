//! Lists.

use std::slice::from_ref;

use wallet::{
    change::Change,
    store::{Filter, Store},
    withdrawal::{Stage, Withdrawal, WithdrawalNumber},
};

use super::{
    Kind,
    fixture::{Worker, accepted, ann, asked_on, at, bob, endow, evm, lane_id, name, prepare, utxo},
};

async fn some(store: &impl Store) -> Vec<Withdrawal> {
    prepare(store).await;
    endow(store, bob(), 1_000).await;
    let many: Vec<_> = (0..20)
        .map(|number| {
            let chain = if number % 2 == 0 { evm() } else { utxo() };
            let account = if number % 5 == 0 { bob() } else { ann() };
            asked_on(chain, &format!("w-{number}"), account, 10)
        })
        .collect();
    store.accept(many, at(1)).await.unwrap().len();
    store
        .withdrawals(&Filter::default(), None, 100)
        .await
        .unwrap()
}

pub async fn withdrawals_are_listed_by_keyset<K: Kind>() {
    let place = K::new();
    let store = place.open().await;
    let all = some(&store).await;
    assert_eq!(all.len(), 20);
    assert!(all.is_sorted_by_key(|had| had.number));
    let done = store.release(&all[3].intent.id, &name("x"), at(2)).await;
    assert!(done.is_ok());
    let list = async |filter: &Filter, page: u32| {
        let (mut found, mut after) = (Vec::new(), None);
        loop {
            let next = store.withdrawals(filter, after, page).await.unwrap();
            assert!(next.len() <= page as usize);
            let Some(last) = next.last() else {
                return found;
            };
            after = Some(last.number);
            found.extend(next.iter().map(|had| had.number));
        }
    };
    let numbers = |wanted: &dyn Fn(&Withdrawal) -> bool| -> Vec<WithdrawalNumber> {
        let wanted = all.iter().filter(|had| wanted(had));
        wanted.map(|had| had.number).collect()
    };
    assert_eq!(list(&Filter::default(), 7).await, numbers(&|_| true));
    let bobs = Filter {
        account: Some(bob()),
        source: Some(name("shop")),
        stages: vec![Stage::Approved, Stage::Manual],
    };
    assert_eq!(list(&bobs, 3).await, numbers(&|had| had.account == bob()));
    let released = Filter {
        stages: vec![Stage::Released],
        ..Filter::default()
    };
    assert_eq!(list(&released, 3).await, [all[3].number]);
    let strangers = Filter {
        source: Some(name("nobody")),
        ..Filter::default()
    };
    assert_eq!(list(&strangers, 3).await, []);
    let counts = store.counts().await.unwrap();
    assert_eq!(
        counts,
        [
            (Stage::Approved, evm(), 10),
            (Stage::Approved, utxo(), 9),
            (Stage::Released, utxo(), 1),
        ]
    );
    let events = store.events(None, None, 1_000).await.unwrap();
    let middle = events[10].event;
    let after = store.events(None, Some(middle), 5).await.unwrap();
    assert_eq!(after, events[11..16]);
    assert!(
        events
            .windows(2)
            .all(|pair| pair[0].event + 1 == pair[1].event)
    );
}

pub async fn approved_ones_are_found<K: Kind>() {
    let place = K::new();
    let store = place.open().await;
    let all = some(&store).await;
    let of = |chain| -> Vec<Withdrawal> {
        let of = all.iter().filter(|had| had.chain() == chain);
        of.cloned().collect()
    };
    let found = store.approved(utxo(), at(1), None, 100).await.unwrap();
    assert_eq!(found, of(utxo()));
    let found = store.approved(evm(), at(1), Some(found[0].number), 3).await;
    let wanted = of(evm());
    assert_eq!(found.unwrap(), wanted[1..4]);
}

pub async fn attempts_and_requests_are_known<K: Kind>() {
    let place = K::new();
    let store = place.open().await;
    prepare(&store).await;
    let paid = accepted(&store, evm(), "a", 5).await;
    let mut lane = Worker::take(&store, evm()).await;
    assert_eq!(store.attempts(paid.number).await.unwrap(), []);
    let attempt = lane.payout_next(&[&paid]);
    let assign = Change::Assign(Box::new(attempt.clone()));
    lane.commit(vec![assign], from_ref(&paid)).await;
    let attempts = store.attempts(paid.number).await.unwrap();
    assert_eq!(attempts, [(lane_id(evm()), attempt)]);
    let known = store.knows(&lane_id(evm()), &[1, 0, 7, 0]).await.unwrap();
    assert_eq!(known, [false, true, false, true]);
    let known = store.knows(&lane_id(utxo()), &[0]).await.unwrap();
    assert_eq!(known, [false]);
    let lanes = store.lanes().await.unwrap();
    assert_eq!(lanes, [lane.view.row]);
}
