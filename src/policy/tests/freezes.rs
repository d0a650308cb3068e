//! One officer freezes at once, enough of them un-freeze, and what was held stays held.

use strongroom_policy::{
    AttemptId, Entry, Evacuate, FreezeScope, FrozenBy, HotState, Policy, ReasonCode, Record,
    Resumed, State, StateError, Unfrozen, Verdict,
    statement::{self as signing, Freeze, Header, StatementError, Unfreeze},
};
use tx::{AccountClass, EffectKind, Time};

use crate::{
    fixture::{Ask, BTC, ETH, Signer, book, effects, name, need, own, statement, stranger},
    unseal::{governed, officer},
};

fn only(code: ReasonCode) -> std::collections::BTreeSet<ReasonCode> {
    [code].into()
}

const DELAY: u64 = 3_600_000;

fn signer() -> Signer {
    let mut policy: Policy = governed();
    policy.governance.unfreeze_delay_millis = DELAY;
    Signer::new(policy)
}

fn hot() -> FreezeScope {
    FreezeScope::Account(name("hot"))
}

fn signed(header: &Header, text: String, seeds: &[(u8, &str)]) -> Resumed {
    let namespace = header.namespace();
    let one = |(seed, _): &(u8, &str)| signing::sign(&text, &namespace, &officer(*seed)).unwrap();
    Resumed {
        hash: strongroom_policy::Digest([0; 32]),
        signatures: seeds.iter().map(one).collect(),
        signed_by: seeds.iter().map(|(_, who)| name(who)).collect(),
        statement: text,
    }
}

fn freeze(unfrozen: u64, scope: FreezeScope, seeds: &[(u8, &str)]) -> FrozenBy {
    let fleet = name("main");
    let freeze = Freeze {
        fleet,
        unfrozen,
        scope: scope.clone(),
    };
    let mut by = signed(&freeze.header(), freeze.to_string(), seeds);
    by.hash = freeze.hash();
    FrozenBy { scope, by }
}

fn unfreeze(entry: u64, scope: FreezeScope, from: Time, seeds: &[(u8, &str)]) -> Unfrozen {
    let fleet = name("main");
    let unfreeze = Unfreeze {
        fleet,
        entry,
        scope: scope.clone(),
    };
    let mut by = signed(&unfreeze.header(), unfreeze.to_string(), seeds);
    by.hash = unfreeze.hash();
    Unfrozen { scope, from, by }
}

fn refused(signer: &Signer, entry: Entry) -> StateError {
    let record = Record {
        v: 1,
        time: signer.now,
        entry,
    };
    let mut state: State = signer.state.clone();
    state.apply(state.entries(), &record).unwrap_err()
}

fn frozen(frozen: FrozenBy) -> Entry {
    Entry::FrozenBy(Box::new(frozen))
}

fn unfrozen(unfrozen: Unfrozen) -> Entry {
    Entry::Unfrozen(Box::new(unfrozen))
}

fn is_frozen(signer: &Signer) -> bool {
    matches!(
        signer.evaluate(&Ask::evm("asked", 0, 10).pay("i2", 1, 1)),
        Verdict::Refuse(_)
    )
}

#[test]
fn one_officer_is_enough_to_freeze_and_a_stranger_is_not() {
    let mut signer = signer();
    let dan = freeze(0, hot(), &[(4, "dan")]);
    assert!(matches!(
        refused(&signer, frozen(dan)),
        StateError::Unseal(StatementError::Quorum(_))
    ));
    let mut claimed = freeze(0, hot(), &[(1, "ben")]);
    assert_eq!(
        refused(&signer, frozen(claimed.clone())),
        StateError::Statement
    );
    claimed.scope = FreezeScope::All;
    assert_eq!(refused(&signer, frozen(claimed)), StateError::Statement);
    let late = freeze(1, hot(), &[(1, "ann")]);
    assert_eq!(
        refused(&signer, frozen(late)),
        StateError::Unfrozen { last: 0 }
    );
    assert!(!is_frozen(&signer));
    signer.push(frozen(freeze(0, hot(), &[(1, "ann")])));
    assert!(is_frozen(&signer));
    // Not twice: the second would hold what an evacuate let out since.
    let again = freeze(0, hot(), &[(2, "ben")]);
    assert_eq!(refused(&signer, frozen(again)), StateError::FrozenAlready);
}

#[test]
fn enough_officers_lift_a_freeze_after_its_delay() {
    let mut signer = signer();
    let entry = signer.push(frozen(freeze(0, hot(), &[(1, "ann")])));
    let from = signer.now.lo.after_millis(DELAY);
    let both = [(1, "ann"), (2, "ben")];
    let one = unfreeze(entry, hot(), from, &both[..1]);
    assert!(matches!(
        refused(&signer, unfrozen(one)),
        StateError::Unseal(StatementError::Quorum(_))
    ));
    for (entry, scope) in [(entry + 1, hot()), (entry, FreezeScope::All)] {
        let other = unfreeze(entry, scope, from, &both);
        assert_eq!(refused(&signer, unfrozen(other)), StateError::NotFrozen);
    }
    let early = unfreeze(entry, hot(), signer.now.lo, &both);
    assert!(matches!(
        refused(&signer, unfrozen(early)),
        StateError::Delay { .. }
    ));
    signer.push(unfrozen(unfreeze(entry, hot(), from, &both)));
    signer.pass(DELAY - 1);
    assert!(is_frozen(&signer));
    let kept = signer.state.hot();
    assert_eq!(HotState::decode(&kept.encode().unwrap()).unwrap(), kept);
    signer.pass(1);
    assert!(!is_frozen(&signer));
}

#[test]
fn one_officer_stops_what_others_are_about_to_lift() {
    let mut signer = signer();
    let entry = signer.push(frozen(freeze(0, hot(), &[(1, "ann")])));
    let from = signer.now.lo.after_millis(DELAY);
    let both = [(1, "ann"), (2, "ben")];
    let lifted = signer.push(unfrozen(unfreeze(entry, hot(), from, &both)));
    signer.push(frozen(freeze(lifted, hot(), &[(3, "cem")])));
    signer.pass(2 * DELAY);
    assert!(is_frozen(&signer));
    // The statement that lifted it is about the freeze before.
    let old = unfreeze(entry, hot(), signer.now.lo.after_millis(DELAY), &both);
    assert_eq!(refused(&signer, unfrozen(old)), StateError::NotFrozen);
}

#[test]
fn what_was_charged_before_a_freeze_stays_held_when_it_is_lifted() {
    let mut signer = signer();
    let attempt = signer.charged(&Ask::evm("before", 0, 10).pay("i1", 1, 1));
    let entry = signer.push(frozen(freeze(0, hot(), &[(1, "ann")])));
    let from = signer.now.lo.after_millis(DELAY);
    signer.push(unfrozen(unfreeze(
        entry,
        hot(),
        from,
        &[(1, "ann"), (2, "ben")],
    )));
    signer.pass(DELAY);
    assert!(signer.state.is_frozen(attempt).unwrap());
    let after: AttemptId = signer.charged(&Ask::evm("after", 1, 10).pay("i2", 1, 1));
    assert!(!signer.state.is_frozen(after).unwrap());
}

/// A signer with a book of two, of which one is paid, and own accounts that are paid.
fn with_book() -> Policy {
    let mut policy: Policy = governed();
    let held = [stranger(ETH, 1), stranger(ETH, 3)];
    policy.books.insert(name("payees"), book(held));
    policy.edges = AccountClass::ALL.map(|to| (AccountClass::Hot, to)).into();
    policy
}

fn payees() -> FreezeScope {
    FreezeScope::Book(name("payees"))
}

fn moved(id: &str, nonce: u64, class: AccountClass) -> Ask {
    let to = match class {
        AccountClass::Hot => (own("k3", ETH), Some(("hot2", class))),
        _ => (stranger(ETH, 200), Some(("cold", class))),
    };
    Ask::evm(id, nonce, 10).effect(EffectKind::OwnTransfer, 1, Some(to))
}

#[test]
fn a_frozen_book_holds_what_goes_to_it_and_nothing_else() {
    let mut signer = Signer::new(with_book());
    let to_it = signer.charged(&Ask::evm("to-it", 0, 10).pay("i1", 1, 1));
    let to_another = signer.charged(&Ask::evm("to-another", 1, 10).pay("i2", 1, 2));
    let entry = signer.push(frozen(freeze(0, payees(), &[(1, "ann")])));
    assert!(signer.state.is_frozen(to_it).unwrap());
    assert!(!signer.state.is_frozen(to_another).unwrap());
    let asked = Ask::evm("asked", 2, 10).pay("i3", 1, 3);
    assert_eq!(signer.codes(&asked), only(ReasonCode::Frozen));
    assert_eq!(signer.reasons(&asked)[0].detail, "book payees is frozen");
    assert!(
        signer
            .permit(&Ask::evm("free", 2, 10).pay("i4", 1, 2))
            .is_ok()
    );
    // One of several is enough.
    let batch = Ask::utxo("batch", [0], 1_000).pay("i5", 1, 2);
    assert!(signer.permit(&batch).is_ok());
    assert!(
        signer
            .permit(&moved("moved", 2, AccountClass::Cold))
            .is_ok()
    );
    let kept = signer.state.hot();
    assert_eq!(HotState::decode(&kept.encode().unwrap()).unwrap(), kept);
    let both = [(1, "ann"), (2, "ben")];
    signer.push(unfrozen(unfreeze(entry, payees(), signer.now.lo, &both)));
    assert!(signer.permit(&asked).is_ok());
    assert!(signer.state.is_frozen(to_it).unwrap(), "it stays held");
}

#[test]
fn a_frozen_class_holds_what_goes_to_it_and_no_change() {
    let mut signer = Signer::new(with_book());
    let cold = signer.charged(&moved("cold", 0, AccountClass::Cold));
    let paid = signer.charged(&Ask::evm("paid", 1, 10).pay("i1", 1, 1));
    let scope = FreezeScope::OwnClass(AccountClass::Cold);
    signer.push(frozen(freeze(0, scope, &[(1, "ann")])));
    assert!(signer.state.is_frozen(cold).unwrap());
    assert!(!signer.state.is_frozen(paid).unwrap());
    let again = moved("again", 2, AccountClass::Cold);
    assert_eq!(signer.codes(&again), only(ReasonCode::Frozen));
    assert!(signer.permit(&moved("hot", 2, AccountClass::Hot)).is_ok());
    // What comes back has not gone to a hot account.
    let scope = FreezeScope::OwnClass(AccountClass::Hot);
    signer.push(frozen(freeze(0, scope, &[(1, "ann")])));
    let hot = moved("hot", 2, AccountClass::Hot);
    assert_eq!(signer.codes(&hot), only(ReasonCode::Frozen));
    let back = (own("k2", BTC), Some(("hot", AccountClass::Hot)));
    let change = Ask::utxo("change", [0], 1_000).pay("i2", 1, 1);
    let change = change.effect(EffectKind::Change, 5, Some(back));
    assert!(signer.permit(&change).is_ok());
}

#[test]
fn under_a_freeze_of_a_destination_an_evacuate_asks_its_people() {
    let mut evacuating = with_book();
    for (text, kind) in [("out", EffectKind::Payment), ("fees", EffectKind::Fee)] {
        let need = need(1, &["ann"]);
        let says = Evacuate { need };
        let out = statement(text, effects(&[kind]), says);
        evacuating.evacuates.push(out);
    }
    let mut signer = Signer::new(evacuating);
    signer.push(frozen(freeze(0, payees(), &[(1, "ann")])));
    let asked = Ask::evm("asked", 0, 10).pay("i1", 1, 1);
    assert_eq!(signer.codes(&asked), only(ReasonCode::Frozen));
    let Verdict::Refuse(refusal) = signer.evaluate(&asked) else {
        panic!("not refused");
    };
    let needs = refusal.needs.iter().map(|need| need.statement.as_str());
    assert_eq!(needs.collect::<Vec<_>>(), ["fees", "out"]);
}

#[test]
fn the_statements_have_one_text() {
    for scope in [
        FreezeScope::All,
        hot(),
        payees(),
        FreezeScope::OwnClass(AccountClass::Cold),
        FreezeScope::Key(name("k1")),
        FreezeScope::Chain(crate::fixture::ETH),
    ] {
        let by = freeze(7, scope.clone(), &[(1, "ann")]).by;
        assert_eq!(
            Freeze::parse(&by.statement).unwrap().to_string(),
            by.statement
        );
        assert!(Unfreeze::parse(&by.statement).is_err());
        let by = unfreeze(7, scope, Time::from_millis(0), &[(1, "ann")]).by;
        assert_eq!(
            Unfreeze::parse(&by.statement).unwrap().to_string(),
            by.statement
        );
        assert!(Freeze::parse(&by.statement).is_err());
        for n in 0..by.statement.len() {
            let mut bytes = by.statement.clone().into_bytes();
            bytes[n] ^= 1;
            let changed = String::from_utf8(bytes).unwrap();
            assert_ne!(
                Unfreeze::parse(&changed),
                Unfreeze::parse(&by.statement),
                "{n}"
            );
        }
    }
}
