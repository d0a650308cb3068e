//! A thread with a session of its own.

use std::{
    io,
    sync::Arc,
    thread::{self, JoinHandle},
};

use cryptoki::session::Session;

use super::shared::Shared;
use crate::{
    device::Wrapping,
    key::{KeyAlgorithm, KeyId},
    protocol::{Answer, Bytes, Failure, Frame, Request, Residence, Sign},
    token::{self, Access, LoggedIn, SignFault, TokenKey},
};

struct Worker {
    shared: Arc<Shared>,
    /// Dropped after any error: a failed operation can stay active in it (CKR_OPERATION_ACTIVE).
    session: Option<Session>,
}

/// Counts the thread as inside the module until it is dropped, panic or not.
struct Inside(Arc<Shared>);

impl Drop for Inside {
    fn drop(&mut self) {
        self.0.leave();
    }
}

/// Starts a session thread.
pub(super) fn start(shared: &Arc<Shared>) -> io::Result<JoinHandle<()>> {
    shared.enter();
    let inside = Inside(Arc::clone(shared));
    thread::Builder::new()
        .name("key-session".to_owned())
        .spawn(move || {
            let mut worker = Worker {
                shared: Arc::clone(&inside.0),
                session: None,
            };
            worker.work();
            drop(worker);
            drop(inside);
        })
}

impl Worker {
    fn work(&mut self) {
        while let Some(frame) = self.shared.queue.pop() {
            let message = self.perform(frame.message).unwrap_or_else(|failure| {
                self.session = None;
                self.shared.note(&failure);
                Answer::Failed(failure)
            });
            self.shared.answer(Frame {
                correlation: frame.correlation,
                message,
            });
        }
    }

    fn perform(&mut self, request: Request) -> Result<Answer, Failure> {
        match request {
            Request::Hello(_) => Err(Failure::OutOfOrder),
            Request::Find { key } => {
                self.shared.forget(&key);
                self.key(&key).map(|found| Answer::Key(found.description))
            }
            Request::Public { key } => self.public(&key),
            Request::Sign(sign) => self.sign(&sign),
            Request::Generate {
                key,
                algorithm,
                residence: Residence::Token,
            } => self.generate(&key, algorithm),
            Request::Destroy { key } => self.destroy(&key),
            Request::Health => self.health(),
            // Wrapped keys need a profile that passed the extraction test; none does yet.
            Request::Generate {
                residence: Residence::Session,
                ..
            }
            | Request::Wrap { .. }
            | Request::Unwrap { .. } => match self.shared.token.profile().wrapping {
                Wrapping::NotClaimed | Wrapping::AesKeyWrapPad => Err(Failure::Unsupported),
            },
        }
    }

    /// The thread's session, logged in; a new one if there is none.
    fn session(&mut self) -> Result<&Session, Failure> {
        let session = match self.session.take() {
            Some(session) => session,
            None => {
                let session = self.shared.token.open(Access::ReadOnly)?;
                if self.shared.login.ensure(&session)? == LoggedIn::Anew {
                    self.shared.renew();
                }
                session
            }
        };
        Ok(self.session.insert(session))
    }

    /// A session of its own for one change to the token.
    fn writing_session(&mut self) -> Result<Session, Failure> {
        // First the ordinary one: it logs in where that is needed.
        self.session()?;
        self.shared.token.open(Access::ReadWrite)
    }

    fn key(&mut self, key: &KeyId) -> Result<TokenKey, Failure> {
        if let Some(found) = self.shared.cached(key) {
            return Ok(found);
        }
        let shared = Arc::clone(&self.shared);
        let found = token::find(self.session()?, key, shared.token.profile())?;
        shared.cache(found.clone());
        Ok(found)
    }

    fn public(&mut self, key: &KeyId) -> Result<Answer, Failure> {
        let public = token::public(self.session()?, key)?;
        Ok(Answer::Key(crate::protocol::KeyDescription {
            key: key.clone(),
            public,
            residence: Residence::Token,
        }))
    }

    /// Signs. Where a session, login or handle went stale before anything was signed, once more on
    /// a new session.
    fn sign(&mut self, sign: &Sign) -> Result<Answer, Failure> {
        let signature = match self.sign_once(sign)? {
            Attempt::Signed(signature) => signature,
            Attempt::Stale => {
                self.session = None;
                self.shared.forget(&sign.key);
                match self.sign_once(sign)? {
                    Attempt::Signed(signature) => signature,
                    Attempt::Stale => return Err(Failure::SessionLost),
                }
            }
        };
        Ok(Answer::Signed {
            call: sign.call,
            signature,
        })
    }

    fn sign_once(&mut self, sign: &Sign) -> Result<Attempt, Failure> {
        // The session first: opening one may find that handles no longer hold.
        self.session()?;
        let key = self.key(&sign.key)?;
        match token::sign(self.session()?, &key, &sign.input) {
            Ok(signature) => Ok(Attempt::Signed(signature)),
            Err(SignFault::Stale) => Ok(Attempt::Stale),
            Err(SignFault::Failed(failure)) => Err(failure),
        }
    }

    fn generate(&mut self, key: &KeyId, algorithm: KeyAlgorithm) -> Result<Answer, Failure> {
        let session = self.writing_session()?;
        let made = token::generate(&session, key, algorithm, self.shared.token.profile())?;
        let description = made.description.clone();
        self.shared.cache(made);
        Ok(Answer::Key(description))
    }

    fn destroy(&mut self, key: &KeyId) -> Result<Answer, Failure> {
        let session = self.writing_session()?;
        self.shared.forget(key);
        token::destroy(&session, key, self.shared.token.profile())?;
        Ok(Answer::Destroyed)
    }

    fn health(&mut self) -> Result<Answer, Failure> {
        let shared = Arc::clone(&self.shared);
        let session = self.session()?;
        if shared.login.ensure(session)? == LoggedIn::Anew {
            shared.renew();
        }
        Ok(Answer::Healthy {
            waiting: u16::try_from(shared.queue.len()).unwrap_or(u16::MAX),
        })
    }
}

enum Attempt {
    Signed(Bytes<128>),
    Stale,
}
