//! The fold: what is impossible is refused, and nothing but entries counts.

use std::{collections::BTreeSet, sync::Arc};

use proptest::prelude::*;
use strongroom_policy::{
    AttemptId, BundleHash, Digest, Entry, KeyAlgorithm, KeyPurpose, KeyRegistration,
    NumberedDigest, Policy, Record, RequestStatus, SignatureRecord, Signed, State, StateError,
};
use tx::{Interval, Time};

use crate::{
    fixture::{
        Ask, BTC, DAY, ETH, START, Signer, amount, btc, limit, name, own, policy, registration,
    },
    hostile::{Hostile, Step, runner, runs},
    rules::Outcome,
};

fn refused(signer: &Signer, entry: Entry) -> StateError {
    let mut state = signer.state.clone();
    let record = Record {
        v: 1,
        time: signer.now,
        entry,
    };
    let error = state.apply(state.entries(), &record).unwrap_err();
    assert_eq!(state.entries(), signer.state.entries(), "nothing changed");
    error
}

fn charged() -> (Signer, AttemptId) {
    let mut signer = Signer::new(policy());
    let id = signer.charged(&Ask::utxo("r", [0], 1_000).pay("i", 5, 1));
    (signer, id)
}

fn signed(attempt: AttemptId, call: u64) -> Entry {
    let signature = SignatureRecord {
        call,
        r: Digest([1; 32]),
        s: Digest([2; 32]),
        recovery_id: Some(0),
    };
    Entry::Signed(Box::new(Signed {
        attempt,
        signatures: vec![signature],
        txid: "t".into(),
        raw: strongroom_policy::Blob::Inline("00".into()),
    }))
}

fn calls(first: u64) -> Vec<NumberedDigest> {
    vec![NumberedDigest {
        call: first,
        key: name("k1"),
        algorithm: KeyAlgorithm::Secp256k1,
        digest: Digest([7; 32]),
    }]
}

#[test]
fn the_log_is_numbered_timed_and_begins_once() {
    let (signer, _) = charged();
    let stopped = || Entry::Stopped {
        reason: "test".into(),
    };
    let mut state = signer.state.clone();
    let record = |v, time| Record {
        v,
        time,
        entry: stopped(),
    };
    let (next, now) = (state.entries(), signer.now);
    let backwards = Interval {
        lo: now.lo.before_millis(1),
        hi: now.hi,
    };
    let inside_out = Interval {
        lo: now.lo,
        hi: now.lo.before_millis(1),
    };
    let refusals = [
        (next, record(2, now), StateError::Version { found: 2 }),
        (
            next + 1,
            record(1, now),
            StateError::Index {
                expected: next,
                found: next + 1,
            },
        ),
        (
            next - 1,
            record(1, now),
            StateError::Index {
                expected: next,
                found: next - 1,
            },
        ),
        (next, record(1, backwards), StateError::Time),
        (next, record(1, inside_out), StateError::Time),
    ];
    for (index, record, error) in refusals {
        assert_eq!(state.apply(index, &record), Err(error));
    }
    assert_eq!(
        refused(
            &signer,
            Entry::Genesis {
                fleet: name("main")
            }
        ),
        StateError::Genesis
    );
    assert_eq!(
        State::new().apply(0, &record(1, now)),
        Err(StateError::Genesis)
    );
    assert_eq!(state.apply(next, &record(1, now)), Ok(()));
}

#[test]
fn a_self_test_authorises_keys_of_tests_alone() {
    let (mut signer, _) = charged();
    let next = signer.state.next_call();
    let of = |key: &str, algorithm| {
        let calls = calls(next).into_iter().map(|call| NumberedDigest {
            key: key.parse().unwrap(),
            algorithm,
            ..call
        });
        Entry::SelfTest {
            calls: calls.collect(),
        }
    };
    let refusal = |key: &str| StateError::SelfTestKey {
        key: key.parse().unwrap(),
    };
    let secp256k1 = KeyAlgorithm::Secp256k1;
    // A key that spends, and one that is not known.
    let spends = calls(next)[0].key.to_string();
    assert_eq!(refused(&signer, of(&spends, secp256k1)), refusal(&spends));
    assert_eq!(refused(&signer, of("test-1", secp256k1)), refusal("test-1"));
    signer.push(Entry::KeyRegistered(KeyRegistration {
        name: "test-1".parse().unwrap(),
        purpose: KeyPurpose::Test,
        algorithm: secp256k1,
        public: "02".repeat(33),
        device: "1".into(),
        assurance: "software".into(),
    }));
    let ed25519 = KeyAlgorithm::Ed25519;
    assert_eq!(refused(&signer, of("test-1", ed25519)), refusal("test-1"));
    signer.push(of("test-1", secp256k1));
    assert_eq!(signer.state.next_call(), next + 1);
}

#[test]
fn call_numbers_are_used_once() {
    let (signer, id) = charged();
    let next = signer.state.next_call();
    let again = |call| Entry::Call {
        attempt: id,
        calls: calls(call),
    };
    assert_eq!(
        refused(&signer, again(next - 1)),
        StateError::Call { call: next - 1 }
    );
    let twice = [calls(next), calls(next)].concat();
    let test = Entry::SelfTest { calls: twice };
    assert_eq!(refused(&signer, test), StateError::Call { call: next });
    assert_eq!(
        refused(&signer, again(u64::MAX)),
        StateError::Call { call: u64::MAX }
    );
    // A signature by a call that was never made.
    assert_eq!(
        refused(&signer, signed(id, next)),
        StateError::Call { call: next }
    );
    let mut signer = signer;
    signer.push(again(next));
    assert_eq!(signer.state.next_call(), next + 1);
}

#[test]
fn attempts_are_known_and_signed_once() {
    let (mut signer, id) = charged();
    let unknown = AttemptId(999);
    for entry in [
        signed(unknown, 0),
        Entry::Failed {
            attempt: unknown,
            reason: "x".into(),
        },
        Entry::Call {
            attempt: unknown,
            calls: calls(9),
        },
    ] {
        assert_eq!(
            refused(&signer, entry),
            StateError::UnknownAttempt { attempt: unknown }
        );
    }
    signer.push(Entry::Failed {
        attempt: id,
        reason: "no answer".into(),
    });
    signer.push(signed(id, 0));
    for entry in [
        signed(id, 0),
        Entry::Failed {
            attempt: id,
            reason: "x".into(),
        },
        Entry::Call {
            attempt: id,
            calls: calls(9),
        },
    ] {
        assert_eq!(
            refused(&signer, entry),
            StateError::AlreadySigned { attempt: id }
        );
    }
}

#[test]
fn an_attempt_is_charged_where_it_belongs() {
    let (mut signer, id) = charged();
    let mut other = policy();
    (other.sequence, other.hash) = (2, BundleHash([2; 32]));
    let ask = Ask::utxo("s", [0], 2_000).pay("j", 5, 1).replaces([id]);
    let attempt = signer.permit(&ask).unwrap().into_attempt();
    let refuse = |change: &dyn Fn(&mut strongroom_policy::Attempt)| {
        let mut attempt = attempt.clone();
        change(&mut attempt);
        refused(&signer, Entry::Attempt(Box::new(attempt)))
    };
    assert_eq!(refuse(&|a| a.set = None), StateError::Set);
    assert_eq!(refuse(&|a| a.set = Some(AttemptId(3))), StateError::Set);
    assert_eq!(
        refuse(&|a| a.policy = other.hash),
        StateError::Policy { hash: other.hash }
    );
    assert!(matches!(
        refuse(&|a| a.request = "r".parse().unwrap()),
        StateError::Request { .. }
    ));
    assert!(matches!(
        refuse(&|a| a.resumes = Some(id)),
        StateError::Request { .. }
    ));
    let reused = |a: &mut strongroom_policy::Attempt| {
        a.intents[0].intent.id.id = "i".parse().unwrap();
        a.intents[0].intent.amount = amount(6);
    };
    assert!(matches!(refuse(&reused), StateError::Intent { .. }));
    let twice = |a: &mut strongroom_policy::Attempt| a.intents.push(a.intents[0].clone());
    assert!(matches!(refuse(&twice), StateError::Intent { .. }));
    signer.push(Entry::Attempt(Box::new(attempt.clone())));
    let third = Ask::utxo("t", [9], 2_000).pay("k", 5, 1).lane_epoch(1);
    signer.charged(&third);
    let mut late = signer
        .permit(&Ask::utxo("u", [8], 1).pay("l", 5, 1).lane_epoch(1))
        .unwrap()
        .into_attempt();
    late.lane_epoch = 0;
    assert!(matches!(
        refused(&signer, Entry::Attempt(Box::new(late))),
        StateError::Lane { .. }
    ));
}

/// A nonce that comes up under ECDSA and under BIP-340 gives the secret of both away.
#[test]
fn no_two_keys_have_one_secret() {
    let (mut signer, _) = charged();
    let known = signer.state.registration(&name("k1")).unwrap().clone();
    let (sign, x) = known.public.split_at(2);
    let of = |public: &str, algorithm| KeyRegistration {
        algorithm,
        ..registration("k9", public)
    };
    let negative = if sign == "02" { "03" } else { "02" };
    for (public, algorithm) in [
        (x.to_owned(), KeyAlgorithm::Bip340),
        (x.to_uppercase(), KeyAlgorithm::Bip340),
        (format!("{negative}{x}"), KeyAlgorithm::Secp256k1),
    ] {
        let key = name("k9");
        assert_eq!(
            refused(&signer, Entry::KeyRegistered(of(&public, algorithm))),
            StateError::KeyDiffers { key },
            "{public}"
        );
    }
    // The form of a key is that of its algorithm.
    let other = "dff1d77f2a671c5f36183726db2341be58feae1da2deced843240f7b502ba659";
    for (public, algorithm) in [
        (other.to_owned(), KeyAlgorithm::Secp256k1),
        (format!("02{other}"), KeyAlgorithm::Bip340),
        ("00".repeat(32), KeyAlgorithm::Bip340),
    ] {
        let key = name("k9");
        assert_eq!(
            refused(&signer, Entry::KeyRegistered(of(&public, algorithm))),
            StateError::KeyForm { key },
            "{public}"
        );
    }
    signer.push(Entry::KeyRegistered(of(other, KeyAlgorithm::Bip340)));
    let ecdsa = KeyRegistration {
        name: name("k10"),
        ..of(&format!("03{other}"), KeyAlgorithm::Secp256k1)
    };
    let key = name("k10");
    assert_eq!(
        refused(&signer, Entry::KeyRegistered(ecdsa)),
        StateError::KeyDiffers { key }
    );
}

#[test]
fn a_key_is_registered_once_and_for_ever() {
    let (mut signer, _) = charged();
    let same = signer.state.registration(&name("k1")).unwrap().clone();
    signer.push(Entry::KeyRegistered(same.clone()));
    let differs = |key: &str| StateError::KeyDiffers { key: name(key) };
    let of_another = registration(
        "k1",
        &signer.state.registration(&name("k2")).unwrap().public,
    );
    assert_eq!(
        refused(&signer, Entry::KeyRegistered(of_another)),
        differs("k1")
    );
    let renamed = registration("k9", &same.public);
    assert_eq!(
        refused(&signer, Entry::KeyRegistered(renamed)),
        differs("k9")
    );
    let mut purpose = same;
    purpose.purpose = KeyPurpose::Checkpoint;
    assert_eq!(
        refused(&signer, Entry::KeyRegistered(purpose)),
        differs("k1")
    );
    let no_point = registration("k9", "00");
    let form = StateError::KeyForm { key: name("k9") };
    assert_eq!(refused(&signer, Entry::KeyRegistered(no_point)), form);
}

#[test]
fn only_keys_that_an_account_names_are_ours() {
    let mut waiting = policy();
    let account = waiting.accounts.get_mut(&name("hot")).unwrap();
    account.keys.extend([name("late"), name("k5")]);
    let signer = Signer::new(policy());
    assert_eq!(
        signer.state.registry().own(&own("k5", BTC)),
        None,
        "registered, in no account"
    );
    let mut signer = Signer::new(waiting);
    assert!(signer.state.registry().own(&own("k5", ETH)).is_some());
    let late = "03fff97bd5755eeea420453a14355235d382f6472f8568a18b2f057a1460297556";
    assert!(signer.state.registry().key_by_name(&name("late")).is_none());
    signer.push(Entry::KeyRegistered(registration("late", late)));
    assert!(signer.state.registry().key_by_name(&name("late")).is_some());
}

#[test]
fn a_policy_governs_once_its_entry_is_applied_and_never_goes_back() {
    let mut signer = Signer::new(policy());
    let mut next = policy();
    (next.sequence, next.hash) = (5, BundleHash([5; 32]));
    let early = signer.state.activate(Arc::new(next.clone()));
    assert_eq!(early, Err(StateError::Policy { hash: next.hash }));
    signer.activate(next.clone());
    let entry = |hash, sequence| Entry::PolicyActivated {
        hash,
        sequence,
        signed_by: BTreeSet::new(),
    };
    for (hash, sequence) in [(BundleHash([1; 32]), 1), (BundleHash([9; 32]), 5)] {
        let refused = refused(&signer, entry(hash, sequence));
        assert_eq!(
            refused,
            StateError::PolicySequence {
                present: 5,
                found: sequence
            }
        );
    }
    let mut twice = next.clone();
    twice
        .accounts
        .get_mut(&name("hot2"))
        .unwrap()
        .keys
        .insert(name("k1"));
    let check = signer.state.check_activation(&Arc::new(twice));
    assert!(matches!(check, Err(StateError::Registry(_))));
    next.limits = vec![limit("long", btc(), 1, 91 * DAY)];
    let check = signer.state.check_activation(&Arc::new(next));
    assert_eq!(
        check,
        Err(StateError::Window {
            limit: name("long")
        })
    );
}

#[test]
fn a_request_is_finished_within_a_minute_and_charged_again_later() {
    let limits = vec![limit("daily", btc(), 9, DAY)];
    let mut signer = Signer::new(Policy { limits, ..policy() });
    let ask = Ask::utxo("r", [0], 1_000).pay("i", 5, 1);
    let id = signer.charged(&ask);
    let (client, request) = (name("walletd"), "r".parse().unwrap());
    let state = |signer: &Signer| signer.state.request(&client, &request).unwrap().unwrap();
    assert_eq!(state(&signer).status, RequestStatus::Committed);
    signer.pass(60_000);
    assert!(state(&signer).finishable(signer.now));
    signer.pass(1);
    assert!(!state(&signer).finishable(signer.now));
    signer.push(Entry::Failed {
        attempt: id,
        reason: "no answer".into(),
    });
    // Charged now, in the same set: 5 of 9 and not 10.
    let (again, attempt) = signer.charge(&ask).unwrap();
    assert_eq!((attempt.resumes, attempt.set), (Some(id), Some(id)));
    assert_eq!(attempt.calls[0].call, 1, "another call, of the same digest");
    assert_eq!(signer.state.room(signer.now).unwrap()[0].used, amount(5));
    assert_eq!(state(&signer).attempt, again);
    // A third time, and then it is signed.
    signer.pass(DAY - 1);
    assert_eq!(
        signer.state.room(signer.now).unwrap()[0].used,
        amount(5),
        "the later charge counts"
    );
    let (third, attempt) = signer.charge(&ask).unwrap();
    assert_eq!((attempt.resumes, attempt.set), (Some(again), Some(id)));
    let index = signer.push(signed(third, 2));
    assert_eq!(state(&signer).status, RequestStatus::Signed { index });
    assert!(!state(&signer).finishable(signer.now));
    let codes = signer.codes(&ask);
    assert!(codes.contains(&strongroom_policy::ReasonCode::RequestReused));
}

/// An attempt that was replaced in the meantime is not taken up behind the replacement's back.
#[test]
fn what_was_replaced_is_not_taken_up_again() {
    let mut signer = Signer::new(policy());
    let ask = Ask::utxo("r", [0], 1_000).pay("i", 5, 1);
    let id = signer.charged(&ask);
    signer.charged(&Ask::utxo("s", [0], 2_000).pay("i", 5, 1).replaces([id]));
    signer.pass(61_000);
    let expected = [
        strongroom_policy::ReasonCode::UndeclaredConflict,
        strongroom_policy::ReasonCode::ReplacementFee,
    ];
    assert_eq!(signer.codes(&ask), expected.into());
}

/// What people carried over a limit with their approval does not count in it, nor in another with
/// the same need; in the others it does.
#[test]
fn what_was_carried_does_not_count_where_it_was() {
    let over = crate::fixture::need(1, &["alice"]);
    let mut attended = limit("attended", btc(), 9, DAY);
    attended.says.over = Some(over.clone());
    let limits = vec![attended, limit("hard", btc(), 100, DAY)];
    let mut signer = Signer::new(Policy { limits, ..policy() });
    let ask = Ask::utxo("r", [0], 1_000).pay("i", 5, 1);
    let mut attempt = signer.permit(&ask).unwrap().into_attempt();
    attempt.carried = [over.fingerprint()].into();
    signer.push(Entry::Attempt(Box::new(attempt)));
    let used = |signer: &Signer| {
        signer
            .state
            .room(signer.now)
            .unwrap()
            .iter()
            .map(|r| r.used)
            .collect::<Vec<_>>()
    };
    assert_eq!(used(&signer), [amount(0), amount(5)]);
    // Renaming the limit forgets nothing, and counts nothing twice.
    let mut renamed = (**signer.state.policy().unwrap()).clone();
    renamed.limits[0].name = name("a-new-name");
    signer.activate(renamed);
    assert_eq!(used(&signer), [amount(0), amount(5)]);
}

/// A start that folds the whole log answers as the state that lived through it.
#[test]
fn a_restart_folds_to_the_same_answers() {
    let limits = vec![
        limit("btc", btc(), 10, 100_000),
        limit("all", btc(), 40, DAY),
    ];
    let signer = Signer::new(Policy { limits, ..policy() });
    let run = |steps: Vec<Step>| {
        let mut hostile = Hostile::new(&signer);
        let (last, before) = steps.split_last().unwrap();
        for step in before {
            let ask = hostile.take(step);
            hostile.charge(&ask);
        }
        let ask = hostile.take(last);
        let lived = &hostile.signer;
        let mut folded = State::new();
        for (index, record) in (0..).zip(&lived.records) {
            let text = serde_json::to_string(record).unwrap();
            folded
                .apply(index, &serde_json::from_str(&text).unwrap())
                .unwrap();
        }
        folded
            .activate(Arc::clone(lived.state.policy().unwrap()))
            .unwrap();
        prop_assert_eq!(
            folded.room(lived.now).unwrap(),
            lived.state.room(lived.now).unwrap()
        );
        let folded = Signer {
            state: folded,
            ..lived.clone()
        };
        prop_assert_eq!(
            Outcome::of(folded.evaluate(&ask)),
            Outcome::of(lived.evaluate(&ask))
        );
        Ok(())
    };
    runner(300).run(&runs(10), run).unwrap();
}

#[test]
fn before_the_first_entry_there_is_nothing() {
    let state = State::new();
    assert_eq!((state.entries(), state.next_call()), (0, 0));
    assert!(state.policy().is_none() && state.is_frozen(AttemptId(0)).unwrap());
    let now = Interval {
        lo: Time::from_millis(START),
        hi: Time::from_millis(START),
    };
    assert!(state.room(now).unwrap().is_empty());
}
