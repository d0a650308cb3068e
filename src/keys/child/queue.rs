//! Requests that wait for a session.

use std::{
    collections::VecDeque,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
};

use crate::protocol::{Frame, Request};

/// The most requests that wait. The server bounds what it sends far lower; a server that does not
/// is not read from until there is room.
const WAITING_MAX: usize = 4096;

/// A queue from the one reader to the session threads.
#[derive(Debug, Default)]
pub(super) struct Queue {
    state: Mutex<State>,
    filled: Condvar,
    emptied: Condvar,
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<Frame<Request>>,
    closed: bool,
    /// Threads that perform no request, also those that have yet to open their session. A thread that has
    /// taken a request before it was counted makes it less than none.
    free: isize,
    /// Those of them that wait. To wake nobody costs a system call all the same.
    idle: usize,
}

impl Queue {
    /// Counts a thread that is going to take a request: one that starts, and one that has answered.
    pub(super) fn expect(&self) {
        let mut state = self.lock();
        state.free = state.free.saturating_add(1);
    }

    /// Adds a request, waiting for room; whether more wait now than there are threads for.
    pub(super) fn push(&self, frame: Frame<Request>) -> bool {
        let mut state = self.lock();
        while state.waiting.len() >= WAITING_MAX && !state.closed {
            state = wait(&self.emptied, state);
        }
        state.waiting.push_back(frame);
        let free = usize::try_from(state.free).unwrap_or(0);
        let (wanted, crowded) = (state.idle > 0, state.waiting.len() > free);
        drop(state);
        if wanted {
            self.filled.notify_one();
        }
        crowded
    }

    /// The next request; waits for one. `None` after [`Self::close`]: what waited is dropped, since
    /// nobody is there to take the answers.
    pub(super) fn pop(&self) -> Option<Frame<Request>> {
        let mut state = self.lock();
        while state.waiting.is_empty() && !state.closed {
            state.idle = state.idle.saturating_add(1);
            state = wait(&self.filled, state);
            state.idle = state.idle.saturating_sub(1);
        }
        if state.closed {
            return None;
        }
        if state.waiting.len() >= WAITING_MAX {
            self.emptied.notify_one();
        }
        state.free = state.free.saturating_sub(1);
        state.waiting.pop_front()
    }

    /// How many wait.
    pub(super) fn len(&self) -> usize {
        self.lock().waiting.len()
    }

    /// Lets every thread go.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.filled.notify_all();
        self.emptied.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn wait<'a>(condition: &Condvar, guard: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
    condition
        .wait(guard)
        .unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(correlation: u64) -> Frame<Request> {
        Frame {
            correlation,
            message: Request::Health,
        }
    }

    #[test]
    fn requests_crowd_when_there_are_more_than_threads_that_can_take_them() {
        let queue = Queue::default();
        assert!(queue.push(request(1)), "nobody is there");
        queue.expect();
        queue.expect();
        assert!(!queue.push(request(2)), "two have yet to come");
        assert!(queue.push(request(3)));
        let taken = queue.pop().map(|frame| frame.correlation);
        assert_eq!(taken, Some(1));
        assert!(queue.push(request(4)), "one performs what it took");
        queue.expect();
        let _ = queue.pop();
        let _ = queue.pop();
        queue.expect();
        queue.expect();
        assert!(!queue.push(request(5)), "two are free, and two wait");
    }
}
