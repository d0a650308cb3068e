//! Whether a bundle replaces people and does nothing else: all that the recovery set may do.

use std::collections::{BTreeMap, BTreeSet};

use tx::Name;

use crate::{Governance, Heartbeat, Policy, Recovery, Selector, Statement};

/// What a bundle changes beside people, groups and who the officers are, and how many of them. Nothing, where the
/// recovery set may replace the running one by it.
///
/// Wherever else people are named, the same names must stand: what a group stands for is a part of the
/// statement that names it. Whoever replaces a person there gives new keys to the name. Only a heartbeat of the
/// officers follows them.
pub fn beside_people(running: &Policy, offered: &Policy) -> BTreeSet<&'static str> {
    // Every field by name: a new one has to be thought about here, and compared in what is called from here.
    let Policy {
        hash: _,
        fleet: _,
        sequence: _,
        governance: _,
        recovery: _,
        heartbeat: _,
        witnesses: _,
        auditors: _,
        devices: _,
        approval_page: _,
        people: _,
        groups: _,
        client_roots: _,
        clients: _,
        sources: _,
        accounts: _,
        edges: _,
        assets: _,
        chains: _,
        sequences: _,
        functions: _,
        books: _,
        hours: _,
        attestations: _,
        allows: _,
        denies: _,
        requires: _,
        requires_attested: _,
        limits: _,
        evacuates: _,
    } = offered;
    let parts = governing(running, offered).into_iter();
    let parts = parts.chain(parties(running, offered));
    let parts = parts.chain(statements(running, offered));
    let differing = parts.filter(|(_, is_same)| !is_same);
    differing.map(|(what, _)| what).collect()
}

/// Who governs, but for who the officers are.
fn governing(running: &Policy, offered: &Policy) -> [(&'static str, bool); 4] {
    let delays = |policy: &Policy| {
        let Governance {
            threshold: _,
            officers: _,
            delay_millis,
            unfreeze_delay_millis,
        } = policy.governance;
        (delay_millis, unfreeze_delay_millis)
    };
    let recovers = offered.recovery == running.recovery && recovers_alike(running, offered);
    let beats = offered.heartbeat == follows(running, offered);
    [
        ("the fleet", offered.fleet == running.fleet),
        (
            "a delay of the governance",
            delays(offered) == delays(running),
        ),
        ("the recovery set", recovers),
        ("the heartbeat", beats),
    ]
}

/// Who asks and attests, and what is ours.
fn parties(running: &Policy, offered: &Policy) -> [(&'static str, bool); 16] {
    let (old, new) = (running, offered);
    [
        ("the witnesses", new.witnesses == old.witnesses),
        ("the auditors", new.auditors == old.auditors),
        ("the devices", new.devices == old.devices),
        ("the approval page", new.approval_page == old.approval_page),
        (
            "what certifies clients",
            new.client_roots == old.client_roots,
        ),
        ("a client", new.clients == old.clients),
        ("a source", new.sources == old.sources),
        ("an account", new.accounts == old.accounts),
        ("an edge", new.edges == old.edges),
        ("an asset", new.assets == old.assets),
        ("what is set for a chain", new.chains == old.chains),
        ("where a sequence starts", new.sequences == old.sequences),
        ("a function", new.functions == old.functions),
        ("a book", new.books == old.books),
        ("the hours", new.hours == old.hours),
        (
            "who attests, or what is taken of it",
            new.attestations == old.attestations,
        ),
    ]
}

fn statements(running: &Policy, offered: &Policy) -> [(&'static str, bool); 6] {
    let (old, new) = (running, offered);
    [
        ("an allow", by_name(&new.allows) == by_name(&old.allows)),
        ("a deny", by_name(&new.denies) == by_name(&old.denies)),
        (
            "a require of attesters",
            by_name(&new.requires_attested) == by_name(&old.requires_attested),
        ),
        (
            "a require",
            by_name(&new.requires) == by_name(&old.requires),
        ),
        ("a limit", by_name(&new.limits) == by_name(&old.limits)),
        (
            "an evacuate",
            by_name(&new.evacuates) == by_name(&old.evacuates),
        ),
    ]
}

/// Whether those of the recovery set have the keys that they had.
fn recovers_alike(running: &Policy, offered: &Policy) -> bool {
    let people = running.recovery.iter();
    let mut people = people.flat_map(|Recovery { people, .. }| people);
    people.all(|name| running.people.get(name) == offered.people.get(name))
}

/// The running heartbeat; the officers give it who are officers then, where it is theirs.
fn follows(running: &Policy, offered: &Policy) -> Option<Heartbeat> {
    let heartbeat = running.heartbeat.clone()?;
    let people = match heartbeat.people == running.governance.officers {
        true => offered.governance.officers.clone(),
        false => heartbeat.people,
    };
    Some(Heartbeat {
        people,
        ..heartbeat
    })
}

/// What statements say, wherever they stand.
fn by_name<K>(statements: &[Statement<K>]) -> BTreeMap<&Name, (&Selector, &K)> {
    let said = statements.iter();
    said.map(|one| (&one.name, (&one.selector, &one.says)))
        .collect()
}
