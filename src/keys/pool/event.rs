//! What a pool tells its owner, and what it counts.

use std::sync::atomic::{AtomicU64, Ordering};

use super::MemberId;
use crate::{
    device::TokenIdentity, key::KeyId, protocol::Failure, sentinel::Alarm, verify::SignatureError,
};

/// What the pool's owner is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// Of which token.
    pub member: MemberId,
    /// Of which child of it, as its owner numbers them; 0 where it is the token's and no child's.
    pub generation: u32,
    /// What.
    pub event: PoolEvent,
}

/// What the pool's owner must know of a token.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PoolEvent {
    /// The child is logged in and signs.
    Ready(TokenIdentity),
    /// The child did not answer in time: kill it, start another, attach that.
    Hung,
    /// The child ended, or broke the protocol: kill what is left, start another, attach that.
    Gone,
    /// The token is none of those that may be used any more: kill the child. No other of this token can be attached.
    Unnamed,
    /// The device rejected the PIN: start no other child before a person acted.
    PinRejected(Failure),
    /// The device answered what is not the signature that was asked for. Told once for each child;
    /// the calls fail each by itself.
    BadSignature {
        /// The journal's number of the call.
        call: u64,
        /// The key.
        key: KeyId,
        /// What is wrong.
        error: SignatureError,
    },
    /// It failed again and again: nothing is asked of it but probes.
    BreakerOpened,
    /// A probe was answered: it is asked again, on probation.
    BreakerClosed,
    /// The secret of a key follows from its signatures: nothing more may be signed with it.
    Alarm(Alarm),
}

/// What a pool counted since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PoolCounters {
    /// Signatures that were verified and released.
    pub signatures: u64,
    /// Answers to calls whose caller had gone, also where it went only after the answer had come.
    pub answers_late: u64,
    /// Answers to calls that there never were, or were answered before.
    pub answers_unknown: u64,
    /// Answers of the wrong kind, or with the wrong call number.
    pub answers_wrong: u64,
    /// Signatures that were refused.
    pub signatures_bad: u64,
    /// Events that the owner did not take.
    pub events_lost: u64,
}

#[derive(Debug, Default)]
pub(super) struct Counters {
    signatures: AtomicU64,
    late: AtomicU64,
    unknown: AtomicU64,
    wrong: AtomicU64,
    bad: AtomicU64,
    events_lost: AtomicU64,
}

fn up(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

impl Counters {
    pub(super) fn released(&self) {
        up(&self.signatures);
    }

    pub(super) fn late(&self) {
        up(&self.late);
    }

    pub(super) fn unknown(&self) {
        up(&self.unknown);
    }

    pub(super) fn misanswered(&self) {
        up(&self.wrong);
    }

    pub(super) fn bad_signature(&self) {
        up(&self.bad);
    }

    pub(super) fn event_lost(&self) {
        up(&self.events_lost);
    }

    pub(super) fn read(&self) -> PoolCounters {
        let value = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        PoolCounters {
            signatures: value(&self.signatures),
            answers_late: value(&self.late),
            answers_unknown: value(&self.unknown),
            answers_wrong: value(&self.wrong),
            signatures_bad: value(&self.bad),
            events_lost: value(&self.events_lost),
        }
    }
}
