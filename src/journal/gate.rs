//! The last look at what was signed before it leaves. A copy of the journal from before its decision, or from
//! between that and the entry with its signatures, would sign once more, and release that: where witnesses are
//! named, nothing leaves before enough of them know of both.

use policy::{AttemptId, RequestStatus};
use thiserror::Error;

#[cfg(test)]
use crate::defect::{self, Defect};
use crate::{RecallError, Rows};

/// What an answer tells of decisions, on its way out.
#[derive(Clone, Debug)]
#[must_use]
pub struct Leaving {
    shown: Vec<AttemptId>,
    last: u64,
}

/// Why it does not leave now.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Hold {
    /// An attempt is shown as signed, and is not.
    #[error("attempt {0} is shown as signed, and is not")]
    NotSigned(AttemptId),
    /// Too few witnesses have cosigned a checkpoint of the last entry that it tells of.
    #[error("too few witnesses have cosigned entry {last}")]
    Unwitnessed {
        /// The entry.
        last: u64,
    },
    /// A freeze holds an attempt, or the heartbeat is overdue.
    #[error("attempt {0} is frozen, or the heartbeat is overdue")]
    Frozen(AttemptId),
    /// What the journal knows of an attempt cannot be read.
    #[error(transparent)]
    Unread(#[from] RecallError),
}

impl Leaving {
    /// An answer that tells of decisions up to `newest`, and shows the signatures of some attempts.
    ///
    /// # Errors
    /// [`Hold::NotSigned`] and [`Hold::Unread`].
    pub fn new(rows: &Rows, newest: AttemptId, shown: Vec<AttemptId>) -> Result<Self, Hold> {
        let mut last = newest.0;
        for attempt in &shown {
            last = last.max(signed_at(rows, *attempt)?);
        }
        Ok(Self { shown, last })
    }

    /// The last entry that it tells of.
    pub fn last(&self) -> u64 {
        self.last
    }

    /// Whether it may leave: where witnesses are named, when as many entries as `witnessed` are cosigned by enough
    /// of them. `has_lapsed`: the heartbeat is overdue.
    ///
    /// # Errors
    /// [`Hold`].
    pub fn may_leave(
        &self,
        rows: &Rows,
        witnessed: Option<u64>,
        has_lapsed: bool,
    ) -> Result<(), Hold> {
        let last = self.last;
        #[cfg(test)]
        let witnessed = witnessed.filter(|_| !defect::is(Defect::Unwitnessed));
        if witnessed.is_some_and(|witnessed| witnessed <= last) {
            return Err(Hold::Unwitnessed { last });
        }
        for attempt in &self.shown {
            let is_frozen = rows.is_frozen(*attempt)?;
            #[cfg(test)]
            let is_frozen = defect::held(is_frozen);
            if is_frozen || has_lapsed {
                return Err(Hold::Frozen(*attempt));
            }
        }
        Ok(())
    }
}

/// The entry with the signatures of an attempt that is signed.
fn signed_at(rows: &Rows, attempt: AttemptId) -> Result<u64, Hold> {
    let known = rows.attempt(attempt)?;
    match known.map(|known| known.status()) {
        Some(RequestStatus::Signed { index }) => Ok(index),
        _ => Err(Hold::NotSigned(attempt)),
    }
}
