//! A thread with a session of its own.

use std::{sync::Arc, thread};

use super::{Session, shared::Shared};
use crate::protocol::{Answer, Failure, Frame, Request, Residence, Sign};

struct Worker {
    shared: Arc<Shared>,
    session: Box<dyn Session>,
}

/// Which session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Which {
    /// One that is opened at the start.
    First,
    /// One that is opened because all others are busy.
    Further,
}

/// Counts the thread as inside the device's code until it is dropped, panic or not.
struct Inside(Arc<Shared>);

impl Drop for Inside {
    fn drop(&mut self) {
        self.0.leave();
    }
}

/// Starts a session thread, where there may be one more, which opens its session before it takes a request. Where a further one
/// cannot be opened the thread ends, and the child has all that the device gives. Where there is no thread to
/// be had, the others carry on.
pub(super) fn start(shared: &Arc<Shared>, session: Which) {
    if !shared.takes_a_thread() {
        return;
    }
    shared.enter();
    shared.queue.expect();
    let inside = Inside(Arc::clone(shared));
    let started = thread::Builder::new()
        .name("key-session".to_owned())
        .spawn(move || {
            let mut worker = Worker {
                shared: Arc::clone(&inside.0),
                session: Arc::clone(&inside.0.device).session(),
            };
            // Without one of the first the calls say what is wrong.
            if worker.session.open().is_ok() || session == Which::First {
                worker.work();
            } else {
                worker.shared.set_full();
                worker.shared.queue.expect_less();
            }
            drop(worker);
            drop(inside);
        });
    match started {
        Ok(thread) => shared.keep(thread),
        Err(_) => shared.queue.expect_less(),
    }
}

impl Worker {
    fn work(&mut self) {
        while let Some((frame, missing)) = self.shared.queue.next() {
            for _ in 0..missing {
                start(&self.shared, Which::Further);
            }
            let message = self.perform(frame.message).unwrap_or_else(|failure| {
                self.session.reset();
                self.shared.note(&failure);
                Answer::Failed(failure)
            });
            self.shared.answer(Frame {
                correlation: frame.correlation,
                message,
            });
            self.shared.queue.expect();
        }
    }

    fn perform(&mut self, request: Request) -> Result<Answer, Failure> {
        match request {
            Request::Hello(_) => Err(Failure::OutOfOrder),
            Request::Find { key } => self.session.find(&key).map(Answer::Key),
            Request::Public { key } => self.session.public(&key).map(Answer::Key),
            Request::Sign(Sign { call, key, input }) => {
                let signature = self.session.sign(&key, &input)?;
                Ok(Answer::Signed { call, signature })
            }
            Request::Generate {
                key,
                algorithm,
                residence: Residence::Token,
            } => self.session.generate(&key, algorithm).map(Answer::Key),
            Request::Destroy { key } => {
                self.session.destroy(&key)?;
                Ok(Answer::Destroyed)
            }
            Request::Health => self.health(),
            // Wrapped keys need a profile that passed the extraction test; none does yet.
            Request::Generate {
                residence: Residence::Session,
                ..
            }
            | Request::Wrap { .. }
            | Request::Unwrap { .. } => Err(Failure::Unsupported),
        }
    }

    fn health(&mut self) -> Result<Answer, Failure> {
        self.session.health()?;
        Ok(Answer::Healthy {
            waiting: u16::try_from(self.shared.queue.len()).unwrap_or(u16::MAX),
        })
    }
}
