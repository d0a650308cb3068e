//! Which needs people have met.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use tx::{IntentId, Name};

use super::Case;
use crate::{Digest, Need};

/// What people approve of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum About<'a> {
    /// An intent, whichever transaction pays it.
    Intent(&'a IntentId),
    /// The one transaction of the request, which pays no intent.
    Transaction,
}

/// Who has approved of what, by the fingerprint of the need.
pub(super) type Approvals<'a> = BTreeMap<About<'a>, BTreeMap<Digest, BTreeSet<Name>>>;

/// What people said of the registered intents of the request, or of its transaction, as far as it counts now.
/// What a request brings beside is nothing: approvals are journalled before they are of use.
pub(super) fn approvals<'a>(case: &Case<'a>) -> Approvals<'a> {
    let mut approvals = Approvals::new();
    let now = case.now();
    for signed in &case.request.intents {
        let Some(registered) = case.registered(&signed.intent) else {
            continue;
        };
        let asking = case.requesters(signed);
        let mut of_needs = BTreeMap::new();
        for need in case.policy.needs() {
            let fingerprint = need.fingerprint();
            if registered.decided.contains_key(&fingerprint) {
                let mut people = registered.approving(case.policy, need, now);
                people.retain(|person| !asking.contains(person));
                of_needs.insert(fingerprint, people);
            }
        }
        approvals.insert(About::Intent(&signed.intent.id), of_needs);
    }
    if let Some(registered) = case.state.approvable(case.request, now) {
        let needs = case.policy.needs();
        let said = needs.filter(|need| registered.decided.contains_key(&need.fingerprint()));
        let approving = |need: &Need| registered.approving(case.policy, need, now);
        let of_needs = said.map(|need| (need.fingerprint(), approving(need)));
        approvals.insert(About::Transaction, of_needs.collect());
    }
    approvals
}

/// Those of the approving people who count for the need, when they are enough. A need of nobody is
/// never met: it would turn a statement that asks for people into one that asks for nothing.
pub(super) fn counted(need: &Need, approved: &BTreeSet<Name>) -> Option<BTreeSet<Name>> {
    let people: BTreeSet<Name> = need.people.intersection(approved).cloned().collect();
    let enough = u32::try_from(people.len()).is_ok_and(|count| count >= need.threshold);
    (enough && need.threshold > 0).then_some(people)
}

/// Gives each need people of its own, in order, as long as there are enough; `None` for those for which there
/// are not. Where there are enough for all of them, all have them: the assignment is exact.
pub(super) fn assigned(
    needs: &[&Need],
    approved: &BTreeMap<Digest, BTreeSet<Name>>,
) -> Vec<Option<BTreeSet<Name>>> {
    let candidates: Vec<BTreeSet<Name>> = needs
        .iter()
        .map(|need| {
            let approved = approved.get(&need.fingerprint());
            let counted = approved.and_then(|approved| counted(need, approved));
            counted.unwrap_or_default()
        })
        .collect();
    let mut matching = Matching {
        candidates: &candidates,
        holds: BTreeMap::new(),
    };
    let met: Vec<bool> = (0..)
        .zip(needs)
        .map(|(place, need)| matching.fill(place, need.threshold))
        .collect();
    let people = |place: usize| {
        let held = matching.holds.iter().filter(|(_, held)| **held == place);
        held.map(|(person, _)| (*person).clone()).collect()
    };
    (0..)
        .zip(met)
        .map(|(place, met)| met.then(|| people(place)))
        .collect()
}

/// People and the needs that they fill, by augmenting paths.
struct Matching<'a> {
    candidates: &'a [BTreeSet<Name>],
    /// The need that each person fills.
    holds: BTreeMap<&'a Name, usize>,
}

impl<'a> Matching<'a> {
    /// Finds so many people for a need, and leaves those before it with as many as they have; false, and
    /// nothing changed, where there are not enough.
    fn fill(&mut self, need: usize, threshold: u32) -> bool {
        let before = self.holds.clone();
        let enough = threshold > 0 && (0..threshold).all(|_| self.augment(need));
        if !enough {
            self.holds = before;
        }
        enough
    }

    /// One person more for a need, by a shortest chain of people who change to another one.
    fn augment(&mut self, need: usize) -> bool {
        // The need that each person is reached for, and the person who would leave each need.
        let mut reached: BTreeMap<&'a Name, usize> = BTreeMap::new();
        let mut leaving: BTreeMap<usize, &'a Name> = BTreeMap::new();
        let mut open = VecDeque::from([need]);
        while let Some(wanting) = open.pop_front() {
            for person in self.candidates.get(wanting).into_iter().flatten() {
                if reached.contains_key(person) {
                    continue;
                }
                reached.insert(person, wanting);
                match self.holds.get(person) {
                    Some(held) if *held != need && !leaving.contains_key(held) => {
                        leaving.insert(*held, person);
                        open.push_back(*held);
                    }
                    Some(_) => {}
                    None => {
                        self.change(person, &reached, &leaving);
                        return true;
                    }
                }
            }
        }
        false
    }

    /// Lets everybody on the chain that ends with a free person change.
    fn change(
        &mut self,
        free: &'a Name,
        reached: &BTreeMap<&'a Name, usize>,
        leaving: &BTreeMap<usize, &'a Name>,
    ) {
        let mut next = Some(free);
        while let Some(person) = next {
            let Some(wanting) = reached.get(person) else {
                return;
            };
            self.holds.insert(person, *wanting);
            next = leaving.get(wanting).copied();
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::btree_set, prelude::*};

    use super::*;

    fn person(n: u8) -> Name {
        format!("p{n}").parse().unwrap()
    }

    fn people(of: &BTreeSet<u8>) -> BTreeSet<Name> {
        of.iter().copied().map(person).collect()
    }

    /// Whether there are people of their own for all, by trying everything.
    fn possible(wanted: &[(usize, BTreeSet<u8>)], taken: &BTreeSet<u8>) -> bool {
        let Some(((count, from), rest)) = wanted.split_first() else {
            return true;
        };
        if *count == 0 {
            return possible(rest, taken);
        }
        let next = [(count - 1, from.clone())];
        let next: Vec<_> = next.into_iter().chain(rest.iter().cloned()).collect();
        from.difference(taken).any(|one| {
            let mut taken = taken.clone();
            taken.insert(*one);
            possible(&next, &taken)
        })
    }

    proptest! {
        #[test]
        fn people_of_their_own_are_found_wherever_there_are_any(
            wanted in prop::collection::vec((1..=3_usize, btree_set(0..6_u8, 0..=5)), 1..=4),
        ) {
            let everybody = people(&(0..6).collect());
            let needs: Vec<Need> = wanted
                .iter()
                .zip(0..)
                .map(|((count, _), delay_millis)| Need {
                    // What makes needs of the same people different ones.
                    delay_millis,
                    ..Need::of(u32::try_from(*count).unwrap(), everybody.clone())
                })
                .collect();
            let approved = needs.iter().zip(&wanted);
            let approved = approved.map(|(need, (_, by))| (need.fingerprint(), people(by)));
            let approved: BTreeMap<_, _> = approved.collect();
            let refs: Vec<&Need> = needs.iter().collect();
            let assigned = assigned(&refs, &approved);
            let mut seen = BTreeSet::new();
            for (met, (count, by)) in assigned.iter().zip(&wanted) {
                let Some(met) = met else { continue };
                prop_assert_eq!(met.len(), *count);
                prop_assert!(met.is_subset(&people(by)));
                prop_assert!(met.iter().all(|one| seen.insert(one.clone())), "twice");
            }
            let all = assigned.iter().all(Option::is_some);
            prop_assert_eq!(all, possible(&wanted, &BTreeSet::new()));
        }
    }
}
