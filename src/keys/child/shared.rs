//! What the threads of a key child share.

use std::{
    io::Write,
    net::Shutdown,
    os::unix::net::UnixStream,
    sync::{
        Arc, Condvar, Mutex, OnceLock, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use super::{Device, End, queue::Queue};
use crate::protocol::{Answer, Failure, Frame, Outgoing};

/// What the threads of a key child share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) device: Arc<dyn Device>,
    pub(super) queue: Queue,
    output: UnixStream,
    outgoing: Outgoing,
    /// Why the child ends by itself.
    end: OnceLock<End>,
    busy: Mutex<usize>,
    idle: Condvar,
    /// The device gives no further session.
    full: AtomicBool,
}

impl Shared {
    pub(super) fn new(device: Arc<dyn Device>, output: UnixStream) -> Self {
        Self {
            device,
            queue: Queue::default(),
            output,
            outgoing: Outgoing::default(),
            end: OnceLock::new(),
            busy: Mutex::new(0),
            idle: Condvar::new(),
            full: AtomicBool::new(false),
        }
    }

    /// The device gives no further session.
    pub(super) fn set_full(&self) {
        self.full.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_full(&self) -> bool {
        self.full.load(Ordering::Relaxed)
    }

    /// Writes an answer, together with those of other threads that wait.
    pub(super) fn answer(&self, frame: Frame<Answer>) {
        self.outgoing.push(&frame);
        let mut batch = self.outgoing.take();
        while let Some(bytes) = batch {
            // When the server is gone, the reader sees the end of the stream and ends the process.
            let _ = (&self.output).write_all(&bytes);
            batch = self.outgoing.more(bytes);
        }
    }

    /// Takes note of what only a new process, or a person, can mend. A device that is gone ends the
    /// child: the reader sees the end of the stream.
    pub(super) fn note(&self, failure: &Failure) {
        if failure.is_of_pin() {
            let _ = self.end.set(End::Pin);
        } else if *failure == Failure::DeviceGone && self.end.set(End::Device).is_ok() {
            let _ = self.output.shutdown(Shutdown::Read);
        }
    }

    /// Why the child ends, when the reader ended because of `end`.
    pub(super) fn end_of(&self, end: End) -> End {
        self.end.get().copied().unwrap_or(end)
    }

    /// A session thread starts.
    pub(super) fn enter(&self) {
        let mut busy = self.busy.lock().unwrap_or_else(PoisonError::into_inner);
        *busy = busy.saturating_add(1);
    }

    /// A session thread has left the module for good.
    pub(super) fn leave(&self) {
        let mut busy = self.busy.lock().unwrap_or_else(PoisonError::into_inner);
        *busy = busy.saturating_sub(1);
        self.idle.notify_all();
    }

    /// Waits until all session threads left; false when `limit` was not enough.
    pub(super) fn wait_until_idle(&self, limit: Duration) -> bool {
        let busy = self.busy.lock().unwrap_or_else(PoisonError::into_inner);
        let (busy, _) = self
            .idle
            .wait_timeout_while(busy, limit, |busy| *busy > 0)
            .unwrap_or_else(PoisonError::into_inner);
        *busy == 0
    }
}
