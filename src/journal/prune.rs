//! Pruning: the bodies and salts of old entries are removed, by a statement of officers who say that they
//! are kept elsewhere.
//!
//! What goes are whole segments of the log. Their leaves stay, in the files of the tree, so that every entry
//! can still be proved to be in the log; and what follows from them stays, in the map and the charges that a
//! state root binds. Without them the log alone does not say what the state is any longer: a start needs the
//! snapshot. So everything that the snapshot names is read and verified first, and the leaves of what goes
//! are made durable. Then, each durable before the next, the entry [`Entry::Pruned`] is written, and the
//! files are removed, the oldest first; what a crash leaves of them goes at the next start.

use std::{path::Path, sync::Arc};

use policy::{
    Digest, Pruned, Resumed, State, StateError,
    statement::{Head, Prune, StatementError},
};
use thiserror::Error;
use tlog::{Hash, NodeId, NodeSource, ProveError, TreeHead, checkpoint::Origin, root_at};
use tx::Time;

use crate::{
    Bodies, Bundles, Clock, EntryError, OpenJournalError, Opening, ReadError, SnapshotUse, Tree,
    command::{Reply, Stopped},
    journal::record_of,
    open,
};

/// The longest signatures that an entry holds, in bytes.
const SIGNATURES_MAX_BYTES: usize = 32 * 1024;

/// What was removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PrunedBodies {
    /// The statement's hash.
    pub statement: Digest,
    /// How many entries, from the first on, have no body any more.
    pub before: u64,
}

/// Why nothing is pruned.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum PruneError {
    /// The journal does not open.
    #[error("the journal does not open")]
    Open(#[source] OpenJournalError),
    /// A start would need the bodies.
    #[error("there is no snapshot that a start goes on from")]
    NoSnapshot,
    /// No bundle governs, so that there are no officers.
    #[error("no bundle governs")]
    NoBundle,
    /// The statement is not for this, or not signed.
    #[error("the statement is refused")]
    Statement(#[source] StatementError),
    /// The signatures are longer than an entry holds.
    #[error("the signatures have more than {SIGNATURES_MAX_BYTES} bytes")]
    Signatures,
    /// The log cannot be read.
    #[error("the log cannot be read")]
    Read(#[source] ReadError),
    /// The tree cannot be read.
    #[error("the tree cannot be read")]
    Tree(#[source] ProveError<ReadError>),
    /// An entry cannot be read.
    #[error("an entry cannot be read")]
    Entry(#[source] EntryError),
    /// The state does not take it.
    #[error("the entry is not taken")]
    State(#[source] StateError),
    /// The journal stopped.
    #[error("the journal stopped")]
    Stopped(#[source] Stopped),
}

impl PruneError {
    /// A stable name that scripts can match.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Open(error) => error.name().as_str(),
            Self::NoSnapshot => "prune-no-snapshot",
            Self::NoBundle => "prune-no-bundle",
            Self::Statement(error) => error.prune_name(),
            Self::Signatures => "prune-signatures",
            Self::State(StateError::Unseal(error)) => error.prune_name(),
            Self::State(StateError::Policy { .. }) => "prune-bundle",
            Self::State(_) => "prune-entry",
            Self::Read(_) | Self::Tree(_) | Self::Entry(_) | Self::Stopped(_) => "prune-disk",
        }
    }
}

/// Carries out a statement on the journal of a folder, which no daemon uses meanwhile.
///
/// # Errors
/// [`PruneError`]; where it is about the statement, nothing was removed.
pub fn prune(
    folder: &Path,
    bundles: &dyn Bundles,
    clock: Arc<dyn Clock>,
    version: &str,
    (statement, signatures): (&str, &str),
) -> Result<PrunedBodies, PruneError> {
    let opening = open(folder, bundles, Arc::clone(&clock), version).map_err(PruneError::Open)?;
    let done = carry_out(&opening, &*clock, statement, signatures);
    let Opening {
        journal, writer, ..
    } = opening;
    let stopped = ask(|reply| journal.stop("its bodies were pruned".into(), reply));
    drop(journal);
    writer.join();
    let done = done?;
    stopped.map(|()| done).map_err(PruneError::Stopped)
}

/// As [`prune`], on a journal that is open.
///
/// # Errors
/// As [`prune`].
pub fn carry_out(
    opening: &Opening,
    clock: &dyn Clock,
    statement: &str,
    signatures: &str,
) -> Result<PrunedBodies, PruneError> {
    let SnapshotUse::Used { read_from, .. } = opening.snapshot else {
        return Err(PruneError::NoSnapshot);
    };
    let journal = &opening.journal;
    let pruned = {
        let state = journal.state();
        let held = Held {
            origin: journal.origin(),
            state: &state,
            tree: journal.tree(),
            bodies: journal.bodies(),
            read_from,
        };
        held.decide(clock, statement, signatures)?
    };
    let done = PrunedBodies {
        statement: pruned.by.hash,
        before: pruned.before,
    };
    let taken = ask(|reply| journal.prune(pruned, reply));
    taken
        .map_err(PruneError::Stopped)?
        .map_err(PruneError::State)?;
    Ok(done)
}

/// What a statement is held against.
pub(crate) struct Held<'j> {
    /// What the log is called.
    pub(crate) origin: &'j Origin,
    /// The state, with the bundle that governs.
    pub(crate) state: &'j State,
    /// The tree.
    pub(crate) tree: &'j dyn Tree,
    /// The entries.
    pub(crate) bodies: &'j dyn Bodies,
    /// The first entry that the next start reads.
    pub(crate) read_from: u64,
}

impl Held<'_> {
    /// What the statement lets go, whose leaves are in the files of the tree.
    pub(crate) fn decide(
        &self,
        clock: &dyn Clock,
        statement: &str,
        signatures: &str,
    ) -> Result<Pruned, PruneError> {
        let prune = Prune::parse(statement).map_err(PruneError::Statement)?;
        let by = self.decided(clock, &prune, signatures)?;
        let most = prune.exported.size.min(self.read_from);
        let before = self.cut(most, prune.before)?;
        // Without bodies they are not made again.
        self.tree.keep_leaves(0..before).map_err(PruneError::Read)?;
        Ok(Pruned { before, by })
    }

    fn decided(
        &self,
        clock: &dyn Clock,
        prune: &Prune,
        signatures: &str,
    ) -> Result<Resumed, PruneError> {
        if signatures.len() > SIGNATURES_MAX_BYTES {
            return Err(PruneError::Signatures);
        }
        let TreeHead { size, .. } = self.tree.head();
        let said = prune.exported.size;
        if said > size {
            let found = size;
            return Err(PruneError::Statement(StatementError::Head { said, found }));
        }
        let root = root_at(&Nodes(self.tree), said).map_err(PruneError::Tree)?;
        let found = Head {
            size: said,
            root: Digest(*root.as_bytes()),
        };
        let now = Time::from_millis(clock.read().wall_millis);
        let checked = prune.check(self.origin, found, now);
        checked.map_err(PruneError::Statement)?;
        let policy = self.state.policy().ok_or(PruneError::NoBundle)?;
        let signed_by = prune.signed_by(signatures, policy);
        Ok(Resumed {
            hash: prune.hash(),
            statement: prune.to_string(),
            signatures: signatures.into(),
            signed_by: signed_by.map_err(PruneError::Statement)?,
        })
    }

    /// How many entries go: whole segments, of entries that were written before `time`.
    fn cut(&self, most: u64, time: Time) -> Result<u64, PruneError> {
        let gone = self.state.pruned();
        let starts = self.bodies.starts().into_iter();
        for start in starts.rev().filter(|start| *start <= most) {
            if start <= gone {
                break;
            }
            let (record, _) = record_of(self.bodies, start).map_err(PruneError::Entry)?;
            if record.time.hi <= time {
                return Ok(start);
            }
        }
        let nothing =
            StatementError::Nothing("no whole segment is as old as that, exported and snapshot");
        Err(PruneError::Statement(nothing))
    }
}

fn ask<T: Send + 'static>(send: impl FnOnce(Reply<Result<T, Stopped>>)) -> Result<T, Stopped> {
    let (sender, answer) = std::sync::mpsc::channel();
    send(Reply::new(move |given| drop(sender.send(given))));
    let ended = || Stopped::because("its writer has ended");
    answer.recv().unwrap_or_else(|_| Err(ended()))
}

/// The tree of a journal, for proofs.
struct Nodes<'j>(&'j dyn Tree);

impl NodeSource for Nodes<'_> {
    type Error = ReadError;

    fn read_nodes(&self, ids: &[NodeId]) -> Result<Vec<Hash>, ReadError> {
        self.0.read_nodes(ids)
    }
}
