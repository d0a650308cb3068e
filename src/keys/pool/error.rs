//! Why a pool did not do what was asked.

use std::io;

use thiserror::Error;

use crate::{
    device::IdentityFault,
    key::{KeyAlgorithm, KeyId},
    protocol::{DecodeError, Failure, Text},
    verify::SignatureError,
};

/// Why a child could not be attached.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum AttachError {
    /// The pool has no such token.
    #[error("the pool has no such token")]
    NoMember,
    /// The socket failed.
    #[error("the key child's socket failed")]
    Socket(#[source] io::Error),
    /// The child did not answer in time.
    #[error("the key child did not answer in time")]
    Deadline,
    /// The child closed the socket.
    #[error("the key child ended")]
    Ended,
    /// The child could not use the device.
    #[error("the key child could not use the device")]
    Failed(#[source] Failure),
    /// The child's answer cannot be read.
    #[error("the key child's answer cannot be read")]
    Decode(#[source] DecodeError),
    /// The child answered another question.
    #[error("the key child answered another question")]
    Misanswered,
    /// The token is not the one that was asked for.
    #[error("the token is not the one that was asked for")]
    Token,
    /// The token is none of those that may be used.
    #[error("the bundle names no device with the serial number {serial:?}")]
    Unnamed {
        /// Its serial number.
        serial: Text<16>,
    },
    /// The token is not what the firmware profile describes.
    #[error("the token is not what the firmware profile describes")]
    Identity(#[source] IdentityFault),
    /// A registered key could not be found on the token.
    #[error("{key} cannot be used")]
    Key {
        /// The key.
        key: KeyId,
        /// Why.
        #[source]
        error: CallError,
    },
    /// A registered key has another public half on this token.
    #[error("{key} on this token is not the registered key")]
    KeyChanged {
        /// The key.
        key: KeyId,
    },
}

impl AttachError {
    /// Whether the device rejected the PIN: no other child may try it again.
    pub fn is_of_pin(&self) -> bool {
        matches!(self, Self::Failed(failure) if failure.is_of_pin())
    }
}

/// Why a child stopped being the pool's child while a call was with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Lost {
    /// It did not answer in time.
    #[error("the key child did not answer in time")]
    Hung,
    /// It ended, or broke the protocol.
    #[error("the key child ended")]
    Gone,
    /// The device rejected the PIN.
    #[error("the device rejected the PIN")]
    PinRejected,
    /// Its owner gave it up.
    #[error("the key child was given up")]
    Detached,
}

/// Why a call that is not a signature failed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum CallError {
    /// No child is attached.
    #[error("no key device is attached")]
    NoDevice,
    /// Too many calls wait.
    #[error("too many calls wait for the key device")]
    Busy,
    /// The child was lost. What became of the call is not known.
    #[error("the outcome of the call is not known")]
    Lost(#[source] Lost),
    /// The child answered that it failed.
    #[error("the key device failed")]
    Failed(#[source] Failure),
    /// The child answered another question.
    #[error("the key child answered another question")]
    Misanswered,
}

/// Why nothing was signed, or nothing is released.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SignError {
    /// The authorisation names nothing to sign.
    #[error("nothing to sign")]
    Nothing,
    /// No child is attached. Nothing was sent.
    #[error("no key device is attached")]
    NoDevice,
    /// Too many calls wait. Nothing was sent.
    #[error("too many calls wait for the key device")]
    Busy,
    /// No public half is registered for the key. Nothing was sent.
    #[error("{key} is not registered")]
    KeyUnregistered {
        /// The key.
        key: KeyId,
    },
    /// The key is of another algorithm. Nothing was sent.
    #[error("{key} is not for {algorithm}")]
    AlgorithmMismatch {
        /// The key.
        key: KeyId,
        /// The input's algorithm.
        algorithm: KeyAlgorithm,
    },
    /// The child was lost while it had the call: it may have signed, and nothing is released.
    #[error("the outcome of call {call} is not known")]
    OutcomeUnknown {
        /// The journal's number of the call.
        call: u64,
        /// How it was lost.
        #[source]
        lost: Lost,
    },
    /// The child answered that call failed.
    #[error("the key device failed in call {call}")]
    Failed {
        /// The journal's number of the call.
        call: u64,
        /// Why.
        #[source]
        failure: Failure,
    },
    /// The child answered with another call's number, or with something that is no signature.
    #[error("the key child answered another question than call {call}")]
    Misanswered {
        /// The journal's number of the call.
        call: u64,
    },
    /// The device answered what is not the signature that was asked for. An alarm.
    #[error("the device's answer to call {call} is not a signature by {key}")]
    BadSignature {
        /// The journal's number of the call.
        call: u64,
        /// The key.
        key: KeyId,
        /// What is wrong.
        #[source]
        error: SignatureError,
    },
}

/// A key is pinned to another public half already.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{key} is registered with another public key")]
pub struct RegisterError {
    /// The key.
    pub key: KeyId,
}
