//! Attesters say what became of attempts, and a re-issue of what is dead is one of its own.

use std::collections::BTreeSet;

use proptest::{collection::vec, prelude::*};
use strongroom_policy::{
    AttemptId, AttestationKind, BundleHash, Digest, Entry, Policy, Record, RequestHash,
    RequestStatus, Require, Row, Selector, SignatureRecord, Signed, State, StateError, Verdict,
    statement::{Attestation, Fate, Seen, StatementError, TransactionId},
};
use tx::EffectKind;

use crate::{
    finality::try_say,
    fixture::{Ask, SECOND, Signer, effects, name, need, statement},
    hostile::runner,
    prices::{attested, attester_seed, priced},
    windows::again,
};

/// Two of the three attesters say what is dead and final; what may be alive is re-issued by people alone.
pub fn watched() -> Policy {
    let mut policy = priced();
    policy.limits.clear();
    let kinds = [AttestationKind::Final, AttestationKind::Dead];
    for attester in policy.attestations.attesters.values_mut() {
        attester.says = kinds.into();
    }
    policy.attestations.needed = kinds.map(|kind| (kind, 2)).into();
    let alive = Selector {
        dead: Some(false),
        ..effects(&[EffectKind::Reissue])
    };
    let need = need(1, &["alice"]);
    policy.requires = vec![statement("alive", alive, Require { need })];
    policy
}

fn transaction(attempt: AttemptId) -> TransactionId {
    format!("{:064x}", attempt.0).parse().unwrap()
}

/// What an attester says of an attempt of the fixture, whose requests have the hash of zeros.
pub fn fate(signer: &Signer, who: &str, attempt: AttemptId, fate: Fate) -> Attestation {
    Attestation {
        fleet: name("main"),
        number: signer.state.entries(),
        attester: name(who),
        at: signer.now.lo,
        seen: Seen::Fate {
            attempt,
            request: RequestHash([0; 32]),
            transaction: transaction(attempt),
            fate,
        },
    }
}

pub fn say(signer: &mut Signer, who: &str, attempt: AttemptId, what: Fate) {
    let statement = fate(signer, who, attempt, what);
    try_say(signer, &statement).unwrap();
}

fn refused(signer: &Signer, statement: &Attestation) -> StateError {
    let mut signer = signer.clone();
    let before = signer.state.hot();
    let error = try_say(&mut signer, statement).unwrap_err();
    assert_eq!(signer.state.hot(), before);
    error
}

/// Charges it and records signatures.
pub fn signed(signer: &mut Signer, ask: &Ask) -> AttemptId {
    let (id, attempt) = signer.charge(ask).unwrap();
    let signature = |call: u64| {
        let mut r = [1; 32];
        r[..8].copy_from_slice(&call.to_be_bytes());
        SignatureRecord {
            call,
            r: Digest(r),
            s: Digest([2; 32]),
            recovery_id: Some(0),
        }
    };
    let calls = attempt.calls.iter();
    signer.push(Entry::Signed(Box::new(Signed {
        attempt: id,
        signatures: calls.map(|call| signature(call.call)).collect(),
        txid: transaction(id).to_string(),
        raw: strongroom_policy::Blob::Inline("00".into()),
    })));
    id
}

/// A transaction that spends this coin and pays the one intent.
pub fn spend(id: &str, coin: u32) -> Ask {
    Ask::utxo(id, [coin], 1_000).pay("i", 5, 1)
}

/// The attempts that a re-issue finds dead; `None` where it waits for people.
fn reissued(signer: &Signer, ask: &Ask) -> Option<BTreeSet<AttemptId>> {
    match signer.evaluate(ask) {
        Verdict::Permit(permit) => {
            let facts = permit.attempt().facts.iter();
            let mut of = facts.filter(|fact| fact.effect.kind == EffectKind::Reissue);
            Some(of.next().unwrap().dead.clone())
        }
        Verdict::Pending(needs) => {
            assert_eq!(needs[0].statement, name("alive"));
            None
        }
        Verdict::Refuse(refusal) => panic!("{refusal:?}"),
    }
}

#[test]
fn a_reissue_waits_for_people_until_enough_attesters_say_that_all_before_is_dead() {
    let mut signer = Signer::new(watched());
    let first = signed(&mut signer, &spend("a", 0));
    let elsewhere = spend("b", 1);
    assert_eq!(reissued(&signer, &elsewhere), None);
    say(&mut signer, "w1", first, Fate::Dead);
    assert_eq!(reissued(&signer, &elsewhere), None);
    // The same attester is one, whatever number it takes, and adds nothing to the log.
    let same = fate(&signer, "w1", first, Fate::Dead);
    assert_eq!(refused(&signer, &same), StateError::SaidAlready);
    say(&mut signer, "w2", first, Fate::Dead);
    assert_eq!(reissued(&signer, &elsewhere), Some([first].into()));
    signer.state = again(&signer.state, &[watched()]);
    assert_eq!(reissued(&signer, &elsewhere), Some([first].into()));
    // It is charged all the same, and after it the second issue has to be dead as well.
    let second = signed(&mut signer, &elsewhere);
    let third = spend("c", 2);
    assert_eq!(reissued(&signer, &third), None);
    for who in ["w2", "w3"] {
        say(&mut signer, who, second, Fate::Dead);
    }
    assert_eq!(reissued(&signer, &third), Some([first, second].into()));
    // One who says that it is final keeps it from being dead.
    say(&mut signer, "w1", first, Fate::Final);
    assert_eq!(reissued(&signer, &third), None);
    assert_eq!(signer.state.is_final(first), Ok(false));
    say(&mut signer, "w2", first, Fate::Final);
    assert_eq!(signer.state.is_final(first), Ok(true));
}

#[test]
fn what_is_in_one_set_is_dead_one_by_one() {
    let mut signer = Signer::new(watched());
    let first = signed(&mut signer, &spend("a", 0));
    let replacement = Ask::utxo("b", [0], 9_000).pay("i", 5, 1).replaces([first]);
    let replacement = signed(&mut signer, &replacement);
    for who in ["w1", "w2"] {
        say(&mut signer, who, first, Fate::Dead);
    }
    assert_eq!(reissued(&signer, &spend("c", 1)), None);
    for who in ["w1", "w3"] {
        say(&mut signer, who, replacement, Fate::Dead);
    }
    let both = [first, replacement].into();
    assert_eq!(reissued(&signer, &spend("c", 1)), Some(both));
}

/// What was never signed is signed as a further attempt or never: that further one is a re-issue as well.
#[test]
fn what_was_never_signed_is_dead_once_it_can_no_longer_be_finished() {
    let mut signer = Signer::new(watched());
    let ask = spend("a", 0);
    let first = signer.charged(&ask);
    let elsewhere = spend("b", 1);
    signer.pass(60 * SECOND);
    assert_eq!(reissued(&signer, &elsewhere), None);
    let unsigned = fate(&signer, "w1", first, Fate::Dead);
    let attempt = first;
    assert_eq!(
        refused(&signer, &unsigned),
        StateError::NotSigned { attempt }
    );
    signer.pass(1);
    // Taken up again before, it is no re-issue.
    let taken_up = signer.permit(&ask).unwrap();
    let mut facts = taken_up.attempt().facts.iter();
    assert!(facts.all(|fact| fact.effect.kind != EffectKind::Reissue));
    let second = signed(&mut signer, &elsewhere);
    assert_eq!(reissued(&signer, &ask), None);
    for who in ["w1", "w3"] {
        say(&mut signer, who, second, Fate::Dead);
    }
    assert_eq!(reissued(&signer, &ask), Some([first, second].into()));
    // Where nobody is asked, nothing is dead.
    let mut alone = watched();
    alone.attestations = Default::default();
    let mut signer = Signer::new(alone);
    signer.charged(&ask);
    signer.pass(100 * SECOND);
    assert_eq!(reissued(&signer, &elsewhere), None);
}

#[test]
fn a_made_up_death_is_not_folded() {
    let mut signer = Signer::new(watched());
    let first = signed(&mut signer, &spend("a", 0));
    let others = signed(&mut signer, &Ask::utxo("o", [7], 1_000).pay("o", 5, 1));
    for who in ["w1", "w2"] {
        say(&mut signer, who, others, Fate::Dead);
    }
    let mut dead = signer.clone();
    for who in ["w1", "w2"] {
        say(&mut dead, who, first, Fate::Dead);
    }
    let attempt = dead.permit(&spend("b", 1)).unwrap().into_attempt();
    let error = |signer: &Signer, dead: &[AttemptId]| {
        let mut attempt = attempt.clone();
        attempt.calls.clear();
        let facts = attempt.facts.iter_mut();
        let mut of = facts.filter(|fact| fact.effect.kind == EffectKind::Reissue);
        of.next().unwrap().dead = dead.iter().copied().collect();
        let record = Record {
            v: 1,
            time: signer.now,
            entry: Entry::Attempt(Box::new(attempt)),
        };
        let mut state = signer.state.clone();
        state.apply(state.entries(), &record).err()
    };
    assert_eq!(error(&signer, &[first]), Some(StateError::NotDead));
    assert_eq!(error(&signer, &[others]), Some(StateError::NotDead));
    assert_eq!(error(&dead, &[first, others]), Some(StateError::NotDead));
    assert_eq!(error(&dead, &[first]), None);
}

#[test]
fn what_an_attester_may_not_say_counts_for_nothing() {
    let mut signer = Signer::new(watched());
    let attempt = signed(&mut signer, &spend("a", 0));
    let good = fate(&signer, "w1", attempt, Fate::Dead);
    let unknown = AttemptId(attempt.0 + 1);
    let with = |edit: &dyn Fn(&mut Attestation)| {
        let mut statement = good.clone();
        edit(&mut statement);
        refused(&signer, &statement)
    };
    let of = |attempt: AttemptId, request: [u8; 32]| Seen::Fate {
        attempt,
        request: RequestHash(request),
        transaction: transaction(attempt),
        fate: Fate::Dead,
    };
    // An old statement in a log that was begun anew: the index is another request's.
    assert_eq!(
        with(&|one| one.seen = of(attempt, [1; 32])),
        StateError::OtherRequest { attempt }
    );
    assert_eq!(
        with(&|one| one.seen = of(unknown, [0; 32])),
        StateError::UnknownAttempt { attempt: unknown }
    );
    assert_eq!(
        with(&|one| one.fleet = name("other")),
        StateError::Unseal(StatementError::Fleet)
    );
    assert_eq!(
        with(&|one| one.at = signer.now.hi.after_millis(1)),
        StateError::NotSeenYet {
            at: signer.now.hi.after_millis(1)
        }
    );
    // Another one's key, and a text that was changed behind its signature.
    let mut said = attested(&good, attester_seed("w2"));
    let apply = |said| {
        let record = Record {
            v: 1,
            time: signer.now,
            entry: Entry::Attested(Box::new(said)),
        };
        let mut state = signer.state.clone();
        state.apply(state.entries(), &record).unwrap_err()
    };
    let by_nobody = StateError::Unseal(StatementError::Attester(name("w1")));
    assert_eq!(apply(said.clone()), by_nobody);
    let other = fate(&signer, "w1", attempt, Fate::Final);
    let signature = attested(&other, attester_seed("w1"));
    (said.key, said.signature) = (signature.key, signature.signature);
    assert_eq!(apply(said), by_nobody);
    // What is final is not dead to the same attester again; what was dead may be final after all.
    say(&mut signer, "w1", attempt, Fate::Dead);
    let replayed = refused(&signer, &good);
    assert_eq!(replayed, StateError::SaidAlready);
    say(&mut signer, "w1", attempt, Fate::Final);
    let back = fate(&signer, "w1", attempt, Fate::Dead);
    assert_eq!(refused(&signer, &back), StateError::IsFinal { attempt });
    let last = signer.state.fates(attempt).unwrap()[0].number;
    assert_eq!(refused(&signer, &good), StateError::NotNewer { last });
}

#[test]
fn a_number_beyond_its_time_is_not_taken_at_the_door() {
    let mut signer = Signer::new(watched());
    let attempt = signed(&mut signer, &spend("a", 0));
    let taken = |number: u64| {
        let statement = Attestation {
            number,
            ..fate(&signer, "w1", attempt, Fate::Dead)
        };
        let said = attested(&statement, attester_seed("w1"));
        signer.state.attesting(&said.statement, &said.signature)
    };
    let at = signer.now.lo;
    assert!(taken(at.millis()).is_ok());
    assert_eq!(
        taken(at.millis() + 1).unwrap_err(),
        StateError::NumberAhead { at }
    );
    assert_eq!(taken(u64::MAX).unwrap_err(), StateError::NumberAhead { at });
}

#[test]
fn a_key_that_leaves_the_bundle_takes_what_it_said_with_it() {
    let mut signer = Signer::new(watched());
    let first = signed(&mut signer, &spend("a", 0));
    for who in ["w1", "w2"] {
        say(&mut signer, who, first, Fate::Dead);
    }
    let elsewhere = spend("b", 1);
    assert!(reissued(&signer, &elsewhere).is_some());
    let mut other = watched();
    (other.sequence, other.hash) = (2, BundleHash([2; 32]));
    let attesters = &mut other.attestations.attesters;
    let key = attesters[&name("w3")].keys.clone();
    attesters.get_mut(&name("w2")).unwrap().keys = key;
    attesters.remove(&name("w3"));
    signer.activate(other);
    assert_eq!(reissued(&signer, &elsewhere), None);
    // The name says it again with its new key.
    let statement = fate(&signer, "w2", first, Fate::Dead);
    let said = attested(&statement, attester_seed("w3"));
    signer.push(Entry::Attested(Box::new(said)));
    assert!(reissued(&signer, &elsewhere).is_some());
}

/// All rows of a state, in one order.
fn rows(state: &State) -> BTreeSet<(Vec<u8>, Vec<u8>)> {
    let row = |row: Row| {
        let key = row.key();
        ([key.kind().as_bytes(), &key.name()].concat(), row.value())
    };
    state.rows().map(row).collect()
}

/// With two of three honest: what the liar says of what it likes makes nothing dead that an honest one does not
/// call dead. A restart and a fold of all records say the same as the state.
#[test]
fn one_that_lies_kills_nothing() {
    let step = (1..=3_u8, 0..4_usize, any::<bool>());
    let run = |steps: Vec<(u8, usize, bool)>| {
        let mut signer = Signer::new(watched());
        let mut attempts = Vec::new();
        for coin in 0..4 {
            let id = format!("a{coin}");
            let ask = Ask::utxo(&id, [coin], 1_000).pay(&id, 5, 1);
            attempts.push(signed(&mut signer, &ask));
        }
        // The even ones are dead in truth.
        let mut honest = BTreeSet::new();
        for (who, which, lies_dead) in steps {
            let attempt = attempts[which];
            let truth = match which % 2 {
                0 => Fate::Dead,
                _ => Fate::Final,
            };
            let says = match (who, lies_dead) {
                (1, true) => Fate::Dead,
                (1, false) => Fate::Final,
                _ => truth,
            };
            let statement = fate(&signer, &format!("w{who}"), attempt, says);
            let _taken_or_not = try_say(&mut signer, &statement);
            if who != 1 && truth == Fate::Dead {
                honest.insert(attempt);
            }
            for attempt in &attempts {
                let dead = signer.state.is_dead(*attempt, signer.now.lo).unwrap();
                prop_assert!(!dead || honest.contains(attempt));
            }
        }
        let restarted = again(&signer.state, &[watched()]);
        prop_assert_eq!(restarted.hot(), signer.state.hot());
        prop_assert_eq!(rows(&restarted), rows(&signer.state));
        let mut folded = State::new();
        for (index, record) in (0..).zip(&signer.records) {
            folded.apply(index, record).unwrap();
            if matches!(record.entry, Entry::PolicyActivated { .. }) {
                folded.activate(watched().into()).unwrap();
            }
        }
        prop_assert_eq!(rows(&folded), rows(&signer.state));
        Ok(())
    };
    runner(60).run(&vec(step, 1..24), run).unwrap();
}

proptest! {
    #[test]
    fn the_text_reads_as_it_is_written_and_no_other_does(
        number: u64,
        attempt: u64,
        request: [u8; 32],
        dead: bool,
        at: prop::sample::Index,
        byte: u8,
    ) {
        let signer = Signer::new(watched());
        let what = if dead { Fate::Dead } else { Fate::Final };
        let mut statement = fate(&signer, "w1", AttemptId(attempt), what);
        statement.number = number;
        if let Seen::Fate { request: of, .. } = &mut statement.seen {
            *of = RequestHash(request);
        }
        let text = statement.to_string();
        prop_assert_eq!(Attestation::parse(&text), Ok(statement.clone()));
        let mut bytes = text.into_bytes();
        let at = at.index(bytes.len());
        prop_assume!(bytes[at] != byte);
        bytes[at] = byte;
        if let Ok(text) = String::from_utf8(bytes)
            && let Ok(read) = Attestation::parse(&text)
        {
            prop_assert_ne!(&read, &statement);
            prop_assert_eq!(read.to_string(), text);
        }
    }
}

#[test]
fn an_attempt_that_is_signed_is_known_to_be() {
    let mut signer = Signer::new(watched());
    let attempt = signed(&mut signer, &spend("a", 0));
    let known = signer.state.attempt(attempt).unwrap().unwrap();
    assert!(matches!(known.status(), RequestStatus::Signed { .. }));
}
