//! Two tokens that hold the same keys: what one does not answer the other signs.

use std::{
    collections::BTreeSet,
    fs,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
};

use api::{problem::ProblemKind, signing::SignAnswer};
use policy::Entry;
use rustix::process::{Signal, kill_process};
use serde_json::{Value, json};
use strongroom_softhsm_tests::{
    ask::units,
    coins::{self, Previous, foreign_script},
    disk::ReadOnly,
    evm::{Draft, ETHER},
    program::{binary, run, until},
    records,
    signerd::{Signerd, usable},
    token::Token,
    world::{KEYS, MAIN, REPLICA, World, problem},
};

use crate::support::{BITCOIN, CUSTOMER, coin_scripts, payment, raw, sender, transfer};

const CLIENTS: u64 = 8;
const AMOUNT_SAT: u64 = 100_000;

/// Requests without end until told to stop; how many were signed. Each must be at its first try.
fn load(world: &World, stop: &Arc<AtomicBool>) -> Vec<thread::JoinHandle<u64>> {
    let scripts = coin_scripts(&mut world.walletd());
    let next = Arc::new(AtomicU64::new(0));
    (0..CLIENTS)
        .map(|_| {
            let mut client = world.walletd();
            let (next, stop, scripts) = (Arc::clone(&next), Arc::clone(stop), scripts.clone());
            thread::spawn(move || {
                let mut signed = 0;
                while !stop.load(Ordering::Relaxed) {
                    let salt = next.fetch_add(1, Ordering::Relaxed);
                    let script = &scripts[salt as usize % scripts.len()];
                    let coin = Previous::invented(salt, AMOUNT_SAT + 1_000, script);
                    let outputs = [(AMOUNT_SAT, foreign_script(1))];
                    let (psbt, request) =
                        payment(&format!("pay-{salt}"), BITCOIN, &[coin], &outputs);
                    let answer: SignAnswer = client.sign(&request);
                    coins::verify(&psbt, &raw(&answer)).unwrap();
                    signed += 1;
                }
                signed
            })
        })
        .collect()
}

/// Waits until so many more signatures were made.
fn signatures(daemon: &Signerd, more: u64) {
    let now = daemon.metric("signerd_signatures").unwrap();
    daemon.metric_is("signerd_signatures", |count| count >= now + more);
}

/// All that a module was given to sign stands in the journal, which had it first.
fn nothing_was_signed_beside_the_journal(world: &World) {
    let mut digests = BTreeSet::new();
    for record in records::read(&world.data()) {
        let calls = match &record.entry {
            Entry::Attempt(attempt) => &attempt.calls,
            Entry::Call { calls, .. } => calls,
            _ => continue,
        };
        digests.extend(calls.iter().map(|call| call.digest.0.to_vec()));
    }
    for device in [MAIN, REPLICA] {
        let signed = world.signed_by(device);
        assert!(!signed.is_empty(), "{device} signed nothing");
        assert!(signed.iter().all(|digest| digests.contains(digest)));
    }
}

#[test]
fn a_token_that_dies_or_hangs_costs_no_request_while_another_one_has_its_keys() {
    let world = World::new().with_faults().with_replica();
    world.configure("[bounds]\nrequests_per_second = 100000");
    let _kept = [&world.token, world.replica()].map(|token| ReadOnly::mount(token.tokens()));
    let daemon = world.start();
    daemon.usable(&[MAIN, REPLICA]);
    let stop = Arc::new(AtomicBool::new(false));
    let threads = load(&world, &stop);
    signatures(&daemon, 50);
    for (token, device) in [(&world.token, MAIN), (world.replica(), REPLICA)] {
        let config = token.config();
        let child = || daemon.key_child_with(config.to_str().unwrap());
        let killed = child().unwrap();
        kill_process(killed, Signal::KILL).unwrap();
        until("another child", || child().filter(|now| *now != killed));
        daemon.usable(&[MAIN, REPLICA]);
        signatures(&daemon, 50);
        world.set_fault_of(device, "once hang");
        until("a call that hangs", || {
            (!world.has_fault(device)).then_some(())
        });
        let hung = child().unwrap();
        until("another child", || child().filter(|now| *now != hung));
        daemon.usable(&[MAIN, REPLICA]);
        signatures(&daemon, 50);
    }
    stop.store(true, Ordering::Relaxed);
    let signed: u64 = threads.into_iter().map(|one| one.join().unwrap()).sum();
    assert_eq!(
        world.walletd().used("btc-day"),
        units(u128::from(signed * AMOUNT_SAT))
    );
    assert_eq!(daemon.metric("signerd_signatures_bad"), Some(0));
    for device in [MAIN, REPLICA] {
        let name = format!("signerd_device_signatures_total{{device=\"{device}\"}}");
        assert!(daemon.metric(&name).unwrap() > 0, "{device}");
    }
    assert!(daemon.stop().success());
    let records = records::read(&world.data());
    assert_eq!(records::attempts(&records).len() as u64, signed);
    nothing_was_signed_beside_the_journal(&world);
}

/// The first start is without the replica's key, which is another one of the same name.
#[test]
fn a_token_with_other_keys_of_the_same_names_signs_nothing() {
    let world = World::new();
    let other = Token::init(world.folder().join("replica"), &KEYS);
    let world = world.with_faults().with_replica_token(other);
    let mut daemon = world.start();
    daemon.usable(&[MAIN]);
    daemon.logged("on this token is not the registered key");
    assert_eq!(daemon.metric(&usable(REPLICA)), Some(0));
    let mut client = world.walletd();
    let from = sender(&mut client);
    client.sign(&transfer(
        "pay",
        &from,
        &Draft::transfer(0, CUSTOMER, ETHER),
    ));

    let away = world.folder().join("away");
    fs::rename(world.token.tokens(), &away).unwrap();
    let config = world.token.config();
    let child = daemon.key_child_with(config.to_str().unwrap()).unwrap();
    kill_process(child, Signal::KILL).unwrap();
    let said = daemon.not_ready("no device");
    assert!(said.contains("second: "), "{said}");
    let next = transfer("next", &from, &Draft::transfer(1, CUSTOMER, ETHER));
    let answer = client.send(&next);
    assert_eq!(problem(&answer).kind, ProblemKind::NoDevice);
    assert!(world.signed_by(REPLICA).is_empty());
    fs::rename(&away, world.token.tokens()).unwrap();
    let _daemon = daemon.ready();
    client.sign(&next);
}

#[test]
fn a_rejected_pin_of_one_token_is_final_and_the_other_one_signs() {
    let world = World::new().with_faults().with_replica();
    world.replica().write_pin("99999999");
    let mark = world.data().join("pin-rejected-second");
    for nonce in 0..2 {
        let daemon = world.start();
        until("the mark", || mark.exists().then_some(()));
        assert!(!world.data().join("pin-rejected").exists());
        let mut client = world.walletd();
        let from = sender(&mut client);
        let draft = Draft::transfer(nonce, CUSTOMER, 1);
        client.sign(&transfer(&format!("pay-{nonce}"), &from, &draft));
        let config = world.replica().config();
        until("no child of the second", || {
            let child = daemon.key_child_with(config.to_str().unwrap());
            child.is_none().then_some(())
        });
        assert_eq!(daemon.metric(&usable(REPLICA)), Some(0));
        assert!(daemon.stop().success());
    }
    assert_eq!(world.replica_logins(), 1);
    world
        .replica()
        .write_pin(strongroom_softhsm_tests::token::PIN);
    fs::remove_file(mark).unwrap();
    world.start().usable(&[MAIN, REPLICA]);
}

fn devices(status: &Value) -> Vec<Value> {
    status["devices"].as_array().unwrap().clone()
}

/// What `strongroom status` says of devices and self-tests.
fn status(world: &World) -> Value {
    let (certificate, key) = world.pki.files("walletd");
    let mut command = Command::new(binary("strongroom"));
    command.args(["--json", "status"]);
    command.args(["--connect", &world.api().to_string()]);
    command.args(["--health", &world.health().to_string()]);
    command.arg("--ca").arg(world.pki.authority());
    command.arg("--certificate").arg(certificate);
    command.arg("--key").arg(key);
    serde_json::from_slice(&run(&mut command).stdout).expect("JSON")
}

/// New keys are the main token's to bring; what is registered the other one signs alone.
#[test]
fn without_its_main_token_a_signer_starts_and_signs_by_the_other_one() {
    let world = World::new().with_faults().with_checkpoints();
    world.configure_self_tests();
    let world = world.with_replica();
    world.configure("self_test_keys = [\"test-1\", \"test-2\"]");
    let away = world.folder().join("away");
    fs::rename(world.token.tokens(), &away).unwrap();
    let mut daemon = world.launch();
    // Nothing is registered yet.
    daemon.usable(&[REPLICA]);
    let none = world.walletd().keys();
    assert!(none.keys.is_empty(), "{none:?}");
    assert!(daemon.stop().success());
    fs::rename(&away, world.token.tokens()).unwrap();
    daemon = world.start();
    daemon.usable(&[MAIN, REPLICA]);
    // Each token is tested by its own signatures.
    for device in [MAIN, REPLICA] {
        let name = format!("signerd_device_signatures_total{{device=\"{device}\"}}");
        daemon.metric_is(&name, |signatures| signatures >= 112);
    }
    daemon.metric_is("signerd_self_test_trouble", |trouble| trouble == 0);
    let said = status(&world);
    let device =
        |name: &str| json!({"name": name, "asked": true, "attached": true, "breaker_open": false});
    for (device, mut said) in [MAIN, REPLICA].map(device).into_iter().zip(devices(&said)) {
        assert!(said["signatures"].take().as_u64() >= Some(112), "{said}");
        said.as_object_mut().unwrap().remove("signatures");
        assert_eq!(said, device);
    }
    assert_eq!(said["self_test"]["trouble"], false, "{said}");
    assert!(daemon.stop().success());

    fs::rename(world.token.tokens(), &away).unwrap();
    let before = world.signed_by(MAIN).len();
    daemon = world.start();
    let asked = devices(&status(&world))
        .into_iter()
        .map(|device| device["asked"].clone());
    assert_eq!(asked.collect::<Vec<_>>(), [false, true]);
    let mut client = world.walletd();
    let from = sender(&mut client);
    client.sign(&transfer(
        "pay",
        &from,
        &Draft::transfer(0, CUSTOMER, ETHER),
    ));
    daemon.metric_is("signerd_checkpoint_uncovered", |entries| entries == 0);
    assert_eq!(world.signed_by(MAIN).len(), before);
    fs::rename(&away, world.token.tokens()).unwrap();
    daemon.usable(&[MAIN, REPLICA]);
    assert!(daemon.stop().success());
}
