//! The protocol between the server and a key child, version 1. It is for ever: numbers are never
//! given a second meaning, and what is new gets a new number.
//!
//! A frame is its length (4 bytes, big-endian, of what follows), the version (1), the kind of
//! message (1), a correlation number (8) and the message's fields. It has at most [`FRAME_MAX`]
//! bytes with its length. Requests have kinds below 0x80; an answer carries the correlation number
//! of its request. No message carries a PKCS#11 attribute: what a key is, is decided in the child.
//!
//! Either side is hostile to the other: the child runs a vendor's module, and the module's answers
//! are only ever data. A frame that cannot be read ends the connection.

mod answer;
mod bounded;
mod codec;
mod failure;
mod fields;
mod inbox;
mod outgoing;
mod request;
#[cfg(test)]
mod tests;

pub use answer::{Answer, KeyDescription};
pub use bounded::{Bytes, Pin, Text, TooLong};
pub use codec::DecodeError;
pub use failure::{Failure, Found, KeyAttribute};
pub use inbox::Inbox;
pub(crate) use outgoing::Outgoing;
pub use request::{Hello, Request, Residence, Sign, SignInput};

use codec::{Reader, Writer};

/// The protocol's version.
pub const VERSION: u8 = 1;

/// The longest frame, its length included, in bytes.
pub const FRAME_MAX: usize = 4096;

/// Bytes of a frame's length.
const LENGTH_BYTES: usize = 4;

/// Bytes between a frame's length and its fields: version, kind, correlation number.
const HEADER_BYTES: usize = 10;

/// A message with its number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame<M> {
    /// Ties an answer to its request. Never used twice in one server.
    pub correlation: u64,
    /// The message.
    pub message: M,
}

/// A message of one direction: [`Request`] or [`Answer`]. Its writer and reader cannot be named
/// elsewhere, so that there are no other implementations.
pub trait Message: Sized {
    /// The byte that says which message follows.
    fn kind(&self) -> u8;

    /// Writes the fields.
    fn write(&self, to: &mut Writer<'_>);

    /// Reads the fields of a message of `kind`.
    ///
    /// # Errors
    /// [`DecodeError`] when they are none.
    fn read(kind: u8, from: &mut Reader<'_>) -> Result<Self, DecodeError>;
}

impl<M: Message> Frame<M> {
    /// Appends the frame, its length included.
    pub fn append_to(&self, out: &mut Vec<u8>) {
        let start = out.len();
        let mut to = Writer(out);
        to.u32(0);
        to.u8(VERSION);
        to.u8(self.message.kind());
        to.u64(self.correlation);
        self.message.write(&mut to);
        let length = out.len().saturating_sub(start).saturating_sub(LENGTH_BYTES);
        // The fields' types bound the length; `tests` holds it under FRAME_MAX for the largest.
        let length = u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes();
        if let Some(place) = out.get_mut(start..).and_then(|f| f.first_chunk_mut()) {
            *place = length;
        }
    }

    /// Reads what follows a frame's length. Every byte must have been written by
    /// [`Self::append_to`].
    ///
    /// # Errors
    /// [`DecodeError`] says what is wrong.
    pub fn decode(after_length: &[u8]) -> Result<Self, DecodeError> {
        let mut from = Reader(after_length);
        let found = from.u8()?;
        if found != VERSION {
            return Err(DecodeError::Version { found });
        }
        let kind = from.u8()?;
        let correlation = from.u64()?;
        let message = M::read(kind, &mut from)?;
        from.end()?;
        Ok(Self {
            correlation,
            message,
        })
    }
}
