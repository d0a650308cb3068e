//! Limits on values: a price can be wrong, so that a number of base units stands beside each of them.

use std::collections::BTreeSet;

use tx::Asset;

use super::{
    super::diagnostic::{Diagnostic, Place, Report},
    covers::covers,
    unit,
};
use crate::{Group, Limit, Measure, Policy, Selector, Statement};

/// Reports every limit on values that has no hard limit on the amount beside it.
pub(super) fn check(policy: &Policy, report: &Report) {
    let limits = policy.limits.iter();
    for limit in limits.filter(|limit| limit.says.measure == Measure::Reference) {
        for asset in limit.selector.assets.iter().flatten() {
            if !has_native(policy, limit, asset) {
                report.add(unbounded(policy, limit, asset));
            }
        }
    }
}

fn has_native(policy: &Policy, limit: &Statement<Limit>, asset: &Asset) -> bool {
    let part = Selector {
        assets: Some(BTreeSet::from([asset.clone()])),
        ..limit.selector.clone()
    };
    policy.limits.iter().any(|other| {
        other.says.measure == Measure::Amount
            && other.says.over.is_none()
            && !other.says.outstanding
            && !other.says.group.contains(&Group::Destination)
            && !other.says.group.contains(&Group::Client)
            && covers(&other.selector, &part, policy)
    })
}

fn unbounded(policy: &Policy, limit: &Statement<Limit>, asset: &Asset) -> Diagnostic {
    let name = unit(policy, asset);
    let message = format!(
        "limit {:?}: no hard limit bounds the amount of {name} beside it, should its price be wrong",
        limit.name.as_str(),
    );
    let hint = format!(
        "add a [[limit]] with measure = \"amount\", asset = {name:?} and no `over` that selects at \
         least the same and is not grouped by destination or client"
    );
    Diagnostic::error(Place::from(&limit.at), message).hint(hint)
}
