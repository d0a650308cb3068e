//! Proof that something is durable.

use policy::{AttemptId, NumberedDigest};
use tlog::checkpoint::Checkpoint;
use tx::Name;

use crate::SelfTest;

/// A value whose journal entry is durable. Made only by the writer, after the flush.
#[derive(Debug)]
#[must_use]
pub struct Committed<E> {
    index: u64,
    value: E,
}

impl<E> Committed<E> {
    pub(crate) fn new(index: u64, value: E) -> Self {
        Self { index, value }
    }

    /// The index of the entry.
    pub fn index(&self) -> u64 {
        self.index
    }

    /// What is durable.
    pub fn value(&self) -> &E {
        &self.value
    }

    /// What is durable, by value: the proof is used up.
    pub fn into_value(self) -> E {
        self.value
    }
}

/// The checkpoint that a durable entry lets a key of the log sign, once.
#[derive(Debug, PartialEq, Eq)]
#[must_use]
pub struct CheckpointOrder {
    checkpoint: Checkpoint,
    key: Name,
    call: u64,
}

impl CheckpointOrder {
    pub(crate) fn new(checkpoint: Checkpoint, key: Name, call: u64) -> Self {
        Self {
            checkpoint,
            key,
            call,
        }
    }

    /// What is signed: the text of a note.
    pub fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// The key that signs it.
    pub fn key(&self) -> &Name {
        &self.key
    }

    /// The call's number.
    pub fn call(&self) -> u64 {
        self.call
    }
}

/// The calls of a self-test that a durable entry authorises, each by its number, once.
#[derive(Debug, PartialEq, Eq)]
#[must_use]
pub struct SelfTestOrder {
    calls: Vec<(NumberedDigest, SelfTest)>,
}

impl SelfTestOrder {
    pub(crate) fn new(calls: Vec<(NumberedDigest, SelfTest)>) -> Self {
        Self { calls }
    }

    /// The calls, with what is signed.
    pub fn calls(&self) -> &[(NumberedDigest, SelfTest)] {
        &self.calls
    }
}

/// The device calls that a durable entry authorises, each by its number. Not `Clone`: an order is
/// carried out once.
#[derive(Debug, PartialEq, Eq)]
#[must_use]
pub struct SignOrder {
    attempt: AttemptId,
    calls: Vec<NumberedDigest>,
}

impl SignOrder {
    pub(crate) fn new(attempt: AttemptId, calls: Vec<NumberedDigest>) -> Self {
        Self { attempt, calls }
    }

    /// The attempt that the calls are for.
    pub fn attempt(&self) -> AttemptId {
        self.attempt
    }

    /// The calls, in the order in which the transaction wants the signatures.
    pub fn calls(&self) -> &[NumberedDigest] {
        &self.calls
    }
}
