//! What waits for witnesses, where the policy names some: an order, until enough of them have cosigned a
//! checkpoint that covers its decision; and as the last step an answer that shows what was signed, until they have
//! of the entry with the signatures. Whether a device may be asked, and whether an answer may leave, is the
//! journal's word ([`journal::Cleared`], [`journal::Leaving`]).

use std::time::Duration;

use api::{
    problem::{Problem, ProblemKind},
    server::Answer,
};
use journal::{Cleared, Committed, Hold, Leaving, SignOrder, Uncleared};
use policy::AttemptId;
use tlog::cosignature::Quorum;
use tokio::time::Instant;

use crate::{service::Service, verbs::requests::forgotten};

/// How long one of them waits.
const PATIENCE: Duration = Duration::from_secs(5);

/// An answer that is not given yet. [`Unreleased::release`] is the only way to it.
#[derive(Debug)]
#[must_use]
pub struct Unreleased {
    answer: Answer,
    /// The last decision that it tells of.
    newest: Option<AttemptId>,
    /// The attempts whose signatures it shows.
    shown: Vec<AttemptId>,
}

impl Unreleased {
    /// An answer that shows nothing that was decided.
    pub fn free(answer: Answer) -> Self {
        Self {
            answer,
            newest: None,
            shown: Vec::new(),
        }
    }

    /// An answer that tells of a decision, and shows its signatures.
    pub fn signed(answer: Answer, attempt: AttemptId) -> Self {
        Self {
            answer,
            newest: Some(attempt),
            shown: vec![attempt],
        }
    }

    /// An answer that tells of decisions up to `newest`, and shows the signatures of some.
    pub fn telling(answer: Answer, newest: Option<AttemptId>, shown: Vec<AttemptId>) -> Self {
        Self {
            answer,
            newest,
            shown,
        }
    }

    /// Gives the answer, once the witnesses of the policy that governs then have cosigned it.
    ///
    /// # Errors
    /// A problem of kind `unwitnessed` when they have not in time: the same request again gets the same
    /// answer. Others when the daemon was sealed, or the signatures frozen, in the meantime.
    pub async fn release(self, service: &Service) -> Result<Answer, Problem> {
        let Some(newest) = self.newest else {
            return Ok(self.answer);
        };
        let leaving = service.journal.leaving(newest, self.shown);
        let leaving = leaving.map_err(|hold| held(&hold))?;
        let look =
            |leaving: Leaving, witnessed| match service.journal.may_leave(&leaving, witnessed) {
                Ok(()) => Ok(()),
                Err(hold) => Err((leaving, hold)),
            };
        known(service, newest, leaving, look).await?;
        Ok(self.answer)
    }
}

/// Lets the device be asked for what was ordered, once the witnesses of the policy that governs then know of it.
///
/// # Errors
/// A problem of kind `unwitnessed` when they do not in time, and others when the daemon was sealed, or a freeze
/// came, in the meantime: the device is not asked, which is to be recorded.
pub async fn cleared(service: &Service, order: Committed<SignOrder>) -> Result<Cleared, Problem> {
    let attempt = order.value().attempt();
    let look = |order, witnessed| {
        let cleared = service.journal.clear(order, witnessed);
        cleared.map_err(|Uncleared { order, hold }| (order, hold))
    };
    known(service, attempt, order, look).await
}

/// Looks at what waits until it waits for witnesses no longer: again each time that enough of them have cosigned
/// more.
async fn known<W, T>(
    service: &Service,
    decision: AttemptId,
    mut waiting: W,
    look: impl Fn(W, Option<u64>) -> Result<T, (W, Hold)>,
) -> Result<T, Problem> {
    let deadline = Instant::now().checked_add(PATIENCE);
    let deadline = deadline.unwrap_or_else(Instant::now);
    let mut place = None;
    loop {
        // Asked anew after each wait: another bundle may govern by now.
        let policy = service.policy()?;
        let quorum = policy.witnesses.as_ref();
        let witnessed = quorum.map(|quorum| service.witnesses.witnessed(quorum));
        if let Some(seal) = service.sealed() {
            // Not of kind `sealed`, which says that nothing was decided.
            let detail = format!("The decision stands, and the daemon is sealed: {seal}");
            return Err(Problem::new(ProblemKind::JournalStopped, detail));
        }
        let hold = match look(waiting, witnessed) {
            Ok(known) => return Ok(known),
            Err((back, hold)) => {
                waiting = back;
                hold
            }
        };
        let (Hold::Unwitnessed { last }, Some(quorum)) = (&hold, quorum) else {
            return Err(held(&hold));
        };
        if place.is_none() {
            place = Some(service.witnesses.place().ok_or_else(crowded)?);
            service.checkpoints.hurry(*last);
        }
        let covered = service.witnesses.until_witnessed(quorum, *last, deadline);
        if !covered.await {
            service.metrics.unwitnessed.increment();
            service.witnesses.set_overdue();
            return Err(unwitnessed(decision, quorum));
        }
    }
}

fn crowded() -> Problem {
    let detail = "Too many answers wait for witnesses. Ask again with the same request id.";
    Problem::new(ProblemKind::Unwitnessed, detail)
}

fn unwitnessed(decision: AttemptId, quorum: &Quorum) -> Problem {
    let (needed, named) = (quorum.needed(), quorum.witnesses().len());
    let detail = format!(
        "Attempt {decision} is charged, and held back: {needed} of {named} witnesses have not cosigned a \
         checkpoint that covers it. Ask again with the same request id: it is charged once, and what is \
         signed for it stays the same."
    );
    Problem::new(ProblemKind::Unwitnessed, detail)
}

/// The problem of what no wait helps against.
fn held(hold: &Hold) -> Problem {
    match hold {
        Hold::Frozen(_) => {
            let detail = "A freeze withholds what is signed, or was to be.";
            Problem::new(ProblemKind::Withheld, detail)
        }
        Hold::Unread(error) => forgotten(error),
        _ => Problem::new(ProblemKind::Internal, hold.to_string()),
    }
}
