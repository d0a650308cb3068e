//! Statements as sentences. Every condition of a selector is in its sentence: the fields are taken apart by
//! name, so that a new one has to be given words here.

use std::collections::{BTreeMap, BTreeSet};

use policy::{
    Allow, ArgumentCondition, ArgumentConditions, AttestedNeed, Deny, Evacuate, FunctionId, Group,
    Integer, Limit, Need, Policy, Require, Selector, SignerSelector, SourceSelector, Statement, To,
};
use tx::{AccountClass, Amount, Asset, Chain, EffectKind, Name};

use super::super::words;
use super::{code, listed};

/// What a statement is about that names no effect.
const ANY: &str = "any effect";

/// What an allow says.
pub fn allow(policy: &Policy, allow: &Statement<Allow>) -> String {
    let Allow = allow.says;
    format!("{} may happen.", capital(&effects(policy, &allow.selector)))
}

/// What a deny says.
pub fn deny(policy: &Policy, deny: &Statement<Deny>) -> String {
    let Deny = deny.says;
    format!("{} is refused.", capital(&effects(policy, &deny.selector)))
}

/// What a require says.
pub fn require(policy: &Policy, require: &Statement<Require>) -> String {
    let Require { need } = &require.says;
    let effects = capital(&effects(policy, &require.selector));
    format!("{effects} waits until {}.", agreement(need))
}

/// What a require says that asks attesters.
pub fn require_attested(policy: &Policy, require: &Statement<AttestedNeed>) -> String {
    let AttestedNeed {
        attested,
        within_millis,
    } = require.says;
    let effects = capital(&effects(policy, &require.selector));
    let needed = policy.attestations.needed(attested);
    let attested = super::parties::attested(attested);
    format!(
        "{effects} waits until {needed} of those who attest {attested} have said so within the last {}; nobody \
         stands in for them.",
        words::length(within_millis)
    )
}

/// What an evacuate says.
pub fn evacuate(policy: &Policy, evacuate: &Statement<Evacuate>) -> String {
    let Evacuate { need } = &evacuate.says;
    let effects = given(policy, &evacuate.selector);
    format!(
        "Under a freeze, {effects} may happen once {}.",
        agreement(need)
    )
}

/// What a limit says.
pub fn limit(policy: &Policy, limit: &Statement<Limit>) -> String {
    let Limit {
        measure: _,
        window_millis,
        cap,
        group,
        over,
        outstanding,
    } = &limit.says;
    let apart = match group.is_empty() {
        true => String::new(),
        false => format!(
            " for each {}",
            listed(group.iter().map(|group| each(*group).to_owned()), "and")
        ),
    };
    let more = match over {
        None => "More is refused.".to_owned(),
        Some(need) => format!("More waits until {}.", agreement(need)),
    };
    let (cap, window) = (
        words::measured(policy, limit, *cap),
        words::length(*window_millis),
    );
    let effects = effects(policy, &limit.selector);
    match outstanding {
        false => format!("At most {cap} in any {window}{apart}, counted over {effects}. {more}"),
        true => format!(
            "At most {cap} outstanding at any time{apart}, counted over {effects}, of what was signed in the last \
             {window} and attesters have not called final, nor all of a set dead. {more}"
        ),
    }
}

fn each(group: Group) -> &'static str {
    match group {
        Group::Destination => "destination address",
        Group::Client => "client",
        Group::Source => "source",
        Group::Account => "account that pays",
    }
}

fn agreement(need: &Need) -> String {
    let people = listed(need.people.iter().map(|name| code(name.as_str())), "and");
    let agree = match (need.threshold, need.people.len()) {
        (1, 1) => format!("{people} agrees"),
        (threshold, _) => format!("{threshold} of {people} agree"),
    };
    match words::terms(need) {
        None => agree,
        Some(terms) => format!("{agree} ({terms})"),
    }
}

/// The effects that are selected by what lets out: it gives no right that it does not name.
fn given(policy: &Policy, selector: &Selector) -> String {
    let effects = effects(policy, selector);
    match effects.strip_prefix(ANY) {
        Some(rest) if selector.effects.is_none() => {
            format!("{ANY} that gives nobody a right{rest}")
        }
        _ => effects,
    }
}

/// The effects that are selected.
pub fn effects(policy: &Policy, selector: &Selector) -> String {
    // Every field by name: a new one has to be given words here.
    let Selector {
        clients,
        sources,
        accounts,
        classes,
        chains,
        assets,
        effects,
        functions,
        to,
        to_except,
        amount_max,
        amount_over,
        fee_rate_max,
        fee_rate_over,
        tags,
        age_min,
        age_below,
        signed_by,
        hours,
        hours_except,
        dead,
    } = selector;
    let mut words = vec![kinds(effects.as_ref())];
    let mut add = |word: Option<String>| words.extend(word);
    let amount = |amount: &Amount| match assets.iter().flatten().next() {
        Some(asset) => words::amount(policy, asset, *amount),
        None => format!("{amount} base units"),
    };
    let amounts = [("up to", amount_max), ("above", amount_over)];
    let bound =
        |(word, of): (&str, &Option<Amount>)| Some(format!("{word} {}", amount(of.as_ref()?)));
    amounts.map(bound).into_iter().for_each(&mut add);
    add(assets
        .as_ref()
        .map(|assets| format!("of {}", units(policy, assets))));
    add(chains
        .as_ref()
        .map(|chains| format!("on {}", any(chains, Chain::to_string))));
    debited(accounts.as_ref(), classes.as_ref())
        .into_iter()
        .for_each(&mut add);
    add(functions.as_ref().map(|of| called(policy, of)));
    let toward = [("to", to), ("to anywhere but", to_except)];
    let named_to = |(word, to): (&str, &Option<BTreeSet<To>>)| {
        let to = destinations(policy, to.as_ref()?);
        Some(format!("{word} {to}"))
    };
    toward.map(named_to).into_iter().for_each(&mut add);
    add(tags
        .as_ref()
        .map(|tags| format!("with the tag {}", any(tags, String::clone))));
    aged(*age_min, *age_below).into_iter().for_each(&mut add);
    let rates = [("up to", *fee_rate_max), ("more than", *fee_rate_over)];
    let rates = rates.map(|(word, rate)| Some(rated(selector, word, rate?)));
    rates.into_iter().for_each(&mut add);
    add(sources.as_ref().map(sourced));
    add(signed_by
        .as_ref()
        .map(|signers| format!("signed by {}", any(signers, signer))));
    add(clients
        .as_ref()
        .map(|clients| format!("asked for by {}", named(clients))));
    add(dead.map(after));
    within(hours.as_ref(), hours_except.as_ref())
        .into_iter()
        .for_each(&mut add);
    words.join(" ")
}

/// Who pays.
fn debited(
    accounts: Option<&BTreeSet<Name>>,
    classes: Option<&BTreeSet<AccountClass>>,
) -> [Option<String>; 2] {
    [
        accounts.map(|accounts| format!("from account {}", named(accounts))),
        classes.map(|of| format!("from accounts of class {}", any(of, class))),
    ]
}

/// At which rate.
fn rated(selector: &Selector, word: &str, rate: Amount) -> String {
    format!("at {word} {}", fee_rate(selector, rate))
}

/// After which attempts.
fn after(dead: bool) -> String {
    let these = match dead {
        true => "all of which can never be included",
        false => "some of which may be included",
    };
    format!("after attempts {these}")
}

/// In which hours.
fn within(hours: Option<&BTreeSet<Name>>, except: Option<&BTreeSet<Name>>) -> [Option<String>; 2] {
    [
        hours.map(|hours| format!("in the hours {}", named(hours))),
        except.map(|hours| format!("outside the hours {}", named(hours))),
    ]
}

/// How long ago a destination was first paid.
fn aged(least: Option<u64>, below: Option<u64>) -> [Option<String>; 2] {
    let length = words::length;
    [
        least.map(|age| format!("first paid at least {} ago", length(age))),
        below.map(|age| format!("first paid less than {} ago, or never", length(age))),
    ]
}

/// The kinds of effect.
fn kinds(effects: Option<&BTreeSet<EffectKind>>) -> String {
    match effects {
        None => ANY.to_owned(),
        Some(kinds) => listed(kinds.iter().map(|kind| noun(*kind)), "or"),
    }
}

/// One effect of a kind.
pub fn noun(kind: EffectKind) -> String {
    let noun = match kind {
        EffectKind::Payment => "a payment",
        EffectKind::OwnTransfer => "a transfer between own accounts",
        EffectKind::Change => "change",
        EffectKind::Fee => "a fee",
        EffectKind::Cancellation => "the cancellation of a nonce",
        EffectKind::Call => "a call of a contract",
        EffectKind::Approval => "an approval of a spender",
        EffectKind::Authority => "a change of who may act for an account",
        EffectKind::Data => "publishing data",
        EffectKind::Rent => "a deposit for storage",
        EffectKind::Reissue => "paying an intent again outside its earlier transactions",
        _ => "",
    };
    match noun {
        // A test goes through all that there are.
        "" => format!("{kind:?}"),
        noun => noun.to_owned(),
    }
}

fn units(policy: &Policy, assets: &BTreeSet<Asset>) -> String {
    let unit = |asset: &Asset| {
        let named = policy.assets.iter().find(|(_, unit)| unit.asset == *asset);
        code(&named.map_or_else(|| asset.to_string(), |(name, _)| name.to_string()))
    };
    listed(assets.iter().map(unit), "or")
}

fn destinations(policy: &Policy, to: &BTreeSet<To>) -> String {
    let destination = |to: &To| match to {
        To::Address(address) => code(&format!("{}:{address}", address.chain())),
        To::Book(book) if policy.book_apart(book).is_some() => {
            format!("the book {} (loaded apart)", code(book.as_str()))
        }
        To::Book(book) => {
            let addresses = policy
                .books
                .get(book)
                .map_or(0, |book| book.addresses.len());
            let plural = if addresses == 1 { "" } else { "es" };
            format!(
                "the book {} ({addresses} address{plural})",
                code(book.as_str())
            )
        }
        To::OwnClass(of) => format!("own accounts of class {}", code(&class(of))),
        To::OwnAccount(account) => format!("the own account {}", code(account.as_str())),
    };
    listed(to.iter().map(destination), "or")
}

/// Functions, and what is asked of their arguments.
fn called(policy: &Policy, functions: &BTreeMap<FunctionId, ArgumentConditions>) -> String {
    let each = functions.iter().map(|(id, conditions)| {
        let declared = policy.functions.iter();
        let mut declared = declared.filter(|(contract, function)| {
            **contract == id.contract && function.signature.canonical() == id.signature
        });
        let function = declared.next().map(|(_, function)| function);
        let name = function.map(|function| function.name.to_string());
        let leaves = function.map(|function| function.signature.leaves());
        let asked = conditions.iter().map(|(place, condition)| {
            let leaf = leaves.as_ref().and_then(|leaves| leaves.get(*place));
            let leaf = leaf.map(|(name, _)| name.clone()).unwrap_or_default();
            format!("{} {}", code(&leaf), argument(policy, condition))
        });
        let asked: Vec<String> = asked.collect();
        let with = match asked.is_empty() {
            true => String::new(),
            false => format!(" where {}", listed(asked.into_iter(), "and")),
        };
        format!(
            "of {} ({} of {}:{}){with}",
            code(&name.unwrap_or_default()),
            code(&id.signature),
            id.contract.chain(),
            id.contract,
        )
    });
    listed(each, "or")
}

fn argument(policy: &Policy, condition: &ArgumentCondition) -> String {
    match condition {
        ArgumentCondition::Among(texts) => format!("is {}", any(texts, String::clone)),
        ArgumentCondition::To(to) => format!("is {}", destinations(policy, to)),
        ArgumentCondition::Within { over, max } => {
            let bounds = [("above", over), ("at most", max)];
            let bound =
                |(word, of): (&str, &Option<Integer>)| Some(format!("{word} {}", of.as_ref()?));
            format!("is {}", listed(bounds.into_iter().filter_map(bound), "and"))
        }
    }
}

fn sourced(sources: &BTreeSet<SourceSelector>) -> String {
    let source = |source: &SourceSelector| match source {
        SourceSelector::None => "without an intent of one source".to_owned(),
        SourceSelector::Named(name) => format!("for intents of {}", code(name.as_str())),
    };
    listed(sources.iter().map(source), "or")
}

fn signer(signer: &SignerSelector) -> String {
    match signer {
        SignerSelector::Person(name) => name.to_string(),
        SignerSelector::Key(key) => key.clone(),
    }
}

/// A rate in the unit of the chain, which all that are selected have in common.
fn fee_rate(selector: &Selector, rate: Amount) -> String {
    let assets = selector.assets.iter().flatten().map(|asset| asset.chain);
    let chain = selector
        .chains
        .iter()
        .flatten()
        .copied()
        .chain(assets)
        .next();
    match chain {
        Some(Chain::Evm(_)) => {
            let text = rate.to_string();
            match text.strip_suffix("000000000") {
                Some(gwei) if !gwei.is_empty() => format!("{gwei} gwei a gas"),
                _ => format!("{text} wei a gas"),
            }
        }
        _ => format!("{rate} sat/vb"),
    }
}

fn named(names: &BTreeSet<Name>) -> String {
    any(names, Name::to_string)
}

fn any<T>(items: &BTreeSet<T>, text: impl Fn(&T) -> String) -> String {
    listed(items.iter().map(|item| code(&text(item))), "or")
}

/// The word of a class.
pub fn class(class: &AccountClass) -> String {
    class.as_str().to_owned()
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(|first| first.to_ascii_uppercase());
    first.into_iter().chain(letters).collect()
}
