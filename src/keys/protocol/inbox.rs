//! Cuts a stream into frames.

use std::fmt;

use zeroize::{Zeroize, Zeroizing};

use super::{DecodeError, FRAME_MAX, Frame, HEADER_BYTES, LENGTH_BYTES, Message};

/// Holds sixteen frames of the longest kind: one read takes all that waits.
const CAPACITY: usize = 65_536;

/// Bytes that were received and not yet read. Of fixed size; wiped when dropped, since one frame
/// carries a PIN.
pub struct Inbox {
    buffer: Zeroizing<Box<[u8]>>,
    start: usize,
    end: usize,
}

impl Default for Inbox {
    fn default() -> Self {
        Self {
            buffer: Zeroizing::new(vec![0; CAPACITY].into_boxed_slice()),
            start: 0,
            end: 0,
        }
    }
}

impl fmt::Debug for Inbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inbox")
            .field("waiting", &self.end.saturating_sub(self.start))
            .finish_non_exhaustive()
    }
}

impl Inbox {
    /// Where to receive. Never empty once [`Self::frame`] answered `None`.
    pub fn spare(&mut self) -> &mut [u8] {
        if self.start > 0 {
            self.buffer.copy_within(self.start..self.end, 0);
            self.end = self.end.saturating_sub(self.start);
            self.start = 0;
        }
        self.buffer.get_mut(self.end..).unwrap_or_default()
    }

    /// Takes note that `length` bytes of [`Self::spare`] were received.
    pub fn received(&mut self, length: usize) {
        self.end = self.end.saturating_add(length).min(self.buffer.len());
    }

    /// Whether bytes of an unfinished frame wait.
    pub fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// Overwrites everything received so far that was read: the PIN, after `Hello`.
    pub fn wipe_read(&mut self) {
        if let Some(read) = self.buffer.get_mut(..self.start) {
            read.zeroize();
        }
    }

    /// The next whole frame, if there is one.
    ///
    /// # Errors
    /// [`DecodeError`]; the stream cannot be read further.
    pub fn frame<M: Message>(&mut self) -> Result<Option<Frame<M>>, DecodeError> {
        let waiting = self.buffer.get(self.start..self.end).unwrap_or_default();
        let Some((length, rest)) = waiting.split_first_chunk::<LENGTH_BYTES>() else {
            return Ok(None);
        };
        let length = usize::try_from(u32::from_be_bytes(*length)).unwrap_or(usize::MAX);
        let longest = FRAME_MAX.saturating_sub(LENGTH_BYTES);
        if !(HEADER_BYTES..=longest).contains(&length) {
            return Err(DecodeError::FrameLength { length });
        }
        let Some(frame) = rest.get(..length) else {
            return Ok(None);
        };
        let frame = Frame::decode(frame)?;
        self.start = self
            .start
            .saturating_add(LENGTH_BYTES)
            .saturating_add(length);
        Ok(Some(frame))
    }
}
