//! The signer's journal, compared with the store.

use std::sync::{Arc, atomic::Ordering};

use api::signing::{Receipt, RequestAnswer, RequestStatus};
use sha2::{Digest, Sha256};
use wallet::{
    attempt::{AttemptNumber, AttemptStage, Purpose},
    change::Gate,
    lane::{Effect, Event, LaneId, LaneRow, LaneView},
    signer::Comparison,
};

use super::{
    memory::Memory,
    scripted::{Bench, lane, signer},
};

fn comparing(event: &Event<()>, _: &LaneView) -> Vec<Effect<()>> {
    match event {
        Event::Started => vec![Effect::Compare],
        _ => Vec::new(),
    }
}

/// What the signer tells of an unsigned attempt.
fn told(lane: &LaneId, id: &str, index: u64, nonce: u64) -> RequestAnswer {
    let request = api::signing::SignRequest {
        request_id: id.into(),
        lane_epoch: 5,
        intents: Vec::new(),
        replaces: Vec::new(),
        transaction: tx::Transaction::Eip2718 {
            chain: lane.chain,
            from: lane.to_string(),
            payload: format!("0x02c1{nonce:02x}"),
        },
        proofs: Vec::new(),
    };
    let transaction = serde_json::to_string(&request.transaction).unwrap();
    let mut hash = Sha256::new();
    hash.update(b"strongroom-request-v1\n");
    hash.update(serde_json::to_vec(&request).unwrap());
    let key = format!("nonce {lane}:{nonce}");
    let body = serde_json::json!({
        "v": 1,
        "time": { "lo": "2026-11-20T12:00:00Z", "hi": "2026-11-20T12:00:01Z" },
        "entry": { "attempt": {
            "client": "walletd",
            "request": id,
            "request_hash": hex::encode(hash.finalize()),
            "lane": lane.to_string(),
            "lane_epoch": 5,
            "transaction": { "inline": transaction },
            "chain": lane.chain,
            "account": "eth-hot",
            "keys": [key],
            "intents": [],
            "replaces": [],
            "proofs": [],
            "fee_terms": { "family": "utxo", "fee": 1, "vsize": 1 },
        }},
    });
    RequestAnswer {
        request_id: id.into(),
        attempt: index,
        status: RequestStatus::Committed,
        lane_epoch: 5,
        conflict_keys: vec![key.parse().unwrap()],
        transaction: None,
        receipt: Some(Receipt {
            version: 1,
            log: "ab".repeat(32),
            entry: index,
            salt: "5a".repeat(32),
            body: body.to_string(),
            inclusion: None,
        }),
        unsigned: None,
    }
}

fn own(place: usize, number: u64, index: u64) -> RequestAnswer {
    let lane = lane(place);
    let id = lane.request_id(wallet::attempt::AttemptNumber(number));
    told(&lane, &id, index, number)
}

async fn compared(bench: &mut Bench) -> (LaneId, Result<Comparison, String>) {
    let is_one = |event: &Event<()>| matches!(event, Event::Compared(_));
    match bench.hears(is_one).await {
        (lane, Event::Compared(comparison)) => (lane, comparison),
        (_, other) => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn what_the_store_does_not_know_is_brought_to_its_own_lane() {
    let store = Arc::new(Memory::default());
    store.know([0]);
    let mut signer = signer(2);
    signer.page_length = 2;
    *signer.journal.lock().unwrap() =
        vec![own(0, 0, 10), own(1, 1, 11), own(0, 2, 12), own(0, 3, 15)];
    let mut bench = Bench::new(store, signer, comparing);
    for _ in 0..2 {
        let (of, comparison) = compared(&mut bench).await;
        let comparison = comparison.unwrap();
        let unknown: Vec<u64> = comparison
            .unknown
            .iter()
            .map(|adopt| adopt.attempt.number.0)
            .collect();
        let expected: &[u64] = if of == lane(0) { &[2, 3] } else { &[1] };
        assert_eq!(unknown, expected, "{of}");
        assert_eq!(comparison.to, Some(15));
        assert_eq!((comparison.epoch, comparison.next_nonce), (4, Some(9)));
        let attempt = &comparison.unknown[0].attempt;
        assert_eq!(attempt.purpose, Purpose::Recovered);
        assert_eq!(attempt.stage, AttemptStage::Reserved);
        assert_eq!(attempt.request.request_id, of.request_id(attempt.number));
    }
    // Two pages, read once for both.
    assert_eq!(bench.signer.pages.load(Ordering::SeqCst), 2);
}

#[tokio::test(start_paused = true)]
async fn a_request_that_no_coordinator_named_keeps_its_lane_closed_and_no_other() {
    let signer = signer(2);
    let foreign = told(&lane(0), "by-hand", 3, 0);
    *signer.journal.lock().unwrap() = vec![foreign, own(1, 0, 4)];
    let mut bench = Bench::new(Arc::default(), signer, comparing);
    for _ in 0..2 {
        let (of, comparison) = compared(&mut bench).await;
        if of == lane(0) {
            assert!(comparison.unwrap_err().contains("by-hand"));
        } else {
            assert_eq!(comparison.unwrap().unknown.len(), 1);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_signer_that_is_gone_is_said_so() {
    let signer = signer(1);
    let mut bench = Bench::new(Arc::default(), signer, |event, _| match event {
        Event::Tick => vec![Effect::Compare],
        _ => Vec::new(),
    });
    bench.hears(|event| matches!(event, Event::Started)).await;
    *bench.signer.keys.lock().unwrap() = None;
    let (_, comparison) = compared(&mut bench).await;
    assert!(comparison.unwrap_err().contains("gone"));
}

#[tokio::test(start_paused = true)]
async fn very_many_are_brought_in_parts() {
    let signer = signer(1);
    *signer.journal.lock().unwrap() = (0..250).map(|n| own(0, n, n + 100)).collect();
    let mut bench = Bench::new(Arc::default(), signer, comparing);
    let (_, comparison) = compared(&mut bench).await;
    let comparison = comparison.unwrap();
    assert_eq!(comparison.unknown.len(), 200);
    // The next comparison begins behind the last that was brought.
    assert_eq!(comparison.to, Some(299));
}

/// The lane's row, as it was compared to this index of an earlier log.
fn compared_to(index: u64) -> LaneRow {
    LaneRow {
        id: lane(0),
        account: "eth-hot".parse().unwrap(),
        lease: 1,
        epoch: 5,
        epoch_seen: false,
        next_attempt: AttemptNumber(0),
        next_nonce: 9,
        gate: Gate::Open,
        compared_to: Some(index),
    }
}

/// After a new epoch the journal may be another log: an index of the old one leaves nothing out.
#[tokio::test(start_paused = true)]
async fn an_index_that_the_journal_does_not_have_is_compared_from_the_beginning() {
    for (index, expected) in [(5_000, &[0, 2][..]), (11, &[0, 2]), (10, &[2])] {
        let signer = signer(1);
        *signer.journal.lock().unwrap() = vec![own(0, 0, 10), own(0, 2, 12)];
        let (signer, store) = (Arc::new(signer), Arc::new(Memory::default()));
        let comparison = wallet::engine::compare(signer, store, &compared_to(index)).await;
        let comparison = comparison.unwrap();
        let unknown = comparison.unknown.iter();
        let unknown: Vec<u64> = unknown.map(|adopt| adopt.attempt.number.0).collect();
        assert_eq!(unknown, expected, "compared to {index}");
        assert_eq!(comparison.to, Some(12));
    }
}
