//! The last step of an answer that shows what was signed: with witnesses named, it waits until enough of
//! them have cosigned a checkpoint that covers its decision and the entry with its signatures. A copy of the
//! journal from between the two would else sign the decision once more, and release that.

use std::time::Duration;

use api::{
    problem::{Problem, ProblemKind},
    server::Answer,
};
use policy::{AttemptId, RequestStatus};
use tokio::time::Instant;

use crate::{service::Service, verbs::requests::forgotten};

/// How long an answer waits for witnesses.
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
        let mut last = newest.0;
        for attempt in &self.shown {
            last = last.max(signed_at(service, *attempt)?);
        }
        witnessed(service, newest, last).await?;
        if let Some(seal) = service.sealed() {
            // Not of kind `sealed`, which says that nothing was decided.
            let detail = format!("The decision stands, and the daemon is sealed: {seal}");
            return Err(Problem::new(ProblemKind::JournalStopped, detail));
        }
        for attempt in &self.shown {
            let frozen = service.journal.is_held(*attempt);
            if !frozen.map_err(|error| forgotten(&error))? {
                continue;
            }
            let detail = "A freeze withholds what was signed.";
            return Err(Problem::new(ProblemKind::Withheld, detail));
        }
        Ok(self.answer)
    }
}

/// The entry with the signatures of an attempt that is signed.
fn signed_at(service: &Service, attempt: AttemptId) -> Result<u64, Problem> {
    let known = service.journal.rows().attempt(attempt);
    let known = known.map_err(|error| forgotten(&error))?;
    match known.map(|known| known.status()) {
        Some(RequestStatus::Signed { index }) => Ok(index),
        _ => {
            let detail = format!("Attempt {attempt} is shown as signed, and is not.");
            Err(Problem::new(ProblemKind::Internal, detail))
        }
    }
}

/// Waits until the decision may be known outside, with all entries up to `last`.
async fn witnessed(service: &Service, decision: AttemptId, last: u64) -> Result<(), Problem> {
    let deadline = Instant::now().checked_add(PATIENCE);
    let deadline = deadline.unwrap_or_else(Instant::now);
    let mut place = None;
    loop {
        // Asked anew after each wait: another bundle may govern by now.
        let policy = service.policy()?;
        let Some(quorum) = &policy.witnesses else {
            return Ok(());
        };
        if service.witnesses.witnessed(quorum) > last {
            return Ok(());
        }
        if place.is_none() {
            place = Some(service.witnesses.place().ok_or_else(crowded)?);
            service.checkpoints.hurry(last);
        }
        let covered = service.witnesses.until_witnessed(quorum, last, deadline);
        if !covered.await {
            service.metrics.unwitnessed.increment();
            service.witnesses.set_overdue();
            return Err(unwitnessed(
                decision,
                quorum.needed(),
                quorum.witnesses().len(),
            ));
        }
    }
}

fn crowded() -> Problem {
    let detail = "Too many answers wait for witnesses. Ask again with the same request id.";
    Problem::new(ProblemKind::Unwitnessed, detail)
}

fn unwitnessed(decision: AttemptId, needed: usize, named: usize) -> Problem {
    let detail = format!(
        "Attempt {decision} is charged, and what was signed for it is held back: {needed} of {named} \
         witnesses have not cosigned a checkpoint that covers it. Ask again with the same request id: it \
         is charged once and gets the same signature."
    );
    Problem::new(ProblemKind::Unwitnessed, detail)
}
