//! Statements that can never match: they say nothing, and their author believes they do.

use std::collections::BTreeSet;

use tx::{AccountClass, Chain, EffectKind};

use super::super::diagnostic::{Diagnostic, Place, Report};
use crate::{Location, Policy, Selector, SourceSelector, Statement, To, Verb};

/// Warns of every statement that no effect can match.
pub(super) fn check(policy: &Policy, report: &Report) {
    each("allow", &policy.allows, policy, report);
    each("deny", &policy.denies, policy, report);
    each("require", &policy.requires, policy, report);
    each("limit", &policy.limits, policy, report);
    each("evacuate", &policy.evacuates, policy, report);
}

fn each<K>(kind: &str, statements: &[Statement<K>], policy: &Policy, report: &Report) {
    for Statement {
        name, at, selector, ..
    } in statements
    {
        if let Some(why) = never(selector, policy) {
            let message = format!("{kind} {:?}: can never match: {why}", name.as_str());
            report.add(warning(at, message));
        }
    }
}

fn warning(at: &Location, message: String) -> Diagnostic {
    Diagnostic::warning(Place::from(at), message)
        .hint("mend its conditions, or take the statement out")
}

/// One way in which conditions shut each other out.
struct Rule {
    holds: fn(&Selector, &Policy) -> bool,
    why: &'static str,
}

const RULES: [Rule; 9] = [
    Rule {
        holds: empty_amounts,
        why: "the least amount is not below the highest",
    },
    Rule {
        holds: foreign_assets,
        why: "none of the assets is on the chains",
    },
    Rule {
        holds: foreign_accounts,
        why: "none of the accounts is used on the chains",
    },
    Rule {
        holds: foreign_classes,
        why: "none of the accounts is of the classes",
    },
    Rule {
        holds: idle_clients,
        why: "none of the clients may sign for the accounts",
    },
    Rule {
        holds: idle_sources,
        why: "none of the clients may bring intents of the sources",
    },
    Rule {
        holds: fee_destination,
        why: "a fee has no destination",
    },
    Rule {
        holds: no_destination,
        why: "no destination is left",
    },
    Rule {
        holds: no_hour,
        why: "no hour is left",
    },
];

/// Why no effect can match, where that is plain.
fn never(selector: &Selector, policy: &Policy) -> Option<&'static str> {
    let found = RULES.iter().find(|rule| (rule.holds)(selector, policy));
    found.map(|rule| rule.why)
}

fn empty_amounts(selector: &Selector, _: &Policy) -> bool {
    let empty = |over, max| matches!((over, max), (Some(over), Some(max)) if over >= max);
    empty(selector.amount_over, selector.amount_max)
        || empty(selector.fee_rate_over, selector.fee_rate_max)
}

/// Whether both are named and nothing of the one is in the other.
fn apart<T: Ord>(one: Option<&BTreeSet<T>>, other: Option<&BTreeSet<T>>) -> bool {
    matches!((one, other), (Some(one), Some(other)) if one.is_disjoint(other))
}

fn asset_chains(selector: &Selector) -> Option<BTreeSet<Chain>> {
    let assets = selector.assets.as_ref()?;
    Some(assets.iter().map(|asset| asset.chain).collect())
}

fn foreign_assets(selector: &Selector, _: &Policy) -> bool {
    apart(asset_chains(selector).as_ref(), selector.chains.as_ref())
}

fn foreign_accounts(selector: &Selector, policy: &Policy) -> bool {
    let accounts = selector.accounts.iter().flatten();
    let found = accounts.filter_map(|name| policy.accounts.get(name));
    let used = found.flat_map(|account| account.chains.iter().copied());
    let used = selector.accounts.is_some().then(|| used.collect());
    apart(used.as_ref(), selector.chains.as_ref())
        || apart(used.as_ref(), asset_chains(selector).as_ref())
}

fn foreign_classes(selector: &Selector, policy: &Policy) -> bool {
    let accounts = selector.accounts.iter().flatten();
    let found = accounts.filter_map(|name| policy.accounts.get(name));
    let classes: BTreeSet<AccountClass> = found.map(|account| account.class).collect();
    selector.accounts.is_some() && apart(Some(&classes), selector.classes.as_ref())
}

fn idle_clients(selector: &Selector, policy: &Policy) -> bool {
    let Some(clients) = &selector.clients else {
        return false;
    };
    let mut named = clients.iter().filter_map(|name| policy.clients.get(name));
    !named.any(|client| {
        client.verbs.contains(&Verb::Sign)
            && !apart(Some(&client.accounts), selector.accounts.as_ref())
    })
}

fn idle_sources(selector: &Selector, policy: &Policy) -> bool {
    let (Some(clients), Some(sources)) = (&selector.clients, &selector.sources) else {
        return false;
    };
    !sources.iter().any(|source| match source {
        SourceSelector::None => true,
        SourceSelector::Named(name) => policy
            .sources
            .get(name)
            .is_some_and(|source| !source.clients.is_disjoint(clients)),
    })
}

fn fee_destination(selector: &Selector, _: &Policy) -> bool {
    selector.to.is_some() && selector.effects == Some(BTreeSet::from([EffectKind::Fee]))
}

fn no_destination(selector: &Selector, policy: &Policy) -> bool {
    let (Some(to), except) = (&selector.to, &selector.to_except) else {
        return false;
    };
    let excepted = |one: &To| except.as_ref().is_some_and(|except| except.contains(one));
    let empty = |one: &To| match one {
        To::Book(name) => {
            let book = policy.books.get(name);
            book.is_some_and(|book| book.addresses.is_empty())
        }
        _ => false,
    };
    to.iter().all(|one| excepted(one) || empty(one))
}

fn no_hour(selector: &Selector, _: &Policy) -> bool {
    let (Some(hours), Some(except)) = (&selector.hours, &selector.hours_except) else {
        return false;
    };
    hours.is_subset(except)
}
