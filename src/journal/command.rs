//! What is asked of the writer, and what it answers.

use std::sync::Arc;

use policy::{
    AttemptId, BundleHash, FreezeScope, KeyRegistration, Policy, Pruned, Refused, Request,
    RequestHash, Signed, StateError, UnmetNeed, Verdict,
};
use thiserror::Error;
use tlog::checkpoint::SignedCheckpoint;
use tx::{Decoded, Name};

use crate::{
    CheckpointOrder, Committed, SealName, SelfTest, SelfTestOrder, SignOrder, StoredEntry,
    govern::Governing, scrub::Damage,
};

/// Where an answer goes. It is sent once the entries that it speaks of are durable.
pub struct Reply<T>(Box<dyn FnOnce(T) + Send>);

impl<T> Reply<T> {
    /// An answer goes to `send`, which must not block: it runs on the writer's thread.
    pub fn new(send: impl FnOnce(T) + Send + 'static) -> Self {
        Self(Box::new(send))
    }

    pub(crate) fn send(self, answer: T) {
        (self.0)(answer);
    }
}

/// What is asked of the writer.
pub(crate) enum Command {
    Sign(Box<SignCommand>, Reply<Result<SignOutcome, Stopped>>),
    Evaluate(Box<SignCommand>, Reply<Result<Verdict, Stopped>>),
    Refuse(Box<Refused>, Reply<Result<(), Stopped>>),
    Signed(Box<Signed>, Reply<Result<Release, Stopped>>),
    Failed {
        attempt: AttemptId,
        reason: String,
        reply: Reply<Result<(), Stopped>>,
    },
    Govern(Governing),
    PolicyRefused {
        reason: String,
        reply: Reply<Result<(), Stopped>>,
    },
    Register(KeyRegistration, Reply<Result<Registered, Stopped>>),
    Freeze {
        scope: FreezeScope,
        reason: String,
        reply: Reply<Result<(), Stopped>>,
    },
    Checkpoint {
        key: Name,
        when: CheckpointWhen,
        reply: Reply<Result<CheckpointOutcome, Stopped>>,
    },
    /// One that was asked for ahead waits no longer. It stays behind that one's command.
    CheckpointDue,
    SelfTest {
        tests: Vec<SelfTest>,
        reply: Reply<Result<SelfTestOutcome, Stopped>>,
    },
    /// Bodies go.
    Prune(Box<Pruned>, Reply<Result<Result<(), StateError>, Stopped>>),
    /// A checkpoint is signed.
    Covered(Box<SignedCheckpoint>),
    Stop {
        reason: String,
        reply: Reply<Result<(), Stopped>>,
    },
}

/// A request whose transaction was understood.
#[derive(Debug)]
pub struct SignCommand {
    /// The transaction, understood under the registry of `basis`.
    pub decoded: Decoded,
    /// The bundle that governed when it was decoded.
    pub basis: BundleHash,
    /// The request.
    pub request: Request,
    /// The JSON of its transaction, which [`Request::transaction`] may name by hash only.
    pub transaction: String,
}

/// A verified bundle that shall govern.
#[derive(Debug)]
pub struct Activation {
    /// The policy.
    pub policy: Arc<Policy>,
    /// The people whose signatures were counted.
    pub signed_by: std::collections::BTreeSet<Name>,
}

/// What becomes of a request to sign.
#[derive(Debug)]
#[must_use]
pub enum SignOutcome {
    /// It is authorised and durable: carry out the order.
    Order {
        /// The calls to make.
        order: Committed<SignOrder>,
        /// The transaction, for assembly.
        decoded: Box<Decoded>,
        /// The decision's entry, when it was made just now; else it is read from the journal.
        decision: Option<StoredEntry>,
    },
    /// It was signed before: the answer is in these entries.
    Replay {
        /// The attempt.
        attempt: AttemptId,
        /// The index of the entry with its signatures.
        signed: u64,
    },
    /// An earlier call with the same id is being carried out.
    InProgress,
    /// The id was used with another content.
    Reused {
        /// The fingerprint of the first content.
        first: RequestHash,
    },
    /// The policy refuses.
    Refused(policy::Refusal),
    /// People or attesters are needed first.
    Pending(Vec<UnmetNeed>),
    /// Another bundle governs by now: decode again.
    Moved,
    /// It was signed, and is withheld by a freeze.
    Withheld,
}

/// When a checkpoint is ordered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CheckpointWhen {
    /// At once, of what was there before.
    Now,
    /// With the next decision or signatures, in the same flush, and of them too: who waits until they are
    /// witnessed waits for no second flush. One at a time waits so; a further one lets it go at once.
    Ahead,
}

/// What becomes of a checkpoint.
#[derive(Debug)]
#[must_use]
pub enum CheckpointOutcome {
    /// It is durable: sign it.
    Order(Committed<CheckpointOrder>),
    /// The key may not sign it.
    Refused(StateError),
}

/// What becomes of a self-test.
#[derive(Debug)]
#[must_use]
pub enum SelfTestOutcome {
    /// It is durable: make the calls.
    Order(Committed<SelfTestOrder>),
    /// A key is not for that, or frozen.
    Refused(StateError),
}

/// What may be done with signatures that are durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Release {
    /// They may leave.
    Released,
    /// A freeze precedes them.
    Withheld,
    /// They came more than 60 s of `lo` after the charge and are not kept: its room may be free
    /// again. Asked again, the request is evaluated and charged anew, in the same set.
    TooLate,
    /// The `r` of one of them belongs to another signature. They are not kept, and the keys of both are
    /// frozen: whoever sees the two signatures has the private key.
    Repeated,
}

/// What became of a key's registration.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub enum Registered {
    /// It is registered, now or before, with exactly this content.
    Known,
    /// It contradicts what is registered.
    Refused(StateError),
}

/// The journal takes nothing more, until the daemon is started again.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("the journal is stopped: {reason}")]
pub struct Stopped {
    /// Why.
    pub reason: Arc<str>,
    /// What failed.
    pub(crate) failed: Failed,
}

/// What stopped the journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failed {
    /// What follows from the log and is kept beside it: it is made again from the log.
    Derived,
    /// The log is not as it was left, by the name that it is sealed by.
    Log(SealName),
    /// Anything else.
    Other,
}

impl Stopped {
    /// The name of what seals it, where the log was found damaged while it was open.
    pub fn seal(&self) -> Option<SealName> {
        match self.failed {
            Failed::Log(name) => Some(name),
            Failed::Derived | Failed::Other => None,
        }
    }

    pub(crate) fn damaged(damage: &Damage) -> Self {
        let Damage { name, reason } = damage;
        Self {
            reason: format!("{name}: {reason}").into(),
            failed: Failed::Log(*name),
        }
    }

    pub(crate) fn because(reason: impl Into<Arc<str>>) -> Self {
        Self {
            reason: reason.into(),
            failed: Failed::Other,
        }
    }
}

impl Command {
    /// Answers that nothing is taken any more.
    pub(crate) fn refuse(self, stopped: &Stopped) {
        let stopped = stopped.clone();
        match self {
            Self::Sign(_, reply) => reply.send(Err(stopped)),
            Self::Evaluate(_, reply) => reply.send(Err(stopped)),
            Self::Signed(_, reply) => reply.send(Err(stopped)),
            Self::Register(_, reply) => reply.send(Err(stopped)),
            Self::Prune(_, reply) => reply.send(Err(stopped)),
            Self::Govern(asked) => asked.refuse(stopped),
            Self::Checkpoint { reply, .. } => reply.send(Err(stopped)),
            Self::SelfTest { reply, .. } => reply.send(Err(stopped)),
            // Nobody waits for a snapshot, or for word of what is due.
            Self::Covered(_) | Self::CheckpointDue => {}
            Self::Refuse(_, reply)
            | Self::Failed { reply, .. }
            | Self::PolicyRefused { reply, .. }
            | Self::Freeze { reply, .. }
            | Self::Stop { reply, .. } => reply.send(Err(stopped)),
        }
    }
}
