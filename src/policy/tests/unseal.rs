//! The statement by which officers let a sealed signer go on, and what the state makes of it.

use std::collections::BTreeSet;

use proptest::prelude::*;
use ssh_key::{PrivateKey, private::Ed25519Keypair};
use strongroom_policy::{
    BundleHash, Digest, Entry, Person, Policy, Record, Resumed, State, StateError,
    statement::{self, Found, Head, StatementError, Unseal},
};
use tx::{Interval, Time};

use crate::fixture::{START, Signer, name, policy};

fn now() -> Interval {
    let start = Time::from_millis(START);
    Interval {
        lo: start,
        hi: start,
    }
}

fn head(size: u64, root: u8) -> Head {
    let root = Digest([root; 32]);
    Head { size, root }
}

fn found(size: u64) -> Found {
    Found {
        fleet: policy().fleet,
        log: Digest([1; 32]),
        name: name("shorter-than-anchor"),
        head: head(size, 2),
        bundle: policy().hash,
        lost: BTreeSet::from([head(140, 3), head(140, 4), head(150, 1)]),
        nonce: Digest([5; 32]),
    }
}

fn later() -> Time {
    now().hi.after_millis(60_000)
}

pub fn officer(seed: u8) -> PrivateKey {
    Ed25519Keypair::from_seed(&[seed; 32]).into()
}

/// Two of three officers.
pub fn governed() -> Policy {
    let mut policy = policy();
    let people = ["ann", "ben", "cem"].map(name);
    for (seed, person) in (1..).zip(&people) {
        let key = officer(seed).public_key().to_openssh().unwrap();
        let keys = [key].into_iter().collect();
        policy.people.insert(
            person.clone(),
            Person {
                keys,
                ..Person::default()
            },
        );
    }
    policy.governance.threshold = 2;
    policy.governance.officers = people.into();
    policy
}

fn sign(statement: &Unseal, seeds: &[u8]) -> String {
    let text = statement.to_string();
    let namespace = statement.header().namespace();
    let one = |seed: &u8| statement::sign(&text, &namespace, &officer(*seed)).unwrap();
    seeds.iter().map(one).collect()
}

fn resumed(statement: &Unseal) -> Resumed {
    Resumed {
        hash: statement.hash(),
        statement: statement.to_string(),
        signatures: sign(statement, &[1, 2]),
        signed_by: [name("ann"), name("ben")].into(),
    }
}

/// A state under the policy of [`governed`].
fn state() -> State {
    Signer::new(governed()).state
}

fn apply(state: &mut State, resumed: Resumed) -> Result<(), StateError> {
    let record = Record {
        v: 1,
        time: now(),
        entry: Entry::Resumed(Box::new(resumed)),
    };
    state.apply(state.entries(), &record)
}

fn statements() -> impl Strategy<Value = Unseal> {
    let digest = || any::<[u8; 32]>().prop_map(Digest);
    let heads = prop::collection::btree_set((any::<u64>(), digest()), 0..4);
    let heads = heads.prop_map(|all| {
        all.into_iter()
            .map(|(size, root)| Head { size, root })
            .collect()
    });
    let names = ("[a-z0-9._-]{1,64}", "[a-z0-9._-]{1,64}");
    let digests = (digest(), digest(), digest(), digest());
    (
        names,
        digests,
        any::<u64>(),
        heads,
        0..253_402_207_200_000_u64,
    )
        .prop_map(
            |((fleet, found), (log, root, bundle, nonce), size, lost, expires)| Unseal {
                fleet: fleet.parse().unwrap(),
                log,
                found: found.parse().unwrap(),
                head: Head { size, root },
                bundle: BundleHash(bundle.0),
                lost,
                nonce,
                expires: Time::from_millis(expires),
            },
        )
}

proptest! {
    #[test]
    fn a_statement_has_one_text(statement in statements()) {
        prop_assert_eq!(Unseal::parse(&statement.to_string()), Ok(statement));
    }

    #[test]
    fn one_changed_byte_is_another_statement_or_none(
        statement in statements(),
        at in any::<prop::sample::Index>(),
        byte in 0_u8..128,
    ) {
        let mut text = statement.to_string().into_bytes();
        let at = at.index(text.len());
        prop_assume!(text[at] != byte);
        text[at] = byte;
        let text = String::from_utf8(text).unwrap();
        if let Ok(other) = Unseal::parse(&text) {
            prop_assert_ne!(&other, &statement);
            prop_assert_eq!(other.to_string(), text);
        }
    }
}

#[test]
fn every_other_spelling_is_refused() {
    let text = Unseal::of(&found(9), later()).to_string();
    let lost: Vec<&str> = text
        .lines()
        .filter(|line| line.starts_with("lost"))
        .collect();
    let [first, second, ..] = lost[..] else {
        panic!("{text}")
    };
    for (part, by) in [
        ("resume\n", "resume"),
        ("resume\n", "resume\n\n"),
        ("resume\n", "resume\nresume\n"),
        ("resume\n", ""),
        ("size 9", "size 09"),
        ("size 9\n", ""),
        (first, second),
        ("lost 150", "lost 130"),
        ("strongroom-unseal-v1", "strongroom-unseal-v2"),
        ("strongroom-unseal-v1", "strongroom-bundle-v1"),
        ("answers checkpoint", "answers sequence"),
        ("found ", "found \u{e9}"),
    ] {
        let other = text.replacen(part, by, 1);
        assert!(other != text, "{part:?}");
        assert!(Unseal::parse(&other).is_err(), "{other}");
    }
    let long = format!("{text}{}", "x".repeat(Unseal::BYTES_MAX));
    assert_eq!(
        Unseal::parse(&long),
        Err(StatementError::TooLong {
            bytes_max: Unseal::BYTES_MAX
        })
    );
}

/// Each thing that a statement names, said otherwise, and the name it is refused by.
#[test]
fn a_statement_is_about_one_finding() {
    type Change = fn(&mut Unseal);
    let cases: [(&str, Change); 9] = [
        ("unseal-fleet", |s| s.fleet = name("other")),
        ("unseal-log", |s| s.log = Digest([9; 32])),
        ("unseal-head", |s| s.head.size += 1),
        ("unseal-head", |s| s.head.root = Digest([9; 32])),
        ("unseal-finding", |s| s.found = name("anchor-missing")),
        ("unseal-bundle", |s| s.bundle = BundleHash([9; 32])),
        ("unseal-lost", |s| s.lost.clear()),
        ("unseal-nonce", |s| s.nonce = Digest([9; 32])),
        ("unseal-expiry", |s| s.expires = now().hi.before_millis(1)),
    ];
    let good = Unseal::of(&found(9), later());
    assert_eq!(good.check(&found(9), now().hi), Ok(()));
    for (refused, change) in cases {
        let mut other = good.clone();
        change(&mut other);
        let error = other.check(&found(9), now().hi).unwrap_err();
        assert_eq!(error.unseal_name(), refused, "{error}");
    }
    let week = 7 * 24 * 3_600_000;
    let far = Unseal::of(&found(9), now().hi.after_millis(week + 1));
    let error = far.check(&found(9), now().hi).unwrap_err();
    assert_eq!(error.unseal_name(), "unseal-expiry");
    // A head that this machine does not know of may be named as well.
    let mut more = good;
    more.lost.insert(head(200, 9));
    assert_eq!(more.check(&found(9), now().hi), Ok(()));
}

#[test]
fn enough_different_officers_sign_it_in_its_own_namespace() {
    let statement = Unseal::of(&found(9), later());
    let policy = governed();
    let signed = |armour: &str| statement.signed_by(armour, &policy);
    let both = [name("ann"), name("cem")].into();
    assert_eq!(signed(&sign(&statement, &[1, 3])), Ok(both));
    for too_few in [&[][..], &[1], &[1, 1], &[1, 9]] {
        let error = signed(&sign(&statement, too_few)).unwrap_err();
        assert_eq!(error.unseal_name(), "unseal-quorum", "{too_few:?}");
    }
    let mut edited = statement.clone();
    edited.nonce = Digest([6; 32]);
    let error = signed(&sign(&edited, &[1, 2])).unwrap_err();
    assert_eq!(error.unseal_name(), "unseal-quorum");
    let as_bundle = |seed| {
        let key = officer(seed);
        statement::sign(&statement.to_string(), "strongroom-bundle-v1", &key).unwrap()
    };
    let error = signed(&(as_bundle(1) + &as_bundle(2))).unwrap_err();
    assert_eq!(error.unseal_name(), "unseal-quorum");
    let error = signed("no armour").unwrap_err();
    assert_eq!(error.unseal_name(), "unseal-signatures");
}

#[test]
fn the_state_goes_on_by_a_statement_of_itself_once() {
    let mut state = state();
    let statement = Unseal::of(&found(state.entries()), later());
    apply(&mut state, resumed(&statement)).unwrap();
    assert!(state.was_resumed_by(&statement.hash()));
    assert!(state.is_lost(&head(140, 3)) && !state.is_lost(&head(140, 9)));
    let again = apply(&mut state, resumed(&statement)).unwrap_err();
    assert_eq!(again, StateError::Statement);
}

#[test]
fn the_state_takes_no_statement_that_is_made_up() {
    let state = state();
    let good = Unseal::of(&found(state.entries()), later());
    let refused = |wrong: Resumed| apply(&mut state.clone(), wrong).unwrap_err();
    let with = |change: fn(&mut Resumed)| {
        let mut wrong = resumed(&good);
        change(&mut wrong);
        refused(wrong)
    };
    let unsigned = with(|wrong| wrong.signatures.clear());
    assert!(matches!(
        unsigned,
        StateError::Unseal(StatementError::Quorum(_))
    ));
    assert_eq!(
        with(|wrong| wrong.hash = Digest([0; 32])),
        StateError::Statement
    );
    let other = with(|wrong| drop(wrong.signed_by.pop_first()));
    assert_eq!(other, StateError::Statement);
    let shorter = Unseal::of(&found(state.entries() - 1), later());
    let shorter = refused(resumed(&shorter));
    assert!(matches!(
        shorter,
        StateError::Unseal(StatementError::Head { .. })
    ));
    let mut bundle = good.clone();
    bundle.bundle = BundleHash([9; 32]);
    assert!(matches!(
        refused(resumed(&bundle)),
        StateError::Policy { .. }
    ));
    let mut fleet = good;
    fleet.fleet = name("other");
    assert!(matches!(
        refused(resumed(&fleet)),
        StateError::Unseal(StatementError::Fleet)
    ));
}
