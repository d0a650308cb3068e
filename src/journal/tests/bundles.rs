//! Which bundle governs.

use policy::{BundleHash, Entry, Policy};
use strongroom_journal::SignOutcome;

use crate::{
    fixture::Ask,
    machine::{Machine, capped, command, pending},
};

fn bundle(sequence: u64, byte: u8) -> Policy {
    let mut policy = capped();
    policy.sequence = sequence;
    policy.hash = BundleHash([byte; 32]);
    policy
}

#[test]
fn what_was_decoded_under_another_bundle_is_decoded_again() {
    let machine = Machine::new();
    let running = machine.start();
    let next = bundle(2, 2);
    machine.shelf.put(next.hash, next.clone());
    let asked = Ask::utxo("pay", [1], 1).pay("pay", 1, 7);
    let (activating, activated) = pending();
    let (early, moved) = pending();
    let (late, permitted) = pending();
    running.together(|journal| {
        let activation = strongroom_journal::Activation {
            policy: next.clone().into(),
            signed_by: Default::default(),
        };
        journal.activate(activation, activating);
        journal.sign(command(&asked, capped().hash), early).unwrap();
        journal.sign(command(&asked, next.hash), late).unwrap();
    });
    activated.recv().unwrap().unwrap().unwrap();
    let outcome = moved.recv().unwrap().unwrap();
    assert!(matches!(outcome, SignOutcome::Moved), "{outcome:?}");
    let outcome = permitted.recv().unwrap().unwrap();
    assert!(matches!(outcome, SignOutcome::Order { .. }), "{outcome:?}");
}

#[test]
fn an_older_bundle_is_refused_and_the_journal_goes_on() {
    let machine = Machine::new();
    let running = machine.start();
    running.activate(bundle(3, 3)).unwrap().unwrap();
    for refused in [bundle(2, 2), bundle(3, 4), capped()] {
        let error = running.activate(refused).unwrap().unwrap_err();
        assert!(error.contains("does not replace"), "{error}");
    }
    assert_eq!(running.journal.state().active(), Some(BundleHash([3; 32])));
    let running = machine.restart(running);
    assert_eq!(running.journal.state().active(), Some(BundleHash([3; 32])));
    let asked = Ask::utxo("pay", [1], 1).pay("pay", 1, 7);
    assert!(matches!(running.sign(&asked), Ok(SignOutcome::Moved)));
}

#[test]
fn a_bundle_that_does_not_fit_the_state_is_refused_before_it_is_written() {
    let machine = Machine::new();
    let running = machine.start();
    let mut wide = bundle(2, 2);
    wide.limits[0].says.window_millis = u64::MAX;
    let entries = machine.records().len();
    let error = running.activate(wide).unwrap().unwrap_err();
    assert!(error.contains("longer than charges are kept"), "{error}");
    assert_eq!(machine.records().len(), entries);
    let governs = |record: &policy::Record| matches!(record.entry, Entry::PolicyActivated { .. });
    let records = machine.records();
    assert_eq!(records.iter().filter(|record| governs(record)).count(), 1);
}
