//! Groups: names for several people, usable wherever people are named, so that who comes and goes is
//! changed in one place. What is asked of a group is asked of the people that it stands for.

use std::collections::{BTreeMap, BTreeSet};

use tx::Name;

use super::{
    draft::Draft,
    names::{Taken, alike},
    table::{Table, Value},
};
use crate::Policy;

/// The most groups: what each stands for is found by going through all of them.
const GROUPS_MAX: usize = 1_000;

/// What is written where people are named.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Member {
    Person(Name),
    Group(Name),
}

/// The members of each group, as they are written.
type Members = BTreeMap<Name, BTreeSet<Member>>;

/// Reads `[[group]]`. A group may name groups, whichever of them stands first.
pub(super) fn groups(tables: Vec<Table<'_>>, draft: &mut Draft) {
    if let Some(table) = tables.get(GROUPS_MAX) {
        return table.error(format!("there can be {GROUPS_MAX} groups at the most"));
    }
    let mut taken = Taken::default();
    let mut tables: Vec<_> = tables
        .into_iter()
        .map(|mut table| (table.new_name(&mut taken), table))
        .collect();
    let names: BTreeSet<Name> = taken.names().cloned().collect();
    let people = &draft.policy.people;
    let mut members = Members::new();
    for (name, table) in &mut tables {
        let value = table.required("members");
        let listed = value.map(|value| value.each(|one| member(one, people.keys(), names.iter())));
        let Some(name) = name else { continue };
        if people.contains_key(name) {
            table.error("has the name of a person");
        } else if let Some(person) = people.keys().find(|person| alike(person, name)) {
            table.error_hint(
                format!(
                    "the name looks like that of the person {:?}",
                    person.as_str()
                ),
                "give it one that nobody could mistake for the other",
            );
        }
        members.insert(name.clone(), listed.unwrap_or_default());
    }
    let (resolved, circles) = resolved(members);
    for (name, table) in tables {
        for circle in name.iter().filter_map(|name| circles.get(name)) {
            let circle: Vec<&str> = circle.iter().map(Name::as_str).collect();
            table.error(format!("is a member of itself: {}", circle.join(" has ")));
        }
        table.finish();
    }
    draft.policy.groups = resolved;
}

/// Reads a person or group, or a list of them. Whoever is in it twice counts once.
pub(super) fn people(value: &Value<'_>, policy: &Policy) -> BTreeSet<Name> {
    let members = value.each(|one| member(one, policy.people.keys(), policy.groups.keys()));
    let people = members.into_iter().flat_map(|member| match member {
        Member::Person(person) => BTreeSet::from([person]),
        Member::Group(group) => policy.groups.get(&group).cloned().unwrap_or_default(),
    });
    people.collect()
}

fn member<'n>(
    value: &Value<'_>,
    people: impl Iterator<Item = &'n Name> + Clone,
    groups: impl Iterator<Item = &'n Name> + Clone,
) -> Option<Member> {
    match value.text()?.strip_prefix("group:") {
        Some(which) => value.named("group", which, groups).map(Member::Group),
        None => value.known("person", people).map(Member::Person),
    }
}

/// The people of each group; and of each circle its groups from the smallest around to it again, by
/// that one. A group that leads into a circle has nobody: its people are not known.
fn resolved(mut left: Members) -> (BTreeMap<Name, BTreeSet<Name>>, BTreeMap<Name, Vec<Name>>) {
    let mut done: BTreeMap<Name, BTreeSet<Name>> = BTreeMap::new();
    loop {
        let mut ready = BTreeMap::new();
        for (name, members) in &left {
            if let Some(people) = people_of(members, &done) {
                ready.insert(name.clone(), people);
            }
        }
        if ready.is_empty() {
            break;
        }
        left.retain(|name, _| !ready.contains_key(name));
        done.extend(ready);
    }
    let circles = left.keys().filter_map(|name| circle(name, &left));
    let circles = circles.filter_map(|circle| Some((circle.first()?.clone(), circle)));
    let circles = circles.collect();
    done.extend(left.into_keys().map(|name| (name, BTreeSet::new())));
    (done, circles)
}

/// The people of these members, when all groups among them are known.
fn people_of(
    members: &BTreeSet<Member>,
    known: &BTreeMap<Name, BTreeSet<Name>>,
) -> Option<BTreeSet<Name>> {
    let mut people = BTreeSet::new();
    for member in members {
        match member {
            Member::Person(person) => drop(people.insert(person.clone())),
            Member::Group(group) => people.extend(known.get(group)?.iter().cloned()),
        }
    }
    Some(people)
}

/// The circle that `start` leads into, where each of `left` has another of `left` as a member.
fn circle(start: &Name, left: &Members) -> Option<Vec<Name>> {
    let mut path: Vec<Name> = Vec::new();
    let mut next = start.clone();
    let from = loop {
        if let Some(from) = path.iter().position(|passed| *passed == next) {
            break from;
        }
        path.push(next.clone());
        let mut members = left.get(&next)?.iter();
        next = members.find_map(|member| match member {
            Member::Group(group) if left.contains_key(group) => Some(group.clone()),
            _ => None,
        })?;
    };
    let mut circle = path.split_off(from);
    let smallest = circle.iter().min()?;
    let first = circle.iter().position(|name| name == smallest)?;
    circle.rotate_left(first);
    circle.push(circle.first()?.clone());
    Some(circle)
}

#[cfg(test)]
mod tests {
    use proptest::{collection::btree_set, prelude::*};

    use super::*;

    /// Groups `a` to `f` and people `0` to `3`, as bits.
    fn members(edges: &[(BTreeSet<u8>, BTreeSet<u8>)]) -> Members {
        let person = |n: &u8| Member::Person(format!("{n}").parse().unwrap());
        let group = |n: &u8| Member::Group(name(*n));
        let listed = edges.iter().map(|(people, groups)| {
            let people = people.iter().map(person);
            people.chain(groups.iter().map(group)).collect()
        });
        (0..).map(name).zip(listed).collect()
    }

    fn name(group: u8) -> Name {
        char::from(b'a' + group).to_string().parse().unwrap()
    }

    /// The groups that can be reached, by repeating.
    fn reached(edges: &[(BTreeSet<u8>, BTreeSet<u8>)], from: usize) -> BTreeSet<usize> {
        let mut reached = BTreeSet::new();
        let mut edge: Vec<usize> = vec![from];
        while let Some(group) = edge.pop() {
            let (_, groups) = &edges[group];
            edge.extend(
                groups
                    .iter()
                    .map(|next| usize::from(*next))
                    .filter(|next| reached.insert(*next)),
            );
        }
        reached
    }

    proptest! {
        #[test]
        fn a_group_is_everyone_who_can_be_reached_or_one_of_a_circle_is_named(
            edges in prop::collection::vec((btree_set(0..4_u8, 0..3), btree_set(0..6_u8, 0..2)), 6),
        ) {
            let (groups, circles) = resolved(members(&edges));
            prop_assert_eq!(groups.len(), 6);
            let around = |group: usize| reached(&edges, group).contains(&group);
            let mut of_circles = BTreeSet::new();
            for circle in circles.values() {
                prop_assert_eq!(circle.first(), circle.last());
                prop_assert_eq!(circle.iter().min(), circle.first());
                of_circles.extend(circle.iter().cloned());
            }
            for group in 0..6 {
                let all = reached(&edges, group);
                let known = &groups[&name(u8::try_from(group).unwrap())];
                if all.iter().any(|other| around(*other)) {
                    prop_assert!(known.is_empty());
                    let named = all.iter().map(|other| name(u8::try_from(*other).unwrap()));
                    prop_assert!(named.into_iter().any(|name| of_circles.contains(&name)));
                } else {
                    let mut expected = edges[group].0.clone();
                    expected.extend(all.iter().flat_map(|other| edges[*other].0.iter().copied()));
                    let expected: BTreeSet<String> =
                        expected.iter().map(ToString::to_string).collect();
                    let known: BTreeSet<String> = known.iter().map(ToString::to_string).collect();
                    prop_assert_eq!(known, expected);
                }
            }
        }
    }
}
