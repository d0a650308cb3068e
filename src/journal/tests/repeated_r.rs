//! Two signatures with one `r` give a key away: the second is neither kept nor released, however long ago
//! the first was made.

use std::num::NonZeroU64;

use policy::{Digest, Entry, FreezeScope, ReasonCode, Signed};
use strongroom_journal::{Release, Rooting, SignOutcome};

use crate::{
    fixture::{Ask, name},
    machine::{Machine, Order, Running, ask, signatures},
};

const EVERY: u64 = 8;

fn machine() -> Machine {
    let every = NonZeroU64::new(EVERY).unwrap();
    Machine {
        rooting: Rooting::every(every).within(),
        ..Machine::new()
    }
}

fn payment(n: u32) -> Ask {
    let id = format!("pay-{n}");
    let mut asked = Ask::utxo(&id, [n], 10).pay(&id, 1, 7);
    asked.transaction.signings[0].digest = [n as u8; 32];
    asked
}

fn with_r(order: &Order, r: u8) -> Signed {
    let mut signed = signatures(order, "raw");
    signed.signatures[0].r = Digest([r; 32]);
    signed
}

fn give(running: &Running, signed: &Signed) -> Release {
    ask(|reply| running.journal.signed(signed.clone(), reply)).unwrap()
}

fn is_refused_as_frozen(running: &Running, asked: &Ask) {
    let outcome = running.sign(asked).unwrap();
    let SignOutcome::Refused(refusal) = outcome else {
        panic!("{outcome:?}");
    };
    let codes = refusal.reasons.iter().map(|reason| reason.code);
    assert!(codes.into_iter().any(|code| code == ReasonCode::Frozen));
}

#[test]
fn a_second_digest_freezes_the_key_also_after_restarts_and_from_disk() {
    for (restarts, entries) in [(0, 0), (1, 0), (1, 60)] {
        let machine = machine();
        let mut running = machine.start();
        let first = running.order(&payment(0));
        assert_eq!(give(&running, &with_r(&first, 3)), Release::Released);
        for _ in 0..entries {
            running.note("nothing").unwrap();
        }
        for _ in 0..restarts {
            running = machine.restart(running);
        }
        if entries > 0 {
            let state = running.journal.state();
            assert!(state.settled() > first.entry + 1, "it is on disk alone");
        }
        let second = running.order(&payment(1));
        assert_eq!(give(&running, &with_r(&second, 3)), Release::Repeated);
        is_refused_as_frozen(&running, &payment(1));
        is_refused_as_frozen(&running, &payment(2));
        let running = machine.restart(running);
        is_refused_as_frozen(&running, &payment(1));
        running.crash();
        let records = machine.records();
        let signed = |entry: &Entry| matches!(entry, Entry::Signed(_));
        let count = records.iter().filter(|record| signed(&record.entry));
        assert_eq!(count.count(), 1, "the second is not kept");
        let frozen = records.iter().find_map(|record| match &record.entry {
            Entry::Frozen { scope, reason } => Some((scope.clone(), reason.clone())),
            _ => None,
        });
        let (scope, reason) = frozen.unwrap();
        assert_eq!(scope, FreezeScope::Key(second.calls[0].key.clone()));
        assert!(reason.ends_with("signed two inputs with one r"), "{reason}");
    }
}

/// Deterministic devices (RFC 6979) give one digest one `r`, however often they are asked.
#[test]
fn the_same_digest_is_signed_again_with_its_r() {
    let machine = machine();
    let running = machine.start();
    let first = running.order(&payment(0));
    // Signed once too late, and once more under a further charge.
    machine.clock.pass(60_001);
    assert_eq!(give(&running, &with_r(&first, 3)), Release::TooLate);
    let again = running.order(&payment(0));
    assert_eq!(give(&running, &with_r(&again, 3)), Release::Released);
    let other = running.order(&payment(1));
    assert_eq!(give(&running, &with_r(&other, 4)), Release::Released);
}

/// Two inputs of one transaction.
#[test]
fn two_inputs_of_one_transaction_are_held_against_each_other() {
    let machine = machine();
    let running = machine.start();
    let mut asked = payment(0);
    let mut further = asked.transaction.signings[0].clone();
    further.digest[0] += 1;
    further.key = name("k2");
    asked.transaction.signings.push(further);
    let order = running.order(&asked);
    let mut signed = with_r(&order, 3);
    signed.signatures[1].r = signed.signatures[0].r;
    assert_eq!(give(&running, &signed), Release::Repeated);
    running.crash();
    let frozen = |entry: &Entry| matches!(entry, Entry::Frozen { .. });
    let records = machine.records();
    let count = records.iter().filter(|record| frozen(&record.entry));
    assert_eq!(count.count(), 2, "both keys");
}
