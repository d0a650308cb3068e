//! What approvals do, whatever they follow from.

#[allow(dead_code, reason = "shared with the tests of the public API")]
#[path = "../tests/fixture.rs"]
mod fixture;

use std::collections::{BTreeMap, BTreeSet};

use tx::{AccountClass, EffectKind, Name};

use super::{Case, decide, met};
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

/// What is decided when these people have approved of every intent.
fn decided(signer: &Signer, ask: &Ask, approvals: &Approvals) -> Verdict {
    let intents = ask.request.intents.iter();
    let of_each = intents.map(|signed| (met::About::Intent(&signed.intent.id), approvals.clone()));
    decided_by(signer, ask, &of_each.collect())
}

fn decided_by(signer: &Signer, ask: &Ask, approvals: &met::Approvals<'_>) -> Verdict {
    let decoded = ask.transaction.clone().decoded();
    let present = signer.state.present().unwrap();
    let case = Case::new(&signer.state, present, signer.now, &decoded, &ask.request).unwrap();
    decide(case, approvals).unwrap()
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
    // Nobody can approve what is not asked for.
    let verdict = decided(&signer, &out, &alice);
    assert!(matches!(verdict, Verdict::Refuse(_)), "{verdict:?}");
    let intent = out.intent("out", 5, 200);
    let out = out.bring(intent);
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

#[test]
fn an_evacuation_needs_all_of_its_people() {
    let two = need(2, &["alice", "bob", "carol"]);
    let evacuates = vec![statement(
        "all",
        Selector::default(),
        Evacuate { need: two.clone() },
    )];
    let mut signer = Signer::new(Policy {
        evacuates,
        ..policy()
    });
    signer.push(Entry::Frozen {
        scope: FreezeScope::All,
        reason: "drill".into(),
    });
    let out = pay("r", 0, 5);
    let permits = |people: &[&str]| {
        let verdict = decided(&signer, &out, &approved(&two, people));
        matches!(verdict, Verdict::Permit(_))
    };
    assert!(!permits(&[]) && !permits(&["alice"]) && !permits(&["alice", "mallory"]));
    assert!(permits(&["alice", "carol"]));
}

/// No bundle has such a need: should one come in all the same, it lets nothing out.
#[test]
fn a_need_of_nobody_is_never_met() {
    let nobody = need(0, &["alice"]);
    let need = || nobody.clone();
    let requires = vec![statement(
        "all",
        Selector::default(),
        Require { need: need() },
    )];
    let signer = Signer::new(Policy {
        requires,
        ..policy()
    });
    let evacuates = vec![statement(
        "all",
        Selector::default(),
        Evacuate { need: need() },
    )];
    let mut frozen = Signer::new(Policy {
        evacuates,
        ..policy()
    });
    frozen.push(Entry::Frozen {
        scope: FreezeScope::All,
        reason: "drill".into(),
    });
    for people in [&[][..], &["alice"]] {
        let approvals = approved(&nobody, people);
        let verdict = decided(&signer, &pay("r", 0, 5), &approvals);
        assert!(matches!(verdict, Verdict::Pending(_)), "{verdict:?}");
        let verdict = decided(&frozen, &pay("r", 0, 5), &approvals);
        assert!(matches!(verdict, Verdict::Refuse(_)), "{verdict:?}");
    }
}

/// The rest of invariant 4: one approval more is never worse.
#[test]
fn an_approval_more_is_never_worse() {
    let (one, two) = (need(1, &["alice", "bob"]), need(2, &["bob", "carol"]));
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
        let people = [
            &[][..],
            &["bob"],
            &["bob", "carol"],
            &["alice", "bob", "carol"],
        ];
        let ranks = people.map(|people| rank(units, people));
        assert!(ranks.is_sorted() && ranks[3] == 10, "{units}: {ranks:?}");
    }
    // Above the cap bob is needed by both, and counts for one of them.
    let of_five = [&[][..], &["bob"], &["bob", "carol"]].map(|people| rank(5, people));
    assert_eq!((rank(3, &[]), rank(4, &[]), of_five), (10, 9, [8, 9, 9]));
}

#[test]
fn each_intent_of_a_batch_has_its_own_people() {
    let one = need(1, &["alice", "bob"]);
    let payments = effects(&[EffectKind::Payment]);
    let requires = vec![statement("big", payments, Require { need: one.clone() })];
    let signer = Signer::new(Policy {
        requires,
        ..policy()
    });
    let batch = pay("r", 0, 5).pay("i2", 5, 2);
    let [first, second] = &batch.request.intents[..] else {
        panic!("two intents");
    };
    let alice = || approved(&one, &["alice"]);
    let one_of_two = [(met::About::Intent(&first.intent.id), alice())].into();
    let verdict = decided_by(&signer, &batch, &one_of_two);
    assert!(matches!(verdict, Verdict::Pending(_)));
    let both = [
        (met::About::Intent(&first.intent.id), alice()),
        (met::About::Intent(&second.intent.id), alice()),
    ]
    .into();
    assert!(matches!(
        decided_by(&signer, &batch, &both),
        Verdict::Permit(_)
    ));
    // What asks for people of a fee asks for their word on all that is paid by it.
    let fees = effects(&[EffectKind::Fee]);
    let requires = vec![statement("fees", fees, Require { need: one.clone() })];
    let signer = Signer::new(Policy {
        requires,
        ..policy()
    });
    let verdict = decided_by(&signer, &batch, &one_of_two);
    assert!(matches!(verdict, Verdict::Pending(_)));
    assert!(matches!(
        decided_by(&signer, &batch, &both),
        Verdict::Permit(_)
    ));
}
