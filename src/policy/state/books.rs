//! How the books stand that are loaded apart from the bundle.
//!
//! A content of a book cools from when it is loaded. An address that one of the cooling contents added, or took
//! out, is cooling itself: it is taken to be in the book where that allows less, and not to be in it elsewhere.
//! Once a content has cooled, what it and those before it changed is as it says.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tx::{Address, Chain, Name, Time};

use super::{State, StateError};
use crate::{
    BookApart, BookLoaded, BookVetoed, Digest, Policy,
    book::{Held, Shelf},
    statement::{BookUpdate, BookVeto, StatementError},
};

/// The most contents of a book that are cooling at once.
const STEPS_MAX: usize = 64;

/// A book that was loaded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BookState {
    /// The chain of its addresses.
    pub chain: Chain,
    /// The sequence of the newest content.
    pub sequence: u64,
    /// SHA-256 of its file.
    pub file: Digest,
    /// How many addresses that has.
    pub addresses: u64,
    /// The entry that loaded it.
    pub entry: u64,
    /// SHA-256 of the file of the last content that has cooled, if one has.
    pub base: Option<Digest>,
    /// The contents after that, oldest first; the last one is the newest.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<BookStep>,
}

/// A content of a book that is cooling.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BookStep {
    /// Its sequence.
    pub sequence: u64,
    /// The entry that loaded it.
    pub entry: u64,
    /// SHA-256 of its file.
    pub file: Digest,
    /// The `lo` from which on it has cooled.
    pub not_before: Time,
    /// Whether an officer vetoed it: it does not cool, and what it changed is cooling until a later one has.
    pub vetoed: bool,
}

impl BookState {
    /// The newest of the contents that may count as cooled at `lo`.
    fn due(&self, lo: Time) -> Option<u64> {
        let steps = self.steps.iter().rev();
        let mut due = steps.filter(|step| !step.vetoed && step.not_before <= lo);
        due.next().map(|step| step.sequence)
    }

    fn step(&self, sequence: u64) -> Option<&BookStep> {
        self.steps.iter().find(|step| step.sequence == sequence)
    }

    /// The files that say what is in it: the newest one, the last that has cooled, and those since.
    pub fn files(&self) -> impl Iterator<Item = Digest> {
        let steps = self.steps.iter().map(|step| step.file);
        self.base.into_iter().chain(steps).chain([self.file])
    }
}

impl State {
    /// The books that were loaded, by their names.
    pub fn books(&self) -> impl Iterator<Item = (&Name, &BookState)> {
        self.books.iter()
    }

    /// How a book stands; `None` before its first content.
    pub fn book(&self, book: &Name) -> Option<&BookState> {
        self.books.get(book)
    }

    /// The contents that have cooled by now and do not count so yet.
    pub fn cooled(&self, lo: Time) -> Vec<(Name, u64)> {
        let lo = self.lo.max(lo);
        let books = self.books.iter();
        let due = books.filter_map(|(name, book)| Some((name.clone(), book.due(lo)?)));
        due.collect()
    }

    /// Puts there what a book holds: it was read from the files that the book names.
    pub fn shelve(&mut self, book: Name, shelf: Arc<Shelf>) {
        self.shelves.insert(book, shelf);
    }

    /// What a book holds, where it is there.
    pub fn shelf(&self, book: &Name) -> Option<Arc<Shelf>> {
        self.shelves.get(book).cloned()
    }

    /// Whether what a book holds is there.
    pub fn is_shelved(&self, book: &Name) -> bool {
        self.shelves.contains_key(book)
    }

    /// Whether a book holds an address. Of one that was never loaded, or whose files are not there, nothing is
    /// sure.
    pub(crate) fn book_holds(
        &self,
        name: &Name,
        apart: &BookApart,
        address: &Address,
    ) -> Option<Held> {
        if address.chain() != apart.chain {
            return None;
        }
        if let Some(told) = &self.told {
            return told.holds(name, address);
        }
        let book = self
            .books
            .get(name)
            .filter(|book| book.chain == apart.chain);
        match book.zip(self.shelves.get(name)) {
            Some((book, shelf)) => shelf.holds(book, address),
            None => Some(Held::Cooling),
        }
    }

    /// The `lo` from which on a content has cooled that is loaded now; `None` where the bundle does not say so.
    pub fn cools_until(&self, lo: Time, book: &Name) -> Option<Time> {
        let apart = self.policy()?.book_apart(book)?;
        Some(cools_until(self.lo.max(lo), apart))
    }

    pub(super) fn load_book(&mut self, entry: u64, lo: Time, loaded: &BookLoaded) {
        let step = BookStep {
            sequence: loaded.sequence,
            entry,
            file: loaded.file,
            not_before: loaded.not_before,
            vetoed: false,
        };
        let known = self.books.remove(&loaded.book);
        let known = known.filter(|known| known.chain == loaded.chain);
        let (base, mut steps) = known.map_or((None, Vec::new()), |known| (known.base, known.steps));
        steps.push(step);
        let book = BookState {
            chain: loaded.chain,
            sequence: loaded.sequence,
            file: loaded.file,
            addresses: loaded.addresses,
            entry,
            base,
            steps,
        };
        self.books.insert(loaded.book.clone(), book);
        if loaded.not_before <= lo {
            self.cool_book(&loaded.book, loaded.sequence);
        }
    }

    /// What this content and those before it changed is as it says.
    pub(super) fn cool_book(&mut self, book: &Name, sequence: u64) {
        if let Some(book) = self.books.get_mut(book) {
            book.base = book.step(sequence).map(|step| step.file).or(book.base);
            book.steps.retain(|step| step.sequence > sequence);
        }
    }

    pub(super) fn veto_book(&mut self, book: &Name, sequence: u64) {
        let book = self.books.get_mut(book);
        let steps = book.into_iter().flat_map(|book| &mut book.steps);
        for step in steps.filter(|step| step.sequence == sequence) {
            step.vetoed = true;
        }
    }

    /// By what it says, and who signed it. That the file is the one is for whoever has it to know.
    pub(super) fn validate_loaded(&self, lo: Time, loaded: &BookLoaded) -> Result<(), StateError> {
        let by = &loaded.by;
        let statement = BookUpdate::parse(&by.statement).map_err(StateError::Book)?;
        if statement.hash() != by.hash || !says(&statement, loaded) {
            return Err(StateError::Statement);
        }
        if self.fleet.as_ref() != Some(&statement.fleet) {
            return Err(StateError::Book(StatementError::Fleet));
        }
        self.check_sequence(&statement).map_err(StateError::Book)?;
        let known = self.books.get(&loaded.book);
        if known.is_some_and(|known| known.steps.len() >= STEPS_MAX) {
            return Err(StateError::BooksFull { most: STEPS_MAX });
        }
        // A fold without bundles, which signs nothing, takes the entry's word for it.
        let Some(policy) = self.policy() else {
            return Ok(());
        };
        validate_signed(lo, policy, (&statement, loaded))
    }

    /// Whether an update is the next one of its book.
    ///
    /// # Errors
    /// [`StatementError::BookSequence`].
    pub fn check_sequence(&self, update: &BookUpdate) -> Result<(), StatementError> {
        let found = self.books.get(&update.book).map_or(0, |book| book.sequence);
        let said = update.replaces;
        match said == found && said < u64::MAX {
            true => Ok(()),
            false => Err(StatementError::BookSequence { said, found }),
        }
    }

    pub(super) fn validate_cooled(
        &self,
        lo: Time,
        book: &Name,
        sequence: u64,
    ) -> Result<(), StateError> {
        let step = self.books.get(book).and_then(|book| book.step(sequence));
        match step.filter(|step| !step.vetoed) {
            Some(step) if lo < step.not_before => {
                let not_before = step.not_before;
                Err(StateError::Early { not_before })
            }
            Some(_) => Ok(()),
            None => Err(not_cooling(book, sequence)),
        }
    }

    /// By what it says, and that an officer signed it.
    pub(super) fn validate_book_vetoed(&self, vetoed: &BookVetoed) -> Result<(), StateError> {
        let (by, sequence) = (&vetoed.by, vetoed.sequence);
        let statement = BookVeto::parse(&by.statement).map_err(StateError::Book)?;
        if statement.hash() != by.hash || statement.book != vetoed.book {
            return Err(StateError::Statement);
        }
        if self.fleet.as_ref() != Some(&statement.fleet) {
            return Err(StateError::Book(StatementError::Fleet));
        }
        let book = self.books.get(&vetoed.book);
        let step = book.and_then(|book| book.step(sequence));
        if step.is_none_or(|step| step.vetoed || step.entry != statement.entry) {
            return Err(not_cooling(&vetoed.book, sequence));
        }
        let Some(policy) = self.policy() else {
            return Ok(());
        };
        let signed_by = statement.signed_by(&by.signatures, policy);
        match signed_by.map_err(StateError::Book)? == by.signed_by {
            true => Ok(()),
            false => Err(StateError::Statement),
        }
    }
}

fn validate_signed(
    lo: Time,
    policy: &Policy,
    (statement, loaded): (&BookUpdate, &BookLoaded),
) -> Result<(), StateError> {
    let apart = statement.apart(policy).map_err(StateError::Book)?;
    let (said, must) = (loaded.not_before, cools_until(lo, apart));
    if said != must {
        return Err(StateError::Delay { said, must });
    }
    let signed_by = statement.signed_by(&loaded.by.signatures, policy);
    match signed_by.map_err(StateError::Book)? == loaded.by.signed_by {
        true => Ok(()),
        false => Err(StateError::Statement),
    }
}

/// Whether the entry repeats what its statement says.
fn says(statement: &BookUpdate, loaded: &BookLoaded) -> bool {
    statement.book == loaded.book
        && statement.chain == loaded.chain
        && statement.sequence() == loaded.sequence
        && statement.file == loaded.file
        && statement.addresses == loaded.addresses
}

fn cools_until(lo: Time, apart: &BookApart) -> Time {
    lo.after_millis(apart.cooling_millis)
}

fn not_cooling(book: &Name, sequence: u64) -> StateError {
    StateError::NotCooling {
        book: book.clone(),
        sequence,
    }
}
