//! Evaluation: what the policy and the state say of a request (`docs/semantics.md`, "Evaluate").
//!
//! Every check looks at the whole case and adds what it finds; none stops another, so that a
//! refusal lists everything, and no order means anything.

mod conflicts;
mod drain;
mod facts;
mod findings;
mod freeze;
mod grants;
mod intents;
mod limits;
mod met;
mod permit;
mod statements;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use thiserror::Error;
use tx::{ConflictKey, Decoded, Interval, Name, Time};

use crate::{
    AttemptId, AttemptState, ChargesError, Digest, Fact, Policy, Refusal, Request, RequestStatus,
    State, Verdict, state::Present,
};
use findings::{Findings, Spoken};

/// Decides on a request: at `now`, which is not before the state's own time, and whose transaction
/// was decoded with the state's own registry.
///
/// A request that has an unsigned attempt is taken up again: charged now, in the same conflict set.
///
/// # Errors
/// [`EvaluateError`]: what the verdict hangs on is not known, so that there is none.
pub fn evaluate(
    state: &State,
    now: Interval,
    decoded: &Decoded,
    request: &Request,
) -> Result<Verdict, EvaluateError> {
    decide(state, now, decoded, request, &met::approvals(request))
}

/// As [`evaluate`], with the people who approved, by the fingerprint of the need.
fn decide(
    state: &State,
    now: Interval,
    decoded: &Decoded,
    request: &Request,
    approvals: &BTreeMap<Digest, BTreeSet<Name>>,
) -> Result<Verdict, EvaluateError> {
    let Some(present) = state.present() else {
        return Ok(Verdict::Refuse(no_policy()));
    };
    let case = Case::new(state, present, now, decoded, request);
    let mut findings = Findings::new(approvals);
    grants::check(&case, &mut findings);
    intents::check(&case, &mut findings);
    conflicts::check(&case, &mut findings);
    statements::check(&case, &mut findings);
    limits::check(&case, &mut findings).map_err(EvaluateError::Charges)?;
    drain::check(&case, &mut findings);
    freeze::check(&case, &mut findings);
    Ok(findings.verdict(|findings| permit::permit(&case, findings)))
}

/// Why there is no verdict. Whoever decides goes on with nothing.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum EvaluateError {
    /// Charges that a limit hangs on are not known.
    #[error("the windows cannot be counted")]
    Charges(#[source] ChargesError),
}

/// What is decided on.
struct Case<'a> {
    state: &'a State,
    present: &'a Present,
    policy: &'a Arc<Policy>,
    lo: Time,
    hi: Time,
    decoded: &'a Decoded,
    request: &'a Request,
    /// An earlier attempt of the same request id.
    earlier: Option<Earlier<'a>>,
    /// The conflict set, `None` for a fresh one.
    set: Option<AttemptId>,
    /// The effects, re-issues included, sorted.
    facts: Vec<Fact>,
}

/// The latest attempt of the same request id.
#[derive(Clone, Copy)]
struct Earlier<'a> {
    id: AttemptId,
    attempt: &'a AttemptState,
    status: RequestStatus,
    /// Whether it was the same request, not another under its id.
    same: bool,
}

impl<'a> Case<'a> {
    fn new(
        state: &'a State,
        present: &'a Present,
        now: Interval,
        decoded: &'a Decoded,
        request: &'a Request,
    ) -> Self {
        let earlier = earlier(state, request);
        let lo = state.lo_of(now);
        let set = match earlier {
            Some(earlier) if earlier.is_resumed() => Some(earlier.attempt.set()),
            _ => state.set_of(decoded.conflict_keys()),
        };
        let mut case = Self {
            state,
            present,
            policy: &present.policy,
            lo,
            hi: now.hi.max(lo),
            decoded,
            request,
            earlier,
            set,
            facts: Vec::new(),
        };
        case.facts = facts::facts(&case);
        case
    }

    /// The unsigned attempt that this request takes up again.
    fn resumes(&self) -> Option<Earlier<'a>> {
        self.earlier.filter(Earlier::is_resumed)
    }

    /// Attempts that conflict with the transaction, but for those of the same request: they are
    /// the same transaction.
    fn conflicting(&self) -> BTreeSet<AttemptId> {
        let mut attempts = self.state.conflicting(self.decoded.conflict_keys());
        if let Some(resumed) = self.resumes() {
            let origin = resumed.attempt.origin();
            let of_request = |id: &AttemptId| {
                let attempt = self.state.attempt(*id);
                attempt.is_some_and(|attempt| attempt.origin() == origin)
            };
            attempts.retain(|id| !of_request(id));
        }
        attempts
    }

    fn keys(&self) -> &'a BTreeSet<ConflictKey> {
        self.decoded.conflict_keys()
    }
}

impl Earlier<'_> {
    fn is_resumed(&self) -> bool {
        self.same && !matches!(self.status, RequestStatus::Signed { .. })
    }
}

fn earlier<'a>(state: &'a State, request: &Request) -> Option<Earlier<'a>> {
    let known = state.request(&request.client, &request.id)?;
    Some(Earlier {
        id: known.attempt,
        attempt: state.attempt(known.attempt)?,
        status: known.status,
        same: known.hash == request.hash,
    })
}

fn no_policy() -> Refusal {
    let reason = Spoken::built_in(
        crate::ReasonCode::AccountNotGranted,
        "no policy governs, so that no account is granted to anyone",
        "activate a bundle",
    );
    Refusal {
        reasons: vec![reason],
        needs: Vec::new(),
    }
}
