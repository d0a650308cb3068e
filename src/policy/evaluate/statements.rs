//! The statements that speak about one effect: allow, deny, require; and what is built in.

use std::collections::BTreeSet;

use tx::{AccountClass, Effect, EffectKind};

use super::{Case, Findings, Spoken, facts::described};
use crate::{
    Allow, Fact, ReasonCode, Statement,
    select::{Reading, Subject},
};

pub(super) fn check<'a>(case: &'a Case<'_>, findings: &mut Findings<'a>) {
    let terms = case.decoded.fee_terms();
    let cancels = is_cancellation(case.decoded.effects());
    for fact in &case.facts {
        let subject = Subject::of_fact(fact, &terms, case.lo);
        edge(case, &fact.effect, findings);
        denied(case, fact, &subject, findings);
        required(case, fact, &subject, findings);
        covered(case, fact, &subject, cancels, findings);
    }
}

/// Whether the transaction is built in: an own account consumes its own sequence and pays the fee.
fn is_cancellation(effects: &[Effect]) -> bool {
    let [a, b] = effects else {
        return false;
    };
    let kinds = BTreeSet::from([a.kind, b.kind]);
    kinds == BTreeSet::from([EffectKind::Cancellation, EffectKind::Fee])
}

/// What needs no allow. Cancelling is the way out of a stuck lane, and its fee is bounded by the
/// limits. Change to the account that it came from moves nothing.
fn is_built_in(effect: &Effect, cancels: bool) -> bool {
    let own = effect.to.as_ref().and_then(|to| to.own.as_ref());
    match effect.kind {
        EffectKind::Cancellation | EffectKind::Fee => cancels,
        EffectKind::Change => own.is_some_and(|own| own.account == effect.account),
        _ => false,
    }
}

fn covered(
    case: &Case<'_>,
    fact: &Fact,
    subject: &Subject<'_>,
    cancels: bool,
    findings: &mut Findings<'_>,
) {
    let mut covering = Vec::with_capacity(case.policy.allows.len());
    let mut at_other_hours = Vec::new();
    for (place, allow) in case.policy.allows.iter().enumerate() {
        if !allow.selector.matches(subject, Reading::Gives) {
            continue;
        }
        match case.hours.gives(&allow.selector) {
            true => covering.push(place),
            false => at_other_hours.push(allow),
        }
    }
    if covering.is_empty() && !is_built_in(&fact.effect, cancels) {
        let effect = described(&fact.effect);
        return findings.refuse_built_in(
            ReasonCode::Uncovered,
            format!("no allow covers: {effect}"),
            remedy(&at_other_hours),
        );
    }
    findings.covering.push(covering);
}

/// What would cover an effect, where allows would that are not of this hour.
fn remedy(at_other_hours: &[&Statement<Allow>]) -> String {
    let names: BTreeSet<&str> = at_other_hours
        .iter()
        .map(|allow| allow.name.as_str())
        .collect();
    let names: Vec<&str> = names.into_iter().collect();
    if names.is_empty() {
        return "add an allow that covers it, or change the transaction".into();
    }
    format!("ask in the hours of {}", names.join(" or "))
}

fn denied(case: &Case<'_>, fact: &Fact, subject: &Subject<'_>, findings: &mut Findings<'_>) {
    for deny in case.policy.denies.iter().filter(|deny| {
        deny.selector.matches(subject, Reading::Takes) && case.hours.takes(&deny.selector)
    }) {
        let effect = described(&fact.effect);
        findings.refuse(Spoken::of(
            deny,
            ReasonCode::Denied,
            format!("it is denied: {effect}"),
            "nothing permits it while this deny stands",
        ));
    }
}

fn required<'a>(
    case: &'a Case<'_>,
    fact: &'a Fact,
    subject: &Subject<'_>,
    findings: &mut Findings<'a>,
) {
    for require in &case.policy.requires {
        if require.selector.matches(subject, Reading::Takes) && case.hours.takes(&require.selector)
        {
            findings.need(require, &require.says.need, &case.approved_by(fact));
        }
    }
    let chain = case.decoded.chain();
    for require in &case.policy.requires_attested {
        if require.selector.matches(subject, Reading::Takes)
            && case.hours.takes(&require.selector)
            && !case.state.is_attested(&require.says, chain, case.hi)
        {
            let needed = case.policy.attestations.needed(require.says.attested);
            findings.unattested(require, needed);
        }
    }
}

/// Own value moves between classes along listed edges alone, and never to what is retired: who
/// holds the coordinator would otherwise launder by own keys, hot to hot to out.
fn edge(case: &Case<'_>, effect: &Effect, findings: &mut Findings<'_>) {
    let Some(own) = effect.to.as_ref().and_then(|to| to.own.as_ref()) else {
        return;
    };
    let moves = effect.kind == EffectKind::OwnTransfer;
    let returns = effect.kind == EffectKind::Change;
    let from = case
        .policy
        .accounts
        .get(&effect.account)
        .map(|account| account.class);
    let listed = from.is_some_and(|from| case.policy.edges.contains(&(from, own.class)));
    let retired = own.class == AccountClass::Retired;
    if (moves && !listed) || ((moves || returns) && retired) {
        let detail = described(effect);
        let remedy = if retired {
            "pay to no retired account"
        } else {
            "list the edge between the two classes"
        };
        findings.refuse_built_in(
            ReasonCode::Edge,
            format!("own value may not move so: {detail}"),
            remedy,
        );
    }
}
