//! What may leave: what is signed, what nothing holds, and where witnesses are named what enough of them know of.

use policy::FreezeScope;
use strongroom_journal::{Hold, Leaving, Release};

use crate::{
    fixture::{Ask, name},
    machine::{Machine, Running, ask},
};

fn payment() -> Ask {
    Ask::utxo("pay-1", [0], 10).pay("i1", 400, 7)
}

/// Whether it waits for witnesses, of whom enough have cosigned so many entries.
fn waits(running: &Running, leaving: &Leaving, witnessed: u64) -> bool {
    match running.journal.may_leave(leaving, Some(witnessed)) {
        Ok(()) => false,
        Err(Hold::Unwitnessed { last }) => {
            assert_eq!(last, leaving.last());
            true
        }
        Err(other) => panic!("{other}"),
    }
}

#[test]
fn what_is_signed_leaves_once_enough_witnesses_know_of_its_signatures() {
    let machine = Machine::new();
    let running = machine.start();
    let order = running.order(&payment());
    let early = running.journal.leaving(order.attempt, vec![order.attempt]);
    assert!(matches!(early, Err(Hold::NotSigned(attempt)) if attempt == order.attempt));
    assert_eq!(running.signed(&order).unwrap(), Release::Released);
    let signed = machine.records().len() as u64 - 1;
    let leaving = running.journal.leaving(order.attempt, vec![order.attempt]);
    let leaving = leaving.unwrap();
    assert_eq!(leaving.last(), signed);
    running.journal.may_leave(&leaving, None).unwrap();
    // Also where they know of its decision, from before its signatures.
    for witnessed in [0, order.attempt.0 + 1, signed] {
        assert!(waits(&running, &leaving, witnessed), "{witnessed}");
    }
    assert!(!waits(&running, &leaving, signed + 1));
}

#[test]
fn a_decision_waits_for_witnesses_of_its_own_entry() {
    let machine = Machine::new();
    let running = machine.start();
    let order = running.order(&payment());
    let leaving = running.journal.leaving(order.attempt, Vec::new()).unwrap();
    assert_eq!(leaving.last(), order.attempt.0);
    assert!(waits(&running, &leaving, order.attempt.0));
    assert!(!waits(&running, &leaving, order.attempt.0 + 1));
}

#[test]
fn what_is_frozen_meanwhile_does_not_leave() {
    let machine = Machine::new();
    let running = machine.start();
    let order = running.order(&payment());
    assert_eq!(running.signed(&order).unwrap(), Release::Released);
    let shown = vec![order.attempt];
    let leaving = running.journal.leaving(order.attempt, shown).unwrap();
    let told = running.journal.leaving(order.attempt, Vec::new()).unwrap();
    let other = FreezeScope::Account(name("cold"));
    ask(|reply| running.journal.freeze(other, "a drill".into(), reply)).unwrap();
    running.journal.may_leave(&leaving, None).unwrap();
    ask(|reply| {
        running
            .journal
            .freeze(FreezeScope::All, "a theft".into(), reply)
    })
    .unwrap();
    for witnessed in [None, Some(leaving.last() + 1)] {
        let held = running.journal.may_leave(&leaving, witnessed);
        assert!(matches!(held, Err(Hold::Frozen(attempt)) if attempt == order.attempt));
        // That it was decided may be told.
        running.journal.may_leave(&told, witnessed).unwrap();
    }
}
