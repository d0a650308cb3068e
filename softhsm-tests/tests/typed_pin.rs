//! A PIN that somebody types when the daemon starts.

use std::{
    fs,
    io::Write as _,
    process::{ChildStdin, Command},
};

use rustix::process::{Signal, kill_process};
use strongroom_softhsm_tests::{
    evm::Draft,
    program::{binary, output, until},
    signerd::{Role, Signerd, signerd},
    token::PIN,
    world::World,
};

use crate::support::{CUSTOMER, sender, transfer};

const PROMPT: &str = "the PIN of the token";
const WRONG: &str = "99999999";

/// A world in which no file has the PIN.
fn world() -> World {
    let world = World::new().with_faults();
    world.bootstrap();
    let file = format!("pin_file = {:?}", world.token.pin_file());
    let config = fs::read_to_string(world.config()).unwrap();
    assert!(config.contains(&file), "{config}");
    fs::write(world.config(), config.replace(&file, "pin_prompt = true")).unwrap();
    fs::remove_file(world.token.pin_file()).unwrap();
    world
}

/// How often it was asked for, in all lives.
fn asked(daemon: &Signerd) -> usize {
    daemon.said().matches(PROMPT).count()
}

/// A daemon at a terminal, at which this is typed when it is asked for the time of this number.
fn start(world: &World, time: usize, typed: &str) -> (Signerd, ChildStdin) {
    let (daemon, mut input) = Signerd::at_terminal(&world.config(), world.health());
    until("the question", || (asked(&daemon) == time).then_some(()));
    input.write_all(format!("{typed}\n").as_bytes()).unwrap();
    (daemon, input)
}

#[test]
fn it_is_asked_for_once_and_serves_for_children_that_are_started_anew() {
    let world = world();
    let checked = signerd(&world.config(), &["--check"]);
    assert!(checked.status.success(), "{checked:?}");
    let (daemon, _input) = start(&world, 1, PIN);
    let daemon = daemon.ready();
    let mut client = world.walletd();
    let from = sender(&mut client);
    client.sign(&transfer("one", &from, &Draft::transfer(0, CUSTOMER, 1)));
    let child = daemon.child(Role::KeyChild).unwrap();
    kill_process(child, Signal::KILL).unwrap();
    let two = transfer("two", &from, &Draft::transfer(1, CUSTOMER, 1));
    until("a signature by another child", || {
        (client.send(&two).status == 200).then_some(())
    });
    assert_ne!(daemon.child(Role::KeyChild), Some(child));
    assert_eq!((asked(&daemon), world.logins()), (1, 2));
    let said = daemon.said();
    assert!(!said.contains(PIN), "{said}");
    assert!(daemon.stop().success());
}

#[test]
fn a_wrong_one_is_tried_once_and_not_asked_for_again_before_a_person_acts() {
    let world = world();
    let mark = world.data().join("pin-rejected");
    let (mut daemon, _input) = start(&world, 1, WRONG);
    daemon.not_ready("rejected the PIN");
    until("the mark", || mark.exists().then_some(()));
    assert!(!daemon.said().contains(WRONG), "{}", daemon.said());
    assert!(daemon.stop().success());
    let (mut daemon, _input) = Signerd::at_terminal(&world.config(), world.health());
    daemon.not_ready("rejected the PIN");
    assert_eq!((asked(&daemon), world.logins()), (1, 1));
    assert!(daemon.stop().success());
    fs::remove_file(mark).unwrap();
    let (daemon, _input) = start(&world, 2, PIN);
    let daemon = daemon.ready();
    assert_eq!(world.logins(), 2);
    assert!(daemon.stop().success());
}

#[test]
fn without_a_terminal_it_is_not_started() {
    let world = world();
    let mut command = Command::new(binary("signerd"));
    let refused = output(command.arg("--config").arg(world.config()));
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success(), "{said}");
    assert!(said.contains("there is no terminal to ask at"), "{said}");
    assert_eq!(world.logins(), 0);
}
