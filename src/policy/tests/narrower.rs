//! A bundle that counts as narrower permits nothing that the running one refuses.

use std::{
    collections::BTreeSet,
    sync::atomic::{AtomicU64, Ordering},
};

use proptest::{collection::vec, prelude::*, sample::Index, test_runner::TestCaseError};
use strongroom_policy::{
    Allow, AttestationKind, Attestations, Attester, BundleHash, Group, Limit, Measure, Need,
    Person, Policy, PriceRule, Require, Statement, Verb, Widening, widenings,
};
use tx::AccountClass;

use crate::{
    fixture::{BTC, Signer, amount, book, btc, limit, name, need, policy, statement, stranger},
    hostile::{Hostile, Step, runner, runs},
    rules::{
        Addition, Outcome, additions, policies, selectors, signed, signer_key, with_own_effects,
        with_signers,
    },
    unseal::governed,
};

/// One change to a bundle, of either direction.
#[derive(Clone, Debug)]
enum Edit {
    Add(Addition),
    Remove(u8, Index),
    Reselect(u8, Index, strongroom_policy::Selector),
    Limit(Index, Turn),
    Need(Index, Need),
    Book(bool, Vec<u8>),
    Edge,
    Client(bool),
    /// Which of the three keys sign for the source, and whose one of them is.
    Signers(u8, u8),
}

/// A change to a limit.
#[derive(Clone, Debug)]
enum Turn {
    Cap(u64),
    Window(u64),
    Group(Vec<Group>),
    Over(Option<Need>),
    Outstanding(bool),
}

fn edits() -> impl Strategy<Value = Edit> {
    let groups = vec![Group::Destination, Group::Client, Group::Account];
    let people = || (1..=2_u32).prop_map(|threshold| need(threshold, &["alice", "bob"]));
    let turn = prop_oneof![
        (0..60_u64).prop_map(Turn::Cap),
        prop_oneof![Just(30_000), Just(100_000), Just(100_001), Just(300_000)]
            .prop_map(Turn::Window),
        prop::sample::subsequence(groups, 0..=2).prop_map(Turn::Group),
        prop::option::of(people()).prop_map(Turn::Over),
        any::<bool>().prop_map(Turn::Outstanding),
    ];
    prop_oneof![
        3 => additions().prop_map(Edit::Add),
        2 => (0..5_u8, any::<Index>()).prop_map(|(kind, at)| Edit::Remove(kind, at)),
        2 => (0..5_u8, any::<Index>(), selectors()).prop_map(|(k, at, s)| Edit::Reselect(k, at, s)),
        4 => (any::<Index>(), turn).prop_map(|(at, turn)| Edit::Limit(at, turn)),
        1 => (any::<Index>(), people()).prop_map(|(at, need)| Edit::Need(at, need)),
        3 => (any::<bool>(), vec(0..4_u8, 0..=3)).prop_map(|(b, of)| Edit::Book(b, of)),
        1 => Just(Edit::Edge),
        1 => any::<bool>().prop_map(Edit::Client),
        1 => (0..8_u8, 1..=3_u8).prop_map(|(signers, seed)| Edit::Signers(signers, seed)),
    ]
}

fn chosen<'a, K>(all: &'a mut [Statement<K>], at: &Index) -> Option<&'a mut Statement<K>> {
    (!all.is_empty()).then(|| at.get_mut(all))
}

fn removed<K>(all: &mut Vec<Statement<K>>, at: &Index) {
    if !all.is_empty() {
        all.remove(at.index(all.len()));
    }
}

fn reselect<K>(all: &mut [Statement<K>], at: &Index, selector: strongroom_policy::Selector) {
    if let Some(statement) = chosen(all, at) {
        statement.selector = selector;
    }
}

fn turned(limit: &mut Limit, turn: Turn) {
    match turn {
        Turn::Cap(cap) => limit.cap = amount(cap),
        Turn::Window(millis) => limit.window_millis = millis,
        Turn::Group(group) => limit.group = group.into_iter().collect(),
        Turn::Over(over) => limit.over = over,
        Turn::Outstanding(is) => limit.outstanding = is,
    }
}

fn edited(mut policy: Policy, edit: Edit) -> Policy {
    match edit {
        Edit::Add(addition) => return addition.add_to(policy),
        Edit::Remove(0, at) => removed(&mut policy.allows, &at),
        Edit::Remove(1, at) => removed(&mut policy.denies, &at),
        Edit::Remove(2, at) => removed(&mut policy.requires, &at),
        Edit::Remove(3, at) => removed(&mut policy.limits, &at),
        Edit::Remove(_, at) => removed(&mut policy.evacuates, &at),
        Edit::Reselect(0, at, s) => reselect(&mut policy.allows, &at, s),
        Edit::Reselect(1, at, s) => reselect(&mut policy.denies, &at, s),
        Edit::Reselect(2, at, s) => reselect(&mut policy.requires, &at, s),
        Edit::Reselect(3, at, s) => reselect(&mut policy.limits, &at, s),
        Edit::Reselect(_, at, s) => reselect(&mut policy.evacuates, &at, s),
        Edit::Limit(at, turn) => {
            if let Some(limit) = chosen(&mut policy.limits, &at) {
                turned(&mut limit.says, turn);
            }
        }
        Edit::Need(at, need) => {
            if let Some(require) = chosen(&mut policy.requires, &at) {
                require.says = Require { need };
            }
        }
        Edit::Book(first, of) => {
            let which = if first { "b0" } else { "b1" };
            let of = of.into_iter().map(|n| stranger(BTC, n));
            policy.books.insert(name(which), book(of));
        }
        Edit::Edge => {
            policy.edges.insert((AccountClass::Hot, AccountClass::Hot));
        }
        Edit::Signers(signers, seed) => {
            let signs = |seed: &u8| signers & (1 << (seed - 1)) != 0;
            let keys = (1..=3).filter(signs).map(signer_key).collect();
            let source = policy.sources.get_mut(&name("payouts")).unwrap();
            source.signers = keys;
            let keys = [signer_key(seed)].into();
            policy.people.insert(
                name("bob"),
                Person {
                    keys,
                    ..Person::default()
                },
            );
        }
        Edit::Client(gone) => {
            let other = name("other");
            match gone {
                true => drop(policy.clients.remove(&other)),
                false => policy.clients.values_mut().for_each(|client| {
                    client.accounts.remove(&name("hot2"));
                }),
            }
        }
    }
    policy
}

/// How many of the pairs were narrower, and how many requests the narrower one permitted.
#[derive(Default)]
struct Seen {
    narrower: AtomicU64,
    permits: AtomicU64,
}

/// A history under the running bundle, and what each of the two says of what is asked next, at every step.
fn compared(
    running: &Policy,
    offered: Policy,
    steps: &[(Step, u8)],
    seen: &Seen,
) -> Result<(), TestCaseError> {
    let offered = Policy {
        hash: BundleHash([2; 32]),
        sequence: 2,
        ..offered
    };
    if !widenings(running, &offered).is_empty() {
        return Ok(());
    }
    seen.narrower.fetch_add(1, Ordering::Relaxed);
    let mut hostile = Hostile::new(&Signer::new(running.clone()));
    for (step, bits) in steps {
        let ask = signed(with_own_effects(hostile.take(step), *bits), bits >> 3);
        let mut next = hostile.signer.clone();
        next.activate(offered.clone());
        let under_new = Outcome::of(next.evaluate(&ask));
        let under_old = Outcome::of(hostile.signer.evaluate(&ask));
        if under_new.rank == 2 {
            seen.permits.fetch_add(1, Ordering::Relaxed);
        }
        prop_assert!(
            under_new.rank <= under_old.rank,
            "{under_old:?} became {under_new:?}"
        );
        hostile.charge(&ask);
    }
    Ok(())
}

#[test]
fn what_a_narrower_bundle_permits_the_running_one_permits() {
    let seen = Seen::default();
    let steps = runs(6).prop_flat_map(|steps| {
        let bits = vec(0..64_u8, steps.len());
        (Just(steps), bits).prop_map(|(steps, bits)| steps.into_iter().zip(bits).collect())
    });
    let cases = (policies(), vec(edits(), 1..=3), steps);
    let run = |(running, edits, steps): (Policy, Vec<Edit>, Vec<(Step, u8)>)| {
        let running = with_signers(running);
        let offered = edits.into_iter().fold(running.clone(), edited);
        compared(&running, offered, &steps, &seen)
    };
    runner(4_000).run(&cases, run).unwrap();
    let (narrower, permits) = (seen.narrower.into_inner(), seen.permits.into_inner());
    println!("4,000 pairs, {narrower} of them narrower, {permits} permits");
    assert!(narrower > 400 && permits > 200, "{narrower}, {permits}");
}

fn known() -> Policy {
    let mut policy = governed();
    policy
        .books
        .insert(name("known"), book([stranger(BTC, 1), stranger(BTC, 2)]));
    policy.limits = vec![limit("day", btc(), 20, 86_400_000)];
    policy
}

/// What is said of the bundle with this change.
fn said(change: impl FnOnce(&mut Policy)) -> Vec<String> {
    let mut offered = known();
    change(&mut offered);
    let found: BTreeSet<Widening> = widenings(&known(), &offered);
    found.iter().map(ToString::to_string).collect()
}

#[test]
fn a_bundle_is_narrower_than_itself() {
    assert!(said(|_| {}).is_empty());
    assert!(said(|policy| policy.allows.clear()).is_empty());
}

#[test]
fn a_lower_cap_a_longer_window_and_fewer_groups_are_narrower_and_nothing_else_of_a_limit() {
    let gone = ["limit \"day\" is gone or restricts less"];
    let limit = |change: fn(&mut Limit)| said(|policy| change(&mut policy.limits[0].says));
    assert!(limit(|limit| limit.cap = amount(19)).is_empty());
    assert!(limit(|limit| limit.window_millis *= 2).is_empty());
    assert_eq!(limit(|limit| limit.cap = amount(21)), gone);
    assert_eq!(limit(|limit| limit.window_millis -= 1), gone);
    // A charge may leave the running window late by a bucket.
    assert_eq!(limit(|limit| limit.window_millis += 60_000), gone);
    assert!(limit(|limit| limit.window_millis += 60_001).is_empty());
    assert_eq!(limit(|limit| limit.measure = Measure::Count), gone);
    assert_eq!(limit(|limit| limit.group = [Group::Account].into()), gone);
    assert_eq!(limit(|limit| limit.over = Some(need(1, &["ann"]))), gone);
    assert_eq!(limit(|limit| limit.outstanding = true), gone);
    assert_eq!(said(|policy| policy.limits.clear()), gone);
    // By what it does, not by its name.
    assert!(said(|policy| policy.limits[0].name = name("renamed")).is_empty());
}

#[test]
fn a_dearer_price_is_narrower_and_another_attester_is_not() {
    let rule = |floor: &str, haircut_bp, max_age_millis| PriceRule {
        decimals: 8,
        haircut_bp,
        floor: floor.parse().unwrap(),
        max_age_millis,
    };
    let mut running = known();
    let attester = Attester {
        keys: [signer_key(7)].into(),
        says: [AttestationKind::Price].into(),
    };
    let mut priced = Attestations {
        attesters: [(name("w1"), attester.clone())].into(),
        needed: [(AttestationKind::Price, 1)].into(),
        currency: Some(name("usd")),
        prices: [(btc(), rule("10", 100, 60_000))].into(),
    };
    let is_narrower = |running: &Policy, attestations: &Attestations| {
        let attestations = attestations.clone();
        let offered = Policy {
            attestations,
            ..running.clone()
        };
        widenings(running, &offered).is_empty()
    };
    // Nothing asks for a price yet.
    assert!(is_narrower(&running, &priced));
    running.attestations = priced.clone();
    assert!(!is_narrower(&running, &Attestations::default()));
    for (floor, haircut, age, expected) in [
        ("10", 100, 60_000, true),
        ("11", 200, 30_000, true),
        ("9", 100, 60_000, false),
        ("10", 99, 60_000, false),
        ("10", 100, 60_001, false),
    ] {
        priced.prices = [(btc(), rule(floor, haircut, age))].into();
        assert_eq!(is_narrower(&running, &priced), expected, "{floor}");
    }
    priced = running.attestations.clone();
    priced.attesters.insert(name("w2"), attester);
    assert!(!is_narrower(&running, &priced));
    priced = running.attestations.clone();
    priced.needed.insert(AttestationKind::Price, 2);
    assert!(!is_narrower(&running, &priced));
    priced = running.attestations.clone();
    priced.currency = Some(name("eur"));
    assert!(!is_narrower(&running, &priced));
}

#[test]
fn two_needs_that_become_one_take_fewer_people() {
    let mut running = known();
    let everything = strongroom_policy::Selector::default;
    let ask = |name: &str, need: Need| statement(name, everything(), Require { need });
    let (one, other) = (need(1, &["ann", "ben"]), need(1, &["ann", "cem"]));
    running.requires = vec![ask("one", one.clone()), ask("other", other.clone())];
    let widened = |needs: [Need; 2]| {
        let mut offered = running.clone();
        let [one, other] = needs;
        offered.requires = vec![ask("one", one), ask("other", other)];
        widenings(&running, &offered).len()
    };
    let anns = need(1, &["ann"]);
    assert_eq!(widened([one.clone(), other.clone()]), 0);
    assert_eq!(widened([anns.clone(), other.clone()]), 0);
    assert_eq!(widened([anns.clone(), anns]), 1, "ann would do for both");
    let slower = |need: Need| Need {
        delay_millis: 1,
        valid_millis: 60_000,
        rejection: strongroom_policy::Rejection::Final,
        ..need
    };
    assert_eq!(widened([slower(one.clone()), slower(other.clone())]), 0);
    running.requires = vec![ask("one", slower(one.clone())), ask("other", other.clone())];
    let mut offered = running.clone();
    offered.requires = vec![ask("one", one), ask("other", other)];
    assert_eq!(widenings(&running, &offered).len(), 1);
}

#[test]
fn an_allow_that_is_covered_by_no_running_one_is_wider() {
    let mut running = known();
    running.allows[0].selector.to = Some([strongroom_policy::To::Book(name("known"))].into());
    let with = |change: &dyn Fn(&mut Policy)| {
        let mut offered = running.clone();
        change(&mut offered);
        widenings(&running, &offered).len()
    };
    let to_book = |policy: &mut Policy, n: u8| {
        let addresses = (1..=n).map(|n| stranger(BTC, n));
        policy.books.insert(name("known"), book(addresses));
    };
    assert_eq!(with(&|policy| to_book(policy, 1)), 0);
    assert_eq!(with(&|policy| to_book(policy, 3)), 1);
    assert_eq!(with(&|policy| policy.allows[0].selector.to = None), 1);
    assert_eq!(
        with(&|policy| policy.allows[0].selector.amount_max = Some(amount(1))),
        0
    );
    let stranger_too = |policy: &mut Policy| {
        let selector = strongroom_policy::Selector {
            to: Some([strongroom_policy::To::Address(stranger(BTC, 9))].into()),
            ..policy.allows[0].selector.clone()
        };
        policy.allows.push(statement("more", selector, Allow));
    };
    assert_eq!(with(&stranger_too), 1);
}

#[test]
fn a_book_that_is_denied_may_grow_and_not_shrink() {
    let mut running = known();
    let selector = strongroom_policy::Selector {
        to: Some([strongroom_policy::To::Book(name("known"))].into()),
        ..Default::default()
    };
    let deny = statement("known", selector, strongroom_policy::Deny);
    running.denies.push(deny);
    for (n, wider) in [(1, 1), (2, 0), (3, 0)] {
        let mut offered = running.clone();
        let addresses = (1..=n).map(|n| stranger(BTC, n));
        offered.books.insert(name("known"), book(addresses));
        assert_eq!(widenings(&running, &offered).len(), wider, "{n}");
    }
}

#[test]
fn who_governs_and_what_is_ours_stays_or_the_bundle_waits() {
    let keys = |policy: &mut Policy, person: &str, keys: &[&str]| {
        let keys = keys.iter().map(|key| (*key).to_owned()).collect();
        policy.people.insert(
            name(person),
            Person {
                keys,
                ..Person::default()
            },
        );
    };
    let govern = |policy: &mut Policy| {
        let client = policy.clients.get_mut(&name("walletd")).unwrap();
        client.verbs.insert(Verb::Govern);
    };
    assert_eq!(
        said(|p| p.governance.threshold = 3),
        ["who governs differs"]
    );
    assert_eq!(
        said(|p| p.governance.delay_millis = 1),
        ["who governs differs"]
    );
    assert_eq!(
        said(|p| keys(p, "ann", &[])),
        ["person \"ann\" allows more than is running"]
    );
    assert_eq!(
        said(|p| drop(p.people.remove(&name("ann")))),
        ["who the officers are differs"]
    );
    assert_eq!(
        said(|p| keys(p, "dan", &["key"])),
        ["person \"dan\" allows more than is running"]
    );
    assert_eq!(
        said(|p| drop(p.accounts.remove(&name("cold")))),
        ["an account differs"]
    );
    assert_eq!(
        said(govern),
        ["client \"walletd\" allows more than is running"]
    );
    assert!(said(|p| p.edges.clear()).is_empty());
    assert!(said(|p| drop(p.clients.remove(&name("other")))).is_empty());
    // Whoever can bring a veto keeps being able to.
    let (mut running, mut offered) = (known(), known());
    govern(&mut running);
    assert_eq!(
        widenings(&running, &offered),
        [Widening::Changed("who can bring a veto")].into()
    );
    govern(&mut offered);
    assert!(widenings(&running, &offered).is_empty());
    assert_eq!(policy().governance.delay_millis, 0);
}
