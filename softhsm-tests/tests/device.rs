//! A device that is gone, hangs, rejects the PIN or is full.

use std::fs;

use api::problem::ProblemKind;
use rustix::process::{Signal, kill_process};
use strongroom_softhsm_tests::{
    ask::units,
    disk::SmallDisk,
    evm::{Draft, ETHER},
    program::{is_running, output, until},
    records,
    signerd::Role,
    token::PIN,
    world::{World, problem},
};

use crate::support::{CUSTOMER, sender, transfer};

#[test]
fn without_its_device_a_request_is_refused_before_anything_is_charged() {
    let world = World::new();
    let mut daemon = world.start();
    let mut client = world.walletd();
    let from = sender(&mut client);
    let first = transfer("first", &from, &Draft::transfer(0, CUSTOMER, ETHER));
    let signed = client.send(&first);
    assert_eq!(signed.status, 200);

    let away = world.folder().join("away");
    fs::rename(world.token.tokens(), &away).unwrap();
    kill_process(daemon.child(Role::KeyChild).unwrap(), Signal::KILL).unwrap();
    daemon.not_ready("no device");
    let second = transfer("second", &from, &Draft::transfer(1, CUSTOMER, ETHER));
    let answer = client.send(&second);
    assert_eq!(
        problem(&answer).kind,
        ProblemKind::NoDevice,
        "{}",
        answer.text()
    );
    assert_eq!(client.used("eth-day"), units(ETHER));
    assert_eq!(client.get("/v1/requests/second").status, 404);
    // What is signed needs no device.
    assert_eq!(client.send(&first).body, signed.body);

    // It comes back by itself.
    fs::rename(&away, world.token.tokens()).unwrap();
    daemon = daemon.ready();
    client.sign(&second);
    assert_eq!(client.used("eth-day"), units(2 * ETHER));
    assert!(daemon.stop().success());
    let records = records::read(&world.data());
    assert_eq!(records::attempts(&records).len(), 2);
}

#[test]
fn a_hanging_device_is_killed_and_the_request_ends_in_one_signature() {
    let world = World::new();
    world.configure("call_timeout_ms = 300");
    let daemon = world.start();
    let mut client = world.walletd();
    let from = sender(&mut client);
    let pid = daemon.pid();
    let hung = daemon.child(Role::KeyChild).unwrap();
    kill_process(hung, Signal::STOP).unwrap();
    let request = transfer("pay", &from, &Draft::transfer(0, CUSTOMER, ETHER));
    let answer = until("a signature", || {
        let answer = client.send(&request);
        match answer.status {
            200 => Some(answer),
            503 => None,
            _ => panic!("{}", answer.text()),
        }
    });
    assert_eq!(client.send(&request).body, answer.body);
    assert_ne!(daemon.child(Role::KeyChild), Some(hung));
    assert_eq!(daemon.pid(), pid);
    assert_eq!(client.used("eth-day"), units(ETHER));
    assert!(daemon.stop().success());
    assert_eq!(records::attempts(&records::read(&world.data())).len(), 1);
}

#[test]
fn a_rejected_pin_is_final_until_a_person_acts() {
    let world = World::new().with_faults();
    world.token.write_pin("99999999");
    let mark = world.data().join("pin-rejected");
    for _ in 0..2 {
        let mut daemon = world.launch();
        daemon.not_ready("rejected the PIN");
        until("the mark", || mark.exists().then_some(()));
        until("no key child", || {
            daemon.child(Role::KeyChild).is_none().then_some(())
        });
        let answer = world.walletd().get("/v1/keys");
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert!(daemon.stop().success());
    }
    let log =
        fs::read_to_string(strongroom_softhsm_tests::signerd::log_of(&world.config())).unwrap();
    // One login in two lives, and no PIN in the log.
    assert_eq!(world.logins(), 1, "{log}");
    assert!(!log.contains("99999999"), "{log}");
    // The right PIN alone is not enough: a person says that it is right.
    world.token.write_pin(PIN);
    let mut daemon = world.launch();
    daemon.not_ready("rejected the PIN");
    assert!(daemon.stop().success());
    fs::remove_file(mark).unwrap();
    let _daemon = world.start();
    let mut client = world.walletd();
    let from = sender(&mut client);
    client.sign(&transfer("pay", &from, &Draft::transfer(0, CUSTOMER, 1)));
}

/// SoftHSM writes its token in place when it logs in.
#[test]
fn nothing_but_time_ends_a_login() {
    let world = World::new().with_faults();
    for (life, signal) in (1..).zip([Signal::TERM, Signal::KILL]) {
        world.set_fault("hold-login");
        let mut daemon = world.launch();
        until("a login", || (world.logins() == life).then_some(()));
        let child = daemon.child(Role::KeyChild).unwrap();
        let server = daemon.child(Role::Server).unwrap();
        daemon.signal(signal);
        until("the server's end", || (!is_running(server)).then_some(()));
        assert!(is_running(child));
        assert_eq!(world.logged_in(), life - 1);
        world.set_fault("none");
        until("the child's end", || (!is_running(child)).then_some(()));
        daemon.wait();
        assert_eq!(world.logged_in(), life);
        // Nobody waited until the login was given up.
        assert!(!daemon.said().contains("the device cannot be used"));
    }
    let _daemon = world.start();
    let mut client = world.walletd();
    let from = sender(&mut client);
    client.sign(&transfer("pay", &from, &Draft::transfer(0, CUSTOMER, 1)));
}

#[test]
fn a_token_without_room_takes_no_key_and_goes_on_signing() {
    let world = World::new();
    let small = SmallDisk::mount(world.token.tokens(), "1m");
    let _daemon = world.start();
    small.fill();
    let mut command = world.token.command("generate", &["--name", "one-too-many"]);
    let refused = output(&mut command);
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success(), "{said}");
    assert!(said.contains("full") || said.contains("room"), "{said}");
    let mut client = world.walletd();
    let from = sender(&mut client);
    client.sign(&transfer("pay", &from, &Draft::transfer(0, CUSTOMER, 1)));
    let listed = strongroom_softhsm_tests::program::run(&mut world.token.command("list", &[]));
    let listed = String::from_utf8_lossy(&listed.stdout);
    assert!(
        listed.contains("eth-1") && !listed.contains("one-too-many"),
        "{listed}"
    );
}
