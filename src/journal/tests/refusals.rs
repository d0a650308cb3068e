//! Refusals are recorded one by one up to a rate, and counted beyond it.

use policy::{Blob, Entry, Reason, ReasonCode, Refused, RequestHash};
use strongroom_journal::SignOutcome;
use tlog::{CompactTree, leaf_hash};

use crate::{
    fixture::{Ask, name},
    machine::{Machine, Running, ask, capped},
};

const SINGLY: usize = 16;

fn refuse(running: &Running, client: &str, n: u8) {
    let refused = Refused {
        client: name(client),
        request: format!("r-{n}").parse().unwrap(),
        request_hash: RequestHash([n; 32]),
        transaction: Blob::Inline("{}".into()),
        asked: None,
        policy: capped().hash,
        reasons: vec![Reason {
            code: ReasonCode::Transaction,
            statement: None,
            at: None,
            detail: format!("malformed {n}"),
            remedy: "none".into(),
        }],
        needs: Default::default(),
    };
    ask(|reply| running.journal.refuse(refused, reply).unwrap()).unwrap();
}

/// How many are recorded singly, and the counts of the summaries.
fn recorded(machine: &Machine, client: &str) -> (usize, Vec<u64>) {
    let (mut singly, mut counts) = (0, Vec::new());
    for record in machine.records() {
        match record.entry {
            Entry::Refused(refused) if refused.client == name(client) => singly += 1,
            Entry::RefusedMany(many) if many.client == name(client) => counts.push(many.count),
            _ => {}
        }
    }
    (singly, counts)
}

#[test]
fn beyond_the_rate_they_are_counted_and_the_counts_add_up() {
    let machine = Machine::new();
    let running = machine.start();
    for n in 0..40 {
        refuse(&running, "walletd", n);
    }
    // Those that were evaluated count the same.
    for n in 0..5 {
        let id = format!("over-{n}");
        let outcome = running.sign(&Ask::utxo(&id, [n], 1).pay(&id, 9_999, 7));
        assert!(matches!(outcome.unwrap(), SignOutcome::Refused(_)));
    }
    refuse(&running, "other", 1);
    assert_eq!(recorded(&machine, "walletd"), (SINGLY, vec![]));
    machine.clock.pass(1_000);
    running.note("a second later").unwrap();
    assert_eq!(recorded(&machine, "walletd"), (SINGLY, vec![29]));
    assert_eq!(recorded(&machine, "other"), (1, vec![]));
    // The next second begins anew.
    for n in 0..20 {
        refuse(&running, "walletd", n);
    }
    running.stop().unwrap();
    assert_eq!(recorded(&machine, "walletd"), (2 * SINGLY, vec![29, 4]));
}

#[test]
fn a_summary_names_the_requests_and_the_first_reason() {
    let machine = Machine::new();
    let running = machine.start();
    let mut tree = CompactTree::new();
    for n in 0..30 {
        refuse(&running, "walletd", n);
        if usize::from(n) >= SINGLY {
            tree.append(leaf_hash(&[n; 32])).unwrap();
        }
    }
    running.stop().unwrap();
    let many = machine
        .records()
        .into_iter()
        .find_map(|record| match record.entry {
            Entry::RefusedMany(many) => Some(many),
            _ => None,
        })
        .unwrap();
    assert_eq!(many.count, 14);
    assert_eq!(many.root.0, *tree.root().as_bytes());
    assert_eq!(many.first, "malformed 16");
}

/// Whoever holds the wall clock cannot keep refusals out of the journal.
#[test]
fn a_summary_is_written_while_the_wall_clock_stands() {
    let machine = Machine::new();
    let running = machine.start();
    for n in 0..20 {
        refuse(&running, "walletd", n);
    }
    machine.clock.set(|reading| reading.boot_millis += 1_000);
    running.note("a second later").unwrap();
    assert_eq!(recorded(&machine, "walletd"), (SINGLY, vec![4]));
}
