//! A bundle names the devices whose keys are used: of two tokens with the same keys, the one that it names signs.

use std::fs;

use api::problem::ProblemKind;
use strongroom_softhsm_tests::{
    evm::Draft,
    program::{binary, output, until},
    signerd::{Signerd, usable},
    token::LABEL,
    world::{MAIN, REPLICA, World, problem},
};

use crate::{
    proposals::reload,
    support::{CUSTOMER, sender, transfer},
};

/// A serial number of neither token.
const NOBODYS: &str = "0123456789abcdef";

/// The bundle of the world with these devices named, signed by two officers.
fn names(world: &World, sequence: u64, serials: &[&str]) {
    let mut bundle = world.bundle.clone();
    bundle.append(
        "people.toml",
        &format!("\n[devices]\nserials = {serials:?}\n"),
    );
    bundle.write(&world.policy(), sequence, &["ann", "ben"]);
}

/// Which of the tokens is asked.
fn are_usable(daemon: &Signerd, [main, replica]: [u64; 2]) {
    daemon.metric_is(&usable(MAIN), |now| now == main);
    daemon.metric_is(&usable(REPLICA), |now| now == replica);
}

/// `strongroom doctor`, as far as it is about devices.
fn doctor(world: &World) -> String {
    let mut command = std::process::Command::new(binary("strongroom"));
    command
        .args(["--json", "doctor", "--config"])
        .arg(world.config());
    let said = output(&mut command).stdout;
    let said: serde_json::Value = serde_json::from_slice(&said).unwrap();
    let checks = said["checks"].as_array().unwrap();
    let mut checks = checks.iter().filter(|check| check["name"] == "device");
    let check = checks.next().unwrap_or_else(|| panic!("{said:#}"));
    check["status"].as_str().unwrap().to_owned()
}

#[test]
fn a_token_is_found_by_its_serial_number_alone() {
    let world = World::new();
    let serial = world.token.serial();
    let config = fs::read_to_string(world.config()).unwrap();
    let label = format!("token = \"{LABEL}\"");
    assert!(config.contains(&label), "{config}");
    let by_serial = |serial: &str| config.replace(&label, &format!("serial = {serial:?}"));
    fs::write(world.config(), by_serial(NOBODYS)).unwrap();
    let mut daemon = world.launch();
    daemon.not_ready("no token has the label and serial number");
    assert!(daemon.stop().success());
    fs::write(world.config(), by_serial(&serial)).unwrap();
    let daemon = world.start();
    let mut client = world.walletd();
    let from = sender(&mut client);
    client.sign(&transfer("pay", &from, &Draft::transfer(0, CUSTOMER, 1)));
    assert!(daemon.stop().success());
}

#[test]
fn a_key_is_used_on_the_devices_that_the_bundle_names_alone() {
    let world = World::new().with_faults();
    let other = world.token.copy(world.folder().join("replica"));
    other.change_serial();
    let (first, second) = (world.token.serial(), other.serial());
    assert_ne!(first, second);
    let world = world.with_replica_token(other);
    let daemon = world.start();
    are_usable(&daemon, [1, 1]);
    let mut client = world.walletd();
    let from = sender(&mut client);
    let pay = |nonce| {
        transfer(
            &format!("pay-{nonce}"),
            &from,
            &Draft::transfer(nonce, CUSTOMER, 1),
        )
    };
    client.sign(&pay(0));

    // In mid-run: each by itself, then neither.
    names(&world, 2, &[&second]);
    reload(&daemon);
    are_usable(&daemon, [0, 1]);
    client.reconnect();
    let before = world.signed_by(MAIN).len();
    client.sign(&pay(1));
    assert_eq!(world.signed_by(MAIN).len(), before);
    daemon.logged("the bundle names no device with the serial number");
    assert_eq!(doctor(&world), "fail");
    names(&world, 3, &[&first, NOBODYS]);
    reload(&daemon);
    are_usable(&daemon, [1, 0]);
    client.reconnect();
    client.sign(&pay(2));
    assert_eq!(doctor(&world), "ok");
    names(&world, 4, &[NOBODYS]);
    reload(&daemon);
    are_usable(&daemon, [0, 0]);
    client.reconnect();
    let answer = client.send(&pay(3));
    assert_eq!(problem(&answer).kind, ProblemKind::NoDevice);
    until("what is wrong", || {
        let detail = problem(&client.send(&pay(3))).detail;
        detail.contains("the bundle names no device").then_some(())
    });
    assert!(daemon.stop().success());

    // And from the start.
    let mut daemon = world.launch();
    daemon.not_ready("the bundle names no device");
    names(&world, 5, &[&first, &second]);
    reload(&daemon);
    are_usable(&daemon, [1, 1]);
    client.reconnect();
    client.sign(&pay(3));
    assert!(daemon.stop().success());
}
