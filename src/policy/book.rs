//! Books that are loaded apart from the bundle: their files, and who is in them while they cool.
//!
//! A file has one address a line and nothing else: UTF-8, a line feed behind each, the lines in ascending order of
//! their bytes and none twice, so that two files are compared line by line. The bundle says who signs it and how
//! long it cools; [`crate::statement::BookUpdate`] is what they sign.

use std::{cmp::Ordering, collections::BTreeMap};

use sha2::{Digest as _, Sha256};
use thiserror::Error;
use tx::{Address, AddressError, Chain};

use crate::{Addresses, BookState, Digest};

/// The most addresses of a file.
pub const ADDRESSES_MAX: usize = 1_000_000;

/// The most bytes of a file.
pub const BYTES_MAX: usize = 128 * 1024 * 1024;

/// Why a file is no book.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum BookError {
    /// It has too many bytes or lines.
    #[error("a book has at most {ADDRESSES_MAX} addresses and {BYTES_MAX} bytes")]
    TooLong,
    /// It is not UTF-8.
    #[error("the file is not UTF-8")]
    Text,
    /// It does not end with a line feed.
    #[error("the last line has no line feed")]
    End,
    /// A line is no address of the chain.
    #[error("line {line}")]
    Line {
        /// The line, from 1.
        line: usize,
        /// Why.
        #[source]
        error: AddressError,
    },
    /// A line does not stand behind the one before it.
    #[error(
        "line {line} is not behind the one before it: the lines are in ascending order, none twice"
    )]
    Order {
        /// The line, from 1.
        line: usize,
    },
    /// An address stands there twice, in two spellings.
    #[error("{address} is there twice, in two spellings")]
    Twice {
        /// The address.
        address: Address,
    },
    /// The file is not the one that is meant.
    #[error("the file has the hash {found}, not {expected}")]
    Hash {
        /// The hash asked for.
        expected: Digest,
        /// The file's.
        found: Digest,
    },
    /// It has another number of addresses than is said of it.
    #[error("the file has {found} addresses, not {expected}")]
    Count {
        /// How many were said.
        expected: u64,
        /// How many there are.
        found: u64,
    },
}

/// SHA-256 of a file.
pub fn file_hash(bytes: &[u8]) -> Digest {
    Digest(Sha256::digest(bytes).into())
}

/// The addresses of a file, whole and in order.
#[derive(Clone, Debug)]
pub struct BookFile {
    /// SHA-256 of its bytes.
    pub hash: Digest,
    /// The chain.
    pub chain: Chain,
    /// How many there are.
    pub count: u64,
    addresses: Addresses,
}

impl BookFile {
    /// Reads a file.
    ///
    /// # Errors
    /// [`BookError`] by the first thing that is wrong.
    pub fn parse(chain: Chain, bytes: &[u8]) -> Result<Self, BookError> {
        let mut addresses = Vec::new();
        let mut before = None;
        for (line, text) in (1..).zip(lines(bytes)?) {
            if before.is_some_and(|before| before >= text) {
                return Err(BookError::Order { line });
            }
            if addresses.len() >= ADDRESSES_MAX {
                return Err(BookError::TooLong);
            }
            addresses.push(address(chain, text, line)?);
            before = Some(text);
        }
        Ok(Self {
            hash: file_hash(bytes),
            chain,
            count: addresses.len() as u64,
            addresses: Addresses::distinct(addresses)
                .map_err(|address| BookError::Twice { address })?,
        })
    }

    /// Whether it is the file of this hash, with so many addresses.
    ///
    /// # Errors
    /// [`BookError::Hash`] and [`BookError::Count`].
    pub fn check(&self, expected: Digest, count: u64) -> Result<(), BookError> {
        if self.hash != expected {
            let found = self.hash;
            return Err(BookError::Hash { expected, found });
        }
        if self.count != count {
            let (expected, found) = (count, self.count);
            return Err(BookError::Count { expected, found });
        }
        Ok(())
    }
}

fn address(chain: Chain, text: &str, line: usize) -> Result<Address, BookError> {
    Address::parse(chain, text).map_err(|error| BookError::Line { line, error })
}

fn lines(bytes: &[u8]) -> Result<impl Iterator<Item = &str>, BookError> {
    if bytes.len() > BYTES_MAX {
        return Err(BookError::TooLong);
    }
    let text = str::from_utf8(bytes).map_err(|_| BookError::Text)?;
    let whole = match text.strip_suffix('\n') {
        Some(whole) => Some(whole),
        None if text.is_empty() => None,
        None => return Err(BookError::End),
    };
    Ok(whole.into_iter().flat_map(|whole| whole.split('\n')))
}

/// What one content of a book changed.
#[derive(Clone, Debug, Default)]
struct Change {
    added: Addresses,
    removed: Addresses,
}

impl Change {
    /// From one file to the next: where their lines differ, and nothing else is read.
    fn between(chain: Chain, old: &[u8], new: &[u8]) -> Result<Self, BookError> {
        let (mut added, mut removed) = (Vec::new(), Vec::new());
        let (mut old, mut new) = (
            (1..).zip(lines(old)?).peekable(),
            (1..).zip(lines(new)?).peekable(),
        );
        loop {
            let side = match (old.peek(), new.peek()) {
                (None, None) => break,
                (Some((_, one)), Some((_, other))) => one.cmp(other),
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
            };
            let gone = old.next_if(|_| side != Ordering::Greater);
            let come = new.next_if(|_| side != Ordering::Less);
            if side == Ordering::Equal {
                continue;
            }
            if let Some((line, text)) = gone {
                removed.push(address(chain, text, line)?);
            }
            if let Some((line, text)) = come {
                added.push(address(chain, text, line)?);
            }
        }
        let of = |all| Addresses::distinct(all).map_err(|address| BookError::Twice { address });
        Ok(Self {
            added: of(added)?,
            removed: of(removed)?,
        })
    }
}

/// Whether a book that is loaded apart holds an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Held {
    /// Since longer than it cools.
    Surely,
    /// It was added or taken out while the book is still cooling, or nothing is known of the book.
    Cooling,
}

/// What a book holds by its newest content, and what was changed by those that are cooling.
#[derive(Clone, Debug)]
pub struct Shelf {
    newest: BookFile,
    /// By the sequences of the contents.
    changes: BTreeMap<u64, Change>,
}

impl Shelf {
    /// The shelf of a book that stands so; `read` gives the bytes of a file by its hash.
    ///
    /// # Errors
    /// What `read` gives; [`BookError`] where a file is not what the book says.
    pub fn fill<E: From<BookError>>(
        book: &BookState,
        read: impl Fn(Digest) -> Result<Vec<u8>, E>,
    ) -> Result<Self, E> {
        let bytes = read(book.file)?;
        let newest = BookFile::parse(book.chain, &bytes)?;
        newest.check(book.file, book.addresses)?;
        let mut changes = BTreeMap::new();
        let mut before = match book.base {
            Some(base) => Some(checked(base, &read)?),
            None => None,
        };
        for step in &book.steps {
            let file = checked(step.file, &read)?;
            // Where nothing has cooled yet, nothing is sure, whatever the first one added.
            let change = match &before {
                Some(before) => Change::between(book.chain, before, &file)?,
                None => Change::default(),
            };
            changes.insert(step.sequence, change);
            before = Some(file);
        }
        Ok(Self { newest, changes })
    }

    /// As [`Shelf::fill`], where this one is the shelf of the book as it stood before its newest content. That
    /// is read; of the others nothing is.
    ///
    /// # Errors
    /// [`BookError`].
    pub fn turned(
        &self,
        book: &BookState,
        newest: BookFile,
        (old, new): (&[u8], &[u8]),
    ) -> Result<Self, BookError> {
        let mut changes = self.changes.clone();
        let change = Change::between(book.chain, old, new)?;
        changes.insert(book.sequence, change);
        changes.retain(|sequence, _| book.steps.iter().any(|step| step.sequence == *sequence));
        Ok(Self { newest, changes })
    }

    /// Whether a book that stands so holds an address.
    pub(crate) fn holds(&self, book: &BookState, address: &Address) -> Option<Held> {
        let changes = book.steps.iter();
        let changes: Option<Vec<&Change>> = changes
            .map(|step| self.changes.get(&step.sequence))
            .collect();
        // Of another book, or of an older content of this one: nothing is known.
        let Some(changes) = changes.filter(|_| self.newest.hash == book.file) else {
            return Some(Held::Cooling);
        };
        let is_there = self.newest.addresses.contains(address);
        let was_added =
            book.base.is_none() || changes.iter().any(|one| one.added.contains(address));
        let was_there = changes.iter().any(|one| one.removed.contains(address));
        match (is_there, was_added, was_there) {
            (true, false, _) => Some(Held::Surely),
            (true, true, _) | (false, _, true) => Some(Held::Cooling),
            (false, _, false) => None,
        }
    }
}

fn checked<E: From<BookError>>(
    expected: Digest,
    read: impl Fn(Digest) -> Result<Vec<u8>, E>,
) -> Result<Vec<u8>, E> {
    let bytes = read(expected)?;
    let found = file_hash(&bytes);
    match found == expected {
        true => Ok(bytes),
        false => Err(BookError::Hash { expected, found }.into()),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;
    use tx::Time;

    use super::*;
    use crate::BookStep;

    const CHAIN: Chain = Chain::Evm(1);

    fn one(n: u8) -> Address {
        Address::evm(CHAIN, [n; 20]).unwrap()
    }

    fn text(content: &BTreeSet<u8>) -> Vec<u8> {
        let lines: BTreeSet<String> = content.iter().map(|n| format!("{}\n", one(*n))).collect();
        lines.into_iter().collect::<String>().into_bytes()
    }

    #[test]
    fn a_file_is_checked_by_its_hash_and_its_count() {
        let bytes = text(&BTreeSet::from([1, 2]));
        let file = BookFile::parse(CHAIN, &bytes).unwrap();
        assert!(file.check(file_hash(&bytes), 2).is_ok());
        let other = file.check(file_hash(b""), 2);
        assert!(matches!(other, Err(BookError::Hash { .. })), "{other:?}");
        let fewer = file.check(file_hash(&bytes), 1);
        assert!(
            matches!(
                fewer,
                Err(BookError::Count {
                    expected: 1,
                    found: 2
                })
            ),
            "{fewer:?}"
        );
    }

    #[test]
    fn a_file_has_a_longest_length() {
        let mut longest = vec![b'x'; BYTES_MAX - 1];
        longest.push(b'\n');
        assert_eq!(lines(&longest).unwrap().count(), 1);
        longest.push(b'\n');
        assert!(matches!(lines(&longest).err(), Some(BookError::TooLong)));
    }

    #[derive(Debug)]
    struct Failed;

    impl From<BookError> for Failed {
        fn from(_: BookError) -> Self {
            Self
        }
    }

    /// A book of these contents, of which the first one has cooled, if it is said so.
    fn standing(contents: &[BTreeSet<u8>], has_base: bool) -> BookState {
        let hash = |content: &BTreeSet<u8>| file_hash(&text(content));
        let (base, cooling) = match contents.split_first() {
            Some((first, rest)) if has_base => (Some(hash(first)), rest),
            _ => (None, contents),
        };
        let step = |(sequence, content)| BookStep {
            sequence,
            entry: sequence,
            file: hash(content),
            not_before: Time::default(),
            vetoed: sequence % 2 == 0,
        };
        let newest = contents.last().unwrap();
        BookState {
            chain: CHAIN,
            sequence: contents.len() as u64,
            file: hash(newest),
            addresses: newest.len() as u64,
            entry: 0,
            base,
            steps: (1..).zip(cooling).map(step).collect(),
        }
    }

    proptest! {
        #[test]
        fn what_is_sure_was_in_all_contents_and_what_may_be_in_one(
            contents in prop::collection::vec(prop::collection::btree_set(0..8_u8, 0..6), 1..6),
            has_base: bool,
        ) {
            let book = standing(&contents, has_base);
            let read = |hash| {
                let mut known = contents.iter().map(text);
                known.find(|text| file_hash(text) == hash).ok_or(Failed)
            };
            let shelf = Shelf::fill(&book, read).unwrap();
            for n in 0..8 {
                let in_all = contents.iter().all(|content| content.contains(&n));
                let in_one = contents.iter().any(|content| content.contains(&n));
                let held = match (in_all && has_base, in_one) {
                    (true, _) => Some(Held::Surely),
                    (false, true) => Some(Held::Cooling),
                    (false, false) => None,
                };
                prop_assert_eq!(shelf.holds(&book, &one(n)), held);
            }
        }

        #[test]
        fn a_file_changed_in_one_byte_is_another_or_none(
            content in prop::collection::btree_set(any::<u8>(), 1..6),
            at: prop::sample::Index,
            byte: u8,
        ) {
            let mut bytes = text(&content);
            let at = at.index(bytes.len());
            prop_assume!(bytes[at] != byte);
            let good = BookFile::parse(CHAIN, &bytes).unwrap();
            bytes[at] = byte;
            if let Ok(other) = BookFile::parse(CHAIN, &bytes) {
                prop_assert_ne!(other.hash, good.hash);
            }
        }
    }
}
