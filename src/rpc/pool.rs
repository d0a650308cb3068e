//! Connections that wait for the next call.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::Instant;

use crate::link::Link;

/// How long a connection waits. Bitcoin Core closes its after half a minute; one that closes while a
/// request is on its way leaves open what became of it.
const IDLE_MAX: Duration = Duration::from_secs(10);

/// A bounded number of connections. The one used last is used next.
pub(crate) struct Pool {
    idle: Mutex<Vec<(Link, Instant)>>,
    idle_max: usize,
    calls: Semaphore,
}

impl Pool {
    /// At most `calls_max` calls at once, and at most `idle_max` connections that wait.
    pub(crate) fn new(calls_max: usize, idle_max: usize) -> Self {
        Self {
            idle: Mutex::default(),
            idle_max,
            calls: Semaphore::new(calls_max.clamp(1, Semaphore::MAX_PERMITS)),
        }
    }

    /// Waits until one more call may be made.
    pub(crate) async fn enter(&self) -> Option<SemaphorePermit<'_>> {
        self.calls.acquire().await.ok()
    }

    /// A connection that waits.
    pub(crate) fn take(&self) -> Option<Link> {
        let mut idle = self.idle();
        while let Some((link, since)) = idle.pop() {
            if link.is_open() && since.elapsed() < IDLE_MAX {
                return Some(link);
            }
        }
        None
    }

    /// Keeps a connection for the next call, if there is room.
    pub(crate) fn put(&self, link: Link) {
        let mut idle = self.idle();
        if link.is_open() && idle.len() < self.idle_max {
            idle.push((link, Instant::now()));
        }
    }

    fn idle(&self) -> MutexGuard<'_, Vec<(Link, Instant)>> {
        // A panic elsewhere cannot have left half a connection in it.
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
