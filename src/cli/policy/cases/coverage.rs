//! Which statements the cases hold: one that can be taken out of the bundle without any case being
//! decided otherwise is held by none.

use std::sync::Arc;

use policy::{Location, Policy, Statement};
use serde::Serialize;
use tx::Name;

/// A statement that no case notices.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Unnoticed {
    kind: &'static str,
    name: Name,
    at: Location,
}

/// The bundle without one statement of each kind in turn.
pub fn without_each(policy: &Policy) -> Vec<(Unnoticed, Arc<Policy>)> {
    let mut all = Vec::new();
    each(policy, "allow", |policy| &mut policy.allows, &mut all);
    each(policy, "deny", |policy| &mut policy.denies, &mut all);
    each(policy, "require", |policy| &mut policy.requires, &mut all);
    each(
        policy,
        "require",
        |policy| &mut policy.requires_attested,
        &mut all,
    );
    each(policy, "limit", |policy| &mut policy.limits, &mut all);
    each(policy, "evacuate", |policy| &mut policy.evacuates, &mut all);
    all
}

fn each<K>(
    policy: &Policy,
    kind: &'static str,
    statements: impl Fn(&mut Policy) -> &mut Vec<Statement<K>>,
    all: &mut Vec<(Unnoticed, Arc<Policy>)>,
) {
    let count = statements(&mut policy.clone()).len();
    for number in 0..count {
        let mut less = policy.clone();
        let Statement { name, at, .. } = statements(&mut less).remove(number);
        all.push((Unnoticed { kind, name, at }, Arc::new(less)));
    }
}

impl std::fmt::Display for Unnoticed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Location { file, line } = &self.at;
        write!(f, "{} {:?} ({file}:{line})", self.kind, self.name.as_str())
    }
}
