//! Signed checkpoints of the journal: what they prove, and what shows that a journal is not as it was.

use std::{fs, path::Path};

use api::{
    journal::{ConsistencyAnswer, LogStatus, ProofsAnswer, ProofsRequest, SeenCheckpoint},
    problem::ProblemKind,
    signing::{Inclusion, RequestAnswer, SignAnswer},
};
use rustix::process::{Signal, kill_process};
use serde_json::json;
use strongroom_softhsm_tests::{
    evm::Draft,
    http::Answer,
    program::{pause, run, until},
    signerd::{Role, Signerd},
    world::{Client, World, problem},
};
use tlog::{
    Hash, MemoryTree, TreeHead,
    checkpoint::SignedCheckpoint,
    leaf_hash,
    note::VerifierKey,
    tile::{BundleId, Tile, TileId, decode_bundle},
    verify_consistency, verify_inclusion,
};

use crate::support::{CUSTOMER, sender, transfer};

fn world() -> World {
    World::new().with_checkpoints()
}

fn pay(client: &mut Client, nonce: u64) -> SignAnswer {
    let from = sender(client);
    let id = format!("pay-{nonce}");
    client.sign(&transfer(&id, &from, &Draft::transfer(nonce, CUSTOMER, 1)))
}

fn log(client: &mut Client) -> LogStatus {
    client.keys().journal.expect("a log")
}

/// The key as somebody pinned it.
pub fn log_key(client: &mut Client) -> VerifierKey {
    log(client).log_key.expect("a key").parse().unwrap()
}

/// The checkpoint in an answer, verified by nothing but the pinned key.
fn opened(answer: &Answer, key: &VerifierKey) -> SignedCheckpoint {
    assert_eq!(answer.status, 200, "{}", answer.text());
    let origin = key.name().as_str().parse().unwrap();
    let keys = std::slice::from_ref(key);
    SignedCheckpoint::open(answer.text().as_bytes(), &origin, keys).unwrap()
}

pub fn covering(client: &mut Client, key: &VerifierKey, entry: u64) -> SignedCheckpoint {
    let answer = client.get(&format!("/v1/journal/checkpoint?covers={entry}"));
    opened(&answer, key)
}

pub fn hashes(path: &[String]) -> Vec<Hash> {
    let hash = |text: &String| Hash::new(hex::decode(text).unwrap().try_into().unwrap());
    path.iter().map(hash).collect()
}

pub fn ask_proofs(client: &mut Client, size: u64, entries: &[u64]) -> Answer {
    let entries = entries.to_vec();
    let body = serde_json::to_vec(&ProofsRequest { size, entries }).unwrap();
    client.post("/v1/journal/proofs", &body)
}

fn leaf(answer: &SignAnswer) -> Hash {
    leaf_hash(&answer.receipt.leaf().unwrap())
}

fn tell(client: &mut Client, note: &str) -> Answer {
    let checkpoint = note.to_owned();
    let body = serde_json::to_vec(&SeenCheckpoint { checkpoint }).unwrap();
    client.post("/v1/journal/checkpoint", &body)
}

/// A copy of a data folder, in place of what is there.
fn copy(from: &Path, to: &Path) {
    if to.exists() {
        fs::remove_dir_all(to).unwrap();
    }
    run(std::process::Command::new("cp").arg("-a").arg(from).arg(to));
}

#[test]
fn a_signature_is_covered_and_proved_soon_and_the_log_only_grows() {
    let world = world();
    let daemon = world.start();
    let mut client = world.walletd();
    let key = log_key(&mut client);
    assert_eq!(key.name().as_str(), log(&mut client).origin);
    let mut last: Option<TreeHead> = None;
    for nonce in 0..3 {
        let signed = pay(&mut client, nonce);
        let head = *covering(&mut client, &key, signed.attempt).head();
        let answer = ask_proofs(&mut client, head.size, &[signed.attempt, 0]);
        assert_eq!(answer.status, 200, "{}", answer.text());
        let proofs: ProofsAnswer = answer.json();
        let named: Vec<_> = proofs.proofs.iter().map(|proof| proof.entry).collect();
        assert_eq!(named, [signed.attempt, 0]);
        let path = hashes(&proofs.proofs[0].path);
        verify_inclusion(leaf(&signed), signed.attempt, &head, &path).unwrap();
        if let Some(last) = last {
            let path = format!(
                "/v1/journal/consistency?from={}&to={}",
                last.size, head.size
            );
            let answer: ConsistencyAnswer = client.get(&path).json();
            verify_consistency(&last, &head, &hashes(&answer.path)).unwrap();
        }
        last = Some(head);
    }
    daemon.metric_is("signerd_checkpoint_entries", |entries| {
        entries >= last.unwrap().size
    });
    daemon.metric_is("signerd_checkpoint_uncovered", |entries| entries == 0);
}

#[test]
fn a_receipt_that_is_asked_for_later_brings_its_proof() {
    let world = world();
    let _daemon = world.start();
    let mut client = world.walletd();
    let key = log_key(&mut client);
    let signed = pay(&mut client, 0);
    let _covered = covering(&mut client, &key, signed.attempt);
    let answer: RequestAnswer = client.get("/v1/requests/pay-0").json();
    let mut receipt = answer.receipt.unwrap();
    let Inclusion { checkpoint, path } = receipt.inclusion.take().expect("a proof");
    assert_eq!(receipt, signed.receipt);
    let origin = key.name().as_str().parse().unwrap();
    let keys = std::slice::from_ref(&key);
    let head = SignedCheckpoint::open(checkpoint.as_bytes(), &origin, keys).unwrap();
    verify_inclusion(leaf(&signed), signed.attempt, head.head(), &hashes(&path)).unwrap();
    // The answer to the request itself stays the same to the byte.
    let from = sender(&mut client);
    let request = transfer("pay-0", &from, &Draft::transfer(0, CUSTOMER, 1));
    assert_eq!(client.sign(&request), signed);
}

#[test]
fn tiles_give_the_whole_tree_and_no_body() {
    let world = world();
    let _daemon = world.start();
    let mut client = world.walletd();
    let key = log_key(&mut client);
    let signed = pay(&mut client, 0);
    let head = *covering(&mut client, &key, signed.attempt).head();
    let width = u16::try_from(head.size).unwrap();
    let hashes = client.get(&format!("/v1/journal/tile/0/000.p/{width}"));
    let entries = client.get(&format!("/v1/journal/tile/entries/000.p/{width}"));
    for answer in [&hashes, &entries] {
        assert_eq!(answer.status, 200, "{}", answer.text());
        let cached = answer.header("cache-control").unwrap();
        assert!(cached.contains("immutable"), "{cached}");
    }
    let tile = Tile::decode(TileId::new(0, 0, width).unwrap(), &hashes.body).unwrap();
    let leaves = decode_bundle(BundleId::new(0, width).unwrap(), &entries.body).unwrap();
    let mut tree = MemoryTree::new();
    for (leaf, hash) in leaves.iter().zip(tile.hashes()) {
        assert_eq!(leaf.len(), 33);
        assert_eq!(leaf_hash(leaf), *hash);
        tree.append(*hash).unwrap();
    }
    assert_eq!(tree.head(), head);
    let place = usize::try_from(signed.attempt).unwrap();
    assert_eq!(leaves[place], signed.receipt.leaf().unwrap());
}

#[test]
fn what_is_beyond_the_log_or_no_question_at_all_is_named() {
    let world = world();
    let daemon = world.start();
    let mut client = world.walletd();
    let key = log_key(&mut client);
    let signed = pay(&mut client, 0);
    let head = *covering(&mut client, &key, signed.attempt).head();
    let size = head.size;
    let huge = vec![0; 257];
    for (size, entries, field) in [
        (size, &[][..], "entries"),
        (size, &huge[..], "entries"),
        (size + 1_000_000, &[0][..], "size"),
        (u64::MAX, &[0][..], "size"),
        (size, &[0, size][..], "entries[1]"),
        (size, &[u64::MAX][..], "entries[0]"),
        (0, &[0][..], "entries[0]"),
    ] {
        let problem = problem(&ask_proofs(&mut client, size, entries));
        assert_eq!(problem.kind, ProblemKind::Malformed);
        assert_eq!(problem.field.as_deref(), Some(field), "{}", problem.detail);
    }
    let beyond = size + 1_000_000;
    for (path, kind) in [
        (format!("checkpoint?covers={beyond}"), ProblemKind::NotFound),
        (
            format!("checkpoint?covers={}", u64::MAX),
            ProblemKind::NotFound,
        ),
        ("checkpoint?covers=".to_owned(), ProblemKind::Malformed),
        ("checkpoint?covers=-1".to_owned(), ProblemKind::Malformed),
        (
            format!("consistency?from=1&to={beyond}"),
            ProblemKind::Malformed,
        ),
        ("consistency?from=2&to=1".to_owned(), ProblemKind::Malformed),
        ("consistency?from=1".to_owned(), ProblemKind::Malformed),
        ("tile/0/000".to_owned(), ProblemKind::NotFound),
        ("tile/0/000.p/0".to_owned(), ProblemKind::NotFound),
        ("tile/0/000.p/257".to_owned(), ProblemKind::NotFound),
        ("tile/0/0".to_owned(), ProblemKind::NotFound),
        ("tile/00/000.p/1".to_owned(), ProblemKind::NotFound),
        ("tile/64/000.p/1".to_owned(), ProblemKind::NotFound),
        (
            "tile/0/x999/x999/x999/x999/x999/x999/999.p/1".to_owned(),
            ProblemKind::NotFound,
        ),
        ("tile/entries/../../keys".to_owned(), ProblemKind::NotFound),
        ("tile/entries/000.p/1/".to_owned(), ProblemKind::NotFound),
        ("tile/data/000.p/1".to_owned(), ProblemKind::NotFound),
        ("tile/%2e%2e/000".to_owned(), ProblemKind::NotFound),
    ] {
        let problem = problem(&client.get(&format!("/v1/journal/{path}")));
        assert_eq!(problem.kind, kind, "{path}: {}", problem.detail);
    }
    for body in [json!({}), json!({"size": -1, "entries": []}), json!([1])] {
        let body = serde_json::to_vec(&body).unwrap();
        let problem = problem(&client.post("/v1/journal/proofs", &body));
        assert_eq!(problem.kind, ProblemKind::Malformed);
    }
    let empty: ConsistencyAnswer = client.get("/v1/journal/consistency?from=0&to=1").json();
    assert_eq!(empty.path, Vec::<String>::new());
    pay(&mut client, 1);
    assert_eq!(daemon.metric("signerd_sealed"), Some(0));
}

/// Or whoever waits for what is new would have one made each second, for ever.
#[test]
fn the_entry_of_a_checkpoint_calls_for_no_other_one() {
    let world = world();
    let _daemon = world.start();
    let mut client = world.walletd();
    let key = log_key(&mut client);
    let signed = pay(&mut client, 0);
    let first = *covering(&mut client, &key, signed.attempt).head();
    // The signatures have an entry of their own.
    until("a checkpoint of all", || {
        (log(&mut client).uncovered == 0).then_some(())
    });
    let own = covering(&mut client, &key, signed.attempt).head().size;
    let path = format!("/v1/journal/checkpoint?covers={own}");
    let problem = problem(&client.get(&path));
    assert_eq!(problem.kind, ProblemKind::NoCheckpoint);
    let said = format!("Entry {own} is a checkpoint's own");
    assert!(problem.detail.starts_with(&said), "{}", problem.detail);
    // It comes with the next.
    let signed = pay(&mut client, 1);
    let next = *covering(&mut client, &key, own).head();
    assert!(first.size <= own && own < signed.attempt && own < next.size);
}

#[test]
fn only_clients_with_the_grant_are_told() {
    let world = world();
    let _daemon = world.start();
    world.pki.client("auditor");
    let mut auditor = world.client("auditor");
    for path in ["checkpoint", "consistency?from=0&to=0", "tile/0/000.p/1"] {
        let problem = problem(&auditor.get(&format!("/v1/journal/{path}")));
        assert_eq!(problem.kind, ProblemKind::NotGranted);
    }
    let problem = problem(&tell(&mut auditor, "x"));
    assert_eq!(problem.kind, ProblemKind::NotGranted);
}

#[test]
fn without_a_key_everything_is_signed_and_nothing_is_proved() {
    let world = World::new();
    let _daemon = world.start();
    let mut client = world.walletd();
    let signed = pay(&mut client, 0);
    let log = log(&mut client);
    assert_eq!((log.log_key, log.checkpoint), (None, None));
    for path in [
        "/v1/journal/checkpoint".to_owned(),
        format!("/v1/journal/checkpoint?covers={}", signed.attempt),
        "/v1/journal/consistency?from=0&to=1".to_owned(),
    ] {
        let problem = problem(&client.get(&path));
        assert_eq!(problem.kind, ProblemKind::NoCheckpoint, "{path}");
        assert!(problem.detail.contains("No key"), "{}", problem.detail);
    }
    let answer: RequestAnswer = client.get("/v1/requests/pay-0").json();
    assert_eq!(answer.receipt.unwrap().inclusion, None);
}

#[test]
fn a_device_that_fails_delays_checkpoints_and_no_more() {
    let world = world().with_faults();
    let daemon = world.start();
    let mut client = world.walletd();
    let key = log_key(&mut client);
    let signed = pay(&mut client, 0);
    let first = *covering(&mut client, &key, signed.attempt).head();
    world.set_fault("device-error");
    let refused = client.send(&transfer(
        "late",
        &sender(&mut world.walletd()),
        &Draft::transfer(1, CUSTOMER, 1),
    ));
    assert_eq!(refused.status, 503, "{}", refused.text());
    daemon.metric_is("signerd_checkpoints_failed_total", |failed| failed > 0);
    let trouble = log(&mut client).trouble.expect("why");
    assert!(trouble.contains("did not sign"), "{trouble}");
    world.set_fault("none");
    let grown = *covering(&mut client, &key, first.size).head();
    assert!(grown.size > first.size);
    assert_eq!(log(&mut client).trouble, None);
    daemon.metric_is("signerd_device_healthy", |healthy| healthy == 1);
}

/// A world with a payment that is covered; its data folder before a second payment, and the newest
/// checkpoint after it.
struct Restored {
    world: World,
    older: std::path::PathBuf,
    newer: SignedCheckpoint,
}

fn restored() -> Restored {
    let world = world();
    let daemon = world.start();
    let mut client = world.walletd();
    let key = log_key(&mut client);
    let signed = pay(&mut client, 0);
    let _covered = covering(&mut client, &key, signed.attempt);
    assert!(daemon.stop().success());
    let older = world.folder().join("older");
    copy(&world.data(), &older);
    let daemon = world.start();
    client.reconnect();
    let mut signed = pay(&mut client, 1);
    for nonce in 2..8 {
        signed = pay(&mut client, nonce);
    }
    let newer = covering(&mut client, &key, signed.attempt + 1);
    daemon.kill();
    Restored {
        world,
        older,
        newer,
    }
}

#[test]
fn an_older_copy_with_the_newer_checkpoint_file_seals_by_name() {
    let Restored {
        world,
        older,
        newer,
    } = restored();
    let file = world.data().join("checkpoint");
    let remembered = fs::read(&file).unwrap();
    copy(&older, &world.data());
    fs::write(&file, remembered).unwrap();
    let mut daemon = world.launch();
    let why = daemon.not_ready("sealed");
    assert!(why.contains("known head"), "{why}");
    assert!(newer.head().size > 0);
    assert_eq!(daemon.stop().code(), Some(78));
}

/// An older copy that has no trace of the newer checkpoint, started.
fn older_copy(world: &World, older: &Path) -> (Signerd, Client) {
    copy(older, &world.data());
    let _absent = fs::remove_file(world.data().join("checkpoint"));
    let daemon = world.start();
    let client = world.walletd();
    (daemon, client)
}

fn is_sealed(world: &World, mut daemon: Signerd, mut client: Client, why: &str) {
    let told = daemon.not_ready("sealed");
    assert!(told.contains(why), "{told}");
    assert_eq!(daemon.metric("signerd_sealed"), Some(1));
    let refused = problem(&client.get("/v1/keys"));
    assert_eq!(refused.kind, ProblemKind::Sealed, "{}", refused.detail);
    assert_eq!(daemon.stop().code(), Some(78));
    // It stays so: what was seen is kept.
    let mut again = world.launch();
    let told = again.not_ready("sealed");
    assert!(told.contains("known head"), "{told}");
    assert_eq!(again.stop().code(), Some(78));
}

#[test]
fn a_longer_checkpoint_that_somebody_has_seen_seals_an_older_copy() {
    let Restored {
        world,
        older,
        newer,
    } = restored();
    let (daemon, mut client) = older_copy(&world, &older);
    let sealed = problem(&tell(&mut client, &newer.to_string()));
    assert_eq!(sealed.kind, ProblemKind::Sealed);
    is_sealed(&world, daemon, client, "older copy");
}

/// The answer does not say that nothing was decided: the attempt is charged.
#[test]
fn what_is_at_the_device_while_the_daemon_seals_is_neither_released_nor_denied() {
    let Restored {
        world,
        older,
        newer,
    } = restored();
    let (daemon, mut client) = older_copy(&world, &older);
    let draft = Draft::transfer(1, CUSTOMER, 2);
    let request = transfer("in-flight", &sender(&mut client), &draft);
    let child = daemon.child(Role::KeyChild).unwrap();
    pause(child);
    let mut other = world.walletd();
    let answer = std::thread::scope(|scope| {
        let asked = scope.spawn(|| client.send(&request));
        daemon.metric_is("signerd_attempts", |attempts| attempts == 2);
        let sealed = problem(&tell(&mut other, &newer.to_string()));
        assert_eq!(sealed.kind, ProblemKind::Sealed);
        kill_process(child, Signal::CONT).unwrap();
        asked.join().unwrap()
    });
    let told = problem(&answer);
    assert_eq!(told.kind, ProblemKind::JournalStopped, "{}", told.detail);
    assert!(told.detail.contains("older copy"), "{}", told.detail);
    is_sealed(&world, daemon, client, "older copy");
}

#[test]
fn a_checkpoint_of_another_history_that_somebody_has_seen_seals() {
    let Restored {
        world,
        older,
        newer,
    } = restored();
    let (daemon, mut client) = older_copy(&world, &older);
    for nonce in 1..12 {
        pay(&mut client, nonce);
    }
    let key = log_key(&mut client);
    let _longer = covering(&mut client, &key, newer.head().size);
    let sealed = problem(&tell(&mut client, &newer.to_string()));
    assert_eq!(sealed.kind, ProblemKind::Sealed);
    is_sealed(&world, daemon, client, "forks");
}

#[test]
fn no_other_note_changes_anything() {
    let world = world();
    let daemon = world.start();
    let mut client = world.walletd();
    let key = log_key(&mut client);
    let signed = pay(&mut client, 0);
    let first = covering(&mut client, &key, signed.attempt);
    let signed = pay(&mut client, 1);
    let second = covering(&mut client, &key, signed.attempt);
    for known in [&first, &second] {
        assert_eq!(tell(&mut client, &known.to_string()).status, 204);
    }
    let note = second.to_string();
    let size = second.head().size.to_string();
    let longer = note.replacen(&format!("\n{size}\n"), &format!("\n{size}0\n"), 1);
    let foreign = note.replacen("strongroom/", "elsewhere/", 1);
    assert!(longer != note && foreign != note);
    for wrong in [&longer, &foreign, "", "x", &note[..note.len() / 2]] {
        let refused = problem(&tell(&mut client, wrong));
        assert_eq!(refused.kind, ProblemKind::Malformed, "{wrong}");
    }
    pay(&mut client, 2);
    assert_eq!(daemon.metric("signerd_sealed"), Some(0));
}

#[test]
fn checkpoints_go_on_after_the_key_child_and_the_daemon_died() {
    let world = world();
    let daemon = world.start();
    let mut client = world.walletd();
    let key = log_key(&mut client);
    let child = daemon.child(Role::KeyChild).unwrap();
    rustix::process::kill_process(child, rustix::process::Signal::KILL).unwrap();
    let entry = log(&mut client).entries - 1;
    let first = *covering(&mut client, &key, entry).head();
    daemon.metric_is("signerd_device_healthy", |healthy| healthy == 1);
    let signed = pay(&mut client, 0);
    let second = *covering(&mut client, &key, signed.attempt).head();
    daemon.kill();
    let daemon = world.start();
    client.reconnect();
    assert_eq!(log_key(&mut client), key);
    let started = log(&mut client).entries - 1;
    let third = *covering(&mut client, &key, started).head();
    for (old, new) in [(first, second), (second, third), (first, third)] {
        let path = format!("/v1/journal/consistency?from={}&to={}", old.size, new.size);
        let answer: ConsistencyAnswer = client.get(&path).json();
        verify_consistency(&old, &new, &hashes(&answer.path)).unwrap();
    }
    assert!(daemon.stop().success());
}
