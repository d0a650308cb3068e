//! What a person does about a lane that is halted.

use api::wallet::GateState;
use tx::Time;
use wallet::{
    change::{Change, Commit, Gate},
    lane::LaneId,
    store::{NewLane, Store},
};

use super::house::{House, OWN, name};

/// A lane of a coordinator that halted it.
async fn halted(house: &House) -> LaneId {
    let id: LaneId = format!("eip155:31337:{OWN}").parse().unwrap();
    let lane = NewLane {
        id: id.clone(),
        account: name("eth-hot"),
        signer_epoch: 0,
        next_nonce: 0,
    };
    let (store, now) = (&house.store, house.now());
    store.ensure_lane(&lane, now).await.unwrap();
    let until = now.after_millis(15_000);
    let row = store.acquire(&id, "worker", now, until).await.unwrap();
    let detail = "nonce 7 was used by another".into();
    let commit = Commit {
        lane: id.clone(),
        lease: row.unwrap().lease,
        at: now,
        changes: vec![Change::Gate(Gate::Halted { detail })],
    };
    store.commit(commit).await.unwrap();
    id
}

#[tokio::test]
async fn a_person_has_a_halted_lane_compared_anew() {
    let house = House::new().await;
    let id = halted(&house).await;
    let officer = house.asking("officer");
    let lanes = officer.status().await.unwrap().lanes;
    assert_eq!(lanes[0].gate, GateState::Halted);
    for _ in 0..2 {
        let opened = officer.open_lane(&id.to_string()).await.unwrap();
        assert_eq!(opened.gate, GateState::Closed);
        assert_eq!(opened.lane, id.to_string());
        assert_eq!(opened.lease, lanes[0].lease + 1);
    }
    let events = officer.events(None).await.unwrap().events;
    let opened: Vec<_> = events
        .iter()
        .filter(|it| it.topic == "lane.opened")
        .collect();
    let [opened] = opened.as_slice() else {
        panic!("{opened:?}")
    };
    assert_eq!(opened.at, house.now());
    assert_ne!(opened.at, Time::default());
    assert_eq!(opened.body["by"], "officer");
    assert_eq!(opened.body["halted"], "nonce 7 was used by another");
}

#[tokio::test]
async fn a_lane_is_named_in_the_path_as_text_or_escaped() {
    let house = House::new().await;
    let id = halted(&house).await.to_string();
    for named in [id.clone(), id.replace(':', "%3A")] {
        let path = format!("/v1/lanes/{named}/open");
        let opened = house
            .send("officer", ("POST", &path), &[], Vec::new())
            .await;
        assert_eq!(opened.json(200)["lane"], id.as_str());
        let with_body = house.post("officer", &path, "{}").await;
        with_body.is("malformed", 400);
    }
    for other in ["litecoin:regtest:hot", "eip155:1:0x00", "hot", "%00", "%ff"] {
        let path = format!("/v1/lanes/{other}/open");
        let answer = house
            .send("officer", ("POST", &path), &[], Vec::new())
            .await;
        answer.is("not-found", 404);
    }
}
