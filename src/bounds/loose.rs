//! A policy that lets out no less and asks for less: ages of destinations and who signed are not looked at.

use std::borrow::Cow;

use policy::{Policy, Selector};

use crate::destinations::selectors;

/// The policy without conditions on an age or on who signed: what allows does so anyway, and what is against
/// something, or bounds it, is gone. The same one where nothing has such a condition.
pub(crate) fn loose(policy: &Policy) -> Cow<'_, Policy> {
    if !selectors(policy).any(is_beyond) {
        return Cow::Borrowed(policy);
    }
    let mut loose = policy.clone();
    for allow in &mut loose.allows {
        let selector = &mut allow.selector;
        (selector.age_min, selector.age_below, selector.signed_by) = (None, None, None);
    }
    loose.denies.retain(|one| !is_beyond(&one.selector));
    loose.requires.retain(|one| !is_beyond(&one.selector));
    loose.limits.retain(|one| !is_beyond(&one.selector));
    Cow::Owned(loose)
}

fn is_beyond(selector: &Selector) -> bool {
    selector.age_min.is_some() || selector.age_below.is_some() || selector.signed_by.is_some()
}
