//! What the key child and the server may not do, attempted from inside each of them.

use std::{fs, process::Command};

use strongroom_softhsm_tests::{
    evm::{Draft, ETHER},
    program::{binary, is_running, until},
    signerd::{Role, Signerd, log_of},
    world::World,
};

use crate::support::{CUSTOMER, sender, transfer};

/// All that `shim/attempt.rs` knows and that ends who attempts it.
const ATTEMPTS: [&str; 12] = [
    "exec",
    "fork",
    "ptrace",
    "connect",
    "netlink",
    "read-memory",
    "code",
    "dumpable",
    "namespace",
    "filter",
    "keys",
    "user",
];

/// How the supervisor's log says that it was no other end.
const VIOLATION: &str = "ended at a system call that it may not make";

#[test]
fn a_module_that_does_what_it_may_not_ends_and_the_next_child_signs() {
    let world = World::new().with_faults();
    let mut daemon = world.start();
    let mut client = world.walletd();
    let from = sender(&mut client);
    let attempt = world.folder().join("attempt");
    let survived = world.folder().join("survived");
    for (nonce, name) in (0..).zip(ATTEMPTS) {
        let child = daemon.child(Role::KeyChild).unwrap();
        fs::write(&attempt, name).unwrap();
        let request = transfer(name, &from, &Draft::transfer(nonce, CUSTOMER, ETHER / 1000));
        let answer = client.send(&request);
        until("the end of the key child", || {
            (!is_running(child)).then_some(())
        });
        assert!(!survived.exists(), "{name}");
        assert!(!attempt.exists(), "{name}");
        daemon = daemon.ready();
        // Its authorisation was made, and is used up in another child.
        if answer.status != 200 {
            client.sign(&request);
        }
    }
    let said = daemon.said();
    assert_eq!(said.matches(VIOLATION).count(), ATTEMPTS.len(), "{said}");
    fs::write(&attempt, "nothing").unwrap();
    let last = u64::try_from(ATTEMPTS.len()).unwrap();
    client.sign(&transfer(
        "last",
        &from,
        &Draft::transfer(last, CUSTOMER, ETHER / 1000),
    ));
    assert!(survived.exists());
}

#[test]
fn a_server_that_does_what_it_may_not_ends_and_is_started_again() {
    let world = World::new();
    world.bootstrap();
    let attempt = world.folder().join("attempt");
    let survived = world.folder().join("survived");
    let config = world.config();
    for name in ["nothing"].into_iter().chain(ATTEMPTS) {
        let _ = fs::remove_file(log_of(&config));
        let mut command = Command::new(binary("signerd"));
        command
            .env("LD_PRELOAD", binary("libfault_shim.so"))
            .env("ATTEMPT_FOLDER", world.folder())
            .arg("--config")
            .arg(&config);
        let mut daemon = Signerd::start_as(&mut command, world.health(), &log_of(&config)).ready();
        // Whole at once: a thread of the server looks for it meanwhile.
        let written = world.folder().join("attempt-written");
        fs::write(&written, name).unwrap();
        fs::rename(&written, &attempt).unwrap();
        if name == "nothing" {
            until("an attempt of what is allowed", || {
                survived.exists().then_some(())
            });
            fs::remove_file(&survived).unwrap();
            continue;
        }
        let ended = daemon.wait();
        assert!(!ended.success(), "{name}: {ended}");
        assert!(
            daemon.said().contains(VIOLATION),
            "{name}: {}",
            daemon.said()
        );
        assert!(!survived.exists(), "{name}");
    }
    let _daemon = world.start();
    let mut client = world.walletd();
    let from = sender(&mut client);
    client.sign(&transfer("pay", &from, &Draft::transfer(0, CUSTOMER, 1)));
}
