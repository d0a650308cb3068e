//! Reading the log again: what a start from a snapshot goes past is looked at, damage stops the journal by
//! name, and the next start is sealed by it.

use std::{
    cell::{Cell, RefCell},
    ops::ControlFlow,
    time::Duration,
};

use policy::statement::Prune;
use strongroom_journal::{Opening, Pauses, SealName, SealedFolder, SnapshotUse, disk::Disk as _};
use tx::Time;

use crate::{
    fixture::START,
    machine::{HandClock, Machine, ask},
    memory_disk::{Call, Fault, Image, MemoryDisk},
    pruning::{end, lived, lived_for, prune, segments, statement},
    unseal::HOUR,
};

const MARK: &str = "log.damaged";

/// Pauses that are over at once, as the clock has it; the last one breaks off.
struct Brief<'m> {
    clock: &'m HandClock,
    left: Cell<usize>,
    waited: RefCell<Vec<Duration>>,
}

impl Pauses for Brief<'_> {
    fn pause(&self, length: Duration) -> ControlFlow<()> {
        self.waited.borrow_mut().push(length);
        self.clock.pass(u64::try_from(length.as_millis()).unwrap());
        self.left.update(|left| left - 1);
        match self.left.get() {
            0 => ControlFlow::Break(()),
            _ => ControlFlow::Continue(()),
        }
    }
}

fn brief(machine: &Machine, pauses: usize) -> Brief<'_> {
    Brief {
        clock: &machine.clock,
        left: Cell::new(pauses),
        waited: RefCell::default(),
    }
}

fn with(machine: &Machine, image: Image) -> Machine {
    Machine {
        disk: MemoryDisk::from_image(&image),
        ..machine.twin()
    }
}

/// Parts enough for a whole reading of the logs here, of 512 KiB each, and the pauses behind them.
const PARTS: usize = 16;

/// The name under which reading it again stops the journal, if it does.
fn found(machine: &Machine) -> Option<SealName> {
    let Opening {
        journal,
        writer,
        snapshot,
        ..
    } = machine.opening().unwrap();
    assert!(matches!(snapshot, SnapshotUse::Used { .. }), "{snapshot:?}");
    journal.scrubber().run(&brief(machine, PARTS));
    let noted = ask(|reply| journal.policy_refused("is it taken?".into(), reply));
    let name = noted.err().map(|stopped| stopped.seal().unwrap());
    drop(journal);
    writer.join();
    name
}

fn sealed(machine: &Machine) -> Option<SealName> {
    machine.opening().map(end).err().map(|error| error.name())
}

/// A bit of each of these places, one after the other.
fn flips(image: &Image, name: &str, step: usize) -> Vec<Image> {
    let places = (0..image[name].len()).step_by(step);
    let flipped = places.map(|at| {
        let mut flipped = image.clone();
        flipped.get_mut(name).unwrap()[at] ^= 4;
        flipped
    });
    flipped.collect()
}

#[test]
fn a_flipped_bit_stops_the_journal_and_seals_it_by_the_name_that_the_whole_log_gives() {
    let machine = lived();
    let image = machine.disk.image();
    let early = &segments(&machine)[..2];
    let mut names = std::collections::BTreeSet::new();
    for flipped in early.iter().flat_map(|name| flips(&image, name, 997)) {
        let mut folded = flipped.clone();
        folded.remove("snapshot").unwrap();
        let expected = sealed(&with(&machine, folded));
        let machine = with(&machine, flipped);
        // The page that a segment begins with is looked at when it is passed.
        let Ok(opening) = machine.opening() else {
            assert_eq!(sealed(&machine), expected);
            continue;
        };
        end(opening);
        assert_eq!(found(&machine), expected);
        assert_eq!(sealed(&machine), expected);
        // And again, until the segment is put back.
        assert_eq!(sealed(&machine), expected);
        let mut mended = machine.disk.image();
        let said = String::from_utf8(mended[MARK].clone()).unwrap();
        let name = expected.unwrap();
        assert!(said.starts_with(&format!("{name}: ")), "{said}");
        for name in early {
            mended.insert(name.clone(), image[name].clone());
        }
        let machine = with(&machine, mended);
        assert_eq!(found(&machine), None);
        assert!(!machine.disk.image().contains_key(MARK));
        names.insert(name.as_str());
    }
    assert!(names.contains("group-damaged-within"), "{names:?}");
}

#[test]
fn a_whole_log_is_read_once_a_day_and_when_is_remembered() {
    let machine = lived();
    let Opening {
        journal, writer, ..
    } = machine.opening().unwrap();
    assert_eq!(journal.scrubbed().finished(), None);
    let entries = journal.bodies().durable();
    let pauses = brief(&machine, 3);
    journal.scrubber().run(&pauses);
    assert_eq!(journal.scrubbed().entries(), 3 * entries);
    let day = Duration::from_hours(24);
    assert_eq!(*pauses.waited.borrow(), [day; 3]);
    let finished = journal.scrubbed().finished().unwrap();
    drop(journal);
    writer.join();
    let opening = machine.opening().unwrap();
    assert_eq!(opening.journal.scrubbed().finished(), Some(finished));
    assert_eq!(opening.journal.scrubbed().entries(), 0);
    end(opening);
}

/// 520 KiB of entries or more are not read in one go.
#[test]
fn much_is_read_in_parts_with_pauses_between_them() {
    let machine = Machine::new();
    let running = machine.start();
    for n in 0..40 {
        running.note(&"x".repeat(16 * 1024 - n)).unwrap();
    }
    running.crash();
    let opening = machine.opening().unwrap();
    let pauses = brief(&machine, 2);
    opening.journal.scrubber().run(&pauses);
    let waited = pauses.waited.borrow();
    assert!(waited[0] >= Duration::from_millis(125) && waited[0] < Duration::from_secs(1));
    assert!(waited[1] > Duration::from_hours(23), "{waited:?}");
    let entries = opening.journal.bodies().durable();
    assert_eq!(opening.journal.scrubbed().entries(), entries);
    drop(opening.journal);
    opening.writer.join();
}

#[test]
fn a_damaged_tile_of_the_tree_is_made_again() {
    let machine = lived_for(200);
    let image = machine.disk.image();
    assert!(!image["tree.leaves"].is_empty());
    for flipped in flips(&image, "tree.leaves", 2_999) {
        let machine = with(&machine, flipped);
        assert_eq!(found(&machine), None);
        // A further tile may be full by now.
        let now = &machine.disk.image()["tree.leaves"];
        assert!(now.starts_with(&image["tree.leaves"]));
    }
}

fn pruned() -> Machine {
    let machine = lived_for(200);
    let some = |it: &mut Prune| {
        it.before = Time::from_millis(START + 170 * HOUR);
        it.expires = Time::from_millis(START + 203 * HOUR);
    };
    prune(&machine, &statement(&machine), &[1, 2], some).unwrap();
    machine
}

#[test]
fn what_remains_of_a_pruned_log_is_read_again() {
    let machine = pruned();
    let image = machine.disk.image();
    assert_eq!(found(&machine), None);
    let first = segments(&machine).remove(0);
    let mut names = std::collections::BTreeSet::new();
    for flipped in flips(&image, &first, 4_999) {
        let machine = with(&machine, flipped);
        if machine.opening().map(end).is_err() {
            // The page that a segment begins with.
            continue;
        }
        let name = found(&machine).unwrap();
        assert_eq!(sealed(&machine), Some(name));
        assert_eq!(examined(&machine), name.as_str());
        names.insert(name.as_str());
    }
    assert!(names.contains("group-damaged-within"), "{names:?}");
    // Of what is pruned, the leaves.
    let mut flipped = image.clone();
    flipped.get_mut("tree.leaves").unwrap()[7 * 32] ^= 1;
    let machine = with(&machine, flipped);
    assert_eq!(found(&machine), Some(SealName::LeavesDamaged));
    assert_eq!(sealed(&machine), Some(SealName::LeavesDamaged));
    assert_eq!(examined(&machine), "leaves-damaged");
    let mut mended = machine.disk.image();
    mended.insert("tree.leaves".into(), image["tree.leaves"].clone());
    assert_eq!(found(&with(&machine, mended)), None);
}

/// What a report of it would say.
fn examined(machine: &Machine) -> &'static str {
    let disk = std::sync::Arc::new(machine.disk.clone());
    let examined = SealedFolder::examine_rooted(disk, &*machine.shelf, machine.rooting);
    examined.err().unwrap().name()
}

#[test]
fn a_segment_that_is_gone_or_cannot_be_read_stops_the_journal() {
    let machine = lived();
    let Opening {
        journal, writer, ..
    } = machine.opening().unwrap();
    let gone = segments(&machine).remove(1);
    machine.disk.remove(&gone).unwrap();
    journal.scrubber().run(&brief(&machine, 1));
    let noted = ask(|reply| journal.policy_refused("is it taken?".into(), reply));
    assert_eq!(noted.unwrap_err().seal(), Some(SealName::SegmentMissing));
    drop(journal);
    writer.join();
    assert_eq!(sealed(&machine), Some(SealName::SegmentMissing));

    let machine = lived();
    let opening = machine.opening().unwrap();
    machine.disk.fail(Fault::error(Call::Read, 5));
    opening.journal.scrubber().run(&brief(&machine, 1));
    let noted = ask(|reply| opening.journal.policy_refused("is it taken?".into(), reply));
    assert_eq!(noted.unwrap_err().seal(), Some(SealName::DiskFailed));
    drop(opening.journal);
    opening.writer.join();
    // It may read the next time.
    assert_eq!(sealed(&machine), None);
}

/// What could not be read is not taken for mended.
#[test]
fn a_disk_that_fails_does_not_hide_damage_that_was_found() {
    for machine in [lived(), pruned()] {
        let mut image = machine.disk.image();
        let early = segments(&machine).remove(0);
        let bytes = image.get_mut(&early).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 4;
        let machine = with(&machine, image);
        let name = found(&machine).unwrap();
        for call in [Call::List, Call::Open, Call::Read] {
            for after in 0.. {
                let machine = machine.twin();
                machine.disk.fail(Fault::error(call, after));
                let said = sealed(&machine).unwrap();
                assert!(machine.disk.image().contains_key(MARK));
                if !machine.disk.has_failed() {
                    assert_eq!(said, name);
                    break;
                }
            }
        }
    }
}
