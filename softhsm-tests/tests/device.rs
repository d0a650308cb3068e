//! A device that is gone, hangs, rejects the PIN or is full.

use std::fs;

use api::problem::ProblemKind;
use rustix::process::{Signal, kill_process};
use strongroom_softhsm_tests::{
    ask::units,
    disk::SmallDisk,
    evm::{Draft, ETHER},
    program::{is_running, output, pause, until},
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

/// Who asks again is never told that nothing was charged where the charge stands.
#[test]
fn without_its_device_a_charged_request_is_not_called_uncharged() {
    let world = World::new().with_faults();
    let mut daemon = world.start();
    let mut client = world.walletd();
    let from = sender(&mut client);
    world.set_fault("corrupt");
    let request = transfer("pay", &from, &Draft::transfer(0, CUSTOMER, ETHER));
    assert_eq!(client.refused(&request).kind, ProblemKind::OutcomeUnknown);
    assert_eq!(client.used("eth-day"), units(ETHER));
    let away = world.folder().join("away");
    fs::rename(world.token.tokens(), &away).unwrap();
    if let Some(child) = daemon.child(Role::KeyChild) {
        // It may have been killed for its signature in this moment.
        let _ = kill_process(child, Signal::KILL);
    }
    daemon.not_ready("no device");
    assert_eq!(client.refused(&request).kind, ProblemKind::OutcomeUnknown);
    let other = transfer("other", &from, &Draft::transfer(1, CUSTOMER, ETHER));
    let answer = client.send(&other);
    assert_eq!(problem(&answer).kind, ProblemKind::NoDevice);
    let again = answer.header("retry-after").unwrap();
    assert!((1..=11).contains(&again.parse::<u32>().unwrap()), "{again}");

    world.set_fault("none");
    fs::rename(&away, world.token.tokens()).unwrap();
    let _daemon = daemon.ready();
    client.sign(&request);
    assert_eq!(client.used("eth-day"), units(ETHER));
}

/// One that fails again and again is left alone: a request is refused at once, and nothing is charged.
#[test]
fn a_device_that_fails_again_and_again_is_asked_by_probes_alone() {
    let world = World::new().with_faults();
    world.configure("[bounds]\nrequests_per_second = 10000");
    let mut daemon = world.start();
    let mut client = world.walletd();
    let from = sender(&mut client);
    world.set_fault("session-invalid");
    let request = |nonce| {
        let draft = Draft::transfer(nonce, CUSTOMER, ETHER);
        transfer(&format!("pay-{nonce}"), &from, &draft)
    };
    // Each makes three calls of the device, unless its breaker is open by then.
    let mut charged = Vec::new();
    let refused = until("a refusal", || {
        let request = request(charged.len() as u64);
        let refused = client.refused(&request);
        if refused.kind == ProblemKind::NoDevice {
            return Some(refused);
        }
        assert_eq!(refused.kind, ProblemKind::OutcomeUnknown, "{refused:?}");
        charged.push(request);
        None
    });
    assert!(
        refused.detail.contains("again and again"),
        "{}",
        refused.detail
    );
    assert!(charged.len() >= 2, "{}", charged.len());
    let amount = ETHER * charged.len() as u128;
    assert_eq!(client.used("eth-day"), units(amount));
    assert_eq!(world.signed().len(), 0);
    world.set_fault("none");
    daemon = daemon.ready();
    for request in &charged {
        until("a signature", || {
            (client.send(request).status == 200).then_some(())
        });
    }
    assert_eq!(client.used("eth-day"), units(amount));
    assert!(daemon.stop().success());
    let records = records::read(&world.data());
    assert_eq!(records::attempts(&records).len(), charged.len());
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
    pause(hung);
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
