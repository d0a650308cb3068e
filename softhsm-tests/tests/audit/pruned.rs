//! A journal long enough for a state root: started from its snapshot, exported, pruned, and still known.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
    sync::Arc,
    thread,
    time::Duration,
};

use api::problem::ProblemKind;
use journal::{BundleStore, Reply, SystemClock};
use strongroom_softhsm_tests::{
    evm::Draft,
    program::{binary, output, until},
    signerd::signerd,
    unseal::sign_as,
    world::World,
};

use super::{Audited, good};
use crate::support::{CUSTOMER, sender, transfer};

/// After so many entries there is a state root.
const ROOTED: u64 = 1 << 15;

/// Fills a journal that nothing runs on, as years would: one segment of long entries, and many short ones.
fn age(world: &World) {
    let clock = Arc::new(SystemClock::new().unwrap());
    let bundles = BundleStore::of(&world.data());
    let opening = journal::open(&world.data(), &bundles, clock, "a test").unwrap();
    let journal = opening.journal;
    for n in 0..ROOTED {
        let reason = match n {
            0..4_300 => "x".repeat(16 * 1024),
            _ => format!("{n}"),
        };
        journal.policy_refused(reason, Reply::new(drop));
    }
    let (sender, stopped) = std::sync::mpsc::channel();
    journal.stop("aged".into(), Reply::new(move |it| drop(sender.send(it))));
    stopped
        .recv_timeout(Duration::from_secs(120))
        .unwrap()
        .unwrap();
    drop(journal);
    opening.writer.join();
}

#[test]
fn a_journal_is_started_from_its_snapshot_exported_and_pruned_and_knows_what_it_did() {
    let world = World::with(|bundle| bundle.append("accounts.toml", super::EXAMINER));
    let (audited, daemon) = Audited::on(world);
    let world = &audited.world;
    let mut client = world.walletd();
    let from = sender(&mut client);
    let request = transfer("pay", &from, &Draft::transfer(0, CUSTOMER, 1));
    let first = client.send(&request);
    assert_eq!(first.status, 200, "{}", first.text());
    assert!(daemon.stop().success());
    age(world);

    // The whole journal is read, and a snapshot follows.
    let daemon = world.start();
    let snapshot = world.data().join("snapshot");
    until("a snapshot", || snapshot.exists().then_some(()));
    let (folder, _) = audited.export("export");
    audited.is_whole(&folder);
    assert!(daemon.stop().success());
    let daemon = world.start();
    daemon.logged("from a snapshot");
    client.reconnect();
    assert_eq!(client.send(&request).body, first.body);
    assert_eq!(daemon.metric("signerd_snapshots_refused_total"), Some(0));
    assert!(daemon.stop().success());

    // One that does not hold is refused, loudly, and changes nothing.
    let whole = fs::read(&snapshot).unwrap();
    let mut flipped = whole.clone();
    flipped[whole.len() / 2] ^= 1;
    fs::write(&snapshot, &flipped).unwrap();
    let daemon = world.start();
    daemon.logged("the snapshot is refused");
    assert_eq!(daemon.metric("signerd_snapshots_refused_total"), Some(1));
    client.reconnect();
    assert_eq!(client.send(&request).body, first.body);
    until("another snapshot", || {
        let is_new = fs::read(&snapshot).is_ok_and(|now| now != flipped);
        is_new.then_some(())
    });
    assert!(daemon.stop().success());
    prune(&audited, &folder);

    let daemon = world.start();
    assert!(!world.data().join("0000000000.seg").exists());
    client.reconnect();
    for answer in [client.send(&request), client.get("/v1/requests/pay")] {
        let problem = strongroom_softhsm_tests::world::problem(&answer);
        assert_eq!((answer.status, problem.kind), (410, ProblemKind::Pruned));
    }
    // What it paid, it does not pay again under another name; what is new is paid.
    let mut again = transfer("again", &from, &Draft::transfer(1, CUSTOMER, 1));
    again.intents.clone_from(&request.intents);
    assert_eq!(client.send(&again).status, 422);
    client.sign(&transfer("next", &from, &Draft::transfer(1, CUSTOMER, 1)));
    // Whoever has the export goes on with it.
    let (folder, answer) = audited.export("export");
    assert!(answer["from"].as_u64().unwrap() > ROOTED);
    audited.is_whole(&folder);
    // And every entry is proved to be there as before.
    let question = format!(r#"{{"size":{ROOTED},"entries":[2,9,4000]}}"#);
    let proofs = client.post("/v1/journal/proofs", question.as_bytes());
    assert_eq!(proofs.status, 200, "{}", proofs.text());
    drop(daemon);
}

/// A bit of the first segment, which no start from the snapshot reads.
#[test]
fn a_bit_that_flips_in_an_early_segment_stops_a_daemon_that_never_read_it_and_seals_it_by_name() {
    let world = World::with(|bundle| bundle.append("accounts.toml", super::EXAMINER));
    let (audited, daemon) = Audited::on(world);
    let world = &audited.world;
    daemon.metric_is("signerd_scrub_finished_timestamp_seconds", |secs| secs > 0);
    let answer = world.walletd().keys();
    let scrub = answer.journal.unwrap().scrub.unwrap();
    assert!(scrub.entries > 0 && scrub.finished.is_some(), "{scrub:?}");
    assert!(daemon.stop().success());
    age(world);
    let daemon = world.start();
    let snapshot = world.data().join("snapshot");
    until("a snapshot", || snapshot.exists().then_some(()));
    assert!(daemon.stop().success());
    let first = world.data().join("0000000000.seg");
    let whole = fs::read(&first).unwrap();
    let mut flipped = whole.clone();
    flipped[whole.len() / 64] ^= 1;
    fs::write(&first, &flipped).unwrap();

    let mut daemon = world.relaunch();
    daemon.logged("from a snapshot");
    let why = until("the damage", || {
        let why = daemon.not_ready("");
        why.starts_with("sealed: ").then_some(why)
    });
    let name = "group-damaged-within";
    assert!(why.starts_with(&format!("sealed: {name}: ")), "{why}");
    let by = format!("signerd_sealed_by{{name=\"{name}\"}}");
    assert_eq!(daemon.metric(&by), Some(1));
    daemon.logged(&format!("\"seal\":\"{name}\""));
    assert_eq!(daemon.stop().code(), Some(78));

    let mut daemon = world.relaunch();
    let why = daemon.not_ready("sealed: ");
    assert!(why.starts_with(&format!("sealed: {name}: ")), "{why}");
    assert_eq!(daemon.stop().code(), Some(78));

    // The segment is put back, and all of it is read again.
    fs::write(&first, &whole).unwrap();
    let daemon = world.start();
    daemon.logged("from a snapshot");
    assert!(!world.data().join("log.damaged").exists());
    // From the beginning, whatever was read before.
    daemon.metric_is("signerd_scrubbed_entries_total", |entries| entries > 99);
    assert!(daemon.metric("signerd_sealed") == Some(0));
    assert!(daemon.stop().success());
}

fn prune(audited: &Audited, folder: &std::path::Path) {
    let (world, statement) = (&audited.world, audited.path("prune"));
    let mut command =
        std::process::Command::new(strongroom_softhsm_tests::program::binary("strongroom"));
    command.args(["--json", "audit", "prune", "--log-key", &audited.key]);
    command
        .args(["--before", "2100-01-01", "--out"])
        .arg(&statement);
    let composed = good(&output(command.arg(folder)));
    assert_eq!(composed["namespace"], "strongroom-prune-v1");
    let pruned = |people: &[&str]| {
        let mut arguments = vec!["--prune", statement.to_str().unwrap()];
        let signatures = sign_as(&statement, "strongroom-prune-v1", people);
        for signature in &signatures {
            arguments.extend(["--signature", signature.to_str().unwrap()]);
        }
        signerd(&world.config(), &arguments)
    };
    let refused = pruned(&["ann"]);
    let said = String::from_utf8(refused.stderr).unwrap();
    assert!(
        !refused.status.success() && said.contains("prune-quorum"),
        "{said}"
    );
    assert!(world.data().join("0000000000.seg").exists());
    killed_at_any_time(world, &statement);
    let done = pruned(&["ann", "ben"]);
    let said = String::from_utf8_lossy(&done.stderr);
    // Unless one of those that were killed had done it.
    assert!(
        done.status.success() || said.contains("prune-nothing"),
        "{said}"
    );
}

/// Whoever prunes is killed, later and later: the journal goes on with or without what goes.
fn killed_at_any_time(world: &World, statement: &Path) {
    let namespace = "strongroom-prune-v1";
    let signatures = sign_as(statement, namespace, &["ann", "ben"]);
    for millis in (0..400).step_by(40) {
        let mut command = Command::new(binary("signerd"));
        command.arg("--config").arg(world.config());
        command.arg("--prune").arg(statement);
        for signature in &signatures {
            command.arg("--signature").arg(signature);
        }
        let mut pruning = command.stderr(Stdio::null()).spawn().unwrap();
        thread::sleep(Duration::from_millis(millis));
        pruning.kill().unwrap();
        pruning.wait().unwrap();
        let daemon = world.start();
        daemon.logged("from a snapshot");
        drop(daemon);
    }
}
