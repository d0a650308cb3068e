//! The recovery set replaces people and nothing else, slowly and under a freeze that nobody lifts.

use std::{collections::BTreeSet, sync::Arc};

use strongroom_policy::{
    BundleHash, BundleQuorum, Entry, FreezeScope, Heartbeat, HotState, Person, Policy,
    PolicyProposed, PolicyVetoed, Record, Recovery, Resumed, StateError, Unfrozen, beside_people,
    statement::{self, Unfreeze, Veto},
    widenings,
};
use tlog::cosignature::{Quorum, WitnessKey};
use tx::Time;

use crate::{
    fixture::{Ask, DAY, Signer, name, names, policy},
    unseal::{governed, officer},
};

const DELAY: u64 = 14 * DAY;

fn person(seed: u8) -> Person {
    let key = officer(seed).public_key().to_openssh().unwrap();
    Person {
        keys: [key].into(),
        ..Person::default()
    }
}

/// Two of rita, rob and roy stand by for ann, ben and cem.
fn running() -> Policy {
    let mut policy = governed();
    for (seed, who) in [(21, "rita"), (22, "rob"), (23, "roy")] {
        policy.people.insert(name(who), person(seed));
    }
    policy.governance.delay_millis = DAY;
    policy.recovery = Some(Recovery {
        threshold: 2,
        people: names(["rita", "rob", "roy"]),
        delay_millis: DELAY,
    });
    policy.heartbeat = Some(Heartbeat {
        within_millis: 90 * DAY,
        threshold: 1,
        people: policy.governance.officers.clone(),
    });
    policy
}

/// The next bundle, in which dan is all that is left of the officers.
fn replaced() -> Policy {
    let mut policy = running();
    (policy.hash, policy.sequence) = (BundleHash([2; 32]), 2);
    policy.people.insert(name("dan"), person(4));
    policy.people.remove(&name("cem"));
    policy.governance.officers = names(["dan", "ben"]);
    policy.heartbeat.as_mut().unwrap().people = names(["dan", "ben"]);
    policy.groups.insert(name("new"), names(["dan"]));
    policy
}

fn proposed(signer: &Signer, policy: &Policy, people: &[&str]) -> Entry {
    Entry::PolicyProposed(PolicyProposed {
        hash: policy.hash,
        sequence: policy.sequence,
        signed_by: names(people.iter().copied()),
        not_before: signer.now.lo.after_millis(DELAY),
        quorum: BundleQuorum::Recovery,
    })
}

fn activated(policy: &Policy) -> Entry {
    Entry::PolicyActivated {
        hash: policy.hash,
        sequence: policy.sequence,
        signed_by: names(["rita", "roy"]),
    }
}

fn freeze(signer: &mut Signer) -> u64 {
    signer.push(Entry::Frozen {
        scope: FreezeScope::All,
        reason: "no heartbeat".into(),
    })
}

fn unfreeze(signer: &Signer, at: u64, scope: FreezeScope) -> Entry {
    let unfreeze = Unfreeze {
        fleet: name("main"),
        entry: at,
        scope: scope.clone(),
    };
    let (text, namespace) = (unfreeze.to_string(), unfreeze.header().namespace());
    let one = |seed: u8| statement::sign(&text, &namespace, &officer(seed)).unwrap();
    Entry::Unfrozen(Box::new(Unfrozen {
        scope,
        from: signer.now.lo,
        by: Resumed {
            hash: unfreeze.hash(),
            signatures: one(1) + &one(2),
            signed_by: names(["ann", "ben"]),
            statement: text,
        },
    }))
}

fn refused(signer: &Signer, entry: Entry) -> StateError {
    let record = Record {
        v: 1,
        time: signer.now,
        entry,
    };
    let mut state = signer.state.clone();
    state.apply(state.entries(), &record).unwrap_err()
}

/// Frozen, and with the bundle waiting.
fn waiting() -> (Signer, Policy, u64) {
    let mut signer = Signer::new(running());
    let at = freeze(&mut signer);
    let offered = replaced();
    let entry = proposed(&signer, &offered, &["rita", "roy"]);
    signer.push(entry);
    (signer, offered, at)
}

#[test]
fn it_governs_when_it_has_waited_under_the_freeze_and_the_freeze_stays() {
    let (mut signer, offered, at) = waiting();
    let offered = Arc::new(offered);
    signer.pass(DELAY - 1);
    let early = StateError::Early {
        not_before: signer.now.lo.after_millis(1),
    };
    assert_eq!(refused(&signer, activated(&offered)), early);
    signer.pass(1);
    signer.state.check_activation(&offered).unwrap();
    signer.push(activated(&offered));
    signer.state.activate(Arc::clone(&offered)).unwrap();
    assert_eq!(signer.state.active(), Some(offered.hash));
    assert!(signer.state.stands_frozen());
    let asked = Ask::evm("asked", 0, 10).pay("i", 1, 1);
    assert!(signer.permit(&asked).is_err(), "it lifts nothing");
    // The new officers lift it, and those of before do not.
    let old = refused(&signer, unfreeze(&signer, at, FreezeScope::All));
    assert!(matches!(old, StateError::Unseal(_)), "{old}");
}

#[test]
fn nothing_of_it_is_taken_while_not_everything_is_frozen() {
    let mut signer = Signer::new(running());
    let offered = replaced();
    let entry = || proposed(&signer, &offered, &["rita", "roy"]);
    assert_eq!(refused(&signer, entry()), StateError::RecoveryFrozen);
    let entry = entry();
    signer.push(Entry::Frozen {
        scope: FreezeScope::Account(name("hot")),
        reason: "a part".into(),
    });
    assert_eq!(refused(&signer, entry.clone()), StateError::RecoveryFrozen);
    let at = freeze(&mut signer);
    // One that ends is not good enough.
    let mut ends = signer.clone();
    ends.push(unfreeze(&ends, at, FreezeScope::All));
    assert_eq!(refused(&ends, entry.clone()), StateError::RecoveryFrozen);
    signer.push(entry);
}

#[test]
fn whoever_lifts_the_freeze_puts_it_aside_for_good() {
    let (mut signer, offered, at) = waiting();
    signer.pass(DELAY / 2);
    signer.push(unfreeze(&signer, at, FreezeScope::All));
    assert_eq!(signer.state.proposed(), None);
    freeze(&mut signer);
    signer.pass(DELAY);
    let offered = Arc::new(offered);
    assert!(signer.state.check_activation(&offered).is_err());
    // Nor by an entry that says that it governs.
    let mut forged = signer.clone();
    forged.push(activated(&offered));
    assert!(matches!(
        forged.state.activate(offered).unwrap_err(),
        StateError::Wider(_)
    ));
}

#[test]
fn a_freeze_of_a_part_that_is_lifted_means_nothing_to_it() {
    let mut signer = Signer::new(running());
    let hot = FreezeScope::Account(name("hot"));
    let part = signer.push(Entry::Frozen {
        scope: hot.clone(),
        reason: "a part".into(),
    });
    freeze(&mut signer);
    let entry = proposed(&signer, &replaced(), &["rita", "rob"]);
    signer.push(entry);
    signer.push(unfreeze(&signer, part, hot));
    assert!(signer.state.proposed().is_some());
}

#[test]
fn one_officer_who_is_still_there_vetoes_it() {
    let (mut signer, offered, _) = waiting();
    let veto = Veto {
        fleet: name("main"),
        entry: signer.state.proposed().unwrap().entry,
        bundle: offered.hash,
    };
    let (text, namespace) = (veto.to_string(), veto.header().namespace());
    let vetoed = |seed: u8, who: &str| {
        Entry::PolicyVetoed(Box::new(PolicyVetoed {
            bundle: offered.hash,
            by: Resumed {
                hash: veto.hash(),
                signatures: statement::sign(&text, &namespace, &officer(seed)).unwrap(),
                signed_by: names([who]),
                statement: text.clone(),
            },
        }))
    };
    // Not by one of the set, nor by an officer to be.
    for (seed, who) in [(22, "rob"), (4, "dan")] {
        let error = refused(&signer, vetoed(seed, who));
        assert!(matches!(error, StateError::Unseal(_)), "{error}");
    }
    signer.push(vetoed(3, "cem"));
    assert_eq!(signer.state.proposed(), None);
    signer.pass(DELAY);
    let hash = offered.hash;
    assert_eq!(
        refused(&signer, activated(&offered)),
        StateError::Vetoed { hash }
    );
}

#[test]
fn it_waits_as_long_as_the_running_bundle_says_and_by_enough_of_its_people() {
    let mut signer = Signer::new(running());
    freeze(&mut signer);
    let offered = replaced();
    for people in [&["rita"][..], &["ann", "ben"], &["rita", "dan"]] {
        let entry = proposed(&signer, &offered, people);
        assert_eq!(refused(&signer, entry), StateError::Statement, "{people:?}");
    }
    let must = signer.now.lo.after_millis(DELAY);
    for said in [DAY, DELAY - 1, DELAY + 1] {
        let said = signer.now.lo.after_millis(said);
        let Entry::PolicyProposed(entry) = proposed(&signer, &offered, &["rita", "rob"]) else {
            unreachable!();
        };
        let entry = Entry::PolicyProposed(PolicyProposed {
            not_before: said,
            ..entry
        });
        assert_eq!(refused(&signer, entry), StateError::Delay { said, must });
    }
    let mut without = Signer::new(governed());
    freeze(&mut without);
    let entry = proposed(&without, &offered, &["rita", "rob"]);
    assert_eq!(refused(&without, entry), StateError::NoRecovery);
}

#[test]
fn what_changes_more_than_people_does_not_govern_however_long_it_waits() {
    let mut signer = Signer::new(running());
    freeze(&mut signer);
    let mut offered = replaced();
    offered.denies.clear();
    offered.governance.delay_millis = 0;
    let entry = proposed(&signer, &offered, &["rita", "roy"]);
    signer.push(entry);
    signer.pass(DELAY);
    let offered = Arc::new(offered);
    let differs = StateError::RecoveryDiffers(["a delay of the governance"].into());
    assert_eq!(
        signer.state.check_activation(&offered),
        Err(differs.clone())
    );
    let quorum = BundleQuorum::Recovery;
    assert_eq!(
        signer.state.check_proposal(&offered, quorum),
        Err(differs.clone())
    );
    // Nor by an entry that says that it governs.
    signer.push(activated(&offered));
    assert_eq!(signer.state.activate(offered), Err(differs));
}

#[test]
fn people_and_who_of_them_are_officers_may_differ() {
    assert_eq!(beside_people(&running(), &running()), BTreeSet::new());
    assert_eq!(beside_people(&running(), &replaced()), BTreeSet::new());
    let mut fewer = replaced();
    fewer.governance.threshold = 1;
    fewer.people.insert(name("ann"), person(9));
    assert_eq!(beside_people(&running(), &fewer), BTreeSet::new());
    // Where a statement stands means nothing.
    let mut moved = replaced();
    moved.allows[0].at.line += 7;
    moved.allows.reverse();
    assert_eq!(beside_people(&running(), &moved), BTreeSet::new());
    // A heartbeat of others stays theirs.
    let with = |policy: Policy, people: &[&str]| {
        let mut policy = policy;
        policy.heartbeat.as_mut().unwrap().people = names(people.iter().copied());
        policy
    };
    let others = with(running(), &["cem"]);
    let heartbeat = BTreeSet::from(["the heartbeat"]);
    assert_eq!(beside_people(&others, &replaced()), heartbeat);
    assert_eq!(
        beside_people(&others, &with(replaced(), &["cem"])),
        BTreeSet::new()
    );
    assert_eq!(
        beside_people(&running(), &with(replaced(), &["dan"])),
        heartbeat
    );
}

type Change = fn(&mut Policy);

const OF_WHO_GOVERNS: &[(&str, Change)] = &[
    ("the fleet", |to| to.fleet = name("other")),
    ("a delay of the governance", |to| {
        to.governance.delay_millis += 1
    }),
    ("a delay of the governance", |to| {
        to.governance.unfreeze_delay_millis += 1
    }),
    ("the recovery set", |to| to.recovery = None),
    ("the recovery set", |to| {
        to.recovery.as_mut().unwrap().threshold = 3
    }),
    ("the recovery set", |to| {
        to.recovery.as_mut().unwrap().delay_millis -= 1
    }),
    ("the recovery set", |to| {
        to.recovery.as_mut().unwrap().people.insert(name("dan"));
    }),
    ("the recovery set", |to| {
        to.people.insert(name("rob"), person(9));
    }),
    ("the heartbeat", |to| to.heartbeat = None),
    ("the heartbeat", |to| {
        to.heartbeat.as_mut().unwrap().within_millis += 1
    }),
    ("the heartbeat", |to| {
        to.heartbeat.as_mut().unwrap().threshold += 1
    }),
];

const OF_WHAT_IS_OURS: &[(&str, Change)] = &[
    ("the witnesses", |to| {
        let key = officer(9);
        let public = key.public_key().key_data().ed25519().unwrap().0;
        let witness = WitnessKey::new("w.example".parse().unwrap(), &public).unwrap();
        to.witnesses = Some(Quorum::majority(vec![witness]).unwrap());
    }),
    ("the auditors", |to| {
        let key = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p";
        to.auditors.insert(key.parse().unwrap());
    }),
    ("the approval page", |to| {
        to.approval_page = "https://a.example".parse().ok();
        assert!(to.approval_page.is_some());
    }),
    ("what certifies clients", |to| {
        to.client_roots.push("root".into())
    }),
    ("a client", |to| {
        to.clients.remove(&name("other"));
    }),
    ("a source", |to| {
        to.sources.remove(&name("refunds"));
    }),
    ("an account", |to| {
        to.accounts.remove(&name("old"));
    }),
    ("an edge", |to| to.edges.clear()),
    ("what is set for a chain", |to| {
        to.chains.values_mut().next().unwrap().max_ahead += 1;
    }),
    ("where a sequence starts", |to| to.sequences.clear()),
    ("a function", |to| {
        let function = tx::evm::Function {
            name: name("poke"),
            signature: tx::evm::Signature::parse("poke(uint256 n)").unwrap(),
        };
        let contract = crate::fixture::stranger(crate::fixture::ETH, 9);
        to.functions.declare(contract, Arc::new(function)).unwrap();
    }),
    ("a book", |to| {
        to.books.insert(name("more"), crate::fixture::book([]));
    }),
    ("the hours", |to| to.hours.clear()),
    ("who attests, or what is taken of it", |to| {
        to.attestations.currency = Some(name("usd"));
    }),
];

const OF_WHAT_IS_SAID: &[(&str, Change)] = &[
    ("an allow", |to| to.allows.clear()),
    ("a deny", |to| {
        let at = to.allows[0].at.clone();
        to.denies.push(strongroom_policy::Statement {
            name: name("no"),
            at,
            selector: strongroom_policy::Selector::default(),
            says: strongroom_policy::Deny,
        });
    }),
    ("a require of attesters", |to| {
        let says = strongroom_policy::AttestedNeed {
            attested: strongroom_policy::AttestationKind::Head,
            within_millis: DAY,
        };
        let selector = strongroom_policy::Selector::default();
        let require = crate::fixture::statement("seen", selector, says);
        to.requires_attested.push(require);
    }),
    ("a limit", |to| {
        to.limits
            .push(crate::fixture::limit("day", crate::fixture::btc(), 1, DAY));
    }),
    ("an asset", |to| {
        let asset = crate::fixture::btc();
        to.assets.insert(
            name("btc"),
            strongroom_policy::AssetUnit { asset, decimals: 8 },
        );
    }),
];

/// Each field by itself; `beside_people` names every field of a policy, so that a new one does not compile there.
#[test]
fn nothing_else_may_differ() {
    let changes = [OF_WHO_GOVERNS, OF_WHAT_IS_OURS, OF_WHAT_IS_SAID].concat();
    for (what, change) in changes {
        let mut offered = replaced();
        change(&mut offered);
        assert_eq!(beside_people(&running(), &offered), [what].into(), "{what}");
    }
    let needs = |to: &mut Policy, people: &[&str]| {
        let need = crate::fixture::need(1, people);
        let selector = strongroom_policy::Selector::default();
        let says = strongroom_policy::Require { need: need.clone() };
        let require = crate::fixture::statement("ask", selector.clone(), says);
        let says = strongroom_policy::Evacuate { need };
        to.requires.push(require);
        to.evacuates
            .push(crate::fixture::statement("out", selector, says));
    };
    let (mut from, mut to) = (running(), replaced());
    needs(&mut from, &["ann"]);
    needs(&mut to, &["dan"]);
    assert_eq!(
        beside_people(&from, &to),
        ["a require", "an evacuate"].into()
    );
}

#[test]
fn another_recovery_set_waits_and_so_do_other_keys_of_it() {
    let with = |change: fn(&mut Recovery)| {
        let mut offered = running();
        change(offered.recovery.as_mut().unwrap());
        !widenings(&running(), &offered).is_empty()
    };
    assert!(with(|set| set.delay_millis += 1));
    assert!(with(|set| set.threshold = 3));
    assert!(with(|set| {
        set.people.remove(&name("rob"));
    }));
    let mut fewer = running();
    fewer.people.insert(name("rita"), Person::default());
    assert!(!widenings(&running(), &fewer).is_empty());
    let none = Policy {
        recovery: None,
        ..running()
    };
    assert!(!widenings(&running(), &none).is_empty());
    assert!(!widenings(&none, &running()).is_empty());
    assert!(widenings(&policy(), &policy()).is_empty());
}

#[test]
fn whose_signatures_they_are_is_in_the_hot_state_and_in_the_entry() {
    let (signer, _, _) = waiting();
    let hot = signer.state.hot();
    let text = String::from_utf8(hot.encode().unwrap()).unwrap();
    assert!(text.contains(r#""quorum":"recovery""#), "{text}");
    assert_eq!(HotState::decode(text.as_bytes()).unwrap(), hot);
    let entry = serde_json::to_string(&signer.records.last().unwrap().entry).unwrap();
    assert!(entry.ends_with(r#""quorum":"recovery"}}"#), "{entry}");
    // As it was written before there was a recovery set.
    let old = entry.replace(r#","quorum":"recovery""#, "");
    let Entry::PolicyProposed(old) = serde_json::from_str(&old).unwrap() else {
        panic!("another entry");
    };
    assert_eq!(old.quorum, BundleQuorum::Officers);
    assert_eq!(old.not_before, Time::from_millis(old.not_before.millis()));
}
