//! Checkpoints of the log: what a key of the log may sign, and the last one that it signed.
//!
//! A checkpoint is an entry of its own, of the tree of all entries before it. Behind its flush, and
//! nowhere else, the order to sign it exists.

use policy::{Checkpoint as Entry, Digest, KeyAlgorithm, KeyPurpose, State, StateError};
use tlog::{
    CompactTree, TreeHead,
    checkpoint::{Checkpoint, CheckpointError, Origin, SignedCheckpoint},
    cosignature::Quorum,
    note::{KeyName, VerifierKey},
};
use tx::Name;

use crate::{
    CheckpointOrder, CheckpointOutcome, CheckpointWhen, Committed, Reply,
    command::Stopped,
    group::{OpenGroup, Untaken},
    segment::{Leaf, Salt},
    writer::Writer,
};

/// How many hexadecimal digits of its id name a log in its checkpoints.
const LOG_DIGITS: usize = 16;

/// What was decided of a checkpoint, before it is durable.
enum Draft {
    Order { index: u64, order: CheckpointOrder },
    Refused(StateError),
}

impl Draft {
    /// The order becomes real here and nowhere else: behind the flush.
    fn behind_flush(self) -> CheckpointOutcome {
        match self {
            Self::Order { index, order } => CheckpointOutcome::Order(Committed::new(index, order)),
            Self::Refused(error) => CheckpointOutcome::Refused(error),
        }
    }
}

/// A checkpoint that was asked for: whose key, and who is told.
pub(crate) type Asked = (Name, Reply<Result<CheckpointOutcome, Stopped>>);

impl Writer {
    /// Orders a checkpoint now, or once there is what waits for witnesses.
    pub(crate) fn ask_checkpoint(
        &mut self,
        state: &mut State,
        group: &mut OpenGroup,
        asked: Asked,
        when: CheckpointWhen,
    ) -> Result<(), Stopped> {
        match when {
            CheckpointWhen::Now => self.order_checkpoint(state, group, asked),
            CheckpointWhen::Ahead => {
                self.order_awaited(state, group)?;
                self.awaited = Some(asked);
                Ok(())
            }
        }
    }

    /// Orders the checkpoint that was asked for ahead, if one was.
    pub(crate) fn order_awaited(
        &mut self,
        state: &mut State,
        group: &mut OpenGroup,
    ) -> Result<(), Stopped> {
        match self.awaited.take() {
            Some(asked) => self.order_checkpoint(state, group, asked),
            None => Ok(()),
        }
    }

    /// Answers with the order to sign a checkpoint, behind the flush.
    fn order_checkpoint(
        &self,
        state: &mut State,
        group: &mut OpenGroup,
        (key, reply): Asked,
    ) -> Result<(), Stopped> {
        let drafted = self.checkpoint(state, group, key);
        let reply = Reply::new(|durable: Result<Draft, _>| {
            reply.send(durable.map(Draft::behind_flush));
        });
        group.answer(reply, drafted)
    }

    /// Adds a checkpoint of all that stands before it in the log and in this group.
    fn checkpoint(
        &self,
        state: &mut State,
        group: &mut OpenGroup,
        key: Name,
    ) -> Result<Draft, Stopped> {
        // One that gave itself away proves nothing any more.
        if state.is_key_frozen(&key, group.now.lo) {
            return Ok(Draft::Refused(StateError::KeyFrozen { key }));
        }
        let stops = |reason: String| Stopped::because(reason);
        let head = head_before(self.store.tree(), group)
            .ok_or_else(|| stops("the log is full".to_owned()))?;
        let checkpoint =
            Checkpoint::new(self.origin.clone(), head).map_err(|error| stops(error.to_string()))?;
        let call = state.next_call();
        let entry = Entry {
            size: head.size,
            root: Digest(*head.root.as_bytes()),
            key: key.clone(),
            call,
        };
        let expected = state.entries();
        match group.offer(state, policy::Entry::Checkpoint(entry))? {
            Ok(index) => Ok(Draft::Order {
                index,
                order: CheckpointOrder::new(checkpoint, key, call),
            }),
            Err(Untaken::State(error)) => Ok(Draft::Refused(error)),
            Err(untaken) => Err(untaken.stops(expected)),
        }
    }
}

/// The head of a durable tree with what the group adds so far: next to nothing where the checkpoint goes
/// before what waits with it, and all of it where it waited for signatures.
fn head_before(mut tree: CompactTree, group: &OpenGroup) -> Option<TreeHead> {
    for entry in &group.entries {
        let leaf = Leaf::commit(&Salt::new(entry.salt), &entry.body);
        tree.append(leaf.hash()).ok()?;
    }
    Some(tree.head())
}

/// What a log is called in its checkpoints: `strongroom/<fleet>/<the first digits of its id>`.
///
/// # Errors
/// None in practice: a fleet's name is a line.
pub(crate) fn origin(fleet: &Name, log: &[u8; 32]) -> Result<Origin, CheckpointError> {
    let mut digits = hex::encode(log);
    digits.truncate(LOG_DIGITS);
    format!("strongroom/{fleet}/{digits}").parse()
}

/// The keys whose signatures under a checkpoint of this log count: all that were ever registered
/// for that, under the log's own name.
pub(crate) fn log_keys(state: &State, origin: &Origin) -> Vec<VerifierKey> {
    let Ok(name) = origin.as_str().parse::<KeyName>() else {
        return Vec::new();
    };
    let signing = state.registrations().filter(|key| {
        key.purpose == KeyPurpose::Checkpoint && key.algorithm == KeyAlgorithm::Ed25519
    });
    signing
        .filter_map(|key| {
            let mut public = [0; 32];
            hex::decode_to_slice(&key.public, &mut public).ok()?;
            VerifierKey::new(name.clone(), &public).ok()
        })
        .collect()
}

/// Whether as many witnesses as are needed have cosigned a checkpoint.
pub(crate) fn is_witnessed(signed: &SignedCheckpoint, quorum: &Quorum) -> bool {
    quorum.tally(signed).cosignatures().len() >= quorum.needed()
}
