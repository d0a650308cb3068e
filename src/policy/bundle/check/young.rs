//! Limits of young destinations that more destinations defeat, and denies that keep everyone young.

use super::{
    super::diagnostic::{Diagnostic, Place, Report},
    covers,
};
use crate::{Group, Limit, Policy, Selector, Statement};

/// Warns of them: what is said of young destinations is meant to hold whoever makes them.
pub(super) fn check(policy: &Policy, report: &Report) {
    let young = |selector: &Selector| selector.age_below.is_some();
    for limit in policy.limits.iter().filter(|one| young(&one.selector)) {
        if let Some(group) = splits(limit)
            && !is_bounded_together(policy, limit)
        {
            report.add(split(limit, group));
        }
    }
    for deny in policy.denies.iter().filter(|one| young(&one.selector)) {
        let named = &deny.selector;
        let first = named.amount_over.is_none() && named.age_min.is_none();
        if first && named.to.is_none() && named.hours.is_none() {
            let message = format!(
                "deny {:?}: nobody can be paid first, so that nobody ever becomes old",
                deny.name.as_str()
            );
            let hint = "add amount_over, so that a small payment goes first, or use a require";
            report.add(Diagnostic::warning(Place::from(&deny.at), message).hint(hint));
        }
    }
}

/// By what the limit counts apart that whoever asks can have more of.
fn splits(limit: &Statement<Limit>) -> Option<Group> {
    let apart = [Group::Destination, Group::Client];
    apart
        .into_iter()
        .find(|group| limit.says.group.contains(group))
}

/// Whether another limit holds all that this one counts apart, and is for young destinations too: one of
/// all payments has the room of all payments.
fn is_bounded_together(policy: &Policy, limit: &Statement<Limit>) -> bool {
    policy.limits.iter().any(|other| {
        other.says.measure == limit.says.measure
            && (!other.says.outstanding || limit.says.outstanding)
            && other.selector.age_below.is_some()
            && splits(other).is_none()
            && covers(&other.selector, &limit.selector, policy)
    })
}

fn split(limit: &Statement<Limit>, group: Group) -> Diagnostic {
    let message = format!(
        "limit {:?}: each {group} has the whole cap of its own, so that splitting over new ones defeats it",
        limit.name.as_str()
    );
    let hint = "add a limit with the same age_below that is not grouped by destination or client";
    Diagnostic::warning(Place::from(&limit.at), message).hint(hint)
}
