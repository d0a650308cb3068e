//! The same request again, whatever happened in between.

use api::problem::ProblemKind;
use rustix::process::Signal;
use strongroom_softhsm_tests::{
    ask::units,
    evm::{Draft, ETHER},
    world::{World, problem},
};

use crate::support::{CUSTOMER, sender, transfer};

#[test]
fn the_same_request_gets_the_same_bytes_also_after_restart_and_kill() {
    let world = World::new();
    let mut daemon = world.start();
    let mut client = world.walletd();
    let from = sender(&mut client);
    let request = transfer("pay", &from, &Draft::transfer(0, CUSTOMER, ETHER));
    let first = client.send(&request);
    assert_eq!(first.status, 200, "{}", first.text());
    assert_eq!(client.send(&request).body, first.body);

    assert!(daemon.stop().success());
    daemon = world.start();
    client.reconnect();
    assert_eq!(client.send(&request).body, first.body);

    daemon.kill();
    daemon = world.start();
    client.reconnect();
    assert_eq!(client.send(&request).body, first.body);
    assert_eq!(client.used("eth-day"), units(ETHER));

    // The server alone: the supervisor ends with it, as systemd should see.
    let server = daemon
        .child(strongroom_softhsm_tests::signerd::Role::Server)
        .unwrap();
    rustix::process::kill_process(server, Signal::KILL).unwrap();
    assert!(!daemon.wait().success());
    daemon = world.start();
    client.reconnect();
    assert_eq!(client.send(&request).body, first.body);
    drop(daemon);
}

#[test]
fn a_request_id_with_another_content_is_a_conflict() {
    let world = World::new();
    let _daemon = world.start();
    let mut client = world.walletd();
    let from = sender(&mut client);
    client.sign(&transfer(
        "pay",
        &from,
        &Draft::transfer(0, CUSTOMER, ETHER),
    ));
    let other = client.send(&transfer(
        "pay",
        &from,
        &Draft::transfer(1, CUSTOMER, 2 * ETHER),
    ));
    assert_eq!(other.status, 409);
    assert_eq!(problem(&other).kind, ProblemKind::RequestReused);
    assert_eq!(client.used("eth-day"), units(ETHER));
}
