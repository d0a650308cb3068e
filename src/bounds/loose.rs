//! A policy that lets out no less and asks for less: ages of destinations, who signed, what is dead, what is
//! outstanding and what attesters said lately are not looked at, and assets are worth their floors.

use std::{borrow::Cow, collections::BTreeSet};

use policy::{Limit, Measure, Policy, Selector, Statement, To};
use tx::{Asset, Name};

use crate::destinations::{apart, blurred, selectors};

/// The policy without conditions on an age, on who signed or on what is dead: what allows does so anyway, and what is against
/// something, or bounds it, is gone. So is what names more books that are loaded apart than are told apart. A
/// limit on values is one on the amount of each asset, as much as can be worth no more than its cap at whatever
/// price: what else takes from it is left out. Limits on what is outstanding are gone: they have room again as soon
/// as attesters say so. The same one where nothing has such a condition or measure, and
/// nothing names such a book.
pub(crate) fn loose(policy: &Policy) -> Cow<'_, Policy> {
    let blurred = blurred(policy);
    let is_beyond = |selector: &Selector| is_beyond(selector) || names(selector, &blurred);
    let is_otherwise = |limit| is_of_values(limit) || limit.says.outstanding;
    let is_plain = !selectors(policy).any(is_beyond) && !policy.limits.iter().any(is_otherwise);
    if is_plain && apart(policy).is_empty() {
        return Cow::Borrowed(policy);
    }
    let mut loose = policy.clone();
    for allow in &mut loose.allows {
        let selector = &mut allow.selector;
        (selector.age_min, selector.age_below, selector.signed_by) = (None, None, None);
        selector.dead = None;
        if names(selector, &blurred) {
            (selector.to, selector.to_except) = (None, None);
        }
    }
    loose.denies.retain(|one| !is_beyond(&one.selector));
    loose.requires.retain(|one| !is_beyond(&one.selector));
    // What is outstanding now says nothing of what leaves in a span.
    loose
        .limits
        .retain(|one| !is_beyond(&one.selector) && !one.says.outstanding);
    let (of_values, mut limits): (Vec<_>, Vec<_>) =
        loose.limits.into_iter().partition(is_of_values);
    limits.extend(of_values.iter().flat_map(|limit| amounts(policy, limit)));
    loose.limits = limits;
    Cow::Owned(loose)
}

/// The policy without conditions on functions and their arguments, as [`loose`]. Nothing but calls is spoken of
/// otherwise.
pub(crate) fn without_functions(policy: &Policy) -> Policy {
    let is_plain = |selector: &Selector| selector.functions.is_none();
    let mut loose = policy.clone();
    for allow in &mut loose.allows {
        allow.selector.functions = None;
    }
    loose.denies.retain(|one| is_plain(&one.selector));
    loose.requires.retain(|one| is_plain(&one.selector));
    loose.limits.retain(|one| is_plain(&one.selector));
    loose
}

/// Whether it names one of the books.
pub(crate) fn names(selector: &Selector, books: &BTreeSet<Name>) -> bool {
    let to = selector.to.iter().chain(&selector.to_except).flatten();
    to.into_iter()
        .any(|to| matches!(to, To::Book(book) if books.contains(book)))
}

pub(crate) fn is_beyond(selector: &Selector) -> bool {
    selector.age_min.is_some()
        || selector.age_below.is_some()
        || selector.signed_by.is_some()
        || selector.dead.is_some()
}

fn is_of_values(limit: &Statement<Limit>) -> bool {
    limit.says.measure == Measure::Reference
}

/// What a limit on values says of the amount of each asset that has a price: a value is at least what the
/// floor makes of the amount.
fn amounts(policy: &Policy, limit: &Statement<Limit>) -> Vec<Statement<Limit>> {
    let assets = limit.selector.assets.iter().flatten();
    let amount = |asset: &Asset| {
        let rule = policy.attestations.prices.get(asset)?;
        let mut amount = limit.clone();
        amount.selector.assets = Some([asset.clone()].into());
        amount.says.measure = Measure::Amount;
        amount.says.cap = rule.most_within(limit.says.cap);
        Some(amount)
    };
    assets.filter_map(amount).collect()
}
