//! Withdrawals are handed to one lane each.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use wallet::{
    attempt::{Attempt, AttemptNumber, AttemptStage, Purpose},
    change::Change,
    lane::{Effect, Event, LaneId, LaneView},
    web::Engine as _,
    withdrawal::{WaitingReason, WithdrawalNumber},
};

use super::{
    memory::{Fault, Memory},
    scripted::{Bench, chain, lane, signer, withdrawal},
};

/// Wants many, keeps what it gets, and begins nothing.
fn greedy(event: &Event<()>, _: &LaneView) -> Vec<Effect<()>> {
    match event {
        Event::Started => vec![Effect::Want(100)],
        _ => Vec::new(),
    }
}

/// Begins to pay what it gets, one after the other.
fn paying(event: &Event<()>, view: &LaneView) -> Vec<Effect<()>> {
    match event {
        Event::Started => vec![Effect::Want(100)],
        Event::Queued(given) => {
            let numbers = given.iter().map(|it| it.number).collect();
            vec![Effect::Commit(vec![Change::Assign(Box::new(attempt(
                view, numbers,
            )))])]
        }
        _ => Vec::new(),
    }
}

/// An attempt, of which the test's store looks at what it pays only.
fn attempt(view: &LaneView, pays: Vec<WithdrawalNumber>) -> Attempt {
    let key = format!("nonce {}:0", view.row.id).parse::<tx::ConflictKey>();
    let key = key.unwrap();
    Attempt {
        number: AttemptNumber(0),
        set: AttemptNumber(0),
        purpose: Purpose::Payout,
        keys: [key.clone()].into(),
        anchor: key,
        pays,
        request: Arc::new(api::signing::SignRequest {
            request_id: view.row.id.request_id(AttemptNumber(0)),
            lane_epoch: 5,
            intents: Vec::new(),
            replaces: Vec::new(),
            transaction: tx::Transaction::Eip2718 {
                chain: chain(),
                from: super::scripted::ADDRESSES[0].into(),
                payload: "0x02c0".into(),
            },
            proofs: Vec::new(),
        }),
        fee_terms: tx::FeeTerms::Utxo { fee: 1, vsize: 1 },
        created_at: tx::Time::default(),
        stage: AttemptStage::Reserved,
        signed: None,
    }
}

async fn given(bench: &mut Bench, count: usize) -> BTreeMap<LaneId, BTreeSet<u64>> {
    let mut given: BTreeMap<LaneId, BTreeSet<u64>> = BTreeMap::new();
    let mut seen = 0;
    while seen < count {
        let queued = |event: &Event<()>| matches!(event, Event::Queued(_));
        let (lane, event) = bench.hears(queued).await;
        let Event::Queued(withdrawals) = event else {
            panic!("it is one")
        };
        for withdrawal in withdrawals {
            seen += 1;
            let is_new = given
                .entry(lane.clone())
                .or_default()
                .insert(withdrawal.number.0);
            assert!(is_new, "{} was given twice", withdrawal.number.0);
        }
    }
    given
}

#[tokio::test(start_paused = true)]
async fn lanes_share_what_there_is_and_none_has_more_than_its_hand() {
    let store = Arc::new(Memory::default());
    store.approve_all((0..20).map(withdrawal));
    let mut bench = Bench::new(store, signer(2), greedy);
    let given = given(&mut bench, 6).await;
    assert_eq!(given[&lane(0)].len(), 3);
    assert_eq!(given[&lane(1)].len(), 3);
    assert!(given[&lane(0)].is_disjoint(&given[&lane(1)]));
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert!(bench.heard.try_recv().is_ok(), "ticks");
    while let Ok((_, event)) = bench.heard.try_recv() {
        assert!(!matches!(event, Event::Queued(_)), "{event:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_begun_makes_room_for_more_until_all_is_begun_once() {
    let store = Arc::new(Memory::default());
    store.approve_all((0..50).map(withdrawal));
    let mut bench = Bench::new(Arc::clone(&store), signer(2), paying);
    let given = given(&mut bench, 50).await;
    let all: BTreeSet<u64> = given.values().flatten().copied().collect();
    assert_eq!(all, (0..50).collect());
    assert_eq!(given.values().map(BTreeSet::len).sum::<usize>(), 50);
    tokio::time::sleep(Duration::from_secs(5)).await;
    let paid = store
        .commits()
        .into_iter()
        .flat_map(|commit| commit.changes);
    let paid = paid.flat_map(|change| match change {
        Change::Assign(attempt) => attempt.pays,
        _ => Vec::new(),
    });
    let mut paid: Vec<u64> = paid.map(|number| number.0).collect();
    paid.sort_unstable();
    assert_eq!(paid, (0..50).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn what_is_approved_is_handed_out_when_it_is_told() {
    let store = Arc::new(Memory::default());
    let mut bench = Bench::new(Arc::clone(&store), signer(1), greedy);
    bench.hears(|event| matches!(event, Event::Started)).await;
    // Less than it would take to be found by itself.
    tokio::time::sleep(Duration::from_millis(10)).await;
    let before = tokio::time::Instant::now();
    store.approve_all([withdrawal(7)]);
    bench.engine.handle().approved(chain());
    let given = given(&mut bench, 1).await;
    assert!(given[&lane(0)].contains(&7));
    assert_eq!(before.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn what_a_lane_had_that_was_loaded_again_is_handed_out_again() {
    let store = Arc::new(Memory::default());
    store.approve_all((0..2).map(withdrawal));
    store.fail(Fault::Conflict);
    let mut bench = Bench::new(Arc::clone(&store), signer(1), paying);
    let first = given(&mut bench, 2).await;
    let again = given(&mut bench, 2).await;
    assert_eq!(first, again);
    bench
        .hears(|event| matches!(event, Event::Committed(_)))
        .await;
    assert_eq!(store.loads(), 2);
}

#[tokio::test(start_paused = true)]
async fn what_is_returned_comes_back_when_its_time_comes() {
    let store = Arc::new(Memory::default());
    store.approve_all([withdrawal(1)]);
    let mut bench = Bench::new(Arc::clone(&store), signer(1), |event, _| match event {
        Event::Started => vec![Effect::Want(1)],
        Event::Queued(given) => {
            let numbers = given.iter().map(|it| it.number).collect();
            vec![Effect::Return(numbers), Effect::Want(1)]
        }
        _ => Vec::new(),
    });
    given(&mut bench, 1).await;
    given(&mut bench, 1).await;
}

#[tokio::test(start_paused = true)]
async fn what_is_of_an_older_epoch_waits_for_a_person() {
    let store = Arc::new(Memory::default());
    let of_epoch = |number, epoch| {
        let mut withdrawal = withdrawal(number);
        withdrawal.intent.epoch = epoch;
        withdrawal
    };
    store.approve_all([
        of_epoch(0, 1),
        of_epoch(1, 2),
        of_epoch(2, 1),
        of_epoch(3, 3),
    ]);
    let signer = signer(2);
    signer.epoch.store(2, Ordering::SeqCst);
    let mut bench = Bench::new(Arc::clone(&store), signer, greedy);
    let given = given(&mut bench, 2).await;
    let all: BTreeSet<u64> = given.values().flatten().copied().collect();
    assert_eq!(
        all,
        [1, 3].into(),
        "the signer says what it makes of a later one"
    );
    tokio::time::sleep(Duration::from_secs(600)).await;
    while let Ok((_, event)) = bench.heard.try_recv() {
        assert!(!matches!(event, Event::Queued(_)), "{event:?}");
    }
    let (waiting, told) = store.waiting();
    assert_eq!(told, 1);
    for (withdrawal, waits) in waiting.iter().zip([true, false, true, false]) {
        let reason = withdrawal.as_ref().map(|waiting| waiting.reason);
        assert_eq!(reason, waits.then_some(WaitingReason::Epoch));
    }
}

#[tokio::test(start_paused = true)]
async fn nobody_reads_the_queue_while_no_lane_wants_anything() {
    let store = Arc::new(Memory::default());
    store.approve_all((0..20).map(withdrawal));
    let bench = Bench::new(Arc::clone(&store), signer(2), |_, _| Vec::new());
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(store.readings(), 0);
    drop(bench);
}

#[tokio::test(start_paused = true)]
async fn while_nobody_can_pay_those_who_wait_are_told_once_why() {
    let store = Arc::new(Memory::default());
    store.approve_all((0..3).map(withdrawal));
    let gone = signer(0);
    *gone.keys.lock().unwrap() = None;
    let mut bench = Bench::new(Arc::clone(&store), gone, greedy);
    tokio::time::sleep(Duration::from_secs(60)).await;
    let (waiting, told) = store.waiting();
    assert_eq!(told, 1);
    for waiting in waiting {
        assert_eq!(waiting.unwrap().reason, WaitingReason::LaneClosed);
    }
    // And are paid as soon as somebody can.
    let back = signer(1).keys.lock().unwrap().clone();
    *bench.signer.keys.lock().unwrap() = back;
    given(&mut bench, 3).await;
}
