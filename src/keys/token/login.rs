//! Logging in, once; and never again with a PIN that was rejected.

use std::sync::{Mutex, PoisonError};

use cryptoki::{
    error::{Error, RvError},
    session::{Session, SessionState, UserType},
    types::AuthPin,
};

use super::failure;
use crate::protocol::{Failure, Pin};

/// The user's PIN and what became of it. Login belongs to the process: one session logs in for all.
#[derive(Debug)]
pub(crate) struct Login(Mutex<State>);

#[derive(Debug)]
enum State {
    /// The PIN may be sent. The device never rejected it in this process.
    Usable(AuthPin),
    /// The device rejected the PIN, which was wiped.
    Final(Failure),
}

/// What [`Login::ensure`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LoggedIn {
    /// The process was logged in: handles of private objects hold.
    Already,
    /// It is now: such handles are to be found anew.
    Anew,
}

impl Login {
    /// Keeps the PIN.
    pub(crate) fn new(pin: &Pin) -> Self {
        let pin = AuthPin::from(pin.expose());
        Self(Mutex::new(State::Usable(pin)))
    }

    /// Makes sure that the process is logged in. The lock is held over the call, so that two
    /// threads never send a PIN at once: a wrong one would count twice.
    pub(crate) fn ensure(&self, session: &Session) -> Result<LoggedIn, Failure> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let pin = match &*state {
            State::Usable(pin) => pin,
            State::Final(rejected) => return Err(rejected.clone()),
        };
        let info = session.get_session_info().map_err(|e| failure(&e))?;
        if is_user(info.session_state()) {
            return Ok(LoggedIn::Already);
        }
        match session.login(UserType::User, Some(pin)) {
            Ok(()) | Err(Error::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => Ok(LoggedIn::Anew),
            Err(error) => {
                let failure = failure(&error);
                if failure.is_of_pin() {
                    *state = State::Final(failure.clone());
                }
                Err(failure)
            }
        }
    }
}

/// Whether a session in this state sees the user's private objects.
pub(super) fn is_user(state: SessionState) -> bool {
    matches!(state, SessionState::RoUser | SessionState::RwUser)
}
