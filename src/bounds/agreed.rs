//! A policy as it is for requests to which people agree.

use std::collections::BTreeSet;

use policy::{Need, Policy};
use tx::Name;

/// Whether these people meet a need.
pub(crate) fn is_met(need: &Need, people: &BTreeSet<Name>) -> bool {
    let agreeing = need.people.intersection(people).count();
    need.threshold > 0 && u32::try_from(agreeing).is_ok_and(|count| count >= need.threshold)
}

/// The policy without what these people meet if they agree to everything: what needs them, and limits that
/// they can carry anything over.
pub fn agreed(policy: &Policy, people: &BTreeSet<Name>) -> Policy {
    let mut agreed = policy.clone();
    agreed
        .requires
        .retain(|one| !is_met(&one.says.need, people));
    agreed.limits.retain(|limit| {
        let over = limit.says.over.as_ref();
        !over.is_some_and(|need| is_met(need, people))
    });
    agreed
}
