//! The disk under a daemon that runs: killed at each write and flush of a payment, and a flush that fails.

use std::{fs, process::Command};

use api::problem::ProblemKind;
use policy::Entry;
use strongroom_softhsm_tests::{
    ask::units,
    evm::Draft,
    program::{Running, until},
    records,
    signerd::{Role, Signerd},
    world::{World, problem},
};

use crate::support::{CUSTOMER, sender, transfer};

/// A tracer that spoils a kind of call of the daemon's server, as `strace` words it. It is in place when
/// this returns.
fn spoiled(world: &World, daemon: &Signerd, call: &str, how: &str) -> Running {
    let server = daemon.child(Role::Server).expect("a server");
    let pid = server.as_raw_nonzero().to_string();
    let mut command = Command::new("strace");
    command.args(["-f", "-qq", "-o", "/dev/null", "-p", &pid]);
    command.args(["-e", &format!("trace={call}")]);
    command.args(["-e", &format!("inject={call}:{how}")]);
    let tracer = Running::start(&mut command, &world.folder().join("strace.log"));
    until("a tracer of every thread", || {
        let tasks = fs::read_dir(format!("/proc/{pid}/task")).ok()?;
        let is_traced = |status: String| !status.contains("TracerPid:\t0\n");
        let mut statuses =
            tasks.map(|task| fs::read_to_string(task.ok()?.path().join("status")).ok());
        statuses
            .all(|status| status.is_some_and(is_traced))
            .then_some(())
    });
    tracer
}

#[test]
fn killed_at_each_write_and_flush_of_a_payment_it_pays_once() {
    let world = World::new();
    let mut paid = 0;
    let mut killed = 0;
    for call in ["pwrite64", "fdatasync"] {
        for n in 1.. {
            let daemon = world.start();
            let mut client = world.walletd();
            let from = sender(&mut client);
            let draft = Draft::transfer(paid, CUSTOMER, 1);
            let asked = transfer(&format!("pay-{paid}"), &from, &draft);
            let tracer = spoiled(&world, &daemon, call, &format!("signal=KILL:when={n}"));
            let body = serde_json::to_vec(&asked).unwrap();
            let answer = client.connection().post("/v1/sign", &body);
            let is_answered = answer.is_ok_and(|answer| answer.status == 200);
            drop(tracer);
            daemon.kill();
            let daemon = world.start();
            client.reconnect();
            client.sign(&asked);
            paid += 1;
            assert_eq!(client.used("eth-day"), units(paid.into()), "{call} {n}");
            assert!(daemon.stop().success());
            if is_answered {
                break;
            }
            killed += 1;
        }
    }
    // A charge and its signatures are written and flushed each.
    assert!(killed >= 4, "killed {killed} times");
    let records = records::read(&world.data());
    let signed = records.iter();
    let signed = signed.filter(|record| matches!(record.entry, Entry::Signed(_)));
    assert_eq!(signed.count() as u64, paid);
    assert_eq!(records::attempts(&records).len() as u64, paid);
}

/// What a flush could not write may be gone, whatever a later one says: that of the authorisation, and that of the
/// signature.
#[test]
fn a_flush_that_fails_once_stops_the_journal_and_releases_nothing() {
    let world = World::new();
    for (first, flush) in [(0, 1), (3, 2)] {
        let mut daemon = world.start();
        let mut client = world.walletd();
        let from = sender(&mut client);
        let pay = |nonce: u64| {
            let draft = Draft::transfer(nonce, CUSTOMER, 1);
            transfer(&format!("pay-{nonce}"), &from, &draft)
        };
        client.sign(&pay(first));
        let how = format!("error=EIO:when={flush}");
        let tracer = spoiled(&world, &daemon, "fdatasync", &how);
        for nonce in [first + 1, first + 1, first + 2] {
            let refused = client.send(&pay(nonce));
            assert_eq!(problem(&refused).kind, ProblemKind::JournalStopped);
        }
        let why = daemon.not_ready("journal");
        assert!(!why.starts_with("no device"), "{why}");
        drop(tracer);
        daemon.kill();
        let daemon = world.start();
        client.reconnect();
        for nonce in first..first + 3 {
            client.sign(&pay(nonce));
        }
        assert_eq!(client.used("eth-day"), units(u128::from(first + 3)));
        assert!(daemon.stop().success());
    }
    let records = records::read(&world.data());
    assert_eq!(records::attempts(&records).len(), 6);
}
