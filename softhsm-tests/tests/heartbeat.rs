//! People who do not say that they are there freeze everything, on the real daemon under a clock that is moved.

use std::{
    fs::Permissions,
    os::unix::fs::PermissionsExt as _,
    path::PathBuf,
    process::{Command, Output},
    time::Duration,
};

use api::{
    governance::{FrozenScope, HeartbeatStatus},
    problem::ProblemKind,
    signing::{SignRequest, Statement},
};
use policy::{
    Entry, FreezeScope,
    statement::{self, Heartbeat, Unfreeze},
};
use ssh_key::LineEnding;
use strongroom_softhsm_tests::{
    address,
    bundle::{FLEET, key},
    evm::{Draft, ETHER},
    program::{binary, until, until_within},
    records,
    signerd::Signerd,
    world::{Client, World, problem},
};
use tlog::checkpoint::SignedCheckpoint;
use tx::Time;

use crate::{
    clock::MovedClock,
    proposals::{governance, officer},
    support::{CUSTOMER, sender, transfer},
};

const HOUR_MILLIS: u64 = 3_600_000;
/// Longer than clocks take to be believed.
const SETTLED: Duration = Duration::from_secs(120);

/// Waits here ask more often than a client usually may.
const PATIENT: &str = "[bounds]\nrequests_per_second = 100000\n";

/// Ann and ben are asked every three days.
fn world() -> World {
    let world = World::with(|bundle| {
        bundle.set(
            "heartbeat.toml",
            "[heartbeat]\nwithin = \"72h\"\npeople = [\"ann\", \"ben\"]\n",
        );
        bundle.replace(
            "accounts.toml",
            "verbs = [\"keys\"]",
            "verbs = [\"keys\", \"govern\"]",
        );
    });
    world.with_checkpoints()
}

fn pay(from: &str, nonce: u64, id: &str) -> SignRequest {
    transfer(id, from, &Draft::transfer(nonce, CUSTOMER, ETHER / 1000))
}

/// How the heartbeat stands, once there is a checkpoint to answer.
fn standing(officer: &mut Client) -> HeartbeatStatus {
    until("a checkpoint to answer", || {
        let status = governance(officer).heartbeat.expect("a heartbeat");
        status.checkpoint.is_some().then_some(status)
    })
}

/// What is said of the checkpoint that the signer shows.
fn said(client: &mut Client, officer: &mut Client, at: Time) -> Heartbeat {
    let note = standing(officer).checkpoint.unwrap();
    let journal = client.keys().journal.unwrap();
    let log = journal.origin.parse().unwrap();
    let key = journal.log_key.unwrap().parse().unwrap();
    let checkpoint = SignedCheckpoint::open(note.as_bytes(), &log, &[key]).unwrap();
    let head = checkpoint.head();
    Heartbeat {
        fleet: FLEET.parse().unwrap(),
        log,
        seen: statement::Head {
            size: head.size,
            root: policy::Digest(*head.root.as_bytes()),
        },
        at,
    }
}

fn signed(said: &Heartbeat, person: &str) -> Statement {
    let (text, namespace) = (said.to_string(), said.header().namespace());
    Statement {
        signatures: vec![statement::sign(&text, &namespace, &key(person)).unwrap()],
        statement: text,
    }
}

/// The refusal's detail, or nothing where it was taken.
fn bring(client: &mut Client, path: &str, statement: &Statement) -> Option<String> {
    let body = serde_json::to_vec(statement).unwrap();
    let answer = client.post(path, &body);
    (answer.status != 200).then(|| {
        let problem = problem(&answer);
        assert_eq!(problem.kind, ProblemKind::StatementRefused);
        problem.detail
    })
}

fn beat(client: &mut Client, statement: &Statement) -> Option<String> {
    bring(client, "/v1/statements", statement)
}

fn everything(officer: &mut Client) -> Option<FrozenScope> {
    let freezes = governance(officer).freezes;
    freezes.into_iter().find(|one| one.scope == "everything")
}

fn unfreeze(officer: &mut Client) -> Option<String> {
    let unfreeze = Unfreeze {
        fleet: FLEET.parse().unwrap(),
        entry: everything(officer).expect("a freeze").entry,
        scope: FreezeScope::All,
    };
    let (text, namespace) = (unfreeze.to_string(), unfreeze.header().namespace());
    let sign = |person| statement::sign(&text, &namespace, &key(person)).unwrap();
    let statement = Statement {
        signatures: vec![sign("ann"), sign("ben")],
        statement: text.clone(),
    };
    bring(officer, "/v1/governance/statements", &statement)
}

/// The reasons of a refusal that a missing heartbeat gives.
fn is_held(client: &mut Client, request: &SignRequest) -> bool {
    let answer = client.send(request);
    if answer.status == 200 {
        return false;
    }
    let refused = problem(&answer);
    assert!(
        refused.reasons.iter().all(|one| one.code == "frozen"),
        "{refused:?}"
    );
    true
}

/// One heartbeat counts, and nothing of what is not quite one.
fn only_what_was_seen_by_who_is_asked(client: &mut Client, officer: &mut Client) {
    // Nobody else's word, nothing that was not seen here, and nothing from tomorrow.
    let now = client.keys().time.lo;
    let good = said(client, officer, now);
    assert!(
        beat(client, &signed(&good, "cem"))
            .unwrap()
            .contains("0 of the 1")
    );
    let mut other = good.clone();
    other.seen.root.0[0] ^= 1;
    assert!(
        beat(client, &signed(&other, "ann"))
            .unwrap()
            .contains("latest checkpoints")
    );
    let mut other = good.clone();
    other.log = "strongroom/tests/0000000000000000".parse().unwrap();
    assert!(
        beat(client, &signed(&other, "ann"))
            .unwrap()
            .contains("about the log")
    );
    let mut other = good.clone();
    other.at = Time::from_millis(now.millis() + 48 * HOUR_MILLIS);
    assert!(
        beat(client, &signed(&other, "ann"))
            .unwrap()
            .contains("has not come")
    );
    assert_eq!(beat(client, &signed(&good, "ann")), None);
    // Again it says nothing new, and no entry is made of it.
    assert_eq!(beat(client, &signed(&good, "ann")), None);
    let mut other = good.clone();
    other.at = Time::from_millis(now.millis() - 1);
    let older = beat(client, &signed(&other, "ben"));
    assert!(older.unwrap().contains("already"));
}

#[test]
fn without_a_heartbeat_everything_freezes_until_people_and_then_officers_say_otherwise() {
    let world = world();
    world.configure(PATIENT);
    world.bootstrap();
    let clock = MovedClock::of(&world);
    clock.move_to(0);
    let daemon = clock.start();
    let (mut client, mut officer) = (world.walletd(), officer(&world));
    let from = sender(&mut client);
    let first = pay(&from, 0, "first");
    client.sign(&first);
    let left = daemon.metric("signerd_heartbeat_due_seconds").unwrap();
    assert!((71 * 3600..=72 * 3600).contains(&left), "{left} s");
    let shown = client.keys().heartbeat.unwrap();
    assert_eq!((shown.within_secs, shown.overdue), (72 * 3600, false));

    // One wild reading holds everything, and is over when it is.
    clock.move_to(24 * 365);
    assert!(is_held(&mut client, &pay(&from, 1, "wild")));
    assert_eq!(problem(&client.send(&first)).kind, ProblemKind::Withheld);
    clock.move_to(0);
    until("the clock to be right", || {
        (!is_held(&mut client, &pay(&from, 1, "right"))).then_some(())
    });
    assert_eq!(client.send(&first).status, 200);
    assert_eq!(everything(&mut officer), None);

    only_what_was_seen_by_who_is_asked(&mut client, &mut officer);

    // Three days on, nobody was there.
    clock.move_to(73);
    assert!(is_held(&mut client, &pay(&from, 2, "late")));
    let frozen = until_within(SETTLED, "the freeze", || everything(&mut officer));
    assert!(daemon.metric("signerd_heartbeat_due_seconds") == Some(0));
    daemon.logged("a heartbeat is due");
    daemon.kill();
    let daemon = clock.start();
    client.reconnect();
    officer.reconnect();
    assert_eq!(everything(&mut officer).unwrap().entry, frozen.entry);
    assert!(is_held(&mut client, &pay(&from, 2, "killed")));
    assert!(
        unfreeze(&mut officer)
            .unwrap()
            .contains("bring a heartbeat first")
    );
    let late = client.keys().time.hi;
    let back = said(&mut client, &mut officer, late);
    assert_eq!(beat(&mut client, &signed(&back, "ben")), None);
    assert!(is_held(&mut client, &pay(&from, 2, "one-person")));
    assert_eq!(unfreeze(&mut officer), None);
    client.sign(&pay(&from, 2, "again"));
    assert!(daemon.stop().success());
    told(&world);
}

/// What the log says of it.
fn told(world: &World) {
    let records = records::read(&world.data());
    let of = |wanted: fn(&Entry) -> bool| {
        let found = records.iter().enumerate();
        let found = found.filter(|(_, record)| wanted(&record.entry));
        found.map(|(index, _)| index).collect::<Vec<_>>()
    };
    let beats = of(|entry| matches!(entry, Entry::Heartbeat(_)));
    let frozen = of(
        |entry| matches!(entry, Entry::Frozen { scope: FreezeScope::All, reason } if reason.contains("no heartbeat since")),
    );
    let lifted = of(|entry| matches!(entry, Entry::Unfrozen(_)));
    assert_eq!((beats.len(), frozen.len(), lifted.len()), (2, 1, 1));
    assert!(beats[0] < frozen[0] && frozen[0] < beats[1] && beats[1] < lifted[0]);
}

/// `strongroom` as an officer, who has pinned the key of the log.
fn strongroom(world: &World, to: &str, log_key: &str, more: &[&str]) -> Output {
    let (certificate, key) = world.pki.files("auditor");
    let mut command = Command::new(binary("strongroom"));
    command
        .args(["policy", more[0], "--connect", to])
        .args(&more[1..]);
    command.arg("--ca").arg(world.pki.authority());
    command
        .arg("--certificate")
        .arg(certificate)
        .arg("--key")
        .arg(key);
    if more[0] == "heartbeat" {
        command.args(["--log-key", log_key]);
    }
    command.output().unwrap()
}

fn private(world: &World, person: &str) -> PathBuf {
    let path = world.folder().join(format!("{person}.key"));
    std::fs::write(&path, &*key(person).to_openssh(LineEnding::LF).unwrap()).unwrap();
    std::fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
    path
}

#[test]
fn people_give_it_by_hand_through_the_officers_listener_of_a_signer_that_does_nothing() {
    let world = world();
    let own = address::free();
    world.configure(&format!("{PATIENT}[officers]\nlisten = \"{own}\"\n"));
    let daemon: Signerd = world.start();
    let mut client = world.walletd();
    let (mut officer, own) = (officer(&world), own.to_string());
    let before = standing(&mut officer);
    assert_eq!(before.entry, None);
    let log_key = client.keys().journal.unwrap().log_key.unwrap();
    let file = private(&world, "ben");
    let file = file.to_str().unwrap();
    let by = ["heartbeat", "--signing-key", file];
    let given = strongroom(&world, &own, &log_key, &by);
    let text = String::from_utf8_lossy(&given.stdout);
    assert!(
        given.status.success(),
        "{}",
        String::from_utf8_lossy(&given.stderr)
    );
    assert!(text.contains("the next one is due at"), "{text}");
    // A key of another log than the one that was pinned has signed nothing.
    let other = log_key.replacen(['0', '1', '2', '3'], "4", 1);
    let refused = strongroom(&world, &own, &other, &by);
    assert!(!refused.status.success());
    let shown = strongroom(&world, &own, &log_key, &["status"]);
    let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
    assert!(
        shown.contains("heartbeat   due at") && shown.contains("1 of ann, ben"),
        "{shown}"
    );
    let after = governance(&mut officer).heartbeat.unwrap();
    assert!(after.entry.is_some() && after.due.due > before.due.due);
    assert!(daemon.stop().success());
}
