//! Fixed fields, big-endian; texts and bytes behind a length of two bytes.

use thiserror::Error;

use super::bounded::{Bytes, Pin, Text, TooLong};

/// Why bytes are no message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// A frame longer than [`super::FRAME_MAX`] or too short for a header.
    #[error("a frame of {length} bytes after its length")]
    FrameLength {
        /// The length that the frame claims, in bytes.
        length: usize,
    },
    /// Another version of the protocol.
    #[error("protocol version {found} is not spoken here")]
    Version {
        /// The version in the frame.
        found: u8,
    },
    /// A kind of message that there is not, or not in this direction.
    #[error("no message of kind {found:#04x}")]
    Kind {
        /// The kind in the frame.
        found: u8,
    },
    /// The message ends within a field.
    #[error("the message ends within a field")]
    Truncated,
    /// Bytes after the last field.
    #[error("{left} bytes after the last field")]
    Trailing {
        /// How many.
        left: usize,
    },
    /// A field with a value that it cannot have.
    #[error("the field {field} has a value that it cannot have")]
    Value {
        /// The field's name.
        field: &'static str,
    },
}

/// Writes fields.
pub struct Writer<'a>(pub(super) &'a mut Vec<u8>);

/// Reads fields.
pub struct Reader<'a>(pub(super) &'a [u8]);

impl Writer<'_> {
    pub(super) fn u8(&mut self, value: u8) {
        self.0.push(value);
    }

    pub(super) fn u16(&mut self, value: u16) {
        self.raw(&value.to_be_bytes());
    }

    pub(super) fn u32(&mut self, value: u32) {
        self.raw(&value.to_be_bytes());
    }

    pub(super) fn u64(&mut self, value: u64) {
        self.raw(&value.to_be_bytes());
    }

    pub(super) fn raw(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    pub(super) fn text<const MAX: usize>(&mut self, text: &Text<MAX>) {
        self.sized(text.as_str().as_bytes());
    }

    pub(super) fn bytes<const MAX: usize>(&mut self, bytes: &Bytes<MAX>) {
        self.sized(bytes.as_bytes());
    }

    pub(super) fn pin(&mut self, pin: &Pin) {
        self.sized(pin.expose().as_bytes());
    }

    /// Every caller's type bounds the length far below 2^16; a longer one would be cut here and
    /// then refused by the reader.
    pub(super) fn sized(&mut self, bytes: &[u8]) {
        let length = u16::try_from(bytes.len()).unwrap_or(u16::MAX);
        self.u16(length);
        self.raw(bytes.get(..usize::from(length)).unwrap_or_default());
    }
}

impl<'a> Reader<'a> {
    pub(super) fn raw(&mut self, length: usize) -> Result<&'a [u8], DecodeError> {
        let (head, tail) = self
            .0
            .split_at_checked(length)
            .ok_or(DecodeError::Truncated)?;
        self.0 = tail;
        Ok(head)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let (head, tail) = self
            .0
            .split_first_chunk::<N>()
            .ok_or(DecodeError::Truncated)?;
        self.0 = tail;
        Ok(*head)
    }

    pub(super) fn u8(&mut self) -> Result<u8, DecodeError> {
        self.array::<1>().map(|[value]| value)
    }

    pub(super) fn u16(&mut self) -> Result<u16, DecodeError> {
        self.array().map(u16::from_be_bytes)
    }

    pub(super) fn u32(&mut self) -> Result<u32, DecodeError> {
        self.array().map(u32::from_be_bytes)
    }

    pub(super) fn u64(&mut self) -> Result<u64, DecodeError> {
        self.array().map(u64::from_be_bytes)
    }

    pub(super) fn sized(&mut self) -> Result<&'a [u8], DecodeError> {
        let length = self.u16()?;
        self.raw(usize::from(length))
    }

    pub(super) fn str(&mut self, field: &'static str) -> Result<&'a str, DecodeError> {
        std::str::from_utf8(self.sized()?).map_err(|_| DecodeError::Value { field })
    }

    pub(super) fn text<const MAX: usize>(
        &mut self,
        field: &'static str,
    ) -> Result<Text<MAX>, DecodeError> {
        let text = self.str(field)?;
        Text::new(text).map_err(|TooLong { .. }| DecodeError::Value { field })
    }

    pub(super) fn bytes<const MAX: usize>(
        &mut self,
        field: &'static str,
    ) -> Result<Bytes<MAX>, DecodeError> {
        let bytes = self.sized()?;
        Bytes::new(bytes).map_err(|TooLong { .. }| DecodeError::Value { field })
    }

    pub(super) fn pin(&mut self) -> Result<Pin, DecodeError> {
        let field = "pin";
        let pin = self.str(field)?;
        Pin::new(pin).map_err(|TooLong { .. }| DecodeError::Value { field })
    }

    pub(super) fn end(&self) -> Result<(), DecodeError> {
        match self.0.len() {
            0 => Ok(()),
            left => Err(DecodeError::Trailing { left }),
        }
    }
}
