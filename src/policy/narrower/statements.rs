//! Statement by statement: an allow must be covered by one that runs, and what restricts must be covered
//! by something that restricts as much.

use std::collections::{BTreeMap, BTreeSet};

use tx::EffectKind;

use super::{Widening, books::Books};
use crate::{AttestedNeed, Limit, Need, Policy, Selector, Statement, bundle::covers_as_written};

pub(super) fn compare(running: &Policy, offered: &Policy, found: &mut BTreeSet<Widening>) {
    let books = Books::between(running, offered);
    let permits = |old: &Selector, new: &Selector| {
        covers_as_written(old, new)
            && gives_no_more(old, new)
            && (old.signed_by.is_none() || has_same_signers(running, offered))
            && (old.to.is_none() || books.only_lost(new.to.as_ref()))
            && (old.functions.is_none() || books.only_lost(Some(&new.argument_destinations())))
            && books.only_gained(old.to_except.as_ref())
    };
    let restricts = |old: &Selector, new: &Selector| {
        covers_as_written(new, old)
            && (new.signed_by.is_none() || has_same_signers(running, offered))
            && (new.to.is_none() || books.only_gained(old.to.as_ref()))
            && (new.functions.is_none() || books.only_gained(Some(&old.argument_destinations())))
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
    let mut replaced = Replaced::of(running);
    for old in &running.requires {
        let restricting = offered.requires.iter();
        let restricting = restricting.filter(|new| restricts(&old.selector, &new.selector));
        let needs = restricting.map(|new| &new.says.need);
        let covered = replaced.covers(&old.says.need, needs);
        less("require", &old.name, covered);
    }
    for old in &running.requires_attested {
        let covered = offered
            .requires_attested
            .iter()
            .any(|new| restricts(&old.selector, &new.selector) && is_fresher(&old.says, &new.says));
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

/// Whether it gives no kind of effect that the old one does not. What names none gives no right: one that names it
/// now gives more.
fn gives_no_more(old: &Selector, new: &Selector) -> bool {
    let mut kinds = EffectKind::ALL.into_iter();
    kinds.all(|kind| old.gives(kind) || !new.gives(kind))
}

/// Which new need stands for which old one. One need is met once, whatever asks for it: two that became one
/// would be met by fewer people.
struct Replaced<'a> {
    known: BTreeSet<&'a Need>,
    by: BTreeMap<&'a Need, &'a Need>,
}

impl<'a> Replaced<'a> {
    fn of(running: &'a Policy) -> Self {
        Self {
            known: running.needs().collect(),
            by: BTreeMap::new(),
        }
    }

    fn covers(&mut self, old: &'a Need, mut offered: impl Iterator<Item = &'a Need>) -> bool {
        let mut stands_for = |new: &'a Need| {
            new == old
                || (is_stricter(old, new)
                    && !self.known.contains(new)
                    && *self.by.entry(new).or_insert(old) == old)
        };
        offered.any(&mut stands_for)
    }
}

/// Whether whoever has signed an intent is said of it in both bundles: a signature of somebody whom the
/// source does not ask for, or whose key it is not, says nothing.
fn has_same_signers(running: &Policy, offered: &Policy) -> bool {
    let mut sources = offered.sources.iter();
    sources.all(|(name, new)| {
        let known = running.sources.get(name);
        known.is_some_and(|old| old.signers == new.signers)
    }) && running.people == offered.people
}

/// Whether whoever meets the new need meets the old one.
fn is_stricter(old: &Need, new: &Need) -> bool {
    // Every field by name: a new one has to be thought about here.
    let Need {
        threshold,
        people,
        delay_millis,
        valid_millis,
        rejection,
        passkeys,
    } = new;
    *threshold >= old.threshold
        && people.is_subset(&old.people)
        && *delay_millis >= old.delay_millis
        && *valid_millis <= old.valid_millis
        && *rejection >= old.rejection
        && *passkeys <= old.passkeys
}

/// Whether what meets the new need meets the old one, by the same attesters.
fn is_fresher(old: &AttestedNeed, new: &AttestedNeed) -> bool {
    // Every field by name: a new one has to be thought about here.
    let AttestedNeed {
        attested,
        within_millis,
    } = new;
    *attested == old.attested && *within_millis <= old.within_millis
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
        outstanding,
    } = new;
    // What is counted apart by less is counted together with more. What people carried does not count in a
    // limit with the same `over`: under another one, other charges would be left out.
    *measure == old.measure
        && is_longer(old.window_millis, *window_millis)
        && *cap <= old.cap
        && group.is_subset(&old.group)
        && (over.is_none() || *over == old.over)
        && (!outstanding || old.outstanding)
}

/// Whether everything that counts in a window counts in another one. A charge may leave a window late, by
/// up to a bucket of a 1440th of it: a window that is hardly longer could let it go before.
fn is_longer(old_millis: u64, new_millis: u64) -> bool {
    let late_millis = old_millis.div_ceil(1_440);
    new_millis == old_millis || new_millis > old_millis.saturating_add(late_millis)
}
