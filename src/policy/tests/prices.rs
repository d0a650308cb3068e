//! Attesters say what assets are worth: what counts of it, what it bounds, and that nothing is forgotten.

use std::collections::{BTreeMap, BTreeSet};

use proptest::{collection::vec, prelude::*, test_runner::TestCaseError};
use ssh_key::PrivateKey;
use strongroom_policy::{
    AttemptId, AttestationKind, Attested, Attester, BundleHash, Digest, Entry, HotState, Limit,
    Measure, Policy, PriceRule, ReasonCode, Record, State, StateError, Statement,
    statement::{self, Attestation, PublicKeyLine, Seen, StatementError},
};
use tx::{Amount, Asset, Time};

use crate::{
    fixture::{Ask, DAY, SECOND, Signer, amount, btc, eth, limit, name, policy},
    hostile::runner,
    unseal::officer,
    windows::again,
};

const AGE: u64 = 600 * SECOND;

/// One unit of the currency, in the smallest part of values.
const USD: u64 = 100_000_000;

fn key(seed: u8) -> PrivateKey {
    officer(seed)
}

fn line(seed: u8) -> String {
    let line = key(seed).public_key().to_openssh().unwrap();
    PublicKeyLine::parse(&line).unwrap().into_string()
}

fn rule(floor: &str, haircut_bp: u32) -> PriceRule {
    PriceRule {
        // A base unit is a unit, so that values can be read.
        decimals: 0,
        haircut_bp,
        floor: floor.parse().unwrap(),
        max_age_millis: AGE,
    }
}

/// At most `cap` units of the currency in a window.
fn values(text: &str, assets: &[Asset], cap: u64, window_millis: u64) -> Statement<Limit> {
    let mut limit = limit(text, btc(), cap * USD, window_millis);
    limit.selector.assets = Some(assets.iter().cloned().collect());
    limit.says.measure = Measure::Reference;
    limit
}

/// Two of the three attesters w1, w2 and w3 say what both coins are worth; at most 100 a day leave.
pub fn priced() -> Policy {
    let mut policy = policy();
    let attestations = &mut policy.attestations;
    for (name, seed) in [("w1", 11), ("w2", 12), ("w3", 13)] {
        let attester = Attester {
            keys: [line(seed)].into(),
            says: [AttestationKind::Price].into(),
        };
        let name = name.parse().unwrap();
        attestations.attesters.insert(name, attester);
    }
    attestations.needed = [(AttestationKind::Price, 2)].into();
    attestations.currency = Some(name("usd"));
    attestations.prices = [(btc(), rule("1", 0)), (eth(), rule("1", 0))].into();
    policy.limits = vec![values("day", &[btc(), eth()], 100, DAY)];
    policy
}

fn attestation(who: &str, number: u64, at: Time, asset: Asset, price: &str) -> Attestation {
    Attestation {
        fleet: name("main"),
        number,
        attester: name(who),
        at,
        seen: Seen::Price {
            asset,
            currency: name("usd"),
            price: price.parse().unwrap(),
        },
    }
}

pub fn attested(statement: &Attestation, seed: u8) -> Attested {
    let text = statement.to_string();
    let namespace = statement.header().namespace();
    Attested {
        hash: statement.hash(),
        attester: statement.attester.clone(),
        key: line(seed),
        signature: statement::sign(&text, &namespace, &key(seed)).unwrap(),
        statement: text,
    }
}

fn entry(said: Attested) -> Entry {
    Entry::Attested(Box::new(said))
}

pub fn attester_seed(who: &str) -> u8 {
    10 + who.strip_prefix('w').unwrap().parse::<u8>().unwrap()
}

/// The attester says it now, with the next number.
pub fn say(signer: &mut Signer, who: &str, asset: &Asset, price: &str) {
    let now = signer.now.lo;
    let number = signer.state.entries();
    let statement = attestation(who, number, now, asset.clone(), price);
    signer.push(entry(attested(&statement, attester_seed(who))));
}

fn refused(signer: &Signer, said: Attested) -> StateError {
    let record = Record {
        v: 1,
        time: signer.now,
        entry: entry(said),
    };
    let mut state: State = signer.state.clone();
    let error = state.apply(state.entries(), &record).unwrap_err();
    assert_eq!(state.hot(), signer.state.hot());
    error
}

fn said_price(signer: &Signer, asset: &Asset) -> Option<String> {
    let price = signer.state.price(asset, signer.now.hi).ok()?;
    Some(price.to_string())
}

fn used(signer: &Signer, limit: &str) -> Amount {
    let rooms = signer.state.room(signer.now).unwrap();
    let room = rooms.iter().find(|room| room.limit == name(limit));
    room.map_or(Amount::ZERO, |room| room.used)
}

fn usd(units: u64) -> Amount {
    amount(units * USD)
}

#[test]
fn the_middle_one_of_enough_attesters_counts_and_of_two_the_higher_one() {
    let mut signer = Signer::new(priced());
    assert_eq!(said_price(&signer, &btc()), None);
    say(&mut signer, "w1", &btc(), "30");
    assert_eq!(said_price(&signer, &btc()), None);
    // The same attester again is still one.
    say(&mut signer, "w1", &btc(), "31");
    assert_eq!(said_price(&signer, &btc()), None);
    say(&mut signer, "w2", &btc(), "20.5");
    assert_eq!(said_price(&signer, &btc()).as_deref(), Some("31"));
    say(&mut signer, "w3", &btc(), "1");
    assert_eq!(said_price(&signer, &btc()).as_deref(), Some("20.5"));
    assert_eq!(said_price(&signer, &eth()), None);
}

#[test]
fn price() {
    let mut signer = Signer::new(priced());
    let pay = Ask::utxo("a", [0], 1_000).pay("a", 2, 1);
    let refused = |signer: &Signer, holding: &str| {
        let reasons = signer.reasons(&pay);
        assert_eq!(reasons.len(), 1, "{reasons:?}");
        assert_eq!(reasons[0].code, ReasonCode::Price);
        assert_eq!(reasons[0].statement, Some(name("day")));
        let detail = &reasons[0].detail;
        assert!(detail.contains(&btc().to_string()), "{detail}");
        assert!(detail.contains(holding), "{detail}");
    };
    refused(&signer, "prices of 0 of the 2");
    say(&mut signer, "w1", &btc(), "30");
    refused(&signer, "prices of 1 of the 2");
    say(&mut signer, "w2", &btc(), "30");
    assert!(signer.permit(&pay).is_ok());
    // It holds until its age by the latest that it can be, and not a moment longer.
    signer.pass(AGE);
    assert!(signer.permit(&pay).is_ok());
    signer.now.hi = signer.now.hi.after_millis(1);
    refused(&signer, "prices of 0 of the 2");
    say(&mut signer, "w2", &btc(), "30");
    refused(&signer, "prices of 1 of the 2");
    say(&mut signer, "w3", &btc(), "30");
    assert!(signer.permit(&pay).is_ok());
    // What no limit on values counts needs no price.
    let mut free = priced();
    free.limits[0].selector.assets = Some([eth()].into());
    assert!(Signer::new(free).permit(&pay).is_ok());
}

#[test]
fn a_value_has_the_haircut_and_the_floor_and_is_rounded_up_for_each_effect() {
    let mut policy = priced();
    policy.attestations.prices = [(btc(), rule("10", 2_500)), (eth(), rule("1", 0))].into();
    let mut signer = Signer::new(policy);
    for who in ["w1", "w2"] {
        say(&mut signer, who, &btc(), "4");
        say(&mut signer, who, &eth(), "0.000000001");
    }
    // 4 and a quarter of it is less than the floor of 10.
    let ask = Ask::utxo("a", [0], 1_000).pay("a", 2, 1).pay("b", 3, 2);
    let (_, attempt) = signer.charge(&ask).unwrap();
    let values: Vec<_> = attempt.facts.iter().map(|fact| fact.reference).collect();
    assert!(values.contains(&Some(usd(20))) && values.contains(&Some(usd(30))));
    assert_eq!(used(&signer, "day"), usd(50));
    for who in ["w1", "w2"] {
        say(&mut signer, who, &btc(), "16");
    }
    assert!(
        signer
            .permit(&Ask::utxo("b", [1], 1_000).pay("c", 2, 1))
            .is_ok()
    );
    let more = Ask::utxo("b", [1], 1_000).pay("c", 3, 1);
    let reasons = signer.reasons(&more);
    assert_eq!(reasons[0].code, ReasonCode::Limit);
    let detail = &reasons[0].detail;
    assert!(
        detail.contains("has a cap of 100 usd, 50 usd used, 60 usd asked"),
        "{detail}"
    );
}

#[test]
fn assets_share_one_limit_and_a_replacement_costs_what_it_is_worth_more() {
    let mut signer = Signer::new(priced());
    for who in ["w1", "w2"] {
        say(&mut signer, who, &btc(), "10");
        say(&mut signer, who, &eth(), "2");
    }
    let first = signer.charged(&Ask::utxo("a", [0], 1_000).pay("a", 4, 1));
    signer.charged(&Ask::evm("b", 0, 10).pay("b", 20, 1));
    assert_eq!(used(&signer, "day"), usd(80));
    // The same payment at a higher price, in place of the first.
    for who in ["w1", "w2"] {
        say(&mut signer, who, &btc(), "15");
    }
    let dearer = |units| {
        let ask = Ask::utxo("c", [0], 2_000).pay("a", 4, 1).replaces([first]);
        ask.payment(units, 2)
            .bring(Ask::utxo("c", [0], 2_000).intent("c", units, 2))
    };
    assert_eq!(signer.codes(&dearer(1)), [ReasonCode::Limit].into());
    signer.charged(&Ask::utxo("d", [0], 2_000).pay("a", 4, 1).replaces([first]));
    assert_eq!(used(&signer, "day"), usd(100));
}

/// "Insider's edits" of the attack corpus: an old price, or none, forgets nothing.
#[test]
fn no_price_and_no_bundle_lowers_what_was_charged() {
    let mut policy = priced();
    policy.limits.clear();
    let mut signer = Signer::new(policy.clone());
    // Charged before anything had a price.
    signer.charged(&Ask::utxo("a", [0], 1_000).pay("a", 5, 1));
    for who in ["w1", "w2"] {
        say(&mut signer, who, &btc(), "7");
    }
    signer.charged(&Ask::utxo("b", [1], 1_000).pay("b", 3, 1));
    let mut turn = |change: &dyn Fn(&mut Policy)| {
        change(&mut policy);
        policy.sequence += 1;
        policy.hash = BundleHash([u8::try_from(policy.sequence).unwrap(); 32]);
        signer.activate(policy.clone());
        used(&signer, "day")
    };
    let set = |floor: &'static str| {
        move |policy: &mut Policy| {
            policy.attestations.prices.insert(btc(), rule(floor, 0));
            policy.limits = vec![values("day", &[btc()], 100, DAY)];
        }
    };
    // 3 at the 7 they were worth, and 5 at the floor: nothing was attested of them.
    assert_eq!(turn(&set("1")), usd(26));
    assert_eq!(turn(&set("4")), usd(41));
    assert_eq!(turn(&set("10")), usd(80));
    assert_eq!(
        turn(&set("0.5")),
        usd(21).checked_add(amount(USD * 5 / 2)).unwrap()
    );
    let nobody = |policy: &mut Policy| {
        policy.attestations = strongroom_policy::Attestations::default();
    };
    assert_eq!(turn(&nobody), usd(21));
    let renamed = |policy: &mut Policy| policy.attestations.currency = Some(name("eur"));
    assert_eq!(turn(&renamed), usd(21));
}

#[test]
fn a_statement_counts_once_and_none_before_it() {
    let mut signer = Signer::new(priced());
    let now = signer.now.lo;
    let second = attested(&attestation("w1", 5, now, btc(), "30"), 11);
    signer.push(entry(second.clone()));
    assert_eq!(refused(&signer, second), StateError::SaidAlready);
    let not_newer = StateError::NotNewer { last: 5 };
    for number in [0, 4, 5] {
        let old = attested(&attestation("w1", number, now, btc(), "20"), 11);
        assert_eq!(refused(&signer, old), not_newer);
    }
    // Of another asset, and by another attester, the number is another one.
    signer.push(entry(attested(&attestation("w1", 0, now, eth(), "2"), 11)));
    signer.push(entry(attested(&attestation("w2", 5, now, btc(), "2"), 12)));
    signer.push(entry(attested(&attestation("w1", 6, now, btc(), "2"), 11)));
}

#[test]
fn what_is_of_another_fleet_time_kind_currency_or_attester_counts_for_nothing() {
    let signer = Signer::new(priced());
    let now = signer.now.lo;
    let of = |change: &dyn Fn(&mut Attestation), seed| {
        let mut statement = attestation("w1", 1, now, btc(), "30");
        change(&mut statement);
        refused(&signer, attested(&statement, seed))
    };
    let unsigned = StateError::Unseal(StatementError::Attester(name("w1")));
    // Signed by another attester, or by a person.
    assert_eq!(of(&|_| (), 12), unsigned);
    assert_eq!(of(&|_| (), 1), unsigned);
    assert_eq!(
        of(&|one| one.fleet = name("other"), 11),
        StateError::Unseal(StatementError::Fleet)
    );
    assert_eq!(
        of(&|one| one.attester = name("w4"), 11),
        StateError::NoAttester {
            attester: name("w4")
        }
    );
    let at = now.after_millis(1);
    assert_eq!(of(&|one| one.at = at, 11), StateError::NotSeenYet { at });
    let old = now.before_millis(AGE + 1);
    assert!(matches!(
        of(&|one| one.at = old, 11),
        StateError::Unseal(StatementError::Expired(_))
    ));
    let elsewhere = |one: &mut Attestation| {
        one.seen = Seen::Price {
            asset: btc(),
            currency: name("eur"),
            price: "30".parse().unwrap(),
        };
    };
    assert!(matches!(of(&elsewhere, 11), StateError::NotPriced { .. }));
    let unpriced = |one: &mut Attestation| {
        one.seen = Seen::Price {
            asset: "eip155:1/erc20:0x5FbDB2315678afecb367f032d93F642f64180aa3"
                .parse()
                .unwrap(),
            currency: name("usd"),
            price: "30".parse().unwrap(),
        };
    };
    assert!(matches!(of(&unpriced, 11), StateError::NotPriced { .. }));
    // The signature is good, and for a statement of another kind.
    let statement = attestation("w1", 1, now, btc(), "30");
    let mut other = attested(&statement, 11);
    other.signature = statement::sign(&other.statement, "strongroom-veto-v1", &key(11)).unwrap();
    assert_eq!(refused(&signer, other), unsigned);
    // What the entry says of it is not so.
    let mut other = attested(&statement, 11);
    other.hash = Digest([0; 32]);
    assert_eq!(refused(&signer, other), StateError::Statement);
    let mut other = attested(&statement, 11);
    other.attester = name("w2");
    assert_eq!(refused(&signer, other), StateError::Statement);
    let mut other = attested(&statement, 11);
    other.key = line(12);
    assert_eq!(refused(&signer, other), unsigned);
}

#[test]
fn whoever_is_an_attester_no_longer_or_has_another_key_says_nothing() {
    let mut policy = priced();
    let mut signer = Signer::new(policy.clone());
    for who in ["w1", "w2"] {
        say(&mut signer, who, &btc(), "30");
    }
    let mut holds = |change: &dyn Fn(&mut Policy)| {
        let before = policy.clone();
        change(&mut policy);
        policy.sequence += 1;
        policy.hash = BundleHash([u8::try_from(policy.sequence).unwrap(); 32]);
        signer.activate(policy.clone());
        let (sequence, hash) = (policy.sequence, policy.hash);
        policy = Policy {
            sequence,
            hash,
            ..before
        };
        said_price(&signer, &btc()).is_some()
    };
    assert!(holds(&|_| ()));
    assert!(!holds(&|policy| {
        policy.attestations.attesters.remove(&name("w1"));
    }));
    assert!(!holds(&|policy| {
        let attester = policy.attestations.attesters.get_mut(&name("w1"));
        attester.unwrap().keys = [line(14)].into();
    }));
    assert!(!holds(&|policy| {
        let attester = policy.attestations.attesters.get_mut(&name("w1"));
        attester.unwrap().says.clear();
    }));
    assert!(!holds(
        &|policy| policy.attestations.currency = Some(name("eur"))
    ));
    assert!(!holds(&|policy| policy.attestations.needed.clear()));
    assert!(holds(&|_| ()));
}

#[test]
fn what_was_said_and_charged_is_kept_through_bytes() {
    let mut signer = Signer::new(priced());
    for who in ["w2", "w1"] {
        say(&mut signer, who, &eth(), "2.5");
        say(&mut signer, who, &btc(), "3");
    }
    for n in 0..20 {
        let id = format!("r{n}");
        signer.charged(&Ask::utxo(&id, [n], 1_000).pay(&id, 1, 1));
    }
    let restored = again(&signer.state, &[priced()]);
    assert_eq!(restored.hot(), signer.state.hot());
    assert_eq!(
        restored.room(signer.now).unwrap(),
        signer.state.room(signer.now).unwrap()
    );
    assert_eq!(used(&signer, "day"), usd(60));
    assert_eq!(
        restored.price(&eth(), signer.now.hi),
        signer.state.price(&eth(), signer.now.hi)
    );
    // One order alone is a spelling of it.
    let text = String::from_utf8(signer.state.hot().encode().unwrap()).unwrap();
    let swapped = text.replacen("\"attester\":\"w1\"", "\"attester\":\"w9\"", 1);
    assert_ne!(swapped, text);
    assert!(HotState::decode(swapped.as_bytes()).is_err());
}

proptest! {
    #[test]
    fn the_text_is_injective_and_reads_as_it_is_written(
        number: u64, millis in 0..253_402_207_200_000_u64, whole in 1..1_000_000_u64, fraction in "[0-9]{0,17}[1-9]",
        who in "[a-z0-9._-]{1,64}", currency in "[a-z0-9._-]{1,64}",
    ) {
        let mut statement = attestation("w1", number, Time::from_millis(millis), eth(), "1");
        statement.attester = name(&who);
        statement.seen = Seen::Price {
            asset: eth(),
            currency: name(&currency),
            price: format!("{whole}.{fraction}").parse().unwrap(),
        };
        prop_assert_eq!(Attestation::parse(&statement.to_string()), Ok(statement));
    }

    #[test]
    fn one_changed_byte_is_another_statement_or_none(at: prop::sample::Index, byte: u8) {
        let signer = Signer::new(priced());
        let said = attested(&attestation("w1", 7, signer.now.lo, btc(), "30.25"), 11);
        let mut bytes = said.statement.clone().into_bytes();
        let at = at.index(bytes.len());
        prop_assume!(bytes[at] != byte);
        bytes[at] = byte;
        if let Ok(text) = String::from_utf8(bytes)
            && let Ok(read) = Attestation::parse(&text)
        {
            prop_assert_eq!(read.to_string(), text.clone());
            let mut other = said;
            (other.hash, other.attester, other.statement) = (read.hash(), read.attester, text);
            refused(&signer, other);
        }
    }
}

/// What an attester or a coordinator does.
#[derive(Clone, Debug)]
enum Step {
    Say(u8, bool, u32),
    Pay(bool, u64),
    Replace(u64),
    Wait(u64),
    Rule(bool, u32, u32),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (1..=3_u8, any::<bool>(), 1..40_u32).prop_map(|(who, coin, price)| Step::Say(who, coin, price)),
        4 => (any::<bool>(), 1..5_u64).prop_map(|(coin, units)| Step::Pay(coin, units)),
        1 => (1..5_u64).prop_map(Step::Replace),
        2 => (0..AGE).prop_map(Step::Wait),
        1 => (any::<bool>(), 1..20_u32, 0..5_000_u32).prop_map(|(coin, floor, cut)| Step::Rule(coin, floor, cut)),
    ];
    vec(step, 1..25)
}

/// The value of each attempt of each conflict set, as it was charged.
#[derive(Default)]
struct Charged(BTreeMap<AttemptId, Vec<(Time, Amount)>>);

impl Charged {
    /// What the window holds at the least, by what was recorded alone.
    fn least(&self, now: Time, window_millis: u64) -> Amount {
        let peak = |of: &Vec<(Time, Amount)>| {
            let within = of
                .iter()
                .filter(|(at, _)| now.millis() < at.millis() + window_millis);
            within.map(|(_, value)| *value).max().unwrap_or_default()
        };
        let peaks = self.0.values().map(peak);
        peaks.fold(Amount::ZERO, |sum, peak| sum.checked_add(peak).unwrap())
    }
}

fn coin(is_btc: bool) -> Asset {
    if is_btc { btc() } else { eth() }
}

fn nothing_is_forgotten(steps: Vec<Step>) -> Result<(), TestCaseError> {
    const CAP: u64 = 300;
    const WINDOW: u64 = 900 * SECOND;
    let mut policy = priced();
    policy.limits = vec![values("day", &[btc(), eth()], CAP, WINDOW)];
    let mut signer = Signer::new(policy.clone());
    let mut charged = Charged::default();
    let (mut n, mut nonce, mut last) = (0_u32, 0, None);
    for step in steps {
        n += 1;
        let id = format!("r{n}");
        match step {
            Step::Say(who, is_btc, price) => {
                say(
                    &mut signer,
                    &format!("w{who}"),
                    &coin(is_btc),
                    &price.to_string(),
                );
            }
            Step::Wait(millis) => signer.pass(millis),
            Step::Rule(is_btc, floor, cut) => {
                let rule = rule(&floor.to_string(), cut);
                policy.attestations.prices.insert(coin(is_btc), rule);
                policy.sequence += 1;
                policy.hash = BundleHash([u8::try_from(policy.sequence).unwrap(); 32]);
                signer.activate(policy.clone());
            }
            Step::Pay(..) | Step::Replace(_) => {
                let ask = match (&step, last) {
                    (Step::Pay(true, units), _) => Ask::utxo(&id, [n], 1_000).pay(&id, *units, 1),
                    (Step::Pay(false, units), _) => Ask::evm(&id, nonce, 10).pay(&id, *units, 1),
                    (Step::Replace(units), Some((vout, replaced))) => {
                        let ask = Ask::utxo(&id, [vout], 100_000 * u64::from(n));
                        ask.pay(&id, *units, 1).replaces([replaced])
                    }
                    _ => continue,
                };
                let Ok((attempt, made)) = signer.charge(&ask) else {
                    continue;
                };
                let payments = made.facts.iter().filter(|fact| fact.effect.to.is_some());
                let values = payments.map(|fact| fact.reference.unwrap());
                let value = values.fold(Amount::ZERO, |sum, one| sum.checked_add(one).unwrap());
                let set = made.set.unwrap_or(attempt);
                charged
                    .0
                    .entry(set)
                    .or_default()
                    .push((signer.now.lo, value));
                match step {
                    Step::Pay(false, _) => nonce += 1,
                    Step::Pay(true, _) => last = Some((n, attempt)),
                    _ => last = None,
                }
                prop_assert!(charged.least(signer.now.lo, WINDOW) <= usd(CAP));
            }
        }
        let least = charged.least(signer.now.lo, WINDOW);
        let used = used(&signer, "day");
        prop_assert!(used >= least, "{used} of {least}");
        prop_assert_eq!(
            again(&signer.state, &[policy.clone()]).hot(),
            signer.state.hot()
        );
    }
    Ok(())
}

/// Invariants 1 and 5 with prices: whatever attesters say and bundles change, what was charged stays, and
/// the window holds no more than its cap by what was charged.
#[test]
fn whatever_is_said_of_prices_nothing_is_forgotten_and_the_cap_holds() {
    runner(60).run(&steps(), nothing_is_forgotten).unwrap();
}

/// Invariant 3: which attester is heard first changes no price.
#[test]
fn the_order_in_which_attesters_are_heard_means_nothing() {
    let run = |(prices, order): (Vec<u32>, Vec<usize>)| {
        let said = |order: &[usize]| {
            let mut signer = Signer::new(priced());
            for who in order {
                let price = prices[*who].to_string();
                say(&mut signer, &format!("w{}", who + 1), &btc(), &price);
            }
            said_price(&signer, &btc())
        };
        let all: BTreeSet<usize> = order.iter().copied().collect();
        let sorted: Vec<usize> = all.into_iter().collect();
        prop_assert_eq!(said(&order), said(&sorted));
        Ok(())
    };
    let order = Just(vec![0_usize, 1, 2]).prop_shuffle();
    runner(40).run(&(vec(1..100_u32, 3), order), run).unwrap();
}
