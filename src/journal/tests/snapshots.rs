//! Snapshots: a start that goes on from one is a start that folded the whole log, and one that does not
//! hold is refused, loudly, and changes nothing.

use ed25519_dalek::{Signer as _, SigningKey};
use policy::{AttemptId, Entry, Policy, Record};
use sha2::{Digest as _, Sha256};
use strongroom_journal::{Opening, Release, SealName, SignOutcome, SnapshotUse};
use tlog::{
    checkpoint::SignedCheckpoint,
    cosignature::{Quorum, WitnessKey},
    note::{SignatureLine, VerifierKey},
};

use crate::{
    checkpoints::{self, begin, order},
    fixture::{Ask, name},
    machine::{Machine, Running, ask, capped, command},
    memory_disk::{Call, Fault, Image, MemoryDisk},
    roots::{live, machine},
};

const FILE: &str = "snapshot";

pub fn signed(running: &Running) -> SignedCheckpoint {
    let order = order(running).into_value();
    checkpoints::sign(running, order.checkpoint().clone())
}

/// A checkpoint that covers every root that follows from the entries.
pub fn due(running: &Running) -> SignedCheckpoint {
    // A root may be due behind the last entry, and behind its own.
    running.note("a root is in").unwrap();
    running.note("a root is in").unwrap();
    signed(running)
}

/// Waits until the writer has done what it was told, and lets it write nothing.
pub fn settle(running: &Running) {
    let asked = Ask::utxo("settle", [999], 10).pay("settle", 1, 1);
    let command = command(&asked, capped().hash);
    let _verdict = ask(|reply| running.journal.evaluate(command, reply).unwrap()).unwrap();
}

pub fn keep(machine: &Machine, running: &Running) {
    let kept = || machine.disk.image().get(FILE).cloned();
    let before = kept();
    // A further root may be due behind the checkpoint's entry: then it is the next one's snapshot.
    for _ in 0..3 {
        running.journal.covered(&due(running));
        settle(running);
        if kept() != before {
            return;
        }
    }
    panic!("no snapshot");
}

/// A journal with a snapshot, and what has happened since.
fn snapped(machine: &Machine) -> Running {
    let running = begin(machine);
    live(&running, 0..40);
    keep(machine, &running);
    live(&running, 40..43);
    running
}

pub fn with(machine: &Machine, image: &Image) -> Machine {
    Machine {
        disk: MemoryDisk::from_image(image),
        ..machine.twin()
    }
}

fn without(machine: &Machine) -> Machine {
    let mut image = machine.disk.image();
    image.remove(FILE).unwrap();
    with(machine, &image)
}

fn file(machine: &Machine) -> Vec<u8> {
    machine.disk.image()[FILE].clone()
}

fn with_file(machine: &Machine, file: Vec<u8>) -> Machine {
    let mut image = machine.disk.image();
    image.insert(FILE.into(), file);
    with(machine, &image)
}

/// All that follows from the log, as a start has it: what it remembers, what it has room for, what it
/// answers of each request.
pub fn seen(opening: &Opening) -> String {
    let journal = &opening.journal;
    let (state, rows) = (journal.state(), journal.rows());
    let now = journal.now();
    let room = state.room(now).unwrap();
    let charges = state.charge_state().encode();
    let hot = state.hot().encode().unwrap();
    let requests = rows.requests_from(&name("walletd"), AttemptId(0), 999);
    let requests = requests.unwrap();
    let attempts = requests.iter().map(|(id, _)| rows.attempt(*id).unwrap());
    let attempts: Vec<_> = attempts.collect();
    let hot = String::from_utf8(hot).unwrap();
    format!("{hot} {room:?} {charges:?} {requests:?} {attempts:?}")
}

fn refused(machine: &Machine) -> String {
    let expected = seen(&without(machine).opening().unwrap());
    let opening = machine.opening().unwrap();
    assert_eq!(seen(&opening), expected);
    match opening.snapshot {
        SnapshotUse::Refused { reason } => reason,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_start_from_a_snapshot_is_one_from_the_whole_log() {
    let machine = machine();
    snapped(&machine).crash();
    let folded = without(&machine).opening().unwrap();
    let opening = machine.opening().unwrap();
    assert_eq!(folded.snapshot, SnapshotUse::Absent);
    let SnapshotUse::Used { covers, .. } = opening.snapshot else {
        panic!("{:?}", opening.snapshot);
    };
    assert!(covers > 100, "{covers}");
    assert_eq!(seen(&opening), seen(&folded));
    drop(opening.journal);
    opening.writer.join();
    // And it goes on from there: what is old is remembered, what is new is counted and rooted.
    let running = machine.open().unwrap();
    let old = Ask::utxo("pay-1", [1], 10).pay("pay-1", 1, 1);
    let replayed = running.sign(&old).unwrap();
    assert!(
        matches!(replayed, SignOutcome::Replay { .. }),
        "{replayed:?}"
    );
    live(&running, 43..60);
    keep(&machine, &running);
    running.crash();
    let expected = seen(&without(&machine).opening().unwrap());
    let opening = machine.opening().unwrap();
    assert!(matches!(opening.snapshot, SnapshotUse::Used { covers: found, .. } if found > covers));
    assert_eq!(seen(&opening), expected);
}

/// By the words of the format.
fn checksummed(mut file: Vec<u8>) -> Vec<u8> {
    file.truncate(file.len() - 32);
    let check = Sha256::new()
        .chain_update("strongroom-snapshot-v1")
        .chain_update(&file[12..44])
        .chain_update(&file)
        .finalize();
    file.extend(check);
    file
}

/// The snapshot with another note.
fn noted(file: &[u8], old: &SignedCheckpoint, new: &str) -> Vec<u8> {
    let old = old.to_string();
    let at = file.len() - 32 - old.len();
    assert_eq!(&file[at..file.len() - 32], old.as_bytes());
    let mut noted = file[..at - 4].to_vec();
    noted.extend((new.len() as u32).to_be_bytes());
    noted.extend(new.as_bytes());
    noted.extend([0; 32]);
    checksummed(noted)
}

#[test]
fn a_flipped_bit_is_refused_wherever_it_is() {
    let machine = machine();
    snapped(&machine).crash();
    let file = file(&machine);
    for at in (0..file.len()).step_by(211) {
        let mut flipped = file.clone();
        flipped[at] ^= 1;
        let reason = refused(&with_file(&machine, flipped));
        assert!(reason.contains("damaged"), "{at}: {reason}");
    }
    for length in [0, 7, 44, file.len() - 1] {
        let reason = refused(&with_file(&machine, file[..length].to_vec()));
        assert!(reason.contains("damaged"), "{length}: {reason}");
    }
}

/// Whoever can write to the folder can compute checksums.
#[test]
fn what_says_another_state_is_refused() {
    let machine = machine();
    snapped(&machine).crash();
    let file = file(&machine);
    for (from, to) in [
        // Room: one attempt less; a call's number that was used; another owner of a lane.
        (
            "\"authorised\":{\"walletd\":",
            "\"authorised\":{\"walletc\":",
        ),
        ("\"fleet\":\"main\"", "\"fleet\":\"mane\""),
        ("\"pruned\":0", "\"pruned\":9"),
    ] {
        let at = file.windows(from.len()).position(|w| w == from.as_bytes());
        let at = at.unwrap_or_else(|| panic!("{from}"));
        let mut other = file.clone();
        other[at..at + to.len()].copy_from_slice(to.as_bytes());
        let reason = refused(&with_file(&machine, checksummed(other)));
        assert!(reason.contains("does not come to the root"), "{reason}");
    }
    // The root that it says.
    let mut other = file.clone();
    other[4 + 44 + 8] ^= 1;
    let reason = refused(&with_file(&machine, checksummed(other)));
    assert!(reason.contains("does not come to the root"), "{reason}");
}

#[test]
fn a_file_that_it_names_and_that_is_gone_or_another_is_refused() {
    let machine = machine();
    snapped(&machine).crash();
    let image = machine.disk.image();
    // What is within a block is looked at when the block is read.
    let checked = |name: &&String| name.starts_with("map.") || name.ends_with(".rows");
    let names: Vec<String> = image.keys().filter(checked).cloned().collect();
    assert!(names.iter().any(|name| name.starts_with("charges.")));
    let mut refusals = 0;
    for name in names {
        let mut gone = image.clone();
        gone.remove(&name);
        let mut cut = image.clone();
        cut.get_mut(&name).unwrap().pop();
        for image in [gone, cut] {
            let machine = with(&machine, &image);
            let expected = seen(&without(&machine).opening().unwrap());
            let opening = machine.opening().unwrap();
            assert_eq!(seen(&opening), expected);
            match opening.snapshot {
                SnapshotUse::Refused { reason } => {
                    assert!(reason.contains("not there as it was"), "{reason}");
                    refusals += 1;
                }
                // A later root's, which is made again.
                SnapshotUse::Used { .. } => assert!(name.starts_with("map."), "{name}"),
                SnapshotUse::Absent => panic!(),
            }
        }
    }
    assert!(refusals > 4, "{refusals}");
}

#[test]
fn a_checkpoint_that_is_not_the_logs_or_too_old_is_refused() {
    let machine = machine();
    let running = begin(&machine);
    live(&running, 0..4);
    let old = signed(&running);
    live(&running, 4..40);
    let new = due(&running);
    running.journal.covered(&old);
    settle(&running);
    assert!(!machine.disk.image().contains_key(FILE));
    running.journal.covered(&new);
    settle(&running);
    let file = file(&machine);
    let stranger = {
        let name = running.journal.origin().as_str().parse().unwrap();
        let secret = SigningKey::from_bytes(&[8; 32]);
        let key = VerifierKey::new(name, secret.verifying_key().as_bytes()).unwrap();
        let text = new.checkpoint().to_string();
        let signature = secret.sign(text.as_bytes()).to_bytes();
        SignedCheckpoint::sign(new.checkpoint().clone(), &key, &signature).unwrap()
    };
    running.crash();
    for (note, why) in [
        (stranger.to_string(), "not signed by a key of the log"),
        (old.to_string(), "does not cover"),
        (String::new(), "not signed by a key of the log"),
    ] {
        let reason = refused(&with_file(&machine, noted(&file, &new, &note)));
        assert!(reason.contains(why), "{reason}");
    }
}

/// What a crash left is told of though the snapshot was refused after it was cut off.
#[test]
fn a_torn_group_is_told_of_whatever_becomes_of_the_snapshot() {
    let machine = machine();
    let running = begin(&machine);
    live(&running, 0..4);
    let old = signed(&running);
    live(&running, 4..40);
    let new = due(&running);
    running.journal.covered(&new);
    settle(&running);
    let file = noted(&file(&machine), &new, &old.to_string());
    running.crash();
    let mut image = with_file(&machine, file).disk.image();
    // The beginning of a group that was never acknowledged, in the room behind the last one.
    let segment = image.get_mut("0000000000.seg").unwrap();
    let end = segment.iter().rposition(|byte| *byte != 0).unwrap() + 1;
    segment.truncate(end.next_multiple_of(512));
    segment.extend(b"SRGROUP1");
    let torn = with(&machine, &image);
    let expected = without(&torn).opening().unwrap().cut_bytes;
    let opening = torn.opening().unwrap();
    assert!(matches!(opening.snapshot, SnapshotUse::Refused { .. }));
    assert_eq!((opening.cut_bytes, expected), (8, 8));
}

/// Its checkpoint is signed by a key of the log: somebody has put an older copy in the place of the log.
#[test]
fn a_log_that_its_snapshot_was_not_made_of_is_sealed() {
    let machine = machine();
    let running = begin(&machine);
    live(&running, 0..3);
    let running = machine.restart(running);
    let (shorter, fork) = (machine.twin(), machine.twin());
    live(&running, 3..40);
    keep(&machine, &running);
    running.crash();
    let ours = file(&machine);
    // Its map and charges as well.
    let beside = |image: &mut Image| {
        for (name, file) in machine.disk.image() {
            if name == FILE || name.starts_with("map.") || name.starts_with("charges.") {
                image.insert(name, file);
            }
        }
    };
    let sealed = |machine: &Machine| machine.opening().map(drop).unwrap_err().name();
    let mut image = shorter.disk.image();
    beside(&mut image);
    let restored = with(&shorter, &image);
    assert_eq!(sealed(&restored), SealName::ShorterThanCheckpoint);

    let running = fork.open().unwrap();
    live(&running, 50..90);
    keep(&fork, &running);
    running.crash();
    let mut image = fork.disk.image();
    beside(&mut image);
    let restored = with(&fork, &image);
    assert_eq!(sealed(&restored), SealName::ForkedFromCheckpoint);
    // Of another log altogether.
    let other = crate::roots::machine();
    begin(&other).crash();
    let mut foreign = ours;
    foreign[12] ^= 1;
    let reason = refused(&with_file(&other, checksummed(foreign)));
    assert!(reason.contains("of another log"), "{reason}");
}

fn witness_secrets() -> [SigningKey; 3] {
    [1, 2, 3].map(|n| SigningKey::from_bytes(&[n; 32]))
}

fn witness_keys() -> Vec<WitnessKey> {
    let witness = |(n, secret): (usize, SigningKey)| {
        let name = format!("witness-{n}").parse().unwrap();
        WitnessKey::new(name, secret.verifying_key().as_bytes()).unwrap()
    };
    let secrets = witness_secrets().into_iter();
    secrets.enumerate().map(witness).collect()
}

/// The bundle that replaces `policy`, and asks for two of three witnesses.
pub fn witnessed(mut policy: Policy) -> Policy {
    policy.sequence += 1;
    policy.hash.0[0] ^= 0x80;
    policy.witnesses = Some(Quorum::new(witness_keys(), 2).unwrap());
    policy
}

/// What was signed before a bundle named witnesses, none of them can have cosigned.
#[test]
fn witnesses_are_not_asked_for_of_a_snapshot_from_before_they_were_named() {
    let machine = machine();
    let running = snapped(&machine);
    running.activate(witnessed(capped())).unwrap().unwrap();
    running.note("nobody has cosigned yet").unwrap();
    running.crash();
    let expected = seen(&without(&machine).opening().unwrap());
    let opening = machine.opening().unwrap();
    assert!(matches!(opening.snapshot, SnapshotUse::Used { .. }));
    assert_eq!(seen(&opening), expected);
}

#[test]
fn with_witnesses_one_that_they_have_not_cosigned_is_neither_kept_nor_believed() {
    let machine = machine();
    let running = begin(&machine);
    let (keys, secrets) = (witness_keys(), witness_secrets());
    running.activate(witnessed(capped())).unwrap().unwrap();
    for n in 0..60 {
        running.note(&format!("{n}")).unwrap();
    }
    let bare = due(&running);
    running.journal.covered(&bare);
    running.note("nothing is kept").unwrap();
    assert!(!machine.disk.image().contains_key(FILE));
    let cosigned = |by: usize| {
        let mut signed = bare.clone();
        for (key, secret) in keys.iter().zip(&secrets).take(by) {
            // C2SP tlog-cosignature.
            let message = format!("cosignature/v1\ntime 7\n{}", signed.checkpoint());
            let mut bytes = 7_u64.to_be_bytes().to_vec();
            bytes.extend(secret.sign(message.as_bytes()).to_bytes());
            let line = SignatureLine::new(key.name().clone(), key.id(), bytes).unwrap();
            signed.add_cosignature(key, &line).unwrap();
        }
        signed
    };
    running.journal.covered(&cosigned(1));
    running.note("nothing is kept").unwrap();
    assert!(!machine.disk.image().contains_key(FILE));
    let enough = cosigned(2);
    running.journal.covered(&enough);
    running.note("until it is kept").unwrap();
    running.crash();
    let file = file(&machine);
    let opening = machine.twin().opening().unwrap();
    assert!(matches!(opening.snapshot, SnapshotUse::Used { .. }));
    for by in [0, 1] {
        let noted = noted(&file, &enough, &cosigned(by).to_string());
        let reason = refused(&with_file(&machine, noted));
        assert!(reason.contains("not cosigned"), "{reason}");
    }
}

/// It is convenient, and nothing rests on it.
#[test]
fn a_disk_that_does_not_take_it_stops_nothing() {
    for call in [Call::Create, Call::Write, Call::SyncData, Call::Rename] {
        let machine = machine();
        let running = begin(&machine);
        live(&running, 0..40);
        let signed = due(&running);
        machine.disk.fail(Fault::error(call, 0));
        running.journal.covered(&signed);
        settle(&running);
        assert!(!machine.disk.is_fault_planned(), "{call:?}");
        let order = running.order(&Ask::utxo("more", [77], 10).pay("more", 1, 1));
        assert_eq!(running.signed(&order).unwrap(), Release::Released);
        live(&running, 40..60);
        keep(&machine, &running);
        running.crash();
        let expected = seen(&without(&machine).opening().unwrap());
        let opening = machine.opening().unwrap();
        assert!(matches!(opening.snapshot, SnapshotUse::Used { .. }));
        assert_eq!(seen(&opening), expected);
    }
}

/// How many bytes of a file are blocks: by the format of a run, what is before its index.
fn blocks_of(name: &str, file: &[u8]) -> usize {
    if !name.starts_with("map.") {
        return file.len();
    }
    let index = file.len() - 120;
    u64::from_be_bytes(file[index..index + 8].try_into().unwrap()) as usize
}

/// Damage that is found later stops the journal, and the next start makes all again from the log.
#[test]
fn what_is_found_damaged_while_it_is_used_is_made_again() {
    for of in ["map.", "charges.000000000000"] {
        let machine = machine();
        let running = begin(&machine);
        live(&running, 0..40);
        // So that what follows the snapshot reads nothing.
        for _ in 0..20 {
            running.note("nothing").unwrap();
        }
        keep(&machine, &running);
        running.crash();
        let is_payment = |record: &Record| matches!(record.entry, Entry::Attempt(_));
        let first = machine.records().iter().position(is_payment).unwrap() as u64;
        let mut image = machine.disk.image();
        for (name, file) in &mut image {
            if name.starts_with(of) && !name.ends_with(".rows") {
                let blocks = blocks_of(name, file);
                file[..blocks]
                    .iter_mut()
                    .step_by(512)
                    .for_each(|byte| *byte ^= 1);
            }
        }
        let machine = with(&machine, &image);
        let opening = machine.opening().unwrap();
        let SnapshotUse::Used { .. } = opening.snapshot else {
            panic!("{of}: {:?}", opening.snapshot);
        };
        drop(opening.journal);
        opening.writer.join();
        let running = machine.open().unwrap();
        // It replaces the first payment, whose charge stands in the first block and whose row in the map.
        let replaced = AttemptId(first);
        let again = Ask::utxo("again", [0], 1_000).pay("again", 1, 1);
        let stopped = running.sign(&again.replaces([replaced])).unwrap_err();
        assert!(running.journal.stopped().is_some(), "{stopped}");
        running.crash();
        assert!(!machine.disk.image().contains_key(FILE));
        let opening = machine.twin().opening().unwrap();
        assert_eq!(opening.snapshot, SnapshotUse::Absent);
        let running = machine.open().unwrap();
        let again = Ask::utxo("anew", [0], 1_000).pay("anew", 1, 1);
        let _order = running.order(&again.replaces([replaced]));
    }
}
