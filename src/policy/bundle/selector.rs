//! Selectors: which effects a statement speaks about.

use std::collections::BTreeSet;

use tx::{Address, Amount, Asset, Chain, EffectKind, Intent};

use super::{
    functions, groups,
    table::{Table, Value},
    units,
};
use crate::{Policy, Selector, SignerSelector, SourceSelector, To, statement::PublicKeyLine};

/// The example of an amount, where none is at hand.
const EXAMPLE: &str = "eth";

/// Reads the conditions of a statement.
pub(super) fn read(table: &mut Table<'_>, policy: &Policy) -> Selector {
    let mut selector = Selector {
        clients: set(table, "client", |one| {
            one.known("client", policy.clients.keys())
        }),
        sources: set(table, "source", |one| source(one, policy)),
        accounts: set(table, "account", |one| {
            one.known("account", policy.accounts.keys())
        }),
        classes: set(table, "class", Value::word),
        chains: set(table, "chain", |one| chain(one, policy)),
        assets: set(table, "asset", |one| asset(one, policy)),
        effects: set(table, "effect", Value::word),
        to: set(table, "to", |one| to(one, policy)),
        to_except: set(table, "to_except", |one| to(one, policy)),
        tags: set(table, "tag", tag),
        age_min: age(table, "age_min"),
        age_below: age(table, "age_below"),
        signed_by: table
            .optional("signed_by")
            .map(|value| signers(&value, policy)),
        hours: set(table, "hours", |one| {
            one.known("hours", policy.hours.keys())
        }),
        hours_except: set(table, "hours_except", |one| {
            one.known("hours", policy.hours.keys())
        }),
        dead: table.optional("dead").and_then(|value| value.truth()),
        ..Selector::default()
    };
    selector.functions = functions::conditions(table, policy, &selector);
    quantities(table, policy, &mut selector);
    if selector == Selector::default() {
        table.error_hint(
            "has no condition and would speak about everything",
            "say at least which effect, chain, asset or account it is about",
        );
    }
    selector
}

fn quantities(table: &mut Table<'_>, policy: &Policy, selector: &mut Selector) {
    let value = table.optional("amount_max");
    selector.amount_max = value.and_then(|value| amount(&value, selector, policy));
    let value = table.optional("amount_over");
    selector.amount_over = value.and_then(|value| amount(&value, selector, policy));
    let value = table.optional("fee_rate_max");
    selector.fee_rate_max = value.and_then(|value| fee_rate(&value, selector));
    let value = table.optional("fee_rate_over");
    selector.fee_rate_over = value.and_then(|value| fee_rate(&value, selector));
}

/// How old a destination is, in milliseconds.
fn age(table: &mut Table<'_>, key: &'static str) -> Option<u64> {
    table.optional(key)?.map(units::window)
}

/// People, groups of them, and keys.
fn signers(value: &Value<'_>, policy: &Policy) -> BTreeSet<SignerSelector> {
    let each = value.each(|one| {
        if one.text()?.contains(' ') {
            let line = one.map(PublicKeyLine::parse)?;
            return Some([SignerSelector::Key(line.key().to_owned())].into());
        }
        let people = groups::people(one, policy).into_iter();
        Some(people.map(SignerSelector::Person).collect::<BTreeSet<_>>())
    });
    each.into_iter().flatten().collect()
}

fn set<'d, T: Ord>(
    table: &mut Table<'d>,
    key: &'static str,
    read: impl FnMut(&Value<'d>) -> Option<T>,
) -> Option<BTreeSet<T>> {
    table.optional(key).map(|value| value.each(read))
}

fn source(value: &Value<'_>, policy: &Policy) -> Option<SourceSelector> {
    match value.text()? {
        "none" => Some(SourceSelector::None),
        _ => value
            .known("source", policy.sources.keys())
            .map(SourceSelector::Named),
    }
}

fn chain(value: &Value<'_>, policy: &Policy) -> Option<Chain> {
    let chain = value.parsed()?;
    if !policy.chains.contains_key(&chain) {
        value.error(format!("no [[chain]] describes {chain}"));
    }
    Some(chain)
}

fn asset(value: &Value<'_>, policy: &Policy) -> Option<Asset> {
    let name = value.known("asset", policy.assets.keys())?;
    policy.assets.get(&name).map(|unit| unit.asset.clone())
}

fn tag(value: &Value<'_>) -> Option<String> {
    value.map(|text| {
        let printable = text.bytes().all(|byte| byte.is_ascii_graphic());
        if printable && (1..=Intent::TAG_LENGTH_MAX).contains(&text.len()) {
            Ok(text.to_owned())
        } else {
            Err("a tag has 1 to 64 printable ASCII characters")
        }
    })
}

/// A destination.
pub(super) fn to(value: &Value<'_>, policy: &Policy) -> Option<To> {
    let text = value.text()?;
    let (what, which) = text.split_once(':').unwrap_or((text, ""));
    match what {
        "address" => value
            .map(|_| Address::parse_qualified(which))
            .map(To::Address),
        "book" => value
            .named("book", which, policy.books.keys())
            .map(To::Book),
        "own-account" => value
            .named("account", which, policy.accounts.keys())
            .map(To::OwnAccount),
        "own-class" => value.word_in(which).map(To::OwnClass),
        _ => {
            value.error_hint(
                format!("{text:?} is no destination"),
                "write book:<name>, address:<chain>:<address>, own-class:<class> or \
                 own-account:<name>",
            );
            None
        }
    }
}

/// An amount of the one asset that the statement selects.
pub(super) fn amount(value: &Value<'_>, selector: &Selector, policy: &Policy) -> Option<Amount> {
    let (number, unit) = value.map(|text| units::quantity(text, EXAMPLE))?;
    let name = value.named("asset", unit, policy.assets.keys())?;
    let unit = policy.assets.get(&name)?;
    let selected = selector.assets.as_ref();
    match selected.map(|assets| (assets.len(), assets.contains(&unit.asset))) {
        Some((1, true)) => {}
        // Nothing that could be read: it was reported there.
        Some((0, _)) => return None,
        _ => {
            value.error_hint(
                format!("is in {name}, which is not the one asset that is selected"),
                format!("add asset = {:?}", name.as_str()),
            );
            return None;
        }
    }
    value.map(|_| units::decimal(number, unit.decimals))
}

/// A fee rate, in the unit of every chain that the statement selects.
fn fee_rate(value: &Value<'_>, selector: &Selector) -> Option<Amount> {
    if selector.effects != Some(BTreeSet::from([EffectKind::Fee])) {
        value.error_hint(
            "binds fees alone",
            "select effect = \"fee\" and nothing else",
        );
        return None;
    }
    let chains = chains(selector);
    if chains.is_empty() {
        value.error_hint("its unit depends on the chain", "add chain or asset");
        return None;
    }
    let rates = chains
        .into_iter()
        .map(|chain| value.map(|text| units::fee_rate(text, chain)));
    rates.collect::<Option<Vec<_>>>()?.pop()
}

/// The chains that a statement names, itself or by its assets.
pub(super) fn chains(selector: &Selector) -> BTreeSet<Chain> {
    let assets = selector.assets.iter().flatten().map(|asset| asset.chain);
    match &selector.chains {
        Some(chains) => chains.clone(),
        None => assets.collect(),
    }
}
