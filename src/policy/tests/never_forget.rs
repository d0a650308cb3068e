//! Invariant 5: no sequence of policies lowers a use below what the recorded classes alone give.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::atomic::{AtomicU64, Ordering},
};

use proptest::{collection::vec, prelude::*, test_runner::TestCaseError};
use strongroom_policy::{
    ArgumentCondition, ArgumentConditions, AssetUnit, AttemptId, BundleHash, Fact, FunctionId,
    Group, Limit, Measure, Person, Policy, ReasonCode, Selector, SignerSelector, SourceSelector,
    Statement, To,
};
use tx::{AccountClass, Amount, EffectKind};

use crate::{
    breadth::{self, Dice, begun, broad, broadly, meanwhile, surrounded},
    fixture::{
        Ask, BTC, DAY, ETH, SECOND, Signer, amount, book, btc, effects, limit, name, policy,
        stranger,
    },
    hostile::{Done, Hostile, Step, group, in_time, runner, runs},
    rules::{policies, signed, signer_key, with_own_effects, with_signers},
};

/// A selector by the letter of the reference, over what stands in the fact and nowhere else.
fn matches(selector: &Selector, fact: &Fact, done: &Done) -> bool {
    let attempt = &done.attempt;
    let signed = |one: &SignerSelector| match one {
        SignerSelector::Person(person) => fact.signed_by.people.contains(person),
        SignerSelector::Key(key) => fact.signed_by.keys.contains(key),
    };
    let effect = &fact.effect;
    let source = match &fact.source {
        None => SourceSelector::None,
        Some(source) => SourceSelector::Named(source.clone()),
    };
    let cheap = |rate: &Amount| attempt.fee_terms.rate_at_most(*rate);
    let fee = effect.kind == EffectKind::Fee;
    [
        selector
            .clients
            .as_ref()
            .map(|set| set.contains(&fact.client)),
        selector.sources.as_ref().map(|set| set.contains(&source)),
        selector
            .accounts
            .as_ref()
            .map(|set| set.contains(&effect.account)),
        selector
            .classes
            .as_ref()
            .map(|set| set.contains(&fact.classes.account)),
        selector
            .chains
            .as_ref()
            .map(|set| set.contains(&effect.asset.chain)),
        selector
            .assets
            .as_ref()
            .map(|set| set.contains(&effect.asset)),
        selector
            .effects
            .as_ref()
            .map(|set| set.contains(&effect.kind)),
        Some(goes_there(selector, fact)),
        selector.amount_max.map(|most| effect.amount <= most),
        selector.amount_over.map(|least| effect.amount > least),
        selector
            .fee_rate_max
            .as_ref()
            .map(|rate| fee && cheap(rate)),
        selector
            .fee_rate_over
            .as_ref()
            .map(|rate| fee && !cheap(rate)),
        selector
            .signed_by
            .as_ref()
            .map(|set| set.iter().any(signed)),
        Some(in_time(selector, fact, done.at)),
    ]
    .into_iter()
    .flatten()
    .all(|met| met)
}

/// The conditions on where it goes, as [`matches`].
fn goes_there(selector: &Selector, fact: &Fact) -> bool {
    let effect = &fact.effect;
    let own = effect.to.as_ref().and_then(|to| to.own.as_ref());
    let cooling = &fact.classes.books_cooling;
    let meets = |to: &To| match (to, &effect.to) {
        (To::Address(address), Some(to)) => to.address == *address,
        (To::Book(book), Some(_)) => fact.classes.books.contains(book),
        (To::OwnClass(class), _) => own.is_some_and(|own| own.class == *class),
        (To::OwnAccount(account), _) => own.is_some_and(|own| own.account == *account),
        (_, None) => false,
    };
    // What is cooling may not be in it.
    let is_surely = |to: &To| match to {
        To::Book(book) => meets(to) && !cooling.contains(book),
        _ => meets(to),
    };
    let any = |set: &BTreeSet<To>| set.iter().any(meets);
    [
        selector.to.as_ref().map(any),
        selector
            .to_except
            .as_ref()
            .map(|set| !set.iter().any(is_surely)),
        selector.tags.as_ref().map(|tags| {
            let tag = effect.tag.as_ref();
            tag.is_some_and(|tag| tags.contains(tag))
        }),
        selector.functions.as_ref().map(|functions| {
            let mut functions = functions.iter();
            functions.any(|(id, conditions)| is_called(id, conditions, fact))
        }),
    ]
    .into_iter()
    .flatten()
    .all(|met| met)
}

/// Whether it is a call of the function by such arguments, by the conditions that the tests make.
fn is_called(id: &FunctionId, conditions: &ArgumentConditions, fact: &Fact) -> bool {
    let (Some(call), Some(to)) = (&fact.effect.call, &fact.effect.to) else {
        return false;
    };
    let meets = |(place, condition): (&usize, &ArgumentCondition)| {
        let Some(argument) = call.arguments.get(*place) else {
            return false;
        };
        match condition {
            ArgumentCondition::To(to) => to.iter().any(|to| match to {
                To::Address(address) => argument.value == address.to_string(),
                To::Book(book) => {
                    let held = fact.classes.arguments.get(&argument.name);
                    held.is_some_and(|held| held.books.contains(book))
                }
                To::OwnClass(_) | To::OwnAccount(_) => false,
            }),
            ArgumentCondition::Within { over: None, max } => {
                let value: u64 = argument.value.parse().unwrap();
                let max = max.map(|max| max.to_string().parse::<u64>().unwrap());
                max.is_none_or(|max| value <= max)
            }
            other => panic!("{other:?} is not made"),
        }
    };
    id.contract == to.address && id.signature == call.signature && conditions.iter().all(meets)
}

/// The use in each group, from recorded classes alone.
fn recorded(limit: &Statement<Limit>, hostile: &Hostile) -> BTreeMap<Vec<(Group, String)>, Amount> {
    let mut peaks: BTreeMap<(Vec<(Group, String)>, AttemptId), Amount> = BTreeMap::new();
    let now = hostile.signer.now.lo.millis();
    for done in hostile
        .done
        .iter()
        .filter(|d| now < d.at.millis() + limit.says.window_millis)
    {
        let mut sums: BTreeMap<_, Amount> = BTreeMap::new();
        for fact in &done.attempt.facts {
            if matches(&limit.selector, fact, done) {
                let measured = match limit.says.measure {
                    Measure::Count => amount(1),
                    Measure::Amount => fact.effect.amount,
                    Measure::Reference => fact.reference.unwrap_or_default(),
                };
                let sum = sums.entry(group(&limit.says.group, fact)).or_default();
                *sum = sum.checked_add(measured).unwrap();
            }
        }
        for (group, sum) in sums {
            let peak = peaks
                .entry((group, done.attempt.set.unwrap_or(done.id)))
                .or_default();
            *peak = (*peak).max(sum);
        }
    }
    let mut uses: BTreeMap<_, Amount> = BTreeMap::new();
    for ((group, _), peak) in peaks {
        let sum = uses.entry(group).or_default();
        *sum = sum.checked_add(peak).unwrap();
    }
    uses
}

fn nothing_is_forgotten(
    limits: &[Statement<Limit>],
    hostile: &Hostile,
) -> Result<(), TestCaseError> {
    let rooms = hostile.signer.state.room(hostile.signer.now).unwrap();
    // What is settled counts no longer where a limit asks for that: `outstanding.rs`.
    for limit in limits.iter().filter(|limit| !limit.says.outstanding) {
        for (group, least) in recorded(limit, hostile) {
            let room = rooms
                .iter()
                .find(|room| room.limit == limit.name && room.group == group);
            let used = room.map_or(Amount::ZERO, |room| room.used);
            prop_assert!(used >= least, "{limit:?} {group:?}: {used} of {least}");
        }
    }
    Ok(())
}

/// Changes what the policy says of accounts: classes, and which there are.
fn meddled(mut policy: Policy, bits: u8, sequence: u64) -> Policy {
    policy.sequence = sequence;
    policy.hash = BundleHash([u8::try_from(sequence).unwrap(); 32]);
    if bits & 1 != 0 {
        policy.accounts.get_mut(&name("hot")).unwrap().class = AccountClass::Retired;
    }
    if bits & 2 != 0 {
        policy.accounts.remove(&name("hot2"));
    }
    if bits & 4 != 0 {
        let cold = policy.accounts.remove(&name("cold")).unwrap();
        policy.accounts.insert(name("vault"), cold);
    }
    if bits & 8 != 0 {
        let (alice, bob) = (name("alice"), name("bob"));
        let keys = |seed| Person {
            keys: [signer_key(seed)].into(),
            ..Person::default()
        };
        policy.people.insert(alice, keys(2));
        policy.people.insert(bob, keys(3));
    }
    if bits & 16 != 0 {
        policy.people.remove(&name("alice"));
    }
    if bits & 64 != 0 {
        let renamed = policy.clients.remove(&name("walletd")).unwrap();
        policy.clients.insert(name("payer"), renamed);
        for source in policy.sources.values_mut() {
            source.clients.insert(name("payer"));
        }
    }
    if bits & 32 != 0 {
        policy
            .hours
            .get_mut(&name("first-day"))
            .unwrap()
            .open
            .clear();
    }
    policy
}

/// What is asked, by whoever is called `walletd` now.
fn asked(hostile: &mut Hostile, (step, own): (&Step, u8), dice: &mut Dice) -> Ask {
    let ask = with_own_effects(hostile.take(step), own);
    let ask = signed(broadly(ask, dice.below(1 << 8)), own >> 3);
    let clients = &hostile.signer.state.policy().unwrap().clients;
    match clients.contains_key(&ask.request.client) {
        true => ask,
        false => ask.client("payer"),
    }
}

/// What one bundle sees.
#[derive(Clone, Debug)]
struct Era {
    policy: Policy,
    seed: u64,
    meddling: u8,
    steps: Vec<(Step, u8)>,
}

fn eras() -> impl Strategy<Value = Vec<Era>> {
    let steps = (runs(5), vec(0..64_u8, 5));
    let era = (policies(), any::<u64>(), 0..128_u8, steps);
    let era = era.prop_map(|(policy, seed, meddling, (steps, own))| Era {
        policy,
        seed,
        meddling,
        steps: steps.into_iter().zip(own).collect(),
    });
    vec(era, 1..=4)
}

/// Sequences of bundles, of books that are loaded apart, of prices, and of names of clients, assets and accounts.
#[test]
fn no_sequence_of_policies_forgets() {
    let (counted, renamed) = (AtomicU64::new(0), AtomicU64::new(0));
    let run = |eras: Vec<Era>| {
        let mut hostile = Hostile::new(&begun());
        for (n, era) in eras.into_iter().enumerate() {
            let seed = era.seed;
            let mut dice = Dice(seed);
            let sequence = 2 + n as u64;
            let policy = with_signers(broad(era.policy, seed));
            let policy = meddled(policy, era.meddling, sequence);
            breadth::activate(&mut hostile.signer, policy.clone());
            nothing_is_forgotten(&policy.limits, &hostile)?;
            for (step, own) in &era.steps {
                meanwhile(&mut hostile, &mut dice);
                nothing_is_forgotten(&policy.limits, &hostile)?;
                let ask = asked(&mut hostile, (step, *own), &mut dice);
                let charged = u64::from(hostile.charge(&ask));
                counted.fetch_add(charged, Ordering::Relaxed);
                let by_another = u64::from(ask.request.client == name("payer"));
                renamed.fetch_add(charged * by_another, Ordering::Relaxed);
                nothing_is_forgotten(&policy.limits, &hostile)?;
            }
        }
        Ok(())
    };
    runner(500).run(&eras(), run).unwrap();
    let (counted, renamed) = (counted.into_inner(), renamed.into_inner());
    println!("{counted} charged, {renamed} of them by a renamed client");
    assert!(counted > 100 && renamed > 20, "{counted} {renamed}");
}

/// The policy's limits, which count and never speak, and nothing that refuses.
fn counting_only(made: Policy) -> Policy {
    let mut counting = surrounded(policy(), 2);
    counting.books = made.books;
    counting.limits = made.limits;
    for allow in &mut counting.allows {
        let effects = allow.selector.effects.get_or_insert_default();
        effects.extend([EffectKind::Call, EffectKind::Change]);
    }
    for limit in &mut counting.limits {
        limit.says.cap = Amount::MAX;
    }
    counting
}

/// Under one policy from the start, what was recorded is what is: nothing is counted beside it.
#[test]
fn one_policy_counts_exactly_what_it_says() {
    let counted = AtomicU64::new(0);
    let run = |((policy, seed), steps, own): ((Policy, u64), Vec<Step>, Vec<u8>)| {
        let mut dice = Dice(seed);
        let policy = with_signers(counting_only(broad(policy, seed)));
        let mut hostile = Hostile::new(&begun());
        breadth::activate(&mut hostile.signer, policy.clone());
        for (step, own) in steps.iter().zip(own) {
            meanwhile(&mut hostile, &mut dice);
            let ask = asked(&mut hostile, (step, own), &mut dice);
            hostile.charge(&ask);
        }
        let rooms = hostile.signer.state.room(hostile.signer.now).unwrap();
        // What is settled counts no longer where a limit asks for that: `outstanding.rs`.
        for limit in policy.limits.iter().filter(|limit| !limit.says.outstanding) {
            let of_limit = rooms.iter().filter(|room| room.limit == limit.name);
            let used: BTreeMap<_, _> = of_limit
                .filter(|room| !room.used.is_zero())
                .map(|room| (room.group.clone(), room.used))
                .collect();
            let mut expected = recorded(limit, &hostile);
            expected.retain(|_, used| !used.is_zero());
            counted.fetch_add(expected.len() as u64, Ordering::Relaxed);
            prop_assert_eq!(used, expected, "{:?}", limit);
        }
        Ok(())
    };
    runner(1_500)
        .run(
            &((policies(), any::<u64>()), runs(8), vec(0..64_u8, 8)),
            run,
        )
        .unwrap();
    let counted = counted.into_inner();
    assert!(counted > 400, "only {counted} uses were compared");
}

/// A cap that was lowered below the use lets nothing more out, not even something smaller in
/// place of what is counted: the larger one can still confirm.
#[test]
fn a_lowered_cap_is_not_got_around_by_a_smaller_replacement() {
    let capped = |cap| Policy {
        limits: vec![limit("daily", btc(), cap, DAY)],
        ..policy()
    };
    let mut signer = Signer::new(capped(10));
    let first = signer.charged(&Ask::utxo("a", [0], 1_000).pay("a", 8, 1));
    signer.activate(capped(5));
    let smaller = Ask::utxo("b", [0], 2_000).pay("b", 3, 1).replaces([first]);
    assert_eq!(signer.codes(&smaller), [ReasonCode::Limit].into());
    signer.activate(capped(8));
    assert_eq!(signer.permit(&smaller).unwrap().room()[0].used, amount(8));
}

fn to_book(cap: u64) -> Statement<Limit> {
    let mut limited = limit("vendors", btc(), cap, DAY);
    limited.selector.to = Some([To::Book(name("vendors"))].into());
    limited
}

/// "Insider's edits" of the attack corpus: whatever is done to a book, what was paid under it and
/// what is paid to it now both count.
#[test]
fn editing_a_book_forgets_nothing() {
    let mut listed = policy();
    listed
        .books
        .insert(name("vendors"), book([stranger(BTC, 1)]));
    listed.limits = vec![to_book(10)];
    let mut signer = Signer::new(listed.clone());
    signer.charged(&Ask::utxo("a", [0], 1_000).pay("a", 6, 1));
    signer.charged(&Ask::utxo("b", [1], 1_000).pay("b", 3, 2));
    let used = |signer: &Signer| signer.state.room(signer.now).unwrap()[0].used;
    assert_eq!(used(&signer), amount(6));
    // Taken out of the book: it was in it when it was paid.
    listed.books.insert(name("vendors"), book([]));
    signer.activate(listed.clone());
    assert_eq!(used(&signer), amount(6));
    // Put into the book after it was paid: it is in it now.
    listed
        .books
        .insert(name("vendors"), book([stranger(BTC, 2)]));
    signer.activate(listed.clone());
    assert_eq!(used(&signer), amount(9));
    // The limit renamed, its cap raised, its window halved: the facts are the same.
    let mut renamed = to_book(20);
    (renamed.name, renamed.says.window_millis) = (name("suppliers"), DAY / 2);
    listed.limits = vec![renamed];
    signer.activate(listed.clone());
    assert_eq!(used(&signer), amount(9));
    // A limit that did not exist counts what was paid before it did.
    listed.limits = vec![limit("all", btc(), 100, 90 * DAY)];
    signer.activate(listed.clone());
    assert_eq!(used(&signer), amount(9));
    // Longer than any limit looked: taken out, waited for, and put back.
    listed.limits.clear();
    signer.activate(listed.clone());
    signer.pass(2 * DAY);
    listed.limits = vec![limit("all", btc(), 100, 3 * DAY), to_book(10)];
    signer.activate(listed);
    let rooms = signer.state.room(signer.now).unwrap();
    assert_eq!([rooms[0].used, rooms[1].used], [amount(9), amount(0)]);
}

#[test]
fn a_retired_class_counts_as_what_it_was() {
    let mut counting = policy();
    let mut hot = limit("hot", btc(), 10, DAY);
    hot.selector.classes = Some([AccountClass::Hot].into());
    let mut fees = limit("fees", btc(), 5_000, DAY);
    fees.selector = Selector {
        classes: hot.selector.classes.clone(),
        ..effects(&[EffectKind::Fee])
    };
    counting.limits = vec![hot, fees];
    let mut signer = Signer::new(counting.clone());
    signer.charged(&Ask::utxo("a", [0], 1_000).pay("a", 6, 1));
    counting.accounts.get_mut(&name("hot")).unwrap().class = AccountClass::Retired;
    signer.activate(counting.clone());
    counting.accounts.remove(&name("hot"));
    signer.activate(counting);
    signer.pass(DAY - SECOND);
    let used: Vec<Amount> = signer
        .state
        .room(signer.now)
        .unwrap()
        .iter()
        .map(|room| room.used)
        .collect();
    assert_eq!(used, [amount(1_000), amount(6)]);
    assert_eq!(
        signer.state.registry().own(&crate::fixture::own("k1", ETH)),
        None
    );
}

/// "Insider's edits" of the attack corpus: what was paid is known by its asset, whatever it is called and in
/// whatever unit it is written.
#[test]
fn renaming_an_asset_forgets_nothing() {
    let mut counting = policy();
    counting.limits = vec![limit("daily", btc(), 10, DAY)];
    let unit = |decimals| AssetUnit {
        asset: btc(),
        decimals,
    };
    counting.assets = [(name("btc"), unit(8))].into();
    let mut signer = Signer::new(counting.clone());
    signer.charged(&Ask::utxo("a", [0], 1_000).pay("a", 6, 1));
    counting.assets = [(name("coin"), unit(2))].into();
    signer.activate(counting);
    assert_eq!(signer.state.room(signer.now).unwrap()[0].used, amount(6));
    let over = Ask::utxo("b", [1], 1_000).pay("b", 5, 1);
    assert_eq!(signer.codes(&over), [ReasonCode::Limit].into());
}

/// A client is known by its name: under another one its own group begins anew, which is why a bundle must
/// bound every asset without groups as well; that limit holds what any client spent, whatever it is called.
#[test]
fn renaming_a_client_begins_its_own_group_anew_and_no_other() {
    let mut counting = policy();
    let mut each = limit("each", btc(), 10, DAY);
    each.says.group = [Group::Client].into();
    counting.limits = vec![limit("all", btc(), 12, DAY), each];
    let mut signer = Signer::new(counting.clone());
    signer.charged(&Ask::utxo("a", [0], 1_000).pay("a", 8, 1));
    let renamed = counting.clients.remove(&name("walletd")).unwrap();
    counting.clients.insert(name("payer"), renamed);
    for source in counting.sources.values_mut() {
        source.clients.insert(name("payer"));
    }
    signer.activate(counting);
    let pay = |units| {
        Ask::utxo("b", [1], 1_000)
            .pay("b", units, 1)
            .client("payer")
    };
    let reasons = signer.reasons(&pay(5));
    assert_eq!(reasons.len(), 1, "{reasons:?}");
    assert_eq!(reasons[0].statement, Some(name("all")));
    assert!(signer.permit(&pay(4)).is_ok());
}
