//! Frames on their way out: whoever finds nobody writing writes for all.

use std::{
    mem,
    sync::{Mutex, PoisonError},
};

use super::{Frame, Message};

/// Frames that wait to be written. Several threads add; one of them at a time writes, and writes
/// all that gathered meanwhile at once.
#[derive(Debug, Default)]
pub(crate) struct Outgoing(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    waiting: Vec<u8>,
    writing: bool,
}

impl Outgoing {
    /// Adds a frame; whoever adds one calls [`Self::take`] after.
    pub(crate) fn push<M: Message>(&self, frame: &Frame<M>) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        frame.append_to(&mut state.waiting);
    }

    /// The bytes that wait, if there are any and nobody writes. `Some` makes the caller the writer:
    /// it writes them, then asks [`Self::more`] until that answers `None`.
    pub(crate) fn take(&self) -> Option<Vec<u8>> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if state.writing || state.waiting.is_empty() {
            return None;
        }
        state.writing = true;
        Some(mem::take(&mut state.waiting))
    }

    /// The bytes that gathered while `written` was written, or `None`: the caller writes no more.
    pub(crate) fn more(&self, mut written: Vec<u8>) -> Option<Vec<u8>> {
        written.clear();
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if state.waiting.is_empty() {
            state.writing = false;
            // Its allocation serves the next frame.
            state.waiting = written;
            return None;
        }
        Some(mem::replace(&mut state.waiting, written))
    }
}
