//! Everything freezes unless people say often enough that they are there, over a late checkpoint of this log.

use std::collections::BTreeSet;

use proptest::{prelude::*, sample::Index};
use strongroom_policy::{
    Checkpoint, Digest, Entry, FreezeScope, Heartbeat, HotState, KeyAlgorithm, KeyPurpose,
    KeyRegistration, Policy, Record, Resumed, State, StateError, Unfrozen, Verdict,
    statement::{self, Head, StatementError, Unfreeze},
    widenings,
};
use tx::{Interval, Time};

use crate::{
    fixture::{Ask, DAY, Signer, name, names, need, registration, statement as stated},
    unseal::{governed, officer},
};

const MINUTE: u64 = 60_000;
const WITHIN: u64 = 3 * DAY;

/// Ann or ben must say every three days that they are there.
fn beating() -> Policy {
    let mut policy = governed();
    policy.heartbeat = Some(Heartbeat {
        within_millis: WITHIN,
        threshold: 1,
        people: names(["ann", "ben"]),
    });
    policy
}

fn log_key() -> KeyRegistration {
    KeyRegistration {
        purpose: KeyPurpose::Checkpoint,
        algorithm: KeyAlgorithm::Ed25519,
        ..registration("log-1", &"ab".repeat(32))
    }
}

fn signer() -> Signer {
    let mut signer = Signer::new(beating());
    signer.push(Entry::KeyRegistered(log_key()));
    signer
}

/// The root that the log has at a size.
fn root(size: u64) -> Digest {
    let mut root = [7; 32];
    root[..8].copy_from_slice(&size.to_be_bytes());
    Digest(root)
}

fn checkpoint(signer: &mut Signer) -> Head {
    let size = signer.state.entries();
    let head = Head {
        size,
        root: root(size),
    };
    signer.push(Entry::Checkpoint(Checkpoint {
        size,
        root: head.root,
        key: name("log-1"),
        call: signer.state.next_call(),
    }));
    head
}

fn said(seen: Head, at: Time) -> statement::Heartbeat {
    statement::Heartbeat {
        fleet: name("main"),
        log: "strongroom/main/0011223344556677".parse().unwrap(),
        seen,
        at,
    }
}

fn signed(said: &statement::Heartbeat, seeds: &[(u8, &str)]) -> Resumed {
    let (text, namespace) = (said.to_string(), said.header().namespace());
    let one = |(seed, _): &(u8, &str)| statement::sign(&text, &namespace, &officer(*seed)).unwrap();
    Resumed {
        hash: said.hash(),
        signatures: seeds.iter().map(one).collect(),
        signed_by: seeds.iter().map(|(_, who)| name(who)).collect(),
        statement: text,
    }
}

fn entry(by: Resumed) -> Entry {
    Entry::Heartbeat(Box::new(by))
}

/// Ann looks at the newest checkpoint now.
fn ann(signer: &Signer, seen: Head) -> Entry {
    entry(signed(&said(seen, signer.now.hi), &[(1, "ann")]))
}

fn refused(signer: &Signer, entry: Entry) -> StateError {
    let record = Record {
        v: 1,
        time: signer.now,
        entry,
    };
    let mut state = signer.state.clone();
    let error = state.apply(state.entries(), &record).unwrap_err();
    assert_eq!(
        state.hot(),
        signer.state.clone().hot(),
        "nothing changed: {error}"
    );
    error
}

fn ask() -> Ask {
    Ask::evm("asked", 0, 10).pay("i2", 1, 1)
}

fn is_permitted(signer: &Signer) -> bool {
    matches!(signer.evaluate(&ask()), Verdict::Permit(_))
}

fn frozen() -> Entry {
    Entry::Frozen {
        scope: FreezeScope::All,
        reason: "no heartbeat".into(),
    }
}

fn unfreeze(signer: &Signer, at: u64) -> Entry {
    let unfreeze = Unfreeze {
        fleet: name("main"),
        entry: at,
        scope: FreezeScope::All,
    };
    let (text, namespace) = (unfreeze.to_string(), unfreeze.header().namespace());
    let one = |seed: u8| statement::sign(&text, &namespace, &officer(seed)).unwrap();
    Entry::Unfrozen(Box::new(Unfrozen {
        scope: FreezeScope::All,
        from: signer.now.lo,
        by: Resumed {
            hash: unfreeze.hash(),
            signatures: one(1) + &one(2),
            signed_by: names(["ann", "ben"]),
            statement: text,
        },
    }))
}

#[test]
fn nothing_is_signed_once_the_heartbeat_is_overdue_and_a_late_one_is_good_for_as_long_again() {
    let mut signer = signer();
    signer.pass(WITHIN);
    assert!(is_permitted(&signer), "to the millisecond");
    let seen = checkpoint(&mut signer);
    let said = ann(&signer, seen);
    signer.pass(1);
    assert!(!is_permitted(&signer));
    let details: Vec<_> = signer
        .reasons(&ask())
        .into_iter()
        .map(|one| one.detail)
        .collect();
    assert!(
        details[0].starts_with("the heartbeat was due at"),
        "{details:?}"
    );
    // The state takes it: what freezes first is for the writer to say.
    signer.push(said);
    assert!(is_permitted(&signer));
    signer.pass(WITHIN - 1);
    assert!(is_permitted(&signer));
    signer.pass(1);
    assert!(!is_permitted(&signer));
}

#[test]
fn it_is_overdue_by_the_latest_that_it_can_be() {
    let mut signer = signer();
    signer.now.hi = signer.now.lo.after_millis(WITHIN);
    assert!(is_permitted(&signer));
    signer.now.hi = signer.now.hi.after_millis(1);
    assert!(!is_permitted(&signer));
    signer.now.hi = signer.now.lo;
    assert!(is_permitted(&signer), "no reading stays for ever");
}

#[test]
fn what_was_said_earlier_counts_from_when_it_was_said() {
    let mut signer = signer();
    signer.pass(DAY);
    let seen = checkpoint(&mut signer);
    let kept_back = ann(&signer, seen);
    signer.pass(DAY);
    signer.push(kept_back);
    let (_, due) = signer.state.heartbeat_due().unwrap();
    assert_eq!(due.due, signer.now.lo.after_millis(WITHIN - DAY));
}

#[test]
fn whoever_is_not_asked_and_whatever_is_not_seen_here_counts_for_nothing() {
    let mut signer = signer();
    let seen = checkpoint(&mut signer);
    let good = said(seen, signer.now.hi);
    let by = |said: &statement::Heartbeat| entry(signed(said, &[(1, "ann")]));
    // Cem is an officer, and nobody waits for his word; dan is nobody.
    for one in [(3, "cem"), (4, "dan"), (4, "ann")] {
        let error = refused(&signer, entry(signed(&good, &[one])));
        assert!(matches!(
            error,
            StateError::Unseal(StatementError::Quorum(_))
        ));
    }
    let claimed = entry(Resumed {
        signed_by: names(["ben"]),
        ..signed(&good, &[(1, "ann")])
    });
    assert_eq!(refused(&signer, claimed), StateError::Statement);
    let hashed = entry(Resumed {
        hash: Digest([0; 32]),
        ..signed(&good, &[(1, "ann")])
    });
    assert_eq!(refused(&signer, hashed), StateError::Statement);
    let mut elsewhere = good.clone();
    elsewhere.fleet = name("other");
    assert_eq!(
        refused(&signer, by(&elsewhere)),
        StateError::Unseal(StatementError::Fleet)
    );
    // Another log's checkpoint of the same size, and one of this log that was never made.
    for seen in [
        Head {
            root: Digest([9; 32]),
            ..seen
        },
        Head {
            size: seen.size - 1,
            root: root(seen.size - 1),
        },
    ] {
        let size = seen.size;
        assert_eq!(
            refused(&signer, by(&said(seen, signer.now.hi))),
            StateError::HeartbeatCheckpoint { size }
        );
    }
    let at = signer.now.hi.after_millis(1);
    assert_eq!(
        refused(&signer, by(&said(seen, at))),
        StateError::NotSeenYet { at }
    );
    signer.push(by(&good));
}

#[test]
fn the_same_one_and_an_older_one_say_nothing() {
    let mut signer = signer();
    let older = checkpoint(&mut signer);
    signer.pass(MINUTE);
    let newer = checkpoint(&mut signer);
    signer.push(ann(&signer, newer));
    assert_eq!(
        refused(&signer, ann(&signer, newer)),
        StateError::SaidAlready
    );
    let last = newer.size;
    let ben = entry(signed(&said(older, signer.now.hi), &[(2, "ben")]));
    assert_eq!(refused(&signer, ben), StateError::HeartbeatOlder { last });
    let at = signer.now.hi.before_millis(1);
    let ben = entry(signed(&said(newer, at), &[(2, "ben")]));
    assert_eq!(refused(&signer, ben), StateError::HeartbeatOlder { last });
}

#[test]
fn a_checkpoint_can_be_answered_for_an_hour_and_not_for_ever() {
    let mut signer = signer();
    let first = checkpoint(&mut signer);
    let mut within = 0;
    // Each is a second behind the other; those a minute apart stay, and the newest.
    for second in 1..=59 * 60 {
        signer.pass(1_000);
        let size = checkpoint(&mut signer).size;
        if second % 60 == 30 {
            within = size;
        }
    }
    signer.pass(1_000);
    let newest = checkpoint(&mut signer);
    signer
        .state
        .clone()
        .apply(
            signer.state.entries(),
            &Record {
                v: 1,
                time: signer.now,
                entry: ann(&signer, first),
            },
        )
        .unwrap();
    assert_eq!(
        refused(
            &signer,
            ann(
                &signer,
                Head {
                    size: within,
                    root: root(within)
                }
            )
        ),
        StateError::HeartbeatCheckpoint { size: within }
    );
    let known = signer.state.heartbeat().unwrap();
    assert!(known.answerable().count() <= 61);
    signer.pass(2 * MINUTE);
    checkpoint(&mut signer);
    signer.pass(2 * MINUTE);
    checkpoint(&mut signer);
    assert_eq!(
        refused(&signer, ann(&signer, first)),
        StateError::HeartbeatCheckpoint { size: first.size }
    );
    let size = newest.size;
    assert_eq!(
        refused(&signer, ann(&signer, newest)),
        StateError::HeartbeatCheckpoint { size }
    );
}

#[test]
fn the_first_checkpoint_behind_a_start_stays_however_soon_it_comes() {
    let mut signer = signer();
    checkpoint(&mut signer);
    signer.push(Entry::Started {
        version: "1".into(),
        cut_bytes: 0,
        boot_id: String::new(),
    });
    let first = checkpoint(&mut signer);
    signer.pass(1);
    let second = checkpoint(&mut signer);
    signer.pass(1);
    checkpoint(&mut signer);
    let size = second.size;
    assert_eq!(
        refused(&signer, ann(&signer, second)),
        StateError::HeartbeatCheckpoint { size }
    );
    signer.push(ann(&signer, first));
}

#[test]
fn what_it_froze_is_lifted_by_officers_after_a_heartbeat_and_not_before() {
    let mut signer = signer();
    signer.pass(WITHIN + 1);
    let at = signer.push(frozen());
    let due = signer.state.heartbeat_due().unwrap().1.due;
    assert_eq!(
        refused(&signer, unfreeze(&signer, at)),
        StateError::HeartbeatFirst { due }
    );
    let seen = checkpoint(&mut signer);
    signer.push(ann(&signer, seen));
    assert!(!is_permitted(&signer), "one person lifts no freeze");
    signer.push(unfreeze(&signer, at));
    assert!(is_permitted(&signer));
}

#[test]
fn what_an_evacuate_names_leaves_under_that_freeze_and_not_before_it() {
    let mut policy = beating();
    let mut out = policy.allows[0].selector.clone();
    out.accounts = Some(names(["hot"]));
    policy.requires.clear();
    policy.evacuates.push(stated(
        "out",
        out,
        strongroom_policy::Evacuate {
            need: need(1, &["ann"]),
        },
    ));
    let mut signer = Signer::new(policy);
    signer.pass(WITHIN + 1);
    let overdue = signer.codes(&ask());
    assert_eq!(overdue.len(), 1);
    assert!(matches!(signer.evaluate(&ask()), Verdict::Refuse(_)));
    signer.push(frozen());
    // Ann's word is all that it waits for.
    assert!(
        matches!(signer.evaluate(&ask()), Verdict::Refuse(refusal) if refusal.needs.len() == 1)
    );
}

#[test]
fn a_bundle_begins_and_ends_it_and_a_person_who_left_is_not_heard() {
    let mut signer = Signer::new(governed());
    signer.push(Entry::KeyRegistered(log_key()));
    assert_eq!(signer.state.heartbeat_due().map(|_| ()), None);
    signer.pass(10 * DAY);
    let mut asks = beating();
    (asks.hash.0, asks.sequence) = ([2; 32], 2);
    signer.activate(asks.clone());
    let began = signer.now.lo;
    let due = |signer: &Signer| signer.state.heartbeat_due().map(|(_, lapse)| lapse.due);
    assert_eq!(due(&signer), Some(began.after_millis(WITHIN)));
    signer.pass(DAY);
    let seen = checkpoint(&mut signer);
    assert_eq!(due(&signer), Some(began.after_millis(WITHIN)));
    // Ann leaves.
    let mut without = asks.clone();
    (without.hash.0, without.sequence) = ([3; 32], 3);
    without.heartbeat.as_mut().unwrap().people = names(["ben"]);
    signer.activate(without);
    let error = refused(&signer, ann(&signer, seen));
    assert!(matches!(
        error,
        StateError::Unseal(StatementError::Quorum(_))
    ));
    signer.push(entry(signed(&said(seen, signer.now.hi), &[(2, "ben")])));
    let mut ends = governed();
    (ends.hash.0, ends.sequence) = ([4; 32], 4);
    signer.activate(ends);
    signer.pass(WITHIN * 2);
    assert!(is_permitted(&signer));
    assert_eq!(
        refused(&signer, ann(&signer, seen)),
        StateError::NoHeartbeat
    );
    signer.push(Entry::ClockJump { millis: 0 });
    assert_eq!(signer.state.heartbeat(), None);
}

#[test]
fn it_is_in_the_hot_state_from_the_first_entry_on_and_in_none_without_it() {
    let text = |state: &State| String::from_utf8(state.hot().encode().unwrap()).unwrap();
    let mut without = Signer::new(governed());
    without.push(Entry::KeyRegistered(log_key()));
    checkpoint(&mut without);
    assert!(!text(&without.state).contains("heartbeat"));
    let mut signer = signer();
    let seen = checkpoint(&mut signer);
    signer.push(ann(&signer, seen));
    signer.pass(1);
    checkpoint(&mut signer);
    let hot = signer.state.hot();
    let read = HotState::decode(&hot.encode().unwrap()).unwrap();
    assert_eq!(read, hot);
    let text = text(&signer.state);
    let heartbeat = text.split(r#""heartbeat":"#).nth(1).unwrap();
    assert!(heartbeat.starts_with(r#"{"since":"#), "{heartbeat}");
    assert!(heartbeat.contains(r#""newest":{"size":"#), "{heartbeat}");
    // A fold that reads the entries again comes to the same.
    let mut again = State::new();
    for (index, record) in (0..).zip(&signer.records) {
        again.apply(index, record).unwrap();
        if let Entry::PolicyActivated { .. } = record.entry {
            again
                .activate(signer.state.policy().unwrap().clone())
                .unwrap();
        }
    }
    assert_eq!(again.hot(), hot);
}

#[test]
fn the_text_has_one_form_for_ever() {
    let at = Time::from_millis(1_790_000_000_000);
    let seen = Head {
        size: 12,
        root: Digest([0xab; 32]),
    };
    let said = said(seen, at);
    let text = said.to_string();
    let root = "ab".repeat(32);
    assert_eq!(
        text,
        format!(
            "strongroom-heartbeat-v1\nfleet main\nanswers checkpoint {root}\n\
             log strongroom/main/0011223344556677\nsize 12\nat {at}\nalive\n"
        )
    );
    assert_eq!(statement::Heartbeat::parse(&text).unwrap(), said);
    for (from, to) in [
        ("alive\n", "alive"),
        ("alive\n", "alive\n\n"),
        ("size 12", "size 012"),
        ("v1", "v2"),
        ("heartbeat", "unseal"),
        ("answers checkpoint", "answers intent"),
    ] {
        let other = text.replacen(from, to, 1);
        assert!(statement::Heartbeat::parse(&other).is_err(), "{other}");
    }
    let other = "strongroom/main/8899aabbccddeeff".parse().unwrap();
    assert!(said.check(&said.log).is_ok());
    assert!(matches!(
        said.check(&other),
        Err(StatementError::Origin { .. })
    ));
}

#[test]
fn asking_less_often_fewer_or_others_is_wider() {
    let asks = |within_millis, threshold, people: &[&str]| {
        let mut policy = governed();
        policy.heartbeat = Some(Heartbeat {
            within_millis,
            threshold,
            people: names(people.iter().copied()),
        });
        policy
    };
    let running = asks(WITHIN, 2, &["ann", "ben", "cem"]);
    let wider = |running: &Policy, offered: &Policy| !widenings(running, offered).is_empty();
    assert!(wider(&running, &governed()), "none at all");
    assert!(wider(
        &running,
        &asks(WITHIN + 1, 2, &["ann", "ben", "cem"])
    ));
    assert!(wider(&running, &asks(WITHIN, 1, &["ann", "ben", "cem"])));
    assert!(wider(
        &asks(WITHIN, 1, &["ann"]),
        &asks(WITHIN, 1, &["ann", "ben"])
    ));
    assert!(!wider(&running, &running));
    assert!(!wider(&running, &asks(WITHIN - 1, 2, &["ann", "ben"])));
    assert!(!wider(&governed(), &running));
}

/// What happens to a signer.
#[derive(Clone, Debug)]
enum Happens {
    /// Time goes on, and what is known of it gets worse by so much.
    Pass(u64, u64),
    Checkpoint,
    /// Somebody, of whom the last does not count, answers one of the checkpoints so far.
    Beats(u8, Index, u64),
    Freeze,
    Unfreeze,
    /// A bundle that asks for it so often, or not at all.
    Bundle(Option<u64>),
}

fn happens() -> impl Strategy<Value = Happens> {
    prop_oneof![
        4 => (0..WITHIN, prop_oneof![3 => Just(0), 1 => 0..DAY])
            .prop_map(|(millis, unsure)| Happens::Pass(millis, unsure)),
        3 => Just(Happens::Checkpoint),
        3 => (1..=3u8, any::<Index>(), 0..DAY).prop_map(|(who, which, ago)| Happens::Beats(who, which, ago)),
        1 => Just(Happens::Freeze),
        2 => Just(Happens::Unfreeze),
        1 => prop_oneof![Just(None), (DAY / 24..2 * WITHIN).prop_map(Some)].prop_map(Happens::Bundle),
    ]
}

/// What is known by other means: since when people are silent.
struct Known {
    signer: Signer,
    heads: Vec<Head>,
    since: Option<(Time, u64)>,
    frozen_at: u64,
}

impl Known {
    fn takes(&mut self, entry: Entry) -> Option<u64> {
        let record = Record {
            v: 1,
            time: self.signer.now,
            entry: entry.clone(),
        };
        let index = self.signer.state.entries();
        self.signer.state.clone().apply(index, &record).ok()?;
        Some(self.signer.push(entry))
    }

    fn happens(&mut self, what: &Happens) {
        match what {
            Happens::Pass(millis, unsure) => {
                let lo = self.signer.now.lo.after_millis(*millis);
                let hi = lo.after_millis(*unsure);
                self.signer.now = Interval { lo, hi };
            }
            Happens::Checkpoint => {
                let head = checkpoint(&mut self.signer);
                self.heads.push(head);
            }
            Happens::Beats(who, which, ago) => {
                let Some(seen) = (!self.heads.is_empty()).then(|| *which.get(&self.heads)) else {
                    return;
                };
                let at = Time::from_millis(self.signer.now.hi.millis() - ago);
                let person = ["ann", "ben", "cem"][usize::from(*who) - 1];
                let by = entry(signed(&said(seen, at), &[(*who, person)]));
                let taken = self.takes(by).is_some();
                assert!(!taken || *who < 3, "cem is not asked");
                if let (true, Some((since, _))) = (taken, &mut self.since) {
                    *since = at.max(*since);
                }
            }
            Happens::Freeze => {
                self.frozen_at = self.signer.push(frozen());
            }
            Happens::Unfreeze => {
                let lifted = unfreeze(&self.signer, self.frozen_at);
                self.takes(lifted);
            }
            Happens::Bundle(within) => {
                let mut policy = governed();
                policy.sequence = self.signer.state.policy().unwrap().sequence + 1;
                policy.hash.0 = root(policy.sequence).0;
                policy.heartbeat = within.map(|within_millis| Heartbeat {
                    within_millis,
                    threshold: 1,
                    people: names(["ann", "ben"]),
                });
                self.signer.activate(policy);
                let lo = self.signer.now.lo;
                self.since =
                    within.map(|within| (self.since.map_or(lo, |(since, _)| since), within));
                // Behind it, so that it has begun or ended.
                self.signer.push(Entry::ClockJump { millis: 0 });
            }
        }
    }
}

proptest! {
    /// However entries follow one another: what is permitted is not overdue.
    #[test]
    fn nothing_is_permitted_while_it_is_overdue(story in prop::collection::vec(happens(), 1..60)) {
        let signer = signer();
        let since = Some((signer.now.lo, WITHIN));
        let mut known = Known { signer, heads: Vec::new(), since, frozen_at: 0 };
        for what in &story {
            known.happens(what);
            let overdue = known.since.is_some_and(|(since, within)| {
                known.signer.now.hi > since.after_millis(within)
            });
            prop_assert_eq!(known.signer.state.overdue(known.signer.now).is_some(), overdue);
            prop_assert!(!(overdue && is_permitted(&known.signer)), "{:?}", what);
        }
    }

    #[test]
    fn one_changed_byte_is_not_the_same_heartbeat(at: Index, byte: u8) {
        let signer = signer();
        let size = 3;
        let good = said(Head { size, root: root(size) }, signer.now.lo);
        let by = signed(&good, &[(1, "ann")]);
        let mut bytes = by.statement.clone().into_bytes();
        let at = at.index(bytes.len());
        prop_assume!(bytes[at] != byte);
        bytes[at] = byte;
        let policy = beating();
        if let Ok(text) = String::from_utf8(bytes)
            && let Ok(other) = statement::Heartbeat::parse(&text)
        {
            prop_assert_eq!(other.signed_by(&by.signatures, &policy).ok(), None::<BTreeSet<_>>);
        }
    }
}
