//! Who may ask and decide, and what is ours.

use std::collections::{BTreeMap, BTreeSet};

use tx::Name;

use super::Widening;
use crate::{
    AttestationKind, Attestations, Book, ChainSettings, Client, Heartbeat, Person, Policy,
    PriceRule, Source, Verb,
};

pub(super) fn compare(running: &Policy, offered: &Policy, found: &mut BTreeSet<Widening>) {
    for (what, is_same) in unchanged(running, offered) {
        if !is_same {
            found.insert(Widening::Changed(what));
        }
    }
    let officers = &running.governance.officers;
    let recovers = |name: &Name| {
        let recovery = running.recovery.as_ref();
        recovery.is_some_and(|recovery| recovery.people.contains(name))
    };
    let governs = |name: &Name| officers.contains(name) || recovers(name);
    let people = |name: &Name, old: &Person, new: &Person| match governs(name) {
        true => new == old,
        false => new.keys.is_subset(&old.keys) && new.passkeys.is_subset(&old.passkeys),
    };
    each("person", &running.people, &offered.people, people, found);
    if officers.iter().any(|one| !offered.people.contains_key(one)) {
        found.insert(Widening::Changed("who the officers are"));
    }
    let clients = |_: &Name, old: &Client, new: &Client| asks_less(old, new);
    each("client", &running.clients, &offered.clients, clients, found);
    if !keeps_governing(running, offered) {
        found.insert(Widening::Changed("who can bring a veto"));
    }
    if !beats_as_often(running, offered) {
        found.insert(Widening::Changed("the heartbeat"));
    }
    let sources = |_: &Name, old: &Source, new: &Source| issues_less(old, new);
    each("source", &running.sources, &offered.sources, sources, found);
    let books = |_: &Name, old: &Book, new: &Book| new.apart.is_none() || new.apart == old.apart;
    let kept = common(&running.books, &offered.books);
    each("book", &running.books, &kept, books, found);
    if !running.edges.is_superset(&offered.edges) {
        found.insert(Widening::Changed("an edge"));
    }
    if !attested(&running.attestations, &offered.attestations) {
        found.insert(Widening::Changed("who attests, or what is taken of it"));
    }
    if !chains(&running.chains, &offered.chains) {
        found.insert(Widening::Changed("what is set for a chain"));
    }
}

/// What must be as it was.
fn unchanged(running: &Policy, offered: &Policy) -> [(&'static str, bool); 13] {
    // Every field by name: a new one has to be thought about here, or beside it.
    let Policy {
        hash: _,
        fleet,
        sequence: _,
        governance,
        recovery,
        heartbeat: _,
        witnesses,
        auditors,
        devices,
        approval_page,
        people: _,
        groups: _,
        client_roots,
        clients: _,
        sources: _,
        accounts,
        edges: _,
        assets,
        chains: _,
        sequences,
        functions,
        hours,
        books: _,
        attestations: _,
        allows: _,
        denies: _,
        requires: _,
        requires_attested: _,
        limits: _,
        evacuates: _,
    } = offered;
    [
        ("the fleet", *fleet == running.fleet),
        ("who governs", *governance == running.governance),
        ("the recovery set", *recovery == running.recovery),
        ("the witnesses", *witnesses == running.witnesses),
        ("the auditors", *auditors == running.auditors),
        // Where none are named, every device may be used.
        (
            "a device",
            match (devices, &running.devices) {
                (_, None) => true,
                (None, Some(_)) => false,
                (Some(new), Some(old)) => new.is_subset(old),
            },
        ),
        // Without one, no passkey says anything.
        (
            "the approval page",
            approval_page.is_none() || *approval_page == running.approval_page,
        ),
        (
            "what certifies clients",
            *client_roots == running.client_roots,
        ),
        // An address that is no longer ours would be paid as a stranger's.
        ("an account", *accounts == running.accounts),
        ("an asset", *assets == running.assets),
        // What is not declared is refused; a new one is called by whatever allows calls.
        (
            "a function",
            functions.iter().all(|(contract, new)| {
                let known = running.functions.find(contract, new.signature.selector());
                known == Some(new)
            }),
        ),
        ("the hours", *hours == running.hours),
        ("where a sequence starts", *sequences == running.sequences),
    ]
}

/// Everything with a name that is offered must be there, and no more than there.
fn each<T>(
    kind: &'static str,
    running: &BTreeMap<Name, T>,
    offered: &BTreeMap<Name, T>,
    is_less: impl Fn(&Name, &T, &T) -> bool,
    found: &mut BTreeSet<Widening>,
) {
    for (name, new) in offered {
        let known = running.get(name);
        if known.is_none_or(|old| !is_less(name, old, new)) {
            let name = name.clone();
            found.insert(Widening::More { kind, name });
        }
    }
}

/// Those of the books that run already: what names another one is looked at by itself.
fn common(running: &BTreeMap<Name, Book>, offered: &BTreeMap<Name, Book>) -> BTreeMap<Name, Book> {
    let kept = offered
        .iter()
        .filter(|(name, book)| book.apart.is_some() && running.contains_key(*name));
    kept.map(|(name, book)| (name.clone(), book.clone()))
        .collect()
}

fn asks_less(old: &Client, new: &Client) -> bool {
    new.identity == old.identity
        && new.verbs.is_subset(&old.verbs)
        && new.accounts.is_subset(&old.accounts)
        // Whoever no longer runs it may approve what it asks for.
        && old.people.is_subset(&new.people)
}

/// Whether people must say that they are there as often, as many, and none whose word did not count. One
/// that nobody had to give freezes more.
fn beats_as_often(running: &Policy, offered: &Policy) -> bool {
    let Some(old) = &running.heartbeat else {
        return true;
    };
    offered.heartbeat.as_ref().is_some_and(|new| {
        let Heartbeat {
            within_millis,
            threshold,
            people,
        } = new;
        *within_millis <= old.within_millis
            && *threshold >= old.threshold
            && people.is_subset(&old.people)
    })
}

/// A bundle that keeps vetoes from being brought would make the next one sure.
fn keeps_governing(running: &Policy, offered: &Policy) -> bool {
    let governs = |(_, client): &(&Name, &Client)| client.verbs.contains(&Verb::Govern);
    let mut governing = running.clients.iter().filter(governs);
    governing.all(|(name, old)| {
        let new = offered.clients.get(name);
        new.is_some_and(|new| new.verbs.contains(&Verb::Govern) && new.identity == old.identity)
    })
}

/// Without signers, intents need no signature.
fn issues_less(old: &Source, new: &Source) -> bool {
    let signed = match old.signers.is_empty() {
        true => true,
        false => !new.signers.is_empty() && new.signers.is_subset(&old.signers),
    };
    signed && new.clients.is_subset(&old.clients)
}

/// Whether whatever is worth something is worth no less: by the same attesters, at no lower a price. Where
/// nothing had a price, no limit asks for one; where nobody says what is final, whoever does lets more be signed.
fn attested(running: &Attestations, offered: &Attestations) -> bool {
    // Every field by name: a new one has to be thought about here.
    let Attestations {
        attesters,
        needed,
        currency,
        prices,
    } = offered;
    let is_dearer = |old: &PriceRule, new: &PriceRule| {
        let PriceRule {
            decimals,
            haircut_bp,
            floor,
            max_age_millis,
        } = new;
        *decimals == old.decimals
            && *haircut_bp >= old.haircut_bp
            && *floor >= old.floor
            && *max_age_millis <= old.max_age_millis
    };
    let is_same =
        (attesters, needed, currency) == (&running.attesters, &running.needed, &running.currency);
    let mut priced = running.prices.iter();
    let dearer = priced.all(|(asset, old)| {
        let new = prices.get(asset);
        new.is_some_and(|new| is_dearer(old, new))
    });
    let of_prices = attesters.values().all(|one| {
        let mut says = one.says.iter();
        says.all(|kind| *kind == AttestationKind::Price)
    });
    (*running == Attestations::default() && of_prices) || (is_same && dearer)
}

fn chains<C: Ord>(
    running: &BTreeMap<C, ChainSettings>,
    offered: &BTreeMap<C, ChainSettings>,
) -> bool {
    let is_less = |old: &ChainSettings, new: &ChainSettings| {
        let ChainSettings {
            locktime_height_max,
            max_ahead,
        } = new;
        *locktime_height_max <= old.locktime_height_max && *max_ahead <= old.max_ahead
    };
    running.len() == offered.len()
        && offered.iter().all(|(chain, new)| {
            let known = running.get(chain);
            known.is_some_and(|old| is_less(old, new))
        })
}
