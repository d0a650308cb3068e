//! Which books of the bundle hold an address.

use std::{
    collections::{BTreeMap, BTreeSet},
    hash::{BuildHasher as _, RandomState},
};

use hashbrown::{HashTable, hash_table::Entry};
use tx::{Address, Name};

use crate::{Addresses, Book};

/// The books that a bundle lists by itself, by the addresses that they hold.
///
/// A book has a million addresses, and a second copy of each would take longer to make than all else that a
/// bundle's load does: a table has their places in the lists of the books, which it shares.
#[derive(Clone, Debug)]
pub(super) struct ListedBooks {
    hasher: RandomState,
    /// One place of each address, by its hash.
    places: HashTable<Place>,
    lists: Vec<Listed>,
    /// All books of the addresses that are in several.
    shared: BTreeMap<Address, BTreeSet<Name>>,
    none: BTreeSet<Name>,
}

#[derive(Clone, Debug)]
struct Listed {
    /// The book's name, alone in a set.
    alone: BTreeSet<Name>,
    addresses: Addresses,
}

/// An address by the list that holds it and its place there. Eight bytes: a million of them are looked up in a
/// cache.
#[derive(Clone, Copy, Debug)]
struct Place {
    list: u32,
    at: u32,
}

impl ListedBooks {
    pub(super) fn of(books: &BTreeMap<Name, Book>) -> Self {
        let list = |(name, book): (&Name, &Book)| Listed {
            alone: BTreeSet::from([name.clone()]),
            addresses: book.addresses.clone(),
        };
        let lists: Vec<Listed> = books.iter().map(list).collect();
        let most = lists.iter().map(|one| one.addresses.len()).sum();
        let mut all = Self {
            hasher: RandomState::new(),
            places: HashTable::with_capacity(most),
            lists: Vec::with_capacity(lists.len()),
            shared: BTreeMap::new(),
            none: BTreeSet::new(),
        };
        for list in lists {
            all.add(list);
        }
        all
    }

    fn add(&mut self, list: Listed) {
        let Self {
            hasher,
            places,
            lists,
            shared,
            none: _,
        } = self;
        let number = lists.len();
        lists.push(list);
        let lists: &[Listed] = lists;
        let Some(Listed { alone, addresses }) = lists.get(number) else {
            return;
        };
        for (at, address) in addresses.iter().enumerate() {
            let same = |place: &Place| place.address(lists) == Some(address);
            let hash = |place: &Place| hasher.hash_one(place.address(lists));
            let others = match places.entry(hasher.hash_one(Some(address)), same, hash) {
                Entry::Occupied(known) => known.get().alone(lists).cloned(),
                Entry::Vacant(new) => match Place::of(number, at) {
                    Some(place) => {
                        new.insert(place);
                        continue;
                    }
                    None => None,
                },
            };
            let all = shared.entry(address.clone());
            let all = all.or_insert_with(|| others.unwrap_or_default());
            all.extend(alone.iter().cloned());
        }
    }

    /// The books that hold the address; none where there is no address.
    pub(super) fn with(&self, address: Option<&Address>) -> &BTreeSet<Name> {
        let books = address.and_then(|address| self.holding(address));
        books.unwrap_or(&self.none)
    }

    fn holding(&self, address: &Address) -> Option<&BTreeSet<Name>> {
        if let Some(shared) = self.shared.get(address) {
            return Some(shared);
        }
        let same = |place: &Place| place.address(&self.lists) == Some(address);
        let place = self
            .places
            .find(self.hasher.hash_one(Some(address)), same)?;
        place.alone(&self.lists)
    }
}

impl Place {
    /// `None` behind the four thousand millionth of a list, or list.
    fn of(list: usize, at: usize) -> Option<Self> {
        Some(Self {
            list: list.try_into().ok()?,
            at: at.try_into().ok()?,
        })
    }

    fn list(self, lists: &[Listed]) -> Option<&Listed> {
        lists.get(usize::try_from(self.list).ok()?)
    }

    fn alone(self, lists: &[Listed]) -> Option<&BTreeSet<Name>> {
        self.list(lists).map(|list| &list.alone)
    }

    fn address(self, lists: &[Listed]) -> Option<&Address> {
        let addresses = &self.list(lists)?.addresses;
        addresses.get(usize::try_from(self.at).ok()?)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tx::Chain;

    use super::*;

    fn one(n: u8) -> Address {
        Address::evm(Chain::Evm(1), [n; 20]).unwrap()
    }

    proptest! {
        #[test]
        fn an_address_is_in_the_books_that_hold_it(
            contents in prop::collection::vec(prop::collection::vec(0..6_u8, 0..6), 0..5),
        ) {
            let books = contents.iter().enumerate().map(|(n, content)| {
                let addresses = content.iter().copied().map(one).collect();
                let name: Name = format!("book-{n}").parse().unwrap();
                (name, Book { addresses, apart: None })
            });
            let books: BTreeMap<Name, Book> = books.collect();
            let listed = ListedBooks::of(&books);
            for n in 0..6 {
                let holding = books.iter().filter(|(_, book)| book.addresses.contains(&one(n)));
                let expected: BTreeSet<Name> = holding.map(|(name, _)| name.clone()).collect();
                prop_assert_eq!(listed.with(Some(&one(n))), &expected);
            }
            prop_assert!(listed.with(None).is_empty());
            // Only what is in several books is in the slower table.
            let several = (0..6).filter(|n| listed.with(Some(&one(*n))).len() > 1);
            prop_assert_eq!(listed.shared.len(), several.count());
        }
    }
}
