//! Officers begin a new epoch where what was signed is lost: nothing is assumed of it.

use std::{fs, time::Duration};

use alloy_primitives::U256;
use api::{
    problem::Problem,
    signing::SignRequest,
    wallet::{Stage, WaitingReason},
};
use policy::Entry;
use serde_json::{Value, json};
use strongroom_softhsm_tests::{
    anvil::Anvil,
    ask::of_epoch,
    bundle::Bundle,
    coins::{Previous, foreign_script},
    evm::{Draft, ETHER},
    image::Image,
    program::{repository, until, until_within},
    records,
    signerd::signerd,
    site::{ChainText, Order, Site, open_node},
    unseal::{compose_epoch, decide_epoch, of_keys, report, sign_as},
    world::{Client, World},
};

use crate::support::{BITCOIN, CUSTOMER, coin_scripts, payment, sender, transfer};

const ETH: &str = "eip155:31337/native";

/// The shortest windows that there are.
fn short_windows(bundle: &mut Bundle) {
    let path = repository("softhsm-tests/policy/statements.toml");
    let text = fs::read_to_string(path).unwrap();
    bundle.set("statements.toml", &text.replace("\"24h\"", "\"1m\""));
}

fn pay(client: &mut Client, epoch: u64, nonce: u64) -> SignRequest {
    let from = sender(client);
    let id = format!("pay-{epoch}-{nonce}");
    of_epoch(
        transfer(&id, &from, &Draft::transfer(nonce, CUSTOMER, 5)),
        epoch,
    )
}

/// Starts, pays, stops, and keeps what is there then.
fn paid(world: &World, nonces: std::ops::Range<u64>) -> Image {
    let daemon = world.start();
    let mut client = world.walletd();
    for nonce in nonces {
        let request = pay(&mut client, 1, nonce);
        client.sign(&request);
    }
    assert!(daemon.stop().success());
    Image::of(&world.data())
}

/// What officers say of the keys that the running daemon has.
fn keys(world: &World, next: u64) -> Vec<String> {
    let daemon = world.start();
    let words = of_keys(&mut world.walletd(), next);
    assert!(daemon.stop().success());
    words
}

fn codes(problem: &Problem) -> Vec<&str> {
    let reasons = problem.reasons.iter();
    let mut codes: Vec<_> = reasons.map(|reason| reason.code.as_str()).collect();
    codes.dedup();
    codes
}

fn epochs(world: &World) -> usize {
    let mut records = records::read(&world.data());
    records.retain(|record| matches!(record.entry, Entry::EpochBegan(_)));
    records.len()
}

#[test]
fn an_older_copy_begins_a_new_epoch_with_full_windows() {
    let world = World::with(short_windows).with_checkpoints();
    world.configure("[bounds]\nrequests_per_second = 100000");
    let words = keys(&world, 3);
    let older = paid(&world, 0..1);
    let newer = paid(&world, 1..3);
    let found = older.with("checkpoint", &newer, "checkpoint");
    found.restore(&world.data());
    let mut daemon = world.relaunch();
    daemon.not_ready("sealed: shorter-than-checkpoint: ");
    assert_eq!(daemon.stop().code(), Some(78));

    // What is not said of every key is nothing to be signed.
    let out = world.folder().join("half");
    let half = compose_epoch(&report(&world), &out, &words[..2]);
    assert_eq!(half.status.code(), Some(2));
    let said = String::from_utf8_lossy(&half.stderr).into_owned();
    assert!(said.contains("unseal-unsaid"), "{said}");
    assert!(said.contains("--next eth-1 eip155:31337"), "{said}");
    assert!(!out.exists());
    let mut decision = decide_epoch(&world, &words, &["ann", "cem"]);
    let good = decision.signatures.clone();
    // Signed as another kind of statement, or by too few.
    decision.signatures = sign_as(&decision.statement, "strongroom-unseal-v1", &["ann", "cem"]);
    assert_eq!(decision.refused(&world), "unseal-quorum");
    decision.signatures = sign_as(&decision.statement, "strongroom-epoch-v1", &["ann"]);
    assert_eq!(decision.refused(&world), "unseal-quorum");
    decision.signatures = sign_as(&decision.statement, "strongroom-epoch-v1", &["ann", "cem"]);
    assert_eq!(decision.signatures, good);
    let done = decision.carry_out(&world);
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{said}");
    assert_eq!(epochs(&world), 1);
    assert_eq!(decision.refused(&world), "unseal-used");

    let daemon = world.relaunch().ready();
    let mut client = world.walletd();
    assert_eq!(client.keys().epoch, 2);
    assert_eq!(client.key("eth-1").addresses[0].next_sequence, Some(3));
    let old = pay(&mut client, 1, 3);
    assert_eq!(
        codes(&client.refused(&old)),
        ["intent-epoch", "limit"],
        "whatever its id"
    );
    let new = pay(&mut client, 2, 3);
    assert_eq!(codes(&client.refused(&new)), ["limit"]);
    drains_only(&mut client);
    // Whoever was told of what is lost seals nothing by it.
    let patience = Duration::from_secs(120);
    until_within(patience, "room, once the windows have passed", || {
        let answer = client.send(&new);
        (answer.status == 200).then_some(())
    });
    let lower = pay(&mut client, 2, 2);
    assert_eq!(codes(&client.refused(&lower)), ["sequence"]);
    assert!(codes(&client.refused(&old)).contains(&"intent-epoch"));
    drained(&mut client);
    assert!(daemon.stop().success());
    // And after a restart.
    let daemon = world.relaunch().ready();
    client.reconnect();
    assert_eq!(client.keys().epoch, 2);
    assert!(codes(&client.refused(&old)).contains(&"intent-epoch"));
    assert!(daemon.stop().success());
}

/// While the windows are full, what is refused of coins says why.
fn drains_only(client: &mut Client) {
    let scripts = coin_scripts(client);
    let coin = [Previous::invented(1, 10_000_000, &scripts[0])];
    let outputs = [
        (9_000_000, foreign_script(1)),
        (990_000, scripts[1].clone()),
    ];
    let (_, out) = payment("out", BITCOIN, &coin, &outputs);
    let refused = client.refused(&of_epoch(out, 2));
    let codes = codes(&refused);
    assert_eq!(codes, ["drain-only", "limit"], "{refused:?}");
}

/// Old keys pay to the named own address, and nowhere else.
fn drained(client: &mut Client) {
    let scripts = coin_scripts(client);
    let coin = [Previous::invented(2, 10_000_000, &scripts[0])];
    let drain = |id: &str, outputs: &[(u64, bitcoin::ScriptBuf)]| {
        let (_, mut request) = payment(id, BITCOIN, &coin, outputs);
        request.intents.clear();
        request
    };
    let back = drain("back", &[(9_990_000, scripts[0].clone())]);
    assert_eq!(codes(&client.refused(&back)), ["drain-only"]);
    let other = drain("other", &[(9_990_000, scripts[2].clone())]);
    assert_eq!(codes(&client.refused(&other)), ["drain-only"]);
    client.sign(&drain("home", &[(9_990_000, scripts[1].clone())]));
}

#[test]
fn a_lost_journal_is_followed_by_a_new_log_that_begins_with_the_epoch() {
    let world = World::new().with_checkpoints();
    let words = keys(&world, 5);
    let lost = paid(&world, 0..2);
    let checkpoint = world.folder().join("seen");
    fs::copy(world.data().join("checkpoint"), &checkpoint).unwrap();
    // Its bundles are still there: a first start would begin with every limit unused.
    let bundles = lost.without(|name| !name.starts_with("bundles"));
    bundles.restore(&world.data());
    let refused = signerd(&world.config(), &["--bootstrap"]);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(said.starts_with("signerd: unseal-used-folder"), "{said}");
    fs::remove_dir_all(world.data()).unwrap();
    let mut daemon = world.relaunch();
    daemon.not_ready("sealed: journal-missing: ");
    assert_eq!(daemon.stop().code(), Some(78));

    let mut words = words;
    words.extend(["--lost".into(), checkpoint.display().to_string()]);
    words.extend(["--epoch".into(), "2".into()]);
    let decision = decide_epoch(&world, &words, &["ben", "cem"]);
    assert!(!world.data().join("anchor").exists());
    let done = decision.carry_out(&world);
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{said}");
    assert_eq!(decision.refused(&world), "unseal-used");
    assert_eq!(epochs(&world), 1);
    let daemon = world.relaunch().ready();
    let mut client = world.walletd();
    assert_eq!(client.keys().epoch, 2);
    assert_eq!(client.key("eth-1").addresses[0].next_sequence, Some(5));
    let room = client.limit("eth-day");
    assert_eq!(room.used, room.cap);
    for (epoch, nonce, expected) in [
        (1, 5, &["intent-epoch", "limit"][..]),
        (2, 2, &["sequence", "limit"]),
        (2, 5, &["limit"]),
    ] {
        let asked = pay(&mut client, epoch, nonce);
        let refused = client.refused(&asked);
        let codes = codes(&refused);
        let all = expected.iter().all(|code| codes.contains(code));
        assert!(all && codes.len() == expected.len(), "{refused:?}");
    }
    assert!(daemon.stop().success());
    assert!(world.relaunch().ready().stop().success());
}

fn order(id: &str) -> Order<'_> {
    Order {
        id,
        asset: ETH,
        amount: ETHER / 1000,
        to: CUSTOMER,
    }
}

#[test]
fn the_coordinator_keeps_what_was_asked_before_for_a_person() {
    let world = World::new();
    let words = keys(&world, 0);
    let anvil = Anvil::start_with(world.folder(), &["--slots-in-an-epoch", "1"]);
    let daemon = world.start();
    let from = sender(&mut world.walletd());
    anvil.fund(&from, U256::from(100 * ETHER));
    let site = Site::new(world);
    let family = "poll_millis = 50\nbump_after_secs = 3600\nresend_after_secs = 1\n";
    site.configure(&[ChainText::evm(&[&open_node(&anvil.node().url())], family)]);
    site.start_and(|| site.client("officer").credit("float", ETH, 50 * ETHER));
    let walletd = site.start();
    let exchange = site.client("exchange");
    exchange.withdraw(&order("paid"));
    exchange.reaches_while("paid", Stage::Final, || {
        let _: Value = anvil.node().call("anvil_mine", json!([1]));
    });
    // The signer is gone, and its journal with it; what is asked for meanwhile is of the old epoch.
    assert!(daemon.stop().success());
    exchange.withdraw(&order("old"));
    let world = &site.world;
    fs::remove_dir_all(world.data()).unwrap();
    let mut words = words;
    for (place, word) in words.clone().iter().enumerate() {
        match word.as_str() {
            "--lanes" => words[place + 1] = "1".into(),
            "--next" => words[place + 3] = "1".into(),
            _ => {}
        }
    }
    words.extend(["--epoch".into(), "2".into()]);
    let decision = decide_epoch(world, &words, &["ann", "ben"]);
    let done = decision.carry_out(world);
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{said}");
    let daemon = world.relaunch().ready();
    let waiting = until_within(Duration::from_secs(60), "a person is waited for", || {
        let found = exchange.withdrawal("old")?;
        let waiting = found
            .waiting
            .filter(|it| it.reason == WaitingReason::Epoch)?;
        Some((found.stage, waiting))
    });
    assert_eq!(waiting.0, Stage::Approved, "{waiting:?}");
    let explained = exchange.explain("old");
    let reason = explained.withdrawal.waiting.map(|waiting| waiting.reason);
    assert_eq!(reason, Some(WaitingReason::Epoch));
    // What is asked for now is of the new one, and the signer has no room for it yet.
    let mut asked = 0;
    let refused = until("the signer's word on a new one", || {
        // What was accepted before the epoch was told is of the old one.
        let id = format!("new-{asked}");
        exchange.withdraw(&order(&id));
        let waiting = exchange.withdrawal(&id)?.waiting?;
        asked += u64::from(waiting.reason == WaitingReason::Epoch);
        (waiting.reason == WaitingReason::SignerRefused).then_some(waiting)
    });
    let codes: Vec<_> = refused.reasons.iter().map(|reason| &*reason.code).collect();
    assert!(codes.iter().all(|code| *code == "limit"), "{refused:?}");
    assert_eq!(exchange.withdrawal("paid").unwrap().stage, Stage::Final);
    assert!(walletd.stop().success());
    assert!(daemon.stop().success());
}
