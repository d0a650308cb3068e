//! Limits that can never bind: their author believes that they bound something.

use std::collections::{BTreeMap, BTreeSet};

use tx::{Amount, Chain, EffectKind};

use super::super::diagnostic::{Diagnostic, Place, Report};
use super::{covers::covers, idle::never};
use crate::{Allow, ArgumentConditions, FunctionId, Limit, Measure, Policy, Selector, Statement};

/// Warns of every limit that is never the one that refuses.
pub(super) fn check(policy: &Policy, report: &Report) {
    // What can never match was said to be that.
    let limits = policy.limits.iter();
    for limit in limits.filter(|limit| never(&limit.selector, policy).is_none()) {
        if let Some(why) = idle(policy, limit) {
            let message = format!("limit {:?}: can never bind: {why}", limit.name.as_str());
            let warning = Diagnostic::warning(Place::from(&limit.at), message)
                .hint("lower its cap, mend its conditions, or take the limit out");
            report.add(warning);
        }
    }
}

/// Why the limit is never the one that refuses, where that is plain.
fn idle(policy: &Policy, limit: &Statement<Limit>) -> Option<String> {
    if let Some(other) = tighter(policy, limit) {
        return Some(format!(
            "limit {:?} at {} has no room left before it",
            other.name.as_str(),
            Place::from(&other.at),
        ));
    }
    if limit.says.cap == Amount::MAX {
        return Some("nothing is as much as its cap".to_owned());
    }
    let most = match most_of_one(policy, limit) {
        Most::Unbounded => return None,
        Most::Nothing => return Some("no allow lets through what it counts".to_owned()),
        Most::UpTo(most) => most,
    };
    let count = fewest(policy, limit)?;
    let reached = match limit.says.measure {
        Measure::Amount => count.says.cap.checked_mul(most)?,
        Measure::Count | Measure::Reference => return None,
    };
    (reached <= limit.says.cap).then(|| {
        format!(
            "limit {:?} lets through {} effects, none of which is large enough to reach the cap",
            count.name.as_str(),
            count.says.cap,
        )
    })
}

/// A limit that has no room left whenever this one has none.
fn tighter<'p>(policy: &'p Policy, limit: &Statement<Limit>) -> Option<&'p Statement<Limit>> {
    let fills_first = |one: &Statement<Limit>, other: &Statement<Limit>| {
        one.says.measure == other.says.measure
            && one.says.cap <= other.says.cap
            && bounds(policy, one, other)
    };
    let mut others = policy.limits.iter().filter(|one| one.name != limit.name);
    // Of two that say the same, one binds.
    others
        .find(|one| fills_first(one, limit) && (!fills_first(limit, one) || one.name < limit.name))
}

/// Whether one limit counts at least all that another does, over as long and no finer, and whoever may
/// carry something over it may carry it over the other one as well.
fn bounds(policy: &Policy, one: &Statement<Limit>, other: &Statement<Limit>) -> bool {
    one.says.window_millis >= other.says.window_millis
        && one.says.group.is_subset(&other.says.group)
        && (one.says.over.is_none() || one.says.over == other.says.over)
        && (!one.says.outstanding || other.says.outstanding)
        && covers(&one.selector, &other.selector, policy)
}

/// The count that bounds all that the limit selects by the fewest effects.
fn fewest<'p>(policy: &'p Policy, limit: &Statement<Limit>) -> Option<&'p Statement<Limit>> {
    let counts = policy.limits.iter();
    let counts = counts.filter(|one| one.says.measure == Measure::Count);
    let counts = counts.filter(|one| bounds(policy, one, limit));
    counts.min_by_key(|one| one.says.cap)
}

/// How much a single effect can be.
enum Most {
    /// Nothing that is selected can happen.
    Nothing,
    UpTo(Amount),
    Unbounded,
}

/// The largest effect that the limit selects and an allow lets through.
fn most_of_one(policy: &Policy, limit: &Statement<Limit>) -> Most {
    let needs_allow = |kind: &EffectKind| {
        !matches!(
            kind,
            EffectKind::Change | EffectKind::Cancellation | EffectKind::Fee
        )
    };
    let selected = limit.selector.effects.as_ref();
    let largest =
        |one: Option<Amount>, other: Option<Amount>| one.zip(other).map(|(a, b)| a.max(b));
    if !selected.is_some_and(|kinds| kinds.iter().all(needs_allow)) {
        return limit
            .selector
            .amount_max
            .map_or(Most::Unbounded, Most::UpTo);
    }
    let allows = policy.allows.iter();
    let mut allows = allows.filter(|allow| meets(allow, &limit.selector, policy));
    let Some(first) = allows.next() else {
        return Most::Nothing;
    };
    let first = first.selector.amount_max;
    let allowed = allows.fold(first, |most, allow| {
        largest(most, allow.selector.amount_max)
    });
    let least = allowed.into_iter().chain(limit.selector.amount_max).min();
    least.map_or(Most::Unbounded, Most::UpTo)
}

/// Whether an effect could be allowed and selected, as far as the two texts show. Errs to yes.
fn meets(allow: &Statement<Allow>, selector: &Selector, policy: &Policy) -> bool {
    // Every field by name: a new one has to be thought about here.
    let Selector {
        clients,
        sources,
        accounts,
        classes,
        chains,
        assets,
        effects,
        functions,
        to: _,
        to_except: _,
        amount_max,
        amount_over,
        fee_rate_max: _,
        fee_rate_over: _,
        tags,
        age_min: _,
        age_below: _,
        signed_by: _,
        hours: _,
        hours_except: _,
        dead: _,
    } = selector;
    let allow = &allow.selector;
    let over = |least: Option<Amount>, most: Option<Amount>| matches!((least, most), (Some(least), Some(most)) if least >= most);
    let both = Selector {
        accounts: allow.accounts.clone().or_else(|| accounts.clone()),
        classes: classes.clone().or_else(|| allow.classes.clone()),
        chains: chains.clone().or_else(|| allow.chains.clone()),
        assets: allow.assets.clone().or_else(|| assets.clone()),
        ..Selector::default()
    };
    let asset_chains = |assets: &Option<BTreeSet<tx::Asset>>| -> Option<BTreeSet<Chain>> {
        let assets = assets.as_ref()?;
        Some(assets.iter().map(|asset| asset.chain).collect())
    };
    !(apart(&allow.clients, clients)
        || apart(&allow.sources, sources)
        || apart(&allow.accounts, accounts)
        || apart(&allow.classes, classes)
        || apart(&allow.chains, chains)
        || apart(&allow.assets, assets)
        || apart(&allow.effects, effects)
        || apart(&called(&allow.functions), &called(functions))
        || apart(&allow.tags, tags)
        || apart(&asset_chains(&allow.assets), chains)
        || apart(&allow.chains, &asset_chains(assets))
        || over(*amount_over, allow.amount_max)
        || over(allow.amount_over, *amount_max)
        || never(&both, policy).is_some())
}

/// The functions, whatever their arguments are.
fn called(
    functions: &Option<BTreeMap<FunctionId, ArgumentConditions>>,
) -> Option<BTreeSet<&FunctionId>> {
    functions
        .as_ref()
        .map(|functions| functions.keys().collect())
}

/// Whether both are named and nothing of the one is in the other.
fn apart<T: Ord>(one: &Option<BTreeSet<T>>, other: &Option<BTreeSet<T>>) -> bool {
    matches!((one, other), (Some(one), Some(other)) if one.is_disjoint(other))
}
