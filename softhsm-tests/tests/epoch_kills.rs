//! Whoever begins a new epoch and is killed meanwhile leaves what is sealed or what is in that epoch: never
//! something that goes on in the old one.

use std::fs;

use policy::Entry;
use strongroom_softhsm_tests::{
    evm::Draft,
    image::Image,
    program::until,
    records,
    signerd::{ask_health, signerd},
    unseal::{Decision, compose_epoch, decide_epoch, of_keys, report},
    world::World,
};

use crate::{
    support::{CUSTOMER, sender, transfer},
    unseal::CALLS,
};

/// Starts, pays once, stops; what officers say of the keys then.
fn paid(world: &World, nonce: u64) -> (Image, Vec<String>) {
    let daemon = world.start();
    let mut client = world.walletd();
    let from = sender(&mut client);
    let draft = Draft::transfer(nonce, CUSTOMER, 5);
    client.sign(&transfer(&format!("pay-{nonce}"), &from, &draft));
    let words = of_keys(&mut client, nonce + 1);
    assert!(daemon.stop().success());
    (Image::of(&world.data()), words)
}

fn epochs(world: &World) -> usize {
    let records = records::read(&world.data());
    let began = |record: &&policy::Record| matches!(record.entry, Entry::EpochBegan(_));
    records.iter().filter(began).count()
}

/// Whether the daemon is ready; else it is sealed by one of these names.
fn starts(world: &World, names: &[&str], when: &str) -> bool {
    let mut daemon = world.relaunch();
    let (status, text) = until("a daemon that is sealed or ready", || {
        let (status, text) = ask_health(world.health(), "/readyz")?;
        (status == 200 || text.starts_with("sealed: ")).then_some((status, text))
    });
    if status == 200 {
        assert_eq!(world.walletd().keys().epoch, 2, "{when}");
        assert!(daemon.stop().success());
        return true;
    }
    let named = |name: &&str| text.starts_with(&format!("sealed: {name}: "));
    assert!(names.iter().any(named), "{when}: {text}");
    daemon.not_ready("sealed: ");
    assert_eq!(daemon.stop().code(), Some(78), "{when}");
    false
}

/// Kills it at every call by which it changes the disk, and carries it to its end by the same statement.
fn killed_everywhere(world: &World, decision: &Decision, names: &[&str]) -> (u64, u64) {
    let reported = Image::of(&world.data());
    let (mut sealed, mut done) = (0, 0);
    for call in CALLS {
        for n in 1.. {
            reported.restore(&world.data());
            if decision.carry_out_until(world, call, n).status.success() {
                break;
            }
            let when = format!("{call} {n}");
            if starts(world, names, &when) {
                assert_eq!(decision.refused(world), "unseal-used", "{when}");
                done += 1;
            } else {
                let ended = decision.carry_out(world);
                let said = String::from_utf8_lossy(&ended.stderr);
                assert!(ended.status.success(), "{when}: {said}");
                sealed += 1;
            }
            assert_eq!(epochs(world), 1, "{when}");
        }
    }
    assert!(starts(world, &[], "whole"));
    (sealed, done)
}

#[test]
fn killed_at_each_step_in_an_older_copy_it_is_sealed_or_in_the_new_epoch() {
    let world = World::new().with_checkpoints();
    let (older, _) = paid(&world, 0);
    let (newer, words) = paid(&world, 1);
    let found = older.with("checkpoint", &newer, "checkpoint");
    found.restore(&world.data());
    let decision = decide_epoch(&world, &words, &["ann", "cem"]);
    let names = ["shorter-than-checkpoint"];
    let (sealed, done) = killed_everywhere(&world, &decision, &names);
    assert!(sealed >= 8 && done >= 1, "{sealed} sealed, {done} done");
}

#[test]
fn killed_at_each_step_without_a_journal_it_is_sealed_or_in_the_new_epoch() {
    let world = World::new();
    let (_, mut words) = paid(&world, 0);
    fs::remove_dir_all(world.data()).unwrap();
    words.extend(["--epoch".into(), "2".into()]);
    let decision = decide_epoch(&world, &words, &["ann", "cem"]);
    let names = ["journal-missing", "journal-never-begun", "anchor-missing"];
    let (sealed, done) = killed_everywhere(&world, &decision, &names);
    assert!(sealed >= 8 && done >= 1, "{sealed} sealed, {done} done");
}

/// Nothing that is left on the machine remembers an epoch when the journal is lost a second time: the number
/// is people's to say.
#[test]
fn without_a_journal_the_number_of_the_epoch_is_said_by_people() {
    let world = World::new();
    let (_, words) = paid(&world, 0);
    let numbered = |epoch: &str| [&words[..], &["--epoch".into(), epoch.into()]].concat();
    fs::remove_dir_all(world.data()).unwrap();
    let out = world.folder().join("unnumbered");
    let unsaid = compose_epoch(&report(&world), &out, &words);
    let said = String::from_utf8_lossy(&unsaid.stderr).into_owned();
    assert!(said.contains("unseal-unsaid"), "{said}");
    assert!(said.contains("--epoch NUMBER"), "{said}");
    assert!(!out.exists());
    let begin = |epoch| {
        let decision = decide_epoch(&world, &numbered(epoch), &["ann", "cem"]);
        let done = decision.carry_out(&world);
        assert!(done.status.success(), "{done:?}");
        let daemon = world.relaunch().ready();
        let reached = world.walletd().keys().epoch;
        assert!(daemon.stop().success());
        reached
    };
    assert_eq!(begin("2"), 2);
    fs::remove_dir_all(world.data()).unwrap();
    assert_eq!(begin("3"), 3);
    // What is there is in no way un-sealed by that.
    let refused = signerd(&world.config(), &["--seal-report"]);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(said.starts_with("signerd: unseal-not-sealed"), "{said}");
}
