//! Freezes, and what may leave under one.

use tx::FeeTerms;

use super::{Case, Findings};
use crate::{
    Evacuate, Fact, FreezeScope, ReasonCode, Statement,
    select::{Reading, Subject},
};

pub(super) fn check<'a>(case: &'a Case<'_>, findings: &mut Findings<'a>) {
    if let Some(lapse) = case.state.lapsed(case.now()) {
        // Before that is written down, not even what is evacuated: it would be held by it for ever.
        findings.refuse_built_in(
            ReasonCode::Frozen,
            format!("the heartbeat was due at {}", lapse.due),
            "people have to bring a heartbeat; everything freezes until then",
        );
    }
    let frozen: Vec<&FreezeScope> = case
        .state
        .freezes(case.lo)
        .map(|(scope, _)| scope)
        .filter(|scope| holds(case, scope))
        .collect();
    if frozen.is_empty() {
        return;
    }
    let terms = case.decoded.fee_terms();
    // Not lazily: every need is to be listed, whichever effect comes first.
    let evacuated: Vec<bool> = case
        .facts
        .iter()
        .map(|fact| is_evacuated(case, fact, &terms, findings))
        .collect();
    if evacuated.iter().all(|evacuated| *evacuated) {
        return;
    }
    for scope in frozen {
        findings.refuse_built_in(
            ReasonCode::Frozen,
            format!("{scope} is frozen"),
            "wait until it is unfrozen; under a freeze only what an evacuate names is signed",
        );
    }
}

fn holds(case: &Case<'_>, scope: &FreezeScope) -> bool {
    let keys = case.decoded.signings().iter().map(|signing| &signing.key);
    let mut facts = case.facts.iter();
    scope.holds(case.decoded.account(), case.decoded.chain(), keys)
        || facts.any(|fact| fact.destination_scopes().contains(scope))
}

/// Whether an evacuate matches the effect and its need is met. Unmet needs are listed only where
/// some evacuate would let the effect out.
fn is_evacuated<'a>(
    case: &'a Case<'_>,
    fact: &'a Fact,
    terms: &FeeTerms,
    findings: &mut Findings<'a>,
) -> bool {
    let subject = Subject::of_fact(fact, terms, case.lo);
    let matches = |evacuate: &&Statement<Evacuate>| {
        evacuate.selector.matches(&subject, Reading::Gives) && case.hours.gives(&evacuate.selector)
    };
    let about = case.approved_by(fact);
    let matching: Vec<_> = case.policy.evacuates.iter().filter(matches).collect();
    if matching
        .iter()
        .any(|evacuate| findings.is_met(&evacuate.says.need, &about))
    {
        return true;
    }
    for evacuate in matching {
        findings.need(evacuate, &evacuate.says.need, &about);
    }
    false
}
