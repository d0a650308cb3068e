//! The attempt that is charged when nothing speaks against it.

use super::{Case, Findings};
use crate::{Attempt, Permit, state::lane_of};

pub(super) fn permit(case: &Case<'_>, findings: Findings<'_>) -> Permit {
    let request = case.request;
    let names = findings
        .allowed_by
        .iter()
        .flat_map(|allowed| &allowed.statements);
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
        facts: case.facts.clone(),
        fee_terms: case.decoded.fee_terms(),
        valid_until: case.decoded.valid_until(),
        allowed_by: names.map(|(name, _)| name.clone()).collect(),
        met: findings.met,
        carried: findings.carried,
        policy: case.policy.hash,
        calls: case.state.calls_for(case.decoded),
    };
    Permit {
        attempt,
        allowed_by: findings.allowed_by,
        spoke: findings.spoke,
    }
}

/// One order for what has none.
fn sorted<T: Clone + Ord>(items: &[T]) -> Vec<T> {
    let mut items = items.to_vec();
    items.sort();
    items.dedup();
    items
}
