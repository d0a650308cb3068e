//! Officers begin a new epoch: in the journal that is there, or where nothing is, and at no point half.

use std::{collections::BTreeSet, sync::Arc};

use policy::{
    Entry, Policy, ReasonCode,
    statement::{Drain, EpochFound, Found, Head, NewEpoch, NextSequence},
};
use strongroom_journal::{
    Activation, EmptyFolder, OpenJournalError, ResumeError, Resumption, SealReport, SignOutcome,
};
use tx::{Address, Time};

use crate::{
    fixture::{Ask, BTC, START, stranger},
    machine::{Machine, Running, ask, command, records},
    memory_disk::{Image, MemoryDisk},
    unseal::{Copies, HOUR, checkpoint, copies, governed, sign_text},
};

fn cold() -> Address {
    stranger(BTC, 200)
}

fn found(report: &SealReport) -> EpochFound {
    let lost = report.lost.iter().map(|lost| Head {
        size: lost.size,
        root: lost.root,
    });
    EpochFound {
        found: Found {
            fleet: report.fleet.clone(),
            log: report.log,
            name: report.found.clone(),
            head: Head {
                size: report.size,
                root: report.root,
            },
            bundle: report.bundle,
            lost: lost.collect(),
            nonce: report.nonce,
        },
        sequence: report.sequence,
        epoch: report.epoch,
        last: report.last.lo,
    }
}

/// What a report asks for: sequences as they are known, and a drain of everything else.
fn statement(report: &SealReport) -> NewEpoch {
    let begins = Time::from_millis(START + 60_000);
    let mut statement = NewEpoch::of(&found(report), begins, begins.after_millis(HOUR));
    for known in &report.keys {
        let key = known.key.clone();
        match known.next {
            Some(next) => {
                let chain = known.chain;
                statement.next.insert(NextSequence { key, chain, next });
            }
            None => {
                statement.drains.insert(Drain { key, to: cold() });
            }
        }
    }
    statement.lanes = report.lanes;
    statement
}

fn sign(statement: &NewEpoch, seeds: &[u8]) -> String {
    let namespace = statement.header().namespace();
    sign_text(&statement.to_string(), &namespace, seeds)
}

/// The first bundle of a new log: the one that a person compared.
fn first() -> Policy {
    governed()
}

impl Machine {
    fn begin(&self, statement: &NewEpoch, seeds: &[u8]) -> Result<Resumption, ResumeError> {
        self.clock
            .set(|reading| reading.wall_millis = START + 120_000);
        let (text, armour) = (statement.to_string(), sign(statement, seeds));
        match self.sealed() {
            Ok(folder) => folder.carry_out(&text, &armour, &*self.clock),
            Err(ResumeError::NoBundle) => self.empty()?.begin(&text, &armour, &*self.clock),
            Err(_) if !self.has_segments() => self.empty()?.begin(&text, &armour, &*self.clock),
            Err(other) => Err(other),
        }
    }

    fn empty(&self) -> Result<EmptyFolder, ResumeError> {
        let policy = Arc::new(first());
        self.shelf.put(policy.hash, Policy::clone(&policy));
        let bundle = Activation {
            policy,
            signed_by: BTreeSet::new(),
        };
        EmptyFolder::take_on(Arc::new(self.disk.clone()), bundle)
    }

    fn has_segments(&self) -> bool {
        let image = self.disk.image();
        image.keys().any(|name| name.ends_with(".seg"))
    }

    fn refuses(&self, statement: &NewEpoch, seeds: &[u8]) -> &'static str {
        self.begin(statement, seeds).unwrap_err().name()
    }
}

fn epochs(disk: &MemoryDisk) -> usize {
    let is = |record: &&policy::Record| matches!(record.entry, Entry::EpochBegan(_));
    records(disk).iter().filter(is).count()
}

/// Asks for a payment of an epoch, and the codes of what speaks against it.
fn codes(running: &Running, n: u32, epoch: u64) -> BTreeSet<ReasonCode> {
    let id = format!("later-{n}");
    let mut ask_for = Ask::utxo(&id, [n], 10).pay(&id, 1, 7);
    for signed in &mut ask_for.request.intents {
        signed.intent.epoch = epoch;
    }
    let command = command(&ask_for, governed().hash);
    let outcome = ask(|reply| running.journal.sign(command, reply).unwrap());
    match outcome.unwrap() {
        SignOutcome::Refused(refusal) => refusal.reasons.iter().map(|reason| reason.code).collect(),
        _ => panic!("it is not refused"),
    }
}

/// Two ways to begin: an older copy beside what is known to be lost, and nothing but a checkpoint.
fn beginnings(copies: &Copies) -> Vec<(&'static str, Image)> {
    let mut nothing = Image::new();
    nothing.insert("checkpoint".into(), checkpoint(&copies.newer));
    vec![
        ("shorter-than-anchor", copies.shorter()),
        ("journal-missing", nothing),
        ("journal-missing", Image::new()),
    ]
}

fn reported(machine: &Machine) -> SealReport {
    match machine.sealed() {
        Ok(folder) => folder.report().unwrap(),
        Err(_) => machine.empty().unwrap().report().unwrap(),
    }
}

#[test]
fn an_epoch_begins_and_nothing_has_room() {
    let copies = copies();
    for (name, image) in beginnings(&copies) {
        let machine = copies.with(&image);
        let report = reported(&machine);
        assert_eq!(report.found.as_str(), name);
        assert_eq!(reported(&machine), report, "one finding, one report");
        assert!(report.keys.iter().any(|key| key.next.is_some()));
        assert!(report.keys.iter().any(|key| key.next.is_none()));
        assert_eq!(report.epoch, 1);
        let good = statement(&report);
        let done = machine.begin(&good, &[1, 3]).unwrap();
        let before = if report.size == 0 { 2 } else { report.size };
        assert_eq!(done.entries, before + 1);
        let image = machine.disk.image();
        assert!(!image.contains_key("seal-report") && !image.contains_key("checkpoint"));
        let running = machine.open().unwrap();
        assert_eq!(running.journal.state().epoch(), 2);
        let past = [
            ReasonCode::IntentEpoch,
            ReasonCode::DrainOnly,
            ReasonCode::Limit,
        ];
        let old = codes(&running, 50, 1);
        assert!(
            old.is_superset(&past[..1].iter().copied().collect()),
            "{old:?}"
        );
        if report.size > 0 {
            assert_eq!(old, past.into());
            assert_eq!(codes(&running, 51, 2), past[1..].iter().copied().collect());
        }
        running.crash();
        assert_eq!(epochs(&machine.disk), 1);
        assert_eq!(machine.refuses(&good, &[1, 3]), "unseal-used");
    }
}

#[test]
fn no_other_statement_begins_anything() {
    let copies = copies();
    for (_, image) in beginnings(&copies) {
        let machine = copies.with(&image);
        let report = reported(&machine);
        let image = machine.disk.image();
        let good = statement(&report);
        type Change = fn(&mut NewEpoch);
        let cases: [(&str, Change); 10] = [
            ("unseal-log", |s| s.log.0 = [9; 32]),
            ("unseal-finding", |s| {
                s.found = "anchor-missing".parse().unwrap()
            }),
            ("unseal-head", |s| s.head.size += 1),
            ("unseal-bundle", |s| s.sequence += 1),
            ("unseal-nonce", |s| s.nonce.0 = [9; 32]),
            ("unseal-epoch", |s| s.epoch = 1),
            ("unseal-begins", |s| {
                s.begins = Time::from_millis(START + 121_000)
            }),
            ("unseal-next", |s| s.next.clear()),
            ("unseal-drain", |s| s.drains.clear()),
            ("unseal-expiry", |s| s.expires = Time::from_millis(START)),
        ];
        for (refused, change) in cases {
            let mut other = good.clone();
            change(&mut other);
            assert_eq!(machine.refuses(&other, &[1, 2]), refused);
        }
        for seeds in [&[][..], &[1], &[2, 2], &[1, 7]] {
            assert_eq!(machine.refuses(&good, seeds), "unseal-quorum", "{seeds:?}");
        }
        assert!(machine.disk.image() == image);
        // One that answers no report, or an earlier one.
        let mut unreported = image.clone();
        unreported.remove("seal-report");
        let machine = copies.with(&unreported);
        assert_eq!(machine.refuses(&good, &[1, 2]), "unseal-no-report");
        let again = reported(&machine);
        assert_ne!(again.nonce, report.nonce);
        let name = machine.refuses(&good, &[1, 2]);
        assert!(["unseal-nonce", "unseal-log"].contains(&name), "{name}");
    }
}

/// Killed, or the power lost, at every call: sealed as it was, or done; never open without the epoch.
#[test]
fn power_lost_at_every_call_leaves_it_sealed_or_begun() {
    let copies = copies();
    let (mut sealed, mut done) = (0, 0);
    for (_, found) in beginnings(&copies) {
        let machine = copies.with(&found);
        let good = statement(&reported(&machine));
        let image = machine.disk.image();
        for calls in 0.. {
            let machine = copies.with(&image);
            machine.disk.lose_power_after(calls);
            let outcome = machine.begin(&good, &[1, 2]);
            for seed in 0..2_u64 {
                let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) + calls as u64 + 1;
                let chance = move || {
                    state ^= state << 13;
                    state ^= state >> 7;
                    state ^= state << 17;
                    state
                };
                let after = machine.disk.after_power_loss(chance);
                match carried_to_its_end(&copies.with(&after), &good) {
                    End::Sealed => sealed += 1,
                    End::Begun => done += 1,
                }
            }
            if outcome.is_ok() {
                break;
            }
        }
    }
    assert!(sealed > 20 && done > 5, "{sealed} sealed, {done} begun");
}

enum End {
    Sealed,
    Begun,
}

fn carried_to_its_end(after: &Machine, good: &NewEpoch) -> End {
    let copy = after.twin();
    let end = match copy.open() {
        Ok(running) => {
            assert_eq!(running.journal.state().epoch(), 2, "open without the epoch");
            running.crash();
            assert_eq!(after.refuses(good, &[1, 2]), "unseal-used");
            End::Begun
        }
        Err(OpenJournalError::Log(_) | OpenJournalError::NeverBegun) => {
            after.begin(good, &[1, 2]).unwrap();
            End::Sealed
        }
        Err(other) => panic!("{other:?}"),
    };
    after.open().unwrap().crash();
    assert_eq!(epochs(&after.disk), 1);
    end
}
