//! Checkpoints: what may be signed is durable, and what was signed is known at the next opening.

use std::sync::mpsc;

use ed25519_dalek::{Signer as _, SigningKey};
use policy::{Entry, KeyAlgorithm, KeyPurpose, KeyRegistration, StateError};
use sha2::Digest as _;
use strongroom_journal::{
    CheckpointFile, CheckpointOrder, CheckpointOutcome, CheckpointWhen, Committed, FoldError,
    OpenJournalError, Remembered, Stopped,
    segment::{Leaf, OpenError, OpenOptions, Record, Salt, Sealed, SegmentLog},
};
use tlog::{
    MemoryTree, TreeHead,
    checkpoint::{Checkpoint, SignedCheckpoint},
    leaf_hash,
    note::VerifierKey,
};

use crate::{
    fixture::{Ask, name, registration},
    machine::{Machine, Running, ask, pending},
    memory_disk::{Call, Fault, MemoryDisk},
};

/// What stands for the key in the device.
pub fn secret() -> SigningKey {
    SigningKey::from_bytes(&[7; 32])
}

fn log_key(name: &str, secret: &SigningKey) -> KeyRegistration {
    KeyRegistration {
        purpose: KeyPurpose::Checkpoint,
        algorithm: KeyAlgorithm::Ed25519,
        ..registration(name, &hex::encode(secret.verifying_key().as_bytes()))
    }
}

fn register(running: &Running) {
    let key = log_key("log-1", &secret());
    let _known = ask(|reply| running.journal.register(key, reply)).unwrap();
}

pub fn begin(machine: &Machine) -> Running {
    let running = machine.start();
    register(&running);
    running
}

fn checkpoint(running: &Running, key: &str) -> Result<CheckpointOutcome, Stopped> {
    ask(|reply| {
        running
            .journal
            .checkpoint(name(key), CheckpointWhen::Now, reply)
            .unwrap()
    })
}

pub fn order(running: &Running) -> Committed<CheckpointOrder> {
    match checkpoint(running, "log-1").unwrap() {
        CheckpointOutcome::Order(order) => order,
        other @ CheckpointOutcome::Refused(_) => panic!("no order: {other:?}"),
    }
}

fn payment(n: u32) -> Ask {
    let id = format!("pay-{n}");
    Ask::utxo(&id, [n], 10).pay(&id, 1, 7)
}

/// The head of the first `size` entries, from what is stored of each.
fn head(running: &Running, size: u64) -> TreeHead {
    let mut tree = MemoryTree::new();
    for index in 0..size {
        let stored = running.journal.bodies().entry(index).unwrap();
        let commitment = sha2::Sha256::new()
            .chain_update("strongroom-entry-v1")
            .chain_update(stored.salt)
            .chain_update(&stored.body)
            .finalize();
        tree.append(leaf_hash(&[&[1], commitment.as_slice()].concat()))
            .unwrap();
    }
    tree.head()
}

/// As the device signs.
pub fn sign(running: &Running, checkpoint: Checkpoint) -> SignedCheckpoint {
    let name = running.journal.origin().as_str().parse().unwrap();
    let key = VerifierKey::new(name, secret().verifying_key().as_bytes()).unwrap();
    let signature = secret().sign(checkpoint.to_string().as_bytes()).to_bytes();
    SignedCheckpoint::sign(checkpoint, &key, &signature).unwrap()
}

/// The disk with this file, as it is after a crash.
fn with_file(machine: &Machine, contents: &[u8]) -> Machine {
    let mut image = machine.disk.image();
    image.insert("checkpoint".into(), contents.to_vec());
    Machine {
        disk: MemoryDisk::from_image(&image),
        ..machine.twin()
    }
}

fn remembered(machine: &Machine) -> Remembered {
    machine.twin().opening().unwrap().remembered
}

fn sealed(machine: &Machine) -> Sealed {
    match machine.open().map(drop).unwrap_err() {
        OpenJournalError::Log(OpenError::Sealed { source }) => source,
        other => panic!("{other:?}"),
    }
}

/// Appends, as one group and as nobody's writer would, an entry and a checkpoint with this root, which
/// is given the true one.
fn append_checkpoint(machine: &Machine, root: impl Fn([u8; 32]) -> [u8; 32]) {
    let disk = Box::new(machine.disk.clone());
    let mut last = None;
    let each = |_: u64, body: &[u8]| {
        last = Some(serde_json::from_slice(body)?);
        Ok::<(), serde_json::Error>(())
    };
    let (mut log, _) = SegmentLog::open(disk, &OpenOptions::default(), each).unwrap();
    let last: policy::Record = last.unwrap();
    let salt = Salt::new([3; 32]);
    let body = |entry| {
        let (v, time) = (1, last.time);
        serde_json::to_vec(&policy::Record { v, time, entry }).unwrap()
    };
    let stopped = body(Entry::Stopped {
        reason: "a test".into(),
    });
    let mut tree = log.tree().clone();
    tree.append(Leaf::commit(&salt, &stopped).hash()).unwrap();
    let checkpoint = body(Entry::Checkpoint(policy::Checkpoint {
        size: tree.size(),
        root: policy::Digest(root(*tree.root().as_bytes())),
        key: name("log-1"),
        call: 0,
    }));
    let records = [stopped, checkpoint].map(|body| (salt, body));
    let records = records
        .each_ref()
        .map(|(salt, body)| Record { salt: *salt, body });
    log.append(&records, &[]).unwrap();
}

#[test]
fn an_entry_that_says_another_root_than_the_log_has_seals_by_name() {
    let mut flipped = [0; 32];
    flipped[31] = 1;
    for by in [[0; 32], flipped] {
        let machine = Machine::new();
        begin(&machine).crash();
        let root = |right: [u8; 32]| std::array::from_fn(|at| right[at] ^ by[at]);
        append_checkpoint(&machine, root);
        let opened = machine.open().map(drop);
        if by == [0; 32] {
            opened.unwrap();
            continue;
        }
        let Err(OpenJournalError::Log(OpenError::Fold { index, source })) = opened else {
            panic!("{opened:?}");
        };
        assert!(
            matches!(source, FoldError::CheckpointRoot { size } if size == index),
            "{source:?}"
        );
    }
}

#[test]
fn an_order_is_of_all_entries_before_its_own() {
    let machine = Machine::new();
    let running = begin(&machine);
    for n in 0..3 {
        let _order = running.order(&payment(n));
        let order = order(&running);
        let (index, value) = (order.index(), order.into_value());
        assert_eq!(*value.checkpoint().head(), head(&running, index));
        assert_eq!(value.key(), &name("log-1"));
        let Entry::Checkpoint(entry) = running.journal.record(index).unwrap().0.entry else {
            panic!("another entry");
        };
        assert_eq!((entry.size, entry.call), (index, value.call()));
        assert_eq!(entry.root.0, *value.checkpoint().head().root.as_bytes());
    }
}

#[test]
fn what_waits_together_with_a_checkpoint_is_not_covered_and_none_is_lost() {
    let machine = Machine::new();
    let running = begin(&machine);
    let (paid, payments) = pending();
    let (made, checkpoints) = pending();
    running.together(|journal| {
        let command = crate::machine::command(&payment(1), crate::machine::capped().hash);
        journal.sign(command, paid).unwrap();
        journal
            .checkpoint(name("log-1"), CheckpointWhen::Now, made)
            .unwrap();
    });
    let soon = std::time::Duration::from_secs(60);
    let outcome = checkpoints.recv_timeout(soon).unwrap().unwrap();
    let CheckpointOutcome::Order(order) = outcome else {
        panic!("no order");
    };
    let paid: mpsc::Receiver<_> = payments;
    assert!(paid.recv_timeout(soon).unwrap().is_ok());
    assert_eq!(
        *order.value().checkpoint().head(),
        head(&running, order.index())
    );
}

/// A checkpoint that is asked for ahead.
fn awaited(running: &Running) -> mpsc::Receiver<Result<CheckpointOutcome, Stopped>> {
    let (made, outcome) = pending();
    let when = CheckpointWhen::Ahead;
    let key = name("log-1");
    running.journal.checkpoint(key, when, made).unwrap();
    // Whatever is answered after it was taken.
    running.note("nothing").unwrap();
    outcome
}

fn order_of(outcome: &mpsc::Receiver<Result<CheckpointOutcome, Stopped>>) -> (u64, TreeHead) {
    let soon = std::time::Duration::from_secs(60);
    match outcome.recv_timeout(soon).unwrap().unwrap() {
        CheckpointOutcome::Order(order) => (order.index(), *order.value().checkpoint().head()),
        other @ CheckpointOutcome::Refused(_) => panic!("no order: {other:?}"),
    }
}

#[test]
fn one_that_is_asked_for_ahead_covers_a_decision_or_signatures_and_shares_their_flush() {
    let machine = Machine::new();
    let running = begin(&machine);
    let shared = |outcome: &mpsc::Receiver<_>, entry: u64| {
        let (index, covered) = order_of(outcome);
        assert_eq!((index, covered.size), (entry + 1, entry + 1));
        assert_eq!(covered, head(&running, index));
        let calls = machine.disk.take_calls();
        let flushes = calls.iter().filter(|call| **call == Call::SyncData).count();
        assert_eq!(flushes, 1);
        index
    };
    let outcome = awaited(&running);
    assert!(outcome.try_recv().is_err(), "nothing is decided");
    let entry = running.journal.bodies().durable();
    machine.disk.take_calls();
    let paid = running.order(&payment(1));
    shared(&outcome, entry);
    let outcome = awaited(&running);
    assert!(outcome.try_recv().is_err(), "nothing is signed");
    let entry = running.journal.bodies().durable();
    machine.disk.take_calls();
    let _released = running.signed(&paid).unwrap();
    let index = shared(&outcome, entry);
    // The next ones find none that waits.
    let paid = running.order(&payment(2));
    let _released = running.signed(&paid).unwrap();
    assert_eq!(running.journal.bodies().durable(), index + 3);
}

#[test]
fn one_that_is_asked_for_ahead_goes_when_it_is_due_or_another_comes() {
    let machine = Machine::new();
    let running = begin(&machine);
    let (first, second) = (awaited(&running), awaited(&running));
    let (one, _) = order_of(&first);
    assert!(second.try_recv().is_err(), "it waits in its place");
    running.journal.checkpoint_due().unwrap();
    let (other, covered) = order_of(&second);
    assert!(other > one);
    assert_eq!(covered, head(&running, other));
    running.journal.checkpoint_due().unwrap();
    running.note("nothing is due").unwrap();
    assert_eq!(running.journal.bodies().durable(), other + 2);
}

#[test]
fn one_that_is_due_as_soon_as_it_waits_goes() {
    let machine = Machine::new();
    let running = begin(&machine);
    let (made, outcome) = pending();
    running.together(|journal| {
        let when = CheckpointWhen::Ahead;
        journal.checkpoint(name("log-1"), when, made).unwrap();
        journal.checkpoint_due().unwrap();
    });
    running.note("nothing").unwrap();
    let (index, covered) = order_of(&outcome);
    assert_eq!(covered, head(&running, index));
}

#[test]
fn one_that_is_asked_for_ahead_is_answered_when_the_journal_stops() {
    let machine = Machine::new();
    let running = begin(&machine);
    let outcome = awaited(&running);
    running.stop().unwrap();
    let soon = std::time::Duration::from_secs(60);
    let stopped = outcome.recv_timeout(soon).unwrap().unwrap_err();
    assert_eq!(Some(&stopped), running.journal.stopped());
}

#[test]
fn nothing_comes_behind_the_end_not_even_what_was_asked_for_ahead() {
    let machine = Machine::new();
    let running = begin(&machine);
    let paid = running.order(&payment(1));
    let outcome = awaited(&running);
    let (given, _released) = pending();
    let (ended, end) = pending();
    running.together(|journal| {
        journal.signed(crate::machine::signatures(&paid, "raw"), given);
        journal.stop("told to".into(), ended);
    });
    let soon = std::time::Duration::from_secs(60);
    end.recv_timeout(soon).unwrap().unwrap();
    assert!(outcome.recv_timeout(soon).unwrap().is_err(), "an order");
    let last = running.journal.bodies().durable() - 1;
    let (record, _) = running.journal.record(last).unwrap();
    assert!(
        matches!(record.entry, Entry::Stopped { .. }),
        "{:?}",
        record.entry
    );
}

#[test]
fn no_order_is_handed_out_that_is_not_durable() {
    let machine = Machine::new();
    let running = begin(&machine);
    machine.disk.fail(Fault::error(Call::SyncData, 0));
    let stopped = checkpoint(&running, "log-1").unwrap_err();
    assert_eq!(Some(&stopped), running.journal.stopped());
    assert_eq!(checkpoint(&running, "log-1").unwrap_err(), stopped);
}

#[test]
fn a_call_of_a_checkpoint_is_never_numbered_twice() {
    let machine = Machine::new();
    let running = begin(&machine);
    let first = order(&running).into_value().call();
    let paid = running.order(&payment(1)).calls[0].call;
    let running = machine.restart(running);
    let second = order(&running).into_value().call();
    assert_eq!((paid, second), (first + 1, first + 2));
}

#[test]
fn a_key_of_no_checkpoint_is_refused_and_nothing_is_written() {
    let machine = Machine::new();
    let running = begin(&machine);
    let before = running.journal.bodies().durable();
    for key in ["k1", "absent"] {
        match checkpoint(&running, key).unwrap() {
            CheckpointOutcome::Refused(StateError::CheckpointKey { key: named }) => {
                assert_eq!(named, name(key));
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(running.journal.bodies().durable(), before);
}

#[test]
fn a_log_is_named_by_its_fleet_and_its_id() {
    let machine = Machine::new();
    let running = begin(&machine);
    let id = hex::encode(running.journal.bodies().log_id());
    let (digits, _) = id.split_at(16);
    let origin = format!("strongroom/main/{digits}");
    assert_eq!(running.journal.origin().as_str(), origin);
    let keys = running.journal.log_keys();
    assert_eq!(keys.len(), 1);
    assert_eq!(keys[0].name().as_str(), origin);
    assert_eq!(keys[0].public_key(), secret().verifying_key().as_bytes());
}

#[test]
fn whoever_watches_is_told_after_each_flush() {
    let machine = Machine::new();
    let running = begin(&machine);
    let (told, telling) = mpsc::channel();
    running.journal.watch(move |size| told.send(size).unwrap());
    running.note("one").unwrap();
    running.note("two").unwrap();
    let durable = running.journal.bodies().durable();
    let heard: Vec<_> = telling.try_iter().collect();
    assert_eq!(heard, [durable - 1, durable]);
}

#[test]
fn a_remembered_checkpoint_that_the_log_contains_is_known_again() {
    let machine = Machine::new();
    let running = begin(&machine);
    let signed = sign(&running, order(&running).into_value().checkpoint().clone());
    running.crash();
    assert_eq!(remembered(&machine), Remembered::Nothing);
    let machine = with_file(&machine, signed.to_string().as_bytes());
    assert_eq!(remembered(&machine), Remembered::Signed(Box::new(signed)));
}

#[test]
fn a_log_that_is_shorter_than_a_remembered_checkpoint_is_sealed() {
    let machine = Machine::new();
    let running = begin(&machine);
    running.crash();
    let older = MemoryDisk::from_image(&machine.disk.image());
    let running = machine.open().unwrap();
    for n in 0..4 {
        let _order = running.order(&payment(n));
    }
    let signed = sign(&running, order(&running).into_value().checkpoint().clone());
    running.crash();
    let restored = Machine {
        disk: older,
        ..machine
    };
    let restored = with_file(&restored, signed.to_string().as_bytes());
    match sealed(&restored) {
        Sealed::ShorterThanHead { known, found } => {
            assert_eq!(known, *signed.head());
            assert!(found < known.size);
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_log_that_does_not_know_the_key_yet_is_sealed_too() {
    let machine = Machine::new();
    let running = machine.start();
    running.crash();
    let older = MemoryDisk::from_image(&machine.disk.image());
    let running = machine.open().unwrap();
    register(&running);
    let signed = sign(&running, order(&running).into_value().checkpoint().clone());
    running.crash();
    let restored = Machine {
        disk: older,
        ..machine
    };
    let restored = with_file(&restored, signed.to_string().as_bytes());
    let reason = sealed(&restored);
    assert!(
        matches!(reason, Sealed::ShorterThanHead { .. }),
        "{reason:?}"
    );
}

#[test]
fn a_log_that_forks_from_a_remembered_checkpoint_is_sealed() {
    let machine = Machine::new();
    let running = begin(&machine);
    running.crash();
    let fork = MemoryDisk::from_image(&machine.disk.image());
    let running = machine.open().unwrap();
    let _order = running.order(&payment(1));
    let signed = sign(&running, order(&running).into_value().checkpoint().clone());
    running.crash();
    let forked = Machine {
        disk: fork,
        ..machine
    };
    // As long, with another history: every leaf has a salt of its own.
    let running = forked.open().unwrap();
    for n in 0..4 {
        let _order = running.order(&payment(n));
    }
    running.crash();
    let forked = with_file(&forked, signed.to_string().as_bytes());
    let reason = sealed(&forked);
    assert_eq!(
        reason,
        Sealed::ForkedFromHead {
            known: *signed.head()
        }
    );
}

#[test]
fn a_file_that_is_no_checkpoint_counts_for_nothing() {
    let machine = Machine::new();
    let running = begin(&machine);
    let signed = sign(&running, order(&running).into_value().checkpoint().clone());
    running.crash();
    let text = signed.to_string();
    let (half, _) = text.split_at(text.len() / 2);
    let mut unsigned = text.clone().into_bytes();
    // Inside the signature's base64: the note is well formed and its signature is nobody's.
    let place = unsigned.len() - 20;
    unsigned[place] = if unsigned[place] == b'A' { b'B' } else { b'A' };
    let zeros = vec![0; text.len()];
    let long = vec![b'x'; 300 << 10];
    for contents in [&b""[..], half.as_bytes(), &zeros, &unsigned, &long] {
        match remembered(&with_file(&machine, contents)) {
            Remembered::Unusable { .. } => {}
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn evidence_is_not_replaced_by_the_logs_own_newest() {
    let folder = tempfile::tempdir().unwrap();
    let machine = Machine::new();
    let running = begin(&machine);
    let older = sign(&running, order(&running).into_value().checkpoint().clone());
    let newer = sign(&running, order(&running).into_value().checkpoint().clone());
    let file = CheckpointFile::of(folder.path());
    let read = || std::fs::read_to_string(folder.path().join("checkpoint")).unwrap();
    file.put(&older).unwrap();
    assert_eq!(read(), older.to_string());
    file.put_evidence(&newer).unwrap();
    file.put(&older).unwrap();
    assert_eq!(read(), newer.to_string());
}
