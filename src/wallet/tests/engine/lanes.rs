//! Leases, commits, and what a stop waits for.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use api::signing::{SignAnswer, SignRequest};
use tx::Time;
use wallet::{
    attempt::AttemptNumber,
    change::{Change, Gate},
    engine::LaneState,
    lane::{Effect, Event, LaneView},
    store::{NewLane, Store},
};

use super::{
    memory::{Fault, Memory},
    scripted::{Bench, chain, lane, signer},
};

/// A commit that any view takes.
fn open() -> Effect<()> {
    Effect::Commit(vec![Change::Gate(Gate::Open)])
}

/// A commit at the start and one after each.
fn busy(event: &Event<()>, _: &LaneView) -> Vec<Effect<()>> {
    match event {
        Event::Started | Event::Committed(_) | Event::CommitFailed => vec![open()],
        _ => Vec::new(),
    }
}

/// A commit at the start.
fn once(event: &Event<()>, _: &LaneView) -> Vec<Effect<()>> {
    match event {
        Event::Started | Event::CommitFailed => vec![open()],
        _ => Vec::new(),
    }
}

fn is_committed(event: &Event<()>) -> bool {
    matches!(event, Event::Committed(_))
}

fn is_started(event: &Event<()>) -> bool {
    matches!(event, Event::Started)
}

fn request() -> Arc<SignRequest> {
    Arc::new(SignRequest {
        request_id: lane(0).request_id(AttemptNumber(0)),
        lane_epoch: 5,
        intents: Vec::new(),
        replaces: Vec::new(),
        transaction: tx::Transaction::Eip2718 {
            chain: chain(),
            from: super::scripted::ADDRESSES[0].into(),
            payload: "0x02c0".into(),
        },
        proofs: Vec::new(),
    })
}

fn answer() -> Arc<SignAnswer> {
    Arc::new(SignAnswer {
        request_id: request().request_id.clone(),
        attempt: 1,
        transaction: tx::SignedTransaction {
            raw: "00".into(),
            txid: "00".into(),
        },
        receipt: api::signing::Receipt {
            version: 1,
            log: String::new(),
            entry: 1,
            salt: String::new(),
            body: String::new(),
            inclusion: None,
        },
    })
}

#[tokio::test(start_paused = true)]
async fn a_lane_is_found_taken_and_told_what_was_written() {
    let mut bench = Bench::new(Arc::default(), signer(2), once);
    for _ in 0..2 {
        let (_, event) = bench.hears(is_committed).await;
        let Event::Committed(changes) = event else {
            panic!("it is a commit")
        };
        assert_eq!(changes, [Change::Gate(Gate::Open)]);
    }
    let commits = bench.store.commits();
    assert_eq!(commits.len(), 2);
    assert!(commits.iter().all(|commit| commit.lease == 1));
    let row = bench.store.lanes().await.unwrap().remove(0);
    assert_eq!((row.epoch, row.next_nonce), (5, 9));
}

#[tokio::test(start_paused = true)]
async fn a_lease_is_renewed_for_as_long_as_the_lane_is_held() {
    let mut bench = Bench::new(Arc::default(), signer(1), once);
    bench.hears(is_committed).await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    // Taken once, and never again: it did not end.
    assert_eq!(bench.store.lease(&lane(0)).0, 1);
    assert!(matches!(
        bench.engine.handle().lanes()[0].state,
        LaneState::Running { .. }
    ));
}

#[tokio::test(start_paused = true)]
async fn after_a_lease_was_lost_nothing_further_is_written() {
    let store = Arc::new(Memory::default());
    let mut bench = Bench::new(Arc::clone(&store), signer(1), busy);
    bench.hears(is_committed).await;
    // As after a pause in which the lease ended and another process took the lane.
    store.steal(&lane(0));
    let written = store.commits().len();
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(store.commits().len(), written);
    assert_eq!(bench.engine.handle().lanes()[0].state, LaneState::Elsewhere);
}

#[tokio::test(start_paused = true)]
async fn a_lane_that_a_person_opened_is_taken_anew_while_its_worker_has_the_lease() {
    let store = Arc::new(Memory::default());
    let mut bench = Bench::new(Arc::clone(&store), signer(1), |_, _| Vec::new());
    bench.hears(is_started).await;
    let by = "officer".parse().unwrap();
    let opened = store.open_lane(&lane(0), &by, Time::default()).await;
    let opened = opened.unwrap().unwrap();
    // It hears so when it renews its lease, and begins with the view that there is now.
    bench.hears(is_started).await;
    assert_eq!(store.lease(&lane(0)).0, opened.lease + 1);
    let LaneState::Running { gate } = &bench.engine.handle().lanes()[0].state else {
        panic!("it works")
    };
    assert_eq!(*gate, opened.gate);
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_cannot_be_renewed_ends_the_lane_in_time() {
    let store = Arc::new(Memory::default());
    let mut bench = Bench::new(Arc::clone(&store), signer(1), once);
    bench.hears(is_committed).await;
    store.fail(Fault::RenewalsUnavailable);
    // It is taken anew, under the next lease, as nobody else wants it.
    bench.hears(is_started).await;
    assert_eq!(store.lease(&lane(0)).0, 2);
    bench.hears(is_committed).await;
    let leases: Vec<u64> = store.commits().iter().map(|commit| commit.lease).collect();
    assert_eq!(leases, [1, 2]);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_cannot_be_used_is_tried_again_until_it_can() {
    let store = Arc::new(Memory::default());
    store.fail(Fault::CommitsUnavailable(5));
    let mut bench = Bench::new(Arc::clone(&store), signer(1), once);
    for _ in 0..5 {
        assert!(store.commits().is_empty());
        bench
            .hears(|event| matches!(event, Event::CommitFailed))
            .await;
    }
    bench.hears(is_committed).await;
    assert_eq!(store.commits().len(), 1);
    // The view was good all the time.
    assert_eq!(store.loads(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_contradiction_loads_the_view_again() {
    let store = Arc::new(Memory::default());
    store.fail(Fault::Conflict);
    let mut bench = Bench::new(Arc::clone(&store), signer(1), once);
    bench.hears(is_started).await;
    bench.hears(is_started).await;
    bench.hears(is_committed).await;
    assert_eq!(store.loads(), 2);
    assert_eq!(store.lease(&lane(0)).0, 1);
}

#[tokio::test(start_paused = true)]
async fn lanes_that_the_store_knows_start_without_the_signer() {
    let store = Arc::new(Memory::default());
    let known = NewLane {
        id: lane(0),
        account: "eth-hot".parse().unwrap(),
        signer_epoch: 7,
        next_nonce: 3,
    };
    store.ensure_lane(&known, Time::default()).await.unwrap();
    let gone = signer(0);
    *gone.keys.lock().unwrap() = None;
    let mut bench = Bench::new(store, gone, once);
    let (started, _) = bench.hears(is_committed).await;
    assert_eq!(started, lane(0));
    // It comes back with a further key, whose lane is found then.
    let back = signer(2).keys.lock().unwrap().clone();
    *bench.signer.keys.lock().unwrap() = back;
    loop {
        let (started, _) = bench.hears(is_committed).await;
        if started == lane(1) {
            break;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_stop_waits_for_the_commit_that_is_out_and_gives_the_lease_back() {
    let store = Arc::new(Memory::default());
    let mut bench = Bench::new(Arc::clone(&store), signer(1), busy);
    bench.hears(is_committed).await;
    let held = store.commits_may_pass.acquire_many(1000).await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let written = store.commits().len();
    let stopping = tokio::spawn(bench.engine.stop());
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(!stopping.is_finished());
    drop(held);
    stopping.await.unwrap();
    // The one that was out is written, and none after it.
    assert_eq!(store.commits().len(), written + 1);
    let (number, until) = store.lease(&lane(0));
    assert_eq!(number, 1);
    assert!(until <= wallet::engine::clock::now());
}

#[tokio::test(start_paused = true)]
async fn a_stop_waits_for_the_signer_and_begins_nothing() {
    let store = Arc::new(Memory::default());
    let mut bench = Bench::new(Arc::clone(&store), signer(1), |event, _| match event {
        Event::Started => vec![Effect::Sign(AttemptNumber(0), request())],
        Event::Signer(..) => vec![open(), Effect::Sign(AttemptNumber(0), request())],
        _ => Vec::new(),
    });
    bench.hears(is_started).await;
    let signer = Arc::clone(&bench.signer);
    // The first call is answered at once, and so on: wait until one is held.
    let held = signer.calls_may_pass.acquire_many(1000).await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let (written, calls) = (store.commits().len(), signer.calls.load(Ordering::SeqCst));
    let stopping = tokio::spawn(bench.engine.stop());
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(!stopping.is_finished());
    drop(held);
    stopping.await.unwrap();
    assert_eq!(signer.calls.load(Ordering::SeqCst), calls);
    assert_eq!(store.commits().len(), written);
}

#[tokio::test(start_paused = true)]
async fn what_the_signer_signed_is_written_before_a_stop_ends() {
    let store = Arc::new(Memory::default());
    let learnt = || Change::Signed {
        attempt: AttemptNumber(0),
        answer: answer(),
    };
    let mut bench = Bench::new(Arc::clone(&store), signer(1), move |event, _| match event {
        Event::Started => vec![Effect::Sign(AttemptNumber(0), request())],
        Event::Signer(..) => vec![Effect::Commit(vec![learnt()])],
        // No more than was learnt.
        Event::Committed(_) => vec![open()],
        _ => Vec::new(),
    });
    let held = Arc::clone(&bench.signer);
    let held = held.calls_may_pass.acquire_many(1000).await.unwrap();
    bench.hears(is_started).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let stopping = tokio::spawn(bench.engine.stop());
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(store.commits().is_empty() && !stopping.is_finished());
    drop(held);
    stopping.await.unwrap();
    let written: Vec<_> = store
        .commits()
        .into_iter()
        .flat_map(|it| it.changes)
        .collect();
    assert_eq!(written, [learnt()]);
}

#[tokio::test(start_paused = true)]
async fn own_addresses_are_remembered_for_a_start_without_the_signer() {
    use wallet::web::Engine as _;
    let mut bench = Bench::new(Arc::default(), signer(1), once);
    bench.hears(is_committed).await;
    let own = tx::Address::parse(chain(), super::scripted::ADDRESSES[0]).unwrap();
    let other = tx::Address::parse(chain(), super::scripted::ADDRESSES[1]).unwrap();
    let handle = bench.engine.handle();
    assert!(handle.is_own(&own) && !handle.is_own(&other));
    assert!(handle.signer().reachable);
    let remembered = std::fs::read(bench.folder.path().join("keys.json")).unwrap();
    let remembered: serde_json::Value = serde_json::from_slice(&remembered).unwrap();
    assert_eq!(remembered["keys"].as_array().unwrap().len(), 1);
    assert_eq!(remembered["epoch"], 1);
    *bench.signer.keys.lock().unwrap() = None;
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!(!handle.signer().reachable);
    assert!(handle.is_own(&own));
}

/// What was compared with the signer says nothing of another epoch.
#[tokio::test(start_paused = true)]
async fn a_lane_is_taken_anew_in_another_epoch() {
    let mut bench = Bench::new(Arc::default(), signer(1), |_, _| Vec::new());
    bench.hears(is_started).await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    let before = bench.store.lease(&lane(0)).0;
    bench.signer.epoch.store(2, Ordering::SeqCst);
    bench.hears(is_started).await;
    assert_eq!(bench.store.lease(&lane(0)).0, before + 1);
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(bench.store.lease(&lane(0)).0, before + 1, "once");
}

#[tokio::test(start_paused = true)]
async fn an_epoch_only_rises() {
    use wallet::web::Engine as _;
    let mut bench = Bench::new(Arc::default(), signer(1), once);
    bench.hears(is_committed).await;
    let handle = bench.engine.handle();
    assert_eq!(handle.epoch(), 1);
    bench.signer.epoch.store(3, Ordering::SeqCst);
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(handle.epoch(), 3);
    assert!(handle.signer().reachable);
    // A signer on an older journal.
    bench.signer.epoch.store(2, Ordering::SeqCst);
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(handle.epoch(), 3);
    assert!(handle.signer().detail.unwrap().contains("older journal"));
    bench.signer.epoch.store(4, Ordering::SeqCst);
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(handle.epoch(), 4);
    assert!(handle.signer().reachable);
}
