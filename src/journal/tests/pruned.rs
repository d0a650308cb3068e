//! What is left of a pruned journal: what it is held to, and what of it may not be lost.

use std::sync::Arc;

use strongroom_journal::{
    Opening, ResumeError, SealName, SealedFolder, SnapshotUse, carry_out_prune,
};
use tx::Time;

use crate::{
    fixture::START,
    machine::Machine,
    memory_disk::{Call, Fault, Image},
    pruning::{end, lived, lived_for, prune, segments, statement},
    roots,
    snapshots::{due, keep, settle, with, witnessed},
    unseal::{HOUR, governed, pay, sign_text},
};

fn sealed(machine: &Machine) -> Result<SealedFolder, ResumeError> {
    let disk = Arc::new(machine.disk.clone());
    SealedFolder::examine_rooted(disk, &*machine.shelf, machine.rooting)
}

fn pruned() -> Machine {
    let machine = lived();
    prune(&machine, &statement(&machine), &[1, 2], |_| {}).unwrap();
    machine
}

/// What is derived from the log, and bound by the snapshot.
fn derived(image: &Image) -> Image {
    let is_derived =
        |name: &str| name == "snapshot" || name.starts_with("map.") || name.starts_with("charges.");
    let derived = image.iter().filter(|(name, _)| is_derived(name));
    derived
        .map(|(name, file)| (name.clone(), file.clone()))
        .collect()
}

/// The log has the root of its snapshot and not yet the checkpoint that it was kept with: an older copy
/// of it stands beside the snapshot. Nothing follows it, whoever signs.
#[test]
fn a_pruned_log_that_is_older_than_its_snapshot_does_not_go_on() {
    let machine = pruned();
    let running = machine.open().unwrap();
    for n in 60..90 {
        pay(&running, n);
    }
    // Every root that follows is in the log.
    for _ in 0..4 {
        running.note("a root is in").unwrap();
    }
    let mut older = machine.disk.image();
    keep(&machine, &running);
    running.crash();
    older.retain(|name, _| name.ends_with(".seg") || name.starts_with("tree."));
    older.extend(derived(&machine.disk.image()));
    let restored = with(&machine, &older);
    let name = restored.open().map(drop).unwrap_err().name();
    assert_eq!(name, SealName::ShorterThanCheckpoint);
    let ResumeError::NotWhole(found) = sealed(&restored).map(drop).unwrap_err() else {
        panic!("it is not whole");
    };
    assert_eq!(found.name(), SealName::ShorterThanCheckpoint);
}

/// Witnesses that a bundle names later are not asked for of what was signed before.
#[test]
fn a_pruned_log_gets_witnesses() {
    let machine = pruned();
    let running = machine.open().unwrap();
    running.activate(witnessed(governed())).unwrap().unwrap();
    running.note("nobody has cosigned yet").unwrap();
    let running = machine.restart(running);
    running.crash();
    let mut image = machine.disk.image();
    image.remove("anchor").unwrap();
    let report = sealed(&with(&machine, &image)).unwrap().report();
    assert_eq!(report.unwrap().found.as_str(), "anchor-missing");
}

/// Roots that are due behind the snapshot are computed, and not in the folder.
#[test]
fn who_examines_a_pruned_log_changes_nothing() {
    let machine = pruned();
    let running = machine.open().unwrap();
    for n in 60..90 {
        pay(&running, n);
        machine.clock.pass(HOUR);
    }
    running.crash();
    let mut image = machine.disk.image();
    image.remove("anchor").unwrap();
    // So that they have to be computed.
    let named = derived(&pruned().disk.image());
    image.retain(|name, _| !name.starts_with("map.") || named.contains_key(name));
    let machine = with(&machine, &image);
    let folder = sealed(&machine).unwrap();
    drop(folder);
    assert!(machine.disk.image() == image);
}

/// Also a head from before the entries that are read.
#[test]
fn a_pruned_log_that_is_not_its_anchors_can_be_resumed() {
    let machine = Machine {
        segment_bytes: 24 * 1024,
        ..roots::machine()
    };
    let running = crate::checkpoints::begin(&machine);
    running.activate(governed()).unwrap().unwrap();
    pay(&running, 0);
    let running = machine.restart(running);
    let fork = machine.twin();
    for n in 1..60 {
        pay(&running, n);
        machine.clock.pass(HOUR);
    }
    keep(&machine, &running);
    running.stop().unwrap();
    running.crash();
    let other = fork.open().unwrap();
    pay(&other, 99);
    other.stop().unwrap();
    other.crash();
    prune(&machine, &statement(&machine), &[1, 2], |_| {}).unwrap();
    let mut image = machine.disk.image();
    let anchor = fork.disk.image().remove("anchor").unwrap();
    image.insert("anchor".into(), anchor);
    let machine = with(&machine, &image);
    let name = machine.open().map(drop).unwrap_err().name();
    assert_eq!(name, SealName::ForkedFromAnchor);
    let report = sealed(&machine).unwrap().report().unwrap();
    assert_eq!(report.found.as_str(), "forked-from-anchor");
    assert_eq!(report.lost.len(), 1);
}

/// The leaves in the file of the tree are damaged, and the disk does not take them anew.
#[test]
fn bodies_stay_until_their_leaves_are_in_the_files_of_the_tree() {
    let machine = lived_for(150);
    let mut said = statement(&machine);
    said.expires = Time::from_millis(START + 200 * HOUR);
    let before = segments(&machine);
    let mut image = machine.disk.image();
    let leaves = image.get_mut("tree.leaves").unwrap();
    assert!(leaves.len() >= 256 * 32);
    leaves[0] ^= 1;
    let machine = with(&machine, &image);
    let (text, namespace) = (said.to_string(), said.header().namespace());
    let signatures = sign_text(&text, &namespace, &[1, 2]);
    let opening = machine.opening().unwrap();
    machine.disk.fail(Fault::error(Call::Write, 0));
    let error = carry_out_prune(&opening, &*machine.clock, &text, &signatures);
    assert_eq!(error.unwrap_err().name(), "prune-disk");
    assert!(segments(&machine).starts_with(&before));
    carry_out_prune(&opening, &*machine.clock, &text, &signatures).unwrap();
    end(opening);
    let image = machine.disk.after_power_loss(|| 1);
    let machine = with(&machine, &image);
    let opening = machine.opening().unwrap();
    assert_eq!(commitments(&opening, 256).len(), 256);
    end(opening);
}

fn commitments(opening: &Opening, entries: u64) -> Vec<tlog::Hash> {
    opening.journal.tree().commitments(0..entries).unwrap()
}

/// The tile of the last leaves that have no bodies any more is full only later. Until it is durable, the
/// snapshot that has them stays.
#[test]
fn leaves_without_bodies_survive_the_snapshot_that_had_them() {
    let machine = lived();
    let opening = machine.opening().unwrap();
    let size = opening.journal.tree().head().size;
    let expected = commitments(&opening, size);
    end(opening);
    let done = prune(&machine, &statement(&machine), &[1, 2], |_| {}).unwrap();
    let tile = done.before.next_multiple_of(256);
    let running = machine.open().unwrap();
    let mut paid = 60;
    while running.journal.tree().head().size < tile + 64 {
        pay(&running, paid);
        paid += 1;
    }
    // The disk has lost it, and says nothing.
    let mut image = machine.disk.image();
    image.retain(|name, _| name == "tree.leaves");
    image.get_mut("tree.leaves").unwrap().fill(0);
    machine.disk.overwrite(&image);
    let kept = machine.disk.image()["snapshot"].clone();
    running.journal.covered(&due(&running));
    settle(&running);
    assert!(machine.disk.image()["snapshot"] == kept);
    let running = machine.restart(running);
    keep(&machine, &running);
    assert!(machine.disk.image()["snapshot"] != kept);
    // All that was not synced is lost.
    let image = machine.disk.after_power_loss(|| 1);
    running.crash();
    let opening = with(&machine, &image).opening().unwrap();
    let SnapshotUse::Used { read_from, .. } = opening.snapshot else {
        panic!("{:?}", opening.snapshot);
    };
    assert!(read_from > tile, "{read_from} {tile}");
    assert_eq!(commitments(&opening, size), expected);
    end(opening);
}
