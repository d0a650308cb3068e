//! Statements that can never match: they say nothing, and their author believes they do.

use std::collections::BTreeSet;

use tx::{AccountClass, Asset, AssetKind, Chain, EffectKind, Name};

use super::super::diagnostic::{Diagnostic, Place, Report};
use crate::{
    Account, ArgumentCondition, AttestationKind, Book, FunctionId, Location, Policy, Selector,
    SignerSelector, SourceSelector, Statement, To, Verb, statement::bare,
};

/// Warns of every statement that no effect can match.
pub(super) fn check(policy: &Policy, report: &Report) {
    each("allow", &policy.allows, policy, report);
    each("deny", &policy.denies, policy, report);
    each("require", &policy.requires, policy, report);
    each("require", &policy.requires_attested, policy, report);
    each("limit", &policy.limits, policy, report);
    each("evacuate", &policy.evacuates, policy, report);
    unmeetable(policy, report);
}

/// Warns of two statements whose needs take more people together than both have, since nobody counts for two
/// needs of one intent. Of statements that both always speak about one effect: what has other conditions
/// may never meet.
fn unmeetable(policy: &Policy, report: &Report) {
    let requires = policy.requires.iter();
    let requires = requires.map(|one| (&one.name, &one.at, &one.selector, &one.says.need));
    let limits = policy.limits.iter().filter_map(|limit| {
        let over = limit.says.over.as_ref()?;
        Some((&limit.name, &limit.at, &limit.selector, over))
    });
    let all: Vec<_> = requires.chain(limits).collect();
    for (place, (name, at, selector, need)) in all.iter().enumerate() {
        for (other, _, meets, second) in all.iter().take(place) {
            let people = need.people.union(&second.people).count();
            let wanted = u64::from(need.threshold).saturating_add(u64::from(second.threshold));
            let enough = u64::try_from(people).is_ok_and(|people| people >= wanted);
            if need != second && !enough && share(selector, meets) {
                let (name, other) = (name.as_str(), other.as_str());
                let message = format!(
                    "{name:?}: its need and that of {other:?} take {wanted} different people \
                     together, and there are {people}"
                );
                let warning = Diagnostic::warning(Place::from(*at), message);
                report.add(warning.hint("let both ask for the same need, or name more people"));
            }
        }
    }
}

/// Whether both name one kind of effect and one asset, as far as they name any.
fn share(one: &Selector, other: &Selector) -> bool {
    fn meet<T: Ord>(one: &Option<BTreeSet<T>>, other: &Option<BTreeSet<T>>) -> bool {
        match (one, other) {
            (Some(one), Some(other)) => !one.is_disjoint(other),
            _ => true,
        }
    }
    meet(&one.effects, &other.effects)
        && meet(&one.assets, &other.assets)
        && meet(&one.accounts, &other.accounts)
        && meet(&one.sources, &other.sources)
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

const RULES: [Rule; 22] = [
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
        holds: no_account,
        why: "no account is of the classes",
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
        holds: no_function,
        why: "the bundle has no [[function]]",
    },
    Rule {
        holds: foreign_functions,
        why: "none of the functions is on the chains, with its coin among the assets",
    },
    Rule {
        holds: no_argument,
        why: "no argument is left",
    },
    Rule {
        holds: no_spender,
        why: "tokens alone have spenders, and nothing of ours is one",
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
        holds: paid_to_ourselves,
        why: "what goes to ourselves is an own-transfer, and no payment",
    },
    Rule {
        holds: foreign_destinations,
        why: "none of the destinations is on the chains",
    },
    Rule {
        holds: no_tag,
        why: "no destination on the chains has a tag",
    },
    Rule {
        holds: no_age,
        why: "the least age is not below the highest",
    },
    Rule {
        holds: ageless,
        why: "only what leaves has a destination with an age",
    },
    Rule {
        holds: idle_signers,
        why: "none of the signers is one of a source that is meant",
    },
    Rule {
        holds: dead_otherwise,
        why: "only a re-issue is of something dead or not",
    },
    Rule {
        holds: never_dead,
        why: "nobody attests that attempts are dead",
    },
    Rule {
        holds: no_hour,
        why: "no hour is left",
    },
];

/// Why no effect can match, where that is plain.
pub(super) fn never(selector: &Selector, policy: &Policy) -> Option<&'static str> {
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

fn no_account(selector: &Selector, policy: &Policy) -> bool {
    let classes = policy.accounts.values().map(|account| account.class);
    apart(Some(&classes.collect()), selector.classes.as_ref())
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

fn no_function(selector: &Selector, policy: &Policy) -> bool {
    selector.effects == Some(BTreeSet::from([EffectKind::Call])) && policy.functions.is_empty()
}

/// What a call sends is the coin of its chain.
fn foreign_functions(selector: &Selector, _: &Policy) -> bool {
    let Some(functions) = &selector.functions else {
        return false;
    };
    let is_meant = |id: &FunctionId| {
        let chain = id.contract.chain();
        let chains = selector.chains.as_ref();
        let assets = selector.assets.as_ref();
        chains.is_none_or(|chains| chains.contains(&chain))
            && assets.is_none_or(|assets| assets.contains(&Asset::native(chain)))
    };
    !functions.keys().any(is_meant)
}

fn no_argument(selector: &Selector, _: &Policy) -> bool {
    let Some(functions) = &selector.functions else {
        return false;
    };
    let mut each = functions.values();
    each.all(|conditions| conditions.values().any(ArgumentCondition::is_empty))
}

/// Spenders are approved of declared tokens, and none of them is ours.
fn no_spender(selector: &Selector, policy: &Policy) -> bool {
    let is_token = |asset: &Asset| matches!(asset.kind, AssetKind::Erc20(_));
    let declared = || policy.assets.values().any(|unit| is_token(&unit.asset));
    let assets = selector.assets.as_ref();
    let has_token = assets.map_or_else(declared, |assets| assets.iter().any(is_token));
    let to = selector.to.as_ref();
    selector.effects == Some(BTreeSet::from([EffectKind::Approval]))
        && (!has_token || to.is_some_and(|to| to.iter().all(is_own)))
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
            book.is_some_and(|book| book.apart.is_none() && book.addresses.is_empty())
        }
        _ => false,
    };
    to.iter().all(|one| excepted(one) || empty(one))
}

fn is_own(to: &To) -> bool {
    matches!(to, To::OwnClass(_) | To::OwnAccount(_))
}

fn paid_to_ourselves(selector: &Selector, _: &Policy) -> bool {
    let is_leaving = |kind: &EffectKind| matches!(kind, EffectKind::Payment | EffectKind::Reissue);
    let (to, effects) = (selector.to.as_ref(), selector.effects.as_ref());
    to.is_some_and(|to| to.iter().all(is_own))
        && effects.is_some_and(|effects| effects.iter().all(is_leaving))
}

fn foreign_destinations(selector: &Selector, policy: &Policy) -> bool {
    let Some(to) = &selector.to else {
        return false;
    };
    let of_book = |book: &Book| match &book.apart {
        Some(apart) => BTreeSet::from([apart.chain]),
        None => book.addresses.chains(),
    };
    let of_accounts = |is: &dyn Fn(&Name, &Account) -> bool| {
        let accounts = policy.accounts.iter();
        let accounts = accounts.filter(|(name, account)| is(name, account));
        let chains = accounts.flat_map(|(_, account)| &account.chains);
        chains.copied().collect()
    };
    let chains = to.iter().map(|to| match to {
        To::Address(address) => BTreeSet::from([address.chain()]),
        To::Book(name) => policy.books.get(name).map(of_book).unwrap_or_default(),
        To::OwnClass(class) => of_accounts(&|_, account| account.class == *class),
        To::OwnAccount(own) => of_accounts(&|name, _| name == own),
    });
    let chains: BTreeSet<Chain> = chains.flatten().collect();
    apart(Some(&chains), selector.chains.as_ref())
        || apart(Some(&chains), asset_chains(selector).as_ref())
}

/// Tags are of chains where many share an address.
fn no_tag(selector: &Selector, policy: &Policy) -> bool {
    let has_none = |chain: &Chain| {
        matches!(
            chain,
            Chain::Evm(_) | Chain::Bitcoin(_) | Chain::Litecoin(_)
        )
    };
    let of_assets = asset_chains(selector);
    let chains = selector.chains.as_ref().or(of_assets.as_ref());
    selector.tags.is_some()
        && match chains {
            Some(chains) => chains.iter().all(has_none),
            None => policy.chains.keys().all(has_none),
        }
}

fn no_age(selector: &Selector, _: &Policy) -> bool {
    matches!((selector.age_min, selector.age_below), (Some(min), Some(below)) if min >= below)
}

/// An own destination has no age, and a fee has no destination.
fn ageless(selector: &Selector, _: &Policy) -> bool {
    let is_inward = |kind: &EffectKind| {
        matches!(
            kind,
            EffectKind::Fee
                | EffectKind::Change
                | EffectKind::OwnTransfer
                | EffectKind::Cancellation
        )
    };
    let aged = selector.age_min.is_some() || selector.age_below.is_some();
    let effects = selector.effects.as_ref();
    let to = selector.to.as_ref();
    aged && (effects.is_some_and(|effects| effects.iter().all(is_inward))
        || to.is_some_and(|to| to.iter().all(is_own)))
}

fn dead_otherwise(selector: &Selector, _: &Policy) -> bool {
    let effects = selector.effects.as_ref();
    selector.dead.is_some() && effects.is_some_and(|of| !of.contains(&EffectKind::Reissue))
}

fn never_dead(selector: &Selector, policy: &Policy) -> bool {
    selector.dead == Some(true) && policy.attestations.needed(AttestationKind::Dead) == 0
}

fn idle_signers(selector: &Selector, policy: &Policy) -> bool {
    let Some(signers) = &selector.signed_by else {
        return false;
    };
    let named = |name: &Name| {
        let named = SourceSelector::Named(name.clone());
        let sources = selector.sources.as_ref();
        sources.is_none_or(|sources| sources.contains(&named))
    };
    let sources = policy.sources.iter().filter(|(name, _)| named(name));
    let lines = sources.flat_map(|(_, source)| &source.signers);
    let keys: BTreeSet<&str> = lines.map(|line| bare(line)).collect();
    let signs = |signer: &SignerSelector| match signer {
        SignerSelector::Key(key) => keys.contains(key.as_str()),
        SignerSelector::Person(name) => policy.people.get(name).is_some_and(|person| {
            let mut lines = person.keys.iter();
            lines.any(|line| keys.contains(bare(line)))
        }),
    };
    !signers.iter().any(signs)
}

fn no_hour(selector: &Selector, _: &Policy) -> bool {
    let (Some(hours), Some(except)) = (&selector.hours, &selector.hours_except) else {
        return false;
    };
    hours.is_subset(except)
}
