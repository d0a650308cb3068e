//! Checkpoints and state roots in the fold: they cover exactly what stands before them, by a key of their own.

use strongroom_policy::{
    Checkpoint, Digest, Entry, KeyAlgorithm, KeyPurpose, KeyRegistration, Record, StateError,
    StateRoot,
};
use tx::{Interval, Time};

use crate::fixture::{Signer, name, policy, registration};

pub fn log_key() -> KeyRegistration {
    KeyRegistration {
        purpose: KeyPurpose::Checkpoint,
        algorithm: KeyAlgorithm::Ed25519,
        ..registration("log-1", &"ab".repeat(32))
    }
}

fn signer() -> Signer {
    let mut signer = Signer::new(policy());
    signer.push(Entry::KeyRegistered(log_key()));
    signer
}

/// The checkpoint that follows.
fn next(signer: &Signer) -> Checkpoint {
    Checkpoint {
        size: signer.state.entries(),
        root: Digest([7; 32]),
        key: name("log-1"),
        call: signer.state.next_call(),
    }
}

fn refusal(signer: &Signer, checkpoint: Checkpoint) -> StateError {
    let mut state = signer.state.clone();
    let record = Record {
        v: 1,
        time: signer.now,
        entry: Entry::Checkpoint(checkpoint),
    };
    let error = state.apply(state.entries(), &record).unwrap_err();
    assert_eq!(state.entries(), signer.state.entries(), "nothing changed");
    assert_eq!(state.next_call(), signer.state.next_call());
    assert_eq!(state.checkpoint(), signer.state.checkpoint());
    error
}

#[test]
fn a_checkpoint_has_one_form_for_ever() {
    let at = Time::from_millis(1_700_000_000_000);
    let record = Record {
        v: 1,
        time: Interval { lo: at, hi: at },
        entry: Entry::Checkpoint(Checkpoint {
            size: 12,
            root: Digest([0xab; 32]),
            key: name("log-1"),
            call: 4,
        }),
    };
    let text = serde_json::to_string(&record).unwrap();
    let root = "ab".repeat(32);
    let time = serde_json::to_string(&record.time).unwrap();
    assert_eq!(
        text,
        format!(
            r#"{{"v":1,"time":{time},"entry":{{"checkpoint":{{"size":12,"root":"{root}","key":"log-1","call":4}}}}}}"#
        )
    );
    assert_eq!(serde_json::from_str::<Record>(&text).unwrap(), record);
    let more = text.replace("\"call\":4", "\"call\":4,\"origin\":\"x\"");
    assert!(serde_json::from_str::<Record>(&more).is_err());
}

#[test]
fn a_checkpoint_covers_exactly_what_stands_before_it() {
    let signer = signer();
    let good = next(&signer);
    let expected = good.size;
    for found in [0, expected - 1, expected + 1, u64::MAX] {
        let sized = Checkpoint {
            size: found,
            ..good.clone()
        };
        let error = StateError::CheckpointSize { expected, found };
        assert_eq!(refusal(&signer, sized), error);
    }
}

#[test]
fn a_checkpoint_is_signed_by_a_registered_key_of_its_purpose() {
    let mut signer = signer();
    for (key, purpose, algorithm) in [
        ("spends", KeyPurpose::Spend, KeyAlgorithm::Ed25519),
        ("tests", KeyPurpose::Test, KeyAlgorithm::Ed25519),
        ("curve", KeyPurpose::Checkpoint, KeyAlgorithm::Secp256k1),
    ] {
        let public = hex::encode(key).repeat(4);
        signer.push(Entry::KeyRegistered(KeyRegistration {
            purpose,
            algorithm,
            ..registration(key, &public)
        }));
    }
    for key in ["spends", "tests", "curve", "k1", "absent"] {
        let checkpoint = Checkpoint {
            key: name(key),
            ..next(&signer)
        };
        let error = StateError::CheckpointKey { key: name(key) };
        assert_eq!(refusal(&signer, checkpoint), error);
    }
}

#[test]
fn a_checkpoint_takes_the_next_call_and_no_other() {
    let mut signer = signer();
    let good = next(&signer);
    for call in [good.call.wrapping_sub(1), good.call + 1, u64::MAX] {
        let numbered = Checkpoint {
            call,
            ..good.clone()
        };
        assert_eq!(refusal(&signer, numbered), StateError::Call { call });
    }
    signer.push(Entry::Checkpoint(good.clone()));
    assert_eq!(signer.state.next_call(), good.call + 1);
    let again = Checkpoint {
        call: good.call,
        ..next(&signer)
    };
    let error = StateError::Call { call: good.call };
    assert_eq!(refusal(&signer, again), error);
}

#[test]
fn checkpoints_alone_call_for_no_other() {
    let mut signer = signer();
    assert_eq!(signer.state.checkpoint(), None);
    let before = signer.state.entries();
    assert_eq!(signer.state.entries_to_cover(), before);
    for _ in 0..3 {
        let checkpoint = next(&signer);
        signer.push(Entry::Checkpoint(checkpoint.clone()));
        assert_eq!(signer.state.checkpoint(), Some(&checkpoint));
        assert_eq!(signer.state.entries_to_cover(), before);
    }
    signer.push(Entry::ClockJump { millis: 5 });
    assert_eq!(signer.state.entries_to_cover(), signer.state.entries());
}

#[test]
fn a_state_root_covers_more_than_the_one_before_it_and_no_more_than_there_is() {
    let mut signer = signer();
    let entries = signer.state.entries();
    let root = |v: u8, covers: u64| StateRoot {
        v,
        covers,
        hash: Digest([7; 32]),
    };
    let refused = |signer: &Signer, root: StateRoot| {
        let mut state = signer.state.clone();
        let record = Record {
            v: 1,
            time: signer.now,
            entry: Entry::StateRoot(root),
        };
        let error = state.apply(state.entries(), &record).unwrap_err();
        assert_eq!(state.rooted(), signer.state.rooted(), "nothing changed");
        error
    };
    let impossible = |covers: u64, before: u64, entries: u64| StateError::StateRoot {
        covers,
        before,
        entries,
    };
    assert_eq!(refused(&signer, root(2, 0)), impossible(0, 0, entries));
    let beyond = entries + 1;
    assert_eq!(
        refused(&signer, root(2, beyond)),
        impossible(beyond, 0, entries)
    );
    assert_eq!(
        refused(&signer, root(1, 1)),
        StateError::Version { found: 1 }
    );
    signer.push(Entry::StateRoot(root(2, entries)));
    assert_eq!(signer.state.rooted(), entries);
    assert_eq!(
        refused(&signer, root(2, entries)),
        impossible(entries, entries, entries + 1)
    );
}

#[test]
fn a_state_root_has_one_form_for_ever() {
    let entry = Entry::StateRoot(StateRoot {
        v: 2,
        covers: 65_536,
        hash: Digest([0xab; 32]),
    });
    let text = serde_json::to_string(&entry).unwrap();
    let hash = "ab".repeat(32);
    assert_eq!(
        text,
        format!(r#"{{"state-root":{{"v":2,"covers":65536,"hash":"{hash}"}}}}"#)
    );
    assert_eq!(serde_json::from_str::<Entry>(&text).unwrap(), entry);
}
