//! What is frozen, by which entry, and from when on it is no longer.

use serde::{Deserialize, Serialize};
use tx::{Interval, Name, Time};

use super::{AttemptState, Lapse, NotRecalled, State, StateError};
use crate::{
    AttemptId, FreezeScope, FrozenBy, Policy, Unfrozen,
    statement::{Freeze, StatementError, Unfreeze},
};

/// A scope that was frozen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FreezeState {
    /// The entry that last froze it. Attempts before it are held for ever: the room that they were charged for
    /// may be given away by the time they could be released.
    pub at: u64,
    /// The `lo` from which on the scope is frozen no longer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Time>,
}

impl FreezeState {
    fn is_over(&self, lo: Time) -> bool {
        self.until.is_some_and(|until| until <= lo)
    }
}

impl State {
    /// What is frozen at a `lo`.
    pub fn freezes(&self, lo: Time) -> impl Iterator<Item = (&FreezeScope, &FreezeState)> {
        let lo = self.lo.max(lo);
        let freezes = self.freezes.iter();
        freezes.filter(move |(_, freeze)| !freeze.is_over(lo))
    }

    /// Whether this one key is frozen at a `lo`, by its name. Where everything is, the log's own keys sign on.
    pub fn is_key_frozen(&self, key: &Name, lo: Time) -> bool {
        let mut freezes = self.freezes(lo);
        freezes.any(|(scope, _)| matches!(scope, FreezeScope::Key(frozen) if frozen == key))
    }

    /// The last entry by which something was un-frozen, which a statement that freezes answers; 0 where
    /// there is none.
    pub fn last_unfrozen(&self) -> u64 {
        self.unfrozen
    }

    /// Whether an attempt may be neither signed nor released: a freeze whose scope holds it was
    /// journalled after it. True for an attempt that there is not.
    ///
    /// # Errors
    /// [`NotRecalled`].
    pub fn is_frozen(&self, attempt: AttemptId) -> Result<bool, NotRecalled> {
        let known = self.attempt(attempt)?;
        Ok(known.is_none_or(|state| self.freezes_hold(attempt, state)))
    }

    /// As [`State::is_frozen`], of an attempt whose row the caller has.
    pub fn freezes_hold(&self, attempt: AttemptId, state: &AttemptState) -> bool {
        let mut freezes = self.freezes.iter();
        freezes.any(|(scope, freeze)| freeze.at > attempt.0 && state.is_in(scope))
    }

    pub(super) fn freeze(&mut self, scope: &FreezeScope, at: u64) {
        let freeze = FreezeState { at, until: None };
        self.freezes.insert(scope.clone(), freeze);
    }

    pub(super) fn unfreeze(&mut self, index: u64, unfrozen: &Unfrozen) {
        self.unfrozen = index;
        if unfrozen.scope == FreezeScope::All {
            self.put_recovery_aside();
        }
        if let Some(freeze) = self.freezes.get_mut(&unfrozen.scope) {
            freeze.until = Some(unfrozen.from);
        }
    }

    /// By what it says, and that an officer signed it. What is frozen already is not frozen again: that would
    /// hold what an evacuate let out.
    pub(super) fn validate_frozen(&self, lo: Time, frozen: &FrozenBy) -> Result<(), StateError> {
        let by = &frozen.by;
        let statement = Freeze::parse(&by.statement).map_err(StateError::Unseal)?;
        if statement.hash() != by.hash || statement.scope != frozen.scope {
            return Err(StateError::Statement);
        }
        if self.fleet.as_ref() != Some(&statement.fleet) {
            return Err(StateError::Unseal(StatementError::Fleet));
        }
        if statement.unfrozen != self.unfrozen {
            return Err(StateError::Unfrozen {
                last: self.unfrozen,
            });
        }
        let known = self.freezes.get(&frozen.scope);
        if known.is_some_and(|freeze| freeze.until.is_none() && !freeze.is_over(lo)) {
            return Err(StateError::FrozenAlready);
        }
        let Some(policy) = self.policy() else {
            return Ok(());
        };
        let signed_by = statement.signed_by(&by.signatures, policy);
        match signed_by.map_err(StateError::Unseal)? == by.signed_by {
            true => Ok(()),
            false => Err(StateError::Statement),
        }
    }

    /// By what it says, that enough officers signed it, and that it holds from when the bundle says.
    pub(super) fn validate_unfrozen(
        &self,
        time: Interval,
        unfrozen: &Unfrozen,
    ) -> Result<(), StateError> {
        let lo = time.lo;
        let by = &unfrozen.by;
        let statement = Unfreeze::parse(&by.statement).map_err(StateError::Unseal)?;
        if statement.hash() != by.hash || statement.scope != unfrozen.scope {
            return Err(StateError::Statement);
        }
        if self.fleet.as_ref() != Some(&statement.fleet) {
            return Err(StateError::Unseal(StatementError::Fleet));
        }
        let known = self.freezes.get(&unfrozen.scope);
        if known.is_none_or(|freeze| freeze.at != statement.entry || freeze.until.is_some()) {
            return Err(StateError::NotFrozen);
        }
        let Some(policy) = self.policy() else {
            return Ok(());
        };
        let overdue = self.overdue(time);
        if let Some(Lapse { due, .. }) = overdue.filter(|_| unfrozen.scope == FreezeScope::All) {
            return Err(StateError::HeartbeatFirst { due });
        }
        let (said, must) = (unfrozen.from, frozen_until(lo, policy));
        if said != must {
            return Err(StateError::Delay { said, must });
        }
        let signed_by = statement.signed_by(&by.signatures, policy);
        match signed_by.map_err(StateError::Unseal)? == by.signed_by {
            true => Ok(()),
            false => Err(StateError::Statement),
        }
    }

    /// The `lo` from which on a scope is frozen no longer that is un-frozen now; `None` without a policy.
    pub fn frozen_until(&self, lo: Time) -> Option<Time> {
        let policy = self.policy()?;
        Some(frozen_until(self.lo.max(lo), policy))
    }
}

fn frozen_until(lo: Time, running: &Policy) -> Time {
    lo.after_millis(running.governance.unfreeze_delay_millis)
}
