//! A sealed daemon goes on when enough officers say so, from what is whole, once.

use std::{fs, net::SocketAddr, path::Path};

use api::{journal::SeenCheckpoint, signing::SignAnswer};
use policy::{Entry, Record};
use strongroom_softhsm_tests::{
    address,
    ask::units,
    evm::Draft,
    http::Answer,
    image::Image,
    program::until,
    records,
    signerd::{Signerd, ask_health, signerd},
    unseal::{Decision, compose, decide, report, sign},
    world::{Client, World},
};

use crate::support::{CUSTOMER, sender, transfer};

fn pay(client: &mut Client, nonce: u64, amount: u128) -> SignAnswer {
    let from = sender(client);
    let id = format!("pay-{nonce}-{amount}");
    client.sign(&transfer(
        &id,
        &from,
        &Draft::transfer(nonce, CUSTOMER, amount),
    ))
}

/// Starts, pays once, stops, and keeps what is there then: all of it is covered by a checkpoint.
fn paid(world: &World, nonce: u64, amount: u128) -> Image {
    let daemon = world.start();
    pay(&mut world.walletd(), nonce, amount);
    assert!(daemon.stop().success());
    Image::of(&world.data())
}

/// A world whose journal is an older copy beside the newer checkpoint, and that checkpoint.
fn restored() -> (World, Image, String) {
    let world = World::new().with_checkpoints();
    let older = paid(&world, 0, 5);
    let newer = paid(&world, 1, 7);
    let found = older.with("checkpoint", &newer, "checkpoint");
    found.restore(&world.data());
    let checkpoint = fs::read_to_string(world.data().join("checkpoint")).unwrap();
    (world, found, checkpoint)
}

fn sealed_by(world: &World, name: &str) {
    let mut daemon = world.relaunch();
    daemon.not_ready(&format!("sealed: {name}: "));
    assert_eq!(daemon.stop().code(), Some(78));
}

fn resumptions(world: &World) -> Vec<Record> {
    let mut records = records::read(&world.data());
    records.retain(|record| matches!(record.entry, Entry::Resumed(_)));
    records
}

fn tell(client: &mut Client, checkpoint: &str) -> Answer {
    let checkpoint = checkpoint.to_owned();
    let body = serde_json::to_vec(&SeenCheckpoint { checkpoint }).unwrap();
    client.post("/v1/journal/checkpoint", &body)
}

#[test]
fn an_older_copy_goes_on_when_two_officers_accept_what_is_lost() {
    let (world, found, lost) = restored();
    sealed_by(&world, "shorter-than-checkpoint");
    let report = report(&world);
    let statement = world.folder().join("statement");
    let refused = compose(&report, &statement, &[]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("unseal-loss"));
    assert!(!statement.exists());
    // What is reported is written down, and nothing else.
    let written = Image::of(&world.data()).without(|name| name == "seal-report");
    assert!(written == found);
    let decision = decide(&world, &["ann", "cem"]);
    let done = decision.carry_out(&world);
    assert!(
        done.status.success(),
        "{}",
        String::from_utf8_lossy(&done.stderr)
    );

    let daemon = world.relaunch().ready();
    let mut client = world.walletd();
    assert_eq!(client.used("eth-day"), units(5), "what is there counts");
    // What officers gave up seals nothing any more.
    assert_eq!(tell(&mut client, &lost).status, 204);
    pay(&mut client, 1, 11);
    assert_eq!(client.used("eth-day"), units(16));
    assert_eq!(daemon.metric("signerd_sealed"), Some(0));
    assert!(daemon.stop().success());
    let [
        Record {
            entry: Entry::Resumed(resumed),
            ..
        },
    ] = &resumptions(&world)[..]
    else {
        panic!("one resumption");
    };
    let said = fs::read_to_string(&decision.statement).unwrap();
    assert_eq!(resumed.statement, said);
    let officers: Vec<&str> = resumed.signed_by.iter().map(tx::Name::as_str).collect();
    assert_eq!(officers, ["ann", "cem"]);
    assert_eq!(decision.refused(&world), "unseal-used");
    assert!(world.relaunch().ready().stop().success());
}

#[test]
fn no_other_statement_un_seals_anything() {
    let (world, found, _) = restored();
    let good = decide(&world, &["ann", "ben"]);
    let before = Image::of(&world.data());
    let with = |signatures| Decision {
        signatures,
        statement: good.statement.clone(),
    };
    let [ann, ben] = &good.signatures[..] else {
        panic!("two signatures");
    };
    assert_eq!(with(vec![]).refused(&world), "unseal-quorum");
    assert_eq!(with(vec![ann.clone()]).refused(&world), "unseal-quorum");
    assert_eq!(
        with(vec![ben.clone(), ben.clone()]).refused(&world),
        "unseal-quorum"
    );
    // Somebody who is no officer, beside one who is.
    let dan = sign(&good.statement, &["dan"]).remove(0);
    assert_eq!(
        with(vec![ann.clone(), dan]).refused(&world),
        "unseal-quorum"
    );
    for (part, by, name) in [
        ("\nexpires 20", "\nexpires 30", "unseal-expiry"),
        (
            "found shorter-than-checkpoint",
            "found anchor-missing",
            "unseal-finding",
        ),
        ("\nfleet tests\n", "\nfleet other\n", "unseal-fleet"),
        ("\nlog ", "\nlog 0", "unseal-form"),
        ("\nlost ", "\nlost 1", "unseal-lost"),
        ("\nsize ", "\nsize 1", "unseal-head"),
    ] {
        let text = fs::read_to_string(&good.statement).unwrap();
        let edited = text.replacen(part, by, 1);
        assert!(edited != text, "{part:?}");
        let statement = world.folder().join("edited");
        fs::write(&statement, edited).unwrap();
        let edited = Decision {
            statement,
            signatures: good.signatures.clone(),
        };
        assert_eq!(edited.refused(&world), name);
    }
    // Edited where nothing but the signatures tells.
    let text = fs::read_to_string(&good.statement).unwrap();
    let at = text.find("expires 20").unwrap();
    let second = at + "expires 2026-11-20T12:00:0".len();
    let mut edited = text.into_bytes();
    edited[second] = if edited[second] == b'0' { b'1' } else { b'0' };
    let statement = world.folder().join("edited");
    fs::write(&statement, edited).unwrap();
    let edited = Decision {
        statement,
        signatures: good.signatures.clone(),
    };
    assert_eq!(edited.refused(&world), "unseal-quorum");
    // Of another appliance, and of another report.
    let (other, _, _) = restored();
    let elsewhere = decide(&other, &["ann", "ben"]);
    assert_eq!(elsewhere.refused(&world), "unseal-log");
    assert!(Image::of(&world.data()) == before);
    found.restore(&world.data());
    assert_eq!(good.refused(&world), "unseal-no-report");
    sealed_by(&world, "shorter-than-checkpoint");
}

#[test]
fn a_statement_is_of_no_use_when_the_same_copy_is_put_back_again() {
    let (world, found, _) = restored();
    let decision = decide(&world, &["ann", "ben"]);
    let kept = Decision {
        statement: world.folder().join("kept"),
        signatures: decision.signatures.clone(),
    };
    fs::copy(&decision.statement, &kept.statement).unwrap();
    assert!(decision.carry_out(&world).status.success());
    assert!(world.relaunch().ready().stop().success());
    found.restore(&world.data());
    sealed_by(&world, "shorter-than-checkpoint");
    assert_eq!(kept.refused(&world), "unseal-no-report");
    let _report = report(&world);
    assert_eq!(kept.refused(&world), "unseal-nonce");
    sealed_by(&world, "shorter-than-checkpoint");
}

#[test]
fn what_is_damaged_or_in_use_or_well_is_not_un_sealed() {
    let (world, found, _) = restored();
    let decision = decide(&world, &["ann", "ben"]);
    let first = found.segments().remove(0);
    let at = found.place(&first, b"\"attempt\"");
    found.clone().flipped(&first, at).restore(&world.data());
    let refused = |arguments: &[&str]| {
        let output = signerd(&world.config(), arguments);
        assert!(!output.status.success());
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    assert!(refused(&["--seal-report"]).starts_with("signerd: group-damaged-within"));
    assert_eq!(decision.refused(&world), "group-damaged-within");
    let well = found.without(|name| name == "checkpoint");
    well.restore(&world.data());
    assert!(refused(&["--seal-report"]).starts_with("signerd: unseal-not-sealed"));
    assert_eq!(decision.refused(&world), "unseal-not-sealed");
    let daemon = world.relaunch().ready();
    assert!(refused(&["--seal-report"]).starts_with("signerd: folder-in-use"));
    assert_eq!(decision.refused(&world), "folder-in-use");
    assert!(daemon.stop().success());
}

/// Every call by which un-sealing changes the disk.
pub const CALLS: [&str; 6] = [
    "pwrite64",
    "fdatasync",
    "fsync",
    "ftruncate",
    "renameat",
    "unlinkat",
];

#[test]
fn killed_at_each_step_it_is_sealed_or_done_and_the_same_statement_ends_it() {
    let (world, _, _) = restored();
    let decision = decide(&world, &["ann", "ben"]);
    let reported = Image::of(&world.data());
    let (mut sealed, mut done) = (0, 0);
    for call in CALLS {
        for n in 1.. {
            reported.restore(&world.data());
            let ended = decision.carry_out_until(&world, call, n);
            if ended.status.success() {
                break;
            }
            let mut daemon = world.relaunch();
            let ready = until("a daemon that is sealed or ready", || {
                let (status, text) = ask_health(world.health(), "/readyz")?;
                (status == 200 || text.starts_with("sealed: ")).then_some(status == 200)
            });
            if ready {
                assert!(daemon.stop().success());
                assert_eq!(decision.refused(&world), "unseal-used", "{call} {n}");
                done += 1;
            } else {
                daemon.not_ready("sealed: shorter-than-checkpoint: ");
                assert_eq!(daemon.stop().code(), Some(78));
                let ended = decision.carry_out(&world);
                let said = String::from_utf8_lossy(&ended.stderr);
                assert!(ended.status.success(), "{call} {n}: {said}");
                assert!(world.relaunch().ready().stop().success());
                sealed += 1;
            }
            assert_eq!(resumptions(&world).len(), 1, "{call} {n}");
        }
    }
    assert!(sealed >= 8 && done >= 1, "{sealed} sealed, {done} done");
}

/// A daemon beside the world's own, on a copy of its data folder.
struct Clone {
    config: std::path::PathBuf,
    health: SocketAddr,
    api: SocketAddr,
}

impl Clone {
    fn of(world: &World, data: &Path) -> Self {
        let api = SocketAddr::new(world.api().ip(), address::free().port());
        let clone = Self {
            config: world.folder().join("clone.toml"),
            health: address::free(),
            api,
        };
        let text = fs::read_to_string(world.config()).unwrap();
        let text = text
            .replace(&world.api().to_string(), &clone.api.to_string())
            .replace(&world.health().to_string(), &clone.health.to_string())
            .replace(&format!("{:?}", world.data()), &format!("{data:?}"));
        fs::write(&clone.config, text).unwrap();
        clone
    }
}

#[test]
fn a_clone_that_ran_beside_is_found_by_what_clients_tell_and_one_of_the_two_goes_on() {
    let world = World::new().with_checkpoints();
    let image = paid(&world, 0, 5);
    let data = world.folder().join("cloned");
    image.restore(&data);
    let clone = Clone::of(&world, &data);
    let beside = Signerd::start(&clone.config, clone.health).ready();
    let daemon = world.relaunch().ready();
    // Both are whole, and nothing here tells one from the other.
    let mut own = world.walletd();
    let mut other = Client::new(clone.api, world.pki.config("walletd"));
    pay(&mut own, 1, 7);
    pay(&mut own, 2, 7);
    let signed = pay(&mut other, 1, 9);
    let covers = format!("/v1/journal/checkpoint?covers={}", signed.attempt);
    let seen = other.get(&covers).text();
    assert!(beside.stop().success());
    assert_eq!(tell(&mut own, &seen).status, 503);
    assert_eq!(daemon.stop().code(), Some(78));
    sealed_by(&world, "forked-from-checkpoint");
    let decision = decide(&world, &["ben", "cem"]);
    assert!(decision.carry_out(&world).status.success());
    let daemon = world.relaunch().ready();
    let mut own = world.walletd();
    assert_eq!(own.used("eth-day"), units(19));
    assert_eq!(tell(&mut own, &seen).status, 204);
    assert!(daemon.stop().success());
}
