//! Whether one selector speaks about all that another does. Errs to no.

use std::collections::{BTreeMap, BTreeSet};

use tx::{AccountClass, Chain};

use super::chains;
use crate::{ArgumentConditions, FunctionId, Policy, Selector};

/// Whether every effect that `inner` matches is matched by `outer`, as far as the two texts show.
/// Condition by condition, so that a bound accepted here is one that a reader sees, too.
pub(super) fn covers(outer: &Selector, inner: &Selector, policy: &Policy) -> bool {
    covers_classes(outer, inner, inner_classes(inner, policy).as_ref())
}

/// As [`covers`], by the conditions as they are written, whatever class an account is of: that may have
/// been another one when something was charged.
pub(crate) fn covers_as_written(outer: &Selector, inner: &Selector) -> bool {
    covers_classes(outer, inner, inner.classes.as_ref())
}

fn covers_classes(
    outer: &Selector,
    inner: &Selector,
    inner_classes: Option<&BTreeSet<AccountClass>>,
) -> bool {
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
        to,
        to_except,
        amount_max,
        amount_over,
        fee_rate_max,
        fee_rate_over,
        tags,
        age_min,
        age_below,
        signed_by,
        hours,
        hours_except,
        dead,
    } = outer;
    within(inner.clients.as_ref(), clients.as_ref())
        && within(inner.sources.as_ref(), sources.as_ref())
        && within(inner.accounts.as_ref(), accounts.as_ref())
        && within(inner_classes, classes.as_ref())
        && within(inner_chains(inner).as_ref(), chains.as_ref())
        && within(inner.assets.as_ref(), assets.as_ref())
        && within(inner.effects.as_ref(), effects.as_ref())
        && within_functions(inner.functions.as_ref(), functions.as_ref())
        && within(inner.to.as_ref(), to.as_ref())
        && excepts(inner.to_except.as_ref(), to_except.as_ref())
        && at_most(inner.amount_max, *amount_max)
        && at_least(inner.amount_over, *amount_over)
        && at_most(inner.fee_rate_max, *fee_rate_max)
        && at_least(inner.fee_rate_over, *fee_rate_over)
        && within(inner.tags.as_ref(), tags.as_ref())
        && at_least(inner.age_min, *age_min)
        && at_most(inner.age_below, *age_below)
        && within(inner.signed_by.as_ref(), signed_by.as_ref())
        && within(inner.hours.as_ref(), hours.as_ref())
        && excepts(inner.hours_except.as_ref(), hours_except.as_ref())
        && (dead.is_none() || inner.dead == *dead)
}

type Functions = BTreeMap<FunctionId, ArgumentConditions>;

/// Whether every call of the inner functions is one of the outer: of the same function, by arguments that meet
/// all that the outer one asks.
fn within_functions(inner: Option<&Functions>, outer: Option<&Functions>) -> bool {
    let (inner, outer) = match (inner, outer) {
        (_, None) => return true,
        (None, Some(_)) => return false,
        (Some(inner), Some(outer)) => (inner, outer),
    };
    inner.iter().all(|(id, conditions)| {
        outer.get(id).is_some_and(|asked| {
            asked.iter().all(|(place, asked)| {
                let condition = conditions.get(place);
                condition.is_some_and(|condition| condition.implies(asked))
            })
        })
    })
}

fn within<T: Ord>(inner: Option<&BTreeSet<T>>, outer: Option<&BTreeSet<T>>) -> bool {
    match (inner, outer) {
        (_, None) => true,
        (None, Some(_)) => false,
        (Some(inner), Some(outer)) => inner.is_subset(outer),
    }
}

/// What the outer one leaves out, the inner one leaves out as well.
fn excepts<T: Ord>(inner: Option<&BTreeSet<T>>, outer: Option<&BTreeSet<T>>) -> bool {
    match (inner, outer) {
        (_, None) => true,
        (None, Some(outer)) => outer.is_empty(),
        (Some(inner), Some(outer)) => outer.is_subset(inner),
    }
}

fn at_most<T: Ord>(inner: Option<T>, outer: Option<T>) -> bool {
    match (inner, outer) {
        (_, None) => true,
        (None, Some(_)) => false,
        (Some(inner), Some(outer)) => inner <= outer,
    }
}

fn at_least<T: Ord>(inner: Option<T>, outer: Option<T>) -> bool {
    match (inner, outer) {
        (_, None) => true,
        (None, Some(_)) => false,
        (Some(inner), Some(outer)) => inner >= outer,
    }
}

/// An asset is on one chain.
fn inner_chains(inner: &Selector) -> Option<BTreeSet<Chain>> {
    let named = inner.chains.is_some() || inner.assets.is_some();
    named.then(|| chains(inner))
}

/// An account is of one class.
fn inner_classes(inner: &Selector, policy: &Policy) -> Option<BTreeSet<AccountClass>> {
    if inner.classes.is_some() {
        return inner.classes.clone();
    }
    let class = |name| policy.accounts.get(name).map(|account| account.class);
    inner.accounts.as_ref()?.iter().map(class).collect()
}
