//! A signer whose policy names witnesses: nothing is released before enough of them have cosigned its
//! decision, and of an older copy, a clone or a fork nothing is released at all.

use std::{
    fs,
    net::{SocketAddr, TcpListener},
    path::Path,
    process::Command,
};

use api::{
    journal::{BodiesAnswer, SeenCheckpoint},
    problem::{Problem, ProblemKind},
    signing::{SignAnswer, SignRequest},
};
use strongroom_softhsm_tests::{
    address,
    evm::Draft,
    http::Answer,
    image::Image,
    program::{run, until},
    signerd::Signerd,
    witness::{Witness, Witnessed, log, until_up},
    world::{Client, World, problem},
};
use tlog::{
    checkpoint::SignedCheckpoint,
    note::{SignatureLine, VerifierKey},
};

use crate::support::{CUSTOMER, sender, transfer};

pub fn payment(client: &mut Client, nonce: u64) -> SignRequest {
    payment_of(client, nonce, 1)
}

fn payment_of(client: &mut Client, nonce: u64, amount: u128) -> SignRequest {
    let from = sender(client);
    let draft = Draft::transfer(nonce, CUSTOMER, amount);
    transfer(&format!("pay-{nonce}"), &from, &draft)
}

/// Asks until there is the signature, and nothing but that the witnesses are awaited meanwhile.
fn signed(client: &mut Client, request: &SignRequest) -> SignAnswer {
    until("a signature", || {
        let answer = client.send(request);
        if answer.status == 200 {
            return Some(answer.json());
        }
        assert_eq!(problem(&answer).kind, ProblemKind::Unwitnessed);
        None
    })
}

pub fn is_unwitnessed(answer: &Answer) -> Problem {
    let told = problem(answer);
    assert_eq!(told.kind, ProblemKind::Unwitnessed, "{}", told.detail);
    told
}

/// Neither what was signed before nor anything new is shown, by any verb.
fn releases_nothing(world: &World, api: SocketAddr, known: &SignRequest, new: &SignRequest) {
    let path = format!("/v1/requests/{}", known.request_id);
    let asks: [&(dyn Fn(&mut Client) -> Answer + Sync); 4] = [
        &|client| client.send(known),
        &|client| client.send(new),
        &|client| client.get(&path),
        &|client| client.get("/v1/requests"),
    ];
    // Together: each waits for witnesses as long as it may.
    let answers: Vec<Answer> = std::thread::scope(|scope| {
        let asked: Vec<_> = asks
            .into_iter()
            .map(|ask| scope.spawn(move || ask(&mut Client::new(api, world.pki.config("walletd")))))
            .collect();
        asked.into_iter().map(|one| one.join().unwrap()).collect()
    });
    for answer in answers {
        let told = problem(&answer);
        // What was on its way while the daemon sealed may be charged, which `sealed` would deny.
        let held = match told.kind {
            ProblemKind::Unwitnessed | ProblemKind::Sealed => true,
            ProblemKind::JournalStopped => told.detail.contains("sealed"),
            _ => false,
        };
        assert!(held, "{:?}: {}", told.kind, told.detail);
        assert!(!answer.text().contains("\"raw\""), "{}", answer.text());
    }
}

/// Nor was a device asked: who reads its data folder finds no signature that was not made before.
fn has_signed_nothing(daemon: &Signerd) {
    assert_eq!(daemon.metric("signerd_signed_total"), Some(0));
}

/// A copy of a folder, in place of what is there.
fn copy(from: &Path, to: &Path) {
    if to.exists() {
        fs::remove_dir_all(to).unwrap();
    }
    run(Command::new("cp").arg("-a").arg(from).arg(to));
}

#[test]
fn a_payment_passes_with_two_of_three_witnesses_and_waits_with_one() {
    let mut site = Witnessed::new(3);
    let (daemon, _relay) = site.start();
    let mut client = site.world.walletd();
    let first = payment(&mut client, 0);
    signed(&mut client, &first);
    site.witnesses[0].kill();
    let second = payment(&mut client, 1);
    signed(&mut client, &second);
    site.witnesses[1].kill();

    let third = payment(&mut client, 2);
    let told = is_unwitnessed(&client.send(&third));
    assert!(told.detail.contains("2 of 3"), "{}", told.detail);
    is_unwitnessed(&client.send(&third));
    is_unwitnessed(&client.get("/v1/requests/pay-2"));
    is_unwitnessed(&client.get("/v1/requests"));
    // What was witnessed before is shown as ever.
    assert_eq!(client.get("/v1/requests/pay-1").status, 200);
    signed(&mut client, &second);
    assert_eq!(daemon.metric("signerd_attempts"), Some(3));
    let why = daemon.metric("signerd_unwitnessed_total");
    assert!(why.is_some_and(|times| times >= 4), "{why:?}");

    site.witnesses[0].start();
    let answer = signed(&mut client, &third);
    assert_eq!(client.sign(&third), answer);
    assert_eq!(daemon.metric("signerd_attempts"), Some(3), "charged once");
    let listed = client.get("/v1/requests");
    assert_eq!(listed.status, 200, "{}", listed.text());
    assert!(listed.text().contains(&answer.transaction.txid));
    // The checkpoint that is served brings the cosignatures along.
    let note = until("a cosigned checkpoint", || {
        let note = client.get("/v1/journal/checkpoint").text();
        (note.matches("\n\u{2014} ").count() >= 3).then_some(note)
    });
    let opened = open(&site, &note);
    let named =
        |line: &&SignatureLine| site.witnesses.iter().any(|one| one.key().is_named_by(line));
    let lines: Vec<_> = opened.note().signatures().iter().filter(named).collect();
    assert!(lines.len() >= 2);
    assert_eq!(
        log(&mut client).exposure.map(|exposed| exposed.entries),
        Some(0)
    );
}

pub fn open(site: &Witnessed, note: &str) -> SignedCheckpoint {
    let key: &VerifierKey = site.log_key.as_ref().unwrap();
    let origin = key.name().as_str().parse().unwrap();
    SignedCheckpoint::open(note.as_bytes(), &origin, std::slice::from_ref(key)).unwrap()
}

#[test]
fn a_witness_that_hangs_delays_no_other() {
    let mut site = Witnessed::new(3);
    let daemon = site.launch();
    site.start_witnesses();
    site.witnesses[1].kill();
    // Takes connections, and never says anything.
    let silent = TcpListener::bind(site.witnesses[1].listen()).unwrap();
    let _relay = site.relay();
    let _daemon = daemon.ready();
    let (_held, _) = silent.accept().unwrap();
    let mut client = site.world.walletd();
    for nonce in 0..20 {
        let request = payment(&mut client, nonce);
        // At the first time of asking: two others are enough.
        assert_eq!(client.send(&request).status, 200);
    }
}

#[test]
fn nothing_is_ready_or_released_before_the_witnesses_have_seen_this_start() {
    let mut site = Witnessed::new(1);
    let (daemon, relay) = site.start();
    let mut client = site.world.walletd();
    let known = payment(&mut client, 0);
    let answer = signed(&mut client, &known);
    drop(relay);
    daemon.stop();
    let mut daemon = site.launch();
    let why = daemon.not_ready("unwitnessed");
    assert!(why.contains("1 of 1"), "{why}");
    client.reconnect();
    let new = payment(&mut client, 1);
    releases_nothing(&site.world, site.world.api(), &known, &new);
    let _relay = site.relay();
    let _daemon = daemon.ready();
    assert_eq!(signed(&mut client, &known), answer);
    signed(&mut client, &new);
}

/// A site whose data folder was copied before a further payment, and is set back to that copy with
/// every anchor in it. Nothing runs but the witnesses.
fn set_back(payments: u64) -> (Witnessed, SignRequest, SignRequest) {
    let mut site = Witnessed::new(3);
    let (daemon, relay) = site.start();
    let mut client = site.world.walletd();
    let known = payment(&mut client, 0);
    signed(&mut client, &known);
    assert!(daemon.stop().success());
    let older = site.world.folder().join("older");
    copy(&site.world.data(), &older);
    let daemon = site.world.start();
    client.reconnect();
    for nonce in 1..=payments {
        let request = payment(&mut client, nonce);
        signed(&mut client, &request);
    }
    let new = payment_of(&mut client, 1, 2);
    drop(relay);
    daemon.kill();
    copy(&older, &site.world.data());
    (site, known, new)
}

#[test]
fn an_older_copy_releases_nothing_and_seals_when_a_relay_tells_of_what_was_seen() {
    let (mut site, known, new) = set_back(8);
    let mut daemon = site.launch();
    let mut client = site.world.walletd();
    releases_nothing(&site.world, site.world.api(), &known, &new);
    has_signed_nothing(&daemon);
    let _relay = site.relay();
    let why = daemon.not_ready("sealed");
    assert!(why.contains("older copy") || why.contains("forks"), "{why}");
    let refused = problem(&client.send(&new));
    assert_eq!(refused.kind, ProblemKind::Sealed, "{}", refused.detail);
    assert_eq!(daemon.stop().code(), Some(78));
    // It stays so without any relay.
    let mut again = site.world.launch();
    again.not_ready("sealed");
}

/// The least that can be lost, with every anchor of this machine set back as well: nothing here shows it.
#[test]
fn a_copy_that_is_older_by_one_entry_is_caught_by_its_witnesses() {
    let mut site = Witnessed::new(3);
    let (daemon, relay) = site.start();
    let mut client = site.world.walletd();
    let known = payment(&mut client, 0);
    signed(&mut client, &known);
    let new = payment_of(&mut client, 1, 2);
    // All that calls for a checkpoint is covered by a cosigned one.
    daemon.metric_is("signerd_checkpoint_uncovered", |entries| entries == 0);
    let covered = daemon.metric("signerd_checkpoint_entries").unwrap();
    daemon.metric_is("signerd_witnessed_entries", |entries| entries == covered);
    drop(relay);
    daemon.kill();
    let image = Image::of(&site.world.data());
    image.first(covered - 1).restore(&site.world.data());

    let mut daemon = site.launch();
    daemon.not_ready("unwitnessed");
    client.reconnect();
    releases_nothing(&site.world, site.world.api(), &known, &new);
    has_signed_nothing(&daemon);
    let relay = site.relay();
    let why = daemon.not_ready("sealed");
    assert!(why.contains("forks"), "{why}");
    // With that entry nothing is wrong; the relay that saw the other log would say so.
    drop(relay);
    daemon.stop();
    image.first(covered).restore(&site.world.data());
    let daemon = site.launch();
    let _relay = site.relay();
    let daemon = daemon.ready();
    client.reconnect();
    signed(&mut client, &known);
    signed(&mut client, &new);
    drop(daemon);
}

#[test]
fn a_copy_that_has_grown_longer_than_the_witnesses_know_is_a_fork_and_releases_nothing() {
    let (mut site, known, _) = set_back(1);
    let mut daemon = site.launch();
    let mut client = site.world.walletd();
    // It decides and journals, without a witness to see it, more than was there.
    for nonce in 1..3 {
        let request = payment_of(&mut client, nonce, 3);
        is_unwitnessed(&client.send(&request));
    }
    has_signed_nothing(&daemon);
    let new = payment_of(&mut client, 1, 3);
    let _relay = site.relay();
    let why = daemon.not_ready("sealed");
    assert!(why.contains("forks") || why.contains("older copy"), "{why}");
    releases_nothing(&site.world, site.world.api(), &known, &new);
}

/// A second daemon on a copy of the data folder, at other addresses.
struct Clone {
    api: SocketAddr,
    daemon: Signerd,
}

fn cloned(world: &World, data: &Path) -> Clone {
    let (api, health) = (address::free(), address::free());
    let text = fs::read_to_string(world.config()).unwrap();
    let text = text
        .replace(&format!("{:?}", world.data()), &format!("{data:?}"))
        .replace(&world.api().to_string(), &api.to_string())
        .replace(&world.health().to_string(), &health.to_string());
    let config = world.folder().join("clone.toml");
    fs::write(&config, text).unwrap();
    let daemon = Signerd::start(&config, health);
    until_up(health);
    Clone { api, daemon }
}

#[test]
fn a_clone_beside_the_original_releases_nothing() {
    let mut site = Witnessed::new(3);
    let (daemon, _relay) = site.start();
    let mut client = site.world.walletd();
    let known = payment(&mut client, 0);
    signed(&mut client, &known);
    assert!(daemon.stop().success());
    let data = site.world.folder().join("clone");
    copy(&site.world.data(), &data);
    let daemon = site.world.start();
    client.reconnect();
    // The original goes on: the witnesses have seen its start, which the copy does not have.
    let mine = payment(&mut client, 1);
    signed(&mut client, &mine);
    let mut clone = cloned(&site.world, &data);
    let relay = site.relay_of("clone-relay", clone.api);
    let theirs = payment_of(&mut client, 1, 2);
    releases_nothing(&site.world, clone.api, &known, &theirs);
    has_signed_nothing(&clone.daemon);
    clone.daemon.not_ready("sealed");
    drop(relay);
    let next = payment(&mut client, 2);
    signed(&mut client, &next);
    assert_eq!(daemon.metric("signerd_sealed"), Some(0));
}

#[test]
fn of_two_clones_that_start_together_one_at_most_releases() {
    let mut site = Witnessed::new(3);
    let (daemon, relay) = site.start();
    let mut client = site.world.walletd();
    let known = payment(&mut client, 0);
    signed(&mut client, &known);
    let requests = [1, 2].map(|amount| payment_of(&mut client, 1, amount));
    assert!(daemon.stop().success());
    drop(relay);
    let data = site.world.folder().join("clone");
    copy(&site.world.data(), &data);
    let first = site.launch();
    let clone = cloned(&site.world, &data);
    let relays = [
        site.relay_of("relay-1", site.world.api()),
        site.relay_of("relay-2", clone.api),
    ];
    let config = site.world.pki.config("walletd");
    let released: Vec<bool> = [(site.world.api(), 0), (clone.api, 1)]
        .map(|(api, which)| {
            let (config, request) = (config.clone(), requests[which].clone());
            std::thread::spawn(move || {
                let mut client = Client::new(api, config);
                (0..3).any(|_| client.send(&request).status == 200)
            })
        })
        .map(|asked| asked.join().unwrap())
        .into();
    assert!(
        released.iter().filter(|one| **one).count() <= 1,
        "{released:?}"
    );
    drop((relays, first, clone.daemon));
}

#[test]
fn an_auditor_is_told_nothing_before_the_witnesses_have_seen_it() {
    let auditor = "[[client]]\nname = \"examiner\"\nuri = \"urn:strongroom:client:examiner\"\n\
                   verbs = [\"bodies\"]\n";
    let mut site = Witnessed::with(1, |edit| {
        World::with(|bundle| {
            edit(bundle);
            bundle.set("examiner.toml", auditor);
        })
    });
    site.world.pki.client("examiner");
    let daemon = site.launch();
    let (mut client, mut auditor) = (site.world.walletd(), site.world.client("examiner"));
    let request = payment(&mut client, 0);
    is_unwitnessed(&client.send(&request));
    let told: BodiesAnswer = auditor.get("/v1/journal/bodies?from=0").json();
    assert_eq!((told.bodies.len(), told.covered), (0, 0));
    site.start_witnesses();
    let _relay = site.relay();
    let answer = signed(&mut client, &request);
    let told: BodiesAnswer = auditor.get("/v1/journal/bodies?from=0").json();
    assert!(told.covered > answer.attempt, "{}", told.covered);
    drop(daemon);
}

#[test]
fn without_witnesses_the_exposure_is_said_in_entries_and_seconds() {
    let world = World::new().with_checkpoints();
    let daemon = world.start();
    let mut client = world.walletd();
    let request = payment(&mut client, 0);
    let answer = client.sign(&request);
    let note = until("a checkpoint", || {
        let path = format!("/v1/journal/checkpoint?covers={}", answer.attempt);
        let answer = client.get(&path);
        (answer.status == 200).then(|| answer.text())
    });
    let before = log(&mut client);
    assert_eq!(before.witnesses, None);
    let exposed = before.exposure.unwrap();
    assert!(exposed.entries > answer.attempt, "{exposed:?}");
    daemon.metric_is("signerd_exposed_entries", |entries| {
        entries > answer.attempt
    });
    // Somebody outside has the checkpoint: what it covers can no longer be lost unnoticed.
    let seen = serde_json::to_vec(&SeenCheckpoint { checkpoint: note }).unwrap();
    assert_eq!(client.post("/v1/journal/checkpoint", &seen).status, 204);
    let exposed = log(&mut client).exposure.unwrap();
    assert!(exposed.entries <= 1, "{exposed:?}");
    let said = Command::new(strongroom_softhsm_tests::program::binary("strongroom"))
        .args(["status", "--connect", &world.api().to_string(), "--ca"])
        .arg(world.pki.authority())
        .arg("--certificate")
        .arg(world.pki.files("walletd").0)
        .arg("--key")
        .arg(world.pki.files("walletd").1)
        .output()
        .unwrap();
    assert!(said.status.success(), "{said:?}");
    let next = payment(&mut client, 1);
    client.sign(&next);
    assert!(log(&mut client).exposure.unwrap().entries > 0);
}

#[test]
fn a_bundle_that_names_witnesses_holds_back_from_then_on() {
    let folder = tempfile::tempdir().unwrap();
    let witness = Witness::new(folder.path().join("w"), "w.example");
    let world = World::new().with_checkpoints();
    let daemon = world.start();
    let mut client = world.walletd();
    let known = payment(&mut client, 0);
    client.sign(&known);
    let mut bundle = world.bundle.clone();
    let key = witness.key().to_string();
    bundle.set(
        "witnesses.toml",
        &format!("[witnesses]\nkeys = [{key:?}]\n"),
    );
    bundle.write(&world.policy(), 2, &["ann", "ben"]);
    daemon.signal(rustix::process::Signal::HUP);
    daemon.metric_is("signerd_reloads_total", |reloads| reloads == 1);
    let new = payment(&mut client, 1);
    releases_nothing(&world, world.api(), &known, &new);
}
