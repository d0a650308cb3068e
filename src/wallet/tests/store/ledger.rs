//! The books after many things happened at once.

use std::slice::from_ref;

use std::{collections::BTreeMap, sync::Arc};

use tx::{Amount, Asset};
use wallet::{
    ledger::{Account, Balance},
    store::{Filter, Store},
    withdrawal::Stage,
};

use super::{
    Kind,
    fixture::{Worker, ann, asked, at, bob, endow, evm, finally, included, limits, name, utxo},
};

/// Every account's balances.
pub async fn books(store: &impl Store) -> Vec<(Account, Asset, Balance)> {
    let mut books = Vec::new();
    for account in [ann(), bob(), ann().held(), bob().held(), Account::Suspense]
        .into_iter()
        .chain(
            [evm(), utxo()]
                .into_iter()
                .flat_map(|chain| [Account::Wallet(chain), Account::Fees(chain)]),
        )
    {
        for (asset, balance) in store.balances(&account).await.unwrap() {
            books.push((account.clone(), asset, balance));
        }
    }
    books
}

/// Debits equal credits in each asset, and no customer owes.
pub async fn check(store: &impl Store) {
    let mut sums: BTreeMap<Asset, (Amount, Amount)> = BTreeMap::new();
    for (account, asset, balance) in books(store).await {
        if account.is_liability() {
            assert!(balance.owed().is_some(), "{account}");
        }
        let sum = sums.entry(asset).or_insert((Amount::ZERO, Amount::ZERO));
        sum.0 = sum.0.checked_add(balance.debits).unwrap();
        sum.1 = sum.1.checked_add(balance.credits).unwrap();
    }
    for (asset, (debits, credits)) in sums {
        assert_eq!(debits, credits, "{asset}");
    }
    counts_are_right(store).await;
}

/// What is counted is what is there.
async fn counts_are_right(store: &impl Store) {
    let mut counts = BTreeMap::new();
    let mut after = None;
    loop {
        let page = store.withdrawals(&Filter::default(), after, 500).await;
        let page = page.unwrap();
        let Some(last) = page.last() else { break };
        after = Some(last.number);
        for had in &page {
            let chain = had.chain();
            let count = counts
                .entry((had.stage, chain.to_string()))
                .or_insert((chain, 0));
            count.1 += 1;
        }
    }
    let counts: Vec<_> = counts
        .into_iter()
        .map(|((stage, _), (chain, count))| (stage, chain, count))
        .collect();
    assert_eq!(store.counts().await.unwrap(), counts);
}

pub async fn books_balance<K: Kind>() {
    let place = K::new();
    let store = Arc::new(place.open().await);
    store.set_limits(&limits(2_000, 900), at(0)).await.unwrap();
    endow(&*store, ann(), 1_500).await;
    endow(&*store, bob(), 1_500).await;
    let tasks: Vec<_> = (0..60_u64)
        .map(|number| {
            let store = Arc::clone(&store);
            tokio::spawn(async move {
                let account = if number % 2 == 0 { ann() } else { bob() };
                let asked = asked(&format!("k-{number}"), account, 10 + number);
                let id = asked.intent.id.clone();
                let accepted = store.accept(vec![asked], at(1)).await.unwrap();
                drop(accepted);
                match number % 3 {
                    0 => drop(store.release(&id, &name("x"), at(2)).await.unwrap()),
                    1 => drop(store.approve(&id, &name("x"), at(2)).await.unwrap()),
                    _ => {}
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    check(&*store).await;
    let mut lane = Worker::take(&*store, evm()).await;
    let queued = store.approved(evm(), at(9), None, 100).await.unwrap();
    assert!(queued.len() > 10);
    for paid in queued {
        let number = lane.send(lane.payout_next(&[&paid]), from_ref(&paid)).await;
        lane.commit(vec![finally(number, 8)], &[]).await;
    }
    check(&*store).await;
    // What is held now is what waits for a person.
    let manual = Filter {
        stages: vec![Stage::Manual],
        ..Filter::default()
    };
    let mut frozen = Amount::ZERO;
    for waits in store.withdrawals(&manual, None, 100).await.unwrap() {
        frozen = frozen.checked_add(waits.amount()).unwrap();
    }
    let mut held = Amount::ZERO;
    for (account, _, balance) in books(&*store).await {
        if matches!(account, Account::Held(_)) {
            held = held.checked_add(balance.owed().unwrap()).unwrap();
        }
    }
    assert_eq!(held, frozen);
}

pub async fn every_step_is_recorded_once<K: Kind>() {
    let place = K::new();
    let store = place.open().await;
    super::fixture::prepare(&store).await;
    let paid = super::fixture::accepted(&store, evm(), "a", 5).await;
    let mut lane = Worker::take(&store, evm()).await;
    let number = lane.send(lane.payout_next(&[&paid]), from_ref(&paid)).await;
    // A commit that fails, and one made twice, record nothing.
    let wrong = store.commit(lane.commit_of(vec![
        included(number, 3),
        included(number, 3),
        super::fixture::refused(number),
    ]));
    assert!(wrong.await.is_err());
    lane.commit(vec![included(number, 3)], &[]).await;
    lane.commit(vec![finally(number, 3)], &[]).await;
    let again = store.commit(lane.commit_of(vec![finally(number, 3)])).await;
    assert!(again.is_err());
    let events = store.events(Some(paid.number), None, 100).await.unwrap();
    let mut stage = Stage::Requested;
    assert_eq!(events[0].topic, "withdrawal.requested");
    for event in &events[1..] {
        let name = event.topic.strip_prefix("withdrawal.").unwrap();
        let next = Stage::ALL.into_iter().find(|stage| stage.name() == name);
        assert!(stage.may_become(next.unwrap()), "{stage:?} {name}");
        stage = next.unwrap();
    }
    assert_eq!(stage, Stage::Final);
    let last = events.last().unwrap();
    assert_eq!(last.body["txid"], format!("{:064x}", number.0));
    assert_eq!(last.body["block"]["height"], 3);
}
