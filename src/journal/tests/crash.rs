//! Power is lost at every call of the disk: nothing that was answered is gone, nothing that is gone
//! was answered, and the state is the one that an undisturbed run had at that entry.

use std::{collections::BTreeSet, num::NonZeroU64, ops::Range};

use policy::{AttemptId, Entry, FreezeScope, NumberedDigest, Record, State};
use strongroom_journal::{Journal, Release, Rooting, SignOutcome, Stopped, create_on};
use tx::IntentId;

use crate::{
    fixture::{Ask, name},
    machine::{Machine, Order, Running, ask, folded, records},
    memory_disk::MemoryDisk,
};

/// What was answered before the power went.
#[derive(Default)]
struct Answered {
    orders: Vec<Order>,
    signed: Vec<AttemptId>,
}

impl Running {
    /// Asks for a signature and, when there is an order, makes it and records it.
    fn carry_out(&self, asked: &Ask, answered: &mut Answered) -> Result<AttemptId, Stopped> {
        match self.sign(asked)? {
            SignOutcome::Order { order, .. } => {
                let order = Order::of(order);
                let attempt = order.attempt;
                answered.orders.push(order);
                let order = answered.orders.last().unwrap();
                assert_eq!(self.signed(order)?, Release::Released);
                answered.signed.push(attempt);
                Ok(attempt)
            }
            SignOutcome::Replay { attempt, .. } => Ok(attempt),
            other => panic!("{other:?}"),
        }
    }
}

/// A payment, a refusal, a payment whose first calls fail, a replacement, a freeze. What was done
/// before is answered again or taken up.
fn scenario(running: &Running, answered: &mut Answered) -> Result<(), Stopped> {
    running.govern()?;
    let first = Ask::utxo("pay-1", [0, 1], 100).pay("i1", 300, 7);
    let paid = running.carry_out(&first, answered)?;

    let outcome = running.sign(&Ask::utxo("over", [9], 100).pay("i9", 5_000, 7))?;
    assert!(matches!(outcome, SignOutcome::Refused(_)), "{outcome:?}");

    let second = Ask::evm("pay-2", 0, 50).pay("i2", 20, 8);
    if let SignOutcome::Order { order, .. } = running.sign(&second)? {
        answered.orders.push(Order::of(order));
        running.failed(answered.orders.last().unwrap())?;
    }
    let _attempt = running.carry_out(&second, answered)?;

    let bump = Ask::utxo("bump-1", [0], 900).pay("i1", 300, 7);
    let _attempt = running.carry_out(&bump.replaces([paid]), answered)?;

    let scope = FreezeScope::Account(name("cold"));
    ask(|reply| running.journal.freeze(scope, "a drill".into(), reply))?;
    running.stop()
}

/// All that can be asked of a state that has every row, in words.
fn seen(state: &State) -> Vec<String> {
    let mut seen = seen_of_all(state);
    for (attempt, status) in state.requests_of(&name("walletd")).unwrap() {
        let known = state.attempt(attempt).unwrap();
        seen.push(format!("{status:?} {known:?}"));
    }
    for intent in intents() {
        seen.push(format!("{:?}", state.intent(&intent).unwrap()));
    }
    seen
}

/// The same, of a journal that has rows on its disk.
fn seen_in(journal: &Journal) -> Vec<String> {
    let mut seen = seen_of_all(&journal.state());
    let rows = journal.rows();
    let requests = rows.requests_from(&name("walletd"), AttemptId(0), 99);
    for (attempt, status) in requests.unwrap() {
        let known = rows.attempt(attempt).unwrap();
        seen.push(format!("{status:?} {known:?}"));
    }
    for intent in intents() {
        seen.push(format!("{:?}", rows.intent(&intent).unwrap()));
    }
    seen
}

fn intents() -> impl Iterator<Item = IntentId> {
    let intents = ["i1", "i2", "i9"].into_iter();
    intents.map(|intent| Ask::evm("x", 0, 1).intent(intent, 1, 1).id)
}

fn seen_of_all(state: &State) -> Vec<String> {
    let freezes: BTreeSet<_> = state
        .freezes(tx::Time::from_millis(0))
        .map(|(scope, _)| scope)
        .collect();
    let start = tx::Time::from_millis(crate::fixture::START);
    let now = tx::Interval {
        lo: start,
        hi: start,
    };
    vec![
        format!(
            "{:?} {} {} {:?} {:?}",
            state.fleet(),
            state.next_call(),
            state.attempt_count(),
            state.active(),
            state.registrations().collect::<Vec<_>>()
        ),
        format!("{freezes:?}"),
        format!("{:?}", state.room(now).unwrap()),
    ]
}

fn calls(entry: &Entry) -> &[NumberedDigest] {
    match entry {
        Entry::Attempt(attempt) => &attempt.calls,
        Entry::Call { calls, .. } => calls,
        _ => &[],
    }
}

/// HSM calls are a subset of durable calls; whoever was told "signed" finds it so.
fn check_answered(records: &[Record], answered: &Answered) {
    for order in &answered.orders {
        let entry = &records[order.entry as usize].entry;
        assert_eq!(calls(entry), order.calls);
        match entry {
            Entry::Attempt(_) => assert_eq!(order.attempt, AttemptId(order.entry)),
            Entry::Call { attempt, .. } => assert_eq!(order.attempt, *attempt),
            other => panic!("{other:?}"),
        }
    }
    for attempt in &answered.signed {
        let signed = |record: &Record| matches!(&record.entry, Entry::Signed(signed) if signed.attempt == *attempt);
        assert!(records.iter().any(signed), "attempt {attempt}");
    }
}

/// No number of a call is used twice, by whatever life of the journal.
fn check_numbers(records: &[Record]) {
    let numbers: Vec<u64> = records
        .iter()
        .flat_map(|record| calls(&record.entry))
        .map(|call| call.call)
        .collect();
    let distinct: BTreeSet<_> = numbers.iter().collect();
    assert_eq!(distinct.len(), numbers.len());
}

#[test]
fn power_lost_at_every_call_of_the_disk() {
    let (lengths, expected) = power_lost(Rooting::default(), |_| 0..3);
    assert_eq!(lengths.len(), expected);
}

/// The map is extended and roots are written at every sixth entry, in a group with what follows.
#[test]
fn power_lost_at_every_call_of_the_disk_while_roots_are_made() {
    let rooting = Rooting::every(NonZeroU64::new(6).unwrap()).within();
    let (lengths, expected) = power_lost(rooting, |at| at % 3..at % 3 + 1);
    assert_eq!(lengths.len(), expected - 3);
}

/// Tries these seeds at each call. Gives how many entries were found, and how many there are in the end.
fn power_lost(rooting: Rooting, seeds: impl Fn(u64) -> Range<u64>) -> (BTreeSet<usize>, usize) {
    let new = || Machine {
        rooting,
        ..Machine::new()
    };
    let reference = new();
    let running = reference.open().unwrap();
    scenario(&running, &mut Answered::default()).unwrap();
    let used = running.used();
    let live = seen_in(&running.journal);
    running.crash();
    let expected = reference.records();
    assert_eq!(seen(&folded(&expected, &reference.shelf)), live);

    let mut lengths = BTreeSet::new();
    for at in 0.. {
        let mut finished = 0;
        for seed in seeds(at) {
            let machine = new();
            machine.disk.lose_power_after(usize::try_from(at).unwrap());
            let mut answered = Answered::default();
            if let Ok(running) = machine.open() {
                finished += u64::from(scenario(&running, &mut answered).is_ok());
                running.crash();
            }
            let mut chance = seed;
            let image = machine.disk.after_power_loss(|| {
                chance += 1;
                chance / 2
            });
            let machine = Machine {
                disk: MemoryDisk::from_image(&image),
                ..machine
            };
            let found = reopened(&machine, &expected, &answered);
            lengths.insert(found);
            carried_to_the_end(&machine, used);
        }
        if finished > 0 && finished == seeds(at).count() as u64 {
            assert_eq!(lengths.last(), Some(&expected.len()));
            return (lengths, expected.len());
        }
    }
    panic!("no scenario is endless")
}

/// What the disk holds is the beginning of the undisturbed run. Gives how long it is.
fn reopened(machine: &Machine, expected: &[Record], answered: &Answered) -> usize {
    let opened = machine.open().unwrap();
    let state = seen_in(&opened.journal);
    opened.crash();
    let mut found = machine.records();
    // A root that was due may follow it.
    let started = |record: &Record| matches!(record.entry, Entry::Started { .. });
    found.truncate(found.iter().rposition(started).unwrap());
    assert_eq!(found[..], expected[..found.len()]);
    check_answered(&found, answered);
    assert_eq!(
        state,
        seen(&folded(&expected[..found.len()], &machine.shelf))
    );
    found.len()
}

/// The same requests once more come to the same end, and are charged once.
fn carried_to_the_end(machine: &Machine, used: tx::Amount) {
    let running = machine.open().unwrap();
    let mut answered = Answered::default();
    scenario(&running, &mut answered).unwrap();
    assert_eq!(running.used(), used);
    running.crash();
    let records = machine.records();
    check_answered(&records, &answered);
    check_numbers(&records);
}

#[test]
fn power_lost_in_the_first_start_leaves_nothing_or_what_can_be_carried_on() {
    for at in 0.. {
        let machine = Machine::blank();
        machine.disk.lose_power_after(at);
        let create =
            |disk: &MemoryDisk| create_on(Box::new(disk.clone()), name("main"), &*machine.clock);
        let created = create(&machine.disk).is_ok();
        for keeps in [0, 1] {
            let disk = MemoryDisk::from_image(&machine.disk.after_power_loss(|| keeps));
            let again = create(&disk);
            let genesis = records(&disk);
            assert_eq!(genesis.len(), 1, "at {at}: {again:?}");
            assert!(!created || again.is_err(), "created twice");
        }
        if created {
            return;
        }
    }
}
