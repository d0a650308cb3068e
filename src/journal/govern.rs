//! What officers decide about: which bundle governs, which one waits, what is frozen.

use std::{collections::BTreeSet, sync::Arc};

use policy::{
    BookLoaded, BundleQuorum, Entry, FreezeScope, PolicyProposed, Resumed, RowKey, State,
    StateError, Unfrozen, book::Shelf, statement::StatementError,
};
use tx::{Name, Time};

#[cfg(test)]
use crate::defect;
use crate::{
    Activation, Reply,
    command::Stopped,
    group::{OpenGroup, Untaken},
    writer::stopped,
};

/// What is asked of the writer about it.
pub(crate) enum Governing {
    /// A bundle shall govern.
    Activate(Activation, Reply<Result<Result<(), String>, Stopped>>),
    /// A bundle shall wait.
    Propose(
        Activation,
        BundleQuorum,
        Reply<Result<Result<Time, String>, Stopped>>,
    ),
    /// A book shall have another content; from when on it has cooled, is for the writer to say.
    LoadBook {
        loaded: Box<BookLoaded>,
        shelf: Arc<Shelf>,
        reply: Reply<Result<Result<Time, StateError>, Stopped>>,
    },
    /// What a book holds that was loaded before.
    Shelve {
        book: Name,
        shelf: Arc<Shelf>,
        reply: Reply<Result<(), Stopped>>,
    },
    /// An entry with a statement of people, which the state verifies; answers its index.
    Stated(Box<Entry>, Reply<Result<Result<u64, StateError>, Stopped>>),
    /// A scope shall be frozen no longer.
    Unfreeze {
        scope: FreezeScope,
        by: Box<Resumed>,
        reply: Reply<Result<Result<Lifted, StateError>, Stopped>>,
    },
}

impl Governing {
    /// Whether it freezes.
    pub(crate) fn freezes(&self) -> bool {
        matches!(self, Self::Stated(entry, _) if matches!(**entry, Entry::FrozenBy(_)))
    }

    /// The rows that it hangs on.
    pub(crate) fn reads(&self) -> BTreeSet<RowKey> {
        match self {
            Self::Stated(entry, _) => RowKey::read_by(entry).into_iter().collect(),
            _ => BTreeSet::new(),
        }
    }

    /// Answers that nothing is taken any more.
    pub(crate) fn refuse(self, stopped: Stopped) {
        match self {
            Self::Activate(_, reply) => reply.send(Err(stopped)),
            Self::Propose(_, _, reply) => reply.send(Err(stopped)),
            Self::LoadBook { reply, .. } => reply.send(Err(stopped)),
            Self::Shelve { reply, .. } => reply.send(Err(stopped)),
            Self::Stated(_, reply) => reply.send(Err(stopped)),
            Self::Unfreeze { reply, .. } => reply.send(Err(stopped)),
        }
    }
}

pub(crate) fn govern(
    state: &mut State,
    group: &mut OpenGroup,
    asked: Governing,
) -> Result<(), Stopped> {
    match asked {
        Governing::Activate(activation, reply) => {
            let activated = activate(state, group, activation);
            group.answer(reply, activated)
        }
        Governing::Propose(activation, quorum, reply) => {
            let proposed = propose(state, group, activation, quorum);
            group.answer(reply, proposed)
        }
        Governing::LoadBook {
            loaded,
            shelf,
            reply,
        } => {
            let cooled = load_book(state, group, *loaded, shelf);
            group.answer(reply, cooled)
        }
        Governing::Shelve { book, shelf, reply } => {
            state.shelve(book, shelf);
            reply.send(Ok(()));
            Ok(())
        }
        Governing::Stated(entry, reply) => {
            let taken = stated(state, group, *entry);
            group.answer(reply, taken)
        }
        Governing::Unfreeze { scope, by, reply } => {
            let lifted = unfreeze(state, group, scope, *by);
            group.answer(reply, lifted)
        }
    }
}

/// A bundle that the state does not take changes nothing; of two that were verified at the same
/// time, the older one is such a bundle.
fn activate(
    state: &mut State,
    group: &mut OpenGroup,
    activation: Activation,
) -> Result<Result<(), String>, Stopped> {
    let Activation { policy, signed_by } = activation;
    if let Err(error) = state.check_activation(&policy) {
        return Ok(Err(error.to_string()));
    }
    let entry = Entry::PolicyActivated {
        hash: policy.hash,
        sequence: policy.sequence,
        signed_by,
    };
    let expected = state.entries();
    match group.offer(state, entry)? {
        Ok(_) => {}
        Err(Untaken::State(error)) => return Ok(Err(error.to_string())),
        Err(untaken) => return Err(untaken.stops(expected)),
    }
    state
        .activate(Arc::clone(&policy))
        .map_err(|error| stopped(&error))?;
    #[cfg(test)]
    defect::governs(&policy);
    Ok(Ok(()))
}

/// A bundle that must wait; answers until when. Whether it could govern then is looked at before: nobody
/// waits for what will not be taken.
fn propose(
    state: &mut State,
    group: &mut OpenGroup,
    activation: Activation,
    quorum: BundleQuorum,
) -> Result<Result<Time, String>, Stopped> {
    let Activation { policy, signed_by } = activation;
    let checked = state.check_proposal(&policy, quorum);
    let Some(not_before) = state.waits_until(group.now.lo, quorum) else {
        return Ok(Err("no bundle governs yet that lets it wait".into()));
    };
    if let Err(error) = checked {
        return Ok(Err(error.to_string()));
    }
    let entry = Entry::PolicyProposed(PolicyProposed {
        hash: policy.hash,
        sequence: policy.sequence,
        signed_by,
        not_before,
        quorum,
    });
    let taken = stated(state, group, entry)?;
    Ok(taken
        .map(|_entry| not_before)
        .map_err(|error| error.to_string()))
}

/// Gives a book another content; answers from when on it has cooled. What it holds is put there with the entry:
/// no request is decided between the two.
fn load_book(
    state: &mut State,
    group: &mut OpenGroup,
    loaded: BookLoaded,
    shelf: Arc<Shelf>,
) -> Result<Result<Time, StateError>, Stopped> {
    let book = loaded.book.clone();
    let Some(not_before) = state.cools_until(group.now.lo, &book) else {
        return Ok(Err(StateError::Book(StatementError::Book { book })));
    };
    let loaded = BookLoaded {
        not_before,
        ..loaded
    };
    let taken = stated(state, group, Entry::BookLoaded(Box::new(loaded)))?;
    Ok(taken.map(|_entry| {
        state.shelve(book, shelf);
        not_before
    }))
}

/// A freeze that is lifted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lifted {
    /// The entry that says so.
    pub entry: u64,
    /// From this time on, by `lo`, it is.
    pub from: Time,
}

/// Lifts a freeze.
fn unfreeze(
    state: &mut State,
    group: &mut OpenGroup,
    scope: FreezeScope,
    by: Resumed,
) -> Result<Result<Lifted, StateError>, Stopped> {
    let Some(from) = state.frozen_until(group.now.lo) else {
        return Ok(Err(StateError::NotFrozen));
    };
    let unfrozen = Unfrozen { scope, from, by };
    let taken = stated(state, group, Entry::Unfrozen(Box::new(unfrozen)))?;
    Ok(taken.map(|entry| Lifted { entry, from }))
}

/// An entry that the state may refuse: then nothing changed. Gives its index.
fn stated(
    state: &mut State,
    group: &mut OpenGroup,
    entry: Entry,
) -> Result<Result<u64, StateError>, Stopped> {
    let expected = state.entries();
    match group.offer(state, entry)? {
        Ok(entry) => Ok(Ok(entry)),
        Err(Untaken::State(error)) => Ok(Err(error)),
        Err(untaken) => Err(untaken.stops(expected)),
    }
}
