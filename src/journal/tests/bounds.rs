//! Whatever a request of one mebibyte asks: no entry and no group is larger than the log takes, and
//! the journal goes on.

use policy::{Blob, Entry};
use strongroom_journal::{
    Release, SignOutcome,
    segment::{MAX_BLOB_BYTES, MAX_BODY_BYTES},
};

use crate::{
    fixture::{Ask, amount},
    machine::{Machine, Running, ask, capped, command, command_of, pending, signatures},
};

const MEBIBYTE: usize = 1024 * 1024;

/// A transaction's text of that length, of its own for each seed.
fn text(seed: u8, bytes: usize) -> String {
    char::from(b'a' + seed % 26).to_string().repeat(bytes)
}

fn still_signs(running: &Running) {
    let order = running.order(&Ask::utxo("small", [4_000_000], 1).pay("small", 1, 7));
    assert_eq!(running.signed(&order).unwrap(), Release::Released);
}

#[test]
fn large_transactions_that_wait_together_are_all_kept_and_read_back() {
    let machine = Machine::new();
    let running = machine.start();
    let (sender, receiver) = std::sync::mpsc::channel();
    running.together(|journal| {
        for n in 0..24_u8 {
            let id = format!("pay-{n}");
            let asked = Ask::utxo(&id, [n.into()], 1).pay(&id, 1, 7);
            let command = command_of(&asked, capped().hash, text(n, MEBIBYTE));
            let sender = sender.clone();
            let reply = strongroom_journal::Reply::new(move |answer| {
                sender.send((n, answer)).unwrap();
            });
            journal.sign(command, reply).unwrap();
        }
    });
    drop(sender);
    let mut orders = 0;
    let running = {
        for (n, answer) in receiver {
            let Ok(SignOutcome::Order { order, .. }) = answer else {
                panic!("{answer:?}");
            };
            read_back(&running, order.index(), &text(n, MEBIBYTE));
            orders += 1;
        }
        machine.restart(running)
    };
    assert_eq!(orders, 24);
    let attempts = machine.records();
    let mut kept = 0;
    for (index, record) in (0..).zip(&attempts) {
        if let Entry::Attempt(attempt) = &record.entry {
            let n = attempt.request.as_str().strip_prefix("pay-").unwrap();
            let n = n.parse().unwrap();
            read_back(&running, index, &text(n, MEBIBYTE));
            kept += 1;
        }
    }
    assert_eq!(kept, 24);
}

fn read_back(running: &Running, index: u64, expected: &str) {
    let (record, _) = running.journal.record(index).unwrap();
    let Entry::Attempt(attempt) = record.entry else {
        panic!("{record:?}");
    };
    assert!(blob(running, &attempt.transaction) == expected);
}

/// The text that is named by its hash.
fn blob(running: &Running, blob: &Blob) -> String {
    let Blob::Sha256(hash) = blob else {
        panic!("kept in place");
    };
    let mut sha256 = [0; 32];
    hex::decode_to_slice(hash, &mut sha256).unwrap();
    String::from_utf8(running.journal.bodies().blob(sha256).unwrap()).unwrap()
}

#[test]
fn a_large_signed_transaction_is_kept_by_its_hash() {
    let machine = Machine::new();
    let running = machine.start();
    let order = running.order(&Ask::utxo("pay", [1], 1).pay("pay", 1, 7));
    let raw = text(1, MEBIBYTE);
    let signed = signatures(&order, &raw);
    let release = ask(|reply| running.journal.signed(signed, reply)).unwrap();
    assert_eq!(release, Release::Released);
    let running = machine.restart(running);
    let asked = Ask::utxo("pay", [1], 1).pay("pay", 1, 7);
    let SignOutcome::Replay { signed, .. } = running.sign(&asked).unwrap() else {
        panic!("not signed");
    };
    let kept = running.journal.signed_at(signed).unwrap();
    assert!(blob(&running, &kept.raw) == raw);
}

/// More payments than any codec lets through, each with its intent.
fn many(payments: u64, units: impl Fn(u64) -> u64) -> Ask {
    let asked = Ask::utxo("many", [1], 1);
    (0..payments).fold(asked, |asked, n| {
        let intent = asked.intent(&format!("{n:0>60}"), units(n), (n % 200) as u8);
        let mut asked = asked.bring(intent);
        let effect = Ask::utxo("one", [], 1).payment(units(n), (n % 200) as u8);
        asked
            .transaction
            .effects
            .push(effect.transaction.effects[0].clone());
        asked
    })
}

#[test]
fn what_no_entry_can_hold_is_refused_and_charges_nothing() {
    let machine = Machine::new();
    let running = machine.start();
    let too_large = |outcome: SignOutcome| {
        let SignOutcome::Refused(refusal) = outcome else {
            panic!("not refused");
        };
        assert!(refusal.reasons[0].detail.starts_with("too-large: "));
    };
    too_large(running.sign(&many(8_000, |_| 0)).unwrap());
    let asked = Ask::utxo("blob", [2], 1).pay("blob", 5, 7);
    let command = command_of(&asked, capped().hash, text(1, MAX_BLOB_BYTES + 1));
    too_large(ask(|reply| running.journal.sign(command, reply).unwrap()).unwrap());
    assert_eq!(running.used(), amount(0));
    still_signs(&running);
    assert!(machine.restart(running).used() == amount(1));
}

/// One reason for each pair of effect and statement would be more than an entry holds.
#[test]
fn a_refusal_for_thousands_of_reasons_is_recorded_in_short() {
    let machine = Machine::new();
    let running = machine.start();
    let mut nothing = capped();
    nothing.hash = policy::BundleHash([2; 32]);
    nothing.sequence = 2;
    nothing.allows.clear();
    running.activate(nothing.clone()).unwrap().unwrap();
    let (reply, answer) = pending();
    let command = command(&many(6_000, |n| n), nothing.hash);
    running.journal.sign(command, reply).unwrap();
    let SignOutcome::Refused(refusal) = answer.recv().unwrap().unwrap() else {
        panic!("not refused");
    };
    let all = serde_json::to_vec(&refusal.reasons).unwrap().len();
    let last = machine.records().pop().unwrap();
    let body = serde_json::to_vec(&last).unwrap().len();
    assert!(body < MAX_BODY_BYTES / 4, "{body} of {all}");
    let Entry::Refused(refused) = last.entry else {
        panic!("{last:?}");
    };
    assert_eq!(refused.reasons.len(), 64);
    assert!(refusal.reasons.len() > 1_000, "{}", refusal.reasons.len());
}

#[test]
fn long_reasons_are_cut() {
    let machine = Machine::new();
    let running = machine.start();
    let long = text(1, 5 * MEBIBYTE);
    running.note(&long).unwrap();
    let order = running.order(&Ask::utxo("pay", [1], 1).pay("pay", 1, 7));
    ask(|reply| running.journal.failed(order.attempt, long.clone(), reply)).unwrap();
    let scope = policy::FreezeScope::Account(crate::fixture::name("cold"));
    ask(|reply| running.journal.freeze(scope, long.clone(), reply)).unwrap();
    still_signs(&running);
    ask(|reply| running.journal.stop(long.clone(), reply)).unwrap();
    running.crash();
    for record in machine.records() {
        assert!(serde_json::to_vec(&record).unwrap().len() < 20_000);
    }
}
