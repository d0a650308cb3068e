//! Kinds of which another one can stand for, and kinds that are one.

use std::collections::BTreeSet;

use num_bigint::BigInt;
use num_traits::One;

use crate::model::{Column, FeeKind};

/// Without what another one can stand for, and with neighbours in one.
pub(crate) fn without_worse<T: Clone>(
    all: Vec<T>,
    joined: fn(&T, &T) -> Option<T>,
    is_no_better: fn(&T, &T) -> bool,
) -> Vec<T> {
    let mut kept: Vec<T> = Vec::new();
    for one in all {
        let mut one = one;
        while let Some((at, both)) = kept
            .iter()
            .enumerate()
            .find_map(|(at, other)| Some((at, joined(other, &one)?)))
        {
            kept.remove(at);
            one = both;
        }
        if kept.iter().any(|other| is_no_better(&one, other)) {
            continue;
        }
        kept.retain(|other| !is_no_better(other, &one));
        kept.push(one);
    }
    kept
}

/// A range of numbers, and the hours in which they can be.
type Extent<'a> = (&'a BigInt, &'a BigInt, &'a BTreeSet<usize>);

/// Two extents as one: the same numbers at other hours, or neighbouring numbers at the same.
fn extent(one: Extent<'_>, other: Extent<'_>) -> Option<(BigInt, BigInt, BTreeSet<usize>)> {
    let (same, at_once) = ((one.0, one.1) == (other.0, other.1), one.2 == other.2);
    let touches = other.0 <= &(one.1 + BigInt::one()) && one.0 <= &(other.1 + BigInt::one());
    (same || (at_once && touches)).then(|| {
        let (least, most) = (one.0.min(other.0), one.1.max(other.1));
        (least.clone(), most.clone(), one.2 | other.2)
    })
}

pub(crate) fn joined_columns(one: &Column, other: &Column) -> Option<Column> {
    let of = |column: &Column| {
        let by = (
            column.client.clone(),
            column.account.clone(),
            column.source.clone(),
        );
        let to = (column.class, column.copy, column.link);
        (by, to, column.is_asked, column.takes.clone())
    };
    let extents = (
        (&one.least, &one.most, &one.when),
        (&other.least, &other.most, &other.when),
    );
    let (least, most, when) = extent(extents.0, extents.1).filter(|_| of(one) == of(other))?;
    Some(Column {
        least,
        most,
        when,
        ..one.clone()
    })
}

pub(crate) fn is_no_better_column(one: &Column, other: &Column) -> bool {
    let in_place = match one.is_mixed {
        true => one.link == other.link && one.source == other.source,
        false => (one.link == other.link || other.link.is_none()) && !other.is_mixed,
    };
    in_place
        && one.takes.is_superset(&other.takes)
        && one.is_asked <= other.is_asked
        && one.when.is_subset(&other.when)
        && other.least <= one.least
        && one.most <= other.most
}

pub(crate) fn joined_fees(one: &FeeKind, other: &FeeKind) -> Option<FeeKind> {
    let extents = (
        (&one.least, &one.most, &one.when),
        (&other.least, &other.most, &other.when),
    );
    let (least, most, when) = extent(extents.0, extents.1).filter(|_| one.takes == other.takes)?;
    Some(FeeKind {
        least,
        most,
        when,
        ..one.clone()
    })
}

pub(crate) fn is_no_better_fee(one: &FeeKind, other: &FeeKind) -> bool {
    one.takes.is_superset(&other.takes)
        && one.when.is_subset(&other.when)
        && other.least <= one.least
        && one.most <= other.most
}
