//! A token as the key child drives it: one session a thread, and one more, the anchor, that only
//! stays open.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, RwLock},
};

use cryptoki::session::Session;

use super::{Access, LoggedIn, Login, SignFault, Token, TokenKey};
use crate::{
    child::{self, Device},
    device::TokenIdentity,
    key::{KeyAlgorithm, KeyId},
    protocol::{Bytes, Failure, KeyDescription, Pin, Residence, SignInput},
};

/// A token that is logged in to.
#[derive(Debug)]
pub(crate) struct TokenDevice {
    token: Token,
    login: Login,
    /// Only stays open: closing the last session of a process logs it out.
    anchor: Mutex<Option<Session>>,
    /// Found keys: to find one again costs 47 ms on a SoftHSM token with 1,000.
    found: RwLock<HashMap<KeyId, TokenKey>>,
}

impl TokenDevice {
    /// Logs in, once.
    pub(crate) fn log_in(token: Token, pin: Pin) -> Result<Self, Failure> {
        let anchor = token.open(Access::ReadOnly)?;
        let login = Login::new(&pin);
        drop(pin);
        login.ensure(&anchor)?;
        Ok(Self {
            token,
            login,
            anchor: Mutex::new(Some(anchor)),
            found: RwLock::default(),
        })
    }

    /// The process had to log in anew: no handle holds, and the anchor may be gone.
    fn renew(&self) {
        let mut found = self.found.write().unwrap_or_else(PoisonError::into_inner);
        found.clear();
        drop(found);
        let mut anchor = self.anchor.lock().unwrap_or_else(PoisonError::into_inner);
        *anchor = self.token.open(Access::ReadOnly).ok();
    }

    /// A key that was found before.
    fn cached(&self, key: &KeyId) -> Option<TokenKey> {
        let found = self.found.read().unwrap_or_else(PoisonError::into_inner);
        found.get(key).cloned()
    }

    /// Keeps a key that was found.
    fn cache(&self, key: TokenKey) {
        let mut found = self.found.write().unwrap_or_else(PoisonError::into_inner);
        found.insert(key.description.key.clone(), key);
    }

    /// Forgets a key.
    fn forget(&self, key: &KeyId) {
        let mut found = self.found.write().unwrap_or_else(PoisonError::into_inner);
        found.remove(key);
    }
}

impl Device for TokenDevice {
    fn identity(&self) -> &TokenIdentity {
        self.token.identity()
    }

    fn session(self: Arc<Self>) -> Box<dyn child::Session> {
        Box::new(TokenSession {
            device: self,
            session: None,
        })
    }

    fn close(&self) {
        let mut anchor = self.anchor.lock().unwrap_or_else(PoisonError::into_inner);
        drop(anchor.take());
        // The process ends next; there is nobody to tell.
        let _ = self.token.finalize();
    }
}

/// A thread's session.
struct TokenSession {
    device: Arc<TokenDevice>,
    /// Dropped after any error: a failed operation can stay active in it (CKR_OPERATION_ACTIVE).
    session: Option<Session>,
}

impl TokenSession {
    /// The thread's session, logged in; a new one if there is none.
    fn session(&mut self) -> Result<&Session, Failure> {
        let session = match self.session.take() {
            Some(session) => session,
            None => {
                let session = self.device.token.open(Access::ReadOnly)?;
                if self.device.login.ensure(&session)? == LoggedIn::Anew {
                    self.device.renew();
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
        self.device.token.open(Access::ReadWrite)
    }

    fn key(&mut self, key: &KeyId) -> Result<TokenKey, Failure> {
        if let Some(found) = self.device.cached(key) {
            return Ok(found);
        }
        let device = Arc::clone(&self.device);
        let found = super::find(self.session()?, key, device.token.profile())?;
        device.cache(found.clone());
        Ok(found)
    }

    fn sign_once(&mut self, key: &KeyId, input: &SignInput) -> Result<Attempt, Failure> {
        // The session first: opening one may find that handles no longer hold.
        self.session()?;
        let key = self.key(key)?;
        match super::sign(self.session()?, &key, input) {
            Ok(signature) => Ok(Attempt::Signed(signature)),
            Err(SignFault::Stale) => Ok(Attempt::Stale),
            Err(SignFault::Failed(failure)) => Err(failure),
        }
    }
}

impl child::Session for TokenSession {
    fn open(&mut self) -> Result<(), Failure> {
        self.session().map(|_open| ())
    }

    fn find(&mut self, key: &KeyId) -> Result<KeyDescription, Failure> {
        self.device.forget(key);
        self.key(key).map(|found| found.description)
    }

    fn public(&mut self, key: &KeyId) -> Result<KeyDescription, Failure> {
        let public = super::public(self.session()?, key)?;
        Ok(KeyDescription {
            key: key.clone(),
            public,
            residence: Residence::Token,
        })
    }

    /// Signs. Where a session, login or handle went stale before anything was signed, once more on
    /// a new session.
    fn sign(&mut self, key: &KeyId, input: &SignInput) -> Result<Bytes<128>, Failure> {
        self.device.token.profile().takes(input)?;
        if let Attempt::Signed(signature) = self.sign_once(key, input)? {
            return Ok(signature);
        }
        self.session = None;
        self.device.forget(key);
        match self.sign_once(key, input)? {
            Attempt::Signed(signature) => Ok(signature),
            Attempt::Stale => Err(Failure::SessionLost),
        }
    }

    fn generate(
        &mut self,
        key: &KeyId,
        algorithm: KeyAlgorithm,
    ) -> Result<KeyDescription, Failure> {
        let session = self.writing_session()?;
        let made = super::generate(&session, key, algorithm, self.device.token.profile())?;
        let description = made.description.clone();
        self.device.cache(made);
        Ok(description)
    }

    fn destroy(&mut self, key: &KeyId) -> Result<(), Failure> {
        let session = self.writing_session()?;
        self.device.forget(key);
        super::destroy(&session, key, self.device.token.profile())
    }

    fn health(&mut self) -> Result<(), Failure> {
        let device = Arc::clone(&self.device);
        if device.login.ensure(self.session()?)? == LoggedIn::Anew {
            device.renew();
        }
        Ok(())
    }

    fn reset(&mut self) {
        self.session = None;
    }
}

enum Attempt {
    Signed(Bytes<128>),
    Stale,
}
