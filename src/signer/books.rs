//! Books that are loaded apart from the bundle: new contents by the signatures of those whom the running bundle
//! names, and what they hold after a start.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use journal::{BookFileError, BookStore, Journal, read_book};
use policy::{
    BookLoaded, BookState, BookStep, Policy, Resumed, StateError,
    book::{BookError, BookFile, Shelf},
    statement::{BookUpdate, StatementError},
};
use thiserror::Error;
use tx::{Name, Time};

use crate::{config::Config, log, service::ask, verbs::governance::SIGNATURES_MAX_BYTES};

/// Why a book that is offered is not loaded.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum BooksError {
    /// A file cannot be read or kept, or is not the one that was signed.
    #[error("the file cannot be used")]
    File(#[source] BookFileError),
    /// What was signed counts for nothing.
    #[error("the statement is refused")]
    Statement(#[source] StatementError),
    /// The state does not take it.
    #[error("the book does not fit the journal")]
    State(#[source] StateError),
    /// The journal does not answer.
    #[error("the journal does not take the book: {0}")]
    Journal(String),
}

impl BooksError {
    /// A stable name, with which the journal says why a book is not loaded.
    pub fn name(&self) -> &'static str {
        match self {
            Self::File(BookFileError::Book(error)) => match error {
                BookError::Hash { .. } => "book-file-changed",
                BookError::Count { .. } => "book-count",
                _ => "book-file",
            },
            Self::File(_) => "book-folder",
            Self::Statement(error) | Self::State(StateError::Book(error)) => error.book_name(),
            Self::State(_) => "book-not-taken",
            Self::Journal(_) => "journal-stopped",
        }
    }

    /// Whether what is offered is what is wrong.
    fn is_of_the_book(&self) -> bool {
        match self {
            Self::File(error) => matches!(error, BookFileError::Book(_)),
            Self::Statement(_) | Self::State(_) => true,
            Self::Journal(_) => false,
        }
    }
}

/// What is offered of a book, in the configured folder.
struct Offered {
    update: BookUpdate,
    statement: String,
    signatures: String,
    file: PathBuf,
}

impl Offered {
    /// `None` where there is no statement of the book.
    fn read(folder: &Path, book: &Name) -> Result<Option<Self>, BooksError> {
        let statement = folder.join(format!("{book}.statement"));
        if !statement.exists() {
            return Ok(None);
        }
        let text = |path: &Path, most: usize| {
            let bytes = read_book(path).map_err(BooksError::File)?;
            match bytes.len() <= most {
                true => Ok(String::from_utf8_lossy(&bytes).into_owned()),
                false => Err(BooksError::Statement(StatementError::TooLong {
                    bytes_max: most,
                })),
            }
        };
        let statement = text(&statement, BookUpdate::BYTES_MAX)?;
        let update = BookUpdate::parse(&statement).map_err(BooksError::Statement)?;
        let signatures = folder.join(format!("{book}.statement.sig"));
        Ok(Some(Self {
            signatures: text(&signatures, SIGNATURES_MAX_BYTES)?,
            file: folder.join(format!("{book}.txt")),
            statement,
            update,
        }))
    }

    /// Whether it is what the book has already.
    fn is_loaded(&self, book: Option<&BookState>) -> bool {
        let (update, book) = (&self.update, book);
        book.is_some_and(|book| book.sequence == update.sequence() && book.file == update.file)
    }

    /// Who signed it, if they are enough by the running policy: before the file is read, since a parser is a
    /// larger door.
    fn verified(&self, name: &Name, policy: &Policy) -> Result<Resumed, BooksError> {
        if self.update.book != *name {
            let book = self.update.book.clone();
            return Err(BooksError::Statement(StatementError::Book { book }));
        }
        let signed_by = self.update.signed_by(&self.signatures, policy);
        Ok(Resumed {
            hash: self.update.hash(),
            statement: self.statement.clone(),
            signatures: self.signatures.clone(),
            signed_by: signed_by.map_err(BooksError::Statement)?,
        })
    }
}

/// Loads what is offered of each book that the running bundle lets be loaded apart, and was not loaded yet. A book
/// that is refused stays as it was, and the journal says why. Answers whether nothing was refused.
pub async fn adopt(journal: &Journal, config: &Config) -> bool {
    let mut all_good = shelve(journal, &BookStore::of(&config.data)).await;
    let (Some(folder), Some(policy)) = (&config.books, running(journal)) else {
        return all_good;
    };
    let books = policy.books.iter().filter(|(_, book)| book.apart.is_some());
    for (name, _) in books {
        if let Err(error) = take(journal, config, (folder, name), &policy).await {
            all_good = false;
            let why = log::chain(&error);
            tracing::error!(book = %name, error = %why, "the book stays as it was");
            if error.is_of_the_book() {
                refused(journal, format!("{}: {name}: {why}", error.name())).await;
            }
        }
    }
    all_good
}

fn running(journal: &Journal) -> Option<Arc<Policy>> {
    journal.state().policy().cloned()
}

async fn refused(journal: &Journal, reason: String) {
    let said = ask(|reply| {
        journal.policy_refused(reason, reply);
        Ok(())
    });
    if let Err(problem) = said.await {
        tracing::error!(detail = problem.detail, "the journal does not say so");
    }
}

async fn take(
    journal: &Journal,
    config: &Config,
    (folder, name): (&Path, &Name),
    policy: &Policy,
) -> Result<(), BooksError> {
    let Some(offered) = Offered::read(folder, name)? else {
        return Ok(());
    };
    let store = BookStore::of(&config.data);
    let (known, is_shelved) = {
        let state = journal.state();
        (state.book(name).cloned(), state.is_shelved(name))
    };
    if offered.is_loaded(known.as_ref()) {
        // Its file may have been lost: this is the same one, or is refused.
        return match is_shelved {
            true => Ok(()),
            false => mend(journal, (&store, name), &offered).await,
        };
    }
    let by = offered.verified(name, policy)?;
    let checked = journal.state().check_sequence(&offered.update);
    checked.map_err(BooksError::Statement)?;
    let previous = journal.state().shelf(name);
    let update = offered.update.clone();
    let supposed = supposed(known.clone(), &update);
    let file = offered.file.clone();
    let shelf = apart(move || {
        let bytes = kept(&store, &file, &update)?;
        let newest = BookFile::parse(update.chain, &bytes)?;
        newest.check(update.file, update.addresses)?;
        match known.zip(previous) {
            Some((known, previous)) if known.chain == update.chain => {
                let old = store.file(known.file)?;
                Ok(previous.turned(&supposed, newest, (&old, &bytes))?)
            }
            _ => Shelf::fill(&supposed, |hash| store.file(hash)),
        }
    });
    let shelf = Arc::new(shelf.await?);
    load(journal, (name, shelf), &offered.update, by).await
}

/// The file that was signed, kept before anything names it.
fn kept(store: &BookStore, path: &Path, update: &BookUpdate) -> Result<Vec<u8>, BookFileError> {
    let bytes = read_book(path)?;
    let found = policy::book::file_hash(&bytes);
    if found != update.file {
        let expected = update.file;
        return Err(BookError::Hash { expected, found }.into());
    }
    store.keep(&bytes)?;
    Ok(bytes)
}

/// Reading a million addresses takes a second: on a thread of its own.
async fn apart<T: Send + 'static>(
    read: impl FnOnce() -> Result<T, BookFileError> + Send + 'static,
) -> Result<T, BooksError> {
    let read = tokio::task::spawn_blocking(read).await;
    let read = read.map_err(|error| BooksError::Journal(error.to_string()))?;
    read.map_err(BooksError::File)
}

/// The book as it stands once the update is loaded, as far as its shelf hangs on that.
fn supposed(known: Option<BookState>, update: &BookUpdate) -> BookState {
    let known = known.filter(|known| known.chain == update.chain);
    let (base, mut steps) = known.map_or((None, Vec::new()), |known| (known.base, known.steps));
    steps.push(BookStep {
        sequence: update.sequence(),
        entry: 0,
        file: update.file,
        not_before: Time::default(),
        vetoed: false,
    });
    BookState {
        chain: update.chain,
        sequence: update.sequence(),
        file: update.file,
        addresses: update.addresses,
        entry: 0,
        base,
        steps,
    }
}

async fn load(
    journal: &Journal,
    (name, shelf): (&Name, Arc<Shelf>),
    update: &BookUpdate,
    by: Resumed,
) -> Result<(), BooksError> {
    let loaded = BookLoaded {
        book: name.clone(),
        chain: update.chain,
        sequence: update.sequence(),
        file: update.file,
        addresses: update.addresses,
        not_before: Time::default(),
        by,
    };
    let taken = ask(|reply| {
        journal.load_book(loaded, shelf, reply);
        Ok(())
    });
    let taken = taken
        .await
        .map_err(|problem| BooksError::Journal(problem.detail))?;
    let not_before = taken.map_err(BooksError::State)?;
    let (sequence, addresses) = (update.sequence(), update.addresses);
    tracing::info!(book = %name, sequence, addresses, %not_before, "a book is loaded");
    Ok(())
}

/// Keeps the file of what is loaded already once more, and puts there what the book holds.
async fn mend(
    journal: &Journal,
    (store, name): (&BookStore, &Name),
    offered: &Offered,
) -> Result<(), BooksError> {
    let (keeper, file, update) = (store.clone(), offered.file.clone(), offered.update.clone());
    apart(move || kept(&keeper, &file, &update).map(drop)).await?;
    shelve_one(journal, store, name).await
}

/// Puts there what each book of the running bundle holds that was loaded and is not there. Of one whose files are
/// gone or damaged nothing is sure until they are back. Answers whether all are there.
async fn shelve(journal: &Journal, store: &BookStore) -> bool {
    let Some(policy) = running(journal) else {
        return true;
    };
    let missing: Vec<Name> = {
        let state = journal.state();
        let books = state.books().map(|(name, _)| name);
        let missing =
            books.filter(|name| policy.book_apart(name).is_some() && !state.is_shelved(name));
        missing.cloned().collect()
    };
    let mut all_there = true;
    for name in missing {
        if let Err(error) = shelve_one(journal, store, &name).await {
            all_there = false;
            let why = log::chain(&error);
            tracing::error!(book = %name, error = %why, "nothing is sure of the book");
        }
    }
    all_there
}

async fn shelve_one(journal: &Journal, store: &BookStore, name: &Name) -> Result<(), BooksError> {
    let Some(book) = journal.state().book(name).cloned() else {
        return Ok(());
    };
    let store = store.clone();
    let shelf = apart(move || Shelf::fill(&book, |hash| store.file(hash))).await?;
    let shelved = ask(|reply| {
        journal.shelve(name.clone(), Arc::new(shelf), reply);
        Ok(())
    });
    shelved
        .await
        .map_err(|problem| BooksError::Journal(problem.detail))
}

/// Says of the contents of books that have cooled that they have.
pub async fn cool(journal: &Journal) {
    let cooled = journal.state().cooled(journal.now().lo);
    for (book, sequence) in cooled {
        let said = ask(|reply| {
            journal.cool_book(book.clone(), sequence, reply);
            Ok(())
        });
        match said.await {
            Ok(Ok(_)) => tracing::info!(%book, sequence, "a book has cooled"),
            Ok(Err(error)) => tracing::error!(%book, error = %error, "the book does not cool"),
            Err(problem) => {
                tracing::error!(%book, detail = problem.detail, "the book does not cool")
            }
        }
    }
}
