//! From a log's entries to the state that follows from them: what opening does, and an audit.

use std::sync::Arc;

use policy::{
    BundleHash, Digest, Entry, Policy, Record, Resumed, State, StateError, StateRoot,
    book::Shelf,
    statement::{Head, NewEpoch, Unseal},
};
use thiserror::Error;
use tlog::{TreeHead, checkpoint::Origin};
use tx::{Interval, Name};

use crate::{
    BookStore, RootError, Rooting,
    disk::Disk,
    roots::{Compared, FoldedLog, Home, Left, Quorums, Replayed, Thawed},
    segment::{LogId, Reader},
};

/// Where bundles that once governed are found again.
pub trait Bundles {
    /// The policy of the bundle with this hash.
    ///
    /// # Errors
    /// [`BundleError`] when it is not there or not what its hash says.
    fn load(&self, hash: BundleHash) -> Result<Arc<Policy>, BundleError>;

    /// The first bundle that governed, where it is pinned: a journal that begins with another one is
    /// another appliance's.
    fn first(&self) -> Option<BundleHash> {
        None
    }
}

/// A bundle that once governed is not there as it was.
#[derive(Debug, Error)]
#[error("bundle {hash} cannot be loaded: {reason}")]
pub struct BundleError {
    /// The bundle.
    pub hash: BundleHash,
    /// Why.
    pub reason: String,
}

/// Why an entry does not fold.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum FoldError {
    /// The body is no record of version 1.
    #[error("the entry is no record of a known version")]
    Form(#[source] serde_json::Error),
    /// The state does not take it.
    #[error("the entry does not follow from those before it")]
    State(#[source] StateError),
    /// The bundle it names is not there.
    #[error("the bundle that governed is not there")]
    Bundle(#[source] BundleError),
    /// The first bundle is not the one that is pinned.
    #[error(
        "the journal begins with bundle {found}, pinned is {pinned}: it is another appliance's"
    )]
    Foreign {
        /// The pinned one.
        pinned: BundleHash,
        /// The first of the journal.
        found: BundleHash,
    },
    /// A checkpoint is not of the entries before it.
    #[error("the entry says of the {size} entries before it a root that is not theirs")]
    CheckpointRoot {
        /// How many they are.
        size: u64,
    },
    /// A state root is not that of the entries it covers.
    #[error(
        "the entry says of the first {covers} entries another state root than follows from them"
    )]
    StateRoot {
        /// How many it covers.
        covers: u64,
    },
    /// What the entries came to could not be computed.
    #[error("the state root cannot be computed")]
    Root(#[source] RootError),
}

/// A fold over a log, from its first entry on.
pub struct Replay<'a> {
    state: State,
    bundles: &'a dyn Bundles,
    last: Option<Interval>,
    /// Of the last entry that time is counted from, or of one behind it.
    counted: Option<Interval>,
    /// Whether there is one since the last start.
    counts: bool,
    roots: Replayed,
    /// State roots that could not be computed, because an entry before them was passed over.
    unchecked: u64,
    /// How many entries are not folded: those of the snapshot.
    skipped: u64,
    /// What witnesses the bundles named, from the snapshot on.
    quorums: Quorums,
    /// Where the files of books are, for whoever decides on the state.
    books: Option<BookStore>,
}

/// What a writer goes on with.
pub(crate) struct Parts {
    pub(crate) state: State,
    pub(crate) left: Left,
    /// What witnesses the bundles named, from the snapshot on.
    pub(crate) quorums: Quorums,
}

/// The root of what officers let go on.
fn answered(resumed: &Resumed) -> Option<Digest> {
    let statement = Unseal::parse(&resumed.statement).ok()?;
    Some(statement.head.root)
}

/// What was there when officers began an epoch.
fn epoch_answers(began: &Resumed) -> Option<Head> {
    let statement = NewEpoch::parse(&began.statement).ok()?;
    Some(statement.head)
}

/// Whether a root is that of the entries before the one that says it.
fn check_root(said: Option<Digest>, before: TreeHead) -> Result<(), FoldError> {
    match said.is_some_and(|said| said.0 == *before.root.as_bytes()) {
        true => Ok(()),
        false => Err(FoldError::CheckpointRoot { size: before.size }),
    }
}

/// Whether the journal begins with the bundle that is pinned.
fn check_pinned(bundles: &dyn Bundles, state: &State) -> Result<(), FoldError> {
    match (bundles.first(), state.first_bundle()) {
        (Some(pinned), Some(found)) if pinned != found => Err(FoldError::Foreign { pinned, found }),
        _ => Ok(()),
    }
}

impl<'a> Replay<'a> {
    /// Before the first entry. What state roots are computed with is in a temporary folder.
    pub fn new(bundles: &'a dyn Bundles) -> Self {
        Self::at(bundles, Home::Apart, Rooting::default())
    }

    /// As [`Replay::new`], of a log that has its roots otherwise: for tests.
    pub fn rooted(bundles: &'a dyn Bundles, rooting: Rooting) -> Self {
        Self::at(bundles, Home::Apart, rooting)
    }

    /// With what state roots are computed with in a folder of its own: memory holds no more than a signer's
    /// does, whatever the log's length.
    #[must_use]
    pub fn kept_on(self, disk: Arc<dyn Disk>, log: LogId) -> Self {
        let roots = self.roots.kept_on(disk, log);
        Self { roots, ..self }
    }

    /// With the files of books, for whoever decides on the state: the fold itself hangs on none.
    #[must_use]
    pub fn with_books(self, books: BookStore) -> Self {
        let books = Some(books);
        Self { books, ..self }
    }

    pub(crate) fn at(bundles: &'a dyn Bundles, home: Home, rooting: Rooting) -> Self {
        Self {
            state: State::default(),
            bundles,
            last: None,
            counted: None,
            counts: false,
            roots: Replayed::new(home, rooting),
            unchecked: 0,
            skipped: 0,
            quorums: Quorums::default(),
            books: None,
        }
    }

    /// Behind a snapshot, whose entries are not folded.
    ///
    /// # Errors
    /// [`FoldError`]: the bundle that governed is not there or does not govern.
    pub(crate) fn behind(
        bundles: &'a dyn Bundles,
        home: Home,
        rooting: Rooting,
        thawed: Thawed,
    ) -> Result<Self, FoldError> {
        let Thawed {
            mut state,
            map,
            charges,
            content,
        } = thawed;
        if let Some(hash) = state.active() {
            check_pinned(bundles, &state)?;
            let policy = bundles.load(hash).map_err(FoldError::Bundle)?;
            state.activate(policy).map_err(FoldError::State)?;
        }
        let mut replay = Self {
            state,
            bundles,
            last: content.hot.time(),
            counted: content.hot.time(),
            // It may be so.
            counts: true,
            roots: Replayed::behind(home, rooting, (map, charges), &content),
            unchecked: 0,
            skipped: content.covers(),
            quorums: Quorums::default(),
            books: None,
        };
        replay.note_quorum(content.covers());
        Ok(replay)
    }

    /// That the bundle of the state governs the entries from this one on.
    fn note_quorum(&mut self, from: u64) {
        let policy = self.state.policy();
        self.quorums.note(from, policy.map(|policy| &**policy));
    }

    /// As [`Replay::take`], of the next entry that is read: what the snapshot covers is passed.
    ///
    /// # Errors
    /// [`FoldError`].
    pub(crate) fn read(
        &mut self,
        index: u64,
        body: &[u8],
        before: impl FnOnce() -> TreeHead,
    ) -> Result<(), FoldError> {
        match index < self.skipped {
            true => Ok(()),
            false => self.take(index, body, before).map(drop),
        }
    }

    /// Takes the next entry, and gives what it records. `before` is the tree of all entries before it.
    ///
    /// # Errors
    /// [`FoldError`]: the state counts for nothing then.
    pub fn take(
        &mut self,
        index: u64,
        body: &[u8],
        before: impl FnOnce() -> TreeHead,
    ) -> Result<Record, FoldError> {
        let record: Record = serde_json::from_slice(body).map_err(FoldError::Form)?;
        #[cfg(test)]
        let record = crate::defect::forgotten(record);
        let recalled = self.roots.recall(&mut self.state, &record.entry);
        recalled.map_err(FoldError::Root)?;
        self.state.apply(index, &record).map_err(FoldError::State)?;
        match &record.entry {
            Entry::PolicyActivated { hash, .. } => {
                check_pinned(self.bundles, &self.state)?;
                let policy = self.bundles.load(*hash).map_err(FoldError::Bundle)?;
                self.state.activate(policy).map_err(FoldError::State)?;
                self.note_quorum(index.saturating_add(1));
            }
            Entry::BookLoaded(loaded) => self.shelve(&loaded.book),
            Entry::Checkpoint(said) => check_root(Some(said.root), before())?,
            Entry::Resumed(resumed) => check_root(answered(resumed), before())?,
            Entry::StateRoot(said) => self.check_state(index, said)?,
            Entry::EpochBegan(began) => match epoch_answers(began) {
                // What is new was begun where nothing was.
                Some(head) if head.size == 0 => {}
                answered => check_root(answered.map(|head| head.root), before())?,
            },
            _ => {}
        }
        #[cfg(test)]
        {
            let governs = matches!(record.entry, Entry::PolicyActivated { .. });
            let policy = self.state.policy().filter(|_| governs);
            crate::defect::folded(index, &record, policy);
        }
        let taken = self.roots.take(&mut self.state, index, &record.entry);
        taken.map_err(FoldError::Root)?;
        let kept = self.roots.keep_charges(&mut self.state);
        kept.map_err(FoldError::Root)?;
        self.last = Some(record.time);
        self.note_counted(&record);
        Ok(record)
    }

    /// A wall clock that was set forward was behind before, and with it the latest time of what was written in
    /// that run.
    fn note_counted(&mut self, record: &Record) {
        let is_counted = match &record.entry {
            Entry::Started { .. } => {
                self.counts = false;
                false
            }
            Entry::ClockJump { millis } => *millis > 0 && self.counts,
            entry => entry.is_counted_from(),
        };
        if is_counted {
            (self.counted, self.counts) = (Some(record.time), true);
        }
    }

    /// What a book holds from here on. Where a file is not there, nothing is sure of the book.
    fn shelve(&mut self, name: &Name) {
        let (Some(books), Some(book)) = (&self.books, self.state.book(name)) else {
            return;
        };
        if let Ok(shelf) = Shelf::fill(book, |hash| books.file(hash)) {
            self.state.shelve(name.clone(), Arc::new(shelf));
        }
    }

    /// Counts the next entry, of which only the leaf is known.
    pub fn pass_over(&mut self) {
        self.state.pass_over();
        self.roots.pass_over();
    }

    /// A root that could not be computed says nothing.
    fn check_state(&mut self, index: u64, said: &StateRoot) -> Result<(), FoldError> {
        match self.roots.compare(index, said) {
            Compared::Same => Ok(()),
            Compared::Unknown => {
                self.unchecked = self.unchecked.saturating_add(1);
                Ok(())
            }
            Compared::Another => Err(FoldError::StateRoot {
                covers: said.covers,
            }),
        }
    }

    /// How many state roots could not be held against the entries, because one was passed over.
    pub const fn unchecked_roots(&self) -> u64 {
        self.unchecked
    }

    /// How many entries the snapshot covers that the fold began behind: none without one.
    pub(crate) const fn skipped(&self) -> u64 {
        self.skipped
    }

    /// What the log says of the snapshot that the fold began behind.
    pub(crate) fn folded_log<'f>(
        &'f self,
        reader: &'f Reader,
        origin: &'f Origin,
    ) -> FoldedLog<'f> {
        FoldedLog {
            reader,
            origin,
            state: &self.state,
            root: self.roots.first(),
            quorums: &self.quorums,
        }
    }

    /// The first state root that follows from the entries and is not among them.
    pub fn due(&self) -> Option<StateRoot> {
        self.roots.due()
    }

    /// What follows from the entries so far.
    pub const fn state(&self) -> &State {
        &self.state
    }

    /// The time of the last entry.
    pub(crate) const fn last(&self) -> Option<Interval> {
        self.last
    }

    /// The time of the last entry that time is counted from.
    pub(crate) const fn counted(&self) -> Option<Interval> {
        self.counted
    }

    pub(crate) fn into_state(self) -> State {
        self.state
    }

    /// # Errors
    /// [`RootError`].
    pub(crate) fn into_parts(self) -> Result<Parts, RootError> {
        Ok(Parts {
            state: self.state,
            left: self.roots.left()?,
            quorums: self.quorums,
        })
    }
}
