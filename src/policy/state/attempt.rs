//! What is kept of attempts, requests and intents.

use std::collections::BTreeSet;

use tx::{Chain, ConflictKey, FeeTerms, IntentPayload, Interval, Name, Time};

use crate::{AttemptId, Digest, FreezeScope, RequestHash};

/// What is kept of an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttemptState {
    pub(super) at: Time,
    pub(super) request_hash: RequestHash,
    pub(super) set: AttemptId,
    /// The first attempt of the same request: itself, unless it takes one up again.
    pub(super) origin: AttemptId,
    pub(super) account: Name,
    pub(super) chain: Chain,
    pub(super) keys: Box<[Name]>,
    /// The books and own classes that it goes to, as they were when it was charged.
    pub(super) to: Box<[FreezeScope]>,
    /// What its calls sign, in their order; nothing once it is signed, because the `r` says it then.
    pub(super) unsigned: Box<[KeyDigest]>,
    pub(super) fee_terms: FeeTerms,
    pub(super) status: RequestStatus,
}

/// What a signature is of: a digest, under a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyDigest {
    /// The key.
    pub key: Name,
    /// The digest.
    pub digest: Digest,
}

/// What became of a client's request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestState {
    /// The fingerprint of the request.
    pub hash: RequestHash,
    /// Its latest attempt.
    pub attempt: AttemptId,
    /// When that was charged, as `lo`.
    pub charged_at: Time,
    /// What became of it.
    pub status: RequestStatus,
}

/// How far an attempt came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestStatus {
    /// It is charged, and not known to be signed.
    Committed,
    /// It is signed.
    Signed {
        /// The index of the entry that holds the signatures.
        index: u64,
    },
    /// Its calls ended without a signature, or without an answer.
    Failed,
}

/// The attempts that consume one key. Most keys have one, which takes no memory of its own.
#[derive(Clone, Debug)]
pub(super) struct Consumers {
    first: AttemptId,
    later: Vec<AttemptId>,
}

impl Consumers {
    pub(super) fn new(first: AttemptId) -> Self {
        Self {
            first,
            later: Vec::new(),
        }
    }

    /// `None` of none.
    pub(super) fn of(attempts: Vec<AttemptId>) -> Option<Self> {
        let mut attempts = attempts.into_iter();
        Some(Self {
            first: attempts.next()?,
            later: attempts.collect(),
        })
    }

    pub(super) fn push(&mut self, attempt: AttemptId) {
        self.later.push(attempt);
    }

    pub(super) fn count(&self) -> usize {
        self.later.len().saturating_add(1)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = AttemptId> {
        std::iter::once(self.first).chain(self.later.iter().copied())
    }
}

/// What is kept of an intent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IntentState {
    pub(super) payload: IntentPayload,
    /// A slice, not a set: most have one key, and a set's smallest node holds eleven.
    pub(super) anchors: Box<[ConflictKey]>,
    pub(super) attempts: Vec<AttemptId>,
    pub(super) expires: Time,
}

impl AttemptState {
    /// When it was charged, as `lo`.
    pub fn charged_at(&self) -> Time {
        self.at
    }

    /// The fingerprint of the request that it belongs to.
    pub fn request_hash(&self) -> RequestHash {
        self.request_hash
    }

    /// Its conflict set, by the set's first attempt.
    pub fn set(&self) -> AttemptId {
        self.set
    }

    /// The account that is debited.
    pub fn account(&self) -> &Name {
        &self.account
    }

    /// The chain.
    pub fn chain(&self) -> Chain {
        self.chain
    }

    /// How far it came.
    pub fn status(&self) -> RequestStatus {
        self.status
    }

    pub(crate) fn origin(&self) -> AttemptId {
        self.origin
    }

    pub(crate) fn fee_terms(&self) -> FeeTerms {
        self.fee_terms
    }

    pub(super) fn is_signed(&self) -> bool {
        matches!(self.status, RequestStatus::Signed { .. })
    }

    pub(super) fn is_in(&self, scope: &FreezeScope) -> bool {
        scope.holds(&self.account, self.chain, self.keys.iter()) || self.to.contains(scope)
    }

    /// What it says of its request.
    pub fn request_state(&self, attempt: AttemptId) -> RequestState {
        RequestState {
            hash: self.request_hash,
            attempt,
            charged_at: self.at,
            status: self.status,
        }
    }
}

impl RequestState {
    /// How long a charge can be finished without another, in milliseconds of `lo`.
    pub const FINISHABLE_MILLIS: u64 = 60_000;

    /// Whether the attempt can be finished under the charge it has. Later it is evaluated again
    /// and charged at that time, because a charge that has left the window would let its
    /// transaction out beside a full window. A call is never older than its charge, so that no
    /// call's outcome is unknown for longer either.
    pub fn finishable(&self, now: Interval) -> bool {
        !matches!(self.status, RequestStatus::Signed { .. })
            && now.lo.millis_since(self.charged_at) <= Self::FINISHABLE_MILLIS
    }
}

impl IntentState {
    /// The content that the first use fixed.
    pub fn payload(&self) -> IntentPayload {
        self.payload
    }

    /// Keys one of which every further attempt consumes, unless it is a re-issue.
    pub fn anchors(&self) -> &[ConflictKey] {
        &self.anchors
    }

    /// Whether it has attempts, beside which a transaction with these keys can confirm. One that was only
    /// registered has none.
    pub(crate) fn is_disjoint(&self, keys: &BTreeSet<ConflictKey>) -> bool {
        !self.attempts.is_empty() && !self.anchors.iter().any(|anchor| keys.contains(anchor))
    }

    /// Whether people closed it, of an intent that itself expires then.
    pub(crate) fn is_closed(&self, expires: Time) -> bool {
        self.expires < expires
    }

    /// Its attempts, oldest first.
    pub fn attempts(&self) -> &[AttemptId] {
        &self.attempts
    }

    /// When it can no longer be attempted.
    pub fn expires(&self) -> Time {
        self.expires
    }
}

impl FreezeScope {
    /// Whether a transaction of `account` on `chain` with these keys is in the scope, wherever it goes.
    pub(crate) fn holds<'a>(
        &self,
        account: &Name,
        chain: Chain,
        mut keys: impl Iterator<Item = &'a Name>,
    ) -> bool {
        match self {
            Self::All => true,
            Self::Account(frozen) => frozen == account,
            Self::Chain(frozen) => *frozen == chain,
            Self::Key(frozen) => keys.any(|key| key == frozen),
            Self::Book(_) | Self::OwnClass(_) => false,
        }
    }
}
