//! The attempt that is charged when nothing speaks against it.

use std::{collections::BTreeSet, sync::Arc};

use super::{Case, findings::Permitting};
use crate::{Attempt, Permit, state::lane_of};

pub(super) fn permit(case: Case<'_>, permitting: Permitting) -> Permit {
    let request = case.request;
    // Many facts are covered by the same allows.
    let covering: BTreeSet<usize> = permitting.covering.iter().flatten().copied().collect();
    let allows = covering
        .iter()
        .filter_map(|place| case.policy.allows.get(*place));
    let attempt = Attempt {
        client: request.client.clone(),
        request: request.id.clone(),
        request_hash: request.hash,
        lane: lane_of(case.decoded),
        lane_epoch: request.lane_epoch,
        transaction: request.transaction.clone(),
        chain: case.decoded.chain(),
        account: case.decoded.account().clone(),
        keys: case.keys().clone(),
        set: case.set,
        resumes: case.resumes().map(|old| old.id),
        intents: sorted(&request.intents),
        replaces: sorted(&request.replaces),
        proofs: sorted(&request.proofs),
        facts: case.facts,
        fee_terms: case.decoded.fee_terms(),
        valid_until: case.decoded.valid_until(),
        allowed_by: allows.map(|allow| allow.name.clone()).collect(),
        met: permitting.met,
        carried: permitting.carried,
        policy: case.policy.hash,
        calls: case.state.calls_for(case.decoded),
    };
    Permit {
        attempt,
        policy: Arc::clone(case.policy),
        covering: permitting.covering,
        spoke: permitting.spoke,
    }
}

/// One order for what has none.
fn sorted<T: Clone + Ord>(items: &[T]) -> Vec<T> {
    let mut items = items.to_vec();
    items.sort();
    items.dedup();
    items
}
