//! What a log says of the books that are loaded apart, to whoever reads it without their files.
//!
//! Every fact that was charged names the books of the bundle that governed then which held its destination. From one
//! change of a book to the next that is what the book holds; of any other address nothing is known.

use std::collections::{BTreeMap, BTreeSet};

use tx::{Address, Chain, Decoded, Effect, Name};

use crate::{ArgumentBooks, Attempt, Entry, Fact, Policy, book::Held};

/// It, as far as the entries so far say.
#[derive(Clone, Debug, Default)]
pub(super) struct Told {
    /// The books of the bundle that really governs: what it does not name, no fact speaks of.
    named: BTreeSet<Name>,
    held: BTreeMap<Name, BTreeMap<Address, Option<Held>>>,
}

impl Told {
    /// What is said of an address, as a signer would take it: of what is not known, nothing is sure.
    pub(super) fn holds(&self, book: &Name, address: &Address) -> Option<Held> {
        let said = self.held.get(book).and_then(|held| held.get(address));
        said.copied().unwrap_or(Some(Held::Cooling))
    }

    /// The bundle that governs from now on.
    pub(super) fn govern(&mut self, running: &Policy) {
        self.named = running.books.keys().cloned().collect();
    }

    /// Takes in what was charged, and what an entry changed.
    pub(super) fn take(&mut self, entry: &Entry, supposed: &Policy) {
        match entry {
            Entry::PolicyActivated { .. } => *self = Self::default(),
            Entry::BookLoaded(loaded) => {
                self.held.remove(&loaded.book);
            }
            Entry::BookCooled { book, .. } => {
                let held = self.held.entry(book.clone()).or_default();
                held.retain(|_, held| *held != Some(Held::Cooling));
            }
            Entry::Attempt(attempt) => self.recall(attempt, supposed),
            _ => {}
        }
    }

    /// Takes in what was recorded of the destinations of an attempt.
    pub(super) fn recall(&mut self, attempt: &Attempt, supposed: &Policy) {
        for fact in &attempt.facts {
            for (address, of) in recorded(fact) {
                for book in apart(supposed, address.chain()) {
                    self.note(book, &address, &of);
                }
            }
        }
    }

    fn note(&mut self, book: &Name, address: &Address, of: &ArgumentBooks) {
        let held = match (of.books.contains(book), of.cooling.contains(book)) {
            (_, true) => Some(Held::Cooling),
            (true, false) => Some(Held::Surely),
            (false, false) if self.named.contains(book) => None,
            (false, false) => return,
        };
        let known = self.held.entry(book.clone()).or_default();
        known.insert(address.clone(), held);
    }

    /// The books of which nothing is known that would be asked about a transaction.
    pub(super) fn unknown(&self, decoded: &Decoded, supposed: &Policy) -> BTreeSet<Name> {
        let mut unknown = BTreeSet::new();
        for address in decoded.effects().iter().flat_map(addresses) {
            let books = apart(supposed, address.chain());
            let is_known = |book: &&Name| {
                let held = self.held.get(*book);
                held.is_some_and(|held| held.contains_key(&address))
            };
            unknown.extend(books.filter(|book| !is_known(book)).cloned());
        }
        unknown
    }
}

/// The books of a chain that are loaded apart.
fn apart(policy: &Policy, chain: Chain) -> impl Iterator<Item = &Name> {
    let books = policy.books.iter();
    let of_chain = books.filter(move |(_, book)| {
        let apart = book.apart.as_ref();
        apart.is_some_and(|apart| apart.chain == chain)
    });
    of_chain.map(|(name, _)| name)
}

/// The addresses that a fact speaks of, and the books that it says hold each of them.
fn recorded(fact: &Fact) -> Vec<(Address, ArgumentBooks)> {
    let classes = &fact.classes;
    let to = fact.effect.to.iter().map(|to| {
        let (books, cooling) = (classes.books.clone(), classes.books_cooling.clone());
        (to.address.clone(), ArgumentBooks { books, cooling })
    });
    let arguments = arguments(&fact.effect).map(|(name, address)| {
        let of = classes.arguments.get(name).cloned().unwrap_or_default();
        (address, of)
    });
    to.chain(arguments).collect()
}

fn addresses(effect: &Effect) -> impl Iterator<Item = Address> {
    let to = effect.to.iter().map(|to| to.address.clone());
    to.chain(arguments(effect).map(|(_, address)| address))
}

/// The addresses among the arguments of a call, by the arguments' names.
fn arguments(effect: &Effect) -> impl Iterator<Item = (&str, Address)> {
    let arguments = effect.call.iter().flat_map(|call| &call.arguments);
    arguments.filter_map(|argument| {
        let address = Address::parse(effect.asset.chain, &argument.value).ok()?;
        Some((argument.name.as_str(), address))
    })
}
