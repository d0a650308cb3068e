//! One request id, one answer: across restarts, and at most one charge for 60 s.

use policy::{AttemptId, Entry, FreezeScope};
use strongroom_journal::{Release, SignOutcome};

use crate::{
    fixture::{Ask, amount, name},
    machine::{Machine, Order, ask, command, pending},
};

fn payment() -> Ask {
    Ask::utxo("pay-1", [0], 10).pay("i1", 400, 7)
}

#[test]
fn what_was_signed_is_answered_again_after_a_restart() {
    let machine = Machine::new();
    let mut running = machine.start();
    let order = running.order(&payment());
    assert_eq!(running.signed(&order).unwrap(), Release::Released);
    let entries = machine.records().len();
    for _ in 0..2 {
        let outcome = running.sign(&payment()).unwrap();
        let SignOutcome::Replay { attempt, signed } = outcome else {
            panic!("{outcome:?}");
        };
        assert_eq!(attempt, order.attempt);
        let kept = running.journal.signed_at(signed).unwrap();
        assert_eq!(kept.signatures[0].call, order.calls[0].call);
        running = machine.restart(running);
    }
    assert_eq!(machine.records().len(), entries + 2, "two starts");
    assert_eq!(running.used(), amount(400));
}

#[test]
fn what_was_charged_is_finished_within_a_minute_without_another_charge() {
    let machine = Machine::new();
    let running = machine.start();
    let order = running.order(&payment());
    machine.clock.pass(60_000);
    running.note("later").unwrap();
    let running = machine.restart(running);
    let again = running.order(&payment());
    assert_eq!(again.attempt, order.attempt);
    assert!(again.calls[0].call > order.calls[0].call);
    assert_eq!(again.calls[0].digest, order.calls[0].digest);
    assert_eq!(running.used(), amount(400));
    assert_eq!(running.signed(&again).unwrap(), Release::Released);
    let records = machine.records();
    let entry = &records[again.entry as usize].entry;
    assert!(matches!(entry, Entry::Call { attempt, .. } if *attempt == order.attempt));
    let attempts = records
        .iter()
        .filter(|record| matches!(record.entry, Entry::Attempt(_)));
    assert_eq!(attempts.count(), 1);
}

#[test]
fn what_failed_is_finished_too() {
    let machine = Machine::new();
    let running = machine.start();
    let order = running.order(&payment());
    running.failed(&order).unwrap();
    let again = running.order(&payment());
    assert_eq!(again.attempt, order.attempt);
    assert_eq!(running.used(), amount(400));
}

#[test]
fn after_a_minute_it_is_charged_again_in_the_same_set() {
    let machine = Machine::new();
    let running = machine.start();
    let order = running.order(&payment());
    machine.clock.pass(60_001);
    running.note("later").unwrap();
    let running = machine.restart(running);
    let again = running.order(&payment());
    assert_ne!(again.attempt, order.attempt);
    assert!(again.calls[0].call > order.calls[0].call);
    let set = |attempt| {
        running
            .journal
            .rows()
            .attempt(attempt)
            .unwrap()
            .unwrap()
            .set()
    };
    assert_eq!(set(again.attempt), order.attempt);
    assert_eq!(running.used(), amount(400), "the set's largest attempt");
    let (record, _) = running.journal.record(again.entry).unwrap();
    let Entry::Attempt(attempt) = record.entry else {
        panic!("{record:?}");
    };
    assert_eq!(attempt.resumes, Some(order.attempt));
}

/// Semantics, invariant 6: a released signature's charge is at most 60 s older than its release.
#[test]
fn signatures_that_come_too_late_are_made_again_under_a_charge_of_their_own() {
    let machine = Machine::new();
    let running = machine.start();
    let order = running.order(&payment());
    machine.clock.pass(60_001);
    assert_eq!(running.signed(&order).unwrap(), Release::TooLate);
    let again = running.order(&payment());
    assert_ne!(again.attempt, order.attempt);
    machine.clock.pass(60_000);
    assert_eq!(running.signed(&again).unwrap(), Release::Released);
    let outcome = running.sign(&payment()).unwrap();
    assert!(matches!(outcome, SignOutcome::Replay { attempt, .. } if attempt == again.attempt));
    assert_eq!(running.used(), amount(400));
}

#[test]
fn another_content_under_the_same_id_is_refused() {
    let machine = Machine::new();
    let running = machine.start();
    let order = running.order(&payment());
    let other = payment().rehashed(9);
    let reused = |outcome: SignOutcome| match outcome {
        SignOutcome::Reused { first } => assert_eq!(first, payment().request.hash),
        other => panic!("{other:?}"),
    };
    reused(running.sign(&other).unwrap());
    let _released = running.signed(&order).unwrap();
    reused(running.sign(&other).unwrap());
    let running = machine.restart(running);
    reused(running.sign(&other).unwrap());
    // Another client's id is another id.
    let another = Ask::utxo("pay-1", [1], 10).pay("i2", 1, 7).client("other");
    let _order = running.order(&another);
}

#[test]
fn of_two_equal_requests_at_once_one_is_carried_out() {
    let machine = Machine::new();
    let running = machine.start();
    let (first, one) = pending();
    let (second, two) = pending();
    running.together(|journal| {
        let basis = crate::machine::capped().hash;
        journal.sign(command(&payment(), basis), first).unwrap();
        journal.sign(command(&payment(), basis), second).unwrap();
    });
    let SignOutcome::Order { order, .. } = one.recv().unwrap().unwrap() else {
        panic!("no order");
    };
    let outcome = two.recv().unwrap().unwrap();
    assert!(matches!(outcome, SignOutcome::InProgress), "{outcome:?}");
    let outcome = running.sign(&payment()).unwrap();
    assert!(matches!(outcome, SignOutcome::InProgress), "{outcome:?}");
    running.failed(&Order::of(order)).unwrap();
    let _finished = running.order(&payment());
}

#[test]
fn a_freeze_withholds_what_is_signed_and_what_was() {
    let machine = Machine::new();
    let running = machine.start();
    let before = running.order(&payment());
    let _released = running.signed(&before).unwrap();
    let flying = running.order(&Ask::utxo("pay-2", [1], 10).pay("i2", 1, 7));
    let waiting = running.order(&Ask::utxo("pay-3", [2], 10).pay("i3", 1, 7));
    running.failed(&waiting).unwrap();
    let scope = FreezeScope::Account(name("hot"));
    ask(|reply| running.journal.freeze(scope, "an officer".into(), reply)).unwrap();
    assert_eq!(running.signed(&flying).unwrap(), Release::Withheld);
    let frozen = |running: &crate::machine::Running| {
        for id in ["pay-1", "pay-2"] {
            let asked = match id {
                "pay-1" => payment(),
                _ => Ask::utxo(id, [1], 10).pay("i2", 1, 7),
            };
            let outcome = running.sign(&asked).unwrap();
            assert!(matches!(outcome, SignOutcome::Withheld), "{outcome:?}");
        }
        let charged = Ask::utxo("pay-3", [2], 10).pay("i3", 1, 7);
        let fresh = Ask::utxo("pay-4", [3], 10).pay("i4", 1, 7);
        for asked in [charged, fresh] {
            let outcome = running.sign(&asked).unwrap();
            assert!(matches!(outcome, SignOutcome::Refused(_)), "{outcome:?}");
        }
    };
    frozen(&running);
    frozen(&machine.restart(running));
}

/// Whatever waits with a freeze comes after it.
#[test]
fn a_freeze_overtakes_what_waits() {
    let machine = Machine::new();
    let running = machine.start();
    let (signing, signed) = pending();
    let (freezing, frozen) = pending();
    running.together(|journal| {
        let basis = crate::machine::capped().hash;
        journal.sign(command(&payment(), basis), signing).unwrap();
        journal.freeze(FreezeScope::All, "an officer".into(), freezing);
    });
    frozen.recv().unwrap().unwrap();
    let outcome = signed.recv().unwrap().unwrap();
    assert!(matches!(outcome, SignOutcome::Refused(_)), "{outcome:?}");
}

#[test]
fn a_jump_of_the_wall_clock_is_noted_once_and_gives_nothing() {
    const HOUR: u64 = 3_600_000;
    let machine = Machine::new();
    let running = machine.start();
    let _order = running.order(&payment());
    for years in [1, 0] {
        let wall = crate::fixture::START + years * 365 * 24 * HOUR;
        machine.clock.set(|reading| reading.wall_millis = wall);
        running.note("jumped").unwrap();
        running.note("standing").unwrap();
        assert_eq!(running.used(), amount(400));
    }
    let jumps: Vec<i64> = machine
        .records()
        .into_iter()
        .filter_map(|record| match record.entry {
            Entry::ClockJump { millis } => Some(millis),
            _ => None,
        })
        .collect();
    let year = 365 * 24 * HOUR as i64;
    assert_eq!(jumps, [year, -year]);
    // Nor does a restart at another time.
    machine.clock.set(|reading| {
        reading.wall_millis += 48 * HOUR;
        reading.boot_millis = 5;
    });
    let running = machine.restart(running);
    running.note("started").unwrap();
    assert_eq!(running.used(), amount(400));
    let attempt = running
        .journal
        .state()
        .request(&payment().request.client, &payment().request.id);
    assert_ne!(attempt.unwrap().unwrap().attempt, AttemptId(0));
}
