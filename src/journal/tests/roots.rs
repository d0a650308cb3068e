//! State roots: they follow from the entries, every fold computes them, and nothing else is believed.

use std::{num::NonZeroU64, sync::Arc};

use policy::{AttemptId, Digest, Entry, ReasonCode, Record, RequestHash, State, StateRoot};
use sha2::{Digest as _, Sha256};
use strongroom_journal::{
    FoldError, OpenJournalError, Release, Replay, Rooting, SealName, SignOutcome,
    map::{Map, batch},
    segment::{LogId, OpenError, OpenOptions, Record as LogRecord, Salt, SegmentLog},
};

use crate::{
    fixture::{Ask, name},
    machine::{Machine, Running, capped, folded},
    memory_disk::{Image, MemoryDisk},
};

const EVERY: u64 = 8;

fn rooting() -> Rooting {
    Rooting::every(NonZeroU64::new(EVERY).unwrap())
}

pub fn machine() -> Machine {
    Machine {
        rooting: rooting().within(),
        ..Machine::new()
    }
}

/// Payments, one of them unsigned, and entries that say nothing.
pub fn live(running: &Running, payments: std::ops::Range<u32>) {
    for n in payments {
        let id = format!("pay-{n}");
        let order = running.order(&Ask::utxo(&id, [n], 10).pay(&id, 1, (n % 5) as u8));
        if n % 3 > 0 {
            let _released = running.signed(&order).unwrap();
        } else {
            running.failed(&order).unwrap();
        }
        running.note("nothing").unwrap();
    }
}

fn roots(records: &[Record]) -> Vec<StateRoot> {
    let root = |record: &Record| match &record.entry {
        Entry::StateRoot(root) => Some(*root),
        _ => None,
    };
    records.iter().filter_map(root).collect()
}

/// From the records alone, by the words of the format.
fn computed(records: &[Record]) -> Vec<StateRoot> {
    let mut map = Map::new(Arc::new(MemoryDisk::default()), LogId::new([9; 32]));
    let (mut state, mut rows) = (State::new(), Vec::new());
    let mut roots = Vec::new();
    for (index, record) in (0..).zip(records) {
        state.apply(index, record).unwrap();
        rows.extend(state.rows_written(index, &record.entry));
        if let Entry::PolicyActivated { .. } = &record.entry {
            state.activate(Arc::new(capped())).unwrap();
        }
        let covers = index + 1;
        if covers % EVERY == 0 {
            map = map.extend(&batch(rows.drain(..))).unwrap();
            let hash = Sha256::new()
                .chain_update("strongroom-state-root-v2\n")
                .chain_update(covers.to_be_bytes())
                .chain_update(state.hot().hash().unwrap().0)
                .chain_update(map.head().root())
                .chain_update(state.charge_state().hash().0);
            let hash = Digest(hash.finalize().into());
            let v = StateRoot::VERSION;
            roots.push(StateRoot { v, covers, hash });
        }
    }
    roots
}

fn map_files(image: &Image) -> Image {
    let of_map = image.iter().filter(|(name, _)| name.starts_with("map."));
    of_map
        .map(|(name, file)| (name.clone(), file.clone()))
        .collect()
}

#[test]
fn every_root_follows_from_the_entries_that_it_covers() {
    let machine = machine();
    let running = machine.start();
    live(&running, 0..20);
    running
        .note("so that the last root that is due is in")
        .unwrap();
    running.crash();
    let records = machine.records();
    let found = roots(&records);
    let expected = computed(&records);
    assert!(found.len() > 7, "{found:?}");
    assert_eq!(found[..], expected[..found.len()]);
    assert!(expected.len() - found.len() <= 1);
}

#[test]
fn a_root_is_the_same_whoever_computes_it() {
    let machine = Machine {
        rooting: rooting(),
        ..Machine::new()
    };
    let running = machine.start();
    live(&running, 0..20);
    while running.journal.state().rooted() < 64 {
        running.note("until the thread is done").unwrap();
    }
    running.crash();
    let records = machine.records();
    let found = roots(&records);
    assert_eq!(found[..], computed(&records)[..found.len()]);
    // What was not computed is when it is opened again.
    let running = machine.open().unwrap();
    let due = running.journal.state().entries() / EVERY * EVERY;
    while running.journal.state().rooted() < due {
        running.note("until they are in").unwrap();
    }
    running.crash();
    let records = machine.records();
    let found = roots(&records);
    assert_eq!(found[..], computed(&records)[..found.len()]);
}

#[test]
fn a_fold_names_each_root_before_the_log_has_it() {
    let machine = machine();
    let running = machine.start();
    live(&running, 0..20);
    running.crash();
    let disk = Arc::new(MemoryDisk::default());
    let replay = Replay::rooted(&*machine.shelf, rooting());
    let mut replay = replay.kept_on(disk.clone(), LogId::new([9; 32]));
    let records = machine.records();
    for (index, record) in (0..).zip(&records) {
        if let Entry::StateRoot(said) = &record.entry {
            assert_eq!(replay.due(), Some(*said));
        }
        let body = serde_json::to_vec(record).unwrap();
        let taken = replay.take(index, &body, || panic!("no checkpoint"));
        assert_eq!(taken.unwrap(), *record);
    }
    assert!(!map_files(&disk.image()).is_empty());
}

/// Adds entries to a log that was closed, as somebody would who can write to the disk.
fn append(disk: &MemoryDisk, entries: &[Record]) {
    let heads = OpenOptions::default();
    let ignored = |_: u64, _: &[u8]| Ok::<(), std::convert::Infallible>(());
    let (mut log, _) = SegmentLog::open(Box::new(disk.clone()), &heads, ignored).unwrap();
    for entry in entries {
        let body = serde_json::to_vec(entry).unwrap();
        let salt = Salt::new([5; 32]);
        log.append(&[LogRecord { salt, body: &body }], &[]).unwrap();
    }
    log.write_anchor().unwrap();
}

/// A log that ends right before the root of its first eight entries, and that root.
fn before_a_root() -> (Machine, StateRoot, Record) {
    let machine = machine();
    let running = machine.start();
    while running.journal.state().entries() < EVERY {
        running.note("nothing").unwrap();
    }
    running.crash();
    let records = machine.records();
    let root = computed(&records)[0];
    (machine, root, records.last().unwrap().clone())
}

fn with_root(machine: &Machine, root: StateRoot, last: &Record) -> Machine {
    let twin = machine.twin();
    let entry = Entry::StateRoot(root);
    let record = Record {
        entry,
        ..last.clone()
    };
    append(&twin.disk, &[record]);
    twin
}

#[test]
fn a_root_that_does_not_follow_seals_by_name() {
    let (machine, root, last) = before_a_root();
    with_root(&machine, root, &last).open().unwrap().crash();
    let mut flipped = root;
    flipped.hash.0[31] ^= 1;
    let early = StateRoot {
        covers: root.covers - 1,
        ..root
    };
    for wrong in [flipped, early] {
        let error = with_root(&machine, wrong, &last).open().map(drop);
        let error = error.unwrap_err();
        assert_eq!(error.name(), SealName::StateRootMismatch);
        let OpenJournalError::Log(OpenError::Fold { index, source }) = error else {
            panic!("{error:?}");
        };
        assert_eq!(index, EVERY);
        assert!(matches!(source, FoldError::StateRoot { covers } if covers == wrong.covers));
    }
    for impossible in [
        StateRoot { covers: 0, ..root },
        StateRoot {
            covers: EVERY * 2,
            ..root
        },
        StateRoot { v: 1, ..root },
    ] {
        let error = with_root(&machine, impossible, &last).open().map(drop);
        assert_eq!(error.unwrap_err().name(), SealName::EntryImpossible);
    }
}

#[test]
fn a_root_that_was_left_out_is_missed() {
    let (machine, root, last) = before_a_root();
    let note = |n: u64| Record {
        entry: Entry::PolicyRefused {
            reason: n.to_string(),
        },
        ..last.clone()
    };
    append(&machine.disk, &(0..EVERY).map(note).collect::<Vec<_>>());
    let second = computed(&machine.records())[1];
    let error = with_root(&machine, second, &last).open().map(drop);
    assert_eq!(error.unwrap_err().name(), SealName::StateRootMismatch);
    let whole = with_root(&machine, root, &last);
    with_root(&whole, second, &last).open().unwrap().crash();
}

#[test]
fn a_map_is_made_again_and_never_believed() {
    let machine = machine();
    let running = machine.start();
    live(&running, 0..20);
    running.crash();
    let image = machine.disk.image();
    let whole = map_files(&image);
    assert!(!whole.is_empty());
    let without = |change: &dyn Fn(&mut Image)| {
        let mut image = image.clone();
        change(&mut image);
        let machine = Machine {
            disk: MemoryDisk::from_image(&image),
            ..machine.twin()
        };
        machine.open().unwrap().crash();
        assert_eq!(map_files(&machine.disk.image()), whole);
        assert_eq!(
            folded(&machine.records(), &machine.shelf).rooted() % EVERY,
            0
        );
    };
    without(&|image| image.retain(|name, _| !name.starts_with("map.")));
    without(&|image| {
        let name = whole.keys().next().unwrap();
        image.insert(format!("{name}.tmp"), vec![1; 99]);
        image.insert("map.other".into(), vec![1; 99]);
    });
    for name in whole.keys() {
        without(&|image| image.get_mut(name).unwrap()[40] ^= 1);
        without(&|image| image.get_mut(name).unwrap().truncate(100));
    }
}

#[test]
fn a_disk_that_does_not_take_the_map_stops_the_journal() {
    let machine = Machine {
        rooting: rooting(),
        ..Machine::new()
    };
    let running = machine.start();
    let before = machine.disk.used_bytes();
    // Room for entries, none for the map: the newest segment has its room already.
    machine.disk.set_capacity(Some(before + 64));
    let mut notes = 0;
    while running.note("nothing").is_ok() {
        notes += 1;
        assert!(notes < 1_000_000);
    }
    let stopped = running.journal.stopped().unwrap().clone();
    assert!(stopped.reason.contains("map"), "{stopped}");
    running.crash();
    machine.disk.set_capacity(None);
    machine.open().unwrap().crash();
}

/// Long enough that what the first requests wrote is on disk alone.
fn settled(machine: &Machine) -> Running {
    let running = machine.start();
    live(&running, 0..20);
    let state = running.journal.state();
    assert!(state.settled() > 48);
    assert!(state.attempt(AttemptId(10)).is_err() || state.attempt(AttemptId(11)).is_err());
    drop(state);
    running
}

fn payment(n: u32) -> Ask {
    let id = format!("pay-{n}");
    Ask::utxo(&id, [n], 10).pay(&id, 1, (n % 5) as u8)
}

#[test]
fn what_is_on_disk_alone_is_remembered() {
    let machine = machine();
    let running = settled(&machine);
    // The request that was signed, under its own id and another; the intent; the outpoint.
    let replayed = running.sign(&payment(1)).unwrap();
    assert!(
        matches!(replayed, SignOutcome::Replay { .. }),
        "{replayed:?}"
    );
    let mut reused = Ask::utxo("pay-1", [99], 10).pay("new", 1, 1);
    reused.request.hash = RequestHash([9; 32]);
    let reused = running.sign(&reused).unwrap();
    assert!(matches!(reused, SignOutcome::Reused { .. }), "{reused:?}");
    let intent = Ask::utxo("again", [98], 10).pay("pay-1", 2, 1);
    let found = codes(running.sign(&intent).unwrap());
    assert!(found.contains(&ReasonCode::IntentReused), "{found:?}");
    let spent = Ask::utxo("spent", [1], 10).pay("other", 1, 1);
    let found = codes(running.sign(&spent).unwrap());
    assert!(found.contains(&ReasonCode::UndeclaredConflict), "{found:?}");
    // An unsigned one is taken up again, in the same set.
    let first = running.journal.rows();
    let client = name("walletd");
    let old = first
        .request(&client, &"pay-3".parse().unwrap())
        .unwrap()
        .unwrap();
    machine.clock.pass(61_000);
    let order = running.order(&payment(3));
    assert_ne!(order.attempt, old.attempt);
    let set = |id| running.journal.rows().attempt(id).unwrap().unwrap().set();
    assert_eq!(set(order.attempt), set(old.attempt));
    assert_eq!(running.signed(&order).unwrap(), Release::Released);
    running.crash();
    machine.open().unwrap().crash();
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

#[test]
fn what_is_asked_of_rows_is_what_a_whole_state_has() {
    let machine = machine();
    let running = settled(&machine);
    let whole = folded(&machine.records(), &machine.shelf);
    let client = name("walletd");
    let expected = whole.requests_of(&client).unwrap();
    let rows = running.journal.rows();
    assert_eq!(
        rows.requests_from(&client, AttemptId(0), 99).unwrap(),
        expected
    );
    for (at, (attempt, status)) in expected.iter().enumerate() {
        let known = whole.attempt(*attempt).unwrap();
        assert_eq!(rows.attempt(*attempt).unwrap().as_ref(), known);
        assert!(!rows.is_frozen(*attempt).unwrap());
        for from in [attempt.0, attempt.0 - 1] {
            let page = rows.requests_from(&client, AttemptId(from), 3).unwrap();
            assert_eq!(page[..], expected[at..expected.len().min(at + 3)]);
        }
        let request = format!("pay-{at}").parse().unwrap();
        let found = rows.request(&client, &request).unwrap().unwrap();
        assert_eq!((found.attempt, found.status), (*attempt, *status));
    }
    let last = expected.last().unwrap().0.0;
    assert_eq!(
        rows.requests_from(&client, AttemptId(last + 1), 9).unwrap(),
        []
    );
    assert_eq!(
        rows.requests_from(&name("nobody"), AttemptId(0), 9)
            .unwrap(),
        []
    );
    assert_eq!(rows.attempt(AttemptId(3)).unwrap(), None);
    assert!(rows.is_frozen(AttemptId(3)).unwrap());
    let never = "never".parse().unwrap();
    assert_eq!(rows.request(&client, &never).unwrap(), None);
}

/// A bit that is flipped on the disk is an error, and never an absence: nothing is paid twice.
#[test]
fn a_map_that_is_damaged_while_it_is_used_stops_the_journal() {
    let machine = machine();
    let running = settled(&machine);
    let mut image = machine.disk.image();
    for (name, file) in &mut image {
        if name.starts_with("map.") {
            file.iter_mut().take(4096).for_each(|byte| *byte ^= 1);
        }
    }
    machine.disk.overwrite(&image);
    let stopped = running.sign(&payment(1)).unwrap_err();
    assert!(stopped.reason.contains("damaged"), "{stopped}");
    let client = name("walletd");
    let request = "pay-1".parse().unwrap();
    assert!(running.journal.rows().request(&client, &request).is_err());
    running.crash();
    let running = machine.open().unwrap();
    let replayed = running.sign(&payment(1)).unwrap();
    assert!(
        matches!(replayed, SignOutcome::Replay { .. }),
        "{replayed:?}"
    );
    running.crash();
}
