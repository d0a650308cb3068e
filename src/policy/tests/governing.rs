//! Which bundle governs at once, which one waits, and what one officer's veto does.

use std::{collections::BTreeSet, sync::Arc};

use strongroom_policy::{
    BundleHash, BundleQuorum, Digest, Entry, HotState, Policy, PolicyProposed, PolicyVetoed,
    Record, Resumed, State, StateError,
    statement::{self, StatementError, Veto},
};
use tx::{Interval, Time};

use crate::{
    fixture::{START, Signer, btc, limit, name},
    unseal::{governed, officer},
};

const DELAY: u64 = 3_600_000;

fn running() -> Policy {
    let mut policy = governed();
    policy.governance.delay_millis = DELAY;
    policy.limits = vec![limit("day", btc(), 20, DELAY)];
    policy
}

fn offered(cap: u64, sequence: u8) -> Policy {
    Policy {
        hash: BundleHash([sequence; 32]),
        sequence: sequence.into(),
        limits: vec![limit("a-day", btc(), cap, DELAY)],
        ..running()
    }
}

fn at(millis: u64) -> Interval {
    let now = Time::from_millis(START + millis);
    Interval { lo: now, hi: now }
}

fn apply(state: &mut State, millis: u64, entry: Entry) -> Result<(), StateError> {
    let record = Record {
        v: 1,
        time: at(millis),
        entry,
    };
    state.apply(state.entries(), &record)
}

fn proposed(policy: &Policy, not_before: u64) -> Entry {
    Entry::PolicyProposed(PolicyProposed {
        hash: policy.hash,
        sequence: policy.sequence,
        signed_by: BTreeSet::new(),
        not_before: Time::from_millis(START + not_before),
        quorum: BundleQuorum::Officers,
    })
}

fn activated(policy: &Policy) -> Entry {
    Entry::PolicyActivated {
        hash: policy.hash,
        sequence: policy.sequence,
        signed_by: BTreeSet::new(),
    }
}

/// The state under [`running`], with the bundle waiting.
fn waiting(policy: &Policy) -> (State, u64) {
    let mut state = Signer::new(running()).state;
    let entry = state.entries();
    apply(&mut state, 0, proposed(policy, DELAY)).unwrap();
    (state, entry)
}

fn veto(entry: u64, bundle: BundleHash) -> Veto {
    Veto {
        fleet: name("main"),
        entry,
        bundle,
    }
}

fn vetoed(statement: &Veto, seeds: &[(u8, &str)]) -> PolicyVetoed {
    let (text, namespace) = (statement.to_string(), statement.header().namespace());
    let one = |(seed, _): &(u8, &str)| statement::sign(&text, &namespace, &officer(*seed)).unwrap();
    PolicyVetoed {
        bundle: statement.bundle,
        by: Resumed {
            hash: statement.hash(),
            statement: text.clone(),
            signatures: seeds.iter().map(one).collect(),
            signed_by: seeds.iter().map(|(_, who)| name(who)).collect(),
        },
    }
}

fn refused_veto(state: &mut State, vetoed: PolicyVetoed) -> StateError {
    apply(state, 1, Entry::PolicyVetoed(Box::new(vetoed))).unwrap_err()
}

#[test]
fn a_narrower_bundle_governs_at_once_and_a_wider_one_does_not() {
    let mut state = Signer::new(running()).state;
    let wider = Arc::new(offered(21, 2));
    let refused = state.check_activation(&wider).unwrap_err();
    assert!(matches!(refused, StateError::Wider(_)), "{refused}");
    assert_eq!(
        refused.to_string(),
        "the bundle must wait: limit \"day\" is gone or restricts less"
    );
    // Nor does an entry of the log make it.
    let mut forged = state.clone();
    apply(&mut forged, 0, activated(&wider)).unwrap();
    assert_eq!(forged.activate(wider).unwrap_err(), refused);
    let narrower = Arc::new(offered(19, 2));
    state.check_activation(&narrower).unwrap();
    apply(&mut state, 0, activated(&narrower)).unwrap();
    state.activate(narrower).unwrap();
}

#[test]
fn a_bundle_that_waited_governs_and_no_millisecond_before() {
    let wider = Arc::new(offered(21, 2));
    let (mut state, _) = waiting(&wider);
    state.check_activation(&wider).unwrap();
    assert_eq!(
        apply(&mut state, DELAY - 1, activated(&wider)),
        Err(StateError::Early {
            not_before: at(DELAY).lo
        })
    );
    apply(&mut state, DELAY, activated(&wider)).unwrap();
    state.activate(wider).unwrap();
    assert_eq!(state.proposed(), None);
}

#[test]
fn how_long_a_bundle_waits_is_what_the_running_one_says() {
    let wider = offered(21, 2);
    let mut state = Signer::new(running()).state;
    for wrong in [0, DELAY - 1, DELAY + 1] {
        let refused = apply(&mut state, 0, proposed(&wider, wrong)).unwrap_err();
        assert!(matches!(refused, StateError::Delay { .. }), "{refused}");
    }
    let older = Policy {
        sequence: 1,
        ..wider.clone()
    };
    let refused = apply(&mut state, 0, proposed(&older, DELAY)).unwrap_err();
    assert!(matches!(refused, StateError::PolicySequence { .. }));
    apply(&mut state, 0, proposed(&wider, DELAY)).unwrap();
    // One waits at a time: which one a veto is about is never in doubt.
    let other = offered(22, 3);
    assert_eq!(
        apply(&mut state, 0, proposed(&other, DELAY)),
        Err(StateError::Waiting { hash: wider.hash })
    );
}

#[test]
fn a_narrower_bundle_meanwhile_puts_an_end_to_what_waits() {
    let wider = offered(21, 2);
    let (mut state, entry) = waiting(&wider);
    let narrower = Arc::new(offered(19, 3));
    apply(&mut state, 1, activated(&narrower)).unwrap();
    state.activate(narrower).unwrap();
    assert_eq!(state.proposed(), None);
    let late = vetoed(&veto(entry, wider.hash), &[(1, "ann")]);
    assert_eq!(refused_veto(&mut state, late), StateError::NotProposed);
    let refused = apply(&mut state, DELAY, activated(&wider)).unwrap_err();
    assert!(matches!(refused, StateError::PolicySequence { .. }));
}

#[test]
fn one_officer_vetoes_and_the_bundle_never_governs() {
    let wider = Arc::new(offered(21, 2));
    let (mut state, entry) = waiting(&wider);
    let statement = vetoed(&veto(entry, wider.hash), &[(3, "cem")]);
    apply(&mut state, 1, Entry::PolicyVetoed(Box::new(statement))).unwrap();
    assert!(state.is_vetoed(wider.hash) && state.proposed().is_none());
    let hash = wider.hash;
    for again in [proposed(&wider, DELAY + 2), activated(&wider)] {
        let refused = apply(&mut state, 2, again);
        assert_eq!(refused, Err(StateError::Vetoed { hash }));
    }
    // Under another sequence it is another bundle, which officers sign anew.
    apply(&mut state, 2, proposed(&offered(21, 3), DELAY + 2)).unwrap();
}

#[test]
fn a_veto_is_of_an_officer_and_of_this_entry() {
    let wider = offered(21, 2);
    let (mut state, entry) = waiting(&wider);
    let good = veto(entry, wider.hash);
    let elsewhere = Veto {
        fleet: name("other"),
        ..good.clone()
    };
    assert_eq!(
        refused_veto(&mut state, vetoed(&elsewhere, &[(1, "ann")])),
        StateError::Unseal(StatementError::Fleet)
    );
    for other in [
        veto(entry + 1, wider.hash),
        veto(entry, BundleHash([9; 32])),
    ] {
        let refused = refused_veto(&mut state, vetoed(&other, &[(1, "ann")]));
        assert_eq!(refused, StateError::NotProposed);
    }
    let mut another = vetoed(&good, &[(1, "ann")]);
    another.bundle = BundleHash([9; 32]);
    assert_eq!(refused_veto(&mut state, another), StateError::Statement);
    let mut hash = vetoed(&good, &[(1, "ann")]);
    hash.by.hash = Digest([1; 32]);
    assert_eq!(refused_veto(&mut state, hash), StateError::Statement);
    let claimed = vetoed(&good, &[(1, "ben")]);
    assert_eq!(refused_veto(&mut state, claimed), StateError::Statement);
    for nobody in [vec![], vec![(4, "dan")]] {
        let refused = refused_veto(&mut state, vetoed(&good, &nobody));
        assert!(matches!(
            refused,
            StateError::Unseal(StatementError::Quorum(_))
        ));
    }
    assert_eq!(state.proposed().map(|one| one.hash), Some(wider.hash));
}

#[test]
fn the_veto_has_one_text() {
    let statement = veto(1207, BundleHash([0xab; 32]));
    let text = format!(
        "strongroom-veto-v1\nfleet main\nanswers entry 1207\nbundle {}\nveto\n",
        "ab".repeat(32)
    );
    assert_eq!(statement.to_string(), text);
    assert_eq!(Veto::parse(&text), Ok(statement));
    for n in 0..text.len() {
        let mut bytes = text.clone().into_bytes();
        bytes[n] ^= 1;
        let changed = String::from_utf8(bytes).unwrap();
        assert_ne!(Veto::parse(&changed), Veto::parse(&text), "byte {n}");
        assert!(Veto::parse(text.get(..n).unwrap()).is_err());
    }
    assert!(Veto::parse(&(text + "\n")).is_err());
}

#[test]
fn what_waits_is_in_the_hot_state_and_nothing_is_where_nothing_waits() {
    let wider = offered(21, 2);
    let (mut state, entry) = waiting(&wider);
    let kept = state.hot();
    let bytes = kept.encode().unwrap();
    assert_eq!(HotState::decode(&bytes).unwrap(), kept);
    let text = String::from_utf8(bytes).unwrap();
    assert!(text.contains("\"proposed\":{") && !text.contains("vetoed"));
    let statement = vetoed(&veto(entry, wider.hash), &[(1, "ann")]);
    apply(&mut state, 1, Entry::PolicyVetoed(Box::new(statement))).unwrap();
    let text = String::from_utf8(state.hot().encode().unwrap()).unwrap();
    assert!(text.contains("\"vetoed\":[") && !text.contains("proposed"));
    // As every log had it before bundles could wait.
    let before = Signer::new(running()).state.hot().encode().unwrap();
    let before = String::from_utf8(before).unwrap();
    assert!(!before.contains("proposed") && !before.contains("vetoed"));
}
