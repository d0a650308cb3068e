//! What the threads of a key child share.

use std::{
    collections::HashMap,
    io::Write,
    net::Shutdown,
    os::unix::net::UnixStream,
    sync::{Condvar, Mutex, OnceLock, PoisonError, RwLock},
    time::Duration,
};

use cryptoki::session::Session;

use super::{End, queue::Queue};
use crate::{
    device::TokenIdentity,
    key::KeyId,
    protocol::{Answer, Failure, Frame, Outgoing},
    token::{Access, Login, Token, TokenKey},
};

/// What the threads of a key child share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) token: Token,
    pub(super) login: Login,
    pub(super) queue: Queue,
    /// Only stays open: closing the last session of a process logs it out.
    anchor: Mutex<Option<Session>>,
    /// Found keys: to find one again costs 47 ms on a SoftHSM token with 1,000.
    found: RwLock<HashMap<KeyId, TokenKey>>,
    output: UnixStream,
    outgoing: Outgoing,
    /// Why the child ends by itself.
    end: OnceLock<End>,
    busy: Mutex<usize>,
    idle: Condvar,
}

impl Shared {
    pub(super) fn new(token: Token, login: Login, anchor: Session, output: UnixStream) -> Self {
        Self {
            token,
            login,
            queue: Queue::default(),
            anchor: Mutex::new(Some(anchor)),
            found: RwLock::default(),
            output,
            outgoing: Outgoing::default(),
            end: OnceLock::new(),
            busy: Mutex::new(0),
            idle: Condvar::new(),
        }
    }

    pub(super) fn identity(&self) -> &TokenIdentity {
        self.token.identity()
    }

    /// Closes the anchor; the sessions must be closed.
    pub(super) fn into_token(self) -> Token {
        drop(self.anchor);
        self.token
    }

    /// The process had to log in anew: no handle holds, and the anchor may be gone.
    pub(super) fn renew(&self) {
        self.forget_keys();
        let mut anchor = self.anchor.lock().unwrap_or_else(PoisonError::into_inner);
        *anchor = self.token.open(Access::ReadOnly).ok();
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

    /// A key that was found before.
    pub(super) fn cached(&self, key: &KeyId) -> Option<TokenKey> {
        let found = self.found.read().unwrap_or_else(PoisonError::into_inner);
        found.get(key).cloned()
    }

    /// Keeps a key that was found.
    pub(super) fn cache(&self, key: TokenKey) {
        let mut found = self.found.write().unwrap_or_else(PoisonError::into_inner);
        found.insert(key.description.key.clone(), key);
    }

    fn forget_keys(&self) {
        let mut found = self.found.write().unwrap_or_else(PoisonError::into_inner);
        found.clear();
    }

    /// Forgets a key.
    pub(super) fn forget(&self, key: &KeyId) {
        let mut found = self.found.write().unwrap_or_else(PoisonError::into_inner);
        found.remove(key);
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
