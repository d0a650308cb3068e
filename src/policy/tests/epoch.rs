//! A new epoch: what officers say, and that nothing is assumed of what was signed and lost.

use std::collections::BTreeSet;

use proptest::{prelude::*, test_runner::TestCaseError};
use strongroom_policy::{
    AttemptId, BundleHash, Digest, Entry, Group, HotState, Limit, Measure, Policy, ReasonCode,
    Record, Resumed, State, StateError, Statement,
    statement::{
        self, Drain, EpochFound, Found, Head, NewEpoch, NextSequence, StatementError, Unseal,
    },
};
use tx::{AccountClass, Address, Chain, EffectKind, Time};

use crate::{
    fixture::{
        Ask, BTC, DAY, ETH, SECOND, START, Signer, btc, eth, grouped, limit, name, names, own,
        registration, stranger,
    },
    hostile::{Hostile, Step, confirmable, heaviest, in_window, runner, runs},
    unseal::{governed, officer},
    windows::again,
};

fn cold() -> Address {
    stranger(BTC, 200)
}

fn found(signer: &Signer) -> EpochFound {
    let state = &signer.state;
    EpochFound {
        found: Found {
            fleet: name("main"),
            log: Digest([1; 32]),
            name: name("shorter-than-anchor"),
            head: Head {
                size: state.entries(),
                root: Digest([2; 32]),
            },
            bundle: BundleHash([1; 32]),
            lost: BTreeSet::new(),
            nonce: Digest([5; 32]),
        },
        sequence: 1,
        epoch: state.epoch(),
        last: signer.now.lo,
    }
}

/// All that must be said under [`governed`]: sequences that begin at `next`.
fn epoch(signer: &Signer, next: u64) -> NewEpoch {
    let now = signer.now.lo;
    let mut statement = NewEpoch::of(&found(signer), now, now.after_millis(60_000));
    statement.next = ["k1", "k2", "k3", "k4"].map(|key| said(key, next)).into();
    statement.drains = ["k1", "k2", "k3", "k4"].map(drain).into();
    statement
}

fn said(key: &str, next: u64) -> NextSequence {
    NextSequence {
        key: name(key),
        chain: ETH,
        next,
    }
}

fn drain(key: &str) -> Drain {
    Drain {
        key: name(key),
        to: cold(),
    }
}

fn sign(statement: &NewEpoch, seeds: &[u8]) -> String {
    let text = statement.to_string();
    let namespace = statement.header().namespace();
    let one = |seed: &u8| statement::sign(&text, &namespace, &officer(*seed)).unwrap();
    seeds.iter().map(one).collect()
}

fn began(statement: &NewEpoch) -> Resumed {
    Resumed {
        hash: statement.hash(),
        statement: statement.to_string(),
        signatures: sign(statement, &[1, 2]),
        signed_by: names(["ann", "ben"]),
    }
}

fn begin(signer: &mut Signer, statement: &NewEpoch) -> u64 {
    signer.push(Entry::EpochBegan(Box::new(began(statement))))
}

fn refused(signer: &Signer, began: Resumed) -> StateError {
    let record = Record {
        v: 1,
        time: signer.now,
        entry: Entry::EpochBegan(Box::new(began)),
    };
    let mut state = signer.state.clone();
    state.apply(state.entries(), &record).unwrap_err()
}

fn with_limits(limits: Vec<Statement<Limit>>) -> Policy {
    Policy {
        limits,
        ..governed()
    }
}

/// Of the present epoch.
fn of_epoch(signer: &Signer, mut ask: Ask) -> Ask {
    for signed in &mut ask.request.intents {
        signed.intent.epoch = signer.state.epoch();
    }
    ask
}

fn only(code: ReasonCode) -> BTreeSet<ReasonCode> {
    [code].into()
}

fn statements() -> impl Strategy<Value = NewEpoch> {
    let digest = || any::<[u8; 32]>().prop_map(Digest);
    let digests = || prop::collection::btree_set(digest(), 0..3);
    let heads = prop::collection::btree_set((any::<u64>(), digest()), 0..3);
    let key = || "[a-z0-9._-]{1,64}";
    let next = (key(), 1..1_u64 << 62, any::<u64>()).prop_map(|(key, chain, next)| NextSequence {
        key: name(&key),
        chain: Chain::Evm(chain),
        next,
    });
    let drains = (key(), any::<u8>()).prop_map(|(key, to)| Drain {
        key: name(&key),
        to: stranger(BTC, to),
    });
    let time = || (0..253_402_207_200_000_u64).prop_map(Time::from_millis);
    let numbers = || (any::<u64>(), any::<u64>(), any::<u64>(), any::<u64>());
    (
        (key(), key(), digest(), digest(), digest(), digest()),
        numbers(),
        (digests(), heads, time(), time()),
        prop::collection::btree_set(next, 0..4),
        prop::collection::btree_set(drains, 0..4),
    )
        .prop_map(
            |(names, numbers, (after, lost, begins, expires), next, drains)| {
                let (fleet, found, log, root, bundle, nonce) = names;
                let (size, sequence, epoch, lanes) = numbers;
                NewEpoch {
                    fleet: name(&fleet),
                    log,
                    found: name(&found),
                    head: Head { size, root },
                    bundle: BundleHash(bundle.0),
                    sequence,
                    after,
                    lost: lost
                        .into_iter()
                        .map(|(size, root)| Head { size, root })
                        .collect(),
                    nonce,
                    epoch,
                    begins,
                    lanes,
                    next,
                    drains,
                    expires,
                }
            },
        )
}

proptest! {
    #[test]
    fn a_statement_has_one_text(statement in statements()) {
        prop_assert_eq!(NewEpoch::parse(&statement.to_string()), Ok(statement));
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
        if let Ok(other) = NewEpoch::parse(&text) {
            prop_assert_ne!(&other, &statement);
            prop_assert_eq!(other.to_string(), text);
        }
    }
}

#[test]
fn its_text_is_for_ever() {
    let signer = Signer::new(governed());
    let mut statement = epoch(&signer, 41);
    statement.after = [Digest([7; 32])].into();
    statement.lost = [Head {
        size: 140,
        root: Digest([3; 32]),
    }]
    .into();
    statement.lanes = 7;
    statement.next = [said("k1", 41)].into();
    statement.drains = [drain("k1")].into();
    let hex = |byte: u8| hex::encode([byte; 32]);
    let expected = [
        "strongroom-epoch-v1".to_owned(),
        "fleet main".into(),
        format!("answers checkpoint {}", hex(2)),
        format!("log {}", hex(1)),
        "found shorter-than-anchor".into(),
        format!("size {}", signer.state.entries()),
        format!("bundle {}", hex(1)),
        "sequence 1".into(),
        format!("after {}", hex(7)),
        format!("lost 140 {}", hex(3)),
        format!("nonce {}", hex(5)),
        "epoch 2".into(),
        "begins 2026-09-21T14:13:20Z".into(),
        "lanes 7".into(),
        "next k1 eip155:1 41".into(),
        format!("drain k1 bitcoin:regtest {}", cold()),
        "expires 2026-09-21T14:14:20Z".into(),
        "new-epoch\n".into(),
    ];
    assert_eq!(statement.to_string(), expected.join("\n"));
    // A statement by which a signer goes on is another kind, and its signatures are none of this one.
    let resume = Unseal::of(&found(&signer).found, statement.expires).to_string();
    assert_eq!(NewEpoch::parse(&resume), Err(StatementError::Kind));
    assert!(Unseal::parse(&statement.to_string()).is_err());
}

/// Each thing that a statement names, said otherwise, and the name it is refused by.
#[test]
fn a_statement_is_about_one_finding() {
    type Change = fn(&mut NewEpoch);
    let cases: [(&str, Change); 13] = [
        ("unseal-fleet", |s| s.fleet = name("other")),
        ("unseal-log", |s| s.log = Digest([9; 32])),
        ("unseal-head", |s| s.head.size += 1),
        ("unseal-finding", |s| s.found = name("anchor-missing")),
        ("unseal-bundle", |s| s.bundle = BundleHash([9; 32])),
        ("unseal-bundle", |s| s.sequence += 1),
        ("unseal-lost", |s| s.lost.clear()),
        ("unseal-nonce", |s| s.nonce = Digest([9; 32])),
        ("unseal-epoch", |s| s.epoch -= 1),
        ("unseal-begins", |s| s.begins = s.begins.before_millis(1)),
        ("unseal-begins", |s| s.begins = s.begins.after_millis(1)),
        ("unseal-expiry", |s| {
            s.expires = Time::from_millis(START - 1)
        }),
        ("unseal-expiry", |s| {
            s.expires = s.expires.after_millis(8 * DAY)
        }),
    ];
    let signer = Signer::new(governed());
    let mut found = found(&signer);
    found.found.lost = [Head {
        size: 140,
        root: Digest([3; 32]),
    }]
    .into();
    let mut good = epoch(&signer, 0);
    good.lost.clone_from(&found.found.lost);
    let now = signer.now.lo;
    assert_eq!(good.check(&found, now), Ok(()));
    for (name, change) in cases {
        let mut other = good.clone();
        change(&mut other);
        let error = other.check(&found, now).unwrap_err();
        assert_eq!(error.unseal_name(), name, "{error}");
    }
    // Numbers may be left out, and more may be given up than this machine knows of.
    let mut more = good;
    more.epoch += 5;
    more.lost.extend([Head {
        size: 900,
        root: Digest([4; 32]),
    }]);
    assert_eq!(more.check(&found, now), Ok(()));
}

#[test]
fn it_says_something_of_every_key() {
    let signer = Signer::new(governed());
    let good = epoch(&signer, 0);
    assert_eq!(good.check_whole(&governed()), Ok(()));
    let refused = |change: fn(&mut NewEpoch)| {
        let mut other = good.clone();
        change(&mut other);
        let name = other.check_whole(&governed()).unwrap_err().unseal_name();
        assert!(matches!(
            self::refused(&signer, began(&other)),
            StateError::Unseal(_)
        ));
        name
    };
    assert_eq!(refused(|s| drop(s.next.pop_first())), "unseal-next");
    assert_eq!(refused(|s| s.next.extend([said("k1", 9)])), "unseal-next");
    assert_eq!(refused(|s| drop(s.drains.pop_last())), "unseal-drain");
    let twice = |s: &mut NewEpoch| {
        let to = stranger(BTC, 1);
        s.drains.insert(Drain {
            key: name("k1"),
            to,
        });
    };
    assert_eq!(refused(twice), "unseal-drain");
    // Keys of which this bundle knows nothing may have been lost with a later one.
    let mut more = good.clone();
    more.next.insert(said("k9", 3));
    more.drains.insert(drain("k9"));
    assert_eq!(more.check_whole(&governed()), Ok(()));
    // No key is drained to itself.
    let mut itself = good.clone();
    itself.drains.remove(&drain("k1"));
    itself.drains.insert(Drain {
        key: name("k1"),
        to: own("k1", BTC),
    });
    assert!(matches!(
        self::refused(&signer, began(&itself)),
        StateError::Unseal(StatementError::Drain { .. })
    ));
}

#[test]
fn the_state_takes_no_epoch_that_is_made_up() {
    let signer = Signer::new(governed());
    let good = epoch(&signer, 0);
    let with = |change: fn(&mut Resumed)| {
        let mut wrong = began(&good);
        change(&mut wrong);
        refused(&signer, wrong)
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
    assert_eq!(
        with(|wrong| drop(wrong.signed_by.pop_first())),
        StateError::Statement
    );
    let said = |change: fn(&mut NewEpoch)| {
        let mut wrong = good.clone();
        change(&mut wrong);
        match refused(&signer, began(&wrong)) {
            StateError::Unseal(error) => error.unseal_name(),
            StateError::Policy { .. } => "policy",
            other => panic!("{other}"),
        }
    };
    assert_eq!(said(|s| s.fleet = name("other")), "unseal-fleet");
    assert_eq!(said(|s| s.head.size -= 1), "unseal-head");
    assert_eq!(said(|s| s.head.size = 0), "unseal-head");
    assert_eq!(said(|s| s.epoch = 1), "unseal-epoch");
    assert_eq!(
        said(|s| s.begins = s.begins.after_millis(1)),
        "unseal-begins"
    );
    assert_eq!(said(|s| s.bundle = BundleHash([9; 32])), "policy");
    assert_eq!(said(|s| s.sequence = 2), "policy");
    let mut signer = signer;
    begin(&mut signer, &good);
    assert_eq!(refused(&signer, began(&good)), StateError::Statement);
    assert_eq!(signer.state.epoch(), 2);
    let mut same = epoch(&signer, 0);
    same.epoch = 2;
    assert!(matches!(
        refused(&signer, began(&same)),
        StateError::Unseal(StatementError::Epoch { .. })
    ));
}

/// Where nothing is there the epoch begins right behind the bundle whose officers sign.
#[test]
fn a_new_log_begins_with_it() {
    let signer = new_log();
    assert_eq!(signer.state.epoch(), 2);
    assert_eq!(signer.records.len(), 3 + 5);
    // Whatever its index is, what is behind something else is no new log.
    let mut late = Signer::new(governed());
    late.state = State::new();
    for entry in [
        Entry::Genesis {
            fleet: name("main"),
        },
        Entry::KeyRegistered(registration(
            "k1",
            "0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798",
        )),
    ] {
        late.push(entry);
    }
    let mut statement = epoch(&late, 0);
    statement.head.size = 0;
    assert!(matches!(
        refused(&late, began(&statement)),
        StateError::Policy { .. }
    ));
}

/// A log that began with a new epoch.
fn new_log() -> Signer {
    let mut signer = Signer::new(governed());
    let registered: Vec<Entry> = signer.records[1..]
        .iter()
        .map(|record| record.entry.clone())
        .filter(|entry| matches!(entry, Entry::KeyRegistered(_)))
        .collect();
    (signer.state, signer.records) = (State::new(), Vec::new());
    let fleet = name("main");
    signer.push(Entry::Genesis { fleet });
    signer.activate(governed());
    let mut statement = epoch(&signer, 3);
    (statement.epoch, statement.head.size) = (2, 0);
    begin(&mut signer, &statement);
    for entry in registered {
        signer.push(entry);
    }
    signer
}

#[test]
fn every_window_is_full_until_it_has_passed() {
    let limits = vec![
        limit("short", eth(), 10, 100 * SECOND),
        grouped(
            limit("each", eth(), 10, 200 * SECOND),
            &[Group::Destination],
        ),
    ];
    let mut signer = Signer::new(with_limits(limits));
    signer.charged(&Ask::evm("a", 0, 100).pay("a", 1, 1));
    let statement = epoch(&signer, 1);
    begin(&mut signer, &statement);
    let pay = |signer: &Signer| of_epoch(signer, Ask::evm("b", 1, 100).pay("b", 1, 1));
    let names = |signer: &Signer, ask: &Ask| -> Vec<String> {
        let reasons = signer.reasons(ask).into_iter();
        let limits = reasons.map(|reason| {
            assert_eq!(reason.code, ReasonCode::Limit, "{reason:?}");
            reason.statement.unwrap().to_string()
        });
        limits.collect()
    };
    let ask = pay(&signer);
    assert_eq!(names(&signer, &ask), ["each", "short"]);
    let rooms = signer.state.room(signer.now).unwrap();
    assert!(rooms.iter().all(|room| room.used == room.cap), "{rooms:?}");
    signer.pass(100 * SECOND - 1);
    assert_eq!(names(&signer, &ask), ["each", "short"]);
    signer.pass(1);
    assert_eq!(names(&signer, &ask), ["each"]);
    // A bundle that widens, adds or renames is full by its own windows, since the epoch began.
    signer.activate(Policy {
        sequence: 2,
        hash: BundleHash([2; 32]),
        limits: vec![
            limit("wider", eth(), 1_000_000, 150 * SECOND),
            limit("new", eth(), 1_000_000, 90 * DAY),
        ],
        ..governed()
    });
    assert_eq!(names(&signer, &ask), ["new", "wider"]);
    signer.pass(50 * SECOND);
    assert_eq!(names(&signer, &ask), ["new"]);
    signer.pass(90 * DAY - 150 * SECOND);
    assert!(signer.permit(&ask).is_ok());
}

/// What was charged before, and is known, gives no discount to what replaces it.
#[test]
fn a_known_conflict_set_has_no_room_in_a_full_window() {
    let limits = vec![limit("eth", eth(), 10, 100 * SECOND)];
    let mut signer = Signer::new(with_limits(limits));
    let first = signer.charged(&Ask::evm("a", 0, 100).pay("a", 9, 1));
    let statement = epoch(&signer, 0);
    begin(&mut signer, &statement);
    let smaller = Ask::evm("b", 0, 1_000).pay("b", 1, 1).replaces([first]);
    let smaller = of_epoch(&signer, smaller);
    assert_eq!(signer.codes(&smaller), only(ReasonCode::Limit));
}

#[test]
fn sequences_go_on_at_the_signed_values() {
    let mut signer = Signer::new(governed());
    signer.charged(&Ask::evm("a", 0, 100).pay("a", 1, 1));
    let statement = epoch(&signer, 7);
    begin(&mut signer, &statement);
    let at = |signer: &Signer, nonce| of_epoch(signer, Ask::evm("b", nonce, 1_000).pay("b", 1, 1));
    for nonce in [1, 6, 8] {
        assert_eq!(
            signer.codes(&at(&signer, nonce)),
            only(ReasonCode::Sequence)
        );
    }
    assert!(signer.permit(&at(&signer, 7)).is_ok());
    let registry = signer.state.registry();
    let key = registry.key_by_name(&name("k1")).unwrap();
    let next = signer.state.next_sequence_of(key, &own("k1", ETH));
    assert_eq!(next, Some(7));
    let ask = at(&signer, 7);
    signer.charged(&ask);
    let next = signer.state.next_sequence_of(key, &own("k1", ETH));
    assert_eq!(next, Some(8));
    // A later epoch does not go back.
    let statement = epoch(&signer, 2);
    begin(&mut signer, &statement);
    let codes = signer.codes(&at(&signer, 6));
    assert!(codes.contains(&ReasonCode::Sequence), "{codes:?}");
}

#[test]
fn intents_of_older_epochs_are_refused_whatever_their_id() {
    let mut signer = Signer::new(governed());
    let paid = Ask::evm("a", 0, 100).pay("known", 1, 1);
    signer.charged(&paid);
    let statement = epoch(&signer, 1);
    begin(&mut signer, &statement);
    for id in ["known", "lost"] {
        let old = Ask::evm(id, 1, 100).pay(id, 1, 1);
        assert_eq!(signer.codes(&old), only(ReasonCode::IntentEpoch));
    }
    // A known one is no other because it says another epoch.
    let again = of_epoch(&signer, Ask::evm("b", 1, 100).pay("known", 1, 1));
    assert_eq!(signer.codes(&again), only(ReasonCode::IntentReused));
}

#[test]
fn what_was_authorised_before_is_not_finished() {
    let mut signer = Signer::new(governed());
    let old = signer.charged(&Ask::evm("a", 0, 100).pay("a", 1, 1));
    assert!(!signer.state.is_past(old));
    let statement = epoch(&signer, 1);
    let from = begin(&mut signer, &statement);
    assert!(signer.state.is_past(old));
    assert!(!signer.state.is_past(AttemptId(from)));
}

#[test]
fn lanes_go_on_rising() {
    let mut signer = Signer::new(governed());
    signer.charged(&Ask::evm("a", 0, 100).pay("a", 1, 1).lane_epoch(1));
    let mut statement = epoch(&signer, 1);
    statement.lanes = 7;
    begin(&mut signer, &statement);
    let ask = |signer: &Signer, epoch| {
        of_epoch(signer, Ask::evm("b", 1, 100).pay("b", 1, 1)).lane_epoch(epoch)
    };
    for epoch in [0, 1, 6, 9] {
        assert_eq!(
            signer.codes(&ask(&signer, epoch)),
            only(ReasonCode::LaneEpoch)
        );
    }
    assert!(signer.permit(&ask(&signer, 7)).is_ok());
    assert!(signer.permit(&ask(&signer, 8)).is_ok());
    assert_eq!(signer.state.lane_epoch("a lane of nobody's"), Some(7));
}

#[test]
fn old_keys_only_drain() {
    let mut signer = Signer::new(governed());
    let cold_account = || Some(("cold", AccountClass::Cold));
    let drain = || Ask::utxo("d", [0], 1_000);
    let to = |ask: Ask, address, own| ask.effect(EffectKind::OwnTransfer, 5, Some((address, own)));
    let home = to(drain(), cold(), cold_account());
    assert!(signer.permit(&home).is_ok());
    let statement = epoch(&signer, 0);
    begin(&mut signer, &statement);
    assert!(signer.permit(&home).is_ok());
    let both = to(to(drain(), cold(), cold_account()), cold(), cold_account());
    assert!(signer.permit(&both).is_ok());
    let paid = of_epoch(&signer, drain().pay("p", 5, 1));
    assert_eq!(signer.codes(&paid), only(ReasonCode::DrainOnly));
    let beside = of_epoch(&signer, to(drain(), cold(), cold_account()).pay("p", 5, 1));
    assert_eq!(signer.codes(&beside), only(ReasonCode::DrainOnly));
    // Change to itself keeps alive what was lost; and another own address is not the named one.
    let back = Some((own("k1", BTC), Some(("hot", AccountClass::Hot))));
    let back = drain().effect(EffectKind::Change, 5, back);
    assert_eq!(signer.codes(&back), only(ReasonCode::DrainOnly));
    let other = to(drain(), own("k5", BTC), None);
    assert!(signer.codes(&other).contains(&ReasonCode::DrainOnly));
    // What moves nothing is no drain, wherever it goes.
    let rent = drain().effect(EffectKind::Rent, 5, Some((cold(), cold_account())));
    assert!(signer.codes(&rent).contains(&ReasonCode::DrainOnly));
    // Keys that a later bundle brings are free, and a bundle frees no old one.
    let mut fresh = governed();
    (fresh.sequence, fresh.hash) = (2, BundleHash([2; 32]));
    let hot = fresh.accounts.get_mut(&name("hot")).unwrap();
    hot.keys.insert(name("k5"));
    signer.activate(fresh);
    let mut by_new = of_epoch(&signer, drain().pay("p", 5, 1));
    by_new.transaction.signings[0].key = name("k5");
    assert!(signer.permit(&by_new).is_ok());
    assert_eq!(signer.codes(&paid), only(ReasonCode::DrainOnly));
    // What one old key signs beside a new one is a drain, too.
    let mut mixed = by_new.clone();
    let old = paid.transaction.signings[0].clone();
    mixed.transaction.signings.push(old);
    assert_eq!(signer.codes(&mixed), only(ReasonCode::DrainOnly));
}

#[test]
fn an_old_key_may_drain_to_another_own_key() {
    let mut signer = Signer::new(governed());
    let mut statement = epoch(&signer, 0);
    statement.drains.remove(&drain("k1"));
    let to = own("k3", BTC);
    statement.drains.insert(Drain {
        key: name("k1"),
        to: to.clone(),
    });
    begin(&mut signer, &statement);
    let own = Some((to, Some(("hot2", AccountClass::Hot))));
    let moved = Ask::utxo("d", [0], 1_000).effect(EffectKind::OwnTransfer, 5, own);
    // The edge is not listed: that is another matter.
    assert_eq!(signer.codes(&moved), only(ReasonCode::Edge));
}

#[test]
fn freezes_stay_and_the_hot_state_says_it_all() {
    let mut signer = Signer::new(governed());
    signer.push(Entry::Frozen {
        scope: strongroom_policy::FreezeScope::Chain(ETH),
        reason: "test".into(),
    });
    let mut statement = epoch(&signer, 4);
    statement.lost = [Head {
        size: 900,
        root: Digest([4; 32]),
    }]
    .into();
    begin(&mut signer, &statement);
    let ask = of_epoch(&signer, Ask::evm("b", 4, 100).pay("b", 1, 1));
    assert_eq!(signer.codes(&ask), only(ReasonCode::Frozen));
    assert!(signer.state.is_lost(statement.lost.first().unwrap()));
    let hot = signer.state.hot();
    let bytes = hot.encode().unwrap();
    assert_eq!(HotState::decode(&bytes).unwrap(), hot);
    let restored = again(&signer.state, &[governed()]);
    assert_eq!(restored.hot(), hot);
    assert_eq!(restored.epoch(), 2);
    let text = String::from_utf8(bytes).unwrap();
    assert!(text.contains("\"epoch\":{\"number\":2,"), "{text}");
}

fn bounded() -> Vec<Statement<Limit>> {
    let mut count = limit("count", btc(), 6, 60 * SECOND);
    count.says.measure = Measure::Count;
    vec![
        limit("btc", btc(), 10, 100 * SECOND),
        limit("eth", eth(), 10, 100 * SECOND),
        grouped(limit("to", btc(), 7, 30 * SECOND), &[Group::Destination]),
        grouped(count, &[Group::Client, Group::Account]),
    ]
}

/// What the adversary chooses: what is known, what is lost, what comes after; what officers sign.
#[derive(Clone, Debug)]
struct Loss {
    known: Vec<Step>,
    lost: Vec<Step>,
    later: Vec<Step>,
    next: u64,
    wait_millis: u64,
    all_gone: bool,
}

fn losses() -> impl Strategy<Value = Loss> {
    let wait = prop_oneof![Just(0), Just(SECOND), Just(99 * SECOND), Just(200 * SECOND)];
    (runs(4), runs(6), runs(10), 0..4_u64, wait, any::<bool>()).prop_map(
        |(known, lost, later, next, wait_millis, all_gone)| Loss {
            known,
            lost,
            later,
            next,
            wait_millis,
            all_gone,
        },
    )
}

/// The signer that goes on in a new epoch, in the hands of who knows all that was signed.
fn after_loss(loss: &Loss) -> Hostile {
    let policy = with_limits(bounded());
    let mut hostile = Hostile::new(&Signer::new(policy.clone()));
    for step in &loss.known {
        let ask = hostile.take(step);
        hostile.charge(&ask);
    }
    let copy = hostile.signer.clone();
    for step in &loss.lost {
        let ask = hostile.take(step);
        hostile.charge(&ask);
    }
    let now = hostile.signer.now;
    hostile.signer = copy;
    hostile.signer.now = now;
    let signer = &mut hostile.signer;
    if loss.all_gone {
        let registered: Vec<Entry> = signer.records.iter().map(|r| r.entry.clone()).collect();
        (signer.state, signer.records) = (State::new(), Vec::new());
        let fleet = name("main");
        signer.push(Entry::Genesis { fleet });
        signer.activate(policy.clone());
        let mut statement = epoch(signer, loss.next);
        statement.head.size = 0;
        begin(signer, &statement);
        for entry in registered {
            if matches!(entry, Entry::KeyRegistered(_)) {
                signer.push(entry);
            }
        }
    } else {
        let statement = epoch(signer, loss.next);
        begin(signer, &statement);
    }
    let mut fresh = policy;
    (fresh.sequence, fresh.hash) = (2, BundleHash([2; 32]));
    let hot = fresh.accounts.get_mut(&name("hot")).unwrap();
    hot.keys.insert(name("k5"));
    signer.activate(fresh);
    signer.pass(loss.wait_millis);
    hostile
}

/// By the key that is new, where the old one would only drain; sometimes as it was asked before.
fn renewed(signer: &Signer, ask: Ask, turn: usize) -> Ask {
    let mut ask = if turn % 5 == 4 {
        ask
    } else {
        of_epoch(signer, ask)
    };
    if ask.transaction.chain == BTC && turn % 4 != 3 {
        ask.transaction.signings[0].key = name("k5");
    }
    ask
}

/// Whatever was lost, and whatever comes after: invariants 1 and 2 hold of both together.
#[test]
fn nothing_that_was_lost_makes_room_or_is_paid_again() {
    let charged = std::cell::Cell::new(0_u64);
    let run = |loss: Loss| {
        let mut hostile = after_loss(&loss);
        for (turn, step) in loss.later.iter().enumerate() {
            let asked = hostile.take(step);
            let ask = renewed(&hostile.signer, asked, turn);
            if hostile.charge(&ask) {
                charged.set(charged.get() + 1);
                holds(&hostile)?;
            }
        }
        Ok(())
    };
    runner(3_000).run(&losses(), run).unwrap();
    let charged = charged.get();
    assert!(charged > 1_000, "only {charged} were charged");
}

fn holds(hostile: &Hostile) -> Result<(), TestCaseError> {
    for limit in bounded() {
        let now = hostile.signer.now.lo;
        for (group, (attempts, weights)) in in_window(&limit, &hostile.done, now) {
            let heaviest = heaviest(&attempts, &weights);
            prop_assert!(heaviest <= limit.says.cap, "{} {group:?}", limit.name);
        }
    }
    for epoch in [1, 2] {
        let mut of_epoch = hostile.done.clone();
        of_epoch.retain(|done| {
            let mut intents = done.attempt.intents.iter();
            intents.all(|signed| signed.intent.epoch == epoch)
        });
        for (intent, (together, reissues)) in confirmable(&of_epoch) {
            prop_assert!(together <= 1 + reissues, "{intent} in epoch {epoch}");
        }
    }
    let of_old = |done: &&crate::hostile::Done| {
        let mut intents = done.attempt.intents.iter();
        done.attempt.policy == BundleHash([2; 32]) && intents.any(|s| s.intent.epoch != 2)
    };
    prop_assert!(hostile.done.iter().find(of_old).is_none());
    Ok(())
}
