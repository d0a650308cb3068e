//! Which needs people have met.

use std::collections::{BTreeMap, BTreeSet};

use tx::Name;

use crate::{Digest, Need, Request};

/// Who has approved, by the fingerprint of the need. No kind of statement of people is defined
/// that could approve anything, so that nobody has, whatever the request brings.
pub(super) fn approvals(_: &Request) -> BTreeMap<Digest, BTreeSet<Name>> {
    BTreeMap::new()
}

/// Those of the approving people who count for the need, when they are enough. A need of nobody is
/// never met: it would turn a statement that asks for people into one that asks for nothing.
pub(super) fn counted(need: &Need, approved: &BTreeSet<Name>) -> Option<BTreeSet<Name>> {
    let people: BTreeSet<Name> = need.people.intersection(approved).cloned().collect();
    let enough = u32::try_from(people.len()).is_ok_and(|count| count >= need.threshold);
    (enough && need.threshold > 0).then_some(people)
}
