//! How attempts stand, for limits on what is outstanding.

use std::{collections::HashMap, fmt};

use tx::Time;

use super::{AttemptState, FateSaid, Row, RowKey, Standing, State, StateError, fates::fate_of};
use crate::{
    AttemptId, AttestationKind, ChargesError, Entry, Policy, UnreadBlock,
    window::{Member, Windows},
};

/// Where rows are read that memory let go of: those that the first entries wrote, as they left them.
pub trait SettledRows: Send + Sync + fmt::Debug {
    /// The row of this key, if there is any.
    ///
    /// # Errors
    /// [`UnreadBlock`] when it cannot be read, or is not what it was: never an absence.
    fn read(&self, key: &RowKey) -> Result<Option<Row>, UnreadBlock>;
}

/// What is read to know how an attempt stands.
pub(super) struct Standings<'a> {
    pub(super) policy: &'a Policy,
    pub(super) attempts: &'a HashMap<AttemptId, AttemptState>,
    pub(super) fates: &'a HashMap<AttemptId, Vec<FateSaid>>,
    /// `None` where memory has every row.
    pub(super) rows: Option<&'a dyn SettledRows>,
    pub(super) settled: u64,
}

impl Standings<'_> {
    pub(super) fn of(&self, attempt: AttemptId) -> Result<Standing, ChargesError> {
        let needed = |kind| self.policy.attestations.needed(kind);
        if needed(AttestationKind::Final) == 0 && needed(AttestationKind::Dead) == 0 {
            return Ok(Standing::Open);
        }
        let said = self.said(attempt)?;
        // Nothing is said of what is not signed.
        let is_signed = !said.is_empty()
            || needed(AttestationKind::Dead) == 0
            || self
                .attempt(attempt)?
                .is_none_or(|attempt| attempt.is_signed());
        Ok(Standing::of(self.policy, is_signed, &said))
    }

    fn said(&self, attempt: AttemptId) -> Result<Vec<FateSaid>, ChargesError> {
        if let Some(said) = self.fates.get(&attempt) {
            return Ok(said.clone());
        }
        match self.read(&RowKey::Fate(attempt))? {
            Some(Row::Fate(_, said)) => Ok(said),
            _ => Ok(Vec::new()),
        }
    }

    fn attempt(&self, attempt: AttemptId) -> Result<Option<AttemptState>, ChargesError> {
        if let Some(known) = self.attempts.get(&attempt) {
            return Ok(Some(known.clone()));
        }
        match self.read(&RowKey::Attempt(attempt))? {
            Some(Row::Attempt(_, known)) => Ok(Some(known)),
            _ => Ok(None),
        }
    }

    fn read(&self, key: &RowKey) -> Result<Option<Row>, ChargesError> {
        if self.settled == 0 {
            return Ok(None);
        }
        let kind = key.kind();
        let unread = |source| ChargesError::Row { kind, source };
        let Some(rows) = self.rows else {
            let reason = "nobody reads what memory let go of".to_owned();
            return Err(unread(UnreadBlock { reason }));
        };
        rows.read(key).map_err(unread)
    }
}

/// What an entry changes of a set.
pub(super) struct Touched {
    set: AttemptId,
    members: Vec<Member>,
    /// How the attempt stands that the entry is.
    fresh: Option<Standing>,
}

impl Touched {
    /// Lets the limits know, once the charge is counted that the entry may be.
    pub(super) fn settle(mut self, windows: &mut Windows, present: &super::Present, lo: Time) {
        if let Some((standing, charge)) = self.fresh.zip(windows.newest()) {
            self.members.push(Member { charge, standing });
        }
        windows.settle(present, self.set, &self.members, lo);
    }
}

impl State {
    /// Has rows read there that memory let go of.
    pub fn read_settled(&mut self, rows: std::sync::Arc<dyn SettledRows>) {
        self.rows = Some(rows);
    }

    /// What the entry at `index` changes of what is outstanding, where a limit asks. All is read that can
    /// fail.
    pub(super) fn touched(
        &self,
        index: u64,
        entry: &Entry,
    ) -> Result<Option<Touched>, ChargesError> {
        let Some(policy) = self
            .policy()
            .filter(|_| self.windows.ask_what_is_outstanding())
        else {
            return Ok(None);
        };
        let standings = Standings {
            policy,
            attempts: &self.attempts,
            fates: &self.fates,
            rows: self.rows.as_deref(),
            settled: self.settled,
        };
        let (changed, standing) = match entry {
            Entry::Attempt(attempt) => {
                let fresh = Some(Standing::of(policy, false, &[]));
                let set = attempt.set.unwrap_or(AttemptId(index));
                let members = match attempt.set {
                    Some(_) => self.members(&standings, set, None)?,
                    None => Vec::new(),
                };
                return Ok(Some(Touched {
                    set,
                    members,
                    fresh,
                }));
            }
            Entry::Signed(signed) => (signed.attempt, Standing::of(policy, true, &[])),
            Entry::Attested(said) => {
                let Some((attempt, now)) = fate_of(said) else {
                    return Ok(None);
                };
                let mut said = standings.said(attempt)?;
                now.among(&mut said);
                (attempt, Standing::of(policy, true, &said))
            }
            _ => return Ok(None),
        };
        let Some(attempt) = standings.attempt(changed)? else {
            return Ok(None);
        };
        let set = attempt.set();
        let members = self.members(&standings, set, Some((changed, standing)))?;
        Ok(Some(Touched {
            set,
            members,
            fresh: None,
        }))
    }

    /// The attempts of a set, with one of which is known how it stands.
    fn members(
        &self,
        standings: &Standings<'_>,
        set: AttemptId,
        known: Option<(AttemptId, Standing)>,
    ) -> Result<Vec<Member>, ChargesError> {
        let member = |charge: std::sync::Arc<crate::window::Charge>| {
            let known = known.filter(|(attempt, _)| *attempt == charge.attempt());
            let standing = match known {
                Some((_, standing)) => standing,
                None => standings.of(charge.attempt())?,
            };
            Ok(Member { charge, standing })
        };
        let charges = self.windows.members(set)?;
        charges.into_iter().map(member).collect()
    }

    /// Counts every limit anew, by the policy that is to govern.
    pub(super) fn recount(&mut self, present: &super::Present) -> Result<(), StateError> {
        let policy = &present.policy;
        let alike = self.policy().is_some_and(|old| settles_alike(old, policy));
        let standings = Standings {
            policy,
            attempts: &self.attempts,
            fates: &self.fates,
            rows: self.rows.as_deref(),
            settled: self.settled,
        };
        let standing = |attempt| standings.of(attempt);
        let counted = self.windows.recount(present, self.lo, alike, &standing);
        counted.map_err(StateError::Charges)
    }
}

/// Whether no set is outstanding under the new policy that was not looked at under the old one.
fn settles_alike(old: &Policy, new: &Policy) -> bool {
    let longest = |policy: &Policy| {
        let limits = policy.limits.iter();
        let asking = limits.filter(|limit| limit.says.outstanding);
        asking.map(|limit| limit.says.window_millis).max()
    };
    let settles = |policy: &Policy| {
        let Policy { attestations, .. } = policy;
        (attestations.attesters.clone(), attestations.needed.clone())
    };
    longest(old).is_some_and(|before| longest(new).is_none_or(|now| now <= before))
        && settles(old) == settles(new)
}
