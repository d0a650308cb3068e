//! What attesters say of the time: by enough of them, monotone, of nobody else, and over a restart.

use strongroom_policy::{
    AttestationKind, BundleHash, Credited, Entry, Policy, Record, StateError, TimeSource,
    statement::{Attestation, Seen},
};
use tx::{Interval, Time};

use crate::{
    finality::try_say,
    fixture::{DAY, SECOND, Signer, name},
    prices::priced,
    windows::again,
};

/// Two of the three attesters say what time it is.
fn timed() -> Policy {
    let mut policy = priced();
    policy.limits.clear();
    for attester in policy.attestations.attesters.values_mut() {
        attester.says = [AttestationKind::Time].into();
    }
    policy.attestations.needed = [(AttestationKind::Time, 2)].into();
    policy
}

fn at(signer: &Signer, who: &str, at: Time) -> Attestation {
    Attestation {
        fleet: name("main"),
        number: signer.state.entries(),
        attester: name(who),
        at,
        seen: Seen::Time,
    }
}

fn say(signer: &mut Signer, who: &str, time: Time) -> Result<(), StateError> {
    let statement = at(signer, who, time);
    try_say(signer, &statement)
}

#[test]
fn it_is_as_late_as_enough_attesters_say() {
    let mut signer = Signer::new(timed());
    let now = signer.now.hi;
    let before = now.before_millis(SECOND);
    say(&mut signer, "w1", now).unwrap();
    say(&mut signer, "w1", now.before_millis(1)).unwrap();
    assert_eq!(signer.state.attested_time(), None, "one is not enough");
    say(&mut signer, "w2", before).unwrap();
    assert_eq!(signer.state.attested_time(), Some(before));
    say(&mut signer, "w3", now.before_millis(1)).unwrap();
    let said = now.before_millis(1);
    assert_eq!(signer.state.attested_time(), Some(said));
    signer.state = again(&signer.state, &[timed()]);
    assert_eq!(signer.state.attested_time(), Some(said));
    assert_eq!(signer.state.times().count(), 3);
    // Who leaves the bundle takes along what was said.
    let mut fewer = timed();
    (fewer.sequence, fewer.hash) = (2, BundleHash([2; 32]));
    fewer.attestations.attesters.remove(&name("w3"));
    signer.activate(fewer);
    assert_eq!(signer.state.attested_time(), Some(before));
    let mut nobody = timed();
    (nobody.sequence, nobody.hash) = (3, BundleHash([3; 32]));
    nobody.attestations = Default::default();
    signer.activate(nobody);
    assert_eq!(signer.state.attested_time(), None);
}

#[test]
fn an_old_statement_is_not_taken_again() {
    let mut signer = Signer::new(timed());
    let now = signer.now.hi;
    let first = at(&signer, "w1", now.before_millis(SECOND));
    try_say(&mut signer, &first).unwrap();
    assert_eq!(try_say(&mut signer, &first), Err(StateError::SaidAlready));
    say(&mut signer, "w1", now).unwrap();
    let last = signer.state.entries() - 1;
    assert_eq!(
        try_say(&mut signer, &first),
        Err(StateError::NotNewer { last })
    );
}

/// A signer whose wall clock is behind hears what time it is; a day's lie of one attester is what that costs.
#[test]
fn a_statement_may_be_a_day_ahead_of_a_clock_that_is_behind_and_no_more() {
    let mut signer = Signer::new(timed());
    let most = signer.now.lo.after_millis(DAY);
    let beyond = most.after_millis(1);
    let refused = Err(StateError::NotSeenYet { at: beyond });
    assert_eq!(say(&mut signer, "w1", beyond), refused);
    say(&mut signer, "w1", most).unwrap();
    // A wall clock that is ahead is right about what can have been signed.
    signer.now.hi = beyond;
    say(&mut signer, "w1", beyond).unwrap();
}

#[test]
fn what_attesters_did_not_say_moves_nothing_on() {
    let mut signer = Signer::new(timed());
    let (lo, later) = (signer.now.lo, signer.now.lo.after_millis(10 * SECOND));
    for who in ["w1", "w2"] {
        say(&mut signer, who, later).unwrap();
    }
    let credited = |signer: &mut Signer, lo: Time, by: TimeSource| {
        let time = Interval { lo, hi: lo };
        let entry = Entry::TimeCredited { by, millis: 9_000 };
        let record = Record { v: 1, time, entry };
        let index = signer.state.entries();
        signer.state.apply(index, &record).map(|()| index)
    };
    assert_eq!(signer.state.credited(), None);
    let lied = later.after_millis(1);
    let refused = credited(&mut signer, lied, TimeSource::Attesters);
    assert_eq!(refused, Err(StateError::NotAttested { lo: lied }));
    let entry = credited(&mut signer, later, TimeSource::Attesters).unwrap();
    let said = Credited {
        entry,
        by: TimeSource::Attesters,
        lo: later,
        millis: 9_000,
    };
    assert!(lo < later);
    signer.state = again(&signer.state, &[timed()]);
    assert_eq!(signer.state.credited(), Some(&said));
    // What witnesses said is in no entry.
    credited(&mut signer, lied, TimeSource::Witnesses).unwrap();
}

#[test]
fn to_name_who_says_the_time_is_not_narrower() {
    let (said, mut silent) = (timed(), timed());
    silent.attestations = Default::default();
    let widens = |running: &Policy, offered: &Policy| {
        let mut offered = offered.clone();
        (offered.sequence, offered.hash) = (2, BundleHash([2; 32]));
        !strongroom_policy::widenings(running, &offered).is_empty()
    };
    assert!(widens(&silent, &said));
    assert!(!widens(&said, &said));
    let mut one = timed();
    one.attestations.needed = [(AttestationKind::Time, 1)].into();
    assert!(widens(&said, &one));
}
