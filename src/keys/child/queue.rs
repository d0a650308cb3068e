//! Requests, from the socket to the session threads.
//!
//! No thread is there to read alone: whoever is free and finds nothing reads for all, takes the first of what
//! came, and leaves the reading to the next. A request so wakes one thread and not two, and where all threads
//! are busy it wakes none.

use std::{
    collections::VecDeque,
    io,
    os::unix::net::UnixStream,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
};

use rustix::{
    event::{PollFd, PollFlags, poll},
    net::{RecvFlags, recv},
};

use super::End;
use crate::protocol::{Frame, Inbox, Request};

/// What the threads take requests from.
#[derive(Debug, Default)]
pub(super) struct Queue {
    state: Mutex<State>,
    /// Something waits, nobody reads, or it has ended.
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<Frame<Request>>,
    /// Where they come from, while nobody reads.
    source: Option<Source>,
    /// Why no more will come.
    end: Option<End>,
    /// Threads that perform no request, also those that have yet to open their session.
    free: usize,
    /// How many wait for [`Queue::changed`]. To wake nobody costs a system call all the same.
    idle: usize,
}

/// The server's side of the socket.
#[derive(Debug)]
pub(super) struct Source {
    socket: UnixStream,
    inbox: Inbox,
}

impl Queue {
    /// Lets requests be read.
    pub(super) fn open(&self, source: Source) {
        self.lock().source = Some(source);
        self.changed.notify_all();
    }

    /// Counts a thread that is going to take a request: one that starts, and one that has answered.
    pub(super) fn expect(&self) {
        let mut state = self.lock();
        state.free = state.free.saturating_add(1);
    }

    /// Counts one less: it could not be started.
    pub(super) fn expect_less(&self) {
        let mut state = self.lock();
        state.free = state.free.saturating_sub(1);
    }

    /// The next request, and how many threads more there should be: so many that each of those that wait has
    /// one, and one is left to read. Waits for a request; `None` when no more will come: what waited is
    /// dropped, since nobody is there to take the answers.
    pub(super) fn next(&self) -> Option<(Frame<Request>, usize)> {
        let mut state = self.lock();
        loop {
            if state.end.is_some() {
                return None;
            }
            if let Some(frame) = state.waiting.pop_front() {
                state.free = state.free.saturating_sub(1);
                let wanted = state.waiting.len().saturating_add(1);
                let missing = wanted.saturating_sub(state.free);
                let is_idle = state.idle > 0;
                drop(state);
                if is_idle {
                    self.changed.notify_one();
                }
                return Some((frame, missing));
            }
            state = match state.source.take() {
                Some(source) => self.read(state, source),
                None => self.wait(state),
            };
        }
    }

    /// Why no more will come, once that is so.
    pub(super) fn end(&self) -> End {
        let mut state = self.lock();
        loop {
            if let Some(end) = state.end {
                return end;
            }
            // What was sent before the end may break the protocol.
            state = match state.source.take() {
                Some(source) => self.read(state, source),
                None => self.wait(state),
            };
        }
    }

    /// How many wait.
    pub(super) fn len(&self) -> usize {
        self.lock().waiting.len()
    }

    /// Reads for all.
    fn read<'a>(
        &'a self,
        state: MutexGuard<'a, State>,
        mut source: Source,
    ) -> MutexGuard<'a, State> {
        drop(state);
        let mut frames = VecDeque::new();
        let read = source.read(&mut frames);
        let mut state = self.lock();
        match read {
            Ok(()) => {
                state.waiting.append(&mut frames);
                state.source = Some(source);
            }
            Err(end) => {
                // Whoever waits for the end of the stream sees it.
                let _ = source.socket.shutdown(std::net::Shutdown::Read);
                state.end = Some(end);
                self.changed.notify_all();
            }
        }
        state
    }

    fn wait<'a>(&'a self, mut state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        state.idle = state.idle.saturating_add(1);
        let waited = self.changed.wait(state);
        let mut state = waited.unwrap_or_else(PoisonError::into_inner);
        state.idle = state.idle.saturating_sub(1);
        state
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Source {
    /// A socket, with what was received from it already.
    pub(super) fn new(socket: UnixStream, inbox: Inbox) -> Self {
        Self { socket, inbox }
    }

    /// The next message.
    ///
    /// # Errors
    /// [`End`].
    pub(super) fn first(&mut self) -> Result<Frame<Request>, End> {
        loop {
            if let Some(frame) = self.inbox.frame().map_err(|_| End::Protocol)? {
                return Ok(frame);
            }
            self.receive()?;
        }
    }

    /// Overwrites what was read: the PIN.
    pub(super) fn wipe_read(&mut self) {
        self.inbox.wipe_read();
    }

    /// Waits for requests, and reads all that came.
    fn read(&mut self, frames: &mut VecDeque<Frame<Request>>) -> Result<(), End> {
        loop {
            while let Some(frame) = self.inbox.frame().map_err(|_| End::Protocol)? {
                frames.push_back(match frame {
                    Frame {
                        message: Request::Hello(_),
                        ..
                    } => return Err(End::Protocol),
                    frame => frame,
                });
            }
            if !frames.is_empty() {
                return Ok(());
            }
            self.receive()?;
        }
    }

    /// Waits for bytes. A thread that waits in the call that reads is woken whenever the server has taken an
    /// answer as well: once a signature, for nothing.
    fn receive(&mut self) -> Result<(), End> {
        loop {
            let (read, _) = match recv(&self.socket, self.inbox.spare(), RecvFlags::DONTWAIT) {
                Err(rustix::io::Errno::AGAIN) => {
                    wait(&self.socket).map_err(|_| End::Protocol)?;
                    continue;
                }
                Err(rustix::io::Errno::INTR) => continue,
                // How a Unix socket says that it was closed before all answers were read.
                Err(rustix::io::Errno::CONNRESET) => return Err(End::Closed),
                Err(_) => return Err(End::Protocol),
                Ok(received) => received,
            };
            return match read {
                0 if self.inbox.is_empty() => Err(End::Closed),
                0 => Err(End::Protocol),
                length => {
                    self.inbox.received(length);
                    Ok(())
                }
            };
        }
    }
}

/// Waits for something to read, or the end.
fn wait(socket: &UnixStream) -> io::Result<()> {
    match poll(&mut [PollFd::new(socket, PollFlags::IN)], None) {
        Err(rustix::io::Errno::INTR) | Ok(_) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Waits until the server has closed its side, or this one is shut. What comes before wakes nobody here.
pub(super) fn until_closed(socket: &UnixStream) {
    loop {
        let mut watched = [PollFd::new(socket, PollFlags::RDHUP)];
        match poll(&mut watched, None) {
            Err(rustix::io::Errno::INTR) => {}
            _ => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::Write,
        sync::{Arc, mpsc},
        thread,
    };

    use super::*;

    fn frame(correlation: u64) -> Vec<u8> {
        let mut bytes = Vec::new();
        Frame {
            correlation,
            message: Request::Health,
        }
        .append_to(&mut bytes);
        bytes
    }

    fn opened() -> (Queue, UnixStream) {
        let (near, far) = UnixStream::pair().unwrap();
        let queue = Queue::default();
        queue.open(Source::new(far, Inbox::default()));
        (queue, near)
    }

    fn taken(queue: &Queue) -> (u64, usize) {
        let (frame, missing) = queue.next().unwrap();
        (frame.correlation, missing)
    }

    #[test]
    fn there_is_a_thread_for_each_that_waits_and_one_that_reads() {
        let (queue, mut server) = opened();
        queue.expect();
        queue.expect();
        server.write_all(&frame(1)).unwrap();
        assert_eq!(taken(&queue), (1, 0), "the other one reads");
        server.write_all(&frame(2)).unwrap();
        assert_eq!(taken(&queue), (2, 1), "nobody is left");
        queue.expect();
        queue.expect();
        server
            .write_all(&[frame(3), frame(4), frame(5)].concat())
            .unwrap();
        assert_eq!(taken(&queue), (3, 2), "two wait, one is free");
        queue.expect();
        queue.expect();
        assert_eq!((queue.len(), taken(&queue)), (2, (4, 0)));
    }

    #[test]
    fn each_request_goes_to_one_thread_and_all_end_with_the_stream() {
        const REQUESTS: u64 = 2_000;
        let (queue, mut server) = opened();
        let (queue, answers) = (Arc::new(queue), mpsc::channel());
        let (answer, answered) = answers;
        let threads: Vec<_> = (0..4)
            .map(|_| {
                let (queue, answer) = (Arc::clone(&queue), answer.clone());
                thread::spawn(move || {
                    queue.expect();
                    while let Some((frame, _)) = queue.next() {
                        answer.send(frame.correlation).unwrap();
                        queue.expect();
                    }
                })
            })
            .collect();
        for correlation in 0..REQUESTS {
            server.write_all(&frame(correlation)).unwrap();
        }
        let mut taken: Vec<_> = (0..REQUESTS).map(|_| answered.recv().unwrap()).collect();
        taken.sort_unstable();
        assert!(taken.into_iter().eq(0..REQUESTS));
        drop(server);
        assert_eq!(queue.end(), End::Closed);
        for thread in threads {
            thread.join().unwrap();
        }
    }

    #[test]
    fn the_end_is_what_was_sent_before_it() {
        let (queue, mut server) = opened();
        server
            .write_all(&[frame(1), vec![0xff; 4]].concat())
            .unwrap();
        drop(server);
        assert_eq!(queue.end(), End::Protocol);
        assert!(queue.next().is_none());
        let (queue, server) = opened();
        drop(server);
        assert_eq!(queue.end(), End::Closed);
        let (queue, mut server) = opened();
        server.write_all(&frame(1)[..5]).unwrap();
        drop(server);
        assert_eq!(queue.end(), End::Protocol);
    }

    #[test]
    fn nobody_waits_for_the_end_that_is_not_there_yet() {
        let (near, far) = UnixStream::pair().unwrap();
        let watched = far.try_clone().unwrap();
        let waiting = thread::spawn(move || until_closed(&watched));
        (&near).write_all(&frame(1)).unwrap();
        assert!(!waiting.is_finished());
        far.shutdown(std::net::Shutdown::Read).unwrap();
        waiting.join().unwrap();
        drop(near);
    }
}
