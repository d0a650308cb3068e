//! More of the language in small bundles at random: what is exact, and what is bounded from above alone.

use std::collections::{BTreeMap, BTreeSet};

use policy::{
    AttestationKind, Attested, Attester, Clocks, Hours, Limit, Measure, Policy, PriceRule,
    Selector, Statement, Stretch, To,
    statement::{self, Attestation, PublicKeyLine, Seen},
};
use ssh_key::{PrivateKey, private::Ed25519Keypair};
use tx::{AccountClass, Address, Amount, Asset, Call, Chain, EffectKind, Name, Time};

use super::bundles::{BTC, Case, Dice, START, bundle, name, statement, stranger};

/// One unit of the currency in the smallest part of values, and what the floor makes of a base unit.
const VALUE: u64 = 100_000_000;
pub const FLOOR: u64 = 3;
const MINUTE_MILLIS: u64 = 60_000;

/// The case with accounts of two classes, of which statements speak, with own destinations and tags in them. No
/// transaction of these chains has a tag.
pub fn wide(number: u64) -> Case {
    let mut case = bundle(number);
    let mut dice = Dice(number.wrapping_mul(31) ^ 0x51de);
    let accounts = case.policy.accounts.values_mut();
    for account in accounts.skip(1).step_by(2) {
        account.class = AccountClass::Deposit;
    }
    let classes = [AccountClass::Hot, AccountClass::Deposit];
    if case.moves {
        let edges = classes
            .iter()
            .flat_map(|from| classes.map(|to| (*from, to)));
        case.policy.edges.extend(edges);
    }
    each(&mut case.policy, |selector| {
        let class = classes[usize::from(dice.in_100(50))];
        if dice.in_100(20) {
            selector.classes = Some([class].into());
        }
        if dice.in_100(12) {
            let own = match dice.in_100(50) {
                true => To::OwnClass(class),
                false => To::OwnAccount(name("a0")),
            };
            let to = match &mut selector.to {
                Some(to) => to,
                None => selector.to_except.get_or_insert_default(),
            };
            to.insert(own);
        }
        if dice.in_100(6) {
            selector.tags = Some(["7".to_owned()].into());
        }
    });
    case
}

/// What speaks of payments, but for the limit on everything.
fn each(policy: &mut Policy, mut change: impl FnMut(&mut Selector)) {
    let allows = policy.allows.iter_mut().map(|one| &mut one.selector);
    let denies = policy.denies.iter_mut().map(|one| &mut one.selector);
    let requires = policy.requires.iter_mut().map(|one| &mut one.selector);
    let limits = policy
        .limits
        .iter_mut()
        .skip(1)
        .map(|one| &mut one.selector);
    let all = allows.chain(denies).chain(requires).chain(limits);
    let pays = |selector: &&mut Selector| {
        let effects = selector.effects.as_ref();
        effects.is_some_and(|effects| effects.contains(&EffectKind::Payment))
    };
    all.filter(pays).for_each(&mut change);
}

/// The case in minutes, with hours in its statements that open and close within a few of them.
pub fn hourly(number: u64) -> Case {
    let mut case = wide(number);
    let mut dice = Dice(number.wrapping_mul(37) ^ 0x40);
    case.unit = MINUTE_MILLIS;
    case.question.span_millis *= MINUTE_MILLIS;
    for limit in &mut case.policy.limits {
        limit.says.window_millis *= MINUTE_MILLIS;
    }
    let minute = u32::try_from((START / MINUTE_MILLIS + 3 * 1440) % (7 * 1440)).unwrap();
    for (text, from, until) in [("h0", 2, 4), ("h1", 3, 6)] {
        let open = Stretch {
            from: minute + from,
            until: minute + until,
        };
        let hours = Hours {
            open: [open].into(),
            clocks: Clocks::Utc,
        };
        case.policy.hours.insert(name(text), hours);
    }
    each(&mut case.policy, |selector| {
        let hours = ["h0", "h1"][usize::from(dice.in_100(50))];
        match dice.below(5) {
            0 => selector.hours = Some([name(hours)].into()),
            1 => selector.hours_except = Some([name(hours)].into()),
            _ => {}
        }
    });
    case
}

/// The beginnings that differ: for each way in which hours open and close in so many minutes, the first one.
pub fn beginnings(case: &Case) -> BTreeSet<u64> {
    let spans = case.question.span_millis / case.unit;
    let open_at = |minute: u64| {
        let at = Time::from_millis(START + minute * MINUTE_MILLIS);
        let at = tx::Interval { lo: at, hi: at };
        let hours = case
            .policy
            .hours
            .iter()
            .filter(move |(_, hours)| hours.surely(at));
        hours.map(|(name, _)| name.clone()).collect::<Vec<Name>>()
    };
    let week: Vec<Vec<Name>> = (0..7 * 1440 + spans).map(open_at).collect();
    let mut first = BTreeMap::new();
    for begin in 0..7 * 1440 {
        let from = usize::try_from(begin).unwrap();
        let until = usize::try_from(begin + spans).unwrap();
        first.entry(&week[from..until]).or_insert(begin);
    }
    first.into_values().collect()
}

/// The case with conditions on the age of destinations.
pub fn aged(number: u64) -> Case {
    let mut case = wide(number);
    let mut dice = Dice(number.wrapping_mul(41) ^ 0xa6e);
    each(&mut case.policy, |selector| match dice.below(4) {
        0 => selector.age_below = Some(1 + dice.below(2)),
        1 => selector.age_min = Some(1),
        _ => {}
    });
    case
}

pub fn asks_for_ages(policy: &Policy) -> bool {
    let allows = policy.allows.iter().map(|one| &one.selector);
    let denies = policy.denies.iter().map(|one| &one.selector);
    let requires = policy.requires.iter().map(|one| &one.selector);
    let limits = policy.limits.iter().map(|one| &one.selector);
    let mut all = allows.chain(denies).chain(requires).chain(limits);
    all.any(|one| one.age_min.is_some() || one.age_below.is_some())
}

/// The case with some of its limits on values, of an asset that attesters say is worth less than its floor.
pub fn valued(number: u64) -> Case {
    let mut case = wide(number);
    let mut dice = Dice(number.wrapping_mul(43) ^ 0x7a1);
    let rule = PriceRule {
        decimals: 0,
        haircut_bp: 1_000,
        floor: FLOOR.to_string().parse().unwrap(),
        max_age_millis: 86_400_000,
    };
    let attestations = &mut case.policy.attestations;
    attestations.prices.insert(case.question.asset(), rule);
    attestations.currency = Some(name("usd"));
    attestations.needed = [(AttestationKind::Price, 1)].into();
    let attester = Attester {
        keys: [line()].into(),
        says: [AttestationKind::Price].into(),
    };
    attestations.attesters.insert(name("w"), attester);
    let asset = case.question.asset();
    let mut limits = case.policy.limits.iter_mut().skip(1);
    limits.by_ref().for_each(|limit| {
        let of_asset = limit
            .selector
            .assets
            .as_ref()
            .is_some_and(|set| set.contains(&asset));
        if of_asset && limit.says.measure == Measure::Amount && dice.in_100(70) {
            value(limit, dice.below(FLOOR));
        }
    });
    case
}

/// As much as the floor makes of the limit's amount, and so many units of the currency that hold no further base unit.
fn value(limit: &mut Statement<Limit>, more: u64) {
    let cap = limit.says.cap.to_u64().unwrap();
    limit.says.measure = Measure::Reference;
    limit.says.cap = Amount::from((cap * FLOOR + more) * VALUE);
}

fn key() -> PrivateKey {
    Ed25519Keypair::from_seed(&[91; 32]).into()
}

fn line() -> String {
    let line = key().public_key().to_openssh().unwrap();
    PublicKeyLine::parse(&line).unwrap().into_string()
}

/// What the attester says of every asset that has a price: that it is worth less than its floor.
pub fn prices(policy: &Policy) -> Vec<Attested> {
    let assets = policy.attestations.prices.keys();
    let assets = assets.filter(|_| policy.attestations.attesters.contains_key(&name("w")));
    let said = assets.map(|asset| {
        let attestation = Attestation {
            fleet: policy.fleet.clone(),
            number: START,
            attester: name("w"),
            at: Time::from_millis(START),
            seen: Seen::Price {
                asset: asset.clone(),
                currency: name("usd"),
                price: "2.5".parse().unwrap(),
            },
        };
        let text = attestation.to_string();
        let namespace = attestation.header().namespace();
        Attested {
            hash: attestation.hash(),
            attester: name("w"),
            key: line(),
            signature: statement::sign(&text, &namespace, &key()).unwrap(),
            statement: text,
        }
    });
    said.collect()
}

pub fn contract() -> Address {
    stranger(Chain::Evm(1), 0xc0)
}

/// `stake(1)`.
pub fn call() -> Call {
    let argument = tx::Argument {
        name: "amount".into(),
        value: "1".into(),
        own: None,
    };
    Call {
        function: name("stake"),
        signature: "stake(uint256)".into(),
        arguments: vec![argument],
    }
}

/// The case with calls of a declared function, which send at most a few units in a window; nothing where the asset is
/// none that calls send.
pub fn calling(number: u64) -> Option<Case> {
    let mut case = wide(number);
    let asset = case.question.asset();
    if case.chain == BTC || asset != Asset::native(case.chain) {
        return None;
    }
    let mut dice = Dice(number.wrapping_mul(47) ^ 0xca11);
    let function = tx::evm::Function {
        name: name("stake"),
        signature: tx::evm::Signature::parse("stake(uint256 amount)").unwrap(),
    };
    let functions = &mut case.policy.functions;
    functions.declare(contract(), function.into()).unwrap();
    let mut calls = Selector {
        effects: Some([EffectKind::Call].into()),
        assets: Some([asset].into()),
        ..Selector::default()
    };
    let cap = 1 + dice.below(2);
    let mut bounded = case.policy.limits[0].says.clone();
    bounded.cap = Amount::from(cap);
    let limit = statement("calls", (calls.clone(), bounded));
    case.policy.limits.push(limit);
    if dice.in_100(50) {
        calls.classes = Some([AccountClass::Deposit].into());
    }
    if dice.in_100(30) {
        calls.amount_max = Some(Amount::from(1_u64));
    }
    let allow = statement("calls", (calls, policy::Allow));
    case.policy.allows.push(allow);
    let fee = Selector {
        effects: Some([EffectKind::Fee].into()),
        sources: Some([policy::SourceSelector::None].into()),
        ..Selector::default()
    };
    let fees = statement("call-fees", (fee, policy::Allow));
    case.policy.allows.push(fees);
    case.calls = Some(cap);
    Some(case)
}
