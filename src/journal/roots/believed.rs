//! Whether a snapshot is of the log that was folded behind it.

use policy::{Policy, State, StateRoot};
use tlog::{
    checkpoint::{Origin, SignedCheckpoint},
    cosignature::Quorum,
};

use super::SnapshotError;
use crate::{
    checkpoint::{is_witnessed, log_keys},
    segment::Reader,
};

/// The witnesses that bundles name, each with how many entries there were when it began to govern.
#[derive(Debug, Default)]
pub(crate) struct Quorums(Vec<(u64, Option<Quorum>)>);

impl Quorums {
    /// Takes what governs the entries from this one on.
    pub(crate) fn note(&mut self, from: u64, policy: Option<&Policy>) {
        let quorum = policy.and_then(|policy| policy.witnesses.clone());
        self.0.push((from, quorum));
    }

    /// Whether as many witnesses have cosigned a checkpoint as the bundle asked for that governed at its end,
    /// or one that followed: whoever keeps a snapshot asks the bundle of that moment.
    fn accept(&self, signed: &SignedCheckpoint) -> bool {
        let size = signed.head().size;
        let then = self.0.iter().rfind(|(from, _)| *from <= size);
        let later = self.0.iter().filter(|(from, _)| *from > size);
        then.into_iter().chain(later).any(|(_, quorum)| {
            let mut asked = quorum.iter();
            asked.all(|quorum| is_witnessed(signed, quorum))
        })
    }
}

/// A log that was folded behind a snapshot.
pub(crate) struct FoldedLog<'f> {
    pub(crate) reader: &'f Reader,
    pub(crate) origin: &'f Origin,
    pub(crate) state: &'f State,
    /// The snapshot's root, as the log has it, and its entry.
    pub(crate) root: Option<(u64, StateRoot)>,
    pub(crate) quorums: &'f Quorums,
}

impl FoldedLog<'_> {
    /// Whether it has the root of the snapshot of the first `covers` entries, and the tree of its signed
    /// checkpoint, which covers the root's entry.
    ///
    /// # Errors
    /// [`SnapshotError`].
    pub(crate) fn check(&self, covers: u64, note: &[u8]) -> Result<(), SnapshotError> {
        let keys = log_keys(self.state, self.origin);
        let signed = SignedCheckpoint::open(note, self.origin, &keys);
        let signed = signed.map_err(|error| SnapshotError::Checkpoint {
            reason: error.to_string(),
        })?;
        let (said, found) = (signed.head().size, self.reader.size());
        if said > found {
            return Err(SnapshotError::Newer { said, found });
        }
        let root = tlog::root_at(self.reader, said);
        if root.ok() != Some(signed.head().root) {
            return Err(SnapshotError::Forked);
        }
        let its = self.root.filter(|(_, root)| root.covers == covers);
        let (entry, _) = its.ok_or(SnapshotError::NoRoot)?;
        if said <= entry {
            return Err(SnapshotError::Uncovered);
        }
        match self.quorums.accept(&signed) {
            true => Ok(()),
            false => Err(SnapshotError::Unwitnessed),
        }
    }
}
