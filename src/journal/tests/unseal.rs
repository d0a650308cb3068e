//! Officers let a sealed journal go on: once, from what is whole, and at no point half.

use std::{convert::Infallible, sync::Arc};

use ed25519_dalek::{Signer as _, SigningKey};
use policy::{
    Entry, Person, Policy,
    statement::{self, Found, Head, Unseal},
};
use ssh_key::{PrivateKey, private::Ed25519Keypair};
use strongroom_journal::{
    OpenJournalError, Release, ResumeError, Resumption, SealReport, SealedFolder, create_on,
    segment::{OpenOptions, SegmentLog},
};
use tlog::{
    checkpoint::{Checkpoint, SignedCheckpoint},
    note::VerifierKey,
};
use tx::{Amount, Time};

use crate::{
    fixture::{Ask, START, name},
    machine::{Machine, Running, capped, records},
    memory_disk::{Image, MemoryDisk},
};

pub const HOUR: u64 = 3_600_000;

pub fn officer(seed: u8) -> PrivateKey {
    Ed25519Keypair::from_seed(&[seed; 32]).into()
}

/// Two of three officers, in a bundle that replaces the one of all tests.
pub fn governed() -> Policy {
    let mut policy = capped();
    policy.hash.0 = [2; 32];
    policy.sequence = 2;
    for (seed, person) in (1..).zip(["ann", "ben", "cem"].map(name)) {
        let key = officer(seed).public_key().to_openssh().unwrap();
        let keys = [key].into();
        policy.governance.officers.insert(person.clone());
        policy.people.insert(
            person,
            Person {
                keys,
                ..Person::default()
            },
        );
    }
    policy.governance.threshold = 2;
    policy
}

pub fn pay(running: &Running, n: u32) {
    let id = format!("pay-{n}");
    let command = crate::machine::command(&Ask::utxo(&id, [n], 10).pay(&id, 1, 7), governed().hash);
    let outcome = crate::machine::ask(|reply| running.journal.sign(command, reply).unwrap());
    let strongroom_journal::SignOutcome::Order { order, .. } = outcome.unwrap() else {
        panic!("no order");
    };
    let released = running.signed(&crate::machine::Order::of(order));
    assert_eq!(released.unwrap(), Release::Released);
}

/// A journal after one payment, and after another two.
pub struct Copies {
    machine: Machine,
    older: Image,
    pub newer: Image,
}

pub fn copies() -> Copies {
    let machine = Machine::new();
    let running = machine.start();
    running.activate(governed()).unwrap().unwrap();
    pay(&running, 1);
    running.stop().unwrap();
    running.crash();
    let older = machine.disk.image();
    let running = machine.open().unwrap();
    pay(&running, 2);
    pay(&running, 3);
    running.stop().unwrap();
    running.crash();
    let newer = machine.disk.image();
    Copies {
        machine,
        older,
        newer,
    }
}

impl Copies {
    /// The machine with this on its disk.
    pub fn with(&self, image: &Image) -> Machine {
        Machine {
            disk: MemoryDisk::from_image(image),
            ..self.machine.twin()
        }
    }

    /// The older copy, whose anchor knows of the newer one.
    pub fn shorter(&self) -> Image {
        let mut image = self.older.clone();
        image.insert("anchor".into(), self.newer["anchor"].clone());
        image
    }
}

impl Machine {
    pub fn sealed(&self) -> Result<SealedFolder, ResumeError> {
        SealedFolder::examine_on(Arc::new(self.disk.clone()), &*self.shelf)
    }

    fn report(&self) -> SealReport {
        self.sealed().unwrap().report().unwrap()
    }

    fn resume(&self, statement: &Unseal, seeds: &[u8]) -> Result<Resumption, ResumeError> {
        let signatures = sign(statement, seeds);
        self.sealed()?
            .resume(&statement.to_string(), &signatures, &*self.clock)
    }

    fn refused(&self, statement: &Unseal, seeds: &[u8]) -> &'static str {
        self.resume(statement, seeds).unwrap_err().name()
    }
}

fn head(size: u64, root: policy::Digest) -> Head {
    Head { size, root }
}

/// Exactly what a report says.
fn statement(report: &SealReport) -> Unseal {
    let found = Found {
        fleet: report.fleet.clone(),
        log: report.log,
        name: report.found.clone(),
        head: head(report.size, report.root),
        bundle: report.bundle,
        lost: report
            .lost
            .iter()
            .map(|lost| head(lost.size, lost.root))
            .collect(),
        nonce: report.nonce,
    };
    Unseal::of(&found, Time::from_millis(START + HOUR))
}

fn sign(statement: &Unseal, seeds: &[u8]) -> String {
    let namespace = statement.header().namespace();
    sign_text(&statement.to_string(), &namespace, seeds)
}

pub fn sign_text(text: &str, namespace: &str, seeds: &[u8]) -> String {
    let one = |seed: &u8| statement::sign(text, namespace, &officer(*seed)).unwrap();
    seeds.iter().map(one).collect()
}

fn resumptions(disk: &MemoryDisk) -> usize {
    let is = |record: &&policy::Record| matches!(record.entry, Entry::Resumed(_));
    records(disk).iter().filter(is).count()
}

/// A checkpoint of a whole log, by whatever key.
pub fn checkpoint(image: &Image) -> Vec<u8> {
    let disk = Box::new(MemoryDisk::from_image(image));
    let options = OpenOptions::default();
    let (log, _) = SegmentLog::open(disk, &options, |_, _| Ok::<(), Infallible>(())).unwrap();
    let name = "strongroom/main/0000000000000000";
    let checkpoint = Checkpoint::new(name.parse().unwrap(), log.head()).unwrap();
    let secret = SigningKey::from_bytes(&[7; 32]);
    let key = VerifierKey::new(name.parse().unwrap(), secret.verifying_key().as_bytes()).unwrap();
    let signature = secret.sign(checkpoint.to_string().as_bytes()).to_bytes();
    let signed = SignedCheckpoint::sign(checkpoint, &key, &signature).unwrap();
    signed.to_string().into_bytes()
}

/// What seals and can be resumed from, each by its name.
fn resumable(copies: &Copies) -> Vec<(&'static str, Image)> {
    let mut missing = copies.newer.clone();
    missing.remove("anchor");
    let mut damaged = copies.newer.clone();
    damaged.get_mut("anchor").unwrap()[60] ^= 1;
    // Longer than the newer one, and another.
    let fork = copies.with(&copies.older);
    let running = fork.open().unwrap();
    (10..20).for_each(|n| pay(&running, n));
    running.stop().unwrap();
    running.crash();
    let mut forked = fork.disk.image();
    forked.insert("anchor".into(), copies.newer["anchor"].clone());
    let other = MemoryDisk::default();
    create_on(
        Box::new(other.clone()),
        name("main"),
        &*copies.machine.clock,
    )
    .unwrap();
    let mut foreign = copies.newer.clone();
    foreign.insert("anchor".into(), other.image()["anchor"].clone());
    let mut remembered = copies.older.clone();
    remembered.insert("checkpoint".into(), checkpoint(&copies.newer));
    vec![
        ("anchor-foreign", foreign),
        ("shorter-than-checkpoint", remembered),
        ("anchor-missing", missing),
        ("anchor-damaged", damaged),
        ("shorter-than-anchor", copies.shorter()),
        ("forked-from-anchor", forked),
    ]
}

#[test]
fn what_is_whole_goes_on_and_its_charges_with_it() {
    let copies = copies();
    for (found, image) in resumable(&copies) {
        let machine = copies.with(&image);
        let sealed = machine.open().map(drop).unwrap_err();
        assert_eq!(sealed.name().as_str(), found);
        let report = machine.report();
        assert_eq!(report.found.as_str(), found);
        assert_eq!(report.lost.is_empty(), found.starts_with("anchor-"));
        assert_eq!((report.threshold, report.officers.len()), (2, 3));
        assert_eq!(
            machine.disk.image().len(),
            image.len() + 1,
            "only the report is new"
        );
        let done = machine.resume(&statement(&report), &[1, 3]).unwrap();
        assert_eq!(done.entries, report.size + 1);
        assert!(!machine.disk.image().contains_key("seal-report"));
        let running = machine.open().unwrap();
        assert!(running.used() >= Amount::from(1_u64), "{found}");
        pay(&running, 99);
        running.crash();
        assert_eq!(resumptions(&machine.disk), 1);
    }
}

/// The snapshot alone knows of what is lost. It is put aside, and the log says what the state is.
#[test]
fn what_a_snapshot_knows_more_of_goes_on_without_it() {
    let machine = crate::roots::machine();
    let running = crate::checkpoints::begin(&machine);
    running.activate(governed()).unwrap().unwrap();
    pay(&running, 0);
    let running = machine.restart(running);
    let older = machine.disk.image();
    for n in 1..40 {
        pay(&running, n);
    }
    crate::snapshots::keep(&machine, &running);
    running.crash();
    let mut image = machine.disk.image();
    image.retain(|name, _| name == "snapshot" || name.starts_with("map."));
    image.extend(older);
    let machine = Machine {
        disk: MemoryDisk::from_image(&image),
        ..machine.twin()
    };
    let sealed = || {
        let disk = Arc::new(machine.disk.clone());
        SealedFolder::examine_rooted(disk, &*machine.shelf, machine.rooting).unwrap()
    };
    let name = machine.open().map(drop).unwrap_err().name();
    assert_eq!(name.as_str(), "shorter-than-checkpoint");
    let report = sealed().report().unwrap();
    assert_eq!(report.found.as_str(), "shorter-than-checkpoint");
    assert_eq!(report.lost.len(), 1);
    let good = statement(&report);
    let signatures = sign(&good, &[1, 2]);
    let done = sealed().resume(&good.to_string(), &signatures, &*machine.clock);
    assert_eq!(done.unwrap().entries, report.size + 1);
    assert!(!machine.disk.image().contains_key("snapshot"));
    pay(&machine.open().unwrap(), 1);
}

#[test]
fn what_is_damaged_does_not_go_on() {
    let copies = copies();
    let mut flipped = copies.newer.clone();
    let segment = flipped.get_mut("0000000000.seg").unwrap();
    let at = segment
        .windows(9)
        .position(|w| w == b"\"attempt\"")
        .unwrap();
    segment[at] ^= 1;
    let mut gone = copies.newer.clone();
    gone.remove("0000000000.seg");
    for (image, name) in [(flipped, "group-damaged-within"), (gone, "log-missing")] {
        let machine = copies.with(&image);
        let error = machine.sealed().map(drop).unwrap_err();
        assert_eq!(error.name(), name);
        assert!(machine.disk.image() == image);
    }
    let whole = copies.with(&copies.newer);
    let error = whole.sealed().unwrap().report().unwrap_err();
    assert_eq!(error.name(), "unseal-not-sealed");
    assert!(whole.disk.image() == copies.newer);
}

#[test]
fn a_statement_that_is_not_of_this_changes_nothing() {
    let copies = copies();
    let machine = copies.with(&copies.shorter());
    let unreported = Unseal::of(
        &Found {
            fleet: name("main"),
            log: policy::Digest([0; 32]),
            name: name("shorter-than-anchor"),
            head: head(1, policy::Digest([0; 32])),
            bundle: governed().hash,
            lost: [].into(),
            nonce: policy::Digest([0; 32]),
        },
        Time::from_millis(START + HOUR),
    );
    assert_eq!(machine.refused(&unreported, &[1, 2]), "unseal-no-report");
    let report = machine.report();
    let image = machine.disk.image();
    let good = statement(&report);
    type Change = fn(&mut Unseal);
    let cases: [(&str, Change); 5] = [
        ("unseal-log", |s| s.log = policy::Digest([9; 32])),
        ("unseal-finding", |s| s.found = name("anchor-missing")),
        ("unseal-lost", |s| s.lost.clear()),
        ("unseal-nonce", |s| s.nonce = policy::Digest([9; 32])),
        ("unseal-expiry", |s| {
            s.expires = Time::from_millis(START - 1)
        }),
    ];
    for (refused, change) in cases {
        let mut other = good.clone();
        change(&mut other);
        assert_eq!(machine.refused(&other, &[1, 2]), refused);
    }
    for seeds in [&[][..], &[1], &[2, 2], &[1, 7]] {
        assert_eq!(machine.refused(&good, seeds), "unseal-quorum", "{seeds:?}");
    }
    assert!(machine.disk.image() == image);
    assert!(machine.open().is_err());
}

#[test]
fn a_statement_is_used_once() {
    let copies = copies();
    let machine = copies.with(&copies.shorter());
    let first = machine.report();
    assert_eq!(machine.report(), first);
    let good = statement(&first);
    machine.resume(&good, &[1, 2]).unwrap();
    assert_eq!(machine.refused(&good, &[1, 2]), "unseal-used");
    let running = machine.open().unwrap();
    pay(&running, 50);
    running.stop().unwrap();
    running.crash();
    assert_eq!(machine.refused(&good, &[1, 2]), "unseal-used");
    // The same copy once more: the same finding, another report.
    let mut again = copies.older.clone();
    again.insert("anchor".into(), machine.disk.image()["anchor"].clone());
    let machine = copies.with(&again);
    assert_eq!(machine.refused(&good, &[1, 2]), "unseal-no-report");
    let second = machine.report();
    assert_ne!(second.nonce, first.nonce);
    assert_eq!(machine.refused(&good, &[1, 2]), "unseal-lost");
    // Sealed by the very same head as before: still another report.
    let machine = copies.with(&copies.shorter());
    let third = machine.report();
    assert_eq!(third.lost, first.lost);
    assert_eq!(machine.refused(&good, &[1, 2]), "unseal-nonce");
}

#[test]
fn a_report_is_of_one_finding() {
    let copies = copies();
    let machine = copies.with(&copies.shorter());
    let first = machine.report();
    let mut image = machine.disk.image();
    image.remove("anchor");
    let machine = copies.with(&image);
    let second = machine.report();
    assert_ne!(second.nonce, first.nonce);
    assert_eq!(second.found.as_str(), "anchor-missing");
    assert_eq!(
        machine.refused(&statement(&first), &[1, 2]),
        "unseal-finding"
    );
}

/// Killed, or the power lost, at every call: sealed, or done; never open without the entry.
#[test]
fn power_lost_at_every_call_leaves_it_sealed_or_done() {
    let copies = copies();
    let (mut sealed, mut done) = (0, 0);
    for (_, found) in resumable(&copies) {
        let reported = copies.with(&found);
        let good = statement(&reported.report());
        let image = reported.disk.image();
        for calls in 0.. {
            let machine = copies.with(&image);
            let folder = machine.sealed().unwrap();
            machine.disk.lose_power_after(calls);
            let signatures = sign(&good, &[1, 2]);
            let outcome = folder.resume(&good.to_string(), &signatures, &*machine.clock);
            for seed in 0..2_u64 {
                let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) + calls as u64;
                let chance = move || {
                    state ^= state << 13;
                    state ^= state >> 7;
                    state ^= state << 17;
                    state
                };
                let after = machine.disk.after_power_loss(chance);
                // As it was, it is sealed as it was.
                if after == image {
                    continue;
                }
                match carried_to_its_end(&copies.with(&after), &good) {
                    End::Sealed => sealed += 1,
                    End::Done => done += 1,
                }
            }
            if outcome.is_ok() {
                break;
            }
        }
    }
    assert!(sealed > 20 && done > 5, "{sealed} sealed, {done} done");
}

enum End {
    Sealed,
    Done,
}

fn carried_to_its_end(after: &Machine, good: &Unseal) -> End {
    let end = match MachineOpen::of(after) {
        MachineOpen::Sealed => {
            after.resume(good, &[1, 2]).unwrap();
            End::Sealed
        }
        MachineOpen::Open => {
            assert_eq!(after.refused(good, &[1, 2]), "unseal-used");
            End::Done
        }
    };
    after.open().unwrap().crash();
    assert_eq!(resumptions(&after.disk), 1);
    end
}

enum MachineOpen {
    Sealed,
    Open,
}

impl MachineOpen {
    /// Tried on a copy: opening adds an entry.
    fn of(machine: &Machine) -> Self {
        let copy = machine.twin();
        match copy.open() {
            Ok(running) => {
                running.crash();
                assert_eq!(resumptions(&copy.disk), 1, "open without a statement");
                Self::Open
            }
            Err(OpenJournalError::Log(_)) => Self::Sealed,
            Err(other) => panic!("{other:?}"),
        }
    }
}
