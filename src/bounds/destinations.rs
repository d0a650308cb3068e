//! Destinations, as far as a policy tells them apart.

use std::collections::{BTreeMap, BTreeSet};

use policy::{Policy, Selector, To};
use tx::{Address, Chain, Name};

use crate::question::Ground;

/// Addresses that every statement speaks of alike.
#[derive(Clone, Debug)]
pub(crate) struct Class {
    /// The books they are in, of those that any statement or the question names.
    pub(crate) books: BTreeSet<Name>,
    /// Them; one of them where there are as many as anyone likes.
    pub(crate) addresses: Vec<Address>,
    /// Whether there are as many as anyone likes.
    pub(crate) endless: bool,
    /// The least that is paid to one.
    pub(crate) least: u64,
}

/// What addresses of a class have in common: their books, which of them it is where it is named by itself, and
/// the least that is paid to one.
type Alike<'a> = (Vec<&'a Name>, Option<&'a Address>, u64);

/// Every selector of a policy.
pub(crate) fn selectors(policy: &Policy) -> impl Iterator<Item = &Selector> {
    let allows = policy.allows.iter().map(|one| &one.selector);
    let denies = policy.denies.iter().map(|one| &one.selector);
    let requires = policy.requires.iter().map(|one| &one.selector);
    let limits = policy.limits.iter().map(|one| &one.selector);
    allows.chain(denies).chain(requires).chain(limits)
}

/// The classes of a chain's addresses that are not ours. The last one is everyone whom nothing names.
pub(crate) fn classes(ground: &Ground<'_>, chain: Chain, asked: Option<&Name>) -> Vec<Class> {
    let (books, named) = named(ground.policy, asked);
    let mut of: BTreeMap<&Address, Vec<&Name>> = BTreeMap::new();
    for (name, book) in ground
        .policy
        .books
        .iter()
        .filter(|(name, _)| books.contains(name))
    {
        for address in book.addresses.iter().filter(|one| one.chain() == chain) {
            of.entry(address).or_default().push(name);
        }
    }
    for address in named.iter().filter(|one| one.chain() == chain) {
        of.entry(address).or_default();
    }
    let mut classes: BTreeMap<Alike<'_>, Vec<Address>> = BTreeMap::new();
    for (address, books) in of {
        if ground.registry.own(address).is_none() {
            let alone = named.contains(address).then_some(address);
            let key = (books, alone, (ground.forms.least)(address));
            classes.entry(key).or_default().push(address.clone());
        }
    }
    let class = |((books, _, least), addresses): (Alike<'_>, Vec<Address>)| Class {
        books: books.into_iter().cloned().collect(),
        addresses,
        endless: false,
        least,
    };
    let mut classes: Vec<Class> = classes.into_iter().map(class).collect();
    let others = strangers(chain).find(|one| is_stranger(ground, one));
    classes.extend(others.map(|address| Class {
        books: BTreeSet::new(),
        // Of all outputs one like this is the cheapest to spend, so that the least is dust there.
        least: (ground.forms.least)(&address),
        addresses: vec![address],
        endless: true,
    }));
    with_books_apart(ground, chain, &books, classes)
}

/// So many books that are loaded apart are told apart; what names another one is loosened.
const APART_MAX: usize = 4;

/// The books that are loaded apart and that any selector names, of which the first ones are told apart.
pub(crate) fn apart(policy: &Policy) -> Vec<&Name> {
    let (books, _) = named(policy, None);
    let apart = books
        .into_iter()
        .filter(|book| policy.book_apart(book).is_some());
    apart.collect()
}

/// Those of them that are not told apart.
pub(crate) fn blurred(policy: &Policy) -> BTreeSet<Name> {
    apart(policy).into_iter().skip(APART_MAX).cloned().collect()
}

/// Every class as it is, and with each choice of books that are loaded apart: whoever signs them puts into one
/// whom they like, and takes them out again.
fn with_books_apart(
    ground: &Ground<'_>,
    chain: Chain,
    books: &BTreeSet<&Name>,
    mut classes: Vec<Class>,
) -> Vec<Class> {
    let policy = ground.policy;
    let of_chain = |book: &&Name| {
        let apart = policy.book_apart(book);
        apart.is_some_and(|apart| apart.chain == chain)
    };
    let blurred = blurred(policy);
    let books = books.iter().copied().filter(of_chain);
    for book in books.filter(|book| !blurred.contains(*book)) {
        let with = classes.iter().map(|class| {
            let mut books = class.books.clone();
            books.insert(book.clone());
            Class {
                books,
                ..class.clone()
            }
        });
        let with: Vec<Class> = with.collect();
        classes.splice(0..0, with);
    }
    classes
}

/// The books and addresses that any selector or the question names.
fn named<'a>(
    policy: &'a Policy,
    asked: Option<&'a Name>,
) -> (BTreeSet<&'a Name>, BTreeSet<&'a Address>) {
    let mut books: BTreeSet<&Name> = asked.into_iter().collect();
    let mut addresses = BTreeSet::new();
    for selector in selectors(policy) {
        for to in [&selector.to, &selector.to_except]
            .into_iter()
            .flatten()
            .flatten()
        {
            match to {
                To::Book(book) => {
                    books.insert(book);
                }
                To::Address(address) => {
                    addresses.insert(address);
                }
                To::OwnClass(_) | To::OwnAccount(_) => {}
            }
        }
    }
    (books, addresses)
}

/// Addresses of a chain, one after the other.
pub(crate) fn strangers(chain: Chain) -> impl Iterator<Item = Address> {
    (1_u64..).filter_map(move |number| {
        let mut bytes = [0x5a; 20];
        bytes
            .iter_mut()
            .rev()
            .zip(number.to_le_bytes())
            .for_each(|(to, byte)| *to = byte);
        match chain {
            Chain::Evm(_) => Address::evm(chain, bytes),
            _ => Address::from_script(chain, &[[0x00, 0x14].as_slice(), &bytes].concat()),
        }
    })
}

/// Whether nothing names the address.
pub(crate) fn is_stranger(ground: &Ground<'_>, address: &Address) -> bool {
    let in_book = |book: &policy::Book| book.addresses.contains(address);
    let (_, named) = named(ground.policy, None);
    ground.registry.own(address).is_none()
        && !named.contains(address)
        && !ground.policy.books.values().any(in_book)
}
