//! What approvals do. No request can bring any yet, so that only the inside can be tested.

#[allow(dead_code, reason = "shared with the tests of the public API")]
#[path = "../tests/fixture.rs"]
mod fixture;

use std::collections::{BTreeMap, BTreeSet};

use tx::{AccountClass, EffectKind, Name};

use super::decide;
use crate::{
    Digest, Entry, Evacuate, FreezeScope, Need, Permit, Policy, Require, Selector, To, Verdict,
};
use fixture::{
    Ask, BTC, DAY, Signer, amount, btc, effects, limit, names, need, policy, statement, stranger,
};

type Approvals = BTreeMap<Digest, BTreeSet<Name>>;

fn approved(need: &Need, people: &[&str]) -> Approvals {
    [(need.fingerprint(), names(people.iter().copied()))].into()
}

fn decided(signer: &Signer, ask: &Ask, approvals: &Approvals) -> Verdict {
    let decoded = ask.transaction.clone().decoded();
    decide(&signer.state, signer.now, &decoded, &ask.request, approvals).unwrap()
}

fn permitted(signer: &Signer, ask: &Ask, approvals: &Approvals) -> Permit {
    match decided(signer, ask, approvals) {
        Verdict::Permit(permit) => *permit,
        other => panic!("not permitted: {other:?}"),
    }
}

fn pay(id: &str, input: u32, units: u64) -> Ask {
    Ask::utxo(id, [input], 1_000).pay(id, units, 1)
}

#[test]
fn a_requirement_is_met_by_enough_of_its_people() {
    let two = need(2, &["alice", "bob", "carol"]);
    let requires = vec![statement(
        "big",
        effects(&[EffectKind::Payment]),
        Require { need: two.clone() },
    )];
    let signer = Signer::new(Policy {
        requires,
        ..policy()
    });
    for people in [
        &[][..],
        &["alice"],
        &["alice", "mallory"],
        &["mallory", "eve"],
    ] {
        let verdict = decided(&signer, &pay("r", 0, 5), &approved(&two, people));
        assert!(matches!(verdict, Verdict::Pending(_)), "{people:?}");
    }
    let permit = permitted(
        &signer,
        &pay("r", 0, 5),
        &approved(&two, &["alice", "carol", "mallory"]),
    );
    let counted = &permit.attempt().met[&two.fingerprint()];
    assert_eq!(*counted, names(["alice", "carol"]));
    assert!(
        permit.attempt().carried.is_empty(),
        "it carried nothing over a limit"
    );
    // The same people for another need.
    let other = need(2, &["alice", "bob"]);
    let verdict = decided(
        &signer,
        &pay("r", 0, 5),
        &approved(&other, &["alice", "bob"]),
    );
    assert!(matches!(verdict, Verdict::Pending(_)));
}

#[test]
fn people_carry_over_an_attended_limit_and_never_over_a_hard_one() {
    let one = need(1, &["alice"]);
    let mut attended = limit("attended", btc(), 9, DAY);
    attended.says.over = Some(one.clone());
    let limits = vec![attended, limit("hard", btc(), 20, DAY)];
    let mut signer = Signer::new(Policy { limits, ..policy() });
    let alice = approved(&one, &["alice"]);
    let charge = |signer: &mut Signer, id: &str, input, units| {
        let permit = permitted(signer, &pay(id, input, units), &alice);
        let attempt = permit.into_attempt();
        let carried = !attempt.carried.is_empty();
        signer.push(Entry::Attempt(Box::new(attempt)));
        carried
    };
    assert!(
        !charge(&mut signer, "a", 0, 8),
        "below the cap nothing is carried"
    );
    assert!(charge(&mut signer, "b", 1, 8));
    let used: Vec<_> = signer
        .state
        .room(signer.now)
        .unwrap()
        .iter()
        .map(|room| room.used)
        .collect();
    assert_eq!(used, [amount(8), amount(16)]);
    assert!(
        !charge(&mut signer, "c", 2, 1),
        "what was carried takes no room"
    );
    let verdict = decided(&signer, &pay("d", 3, 8), &alice);
    assert!(
        matches!(verdict, Verdict::Refuse(_)),
        "the hard limit is full"
    );
}

#[test]
fn an_evacuation_leaves_a_freeze_with_its_people() {
    let one = need(1, &["alice"]);
    let to_cold = Selector {
        to: Some([To::OwnClass(AccountClass::Cold)].into()),
        ..effects(&[EffectKind::OwnTransfer])
    };
    let evacuate = || Evacuate { need: one.clone() };
    let evacuates = vec![
        statement("cold", to_cold, evacuate()),
        statement("fees", effects(&[EffectKind::Fee]), evacuate()),
    ];
    let mut signer = Signer::new(Policy {
        evacuates,
        ..policy()
    });
    let before = signer.charged(&pay("a", 0, 1));
    signer.push(Entry::Frozen {
        scope: FreezeScope::All,
        reason: "drill".into(),
    });
    let cold = (stranger(BTC, 200), Some(("cold", AccountClass::Cold)));
    let out = Ask::utxo("r", [1], 1_000).effect(EffectKind::OwnTransfer, 5, Some(cold));
    let alice = approved(&one, &["alice"]);
    let permit = permitted(&signer, &out, &alice);
    assert_eq!(permit.attempt().met.len(), 1);
    let id = crate::AttemptId(signer.push(Entry::Attempt(Box::new(permit.into_attempt()))));
    assert!(!signer.state.is_frozen(id).unwrap() && signer.state.is_frozen(before).unwrap());
    // One effect that no evacuate names keeps all of it in.
    let more = out.pay("i", 1, 1);
    assert!(matches!(
        decided(&signer, &more, &alice),
        Verdict::Refuse(_)
    ));
    // A freeze that comes again holds what was let out before it.
    signer.push(Entry::Frozen {
        scope: FreezeScope::All,
        reason: "again".into(),
    });
    assert!(signer.state.is_frozen(id).unwrap());
}

/// The rest of invariant 4: one approval more is never worse.
#[test]
fn an_approval_more_is_never_worse() {
    let (one, two) = (need(1, &["alice", "bob"]), need(2, &["alice", "bob"]));
    let mut attended = limit("attended", btc(), 4, DAY);
    attended.says.over = Some(two.clone());
    let big = Selector {
        amount_over: Some(amount(3)),
        ..effects(&[EffectKind::Payment])
    };
    let requires = vec![statement("big", big, Require { need: one.clone() })];
    let signer = Signer::new(Policy {
        requires,
        limits: vec![attended],
        ..policy()
    });
    let rank = |units, people: &[&str]| {
        let mut approvals = approved(&one, people);
        approvals.extend(approved(&two, people));
        match decided(&signer, &pay("r", 0, units), &approvals) {
            Verdict::Refuse(_) => 0,
            Verdict::Pending(needs) => 10 - needs.len(),
            Verdict::Permit(_) => 10,
        }
    };
    for units in 1..=6 {
        let ranks = [&[][..], &["alice"], &["alice", "bob"]].map(|people| rank(units, people));
        assert!(ranks.is_sorted() && ranks[2] == 10, "{units}: {ranks:?}");
    }
    assert_eq!(
        (rank(3, &[]), rank(4, &[]), rank(5, &[]), rank(5, &["bob"])),
        (10, 9, 8, 9)
    );
}
