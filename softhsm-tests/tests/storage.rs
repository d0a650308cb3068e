//! A journal that is in use, damaged, torn or without room.

use std::{
    fs::{self, OpenOptions},
    io::{Read, Seek, SeekFrom, Write},
};

use api::problem::ProblemKind;
use policy::Entry;
use strongroom_softhsm_tests::{
    address,
    ask::units,
    disk::{SmallDisk, last_segment},
    evm::{Draft, ETHER},
    program::until,
    records,
    signerd::Signerd,
    world::{World, problem},
};

use crate::support::{CUSTOMER, sender, transfer};

#[test]
fn a_second_daemon_on_the_same_folder_signs_nothing_and_harms_nothing() {
    let world = World::new();
    let _first = world.start();
    let health = address::free();
    let api = address::free();
    let text = fs::read_to_string(world.config()).unwrap();
    let text = text
        .replace(&world.api().to_string(), &api.to_string())
        .replace(&world.health().to_string(), &health.to_string());
    let config = world.folder().join("second.toml");
    fs::write(&config, text).unwrap();
    let mut second = Signerd::start(&config, health);
    let why = second.not_ready("in use");
    assert!(why.starts_with("sealed"), "{why}");
    assert!(std::net::TcpStream::connect(api).is_err());
    let mut client = world.walletd();
    let from = sender(&mut client);
    client.sign(&transfer("pay", &from, &Draft::transfer(0, CUSTOMER, 1)));
    assert_eq!(second.stop().code(), Some(78));
}

/// A world with one signed payment, its daemon killed.
fn killed_after_a_payment() -> World {
    let world = World::new();
    let daemon = world.start();
    let mut client = world.walletd();
    let from = sender(&mut client);
    client.sign(&transfer(
        "pay",
        &from,
        &Draft::transfer(0, CUSTOMER, ETHER),
    ));
    daemon.kill();
    world
}

#[test]
fn one_flipped_bit_seals_the_daemon_and_readyz_says_why() {
    let world = killed_after_a_payment();
    let segment = last_segment(&world.data());
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .open(&segment)
        .unwrap();
    let at = until_found(&segment, b"\"attempt\"");
    let mut byte = [0];
    file.seek(SeekFrom::Start(at)).unwrap();
    file.read_exact(&mut byte).unwrap();
    let flip = |file: &mut fs::File, byte: u8| {
        file.seek(SeekFrom::Start(at)).unwrap();
        file.write_all(&[byte]).unwrap();
    };
    flip(&mut file, byte[0] ^ 1);
    let before = fs::read(&segment).unwrap();
    let mut daemon = world.launch();
    let why = daemon.not_ready("sealed");
    assert!(why.contains("the journal is not as it was left"), "{why}");
    assert!(std::net::TcpStream::connect(world.api()).is_err());
    assert_eq!(daemon.stop().code(), Some(78));
    assert!(
        fs::read(&segment).unwrap() == before,
        "a sealed journal was written to"
    );
    // As it was, it opens.
    flip(&mut file, byte[0]);
    let _daemon = world.start();
    assert_eq!(world.walletd().used("eth-day"), units(ETHER));
}

/// Where a text first stands in a file.
fn until_found(path: &std::path::Path, text: &[u8]) -> u64 {
    let bytes = fs::read(path).unwrap();
    let at = bytes.windows(text.len()).position(|window| window == text);
    at.expect("the text in the journal") as u64
}

#[test]
fn a_missing_segment_seals_the_daemon() {
    let world = killed_after_a_payment();
    fs::remove_file(last_segment(&world.data())).unwrap();
    let mut daemon = world.launch();
    let why = daemon.not_ready("sealed");
    assert!(why.contains("journal"), "{why}");
}

#[test]
fn a_torn_last_group_is_cut_and_noted() {
    let world = killed_after_a_payment();
    let whole = records::read(&world.data()).len();
    // The journal of a killed daemon ends with the last group and room, which is zeros: tear the group.
    let segment = last_segment(&world.data());
    let bytes = fs::read(&segment).unwrap();
    let last = bytes.iter().rposition(|byte| *byte != 0).unwrap();
    let file = OpenOptions::new().write(true).open(&segment).unwrap();
    file.set_len(last as u64 - 100).unwrap();
    let daemon = world.start();
    daemon.logged("a torn last group was cut off the journal");
    let mut client = world.walletd();
    // The charge was in an earlier group; the same request is finished, not charged again.
    assert_eq!(client.used("eth-day"), units(ETHER));
    let from = sender(&mut client);
    client.sign(&transfer(
        "pay",
        &from,
        &Draft::transfer(0, CUSTOMER, ETHER),
    ));
    assert_eq!(client.used("eth-day"), units(ETHER));
    assert!(daemon.stop().success());
    let records = records::read(&world.data());
    let noted = |record: &policy::Record| matches!(record.entry, Entry::Started { cut_bytes, .. } if cut_bytes > 0);
    assert_eq!(
        records[..whole]
            .iter()
            .filter(|record| noted(record))
            .count(),
        1
    );
}

#[test]
fn a_full_disk_stops_the_journal_and_loses_nothing() {
    let world = World::new();
    let disk = SmallDisk::mount(world.data(), "8m");
    let daemon = world.start();
    let mut client = world.walletd();
    let from = sender(&mut client);
    let first = transfer("pay-0", &from, &Draft::transfer(0, CUSTOMER, 1));
    let signed = client.send(&first);
    assert_eq!(signed.status, 200, "{}", signed.text());
    disk.fill();
    let mut nonce = 1;
    let stopped = until("a journal that stops", || {
        let id = format!("pay-{nonce}");
        let answer = client.send(&transfer(&id, &from, &Draft::transfer(nonce, CUSTOMER, 1)));
        if answer.status == 200 {
            nonce += 1;
            return None;
        }
        Some(answer)
    });
    assert_eq!(problem(&stopped).kind, ProblemKind::JournalStopped);
    let mut daemon = daemon;
    let why = daemon.not_ready("journal");
    assert!(!why.starts_with("no device"), "{why}");
    // Health goes on; nothing is signed, not even what was before.
    assert_eq!(client.send(&first).status, 503);
    daemon.stop();
    disk.empty();
    let daemon = world.start();
    client.reconnect();
    assert_eq!(client.send(&first).body, signed.body);
    // What was refused by the full disk can be had now, at most once.
    let again = transfer(
        &format!("pay-{nonce}"),
        &from,
        &Draft::transfer(nonce, CUSTOMER, 1),
    );
    client.sign(&again);
    assert_eq!(client.used("eth-day"), units(u128::from(nonce) + 1));
    assert!(daemon.stop().success());
    let records = records::read(&world.data());
    assert_eq!(records::attempts(&records).len() as u64, nonce + 1);
    let full = |record: &&policy::Record| matches!(&record.entry, Entry::Stopped { reason } if reason.contains("the disk is full"));
    assert_eq!(
        records.iter().filter(full).count(),
        1,
        "the journal says why it stopped"
    );
}
