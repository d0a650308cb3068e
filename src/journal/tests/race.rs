//! Limit race: however many ask at once, what is let out is at most the limit.

use std::{
    collections::BTreeSet,
    sync::{
        Barrier,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

use policy::Entry;
use strongroom_journal::SignOutcome;

use crate::{
    fixture::{Ask, amount},
    machine::{CAP, Machine, Order, Running},
    memory_disk::Call,
};

const THREADS: u32 = 1_000;

/// All ask at once for as much; gives the calls that were handed out.
fn all_at_once(running: &Running, units: u64) -> Vec<u64> {
    let barrier = Barrier::new(THREADS as usize);
    let refused = AtomicU64::new(0);
    let calls: Vec<u64> = thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|n| {
                let (barrier, refused) = (&barrier, &refused);
                scope.spawn(move || {
                    let id = format!("pay-{n}");
                    let asked = Ask::utxo(&id, [n], 1).pay(&id, units, 7);
                    barrier.wait();
                    match running.sign(&asked).unwrap() {
                        SignOutcome::Order { order, .. } => Order::of(order).calls,
                        SignOutcome::Refused(_) => {
                            refused.fetch_add(1, Ordering::Relaxed);
                            Vec::new()
                        }
                        other => panic!("{other:?}"),
                    }
                })
            })
            .collect();
        let calls = threads
            .into_iter()
            .flat_map(|thread| thread.join().unwrap());
        calls.map(|call| call.call).collect()
    });
    assert_eq!(
        refused.into_inner() + calls.len() as u64,
        u64::from(THREADS)
    );
    calls
}

#[test]
fn of_a_thousand_that_fit_alone_one_is_let_out() {
    let machine = Machine::new();
    let running = machine.start();
    let calls = all_at_once(&running, CAP - 1);
    assert_eq!(calls.len(), 1);
    assert_eq!(running.used(), amount(CAP - 1));
}

#[test]
fn of_a_thousand_small_ones_as_many_are_let_out_as_fit() {
    let machine = Machine::new();
    let running = machine.start();
    machine.disk.take_calls();
    let calls = all_at_once(&running, 3);
    assert_eq!(calls.len() as u64, CAP / 3);
    let distinct: BTreeSet<_> = calls.iter().collect();
    assert_eq!(distinct.len(), calls.len());
    let disk_calls = machine.disk.take_calls();
    let flushes = disk_calls.iter().filter(|call| **call == Call::SyncData);
    assert!(flushes.count() < THREADS as usize / 4, "they share flushes");
    // And no more after a restart, which holds what the disk has against what was handed out.
    let running = machine.restart(running);
    let durable: BTreeSet<u64> = machine
        .records()
        .into_iter()
        .filter_map(|record| match record.entry {
            Entry::Attempt(attempt) => Some(attempt.calls),
            _ => None,
        })
        .flatten()
        .map(|call| call.call)
        .collect();
    assert!(calls.iter().all(|call| durable.contains(call)));
    assert_eq!(running.used(), amount(CAP / 3 * 3));
    let outcome = running.sign(&Ask::utxo("late", [5_000], 1).pay("late", 2, 7));
    assert!(matches!(outcome.unwrap(), SignOutcome::Refused(_)));
}
