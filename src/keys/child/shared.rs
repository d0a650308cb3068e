//! What the threads of a key child share.

use std::{
    io::Write,
    mem,
    net::Shutdown,
    os::unix::net::UnixStream,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use super::{Device, End, queue::Queue};
use crate::protocol::{Answer, Failure, Frame, Outgoing};

/// What the threads of a key child share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) device: Arc<dyn Device>,
    pub(super) queue: Queue,
    /// The most session threads.
    pub(super) sessions: u16,
    /// Those that were started.
    threads: Mutex<Threads>,
    output: UnixStream,
    outgoing: Outgoing,
    /// Why the child ends by itself.
    end: OnceLock<End>,
    busy: Mutex<usize>,
    idle: Condvar,
    /// There are as many session threads as there may be, or as the device gives sessions.
    full: AtomicBool,
}

#[derive(Debug, Default)]
struct Threads {
    /// How many were started or are about to be.
    count: u16,
    started: Vec<JoinHandle<()>>,
}

impl Shared {
    pub(super) fn new(device: Arc<dyn Device>, output: UnixStream, sessions: u16) -> Self {
        Self {
            device,
            queue: Queue::default(),
            sessions,
            threads: Mutex::default(),
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

    /// Whether there may be one more session thread, which is counted from here on.
    pub(super) fn takes_a_thread(&self) -> bool {
        if self.full.load(Ordering::Relaxed) {
            return false;
        }
        let mut threads = self.threads();
        threads.count = threads.count.saturating_add(1);
        if threads.count >= self.sessions {
            self.set_full();
        }
        true
    }

    /// Keeps a thread that was started.
    pub(super) fn keep(&self, thread: JoinHandle<()>) {
        self.threads().started.push(thread);
    }

    /// Whether any was started.
    pub(super) fn has_threads(&self) -> bool {
        !self.threads().started.is_empty()
    }

    /// All that were started.
    pub(super) fn take_threads(&self) -> Vec<JoinHandle<()>> {
        mem::take(&mut self.threads().started)
    }

    fn threads(&self) -> MutexGuard<'_, Threads> {
        self.threads.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes an answer, together with those of other threads that wait.
    pub(super) fn answer(&self, frame: Frame<Answer>) {
        self.outgoing.push(&frame);
        let mut batch = self.outgoing.take();
        while let Some(bytes) = batch {
            // When the server is gone, who reads sees the end of the stream, and the process ends.
            let _ = (&self.output).write_all(&bytes);
            batch = self.outgoing.more(bytes);
        }
    }

    /// Takes note of what only a new process, or a person, can mend. A device that is gone ends the
    /// child: who reads sees the end of the stream.
    pub(super) fn note(&self, failure: &Failure) {
        if failure.is_of_pin() {
            let _ = self.end.set(End::Pin);
        } else if *failure == Failure::DeviceGone && self.end.set(End::Device).is_ok() {
            let _ = self.output.shutdown(Shutdown::Read);
        }
    }

    /// Why the child ends, when no more is read because of `end`.
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
