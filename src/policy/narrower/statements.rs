//! Statement by statement: an allow must be covered by one that runs, and what restricts must be covered
//! by something that restricts as much.

use std::collections::BTreeSet;

use super::{Widening, books::Books};
use crate::{Limit, Need, Policy, Selector, Statement, bundle::covers_as_written};

pub(super) fn compare(running: &Policy, offered: &Policy, found: &mut BTreeSet<Widening>) {
    let books = Books::between(running, offered);
    let permits = |old: &Selector, new: &Selector| {
        covers_as_written(old, new)
            && (old.to.is_none() || books.only_lost(new.to.as_ref()))
            && books.only_gained(old.to_except.as_ref())
    };
    let restricts = |old: &Selector, new: &Selector| {
        covers_as_written(new, old)
            && (new.to.is_none() || books.only_gained(old.to.as_ref()))
            && books.only_lost(new.to_except.as_ref())
    };
    let mut more = |kind, statement: &tx::Name, is_covered: bool| {
        if !is_covered {
            let name = statement.clone();
            found.insert(Widening::More { kind, name });
        }
    };
    for new in &offered.allows {
        let mut known = running.allows.iter();
        let covered = known.any(|old| permits(&old.selector, &new.selector));
        more("allow", &new.name, covered);
    }
    for new in &offered.evacuates {
        let mut known = running.evacuates.iter();
        let covered = known.any(|old| {
            permits(&old.selector, &new.selector) && is_stricter(&old.says.need, &new.says.need)
        });
        more("evacuate", &new.name, covered);
    }
    let mut less = |kind, statement: &tx::Name, is_covered: bool| {
        if !is_covered {
            let name = statement.clone();
            found.insert(Widening::Less { kind, name });
        }
    };
    for old in &running.denies {
        let mut kept = offered.denies.iter();
        let covered = kept.any(|new| restricts(&old.selector, &new.selector));
        less("deny", &old.name, covered);
    }
    for old in &running.requires {
        let mut kept = offered.requires.iter();
        let covered = kept.any(|new| {
            restricts(&old.selector, &new.selector) && is_stricter(&old.says.need, &new.says.need)
        });
        less("require", &old.name, covered);
    }
    let bounds = |old: &Statement<Limit>, new: &Statement<Limit>| {
        restricts(&old.selector, &new.selector) && is_tighter(&old.says, &new.says)
    };
    for old in &running.limits {
        let covered = offered.limits.iter().any(|new| bounds(old, new));
        less("limit", &old.name, covered);
    }
}

/// Whether whoever meets the new need meets the old one.
fn is_stricter(old: &Need, new: &Need) -> bool {
    new.threshold >= old.threshold && new.people.is_subset(&old.people)
}

/// Whether what the new limit lets through has room in the old one.
fn is_tighter(old: &Limit, new: &Limit) -> bool {
    // Every field by name: a new one has to be thought about here.
    let Limit {
        measure,
        window_millis,
        cap,
        group,
        over,
    } = new;
    // What is counted apart by less is counted together with more. What people carried does not count in a
    // limit with the same `over`: under another one, other charges would be left out.
    *measure == old.measure
        && is_longer(old.window_millis, *window_millis)
        && *cap <= old.cap
        && group.is_subset(&old.group)
        && (over.is_none() || *over == old.over)
}

/// Whether everything that counts in a window counts in another one. A charge may leave a window late, by
/// up to a bucket of a 1440th of it: a window that is hardly longer could let it go before.
fn is_longer(old_millis: u64, new_millis: u64) -> bool {
    let late_millis = old_millis.div_ceil(1_440);
    new_millis == old_millis || new_millis > old_millis.saturating_add(late_millis)
}
