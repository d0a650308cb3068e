//! A signer that was off: what it was off for counts once enough outsiders say so, and nothing else does.

use ed25519_dalek::SigningKey;
use policy::{
    AttestationKind, Attested, Attester, Entry, Policy, StateError, TimeSource,
    statement::{self, Attestation, PublicKeyLine, Seen},
};
use ssh_key::{PrivateKey, private::Ed25519Keypair};
use strongroom_journal::SignOutcome;
use tlog::cosignature::{Quorum, Timestamp, WitnessKey};
use tx::Time;

use crate::{
    fixture::{Ask, START, amount, name},
    machine::{Machine, Running, ask, capped, command, pending},
};

const HOUR: u64 = 3_600_000;
/// Longer than the window of the limit.
const OFF: u64 = 26 * HOUR;
/// When it starts again.
const MORNING: u64 = START + OFF;

fn key(who: u8) -> PrivateKey {
    Ed25519Keypair::from_seed(&[who; 32]).into()
}

fn line(who: u8) -> String {
    let line = key(who).public_key().to_openssh().unwrap();
    PublicKeyLine::parse(&line).unwrap().into_string()
}

/// Two of three attesters say the time.
fn attested() -> Policy {
    let mut policy = capped();
    for who in 1..=3 {
        let attester = Attester {
            keys: [line(who)].into(),
            says: [AttestationKind::Time].into(),
        };
        let attesters = &mut policy.attestations.attesters;
        attesters.insert(name(&format!("w{who}")), attester);
    }
    policy.attestations.needed = [(AttestationKind::Time, 2)].into();
    another(policy)
}

fn witness(n: u8) -> WitnessKey {
    let secret = SigningKey::from_bytes(&[n; 32]);
    let name = format!("witness-{n}").parse().unwrap();
    WitnessKey::new(name, secret.verifying_key().as_bytes()).unwrap()
}

/// Two of three witnesses.
fn witnessed() -> Policy {
    let mut policy = capped();
    let keys = [1, 2, 3].map(witness).into();
    policy.witnesses = Some(Quorum::majority(keys).unwrap());
    another(policy)
}

fn another(mut policy: Policy) -> Policy {
    policy.sequence += 1;
    policy.hash.0[0] ^= 0x80;
    policy
}

fn said(who: u8, millis: u64) -> Attested {
    let statement = Attestation {
        fleet: name("main"),
        number: millis,
        attester: name(&format!("w{who}")),
        at: Time::from_millis(millis),
        seen: Seen::Time,
    };
    let (text, namespace) = (statement.to_string(), statement.header().namespace());
    Attested {
        hash: statement.hash(),
        attester: statement.attester,
        key: line(who),
        signature: statement::sign(&text, &namespace, &key(who)).unwrap(),
        statement: text,
    }
}

fn say(running: &Running, who: u8, millis: u64) -> Result<(), StateError> {
    let said = said(who, millis);
    let taken = ask(|reply| running.journal.attest(said, reply).unwrap()).unwrap();
    // The time is read anew.
    running.note("later").unwrap();
    taken.map(drop)
}

fn payment(n: u32, units: u64) -> Ask {
    let id = format!("pay-{n}");
    Ask::utxo(&id, [n], 10).pay(&id, units, 7)
}

fn pay(running: &Running, n: u32, units: u64) -> SignOutcome {
    let basis = running.journal.state().policy().unwrap().hash;
    let command = command(&payment(n, units), basis);
    ask(|reply| running.journal.sign(command, reply).unwrap()).unwrap()
}

/// A signer that has charged 400 of 1,000 a day, and what it comes to be after a day off.
fn begun(policy: &Policy) -> (Machine, Running) {
    let machine = Machine::new();
    let running = machine.start();
    running.activate(policy.clone()).unwrap().unwrap();
    let _order = pay(&running, 0, 400);
    let running = off(&machine, running);
    assert_eq!(running.used(), amount(400), "nothing says how long it was");
    (machine, running)
}

/// Ends it as a crash does; a day later the machine starts again.
fn off(machine: &Machine, running: Running) -> Running {
    running.crash();
    machine.clock.set(|reading| {
        reading.wall_millis += OFF;
        reading.boot_millis = 5;
    });
    let running = machine.open().unwrap();
    running.note("started").unwrap();
    running
}

fn credits(machine: &Machine) -> Vec<(TimeSource, u64)> {
    let records = machine.records().into_iter();
    let credited = records.filter_map(|record| match record.entry {
        Entry::TimeCredited { by, millis } => Some((by, millis)),
        _ => None,
    });
    credited.collect()
}

#[test]
fn two_of_three_attesters_give_back_the_time_off_and_a_crash_keeps_it() {
    let (machine, running) = begun(&attested());
    say(&running, 1, MORNING).unwrap();
    assert_eq!(running.used(), amount(400), "one is not enough");
    let running = machine.restart(running);
    running.note("started").unwrap();
    assert_eq!(running.used(), amount(400));
    say(&running, 3, MORNING).unwrap();
    assert_eq!(running.used(), amount(0));
    assert_eq!(running.journal.now().lo, Time::from_millis(MORNING));
    let entries = credits(&machine);
    assert_eq!(entries, [(TimeSource::Attesters, OFF)]);
    let running = machine.restart(running);
    running.note("started").unwrap();
    assert_eq!(running.journal.now().lo, Time::from_millis(MORNING));
    assert_eq!(running.used(), amount(0));
    let credited = running.journal.state().credited().copied().unwrap();
    assert_eq!((credited.by, credited.millis), (TimeSource::Attesters, OFF));
    assert!(matches!(pay(&running, 1, 1_000), SignOutcome::Order { .. }));
}

#[test]
fn what_was_said_before_and_what_one_attester_says_gives_nothing() {
    let (machine, running) = begun(&attested());
    // Of the evening, and brought now; and one that lies.
    say(&running, 1, START - HOUR).unwrap();
    say(&running, 2, START).unwrap();
    let lie = MORNING + HOUR;
    let ahead = StateError::NotSeenYet {
        at: Time::from_millis(lie),
    };
    assert_eq!(say(&running, 3, lie), Err(ahead));
    say(&running, 3, MORNING).unwrap();
    assert_eq!(running.used(), amount(400));
    assert_eq!(running.journal.now().lo, Time::from_millis(START));
    assert_eq!(credits(&machine), []);
}

/// Whoever brings what attesters say too late has no more of it.
#[test]
fn what_was_charged_in_the_meantime_is_no_older_than_it_is() {
    let (machine, running) = begun(&attested());
    assert!(matches!(pay(&running, 1, 500), SignOutcome::Order { .. }));
    say(&running, 1, MORNING).unwrap();
    say(&running, 2, MORNING).unwrap();
    assert_eq!(running.used(), amount(900));
    // Nor by another start and another day: of that alone it is known how long it was.
    let running = off(&machine, running);
    for who in [1, 2] {
        say(&running, who, MORNING + OFF).unwrap();
    }
    assert_eq!(running.journal.now().lo, Time::from_millis(MORNING));
    assert_eq!(credits(&machine), [(TimeSource::Attesters, OFF)]);
    assert_eq!(running.used(), amount(0));
}

/// A payment that waits together with the second statement is decided by the time that it says.
#[test]
fn what_waits_behind_a_statement_is_decided_after_it_is_credited() {
    let (machine, running) = begun(&attested());
    say(&running, 1, MORNING).unwrap();
    let (heard, taken) = pending();
    let (signing, signed) = pending();
    running.together(|journal| {
        journal.attest(said(2, MORNING), heard).unwrap();
        let basis = attested().hash;
        journal
            .sign(command(&payment(1, 700), basis), signing)
            .unwrap();
    });
    taken.recv().unwrap().unwrap().unwrap();
    let outcome = signed.recv().unwrap().unwrap();
    assert!(matches!(outcome, SignOutcome::Order { .. }), "{outcome:?}");
    assert_eq!(running.used(), amount(700));
    assert_eq!(credits(&machine), [(TimeSource::Attesters, OFF)]);
}

/// The wall clock starts in the evening again, and is set right later: what was charged before that was not
/// charged in the evening.
#[test]
fn a_wall_clock_that_was_behind_gives_nothing_by_the_next_start() {
    let (machine, running) = begun(&attested());
    running.crash();
    machine.clock.set(|reading| reading.wall_millis = START);
    let running = machine.open().unwrap();
    assert!(matches!(pay(&running, 1, 500), SignOutcome::Order { .. }));
    machine.clock.set(|reading| reading.wall_millis = MORNING);
    running.note("set").unwrap();
    let running = machine.restart(running);
    for who in [1, 2] {
        say(&running, who, MORNING).unwrap();
    }
    assert_eq!(running.used(), amount(900));
    assert_eq!(credits(&machine), []);
}

/// Until the wall clock is right there is no room; but what has expired, has.
#[test]
fn a_wall_clock_that_is_behind_holds_back_what_is_credited() {
    let machine = Machine::new();
    let running = machine.start();
    running.activate(attested()).unwrap().unwrap();
    running.crash();
    machine.clock.set(|reading| reading.boot_millis = 5);
    let running = machine.open().unwrap();
    let morning = START + 23 * HOUR;
    for who in [1, 2] {
        say(&running, who, morning).unwrap();
    }
    let now = running.journal.now();
    assert_eq!(now.lo, Time::from_millis(START));
    assert_eq!(now.hi, Time::from_millis(morning));
    machine.clock.set(|reading| reading.wall_millis = MORNING);
    running.note("set").unwrap();
    assert_eq!(running.journal.now().lo, Time::from_millis(morning));
}

#[test]
fn a_majority_of_the_witnesses_gives_back_the_time_off() {
    let (machine, running) = begun(&witnessed());
    let time = Timestamp::new(MORNING / 1000).unwrap();
    let ahead = Timestamp::new(MORNING * 2 / 1000).unwrap();
    let tell = |said: &[(WitnessKey, Timestamp)]| {
        running.journal.cosigned(said);
        running.note("told").unwrap();
        running.used()
    };
    // One, twice; one that lies; one that the bundle does not name.
    assert_eq!(
        tell(&[(witness(1), ahead), (witness(1), time)]),
        amount(400)
    );
    assert_eq!(tell(&[(witness(9), time)]), amount(400));
    assert_eq!(tell(&[(witness(2), time)]), amount(0));
    let lo = Time::from_millis(MORNING);
    assert_eq!(running.journal.now().lo, lo);
    assert_eq!(credits(&machine), [(TimeSource::Witnesses, OFF)]);
    let running = machine.restart(running);
    assert_eq!(running.journal.now().lo, lo);
    assert_eq!(running.used(), amount(0));
}
