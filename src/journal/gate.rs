//! The last look before a device is asked, and before what it signed leaves.
//!
//! A copy of the journal has forgotten what came after it. Where witnesses are named, a device is asked only for
//! what enough of them know to be decided, so that a copy has nothing signed that the original did not decide; and
//! nothing leaves before they know of the entry with the signatures, so that a copy from between the two releases
//! nothing that was frozen since.

use policy::{AttemptId, RequestStatus};
use thiserror::Error;

#[cfg(test)]
use crate::defect::{self, Defect};
use crate::{Committed, RecallError, Rows, SignOrder};

/// An order that may be carried out: durable, known to witnesses where there are any, and held by nothing.
#[derive(Debug)]
#[must_use]
pub struct Cleared(Committed<SignOrder>);

/// An order that may not be carried out now.
#[derive(Debug, Error)]
#[error("{hold}")]
pub struct Uncleared {
    /// It: to be looked at again, or to be said to have failed.
    pub order: Committed<SignOrder>,
    /// Why.
    #[source]
    pub hold: Hold,
}

impl Cleared {
    /// Looks at an order. `witnessed`: how many entries enough witnesses have cosigned, where any are named;
    /// `has_lapsed`: the heartbeat is overdue.
    ///
    /// # Errors
    /// [`Uncleared`].
    pub fn new(
        order: Committed<SignOrder>,
        rows: &Rows,
        witnessed: Option<u64>,
        has_lapsed: bool,
    ) -> Result<Self, Uncleared> {
        #[cfg(test)]
        let witnessed = witnessed.filter(|_| !defect::is(Defect::SignedUnwitnessed));
        let known = is_known(order.index(), witnessed);
        let held = known.and_then(|()| is_free(rows, order.value().attempt(), has_lapsed));
        match held {
            Ok(()) => Ok(Self(order)),
            Err(hold) => Err(Uncleared { order, hold }),
        }
    }

    /// The order, by value: it is carried out once.
    pub fn into_order(self) -> SignOrder {
        self.0.into_value()
    }

    /// The entry by which it is durable.
    pub fn index(&self) -> u64 {
        self.0.index()
    }
}

/// What an answer tells of decisions, on its way out.
#[derive(Clone, Debug)]
#[must_use]
pub struct Leaving {
    shown: Vec<AttemptId>,
    last: u64,
}

/// Why nothing is signed, or does not leave, now.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Hold {
    /// An attempt is shown as signed, and is not.
    #[error("attempt {0} is shown as signed, and is not")]
    NotSigned(AttemptId),
    /// Too few witnesses have cosigned a checkpoint of an entry.
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
        #[cfg(test)]
        let witnessed = witnessed.filter(|_| !defect::is(Defect::Unwitnessed));
        is_known(self.last, witnessed)?;
        let mut shown = self.shown.iter();
        shown.try_for_each(|attempt| is_free(rows, *attempt, has_lapsed))
    }
}

/// Whether enough witnesses know of the entry, where any are named.
fn is_known(last: u64, witnessed: Option<u64>) -> Result<(), Hold> {
    match witnessed.is_none_or(|witnessed| witnessed > last) {
        true => Ok(()),
        false => Err(Hold::Unwitnessed { last }),
    }
}

/// Whether nothing holds the attempt.
fn is_free(rows: &Rows, attempt: AttemptId, has_lapsed: bool) -> Result<(), Hold> {
    let is_frozen = rows.is_frozen(attempt)?;
    #[cfg(test)]
    let is_frozen = defect::held(is_frozen);
    match is_frozen || has_lapsed {
        true => Err(Hold::Frozen(attempt)),
        false => Ok(()),
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
