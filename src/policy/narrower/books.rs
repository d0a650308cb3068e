//! Books that have other addresses than before.

use std::collections::BTreeSet;

use tx::Name;

use crate::{Addresses, Book, Policy, To};

/// By their names, the books that differ.
pub(super) struct Books<'p> {
    /// Those with an address that they did not have.
    gained: BTreeSet<&'p Name>,
    /// Those without an address that they had.
    lost: BTreeSet<&'p Name>,
}

impl<'p> Books<'p> {
    pub(super) fn between(running: &'p Policy, offered: &'p Policy) -> Self {
        Self {
            gained: beyond(offered, running),
            lost: beyond(running, offered),
        }
    }

    /// Whether what is meant by these destinations can only have become less.
    pub(super) fn only_lost(&self, to: Option<&BTreeSet<To>>) -> bool {
        named(to).all(|book| !self.gained.contains(book))
    }

    /// Whether what is meant by these destinations can only have become more.
    pub(super) fn only_gained(&self, to: Option<&BTreeSet<To>>) -> bool {
        named(to).all(|book| !self.lost.contains(book))
    }
}

/// The books of `one` with an address that the book of this name in `other` does not have.
fn beyond<'p>(one: &'p Policy, other: &Policy) -> BTreeSet<&'p Name> {
    let nothing = Addresses::default();
    let differs = |name: &Name, book: &Book| {
        let there = other.books.get(name);
        // What is loaded apart is the same in both only where both say the same of it.
        if there.and_then(|there| there.apart.as_ref()) != book.apart.as_ref() {
            return true;
        }
        let there = there.map_or(&nothing, |book| &book.addresses);
        book.addresses.without(there).next().is_some()
    };
    let books = one.books.iter();
    let differing = books.filter(|(name, book)| differs(name, book));
    differing.map(|(name, _)| name).collect()
}

fn named(to: Option<&BTreeSet<To>>) -> impl Iterator<Item = &Name> {
    to.into_iter().flatten().filter_map(|to| match to {
        To::Book(book) => Some(book),
        To::Address(_) | To::OwnClass(_) | To::OwnAccount(_) => None,
    })
}
