//! People approve and reject intents: what counts, for how long, and what counts for nothing.

use std::collections::BTreeMap;

use proptest::prelude::*;
use ssh_key::PrivateKey;
use strongroom_policy::{
    AssetUnit, Decided, Digest, Entry, Evacuate, FreezeScope, HotState, IntentDecided,
    IntentRegistered, Need, Person, Policy, ReasonCode, Record, Rejection, Require, Selector,
    SignedIntent, Source, State, StateError, Verdict,
    approval::{Approval, Says},
    statement,
};
use tx::{AccountClass, EffectKind, Intent, Name, Time};

use crate::{
    fixture::{
        Ask, BTC, DAY, SECOND, Signer, amount, book, btc, effects, limit, name, need, policy,
        statement as said_by, stranger,
    },
    hostile::runner,
    reasons::only,
    unseal::officer,
};

pub const PEOPLE: [&str; 4] = ["alice", "bob", "carol", "dora"];
const HOUR: u64 = 3_600 * SECOND;

fn seed(person: &str) -> u8 {
    let place = PEOPLE.iter().position(|one| *one == person);
    u8::try_from(place.unwrap()).unwrap() + 1
}

pub fn key(person: &str) -> PrivateKey {
    officer(seed(person))
}

pub fn line(person: &str) -> String {
    let mut public = key(person).public_key().clone();
    public.set_comment("");
    public.to_openssh().unwrap()
}

fn two() -> Need {
    need(2, &PEOPLE)
}

/// Payments above 3 need `need`, and everybody has a key.
pub fn asking(need: Need) -> Policy {
    let big = Selector {
        amount_over: Some(amount(3)),
        ..effects(&[EffectKind::Payment])
    };
    let person = |one: &&str| {
        let keys = [line(one)].into();
        (
            name(one),
            Person {
                keys,
                ..Person::default()
            },
        )
    };
    Policy {
        people: PEOPLE.iter().map(person).collect(),
        requires: vec![said_by("big", big, Require { need })],
        ..policy()
    }
}

fn pay(id: &str, input: u32, units: u64) -> Ask {
    Ask::utxo(id, [input], 1_000).pay("i", units, 1)
}

/// With intents that expire before a test ends.
fn short(mut ask: Ask, signer: &Signer) -> Ask {
    for signed in &mut ask.request.intents {
        signed.intent.epoch = signer.state.epoch();
        signed.intent.expires = signer.now.lo.after_millis(20 * DAY);
    }
    ask
}

pub fn the_intent(ask: &Ask) -> &SignedIntent {
    &ask.request.intents[0]
}

fn registering(signer: &Signer, signed: &SignedIntent) -> IntentRegistered {
    let registering = signer.state.registering(&name("walletd"), signed);
    registering.unwrap()
}

fn register(signer: &mut Signer, signed: &SignedIntent) {
    let entry = registering(signer, signed);
    signer.push(Entry::IntentRegistered(Box::new(entry)));
}

pub fn saying(signer: &Signer, intent: &Intent, need: &Need, says: Says) -> Approval {
    let registered = signer.state.registered(&intent.id);
    Approval {
        says,
        intent: intent.payload(),
        need: need.fingerprint(),
        rejected_before: registered.map_or(0, |registered| registered.rejected),
        expires: signer.now.lo.after_millis(need.valid_millis.min(DAY)),
    }
}

fn signature(text: &str, person: &str) -> String {
    statement::sign(text, Approval::NAMESPACE, &key(person)).unwrap()
}

/// The entry by which these people say so.
fn deciding(
    signer: &Signer,
    intent: &Intent,
    approval: &Approval,
    people: &[&str],
) -> Result<IntentDecided, StateError> {
    let text = approval
        .text(signer.state.policy().unwrap(), intent)
        .unwrap();
    let signatures: String = people.iter().map(|one| signature(&text, one)).collect();
    signer.state.deciding(&intent.id, &text, &signatures)
}

pub fn try_push(signer: &mut Signer, entry: Entry) -> Result<(), StateError> {
    let record = Record {
        v: 1,
        time: signer.now,
        entry: entry.clone(),
    };
    let mut state: State = signer.state.clone();
    state.apply(state.entries(), &record)?;
    signer.push(entry);
    Ok(())
}

pub fn say(signer: &mut Signer, intent: &Intent, need: &Need, says: Says, people: &[&str]) {
    let approval = saying(signer, intent, need, says);
    let decided = deciding(signer, intent, &approval, people).unwrap();
    try_push(signer, Entry::IntentDecided(Box::new(decided))).unwrap();
}

/// As [`say`], of whom nobody asks whether it counts.
pub fn agree(signer: &mut Signer, intent: &Intent, need: &Need, person: &str) {
    let approval = saying(signer, intent, need, Says::Approve);
    if let Ok(decided) = deciding(signer, intent, &approval, &[person]) {
        // What was said before is not said again.
        let _ = try_push(signer, Entry::IntentDecided(Box::new(decided)));
    }
}

pub fn is_pending(signer: &Signer, ask: &Ask) -> bool {
    match signer.evaluate(ask) {
        Verdict::Pending(_) => true,
        Verdict::Permit(_) => false,
        Verdict::Refuse(refusal) => panic!("{refusal:?}"),
    }
}

fn begun(need: &Need) -> (Signer, Ask) {
    begun_with(asking(need.clone()))
}

pub fn begun_with(policy: Policy) -> (Signer, Ask) {
    let mut signer = Signer::new(policy);
    let ask = short(pay("r", 0, 5), &signer);
    register(&mut signer, the_intent(&ask));
    (signer, ask)
}

#[test]
fn people_approve_the_intent_and_any_attempt_at_it_uses_that() {
    let two = two();
    let (mut signer, ask) = begun(&two);
    let intent = the_intent(&ask).intent.clone();
    assert!(is_pending(&signer, &ask));
    say(&mut signer, &intent, &two, Says::Approve, &["alice"]);
    assert!(is_pending(&signer, &ask));
    say(&mut signer, &intent, &two, Says::Approve, &["carol"]);
    let (first, attempt) = signer.charge(&ask).unwrap();
    assert_eq!(attempt.met[&two.fingerprint()].len(), 2);
    // A replacement of it; not another intent, nor the same amount without one of them.
    let mut dearer = short(Ask::utxo("r2", [0], 5_000).pay("i", 5, 1), &signer);
    dearer.request.intents = ask.request.intents.clone();
    assert!(!is_pending(&signer, &dearer.replaces([first])));
    let other = Ask::utxo("r3", [1], 1_000).pay("j", 5, 1);
    assert!(is_pending(&signer, &short(other, &signer)));
    // What is approved is what is paid: the content is fixed.
    let more = short(Ask::utxo("r4", [2], 1_000).pay("i", 6, 1), &signer);
    assert!(signer.codes(&more).contains(&ReasonCode::IntentReused));
}

#[test]
fn the_one_who_asks_for_it_does_not_approve_it() {
    let one = need(1, &["alice", "bob"]);
    let mut policy = asking(one.clone());
    let signers = [line("alice"), line("dora")].into();
    let source = policy.sources.get_mut(&name("payouts")).unwrap();
    *source = Source {
        signers,
        ..source.clone()
    };
    let mut signer = Signer::new(policy);
    let mut ask = short(pay("r", 0, 5), &signer);
    let text = statement::intent_text(&name("main"), &the_intent(&ask).intent);
    let by_alice = statement::sign(&text, "strongroom-intent-v1", &key("alice")).unwrap();
    let by_dora = statement::sign(&text, "strongroom-intent-v1", &key("dora")).unwrap();
    let unsigned = registering(&signer, the_intent(&ask));
    let unsigned = try_push(&mut signer, Entry::IntentRegistered(Box::new(unsigned)));
    assert!(matches!(unsigned, Err(StateError::IntentUnsigned { .. })));
    ask.request.intents[0].signatures = vec![by_alice];
    let intent = the_intent(&ask).intent.clone();
    let mut other = signer.clone();
    register(&mut signer, the_intent(&ask));
    let approval = saying(&signer, &intent, &one, Says::Approve);
    let refused = deciding(&signer, &intent, &approval, &["alice"]);
    assert!(matches!(refused, Err(StateError::NobodyCounts { .. })));
    say(&mut signer, &intent, &one, Says::Approve, &["alice", "bob"]);
    assert!(!is_pending(&signer, &ask));
    // Nor where the request shows that it was she, and the registration did not.
    let by_alice = std::mem::replace(&mut ask.request.intents[0].signatures, vec![by_dora]);
    register(&mut other, the_intent(&ask));
    say(&mut other, &intent, &one, Says::Approve, &["alice"]);
    assert!(!is_pending(&other, &ask));
    ask.request.intents[0].signatures.extend(by_alice);
    assert!(is_pending(&other, &ask));
}

#[test]
fn a_rejection_blocks_until_the_same_person_approves_and_no_old_word_is_brought_again() {
    let two = two();
    let (mut signer, ask) = begun(&two);
    let intent = the_intent(&ask).intent.clone();
    let early = saying(&signer, &intent, &two, Says::Approve);
    let early = deciding(&signer, &intent, &early, &["bob"]).unwrap();
    say(
        &mut signer,
        &intent,
        &two,
        Says::Approve,
        &["alice", "carol"],
    );
    assert!(!is_pending(&signer, &ask));
    let rejection = saying(&signer, &intent, &two, Says::Reject);
    let rejection = deciding(&signer, &intent, &rejection, &["bob"]).unwrap();
    let rejection = Entry::IntentDecided(Box::new(rejection));
    try_push(&mut signer, rejection.clone()).unwrap();
    assert!(is_pending(&signer, &ask));
    // Who kept what bob said before cannot bring it again.
    let again = try_push(&mut signer, Entry::IntentDecided(Box::new(early)));
    assert!(
        matches!(again, Err(StateError::Rejected { .. })),
        "{again:?}"
    );
    say(&mut signer, &intent, &two, Says::Approve, &["dora"]);
    assert!(is_pending(&signer, &ask), "others do not overrule bob");
    say(&mut signer, &intent, &two, Says::Approve, &["bob"]);
    assert!(!is_pending(&signer, &ask));
    let again = try_push(&mut signer, rejection);
    assert!(
        matches!(again, Err(StateError::Rejected { .. })),
        "{again:?}"
    );
}

#[test]
fn a_final_rejection_closes_the_intent_for_ever() {
    let last = Need {
        rejection: Rejection::Final,
        ..two()
    };
    let (mut signer, ask) = begun(&last);
    let intent = the_intent(&ask).intent.clone();
    say(
        &mut signer,
        &intent,
        &last,
        Says::Approve,
        &["alice", "bob"],
    );
    say(&mut signer, &intent, &last, Says::Reject, &["carol"]);
    assert_eq!(signer.codes(&ask), only(ReasonCode::IntentClosed));
    let approval = saying(&signer, &intent, &last, Says::Approve);
    let closed = deciding(&signer, &intent, &approval, &["carol"]);
    assert!(matches!(closed, Err(StateError::IntentClosed { .. })));
    // Nor does it come back once nothing is kept of what was said.
    signer.pass(8 * DAY);
    let again = registering(&signer, the_intent(&ask));
    let again = try_push(&mut signer, Entry::IntentRegistered(Box::new(again)));
    assert!(matches!(again, Err(StateError::IntentClosed { .. })));
    assert_eq!(signer.codes(&ask), only(ReasonCode::IntentClosed));
}

#[test]
fn approvals_wait_and_expire() {
    let slow = Need {
        delay_millis: 2 * HOUR,
        valid_millis: 6 * HOUR,
        ..two()
    };
    let (mut signer, ask) = begun(&slow);
    let intent = the_intent(&ask).intent.clone();
    say(&mut signer, &intent, &slow, Says::Approve, &["alice"]);
    signer.pass(HOUR);
    say(&mut signer, &intent, &slow, Says::Approve, &["bob"]);
    signer.pass(2 * HOUR - 1);
    assert!(is_pending(&signer, &ask), "bob was last");
    signer.pass(1);
    assert!(!is_pending(&signer, &ask));
    // Alice says so again while it holds, and waits no second time.
    say(&mut signer, &intent, &slow, Says::Approve, &["alice"]);
    assert!(!is_pending(&signer, &ask));
    signer.pass(4 * HOUR + 1);
    assert!(is_pending(&signer, &ask), "bob's word holds no longer");
    say(&mut signer, &intent, &slow, Says::Approve, &["bob"]);
    assert!(is_pending(&signer, &ask), "and waits anew");
    // What gives goes by lo, what ends by hi.
    signer.pass(HOUR);
    signer.now.hi = signer.now.hi.after_millis(3 * HOUR);
    assert!(is_pending(&signer, &ask));
    let long = Approval {
        expires: signer.now.lo.after_millis(6 * HOUR + 1),
        ..saying(&signer, &intent, &slow, Says::Approve)
    };
    let long = deciding(&signer, &intent, &long, &["carol"]).unwrap();
    let long = try_push(&mut signer, Entry::IntentDecided(Box::new(long)));
    assert!(matches!(long, Err(StateError::Unseal(_))), "{long:?}");
}

#[test]
fn nobody_fills_two_needs() {
    let mut policy = asking(need(1, &["alice", "bob"]));
    let mut attended = limit("attended", btc(), 4, DAY);
    attended.says.over = Some(need(1, &["alice", "carol"]));
    policy.limits = vec![attended];
    let (one, over) = (need(1, &["alice", "bob"]), need(1, &["alice", "carol"]));
    let mut signer = Signer::new(policy);
    let ask = short(pay("r", 0, 5), &signer);
    let intent = the_intent(&ask).intent.clone();
    register(&mut signer, the_intent(&ask));
    assert_eq!(signer.state.requirements(&intent).len(), 2);
    say(&mut signer, &intent, &one, Says::Approve, &["alice"]);
    say(&mut signer, &intent, &over, Says::Approve, &["alice"]);
    assert!(is_pending(&signer, &ask));
    say(&mut signer, &intent, &one, Says::Approve, &["bob"]);
    let (_, attempt) = signer.charge(&ask).unwrap();
    assert_eq!(attempt.carried, [over.fingerprint()].into());
    assert_eq!(attempt.met[&over.fingerprint()], [name("alice")].into());
    assert_eq!(attempt.met[&one.fingerprint()], [name("bob")].into());
}

#[test]
fn an_evacuation_is_approved_as_an_intent_to_an_own_address() {
    let one = need(1, &["alice"]);
    let mut policy = asking(two());
    let own = effects(&[EffectKind::OwnTransfer, EffectKind::Fee]);
    policy.evacuates = vec![said_by("out", own, Evacuate { need: one.clone() })];
    let mut signer = Signer::new(policy);
    let cold = (stranger(BTC, 200), Some(("cold", AccountClass::Cold)));
    let out = Ask::utxo("r", [1], 1_000).effect(EffectKind::OwnTransfer, 5, Some(cold));
    let intent = out.intent("out", 5, 200);
    let out = short(out.bring(intent), &signer);
    register(&mut signer, the_intent(&out));
    assert!(
        !is_pending(&signer, &out),
        "an own transfer may have an intent"
    );
    signer.push(Entry::Frozen {
        scope: FreezeScope::All,
        reason: "drill".into(),
    });
    assert_eq!(signer.codes(&out), only(ReasonCode::Frozen));
    let intent = the_intent(&out).intent.clone();
    say(&mut signer, &intent, &one, Says::Approve, &["alice"]);
    assert!(!is_pending(&signer, &out));
    // A transaction that moves more than was approved, or to elsewhere, does not use it.
    let mut more = out.clone();
    more.transaction.effects[0].amount = amount(6);
    assert!(signer.codes(&more).contains(&ReasonCode::IntentMismatch));
}

#[test]
fn what_was_signed_with_a_key_that_was_taken_away_counts_no_more() {
    let one = need(1, &["alice"]);
    let (mut signer, ask) = begun(&one);
    let intent = the_intent(&ask).intent.clone();
    say(&mut signer, &intent, &one, Says::Approve, &["alice"]);
    assert!(!is_pending(&signer, &ask));
    let mut edited = asking(one.clone());
    let new = officer(40).public_key().to_openssh().unwrap();
    edited.people.get_mut(&name("alice")).unwrap().keys = [new].into();
    (edited.hash, edited.sequence) = (strongroom_policy::BundleHash([2; 32]), 2);
    signer.activate(edited.clone());
    assert!(is_pending(&signer, &ask));
    // An edit of something else voids nothing; another need is another one.
    edited.people = asking(one.clone()).people;
    edited.requires[0].name = name("large");
    (edited.hash, edited.sequence) = (strongroom_policy::BundleHash([3; 32]), 3);
    signer.activate(edited.clone());
    assert!(!is_pending(&signer, &ask));
    edited.requires[0].says.need = need(1, &["alice", "bob"]);
    (edited.hash, edited.sequence) = (strongroom_policy::BundleHash([4; 32]), 4);
    signer.activate(edited);
    assert!(is_pending(&signer, &ask));
}

#[test]
fn places_are_bounded_and_come_back() {
    let mut signer = Signer::new(asking(two()));
    let intent = |signer: &Signer, n: u32, units| {
        let ask = Ask::utxo("r", [0], 1_000).pay(&format!("i{n}"), units, 1);
        let mut signed = short(ask, signer).request.intents.remove(0);
        signed.intent.expires = signer.now.lo.after_millis(1);
        signed
    };
    for n in 0..1_024 {
        let signed = intent(&signer, n, 5);
        register(&mut signer, &signed);
    }
    let one_more = intent(&signer, 1_024, 5);
    let full = registering(&signer, &one_more);
    let full = Entry::IntentRegistered(Box::new(full));
    let refused = try_push(&mut signer, full.clone());
    assert!(matches!(refused, Err(StateError::IntentsFull { .. })));
    // One that asks nobody has a place; so has another client.
    let small = intent(&signer, 2_000, 1);
    register(&mut signer, &small);
    let others = signer.state.registering(&name("other"), &one_more);
    signer.push(Entry::IntentRegistered(Box::new(others.unwrap())));
    // They expired at once, and hold their places for an hour.
    signer.pass(HOUR);
    let later = intent(&signer, 2_001, 5);
    let entry = Entry::IntentRegistered(Box::new(registering(&signer, &later)));
    assert!(try_push(&mut signer, entry.clone()).is_err());
    signer.pass(1);
    let later = intent(&signer, 2_001, 5);
    register(&mut signer, &later);
    assert_eq!(signer.state.all_registered().count(), 1);
    // What an id stands for, it stands for ever.
    let mut other = intent(&signer, 7, 6);
    other.intent.expires = signer.now.lo.after_millis(DAY);
    let other = registering(&signer, &other);
    let other = try_push(&mut signer, Entry::IntentRegistered(Box::new(other)));
    assert!(matches!(other, Err(StateError::Intent { .. })));
}

#[test]
fn it_is_all_in_the_hot_state() {
    let (mut signer, ask) = begun(&two());
    let intent = the_intent(&ask).intent.clone();
    say(&mut signer, &intent, &two(), Says::Approve, &["alice"]);
    say(&mut signer, &intent, &two(), Says::Reject, &["bob"]);
    let hot = signer.state.hot();
    let bytes = hot.encode().unwrap();
    assert_eq!(HotState::decode(&bytes).unwrap(), hot);
    let registered = signer.state.registered(&intent.id).unwrap();
    let said: &BTreeMap<Name, Decided> = &registered.decided[&two().fingerprint()];
    assert_eq!(said[&name("bob")].says, Says::Reject);
}

/// What a text is made of, of a few values each.
fn contents() -> impl Strategy<Value = (Policy, Intent, Approval)> {
    let intent = (
        prop::sample::select(vec!["i", "i2", "i-2"]),
        prop::sample::select(vec![1_u64, 5, 50, 1_500_000_000]),
        0..3_u8,
        prop::option::of("[0-9]{1,2}"),
        prop::sample::select(vec![1_u64, 10]),
        0..2_u64,
    );
    let said = (any::<bool>(), 0..2_u64, 0..3_u64, 0..2_usize);
    let bundle = (0..3_u8, 0..3_u8, any::<bool>());
    (intent, said, bundle).prop_map(|(intent, said, bundle)| {
        let (id, units, to, tag, max_fee, later) = intent;
        let needs = [
            two(),
            Need {
                rejection: Rejection::Final,
                delay_millis: HOUR,
                ..need(1, &["bob"])
            },
        ];
        let (books, decimals, fleet) = bundle;
        let mut policy = asking(needs[0].clone());
        policy.requires.push(said_by(
            "other",
            Selector::default(),
            Require {
                need: needs[1].clone(),
            },
        ));
        for n in 0..books {
            let listed = book([stranger(BTC, n)]);
            policy.books.insert(name(&format!("b{n}")), listed);
        }
        if decimals > 0 {
            let unit = AssetUnit {
                asset: btc(),
                decimals: decimals * 4,
            };
            policy.assets.insert(name("btc"), unit);
        }
        if fleet {
            policy.fleet = name("second");
        }
        let mut intent = Ask::utxo("r", [0], 1).intent(id, units, to);
        intent.tag = tag;
        intent.max_fee = amount(max_fee);
        intent.expires = Time::from_millis(later);
        let (approves, rejected_before, expires, which) = said;
        let approval = Approval {
            says: if approves {
                Says::Approve
            } else {
                Says::Reject
            },
            intent: intent.payload(),
            need: needs[which].fingerprint(),
            rejected_before,
            expires: Time::from_millis(expires),
        };
        (policy, intent, approval)
    })
}

/// What of a bundle the text shows.
fn shown(policy: &Policy, intent: &Intent) -> (Name, Option<u8>, Vec<Name>) {
    let books = policy.books.iter();
    let books = books.filter(|(_, book)| book.addresses.contains(&intent.destination));
    (
        policy.fleet.clone(),
        policy.assets.get(&name("btc")).map(|unit| unit.decimals),
        books.map(|(name, _)| name.clone()).collect(),
    )
}

#[test]
fn the_text_is_ascii_and_injective() {
    let run = |(one, other): ((Policy, Intent, Approval), (Policy, Intent, Approval))| {
        let text = one.2.text(&one.0, &one.1).unwrap();
        prop_assert!(text.is_ascii() && text.ends_with('\n'));
        prop_assert_eq!(Approval::parse(&text), Ok(one.2));
        let same = (&one.1, one.2, shown(&one.0, &one.1))
            == (&other.1, other.2, shown(&other.0, &other.1));
        prop_assert_eq!(text == other.2.text(&other.0, &other.1).unwrap(), same);
        Ok(())
    };
    runner(3_000).run(&(contents(), contents()), run).unwrap();
}

/// Invariant 8: one changed byte, another kind, fleet, intent or need, and one person twice count for nothing.
#[test]
fn a_changed_statement_counts_for_nothing() {
    let two = two();
    let (mut signer, ask) = begun(&two);
    let intent = the_intent(&ask).intent.clone();
    let approval = saying(&signer, &intent, &two, Says::Approve);
    let text = approval
        .text(signer.state.policy().unwrap(), &intent)
        .unwrap();
    let good = signature(&text, "alice");
    for at in 0..text.len() {
        let mut bytes = text.clone().into_bytes();
        bytes[at] = if bytes[at] == b'1' { b'2' } else { b'1' };
        let changed = String::from_utf8(bytes).unwrap();
        // Also where she signs the changed one, unless it says another time at which her word ends.
        let ends = Approval::parse(&changed).is_ok_and(|said| said.expires != approval.expires);
        let signed = [good.clone(), signature(&changed, "alice")];
        for signatures in signed.into_iter().take(if ends { 1 } else { 2 }) {
            let decided = signer.state.deciding(&intent.id, &changed, &signatures);
            let refused = decided.and_then(|decided| {
                try_push(&mut signer.clone(), Entry::IntentDecided(Box::new(decided)))
            });
            assert!(refused.is_err(), "{changed}");
        }
    }
    let of_another_kind = statement::sign(&text, "strongroom-veto-v1", &key("alice")).unwrap();
    let decided = signer.state.deciding(&intent.id, &text, &of_another_kind);
    assert!(matches!(decided, Err(StateError::NobodyCounts { .. })));
    let twice = format!("{good}{good}");
    let decided = signer.state.deciding(&intent.id, &text, &twice).unwrap();
    assert_eq!(decided.signed_by.len(), 1);
    // Nor may an entry claim more than its statement says.
    let forged = [
        IntentDecided {
            says: Says::Reject,
            ..decided.clone()
        },
        IntentDecided {
            need: Digest([1; 32]),
            ..decided.clone()
        },
        IntentDecided {
            expires: Time::from_millis(u64::MAX),
            ..decided.clone()
        },
        IntentDecided {
            closes: true,
            ..decided.clone()
        },
        IntentDecided {
            signed_by: [("alice", line("alice")), ("bob", line("bob"))]
                .map(|(who, key)| (name(who), key))
                .into(),
            ..decided.clone()
        },
    ];
    for forged in forged {
        assert!(try_push(&mut signer, Entry::IntentDecided(Box::new(forged))).is_err());
    }
    try_push(&mut signer, Entry::IntentDecided(Box::new(decided.clone()))).unwrap();
    let again = try_push(&mut signer, Entry::IntentDecided(Box::new(decided)));
    assert_eq!(again, Err(StateError::SaidAlready));
    assert!(is_pending(&signer, &ask));
}

/// The rest of invariant 4, by what people really say.
#[test]
fn one_more_approval_is_never_worse() {
    let rank = |signer: &Signer, ask: &Ask| match signer.evaluate(ask) {
        Verdict::Refuse(_) => 0,
        Verdict::Pending(_) => 1,
        Verdict::Permit(_) => 2,
    };
    let subsets = || prop::sample::subsequence(PEOPLE.to_vec(), 0..=4);
    let need_of = (1..=2_u32, subsets(), 0..2_u64).prop_map(|(threshold, people, delay)| Need {
        delay_millis: delay * HOUR,
        ..need(threshold, &people)
    });
    let steps = prop::collection::vec((0..2_usize, 0..4_usize, 0..2_u64), 1..8);
    let cases = (prop::collection::vec(need_of, 2), steps);
    let run = |(needs, steps): (Vec<Need>, Vec<(usize, usize, u64)>)| {
        let mut policy = asking(needs[0].clone());
        let mut attended = limit("attended", btc(), 4, DAY);
        attended.says.over = Some(needs[1].clone());
        policy.limits = vec![attended];
        let mut signer = Signer::new(policy);
        let ask = short(pay("r", 0, 5), &signer);
        let intent = the_intent(&ask).intent.clone();
        register(&mut signer, the_intent(&ask));
        for (which, who, hours) in steps {
            signer.pass(hours * HOUR);
            let before = rank(&signer, &ask);
            let approval = saying(&signer, &intent, &needs[which], Says::Approve);
            if let Ok(decided) = deciding(&signer, &intent, &approval, &[PEOPLE[who]]) {
                // What was said already is no approval more.
                let _ = try_push(&mut signer, Entry::IntentDecided(Box::new(decided)));
            }
            prop_assert!(rank(&signer, &ask) >= before);
        }
        Ok(())
    };
    runner(150).run(&cases, run).unwrap();
}

/// Off for longer than an approval may hold, a signer takes none while its time stands still: until outsiders say
/// how late it is.
#[test]
fn behind_a_long_time_off_people_approve_again_once_lo_goes_on() {
    let mut signer = Signer::new(asking(two()));
    let ask = short(pay("a", 0, 5), &signer);
    let intent = the_intent(&ask).intent.clone();
    register(&mut signer, the_intent(&ask));
    signer.now.hi = signer.now.lo.after_millis(8 * DAY);
    let approval = Approval {
        expires: signer.now.hi.after_millis(HOUR),
        ..saying(&signer, &intent, &two(), Says::Approve)
    };
    let decided = deciding(&signer, &intent, &approval, &["alice", "bob"]).unwrap();
    let entry = Entry::IntentDecided(Box::new(decided));
    assert!(try_push(&mut signer, entry.clone()).is_err());
    signer.now.lo = signer.now.hi;
    assert_eq!(try_push(&mut signer, entry), Ok(()));
    assert!(matches!(signer.evaluate(&ask), Verdict::Permit(_)));
}
