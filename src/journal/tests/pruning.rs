//! Pruning: bodies go by a statement of officers and by nothing else, and what follows from them stays.

use std::convert::Infallible;

use policy::{
    AttemptId, Digest, Entry, ReasonCode,
    statement::{Head, Prune, Unseal},
};
use strongroom_journal::{
    OpenJournalError, Opening, PruneError, PrunedBodies, ResumeError, SealName, SealedFolder,
    SignOutcome, SnapshotUse, carry_out_prune, open,
    segment::{OpenOptions, SegmentLog},
};
use tlog::checkpoint::Origin;
use tx::Time;

use crate::{
    fixture::{Ask, START, name},
    machine::{Machine, Running, ask, command},
    memory_disk::{Call, Fault, Image, MemoryDisk},
    roots,
    snapshots::{keep, seen},
    unseal::{HOUR, governed, pay, sign_text},
};

const DAY: u64 = 24 * HOUR;
const RESERVE_BYTES: usize = 1024 * 1024;

/// Two days of payments over some segments, a snapshot behind most of them, and nothing runs.
pub fn lived() -> Machine {
    lived_for(60)
}

/// As many hours of payments.
pub fn lived_for(hours: u32) -> Machine {
    let machine = Machine {
        segment_bytes: 24 * 1024,
        ..roots::machine()
    };
    let running = crate::checkpoints::begin(&machine);
    running.activate(governed()).unwrap().unwrap();
    for n in 0..hours {
        pay(&running, n);
        machine.clock.pass(HOUR);
    }
    keep(&machine, &running);
    running.stop().unwrap();
    running.crash();
    machine
}

pub fn segments(machine: &Machine) -> Vec<String> {
    let names = machine.disk.image().into_keys();
    names.filter(|name| name.ends_with(".seg")).collect()
}

pub fn end(opening: Opening) {
    drop(opening.journal);
    opening.writer.join();
}

/// What a log of this id is called.
fn origin(id: &str) -> Origin {
    let digits = id.get(..16).unwrap();
    format!("strongroom/main/{digits}").parse().unwrap()
}

/// What officers would say of all that is there.
pub fn statement(machine: &Machine) -> Prune {
    let copy = Box::new(machine.twin().disk);
    let ignored = |_: u64, _: &[u8]| Ok::<(), Infallible>(());
    let (log, _) = SegmentLog::open(copy, &OpenOptions::default(), ignored).unwrap();
    let head = log.head();
    Prune {
        fleet: name("main"),
        log: origin(&log.id().to_string()),
        exported: Head {
            size: head.size,
            root: Digest(*head.root.as_bytes()),
        },
        bundle: governed().hash,
        before: Time::from_millis(START + 90 * DAY),
        expires: Time::from_millis(START + 63 * HOUR),
    }
}

pub fn prune(
    machine: &Machine,
    said: &Prune,
    seeds: &[u8],
    change: impl FnOnce(&mut Prune),
) -> Result<PrunedBodies, PruneError> {
    let mut prune = said.clone();
    let opening = machine.opening().unwrap();
    change(&mut prune);
    let (text, namespace) = (prune.to_string(), prune.header().namespace());
    let signatures = sign_text(&text, &namespace, seeds);
    let done = carry_out_prune(&opening, &*machine.clock, &text, &signatures);
    end(opening);
    done
}

fn codes(outcome: SignOutcome) -> Vec<ReasonCode> {
    match outcome {
        SignOutcome::Refused(refusal) => {
            let reasons = refusal.reasons.into_iter();
            reasons.map(|reason| reason.code).collect()
        }
        other => panic!("{other:?}"),
    }
}

fn sign(running: &Running, asked: &Ask) -> SignOutcome {
    let command = command(asked, governed().hash);
    ask(|reply| running.journal.sign(command, reply).unwrap()).unwrap()
}

fn payment(n: u32) -> Ask {
    let id = format!("pay-{n}");
    Ask::utxo(&id, [n], 10).pay(&id, 1, 7)
}

#[test]
fn bodies_go_and_what_follows_from_them_stays() {
    let machine = lived();
    let (before, said) = (segments(&machine), statement(&machine));
    let opening = machine.opening().unwrap();
    let (proofs, size) = {
        let tree = opening.journal.tree();
        let size = tree.head().size;
        let leaves = tree.commitments(0..size).unwrap();
        (leaves, size)
    };
    let twin = machine.twin();
    end(opening);
    let done = prune(&machine, &said, &[1, 2], |_| {}).unwrap();
    assert!(done.before > 60, "{done:?}");
    let after = segments(&machine);
    assert!(
        before.len() > 5 && after.len() < before.len() - 3,
        "{after:?}"
    );
    assert_eq!(before[before.len() - after.len()..], after[..]);

    let opening = machine.opening().unwrap();
    assert!(matches!(opening.snapshot, SnapshotUse::Used { .. }));
    let journal = &opening.journal;
    assert_eq!(journal.state().pruned(), done.before);
    for index in 0..size {
        let read = journal.bodies().entry(index);
        match read {
            Ok(_) => assert!(index >= done.before, "{index}"),
            Err(error) => assert!(error.is_pruned() && index < done.before, "{index}: {error}"),
        }
    }
    // Every entry is still proved to be there, by the leaf that it always had.
    let tree = journal.tree();
    assert_eq!(tree.commitments(0..size).unwrap(), proofs);
    end(opening);
    let running = machine.open().unwrap();
    for n in [0, 1, 30, 59] {
        let replayed = sign(&running, &payment(n));
        assert!(
            matches!(replayed, SignOutcome::Replay { .. }),
            "{replayed:?}"
        );
        let id = format!("pay-{n}");
        let again = Ask::utxo("again", [1_000 + n], 10).pay(&id, 2, 7);
        assert!(codes(sign(&running, &again)).contains(&ReasonCode::IntentReused));
        let spent = Ask::utxo("spent", [n], 10).pay("other", 1, 7);
        let spent = codes(sign(&running, &spent));
        assert!(spent.contains(&ReasonCode::UndeclaredConflict), "{spent:?}");
    }
    // The windows are those of a signer that has pruned nothing.
    let whole = twin.open().unwrap();
    for running in [&running, &whole] {
        running.note("the same time").unwrap();
    }
    assert_eq!(running.used(), whole.used());
    assert!(!running.used().is_zero());
    pay(&running, 60);
    keep(&machine, &running);
    running.crash();
    assert!(machine.open().is_ok());
}

/// Nothing that is there lies before what a start reads.
#[test]
fn a_snapshot_in_the_first_segment_that_is_left_is_one_that_a_start_goes_on_from() {
    let machine = Machine {
        segment_bytes: 1024 * 1024,
        ..lived()
    };
    let running = machine.open().unwrap();
    for n in 60..90 {
        pay(&running, n);
    }
    keep(&machine, &running);
    running.stop().unwrap();
    running.crash();
    let done = prune(&machine, &statement(&machine), &[1, 2], |_| {}).unwrap();
    for n in [90, 120] {
        let running = machine.open().unwrap();
        for n in n..n + 30 {
            pay(&running, n);
        }
        keep(&machine, &running);
        running.crash();
        assert_eq!(segments(&machine).len(), 1);
        let opening = machine.opening().unwrap();
        let SnapshotUse::Used { covers, read_from } = opening.snapshot else {
            panic!("{:?}", opening.snapshot);
        };
        assert_eq!(read_from, done.before);
        assert!(covers > read_from);
        end(opening);
    }
}

fn other_log() -> Origin {
    origin("0123456789abcdef")
}

#[test]
fn a_statement_that_says_or_is_signed_otherwise_removes_nothing() {
    let machine = lived();
    let (before, said) = (segments(&machine), statement(&machine));
    let refused = |seeds: &[u8], change: fn(&mut Prune)| {
        let error = prune(&machine, &said, seeds, change).unwrap_err();
        // A start may begin another segment.
        assert!(segments(&machine).starts_with(&before));
        error.name()
    };
    assert_eq!(refused(&[1], |_| {}), "prune-quorum");
    assert_eq!(refused(&[1, 9], |_| {}), "prune-quorum");
    assert_eq!(
        refused(&[1, 2], |it| it.exported.root.0[0] ^= 1),
        "prune-head"
    );
    assert_eq!(refused(&[1, 2], |it| it.exported.size += 99), "prune-head");
    assert_eq!(refused(&[1, 2], |it| it.log = other_log()), "prune-log");
    assert_eq!(
        refused(&[1, 2], |it| it.fleet = name("other")),
        "prune-fleet"
    );
    assert_eq!(refused(&[1, 2], |it| it.bundle.0[0] ^= 1), "prune-bundle");
    let past = |it: &mut Prune| it.expires = Time::from_millis(START);
    assert_eq!(refused(&[1, 2], past), "prune-expiry");
    let early = |it: &mut Prune| it.before = Time::from_millis(START + 1);
    assert_eq!(refused(&[1, 2], early), "prune-nothing");
    let unread = |text: &str, signatures: &str| {
        let opening = machine.opening().unwrap();
        let error = carry_out_prune(&opening, &*machine.clock, text, signatures);
        end(opening);
        error.unwrap_err().name()
    };
    assert_eq!(unread("nonsense", ""), "prune-form");
    assert_eq!(unread(&said.to_string(), "nonsense"), "prune-signatures");
    let long = "x".repeat(33 * 1024);
    assert_eq!(unread(&said.to_string(), &long), "prune-signatures");
    let mut image = machine.disk.image();
    image.remove("snapshot").unwrap();
    let without = Machine {
        disk: MemoryDisk::from_image(&image),
        ..machine.twin()
    };
    let error = prune(&without, &said, &[1, 2], |_| {}).unwrap_err();
    assert_eq!(error.name(), "prune-no-snapshot");
    // A part at a time, and the same never twice.
    let some = |it: &mut Prune| it.before = Time::from_millis(START + 40 * HOUR);
    let first = prune(&machine, &said, &[1, 3], some).unwrap();
    assert_eq!(
        prune(&machine, &said, &[1, 3], some).unwrap_err().name(),
        "prune-nothing"
    );
    let second = prune(&machine, &said, &[2, 3], |_| {}).unwrap();
    assert!(second.before > first.before);
}

#[test]
fn a_pruned_log_that_is_not_as_it_was_left_is_sealed_by_name() {
    let machine = lived();
    let some = |it: &mut Prune| it.before = Time::from_millis(START + 30 * HOUR);
    prune(&machine, &statement(&machine), &[1, 2], some).unwrap();
    let image = machine.disk.image();
    let sealed = |change: &dyn Fn(&mut Image)| {
        let mut image = image.clone();
        change(&mut image);
        let machine = Machine {
            disk: MemoryDisk::from_image(&image),
            ..machine.twin()
        };
        let error: OpenJournalError = machine.open().map(drop).unwrap_err();
        // And nothing that is derived was thrown away over it.
        let kept = machine.disk.image();
        assert!(image.keys().all(|name| kept.contains_key(name)));
        error.name()
    };
    let flip = |image: &mut Image| image.get_mut("snapshot").unwrap()[99] ^= 1;
    assert_eq!(sealed(&flip), SealName::SnapshotRefused);
    let gone = |image: &mut Image| drop(image.remove("snapshot"));
    assert_eq!(sealed(&gone), SealName::SegmentMissing);
    let map = image.keys().find(|name| name.starts_with("map.")).unwrap();
    let gone = |image: &mut Image| drop(image.remove(map));
    assert_eq!(sealed(&gone), SealName::SnapshotRefused);
    // What is wrong with the log has its own name, as where nothing is pruned.
    let first = segments(&machine).remove(0);
    let last = segments(&machine).pop().unwrap();
    // One more segment is gone than officers let go.
    let gone = |image: &mut Image| drop(image.remove(&first));
    assert_eq!(sealed(&gone), SealName::SegmentMissing);
    let gone = |image: &mut Image| drop(image.remove("anchor"));
    assert_eq!(sealed(&gone), SealName::AnchorMissing);
    // It ends before its snapshot does.
    let shorter = |image: &mut Image| drop(image.remove(&last));
    assert_eq!(sealed(&shorter), SealName::SegmentMissing);
    let flip = |image: &mut Image| {
        let bytes = image.get_mut(&last).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
    };
    assert_eq!(sealed(&flip), SealName::GroupDamagedWithin);
}

/// In a folder, whose first segment is not there.
#[test]
fn a_pruned_log_without_its_anchor_is_not_called_missing() {
    let machine = lived();
    prune(&machine, &statement(&machine), &[1, 2], |_| {}).unwrap();
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes) in machine.disk.image() {
        if name != "anchor" {
            std::fs::write(folder.path().join(name), bytes).unwrap();
        }
    }
    let clock = std::sync::Arc::clone(&machine.clock) as _;
    // State roots are further apart in the logs of daemons: its snapshot is none there.
    let opened = open(folder.path(), &*machine.shelf, clock, "1");
    let opened = opened.map(drop).unwrap_err().name();
    assert_eq!(opened, SealName::SnapshotRefused);
    let examined = SealedFolder::examine(folder.path(), &*machine.shelf);
    let ResumeError::NotWhole(examined) = examined.map(drop).unwrap_err() else {
        panic!("it is not whole");
    };
    assert_ne!(examined.name(), SealName::JournalMissing);
}

/// Nobody has the bundle that governed, without which nothing behind the snapshot follows.
#[test]
fn a_pruned_log_whose_bundle_is_gone_is_sealed_as_that() {
    let machine = lived();
    prune(&machine, &statement(&machine), &[1, 2], |_| {}).unwrap();
    let bare = Machine {
        shelf: std::sync::Arc::default(),
        ..machine.twin()
    };
    let error: OpenJournalError = bare.open().map(drop).unwrap_err();
    assert_eq!(error.name(), SealName::BundleMissing);
    let disk = std::sync::Arc::new(bare.disk.clone());
    let sealed = SealedFolder::examine_rooted(disk, &*bare.shelf, bare.rooting);
    let ResumeError::NotWhole(found) = sealed.map(drop).unwrap_err() else {
        panic!("it is not whole");
    };
    assert_eq!(found.name(), SealName::BundleMissing);
    // It is put back, and nothing was lost over it.
    end(machine.opening().unwrap());
}

#[test]
fn whoever_is_killed_at_any_step_has_pruned_or_has_not() {
    let machine = lived();
    let said = statement(&machine);
    let (text, namespace) = (said.to_string(), said.header().namespace());
    let signatures = sign_text(&text, &namespace, &[1, 2]);
    let (mut done, mut outcomes) = (false, [0, 0]);
    let mut calls = 0;
    while !done {
        let machine = machine.twin();
        let opening = machine.opening().unwrap();
        machine.disk.lose_power_after(calls);
        let carried = carry_out_prune(&opening, &*machine.clock, &text, &signatures);
        end(opening);
        done = !machine.disk.has_lost_power();
        let image = match done {
            true => machine.disk.image(),
            false => machine.disk.after_power_loss(|| calls as u64),
        };
        let machine = Machine {
            disk: MemoryDisk::from_image(&image),
            ..machine.twin()
        };
        let opening = machine.opening().unwrap();
        let pruned = opening.journal.state().pruned();
        assert!(carried.is_err() || pruned > 0);
        outcomes[usize::from(pruned > 0)] += 1;
        // What was left over went when it was opened.
        let first = opening.journal.bodies().starts()[0];
        assert_eq!(first, pruned);
        assert!(!seen(&opening).is_empty());
        end(opening);
        calls += 1;
    }
    assert!(outcomes.iter().all(|times| *times > 0), "{outcomes:?}");
}

/// Notes until the disk is full, and says how many entries there were.
fn fill(machine: &Machine) -> u64 {
    let running = machine.open().unwrap();
    let full = (0..1_000).find_map(|_| running.note(&"x".repeat(10_000)).err());
    let said = full.unwrap().to_string();
    assert!(said.contains("disk is full"), "{said}");
    running.crash();
    let opened = machine.twin();
    opened.disk.set_capacity(None);
    let opening = opened.opening().unwrap();
    let size = opening.journal.tree().head().size;
    // The last but the start of this one.
    let (last, _) = opening.journal.record(size - 2).unwrap();
    let is_full = |reason: &str| reason.contains("disk is full");
    assert!(matches!(&last.entry, Entry::Stopped { reason } if is_full(reason)));
    end(opening);
    size
}

/// It is not opened without room, and nothing is thrown away over it: not even the snapshot, behind which
/// there is something to be written.
fn refused_for_room(machine: &Machine, bytes: usize) {
    machine.disk.set_capacity(Some(bytes));
    let before = machine.disk.image();
    let error = machine.open().map(drop).unwrap_err();
    assert_eq!(error.name(), SealName::DiskFull, "{error:?}");
    let after = machine.disk.image();
    assert!(before.keys().all(|name| after.contains_key(name)));
    let with_room = machine.twin();
    with_room.disk.set_capacity(None);
    let opening = with_room.opening().unwrap();
    assert!(matches!(opening.snapshot, SnapshotUse::Used { .. }));
    end(opening);
}

/// A disk that is full gets room by pruning, for which it needs a little: that of the reserve, and of an
/// entry. Also then the last that a full disk takes is that it is full.
#[test]
fn a_full_disk_is_pruned_as_soon_as_the_reserve_has_room() {
    let machine = lived();
    let said = statement(&machine);
    let room = 16 * 1024;
    let lived_bytes = machine.disk.used_bytes();
    machine.disk.set_capacity(Some(lived_bytes + room));
    let before = fill(&machine);
    let full_bytes = machine.disk.used_bytes();
    refused_for_room(&machine, full_bytes);
    machine
        .disk
        .set_capacity(Some(full_bytes + RESERVE_BYTES + room));
    let done = prune(&machine, &said, &[1, 2], |_| {}).unwrap();
    assert!(done.before > 60, "{done:?}");
    let freed = full_bytes + RESERVE_BYTES - machine.disk.used_bytes();
    assert!(freed > 3 * 24 * 1024, "{freed}");
    machine.disk.set_capacity(Some(full_bytes + RESERVE_BYTES));
    let after = fill(&machine);
    assert!(after > before, "{after}");
    refused_for_room(&machine, machine.disk.used_bytes());
    machine.disk.set_capacity(None);
    let running = machine.open().unwrap();
    assert_eq!(running.journal.state().pruned(), done.before);
    let replayed = sign(&running, &payment(0));
    assert!(
        matches!(replayed, SignOutcome::Replay { .. }),
        "{replayed:?}"
    );
}

/// A disk that fails says nothing about the snapshot: nobody is told to begin anew over it.
#[test]
fn a_disk_that_fails_does_not_refuse_the_snapshot_of_a_pruned_log() {
    let machine = lived();
    prune(&machine, &statement(&machine), &[1, 2], |_| {}).unwrap();
    let mut failed = 0;
    for call in [
        Call::List,
        Call::Open,
        Call::Create,
        Call::Read,
        Call::Write,
    ] {
        for after in 0.. {
            let machine = machine.twin();
            machine.disk.fail(Fault::error(call, after));
            let opened = machine.opening();
            if !machine.disk.has_failed() {
                end(opened.unwrap());
                break;
            }
            // What is only for speed may be missing.
            match opened {
                Ok(opening) => end(opening),
                Err(error) => {
                    let names = [SealName::DiskFailed, SealName::System];
                    assert!(names.contains(&error.name()), "{call:?} {after}: {error:?}");
                    failed += 1;
                }
            }
            let opening = machine.opening().unwrap();
            assert!(matches!(opening.snapshot, SnapshotUse::Used { .. }));
            end(opening);
        }
    }
    assert!(failed > 20, "{failed}");
}

/// A pruned journal that lost its anchor goes on as any other does.
#[test]
fn officers_let_a_pruned_journal_go_on() {
    let machine = lived();
    prune(&machine, &statement(&machine), &[1, 2], |_| {}).unwrap();
    let mut image = machine.disk.image();
    image.remove("anchor").unwrap();
    let machine = Machine {
        disk: MemoryDisk::from_image(&image),
        ..machine.twin()
    };
    let error = machine.open().map(drop).unwrap_err();
    assert_eq!(error.name(), SealName::AnchorMissing);
    let sealed = || {
        let disk = std::sync::Arc::new(machine.disk.clone());
        SealedFolder::examine_rooted(disk, &*machine.shelf, machine.rooting).unwrap()
    };
    let report = sealed().report().unwrap();
    assert_eq!(report.found.as_str(), "anchor-missing");
    let unseal = Unseal {
        fleet: report.fleet.clone(),
        log: report.log,
        found: report.found.clone(),
        head: Head {
            size: report.size,
            root: report.root,
        },
        bundle: report.bundle,
        lost: Default::default(),
        nonce: report.nonce,
        expires: Time::from_millis(START + 63 * HOUR),
    };
    let (text, namespace) = (unseal.to_string(), unseal.header().namespace());
    let signatures = sign_text(&text, &namespace, &[2, 3]);
    sealed()
        .resume(&text, &signatures, &*machine.clock)
        .unwrap();
    let running = machine.open().unwrap();
    assert!(matches!(
        sign(&running, &payment(3)),
        SignOutcome::Replay { .. }
    ));
    let records = running
        .journal
        .rows()
        .requests_from(&name("walletd"), AttemptId(0), 999);
    assert_eq!(records.unwrap().len(), 60);
}

#[test]
fn the_statement_has_one_text() {
    let prune = statement(&lived());
    let text = prune.to_string();
    assert_eq!(Prune::parse(&text), Ok(prune));
    for at in 0..text.len() {
        let mut other = text.clone().into_bytes();
        other[at] ^= 1;
        let other = String::from_utf8(other).unwrap();
        assert!(Prune::parse(&other).map_or(true, |parsed| parsed.to_string() == other));
    }
}
