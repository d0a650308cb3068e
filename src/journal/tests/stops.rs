//! What ends the journal: no order leaves that is not durable, and nothing is taken afterwards.

use std::io::ErrorKind;

use policy::{Entry, FreezeScope};
use strongroom_journal::{Busy, OpenJournalError, SignOutcome};

use crate::{
    fixture::{Ask, Signer, policy},
    machine::{Machine, Order, Running, ask, capped, command, pending},
    memory_disk::{Call, Fault},
};

fn payment(n: u32) -> Ask {
    let id = format!("pay-{n}");
    Ask::utxo(&id, [n], 10).pay(&id, 1, 7)
}

fn fault(call: Call, kind: ErrorKind) -> Fault {
    Fault {
        call,
        after: 0,
        kind,
        written_bytes: 0,
    }
}

/// Whatever is asked is answered, with the same reason.
fn refuses_everything(running: &Running, order: &Order, why: &str) {
    let journal = &running.journal;
    let stopped = journal.stopped().unwrap().clone();
    assert!(stopped.to_string().contains(why), "{stopped}");
    let key = Signer::new(policy())
        .records
        .into_iter()
        .find_map(|record| match record.entry {
            Entry::KeyRegistered(key) => Some(key),
            _ => None,
        });
    let answers = [
        running.sign(&payment(1)).map(drop).unwrap_err(),
        running.sign(&payment(77)).map(drop).unwrap_err(),
        running.signed(order).map(drop).unwrap_err(),
        running.failed(order).unwrap_err(),
        running.note("x").unwrap_err(),
        running.activate(capped()).map(drop).unwrap_err(),
        ask(|reply| journal.register(key.unwrap(), reply))
            .map(drop)
            .unwrap_err(),
        ask(|reply| journal.freeze(FreezeScope::All, "x".into(), reply)).unwrap_err(),
        running.stop().unwrap_err(),
    ];
    for answer in answers {
        assert_eq!(answer, stopped);
    }
}

#[test]
fn a_disk_that_fails_hands_out_no_order() {
    for call in [Call::Write, Call::SyncData] {
        let machine = Machine::new();
        let running = machine.start();
        let order = running.order(&payment(0));
        machine.disk.fail(fault(call, ErrorKind::Other));
        let failed = running.sign(&payment(1)).map(drop).unwrap_err();
        assert_eq!(Some(&failed), running.journal.stopped());
        refuses_everything(&running, &order, "the disk failed");
        // The charge may be there or not; the call was not handed out, its number is not used again.
        let running = machine.restart(running);
        let next = running.order(&payment(1));
        assert!(next.calls[0].call > order.calls[0].call);
        let finished = running.order(&payment(0));
        assert_eq!(finished.attempt, order.attempt);
    }
}

#[test]
fn all_that_shared_the_failed_flush_are_told() {
    let machine = Machine::new();
    let running = machine.start();
    let (sender, receiver) = std::sync::mpsc::channel();
    machine.disk.fail(fault(Call::SyncData, ErrorKind::Other));
    running.together(|journal| {
        for n in 0..300 {
            let sender = sender.clone();
            let reply = strongroom_journal::Reply::new(move |answer: Result<SignOutcome, _>| {
                sender.send(answer.map(drop)).unwrap();
            });
            journal
                .sign(command(&payment(n), capped().hash), reply)
                .unwrap();
        }
    });
    drop(sender);
    let answers: Vec<_> = receiver.iter().collect();
    assert_eq!(answers.len(), 300);
    assert!(answers.iter().all(Result::is_err));
}

#[test]
fn a_full_disk_is_the_last_thing_recorded() {
    let machine = Machine::new();
    let running = machine.start();
    let order = running.order(&payment(0));
    machine
        .disk
        .set_capacity(Some(machine.disk.used_bytes() + 100));
    // What room the log has is used up first.
    let full = (0..100).find_map(|_| running.note(&"x".repeat(10_000)).err());
    let full = full.unwrap();
    assert!(full.to_string().contains("disk is full"), "{full}");
    refuses_everything(&running, &order, "disk is full");
    running.crash();
    let last = machine.records().pop().unwrap().entry;
    assert!(
        matches!(&last, Entry::Stopped { reason } if reason.contains("disk is full")),
        "{last:?}"
    );
    // It is not opened where it could not say so again.
    machine.disk.set_capacity(Some(machine.disk.used_bytes()));
    let error = machine.open().map(drop).unwrap_err();
    assert!(matches!(error, OpenJournalError::DiskFull), "{error:?}");
    machine.disk.set_capacity(None);
    let running = machine.open().unwrap();
    assert_eq!(running.order(&payment(0)).attempt, order.attempt);
    let _order = running.order(&payment(1));
}

#[test]
fn nothing_is_taken_behind_a_clean_stop() {
    let machine = Machine::new();
    let running = machine.start();
    let (stopping, stopped) = pending();
    let (signing, signed) = pending();
    running.together(|journal| {
        journal.stop("told to".into(), stopping);
        journal
            .sign(command(&payment(0), capped().hash), signing)
            .unwrap();
    });
    stopped.recv().unwrap().unwrap();
    assert!(signed.recv().unwrap().is_err());
    running.crash();
    let last = machine.records().pop().unwrap().entry;
    let reason = "told to".into();
    assert_eq!(last, Entry::Stopped { reason });
    assert_eq!(anchored(&machine), machine.records().len() as u64);
}

#[test]
fn the_anchor_is_written_now_and_then() {
    let machine = Machine::new();
    let running = machine.start();
    let at_creation = anchored(&machine);
    assert_eq!(at_creation, 1);
    machine.clock.pass(59_999);
    running.note("soon").unwrap();
    running.note("now").unwrap();
    assert_eq!(anchored(&machine), at_creation);
    machine.clock.pass(1);
    running.note("a minute").unwrap();
    let entries = machine.records().len() as u64;
    // What is answered next was asked after the anchor.
    running.note("later").unwrap();
    assert_eq!(anchored(&machine), entries);
    for n in 0..4_096 {
        running.note(&n.to_string()).unwrap();
    }
    running.note("later").unwrap();
    assert!(anchored(&machine) >= entries + 4_096);
}

#[test]
fn an_anchor_that_fails_stops_the_journal() {
    let machine = Machine::new();
    let running = machine.start();
    let order = running.order(&payment(0));
    machine.clock.pass(60_000);
    machine.disk.fail(fault(Call::Rename, ErrorKind::Other));
    running.note("a minute").unwrap();
    running.note("later").unwrap_err();
    refuses_everything(&running, &order, "the disk failed");
}

/// The size that the anchor names.
fn anchored(machine: &Machine) -> u64 {
    let anchor = &machine.disk.image()["anchor"];
    u64::from_be_bytes(anchor[44..52].try_into().unwrap())
}

#[test]
fn more_than_can_wait_is_turned_away_and_the_rest_answered() {
    let machine = Machine::new();
    let running = machine.start();
    let (sender, receiver) = std::sync::mpsc::channel();
    let mut taken = 0;
    running.together(|journal| {
        for n in 0.. {
            let sender = sender.clone();
            let reply = strongroom_journal::Reply::new(move |answer: Result<SignOutcome, _>| {
                sender.send(answer.is_ok()).unwrap();
            });
            match journal.sign(command(&payment(n), capped().hash), reply) {
                Ok(()) => taken += 1,
                Err(Busy) => return,
            }
        }
    });
    drop(sender);
    assert_eq!(receiver.iter().filter(|ok| *ok).count(), taken);
    assert_eq!(taken, 1024);
}
