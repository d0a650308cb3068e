//! How old a destination is, who signed an intent, and at what hour something was charged.

use strongroom_policy::{
    BundleHash, Deny, Group, Limit, Person, Policy, ReasonCode, Row, RowKey, Selector,
    SignerSelector, Statement,
};
use tx::{AccountClass, Amount, EffectKind};

use crate::{
    fixture::{
        Ask, BTC, DAY, SECOND, Signer, amount, btc, effects, grouped, limit, name, policy,
        statement, stranger,
    },
    rules::{signed, signer_key, with_signers},
};

fn young(cap: u64) -> Statement<Limit> {
    let mut young = limit("young", btc(), cap, DAY);
    young.selector.age_below = Some(7 * DAY);
    young
}

fn limited(limits: Vec<Statement<Limit>>) -> Policy {
    Policy { limits, ..policy() }
}

fn pays(n: u32, units: u64, to: u8) -> Ask {
    let id = format!("r{n}");
    Ask::utxo(&id, [n], 1_000).pay(&id, units, to)
}

fn used(signer: &Signer, limit: &str) -> Amount {
    let rooms = signer.state.room(signer.now).unwrap();
    let mut of_limit = rooms.iter().filter(|room| room.limit == name(limit));
    of_limit.next().unwrap().used
}

fn renewed(mut policy: Policy, sequence: u8) -> Policy {
    policy.sequence = u64::from(sequence);
    policy.hash = BundleHash([sequence; 32]);
    policy
}

/// "Laundering" of the attack corpus: one unit to age a destination. It buys the time that it takes, and
/// nothing else: what is paid until then, and what was paid before, counts as young.
#[test]
fn a_payment_of_one_unit_makes_a_destination_old_only_when_its_time_has_passed() {
    let mut signer = Signer::new(limited(vec![young(10), limit("all", btc(), 40, DAY)]));
    signer.charged(&pays(0, 1, 1));
    let row = signer.state.row(&RowKey::Paid(stranger(BTC, 1)));
    assert_eq!(row, Some(Row::Paid(stranger(BTC, 1), signer.now.lo)));
    let large = |n| pays(n, 20, 1);
    assert_eq!(signer.codes(&large(1)), [ReasonCode::Limit].into());
    signer.pass(7 * DAY - 1);
    assert_eq!(signer.codes(&large(1)), [ReasonCode::Limit].into());
    signer.charged(&pays(2, 9, 1));
    // A day more of other destinations does not age this one.
    signer.pass(1);
    signer.charged(&large(1));
    // It is old, and what it got while it was young still fills the limit of the young.
    assert_eq!(used(&signer, "young"), amount(9));
    assert_eq!(signer.codes(&pays(3, 2, 2)), [ReasonCode::Limit].into());
    // As old as it is, it has the room of everyone.
    assert_eq!(signer.codes(&pays(3, 12, 1)), [ReasonCode::Limit].into());
    signer.charged(&pays(3, 11, 1));
}

/// Many new destinations have the room of one.
#[test]
fn splitting_over_new_destinations_finds_no_more_room() {
    let each = grouped(young(10), &[Group::Destination]);
    let mut all = young(15);
    all.name = name("all-young");
    let mut signer = Signer::new(limited(vec![each, all]));
    signer.charged(&pays(0, 10, 1));
    signer.charged(&pays(1, 5, 2));
    assert_eq!(signer.codes(&pays(2, 1, 3)), [ReasonCode::Limit].into());
}

#[test]
fn a_small_payment_goes_first_and_a_large_one_when_it_is_old() {
    let mut denied = effects(&[EffectKind::Payment]);
    denied.age_below = Some(DAY);
    denied.amount_over = Some(amount(1));
    let mut signer = Signer::new(Policy {
        denies: vec![statement("test-first", denied, Deny)],
        ..policy()
    });
    assert_eq!(signer.codes(&pays(0, 2, 1)), [ReasonCode::Denied].into());
    signer.charged(&pays(0, 1, 1));
    assert_eq!(signer.codes(&pays(1, 2, 1)), [ReasonCode::Denied].into());
    signer.pass(DAY);
    signer.charged(&pays(1, 2, 1));
    // Change and transfers to own accounts have no age.
    let cold = (stranger(BTC, 200), Some(("cold", AccountClass::Cold)));
    let own = Ask::utxo("own", [5], 1_000).effect(EffectKind::OwnTransfer, 50, Some(cold));
    signer.charged(&own);
}

/// The boundary between young and old may be moved in mid-window: every charge has the age that it had.
#[test]
fn editing_an_age_forgets_nothing() {
    let mut signer = Signer::new(limited(vec![young(100)]));
    signer.charged(&pays(0, 1, 1));
    signer.pass(DAY - SECOND);
    signer.charged(&pays(1, 8, 1));
    assert_eq!(used(&signer, "young"), amount(9));
    // As old as a day less a second, when it was paid.
    let edits = [
        (DAY, 9),
        (DAY - SECOND, 1),
        (DAY - SECOND + 1, 9),
        (60_000, 1),
    ];
    for (sequence, (age, held)) in (2..).zip(edits) {
        let mut edited = young(100);
        edited.selector.age_below = Some(age);
        signer.activate(renewed(limited(vec![edited]), sequence));
        assert_eq!(used(&signer, "young"), amount(held), "{age}");
    }
    // Time that passes makes no charge older.
    signer.pass(SECOND - 1);
    signer.activate(renewed(limited(vec![young(100)]), 9));
    assert_eq!(used(&signer, "young"), amount(9));
}

fn by(signers: impl IntoIterator<Item = SignerSelector>) -> Selector {
    Selector {
        signed_by: Some(signers.into_iter().collect()),
        ..effects(&[EffectKind::Payment, EffectKind::Fee])
    }
}

fn person(text: &str) -> SignerSelector {
    SignerSelector::Person(name(text))
}

#[test]
fn an_allow_for_a_signer_is_for_what_that_one_signed() {
    let mut made = with_signers(policy());
    let key = SignerSelector::Key(signer_key(3));
    made.allows[0].selector = by([person("alice"), key]);
    let signer = Signer::new(made);
    let by = |bits| signed(pays(0, 1, 1), bits);
    for (bits, permitted) in [(0b001, true), (0b010, false), (0b011, true), (0b100, true)] {
        let codes = match signer.permit(&by(bits)) {
            Ok(permit) => {
                assert!(permitted, "{bits}");
                let facts = permit.into_attempt().facts;
                // The fee is of everyone who signed all intents.
                assert!(
                    facts
                        .iter()
                        .all(|fact| fact.signed_by == facts[0].signed_by)
                );
                continue;
            }
            Err(_) => signer.codes(&by(bits)),
        };
        assert!(!permitted, "{bits}");
        assert_eq!(codes, [ReasonCode::Uncovered].into());
    }
    // Two intents by two signers: each payment has its own, and the fee has nobody.
    let ask = pays(0, 1, 1).pay("second", 2, 2);
    let mut both = signed(ask.clone(), 0b001);
    both.request.intents[1] = signed(ask, 0b010).request.intents[1].clone();
    let permit = Signer::new(with_signers(policy())).permit(&both).unwrap();
    let mut facts = permit.into_attempt().facts;
    facts.sort_by_key(|fact| fact.effect.amount);
    let people = facts.iter().map(|fact| fact.signed_by.people.clone());
    let expected = [
        ["alice"].map(name).into(),
        ["bob"].map(name).into(),
        [].into(),
    ];
    assert!(people.eq(expected));
}

/// Whose key it was is remembered, and whose it is counts too.
#[test]
fn a_key_that_changes_hands_forgets_nothing() {
    let counted = |who: &str| {
        let mut made = with_signers(policy());
        made.limits = vec![limit("by", btc(), 100, DAY)];
        made.limits[0].selector.signed_by = Some([person(who)].into());
        made
    };
    let mut signer = Signer::new(counted("alice"));
    signer.charged(&signed(pays(0, 7, 1), 0b001));
    signer.charged(&signed(pays(1, 5, 1), 0b010));
    assert_eq!(used(&signer, "by"), amount(7));
    let swapped = |who: &str, sequence: u8| {
        let mut swapped = counted(who);
        let keys = |seed| Person {
            keys: [signer_key(seed)].into(),
            ..Person::default()
        };
        swapped.people.insert(name("alice"), keys(2));
        swapped.people.insert(name("bob"), keys(1));
        renewed(swapped, sequence)
    };
    signer.activate(swapped("alice", 2));
    assert_eq!(used(&signer, "by"), amount(12));
    signer.activate(swapped("bob", 3));
    assert_eq!(used(&signer, "by"), amount(12));
    // Nobody has a key any longer.
    let mut gone = swapped("alice", 4);
    gone.people
        .values_mut()
        .for_each(|person| person.keys.clear());
    signer.activate(gone);
    assert_eq!(used(&signer, "by"), amount(7));
}

/// A limit by the hour counts what was charged in its hours, as they were then or as they are now.
#[test]
fn a_limit_by_the_hour_counts_what_was_charged_then() {
    let by_night = |cap| {
        let mut by_night = limit("by-night", btc(), cap, DAY);
        by_night.selector.hours_except = Some([name("first-day")].into());
        by_night
    };
    let mut signer = Signer::new(limited(vec![by_night(10)]));
    signer.charged(&pays(0, 30, 1));
    assert_eq!(used(&signer, "by-night"), Amount::ZERO);
    signer.pass(130 * SECOND);
    signer.charged(&pays(1, 8, 1));
    assert_eq!(signer.codes(&pays(2, 3, 1)), [ReasonCode::Limit].into());
    // Where the hour is in doubt it counts.
    let mut doubtful = Signer::new(limited(vec![by_night(10)]));
    doubtful.now.hi = doubtful.now.hi.after_millis(DAY);
    assert_eq!(doubtful.codes(&pays(0, 11, 1)), [ReasonCode::Limit].into());
    doubtful.charged(&pays(0, 9, 1));
    doubtful.now.hi = doubtful.now.lo;
    assert_eq!(used(&doubtful, "by-night"), amount(9));
    // Shorter hours, and then longer ones: what was at night stays, what is now at night comes to it.
    let mut shorter = limited(vec![by_night(10)]);
    shorter
        .hours
        .get_mut(&name("first-day"))
        .unwrap()
        .open
        .clear();
    signer.activate(renewed(shorter, 2));
    assert_eq!(used(&signer, "by-night"), amount(38));
    signer.activate(renewed(limited(vec![by_night(10)]), 3));
    assert_eq!(used(&signer, "by-night"), amount(8));
    let mut longer = limited(vec![by_night(10)]);
    longer.hours.clear();
    let whole = [strongroom_policy::Stretch {
        from: 0,
        until: 7 * 1440,
    }];
    let clocks = strongroom_policy::Clocks::Utc;
    let whole = strongroom_policy::Hours {
        open: whole.into(),
        clocks,
    };
    longer.hours.insert(name("first-day"), whole);
    signer.activate(renewed(longer, 4));
    assert_eq!(used(&signer, "by-night"), amount(8));
}
